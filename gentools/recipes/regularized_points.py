"""Experiments of chapter 10 on points in the plane: when the penalty acts, many ways to train, and some of them to the end."""

import copy
import functools
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import torch

from gentools import dcgan, gan, regularized_gan
from gentools.lab import records
from gentools.lab.plots import MARKERS
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import last_quarter, late_change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import Laps, adams, fit
from gentools.recipes.shared.points import DRAWN, GRID, score

WORDS = {True: "BN", False: "no BN"}  # whether the networks have BatchNorm: in names
TITLES = {True: "with BatchNorm", False: "without BatchNorm"}  # in pictures


# 10.5 When it acts


@dataclass(frozen=True)
class Acting:
    """The 25-Gaussian grid, trained with several generator steps per refresh of the discriminator."""

    steps: int = 2000  # of the generator
    inner: tuple = (1, 2, 5, 10)  # of them per refresh
    penalty_weight: float = 5.0
    learning_rate: float = 1e-3
    betas: tuple = (0.5, 0.999)  # of Adam
    batch: int = 128
    points: int = 100_000  # in the data
    moments: int = 20  # at which the inner steps of one refresh are taken apart


def run_acting(config, seed, device):
    """Ratio and cosine of penalty and adversarial gradient at every inner step, median over the second half of a run."""
    numbers, arrays = {}, {}
    x = GRID.draw(config.points, seed)[0]  # (points, 2)
    for normed, word in WORDS.items():
        for inner in config.inner:
            arm = (word, f"{inner} steps")
            ratio, cosine = forces_in(config, normed, inner, x, seed, device)
            name = ", ".join(arm)
            arrays |= {f"{name} ratio": ratio, f"{name} cosine": cosine}
            numbers[arm, "ratio at the first"] = ratio[0]
            if inner > 1:
                numbers |= {(arm, "ratio at the last"): ratio[-1], (arm, "cosine at the last"): cosine[-1]}
    return {"numbers": arms.named(numbers), "arrays": arrays}


