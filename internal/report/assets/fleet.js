// Which build of each package the images have. A letter stands for a build of a package, the newest is A.
const letter = n => n < 26 ? String.fromCharCode(65 + n) : String(n + 1);

function fleetTiles(at) {
  const f = report.fleet, one = f.packages.filter(p => p.count === 1).length, proven = report.images.filter(i => i.proof);
  const more = f.packages.filter(p => p.count > 1), passed = proven.filter(i => i.proof.passed).length;
  const shared = f.sharing.layer_bytes - f.sharing.different_layer_bytes;
  tiles(at, [
    {value: whole(one), of: whole(f.packages.length), what: "packages run as one build", mark: more.length === 0 ? "good" : "bad",
      more: more.length ? "More than one: " + more.slice(0, 4).map(p => `${p.name} (${p.count})`).join(", ") + (more.length > 4 ? ", \u2026" : "") : "No package has a second build"},
    {value: whole(f.permutations.length), what: f.permutations.length === 1 ? "permutation of the core" : "permutations of the core", mark: f.permutations.length < 2 ? "good" : "bad", more: f.core.join(", ")},
    proven.length ? {value: whole(passed), of: whole(report.images.length), what: "images verify", mark: passed === report.images.length ? "good" : "bad",
      more: passed < proven.length ? "Findings are listed with each image" : proven.length < report.images.length ? `${report.images.length - proven.length} not verified: no key for it`
        : "Every file is as its signed package has it"}
      : {value: "\u2013", what: "nothing was verified", more: "No key was given"},
    {value: f.sharing.layer_bytes ? Math.round(100 * shared / f.sharing.layer_bytes) + " %" : "\u2013", what: "of the layers\u2019 bytes are shared",
      more: `${bytes(f.sharing.different_layer_bytes)} to keep for ${bytes(f.sharing.layer_bytes)}, compressed`},
  ], "fleet-tiles");
}
function fleet(at) {
  const f = report.fleet, differ = f.packages.filter(p => p.count > 1), same = f.packages.filter(p => p.count === 1);
  const s = section(at, "fleet-section", "Builds across the images", "Each column is an image, each row a package. A build is the signed header of a package: its digest, not its version, tells builds apart.");
  const legend = s.append("p").attr("class", "legend");
  const most = f.packages.reduce((n, p) => Math.max(n, p.count), 1);
  for (let n = 0; n < Math.min(most, 4) && most > 1; n++) {
    const l = legend.append("span");
    l.append("span").attr("class", "cell build-" + Math.min(n, 3)).text(letter(n) + (n === 3 ? "\u2026" : ""));
    l.append("span").text(n === 0 ? "the newest build" : n === 1 ? "the next" : "a further one");
  }
  const only = legend.append("span");
  only.append("span").attr("class", "cell only").text("\u2713");
  only.append("span").text("the only build");
  const none = legend.append("span");
  none.append("span").attr("class", "cell none");
  none.append("span").text("not installed");

  const t = s.append("div").attr("class", "scroll").attr("tabindex", 0).attr("role", "region").attr("aria-label", "Builds by image").append("table").attr("id", "fleet").attr("class", "matrix");
  const head = t.append("thead").append("tr");
  head.append("th").attr("scope", "col").text("Package");
  head.append("th").attr("scope", "col").attr("class", "number narrow").text("Builds");
  head.selectAll(null).data(names).join("th").attr("scope", "col").attr("class", "image").append("span").text(n => n);
  head.append("th").attr("scope", "col").attr("class", "narrow rest").text("Which they are");
  const body = (title, packages) => {
    if (!packages.length) return;
    const b = t.append("tbody");
    b.append("tr").append("th").attr("scope", "rowgroup").attr("class", "heading").attr("colspan", names.length + 3).text(title);
    packages.forEach(p => row(b, p));
  };
  body(`${count(differ.length, "package")} in more than one build`, differ);
  body(`${count(same.length, "package")} in one build`, same);
}
function row(at, p) {
  const tr = at.append("tr");
  tr.append("th").attr("scope", "row").text(p.name);
  tr.append("td").attr("class", "number narrow").attr("data-value", p.count).text(p.count);
  report.images.forEach((_, m) => {
    const has = p.builds.filter(b => b.images.includes(m)), numbers = [...new Set(has.map(b => b.number))];
    const td = tr.append("td").attr("class", "image");
    const cell = td.append("span").attr("class", "cell " + (!has.length ? "none" : p.count === 1 ? "only" : "build-" + Math.min(numbers[0], 3)));
    cell.text(!has.length ? "" : p.count === 1 ? "\u2713" : numbers.map(letter).join("")).attr("title", has.map(b => `${b.nevra}\n${b.header}`).join("\n") || null);
    cell.attr("data-header", has.map(b => b.header).join(" ") || null);
    if (!has.length) td.append("span").attr("class", "unseen").text("not installed");
  });
  const evrs = p.builds.map(b => b.evr), texts = [];
  p.builds.forEach((b, k) => {
    const twin = evrs.indexOf(b.evr) !== k || evrs.lastIndexOf(b.evr) !== k;
    const text = (p.count > 1 ? letter(b.number) + " " : "") + b.evr + (twin && p.count > 1 ? " " + digestID(b.header) : "");
    if (!texts.includes(text)) texts.push(text);
  });
  tr.append("td").attr("class", "narrow rest").text(texts.join(", "));
}
