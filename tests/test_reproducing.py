"""reproduce: what it costs is said first, a recorded experiment runs again here, settings can be changed."""

import ast
import contextlib
import dataclasses
import functools
import json
import os
import re
import time
from types import SimpleNamespace

import pytest
import torch

from gentools import recipes, reproduce, trained
from gentools.lab import checkpoint, closure, records, session, training, trial
from gentools.lab.chapters import CHAPTERS
from gentools.lab.history import History
from gentools.lab.stream import Stream
from gentools.press import notebooks
from gentools.recipes import costs, dcgan, joint_kl, recording, reproducing
from gentools.recipes.shared import fitting, points


@pytest.fixture
def full(monkeypatch, tmp_path):
    """A notebook at full scale, with an empty place to write to."""
    monkeypatch.setattr(session, "scale", "full")
    monkeypatch.setattr(recording, "ROOT", tmp_path)


def test_at_quick_scale_only_the_bill_and_the_command_are_printed(capsys, monkeypatch):
    monkeypatch.setattr(recording, "compute", lambda *_: pytest.fail("nothing runs at quick scale"))
    assert reproduce("5.6", minutes=30) is None
    bill, command = capsys.readouterr().out.splitlines()
    assert "Figure 5.6, scale cpu, 1 seed: recorded with 5 seeds" in bill and "figures 5.6" in command
    assert reproduce("5.6", minutes=30, batch=64) is None
    assert (
        "scale to" in (said := capsys.readouterr().out) and "figures 5.6" not in said
    )  # it would run the recorded settings


def test_a_run_above_the_limit_names_the_minutes_it_needs(capsys, monkeypatch):
    monkeypatch.setattr(recording, "compute", lambda *_: pytest.fail("nothing runs at quick scale"))
    reproduce("5.6", minutes=10)
    assert "needs minutes=1" in capsys.readouterr().out
    for minutes in (30, None):
        reproduce("5.6", minutes=minutes)
        assert "needs minutes" not in capsys.readouterr().out


