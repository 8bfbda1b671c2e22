"""Figure 6.10: one DCGAN on fewer and fewer pictures, and what its discriminator knows by heart."""

import copy
from dataclasses import dataclass

import torch

from gentools import dcgan, evaluation
from gentools.lab.optim import Average
from gentools.lab.randomness import generator
from gentools.neighbors import nearest
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import last_quarter, late_change
from gentools.recipes.shared.dcgans import Training, distance, noise, pictures, real_features, settled
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit
from gentools.recipes.shared.pictures import signed_bytes


@dataclass(frozen=True)
class Few:
    """The same networks, steps and rate for training sets of several sizes, drawn anew for each seed."""

    training: Training
    sizes: tuple = (100, 400, 1500)  # pictures in training; the smaller sets lie in the larger ones


SMALL = Training("digits", 8, latent=32, steps=8000, decay=0.99, judge_steps=600, evaluated=1500, moments=16)
COLORS, STROKES, MARKERS = ("black", "orange", "blue"), ("-", "--", "-."), ("o", "s", "^")
LATE = "change over the last quarter"
CURVES = {  # recorded name: title of the panel
    "distance": "distance to held-out digits",
    "told apart": "told apart by D",
    "nearest training picture": "nearest training digit",
}


def named(size):
    """The name of an arm."""
    return f"{size} pictures"


def told_apart(known, new):
    """Share of pairs, one logit of each, of which that of `known` (n,) is higher than that of `new` (m,); ties count half.

    The area under the ROC curve: 1/2 for a discriminator that treats both alike, 1 for one that knows the first by heart.
    """
    higher = known[:, None] - new  # (n, m)
    return ((higher > 0).double() + 0.5 * (higher == 0)).mean()


def farther(fake, new, known):
    """Median distance of pictures `fake` (n, c, h, w) to the nearest of `known`, over that of pictures `new`; 0 for copies."""
    to_fake, to_new = (nearest(x.flatten(1), known.flatten(1)).distance.median() for x in (fake, new))
    return to_fake / to_new


def train_on(config, known, seed, device):
    """Train a DCGAN on pictures `known`, uint8 (n, c, size, size). Returns {curve: (moments,)} and its last pictures."""
    t = config.training
    nets = dcgan.networks(seed, t.size, known.shape[1], t.latent, t.width).to(device)
    average, z = Average(nets, t.decay), noise(t, seed, t.evaluated, device=device)
    known_x, new_x = (dcgan.signed(x).to(device) for x in (known, pictures(t.data, "test", t.size)[0]))

    def watch(done):
        fake = dcgan.sample(settled(average, t, seed, device), z)
        critic = copy.deepcopy(nets["discriminator"]).eval()
        with torch.no_grad():
            told = told_apart(critic(known_x), critic(new_x))
        return {
            "distance": distance(t, fake, device), "told apart": told, "nearest training picture": farther(fake, new_x, known_x),
            "pictures": fake[:20],
        }  # fmt: skip

    history = fit(dcgan.step, nets, adams(nets, t.learning_rate, t.betas), known, t.latent, batch=t.batch, steps=t.steps,
                  seed=seed, device=device, prepare=dcgan.signed, ema=average, log_every=t.steps // t.moments,
                  watch=watch)  # fmt: skip
    curves = {what: torch.tensor([float(seen[what]) for seen in history.watched]) for what in CURVES}
    return curves, history.watched[-1]["pictures"]


