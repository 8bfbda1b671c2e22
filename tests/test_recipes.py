"""The figures command: it resumes per seed, merges seeds, names what is wrong, and knows when a record is stale."""

import ast
import dataclasses
import functools
import importlib
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from gentools import __main__ as commands
from gentools import recipes
from gentools.lab import closure, plots
from gentools.lab.chapters import CHAPTERS
from gentools.lab.networks import mlp
from gentools.lab.randomness import generator
from gentools.lab.stream import Stream
from gentools.lab.training import train
from gentools.recipes import alpha_gan, dcgan, em, joint_kl, recording, seedstore
from gentools.recipes.longer import doubled
from gentools.recipes.shared.fitting import LONG, adams


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    """A checkout with the real code and an empty place to write to."""
    monkeypatch.setattr(recording, "ROOT", tmp_path)
    return tmp_path


def test_seeds_are_computed_once_and_merged(sandbox, monkeypatch):
    ran = []
    original = joint_kl.RECIPES["1.3"]

    def counted(config, seed, device):
        ran.append(seed)
        return original.run(config, seed, device)

    monkeypatch.setitem(joint_kl.RECIPES, "1.3", dataclasses.replace(original, run=counted))
    first = recording.compute("1.3", "quick", [0, 1])
    both = recording.compute("1.3", "quick", [0, 1, 2])
    assert ran == [0, 1, 2] and [r["numbers"] for r in both[:2]] == [r["numbers"] for r in first]
    direct = original.run(original.config("quick"), 2, "cpu")
    assert both[2]["numbers"] == {k: float(v) for k, v in direct["numbers"].items()}
    assert all(torch.equal(both[2]["arrays"][k], v) for k, v in direct["arrays"].items())


def test_a_busy_machine_does_not_lengthen_a_seed_on_the_cpu(sandbox, monkeypatch):
    original = joint_kl.RECIPES["1.3"]

    def waiting(config, seed, device):
        time.sleep(5)  # as while other processes have the core
        return original.run(config, seed, device)

    monkeypatch.setitem(joint_kl.RECIPES, "1.3", dataclasses.replace(original, run=waiting))
    (result,) = recording.compute("1.3", "quick", [0])
    assert 0 < result["seconds"] < 5


class Stopped(Exception):
    """What ends a run in the place of a kill."""


def idle(nets, opts, x, z):
    """A step that does nothing."""
    return {"loss": torch.zeros(())}


def test_a_seed_that_was_stopped_is_billed_for_all_of_its_steps(sandbox, monkeypatch):
    """Two models and a look at each, a second of CPU time for every step and look: as much with stops as without."""
    now, left = [0.0], [0]
    monkeypatch.setattr(time, "process_time", lambda: now[0])
    original = joint_kl.RECIPES["1.3"]

    def passed(done=None):
        if not left[0]:
            raise Stopped
        left[0] -= 1
        now[0] += 1
        return {}

    def run(config, seed, device):
        for name in ("one", "other", "one"):  # the last is complete and only read
            nets = torch.nn.ModuleDict({"net": mlp([2, 1], generator=generator(seed, "start"))})
            train(idle, nets, adams(nets, 1e-3), Stream(torch.zeros(8, 2), 4, 1), 5, seed,
                  folder=sandbox / f"{name} {seed}", save_every=2, log_every=1, watch=passed)  # fmt: skip
            passed()
        return {"numbers": {"a": 0.0}}

    monkeypatch.setitem(joint_kl.RECIPES, "1.3", dataclasses.replace(original, run=run))
    for seed, stops in enumerate([(), (1,), (2, 3), (5,), (6, 1, 1, 3), (8, 2), (11,), (12, 1)]):
        for steps in stops:
            left[0] = steps
            with pytest.raises(Stopped):
                recording.compute("1.3", "quick", [seed])
        left[0] = 1000
        (result,) = recording.compute("1.3", "quick", [seed])
        assert result["seconds"] == 5 + 1 + 5 + 1 + 1, stops


def test_a_run_that_is_not_the_stored_one_goes_to_build(sandbox):
    assert recording.command(["1.4", "--scale", "quick", "--jobs", "1"]) == 0
    assert (sandbox / "build" / "figures" / "01_joint_kl-quick" / "1.4.png").exists()
    assert not (sandbox / "figures").exists()
    assert recording.command(["1.4", "--jobs", "1"]) == 0
    assert not (sandbox / "figures").exists(), "what the course ships is written by --record alone"
    assert recording.command(["1.4", "--jobs", "1", "--record"]) == 0
    assert (sandbox / "figures" / "01_joint_kl" / "1.4.json").exists()