def test_cells_that_reproduce_a_figure_allow_the_minutes_it_took():
    found = []
    for path in sorted((notebooks.ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for id, rest in re.findall(r'\breproduce\("([\d.]+)"(.*)\)', "".join(cell["source"])):
                if cell["cell_type"] != "code" or "steps=" in rest:
                    continue
                record, minutes = records.load(id), float((re.findall(r"minutes=(\d+)", rest) or ["10"])[0])
                took = record["seconds"] / len(record["seeds"]) / 60
                found.append(id)
                assert took <= minutes, f"{path.name} reproduces {id}, {took:.0f} minutes a seed"
    assert {"5.6", "14.6", "16.12"} <= set(found)


@pytest.mark.parametrize(
    "value, wish",
    [
        ({"steps": "many"}, "steps is a whole number above 0"),
        ({"steps": 0}, "steps is a whole number above 0"),
        ({"steps": -5}, "steps is a whole number above 0"),
        ({"steps": 1e4}, "steps is a whole number above 0"),
        ({"learning_rate": "1e-3"}, "learning_rate is a number of at least 0"),
        ({"betas": ()}, "betas is a tuple with something in it"),
        ({"betas": (0.5,)}, r"betas is a tuple of 2 parts, such as \(0\.5, 0\.9\), and not \(0\.5,\)"),
        ({"betas": (0.5, 0.9, 0.9)}, "betas is a tuple of 2 parts"),
        (
            {"rates": (("GAN", 0.003),)},
            "rates is a tuple with a row for each of GAN, WGAN-GP, AGE, alpha-GAN, in this order",
        ),
        ({"rates": (("GAN", 0.003, 0.01),)}, "rates is a tuple of rows of 2 parts each"),
        ({"data": 5}, "data is a text"),
        ({"betas": ("a", 0.9)}, r"betas\[0\] is a number of at least 0"),
        ({"minutes": "5"}, "minutes is a number of at least 0, or None"),
        ({"minutes": -1}, "minutes is a number of at least 0, or None"),
    ],
)
def test_a_value_of_another_kind_is_refused_before_anything_runs(value, wish):
    with pytest.raises(ValueError, match=wish):
        reproduce("14.6", **value)


@pytest.mark.parametrize("id", [id for chapter in CHAPTERS for id in recipes.recipes(chapter.name)])
def test_lists_may_have_any_length_and_betas_may_not(id):
    """Every tuple of every figure but those of fixed form, once with its last part left out and once with it twice."""
    config = recipes.find(id).config("quick")
    for name, value in tuples(config).items():
        for new in (value[:-1] or value, (*value, value[-1])):
            fixed = name in reproducing.FIXED or (name.endswith("rates") and isinstance(value[0], tuple))
            if fixed and len(new) != len(value):
                with pytest.raises(ValueError, match=f"{name} is a tuple "):
                    reproducing.override(config, **{name: new})
            else:
                assert tuples(reproducing.override(config, **{name: new}))[name] == new


def tuples(config):
    """The tuples {name: value} that are set in a configuration and in those that it holds."""
    found = {}
    for name, value in vars(config).items():
        if isinstance(value, tuple) and value and not hasattr(value, "_fields"):
            found[name] = value
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            found |= tuples(value)
    return found


def test_another_kind_of_points_is_asked_for_by_its_kind():
    with pytest.raises(
        ValueError, match=r"data is a Points of gentools\.recipes\.shared\.points, as the one named 'grid'"
    ):
        reproducing.override(recipes.find("16.6").config("quick"), data="ring")
    assert reproducing.override(recipes.find("16.6").config("quick"), data=points.RING).data is points.RING


def test_at_full_scale_it_runs_and_is_compared_with_the_record(full, capsys):
    (result,) = reproduce("1.3", seeds=[0])
    record = records.load("1.3")
    assert result["numbers"] == pytest.approx({name: values[0] for name, values in record["numbers"].items()})
    assert "3 of 3 numbers lie within the range of the 5 recorded seeds." in capsys.readouterr().out


def test_numbers_outside_of_the_recorded_range_are_counted(full):
    record = records.load("1.3")
    numbers = {name: s["max"] + 1 for name, s in record["summary"].items()}
    assert reproducing.agreement([{"numbers": numbers}], record).startswith("0 of 3")


def test_settings_are_changed_wherever_they_stand_and_unknown_ones_named(full, capsys):
    config = recipes.find("5.6").config("cpu")
    changed = reproducing.override(config, steps=7, batch=3)
    assert (changed.training.steps, changed.training.batch) == (7, 3)
    assert (
        dataclasses.replace(changed.training, steps=config.training.steps, batch=config.training.batch)
        == config.training
    )
    with pytest.raises(ValueError, match=r"no setting peanuts; there are .*steps"):
        reproduce("5.6", peanuts=1)
    (result,) = reproduce("1.4", noise_variance=0.4, scale="quick")
    expected = joint_kl.RECIPES["1.4"].run(joint_kl.Loose(noise_variance=0.4, scales=241), 0, "cpu")
    assert {k: float(v) for k, v in result["numbers"].items()} == {k: float(v) for k, v in expected["numbers"].items()}
    assert "lie within" not in capsys.readouterr().out


def test_a_setting_that_the_figure_does_not_read_is_said_to_be_idle(full, capsys):
    """One rate for all arms, where every arm has its own; a setting that is read goes without a word."""
    reproduce("7.2", scale="quick", steps=2, learning_rate=0.5, batch=64)
    assert "This figure does not read learning_rate: the change of it changed nothing." in capsys.readouterr().out
    reproduce("1.4", scale="quick", scales=21)
    assert "does not read" not in capsys.readouterr().out
    with trial.trying(steps=2, moments=None):  # its training copies all settings, to tell runs apart
        reproduce("4.6", scale="quick", rows=3, moments=2, judge_steps=2, reader_steps=2, minutes=None)
    assert "This figure does not read judge_steps, rows: the change" in capsys.readouterr().out


def test_what_a_run_reads_is_told_from_what_it_replaces():
    config, read = recipes.find("7.2").config("quick"), set()
    copy = recording.reading(config, read)
    assert copy == copy and not read - {f.name for f in dataclasses.fields(config)}
    read.clear()
    assert dataclasses.replace(copy.training, learning_rate=1.0).learning_rate == 1
    assert "learning_rate" not in read and {"training", "batch"} <= read
    assert vars(copy) == {**vars(config), "training": copy.training} and list(vars(copy)) == list(vars(config))


def test_runs_with_other_settings_are_kept_by_their_settings_in_a_folder_of_the_reader(full, tmp_path, monkeypatch):
    runs, run = [], joint_kl.RECIPES["1.4"].run

    def counted(config, seed, device):
        runs.append((config.noise_variance, seed))
        return run(config, seed, device)

    recipe = dataclasses.replace(joint_kl.RECIPES["1.4"], run=functools.wraps(run)(counted))
    monkeypatch.setitem(joint_kl.RECIPES, "1.4", recipe)
    place = tmp_path / "drive"
    for variance, seeds in ((0.4, [0]), (0.4, [0, 1]), (0.3, [0]), (0.4, [1])):
        results = reproduce("1.4", noise_variance=variance, scales=21, seeds=seeds, folder=place)
        assert len(results) == len(seeds)
    assert runs == [(0.4, 0), (0.4, 1), (0.3, 0)]
    assert len(list(place.glob("*/seed-*.pt"))) == 3 and not (tmp_path / "build").exists()


def test_a_long_run_that_was_cut_goes_on_from_the_readers_folder(full, tmp_path, monkeypatch, capsys):
    """Interrupted in the middle of its one training, and called again: it resumes there, and ends as an unbroken run."""
    place = tmp_path / "drive"
    monkeypatch.setattr(fitting, "LONG", 1)
    monkeypatch.setenv("GENTOOLS_CHECKPOINTS", str(tmp_path / "elsewhere"))
    settings = dict(steps=40, width=8, scale="quick", device="cpu", minutes=None)
    unbroken = reproduce("7.2", folder=tmp_path / "whole", **settings)
    whole = training.train

    def cut(step, nets, opts, stream, steps, *rest, **options):
        history = whole(step, nets, opts, stream, min(steps, 20), *rest, **options)
        if trial.active:  # a few steps that measure the bill
            return history
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "train", cut)
    with pytest.raises(KeyboardInterrupt):
        reproduce("7.2", folder=place, **settings)
    monkeypatch.setattr(fitting, "train", whole)
    capsys.readouterr()
    resumed = reproduce("7.2", folder=place, **settings)
    assert "resumed after 20 steps" in (said := capsys.readouterr().out)
    assert "(20 of the first seed are done)" in said
    assert resumed[0]["numbers"] == unbroken[0]["numbers"] and list((place / "runs").iterdir())
    assert not (tmp_path / "elsewhere").exists() and os.environ["GENTOOLS_CHECKPOINTS"] == str(tmp_path / "elsewhere")


def test_the_bill_is_measured_and_too_long_a_run_is_not_begun(full, capsys, monkeypatch):
    monkeypatch.setattr(recording, "compute", lambda *_, **__: pytest.fail("it was begun"))
    assert reproduce("5.7", device="cpu", steps=10_000_000) is None
    said = capsys.readouterr().out
    assert "4 trainings of 40,000,000 steps in all" in said and "more than 10 minutes, so it is not begun" in said


def test_a_trial_counts_every_step_and_every_look_and_not_what_is_done_once(monkeypatch):
    """By a clock of our own: the first call takes 5 s more, a step 0.01 s, a look 1 s, the rest of the recipe 2 s."""
    clock, calls = [0.0], []

    def train(*inputs, steps, **options):
        clock[0] += 0.01 * steps + (0 if calls else 5)
        calls.append(steps)
        history = History()
        history.names, history.values = ["loss"], torch.arange(float(steps))[:, None]
        return history

    def watch(done):
        clock[0] += 1
        return {"score": done}

    def run(config, seed, device):
        history = trial.active.run(train, steps=1000, seed=0, log_every=300, watch=watch)
        assert len(history) == 1000 and float(history["loss"][-1]) == 4
        assert [w["step"] for w in history.watched] == [300, 600, 900, 1000]
        clock[0] += 2

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    spent = reproducing.measured(SimpleNamespace(run=run), None, 0, "cpu")
    assert calls == [1, 5] and (spent.trainings, spent.steps, spent.part) == (1, 1000, False)
    assert spent.seconds == pytest.approx(1000 * 0.01 + 4 * 1 + 2)


def test_steps_that_checkpoints_hold_are_counted_apart(monkeypatch, tmp_path):
    clock = [0.0]
    checkpoint.save(tmp_path / "begun", {"nets": {}}, 600, {})

    def train(*inputs, steps, **options):
        clock[0] += 0.01 * steps
        history = History()
        history.names, history.values = ["loss"], torch.zeros(steps, 1)
        return history

    def watch(done):
        clock[0] += 1
        return {}

    def run(config, seed, device):
        for folder in (tmp_path / "begun", tmp_path / "not begun", None):
            trial.active.run(train, steps=1000, log_every=300, watch=watch, folder=folder)
        assert torch.get_num_threads() == 1

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    spent = reproducing.measured(SimpleNamespace(run=run), None, 0, "cpu")
    assert (spent.trainings, spent.steps, spent.resumed) == (3, 3000, 600)
    assert spent.seconds == pytest.approx(3 * (1000 * 0.01 + 4 * 1)) and spent.saved == pytest.approx(600 * 0.01 + 2)


@pytest.mark.parametrize("saved, begun", [(0.0, False), (459.0, True)])
def test_a_run_that_was_stopped_is_billed_for_what_is_left(saved, begun, full, monkeypatch):
    calls = []
    monkeypatch.setattr(reproducing, "measured", lambda *_: reproducing.Spent(1, 4000, 612.0, False, 3000, saved))

    def compute(*_, **__):
        calls.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(recording, "compute", compute)
    with pytest.raises(KeyboardInterrupt) if begun else contextlib.nullcontext():
        assert reproduce("5.7", device="cpu") is None
    assert bool(calls) is begun


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_readers_torch_keeps_its_threads(full, two_threads):
    reproduce("1.3", seeds=[0])
    assert torch.get_num_threads() == 2
    reproducing.measured(SimpleNamespace(run=lambda *_: None), None, 0, "cpu")
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_refused_before_anything_runs(device, full, monkeypatch):
    monkeypatch.setattr(reproducing, "measured", lambda *_: pytest.fail("it was tried"))
    for call in (reproduce, trained):
        with pytest.raises(ValueError, match=f"device '{device}' is unknown or not available here"):
            call("3.5", device=device)


def test_a_device_without_double_precision_is_neither_chosen_nor_taken(full, monkeypatch):
    """Measures such as those of figure 8.3 would stop there, after all the training."""
    monkeypatch.setattr(torch.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert session.best_device() == "cpu"
    monkeypatch.setattr(recording, "find_device", torch.device)
    monkeypatch.setattr(reproducing, "measured", lambda *_: pytest.fail("it was tried"))
    with pytest.raises(ValueError, match="no double precision"):
        reproduce("8.3", device="mps")
    with pytest.raises(ValueError, match="no double precision"):
        recording.command(["8.3", "--device", "mps"])


def test_a_recipe_that_wants_the_readers_pictures_says_so(full, capsys, monkeypatch):
    monkeypatch.setattr(recording, "compute", lambda *_, **__: pytest.fail("it was begun"))
    monkeypatch.delenv("GENTOOLS_DATA", raising=False)
    assert reproduce("6.9") is None
    assert "pictures of your own, and there is no file or folder faces64.zip" in capsys.readouterr().out


def test_which_recipes_use_a_device():
    used = {id for id in ALL if recording.uses_device(recipes.find(id).run)}
    assert used == {*NETWORKS} - {*CPU}


def test_what_is_no_seeds_is_refused():
    for seeds in ([], [1, 1], [-1], ["a"], 0, True, 1.0, None):
        with pytest.raises(ValueError, match="seeds is a number of them or a list"):
            reproduce("5.6", seeds=seeds)


def test_a_trial_leaves_nothing_behind():
    """Judges that a trial trained for a few steps are forgotten."""
    recipe = recipes.find("6.4")
    config = reproducing.override(recipe.config("quick"), **tiny("6.4"))
    reproducing.measured(recipe, config, 0, "cpu", steps=2)
    assert dcgan.judge.cache_info().currsize == 0 and trial.active is None


def asked(steps=100):
    """Train something tiny for so many steps, by `train`: a trial, if one is under way, takes fewer. Returns how many."""
    nets, taken = torch.nn.ModuleDict({"model": torch.nn.Linear(1, 1)}), []

    def step(nets, opts, x, z):
        taken.append(1)
        return {"loss": torch.zeros(())}

    training.train(step, nets, {"model": torch.optim.SGD(nets.parameters())}, Stream(torch.zeros(4, 1), 2, 1), steps, 0)
    return len(taken)


def test_a_trial_ends_with_its_block_and_one_inside_hands_back_to_the_one_around_it():
    with trial.trying(steps=3) as outer:
        assert trial.active is outer and asked() == 1 + 3  # the first step is what a device does once
        with trial.trying(steps=5) as inner:
            assert trial.active is inner and asked() == 1 + 5
        assert trial.active is outer and asked() == 1 + 3
    assert trial.active is None and asked() == 100
    assert [steps for steps, _ in outer.trainings] == [100, 100] and [steps for steps, _ in inner.trainings] == [100]
    with trial.trying(steps=2) as second:
        assert trial.active is second and asked() == 1 + 2
    assert trial.active is None and len(outer.trainings) == 2 and len(second.trainings) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, trial.Enough])
