"""Data sets: right contents when all is well, and a clear refusal with nothing left behind when it is not."""

import contextlib
import gzip
import hashlib
import io
import os
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import tracemalloc
import urllib.request
import zipfile
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from gentools.lab import data, download, pictures, records
from gentools.lab.data import DataError

SHARED = Path(os.environ.get("GENTOOLS_DATA") or Path(__file__).parents[2] / "shared" / "data").resolve()


def shared(name):
    """A file of the shared data folder; the test is skipped where it is not there."""
    if not (SHARED / name).exists():
        pytest.skip(f"needs {name} in GENTOOLS_DATA or ../shared/data")
    return SHARED / name


@pytest.fixture(autouse=True)
def bare_machine(tmp_path, monkeypatch):
    """An empty cache, no data folder, no waiting."""
    monkeypatch.delenv("GENTOOLS_DATA", raising=False)
    monkeypatch.delenv("GENTOOLS_OFFLINE", raising=False)
    monkeypatch.setattr(download, "cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(download, "WAITS", (0, 0))


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


def left(folder):
    """Every file below a folder."""
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())


# Points


def test_grid_has_25_equal_gaussians():
    x, component = data.grid(50_000, seed=0)
    assert x.shape == (50_000, 2) and x.dtype == torch.float32 and component.dtype == torch.int64
    centers = data.grid_centers()
    assert {tuple(c) for c in centers.tolist()} == {(a, b) for a in range(-4, 5, 2) for b in range(-4, 5, 2)}
    offset = x - centers[component]
    assert abs(offset.std() - 0.05) < 5e-4 and offset.mean(0).abs().max() < 1e-3
    assert component.bincount(minlength=25).sub(2000).abs().max() < 5 * 2000**0.5


def test_ring_has_eight_distinct_centers():
    x, component = data.ring(20_000, seed=0)
    centers = data.ring_centers()
    gaps = torch.cdist(centers, centers) + 9 * torch.eye(8)
    assert torch.allclose(gaps.min(1).values, torch.tensor(4 * np.sin(np.pi / 8), dtype=torch.float32))
    assert torch.allclose(centers.norm(dim=1), torch.tensor(2.0))
    assert abs((x - centers[component]).std() - 0.02) < 3e-4 and component.unique().tolist() == list(range(8))


@pytest.mark.parametrize("points", [data.grid, data.ring])
def test_points_are_fixed_by_their_seed(points):
    assert torch.equal(points(10, 1)[0], points(10, 1)[0])
    assert not torch.equal(points(10, 1)[0], points(10, 2)[0])
    for n in (0, -1, 2.5):
        with pytest.raises(ValueError, match="at least 1"):
            points(n, 0)


def test_old_faithful_is_the_published_table():
    x = data.old_faithful()
    assert x.shape == (272, 2) and x.dtype == torch.float64
    assert torch.allclose(x.mean(0), torch.tensor([3.487783, 70.89706]).double(), rtol=1e-6)
    assert torch.allclose(x.std(0), torch.tensor([1.141371, 13.59497]).double(), rtol=1e-6)
    assert abs(torch.corrcoef(x.T)[0, 1] - 0.9008112) < 1e-7
    assert x[0].tolist() == [3.6, 79] and x[-1].tolist() == [4.467, 74]
    assert x.min(0).values.tolist() == [1.6, 43] and x.max(0).values.tolist() == [5.1, 96]


def test_old_faithful_works_from_inside_an_archive(tmp_path):
    """Found as a package resource, not through a path, so that any installation has it."""
    root = Path(data.__file__).parents[2]
    with zipfile.ZipFile(tmp_path / "gentools.zip", "w") as archive:
        for name in ["gentools/__init__.py", "gentools/lab/old_faithful.csv"]:
            archive.write(root / name, name)
        for module in ("data", "download", "files", "pictures", "processes", "randomness"):
            archive.write(root / f"gentools/lab/{module}.py", f"gentools/lab/{module}.py")
        archive.writestr("gentools/lab/__init__.py", "")
    code = "from gentools.lab import data; print(data.__file__, tuple(data.old_faithful().shape))"
    env = os.environ | {"PYTHONPATH": str(tmp_path / "gentools.zip"), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=env, check=True
    )
    assert "gentools.zip" in run.stdout and "(272, 2)" in run.stdout


def test_digits():
    from sklearn.datasets import load_digits

    x, y = data.digits()
    assert x.shape == (1797, 1, 8, 8) and x.dtype == torch.uint8 and y.dtype == torch.int64
    assert (int(x.min()), int(x.max())) == (0, 255) and len(x.unique()) == 17
    assert np.array_equal(np.rint(x[:, 0].numpy() * (16 / 255)), load_digits().images)
    assert y[:10].tolist() == list(range(10))


