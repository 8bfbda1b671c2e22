"use strict";
/* Chapter 10: the exact game. Each round D is exact, and the generator minimizes its loss plus weight times KL(q||q_old). */
Demos.rounds = (() => {
  const P = [0.34, 0.26, 0.18, 0.12, 0.07, 0.03];
  const STARTS = {
    uniform: P.map(() => 1 / 6),
    "nearly all on the rarest": P.map((_, i) => (i === 5 ? 0.95 : 0.01)),
    "near the data": P.map((p, i) => p * (i % 2 ? 1.02 : 0.98)),
  };
  const normalized = (q) => q.map((each) => each / Sum(q));

  /* q_new is proportional to q_old D^(1/weight), with D = p/(p + q_old). */
  const round = (q, weight) => {
    const logs = q.map((each, i) => Math.log(each) - Math.log1p(each / P[i]) / weight);
    const top = Math.max(...logs);
    return normalized(logs.map((l) => Math.exp(l - top)));
  };

  const orbit = (start, weight, rounds) => Orbit(normalized(start), rounds, (q) => round(q, weight));

  /* (10.5) */
  const factor = (weight) => 1 - 1 / (2 * weight);
  const miss = (q) => Math.max(...q.map((each, i) => Math.abs(each / P[i] - 1)));

  return {
    title: "the exact game round by round",
    text: "Gray: the data, six values. Blue: the model after so many rounds. The generator pays the weight λ for the distance to its own last round. Predict from (10.5) what happens just above and just below λ = 1/4, then look at the right: it shows the largest |q/p − 1|, as a power of ten.",
    plots: [
      { label: "The data and the model after so many rounds", x: [0, 6], y: [0, 1], across: "value", up: "probability" },
      { label: "Largest relative error of the model over the rounds", x: [0, 60], y: [-8, 2], across: "round", up: "log₁₀ largest |q/p − 1|" },
    ],
    controls: [
      { slider: "power", label: "weight λ", from: -1.2, to: 1, step: 0.01, shown: (power) => Plot.short(10 ** power) },
      { choice: "from", label: "start", of: Object.keys(STARTS) },
      { slider: "round", label: "round shown", from: 0, to: 60, step: 1 },
    ],
    start: () => ({ power: -0.55, from: "uniform", round: 60 }),
    draw: (s, [left, right]) => {
      const weight = 10 ** s.power;
      const path = orbit(STARTS[s.from], weight, 60);
      P.forEach((p, i) => {
        left.bar(i + 0.1, i + 0.5, 0, p, "k0 fill");
        left.bar(i + 0.5, i + 0.9, 0, path[s.round][i], "k1 fill");
      });
      right.line(path.map((_, t) => t), path.map((q) => Math.log10(Math.max(1e-300, miss(q)))), "k1");
      right.dots([s.round], [Math.log10(Math.max(1e-300, miss(path[s.round])))], "k2 fill", 4);
      const near = factor(weight);
      const end = Math.abs(near) < 1 ? "a small deviation dies out" : near === -1 ? "a small deviation keeps its size" : "a small deviation grows";
      return `λ = ${Plot.short(weight)}: near the data a round multiplies a deviation by ${near.toFixed(3)}, so ${end}. After round ${s.round} the largest |q/p − 1| is ${Small(miss(path[s.round]))}.`;
    },
    P,
    round,
    orbit,
    factor,
  };
})();
