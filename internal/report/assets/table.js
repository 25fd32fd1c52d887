// A table whose columns sort. A column: {title, key (what it sorts by), number, cell (draws), text}.
// more, where there is one, draws what opens below a row; the answer opens a row from elsewhere.
function table(at, id, columns, rows, {more, label} = {}) {
  const t = at.append("div").attr("class", "scroll").append("table").attr("id", id).attr("aria-label", label || null);
  const sorted = {column: -1, down: false};
  const head = t.append("thead").append("tr").selectAll("th").data(columns).join("th").attr("scope", "col")
    .attr("class", c => (c.number ? "number " : "") + (c.narrow ? "narrow" : ""));
  head.append("button").attr("type", "button").text(c => c.title).on("click", (_, c) => sort(columns.indexOf(c)));
  const body = t.append("tbody");
  const row = body.selectAll("tr").data(rows).join("tr");
  columns.forEach(c => {
    const cell = row.append("td").attr("class", (c.number ? "number " : "") + (c.narrow ? "narrow" : ""));
    if (c.number) cell.attr("data-value", c.key).text(d => c.text(c.key(d)));
    else if (c.cell) cell.each(function (d) { c.cell(d3.select(this), d); });
    else cell.text(c.text || c.key);
  });
  function sort(k) {
    sorted.down = sorted.column === k ? !sorted.down : Boolean(columns[k].number);
    sorted.column = k;
    close();
    const sign = sorted.down ? -1 : 1, key = columns[k].key;
    row.sort((a, b) => { const x = key(a), y = key(b); return x < y ? -sign : x > y ? sign : rows.indexOf(a) - rows.indexOf(b); });
    head.attr("aria-sort", (_, n) => n === k ? (sorted.down ? "descending" : "ascending") : null);
  }
  let shown = null;
  function close() {
    if (!shown) return;
    shown.detail.remove();
    shown.button.attr("aria-expanded", false);
    shown = null;
  }
  function open(d) {
    const again = shown && shown.of === d;
    close();
    if (again) return;
    const tr = row.filter(o => o === d), button = tr.select("button");
    tr.attr("hidden", null);
    const detail = d3.create("tr").attr("class", "detail");
    tr.node().after(detail.node());
    shown = {of: d, detail, button: button.attr("aria-expanded", true)};
    more(detail.append("td").attr("colspan", columns.length).append("div"), d);
    detail.on("keydown", e => { if (e.key === "Escape") { close(); button.node().focus(); } });
  }
  if (more) row.select("button").attr("aria-expanded", false).on("click", (_, d) => open(d))
    .on("keydown", e => { if (e.key === "Escape") close(); });
  return {
    row,
    show(d) {
      if (!shown || shown.of !== d) open(d);
      const b = row.filter(o => o === d).select("button").node();
      b.focus({preventScroll: true});
      b.scrollIntoView({block: "start"});
    },
    only(wanted) { close(); row.attr("hidden", d => wanted(d) ? null : ""); },
  };
}
