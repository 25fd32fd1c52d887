"use strict";
// Draws the report. Text of images only ever becomes text nodes and attributes.
(() => {
const doc = JSON.parse(document.getElementById("report").textContent);
const page = d3.select("#page"), tiers = ["direct", "loadable", "data", "idle"];
const bytes = n => n < 1000 ? n + " B" : n < 1e6 ? (n / 1e3).toFixed(1) + " kB" : (n / 1e6).toFixed(1) + " MB";
function table(at, head, rows, id) {
  const t = at.append("div").attr("class", "scroll").append("table").attr("id", id || null);
  t.append("thead").append("tr").selectAll("th").data(head).join("th").attr("scope", "col")
    .attr("class", (_, k) => rows.length && typeof rows[0][k] === "number" ? "number" : null).text(h => h);
  t.append("tbody").selectAll("tr").data(rows).join("tr").selectAll("td").data(r => r).join("td")
    .attr("class", v => typeof v === "number" ? "number" : null).text(v => v);
}
function section(at, title) { const s = at.append("section"); s.append("h3").text(title); return s; }
function treemap(at, image) {
  const root = {name: "", kids: new Map()};
  const add = (names, size, tier) => {
    let n = root;
    for (const name of names) { if (!n.kids.has(name)) n.kids.set(name, {name, kids: new Map()}); n = n.kids.get(name); }
    const key = "\0" + tier, leaf = n.kids.get(key) || {name: names.join(" / "), tier, size: 0, kids: new Map()};
    leaf.size += size; n.kids.set(key, leaf);
  };
  for (const f of image.files) {
    const p = f.package < 0 ? null : image.packages[f.package];
    if (f.size > 0) add([p ? p.source_rpm : "no package", p ? p.nevra : "no package", f.path.split("/").slice(0, 3).join("/")], f.size, f.tier);
  }
  for (const g of image.left_out) if (g.bytes > 0) add(["left out: " + g.rule, "files"], g.bytes, "ghost");
  const h = d3.hierarchy(root, d => [...d.kids.values()]).sum(d => d.size || 0).sort((a, b) => b.value - a.value);
  d3.treemap().size([1000, 480])(h);
  const cell = at.append("svg").attr("class", "map").attr("viewBox", "0 0 1000 480").attr("role", "img").attr("aria-label", "Installed bytes by source package, package and directory")
    .selectAll("g").data(h.leaves().filter(l => l.value > 0)).join("g");
  cell.append("rect").attr("class", l => l.data.tier).attr("x", l => l.x0).attr("y", l => l.y0).attr("width", l => l.x1 - l.x0).attr("height", l => l.y1 - l.y0)
    .attr("tabindex", 0).append("title").text(l => l.data.name + ": " + bytes(l.value) + ", " + (l.data.tier === "ghost" ? "left out" : l.data.tier));
  cell.filter(l => l.x1 - l.x0 > 90 && l.y1 - l.y0 > 16).append("text").attr("class", l => l.data.tier).attr("x", l => l.x0 + 3).attr("y", l => l.y0 + 12)
    .text(l => l.data.name.split(" / ").slice(-2)[0].slice(0, Math.floor((l.x1 - l.x0) / 7)));
}
function flow(at, image) {
  const nodes = new Map(), links = new Map();
  const node = (id, name, kind) => { if (!nodes.has(id)) nodes.set(id, {id, name, kind}); };
  node("start", image.command.join(" ") || "start", "step");
  for (const p of image.packages) {
    if (p.tier !== "direct" && p.tier !== "loadable") continue;
    const value = Math.max(1, p.bytes.direct + p.bytes.loadable), tier = "tier " + p.tier, id = "package " + p.nevra;
    node(tier, p.tier, p.tier); node(id, p.name + " " + bytes(p.bytes.direct + p.bytes.loadable), p.tier);
    links.set(tier, {source: "start", target: tier, value: value + (links.has(tier) ? links.get(tier).value : 0)});
    links.set(id, {source: tier, target: id, value});
  }
  if (links.size === 0) { at.append("p").text("Nothing of a package is on the path."); return; }
  const height = Math.max(160, nodes.size * 20);
  const g = d3.sankey().nodeId(n => n.id).nodePadding(10).extent([[5, 5], [760, height - 5]])({nodes: [...nodes.values()], links: [...links.values()]});
  const svg = at.append("svg").attr("viewBox", "0 0 1000 " + height).attr("role", "img").attr("aria-label", "From the entrypoint to packages");
  svg.selectAll("path").data(g.links).join("path").attr("class", "flow").attr("d", d3.sankeyLinkHorizontal()).attr("stroke-width", l => Math.max(1, l.width));
  svg.selectAll("rect").data(g.nodes).join("rect").attr("class", n => n.kind).attr("x", n => n.x0).attr("y", n => n.y0).attr("width", n => n.x1 - n.x0).attr("height", n => Math.max(1, n.y1 - n.y0));
  svg.selectAll("text").data(g.nodes).join("text").attr("x", n => n.x1 + 4).attr("y", n => (n.y0 + n.y1) / 2 + 4).text(n => n.name);
}
doc.images.forEach((image, k) => {
  const at = page.append("article").attr("id", "image-" + k);
  at.append("h2").text(image.name + (image.platform ? " for " + image.platform : ""));
  at.append("p").text(image.digest);
  const size = section(at, "Installed bytes");
  table(size, ["Tier", "Files", "Bytes"], tiers.map(t => [t, image.tiers[t].files, image.tiers[t].bytes]), "tiers-" + k);
  size.append("p").selectAll("span").data(tiers.concat("ghost")).join("span").attr("class", t => "key " + t)
    .text(t => t === "ghost" ? "left out" : t);
  treemap(size, image);
  flow(section(at, "Execution path"), image);
  table(section(at, "Packages"), ["Package", "EVR", "Tier", "Signer", "Bytes"],
    image.packages.map(p => [p.name, p.evr, p.tier, p.signer || "not verified", tiers.reduce((n, t) => n + p.bytes[t], 0)]), "packages-" + k);
  const proof = section(at, "Proof"), v = image.proof;
  proof.append("p").text(!v ? "Nothing was verified: no key was given." : (v.passed ? "Verified: " : "Does not verify: ") + v.signed + " of " + v.packages + " packages signed; " +
    v.matching + " of " + v.files + " files match; " + v.generated + " generated; " + v.foreign + " foreign");
  if (v && v.findings.length) proof.append("ul").selectAll("li").data(v.findings).join("li").text(f => f);
  table(section(at, "Layers"), ["Digest", "Compressed bytes", "Images with it"], image.layers.map(l => [l.digest, l.size, l.images]), "layers-" + k);
});
if (doc.images.length > 1) {
  const rows = doc.fleet.map(p => [p.name, p.count].concat(doc.images.map((_, m) => p.builds.flatMap((b, n) => b.images.includes(m) ? [(n + 1) + ": " + b.evr] : []).join(", "))));
  table(section(page, "Fleet: packages and their builds"), ["Package", "Builds"].concat(doc.images.map(i => i.name)), rows, "fleet");
}
})();
