"""Experiments of chapter 02: EM on Old Faithful, on the 25-grid and on the digits, and how it goes wrong."""

from dataclasses import dataclass

import torch

from gentools import em
from gentools.lab import data
from gentools.lab.plots import COLORS, LINES, MARKERS
from gentools.lab.randomness import generator
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.drawing import Look

KINDS = (COLORS["blue"], COLORS["orange"])  # of the two components wherever there are two


def random_start(x, components, seed, spread):
    """Equal weights, means at random points of `x`, and for all components the covariance `spread` (d, d)."""
    rng = generator(seed, "start of EM")
    chosen = torch.randperm(len(x), generator=rng)[:components]
    weights = torch.full((components,), 1 / components, dtype=x.dtype)
    return weights, x[chosen], spread.expand(components, -1, -1)


def ellipse(ax, mean, covariance, radius=2.0, **style):
    """The points `radius` standard deviations from the mean of a Gaussian in the plane."""
    angle = torch.linspace(0, 2 * torch.pi, 100, dtype=torch.float64)
    circle = torch.stack([angle.cos(), angle.sin()])
    x, y = mean[:, None] + radius * torch.linalg.cholesky(covariance) @ circle
    ax.plot(x, y, **style)


# 2.1 and 2.2: Old Faithful


@dataclass(frozen=True)
class Faithful:
    """EM with two components on Old Faithful."""

    steps: int = 60  # of EM
    shown: tuple = (0, 5, 20, 60)  # steps after which the fit is kept; the last is `steps`


def run_faithful(config, seed, device):
    """The ten lines of EM with two components from a random start; its staircase and some of the fits on the way."""
    x = data.old_faithful()
    model = random_start(x, 2, seed, x.T.cov(correction=0))
    stairs, fits = [], {}
    for a, b in zip((0, *config.shown[:-1]), config.shown, strict=True):
        model, part = em.gaussian_em(x, *model, b - a)
        stairs.append(part if not stairs else part[1:])
        for name, value in zip(("weights", "means", "covariances"), model, strict=True):
            fits[f"{name} {b}"] = value
        fits[f"resp {b}"] = em.e_step(em.gaussian_log_joint(x, *model))
    stairs = torch.cat(stairs)
    one = torch.ones(1, dtype=x.dtype), x.mean(0, keepdim=True), x.T.cov(correction=0)[None]
    alone = em.log_likelihood(em.gaussian_log_joint(x, *one))
    numbers = {
        "log-likelihood at the start": stairs[0],
        "log-likelihood at the end": stairs[-1],
        "log-likelihood of a single Gaussian": alone,
        "the two components separated": stairs[-1] - alone > 0.1,
        "smallest rise of a half-step": stairs.diff().min(),
        "largest rise of a step after step 10": stairs[20::2].diff().max(),
        "rise of the last step": stairs[-1] - stairs[-3],
    }
    return {"numbers": numbers, "arrays": {"x": x, "stairs": stairs, **fits}}


def draw_staircase(results, config):
    """Left the stairs (2 steps + 1,) of the first start where they climb; right every start's distance to the best."""
    fig, (left, right) = drawing.panels(1, 2, (8.2, 3.5))
    stairs = results[0]["arrays"]["stairs"]
    first = max(0, int(stairs[20::2].diff().argmax()) + 10 - 5)  # a window around the steepest climb after step 10
    part = stairs[2 * first : 2 * first + 17]
    time = first + torch.arange(len(part)) / 2
    left.plot(time, part, color="0.6", ls="-", lw=1, zorder=0)
    left.plot(time[1::2], part[1::2], "^", color=COLORS["vermillion"], label="bound after an M-step")
    left.plot(time[::2], part[::2], "o", color=COLORS["blue"], label="after an E-step: log-likelihood")
    left.set(xlabel="step", ylabel="nats per eruption", title="One start, the steps where it climbs")
    left.legend(loc="upper left")
    best = max(float(r["arrays"]["stairs"][-1]) for r in results)
    for i, result in enumerate(results):
        missing = best - result["arrays"]["stairs"][::2]
        right.semilogy(missing.clamp(min=1e-12), ls="-", color=drawing.shade(i / len(results)), lw=1.3)
    right.set(xlabel="step", ylabel="below the best, nats", title="Every start", ylim=(1e-10, 5), xlim=(0, 80))
    return fig