def test_a_trial_that_breaks_off_leaves_the_one_around_it_under_way(error):
    with trial.trying(steps=3) as outer:
        with pytest.raises(error), trial.trying(steps=5):
            raise error
        assert trial.active is outer and asked() == 1 + 3
    with pytest.raises(error), trial.trying(steps=3):
        raise error
    assert trial.active is None and asked() == 100


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("at", ["step", "watch"])
def test_a_training_that_breaks_off_in_a_trial_leaves_that_trial_under_way(error, at):
    """A trial lets its own trainings run as if there were none, and is there again after one of them failed."""
    nets = torch.nn.ModuleDict({"model": torch.nn.Linear(1, 1)})
    opts, stream = {"model": torch.optim.SGD(nets.parameters())}, Stream(torch.zeros(4, 1), 2, 1)

    def breaks(*_):
        raise error

    step = breaks if at == "step" else lambda *_: {"loss": torch.zeros(())}
    with trial.trying(steps=3) as outer:
        with pytest.raises(error):
            training.train(step, nets, opts, stream, 100, 0, watch=breaks)
        assert trial.active is outer and not outer.trainings and asked() == 1 + 3
    assert trial.active is None


def test_an_inner_trial_that_has_lasted_too_long_ends_alone():
    with trial.trying(steps=3) as outer:
        with pytest.raises(trial.Enough), trial.trying(steps=3, limit=-1) as inner:
            asked()
        assert inner.cut and not outer.cut and trial.active is outer
        spent = reproducing.measured(SimpleNamespace(run=lambda *_: asked()), None, 0, "cpu", limit=-1)
        assert spent.part and not outer.cut and asked() == 1 + 3


