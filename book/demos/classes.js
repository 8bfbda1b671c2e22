"use strict";
/* Chapter 4: what a code of the prior tells of its class, for three class means on a line. */
Demos.classes = (() => {
  const STEP = 0.05;
  const ZS = Grid(-14, 14, 561);
  const KINDS = ["k1", "k2", "k3"];
  const means = (apart) => [-apart, 0, apart];
  const shares = (middle) => [(1 - middle) / 2, middle, (1 - middle) / 2];

  /* The terms of (4.6) in nats: half the spread of the means, KL(q(z)||N(mean, 1)), I(y; z); and the entropy of the class. */
  const terms = (apart, middle) => {
    const [m, q] = [means(apart), shares(middle)]; // their mean is 0
    const parts = m.map((each) => ZS.map((z) => Math.exp(LogNormal(z, each, 1)) * STEP));
    const mixed = ZS.map((_, i) => Sum(parts.map((part, y) => q[y] * part[i])));
    const spread = Sum(m.map((each, y) => (q[y] * each ** 2) / 2));
    const information = Sum(parts.map((part, y) => q[y] * Kl(part, mixed)));
    return { spread, kl: Kl(mixed, parts[1]), information, entropy: -Sum(q.map((each) => each * Math.log(each))) };
  };

  return {
    title: "how much does a code of the prior tell of its class?",
    text: "Left: the prior of a VAE with class means, gray, and its three parts. Right, in nats: half the spread of the means, orange; what a code tells of the class, blue; the entropy H(y) of the class, gray. Up to which distance is the spread nearly the information? With equal shares, how far apart must the means be until a code tells nine tenths of H(y)?",
    plots: [
      { label: "A mixture of three Gaussians", x: [-9, 9], y: [0, 0.4], across: "code z", up: "density" },
      { label: "Spread, information and entropy over the distance of the means", x: [0, 5], y: [0, 2.4], across: "distance of neighbors", up: "nats" },
    ],
    controls: [
      { slider: "apart", label: "distance of neighboring means", from: 0, to: 5, step: 0.05 },
      { slider: "middle", label: "share of the middle class", from: 0.02, to: 0.96, step: 0.02 },
    ],
    start: () => ({ apart: 1, middle: 0.34 }),
    draw: (s, [left, right]) => {
      const parts = means(s.apart).map((m, y) => ZS.map((z) => shares(s.middle)[y] * Math.exp(LogNormal(z, m, 1))));
      parts.forEach((part, y) => left.line(ZS, part, KINDS[y]));
      left.line(ZS, ZS.map((_, i) => Sum(parts.map((part) => part[i]))), "k0");
      const distances = Grid(0, 5, 41);
      const along = distances.map((apart) => terms(apart, s.middle));
      right.line(distances, along.map((each) => each.spread), "k2");
      right.line(distances, along.map((each) => each.information), "k1");
      right.line(distances, along.map((each) => each.entropy), "k0 thin");
      const { spread, kl, information, entropy } = terms(s.apart, s.middle);
      right.dots([s.apart, s.apart], [spread, information], "k0 fill", 4);
      return `Half the spread ${spread.toFixed(3)} − KL ${Fixed(kl, 3)} = information ${Fixed(information, 3)} nats, of H(y) = ${entropy.toFixed(3)}.`;
    },
    terms,
  };
})();
