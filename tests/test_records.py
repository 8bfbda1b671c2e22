"""Recorded figures: summaries are right, stored figures are fresh, complete and honest about how they were made."""

import io
import json
import math
import shutil
import tomllib
from importlib import metadata

import pytest
from PIL import Image
from scipy import stats

from gentools import recipes
from gentools.lab import records
from gentools.lab.chapters import CHAPTERS, chapter
from gentools.press import notebooks
from gentools.recipes import recording

ALL = [id for each in CHAPTERS for id in recipes.recipes(each.name)]


def test_summary_is_students_interval():
    values = [1.0, 2.0, 4.0, 7.0, float("nan")]
    s = records.summarize(values)
    interval = stats.t.interval(0.95, 3, loc=3.5, scale=stats.sem(values[:4]))
    assert (s["n"], s["failed"], s["mean"], s["median"], s["min"], s["max"]) == (5, 1, 3.5, 3.0, 1.0, 7.0)
    assert (s["low"], s["high"]) == pytest.approx(interval)
    assert records.summarize([2.0])["low"] is None
    assert records.summarize([math.nan])["mean"] is None


@pytest.mark.parametrize("id", ALL)
def test_stored_figure(id):
    record, recipe = records.load(id), recipes.find(id)
    assert record is not None, f"figure {id} is not recorded; run python -m gentools figures {id}"
    scale = record["scale"]
    assert record["fingerprint"] == recording.fingerprint(id, scale), (
        f"figure {id} is stale: its configuration or its chapter's code changed. Run python -m gentools figures {id} --record"
    )
    assert scale == recipe.record and record["seeds"] == list(recipe.seeds)
    for name, values in record["numbers"].items():
        assert len(values) == len(record["seeds"])
        assert record["summary"][name] == pytest.approx(records.summarize(values), nan_ok=True)
    expected = recipe.verdict(record["summary"]) if recipe.verdict else None
    assert record["verdict"] == expected
    assert len(record["alt"]) > 40 and len(record["caption"]) > 40 and record["commit"]
    png = (records.folder() / chapter(id).folder / f"{id}.png").read_bytes()
    picture = Image.open(io.BytesIO(png))
    assert picture.info["Title"] == f"Figure {id}" and picture.info["Source"] == record["fingerprint"]
    assert picture.width <= 1000 and len(png) < 300_000


def test_no_stray_files_among_the_figures():
    known = {f"{chapter(id).folder}/{id}.{kind}" for id in ALL for kind in ("png", "json")}
    found = {f"{p.parent.name}/{p.name}" for p in records.folder().rglob("*") if p.is_file()}
    assert found <= known, f"no recipe makes {sorted(found - known)}"


def test_report_prints_numbers_intervals_and_verdict(capsys):
    records.report("1.3")
    said = capsys.readouterr().out
    assert "95 %" in said and "5 seeds" in said and "in every seed" in said and "Verdict:" in said
    json.loads((records.folder() / "01_joint_kl" / "1.3.json").read_text())


def test_report_can_be_limited_to_part_of_the_numbers(capsys):
    records.report("10.7", "1:2, penalty 5 minus 1:2: ")
    first, _, *rows, verdict = capsys.readouterr().out.splitlines()
    assert first == "1:2, penalty 5 minus 1:2:" and verdict.startswith("Verdict:")
    summary = records.load("10.7")["summary"]
    names = [name for name in summary if name.startswith("1:2, penalty 5 minus 1:2: ")]
    assert [row.split("  ")[0] for row in rows] == [name.removeprefix("1:2, penalty 5 minus 1:2: ") for name in names]
    with pytest.raises(ValueError, match=r"no number of figure 10.7 begins with 'peanuts'"):
        records.report("10.7", "peanuts")


def test_where_there_are_no_figures_the_command_is_named(monkeypatch, capsys):
    monkeypatch.setattr(records, "folder", lambda: None)
    assert records.load("1.3") is None
    records.recorded("1.3")
    records.report("1.3")
    assert capsys.readouterr().out.count("python -m gentools figures 1.3") == 2


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
