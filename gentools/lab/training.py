"""The training loop: a visible for-loop around a chapter's step, exact under kill and resume."""

import contextlib

import torch

from gentools.lab import checkpoint, session, trial
from gentools.lab.history import History
from gentools.lab.identity import identity_of
from gentools.lab.lock import lock
from gentools.lab.optim import groups
from gentools.lab.randomness import generator
from gentools.lab.shapes import explained, rates_kept, trainable


@rates_kept
@explained
def train(step, nets, opts, stream, steps, seed, *, schedule=None, ema=None, autocast=None, folder=None, config=None,
          save_every=1000, log_every=100, watch=None):  # fmt: skip
    """Run steps 0, 1, ..., steps - 1 and return their History: history["loss"] has shape (steps,).

    step(nets, opts, x, z) -> {name: 0-d tensor} updates the networks in place. nets: an nn.Module holding all of them,
    usually nn.ModuleDict. opts: dict of optimizers (a GradScaler may join). stream: lab.stream.Stream.
    Step t depends on (seed, t) and the state alone: x and z come from the stream, torch's global generators (for
    dropout) are set from (seed, t), and the learning rates are those of `opts`, which keep them, times schedule(t).
    ema: an Average, updated after every step. autocast: what `mixed` returns. watch(steps_done) -> {name: number} is
    called every `log_every` steps, for example to evaluate; it must leave the networks as they are.
    folder: where to keep checkpoints, at the start, every `save_every` steps and at the end. A run started again there
    resumes at the newest valid one and says so; on the same build and device (deterministic kernels, the same number of
    threads) it ends bit for bit as if never stopped. A run with another step, network, start, schedule, data or setting
    is refused, naming it (CheckpointError; lab.identity). config: plain values that tell this run from others besides.
    While it runs nobody else may train there (lock.FolderInUse).
    Raises NonFinite if a metric is NaN or infinite, naming the first bad step, and if a weight or a buffer is, naming
    the step after which that was seen. Both are looked at every `log_every` and `save_every` steps and at the end, for
    looking makes the device wait. ValueError on bad input.
    """
    device = _check(nets, opts, stream, steps, save_every, log_every, autocast)
    if trial.active:  # a few steps, to tell what all would cost
        return trial.active.run(train, step, nets, opts, stream, steps=steps, seed=seed, schedule=schedule, ema=ema,
                                autocast=autocast, log_every=log_every, watch=watch, folder=folder)  # fmt: skip
    for group in groups(opts):
        group.setdefault("initial_lr", group["lr"])
    with lock(folder):
        history, start = History(folder), 0
        parts = {"nets": nets, **{f"opts.{name}": opt for name, opt in opts.items()}, "history": history}
        parts |= {"ema": ema.nets} if ema else {}
        if folder is not None:
            identity = identity_of(step, nets, opts, stream, seed, schedule, ema, autocast, config, folder)
            if found := checkpoint.newest(folder, identity):
                print(found)
                start = found.step
                for name, part in parts.items():
                    part.load_state_dict(found.state[name])
            else:  # also a run that is stopped in its first steps goes on from this start
                checkpoint.save(folder, {name: part.state_dict() for name, part in parts.items()}, 0, identity)
        if start > steps:
            raise ValueError(f"{folder} is already at step {start}, beyond steps={steps}")

        bar = _bar(start, steps)
        for t in bar:
            for group in groups(opts) if schedule else ():
                group["lr"] = group["initial_lr"] * schedule(t)
            _reseed(seed, t, device)
            x, z = stream.batch(seed, t), stream.noise(seed, t)
            with autocast or contextlib.nullcontext():
                metrics = step(nets, opts, x, z)
            if ema is not None:
                ema.update(nets)
            history.add(metrics)
            done = t + 1
            log = done % log_every == 0 or done == steps
            save = folder is not None and (done % save_every == 0 or done == steps)
            if log or save:
                newest = history.read()  # here alone the loop waits for the device
                checkpoint.check_finite({"nets": nets.state_dict()}, t, folder)
                if not isinstance(bar, range):
                    bar.set_postfix(newest)
            if log and watch is not None:
                history.watched.append(checkpoint.numbers({"step": done, **watch(done)}))
                if folder is not None:
                    checkpoint.plain(history.watched[-1], "watch")  # refused now, not at the first save
            if save:
                state = {name: part.state_dict() for name, part in parts.items()}
                checkpoint.save(folder, state, done, identity)
        return history


def _bar(start, steps):
    """The steps to run, with a progress bar where one is wanted. Elsewhere tqdm stays unused: its lock outlives a kill."""
    if not session.shows_progress():
        return range(start, steps)
    from tqdm.auto import tqdm

    return tqdm(range(start, steps), initial=start, total=steps)


def _reseed(seed, t, device):
    """torch.manual_seed would take 0.1 ms; this takes a few microseconds."""
    value = generator(seed, "step", t).initial_seed()
    torch.default_generator.manual_seed(value)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(value)


def _check(nets, opts, stream, steps, save_every, log_every, autocast):
    if not isinstance(nets, torch.nn.Module) or not isinstance(opts, dict) or not opts:
        raise TypeError("nets is one nn.Module, such as nn.ModuleDict, and opts a dict of optimizers by name")
    for name, value, least in (("steps", steps, 0), ("save_every", save_every, 1), ("log_every", log_every, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} must be a whole number, at least {least}, not {value!r}")
    if getattr(autocast, "_cache_enabled", False):
        raise ValueError("this autocast caches cast weights, which an update makes stale; use optim.mixed(device)")
    trainable(nets, opts, stream)
    return next(nets.parameters()).device
