"""Running, recording and publishing notebooks: progress, resume, failures named, dead kernels, stable bytes."""

import ast
import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
import time

import pytest
from synthetic import code, markdown, notebook, save
from synthetic import course as make

from gentools import __main__ as commands
from gentools.lab import download
from gentools.lab.seeds import SeedError
from gentools.press import course, notebooks, publish

DIE = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"


def run(root, **more):
    out = io.StringIO()
    failed = course.run(root, out=out, **more)
    return failed, out.getvalue().splitlines()


def test_progress_resume_and_a_clean_tree(tmp_path):
    root = make(tmp_path, n00_start=[code("print(1)", "a")], n01_toy=[code("open('x.txt', 'w').write('x')", "a")])
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    failed, lines = run(root)
    assert failed == 0 and len(lines) == 2
    assert lines[0].startswith("[01/02] 0") and " ok " in lines[0] and lines[0].endswith(" s")
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file() and "build" not in p.parts} == before
    assert notebooks.load(root / "build" / "course" / "00_start.ipynb")["cells"][0]["outputs"][0]["text"] == ["1\n"]
    failed, lines = run(root)
    assert failed == 0 and all("unchanged since" in line for line in lines)
    save(root, "01_toy", [code("print(2)", "a")])
    _, lines = run(root)
    assert sorted("unchanged" in line for line in lines) == [False, True]
    (root / "gentools" / "new.py").write_text("x = 1\n")
    _, lines = run(root, chapter="toy")
    assert len(lines) == 1 and "unchanged" not in lines[0]


def test_a_failing_cell_is_named_and_the_others_run(tmp_path):
    root = make(
        tmp_path, n00_start=[code("x = 1", "a"), code("# comment\n1 / 0", "b")], n01_toy=[code("print(1)", "a")]
    )
    failed, lines = run(root, jobs=1)
    assert failed == 1
    assert "[01/02] 00_start FAILED after" in lines[0]
    assert "in cell [2] `# comment`: ZeroDivisionError: division by zero" in lines[0]
    assert "build/course/00_start.ipynb" in lines[0] and "01_toy ok" in lines[1]
    failed, lines = run(root)  # what failed runs again
    assert failed == 1 and any("ZeroDivisionError" in line for line in lines)


def test_a_dead_kernel_is_reported_at_once(tmp_path):
    root, start = make(tmp_path, n00_start=[code("x = 1", "a"), code(DIE, "b")]), time.monotonic()
    failed, lines = run(root)
    assert failed == 1 and "cell [2] `import os, signal`: the kernel died" in lines[0]
    assert time.monotonic() - start < 30


def test_a_cell_that_takes_too_long(tmp_path):
    root = make(tmp_path, n00_start=[code("import time\ntime.sleep(60)", "a")])
    failed, lines = run(root, timeout=1)
    assert failed == 1 and "cell [1] `import time`: it took longer than 1 seconds" in lines[0]


def test_a_file_that_is_no_notebook(tmp_path):
    root = make(tmp_path, n01_toy=[code("print(1)", "a")])
    (root / "notebooks" / "00_bad.ipynb").write_text("{}")
    failed, lines = run(root)
    assert failed == 1 and any("00_bad FAILED" in line and "not a notebook" in line for line in lines)


def test_kernels_see_one_thread_the_quick_scale_and_no_data(tmp_path, monkeypatch):
    monkeypatch.setenv("GENTOOLS_DATA", "elsewhere")
    monkeypatch.setenv("GENTOOLS_SCALE", "full")
    asks = "import os\nprint(*map(os.environ.get, ['OMP_NUM_THREADS', 'GENTOOLS_SCALE', 'GENTOOLS_OFFLINE', 'GENTOOLS_DATA']))"
    root = make(tmp_path, n00_start=[code(asks, "a")])
    notebooks.record(root / "notebooks" / "00_start.ipynb")
    said = notebooks.load(root / "notebooks" / "00_start.ipynb")["cells"][0]["outputs"][0]["text"]
    assert said == ["1 quick 1 None\n"]


