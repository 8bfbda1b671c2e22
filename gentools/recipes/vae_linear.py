"""Experiments of chapter 03 with linear decoders, which have a closed form: the linear VAE beside PPCA and networks."""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from gentools import joint_kl, vae
from gentools.lab import data
from gentools.lab.divergences import diagonal_gaussian_kl
from gentools.lab.optim import cosine
from gentools.lab.plots import LINES, MARKERS
from gentools.lab.randomness import generator
from gentools.lab.stream import unit
from gentools.recipes import Recipe
from gentools.recipes.shared import drawing, verdicts
from gentools.recipes.shared.curves import change, scored_at
from gentools.recipes.shared.drawing import Look
from gentools.recipes.shared.fitting import adams, fit
from gentools.recipes.shared.pictures import labeled

# What figures of this chapter measure of an autoencoder


def nats(mean, log_variance):
    """KL(p(z|x) || q(z)) of each code dimension in nats, averaged over the rows of mean and log_variance (n, k); (k,)."""
    return diagonal_gaussian_kl(mean[..., None], log_variance[..., None]).mean(0)


def held_out_terms(nets, x, seed):
    """log q(x|z) at one code and the KL term (n,) of held-out rows x; the noise depends on the seed alone. On the CPU."""
    noise = torch.randn(len(x), nets["decoder"].net[0].in_features, generator=generator(seed, "test noise"))  # (n, k)
    return vae.elbo_terms(nets, x, noise)


# 3.8 The linear autoencoder lands on PPCA


@dataclass(frozen=True)
class Linear:
    """Linear VAEs on data of known eigenvalues."""

    eigenvalues: tuple = (6.0, 4.0, 2.6, 1.7, 1.1, 0.7, 0.45, 0.3, 0.2, 0.12)  # of the data's covariance
    noise_variances: tuple = (3.2, 1.35, 0.55)  # fixed ones; one more run learns its own
    latent: int = 7
    points: int = 2000
    batch: int = 1000
    steps: int = 4000
    learning_rate: float = 0.03  # of Adam at the start; it falls to 0 along half a cosine
    alive: float = 0.02  # nats above which a dimension counts as in use


class Known(NamedTuple):
    """Points x (n, d) with their covariance (d, d), its eigenvalues (d,) in falling order, its eigenvectors as columns."""

    x: torch.Tensor
    cov: torch.Tensor
    eigenvalues: torch.Tensor
    vectors: torch.Tensor


class Landing(NamedTuple):
    """Where a linear VAE ended, against the closed form."""

    rates: torch.Tensor  # (k,), nats per dimension, largest first
    alive: int  # dimensions in use
    wrong: int  # by how many that misses the prediction
    angle: float  # largest of a column in use to its eigenvector, degrees
    gap: float  # of the independent encoder, nats


WRONG = "dimensions in use against the prediction, errors"
SHORT = "largest shortfall from the best log-likelihood, nats"
GAP = "largest gap of the independent encoder, nats"


def angle_name(variance):
    """The recorded name of the angle in the run with that noise variance; None: the one that learned its own."""
    which = "learned" if variance is None else f"{variance:g}"
    return f"largest angle of a column of W to its eigenvector, degrees, sigma^2 {which}"


def plain(tensor):
    """The numbers of a parameter or result, in double precision on the CPU."""
    return tensor.detach().cpu().double()


def linear_data(config, seed):
    """Centered points, in random directions, whose covariance has exactly the eigenvalues of the configuration: Known."""
    d, rng = len(config.eigenvalues), generator(seed, "linear")
    x = torch.randn(config.points, d, generator=rng, dtype=torch.float64)  # (n, d)
    x = torch.linalg.qr(x - x.mean(0))[0] * len(x) ** 0.5  # covariance exactly I
    turn = torch.randn(d, d, generator=generator(seed, "turn"), dtype=torch.float64)
    x = (x * torch.tensor(config.eigenvalues, dtype=torch.float64).sqrt() @ torch.linalg.qr(turn)[0]).float()
    return Known(x, *vae.spectrum(x))


