"use strict";
// What all parts of the page use. Text of images only ever becomes text nodes and values of attributes.
const report = JSON.parse(document.getElementById("report").textContent);
const several = report.images.length > 1;

const tierNames = ["direct", "loadable", "data", "idle", "unknown"];
const tierTexts = {
  direct: "runs for certain", loadable: "what that may load", data: "configuration and other files", idle: "not on the static path",
  unknown: "the image does not say what it runs", ghost: "kept out, as the image's own rpmdb says",
};
const tiersOf = image => tierNames.filter(t => t in image.tiers);
const sumOf = (list, of) => list.reduce((n, x) => n + of(x), 0);
const allBytes = p => sumOf(Object.values(p.bytes), n => n);
const pathBytes = p => (p.bytes.direct || 0) + (p.bytes.loadable || 0);
const leftOutBytes = p => sumOf(p.left_out, l => l.bytes);

const grouped = new Intl.NumberFormat("en");
const tenths = new Intl.NumberFormat("en", {minimumFractionDigits: 1, maximumFractionDigits: 1});
const whole = n => grouped.format(n);
const kilo = n => tenths.format(n / 1e3);
const bytes = n => n < 1e3 ? n + " B" : n < 1e6 ? (n / 1e3).toFixed(n < 1e4 ? 1 : 0) + " kB" : (n / 1e6).toFixed(n < 1e8 ? 1 : 0) + " MB";
const count = (n, noun) => whole(n) + " " + noun + (n === 1 ? "" : "s");
const cut = (text, width, each = 6.7) => {
  const most = Math.floor(width / each);
  return text.length <= most ? text : most < 4 ? "" : text.slice(0, most - 1) + "\u2026";
};
const keyID = fingerprint => fingerprint.slice(-16);
const digestID = digest => digest.replace(/^sha256:/, "").slice(0, 12);
const sourceName = p => p.source_rpm.replace(/-[^-]*-[^-]*\.(no)?src\.rpm$/, "") || p.name;

// shortNames are the names of images without what all of them begin with.
function shortNames() {
  const names = report.images.map(i => i.name);
  let common = several ? names[0] : "";
  for (const n of names) while (!n.startsWith(common)) common = common.slice(0, -1);
  common = common.replace(/[^:/]*$/, "");
  const platforms = new Set(report.images.map(i => i.platform));
  return report.images.map(i => (i.name.slice(common.length) || i.name) + (platforms.size > 1 ? " " + i.platform : ""));
}
const names = shortNames();
const nameList = images => images.length === report.images.length ? "all images" : images.map(k => names[k]).join(", ");

function section(at, id, title, about) {
  const s = at.append("section").attr("id", id);
  s.append(several ? "h3" : "h2").text(title);
  if (about) s.append("p").attr("class", "about").text(about);
  return s;
}
function badge(at, tier) {
  const b = at.append("span").attr("class", "badge");
  b.append("span").attr("class", "swatch " + tier).attr("aria-hidden", "true");
  b.append("span").text(tier === "ghost" ? "left out" : tier);
  return b;
}

// drawn calls draw with the width that at has now, has later, and has on paper.
const drawings = new Set(), paperWidth = 860;
function drawn(at, draw) {
  let last = 0;
  const run = width => { if (width > 0 && width !== last) { last = width; draw(width); } };
  const d = {node: at.node(), paper: () => run(paperWidth), screen: () => run(at.node().clientWidth)};
  drawings.add(d);
  new ResizeObserver(d.screen).observe(d.node);
  d.screen();
}
const redraw = how => drawings.forEach(d => d.node.isConnected ? d[how]() : drawings.delete(d));
addEventListener("beforeprint", () => redraw("paper"));
addEventListener("afterprint", () => redraw("screen"));

// roving makes marks of a chart one stop of Tab, between which arrow keys move. next names the mark to go to.
function roving(marks, next, {enter, leave, show}) {
  const nodes = marks.nodes();
  marks.attr("tabindex", (_, k) => k === 0 ? 0 : -1)
    .on("focus", (e, d) => { nodes.forEach(n => n.setAttribute("tabindex", n === e.currentTarget ? 0 : -1)); show(d); })
    .on("mouseenter", (_, d) => show(d))
    .on("click", (_, d) => enter(d))
    .on("keydown", (e, d) => {
      if (e.key === "Enter" || e.key === " ") enter(d);
      else if (e.key === "Escape") leave(d);
      else {
        const to = /^Arrow/.test(e.key) ? next(d, e.key.slice(5)) : null;
        const node = to && nodes[marks.data().indexOf(to)];
        if (!node) { if (!/^Arrow/.test(e.key)) return; } else node.focus();
      }
      e.preventDefault();
    });
}
// nearest is the mark next to d in a direction, by their middles.
function nearest(list, d, direction, middle) {
  const [x, y] = middle(d), across = direction === "Left" || direction === "Right", sign = direction === "Right" || direction === "Down" ? 1 : -1;
  let best = null, least = Infinity;
  for (const o of list) {
    const [a, b] = middle(o), ahead = sign * (across ? a - x : b - y), beside = Math.abs(across ? b - y : a - x);
    if (o !== d && ahead > 0.5 && ahead + 2 * beside < least) { least = ahead + 2 * beside; best = o; }
  }
  return best;
}
