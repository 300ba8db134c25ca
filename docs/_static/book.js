// What the site does without a kernel. No library, and nothing is fetched.

// The clip of the first page: eight panels side by side in one video, a window on one of them.
function denoise(figure) {
  const slider = figure.querySelector("input"), steps = slider.dataset.steps.split(" ");
  const show = () => {
    figure.style.setProperty("--panel", slider.value);
    figure.querySelector("output").value = steps[slider.value];
    slider.setAttribute("aria-valuetext", `after step ${steps[slider.value]} of 20`);
  };
  slider.addEventListener("input", show);
  show();
}

// The mesh explorer: which part of a (tokens, features) tensor each chip holds. SYSTEMS and REPOSITORY come from conf.py.
const TENSOR = { tokens: 256, features: 512 };
const PLACEMENTS = {
  "replicated": {},
  "features over tp": { features: "tp" },
  "tokens over tp": { tokens: "tp" },
  "tokens over sp": { tokens: "sp" },
  "tokens over sp, features over tp": { tokens: "sp", features: "tp" },
};

function part(system, placement, chip, dimension) { // [start, end) of what a chip holds in one dimension
  const axis = placement[dimension], whole = TENSOR[dimension];
  if (!axis) return [0, whole];
  const index = system.axes[axis], size = whole / system.mesh[index];
  return [chip[index] * size, (chip[index] + 1) * size];
}

function element(name, attributes, parent, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return parent.appendChild(made);
}

function explorer(root) {
  const select = (label, options, chosen) => {
    const list = document.createElement("select"), name = document.createElement("label");
    for (const [value, text] of options) list.add(new Option(text, value, false, value === chosen));
    name.append(label, " ", list);
    controls.append(name);
    list.addEventListener("change", draw);
    return list;
  };
  const controls = document.createElement("p"), picture = document.createElement("div"), said = document.createElement("p");
  said.setAttribute("aria-live", "polite");
  root.replaceChildren(controls, picture, said);
  const machine = select("system", SYSTEMS.map((s) => [s.name, `${s.name}: ${s.title}`]), "galaxy");
  const how = select("placement", Object.keys(PLACEMENTS).map((p) => [p, p]), "tokens over sp, features over tp");
  let chosen = [2, 5];

  function draw() {
    const system = SYSTEMS.find((s) => s.name === machine.value), placement = PLACEMENTS[how.value];
    const [rows, columns] = system.mesh;
    chosen = [Math.min(chosen[0], rows - 1), Math.min(chosen[1], columns - 1)];
    const of = (chip) => ({ y: part(system, placement, chip, "tokens"), x: part(system, placement, chip, "features") });
    const mine = of(chosen), same = (p) => p.y[0] === mine.y[0] && p.x[0] === mine.x[0];
    picture.replaceChildren();
    const wide = 12 * columns + 6, high = 12 * rows + 6;
    const svg = element("svg", { viewBox: `-6 -6 ${wide} ${high}`, style: `max-width:${Math.min(44, 8 * columns + 8)}rem` }, picture);
    const axis = (index) => Object.keys(system.axes).find((name) => system.axes[name] === index);
    element("text", { x: 6 * columns - 1, y: -2.5, class: "axis" }, svg, `axis 1: ${axis(1)} →`);
    element("text", { x: 0, y: 0, class: "axis", transform: `translate(-2.5 ${6 * rows - 1}) rotate(-90)` }, svg, `axis 0: ${axis(0)} ←`);
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
      const chip = [row, column], holds = of(chip);
      const group = element("g", { transform: `translate(${12 * column} ${12 * row})`, tabindex: 0, role: "button",
        "aria-label": `chip (${row}, ${column})`, class: same(holds) ? "same" : "other" }, svg);
      if (row === chosen[0] && column === chosen[1]) group.classList.add("chosen");
      element("rect", { width: 10, height: 10, rx: 1, class: "chip" }, group);
      element("rect", { x: 1 + 8 * holds.x[0] / TENSOR.features, y: 1 + 8 * holds.y[0] / TENSOR.tokens,
        width: 8 * (holds.x[1] - holds.x[0]) / TENSOR.features, height: 8 * (holds.y[1] - holds.y[0]) / TENSOR.tokens, class: "held" }, group);
      const choose = () => { chosen = chip; draw(); };
      group.addEventListener("click", choose);
      group.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); root.querySelector(".chosen").focus(); }
      });
    }
    const copies = [...Array(rows * columns).keys()].filter((n) => same(of([Math.floor(n / columns), n % columns]))).length;
    said.textContent = `Chip (${chosen.join(", ")}) holds tokens [${mine.y.join(", ")}) and features [${mine.x.join(", ")}): ` +
      `${2 * (mine.y[1] - mine.y[0]) * (mine.x[1] - mine.x[0]) / 1024} KiB in bfloat16. ` +
      (copies === 1 ? "No other chip has this part." : `${copies} chips hold this same part.`);
  }
  draw();
}

// A link to report a cell or a section, where the site knows the project's page.
function reports(base) {
  const link = (where, parent) => {
    const made = document.createElement("a");
    const page = location.pathname.split("/").slice(-2).join("/");
    const body = `Page: ${page}\nWhere: ${where}\n\nWhat is wrong, or what did you expect?\n`;
    made.href = `${base}/issues/new?title=${encodeURIComponent(`${page}, ${where}`)}&body=${encodeURIComponent(body)}`;
    made.textContent = "report";
    made.className = "report";
    made.setAttribute("aria-label", `Report ${where}`);
    parent.append(made);
  };
  document.querySelectorAll("article h2, article h3").forEach((heading) => link(heading.firstChild.textContent, heading));
  document.querySelectorAll("article div.cell").forEach((cell, n) => link(`cell [${n + 1}]`, cell));
}

document.querySelectorAll("figure.denoise").forEach(denoise);
document.querySelectorAll("#explorer").forEach(explorer);
if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
  document.querySelectorAll("video").forEach((video) => { video.autoplay = false; video.pause(); video.controls = true; });
}
if (REPOSITORY) reports(REPOSITORY);
