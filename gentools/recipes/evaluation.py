"""Experiments of chapter 11 on pictures: one set of samplers, several feature networks (11.5).

evaluation_exact.py has the figures with formulas (11.1, 11.2, 11.6), evaluation_points.py those in the plane (11.3, 11.4).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn.functional import avg_pool2d

from gentools import evaluation, neighbors, similarity, vae
from gentools.lab.networks import classifier
from gentools.lab.plots import COLORS, image_grid
from gentools.lab.randomness import generator
from gentools.lab.stream import unit
from gentools.recipes import Recipe, evaluation_exact, evaluation_points
from gentools.recipes.evaluation_points import short, table
from gentools.recipes.shared import arms, drawing, judging, verdicts
from gentools.recipes.shared.pictures import enlarged, labeled

# 11.5 The ranking depends on the feature network


@dataclass(frozen=True)
class Networks:
    """Faulty samplers of handwritten digits, scored in the features of several small networks."""

    data: str = "mnist"  # what is sampled, and what two of the networks learn to classify
    other: str = "fashion_mnist"  # what the third network learns to classify
    size: int = 28  # side of the pictures, in pixels
    judge_steps: int = 700
    samples: int = 2000  # of every sampler, and held-out pictures
    compared: int = 200  # pictures whose pairs are compared by SSIM
    codes: int = 32  # of the linear VAE
    k: int = 5  # neighbors


class Pictures(NamedTuple):
    """Real pictures (n, 1, h, w) in [0, 1]: a training set, others to make faults of, with labels (n,), and held-out ones."""

    train: torch.Tensor
    fresh: torch.Tensor
    labels: torch.Tensor
    test: torch.Tensor


def real_pictures(config, seed):
    """Pictures of both splits, in an order of the seed."""
    (train, labels), (test, _) = (labeled(config.data, split) for split in ("train", "test"))
    order, other = (torch.randperm(len(x), generator=generator(seed, "order", len(x))) for x in (train, test))
    n = config.samples
    first, rest = order[:n], order[n:]
    return Pictures(unit(train[first]), unit(train[rest]), labels[rest], unit(test[other[:n]]))


def blurred(x):
    """Means over 5 x 5 pixels."""
    return avg_pool2d(x, 5, 1, 2)


def noisy(x, rng):
    """With noise of standard deviation 0.2 on every pixel, cut to [0, 1]."""
    return (x + 0.2 * torch.randn(x.shape, generator=rng)).clamp(0, 1)


def erased(x, rng):
    """With a black square, a third of the side wide, at a random place of every picture."""
    side, wide = x.shape[-1], x.shape[-1] // 3
    top, left = torch.randint(side - wide + 1, (2, len(x), 1), generator=rng)
    at = torch.arange(side)
    rows, columns = ((at >= first) & (at < first + wide) for first in (top, left))
    return x * ~(rows[:, None, :, None] & columns[:, None, None, :])


def linear_vae(x, codes, n, rng):
    """n means of pictures (n, 1, h, w) decoded from the prior by the best linear VAE of x."""
    rows = x.flatten(1)
    _, values, vectors = vae.spectrum(rows)
    decoder, _ = vae.ppca(values, vectors, codes)
    drawn = torch.randn(n, codes, generator=rng, dtype=torch.float64) @ decoder.T + rows.double().mean(0)
    return drawn.float().clamp(0, 1).reshape(n, *x.shape[1:])


SAMPLERS = {  # name: (pictures, config, rng) -> (samples, 1, h, w)
    "real pictures": lambda p, c, rng: p.fresh[: c.samples],
    "copies of 100": lambda p, c, rng: p.train[torch.randint(100, (c.samples,), generator=rng)],
    "one class": lambda p, c, rng: _repeated(p.fresh[p.labels == 3], c.samples),
    "8 of 10 classes": lambda p, c, rng: p.fresh[p.labels < 8][: c.samples],
    "blurred": lambda p, c, rng: blurred(p.fresh[: c.samples]),
    "noisy": lambda p, c, rng: noisy(p.fresh[: c.samples], rng),
    "half contrast": lambda p, c, rng: p.fresh[: c.samples] / 2,
    "erased squares": lambda p, c, rng: erased(p.fresh[: c.samples], rng),
    "turned over": lambda p, c, rng: p.fresh[: c.samples].flip(-1),
    "linear VAE": lambda p, c, rng: linear_vae(p.train, c.codes, c.samples, rng),
}


def _repeated(x, n):
    return x[torch.arange(n) % len(x)]


NETWORKS = {"MNIST": 1, "MNIST, other start": 1, "clothes": 1, "untrained": 1}
METRICS = {"KID": -1, "precision": 1, "recall": 1, "density": 1, "coverage": 1, "score": 1, "SSIM": -1, "near train": 0}


def feature_networks(config, seed, device):
    """{name: classifier}, trained but for the last, and the accuracy of the first on held-out pictures."""
    (images, labels), test = labeled(config.data, "train"), labeled(config.data, "test")
    found = {}
    for name, (pictures, marks) in {
        "MNIST": (images, labels),
        "MNIST, other start": (images, labels),
        "clothes": labeled(config.other, "train"),
    }.items():
        net = classifier(config.size, generator=generator(seed, "network", name))
        found[name] = judging.train_judge(net, pictures, marks, steps=config.judge_steps,
                                          seed=seed + 1000 * (name == "MNIST, other start"), device=device)  # fmt: skip
    found["untrained"] = classifier(config.size, generator=generator(seed, "network", "untrained")).to(device)
    return found, judging.accuracy(found["MNIST"], unit(test[0]), test[1])


def run_networks(config, seed, device):
    """Frechet distances of every sampler in the features of every network, and the other metrics in those of the first."""
    real, numbers, arrays, distances = real_pictures(config, seed), {}, {}, {}
    nets, right = feature_networks(config, seed, device)
    test = {name: judging.judged(net, real.test)[0] for name, net in nets.items()}
    store = judging.judged(nets["MNIST"], real.train)[0]
    for name, draw in SAMPLERS.items():
        x = draw(real, config, generator(seed, "sampler", name))
        arrays[f"{name} pictures"] = (255 * x[:6]).round().to(torch.uint8)
        for network, net in nets.items():
            features, classes = judging.judged(net, x)
            distances[network, name] = numbers[name, network] = evaluation.frechet(features, test[network])
            if network == "MNIST":
                numbers |= {
                    (name, what): v for what, v in scores(config, x, features, classes, test[network], store).items()
                }
    numbers = arms.named(numbers)
    others = list(SAMPLERS)[1:]
    for network in list(NETWORKS)[1:]:
        numbers[f"pairs ranked otherwise than by MNIST, share: {network}"] = swapped(
            distances, others, "MNIST", network
        )
    numbers["accuracy on held-out images"] = right
    return {"numbers": numbers, "arrays": arrays, "nets": nets["MNIST"].cpu()}


def scores(config, x, features, classes, test, store):
    """The metrics beside the Frechet distance, of pictures x (n, 1, h, w) and their features (n, d): {metric: float}."""
    near = neighbors.neighborhoods(test, features, config.k)
    shown = x[torch.randperm(len(x), generator=generator(0, "compared"))[: config.compared]]
    return {
        "KID": evaluation.kid(features, test),
        **near._asdict(),
        "score": evaluation.classifier_score(classes),
        "SSIM": similarity.sameness(enlarged(shown, -(-similarity.WINDOW // config.size))),
        "near train": neighbors.memorizing(features, store, test),
    }


def swapped(distances, names, one, other):
    """Share of pairs of samplers that two networks rank in opposite ways, from {(network, sampler): distance}."""
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    signs = [[distances[net, a] < distances[net, b] for a, b in pairs] for net in (one, other)]
    return sum(s != t for s, t in zip(*signs, strict=True)) / len(pairs)


def networks_model(config, seed):
    """The first feature network, untrained."""
    return classifier(config.size)


def draw_networks(results, config):
    """A table: pictures of each sampler, its distance and rank by each network, the other metrics."""
    rows, samplers = len(SAMPLERS), list(SAMPLERS)
    fig, (shown, ranked, ax) = drawing.panels(1, 3, (9.0, 5.4), width_ratios=(3.4, 4.6, len(METRICS)), layout="none")
    fig.subplots_adjust(left=0.13, right=0.955, top=0.78, bottom=0.02, wspace=0.02)
    strips = [results[0]["arrays"][f"{name} pictures"] for name in samplers]
    image_grid(shown, torch.cat(strips), columns=6, vmax=255)
    side = strips[0].shape[-1]
    height = shown.get_images()[0].get_array().shape[0] / rows if shown.get_images() else side
    shown.set_aspect("auto")
    shown.set_axis_on()
    shown.set(xticks=(), yticks=[height * (i + 0.5) for i in range(rows)])
    shown.set_yticklabels(samplers)
    table(ax, results, samplers, METRICS, "real pictures")
    means = {net: [_mean(results, name, net) for name in samplers] for net in NETWORKS}
    for column, values in enumerate(means.values()):
        order = sorted(range(1, rows), key=values.__getitem__)
        for row, value in enumerate(values):
            rank = order.index(row) + 1 if row else 0
            color = drawing.shade(rank / rows) if row else "white"
            ranked.fill_between([column - 0.5, column + 0.5], row - 0.5, row + 0.5, color=color, alpha=0.45, lw=0)
            text = f"{short(value / values[0])} ({rank})" if row else "1"
            ranked.text(column, row, text, ha="center", va="center", fontsize=8)
    ranked.set(xlim=(-0.5, len(NETWORKS) - 0.5), ylim=(rows - 0.5, -0.5), yticks=(), xticks=range(len(NETWORKS)))
    ranked.set_xticklabels(
        [f"Fréchet, {net.removeprefix('MNIST, ')}" for net in NETWORKS], rotation=40, ha="left", fontsize=9
    )
    ranked.xaxis.tick_top()
    for each in (shown, ranked):
        each.tick_params(length=0)
        each.grid(False)
    ranked.axvline(len(NETWORKS) - 0.5, color=COLORS["black"], lw=1)
    return fig


def _mean(results, name, what):
    values = drawing.over_seeds(results, arms.name(name, what))
    return sum(values) / len(values)


def verdict_networks(summary):
    """Do networks of other training data rank otherwise than a second network of the same data?"""
    shares = {net: summary[f"pairs ranked otherwise than by MNIST, share: {net}"] for net in list(NETWORKS)[1:]}
    same = shares["MNIST, other start"]
    more = [net for net in ("clothes", "untrained") if verdicts.ranges_apart(shares[net], same) == 1]
    said = ", ".join(f"{net} {verdicts.span(s, '.2f')}" for net, s in shares.items())
    return (
        f"Share of the pairs of faulty samplers that a network ranks otherwise than the first one does: {said}. More than "
        f"between two starts in every seed: {verdicts.listed(more, 'neither')}."
    )


RECIPES = {
    **{id: recipe for id, recipe in evaluation_exact.RECIPES.items() if id < "11.3"},
    **evaluation_points.RECIPES,
    "11.5": Recipe(
        title="The ranking depends on the feature network",
        caption="Ten samplers of MNIST, 2,000 pictures each against 2,000 held-out ones, means over five seeds. "
        "Middle: the Fréchet distance in the features of four small networks, as a multiple of that of other real "
        "pictures; in parentheses and by color, its rank among the nine faulty samplers. Right: other metrics, in the "
        "first network's features (SSIM: of the pixels); orange: in every seed worse than real pictures in any seed, "
        "blue: better.",
        alt="A table of ten rows with six pictures each: real digits, copies, one class, eight classes, blurred, noisy, "
        "pale, with black squares, mirrored, from a linear VAE. The ranks in the four columns of networks differ.",
        run=run_networks, draw=draw_networks, verdict=verdict_networks, seeds=tuple(range(5)), record="cpu",
        model=networks_model, cpu=Networks(), full=Networks(judge_steps=5000, samples=10_000),
        quick=Networks("digits", "digits", 8, judge_steps=60, samples=200, compared=20, codes=8),
    ),
    "11.6": evaluation_exact.RECIPES["11.6"],
}  # fmt: skip
