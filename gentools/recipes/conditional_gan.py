"""Experiments of chapter 07: where the label goes, class grids on digits, and a combination that was never seen."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import Sigmoid
from torch.nn.functional import avg_pool2d

from gentools import conditional_gan as cgan
from gentools import evaluation, gan
from gentools.lab import data
from gentools.lab.divergences import js, kl
from gentools.lab.networks import mlp
from gentools.lab.optim import cosine
from gentools.lab.plots import COLORS, MARKERS, image_grid
from gentools.lab.randomness import generator
from gentools.lab.stream import unit
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, judging, verdicts
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.points import RING, score


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

    training: Training = Training()
    centers: tuple = (-2.0, 2.0)  # of the Gaussians, whose standard deviation is 1


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


def run_between(config, seed, device):
    """Two overlapping classes on a line: the best q(x) under three divergences, and generators trained with D(x,c)."""
    x, exact = exact_between(config)
    arrays = {"x": x} | {f"{name} q": q for name, q in exact.items()}
    numbers = {
        (f"{name}, exact", "std of x"): ((q * x**2).sum() - (q * x).sum() ** 2).sqrt() for name, q in exact.items()
    }
    t, rng = config.training, generator(seed, "between")
    c = torch.randint(2, (t.points,), generator=rng)  # (points,)
    centers = torch.tensor(config.centers, dtype=torch.float64)
    rows = centers[c].float()[:, None] + torch.randn(t.points, 1, generator=rng)  # (points, 1)
    for name in DIVERGENCES:
        sizes = ([t.latent, t.width, t.width, 1], [1, t.width, t.width, 1])
        nets = cgan.networks(seed, *sizes, cgan.blind(2), cgan.one_hot(2)).to(device)
        train_cgan(nets, rows, c, t, seed, device, gan.LOSSES[name])
        made = cgan.sample(nets, noise(10_000, nets, t.latent, seed), c[:10_000].to(device)).cpu()[:, 0]
        arrays[f"{name} samples"] = made  # (10000,)
        numbers[f"{name}, trained", "std of x"] = made.std()
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_between(results, config):
    """A panel per loss: densities q (561,) and histograms of the samples (10000,) of every seed."""
    a = results[0]["arrays"]
    x, dx = a["x"], float(a["x"][1] - a["x"][0])
    fig, axes = drawing.panels(1, 3, (8.4, 3.5), sharey=True)
    for ax, name in zip(axes, DIVERGENCES, strict=True):
        for i, r in enumerate(results):
            made = r["arrays"][f"{name} samples"].double()
            height = torch.histc(made, 70, -7, 7) / len(made) / 0.2
            ax.stairs(height, torch.linspace(-7, 7, 71), color=COLORS["sky"], lw=0.9, label=None if i else "trained")
        ax.plot(x, a["data q"] / dx, color="black", ls=":", label="data, both classes")
        ax.plot(x, a[f"{name} q"] / dx, color=COLORS["blue"], ls="-", label="best possible")
        ax.plot(x, a["geometric mean q"] / dx, color=COLORS["orange"], ls="--", lw=1.4, label="geometric mean")
        ax.set(title=f"{name} loss", xlabel="x", xlim=(-6, 6), xticks=(-4, -2, 0, 2, 4))
    axes[0].set_ylabel("density")
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
        words.append(f"{name} loss: the best generator has a spread near that {side}, and {ending}")
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
LOOKS = drawing.looks({place: place.replace(" ", "\n") for place in PLACES}, ("blue", "orange", "vermillion", "green"))


def codes(place, classes):
    """The codes of generator and discriminator, a row per class."""
    return [code(classes) for code in place]


@dataclass(frozen=True)
class Ring:
    """Conditional GANs on the ring, with the label in four places."""

    training: Training = Training(steps=6000, width=128, points=50_000)
    classes: int = 4


def run_ring(config, seed, device):
    """Eight Gaussians on a ring, opposite ones of one class: how often is the asked class what comes out?"""
    t, k = config.training, config.classes
    rows, component = RING.draw(t.points, seed)  # (points, 2), (points,)
    numbers, arrays = {}, {}
    asked = torch.arange(k).repeat_interleave(600)
    for name, place in PLACES.items():
        sizes = ([t.latent, t.width, t.width, 2], [2, t.width, t.width, 1])
        nets = cgan.networks(seed, *sizes, *codes(place, k)).to(device)
        train_cgan(nets, rows, component % k, t, seed, device)
        made = cgan.sample(nets, noise(len(asked), nets, t.latent, seed), asked.to(device)).cpu()  # (600 k, 2)
        nearest, found = torch.cdist(made, RING.centers()).argmin(1), score(made, RING)
        numbers |= {
            (name, "asked class"): (nearest % k == asked).float().mean(),
            (name, "modes"): found.covered,
            (name, "high-quality share"): found.quality,
        }
        arrays |= {f"{name} samples": made, "asked": asked}
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_ring(results, config):
    """Samples (600 k, 2) of seed 0 for each place; below, three scores of every seed."""
    a, k = results[0]["arrays"], config.classes
    fig, axes = drawing.mosaic("aaabbbcccddd;xxxxyyyyzzzz", (8.4, 5.3), height_ratios=(1, 1.1))
    for key, place in zip("abcd", PLACES, strict=True):
        draw_classes(axes[key], a[f"{place} samples"], a["asked"], k)
        axes[key].set_title(place)
    chance = evaluation.chance_lines(RING.centers(), RING.std, len(a["asked"]))
    levels = {"asked class": (1 / k, "chance"), "high-quality share": (chance["Gaussian"][1], "one Gaussian")}
    for key, what in zip("xyz", ("asked class", "modes", "high-quality share"), strict=True):
        names = {place: arms.name(place, what) for place in PLACES}
        drawing.seed_columns(axes[key], results, names, LOOKS, spread=0.07)
        if what in levels:
            drawing.level(axes[key], *levels[what], at=0.0125, ls="--")
        axes[key].set(title=what, ylim=(0, 8.6) if what == "modes" else (-0.03, 1.06))
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
    """For each place of the label: asked class against chance, modes, and share of good samples."""
    return f"Label in {'; '.join(f'{place}: {said_of_place(summary, place)}' for place in PLACES)}."


def said_of_place(summary, place, chance=0.25):
    """What the runs with the label in one place did."""
    asked, modes, quality = (summary[arms.name(place, w)] for w in ("asked class", "modes", "high-quality share"))
    if not verdicts.finished(asked):
        return "no run finished"
    off = "at chance" if verdicts.near(asked, chance, 0.02) else "off chance"
    word = "more than twice chance in every seed" if verdicts.always_above(asked, 2 * chance) else off
    share = f"{100 * quality['min']:.0f} to {100 * quality['max']:.0f} %"
    return f"asked class {word}, {verdicts.span(modes, '.0f')} modes, {share} good samples"


# 7.3 to 7.5 Digits


def load(name, split):
    """Images, uint8 (n, 1, side, side), and classes (n,). The scans are split 1,400 to 397, in their order."""
    if name == "digits":
        part = slice(1400) if split == "train" else slice(1400, None)
        return tuple(tensor[part] for tensor in data.digits())
    x, c = data.mnist(split)
    return (avg_pool2d(x.float(), 2).round().to(torch.uint8) if name == "mnist 14x14" else x), c


def linear_networks(config, seed, codes):
    """z (n, latent) -> images as vectors (n, side^2) -> logits (n, 1)."""
    w, pixels = config.width, config.data.side**2
    return cgan.networks(seed, [config.latent, w, w, pixels], [pixels, w, w, 1], *codes, Sigmoid())


def image_networks(config, seed, codes):
    """z (n, latent) -> images (n, 1, side, side) -> logits (n, 1)."""
    return cgan.image_networks(seed, config.latent, *codes, config.data.side, config.width)


def as_vectors(x):
    """Images (n, 1, side, side) as linear layers take them, (n, side^2)."""
    return x.flatten(1)


def as_images(x):
    """Images (n, 1, side, side) as they are."""
    return x


class Images(NamedTuple):
    """Pictures by the name that `load` knows, their side, and the networks for them with what these take."""

    name: str
    side: int
    networks: object
    rows: object


SCANS = Images("digits", 8, linear_networks, as_vectors)
SMALL_MNIST = Images("mnist 14x14", 14, image_networks, as_images)
MNIST = Images("mnist", 28, image_networks, as_images)


@dataclass(frozen=True)
class Digits:
    """One conditional GAN on digits."""

    data: Images = SMALL_MNIST
    batch: int = 64
    steps: int = 4000
    latent: int = 32
    learning_rate: float = 1e-3  # of both players
    width: int = 32  # of the hidden layers, or maps of the largest one


T4 = Digits(MNIST, batch=128, steps=10_000, latent=64, learning_rate=5e-4, width=64)
QUICK = Digits(SCANS, steps=4000, latent=8, width=128)


def train_judge(x, c, classes, seed, device="cpu", steps=5000):
    """A classifier of images, side^2-512-k, that no generator is trained against. Its rate falls to 0."""
    judge = mlp([x[0].numel(), 512, classes], generator=generator(seed, "judge"))
    return judging.train_judge(judge, x.flatten(1), c, steps=steps, seed=seed, schedule=cosine(steps), device=device)


def right(judge, x, c):
    """1 where the judge names class c (n,) for images in [0, 1], 0 elsewhere: floats (n,)."""
    return (judging.named(judge, x.flatten(1)) == c).float()


def class_grid(nets, config, classes, seed, columns=10):
    """One row per class, one column per z: images (len(classes) * columns, 1, side, side)."""
    z = noise(columns, nets, config.latent, seed, "grid").repeat(len(classes), 1)
    asked = torch.tensor(classes).repeat_interleave(columns).to(z.device)
    return cgan.sample(nets, z, asked).cpu().reshape(-1, 1, config.data.side, config.data.side)


@dataclass(frozen=True)
class Placed:
    """Digits with the label in one place."""

    training: Digits
    place: Place = PLACES["both"]
    per_class: int = 200  # samples of each class that the judge sees
    every: int = 500  # steps between evaluations


def run_placed(config, seed, device):
    """Digits with the label in some place: the class grid, and how often a judge sees the asked class."""
    t = config.training
    (x, c), (x_test, c_test) = load(t.data.name, "train"), load(t.data.name, "test")
    judge, nets = train_judge(x, c, 10, seed, device), placed_model(config, seed).to(device)
    asked = torch.arange(10).repeat_interleave(config.per_class)

    def hits():
        z = noise(len(asked), nets, t.latent, seed)
        return right(judge, cgan.sample(nets, z, asked.to(z.device)), asked)

    history = train_cgan(nets, t.data.rows(x), c, t, seed, device, log_every=config.every,
                         watch=lambda done: {"asked class": float(hits().mean())},
                         config={"watched with": repr(config)})  # fmt: skip
    by_class = hits().view(10, -1).mean(1)  # (10,)
    numbers = {
        "asked class comes out": by_class.mean(),
        "the same, worst class": by_class.min(),
        "the same, best class": by_class.max(),
        "judge on held-out images": right(judge, unit(x_test), c_test).mean(),
    }
    arrays = {
        "grid": class_grid(nets, t, range(10), seed),
        "by class": by_class,
        "curve": torch.tensor([w["asked class"] for w in history.watched]),  # (evaluations,)
    }
    return {"numbers": numbers, "arrays": arrays, "nets": nets}


def placed_model(config, seed):
    """The networks of figures 7.3 and 7.4, untrained."""
    return config.training.data.networks(config.training, seed, codes(config.place, 10))


def grid_of(ax, images, labels, columns=10):
    """A sheet with one label per row; images (rows * columns, 1, side, side) in [0, 1]."""
    image_grid(ax, images.clamp(0, 1), columns)
    side = images.shape[-1] + 1
    for row, label in enumerate(labels):
        ax.text(-side / 4, (row + 0.5) * side, label, ha="right", va="center", fontsize=10)


def grid_and_panel(results):
    """Figure with the class grid (100, 1, side, side) of seed 0 on the left, and the Axes on the right."""
    fig, axes = drawing.panels(1, 2, (8.4, 4.4), width_ratios=(1.15, 1))
    grid_of(axes[0], results[0]["arrays"]["grid"], range(10))
    axes[0].set_title("asked class by row, one z per column")
    return fig, axes[1]


def draw_placed(results, config):
    """The class grid, and how often each class (10,) came out in every seed."""
    fig, ax = grid_and_panel(results)
    look = Look("asked class", "blue")
    for c in range(10):
        drawing.seed_points(ax, c, [r["arrays"]["by class"][c] for r in results], look, spread=0.07)
    judge = drawing.over_seeds(results, "judge on held-out images")
    ax.set(title="the judge sees the asked class", xlabel="asked class", ylim=(0, 1.12), xticks=range(10))
    drawing.level(ax, 0.1, "chance", at=0.97, ls="--", ha="right")
    drawing.level(ax, sum(judge) / len(judge), "judge on held-out images", at=0.97, above=14, ha="right")
    return fig


def draw_blind(results, config):
    """The class grid, and how often the asked class came out over training (evaluations,), every seed."""
    fig, ax = grid_and_panel(results)
    for i, r in enumerate(results):
        curve = r["arrays"]["curve"]
        steps = config.every * torch.arange(1, len(curve) + 1)
        ax.plot(steps, curve, color=COLORS["vermillion"], ls="-", marker=MARKERS[i % 8], ms=4, lw=1.1)
    drawing.level(ax, 0.1, "chance", at=0.955, ls="--", above=12, ha="right")
    ax.set(title="the judge sees the asked class, every seed", xlabel="step", ylim=(0, 1.03))
    return fig


def verdict_placed(summary):
    """The share of the asked class against chance, and against the judge's accuracy on held-out images."""
    asked, judge = summary["asked class comes out"], summary["judge on held-out images"]
    if not verdicts.finished(asked):
        return "No run finished."
    high = verdicts.always_above(asked, 0.9)
    if not high and not verdicts.beside(asked, 0.1):
        held = "one run has no interval" if asked["low"] is None else "the 95 % interval holds it"
        never = "is not told from" if asked["low"] is None else "comes out no more often than"
        return f"The asked class {never} chance, one in ten: {held}."
    where = "in every seed above nine times chance" if high else "off chance"
    gap = {-1: "below", 0: "not told from", 1: "above"}[verdicts.separated(asked, judge)]
    return f"The asked class comes out {where}; the rate is {gap} the accuracy of the judge on held-out images."