def verdict_faithful(summary):
    """Whether a half-step ever fell, and how many starts separate the two groups."""
    separated, rise = summary["the two components separated"], summary["smallest rise of a half-step"]
    rested = verdicts.always_below(summary["rise of the last step"], 1e-6)
    if not verdicts.finished(separated):
        return "no run finished."
    climbs = "no half-step ever fell" if verdicts.always_above(rise, -1e-9) else "some half-step fell, which EM forbids"
    ends = f"{verdicts.count(separated)} of {separated['n']} starts end with the components separated"
    rest = "every start has come to rest" if rested else "some start is still climbing"
    return f"{climbs}; {ends}; {rest}."


def draw_fits(results, config):
    """The points x (n, 2), shaded by responsibility (n, 2), with means (2, 2) and covariances (2, 2, 2) of each moment."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, len(config.shown), (8.4, 2.9), sharex=True, sharey=True)
    for ax, step in zip(axes, config.shown, strict=True):
        ax.scatter(*a["x"].T, c=a[f"resp {step}"][:, 1], cmap="cividis", vmin=0, vmax=1, s=7)
        for k, (color, line, marker) in enumerate(zip(KINDS, LINES, MARKERS, strict=False)):
            ellipse(ax, a[f"means {step}"][k], a[f"covariances {step}"][k], color=color, lw=1.8, ls=line)
            ax.plot(*a[f"means {step}"][k], marker, color=color, mec="white", ms=7)
        ax.set(title=f"after {step} steps", xlabel="length, min")
    axes[0].set_ylabel("waiting time, min")
    return fig


# 2.3: where EM stops


@dataclass(frozen=True)
class Starts:
    """25 components on the 25-grid from three kinds of start."""

    n: int = 2500  # points
    restarts: int = 16  # random starts of which the best is taken
    max_steps: int = 300  # of EM, for each start

    @property
    def kinds(self):
        """The three kinds of start, by the names that are recorded."""
        return "one random start", f"best of {self.restarts}", "one k-means start"


def run_starts(config, seed, device):
    """25 components on the 25-grid: from random points, from the best of many such starts, and from k-means."""
    x = data.grid(config.n, seed)[0].double()
    centers = data.grid_centers().double()
    spread = torch.eye(2, dtype=torch.float64)
    starts = [em.Mixture(*random_start(x, 25, f"{seed} {r}", spread)) for r in range(config.restarts)]
    fits = (
        em.fit_mixture(x, 25, start=starts[0], max_steps=config.max_steps),
        em.fit_mixture(x, 25, start=starts, restarts=config.restarts, max_steps=config.max_steps),
        em.fit_mixture(x, 25, seed=seed, max_steps=config.max_steps),
    )
    numbers, arrays = {}, {"x": x}
    for kind, found in zip(config.kinds, fits, strict=True):
        near = torch.cdist(centers, found.means).amin(1) < 3 * data.GRID_STD  # (25,)
        numbers["centers found", kind] = near.sum()
        numbers["log-likelihood", kind] = found.history.likelihood[-1]
        numbers["converged", kind] = found.converged
        arrays |= {f"means {kind}": found.means, f"covariances {kind}": found.covariances}
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_starts(results, config):
    """One fit of each kind, means (25, 2) and covariances (25, 2, 2), and how many centers each finds on every seed."""
    fig, axes = drawing.panels(1, 4, (8.4, 2.5), width_ratios=(1, 1, 1, 1.15))
    a = results[0]["arrays"]
    for ax, kind in zip(axes, config.kinds, strict=False):
        ax.plot(*a["x"].T, ".", ms=1.5, color="0.65")
        for mean, covariance in zip(a[f"means {kind}"], a[f"covariances {kind}"], strict=True):
            ellipse(ax, mean, covariance, 3.0, color=COLORS["vermillion"], lw=1.2, ls="-")
        ax.set(title=kind, xticks=(-4, 0, 4), yticks=(-4, 0, 4), aspect="equal", xlim=(-7, 7), ylim=(-7, 7))
    short = ("one", f"best of\n{config.restarts}", "k-\nmeans")
    looks = drawing.looks(dict(zip(config.kinds, short, strict=True)))
    found = {kind: arms.name("centers found", kind) for kind in config.kinds}
    drawing.seed_columns(axes[3], results, found, looks, size=4.5)
    axes[3].set(title="centers found", ylim=(0, 26))
    return fig


def verdict_starts(summary):
    """Whether restarts help, and whether either way of starting finds all 25 centers."""
    one, best, kmeans = (s for name, s in summary.items() if name.startswith("centers found"))
    helps = verdicts.separated(best, one) == 1
    restarts = f"restarts {'help' if helps else 'do not clearly help'}"
    enough = "find all" if verdicts.always_above(best, 24) else "still miss centers on some data sets"
    return (
        f"{restarts} ({verdicts.mean(one, '.1f')} centers to {verdicts.mean(best, '.1f')} of 25) and {enough}; "
        f"one k-means start finds {verdicts.mean(kmeans, '.1f')}."
    )


# 2.4: Bernoullis on the digits


@dataclass(frozen=True)
class Digits:
    """A mixture of products of Bernoullis on the digits."""

    components: int = 20
    restarts: int = 8  # of which the likeliest is kept
    max_steps: int = 200  # of EM


def leading(resp, labels):
    """The class (K,) with the largest expected count in each component, from resp (n, K) and labels (n,)."""
    return (resp.T @ torch.nn.functional.one_hot(labels, 10).double()).argmax(1)


def share_led(resp, labels):
    """Share of the scans whose label (n,) leads the component of their largest responsibility, resp (n, K)."""
    return (leading(resp, labels)[resp.argmax(1)] == labels).double().mean()


def run_digits(config, seed, device):
    """A mixture of Bernoullis on the binarized digits, which sees no labels, and how its components fit the labels."""
    images, labels = data.digits()
    x = (images.flatten(1) > 127).double()
    fit = em.fit_bernoulli_mixture(
        x, config.components, seed=seed, restarts=config.restarts, max_steps=config.max_steps
    )
    resp = fit.responsibilities(x)  # (n, components)
    majority = leading(resp, labels)
    blind = resp[torch.randperm(len(x), generator=generator(seed, "blind"))]  # the same weights, any scans
    one = em.fit_bernoulli_mixture(x, 1)
    numbers = {
        "log-likelihood": fit.history.likelihood[-1],
        "log-likelihood of one component": one.history.likelihood[-1],
        "classes that lead some component": majority.unique().numel(),
        "share of scans of their component's leading class": share_led(resp, labels),
        "that share by chance": share_led(blind, labels),
    }
    arrays = {"weights": fit.weights, "means": fit.means, "majority": majority, "samples": fit.sample(20, seed=seed)}
    return {"numbers": numbers, "arrays": arrays}


def draw_digits(results, config):
    """The means (components, 64) as pictures, with the digit that leads each and its weight."""
    a = results[0]["arrays"]
    order = (a["majority"] * 10 - a["weights"]).argsort()  # by class, then the heaviest first
    columns = 10
    rows = -(-config.components // columns)
    fig, axes = drawing.panels(rows, columns, (8.4, 1.12 * rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, k in zip(axes.flat, order, strict=False):
        ax.imshow(a["means"][k].reshape(8, 8).numpy(), cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"“{int(a['majority'][k])}”  {100 * a['weights'][k]:.0f} %", fontsize=10)
    return fig


def verdict_digits(summary):
    """How many digits get components of their own, and how many scans agree with theirs."""
    classes = summary["classes that lead some component"]
    share = summary["share of scans of their component's leading class"]
    chance = summary["that share by chance"]
    some = f"{verdicts.span(classes)} of the ten digits get a component of their own"
    led = "every digit gets a component of its own" if verdicts.always_above(classes, 9) else some
    return (
        f"without labels, {led}, and "
        f"{verdicts.percent(share)} of the scans agree with their component (chance {verdicts.percent(chance)})."
    )


# 2.5: the prior moves too


@dataclass(frozen=True)
class Prior:
    """Two Gaussians on a line, of unequal weight."""

    n: int = 2000  # points
    weight: float = 0.85  # of the first component
    distance: float = 3.0  # of the second mean from the first, in standard deviations
    steps: int = 3000  # of EM


def run_prior(config, seed, device):
    """EM on two overlapping Gaussians of unequal weight, with the weights estimated and with the weights held at 1/2."""
    rng = generator(seed, "unequal weights")
    second = torch.rand(config.n, generator=rng, dtype=torch.float64) > config.weight
    x = (torch.randn(config.n, generator=rng, dtype=torch.float64) + config.distance * second)[:, None]
    half = torch.full((2,), 0.5, dtype=torch.float64)
    start = torch.tensor([[0.0], [config.distance]], dtype=torch.float64), torch.ones(2, 1, 1, dtype=torch.float64)
    free, _ = em.gaussian_em(x, half, *start, config.steps)
    held = half, *start
    for _ in range(config.steps):
        held = half, *em.gaussian_m_step(x, em.e_step(em.gaussian_log_joint(x, *held)))[1:]
    numbers, arrays = {}, {"x": x}
    for name, model in (("estimated", free), ("held at 1/2", held)):
        numbers[f"log-likelihood: {name}"] = em.log_likelihood(em.gaussian_log_joint(x, *model))
        numbers[f"larger mean: {name}"] = model[1].max()
        grid = torch.linspace(-4, 7, 300, dtype=torch.float64)[:, None]
        arrays[f"parts {name}"] = em.gaussian_log_joint(grid, *model).exp()
    numbers["first weight, estimated"] = free[0][0]
    numbers["lost by holding it"] = numbers["log-likelihood: estimated"] - numbers["log-likelihood: held at 1/2"]
    return {"numbers": numbers, "arrays": {**arrays, "grid": grid}}


def draw_prior(results, config):
    """The parts (300, 2) of both fits on the points, and what holding the weights loses on every seed."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 3, (8.4, 2.9), width_ratios=(1.2, 1.2, 1))
    grid = a["grid"][:, 0]
    truth = torch.stack(
        [
            weight * torch.exp(-((grid - mean) ** 2) / 2) / (2 * torch.pi) ** 0.5
            for weight, mean in ((config.weight, 0), (1 - config.weight, config.distance))
        ]
    )
    for ax, name in zip(axes, ("estimated", "held at 1/2"), strict=False):
        ax.hist(a["x"][:, 0], bins=50, density=True, color="0.85")
        for k, color in enumerate(KINDS):
            ax.plot(grid, truth[k], color="black", lw=1, ls=":", label="truth" if k == 0 else None)
            ax.plot(grid, a[f"parts {name}"][:, k], color=color, lw=1.8, label=f"component {k + 1}")
        ax.set(title=f"weights {name}", xlabel="x", xlim=(-4, 9.5), ylim=(0, 0.39))
    axes[0].set_ylabel("density")
    axes[1].legend()
    lost = [1000 * value for value in drawing.over_seeds(results, "lost by holding it")]
    axes[2].plot(range(len(lost)), lost, "o", color=COLORS["vermillion"])
    axes[2].axhline(0, color="black", lw=1)
    axes[2].set(title="lost by holding", xlabel="seed", ylabel="millinats per point", xticks=range(0, len(lost), 3))
    return fig


