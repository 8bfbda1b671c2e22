"""Experiments of chapter 01. All are exact: tables, quadrature and Gaussians in closed form."""

from dataclasses import dataclass

import torch

from gentools import joint_kl
from gentools.lab.divergences import gaussian_kl, kl
from gentools.lab.plots import COLORS
from gentools.lab.randomness import generator
from gentools.recipes import Recipe


@dataclass(frozen=True)
class TwoJoints:
    x_cells: int = 40
    z_cells: int = 30


def run_two_joints(config, seed, device):
    """Two joints over a grid: a two-bump data side with a sloping encoder, and a model that misses half of it."""
    x = torch.linspace(-3, 3, config.x_cells, dtype=torch.float64)
    z = torch.linspace(-3, 3, config.z_cells, dtype=torch.float64)

    def bump(t, mean, std):
        return torch.exp(-(((t - mean) / std) ** 2) / 2)

    p_x = bump(x, -1.2, 0.5) + bump(x, 1.3, 0.4)
    encoder = bump(z[None, :], x[:, None], 0.5)
    q_z = bump(z, 0, 1)
    decoder = bump(x[:, None], 0.6 * z[None, :], 0.7)
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


def draw_two_joints(results, config):
    import matplotlib.pyplot as plt

    a, n = results[0]["arrays"], results[0]["numbers"]
    fig, axes = plt.subplots(2, 2, figsize=(7.6, 4.6), height_ratios=(1, 2.6), sharex=True)
    top = max(float(a["p"].max()), float(a["q"].max()))
    peak = 1.08 * max(float(a["p"].sum(1).max()), float(a["q"].sum(1).max()))
    for column, (key, color, title) in enumerate(
        [
            ("p", "blue", "data side  $P = \\tilde p(x)\\,p(z|x)$"),
            ("q", "vermillion", "model side  $Q = q(z)\\,q(x|z)$"),
        ]
    ):
        step = float(a["x"][1] - a["x"][0])
        axes[0, column].bar(a["x"], a[key].sum(1), width=step, color=COLORS[color])
        axes[0, column].set(title=title, ylim=(0, peak), yticks=[])
        axes[1, column].pcolormesh(a["x"], a["z"], a[key].T, vmin=0, vmax=top, cmap="viridis")
        axes[1, column].set(xlabel="x", ylabel="z" if column == 0 else "")
    axes[0, 0].set_ylabel("marginal")
    joint, marginal, gap = (float(v) for v in n.values())
    fig.suptitle(
        f"joint KL {joint:.2f}  =  KL of the marginals {marginal:.2f}  +  gap {gap:.2f}   (nats)",
        fontsize=11,
    )
    return fig


@dataclass(frozen=True)
class Fits:
    separations: tuple = (2.0, 4.0, 6.0)
    std: float = 0.7
    left_weight: float = 0.4


def run_fits(config, seed, device):
    """Forward and reverse fits of one Gaussian to two bumps, at several separations; the reverse one from both bumps."""
    x = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    numbers, arrays = {}, {"x": x}
    for separation in config.separations:
        left, right = -separation / 2, separation / 2
        p = config.left_weight * joint_kl.gaussian_cells(x, left, config.std)
        p = p + (1 - config.left_weight) * joint_kl.gaussian_cells(x, right, config.std)
        fits = {
            "forward": joint_kl.fit_forward(x, p),
            "reverse, from the left": joint_kl.fit_reverse(x, p, left, config.std),
            "reverse, from the right": joint_kl.fit_reverse(x, p, right, config.std),
        }
        arrays[f"p {separation}"] = p
        for name, (mean, std) in fits.items():
            q = joint_kl.gaussian_cells(x, mean, std)
            arrays[f"{name} {separation}"] = q
            if separation == max(config.separations):
                numbers |= {f"{name}: mean": mean, f"{name}: std": std}
                numbers |= {
                    f"{name}: KL(p||q)": kl(p, q),
                    f"{name}: KL(q||p)": kl(q, p),
                }
    return {"numbers": numbers, "arrays": arrays}


