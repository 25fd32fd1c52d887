package builder

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"gopkg.in/yaml.v3"
)

// conforms checks a value as JSON has it against a schema. It knows the keywords that RecipeSchema uses and refuses others.
func conforms(schema map[string]any, v any) error {
	for _, word := range sortedKeys(schema) {
		if err := keyword(word, schema[word], schema, v); err != nil {
			return err
		}
	}
	return nil
}

func keyword(word string, arg any, schema map[string]any, v any) error {
	object, isObject := v.(map[string]any)
	list, isList := v.([]any)
	text, isText := v.(string)
	number, isNumber := v.(float64)
	fail := func(format string, args ...any) error { return fmt.Errorf(word+": "+format, args...) }
	switch word {
	case "$schema", "title", "description", "default":
	case "type":
		types, many := arg.([]any)
		if !many {
			types = []any{arg}
		}
		if !slices.ContainsFunc(types, func(t any) bool { return isType(t.(string), v) }) {
			return fail("%v is not %v", v, arg)
		}
	case "enum":
		if !slices.ContainsFunc(arg.([]any), func(e any) bool { return reflect.DeepEqual(e, v) }) {
			return fail("%v is none of %v", v, arg)
		}
	case "pattern":
		if isText && !regexp.MustCompile(arg.(string)).MatchString(text) {
			return fail("%q does not match %s", text, arg)
		}
	case "minimum":
		if isNumber && number < arg.(float64) {
			return fail("%v", number)
		}
	case "maximum":
		if isNumber && number > arg.(float64) {
			return fail("%v", number)
		}
	case "minItems":
		if isList && len(list) < int(arg.(float64)) {
			return fail("%v", list)
		}
	case "items":
		for i, item := range list {
			if err := conforms(arg.(map[string]any), item); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
	case "properties":
		for name, s := range arg.(map[string]any) {
			if value, ok := object[name]; ok {
				if err := conforms(s.(map[string]any), value); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	case "additionalProperties":
		known, _ := schema["properties"].(map[string]any)
		for name, value := range object {
			if _, ok := known[name]; ok {
				continue
			}
			if arg == false {
				return fail("%s", name)
			}
			if err := conforms(arg.(map[string]any), value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	case "propertyNames":
		for name := range object {
			if err := conforms(arg.(map[string]any), name); err != nil {
				return err
			}
		}
	case "required":
		for _, name := range arg.([]any) {
			if _, ok := object[name.(string)]; isObject && !ok {
				return fail("no %s", name)
			}
		}
	case "dependentRequired":
		for name, need := range arg.(map[string]any) {
			if _, ok := object[name]; !ok {
				continue
			}
			if err := keyword("required", need, nil, v); err != nil {
				return err
			}
		}
	case "oneOf", "anyOf", "allOf":
		good := 0
		for _, s := range arg.([]any) {
			if conforms(s.(map[string]any), v) == nil {
				good++
			}
		}
		if word == "oneOf" && good != 1 || word == "anyOf" && good == 0 || word == "allOf" && good < len(arg.([]any)) {
			return fail("%d hold", good)
		}
	default:
		return fail("an unknown keyword")
	}
	return nil
}

func isType(name string, v any) bool {
	switch v := v.(type) {
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case float64:
		return name == "number" || name == "integer" && v == float64(int64(v))
	case []any:
		return name == "array"
	case map[string]any:
		return name == "object"
	}
	return name == "null"
}

func sortedKeys(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func parsedSchema(t *testing.T) map[string]any {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal(RecipeSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// verdicts are those of the schema and of the parser on one file.
func verdicts(t *testing.T, schema map[string]any, name string) (bySchema, byParser error) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		bySchema = err
	} else {
		asJSON, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(asJSON, &v); err != nil {
			t.Fatal(err)
		}
		bySchema = conforms(schema, v)
	}
	_, byParser = ReadRecipe(name, RecipeOptions{})
	return bySchema, byParser
}

func TestSchemaAgreesOnGoodRecipes(t *testing.T) {
	schema := parsedSchema(t)
	files, err := filepath.Glob("testdata/recipes/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recipes: %v", err)
	}
	for _, name := range files {
		bySchema, byParser := verdicts(t, schema, name)
		if bySchema != nil || byParser != nil {
			t.Errorf("%s: by the schema %v, by the parser %v", name, bySchema, byParser)
		}
	}
}

// Bad recipes whose faults no schema sees.
func onlyParserSees() []string {
	return []string{
		"component-without-components", "components", "documents", "exclude-requested", "extends-loop", "extends-missing",
		"extends-repository", "name-from-file", "repofile", "variables",
	}
}

func TestSchemaAgreesOnBadRecipes(t *testing.T) {
	schema := parsedSchema(t)
	archives, err := filepath.Glob("testdata/recipes/bad/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		dir, _ := unpack(t, a)
		base := strings.TrimSuffix(filepath.Base(name), ".txtar")
		if base == "extends-missing" || base == "tags" {
			continue // have faults of both sorts; the parser's verdict is in their archives
		}
		bySchema, _ := verdicts(t, schema, filepath.Join(dir, a.Files[0].Name))
		if want := !slices.Contains(onlyParserSees(), base); want != (bySchema != nil) {
			t.Errorf("%s: by the schema %v", base, bySchema)
		}
	}
}

// keyCases has for every key a value that it takes and values that it does not.
func keyCases() map[string]struct {
	good []string
	bad  []string
} {
	type c = struct {
		good []string
		bad  []string
	}
	list := c{[]string{"[a, b.c]", "[]"}, []string{"a", "[1]", "[[a]]", "[@a]", "{a: b}", "null"}}
	path := c{[]string{"/a/b", "/"}, []string{"a/b", "1", "[/a]", "null", "true"}}
	address := c{[]string{"https://a.example/os", "./repo", "/srv/repo", "file:///srv/repo"}, []string{"''", "1", "[a]", "null"}}
	words := c{[]string{"[/bin/a, -b, '']", "[]"}, []string{"/bin/a", "[1]", "{a: b}", "null"}}
	labels := c{[]string{"{}", "{a: b, c: 1, d: true, e.f/g: ''}"}, []string{"[a=b]", "{a: [b]}", "{a: null}", "{'': a}", "a"}}
	yes := c{[]string{"true", "false"}, []string{"'true'", "1", "[true]", "null", "yes"}}
	id := c{[]string{"0", "65532", "4294967294"}, []string{"-1", "4294967295", "'1'", "1.5", "null"}}
	account := c{[]string{"app", "_a-b.c", "machine$"}, []string{"a b", "1a", "a:b", "''", "1", "null"}}
	owner := c{[]string{"app", "0", "'0'", "65532"}, []string{"a b", "-1", "''", "[a]", "1.5"}}
	skip := c{[]string{"skip"}, []string{"run", "true", "{a: skip}", "[skip]"}}
	platforms := c{[]string{"[linux/amd64]", "[x86_64, linux/arm/v7]"}, []string{"[]", "linux/amd64", "[linux]", "[windows/amd64]", "[1]"}}
	cases := map[string]c{
		"name":                     {[]string{"a", "a-b", "a__b.c"}, []string{"A", "a/b", "-a", "''", "1", "[a]"}},
		"extends":                  {[]string{"parent.yaml"}, []string{"''", "1", "[parent.yaml]", "null"}},
		"repository":               {[]string{"{baseurl: a, gpgcheck: false}", "{baseurl: a, gpgkey: k}"}, []string{"a", "[]", "{}", "{baseurl: a}", "{baseurl: a, gpgcheck: true}", "{gpgkey: k}", "{baseurl: a, metalink: b, gpgkey: k}", "{baseurl: a, gpgkey: k, x: y}"}},
		"repository.name":          {[]string{"a", "A.b_c:d-1"}, []string{"a b", "-a", "''", "1"}},
		"repository.baseurl":       address,
		"repository.mirrorlist":    address,
		"repository.metalink":      address,
		"repository.components":    {[]string{"[]"}, []string{"a", "[1]", "['']", "[a/b]", "{}"}},
		"repository.releasever":    {[]string{"9", "9.10", "'10'", "2023.9.1", "40_beta"}, []string{"''", "a/b", "true", "[9]", "../x", "null"}},
		"repository.gpgkey":        {[]string{"k", "[k]", "[a/b, https://a.example/k]"}, []string{"[]", "''", "[1]", "1", "{}"}},
		"repository.gpgcheck":      yes,
		"repository.repo_gpgcheck": yes,
		"repository.content_sets":  {[]string{"[rhel-9-for-$basearch-baseos-rpms, 'a-${releasever}.b__9_DOT_4']", "[]"}, []string{"a", "[1]", "['']", "['a b']", "[a-$other]"}},
		"repository.modules":       {[]string{"['postgresql:15', 'perl-DBI:1.641']", "[]"}, []string{"a", "[1]", "[postgresql]", "['a:b:c']"}},
		"repository.file":          {nil, []string{"a.repo", "1"}}, // with baseurl; the good ones stand in TestSchemaAgreesOnRepoFiles
		"repository.ids":           {nil, []string{"[a]", "a"}},
		"platforms":                platforms,
		"packages": {
			[]string{"[bash]", "['libssl.so.3()(64bit)', /usr/bin/a, 'a >= 1']", "[{name: a}]", "[{name: a, platforms: [s390x]}]", "[é]"},
			[]string{"[]", "bash", "[1]", "['']", "['@core']", "[./a.rpm]", "[-a]", "[' a']", "['a ']", "[{}]", "[{name: '@a'}]", "[{name: a, x: b}]", "[{name: a, platforms: []}]"},
		},
		"packages.name":        {[]string{"a"}, []string{"1", "''", "'@a'", "null"}},
		"packages.platforms":   platforms,
		"exclude":              list,
		"prefer":               list,
		"dependencies":         {[]string{"full", "runtime", "named"}, []string{"none", "''", "true", "[full]"}},
		"scriptlets":           {[]string{"{}", "{a: skip}", "{a: {post: skip, pre: skip}}", "{a: {}}"}, []string{"[a]", "{a: run}", "{a: {x: skip}}", "{a: {post: run}}", "{a: true}", "{'': skip}"}},
		"strip":                {[]string{"true", "false", "{}"}, []string{"'no'", "[docs]", "{x: 1}", "null", "1"}},
		"strip.docs":           yes,
		"strip.locales":        {[]string{"all", "[]", "[C.UTF-8, de_DE@euro]"}, []string{"none", "en", "true", "['1']", "[1]"}},
		"strip.paths":          {[]string{"[]", "[/a/**, '/b/*.c']"}, []string{"/a", "[a]", "[1]"}},
		"strip.keep":           {[]string{"[/a]"}, []string{"/a", "[a]", "[1]"}},
		"accounts":             {[]string{"{}", "{groups: [{name: a}], users: [{name: a}]}"}, []string{"[]", "{x: []}", "{users: {}}", "{groups: [a]}", "{users: [{}]}", "{groups: [{gid: 1}]}"}},
		"accounts.groups":      {[]string{"[]", "[{name: a, gid: 1}]"}, []string{"[a]", "{a: 1}", "[{name: a, uid: 1}]"}},
		"accounts.groups.name": account,
		"accounts.groups.gid":  id,
		"accounts.users":       {[]string{"[]", "[{name: a, uid: 1}]"}, []string{"[a]", "{a: 1}", "[{name: a, gid: 1}]"}},
		"accounts.users.name":  account,
		"accounts.users.uid":   id,
		"accounts.users.group": account,
		"accounts.users.home":  path,
		"accounts.users.shell": path,
		"accounts.users.gecos": {[]string{"''", "'The App, Room 1'"}, []string{"'a:b'", "1", "null"}},
		"files":                {[]string{"[]", "[{path: /a, content: b}]", "[{path: /a, source: b, mode: '0644'}]", "[{path: /a, link: b}]"}, []string{"{}", "[/a]", "[{path: /a}]", "[{content: b}]", "[{path: /a, content: b, link: c}]", "[{path: /a, content: b, x: c}]"}},
		"files.path":           {[]string{"/a", "/a/b c"}, []string{"a", "/", "/a/", "''", "1"}},
		"files.content":        {[]string{"''", "a"}, []string{"1", "true", "[a]", "null"}},
		"files.source":         {nil, []string{"a"}}, // with content; the good ones stand under files
		"files.link":           {nil, []string{"a"}},
		"files.mode":           {[]string{"'0644'", "'644'", "'4755'", "'0o755'", "0644", "0o644"}, []string{"'9'", "'0999'", "rw", "true", "[1]", "'77777'"}},
		"files.owner":          owner,
		"files.group":          owner,
		"image":                {[]string{"{}"}, []string{"[]", "a", "{x: 1}", "null"}},
		"image.entrypoint":     words,
		"image.cmd":            words,
		"image.env":            {[]string{"{}", "[]", "{A: b, C: 1, D: true, E: ''}", "[A=b, 'C=d = e', F=]"}, []string{"A=b", "[A]", "[=a]", "[1]", "{A: [b]}", "{'A B': c}", "{'': a}", "{A: null}"}},
		"image.user":           {[]string{"app", "0", "'0:0'", "app:app"}, []string{"a:b:c", "':a'", "''", "'a b'", "-1", "[a]"}},
		"image.workdir":        path,
		"image.ports":          {[]string{"[]", "[80, '80', 443/tcp, 65535/udp, 5000/sctp]"}, []string{"80", "[0]", "['0']", "[65536]", "['65536/tcp']", "[80/http]", "['']", "[true]"}},
		"image.volumes":        {[]string{"[]", "[/data]"}, []string{"/data", "[data]", "[1]", "{/data: {}}"}},
		"image.stopsignal":     {[]string{"SIGTERM", "SIGRTMIN+3", "15", "'15'"}, []string{"TERM", "0", "65", "''", "[SIGTERM]", "true"}},
		"image.labels":         labels,
		"image.annotations":    labels,
		"layers":               {[]string{"{}", "{strategy: single}"}, []string{"split", "[]", "{x: 1}"}},
		"layers.strategy":      {[]string{"split", "single", "package"}, []string{"all", "''", "1"}},
		"layers.budget":        {[]string{"2", "20", "100"}, []string{"1", "101", "'20'", "2.5", "null"}},
		"layers.compression":   {[]string{"gzip", "zstd"}, []string{"xz", "none", "false"}},
		"push":                 {[]string{"[]", "[registry.example/a/b:1, localhost:5000/a]"}, []string{"a", "['']", "[1]", "['a b']", "['a@sha256:00']"}},
	}
	for _, slot := range scriptletSlots() {
		cases["scriptlets.*."+slot] = skip
	}
	return cases
}

// caseDocument is a recipe in which the key at path has the value, given in YAML.
func caseDocument(path, value string) string {
	section := func(name, rest string) string { return "{" + rest + name + ": " + value + "}" }
	head, repo, packages, tail := "", "{baseurl: a, gpgkey: k, name: n}", "[bash]", ""
	parts := strings.Split(path, ".")
	last := parts[len(parts)-1]
	switch prefix := strings.Join(parts[:len(parts)-1], "."); {
	case path == "repository":
		repo = value
	case path == "packages":
		packages = value
	case path == "repository.baseurl", path == "repository.mirrorlist", path == "repository.metalink":
		repo = section(last, "gpgkey: k, ")
	case path == "repository.gpgkey":
		repo = section(last, "baseurl: a, ")
	case prefix == "repository":
		repo = section(last, "baseurl: a, gpgkey: k, ")
	case path == "packages.name":
		packages = "[" + section(last, "") + "]"
	case prefix == "packages":
		packages = "[" + section(last, "name: a, ") + "]"
	case prefix == "":
		tail = path + ": " + value
	case path == "files.path":
		tail = "files: [" + section(last, "content: x, ") + "]"
	case path == "files.content":
		tail = "files: [" + section(last, "path: /a, ") + "]"
	case prefix == "files":
		tail = "files: [" + section(last, "path: /a, content: x, ") + "]"
	case strings.HasSuffix(prefix, "s") && parts[0] == "accounts" && last == "name":
		tail = "accounts: {" + parts[1] + ": [" + section(last, "") + "]}"
	case len(parts) == 3 && parts[0] == "accounts":
		tail = "accounts: {" + parts[1] + ": [" + section(last, "name: a, ") + "]}"
	case len(parts) == 3 && parts[0] == "scriptlets":
		tail = "scriptlets: {a: " + section(last, "") + "}"
	default:
		tail = prefix + ": " + section(last, "")
	}
	return head + "repository: " + repo + "\npackages: " + packages + "\n" + tail + "\n"
}

func TestSchemaAgreesOnEveryKey(t *testing.T) {
	schema := parsedSchema(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	write("parent.yaml", "repository: {baseurl: a, gpgkey: k, name: n}\npackages: [bash]\n")
	for path, c := range keyCases() {
		check := func(value string, want bool) {
			text := caseDocument(path, value)
			bySchema, byParser := verdicts(t, schema, write("case.yaml", text))
			if (bySchema == nil) != want || (byParser == nil) != want {
				t.Errorf("%s: %s: by the schema %v, by the parser %v\n%s", path, value, bySchema, byParser, text)
			}
		}
		for _, v := range c.good {
			check(v, true)
		}
		for _, v := range c.bad {
			check(v, false)
		}
	}
}

func TestSchemaAgreesOnRepoFiles(t *testing.T) {
	schema := parsedSchema(t)
	for repo, want := range map[string]bool{
		"{file: a.repo, ids: [x]}":             true,
		"{file: a.repo}":                       false,
		"{ids: [x]}":                           false,
		"{file: a.repo, ids: []}":              false,
		"{file: a.repo, ids: [x], baseurl: a}": false,
		"{file: '', ids: [x]}":                 false,
	} {
		name := filepath.Join(t.TempDir(), "recipe.yaml")
		if err := os.WriteFile(filepath.Join(filepath.Dir(name), "a.repo"), []byte("[x]\nbaseurl=/x\ngpgcheck=0\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("repository: "+repo+"\npackages: [bash]\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		bySchema, byParser := verdicts(t, schema, name)
		if (bySchema == nil) != want || (byParser == nil) != want {
			t.Errorf("%s: by the schema %v, by the parser %v", repo, bySchema, byParser)
		}
	}
}

// Every key of the table has its cases, so that none is added without them.
func TestEveryKeyHasCases(t *testing.T) {
	var keys []string
	var walk func(s *shape, path []string)
	walk = func(s *shape, path []string) {
		for _, k := range s.keys {
			at := append(slices.Clone(path), k.name)
			keys = append(keys, strings.Join(at, "."))
			walk(k.shape, at)
		}
		if s.item != nil {
			walk(s.item, path)
		}
		if s.open != nil {
			walk(s.open, append(slices.Clone(path), "*"))
		}
	}
	walk(recipeShape(), nil)
	sort.Strings(keys)
	var have []string
	for k := range keyCases() {
		have = append(have, k)
	}
	sort.Strings(have)
	if diff := cmp.Diff(keys, have); diff != "" {
		t.Errorf("(-table +cases)\n%s", diff)
	}
}

// What slim init writes is a recipe, for every distribution.
func TestFirstRecipes(t *testing.T) {
	schema := parsedSchema(t)
	for _, distro := range append(Distributions(), "ubi9", "UBI10", "ubi", "centos-stream9", "centos-stream10", "rocky", "alma9", "fedora", "fedora:44",
		"amazonlinux2023", "amazonlinux:2023.9.20251117", "azurelinux3", "opensuse", "leap:15.6", "tumbleweed") {
		t.Run(distro, func(t *testing.T) {
			text, err := FirstRecipe(distro)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(t.TempDir(), "recipe.yaml")
			if err := os.WriteFile(name, text, 0o644); err != nil {
				t.Fatal(err)
			}
			bySchema, byParser := verdicts(t, schema, name)
			if bySchema != nil || byParser != nil {
				t.Fatalf("by the schema %v, by the parser %v\n%s", bySchema, byParser, text)
			}
			r := mustRead(t, name, RecipeOptions{})
			amd64 := Platform{"linux", "amd64", ""}
			urls, err := r.Repository.BaseURLs(amd64)
			if err != nil || len(urls) == 0 {
				t.Fatalf("%v, %v", urls, err)
			}
			for _, u := range urls {
				if !strings.HasPrefix(u.URL, "https://") || strings.ContainsAny(u.URL, "$ ") {
					t.Errorf("address %s", u.URL)
				}
			}
			if keys, err := r.Repository.KeyRefs(amd64); err != nil || len(keys) == 0 || keys[0].Fingerprint == "" && !strings.HasPrefix(distro, "fedora:41") || !r.Repository.GPGCheck {
				t.Errorf("keys %v, %v", keys, err)
			}
		})
	}
}

func TestFirstRecipeVersions(t *testing.T) {
	tests := map[string]string{
		"ubi9":             "https://cdn-ubi.redhat.com/content/public/ubi/dist/ubi9/9/x86_64/baseos/os",
		"ubi":              "https://cdn-ubi.redhat.com/content/public/ubi/dist/ubi10/10/x86_64/baseos/os",
		"centos-stream":    "https://mirror.stream.centos.org/10-stream/BaseOS/x86_64/os",
		"c":                "",
		"centos-stream:9":  "https://mirror.stream.centos.org/9-stream/BaseOS/x86_64/os",
		"fedora:41":        "https://mirrors.fedoraproject.org/metalink?repo=fedora-41&arch=x86_64",
		"amazonlinux:2023": "https://cdn.amazonlinux.com/al2023/core/mirrors/latest/x86_64/mirror.list",
		"ubi:8":            "",
		"ubi:":             "",
		"debian":           "",
		"fedora:rawhide":   "",
		"":                 "",
	}
	for distro, want := range tests {
		text, err := FirstRecipe(distro)
		if want == "" {
			var unknown *UnknownDistributionError
			if !errors.As(err, &unknown) || len(unknown.Known) == 0 {
				t.Errorf("%s: %v", distro, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", distro, err)
			continue
		}
		r, err := readText(t, string(text), RecipeOptions{})
		if err != nil {
			t.Errorf("%s: %v", distro, err)
			continue
		}
		urls, err := r.Repository.BaseURLs(Platform{"linux", "amd64", ""})
		if err != nil || urls[0].URL != want {
			t.Errorf("%s: %v, %v, want %s", distro, urls, err, want)
		}
	}
}
