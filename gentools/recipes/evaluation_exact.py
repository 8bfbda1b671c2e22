"""Figures of chapter 11 that have a formula beside every simulation: biases, and the likelihood (11.1, 11.2, 11.6)."""

import math
from dataclasses import dataclass

import torch

from gentools import evaluation, neighbors, vae
from gentools.lab.plots import COLORS, LINES, MARKERS
from gentools.lab.randomness import generator
from gentools.lab.stream import unit
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.pictures import labeled

# 11.1 The bias of the Frechet distance, and where it turns a ranking


@dataclass(frozen=True)
class Bias:
    """Data N(0, I) with known moments, and two models: the data's own distribution, and one that is too narrow."""

    dimensions: int = 32
    narrow: float = 0.95  # standard deviation of the worse model
    sizes: tuple = (50, 100, 200, 400, 800, 1600)  # samples of a model
    draws: int = 300  # of each size and model


MODELS = {
    "perfect model": Look("perfect model", "blue", LINES[0], "o"),
    "narrow model": Look("model too narrow", "vermillion", LINES[1], "s"),
}


def run_bias(config, seed, device):
    """Frechet distances of samples to the exact moments of the data, with the distance that the formula expects."""
    d, zero = config.dimensions, torch.zeros(config.dimensions).double()
    eye, stds = torch.eye(d).double(), dict(zip(MODELS, (1.0, config.narrow), strict=True))
    arrays, numbers = {"n": torch.tensor(config.sizes)}, {}
    for name, std in stds.items():
        rng, found = generator(seed, "bias", name), []
        for n in config.sizes:
            drawn = std * torch.randn(config.draws, n, d, generator=rng, dtype=torch.float64)
            found.append([evaluation.frechet_of_moments(x.mean(0), x.T.cov(), zero, eye) for x in drawn])
        arrays[name] = torch.tensor(found)  # (sizes, draws)
        cov = std**2 * eye
        true = evaluation.frechet_of_moments(zero, cov, zero, eye)
        arrays[f"{name} expected"] = torch.tensor([true + evaluation.frechet_bias(cov, eye, n) for n in config.sizes])
        numbers[name, "true distance"] = true
        numbers[name, f"mean distance at n = {config.sizes[0]}"] = arrays[name][0].mean()
        numbers[name, f"the same by (11.6) at n = {config.sizes[0]}"] = arrays[f"{name} expected"][0]
    wrong = (arrays["perfect model"] > arrays["narrow model"]).double().mean(1)  # (sizes,)
    arrays["wrong"] = wrong
    s = config.narrow
    numbers = arms.named(numbers)
    numbers["the ranking turns at n, by (11.6)"] = ((1 - s) * d * (d + 1) / 4 + (1 - s**2) * d) / (d * (1 - s) ** 2)
    numbers |= {f"share of wrong rankings at n = {n}": w for n, w in zip(config.sizes, wrong, strict=True)}
    return {"numbers": numbers, "arrays": arrays}