def verdict_prior(summary):
    """Whether holding the weights costs likelihood, how much, and where it puts the second mean."""
    lost, mean = summary["lost by holding it"], summary["larger mean: held at 1/2"]
    if not verdicts.finished(lost):
        return "no run finished."
    costs = "costs likelihood" if verdicts.sign(lost) == 1 else "costs nothing that shows"
    return (
        f"holding the weights {costs}, {1000 * lost['mean']:.1f} millinats per point, and moves the second mean to "
        f"{verdicts.mean(mean, '.2f')}."
    )


# 2.6: collapse


@dataclass(frozen=True)
class Collapse:
    """More components than a few eruptions can carry."""

    train: int = 40  # eruptions to fit, of 272
    components: int = 6
    restarts: int = 16  # of which the likeliest is kept
    floors: tuple = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the covariances, as a share of the data's variance


def run_collapse(config, seed, device):
    """Too many components on a few eruptions, at several floors: likelihood of those eruptions and of all others."""
    x = data.old_faithful()
    x = x[torch.randperm(len(x), generator=generator(seed, "split"))]
    train, rest = x[: config.train], x[config.train :]
    fits = [
        em.fit_mixture(train, config.components, seed=seed, restarts=config.restarts, floor=floor, max_steps=1000)
        for floor in config.floors
    ]
    seen = torch.stack([fit.log_density(train).mean() for fit in fits])
    held_out = torch.stack([fit.log_density(rest).mean() for fit in fits])
    try:
        bare = em.fit_mixture(
            train, config.components, seed=seed, restarts=config.restarts, floor=0, max_steps=1000
        ).likelihoods
        collapsed = bare.isnan().double().mean()
    except em.CollapseError:
        collapsed = 1.0
    numbers = {
        "share of restarts that collapse without a floor": collapsed,
        "training, smallest floor": seen[0],
        "training, best floor": seen[held_out.argmax()],
        "held out, smallest floor": held_out[0],
        "held out, best floor": held_out.max(),
        "best floor": config.floors[int(held_out.argmax())],
    }
    return {"numbers": numbers, "arrays": {"seen": seen, "held_out": held_out}}


