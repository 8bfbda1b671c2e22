"""Exact experiments of chapter 14: who sees what, a blind spot and a turned direction, the linear case (14.1 to 14.4)."""

import math
from dataclasses import dataclass

import torch

from gentools import alpha_gan, gan, vae
from gentools.lab import worlds
from gentools.lab.divergences import kl
from gentools.recipes import Recipe
from gentools.recipes.shared import diagrams, drawing
from gentools.recipes.shared.drawing import Look

# 14.1 Who sees what


def draw_parts():
    """Data to codes and back, the prior to samples; D sees data and both outputs, C sees both laws of codes."""
    fig, ax = diagrams.canvas((8.4, 3.8), (-0.2, 11.8), (-3.0, 2.4))
    diagrams.box(ax, 0.8, 1.0, "data  $x$", width=1.5)
    diagrams.box(ax, 3.2, 1.0, "encoder\n$p(z|x)$", "blue", 1.6, 1.1)
    diagrams.box(ax, 5.6, 1.0, "codes  $p(z)$", width=1.7)
    diagrams.box(ax, 5.6, -1.3, "prior  $q(z)$", width=1.7)
    diagrams.box(ax, 8.0, -0.15, "generator\n$q(x|z)$", "vermillion", 1.6, 1.1)
    diagrams.box(ax, 10.4, 1.0, "rebuilt  $\\rho(x)$", width=1.7)
    diagrams.box(ax, 10.4, -1.3, "samples  $q(x)$", width=1.7)
    for start, end in (
        ((1.58, 1.0), (2.38, 1.0)),
        ((4.03, 1.0), (4.73, 1.0)),
        ((6.5, 0.85), (7.2, 0.25)),
        ((6.5, -1.15), (7.2, -0.55)),
        ((8.85, 0.25), (9.55, 0.85)),
        ((8.85, -0.55), (9.55, -1.15)),
    ):
        diagrams.arrow(ax, start, end)
    diagrams.box(ax, 3.2, -1.3, "$C$: prior or code?", "green", 2.1, 0.7)
    diagrams.box(ax, 8.0, -2.5, "$D$: data, or sample or rebuilt?", "green", 3.6, 0.7)
    for start, end in (
        ((4.75, -1.3), (4.3, -1.3)),
        ((4.9, 0.65), (3.7, -0.9)),
        ((10.4, -1.65), (9.4, -2.12)),
        ((0.8, -2.5), (6.15, -2.5)),
        ((11.6, -2.5), (9.85, -2.5)),
    ):
        diagrams.arrow(ax, start, end, color="0.45", style=":")
    for x, y in (([0.8, 0.8], [0.66, -2.5]), ([11.28, 11.6, 11.6], [1.0, 1.0, -2.5])):
        ax.plot(x, y, color="0.45", ls=":", lw=1.5)
    ax.text(5.6, 2.05, "error of reconstruction: $|x - G(z)|$ between the two ends of the upper chain", ha="center",
            color="0.25")  # fmt: skip
    return fig


# 14.2 A shared discriminator's blind spot, and the direction of the gradient


@dataclass(frozen=True)
class Blind:
    """Samples drift to one half of the data and reconstructions to the other; random tables for the directions."""

    points: int = 40  # of the table that the data fill evenly
    places: int = 21  # along the drift
    tables: int = 300


def run_blind(config, seed, device):
    """What one discriminator and two charge along a drift, and cosines between two gradients in q."""
    half = config.points // 2
    p_x = torch.full((config.points,), 1 / config.points, dtype=torch.float64)
    tilt = torch.cat([torch.ones(half), -torch.ones(config.points - half)]).double()
    drift = torch.linspace(0, 1, config.places, dtype=torch.float64)
    two, one = [], []
    for share in drift:
        q_x, rho_x = p_x * (1 + share * tilt), p_x * (1 - share * tilt)
        two.append(kl(q_x, p_x) + kl(rho_x, p_x))
        one.append(2 * kl((q_x + rho_x) / 2, p_x))
    cosines = []
    for i in range(config.tables):
        w = worlds.table(i)
        a, b = (gan.gradient(lambda q, w=w, f=f: f(q, w.p_x), w.q_x) for f in (kl, lambda q, p: kl(p, q)))
        cosines.append(a @ b / (a.norm() * b.norm()))
    cosines = torch.stack(cosines)
    numbers = {
        "drifted apart, two discriminators: nats": two[-1],
        "drifted apart, one discriminator: nats": one[-1],
        "least cosine": cosines.min(),
        "mean cosine": cosines.mean(),
    }
    return {"numbers": numbers, "arrays": {"drift": drift, "two": torch.stack(two), "one": torch.stack(one),
                                           "cosines": cosines}}  # fmt: skip


