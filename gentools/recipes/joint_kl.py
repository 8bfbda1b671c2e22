"""Experiments of chapter 01. All are exact: tables, quadrature and Gaussians in closed form."""

from dataclasses import dataclass

import torch

from gentools import joint_kl
from gentools.lab import worlds
from gentools.lab.divergences import gaussian_kl, kl
from gentools.lab.plots import COLORS
from gentools.lab.randomness import generator
from gentools.recipes import Recipe
from gentools.recipes.shared import arms, drawing, verdicts
from gentools.recipes.shared.drawing import Look

# 1.1 Two joints


@dataclass(frozen=True)
class TwoJoints:
    """Two joints over one grid."""

    x_cells: int = 40
    z_cells: int = 30


def bump(t, mean, std):
    """exp(-((t - mean)/std)^2 / 2), a Gaussian up to its constant."""
    return torch.exp(-(((t - mean) / std) ** 2) / 2)


def run_two_joints(config, seed, device):
    """Two joints over a grid: a two-bump data side with a sloping encoder, and a model that misses half of it."""
    x = torch.linspace(-3, 3, config.x_cells, dtype=torch.float64)
    z = torch.linspace(-3, 3, config.z_cells, dtype=torch.float64)
    p_x = bump(x, -1.2, 0.5) + bump(x, 1.3, 0.4)
    encoder = bump(z[None, :], x[:, None], 0.5)  # (x, z)
    q_z = bump(z, 0, 1)
    decoder = bump(x[:, None], 0.6 * z[None, :], 0.7)  # (x, z)
    p, q = joint_kl.joints(
        p_x / p_x.sum(),
        encoder / encoder.sum(1, keepdim=True),
        q_z / q_z.sum(),
        decoder / decoder.sum(0),
    )
    numbers = {
        "joint KL(P||Q)": kl(p, q),
        "marginal KL(p||q)": kl(p.sum(1), q.sum(1)),
        "gap E KL(p(z|x)||q(z|x))": joint_kl.gap(p, q),
    }
    return {"numbers": numbers, "arrays": {"x": x, "z": z, "p": p, "q": q}}


SIDES = {  # array: look
    "p": Look("data side  $P = \\tilde p(x)\\,p(z|x)$", "blue"),
    "q": Look("model side  $Q = q(z)\\,q(x|z)$", "vermillion"),
}


def draw_two_joints(results, config):
    """Each joint (x, z) as a heat map, with its marginal (x,) above it."""
    a, n = results[0]["arrays"], results[0]["numbers"]
    fig, axes = drawing.panels(2, 2, (7.6, 4.6), height_ratios=(1, 2.6), sharex=True)
    top = max(float(a[key].max()) for key in SIDES)
    peak = 1.08 * max(float(a[key].sum(1).max()) for key in SIDES)
    for (above, below), (key, look) in zip(axes.T, SIDES.items(), strict=True):
        above.bar(a["x"].numpy(), a[key].sum(1).numpy(), width=float(a["x"][1] - a["x"][0]), color=look.rgb)
        above.set(title=look.label, ylim=(0, peak), yticks=[])
        below.pcolormesh(a["x"].numpy(), a["z"].numpy(), a[key].T.numpy(), vmin=0, vmax=top, cmap="viridis")
        below.set(xlabel="x")
    axes[0, 0].set_ylabel("marginal")
    axes[1, 0].set_ylabel("z")
    joint, marginal, gap = (float(value) for value in n.values())
    split = f"joint KL {joint:.3f}  =  KL of the marginals {marginal:.3f}  +  gap {gap:.3f}   (nats)"
    fig.suptitle(split, fontsize=11)
    return fig


# 1.2 Forward and reverse fits


@dataclass(frozen=True)
class Fits:
    """Two bumps at several distances."""

    separations: tuple = (2.0, 4.0, 6.0)  # distances of the two bumps
    std: float = 0.7  # of each bump
    left_weight: float = 0.4  # of the left bump; the right one has the rest


FITS = {
    "forward": Look("forward", "blue", "-"),
    "reverse, from the left": Look("reverse, from the left", "vermillion", "--"),
    "reverse, from the right": Look("reverse, from the right", "green", "-."),
    "reverse, from the forward fit": Look("reverse, from the forward fit", "black", ":"),
}


