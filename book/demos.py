"""Demos: what a page lets its reader move. The notebooks stay as they are; a page gets a place for each, see demos/frame.js."""

import html
import json
from pathlib import Path

from gentools.lab import data

FOLDER = Path(__file__).resolve().parent / "demos"
PLACES = {  # notebook: {cell under which a demo stands: its name}
    "01_joint_kl": {"outcome-1-4": "two_kls"},
    "02_em": {"touch": "em"},
    "03_vae": {"eq-3-9": "codes"},
    "04_conditional_vae": {"eq-4-6": "classes"},
    "05_gan": {"fig-5-4": "dirac"},
    "06_dcgan": {"eq-6-5": "taps"},
    "07_conditional_gan": {"fig-7-1": "blind"},
    "08_aae": {"eq-8-6": "aggregate"},
    "09_ali": {"fig-9-2": "pairs"},
    "10_regularized_gan": {"fig-10-2": "rounds"},
    "11_evaluation": {"eq-11-4": "moments"},
    "12_wgan_gp": {"fig-12-1": "critic"},
    "13_age": {"outcome-13-4": "line"},
    "14_alpha_gan": {"eq-14-6": "shared"},
    "15_autoregressive": {"eq-15-11": "fed"},
    "16_diffusion": {"fig-16-5": "sampler"},
    "17_one_map": {"eq-17-5": "apart"},
}


def values(name):
    """The numbers that a demo is given, or None: the waiting times of Old Faithful."""
    return data.old_faithful()[:, 1].tolist() if name == "em" else None


def placed(nb, stem):
    """The notebook with a place under every cell that has a demo. Raises KeyError where such a cell is missing."""
    waiting, cells = dict(PLACES.get(stem, {})), []
    for cell in nb["cells"]:
        cells.append(cell)
        name = waiting.pop(cell["id"], None)
        if name is not None:
            cells.append({"cell_type": "markdown", "id": f"demo-{name}", "metadata": {}, "source": place(name)})
    if waiting:
        raise KeyError(f"{stem} has no cell {', '.join(waiting)}, under which a demo should stand")
    return nb | {"cells": cells}


def place(name):
    """The place of a demo, as HTML."""
    given = html.escape(json.dumps(values(name)), quote=True)
    return f'<div class="demo" data-demo="{name}" data-values="{given}"><p>The demo that stands here needs JavaScript.</p></div>'
