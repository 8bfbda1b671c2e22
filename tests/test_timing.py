"""Interleaved timing: every side once per round, the order turned around each time."""

from gentools.lab import timing


def test_calls_take_turns_and_each_is_timed():
    order = []
    times = timing.rotate({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert all(len(times[name]) == 3 and min(times[name]) >= 0 for name in "ab")


def test_more_work_takes_more_time():
    assert timing.seconds(lambda: sum(range(2_000_000))) > timing.seconds(lambda: None)


def test_a_short_call_is_repeated_until_the_clock_can_tell():
    calls = []
    seconds = timing.per_call(lambda: calls.append(0), least=0.02)
    assert len(calls) > 1000 and 0.02 <= seconds * len(calls) < 0.1


def test_repeated_calls_take_turns_and_the_best_round_counts(monkeypatch):
    order, found = [], iter([4.0, 5.0, 2.0, 6.0])
    monkeypatch.setattr(timing, "per_call", lambda call, least: (order.append((call, least)), next(found))[1])
    assert timing.interleaved({"a": "one", "b": "other"}, rounds=2, least=0.3) == {"b": 4.0, "a": 2.0}
    assert order == [("other", 0.3), ("one", 0.3), ("one", 0.3), ("other", 0.3)]