def draw_blind(results, config):
    """Left, nats (places,) over the drift. Right, a histogram of the cosines (tables,)."""
    a = results[0]["arrays"]
    fig, (left, right) = drawing.panels(1, 2, (8.4, 3.2))
    left.plot(a["drift"], a["two"], **Look("two discriminators", "blue", "-").as_line())
    left.plot(a["drift"], a["one"], **Look("one, shared", "vermillion", "--").as_line())
    drawing.level(left, 2 * math.log(2), "2 log 2")
    left.set(title="what samples and reconstructions are charged", xlabel="how far they have drifted apart",
             ylabel="nats", ylim=(-0.1, 1.65))  # fmt: skip
    left.legend(loc="center left")
    right.hist(a["cosines"], bins=torch.linspace(0, 1, 21).tolist(), color=Look("", "blue").rgb)
    right.set(title="two directions of the KL", xlabel="cosine of their gradients in q", ylabel="tables of 300")
    return fig


# 14.3 What a squared error costs


@dataclass(frozen=True)
class Scale:
    """Correlations of data and code, and strengths of the squared error."""

    correlations: tuple = (1.0, 0.95, 0.8, 0.5)
    strengths: int = 60  # from 0.01 to 100, spaced evenly in their logarithm


def run_scale(config, seed, device):
    """The standard deviation of samples in units of the data's, for every correlation and strength."""
    strengths = torch.logspace(-2, 2, config.strengths, dtype=torch.float64)
    curves = [[alpha_gan.squared_error_scale(r, float(k)) for k in strengths] for r in config.correlations]
    numbers = {f"correlation {r:g}, strength 10": alpha_gan.squared_error_scale(r, 10.0) for r in config.correlations}
    return {"numbers": numbers, "arrays": {"strength": strengths, "scale": torch.tensor(curves).double()}}


def draw_scale(results, config):
    """A curve (strengths,) for each correlation."""
    a = results[0]["arrays"]
    fig, ax = drawing.panels(size=(6.0, 3.3))
    looks = drawing.looks({r: f"correlation {r:g}" for r in config.correlations})
    for (r, look), curve in zip(looks.items(), a["scale"], strict=True):
        ax.plot(a["strength"], curve, **look.as_line())
        ax.axhline(r, color="0.8", lw=0.8, zorder=0)
    ax.set(
        xscale="log", xlabel="strength k of the squared error", ylabel="spread of samples / of data", ylim=(0.45, 1.05)
    )
    ax.legend(loc="lower left", fontsize=9)
    return fig


# 14.4 The linear case


@dataclass(frozen=True)
class Linear:
    """One axis of Gaussian data, a linear code and decoder, and decoder noise that D sees."""

    variance: float = 1.0  # of the data
    noises: int = 60  # variances of the decoder's noise, up to `largest`
    largest: float = 1.5
    weights: tuple = (1.0, 3.0)  # before KL(q || p); KL(rho || p) has the weight 1


def best_lines(variance, noises, on_samples, on_reconstructions):
    """decoder^2 at the least `linear_objective` for each of the noise variances (n,), which rise from near 0; (n,).

    Newton's method, from the AAE's answer at first, which is right for no noise, and then from the answer before.
    """
    at, found = torch.tensor([variance**0.5, variance**-0.5], dtype=torch.float64), []
    for noise_variance in noises:

        def loss(at, noise_variance=noise_variance):
            return alpha_gan.linear_objective(*at, torch.tensor(variance).double(), noise_variance, on_samples,
                                              on_reconstructions)  # fmt: skip

        slope = torch.autograd.functional.jacobian(loss, at)
        for _ in range(20):
            if slope.abs().max() < 1e-10:
                break
            at = at - torch.linalg.solve(torch.autograd.functional.hessian(loss, at), slope)
            slope = torch.autograd.functional.jacobian(loss, at)
        found.append(at[0] ** 2 if slope.abs().max() < 1e-6 else at.new_tensor(math.nan))
    return torch.stack(found)


