"use strict";
/* Chapter 2: EM on one column of numbers, one half-step at a click. */
Demos.em = (() => {
  const mean = (values) => Sum(values) / values.length;

  /* log q(x, z=k) of every point: rows of K numbers. model: {weights, means, variances}. */
  const logJoint = (xs, { weights, means, variances }) =>
    xs.map((x) => weights.map((w, k) => Math.log(w) + LogNormal(x, means[k], Math.sqrt(variances[k]))));

  const logSum = (row) => {
    const top = Math.max(...row);
    return top + Math.log(Sum(row.map((l) => Math.exp(l - top))));
  };

  /* (2.1): the responsibilities q(z|x). */
  const eStep = (xs, model) => logJoint(xs, model).map((row) => row.map((l) => Math.exp(l - logSum(row))));

  /* (2.3): weights, means and variances under the responsibilities. A component that nobody chooses keeps its place, and no
     variance falls below 1: that is the exact maximum under this condition, and rules out collapse. */
  const mStep = (xs, resp, last) => {
    const counts = last.means.map((_, k) => Sum(resp.map((row) => row[k])));
    const means = counts.map((n, k) => (n > 1e-9 ? Sum(xs.map((x, i) => resp[i][k] * x)) / n : last.means[k]));
    const variances = counts.map((n, k) =>
      n > 1e-9 ? Math.max(1, Sum(xs.map((x, i) => resp[i][k] * (x - means[k]) ** 2)) / n) : last.variances[k]);
    return { weights: counts.map((n) => Math.max(n / xs.length, 1e-12)), means, variances };
  };

  /* Nats per point: the log-likelihood, and the bound with given responsibilities. */
  const likelihood = (xs, model) => mean(logJoint(xs, model).map(logSum));
  const bound = (xs, model, resp) =>
    mean(logJoint(xs, model).map((row, i) => Sum(row.map((l, k) => (resp[i][k] > 0 ? resp[i][k] * (l - Math.log(resp[i][k])) : 0)))));

  /* K components of one width at points of the data, no two alike, for equal ones would stay equal; the same for the same
     number of the start. */
  const begin = (xs, k, number) => {
    const sorted = [...xs].sort((a, b) => a - b);
    const means = [];
    for (let i = 0; i < k; i++) {
      let at = (37 + 101 * number + 61 * i * (number + 1)) % sorted.length;
      while (means.includes(sorted[at])) at = (at + 1) % sorted.length;
      means.push(sorted[at]);
    }
    const all = mean(xs.map((x) => (x - mean(xs)) ** 2));
    return { weights: means.map(() => 1 / k), means, variances: means.map(() => all) };
  };

  const restart = (s) => {
    s.model = begin(s.xs, s.k, s.number);
    s.resp = null;
    s.stairs = [];
    return s;
  };
  const e = (s) => {
    s.resp = eStep(s.xs, s.model);
    s.stairs.push(bound(s.xs, s.model, s.resp));
  };
  const m = (s) => {
    if (!s.resp) return;
    s.model = mStep(s.xs, s.resp, s.model);
    s.stairs.push(bound(s.xs, s.model, s.resp));
  };
  const KINDS = ["k1", "k2", "k3", "k4"];

  return {
    title: "EM by hand on the waiting times of Old Faithful",
    text: "Left: how many eruptions had each waiting time, colored by the responsibilities, and the components. Right: the bound after every half-step. Take half-steps: the E-step changes the colors and not the curves, the M-step the curves and not the colors; the bound falls in neither. Which start needs longest?",
    plots: [
      { label: "Histogram of waiting times with the components of a mixture", x: [40, 100], y: [0, 0.06], across: "minutes", up: "share per minute" },
      { label: "The bound after every half-step", x: [0, 40], y: [-4.4, -3.7], across: "half-steps", up: "bound, nats" },
    ],
    controls: [
      { slider: "k", label: "components", from: 1, to: 4, step: 1, changed: restart },
      { button: "E-step", act: e },
      { button: "M-step", act: m },
      { button: "Ten of both", act: (s) => Array.from({ length: 10 }).forEach(() => [e, m].forEach((half) => half(s))) },
      { button: "Another start", act: (s) => restart(Object.assign(s, { number: s.number + 1 })) },
    ],
    start: (xs) => restart({ xs, k: 2, number: 0 }),
    draw: (s, [left, right]) => {
      const n = s.xs.length;
      for (let low = 40; low < 100; low += 3) {
        const inside = s.xs.map((x, i) => i).filter((i) => s.xs[i] >= low && s.xs[i] < low + 3);
        let foot = 0;
        s.model.means.forEach((_, k) => {
          const share = s.resp ? Sum(inside.map((i) => s.resp[i][k])) : k === 0 ? inside.length : 0;
          left.bar(low, low + 2.8, foot, foot + share / n / 3, s.resp ? `${KINDS[k]} fill` : "k0 fill");
          foot += share / n / 3;
        });
      }
      const xs = Array.from({ length: 181 }, (_, i) => 40 + i / 3);
      s.model.means.forEach((mu, k) =>
        left.line(xs, xs.map((x) => s.model.weights[k] * Math.exp(LogNormal(x, mu, Math.sqrt(s.model.variances[k])))), KINDS[k]));
      const at = s.stairs.map((_, i) => i + 1);
      right.x = [0, Math.max(40, at.length)];
      right.y = [Math.min(-4.4, ...s.stairs.map((each) => Math.floor(10 * each) / 10)), -3.7];
      right.clear();
      right.line(at, s.stairs, "k0");
      right.dots(at, s.stairs, "k0", 2);
      const numbers = s.model.means.map((mu, k) => `${(100 * s.model.weights[k]).toFixed(0)} % at ${mu.toFixed(1)} ± ${Math.sqrt(s.model.variances[k]).toFixed(1)}`);
      return `Log-likelihood ${likelihood(s.xs, s.model).toFixed(4)} nats per eruption; components: ${numbers.join(", ")}.`;
    },
    eStep,
    mStep,
    likelihood,
    bound,
    begin,
  };
})();
