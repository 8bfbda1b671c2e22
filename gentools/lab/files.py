"""Files that are written whole or not at all, on disks that may be full or read-only."""

import os
from contextlib import contextmanager, suppress
from pathlib import Path


def spelled_out(**paths):
    """Refuse a path that is empty, which means the folder where Python runs, or that begins with ~. Raises ValueError.

    A shell puts the home folder in the place of ~; Python would make a folder of that name. None is no path.
    """
    for name, path in paths.items():
        if path == "":
            raise ValueError(f'{name} is empty; the folder in which this runs is "."')
        if isinstance(path, (str, Path)) and str(path).startswith("~") and not Path(path).exists():
            raise ValueError(f"{name} is {str(path)!r}, and Python does not know ~; write {os.path.expanduser(path)!r}")


def write_whole(path, data):
    """Put bytes at `path`, where they appear whole or not at all: what stood there stays if that fails, and no part is left.

    The OSError of a failure names the file.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with naming(path):
            part.write_bytes(data)
            os.replace(part, path)
    finally:  # Ctrl-C too
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def naming(path, advice=""):
    """An OSError that knows no file, as that of a full disk, says which one could not be written, and gives advice."""
    try:
        yield
    except OSError as error:
        if error.errno is None or (error.filename is not None and not advice):
            raise
        raise OSError(error.errno, f"{error.strerror}{advice and '; '}{advice}", str(path)) from error