# 7.5 A class in a style in which it was never seen


class Code(NamedTuple):
    """How a combination of class and style is told to the networks: in words, and as a table of 20 rows."""

    words: str
    table: object


CODES = {
    "pair": Code("a vector per pair", lambda: cgan.one_hot(20)),
    "sum": Code("class + style", lambda: cgan.factored(10, 2)),
}
STYLES = {
    "negative": lambda x: 255 - x,
    "turned": lambda x: x.rot90(1, (2, 3)),
}
ARMS = [(style, how) for style in STYLES for how in CODES]
SEEN = {
    "seen, both right": Look("seen, both right", "blue", marker="o"),
    "unseen, style right": Look("unseen, style right", "orange", marker="s"),
    "unseen, both right": Look("unseen, both right", "vermillion", marker="D"),
}


@dataclass(frozen=True)
class Unseen:
    """Digits in two styles, without one of the twenty combinations."""

    training: Digits
    missing: tuple = (2, 3, 4, 5, 7)  # the class held out in seed 0, 1, ...
    samples: int = 500  # of the combination that was never seen


def with_style(x, c, style):
    """Every second image in the style, a function of images; combination c * 2 + s, with s = 1 for the style."""
    s = torch.arange(len(x)) % 2  # (n,)
    return torch.where(s[:, None, None, None] == 1, style(x), x), c * 2 + s