def fit_linear(known, truth, learn, config, seed, device):
    """Train a linear VAE whose noise variance is `truth`, fixed, or learned from 1. Returns networks and History.

    The History's `watched` holds the shortfall from the best log-likelihood for `truth`, in nats.
    """
    variance = 1.0 if learn else float(truth)
    nets = vae.linear_networks(seed, len(known.cov), config.latent, variance, learn).to(device)
    decoder, best = nets["decoder"], vae.ppca_log_likelihood(known.eigenvalues, config.latent, truth)

    def watch(done):
        w, b, log_variance = map(plain, (*decoder.net.parameters(), decoder.log_variance))
        about = known.cov + torch.outer(b, b)  # the data are centered
        return {"shortfall": float(best - vae.linear_log_likelihood(about, w, log_variance.exp()))}

    opts = adams({"vae": nets}, config.learning_rate)
    history = fit(vae.step, nets, opts, known.x, config.latent, batch=config.batch, steps=config.steps, seed=seed,
                  device=device, schedule=cosine(config.steps), watch=watch)  # fmt: skip
    return nets, history


def landing(nets, known, truth, config, device):
    """What a trained linear VAE has reached, against the closed form for noise variance `truth`: a Landing."""
    rate = nats(*map(plain, nets["encoder"](known.x.to(device)))).sort(descending=True)
    alive = int((rate.values > config.alive).sum())
    predicted = int((known.eigenvalues[: config.latent] > truth).sum())
    w = plain(nets["decoder"].net[0].weight)  # (d, k)
    angle = vae.axis_angle(w[:, rate.indices[:alive]], known.vectors[:, :alive])
    gap = joint_kl.mean_field_gap(joint_kl.posterior_precision(w, truth))
    return Landing(rate.values, alive, abs(alive - predicted), math.degrees(angle), float(gap))


def run_linear(config, seed, device):
    """Train linear VAEs with fixed and with learned noise on data of known eigenvalues; compare with the closed form."""
    known = linear_data(config, seed)
    learned = vae.ppca(known.eigenvalues, known.vectors, config.latent)[1]
    arrays, landings, short = {"eigenvalues": known.eigenvalues, "learned": learned}, {}, [0.0]
    for number, variance in enumerate((*config.noise_variances, None)):
        truth = learned if variance is None else torch.tensor(variance, dtype=torch.float64)
        nets, history = fit_linear(known, truth, variance is None, config, seed, device)
        landings[variance] = landing(nets, known, truth, config, device)
        arrays["steps"] = torch.tensor([seen["step"] for seen in history.watched])
        arrays[f"shortfall {number}"] = torch.tensor([seen["shortfall"] for seen in history.watched])
        arrays[f"rates {number}"] = landings[variance].rates
        short.append(history.watched[-1]["shortfall"])
    numbers = {
        WRONG: sum(each.wrong for each in landings.values()),
        SHORT: max(short),
        GAP: max(0.0, *(each.gap for each in landings.values())),
        **{angle_name(variance): each.angle for variance, each in landings.items()},
        "learned noise: dimensions in use": landings[None].alive,
        "learned noise: variance": plain(nets["decoder"].log_variance).exp(),  # the last run learned it
        "learned noise: mean of the discarded eigenvalues": learned,
    }
    return {"numbers": numbers, "arrays": arrays}