def run_fits(config, seed, device):
    """Forward and reverse fits of one Gaussian to two bumps, at several separations; the reverse one from three starts."""
    x = torch.linspace(-16, 16, 1601, dtype=torch.float64)  # so wide that it holds the forward fits whole
    numbers, arrays = {}, {"x": x}
    for separation in config.separations:
        left, right = -separation / 2, separation / 2
        p = config.left_weight * joint_kl.gaussian_cells(x, left, config.std)
        p = p + (1 - config.left_weight) * joint_kl.gaussian_cells(x, right, config.std)  # (1601,)
        forward = joint_kl.fit_forward(x, p)
        starts = (left, config.std), (right, config.std), forward
        fits = forward, *(joint_kl.fit_reverse(x, p, *start) for start in starts)
        arrays[f"p {separation}"] = p
        for name, (mean, std) in zip(FITS, fits, strict=True):
            q = joint_kl.gaussian_cells(x, mean, std)
            arrays[f"{name} {separation}"] = q
            if separation == max(config.separations):
                numbers |= {(name, "mean"): mean, (name, "std"): std}
                numbers |= {(name, "KL(p||q)"): kl(p, q), (name, "KL(q||p)"): kl(q, p)}
    return {"numbers": arms.named(numbers), "arrays": arrays}


def draw_fits(results, config):
    """A panel per separation: the data's density (1601,) and four fitted ones."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, len(config.separations), (8.4, 3.1), sharey=True)
    dx = a["x"][1] - a["x"][0]
    for ax, separation in zip(axes, config.separations, strict=True):
        ax.fill_between(a["x"], a[f"p {separation}"] / dx, color="0.82", label="data")
        for name, look in FITS.items():
            ax.plot(a["x"], a[f"{name} {separation}"] / dx, **look.as_line())
        ax.set(title=f"distance {separation:g}", xlabel="x", xlim=(-6, 6), xticks=(-5, 0, 5))
    axes[0].set_ylabel("density")
    drawing.legend_below(fig, axes[0])
    return fig


# 1.3 The reverse joint


@dataclass(frozen=True)
class Reverse:
    """Random pairs of joints."""

    pairs: int = 20000
    shown: int = 3000  # of them, drawn as points


FORWARD_FAILS = "share of pairs with KL(P||Q) < KL(p||q)"
REVERSE_FAILS = "share of pairs with KL(Q||P) < KL(p||q)"


def run_reverse(config, seed, device):
    """Random pairs of 2 x 2 joints, uniform on the simplex: does the joint KL bound the likelihood's KL(p(x)||q(x))?"""
    rng = generator(seed, "reverse joint")
    tables = -torch.rand(2, config.pairs, 2, 2, generator=rng, dtype=torch.float64).log()
    p, q = tables / tables.sum((2, 3), keepdim=True)  # each (pairs, x, z)
    marginal = kl(p.sum(2), q.sum(2), dim=1)  # (pairs,)
    reverse_marginal = kl(q.sum(2), p.sum(2), dim=1)
    forward, reverse = kl(p, q, dim=(1, 2)), kl(q, p, dim=(1, 2))
    numbers = {
        FORWARD_FAILS: (forward < marginal).double().mean(),
        REVERSE_FAILS: (reverse < marginal).double().mean(),
        "share of pairs with KL(Q||P) < KL(q||p)": (reverse < reverse_marginal).double().mean(),
    }
    arrays = {"marginal": marginal, "forward": forward, "reverse": reverse}
    return {"numbers": numbers, "arrays": {name: values[: config.shown] for name, values in arrays.items()}}


def draw_reverse(results, config):
    """Joint KL against marginal KL (shown,): left of the forward joint, right of the reverse one."""
    a = results[0]["arrays"]
    fig, axes = drawing.panels(1, 2, (7.6, 3.5), sharex=True, sharey=True)
    titles = {"forward": "forward joint  KL(P‖Q)", "reverse": "reverse joint  KL(Q‖P)"}
    for ax, (key, title) in zip(axes, titles.items(), strict=True):
        below = a[key] < a["marginal"]
        ax.loglog(a["marginal"][~below], a[key][~below], ".", ms=2, color=COLORS["sky"], label="bound holds")
        ax.loglog(a["marginal"][below], a[key][below], "x", ms=4, color=COLORS["vermillion"], label="bound fails")
        ax.plot([1e-4, 10], [1e-4, 10], color="black", lw=1)
        ax.set(title=title, xlabel="marginal KL($\\tilde p$‖q), nats", xlim=(1e-4, 10), ylim=(1e-3, 20))
    axes[0].set_ylabel("joint KL, nats")
    axes[1].legend(loc="lower right", markerscale=2)
    return fig


