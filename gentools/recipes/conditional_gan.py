"""Experiments of chapter 07: where the label goes, class grids on digits, and a combination that was never seen."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import Sigmoid
from torch.nn.functional import avg_pool2d, cross_entropy

from gentools import conditional_gan as cgan
from gentools import evaluation, gan
from gentools.lab import data
from gentools.lab.divergences import js, kl
from gentools.lab.networks import mlp
from gentools.lab.optim import adam, cosine
from gentools.lab.plots import COLORS, MARKERS, image_grid
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.lab.training import train
from gentools.recipes import Recipe


def fit(nets, rows, c, training, seed, device, name, loss=gan.non_saturating_loss, watch=None, every=500):
    """Train a conditional GAN on rows with classes c. Returns networks and History.

    Where GENTOOLS_CHECKPOINTS names a folder, the run keeps checkpoints there under `name` and resumes after a kill.
    """
    nets = nets.to(device)
    opts = {player: adam(net.parameters(), training.rate, (0.5, 0.999)) for player, net in nets.items()}
    stream = Stream((rows, c), training.batch, training.z_size, device=device)
    step = functools.partial(cgan.step, generator_loss=loss)
    kept = os.environ.get("GENTOOLS_CHECKPOINTS")
    folder = Path(kept) / f"{name}, seed {seed}".replace(" ", "_") if kept else None
    seen = watch and (lambda done: watch(nets, done))
    return nets, train(
        step,
        nets,
        opts,
        stream,
        training.steps,
        seed,
        watch=seen,
        log_every=every,
        folder=folder,
        config={"name": name, "training": repr(training)},
    )


def noise(n, nets, z_size, seed, *keys):
    """n rows of z from the seed alone, on the device of the networks."""
    z = torch.randn(n, z_size, generator=generator(seed, "evaluation", *keys))
    return z.to(next(nets.parameters()).device)


def points_of(ax, x, values, color, marker):
    """One point per seed at place x, and a bar at their mean."""
    spread = (torch.arange(len(values)) - (len(values) - 1) / 2) * 0.07
    ax.plot(x + spread, values, ls="", ms=6, alpha=0.8, color=color, marker=marker)
    ax.plot([x - 0.3, x + 0.3], [sum(values) / len(values)] * 2, color="black", lw=1.2, ls="-")


# 7.1 A generator that cannot see the class, exactly


@dataclass(frozen=True)
class Training:
    batch: int = 128
    steps: int = 4000
    z_size: int = 2
    rate: float = 1e-3
    width: int = 64
    points: int = 20_000


@dataclass(frozen=True)
class Between:
    training: Training = Training()
    centers: tuple = (-2.0, 2.0)  # of two Gaussians of standard deviation 1, one per class


DIVERGENCES = {
    "saturating": lambda p, q: 2 * js(p, q),
    "non-saturating": lambda p, q: 2 * kl((p + q) / 2, p),
    "KL": lambda p, q: kl(q, p),
}


def best_shared(divergence, p_xc, rounds=60):
    """The q(x) that minimizes divergence(p(x,c), q(x)p(c)), by LBFGS on its logits, which starts at the marginal."""
    logits = p_xc.sum(1).log().requires_grad_()
    search = torch.optim.LBFGS([logits], max_iter=50, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    def closure():
        search.zero_grad()
        value = divergence(p_xc, logits.softmax(0)[:, None] * p_xc.sum(0))
        value.backward()
        return value

    for _ in range(rounds):
        search.step(closure)
    return logits.detach().softmax(0)


def run_between(config, seed, device):
    """Two overlapping classes on a line: the best q(x) under three divergences, and generators trained with D(x,c)."""
    x = torch.linspace(-7, 7, 561, dtype=torch.float64)
    centers = torch.tensor(config.centers, dtype=torch.float64)
    p_xc = torch.exp(-((x[:, None] - centers) ** 2) / 2)
    p_xc = p_xc / p_xc.sum()
    exact = {name: best_shared(d, p_xc) for name, d in DIVERGENCES.items()}
    exact |= {"data": p_xc.sum(1), "geometric mean": cgan.blind_generator(p_xc)[0]}
    arrays = {"x": x} | {f"{name} q": q for name, q in exact.items()}
    numbers = {f"{name}, exact: std of x": ((q * x**2).sum() - (q * x).sum() ** 2).sqrt() for name, q in exact.items()}

    t, rng = config.training, generator(seed, "between")
    c = torch.randint(2, (t.points,), generator=rng)
    rows = centers[c].float()[:, None] + torch.randn(t.points, 1, generator=rng)
    for name in DIVERGENCES:
        sizes = ([t.z_size, t.width, t.width, 1], [1, t.width, t.width, 1])
        nets = cgan.networks(seed, *sizes, cgan.blind(2), cgan.one_hot(2))
        nets, _ = fit(nets, rows, c, t, seed, device, f"7.1 {name}", gan.LOSSES[name])
        made = cgan.sample(nets, noise(10_000, nets, t.z_size, seed), c[:10_000].to(device)).cpu()[:, 0]
        arrays[f"{name} samples"] = made
        numbers[f"{name}, trained: std of x"] = made.std()
    return {"numbers": numbers, "arrays": arrays}


def draw_between(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    x, dx = a["x"], float(a["x"][1] - a["x"][0])
    fig, axes = plt.subplots(1, 3, figsize=(8.4, 3.5), sharey=True)
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
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def verdict_between(summary):
    data, middle = summary["data, exact: std of x"]["mean"], summary["geometric mean, exact: std of x"]["mean"]
    words = []
    for name in DIVERGENCES:
        exact, s = summary[f"{name}, exact: std of x"]["mean"], summary[f"{name}, trained: std of x"]
        side = "of the data" if abs(exact - data) < abs(exact - middle) else "of the geometric mean"
        near = "all seeds end on that side" if _same_side(exact, s, (data + middle) / 2) else "the seeds disagree"
        words.append(f"{name} loss: the best generator has a spread near that {side}, and {near}")
    return "Class in D and not in G. " + "; ".join(words) + "."


def _same_side(exact, s, middle):
    return not s["failed"] and (s["max"] < middle if exact < middle else s["min"] > middle)


# 7.2 Four places for the label, on a ring


PLACES = {  # which player sees the class
    "both": (True, True),
    "only D": (False, True),
    "only G": (True, False),
    "neither": (False, False),
}
LOOKS = dict(zip(PLACES, zip(("blue", "orange", "vermillion", "green"), MARKERS, strict=False), strict=True))


def codes(place, classes):
    """The codes of generator and discriminator."""
    return [cgan.one_hot(classes) if sees else cgan.blind(classes) for sees in PLACES[place]]


@dataclass(frozen=True)
class Ring:
    training: Training = Training(steps=6000, width=128, points=50_000)
    classes: int = 4


def run_ring(config, seed, device):
    """Eight Gaussians on a ring, opposite ones of one class: how often is the asked class what comes out?"""
    t, k = config.training, config.classes
    rows, component = data.ring(t.points, seed)
    numbers, arrays = {}, {}
    asked = torch.arange(k).repeat_interleave(600)
    for place in PLACES:
        nets = cgan.networks(seed, [t.z_size, t.width, t.width, 2], [2, t.width, t.width, 1], *codes(place, k))
        nets, _ = fit(nets, rows, component % k, t, seed, device, f"7.2 {place}")
        made = cgan.sample(nets, noise(len(asked), nets, t.z_size, seed), asked.to(device)).cpu()
        nearest = torch.cdist(made, data.ring_centers()).argmin(1)
        found = evaluation.modes(made, data.ring_centers(), data.RING_STD)
        numbers |= {
            f"{place}: asked class": (nearest % k == asked).float().mean(),
            f"{place}: modes": found.covered,
            f"{place}: high-quality share": found.quality,
        }
        arrays |= {f"{place} samples": made, "asked": asked}
    return {"numbers": numbers, "arrays": arrays}


def draw_ring(results, config):
    import matplotlib.pyplot as plt

    a, k = results[0]["arrays"], config.classes
    fig, axes = plt.subplot_mosaic("aaabbbcccddd;xxxxyyyyzzzz", figsize=(8.4, 5.3), height_ratios=(1, 1.1))
    colors = [COLORS[name] for name in ("blue", "orange", "green", "purple")]
    for key, place in zip("abcd", PLACES, strict=True):
        for part in range(6):  # in turns, so that no class covers the others
            for c, color in enumerate(colors):
                x = a[f"{place} samples"][a["asked"] == c][part::6]
                axes[key].plot(*x.T, ls="", marker=MARKERS[c], ms=2.5, alpha=0.5, color=color)
        for c, color in enumerate(colors):
            axes[key].plot(*data.ring_centers()[c::k].T, ls="", marker="o", ms=13, mfc="none", mew=1.3, color=color)
        axes[key].set(title=place, xlim=(-2.7, 2.7), ylim=(-2.7, 2.7), aspect="equal", xticks=(), yticks=())
    chance = evaluation.chance_lines(data.ring_centers(), data.RING_STD, len(a["asked"]))
    panels = {"x": ("asked class", 1 / k, "chance"), "y": ("modes", None, None)}
    panels["z"] = ("high-quality share", chance["Gaussian"][1], "one Gaussian")
    for key, (what, level, text) in panels.items():
        ax = axes[key]
        for x, (place, (color, marker)) in enumerate(LOOKS.items()):
            points_of(ax, x, [float(r["numbers"][f"{place}: {what}"]) for r in results], COLORS[color], marker)
        if level is not None:
            ax.axhline(level, color="0.45", ls="--", lw=1.2, zorder=0)
            ax.annotate(text, (-0.45, level), (0, 3), textcoords="offset points", color="0.3")
        ax.set(title=what, xticks=range(4), xlim=(-0.5, 3.5), ylim=(0, 8.6) if what == "modes" else (-0.03, 1.06))
        ax.set_xticklabels([place.replace(" ", "\n") for place in PLACES])
    return fig


def verdict_ring(summary):
    chance, words = 0.25, []
    for place in PLACES:
        s = summary[f"{place}: asked class"]
        near = abs(s["mean"] - chance) <= 0.02
        word = (
            "more than twice chance in every seed" if s["min"] > 2 * chance else "at chance" if near else "off chance"
        )
        modes, quality = (summary[f"{place}: {what}"] for what in ("modes", "high-quality share"))
        share = f"{100 * quality['min']:.0f} to {100 * quality['max']:.0f} %"
        found = f"{modes['min']:.0f} to {modes['max']:.0f}" if modes["min"] < modes["max"] else f"{modes['min']:.0f}"
        words.append(f"{place}: asked class {word}, {found} modes, {share} good samples")
    return f"Label in {'; '.join(words)}."


def _holds(s, value):
    """Does the 95 % interval hold the value?"""
    return s["low"] is None or s["low"] <= value <= s["high"]


# 7.3 to 7.5 Digits


@dataclass(frozen=True)
class Digits:
    """One conditional GAN on digits: "digits" (8x8, linear layers), "mnist 14x14" or "mnist" (28x28), convolutional."""

    images: str = "mnist 14x14"
    batch: int = 64
    steps: int = 4000
    z_size: int = 32
    rate: float = 1e-3
    width: int = 32


T4 = Digits("mnist", batch=128, steps=10_000, z_size=64, rate=5e-4, width=64)
SCANS = Digits("digits", steps=4000, z_size=8, width=128)


def load(name, split):
    """Images, uint8 (n, 1, side, side), and classes. The scans are split 1,400 to 397, in their order."""
    if name == "digits":
        part = slice(1400) if split == "train" else slice(1400, None)
        return tuple(tensor[part] for tensor in data.digits())
    x, c = data.mnist(split)
    return (avg_pool2d(x.float(), 2).round().to(torch.uint8) if name == "mnist 14x14" else x), c


def make_networks(config, side, seed, code_g, code_d):
    """Networks of the configuration, which map z (n, z_size) to images (n, 1, side, side) and those to a logit."""
    if config.images != "digits":
        return cgan.image_networks(seed, config.z_size, code_g, code_d, side, config.width)
    w = config.width
    return cgan.networks(seed, [config.z_size, w, w, side**2], [side**2, w, w, 1], code_g, code_d, Sigmoid())


def fit_digits(config, x, c, seed, device, name, code_g, code_d, watch=None, every=500):
    """`fit` on images: linear networks get them as vectors."""
    nets = make_networks(config, x.shape[-1], seed, code_g, code_d)
    rows = x.flatten(1) if config.images == "digits" else x
    return fit(nets, rows, c, config, seed, device, name, watch=watch, every=every)


def train_judge(x, c, classes, seed, steps=5000):
    """A classifier of images, side^2-512-k, that no generator is trained against. Its rate falls to 0."""
    judge = mlp([x[0].numel(), 512, classes], generator=generator(seed, "judge"))
    opt, stream, schedule = adam(judge.parameters(), 1e-3), Stream((x.flatten(1), c), 128, 1), cosine(steps)
    for t in range(steps):
        opt.param_groups[0]["lr"] = 1e-3 * schedule(t)
        rows, truth = stream.batch(seed, t)
        gan.descend(opt, cross_entropy(judge(rows), truth))
    return judge.requires_grad_(False)


def judged(judge, x):
    """The classes that the judge names for images in [0, 1], on the CPU."""
    return judge(x.cpu().flatten(1)).argmax(1)


def held_out(judge, x, c):
    """The judge's accuracy on test images, uint8."""
    return (judged(judge, x.float() / 255) == c).float().mean()


