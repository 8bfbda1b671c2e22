"""Wrong arguments of the commands: one sentence that says what was wrong, an exit status that is not 0, nothing written."""

import errno
import os
import subprocess
import sys

import pytest

import gentools
from gentools import __main__ as commands
from gentools.lab import records
from gentools.press import course, notebooks, publish
from gentools.recipes import recording


@pytest.fixture
def started(monkeypatch):
    """What writes or takes minutes fails the test where it is started."""

    def fail(*args, **kwargs):
        pytest.fail(f"it was started with {args}")

    for owner, name in (
        (course, "run"), (notebooks, "record"), (publish, "_substitute"), (recording, "compute"), (recording, "write"),
        (commands, "_run"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, fail)


@pytest.mark.parametrize(
    "argv, said",
    [
        (["record", "01", "nosuch"], "there is no chapter 'nosuch'"),
        (["record", ""], "there is no chapter ''"),
        (["equations", ""], "there is no chapter ''"),
        (["set-repo", ""], "the repository is ''; give it as owner/name"),
        (["set-repo", "owner/name", ""], "the tag is ''; give it as v1.2.3"),
        (["set-repo", "owner"], "give it as owner/name"),
        (["set-repo", "a/b", "1.0"], "give it as v1.2.3"),
        (["lint", "notebooks"], "notebooks is a folder"),
        (["lint", ""], ". is a folder"),
        (["figures", "1.4", "9.99"], "9.99"),
        (["figures", ""], "belongs to no chapter"),
        (["figures", "-1"], "'-1' belongs to no chapter"),
        (["figures", "1.4", "--data", ""], "--data names a folder, and '' is none"),
        (["figures", "1.4", "--seeds", "0-99999999999"], None),
        (["figures", "1.4", "--seeds=-1"], None),
        (["figures", "1.4", "--record", "--scale", "quick"], "leave out --scale and --seeds"),
        (["figures", "1.4", "--record", "--seeds", "0-1"], "leave out --scale and --seeds"),
        (["data", "fetch"], None),
        (["data", "fetch", "nosuch"], None),
        (["data", "fetch", ""], None),
        (["data", ""], None),
        (["claims", "9.5"], None),
        (["house", "x"], None),
        (["book", "x"], None),
        (["course", "05", "06"], None),
    ],
)
def test_wrong_arguments_are_said_and_nothing_is_done(argv, said, started, capsys, monkeypatch):
    monkeypatch.setenv("GENTOOLS_DATA", "")
    monkeypatch.chdir(notebooks.ROOT)
    if said is None:  # argparse says it, after a line or two of usage
        with pytest.raises(SystemExit) as stop:
            commands.main(argv)
        assert stop.value.code == 2 and "error: " in capsys.readouterr().err
    else:
        assert commands.main(argv) == 2
        printed = capsys.readouterr().err
        assert said in printed and printed.count("\n") == 1, printed


@pytest.mark.parametrize(
    "command, takes", [("test", "pytest"), ("check", "pytest"), ("read", "JupyterLab"), ("bench", "--quick")]
)
def test_help_says_who_takes_other_options(command, takes, capsys):
    with pytest.raises(SystemExit):
        commands.main([command, "--help"])
    assert takes in capsys.readouterr().out.split("Other options go to")[1]


def test_an_empty_chapter_is_not_all_of_them(capsys, monkeypatch):
    monkeypatch.setattr(course, "_one", lambda *args: pytest.fail("it was started"))
    assert commands.main(["course", ""]) == 2
    assert "there is no chapter ''" in capsys.readouterr().err


def test_a_chapter_that_is_named_twice_is_recorded_once(monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "record", lambda path: path.stem == "01_joint_kl")
    assert commands.main(["record", "1", "joint_kl", "02"]) == 0
    assert capsys.readouterr().out == "01_joint_kl: stored\n02_em: unchanged\n"


@pytest.mark.parametrize("name", ["nosuch", ""])
def test_an_unknown_command_is_named(name, capsys):
    assert commands.main([name]) == 2
    printed = capsys.readouterr()
    assert f"there is no command {name!r}" in printed.err and "  course " in printed.out


@pytest.mark.parametrize(
    "number, said",
    [
        (errno.ENOENT, "no such file or folder"),
        (errno.EISDIR, "this is a folder, and a file is needed there"),
        (errno.ENOTDIR, "a file stands where a folder is needed"),
        (errno.EEXIST, "a file stands where a folder is needed"),
        (errno.EACCES, "it may not be read or written; give yourself the permission"),
        (errno.ENOSPC, "No space left on device"),
    ],
)
def test_errors_of_the_system_name_the_file_and_what_to_do(number, said, monkeypatch, capsys):
    def fails(argv):
        raise OSError(number, os.strerror(number), "build/course")

    monkeypatch.setitem(commands.COMMANDS, "claims", fails)
    assert commands.main(["claims"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("gentools claims: build/course: ") and said in printed and printed.count("\n") == 1


def test_an_error_of_the_system_without_a_file_is_a_sentence(monkeypatch, capsys):
    def fails(argv):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setitem(commands.COMMANDS, "claims", fails)
    assert commands.main(["claims"]) == 2
    assert capsys.readouterr().err == "gentools claims: the system stopped it: Cannot allocate memory\n"


def test_a_reader_that_has_seen_enough_is_no_error():
    """What `python -m gentools equations | head` does: the pipe is closed while the command still writes."""
    with subprocess.Popen([sys.executable, "-m", "gentools", "equations"], cwd=notebooks.ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:  # fmt: skip
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() in (0, 1)


def test_a_damaged_record_is_named(tmp_path, monkeypatch):
    (tmp_path / "01_joint_kl").mkdir()
    (tmp_path / "01_joint_kl" / "1.4.json").write_text('{"id": ')
    monkeypatch.setattr(records, "folder", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"the record of figure 1\.4, 1\.4\.json, is damaged"):
        records.load("1.4")


def test_the_book_is_not_made_over_its_own_sources():
    done = subprocess.run(
        [sys.executable, "book/build.py", "."], check=False, cwd=notebooks.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and "the book cannot be made in '.': name a folder other" in done.stdout
    assert not (notebooks.ROOT / "book-source").exists()


def test_the_version_is_told(capsys):
    assert commands.main(["--version"]) == 0
    assert capsys.readouterr().out == f"gentools {gentools.__version__}\n"
