"""Experiments of chapter 04 that have exact answers: who sees the label, and linear models on data in three classes."""

import copy
import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch

from gentools import conditional_vae as cvae
from gentools import vae
from gentools.lab.divergences import diagonal_gaussian_kl
from gentools.lab.optim import adam, cosine
from gentools.lab.plots import COLORS, LINES, MARKERS
from gentools.lab.randomness import generator
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.diagrams import diagram
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import fit

LOOKS = {
    "VAE": Look("VAE", "black", LINES[3], MARKERS[2]),
    "class means": Look("class means", "vermillion", LINES[1], MARKERS[1]),
    "CVAE": Look("CVAE", "blue", LINES[0], MARKERS[0]),
}
WARM_UP = 200  # steps over which the learning rate rises, in runs that are long enough


def schedule(steps):
    """The learning rate of every network of the chapter: a short rise, then half a cosine to 0."""
    return cosine(steps, min(WARM_UP, steps // 10))


# 4.1 Which part sees the label

PLACES = {"y": (0, 1.5), "z": (1.5, 1.5), "x": (0.75, 0)}
EDGES = {  # model: (arrows of the model, arrows of the encoder), each from its first letter to its second
    "VAE": (("zx",), ("xz",)),
    "class means": (("yz", "zx"), ("xz",)),
    "CVAE": (("yx", "zx"), ("xz", "yz")),
}


def between(start, end, aside):
    """Both ends of an arrow between two circles, moved aside so that the two directions run side by side."""
    start, end = torch.tensor(start).double(), torch.tensor(end).double()
    along = (end - start) / (end - start).norm()
    shift = aside * torch.stack([along[1], -along[0]])
    return (start + 0.32 * along + shift).tolist(), (end - 0.36 * along + shift).tolist()


def draw_parts():
    """Three graphs of code, image and label: solid arrows of the model, dashed ones of the encoder."""
    import matplotlib.pyplot as plt

    fig, axes = drawing.panels(1, 3, (8.2, 3.5))
    styles = (("vermillion", "-", 0.1), ("blue", "--", -0.1))
    for ax, (title, edges) in zip(axes, EDGES.items(), strict=True):
        ax.set(xlim=(-0.6, 2.1), ylim=(-0.45, 2.05), aspect="equal", title=title)
        ax.set_axis_off()
        for name, place in PLACES.items():
            faint = name == "y" and title == "VAE"
            ax.add_patch(plt.Circle(place, 0.3, fc="white", ec="0.75" if faint else "black", lw=1.3, zorder=3))
            ax.text(*place, f"${name}$", ha="center", va="center", fontsize=15, color="0.75" if faint else "black",
                    zorder=4)  # fmt: skip
        for part, (color, style, aside) in zip(edges, styles, strict=True):
            for start, end in part:
                a, b = between(PLACES[start], PLACES[end], aside if start < end else -aside)
                arrow = dict(arrowstyle="-|>", color=COLORS[color], lw=1.8, ls=style, shrinkA=0, shrinkB=0)
                ax.annotate("", b, a, arrowprops=arrow)
    keys = [plt.Line2D([], [], color=COLORS[color], ls=style) for color, style, _ in styles]
    fig.legend(keys, ("model", "encoder"), loc="outside lower center", ncols=2)
    return fig


# 4.2 The linear case, exactly


@dataclass(frozen=True)
class Linear:
    """Linear models on data in three classes, whose best likelihood is known in closed form."""

    within: tuple = (3.0, 2.0, 0.5, 0.4, 0.2, 0.1)  # variances about the class averages, direction by direction
    between: tuple = (0.0, 1.5, 2.5, 0.0, 0.0, 0.0)  # variances of the class averages
    noise_variance: float = 1.0  # of the decoder, fixed
    latent: int = 4  # code dimensions
    points: int = 900  # rows of data
    batch: int = 300  # rows a step
    steps: int = 5000  # of training
    learning_rate: float = 0.01  # of Adam, at its highest


class Kind(NamedTuple):
    """One linear model: its networks, made of (seed, pixels, hidden, latent, decoder=); its look; whether it is told y."""

    networks: object
    look: Look
    told: bool


def told_networks(seed, pixels, hidden, latent, classes, decoder):
    """Class means whose encoder is told the label as well: only the decoder does not see it."""
    nets = cvae.class_mean_networks(seed, pixels, hidden, latent, classes, decoder)
    nets["encoder"] = cvae.cvae_networks(seed, pixels, hidden, latent, classes, decoder)["encoder"]
    return nets


TOLD = "class means, encoder told"
KINDS = {
    "VAE": Kind(cvae.plain_networks, LOOKS["VAE"], False),
    "class means": Kind(functools.partial(cvae.class_mean_networks, classes=3), LOOKS["class means"], True),
    "CVAE": Kind(functools.partial(cvae.cvae_networks, classes=3), LOOKS["CVAE"], True),
    TOLD: Kind(functools.partial(told_networks, classes=3), Look(TOLD, "green", LINES[2], MARKERS[3]), True),
}
RATE, PREDICTED, SHORT = "KL term, nats", "KL term predicted", "nats below the best log-likelihood"


def linear_data(config, seed):
    """Rows (n, d) whose covariances within and between three classes are diagonal, before one rotation; labels (n,)."""
    d, y = len(config.within), torch.arange(config.points) % 3
    x = torch.randn(config.points, d, generator=generator(seed, "linear"), dtype=torch.float64)
    x = x - cvae.class_averages(x, y, 3)[y]
    x = torch.linalg.qr(x)[0] * len(x) ** 0.5 * torch.tensor(config.within, dtype=torch.float64).sqrt()
    corners = torch.zeros(3, d, dtype=torch.float64)  # averages on two axes, uncorrelated with equal shares
    first, second = torch.tensor(config.between).argsort(descending=True)[:2]
    corners[:, first] = torch.tensor([1.0, -1.0, 0.0]).double() * (1.5 * config.between[first]) ** 0.5
    corners[:, second] = torch.tensor([1.0, 1.0, -2.0]).double() * (0.5 * config.between[second]) ** 0.5
    turn = torch.linalg.qr(torch.randn(d, d, generator=generator(seed, "turn"), dtype=torch.float64))[0]
    return (x + corners[y]) @ turn, y


@torch.no_grad()
def linear_state(nets, x, y, latent, noise, best, done=None):
    """Nats by which linear networks fall short of the best likelihood of x (n, d), and the length of their class means.

    x, y, noise and best are on the CPU, in double precision; the networks may be elsewhere.
    """
    classes = torch.arange(3)
    nets = copy.deepcopy(nets).cpu()
    centers = cvae.decode(nets, torch.zeros(3, latent), classes).double()  # (3, d)
    w = nets["decoder"].part.net[0].weight[:, :latent].double()  # (d, k)
    means = nets["prior"](classes).double().expand(3, latent)
    short = best - cvae.linear_log_likelihood(x, y, w, centers, noise)
    return {"distance": float(short), "means": float(means.square().sum(1).mean().sqrt())}


@torch.no_grad()
def linear_rates(nets, x, y):
    """Nats of the KL term per code dimension (k,), the largest first. nets, rows x (n, d) and labels y (n,): on the CPU."""
    mean, log_variance = nets["encoder"](x, y)
    mean = mean - nets["prior"](y)
    return diagonal_gaussian_kl(mean[..., None], log_variance[..., None]).mean(0).sort(descending=True).values


def run_linear(config, seed, device):
    """Linear models of four kinds: nats per code dimension, and the distance to the best log-likelihood."""
    x, y = linear_data(config, seed)
    total, within = vae.spectrum(x)[1], torch.linalg.eigvalsh(cvae.within_covariance(x, y, 3)).flip(0)
    noise = torch.tensor(config.noise_variance, dtype=torch.float64)
    decoder = functools.partial(vae.Gaussian, noise_variance=config.noise_variance, learn=False)
    arrays, numbers = {"within": within, "total": total}, {}
    for name, kind in KINDS.items():
        nets = kind.networks(seed, x.shape[1], (), config.latent, decoder=decoder).to(device)
        eigenvalues = within if kind.told else total
        best = vae.ppca_log_likelihood(eigenvalues, config.latent, noise)
        state = functools.partial(linear_state, nets, x, y, config.latent, noise, best)
        history = fit(cvae.step, nets, {"vae": adam(nets.parameters(), config.learning_rate)}, (x.float(), y),
                      config.latent, batch=config.batch, steps=config.steps, seed=seed, device=device,
                      schedule=schedule(config.steps), watch=state, log_every=config.steps // 100)  # fmt: skip
        rates, predicted = linear_rates(nets.cpu(), x.float(), y), vae.rates(eigenvalues[: config.latent], noise)
        arrays |= {f"{name}: rates": rates, f"{name}: predicted": predicted}
        for key in ("distance", "means"):
            arrays[f"{name}: {key}"] = torch.tensor([seen[key] for seen in history.watched])
        numbers |= {(name, RATE): rates.sum(), (name, PREDICTED): predicted.sum(), (name, SHORT): state()["distance"]}
    arrays["step"] = torch.tensor([seen["step"] for seen in history.watched])
    means = arrays[f"{TOLD}: means"]
    numbers[TOLD, "length of the means, end over half-time"] = means[-1] / means[len(means) // 2]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_linear(results, config):
    """Nats per code dimension (k,), and over the steps the distance to the best and the length of the class means."""
    fig, axes = drawing.panels(1, 3, (8.4, 3.9), width_ratios=(1.35, 1, 1))
    place = torch.arange(1, config.latent + 1)
    step = results[0]["arrays"]["step"]
    for i, (name, kind) in enumerate(KINDS.items()):
        rates, predicted, distances, means = (
            [r["arrays"][f"{name}: {what}"] for r in results] for what in ("rates", "predicted", "distance", "means")
        )
        at = place + 0.2 * (i - 1.5)
        for each in rates:
            axes[0].plot(at, each, **kind.look.as_points(ms=5, mfc="none"))
        axes[0].bar(at.numpy(), predicted[0].numpy(), 0.18, fc="none", ec=kind.look.rgb, ls="-", lw=1.2)
        drawing.seed_curves(axes[1], step, [each.clamp_min(1e-7) for each in distances], kind.look, lw=1)
        if name in ("class means", TOLD):
            drawing.seed_curves(axes[2], step, means, kind.look, lw=1.2)
    axes[0].set(title="bar: formula,  marker: trained", xlabel="code dimension, sorted", ylabel="nats", xticks=place)
    axes[1].set(title="nats below the best", xlabel="step", xscale="log", yscale="log")
    axes[2].set(title="length of the class means", xlabel="step", ylim=(0, None))
    drawing.legend_below(fig, axes[1], columns=4)
    return fig


def verdict_linear(summary):
    """Which models land on the formula in every seed, and how far away the others end."""
    exact, rest = [], []
    for name in KINDS:
        rate, predicted, short = (summary[arms.name(name, what)] for what in (RATE, PREDICTED, SHORT))
        aim = predicted["mean"]
        if None in (rate["mean"], aim, short["mean"]):
            rest.append(f"{name} (no run finished)")
            continue
        close = verdicts.always_above(rate, aim - 0.05) and verdicts.always_below(rate, aim + 0.05)
        if close and verdicts.always_below(short, 0.01):
            exact.append(name)
        else:
            off = max(abs(rate[end] - aim) for end in ("min", "max"))
            rest.append(f"{name} ({off:.2g} nats of KL and {short['max']:.2g} of likelihood away)")
    text = (
        f"within 0.05 nats of the formula's KL and 0.01 of its likelihood in every seed: {', '.join(exact) or 'none'}"
    )
    return text + (f"; not so close: {', '.join(rest)}." if rest else ".")


RECIPES = {
    "4.1": diagram(
        draw_parts,
        title="Which part sees the label",
        caption="Three models with code z, image x and label y. Arrows show what each conditional distribution is given. "
        "In the model with class means, only the prior sees the label; in the CVAE the decoder and the encoder do.",
        alt="Three graphs with circles y, z and x. VAE: arrows between z and x only. Class means: also an arrow from y to z. "
        "CVAE: arrows from y to x, solid, and from y to z, dashed.",
    ),
    "4.2": Recipe(
        title="The linear case lands on the formula",
        caption="Linear models on data in three classes, all seeds. Left: nats per code dimension, trained and by (4.9). "
        "Middle: distance to the best log-likelihood. Right: root mean square length of the learned class means. With an "
        "encoder that is told the label these means grow until the learning rate, which falls to 0, stops them.",
        alt="Left, bars and markers: three dimensions in use for the VAE, two for the CVAE; both models with class means put a third to "
        "use beyond the formula. Middle, VAE and CVAE fall near zero, the CVAE farthest, class means stay high, and lower if the encoder is told. Right, "
        "class means that stay, or grow if the encoder is told.",
        run=run_linear, draw=draw_linear, quick=Linear(steps=1500), full=Linear(), seeds=tuple(range(5)), verdict=verdict_linear,
    ),
}  # fmt: skip
