"""Drawings of chapter 04 that take more lines than what they draw: `conditional_vae` has the recipes."""

import torch

from gentools.recipes.conditional_vae_exact import LOOKS
from gentools.recipes.conditional_vae_few import CLASSES
from gentools.recipes.shared import drawing


def draw_bounds(results, config):
    """Left the paths (40, 3) of KL and reconstruction, right where they end on held-out images (2,).

    Below, the held-out bounds, of curves (moments, 3) the first column, from a quarter of the steps on.
    """
    fig, axes = drawing.mosaic([[0, 1], [2, 2]], (8.4, 6.6), height_ratios=(4, 2.6))
    ends = torch.stack([r["arrays"][f"{name}: held out"] for r in results for name in LOOKS])
    paths = torch.cat([r["arrays"][f"{name}: path"][:, :2] for r in results for name in LOOKS])
    for name, look in LOOKS.items():
        for i, r in enumerate(results):
            a, label = r["arrays"], None if i else look.label
            axes[0].plot(*a[f"{name}: path"][:, :2].T, **look.as_line(lw=1.1, label=label))
            axes[1].plot(*a[f"{name}: held out"], **look.as_points(ms=7, mfc="none", mew=1.4))
    step, vae_path = (results[0]["arrays"][key] for key in ("step", "VAE: path"))
    for mark in (10, 30, 100, 1000):
        if mark < step[-1]:
            kl, reconstruction = vae_path[(step - mark).abs().argmin(), :2].tolist()
            axes[0].plot(kl, reconstruction, ".", color="black", ms=6)
            axes[0].annotate(f"step {mark}", (kl, reconstruction), (6, 3), textcoords="offset points")
    low, high = ends.min(0).values, ends.max(0).values
    margin = 0.12 * (high - low) + 0.3
    box = torch.stack([low - margin, high + margin]).T.tolist()
    corner = [(0, 1.05 * float(paths[:, 0].max())), (0.8 * box[1][0], 1.03 * float(paths[:, 1].max()))]
    constant_bounds(axes[0], *corner, (corner[1][1] - corner[1][0]) / 7)
    constant_bounds(axes[1], *box, 1.0)
    axes[0].set(ylabel="reconstruction term, nats", title="training batches, from first step to last")
    axes[1].set(title="held out, at the end (gray lines: 1 nat)")
    axes[0].legend(loc="upper right")
    moments = results[0]["arrays"]["moments"]
    shown = moments >= moments[-1] / 4
    for name, look in LOOKS.items():
        curves = [r["arrays"][f"{name}: curves"][shown, 0] for r in results]
        drawing.seed_curves(axes[2], moments[shown] / 1000, curves, look, marker=look.marker, ms=4, mfc="none")
    axes[2].axvline(0.75 * float(moments[-1]) / 1000, color="0.4", ls=":", lw=1.2, zorder=0)
    axes[2].set(xlabel="thousand steps", ylabel="bound, nats", title="the bound on held-out images")
    axes[2].grid(axis="y", color="0.9", lw=0.8)
    return fig


def constant_bounds(ax, horizontal, vertical, gap):
    """Set the ranges of both axes, with gray lines `gap` nats apart along which the sum of both terms is constant."""
    ax.set(xlim=horizontal, ylim=vertical, xlabel="KL term, nats")
    reach = torch.tensor(horizontal)
    first = torch.tensor(vertical[0] + horizontal[0]).div(gap).ceil() * gap
    while first < vertical[1] + horizontal[1]:
        ax.plot(reach, first - reach, color="0.8", lw=0.8, ls="-", zorder=0)
        first = first + gap


