"use strict";
// `draw` reads the choices, finds the run that they name, and draws its charts with uPlot.

const STUDY = {};
const MODES = { training: "training of the score", generation: "generated fields" };
const CHOICES = [
  ["dimension", "dimension d", (run) => run.dimension, (run) => run.dimension],
  ["architecture", "architecture", (run) => run.architecture, (run) => run.name],
  ["size", "size L", (run) => run.size, (run) => run.size],
  ["mass", "mass m", (run) => run.massLabel, (run) => run.massInWords],
  ["data", "loss and data", (run) => run.dataInWords, (run) => run.dataInWords],
];
const INK = "#1b1f24", GREY = "#8c959f";
const chosen = { mode: "training", level: 0.1, step: null, seed: 1 };
const charts = [];

function digits(value, count = 3) {
  if (value === null || value === undefined) return "";
  const size = Math.abs(value);
  return size >= 1e5 || (size < 1e-3 && size > 0) ? value.toExponential(count - 1) : String(+value.toPrecision(count));
}

function withError(value, error, count = 4) {
  return digits(value, count) + (error > 0 ? ` ± ${digits(error, 2)}` : "");
}

function element(name, attributes, parent, text) {
  const made = Object.assign(document.createElement(name), attributes);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function nearest(values, wanted) {
  if (wanted === null) return values.length - 1;
  return values.reduce((best, value, i) => (Math.abs(value - wanted) < Math.abs(values[best] - wanted) ? i : best), 0);
}

// ---- charts -------------------------------------------------------------------------------------------------------

// uPlot labels powers of ten alone on a horizontal axis; less than three of them are joined by other round numbers.
function logarithmicTicks(low, high) {
  const first = Math.floor(Math.log10(low)), count = Math.ceil(Math.log10(high)) - first + 1, every = Math.ceil(count / 7);
  const powers = Array.from({ length: count }, (_, i) => first + i).filter((power) => power % every === 0);
  const ticks = (factors) => powers.flatMap((power) => factors.map((factor) => +`${factor}e${power}`))
    .filter((value) => value >= low && value <= high);
  return [[1], [1, 2, 5], [1, 1.2, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]].map(ticks).find((some) => some.length >= 3) || ticks([1]);
}

function tickLabels(ticks) {
  const powers = ticks.map((value) => Math.round(Math.log10(value)));
  const long = ticks.some((value) => value > 1000 || value < 0.01);
  if (!long || ticks.some((value, i) => value !== +`1e${powers[i]}`)) return ticks.map((value) => digits(value));
  return powers.map((power) => "10" + String(power).replace("-", "⁻").replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]));
}

