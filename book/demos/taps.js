"use strict";
/* Chapter 6: how many inputs reach each output of a transposed convolution, without padding, far from the border. */
Demos.taps = (() => {
  const SIDE = 12;

  /* Inputs that reach each of SIDE outputs along one axis: input i adds to the outputs i s, ..., i s + k - 1. */
  const counts = (kernel, stride) =>
    Array.from({ length: SIDE }, (_, r) => {
      const inputs = Grid(-SIDE, SIDE, 2 * SIDE + 1);
      return inputs.filter((i) => r - i * stride >= 0 && r - i * stride < kernel).length;
    });

  const said = (along) => {
    const [least, most] = [Math.min(...along), Math.max(...along)];
    if (least === most) return `Every output collects ${most} along an axis and ${most ** 2} in the plane: no pattern.`;
    if (least === 0) return `Some outputs collect 0 inputs, others ${most ** 2} in the plane: there are holes.`;
    return `Along an axis outputs collect ${least} or ${most} inputs, in the plane ${least ** 2} to ${most ** 2}: the variances differ by a factor of ${((most / least) ** 2).toFixed(2)}.`;
  };

  return {
    title: "which kernels draw a checkerboard before training?",
    text: "Left: how many inputs each output collects along one axis, which (6.5) takes for the variance at the start. Right: the same in the plane, where the counts of both axes multiply; the larger a square, the larger the variance of its pixel. Which kernels go with stride 2, and which with stride 3? What does a larger kernel do if the stride does not divide it?",
    plots: [
      { label: "Inputs of each output along one axis", x: [0, SIDE], y: [0, 12], across: "output", up: "inputs" },
      { label: "Inputs of each output in the plane", x: [0, SIDE], y: [0, SIDE], across: "column", up: "row" },
    ],
    controls: [
      { slider: "kernel", label: "kernel k", from: 1, to: 10, step: 1 },
      { slider: "stride", label: "stride s", from: 1, to: 5, step: 1 },
    ],
    start: () => ({ kernel: 5, stride: 2 }),
    draw: (s, [left, right]) => {
      const along = counts(s.kernel, s.stride);
      const most = Math.max(...along) ** 2;
      along.forEach((count, r) => left.bar(r + 0.1, r + 0.9, 0, count, "k1 fill"));
      along.forEach((across, r) =>
        along.forEach((up, t) => {
          const half = (0.48 * across * up) / most;
          right.bar(r + 0.5 - half, r + 0.5 + half, t + 0.5 - half, t + 0.5 + half, "k1 fill");
        }));
      return said(along);
    },
    counts,
  };
})();
