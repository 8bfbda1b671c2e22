"""Figures of chapter 17."""

from gentools.recipes import Recipe, one_map_pictures, one_map_points

RECIPES = {
    "17.2": Recipe(
        title="Every model on the grid", caption="", alt="", run=one_map_points.run_grid, draw=None,
        seeds=tuple(range(5)), full=one_map_points.Grid(),
    ),
    "17.3": Recipe(
        title="Every model on digits", caption="", alt="", run=one_map_pictures.run_digits, draw=None,
        seeds=(0, 1, 2), full=one_map_pictures.Digits(),
    ),
    "17.4": Recipe(
        title="The capstone on the ring", caption="", alt="", run=one_map_points.run_ring, draw=None,
        seeds=tuple(range(5)), full=one_map_points.Ring(),
    ),
}  # fmt: skip