// x and y: {label, log, floor}, x with its values; series: {label, y, error, colour, points, dash} or {label, at: x}.
function chart(parent, { title, x, y, series }) {
  const figure = element("figure", {}, parent);
  element("h2", {}, figure, title);
  const width = Math.max(250, Math.min(640, figure.clientWidth - 16)), font = "12px system-ui, sans-serif";
  const axis = ({ label, log }, size) => ({
    label, size, font, labelFont: font, labelSize: 20, stroke: "#57606a", grid: { stroke: "#eaeef2", width: 1 },
    ticks: { stroke: GREY, width: 1, size: 5 }, border: { show: true, stroke: GREY, width: 1 },
    ...(log && { splits: (u, i, low, high) => logarithmicTicks(low, high), filter: (u, ticks) => ticks,
      values: (u, ticks) => tickLabels(ticks) }),
  });
  const scale = ({ log, floor = 0 }) => ({
    time: false, distr: log ? 3 : 1,
    range: (u, low, high) => {
      if (low === null) return log ? [0.1, 10] : [0, 1];
      const room = 0.05 * (high - low || 1);
      return log ? [Math.max(low / 1.3, floor), high * 1.3] : [low - room, high + room];
    },
  });
  const places = Array.from(x.values), shown = (value) => Number.isFinite(value) && (!y.log || value > 0);
  const data = series.map((one) => places.map((_, i) => (one.y && shown(one.y[i]) ? one.y[i] : null)));
  const upright = series.map((one, i) => (one.at ? [[one.at, -Infinity, Infinity]] : data[i].flatMap((value, j) =>
    (value !== null && one.error?.[j] > 0 ? [[places[j], value - one.error[j], value + one.error[j]]] : []))));
  const made = new uPlot({
    width, height: Math.round(Math.min(330, 0.66 * width)),
    scales: { x: scale(x), y: scale(y) },
    axes: [axis(x, 30), axis(y, 46)],
    cursor: { hover: { skip: [null, undefined] } },
    legend: { markers: { width: (u, i) => (series[i - 1]?.points ? 0 : 2), stroke: (u, i) => series[i - 1]?.colour || GREY,
      fill: (u, i) => series[i - 1]?.colour, dash: (u, i) => (series[i - 1]?.dash ? "dashed" : "solid") } },
    series: [{ label: x.label.split(" (")[0], value: (u, number) => digits(number, 4) }, ...series.map((one) => ({
      label: one.label, stroke: one.colour || GREY, width: 1.5, dash: one.dash, spanGaps: true,
      class: one.points ? "points" : "line", paths: one.points && (() => null),
      points: { show: Boolean(one.points), size: 5.5, width: 0, fill: one.colour },
      value: (u, number, i, place) => (one.at ? "" : withError(number, one.error?.[place])),
    }))],
    hooks: { drawSeries: [(u, i) => drawUpright(u, upright[i - 1], series[i - 1])] },
  }, [places, ...data], figure);
  Object.assign(made.ctx.canvas, { role: "img", ariaLabel: title });
  charts.push(made);
  return figure;
}

// Upright lines [x, from, to] in the style of a series: error bars, and marks as high as the chart.
function drawUpright(u, lines, { colour = GREY, dash = [] }) {
  const { ctx, bbox: { left, top, width, height } } = u, frame = new Path2D(), path = new Path2D();
  const place = (value, edge) => { const at = u.valToPos(value, "y", true); return Number.isFinite(at) ? at : edge; };
  for (const [x, from, to] of lines) {
    path.moveTo(u.valToPos(x, "x", true), place(from, top + height));
    path.lineTo(u.valToPos(x, "x", true), place(to, top));
  }
  frame.rect(left, top, width, height);
  ctx.save();
  ctx.clip(frame);
  Object.assign(ctx, { strokeStyle: colour, lineWidth: uPlot.pxRatio });
  ctx.setLineDash(dash.map((length) => length * uPlot.pxRatio));
  ctx.stroke(path);
  ctx.restore();
}

// Step 0 has no place on a logarithmic axis.
function learningCurve(panels, title, label, { steps, mean, error }, predicted, run, step, goal) {
  const after = (values) => values.slice(1);
  chart(panels, {
    title, x: { label: "training step", log: true, values: after(steps) }, y: { label, log: true },
    series: [
      { label: "theory", y: after(predicted), colour: INK },
      { label: run.name, y: after(mean), error: after(error), colour: run.colour, points: true },
      ...(goal ? [{ label: goal.label, y: after(steps).map(() => goal.at), dash: [2, 3] }] : []),
      { label: `step ${step}`, at: Math.max(1, step), dash: [2, 3] },
    ],
  });
}

// ---- fields -------------------------------------------------------------------------------------------------------

