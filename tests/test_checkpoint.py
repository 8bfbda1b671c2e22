"""Checkpoints: whole or not at all, and nothing that is corrupted, truncated, foreign or hostile is loaded."""

import hashlib
import io
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import zipfile
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from gentools.lab import checkpoint
from gentools.lab.checkpoint import CheckpointError, NonFinite
from gentools.lab.lock import FolderInUse, lock, patient

RUN = {"config": {"width": 8, "rates": [0.1, 0.2]}, "seed": 0}


def state(step=0):
    weights = {"w": torch.arange(40.0) + step, "n": torch.tensor(step), "mask": torch.tensor([True, False])}
    plain = {"betas": (0.9, 0.999), "names": ["a", "b"], 3: None, "on": True, "inf": float("inf")}
    return {"nets": weights, "opts": plain, "half": torch.ones(3, dtype=torch.bfloat16)}


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


def forge(folder, data, step=1):
    """Store bytes under the name of a checkpoint, with the right digest, as an attacker would."""
    path = folder / f"step-{step:09d}-{hashlib.sha256(data).hexdigest()[:16]}.pt"
    path.write_bytes(data)
    return path


def saved(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def content(**change):
    base = {"format": checkpoint.FORMAT, "step": 1, "torch": "2.13.0", "identity": RUN, "state": state()}
    return base | {"seconds": 2.5} | change


def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_round_trip(tmp_path):
    path = checkpoint.save(tmp_path / "a" / "b", state(7), 7, RUN)
    found = checkpoint.newest(tmp_path / "a" / "b", RUN)
    assert same(found.state, state(7)) and found.step == 7 and found.path == path and found.refused == ()
    assert str(found) == f"resumed after 7 steps from {path}"
    assert same(torch.load(path, weights_only=True)["state"], state(7))  # an ordinary file


def test_an_empty_or_missing_folder_has_none(tmp_path):
    assert checkpoint.newest(tmp_path, RUN) is None and checkpoint.newest(tmp_path / "no", RUN) is None
    (tmp_path / "weights.pt").write_bytes(b"not ours, not looked at")
    (tmp_path / ".step-000000001-0000000000000000.pt.1.part").write_bytes(b"of a killed save")
    assert checkpoint.newest(tmp_path, RUN) is None


def test_the_last_three_are_kept_and_leavings_are_cleared(tmp_path):
    (tmp_path / f".step-000000001-0000000000000000.pt.{dead()}.part").write_bytes(b"of a killed save")
    for step in (5, 10, 15, 20, 1_000_000_000):
        checkpoint.save(tmp_path, state(step), step, RUN)
    assert sorted(int(name.split("-")[1]) for name in names(tmp_path)) == [15, 20, 1_000_000_000]
    assert checkpoint.newest(tmp_path, RUN).step == 1_000_000_000


def test_only_what_is_whole_and_small_is_written(tmp_path):
    """A view of a large tensor is stored as its own numbers, an expanded one too."""
    views = {
        "row": torch.zeros(1000, 1000)[3],
        "column": torch.arange(6.0).reshape(2, 3)[:, 1],
        "ones": torch.ones(1).expand(5),
    }
    path = checkpoint.save(tmp_path, views, 1, RUN)
    assert path.stat().st_size < 20_000
    assert same(checkpoint.newest(tmp_path, RUN).state, {k: v.clone() for k, v in views.items()})


def test_saves_modules_and_optimizers_as_they_are(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    opt = torch.optim.Adam(net.parameters(), fused=True)
    net(torch.randn(4, 3)).sum().backward()
    opt.step()
    assert isinstance(net.state_dict(), OrderedDict)
    checkpoint.save(tmp_path, {"net": net.state_dict(), "opt": opt.state_dict(), "p": net[0].weight}, 1, RUN)
    found = checkpoint.newest(tmp_path, RUN).state
    assert type(found["net"]) is dict and same(found["net"], dict(net.state_dict()))
    assert same(found["p"], net[0].weight.detach())
    opt.load_state_dict(found["opt"])


@pytest.mark.parametrize(
    "value, words",
    [
        (np.float64(1.0), r"state.opts.0.lr is a numpy.float64"),
        (np.zeros(2), r"state.opts.0.lr is a numpy.ndarray"),
        ({1, 2}, r"is a builtins.set"),
        (torch.float32, r"is a torch.dtype"),
        (torch.nn.Linear(1, 1), r"is a torch.nn.*Linear"),
        (lambda: 0, r"is a builtins.function"),
        ({(1, 2): 3}, r"is a builtins.dict"),
        (torch.eye(2).to_sparse(), r"is a torch.Tensor"),
        (1j, r"is a builtins.complex"),
    ],
)
def test_refuses_to_save_other_types(tmp_path, value, words):
    with pytest.raises(TypeError, match=words):
        checkpoint.save(tmp_path, {"opts": [{"lr": value}]}, 1, RUN)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "change", [{"step": -1}, {"step": True}, {"step": np.int64(3)}, {"state": [1]}, {"identity": ["a"]}]
)
def test_what_no_one_could_load_is_not_saved(tmp_path, change):
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(change))} (must be a whole number|is a dict)"):
        checkpoint.save(tmp_path / "a", **{"state": state(), "step": 1, "identity": RUN} | change)
    assert not (tmp_path / "a").exists()