def test_ctrl_c_stops_the_kernels(tmp_path, monkeypatch):
    root = make(tmp_path, n00_start=[code("import time\ntime.sleep(60)", "a")])
    started, start = [], time.monotonic()

    def interrupted(tasks):
        while not started:
            time.sleep(0.05)
        raise KeyboardInterrupt

    entered = notebooks.Execution._entered
    monkeypatch.setattr(notebooks.Execution, "_entered", lambda *a, **k: started.append(entered(*a, **k)))
    monkeypatch.setattr(course, "as_completed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(root)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("chapter", ["01", "1", "toy", "01_toy", "01_toy.ipynb", "notebooks/01_toy.ipynb"])
def test_chapters_by_any_name(tmp_path, chapter, monkeypatch):
    root = make(tmp_path, n00_start=[], n01_toy=[])
    monkeypatch.chdir(root)
    assert [p.stem for p in notebooks.find(root, chapter)] == ["01_toy"]
    monkeypatch.chdir(root / "notebooks")
    with pytest.raises(ValueError, match=r"no chapter 'notebooks/01_toy.ipynb'"):
        notebooks.find(root, "notebooks/01_toy.ipynb")
    with pytest.raises(ValueError, match="no chapter '07'; there are: 00_start, 01_toy"):
        notebooks.find(root, "07")


# record

FIGURE = (
    "import base64\nfrom IPython.display import display\n"
    "import io\nfrom PIL import Image, PngImagePlugin\n"
    "info = PngImagePlugin.PngInfo()\ninfo.add_text('note', str(__import__('time').time()))\n"
    "Image.new('RGB', (3, 2), (250, 0, {blue})).save(buffer := io.BytesIO(), 'png', pnginfo=info)\n"
    "data = base64.b64encode(buffer.getvalue()).decode()\n"
    "display({{'image/png': data, 'text/plain': 'red'}}, metadata={{'image/png': {{'alt': 'red'}}}}, raw=True)"
)


def test_record_is_repeatable_and_scrubs(tmp_path):
    nb = notebook([markdown("# Toy", "title"), code("print(1)\nprint(2)", "a"), code(FIGURE.format(blue=0), "b")])
    nb["metadata"] |= {"widgets": {}, "language_info": {"name": "python", "version": "3.0"}}
    nb["cells"][1] |= {"metadata": {"collapsed": True, "tags": ["x"]}, "execution_count": 9}
    del nb["cells"][0]["id"]
    path = save(make(tmp_path), "01_toy", nb)
    assert notebooks.record(path)
    first = path.read_bytes()
    stored = json.loads(first)
    assert stored["metadata"] == {"kernelspec": notebooks.KERNELSPEC, "language_info": {"name": "python"}}
    assert [cell.get("execution_count") for cell in stored["cells"]] == [None, 1, 2]
    assert stored["cells"][1]["metadata"] == {"tags": ["x"]}
    assert stored["cells"][0]["id"].startswith("markdown-") and first.endswith(b"}\n")
    assert not notebooks.record(path) and path.read_bytes() == first  # though the new PNG has other bytes
    source = stored["cells"][2]
    source["source"] = FIGURE.format(blue=200).splitlines(keepends=True)
    path.write_text(json.dumps(stored))
    assert notebooks.record(path)
    assert json.loads(path.read_text())["cells"][2]["outputs"] != stored["cells"][2]["outputs"]
    assert list(path.parent.iterdir()) == [path]


def test_what_was_saved_while_a_notebook_ran_is_not_written_over(tmp_path):
    """Somebody types in Jupyter and saves, while `record` runs the chapter in a terminal."""
    root = make(tmp_path)
    place = root / "notebooks" / "01_toy.ipynb"
    typing = f"from pathlib import Path\np = Path({str(place)!r})\np.write_text(p.read_text().replace('# T' + 'oy', '# Tom'))"
    path = save(root, "01_toy", notebook([markdown("# Toy", "title"), code(typing, "a")]))
    with pytest.raises(ValueError, match=r"01_toy\.ipynb was saved while it ran"):
        notebooks.record(path)
    assert json.loads(path.read_text())["cells"][0]["source"] == "# Tom" and list(path.parent.iterdir()) == [path]


def test_a_project_file_that_cannot_be_read_is_named(tmp_path):
    root = make(tmp_path)
    with (root / "pyproject.toml").open("a") as file:
        file.write('\n[project]\nname = "twice"\n')
    with pytest.raises(ValueError, match=r"pyproject\.toml is not valid TOML: "):
        notebooks.published(root)


def test_a_failing_notebook_is_not_stored(tmp_path, monkeypatch, capsys):
    root = make(tmp_path, n01_toy=[code("print(1)", "a"), code("1 / 0", "b")])
    path = root / "notebooks" / "01_toy.ipynb"
    before = path.read_bytes()
    monkeypatch.setattr(notebooks, "checkout", lambda: root)
    assert commands.main(["record", "01"]) == 1
    assert "01_toy: FAILED in cell [2] `1 / 0`: ZeroDivisionError" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_missing_ids_are_the_same_every_time():
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "same"} for _ in range(3)]
    once, again = notebook(cells), notebook(cells)
    notebooks.fill_ids(once)
    notebooks.fill_ids(again)
    found = [cell["id"] for cell in once["cells"]]
    assert once == again and len(set(found)) == 3 and found[1] == f"{found[0]}-2"


