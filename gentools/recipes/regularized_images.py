"""Experiments of chapter 10 on pictures: six ways to train on Fashion-MNIST, and the two experiments of Su (2018)."""

import copy
import functools
import math
from dataclasses import dataclass, replace

import torch
from torch import nn

from gentools import dcgan, evaluation, gan, regularized_gan
from gentools.lab.optim import adam
from gentools.lab.plots import LINES
from gentools.lab.stream import Stream
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared import dcgans as pictures
from gentools.recipes.shared.curves import late_change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import Laps, adams, fit_kept
from gentools.recipes.shared.pictures import PUBLIC, signed_bytes


@dataclass(frozen=True)
class Training(pictures.Training):
    """One DCGAN as in chapter 6, counted in generator steps, and the critic that scores it."""

    width: int = 16  # maps of the largest layer
    steps: int = 4000  # of the generator
    moments: int = 8  # at which the run is looked at
    sure: float = 0.9  # probability from which on the judge counts as sure
    share: float = 0.02  # a class is covered if it has this share of the pictures
    critic_steps: int = 100  # of a fresh critic, at every moment


QUICK = Training("digits", 8, latent=32, steps=80, moments=2, judge_steps=300, evaluated=297, critic_steps=20)
FULL = Training(width=64, latent=100, batch=128, steps=20_000, learning_rate=2e-4, moments=20)
# Su's networks and rates; his 25 epochs are 79,125 batches with two generator steps each.
PHOTOS = Training("faces64.zip", 64, width=64, latent=100, steps=2 * 20_000, learning_rate=2e-4, moments=20)
LABELED = ("digits", *PUBLIC)


@dataclass(frozen=True)
class Arm:
    """One way to train: its step, and how many generator steps and batches one call of it takes."""

    step: object
    inner: int = 1  # generator steps in one call
    batches: int = 1  # of pictures, in one call
    z_axis: tuple = ()  # of the noise, before its own
    normed: bool = True  # whether the networks have BatchNorm


def _tied(weight):
    return Arm(functools.partial(regularized_gan.recorded_step, penalty_weight=weight), 2, z_axis=(2,))


def _phased(step, weight):
    return Arm(functools.partial(step, penalty_weight=weight), 10, batches=5, z_axis=(2,), normed=False)


SIX = {
    "1:1": Arm(dcgan.step),
    "1:2": _tied(0.0),
    "1:2, penalty 5": _tied(5.0),
    "1:2, penalty 500": _tied(500.0),
    "1:1, EMA anchor": Arm(regularized_gan.anchored_step),
    "1:1, R1": Arm(functools.partial(gan.penalized_step, penalty_weight=10.0)),
}
# The plain GAN and R1 again, where each logit is that of its own row, and R1 is the penalty that its authors mean.
BARE = {
    "no BatchNorm": Arm(dcgan.step, normed=False),
    "no BatchNorm, R1": Arm(functools.partial(gan.penalized_step, penalty_weight=10.0), normed=False),
}
EIGHT = SIX | BARE
FIRST = {name: SIX[name] for name in ("1:2", "1:2, penalty 5")}
SECOND = {
    "without, fresh z": _phased(regularized_gan.fresh_phase, 0.0),
    "without, recorded z": _phased(regularized_gan.recorded_phase, 0.0),
    "with, recorded z": _phased(regularized_gan.recorded_phase, 5.0),
}
# (one, other): compared seed by seed
PAIRS = [(name, "1:2") for name in ("1:2, penalty 5", "1:2, penalty 500")]
PAIRS += [(name, "1:1") for name in SIX if name != "1:1"]
EIGHT_PAIRS = [*PAIRS, ("no BatchNorm, R1", "no BatchNorm")]
FIRST_PAIRS = [("1:2, penalty 5", "1:2")]
SECOND_PAIRS = [("with, recorded z", other) for other in ("without, fresh z", "without, recorded z")]


