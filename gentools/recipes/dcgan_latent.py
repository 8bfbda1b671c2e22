"""Experiments of chapter 06 in the latent space: walks between two z, and arithmetic with exemplars."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from gentools import dcgan, evaluation
from gentools.lab.randomness import generator
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.dcgans import (
    CPU,
    FULL,
    QUICK,
    Training,
    distance,
    judged,
    noise,
    real_features,
    trained_generator,
)
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.pictures import signed_bytes

SHARED = "The networks are those of figure 6.4."
FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


# 6.6 Walks


@dataclass(frozen=True)
class Walks:
    """Walks between pairs of z; the distance is that of the set of pictures halfway."""

    training: Training
    shown: int = 3  # pairs
    stations: int = 7  # pictures per walk


LINE, CIRCLE, FADE = WALKS = ("straight line in z", "great circle in z", "cross-fade of pixels")
PLACES = drawing.looks(  # recorded name: look
    {
        "at the ends": "ends",
        f"halfway, {LINE}": "line",
        f"halfway, {CIRCLE}": "circle",
        f"halfway, {FADE}": "cross-\nfade",
    },
    ("black", "orange", "blue", "vermillion"),
)


def walks(net, a, b, t):
    """Pictures at t of the three walks between z's a and b (n, latent): {name: images (n, c, h, w)}."""
    ends = [dcgan.sample(net, z) for z in (a, b)]
    made = [dcgan.sample(net, dcgan.linear_walk(a, b, t)), dcgan.sample(net, dcgan.great_circle(a, b, t))]
    return dict(zip(WALKS, [*made, dcgan.linear_walk(*ends, t)], strict=True))


def clear_pairs(config, net, a, b, device):
    """Order of the pairs a, b (n, latent): those first whose ends the judge takes for different classes, each with
    probability 0.9 or more; each kind in the order drawn. Shape (n,)."""
    (sure, one), (sure_too, other) = (judged(config, dcgan.sample(net, z), device)[1].max(1) for z in (a, b))
    clear = (sure >= 0.9) & (sure_too >= 0.9) & (one != other)
    return (~clear).int().argsort(stable=True)


def run_walks(config, seed, device):
    """Three walks between pairs of z: the distance of the halfway pictures from real ones, and pictures along the first.

    Shown are the first pairs whose ends the judge takes for different classes with probability 0.9 or more.
    """
    t = config.training
    net = trained_generator(t, seed, device)
    a, b = (noise(t, seed, t.evaluated, name, device) for name in ("from", "to"))
    numbers = {"at the ends": distance(t, dcgan.sample(net, a), device)}
    halfway = {name: distance(t, images, device) for name, images in walks(net, a, b, 0.5).items()}
    numbers |= {f"halfway, {name}": value for name, value in halfway.items()}
    numbers["line minus circle"] = halfway[LINE] - halfway[CIRCLE]
    numbers["cross-fade minus circle"] = halfway[FADE] - halfway[CIRCLE]
    arrays = {}
    for i, pair in enumerate(clear_pairs(t, net, a, b, device)[: config.shown].tolist()):
        ends = a[pair : pair + 1], b[pair : pair + 1]  # (1, latent) each
        along = [walks(net, *ends, s) for s in torch.linspace(0, 1, config.stations).tolist()]
        for name in WALKS:
            arrays[f"{i} {name}"] = signed_bytes(torch.cat([here[name] for here in along]))  # (stations, c, h, w)
    return {"numbers": numbers, "arrays": arrays}


def draw_walks(results, config):
    """The walks of seed 0, a row each (stations, c, h, w); beside them the distances of every seed."""
    left = range(config.shown)
    size = (8.4, 1.75 * config.shown)
    fig, axes = drawing.mosaic([[i, "right"] for i in left], size, width_ratios=(1.75, 1))
    arrays = results[0]["arrays"]
    for i in left:
        images = torch.cat([arrays[f"{i} {name}"] for name in WALKS])
        drawing.sheet(axes[i], images, columns=config.stations)
        for row, label in enumerate(("line", "circle", "cross-fade")):
            axes[i].text(-2, (row + 0.5) * (images.shape[-1] + 1), label, ha="right", va="center", fontsize=10)
    axes[0].set_title("between different classes, seed 0")
    drawing.seed_columns(axes["right"], results, {name: name for name in PLACES}, PLACES, spread=0.08, half_width=0)
    axes["right"].set(title="distance halfway, every seed", ylim=(0, None))
    return fig