def class_grid(nets, config, classes, side, seed, columns=10):
    """One row per class, one column per z: images (len(classes) * columns, 1, side, side)."""
    z = noise(columns, nets, config.z_size, seed, "grid").repeat(len(classes), 1)
    asked = torch.tensor(classes).repeat_interleave(columns).to(z.device)
    return cgan.sample(nets, z, asked).cpu().reshape(-1, 1, side, side)


@dataclass(frozen=True)
class Placed:
    training: Digits
    place: str = "both"
    per_class: int = 200
    every: int = 500


def run_placed(config, seed, device):
    """Digits with the label in some place: the class grid, and how often a judge sees the asked class."""
    t = config.training
    (x, c), (x_test, c_test) = load(t.images, "train"), load(t.images, "test")
    judge, side = train_judge(x, c, 10, seed), x.shape[-1]
    asked = torch.arange(10).repeat_interleave(config.per_class)

    def right(nets):
        z = noise(len(asked), nets, t.z_size, seed)
        return (judged(judge, cgan.sample(nets, z, asked.to(z.device))) == asked).float()

    def watch(nets, done):
        return {"asked class": float(right(nets).mean())}

    name = f"7.3 {t.images} {config.place}"
    nets, history = fit_digits(t, x, c, seed, device, name, *codes(config.place, 10), watch, config.every)
    by_class = right(nets).view(10, -1).mean(1)
    numbers = {
        "asked class comes out": by_class.mean(),
        "the same, worst class": by_class.min(),
        "the same, best class": by_class.max(),
        "judge on held-out images": held_out(judge, x_test, c_test),
    }
    arrays = {
        "grid": class_grid(nets, t, range(10), side, seed),
        "by class": by_class,
        "curve": torch.tensor([w["asked class"] for w in history.watched]),
    }
    return {"numbers": numbers, "arrays": arrays, "nets": nets}


