"""Build the HTML edition: stage the stored notebooks with conf.py in build/book-source, then run Sphinx.

Nothing is executed, and the finished pages ask no other server for anything if MathJax could be fetched by npm once.
Without npm they take MathJax from its public network, and this script says so.
"""

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from gentools.press import notebooks, publish

HERE = Path(__file__).resolve().parent
MATHJAX = "mathjax@3.2.2"
SCRIPT = "package/es5/tex-svg.js"  # everything in one file, no fonts


def mathjax(folder):
    """Put MathJax into `folder`/mathjax and return its path below it, or None where npm cannot be had."""
    target = folder / "mathjax" / "tex-svg.js"
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


def stage(root, source):
    """Copy what Sphinx reads into `source`, freshly."""
    shutil.rmtree(source, ignore_errors=True)
    static = source / "_static"
    static.mkdir(parents=True)
    for path in notebooks.find(root):
        shutil.copy(path, source)
    for name in ("conf.py", "index.md"):
        shutil.copy(HERE / name, source)
    shutil.copy(HERE / "book.css", static)
    script = mathjax(root / "build" / "book-tools")
    if script:
        shutil.copytree(root / "build" / "book-tools" / "mathjax", static / "mathjax")
    else:
        print("npm is not there or fetched nothing: the pages will load MathJax from its public network")
    repository, tag = notebooks.published(root)
    about = {
        "repository": f"https://github.com/{repository}",
        "tag": tag,
        "version": tag.removeprefix("v"),
        "published": repository != publish.PLACEHOLDER,
        "mathjax": script,
    }
    (source / "about.json").write_text(json.dumps(about))


def main():
    """Build; returns the exit status."""
    root = notebooks.checkout()
    source, target = root / "build" / "book-source", root / "build" / "book"
    try:
        import myst_nb  # noqa: F401
        import sphinx_book_theme  # noqa: F401
    except ImportError:
        print("the book needs the extra packages: pip install -e '.[book]' -c constraints.txt (make book does it)")
        return 2
    stage(root, source)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-E", "-b", "html", str(source), str(target)]
    status = subprocess.run(command, check=False).returncode
    if status == 0:
        print("built build/book/index.html")
    return status


if __name__ == "__main__":
    sys.exit(main())