def draw_linear(results, config):
    """Nats per dimension (k,) against eigenvalues, lines from the formula; on the right shortfalls (looks,) over steps."""
    fig, axes = drawing.panels(1, 2, (8.4, 4.2), width_ratios=(1.35, 1))
    x = torch.logspace(-1.05, 0.95, 300, dtype=torch.float64)
    fixed = len(config.noise_variances)
    variances = [*config.noise_variances, float(results[0]["arrays"]["learned"])]
    colors = (*("vermillion", "orange", "blue", "purple", "sky")[:fixed], "green")
    for i, (variance, color) in enumerate(zip(variances, colors, strict=True)):
        text = f"$\\sigma^2$ = {variance:.2f}{' (learned)' if i == fixed else ''}"
        look = Look(text, color, LINES[i], MARKERS[i])
        # the line itself bears no marker, its entry in the legend does
        axes[0].semilogx(x, vae.rates(x, variance), **look.as_both(mfc="none", ms=6, markevery=(len(x), 1)))
        axes[0].axvline(variance, color=look.rgb, lw=0.8, ls=":")
        for a in (r["arrays"] for r in results):
            kept, short = a["eigenvalues"][: config.latent], a[f"shortfall {i}"].clamp_min(1e-9)
            axes[0].plot(kept, a[f"rates {i}"], **look.as_points(mfc="none", ms=6, label=None))
            axes[1].loglog(a["steps"], short, **look.as_line(lw=1, label=None))
    axes[0].set(xlabel="eigenvalue of the data", ylabel="nats in this dimension")
    axes[0].set_title("line: formula,  marker: trained")
    axes[1].set(xlabel="step", ylabel="nats below the best log-likelihood", title="the way down")
    drawing.legend_below(fig, axes[0], 4)
    return fig


def verdict_linear(summary):
    """Whether all trained linear VAEs land on the closed form, and how far the worst column of W still has to turn."""
    wrong, short, gap = (summary[name] for name in (WRONG, SHORT, GAP))
    angles = [summary[name] for name in map(angle_name, (*Linear().noise_variances, None)) if name in summary]
    if not all(map(verdicts.finished, (wrong, short, gap, *angles))):
        return "no linear VAE was trained to its end."
    landed = verdicts.always_below(wrong, 1) and all(verdicts.always_below(s, 0.01) for s in (short, gap))
    failed = f" {wrong['failed']} of {wrong['n']} runs failed." if wrong["failed"] else ""
    return (
        f"the trained linear VAE {'lands on' if landed else 'misses'} the closed form: {wrong['max']:.0f} dimensions in "
        f"the wrong state in the worst seed, at most {short['max']:.1g} nats below the best, a gap of at most {gap['max']:.1g} "
        f"nats. The columns of W come within {max(s['max'] for s in angles):.2g} degrees of their eigenvectors in the worst "
        f"run.{failed}"
    )


# 3.9 Rate and distortion


@dataclass(frozen=True)
class Trade:
    """Linear VAEs and networks on 8x8 digits, with a Gaussian decoder of fixed noise variance."""

    noise_variances: tuple = (0.5, 0.2, 0.08, 0.03, 0.012)
    hidden: tuple = (200,)  # widths of the networks' hidden layers
    latent: int = 32  # of the networks; the linear VAEs have all 64
    batch: int = 100
    steps: int = 12_000
    learning_rate: float = 4e-3  # of Adam at the start; it falls to 0 along half a cosine
    moments: int = 20  # at which distortion and rate of held-out digits are taken, equally spaced
    # rate, ELBO of training digits kept out after half of the steps, mean over the noise variances, one seed
    tuning: tuple = ((1e-3, 2.035), (2e-3, 2.735), (4e-3, 3.022), (8e-3, 2.874))


def gain_name(variance):
    """The recorded name of what networks gain over linear VAEs at a noise variance."""
    return f"ELBO of the network minus that of the linear VAE, sigma^2 = {variance:g}"


def late_name(variance):
    """The recorded name of how that gain changed over the last quarter of the steps."""
    return f"the same at the end minus after three quarters, sigma^2 = {variance:g}"


def best_line(eigenvalues):
    """Least distortion and rate (60, 2) of Gaussian data with these eigenvalues, for 60 noise variances."""
    variances = torch.logspace(math.log10(0.6), math.log10(0.006), 60, dtype=torch.float64)
    return torch.stack(
        [torch.stack([eigenvalues.clamp(max=v).sum(), vae.rates(eigenvalues, v).sum()]) for v in variances]
    )