def placed_model(config, seed):
    """The networks of figure 7.3, untrained."""
    side = {"digits": 8, "mnist 14x14": 14, "mnist": 28}[config.training.images]
    return make_networks(config.training, side, seed, *codes(config.place, 10))


def grid_of(ax, images, labels, columns=10):
    """A sheet with one label per row; images (rows * columns, 1, side, side)."""
    image_grid(ax, images.clamp(0, 1), columns)
    side = images.shape[-1] + 1
    for row, label in enumerate(labels):
        ax.text(-side / 4, (row + 0.5) * side, label, ha="right", va="center", fontsize=10)


def draw_placed(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(8.4, 4.4), width_ratios=(1.15, 1))
    grid_of(axes[0], results[0]["arrays"]["grid"], range(10))
    axes[0].set_title("asked class by row, one z per column")
    for c in range(10):
        values = [float(r["arrays"]["by class"][c]) for r in results]
        points_of(axes[1], c, values, COLORS["blue"], "o")
    judge = sum(float(r["numbers"]["judge on held-out images"]) for r in results) / len(results)
    for level, text, ls, above in ((0.1, "chance", "--", 3), (judge, "judge on held-out images", ":", 14)):
        axes[1].axhline(level, color="0.45", ls=ls, lw=1.2, zorder=0)
        axes[1].annotate(text, (9.5, level), (0, above), textcoords="offset points", color="0.3", ha="right")
    axes[1].set(title="the judge sees the asked class", xlabel="asked class", ylim=(0, 1.12), xticks=range(10))
    return fig


