"""Experiments of chapter 07 on points: a generator that does not see the class, and four places for the label."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch

from gentools import conditional_gan as cgan
from gentools import gan
from gentools.lab.divergences import js, kl
from gentools.lab.optim import cosine
from gentools.lab.plots import COLORS, MARKERS
from gentools.lab.randomness import generator
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import change, scored_at
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.points import DRAWN, RING, chance, score


def train_cgan(nets, rows, c, training, seed, device, loss=gan.non_saturating_loss, **how):
    """Train a conditional GAN, which stands on `device`, on rows (n, ...) with classes c (n,). Returns the History.

    how: what `train` takes besides, as watch and log_every.
    """
    step, opts = functools.partial(cgan.step, generator_loss=loss), adams(nets, training.learning_rate, (0.5, 0.999))
    return fit_kept(step, nets, opts, (rows, c), training.latent, batch=training.batch, steps=training.steps,
                    seed=seed, device=device, **how)  # fmt: skip


def noise(n, nets, latent, seed, *keys):
    """z (n, latent) from the seed alone, on the device of the networks."""
    z = torch.randn(n, latent, generator=generator(seed, "evaluation", *keys))
    return z.to(next(nets.parameters()).device)


# 7.1 A generator that cannot see the class, exactly


@dataclass(frozen=True)
class Training:
    """One conditional GAN of linear layers, on points."""

    batch: int = 128
    steps: int = 4000
    latent: int = 2
    learning_rate: float = 1e-3  # of both players
    width: int = 64  # of the two hidden layers
    points: int = 20_000  # drawn once, to train on


@dataclass(frozen=True)
class Between:
    """Two Gaussians on a line, one per class, and a generator that does not see the class."""

    training: Training = Training(steps=8000)  # its learning rate is not used
    learning_rates: tuple = (("saturating", 1e-3), ("non-saturating", 1e-3), ("KL", 3e-3))  # of both players
    tuning: tuple = (  # loss, then (rate, Wasserstein distance to the best q) of one run each over all steps on seed 100
        ("saturating", (3e-4, 0.053), (1e-3, 0.052), (3e-3, 0.052)),
        ("non-saturating", (3e-4, 0.138), (1e-3, 0.073), (3e-3, 0.128), (1e-2, 0.098)),
        ("KL", (3e-4, 0.302), (1e-3, 0.224), (3e-3, 0.14), (1e-2, 0.18)),
    )
    centers: tuple = (-2.0, 2.0)  # of the Gaussians, whose standard deviation is 1
    moments: int = 16  # at which samples are scored, equally spaced


DIVERGENCES = {
    "saturating": lambda p, q: 2 * js(p, q),
    "non-saturating": lambda p, q: 2 * kl((p + q) / 2, p),
    "KL": lambda p, q: kl(q, p),
}


def best_shared(divergence, p_xc, rounds=60):
    """The q(x) (n,) that minimizes divergence(p(x,c), q(x)p(c)), by LBFGS on its logits, which starts at the marginal."""
    logits = p_xc.sum(1).log().requires_grad_()  # (n,)
    search = torch.optim.LBFGS([logits], max_iter=50, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    def closure():
        search.zero_grad()
        value = divergence(p_xc, logits.softmax(0)[:, None] * p_xc.sum(0))
        value.backward()
        return value

    for _ in range(rounds):
        search.step(closure)
    return logits.detach().softmax(0)


def exact_between(config):
    """Places x (561,) on the line, and the best q(x) there under three divergences, beside data and geometric mean."""
    x = torch.linspace(-7, 7, 561, dtype=torch.float64)
    p_xc = torch.exp(-((x[:, None] - torch.tensor(config.centers, dtype=torch.float64)) ** 2) / 2)  # (561, 2)
    p_xc = p_xc / p_xc.sum()
    found = {name: best_shared(divergence, p_xc) for name, divergence in DIVERGENCES.items()}
    return x, found | {"data": p_xc.sum(1), "geometric mean": cgan.blind_generator(p_xc)[0]}


SPREAD, APART = "std of x", "Wasserstein distance to the best q"
MOVED_APART = f"{APART}, at the end minus after three quarters"


def apart(made, x, q):
    """Wasserstein distance, in units of x, between samples made (n,) and probabilities q (m,) of equally spaced x (m,).

    A sample beyond the first or the last place counts as one at that place.
    """
    counted = torch.searchsorted(made.double().sort().values, x, right=True) / len(made)  # share up to each place
    return (counted - (q.cumsum(0) - q / 2)).abs().sum() * (x[1] - x[0])


def train_between(loss, rate, x, best, config, seed, device):
    """One generator that does not see the class. Returns samples (10000,), and {score: curve (moments,)}."""
    t, rng = dataclasses.replace(config.training, learning_rate=rate), generator(seed, "between")
    c = torch.randint(2, (t.points,), generator=rng)  # (points,)
    centers = torch.tensor(config.centers, dtype=torch.float64)
    rows = centers[c].float()[:, None] + torch.randn(t.points, 1, generator=rng)  # (points, 1)
    sizes = ([t.latent, t.width, t.width, 1], [1, t.width, t.width, 1])
    nets = cgan.networks(seed, *sizes, cgan.blind(2), cgan.one_hot(2)).to(device)
    asked = c[:10_000].to(device)

    def made():
        return cgan.sample(nets, noise(len(asked), nets, t.latent, seed), asked).cpu()[:, 0]

    def watch(done):
        samples = made()
        return {SPREAD: float(samples.std()), APART: float(apart(samples, x, best))}

    history = train_cgan(nets, rows, c, t, seed, device, gan.LOSSES[loss], schedule=cosine(t.steps), watch=watch,
                         log_every=max(1, t.steps // config.moments))  # fmt: skip
    return made(), {what: torch.tensor([seen[what] for seen in history.watched]) for what in (SPREAD, APART)}


def run_between(config, seed, device):
    """Two overlapping classes on a line: the best q(x) under three divergences, and generators trained with D(x,c)."""
    x, exact = exact_between(config)
    arrays = {"x": x} | {f"{name} q": q for name, q in exact.items()}
    numbers = {(f"{name}, exact", SPREAD): ((q * x**2).sum() - (q * x).sum() ** 2).sqrt() for name, q in exact.items()}
    for name, rate in config.learning_rates:
        samples, curves = train_between(name, rate, x, exact[name], config, seed, device)
        arrays |= {f"{name} samples": samples} | {f"{name} {what}": curve for what, curve in curves.items()}
        numbers |= {(f"{name}, trained", what): curve[-1] for what, curve in curves.items()}
        numbers[f"{name}, trained", MOVED_APART] = change(curves[APART])
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_between(results, config):
    """A column per loss: densities q (561,) and samples (10000,) of every seed; below, their distance (moments,)."""
    a = results[0]["arrays"]
    x, dx = a["x"], float(a["x"][1] - a["x"][0])
    fig, (axes, below) = drawing.panels(2, 3, (8.4, 5.2), sharey="row", height_ratios=(1.5, 1))
    for ax, under, name in zip(axes, below, DIVERGENCES, strict=True):
        for i, r in enumerate(results):
            made = r["arrays"][f"{name} samples"].double()
            height = torch.histc(made, 70, -7, 7) / len(made) / 0.2
            ax.stairs(height, torch.linspace(-7, 7, 71), color=COLORS["sky"], lw=0.9, label=None if i else "trained")
        ax.plot(x, a["data q"] / dx, color="black", ls=":", label="data, both classes")
        ax.plot(x, a[f"{name} q"] / dx, color=COLORS["blue"], ls="-", label="best possible")
        ax.plot(x, a["geometric mean q"] / dx, color=COLORS["orange"], ls="--", lw=1.4, label="geometric mean")
        ax.set(title=f"{name} loss", xlabel="x", xlim=(-6, 6), xticks=(-4, -2, 0, 2, 4))
        curves = [r["arrays"][f"{name} {APART}"] for r in results]
        drawing.seed_curves(under, scored_at(config.training.steps, config.moments), curves, drawing.Look(name, "sky"))
        under.set(xlabel="step", yscale="log")
    axes[0].set_ylabel("density")
    below[0].set_ylabel("distance to the best")
    below[0].set_yticks((0.03, 0.1, 0.3), ("0.03", "0.1", "0.3"))
    below[0].minorticks_off()
    drawing.legend_below(fig, axes[0], columns=4)
    return fig


def verdict_between(summary):
    """For each loss: is the best generator's spread nearer to the data's or to the geometric mean's, and the trained?"""
    ends = ("data", "geometric mean")
    exact = {name: summary[f"{name}, exact: std of x"]["mean"] for name in (*DIVERGENCES, *ends)}
    if None in exact.values():
        return "No run finished."
    data_, middle = (exact[name] for name in ends)
    words = []
    for name in DIVERGENCES:
        side = "of the data" if abs(exact[name] - data_) < abs(exact[name] - middle) else "of the geometric mean"
        trained, between = summary[f"{name}, trained: std of x"], (data_ + middle) / 2
        beyond = verdicts.always_below if exact[name] < between else verdicts.always_above
        ending = "all seeds end on that side" if beyond(trained, between) else "not all seeds end on that side"
        late = verdicts.settling(summary[f"{name}, trained: {APART}"], summary[f"{name}, trained: {MOVED_APART}"])
        words.append(f"{name} loss: the best generator has a spread near that {side}, and {ending} (distance {late})")
    return f"Class in D and not in G. {'; '.join(words)}."


