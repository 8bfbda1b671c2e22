"""reproduce: what it costs is said first, a recorded experiment runs again here, settings can be changed."""

import dataclasses

import pytest
import torch

from gentools import recipes, reproduce
from gentools.lab import records, session
from gentools.recipes import joint_kl, recording, reproducing
from gentools.recipes.shared import fitting


@pytest.fixture
def full(monkeypatch, tmp_path):
    """A notebook at full scale, with an empty place to write to."""
    monkeypatch.setattr(session, "scale", "full")
    monkeypatch.setattr(recording, "ROOT", tmp_path)


def test_at_quick_scale_only_the_bill_and_the_command_are_printed(capsys, monkeypatch):
    monkeypatch.setattr(recording, "compute", lambda *_: pytest.fail("nothing runs at quick scale"))
    assert reproduce("5.6") is None
    bill, command = capsys.readouterr().out.splitlines()
    assert "Figure 5.6, scale cpu, 1 seed: recorded with 10 seeds" in bill and "figures 5.6" in command


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
