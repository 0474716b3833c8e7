"use strict";
// Gaussian fields, and panels that show them.

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
    figure = chart(panels, { title, y: { label: "field φ" }, series: pictures,
      x: { label: "site r (lattice spacings)", integer: true, values: pictures[0].y.map((_, i) => i) } });
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
