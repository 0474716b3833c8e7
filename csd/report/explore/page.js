"use strict";
// Data in, pictures out: `draw` reads the choices, looks up one run, and fills the panels.

const WHOLE = {};
const MODES = { training: "training of the score", generation: "generated fields" };
const FACETS = [
  ["dimension", "dimension d", (run) => run.dimension, String],
  ["architecture", "architecture", (run) => run.architecture, (value, run) => run.name],
  ["size", "size L", (run) => run.size, String],
  ["mass", "mass m", (run) => run.massLabel, (value, run) => massInWords(run)],
  ["data", "loss and data", (run) => run.data + " " + (run.trainedSize || ""), (value, run) => dataInWords(run)],
];
const wanted = { mode: "training", level: 0.1, step: null, seed: 1 };

function massInWords(run) {
  const line = run.massLabel.match(/^mL(.*)$/);
  return line ? (line[1] === "1" ? "1/L" : `${line[1]}/L`) + ` = ${digits(run.mass)}` : digits(run.mass);
}

function dataInWords(run) {
  return run.data + (run.trainedSize && run.trainedSize !== run.size ? `, trained at L = ${run.trainedSize}` : "");
}

function digits(value, count = 3) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return size >= 1e5 || (size < 1e-3 && size > 0) ? value.toExponential(count - 1) : String(+value.toPrecision(count));
}

function unpacked(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Float32Array(bytes.buffer);
}

