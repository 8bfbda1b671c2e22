"use strict";
/* Demos of the book: numbers to move, and what the exact formulas of the chapter then give. No library, no request.

   A demo is an entry of Demos: {title, text, plots, controls, start(values), draw(state, plots) -> what is said}. It is put
   into every <div class="demo" data-demo="its name">; its formulas are plain functions beside that, which tests call. */
const Demos = {};

const Svg = (tag, attributes, parent) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  if (parent) parent.append(made);
  return made;
};

const Html = (tag, properties, parent) => {
  const made = Object.assign(document.createElement(tag), properties);
  if (parent) parent.append(made);
  return made;
};

/* What several demos compute with. */
const Sum = (values) => values.reduce((a, b) => a + b, 0);
const Grid = (from, to, count) => Array.from({ length: count }, (_, i) => from + ((to - from) * i) / (count - 1));
const LogNormal = (x, mean, std) => -0.5 * ((x - mean) / std) ** 2 - Math.log(std * Math.sqrt(2 * Math.PI));

/* log of two equal humps of this width, at a and b. */
const LogHumps = (x, a, b, std) => {
  const [left, right] = [LogNormal(x, a, std), LogNormal(x, b, std)];
  return Math.max(left, right) + Math.log1p(Math.exp(-Math.abs(left - right))) - Math.LN2;
};

/* A start and so many moves from it, each from where the last one ended. */
const Orbit = (start, steps, move) => {
  const path = [start];
  while (path.length <= steps) path.push(move(path.at(-1)));
  return path;
};

/* The larger modulus of the eigenvalues of a matrix of two rows, by its trace and determinant. */
const Modulus = (trace, det) => {
  const square = trace ** 2 / 4 - det;
  return square < 0 ? Math.sqrt(det) : Math.abs(trace / 2) + Math.sqrt(square);
};

/* Whether a factor per step is below 1, is 1 up to rounding, or above: -1, 0 or 1. */
const Beside1 = (factor) => (Math.abs(factor - 1) < 1e-9 ? 0 : Math.sign(factor - 1));

/* sum of p log(p/q) in nats; where p is 0, or so small that half of it may round to 0, nothing is added. */
const Kl = (p, q) => Sum(p.map((each, i) => (each > 1e-300 ? each * Math.log(each / q[i]) : 0)));

/* With so many decimals, and no "-0.00". */
const Fixed = (value, decimals) => (Math.round(value * 10 ** decimals) / 10 ** decimals + 0).toFixed(decimals);

/* A deviation with three digits; what rounding leaves of 0 is called that. */
const Small = (value) => (Math.abs(value) < 1e-12 ? "0 up to rounding" : Plot.short(value));

/* Axes over x = [low, high] and y = [low, high], 320 by 240, with lines, dots and bars of one of the kinds "k0" to "k3". */
class Plot {
  constructor(parent, { label, x, y, across, up }) {
    Object.assign(this, { x, y, across, up });
    this.svg = Svg("svg", { viewBox: "0 0 320 240", role: "img", "aria-label": label }, parent);
    this.clear();
  }

  clear() {
    this.svg.replaceChildren();
    Svg("rect", { x: 44, y: 10, width: 266, height: 186, class: "frame" }, this.svg);
    const inside = Svg("clipPath", { id: `clip-${(Plot.count = (Plot.count || 0) + 1)}` }, Svg("defs", {}, this.svg));
    Svg("rect", { x: 44, y: 10, width: 266, height: 186 }, inside);
    this.marks = Svg("g", { "clip-path": `url(#${inside.id})` }, this.svg);
    for (let i = 0; i <= 4; i++) {
      const [x, y] = [this.x, this.y].map(([low, high]) => low + ((high - low) * i) / 4);
      this.text(Plot.short(x), this.px(x), 211, "middle");
      this.text(Plot.short(y), 42, this.py(y) + 3, "end");
    }
    this.text(this.across, 177, 230, "middle");
    const up = this.text(this.up, 0, 0, "middle");
    up.setAttribute("transform", "translate(9 103) rotate(-90)");
  }

