"""The commands of the course: `python -m gentools COMMAND`. `make COMMAND` sets up .venv first; only `house` has none."""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

NBVAL = (
    "--nbval",
    "--nbval-current-env",
    "--nbval-sanitize-with",
    "tests/nbval.cfg",
    "--nbval-cell-timeout",
    "300",
)
TWO = ("-n", "2", "--dist", "loadfile")


# What a command imports beyond the package's own requirements; `pip install -e ".[dev]"` brings all of it.
KERNEL = ("nbformat", "nbclient", "ipykernel")
PACKAGES = {
    "course": KERNEL,
    "record": KERNEL,
    "set-repo": ("nbformat",),
    "test": (*KERNEL, "nbval", "pytest", "xdist"),
    "check": ("pytest", "ruff", "xdist"),
    "lint": ("nbformat", "ruff"),
    "read": ("jupyterlab",),
}


def course(argv):
    """Execute every notebook in quick mode into build/course, resuming where the last run stopped."""
    from gentools.press import course as runner
    from gentools.press import notebooks

    parser = _parser("course", course.__doc__)
    parser.add_argument("chapter", nargs="?", help="one chapter, such as 05 or gan (default: all)")
    parser.add_argument("--jobs", type=_from_one, default=2, help="notebooks at a time, one thread each (default 2)")
    parser.add_argument("--timeout", type=_from_one, default=600, help="seconds that one cell may take (default 600)")
    args = parser.parse_args(argv)
    root = notebooks.checkout()
    _say(notebooks.left_out(root))
    failed = runner.run(root, args.chapter, jobs=args.jobs, timeout=args.timeout)
    if failed:
        print(f"{failed} failed. Mend the cell that is named and run the same command again: it goes on from there.")
        return 1
    print("All ran. Read on: `make read` (or `python -m gentools read`) opens the notebooks in Jupyter; start with 00.")
    return 0


def test(argv):
    """Run everything: unit tests, notebook lint, the equation ledger, and nbval strict over all notebooks."""
    root = _checkout()
    parser = _parser("test", test.__doc__, more="pytest, such as -x or -k equations")
    _, more = parser.parse_known_args(argv)
    command = ["-q", *TWO, *NBVAL, *more, "notebooks", "tests"]
    if not list((root / "notebooks").glob("*.ipynb")):
        command.remove("notebooks")
    return _pytest(root, command)


def check(argv):
    """Lint the code and run the unit tests, in a few minutes; no notebook is executed."""
    root = _checkout()
    parser = _parser("check", check.__doc__, more="pytest, such as -x or -k equations")
    _, more = parser.parse_known_args(argv)
    for words in (["check"], ["format", "--check"]):
        if status := _run(root, [sys.executable, "-m", "ruff", *words, "."]):
            return status
    return _pytest(root, ["-q", *TWO, *more, "tests"])


def _pytest(root, arguments):
    """pytest, with the shared data folder beside the checkout where there is one."""
    env = _with_shared_data(root) | {"OMP_NUM_THREADS": "1"}
    return _run(root, [sys.executable, "-m", "pytest", *arguments], env)


def _with_shared_data(root):
    """The environment, with the shared data folder beside the checkout where there is one and no other is named."""
    shared = root.parent / "shared" / "data"
    return ({"GENTOOLS_DATA": str(shared)} if shared.is_dir() else {}) | dict(os.environ)


def _run(root, command, env=None):
    return subprocess.run(command, cwd=root, env=env, check=False).returncode


def record(argv):
    """Execute chapters on a fresh kernel and store their outputs: the only command that writes stored outputs."""
    from gentools.press import notebooks

    parser = _parser("record", record.__doc__)
    parser.add_argument("chapter", nargs="+", help="chapters such as 05 or gan, or all")
    args = parser.parse_args(argv)
    root, status = notebooks.checkout(), 0
    paths = [path for chapter in args.chapter for path in notebooks.find(root, None if chapter == "all" else chapter)]
    for path in dict.fromkeys(paths):  # all names are known before the first is run
        try:
            print(f"{path.stem}:", "stored" if notebooks.record(path) else "unchanged", flush=True)
        except notebooks.CellFailure as failure:
            print(f"{path.stem}: FAILED in {failure}; nothing was stored", flush=True)
            status = 1
    return status


