"""Recorded figures: summaries are right, stored figures are fresh, complete and honest about how they were made."""

import importlib.util
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.version import Version
from PIL import Image
from scipy import stats

import gentools
from gentools import recipes
from gentools.lab import closure, records
from gentools.lab.chapters import CHAPTERS, chapter
from gentools.press import notebooks
from gentools.recipes import recording
from gentools.recipes.longer import doubled
from gentools.recipes.shared import scores

ALL = [id for each in CHAPTERS for id in recipes.recipes(each.name)]


def test_summary_is_students_interval():
    values = [1.0, 2.0, 4.0, 7.0, float("nan")]
    s = records.summarize(values)
    interval = stats.t.interval(0.95, 3, loc=3.5, scale=stats.sem(values[:4]))
    assert (s["n"], s["failed"], s["mean"], s["median"], s["min"], s["max"]) == (5, 1, 3.5, 3.0, 1.0, 7.0)
    assert (s["low"], s["high"]) == pytest.approx(interval)
    assert records.summarize([2.0])["low"] is records.summarize([2.0, 3.0])["low"] is None
    assert records.summarize([math.nan])["mean"] is None


RINGS = "7.2", "12.8", "13.5", "17.4"  # of eight modes; all others are grids of 25


@pytest.mark.parametrize("id", ALL)
def test_intervals_hold_what_their_numbers_can_be(id):
    """A number that was never negative and whose interval is must be one that may be negative: a difference, a gain, an unbiased
    estimate of a distance. Every interval holds its mean, and counts end where there are no more modes or classes."""
    record = records.load(id) or {}
    for name, values in (record.get("numbers") or {}).items():
        s, ends = record["summary"][name], scores.possible(name, id)
        mend = f"give {name!r} its ends in shared/scores.py"
        if s["low"] is not None and s["low"] < 0 <= s["min"] and s["max"] > s["min"]:
            assert re.search("minus|gain|lost|gap|length|correlation|critic|energy distance|V over|change", name), mend
        assert s["low"] is None or s["low"] - 1e-9 <= s["mean"] <= s["high"] + 1e-9, mend
        if ends != scores.YES_OR_NO:
            assert all(ends[0] - 1e-6 <= v <= ends[1] + 1e-6 for v in values if math.isfinite(v)), mend
        if re.search("modes$|classes$", name) and " minus " not in name:
            most = 10 if name.endswith("classes") else 8 if id in RINGS else 25
            assert s["high"] is None or s["high"] <= most, mend


FIELDS = {
    *("id", "title", "caption", "alt", "scale", "config", "seeds", "numbers", "summary", "verdict"),
    *("device", "torch", "python", "commit", "fingerprint", "seconds"),
}


def wrongs(id, record, png):
    """What a stored figure's record and picture (bytes) say other than what made them says; yields names of fields."""
    recipe = recipes.find(id)
    # the reader's own pictures, the model, idle settings and the runs of twice the steps, where there are any
    if other := (set(record) ^ FIELDS) - {"data", "model", "idle", "twice"}:
        yield f"fields: {sorted(other)}"
        return
    said = {"id": id, "title": recipe.title, "caption": recipe.caption, "alt": recipe.alt, "scale": recipe.record}
    said |= {"seeds": list(recipe.seeds), "fingerprint": recording.fingerprint(id, recipe.record)}
    said["config"] = json.loads(json.dumps(closure.plain(recipe.config(recipe.record))))
    said["verdict"] = recipe.verdict(record["summary"]) if recipe.verdict else None
    said["idle"] = list(recipe.idle) or None
    yield from (field for field, value in said.items() if record.get(field) != value)
    if any(len(values) != len(recipe.seeds) for values in record["numbers"].values()):
        yield "numbers: their count"
    if list(record["summary"]) != list(record["numbers"]):
        yield "summary: its names"
    else:
        for name, values in record["numbers"].items():
            if record["summary"][name] != pytest.approx(recording.summary_of(name, values, id), nan_ok=True):
                yield f"summary: {name}"
    yield from (field for field, form in FORMS.items() if not re.fullmatch(form, str(record[field])))
    if not isinstance(record["seconds"], float) or not 0 < record["seconds"] < 30 * 24 * 3600:
        yield "seconds"
    if longer := record.get("twice"):
        yield from wrongs_of_twice(recipe, record, longer)
    picture = Image.open(io.BytesIO(png))
    if (picture.info.get("Title"), picture.info.get("Source")) != (f"Figure {id}", record["fingerprint"]):
        yield "picture: made by something else"
    if picture.width > 1000 or len(png) >= 300_000:
        yield "picture: its size"


