"""Experiments of chapter 06: shapes, training, averaged weights, walks and arithmetic in the latent space."""

import copy
import dataclasses
import functools
import hashlib
import inspect
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import conv_transpose2d, cross_entropy

from gentools import dcgan, evaluation, gan, recipes
from gentools.lab import data
from gentools.lab.networks import classifier
from gentools.lab.optim import Average, adam
from gentools.lab.plots import COLORS, LINES, MARKERS, image_grid
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.lab.training import train
from gentools.recipes import Recipe
from gentools.recipes.shared.pictures import labeled

PUBLIC = {"mnist": data.mnist, "fashion_mnist": data.fashion_mnist}
FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


@dataclass(frozen=True)
class Training:
    """One DCGAN and the judge of its pictures.

    pictures: "digits", "mnist" or "fashion_mnist", or what `data.images` takes: a folder, .zip or .npz of your own. Those
    have no labels, so only figures 6.3 and 6.9 can use them. keep: leave checkpoints under build/runs, from which a run resumes.
    """

    pictures: str = "fashion_mnist"
    size: int = 28
    width: int = 32
    latent: int = 64
    batch: int = 64
    steps: int = 5000
    rate: float = 5e-4
    betas: tuple = (0.5, 0.999)
    decay: float = 0.998  # of the averaged weights
    judge_steps: int = 3000
    evaluated: int = 2500  # pictures per distance
    moments: int = 10  # how often the pictures are looked at
    keep: bool = True


QUICK = Training("digits", 8, latent=32, steps=1200, decay=0.99, judge_steps=600, evaluated=297, moments=4, keep=False)
FULL = Training(width=64, latent=100, batch=128, steps=10_000, rate=2e-4, decay=0.999)
PHOTOS = Training("faces64.zip", 64, width=64, latent=100, steps=15_000, rate=2e-4, decay=0.999)