def verdict_walks(summary):
    """How the straight line and the cross-fade compare with the great circle."""
    line, fade = against(summary["line minus circle"]), against(summary["cross-fade minus circle"])
    return (
        f"As sets, halfway pictures of the straight line {line} those of the great circle, and those of the cross-fade of "
        f"pixels {fade} those of the great circle."
    )


def against(s):
    """What a mean difference of distances says of two walks, if its interval allows."""
    words = ("are not resolved from", "lie farther from real pictures than", "lie closer to real pictures than")
    return words[verdicts.sign(s)]


# 6.7 and 6.8 Arithmetic


@dataclass(frozen=True)
class Analogies:
    """Bright A - dark A + dark B = bright B? `pairs` (A, B) are shown; all ordered pairs of classes are scored."""

    training: Training
    pairs: tuple = ((2, 1), (9, 3))
    candidates: int = 20_000  # z among which the exemplars are found
    confidence: float = 0.9  # probability from which on the judge counts as sure
    trials: int = 5  # per ordered pair of classes
    names: tuple = FASHION  # of the classes


class Scene(NamedTuple):
    """A generator, candidates z (n, latent) and their images (n, c, h, w), and the exemplars among them.

    probabilities: (n, 10), the judge's; found and begins: as `exemplars` returns them.
    """

    net: object
    z: torch.Tensor
    images: torch.Tensor
    probabilities: torch.Tensor
    found: dict
    begins: dict

    def terms(self, a, b, first):
        """Indices of three exemplars each of bright a, dark a and dark b, from number `first` on."""
        return [self.found[key][first : first + 3] for key in ((a, "bright"), (a, "dark"), (b, "dark"))]

    def codes(self, terms):
        """Their z, (3, latent) each."""
        return [self.z[rows.to(self.z.device)] for rows in terms]

    def in_pixels(self, terms):
        """The arithmetic on their images: (c, h, w)."""
        return dcgan.analogy(*(self.images[rows] for rows in terms)).clamp(-1, 1)


def gray(images):
    """Mean gray value of each picture in [-1, 1], 0 to 1: (n, c, h, w) -> (n,)."""
    return (images.flatten(1).mean(1) + 1) / 2


def exemplars(probabilities, shade, confidence):
    """Which candidates stand for "bright class k" and "dark class k", by rule, in the order in which they were drawn.

    The judge must be at least `confidence` sure of the class; bright is the upper quarter of the gray values among
    those, dark the lower. Returns {(class, "bright" or "dark"): indices} and {class: the quarter that bright begins at}.
    """
    sure, label = probabilities.max(1)  # (n,) each
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
    """The Scene of one seed."""
    t = config.training
    net = trained_generator(t, seed, device)
    z = noise(t, seed, config.candidates, "candidates", device)
    images = dcgan.sample(net, z).cpu()
    probabilities = judged(t, images, device)[1]
    return Scene(net, z, images, probabilities, *exemplars(probabilities, gray(images), config.confidence))


def run_picture(config, seed, device):
    """The arithmetic in full for the shown pairs, with the first exemplars that the rule finds."""
    s = scene(config, seed, device)
    if missing := {k for pair in config.pairs for k in pair} - s.begins.keys():
        raise ValueError(f"the judge is sure of too few samples of the classes {sorted(missing)}; train longer")
    arrays = {}
    for i, (a, b) in enumerate(config.pairs):
        terms = s.terms(a, b, 0)
        codes = s.codes(terms)
        y = dcgan.analogy(*codes)  # (latent,)
        wobble = torch.rand(8, len(y), generator=generator(seed, "wobble", i)).to(device) / 2 - 0.25
        arrays |= {
            f"{i} exemplars": signed_bytes(torch.stack([s.images[rows] for rows in terms])),  # (3, 3, c, h, w)
            f"{i} means": signed_bytes(dcgan.sample(s.net, torch.stack([z.mean(0) for z in codes]))),
            f"{i} latent": signed_bytes(dcgan.sample(s.net, torch.cat([y[None], y + wobble]))),  # (9, c, h, w)
            f"{i} pixels": signed_bytes(s.in_pixels(terms)[None]),
        }
    return {"numbers": {}, "arrays": arrays}