def draw_blind(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(8.4, 4.4), width_ratios=(1.15, 1))
    grid_of(axes[0], results[0]["arrays"]["grid"], range(10))
    axes[0].set_title("asked class by row, one z per column")
    for i, r in enumerate(results):
        curve = r["arrays"]["curve"]
        steps = config.every * torch.arange(1, len(curve) + 1)
        axes[1].plot(steps, curve, color=COLORS["vermillion"], ls="-", marker=MARKERS[i % 8], ms=4, lw=1.1)
    axes[1].axhline(0.1, color="0.45", ls="--", lw=1.2, zorder=0)
    axes[1].annotate("chance", (steps[-1], 0.1), (0, 12), textcoords="offset points", color="0.3", ha="right")
    axes[1].set(title="the judge sees the asked class, every seed", xlabel="step", ylim=(0, 1.03))
    return fig


def verdict_placed(summary):
    s, judge = summary["asked class comes out"], summary["judge on held-out images"]
    if _holds(s, 0.1):
        return "The asked class comes out no more often than chance, one in ten: the 95 % interval holds it."
    where = "in every seed above nine times chance" if s["min"] > 0.9 else "off chance"
    gap = "below" if s["high"] < judge["low"] else "not told from" if s["low"] <= judge["high"] else "above"
    return f"The asked class comes out {where}; the rate is {gap} the accuracy of the judge on held-out images."