def pictures(name, split, size):
    """Images uint8 (n, c, h, w) and labels (n,), or None for labels where there are none. Digits are 8x8, or enlarged."""
    if name == "digits":
        images, labels = labeled("digits", split)
        return images.repeat_interleave(size // 8, 2).repeat_interleave(size // 8, 3), labels
    if name in PUBLIC:
        return PUBLIC[name](split)
    return data.images(name, size), None


def folder(config, seed, *code):
    """Where a run keeps its checkpoints: a name made from its configuration and the code that it trains. None for none."""
    if not config.keep:
        return None
    text = repr((dataclasses.asdict(config), seed, *map(inspect.getsource, code)))
    return recipes.ROOT / "build" / "runs" / f"dcgan-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


# The judge


def judge_step(nets, opts, x, z):
    """One step of the judge on (images, labels)."""
    images, labels = x
    loss = cross_entropy(nets["judge"](images), labels)
    gan.descend(opts["judge"], loss)
    return {"loss": loss.detach()}


@functools.cache
def judge(config, device):
    """A small classifier trained on the real pictures, and its share of right answers on held-out ones."""
    train_set, test_set = (pictures(config.pictures, split, config.size) for split in ("train", "test"))
    net = classifier(config.size, train_set[0].shape[1], generator=generator(0, "judge")).to(device)
    nets = nn.ModuleDict({"judge": net})
    stream = Stream(train_set, 128, 1, prepare=dcgan.signed, device=device)
    kept = folder(config, 0, judge_step, type(net))
    train(judge_step, nets, {"judge": adam(net.parameters(), 1e-3)}, stream, config.judge_steps, 0, folder=kept)
    labels = judged(net, dcgan.signed(test_set[0]))[1].argmax(1)
    return net, float((labels == test_set[1]).double().mean())


@torch.no_grad()
def judged(net, images):
    """The judge's features (n, 64) and class probabilities (n, 10) for images in [-1, 1]; on the CPU."""
    device = next(net.parameters()).device
    features = torch.cat([net.features(part.to(device)) for part in images.split(1000)])
    return features.cpu(), net.head(features).softmax(1).cpu()


@functools.cache
def real_features(config, device):
    """The judge's features of all held-out pictures, and of as many training pictures as are generated elsewhere."""
    net, _ = judge(config, device)
    test, seen = (pictures(config.pictures, split, config.size)[0] for split in ("test", "train"))
    return judged(net, dcgan.signed(test))[0], judged(net, dcgan.signed(seen[: config.evaluated]))[0]


def distance(config, device, images):
    """Frechet distance between generated and held-out pictures in the judge's features."""
    return evaluation.frechet(judged(judge(config, device)[0], images)[0], real_features(config, device)[0])


# The run that all figures share


def noise(config, seed, n, name="evaluation", device="cpu"):
    """n latent vectors that depend on the seed and a name alone."""
    return torch.randn(n, config.latent, generator=generator(seed, name)).to(device)


def settled(average, config, seed, device):
    """The averaged generator with BatchNorm's statistics measured again, on 2,000 fresh z."""
    mean = copy.deepcopy(average.nets["generator"])
    return dcgan.measure_statistics(mean, noise(config, seed, 2000, "statistics", device))


def bytes_of(images):
    """Images in [-1, 1] as uint8 on the CPU."""
    return ((images + 1) * 127.5).round().to(torch.uint8).cpu()


def fit(config, seed, device, step=dcgan.step):
    """Train one DCGAN. Returns its networks, their average and the History, with pictures of fixed z over training.

    On labeled pictures three distances are watched: of the weights as they are ("live"), of the averaged weights with
    the statistics of the live ones ("averaged") and with their own ("settled").
    """
    images, labels = pictures(config.pictures, "train", config.size)
    nets = dcgan.networks(seed, config.size, images.shape[1], config.latent, config.width).to(device)
    opts = {name: adam(net.parameters(), config.rate, config.betas) for name, net in nets.items()}
    average = Average(nets, config.decay)
    stream = Stream(images, config.batch, config.latent, prepare=dcgan.signed, device=device)
    shown, z = (noise(config, seed, n, name, device) for n, name in ((40, "shown"), (config.evaluated, "evaluation")))

    def watch(done):
        generators = {"live": nets["generator"], "averaged": average.nets["generator"]}
        generators["settled"] = settled(average, config, seed, device)
        seen = {f"{name} pictures": bytes_of(dcgan.sample(net, shown)) for name, net in generators.items()}
        if labels is not None:
            seen |= {name: distance(config, device, dcgan.sample(net, z)) for name, net in generators.items()}
        return seen

    code = (step, dcgan.Generator, dcgan.Discriminator, dcgan.initialize, gan.discriminator_loss)
    history = train(step, nets, opts, stream, config.steps, seed, ema=average, folder=folder(config, seed, *code),
                    log_every=config.steps // config.moments, watch=watch)  # fmt: skip
    return nets, average, history


def model(config, seed, device):
    """The generator that the later figures use: averaged weights, their own statistics."""
    _, average, _ = fit(config, seed, device)
    return settled(average, config, seed, device)


# 6.1 Shapes


@dataclass(frozen=True)
class Shapes:
    size: int = 64
    channels: int = 3
    latent: int = 100
    width: int = 128


def run_shapes(config, seed, device):
    """The shapes of all maps of both players, from the networks themselves."""
    nets = dcgan.networks(seed, config.size, config.channels, config.latent, config.width)
    inputs = {"generator": torch.zeros(1, config.latent), "discriminator": torch.zeros(1, *nets["discriminator"].shape)}
    numbers, arrays = {}, {}
    for name, net in nets.items():
        numbers[f"million parameters of the {name}"] = sum(p.numel() for p in net.parameters()) / 1e6
        found = [shape for _, shape in dcgan.shapes(net, inputs[name]) if len(shape) == 3]
        arrays[name] = torch.tensor(found)
    return {"numbers": numbers, "arrays": arrays}


def draw_shapes(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 1, figsize=(8.4, 5.6))
    for ax, (name, shapes) in zip(axes, results[0]["arrays"].items(), strict=True):
        color = COLORS["green"] if name == "generator" else COLORS["blue"]
        x, first, last = 1.2, *((f"z\n{config.latent}", "image") if name == "generator" else ("image", "logit\n1"))
        for maps, side, _ in shapes.tolist():
            depth, height = 0.35 + 0.0022 * maps, 0.35 + 0.045 * side
            _box(ax, x, depth, height, color)
            ax.text(x + depth / 2, -height / 2 - 0.45, f"{maps} maps\n{side} × {side}", ha="center", va="top")
            x += depth + 1.7
        ax.text(0.2, 0, first, ha="center", va="center")
        ax.text(x - 0.6, 0, last, ha="center", va="center")
        ax.set(title=name, xlim=(-0.4, x), ylim=(-3.1, 2.4))
        ax.set_axis_off()
    return fig


def _box(ax, x, depth, height, color):
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
    kernels: tuple = (3, 4, 5)
    stride: int = 2
    side: int = 7


def run_overlap(config, seed, device):
    """How many inputs reach each output of a transposed convolution: ones through a kernel of ones."""
    ones = torch.ones(1, 1, config.side, config.side, dtype=torch.float64)
    arrays, numbers = {}, {}
    for kernel in config.kernels:
        count = conv_transpose2d(ones, ones.new_ones(1, 1, kernel, kernel), stride=config.stride)[0, 0]
        inner = count[kernel - 1 : 1 - kernel, kernel - 1 : 1 - kernel]
        arrays[f"kernel {kernel}"] = inner
        numbers[f"kernel {kernel}: most over fewest inputs"] = inner.max() / inner.min()
    return {"numbers": numbers, "arrays": arrays}


def draw_overlap(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, len(config.kernels), figsize=(8.0, 3.1))
    for ax, (name, count) in zip(axes, results[0]["arrays"].items(), strict=True):
        count = count[:6, :6]
        ax.imshow(count, cmap="Greys", vmin=-1, vmax=12)
        for i, row in enumerate(count.tolist()):
            for j, value in enumerate(row):
                ax.text(j, i, f"{value:.0f}", ha="center", va="center")
        ax.set(title=f"{name}, stride {config.stride}", xticks=(), yticks=())
    return fig


# 6.3 Samples over training


@dataclass(frozen=True)
class Samples:
    training: Training
    moments: tuple = (1, 3, 5, 10)  # which of the moments at which the run was looked at


def run_samples(config, seed, device):
    """Pictures of the same z at several moments of one run, and real ones unless they are the reader's own."""
    _, _, history = fit(config.training, seed, device)
    seen = [history.watched[i - 1] for i in config.moments]
    arrays = {"steps": torch.tensor([w["step"] for w in seen])}
    arrays["pictures"] = torch.stack([w["settled pictures"] for w in seen])
    real, labels = pictures(config.training.pictures, "train", config.training.size)
    if labels is not None:  # photographs of people stay where they are
        arrays["real"] = real[torch.randperm(len(real), generator=generator(seed, "real"))[:40]]
    return {"numbers": {}, "arrays": arrays}


def draw_samples(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    sheets = [(f"{step:,} steps", sheet) for step, sheet in zip(a["steps"].tolist(), a["pictures"], strict=True)]
    sheets += [("data", a["real"])] if "real" in a else []
    rows = -(-len(sheets) // 2)
    fig, axes = plt.subplots(rows, 2, figsize=(8.2, 0.9 * rows))
    look = "hanning" if sheets[0][1].shape[-1] > 32 else "nearest"  # large pictures are drawn smaller than they are
    for ax, (title, sheet) in zip(axes.flat, sheets, strict=False):
        image_grid(ax, sheet[:8], columns=8, vmax=255, interpolation=look)
        ax.set_title(title)
    for ax in axes.flat[len(sheets) :]:
        ax.set_axis_off()
    return fig


# 6.4 Averaged weights


@dataclass(frozen=True)
class Averages:
    training: Training


ARMS = {"live": "weights as they are", "averaged": "averaged", "settled": "averaged, own statistics"}


def run_averages(config, seed, device):
    """Distances to held-out pictures over one run: live weights, and averaged ones with either kind of statistics."""
    _, average, history = fit(config.training, seed, device)
    test, seen = real_features(config.training, device)
    arrays = {name: torch.tensor([w[name] for w in history.watched]) for name in ARMS}
    arrays["steps"] = torch.tensor([w["step"] for w in history.watched])
    last = {name: history.watched[-1][name] for name in ARMS}
    numbers = {f"{label}: distance": last[name] for name, label in ARMS.items()}
    numbers["own statistics minus copied ones"] = last["settled"] - last["averaged"]
    numbers["averaged, own statistics, minus as they are"] = last["settled"] - last["live"]
    numbers["the same at the first moment"] = arrays["settled"][0] - arrays["live"][0]
    numbers["real training pictures: distance"] = evaluation.frechet(seen, test)
    numbers["judge: right on held-out pictures"] = judge(config.training, device)[1]
    arrays |= {f"{name} pictures": history.watched[-1][f"{name} pictures"][:21] for name in ("live", "settled")}
    return {"numbers": numbers, "arrays": arrays, "nets": settled(average, config.training, seed, device)}


def averages_model(config, seed):
    """The generator of figure 6.4, untrained: averaged weights with their own statistics are stored."""
    t = config.training
    return dcgan.generator(seed, t.size, 1, t.latent, t.width)


def draw_averages(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplot_mosaic("ab;cb", figsize=(8.4, 4.0), width_ratios=(1, 1.1))
    for key, name in (("a", "live"), ("c", "settled")):
        image_grid(axes[key], results[0]["arrays"][f"{name} pictures"][:14], columns=7, vmax=255)
        axes[key].set_title(f"{ARMS[name]}, seed 0")
    ax = axes["b"]
    for (name, label), color, marker, ls in zip(
        ARMS.items(), ("vermillion", "blue", "green"), MARKERS, LINES, strict=False
    ):
        for i, r in enumerate(results):
            a = r["arrays"]
            ax.plot(
                a["steps"], a[name], color=COLORS[color], marker=marker, ms=4, lw=1, ls=ls, label=None if i else label
            )
    floor = float(results[0]["numbers"]["real training pictures: distance"])
    ax.annotate(f"real training pictures: {floor:.1f}", (0.03, 0.03), xycoords="axes fraction", color="0.35")
    ax.set(yscale="log", xlabel="step", title="distance to held-out pictures, every seed")
    ax.set_ylim(0.6 * ax.get_ylim()[0], None)
    ax.set_yticks((20, 50, 100, 200, 500), ("20", "50", "100", "200", "500"))
    ax.minorticks_off()
    ax.legend(loc="upper right")
    return fig


def verdict_averages(summary):
    gain, own, early = (
        summary[k]
        for k in (
            "averaged, own statistics, minus as they are",
            "own statistics minus copied ones",
            "the same at the first moment",
        )
    )
    return (
        f"Averaged weights with statistics of their own: averaging {_change(gain)} at the end and {_change(early)} at the "
        f"first moment. Measuring the statistics again {_change(own)} against copying them."
    )


def _change(s):
    """What a mean difference of distances says, if its interval allows."""
    if s["low"] is None or s["low"] <= 0 <= s["high"]:
        return "makes no resolved difference"
    every = "in every seed" if s["min"] * s["max"] > 0 else "on average"
    return f"{'lowers' if s['mean'] < 0 else 'raises'} the distance {every}"


# 6.5 Real and fake in one batch


@dataclass(frozen=True)
class OneBatch:
    training: Training


STEPS = {"two batches": dcgan.step, "one batch": gan.step}


def run_one_batch(config, seed, device):
    """The same start, data and noise with real and fake images apart and together in D's batch."""
    numbers, arrays = {}, {}
    for name, step in STEPS.items():
        _, _, history = fit(config.training, seed, device, step)
        every = config.training.steps // config.training.moments
        for player in ("discriminator", "generator"):
            losses = history[player]
            arrays[f"{name} {player}"] = losses.unfold(0, every, every).mean(1)
            numbers[f"{name}: loss of the {player}"] = losses[-every:].mean()
        arrays[f"{name} pictures"] = history.watched[-1]["live pictures"][:21]
        numbers[f"{name}: distance"] = history.watched[-1]["live"]
    return {"numbers": numbers, "arrays": arrays}


def draw_one_batch(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 2, figsize=(8.2, 4.2), height_ratios=(1, 3.5))
    every = config.training.steps // config.training.moments
    for ax, name in zip(axes[0], STEPS, strict=True):
        image_grid(ax, results[0]["arrays"][f"{name} pictures"][:7], columns=7, vmax=255)
        ax.set_title(f"{name}, seed 0")
    for ax, player in zip(axes[1], ("discriminator", "generator"), strict=True):
        for name, color, ls in zip(STEPS, ("blue", "vermillion"), LINES, strict=False):
            for i, r in enumerate(results):
                losses = r["arrays"][f"{name} {player}"]
                step = every * torch.arange(1, len(losses) + 1)
                ax.plot(step, losses, color=COLORS[color], ls=ls, lw=1.1, label=None if i else name)
        ax.set(title=f"loss of the {player}, every seed", xlabel="step", ylim=(-0.1, None))
    axes[1, 0].legend(loc="best")
    return fig


def verdict_one_batch(summary):
    losses = [summary[f"one batch: loss of the {player}"]["max"] for player in ("discriminator", "generator")]
    apart, together = (summary[f"{name}: distance"] for name in STEPS)
    worse = "in every seed" if together["min"] > apart["max"] else "not in every seed"
    both = "Both losses end below 0.1 in every seed" if max(losses) < 0.1 else "Not both losses end below 0.1"
    return f"{both} with one batch. Its pictures are farther from real ones than all of those with two batches {worse}."


# 6.6 Walks


@dataclass(frozen=True)
class Walks:
    training: Training
    shown: int = 3
    steps: int = 7


WALKS = ("straight line in z", "great circle in z", "cross-fade of pixels")


def walks(net, a, b, t):
    """Pictures at t of the three walks between z's a and b: {name: images}."""
    ends = [dcgan.sample(net, z) for z in (a, b)]
    made = [dcgan.sample(net, dcgan.linear_walk(a, b, t)), dcgan.sample(net, dcgan.great_circle(a, b, t))]
    return dict(zip(WALKS, [*made, dcgan.linear_walk(*ends, t)], strict=True))


def run_walks(config, seed, device):
    """Three walks between pairs of z: the distance of the halfway pictures from real ones, and pictures along the first.

    Shown are the first pairs whose ends the judge takes for different classes with probability 0.9 or more.
    """
    net = model(config.training, seed, device)
    n = config.training.evaluated
    a, b = (noise(config.training, seed, n, name, device) for name in ("from", "to"))
    numbers = {"at the ends": distance(config.training, device, dcgan.sample(net, a))}
    for name, images in walks(net, a, b, 0.5).items():
        numbers[f"halfway, {name}"] = distance(config.training, device, images)
    numbers["line minus circle"] = numbers[f"halfway, {WALKS[0]}"] - numbers[f"halfway, {WALKS[1]}"]
    numbers["cross-fade minus circle"] = numbers[f"halfway, {WALKS[2]}"] - numbers[f"halfway, {WALKS[1]}"]
    (sure, one), (sure_too, other) = (
        judged(judge(config.training, device)[0], dcgan.sample(net, z))[1].max(1) for z in (a, b)
    )
    clear = (sure >= 0.9) & (sure_too >= 0.9) & (one != other)
    first = (~clear).int().argsort(stable=True)[: config.shown]  # clear pairs first, each kind in the order drawn
    arrays = {}
    for i, pair in enumerate(first.tolist()):
        ends = a[pair : pair + 1], b[pair : pair + 1]
        steps = [walks(net, *ends, t) for t in torch.linspace(0, 1, config.steps).tolist()]
        for name in WALKS:
            arrays[f"{i} {name}"] = bytes_of(torch.cat([step[name] for step in steps]))
    return {"numbers": numbers, "arrays": arrays}


def draw_walks(results, config):
    import matplotlib.pyplot as plt

    left = range(config.shown)
    fig, axes = plt.subplot_mosaic(
        [[i, "right"] for i in left], figsize=(8.4, 1.75 * config.shown), width_ratios=(1.75, 1)
    )
    arrays = results[0]["arrays"]
    for i in left:
        sheet = torch.cat([arrays[f"{i} {name}"] for name in WALKS])
        image_grid(axes[i], sheet, columns=config.steps, vmax=255)
        for row, label in enumerate(("line", "circle", "cross-fade")):
            axes[i].text(-2, (row + 0.5) * (sheet.shape[-1] + 1), label, ha="right", va="center", fontsize=10)
    axes[0].set_title("between different classes, seed 0")
    names = ("at the ends", *(f"halfway, {name}" for name in WALKS))
    ax, colors = axes["right"], ("black", "orange", "blue", "vermillion")
    for x, (name, color, marker) in enumerate(zip(names, colors, MARKERS, strict=False)):
        _points(ax, x, [float(r["numbers"][name]) for r in results], color, marker)
    ax.set_xticks(range(4), ["ends", "line", "circle", "cross-\nfade"])
    ax.set(title="distance halfway, every seed", ylim=(0, None), xlim=(-0.5, 3.5))
    return fig


def _points(ax, x, values, color, marker):
    """One point per seed, side by side at x."""
    spread = x + (torch.arange(len(values)) - (len(values) - 1) / 2) * 0.08
    ax.plot(spread, values, ls="", marker=marker, color=COLORS[color], ms=6, alpha=0.85)


def verdict_walks(summary):
    line, fade = summary["line minus circle"], summary["cross-fade minus circle"]
    return f"Halfway, the straight line {_against(line)} the great circle, and the cross-fade of pixels {_against(fade)} it."


def _against(s):
    if s["low"] is None or s["low"] <= 0 <= s["high"]:
        return "is not resolved from"
    return f"lies {'farther from' if s['mean'] > 0 else 'closer to'} real pictures than"


# 6.7 and 6.8 Arithmetic


@dataclass(frozen=True)
class Analogies:
    """Bright A - dark A + dark B = bright B? `pairs` (A, B) are shown; all ordered pairs of classes are scored."""

    training: Training
    pairs: tuple = ((2, 1), (9, 3))
    candidates: int = 20_000
    confidence: float = 0.9
    trials: int = 5  # per ordered pair of classes
    names: tuple = FASHION


def gray(images):
    """Mean gray value of each picture, 0 to 1."""
    return (images.flatten(1).mean(1) + 1) / 2


def exemplars(probabilities, shade, confidence):
    """Which candidates stand for "bright class k" and "dark class k", by rule, in the order in which they were drawn.

    The judge must be at least `confidence` sure of the class; bright is the upper quarter of the gray values among
    those, dark the lower. Returns {(class, "bright" or "dark"): indices} and {class: the quarter that bright begins at}.
    """
    sure, label = probabilities.max(1)
    found, begins = {}, {}
    for k in range(probabilities.shape[1]):
        members = ((label == k) & (sure >= confidence)).nonzero().squeeze(1)
        if len(members) < 12:  # a quarter of them must hold three
            continue
        low, high = shade[members].quantile(torch.tensor([0.25, 0.75]))
        found[k, "dark"], found[k, "bright"] = members[shade[members] <= low], members[shade[members] >= high]
        begins[k] = float(high)
    return found, begins


def scene(config, seed, device):
    """The generator, candidate z's, their pictures, and the exemplars among them."""
    net = model(config.training, seed, device)
    z = noise(config.training, seed, config.candidates, "candidates", device)
    images = dcgan.sample(net, z).cpu()
    probabilities = judged(judge(config.training, device)[0], images)[1]
    return net, z, images, probabilities, *exemplars(probabilities, gray(images), config.confidence)


def run_picture(config, seed, device):
    """The arithmetic in full for the shown pairs, with the first exemplars that the rule finds."""
    net, z, images, _, found, begins = scene(config, seed, device)
    if missing := {k for pair in config.pairs for k in pair} - begins.keys():
        raise ValueError(f"the judge is sure of too few samples of the classes {sorted(missing)}; train longer")
    arrays = {}
    for i, (a, b) in enumerate(config.pairs):
        picked = [found[key][:3] for key in ((a, "bright"), (a, "dark"), (b, "dark"))]
        means = torch.stack([z[rows.to(device)].mean(0) for rows in picked])
        y = dcgan.analogy(*(z[rows.to(device)] for rows in picked))
        wobble = torch.rand(8, len(y), generator=generator(seed, "wobble", i)).to(device) / 2 - 0.25
        arrays |= {
            f"{i} exemplars": bytes_of(torch.stack([images[rows] for rows in picked])),
            f"{i} means": bytes_of(dcgan.sample(net, means)),
            f"{i} latent": bytes_of(dcgan.sample(net, torch.cat([y[None], y + wobble]))),
            f"{i} pixels": bytes_of(dcgan.analogy(*(images[rows] for rows in picked)).clamp(-1, 1)[None]),
        }
    return {"numbers": {}, "arrays": arrays}


def draw_picture(results, config):
    import matplotlib.pyplot as plt

    arrays = results[0]["arrays"]
    fig, axes = plt.subplots(
        len(config.pairs), 3, figsize=(8.4, 2.6 * len(config.pairs)), width_ratios=(1.9, 1.2, 0.55)
    )
    for i, (row, (a, b)) in enumerate(zip(axes, config.pairs, strict=True)):
        terms = torch.cat([arrays[f"{i} exemplars"], arrays[f"{i} means"][:, None]], 1)
        image_grid(row[0], terms.flatten(0, 1), columns=4, vmax=255)
        labels = (f"bright {config.names[a]}", f"− dark {config.names[a]}", f"+ dark {config.names[b]}")
        for term, label in enumerate(labels):
            row[0].text(-2, (term + 0.5) * (terms.shape[-1] + 1), label, ha="right", va="center", fontsize=11)
        order = torch.tensor([1, 2, 3, 4, 0, 5, 6, 7, 8])
        image_grid(row[1], arrays[f"{i} latent"][order], columns=3, vmax=255)
        image_grid(row[2], arrays[f"{i} pixels"], columns=1, vmax=255)
    for ax, title in zip(axes[0], ("three exemplars, mean z", "result in z", "in pixels"), strict=True):
        ax.set_title(title)
    return fig


METHODS = ("three exemplars", "one exemplar", "one, shortened", "three, in pixels")


def run_scores(config, seed, device):
    """Bright A - dark A + dark B for all ordered pairs of classes: is it a bright B, by the judge and the rule?"""
    net, z, images, probabilities, found, begins = scene(config, seed, device)
    whole = [k for k in begins if min(len(found[k, s]) for s in ("bright", "dark")) >= 3 * config.trials]
    if len(whole) < 2:
        raise ValueError(f"only the classes {whole} have enough exemplars; train longer or draw more candidates")
    jobs = [(a, b, i) for a in whole for b in whole if a != b for i in range(config.trials)]
    made = {name: [] for name in METHODS}
    for a, b, i in jobs:
        picked = [found[key][3 * i : 3 * i + 3] for key in ((a, "bright"), (a, "dark"), (b, "dark"))]
        three = [z[rows.to(device)] for rows in picked]
        one = dcgan.analogy(*(rows[:1] for rows in three))
        made["three exemplars"].append(dcgan.analogy(*three))
        made["one exemplar"].append(one)
        made["one, shortened"].append(one / 3**0.5)
        made["three, in pixels"].append(dcgan.analogy(*(images[rows] for rows in picked)).clamp(-1, 1))
    target = torch.tensor([b for _, b, _ in jobs])
    bright = torch.tensor([begins[b] for _, b, _ in jobs])
    numbers = {}
    for name, rows in made.items():
        results = torch.stack(rows)
        if "pixels" not in name:
            results = dcgan.sample(net, results).cpu()
        features, chances = judged(judge(config.training, device)[0], results)
        right = chances.argmax(1) == target
        numbers[f"{name}: right class"] = right.double().mean()
        numbers[f"{name}: right class and bright"] = (right & (gray(results) >= bright)).double().mean()
        if name in ("three exemplars", "three, in pixels"):
            numbers[f"{name}: distance"] = evaluation.frechet(features, real_features(config.training, device)[0])
    label, shade = probabilities.argmax(1), gray(images)
    by_luck = [((label == b) & (shade >= begins[b])).double().mean() for b in whole]
    numbers["any z: right class and bright"] = torch.stack(by_luck).mean()
    numbers["classes with enough exemplars"] = len(whole)
    return {"numbers": numbers, "arrays": {}}


def draw_scores(results, config):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(8.2, 3.7), sharey=True)
    for ax, what in zip(axes, ("right class", "right class and bright"), strict=True):
        colors = ("blue", "orange", "green", "vermillion")
        for x, (name, color, marker) in enumerate(zip(METHODS, colors, MARKERS, strict=False)):
            _points(ax, x, [float(r["numbers"][f"{name}: {what}"]) for r in results], color, marker)
        ax.set_xticks(range(4), ["three", "one", "one,\nshortened", "three,\nin pixels"])
        ax.set(title=what, xlim=(-0.5, 3.5))
    axes[0].set_ylim(0, 1.15 * axes[0].get_ylim()[1])
    luck = sum(float(r["numbers"]["any z: right class and bright"]) for r in results) / len(results)
    axes[1].axhline(luck, color="0.45", ls="--", lw=1.2)
    axes[1].annotate("any z", (3.45, luck), (0, 3), textcoords="offset points", ha="right", color="0.35")
    axes[0].set_ylabel("share of results, every seed")
    return fig


def verdict_scores(summary):
    what = "right class and bright"
    three = summary[f"three exemplars: {what}"]

    def against(name):
        other = summary[f"{name}: {what}"]
        if None in (three["low"], other["low"]) or (three["low"] <= other["high"] and other["low"] <= three["high"]):
            return f"not separated from {name}"
        return f"{'above' if three['mean'] > other['mean'] else 'below'} {name}"

    words = ", ".join(map(against, METHODS[1:]))
    distances = [summary[f"{name}: distance"] for name in ("three exemplars", "three, in pixels")]
    closer = "closer to" if distances[0]["max"] < distances[1]["min"] else "not in every seed closer to"
    return f"Three exemplars in z: {words}. Their pictures are {closer} real ones than those made in pixels."


NO_GPU = "Recorded on a CPU with few maps; --scale full is the size for a GPU."
SHARED = "The networks are those of figure 6.4, whose training is not counted here."

RECIPES = {
    "6.1": Recipe(
        title="The shapes of a DCGAN",
        caption="The maps of both players for 64x64 images, read off the networks themselves. Each layer of the generator "
        "doubles the side and halves the number of maps; the discriminator does the reverse.",
        alt="Two rows of blocks. Top, the generator: from z, blocks that grow in height and become thinner, 1024 maps of "
        "4 x 4 to 3 maps of 64 x 64. Bottom, the discriminator: the same in reverse, ending in a logit.",
        run=run_shapes,
        draw=draw_shapes,
        quick=Shapes(),
        full=Shapes(),
    ),
    "6.2": Recipe(
        title="How many inputs reach each output pixel",
        caption="Transposed convolutions of stride 2 with kernels of side 3, 4 and 5. The stride divides 4, and every pixel "
        "collects as many inputs as its neighbors. With 3 and 5 the counts form a checkerboard.",
        alt="Three tables of counts. Kernel 3: rows 1 2 1 2 and 2 4 2 4 alternate. Kernel 4: every entry is 4. Kernel 5: "
        "entries 4, 6 and 9 alternate like a checkerboard.",
        run=run_overlap,
        draw=draw_overlap,
        quick=Overlap(),
        full=Overlap(),
    ),
    "6.3": Recipe(
        title="Samples over training",
        caption="Eight fixed z, seen through the averaged generator at several moments of one run, and eight pictures of the "
        f"data. {SHARED}",
        alt="Sheets of small pictures at growing numbers of steps. Early ones are smeared, later ones show shirts, trousers, "
        "dresses, shoes and bags; the last sheet shows the data.",
        run=run_samples,
        draw=draw_samples,
        quick=Samples(QUICK, moments=(1, 2, 4)),
        cpu=Samples(Training(), moments=(1, 2, 4, 7, 10)),
        full=Samples(FULL),
        record="cpu",
    ),
    "6.4": Recipe(
        title="Averaged weights, on and off",
        caption="Distance (Frechet, in the features of a small classifier) between generated and held-out pictures over "
        f"training, and pictures of the same z. {NO_GPU}",
        alt="Left: two sheets of the same garments, from weights as they are and from averaged ones. Right: curves of the "
        "distance over the steps for three ways to take the weights: averaged ones start far above, and all end close together.",
        run=run_averages,
        model=averages_model,
        draw=draw_averages,
        quick=Averages(QUICK),
        cpu=Averages(Training()),
        full=Averages(FULL),
        seeds=tuple(range(5)),
        verdict=verdict_averages,
        record="cpu",
    ),
    "6.5": Recipe(
        title="Real and fake in one batch",
        caption="The same networks, data and noise. With real and fake images in one batch, BatchNorm shows the "
        f"discriminator which half it looks at, and the generator meets another discriminator. {NO_GPU}",
        alt="Top: rough garments with two batches, gray noise with one batch. Bottom: with two batches both losses stay "
        "near 1; with one batch both fall to 0.",
        run=run_one_batch,
        draw=draw_one_batch,
        quick=OneBatch(
            dataclasses.replace(QUICK, size=16, width=16, batch=32, steps=240, judge_steps=60, evaluated=100)
        ),
        cpu=OneBatch(Training(width=16, steps=1000)),
        full=OneBatch(dataclasses.replace(FULL, steps=3000)),
        seeds=tuple(range(5)),
        verdict=verdict_one_batch,
        record="cpu",
    ),
    "6.6": Recipe(
        title="Walks in the latent space",
        caption="Pictures along three walks between the same two z (the first pairs of which the judge is sure), and the "
        f"distance of 2,500 halfway pictures from held-out ones. {SHARED}",
        alt="Left: rows of garments that change step by step into others; in the cross-fade rows both garments show through "
        "each other. Right: points for the distance at the ends and halfway along the three walks.",
        run=run_walks,
        draw=draw_walks,
        quick=Walks(QUICK),
        cpu=Walks(Training()),
        full=Walks(FULL),
        seeds=tuple(range(5)),
        verdict=verdict_walks,
        record="cpu",
    ),
    "6.7": Recipe(
        title="Arithmetic with three exemplars",
        caption="Bright A minus dark A plus dark B. In each row: the first three exemplars that the rule finds, and the picture "
        "of their mean z. In z: the result in the center, around it eight with uniform noise up to 0.25 added to z. Right: "
        f"the same arithmetic on pixels. {SHARED}",
        alt="Two examples. Rows of three exemplars and the picture of their mean, then a 3 x 3 sheet of nine nearly equal clean "
        "results in z, then the result in pixels, where the outline of the first garment shines through.",
        run=run_picture,
        draw=draw_picture,
        quick=Analogies(QUICK, candidates=4000, trials=1, names=tuple("0123456789")),
        cpu=Analogies(Training()),
        full=Analogies(FULL),
        record="cpu",
    ),
    "6.8": Recipe(
        title="Arithmetic, scored",
        caption="All ordered pairs of classes, five results each. Left: the judge sees the class of B. Right: it does, and the "
        f"picture is as bright as the brightest quarter of B. {SHARED}",
        alt="Two panels of points for four ways to do the arithmetic: three exemplars, one, one shortened, three in pixels. A "
        "dashed line shows what any z scores.",
        run=run_scores,
        draw=draw_scores,
        quick=Analogies(QUICK, candidates=4000, trials=1, names=tuple("0123456789")),
        cpu=Analogies(Training()),
        full=Analogies(FULL),
        seeds=tuple(range(5)),
        verdict=verdict_scores,
        record="cpu",
    ),
    "6.9": Recipe(
        title="Samples at 64x64",
        caption="64x64 faces, 64 maps: eight fixed z, seen through the averaged generator at several moments of one run. All "
        "faces are generated. Recorded on a GPU, with 12,788 photographs of Labeled Faces in the Wild.",
        alt="Four sheets of small generated faces at growing numbers of steps.",
        run=run_samples,
        draw=draw_samples,
        quick=Samples(QUICK, moments=(1, 2, 4)),
        full=Samples(PHOTOS),
    ),
}