COLLAPSE = {
    "seen": Look("the eruptions it was fitted to", "blue", "-", "o"),
    "held_out": Look("all other eruptions", "vermillion", "-", "^"),
}


def draw_collapse(results, config):
    """Log-likelihood (floors,) of the eruptions fitted to and of the others, every seed and the mean."""
    fig, ax = drawing.panels(size=(6.4, 3.4))
    for key, look in COLLAPSE.items():
        values = torch.stack([r["arrays"][key] for r in results])  # (seeds, floors)
        drawing.seed_curves(ax, config.floors, values, look, lw=0.7, alpha=0.6, label=None)
        ax.plot(config.floors, values.mean(0), **look.as_both(lw=2.2))
    ax.set(xscale="log", xlabel="floor, as a share of the data's variance", ylabel="log-likelihood, nats each")
    ax.legend()
    return fig


def verdict_collapse(summary):
    """How often EM collapses without a floor, and what a floor costs and brings."""
    share = summary["share of restarts that collapse without a floor"]
    ends = [
        summary[f"{data}, {floor} floor"]["mean"] for data in ("training", "held out") for floor in ("smallest", "best")
    ]
    if None in ends:
        return "no run finished."
    seen_smallest, seen_best, held_smallest, held_best = ends
    return (
        f"without a floor {verdicts.percent(share)} of the restarts collapse; against the best floor the smallest one "
        f"gains {seen_smallest - seen_best:.1f} nats on the eruptions it saw and loses {held_best - held_smallest:.1f} on "
        "the others."
    )


