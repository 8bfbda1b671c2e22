"""Experiments of chapter 08 without networks (8.1, 8.2, 8.8): which side is real, and three objectives on exact tables."""

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import one_hot

from gentools import aae
from gentools.lab.divergences import kl, mutual_information
from gentools.lab.randomness import generator
from gentools.lab.worlds import simplex
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, diagrams, drawing, verdicts

# 8.1 Which side is real


def draw_flow():
    """From data by way of codes back to images, and a discriminator between codes and prior."""
    fig, ax = diagrams.canvas((8.4, 3.4), (-0.1, 10.9), (-2.7, 1.8))
    diagrams.box(ax, 0.75, 0.6, "data  $x$", width=1.3)
    diagrams.box(ax, 2.8, 0.6, "encoder\n$p(z|x)$", "blue", 1.45, 1.1)
    diagrams.box(ax, 5.2, 0.6, "codes  $p(z)$", width=1.6)
    diagrams.box(ax, 7.7, 0.6, "decoder\n$q(x|z)$", "vermillion", 1.45, 1.1)
    diagrams.box(ax, 5.2, -1.3, "prior  $q(z)$", width=1.6)
    diagrams.box(ax, 7.7, -1.3, "discriminator\n$D(z)$", "green", 1.8, 1.1)
    for start, end in [((1.43, 0.6), (2.05, 0.6)), ((3.56, 0.6), (4.36, 0.6)), ((6.04, 0.6), (6.94, 0.6)),
                       ((6.04, -1.3), (6.77, -1.3)), ((5.9, 0.24), (6.9, -0.72)), ((8.46, 0.6), (9.1, 0.6)),
                       ((8.64, -1.3), (9.1, -1.3))]:  # fmt: skip
        diagrams.arrow(ax, start, end)
    ax.text(9.15, 0.6, "$-\\log q(x|z)$", va="center")
    ax.text(9.15, -1.3, "$y = 1$: prior\n$y = 0$: code", va="center")
    ax.text(5.2, -2.5, "The draws of the prior play the part of the data; the codes are what is generated.",
            color="0.25", ha="center")  # fmt: skip
    return fig


# 8.2 Three objectives on tables


@dataclass(frozen=True)
class Tables:
    """Free tables for encoder and decoder."""

    x_values: int = 6  # of the data
    z_values: int = 3  # codes
    tables: int = 20  # random data and priors
    starts: int = 10  # at random for each table and objective, of which the end with the lowest objective is kept
    steps: int = 1000  # of Adam
    learning_rate: float = 0.1  # of Adam


def joint_objective(p_joint, q_joint):
    """KL(P || Q): the VAE's, with tables (x_values, z_values) for both joints."""
    return kl(p_joint, q_joint)


OBJECTIVES = {"joint KL": joint_objective, "without I": aae.objective, "usual loss": aae.usual_objective}
OBJECTIVE_LOOKS = drawing.looks([*OBJECTIVES], colors=("blue", "vermillion", "green"))


def fit_tables(objective, start, p_x, q_z, config):
    """Both joints (tables, x, z) after Adam on an objective, from the start that ends lowest.

    start: logits (2, starts, tables, x, z) of encoder and decoder.
    """
    encoder, decoder = (part.clone().requires_grad_() for part in start)
    optimizer = torch.optim.Adam([encoder, decoder], config.learning_rate)
    for _ in range(config.steps):
        p_joint = p_x[:, :, None] * encoder.softmax(3)
        q_joint = decoder.softmax(2) * q_z[:, None]
        optimizer.zero_grad()
        value = torch.vmap(torch.vmap(objective))(p_joint, q_joint)  # (starts, tables)
        value.sum().backward()
        optimizer.step()
    lowest = value.argmin(0), torch.arange(len(p_x))
    return p_joint.detach()[lowest], q_joint.detach()[lowest]