async function inflated(text) {
  const raw = atob(text);
  const bytes = Uint8Array.from(raw, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

// ---- charts -------------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

function node(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function element(name, attributes, parent, text) {
  const made = document.createElement(name);
  Object.assign(made, attributes);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function superscript(power) {
  return "10" + String(power).replace("-", "⁻").replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
}

function scaleOf(low, high, log, from, to) {
  const put = log ? Math.log10 : (value) => value;
  const a = put(low), b = put(high);
  const place = (value) => from + ((put(value) - a) / (b - a || 1)) * (to - from);
  let ticks = [];
  if (log && b - a > 1.2) {
    const every = Math.max(1, Math.ceil((b - a) / 6));
    for (let power = Math.ceil(a - 1e-9); power <= b + 1e-9; power++)
      if (power % every === 0) ticks.push([10 ** power, superscript(power)]);
  } else {
    const rough = (high - low) / 4;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * unit).find((size) => size >= rough);
    for (let value = Math.ceil(low / step) * step; value <= high * (1 + 1e-12); value += step)
      ticks.push([value, String(+value.toPrecision(6))]);
  }
  return { place, ticks };
}

function extent(values, log) {
  const seen = values.filter((value) => Number.isFinite(value) && (!log || value > 0));
  if (!seen.length) return log ? [0.1, 10] : [0, 1];
  const low = Math.min(...seen), high = Math.max(...seen);
  if (log) return low === high ? [low / 2, high * 2] : [low / 1.3, high * 1.3];
  const room = 0.06 * (high - low || 1);
  return [low - room, high + room];
}

let clips = 0;

// series: {x, y, error, line, points, dash, colour, label}; marks: {x or y, label}.
function chart(parent, { title, x, y, series, marks = [] }) {
  const frame = element("figure", {}, parent);
  element("h2", {}, frame, title);
  const width = Math.max(280, Math.min(640, frame.clientWidth - 16));
  const height = Math.round(Math.min(330, 0.62 * width));
  const left = 58, right = 10, top = 8, bottom = 40;
  const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title }, frame);
  const all = (key) => series.flatMap((one) => Array.from(one[key]));
  const xs = extent(all("x"), x.log);
  const ys = extent(all("y").concat(marks.filter((mark) => mark.y).map((mark) => mark.y)), y.log);
  if (y.floor) ys[0] = Math.max(ys[0], y.floor);
  const across = scaleOf(...xs, x.log, left, width - right);
  const up = scaleOf(...ys, y.log, height - bottom, top);
  const clip = `clip${clips++}`;
  node("rect", { x: left, y: top, width: width - left - right, height: height - top - bottom },
    node("clipPath", { id: clip }, node("defs", {}, svg)));
  const text = { "font-size": 12, fill: "#57606a" };
  for (const [value, label] of across.ticks) {
    const at = across.place(value);
    if (at < left - 0.5 || at > width - right + 0.5) continue;
    node("line", { x1: at, x2: at, y1: height - bottom, y2: top, stroke: "#eaeef2" }, svg);
    node("text", { ...text, x: at, y: height - bottom + 15, "text-anchor": "middle" }, svg, label);
  }
  for (const [value, label] of up.ticks) {
    const at = up.place(value);
    if (at < top - 0.5 || at > height - bottom + 0.5) continue;
    node("line", { x1: left, x2: width - right, y1: at, y2: at, stroke: "#eaeef2" }, svg);
    node("text", { ...text, x: left - 6, y: at + 4, "text-anchor": "end" }, svg, label);
  }
  node("text", { ...text, x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, svg, x.label);
  node("text", { ...text, transform: `translate(13 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" },
    svg, y.label);
  const inside = node("g", { "clip-path": `url(#${clip})` }, svg);
  const shown = (value, log) => Number.isFinite(value) && (!log || value > 0);
  for (const mark of marks) {
    const ends = mark.y
      ? { x1: left, x2: width - right, y1: up.place(mark.y), y2: up.place(mark.y) }
      : { x1: across.place(mark.x), x2: across.place(mark.x), y1: top, y2: height - bottom };
    node("line", { ...ends, stroke: "#8c959f", "stroke-dasharray": "2 3" }, inside);
  }
  for (const one of series) {
    const group = node("g", { class: one.points ? "points" : "line" }, inside);
    let path = "", down = false;
    for (let i = 0; i < one.x.length; i++) {
      if (!shown(one.x[i], x.log) || !shown(one.y[i], y.log)) { down = false; continue; }
      const px = across.place(one.x[i]), py = up.place(one.y[i]);
      if (!one.points) {
        path += `${down ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`;
        down = true;
        continue;
      }
      const spread = one.error ? one.error[i] : 0;
      if (spread > 0) {
        const low = one.y[i] - spread;
        const ends = [up.place(one.y[i] + spread), shown(low, y.log) ? up.place(low) : height - bottom];
        node("line", { x1: px, x2: px, y1: ends[0], y2: ends[1], stroke: one.colour }, group);
      }
      const said = `${digits(one.x[i], 4)}: ${digits(one.y[i], 4)}${spread > 0 ? " ± " + digits(spread, 2) : ""}`;
      node("title", {}, node("circle", { cx: px, cy: py, r: 2.8, fill: one.colour }, group), said);
    }
    if (path)
      node("path", { d: path, fill: "none", stroke: one.colour, "stroke-width": 1.6, "stroke-dasharray": one.dash || "" },
        group);
  }
  node("rect", { x: left, y: top, width: width - left - right, height: height - top - bottom, fill: "none",
    stroke: "#8c959f" }, svg);
  const legend = element("ul", { className: "legend" }, frame);
  const entries = series.concat(marks.map((mark) => ({ ...mark, colour: "#8c959f", dash: "2 3" })));
  for (const one of entries.filter((entry) => entry.label)) {
    const item = element("li", {}, legend);
    const key = node("svg", { width: 22, height: 10, style: "width:22px" }, item);
    if (one.points) node("circle", { cx: 11, cy: 5, r: 2.8, fill: one.colour }, key);
    else node("path", { d: "M0 5H22", stroke: one.colour, "stroke-width": 1.6, "stroke-dasharray": one.dash || "" }, key);
    item.append(one.label);
  }
  return frame;
}

// At most `most` of the finite points after step 0, evenly along a logarithmic axis.
function thinned(steps, values, most = 45) {
  const there = steps.map((_, i) => i).filter((i) => i < values.length && steps[i] > 0 && Number.isFinite(values[i]));
  if (there.length <= most) return there;
  const apart = most / Math.log10(steps[there[there.length - 1]] / steps[there[0]]);
  return there.filter((i, n) => !n || Math.round(apart * Math.log10(steps[i])) !==
    Math.round(apart * Math.log10(steps[there[n - 1]])));
}

// ---- fields -------------------------------------------------------------------------------------------------------

// Normal numbers from a seed (mulberry32 and Box and Muller), so that pictures of one seed share their noise.
function normals(count, seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const made = new Float64Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform())), angle = 2 * Math.PI * uniform();
    made[i] = radius * Math.cos(angle);
    if (i + 1 < count) made[i + 1] = radius * Math.sin(angle);
  }
  return made;
}

// Discrete Fourier transform of one line, halved while it is even; sign −1 there, +1 back (without 1/n).
function transformed(re, im, sign) {
  const n = re.length;
  if (n === 1) return [re, im];
  const outRe = new Float64Array(n), outIm = new Float64Array(n);
  if (n % 2) {
    for (let k = 0; k < n; k++)
      for (let r = 0; r < n; r++) {
        const angle = (sign * 2 * Math.PI * ((k * r) % n)) / n, c = Math.cos(angle), s = Math.sin(angle);
        outRe[k] += c * re[r] - s * im[r];
        outIm[k] += c * im[r] + s * re[r];
      }
    return [outRe, outIm];
  }
  const half = n / 2;
  const part = (odd) => {
    const a = new Float64Array(half), b = new Float64Array(half);
    for (let i = 0; i < half; i++) { a[i] = re[2 * i + odd]; b[i] = im[2 * i + odd]; }
    return transformed(a, b, sign);
  };
  const [evenRe, evenIm] = part(0), [oddRe, oddIm] = part(1);
  for (let k = 0; k < half; k++) {
    const angle = (sign * 2 * Math.PI * k) / n, c = Math.cos(angle), s = Math.sin(angle);
    const a = c * oddRe[k] - s * oddIm[k], b = c * oddIm[k] + s * oddRe[k];
    outRe[k] = evenRe[k] + a; outIm[k] = evenIm[k] + b;
    outRe[k + half] = evenRe[k] - a; outIm[k + half] = evenIm[k] - b;
  }
  return [outRe, outIm];
}

function alongAxes(re, im, size, dimension, sign) {
  for (let axis = 0; axis < dimension; axis++) {
    const stride = size ** axis;
    for (let start = 0; start < re.length; start++) {
      if (Math.floor(start / stride) % size) continue;
      const a = new Float64Array(size), b = new Float64Array(size);
      for (let i = 0; i < size; i++) { a[i] = re[start + i * stride]; b[i] = im[start + i * stride]; }
      const [outRe, outIm] = transformed(a, b, sign);
      for (let i = 0; i < size; i++) { re[start + i * stride] = outRe[i]; im[start + i * stride] = outIm[i]; }
    }
  }
}

// A Gaussian field of spectrum S(k̂²): white noise, filtered by √S.
function gaussianField(size, dimension, spectrum, seed) {
  const sites = size ** dimension;
  const re = normals(sites, seed), im = new Float64Array(sites);
  alongAxes(re, im, size, dimension, -1);
  const symbol = Array.from({ length: size }, (_, n) => 4 * Math.sin((Math.PI * n) / size) ** 2);
  for (let mode = 0; mode < sites; mode++) {
    let laplacian = 0;
    for (let axis = 0, rest = mode; axis < dimension; axis++, rest = Math.floor(rest / size)) laplacian += symbol[rest % size];
    const amplitude = Math.sqrt(spectrum(laplacian)) / sites;
    re[mode] *= amplitude;
    im[mode] *= amplitude;
  }
  alongAxes(re, im, size, dimension, 1);
  return re;
}

// Cividis, which colour-blind readers read, in eight stops.
const STOPS = [[0, 34, 78], [31, 58, 109], [70, 86, 108], [107, 109, 113], [144, 135, 120], [183, 162, 109],
  [222, 192, 87], [254, 232, 56]];

function tone(part) {
  const at = Math.min(0.9999, Math.max(0, part)) * (STOPS.length - 1), low = Math.floor(at);
  return STOPS[low].map((value, i) => value + (at - low) * (STOPS[low + 1][i] - value));
}

function fieldPanel(parent, title, note, run, pictures) {
  const { size, dimension } = run;
  if (dimension === 1) {
    const sites = Array.from({ length: size }, (_, i) => i);
    const frame = chart(parent, { title, x: { label: "site r (lattice spacings)" }, y: { label: "field" },
      series: pictures.map((one) => ({ x: sites, y: one.field, colour: one.colour, label: one.label })) });
    element("figcaption", {}, frame, note);
    return again(frame);
  }
  const frame = element("figure", {}, parent);
  element("h2", {}, frame, title);
  const row = element("div", { className: "fields" }, frame);
  const spread = Math.sqrt(pictures[0].field.reduce((sum, value) => sum + value * value, 0) / pictures[0].field.length);
  for (const one of pictures) {
    const box = element("div", {}, row);
    const canvas = element("canvas", { width: size, height: size }, box);
    const context = canvas.getContext("2d"), image = context.createImageData(size, size);
    for (let site = 0; site < size * size; site++)
      image.data.set([...tone(0.5 + one.field[site] / (5 * spread)), 255], 4 * site);
    context.putImageData(image, 0, 0);
    element("span", {}, box, one.label);
  }
  element("figcaption", {}, frame, (dimension === 3 ? "A plane of the lattice. " : "") + note);
  return again(frame);
}

function again(frame) {
  const button = element("button", { type: "button", id: "again" }, frame, "another field");
  button.addEventListener("click", () => { wanted.seed += 1; draw(); document.getElementById("again").focus(); });
}

// User-defined targets and schedules may have other spectra than 1/(k̂² + m²); their names have a dot.
const ownTarget = (run) => !run.data.split("-").some((part) => !part.startsWith("lr") && /\.[A-Za-z]/.test(part));

// ---- the two views ------------------------------------------------------------------------------------------------

function drawTraining(panels, run, steps) {
  const at = run.levels.find((one) => one.level === wanted.level) || run.levels[0];
  const mean = unpacked(at.score.mean), error = unpacked(at.score.error), predicted = unpacked(at.predicted);
  const chosen = thinned(steps, Array.from(mean));
  const take = (values) => chosen.map((i) => values[i]);
  const place = nearest(at.residualSteps, wanted.step), step = at.residualSteps[place];
  const goal = run.tolerance + (at.floor || 0);
  say([`one noise level of ${run.levels.length}`, `η = ${digits(at.rate)}`, `${run.parameters} parameters`,
    `score length ξₜ = ${digits(at.scoreLength)}`,
    `training time ${known(at.time, at.timeError)} steps, theory ${digits(at.predictedTime, 5)}, ${at.seeds} seeds`]);
  chart(panels, {
    title: "Learning curve",
    x: { label: "training step", log: true }, y: { label: "relative score error ε", log: true },
    series: [
      { x: steps.slice(1, predicted.length), y: predicted.slice(1), colour: "#1b1f24", label: "theory" },
      { x: take(steps), y: take(mean), error: take(error), colour: run.colour, points: true, label: run.name },
    ],
    marks: [{ y: goal, label: `goal ${digits(goal)}` }, { x: Math.max(1, step), label: `step ${step}` }],
  });
  const inverse = unpacked(run.inverseLength), residual = unpacked(at.residual);
  const row = (i) => residual.slice(i * inverse.length, (i + 1) * inverse.length);
  chart(panels, {
    title: `Spectrum of what is wrong after ${step} steps`,
    x: { label: "√(k̂² + m²) (inverse lattice spacings)", log: true }, y: { label: "|Cₜ K − 1|, root mean square", log: true },
    series: [
      { x: inverse, y: row(0), colour: "#8c959f", dash: "4 3", label: "before training" },
      { x: inverse, y: row(place), colour: run.colour, points: true, label: `after ${step} steps` },
    ],
  });
  const exact = unpacked(at.exactKernel), kernel = unpacked(at.kernel.mean), spread = unpacked(at.kernel.error);
  const distance = Array.from(exact, (_, r) => r).filter((r) => r <= 24);
  chart(panels, {
    title: "Kernel at the end of training",
    x: { label: "displacement r along an axis (lattice spacings)" }, y: { label: "|K(r)| / K(0)", log: true, floor: 1e-7 },
    series: [
      { x: distance, y: distance.map((r) => Math.abs(exact[r]) / exact[0]), colour: "#1b1f24", label: "exact score" },
      { x: distance, y: distance.map((r) => Math.abs(kernel[r]) / kernel[0]), colour: run.colour, points: true,
        error: distance.map((r) => spread[r] / kernel[0]), label: run.name },
    ],
  });
  if (!ownTarget(run)) return;
  const field = gaussianField(run.size, run.dimension, (laplacian) => 1 / (laplacian + run.mass ** 2), wanted.seed);
  const noise = normals(field.length, wanted.seed + 7919), sigma = Math.sqrt(at.noiseVariance);
  const noised = field.map((value, site) => at.signal * value + sigma * noise[site]);
  fieldPanel(panels, "What the network is shown", "Drawn here from the exact law, not by the study.", run, [
    { field, colour: "#1b1f24", label: "field of the target" },
    { field: noised, colour: "#D55E00", label: `noised, t = ${at.level}` },
  ]);
}

function drawGeneration(panels, run) {
  const steps = run.steps;
  const mean = unpacked(run.divergence.mean), error = unpacked(run.divergence.error), predicted = unpacked(run.predicted);
  const chosen = thinned(steps, Array.from(mean));
  const take = (values) => chosen.map((i) => values[i]);
  const wavenumber = unpacked(run.wavenumber), exact = unpacked(run.exactSpectrum), all = unpacked(run.spectrum);
  const count = all.length / wavenumber.length;
  const place = nearest(steps.slice(0, count), wanted.step), step = steps[place];
  const spectrum = all.slice(place * wavenumber.length, (place + 1) * wavenumber.length);
  const length = Array.from(wavenumber, (k) => Math.sqrt(k * k + run.mass ** 2));
  const right = run.times.map((one) => one.remark || `${one.criterion} right after `
    + `${known(one.time, one.timeError)} training steps, theory ${digits(one.predictedTime, 5)}`);
  say([`${run.seeds} seeds`, ...right, `KL per site after ${step} steps: ${digits(mean[place])}`]);
  const marks = [{ x: Math.max(1, step), label: `step ${step}` }];
  if (run.exactScore !== null) marks.push({ y: run.exactScore + 0.01, label: "0.01 above the exact score" });
  chart(panels, {
    title: "Divergence of what is generated",
    x: { label: "training step", log: true }, y: { label: "KL divergence per site", log: true },
    series: [
      { x: steps.slice(1, predicted.length), y: predicted.slice(1), colour: "#1b1f24", label: "theory" },
      { x: take(steps), y: take(mean), error: take(error), colour: run.colour, points: true, label: run.name },
    ],
    marks,
  });
  const sampled = unpacked(run.sampled.mean), spread = unpacked(run.sampled.error);
  chart(panels, {
    title: `Spectrum after ${step} training steps`,
    x: { label: "√(k̂² + m²) (inverse lattice spacings)", log: true }, y: { label: "S(k)", log: true },
    series: [
      { x: length, y: exact, colour: "#1b1f24", label: "target" },
      { x: length, y: spectrum, colour: run.colour, dash: "5 3", label: `generated after ${step} steps` },
      { x: length, y: sampled, error: spread, colour: run.colour, points: true, label: "sampled at the end" },
    ],
  });
  const ratio = Array.from(spectrum, (value, i) => value / exact[i]);
  chart(panels, {
    title: `Generated over target, after ${step} training steps`,
    x: { label: "√(k̂² + m²) (inverse lattice spacings)", log: true }, y: { label: "ratio of spectra", log: true },
    series: [{ x: length, y: ratio, colour: run.colour, points: true, label: run.name }], marks: [{ y: 1 }],
  });
  if (!ownTarget(run)) return;
  const target = (laplacian) => 1 / (laplacian + run.mass ** 2);
  const wrong = (laplacian) => target(laplacian) * between(length, ratio, Math.sqrt(laplacian + run.mass ** 2));
  fieldPanel(panels, "Fields from the same noise",
    "A linear network generates Gaussian fields, so they are drawn here from its spectrum, which the file has in bins.", run, [
      { field: gaussianField(run.size, run.dimension, target, wanted.seed), colour: "#1b1f24", label: "target" },
      { field: gaussianField(run.size, run.dimension, wrong, wanted.seed), colour: run.colour, label: `after ${step} steps` },
    ]);
}

// Interpolated on logarithmic axes; beyond the ends, the end.
function between(places, values, at) {
  if (at <= places[0]) return values[0];
  for (let i = 1; i < places.length; i++)
    if (at <= places[i]) {
      const part = Math.log(at / places[i - 1]) / Math.log(places[i] / places[i - 1]);
      return Math.exp((1 - part) * Math.log(values[i - 1]) + part * Math.log(values[i]));
    }
  return values[values.length - 1];
}

function known(value, error) {
  return value === null ? "never reached by all seeds," : digits(value, 5) + (error ? ` ± ${digits(error, 2)}` : "");
}

function nearest(steps, step) {
  if (step === null) return steps.length - 1;
  let best = 0;
  steps.forEach((one, i) => { if (Math.abs(one - step) < Math.abs(steps[best] - step)) best = i; });
  return best;
}

function say(facts) {
  document.getElementById("facts").textContent = facts.join(" · ");
}

// ---- choices ------------------------------------------------------------------------------------------------------

function selector(form, id, label, options, value, change) {
  const box = element("label", {}, form, label);
  const select = element("select", { id }, box);
  for (const [key, words] of options) element("option", { value: String(key), selected: key === value }, select, words);
  select.addEventListener("change", () => { change(options[select.selectedIndex][0]); draw(id); });
}

// The runs that each choice leaves, the next one choosing among them; a value that is gone gives way to the nearest.
function chosenRun(form, runs) {
  let left = runs;
  for (const [id, label, of, words] of FACETS) {
    const found = new Map(left.map((run) => [of(run), run]));
    let keys = [...found.keys()];
    if (id === "size" || id === "dimension") keys.sort((a, b) => a - b);
    if (id === "mass") keys.sort((a, b) => found.get(b).critical - found.get(a).critical || found.get(a).mass - found.get(b).mass);
    if (!found.has(wanted[id]))
      wanted[id] = id === "size" && wanted.size !== undefined
        ? keys.reduce((a, b) => (Math.abs(b - wanted.size) < Math.abs(a - wanted.size) ? b : a))
        : id === "size" ? keys[Math.floor(keys.length / 2)] : keys[0];
    if (keys.length > 1 || id !== "data")
      selector(form, id, label, keys.map((key) => [key, words(key, found.get(key))]), wanted[id], (key) => { wanted[id] = key; });
    left = left.filter((run) => of(run) === wanted[id]);
  }
  return left[0];
}

// Moved while it is held, so it stays where it is and only the panels are drawn again.
function slider(form, ran, redraw) {
  const place = nearest(ran, wanted.step);
  const box = element("label", { className: "wide" }, form);
  const words = element("span", {}, box, `training step: ${ran[place]}`);
  const input = element("input", { id: "step", type: "range", min: 0, max: ran.length - 1, value: place }, box);
  input.addEventListener("input", () => {
    wanted.step = +input.value === ran.length - 1 ? null : ran[+input.value];
    words.textContent = `training step: ${ran[+input.value]}`;
    redraw();
  });
}

function draw(focus) {
  const form = document.getElementById("choices"), panels = document.getElementById("panels");
  form.replaceChildren();
  const modes = Object.entries(MODES).filter(([mode]) => WHOLE[mode] && WHOLE[mode].runs.length);
  if (!modes.some(([mode]) => mode === wanted.mode)) wanted.mode = modes[0][0];
  if (modes.length > 1) selector(form, "mode", "look at", modes, wanted.mode, (mode) => { wanted.mode = mode; });
  const { runs, steps } = WHOLE[wanted.mode];
  const run = chosenRun(form, runs), training = wanted.mode === "training";
  const redraw = () => {
    // The page keeps its height, and the reader their place, while panels are gone.
    panels.style.minHeight = `${panels.offsetHeight}px`;
    panels.replaceChildren();
    (training ? drawTraining : drawGeneration)(panels, run, steps);
    panels.style.minHeight = "";
  };
  if (training) {
    const levels = run.levels.map((one) => one.level);
    if (!levels.includes(wanted.level)) wanted.level = levels[nearest(levels, wanted.level)];
    selector(form, "level", "noise level t", levels.map((t) => [t, String(t)]), wanted.level, (t) => { wanted.level = t; });
    slider(form, run.levels.find((one) => one.level === wanted.level).residualSteps, redraw);
  } else slider(form, run.steps, redraw);
  redraw();
  if (focus) document.getElementById(focus)?.focus();
}

async function start() {
  try {
    Object.assign(WHOLE, await inflated(document.getElementById("data").textContent.trim()));
  } catch (error) {
    const trouble = document.getElementById("trouble");
    trouble.hidden = false;
    trouble.textContent = `The data of this page cannot be read (${error.message}); it needs a browser of 2023 or later.`;
    return;
  }
  document.getElementById("made").textContent =
    `made by csd ${WHOLE.made.version}, commit ${WHOLE.made.commit}, configuration ${WHOLE.configuration}`;
  draw();
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; draw(); } });
  document.documentElement.dataset.ready = "yes";
}

start();
