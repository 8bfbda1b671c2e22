"""Timing side by side, for the scripts in benchmarks/: ratios within one run, every side in every round."""

import time


def seconds(call):
    """CPU seconds of this process that call() takes; other work on the machine hardly counts."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


def rotate(calls, rounds):
    """CPU seconds of every call in every round, taking turns in alternating order: {name: [seconds]}."""
    times = {name: [] for name in calls}
    for i in range(rounds):
        for name in list(calls)[:: 1 if i % 2 else -1]:
            times[name].append(seconds(calls[name]))
    return times