def test_importing_the_module_is_cheap():
    code = (
        "import sys, gentools.lab.data; print([m for m in ('sklearn', 'pooch', 'requests', 'PIL') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


# Files in the reader's own folder


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_pinned_digests_are_those_of_the_shared_files(name):
    for file in data.SETS[name].files:
        path = shared(file.path)
        assert (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) == (file.size, file.sha256)


def test_mnist_and_fashion_mnist_from_a_folder_need_no_network(monkeypatch, no_network):
    shared("mnist"), shared("fashion-mnist")
    monkeypatch.setenv("GENTOOLS_DATA", str(SHARED))
    x, y = data.mnist("train")
    assert x.shape == (60_000, 1, 28, 28) and x.dtype == torch.uint8 and y.dtype == torch.int64
    assert y[:5].tolist() == [5, 0, 4, 1, 9] and abs(float(x.float().mean()) / 255 - 0.1307) < 1e-4
    x, y = data.mnist("test")
    assert x.shape == (10_000, 1, 28, 28) and y[:5].tolist() == [7, 2, 1, 0, 4]
    x, y = data.fashion_mnist("test")
    assert y.bincount().tolist() == [1000] * 10 and y[:5].tolist() == [9, 2, 1, 1, 6]


@pytest.mark.parametrize("load", [data.mnist, data.fashion_mnist, data.cifar10])
def test_unknown_split(load):
    with pytest.raises(ValueError, match='"train" or "test"'):
        load("validation")


def mnist_copy(tmp_path, monkeypatch):
    folder = tmp_path / "own"
    (folder / "mnist").mkdir(parents=True)
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        shutil.copyfile(shared(f"mnist/{name}"), folder / "mnist" / name)
    monkeypatch.setenv("GENTOOLS_DATA", str(folder))
    assert data.mnist("test")[0].shape[0] == 10_000
    return folder / "mnist"


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


SPOILED = {
    "one bit": flip,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "web page": lambda path: path.write_text("<html>Quota exceeded</html>"),
    "Fashion-MNIST": lambda path: shutil.copyfile(shared(f"fashion-mnist/{path.name}"), path),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_wrong_bytes_in_the_own_folder_are_refused(tmp_path, monkeypatch, no_network, spoil):
    path = mnist_copy(tmp_path, monkeypatch) / "t10k-labels-idx1-ubyte.gz"
    spoil(path)
    with pytest.raises(DataError) as error:
        data.mnist("test")
    message = str(error.value)
    assert str(path) in message and "Replace it" in message
    assert hashlib.sha256(path.read_bytes()).hexdigest() in message and data.MNIST[3].sha256 in message
    assert data.status("mnist").startswith("wrong bytes")


def test_a_data_folder_that_does_not_exist_is_named(monkeypatch):
    monkeypatch.setenv("GENTOOLS_DATA", "/no/such/folder")
    with pytest.raises(DataError, match="GENTOOLS_DATA"):
        data.mnist("test")


# Decoding


def idx(path, array, magic=None):
    header = struct.pack(f">{1 + array.ndim}I", magic or 0x0800 + array.ndim, *array.shape)
    with gzip.open(path, "wb") as stream:
        stream.write(header + array.tobytes())
    return path


def test_idx_is_read_as_written_and_its_header_is_checked(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (7, 5, 4), dtype=np.uint8)
    path = idx(tmp_path / "a.gz", array)
    assert np.array_equal(data._read_idx(path, array.shape).numpy(), array)
    for shape in [(6, 5, 4), (8, 5, 4), (7, 4, 5), (7 * 20,), (7, 20)]:
        with pytest.raises(DataError, match="not an IDX file"):
            data._read_idx(path, shape)
    with pytest.raises(DataError, match="not an IDX file"):
        data._read_idx(idx(tmp_path / "b.gz", array, magic=0x0D03), array.shape)


def test_idx_cut_or_changed_anywhere_is_refused(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (7, 5, 4), dtype=np.uint8)
    raw = idx(tmp_path / "a.gz", array).read_bytes()
    path = tmp_path / "spoiled.gz"
    for cut in range(len(raw)):
        path.write_bytes(raw[:cut])
        with pytest.raises(DataError):
            data._read_idx(path, array.shape)
    for place in range(len(raw) - 8, len(raw)):  # gzip's own sum and length
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(DataError):
            data._read_idx(path, array.shape)


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as stream:
        for _ in range(200):
            stream.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(DataError, match="not an IDX file"):
        data._read_idx(path, (10, 5, 4))
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def cifar(path, rows, edit=lambda member: member, names=5):
    rng = np.random.default_rng(0)
    table = rng.integers(0, 256, (6, rows, 3073), dtype=np.uint8)
    table[:, :, 0] %= 10
    with tarfile.open(path, "w:gz") as archive:
        for i, name in enumerate([*(f"data_batch_{i + 1}.bin" for i in range(names)), "test_batch.bin"]):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = rows * 3073
            archive.addfile(edit(member), io.BytesIO(table[i].tobytes()))
    return table


TRAIN = [f"data_batch_{i}.bin" for i in range(1, 6)]


def test_cifar_batches_are_read_inside_the_archive(tmp_path):
    path = tmp_path / "cifar.tar.gz"
    table = cifar(path, rows=4)
    x, y = data._read_cifar(path, TRAIN, rows=4)
    assert x.shape == (20, 3, 32, 32) and x.dtype == torch.uint8 and y.dtype == torch.int64
    assert np.array_equal(y, table[:5, :, 0].reshape(-1))
    assert np.array_equal(x[7, 2, 5], table[1, 3, 1 + 2 * 1024 + 5 * 32 :][:32])  # planes red, green, blue; then rows
    assert np.array_equal(data._read_cifar(path, ["test_batch.bin"], rows=4)[1], table[5, :, 0])
    assert left(tmp_path) == ["cifar.tar.gz"]


def test_other_tar_files_are_refused(tmp_path):
    def link(member):
        member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
        return member

    path = tmp_path / "cifar.tar.gz"
    cifar(path, rows=4)
    with pytest.raises(DataError, match="not a file of 5 pictures"):
        data._read_cifar(path, TRAIN, rows=5)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match="download it again"):
        data._read_cifar(path, TRAIN, rows=4)
    cifar(path, rows=4, edit=link)
    with pytest.raises(DataError, match="not a file of"):
        data._read_cifar(path, TRAIN, rows=4)
    cifar(path, rows=4, names=3)
    with pytest.raises(DataError, match="data_batch_4"):
        data._read_cifar(path, TRAIN, rows=4)


# Downloads

CONTENT = bytes(range(256)) * 40


class Handler(BaseHTTPRequestHandler):
    """Answers from a script: path -> list of (status, headers, body); the last one is repeated."""

    def do_GET(self):
        self.server.asked.append(self.path)
        answers = self.server.script.get(self.path, [(404, {}, b"no such file")])
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body)) if isinstance(body, bytes) else None} | headers).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the reader has heard enough
            for part in [body] if isinstance(body, bytes) else body:
                self.wfile.write(part)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "SCHEME", "http://")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.script, server.asked = {}, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def toy(*mirrors, name="toy.bin"):
    return download.File(f"toy/{name}", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), mirrors)