def draw_bias(results, config):
    """Mean distances (sizes,) and the formula; the difference of both models (sizes,); the share of wrong rankings (sizes,)."""
    a, numbers = results[0]["arrays"], results[0]["numbers"]
    fig, (left, middle, right) = drawing.panels(1, 3, (8.4, 3.4), layout="constrained")
    turn = float(numbers["the ranking turns at n, by (11.6)"])
    for name, look in MODELS.items():
        left.plot(a["n"], a[name].mean(1), **look.as_points(label=f"{name.removesuffix(' model')}, mean"))
        left.plot(a["n"], a[f"{name} expected"], **look.as_line(label=f"{name.removesuffix(' model')}, by (11.6)"))
        left.axhline(float(numbers[arms.name(name, "true distance")]), color=look.rgb, lw=0.8, ls=":")
    left.set(xscale="log", yscale="log", title="Fréchet distance to the data")
    perfect, narrow = MODELS
    gap = a[narrow] - a[perfect]  # (sizes, draws)
    error = 1.96 * gap.std(1) / config.draws**0.5
    middle.errorbar(
        a["n"], gap.mean(1), error, color="black", ls="none", marker="o", ms=4, capsize=2, label="mean, 95 %"
    )
    expected = a[f"{narrow} expected"] - a[f"{perfect} expected"]
    middle.plot(a["n"], expected, color="black", ls="-", lw=1.2, label="by (11.6)")
    drawing.level(middle, 0)
    middle.set(xscale="log", title="narrow minus perfect")
    middle.legend(loc="lower right", fontsize=8)
    right.plot(a["n"], a["wrong"], **Look("", "black", LINES[0], "o").as_both(label=None))
    drawing.level(right, 0.5, "a coin", at=0.98, ha="right")
    right.set(xscale="log", ylim=(-0.03, 1), title="share ranked wrongly")
    for ax in (left, middle, right):
        ax.axvline(turn, color="0.45", lw=1.2, ls="--")
        ax.set(xlabel="samples n of each model")
        ax.set_xticks(config.sizes, [str(n) for n in config.sizes], fontsize=8)
        ax.minorticks_off()
    right.annotate("means cross", (turn, 0.9), (4, 0), textcoords="offset points", color="0.3")
    left.legend(loc="lower left", bbox_to_anchor=(0, 0.08), fontsize=8, frameon=True, framealpha=1, edgecolor="none")
    return fig


# 11.2 What other estimates do at small n


@dataclass(frozen=True)
class Estimates:
    """Equal distributions on both sides, so that whatever shows is the estimate and no difference."""

    sizes: tuple = (20, 50, 100, 200, 500, 1000)
    draws: int = 60
    dimensions: tuple = (1, 2, 4, 8, 16, 32, 64)
    at: int = 200  # samples where the dimension varies
    classes: int = 100  # of the score, all sure and equally frequent
    support: int = 1000  # points of the two distributions whose birthdays are counted
    k: int = 5  # neighbors


SHARES = {
    "precision": ("orange", LINES[1], "s"),
    "coverage": ("blue", LINES[0], "o"),
    "density": ("green", LINES[2], "^"),
}
SUPPORTS = {"equal": ("blue", LINES[0], "o"), "Zipf": ("vermillion", LINES[1], "s")}


def run_estimates(config, seed, device):
    """KID, the log of the score, precision and coverage, and birthdays, over draws of equal distributions."""
    rng, arrays = generator(seed, "estimates"), {"n": torch.tensor(config.sizes), "d": torch.tensor(config.dimensions)}

    def normal(*shape):
        return torch.randn(*shape, generator=rng)

    arrays["KID"] = torch.tensor(
        [[evaluation.kid(*normal(2, n, 8)) for _ in range(config.draws)] for n in config.sizes]
    )

    def score(n):
        return math.log(evaluation.classifier_score(torch.eye(config.classes)[_labels(config.classes, n, rng)]))

    arrays["score"] = torch.tensor([[score(n) for _ in range(config.draws)] for n in config.sizes])
    near = [[neighbors.neighborhoods(*normal(2, config.at, d), config.k) for _ in range(config.draws)]
            for d in config.dimensions]  # fmt: skip
    for name in SHARES:
        arrays[name] = torch.tensor([[getattr(one, name) for one in row] for row in near])  # (dimensions, draws)
    shares = torch.ones(config.support).double()
    for name, p in {"equal": shares, "Zipf": 1 / torch.arange(1, config.support + 1).double()}.items():
        p = p / p.sum()
        drawn = [[torch.multinomial(p, n, replacement=True, generator=rng)[:, None].float() for _ in range(config.draws)]
                 for n in config.sizes]  # fmt: skip
        pairs = torch.tensor([[evaluation.birthdays(x, 0.5).pairs for x in row] for row in drawn]).double()
        of = torch.tensor([n * (n - 1) / 2 for n in config.sizes])
        arrays[f"pairs {name}"] = of / pairs.mean(1)  # (sizes,); infinite where none was found
        arrays[f"size {name}"] = 1 / p.square().sum()
    last = len(config.sizes) - 1
    numbers = {
        "share of negative KIDs": (arrays["KID"] < 0).double().mean(),
        f"log score minus its limit at n = {config.sizes[0]}": arrays["score"][0].mean() - math.log(config.classes),
        f"log score minus its limit at n = {config.sizes[last]}": arrays["score"][last].mean()
        - math.log(config.classes),
        f"the same by (11.7) at n = {config.sizes[last]}": -(config.classes - 1) / (2 * config.sizes[last]),
        "coverage by (11.8)": neighbors.expected_coverage(config.at, config.at, config.k),
    }
    for name in SHARES:
        for i in (0, len(config.dimensions) - 1):
            numbers[f"{name} in {config.dimensions[i]} dimensions"] = arrays[name][i].mean()
    for name in SUPPORTS:
        numbers[f"{name} weights: 1 / sum p^2"] = arrays[f"size {name}"]
        numbers[f"{name} weights: the same from birthdays"] = arrays[f"pairs {name}"][last]
    return {"numbers": numbers, "arrays": arrays}


