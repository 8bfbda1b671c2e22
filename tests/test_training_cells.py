"""The training cells of the chapters: they run as plain Python, and nothing in them is pinned to the CPU."""

import builtins
import re
from collections import defaultdict
from pathlib import Path

import nbformat
import pytest
import torch

import gentools
from gentools import gan
from gentools.lab import stream as streams
from gentools.recipes import models

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CHAPTERS = (
    "03_vae",
    "04_conditional_vae",
    "05_gan",
    "06_dcgan",
    "07_conditional_gan",
    "08_aae",
    "09_ali",
    "10_regularized_gan",
    "11_evaluation",
    "12_wgan_gp",
    "13_age",
    "14_alpha_gan",
    "15_autoregressive",
    "16_diffusion",
    "17_one_map",
)
UNREADABLE = re.compile("cannot be called on meta|Cannot copy out of meta")  # numbers that a fake device does not have


class FakeOptimizer:
    """An optimizer for a device that has none."""

    def zero_grad(self):
        pass

    step = zero_grad


def cells(chapter):
    """(id, source) of the imports cell and of every training cell, in their order."""
    nb = nbformat.read(NOTEBOOKS / f"{chapter}.ipynb", 4)
    wanted = [c for c in nb.cells if c.cell_type == "code" and (c.id == "imports" or c.id.startswith("train-"))]
    return [(c.id, c.source) for c in wanted]


def namespace(device, shown):
    """What the setup cell gives, with pictures that go to the list `shown`, and loops by hand of two steps."""
    names = {name: lambda *args, **kwargs: shown.append(args[0]) for name in ("curves", "scatter", "sheet", "show")}
    quiet = {name: lambda *args, **kwargs: None for name in ("recorded", "report", "reproduce", "source", "outcome")}
    short = {"range": lambda n: builtins.range(min(n, 2))}
    return {"gentools": gentools, "torch": torch, "SCALE": "quick", "DEVICE": device, **names, **quiet, **short}


def shortened(train):
    """`train` with two steps, whatever the cell asks for."""
    return lambda *args, steps, **kwargs: train(*args, steps=2, **kwargs)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_training_cells_run_from_the_imports_on(chapter, capsys):
    shown = []
    names = namespace("cpu", shown)
    for id, source in cells(chapter):
        exec(compile(source, id, "exec"), names)
        if id == "imports":
            names["train"] = shortened(names["train"])
    assert any(isinstance(thing, torch.Tensor) for thing in shown)
    out = capsys.readouterr().out
    assert re.search(r": (True|False)$", out, re.MULTILINE)  # a verdict, and no digits
    assert not re.search(r"\d\.\d", out)
    if chapter == "03_vae":
        assert "the same losses as by hand: True" in out
    if chapter == "05_gan":
        assert names["kl_step"].keywords == {"generator_loss": gan.kl_loss}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_nothing_is_pinned_to_the_cpu(chapter, monkeypatch):
    for module in (streams, models):  # they would refuse a device that holds no numbers
        monkeypatch.setattr(module, "find_device", torch.device)
    real = streams.generator
    monkeypatch.setattr(streams, "generator", lambda *a, device="cpu": None if device != "cpu" else real(*a))
    runs, shown = [], []

    def train(step, nets, opts, stream, steps, seed, **kwargs):
        runs.append({p.device.type for p in nets.parameters()} | {rows.device.type for rows in stream.data})
        return defaultdict(lambda: torch.zeros(300))

    names = namespace("meta", shown)
    for id, source in cells(chapter):
        try:
            exec(compile(source, id, "exec"), names)
        except (RuntimeError, NotImplementedError) as error:
            if not UNREADABLE.search(str(error)):
                raise
            names["losses"] = torch.zeros(300)  # what a loop by hand could not fetch
        if id == "imports":
            names["train"], names["adam"] = train, lambda *args, **kwargs: FakeOptimizer()
    assert runs and all(devices == {"meta"} for devices in runs)
    assert all(thing.device.type == "meta" for thing in shown if isinstance(thing, torch.Tensor))