def run_few(config, seed, device):
    """Distances over training for every number of pictures, and how well D tells those of its training from others."""
    t = config.training
    images, _ = pictures(t.data, "train", t.size)
    images = images[torch.randperm(len(images), generator=generator(seed, "few"))]
    test, seen = real_features(t, device)
    numbers, arrays = {("real training pictures", "distance"): evaluation.frechet(seen, test)}, {}
    for size in config.sizes:
        arm, known = named(size), images[:size]
        curves, made = train_on(config, known, seed, device)
        for what, curve in curves.items():
            numbers |= {(arm, what): last_quarter(curve), (arm, f"{what}, {LATE}"): late_change(curve)}
            arrays[arms.name(arm, what)] = curve
        numbers[arm, "least distance"] = curves["distance"].min()
        copies = known[torch.randint(size, (t.evaluated,), generator=generator(seed, "copies"))]
        numbers[f"copies of {arm}", "distance"] = distance(t, dcgan.signed(copies).to(device), device)
        arrays[arms.name(arm, "made")] = made
    most = named(max(config.sizes))
    for size in config.sizes:
        if named(size) != most:
            for what in ("distance", "least distance"):
                numbers[f"{named(size)} minus {most}", what] = numbers[named(size), what] - numbers[most, what]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_few(results, config):
    """Three curves over training, mean and range of the seeds, a line for each number of pictures; below, what was made."""
    sheets = [named(size) for size in config.sizes]
    fig, axes = drawing.mosaic([[*CURVES], sheets], (8.4, 4.6), height_ratios=(2.2, 1))
    looks = [Look(named(size), *how) for size, *how in zip(config.sizes, COLORS, STROKES, MARKERS, strict=False)]
    for what, title in CURVES.items():
        for arm, look in zip(sheets, looks, strict=True):
            drawing.course(axes[what], results, arms.name(arm, what), config.training.steps, look)
        axes[what].set(title=title, xlabel="thousand steps")
    for arm in sheets:
        made = signed_bytes(results[0]["arrays"][arms.name(arm, "made")][:14])
        drawing.sheet(axes[arm], made, f"made with {arm}", columns=7)
    axes["distance"].set_yscale("log")
    axes["distance"].set_yticks((20, 30, 40, 60), ("20", "30", "40", "60"))
    axes["distance"].minorticks_off()
    axes["told apart"].axhline(0.5, color="0.6", lw=1)
    axes["nearest training picture"].axhline(1, color="0.6", lw=1)
    drawing.legend_below(fig, axes["distance"])
    return fig


def verdict_few(summary):
    """Whether fewer pictures make the distance larger, where it ends and where it is least, and what D knows by heart."""
    sizes = Few.sizes
    most = named(max(sizes))
    parts = []
    for size in sizes[:-1]:
        found = (
            verdicts.sign(summary[f"{named(size)} minus {most}: {what}"]) for what in ("distance", "least distance")
        )
        end, least = ({1: "larger", 0: "not separated", -1: "smaller"}[one] for one in found)
        parts.append(f"{size} against {sizes[-1]:,} pictures: {end} over the last quarter, {least} at its least")
    ends = ", ".join(
        f"{size:,} {verdicts.settling(*(summary[arms.name(named(size), f'distance{end}')] for end in ('', f', {LATE}')))}"
        for size in sizes
    )
    told = ", ".join(
        f"{verdicts.mean(summary[arms.name(named(size), 'told apart')], '.2f')} with {size:,}" for size in sizes
    )
    return (
        f"Distance to held-out pictures, {'; '.join(parts)};\n  over the last quarter: {ends};\n  "
        f"a training picture has the higher logit of D than a held-out one in a share of {told}."
    )


RECIPES = {
    "6.10": Recipe(
        title="With fewer pictures",
        caption="A DCGAN on 100, 400 and all 1,500 training digits of 8x8 pixels, with the same networks, rate and "
        "steps; mean and range of the seeds. Left: distance of the GAN's pictures to held-out digits, in the features "
        "of a small classifier. Middle: share of pairs in which D gives the training digit a higher logit than the "
        "held-out one; 1/2 means that it treats both alike. Right: distance of generated digits to the nearest training "
        "digit, divided by that of held-out digits; 0 means copies. Below: the first 14 digits that each network of the "
        "first seed makes.",
        alt="Three panels of curves over training. Left: the distance falls and ends highest with 100 digits, lower with 400 and lowest with 1,500. Middle: "
        "the share rises to about 0.9 with 100 digits and 0.6 with 400, and stays near 0.5 with 1,500. Right: all three stay above 1. Below, three sheets of 14 generated digits.",
        run=run_few, draw=draw_few, verdict=verdict_few,
        quick=Few(Training("digits", 8, latent=32, width=16, steps=400, decay=0.99, judge_steps=600, evaluated=297, moments=4)),
        full=Few(SMALL), seeds=tuple(range(5)),
    ),
}  # fmt: skip