  static short(value) {
    return String(Number(value.toPrecision(3)));
  }

  text(words, x, y, anchor) {
    const made = Svg("text", { x, y, "text-anchor": anchor }, this.svg);
    made.textContent = words;
    return made;
  }

  /* Pixels. What lies far outside stays outside, at a place that a browser can hold. */
  px(x) {
    return Math.max(-1e4, Math.min(1e4, 44 + (266 * (x - this.x[0])) / (this.x[1] - this.x[0])));
  }

  py(y) {
    return Math.max(-1e4, Math.min(1e4, 196 - (186 * (y - this.y[0])) / (this.y[1] - this.y[0])));
  }

  line(xs, ys, kind) {
    const points = xs.map((x, i) => `${this.px(x).toFixed(2)},${this.py(ys[i]).toFixed(2)}`).join(" ");
    Svg("polyline", { points, class: kind }, this.marks);
  }

  dots(xs, ys, kind, r = 3) {
    xs.forEach((x, i) => Svg("circle", { cx: this.px(x).toFixed(2), cy: this.py(ys[i]).toFixed(2), r, class: kind }, this.marks));
  }

  bar(left, right, low, high, kind) {
    const [a, b] = [this.px(left), this.px(right)];
    const [top, foot] = [this.py(high), this.py(low)];
    Svg("rect", { x: a, y: top, width: Math.max(0, b - a), height: Math.max(0, foot - top), class: kind }, this.marks);
  }
}

/* One control: {slider, from, to, step, value, shown} moves a number, {choice, of, value} picks a word, {button, act}
   changes the state. */
const control = (made, spec, state, redraw) => {
  if (spec.button) {
    const button = Html("button", { type: "button", className: "btn btn-sm btn-outline-primary", textContent: spec.button }, made);
    button.addEventListener("click", () => {
      spec.act(state);
      redraw();
    });
    return () => {};
  }
  const label = Html("label", {}, made);
  Html("span", { textContent: spec.label }, label);
  const name = spec.slider || spec.choice;
  const input = spec.slider
    ? Html("input", { type: "range", min: spec.from, max: spec.to, step: spec.step }, label)
    : Html("select", {}, label);
  (spec.of || []).forEach((each) => Html("option", { value: each, textContent: each }, input));
  input.name = name;
  const shown = spec.slider ? Html("output", {}, label) : null;
  const show = () => {
    input.value = state[name];
    if (!shown) return;
    shown.textContent = spec.shown ? spec.shown(state[name]) : Plot.short(state[name]);
    input.setAttribute("aria-valuetext", shown.textContent); // the slider of a power says the number, not the power
  };
  input.addEventListener("input", () => {
    state[name] = spec.slider ? Number(input.value) : input.value;
    if (spec.changed) spec.changed(state);
    redraw();
  });
  return show;
};

const mount = (place) => {
  const demo = Demos[place.dataset.demo];
  const values = JSON.parse(place.dataset.values || "null");
  const state = demo.start(values);
  place.replaceChildren();
  Html("p", { className: "demo-title", textContent: `Try it: ${demo.title}` }, place);
  Html("p", { textContent: demo.text }, place);
  const controls = Html("div", { className: "demo-controls" }, place);
  const plots = demo.plots.map((plot) => new Plot(Html("div", { className: "demo-plot" }, place), plot));
  const said = Html("p", { className: "demo-said" }, place);
  said.setAttribute("aria-live", "polite");
  let shows = [];
  const redraw = () => {
    shows.forEach((show) => show());
    plots.forEach((plot) => plot.clear());
    said.textContent = demo.draw(state, plots);
  };
  shows = demo.controls.map((spec) => control(controls, spec, state, redraw));
  place.demo = { state, redraw };
  redraw();
};

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".demo").forEach(mount));