def test_a_run_goes_to_the_device_of_the_session(full, monkeypatch):
    """A device that exists in name alone: the networks and the data are sent to it, and to no other."""
    monkeypatch.setattr(session, "device", "meta")
    seen = []
    monkeypatch.setattr(fitting, "train", lambda step, nets, opts, stream, *_, **__: seen.append((nets, stream)))
    monkeypatch.setattr("gentools.lab.stream.find_device", torch.device)
    with pytest.raises(Exception):  # noqa: B017  nothing can be read back from it
        reproduce("5.7", steps=1, batch=5)
    (nets, stream), *_ = seen
    assert stream.device.type == "meta" and {p.device.type for p in nets.parameters()} == {"meta"}


ALL = [id for each in CHAPTERS for id in recipes.recipes(each.name)]
NETWORKS = [id for id in ALL if ("gentools.lab.training", "train") in closure.reached([recipes.find(id).run])]
LOOPS = ("critic_steps", "judge_steps", "reader_steps", "inverse_steps", "true_draws")  # beside the trainings
UNTRAINED = "train longer|sure of too few|exemplars"  # what arithmetic with pictures says of networks like these


def tiny(id):
    """Other values for the fields of figure `id` that cost much beside its trainings."""
    fields = dict(re.findall(r"(\w+)=(\([\d, ]+\))?", repr(recipes.find(id).config("quick"))))
    return {name: (2,) * len(ast.literal_eval(fields[name])) if fields[name] else 2 for name in LOOPS if name in fields}


