"""Interleaved timing: every side once per round, the order turned around each time."""

from gentools.lab import timing


def test_calls_take_turns_and_each_is_timed():
    order = []
    times = timing.rotate({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert all(len(times[name]) == 3 and min(times[name]) >= 0 for name in "ab")


def test_more_work_takes_more_time():
    assert timing.seconds(lambda: sum(range(2_000_000))) > timing.seconds(lambda: None)
