"""The loop: resume is exact under real SIGKILLs, non-finite numbers stop it, nothing waits for the device per step.

Run as a script (python tests/test_training.py FOLDER KILLS) this file is the process that forks, kills and restarts.
"""

import contextlib
import functools
import hashlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from gentools import conditional_vae, vae
from gentools.lab import checkpoint, plots
from gentools.lab.checkpoint import CheckpointError, NonFinite
from gentools.lab.history import History
from gentools.lab.lock import FolderInUse
from gentools.lab.networks import mlp
from gentools.lab.optim import Average, adam, cosine, mixed
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream, binarize
from gentools.lab.training import train

# A small GAN with all that a resume could lose: two nets and optimizers, BatchNorm, dropout, EMA, a schedule. ---------


def gan_step(nets, opts, x, z):
    fake = nets["generator"](z)
    real_logit, fake_logit = nets["discriminator"](x), nets["discriminator"](fake.detach())
    d_loss = F.softplus(-real_logit).mean() + F.softplus(fake_logit).mean()
    opts["discriminator"].zero_grad()
    d_loss.backward()
    opts["discriminator"].step()
    g_loss = F.softplus(-nets["discriminator"](fake)).mean()
    opts["generator"].zero_grad()
    g_loss.backward()
    opts["generator"].step()
    return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}


def gan(seed=0, width=16):
    make = generator(seed, "nets")
    g = nn.Sequential(
        mlp([2, width], generator=make), nn.BatchNorm1d(width), nn.ReLU(), mlp([width, 2], generator=make)
    )
    d = nn.Sequential(mlp([2, width], generator=make), nn.ReLU(), nn.Dropout(0.3), mlp([width, 1], generator=make))
    nets = nn.ModuleDict({"generator": g, "discriminator": d})
    opts = {name: adam(net.parameters(), 1e-3, (0.5, 0.99)) for name, net in nets.items()}
    return nets, opts


def points(n=50):
    return torch.randn(n, 2, generator=generator(0, "points"))


def leaves(value, where=""):
    """Every number of a state with its place, its type and its bits."""
    if isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, f"{where}.{key}")
    elif isinstance(value, torch.Tensor):
        yield (
            where,
            str(value.dtype),
            tuple(value.shape),
            value.detach().contiguous().reshape(-1).view(torch.uint8).tolist(),
        )
    else:
        yield where, repr(value)


def digest(*parts):
    return hashlib.sha256(repr([list(leaves(part.state_dict())) for part in parts]).encode()).hexdigest()


STEPS, SCHEDULE = 160, cosine(400, warmup=20)


def run(folder=None, steps=STEPS, seed=0, save_every=3, log_every=5, before=None):
    """One run from its beginning or its newest checkpoint; returns the digest of all that it ends with."""
    nets, opts = gan(seed)
    ema = Average(nets, 0.9)

    def watch(done):
        return {"weight": nets["generator"][0][0].weight.sum().item()}

    more = {
        "save_every": save_every,
        "log_every": log_every,
        "watch": watch,
        "schedule": SCHEDULE,
        "ema": ema,
    }
    stream = Stream(points(), 16, 2)
    history = train(gan_step, nets, opts, stream, steps, seed, folder=folder, config={"width": 16}, **more)
    assert len(history) == steps
    return digest(nets, *opts.values(), ema.nets, history)


