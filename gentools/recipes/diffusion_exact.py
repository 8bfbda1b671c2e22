"""Exact experiments of chapter 16: one mixture on a line, what variances cost, weights, samplers, guidance (16.1 to 16.5, 16.8)."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from gentools import diffusion
from gentools.lab.plots import COLORS, LINES
from gentools.lab.randomness import generator
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.curves import change
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit

PATHS = {"cosine": diffusion.cosine, "linear": diffusion.linear, "even": diffusion.even, "straight": diffusion.straight}


def mixture(centers, weights):
    """Centers (k, 1) and weights (k,) of a mixture on a line, float64."""
    return torch.tensor(centers, dtype=torch.float64)[:, None], torch.tensor(weights, dtype=torch.float64)


# 16.1 A mixture becomes noise, and noise becomes the mixture


@dataclass(frozen=True)
class Tour:
    """A mixture of two Gaussians on a line under the cosine path."""

    centers: tuple = (-1.0, 1.5)
    weights: tuple = (0.3, 0.7)
    std: float = 0.2
    steps: int = 200
    shown: int = 12  # paths
    counted: int = 20_000  # samples of each sampler


def run_tour(config, seed, device):
    """Paths of the encoder, of the ancestral and of the deterministic sampler, and where their samples end."""
    path, (centers, weights) = diffusion.cosine, mixture(config.centers, config.weights)
    estimate = diffusion.mixture_estimate(centers, config.std, weights, path)
    at, rng = diffusion.down(config.steps), generator(seed, "tour")
    start = torch.special.ndtri((torch.arange(config.shown, dtype=torch.float64) + 0.5) / config.shown)[:, None]
    lines = {"deterministic": [start], "ancestral": [start]}
    for i in range(config.steps):
        ends = at[i : i + 2]
        lines["deterministic"].append(diffusion.ddim(estimate, lines["deterministic"][-1], ends, path))
        lines["ancestral"].append(diffusion.ancestral(estimate, lines["ancestral"][-1], ends, path, rng))
    component = torch.multinomial(weights, config.shown, replacement=True, generator=rng)
    x = centers[component] + config.std * torch.randn(config.shown, 1, generator=rng, dtype=torch.float64)
    lines["encoder"], up = [x], at.flip(0)
    for s, t in pairwise(up):
        ratio = path(t).alpha / path(s).alpha
        added = (path(t).sigma ** 2 - ratio**2 * path(s).sigma ** 2).clamp_min(0).sqrt()
        x = ratio * x + added * torch.randn(x.shape, generator=rng, dtype=torch.float64)
        lines["encoder"].append(x)
    arrays = {name: torch.cat(rows, 1) for name, rows in lines.items()}  # (shown, steps + 1)
    arrays |= {"at": at}
    noise = torch.randn(config.counted, 1, generator=rng, dtype=torch.float64)
    between = centers.mean()
    ends = {
        "ancestral": diffusion.ancestral(estimate, noise, diffusion.down(50), path, rng),
        "deterministic": diffusion.ddim(estimate, noise, diffusion.down(50), path),
    }
    numbers = {(name, "share in the left mode"): (x < between).double().mean() for name, x in ends.items()}
    numbers["data", "share in the left mode"] = config.weights[0]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_tour(results, config):
    """The density of x_t as shades, and paths (shown, steps + 1) on it."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 3, (8.4, 3.0), sharey=True)
    t, x = torch.linspace(0.001, 1, 200, dtype=torch.float64), torch.linspace(-4, 4, 320, dtype=torch.float64)
    mix, (centers, weights) = diffusion.cosine(t), mixture(config.centers, config.weights)
    spread = mix.alpha**2 * config.std**2 + mix.sigma**2
    each = (-((x[:, None, None] - mix.alpha * centers) ** 2) / (2 * spread)).exp() / spread.sqrt()
    density = (weights[:, None] * each).sum(1)  # (320, 200)
    titles = {
        "encoder": "encoder: data to noise",
        "ancestral": "ancestral: noise to data",
        "deterministic": "deterministic",
    }
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        ax.imshow(
            density.numpy(), extent=(0, 1, -4, 4), origin="lower", aspect="auto", cmap="Greys", vmax=1.2, alpha=0.7
        )
        at = a["at"].flip(0) if name == "encoder" else a["at"]
        for line in a[name]:
            ax.plot(at, line, lw=0.8, ls="-", color=COLORS["blue" if name == "encoder" else "vermillion"])
        ax.set(title=title, xlabel="t", ylim=(-3, 4))
        if name != "encoder":
            ax.invert_xaxis()
    axes[0].set_ylabel("x at time t")
    return fig