def test_the_word_missing_is_a_value(tmp_path):
    checkpoint.save(tmp_path, state(), 1, RUN | {"seed": "missing"})
    with pytest.raises(CheckpointError, match="seed is missing there and missing here"):
        checkpoint.newest(tmp_path, {"config": RUN["config"]})


def test_an_identity_holds_no_tensors(tmp_path):
    with pytest.raises(TypeError, match=r"identity.x is a torch.Tensor"):
        checkpoint.save(tmp_path, {}, 1, {"x": torch.zeros(2)})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_never_saves_a_number_that_is_not_finite(tmp_path, bad):
    good = checkpoint.save(tmp_path, state(), 4, RUN)
    broken = state()
    broken["nets"]["w"][17] = bad
    with pytest.raises(NonFinite, match=r"nets.w is NaN or infinite in step 8.*step-000000004") as caught:
        checkpoint.save(tmp_path, broken, 9, RUN)
    assert (caught.value.name, caught.value.step, caught.value.last) == ("nets.w", 8, good)
    assert names(tmp_path) == [good.name]


# Refusals ------------------------------------------------------------


def test_every_truncation_and_thousands_of_bit_flips_are_refused(tmp_path):
    """0 loaded silently: each damaged file is refused by its digest, and an undamaged one is accepted."""
    path = checkpoint.save(tmp_path, state(), 1, RUN)
    whole, rng, refused = path.read_bytes(), random.Random(0), 0
    damaged = [whole[:n] for n in range(0, len(whole), 16)]
    for _ in range(2000):
        flipped = bytearray(whole)
        for _ in range(rng.choice([1, 1, 2, 10])):
            flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        damaged.append(bytes(flipped) if bytes(flipped) != whole else b"")
    for start in range(0, len(whole), 512):  # blocks that the disk lost
        damaged.append(whole[:start] + bytes(len(whole[start : start + 512])) + whole[start + 512 :])
    damaged = [data for data in damaged if data != whole] + [
        whole + b"\0",
        b"",
        bytes(len(whole)),
        whole[::-1],
    ]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="truncated or corrupted"):
            checkpoint.load(path, RUN)
        refused += 1
    assert refused == len(damaged) > 2150
    path.write_bytes(whole)
    assert checkpoint.load(path, RUN)["step"] == 1


def test_the_second_wall_stands_without_the_digest(tmp_path):
    """With a forged digest a truncated file is still refused, and a flipped bit never makes anything but tensors."""
    whole, rng, refused = saved(content()), random.Random(1), 0
    cuts = [whole[:n] for n in range(0, len(whole), 64)]
    for data in cuts:
        with pytest.raises(CheckpointError, match="not a safe checkpoint"):
            checkpoint.load(forge(tmp_path, data), RUN)
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        try:
            checkpoint.plain(checkpoint.load(forge(tmp_path, bytes(flipped)), RUN), "content")
        except CheckpointError:
            refused += 1
    assert refused > 100


def test_the_newest_valid_one_is_used_and_the_choice_is_reported(tmp_path):
    kept = [checkpoint.save(tmp_path, state(step), step, RUN) for step in (1, 2, 3)]
    kept[2].write_bytes(kept[2].read_bytes()[:-1])
    kept[1].write_bytes(b"")
    found = checkpoint.newest(tmp_path, RUN)
    assert found.path == kept[0] and [name for name, _ in found.refused] == [kept[2].name, kept[1].name]
    assert str(found).count("truncated or corrupted") == 2 and "resumed after 1 steps" in str(found)
    forge(tmp_path, saved(content(step=9, identity=RUN | {"seed": 9})), step=9)
    found = checkpoint.newest(tmp_path, RUN)
    assert found.step == 1 and "another run: seed is 9 there and 0 here" in found.refused[0][1]


