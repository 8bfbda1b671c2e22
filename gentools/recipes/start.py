"""Experiments of chapter 00: the map of the course, and a model of two coins from its joints to its fit."""

import textwrap
from dataclasses import dataclass

import torch

from gentools import joint_kl
from gentools.lab.chapters import CHAPTERS
from gentools.lab.divergences import kl
from gentools.lab.plots import COLORS, MARKERS
from gentools.lab.randomness import generator
from gentools.recipes import Recipe
from gentools.recipes.shared import diagrams, drawing, verdicts

# 0.1: the map. Chapter: (column, row, chapters it needs)

PLACES = {
    0: (0, 1.0, ()),
    1: (0, 3.0, (0,)),
    2: (1, 0.0, (1,)),
    3: (1, 1.4, (1,)),
    15: (1, 2.8, (1, 3)),
    5: (1, 4.4, (1,)),
    4: (2, 0.0, (3,)),
    16: (2, 0.9, (3,)),
    8: (2, 1.8, (3, 5)),
    9: (2, 2.7, (5,)),
    6: (2, 3.6, (5,)),
    7: (2, 4.5, (5,)),
    10: (2, 5.4, (5,)),
    12: (2, 6.3, (5,)),
    13: (3, 1.8, (8,)),
    14: (3, 3.1, (8, 13)),
    11: (3, 5.4, ()),
    17: (3, 6.3, ()),
}


WIDTH, HEIGHT = 1.5, 0.74  # of a box
ACROSS, DOWN = 2.25, 0.95  # from one column or row to the next


@dataclass(frozen=True)
class Map:
    """The chapters of the course."""

    titles: tuple = tuple(chapter.title for chapter in CHAPTERS)
    written: tuple = tuple(chapter.number for chapter in CHAPTERS if chapter.written)  # their numbers


def place(number):
    """Where the box of a chapter is centered."""
    column, row, _ = PLACES[number]
    return ACROSS * column, -DOWN * row