# 16.2 What fixed variances cost

FIXED = {
    "beta": Look("$\\sigma^2 = \\beta$", "blue", LINES[0], "o"),
    "beta-tilde": Look("$\\sigma^2 = \\tilde\\beta$", "vermillion", LINES[1], "s"),
}
LIMIT = 0.5772156649015329 / 2 + (1 - math.log(2)) / 2  # nats, (16.8)


@dataclass(frozen=True)
class Costs:
    """Gaussian data of several variances under Ho's schedule with more and more steps."""

    path: str = "linear"
    variances: tuple = (1e-4, 0.01, 0.25, 1.0, 4.0)
    steps: tuple = (10, 30, 100, 300, 1000, 3000, 10_000, 100_000)


def run_costs(config, seed, device):
    """Nats that the exact mean leaves with each fixed variance, for each variance of the data and number of steps."""
    numbers, arrays = {}, {"steps": torch.tensor(config.steps)}
    for v in config.variances:
        for name in FIXED:
            costs = []
            for steps in config.steps:
                betas = diffusion.betas_of(PATHS[config.path], steps)
                used = betas if name == "beta" else diffusion.smaller_variance(betas)
                exact = diffusion.exact_chain(torch.zeros((), dtype=torch.float64), torch.tensor(v).double(), betas)
                costs.append(diffusion.variance_cost(exact.variance, used).sum())
            arrays[f"{name} {v:g}"] = torch.stack(costs)
            for steps in {1000, config.steps[-1]} & {*config.steps}:
                numbers[f"{name}, data variance {v:g}", f"nats, T = {steps:,}"] = costs[config.steps.index(steps)]
    numbers["limit of beta-tilde", "nats"] = LIMIT
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_costs(results, config):
    """Costs (steps,) against the number of steps, a panel for each of the first four variances of the data."""
    a = results[0]["arrays"]
    chosen = config.variances[:4]
    fig, (axes,) = drawing.panels(1, len(chosen), (8.4, 2.9), sharey=True, squeeze=False)
    for ax, v in zip(axes, chosen, strict=True):
        for name, look in FIXED.items():
            ax.loglog(a["steps"], a[f"{name} {v:g}"].clamp_min(1e-9), **look.as_both())
        ax.axhline(LIMIT, color="0.4", lw=1, ls=":")
        ax.set(title=f"data variance {v:g}", xlabel="steps T", ylim=(1e-5, 8))
    axes[0].set_ylabel("nats per dimension")
    last = axes[-1]  # where beta-tilde comes from above, so that below the line is room
    last.annotate("0.442", (last.get_xlim()[0] * 1.3, LIMIT), (0, -12), textcoords="offset points", color="0.3")
    if 1.0 in chosen:
        at = axes[chosen.index(1.0)]
        at.annotate("$\\beta$ costs 0 here", (0.3, 0.12), xycoords="axes fraction", color="0.3")
    drawing.legend_below(fig, axes[0], 2)
    return fig


# 16.3 A trained chain


@dataclass(frozen=True)
class Linear:
    """Data N(mean, variance) on a line, and a line and a variance per step that are learned from samples."""

    path: str = "linear"
    mean: float = 0.5
    variance: float = 0.25
    chain: int = 20  # steps T
    batch: int = 256
    steps: int = 4000
    learning_rate: float = 0.03  # of Adam; falls in a straight line to 0
    points: int = 20_000


