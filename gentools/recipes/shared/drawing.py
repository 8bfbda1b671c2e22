"""Drawing over seeds: use it in every `draw(results, config)`, so that an arm looks alike wherever it appears.

results: one {"numbers": {name: float}, "arrays": {name: tensor}} per seed. Nothing here decides a number, and matplotlib
is imported when something is drawn.
"""

import math
from dataclasses import dataclass

import torch

from gentools.lab.plots import COLORS, LINES, MARKERS, image_grid
from gentools.recipes.shared import arms

CLASS_COLORS = (*COLORS.values(), "0.55", "#7F3C00")  # of the ten classes of digits


@dataclass(frozen=True)
class Look:
    """How one arm looks: a color of the Okabe-Ito palette by name, a line style, a marker, a label for legends."""

    label: str
    color: str = "black"
    line: object = "-"
    marker: str = "o"

    @property
    def rgb(self):
        """The color as matplotlib takes it."""
        return COLORS[self.color]

    def as_line(self, **more):
        """Keywords of `ax.plot` for a line without markers. Leave the label out by label=None."""
        return {"color": self.rgb, "ls": self.line, "label": self.label} | more

    def as_points(self, **more):
        """Keywords of `ax.plot` for markers without a line."""
        return {"color": self.rgb, "marker": self.marker, "ls": "", "label": self.label} | more

    def as_both(self, **more):
        """Keywords of `ax.plot` for a line with markers."""
        return self.as_line() | {"marker": self.marker} | more


def shade(share):
    """A color of one scale from dark to light, for arms that have an order. share: from 0 to 1."""
    import matplotlib.pyplot as plt

    return plt.get_cmap("viridis")(share)


def looks(labels, colors=("blue", "orange", "green", "vermillion", "purple", "sky", "black")):
    """{arm: Look}, in the order of the palette. labels: {arm: label}, or arms that are their own labels.

    Raises ValueError for more arms than colors: draw those in several panels.
    """
    labels = labels if isinstance(labels, dict) else {arm: arm for arm in labels}
    if len(labels) > len(colors):
        raise ValueError(
            f"{len(labels)} arms and {len(colors)} colors; draw them in several panels, or name the colors"
        )
    return {
        arm: Look(label, *each) for (arm, label), *each in zip(labels.items(), colors, LINES, MARKERS, strict=False)
    }


def panels(rows=1, columns=1, size=(8.4, 3.5), **how):
    """Figure and axes of `plt.subplots`: one Axes, or an array of them. size: inches; 8.4 is the width of a page."""
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=size, **how)


def mosaic(layout, size=(8.4, 5.4), **how):
    """Figure and {key: Axes} of `plt.subplot_mosaic`: mosaic("ab;cb")."""
    import matplotlib.pyplot as plt

    return plt.subplot_mosaic(layout, figsize=size, **how)


# One number per seed


def over_seeds(results, name):
    """The number of that name for every seed: a list of floats."""
    return [float(r["numbers"][name]) for r in results]


def seed_points(ax, x, values, look, spread=0.05, size=6, half_width=0.3):
    """A point per seed side by side around place x, and a bar at the mean of those that are finite.

    half_width: of the bar; 0 for none.
    """
    values = torch.as_tensor(values, dtype=torch.float64)  # (seeds,)
    beside = (torch.arange(len(values)) - (len(values) - 1) / 2) * spread
    ax.plot(x + beside, values, **look.as_points(ms=size, alpha=0.8, label=None))
    if not half_width:
        return
    mean = values[values.isfinite()].mean().item()
    ax.plot([x - half_width, x + half_width], [mean, mean], color="black", lw=1.2, ls="-")


def seed_columns(ax, results, names, looks, **how):
    """`seed_points` for several arms side by side. names: {arm: name of the number}; looks: {arm: Look}."""
    for x, (arm, name) in enumerate(names.items()):
        seed_points(ax, x, over_seeds(results, name), looks[arm], **how)
    ax.set(xticks=range(len(names)), xlim=(-0.5, len(names) - 0.5))
    ax.set_xticklabels([looks[arm].label for arm in names])


