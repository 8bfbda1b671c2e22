"""Every recipe draws one seed alone, and beside it a seed of which every number failed.

The runs are as short as they go. LEFT_OUT lists recipes whose shortest run takes longer than seconds, and 6.7 and 6.8, which
need a trained judge.
"""

import dataclasses
import math

import pytest
from matplotlib import pyplot as plt

from gentools import recipes
from gentools.lab.chapters import CHAPTERS

ALL = {id: recipe for chapter in CHAPTERS for id, recipe in recipes.recipes(chapter.name).items()}
SHORT = {"steps": 20, "points": 500, "batch": 500, "epochs": 1, "updates": 20, "drawn": 60, "true_draws": 2}
SHORT |= dict.fromkeys(("vae_steps", "gan_steps", "made_steps", "pixelcnn_steps", "autoencoder_steps"), 20)
SHORT |= dict.fromkeys(("judge_steps", "reader_steps", "critic_steps", "inverse_steps"), 5)
LOOKED_AT = {"3.7", "4.2", "5.7"}  # these look at the run a hundred times
LEFT_OUT = {"6.5", "6.7", "6.8", "7.1", "7.3", "7.4", "7.5", "10.2", "10.5"}


def shortened(config, short):
    """The configuration with the least training that it can be run with; short: {field: its most}."""
    changes = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = shortened(value, short)
        elif isinstance(value, int) and field.name in short:
            changes[field.name] = min(value, short[field.name])
    return dataclasses.replace(config, **changes)


@pytest.mark.filterwarnings("error:__array:DeprecationWarning")  # imshow, pcolormesh and bar take arrays, no tensors
@pytest.mark.parametrize("id", [id for id in ALL if id not in LEFT_OUT])
def test_one_seed_is_drawn_and_one_that_failed_beside_it(id):
    recipe = ALL[id]
    config = shortened(recipe.config("quick"), SHORT | {"steps": 100} if id in LOOKED_AT else SHORT)
    result = recipe.run(config, recipe.seeds[0], "cpu")
    plt.close(recipe.draw([result], config))
    failed = result | {"numbers": dict.fromkeys(result["numbers"], math.nan)}
    fig = recipe.draw([result, failed], config)
    fig.draw_without_rendering()
    plt.close(fig)