# 7.2 Four places for the label, on a ring


class Place(NamedTuple):
    """Where the class goes: how the generator and the discriminator are told it, as functions of the number of classes."""

    generator: object
    discriminator: object


PLACES = {
    "both": Place(cgan.one_hot, cgan.one_hot),
    "only D": Place(cgan.blind, cgan.one_hot),
    "only G": Place(cgan.one_hot, cgan.blind),
    "neither": Place(cgan.blind, cgan.blind),
}
R1 = "both + R1"
ARMS = PLACES | {R1: PLACES["both"]}
LOOKS = drawing.looks(
    {arm: arm.replace(" ", "\n") for arm in ARMS}, ("blue", "orange", "vermillion", "green", "purple")
)


def codes(place, classes):
    """The codes of generator and discriminator, a row per class."""
    return [code(classes) for code in place]


# For each arm the best overlap of seed 100, from a grid of 3e-4, 1e-3, 3e-3, 1e-2, 3e-2 climbed to where both neighbors are worse.
TUNED = (("both", 1e-3), ("only D", 3e-3), ("only G", 1e-2), ("neither", 3e-3), (R1, 1e-2))


@dataclass(frozen=True)
class Ring:
    """Conditional GANs on the ring, with the label in four places, and in one of them also with the penalty R1."""

    training: Training = Training(steps=2500, width=128, points=50_000)  # its learning rate is not used
    learning_rates: tuple = TUNED  # of both players at the start, for each arm; they fall to 0 along half a cosine
    penalty_weight: float = 0.3  # of R1, in the arm that has it: that of figure 5.7
    classes: int = 4
    moments: int = 8  # at which samples are scored, equally spaced


