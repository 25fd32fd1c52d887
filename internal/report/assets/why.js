// Why a package is in an image: the shortest chains, each read from the package to what nothing requires.
const fewChains = 8;
const edgeText = e => `${e.capability} (${e.kind}${e.scriptlet ? ", for scriptlets only" : ""}${e.more ? ", and " + e.more + " more" : ""})`;

function whyTree(image, p, most) {
  const root = {p, kids: []};
  for (const chain of p.chains.slice(0, most)) {
    let at = root;
    for (const k of [...chain].reverse()) {
      const edge = image.requires[k], from = image.packages[edge.from];
      let next = at.kids.find(c => c.p === from);
      if (!next) at.kids.push(next = {p: from, edge, kids: []});
      at = next;
    }
  }
  return d3.hierarchy(root, d => d.kids);
}
function why(at, image, p, choose) {
  if (p.root) at.append("p").text("Nothing requires it: it was asked for.");
  if (!p.chains.length) return;
  const about = at.append("p"), box = at.append("div").attr("class", "why");
  let most = fewChains;
  const show = () => about.text(`${count(p.chains.length, "package")} ${p.chains.length === 1 ? "requires" : "require"} it. ` +
    (p.chains.length > most ? `The ${most} shortest chains` : "The shortest chain of each") + `; * marks what nothing requires.`);
  show();
  let width = 0;
  const draw = () => {
    box.selectAll("*").remove();
    const h = whyTree(image, p, most);
    if (width / (h.height + 1) < 170) chainList(box, h, choose);
    else chainGraph(box, h, width, choose);
  };
  drawn(box, w => { width = w; draw(); });
  if (p.chains.length > most) {
    at.append("button").attr("type", "button").text(`Show all ${whole(p.chains.length)} chains`).on("click", e => { most = Infinity; e.currentTarget.remove(); show(); draw(); });
  }
}
function chainList(at, h, choose) {
  const item = (ul, n) => {
    const li = ul.append("li");
    li.append("button").attr("type", "button").text(n.data.p.name + (n.data.p.root ? " *" : "")).on("click", () => choose(n.data.p));
    if (n.data.edge) li.append("div").attr("class", "how").text("needs " + edgeText(n.data.edge));
    if (n.children) { const kids = li.append("ul"); n.children.forEach(c => item(kids, c)); }
  };
  item(at.append("ul").attr("class", "outline"), h);
}
function chainGraph(at, h, width, choose) {
  const column = Math.min(300, width / (h.height + 1)), row = 38;
  d3.tree().nodeSize([row, column]).separation(() => 1)(h);
  const all = h.descendants(), top = Math.min(...all.map(n => n.x)), height = Math.max(...all.map(n => n.x)) - top + row;
  const svg = at.append("svg").attr("class", "chains").attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height)
    .attr("role", "group").attr("aria-label", "Who requires it, and who requires them");
  const y = n => n.x - top + row / 2 - 4, x = n => n.y + 1;
  const size = n => Math.min(column - 34, n.data.p.name.length * 7.4 + 22);
  svg.selectAll("path").data(h.links()).join("path").attr("class", l => "edge" + (l.target.data.edge.scriptlet ? " scriptlet" : ""))
    .attr("d", l => { const a = x(l.source) + size(l.source), b = x(l.target), c = Math.max(a + 6, b - 30); return `M${a},${y(l.source)}H${c}C${(c + b) / 2},${y(l.source)} ${(c + b) / 2},${y(l.target)} ${b},${y(l.target)}`; });
  const mark = svg.selectAll("g").data(all).join("g");
  mark.append("rect").attr("class", n => "pill" + (n.depth ? "" : " target")).attr("rx", 3).attr("x", x).attr("y", n => y(n) - 11).attr("width", size).attr("height", 19);
  mark.append("text").attr("class", "name").attr("x", n => x(n) + 7).attr("y", n => y(n) + 3).text(n => cut(n.data.p.name + (n.data.p.root ? " *" : ""), size(n) - 8, 6.9));
  mark.filter(n => n.data.edge).append("text").attr("class", "how").attr("x", n => x(n) + 2).attr("y", n => y(n) + 20).text(n => cut(edgeText(n.data.edge), column - 8, 6.1));
  mark.append("title").text(n => n.data.p.nevra + (n.data.edge ? " needs " + edgeText(n.data.edge) : ""));
  mark.filter(n => n.depth).attr("tabindex", 0).attr("role", "button").attr("aria-label", n => `${n.data.p.name} needs ${edgeText(n.data.edge)}`)
    .on("click", (_, n) => choose(n.data.p))
    .on("keydown", (e, n) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); choose(n.data.p); } });
}