def wrongs_of_twice(recipe, record, longer):
    """The same of the runs of twice the steps that a record holds."""
    config = doubled(recipe.config(recipe.record))
    if set(longer) != {"config", "seeds", "numbers", "fingerprint", "device", "torch", "python", "seconds"}:
        yield f"twice: fields {sorted(longer)}"
        return
    if longer["fingerprint"] != closure.fingerprint(recipe.run, config):
        yield "twice: fingerprint"
    if longer["config"] != json.loads(json.dumps(closure.plain(config))):
        yield "twice: config"
    if set(longer["numbers"]) != set(record["numbers"]):
        yield "twice: names"
    if not longer["seeds"] or any(len(values) != len(longer["seeds"]) for values in longer["numbers"].values()):
        yield "twice: seeds"


_ONE_OR_MORE = r"{0}( and {0})*"  # where the seeds were computed on several machines
FORMS = {
    "commit": r"[0-9a-f]{40}",
    "device": _ONE_OR_MORE.format(r"(?:cpu|NVIDIA [\w .-]+?)"),
    "torch": _ONE_OR_MORE.format(r"\d+\.\d+\.\d+(?:\+\w+)?"),
    "python": _ONE_OR_MORE.format(r"3\.\d+\.\d+"),
}


def stored(id):
    """Record and picture of a stored figure."""
    record = records.load(id)
    assert record is not None, f"figure {id} is not recorded; run python -m gentools figures {id} --record"
    return record, (records.folder() / chapter(id).folder / f"{id}.png").read_bytes()


@pytest.mark.parametrize("id", ALL)
def test_stored_figure(id):
    record, png = stored(id)
    found = list(wrongs(id, record, png))
    assert "fingerprint" not in found, (
        f"figure {id} is stale: its configuration or its chapter's code changed. Run python -m gentools figures {id} --record"
    )
    assert not found, f"figure {id} is not as recorded: {found}. Run python -m gentools figures {id} --record"
    assert len(record["alt"]) > 40 and len(record["caption"]) > 40


def by_hand(**changes):
    return lambda record: record | changes


def deep(*path):
    """A number somewhere in the record, changed by a hundredth."""

    def change(record):
        *inner, last = path
        for name in inner:
            record = record[name]
        record[last] = record[last] * 1.01 + 0.01

    return change