def network_curve(images, held_out, variance, config, seed, device):
    """Distortion and rate (moments, 2) of held-out rows (n, d) while a network with that noise variance trains on images."""
    decoder = functools.partial(vae.Gaussian, noise_variance=variance, learn=False)
    nets = vae.networks(seed, images.shape[1], config.hidden, config.latent, decoder).to(device)
    noise = torch.randn(len(held_out), config.latent, generator=generator(seed, "test noise")).to(device)
    held_out = held_out.to(device)

    def watch(done):
        likelihood, kl = vae.elbo_terms(nets, held_out, noise)  # (n,), (n,)
        squared = -2 * variance * (likelihood + held_out.shape[1] / 2 * math.log(2 * math.pi * variance))
        return {"distortion": squared.mean().item(), "rate": kl.mean().item()}

    history = fit(vae.step, nets, adams({"vae": nets}, config.learning_rate), images, config.latent, batch=config.batch,
                  steps=config.steps, seed=seed, device=device, schedule=cosine(config.steps), watch=watch,
                  log_every=max(1, config.steps // config.moments))  # fmt: skip
    return torch.tensor([[seen["distortion"], seen["rate"]] for seen in history.watched], dtype=torch.float64)


def run_trade(config, seed, device):
    """Distortion and rate on held-out digits at several noise variances: of linear VAEs exactly, and of networks."""
    images, held_out = (unit(labeled("digits", split)[0]).flatten(1) for split in ("train", "test"))  # (n, 64)
    _, eigenvalues, vectors = vae.spectrum(images)
    centered = held_out.double() - images.double().mean(0)
    cov = centered.T @ centered / len(centered)  # (64, 64)

    def linear_point(variance):
        decoder, _ = vae.ppca(eigenvalues, vectors, len(eigenvalues), variance)
        return torch.stack(vae.linear_terms(cov, *vae.best_encoder(decoder, variance), decoder))

    curves = [network_curve(images, held_out, v, config, seed, device) for v in config.noise_variances]
    arrays = {
        "line": best_line(eigenvalues),
        "linear": torch.stack([linear_point(v) for v in config.noise_variances]),  # (variances, 2)
        "network": torch.stack([curve[-1] for curve in curves]),
    }
    middle, shown = len(config.noise_variances) // 2, ("distortion", "rate, nats")
    numbers = {
        f"{kind} at sigma^2 = {config.noise_variances[middle]:g}: {what}": arrays[kind][middle, i]
        for kind in ("linear", "network")
        for i, what in enumerate(shown)
    }
    for variance, linear, curve in zip(config.noise_variances, arrays["linear"], curves, strict=True):
        distortion, rate = (linear - curve).T  # (moments,), (moments,)
        arrays[gain_name(variance)] = gain = distortion / (2 * variance) + rate
        numbers[gain_name(variance)], numbers[late_name(variance)] = gain[-1], change(gain)
    return {"numbers": numbers, "arrays": arrays}


def draw_trade(results, config):
    """Rate against distortion: the best line (60, 2), linear VAEs (variances, 2), and networks of every seed.

    On the right, what the networks gain (moments,) over training, of every seed.
    """
    a = results[0]["arrays"]
    fig, (ax, gains) = drawing.panels(1, 2, (8.4, 4.9), width_ratios=(1.5, 1))
    ax.plot(*a["line"].T, color="black", label="best for a Gaussian with\nthese eigenvalues (3.9)")
    linear = Look("linear VAE, exact, held out", "blue", marker="s")
    ax.plot(*a["linear"].T, **linear.as_points(ms=7, mfc="none"))
    network = Look("networks, held out, all seeds", "vermillion")
    ax.plot(*torch.cat([r["arrays"]["network"] for r in results]).T, **network.as_points(ms=5))
    for place, variance in zip(a["linear"], config.noise_variances, strict=True):
        ax.annotate(f"$\\sigma^2$ = {variance:g}", place, (9, 6), textcoords="offset points")
    ax.set(xlabel="distortion: squared error per image", ylabel="rate: KL term, nats", xlim=(0, 5.5), ylim=(-1, None))
    ax.legend(loc="upper right")
    at = [step / 1000 for step in scored_at(config.steps, config.moments)]
    for variance, look in drawing.looks({v: f"$\\sigma^2$ = {v:g}" for v in config.noise_variances}).items():
        drawing.seed_curves(gains, at, [r["arrays"][gain_name(variance)] for r in results], look)
    drawing.level(gains, 0)
    late = torch.cat([r["arrays"][gain_name(v)][len(at) // 4 :] for r in results for v in config.noise_variances])
    ends = (float(late.min()) - 1, float(late.max()) + 1)
    gains.set(xlabel="thousand steps", ylabel="nats", title="ELBO: network minus linear", xlim=(0, None), ylim=ends)
    drawing.legend_below(fig, gains, 5)
    return fig


def verdict_trade(summary):
    """At how many noise variances every seed's network has the better bound, and where that has settled."""
    gains = {variance: summary[gain_name(variance)] for variance in Trade().noise_variances}
    if not any(map(verdicts.finished, gains.values())):
        return "no network was trained to its end."
    ahead = sum(verdicts.always_above(gain, 0) for gain in gains.values())
    ends = [
        f"{verdicts.settling(gain, summary[late_name(variance)])} at {variance:g} "
        f"({verdicts.mean(summary[late_name(variance)], '+.2g')})"
        for variance, gain in gains.items()
    ]
    return (
        f"the networks' ELBO is above that of the linear VAE in every seed at {ahead} of {len(gains)} values of sigma^2. "
        f"How the difference ends, and what the last quarter of the steps added, in nats: {', '.join(ends)}."
    )


# 3.12 Blur with an exact posterior


@dataclass(frozen=True)
class Blur:
    """Data: one of two scans plus noise."""

    first: int = 0  # class of one scan
    second: int = 1  # class of the other
    noise: float = 0.08  # standard deviation per pixel
    points: int = 4000


def either(scans, n, rng):
    """n rows (n, d), each one of the two scans (2, d) with equal chance."""
    return scans[torch.randint(2, (n,), generator=rng)]


def noisy(rows, std, rng):
    """Rows (n, d) plus Gaussian noise."""
    return rows + std * torch.randn(rows.shape, generator=rng, dtype=torch.float64)


def run_blur(config, seed, device):
    """Model: PPCA with one code, whose posterior is exact; and a code of two values."""
    images, labels = data.digits()
    scans = [unit(images[labels == c][0]).flatten().double() for c in (config.first, config.second)]
    scans, rng, n = torch.stack(scans), generator(seed, "blur"), config.points  # (2, 64)
    x = noisy(either(scans, n, rng), config.noise, rng)  # (n, 64)
    cov, eigenvalues, vectors = vae.spectrum(x)
    decoder, variance = vae.ppca(eigenvalues, vectors, 1)  # (64, 1), 0-d
    encoder = vae.best_encoder(decoder, variance)  # (1, 64), (1,)
    best = vae.linear_log_likelihood(cov, decoder, variance)
    gap = best - vae.linear_elbo(cov, *encoder, decoder, variance)
    means = x.mean(0) + torch.randn(n, 1, generator=rng, dtype=torch.float64) @ decoder.T  # (n, 64)
    sampled = noisy(means, variance.sqrt(), rng)
    mixture = either(scans, n, rng)  # EM finds these centers; see chapter 2
    drawn = {"data": x, "PPCA": sampled, "two-valued code": noisy(mixture, config.noise, rng)}
    direction = (scans[1] - scans[0]) / (scans[1] - scans[0]).square().sum()
    places = {name: (points - scans[0]) @ direction for name, points in drawn.items()}  # (n,): 0 one scan, 1 the other
    numbers = {"gap of the encoder, nats": round(abs(float(gap)), 9)}
    for name, place in places.items():
        numbers[f"share in the middle half, {name}"] = ((place - 0.5).abs() < 0.25).double().mean()
    rebuilt = x.mean(0) + (x[:10] - x.mean(0)) @ encoder[0].T @ decoder.T
    rows = {"data": x[:10], "rebuilt": rebuilt, "PPCA": means[:10], "mixture": mixture[:10]}
    arrays = {f"places {name}": place for name, place in places.items()}
    return {"numbers": numbers, "arrays": arrays | {f"row {name}": row for name, row in rows.items()}}


def draw_blur(results, config):
    """Four rows of ten pictures (10, 64), and histograms of the places (points,) between the two scans."""
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    fig = plt.figure(figsize=(8.4, 3.7))
    left, right = fig.subfigures(1, 2, width_ratios=(1.5, 1))
    titles = {
        "data": "data",
        "rebuilt": "rebuilt through the exact posterior",
        "PPCA": "sampled: one Gaussian code, decoder means",
        "mixture": "sampled: a two-valued code, decoder means",
    }
    drawing.picture_rows(left, {title: a[f"row {name}"] for name, title in titles.items()})
    ax = right.subplots()
    bins = torch.linspace(-1.2, 2.2, 69).numpy()
    ax.hist(a["places data"], bins, color="0.75", label="data")
    looks = {"PPCA": Look("Gaussian code", "vermillion"), "two-valued code": Look("two-valued code", "blue", "--")}
    for name, look in looks.items():
        ax.hist(a[f"places {name}"], bins, histtype="step", **look.as_line(lw=1.6))
    ax.set(title="place between the two scans", xlabel="0: first scan,  1: second scan", yticks=[])
    drawing.legend_below(right, ax, 2)
    return fig


RECIPES = {
    "3.8": Recipe(
        title="The linear autoencoder lands on PPCA",
        caption="Left: nats per code dimension of linear VAEs trained with the ordinary step, against the eigenvalues of "
        "the data, all seeds. Thin dotted lines: the thresholds, where the eigenvalue is sigma^2. Right: distance to the "
        "best log-likelihood. At the end the curves fall because the learning rate falls to 0, along half a cosine.",
        alt="Left, four rising curves that leave zero at different eigenvalues, with trained markers on them, and at zero "
        "left of each threshold. Right, curves that fall over training by several orders of magnitude.",
        run=run_linear, draw=draw_linear, quick=Linear(noise_variances=(1.35,), steps=2000), full=Linear(),
        seeds=tuple(range(5)), verdict=verdict_linear,
    ),
    "3.9": Recipe(
        title="One curve, and sigma picks the point",
        caption="Left: rate (the KL term) against distortion (squared error) on 8x8 digits. The line is the optimum for "
        "Gaussian data with the same eigenvalues; squares are linear VAEs with as many code dimensions as they can use (37 "
        "at the smallest sigma^2), dots are networks with 32 code dimensions, at the same five fixed values of sigma^2. "
        "Right: ELBO of the networks minus that of the linear VAE, on held-out digits, over training, a curve per seed. "
        "The learning rate falls to 0 along half a cosine.",
        alt="Left, a falling convex curve of rate against distortion. Squares lie on it, in order of sigma squared; dots for the "
        "networks lie below the line, and at the largest sigma squared on it. Right, five bundles of curves that rise fast, then "
        "slowly, and end the higher the smaller sigma squared, the lowest at the dotted line of no difference.",
        run=run_trade, draw=draw_trade, quick=Trade(steps=500), full=Trade(), seeds=tuple(range(5)),
        verdict=verdict_trade,
    ),
    "3.12": Recipe(
        title="Blur with an exact posterior",
        caption="Data: one of two scans, plus noise. PPCA with one Gaussian code has an exact posterior and rebuilds the "
        "data, yet its samples are overlays of both scans. Samples of a two-valued code are sharp; this code is not fitted "
        "but set to the two scans and the data's noise, close to where EM would end. Right: where data and samples lie along "
        "the line through both scans.",
        alt="Four rows of small digits: data, sharp reconstructions, samples that blend a 0 and a 1, sharp samples. Right, a "
        "histogram with two narrow data peaks and one broad bump of the Gaussian code between and around them.",
        run=run_blur, draw=draw_blur, quick=Blur(points=1000), full=Blur(),
    ),
}  # fmt: skip
