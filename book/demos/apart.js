"use strict";
/* Chapter 17: three distances between two points, widened by Gaussian noise. */
Demos.apart = (() => {
  const STEP = 0.02;
  const XS = Grid(-12, 18, 1501);

  /* JS in nats of N(0, noise^2) and N(t, noise^2), as a sum over a grid. */
  const js = (t, noise) => {
    const [p, q] = [0, t].map((mean) => XS.map((x) => Math.exp(LogNormal(x, mean, noise)) * STEP));
    const mixed = p.map((each, i) => (each + q[i]) / 2);
    return (Kl(p, mixed) + Kl(q, mixed)) / 2;
  };
  const kl = (t, noise) => t ** 2 / (2 * noise ** 2);

  /* The squared MMD with a Gaussian kernel of this width; the noise widens the kernel. */
  const mmd = (t, noise, width) => {
    const wide = width ** 2 + 2 * noise ** 2;
    return (width / Math.sqrt(wide)) * 2 * (1 - Math.exp(-(t ** 2) / (2 * wide)));
  };
  const slope = (f, t) => (f(t + 1e-4) - f(t - 1e-4)) / 2e-4;

  return {
    title: "which distance says that a far model is far?",
    text: "The data are one point and the model is another, both widened by Gaussian noise. Left: distances over t; W₁ gray, JS blue, squared MMD orange. Right: their slopes, which a model that moves its point would follow (at small noise JS and MMD leave the picture for a moment). Make the noise small: (17.5) is its limit. Which distance still has a slope at t = 5, and what would you change so that the others have one?",
    plots: [
      { label: "Three distances over the distance of the points", x: [0, 6], y: [0, 6], across: "t", up: "distance" },
      { label: "Their slopes", x: [0, 6], y: [0, 1.2], across: "t", up: "slope" },
    ],
    controls: [
      { slider: "t", label: "distance t", from: 0.05, to: 6, step: 0.05 },
      { slider: "noise", label: "standard deviation of the noise", from: 0.05, to: 2, step: 0.05 },
      { slider: "width", label: "width of the kernel", from: 0.1, to: 4, step: 0.1 },
    ],
    start: () => ({ t: 3, noise: 0.5, width: 1 }),
    draw: (s, [left, right]) => {
      const ts = Grid(0, 6, 61);
      const found = [(t) => t, (t) => js(t, s.noise), (t) => mmd(t, s.noise, s.width)];
      found.forEach((f, i) => {
        const at = ts.map(f);
        left.line(ts, at, `k${i}`);
        right.line(ts.slice(1), ts.slice(1).map((t) => slope(f, t)), `k${i}`);
        left.dots([s.t], [f(s.t)], `k${i} fill`, 4);
        right.dots([s.t], [slope(f, s.t)], `k${i} fill`, 4);
      });
      return `At t = ${s.t.toFixed(2)}: W₁ ${s.t.toFixed(2)}, JS ${js(s.t, s.noise).toFixed(4)} of log 2 = 0.6931, squared MMD ${mmd(s.t, s.noise, s.width).toFixed(4)}; KL ${Plot.short(kl(s.t, s.noise))} nats.`;
    },
    js,
    kl,
    mmd,
  };
})();