def run_tables(config, seed, device):
    """Free encoder and decoder tables, fitted to random data and priors by descent from random starts, for three objectives."""
    rng = generator(seed, "tables of chapter 8")
    p_x = torch.stack([simplex(rng, config.x_values) for _ in range(config.tables)])
    q_z = torch.stack([simplex(rng, config.z_values) for _ in range(config.tables)])
    shape = (2, config.starts, config.tables, config.x_values, config.z_values)
    start = torch.randn(shape, generator=rng, dtype=torch.float64)
    numbers, arrays = {}, {}
    for name, objective in OBJECTIVES.items():
        p_joint, q_joint = fit_tables(objective, start, p_x, q_z, config)
        told = torch.vmap(mutual_information)(p_joint)  # (tables,)
        off = torch.stack([kl(p, q.sum(1)) for p, q in zip(p_x, q_joint, strict=True)])
        arrays |= {f"{name}: I": told, f"{name}: marginal KL": off}
        numbers |= {(name, "I(x;z)"): told.mean(), (name, "marginal KL"): off.mean()}
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_tables(results, config):
    """A point per table: what its code tells, against how far its model of x is off."""
    fig, ax = drawing.panels(size=(6.6, 3.6))
    for name, look in OBJECTIVE_LOOKS.items():
        told, off = (torch.cat([r["arrays"][f"{name}: {what}"] for r in results]) for what in ("I", "marginal KL"))
        ax.plot(told, off.clamp(min=1e-12), **look.as_points(ms=4, alpha=0.6))
    ax.set(xlabel="I(x; z), nats", ylabel="KL from data to model, nats", yscale="log", ylim=(1e-13, 3))
    ax.legend(loc="lower right")
    return fig


def verdict_tables(summary):
    """Whether dropping I raises the information in the codes, and what the model of x pays."""
    told, off = (arms.scores(summary, OBJECTIVES, what) for what in ("I(x;z)", "marginal KL"))
    more = verdicts.separated(told["without I"], told["joint KL"]) == 1
    pays = verdicts.always_below(off["joint KL"], 1e-3) and verdicts.always_above(off["without I"], 1e-3)
    without, usual = (verdicts.mean(off[name], ".3f") for name in ("without I", "usual loss"))
    return (
        f"dropping I {'raises' if more else 'does not clearly raise'} the information in the codes, and the model of x"
        f"{', nearly exact under the joint KL, is off' if pays else ' is not clearly the worse for it'} "
        f"({verdicts.mean(off['joint KL'], '.4f')} against {without} and {usual} nats)."
    )


# 8.8 Many codes


@dataclass(frozen=True)
class Many:
    """The objectives of figure 8.2 with more and more codes, all equally probable under the prior."""

    x_values: int = 6  # of the data
    codes: tuple = (3, 6, 12, 24, 48, 96)
    tables: int = 8  # random data
    starts: int = 10  # at random, as in figure 8.2; one more begins at codes dealt out
    steps: int = 1000  # of Adam
    learning_rate: float = 0.1  # of Adam


DEALT = "codes dealt out"
MANY_LOOKS = drawing.looks(["joint KL", "without I", "usual loss", DEALT], ("blue", "vermillion", "green", "black"))


def owners(p_x, codes):
    """The value of x to which each of equally probable codes (codes,) is dealt: every next code goes to the value that is
    furthest from its share, and the last ones to values that have none yet."""
    left, bare, owner = p_x.tolist(), set(range(len(p_x))), []
    for i in range(codes):
        among = range(len(left)) if codes - i > len(bare) else bare
        owner.append(max(among, key=lambda x: left[x]))
        left[owner[-1]] -= 1 / codes
        bare.discard(owner[-1])
    return torch.tensor(owner)


def dealt(p_x, codes):
    """The model q(x) (n,) of codes that are dealt out."""
    return torch.bincount(owners(p_x, codes), minlength=len(p_x)).to(p_x.dtype) / codes


def near_dealt(p_x, codes, sure=8.0):
    """Logits (2, 1, tables, x, codes) of an encoder and a decoder that nearly keep to the codes dealt out to laws p_x
    (tables, x): a code's own value leads by `sure`."""
    own = torch.stack([one_hot(owners(p, codes), len(p)).T for p in p_x])  # (tables, x, codes)
    return sure * own.to(p_x.dtype).expand(2, 1, *own.shape)