EDITS = {
    "id": by_hand(id="1.4"),
    "title": by_hand(title="Another"),
    "caption": lambda r: r | {"caption": r["caption"].replace(" ", "  ", 1)},
    "alt": lambda r: r | {"alt": r["alt"] + " It is good."},
    "scale": by_hand(scale="quick"),
    "config": lambda r: r | {"config": r["config"] | {next(iter(r["config"])): 12345}},
    "config: a field more": lambda r: r | {"config": r["config"] | {"extra": 1}},
    "seeds": lambda r: r | {"seeds": r["seeds"][::-1]},
    "numbers": lambda r: deep("numbers", next(iter(r["numbers"])), 0)(r),
    "numbers: a seed less": lambda r: r | {"numbers": {k: v[1:] for k, v in r["numbers"].items()}},
    "numbers: a name less": lambda r: r | {"numbers": dict(list(r["numbers"].items())[1:])},
    "summary": lambda r: deep("summary", next(iter(r["summary"])), "mean")(r),
    "summary: a name more": lambda r: r["summary"].update(extra=next(iter(r["summary"].values()))),
    "verdict": by_hand(verdict="All is well."),
    "device": by_hand(device="a fast machine"),
    "torch": by_hand(torch="new"),
    "python": by_hand(python="2.7"),
    "commit": by_hand(commit="HEAD"),
    "no commit": by_hand(commit=""),
    "fingerprint": by_hand(fingerprint="0" * 16),
    "seconds": by_hand(seconds=-3.0),
    "seconds in words": by_hand(seconds="3"),
    "a field more": by_hand(note="by hand"),
    "a field less": lambda r: {k: v for k, v in r.items() if k != "commit"},
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_record_edited_by_hand_is_noticed(edit, monkeypatch):
    record, png = stored("1.3")
    mark = record["fingerprint"]
    monkeypatch.setattr(recording, "fingerprint", lambda id, scale: mark)  # whether or not the figure is stale just now
    assert list(wrongs("1.3", record, png)) == []
    changed = EDITS[edit](record)
    assert list(wrongs("1.3", record if changed is None else changed, png)) != []


TWICE = {
    "fingerprint": "0" * 16,
    "config": {"steps": 5},
    "numbers": {},
    "seeds": [],
    "note": "by hand",
}


@pytest.mark.parametrize("field", TWICE)
def test_runs_of_twice_the_steps_edited_by_hand_are_noticed(field, monkeypatch, tmp_path):
    monkeypatch.setattr(recording, "ROOT", tmp_path)
    recipe, record = recipes.find("2.1"), records.load("2.1")
    entry = json.loads(json.dumps(recording.twice("2.1", "full", [0])))
    assert list(wrongs_of_twice(recipe, record, entry)) == []
    assert list(wrongs_of_twice(recipe, record, entry | {field: TWICE[field]})) != []


# Trained figures of three seeds or more without a run of twice the steps: these were recorded on a GPU
NOT_DOUBLED = {"10.8", "10.9"}


def test_every_trained_figure_says_what_twice_the_steps_would_change():
    without = set()
    for id in ALL:
        recipe, record = recipes.find(id), records.load(id)
        if record is None or len(record["seeds"]) < 3 or record["seconds"] / len(record["seeds"]) < 5:
            continue
        try:
            doubled(recipe.config(recipe.record))
        except ValueError:  # nothing is trained for a number of steps
            continue
        if "twice" not in record:
            without.add(id)
    assert without == NOT_DOUBLED


def test_further_runs_are_expected_within_students_prediction_interval():
    values = [1.0, 2.0, 4.0, 7.0, math.nan]
    for end in records.expected(values, 1):  # there, Student's test of one more value against these gives .05
        assert stats.ttest_ind_from_stats(3.5, stats.tstd(values[:4]), 4, end, 0.0, 1).pvalue == pytest.approx(0.05)
    low, high = records.expected(values, 10**9)
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 3, loc=3.5, scale=stats.sem(values[:4])), rel=1e-6)
    assert records.expected([1.0, 2.0], 1) is None


def test_what_twice_the_steps_moved_is_said():
    numbers = {
        "a": [1.0, 2.0, 3.0],
        "b": [5.0, 5.0, 5.0],
        "c": [1.0, 2.0, 3.0],
        "true digits: sure": [0.716] * 3,
        "a, change over the last quarter": [0.1] * 3,
        "a, a quarter of the steps": [0.1, 0.2, 0.3],
        "share halfway": [0.1, 0.2, 0.3],
    }
    longer = {
        "true digits: sure": [0.714],
        "a": [9.0],
        "b": [5.0 + 1e-12],
        "c": [math.nan],
        "a, change over the last quarter": [4.0],
        "a, a quarter of the steps": [4.0],  # of another step
        "share halfway": [4.0],
    }
    record = {"seeds": [0, 1, 2], "numbers": numbers, "twice": {"seeds": [0], "numbers": longer}}
    found = records.moved(record)
    assert list(found) == ["a", "c"] and found["a"] == (9.0, *records.expected([1.0, 2.0, 3.0], 1))
    said = records.after_twice(record)
    assert "seed 0: 1 of 3 numbers lie" in said and "elsewhere: a 9 (-2.968 to 6.968); c nan" in said
    assert records.after_twice(record, ["b"]).endswith(
        "1 of 1 numbers lie where 19 of 20 runs of the recorded length would."
    )
    assert records.after_twice(record, []) == records.after_twice({"seeds": [0, 1, 2], "numbers": numbers}) == ""


