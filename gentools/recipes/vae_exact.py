"""Experiments of chapter 03 on a line: the closed-form divergence, and gradients through a sample."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from gentools import vae
from gentools.lab.divergences import diagonal_gaussian_kl
from gentools.lab.plots import COLORS, LINES, MARKERS
from gentools.lab.randomness import generator
from gentools.recipes import Recipe
from gentools.recipes.shared import drawing
from gentools.recipes.shared.diagrams import arrow, box, canvas, diagram
from gentools.recipes.shared.drawing import Look

# 3.2 The closed-form divergence


@dataclass(frozen=True)
class Divergence:
    """KL from some N(mean, std^2) to the standard normal."""

    means: tuple = (0.0, 1.0, 2.0)  # each with 12 standard deviations
    samples: int = 100  # of one average on the left
    repeats: int = 200  # averages per Gaussian; the left shows 12 of them
    counts: tuple = (1, 10, 100, 1000, 10000)  # samples of one average on the right


def log_ratio(z, mean, std):
    """log N(z; mean, std^2) - log N(z; 0, 1) of each z; mean and std are 0-d."""
    zero = torch.zeros_like(mean)
    return vae.log_normal(z[..., None], mean, 2 * std.log()) - vae.log_normal(z[..., None], zero, zero)


def averages(mean, std, samples, repeats, rng):
    """Monte Carlo estimates (repeats,) of KL(N(mean, std^2) || N(0, 1)), each the mean of sampled log-ratios."""
    z = mean + std * torch.randn(repeats, samples, generator=rng, dtype=torch.float64)  # (repeats, samples)
    return log_ratio(z, mean, std).mean(1)


def three_ways(mean, std, config, rng):
    """KL(N(mean, std^2) || N(0, 1)) in closed form (1,), as a fine sum (0-d), and as averages (repeats,)."""
    closed = diagonal_gaussian_kl(mean[None], 2 * std.log()[None])
    x = torch.linspace(-25, 25, 50_001, dtype=torch.float64)
    density = vae.log_normal(x[:, None], mean, 2 * std.log()).exp()  # (50001,)
    summed = (density * log_ratio(x, mean, std)).sum() * (x[1] - x[0])
    return closed, summed, averages(mean, std, config.samples, config.repeats, rng)


def run_divergence(config, seed, device):
    """The divergence three ways for every Gaussian, and for one the error of averages of more and more samples."""
    rng = generator(seed, "divergence")
    means = torch.tensor(config.means, dtype=torch.float64)
    stds = torch.linspace(0.15, 2.5, 12, dtype=torch.float64)
    found = zip(*(three_ways(mean, std, config, rng) for mean in means for std in stds), strict=True)
    closed, summed, sampled = (torch.stack(each).reshape(len(means), len(stds), -1) for each in found)
    truth = closed[1, 3, 0]
    estimates = (averages(means[1], stds[3], n, config.repeats, rng) for n in config.counts)
    errors = torch.stack([(each - truth).square().mean().sqrt() for each in estimates])  # (counts,)
    numbers = {
        "largest distance of closed form and quadrature": (closed - summed).abs().max(),
        f"root mean squared error of {config.counts[0]} sample": errors[0],
        f"root mean squared error of {config.counts[-1]} samples": errors[-1],
    }
    arrays = {"std": stds, "closed": closed[..., 0], "summed": summed[..., 0], "sampled": sampled[..., :12]}
    return {"numbers": numbers, "arrays": arrays | {"errors": errors}}


def draw_divergence(results, config):
    """Closed form and sum (means, 12) and averages (means, 12, 12) against std (12,); errors (counts,) of averages."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 2, (8.2, 3.5), width_ratios=(1.5, 1))
    for i, (mean, color) in enumerate(zip(config.means, COLORS.values(), strict=False)):
        axes[0].plot(a["std"], a["sampled"][i], ".", color=color, alpha=0.35, ms=3, zorder=1)
        axes[0].plot(a["std"], a["closed"][i], color=color, ls=LINES[i], label=f"mean {mean:g}")
        axes[0].plot(a["std"], a["summed"][i], MARKERS[i], color=color, mfc="white", ms=6)
    axes[0].set(xlabel="standard deviation", ylabel="KL to N(0, 1), nats", ylim=(-0.3, 5.2))
    axes[0].set_title("line: closed form,  open marker: quadrature")
    axes[0].legend()
    n = torch.tensor(config.counts, dtype=torch.float64)
    axes[1].loglog(n, a["errors"], "o-", color=COLORS["purple"], label="measured")
    axes[1].loglog(n, a["errors"][0] / n.sqrt(), color="black", ls=":", label="one over square root")
    axes[1].set(xlabel="samples", ylabel="error, nats", title="Monte Carlo")
    axes[1].legend()
    return fig