def test_what_a_figure_costs_is_said_before_it_is_computed(sandbox, monkeypatch, capsys):
    record = recording.records.load("1.4") | {"device": "NVIDIA H100 80GB HBM3", "seconds": 1200.0, "seeds": [0]}
    monkeypatch.setattr(recording.records, "load", lambda id: record)
    assert recording.command(["1.4", "--jobs", "1"]) == 0
    told = "Figure 1.4, scale full, 1 seed: recorded with 1 seed, 20 minutes (NVIDIA H100 80GB HBM3, one thread)."
    assert f"{told} A CPU takes many times as long." in capsys.readouterr().out
    assert recording.command(["1.4", "--jobs", "1"]) == 0
    assert told not in capsys.readouterr().out, "nothing is left to run"


def test_side_by_side_processes_give_the_same_numbers(sandbox):
    alone = recording.compute("1.3", "quick", [0, 1])
    for path in (sandbox / "build" / "records").rglob("seed-*.pt"):
        path.unlink()
    together = recording.compute("1.3", "quick", [0, 1], jobs=2)
    assert [r["numbers"] for r in together] == [r["numbers"] for r in alone]


def test_two_seeds_side_by_side_train_a_judge_that_both_need_once(tmp_path):
    config = alpha_gan.Comparison(alpha_gan.Training(**alpha_gan.QUICK | {"judge_steps": LONG}), alpha_gan.FEW)
    found = recording.compute("14.7", "quick", [0, 1], jobs=2, config=config, folder=tmp_path)
    assert len(found) == 2 and all(r["numbers"] for r in found)


def test_a_record_names_the_machines_of_its_seeds_not_that_of_its_drawing(sandbox):
    results = recording.compute("1.3", "quick", [0, 1])
    assert {r["machine"]["torch"] for r in results} == {torch.__version__}
    results[1]["machine"] = {"device": "a GPU", "torch": "3.0", "python": "4.0"}
    record = json.loads(recording.write("1.3", "quick", [0, 1], results).with_suffix(".json").read_text())
    assert record["device"] == "a GPU and cpu" and "3.0" in record["torch"] and torch.__version__ in record["torch"]


def test_fingerprints_follow_the_configuration(monkeypatch):
    before = recording.fingerprint("1.4", "full")
    assert recording.fingerprint("1.3", "full") != recording.fingerprint("1.3", "quick")
    changed = dataclasses.replace(joint_kl.RECIPES["1.4"], full=joint_kl.Loose(noise_variance=0.4))
    monkeypatch.setitem(joint_kl.RECIPES, "1.4", changed)
    assert recording.fingerprint("1.4", "full") != before


ALL = {id: recipe for chapter in CHAPTERS for id, recipe in recipes.recipes(chapter.name).items()}


@functools.cache
def as_stored():
    return prints()


def prints():
    return {id: recording.fingerprint(id, recipe.record) for id, recipe in ALL.items()}


def stale(monkeypatch, name, old, new):
    """Figures whose fingerprint changes when `old` becomes `new` in the source of module `name`."""
    before, original = as_stored(), closure.module
    source = Path(importlib.import_module(name).__file__).read_text()
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {name}"
    changed = closure.parse(source.replace(old, new))
    with monkeypatch.context() as patch:
        patch.setattr(closure, "module", lambda asked: changed if asked == name else original(asked))
        after = prints()
    return {id for id in ALL if before[id] != after[id]}


def reaching(*definition):
    """Figures whose run reaches a definition."""
    return {
        id for id, r in ALL.items() if definition in closure.reached([r.run, *closure.functions(r.config(r.record))])
    }


