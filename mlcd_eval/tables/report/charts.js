// Draws the charts of the page by Observable Plot from the JSON in their figures, each when it comes into view.
{
const COLOURS = 8;
// for readers who see no colours: 8 colours, 7 marks and 5 dashes share no factor
const SYMBOLS = ["circle", "diamond", "square", "triangle", "cross", "star", "wye"];
const DASHES = [null, "6 3", "2 3", "9 3 2 3", "12 4"];
const ROW = 8, ROWS = [22, 64];  // pixels of a name's line: for each series, and at least and at most
const LABELS = 10;  // at most, beside the marks of a series
const charts = new Map();

function text(value, { unit }) {
  if (typeof value === "string") return value;
  if (unit === "fraction") return (100 * value).toFixed(2);
  if (unit === "difference") return (value > 0 ? "+" : "") + (100 * value).toFixed(2);
  return Number(value.toPrecision(6)).toLocaleString("en");
}

function tick(axis) {
  if (axis.scale === "names") return String;
  if (axis.unit === "fraction" || axis.unit === "difference") return value => String(+(100 * value).toFixed(6));
  if (axis.unit === "count") return value => Number.isInteger(value) ? value.toLocaleString("en") : "";
  return axis.scale === "log" || axis.ticks ? value => value.toLocaleString("en") : undefined;
}

function words(chart, series, point) {
  const [place, value] = chart.across ? [chart.y, chart.x] : [chart.x, chart.y];
  const [at, number] = chart.across ? [point.y, point.x] : [point.x, point.y];
  const ends = point.low == null ? "" : ` [${text(point.low, value)}, ${text(point.high, value)}]`;
  const lines = [`${place.label}: ${text(at, place)}`, `${value.heading}: ${text(number, value)}${ends}`, point.note];
  return [chart.series.length > 1 ? series.name : null, ...lines].filter(Boolean).join("\n");
}

// the points of a series, from columns
function points(series) {
  return series.x.map((x, row) => ({
    x, y: series.y[row], low: series.low?.[row], high: series.high?.[row], note: series.note?.[row], share: series.share?.[row],
  }));
}

// A series in its style; faint: another one is chosen; shift: pixels aside, so that marks at one place are all seen.
function marks(chart, series, place, { faint = false, shift = 0 } = {}) {
  const rows = points(series), colour = `var(--${series.tone ?? `s${place % COLOURS}`})`, { across } = chart;
  const shared = { x: "x", y: "y", [across ? "dy" : "dx"]: shift, opacity: faint ? .12 : 1 };
  const found = [];
  if (series.low && !series.dots) {
    found.push(Plot.areaY(rows, { ...shared, y: undefined, y1: "low", y2: "high", fill: colour, fillOpacity: .2 }));
  }
  if (series.line) {
    const dashes = DASHES[place % DASHES.length];
    found.push(Plot.line(rows, { ...shared, stroke: colour, strokeWidth: 2, strokeDasharray: dashes, strokeLinecap: "round" }));
  }
  if (series.low && series.dots) {
    const known = { ...shared, stroke: colour, strokeWidth: 1.5, filter: point => point.low != null };
    found.push(across ? Plot.ruleY(rows, { ...known, x: undefined, x1: "low", x2: "high" })
      : Plot.ruleX(rows, { ...known, y: undefined, y1: "low", y2: "high" }));
  }
  if (series.dots) {
    const symbol = SYMBOLS[place % SYMBOLS.length], small = series.tone === "muted";
    const size = series.share ? point => Math.max(1.5, 9 * Math.sqrt(point.share)) : small ? 2.5 : 4;
    const ring = series.share ? { stroke: colour, strokeWidth: 1.5, fillOpacity: .4 } : {};
    found.push(Plot.dot(rows, { ...shared, r: size, symbol, fill: colour, ...ring }));
  }
  if (series.labelled && rows.length <= LABELS && !faint) {
    const halo = { fill: "currentColor", stroke: "var(--paper)", strokeWidth: 4 };
    const label = { ...shared, ...halo, text: "note", dy: -9, lineWidth: 10, textOverflow: "ellipsis" };
    const middle = centre(chart), right = point => point.x > middle;  // labels run towards it
    found.push(Plot.text(rows, { ...label, textAnchor: "start", dx: -4, filter: point => !right(point) }));
    found.push(Plot.text(rows, { ...label, textAnchor: "end", dx: 4, filter: right }));
  }
  return found;
}

function centre(chart) {
  const known = chart.series.flatMap(series => series.x), [low, high] = [Math.min(...known), Math.max(...known)];
  return chart.x.scale === "log" ? Math.sqrt(low * high) : (low + high) / 2;
}

// whether points of several series are at one place
function crowded(chart) {
  const places = chart.series.flatMap(series => series[chart.across ? "y" : "x"]);
  return chart.series.length > 1 && new Set(places).size < places.length;
}

function names(chart, side) {
  return chart[side].ticks ?? [...new Set(chart.series.flatMap(series => series[side]))];
}

function row(chart) {
  return Math.min(ROWS[1], Math.max(ROWS[0], ROW * chart.series.length));
}

function height(chart) {
  return chart.across ? row(chart) * names(chart, "y").length + 50 : 290;
}

function scale(axis, chart, side) {
  const shared = { label: axis.heading };
  if (axis.scale === "names") return { ...shared, type: "point", domain: names(chart, side), label: side === "y" ? null : axis.heading };
  return { ...shared, type: axis.scale, domain: axis.span, inset: 8 };
}

function svg(chart, width, chosen) {
  const { x, y, series, across } = chart;
  const longest = across ? Math.max(...names(chart, "y").map(name => name.length)) : 0;
  const marginLeft = across ? Math.min(.42 * width, 7 * longest + 14) : 46;
  const shifted = crowded(chart), between = Math.min(across ? .75 * row(chart) / series.length : 3, 7);
  const turned = x.scale === "names" && 8 * names(chart, "x").join("  ").length > width - marginLeft;
  const drawn = series.flatMap((each, place) => marks(chart, each, place, {
    faint: chosen !== undefined && chosen !== place,
    shift: shifted && (across || each.low && each.dots) ? between * (place - (series.length - 1) / 2) : 0,
  }));
  const all = series.flatMap(each => points(each).filter(point => point.x != null && point.y != null)
    .map(point => ({ ...point, words: words(chart, each, point) })));
  const grid = { strokeOpacity: 1, stroke: "var(--rule)" };
  const numbers = axis => ({ tickFormat: tick(axis), ticks: axis.ticks, tickSize: 0, labelArrow: "none" });
  const node = Plot.plot({
    className: "plot", width, height: height(chart),
    marginLeft, marginRight: 16, marginTop: across ? 6 : 28, marginBottom: turned ? 64 : 40,
    x: scale(x, chart, "x"), y: scale(y, chart, "y"), r: { type: "identity" },
    ariaDescription: chart.summary,
    marks: [
      x.scale === "names" ? null : Plot.gridX({ ...grid, ticks: x.ticks }),
      Plot.gridY({ ...grid, ticks: y.ticks }),
      x.unit === "difference" ? Plot.ruleX([0]) : null,
      y.unit === "difference" ? Plot.ruleY([0]) : null,
      Plot.axisX({ ...numbers(x), labelAnchor: "center", labelOffset: turned ? 60 : 36, tickRotate: turned ? -45 : 0 }),
      Plot.axisY({ ...numbers(y), labelAnchor: "top", lineWidth: (marginLeft - 10) / 12, textOverflow: "ellipsis-end" }),
      ...drawn,
      Plot.tip(all, Plot.pointer({ x: "x", y: "y", title: "words" })),
    ],
  });
  for (const part of node.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");  // an image has no parts
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", chart.title);
  return node;
}

// a short piece of a series for the legend, drawn as in the chart
function swatch(chart, series, place) {
  const sample = { ...series, x: [0, 1, 2], y: [0, 0, 0], low: undefined, share: undefined, labelled: false };
  if (!series.line) Object.assign(sample, { x: [1], y: [0] });
  const node = Plot.plot({
    className: "plot", width: 34, height: 12, margin: 5, axis: null, x: { domain: [0, 2] }, y: { domain: [-1, 1] },
    r: { type: "identity" }, marks: marks({ ...chart, across: false }, sample, place),
  });
  node.setAttribute("aria-hidden", "true");
  return node;
}

function legend(chart, redraw) {
  const list = document.createElement("ul");
  list.className = "legend";
  chart.series.forEach((series, place) => {
    const item = document.createElement("li"), button = document.createElement("button"), name = document.createElement("bdi");
    Object.assign(button, { type: "button", title: "Show this one before the others" });
    button.setAttribute("aria-pressed", "false");
    name.textContent = series.name;
    button.append(swatch(chart, series, place), name);
    button.addEventListener("click", () => {
      const chosen = button.getAttribute("aria-pressed") !== "true";
      for (const other of list.querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", chosen);
      chart.chosen = chosen ? place : undefined;
      redraw();
    });
    item.append(button);
    list.append(item);
  });
  return list;
}

function draw(figure) {
  const chart = charts.get(figure), place = figure.querySelector(".drawing");
  chart.width = place.clientWidth;
  place.replaceChildren(svg(chart, Math.max(240, chart.width), chart.chosen));
  if (chart.series.length > 1 && !figure.querySelector(".legend")) place.after(legend(chart, () => draw(figure)));
}

const resized = new ResizeObserver(entries => {
  for (const { target } of entries) {
    const figure = target.closest("figure"), chart = charts.get(figure);
    if (chart.width !== undefined && target.clientWidth !== chart.width) draw(figure);
  }
});
const seen = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    if (charts.get(target).width === undefined) draw(target);
  }
}, { rootMargin: "400px" });

for (const figure of document.querySelectorAll("figure.chart")) {
  const chart = JSON.parse(figure.querySelector("script").textContent);
  chart.across = chart.y.scale === "names";
  chart.title = figure.querySelector("figcaption").textContent;
  charts.set(figure, chart);
  figure.querySelector(".drawing").style.minHeight = `${height(chart)}px`;
  seen.observe(figure);
  resized.observe(figure.querySelector(".drawing"));
}
addEventListener("beforeprint", () => {
  for (const [figure, chart] of charts) if (chart.width === undefined) draw(figure);
});
}