def verdict_reverse(summary):
    """In how many pairs each joint fails to bound the likelihood term."""
    forward, reverse = summary[FORWARD_FAILS], summary[REVERSE_FAILS]
    if not (verdicts.finished(forward) and verdicts.finished(reverse)):
        return "no run finished."
    pairs = "every pair" if forward["max"] == 0 else "not every pair"
    return (
        f"the forward joint bounds the likelihood term in {pairs} ({100 * forward['max']:.2g} % exceptions); "
        f"the reverse joint fails to in {100 * reverse['mean']:.1f} % of random pairs."
    )


# 1.4 A loose bound moves the optimum


@dataclass(frozen=True)
class Loose:
    """Linear Gaussian models x = c W z + noise of one parameter c, which is 1 for the data."""

    weights: tuple = ((1.0, 0.9), (0.9, 1.0))  # W
    noise_variance: float = 0.5
    scales: int = 241  # values of c


def run_loose(config, seed, device):
    """x = c W z + noise with the true c = 1: joint KL as a function of c, with exact and with independent encoder."""
    w = torch.tensor(config.weights, dtype=torch.float64)
    noise = config.noise_variance * torch.eye(len(w), dtype=torch.float64)
    zero = torch.zeros(len(w), dtype=torch.float64)
    c = torch.linspace(0.3, 1.5, config.scales, dtype=torch.float64)
    data = w @ w.T + noise
    marginal = torch.stack([gaussian_kl(zero, data, zero, s**2 * w @ w.T + noise) for s in c])  # (scales,)
    gaps = [joint_kl.mean_field_gap(joint_kl.posterior_precision(s * w, config.noise_variance)) for s in c]
    joint = marginal + torch.stack(gaps)
    best, true = joint.argmin(), (c - 1).abs().argmin()
    numbers = {
        "best c by likelihood": c[marginal.argmin()],
        "best c by joint KL, independent encoder": c[best],
        "gap at c = 1": joint[true] - marginal[true],
        "marginal KL given up": marginal[best],
    }
    return {"numbers": numbers, "arrays": {"c": c, "marginal": marginal, "joint": joint}}


BOUNDS = {
    "joint": Look("joint KL, independent encoder", "vermillion", "--", "s"),
    "marginal": Look("marginal KL = joint KL with the exact posterior", "blue", "-", "o"),
}


def draw_loose(results, config):
    """Joint and marginal KL (scales,) against c, with their minima and the gap between them."""
    a = results[0]["arrays"]
    fig, ax = drawing.panels(size=(6.4, 3.4))
    for key, look in BOUNDS.items():
        ax.plot(a["c"], a[key], **look.as_line())
    ax.fill_between(a["c"], a["marginal"], a["joint"], color=COLORS["orange"], alpha=0.25, label="gap (1.10)")
    for key, look in BOUNDS.items():
        i = int(a[key].argmin())
        lowest = (a["c"][i], a[key][i])
        ax.plot(*lowest, **look.as_points(ms=8, zorder=3, label=None))
        ax.annotate(f"minimum at {a['c'][i]:.2f}", lowest, (0, 14), textcoords="offset points", ha="center")
    ax.set(xlabel="scale c of the decoder (truth: 1)", ylabel="nats", ylim=(-0.03, 1.15))
    ax.legend(loc="upper right")
    return fig


# 1.5 Tight and loose bounds


@dataclass(frozen=True)
class Bound:
    """One fixed model with a family of encoders."""

    seed_of_model: int = 3
    steps: int = 61  # encoders, from the exact posterior to one that ignores x


