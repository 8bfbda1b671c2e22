"""Experiments of chapter 04 with networks: three models on the same images and labels, judged, read and redrawn."""

import functools
import itertools
import math
from dataclasses import asdict, dataclass, replace

import torch
from torch.nn.functional import cross_entropy

from gentools import conditional_vae as cvae
from gentools import vae
from gentools.lab.networks import mlp
from gentools.lab.optim import adam, cosine
from gentools.lab.plots import COLORS
from gentools.lab.randomness import generator
from gentools.lab.stream import binarize, unit
from gentools.recipes import Recipe, conditional_vae_exact, conditional_vae_few
from gentools.recipes.conditional_vae_drawings import draw_bounds, draw_cheap, draw_grids, draw_plane
from gentools.recipes.conditional_vae_exact import LOOKS, schedule
from gentools.recipes.shared import arms, drawing, judging, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import fit_kept
from gentools.recipes.shared.pictures import held_out_bits, labeled

CLASSES = 10
LABELED = ("class means", "CVAE")  # the models that are told the label


def train_model(name, rows, latent, config, learning_rate, seed, device, kl_weight=1.0, watch=None, moments=1):
    """Train one of the three models for config.epochs. Returns its networks, on the CPU, and the History.

    rows: images (n, 1, h, w) and labels (n,). config: any with `hidden`, `batch` and `epochs`. watch(nets) -> {score:
    number} is called at `moments` equally spaced moments: a partial of functions of a module, for a checkpoint goes by
    their code and by config.
    """
    images, _ = rows
    steps = config.epochs * len(images) // config.batch
    nets = cvae.NETWORKS[name](seed, images[0].numel(), config.hidden, latent).to(device)
    step, watched = functools.partial(cvae.step, kl_weight=kl_weight), {}
    if watch is not None:
        watched = {"watch": functools.partial(at_moment, nets, watch), "log_every": -(-steps // moments)}
        watched["config"] = asdict(config)
    history = fit_kept(step, nets, {"vae": adam(nets.parameters(), learning_rate)}, rows, latent, batch=config.batch,
                       steps=steps, seed=seed, device=device, prepare=binarize, schedule=schedule(steps), **watched)  # fmt: skip
    return nets.to("cpu"), history


def at_moment(nets, watch, done):
    """What `watch` says of the networks, whichever step is done."""
    return watch(nets)


def curves_of(history, scores):
    """What was watched: after which steps (moments,), and those scores then (moments, scores)."""
    seen = torch.tensor([[float(each[key]) for key in ("step", *scores)] for each in history.watched])
    return seen[:, 0], seen[:, 1:]


def noise_of(seed, *shape):
    """Standard normal noise of an evaluation, the same for every model."""
    return torch.randn(*shape, generator=generator(seed, "evaluation", *shape))


def right(logits, y):
    """Share of rows of logits (n, classes) whose largest is that of the label (n,)."""
    return (logits.argmax(1) == y).double().mean()


def train_reader(rows, y, hidden, steps, seed, device, learning_rate=2e-3):
    """A classifier of rows (n, d) with labels (n,), trained on the device with Adam and a cosine schedule."""
    net = mlp([rows.shape[1], *hidden, CLASSES], generator=generator(seed, "classifier"))
    return judging.train_judge(net, rows, y, steps=steps, seed=seed, learning_rate=learning_rate,
                               batch=min(500, len(rows)), schedule=cosine(steps), device=device)  # fmt: skip


# 4.3, 4.5 and 4.6 Three networks on the same images


@dataclass(frozen=True)
class Comparison:
    """The three models with equal networks on the same pictures, and what judges and reads them."""

    data: str = "mnist"  # labeled pictures
    hidden: tuple = (400,)  # widths of the hidden layers
    latent: int = 20  # code dimensions
    batch: int = 128  # images a step
    epochs: int = 24  # of training
    learning_rates: tuple = (("VAE", 8e-3), ("class means", 4e-3), ("CVAE", 4e-3))  # of Adam, at its highest
    moments: int = 12  # at which the held-out bound is taken, equally spaced
    judge_steps: int = 1500  # of the classifier that judges pictures
    reader_steps: int = 2000  # of the classifiers that read codes
    rows: int = 8  # without a use here
    draws: int = 50  # of a code for every class, for the likelihoods of figure 4.3
    stride: int = 20  # those are of every so manieth held-out image
    tuning: tuple = (  # model, learning rate, bound on 10,000 held-out training images after 3 epochs, for two seeds
        ("VAE", 1e-3, -120.53, -120.48),
        ("VAE", 2e-3, -111.80, -112.42),
        ("VAE", 4e-3, -107.42, -107.89),
        ("VAE", 8e-3, -105.44, -105.87),
        ("VAE", 1.6e-2, -105.55, -105.87),
        ("VAE", 3.2e-2, -110.90, -110.38),
        ("class means", 1e-3, -117.75, -117.58),
        ("class means", 2e-3, -108.76, -109.13),
        ("class means", 4e-3, -104.32, -104.77),
        ("class means", 8e-3, -102.11, -102.36),
        ("class means", 1.6e-2, -102.55, -102.63),
        ("class means", 3.2e-2, -106.14, -107.21),
        ("CVAE", 1e-3, -118.50, -118.70),
        ("CVAE", 2e-3, -109.63, -110.42),
        ("CVAE", 4e-3, -105.00, -105.36),
        ("CVAE", 8e-3, -102.26, -102.09),
        ("CVAE", 1.6e-2, -101.90, -102.39),
        ("CVAE", 3.2e-2, -107.29, -106.11),
    )
    tuning_in_full: tuple = (  # model, (learning rate, that bound after all epochs, one seed) each
        ("VAE", (4e-3, -98.52), (8e-3, -98.51), (1.6e-2, -100.71)),
        ("class means", (2e-3, -96.19), (4e-3, -95.31), (8e-3, -95.49), (1.6e-2, -97.68)),
        ("CVAE", (2e-3, -95.73), (4e-3, -94.48), (8e-3, -94.52), (1.6e-2, -96.62)),
    )


GIVEN, WITHOUT = "bound given the label", "bound without the label"
LIKELIHOOD, DOUBLING = "log-likelihood without the label", "nats that the second half of the draws adds"
HELD_OUT = (GIVEN, "reconstruction term", "KL term")  # what is watched in training, in nats


def late(what):
    """The recorded name of what a score gained over the last quarter of the steps."""
    return f"{what}, change over the last quarter"


def held_out_terms(nets, x, y, noise, device):
    """{HELD_OUT: nats}: the bound on log q(x|y) and its two terms, means over held-out binary x (n, ...) of classes y."""
    likelihood, kl = cvae.elbo_terms(nets, *(rows.to(device) for rows in (x, y, noise)))  # (n,) each
    return dict(zip(HELD_OUT, ((likelihood - kl).mean(), -likelihood.mean(), kl.mean()), strict=True))


def held_out_rows(config, seed):
    """Held-out binary images (n, ...), labels (n,), and a draw of noise (n, k) that is the same for every model."""
    images, y = labeled(config.data, "test")
    return held_out_bits(images), y, noise_of(seed, len(y), config.latent)


@functools.cache
def models(config, seed, device):
    """The three trained models and their histories. Figures 4.3 and 4.6 share them within a process."""
    rows, (x, y, noise) = labeled(config.data, "train"), held_out_rows(config, seed)
    watch = functools.partial(held_out_terms, x=x, y=y, noise=noise, device=device)
    train = functools.partial(train_model, rows=rows, latent=config.latent, config=config, seed=seed, device=device,
                              watch=watch, moments=config.moments)  # fmt: skip
    return {name: train(name, learning_rate=rate) for name, rate in config.learning_rates}


def tune(config, rates=(1e-3, 2e-3, 4e-3, 8e-3), seeds=(100, 101), epochs=3, names=tuple(LOOKS), device="cpu"):
    """The tuning bill: short runs on five sixths of the training images, the bound on the rest."""
    images, labels = labeled(config.data, "train")
    order = torch.randperm(len(images), generator=generator(0, "validation"))
    kept, held = order[len(images) // 6 :], order[: len(images) // 6]
    short, x, found = replace(config, epochs=epochs), binarize(images[held], generator(0, "validation bits")), []
    for name, rate in itertools.product(names, rates):
        bounds = []
        for seed in seeds:
            nets, _ = train_model(name, (images[kept], labels[kept]), config.latent, short, rate, seed, device)
            likelihood, kl = cvae.elbo_terms(nets, x, labels[held], noise_of(seed, len(x), config.latent))
            bounds.append(round(float((likelihood - kl).mean()), 2))
        found.append((name, rate, *bounds))
        print(found[-1], flush=True)
    return tuple(found)


def path(history):
    """Means of KL term, reconstruction term and sigma over 40 stretches of the run that grow like a power: (40, 3).

    And the step (40,) at which each ends.
    """
    edges = torch.unique(torch.logspace(0.5, torch.tensor(len(history)).log10(), 41).round().long() - 1)
    stretches = [slice(a, b) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
    keys = ("kl", "reconstruction", "sigma")
    return torch.stack([torch.stack([history[key][s].mean() for key in keys]) for s in stretches]), edges[1:]


def lost_by_means(nets, config):
    """Nats of the KL term that learned class means cost more than the averages of the encoder's means. (4.5)"""
    images, labels = labeled(config.data, "train")
    shares = cvae.label_entropy(labels, CLASSES)[1].float()
    with torch.no_grad():
        seen = binarize(images, generator(0, "train bits"))
        best = cvae.class_averages(nets["encoder"](seen, labels)[0], labels, CLASSES)  # (classes, k)
        return (shares @ (nets["prior"].means - best).square().sum(1)) / 2


def weights_of(nets, x, shares, config, seed):
    """Log-weights (draws, n) of binarized images x (n, ...): their exponentials are unbiased estimates of q(x). (4.8)

    A draw is a code for every class, weighted with shares (classes,). The VAE, which does not see the class, so averages
    as many codes as the others.
    """
    found = []
    for draw in range(config.draws):
        noise = torch.randn(CLASSES, len(x), config.latent, generator=generator(seed, "likelihood", draw))
        found.append(cvae.joint_log_weights(nets, x, shares, noise).logsumexp(1))  # (n,)
    return torch.stack(found)


def run_bounds(config, seed, device):
    """Held-out bounds, on q(x|y) with the label and on q(x) without, and the two terms over training."""
    x, y, noise = held_out_rows(config, seed)  # one draw per image for all classes: else ten weights beat one
    numbers, arrays = {}, {}
    shares = cvae.label_entropy(labeled(config.data, "train")[1], CLASSES)[1].float()
    trained = models(config, seed, device)
    for name, (nets, history) in trained.items():
        bound, reconstruction, kl = held_out_terms(nets, x, y, noise, "cpu").values()
        arrays[f"{name}: path"], arrays["step"] = path(history)
        arrays[f"{name}: held out"] = torch.stack([kl, reconstruction])
        arrays["moments"], arrays[f"{name}: curves"] = curves_of(history, HELD_OUT)  # (moments,) and (moments, 3)
        rose = change(arrays[f"{name}: curves"][:, 0])
        numbers |= {(name, GIVEN): bound, (name, late(GIVEN)): rose, (name, "KL term"): kl}
        weights = weights_of(nets, x[:: config.stride], shares, config, seed)  # (draws, n / stride)
        half, estimate = (vae.importance_bound(weights, k).mean() for k in (config.draws // 2, config.draws))
        numbers |= {(name, LIKELIHOOD): estimate, (name, DOUBLING): estimate - half}
        if name in LABELED:
            weights = cvae.joint_log_weights(nets, x, shares, noise.expand(CLASSES, -1, -1))  # (n, classes)
            numbers[name, WITHOUT] = weights.logsumexp(1).mean()
            numbers[name, "label by Bayes' rule"] = right(weights, y)
    gains = {lead(name): numbers[name, WITHOUT] - numbers["VAE", GIVEN] for name in LABELED}
    gains |= {ahead(name): numbers[name, LIKELIHOOD] - numbers["VAE", LIKELIHOOD] for name in LABELED}
    lost = {"nats lost by learned instead of averaged means": lost_by_means(trained["class means"][0], config)}
    return {"numbers": arms.named(numbers) | gains | lost, "arrays": arrays}


def lead(name):
    """The recorded name of how far a model's bound without the label lies above the VAE's."""
    return f"{name} minus VAE, without the label"


def ahead(name):
    """The recorded name of how far a model's log-likelihood lies above the VAE's."""
    return f"{name} minus VAE, log-likelihood"


def verdict_bounds(summary):
    """Whether without the label both models beat the VAE, what more draws may add, and whether the bounds have settled."""
    said = {}
    for kind, lead_of in (("bound", lead), ("log-likelihood", ahead)):
        words = []
        for name in LABELED:
            s = summary[lead_of(name)]
            word = {1: "higher", 0: "not resolved", -1: "lower"}[verdicts.sign(s)]
            sure = "" if s["low"] is None else "95 % "
            words.append(f"{name} {word} ({sure}{verdicts.interval(s, '+.2f', ' nats')})")
        said[kind] = "; ".join(words)
    added = [s for name in LOOKS if verdicts.finished(s := summary[arms.name(name, DOUBLING)])]
    rest = f" Twice the draws added at most {max(s['max'] for s in added):.2f} nats to any of them." if added else ""
    ends = {name: [summary[arms.name(name, what)] for what in (GIVEN, late(GIVEN))] for name in LOOKS}
    gained = [f"{name} {verdicts.mean(c, '+.2f')} ({verdicts.settling(s, c)})"
              for name, (s, c) in ends.items() if verdicts.finished(c)]  # fmt: skip
    rest += f" Nats that the bound given the label gained over the last quarter: {', '.join(gained)}." if gained else ""
    return (
        f"without the label, against the VAE: bound: {said['bound']}. Importance-sampled log-likelihood: "
        f"{said['log-likelihood']}.{rest}"
    )


# 4.5 Class grids


@functools.cache
def judge(data, steps, device):
    """A classifier of gray images as rows (n, d), trained on the training set; and its accuracy on the test set."""
    images, labels = labeled(data, "train")
    net = train_reader(images.flatten(1), labels, (400,), steps, 0, device, learning_rate=1e-3)
    test, y = labeled(data, "test")
    return net, judging.accuracy(net, unit(test).flatten(1), y)


def transfers(nets, x, y, noise):
    """Every row's offset decoded as every class: images (n, classes, d)."""
    offset = cvae.offsets(nets, x, y, noise)
    return torch.stack([cvae.decode(nets, offset, torch.full_like(y, c)) for c in range(CLASSES)], 1)


def followed(net, images, y):
    """Share of transfers (n, classes, d) to another class than y that the judge takes for the class asked for."""
    asked = torch.arange(images.shape[1]).expand(images.shape[:2])  # (n, classes)
    other = asked != y[:, None]
    return judging.accuracy(net, images[other], asked[other])


def style_kept(images, y, originals):
    """Correlation of ink and slant between originals (n, h, w) and transfers, averaged over the classes asked for; (2,)."""
    side = originals.shape[-1]
    before, found = cvae.ink_and_slant(originals), []
    for c in range(CLASSES):
        rows = y != c
        after = cvae.ink_and_slant(images[rows, c].reshape(-1, side, side))
        found.append(cvae.correlation(before[rows], after))
    return torch.stack(found).mean(0)


OBEYED = "transfers of the class asked for"
SCORES = {  # of figure 4.5: a word for each in its verdict
    "samples of the class asked for": "samples",
    OBEYED: "transfers",
    "ink kept, correlation": "ink",
    "slant kept, correlation": "slant",
}


@dataclass(frozen=True)
class Grids:
    """The two models that are told the label, trained for long, and what judges their pictures."""

    data: str = "mnist"  # labeled pictures
    hidden: tuple = (400,)  # widths of the hidden layers
    latent: int = 20  # code dimensions
    batch: int = 128  # images a step
    epochs: int = 60  # of training
    learning_rates: tuple = (("class means", 8e-3), ("CVAE", 8e-3))  # of Adam, at its highest
    moments: int = 12  # at which pictures are judged, equally spaced
    judge_steps: int = 1500  # of the classifier that judges pictures
    rows: int = 8  # offsets kept; the picture shows five
    tuning: tuple = Comparison.tuning[6:]  # as in figure 4.3


def scored(nets, net, x, y, noise, device):
    """The four SCORES of one model: its samples, and the transfers of held-out x (n, 1, h, w) of classes y (n,)."""
    asked = torch.arange(len(noise)) % CLASSES
    drawn = cvae.decode(nets, noise.to(device), asked.to(device))
    moved = transfers(nets, x.to(device), y.to(device), noise.to(device)).cpu()  # (n, classes, d)
    kept = style_kept(moved, y, x.reshape(-1, *x.shape[2:])).tolist()
    return dict(zip(SCORES, (judging.accuracy(net, drawn, asked), followed(net, moved, y), *kept), strict=True))


def train_watched(name, config, rate, net, x, y, seed, device):
    """`train_model` with its SCORES at every moment: networks on the CPU, steps (moments,) and scores (moments, 4).

    net: the judge. x (n, 1, h, w): held-out images of classes y (n,).
    """
    noise = noise_of(seed, len(x), config.latent)
    watch = functools.partial(scored, net=net, x=x, y=y, noise=noise, device=device)
    nets, history = train_model(name, labeled(config.data, "train"), config.latent, config, rate, seed, device,
                                watch=watch, moments=config.moments)  # fmt: skip
    return nets, *curves_of(history, SCORES)


def run_grids(config, seed, device):
    """Samples of every class and transfers of held-out images, judged by a classifier and by ink and slant."""
    net, known = judge(config.data, config.judge_steps, device)
    images, y = (rows[:2000] for rows in labeled(config.data, "test"))
    x, shape = held_out_bits(images), images.shape[2:]
    numbers = {("judge", "accuracy on held-out images"): known}
    arrays = {"shown": x[: config.rows].reshape(-1, *shape)}
    some = noise_of(seed, len(x), config.latent)[: config.rows]
    for name, rate in config.learning_rates:
        nets, arrays["step"], curves = train_watched(name, config, rate, net, x, y, seed, device)
        arrays[f"{name}: curves"] = curves
        for what, curve in zip(SCORES, curves.T, strict=True):
            numbers |= {(name, what): curve[-1], (name, late(what)): change(curve)}
        sheet = cvae.decode(nets, some.repeat_interleave(CLASSES, 0), torch.arange(CLASSES).repeat(config.rows))
        arrays[f"{name}: sheet"] = sheet.reshape(-1, *shape)  # (rows * classes, h, w)
        moved = transfers(nets, x[: config.rows], y[: config.rows], some)
        arrays[f"{name}: moved"] = moved.reshape(-1, *shape)  # (rows * classes, h, w)
    return {"numbers": arms.named(numbers), "arrays": arrays, "nets": nets}  # those of the CVAE


def untrained(config, seed):
    """The CVAE of figure 4.5 as it starts; the stored one loads into it."""
    return cvae.cvae_networks(seed, 784 if config.data == "mnist" else 64, config.hidden, config.latent)


def verdict_grids(summary):
    """Of which model every run lies above every run of the other, by each of four scores, and which scores have settled."""
    said = []
    for what, short in SCORES.items():
        one, other = (summary[arms.name(name, what)] for name in LABELED)
        word = {1: "every run of class means higher", 0: "the runs overlap", -1: "every run of the CVAE higher"}
        ends = [verdicts.settling(*(summary[arms.name(name, key)] for key in (what, late(what)))) for name in LABELED]
        each = ", ".join(f"{name} {end}" for name, end in zip(LABELED, ends, strict=True))
        state = ends[0] if ends[0] == ends[1] else each
        said.append(f"{short}: {word[verdicts.ranges_apart(one, other)]} ({state})")
    return f"{'; '.join(said)}."


# 4.6 What a code tells of the label

READ = (("VAE", "code"), ("class means", "code"), ("class means", "offset"), ("CVAE", "code"))
READERS = {
    "linear reader": Look("linear reader", "green", marker="s"),
    "nonlinear reader": Look("nonlinear reader", "purple", marker="o"),
}
NATS, CHANCE = "nats of the label", "the most frequent class"


def readers(rows, y, test_rows, test_y, steps, seed, device):
    """Accuracy of a linear and a small nonlinear classifier of codes (n, k), and the nats of the label the better finds."""
    found = []
    for hidden in ((), (128,)):
        logits = train_reader(rows, y, hidden, steps, seed, device)(test_rows.to(device)).cpu()  # (n, classes)
        found.append((right(logits, test_y), cross_entropy(logits, test_y)))
    nats = cvae.label_entropy(test_y, CLASSES)[0] - min(loss for _, loss in found)
    return found[0][0], found[1][0], nats


def reader_sets(data):
    """Binarized pictures and labels of the training and of the test set, from which codes are read."""
    sets = (labeled(data, split) for split in ("train", "test"))
    return [(binarize(images, generator(0, "reader bits")), y) for images, y in sets]


def run_readers(config, seed, device):
    """What sampled codes and offsets tell of the label."""
    (_, y), (_, test_y) = sets = reader_sets(config.data)
    trained, numbers = models(config, seed, device), {}
    for name, what in READ:
        nets, _ = trained[name]
        rows = [cvae.offsets(nets, x, t, noise_of(seed, len(x), config.latent)) for x, t in sets]  # (n, k) each
        if what == "code":
            rows = [nets["prior"](t).detach() + offset for offset, (_, t) in zip(rows, sets, strict=True)]
        found = readers(rows[0], y, rows[1], test_y, config.reader_steps, seed, device)
        numbers |= {((name, what), score): value for score, value in zip((*READERS, NATS), found, strict=True)}
    return {"numbers": arms.named(numbers) | {CHANCE: test_y.bincount().max() / len(test_y)}, "arrays": {}}


def draw_readers(results, config):
    """Every seed's accuracy of both readers on the left, the nats that the better one finds on the right."""
    fig, axes = drawing.panels(1, 2, (8.4, 4.0), width_ratios=(1.3, 1))
    for seed, r in enumerate(results):
        for i, arm in enumerate(READ):
            for shift, (what, look) in zip((-0.12, 0.12), READERS.items(), strict=True):
                label = look.label if seed == i == 0 else None
                value = r["numbers"][arms.name(arm, what)]
                axes[0].plot(i + shift, value, **look.as_points(mfc="none", ms=7, label=label))
            axes[1].plot(i, r["numbers"][arms.name(arm, NATS)], "o", color=COLORS["purple"], mfc="none", ms=7)
    chance = float(results[0]["numbers"][CHANCE])
    axes[0].axhline(chance, color="0.4", ls=":", lw=1.2)
    axes[0].text(-0.4, chance + 0.02, "most frequent class", color="0.3")
    axes[1].axhline(math.log(10), color="0.4", ls=":", lw=1.2)
    axes[1].text(0, 2.33, "log 10", color="0.3")
    for ax in axes:
        ax.set_xticks(range(len(READ)), ["VAE,\ncode", "class\nmeans,\ncode", "class\nmeans,\noffset", "CVAE,\ncode"])
        ax.set_xlim(-0.5, len(READ) - 0.5)
    axes[0].set(title="label read from the code", ylabel="accuracy", ylim=(0, 1.05))
    axes[1].set(title="nats of the label found", ylim=(-0.1, 2.6))
    drawing.legend_below(fig, axes[0], columns=2)
    return fig


def verdict_readers(summary):
    """How much of the label the better reader gets from each kind of code."""
    chance = summary[CHANCE]
    if not verdicts.finished(chance):
        return "no run finished."
    words = []
    for arm in READ:
        both = {what: summary[arms.name(arm, what)] for what in READERS}
        s = both[verdicts.best(both, none="linear reader")]
        level = "nearly all of the label" if verdicts.always_above(s, 0.9) else "some"
        level = "most" if level == "some" and verdicts.always_above(s, 0.5) else level
        level = "next to nothing" if verdicts.always_below(s, chance["mean"] + 0.05) else level
        words.append(f"{', '.join(arm)}: {level} ({verdicts.percent(s, 1)})")
    return (
        f"of the label the better reader gets, where guessing gets {verdicts.percent(chance, 1)}: {'; '.join(words)}."
    )


# 4.4 A plane of codes


@dataclass(frozen=True)
class Plane:
    """Both models that are told the label, with two code dimensions."""

    data: str = "mnist"  # labeled pictures
    hidden: tuple = (256,)  # widths of the hidden layers
    latent: int = 2  # code dimensions: drawn as points
    batch: int = 100  # images a step
    epochs: int = 50  # of training
    learning_rates: tuple = (("class means", 4e-3), ("CVAE", 4e-3))  # of Adam, at its highest; chosen in figure 3.6
    moments: int = 10  # at which the held-out bound is taken, equally spaced
    side: int = 15  # pictures along each side of the sheet
    shown: int = 3000  # held-out images whose codes are kept
    digit: int = 9  # the class of the sheet
    tuning: tuple = (  # model, (rate, bound on 10,000 held-out training images after 10 epochs, one seed): they chose nothing
        ("class means", (2e-3, -156.37), (4e-3, -153.21), (8e-3, -151.06)),
        ("CVAE", (2e-3, -136.77), (4e-3, -133.99), (8e-3, -131.72)),
    )


def run_plane(config, seed, device):
    """Two code dimensions: where held-out codes lie, and one class at normal quantiles around its prior mean."""
    rows, (x, y, noise) = labeled(config.data, "train"), held_out_rows(config, seed)
    numbers, arrays = {}, {"labels": y[: config.shown]}
    quantiles = torch.special.ndtri(torch.linspace(0.05, 0.95, config.side, dtype=torch.float64)).float()
    grid = torch.cartesian_prod(quantiles.flip(0), quantiles).flip(1)  # (side^2, 2): from top to bottom, left to right
    watch = functools.partial(held_out_terms, x=x, y=y, noise=noise, device=device)
    for name, rate in config.learning_rates:
        nets, history = train_model(name, rows, config.latent, config, rate, seed, device, watch=watch,
                                    moments=config.moments)  # fmt: skip
        arrays["step"], curves = curves_of(history, HELD_OUT)  # (moments,), (moments, 3)
        arrays[f"{name}: {GIVEN}"] = curves[:, 0]
        numbers |= {(name, f"held-out {GIVEN}"): curves[-1, 0], (name, late(GIVEN)): change(curves[:, 0]),
                    (name, "KL term"): curves[-1, 2]}  # fmt: skip
        with torch.no_grad():
            arrays[f"{name}: codes"] = nets["encoder"](x[: config.shown], y[: config.shown])[0]  # (shown, 2)
            arrays[f"{name}: means"] = nets["prior"](torch.arange(CLASSES)).expand(CLASSES, 2)
        pages = cvae.decode(nets, grid, torch.full((len(grid),), config.digit))
        arrays[f"{name}: pages"] = pages.reshape(-1, *x.shape[2:])  # (side^2, h, w)
    return {"numbers": arms.named(numbers), "arrays": arrays}


# 4.7 When it goes wrong: the KL term made cheap

WEIGHTS = (0.01, 0.1, 1.0)  # of the KL term; 1 is the bound
LEAK = "label read from the offset"


@dataclass(frozen=True)
class Cheap:
    """Both models that are told the label, with the KL term at several weights."""

    data: str = "mnist"  # labeled pictures
    hidden: tuple = (400,)  # widths of the hidden layers
    latent: int = 20  # code dimensions
    batch: int = 128  # images a step
    epochs: int = 12  # of training
    learning_rate: float = 8e-3  # of Adam, at its highest
    moments: int = 12  # at which transfers are judged, equally spaced
    weights: tuple = WEIGHTS  # of the KL term
    judge_steps: int = 1500  # of the classifier that judges pictures
    reader_steps: int = 1000  # of the classifier that reads offsets


def weighted(name, weight):
    """The arm of a model with that weight of the KL term."""
    return name, f"weight {weight:g}"


def obeyed(nets, net, x, y, noise, device):
    """How often transfers of held-out x (n, 1, h, w) of classes y (n,) are judged to be of the class asked for."""
    return {OBEYED: followed(net, transfers(nets, x.to(device), y.to(device), noise.to(device)).cpu(), y)}


def run_cheap(config, seed, device):
    """The weight of the KL term lowered: does the offset still leave the label alone, and is the label still obeyed?"""
    rows, (_, y) = labeled(config.data, "train"), labeled(config.data, "test")
    (net, _), sets = judge(config.data, config.judge_steps, device), reader_sets(config.data)
    x, t = (part[:1000] for part in sets[1])
    watch = functools.partial(obeyed, net=net, x=x, y=t, noise=noise_of(seed, len(x), config.latent), device=device)
    numbers, found, curves = {}, [], []
    for name, weight in itertools.product(LABELED, config.weights):
        nets, history = train_model(name, rows, config.latent, config, config.learning_rate, seed, device, weight,
                                    watch, config.moments)  # fmt: skip
        step, curve = curves_of(history, [OBEYED])  # (moments,), (moments, 1)
        curve = curve[:, 0]
        seen, new = (cvae.offsets(nets, x, t, noise_of(seed, len(x), config.latent)) for x, t in sets)  # (n, k)
        _, read, _ = readers(seen, rows[1], new, y, config.reader_steps, seed, device)
        found.append(torch.tensor([read, float(curve[-1])]).double())
        curves.append(curve)
        if weight in (config.weights[0], 1.0):
            arm = weighted(name, weight)
            numbers |= {(arm, LEAK): read, (arm, OBEYED): curve[-1], (arm, late(OBEYED)): change(curve)}
    shape = len(LABELED), len(config.weights), -1
    arrays = {"found": torch.stack(found).reshape(shape), "step": step, "curves": torch.stack(curves).reshape(shape)}
    return {"numbers": arms.named(numbers), "arrays": arrays}


def verdict_cheap(summary):
    """Whether at the lowest weight the offset tells more of the label, and whether the asked class is obeyed less."""
    said = []
    for name in LABELED:
        low, full = (weighted(name, weight) for weight in (WEIGHTS[0], 1.0))
        leaks, obeys = (
            verdicts.ranges_apart(*(summary[arms.name(arm, what)] for arm in (low, full))) for what in (LEAK, OBEYED)
        )
        tells = {1: "more", 0: "not clearly more", -1: "less"}[leaks]
        obeyed = {1: "more", 0: "not clearly less", -1: "less"}[obeys]
        ends = [
            verdicts.settling(*(summary[arms.name(arm, key)] for key in (OBEYED, late(OBEYED)))) for arm in (low, full)
        ]
        said.append(
            f"{name}: at the lowest weight the offset tells {tells} of the label, and the asked class is obeyed {obeyed}"
            f"{', in every seed' if leaks and obeys else ''} (how often it is obeyed: {ends[0]} there, {ends[1]} at weight 1)"
        )
    return f"{'; '.join(said)}."


QUICK = Comparison(
    data="digits", hidden=(100,), latent=8, batch=100, epochs=50, judge_steps=300, reader_steps=300, draws=20, stride=1
)
QUICK_GRIDS = Grids(data="digits", hidden=(100,), latent=8, batch=100, epochs=50, judge_steps=300)
SEEDS = tuple(range(5))

RECIPES = conditional_vae_exact.RECIPES | conditional_vae_few.RECIPES | {
    "4.3": Recipe(
        title="Reconstruction against KL",
        caption="Three models with equal networks and steps, tuned learning rates, dynamically binarized MNIST, all seeds. Above, the two terms of "
        "the bound against each other. Along a gray line the bound is constant, and it is higher to the lower left. The hook in the paths is an "
        "overshoot of the first thirty steps. For the two models that are told the label the bound is one on log q(x|y). Bounds do not rank the "
        "models. Below, the bound on held-out images after the first quarter of the steps, a line per seed. The last quarter begins at the dotted "
        "line, and the learning rate falls to 0 at the end.",
        alt="Above left, paths that start at the upper left, swing out to the right and back, then run down and to the right. Above right, end "
        "points on held-out images, given the label for the two models that are told it: the VAE has the largest KL term, the CVAE the smallest. "
        "Below, curves that rise and become flatter: the CVAE's on top, those of the VAE lowest.",
        run=run_bounds, draw=draw_bounds, quick=QUICK, full=Comparison(), seeds=SEEDS, verdict=verdict_bounds, idle=("judge_steps", "reader_steps", "rows"),
    ),
    "4.4": Recipe(
        title="A plane of codes, with labels",
        caption="Two code dimensions on MNIST. Left: encoder means of held-out images, colored by class; crosses mark the learned class means, and "
        "circled digits stand on them or, where the digits would overlap, beside. Right: the decoder asked for a 9, at normal quantiles around the "
        "prior mean of that class (the dashed square). Below: the bound over training. The learning rate is that of figure 3.6, not tuned here: "
        "after ten of the fifty epochs twice that rate was ahead in both models by two nats. One seed.",
        alt="Above, clouds of 0, 1 and 7 apart from the rest, 4 and 9 in one place, 2, 3, 5, 6 and 8 close together; right, a sheet "
        "of nines with sevens, fours and eights at its edges. Below these, ten colors mixed in one cloud around the origin; right, "
        "a sheet of nines throughout. At the bottom two curves that rise and flatten, the CVAE's far above.",
        run=run_plane, draw=draw_plane, quick=Plane(data="digits", hidden=(100,), epochs=60), full=Plane(),
    ),
    "4.5": Recipe(
        title="Class grids",
        caption="Two models, each with 400 hidden units and 20 code dimensions, trained for 60 epochs on MNIST. Above, "
        "decoder means of the first seed. Left: each row is one random offset, each column a class. Right: the first "
        "column is a held-out image (binarized), and its row shows the offset of its code decoded as every class. Five of "
        "eight rows are shown. Below, four scores over training, a line per seed; the learning rate falls to 0 at the end.",
        alt="Two sheets of digits for each of the two models. Columns are the classes 0 to 9; within a row thickness and slant stay "
        "alike, in the transfers too. Below, curves of four scores, which flatten.",
        run=run_grids, draw=draw_grids, model=untrained, quick=QUICK_GRIDS, full=Grids(), seeds=SEEDS, verdict=verdict_grids,
    ),
    "4.6": Recipe(
        title="What a code tells of the label",
        caption="Left: two classifiers, the readers, read the label from sampled codes of held-out images, after training "
        "on codes of the training images; all seeds. An offset is a code less the mean of its class. Right: H(y) minus the "
        "better reader's cross-entropy, a lower bound on I(y;z) by (4.7), up to sampling.",
        alt="Both readers are high for the VAE and the class means. The linear reader is at guessing for the offset and somewhat above it for the "
        "CVAE; the nonlinear one gets about seven tenths of both, a little more of the offset. The nats show the same.",
        run=run_readers, draw=draw_readers, quick=QUICK, full=Comparison(), seeds=SEEDS, verdict=verdict_readers, idle=("judge_steps", "rows", "draws", "stride"),
    ),
    "4.7": Recipe(
        title="The KL term made cheap",
        caption="The KL term multiplied by a weight, twelve epochs on MNIST, a line per seed. Weight 1 is the bound. The "
        "learning rate is that chosen for weight 1 in figure 4.5. Above left: accuracy of a nonlinear reader of the label "
        "from the offset (dotted: guessing). Above right: how often an offset decoded as another class is judged to be of "
        "that class. Below: the latter over training, for the lowest weight and for 1.",
        alt="Above left, curves that fall as the weight rises to 1. Above right, curves that rise with it. Below, over training: "
        "at the lowest weight the CVAE's stay near 0 and those of the class means near 0.7; at weight 1 all end near 0.8.",
        run=run_cheap, draw=draw_cheap,
        quick=Cheap(data="digits", hidden=(100,), latent=8, batch=100, epochs=20, judge_steps=300, reader_steps=200),
        full=Cheap(), seeds=SEEDS, verdict=verdict_cheap,
    ),
}  # fmt: skip
