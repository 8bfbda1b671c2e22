"use strict";
/* Chapter 1: one Gaussian against two humps, by both directions of the KL, which are sums over a grid. */
Demos.two_kls = (() => {
  const STD = 0.7; // of each hump
  const STEP = 0.02;
  const GRID = Array.from({ length: 2401 }, (_, i) => (i - 1200) * STEP); // as far as the widest q that can be chosen

  /* log p at x: two humps of weight 1/2 at -apart and apart. */
  const logHumps = (x, apart) => LogHumps(x, -apart, apart, STD);

  /* KL(p||q) and KL(q||p) in nats, q = N(mean, std^2). */
  const kls = (apart, mean, std) => {
    let [forward, reverse] = [0, 0];
    for (const x of GRID) {
      const [p, q] = [logHumps(x, apart), LogNormal(x, mean, std)];
      forward += Math.exp(p) * (p - q) * STEP;
      reverse += Math.exp(q) * (q - p) * STEP;
    }
    return { forward, reverse };
  };

  /* (1.9): the least KL(p||q) has the mean and the variance of p. */
  const fitForward = (apart) => ({ mean: 0, std: Math.sqrt(apart ** 2 + STD ** 2) });

  /* A local minimum of KL(q||p) near a start: in mean and log std, a step that improves is kept, and one that does not is halved. */
  const fitReverse = (apart, mean, std) => {
    let best = kls(apart, mean, std).reverse;
    for (let step = 0.4; step > 1e-5; ) {
      const tries = [[step, 0], [-step, 0], [0, step], [0, -step]].map(([a, b]) => [mean + a, std * Math.exp(b)]);
      const found = tries.map(([m, s]) => kls(apart, m, s).reverse);
      const least = found.indexOf(Math.min(...found));
      if (found[least] < best) {
        [best, [mean, std]] = [found[least], tries[least]];
      } else step /= 2;
    }
    return { mean, std };
  };

  return {
    title: "which Gaussian is nearest to two humps?",
    text: "Left, gray: p, two humps; blue: q, one Gaussian. Right: KL(p‖q) in green and KL(q‖p) in orange, over the mean of q at its present standard deviation. Before you press a button, guess where it will put q. Then pull the humps together: below some distance both directions agree on where the mean is.",
    plots: [
      { label: "Two humps p and one Gaussian q on a line", x: [-6, 6], y: [0, 0.6], across: "x", up: "density" },
      { label: "Both divergences over the mean of q", x: [-4, 4], y: [0, 8], across: "mean of q", up: "nats" },
    ],
    controls: [
      { slider: "apart", label: "humps at ±", from: 0, to: 4, step: 0.05 },
      { slider: "mean", label: "mean of q", from: -4, to: 4, step: 0.05 },
      { slider: "std", label: "standard deviation of q", from: 0.3, to: 4, step: 0.05 },
      { button: "Least KL(p‖q)", act: (s) => Object.assign(s, fitForward(s.apart)) },
      { button: "Least KL(q‖p) from here", act: (s) => Object.assign(s, fitReverse(s.apart, s.mean, s.std)) },
    ],
    start: () => ({ apart: 3, mean: 0.5, std: 1 }),
    draw: (s, [left, right]) => {
      const xs = GRID.filter((x, i) => i % 2 === 0 && Math.abs(x) <= 6);
      left.line(xs, xs.map((x) => Math.exp(logHumps(x, s.apart))), "k0");
      left.line(xs, xs.map((x) => Math.exp(LogNormal(x, s.mean, s.std))), "k1");
      const means = Array.from({ length: 65 }, (_, i) => -4 + i / 8);
      const along = means.map((mean) => kls(s.apart, mean, s.std));
      right.line(means, along.map((each) => each.forward), "k3");
      right.line(means, along.map((each) => each.reverse), "k2");
      const { forward, reverse } = kls(s.apart, s.mean, s.std);
      right.dots([s.mean], [forward], "k3 fill", 4);
      right.dots([s.mean], [reverse], "k2 fill", 4);
      return `KL(p‖q) = ${forward.toFixed(3)} nats, KL(q‖p) = ${reverse.toFixed(3)} nats.`;
    },
    kls,
    fitForward,
    fitReverse,
  };
})();