def run_many(config, seed, device):
    """How far the model of x is off after descent on each objective, and with codes dealt out, for every number of codes."""
    rng = generator(seed, "many codes")
    p_x = torch.stack([simplex(rng, config.x_values) for _ in range(config.tables)])
    numbers, arrays = {}, {"codes": torch.tensor(config.codes)}
    for k in config.codes:
        q_z = torch.full((config.tables, k), 1 / k, dtype=torch.float64)
        shape = (2, config.starts, config.tables, config.x_values, k)
        start = torch.randn(shape, generator=rng, dtype=torch.float64)
        if k >= config.x_values:  # else some value gets no code
            start = torch.cat([start, near_dealt(p_x, k)], 1)
        for name, objective in OBJECTIVES.items():
            q_joint = fit_tables(objective, start, p_x, q_z, config)[1]
            off = torch.stack([kl(p, q.sum(1)) for p, q in zip(p_x, q_joint, strict=True)])
            numbers[f"{name}, {k} codes", "marginal KL"] = off.mean()
        if k >= config.x_values:
            by_hand = torch.stack([kl(p, dealt(p, k)) for p in p_x])
            numbers[f"{DEALT}, {k} codes", "marginal KL"] = by_hand.mean()
    numbers = arms.named(numbers)
    for name in MANY_LOOKS:
        found = [numbers.get(arms.name(f"{name}, {k} codes", "marginal KL"), math.nan) for k in config.codes]
        arrays[name] = torch.tensor([float(each) for each in found])
    return {"numbers": numbers, "arrays": arrays}


def draw_many(results, config):
    """How far the model of x is off (codes,) against the number of codes, a line per seed for each objective."""
    fig, ax = drawing.panels(size=(6.6, 3.6))
    for name, look in MANY_LOOKS.items():
        curves = [r["arrays"][name].clamp(min=1e-6) for r in results]
        drawing.seed_curves(ax, config.codes, curves, look, marker=look.marker, ms=3)
    ax.set(xscale="log", yscale="log", xlabel="codes, equally probable", ylabel="KL from data to model, nats")
    ax.set_xticks(config.codes, [str(k) for k in config.codes])
    ax.minorticks_off()
    ax.legend(loc="lower left", bbox_to_anchor=(0.03, 0.26), ncol=2)
    return fig


def verdict_many(summary):
    """How far the model of x is off with few and with most codes, without I and with codes dealt out."""
    counts = sorted({int(name.split(", ")[1].split(" ")[0]) for name in summary if " codes: " in name})
    few, most = (Many.x_values if Many.x_values in counts else counts[0]), counts[-1]
    said = []
    for name in ("without I", "usual loss", DEALT):
        ends = [summary[arms.name(f"{name}, {k} codes", "marginal KL")] for k in (few, most)]
        falls = "falls" if verdicts.ranges_apart(ends[1], ends[0]) == -1 else "does not clearly fall"
        said.append(f"{name} {falls}, from {verdicts.span(ends[0])} to {verdicts.span(ends[1])}")
    return f"From {few} to {most} codes the KL from data to model, in nats, by seeds: {'; '.join(said)}."


RECIPES = {
    "8.1": diagrams.diagram(
        draw_flow,
        title="Which side is real",
        caption="An adversarial autoencoder. The discriminator compares draws of the prior with codes of the data.",
        alt="A flow from data through an encoder to codes and on to a decoder. Codes and draws of the prior both lead to a "
        "discriminator, which answers 1 for the prior and 0 for a code.",
    ),
    "8.2": Recipe(
        title="What the information costs",
        caption="A point per random table of data with six values, and three codes with a random prior. Encoder and "
        "decoder are free tables, fitted by gradient descent; of ten starts the lowest is kept. Under the joint KL the "
        "model of x gets nearly exact, whatever the code tells. Without I(x; z) most codes tell far more, and the model "
        "of x is off. Values below 1e-12 are drawn at 1e-12.",
        alt="A scatter plot with logarithmic vertical axis. Dots of the joint KL lie at the bottom, most at little "
        "information; the two others lie higher, nearly all far above, and most of them farther to the right.",
        run=run_tables, draw=draw_tables, quick=Tables(tables=5, steps=400), full=Tables(), seeds=tuple(range(5)),
        verdict=verdict_tables,
    ),
    "8.8": Recipe(
        title="The same with many codes",
        caption="As in figure 8.2, but with more and more codes, all equally probable under the prior. Black: without "
        "descent, each code is dealt to one value of x, so that every value gets nearly its share. From six codes on, "
        "descent begins at such tables, too, besides the ten random starts. A line per seed, each the mean of eight "
        "random laws of x with six values. Values below 1e-6 are drawn at 1e-6.",
        alt="Lines over the number of codes, both axes logarithmic. Those of the joint KL lie at the bottom. The others fall from six "
        "codes on: without I lowest, the usual loss above; codes dealt out begin highest and end beside the usual loss.",
        run=run_many, draw=draw_many, quick=Many(codes=(6, 12), tables=2, steps=300), full=Many(), seeds=tuple(range(5)),
        verdict=verdict_many,
    ),
}  # fmt: skip