@pytest.mark.parametrize("name, counts", [
    ("AGE: V over the last quarter", True), ("no gain: code error over the last quarter", True), ("coverage", True),
    ("gain of the ELBO over the last quarter of the steps", False), ("overlap, change over the last quarter", False),
    ("change over the last quarter, new rows", False), ("distance at the end minus after three quarters", False),
])  # fmt: skip
def test_a_mean_over_the_last_quarter_is_where_a_run_ended_and_a_change_is_not(name, counts):
    record = {"seeds": [0, 1, 2], "numbers": {name: [1.0, 2.0, 3.0]}, "twice": {"seeds": [0], "numbers": {name: [9.0]}}}
    assert list(records.moved(record)) == [name] * counts


def test_of_many_numbers_that_moved_those_that_compare_are_said_first():
    names = [*"abcdef", "a minus b", "g"]

    def record(names):
        numbers, longer = (dict.fromkeys(names, values) for values in ([1.0, 2.0, 3.0], [9.0]))
        return {"seeds": [0, 1, 2], "numbers": numbers, "twice": {"seeds": [0], "numbers": longer}}

    said = records.after_twice(record(names))
    assert "elsewhere: a minus b 9 (" in said and "; e 9 (" in said and said.endswith("; and 2 more.")
    assert "elsewhere: a 9 (" in records.after_twice(record([*names[:3], "a minus b"]))  # all of them fit


def test_another_figures_picture_is_noticed():
    record, _ = stored("1.3")
    assert "picture: made by something else" in set(wrongs("1.3", record, stored("1.4")[1]))


def test_no_stray_files_among_the_figures():
    known = {f"{chapter(id).folder}/{id}.{kind}" for id in ALL for kind in ("png", "json")}
    known |= {f"{chapter(id).folder}/{id}.safetensors" for id in ALL if "model" in (records.load(id) or {})}
    found = {f"{p.parent.name}/{p.name}" for p in records.folder().rglob("*") if p.is_file()}
    assert found <= known, f"no recipe makes {sorted(found - known)}"


def test_report_prints_numbers_intervals_and_verdict(capsys):
    records.report("1.3")
    said = capsys.readouterr().out
    assert "95 %" in said and "5 seeds" in said and "in every seed" in said and "Verdict:" in said
    json.loads((records.folder() / "01_joint_kl" / "1.3.json").read_text())


def test_the_lines_of_a_report_break_between_words_and_not_inside_of_short_settings(capsys):
    for id in ALL:
        records.report(id)
        lines, record = capsys.readouterr().out.splitlines(), records.load(id)
        settings = [*records._settings(record["config"], idle=record.get("idle", ()))]
        assert ", ".join(settings) in " ".join(lines), id  # a word broken in two would have gained a space
        assert all(any(each in line for line in lines) for each in settings if len(each) <= 60), id


def test_report_can_be_limited_to_part_of_the_numbers(capsys):
    records.report("10.7", "1:2, penalty 5 minus 1:2: ")
    said = capsys.readouterr().out
    table, settings, _ = re.fullmatch(r"(.*\n)(Settings: .*?\.\n)(Verdict: .*\n)", said, re.DOTALL).groups()
    first, _, *rows = table.splitlines()
    assert first == "1:2, penalty 5 minus 1:2:"
    stored = recording.closure.plain(recipes.find("10.7").config("cpu"))["training"]
    assert all((f"{name.replace('_', ' ')} " in settings.replace("\n", " ")) is (name != "decay") for name in stored)
    summary = records.load("10.7")["summary"]
    names = [name for name in summary if name.startswith("1:2, penalty 5 minus 1:2: ")]
    assert [row.split("  ")[0] for row in rows] == [name.removeprefix("1:2, penalty 5 minus 1:2: ") for name in names]
    with pytest.raises(ValueError, match=r"no number of figure 10.7 begins with 'peanuts'"):
        records.report("10.7", "peanuts")


def two_ways():
    """A record of two ways and two scores, of three seeds, with two runs of twice the steps."""
    numbers = {f"{way}: {score}": [1.0, 2.0, 6.0] for way in ("one", "the other") for score in ("modes", "error")}
    longer = {name: [4.0, 0.00001] for name in numbers}
    return {"seeds": [0, 1, 2], "numbers": numbers, "twice": {"seeds": [0, 2], "numbers": longer}}