def run_bound(config, seed, device):
    """One model, and encoders on the way from the exact posterior to ignoring x: the marginal KL stays, the gap grows."""
    w = worlds.table(config.seed_of_model)
    t = torch.linspace(0, 1, config.steps, dtype=torch.float64)
    encoders = [torch.softmax((1 - s) * w.q_z_given_x.log() + s * w.q_z.flip(0).log(), 1) for s in t]  # each (x, z)
    gaps = torch.stack([joint_kl.gap(w.p_x[:, None] * e, w.q_xz) for e in encoders])  # (steps,)
    joint = torch.stack([kl(w.p_x[:, None] * e, w.q_xz) for e in encoders])
    numbers = {"marginal KL": kl(w.p_x, w.q_x), "gap at the start": gaps[0], "gap at the end": gaps[-1]}
    return {"numbers": numbers, "arrays": {"t": t, "joint": joint, "gap": gaps}}


def draw_bound(results, config):
    """The joint KL (steps,) as a band of the marginal KL, which is constant, with the gap on top."""
    a, marginal = results[0]["arrays"], float(results[0]["numbers"]["marginal KL"])
    fig, ax = drawing.panels(size=(6.4, 3.2))
    model, encoder = "marginal KL (the model's own error)", "gap (the encoder's error)"
    ax.fill_between(a["t"], 0, marginal, color=COLORS["blue"], alpha=0.55, label=model)
    ax.fill_between(a["t"], marginal, a["joint"], color=COLORS["orange"], alpha=0.6, hatch="//", label=encoder)
    ax.plot(a["t"], a["joint"], color="black", label="joint KL")
    ax.set(xlabel="encoder: 0 is the exact posterior, 1 ignores x", ylabel="nats", xlim=(0, 1), ylim=(0, None))
    ax.legend(loc="upper left")
    return fig


RECIPES = {
    "1.1": Recipe(
        title="Two joints",
        caption="Two joints over the same grid of x and z, with their marginals in x above. The joint KL is the KL of the "
        "two bar charts plus the gap: the KL of matching columns, each column divided by its sum, averaged with the left "
        "bar chart as weights.",
        alt="Two heat maps side by side. The data side has two separate blobs along a diagonal and a two-bump marginal; "
        "the model side is one broad tilted blob with a one-bump marginal.",
        run=run_two_joints, draw=draw_two_joints, full=TwoJoints(),
    ),
    "1.2": Recipe(
        title="Forward and reverse fits",
        caption="One Gaussian fitted to two bumps. The forward fit, of least KL(p||q), matches mean and variance and "
        "covers both. The reverse fit, of locally least KL(q||p), depends on the start once the bumps are far enough "
        "apart: from a bump it stays there, from the forward fit it covers both (at the distances shown).",
        alt="Three panels of a gray two-bump density with growing distance. The forward fit widens to cover both bumps. "
        "The three reverse fits coincide in the first panel; in the others one sits on each bump and one covers both.",
        run=run_fits, draw=draw_fits, full=Fits(),
    ),
    "1.3": Recipe(
        title="The reverse joint does not bound the likelihood",
        caption="Random pairs of 2 x 2 joints, every table equally likely. On the line the joint KL equals the marginal KL "
        "of maximum likelihood; under it the joint KL is the smaller one: for no pair in the forward direction, for about "
        "one in twenty in the reverse one (crosses). Pairs with a marginal KL below 0.0001 are not shown.",
        alt="Two scatter plots of joint KL against marginal KL on logarithmic axes with the diagonal. On the left all "
        "points lie above the diagonal; on the right a small part lies below it, marked by crosses.",
        run=run_reverse, draw=draw_reverse, quick=Reverse(pairs=4000), full=Reverse(), seeds=tuple(range(5)),
        verdict=verdict_reverse,
    ),
    "1.4": Recipe(
        title="A loose bound moves the optimum",
        caption="Data from x = W z + noise, model x = c W z + noise. With an encoder that treats the coordinates of z as "
        "independent, the joint KL is least at a smaller c than the true c, which is 1.",
        alt="Two curves over the scale c. The marginal KL touches zero at c equal to 1. The joint KL lies above it and has "
        "its minimum further left, at about three quarters.",
        run=run_loose, draw=draw_loose, full=Loose(),
    ),
    "1.5": Recipe(
        title="Tight and loose bounds",
        caption="One fixed model, a family of encoders. The marginal KL does not change; the gap is zero for the exact "
        "posterior and grows as the encoder moves away from it.",
        alt="A constant blue band for the marginal KL with a hatched orange band on top that grows from zero thickness on "
        "the left, where the encoder is exact, to the right.",
        run=run_bound, draw=draw_bound, full=Bound(),
    ),
}  # fmt: skip
