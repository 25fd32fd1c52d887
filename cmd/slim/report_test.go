package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/tooltest"
)

const hostilePath = `/opt/</script><img src=x onerror="document.title='owned'">`

// reportRecipes are images of the demo distribution: two that have different builds of hello, of which the first verifies and the
// second has a file that no package brings, and one that does not say what it runs.
func reportRecipes() map[string]string {
	return map[string]string{
		"new":    "packages: [hello, libdemo-plugin]\nimage: {entrypoint: [/usr/bin/hello], cmd: [you]}\nscriptlets: {libdemo: {post: skip}}\n",
		"old":    "packages: [hello-1.0-1, setup]\nimage: {entrypoint: [/usr/bin/hello]}\nfiles: [{path: '" + strings.ReplaceAll(hostilePath, "'", "''") + "', content: x}]\n",
		"silent": "packages: [hello]\n",
	}
}

// slimIn runs slim with a home of its own and returns what it prints.
func slimIn(t *testing.T, home string, code int, args ...string) []byte {
	t.Helper()
	env, stdout, stderr := testEnvironment()
	env.home = home
	env.getenv = func(name string) string {
		return map[string]string{"SLIM_CACHE_DIR": home + "/cache", "TMPDIR": home}[name]
	}
	if got := run(t.Context(), args, env); got != code {
		t.Fatalf("slim %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, stderr)
	}
	return stdout.Bytes()
}

// answer is a document that slim prints, as far as the test reads it.
func answer[T any](t *testing.T, home string, code int, args ...string) (doc T) {
	t.Helper()
	if err := json.Unmarshal(slimIn(t, home, code, append(args, "--json")...), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// reportPages builds the images and writes a page of the first alone and one of them all.
func reportPages(t *testing.T) (home, key, one, all string, images []string) {
	t.Helper()
	tooltest.Need(t, "chromium")
	home = t.TempDir()
	testdata, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	key = filepath.Join(testdata, "keys/RPM-GPG-KEY-demo")
	recipes := reportRecipes()
	for _, name := range []string{"new", "old", "silent"} {
		file := filepath.Join(home, name+".yaml")
		text := "repository: {baseurl: '" + testdata + "/repo/$basearch', gpgkey: ['" + key + "']}\nplatforms: [linux/amd64]\n" + recipes[name]
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		slimIn(t, home, 0, "build", file, "-o", "oci:"+home+"/images", "--progress", "none")
		images = append(images, "oci:"+home+"/images:"+name)
	}
	one, all = filepath.Join(home, "one.html"), filepath.Join(home, "all.html")
	slimIn(t, home, 0, "report", images[0], "--key", key, "-o", one)
	slimIn(t, home, exitVerification, append([]string{"report", "--key", key, "-o", all}, images...)...)
	return home, key, one, all, images
}

// TestReportInBrowser lets a browser draw the pages under their own policy, reads what came of it, and uses them by keyboard.
func TestReportInBrowser(t *testing.T) {
	home, key, one, all, images := reportPages(t)
	b := tooltest.NewBrowser(t)
	for _, page := range []string{one, all} {
		b.Open("file://" + page)
		for _, scheme := range []string{"light", "dark"} {
			b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
			checkContrast(t, b, filepath.Base(page)+", "+scheme)
		}
		checkWidths(t, b, filepath.Base(page))
		checkPrint(t, b)
		checkQuiet(t, b, page)
	}
	checkNumbers(t, b, home, key, images)
	checkFleet(t, b, home, images)
	checkHostile(t, b)
	checkSilent(t, b)
	b.Open("file://" + one)
	checkTab(t, b)
	checkTreemapKeys(t, b)
	checkTableKeys(t, b)
	checkWhy(t, b)
	checkQuiet(t, b, one)
}

// checkQuiet wants no errors and no requests but the one for the page itself.
func checkQuiet(t *testing.T, b *tooltest.Browser, page string) {
	t.Helper()
	for _, e := range b.Events("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded") {
		t.Errorf("%s: %s", e.Method, e.Params)
	}
	var urls []string
	for _, e := range b.Events("Network.requestWillBeSent") {
		var sent struct{ Request struct{ URL string } }
		if err := json.Unmarshal(e.Params, &sent); err != nil {
			t.Fatal(err)
		}
		urls = append(urls, sent.Request.URL)
	}
	if d := cmp.Diff([]string{"file://" + page}, urls); d != "" {
		t.Errorf("requests (-want +got)\n%s", d)
	}
}

// contrastScript finds text whose contrast to what is behind it is less than the 4.5 of WCAG 2 AA (1.4.3).
const contrastScript = `(() => {
	const rgb = text => [...text.matchAll(/rgba?\(([^)]*)\)/g)].map(m => m[1].split(",").map(Number)).filter(c => c.length < 4 || c[3] > 0);
	const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
	const fills = r => {
		const fill = getComputedStyle(r).fill, pattern = fill.match(/url\("#([^"]+)"\)/);
		return pattern ? [...document.getElementById(pattern[1]).children].flatMap(c => rgb(getComputedStyle(c).fill)) : rgb(fill);
	};
	const behind = e => {
		if (e.closest("svg") && !e.matches(".how, .flows text")) {
			const found = fills(e.parentNode.querySelector("rect"));
			return found.length ? found : fills(e.closest("svg").querySelector(".group"));
		}
		for (; e; e = e.parentElement) {
			const s = getComputedStyle(e), found = rgb(s.backgroundImage).concat(rgb(s.backgroundColor));
			if (found.length) return found;
		}
		return [[255, 255, 255]];
	};
	const bad = [];
	let seen = 0;
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.matches("script, title, tspan, .unseen") || !e.getBoundingClientRect().width) continue;
		seen++;
		const s = getComputedStyle(e), least = Math.min(...behind(e).map(c => contrast(rgb(e.closest("svg") ? s.fill : s.color)[0], c)));
		if (least < 4.5) bad.push(e.tagName + "." + (e.getAttribute("class") || "") + " " + JSON.stringify(e.textContent.slice(0, 30)) + ": " + least.toFixed(2));
	}
	return {seen, bad};
})()`

func checkContrast(t *testing.T, b *tooltest.Browser, what string) {
	t.Helper()
	var got struct {
		Seen int
		Bad  []string
	}
	b.Eval(contrastScript, &got)
	if got.Seen < 50 || len(got.Bad) > 0 {
		t.Errorf("%s: of %d texts these have too little contrast:\n%s", what, got.Seen, strings.Join(got.Bad, "\n"))
	}
}

// checkWidths wants no sideways scrolling of the page, and charts no wider than it.
func checkWidths(t *testing.T, b *tooltest.Browser, what string) {
	t.Helper()
	for _, width := range []int{390, 1280, 1920} {
		b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
		var got struct{ Page, Map int }
		b.Eval(`new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r))).then(() => ({Page: document.documentElement.scrollWidth,
			Map: Math.round(document.querySelector(".map").getBoundingClientRect().width)}))`, &got)
		if got.Page > width || got.Map > width || got.Map < width*6/10 {
			t.Errorf("%s in %d pixels: the page takes %d, the first map %d", what, width, got.Page, got.Map)
		}
	}
	b.Call("Emulation.clearDeviceMetricsOverride", nil, nil)
}

func checkPrint(t *testing.T, b *tooltest.Browser) {
	t.Helper()
	var printed struct{ Data []byte }
	b.Call("Page.printToPDF", map[string]any{"printBackground": true}, &printed)
	if !bytes.HasPrefix(printed.Data, []byte("%PDF-")) {
		t.Errorf("printed: %.20q", printed.Data)
	}
}

// values are the data-value of what a selector finds, in the order of the page.
func values(b *tooltest.Browser, selector string) (out []int64) {
	b.Eval(`[...document.querySelectorAll(`+quoted(selector)+`)].map(e => Number(e.dataset.value))`, &out)
	return out
}

func quoted(text string) string {
	b, _ := json.Marshal(text) // of a string there is no error
	return string(b)
}

// checkNumbers compares each image with what path, verify and inspect say of it.
func checkNumbers(t *testing.T, b *tooltest.Browser, home, key string, images []string) {
	t.Helper()
	for k, image := range images[:2] {
		id := string(rune('0' + k))
		path := answer[pathJSON](t, home, 0, "path", image).Images[0]
		proof := answer[verifyJSON](t, home, []int{0, exitVerification}[k], "verify", image, "--key", key).Images[0]
		look := answer[struct {
			Images []struct {
				Layers   []struct{ Size int64 }
				Stripped struct{ Files, Bytes int64 }
			}
		}](t, home, 0, "inspect", image).Images[0]
		var tiers, packages, layers []int64
		for _, s := range path.Tiers {
			tiers = append(tiers, int64(s.Packages), int64(s.Files), s.Bytes)
		}
		for _, p := range path.Packages {
			onPath := p.Bytes["direct"] + p.Bytes["loadable"]
			packages = append(packages, onPath, onPath+p.Bytes["data"]+p.Bytes["idle"])
		}
		for n, l := range look.Layers {
			layers = append(layers, int64(n), l.Size, 0)
		}
		got := values(b, "#tiers-"+id+" td.number")
		if d := cmp.Diff(append(tiers, got[len(tiers)], look.Stripped.Files, look.Stripped.Bytes), got); d != "" {
			t.Errorf("%s: tiers and what was left out (-want +got)\n%s", image, d)
		}
		got = slices.Collect(func(yield func(int64) bool) {
			for n, v := range values(b, "#packages-"+id+" td.number") {
				if n%3 < 2 && !yield(v) {
					return
				}
			}
		})
		if d := cmp.Diff(packages, got); d != "" {
			t.Errorf("%s: packages (-want +got)\n%s", image, d)
		}
		got = values(b, "#layers-"+id+" td.number")
		for n := 2; n < len(got); n += 3 {
			if got[n] < 1 || got[n] > int64(len(images)) {
				t.Errorf("%s: %d images have its layer", image, got[n])
			}
			got[n] = 0
		}
		if d := cmp.Diff(layers, got); d != "" {
			t.Errorf("%s: layers (-want +got)\n%s", image, d)
		}
		want := []int64{int64(proof.Signed), int64(proof.Matching), int64(proof.NotInstalled), int64(len(proof.Generated)), int64(proof.Foreign)}
		if d := cmp.Diff(want, values(b, "#proof-"+id+" dd[data-value]")); d != "" {
			t.Errorf("%s: proof (-want +got)\n%s", image, d)
		}
	}
}

// checkFleet compares the matrix with what fleet says, cell by cell.
func checkFleet(t *testing.T, b *tooltest.Browser, home string, images []string) {
	t.Helper()
	fleet := answer[fleetJSON](t, home, 0, append([]string{"fleet"}, images...)...)
	want, got := map[string][]string{}, map[string][]string{}
	differ := 0
	for _, p := range fleet.Packages {
		cells := []string{string(rune('0' + p.Count)), "", "", ""}
		for _, build := range p.Builds {
			for _, m := range build.Members {
				cells[m+1] = build.HeaderSHA256
			}
		}
		want[p.Name] = cells
		if p.Count > 1 {
			differ++
		}
	}
	b.Eval(`Object.fromEntries([...document.querySelectorAll("#fleet tbody tr:has(td)")].map(tr => [tr.querySelector("th").textContent,
		[tr.querySelector("[data-value]").textContent, ...[...tr.querySelectorAll(".cell")].map(c => c.dataset.header || "")]]))`, &got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("fleet (-want +got)\n%s", d)
	}
	if differ == 0 {
		t.Fatal("the test's images have one build of everything")
	}
	var letters []string
	b.Eval(`[...document.querySelectorAll("#fleet tbody:first-of-type tr:nth-child(2) .cell")].map(c => c.textContent)`, &letters)
	if d := cmp.Diff([]string{"A", "B", "A"}, letters); d != "" {
		t.Errorf("the first package that differs (-want +got)\n%s", d)
	}
}

func checkHostile(t *testing.T, b *tooltest.Browser) {
	t.Helper()
	var got struct {
		Title, Finding string
		Elements       int
	}
	b.Eval(`({Title: document.title, Finding: document.querySelector("#proof-1 .findings").textContent, Elements: document.querySelectorAll("img").length})`, &got)
	if got.Title != "slim report: 3 images" || got.Elements > 0 || !strings.Contains(got.Finding, hostilePath) {
		t.Errorf("a path that is markup: %+v", got)
	}
}

func checkSilent(t *testing.T, b *tooltest.Browser) {
	t.Helper()
	var text string
	b.Eval(`document.querySelector("#path-2").textContent + document.querySelector("#tiers-2").textContent`, &text)
	if !strings.Contains(text, "neither entrypoint nor cmd") || !strings.Contains(text, "unknown") || strings.Contains(text, "idle") {
		t.Errorf("an image that does not say what it runs: %s", text)
	}
}

// checkTab goes through the page by Tab: every stop is visible, and there is none that it does not reach.
func checkTab(t *testing.T, b *tooltest.Browser) {
	t.Helper()
	var stops int
	b.Eval(`window.stops = [...document.querySelectorAll("button:not(:disabled), a[href], input, [tabindex='0']")], window.reached = new Set(), window.dim = [], stops.length`, &stops)
	for range stops {
		b.Press("Tab")
		b.Eval(`(() => {
			const e = document.activeElement, ring = e.closest("svg")?.querySelector(".ring");
			reached.add(e);
			if (!e.matches(":focus-visible") || !(ring ? getComputedStyle(ring).visibility === "visible" : getComputedStyle(e).outlineStyle !== "none")) dim.push(e.outerHTML.slice(0, 80));
		})()`, nil)
	}
	var missed, dim []string
	b.Eval(`stops.filter(e => !reached.has(e)).map(e => e.outerHTML.slice(0, 80))`, &missed)
	b.Eval(`dim`, &dim)
	if stops < 20 || len(missed)+len(dim) > 0 {
		t.Errorf("of %d stops Tab does not reach %q, and focus is not seen on %q", stops, missed, dim)
	}
}

// focus is what has it, in a few words.
func focus(b *tooltest.Browser) (text string) {
	b.Eval(`(e => e.getAttribute("aria-label") || e.textContent)(document.activeElement)`, &text)
	return text
}

func checkTreemapKeys(t *testing.T, b *tooltest.Browser) {
	t.Helper()
	crumbs := func() (text string) {
		b.Eval(`document.querySelector(".crumbs").textContent`, &text)
		return text
	}
	b.Eval(`document.querySelector(".map [tabindex='0']").focus()`, nil)
	seen := map[string]bool{focus(b): true}
	for _, key := range []string{"ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"} {
		b.Press(key)
		seen[focus(b)] = true
	}
	if len(seen) < 2 || crumbs() != "All packages" {
		t.Errorf("arrow keys lead to %v, %s", seen, crumbs())
	}
	b.Press("Enter")
	if !strings.Contains(crumbs(), "\u203a") {
		t.Errorf("Enter leads to %s", crumbs())
	}
	b.Press("Escape")
	if crumbs() != "All packages" {
		t.Errorf("Escape leads to %s", crumbs())
	}
}

func checkTableKeys(t *testing.T, b *tooltest.Browser) {
	t.Helper()
	column := func() (sizes []int64) {
		for n, v := range values(b, "#packages-0 td.number") {
			if n%3 == 1 {
				sizes = append(sizes, v)
			}
		}
		return sizes
	}
	for _, way := range []string{"descending", "ascending"} {
		b.Eval(`[...document.querySelectorAll("#packages-0 thead button")].find(e => e.textContent === "Installed, kB").focus()`, nil)
		b.Press("Enter")
		want := column()
		slices.Sort(want)
		if way == "descending" {
			slices.Reverse(want)
		}
		var sorts []string
		b.Eval(`[...document.querySelectorAll("#packages-0 [aria-sort]")].map(e => e.textContent + " " + e.ariaSort)`, &sorts)
		if d := cmp.Diff([]string{"Installed, kB " + way}, sorts); d != "" || !slices.Equal(want, column()) {
			t.Errorf("sorted %s: %v\n%s", way, column(), d)
		}
	}
}

// checkWhy opens a package by keyboard and reads why it is there.
func checkWhy(t *testing.T, b *tooltest.Browser) {
	t.Helper()
	b.Eval(`[...document.querySelectorAll("#packages-0 .open")].find(e => e.textContent === "libdemo").focus()`, nil)
	b.Press("Enter")
	var text string
	b.Eval(`document.querySelector("#packages-0 .detail .why").textContent`, &text)
	if !strings.Contains(text, "libdemo-plugin *") || !strings.Contains(text, "libdemo.so.1") || !strings.Contains(text, "(soname") {
		t.Errorf("why libdemo is there: %s", text)
	}
	b.Press("Tab")
	if got := focus(b); !strings.Contains(got, "libdemo-plugin needs libdemo.so.1") {
		t.Errorf("Tab leads to %s", got)
	}
	b.Press("Escape")
	var open int
	b.Eval(`document.querySelectorAll(".detail").length`, &open)
	if open > 0 || focus(b) != "libdemo" {
		t.Errorf("Escape leaves %d open and the focus on %s", open, focus(b))
	}
}