def test_all_refused_is_an_error_that_says_why(tmp_path):
    kept = [checkpoint.save(tmp_path, state(step), step, RUN) for step in (1, 2)]
    kept[0].write_bytes(b"")
    kept[1].unlink()
    kept[1].mkdir()
    with pytest.raises(
        CheckpointError, match=r"(?s)no checkpoint.*cannot be read.*0 bytes do not match.*delete this one"
    ):
        checkpoint.newest(tmp_path, RUN)


@pytest.mark.parametrize(
    "other, words",
    [
        (RUN | {"seed": 1}, "seed is 0 there and 1 here"),
        ({"config": {"width": 9, "rates": [0.1, 0.2]}, "seed": 0}, "config.width is 8 there and 9 here"),
        (
            {"config": {"width": 8, "rates": [0.1, 0.3]}, "seed": 0},
            "config.rates.1 is 0.2 there and 0.3 here",
        ),
        ({"config": {"width": 8, "rates": [0.1]}, "seed": 0}, "config.rates is"),
        ({"config": None, "seed": 0}, "config is"),
        (RUN | {"more": 1}, "more is missing there and 1 here"),
        ({"seed": 0}, "config is .* there and missing here"),
        (RUN | {"seed": 0.0}, "seed is 0 there and 0.0 here"),
    ],
)
def test_foreign_is_refused_with_the_first_difference(tmp_path, other, words):
    path = checkpoint.save(tmp_path, state(), 1, RUN)
    with pytest.raises(CheckpointError, match=f"another run: {words}"):
        checkpoint.load(path, other)


def test_swapped_files_are_refused(tmp_path):
    a, b = (checkpoint.save(tmp_path, state(step), step, RUN) for step in (1, 2))
    data = a.read_bytes()
    b.write_bytes(data)
    with pytest.raises(CheckpointError, match="truncated or corrupted"):
        checkpoint.load(b, RUN)
    with pytest.raises(CheckpointError, match="it holds step 1"):
        checkpoint.load(forge(tmp_path, data, step=2), RUN)
    with pytest.raises(CheckpointError, match="name is not that of a checkpoint"):
        checkpoint.load(a.rename(tmp_path / "last.pt"), RUN)


@pytest.mark.parametrize("version", ["2.9.1", "2.6.0+cu118", "1.13.1"])
def test_an_old_torch_is_refused_plainly(tmp_path, monkeypatch, version):
    path = checkpoint.save(tmp_path, state(), 1, RUN)
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(CheckpointError, match=rf"needs torch >= 2.10 and this is {version[:3]}.*CVE"):
        checkpoint.load(path, RUN)


def test_another_torch_is_reported(tmp_path):
    forge(tmp_path, saved(content(torch="2.10.0")))
    assert "saved by torch 2.10.0" in str(checkpoint.newest(tmp_path, RUN))


class Call:
    """Pickles as a call of any function: what a hostile file does to run code."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def raw(function, *arguments):
    """A pickle that calls `module.name` even if that cannot be imported here."""
    module, name = function.rsplit(".", 1)
    return f"c{module}\n{name}\n(".encode() + b"".join(f"V{a}\n".encode() for a in arguments) + b"tR."


def archive(pickled, compression=zipfile.ZIP_STORED, records=()):
    """A torch archive around any pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in [("data.pkl", pickled), ("byteorder", b"little"), ("version", b"3\n"), *records]:
            file.writestr(f"archive/{name}", data)
    return buffer.getvalue()


class Oversized(pickle.Pickler):
    """Claims more numbers than the file holds."""

    def persistent_id(self, value):
        return ("storage", torch.FloatStorage, "0", "cpu", 10**12) if value == "STORAGE" else None


def oversized(size, stride):
    buffer = io.BytesIO()
    tensor = Call(torch._utils._rebuild_tensor_v2, "STORAGE", 0, size, stride, False, OrderedDict())
    Oversized(buffer, 2).dump(content(state={"w": tensor}))
    return archive(buffer.getvalue(), records=[("data/0", bytes(64))])


