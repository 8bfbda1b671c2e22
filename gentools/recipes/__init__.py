"""Recipes: one figure each, from a configuration to a picture. `gentools.recipes.recording` computes and writes them.

A recipe's `run(config, seed, device)` needs torch and numpy only, so that it can run on a bare GPU machine; its
`draw(results, config)` makes the picture anywhere.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path

from gentools.lab.chapters import chapter as chapter_of

_HERE = Path(__file__).resolve().parents[2]
ROOT = (
    _HERE if (_HERE / "pyproject.toml").is_file() else Path.cwd()
)  # the checkout; without one, where the reader works


@dataclass(frozen=True)
class Recipe:
    """One figure: what it shows, how it is computed at each scale, how it is drawn and what it lets one conclude.

    run(config, seed, device) -> {"numbers": {name: float}, "arrays": {name: tensor}}; draw(results, config) -> Figure,
    with one result per seed; verdict(summary) -> a sentence. `quick` is for a laptop, and `full` itself where that is not
    given; `full` is the source's own size, `cpu` a stated smaller size for recording without a GPU; `record` names the
    one that the stored figure uses.
    model(config, seed) -> an nn.Module: the networks of the figure, untrained; then `run` returns them trained under
    "nets" as well, and the recorded figure stores those of its first seed, which `gentools.trained` loads.
    idle: names of settings, also of inner ones, that neither `run` nor `draw` of this figure reads, where figures share a
    kind of configuration: `report` leaves them out.
    """

    title: str
    caption: str
    alt: str
    run: object
    draw: object
    full: object
    quick: object = None
    cpu: object = None
    seeds: tuple = (0,)
    verdict: object = None
    record: str = "full"
    model: object = None
    idle: tuple = ()

    def config(self, scale):
        """The configuration for scale "quick", "cpu" or "full"."""
        config = getattr(self, scale, None) if scale in ("quick", "cpu", "full") else None
        config = self.full if config is None and scale == "quick" else config
        if config is None:
            given = ["quick", *(name for name in ("cpu", "full") if getattr(self, name))]
            raise ValueError(f"there is no scale {scale!r} for {self.title!r}; there are: {', '.join(given)}")
        return config

    def result(self, scale, seed=0, device="cpu"):
        """Run one seed at once, here: what a notebook's training cell does."""
        return self.run(self.config(scale), seed, device)


def recipes(chapter):
    """The recipes of a chapter by name, {"1.2": Recipe}, 3.2 before 3.10. A chapter without figures has none."""
    try:
        found = importlib.import_module(f"gentools.recipes.{chapter}").RECIPES
        return dict(sorted(found.items(), key=lambda each: int(each[0].split(".")[1])))
    except ModuleNotFoundError as error:
        if error.name == f"gentools.recipes.{chapter}":
            return {}
        raise


def find(id):
    """The recipe of figure `id`. Raises ValueError on an unknown id."""
    found = recipes(chapter_of(id).name)
    if id not in found:
        raise ValueError(f"there is no figure {id}; the chapter has {', '.join(found) or 'none'}")
    return found[id]


def live(id, results, scale):
    """Show figure `id` as drawn from results that were computed here, one per seed, with its number and caption.

    For a figure that takes seconds: the reader's run stands in the place of the recorded one, which `recorded` shows.
    """
    from gentools.lab.plots import show

    recipe = find(id)
    show(recipe.draw(results, recipe.config(scale)), alt=recipe.alt)
    print(
        f"Figure {id}. {recipe.caption}\nComputed here from {len(results)} seed{'s' * (len(results) > 1)}, scale {scale}."
    )