// Normal numbers of a seed by mulberry32 and the formula of Box and Muller.
function normals(count, seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return Float64Array.from({ length: count }, () =>
    Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}

// φ = H √S z for white noise z and a spectrum S(k̂²). The Hartley matrix H, cos + sin along each axis, is orthogonal.
function gaussianField(noise, size, dimension, spectrum) {
  const axes = Array.from({ length: dimension }, (_, axis) => size ** axis);
  const digit = (site, stride) => Math.floor(site / stride) % size;
  const symbol = Float64Array.from({ length: size }, (_, n) => 4 * Math.sin((Math.PI * n) / size) ** 2);
  const hartley = Float64Array.from({ length: size }, (_, n) =>
    (Math.cos((2 * Math.PI * n) / size) + Math.sin((2 * Math.PI * n) / size)) / Math.sqrt(size));
  let field = Float64Array.from(noise, (z, mode) =>
    z * Math.sqrt(spectrum(axes.reduce((sum, stride) => sum + symbol[digit(mode, stride)], 0))));
  for (const stride of axes)
    field = field.map((_, site) => {
      const place = digit(site, stride), start = site - place * stride;
      let sum = 0;
      for (let n = 0; n < size; n++) sum += hartley[(n * place) % size] * field[start + n * stride];
      return sum;
    });
  return field;
}

function fieldPanel(panels, title, note, { size, dimension }, pictures) {
  let figure;
  if (dimension === 1)
    figure = chart(panels, { title, x: { label: "site r (lattice spacings)", values: pictures[0].y.map((_, i) => i) },
      y: { label: "field φ" }, series: pictures });
  else {
    figure = element("figure", {}, panels);
    element("h2", {}, figure, title);
    const row = element("div", { className: "fields" }, figure);
    const spread = Math.hypot(...pictures[0].y.subarray(0, size * size)) / size;
    for (const { y, label } of pictures) {
      const box = element("div", {}, row);
      const context = element("canvas", { width: size, height: size }, box).getContext("2d");
      const image = context.createImageData(size, size);
      const tone = (value) => STUDY.colours[Math.min(255, Math.max(0, Math.floor(256 * (0.5 + value / (5 * spread)))))];
      y.subarray(0, size * size).forEach((value, site) => image.data.set([...tone(value), 255], 4 * site));
      context.putImageData(image, 0, 0);
      element("span", {}, box, label);
    }
  }
  element("figcaption", {}, figure, (dimension === 3 ? "One plane of the lattice. " : "") + note);
  const button = element("button", { type: "button", id: "again" }, figure, "another field");
  button.addEventListener("click", () => { chosen.seed += 1; draw("again"); });
}

// ---- training and generation --------------------------------------------------------------------------------------

function facts(words) {
  document.getElementById("facts").textContent = words.join(" · ");
}

function timeInWords({ time, timeError, predictedTime }) {
  const measured = time === null ? "not reached by all seeds" : `${withError(time, timeError, 5)} steps`;
  return `${measured} (theory ${digits(predictedTime, 5)})`;
}

const MOMENTUM = { label: "√(k̂² + m²) (inverse lattice spacings)", log: true };

function drawTraining(panels, run, steps) {
  const at = run.levels.find((one) => one.level === chosen.level);
  const place = nearest(at.residualSteps, chosen.step), step = at.residualSteps[place];
  const goal = run.tolerance + (at.floor || 0);
  facts([`training time ${timeInWords(at)}`, `${at.seeds} seeds`, `learning rate η = ${digits(at.rate)}`,
    `${run.parameters} parameters`, `score length ξₜ = ${digits(at.scoreLength)}`]);
  learningCurve(panels, "Learning curve", "relative score error ε",
    { steps: steps.slice(0, at.predicted.length), ...at.score }, at.predicted, run, step, { at: goal, label: `threshold ${digits(goal)}` });
  const count = run.inverseLength.length, residual = (i) => at.residual.slice(i * count, (i + 1) * count);
  chart(panels, {
    title: `Residual of each mode after ${step} steps`,
    x: { ...MOMENTUM, values: run.inverseLength }, y: { label: "root mean square of Cₜ K − 1", log: true },
    series: [{ label: "before training", y: residual(0), dash: [4, 3] },
      { label: `after ${step} steps`, y: residual(place), colour: run.colour, points: true }],
  });
  const relative = (values, scale) => values.slice(0, 25).map((value) => Math.abs(value / scale));
  const exact = relative(at.exactKernel, at.exactKernel[0]);
  if (at.kernel)
    chart(panels, {
      title: "Kernel at the end of training",
      x: { label: "displacement r along an axis (lattice spacings)", values: exact.map((_, r) => r) },
      y: { label: "|K(r)| / K(0)", log: true, floor: 1e-7 },
      series: [{ label: "exact score", y: exact, colour: INK },
        { label: run.name, y: relative(at.kernel.mean, at.kernel.mean[0]), colour: run.colour, points: true,
          error: relative(at.kernel.error, at.kernel.mean[0]) }],
    });
  if (!run.gaussian) return;
  const white = (seed) => normals(run.size ** run.dimension, seed);
  const field = gaussianField(white(chosen.seed), run.size, run.dimension, (laplacian) => 1 / (laplacian + run.mass ** 2));
  const noise = white(chosen.seed + 7919);
  fieldPanel(panels, "A field and its noised version", "Drawn by this page from the exact distribution.", run, [
    { label: "field of the target", y: field, colour: INK },
    { label: `noised, t = ${at.level}`, colour: run.colour,
      y: field.map((value, site) => at.signal * value + Math.sqrt(at.noiseVariance) * noise[site]) },
  ]);
}

function drawGeneration(panels, run) {
  const count = run.inverseLength.length;
  const place = nearest(run.steps, chosen.step), step = run.steps[place];
  const spectrum = run.spectrum.slice(place * count, (place + 1) * count);
  facts([...run.times.map((one) => `${one.criterion} ${one.remark || `met after ${timeInWords(one)}`}`),
    `${run.seeds} seeds`, `KL per site after ${step} steps: ${digits(run.divergence[place])}`]);
  learningCurve(panels, "KL divergence of the generated fields", "KL divergence per site", { steps: run.steps, ...run.curve },
    run.predicted, run, step,
    run.exactScore === null ? null : { at: run.exactScore + 0.01, label: "0.01 above the exact score" });
  const x = { ...MOMENTUM, values: run.inverseLength };
  chart(panels, {
    title: `Power spectrum after ${step} training steps`, x, y: { label: "S(k)", log: true },
    series: [{ label: "target", y: run.exactSpectrum, colour: INK },
      { label: `generated after ${step} steps`, y: spectrum, colour: run.colour, dash: [5, 3] },
      { label: "sampled at the end", y: run.sampled.mean, error: run.sampled.error, colour: run.colour, points: true }],
  });
  const ratio = spectrum.map((value, i) => value / run.exactSpectrum[i]);
  chart(panels, {
    title: `Generated over exact spectrum after ${step} training steps`, x, y: { label: "ratio of spectra", log: true },
    series: [{ label: "exact", y: ratio.map(() => 1), dash: [2, 3] },
      { label: run.name, y: ratio, colour: run.colour, points: true }],
  });
  if (!run.gaussian) return;
  const exact = (laplacian) => 1 / (laplacian + run.mass ** 2);
  const generated = (laplacian) =>
    exact(laplacian) * interpolated(run.inverseLength, ratio, Math.sqrt(laplacian + run.mass ** 2));
  const field = (of) => gaussianField(normals(run.size ** run.dimension, chosen.seed), run.size, run.dimension, of);
  fieldPanel(panels, "Fields from the same noise",
    "A linear network generates Gaussian fields. This page draws them from the binned spectrum.", run, [
      { label: "target", y: field(exact), colour: INK },
      { label: `generated after ${step} steps`, y: field(generated), colour: run.colour },
    ]);
}

// Linear in the logarithms; constant beyond the ends.
function interpolated(places, values, at) {
  const above = places.findIndex((place) => place >= at);
  if (above <= 0) return values[above < 0 ? values.length - 1 : 0];
  const part = Math.log(at / places[above - 1]) / Math.log(places[above] / places[above - 1]);
  return values[above - 1] ** (1 - part) * values[above] ** part;
}

// ---- choices ------------------------------------------------------------------------------------------------------

function selector(form, id, label, options) {
  const select = element("select", { id }, element("label", {}, form, label));
  for (const [value, words] of options) element("option", { value, selected: value === chosen[id] }, select, words);
  select.addEventListener("change", () => { chosen[id] = options[select.selectedIndex][0]; draw(id); });
}

// Each choice is made among the runs that the choices before it leave; a value that is gone becomes the nearest.
function chosenRun(form, runs) {
  let left = runs;
  for (const [id, label, of, words] of CHOICES) {
    const options = [...new Map(left.map((run) => [of(run), words(run)]))];
    if (!options.some(([value]) => value === chosen[id])) {
      const values = options.map(([value]) => value);
      const middle = Math.floor(values.length / 2);
      chosen[id] = values[id !== "size" ? 0 : chosen.size === undefined ? middle : nearest(values, chosen.size)];
    }
    if (options.length > 1 || id !== "data") selector(form, id, label, options);
    left = left.filter((run) => of(run) === chosen[id]);
  }
  return left[0];
}

// The slider is moved while it is held: it stays, and the charts are drawn again.
function slider(form, steps, redraw) {
  const label = element("label", { className: "wide" }, form), words = element("span", {}, label);
  const value = nearest(steps, chosen.step);
  const input = element("input", { id: "step", type: "range", min: 0, max: steps.length - 1, value }, label);
  const say = () => { words.textContent = `training step: ${steps[+input.value]}`; };
  input.addEventListener("input", () => {
    chosen.step = +input.value === steps.length - 1 ? null : steps[+input.value];
    say();
    redraw();
  });
  say();
}

function draw(focus) {
  const form = document.getElementById("choices"), panels = document.getElementById("panels");
  form.replaceChildren();
  const modes = Object.entries(MODES).filter(([mode]) => STUDY[mode]?.runs.length);
  if (!STUDY[chosen.mode]?.runs.length) chosen.mode = modes[0][0];
  if (modes.length > 1) selector(form, "mode", "look at", modes);
  const { runs, steps } = STUDY[chosen.mode], run = chosenRun(form, runs), training = chosen.mode === "training";
  const redraw = () => {
    // The page keeps its height while its charts are replaced, so that it does not scroll.
    panels.style.minHeight = `${panels.offsetHeight}px`;
    charts.splice(0).forEach((one) => one.destroy());
    panels.replaceChildren();
    (training ? drawTraining : drawGeneration)(panels, run, steps);
    panels.style.minHeight = "";
  };
  if (training) {
    const levels = run.levels.map((one) => one.level);
    chosen.level = levels[nearest(levels, chosen.level)];
    selector(form, "level", "noise level t", levels.map((level) => [level, level]));
    slider(form, run.levels.find((one) => one.level === chosen.level).residualSteps, redraw);
  } else slider(form, run.steps, redraw);
  redraw();
  if (focus) document.getElementById(focus)?.focus();
}

async function start() {
  try {
    const bytes = Uint8Array.from(atob(document.getElementById("data").textContent), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    Object.assign(STUDY, await new Response(stream).json());
  } catch (error) {
    const trouble = document.getElementById("trouble");
    trouble.hidden = false;
    trouble.textContent = `The data of this page cannot be read (${error.message}). It needs a browser of 2023 or later.`;
    return;
  }
  document.getElementById("made").textContent =
    `made by csd ${STUDY.made.version}, commit ${STUDY.made.commit}, configuration ${STUDY.configuration}`;
  draw();
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; draw(); } });
  document.documentElement.dataset.ready = "yes";
}

start();