# 7.5 A class in a style in which it was never seen


CODES = {"pair": "a vector per pair", "sum": "class + style"}
STYLES = {
    "negative": lambda x: 255 - x,
    "turned": lambda x: x.rot90(1, (2, 3)),
}


@dataclass(frozen=True)
class Unseen:
    training: Digits
    missing: tuple = (2, 3, 4, 5, 7)  # the class held out in seed 0, 1, ...
    samples: int = 500


def with_style(x, c, style):
    """Every second image in the style; combination c * 2 + s, with s = 1 for the style."""
    s = torch.arange(len(x)) % 2
    return torch.where(s[:, None, None, None] == 1, STYLES[style](x), x), c * 2 + s


def run_unseen(config, seed, device):
    """Two styles of ten digits, one of the twenty combinations left out of training, and then asked for."""
    t, held = config.training, config.missing[seed % len(config.missing)]
    (x, c), (x_test, c_test) = load(t.images, "train"), load(t.images, "test")
    side, unseen = x.shape[-1], held * 2 + 1
    neighbors = [held * 2, (held + 1) % 10 * 2 + 1]
    numbers, arrays = {}, {"held": held}
    for style in STYLES:
        x_all, k_all = with_style(x, c, style)
        judge = train_judge(x_all, k_all, 20, seed)
        x_held, k_held = with_style(x_test, c_test, style)
        numbers[f"{style}: judge on held-out images"] = held_out(judge, x_held, k_held)
        keep = k_all != unseen
        for how, code in (("pair", cgan.one_hot(20)), ("sum", cgan.factored(10, 2))):
            name = f"7.5 {t.images} {style} {how}"
            nets, _ = fit_digits(t, x_all[keep], k_all[keep], seed, device, name, code, code)
            seen = torch.tensor([k for k in range(20) if k != unseen]).repeat_interleave(50)
            asked = torch.cat([seen, torch.full((config.samples,), unseen)])
            z = noise(len(asked), nets, t.z_size, seed)
            found = judged(judge, cgan.sample(nets, z, asked.to(z.device)))
            share = (found[len(seen) :].bincount(minlength=20) / config.samples).view(10, 2)
            numbers |= {
                f"{style}, {how}: seen, both right": (found == asked)[: len(seen)].float().mean(),
                f"{style}, {how}: unseen, both right": share[held, 1],
                f"{style}, {how}: unseen, style right": share[:, 1].sum(),
            }
            arrays[f"{style} {how} share"] = share
            arrays[f"{style} {how}"] = class_grid(nets, t, [*neighbors, unseen], side, seed, 8)
    return {"numbers": numbers, "arrays": arrays}


