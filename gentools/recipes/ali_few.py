"""Figure 9.11: whether what BiGAN's encoder makes of a digit helps a classifier that has few labels."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn.functional import one_hot

from gentools.recipes import Recipe, ali_digits
from gentools.recipes.ali_digits import Digits, Pictures
from gentools.recipes.conditional_gan import load
from gentools.recipes.conditional_vae_few import first
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.drawing import Look

CLASSES = 10
WEIGHTS = tuple(10.0 ** (i / 2) for i in range(-8, 9))  # of the ridge, from 1e-4 to 1e4


@dataclass(frozen=True)
class Few:
    """A linear classifier of few labeled digits, on their pixels and on what encoders make of them."""

    digits: Digits  # of figure 9.8: the networks
    per_class: tuple = (10, 30, 100)  # labeled images of every class
    draws: int = 10  # of the labeled images; shares are means over them


PIXELS, CODES, HIDDEN = "pixels", "codes", "hidden layer"
LOOKS = {
    "pixels": Look("pixels", "purple", ":", "s"),
    "BiGAN, codes": Look("BiGAN, codes", "sky", "-", "v"),
    "BiGAN, hidden layer": Look("BiGAN, hidden layer", "blue", "-", "^"),
    "autoencoder, codes": Look("autoencoder, codes", "vermillion", "--", "d"),
    "autoencoder, hidden layer": Look("autoencoder, hidden layer", "orange", "--", "D"),
    "untrained, codes": Look("untrained, codes", "green", "-.", "<"),
    "untrained, hidden layer": Look("untrained, hidden layer", "black", "-.", "o"),
}
SHARE = "right on held-out images"
ASKED = {  # what is compared with what, of the same labeled images
    "BiGAN, codes": ("pixels",),
    "BiGAN, hidden layer": ("pixels", "untrained, hidden layer", "autoencoder, hidden layer"),
}


class Ridge(NamedTuple):
    """A linear classifier: scores x @ slopes + level (n, classes), the largest of which names the class."""

    slopes: torch.Tensor  # (d, classes)
    level: torch.Tensor  # (classes,)

    def classes(self, x):
        """Classes (n,) of rows x (n, d)."""
        return (x.double() @ self.slopes + self.level).argmax(1)


def left_out(spectrum, axes, targets, weight):
    """Mean squared error of every target by the fit without its own row, in closed form; 0-d.

    spectrum (n,) and axes (n, n) are those of the Gram matrix of the centered rows; targets (n, k) are centered. Row i of
    the fit's error, divided by 1 - 1/n - its weight in its own fit, is what the fit without it would err by.
    """
    share = spectrum / (spectrum + weight)  # (n,)
    error = targets - axes @ (share[:, None] * (axes.T @ targets))
    own = 1 / len(targets) + (axes.square() * share).sum(1)  # (n,)
    return (error / (1 - own)[:, None]).square().mean()


def ridge(x, labels):
    """Least squares on one-hot classes with the weight, of `WEIGHTS` times the mean square of the rows, that errs least
    on rows left out. x: (n, d); labels (n,). Returns a `Ridge`."""
    x, targets = x.double(), one_hot(labels, CLASSES).double()
    middle, level = x.mean(0), targets.mean(0)
    rows, targets = x - middle, targets - level
    spectrum, axes = torch.linalg.eigh(rows @ rows.T)
    spectrum = spectrum.clamp(min=0)
    weights = [weight * float(spectrum.mean()) for weight in WEIGHTS]
    weight = min(weights, key=lambda each: float(left_out(spectrum, axes, targets, each)))
    slopes = rows.T @ (axes @ ((axes.T @ targets) / (spectrum + weight)[:, None]))
    return Ridge(slopes, level - middle @ slopes)


def seen_by(nets, pictures):
    """{part: (rows in training, rows in testing)} of an encoder's codes and of its last hidden layer."""
    encoder = nets["players"]["encoder"].net
    parts = {CODES: encoder, HIDDEN: encoder[:-1]}
    return {
        part: tuple(ali_digits.passed(net, x) for x in (pictures.x, pictures.x_test)) for part, net in parts.items()
    }