def draw_plane(results, config):
    """A row per model: codes (shown, 2) with the square that is decoded, and the sheet (side^2, h, w).

    Below, the held-out bounds (moments,) of both.
    """
    a, names = results[0]["arrays"], [name for name, _ in config.learning_rates]
    fig, axes = drawing.mosaic("ab;cd;ee", (7.2, 9.0), height_ratios=(1, 1, 0.42))
    edge = float(torch.special.ndtri(torch.tensor(0.95)))
    for (left, right), name in zip((("a", "b"), ("c", "d")), names, strict=True):
        means, look, ax = a[f"{name}: means"], LOOKS[name], axes[left]  # means: (classes, 2)
        drawing.by_class(ax, a[f"{name}: codes"], a["labels"], size=3, most=120)
        places = drawing.apart(means, 1.35)
        if name == "class means":
            ax.plot(*means.T, "x", color="black", ms=6, mew=1.8)
        for digit, color in enumerate(drawing.CLASS_COLORS if name == "class means" else ()):
            circle = dict(boxstyle="circle,pad=0.15", fc="white", ec=color, alpha=0.9)
            ax.text(*places[digit], str(digit), fontsize=9, weight="bold", ha="center", va="center", bbox=circle)
        square = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * edge + means[config.digit]
        ax.plot(*square.T, color="black", lw=1.4, ls="--")
        ax.set(title=f"{name}: codes of held-out images", xlabel="$z_1$", ylabel="$z_2$")
        ax.set_aspect("equal", adjustable="datalim")
        drawing.sheet(
            axes[right], a[f"{name}: pages"], f"{name}: a {config.digit} from the square", config.side, most=1
        )
        axes["e"].plot(a["step"] / 1000, a[f"{name}: bound given the label"], **look.as_both(ms=4))
    axes["c"].legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), markerscale=4, handletextpad=0, borderpad=0)
    axes["e"].set(
        xlabel="thousand steps", ylabel="nats", title="held-out images, bound given the label", xlim=(0, None)
    )
    axes["e"].legend(loc="center right", ncols=2)
    return fig


PANELS = ("samples, right class", "transfers, right class", "ink kept", "slant kept")  # over the curves of figure 4.5


def draw_grids(results, config):
    """A row per model: samples (rows * classes, h, w); apart from them images and, next to these, their transfers.

    Below, the four scores (moments, 4) of every seed over the steps.
    """
    import matplotlib.pyplot as plt

    a, names, shown = results[0]["arrays"], [name for name, _ in config.learning_rates], 5
    fig = plt.figure(figsize=(8.4, 6.8))
    top, bottom = fig.subfigures(2, 1, height_ratios=(2.6, 1))
    axes = top.subplots(2, 4, width_ratios=(CLASSES, 0.8, 1, CLASSES))
    for (left, gap, first, right), name in zip(axes, names, strict=True):
        gap.set_axis_off()
        sheets = {left: ("sheet", "a random offset per row"), right: ("moved", "its offset in every class")}
        for ax, (key, title) in sheets.items():
            drawing.sheet(ax, a[f"{name}: {key}"][: shown * CLASSES], f"{name}: {title}", CLASSES, most=1)
        drawing.sheet(first, a["shown"][:shown], columns=1, most=1)
        first.set_title("held out", fontsize=10, in_layout=False)
    for i, (ax, title) in enumerate(zip(bottom.subplots(1, 4), PANELS, strict=True)):
        for name in names:
            curves = [r["arrays"][f"{name}: curves"][:, i] for r in results]
            drawing.seed_curves(ax, a["step"] / 1000, curves, LOOKS[name])
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("thousand steps")
    drawing.legend_below(bottom, ax, 2)
    return fig


GUESSING = {"mnist": 0.1135, "fashion_mnist": 0.1, "digits": 36 / 297}  # share of the most frequent held-out class


def draw_cheap(results, config):
    """What a reader finds and how often the class is obeyed, (models, weights, 2), against the weight.

    Below, the latter over training, curves (models, weights, moments), for the first weight and the last.
    """
    fig, axes = drawing.panels(2, 2, (8.4, 5.4), sharey=True)
    axes = axes.flat
    names = [name for name in LOOKS if name != "VAE"]
    for i, r in enumerate(results):
        for name, both, curves in zip(names, r["arrays"]["found"], r["arrays"]["curves"], strict=True):
            look = LOOKS[name]
            for ax, values in zip(axes[:2], both.T, strict=True):
                ax.semilogx(config.weights, values, **look.as_both(lw=1.2, mfc="none", label=None if i else name))
            for ax, k in ((axes[2], 0), (axes[3], -1)):
                ax.plot(r["arrays"]["step"] / 1000, curves[k], **look.as_both(lw=1.2, mfc="none", ms=4, label=None))
                ax.set(title=f"class asked for, weight {config.weights[k]:g}", xlabel="thousand steps")
    axes[0].axhline(GUESSING[config.data], color="0.4", ls=":", lw=1.2)
    axes[0].set(title="label read from the offset", ylabel="accuracy", xlabel="weight of the KL term", ylim=(0, 1.05))
    axes[1].set(title="class asked for", xlabel="weight of the KL term")
    axes[2].set(ylabel="accuracy")
    drawing.legend_below(fig, axes[0], columns=2)
    return fig
