// Installed bytes as areas: source packages, their packages, and in one of them its directories; what was left out of a
// package beside it. choose opens a package elsewhere.
function treemap(at, image, choose) {
  const crumbs = at.append("p").attr("class", "crumbs");
  const svg = at.append("svg").attr("class", "map").attr("role", "group").attr("aria-label", "Installed bytes by package: arrow keys move, Enter goes in, Escape out");
  const readout = at.append("p").attr("class", "readout").attr("aria-live", "polite");
  const nobody = {name: "no package", source_rpm: "", left_out: []};
  const owner = a => a.package < 0 ? nobody : image.packages[a.package];
  let width = 0, zoom = null;

  function tree() {
    const groups = new Map();
    const add = (p, where, tier, size, files) => {
      if (size <= 0) return;
      const group = p === nobody ? p.name : sourceName(p), key = zoom === null ? group : p.nevra || p.name;
      if (zoom !== null && group !== zoom) return;
      if (!groups.has(key)) groups.set(key, {name: zoom === null ? group : p.name, group, leaves: new Map()});
      const g = groups.get(key).leaves, id = [p.nevra, where, tier].join("\0");
      if (!g.has(id)) g.set(id, {p, group, where, tier, size: 0, files: 0});
      g.get(id).size += size;
      g.get(id).files += files;
    };
    for (const a of image.areas) add(owner(a), zoom === null ? a.directory.split("/").slice(0, 3).join("/") || "/" : a.directory, a.tier, a.bytes, a.files);
    for (const p of image.packages) for (const l of p.left_out) add(p, l.rule, "ghost", l.bytes, l.files);
    return d3.hierarchy({groups}, d => d.groups ? [...d.groups.values()] : d.leaves ? [...d.leaves.values()] : null)
      .sum(d => d.size || 0).sort((a, b) => b.value - a.value || (a.data.name < b.data.name ? -1 : 1));
  }
  const headed = n => n.depth === 1 && n.x1 - n.x0 > 46 && n.y1 - n.y0 > 34;
  const describe = l => (l.data.p.nevra || l.data.p.name) + ": " + bytes(l.data.size) + " in " + count(l.data.files, "file") +
    (l.data.tier === "ghost" ? " left out (" + l.data.where + ")" : ", " + l.data.tier + ", " + l.data.where);
  const label = l => l.data.tier === "ghost" ? l.data.where : zoom === null ? (l.data.p.name === l.data.group ? l.data.where : l.data.p.name) : l.data.where;
  const total = () => zoom === null ? bytes(sumOf(Object.values(image.tiers), t => t.bytes)) + " in " + count(image.packages.length, "package") +
    (image.left_out.length ? ", and " + bytes(leftOutBytes(image)) + " left out (dashed)" : "") + ". Choose one to go in." : zoom + ". Choose a part to see the package.";

  function go(to, focus) {
    zoom = to;
    draw();
    if (focus) svg.select("[tabindex='0']").node()?.focus();
    readout.text(total());
  }
  function draw() {
    const height = Math.round(Math.max(360, Math.min(560, width * 0.5)));
    svg.attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height).selectAll("*").remove();
    crumbs.selectAll("*").remove();
    crumbs.append("button").attr("type", "button").attr("disabled", zoom === null ? "" : null).text("All packages").on("click", () => go(null, true));
    if (zoom !== null) crumbs.append("span").text(" \u203a " + zoom);
    const root = d3.treemap().size([width, height]).round(true).paddingInner(1).paddingOuter(n => n.depth === 1 ? 2 : 0)
      .paddingTop(n => n.depth === 0 ? 0 : headed(n) ? 17 : 2)(tree());
    const groups = svg.selectAll(null).data(root.children || []).join("g");
    groups.append("rect").attr("class", "group").attr("x", n => n.x0).attr("y", n => n.y0).attr("width", n => n.x1 - n.x0).attr("height", n => n.y1 - n.y0);
    groups.filter(headed).append("text").attr("class", "head").attr("x", n => n.x0 + 4).attr("y", n => n.y0 + 12.5).text(n => cut(n.data.name, n.x1 - n.x0 - 8));
    const leaves = root.leaves().filter(l => l.depth === 2 && l.x1 - l.x0 >= 2 && l.y1 - l.y0 >= 2);
    const leaf = svg.selectAll(null).data(leaves).join("g").attr("role", "img").attr("aria-label", describe);
    leaf.append("rect").attr("class", l => "tier " + l.data.tier).attr("x", l => l.x0 + (l.data.tier === "ghost" ? 0.5 : 0)).attr("y", l => l.y0 + (l.data.tier === "ghost" ? 0.5 : 0))
      .attr("width", l => l.x1 - l.x0 - (l.data.tier === "ghost" ? 1 : 0)).attr("height", l => l.y1 - l.y0 - (l.data.tier === "ghost" ? 1 : 0));
    leaf.filter(l => l.x1 - l.x0 > 40 && l.y1 - l.y0 > 15).each(function (l) {
      const text = cut(label(l), l.x1 - l.x0 - 8);
      if (text) d3.select(this).append("text").attr("class", "on-" + l.data.tier).attr("x", l.x0 + 4).attr("y", l.y0 + 12.5).text(text);
    });
    const ring = svg.append("rect").attr("class", "ring");
    const middle = l => [(l.x0 + l.x1) / 2, (l.y0 + l.y1) / 2];
    roving(leaf, (l, way) => nearest(leaves, l, way, middle), {
      enter: l => zoom === null ? go(l.data.group, true) : l.data.p !== nobody && choose(l.data.p),
      leave: () => { if (zoom !== null) go(null, true); },
      show: l => {
        readout.text(describe(l));
        ring.attr("x", l.x0 + 1).attr("y", l.y0 + 1).attr("width", Math.max(1, l.x1 - l.x0 - 2)).attr("height", Math.max(1, l.y1 - l.y0 - 2));
      },
    });
  }
  readout.text(total());
  drawn(at, w => { width = w; draw(); });
}