def run_linear(config, seed, device):
    """Train the chain, and ask for every term of (16.2) with learned and with fixed variances, against the exact ones."""
    betas = diffusion.betas_of(PATHS[config.path], config.chain)
    mean, variance = (torch.tensor(each, dtype=torch.float64) for each in (config.mean, config.variance))
    rows = mean + variance.sqrt() * torch.randn(
        config.points, 1, generator=generator(seed, "line"), dtype=torch.float64
    )
    nets = nn.ModuleDict({"denoiser": diffusion.LinearDenoiser(betas).to(device)})
    curve = []

    def watch(done):
        curve.append(diffusion.joint_terms(mean, variance, betas, nets["denoiser"].cpu().chain())[1:].sum())
        nets.to(device)
        return {}

    fit(diffusion.chain_step, nets, adams(nets, config.learning_rate), rows, config.chain, batch=config.batch,
        steps=config.steps, seed=seed, device=device, schedule=lambda t: 1 - t / config.steps, watch=watch,
        log_every=max(1, config.steps // 20))  # fmt: skip
    learned = diffusion.Chain(*(part.detach() for part in nets["denoiser"].cpu().chain()))
    exact = diffusion.exact_chain(mean, variance, betas)
    curve = torch.stack(curve).detach()
    numbers = {
        "nats above the top term, learned variances": curve[-1],
        "change of them over the last quarter": change(curve),
        "nats, largest step, learned variances": diffusion.joint_terms(mean, variance, betas, learned)[1:].max(),
        "largest miss of a slope": (learned.slope - exact.slope).abs().max(),
    }
    for name, used in (("beta", betas), ("beta-tilde", diffusion.smaller_variance(betas))):
        terms = diffusion.joint_terms(mean, variance, betas, learned._replace(variance=used))
        numbers[f"nats above the top term, {name}"] = terms[1:].sum()
        numbers[f"the same of the exact mean, {name}"] = diffusion.variance_cost(exact.variance, used).sum()
    arrays = {
        "slope": learned.slope, "exact slope": exact.slope, "ratio": learned.variance / betas,
        "exact ratio": exact.variance / betas, "tilde": diffusion.smaller_variance(betas) / betas, "curve": curve,
    }  # fmt: skip
    return {"numbers": numbers, "arrays": arrays}


def draw_linear(results, config):
    """Slopes and variances (T,) of every seed on the exact ones, and the nats left over training."""
    a, t = results[0]["arrays"], torch.arange(1, config.chain + 1)
    fig, axes = drawing.panels(1, 3, (8.4, 3.1))
    for ax, name, title in (
        (axes[0], "slope", "slope of the reverse mean"),
        (axes[1], "ratio", "reverse variance / β"),
    ):
        ax.plot(t, a[f"exact {name}"], color="black", ls="-", lw=1.2, label="exact")
        for i, r in enumerate(results):
            ax.plot(t, r["arrays"][name], "o", ms=4, color=COLORS["green"], alpha=0.6, label=None if i else "learned")
        ax.set(title=title, xlabel="step t")
    axes[1].axhline(1, color=COLORS["blue"], ls="--", lw=1, label="β")
    axes[1].plot(t, a["tilde"], color=COLORS["vermillion"], ls="-.", lw=1.2, label="β̃")
    axes[0].legend(), axes[1].legend()
    for i, r in enumerate(results):
        curve = r["arrays"]["curve"]
        done = config.steps / len(curve) * torch.arange(1, len(curve) + 1)
        axes[2].semilogy(
            done, curve.clamp_min(1e-7), color=COLORS["green"], lw=1, ls="-", label=None if i else "learned"
        )
    for name, look in FIXED.items():
        value = results[0]["numbers"][f"the same of the exact mean, {name}"]
        axes[2].axhline(value, color=look.rgb, ls=look.line, lw=1.2, label=f"exact mean, {look.label}")
    axes[2].set(title="nats above the top term", xlabel="training step")
    axes[2].legend(loc="best", fontsize=8)
    return fig


def verdict_linear(summary):
    """Does the trained chain land on the exact one, and do learned variances close the gap?"""
    learned = summary["nats above the top term, learned variances"]
    late = summary["change of them over the last quarter"]
    words = []
    for name in FIXED:
        fixed = summary[f"nats above the top term, {name}"]
        low = fixed["min"] if verdicts.finished(fixed) else None
        closed = low is not None and verdicts.always_below(learned, low / 20)
        words.append(f"{'less' if closed else 'not less'} than a twentieth of what {name} leaves")
    return (
        f"With learned variances every seed leaves {words[0]}, and {words[1]}. Over the last quarter what is left: "
        f"{verdicts.settling(learned, late)}."
    )


# 16.4 Weights


@dataclass(frozen=True)
class Weights:
    """Ho's schedule and its weights per step, and four objectives over the log-SNR."""

    path: str = "linear"
    steps: int = 1000
    early: int = 100
    reach: float = 8.0  # log-SNRs from minus this to this


OBJECTIVES = {
    "bound": Look("the bound", "black", LINES[0]),
    "noise, linear": Look("noise, linear path", "orange", LINES[1]),
    "velocity, cosine": Look("velocity, cosine path", "blue", LINES[2]),
    "velocity, straight": Look("velocity, straight path (flow matching)", "green", LINES[3]),
}
TRAINED = {
    "bound": (diffusion.even, diffusion.noise_target),
    "noise, linear": (diffusion.linear, diffusion.noise_target),
    "velocity, cosine": (diffusion.cosine, diffusion.velocity_target),
    "velocity, straight": (diffusion.straight, diffusion.velocity_target),
}


def weight(path, target, log_snr):
    """w in (1/2) int w E|noise error|^2 d(log-SNR), for uniform t and squared errors of a target; (n,) float64. (16.12)"""
    mix = path(diffusion.time_of(path, log_snr))
    a, b = target(mix)
    size = (b - a * mix.sigma / mix.alpha) ** 2  # squared error of the target per squared error of the noise
    speed = 2 * (mix.alpha_slope / mix.alpha - mix.sigma_slope / mix.sigma)  # d(log-SNR)/dt
    return 2 * size / speed.abs()


def run_weights(config, seed, device):
    """Weights of the bound on squared noise errors per step, and of four objectives per log-SNR."""
    snr = diffusion.kept_share(diffusion.betas_of(PATHS[config.path], config.steps))[1:]
    snr = snr / (1 - snr)  # (T,) for t = 1..T
    of_bound = (snr[:-1] / snr[1:] - 1) / 2  # t = 2..T
    numbers = {
        f"weight of the bound at t = {t}": of_bound[t - 2] for t in (2, 10, 100, 500, config.steps) if t <= config.steps
    }
    numbers[f"share of the bound's weight at t <= {config.early}"] = of_bound[: config.early - 1].sum() / of_bound.sum()
    numbers[f"share of the simple loss's weight at t <= {config.early}"] = (config.early - 1) / len(of_bound)
    at = torch.linspace(-config.reach, config.reach, 161, dtype=torch.float64)
    arrays = {"of bound": of_bound, "log-SNR": at}
    for name, (path, target) in TRAINED.items():
        values = weight(path, target, at)
        arrays[name] = values / values[80]  # 1 at log-SNR 0
    return {"numbers": numbers, "arrays": arrays}


def draw_weights(results, config):
    """Left: weights (T - 1,) of the bound by step. Right: four objectives (161,) by log-SNR, each 1 at 0."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 2, (8.4, 3.4))
    t = torch.arange(2, config.steps + 1)
    axes[0].loglog(t, a["of bound"], **OBJECTIVES["bound"].as_line())
    axes[0].axhline(a["of bound"].mean(), color=COLORS["orange"], ls="--", label="simple loss (same mean)")
    axes[0].set(title="weight of a squared noise error", xlabel="step t of 1,000")
    axes[0].legend()
    for name, look in OBJECTIVES.items():
        below = (
            {"lw": 5, "alpha": 0.5, "zorder": 1} if "straight" in look.label else {}
        )  # under its equal on the cosine path
        axes[1].semilogy(a["log-SNR"], a[name], **look.as_line(**below))
    axes[1].set(title="the same by log-SNR", xlabel="log-SNR: noise left, data right", ylim=(1e-2, 1e2))
    axes[1].legend(loc="lower left", fontsize=9)
    return fig


# 16.5 Samplers on a Gaussian

SAMPLERS = {
    "ancestral": Look("ancestral, β̃", "vermillion", LINES[1], "s"),
    "DDIM": Look("DDIM", "blue", LINES[0], "o"),
    "Heun": Look("Heun", "green", LINES[2], "^"),
}


def heun_steps(calls):
    """The steps of Heun's method for at most `calls` calls of the network: two in each, one in the last.

    Their number of calls is odd, so of an even number one is left over.
    """
    return (calls + 1) // 2


@dataclass(frozen=True)
class Samplers:
    """Data N(0, variance) and the exact denoiser, equal steps in log-SNR."""

    variance: float = 4.0
    steps: tuple = (5, 10, 20, 40, 80, 160)


def exploding(t):
    """alpha = 1 and sigma = t: x_t divided by alpha, as a path of its own (Karras et al. 2022)."""
    return diffusion.Mix(torch.ones_like(t), t, torch.zeros_like(t), torch.ones_like(t))


def spread_after(sampler, variance, steps):
    """The standard deviation of the samples that a sampler ends with, from N(0, 1) at the top; exact, for a Gaussian."""
    std, one = math.sqrt(variance), torch.ones(1, dtype=torch.float64)
    at = diffusion.down(steps)
    if sampler == "ancestral":
        betas = diffusion.betas_of(diffusion.even, steps)
        exact = diffusion.exact_chain(0 * one[0], variance * one[0], betas)
        kept, narrow, total = diffusion.kept_share(betas), diffusion.posterior(betas)[2], one[0]
        for t in range(steps, 0, -1):
            total = exact.slope[t - 1] ** 2 * total + narrow[t - 1]
        return (total / kept[0]).sqrt()
    mix = diffusion.even(at)
    sigma = (mix.sigma / mix.alpha).clone()  # from e^4.5 down to e^-4.5
    start = sigma[:1, None].clone() * (1 + 1 / sigma[0] ** 2).sqrt()  # x_T of variance 1, divided by alpha
    estimate = diffusion.mixture_estimate(one[:, None] * 0, std, one, exploding)
    run = diffusion.ddim if sampler == "DDIM" else diffusion.heun
    return run(estimate, start, sigma, exploding).abs().squeeze()


def run_samplers(config, seed, device):
    """The error of the log of the standard deviation for each sampler and number of steps."""
    numbers, arrays, truth = {}, {"steps": torch.tensor(config.steps)}, 0.5 * math.log(config.variance)
    for name in SAMPLERS:
        errors = torch.stack([spread_after(name, config.variance, n).log() - truth for n in config.steps])
        arrays[name] = errors
        for n in (20, 40, 80):
            numbers[name, f"error of log std, {n} steps"] = errors[config.steps.index(n)]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_samplers(results, config):
    """|error of log std| (steps,) against the number of steps."""
    a = results[0]["arrays"]
    fig, ax = drawing.panels(1, 1, (5.4, 3.4))
    for name, look in SAMPLERS.items():
        ax.loglog(a["steps"], a[name].abs(), **look.as_both())
    ax.set(xlabel="steps", ylabel="|error of log std|")
    ax.set_xticks(config.steps, [str(n) for n in config.steps])
    ax.minorticks_off()
    ax.legend()
    return fig


# 16.8 Guidance


@dataclass(frozen=True)
class Guidance:
    """A class inside of a wider whole, in two worlds: one Gaussian in another, and modes shared and exclusive."""

    mean: float = 1.0
    std: float = 0.5
    weights: tuple = (1.0, 1.5, 2.0, 3.0, 4.0)
    mode_std: float = 0.15
    modes: tuple = (-2.0, 1.0, 3.0)
    of_class: tuple = (0.0, 0.5, 0.5)  # shares of the class asked for
    of_other: tuple = (0.5, 0.5, 0.0)  # shares of the other class; both classes are equally frequent
    steps: int = 200
    samples: int = 4000


ANSWERS = {
    "ODE": Look("deterministic sampler", "blue", LINES[0], "o"),
    "SDE": Look("ancestral sampler", "vermillion", LINES[1], "s"),
    "product": Look("$p(x)^{1-w} p(x|y)^w$", "black", LINES[2], "^"),
}


def run_guidance(config, seed, device):
    """Means and spreads by the formulas (16.14) and by samplers; and shares of the exclusive mode, by samplers."""
    path, start = (
        diffusion.even,
        torch.special.ndtri((torch.arange(config.samples).double() + 0.5) / config.samples)[:, None],
    )
    at, rng, numbers = diffusion.down(config.steps), generator(seed, "guidance"), {}
    one, mean, std = torch.ones(1).double(), torch.tensor(config.mean).double(), torch.tensor(config.std).double()
    plain = diffusion.mixture_estimate(0 * one[:, None], 1.0, one, path)
    told = diffusion.mixture_estimate(mean * one[:, None], config.std, one, path)
    centers = torch.tensor(config.modes).double()[:, None]
    shares = [torch.tensor(each).double() for each in (config.of_class, config.of_other)]
    both = diffusion.mixture_estimate(centers, config.mode_std, (shares[0] + shares[1]) / 2, path)
    asked = diffusion.mixture_estimate(centers, config.mode_std, shares[0], path)
    arrays = {"weights": torch.tensor(config.weights)}
    for w in config.weights:
        formulas = {"ODE": diffusion.guided_ode, "SDE": diffusion.guided_sde, "product": diffusion.product}
        for name, formula in formulas.items():
            center, variance = formula(mean, std, w)
            numbers[f"{name}, w = {w:g}", "mean"], numbers[f"{name}, w = {w:g}", "std"] = center, variance.sqrt()
        for world, pair in (("Gaussian", (plain, told)), ("modes", (both, asked))):
            estimate = diffusion.guided(*pair, w)
            found = {"ODE": diffusion.ddim(estimate, start, at, path),
                     "SDE": diffusion.ancestral(estimate, start, at, path, rng)}  # fmt: skip
            for name, x in found.items():
                if world == "modes":
                    numbers[f"{name}, w = {w:g}", "share of the exclusive mode"] = (x > 2).double().mean()
                    arrays[f"{name} {w:g}"] = x[:, 0]
                else:
                    numbers[f"{name} sampled, w = {w:g}", "mean"] = x.mean()
        tilted = (shares[0] + 1e-300) ** w * ((shares[0] + shares[1]) / 2) ** (1 - w)  # separate modes of one width
        numbers[f"product, w = {w:g}", "share of the exclusive mode"] = (tilted / tilted.sum())[2]
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_guidance(results, config):
    """Means, spreads and shares against the weight."""
    n = results[0]["numbers"]
    fig, axes = drawing.panels(1, 3, (8.4, 3.2))
    titles = {"mean": "Gaussian: mean", "std": "Gaussian: std", "share of the exclusive mode": "modes: exclusive one"}
    for ax, (what, title) in zip(axes, titles.items(), strict=True):
        for name, look in ANSWERS.items():
            ax.plot(
                config.weights,
                [float(n[arms.name(f"{name}, w = {w:g}", what)]) for w in config.weights],
                **look.as_both(),
            )
        ax.set(title=title, xlabel="guidance weight w")
    drawing.level(axes[0], config.mean, "mean of the class", at=0.35)
    drawing.legend_below(fig, axes[0])
    return fig


RECIPES = {
    "16.1": Recipe(
        title="From data to noise and back",
        caption="A mixture of two Gaussians on a line under the cosine path. Gray: the density of x at each time. Left: paths of "
        "the encoder, which adds noise. Middle and right: paths of the two samplers, with the exact denoiser, from the same "
        "twelve starting points; the time axis runs backward. Some paths leave the panel for a while.",
        alt="Three panels with a gray density that goes from two peaks to one broad hump. Left, blue paths jitter from the peaks "
        "into the hump. Middle, red jittering paths go from the hump to the peaks. Right, smooth red paths do.",
        run=run_tour, draw=draw_tour, full=Tour(),
    ),
    "16.2": Recipe(
        title="What fixed reverse variances cost",
        caption="Nats per dimension that each of the two fixed reverse variances costs, that is, leaves in the joint KL, "
        "against the number T of steps on the linear path. The data are Gaussian, with another variance in each panel, and "
        "the reverse means exact. Dotted: the limit (16.8). Learned variances leave nothing of this.",
        alt="Four panels on logarithmic axes over the number of steps. The cost of beta ends by falling in proportion to 1/T, and for data "
        "of variance 1 is zero; the cost of beta-tilde ends at a dotted line at .442 in every panel but the first, where it "
        "is still on its way. In the first two it falls far below that line before it rises.",
        run=run_costs, draw=draw_costs, full=Costs(), quick=Costs(steps=(10, 100, 1000)),
    ),
    "16.3": Recipe(
        title="A trained chain lands on the exact one",
        caption="Data N(0.5, 0.25) and a chain of twenty steps; a mean linear in x_t and a variance for each step are "
        "learned from samples. Left and middle: in every seed they lie on the exact values. Right: what the joint KL keeps "
        "above its top term, the first of (16.2), over training, and what the two fixed variances keep even with the exact "
        "mean. (As in (16.8), beta-tilde at step 1 is that of step 2, also in the middle.)",
        alt="Left, green dots on a black curve of slopes. Middle, green dots on a black curve of variance ratios below a line at 1 "
        "for beta, and a curve of beta-tilde below. Right, green curves fall far below two horizontal lines.",
        run=run_linear, draw=draw_linear, quick=Linear(steps=300, points=2000), full=Linear(), seeds=tuple(range(5)),
        verdict=verdict_linear,
    ),
    "16.4": Recipe(
        title="How much each loss weighs the noise levels",
        caption="How much a squared error of the noise counts in each loss. Left: at the steps 2 to 1,000 of Ho and others, "
        "in the bound (black) and in the simple loss (orange), which counts all steps alike. Only the shape matters, so the "
        "orange line is drawn at the mean of the black one. Right: the weight w of (16.12) per unit of log-SNR, for the "
        "bound and for three losses that draw t uniformly, each divided by its value at log-SNR 0. The dash-dotted and the "
        "dotted line lie on each other.",
        alt="Left, a falling and then slightly rising curve against a constant. Right, a constant, a hump, and two curves on each other "
        "that are large on the noisy side and small where little noise is left.",
        run=run_weights, draw=draw_weights, full=Weights(),
    ),
    "16.5": Recipe(
        title="Steps against error, exactly",
        caption="Samples for data N(0, 4) by the exact denoiser, a network without error. So all error is the sampler's, "
        "except for about .0002 of the start: samples start from N(0, 1), which is not quite the law of x_T. Heun's last "
        "point shows this part. Vertical: the distance between the logarithms of the samples' and of the data's standard "
        "deviation (0.1 is about ten percent). Horizontal: steps, equal in log-SNR; Heun asks the denoiser twice in each, "
        "the others once.",
        alt="Three falling lines on logarithmic axes: ancestral and DDIM fall like 1/steps, Heun faster.",
        run=run_samplers, draw=draw_samplers, full=Samplers(),
    ),
    "16.8": Recipe(
        title="What guidance samples",
        caption="Left and middle: all classes together are N(0, 1), the class asked for is N(1, 0.25). Shown are mean and "
        "standard deviation of what the two samplers end with (ODE: deterministic, SDE: ancestral) and of the product of "
        "powers. Right: the class asked for has a mode at 1, which the other class shares, and one at 3 of its own. Shown "
        "is the share of the latter, by 4,000 samples of each sampler.",
        alt="Three panels over the guidance weight. Three curves start at one point at weight 1 and part: in the mean the "
        "deterministic sampler is highest, the product lowest; in the spread the deterministic one falls fastest. The share of the exclusive mode rises toward 1.",
        run=run_guidance, draw=draw_guidance, full=Guidance(), quick=Guidance(steps=50, samples=1000),
    ),
}  # fmt: skip