def run_unseen(config, seed, device):
    """Two styles of ten digits, one of the twenty combinations left out of training, and then asked for."""
    t, held = config.training, config.missing[seed % len(config.missing)]
    train_set, test_set = load(t.data.name, "train"), load(t.data.name, "test")
    unseen, neighbors = held * 2 + 1, [held * 2, (held + 1) % 10 * 2 + 1]
    numbers, arrays = {}, {"held": held}
    for style, change in STYLES.items():
        x, k = with_style(*train_set, change)
        judge = train_judge(x, k, 20, seed, device)
        x_test, k_test = with_style(*test_set, change)
        numbers[style, "judge on held-out images"] = right(judge, unit(x_test), k_test).mean()
        kept = k != unseen
        for how, code in CODES.items():
            nets = t.data.networks(t, seed, [code.table()] * 2).to(device)
            train_cgan(nets, t.data.rows(x[kept]), k[kept], t, seed, device)
            found, share = asked_for(nets, judge, config, unseen, seed)
            numbers |= {((style, how), what): value for what, value in found.items()}
            arrays[f"{style} {how} share"] = share
            arrays[f"{style} {how}"] = class_grid(nets, t, [*neighbors, unseen], seed, 8)
    return {"numbers": arms.named(numbers), "arrays": arrays}