def draw_picture(results, config):
    """A row per pair: exemplars (3, 3, c, h, w) with their means, the nine results in z, the one in pixels."""
    a, rows = results[0]["arrays"], len(config.pairs)
    fig, axes = drawing.panels(rows, 3, (8.4, 2.6 * rows), width_ratios=(1.9, 1.2, 0.55), squeeze=False)
    for i, (row, (one, other)) in enumerate(zip(axes, config.pairs, strict=True)):
        terms = torch.cat([a[f"{i} exemplars"], a[f"{i} means"][:, None]], 1)  # (3, 4, c, h, w)
        drawing.sheet(row[0], terms.flatten(0, 1), columns=4)
        one, other = config.names[one], config.names[other]
        for term, label in enumerate((f"bright {one}", f"− dark {one}", f"+ dark {other}")):
            row[0].text(-2, (term + 0.5) * (terms.shape[-1] + 1), label, ha="right", va="center", fontsize=11)
        order = torch.tensor([1, 2, 3, 4, 0, 5, 6, 7, 8])  # the result in the center
        drawing.sheet(row[1], a[f"{i} latent"][order], columns=3)
        drawing.sheet(row[2], a[f"{i} pixels"], columns=1)
    for ax, title in zip(axes[0], ("three exemplars, mean z", "result in z", "in pixels"), strict=True):
        ax.set_title(title)
    return fig


IN_Z = {  # method: from the z (3, latent) of three exemplars of each term to one z (latent,)
    "three exemplars": lambda codes: dcgan.analogy(*codes),
    "one exemplar": lambda codes: dcgan.analogy(*(z[:1] for z in codes)),
    "one, shortened": lambda codes: dcgan.analogy(*(z[:1] for z in codes)) / 3**0.5,
}
THREE, PIXELS = "three exemplars", "three, in pixels"
METHODS = {
    THREE: Look("three", "blue", marker="o"),
    "one exemplar": Look("one", "orange", marker="s"),
    "one, shortened": Look("one,\nshortened", "green", marker="^"),
    PIXELS: Look("three,\nin pixels", "vermillion", marker="D"),
}


def scored_pairs(s, trials):
    """Classes with enough exemplars, and all (A, B, number of the first exemplar) that are scored.

    Raises ValueError if there are not two such classes.
    """
    whole = [k for k in s.begins if min(len(s.found[k, shade]) for shade in ("bright", "dark")) >= 3 * trials]
    if len(whole) < 2:
        raise ValueError(f"only the classes {whole} have enough exemplars; train longer or draw more candidates")
    return whole, [(a, b, 3 * i) for a in whole for b in whole if a != b for i in range(trials)]


def made_by_arithmetic(s, jobs):
    """Results of every method for all jobs, images (jobs, c, h, w) on the CPU: {method: images}."""
    terms = [s.terms(*job) for job in jobs]
    codes = [s.codes(three) for three in terms]
    made = {name: dcgan.sample(s.net, torch.stack([how(z) for z in codes])).cpu() for name, how in IN_Z.items()}
    return made | {PIXELS: torch.stack([s.in_pixels(three) for three in terms])}


def run_scores(config, seed, device):
    """Bright A - dark A + dark B for all ordered pairs of classes: is it a bright B, by the judge and the rule?"""
    s, t, numbers = scene(config, seed, device), config.training, {}
    whole, jobs = scored_pairs(s, config.trials)
    target = torch.tensor([b for _, b, _ in jobs])
    bright = torch.tensor([s.begins[b] for _, b, _ in jobs])
    for name, images in made_by_arithmetic(s, jobs).items():
        features, probabilities = judged(t, images, device)
        right = probabilities.argmax(1) == target
        numbers[name, "right class"] = right.double().mean()
        numbers[name, "right class and bright"] = (right & (gray(images) >= bright)).double().mean()
        if name in (THREE, PIXELS):
            numbers[name, "distance"] = evaluation.frechet(features, real_features(t, device)[0])
    label, shade = s.probabilities.argmax(1), gray(s.images)
    by_luck = [((label == b) & (shade >= s.begins[b])).double().mean() for b in whole]
    numbers["any z", "right class and bright"] = torch.stack(by_luck).mean()
    return {"numbers": arms.named(numbers) | {"classes with enough exemplars": len(whole)}, "arrays": {}}


