"use strict";
/* Chapter 3: the optimal linear VAE on data with known eigenvalues, as the variance of the decoder's noise moves. */
Demos.codes = (() => {
  const VALUES = [6, 4, 2.6, 1.7, 1.1, 0.7, 0.45];

  /* (3.9): nats of code per direction, and squared error per direction. */
  const rates = (noise) => VALUES.map((value) => Math.max(0, Math.log(value / noise) / 2));
  const distortions = (noise) => VALUES.map((value) => Math.min(value, noise));

  /* (3.6): the best mean log-likelihood with `codes` codes, in nats; the ELBO of the optimal linear VAE is the same. */
  const likelihood = (codes, noise) => {
    const variances = VALUES.map((value, j) => (j < codes ? Math.max(value, noise) : noise));
    return variances.reduce((sum, v, j) => sum - (Math.log(2 * Math.PI * v) + VALUES[j] / v) / 2, 0);
  };

  return {
    title: "how many codes does the optimum use?",
    text: "Left: the eigenvalues of the data; what lies below the line is error, what lies above it is sent in codes. Right: rate and distortion at every noise, and at yours. How many codes are used at σ² = 1.35? Then give fewer codes than that, and look for the σ² that is best for them: (3.7) says where it lies.",
    plots: [
      { label: "Eigenvalues and the noise variance", x: [0, 7], y: [0, 6.4], across: "direction", up: "variance" },
      { label: "Rate and distortion of the optimal linear VAE", x: [0, 17], y: [0, 8], across: "squared error D", up: "rate R, nats" },
    ],
    controls: [
      { slider: "noise", label: "noise variance σ²", from: 0.1, to: 6.5, step: 0.05 },
      { slider: "codes", label: "codes given", from: 1, to: 7, step: 1 },
    ],
    start: () => ({ noise: 3, codes: 7 }),
    draw: (s, [left, right]) => {
      VALUES.forEach((value, j) => {
        const used = j < s.codes && value > s.noise;
        left.bar(j + 0.12, j + 0.88, 0, Math.min(value, s.noise), "k0 fill");
        if (value > s.noise) left.bar(j + 0.12, j + 0.88, s.noise, value, used ? "k1 fill" : "k0 fill");
      });
      left.line([0, 7], [s.noise, s.noise], "k2");
      const noises = Array.from({ length: 130 }, (_, i) => 0.1 + i * 0.05);
      const given = (values, rest) => values.map((value, j) => (j < s.codes ? value : rest[j]));
      const none = VALUES.map(() => 0);
      const at = (noise) => [Sum(given(distortions(noise), VALUES)), Sum(given(rates(noise), none))];
      right.line(...[0, 1].map((i) => noises.map((noise) => at(noise)[i])), "k1");
      const [distortion, rate] = at(s.noise);
      right.dots([distortion], [rate], "k2 fill", 4);
      const used = VALUES.filter((value, j) => j < s.codes && value > s.noise).length;
      return `${used} of ${s.codes} codes in use; rate ${rate.toFixed(2)} nats, squared error ${distortion.toFixed(2)}, ELBO ${likelihood(s.codes, s.noise).toFixed(3)} nats.`;
    },
    VALUES,
    rates,
    distortions,
    likelihood,
  };
})();
