"""Mixtures of Gaussians in the plane, and how a sampler of them is scored: use them for every toy of two dimensions.

A configuration holds RING or GRID itself, not its name.
"""

from typing import NamedTuple

from gentools import evaluation
from gentools.lab import data

DRAWN = 2500  # samples per evaluation, as in the literature


class Points(NamedTuple):
    """One mixture: draw(n, seed) -> points (n, 2) and components (n,); centers() -> (k, 2); std of every component."""

    name: str
    draw: object
    centers: object
    std: float


RING = Points("ring", data.ring, data.ring_centers, data.RING_STD)
GRID = Points("grid", data.grid, data.grid_centers, data.GRID_STD)


def score(samples, points):
    """Modes, high-quality share and overlap (`evaluation.Modes`) of samples (n, 2) on the CPU."""
    return evaluation.modes(samples, points.centers(), points.std)


def chance(points):
    """What samplers without knowledge of the modes would score: {name: (modes, high-quality share)}."""
    return evaluation.chance_lines(points.centers(), points.std, DRAWN)
