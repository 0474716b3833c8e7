"use strict";
// Charts by uPlot: logarithmic axes, error bars, and a legend with the values at the pointer.

const INK = "#1b1f24", GREY = "#8c959f";
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

// uPlot labels powers of ten alone on a horizontal axis; less than three of them are joined by other round numbers.
function logarithmicTicks(low, high) {
  const first = Math.floor(Math.log10(low)), count = Math.ceil(Math.log10(high)) - first + 1;
  const every = Math.ceil(count / 7);
  const powers = Array.from({ length: count }, (_, i) => first + i).filter((power) => power % every === 0);
  const ticks = (factors) => powers.flatMap((power) => factors.map((factor) => +`${factor}e${power}`))
    .filter((value) => value >= low && value <= high);
  const finer = [[1], [1, 2, 5], [1, 1.2, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]].map(ticks);
  return finer.find((some) => some.length >= 3) || finer[2];
}

function tickLabels(ticks) {
  const powers = ticks.map((value) => Math.round(Math.log10(value)));
  const long = ticks.some((value) => value > 1000 || value < 0.01);
  if (!long || ticks.some((value, i) => value !== +`1e${powers[i]}`)) return ticks.map((value) => digits(value));
  return powers.map((power) => "10" + String(power).replace("-", "⁻").replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]));
}

// x and y: {label, log, integer, floor}, x with its values.
// series: {label, y, error, colour, points, dash}, or {label, at} for a line at one x.
function chart(parent, { title, x, y, series }) {
  const figure = element("figure", {}, parent);
  element("h2", {}, figure, title);
  const width = Math.max(250, Math.min(640, figure.clientWidth - 16)), font = "12px system-ui, sans-serif";
  const axis = ({ label, log, integer }, size) => ({
    label, size, font, labelFont: font, labelSize: 20, stroke: "#57606a", grid: { stroke: "#eaeef2", width: 1 },
    ticks: { stroke: GREY, width: 1, size: 5 }, border: { show: true, stroke: GREY, width: 1 },
    ...(integer && { incrs: [1, 2, 5, 10, 20, 50, 100, 200] }),
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
  const measured = data[series.findIndex((one) => one.points)] || data[0];
  const there = [...measured.keys()].filter((i) => measured[i] !== null);
  const upright = series.map((one, i) => (one.at ? [[one.at, -Infinity, Infinity]] : data[i].flatMap((value, j) =>
    (value !== null && one.error?.[j] > 0 ? [[places[j], value - one.error[j], value + one.error[j]]] : []))));
  const made = new uPlot({
    width, height: Math.round(Math.min(330, 0.66 * width)),
    scales: { x: scale(x), y: scale(y) },
    axes: [axis(x, 30), axis(y, 46)],
    // The pointer snaps to a measured point, so that all values of the legend are for the same x.
    cursor: { dataIdx: (u, i, place) => there[nearest(there, place)] },
    legend: { markers: {
      width: (u, i) => (series[i - 1]?.points ? 0 : 2), dash: (u, i) => (series[i - 1]?.dash ? "dashed" : "solid"),
      stroke: (u, i) => series[i - 1]?.colour || GREY, fill: (u, i) => series[i - 1]?.colour,
    } },
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
