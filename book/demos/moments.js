"use strict";
/* Chapter 11: what a Gaussian with the same moments forgets. Features of samples with two humps, data N(0, 1). */
Demos.moments = (() => {
  const STEP = 0.01;
  const HS = Grid(-16, 16, 3201);

  const logHumps = (h, { apart, middle, std }) => LogHumps(h, middle - apart, middle + apart, std);

  /* In nats: KL(q||N(0, 1)) and its two parts in (11.3), what the Gaussian forgets and what it sees; and the Frechet distance. */
  const terms = (s) => {
    const variance = s.apart ** 2 + s.std ** 2;
    const seen = (variance + s.middle ** 2 - 1 - Math.log(variance)) / 2;
    const all = Sum(HS.map((h) => {
      const log = logHumps(h, s);
      return Math.exp(log) * (log - LogNormal(h, 0, 1)) * STEP;
    }));
    return { all, seen, forgotten: all - seen, frechet: s.middle ** 2 + (Math.sqrt(variance) - 1) ** 2 };
  };

  /* Mean 0 and variance 1, at the distance of the humps or the nearest at which that can be had. */
  const match = (s) => {
    const apart = Math.min(s.apart, 0.99);
    return { apart, middle: 0, std: Math.sqrt(1 - apart ** 2) };
  };

  return {
    title: "samples that are far from the data at a Fréchet distance of 0",
    text: "Left: features of the data, gray; of samples, blue; and the Gaussian with the mean and variance of the samples, orange dashes, which is all that a Fréchet distance sees. Right: KL(q‖data), blue, and the part that the Gaussian sees, orange, over the distance of the humps. Give q the moments of the data with the button. How does the KL grow as the humps move towards ±1 and become narrow, at a Fréchet distance of 0?",
    plots: [
      { label: "Densities of features", x: [-4, 4], y: [0, 1.6], across: "feature h", up: "density" },
      { label: "The KL and what a Gaussian sees of it", x: [0, 2], y: [0, 5.6], across: "half distance of the humps", up: "nats" },
    ],
    controls: [
      { slider: "apart", label: "humps at ±", from: 0, to: 2, step: 0.01 },
      { slider: "middle", label: "middle", from: -2, to: 2, step: 0.05 },
      { slider: "std", label: "width of a hump", from: 0.1, to: 2, step: 0.01 },
      { button: "Moments of the data", act: (s) => Object.assign(s, match(s)) },
    ],
    start: () => ({ apart: 1.2, middle: 0.5, std: 0.4 }),
    draw: (s, [left, right]) => {
      const shown = HS.filter((h, i) => Math.abs(h) <= 4 && i % 4 === 0);
      const spread = Math.sqrt(s.apart ** 2 + s.std ** 2);
      left.line(shown, shown.map((h) => Math.exp(LogNormal(h, 0, 1))), "k0");
      left.line(shown, shown.map((h) => Math.exp(LogNormal(h, s.middle, spread))), "k2 dashed");
      left.line(shown, shown.map((h) => Math.exp(logHumps(h, s))), "k1");
      const distances = Grid(0, 2, 21);
      const along = distances.map((apart) => terms({ ...s, apart }));
      right.line(distances, along.map((each) => each.all), "k1");
      right.line(distances, along.map((each) => each.seen), "k2");
      const { all, seen, forgotten, frechet } = terms(s);
      right.dots([s.apart], [all], "k1 fill", 4);
      right.dots([s.apart], [seen], "k2 fill", 4);
      return `KL ${all.toFixed(3)} = forgotten ${Fixed(forgotten, 3)} + seen ${seen.toFixed(3)} nats; squared Fréchet distance ${frechet.toFixed(3)}.`;
    },
    terms,
    match,
  };
})();
