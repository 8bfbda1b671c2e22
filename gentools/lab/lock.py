"""One run at a time in a folder of checkpoints."""

import errno
import os
import threading
import time
import warnings
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from gentools.lab.files import naming, spelled_out

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


WAIT = 0.5  # seconds between two looks at a folder that another process holds
_running = set()  # threads of this process in which a run is under way


class FolderInUse(RuntimeError):
    """Another process, or another run of this one, keeps its checkpoints in this folder just now.

    holder: the process, as the lock file names it.
    """

    def __init__(self, holder, folder):
        super().__init__(
            f"{holder} is training in {folder} just now; wait for it or stop it, or give this run another folder"
        )
        self.holder = holder


PATIENT = ContextVar("patient", default=False)


@contextmanager
def patient():
    """Inside, a run waits for a folder that another process holds: two seeds of a figure train the same judge, once."""
    before = PATIENT.set(True)
    try:
        yield
    finally:
        PATIENT.reset(before)


@contextmanager
def lock(folder):
    """Hold `folder` for one run; FolderInUse if another run holds it. Nothing is locked for None.

    Inside `patient` it waits for another process; a run of this one would wait for itself, and raises there too.
    The operating system frees the lock when its process dies, however it dies, so that a run which was killed never
    stands in the way. The lock file names the process that holds it. A folder that cannot be written is not locked.
    Warns if another thread of this process is in a run: torch has one generator for all threads.
    """
    spelled_out(folder=folder)
    file = None if folder is None else _hold_or_wait(Path(folder))
    here = threading.get_ident()
    inner, others = here in _running, _running - {here}
    _running.add(here)
    try:
        if others:
            warnings.warn(
                "another thread trains in this process, and steps that draw random numbers take them from one generator: "
                "neither run depends on its seed alone. lab.seeds.run_seeds gives each a process",
                stacklevel=6,  # where `train` is called
            )
        yield
    finally:
        if not inner:
            _running.discard(here)
        if file is not None:
            if os.name != "nt":  # Windows removes no open file; there it stays, unlocked
                Path(file.name).unlink(missing_ok=True)
            file.close()


def _hold_or_wait(folder):
    """The open lock file of the folder, as `_hold` gives it; inside `patient` as soon as no other process holds it."""
    told = False
    while True:
        try:
            return _hold(folder)
        except FolderInUse as busy:
            if not PATIENT.get() or busy.holder == _me():
                raise
            if not told:
                print(f"  waiting for {busy.holder}, which is training in {folder}", flush=True)
            told = True
            time.sleep(WAIT)


def _hold(folder):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    while True:
        try:
            file = open(path, "a+")  # noqa: SIM115 (it stays open as long as the run)
        except OSError as error:
            if isinstance(error, PermissionError) or error.errno == errno.EROFS:
                return None
            raise
        if not _lock(file):
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise FolderInUse(holder, folder)
        if _is_at(file, path):
            try:
                with naming(path):
                    file.truncate(0)
                    file.write(f"{_me()}\n")
                    file.flush()
            except OSError:
                with suppress(OSError):  # closing tries to write once more
                    file.close()
                raise
            return file
        file.close()  # its holder ended and removed it between our opening and our locking: once more


def _me():
    """How a lock file names this process."""
    return f"process {os.getpid()}"


def _is_at(file, path):
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock(file):
    """Whether the lock of an open file could be had, without waiting."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            file.seek(1 << 20)  # a byte far beyond the text, which others may then read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError as error:
        return error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)  # a file system without locks
    return True
