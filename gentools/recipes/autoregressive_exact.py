"""Experiments of chapter 15 without training: who sees whom, averaged logits, and what drawing a picture costs."""

import functools
import itertools
import math
from dataclasses import dataclass

import torch

from gentools import autoregressive as ar
from gentools import vae
from gentools.lab.plots import COLORS
from gentools.lab.randomness import generator
from gentools.lab.timing import interleaved
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.drawing import Look

# 15.1 Who sees whom


@dataclass(frozen=True)
class Seen:
    """Untrained networks for small pictures, and the pixel that is asked."""

    size: int = 7
    channels: int = 6
    layers: int = 3
    row: int = 3  # of the pixel
    column: int = 3
    rows: int = 12  # of random numbers at which slopes are taken: a ReLU may be dead at one


def shaken(net, seed):
    """The network in float64 with all weights random, also those that start at 0."""
    with torch.no_grad():
        for i, parameter in enumerate(net.double().parameters()):
            parameter.normal_(0, 0.5, generator=generator(seed, "weights", i))
    return net


def without_row(net):
    """The slip: masks B that drop the whole row of the pixel, not only what comes after it."""
    _, *later = (layer for layer in net.modules() if isinstance(layer, ar.MaskedConv2d))
    for layer in later:
        layer.mask[layer.mask.shape[0] // 2] = 0
    return net


def with_residual(net):
    """The slip: a residual link around the first horizontal layer, which carries the pixel itself."""
    first = net.layers[0]
    first.forward = functools.partial(_residual, first.forward)
    return net


def _residual(forward, v, h):
    up, across = forward(v, h)
    return up, h + across


STACKS = {
    "plain masks": "one stack of masked\nconvolutions",
    "gated": "two stacks\n(gated PixelCNN)",
    "row dropped": "slip: masks B drop\nthe whole row",
    "residual": "slip: a residual link\nin the first layer",
}


def stack(name, config, seed):
    """The network of that name, its weights random."""
    if name in ("plain masks", "row dropped"):
        net = shaken(ar.PlainPixelCNN(config.size, config.channels, config.layers), seed)
        return without_row(net) if name == "row dropped" else net
    net = shaken(ar.GatedPixelCNN(config.size, config.channels, config.layers), seed)
    return with_residual(net) if name == "residual" else net


def run_seen(config, seed, device):
    """By gradient: which pixels each network's output at one place depends on."""
    d, numbers, arrays = config.size**2, {}, {}
    pixel = config.row * config.size + config.column
    for name in STACKS:
        net, seen = stack(name, config, seed), torch.zeros(d, d)
        for row in range(config.rows):
            seen += ar.sees(net, torch.rand(d, generator=generator(seed, "row", row), dtype=torch.float64)) > 0
        earlier = torch.ones(d, d).tril(-1).bool()
        arrays[name] = (seen[pixel] > 0).reshape(config.size, config.size)
        numbers[name, "earlier pixels not seen"] = (~(seen > 0) & earlier)[pixel].sum()
        numbers[name, "pixels seen that must not be, all outputs"] = ((seen > 0) & ~earlier).sum()
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_seen(results, config):
    """A panel per network: the pixel that is drawn, and those that it depends on, (size, size)."""
    fig, axes = drawing.panels(1, 4, (8.4, 3.2))
    pixel = config.row * config.size + config.column
    for ax, (name, title) in zip(axes, STACKS.items(), strict=True):
        for place, seen in enumerate(results[0]["arrays"][name].flatten().tolist()):
            r, c = divmod(place, config.size)
            wrong = seen and place >= pixel
            color = COLORS["vermillion"] if wrong else COLORS["blue"] if seen else "white" if place < pixel else "0.88"
            ax.add_patch(_square(c, r, fc=color, ec="0.6", lw=0.6))
        ax.add_patch(_square(config.column, config.row, fc="none", ec="black", lw=2.2))
        ax.set(xlim=(-0.55, config.size - 0.45), ylim=(config.size - 0.45, -0.55), aspect="equal", xticks=(), yticks=())
        ax.spines[:].set_visible(False)
        ax.set_title(title, fontsize=10)
    texts = {
        "seen": COLORS["blue"],
        "earlier and not seen": "white",
        "later": "0.88",
        "seen and must not be": COLORS["vermillion"],
    }
    handles = [_square(0, 0, fc=color, ec="0.6", label=text) for text, color in texts.items()]
    handles.append(_square(0, 0, fc="none", ec="black", lw=2.2, label="the pixel drawn"))
    fig.legend(handles=handles, loc="outside lower center", ncols=5, handlelength=1, columnspacing=1.2)
    return fig


def _square(column, row, **how):
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, **how)


