"""Generative Models from One Joint KL: the course's mathematics as a library.

Each chapter is a module of its name (`from gentools import em`). What notebooks use on every page is here too:
questions (`ask`, `predict`, `outcome`), exercises (`check`, `hint`, `solution`), equations (`verify`), figures (`show`,
`recorded`, `report`), `source`, and `setup`. Importing this module loads nothing but itself.
"""

import importlib

_HOMES = {
    "gentools.exercises": ("ask", "predict", "outcome", "check", "hint", "solution"),
    "gentools.lab.plots": ("show",),
    "gentools.lab.records": ("recorded", "report"),
    "gentools.lab.verify": ("verify",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name):
    """Load what notebooks use when it is first asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("gentools")
    if name not in _HOME:
        raise AttributeError(f"module 'gentools' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__():
    return sorted({*globals(), *_HOME, "__version__"})


def source(*things):
    """Print the source of functions or classes: what the text calls by name, as it runs."""
    import inspect

    print("\n\n\n".join(inspect.getsource(thing).rstrip() for thing in things))


def setup():
    """Prepare a notebook: the house style for figures, and one line on what it runs with. Returns the scale.

    The scale is "quick", a laptop's size, unless the environment variable GENTOOLS_SCALE says "full", the sources' own.
    OMP_NUM_THREADS, where set, is the number of torch's threads. Raises ValueError on any other scale.
    """
    import os

    import torch

    from gentools.lab import plots

    scale = os.environ.get("GENTOOLS_SCALE", "quick")
    if scale not in ("quick", "full"):
        raise ValueError(f"GENTOOLS_SCALE is {scale!r}; set it to 'quick' or 'full', or leave it unset for 'quick'")
    plots.style()
    if os.environ.get("OMP_NUM_THREADS", "").isdigit():
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(
        f"gentools {importlib.import_module(__name__).__version__}, torch {torch.__version__}, {device}, scale {scale}"
    )
    if scale == "full" and device == "CPU":
        print("Full scale on a CPU takes hours. The recorded figures show what it gives.")
    return scale