def draw_fits(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    fig, axes = plt.subplots(1, len(config.separations), figsize=(8.4, 2.9), sharey=True)
    looks = {
        "forward": (COLORS["blue"], "-"),
        "reverse, from the left": (COLORS["vermillion"], "--"),
        "reverse, from the right": (COLORS["green"], "-."),
    }
    dx = a["x"][1] - a["x"][0]
    for ax, separation in zip(axes, config.separations, strict=True):
        ax.fill_between(a["x"], a[f"p {separation}"] / dx, color="0.82", label="data")
        for name, (color, line) in looks.items():
            ax.plot(a["x"], a[f"{name} {separation}"] / dx, color=color, ls=line, label=name)
        ax.set(
            title=f"distance {separation:g}",
            xlabel="x",
            xlim=(-6, 6),
            xticks=(-5, 0, 5),
        )
    axes[0].set_ylabel("density")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


@dataclass(frozen=True)
class Reverse:
    pairs: int = 20000


def run_reverse(config, seed, device):
    """Random pairs of 2 x 2 joints, uniform on the simplex: does the joint KL bound the likelihood's KL(p(x)||q(x))?"""
    rng = generator(seed, "reverse joint")
    tables = -torch.rand(2, config.pairs, 2, 2, generator=rng, dtype=torch.float64).log()
    p, q = tables / tables.sum((2, 3), keepdim=True)
    marginal = kl(p.sum(2), q.sum(2), dim=1)
    reverse_marginal = kl(q.sum(2), p.sum(2), dim=1)
    forward, reverse = kl(p, q, dim=(1, 2)), kl(q, p, dim=(1, 2))
    numbers = {
        "share of pairs with KL(P||Q) < KL(p||q)": (forward < marginal).double().mean(),
        "share of pairs with KL(Q||P) < KL(p||q)": (reverse < marginal).double().mean(),
        "share of pairs with KL(Q||P) < KL(q||p)": (reverse < reverse_marginal).double().mean(),
    }
    keep = slice(0, 3000)
    return {
        "numbers": numbers,
        "arrays": {
            "marginal": marginal[keep],
            "forward": forward[keep],
            "reverse": reverse[keep],
        },
    }


def draw_reverse(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    fig, axes = plt.subplots(1, 2, figsize=(7.6, 3.5), sharex=True, sharey=True)
    for ax, key, title in zip(
        axes,
        ("forward", "reverse"),
        ("forward joint  KL(P‖Q)", "reverse joint  KL(Q‖P)"),
        strict=True,
    ):
        below = a[key] < a["marginal"]
        ax.loglog(
            a["marginal"][~below],
            a[key][~below],
            ".",
            ms=2,
            color=COLORS["sky"],
            label="bound holds",
        )
        ax.loglog(
            a["marginal"][below],
            a[key][below],
            "x",
            ms=4,
            color=COLORS["vermillion"],
            label="bound fails",
        )
        ax.plot([1e-4, 10], [1e-4, 10], color="black", lw=1)
        ax.set(
            title=title,
            xlabel="marginal KL($\\tilde p$‖q), nats",
            xlim=(1e-4, 10),
            ylim=(1e-3, 20),
        )
    axes[0].set_ylabel("joint KL, nats")
    axes[1].legend(loc="lower right", markerscale=2)
    return fig


def verdict_reverse(summary):
    forward = summary["share of pairs with KL(P||Q) < KL(p||q)"]
    reverse = summary["share of pairs with KL(Q||P) < KL(p||q)"]
    return (
        f"the forward joint bounds the likelihood term in every pair ({100 * forward['max']:.0f} % exceptions); "
        f"the reverse joint fails to in {100 * reverse['mean']:.1f} % of random pairs."
    )


@dataclass(frozen=True)
class Loose:
    weights: tuple = ((1.0, 0.9), (0.9, 1.0))
    noise_variance: float = 0.5
    scales: int = 241


def run_loose(config, seed, device):
    """x = c W z + noise with the true c = 1: joint KL as a function of c, with exact and with independent encoder."""
    w = torch.tensor(config.weights, dtype=torch.float64)
    noise = config.noise_variance * torch.eye(len(w), dtype=torch.float64)
    zero = torch.zeros(len(w), dtype=torch.float64)
    c = torch.linspace(0.3, 1.5, config.scales, dtype=torch.float64)
    data = w @ w.T + noise
    marginal = torch.stack([gaussian_kl(zero, data, zero, s**2 * w @ w.T + noise) for s in c])
    gaps = [joint_kl.mean_field_gap(joint_kl.posterior_precision(s * w, config.noise_variance)) for s in c]
    joint = marginal + torch.stack(gaps)
    best, true = joint.argmin(), (c - 1).abs().argmin()
    numbers = {
        "best c by likelihood": c[marginal.argmin()],
        "best c by joint KL, independent encoder": c[best],
        "gap at c = 1": joint[true] - marginal[true],
        "marginal KL given up": marginal[best],
    }
    return {
        "numbers": numbers,
        "arrays": {"c": c, "marginal": marginal, "joint": joint},
    }


def draw_loose(results, config):
    import matplotlib.pyplot as plt

    a = results[0]["arrays"]
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    ax.plot(
        a["c"],
        a["joint"],
        color=COLORS["vermillion"],
        ls="--",
        label="joint KL, independent encoder",
    )
    ax.plot(
        a["c"],
        a["marginal"],
        color=COLORS["blue"],
        label="marginal KL = joint KL with the exact posterior",
    )
    ax.fill_between(
        a["c"],
        a["marginal"],
        a["joint"],
        color=COLORS["orange"],
        alpha=0.25,
        label="gap (1.10)",
    )
    for key, color, marker in (("joint", "vermillion", "s"), ("marginal", "blue", "o")):
        i = int(a[key].argmin())
        ax.plot(a["c"][i], a[key][i], marker, color=COLORS[color], ms=8, zorder=3)
        ax.annotate(
            f"minimum at {a['c'][i]:.2f}",
            (a["c"][i], a[key][i]),
            (0, 14),
            textcoords="offset points",
            ha="center",
        )
    ax.set(xlabel="scale c of the decoder (truth: 1)", ylabel="nats", ylim=(-0.03, 1.15))
    ax.legend(loc="upper right")
    return fig


@dataclass(frozen=True)
class Bound:
    seed_of_model: int = 3
    steps: int = 61


def run_bound(config, seed, device):
    """One model, and encoders on the way from the exact posterior to ignoring x: the marginal KL stays, the gap grows."""
    from gentools.lab import worlds

    w = worlds.table(config.seed_of_model)
    t = torch.linspace(0, 1, config.steps, dtype=torch.float64)
    encoders = [torch.softmax((1 - s) * w.q_z_given_x.log() + s * w.q_z.flip(0).log(), 1) for s in t]
    gaps = torch.stack([joint_kl.gap(w.p_x[:, None] * e, w.q_xz) for e in encoders])
    joint = torch.stack([kl(w.p_x[:, None] * e, w.q_xz) for e in encoders])
    numbers = {
        "marginal KL": kl(w.p_x, w.q_x),
        "gap at the start": gaps[0],
        "gap at the end": gaps[-1],
    }
    return {"numbers": numbers, "arrays": {"t": t, "joint": joint, "gap": gaps}}


def draw_bound(results, config):
    import matplotlib.pyplot as plt

    a, n = results[0]["arrays"], results[0]["numbers"]
    fig, ax = plt.subplots(figsize=(6.4, 3.2))
    marginal = float(n["marginal KL"])
    ax.fill_between(
        a["t"],
        0,
        marginal,
        color=COLORS["blue"],
        alpha=0.55,
        label="marginal KL (the model's own error)",
    )
    ax.fill_between(
        a["t"],
        marginal,
        a["joint"],
        color=COLORS["orange"],
        alpha=0.6,
        hatch="//",
        label="gap (the encoder's error)",
    )
    ax.plot(a["t"], a["joint"], color="black", label="joint KL")
    ax.set(
        xlabel="encoder: 0 is the exact posterior, 1 ignores x",
        ylabel="nats",
        xlim=(0, 1),
        ylim=(0, None),
    )
    ax.legend(loc="upper left")
    return fig


RECIPES = {
    "1.1": Recipe(
        title="Two joints",
        caption="Two joints over the same grid of x and z, with their marginals in x. The joint KL is the KL of the "
        "two bar charts plus the average KL of the columns.",
        alt="Two heat maps side by side. The data side has two separate blobs along a diagonal and a two-bump marginal; "
        "the model side is one broad tilted blob with a one-bump marginal.",
        run=run_two_joints,
        draw=draw_two_joints,
        quick=TwoJoints(),
        full=TwoJoints(),
    ),
    "1.2": Recipe(
        title="Forward and reverse fits",
        caption="One Gaussian fitted to two bumps. Least KL(p||q) matches mean and variance and covers both; "
        "least KL(q||p) settles on the bump it started from once the bumps are far enough apart.",
        alt="Three panels of a gray two-bump density with growing distance. The forward fit widens to cover both bumps; "
        "the two reverse fits coincide in the first panel and sit on the left and the right bump in the others.",
        run=run_fits,
        draw=draw_fits,
        quick=Fits(),
        full=Fits(),
    ),
    "1.3": Recipe(
        title="The reverse joint does not bound the likelihood",
        caption="Random pairs of 2 x 2 joints. Points under the line have a joint KL smaller than the marginal KL of "
        "maximum likelihood: none in the forward direction, many in the reverse one.",
        alt="Two scatter plots of joint KL against marginal KL on logarithmic axes with the diagonal. On the left all "
        "points lie above the diagonal; on the right a part lies below it, marked by crosses.",
        run=run_reverse,
        draw=draw_reverse,
        quick=Reverse(pairs=4000),
        full=Reverse(),
        seeds=tuple(range(5)),
        verdict=verdict_reverse,
    ),
    "1.4": Recipe(
        title="A loose bound moves the optimum",
        caption="Data from x = W z + noise, model x = c W z + noise. With an encoder that treats the coordinates of z as "
        "independent, the joint KL is least at a smaller c than the true one.",
        alt="Two curves over the scale c. The marginal KL touches zero at c equal to 1. The joint KL lies above it and has "
        "its minimum further left, at about three quarters.",
        run=run_loose,
        draw=draw_loose,
        quick=Loose(),
        full=Loose(),
    ),
    "1.5": Recipe(
        title="Tight and loose bounds",
        caption="One fixed model, a family of encoders. The marginal KL does not change; the gap is zero for the exact "
        "posterior and grows as the encoder moves away from it.",
        alt="A constant blue band for the marginal KL with a hatched orange band on top that grows from zero thickness on "
        "the left, where the encoder is exact, to the right.",
        run=run_bound,
        draw=draw_bound,
        quick=Bound(),
        full=Bound(),
    ),
}