def draw_unseen(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplot_mosaic("ab;cd;ee", figsize=(8.4, 6.6), height_ratios=(1, 1, 1.75))
    a = results[0]["arrays"]
    held = int(a["held"])
    arms = [(style, how) for style in STYLES for how in CODES]
    for key, (style, how) in zip("abcd", arms, strict=True):
        rows = (f"{held}, seen", f"{(held + 1) % 10} {style}, seen", f"{held} {style}, unseen")
        grid_of(axes[key], a[f"{style} {how}"], rows, 8)
        axes[key].set_title(f"{style}: {CODES[how]}")
    looks = {
        "seen, both right": ("blue", "o"),
        "unseen, style right": ("orange", "s"),
        "unseen, both right": ("vermillion", "D"),
    }
    for x, (style, how) in enumerate(arms):
        for i, (what, (color, marker)) in enumerate(looks.items()):
            values = [float(r["numbers"][f"{style}, {how}: {what}"]) for r in results]
            spread = (torch.arange(len(values)) - (len(values) - 1) / 2) * 0.04
            at = x + 0.27 * (i - 1)
            axes["e"].plot(at + spread, values, ls="", marker=marker, ms=6, alpha=0.8, color=COLORS[color], label=what)
            axes["e"].plot([at - 0.11, at + 0.11], [sum(values) / len(values)] * 2, color="black", lw=1.2, ls="-")
    axes["e"].axhline(1 / 20, color="0.45", ls="--", lw=1.2, zorder=0, label="chance, one in twenty")
    axes["e"].set(xticks=range(4), xticklabels=[f"{style}:\n{CODES[how]}" for style, how in arms], ylim=(-0.03, 1.06))
    axes["e"].set_title("what the judge sees, every seed")
    handles = dict(zip(*axes["e"].get_legend_handles_labels()[::-1], strict=True))
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return fig


def verdict_unseen(summary):
    words = []
    for style in STYLES:
        for how in CODES:
            seen, both, styled = (
                summary[f"{style}, {how}: {what}"]
                for what in ("seen, both right", "unseen, both right", "unseen, style right")
            )
            if both["max"] < seen["min"] / 2:
                word = "less than half as often, in every seed"
            else:
                word = "as often" if both["high"] >= seen["low"] else "less often"
            shares = f"both in {100 * both['mean']:.0f} %, the style alone in {100 * styled['mean']:.0f} %"
            words.append(f"{style}, {CODES[how]}: {word} ({shares})")
    return f"How often the unseen combination is right, against seen ones. {'; '.join(words).capitalize()}."


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
        "and at the chance line for the others; modes and quality are lowest with the label in D only, and modes scatter "
        "between 3 and 8 with the label in both.",
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
        quick=Placed(SCANS),
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
        quick=Placed(SCANS, "only G"),
        cpu=Placed(Digits(), "only G"),
        full=Placed(T4, "only G"),
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
        quick=Unseen(SCANS),
        cpu=Unseen(Digits(steps=3000, width=24)),
        full=Unseen(T4),
        seeds=FIVE,
        verdict=verdict_unseen,
        record="cpu",
    ),
}
