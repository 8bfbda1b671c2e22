"""Experiments of chapter 06: shapes, overlap, training, averaged weights, one batch for both halves.

Walks and arithmetic in the latent space are in dcgan_latent.py, fewer and fewer pictures in dcgan_few.py.
"""

import dataclasses
from dataclasses import dataclass

import torch
from torch.nn.functional import conv_transpose2d

from gentools import dcgan, evaluation, gan
from gentools.lab.plots import COLORS, LINES, MARKERS
from gentools.lab.randomness import generator
from gentools.recipes import Recipe, dcgan_few, dcgan_latent
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.dcgans import (
    CPU,
    FULL,
    QUICK,
    Training,
    judge,
    pictures,
    real_features,
    settled,
    train_dcgan,
)
from gentools.recipes.shared.drawing import Look

PHOTOS = Training("faces64.zip", 64, width=64, latent=100, steps=15_000, learning_rate=2e-4, decay=0.999)

# 6.1 Shapes


@dataclass(frozen=True)
class Shapes:
    """Radford's networks for color pictures."""

    size: int = 64  # side of the pictures, in pixels
    channels: int = 3
    latent: int = 100
    width: int = 128  # maps of the largest layer


def run_shapes(config, seed, device):
    """The shapes of all maps of both players, from the networks themselves."""
    nets = dcgan.networks(seed, config.size, config.channels, config.latent, config.width)
    inputs = {"generator": torch.zeros(1, config.latent), "discriminator": torch.zeros(1, *nets["discriminator"].shape)}
    numbers, arrays = {}, {}
    for name, net in nets.items():
        numbers[f"million parameters of the {name}"] = sum(p.numel() for p in net.parameters()) / 1e6
        found = [shape for _, shape in dcgan.shapes(net, inputs[name]) if len(shape) == 3]
        arrays[name] = torch.tensor(found)  # (layers, 3): maps, height, width
    return {"numbers": numbers, "arrays": arrays}


def draw_shapes(results, config):
    """A row of blocks per player, one for each shape (layers, 3) of its maps."""
    fig, axes = drawing.panels(2, 1, (8.4, 5.6))
    for ax, (name, shapes) in zip(axes, results[0]["arrays"].items(), strict=True):
        color = COLORS["green"] if name == "generator" else COLORS["blue"]
        x, first, last = 1.2, *((f"z\n{config.latent}", "image") if name == "generator" else ("image", "logit\n1"))
        for maps, side, _ in shapes.tolist():
            depth, height = 0.35 + 0.0022 * maps, 0.35 + 0.045 * side
            _block(ax, x, depth, height, color)
            ax.text(x + depth / 2, -height / 2 - 0.45, f"{maps} maps\n{side} × {side}", ha="center", va="top")
            x += depth + 1.7
        ax.text(0.2, 0, first, ha="center", va="center")
        ax.text(x - 0.6, 0, last, ha="center", va="center")
        ax.set(title=name, xlim=(-0.4, x), ylim=(-3.1, 2.4))
        ax.set_axis_off()
    return fig


def _block(ax, x, depth, height, color):
    """A block of maps, seen from the front, with a little perspective."""
    from matplotlib.patches import Polygon

    lean = 0.22
    front = [(x, -height / 2), (x + depth, -height / 2), (x + depth, height / 2), (x, height / 2)]
    top = [front[3], front[2], (front[2][0] + lean, front[2][1] + lean), (front[3][0] + lean, front[3][1] + lean)]
    side = [front[1], front[2], top[2], (front[1][0] + lean, front[1][1] + lean)]
    for corners, shade in ((front, "55"), (top, "22"), (side, "99")):
        ax.add_patch(Polygon(corners, fc=color + shade, ec="black", lw=0.9))


# 6.2 Overlap


@dataclass(frozen=True)
class Overlap:
    """Transposed convolutions of one stride."""

    kernels: tuple = (3, 4, 5)  # sides of the kernels that are compared
    stride: int = 2
    side: int = 7  # of the input


def run_overlap(config, seed, device):
    """How many inputs reach each output of a transposed convolution: ones through a kernel of ones."""
    ones = torch.ones(1, 1, config.side, config.side, dtype=torch.float64)
    arrays, numbers = {}, {}
    for kernel in config.kernels:
        count = conv_transpose2d(ones, ones.new_ones(1, 1, kernel, kernel), stride=config.stride)[0, 0]
        inner = count[kernel - 1 : 1 - kernel, kernel - 1 : 1 - kernel]  # without the rim, which fewer inputs reach
        arrays[f"kernel {kernel}"] = inner
        numbers[f"kernel {kernel}: most over fewest inputs"] = inner.max() / inner.min()
    return {"numbers": numbers, "arrays": arrays}