# Killing ------------------------------------------------------------


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def die_after_half(path, mode):
    class Half(io.FileIO):
        def write(self, data):
            super().write(bytes(data)[: len(data) // 2])
            die()

    return Half(path, mode)


def after(function):
    return lambda *arguments, **more: die(function(*arguments, **more))


POINTS = {  # places inside a save, and what to put there so that the process dies
    "half written": (checkpoint, "open", die_after_half),
    "before the fsync": (os, "fsync", die),
    "after the fsync": (os, "fsync", after(os.fsync)),
    "before the rename": (os, "replace", die),
    "after the rename": (os, "replace", after(os.replace)),
    "before the folder's fsync": (checkpoint, "_sync", die),
    "after the folder's fsync": (checkpoint, "_sync", after(checkpoint._sync)),
    "before an old one goes": (Path, "unlink", die),
    "after an old one went": (Path, "unlink", after(Path.unlink)),
}


def child(folder, answer, point=None, saves=0):
    """Fork a process that runs to the end, or dies in its `saves`-th save at `point`."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        real = checkpoint.save
        count = iter(range(10**9))

        def save(*arguments):
            if point is not None and next(count) == saves:
                place, name, instead = POINTS[point]
                setattr(place, name, instead)
            return real(*arguments)

        checkpoint.save = save
        with contextlib.redirect_stdout(io.StringIO()):
            answer.write_text(run(folder))
        status = 0
    finally:
        os._exit(status)


def kill_often(base, kills):
    """Kill at random moments until `kills` kills have hit a living process; every run that ends must end the same."""
    rng, folder, answer = random.Random(0), base / "run", base / "answer"
    answers = []
    for whole in (None, base / "once"):  # in processes of their own: a parent that has trained holds locks
        start = time.perf_counter()
        assert os.waitpid(child(whole, answer), 0)[1] == 0
        length = time.perf_counter() - start
        answers.append(answer.read_text())
    truth = answers[0]
    assert answers[1] == truth
    done = {"random": 0, "inside a save": 0, "ends": 0}

    def finish():
        assert os.waitpid(child(folder, answer), 0)[1] == 0
        assert answer.read_text() == truth
        done["ends"] += 1
        shutil.rmtree(folder)
        answer.unlink()

    while done["random"] < kills:
        pid = child(folder, answer)
        time.sleep(rng.uniform(0, 0.4 * length))
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            done["random"] += 1
        else:
            assert status == 0
            finish()
    finish()
    for point in POINTS:
        for saves in range(0, 9, 4):
            status = os.waitpid(child(folder, answer, point, saves), 0)[1]
            assert os.WIFSIGNALED(status), (point, status)
            done["inside a save"] += 1
        finish()
    return done


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_at_any_moment_it_ends_the_same(tmp_path):
    """Real SIGKILLs: 30 at random moments (GENTOOLS_KILLS for more), and at each place inside a save."""
    kills = int(os.environ.get("GENTOOLS_KILLS", "30"))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(tmp_path), str(kills)]
    result = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    done = dict(line.split(": ") for line in result.stdout.splitlines())
    assert int(done["random"]) >= kills and int(done["inside a save"]) == 3 * len(POINTS) and int(done["ends"]) > 9
    print(result.stdout)


# Resume ------------------------------------------------------------


def test_resume_in_the_middle_of_an_epoch(tmp_path, capsys):
    """50 rows in batches of 16: step 7 stands inside the third epoch, on a batch that began in the second."""
    whole = run(steps=20)
    run(tmp_path, steps=7)
    assert capsys.readouterr().out == ""
    assert run(tmp_path, steps=20, log_every=5) != whole  # `watch` also ran after step 7
    assert "resumed after 7 steps from" in capsys.readouterr().out
    nets, opts = gan()
    history = train(gan_step, nets, opts, Stream(points(), 16, 2), 20, 0)
    again, opts = gan()
    train(gan_step, again, opts, Stream(points(), 16, 2), 7, 0, folder=tmp_path / "b")
    fresh, opts = gan()
    continued = train(gan_step, fresh, opts, Stream(points(), 16, 2), 20, 0, folder=tmp_path / "b")
    assert digest(fresh) == digest(nets) and torch.equal(continued.values, history.values)


def test_a_finished_run_is_only_read(tmp_path):
    first = run(tmp_path, steps=10)
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert run(tmp_path, steps=10) == first
    assert before == {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="already at step 10, beyond steps=5"):
        run(tmp_path, steps=5)


def test_a_damaged_checkpoint_costs_steps_and_no_bits(tmp_path, capsys):
    truth = run(steps=30)
    run(tmp_path, steps=30)
    names = [path.name for path in checkpoint.paths(tmp_path)[:2]]
    for name in names:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-7])
    assert run(tmp_path, steps=30) == truth
    report = capsys.readouterr().out
    assert all(f"refused {name}: " in report for name in names) and "resumed after 24 steps" in report


def test_two_runs_in_one_folder(tmp_path):
    """The second is refused before its first step; the first ends as if alone; a third only reads."""
    truth = run(steps=9)

    def second(done=None):
        with pytest.raises(FolderInUse, match=f"process {os.getpid()} is training in"):
            run(tmp_path, steps=9, seed=1)
        return {}

    nets, opts = gan()
    train(gan_step, nets, opts, Stream(points(), 16, 2), 9, 0, folder=tmp_path, watch=second)
    assert run(tmp_path / "b", steps=9) == run(tmp_path / "b", steps=9) == truth


def test_seeds_and_dropout(tmp_path):
    """Seeds differ; the run does not depend on torch's global generator, though dropout draws from it."""
    torch.manual_seed(1)
    first = run(steps=6)
    torch.manual_seed(2)
    assert run(steps=6) == first != run(steps=6, seed=1)


def other_step(nets, opts, x, z):
    return gan_step(nets, opts, x, -z)


def changed(**change):
    nets, opts = gan(width=change.pop("width", 16))
    if "activation" in change:
        nets["discriminator"][1] = change.pop("activation")
    if "lr" in change:
        opts["generator"] = adam(nets["generator"].parameters(), change.pop("lr"))
    arguments = {"step": gan_step, "stream": Stream(points(), 16, 2), "seed": 0, "config": None, "ema": None}
    arguments |= {"schedule": None} | change
    step, stream, seed = (arguments.pop(name) for name in ("step", "stream", "seed"))
    train(step, nets, opts, stream, 4, seed, **arguments)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    changed(folder=tmp_path)
    changed(folder=tmp_path)
    net = gan()[0]
    cases = {
        r"seed is 0 there and 1 here": {"seed": 1},
        r"nets.*\(16, 2\).* there and .*\(17, 2\)": {"width": 17},
        r"layers.discriminator.1 is ReLU\(\) there and Tanh\(\)": {"activation": nn.Tanh()},
        r"opts.generator.group 0.betas": {"lr": 1e-3},
        r"stream.batch is 16 there and 8": {"stream": Stream(points(), 8, 2)},
        r"stream.data": {"stream": Stream(points() + 1, 16, 2)},
        r"stream.noise": {"stream": Stream(points(), 16, 2, noise=torch.rand)},
        r"schedule is None there": {"schedule": cosine(10)},
        r"ema is None there and {'decay': 0.9": {"ema": Average(net, 0.9)},
        r"config is None there": {"config": {"name": "other"}},
        r"step.name is test_training.gan_step there and test_training.other_step": {"step": other_step},
    }
    for words, change in cases.items():
        with pytest.raises(CheckpointError, match=f"another run: {words}"):
            changed(folder=tmp_path, **change)


# Numbers that are not finite ------------------------------------------------------------


def poisoned(bad_step, name, bad):
    """A step whose metric `name` becomes `bad` at step `bad_step` and stays so."""
    count = iter(range(1000))

    def step(nets, opts, x, z):
        metrics = {"a": torch.ones(()), "b": torch.ones(())}
        return metrics | ({name: torch.tensor(bad)} if next(count) >= bad_step else {})

    return step


def test_the_refusal_says_how_to_go_on_with_other_settings(tmp_path):
    """A rate that was too high: the networks go on in another folder, as the message has it."""
    nets, opts = gan()
    train(gan_step, nets, opts, Stream(points(), 16, 2), 5, 0, folder=tmp_path / "a")
    other, _ = gan()
    slower = {name: adam(net.parameters(), 1e-4) for name, net in other.items()}
    with pytest.raises(CheckpointError, match=r"nets.load_state_dict\(torch.load\(FILE\)\['state'\]\['nets'\]\)"):
        train(gan_step, other, slower, Stream(points(), 16, 2), 5, 0, folder=tmp_path / "a")
    other.load_state_dict(torch.load(checkpoint.paths(tmp_path / "a")[0])["state"]["nets"])
    assert digest(other) == digest(nets)
    train(gan_step, other, slower, Stream(points(), 16, 2), 5, 0, folder=tmp_path / "b")


def test_the_first_bad_step_is_named_whatever_it_is(tmp_path):
    """A NaN or infinity put into a random metric at a random step: 40 of 40 are named; no bad checkpoint is written."""
    rng = random.Random(0)
    for case in range(40):
        folder, bad_step, name = tmp_path / str(case), rng.randrange(30), rng.choice(["a", "b"])
        log_every, save_every, bad = (
            rng.randint(1, 12),
            rng.randint(1, 12),
            rng.choice([float("nan"), float("inf")]),
        )

        nets, opts = gan()
        step = poisoned(bad_step, name, bad)
        with pytest.raises(NonFinite, match=rf"^{name} is NaN or infinite in step {bad_step} ") as caught:
            train(
                step,
                nets,
                opts,
                Stream(points(), 16, 2),
                30,
                0,
                folder=folder,
                log_every=log_every,
                save_every=save_every,
            )
        last = bad_step // save_every * save_every
        kept = [checkpoint._step(path) for path in checkpoint.paths(folder)]
        assert kept == [n for n in (last, last - save_every, last - 2 * save_every) if n >= 0]
        assert caught.value.last.name.startswith(f"step-{last:09d}-") and str(caught.value.last) in str(caught.value)


@pytest.mark.parametrize("where", ["discriminator.0.0.weight", "generator.1.running_var"])
def test_a_weight_that_breaks_while_the_losses_stay_finite(tmp_path, where):
    count = iter(range(100))

    def step(nets, opts, x, z):
        if next(count) == 7:
            nets.state_dict()[where][0] = float("nan")
        return {"loss": torch.zeros(())}

    nets, opts = gan()
    with pytest.raises(NonFinite, match=rf"nets.{where} is NaN or infinite in step 7 .*step-000000006"):
        train(step, nets, opts, Stream(points(), 16, 2), 30, 0, folder=tmp_path, save_every=2)
    assert [checkpoint._step(path) for path in checkpoint.paths(tmp_path)] == [6, 4, 2]


@pytest.mark.parametrize("bad, log_every, seen", [(7, 5, 9), (7, 8, 7), (7, 100, 29), (29, 5, 29), (29, 30, 29)])
def test_a_weight_that_breaks_is_noticed_without_a_folder(bad, log_every, seen):
    """At the next reading, the last step included, whether or not the losses show it."""
    count = iter(range(100))

    def step(nets, opts, x, z):
        if next(count) == bad:
            nets["generator"][1].weight.data[3] = float("nan")
        return {"loss": torch.zeros(())}

    nets, opts = gan()
    watched = []
    with pytest.raises(NonFinite, match=rf"nets.generator.1.weight is NaN or infinite in step {seen} .*no checkpoint"):
        train(step, nets, opts, Stream(points(), 16, 2), 30, 0, log_every=log_every,
              watch=lambda done: {"n": watched.append(done) or done})  # fmt: skip
    assert len(watched) == bad // log_every  # a broken network is not evaluated


def test_a_run_that_truly_diverges():
    """Not an injected NaN: a learning rate far too high."""
    nets = nn.ModuleDict({"net": mlp([2, 1])})
    opts = {"net": torch.optim.SGD(nets.parameters(), lr=1e6)}

    def step(nets, opts, x, z):
        loss = nets["net"](x).square().mean()
        opts["net"].zero_grad()
        loss.backward()
        opts["net"].step()
        return {"loss": loss.detach()}

    with pytest.raises(NonFinite, match=r"loss is NaN or infinite in step \d .*no checkpoint"):
        train(step, nets, opts, Stream(points(), 16, 2), 50, 0)


# The loop itself ------------------------------------------------------------


def test_it_is_the_plain_loop():
    """Nothing but the chapter's step happens to the networks: the same as ten lines of a textbook."""
    nets, opts = gan()
    history = train(gan_step, nets, opts, Stream(points(), 16, 2), 12, 3)
    plain, opts = gan()
    stream, losses = Stream(points(), 16, 2), []
    for t in range(12):
        torch.manual_seed(generator(3, "step", t).initial_seed())
        losses.append(gan_step(plain, opts, stream.batch(3, t), stream.noise(3, t))["generator"])
    assert digest(nets) == digest(plain) and torch.equal(history["generator"], torch.stack(losses))


class Count(TorchDispatchMode):
    """Counts the operations that make the host wait for a device."""

    waits = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.waits += function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return function(*args, **(kwargs or {}))


def waits(steps, log_every):
    nets, opts = gan()
    with Count() as count:
        train(
            gan_step,
            nets,
            opts,
            Stream(points(), 16, 2),
            steps,
            0,
            log_every=log_every,
            ema=Average(nets, 0.9),
        )
    return count.waits


def test_no_step_waits_for_the_device():
    """The waits grow with the number of readings, not with the number of steps."""
    assert waits(10, 10) == waits(60, 60) > 0
    assert waits(60, 60) < waits(60, 6) <= 10 * waits(60, 60)


def test_history():
    nets, opts = gan()
    seen = []

    def watch(done):
        seen.append(done)
        return {"twice": 2 * done}

    history = train(gan_step, nets, opts, Stream(points(), 16, 2), 25, 0, log_every=10, watch=watch)
    assert history["generator"].shape == (25,) and len(history) == 25 and seen == [10, 20, 25]
    assert history.watched == [{"step": n, "twice": 2 * n} for n in seen]
    with pytest.raises(KeyError, match="the history is empty, because no step was run"):
        History()["loss"]
    with pytest.raises(ValueError, match="nothing to show"):
        plots.curves(History())
    with pytest.raises(KeyError, match="no metric 'loss'; there are discriminator, generator"):
        history["loss"]


def test_numbers_of_numpy_are_kept_as_plain_ones(tmp_path):
    """From `config` and from `watch`; a run resumes whether its settings came from numpy or not."""
    nets, opts = gan()
    config = {"width": np.int64(16), "rates": [np.float32(0.5)], "on": np.bool_(True)}
    seen = {"a": np.float64(0.25), "b": {"c": (np.int32(3), torch.ones(2))}}
    stream = Stream(points(), 16, 2)
    history = train(gan_step, nets, opts, stream, 2, 0, folder=tmp_path, config=config, watch=lambda done: seen)
    assert repr(history.watched) == "[{'step': 2, 'a': 0.25, 'b': {'c': (3, tensor([1., 1.]))}}]"
    nets, opts = gan()
    plain = {"width": 16, "rates": [0.5], "on": True}
    assert train(gan_step, nets, opts, stream, 2, np.int64(0), folder=tmp_path, config=plain).watched[0]["a"] == 0.25


def test_what_is_no_seed_leaves_no_checkpoint(tmp_path):
    """Otherwise the run with the seed that was meant would be refused: the folder belongs to another."""
    nets, opts = gan()
    with pytest.raises(TypeError, match=r"a seed or key must be text or a whole number, not 1\.5"):
        train(gan_step, nets, opts, Stream(points(), 16, 2), 2, 1.5, folder=tmp_path)
    assert not checkpoint.paths(tmp_path)


def test_what_a_checkpoint_cannot_hold_is_refused_before_it_costs_anything(tmp_path):
    nets, opts = gan()
    steps = []

    def step(*arguments):
        steps.append(0)
        return gan_step(*arguments)

    for config, words in (
        ({"x": np.zeros(2)}, "identity.config.x is a numpy.ndarray"),
        ({1.5: 0}, "identity.config is"),
    ):
        with pytest.raises(TypeError, match=words):
            train(step, nets, opts, Stream(points(), 16, 2), 9, 0, folder=tmp_path, config=config)
    assert not steps
    with pytest.raises(TypeError, match=r"watch\.x is a numpy.ndarray"):
        train(step, nets, opts, Stream(points(), 16, 2), 9, 0, folder=tmp_path, log_every=2,
              watch=lambda done: {"x": np.zeros(2)})  # fmt: skip
    assert len(steps) == 2


def test_history_copies_so_that_a_captured_graph_may_reuse_its_tensors():
    loss = torch.zeros(())

    def step(nets, opts, x, z):
        return {"loss": loss.add_(1)}

    nets, opts = gan()
    assert train(step, nets, opts, Stream(points(), 16, 2), 5, 0)["loss"].tolist() == [1, 2, 3, 4, 5]


def test_metrics_of_stacked_seeds():
    """A metric may hold one number per stacked seed; one bad seed among them is seen."""

    def step(nets, opts, x, z, bad=False):
        return {"loss": torch.tensor([1.0, float("nan") if bad else 2.0, 3.0])}

    nets, opts = gan()
    assert train(step, nets, opts, Stream(points(), 16, 2), 4, 0)["loss"].shape == (4, 3)
    with pytest.raises(NonFinite, match="loss is NaN or infinite in step 0"):
        train(lambda *a: step(*a, bad=True), nets, opts, Stream(points(), 16, 2), 4, 0)


@pytest.mark.parametrize(
    "metrics, error, words",
    [
        ({"loss": 1.0}, TypeError, "tensors by name"),
        ({}, TypeError, "tensors by name"),
        (None, TypeError, "tensors by name"),
        ({"other": torch.zeros(())}, ValueError, r"returned the metrics \['other'\], and before \['loss'\]"),
        ({"loss": torch.tensor(3)}, TypeError, "metrics are floating-point numbers"),
        ({"loss": torch.tensor(True)}, TypeError, "metrics are floating-point numbers"),
    ],
)
def test_metrics_that_are_none(metrics, error, words):
    answers = iter([{"loss": torch.zeros(())}, metrics])
    nets, opts = gan()
    with pytest.raises(error, match=words):
        train(lambda *a: next(answers), nets, opts, Stream(points(), 16, 2), 5, 0)


def test_labels_reach_the_step():
    def step(nets, opts, x, z):
        images, labels = x
        return {"same": (images[:, 0] == labels).float().mean()}

    data = torch.arange(20.0)[:, None], torch.arange(20)
    nets, opts = gan()
    assert train(step, nets, opts, Stream(data, 8, 2), 9, 0)["same"].tolist() == [1] * 9


def test_schedule_sets_the_rates_from_t_alone():
    nets, opts = gan()
    rates = []

    def step(nets, opts, x, z):
        rates.append(opts["generator"].param_groups[0]["lr"])
        return {"zero": torch.zeros(())}

    for _ in range(2):  # the second call starts from the first rate again
        train(step, nets, opts, Stream(points(), 16, 2), 8, 0, schedule=cosine(8, warmup=2))
    factor = cosine(8, warmup=2)
    assert rates[:8] == rates[8:] == [1e-3 * factor(t) for t in range(8)]
    assert factor(0) == 0.5 and factor(1) == factor(2) == 1 and factor(5) == pytest.approx(0.5) and factor(8) == 0
    with pytest.raises(ValueError, match="warmup"):
        cosine(5, warmup=5)
    with pytest.raises(ValueError, match="ends at step 8 and is asked for step 9"):  # where it would rise again
        factor(9)


@pytest.mark.parametrize("broken", [False, True])
def test_a_schedule_leaves_the_rates_as_they_were_set(tmp_path, broken):
    nets, opts = gan()
    stream, group = Stream(points(), 16, 2), opts["generator"].param_groups[0]

    def step(nets, opts, x, z):
        if broken:
            raise KeyboardInterrupt
        return {"rate": torch.tensor(opts["generator"].param_groups[0]["lr"])}

    for folder in (None, tmp_path, tmp_path):  # the last one only resumes
        with pytest.raises(KeyboardInterrupt) if broken and folder is None else contextlib.nullcontext():
            train(gan_step if folder else step, nets, opts, stream, 8, 0, schedule=cosine(8), folder=folder)
        group = opts["generator"].param_groups[0]
        assert group["lr"] == 1e-3 and "initial_lr" not in group
    if not broken:
        assert train(step, nets, opts, stream, 1, 0)["rate"].tolist() == pytest.approx([1e-3])
        group["lr"] = 2.0
        assert train(step, nets, opts, stream, 1, 0, schedule=lambda t: 0.5)["rate"].tolist() == [1.0]


def test_average():
    nets, opts = gan()
    ema, expected = Average(nets, 0.9), [p.detach().clone() for p in nets.parameters()]

    def step(nets, opts, x, z):
        metrics = gan_step(nets, opts, x, z)
        expected[:] = [0.9 * e + 0.1 * p.detach() for e, p in zip(expected, nets.parameters())]
        return metrics

    train(step, nets, opts, Stream(points(), 16, 2), 20, 0, ema=ema)
    assert all(torch.allclose(e, p, atol=1e-6) for e, p in zip(expected, ema.nets.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(ema.nets.buffers(), nets.buffers()))
    assert not any(p.requires_grad for p in ema.nets.parameters())
    for decay in (-0.1, 1.0):
        with pytest.raises(ValueError, match="decay"):
            Average(nets, decay)
    with pytest.raises(ValueError, match="other shapes"):  # one row of weights would stand for three
        Average(mlp([2, 3]), 0.9).update(mlp([2, 1]))


def test_adam_is_fused_and_agrees_with_the_plain_one():
    a, b = (nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2))
    ours, theirs = (
        adam([a], 0.01, (0.5, 0.9)),
        torch.optim.Adam([b], lr=0.01, betas=(0.5, 0.9), foreach=False),
    )
    for opt, p in ((ours, a), (theirs, b)):
        for _ in range(50):
            opt.zero_grad()
            (p**4 - p).sum().backward()
            opt.step()
    assert ours.param_groups[0]["fused"] and torch.allclose(a, b, atol=1e-6)


def test_mixed_precision_has_no_stale_weights():
    """Inside one autocast, weights changed by an update are seen at once; with torch's cache they would not be."""

    def outputs(context):
        net, x = nn.Linear(4, 1, bias=False), torch.ones(1, 4)
        with context:
            net(x).backward()
            with torch.no_grad():
                net.weight.zero_()
            return net(x).item()

    assert outputs(mixed("cpu")) == 0 != outputs(torch.autocast("cpu", torch.bfloat16))
    nets, opts = gan()
    history = train(gan_step, nets, opts, Stream(points(), 16, 2), 5, 0, autocast=mixed("cpu"))
    full, opts = gan()
    exact = train(gan_step, full, opts, Stream(points(), 16, 2), 5, 0)
    assert history["generator"].isfinite().all() and not torch.equal(history.values, exact.values)
    with pytest.raises(ValueError, match="stale"):
        train(
            gan_step,
            nets,
            opts,
            Stream(points(), 16, 2),
            5,
            0,
            autocast=torch.autocast("cpu", torch.bfloat16),
        )


def test_a_grad_scaler_is_saved_with_the_optimizers(tmp_path):
    def make():
        nets, opts = gan()
        return nets, opts | {"scaler": torch.amp.GradScaler("cpu", init_scale=8.0)}

    nets, opts = make()
    train(gan_step, nets, opts, Stream(points(), 16, 2), 3, 0, folder=tmp_path)
    nets, opts = make()
    opts["scaler"].load_state_dict(opts["scaler"].state_dict() | {"scale": 2.0})
    train(gan_step, nets, opts, Stream(points(), 16, 2), 6, 0, folder=tmp_path)
    assert opts["scaler"].state_dict()["scale"] == 8.0


def test_dynamic_binarization_in_a_run():
    images = torch.full((20, 1, 4, 4), 128, dtype=torch.uint8)

    def step(nets, opts, x, z):
        assert x.shape == (5, 1, 4, 4) and set(x.unique().tolist()) == {0.0, 1.0}
        return {"mean": x.mean()}

    nets, opts = gan()
    assert train(step, nets, opts, Stream(images, 5, 2, prepare=binarize), 8, 0)["mean"].unique().numel() > 2


def test_zero_steps_and_float64():
    nets, opts = gan()
    before = digest(nets)
    assert len(train(gan_step, nets, opts, Stream(points(), 16, 2), 0, 0)) == 0 and digest(nets) == before
    nets, opts = gan()
    nets.double()
    opts = {name: adam(net.parameters(), 1e-3) for name, net in nets.items()}
    assert train(gan_step, nets, opts, Stream(points().double(), 16, 2), 3, 0)["generator"].dtype == torch.float64


BAD = {
    "steps below 0": (ValueError, "steps must be a whole number, at least 0, not -1", {"steps": -1}),
    "half a step": (ValueError, "steps must be a whole number", {"steps": 1.5}),
    "save_every": (ValueError, "save_every must be a whole number, at least 1", {"save_every": 0}),
    "log_every": (ValueError, "log_every must be a whole number, at least 1", {"log_every": 0}),
    "a list of nets": (TypeError, "nn.ModuleDict", {"nets": []}),
    "one optimizer": (TypeError, "dict of optimizers", {"opts": gan()[1]["generator"]}),
    "no optimizer": (TypeError, "dict of optimizers", {"opts": {}}),
    "two precisions": (
        ValueError,
        r"networks are torch.float32 and the data torch.float64; convert the networks, nets.to\(torch.float64\)",
        {"stream": Stream(points().double(), 16, 2)},
    ),
    "true steps": (ValueError, "steps must be a whole number", {"steps": True}),
    "data in place of a stream": (TypeError, "stream is a lab.stream.Stream.* not a Tensor", {"stream": points()}),
    "nothing to train": (ValueError, "nets has no parameters", {"nets": nn.ModuleDict()}),
    "optimizers of other networks": (ValueError, r"opts\['generator'\] updates nothing in nets", {"opts": gan()[1]}),
    "two devices": (ValueError, "networks are on meta and the data on cpu", {"nets": gan()[0].to("meta")}),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses(case):
    error, words, change = BAD[case]
    nets, opts = gan()
    arguments = {
        "nets": nets,
        "opts": opts,
        "stream": Stream(points(), 16, 2),
        "steps": 3,
        "seed": 0,
    } | change
    with pytest.raises(error, match=words):
        train(gan_step, **arguments)


def test_an_optimizer_must_move_the_network_whose_name_it_has():
    """Exchanged, each player would descend on the other's loss, and nothing would look wrong."""
    nets, opts = gan()
    with pytest.raises(ValueError, match=r"opts\['generator'\] updates nothing in nets\['generator'\]"):
        train(gan_step, nets, dict(zip(opts, reversed(opts.values()))), Stream(points(), 16, 2), 3, 0)
    train(gan_step, nets, {**opts, "spare": opts["generator"]}, Stream(points(), 16, 2), 3, 0)


def test_a_schedule_that_ends_below_0_is_refused_before_the_first_step():
    """`lambda t: 1 - t / 3` for a run of 6 steps: from the fourth on Adam would climb."""
    nets, opts = gan()
    before = [p.clone() for p in nets.parameters()]
    run = functools.partial(train, gan_step, nets, opts, Stream(points(), 16, 2), schedule=lambda t: 1 - t / 3)
    for call in (lambda: run(6, 0), lambda: run(steps=6, seed=0)):
        with pytest.raises(ValueError, match=r"the schedule is -0.667 at the last step.* all 6 steps"):
            call()
    assert all(map(torch.equal, before, nets.parameters()))
    run(steps=3, seed=0)


def test_networks_in_evaluation_mode_are_trained_with_a_warning(recwarn):
    nets = nn.ModuleDict({"vae": nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))})
    opts = {"vae": adam(nets.parameters(), 1e-3)}

    def step(nets, opts, x, z):
        loss = nets["vae"](x).square().mean()
        loss.backward()
        return {"loss": loss.detach()}

    train(step, nets, opts, Stream(points(), 16, 2), 1, 0)
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"nets.train\(\) before training"):
        train(step, nets.eval(), opts, Stream(points(), 16, 2), 1, 0)


