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
const chosen = { mode: "training", level: 0.1, step: null, seed: 1 };

function facts(words) {
  document.getElementById("facts").textContent = words.join(" · ");
}

// The error has two digits, and the time ends where the error does.
function timeInWords({ time, timeError, predictedTime }) {
  const decimals = timeError > 0 ? Math.max(0, 1 - Math.floor(Math.log10(timeError))) : 0;
  const error = timeError > 0 ? ` ± ${timeError.toFixed(decimals)}` : "";
  const measured = time === null ? "not reached by all seeds" : `${time.toFixed(decimals)}${error} steps`;
  return predictedTime === null ? measured : `${measured} (theory ${digits(predictedTime, 5)})`;
}

const MOMENTUM = { label: "√(k̂² + m²) (inverse lattice spacings)", log: true };

// Step 0 has no place on a logarithmic axis.
function learningCurve(panels, title, label, { steps, mean, error }, predicted, run, step, goal, log = true) {
  const after = (values) => values.slice(1);
  chart(panels, {
    title, x: { label: "training step", log: true, values: after(steps) }, y: { label, log },
    series: [
      ...(predicted.length ? [{ label: "theory", y: after(predicted), colour: INK }] : []),
      { label: run.name, y: after(mean), error: after(error), colour: run.colour, points: true },
      ...(goal ? [{ label: goal.label, y: after(steps).map(() => goal.at), dash: [2, 3] }] : []),
      { label: `step ${step}`, at: Math.max(1, step), dash: [2, 3] },
    ],
  });
}

function drawTraining(panels, run, steps) {
  const at = run.levels.find((one) => one.level === chosen.level);
  const place = nearest(at.residualSteps, chosen.step), step = at.residualSteps[place];
  const goal = run.tolerance + (at.floor || 0);
  facts([`training time ${timeInWords(at)}`, `${at.seeds} seeds`, `learning rate η = ${digits(at.rate)}`,
    `${run.parameters} parameters`, `score length ξₜ = ${digits(at.scoreLength)}`]);
  learningCurve(panels, "Learning curve", "relative score error ε",
    { steps: steps.slice(0, Math.max(at.predicted.length, at.score.mean.length)), ...at.score },
    at.predicted, run, step, goal > 0 && { at: goal, label: `threshold ${digits(goal)}` });
  if (at.heldOut)
    learningCurve(panels, "Loss on held-out fields", "denoising loss per site",
      { steps: steps.slice(0, at.heldOut.mean.length), ...at.heldOut }, [], run, step,
      { at: at.linearHeldOut, label: "best linear score" }, false);
  const count = run.inverseLength.length, residual = (i) => at.residual.slice(i * count, (i + 1) * count);
  if (at.residual.some(Number.isFinite)) chart(panels, {
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
      x: { label: "displacement r along an axis (lattice spacings)", integer: true, values: exact.map((_, r) => r) },
      y: { label: "|K(r)| / K(0)", log: true, floor: 1e-7 },
      series: [{ label: "exact score", y: exact, colour: INK },
        { label: run.name, y: relative(at.kernel.mean, at.kernel.mean[0]), colour: run.colour, points: true,
          error: relative(at.kernel.error, at.kernel.mean[0]) }],
    });
  if (!run.gaussian) return;
  const white = (seed) => normals(run.size ** run.dimension, seed);
  const propagator = (laplacian) => 1 / (laplacian + run.mass ** 2);
  const field = gaussianField(white(chosen.seed), run.size, run.dimension, propagator);
  const noise = white(chosen.seed + 7919);
  fieldPanel(panels, "A field and its noised version", "Drawn by this page from the exact distribution.", run, [
    { label: "field of the target", y: field, colour: INK },
    { label: `noised, t = ${at.level}`, colour: run.colour,
      y: field.map((value, site) => at.signal * value + Math.sqrt(at.noiseVariance) * noise[site]) },
  ]);
}

// Of networks without a kernel, samples are all that is known.
function drawSamples(panels, run) {
  if (!run.steps.length) {
    const x = { ...MOMENTUM, values: run.inverseLength };
    chart(panels, {
      title: "Power spectrum of sampled fields", x, y: { label: "S(k)", log: true },
      series: [{ label: "target", y: run.exactSpectrum, colour: INK },
        { label: run.name, y: run.sampled.mean, error: run.sampled.error, colour: run.colour, points: true }],
    });
  }
  if (!run.magnetisation) return;
  const { words, places, sampled, reference } = run.magnetisation;
  chart(panels, {
    title: "Magnetisation of the fields of all seeds",
    x: { label: words, values: places }, y: { label: "probability density" },
    series: [{ label: "reference", y: reference, colour: INK },
      { label: run.name, y: sampled, colour: run.colour, points: true }],
  });
}

function observablesInWords(run) {
  return run.observables.map(({ name, value, error, reference, pulls }) =>
    `${name} ${withError(value, error)}, reference ${digits(reference, 4)}, pulls ${pulls.map((one) => digits(one, 2)).join(", ")}`);
}

function drawGeneration(panels, run) {
  if (!run.steps.length) {
    facts([...observablesInWords(run), `${run.seeds} seeds`]);
    drawSamples(panels, run);
    return;
  }
  const count = run.inverseLength.length;
  const place = nearest(run.steps, chosen.step), step = run.steps[place];
  const spectrum = run.spectrum.slice(place * count, (place + 1) * count);
  facts([...run.times.map((one) => `${one.criterion} ${one.remark || `met after ${timeInWords(one)}`}`),
    `${run.seeds} seeds`, `KL per site after ${step} steps: ${digits(run.divergence[place])}`]);
  learningCurve(panels, "KL divergence of the generated fields", "KL divergence per site",
    { steps: run.steps, ...run.curve }, run.predicted, run, step,
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
  drawSamples(panels, run);
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
  } else if (run.steps.length) slider(form, run.steps, redraw);
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
    trouble.textContent = `The data of this page cannot be read: ${error.message}. It needs a browser of 2023 or later.`;
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
