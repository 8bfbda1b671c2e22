"use strict";
/* Chapter 8: the codes of n images on a line, Gaussians of width h, against the prior N(0, 1). */
Demos.aggregate = (() => {
  const ZS = Grid(-4, 4, 401); // that are drawn
  const centers = (n, reach) => Grid(-reach, reach, n);

  const density = (codes, h, zs) => zs.map((z) => Sum(codes.map((e) => Math.exp(LogNormal(z, e, h)))) / codes.length);

  /* In nats: the KL term of a VAE; I(x; z); KL(p(z)||q(z)). The first is the sum of the other two, as in (8.2). */
  const terms = (codes, h) => {
    const each = Sum(codes.map((e) => (h ** 2 + e ** 2 - 1) / 2 - Math.log(h))) / codes.length;
    const end = Math.max(...codes.map(Math.abs)) + 9 * h;
    const zs = Grid(-end, end, 2 * Math.ceil((4 * end) / h) + 1); // four points or more in each h
    const p = density(codes, h, zs);
    const kl = (zs[1] - zs[0]) * Sum(p.map((each, i) => (each > 0 ? each * (Math.log(each) - LogNormal(zs[i], 0, 1)) : 0)));
    return { each, information: each - kl, kl };
  };

  return {
    title: "what the prior asks of all codes together, and of each",
    text: "Left: the prior, gray, and the law p(z) of all codes, blue: n Gaussians of width h. Right, over h: the KL term of a VAE, gray, is what codes tell of their image, orange, and KL(p(z)‖q(z)), green, which is all of it that an adversarial autoencoder pays. Which width is best for each? Then let h go down until the codes do not overlap: (8.6) says how the green line rises from there, and where the orange one ends.",
    plots: [
      { label: "Prior and law of all codes", x: [-4, 4], y: [0, 1], across: "code z", up: "density" },
      { label: "Both terms and their sum over the width", x: [-2, 0.5], y: [0, 9], across: "log₁₀ h", up: "nats" },
    ],
    controls: [
      { slider: "log", label: "width h", from: -2, to: 0.5, step: 0.02, shown: (log) => (10 ** log).toFixed(3) },
      { slider: "n", label: "images n", from: 2, to: 16, step: 1 },
      { slider: "reach", label: "codes from − to", from: 0.5, to: 3, step: 0.05 },
    ],
    start: () => ({ log: -0.4, n: 5, reach: 1.5 }),
    draw: (s, [left, right]) => {
      const codes = centers(s.n, s.reach);
      left.line(ZS, ZS.map((z) => Math.exp(LogNormal(z, 0, 1))), "k0");
      left.line(ZS, density(codes, 10 ** s.log, ZS), "k1");
      left.dots(codes, codes.map(() => 0.02), "k1 fill", 3);
      const logs = Grid(-2, 0.5, 26);
      const along = logs.map((log) => terms(codes, 10 ** log));
      right.line(logs, along.map((t) => t.each), "k0");
      right.line(logs, along.map((t) => t.information), "k2");
      right.line(logs, along.map((t) => t.kl), "k3");
      const { each, information, kl } = terms(codes, 10 ** s.log);
      right.dots([s.log], [information], "k2 fill", 4);
      right.dots([s.log], [kl], "k3 fill", 4);
      return `KL term ${each.toFixed(3)} = I(x;z) ${information.toFixed(3)} + KL(p(z)‖q(z)) ${kl.toFixed(3)} nats; log n = ${Math.log(s.n).toFixed(3)}.`;
    },
    centers,
    terms,
  };
})();