def draw_overlap(results, config):
    """A table of counts (6, 6) per kernel, from the middle of the output."""
    fig, axes = drawing.panels(1, len(config.kernels), (8.0, 3.1))
    for ax, (name, count) in zip(axes, results[0]["arrays"].items(), strict=True):
        count = count[:6, :6]
        ax.imshow(count.numpy(), cmap="Greys", vmin=-1, vmax=12)
        for i, row in enumerate(count.tolist()):
            for j, value in enumerate(row):
                ax.text(j, i, f"{value:.0f}", ha="center", va="center", color="white" if value > 6 else "black")
        ax.set(title=f"{name}, stride {config.stride}", xticks=(), yticks=())
    return fig


# 6.3 Samples over training


@dataclass(frozen=True)
class Samples:
    """Pictures of fixed z over one run."""

    training: Training
    shown: tuple = (1, 3, 5, 10)  # which of the moments at which the run was looked at


def run_samples(config, seed, device):
    """Pictures of the same z at several moments of one run, and real ones unless they are the reader's own."""
    t = config.training
    if max(config.shown) > t.moments:
        raise ValueError(f"shown={config.shown} asks for later ones than the {t.moments} moments; change both together")
    _, _, history = train_dcgan(t, seed, device)
    seen = [history.watched[i - 1] for i in config.shown]
    arrays = {"steps": torch.tensor([w["step"] for w in seen])}
    arrays["pictures"] = torch.stack([w["settled pictures"] for w in seen])  # (moments, 40, c, h, w)
    real, labels = pictures(t.data, "train", t.size)
    if labels is not None:  # photographs of people stay where they are
        arrays["real"] = real[torch.randperm(len(real), generator=generator(seed, "real"))[:40]]
    return {"numbers": {}, "arrays": arrays}


