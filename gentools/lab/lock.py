"""One run at a time in a folder of checkpoints."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class FolderInUse(RuntimeError):
    """Another process, or another run of this one, keeps its checkpoints in this folder just now."""


@contextmanager
def lock(folder):
    """Hold `folder` for one run; FolderInUse if another run holds it. Nothing is locked for None.

    The operating system frees the lock when its process dies, however it dies, so that a run which was killed never
    stands in the way. The lock file names the process that holds it. A folder that cannot be written is not locked.
    """
    file = None if folder is None else _hold(Path(folder))
    try:
        yield
    finally:
        if file is not None:
            if os.name != "nt":  # Windows removes no open file; there it stays, unlocked
                Path(file.name).unlink(missing_ok=True)
            file.close()


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
            raise FolderInUse(
                f"{holder} is training in {folder} just now; wait for it or stop it, or give this run another folder"
            )
        if _is_at(file, path):
            file.truncate(0)
            file.write(f"process {os.getpid()}\n")
            file.flush()
            return file
        file.close()  # its holder ended and removed it between our opening and our locking: once more


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