def verdict_seen(summary):
    """Which networks are causal, and which of these see all that they may."""
    leaks, misses = (
        {name: summary[arms.name(name, what)] for name in STACKS}
        for what in ("pixels seen that must not be, all outputs", "earlier pixels not seen")
    )
    causal = [name for name in STACKS if verdicts.always_below(leaks[name], 1)]
    whole = [name for name in causal if verdicts.always_below(misses[name], 1)]
    return f"causal: {verdicts.listed(causal)}; of these, seeing every earlier pixel: {verdicts.listed(whole)}."


# 15.3 What drawing a picture costs


@dataclass(frozen=True)
class Cost:
    """Untrained networks for pictures of several sizes."""

    sides: tuple = (8, 12, 16, 20, 24)
    gated_sides: tuple = (8, 12)
    hidden: int = 512  # units of MADE, and of the decoder
    latent: int = 20
    channels: int = 16
    layers: int = 4
    pictures: int = 16  # drawn at once
    gated_pictures: int = 4
    rounds: int = 3  # in which the ways take turns; the best counts
    least: float = 0.2  # CPU seconds for which each is repeated in a round


WAYS = {
    "gated PixelCNN": Look("gated PixelCNN, pixel by pixel", "orange", ":", "^"),
    "MADE": Look("MADE, pixel by pixel", "vermillion", "-", "o"),
    "MADE with a cache": Look("MADE with a cache", "blue", "--", "s"),
    "one pass": Look("MADE, likelihood of a given picture", "green", "-.", "D"),
    "decoder": Look("decoder of a VAE", "black", (0, (5, 1)), "v"),
}


def costs(config, side, seed):
    """{way: CPU seconds per picture} for pictures of one size, and the share of pictures that the cache did not change."""
    d, n = side * side, config.pictures
    uniform = torch.rand(n, d, generator=generator(seed, "uniform", side))
    made = ar.networks(seed, side, config.hidden)["model"]
    decoder = vae.networks(seed, d, (config.hidden,), config.latent)["decoder"]
    z, bits = torch.randn(n, config.latent, generator=generator(seed, "z")), (uniform < 0.5).float()
    calls = {
        "MADE": functools.partial(ar.sample, made, uniform),
        "MADE with a cache": functools.partial(ar.cached_sample, made, uniform),
        "one pass": functools.partial(ar.log_likelihood, made, bits),
        "decoder": functools.partial(decoder, z),
    }
    made_at_once = dict.fromkeys(calls, n)
    if side in config.gated_sides:
        gated = ar.pixelcnn_networks(seed, side, config.channels, config.layers)["model"]
        made_at_once["gated PixelCNN"] = config.gated_pictures
        calls["gated PixelCNN"] = functools.partial(ar.sample, gated, uniform[: config.gated_pictures])
    with torch.no_grad():
        found = interleaved(calls, config.rounds, config.least)
    same = (ar.sample(made, uniform) == ar.cached_sample(made, uniform)).all(1).double().mean()
    return {name: seconds / made_at_once[name] for name, seconds in found.items()}, same