@pytest.mark.parametrize(
    "name, old, new, definition, some, none",
    [
        ("gentools.evaluation", "nearest <= 3 * std", "nearest <= 30 * std", "modes", "5.6", "3.6"),
        ("gentools.lab.networks", "numel() ** -0.5", "numel() ** -0.5 / 2", "fan_in", "3.6", "1.3"),
        ("gentools.dcgan", "layer.weight, 1, 0.02", "layer.weight, 1, 0.03", "initialize", "6.4", "5.6"),
        ("gentools.recipes.shared.pictures", "order[:1500] if", "order[:1400] if", "labeled", "3.6", "5.6"),
        ("gentools.recipes.gan", "batch=config.batch", "batch=2 * config.batch", "train_gan", "5.6", "3.6"),
    ],
)
def test_a_changed_constant_makes_exactly_the_figures_stale_that_use_it(
    monkeypatch, name, old, new, definition, some, none
):
    found = stale(monkeypatch, name, old, new)
    assert found == reaching(name, definition) and some in found and none not in found


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("gentools.gan", "def descend(", "def _unused(x):\n    return 2 * x\n\n\ndef descend("),
        ("gentools.gan", "    optimizer.zero_grad()", "    # gradients add up otherwise\n    optimizer.zero_grad()"),
        ("gentools.gan", "One step of `optimizer` down", "A step of `optimizer` down"),
        ("gentools.lab.identity", "HORIZON = 1 << 17", "HORIZON = 1 << 16"),
        ("gentools.lab.training", "return tqdm(range(start, steps)", "return tqdm(range(start, steps), leave=False"),
        (
            "gentools.gan",
            "    optimizer.zero_grad()",
            "    if loss.ndim:\n        raise ValueError('a number')\n    optimizer.zero_grad()",
        ),
    ],
    ids=["an unused helper", "a comment", "a docstring", "a checkpoint's identity", "a progress bar", "a refusal"],
)
def test_what_cannot_move_a_number_makes_no_figure_stale(monkeypatch, name, old, new):
    assert stale(monkeypatch, name, old, new) == set()


NOTES = {
    "tuning",
    "tuning_in_full",
    "trials",
    "half_trials",
    "longer_trials",
    "half_as_long",
    "unchosen",
}  # what was tried


def unread(recipe):
    """Names of settings, inner ones too, that no function of the recipes which `run` or `draw` reaches takes from anything."""
    config, seen = recipe.config(recipe.record), set()
    starts = [getattr(function, "func", function) for function in (recipe.run, recipe.draw)]
    for module, name in closure.reached([*starts, *closure.functions(config)]):
        for statement in closure.module(module).definitions[name] if module.startswith("gentools.recipes") else ():
            seen |= {node.attr for node in ast.walk(statement) if isinstance(node, ast.Attribute)}
    parts, found = [closure.plain(config)], set()
    for part in parts:
        found |= {name for name in part if name not in seen}
        parts += [inner for name, inner in part.items() if isinstance(inner, dict) and name in seen]
    return found


@pytest.mark.parametrize("id", ALL)
def test_a_setting_that_a_figure_does_not_read_is_named_as_idle_and_no_other(id):
    """What is named here is left out of `report`. Figures 2.1 and 2.2 end at the last step shown, which is `steps`."""
    said = set(ALL[id].idle)
    assert unread(ALL[id]) - (NOTES - said) - ({"steps"} if id in ("2.1", "2.2") else set()) == said


def test_own_pictures_are_another_experiment(sandbox, monkeypatch, tmp_path):
    """Other pictures have other seeds, and a recorded figure is not overwritten by them."""
    folders = [tmp_path / name for name in ("a", "b")]
    for i, folder in enumerate(folders):
        folder.mkdir()
        pictures = np.random.default_rng(i).integers(0, 255, (70, 8, 8), dtype=np.uint8)
        np.savez(folder / "faces64.npz", pictures)
    ran = []

    def run(config, seed, device):
        ran.append(float(dcgan.pictures(config.training.data, "train", 8)[0].double().mean()))
        return {"numbers": {"mean": ran[-1]}}

    config = dcgan.Samples(dcgan.Training("faces64.npz", 8))
    recipe = dataclasses.replace(
        dcgan.RECIPES["6.9"], run=run, full=config, quick=config, draw=joint_kl.RECIPES["1.4"].draw
    )
    monkeypatch.setitem(dcgan.RECIPES, "6.9", recipe)
    found = []
    for folder in (*folders, folders[0]):
        monkeypatch.setenv("GENTOOLS_DATA", str(folder))
        found.append(recording.compute("6.9", "full", [0])[0]["numbers"]["mean"])
    assert found[0] != found[1] and found[2] == found[0] and len(ran) == 2
    published = sandbox / "figures" / "06_dcgan" / "6.9.json"
    published.parent.mkdir(parents=True)
    published.write_text(json.dumps({"data": "another"}))
    with pytest.raises(ValueError, match="shows other pictures"):
        recording.write("6.9", "full", [0], recording.compute("6.9", "full", [0]), record=True)
    assert json.loads(published.read_text()) == {"data": "another"}


# The store of seeds


