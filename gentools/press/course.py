"""Running the course: every notebook on a fresh kernel, some at a time, with progress, into a folder of its own.

What ran is remembered by a digest of the notebook's code and of the library, so the next run goes on where this one
stopped and repeats only what changed.
"""

import hashlib
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from gentools.press import notebooks

HEARTBEAT = 30  # seconds between signs of life where there is no terminal


def digest(path, root):
    """Digest of all that decides what a notebook prints: its code, the library, its recorded figures, the Python."""
    nb, root = notebooks.load(path), Path(root)
    code = [cell["source"] for cell in nb["cells"] if cell["cell_type"] == "code"]
    mark = hashlib.sha256(json.dumps([code, sys.version]).encode())
    files = [p for p in (root / "gentools").rglob("*") if p.suffix in (".py", ".csv")]
    files += (root / "figures" / Path(path).stem).glob("*.*")
    files += [p for p in (root / "constraints.txt",) if p.exists()]
    for file in sorted(files):
        mark.update(str(file.relative_to(root)).encode() + file.read_bytes())
    return mark.hexdigest()[:16]


class Progress:
    """Lines as notebooks finish; between them one line that is rewritten on a terminal, or a sign of life in a log."""

    def __init__(self, total, out=None):
        self.total, self.done, self.out = total, 0, out or sys.stdout
        self.running, self.lock, self.ended = {}, threading.Lock(), threading.Event()
        self.live = self.out.isatty() and os.environ.get("TERM") != "dumb"
        threading.Thread(target=self._beat, daemon=True).start()

    def finish(self, name, said):
        """One notebook is through: print its line."""
        with self.lock:
            if self.ended.is_set():  # stopped by Ctrl-C: not its fault
                return
            self.done += 1
            self._print(f"[{self.done:02d}/{self.total:02d}] {name} {said}")

    def close(self):
        """No more signs of life."""
        self.ended.set()
        with self.lock:
            self._print(None)

    def _print(self, line):
        clear = "\r\033[K" if self.live else ""
        self.out.write(clear + (f"{line}\n" if line else ""))
        self.out.flush()

    def _beat(self):
        while not self.ended.wait(0.5 if self.live else HEARTBEAT):
            with self.lock:
                at = ", ".join(f"{name} cell {run.number} of {run.total}" for name, run in self.running.items())
                if at and not self.ended.is_set():
                    self.out.write(f"\r\033[Krunning {at}"[: 100 + 4] if self.live else f"  running {at}\n")
                    self.out.flush()


def run(root=notebooks.ROOT, chapter=None, folder=None, jobs=2, timeout=600, out=None):
    """Execute the notebooks in quick mode into `folder` (default build/course); `jobs` at a time, one thread each.

    Skips those that succeeded before with the same code. Returns the number that failed; each is named with its cell
    and error, and the part that ran is stored beside the others. timeout: seconds for one cell.
    """
    root = notebooks.checkout(root)
    paths = notebooks.find(root, chapter)
    if not paths:
        raise ValueError(f"there are no notebooks in {root / 'notebooks'}")
    folder = Path(folder or root / "build" / "course")
    folder.mkdir(parents=True, exist_ok=True)
    progress, failed = Progress(len(paths), out), []
    pool = ThreadPoolExecutor(max_workers=jobs)
    try:
        tasks = {pool.submit(_one, path, root, folder, timeout, progress): path for path in paths}
        for task in as_completed(tasks):
            if not task.result():
                failed.append(tasks[task].stem)
    finally:  # Ctrl-C too: nothing new begins, and what runs is stopped
        progress.close()
        pool.shutdown(wait=False, cancel_futures=True)
        for execution in list(progress.running.values()):
            execution.stop()
        pool.shutdown(wait=True)
    return len(failed)


def _one(path, root, folder, timeout, progress):
    """Run one notebook unless it ran before. Returns whether it is all right."""
    name, start = path.stem, time.perf_counter()
    note, target = folder / f"{name}.ok.json", folder / path.name
    try:
        mark = digest(path, root)
        if target.exists() and (before := _read(note)).get("digest") == mark:
            progress.finish(name, f"ok, unchanged since it ran in {before['seconds']:.0f} s")
            return True
        note.unlink(missing_ok=True)
        nb = notebooks.load(path)
        notebooks.fill_ids(nb)
        execution = progress.running[name] = notebooks.Execution(nb, folder, timeout)
        try:
            execution.run()
        finally:
            progress.running.pop(name)
            notebooks.write(target, execution.nb)
        seconds = time.perf_counter() - start
        note.write_text(json.dumps({"digest": mark, "seconds": seconds}))
        progress.finish(name, f"ok {seconds:.0f} s")
        return True
    except Exception as error:  # one notebook's trouble must not hide the others'
        what = str(error) if isinstance(error, notebooks.CellFailure) else f"{type(error).__name__}: {error}"
        where = f"; what ran is in {_short(target, root)}" if target.exists() else ""
        progress.finish(name, f"FAILED after {time.perf_counter() - start:.0f} s in {what}{where}")
        return False


def _read(note):
    try:
        return json.loads(note.read_text())
    except (OSError, ValueError):
        return {}


def _short(path, root):
    return path.relative_to(root) if path.is_relative_to(root) else path