@pytest.mark.parametrize("id", NETWORKS)
def test_every_recorded_network_figure_is_reproduced_at_tiny_size(id, full, monkeypatch, capsys):
    """Trainings of two steps stand in for whole ones, so that no field of the configuration need be named steps."""
    monkeypatch.setattr(reproducing, "_affordable", lambda *_: True)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    reproducing._forget()
    try:
        with trial.trying(steps=2, moments=None) as tried:
            (result,) = reproduce(id, scale="quick", device="cpu", **tiny(id))
    except ValueError as error:
        assert id in ("6.7", "6.8") and re.search(UNTRAINED, str(error))
    else:
        assert set(result) >= {"numbers", "arrays", "seconds", "machine"}
    finally:
        reproducing._forget()
    assert tried.trainings and f"Figure {id}, scale quick" in capsys.readouterr().out


class Devices:
    """Stands in for every training: notes where its networks and data are."""

    def __init__(self):
        self.seen = []

    def run(self, train, step, nets, opts, stream, steps, watch=None, log_every=100, **options):
        self.seen.append({p.device.type for p in nets.parameters()} | {rows.device.type for rows in stream.data})
        history = History()
        history.names, history.values = ["discriminator"], torch.zeros(steps, 1)
        return history


CPU = ("15.6",)  # it compares by CPU seconds, and `reproduce` says that it computes on the CPU