PICTURES = torch.rand(20, 1, 4, 4)


@pytest.mark.parametrize(
    "step, nets, opts, stream, error, said",
    [
        (vae.step, vae.networks(0, 16, (5,), 2), "vae", ((PICTURES, torch.arange(20)), 5, 2), AttributeError, "labels (5,) torch.int64"),
        (vae.step, vae.networks(0, 16, (5,), 2), "model", (PICTURES, 5, 2), KeyError, "the optimizers model. The step asks for 'vae', which nets"),
        (vae.step, vae.networks(0, 16, (5,), 2), "vae", (PICTURES, 5, 3), RuntimeError, "z (5, 3) torch.float32"),
        (conditional_vae.step, vae.networks(0, 16, (5,), 2), "vae", (PICTURES, 5, 2), ValueError, "x (5, 1, 4, 4) torch.float32 without labels"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kept", [False, True])
def test_a_step_that_fails_at_once_says_what_it_was_given(step, nets, opts, stream, error, said, kept, tmp_path):
    folder = tmp_path if kept else None
    with pytest.raises(error) as caught:
        train(step, nets, {opts: adam(nets.parameters(), 1e-3)}, Stream(*stream), 3, 0, folder=folder)
    (note,) = caught.value.__notes__
    assert said in note and "the networks encoder, decoder" in note


def test_other_failures_have_no_such_note(tmp_path):
    nets, opts = gan()
    for error, how in ((ZeroDivisionError, {"watch": lambda done: 1 / 0}), (CheckpointError, {"config": {"a": 2}})):
        with pytest.raises(error) as caught:
            train(gan_step, nets, opts, Stream(points(), 16, 2), 3, 0, folder=tmp_path, **{"config": {"a": 1}, **how})
        assert not getattr(caught.value, "__notes__", ())


@pytest.mark.parametrize("seen", [None, 3.0, [("loss", 1.0)]])
def test_a_watch_that_gives_no_numbers_by_name_is_named(seen):
    nets, opts = gan()
    with pytest.raises(TypeError, match="watch returns numbers by name"):
        train(gan_step, nets, opts, Stream(points(), 16, 2), 3, 0, watch=lambda done: seen)


def test_the_bar_shows_on_a_terminal_only(capsys, monkeypatch):
    nets, opts = gan()
    train(gan_step, nets, opts, Stream(points(), 16, 2), 5, 0)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    train(gan_step, nets, opts, Stream(points(), 16, 2), 5, 0)
    drawn = capsys.readouterr().err
    assert "5/5" in drawn and "generator=" in drawn  # with the newest metrics
    monkeypatch.setenv("TQDM_DISABLE", "1")
    train(gan_step, nets, opts, Stream(points(), 16, 2), 5, 0)
    assert capsys.readouterr().err == ""


def test_the_loop_stays_readable():
    from gentools.lab import training

    assert len(Path(training.__file__).read_text().splitlines()) <= 120


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, count in kill_often(Path(sys.argv[1]), int(sys.argv[2])).items():
        print(f"{name}: {count}")