def _labels(classes, n, rng):
    return torch.randint(classes, (n,), generator=rng)


def draw_estimates(results, config):
    """Four panels: KID (sizes, draws), log score (sizes, draws), shares (dimensions, draws), supports (sizes,)."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(2, 2, (8.4, 6.2), layout="constrained")
    n, (kid, score, near, support) = a["n"], axes.flat
    for x, row in zip(n.tolist(), a["KID"], strict=True):
        kid.plot([x] * len(row), row, ".", color=COLORS["sky"], ms=3)
    kid.plot(n, a["KID"].mean(1), **Look("mean of the draws", "blue", LINES[0], "o").as_both())
    kid.axhline(0, color="black", lw=0.8)
    kid.set(title="KID of equal distributions", xscale="log", xlabel="samples n of each side")
    kid.set_yscale("symlog", linthresh=0.05)
    reach = 1.25 * float(a["KID"].abs().max())
    kid.set_ylim(-reach, reach)
    kid.set_yticks((-0.3, -0.1, 0, 0.1, 0.3), ("−0.3", "−0.1", "0", "0.1", "0.3"))
    limit, line = math.log(config.classes), torch.logspace(math.log10(n[0]), math.log10(n[-1]), 50)
    score.plot(n, a["score"].mean(1), **Look("mean of the draws", "blue", LINES[0], "o").as_points())
    score.plot(line, limit - (config.classes - 1) / (2 * line), **Look("by (11.7)", "blue", LINES[1]).as_line())
    drawing.level(score, limit, "the limit", at=0.02)
    score.set(title=f"log score, {config.classes} classes", xscale="log", xlabel="samples n", ylim=(2, 5))
    for name, how in SHARES.items():
        near.plot(a["d"], a[name].mean(1), **Look(name, *how).as_both())
    exact = neighbors.expected_coverage(config.at, config.at, config.k)
    drawing.level(near, exact, "coverage by (11.8)", at=0.98, ha="right", above=-13)
    near.set(title=f"equal distributions, n = {config.at}", xscale="log", xlabel="dimensions", ylim=(0.5, 1.15))
    near.set_xticks(config.dimensions, [str(d) for d in config.dimensions])
    for name, how in SUPPORTS.items():
        look = Look(f"{name} weights, pairs found", *how)
        support.plot(n, a[f"pairs {name}"], **look.as_points())
        size = float(a[f"size {name}"])
        drawing.level(support, size, f"1/Σp² = {size:.0f}", at=0.98, ha="right", above=-12)
    support.set(
        title=f"support of {config.support} points, by birthdays", xscale="log", yscale="log", xlabel="samples n"
    )
    support.set_ylim(10, 3000)
    for ax in (kid, score, support):
        ax.set_xticks(config.sizes, [str(x) for x in config.sizes])
    for ax in axes.flat:
        ax.minorticks_off()
        ax.legend(loc={near: "lower left", support: "center left"}.get(ax, "best"), fontsize=9)
    return fig


# 11.6 The likelihood by importance sampling


@dataclass(frozen=True)
class Sampling:
    """The exact linear VAE of small scans, and encoders whose variances are multiples of the best independent ones."""

    data: str = "digits"
    latent: int = 8
    factors: tuple = (0.3, 0.6, 0.8, 2.0)  # of the encoder's variances; 1 is the exact posterior here
    draws: tuple = (1, 4, 16, 64, 256, 1024)  # codes per picture in one estimate
    most: int = 8192  # codes per picture in all
    rows: int = 30  # held-out pictures


def variance_of_weights(precision, shift, encoder_variance):
    """Var(w) / q(x)^2 of weights w = q(x, z) / p(z|x), exactly; infinite where the encoder is too narrow.

    The posterior has that precision (k, k) and a mean that differs by shift (n, k) from the encoder's, which has variances
    (k,). The integral of N(z; m, L^-1)^2 / N(z; m + shift, V) is Gaussian: (n,).
    """
    encoder = torch.diag(1 / encoder_variance)
    left = 2 * precision - encoder  # of the integrand; a Gaussian only where it is positive definite
    if torch.linalg.eigvalsh(left).min() <= 0:
        return torch.full((len(shift),), math.inf, dtype=shift.dtype)
    moved = shift @ encoder  # (n, k)
    exponent = ((shift * moved).sum(1) + (moved * torch.linalg.solve(left, moved.T).T).sum(1)) / 2
    log_det = torch.logdet(precision) - (torch.logdet(encoder) + torch.logdet(left)) / 2
    return (exponent + log_det).exp() - 1


def gap(log_relative, draws, finite):
    """Mean of log q(x) minus its estimate from that many draws, and its standard error, given the logs of w / q(x), (s, n).

    The relative weights have mean 1, so mean weight minus 1 can be added, which takes away most of the noise. Where their
    variance is infinite it would add noise, and is left out.
    """
    mean = log_relative.unflatten(0, (-1, draws)).logsumexp(1) - math.log(draws)  # (groups, n)
    found = torch.expm1(mean) - mean if finite else -mean  # (groups, n)
    return found.mean(), found.std() / math.sqrt(found.numel())


def run_sampling(config, seed, device):
    """log q(x) by importance sampling against its closed form, for each encoder and number of draws."""
    train, test = (unit(labeled(config.data, part)[0]).flatten(1).double() for part in ("train", "test"))
    mean, x = train.mean(0), test[: config.rows] - train.mean(0)
    _, values, vectors = vae.spectrum(train)
    decoder, noise_variance = vae.ppca(values, vectors, config.latent)
    cov = decoder @ decoder.T + noise_variance * torch.eye(len(mean)).double()
    exact = torch.distributions.MultivariateNormal(torch.zeros_like(mean), cov).log_prob(x)  # (rows,)
    encoder, variance = vae.best_encoder(decoder, noise_variance)
    precision = torch.eye(config.latent).double() + decoder.T @ decoder / noise_variance
    arrays, numbers = {"k": torch.tensor(config.draws)}, {"exact log q(x), nats": exact.mean()}
    zero = torch.zeros(1).double()
    for factor in config.factors:
        at, rng = x @ encoder.T, generator(seed, "draws", repr(factor))
        noise = torch.randn(config.most, len(x), config.latent, generator=rng, dtype=torch.float64)
        z = at + (factor * variance).sqrt() * noise
        log_weight = vae.log_normal(x, z @ decoder.T, noise_variance.log())
        log_weight += vae.log_normal(z, zero, zero) - vae.log_normal(z, at, (factor * variance).log())
        spread = variance_of_weights(precision, torch.zeros_like(at), factor * variance).mean()
        gaps, errors = zip(*(gap(log_weight - exact, k, bool(spread.isfinite())) for k in config.draws), strict=True)
        arrays[f"gap {factor:g}"], arrays[f"spread {factor:g}"] = torch.stack(gaps), spread
        found = evaluation.log_likelihood(log_weight[: config.draws[-1]])
        name = f"variances x {factor:g}"
        numbers[name, f"gap with {config.draws[0]} draw, nats"] = gaps[0]
        numbers[name, f"gap with {config.draws[-1]} draws, nats"] = gaps[-1]
        numbers[name, f"gap with {config.draws[-1]} draws, standard error"] = errors[-1]
        if spread.isfinite():
            numbers[name, f"gap with {config.draws[-1]} draws by (11.12), nats"] = spread / (2 * config.draws[-1])
        numbers[name, f"effective draws of {config.draws[-1]}"] = found.effective.mean()
    first, rest = {"exact log q(x), nats": numbers.pop("exact log q(x), nats")}, arms.named(numbers)
    return {"numbers": first | rest, "arrays": arrays}


def draw_sampling(results, config):
    """The gap (draws,) to the exact log-likelihood for each encoder, and the line that (11.12) predicts."""
    a = results[0]["arrays"]
    fig, ax = drawing.panels(size=(6.6, 4.0), layout="constrained")
    colors = ("vermillion", "orange", "blue", "green")
    for i, factor in enumerate(config.factors):
        look = Look(f"variances × {factor:g}", colors[i % 4], LINES[0], MARKERS[i % len(MARKERS)])
        ax.plot(a["k"], a[f"gap {factor:g}"], **look.as_points())
        if (spread := float(a[f"spread {factor:g}"])) < 1e6:
            ax.plot(a["k"], spread / (2 * a["k"]), color=look.rgb, ls="--", lw=1.2)
        else:
            ax.plot(a["k"], a[f"gap {factor:g}"], color=look.rgb, ls=":", lw=1)
    ax.set(xscale="log", yscale="log", xlabel="draws k per picture", ylabel="exact log q(x) minus estimate, nats")
    ax.set_xticks(config.draws, [str(k) for k in config.draws])
    ax.minorticks_off()
    ax.legend(loc="lower left")
    return fig


RECIPES = {
    "11.1": Recipe(
        title="The Fréchet bias, and the ranking that it turns",
        caption="Data N(0, I) in 32 dimensions with exact moments. One model is perfect, the other too narrow by 5 %. Left: "
        "mean distance of n samples, with (11.6) as lines and the true distance of the narrow model dotted. Middle: the difference "
        "of the two means; below 0 the narrow model looks better. Right: how often one sample of each ranks the models wrongly.",
        alt="Left, two falling lines with points on them that cross near n = 200: the perfect model falls toward 0, "
        "the narrow one levels off at a dotted line. Middle, their difference rises from below 0 and crosses 0 there. "
        "Right, the share of wrong rankings falls from about 0.7 to 0 and passes one half where the lines cross.",
        run=run_bias, draw=draw_bias, full=Bias(), quick=Bias(sizes=(50, 200, 800), draws=20),
    ),
    "11.2": Recipe(
        title="Four estimates at small n",
        caption="Top left and bottom left, samples are compared with others of the same distribution. KID is right on "
        "average and often negative; coverage and density have the same mean in every dimension, precision has not. Top "
        "right: the log of the score is too low by (11.7) once n is well above the number of classes. Bottom right: "
        "birthdays find 1/Σp², not the number of points.",
        alt="Four panels. KID scatters around zero, less as n grows. The log score rises to its limit along a curve. "
        "Coverage and density stay level over the dimension while precision falls. Pairs point to 1000 points for equal "
        "weights and to about 34 for Zipf weights.",
        run=run_estimates, draw=draw_estimates, full=Estimates(), quick=Estimates(sizes=(20, 100), draws=5, dimensions=(1, 8)),
    ),
    "11.6": Recipe(
        title="Importance sampling against the exact likelihood",
        caption="The linear VAE of 8x8 digits, whose log q(x) is known, and encoders with the best means and with "
        "variances that are multiples of the best independent ones. Points: exact value minus estimate, mean over 30 "
        "held-out pictures. Dashed: (11.12), the variance of the relative weight divided by 2k. Where this variance is "
        "infinite, a dotted line joins the points instead.",
        alt="Gaps against the number of draws on two logarithmic axes. Two encoders, with 0.8 and 2 times the variances, follow "
        "straight falling dashed lines; the points of 0.6 stay below theirs and come nearer; those of 0.3 fall slowly along a dotted "
        "line and have no dashed one.",
        run=run_sampling, draw=draw_sampling, full=Sampling(), quick=Sampling(draws=(1, 4, 16), most=1024),
    ),
}  # fmt: skip
