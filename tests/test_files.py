"""Files are written whole or not at all, and a full disk is named. /dev/full stands in for such a disk."""

import errno
import os
from pathlib import Path

import pytest

from gentools import recipes
from gentools.lab import data, files
from gentools.lab.lock import lock
from gentools.press import notebooks
from gentools.recipes import recording, seedstore

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")


def full(path):
    """Let the part of the file that is to be written at `path` lie on a full disk."""
    (path.parent / f".{path.name}.{os.getpid()}.part").symlink_to("/dev/full")


@pytest.mark.parametrize("before", [None, b"what stood there"])
def test_a_full_disk_is_named_and_leaves_what_was_there(tmp_path, before):
    path = tmp_path / "record.json"
    if before is not None:
        path.write_bytes(before)
    full(path)
    with pytest.raises(OSError, match=r"record\.json") as caught:
        files.write_whole(path, b"new")
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([] if before is None else [before])
    files.write_whole(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("without a number"), ValueError("other")])
def test_what_is_no_error_of_a_disk_stays_as_it_is(tmp_path, error, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(type(error)) as caught:
        files.write_whole(tmp_path / "a", b"new")
    assert caught.value is error and not list(tmp_path.iterdir())


def test_a_record_and_a_notebook_are_never_cut_short(tmp_path):
    """A figure's record and a notebook are sources: half of one is worth nothing."""
    for name, write in (("5.6.json", recording._dump), ("05_gan.ipynb", notebooks.write)):
        path = tmp_path / name
        path.write_text("whole")
        full(path)
        with pytest.raises(OSError, match=name):
            write(path, {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
        assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]
        path.unlink()


def test_a_figure_is_not_begun_where_its_results_could_not_be_kept(tmp_path, monkeypatch):
    """Before the first seed, and not after hours of it."""
    ran = []
    monkeypatch.setattr(recording, "_run_seed", lambda *_, **__: ran.append(1))
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"):
        recording.compute("1.3", "quick", [0], folder=tmp_path / "taken")
    assert not ran and (recipes.ROOT / "figures").is_dir()


def test_a_result_that_meets_a_full_disk_leaves_no_part(tmp_path, monkeypatch):
    def to_a_full_disk(*_):
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")

    monkeypatch.setattr(files.Path, "write_bytes", to_a_full_disk)
    with pytest.raises(OSError, match=r"No space left.*seed-00003"):
        seedstore.save(tmp_path, {"seed": 3}, {"numbers": {}})
    assert not list(tmp_path.iterdir())


def test_a_lock_that_cannot_be_written_names_it_and_does_not_stay(tmp_path):
    """No file of this process may grow for a moment, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        with pytest.raises(OSError, match=r"\.lock"), lock(tmp_path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"process {os.getpid()}\n"


@pytest.mark.parametrize("path", ["", "~/runs", Path("~/runs")])
def test_a_path_that_only_a_shell_understands_is_refused(tmp_path, monkeypatch, path):
    """Otherwise the run lands in a folder called ~ below the one where Python runs, and is never found again."""
    monkeypatch.chdir(tmp_path)
    for use in (
        lambda: lock(path).__enter__(),
        lambda: recording.compute("1.3", "quick", [0], folder=path),
        lambda: data.images(path),
    ):
        with pytest.raises(ValueError, match=r"is empty|write '.*runs'"):
            use()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_called_so_may_be_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~runs").mkdir()
    with lock("~runs"), lock("."), lock(None):
        assert (tmp_path / "~runs" / ".lock").exists()
