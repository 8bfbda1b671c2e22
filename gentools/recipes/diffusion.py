"""Experiments of chapter 16 with networks: the grid of 25 Gaussians, and digits with labels (16.6 to 16.9, 16.11).

The exact ones are in diffusion_exact.
"""

import functools
from dataclasses import dataclass

import torch
from torch import nn

from gentools import diffusion
from gentools.lab.networks import classifier
from gentools.lab.optim import Average, cosine
from gentools.lab.randomness import generator
from gentools.recipes import Recipe, diffusion_exact
from gentools.recipes.diffusion_exact import SAMPLERS, TRAINED
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit_kept
from gentools.recipes.shared.judging import named, train_judge
from gentools.recipes.shared.pictures import labeled
from gentools.recipes.shared.points import DRAWN, GRID, Points, chance, score

# 16.6 and 16.7 The grid

SCALE = 2.83  # what points are divided by: the standard deviation of the grid
OBJECTIVES = {
    "flow": (*TRAINED["velocity, straight"], Look("velocity, straight path", "green", "-", "o")),
    "noise": (*TRAINED["noise, linear"], Look("noise, linear path", "orange", "--", "s")),
}
SCORES = {"modes": "covered", "high-quality share": "quality", "overlap": "overlap"}  # names of `evaluation.Modes`


@dataclass(frozen=True)
class Grid:
    """A denoiser on the grid with two objectives: flow matching, and the noise with Ho's schedule."""

    data: Points = GRID
    learning_rates: tuple = (("flow", 0.016), ("noise", 0.032))  # at the start; they fall along half a cosine to 0
    tuning: tuple = (
        ("flow", 0.002, 0.781),
        ("flow", 0.004, 0.847),
        ("flow", 0.008, 0.888),
        ("flow", 0.016, 0.913),
        ("flow", 0.032, 0.891),
        ("noise", 0.002, 0.604),
        ("noise", 0.004, 0.658),
        ("noise", 0.008, 0.708),
        ("noise", 0.016, 0.728),
        ("noise", 0.032, 0.765),
    )  # (objective, rate, overlap) of trials on seed 100
    width: int = 128
    hidden: int = 3
    octaves: int = 3  # waves of the point that the network sees
    batch: int = 256
    steps: int = 2500
    points: int = 100_000
    average: float = 0.995  # decay of the averaged weights, which are sampled from
    moments: int = 6  # at which samples are scored
    sampling_steps: int = 40  # of DDIM, at those moments
    counts: tuple = (5, 10, 20, 40, 80, 160)  # steps of the samplers of figure 16.7


def noise_of(seed, rows, d):
    """Starting noise (rows, d) of the samplers, which depends on the seed alone."""
    return torch.randn(rows, d, generator=generator(seed, "evaluation"))