def draw_chapter(ax, number, title, solid):
    """The box of a chapter, and an arrow from each chapter that it needs. solid: is it written?"""
    from matplotlib.patches import Rectangle

    x, y = place(number)
    color = COLORS["blue"] if solid else "0.55"
    for a, b in map(place, PLACES[number][2]):
        if a == x:
            start, end = (a, b - HEIGHT / 2), (x, y + HEIGHT / 2)
        else:
            start, end = (a + WIDTH / 2, b), (x - WIDTH / 2, y)
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": color, "lw": 1.2})
    how = dict(fc="#e5f1f9" if solid else "white", ec=color, lw=1.3, ls="-" if solid else (0, (4, 3)))
    ax.add_patch(Rectangle((x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, **how))
    text = f"{number}  " + "\n".join(textwrap.wrap(title, 14))
    ax.text(x, y, text, ha="center", va="center", fontsize=10, color="black" if solid else "0.35", linespacing=1.05)


def draw_map(results, config):
    """A box for each chapter, and arrows from what it needs, which lead from left to right or down."""
    fig, ax = drawing.panels(size=(8.4, 5.4))
    for number in PLACES:
        draw_chapter(ax, number, config.titles[number], number in config.written)
    ax.set(xlim=(-0.85, 3 * ACROSS + 0.85), ylim=(-6.3 * DOWN - 0.5, 0.5))
    ax.axis("off")
    return fig


# 0.2: two coins in a bag

TOSSES = 3


def decoder(heads):
    """q(x|z): the probability of x = 0, ..., 3 heads when coin z, whose chance of heads is heads[z], is tossed 3 times.

    heads (K,) -> (4, K), columns sum to 1.
    """
    x = torch.arange(TOSSES + 1, dtype=heads.dtype)[:, None]
    return torch.distributions.Binomial(TOSSES, heads).log_prob(x).exp()


def build(parameters):
    """From free numbers, (K,), (K,) and (4, K), the weights q(z), the chances of heads, and the encoder p(z|x)."""
    weights, heads, encoder = parameters
    return weights.softmax(0), heads.sigmoid(), encoder.softmax(1)


@dataclass(frozen=True)
class Bag:
    """The bag that the reports come from, and the descent that looks for it."""

    weights: tuple = (0.6, 0.4)  # shares of the coins in the bag
    heads: tuple = (0.8, 0.3)  # their chances of heads
    steps: int = 1500
    learning_rate: float = 0.05  # of Adam


def run_bag(config, seed, device):
    """Gradient descent on the joint KL over the weights, the coins and the encoder at once, from a random start."""
    p_x = decoder(torch.tensor(config.heads, dtype=torch.float64)) @ torch.tensor(config.weights, dtype=torch.float64)
    rng = generator(seed, "bag")
    shapes = ((2,), (2,), (TOSSES + 1, 2))
    parameters = [torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_() for shape in shapes]
    optimizer = torch.optim.Adam(parameters, config.learning_rate)
    curves, before = [], None
    for _ in range(config.steps + 1):
        weights, heads, encoder = build(parameters)  # (2,), (2,), (4, 2)
        p_joint, q_joint = joint_kl.joints(p_x, encoder, weights, decoder(heads))  # (4, 2) each
        loss = kl(p_joint, q_joint)
        curves.append(torch.stack([loss, kl(p_x, q_joint.sum(1)), joint_kl.gap(p_joint, q_joint)]).detach())
        before = q_joint.sum(1).detach() if before is None else before
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    order = heads.argsort(descending=True)
    numbers = {
        "joint KL at the start": curves[0][0],
        "joint KL at the end": curves[-1][0],
        "chance of heads, first coin": heads[order[0]],
        "chance of heads, second coin": heads[order[1]],
        "weight of the first coin": weights[order[0]],
    }
    curves = torch.stack(curves)  # (steps + 1, 3)
    arrays = {"curves": curves, "p_x": p_x, "before": before, "after": q_joint.sum(1).detach()}
    return {"numbers": {name: value.detach() for name, value in numbers.items()}, "arrays": arrays}


def draw_bag(results, config):
    """The joint KL and its two parts (steps + 1, 3), and the probabilities (4,) of the reports before and after."""
    a = results[0]["arrays"]
    fig, (left, right) = drawing.panels(1, 2, (8.2, 3.2), width_ratios=(1.4, 1))
    names = ("joint KL", "marginal KL", "gap")
    for curve, name, color in zip(a["curves"].T, names, ("black", "blue", "orange"), strict=True):
        left.loglog(1 + torch.arange(len(curve)), curve.clamp(min=1e-12), color=COLORS[color], label=name)
    left.set(xlabel="step", ylabel="nats", title="One start", ylim=(1e-10, 3))
    left.legend(loc="lower left")
    x = torch.arange(TOSSES + 1)
    right.bar(x.numpy(), a["p_x"].numpy(), width=0.8, color="0.82", label="reports")
    right.plot(x, a["before"], MARKERS[1], color=COLORS["orange"], label="model, first step")
    right.plot(x, a["after"], MARKERS[0], color=COLORS["blue"], label="model, last step")
    right.set(xlabel="heads in three tosses", ylabel="probability", xticks=range(TOSSES + 1), ylim=(0, 0.62))
    right.legend(loc="upper left")
    return fig


def verdict_bag(summary):
    """Whether every start ends at the reports, and the chances of heads that it finds."""
    end = summary["joint KL at the end"]
    coins = [summary[f"chance of heads, {which} coin"] for which in ("first", "second")]
    if not verdicts.finished(end):
        return "no run finished."
    lowest = verdicts.always_below(end, 1e-6)
    fitted = "every start ends below a millionth of a nat" if lowest else "some start does not end below 1e-6 nats"
    agree = "in every start" if max(coin["max"] - coin["min"] for coin in coins) < 0.005 else "on average"
    first, second = (verdicts.mean(coin, ".2f") for coin in coins)
    return f"{fitted}; the coins' chances of heads come out as {first} and {second} {agree}."


RECIPES = {
    "0.1": Recipe(
        title="The map",
        caption="Chapters and what their derivations need: arrows lead from left to right or down, each from a chapter to "
        "one that needs it. Not drawn: chapters 3 and 4 look back at EM, chapter 2, and (4.11) uses the two steps of EM. "
        "Chapters 10 and 12 use the BatchNorm of chapter 6. For comparisons, chapter 13 also uses the Fréchet distance of "
        "chapter 6, chapter 14 the WGAN-GP of chapter 12, chapter 16 the scores of chapter 5, and chapters 14 and 16 the "
        "scores of chapter 11. Evaluation and the one map belong to all of them.",
        alt="A graph of boxes with chapter numbers. An arrow leads from the start to the KL of two joints, from there arrows to EM, "
        "VAE, GAN and autoregressive models; from the VAE to the conditional VAE, diffusion, autoregressive models and AAE; from the GAN to AAE, ALI, "
        "DCGAN, conditional GAN, the regularized GAN and WGAN-GP; from the AAE to AGE and alpha-GAN, and from AGE to alpha-GAN. "
        "Evaluation and the one map have no arrow.",
        run=diagrams.run_nothing, draw=draw_map, full=Map(),
    ),
    "0.2": Recipe(
        title="Two coins in a bag",
        caption="Gradient descent (Adam, chapter 3) on the joint KL. Left: the joint KL is the sum of the marginal KL and "
        "the gap in every step. Right: the probabilities of the reports (bars) and those of the model at the first and the "
        "last step.",
        alt="Left, three curves on logarithmic axes that fall, the gap not in every step; the joint KL is on top and all end near zero. Right, four gray "
        "bars with squares off their tops and circles exactly on them.",
        run=run_bag, draw=draw_bag, quick=Bag(steps=1000), full=Bag(), seeds=tuple(range(5)), verdict=verdict_bag,
    ),
}  # fmt: skip