def endless():
    loop = []
    loop.append(loop)
    return {"loop": loop}


def unfolding():
    lists = [0] * 10
    for _ in range(30):
        lists = [lists] * 10
    return lists


def hostile(marker):
    """Files by name; each would create `marker` if its code ran, or is not a plain checkpoint."""
    touch, code = f"touch {marker}", f"open({str(marker)!r}, 'w')"
    calls = {
        "os.system": Call(os.system, touch),
        "os.popen": Call(os.popen, touch),
        "eval": Call(eval, code),
        "exec": Call(exec, code),
        "open": Call(open, str(marker), "w"),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "import": Call(__import__, "antigravity"),
        "io.open": Call(io.open, str(marker), "w"),
        "os.mkdir": Call(os.mkdir, str(marker)),
        "torch.load": Call(torch.load, str(marker)),
        "torch.save": Call(torch.save, 1, str(marker)),
        "numpy.save": Call(np.save, str(marker), np.zeros(1)),
        "an object": checkpoint.Loaded({}, 1, None, "", ()),
        "a module": torch.nn.Linear(1, 1),
        "an array": np.zeros(3),
        "a set": {1, 2},
        "a dtype": torch.float32,
        "a view": torch.ones(1).expand(10**6),
        "a loop": endless(),
        "ten to the thirtieth lists": unfolding(),
    }
    files = {name: saved(content(state={"nets": value})) for name, value in calls.items()}
    files["in the identity"] = saved(content(identity={"config": Call(os.system, touch)}))
    files["instead of everything"] = saved(Call(os.system, touch))
    for name in ("os.system", "posix.system", "subprocess.getoutput", "builtins.eval", "runpy.run_path", "nt.system",
                 "torch.hub.load", "pip.main", "torch.jit.load", "torch.utils.cpp_extension.load"):  # fmt: skip
        files[f"raw {name}"] = archive(raw(name, touch if "eval" not in name else code))
    files["a bare pickle"] = pickle.dumps(content(state={"nets": Call(os.system, touch)}))
    files["the old format"] = saved(
        content(state={"nets": Call(os.system, touch)}), _use_new_zipfile_serialization=False
    )
    files["the old format, harmless"] = saved(content(), _use_new_zipfile_serialization=False)
    files["compressed"] = archive(pickle.dumps(1), zipfile.ZIP_DEFLATED, [("data/0", bytes(10**7))])
    files["a zip in a zip"] = archive(saved(content(state={"nets": Call(os.system, touch)})))
    files["no pickle"] = archive(b"")
    files["an unfinished pickle"] = archive(b"\x80\x02}(")
    files["too large"] = oversized((10**12,), (1,))
    files["negative"] = oversized((-4,), (1,))
    files["strides outside"] = oversized((4, 4), (10**9, 1))
    files["a list"] = saved([content()])
    files["no state"] = saved({k: v for k, v in content().items() if k != "state"})
    files["another format"] = saved(content(format="gentools checkpoint 0"))
    files["no seconds"] = saved({k: v for k, v in content().items() if k != "seconds"})
    files["seconds before they were noted"] = saved(content(format=checkpoint.TIMELESS))
    for seconds in (-1.0, float("nan"), float("inf"), "2", 2):
        files[f"{seconds!r} as seconds"] = saved(content(seconds=seconds))
    files["text as step"] = saved(content(step="1"))
    files["true as step"] = saved(content(step=True))
    files["a web page"] = b"<html>Quota exceeded</html>"
    return files


def test_no_hostile_file_runs_code_or_loads(tmp_path):
    marker = tmp_path / "marker"
    files = hostile(marker)
    for name, data in files.items():
        with pytest.raises(CheckpointError, match="not a safe checkpoint"):
            checkpoint.load(forge(tmp_path, data), RUN)
            pytest.fail(f"{name} was loaded")
        assert not marker.exists(), name
    assert len(files) >= 45
    for frame in (saved(content()), archive(pickle.dumps(content(state={"nets": 1}), 2))):
        assert checkpoint.load(forge(tmp_path, frame), RUN)["step"] == 1  # it was not the frame that was refused


def test_the_hostile_files_are_armed(tmp_path):
    """Proof that the test above can fail: unpickled without the wall, the same bytes do run."""
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(Call(os.system, f"touch {marker}")))
    assert marker.exists()