def lint(argv):
    """Check the stored notebooks against the house rules; no kernel is started."""
    from gentools.press import lint as rules
    from gentools.press import notebooks

    parser = _parser("lint", lint.__doc__)
    parser.add_argument("notebooks", nargs="*", help="files, or chapters such as 05 or gan (default: all)")
    args = parser.parse_args(argv)
    root = notebooks.checkout()
    paths = [path for name in args.notebooks or [None] for path in _named(root, name)]
    found = [line for path in paths for line in rules.lint(path, root, registered)]
    print(*found, sep="\n", end="\n" if found else "")
    if not args.notebooks:
        _say(notebooks.left_out(root))
    print(f"{_counted(len(paths), 'notebook')}, {len(rules.RULES)} rules, {_counted(len(found), 'problem')}")
    return 1 if found else 0


def _named(root, name):
    """Paths of what `lint` was asked for: a file, a chapter, or all chapters (None)."""
    from gentools.press import notebooks

    path = Path(name or "")
    return [path] if name is not None and (path.exists() or path.suffix) else notebooks.find(root, name)


def _counted(number, what):
    return f"{number} {what}{'s' * (number != 1)}"


def registered(name):
    """What chapter "05_gan" has registered: ids of questions and figures, and exercises with what they lack."""

    from gentools import exercises, recipes
    from gentools.lab.chapters import CHAPTERS

    chapter = name[3:]
    try:
        module = exercises.module(chapter)
    except ModuleNotFoundError as error:
        if error.name != f"gentools.exercises.{chapter}":
            raise
        module = argparse.Namespace()
    parts = ("check", "hints", "solution")
    own = {
        id: [f"has no {part}" for part in parts if not getattr(exercise, part, None)]
        for id, exercise in getattr(module, "EXERCISES", {}).items()
    }
    figures = {id for each in CHAPTERS for id in recipes.recipes(each.name)}
    return {"questions": set(getattr(module, "QUESTIONS", ())), "exercises": own, "figures": figures}


def equations(argv):
    """Print the ledger of equations: every numbered one verified, every wrong form refuted. Fails otherwise."""
    from gentools.press import ledger, notebooks

    parser = _parser("equations", equations.__doc__)
    parser.add_argument("chapter", nargs="?", help="one chapter, such as 05 or gan (default: all)")
    args = parser.parse_args(argv)
    root = notebooks.checkout()
    paths = notebooks.find(root, args.chapter)
    if not paths:
        print("there are no notebooks")
        return 1
    _say(notebooks.left_out(root))
    return 1 if ledger.report(paths) else 0


def figures(argv):
    """List, compute and draw the recorded figures."""
    from gentools.recipes import recording

    return recording.command(argv)


def claims(argv):
    """Print the ledger of claims: what the sources say, and what the recorded figures say to it."""
    from gentools.recipes.claims import command

    _parser("claims", claims.__doc__).parse_args(argv)
    return command()


def data(argv):
    """List, fetch and verify the data sets."""
    from gentools.lab.data import command

    return command(argv)


