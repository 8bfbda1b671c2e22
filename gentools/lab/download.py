"""Data files with pinned contents: looked for on this machine, otherwise downloaded from the first mirror that works.

A file is looked for in the folder named by GENTOOLS_DATA, then in the user's cache, then at each mirror in turn. Whatever
its origin, only a file with the pinned sha256 is used. pooch downloads to a temporary file, compares the digest and
moves the file into the cache, so that the cache never holds half a file. With GENTOOLS_OFFLINE=1 no socket is opened.
"""

import hashlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

SCHEME = "https://"  # nothing is ever fetched without encryption, redirects included
WAITS = (1, 3)  # seconds before the second and the third try at one mirror
TIMEOUT = (10, 30)  # seconds to connect, and seconds without a byte


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
    import pooch
    import requests

    def guard(response, **_):
        target = urljoin(response.url, response.headers.get("location", response.url))
        if not target.startswith(SCHEME):
            raise _Failure(f"leads to {target}, which is not {SCHEME}", passing=False)
        length = response.headers.get("content-length")
        if response.ok and not response.is_redirect and length not in (None, str(file.size)):
            raise _Failure(f"sends {length} bytes instead of {file.size}", passing=False)

    if not url.startswith(SCHEME):
        raise _Failure(f"is not an {SCHEME} address", passing=False)
    pooch.get_logger().setLevel("WARNING")
    download = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=1 << 16,
        timeout=TIMEOUT,
        headers={"Accept-Encoding": "identity"},  # the file as it is, never repacked on the way
        hooks={"response": guard},
    )
    place = cache() / file.path
    try:
        return Path(pooch.retrieve(url, "sha256:" + file.sha256, place.name, place.parent, downloader=download))
    except requests.HTTPError as error:
        raise _Failure(error, passing=error.response.status_code >= 500) from error
    except requests.RequestException as error:
        raise _Failure(f"{type(error).__name__}: {error}", passing=True) from error
    except ValueError as error:  # pooch: the digest differs; it has deleted the file
        raise _Failure(error, passing=False) from error