def run_linear(config, seed, device):
    """The variance that z brings into x, w^2, for VAE, AAE and alpha-GAN, over the variance of the decoder's noise."""
    noises = torch.linspace(0.002, config.largest, config.noises, dtype=torch.float64)
    spectrum, axes = torch.tensor([config.variance, 0.0]).double(), torch.eye(2).double()
    found = {"VAE": torch.stack([(vae.ppca(spectrum, axes, 1, float(s))[0] ** 2).sum() for s in noises])}
    for name, weights in {"AAE": (0.0, 0.0), **{f"alpha-GAN, a = {a:g}": (a, 1.0) for a in config.weights}}.items():
        found[name] = best_lines(config.variance, noises, *weights)
    excess = {name: (squares[0] + noises[0] - config.variance) / noises[0] for name, squares in found.items()}
    numbers = {f"{name}: variance too large, in units of the noise": value for name, value in excess.items()}
    return {"numbers": numbers, "arrays": found | {"noise": noises}}


def draw_linear(results, config):
    """Left, w^2 (noises,); right, w^2 + noise - variance of the data."""
    a = results[0]["arrays"]
    names = [name for name in a if name != "noise"]
    looks = drawing.looks({name: name for name in names})
    fig, (left, right) = drawing.panels(1, 2, (8.4, 3.4))
    for name, look in looks.items():
        left.plot(a["noise"], a[name], **look.as_line())
        right.plot(a["noise"], a[name] + a["noise"] - config.variance, **look.as_line())
    left.set(title="variance that the code brings, $w^2$", xlabel="variance of the decoder's noise", ylim=(-0.05, 1.15))
    right.set(title="variance of the samples minus the data's", xlabel="variance of the decoder's noise")
    drawing.legend_below(fig, left, columns=4)
    return fig


RECIPES = {
    "14.1": diagrams.diagram(
        draw_parts,
        title="Who sees what",
        caption="alpha-GAN. The generator is fed with codes and with draws of the prior. C compares these two; D compares "
        "data with what the generator makes of both. Solid: how a value is made. Dotted: who sees it.",
        alt="Data pass the encoder and become codes; codes and draws of the prior pass one generator and become "
        "reconstructions and samples. C sees codes and prior, D sees data, samples and reconstructions.",
    ),
    "14.2": Recipe(
        title="A blind spot, and a turned direction",
        caption="Left: samples drift to one half of the data and reconstructions to the other. Two discriminators charge "
        "for it, up to the dotted line; one that sees both kinds charges nothing. Right: over 300 random tables, the cosine "
        "between the gradients of KL(q || data) and KL(data || q) in the logits of q.",
        alt="Left, one curve rises to two log two, the other stays at zero. Right, a histogram of cosines between 0 and 1, most "
        "of them above 0.8.",
        run=run_blind, draw=draw_blind, full=Blind(), quick=Blind(tables=40),
    ),
    "14.3": Recipe(
        title="What a squared error costs",
        caption="The spread of samples, in units of the data's, under a squared error beside ratio terms, for Gaussian data "
        "and codes that follow the prior. With growing strength each curve goes from 1 toward the correlation of data and "
        "code, a gray line.",
        alt="Four curves over the strength: one stays at 1, the others fall, the lower the smaller the correlation.",
        run=run_scale, draw=draw_scale, full=Scale(), quick=Scale(strengths=12),
    ),
    "14.4": Recipe(
        title="VAE, AAE and alpha-GAN on one axis",
        caption="Data of variance 1, a linear code and a linear decoder with noise, each model at its optimum. alpha-GAN "
        "has a discriminator for each law: KL(q || data) has the weight a, KL(rho || data) the weight 1. Left: the VAE "
        "gives the code up where the noise reaches the data's variance; the others do not. Right: by how much the samples' "
        "variance exceeds the data's.",
        alt="Left, the VAE's line falls to zero at noise one, the AAE's is flat, the alpha-GAN's lie between. Right, the excess "
        "variance rises with the noise, most for the AAE.",
        run=run_linear, draw=draw_linear, full=Linear(), quick=Linear(noises=12),
    ),
}  # fmt: skip
