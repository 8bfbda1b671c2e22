"""Results of single seeds on disk: one file each, whole or not at all, used only if it is what its place says.

A file is named after its seed and the sha256 of its bytes, as checkpoints are, and holds what it belongs to: figure,
scale, seed, fingerprint of the code and digest of the data. A file that is damaged or somebody else's is named and
computed again.
"""

import hashlib
import io
import pickle
import re
import tempfile
import zipfile
from pathlib import Path

import torch

from gentools.lab.files import write_whole

_NAME = re.compile(r"seed-(\d{5,})-([0-9a-f]{16})\.pt")


def save(folder, identity, result):
    """Write the result of identity["seed"] into `folder`. Returns the path."""
    buffer = io.BytesIO()
    torch.save({"identity": identity, **result}, buffer)
    data = buffer.getvalue()
    path = Path(folder) / f"seed-{identity['seed']:05d}-{hashlib.sha256(data).hexdigest()[:16]}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    return path


def ready(folder):
    """Make `folder`, or raise the OSError that a result would meet there: now, and not after hours of work."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def load(folder, identity):
    """The stored result of identity["seed"], or None. What is refused is printed with its reason."""
    for path in sorted(Path(folder).glob(f"seed-{identity['seed']:05d}*.pt")):
        try:
            return _read(path, identity)
        except ValueError as error:
            print(f"  {path.name} is not used: {error}; this seed is computed again", flush=True)
    return None


def _read(path, identity):
    """Content of one file without its identity. Raises ValueError if it is damaged or another's."""
    data, name = path.read_bytes(), _NAME.fullmatch(path.name)
    if name is None or hashlib.sha256(data).hexdigest()[:16] != name[2]:
        raise ValueError("its bytes are not those that were written")
    try:
        content = torch.load(io.BytesIO(data), weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ValueError(f"it cannot be read ({type(error).__name__})") from error
    found = content.pop("identity")
    if other := [f"{key} {found.get(key)!r}" for key in identity if found.get(key) != identity[key]]:
        raise ValueError(f"it belongs to {', '.join(other)}")
    return content