# Training and scores


def networks(config, channels, seed, normed):
    """Chapter 6's networks with an anchor; without BatchNorm each of them becomes the identity, as in Su's code."""
    nets = dcgan.networks(seed, config.size, channels, config.latent, config.width)
    if not normed:
        for net in nets.values():
            for parent in list(net.modules()):
                for name, layer in list(parent.named_children()):
                    if isinstance(layer, nn.BatchNorm2d):
                        setattr(parent, name, nn.Identity())
    nets["anchor"] = copy.deepcopy(nets["generator"]).requires_grad_(False)
    return nets


@functools.cache
def real_pictures(config):
    """Pictures for a critic to learn from, and others to score it on: of your own pictures, the last fifth."""
    seen, labels = pictures.pictures(config.data, "train", config.size)
    if labels is None:
        return seen[: -(len(seen) // 5)], seen[-(len(seen) // 5) :]
    return seen, pictures.pictures(config.data, "test", config.size)[0]


def critic_bound(config, fakes, seed, device):
    """Lower bound of JS(data, model) in nats, up to log 2, by a critic trained afresh and scored on held-out pictures."""
    seen, held = real_pictures(config)
    critic = dcgan.discriminator(1000 + seed, config.size, seen.shape[1], config.width).to(device)
    stream = Stream(seen, config.batch, config.latent, prepare=dcgan.signed, device=device)
    steps = range(config.critic_steps)
    batches = ((stream.batch(1000 + seed, t), fakes(stream.noise(1000 + seed, t))) for t in steps)
    real = dcgan.signed(held[: config.evaluated]).to(device)
    fake = fakes(pictures.noise(config, seed, len(real), "critic", device))
    return evaluation.critic_bound(critic, adam(critic.parameters(), 1e-3), batches, real, fake)


def spread(images):
    """Variance over pictures, summed over pixels: near zero if all look alike. images: (n, ...) in [-1, 1]."""
    return float(images.flatten(1).var(0).sum())


def scores(config, net, seed, device):
    """Spread relative to real pictures and the critic's bound; with labels distance, classes and share of sure verdicts."""
    found = {"critic": critic_bound(config, lambda z: dcgan.sample(net, z), seed, device)}
    images = dcgan.sample(net, pictures.noise(config, seed, config.evaluated, device=device))
    found["spread"] = spread(images) / spread(dcgan.signed(real_pictures(config)[1][: config.evaluated]))
    if config.data not in LABELED:
        return found
    features, probabilities = pictures.judged(config, images, device)
    best, label = probabilities.max(1)
    share = torch.bincount(label, minlength=probabilities.shape[1]) / len(label)
    found["distance"] = evaluation.frechet(features, pictures.real_features(config, device)[0])
    return found | {"classes": int((share >= config.share).sum()), "sure": float((best >= config.sure).float().mean())}


def train_arm(config, arm, seed, device):
    """Train one arm. Returns what was seen at each moment: scores, seconds of training since the last one, pictures.

    A run that was stopped resumes at a moment, so that the seconds stay true.
    """
    images, _ = pictures.pictures(config.data, "train", config.size)
    nets = networks(config, images.shape[1], seed, arm.normed).to(device, memory_format=torch.channels_last)
    opts = adams(nets, dict.fromkeys(("generator", "discriminator"), config.learning_rate), config.betas)
    shown, laps = pictures.noise(config, seed, 40, "shown", device), Laps()

    def watch(done):
        with laps.stopped() as seconds:
            seen = {"seconds": seconds, "pictures": signed_bytes(dcgan.sample(nets["generator"], shown))}
            return seen | scores(config, nets["generator"], seed, device)

    rounds, every = config.steps // arm.inner, config.steps // arm.inner // config.moments
    return fit_kept(arm.step, nets, opts, images, (*arm.z_axis, config.latent), batch=config.batch * arm.batches,
                    steps=rounds, seed=seed, device=device, prepare=dcgan.signed, save_every=every, log_every=every,
                    watch=watch, config={"watched with": repr(config)}).watched  # fmt: skip


def tracks(watched, arm):
    """Generator steps, seconds and each score over the moments of one run: {name: tensor}."""
    found = {"steps": torch.tensor([w["step"] * arm.inner for w in watched])}
    found["seconds"] = torch.tensor([w["seconds"] for w in watched]).cumsum(0)
    names = [k for k in ("distance", "classes", "sure", "critic", "spread") if k in watched[0]]
    return found | {k: torch.tensor([float(w[k]) for w in watched]) for k in names}


def reading(track, name, seconds):
    """A score when `seconds` of training had passed, on the straight line between the moments around it."""
    import numpy as np

    return float(np.interp(seconds, track["seconds"], track[name]))


WHEN = ("", ", a quarter of the steps", ", equal seconds")
COMPARED = [score + when for score in ("distance", "critic") for when in WHEN]
FIRST_SPREAD = "spread, first moment"  # chosen after the runs on faces had been seen


def train_all(config, arms_of, seed, device):
    """What `train_arm` returns for every arm, by name."""
    return {name: train_arm(config, arm, seed, device) for name, arm in arms_of.items()}


def gap(one, other):
    """The name of the difference between two arms, as an arm."""
    return f"{one} minus {other}"


def compared(watched, arms_of, pairs):
    """Numbers and arrays of several arms of one seed: scores at the end, early, and at equal seconds.

    watched: of `train_all`. pairs: [(one, other)]; their differences are numbers too, since the arms of a seed share
    their start.
    """
    found = {name: tracks(watched[name], arm) for name, arm in arms_of.items()}
    least = min(float(track["seconds"][-1]) for track in found.values())
    numbers, arrays = {}, {}
    for name, track in found.items():
        arrays |= {arms.name(name, what): values for what, values in track.items()}
        numbers |= {(name, what): value for what, value in ends(track, least).items()}
    for one, other in pairs:
        for what in (*COMPARED, FIRST_SPREAD):
            if (one, what) in numbers:
                numbers[gap(one, other), what] = numbers[one, what] - numbers[other, what]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def ends(track, seconds):
    """What one run comes to: scores at the end, early, and after so many seconds; whether it collapsed."""
    numbers, every = {}, int(track["steps"][1] - track["steps"][0])
    for score in ("distance", "critic"):
        if score in track:
            early = track[score][max(0, len(track[score]) // 4 - 1)]
            readings = (track[score][-1], early, reading(track, score, seconds))
            numbers |= {f"{score}{when}": value for when, value in zip(WHEN, readings, strict=True)}
    numbers |= {what: track[what][-1] for what in ("seconds", "spread", "classes", "sure") if what in track}
    numbers[FIRST_SPREAD] = track["spread"][0]
    covered = track.get("classes", track["spread"])  # of pictures without labels, the spread stands for the modes
    quality = track.get("sure", torch.ones_like(covered))
    return numbers | {"collapsed": regularized_gan.collapsed(covered.tolist(), quality.tolist(), every)}


# What is said and drawn of several arms


def verdict_pairs(pairs, summary):
    """In which scores one arm of each pair is better or worse; all other differences may be chance."""
    sentences = []
    for one, other in pairs:
        gaps = {what: summary[name] for what in COMPARED if (name := arms.name(gap(one, other), what)) in summary}
        better, worse = ([what for what, s in gaps.items() if verdicts.sign(s) == way] for way in (-1, 1))
        said = [
            f"{word} in {verdicts.listed(map(at, found)) if len(found) < len(gaps) else f'all {len(gaps)} scores'}"
            for word, found in (("better", better), ("worse", worse))
            if found
        ]
        if rest := len(gaps) - len(better) - len(worse):
            said.append(f"not separated in {rest} of {len(gaps)} scores")
        sentences.append(f'"{one}" against "{other}": {"; ".join(said)}.')
    return " ".join(sentences)


def at(what):
    """The name of a score, as it is said among others."""
    return what.replace(", a quarter", " after a quarter").replace(", equal", " at equal")


def collapses(names, summary):
    """How many runs of each arm collapsed, as text."""
    return "; ".join(f"{name} {verdicts.count(s)}" for name, s in arms.scores(summary, names, "collapsed").items())


def looks_of(names):
    """{arm: Look}, in the order of the arms, whose names are their labels. The plain GAN is black twice."""
    return drawing.looks([*names], ("black", "orange", "blue", "vermillion", "green", "purple", "black", "sky"))


def draw_means(ax, results, names, across, up):
    """A score of several arms over training, as the mean over the seeds."""
    for name, look in looks_of(names).items():
        x, y = (torch.stack([r["arrays"][arms.name(name, k)].double() for r in results]).mean(0) for k in (across, up))
        ax.plot(x, y, **look.as_both(lw=1.6, ms=4))
    ax.set_xlabel("generator steps" if across == "steps" else "seconds of training")


def draw_seeds(ax, results, names, across, up):
    """The same for every seed, as thin lines."""
    for name, look in looks_of(names).items():
        for r in results:
            x, y = (r["arrays"][arms.name(name, k)] for k in (across, up))
            ax.plot(x, y, **look.as_line(lw=0.6, alpha=0.35, ls="-", label=None))


# 10.7 Eight ways to train


@dataclass(frozen=True)
class Compared:
    """Several arms, all trained alike."""

    training: Training


@dataclass(frozen=True)
class Ways:
    """Several arms, all trained alike, and the trials that chose their rate.

    tuning: (arm, (rate, distance), ...): mean over the last quarter of as many steps, on seed 100.
    """

    training: Training
    tuning: tuple = (
        ("1:1", (2.5e-4, 49.0), (5e-4, 37.1), (1e-3, 30.6), (2e-3, 34.6)),
        ("no BatchNorm", (5e-4, 73.1), (1e-3, 49.0), (2e-3, 49.2)),
        ("no BatchNorm, R1", (5e-4, 46.6), (1e-3, 40.9), (2e-3, 37.8)),
    )


def run_eight(config, seed, device):
    """Eight arms from one start: plain, two steps on the same z with penalty 0, 5 and 500, an EMA anchor, R1; bare ones."""
    result = compared(train_all(config.training, EIGHT, seed, device), EIGHT, EIGHT_PAIRS)
    for name in EIGHT:
        result["numbers"][arms.name(name, LATE)] = late_change(result["arrays"][arms.name(name, "distance")])
    test, seen = pictures.real_features(config.training, device)
    result["numbers"]["real training pictures: distance"] = evaluation.frechet(seen, test)
    result["numbers"]["judge: right on held-out pictures"] = pictures.judge(config.training, device)[1]
    return result


LATE = "distance, change over the last quarter"


def draw_eight(results, config):
    """Curves (moments,) of distance, critic and classes as means over the seeds, and both scores of every seed at the end."""
    fig, axes = drawing.panels(2, 3, (9.0, 6.4))
    curves = (("steps", "distance"), ("seconds", "distance"), ("steps", "critic"), ("steps", "classes"))
    for ax, (across, up) in zip((*axes[0], axes[1, 2]), curves, strict=True):
        draw_means(ax, results, EIGHT, across, up)
    for ax in (*axes[0, :2], axes[1, 0]):
        ax.set(yscale="log", title="distance to held-out pictures")
        ax.set_yticks((20, 30, 50, 100, 200, 500), ("20", "30", "50", "100", "200", "500"))
        ax.minorticks_off()
    for ax, what in zip(axes[1], ("distance", "critic"), strict=False):
        _at_the_end(ax, results, what)
    floor = float(results[0]["numbers"]["real training pictures: distance"])
    axes[1, 0].set(title="distance at the end")
    axes[1, 0].annotate(f"real pictures: {floor:.1f}", (0.98, 0.92), ha="right", xycoords="axes fraction", color="0.35")
    axes[0, 2].set(title="critic: JS in nats, at least", ylim=(0, math.log(2)))
    axes[1, 1].set(title="critic at the end")  # on held-out pictures a score can lie below 0
    axes[1, 1].set_ylim(min(-0.04, 1.05 * axes[1, 1].get_ylim()[0]), math.log(2))
    axes[1, 2].set(title="classes covered, of 10", ylim=(0, 10.5))
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return fig


def _at_the_end(ax, results, what):
    """A score of the eight arms side by side: every seed, and a bar at the mean."""
    for i, (name, look) in enumerate(looks_of(EIGHT).items()):
        values = drawing.over_seeds(results, arms.name(name, what))
        ax.plot([i] * len(values), values, **look.as_points(ms=5, alpha=0.7, label=None))
        ax.plot([i - 0.22, i + 0.22], [sum(values) / len(values)] * 2, color="black", lw=1.6, ls="-")
    ax.set_xticks(
        range(len(EIGHT)), ("1:1", "1:2", "1:2\n5", "1:2\n500", "EMA", "R1", "no\nBN", "no BN\nR1"), fontsize=8.5
    )


def verdict_eight(summary):
    """`verdict_pairs`, the best arm of each judge, how many runs collapsed, and what had settled.

    A run below 0 says nothing by the critic, so arms with such a run are left out of its order, and named.
    """
    found = arms.scores(summary, EIGHT, "critic")
    below = [name for name, s in found.items() if s["mean"] is not None and s["min"] < 0]
    by_distance, by_critic = (
        verdicts.best(scores, least_first=True, none="none, for no run finished")
        for scores in (
            arms.scores(summary, EIGHT, "distance"),
            {name: s for name, s in found.items() if name not in below},
        )
    )
    aside = f" (without {verdicts.listed(below)}, where a run lies below 0 and says nothing)" if below else ""
    said, distances = verdict_pairs(EIGHT_PAIRS, summary), arms.scores(summary, EIGHT, "distance")
    ends = [f"{name} {verdicts.settling(s, summary[arms.name(name, LATE)])}" for name, s in distances.items()]
    return (
        f"{said} Least mean distance: {by_distance}. Least mean that the critic finds: {by_critic}{aside}. "
        f"Collapsed runs: {collapses(EIGHT, summary)}. Distance in the last quarter of training: {'; '.join(ends)}."
    )


# 10.8 and 10.9 The experiments of the paper


def sheets(config, arms_of, pairs, seed, device):
    """What `compared` says of the arms, and pictures of the same z at every moment: uint8 (moments, 9, c, h, w)."""
    watched = train_all(config, arms_of, seed, device)
    result = compared(watched, arms_of, pairs)
    # The runs of one record may share a GPU, whose seconds then say nothing.
    timed = {arms.name(name, what) for name in (*arms_of, *(gap(*pair) for pair in pairs)) for what in TIMED}
    result["numbers"] = {name: value for name, value in result["numbers"].items() if name not in timed}
    for name, seen in watched.items():
        result["arrays"][arms.name(name, "pictures")] = torch.stack([w["pictures"][:9] for w in seen])
    return result


TIMED = ("seconds", *(score + WHEN[2] for score in ("distance", "critic")))  # what depends on the machine


def run_first(config, seed, device):
    """Su's first experiment: BatchNorm, one step of D, two of G on the same z, without and with penalty 5."""
    return sheets(config.training, FIRST, FIRST_PAIRS, seed, device)


def run_second(config, seed, device):
    """Su's second experiment, no BatchNorm: without penalty on fresh z, with penalty 5 on recorded z, and a control."""
    return sheets(config.training, SECOND, SECOND_PAIRS, seed, device)


def verdict_sheets(names, pairs, summary):
    """`verdict_pairs`, how many runs collapsed, and the spread of each arm when it is first looked at."""
    spreads = arms.scores(summary, names, FIRST_SPREAD)
    first = "; ".join(f"{name} {verdicts.mean(s, '.2f')}" for name, s in spreads.items())
    return f"{verdict_pairs(pairs, summary)} Collapsed runs: {collapses(names, summary)}. Spread at the first moment: {first}."


def draw_sheets(names, results, config):
    """A sheet per arm: rows are three moments of one run, columns fixed z. Below it the spread of every seed."""
    fig, axes = drawing.panels(2, len(names), (2.7 * len(names), 3.5), height_ratios=(1.7, 1), sharey="row")
    arrays, moments = results[0]["arrays"], config.training.moments
    rows = [0, max(1, moments // 4) - 1, moments - 1]
    for ax, below, name in zip(*axes, names, strict=True):
        shown = arrays[arms.name(name, "pictures")][rows, :4]  # (3, 4, c, h, w)
        drawing.sheet(ax, shown.flatten(0, 1), name, columns=shown.shape[1])
        side = shown.shape[-2] + 1
        for i, step in enumerate(arrays[arms.name(name, "steps")][rows].tolist()):
            at = (-3, (i + 0.5) * side)
            ax.annotate(f"{step:,.0f}", at, ha="right", va="center", fontsize=9, annotation_clip=False)
        for i, r in enumerate(results):
            steps, spread = (r["arrays"][arms.name(name, what)] for what in ("steps", "spread"))
            look = Look(f"seed {i}", "blue" if i else "black", LINES[i % len(LINES)])
            below.plot(steps / 1000, spread, **look.as_line(lw=1 if i else 1.6))
        below.set(xlabel="thousand generator steps")
        below.axhline(1, color="0.5", lw=1, ls=":")
    axes[1, 0].set(ylabel="spread, real = 1", ylim=(0, None))  # for all arms, when all are drawn
    drawing.legend_below(fig, axes[1, 0], columns=len(results))
    return fig


# 10.10 The second experiment on clothes


def run_clothes(config, seed, device):
    """Su's second experiment on labeled pictures."""
    return compared(train_all(config.training, SECOND, seed, device), SECOND, SECOND_PAIRS)


def draw_clothes(results, config):
    """Spread, distance and critic (moments,) over generator steps: thin lines are seeds, the others their means."""
    fig, axes = drawing.panels(1, 3, (9.0, 3.4))
    titles = ("spread over pictures, real = 1", "distance to held-out pictures", "critic: JS in nats, at least")
    for ax, up, title in zip(axes, ("spread", "distance", "critic"), titles, strict=True):
        draw_seeds(ax, results, SECOND, "steps", up)
        draw_means(ax, results, SECOND, "steps", up)
        ax.set(title=title, ylim=(0, None))
    axes[2].set_ylim(0, math.log(2))
    drawing.legend_below(fig, axes[0])
    return fig


def verdict_clothes(summary):
    """`verdict_pairs`, and whether the first spread is higher with penalty, as it was on faces.

    Without the scores at equal seconds: the arms cost the same, and which was the quicker one was decided by the load.
    """
    summary = {name: s for name, s in summary.items() if not name.endswith(WHEN[2])}
    higher = all(verdicts.sign(summary[arms.name(gap(*pair), FIRST_SPREAD)]) == 1 for pair in SECOND_PAIRS)
    return (
        f"{verdict_pairs(SECOND_PAIRS, summary)} Spread at the first moment {'is' if higher else 'is not shown to be'} "
        f"higher with penalty. Collapsed runs: {collapses(SECOND, summary)}."
    )


RECIPES = {
    "10.7": Recipe(
        title="Eight ways to train on clothes",
        caption="Fashion-MNIST, equal numbers of generator steps. Distance: Fréchet, in the features of a small "
        "classifier; curves are means, points are seeds, bars their means. Critic: a discriminator trained afresh "
        "against the generator as it is; log 2 is the most it can say. Right: what the critic finds over training, and "
        "classes covered. Below 0 the critic says nothing, for on held-out pictures it is wrong more than it is right; "
        "the curve of its mean can leave the frame there. Recorded on a CPU with few maps; --scale full is the size for "
        "a GPU.",
        alt="Top: falling curves for eight arms, the distance against steps and against seconds, and what the critic finds against "
        "steps; penalty 500 lies far above the others, the plain GAN without BatchNorm above the rest. Bottom: points per seed of "
        "distance and critic at the end, and curves of the classes covered, which all reach ten, with penalty 500 last.",
        run=run_eight, draw=draw_eight, quick=Ways(replace(QUICK, moments=4)), cpu=Ways(Training(steps=8000, learning_rate=1e-3, moments=16)),
        full=Ways(FULL), seeds=tuple(range(5)), verdict=verdict_eight, record="cpu", idle=("decay",),
    ),
    "10.8": Recipe(
        title="The first experiment of the paper",
        caption="64x64 faces, BatchNorm, one step of D, then two of G on the same z, without and with penalty 5. Rows: "
        "seed 0 after so many generator steps; columns: fixed z. Below: the spread, the variance over pictures relative "
        "to real ones. All faces are generated. Recorded on a GPU, with Labeled Faces in the Wild, up to 20,000 of the "
        "paper's 79,125 batches. A few values above 1 lie out of the frame.",
        alt="Two sheets of generated faces, without and with the penalty; in both blurred in the first row and sharper below. "
        "Under them nearly flat lines of the spread.",
        run=run_first, draw=functools.partial(draw_sheets, FIRST), quick=Compared(QUICK), cpu=Compared(Training()),
        full=Compared(PHOTOS), seeds=tuple(range(3)), verdict=functools.partial(verdict_sheets, FIRST, FIRST_PAIRS), idle=("decay",),
    ),
    "10.9": Recipe(
        title="The second experiment of the paper",
        caption="64x64 faces, no BatchNorm; five steps of D, then two of G on each of five batches. In Su's code the "
        "run without penalty draws fresh z and the run with penalty keeps the recorded ones; the sheet in the middle is "
        "the control. Rows: seed 0 after so many generator steps; columns: fixed z. Below: the spread, the variance "
        "over pictures relative to real ones. All faces are generated. Recorded on a GPU, with Labeled Faces in the "
        "Wild, up to 8,000 batches.",
        alt="Three sheets of generated faces: without penalty on fresh z, without penalty on recorded z, with penalty. In the "
        "first row of the first two sheets all four faces look alike; in the third they differ from the start. Under them "
        "jagged lines of the spread, which start near 0 without penalty and near 0.6 with it.",
        run=run_second, draw=functools.partial(draw_sheets, SECOND), quick=Compared(QUICK), cpu=Compared(Training()),
        full=Compared(replace(PHOTOS, steps=2 * 8_000, moments=16)), seeds=tuple(range(3)),
        verdict=functools.partial(verdict_sheets, SECOND, SECOND_PAIRS), idle=("decay",),
    ),
    "10.10": Recipe(
        title="The second experiment on clothes",
        caption="Fashion-MNIST, no BatchNorm, the three arms of figure 10.9. Thin lines are seeds, thick ones their "
        "means. That the spread starts higher with penalty was seen on faces first and is tested here. Recorded on a "
        "CPU with few maps.",
        alt="Three panels over generator steps for three arms: spread over pictures, distance to held-out pictures, and what a "
        "fresh critic finds.",
        run=run_clothes, draw=draw_clothes, quick=Compared(QUICK), cpu=Compared(Training()), full=Compared(FULL),
        seeds=tuple(range(5)), verdict=verdict_clothes, record="cpu", idle=("decay",),
    ),
}  # fmt: skip