def draw_scores(results, config):
    """Shares of every seed for each method: the right class, and the right class and bright."""
    fig, axes = drawing.panels(1, 2, (8.2, 3.7), sharey=True)
    for ax, what in zip(axes, ("right class", "right class and bright"), strict=True):
        names = {name: arms.name(name, what) for name in METHODS}
        drawing.seed_columns(ax, results, names, METHODS, spread=0.08, half_width=0)
        ax.set_title(what)
    axes[0].set_ylim(0, 1.15 * axes[0].get_ylim()[1])
    luck = drawing.over_seeds(results, "any z: right class and bright")
    luck = sum(luck) / len(luck)
    axes[1].axhline(luck, color="0.45", ls="--", lw=1.2)
    axes[1].annotate("any z", (3.45, luck), (0, 3), textcoords="offset points", ha="right", color="0.35")
    axes[0].set_ylabel("share of results, every seed")
    return fig


def verdict_scores(summary):
    """How three exemplars in z compare with every other method, and their pictures with those made in pixels."""
    found = arms.scores(summary, METHODS, "right class and bright")
    words = ("not separated from", "above", "below")  # for 0, 1 and -1
    said = [f'{words[verdicts.separated(found[THREE], s)]} "{name}"' for name, s in found.items() if name != THREE]
    distances = (summary[arms.name(name, "distance")] for name in (THREE, PIXELS))
    closer = "closer to" if verdicts.ranges_apart(*distances) == -1 else "not in every seed closer to"
    return (
        f"Right class and bright, three exemplars in z: {', '.join(said)}. "
        f"Their pictures are {closer} real ones than those made in pixels."
    )


RECIPES = {
    "6.6": Recipe(
        title="Walks in the latent space",
        caption="Left: pictures along three walks between the same two z, for the first pairs of which the judge is "
        "sure. Right: the distance between the set of 2,500 halfway pictures and held-out ones, and that of pictures at "
        f"the ends. {SHARED}",
        alt="Left: rows of garments that change step by step into others; in the cross-fade rows both garments show through "
        "each other. Right: points for the distance at the ends and halfway along the three walks.",
        run=run_walks, draw=draw_walks, quick=Walks(QUICK), cpu=Walks(CPU), full=Walks(FULL),
        seeds=tuple(range(5)), verdict=verdict_walks, record="cpu",
    ),
    "6.7": Recipe(
        title="Arithmetic with three exemplars",
        caption="Bright A minus dark A plus dark B. In each row: the first three exemplars that the rule finds, and "
        "the picture of their mean z. Middle: the result in z in the center, and around it eight with uniform noise up "
        f"to 0.25 added to this z. Right: the same arithmetic on pixels. {SHARED}",
        alt="Two examples. Rows of three exemplars and the picture of their mean, then a 3 x 3 sheet of nine nearly equal "
        "results in z, bright trousers and a bright dress with half a sleeve, then the result in pixels, where the outline of the first garment shines through.",
        run=run_picture, draw=draw_picture,
        quick=Analogies(QUICK, candidates=4000, trials=1, names=tuple("0123456789")), cpu=Analogies(CPU),
        full=Analogies(FULL), record="cpu", idle=("trials",),
    ),
    "6.8": Recipe(
        title="Arithmetic, scored",
        caption="All ordered pairs of classes, five results each. Left: share of results in which the judge sees the "
        "class of B (any z: one in ten). Right: share in which it does and the picture is also as bright as the "
        f"brightest quarter of B. {SHARED}",
        alt="Two panels of points for four ways to do the arithmetic: three exemplars, one, one shortened, three in pixels. In the right panel a "
        "dashed line shows what any z scores.",
        run=run_scores, draw=draw_scores,
        quick=Analogies(QUICK, candidates=4000, trials=1, names=tuple("0123456789")), cpu=Analogies(CPU),
        full=Analogies(FULL), seeds=tuple(range(5)), verdict=verdict_scores, record="cpu", idle=("pairs", "names"),
    ),
}  # fmt: skip
