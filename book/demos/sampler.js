"use strict";
/* Chapter 16: from noise to data with the exact denoiser of a mixture on a line, on straight paths x_t = (1 - t) x + t noise. */
Demos.sampler = (() => {
  const MODES = { means: [-2, 0.5, 2], weights: [0.5, 0.3, 0.2] };
  const COUNT = 200;

  /* The exact E[x | x_t]. */
  const clean = (at, t, std) => {
    const [alpha, sigma] = [1 - t, t];
    const spread = alpha ** 2 * std ** 2 + sigma ** 2;
    const logs = MODES.means.map((m, k) => Math.log(MODES.weights[k]) - (at - alpha * m) ** 2 / (2 * spread));
    const top = Math.max(...logs);
    const shares = logs.map((l) => Math.exp(l - top));
    const total = Sum(shares);
    const center = shares.reduce((a, s, k) => a + (s / total) * MODES.means[k], 0);
    return center + ((alpha * std ** 2) / spread) * (at - alpha * center);
  };

  /* E[noise - x | x_t], which moves a point along its path. */
  const velocity = (at, t, std) => (at - clean(at, t, std)) / t;

  /* Positions at t = 1, ..., 0 of a point that starts at `at`, in equal steps. */
  const path = (at, steps, method, std) => {
    const found = [at];
    for (let i = 0; i < steps; i++) {
      const [t, s] = [1 - i / steps, 1 - (i + 1) / steps];
      const first = velocity(at, t, std);
      const ahead = at + (s - t) * first;
      at = method === "Heun" && i + 1 < steps ? at + ((s - t) * (first + velocity(ahead, s, std))) / 2 : ahead;
      found.push(at);
    }
    return found;
  };

  const density = (x, std) =>
    Sum(MODES.means.map((m, k) => MODES.weights[k] * Math.exp(LogNormal(x, m, std))));

  const normal = (x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

  /* COUNT evenly spread quantiles of a density on [-6, 6]: its distribution function, a sum over a fine grid, turned around. */
  const quantiles = (density) => {
    const step = 0.002;
    const below = [0];
    for (let i = 0; i < 6000; i++) below.push(below[i] + step * density(-6 + (i + 0.5) * step));
    let at = 0;
    return Array.from({ length: COUNT }, (_, i) => {
      const u = (i + 0.5) / COUNT;
      while (below[at + 1] < u) at++;
      return -6 + step * (at + (u - below[at]) / (below[at + 1] - below[at]));
    });
  };

  const STARTS = quantiles(normal);

  /* Where COUNT evenly spread starts end, and how far that is from the data on average (the cost of moving one to the other). */
  const run = (steps, method, std) => {
    const paths = STARTS.map((at) => path(at, steps, method, std));
    const ends = paths.map((p) => p.at(-1)).sort((a, b) => a - b);
    const miss = quantiles((x) => density(x, std)).reduce((sum, q, i) => sum + Math.abs(q - ends[i]) / COUNT, 0);
    return { paths, ends, miss };
  };

  return {
    title: "from noise to data in few steps",
    text: "The denoiser is exact here, so every error is the sampler's. Left: paths from noise (t = 1) to data (t = 0). Right: where 200 of them end, and the density of the data. How many calls of the denoiser does each method need until the distance falls below 0.05? Then make the modes narrower.",
    plots: [
      { label: "Paths from noise to data", x: [0, 1], y: [-3.5, 3.5], across: "1 − t", up: "x" },
      { label: "Ends of the paths and the density of the data", x: [-3.5, 3.5], y: [0, 1.2], across: "x", up: "density" },
    ],
    controls: [
      { choice: "method", label: "method", of: ["Euler (DDIM)", "Heun"] },
      { slider: "steps", label: "steps", from: 1, to: 50, step: 1 },
      { slider: "std", label: "width of the modes", from: 0.05, to: 0.5, step: 0.01 },
    ],
    start: () => ({ method: "Euler (DDIM)", steps: 5, std: 0.2 }),
    draw: (s, [left, right]) => {
      const { paths, ends, miss } = run(s.steps, s.method, s.std);
      const across = Array.from({ length: s.steps + 1 }, (_, i) => i / s.steps);
      paths.filter((_, i) => i % 5 === 2).forEach((p) => left.line(across, p, "k1 thin"));
      const xs = Array.from({ length: 281 }, (_, i) => -3.5 + i / 40);
      right.y = [0, Math.max(1.2, ...xs.map((x) => density(x, s.std)))];
      right.clear();
      for (let low = -3.5; low < 3.5; low += 0.1)
        right.bar(low, low + 0.095, 0, ends.filter((x) => x >= low && x < low + 0.1).length / COUNT / 0.1, "k1 fill");
      right.line(xs, xs.map((x) => density(x, s.std)), "k0");
      const calls = s.method === "Heun" ? 2 * s.steps - 1 : s.steps;
      return `${calls} call${calls > 1 ? "s" : ""} of the denoiser; mean distance to the data (the least cost of moving one to the other): ${miss.toFixed(3)}.`;
    },
    clean,
    path,
    run,
  };
})();
