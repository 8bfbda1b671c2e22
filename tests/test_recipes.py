"""The figures command: it resumes per seed, merges seeds, names what is wrong, and knows when a record is stale."""

import dataclasses
import json

import pytest
import torch

from gentools import recipes
from gentools.recipes import joint_kl


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    """A checkout with the real code and an empty place to write to."""
    real = recipes.ROOT
    (tmp_path / "gentools").symlink_to(real / "gentools")
    monkeypatch.setattr(recipes, "ROOT", tmp_path)
    return tmp_path


def test_seeds_are_computed_once_and_merged(sandbox, monkeypatch):
    ran = []
    original = joint_kl.RECIPES["1.3"]

    def counted(config, seed, device):
        ran.append(seed)
        return original.run(config, seed, device)

    monkeypatch.setitem(joint_kl.RECIPES, "1.3", dataclasses.replace(original, run=counted))
    first = recipes.compute("1.3", "quick", [0, 1])
    both = recipes.compute("1.3", "quick", [0, 1, 2])
    assert ran == [0, 1, 2] and [r["numbers"] for r in both[:2]] == [r["numbers"] for r in first]
    direct = original.run(original.config("quick"), 2, "cpu")
    assert both[2]["numbers"] == {k: float(v) for k, v in direct["numbers"].items()}
    assert all(torch.equal(both[2]["arrays"][k], v) for k, v in direct["arrays"].items())


def test_a_run_that_is_not_the_stored_one_goes_to_build(sandbox):
    assert recipes.command(["1.4", "--scale", "quick", "--jobs", "1"]) == 0
    assert (sandbox / "build" / "figures" / "01_joint_kl-quick" / "1.4.png").exists()
    assert not (sandbox / "figures").exists()
    assert recipes.command(["1.4", "--jobs", "1"]) == 0
    assert (sandbox / "figures" / "01_joint_kl" / "1.4.json").exists()


def test_side_by_side_processes_give_the_same_numbers(sandbox):
    alone = recipes.compute("1.3", "quick", [0, 1])
    for path in (sandbox / "build" / "records").rglob("seed-*.pt"):
        path.unlink()
    together = recipes.compute("1.3", "quick", [0, 1], jobs=2)
    assert [r["numbers"] for r in together] == [r["numbers"] for r in alone]


def test_a_record_names_the_machines_of_its_seeds_not_that_of_its_drawing(sandbox):
    results = recipes.compute("1.3", "quick", [0, 1])
    assert {r["machine"]["torch"] for r in results} == {torch.__version__}
    results[1]["machine"] = {"device": "a GPU", "torch": "3.0", "python": "4.0"}
    record = json.loads(recipes.write("1.3", "quick", [0, 1], results).with_suffix(".json").read_text())
    assert record["device"] == "a GPU and cpu" and "3.0" in record["torch"] and torch.__version__ in record["torch"]


def test_fingerprints_follow_code_and_configuration_but_not_comments(monkeypatch):
    before = recipes.fingerprint("1.4", "full")
    assert recipes.fingerprint("1.3", "full") != recipes.fingerprint("1.3", "quick")
    changed = dataclasses.replace(joint_kl.RECIPES["1.4"], full=joint_kl.Loose(noise_variance=0.4))
    monkeypatch.setitem(joint_kl.RECIPES, "1.4", changed)
    assert recipes.fingerprint("1.4", "full") != before
    assert recipes._code('def f(x):\n    """Says."""\n    return x  # why') == recipes._code("def f(x):\n    return x")
    assert recipes._code("def f(x):\n    return x") != recipes._code("def f(x):\n    return -x")


@pytest.mark.parametrize(
    "argv,match",
    [
        (["1.99"], "there is no figure 1.99"),
        (["1.4", "--scale", "cpu"], "no scale 'cpu'"),
        (["99.1"], "chapter"),
    ],
)
def test_bad_requests_are_explained(argv, match):
    with pytest.raises(ValueError, match=match):
        recipes.command(argv)


def test_listing_names_every_figure(capsys):
    recipes.command([])
    said = capsys.readouterr().out
    assert all(id in said for id in joint_kl.RECIPES) and "recorded (full, 5 seeds" in said


def test_seed_ranges():
    assert recipes._seeds("0-3") == [0, 1, 2, 3] and recipes._seeds("4,7") == [4, 7]