def bench(argv):
    """Compare with other libraries: run the scripts in benchmarks/, one thread each."""
    root = _checkout()
    parser = _parser("bench", bench.__doc__, more="the scripts, such as --quick, a minute each, or --rounds 9")
    parser.add_argument("name", nargs="*", help="benchmarks by name (default: all)")
    first = next((i for i, word in enumerate(argv) if word.startswith("-")), len(argv))  # options are the scripts' own
    names, more = argv[:first], argv[first:]
    args = parser.parse_args(names if "-h" not in more and "--help" not in more else ["--help"])
    paths = {p.stem: p for p in sorted((root / "benchmarks").glob("*.py"))}
    if unknown := [name for name in args.name if name not in paths]:
        named = ", ".join(name or "''" for name in unknown)
        raise ValueError(f"there is no benchmark {named}; there are: {', '.join(paths) or 'none'}")
    _options(more, [paths[name] for name in args.name or paths], paths)
    os.environ.update(_with_shared_data(root))  # where `fetch` looks, here and in the scripts
    env = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    about = {name: _constants(paths[name]) for name in args.name or paths}
    left_out = {name: why for name in about if (why := _lacks(about[name].get("NEEDS", ())))}
    for name, why in left_out.items():
        print(f"benchmarks/{name}.py is left out: {why}")
    minutes = {name: about[name].get("MINUTES") for name in about if name not in left_out}
    if minutes and "--quick" not in more:
        each = ", ".join(f"{name} {m or '?'}" for name, m in minutes.items())
        print(
            f"about {sum(filter(None, minutes.values()))} minutes in all on two quiet cores ({each}); --quick: a minute each"
        )
    statuses = [2] if left_out else []
    for name in minutes:
        print(f"benchmarks/{name}.py", flush=True)
        statuses.append(_run(root, [sys.executable, str(paths[name]), *more], env))
    if left_out:
        print(f"left out, see above: {', '.join(left_out)}")
    return max(statuses, default=0)


def _options(words, scripts, names):
    """Raise ValueError unless every option is one of a script's, for the scripts pass over what they do not know.

    words: what follows the benchmarks' names; scripts: paths of those that will run; names: of all benchmarks.
    """
    sources = "\n".join(path.read_text("utf-8") for path in scripts)
    known = set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', sources))
    flags = set(re.findall(r'add_argument\(\s*"(--[a-z-]+)", action="store_true"', sources))
    for before, word, value in zip([None, *words], words, [*words[1:], None], strict=False):
        option, equals, given = word.partition("=")
        if word in names:
            raise ValueError(f"name {word} before the options: bench {word} {' '.join(w for w in words if w != word)}")
        if before in flags and not word.startswith("-"):
            raise ValueError(f"{word!r} belongs to no option; leave it out")
        if word.startswith("-") and option not in known:
            raise ValueError(
                f"no benchmark that was asked for has the option {option}; there are: {', '.join(sorted(known))}"
            )
        rounds = (given if equals else value) or ""
        if option == "--rounds" and not (rounds.isdecimal() and int(rounds) > 0):
            raise ValueError(f"--rounds takes a whole number from 1 on, not {rounds!r}")


def _constants(path):
    """The plain constants at the top level of a script, which is not run: {"NEEDS": ("mnist",), "MINUTES": 20}."""
    import ast

    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with suppress(ValueError):
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def _lacks(names):
    """Why one of these data sets cannot be had, in the first line of its error; None if all are here now."""
    from gentools.lab import data
    from gentools.lab.download import DataError, fetch

    for name in names:
        try:
            for file in data.SETS[name].files:
                fetch(file)
        except DataError as error:
            first = str(error).splitlines()[0].removesuffix(" Tried:")
            return f"{first} `python -m gentools data fetch {name}` says how to get it."
    return None


def book(argv):
    """Build the HTML edition from the stored notebooks into build/book; nothing is executed."""
    root = _checkout()
    _parser("book", book.__doc__).parse_args(argv)
    return _run(root, [sys.executable, str(root / "book" / "build.py")])


def read(argv):
    """Open the notebooks in Jupyter."""
    root = _checkout()
    parser = _parser("read", read.__doc__, more="JupyterLab, such as --no-browser")
    _, more = parser.parse_known_args(argv)
    first = next(iter(sorted((root / "notebooks").glob("*.ipynb"))), root / "notebooks")
    return _run(root, [sys.executable, "-m", "jupyterlab", *more, str(first)])