def ends(capsys, monkeypatch, record, *args, **how):
    monkeypatch.setattr(records, "load", lambda id: record)
    gentools.ends("1.3", *args, **how)
    return [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]


def test_ends_prints_a_row_for_each_way_and_behind_a_bar_what_twice_the_steps_give(capsys, monkeypatch):
    record = two_ways()
    record["numbers"]["one: modes"] = [1234.5, 1234.5, math.nan]
    rows = ends(capsys, monkeypatch, record, ("one", "the other"), "modes", "error")
    assert rows == [
        ["means of 3 seeds | twice the steps, seeds 0, 2", "modes", "error"],
        ["one", "1234 (1 failed) | 2", "3 | 2"],
        ["the other", "3 | 2", "3 | 2"],
    ]
    rows = ends(capsys, monkeypatch, two_ways(), "one", "error", each=True)
    assert rows == [["each of 3 seeds | twice the steps, seeds 0, 2", "error"], ["one", "1 2 6 | 4 1e-05"]]


def test_ends_of_a_record_without_twice_the_steps_prints_its_own_numbers(capsys, monkeypatch):
    record = {"seeds": [0], "numbers": {"one: modes": [2 / 3]}}
    assert ends(capsys, monkeypatch, record, ("one",), "modes") == [["means of 1 seed", "modes"], ["one", "0.667"]]
    record["numbers"]["one: modes"] = [math.nan]
    assert ends(capsys, monkeypatch, record, ["one"], "modes")[1] == ["one", "none (1 failed)"]


@pytest.mark.parametrize("ways, named, said", [
    (("one", "a third"), ("modes",), "figure 1.3 has no number 'a third: modes'; it has: one: modes, one: error,"),
    (("one",), ("modes", "distance"), "figure 1.3 has no number 'one: distance'; it has: one: modes"),
    (("one",), (), "at least one way and one score"), ((), ("modes",), "at least one way and one score"),
])  # fmt: skip
def test_ends_refuses_numbers_that_are_not_recorded(ways, named, said, capsys, monkeypatch):
    with pytest.raises(ValueError, match=said):
        ends(capsys, monkeypatch, two_ways(), ways, *named)
    assert capsys.readouterr().out == ""


def test_ends_of_a_recorded_figure_are_the_means_of_its_numbers(capsys):
    gentools.ends("10.11", ("one step", "fresh z"), "overlap", "modes")
    head, *rows = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    record = records.load("10.11")
    assert head == [f"means of {len(record['seeds'])} seeds | twice the steps, seed 0", "overlap", "modes"]
    assert len(rows) == 2
    for way, *cells in rows:
        for score, cell in zip(head[1:], cells, strict=True):
            shown = [float(part) for part in cell.split(" | ")]
            name = f"{way}: {score}"
            assert shown == pytest.approx(
                [record["summary"][name]["mean"], *record["twice"]["numbers"][name]], rel=5e-3
            )


def test_report_leaves_out_a_setting_inside_that_a_list_outside_replaces(capsys):
    config = records.load("7.2")["config"]
    assert config["training"]["learning_rate"] and config["learning_rates"]
    records.report("7.2")
    said = capsys.readouterr().out
    assert "learning rates ((both," in said and "learning rate 0" not in said


def test_report_leaves_out_the_settings_that_a_figure_does_not_read(capsys):
    """Figures 4.3 and 4.6 share their kind of configuration; 14.7 has no critic, whose settings lie inside."""
    for id, there, gone in (
        ("4.3", "draws 50", "reader steps"),
        ("4.6", "reader steps 2,000", "draws"),
        ("14.7", "steps 24,000", "width"),
    ):
        assert gone.replace(" ", "_") in str(records.load(id)["config"])
        records.report(id)
        settings = capsys.readouterr().out.replace("\n", " ").partition("Settings: ")[2]
        assert there in settings and not re.search(rf"\b({gone}|rows) ", settings)


