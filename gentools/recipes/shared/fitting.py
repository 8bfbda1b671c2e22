"""Training: use `fit` in every recipe; it is `lab.training.train` with its stream, in one line.

`fit_kept` is for runs of minutes and more: it leaves checkpoints and resumes after a kill. A chapter's own wrapper, where
it needs one, builds networks and optimizers and calls these.
"""

import contextlib
import functools
import os
import time
from pathlib import Path

from gentools import recipes
from gentools.lab import closure
from gentools.lab.identity import identity_of
from gentools.lab.optim import adam
from gentools.lab.stream import Stream, unit
from gentools.lab.training import train

LONG = 2500  # steps from which on a run keeps checkpoints


def adams(nets, learning_rate, betas=(0.9, 0.999)):
    """One Adam for each network {name: network}, over what is not frozen. learning_rate: one, or {name: rate}."""
    rates = learning_rate if isinstance(learning_rate, dict) else dict.fromkeys(nets, learning_rate)
    return {name: adam([p for p in nets[name].parameters() if p.requires_grad], rates[name], betas) for name in rates}


def fit(step, nets, opts, rows, latent, *, batch, steps, seed, device, prepare=unit, **how):
    """Train networks, which stand on `device`, with one step function. Returns the History.

    rows: a tensor (n, ...), or a tuple of such, as (images, labels). latent: size of one z, or a shape where a step takes
    several, as (3, 2). prepare: what a batch goes through, as `stream.binarize`. how: what `train` takes besides, as
    schedule, ema, watch, log_every. In recipes that collect in `watch`, return what is seen: the History keeps it.
    """
    stream = Stream(rows, batch, latent, prepare=prepare, device=device)
    return train(step, nets, opts, stream, steps, seed, **how)


def fit_kept(step, nets, opts, rows, latent, *, batch, steps, seed, device, prepare=unit, **how):
    """`fit` that leaves checkpoints from LONG steps on, goes on from them, and has nothing to do where it was done.

    Whatever is wanted from the run must be in its networks and History: a `watch` that fills a list would find it short.
    """
    stream = Stream(rows, batch, latent, prepare=prepare, device=device)
    return train(step, nets, opts, stream, steps, seed, **how,
                 folder=run_folder(step, nets, opts, stream, steps, seed, how))  # fmt: skip


class Laps:
    """Seconds of training alone, for a `watch`: `with laps.stopped() as passed:` tells those since the last time."""

    def __init__(self):
        self.begun = time.perf_counter()

    @contextlib.contextmanager
    def stopped(self):
        """Yields the seconds since the last time or the start; what is done inside does not count."""
        yield time.perf_counter() - self.begun
        self.begun = time.perf_counter()


def run_folder(step, nets, opts, stream, steps, seed, how):
    """Where a run keeps its checkpoints: named after all that decides it. None for a short run.

    What decides it: the data, the start of the networks, all settings, and the code of gentools that step and watch reach.
    It lies in the folder that GENTOOLS_CHECKPOINTS names, or in build/runs.
    """
    if steps < LONG:
        return None
    parts = (how.get(name) for name in ("schedule", "ema", "autocast", "config"))
    identity = identity_of(step, nets, opts, stream, seed, *parts)
    rates = [group["lr"] for opt in opts.values() for group in getattr(opt, "param_groups", ())]
    settings = (identity, rates, steps, how.get("log_every"), str(stream.device))
    place = Path(os.environ.get("GENTOOLS_CHECKPOINTS") or recipes.ROOT / "build" / "runs")
    return place / closure.digest(_functions(how.get("watch")), settings)


def _functions(value):
    """The functions that a step is made of, where it is one with some of its arguments filled in."""
    if isinstance(value, functools.partial):
        return [part for each in (value.func, *value.args, *value.keywords.values()) for part in _functions(each)]
    return [value] if hasattr(value, "__qualname__") else []
