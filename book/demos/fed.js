"use strict";
/* Chapter 15: scheduled sampling on two bits. With probability rate the model's own x1 is fed, the target stays the data's x2. */
Demos.fed = (() => {
  /* The joint of two bits with P(x1 = 1) = P(x2 = 1) = one; at tie 0 independent, at 1 always equal. p[x1][x2] */
  const joint = (one, tie) => {
    const [a, b] = [one, 1 - one];
    return [[b * (b + tie * a), a * b * (1 - tie)], [a * b * (1 - tie), a * (a + tie * b)]];
  };

  /* (15.11): the conditional that training tends to, and the joint of what is then drawn. */
  const trained = (p, rate) => p.map((row) => row.map((each, j) => ((1 - rate) * each) / Sum(row) + rate * (p[0][j] + p[1][j])));
  const drawn = (p, rate) => trained(p, rate).map((row, i) => row.map((each) => Sum(p[i]) * each));
  const left = (p, rate) => Kl(p.flat(), drawn(p, rate).flat());
  const NAMES = ["00", "01", "10", "11"];

  return {
    title: "what scheduled sampling settles on",
    text: "Left: how often each pair of bits occurs in the data, gray, and in what the best model of (15.11) draws, blue. Right: the KL that is left, over the rate at which the model's own first bit is fed, and the mutual information of the bits, gray. Is a small rate harmless? What is lost at rate 1, and for which data is nothing lost?",
    plots: [
      { label: "Pairs of bits in data and model", x: [0, 4], y: [0, 1], across: `pairs ${NAMES.join(", ")}`, up: "probability" },
      { label: "What is left of the KL over the rate", x: [0, 1], y: [0, 0.8], across: "rate ρ", up: "nats" },
    ],
    controls: [
      { slider: "rate", label: "rate ρ", from: 0, to: 1, step: 0.01 },
      { slider: "tie", label: "correlation of the bits", from: 0, to: 0.98, step: 0.02 },
      { slider: "one", label: "probability of a 1", from: 0.05, to: 0.95, step: 0.05 },
    ],
    start: () => ({ rate: 0.25, tie: 0.9, one: 0.5 }),
    draw: (s, [bars, right]) => {
      const p = joint(s.one, s.tie);
      const q = drawn(p, s.rate).flat();
      p.flat().forEach((each, i) => {
        bars.bar(i + 0.1, i + 0.48, 0, each, "k0 fill");
        bars.bar(i + 0.52, i + 0.9, 0, q[i], "k1 fill");
      });
      const rates = Grid(0, 1, 51);
      right.line(rates, rates.map((rate) => left(p, rate)), "k1");
      right.line([0, 1], [left(p, 1), left(p, 1)], "k0 thin");
      right.dots([s.rate], [left(p, s.rate)], "k2 fill", 4);
      return `${Fixed(left(p, s.rate), 4)} nats are left, of ${Fixed(left(p, 1), 4)} that one bit tells of the other.`;
    },
    joint,
    trained,
    left,
  };
})();
