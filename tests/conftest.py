"""Property tests draw the same examples on every run, no clock decides whether they pass, and no test leaves figures open."""

import sys

import pytest
from hypothesis import settings

settings.register_profile("house", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def figures_closed():
    """Close the figures that a test has drawn, also where it failed; matplotlib is loaded by those alone that draw."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
