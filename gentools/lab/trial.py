"""A trial of a run: every training in it takes a few steps, is timed, and hands back a History of the length asked for.

So the code around the trainings goes on as after a whole run, and one trial of seconds says how many trainings a run
has, how many steps, and how long they would take on this machine.
"""

import time
from contextlib import contextmanager

import torch

from gentools.lab import checkpoint

active = None  # the Trial under way; `train` asks here


class Enough(Exception):
    """The trial has lasted longer than its limit."""


class Trial:
    """What `trying` yields. steps: of each training; moments: how often its `watch` is called (None: as often as asked).

    limit: seconds after which the next training ends the trial (Enough). trainings: one (steps asked for, seconds that
    they would take, calls of `watch` included) each; resumed: how many of the steps lie in checkpoints, and saved: their
    part of the seconds; spent: the seconds that these trainings took in the trial; cut: whether the limit ended it.
    """

    def __init__(self, steps=5, moments=1, limit=None):
        self.steps, self.moments, self.limit = steps, moments, limit
        self.resumed, self.saved = 0, 0.0
        self.trainings, self.spent, self.cut, self.start = [], 0.0, False, time.perf_counter()

    def run(self, train, *inputs, steps, log_every=100, watch=None, folder=None, **options):
        """Stand in for train(*inputs, steps=steps, ...); of its folder it only asks how many steps lie there."""
        begun = time.perf_counter()
        if self.limit is not None and begun - self.start > self.limit:
            self.cut = True
            raise Enough
        few, kept = min(steps, self.steps), min(steps, checkpoint.steps(folder)) if folder else 0
        with _alone():
            train(*inputs, steps=min(few, 1), log_every=1, **options)  # what a device does once is not counted
            first = time.perf_counter()
            history = train(*inputs, steps=few, log_every=max(few, 1), **options)
        seconds = (time.perf_counter() - first) / max(few, 1) * steps
        saved = seconds * kept / max(steps, 1)
        asked = [*range(log_every, steps, log_every), steps] if watch and steps else []
        looked = asked if self.moments is None else asked[: self.moments]
        first = time.perf_counter()
        for done in looked:
            history.watched.append({"step": done, **watch(done)})
        if looked:
            look = (time.perf_counter() - first) / len(looked)
            seconds += look * len(asked)
            saved += look * sum(done <= kept for done in asked)
        history.watched += [{**history.watched[-1], "step": done} for done in asked[len(looked) :]]
        if few:
            more = history.values[-1:].expand(steps - few, *history.values.shape[1:])
            history.values = torch.cat([history.values, more])
        self.trainings.append((steps, seconds))
        self.resumed, self.saved = self.resumed + kept, self.saved + saved
        self.spent += time.perf_counter() - begun
        return history


@contextmanager
def trying(**options):
    """`with trying(steps=5) as trial:` every `train` inside is a trial. Yields the Trial."""
    global active  # noqa: PLW0603  `train` asks one name, whichever trial is under way
    before, active = active, Trial(**options)
    try:
        yield active
    finally:
        active = before


@contextmanager
def _alone():
    """The trial itself uses `train` as it is."""
    global active  # noqa: PLW0603  `train` asks one name, whichever trial is under way
    before, active = active, None
    try:
        yield
    finally:
        active = before