RECIPES = {
    "2.1": Recipe(
        title="The staircase",
        caption="EM with two Gaussians on Old Faithful. Left: an M-step raises the bound, the E-step after it raises the "
        "bound to the log-likelihood. Right: how far ten random starts are below the best log-likelihood. Some rest on a "
        "plateau for many steps before they climb, one ends at a poor maximum. Near the best every step removes the same "
        "share of what is missing.",
        alt="Left, a rising staircase in which triangles, the bound after M-steps, alternate with higher circles, the "
        "log-likelihood after E-steps. Right, ten curves on a logarithmic axis, some flat for tens of steps; nine end in "
        "falling straight lines of the same slope, one stays flat.",
        run=run_faithful,
        draw=draw_staircase,
        quick=Faithful(),
        full=Faithful(steps=200, shown=(0, 5, 20, 200)),
        seeds=tuple(range(10)),
        verdict=verdict_faithful,
    ),
    "2.2": Recipe(
        title="A fit on its way",
        caption="EM as in figure 2.1, one start. Ellipses lie at two standard deviations of the two components; points are "
        "shaded by their responsibility, yellow for the dashed component.",
        alt="Four scatter plots of waiting time against length of eruption. Two long ellipses, first over the upper "
        "group and part of the lower, then over nearly all points, separate and settle on the two groups.",
        run=run_faithful,
        draw=draw_fits,
        quick=Faithful(),
        full=Faithful(),
    ),
    "2.3": Recipe(
        title="Where EM stops",
        caption="25 components on the 25-grid. From random points EM converges to a fit that shares components between "
        "groups. The best of 16 such starts is better on nine of ten data sets (on the tenth the first start is the best), "
        "but on nine it is still wrong. The last panel has a point for each of the ten data sets; bars are means.",
        alt="Three scatter plots of a five by five grid of tight groups with ellipses. In the first two some ellipses span "
        "several groups; in the third every group has its own. A dot plot counts the centers found.",
        run=run_starts,
        draw=draw_starts,
        quick=Starts(n=1000),
        full=Starts(),
        seeds=tuple(range(10)),
        verdict=verdict_starts,
    ),
    "2.4": Recipe(
        title="Twenty Bernoulli means",
        caption="Means of a mixture of 20 products of Bernoullis on the binarized digits, sorted by the digit that leads "
        "each component (in quotes). Beside the digit stands the component's weight. No label was used to fit them.",
        alt="Two rows of ten small gray pictures that look like blurred handwritten digits in different styles.",
        run=run_digits,
        draw=draw_digits,
        quick=Digits(restarts=2),
        full=Digits(),
        seeds=tuple(range(5)),
        verdict=verdict_digits,
    ),
    "2.5": Recipe(
        title="The prior moves too",
        caption="Two overlapping Gaussians of weights 0.85 and 0.15. EM that holds the weights at one half puts the second "
        "component between the two true ones (middle) and loses likelihood on every data set (right).",
        alt="Two histograms with fitted components. On the left they lie on the dotted truth; in the middle, with the "
        "weights held, the second is too heavy and too far to the left. A dot plot shows a positive loss for every seed.",
        run=run_prior,
        draw=draw_prior,
        quick=Prior(steps=300),
        full=Prior(),
        seeds=tuple(range(10)),
        verdict=verdict_prior,
    ),
    "2.6": Recipe(
        title="A floor against collapse",
        caption="Six components on 40 eruptions. From a tenth of the data's variance down to a ten-thousandth a smaller floor raises "
        "the likelihood of the eruptions that were seen and lowers that of the others, on average. A still smaller floor raises only "
        "the former. Above a tenth both fall. Thin lines are ten random splits, thick ones their mean.",
        alt="Two curves over the floor on a logarithmic axis. The one for the training data falls from left to right, the "
        "one for the other data is level at first, rises, is highest at a floor of a tenth, and falls again.",
        run=run_collapse,
        draw=draw_collapse,
        quick=Collapse(restarts=2, floors=(1e-6, 1e-3, 1e-1)),
        full=Collapse(),
        seeds=tuple(range(10)),
        verdict=verdict_collapse,
    ),
}