def rate_columns(ax, results, names, looks, beside):
    """A number against the learning rate: for each arm a line through the means, and a point per seed.

    names: {arm: {rate: name of the number}}; looks: {arm: Look}. beside: factor from one arm's places to the next's, so
    that their points do not lie on each other.
    """
    for i, (arm, of_rate) in enumerate(names.items()):
        values = [over_seeds(results, name) for name in of_rate.values()]
        x = [rate * beside ** (i - len(names) // 2) for rate in of_rate]
        ax.plot(x, [sum(v) / len(v) for v in values], **looks[arm].as_line())
        for at, v in zip(x, values, strict=True):
            ax.plot([at] * len(v), v, **looks[arm].as_points(label=None))
    rates = [*next(iter(names.values()))]
    ax.set_xscale("log")
    ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
    ax.minorticks_off()


def rates_panel(results, rates, looks, what=None, beside=1.05, width=6.4):
    """Figure and axes with the number of every arm against the learning rate, under the names of `arms.at_rate`."""
    fig, ax = panels(size=(width, 3.6))
    rate_columns(ax, results, {arm: {r: arms.at_rate(arm, r, what) for r in rates} for arm in looks}, looks, beside)
    return fig, ax


# A curve per seed


def seed_curves(ax, x, curves, look, **how):
    """A thin line per seed; the first carries the label. x (n,), or one per seed; curves (seeds, n)."""
    for i, curve in enumerate(curves):
        at = x[i] if torch.as_tensor(x[0]).ndim else x
        ax.plot(at, curve, **look.as_line(lw=1.1, label=None if i else look.label) | how)


def band(ax, x, curves, look, **how):
    """The mean over the seeds, and the range of the seeds as a band around it. x (n,), curves (seeds, n)."""
    curves = torch.stack([torch.as_tensor(curve, dtype=torch.float64) for curve in curves])
    ax.plot(x, curves.mean(0), **look.as_both(ms=4, lw=1.6) | how)
    ax.fill_between(x, curves.min(0).values, curves.max(0).values, color=look.rgb, alpha=0.18, lw=0)


def course(ax, results, name, steps, look, **how):
    """`band` of the recorded curves (moments,) of that name over runs of so many steps, against thousands of steps."""
    curves = [r["arrays"][name] for r in results]
    at = torch.linspace(0, steps / 1000, len(curves[0]) + 1)[1:]
    band(ax, at, curves, look, **{"markevery": max(1, len(at) // 6)} | how)


# Samples in the plane, and sheets of pictures


def dots(ax, samples, color, size=1.5, alpha=0.5):
    """Samples (n, 2) as dots. color: by its name in the palette."""
    ax.plot(*samples.T, ".", ms=size, color=COLORS[color], alpha=alpha)


def crosses(ax, centers, color="black", size=5):
    """Centers (k, 2) as crosses, in a square around them without ticks."""
    reach = 1.3 * float(centers.abs().max())
    ax.plot(*centers.T, "+", ms=size, mew=0.55 + size / 20, color=COLORS[color])
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=(), yticks=())


def by_class(ax, codes, labels, size=2, most=None):
    """Codes (n, 2) as dots in the colors of their classes (n,); most: how many of each class, all where it is None."""
    for label, color in enumerate(CLASS_COLORS):
        ax.plot(*codes[labels == label][:most].T, ".", ms=size, color=color, label=str(label))


def apart(places, least):
    """Places (n, 2) for labels: near the given ones, but no two closer than `least`."""
    for _ in range(100):
        away = places[:, None] - places
        distance = away.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        places = places + (away / distance * (least - distance).clamp_min(0)).sum(1) / 4
    return places


def class_legend(fig):
    """One legend for the figure, below it, of the colors of the classes."""
    import matplotlib.pyplot as plt

    entries = [plt.Line2D([], [], ls="", marker="o", ms=5, color=c, label=str(i)) for i, c in enumerate(CLASS_COLORS)]
    fig.legend(handles=entries, loc="outside lower center", ncols=10, handletextpad=0.1, columnspacing=1.0)


def sheet(ax, images, title="", columns=10, most=255):
    """A sheet of images (n, c, h, w), row by row; those larger than 32 pixels are drawn smaller than they are.

    most: the value of white, 255 for uint8, 1 for numbers in [0, 1].
    """
    image_grid(ax, images, columns=columns, vmax=most, interpolation="hanning" if images.shape[-1] > 32 else "nearest")
    ax.set_title(title)


def picture_rows(figure, rows):
    """Rows of small pictures with their titles: {title: images (n, d) with d = side * side values in [0, 1]}."""
    for ax, (title, images) in zip(figure.subplots(len(rows), 1), rows.items(), strict=True):
        side = math.isqrt(images.shape[1])
        image_grid(ax, images.reshape(-1, side, side), columns=len(images))
        ax.set_title(title, loc="left", fontsize=10, pad=2)


# Marks and legends


def level(ax, value, text="", at=0.02, ls=":", above=3, **how):
    """A gray horizontal line with a text on it, which begins at the share `at` of the width, or ends there by ha="right".

    above: points between the line and the text.
    """
    ax.axhline(value, color="0.45", lw=1.2, ls=ls, zorder=0)
    place = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points"}
    ax.annotate(text, (at, value), (0, above), **place, color="0.3", **how)


def legend_below(fig, ax, columns=3, **how):
    """One legend for the figure, below it, of what has a label in `ax`."""
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=columns, **how)