def house(argv):
    """Draw which part of gentools imports which into CONTRIBUTING.md."""
    from gentools.press import house as plan

    _parser("house", house.__doc__).parse_args(argv)
    path = _checkout() / "CONTRIBUTING.md"
    text = plan.page(path.parent)
    changed = text != path.read_text(encoding="utf-8")
    if changed:
        path.write_text(text, encoding="utf-8")
    print(path.name, "drawn anew" if changed else "unchanged")
    return 0


def set_repo(argv):
    """Bring badges, setup cells, README and CITATION.cff to the address and version in pyproject.toml, or to new ones."""
    from gentools.press import publish

    parser = _parser("set-repo", set_repo.__doc__)
    parser.add_argument("repository", nargs="?", help="owner/name on GitHub (default: as in pyproject.toml)")
    parser.add_argument("tag", nargs="?", help="release, such as v0.2.0 (default: as in pyproject.toml)")
    args = parser.parse_args(argv)
    for path in publish.set_repo(_checkout(), args.repository, args.tag):
        print(f"rewrote {path}")
    return 0


COMMANDS = {
    "course": course,
    "test": test,
    "check": check,
    "record": record,
    "lint": lint,
    "equations": equations,
    "figures": figures,
    "claims": claims,
    "data": data,
    "bench": bench,
    "book": book,
    "read": read,
    "house": house,
    "set-repo": set_repo,
}


def _from_one(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _parser(name, about, more=None):
    """more: who takes the arguments that the command itself does not know, with an example."""
    epilog = f"Other options go to {more}." if more else None
    return argparse.ArgumentParser(prog=f"python -m gentools {name}", description=about, epilog=epilog)


def _say(line):
    if line:
        print(line)


def _checkout():
    from gentools.press import notebooks

    return notebooks.checkout()


def _said(error):
    """An error in a sentence for who typed the command; the system's own errors with what to do about the file."""
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    if error.filename is None:
        return f"the system stopped it: {error.strerror}"
    advice = {
        FileNotFoundError: "there is no such file or folder; is the name right?",
        IsADirectoryError: "this is a folder, and a file is needed there",
        NotADirectoryError: "a file stands where a folder is needed; move it away",
        FileExistsError: "a file stands where a folder is needed; move it away",
        PermissionError: "it may not be read or written; give yourself the permission, or work in a folder of your own",
    }
    return f"{error.filename}: {advice.get(type(error), error.strerror)}"


def main(argv=None):
    """Run one command; returns its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["--version"]:
        import gentools

        print(f"gentools {gentools.__version__}")
        return 0
    if not argv or argv[0] not in COMMANDS:
        if argv and argv[0] not in ("-h", "--help"):
            print(f"gentools: there is no command {argv[0]!r}; these there are:\n", file=sys.stderr)
        print("usage: python -m gentools COMMAND ...  (COMMAND --help says more)\n")
        for name, command in COMMANDS.items():
            print(f"  {name:<10} {command.__doc__}")
        return 0 if argv and argv[0] in ("-h", "--help") else 2
    from gentools.lab.download import DataError
    from gentools.lab.seeds import SeedError
    from gentools.press.notebooks import NoCheckout

    if missing := [name for name in PACKAGES.get(argv[0], ()) if importlib.util.find_spec(name) is None]:
        print(
            f"gentools {argv[0]}: {', '.join(missing)} not installed here. In the clone, `python -m pip install -e "
            '".[dev]" -c constraints.txt` installs what the commands need; so does `make test`.',
            file=sys.stderr,
        )
        return 2
    try:
        return COMMANDS[argv[0]](argv[1:])
    except BrokenPipeError:  # `| head` has read enough: what is left goes nowhere, also at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (NoCheckout, ValueError, DataError, OSError) as error:
        print(f"gentools {argv[0]}: {_said(error)}", file=sys.stderr)
        return 2
    except SeedError as error:  # missing data are met in a process of a seed; its traceback tells the reader nothing
        if error.kind != "DataError":
            raise
        print(f"gentools {argv[0]}: {error.said}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\ngentools {argv[0]}: stopped. The same command goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