@pytest.mark.parametrize("id", NETWORKS)
def test_no_recipe_is_pinned_to_the_cpu(id, monkeypatch):
    """On a device that exists in name alone all networks and data meet, until a number would have to be read."""
    devices = Devices()
    monkeypatch.setattr(trial, "active", devices)
    monkeypatch.setattr("gentools.lab.stream.find_device", torch.device)
    monkeypatch.setattr(fitting, "LONG", 10**9)  # a folder is named after the data, which such a device has none of
    recipe = recipes.find(id)
    config = reproducing.override(recipe.config("quick"), **tiny(id))
    reproducing._forget()
    try:
        recipe.run(config, 0, "meta")
    except Exception:
        if not devices.seen:
            raise
    finally:
        reproducing._forget()
    places = {place for seen in devices.seen for place in seen}
    assert places == ({"cpu"} if id in CPU else {"meta"})
    assert recording.uses_device(recipe.run) is (id not in CPU)


@pytest.mark.parametrize(
    "seeds, changes, said",
    [
        (5, {}, "Figure 9.9, scale cpu, 2 seeds: recorded with 5 seeds, 8 minutes each (cpu, one thread)."),
        (1, {}, "Figure 9.9, scale cpu, 2 seeds: recorded with 1 seed, 8 minutes (cpu, one thread)."),
        (
            5,
            {"steps": 2000, "family": "vae"},
            "Figure 9.9, scale cpu, 2 seeds, steps=2000, family='vae': with the recorded settings 5 seeds took 8 minutes each "
            "(cpu, one thread).",
        ),
    ],
)
def test_the_bill_speaks_of_the_recorded_settings_where_others_are_asked_for(seeds, changes, said):
    record = {"scale": "cpu", "seeds": list(range(seeds)), "seconds": 480.0 * seeds, "device": "cpu"}
    assert costs.bill("9.9", record, "cpu", [0, 1], changes) == said
    assert "nobody knows" in costs.bill("9.9", record, "full", [0, 1], changes)
    record["device"] = "NVIDIA T4"
    on_gpu = said.replace("(cpu,", "(NVIDIA T4,")
    assert costs.bill("9.9", record, "cpu", [0, 1], changes, device="cuda") == on_gpu
    assert costs.bill("9.9", record, "cpu", [0, 1], changes) == f"{on_gpu} A CPU takes many times as long."
