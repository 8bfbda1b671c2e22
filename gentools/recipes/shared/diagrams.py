"""Diagrams: use `diagram` for a figure that is drawn and not computed, and its boxes and arrows in any figure."""

import functools
from dataclasses import dataclass

from gentools.lab.plots import COLORS
from gentools.recipes import Recipe


@dataclass(frozen=True)
class Diagram:
    """The configuration of a picture without a run: nothing."""


def run_nothing(config, seed, device):
    """Nothing is computed."""
    return {"numbers": {}, "arrays": {}}


def _draw(picture, results, config):
    return picture()


def diagram(draw, **texts):
    """The recipe of a picture that draw() makes without any results. texts: title, caption, alt."""
    return Recipe(run=run_nothing, draw=functools.partial(_draw, draw), full=Diagram(), **texts)


def canvas(size, x, y):
    """Figure and Axes without frame, as large as `size` in inches; x and y: the ranges of its coordinates."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=size)
    ax.set(xlim=x, ylim=y, aspect="equal")
    ax.set_axis_off()
    return fig, ax


def box(ax, x, y, text, color=None, width=1.5, height=0.62):
    """A labeled node centered at (x, y): a quantity, round and white, or with a color a network or a draw."""
    from matplotlib.patches import FancyBboxPatch

    corner, face = (0.28, "white") if color is None else (0.06, COLORS[color] + "38")
    shape = f"round,pad=0.02,rounding_size={corner}"
    corner_at = (x - width / 2, y - height / 2)
    ax.add_patch(FancyBboxPatch(corner_at, width, height, fc=face, ec="black", lw=1.1, boxstyle=shape))
    ax.text(x, y, text, ha="center", va="center", fontsize=11)


def arrow(ax, start, end, color="black", style="-"):
    """An arrow between two points; color: any that matplotlib knows."""
    how = dict(arrowstyle="-|>", color=color, lw=1.5, ls=style, shrinkA=0, shrinkB=0)
    ax.annotate("", end, start, arrowprops=how)


def block(ax, x, depth, height, color, lean=0.22):
    """A block of maps that stands at x, centered at height 0, seen from the front with a little perspective."""
    from matplotlib.patches import Polygon

    front = [(x, -height / 2), (x + depth, -height / 2), (x + depth, height / 2), (x, height / 2)]
    top = [front[3], front[2], (front[2][0] + lean, front[2][1] + lean), (front[3][0] + lean, front[3][1] + lean)]
    side = [front[1], front[2], top[2], (front[1][0] + lean, front[1][1] + lean)]
    for corners, shade in ((front, "55"), (top, "22"), (side, "99")):
        ax.add_patch(Polygon(corners, fc=COLORS[color] + shade, ec="black", lw=0.9))
