"""How nbval runs the notebooks: the kernels' environment, what is not compared, and kernels that die."""

import functools
import sys
import time
from queue import Empty

import pytest


def pytest_configure(config):
    """Give every kernel the course's environment, and notice within seconds when one dies."""
    if getattr(config.option, "nbval", False):
        from nbval import kernel

        from gentools.press.notebooks import kernel_env

        kernel.start_new_kernel = functools.partial(kernel.start_new_kernel, env=kernel_env())
        kernel.RunningKernel.get_message = _watchful(kernel.RunningKernel.get_message)


def pytest_collectstart(collector):
    """Warnings name files of one kernel process, so stderr is not compared; notebook lint refuses it when stored."""
    if type(collector).__module__.startswith("nbval") and hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)


def pytest_runtest_setup(item):
    """A kernel that died fails one cell, the first that notices; those after it are skipped and say why."""
    kernel = getattr(item.parent, "kernel", None)
    if kernel is not None and type(item).__module__.startswith("nbval") and not kernel.is_alive():
        if getattr(kernel, "death_told", False):
            pytest.skip("the kernel died in an earlier cell, which failed")
        kernel.death_told = True


def _watchful(get_message):
    """nbval 0.11 waits out the cell timeout when a kernel dies; look every second whether it lives."""

    def wait(self, stream, timeout=None):
        end = time.monotonic() + (sys.maxsize if timeout is None else timeout)
        while True:
            try:
                return get_message(self, stream, timeout=max(0.01, min(1, end - time.monotonic())))
            except Empty:
                if not self.is_alive():
                    self.death_told = True
                    raise RuntimeError("the kernel died (out of memory, or a crash in compiled code)") from None
                if time.monotonic() >= end:
                    raise

    return wait
