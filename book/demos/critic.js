"use strict";
/* Chapter 12: the penalized critic between two points: data at 0, the model at distance d, slope psi between them. */
Demos.critic = (() => {
  const value = (psi, d, weight) => psi * d - weight * (Math.abs(psi) - 1) ** 2;

  /* (12.6): the best slope and the best value. */
  const best = (d, weight) => ({ slope: 1 + d / (2 * weight), value: d + d ** 2 / (4 * weight) });

  return {
    title: "how steep is the best critic under the penalty?",
    text: "All data lie at one point and all samples at another, at distance d. Left: gain minus penalty over the critic's slope ψ, with its largest value (for small λ outside the picture); at ψ = 1 the penalty is 0, and the gain is W₁ = d. Right: the largest value, blue, and W₁, gray, over d. Guess first: does a larger weight λ bring the slope nearer to 1? Which λ keeps the value within a tenth of W₁ at d = 3?",
    plots: [
      { label: "Gain minus penalty over the slope", x: [0, 5], y: [-2, 8], across: "slope ψ", up: "gain − penalty" },
      { label: "Largest value and Wasserstein distance over the distance of the points", x: [0, 4], y: [0, 8], across: "distance d", up: "value" },
    ],
    controls: [
      { slider: "d", label: "distance d", from: 0, to: 4, step: 0.05 },
      { slider: "log", label: "weight λ", from: -1, to: 1.5, step: 0.05, shown: (log) => (10 ** log).toFixed(2) },
    ],
    start: () => ({ d: 2, log: 0 }),
    draw: (s, [left, right]) => {
      const weight = 10 ** s.log;
      const slopes = Grid(0, 5, 101);
      const { slope, value: most } = best(s.d, weight);
      left.line(slopes, slopes.map((psi) => value(psi, s.d, weight)), "k1");
      left.line([1, 1], [-2, 8], "k0 thin");
      left.dots([1], [s.d], "k0 fill", 4);
      left.dots([slope], [most], "k2 fill", 4);
      const distances = Grid(0, 4, 81);
      right.line(distances, distances, "k0");
      right.line(distances, distances.map((d) => best(d, weight).value), "k1");
      right.dots([s.d], [most], "k2 fill", 4);
      return `Best slope ${slope.toFixed(3)}; value ${most.toFixed(3)} for W₁ = ${s.d.toFixed(2)}. A generator that moves its point is pulled with ${slope.toFixed(3)}, where W₁ itself would pull with 1.`;
    },
    value,
    best,
  };
})();