SCORES = ("asked class", "modes", "high-quality share")
MOVED = "high-quality share at the end minus after three quarters"


def ring_step(arm, config):
    """The step of an arm of figure 7.2: without a penalty, or with R1."""
    return functools.partial(cgan.penalized_step, penalty_weight=config.penalty_weight) if arm == R1 else cgan.step


def train_ring(arm, rate, config, seed, device):
    """One conditional GAN on the ring, one of ARMS. Returns samples (625 k, 2), classes, {score: curve}."""
    t, k = config.training, config.classes
    rows, component = RING.draw(t.points, seed)  # (points, 2), (points,)
    sizes = ([t.latent, t.width, t.width, 2], [2, t.width, t.width, 1])
    nets = cgan.networks(seed, *sizes, *codes(ARMS[arm], k)).to(device)
    asked = torch.arange(k).repeat_interleave(DRAWN // k)

    def made():
        return cgan.sample(nets, noise(len(asked), nets, t.latent, seed), asked.to(device)).cpu()

    def watch(done):
        samples = made()
        nearest, found = torch.cdist(samples, RING.centers()).argmin(1), score(samples, RING)
        right = (nearest % k == asked).float().mean()
        values = (right, found.covered, found.quality, found.overlap)
        return dict(zip((*SCORES, "overlap"), map(float, values), strict=True))

    history = fit_kept(ring_step(arm, config), nets, adams(nets, rate, (0.5, 0.999)), (rows, component % k), t.latent,
                       batch=t.batch, steps=t.steps, seed=seed, device=device, schedule=cosine(t.steps), watch=watch,
                       log_every=max(1, t.steps // config.moments))  # fmt: skip
    curves = {what: torch.tensor([each[what] for each in history.watched]) for what in (*SCORES, "overlap")}
    return made(), asked, curves


def run_ring(config, seed, device):
    """Eight Gaussians on a ring, opposite ones of one class: how often is the asked class what comes out?"""
    numbers, arrays = {}, {}
    for name, rate in config.learning_rates:
        samples, arrays["asked"], curves = train_ring(name, rate, config, seed, device)
        numbers |= {(name, what): curve[-1] for what, curve in curves.items()}
        numbers[name, MOVED] = change(curves["high-quality share"])
        arrays |= {f"{name} samples": samples} | {f"{name} {what}": curve for what, curve in curves.items()}
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_ring(results, config):
    """Samples (2500, 2) of seed 0 for each arm; below, three scores at the end and over training (moments,), every seed."""
    a, k = results[0]["arrays"], config.classes
    fig, axes = drawing.mosaic("aaabbbcccdddeee;xxxxxyyyyyzzzzz;uuuuuvvvvvwwwww", (8.4, 7.2), height_ratios=(0.8, 1, 1))
    for key, arm in zip("abcde", ARMS, strict=True):
        draw_classes(axes[key], a[f"{arm} samples"], a["asked"], k)
        axes[key].set_title(arm)
    steps = scored_at(config.training.steps, config.moments)
    levels = {"asked class": (1 / k, "chance"), "high-quality share": (chance(RING)["Gaussian"][1], "one Gaussian")}
    for key, below, what in zip("xyz", "uvw", SCORES, strict=True):
        drawing.seed_columns(axes[key], results, {arm: arms.name(arm, what) for arm in ARMS}, LOOKS, spread=0.07)
        for arm in ARMS:
            curves = [r["arrays"][f"{arm} {what}"] for r in results]
            look = dataclasses.replace(LOOKS[arm], label=arm)
            drawing.seed_curves(axes[below], steps, curves, look, marker=look.marker, ms=3)
        for ax in (axes[key], axes[below]):
            if what in levels:
                value, text = levels[what]
                drawing.level(ax, value, text if ax is axes[key] else "", at=0.0125, ls="--")
            ax.set_ylim((0, 8.6) if what == "modes" else (-0.03, 1.06))
        axes[key].set_title(what)
        axes[below].set_xlabel("step")
    drawing.legend_below(fig, axes["u"], columns=5)
    return fig


def draw_classes(ax, samples, asked, classes):
    """Samples (n, 2) in the color of the class that was asked for (n,), and the true modes as rings in theirs."""
    colors = [COLORS[name] for name in ("blue", "orange", "green", "purple")]
    for part in range(6):  # in turns, so that no class covers the others
        for c, color in enumerate(colors):
            ax.plot(*samples[asked == c][part::6].T, ls="", marker=MARKERS[c], ms=2.5, alpha=0.5, color=color)
    for c, color in enumerate(colors):
        ax.plot(*RING.centers()[c::classes].T, ls="", marker="o", ms=13, mfc="none", mew=1.3, color=color)
    ax.set(xlim=(-2.7, 2.7), ylim=(-2.7, 2.7), aspect="equal", xticks=(), yticks=())


def verdict_ring(summary):
    """For each arm: asked class against chance, modes, and share of good samples; then what is separated."""
    lines = [f"label in {arm}: {said_of_arm(summary, arm)}" for arm in ARMS]
    for what in SCORES[1:]:
        lines.append(f"by {what}, intervals compared: {verdicts.ordered(arms.scores(summary, ARMS, what))}")
    return ";\n  ".join(lines) + "."


def said_of_arm(summary, arm, chance=0.25):
    """What the runs of one arm did, and whether their share of good samples has settled."""
    asked, modes, quality = (summary[arms.name(arm, what)] for what in SCORES)
    if not verdicts.finished(asked):
        return "no run finished"
    range_ = f"({verdicts.span(asked, '.2f')} from run to run)"
    off = f"{'off' if verdicts.beside(asked, chance) else 'not resolved from'} chance {range_}"
    off = "at chance" if verdicts.near(asked, chance, 0.02) else off
    word = "more than twice chance in every seed" if verdicts.always_above(asked, 2 * chance) else off
    share = f"{100 * quality['min']:.0f} to {100 * quality['max']:.0f} %"
    late = verdicts.settling(quality, summary[arms.name(arm, MOVED)])
    return f"asked class {word}, {verdicts.span(modes, '.0f')} modes, {share} good samples ({late})"


RECIPES = {
    "7.1": Recipe(
        title="A generator that does not see the class",
        caption="Two classes on a line, N(-2, 1) and N(2, 1). D sees the class, G does not. The best generator follows "
        "the data only with the saturating loss. With the others it moves between the classes, and with the KL loss to "
        "their geometric mean. Staircases: histograms of samples of the trained generators, every seed. Below: the "
        "Wasserstein distance of these samples to the best generator (the area between the two distribution functions), "
        "over training. Each loss has the rate of Adam, with betas 0.5 and 0.999, that came nearest to its best in one "
        "run of another seed over all steps (for the saturating loss 0.001 and 0.003 tie, and 0.01 was not tried); the "
        "rate falls to 0.",
        alt="Three panels of densities. With the saturating loss two humps over the data's two humps; with the non-saturating "
        "loss one narrow hump in the middle; with the KL loss one hump in the middle on the geometric mean, and the trained "
        "samples somewhat wider. Below: three panels of curves on a logarithmic axis.",
        run=run_between, draw=draw_between, quick=Between(Training(steps=1000)), cpu=Between(),
        full=Between(Training(steps=30_000)), seeds=tuple(range(5)), verdict=verdict_between, record="cpu",
    ),
    "7.2": Recipe(
        title="Four places for the label",
        caption="Eight Gaussians, opposite ones of one class. Top: samples of seed 0, colored by the class that was "
        "asked for, and the true modes as rings in the color of their class. Middle: every seed at the end, with means "
        "as bars. Bottom: every seed over training. Asked class: share of the samples whose nearest mode is of the "
        "class that was asked for. The last column has the label in both players and the penalty R1. Each column has "
        "the rate of Adam, with betas 0.5 and 0.999, that had the largest overlap in one run of another seed; rates "
        "were tried from 0.0003 upward until both neighbors of the best were worse. The rate falls to 0. The record "
        "does not hold these trials.",
        alt="Top: five rings of samples. With the label in both players each color lies in the rings of its color and on the line "
        "between them; one ring is nearly empty without R1, none with it; for only D and neither the colors are mixed; for only G they "
        "lie on arcs, mostly in rings of other colors. Middle: three panels of points. Asked class is 1 for both, with and without R1, near the chance line for only D and neither, and "
        "scattered from well above it to well below for only G. Modes: all 8 for only G, neither and both with R1, 1 to 6 for "
        "only D, 4 to 7 for both without it. High-quality share: the points overlap, but those of both with R1 "
        "lie above those of neither. Bottom: the same scores over the steps; nearly all curves end flat.",
        run=run_ring, draw=draw_ring, quick=Ring(Training(steps=1500, points=20_000)), cpu=Ring(),
        full=Ring(Training(steps=30_000, width=128, points=50_000)), seeds=tuple(range(5)), verdict=verdict_ring, record="cpu", idle=("learning_rate",),
    ),
}  # fmt: skip
