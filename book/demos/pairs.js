"use strict";
/* Chapter 9: encoder against generator on tables, with an exact discriminator and one of four pairs of losses. */
Demos.pairs = (() => {
  const softplus = (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));
  /* Losses of the logit log P/Q of a pair: the encoder's and the generator's. */
  const LOSSES = {
    "joint KL": [(l) => softplus(-l) - Math.exp(-l) - 1, (l) => softplus(-l)],
    truncated: [(l) => softplus(-l), (l) => softplus(-l)],
    minimax: [(l) => -softplus(-l), (l) => -softplus(l)],
    swapped: [(l) => softplus(l), (l) => softplus(-l)],
  };
  const DATA = [0.5, 0.3, 0.2]; // p(x)
  const PRIOR = [0.6, 0.4]; // q(z)
  const EVERY = [0, 1, 2].flatMap((x) => [0, 1].map((z) => [x, z]));

  const table = (f) => DATA.map((_, x) => PRIOR.map((_, z) => f(x, z)));
  const softmax = (logs) => {
    const top = Math.max(...logs);
    const powers = logs.map((l) => Math.exp(l - top));
    return powers.map((p) => p / Sum(powers));
  };
  const columns = (q) => PRIOR.map((_, z) => q.map((row) => row[z]));
  const joints = ([p, q]) => [table((x, z) => DATA[x] * p[x][z]), table((x, z) => PRIOR[z] * q[x][z])];

  /* D exact, then both players take a gradient step in the logits of their tables p(z|x), rows, and q(x|z), columns. */
  const step = ([p, q], name, size) => {
    const [P, Q] = joints([p, q]);
    const [atP, atQ] = LOSSES[name].map((loss) => table((x, z) => loss(Math.log(P[x][z] / Q[x][z]))));
    const meanP = DATA.map((_, x) => p[x].reduce((sum, each, z) => sum + each * atP[x][z], 0));
    const meanQ = PRIOR.map((_, z) => q.reduce((sum, row, x) => sum + row[z] * atQ[x][z], 0));
    const nextP = DATA.map((_, x) => softmax(p[x].map((each, z) => Math.log(each) - size * P[x][z] * (atP[x][z] - meanP[x]))));
    const nextQ = columns(table((x, z) => Math.log(q[x][z]) - size * Q[x][z] * (atQ[x][z] - meanQ[z]))).map(softmax);
    return [nextP, table((x, z) => nextQ[z][x])];
  };

  /* Half the sum of |P - Q|. */
  const apart = (tables) => {
    const [P, Q] = joints(tables);
    return EVERY.reduce((sum, [x, z]) => sum + Math.abs(P[x][z] - Q[x][z]) / 2, 0);
  };

  /* Tables with random logits, the same for the same number. */
  const begin = (number) => {
    const wave = (i) => 1.3 * Math.sin(12.9898 * (i + 7 * number + 1));
    const p = DATA.map((_, x) => softmax(PRIOR.map((_, z) => wave(2 * x + z))));
    const q = PRIOR.map((_, z) => softmax(DATA.map((_, x) => wave(10 + 3 * z + x))));
    return [p, table((x, z) => q[z][x])];
  };

  const play = (start, name, size, steps) => {
    const path = [start];
    while (path.length <= steps) path.push(step(path.at(-1), name, size));
    return path;
  };
  const STEPS = 300;
  const KINDS = { "joint KL": "k3", truncated: "k2", minimax: "k4", swapped: "k1" };

  return {
    title: "four losses for encoder and generator",
    text: "Three values x, two codes z. Gray: P, the encoder's six pairs; colored: Q, the generator's, after 300 steps with an exact discriminator. Right: how far P and Q are apart, as a power of ten; thin: the other three losses from the same start. Before you choose “truncated”, predict whether its line falls.",
    plots: [
      { label: "The two joints after the last step", x: [0, 6], y: [0, 0.6], across: "pair (x, z)", up: "probability" },
      { label: "Total variation between the joints over the steps", x: [0, STEPS], y: [-8, 0], across: "step", up: "log₁₀ total variation" },
    ],
    controls: [
      { choice: "name", label: "losses", of: Object.keys(LOSSES) },
      { slider: "size", label: "step size", from: 0.5, to: 8, step: 0.5 },
      { button: "Another start", act: (s) => (s.number += 1) },
    ],
    start: () => ({ name: "joint KL", size: 4, number: 0 }),
    draw: (s, [left, right]) => {
      let last;
      for (const name of [...Object.keys(LOSSES).filter((each) => each !== s.name), s.name]) {
        last = play(begin(s.number), name, s.size, STEPS);
        const kind = name === s.name ? KINDS[name] : `${KINDS[name]} thin`;
        right.line(last.map((_, t) => t), last.map((each) => Math.log10(Math.max(1e-300, apart(each)))), kind);
      }
      const [P, Q] = joints(last.at(-1));
      EVERY.forEach(([x, z], i) => {
        left.bar(i + 0.1, i + 0.5, 0, P[x][z], "k0 fill");
        left.bar(i + 0.5, i + 0.9, 0, Q[x][z], `${KINDS[s.name]} fill`);
      });
      return `${s.name}: total variation ${apart(last[0]).toFixed(3)} at the start, ${Small(apart(last.at(-1)))} after ${STEPS} steps.`;
    },
    DATA,
    PRIOR,
    play,
    apart,
    begin,
  };
})();