# Failures while saving ------------------------------------------------------------


@pytest.mark.parametrize("place", ["write", "fsync", "replace"])
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), PermissionError("read-only"), KeyboardInterrupt()]
)
def test_a_failed_save_raises_and_leaves_the_older_ones(tmp_path, monkeypatch, place, error):
    good = checkpoint.save(tmp_path, state(1), 1, RUN)

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        if place == "write":
            real = open

            class Full(io.FileIO):
                def write(self, data):
                    super().write(bytes(data)[:100])
                    raise error

            patch.setattr(
                checkpoint,
                "open",
                lambda path, mode: Full(path, mode) if "w" in mode else real(path),
                raising=False,
            )
        else:
            patch.setattr(checkpoint.os, place, fail)
        with pytest.raises(type(error)) as caught:
            checkpoint.save(tmp_path, state(2), 2, RUN)
    if isinstance(error, OSError) and error.errno:
        assert "make room there" in str(caught.value) and str(tmp_path / "step-000000002-") in str(caught.value)
    assert names(tmp_path) == [good.name]
    assert checkpoint.newest(tmp_path, RUN).step == 1


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError):
        checkpoint.save(tmp_path / "taken", state(), 1, RUN)


def test_the_file_is_durable_before_it_has_its_name(tmp_path, monkeypatch):
    """Order of the system calls: the file's fsync, the rename, the folder's fsync, and only then older ones go."""
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, state(), step, RUN)
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            checkpoint.os,
            name,
            lambda *a, n=name, f=real: (calls.append((n, len(names(tmp_path)))), f(*a))[1],
        )
    checkpoint.save(tmp_path, state(), 4, RUN)
    assert calls == [("fsync", 4), ("replace", 4), ("fsync", 4)] and len(names(tmp_path)) == 3


# What a run took ----


@pytest.fixture
def clock(monkeypatch):
    """Both clocks of a machine on which time passes by hand: {"cpu": seconds, "wall": seconds}."""
    times = {"cpu": 7.0, "wall": 1000.0}
    monkeypatch.setattr(checkpoint.time, "process_time", lambda: times["cpu"])
    monkeypatch.setattr(checkpoint.time, "perf_counter", lambda: times["wall"])
    return times


def work(clock, folder, *steps, cpu=1.0):
    """Go on with the run in `folder`, a second of CPU time and ten on the wall for each step, saving after each of these."""
    found = checkpoint.newest(folder, RUN)
    done = found.step if found else 0
    for step in steps:
        clock["cpu"] += cpu * (step - done)
        clock["wall"] += 10 * (step - done)
        checkpoint.save(folder, state(step), step, RUN)
        done = step
    return checkpoint.load(checkpoint.paths(folder)[0], RUN)["seconds"]


def test_a_checkpoint_keeps_the_seconds_of_all_processes(tmp_path, clock):
    with checkpoint.bill() as earlier:
        assert work(clock, tmp_path, 0, 3, 5) == 5 and earlier() == 0  # all of it was spent here
        clock["cpu"] += 100  # whatever lies between two runs, or was done after the last save, is in neither
        assert work(clock, tmp_path) == 5 and work(clock, tmp_path, 6) == 6 and earlier() == 0
    with checkpoint.bill() as earlier:  # as another process would
        assert work(clock, tmp_path, 8) == 8 and earlier() == 6
        assert work(clock, tmp_path) == 8 and earlier() == 6  # read again: counted once
        assert work(clock, tmp_path / "other", 0, 2) == 2 and earlier() == 6
    with checkpoint.bill() as earlier:
        assert earlier() == 0
        work(clock, tmp_path)
        work(clock, tmp_path / "other")
        assert earlier() == 8 + 2  # both are complete, and only read
        with checkpoint.bill() as inner:
            work(clock, tmp_path)
            assert inner() == 8
        assert earlier() == 8 + 2


