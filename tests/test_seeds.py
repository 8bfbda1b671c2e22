"""The pool of seeds: order, threads, errors that carry their seed, Ctrl-C."""

import functools
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from gentools.lab.seeds import SeedError, run_seeds


def work(factor, seed):
    time.sleep(0.2 * (seed == 3))  # the first seed arrives last
    threads = (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"])
    return {"value": factor * seed, "draw": torch.rand(2), "threads": threads, "pid": os.getpid()}


def fail(seed):
    if seed == 2:
        raise KeyError("a missing thing")
    return seed


def die(seed):
    os.kill(os.getpid(), signal.SIGKILL)


def unpicklable(seed):
    return lambda: seed


def test_results_in_order_from_single_threaded_processes(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    seen = []
    results = run_seeds(functools.partial(work, 10), [3, 1, 2, 0], jobs=2, done=lambda seed, _: seen.append(seed))
    assert [r["value"] for r in results] == [30, 10, 20, 0] and sorted(seen) == [0, 1, 2, 3]
    assert all(r["threads"] == (1, "1") for r in results)
    pids = {r["pid"] for r in results}
    assert len(pids) == 2 and os.getpid() not in pids
    assert os.environ["OMP_NUM_THREADS"] == "2"
    for seed, result in zip([3, 1, 2, 0], results):
        expected = torch.rand(2, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(result["draw"], expected)


def test_no_seeds_need_no_process():
    assert run_seeds(fail, []) == []


def test_an_error_carries_its_seed():
    with pytest.raises(SeedError, match=r"seed 2: KeyError: 'a missing thing'(.|\n)*in fail") as caught:
        run_seeds(fail, [0, 2, 5], jobs=1)
    assert caught.value.seed == 2


def test_a_killed_process_carries_its_seed():
    with pytest.raises(SeedError, match="seed 7: its process died with exit code -9"):
        run_seeds(die, [7], jobs=1)


def test_a_result_that_cannot_travel_carries_its_seed():
    with pytest.raises(SeedError, match=r"seed 4: .*(pickle|local object)"):
        run_seeds(unpicklable, [4], jobs=1)


def test_refuses_what_cannot_be_imported():
    for function in (lambda seed: seed, functools.partial(lambda a, seed: seed, 1)):
        with pytest.raises(ValueError, match="top level of a module"):
            run_seeds(function, [0])
    for jobs in (0, -1, 1.5):
        with pytest.raises(ValueError, match="jobs"):
            run_seeds(fail, [0], jobs=jobs)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_ctrl_c_stops_all(tmp_path):
    """SIGINT to the whole foreground group, as a terminal sends it: no process stays, no traceback of theirs shows."""
    (tmp_path / "slow_seed.py").write_text(
        textwrap.dedent("""
        import os, pathlib, time
        def slow(seed):
            pathlib.Path(__file__).with_name(f"pid-{os.getpid()}").touch()
            time.sleep(60)
        """)
    )
    # A shell without job control starts what runs in the background with SIGINT ignored, and so would this test.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += f"sys.path.insert(0, {str(tmp_path)!r}); import slow_seed\n"
    code += "from gentools.lab.seeds import run_seeds\nrun_seeds(slow_seed.slow, range(4), jobs=2)"
    run = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("pid-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    pids = [int(p.name[4:]) for p in tmp_path.glob("pid-*")]
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=20)
    assert len(pids) == 2 and run.returncode != 0
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
    assert not any(alive(pid) for pid in pids)