GOOD = (200, {}, CONTENT)
FLIPPED = CONTENT[:-1] + b"x"


def test_a_download_is_kept_and_used_again(server, tmp_path, monkeypatch):
    server.script["/a/toy.bin"] = [GOOD]
    file = toy(server.url + "/a/")
    assert download.find(file) is None
    path = download.fetch(file)
    assert path.read_bytes() == CONTENT and left(tmp_path) == ["cache/toy/toy.bin"]
    monkeypatch.setenv("GENTOOLS_OFFLINE", "1")
    assert download.fetch(file) == path and server.asked == ["/a/toy.bin"]
    assert download.find(file) == ("cache", path)


FAULTY = {
    "404": [(404, {}, b"gone")],
    "403": [(403, {}, b"forbidden")],
    "429": [(429, {"Retry-After": "3600"}, b"slow down")],
    "503 for ever": [(503, {}, b"busy")],
    "one bit wrong": [(200, {}, FLIPPED)],
    "too long": [(200, {}, CONTENT + b"more")],
    "too long, length untold": [(200, {"Content-Length": None, "Connection": "close"}, CONTENT + b"more")],
    "early end": [(200, {"Content-Length": str(len(CONTENT)), "Connection": "close"}, CONTENT[:100])],
    "early end, in pieces": [(200, {"Content-Length": None, "Transfer-Encoding": "chunked"}, b"10\r\nhalf")],
    "no number of pieces": [(200, {"Content-Length": None, "Transfer-Encoding": "chunked"}, b"much\r\n" + CONTENT)],
    "a length in words": [(200, {"Content-Length": "much"}, CONTENT)],
    "redirect to nowhere": [(302, {"Location": "http://[/toy.bin"}, b"")],
    "redirect to a host of 70 letters": [(302, {"Location": f"http://{'x' * 70}.example/toy.bin"}, b"")],
    "redirect in another alphabet": [(302, {"Location": "http://b\xfccher..example/toy.bin"}, b"")],
    "sign-in page": [(200, {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(CONTENT))}, CONTENT)],
    "quota page": [(200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>Quota exceeded</title>")],
    "redirect loop": [(302, {"Location": "/first/toy.bin"}, b"")],
    "redirect to ftp": [(302, {"Location": "ftp://example.org/toy.bin"}, b"")],
}


@pytest.mark.parametrize("answers", FAULTY.values(), ids=FAULTY)
def test_a_faulty_mirror_is_left_for_the_next(server, tmp_path, answers):
    server.script |= {"/first/toy.bin": list(answers), "/second/toy.bin": [GOOD]}
    path = download.fetch(toy(server.url + "/first/", server.url + "/second/"))
    assert path.read_bytes() == CONTENT and left(tmp_path) == ["cache/toy/toy.bin"]
    assert server.asked[-1] == "/second/toy.bin"


@pytest.mark.parametrize("answers", FAULTY.values(), ids=FAULTY)
def test_when_no_mirror_serves_the_file_nothing_is_left(server, tmp_path, answers):
    server.script["/only/toy.bin"] = list(answers)
    with pytest.raises(DataError, match="could not be downloaded"):
        download.fetch(toy(server.url + "/only/"))
    assert left(tmp_path) == []


def test_a_web_page_is_called_one(server):
    server.script["/toy.bin"] = FAULTY["sign-in page"]
    with pytest.raises(DataError, match=r"sends a web page \(a quota or sign-in notice\?\)"):
        download.fetch(toy(server.url + "/"))


@pytest.mark.parametrize("pieces", [False, True], ids=["no length", "in pieces"])
def test_a_mirror_that_never_ends_is_stopped_at_the_size_of_the_file(server, tmp_path, monkeypatch, pieces):
    sent = []

    class Endless:
        """Zeros, for at most 64 MB."""

        def __iter__(self):
            for _ in range(1024):
                sent.append(1 << 16)
                yield (b"10000\r\n" + bytes(1 << 16) + b"\r\n") if pieces else bytes(1 << 16)

    headers = {"Transfer-Encoding": "chunked"} if pieces else {"Connection": "close"}
    server.script["/toy.bin"] = [(200, headers, Endless())]
    written, write = [], download._Limited.write
    monkeypatch.setattr(
        download._Limited, "write", lambda self, chunk: written.append(len(chunk)) or write(self, chunk)
    )
    with pytest.raises(DataError, match="sends more bytes than the file has"):
        download.fetch(toy(server.url + "/"))
    assert sum(written) <= len(CONTENT) + (1 << 16) and sum(sent) < 32 << 20 and left(tmp_path) == []


# A cache that cannot be written


def kept(file):
    with pytest.raises(DataError) as error:
        download.fetch(file)
    message = str(error.value)
    assert "cannot be kept in the cache" in message and "make it writable" in message and "GENTOOLS_DATA" in message
    return message


def test_a_cache_that_is_no_folder(server, tmp_path):
    server.script["/toy.bin"] = [GOOD]
    (tmp_path / "cache").write_text("a file")
    kept(toy(server.url + "/"))
    assert left(tmp_path) == ["cache"]


@pytest.mark.parametrize("place", ["mkdir", "open", "replace", "is_file"])
def test_a_cache_that_may_not_be_written(server, tmp_path, monkeypatch, place):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    server.script["/toy.bin"] = [GOOD]
    owner = {"mkdir": Path, "is_file": Path, "replace": os, "open": download}[place]
    monkeypatch.setattr(owner, place, refuse, raising=False)
    assert "Permission denied" in kept(toy(server.url + "/"))
    monkeypatch.undo()
    assert left(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="no limit on the size of files")
def test_a_full_disk_is_named_and_nothing_is_left(server, tmp_path):
    import resource

    server.script["/toy.bin"] = [GOOD]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(CONTENT) // 2, before[1]))
    try:
        kept(toy(server.url + "/"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left(tmp_path) == [] and len(server.asked) == 1  # another mirror would not help


def test_a_killed_download_leaves_nothing_for_ever(server, tmp_path):
    """A process is killed in the middle of a file; the next download clears what it left, and not what lives."""
    started, go_on = threading.Event(), threading.Event()

    class Slow:
        def __iter__(self):
            yield CONTENT[:5000]
            started.set()
            go_on.wait(10)

    headers = {"Content-Length": str(len(CONTENT))}
    server.script["/toy.bin"] = [(200, headers, Slow()), GOOD]
    code = (
        "import pathlib, sys; from gentools.lab import download; download.SCHEME = 'http://'\n"
        "download.cache = lambda: pathlib.Path(sys.argv[1])\n"
        "download.fetch(download.File('toy/toy.bin', int(sys.argv[2]), sys.argv[3], (sys.argv[4],)))"
    )
    file = toy(server.url + "/")
    words = [str(tmp_path / "cache"), str(file.size), file.sha256, server.url + "/"]
    process = subprocess.Popen([sys.executable, "-c", code, *words])
    assert started.wait(60)
    process.kill()
    process.wait()
    go_on.set()
    (part,) = left(tmp_path)
    assert part.startswith("cache/toy/.toy.bin.") and part.endswith(".part")
    folder = tmp_path / "cache" / "toy"
    (folder / f".other.bin.{os.getppid()}-1.part").touch()  # of a process that lives
    (folder / f".other.bin.{os.getpid()}-1.part").touch()  # so does this one, but no byte has come for an hour
    os.utime(folder / f".other.bin.{os.getpid()}-1.part", (0, 0))
    download.fetch(file)
    assert left(tmp_path) == [f"cache/toy/.other.bin.{os.getppid()}-1.part", "cache/toy/toy.bin"]


def test_a_dead_host_is_left_for_the_next(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{free.getsockname()[1]}/"
    server.script["/toy.bin"] = [GOOD]
    assert download.fetch(toy(dead, server.url + "/")).read_bytes() == CONTENT
    with pytest.raises(DataError) as error:
        download.fetch(toy(dead, server.url + "/nothing/", name="other.bin"))
    message = str(error.value)
    assert f"{dead}other.bin: ConnectionError" in message and f"{server.url}/nothing/other.bin: 404" in message
    assert "by hand" in message and toy().sha256 in message and "GENTOOLS_DATA" in message


def test_a_busy_mirror_is_asked_again(server):
    server.script["/toy.bin"] = [(503, {}, b"busy"), (500, {}, b"oops"), GOOD]
    assert download.fetch(toy(server.url + "/")).read_bytes() == CONTENT
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [403, 404, 429])
def test_a_refusal_is_not_asked_again(server, status):
    server.script["/toy.bin"] = [(status, {}, b"no")]
    with pytest.raises(DataError):
        download.fetch(toy(server.url + "/"))
    assert len(server.asked) == 1


def test_a_mirror_that_stalls_is_left(server, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (1, 0.1))
    monkeypatch.setattr(download, "WAITS", ())
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server.script["/toy.bin"] = [GOOD]
        stalled = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert download.fetch(toy(stalled, server.url + "/")).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_replaced(server, tmp_path):
    server.script["/toy.bin"] = [GOOD]
    path = tmp_path / "cache" / "toy" / "toy.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(FLIPPED)
    assert download.fetch(toy(server.url + "/")).read_bytes() == CONTENT


def test_only_https_is_asked(no_network):
    with pytest.raises(DataError, match="not an https:// address"):
        download.fetch(toy("http://127.0.0.1:9/"))
    assert all(url.startswith("https://") for set_ in data.SETS.values() for file in set_.files for url in file.urls)


def test_every_downloaded_file_has_a_digest_and_more_than_one_mirror():
    for set_ in data.SETS.values():
        for file in set_.files:
            assert len(file.sha256) == 64 and int(file.sha256, 16) and len(file.mirrors) >= 2
            assert all(mirror.endswith("/") for mirror in file.mirrors)


@pytest.mark.parametrize("load", [data.mnist, data.fashion_mnist, data.cifar10])
def test_offline_opens_no_socket(monkeypatch, no_network, tmp_path, load):
    monkeypatch.setenv("GENTOOLS_OFFLINE", "1")
    with pytest.raises(DataError) as error:
        load("test")
    message = str(error.value)
    assert "GENTOOLS_OFFLINE" in message and "https://" in message and "sha256" in message and "save it as" in message
    assert left(tmp_path) == []


@pytest.mark.parametrize("value, forbidden", [
    *((v, True) for v in ("1", "true", "True", "YES", "on", " 1 ")), *((v, False) for v in ("0", "false", "No", "OFF", "", " "))
])  # fmt: skip
def test_one_meaning_of_offline(monkeypatch, value, forbidden):
    """`true` opens no socket, `no` may; recorded figures never ask the network."""
    asked = []
    monkeypatch.setenv("GENTOOLS_OFFLINE", value)
    monkeypatch.setattr(records, "folder", lambda: None)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: asked.append("figure") or io.BytesIO(b"{}"))
    monkeypatch.setattr(download, "_retrieve", lambda url, file: asked.append("data") or Path(url))
    with pytest.raises(DataError, match="OFFLINE") if forbidden else contextlib.nullcontext():
        download.fetch(toy("https://example.org/"))
    records.read("05_gan/5.1.json")
    assert asked == ([] if forbidden else ["data"])


def test_eight_readers_at_once_share_one_good_file(server, tmp_path):
    server.script["/toy.bin"] = [GOOD]
    file, results = toy(server.url + "/"), []
    threads = [threading.Thread(target=lambda: results.append(download.fetch(file).read_bytes())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [CONTENT] * 8 and left(tmp_path) == ["cache/toy/toy.bin"]


# The command


def test_the_command_lists_every_set(capsys, no_network):
    assert data.command([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == list(data.SETS)
    assert lines[0].endswith("embedded (scikit-learn)") and lines[-1].endswith("not yet") and "170 MB" in lines[-1]


def test_the_command_fetches(capsys, monkeypatch, server):
    server.script["/toy.bin"] = [GOOD]
    monkeypatch.setitem(data.SETS, "mnist", data.Set("toy", (toy(server.url + "/"),)))
    assert data.command(["fetch", "mnist"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("cache")
    with pytest.raises(SystemExit):
        data.command(["fetch", "imagenet"])


def test_the_command_reports_failure(capsys, monkeypatch, no_network):
    monkeypatch.setenv("GENTOOLS_OFFLINE", "1")
    assert data.command(["fetch", "cifar10"]) == 1
    assert "by hand" in capsys.readouterr().out


# Pictures


def encode(array, kind="png"):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


def noise(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def foldered(path, members):
    for name, content in members.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return path


@pytest.fixture(params=["folder", "zip"])
def store(request, tmp_path):
    """Stores pictures as a folder or as a zip."""
    if request.param == "folder":
        return lambda members: foldered(tmp_path / "own", members)
    return lambda members: zipped(tmp_path / "own.zip", members)


def test_pictures_come_in_the_order_of_their_names(store):
    a, b, c = (noise(5, 6, 3), noise(5, 6, 3)[::-1].copy(), noise(5, 6, 3)[:, ::-1].copy())
    path = store({"z.png": encode(c), "a.PNG": encode(a), "m/b.png": encode(b), "notes.txt": b"hi", "._a.png": b"mac"})
    x = data.images(path)
    assert x.dtype == torch.uint8 and x.is_contiguous()
    assert np.array_equal(x.permute(0, 2, 3, 1), np.stack([a, b, c]))


def test_gray_pictures_have_one_channel_unless_colored_ones_stand_among_them(store):
    gray, color = noise(4, 4), noise(4, 4, 3)
    x = data.images(store({"a.png": encode(gray)}))
    assert np.array_equal(x[0, 0], gray) and x.shape == (1, 1, 4, 4)
    x = data.images(store({"a.png": encode(gray), "b.png": encode(color), "c.png": encode(noise(4, 4, 4))}))
    assert x.shape == (3, 3, 4, 4) and np.array_equal(x[0], np.stack([gray] * 3))
    assert np.array_equal(x[1], color.transpose(2, 0, 1))


def test_mixed_sizes_need_a_size(store):
    path = store({"a.png": encode(noise(8, 8, 3)), "b.jpg": encode(noise(12, 16, 3), "jpeg")})
    with pytest.raises(DataError, match=r"b\.jpg is 16x12, a\.png is 8x8; give size="):
        data.images(path)
    assert data.images(path, size=4).shape == (2, 3, 4, 4)
    for size in (0, -3, 2.5, "64", True):
        with pytest.raises(ValueError, match="size must be"):
            data.images(path, size=size)


def test_resizing_crops_at_the_center(store):
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 5:25] = 255
    assert data.images(store({"a.png": encode(wide)}), size=5).unique().tolist() == [255]


def test_what_is_hidden_is_no_data(store):
    """At any depth, and also where an archive made on Windows separates the parts of a path by backslashes."""
    seen, hidden = encode(noise(4, 4)), encode(noise(9, 9))
    litter = (".a.png", ".ipynb_checkpoints/b.png", "cats/.thumbnails/c.png", "__MACOSX/d.png", "cats/__MACOSX/e/f.png",
              "p\\.hidden.png", ".git\\h.png", "q\\__MACOSX\\i.png", "@eaDir/j.png")  # fmt: skip
    x = data.images(store(dict.fromkeys(litter, hidden) | {"cats/k.png": seen, "l.jfif": seen}))
    assert x.shape == (2, 1, 4, 4)


def test_a_hidden_folder_may_be_asked_for(tmp_path):
    foldered(tmp_path / ".cache", {"a.png": encode(noise(4, 4))})
    assert len(data.images(tmp_path / ".cache")) == 1


def test_linked_folders_are_read_once_and_loops_end(tmp_path):
    a, b = noise(4, 4), noise(4, 4)[::-1].copy()
    own = foldered(tmp_path / "own", {"z/a.png": encode(a)})
    far = foldered(tmp_path / "far", {"b.png": encode(b)})
    for name, target in {
        "linked": far,
        "again": far,
        "b": own / "z",
        "loop": own,
        "z/loop": own,
        "gone": "/no",
    }.items():
        (own / name).symlink_to(target)
    (far / "loop").symlink_to(far)
    assert np.array_equal(data.images(own)[:, 0], [b, a])  # again/b.png (linked/ is the same folder) and z/a.png


def test_pictures_of_unknown_kinds_are_counted(store):
    members = {"a.heic": b"1", "b.HEIC": b"2", "c.avif": b"3", "d.txt": b"4", ".e.heic": b"5"}
    with pytest.warns(UserWarning, match=r"passed over 2 \.heic, 1 \.avif, which cannot be read"):
        assert len(data.images(store(members | {"f.png": encode(noise(4, 4))}))) == 1


def test_only_pictures_of_unknown_kinds(tmp_path):
    with pytest.raises(DataError, match=r"only kinds that cannot be read here: 1 \.heic; convert"):
        data.images(foldered(tmp_path / "own", {"a.heic": b"1"}))


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_stand_as_their_exif_says(tmp_path, kind, turn):
    """Against the picture library's own function, and the corner's place by hand: 6 means turn clockwise."""
    corner = np.zeros((16, 24), np.uint8)
    corner[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(corner).save(tmp_path / f"a.{kind}", exif=exif, **({"lossless": True} if kind == "webp" else {}))
    x = data.images(tmp_path)[0].float().mean(0)
    with Image.open(io.BytesIO((tmp_path / f"a.{kind}").read_bytes())) as stored:
        want = np.asarray(ImageOps.exif_transpose(stored).convert("L"), np.float32)
    assert np.abs(x.numpy() - want).max() <= 1
    bright = {1: (4, 4), 2: (4, 20), 3: (12, 20), 4: (12, 4), 5: (4, 4), 6: (4, 12), 7: (20, 12), 8: (20, 4)}[turn]
    assert x.shape == ((16, 24) if turn < 5 else (24, 16)) and x[bright] > 200


def test_a_damaged_exif_block_leaves_the_picture_as_stored(tmp_path):
    Image.fromarray(noise(8, 8)).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(9))
    assert np.array_equal(data.images(tmp_path)[0, 0], noise(8, 8))


def test_transparency_lies_over_white(store):
    """Hand-made: alpha 0 is white whatever lies hidden under it, alpha 1 the color, one half their mean."""
    logo = np.zeros((1, 3, 4), np.uint8)
    logo[0] = [0, 0, 0, 0], [0, 0, 0, 255], [10, 110, 210, 128]
    gray = Image.fromarray(np.array([[[0, 0], [0, 255], [100, 0]]], np.uint8), "LA")
    palette = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    palette.putpalette([9, 9, 9, 40, 40, 40, 200, 0, 0])
    streams = {"b.png": gray, "c.png": palette}
    members = {"a.png": encode(logo)}
    for name, picture in streams.items():
        stream = io.BytesIO()
        picture.save(stream, "png", **({"transparency": 0} if name == "c.png" else {}))
        members[name] = stream.getvalue()
    x = data.images(store(members)).int()[:, :, 0].mT  # (3 pictures, 3 pixels, 3 channels)
    half = [round(255 - (255 - v) * 128 / 255) for v in (10, 110, 210)]
    assert (x[0] - torch.tensor([[255] * 3, [0] * 3, half])).abs().max() <= 1
    assert x[1].tolist() == [[255] * 3, [0] * 3, [255] * 3]
    assert x[2].tolist() == [[255] * 3, [40] * 3, [200, 0, 0]]


def test_gray_with_transparency_and_gray_palettes_have_one_channel(tmp_path):
    gray = noise(6, 6)
    Image.fromarray(gray).convert("P").save(tmp_path / "a.png")
    Image.fromarray(gray).save(tmp_path / "b.gif")
    Image.merge("LA", [Image.fromarray(gray), Image.new("L", (6, 6), 255)]).save(tmp_path / "c.png")
    assert np.array_equal(data.images(tmp_path), [gray[None]] * 3)


def test_masks_of_zeros_and_ones_are_noticed(store, recwarn):
    mask = (noise(4, 4) > 99).astype(np.uint8)
    path = store({"a.png": encode(mask)})
    with pytest.warns(UserWarning, match="0 or 1 of 255.*multiply them by 255"):
        data.images(path)
    np.savez(path.parent / "mask.npz", mask[None])
    with pytest.warns(UserWarning, match="0 or 1 of 255"):
        data.images(path.parent / "mask.npz")


def test_the_sum_of_a_member_is_checked_although_its_picture_ends_early(tmp_path):
    """The decoder needs only the first bytes of this member; the changed pixel shows in the member's sum alone."""
    path = tmp_path / "own.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.ppm", encode(noise(4, 4, 3), "ppm") + bytes(100_000))
    raw = bytearray(path.read_bytes())
    raw[raw.index(noise(4, 4, 3).tobytes())] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match="CRC"):
        data.images(path)


@pytest.mark.parametrize("members", [{}, {"notes.txt": b"no picture"}], ids=["empty", "text only"])
def test_no_pictures(store, tmp_path, members):
    (tmp_path / "own").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        data.images(store(members))


BROKEN = {
    "cut png": encode(noise(30, 30, 3))[:-200],
    "cut jpeg": encode(noise(64, 64, 3), "jpeg")[:900],
    "only a header": encode(noise(30, 30, 3))[:40],
    "empty": b"",
    "web page": b"<html>sign in</html>",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "16 bits": encode(np.ones((4, 4), np.uint16)),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_broken_pictures_are_named(store, content):
    with pytest.raises(DataError, match=r"b\.png"):
        data.images(store({"a.png": encode(noise(30, 30, 3)), "b.png": content}))


def bomb(width, height):
    """A tiny PNG that claims to be huge."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_000, 12_000, 60_000])
@pytest.mark.filterwarnings("error")
def test_an_image_bomb_is_refused_before_it_is_decoded(store, side):
    with pytest.raises(DataError, match=r"pixels|bomb"):
        data.images(store({"a.png": bomb(side, side)}))


def test_too_much_in_total_is_refused(store, monkeypatch):
    path = store({f"{i}.png": encode(np.zeros((100, 100), np.uint8)) for i in range(20)})
    monkeypatch.setattr(pictures, "MAX_BYTES", 150_000)
    with pytest.raises(DataError, match=r"150,000"):
        data.images(path)
    assert data.images(path, size=50).shape == (20, 1, 50, 50)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_BYTES", 1_000_000)
    with pytest.raises(DataError, match="would unpack to"):
        data.images(zipped(tmp_path / "bomb.zip", {"a.png": encode(noise(4, 4)), "b.png": bytes(2_000_000)}))


@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "/etc/out.png", "C:/out.png", "..\\out.png"])
def test_a_path_that_leads_out_of_the_archive_is_refused(tmp_path, name):
    path = zipped(tmp_path / "own.zip", {"a.png": encode(noise(4, 4)), name: encode(noise(4, 4))})
    with pytest.raises(DataError, match="out of the archive"):
        data.images(path)
    assert left(tmp_path) == ["own.zip"]


def test_a_symbolic_link_in_an_archive_is_refused(tmp_path):
    link = zipfile.ZipInfo("b.png")
    link.external_attr = 0o120777 << 16
    with pytest.raises(DataError, match="symbolic link"):
        data.images(zipped(tmp_path / "own.zip", {"a.png": encode(noise(4, 4)), link: b"/etc/passwd"}))


def test_what_is_no_archive_is_refused(tmp_path):
    good = zipped(tmp_path / "good.zip", {f"{i}.png": encode(noise(20, 20, 3)) for i in range(3)}).read_bytes()
    place = good.index(b"IDAT")
    cases = {
        "web page": b"\n<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>",
        "damaged": good[: len(good) // 2],
        "again": good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :],  # the zip's own sum notices
        "download it again": b"",
    }
    for words, content in cases.items():
        path = tmp_path / "own.zip"
        path.write_bytes(content)
        with pytest.raises(DataError, match=words):
            data.images(path)


def test_every_flipped_byte_of_a_zip_is_noticed_or_harmless(tmp_path):
    """A changed byte gives DataError, or the same pictures where it only touched a time stamp or a comment."""
    good = zipped(tmp_path / "good.zip", {"a.png": encode(noise(6, 6)), "b.png": encode(noise(6, 6))})
    raw, expected = good.read_bytes(), data.images(good)
    path = tmp_path / "own.zip"
    refused = 0
    for place in range(len(raw)):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 0x55]) + raw[place + 1 :])
        try:
            x = data.images(path)
        except DataError:
            refused += 1
        else:
            assert torch.equal(x, expected) or torch.equal(x, expected[:1]) or torch.equal(x, expected.flip(0))
    assert refused > len(raw) / 2


def test_arguments_that_make_no_sense(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        data.images(tmp_path / "nowhere.zip")
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    with pytest.raises(ValueError, match="neither a folder"):
        data.images(tmp_path / "a.rar")
    with pytest.raises(ValueError, match="key names"):
        data.images(tmp_path, key="x_train")


def test_an_npz_of_floats_says_what_it_holds(tmp_path):
    np.savez(tmp_path / "own.npz", x=np.zeros((3, 8, 8), np.float32), y=np.arange(3))
    for key in (None, "x"):
        with pytest.raises(DataError, match=r"it holds: x float32 \(3, 8, 8\), y int64 \(3,\).*255 \* x") as error:
            data.images(tmp_path / "own.npz", key=key)
        assert "give key=" not in str(error.value)


def test_one_picture_is_not_taken_for_its_rows(tmp_path):
    np.savez(tmp_path / "one.npz", noise(8, 8, 3))
    with pytest.raises(DataError, match=r"arr_0 uint8 \(8, 8, 3\).* one alone is array\[None\]"):
        data.images(tmp_path / "one.npz")
    np.savez(tmp_path / "one.npz", noise(8, 8, 3)[None])
    assert data.images(tmp_path / "one.npz").shape == (1, 3, 8, 8)


def test_a_tiff_of_several_pictures_is_not_read_as_its_first(tmp_path):
    pages = [Image.fromarray(picture) for picture in noise(4, 8, 8, 3)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"stack\.tif in .* holds 4 pictures; save each as a file of its own"):
        data.images(tmp_path)
    pages[0].save(tmp_path / "stack.tif")
    assert data.images(tmp_path).shape == (1, 3, 8, 8)


def test_npz_layouts(tmp_path):
    path, gray, color = tmp_path / "own.npz", noise(3, 8, 8), noise(3, 8, 8, 3)
    np.savez_compressed(path, x_train=color, x_test=gray, y=np.arange(3))
    assert np.array_equal(data.images(path, key="x_train"), color.transpose(0, 3, 1, 2))
    assert np.array_equal(data.images(path, key="x_test")[:, 0], gray)
    with pytest.raises(DataError, match=r"give key=, one of: x_train, x_test"):
        data.images(path)
    with pytest.raises(DataError, match="named 'y'"):
        data.images(path, key="y")
    np.savez(path, x=color.transpose(0, 3, 1, 2), y=np.arange(3))
    assert np.array_equal(data.images(path), color.transpose(0, 3, 1, 2))
    assert data.images(path, size=4).shape == (3, 3, 4, 4) and data.images(path, size=8).shape == (3, 3, 8, 8)
    np.savez(path, x=gray)
    assert data.images(path, size=4).shape == (3, 1, 4, 4)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_flipped_byte_and_every_cut_of_an_npz_is_noticed_or_harmless(tmp_path, save):
    path = tmp_path / "own.npz"
    save(path, x=noise(2, 6, 6))
    raw, expected = path.read_bytes(), data.images(path)
    refused = 0
    for place in range(len(raw)):
        for content in (raw[:place], raw[:place] + bytes([raw[place] ^ 0x55]) + raw[place + 1 :]):
            path.write_bytes(content)
            try:
                assert torch.equal(data.images(path), expected)
            except DataError:
                refused += 1
    assert refused > 1.4 * len(raw)


class Hostile:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


def test_npz_that_is_damaged_or_hostile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own.npz"
    np.savez(path, x=np.array([Hostile()], dtype=object))
    with pytest.raises(DataError, match="no uint8 array of pictures; it holds: x object"):
        data.images(path)
    assert not (tmp_path / "executed").exists()
    np.savez(path, x=noise(4, 9, 9), x_float=np.zeros((4, 9, 9)))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match="damaged"):
        data.images(path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 999, 999)})
    with pytest.raises(DataError, match="claims the shape"):
        data.images(zipped(path, {"x.npy": header.getvalue() + bytes(100)}))
    with pytest.raises(DataError, match="not a numpy array"):
        data.images(zipped(path, {"x.npy": b"text"}))
    path.write_text("<html>quota</html>")
    with pytest.raises(DataError, match="web page"):
        data.images(path)


def test_the_shared_faces_and_the_cifar_subset(tmp_path, monkeypatch):
    shared("faces64.zip"), shared("cifar10_subset.npz")
    monkeypatch.setenv("GENTOOLS_DATA", str(SHARED))
    x = data.images("cifar10_subset.npz", key="x_test")
    assert x.shape == (2500, 3, 32, 32)
    with zipfile.ZipFile(SHARED / "faces64.zip") as faces:  # a tenth of it, for the time it takes
        names = [name for name in faces.namelist() if name.endswith(".jpg")]
        path = zipped(tmp_path / "some.zip", {name: faces.read(name) for name in names[:1300]})
    assert len(names) == 12_788
    x = data.images(path)
    assert x.shape == (1300, 3, 64, 64)
    mean = x.float().mean((0, 2, 3)) / 255
    assert torch.allclose(mean, torch.tensor([0.526, 0.421, 0.352]), atol=0.01)