# nbval


def nbval(root, *more):
    shutil.copy(notebooks.ROOT / "conftest.py", root)
    (root / "tests").mkdir(exist_ok=True)
    shutil.copy(notebooks.ROOT / "tests" / "nbval.cfg", root / "tests")
    command = [sys.executable, "-m", "pytest", "-q", *commands.NBVAL, "-p", "no:cacheprovider", *more, "notebooks"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_nbval_compares_text_passes_over_stderr_and_notices_a_dead_kernel(tmp_path):
    warn = code("import warnings\nwarnings.warn('careful')\nprint(2)", "b")
    root = make(tmp_path, n00_good=[code("print(1)", "a"), warn], n01_bad=[code("print(1)", "a", "2\n")])
    notebooks.record(root / "notebooks" / "00_good.ipynb")
    after = [code("print(x)", f"c-{i}", "1\n") for i in range(10)]
    save(root, "02_dead", [code("x = 1", "a"), code(DIE, "b"), *after])
    start = time.monotonic()
    status, said = nbval(root)
    assert status == 1 and "2 failed, 3 passed, 10 skipped" in said, said
    assert "Cell outputs differ" in said and "the kernel died" in said
    assert time.monotonic() - start < 30


# set-repo


def test_set_repo_changes_every_place(tmp_path):
    setup, badge, rest = notebooks.setup_cell(), notebooks.badge("01_toy"), "\n\nSee [this](01_toy.ipynb)."
    root = make(
        tmp_path, n01_toy=[markdown(f"# Toy\n\n{badge}{rest}", "title"), code(setup, "setup"), code("x = 1", "a")]
    )
    for name in ("README.md", "CITATION.cff"):
        shutil.copy(notebooks.ROOT / name, root)
    notebooks.renew(root / "notebooks" / "01_toy.ipynb", root)  # laid out as Jupyter does
    assert publish.set_repo(root) == []
    changed = {str(path) for path in publish.set_repo(root, "ann/fork", "v1.2.3")}
    assert changed == {"pyproject.toml", "notebooks/01_toy.ipynb", "README.md", "CITATION.cff"}
    nb = notebooks.load(root / "notebooks" / "01_toy.ipynb")
    assert nb["cells"][0]["source"] == f"# Toy\n\n{notebooks.badge('01_toy', root)}{rest}"
    assert "ann/fork/blob/v1.2.3/notebooks/01_toy.ipynb" in nb["cells"][0]["source"]
    assert nb["cells"][1]["source"] == notebooks.setup_cell(root) and "ann/fork@v1.2.3" in nb["cells"][1]["source"]
    repository, tag = notebooks.published(notebooks.ROOT)
    left = "".join((root / name).read_text() for name in ("README.md", "CITATION.cff", "pyproject.toml"))
    assert repository not in left and tag not in left
    assert publish.set_repo(root) == []
    for bad in (("ann", None), (None, "1.2")):
        with pytest.raises(ValueError, match=r"give it as"):
            publish.set_repo(root, *bad)


def test_bench_says_what_is_missing_and_runs_the_rest(tmp_path, monkeypatch, capfd):
    root = make(tmp_path / "clone", n00_start=[])
    folder = root / "benchmarks"
    folder.mkdir()
    (folder / "fast.py").write_text(
        "MINUTES = 3\nimport sys\nprint('fast ran', sys.argv[1:], flush=True)\ndef main(p):\n"
        '    p.add_argument("--rounds")\n    p.add_argument("--quick", action="store_true")\n'
    )
    (folder / "large.py").write_text(
        "NEEDS, MINUTES = None, None\nNEEDS = ('mnist',)\nMINUTES = 40\nraise SystemExit(9)"
    )
    monkeypatch.setattr(notebooks, "checkout", lambda: root)
    monkeypatch.setattr(download, "cache", lambda: tmp_path / "cache")
    monkeypatch.setenv("GENTOOLS_OFFLINE", "1")
    monkeypatch.setenv("GENTOOLS_DATA", str(tmp_path))
    assert commands.main(["bench", "--rounds", "1"]) == 2
    said = capfd.readouterr().out.splitlines()
    assert said[0].startswith("benchmarks/large.py is left out: this machine has no good mnist/train-images")
    assert "python -m gentools data fetch mnist" in said[0] and "about 3 minutes in all" in said[1]
    assert said[2:] == ["benchmarks/fast.py", "fast ran ['--rounds', '1']", "left out, see above: large"]
    assert commands.main(["bench", "fast"]) == 0
    assert commands.main(["bench", "slow"]) == 2
    assert "there is no benchmark slow; there are: fast, large" in capfd.readouterr().err
    for argv, said in {
        ("fast", "--quik"): "has the option --quik; there are: --quick, --rounds",
        ("fast", "-q"): "has the option -q; there are: --quick, --rounds",
        ("fast", "--quick", "more"): "'more' belongs to no option; leave it out",
        ("--rounds", "2", "fast"): "name fast before the options: bench fast --rounds 2",
        ("fast", "--rounds", "-3"): "--rounds takes a whole number from 1 on, not '-3'",
        ("fast", "--rounds=0"): "not '0'",
        ("fast", "--rounds"): "not ''",
        ("",): "there is no benchmark '';",
    }.items():
        assert commands.main(["bench", *argv]) == 2
        printed = capfd.readouterr()
        assert said in printed.err and printed.err.count("\n") == 1 and "ran" not in printed.out, printed


@pytest.mark.parametrize("path", sorted((notebooks.ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_every_benchmark_says_how_long_it_takes_and_what_it_needs(path):
    constants = commands._constants(path)
    assert 1 <= constants["MINUTES"] <= 120
    used = set(re.findall(r"\bdata\.(mnist|fashion_mnist|cifar10)\(", path.read_text()))
    assert used == set(constants.get("NEEDS", ()))


@pytest.mark.parametrize("option", ["--jobs", "--timeout"])
@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_numbers_of_course_are_whole_and_above_0(option, value, capsys):
    with pytest.raises(SystemExit):
        commands.main(["course", "05", f"{option}={value}"])
    assert f"{value!r} is no whole number from 1 on" in capsys.readouterr().err


@pytest.mark.parametrize("command", sorted(commands.PACKAGES))
def test_what_is_not_installed_is_named_with_what_installs_it(command, monkeypatch, capsys):
    real = importlib.util.find_spec
    lacking = commands.PACKAGES[command][0]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == lacking else real(name, *more))
    monkeypatch.setitem(commands.COMMANDS, command, lambda argv: pytest.fail("it was started"))
    assert commands.main([command]) == 2
    said = capsys.readouterr().err
    assert f"{lacking} not installed" in said and 'pip install -e ".[dev]" -c constraints.txt' in said


def test_the_commands_import_nothing_else_that_only_dev_brings():
    """What the modules behind the commands import beyond the package's requirements is listed for them."""
    listed = {name for names in commands.PACKAGES.values() for name in names}
    own = {"matplotlib", "numpy", "PIL", "pooch", "requests", "sklearn", "scipy", "sympy", "torch", "tqdm", "IPython"}
    own |= {"jupyter_client", "gentools"} | set(sys.stdlib_module_names)  # jupyter_client comes with ipykernel
    for path in (notebooks.ROOT / "gentools" / "press").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            assert {name.split(".")[0] for name in names} <= own | listed, path.name


def test_data_that_a_seed_misses_are_said_without_a_traceback(monkeypatch, capsys):
    def fails(argv):
        raise SeedError(3, *argv)

    monkeypatch.setitem(commands.COMMANDS, "figures", fails)
    trace = "Traceback (most recent call last):\n  in f"
    assert commands.main(["figures", "DataError", "no good mnist: get it", trace]) == 2
    assert capsys.readouterr().err == "gentools figures: no good mnist: get it\n"
    for what in (("KeyError", "'a'", trace), (None, "its process died with exit code -9")):
        with pytest.raises(SeedError):
            commands.main(["figures", *what])


def test_without_a_checkout_the_commands_say_so(tmp_path, monkeypatch, capsys):
    real = notebooks.checkout
    monkeypatch.setattr(notebooks, "checkout", lambda: real(tmp_path))
    for command in (
        "course",
        "test",
        "check",
        "record",
        "lint",
        "equations",
        "bench",
        "book",
        "read",
        "house",
        "set-repo",
    ):
        assert commands.main([command, *(["01"] if command == "record" else [])]) == 2
        assert "needs a checkout" in capsys.readouterr().err