def asked_for(nets, judge, config, unseen, seed):
    """What the judge sees where 50 samples of each seen combination are asked for, and many of the unseen one.

    Returns {what: share}, and the shares (10, 2) of class and style in the samples of the unseen combination.
    """
    seen = torch.tensor([k for k in range(20) if k != unseen]).repeat_interleave(50)  # (950,)
    asked = torch.cat([seen, torch.full((config.samples,), unseen)])
    z = noise(len(asked), nets, config.training.latent, seed)
    found = judging.named(judge, cgan.sample(nets, z, asked.to(z.device)).flatten(1))
    share = (found[len(seen) :].bincount(minlength=20) / config.samples).view(10, 2)
    return {
        "seen, both right": (found == asked)[: len(seen)].float().mean(),
        "unseen, both right": share[unseen // 2, 1],
        "unseen, style right": share[:, 1].sum(),
    }, share


def draw_unseen(results, config):
    """A sheet (24, 1, side, side) per arm, seed 0; below, what the judge sees in every seed."""
    fig, axes = drawing.mosaic("ab;cd;ee", (8.4, 6.6), height_ratios=(1, 1, 1.75))
    a, ax = results[0]["arrays"], axes["e"]
    held = int(a["held"])
    for key, (style, how) in zip("abcd", ARMS, strict=True):
        rows = (f"{held}, seen", f"{(held + 1) % 10} {style}, seen", f"{held} {style}, unseen")
        grid_of(axes[key], a[f"{style} {how}"], rows, 8)
        axes[key].set_title(f"{style}: {CODES[how].words}")
    for i, (what, look) in enumerate(SEEN.items()):
        ax.plot([], [], **look.as_points(ms=6, alpha=0.8))
        for x, arm in enumerate(ARMS):
            values = drawing.over_seeds(results, arms.name(arm, what))
            drawing.seed_points(ax, x + 0.27 * (i - 1), values, look, spread=0.04, half_width=0.11)
    ax.axhline(1 / 20, color="0.45", ls="--", lw=1.2, zorder=0, label="chance, one in twenty")
    ax.set(xticks=range(4), xticklabels=[f"{style}:\n{CODES[how].words}" for style, how in ARMS], ylim=(-0.03, 1.06))
    ax.set_title("what the judge sees, every seed")
    drawing.legend_below(fig, ax, columns=4)
    return fig


def verdict_unseen(summary):
    """For each arm: is the unseen combination right as often as seen ones, and how often is its style?"""
    words = [f"{style}, {CODES[how].words}: {said_of_unseen(summary, (style, how))}" for style, how in ARMS]
    return f"How often the unseen combination is right, against seen ones. {'; '.join(words).capitalize()}."


def said_of_unseen(summary, arm):
    """What one arm did with the combination that it never saw."""
    seen, styled, both = (summary[arms.name(arm, what)] for what in SEEN)
    if not (verdicts.finished(seen) and verdicts.finished(both)):
        return "no run finished"
    half = seen | {"min": seen["min"] / 2, "max": seen["max"] / 2}
    word = {-1: "less often", 0: "not separated", 1: "more often"}[verdicts.separated(both, seen)]
    if verdicts.ranges_apart(both, half) == -1:
        word = "less than half as often, in every seed"
    return f"{word} (both in {verdicts.percent(both)}, the style alone in {verdicts.percent(styled)})"


FIVE = tuple(range(5))
RECIPES = {
    "7.1": Recipe(
        title="A generator that does not see the class",
        caption="Two classes on a line, N(-2, 1) and N(2, 1). D sees the class, G does not. The best generator follows the data "
        "only with the saturating loss. With the others it moves between the classes, with the KL loss to their geometric "
        "mean. Steps: samples of trained generators, every seed.",
        alt="Three panels of densities. With the saturating loss two humps over the data's two humps; with the non-saturating "
        "loss one narrow hump in the middle; with the KL loss one hump in the middle on the geometric mean, and the trained "
        "samples somewhat wider.",
        run=run_between,
        draw=draw_between,
        quick=Between(Training(steps=1000)),
        cpu=Between(),
        full=Between(Training(steps=20_000)),
        seeds=FIVE,
        verdict=verdict_between,
        record="cpu",
    ),
    "7.2": Recipe(
        title="Four places for the label",
        caption="Eight Gaussians, opposite ones of one class. Top: samples of seed 0, colored by the class that was asked for, "
        "and the true modes as rings in the color of their class. Bottom: every seed, with means as bars. Asked class: share "
        "of the samples that are nearest to a mode of it.",
        alt="Top: four rings of samples. With the label in both players each color sits in the two rings of its color; with "
        "the label in one player or none the colors are mixed. Bottom: three panels of points. Asked class is 1 for both "
        "and at the chance line for the others. Modes: all 8 for neither, 6 or 8 for only G, 3 to 5 for only D, scattered "
        "from 3 to 8 for both. High-quality share: the points of all four places overlap.",
        run=run_ring,
        draw=draw_ring,
        quick=Ring(Training(steps=1500, points=20_000)),
        cpu=Ring(),
        full=Ring(Training(steps=30_000, width=128)),
        seeds=FIVE,
        verdict=verdict_ring,
        record="cpu",
    ),
    "7.3": Recipe(
        title="Ten classes by ten codes",
        caption="MNIST, averaged to 14x14 pixels, 4,000 steps on a CPU; the full recipe has 28x28 pixels and needs a GPU. Left: "
        "samples of seed 0, a class per row and one z per column. Right: how often a judge names the asked class, every seed.",
        alt="Left: a sheet of ten by ten handwritten digits, each row one digit from 0 to 9; within a column slant and "
        "thickness are alike. Right: points per class, most of them between 0.85 and 1, far above the chance line at 0.1.",
        run=run_placed,
        draw=draw_placed,
        model=placed_model,
        quick=Placed(QUICK),
        cpu=Placed(Digits()),
        full=Placed(T4),
        seeds=FIVE,
        verdict=verdict_placed,
        record="cpu",
    ),
    "7.4": Recipe(
        title="The same with a discriminator that does not see the class",
        caption="As figure 7.3 (14x14 pixels, CPU), but the class goes into G only. Left: samples of seed 0, asked class by row. "
        "Right: how often the judge names the asked class during training, every seed.",
        alt="Left: a sheet of ten by ten handwritten digits in which all ten rows are the same. Right: curves over "
        "training that stay close to the chance line at 0.1.",
        run=run_placed,
        draw=draw_blind,
        quick=Placed(QUICK, PLACES["only G"]),
        cpu=Placed(Digits(), PLACES["only G"]),
        full=Placed(T4, PLACES["only G"]),
        seeds=FIVE,
        verdict=verdict_placed,
        record="cpu",
    ),
    "7.5": Recipe(
        title="A digit in a style in which it was never seen",
        caption="MNIST at 14x14 pixels, CPU size. Twenty combinations of digit and style, one of them left out, another digit in "
        "every seed. Top: seed 0; the third row of each sheet is the combination that was never seen. Bottom: what a judge "
        "sees in the samples; it was trained on all twenty.",
        alt="Top: four sheets of digits in three rows. The two rows of seen combinations show the digits; the row of the "
        "unseen one shows noise between the styles with a vector per pair, and other digits in the asked style with class + "
        "style. Bottom: points; seen combinations near 0.9, unseen ones near 0, the style alone between one third and 1.",
        run=run_unseen,
        draw=draw_unseen,
        quick=Unseen(QUICK),
        cpu=Unseen(Digits(steps=3000, width=24)),
        full=Unseen(T4),
        seeds=FIVE,
        verdict=verdict_unseen,
        record="cpu",
    ),
}