def test_a_stored_seed_comes_back_and_a_damaged_or_foreign_one_is_named_and_refused(tmp_path, capsys):
    identity = {"figure": "1.3", "scale": "quick", "seed": 3, "fingerprint": "abc", "data": None}
    result = {"numbers": {"a": 1.5}, "arrays": {"x": torch.arange(5.0)}, "seconds": 1.0, "machine": {"device": "cpu"}}
    path = seedstore.save(tmp_path, identity, result)
    back = seedstore.load(tmp_path, identity)
    assert back["numbers"] == result["numbers"] and torch.equal(back["arrays"]["x"], result["arrays"]["x"])
    for key, other in (("figure", "1.4"), ("scale", "full"), ("fingerprint", "x"), ("data", "y")):
        assert seedstore.load(tmp_path, identity | {key: other}) is None
        assert f"it belongs to {key} {identity[key]!r}" in capsys.readouterr().out
    whole = path.read_bytes()
    bits = torch.randperm(8 * len(whole), generator=torch.Generator().manual_seed(0))[:200].tolist()
    for bit in bits:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert seedstore.load(tmp_path, identity) is None
    path.write_bytes(whole[:100])
    assert seedstore.load(tmp_path, identity) is None and path.name in capsys.readouterr().out
    path.rename(tmp_path / path.name.replace("00003", "00004"))  # another seed's file
    assert seedstore.load(tmp_path, identity | {"seed": 4}) is None


# Twice the steps


@dataclasses.dataclass(frozen=True)
class Judge:
    steps: int = 500


class Arm(NamedTuple):
    model: str = "VAE"
    steps: int = 7


@dataclasses.dataclass(frozen=True)
class Trained:
    steps: int = 100
    gan_steps: int = 30
    judge_steps: int = 40  # of a classifier that makes a score
    sampling_steps: int = 50
    tuning: tuple = (("VAE", 5000, 0.1),)
    models: tuple = (Arm(), Arm("GAN", 9))
    critic: Judge = Judge()


def test_every_length_of_training_is_doubled_and_no_judges():
    assert doubled(Trained()) == Trained(steps=200, gan_steps=60, models=(Arm("VAE", 14), Arm("GAN", 18)))
    with pytest.raises(ValueError, match="Judge holds no length of a training"):
        doubled(Judge(steps=0))


