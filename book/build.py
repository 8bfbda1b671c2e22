"""Build the HTML edition: stage the stored notebooks with conf.py in build/book-source, then run Sphinx.

    python book/build.py [FOLDER]      FOLDER: instead of build/, where book/ and book-source/ are made

Nothing is executed, and the finished pages ask no other server for anything if MathJax could be fetched by npm once.
Without npm, or where GENTOOLS_OFFLINE forbids the network, they take MathJax from its public network, and this script
says so.
"""

import functools
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import answers
import cards
import demos

from gentools import exercises
from gentools.lab.chapters import CHAPTERS
from gentools.lab.download import offline
from gentools.press import notebooks, publish

HERE = Path(__file__).resolve().parent
MATHJAX = "mathjax@3.2.2"
SCRIPT = "package/es5/tex-svg.js"  # everything in one file, no fonts


def mathjax(folder):
    """Put MathJax into `folder`/mathjax and return its path below it, or None where npm cannot be had."""
    target = folder / "mathjax" / "tex-svg.js"
    if not target.exists() and offline():
        return None
    if not target.exists():
        npm = shutil.which("npm")
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [npm, "pack", "--silent", MATHJAX]
        done = npm and subprocess.run(command, cwd=target.parent, capture_output=True, text=True, check=False)
        packed = target.parent / "mathjax-3.2.2.tgz"
        if not done or done.returncode or not packed.exists():
            return None
        with tarfile.open(packed) as archive:
            for member in (SCRIPT, "package/LICENSE"):
                (target.parent / Path(member).name).write_bytes(archive.extractfile(member).read())
        packed.unlink()
    return "mathjax/tex-svg.js"


@functools.cache
def registered():
    """All questions and all exercises of the written chapters, by id."""
    modules = [exercises.module(chapter.name) for chapter in CHAPTERS if chapter.written]
    return tuple(
        {id: each for m in modules for id, each in getattr(m, name).items()} for name in ("QUESTIONS", "EXERCISES")
    )


def stage(root, source):
    """Copy what Sphinx reads into `source`, freshly."""
    shutil.rmtree(source, ignore_errors=True)
    static = source / "_static"
    static.mkdir(parents=True)
    for path in notebooks.find(root):
        nb = json.loads(path.read_text(encoding="utf-8"))
        shown = answers.answered(demos.placed(nb, path.stem), *registered())
        (source / path.name).write_text(json.dumps(shown), encoding="utf-8")
    for name in ("conf.py", "pages.py", "mentions.py", "reports.py"):
        shutil.copy(HERE / name, source)
    front = (HERE / "index.md").read_text(encoding="utf-8")
    (source / "index.md").write_text(front.replace("CARDS", cards.cards(root, source)), encoding="utf-8")
    for name in ("book.css", "book.js", "questions.js", "icon.svg"):
        shutil.copy(HERE / name, static)
    for script in demos.FOLDER.glob("*.js"):
        shutil.copy(script, static)
    script = mathjax(root / "build" / "book-tools")
    if script:
        shutil.copytree(root / "build" / "book-tools" / "mathjax", static / "mathjax")
    else:
        print("npm is not there, or fetched nothing, or may not: the pages will load MathJax from its public network")
    repository, tag = notebooks.published(root)
    about = {
        "repository": f"https://github.com/{repository}",
        "tag": tag,
        "version": tag.removeprefix("v"),
        "published": repository != publish.PLACEHOLDER,
        "mathjax": script,
        "demos": {stem: list(places.values()) for stem, places in demos.PLACES.items()},
    }
    (source / "about.json").write_text(json.dumps(about))


def main(argv):
    """Build; returns the exit status."""
    root = notebooks.checkout()
    folder = Path(argv[0]) if argv else root / "build"
    source, target = folder / "book-source", folder / "book"
    if argv and (not argv[0] or (folder.exists() and not folder.is_dir()) or target.resolve() == HERE):
        print(f"the book cannot be made in {argv[0]!r}: name a folder other than the course's own")
        return 2
    try:
        import myst_nb  # noqa: F401
        import sphinx_book_theme  # noqa: F401
        import sphinx_design  # noqa: F401
    except ImportError:
        print("the book needs the extra packages: pip install -e '.[book]' -c constraints.txt (make book does it)")
        return 2
    stage(root, source)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-E", "-b", "html", str(source), str(target)]
    status = subprocess.run(command, check=False).returncode
    if status == 0:
        for path in notebooks.find(root):  # what the download button gives is the notebook itself
            shutil.copy(path, target / "_sources" / path.name)
        print(f"built {_short(target / 'index.html', root)}")
    return status


def _short(path, root):
    return path.relative_to(root) if path.is_relative_to(root) else path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