def draw_samples(results, config):
    """A sheet of eight pictures per moment, from (moments, 40, c, h, w), and one of the data."""
    a = results[0]["arrays"]
    sheets = [(f"{step:,} steps", images) for step, images in zip(a["steps"].tolist(), a["pictures"], strict=True)]
    sheets += [("data", a["real"])] if "real" in a else []
    rows = -(-len(sheets) // 2)
    fig, axes = drawing.panels(rows, 2, (8.2, 0.9 * rows), squeeze=False)
    for ax, (title, images) in zip(axes.flat, sheets, strict=False):
        drawing.sheet(ax, images[:8], title, columns=8)
    for ax in axes.flat[len(sheets) :]:
        ax.set_axis_off()
    return fig


# 6.4 Averaged weights


@dataclass(frozen=True)
class Averages:
    """One run, looked at through three ways to take the weights."""

    training: Training


WEIGHTS = {  # as `train_dcgan` watches them
    "live": Look("weights as they are", "vermillion", LINES[0], MARKERS[0]),
    "averaged": Look("averaged", "blue", LINES[1], MARKERS[1]),
    "settled": Look("averaged, own statistics", "green", LINES[2], MARKERS[2]),
}


def run_averages(config, seed, device):
    """Distances to held-out pictures over one run: live weights, and averaged ones with either kind of statistics."""
    t = config.training
    _, average, history = train_dcgan(t, seed, device)
    test, seen = real_features(t, device)
    arrays = {name: torch.tensor([w[name] for w in history.watched]) for name in WEIGHTS}  # (moments,) each
    arrays["steps"] = torch.tensor([w["step"] for w in history.watched])
    last = history.watched[-1]
    numbers = arms.named({(look.label, "distance"): last[name] for name, look in WEIGHTS.items()})
    numbers["own statistics minus copied ones"] = last["settled"] - last["averaged"]
    numbers["averaged, own statistics, minus as they are"] = last["settled"] - last["live"]
    numbers["the same at the first moment"] = arrays["settled"][0] - arrays["live"][0]
    numbers["real training pictures: distance"] = evaluation.frechet(seen, test)
    numbers["judge: right on held-out pictures"] = judge(t, device)[1]
    arrays |= {f"{name} pictures": last[f"{name} pictures"][:21] for name in ("live", "settled")}
    return {"numbers": numbers, "arrays": arrays, "nets": settled(average, t, seed, device)}


def averages_model(config, seed):
    """The generator of figure 6.4, untrained: averaged weights with their own statistics are stored."""
    t = config.training
    return dcgan.generator(seed, t.size, 1, t.latent, t.width)


def draw_averages(results, config):
    """Two sheets of seed 0, and the distances (moments,) of every seed."""
    fig, axes = drawing.mosaic("ab;cb", (8.4, 4.0), width_ratios=(1, 1.1))
    for key, name in (("a", "live"), ("c", "settled")):
        shown = results[0]["arrays"][f"{name} pictures"][:14]
        drawing.sheet(axes[key], shown, f"{WEIGHTS[name].label}, seed 0", columns=7)
    ax, steps = axes["b"], [r["arrays"]["steps"] for r in results]
    for name, look in WEIGHTS.items():
        curves = [r["arrays"][name] for r in results]
        drawing.seed_curves(ax, steps, curves, look, marker=look.marker, ms=4, lw=1)
    floor = float(results[0]["numbers"]["real training pictures: distance"])
    ax.annotate(f"real training pictures: {floor:.1f}", (0.03, 0.03), xycoords="axes fraction", color="0.35")
    ax.set(yscale="log", xlabel="step", title="distance to held-out pictures, every seed")
    ax.set_ylim(0.6 * ax.get_ylim()[0], None)
    ax.set_yticks((20, 50, 100, 200, 500), ("20", "50", "100", "200", "500"))
    ax.minorticks_off()
    ax.legend(loc="upper right")
    return fig


def verdict_averages(summary):
    """What averaging does to the distance, at the end and at first, and what statistics of its own do."""
    gain, early = summary["averaged, own statistics, minus as they are"], summary["the same at the first moment"]
    own = summary["own statistics minus copied ones"]
    return (
        f"Averaged weights with statistics of their own: averaging {change(gain)} at the end and {change(early)} at the "
        f"first moment. Measuring the statistics again {change(own)} against copying them."
    )


def change(s):
    """What a mean difference of distances says, if its interval allows."""
    direction = verdicts.sign(s)
    if not direction:
        return "makes no resolved difference"
    every = "in every seed" if verdicts.always_above(s, 0) or verdicts.always_below(s, 0) else "on average"
    return f"{'lowers' if direction < 0 else 'raises'} the distance {every}"


# 6.5 Real and fake in one batch


@dataclass(frozen=True)
class OneBatch:
    """The same training with two steps: real and fake pictures in two batches, or in one."""

    training: Training


STEPS = {"two batches": dcgan.step, "one batch": gan.step}
BATCHES = {name: Look(name, *how) for name, *how in zip(STEPS, ("blue", "vermillion"), LINES, strict=False)}
PLAYERS = ("discriminator", "generator")


def run_one_batch(config, seed, device):
    """The same start, data and noise with real and fake images apart and together in D's batch."""
    numbers, arrays = {}, {}
    every = config.training.steps // config.training.moments
    for name, step in STEPS.items():
        _, _, history = train_dcgan(config.training, seed, device, step)
        for player in PLAYERS:
            losses = history[player]
            arrays[f"{name} {player}"] = losses.unfold(0, every, every).mean(1)  # (moments,)
            numbers[name, f"loss of the {player}"] = losses[-every:].mean()
        arrays[f"{name} pictures"] = history.watched[-1]["live pictures"][:21]
        numbers[name, "distance"] = history.watched[-1]["live"]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_one_batch(results, config):
    """A row of pictures per arm, seed 0; below, the losses (moments,) of each player, every seed."""
    fig, axes = drawing.panels(2, 2, (8.2, 4.2), height_ratios=(1, 3.5))
    every = config.training.steps // config.training.moments
    for ax, name in zip(axes[0], STEPS, strict=True):
        drawing.sheet(ax, results[0]["arrays"][f"{name} pictures"][:7], f"{name}, seed 0", columns=7)
    for ax, player in zip(axes[1], PLAYERS, strict=True):
        for name, look in BATCHES.items():
            losses = [r["arrays"][f"{name} {player}"] for r in results]
            drawing.seed_curves(ax, every * torch.arange(1, len(losses[0]) + 1), losses, look)
        ax.set(title=f"loss of the {player}, every seed", xlabel="step", ylim=(-0.1, None))
    axes[1, 0].legend(loc="best")
    return fig


def verdict_one_batch(summary):
    """Whether both losses vanish with one batch, and whether its pictures are worse in every seed."""
    losses = [summary[arms.name("one batch", f"loss of the {player}")] for player in PLAYERS]
    apart, together = (summary[arms.name(name, "distance")] for name in STEPS)
    worse = "in every seed" if verdicts.ranges_apart(together, apart) == 1 else "not in every seed"
    vanish = all(verdicts.always_below(loss, 0.1) for loss in losses)
    both = "Both losses end below 0.1 in every seed" if vanish else "Not both losses end below 0.1 in every seed"
    return f"{both} with one batch. Its pictures are farther from real ones than all of those with two batches {worse}."


NO_GPU = "Recorded on a CPU with few maps; --scale full is the size for a GPU."

RECIPES = {
    "6.1": Recipe(
        title="The shapes of a DCGAN",
        caption="The maps of both players for 64x64 images, read off the networks themselves. Each layer of the "
        "generator after the first doubles the side and halves the number of maps, except that the last one makes "
        "three. The discriminator does the reverse.",
        alt="Two rows of blocks. Top, the generator: from z, blocks that grow in height and become thinner, 1024 maps of "
        "4 x 4 to 3 maps of 64 x 64. Bottom, the discriminator: the same in reverse, ending in a logit.",
        run=run_shapes, draw=draw_shapes, full=Shapes(),
    ),
    "6.2": Recipe(
        title="How many inputs reach each output pixel",
        caption="Transposed convolutions of stride 2 with kernels of side 3, 4 and 5; each cell is an output pixel "
        "with its number of inputs. The stride divides 4, so with kernel 4 every pixel collects as many inputs as its "
        "neighbors. With 3 and 5 the counts form a checkerboard.",
        alt="Three tables of counts. Kernel 3: rows 4 2 4 2 and 2 1 2 1 alternate. Kernel 4: every entry is 4. Kernel 5: "
        "entries 4, 6 and 9 alternate like a checkerboard.",
        run=run_overlap, draw=draw_overlap, full=Overlap(),
    ),
    "6.3": Recipe(
        title="Samples over training",
        caption="Eight fixed z, seen through the generator of averaged weights at several moments of one run, and "
        "eight pictures of the data. The networks are those of figure 6.4.",
        alt="Sheets of small pictures at growing numbers of steps. Early ones are smeared, later ones show shirts, trousers, "
        "dresses, shoes and bags; the last sheet shows the data.",
        run=run_samples, draw=draw_samples, quick=Samples(QUICK, shown=(1, 2, 4)),
        cpu=Samples(CPU, shown=(1, 2, 4, 7, 10)), full=Samples(FULL), record="cpu",
    ),
    "6.4": Recipe(
        title="Averaged weights, on and off",
        caption="Left: pictures of the same z. Right: distance (Fréchet, in the features of a small classifier) "
        f"between generated and held-out pictures over training. {NO_GPU}",
        alt="Left: two sheets of the same garments, from weights as they are and from averaged ones. Right: curves of the "
        "distance over the steps for three ways to take the weights: averaged ones start far above, and all end close together.",
        run=run_averages, model=averages_model, draw=draw_averages, quick=Averages(QUICK), cpu=Averages(CPU),
        full=Averages(FULL), seeds=tuple(range(5)), verdict=verdict_averages, record="cpu",
    ),
    "6.5": Recipe(
        title="Real and fake in one batch",
        caption="The same networks, data and noise, with real and fake images in two batches or in one. In one batch "
        "BatchNorm shows the discriminator which half it looks at, and the generator meets another discriminator than "
        f"the one that was trained. {NO_GPU}",
        alt="Top: garments with two batches, gray grids of dots with one batch. Bottom: with two batches the loss "
        "of the discriminator rises from about 0.6 to 1.2 and that of the generator falls from about 2.2 to 1; with one batch both "
        "lie at 0 from the second moment on.",
        run=run_one_batch, draw=draw_one_batch,
        quick=OneBatch(dataclasses.replace(QUICK, size=16, width=16, batch=32, steps=240, judge_steps=60, evaluated=100)),
        cpu=OneBatch(Training(width=16, steps=4000)), full=OneBatch(FULL),
        seeds=tuple(range(5)), verdict=verdict_one_batch, record="cpu",
    ),
    **dcgan_latent.RECIPES,
    "6.9": Recipe(
        title="Samples at 64x64",
        caption="64x64 faces, 64 maps: eight fixed z, seen through the generator of averaged weights at several "
        "moments of one run. All faces are generated. Recorded on a GPU, with 12,788 photographs of Labeled Faces in "
        "the Wild.",
        alt="Four sheets of small generated faces at growing numbers of steps.",
        run=run_samples, draw=draw_samples, quick=Samples(QUICK, shown=(1, 2, 4)), full=Samples(PHOTOS),
    ),
    **dcgan_few.RECIPES,
}  # fmt: skip