def run_cost(config, seed, device):
    """CPU seconds per picture against the number of pixels, and the slopes on logarithmic axes."""
    table = {side: costs(config, side, seed) for side in config.sides}
    numbers, arrays = {}, {}
    for name in WAYS:
        sides = [side for side in config.sides if name in table[side][0]]
        seconds = [table[side][0][name] for side in sides]
        arrays[f"{name}: pixels"] = torch.tensor([side**2 for side in sides])
        arrays[f"{name}: seconds"] = torch.tensor(seconds)
        numbers[name, f"ms per picture of {sides[-1] ** 2} pixels"] = 1000 * seconds[-1]
        growth = math.log(seconds[-1] / seconds[0]) / math.log(sides[-1] ** 2 / sides[0] ** 2)
        numbers[name, "slope on logarithmic axes"] = growth
    last = table[config.sides[-1]]
    numbers["MADE", "times slower without the cache"] = last[0]["MADE"] / last[0]["MADE with a cache"]
    numbers["MADE with a cache", "share of pictures that are the same"] = min(same for _, same in table.values())
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_cost(results, config):
    """CPU milliseconds per picture (sides,) of every seed against the number of pixels."""
    fig, ax = drawing.panels(1, 1, (7.2, 4.2))
    for name, look in WAYS.items():
        for i, r in enumerate(results):
            label = None if i else look.label
            x, y = r["arrays"][f"{name}: pixels"], 1000 * r["arrays"][f"{name}: seconds"]
            ax.loglog(x, y, **look.as_both(lw=1.2, ms=4, label=label))
    pixels = [side**2 for side in config.sides]
    ax.set_xticks(pixels, [str(d) for d in pixels])
    ax.minorticks_off()
    ax.set(xlabel="pixels d", ylabel="CPU milliseconds per picture")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right upper")
    return fig


def verdict_cost(summary):
    """How the price grows with the number of pixels, and what the cache gains."""
    slopes = {name: summary[arms.name(name, "slope on logarithmic axes")] for name in WAYS}
    said = ", ".join(f"{name} {verdicts.span(slopes[name], '.1f')}" for name in WAYS)
    gain = verdicts.span(summary["MADE: times slower without the cache"], ".0f")
    same = verdicts.always_above(summary["MADE with a cache: share of pictures that are the same"], 1 - 1e-9)
    return (
        f"slopes on logarithmic axes: {said}; the largest pictures take {gain} times as long without the cache; "
        f"the cache {'changed no picture' if same else 'changed some pictures'}."
    )


# 15.4 Logits averaged over orders


@dataclass(frozen=True)
class Averaged:
    """Two bits that agree with some probability, and chains of bits that flip with some probability."""

    most: float = 0.99  # probability of agreement, from one half on
    moments: int = 50  # at which it is looked at
    shown: tuple = (0.9, 0.99)
    flip: float = 0.1
    longest: int = 6  # of the chains


def agreeing(same):
    """Two bits (2, 2) that agree with probability `same`, each fair."""
    return torch.tensor([[same, 1 - same], [1 - same, same]], dtype=torch.float64) / 2


def chain(d, flip):
    """d fair bits (2, ..., 2), each unlike the one before with probability `flip`."""
    table = torch.full((2,), 0.5, dtype=torch.float64)
    for _ in range(d - 1):
        table = table.unsqueeze(-1) * (2 * agreeing(1 - flip)).reshape([1] * (table.ndim - 1) + [2, 2])
    return table


def said_of(p, orders):
    """Sum of the "probabilities" of averaged logits for a table p (2, ..., 2), the nats reported, the entropy of p."""
    said = ar.logit_average(p, orders)
    return said.sum(), -(p * said.log()).sum(), -torch.xlogy(p, p).sum()


def run_averaged(config, seed, device):
    """Exact conditionals, and logits averaged over all orders: no noise, no training."""
    agree = torch.linspace(0.5, config.most, config.moments, dtype=torch.float64)
    numbers, arrays = {}, {"agree": agree}
    curves = torch.tensor([said_of(agreeing(a), [(0, 1), (1, 0)]) for a in agree.tolist()])  # (n, 3)
    arrays["sum"], arrays["reported"], arrays["entropy"] = curves.T
    for a in config.shown:
        total, reported, entropy = said_of(agreeing(a), [(0, 1), (1, 0)])
        numbers[f"two bits, agreeing {a}", 'sum of the "probabilities"'] = total
        numbers[f"two bits, agreeing {a}", "reported minus entropy, nats"] = reported - entropy
    sums = []
    for d in range(2, config.longest + 1):
        orders = list(itertools.permutations(range(d)))
        total, reported, entropy = said_of(chain(d, config.flip), orders)
        sums.append(total)
        numbers[f"chain of {d}", "orders averaged"] = len(orders)
        numbers[f"chain of {d}", 'sum of the "probabilities"'] = total
        numbers[f"chain of {d}", "reported minus entropy, nats"] = reported - entropy
    arrays["chains"] = torch.stack(sums)
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_averaged(results, config):
    """Left, nats against agreement (50,): the entropy and what is reported. Right, sums over all pictures of chains."""
    fig, axes = drawing.panels(1, 2, (8.4, 3.4), width_ratios=(1.4, 1))
    a = results[0]["arrays"]
    axes[0].plot(
        a["agree"], a["entropy"], color=COLORS["blue"], ls="-", label="entropy of the data: the least possible"
    )
    axes[0].plot(a["agree"], a["reported"], color=COLORS["vermillion"], ls="--", label="reported, logits averaged")
    axes[0].set(xlabel="probability that the two bits agree", ylabel="nats", ylim=(0, 1.45))
    axes[0].set_title("two bits, both orders exact")
    axes[0].legend(loc="lower left")
    d = range(2, config.longest + 1)
    for r in results:
        axes[1].plot(d, r["arrays"]["chains"], color=COLORS["vermillion"], ls="--", marker="o", lw=1.2)
    drawing.level(axes[1], 1, "a distribution", at=0.98, ha="right")
    axes[1].set(xlabel="bits in the chain", ylabel='sum of the "probabilities"', ylim=(0.9, None))
    axes[1].set_title("chains, all orders")
    return fig