def test_a_figure_that_there_is_not_is_said_with_those_that_there_are(capsys):
    records.recorded("12.99")
    assert "if there is such a figure; recorded are 12.1, 12.2" in capsys.readouterr().out
    for call in (records.recorded, records.report, lambda id: records.ends(id, "one", "modes")):
        with pytest.raises(ValueError, match=r'ids stand in quotes, such as "14.7"'):
            call(14.7)


def test_where_there_are_no_figures_the_command_is_named(monkeypatch, capsys):
    monkeypatch.setattr(records, "folder", lambda: None)
    assert records.load("1.3") is None
    records.recorded("1.3")
    records.report("1.3")
    records.ends("1.3", "one", "modes")
    assert capsys.readouterr().out.count("python -m gentools figures 1.3") == 3


def test_the_wheel_carries_every_figure_and_an_installed_package_finds_them(tmp_path, monkeypatch):
    listed = tomllib.loads((notebooks.ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    folders = sorted(path.name for path in (notebooks.ROOT / "figures").iterdir())
    assert listed == {f"share/gentools/figures/{name}": [f"figures/{name}/*"] for name in folders}
    place = tmp_path / "share" / "gentools" / "figures" / "01_joint_kl"
    place.mkdir(parents=True)
    shutil.copy(records.folder() / "01_joint_kl" / "1.3.json", place)
    about = tmp_path / "lib" / "site-packages" / "gentools-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: gentools\nVersion: 0.1.0\n")
    (about / "RECORD").write_text("../../share/gentools/figures/01_joint_kl/1.3.json,,\n")
    installed = metadata.Distribution.at(about)
    monkeypatch.setattr(metadata, "files", lambda name: installed.files)
    records._installed.cache_clear()
    assert records._installed() == place.parent
    records._installed.cache_clear()


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the wheel was installed, alone: what `pip install --target` of a published wheel gives."""
    if Version(metadata.version("setuptools")) < Version("77"):
        pytest.skip("building a wheel needs setuptools 77 or newer")
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("gentools", "figures"):
        shutil.copytree(notebooks.ROOT / name, folder / "tree" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-CONTENT"):
        shutil.copy(notebooks.ROOT / name, folder / "tree")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(folder), str(folder / "tree")]
    subprocess.run(build, check=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "target"
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)], check=True)
    return target


def alone(target, folder, code, **more):
    """What a fresh process prints that has the installed package, no checkout, no network and no data."""
    env = os.environ | {"PYTHONPATH": str(target), "GENTOOLS_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | more
    env.pop("GENTOOLS_DATA", None)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="needs pip")
def test_the_installed_package_alone_has_every_record(installed, tmp_path):
    """Also after --target, where the list of installed files names another place."""
    code = (
        "import json, gentools\nfrom gentools.lab import records\nprint(gentools.__file__)\n"
        f"print(all(records.load(id) for id in {ALL}))\ngentools.recorded('5.1')\ngentools.report('5.6')"
    )
    where, every, *shown = alone(installed, tmp_path, code).splitlines()
    assert where.startswith(str(installed)) and every == "True"
    text = "\n".join(shown)
    assert "Figure 5.1. " in text and next(iter(records.load("5.6")["numbers"])) in text and "not at hand" not in text


@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="needs pip")
def test_a_notebook_alone_runs_to_its_end_without_figures(installed, tmp_path):
    """Chapter 11, whose cells read records, in an empty folder with nothing but the package and without its figures."""
    package = tmp_path / "package"
    for name in ("gentools", next(installed.glob("*.dist-info")).name):
        shutil.copytree(installed / name, package / name)
    shutil.copy(notebooks.ROOT / "notebooks" / "11_evaluation.ipynb", tmp_path)
    code = (
        "import gentools\nfrom gentools.press import notebooks\n"
        "run = notebooks.Execution(notebooks.load('11_evaluation.ipynb'), '.')\nrun.run()\n"
        "said = [o.get('text', '') for c in run.nb.cells if c.cell_type == 'code' for o in c.outputs]\n"
        "print(gentools.__file__)\nprint(sum('is not at hand' in text for text in said))"
    )
    where, missing = alone(package, tmp_path, code).splitlines()
    assert where.startswith(str(package)) and int(missing) > 0
