"use strict";
/* Chapter 5: the smallest game. Data at 0, the model at theta, the discriminator's logit psi x. */
Demos.dirac = (() => {
  const sigmoid = (a) => 1 / (1 + Math.exp(-a));
  const LOSSES = {
    minimax: (theta, psi) => psi * sigmoid(psi * theta),
    "non-saturating": (theta, psi) => psi * sigmoid(-psi * theta),
  };
  const discriminator = (theta, psi, penalty) => -theta * sigmoid(psi * theta) - penalty * psi;

  /* One step of both players: [theta, psi]. */
  const play = (theta, psi, { loss, order, eta, gamma }) => {
    if (order === "at once")
      return [theta + eta * LOSSES[loss](theta, psi), psi + eta * discriminator(theta, psi, gamma)];
    const moved = psi + eta * discriminator(theta, psi, gamma);
    return [theta + eta * LOSSES[loss](theta, moved), moved];
  };

  /* (5.10): the larger modulus of the eigenvalues at (0, 0), by trace and determinant; it is the same for both losses. */
  const growth = ({ order, eta, gamma }) => {
    const [a, b] = [eta * gamma, eta ** 2 / 4];
    return order === "at once" ? Modulus(2 - a, 1 - a + b) : Modulus(2 - a - b, 1 - a);
  };

  const orbit = (s, steps) => Orbit([s.theta ?? 0.7, s.psi ?? 0], steps, (at) => play(...at, s));

  return {
    title: "the smallest game of generator and discriminator",
    text: "Data lie at 0, the model is one point θ, and the logit of D is ψx. Left: the orbit from the square on. Right: the distance from the equilibrium, as a power of ten. Find a step size and a penalty with which “at once” settles. Then raise the penalty until it no longer does: (5.10) has an upper limit too.",
    plots: [
      { label: "Orbit of both players", x: [-2, 2], y: [-2, 2], across: "generator θ", up: "discriminator ψ" },
      { label: "Distance from the equilibrium over the steps", x: [0, 200], y: [-8, 2], across: "step", up: "log₁₀ distance" },
    ],
    controls: [
      { choice: "loss", label: "generator's loss", of: Object.keys(LOSSES) },
      { choice: "order", label: "players move", of: ["at once", "in turn"] },
      { slider: "eta", label: "step size η", from: 0.05, to: 4, step: 0.05 },
      { slider: "gamma", label: "penalty γ (R1)", from: 0, to: 10, step: 0.05 },
    ],
    start: () => ({ loss: "minimax", order: "at once", eta: 0.3, gamma: 0 }),
    draw: (s, [left, right]) => {
      const path = orbit(s, 200).filter(([theta, psi]) => Number.isFinite(theta + psi));
      left.line(...[0, 1].map((i) => path.map((at) => at[i])), "k1");
      left.dots(...[0, 1].map((i) => path.map((at) => at[i])), "k1 fill", 1.6);
      left.dots([0], [0], "k0", 5);
      left.bar(0.66, 0.74, -0.04, 0.04, "k0 fill");
      right.line(path.map((_, t) => t), path.map(([theta, psi]) => Math.log10(Math.max(1e-300, Math.hypot(theta, psi)))), "k1");
      const factor = growth(s);
      const end = ["it settles", "what is left out near 0 decides", "it moves away"][Beside1(factor) + 1];
      return `Near the equilibrium a deviation is multiplied by ${factor.toFixed(4)} per step, so ${end}.`;
    },
    play,
    growth,
    orbit,
  };
})();