def forces_in(config, normed, inner, x, seed, device):
    """Ratios (inner,) and cosines (inner,) of one run, median over the moments of its second half."""
    nets = regularized_gan.toy_networks(seed, normed).to(device)
    opts = adams(nets, config.learning_rate, config.betas)
    codes, steps = Stream(x, config.batch, (inner, 2), device=device), config.steps // inner

    def watch(done):
        apart = copy.deepcopy((nets, opts))  # the run itself goes on untouched
        z = codes.noise(seed, done)[:, 0]  # (batch, 2)
        return {"forces": torch.tensor(inner_forces(*apart, z, inner, config.penalty_weight))}

    step = functools.partial(regularized_gan.recorded_step, penalty_weight=config.penalty_weight)
    history = fit(step, nets, opts, x, (inner, 2), batch=config.batch, steps=steps, seed=seed, device=device,
                  watch=watch, log_every=max(1, steps // config.moments))  # fmt: skip
    found = torch.stack([seen["forces"] for seen in history.watched])  # (moments, inner, 2)
    return found[len(found) // 2 :].median(0).values.T


def inner_forces(nets, opts, z, inner, penalty_weight):
    """[(ratio, cosine)] before each of `inner` generator steps on z (n, 2), tied to the generator before the first."""
    with torch.no_grad():
        old = nets["generator"](z)
    found = []
    for _ in range(inner):
        found.append([float(v) for v in regularized_gan.forces(nets, z, old, penalty_weight)])
        fake = nets["generator"](z)
        loss = gan.non_saturating_loss(nets["discriminator"](fake)) + penalty_weight * (fake - old).square().mean()
        gan.descend(opts["generator"], loss)
    return found


def draw_acting(results, config):
    """Ratio (inner,) above and cosine (inner,) below at every inner step, a line per seed, with and without BatchNorm."""
    fig, axes = drawing.panels(2, 2, (8.4, 5.6), sharex=True, sharey="row")
    colors, lines = ("black", "orange", "green", "blue"), ("-", ":", "--", "-")
    places = (-0.18, -0.06, 0.06, 0.18)  # beside the whole number, so that the arms do not lie on each other
    each = zip(config.inner, colors, lines, MARKERS, places, strict=False)
    looks = {inner: (Look(f"{inner} per refresh", *look), aside) for inner, *look, aside in each}
    for column, (normed, word) in zip(axes.T, WORDS.items(), strict=True):
        for inner, (look, aside) in looks.items():
            at = torch.arange(1, inner + 1) + aside
            for r in results:
                ratio, cosine = (r["arrays"][f"{word}, {inner} steps {what}"] for what in ("ratio", "cosine"))
                line = look.as_both(ms=4, lw=1, alpha=0.8)
                column[0].plot(at, ratio, **line | {"label": look.label if r is results[0] else None})
                if inner > 1:
                    column[1].plot(at[1:], cosine[1:], **line)
        column[0].set(title=TITLES[normed])
        column[0].set_yscale("symlog", linthresh=0.1, linscale=0.3)
        column[1].set(xlabel="inner step", ylim=(-1.05, 1.05), xticks=range(1, 11))
        column[1].axhline(0, color="0.6", lw=1)
    axes[0, 0].set_ylabel("|penalty| / |adversarial|")
    axes[1, 0].set_ylabel("cosine")
    axes[0, 0].legend(loc="lower right", fontsize=9)
    return fig


def verdict_acting(summary):
    """Whether the penalty has no gradient at the first inner step, and how large it is at later ones."""

    def ratio(word, inner, where):
        return summary[arms.name((word, f"{inner} steps"), f"ratio at the {where}")]

    firsts = [ratio(word, inner, "first") for word in WORDS.values() for inner in Acting().inner]
    nothing = all(verdicts.always_below(s, 1e-300) for s in firsts)
    parts = [
        f"with {word}, {verdicts.mean(ratio(word, 2, 'last'), '.2g')} at the second of 2 steps and "
        f"{verdicts.mean(ratio(word, 10, 'last'), '.2g')} at the tenth of 10"
        for word in WORDS.values()
    ]
    return (
        f"At the first inner step the penalty's gradient is {'exactly 0 in every run' if nothing else 'not always 0'}. "
        f"Penalty over adversarial gradient in the second half of {Acting().steps:,} steps, mean over seeds: {'; '.join(parts)}."
    )


# 10.6 Many ways to train


@dataclass(frozen=True)
class Factorial:
    """The 25-Gaussian grid, trained in every combination of codes, penalty and inner steps, without BatchNorm."""

    steps: int = 8000  # of the generator, in every arm
    inner: tuple = (2, 5, 10)  # of them per refresh
    penalties: tuple = (0.0, 5.0, 50.0, 500.0)  # weights
    learning_rate: float = 1e-3
    betas: tuple = (0.5, 0.999)  # of Adam
    batch: int = 128
    points: int = 100_000  # in the data
    every: int = 100  # generator steps between evaluations
    drawn: int = DRAWN  # samples per evaluation


LATE = "overlap, change over the last quarter"
CODES = {"recorded": regularized_gan.recorded_step, "fresh": regularized_gan.fresh_step}


class Arm(NamedTuple):
    """One way to train: with BatchNorm or without, and how the steps of a refresh are tied. Without codes: the plain GAN."""

    normed: bool
    codes: str | None = None  # of CODES
    penalty: float = 0.0
    inner: int = 1

    @property
    def key(self):
        """The arm in the names of its numbers."""
        if self.codes is None:
            return WORDS[self.normed], "plain"
        return WORDS[self.normed], f"{self.codes} z", f"penalty {self.penalty:g}", f"{self.inner} steps"

    def train(self, config, x, seed, device, watch):
        """Train it on x (points, 2); returns the networks and the History."""
        nets = regularized_gan.toy_networks(seed, self.normed).to(device)
        opts = adams(nets, config.learning_rate, config.betas)
        step, latent = dcgan.step, 2
        if self.codes is not None:
            step, latent = functools.partial(CODES[self.codes], penalty_weight=self.penalty), (self.inner, 2)
        return fit(step, nets, opts, x, latent, batch=config.batch, steps=config.steps // self.inner, seed=seed,
                   device=device, watch=functools.partial(watch, nets), log_every=config.every // self.inner)  # fmt: skip


def plain(arm):
    """The plain GAN with the networks of this arm."""
    return Arm(arm.normed)


def without_penalty(arm):
    """The arm that differs from this one in its penalty only, which is 0."""
    return arm._replace(penalty=0.0)


def tied(penalties, inner):
    """The arms that take several steps per refresh, all without BatchNorm."""
    return [Arm(False, codes, penalty, n) for codes in CODES for penalty in penalties for n in inner]


def ways(config):
    """The plain GAN with BatchNorm and without, and every combination without: a list of Arm."""
    return [*map(Arm, WORDS), *tied(config.penalties, config.inner)]


def run_factorial(config, seed, device):
    """All arms from one start per seed: modes, quality and overlap over the last quarter, collapse by the rule, seconds.

    "overlap, equal seconds" is the overlap an arm had when the quickest arm of the same seed was through.
    """
    x = GRID.draw(config.points, seed)[0]  # (points, 2)
    z = torch.randn(config.drawn, 2, generator=generator(seed, "evaluation")).to(device)
    numbers, arrays, seconds = {}, {}, {}
    for arm in ways(config):
        laps = Laps()

        def watch(nets, done, laps=laps):
            with laps.stopped() as passed:
                return {"seconds": passed} | score(gan.sample(nets, z).cpu(), GRID)._asdict()

        watched = arm.train(config, x, seed, device, watch).watched
        track = {what: torch.tensor([float(seen[what]) for seen in watched]) for what in watched[0]}  # (moments,) each
        seconds[arm] = track["seconds"].cumsum(0)
        covered, quality, overlap = (track[what] for what in ("covered", "quality", "overlap"))
        curves = {"modes": covered, "quality": quality, "overlap": overlap}
        arrays |= {arms.name(arm.key, what): curve for what, curve in curves.items()}
        gone = regularized_gan.collapsed(covered.tolist(), quality.tolist(), config.every)
        ends = {"modes": covered, "high-quality share": quality, "overlap": overlap}
        ends = {what: last_quarter(curve) for what, curve in ends.items()} | {LATE: late_change(overlap)}
        ends |= {"collapsed": gone, "seconds": seconds[arm][-1]}
        numbers |= {(arm.key, what): value for what, value in ends.items()}
    least = min(passed[-1] for passed in seconds.values())
    for arm, passed in seconds.items():
        overlap = arrays[arms.name(arm.key, "overlap")]
        numbers[arm.key, "overlap, equal seconds"] = overlap[max(0, int((passed <= least).sum()) - 1)]
    return {"numbers": arms.named(numbers), "arrays": arrays}


SHADES = ("black", "orange", "blue", "vermillion")  # one for each penalty
STROKES = ("-", "--", "-.", ":")


def draw_factorial(results, config):
    """Overlap over training of the arms without BatchNorm, a panel for each number of steps and kind of codes; below,
    modes over the last quarter and collapsed runs.

    With BatchNorm the plain GAN does not learn the grid and is not drawn.
    """
    panels = {(codes, n): f"{codes} {n}" for codes in CODES for n in config.inner}
    rows = [[panels[codes, n] for n in config.inner] for codes in CODES]
    rows += [[what] * len(config.inner) for what in ("modes", "collapsed")]
    fig, axes = drawing.mosaic(rows, (8.4, 10.5), height_ratios=(1, 1, 0.9, 0.6))
    baseline = Look("plain, one step", "green", "--", "X")
    weights = zip(config.penalties, SHADES, STROKES, MARKERS, strict=False)
    looks = {weight: Look(f"penalty {weight:g}", *look) for weight, *look in weights}
    for (codes, n), panel in panels.items():
        each = {baseline: Arm(False)} | {look: Arm(False, codes, weight, n) for weight, look in looks.items()}
        for look, arm in each.items():
            drawing.course(axes[panel], results, arms.name(arm.key, "overlap"), config.steps, look)
        axes[panel].set(title=f"{n} steps, {codes} z", ylim=(0, 1))
    for row in rows[: len(CODES)]:
        axes[row[0]].set_ylabel("overlap with the grid")
        for panel in row[1:]:
            axes[panel].tick_params(labelleft=False)
    for panel in rows[len(CODES) - 1]:
        axes[panel].set_xlabel("thousand generator steps")
    for what in ("modes", "collapsed"):
        ax = axes[what]
        values = drawing.over_seeds(results, arms.name(Arm(False).key, what))
        _mark(ax, 0, values, what, baseline)
        if what == "modes":
            ax.axhline(sum(values) / len(values), color=baseline.rgb, lw=1, ls=baseline.line)
        for place, (codes, n) in enumerate(panels, 1):
            ax.axvline(place - 0.5, color="0.85", lw=0.8)
            for i, (weight, look) in enumerate(looks.items()):
                values = drawing.over_seeds(results, arms.name(Arm(False, codes, weight, n).key, what))
                _mark(ax, place + (i - 1.5) * 0.19, values, what, look)
        ax.set(xlim=(-0.5, len(panels) + 0.5))
        ax.set_xticks(range(1 + len(panels)), ["plain", *(_tick(n, codes, config.inner) for codes, n in panels)])
    axes["modes"].set(ylabel="modes of 25,\nlast quarter", ylim=(-0.8, 25.8))
    axes["collapsed"].set(ylabel=f"collapsed, of {len(results)}", ylim=(-0.7, len(results) + 0.7))
    axes["collapsed"].set(xlabel="generator steps per refresh, and their codes")
    drawing.legend_below(fig, axes[rows[0][0]], columns=5)
    return fig


def _tick(n, codes, inner):
    """A number of inner steps, with the name of the codes under the middle one."""
    return f"{n}\n{codes} z" if n == inner[len(inner) // 2] else str(n)


def _mark(ax, x, values, what, look):
    """Every seed and a bar at the mean; of collapses, their number."""
    if what == "collapsed":
        ax.plot(x, sum(values), **look.as_points(ms=6, label=None))
        return
    ax.plot([x] * len(values), values, **look.as_points(ms=4, alpha=0.55, label=None))
    ax.plot([x - 0.09, x + 0.09], [sum(values) / len(values)] * 2, color="black", lw=1.6, ls="-")


def verdict_factorial(summary):
    """How many penalized arms are separated from their controls, how many runs collapsed, and how many arms settled."""
    drawn = [arm for arm in ways(Factorial()) if arms.name(arm.key, "overlap") in summary]
    overlap, late, gone = (
        {arm: summary[arms.name(arm.key, what)] for arm in drawn} for what in ("overlap", LATE, "collapsed")
    )
    penalized = [arm for arm in drawn if arm.penalty]
    free = [arm for arm in drawn if arm.codes and not arm.penalty]
    counts = []
    for what, control in (("the same steps without penalty", without_penalty), ("the plain GAN", plain)):
        signs = [verdicts.separated(overlap[arm], overlap[control(arm)]) for arm in penalized]
        counts.append(f"above {what} in {signs.count(1)} and below in {signs.count(-1)}")
    groups = {"plain": [Arm(False)], "penalty 0": free, "penalized": penalized, "plain with BatchNorm": [Arm(True)]}
    runs = ", ".join(
        f"{name} {sum(verdicts.count(gone[arm]) for arm in group)} of {sum(gone[arm]['n'] for arm in group)}"
        for name, group in groups.items()
    )
    ends = Counter(verdicts.settling(overlap[arm], late[arm]) for arm in drawn)
    return (
        f"Of {len(penalized)} arms with penalty the overlap lies {', '.join(counts)}. Collapsed runs: {runs}. "
        f"Over the last quarter the overlap of {len(drawn)} arms, the plain GAN with BatchNorm among them: {', '.join(f'{ends[w]} {w}' for w in sorted(ends))}."
    )


def contrasts(record, what="overlap", control=without_penalty):
    """{penalty: summary}: a score of the penalized arms minus that of their controls.

    record: the stored record of figure 10.6; what: "overlap", "overlap, equal seconds", "modes" or "collapsed". The
    difference is averaged over codes and inner steps within each seed, and the interval is Student's over the seeds.
    """
    found, config = {}, record["config"]

    def values(arm):
        return torch.tensor(record["numbers"][arms.name(arm.key, what)])  # (seeds,)

    for penalty in config["penalties"][1:]:
        gains = [values(arm) - values(control(arm)) for arm in tied([penalty], config["inner"])]
        found[penalty] = records.summarize(torch.stack(gains).mean(0).tolist())
    return found


# 10.11 Two steps, to the end


class Course(NamedTuple):
    """One way to train to the end: an Arm, by how much D learns faster than G, and its look."""

    way: Arm
    faster: float
    look: Look


COURSES = {  # recorded name: course
    "one step": Course(Arm(False), 1.0, Look("one step", "green", "--", "X")),
    "one step, slow D": Course(Arm(False), 0.5, Look("one step, D at half the rate", "purple", ":", "P")),
    "recorded z": Course(Arm(False, "recorded", 0.0, 2), 1.0, Look("two steps, recorded z", "black", "-", "o")),
    "recorded z, penalty 5": Course(
        Arm(False, "recorded", 5.0, 2), 1.0, Look("two steps, recorded z, penalty 5", "orange", "-.", "s")
    ),
    "fresh z": Course(Arm(False, "fresh", 0.0, 2), 1.0, Look("two steps, fresh z", "blue", "-", "v")),
    "fresh z, penalty 5": Course(
        Arm(False, "fresh", 5.0, 2), 1.0, Look("two steps, fresh z, penalty 5", "vermillion", "-.", "D")
    ),
}
PAIRS = {  # recorded name of a difference: its two courses
    "penalty 5, recorded z": ("recorded z, penalty 5", "recorded z"),
    "penalty 5, fresh z": ("fresh z, penalty 5", "fresh z"),
    "fresh for recorded z": ("fresh z", "recorded z"),
    "two steps, recorded z, for one": ("recorded z", "one step"),
    "two steps with penalty, recorded z, for one": ("recorded z, penalty 5", "one step"),
    "two steps, fresh z, for one step with slow D": ("fresh z", "one step, slow D"),
}
ENDS = {"modes": "covered", "high-quality share": "quality", "overlap": "overlap"}  # names of `evaluation.Modes`


@dataclass(frozen=True)
class Long:
    """The 25-Gaussian grid without BatchNorm: one and two generator steps per refresh, with and without penalty."""

    steps: int = 64_000  # of the generator, in every arm
    learning_rate: float = 1e-3  # of both players in every arm, but of a slow D half of it
    # (arm, (rate, overlap), ...): one run of all steps each, on a seed that is not shown
    tuning: tuple = (
        ("one step", (5e-4, 0.409), (1e-3, 0.402), (2e-3, 0.322), (4e-3, 0.323)),
        ("recorded z", (5e-4, 0.603), (1e-3, 0.481), (2e-3, 0.724), (4e-3, 0.255)),
        ("recorded z, penalty 5", (5e-4, 0.519), (1e-3, 0.485), (2e-3, 0.266), (4e-3, 0.429)),
        ("fresh z", (5e-4, 0.488), (1e-3, 0.863), (2e-3, 0.458), (4e-3, 0.222)),
        ("fresh z, penalty 5", (5e-4, 0.561), (1e-3, 0.641), (2e-3, 0.737), (4e-3, 0.579)),
    )
    betas: tuple = (0.5, 0.999)  # of Adam
    batch: int = 128
    points: int = 100_000  # in the data
    moments: int = 32  # at which samples are scored, equally spaced
    drawn: int = DRAWN  # samples each time


def run_long(config, seed, device):
    """Every course from one start per seed. These scores swing, so a run ends with the mean of its last quarter."""
    x = GRID.draw(config.points, seed)[0]  # (points, 2)
    z = torch.randn(config.drawn, 2, generator=generator(seed, "evaluation")).to(device)
    ends, arrays = {}, {}

    def look(nets, done):
        return score(gan.sample(nets, z).cpu(), GRID)._asdict()

    for name, (way, faster, _) in COURSES.items():
        rates = {"generator": config.learning_rate, "discriminator": config.learning_rate * faster}
        seen = way.train(Factorial(steps=config.steps, every=config.steps // config.moments, learning_rate=rates,
                                   betas=config.betas, batch=config.batch), x, seed, device, look)  # fmt: skip
        for what, field in ENDS.items():
            curve = torch.tensor([float(moment[field]) for moment in seen.watched])  # (moments,)
            ends[name, what], arrays[arms.name(name, what)] = last_quarter(curve), curve
        before = curve[: -len(curve) // 4][-len(curve) // 4 :].mean()  # of the quarter before
        ends[name, "overlap, change over the last quarter"] = ends[name, "overlap"] - before
    for name, (one, other) in PAIRS.items():
        ends[name, "overlap gained"] = ends[one, "overlap"] - ends[other, "overlap"]
    return {"numbers": arms.named(ends), "arrays": arrays}


def draw_long(results, config):
    """Above, overlap over training, one step beside two steps of each kind of codes; below, the last quarter, every seed."""
    fig, axes = drawing.panels(2, 2, (8.4, 6.4))
    for ax, codes in zip(axes[0], CODES, strict=True):
        for name, course in COURSES.items():
            if course.way.codes in (None, codes):
                drawing.course(ax, results, arms.name(name, "overlap"), config.steps, course.look, markevery=4)
        ax.set(title=f"{codes} codes", xlabel="thousand generator steps", ylim=(0, 1))
    looks = {name: course.look for name, course in COURSES.items()}
    for ax, what, top in zip(axes[1], ("overlap", "modes"), (1, 25.8), strict=True):
        drawing.seed_columns(ax, results, {name: arms.name(name, what) for name in looks}, looks, spread=0.08)
        ax.set_xticks(range(len(looks)), ["1", "1, slow D", "2", "2, pen. 5", "2", "2, pen. 5"], fontsize=8)
        ax.set(xlabel="steps: one,  two on recorded,  two on fresh codes", ylim=(0, top))
    axes[0, 0].set_ylabel("overlap with the grid")
    axes[1, 0].set_ylabel("overlap, last quarter")
    axes[1, 1].set_ylabel("modes of 25, last quarter")
    entries = {}  # label: line, without those that both panels have
    for ax in axes[0]:
        entries |= dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    fig.legend(entries.values(), entries, loc="outside lower center", ncols=2)
    return fig


def verdict_long(summary):
    """The courses in the order of their overlap, whether it has settled, and what every difference is seed by seed."""
    found = arms.scores(summary, COURSES, "overlap")
    change = arms.scores(summary, COURSES, "overlap, change over the last quarter")
    ends = ", ".join(f'"{name}" {verdicts.settling(found[name], change[name])}' for name in found)
    words = {1: "more", 0: "not separated", -1: "less"}
    gains = ", ".join(
        f'"{name}" {words[verdicts.sign(summary[arms.name(name, "overlap gained")])]}'
        for name in PAIRS
        if arms.name(name, "overlap gained") in summary
    )
    order = verdicts.ordered({f'"{name}"': s for name, s in found.items()})
    return (
        f"overlap, the most first, intervals compared: {order};\n  over the last quarter: {ends};\n  "
        f"overlap gained, seed by seed: {gains}."
    )


RECIPES = {
    "10.5": Recipe(
        title="When the penalty acts",
        caption="Above, the length of the penalty's gradient (weight 5) divided by that of the adversarial loss; "
        "below, the cosine between the two gradients. Both are taken at each generator step after a refresh (inner "
        "step), with the discriminator as this refresh left it. 25-Gaussian grid, every seed; the marks of one step "
        "stand side by side.",
        alt="Two panels of ratios against the inner step, with and without BatchNorm: exactly 0 at step 1, from about a half to about eight from then on. "
        "Below, the cosines: on both sides of 0 with BatchNorm, close to -1 after six steps without.",
        run=run_acting, draw=draw_acting, quick=Acting(steps=100, points=5000, moments=4), full=Acting(),
        seeds=tuple(range(5)), verdict=verdict_acting,
    ),
    "10.6": Recipe(
        title="Twenty-five ways to train",
        caption="25-Gaussian grid, networks without BatchNorm, 32,000 generator steps in every arm, one learning rate. "
        "Top: overlap of the samples with the modes over training, mean and range of the seeds; the dashed green line "
        "is the plain GAN. Below: modes over the last quarter, every seed, with bars at the means; and how many of the "
        "three runs collapsed, by the rule fixed beforehand.",
        alt="Six panels of curves over 32 thousand steps and two of points. The overlap of the plain GAN rises at once, to near 0.55. With "
        "penalty 5 it follows, later with more steps per refresh. Without penalty it rises last for two steps, for five barely, for ten "
        "it stays at 0. Below, modes: above 20 with penalty 5. Collapsed: penalty 0 all, penalty 5 and plain none.",
        run=run_factorial, draw=draw_factorial, quick=Factorial(steps=500), full=Factorial(steps=32_000, every=250), seeds=tuple(range(3)),
        verdict=verdict_factorial,
    ),
    "10.11": Recipe(
        title="Two steps, to the end",
        caption="25-Gaussian grid, networks without BatchNorm, one rate for all, 64,000 generator steps in every arm. "
        "Above: overlap of the samples with the modes over training, mean and range of the seeds; the two ways with one "
        "step stand in both panels. Below: a point per seed, its mean over the last quarter; bars are means of the "
        "points.",
        alt="Above, two panels of overlap over 64 thousand steps. With recorded codes all means end between 0.5 and 0.65; that of two "
        "steps without penalty rises last. With fresh codes both ways with two steps end above 0.7, those with one step below 0.65. Below, points of "
        "eight seeds: one step from 0.3 to 0.65 and from 10 to 20 modes; two steps on recorded codes, without penalty, from 0.3 to 0.75 and from "
        "10 to 25 modes, on fresh codes from 0.6 to 0.8 and from 19 to 25.",
        run=run_long, draw=draw_long, quick=Long(steps=640, points=5000, moments=8), full=Long(), seeds=tuple(range(8)),
        verdict=verdict_long,
    ),
}  # fmt: skip
