"use strict";
/* Chapter 14: samples and reconstructions before one discriminator, or before one each; x has two values. */
Demos.shared = (() => {
  const KINDS = ["k0", "k3", "k4", "k1"];
  const pair = (share) => [share, 1 - share];

  /* In nats: what two discriminators charge, KL(q||data) + KL(rho||data); what one charges, 2 KL(mixture||data); 2 JS(q, rho). */
  const charges = ({ data, samples, rebuilt }) => {
    const [p, q, rho] = [data, samples, rebuilt].map(pair);
    const mixed = q.map((each, i) => (each + rho[i]) / 2);
    return { two: Kl(q, p) + Kl(rho, p), one: 2 * Kl(mixed, p), unseen: Kl(q, mixed) + Kl(rho, mixed) };
  };

  return {
    title: "what one discriminator for both does not see",
    text: "x has two values. Left: how often the first one occurs in data, samples, reconstructions, and in samples and reconstructions together. Right: what is charged, over the share in reconstructions: two discriminators, orange, and a shared one, blue. Find samples and reconstructions that are both wrong and cost nothing with the shared one. Where does it see everything?",
    plots: [
      { label: "Share of the first value in the four laws", x: [0, 4], y: [0, 1], across: "data, samples, reconstructions, both", up: "share" },
      { label: "What is charged over the share in reconstructions", x: [0, 1], y: [0, 5], across: "share in reconstructions", up: "nats" },
    ],
    controls: [
      { slider: "data", label: "share in the data", from: 0.1, to: 0.9, step: 0.05 },
      { slider: "samples", label: "share in samples", from: 0, to: 1, step: 0.01 },
      { slider: "rebuilt", label: "share in reconstructions", from: 0, to: 1, step: 0.01 },
    ],
    start: () => ({ data: 0.5, samples: 0.9, rebuilt: 0.4 }),
    draw: (s, [left, right]) => {
      const shares = [s.data, s.samples, s.rebuilt, (s.samples + s.rebuilt) / 2];
      shares.forEach((share, i) => left.bar(i + 0.15, i + 0.85, 0, share, `${KINDS[i]} fill`));
      left.line([0, 4], [s.data, s.data], "k0 thin");
      const along = Grid(0, 1, 51);
      right.line(along, along.map((rebuilt) => charges({ ...s, rebuilt }).two), "k2");
      right.line(along, along.map((rebuilt) => charges({ ...s, rebuilt }).one), "k1");
      const { two, one, unseen } = charges(s);
      right.dots([s.rebuilt, s.rebuilt], [two, one], "k0 fill", 4);
      return `Two discriminators charge ${two.toFixed(3)} nats, a shared one ${one.toFixed(3)}; unseen are 2 JS = ${unseen.toFixed(3)}.`;
    },
    charges,
  };
})();
