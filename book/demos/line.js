"use strict";
/* Chapter 13: AGE on a line. Data N(0, v), samples N(0, w^2), codes e x; e climbs V of (13.5), w descends it, both at once. */
Demos.line = (() => {
  const value = (e, w, v) => (e ** 2 * (w ** 2 - v) - Math.log(w ** 2 / v)) / 2;
  const step = (e, w, v, eta) => [e + eta * e * (w ** 2 - v), w - eta * (e ** 2 * w - 1 / w)];

  const orbit = ({ e, w, v, eta }, steps) => Orbit([e, w], steps, (at) => step(...at, v, eta));

  /* The larger modulus of the eigenvalues at rest, e = 1/w and w^2 = v; (13.9) where they are a complex pair. */
  const growth = (v, eta) => Modulus(2 - (2 * eta) / v, 1 - (2 * eta) / v + 4 * eta ** 2);

  return {
    title: "an encoder and a generator without a best encoder",
    text: "Left: encoder e and width w of the samples, from the square on; the ring is the point of rest. Right: how far they are from it, as a power of ten. No encoder is best, and yet small steps settle. At which step size does that end for v = 1, and what does (13.9) say to larger v? Then begin farther away.",
    plots: [
      { label: "Orbit of encoder and generator", x: [0, 3], y: [0, 3], across: "encoder e", up: "width w" },
      { label: "Distance from the point of rest over the steps", x: [0, 200], y: [-8, 2], across: "step", up: "log₁₀ distance" },
    ],
    controls: [
      { slider: "eta", label: "step size η", from: 0.01, to: 0.7, step: 0.01 },
      { slider: "v", label: "variance of the data v", from: 0.3, to: 3, step: 0.05 },
      { slider: "e", label: "encoder begins at", from: 0.1, to: 2.5, step: 0.05 },
      { slider: "w", label: "generator begins at", from: 0.3, to: 2.5, step: 0.05 },
    ],
    start: () => ({ eta: 0.1, v: 1, e: 0.6, w: 0.8 }),
    draw: (s, [left, right]) => {
      const rest = [s.v ** -0.5, s.v ** 0.5];
      const path = orbit(s, 200).filter(([e, w]) => Number.isFinite(e + w)).map((at) => at.map(Math.abs)); // no law has a sign
      left.line(...[0, 1].map((i) => path.map((at) => at[i])), "k1");
      left.dots(...[0, 1].map((i) => path.map((at) => at[i])), "k1 fill", 1.6);
      left.dots([rest[0]], [rest[1]], "k0", 5);
      left.bar(s.e - 0.04, s.e + 0.04, s.w - 0.04, s.w + 0.04, "k0 fill");
      const far = path.map(([e, w]) => Math.log10(Math.max(1e-300, Math.hypot(e - rest[0], w - rest[1]))));
      right.line(path.map((_, t) => t), far, "k1");
      const factor = growth(s.v, s.eta);
      const end = ["it settles, from near enough", "what is left out near it decides", "it moves away"][Beside1(factor) + 1];
      return `Near the point of rest a deviation is multiplied by ${factor.toFixed(4)} per step, so ${end}. V at the beginning: ${value(s.e, s.w, s.v).toFixed(3)}.`;
    },
    value,
    orbit,
    growth,
  };
})();
