"""Property tests draw the same examples on every run, and no clock decides whether they pass."""

from hypothesis import settings

settings.register_profile("house", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("house")
