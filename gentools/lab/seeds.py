"""The seeds of one experiment side by side: one single-threaded process per core."""

import functools
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class SeedError(RuntimeError):
    """What went wrong in one seed: `seed` names it, the message ends with the traceback of its process.

    kind: name of the exception that stopped it, None if the process died. said: the exception's own text.
    """

    def __init__(self, seed, kind, said, trace=""):
        self.seed, self.kind, self.said = seed, kind, said
        super().__init__(f"seed {seed}: {kind}: {said}\n{trace}" if kind else f"seed {seed}: {said}")


def run_seeds(function, seeds, jobs=None, done=None):
    """[function(seed) for seed in seeds], computed in `jobs` processes (default: one per core).

    Each process has one thread, so a result does not depend on `jobs`, and torch's global generator is set from the
    seed. function: of a module, because a fresh process has to import it; functools.partial of one is fine; a notebook
    cell's or a nested function raises ValueError. done(seed, result): called here as each result arrives.
    The first seed that fails stops the others and raises SeedError; Ctrl-C stops all.
    """
    seeds = list(seeds)
    jobs = len(_cores()) if jobs is None else jobs
    if not isinstance(jobs, int) or jobs < 1:
        raise ValueError(f"jobs must be a whole number, at least 1, not {jobs!r}")
    call = _importable(function)
    results, todo, workers = {}, list(enumerate(seeds)), {}
    try:
        with _quiet_start():
            for _ in range(min(jobs, len(seeds))):
                _start(call, workers)
        for pipe in workers:
            _give(pipe, workers, todo)
        while len(results) < len(seeds):
            for pipe in wait(list(workers)):
                place, seed = workers[pipe][1]
                ok, value = _receive(pipe, workers[pipe][0], seed)
                if not ok:
                    raise SeedError(seed, *value)
                results[place] = value
                _give(pipe, workers, todo)
                if done is not None:
                    done(seed, value)
    finally:
        for pipe, (process, _) in workers.items():
            process.terminate()
            process.join()
            pipe.close()
    return [results[place] for place in range(len(seeds))]


def _importable(function):
    """The function as bytes, after making sure that another process can import it."""
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = getattr(inner, "__qualname__", repr(inner))
    if getattr(inner, "__module__", "__main__") == "__main__" or "<" in name:
        raise ValueError(f"{name} cannot be imported by another process; write it at the top level of a module")
    return pickle.dumps(function)


def _start(call, workers):
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(call, there), daemon=True)
    process.start()
    there.close()  # so that the death of the process closes the pipe
    workers[here] = (process, None)


def _give(pipe, workers, todo):
    """Hand the next seed to the process behind `pipe`, or let it go."""
    process, _ = workers[pipe]
    if todo:
        workers[pipe] = (process, todo.pop(0))
        with suppress(OSError):  # it died: reading from the pipe will tell
            pipe.send(workers[pipe][1][1])
    else:
        del workers[pipe]
        pipe.close()
        process.join()


def _receive(pipe, process, seed):
    try:
        return pickle.loads(pipe.recv_bytes())
    except (EOFError, OSError):
        process.join()
        return False, (None, f"its process died with exit code {process.exitcode} (out of memory, or killed?)")


def _work(call, pipe):
    """What a process does: compute seeds until the pipe closes."""
    os.environ["TQDM_DISABLE"] = "1"  # many bars at once are noise
    import torch

    torch.set_num_threads(1)
    function = None
    while True:
        try:
            seed = pipe.recv()
        except EOFError:
            return
        try:
            torch.manual_seed(seed)
            function = function or pickle.loads(call)
            answer = pickle.dumps((True, function(seed)))
        except BaseException as error:  # SystemExit too: the parent must hear of it
            answer = pickle.dumps((False, (type(error).__name__, str(error), traceback.format_exc())))
        pipe.send_bytes(answer)


@contextmanager
def _quiet_start():
    """Start processes that have one thread each and leave Ctrl-C to this one."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None  # inherited: only this process stops
    try:
        yield
    finally:
        if main and handler is not None:
            signal.signal(signal.SIGINT, handler)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _cores():
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