# 3.3 Blocked and passing gradients


def draw_blocked():
    """Two columns of boxes from encoder to loss: z drawn inside the network, and z made from noise that enters it."""
    fig, ax = canvas((8.4, 3.5), (-0.2, 11.2), (-1.35, 3.4))
    red = COLORS["vermillion"]
    for left, title in ((0, "sampling inside"), (6.0, "noise as an input")):
        ax.text(left + 1.0, 3.1, title, ha="center", fontsize=12)
        box(ax, left + 1.0, 0, "encoder $\\mu, \\sigma$", "blue", 1.8)
        box(ax, left + 1.0, 2.3, "loss $f(z)$", width=1.6)
        arrow(ax, (left + 0.6, 0.35), (left + 0.6, 0.8))
        arrow(ax, (left + 0.6, 1.5), (left + 0.6, 1.95))
        arrow(ax, (left + 1.4, 1.95), (left + 1.4, 1.5), red, "--")
        ax.text(left + 1.75, 1.72, "$f'(z)$", color=red, va="center")
    box(ax, 1.0, 1.15, "draw $z \\sim N(\\mu, \\sigma^2)$", "yellow", 2.3)
    box(ax, 7.0, 1.15, "$z = \\mu + \\sigma\\epsilon$", width=1.8)
    box(ax, 9.9, 1.15, "$\\epsilon \\sim N(0, 1)$", "yellow", 1.6)
    arrow(ax, (9.08, 1.15), (7.95, 1.15))
    arrow(ax, (7.4, 0.8), (7.4, 0.35), red, "--")
    ax.plot([1.4], [0.58], "x", color=red, ms=14, mew=2.6)
    ax.text(1.75, 0.58, "no derivative of a draw", color=red, va="center")
    ax.text(7.75, 0.56, "$f'(z)\\,$ to $\\mu$,   $f'(z)\\,\\epsilon\\,$ to $\\sigma$", color=red, va="center")
    ax.text(0.1, -0.95, "solid: values forward", ha="left", color="0.25")
    ax.text(4.0, -0.95, "dashed: gradients backward", ha="left", color=red)
    ax.text(8.6, -0.95, "yellow: random", ha="left", color="0.25")
    return fig


# 3.4 Variances of the two gradient estimators


@dataclass(frozen=True)
class Variances:
    """One-sample estimates of the gradient of E f(z), z ~ N(mean, std^2), in mean and std."""

    mean: float = 1.0
    samples: int = 100_000  # behind each marker
    markers: int = 9  # of the 61 standard deviations, those where it is measured


class Function(NamedTuple):
    """An f, its derivative, and how a title writes it."""

    value: object
    slope: object
    title: str


FUNCTIONS = {
    "z^2": Function(torch.square, lambda z: 2 * z, "$z^2$"),
    "sin z": Function(torch.sin, torch.cos, "$\\sin z$"),
}


def pathwise(f, std):
    """The estimator through z: a function of z and its noise (n,) -> estimates (2, n) in mean and std."""
    return lambda z, noise: torch.stack(vae.pathwise(f.slope, z, noise))


def score(f, std):
    """The estimator through the density, with the same shapes."""
    return lambda z, noise: torch.stack(vae.score(f.value, z, noise, std))


ESTIMATORS = {"pathwise": pathwise, "score": score}
VARIANCES = (  # estimator, 0 for the gradient in mean and 1 for that in std, look
    ("score", 0, Look("score, gradient in mean", "vermillion", LINES[0], MARKERS[0])),
    ("score", 1, Look("score, gradient in std", "orange", LINES[1], MARKERS[1])),
    ("pathwise", 0, Look("pathwise, gradient in mean", "blue", LINES[2], MARKERS[2])),
    ("pathwise", 1, Look("pathwise, gradient in std", "sky", LINES[3], MARKERS[3])),
)