def test_runs_of_twice_the_steps_go_into_the_record_and_stay_there(sandbox, monkeypatch, capsys):
    before = recording.records.load("2.1")
    assert recording.command(["2.1", "--twice", "--record", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    stored = json.loads((sandbox / "figures" / "02_em" / "2.1.json").read_text())
    entry = stored.pop("twice")
    assert stored == {k: v for k, v in before.items() if k != "twice"}, "its own numbers are those of before"
    assert entry["config"]["steps"] == 2 * before["config"]["steps"] and entry["seeds"] == [0]
    recipe = recipes.find("2.1")
    direct = recipe.run(dataclasses.replace(recipe.config("full"), steps=2 * before["config"]["steps"]), 0, "cpu")
    assert entry["numbers"] == {name: [float(v)] for name, v in direct["numbers"].items()}
    assert "Twice the steps, seed 0: " in said and "runs of the recorded length would" in said
    assert "Figure 2.1, scale full, 1 seed: recorded with" in said and "Twice the steps take about twice that." in said
    monkeypatch.setattr(recording.records, "load", lambda id: stored | {"twice": entry})
    both, more = (recording.twice("2.1", "full", seeds) for seeds in ([0, 2], [2]))
    joined = recording.with_kept("2.1", more)
    assert joined.pop("seconds") == pytest.approx(entry["seconds"] + more["seconds"])
    assert joined == {k: v for k, v in both.items() if k != "seconds"}, "as if both seeds had been run at once"
    assert recording.with_kept("2.1", entry | {"device": "another"})["device"] == "another", "a seed that was run again"
    elsewhere = recording.with_kept("2.1", more | {"device": "another"})
    assert elsewhere["device"] == "another and cpu" and recording.with_kept("2.1", more | {"fingerprint": "other"})[
        "seeds"
    ] == [2]
    results = recording.compute("2.1", "full", [0], jobs=1)
    assert recording.record_of("2.1", "full", [0], results)["twice"] == entry, "drawing the figure again keeps them"
    assert "twice" not in recording.record_of("2.1", "quick", [0], results)
    other = dataclasses.replace(recipe, full=dataclasses.replace(recipe.full, steps=61))
    monkeypatch.setitem(em.RECIPES, "2.1", other)
    assert "twice" not in recording.record_of("2.1", "full", [0], results), "they belong to other settings now"
    monkeypatch.setitem(em.RECIPES, "2.1", dataclasses.replace(recipe, full=Judge()))
    capsys.readouterr()
    assert "twice" not in recording.record_of("2.1", "full", [0], results), (
        "nothing is trained for a number of steps now"
    )
    assert (
        "2.1: its runs of twice the steps belong to other code or settings and are left out" in capsys.readouterr().out
    )
    monkeypatch.setitem(em.RECIPES, "2.1", other)
    with pytest.raises(ValueError, match=r"figure 2\.1 is stale; first run figures"):
        recording.keep_twice("2.1", entry)
    monkeypatch.setattr(recording, "compute", lambda *_: pytest.fail("it ran before it knew what to compare with"))
    with pytest.raises(ValueError, match=r"figure 2\.1 is stale; first run figures"):
        recording.command(["2.1", "--twice", "--jobs", "1"])


# What a reader sees


def test_every_figure_stands_on_the_page_with_its_number_and_caption():
    """Whether it is a recorded one, or drawn from what the reader computes there."""
    for chapter in CHAPTERS:
        cells = json.loads((recipes.ROOT / "notebooks" / f"{chapter.folder}.ipynb").read_text(encoding="utf-8"))[
            "cells"
        ]
        said = "\n".join("".join(o.get("text", ())) for cell in cells for o in cell.get("outputs", ()))
        for id, recipe in recipes.recipes(chapter.name).items():
            assert f"Figure {id}. {recipe.caption}\n" in said, id


def test_a_live_figure_is_shown_with_its_number_and_caption(capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(plots, "show", lambda fig, alt: (seen.append(alt), plt.close(fig)))
    recipe = recipes.find("13.2")
    recipes.live("13.2", [recipe.result("quick")], "quick")
    said = capsys.readouterr().out
    assert said == f"Figure 13.2. {recipe.caption}\nComputed here from 1 seed, scale quick.\n" and seen == [recipe.alt]


# What a user types


@pytest.mark.parametrize(
    "argv,match",
    [
        (["1.99"], "there is no figure 1.99"),
        (["1.4", "--scale", "cpu"], "no scale 'cpu' for 'A loose bound moves the optimum'; there are: quick, full\n"),
        (["99.1"], "chapter"),
        (["nonsense"], "belongs to no chapter"),
        (["1.4", "--device", "gpu"], "unknown or not available here; choose among cpu"),
        (["1.4", "--jobs", "0"], "at least 1"),
        (["1.4", "--data", "nowhere"], "names a folder"),
        (["1.3", "--twice"], "figure 1.3 trains nothing for a number of steps that could be doubled"),
        (["5.8", "--twice"], "fewer than 3 seeds"),
        (["2.1", "--twice", "--scale", "quick"], "is recorded at scale 'full'"),
        (
            ["6.9", "--scale", "full", "--data", "tests"],
            "yours to supply: name the folder that holds faces64.zip by --data",
        ),
    ],
)
def test_bad_requests_are_explained_in_a_sentence(argv, match, capsys, monkeypatch):
    monkeypatch.setenv("GENTOOLS_DATA", "")  # --data would set it for all that follows
    assert commands.main(["figures", *argv]) == 2
    said = capsys.readouterr().err
    assert match in said and said.count("\n") == 1


def test_a_chapter_without_figures_is_named(capsys, monkeypatch):
    monkeypatch.setattr(recording, "recipes", lambda name: {})
    assert commands.main(["figures", "17"]) == 2
    assert "chapter 17 (one map) has no figures yet" in capsys.readouterr().err


def test_listing_names_every_figure(capsys):
    recording.command([])
    said = capsys.readouterr().out
    listed = [tuple(map(int, line.split()[0].split("."))) for line in said.splitlines()]
    assert listed == sorted(
        (chapter.number, int(id.split(".")[1])) for chapter in CHAPTERS for id in recipes.recipes(chapter.name)
    )
    assert "(full, 1 seed, cpu)" in said and "(full, 5 seeds, cpu)" in said and "1 seeds" not in said


@pytest.mark.parametrize("chapter", ["3", "03", "vae", "03_vae"])
def test_the_figures_of_a_chapter_by_any_name(chapter):
    assert recording._expand([chapter]) == [f"3.{number}" for number in range(1, 13)]


def test_a_figure_is_recorded_at_its_own_scale_and_seeds_only(sandbox):
    with pytest.raises(ValueError, match="leave out --record to draw it"):
        recording.command(["1.4", "--record", "--scale", "quick", "--jobs", "1"])
    assert not (sandbox / "figures").exists()


def test_seed_ranges(capsys):
    assert recording._seeds("0-3") == [0, 1, 2, 3] and recording._seeds("4,7") == [4, 7]
    for text in ("3-1", "0,0", "abc", "-1", ""):
        with pytest.raises(SystemExit):
            recording.command(["1.4", f"--seeds={text}"])
        assert "is no list of 1 to 10,000 seeds" in capsys.readouterr().err
