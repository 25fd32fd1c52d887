// The way from what runs to the packages on the path, each behind the package that its chain comes from.
function pathTree(image) {
  const nodes = new Map([["start", {id: "start", name: image.command.join(" "), tier: "start", kids: [], own: 0}]]);
  const node = (id, make) => { if (!nodes.has(id)) nodes.set(id, {id, kids: [], own: 0, parent: null, ...make()}); return nodes.get(id); };
  const isAbove = (a, b) => { for (; b; b = b.parent) if (a === b) return true; return false; };
  const at = s => s.package < 0
    ? node("file " + s.path, () => ({name: s.path, tier: "none"}))
    : node("package " + s.package, () => ({p: image.packages[s.package], name: image.packages[s.package].name, tier: image.packages[s.package].tier}));
  for (const p of image.packages) {
    let from = nodes.get("start");
    for (const s of p.chain) {
      const to = at(s);
      if (to !== from && !to.parent && !isAbove(to, from)) { to.parent = from; to.step = s; from.kids.push(to); }
      from = to;
      if (to.p === p) break; // the rest is within the package
    }
  }
  for (const n of nodes.values()) if (n.p) n.own = pathBytes(n.p);
  return nodes.get("start");
}
const stepText = s => ({entrypoint: "the entrypoint names it", program: "named by --program", needed: "needed: " + s.name, interpreter: "the program's loader: " + s.name})[s.how] || s.how + (s.name ? ": " + s.name : "");
const nodeText = n => n.step ? `${n.name}: ${n.p ? n.tier + ", " + bytes(n.own) : "of no package"}; ${stepText(n.step)}${n.parent.id === "start" ? "" : ", by " + n.parent.name}` : "What runs: " + n.name;

function flow(at, image, choose) {
  const start = pathTree(image);
  if (!image.command.length) {
    at.append("p").attr("class", "empty").text("The image has neither entrypoint nor cmd: nothing says where execution begins, so no tier is known. --program names a program.");
    return;
  }
  if (!start.kids.length) { at.append("p").attr("class", "empty").text("Nothing of a package is on the path of " + start.name + "."); return; }
  const box = at.append("div"), readout = at.append("p").attr("class", "readout").attr("aria-live", "polite");
  const h = d3.hierarchy(start, n => n.kids).sum(n => Math.max(1, n.own)).sort((a, b) => b.value - a.value);
  drawn(at, width => {
    box.selectAll("*").remove();
    readout.text("");
    if (width / (h.height + 1) < 106) outline(box, h, choose);
    else sankey(box, image, h, width, readout, choose);
  });
}
// outline is the flow where there is no room for it.
function outline(at, h, choose) {
  const item = (ul, n) => {
    const li = ul.append("li"), line = li.append("div").attr("class", "line");
    const name = n.data.p ? line.append("button").attr("type", "button").on("click", () => choose(n.data.p)) : line.append("span");
    name.append("span").attr("class", "swatch " + n.data.tier).attr("aria-hidden", "true");
    name.append("span").text(n.data.name);
    line.append("span").attr("class", "amount").text(n.data.own ? bytes(n.data.own) : "");
    if (n.data.step && n.depth > 0) li.append("div").attr("class", "how").text(stepText(n.data.step));
    if (n.children) { const kids = li.append("ul"); n.children.forEach(c => item(kids, c)); }
  };
  item(at.append("ul").attr("class", "outline"), h);
}
function sankey(at, image, h, width, readout, choose) {
  const all = h.descendants(), rows = [];
  all.forEach(n => { rows[n.depth] = (rows[n.depth] || 0) + 1; });
  const height = Math.max(110, 60 + 32 * Math.max(...rows)), room = Math.min(280, width / (h.height + 1));
  const g = d3.sankey().nodeId(n => n.id).nodeAlign(d3.sankeyLeft).nodeWidth(14).nodePadding(28).nodeSort((a, b) => all.indexOf(a.h) - all.indexOf(b.h)).iterations(20)
    .extent([[1, 12], [room * h.height + 16, height - 12]])({
      nodes: all.map(n => ({id: n.data.id, n: n.data, h: n})),
      links: h.links().map(l => ({source: l.source.data.id, target: l.target.data.id, value: l.target.value})),
    });
  const svg = at.append("svg").attr("class", "flows").attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height)
    .attr("role", "group").attr("aria-label", "From what runs to packages: arrow keys move, Enter shows the package");
  svg.selectAll("path").data(g.links).join("path").attr("class", l => "flow " + l.target.n.tier).attr("d", d3.sankeyLinkHorizontal()).attr("stroke-width", l => Math.max(1, l.width));
  const mark = svg.selectAll("g").data(g.nodes).join("g").attr("role", "img").attr("aria-label", d => nodeText(d.n));
  mark.append("rect").attr("class", d => "tier " + d.n.tier).attr("x", d => d.x0).attr("y", d => d.y0).attr("width", d => d.x1 - d.x0).attr("height", d => Math.max(2, d.y1 - d.y0));
  const text = mark.append("text").attr("y", d => (d.y0 + d.y1) / 2 + (d.n.own ? -1 : 4));
  text.append("tspan").attr("x", d => d.x1 + 5).text(d => cut(d.n.id === "start" ? image.command[0] : d.n.name, room - 24, 6.2));
  text.filter(d => d.n.own).append("tspan").attr("class", "amount").attr("x", d => d.x1 + 5).attr("dy", 13).text(d => bytes(d.n.own));
  const ring = svg.append("rect").attr("class", "ring");
  const find = n => n && g.nodes.find(d => d.n === n);
  roving(mark, (d, way) => way === "Left" ? find(d.n.parent) : way === "Right" ? find(d.h.children?.[0].data)
    : nearest(g.nodes.filter(o => o.h.depth === d.h.depth), d, way, o => [o.x0, (o.y0 + o.y1) / 2]), {
    enter: d => { if (d.n.p) choose(d.n.p); },
    leave: () => {},
    show: d => {
      readout.text(nodeText(d.n));
      ring.attr("x", d.x0 - 2).attr("y", d.y0 - 3).attr("width", d.x1 - d.x0 + 4).attr("height", Math.max(2, d.y1 - d.y0) + 6);
    },
  });
}
