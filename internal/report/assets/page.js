// The page itself: what all images have in common, then each image.
function tiles(at, list, id) {
  const box = at.append("ul").attr("class", "tiles").attr("id", id);
  for (const t of list) {
    const li = box.append("li").attr("class", t.mark || null);
    const p = li.append("p").attr("class", "value");
    p.append("span").text(t.value);
    if (t.of) p.append("small").text(" of " + t.of);
    if (t.mark) p.append("span").attr("class", "mark").attr("role", "img").attr("aria-label", t.mark === "good" ? "good" : "look here").text(t.mark === "good" ? "\u2713" : "!");
    li.append("p").attr("class", "what").text(t.what);
    li.append("p").attr("class", "more").text(t.more);
  }
}
function imageTiles(at, image, k) {
  const v = image.proof, on = image.packages.filter(p => p.tier === "direct" || p.tier === "loadable").length, t = image.tiers;
  const builds = report.fleet.packages.filter(p => p.count > 1 && p.builds.some(b => b.images.includes(k)));
  const installed = sumOf(Object.values(t), s => s.bytes);
  tiles(at, [
    v ? {value: whole(v.signed), of: whole(v.packages), what: "packages signed", mark: v.packages > 0 && v.signed === v.packages ? "good" : "bad",
      more: v.keys.length ? "by " + v.keys.map(key => keyID(key.fingerprint)).join(", ") : "by no key that was given"}
      : {value: whole(image.packages.length), what: "packages, none verified", more: "No key was given"},
    v ? {value: whole(v.matching), of: whole(v.files), what: "files match their packages", mark: v.passed ? "good" : "bad", more: `${whole(v.generated)} generated, ${whole(v.foreign)} foreign`}
      : {value: builds.length ? whole(builds.length) : "1", what: builds.length ? "packages of which others run another build" : "build of each package", more: "by the digests of their headers"},
    t.unknown ? {value: "\u2013", what: "execution path not known", more: "No entrypoint and no cmd"}
      : {value: bytes(t.direct.bytes), of: bytes(installed), what: "runs directly", more: `${whole(on)} of ${count(image.packages.length, "package")} on the path, loadable ones included (${bytes(t.loadable.bytes)})`},
    {value: bytes(leftOutBytes(image)), what: "left out, no package changed",
      more: image.left_out.length ? image.left_out.map(l => `${l.rule}: ${count(l.files, "file")}`).join(", ") : "Nothing was left out"},
  ], "tiles-" + k);
}
function proof(at, image, k) {
  const v = image.proof, s = section(at, "proof-" + k, "Proof");
  if (!v) { s.append("p").attr("class", "empty").text("Nothing was verified: no key was given. Signers below are what signatures say of themselves."); return; }
  const fails = v.findings.filter(f => f.fails), notes = v.findings.filter(f => !f.fails);
  s.append("p").attr("class", "verdict " + (v.passed ? "good" : "bad")).text(v.passed
    ? `\u2713 Verifies: every package is signed and every file is accounted for` : `! Does not verify: ${count(fails.length, "finding")}`);
  const list = (title, of) => {
    if (!of.length) return;
    if (title) s.append("h4").text(title);
    s.append("ul").attr("class", "findings").selectAll("li").data(of).join("li").text(f => f.text);
  };
  list("", fails);
  list("Remarks", notes);
  const facts = [["Packages signed", v.signed, v.packages], ["Files that match", v.matching, v.files], ["Not installed, recorded", v.not_installed], ["Files generated", v.generated], ["Files foreign", v.foreign]];
  const dl = s.append("dl").attr("class", "facts");
  for (const [name, n, of] of facts) {
    const d = dl.append("div");
    d.append("dt").text(name);
    d.append("dd").attr("data-value", n).text(whole(n) + (of === undefined ? "" : " of " + whole(of)));
  }
  for (const key of v.keys) {
    const d = dl.append("div").attr("class", "wide");
    d.append("dt").text(`Key of ${count(key.packages, "package")}`);
    d.append("dd").text(key.fingerprint + (key.user ? ", " + key.user : ""));
  }
}
function tierTable(at, image, k) {
  const list = tiersOf(image), total = sumOf(list, t => image.tiers[t].bytes) || 1;
  const bar = at.append("div").attr("class", "bar").attr("aria-hidden", "true");
  bar.selectAll("span").data(list).join("span").attr("class", t => "tier " + t).style("flex-grow", t => image.tiers[t].bytes / total);
  const rows = list.map(tier => ({tier, ...image.tiers[tier], packages: image.tiers[tier].packages}));
  if (image.left_out.length) rows.push({tier: "ghost", files: sumOf(image.left_out, l => l.files), bytes: leftOutBytes(image), packages: image.packages.filter(p => p.left_out.length).length});
  table(at, "tiers-" + k, [
    {title: "Tier", key: r => rows.indexOf(r), cell: (td, r) => { badge(td, r.tier); td.append("span").attr("class", "gloss").text(tierTexts[r.tier]); }},
    {title: "Packages", number: true, key: r => r.packages, text: whole},
    {title: "Files", number: true, key: r => r.files, text: whole},
    {title: "kB", number: true, key: r => r.bytes, text: kilo},
  ], rows, {label: "Tiers"});
}
function advisoriesOf(at, image, p) {
  if (!image.advised) { at.append("p").text("Not looked for: --recipe names the repository that has them."); return; }
  if (!p.advisories.length) { at.append("p").text("None is pending."); return; }
  const li = at.append("ul").attr("class", "advisories").selectAll("li").data(p.advisories).join("li");
  li.append("strong").text(a => a.id);
  li.append("span").text(a => " " + [a.severity, a.type].filter(Boolean).join(" ") + (a.title ? ": " + a.title : "") + (a.cves.length ? " (" + a.cves.join(", ") + ")" : ""));
}
function packageDetail(at, image, p, choose) {
  at.attr("class", "card");
  const part = title => { const d = at.append("div"); d.append("h4").text(title); return d; };
  why(part(`Why ${p.name} is here`), image, p, choose);
  const run = part("How it is reached");
  if (p.chain.length) {
    const ol = run.append("ol").attr("class", "steps");
    const li = ol.selectAll("li").data(p.chain).join("li");
    li.append("span").attr("class", "path").text(s => s.path);
    li.append("span").attr("class", "how").text(stepText);
  } else run.append("p").text(image.command.length ? "It is not on the static path: " + p.tier + "." : "The image does not say what it runs.");
  advisoriesOf(part("Advisories"), image, p);
  const facts = part("The package").append("dl").attr("class", "facts lines");
  const fact = (name, text) => { const d = facts.append("div").attr("class", "wide"); d.append("dt").text(name); d.append("dd").text(text); };
  fact("Source", p.source_rpm || "none");
  fact("Built", p.built.slice(0, 10));
  fact("Installed", tierNames.filter(t => p.bytes[t]).map(t => `${bytes(p.bytes[t])} ${t}`).join(", ") || "no bytes");
  if (p.left_out.length) fact("Left out", p.left_out.map(l => `${bytes(l.bytes)} in ${count(l.files, "file")} (${l.rule})`).join(", "));
  fact("Signed by", p.signer ? p.signer + (p.verified ? "" : " (not verified)") : "nobody");
  fact("Header", "sha256:" + p.header);
}
const severities = ["Critical", "Important", "Moderate", "Low"];
function advisoryText(p) {
  const worst = severities.find(s => p.advisories.some(a => a.severity === s));
  return p.advisories.length ? p.advisories.length + (worst ? ", " + worst.toLowerCase() : "") : "";
}
function packages(at, image, k, choose) {
  const s = section(at, "packages-section-" + k, "Packages", "Choose a package to see why it is there, how it is reached, and its advisories.");
  const bar = s.append("p").attr("class", "filter"), said = bar.append("label");
  said.append("span").text("Filter");
  const input = said.append("input").attr("type", "search").attr("placeholder", "name, tier or source").attr("autocomplete", "off");
  const shown = bar.append("span").attr("aria-live", "polite").text(count(image.packages.length, "package"));
  const columns = [
    {title: "Package", key: p => p.name, cell: (td, p) => {
      td.append("button").attr("type", "button").attr("class", "open").text(p.name);
      td.append("span").attr("class", "sub").text(p.evr);
      if (p.advisories.length) td.append("span").attr("class", "sub alert").text(advisoryText(p));
    }},
    {title: "Version", narrow: true, key: p => p.evr},
    {title: "Tier", key: p => tierNames.indexOf(p.tier), cell: (td, p) => badge(td, p.tier)},
    {title: "On path, kB", number: true, narrow: true, key: pathBytes, text: kilo},
    {title: "Installed, kB", number: true, key: allBytes, text: kilo},
    {title: "Left out, kB", number: true, narrow: true, key: leftOutBytes, text: kilo},
    {title: image.proof ? "Signed by" : "Signed by, not verified", narrow: true, key: p => (p.verified ? "0" : "1") + p.signer,
      cell: (td, p) => td.append("span").attr("class", "mono").attr("title", p.signer || null).text((p.signer ? keyID(p.signer) : "nobody") + (p.verified ? " \u2713" : image.proof ? " !" : " ?"))},
  ];
  if (image.advised) columns.push({title: "Advisories", narrow: true, key: p => -p.advisories.length, cell: (td, p) => { if (p.advisories.length) td.append("span").attr("class", "alert").text(advisoryText(p)); }});
  const t = table(s, "packages-" + k, columns, image.packages, {label: "Packages", more: (box, p) => packageDetail(box, image, p, choose)});
  const filter = () => {
    const want = input.property("value").toLowerCase(), fits = p => `${p.nevra} ${p.tier} ${p.source_rpm}`.toLowerCase().includes(want);
    t.only(fits);
    shown.text(`${whole(image.packages.filter(fits).length)} of ${count(image.packages.length, "package")}`);
  };
  input.on("input", filter).on("keydown", e => { if (e.key === "Escape") { e.preventDefault(); input.property("value", ""); filter(); } });
  return t;
}
function layers(at, image, k) {
  if (!image.layers.length) return;
  const s = section(at, "layers-section-" + k, "Layers"), most = Math.max(...image.layers.map(l => l.size)), total = report.images.length;
  const shared = sumOf(image.layers.filter(l => l.images.length > 1), l => l.size), all = sumOf(image.layers, l => l.size);
  s.append("p").attr("class", "about").text(`${count(image.layers.length, "layer")}, ${bytes(all)} compressed` + (several ? `; ${bytes(shared)} of it also in other images of this page` : "") + ".");
  const columns = [
    {title: "Layer", number: true, key: l => image.layers.indexOf(l), text: n => String(n + 1)},
    {title: "Digest", key: l => l.digest, cell: (td, l) => td.append("span").attr("class", "mono").attr("title", l.digest).text(digestID(l.digest))},
    {title: "kB, compressed", number: true, key: l => l.size, text: kilo},
    {title: "Share", narrow: true, key: l => -l.size, cell: (td, l) => td.append("span").attr("class", "meter" + (several && l.images.length > 1 ? " shared" : "")).attr("aria-hidden", "true").style("width", 100 * l.size / most + "%")},
  ];
  if (several) columns.push({title: "Images with it", number: true, key: l => l.images.length, text: n => `${n} of ${total}`}, {title: "Which", narrow: true, key: l => nameList(l.images)});
  table(s, "layers-" + k, columns, image.layers, {label: "Layers"});
}
function article(at, image, k) {
  const a = at.append("article").attr("id", "image-" + k).attr("aria-label", image.name);
  if (several) a.append("h2").text(names[k]);
  const about = a.append("dl").attr("class", "facts lines image-facts");
  const fact = (name, text) => { if (text) { const d = about.append("div").attr("class", "wide"); d.append("dt").text(name); d.append("dd").text(text); } };
  if (several) fact("Image", image.name);
  fact("Platform", image.platform);
  fact("Runs", image.command.join(" ") || "nothing is said of it");
  fact("Digest", image.digest);
  imageTiles(a, image, k);
  image.notes.forEach(n => a.append("p").attr("class", "about").text("Note: " + n));
  proof(a, image, k);
  let list = null;
  const choose = p => list.show(p);
  const path = section(a, "path-" + k, "Execution path", image.command.length && "From what runs to the packages that it takes, each behind the one that names it. Width is bytes, direct and loadable.");
  flow(path, image, choose);
  const size = section(a, "size-" + k, "Installed bytes");
  tierTable(size, image, k);
  treemap(size.append("div").attr("class", "mapbox"), image, choose);
  list = packages(a, image, k, choose);
  layers(a, image, k);
}
(() => {
  const page = d3.select("#page");
  page.selectAll("*").remove();
  const top = page.append("header");
  top.append("p").attr("class", "brand").text("slim report");
  const differ = report.fleet.packages.filter(p => p.count > 1).length;
  top.append("h1").text(!several ? names[0] || "" : `${report.images.length} images, ` + (differ ? `${count(differ, "package")} in more than one build` : "one build of every package"));
  document.title = "slim report: " + (several ? `${report.images.length} images` : names[0]);
  if (several) {
    fleetTiles(top);
    const nav = top.append("nav").attr("aria-label", "Images").append("ul");
    nav.selectAll("li").data(names).join("li").append("a").attr("href", (_, k) => "#image-" + k).text(n => n);
    fleet(page);
  }
  report.images.forEach((image, k) => article(page, image, k));
})();