def test_an_accelerator_is_billed_by_the_clock_on_the_wall(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(checkpoint, "plain", lambda value, *_, **__: {} if "nets" in value else value)
    checkpoint.newest(tmp_path, RUN)
    clock["cpu"] += 1
    clock["wall"] += 10
    on_meta = {"nets": {"w": torch.zeros(2, device="meta")}}  # a tensor that is not on the CPU
    monkeypatch.setattr(checkpoint, "check_finite", lambda *_: None)
    path = checkpoint.save(tmp_path, on_meta, 1, RUN)
    assert torch.load(path, weights_only=True)["seconds"] == 10


def test_checkpoints_from_before_the_seconds_count_as_none(tmp_path, clock):
    old = {key: value for key, value in content(format=checkpoint.TIMELESS).items() if key != "seconds"}
    forge(tmp_path, saved(old))
    with checkpoint.bill() as earlier:
        assert work(clock, tmp_path) == 0 and work(clock, tmp_path, 4) == 3 and earlier() == 0
    assert same(checkpoint.load(checkpoint.paths(tmp_path)[1], RUN)["state"], state())
    assert work(clock, tmp_path / "by hand", 0) == 0


# Two at once ------------------------------------------------------------


def holder(folder):
    """Another process that has taken the lock of `folder` and sleeps."""
    code = "import sys, time\nfrom gentools.lab.lock import lock\nwith lock(sys.argv[1]):\n"
    code += "    print('held', flush=True)\n    time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_folder_belongs_to_one_process_and_a_killed_one_frees_it(tmp_path):
    other = holder(tmp_path / "run")
    try:
        for _ in range(2):
            words = f"process {other.pid} is training in .*another folder"
            with pytest.raises(FolderInUse, match=words), lock(tmp_path / "run"):
                pytest.fail("both hold the folder")
        with lock(tmp_path / "elsewhere"), lock(None):
            pass
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        other.stdout.close()
    assert names(tmp_path / "run") == [".lock"]  # what a killed process leaves does not count
    with lock(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").read_text() == f"process {os.getpid()}\n"
    assert names(tmp_path / "run") == []


def test_a_patient_run_waits_for_another_process_and_not_for_its_own(tmp_path, capsys):
    other = holder(tmp_path / "run")
    killer = threading.Timer(1.0, os.kill, (other.pid, signal.SIGKILL))
    killer.start()
    try:
        with patient(), lock(tmp_path / "run"):
            assert not killer.is_alive()  # the other one has ended
            with pytest.raises(FolderInUse, match="is training in"), lock(tmp_path / "run"):
                pytest.fail("it waits for itself")
    finally:
        killer.cancel()
        other.kill()
        other.wait()
        other.stdout.close()
    assert capsys.readouterr().out == f"  waiting for process {other.pid}, which is training in {tmp_path / 'run'}\n"
    with lock(tmp_path / "run"), pytest.raises(FolderInUse), lock(tmp_path / "run"):
        pytest.fail("both hold the folder")


def test_a_run_that_fails_frees_its_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt), lock(tmp_path):
        with pytest.raises(FolderInUse), lock(tmp_path):  # a second run of the same process
            pytest.fail("both hold the folder")
        raise KeyboardInterrupt
    with lock(tmp_path):
        pass


def test_two_threads_that_train_are_warned_and_runs_inside_of_runs_are_not(recwarn):
    """Both set torch's one generator and draw from it, so that what a step draws depends on the other's pace."""
    with lock(None), lock(None):
        pass
    with lock(None), ThreadPoolExecutor() as threads:
        assert not recwarn.list
        with pytest.warns(UserWarning, match="another thread trains in this process"):
            threads.submit(lambda: lock(None).__enter__()).result()
    with lock(None):
        assert not recwarn.list


@pytest.mark.filterwarnings("ignore:another thread trains")
def test_threads_that_take_turns_are_never_two(tmp_path):
    """A lock file is removed and made again a thousand times, and never do two hold it."""
    inside, most, turns = [], [], []

    def compete():
        while len(turns) < 1000:
            try:
                with lock(tmp_path):
                    inside.append(0)
                    most.append(len(inside))
                    inside.pop()
                    turns.append(0)
            except FolderInUse:
                pass

    with ThreadPoolExecutor() as threads:
        for future in [threads.submit(compete) for _ in range(4)]:
            future.result()
    assert max(most) == 1


def test_only_what_dead_processes_left_is_cleared(tmp_path):
    living = tmp_path / f".step-000000001-0000000000000000.pt.{os.getppid()}.part"
    for path in (living, tmp_path / f".step-000000001-0000000000000000.pt.{dead()}.part"):
        path.write_bytes(b"half a file")
    path = checkpoint.save(tmp_path, state(), 2, RUN)
    assert names(tmp_path) == sorted([living.name, path.name])