def train_points(config, arm, seed, device):
    """Train one denoiser on the grid. Returns its exact-style estimate, its path, and the History with scores."""
    path, target, _ = OBJECTIVES[arm]
    rows = config.data.draw(config.points, seed)[0] / SCALE
    nets = nn.ModuleDict({"denoiser": diffusion.PointDenoiser(seed, config.width, config.hidden, config.octaves)}).to(
        device
    )
    ema = Average(nets, config.average)
    estimate = diffusion.estimates(ema.nets["denoiser"], path, target)
    z = noise_of(seed, DRAWN, 2).to(device)

    def watch(done):
        x = diffusion.ddim(estimate, z, diffusion.down(config.sampling_steps), path).cpu() * SCALE
        found = score(x, config.data)
        return {what: float(getattr(found, field)) for what, field in SCORES.items()}

    history = fit_kept(
        functools.partial(diffusion.step, path=path, target=target), nets,
        adams(nets, {"denoiser": dict(config.learning_rates)[arm]}), rows, 2, batch=config.batch, steps=config.steps,
        seed=seed, device=device, schedule=cosine(config.steps), ema=ema, watch=watch, log_every=max(1, config.steps // config.moments),
    )  # fmt: skip
    return estimate, path, history


def run_grid(config, seed, device):
    """Both objectives from the same weights and batches, with scores over training and samples at the end."""
    numbers, arrays = {}, {}
    for arm in OBJECTIVES:
        estimate, path, history = train_points(config, arm, seed, device)
        z = noise_of(seed, DRAWN, 2).to(device)
        arrays[f"{arm} samples"] = (
            diffusion.ddim(estimate, z, diffusion.down(config.sampling_steps), path).cpu() * SCALE
        )
        arrays[f"{arm} step"] = torch.tensor([seen["step"] for seen in history.watched])
        for what in SCORES:
            curve = torch.tensor([seen[what] for seen in history.watched])
            numbers[arm, what], arrays[f"{arm} {what}"] = curve[-1], curve
        overlap = arrays[f"{arm} overlap"]
        numbers[arm, "overlap at the end minus after two thirds"] = overlap[-1] - overlap[len(overlap) * 2 // 3 - 1]
    numbers["overlap", "flow minus noise"] = numbers["flow", "overlap"] - numbers["noise", "overlap"]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_grid(results, config):
    """Samples (2500, 2) of the first seed; below, the scores (moments,) of every seed."""
    fig, axes = drawing.mosaic("aaabbb;xxyyzz", (8.4, 6.0), height_ratios=(1.25, 1))
    for key, (arm, (_, _, look)) in zip("ab", OBJECTIVES.items(), strict=True):
        drawing.dots(axes[key], results[0]["arrays"][f"{arm} samples"], "blue")
        drawing.crosses(axes[key], config.data.centers(), "vermillion")
        axes[key].set_title(look.label)
    lines = chance(config.data)["true data"]
    for key, what, top in zip("xyz", SCORES, (25, 1, 1), strict=True):
        for arm, (_, _, look) in OBJECTIVES.items():
            drawing.seed_curves(axes[key], results[0]["arrays"][f"{arm} step"],
                                [r["arrays"][f"{arm} {what}"] for r in results], look)  # fmt: skip
        if what != "overlap":
            drawing.level(axes[key], lines[list(SCORES).index(what)], "the data", at=0.05, above=-12)
        axes[key].set(title=what, xlabel="step", ylim=(-0.03 * top, 1.08 * top))
    axes["z"].legend(loc="lower right", fontsize=8)
    return fig


def verdict_grid(summary):
    """Modes and quality of each objective, whether their overlap differs, and whether the runs had settled."""
    said = []
    for arm in OBJECTIVES:
        modes, quality, change = (
            summary[arms.name(arm, what)]
            for what in ("modes", "high-quality share", "overlap at the end minus after two thirds")
        )
        settled = change["mean"] is not None and abs(change["mean"]) <= 0.03
        said.append(
            f"{arm}: {verdicts.span(modes, '.0f')} of 25 modes, quality {verdicts.span(quality)}, overlap over the last "
            f"third {'changed by at most .03 on average' if settled else 'still moving'}"
        )
    gap = verdicts.sign(summary[arms.name("overlap", "flow minus noise")])
    word = {1: "flow has the larger overlap", -1: "noise has the larger overlap", 0: "overlap not separated"}[gap]
    return f"{'; '.join(said)}; seed by seed: {word}."


def run_steps(config, seed, device):
    """The trained flow of figure 16.6 under three samplers with few and many steps."""
    estimate, path, _ = train_points(config, "flow", seed, device)
    z, numbers, arrays = noise_of(seed, DRAWN, 2).to(device), {}, {"counts": torch.tensor(config.counts)}
    for name in SAMPLERS:
        qualities = []
        for n in config.counts:
            at = diffusion.down(n if name != "Heun" else max(1, n // 2))  # Heun asks the network twice per step
            if name == "ancestral":
                x = diffusion.ancestral(estimate, z, at, path, generator(seed, "ancestral", n, device=device))
            else:
                x = (diffusion.ddim if name == "DDIM" else diffusion.heun)(estimate, z, at, path)
            found = score(x.cpu() * SCALE, config.data)
            qualities.append(found.overlap)
            if n in (10, 40, config.counts[-1]):
                numbers[f"{name}, {n} network calls", "overlap"] = found.overlap
        arrays[name] = torch.tensor(qualities)
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_steps(results, config):
    """Overlap (counts,) against the number of network calls, a line per seed."""
    fig, ax = drawing.panels(1, 1, (5.8, 3.4))
    for name, look in SAMPLERS.items():
        drawing.seed_curves(ax, config.counts, [r["arrays"][name] for r in results], look, marker=look.marker, ms=3)
    ax.set(xscale="log", xlabel="calls of the network", ylabel="overlap", ylim=(0, 1))
    ax.set_xticks(config.counts, [str(n) for n in config.counts])
    ax.minorticks_off()
    ax.legend()
    return fig


def verdict_steps(summary):
    """Which sampler leads at 10, 40 and most calls."""
    said = []
    for n in sorted({int(name.split(", ")[1].split(" ")[0]) for name in summary}):
        found = {name: summary[arms.name(f"{name}, {n} network calls", "overlap")] for name in SAMPLERS}
        said.append(f"{n} calls: {verdicts.ordered(found)}")
    return f"Overlap, best first (before: separated by the intervals): {'; '.join(said)}."


# 16.8, 16.9 and 16.11 Digits

LOSSES = {
    "simple": (*TRAINED["velocity, cosine"], Look("simple: velocity, cosine path", "blue", "-", "o")),
    "bound": (*TRAINED["bound"], Look("bound: noise, even log-SNR", "vermillion", "--", "s")),
}


@dataclass(frozen=True)
class Digits:
    """A denoiser of the 8x8 digits that may be told the class, trained with two weightings."""

    learning_rates: tuple = (("simple", 2e-3), ("bound", 2e-3))  # at the start; they fall along half a cosine to 0
    tuning: tuple = ()  # (loss, rate, bound in nats on 300 training digits left out), seed 100
    width: int = 256
    blocks: int = 3
    dropped: float = 0.1  # share of labels hidden in training
    batch: int = 128
    steps: int = 2500
    average: float = 0.995
    moments: int = 4  # at which the bound is taken
    draws: int = 60  # noise levels for the bound
    per_class: int = 50  # samples of each class
    sampling_steps: int = 50  # of DDIM
    weights: tuple = (0.0, 1.0, 2.0, 4.0)  # of guidance
    judge_steps: int = 600


def pixels(split):
    """Digits as rows (n, 64) with 17 levels from -1 to 1, and labels (n,)."""
    images, labels = labeled("digits", split)
    return (images.flatten(1).float() * 16 / 255).round() / 8 - 1, labels


LEVELS = torch.arange(17) / 8 - 1


def train_digits(config, arm, seed, device, rows=None):
    """Train one denoiser on digits. rows: in place of all training digits; then the last 300 are for validation.

    Returns the averaged network, its path and target, and the History with the bound."""
    path, target, _ = LOSSES[arm]
    x, y = rows or pixels("train")
    held, held_y = [part[-300:] for part in pixels("train")] if rows else pixels("test")
    held, held_y, levels = held.to(device), held_y.to(device), LEVELS.to(device)
    nets = nn.ModuleDict({"denoiser": diffusion.LabeledDenoiser(seed, 64, 10, config.width, config.blocks)}).to(device)
    ema = Average(nets, config.average)
    net = ema.nets["denoiser"]

    def watch(done):
        estimate = diffusion.estimates(diffusion.with_label(net, held_y), path, target)
        nats = diffusion.bound(estimate, held, levels, path, config.draws, generator(seed, "bound", device=device))
        return {"bound": float(nats.mean())}

    history = fit_kept(
        functools.partial(diffusion.labeled_step, path=path, target=target, dropped=config.dropped), nets,
        adams(nets, {"denoiser": dict(config.learning_rates)[arm]}), (x, y), 64, batch=config.batch, steps=config.steps,
        seed=seed, device=device, schedule=cosine(config.steps), ema=ema, watch=watch,
        log_every=max(1, config.steps // config.moments),
    )  # fmt: skip
    return net.cpu(), path, target, history


def asked_estimate(net, path, target, y, weight):
    """The estimate of a labeled network for labels y (n,) under guidance."""
    told = diffusion.estimates(diffusion.with_label(net, y), path, target)
    if weight == 1:
        return told
    return diffusion.guided(
        diffusion.estimates(diffusion.with_label(net, torch.full_like(y, 10)), path, target), told, weight
    )


def digit_judge(config, seed):
    """A classifier of 8x8 pictures that no generator is trained against; it takes rows (n, 64) in [-1, 1]."""
    x, y = pixels("train")
    judge = classifier(8, width=16, generator=generator(seed, "judge"))
    return train_judge(judge, (x / 2 + 0.5).reshape(-1, 1, 8, 8), y, steps=config.judge_steps, seed=seed)


def right(judge, x, y):
    """Share of rows x (n, 64) that the judge takes for the class asked for."""
    return (named(judge, (x.clamp(-1, 1) / 2 + 0.5).reshape(-1, 1, 8, 8)) == y).double().mean()


def spread_within(x, y):
    """Mean distance of two rows of one class."""
    return torch.stack([torch.pdist(x[y == k]).mean() for k in range(10)]).mean()


def run_digits(config, seed, device):
    """Both weightings: bound in nats, and what the judge names; for the simple loss also under guidance."""
    judge, (test, test_y) = digit_judge(config, seed), pixels("test")
    numbers = {("held-out digits", "asked class"): right(judge, test, test_y)}
    y = torch.arange(10).repeat_interleave(config.per_class)
    z, at, arrays = noise_of(seed, len(y), 64), diffusion.down(config.sampling_steps), {}
    for arm in LOSSES:
        net, path, target, history = train_digits(config, arm, seed, device)
        curve = torch.tensor([seen["bound"] for seen in history.watched])
        numbers[arm, "nats per digit, at most"] = curve[-1]
        numbers[arm, "change of them over the last quarter"] = curve[-1] - curve[-2]
        for w in config.weights if arm == "simple" else (1.0,):
            x = diffusion.ddim(asked_estimate(net, path, target, y, w), z, at, path)
            numbers[f"{arm}, w = {w:g}", "asked class"] = right(judge, x, y)
            numbers[f"{arm}, w = {w:g}", "spread within a class"] = spread_within(x, y)
            arrays[f"{arm} {w:g}"] = x.reshape(10, -1, 64)[:, :10].reshape(-1, 64)
    numbers["held-out digits", "spread within a class"] = spread_within(test, test_y)
    numbers["nats", "simple minus bound"] = (
        numbers["simple", "nats per digit, at most"] - numbers["bound", "nats per digit, at most"]
    )
    train = pixels("train")[0]
    share = torch.stack([(train == level).double().mean(0) for level in LEVELS], 1) + 1 / len(train)  # (64, 17)
    own = ((test[..., None] - LEVELS).abs() < 0.01).double()  # (n, 64, 17)
    numbers["independent pixels", "nats per digit"] = (
        -(own * (share / share.sum(1, keepdim=True)).log()).sum((1, 2)).mean()
    )
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_digits(results, config):
    """Sheets of the first seed: two weightings without guidance, and guidance of 4."""
    fig, axes = drawing.panels(1, 3, (8.4, 3.1))
    titles = {"simple 1": "simple loss, w = 1", "bound 1": "bound, w = 1", "simple 4": "simple loss, w = 4"}
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        x = results[0]["arrays"][name].clamp(-1, 1)
        drawing.sheet(ax, (x / 2 + 0.5).reshape(-1, 1, 8, 8), title, most=1)
    return fig


def verdict_digits(summary):
    """Which weighting has the smaller bound, which the samples that the judge names; what guidance does to both scores."""
    nats, change = (
        verdicts.sign(summary["nats: simple minus bound"]),
        summary["bound: change of them over the last quarter"],
    )
    word = {
        1: "the bound's own weighting needs fewer nats",
        -1: "the simple loss needs fewer nats",
        0: "the nats are not separated",
    }
    ones = {arm: summary[f"{arm}, w = 1: asked class"] for arm in LOSSES}
    gap = verdicts.separated(*ones.values())
    judged = {1: "more of the simple loss's", -1: "more of the bound's", 0: "no more of one's than of the other's"}
    narrow = verdicts.separated(
        summary["simple, w = 4: spread within a class"], summary["simple, w = 1: spread within a class"]
    )
    return (
        f"{word[nats][0].upper() + word[nats][1:]}; the judge names the asked class in {judged[gap]} samples "
        f"({verdicts.percent(ones['simple'])} and {verdicts.percent(ones['bound'])}). Guidance of 4: "
        f"{verdicts.percent(summary['simple, w = 4: asked class'])} named, and a spread within classes that is "
        f"{ {1: 'larger', 0: 'not separated', -1: 'smaller'}[narrow] }. Mean change of the bound over the last quarter of "
        f"training: {verdicts.mean(change, '.2f')} nats."
    )


# 16.9 Memorisation


@dataclass(frozen=True)
class Memory:
    """Samples and errors of the optimal denoiser of the training digits beside those of the trained network."""

    digits: Digits
    samples: int = 200
    noise: tuple = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # sigma / alpha


def run_memory(config, seed, device):
    """Distances of samples to the training digits, and squared errors of x_hat on training and test digits."""
    d = config.digits
    net, path, target, _ = train_digits(d, "simple", seed, device)
    (train, train_y), (test, test_y) = pixels("train"), pixels("test")
    exact = diffusion.mixture_estimate(train, 0.0, torch.full((len(train),), 1 / len(train)), path)
    y = torch.arange(config.samples) % 10
    z, at = noise_of(seed, config.samples, 64), diffusion.down(d.sampling_steps)
    drawn = {"optimal": diffusion.ddim(exact, z, at, path),
             "network": diffusion.ddim(asked_estimate(net, path, target, y, 1.0), z, at, path)}  # fmt: skip
    numbers, arrays = {}, {}
    for name, x in {**drawn, "test digits": test}.items():
        distance, which = torch.cdist(x, train).min(1)
        numbers[name, "distance to the nearest training digit, mean"] = distance.mean()
        numbers[name, "distance to the nearest training digit, least"] = distance.min()
        arrays[f"{name} distance"] = distance
        if name in drawn:
            arrays[f"{name} samples"], arrays[f"{name} nearest"] = x[:10], train[which[:10]]
    seen = {"training": (train[:297], train_y[:297]), "test": (test, test_y)}
    for split, (x, labels) in seen.items():
        learned = diffusion.estimates(diffusion.with_label(net, torch.full_like(labels, 10)), path, target)
        for name, estimate in (("optimal", exact), ("network", learned)):
            errors = []
            for sigma in config.noise:
                t = diffusion.time_of(path, torch.tensor([-2.0 * torch.tensor(sigma).log()])).float()[0]
                mix = path(t)
                noisy = mix.alpha * x + mix.sigma * torch.randn(x.shape, generator=generator(seed, "errors"))
                with torch.no_grad():
                    errors.append((estimate(noisy, t)[0] - x).square().sum(1).mean())
            arrays[f"{name}, {split}"] = torch.stack(errors)
            numbers[f"{name}, {split}", "squared error at noise 0.2"] = errors[config.noise.index(0.2)]
    return {"numbers": arms.named(numbers), "arrays": arrays}


ERRORS = {
    "optimal, training": Look("optimal, training", "black", "-", "o"),
    "optimal, test": Look("optimal, test", "black", ":", "s"),
    "network, training": Look("network, training", "blue", "-", "o"),
    "network, test": Look("network, test", "blue", ":", "s"),
}


def draw_memory(results, config):
    """Samples with their nearest training digits below; histograms of distances; errors against the noise."""
    a = results[0]["arrays"]
    fig, axes = drawing.mosaic("ab;cd", (8.4, 4.6), height_ratios=(0.62, 1))
    for key, name in zip("ab", ("optimal", "network"), strict=True):
        both = torch.cat([a[f"{name} samples"], a[f"{name} nearest"]]).clamp(-1, 1) / 2 + 0.5
        drawing.sheet(axes[key], both.reshape(-1, 1, 8, 8), f"{name}: samples, nearest training digits", most=1)
    for name, color, ls in (("optimal", "black", "-"), ("network", "#0072B2", "--"), ("test digits", "#E69F00", "-.")):
        distance = torch.cat([r["arrays"][f"{name} distance"] for r in results])
        heights = torch.histc(distance, 40, 0, 6) / len(distance)
        axes["c"].stairs(heights, torch.linspace(0, 6, 41), color=color, ls=ls, label=name, lw=1.6)
    axes["c"].set(title="distance to the nearest training digit", ylabel="share")
    axes["c"].legend()
    for name, look in ERRORS.items():
        drawing.seed_curves(axes["d"], config.noise, [r["arrays"][name].clamp_min(1e-3) for r in results], look)
    axes["d"].set(
        xscale="log", yscale="log", title="squared error of the estimated digit", xlabel="σ / α", ylim=(1e-2, 60)
    )
    axes["d"].legend(fontsize=8)
    return fig


def verdict_memory(summary):
    """Do the samples of the optimal denoiser lie on training digits and those of the network away, and who wins on test?"""
    of = {
        name: summary[f"{name}: distance to the nearest training digit, mean"]
        for name in ("optimal", "network", "test digits")
    }
    apart = verdicts.ranges_apart(of["network"], of["optimal"])
    test = verdicts.ranges_apart(
        summary["optimal, test: squared error at noise 0.2"], summary["network, test: squared error at noise 0.2"]
    )
    return (
        f"The optimal denoiser's samples lie {'nearer to' if apart == 1 else 'not nearer to'} training digits than the "
        f"network's in every pair of seeds ({verdicts.mean(of['optimal'])} and {verdicts.mean(of['network'])}; test digits "
        f"{verdicts.mean(of['test digits'])}). On test digits at noise 0.2 the optimal denoiser has the "
        f"{'larger' if test == 1 else 'smaller or an equal'} squared error."
    )


# 16.11 A right network, sampled wrongly

MISTAKES = {
    "as it should be": "as it should be",
    "starts late": "starts at t = 0.7\nas if x were noise",
    "short variance": "ancestral, variance\nof a tenth of a step",
    "long variance": "ancestral, variance\nof ten steps",
    "stale noise": "clips the digit to [-0.5, 0.5],\nkeeps the noise",
}


@dataclass(frozen=True)
class Mistakes:
    """The trained digits network under samplers with one mistake each."""

    digits: Digits


def clipped(estimate, most=0.5):
    """An estimate whose digit is clipped, with the noise left as it was: the two no longer belong to one x_t."""

    def wrong(noisy, t):
        x, noise = estimate(noisy, t)
        return x.clamp(-most, most), noise

    return wrong


def run_mistakes(config, seed, device):
    """Samples and judge's shares for each mistake."""
    d, numbers, arrays = config.digits, {}, {}
    net, path, target, _ = train_digits(d, "simple", seed, device)
    judge, y = digit_judge(d, seed), torch.arange(10).repeat_interleave(d.per_class)
    z, at, rng = noise_of(seed, len(y), 64), diffusion.down(d.sampling_steps), generator(seed, "mistakes")
    estimate = asked_estimate(net, path, target, y, 1.0)
    drawn = {
        "as it should be": diffusion.ddim(estimate, z, at, path),
        "starts late": diffusion.ddim(estimate, z, diffusion.down(d.sampling_steps, 0.7), path),
        "short variance": scaled_ancestral(estimate, z, at, path, rng, 0.1),
        "long variance": scaled_ancestral(estimate, z, at, path, rng, 10.0),
        "stale noise": diffusion.ddim(clipped(estimate), z, at, path),
    }
    for name, x in drawn.items():
        numbers[name, "asked class"] = right(judge, x, y)
        numbers[name, "spread within a class"] = spread_within(x, y)
        arrays[name] = x.reshape(10, -1, 64)[:, :5].reshape(-1, 64)
    return {"numbers": arms.named(numbers), "arrays": arrays}


@torch.no_grad()
def scaled_ancestral(estimate, x, at, path, rng, factor):
    """`diffusion.ancestral` with `factor` times its variance, as when the number of steps was changed and the variance not."""
    for i in range(len(at) - 1):
        mean = diffusion.ancestral(estimate, x, at[i : i + 2], path, generator(0, "same", i))
        quiet = torch.randn(x.shape, generator=generator(0, "same", i))
        now, then = path(at[i]), path(at[i + 1])
        ratio = now.alpha / then.alpha
        std = ((now.sigma**2 - ratio**2 * then.sigma**2).sqrt() * then.sigma / now.sigma).to(x.dtype)
        x = mean - std * quiet + factor**0.5 * std * torch.randn(x.shape, generator=rng)
    return x


def draw_mistakes(results, config):
    """A sheet per mistake: a row per class, five samples each."""
    fig, axes = drawing.panels(1, len(MISTAKES), (8.4, 3.4))
    for ax, (name, title) in zip(axes, MISTAKES.items(), strict=True):
        x = results[0]["arrays"][name].clamp(-1, 1) / 2 + 0.5
        drawing.sheet(ax, x.reshape(-1, 1, 8, 8), columns=5, most=1)
        ax.set_title(title, fontsize=8.5)
    return fig


def verdict_mistakes(summary):
    """What the judge names with each mistake."""
    shares = {name: summary[arms.name(name, "asked class")] for name in MISTAKES}
    return (
        f"Samples named as the asked class: {', '.join(f'{name} {verdicts.percent(s)}' for name, s in shares.items())}."
    )


QUICK = Digits(width=64, blocks=1, steps=60, draws=8, per_class=6, sampling_steps=8, judge_steps=20, moments=2)
FULL = Digits(width=512, blocks=6, steps=30_000, draws=200, per_class=200, average=0.999)
RECIPES = diffusion_exact.RECIPES | {
    "16.6": Recipe(
        title="The grid: velocity and noise",
        caption="Two objectives for one network on the 25 Gaussians. Above: 2,500 samples of the first seed by DDIM with 40 steps, "
        "and the centers of the modes. Below: the scores of chapter 5 over training, a line per seed.",
        alt="Two scatter plots with dots on all 25 crosses. Below, three panels of curves over training for both objectives, with a "
        "dotted line for the data.",
        run=run_grid, draw=draw_grid, full=Grid(steps=20_000, batch=512, moments=10), cpu=Grid(), record="cpu",
        quick=Grid(steps=60, points=2000, moments=3, sampling_steps=5, counts=(5, 10, 40)), seeds=tuple(range(5)),
        verdict=verdict_grid,
    ),
    "16.7": Recipe(
        title="Steps against quality on the grid",
        caption="The flow of figure 16.6 under three samplers: overlap of 2,500 samples with the 25 modes against the number of times "
        "the network is asked. Heun asks twice per step, so it takes half as many steps. A line per seed.",
        alt="Overlap over calls of the network on a logarithmic axis, lines for ancestral sampling, DDIM and Heun.",
        run=run_steps, draw=draw_steps, full=Grid(steps=20_000, batch=512, moments=10), cpu=Grid(), record="cpu",
        quick=Grid(steps=60, points=2000, moments=3, sampling_steps=5, counts=(5, 10, 40)), seeds=tuple(range(5)),
        verdict=verdict_steps,
    ),
    "16.8": Recipe(
        title="Digits with labels",
        caption="8x8 digits of the first seed, a row per class, by DDIM with 50 steps: with the simple loss and with the bound's own "
        "weighting, both without guidance, and with guidance of weight 4.",
        alt="Three sheets of ten by ten small handwritten digits, a row for each digit from 0 to 9; in the last the digits of a row "
        "look more alike.",
        run=run_digits, draw=draw_digits, full=FULL, cpu=Digits(), record="cpu", quick=QUICK, seeds=tuple(range(5)),
        verdict=verdict_digits,
    ),
    "16.9": Recipe(
        title="The optimal denoiser memorises",
        caption="Above: ten samples with the optimal denoiser of the training digits and with the trained network, and below each its "
        "nearest training digit. Left: distances to the nearest training digit, all seeds. Right: squared errors of the "
        "estimated digit against the noise; the optimal denoiser's error on training digits is too small to show at "
        "little noise.",
        alt="Above, left: samples and nearest digits are the same pictures; right: they differ. Left: the optimal denoiser's "
        "distances are at 0, those of the network near those of test digits. Right: curves of errors; at little noise the "
        "optimal denoiser's is largest on test digits.",
        run=run_memory, draw=draw_memory, full=Memory(FULL), cpu=Memory(Digits()), record="cpu",
        quick=Memory(QUICK, samples=20), seeds=tuple(range(5)), verdict=verdict_memory,
    ),
    "16.11": Recipe(
        title="One network, four mistakes in the sampler",
        caption="The network of figure 16.8 (simple loss, no guidance) sampled as it should be, and with one mistake each.",
        alt="Five sheets of digits. The first shows clear digits; the others faint, noisy or simplified ones.",
        run=run_mistakes, draw=draw_mistakes, full=Mistakes(FULL), cpu=Mistakes(Digits()), record="cpu",
        quick=Mistakes(QUICK), seeds=tuple(range(5)), verdict=verdict_mistakes,
    ),
}  # fmt: skip
