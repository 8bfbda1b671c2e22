"use strict";
/* Chapter 7: the best generator that does not see the class, while the discriminator does; two Gaussian classes on a line. */
Demos.blind = (() => {
  const STEP = 0.05;
  const XS = Grid(-15, 15, 601);

  /* The classes' densities, their mixture, KL(p(c)||p(c|x)) at each x, the best q(x), and the KL that is left. (7.7) */
  const best = ({ apart, share, std }) => {
    const [q, logs] = [[share, 1 - share], XS.map((x) => [LogNormal(x, -apart, 1), LogNormal(x, apart, std)])];
    const marginal = logs.map((row) => Sum(row.map((log, c) => q[c] * Math.exp(log))));
    const mean = logs.map((row) => Sum(row.map((log, c) => q[c] * log))); // log of the geometric mean
    const weights = mean.map((log) => Math.exp(log) * STEP);
    const total = Sum(weights);
    return {
      marginal,
      telling: XS.map((_, i) => Math.log(marginal[i]) - mean[i]),
      made: weights.map((weight) => weight / (total * STEP)),
      left: -Math.log(total),
    };
  };

  return {
    title: "what does a generator make that does not see the class?",
    text: "Left, gray: the data, two classes; blue: the best q(x) of (7.7), for a discriminator that sees the class and a generator that does not. Right: how much x tells of the class, KL(p̃(c)‖p̃(c|x)). Pull the classes apart: where does q go? Then make the right class wide, and one class rare.",
    plots: [
      { label: "Density of the data and of the best blind generator", x: [-8, 8], y: [0, 0.8], across: "x", up: "density" },
      { label: "What x tells of the class", x: [-8, 8], y: [0, 12], across: "x", up: "nats" },
    ],
    controls: [
      { slider: "apart", label: "classes at ±", from: 0, to: 4, step: 0.05 },
      { slider: "share", label: "share of the left class", from: 0.05, to: 0.95, step: 0.05 },
      { slider: "std", label: "standard deviation of the right class", from: 0.5, to: 3, step: 0.05 },
    ],
    start: () => ({ apart: 2, share: 0.5, std: 1 }),
    draw: (s, [left, right]) => {
      const { marginal, telling, made, left: rest } = best(s);
      left.line(XS, marginal, "k0");
      left.line(XS, made, "k1");
      right.line(XS, telling, "k2");
      const mean = Sum(made.map((each, i) => each * XS[i] * STEP));
      const there = marginal[Math.round((mean - XS[0]) / STEP)] / Math.max(...marginal);
      return `q has its mean at ${Fixed(mean, 2)}, where the data have ${(100 * there).toFixed(0)} % of their highest density; ${Fixed(rest, 3)} nats are left of the KL.`;
    },
    XS,
    best,
  };
})();
