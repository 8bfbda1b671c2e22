"""Data files with pinned contents: looked for on this machine, otherwise downloaded from the first mirror that works.

A file is looked for in the folder named by GENTOOLS_DATA, then in the user's cache, then at each mirror in turn. Whatever
its origin, only a file with the pinned sha256 is used. A download goes to a file of its own beside its place in the cache,
stops at the expected size, and takes its place only if the digest is right, so that the cache never holds half a file.
With GENTOOLS_OFFLINE=1 no socket is opened.
"""

import hashlib
import os
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urljoin

from gentools.lab.processes import alive

SCHEME = "https://"  # nothing is ever fetched without encryption, redirects included
WAITS = (1, 3)  # seconds before the second and the third try at one mirror
TIMEOUT = (10, 30)  # seconds to connect, and seconds without a byte
STALE = 600  # seconds without a byte after which a part belongs to no living download, wherever that runs


class DataError(RuntimeError):
    """A data file is missing, damaged, or not what its name says. The message tells what to do."""


@dataclass(frozen=True)
class File:
    """A file with known contents. `path` is its place below GENTOOLS_DATA and the cache; a mirror is a folder's address."""

    path: str
    size: int  # bytes
    sha256: str
    mirrors: tuple[str, ...]

    @property
    def urls(self):
        """Where the file can be had, the first choice first."""
        return [mirror + self.path.rsplit("/", 1)[-1] for mirror in self.mirrors]


def cache():
    """The folder in which downloads are kept."""
    import pooch

    return Path(pooch.os_cache("gentools"))


def data_folder():
    """The folder named by GENTOOLS_DATA, or None. DataError if there is no such folder."""
    name = os.environ.get("GENTOOLS_DATA")
    if name and not Path(name).is_dir():
        raise DataError(f"GENTOOLS_DATA is {name!r}, which is not a folder; correct it or unset it")
    return Path(name) if name else None


