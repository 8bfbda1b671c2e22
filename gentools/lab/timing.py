"""Timing side by side: ratios within one run, every side in every round. For benchmarks/ and figures that show seconds."""

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


def per_call(call, least=0.2):
    """CPU seconds of one call(), from as many calls on end as take at least `least` seconds: a clock's ticks are coarse."""
    calls, begin = 0, time.process_time()
    while (passed := time.process_time() - begin) < least:
        call()
        calls += 1
    return passed / calls


def interleaved(calls, rounds=3, least=0.2):
    """CPU seconds of one of each call by `per_call`, the best of some rounds in which they take turns: {name: seconds}."""
    times = {name: [] for name in calls}
    for i in range(rounds):
        for name in list(calls)[:: 1 if i % 2 else -1]:
            times[name].append(per_call(calls[name], least))
    return {name: min(found) for name, found in times.items()}