def features(config, pictures, seed, device):
    """{arm: (rows in training, rows in testing)}: pixels, and what the encoders of figure 9.8 make of them."""
    d = config.digits
    nets = {
        "BiGAN": ali_digits.trained(d, pictures, "BiGAN", d.learning_rate, d.steps, seed, device, d.looks)[0],
        "autoencoder": ali_digits.trained(
            d, pictures, "autoencoder", d.autoencoder_rate, d.autoencoder_steps, seed, device, d.looks
        )[0],
        "untrained": ali_digits.untrained(d, seed),
    }
    found = {f"{name}, {part}": rows for name, net in nets.items() for part, rows in seen_by(net, pictures).items()}
    return {PIXELS: (ali_digits.flat(pictures.x), ali_digits.flat(pictures.x_test)), **found}


def few(arm, per_class):
    """The name of an arm with so many labeled images of a class."""
    return f"{arm}, {per_class} a class"


def lead(arm, other, per_class):
    """The recorded name of what one arm gets right beyond another, with the same labeled images."""
    return f"{arm} minus {other}, {per_class} a class"


def run_few(config, seed, device):
    """The share of held-out images that a linear classifier gets right, for every number of labels and kind of row."""
    pictures, numbers = Pictures(*load(config.digits.data, "train"), *load(config.digits.data, "test")), {}
    rows = features(config, pictures, seed, device)
    places = torch.arange(len(pictures.c))
    for n in config.per_class:
        drawn = [first(places, pictures.c, n, config.draws * seed + i) for i in range(config.draws)]
        for arm, (x, x_test) in rows.items():
            fits = [ridge(x[at], labels) for at, labels in drawn]
            right = torch.stack([ali_digits.right(fit.classes(x_test), pictures.c_test) for fit in fits])
            numbers[few(arm, n), SHARE] = right.mean()
    numbers = arms.named(numbers)
    for n in config.per_class:
        for arm, others in ASKED.items():
            for other in others:
                one, two = (numbers[arms.name(few(each, n), SHARE)] for each in (arm, other))
                numbers[lead(arm, other, n)] = one - two
    return {"numbers": numbers, "arrays": {}}


def draw_few(results, config):
    """Shares right of every seed against the labeled images of a class, a line through the means of every arm."""
    fig, ax = drawing.panels(size=(8.0, 4.4))
    names = {arm: {n: arms.name(few(arm, n), SHARE) for n in config.per_class} for arm in LOOKS}
    drawing.rate_columns(ax, results, names, LOOKS, beside=1.025)
    ax.set(xlabel="labeled images of each class", ylabel=SHARE)
    ax.legend(loc="lower right", fontsize=9)
    return fig


def verdict_few(summary):
    """What BiGAN's codes and its hidden layer change for the classifier, for every number of labels."""
    lines = []
    for arm, others in ASKED.items():
        for other in others:
            found = verdicts.by_labels(summary, {n: lead(arm, other, n) for n in Few.per_class})
            lines.append(f"{arm}, against {other}: {found}")
    return ";\n  ".join(lines) + "."


RECIPES = {
    "9.11": Recipe(
        title="Codes for a classifier with few labels",
        caption="A linear classifier, fitted by least squares to few labeled MNIST digits: to their pixels, and to the codes and the "
        "last hidden layer of three encoders: BiGAN's, a plain autoencoder's and one with random weights. Each was trained without "
        "any label on all training images. Every point is the mean of ten draws of the labeled images with one seed's networks; "
        "lines go through the means of the seeds. The ridge of each fit is the one that errs least on labeled images left out. The networks are those of "
        "figure 9.8.",
        alt="Seven rising lines with points: the share of right answers against the labeled images of each class. On top the "
        "autoencoder's hidden layer, below it together its codes, pixels and BiGAN's hidden layer, which begins below the other two "
        "and ends above pixels; then the untrained hidden layer, and far below BiGAN's codes and untrained codes.",
        run=run_few, draw=draw_few, verdict=verdict_few,
        quick=Few(Digits("digits", 20, 64, steps=600, autoencoder_steps=300), (5, 20), 2), cpu=Few(Digits()), record="cpu",
        full=Few(Digits("mnist", 50, 1024, steps=187_600, autoencoder_steps=187_600, learning_rate=2e-4, autoencoder_rate=2e-4)),
        seeds=tuple(range(5)),
    ),
}  # fmt: skip
