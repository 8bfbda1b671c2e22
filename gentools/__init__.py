"""Generative Models from One Joint KL: the course's mathematics as a library.

Each chapter is a module of its name (`from gentools import em`). What notebooks use on every page is here too:
questions (`ask`, `predict`, `outcome`), exercises (`check`, `hint`, `solution`), equations (`verify`), figures (`show`,
`recorded`, `report`, `ends`, `reproduce`, `trained`), `source`, and `setup`. Importing this module loads nothing but
itself.
"""

import importlib

_HOMES = {
    "gentools.exercises": ("ask", "predict", "outcome", "check", "hint", "solution"),
    "gentools.lab.plots": ("curves", "scatter", "sheet", "show"),
    "gentools.lab.records": ("ends", "recorded", "report"),
    "gentools.lab.session": ("setup",),
    "gentools.lab.verify": ("verify",),
    "gentools.recipes.models": ("trained",),
    "gentools.recipes.reproducing": ("reproduce",),
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