def verdict_averaged(summary):
    """Whether the numbers are impossible ones everywhere."""
    sums = [s for name, s in summary.items() if name.endswith('sum of the "probabilities"')]
    below = [s for name, s in summary.items() if name.endswith("reported minus entropy, nats")]
    over = all(verdicts.always_above(s, 1) for s in sums)
    under = all(verdicts.always_below(s, 0) for s in below)
    return (
        f'the "probabilities" sum to more than 1 in {"every" if over else "not every"} case, and the nats reported lie '
        f"below the entropy in {'every' if under else 'not every'} case, which no model can."
    )


RECIPES = {
    "15.1": Recipe(
        title="Who sees whom",
        caption="The pixels that the output at one place depends on, found by gradient in untrained networks of a few "
        "layers. One stack of masked convolutions (\"plain masks\") is causal, it sees earlier pixels only, and it is blind "
        "to a cone above to the right. Two stacks (\"gated\") see all that came before. Two slips: masks B that drop the "
        "whole row lose much of what came before, the nearest pixels included; a residual link around the first layer lets "
        "the pixel itself through.",
        alt="Four grids of squares with a framed square in the middle. First, the squares above and to the left are blue but "
        "for white ones at the upper right. Second, all squares above and to the left are blue. Third, only the upper "
        "rows are blue in part, and the squares nearby are white. Fourth, like the second, and the framed square itself is red.",
        run=run_seen, draw=draw_seen, quick=Seen(rows=4), full=Seen(), verdict=verdict_seen,
    ),
    "15.3": Recipe(
        title="What drawing a picture costs",
        caption="CPU milliseconds per picture on one thread, against the number of pixels, for untrained networks; a line "
        "for each run. Four ways draw a picture; one reads the likelihood of a given one. MADE and the decoder have equally "
        "many hidden units. The cache keeps the hidden units and adds one column of weights per pixel. Each way is repeated "
        "until the clock can measure it, and all take turns.",
        alt="Five groups of lines on logarithmic axes against the number of pixels. The gated PixelCNN and MADE pixel by pixel lie "
        "highest and rise steeply. MADE with a cache lies far below and rises less; one pass for a likelihood and the decoder of a "
        "VAE lie lowest.",
        run=run_cost, draw=draw_cost, verdict=verdict_cost, seeds=(0, 1, 2),
        quick=Cost(sides=(8, 12), gated_sides=(8, 12), hidden=64, channels=4, layers=2, rounds=1, least=0.02), full=Cost(),
    ),
    "15.4": Recipe(
        title="Logits averaged over orders",
        caption="Exact conditionals in every order, and logits averaged over orders. Left, two fair bits that agree with "
        "some probability: the nats that are reported lie below the entropy of the data, where no model can be. Right, "
        "chains of fair bits, each unlike the one before with one probability: the \"probabilities\" of all pictures sum to "
        "more than 1.",
        alt="Left, two falling curves; the dashed one for the reported nats lies below the entropy everywhere but at one half. "
        "Right, a dashed line of sums that rises with the number of bits, above a dotted line at 1.",
        run=run_averaged, draw=draw_averaged, full=Averaged(), verdict=verdict_averaged,
    ),
}  # fmt: skip