def exact_variances(estimate, mean, std):
    """Variances (2,) of one estimate of the gradient in mean and in std, by quadrature."""

    def moment(i, power):
        return vae.expectation(lambda z, noise: estimate(z, noise)[i] ** power, mean, std)

    return torch.stack([moment(i, 2) - moment(i, 1) ** 2 for i in range(2)])


def run_variances(config, seed, device):
    """Variances of both estimators for both functions: by quadrature at 61 standard deviations, by sampling at some."""
    rng = generator(seed, "variances")
    stds = torch.logspace(math.log10(0.1), math.log10(3), 61, dtype=torch.float64)
    marked = stds[:: 60 // (config.markers - 1)]
    arrays, numbers = {"std": stds, "marked": marked}, {}

    def drawn_variances(estimate, std):
        noise = torch.randn(config.samples, generator=rng, dtype=torch.float64)
        return estimate(config.mean + std * noise, noise).var(1)  # (2,)

    for name, f in FUNCTIONS.items():
        exact = {}
        for kind, estimator in ESTIMATORS.items():
            exact[kind] = torch.stack([exact_variances(estimator(f, std), config.mean, std) for std in stds])  # (61, 2)
            drawn = torch.stack([drawn_variances(estimator(f, std), std) for std in marked])  # (markers, 2)
            arrays |= {f"{name} {kind} exact": exact[kind], f"{name} {kind} drawn": drawn}
        ratio = exact["score"] / exact["pathwise"]
        numbers[f"{name}: least ratio of the variances, score over pathwise"] = ratio.min()
        numbers[f"{name}: the ratio in the mean at the smallest std"] = ratio[0, 0]
    return {"numbers": numbers, "arrays": arrays}


def draw_variances(results, config):
    """A panel per function: variances against std, lines (61, 2) by quadrature and markers (markers, 2) by sampling."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 2, (8.4, 4.1), sharey=True)
    for ax, (name, f) in zip(axes, FUNCTIONS.items(), strict=True):
        for kind, i, look in VARIANCES:
            ax.loglog(a["std"], a[f"{name} {kind} exact"][:, i], **look.as_line())
            ax.loglog(a["marked"], a[f"{name} {kind} drawn"][:, i], **look.as_points(label=None))
        ax.set(title=f"gradient of E[{f.title}]", xlabel="standard deviation of z")
    axes[0].set_ylabel("variance of one estimate")
    drawing.legend_below(fig, axes[0], 2)
    return fig


RECIPES = {
    "3.2": Recipe(
        title="The closed-form divergence",
        caption="Left: KL from N(mean, sigma^2) to the standard normal, in closed form, by quadrature (numerical "
        "integration) and as averages of 100 sampled log-ratios (dots). Right: how the error of the average falls with the "
        "number of samples.",
        alt="Left, three U-shaped curves of the divergence against the standard deviation with markers on them and dots "
        "scattered around. Right, an error that falls along a straight line on logarithmic axes.",
        run=run_divergence, draw=draw_divergence, full=Divergence(),
    ),
    "3.3": diagram(
        draw_blocked,
        title="A blocked gradient and one that passes",
        caption="Drawing z inside the network blocks the way back to the encoder. With the noise as an input, z is a "
        "differentiable function of mean and sigma, and the gradient passes.",
        alt="Two columns of three boxes, encoder, z and loss. Left, the dashed backward arrow ends in a cross above the "
        "encoder. Right, it runs through to the encoder, and the noise enters from the side.",
    ),
    "3.4": Recipe(
        title="Two gradient estimators and their variances",
        caption="Variance of a one-sample estimate of the gradient of E f(z), z ~ N(1, sigma^2). Lines: quadrature; "
        "markers: measured. Both estimators, score function and pathwise, are unbiased. For small sigma the score "
        "function, which does not look at the slope of f, has by far the larger variance; for the sine and large sigma it "
        "has the smaller one.",
        alt="Two panels on logarithmic axes. For z squared both score-function curves lie above the pathwise curves throughout. "
        "For the sine they start far above and cross below the pathwise curves, that of the mean just before sigma 1, that of sigma near 1.5.",
        run=run_variances, draw=draw_variances, quick=Variances(samples=20_000), full=Variances(),
    ),
}  # fmt: skip