def offline():
    """Whether GENTOOLS_OFFLINE forbids the network: any value but 0, false, no, off (in any case) and nothing does."""
    return os.environ.get("GENTOOLS_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def _digest(path):
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def find(file):
    """("GENTOOLS_DATA" or "cache", path) of a file that is on this machine with the right bytes, or None.

    Wrong bytes in the reader's own folder are an error: DataError. Wrong bytes in the cache count as absent.
    """
    folder = data_folder()
    if folder and (path := folder / file.path).is_file():
        if (found := _digest(path)) != file.sha256:
            raise DataError(
                f"{path} does not hold the data that its name promises:\n"
                f"  expected sha256 {file.sha256} ({file.size:,} bytes)\n"
                f"  found    sha256 {found} ({path.stat().st_size:,} bytes)\n"
                f"Replace it (from {file.urls[0]}) or delete it, and it will be downloaded."
            )
        return "GENTOOLS_DATA", path
    path = cache() / file.path
    with _kept(path):
        return ("cache", path) if path.is_file() and _digest(path) == file.sha256 else None


def fetch(file):
    """Path of the file on this machine, after downloading it if need be.

    A mirror that fails (a 5xx status, no answer) is tried three times; one that refuses (a 4xx status) or sends other
    bytes is left at once for the next. DataError, with every address tried, if none served the file.
    """
    if place := find(file):
        return place[1]
    if offline():
        raise DataError(
            f"this machine has no good {file.path}, and GENTOOLS_OFFLINE forbids a download.{_by_hand(file)}"
        )
    reasons = {}
    for url in file.urls:
        for wait in (*WAITS, None):
            try:
                return _retrieve(url, file)
            except _Failure as failure:
                reasons[url] = str(failure)
                if not failure.passing or wait is None:
                    break
                time.sleep(wait)
    tried = "".join(f"\n  {url}: {reason}" for url, reason in reasons.items())
    raise DataError(f"{file.path} could not be downloaded. Tried:{tried}{_by_hand(file)}")


def _by_hand(file):
    addresses = "".join(f"\n  {url}" for url in file.urls)
    folder = data_folder() or cache()
    return (
        f"\nTo supply it by hand, get it from one of{addresses}\n(sha256 {file.sha256}, {file.size:,} bytes)"
        f"\nand save it as {folder / file.path}, or in another folder named by GENTOOLS_DATA as {file.path}."
    )


class _Failure(Exception):
    """One try at one mirror failed; `passing` if it is worth another."""

    def __init__(self, reason, passing):
        super().__init__(str(reason)[:300])
        self.passing = passing


def _retrieve(url, file):
    """Path of the file in the cache after one try at one mirror. Raises _Failure, and DataError where nothing can be kept."""
    if not url.startswith(SCHEME):
        raise _Failure(f"is not an {SCHEME} address", passing=False)
    place = cache() / file.path
    with _part(place) as (path, stream):
        _download(url, file, _Limited(stream, file.size, place))
        if (found := _digest(path)) != file.sha256:
            raise _Failure(f"sends other bytes (sha256 {found})", passing=False)
        with _kept(place):
            os.replace(path, place)
    return place


def _download(url, file, stream):
    """Write what `url` sends into `stream`. Raises _Failure, in words, for all that can go wrong between here and there."""
    import pooch
    import requests

    def guard(response, **_):
        target = urljoin(response.url, response.headers.get("location", response.url))
        if not target.startswith(SCHEME):
            raise _Failure(f"leads to {target}, which is not {SCHEME}", passing=False)
        if not response.ok or response.is_redirect:
            return
        if "html" in response.headers.get("content-type", ""):
            raise _Failure("sends a web page (a quota or sign-in notice?) instead of the file", passing=False)
        if (length := response.headers.get("content-length")) not in (None, str(file.size)):
            raise _Failure(f"sends {length} bytes instead of {file.size}", passing=False)

    download = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=1 << 16,
        timeout=TIMEOUT,
        headers={"Accept-Encoding": "identity"},  # the file as it is, never repacked on the way
        hooks={"response": guard},
    )
    try:
        download(url, stream, None)
    except requests.HTTPError as error:
        raise _Failure(error, passing=error.response.status_code >= 500) from error
    except (OSError, HTTPException) as error:  # requests.RequestException is an OSError
        raise _Failure(f"{type(error).__name__}: {error}", passing=True) from error
    except ValueError as error:  # an address or a header that cannot be read; UnicodeError is one
        raise _Failure(f"{type(error).__name__}: {error}", passing=False) from error


class _Limited:
    """A file that takes no more than `size` bytes, for a server need not say how much it sends, nor ever end."""

    def __init__(self, stream, size, place):
        self.stream, self.left, self.place = stream, size, place

    def write(self, chunk):
        self.left -= len(chunk)
        if self.left < 0:
            raise _Failure("sends more bytes than the file has", passing=False)
        with _kept(self.place):
            return self.stream.write(chunk)

    def flush(self):
        with _kept(self.place):
            self.stream.flush()


@contextmanager
def _kept(place):
    """A disk that is full or read-only is no fault of the mirror: DataError with what to do."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{place.name} cannot be kept in the cache, {place.parent}: {error.strerror or error}. Free space there or "
            "make it writable; or keep the file in another folder and name that in GENTOOLS_DATA."
        ) from error


@contextmanager
def _part(place):
    """(path, stream) of a new file beside `place`, gone in the end. Parts that killed downloads left are removed."""
    path = place.with_name(f".{place.name}.{os.getpid()}-{threading.get_ident()}.part")
    with _kept(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        for part in place.parent.glob(".*.part"):
            with suppress(FileNotFoundError):  # another process was faster
                if time.time() - part.stat().st_mtime > STALE or not alive(part.name.split(".")[-2].split("-")[0]):
                    part.unlink()
        stream = open(path, "wb")  # noqa: SIM115 (closed below; only its opening is a matter of the disk)
    try:
        with stream:
            yield path, stream
    finally:
        path.unlink(missing_ok=True)
