"""What recipes share: verdicts that never raise, names that stay apart, runs that resume, judges, critics, drawings."""

import functools
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from gentools import evaluation, gan, recipes
from gentools.lab import closure
from gentools.lab.networks import classifier, mlp
from gentools.lab.optim import adam
from gentools.lab.plots import COLORS
from gentools.lab.randomness import generator
from gentools.lab.records import summarize
from gentools.lab.stream import Stream, unit
from gentools.lab.training import train
from gentools.recipes import recording
from gentools.recipes.shared import arms, curves, diagrams, drawing, fitting, judging, pictures, points, verdicts

# Verdicts

NONE = summarize([math.nan, math.inf])
ONE = summarize([3.0])
seeds = st.lists(st.floats(-100, 100) | st.just(math.nan), min_size=1, max_size=6)


def disjoint(one, other):
    """By the definition of the intervals, from the numbers themselves."""
    ends = []
    for values in (one, other):
        values = [v for v in values if math.isfinite(v)]
        if len(values) < 3:
            return 0
        half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
        ends.append((sum(values) / len(values) - half, sum(values) / len(values) + half))
    (a, b), (c, d) = ends
    return 1 if a > d + 1e-9 else -1 if b < c - 1e-9 else 0


@given(seeds, seeds)
def test_two_arms_are_separated_where_their_intervals_do_not_meet(one, other):
    found = verdicts.separated(summarize(one), summarize(other))
    assert found == -verdicts.separated(summarize(other), summarize(one))
    expected = disjoint(one, other)
    assert found == expected or expected == 0, "intervals that touch to rounding may be either"


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=6))
def test_the_sign_of_an_effect_is_that_of_a_t_test(values):
    effect = summarize(values)
    p = stats.ttest_1samp(values, 0).pvalue if max(values) > min(values) else float(values[0] == 0)
    if abs(p - 0.05) > 1e-6:
        assert verdicts.sign(effect) == (0 if p > 0.05 else math.copysign(1, effect["mean"]))


@given(st.lists(seeds, min_size=1, max_size=4))
def test_nothing_raises_and_every_finished_arm_has_one_place(values):
    arms_ = {f"arm {i}": summarize(v) for i, v in enumerate(values)}
    finished = {name for name, s in arms_.items() if verdicts.finished(s)}
    for least_first in (False, True):
        groups = verdicts.order(arms_, least_first)
        assert sorted(itertools.chain(*groups)) == sorted(finished)
        firsts = [arms_[group[0]]["mean"] for group in groups]
        assert firsts == sorted(firsts, reverse=not least_first)
        assert all(verdicts.separated(arms_[g[0]], arms_[h[0]]) for g, h in itertools.pairwise(groups))
        text = verdicts.ordered(arms_, least_first)
        met = itertools.chain(*(itertools.product(g, h) for g, h in itertools.combinations(groups, 2)))
        assert ("intervals meet" in text) == any(not verdicts.separated(arms_[a], arms_[b]) for a, b in met)
        assert verdicts.best(arms_, least_first) in finished | {"none"}
    assert verdicts.failures(arms_) == "" or any(s["failed"] for s in arms_.values())
    for s in arms_.values():
        assert verdicts.span(s) and verdicts.interval(s) and verdicts.mean(s)
        assert 0 <= verdicts.finished(s) <= s["n"]
        assert not (verdicts.always_above(s, 0) and verdicts.always_below(s, 0))


def test_fewer_than_three_seeds_separate_nothing_and_no_seed_says_so():
    far = summarize([100.0, 101.0, 102.0])
    assert verdicts.separated(ONE, far) == verdicts.separated(far, ONE) == verdicts.separated(NONE, far) == 0
    assert verdicts.sign(ONE) == verdicts.sign(NONE) == verdicts.sign(summarize([2.0, 2.1])) == 0
    assert verdicts.sign(summarize([2.0] * 3)) == 1 and verdicts.sign(summarize([-2.0, -2.1, -2.0])) == -1
    assert verdicts.interval(summarize([2.0, 2.1])) == verdicts.span(summarize([2.0, 2.1])) == "2 to 2.1"
    assert verdicts.span(NONE) == verdicts.interval(NONE) == verdicts.mean(NONE) == "no run finished"
    assert verdicts.span(ONE) == verdicts.interval(ONE) == "3"
    assert verdicts.order({"a": NONE}) == [] and verdicts.ordered({"a": NONE}) == "no run finished"
    assert not verdicts.always_above(NONE, -9) and not verdicts.always_below(NONE, 9) and not verdicts.near(NONE, 0, 9)
    assert verdicts.count(NONE) == 0 and verdicts.count(summarize([1.0, 0.0, math.nan])) == 1


def test_a_mean_lies_beside_a_value_where_its_interval_leaves_it_out():
    values = summarize([1.0, 2.0, 3.0])  # 2 -+ 2.48
    assert [verdicts.beside(values, at) for at in (-0.5, -0.4, 2, 4.4, 4.5)] == [1, 0, 0, 0, -1]
    assert verdicts.beside(ONE, 9) == verdicts.beside(NONE, 9) == 0


def test_what_failed_is_counted_and_forbids_a_claim_about_every_seed():
    some = summarize([5.0, 6.0, math.nan])
    assert verdicts.always_above(summarize([5.0, 6.0]), 4) and not verdicts.always_above(some, 4)
    assert verdicts.ranges_apart(summarize([5.0, 6.0]), summarize([1.0])) == 1
    assert verdicts.ranges_apart(some, summarize([1.0])) == 0
    assert verdicts.span(some) == "5 to 6 (1 of 3 runs failed)"
    assert verdicts.failures({"A": some, "B": NONE, "C": ONE}) == "1 of 3 runs failed with A, all 2 with B"


def test_intervals_are_possible_values():
    share = summarize([0.0, 0.01, 0.0, 0.1])
    assert share["low"] < 0
    overlap = recording.summary_of("grid, KL: overlap", [0.0, 0.01, 0.0, 0.1])
    assert overlap["low"] == 0 and overlap["high"] == share["high"]
    gain = recording.summary_of("KL minus saturating: overlap", [0.0, 0.01, 0.0, 0.1])
    assert gain == share, "a difference may be negative"
    late = recording.summary_of("VAE: distance, change over the last quarter", [0.0, 0.01, 0.0, 0.1])
    assert late == share, "a distance ends at 0, its change does not"


@pytest.mark.parametrize("happened, n", [(0, 5), (5, 5), (3, 10)])
def test_the_interval_of_an_event_is_wilsons(happened, n):
    """The shares whose own standard error puts the observed one within 1.96 of them."""
    found = recording.summary_of("plain: collapsed", [1.0] * happened + [0.0] * (n - happened) + [math.nan])
    within = [p for p in torch.linspace(0, 1, 100_001).tolist()
              if abs(happened / n - p) <= stats.norm.ppf(0.975) * math.sqrt(p * (1 - p) / n) + 1e-12]  # fmt: skip
    assert (found["low"], found["high"]) == pytest.approx((min(within), max(within)), abs=2e-5)
    assert found["mean"] == happened / n and found["failed"] == 1


def test_a_score_has_settled_where_its_change_is_small_and_has_no_sign():
    score = summarize([1.0, 2.0, 3.0])  # the interval reaches 2.48 to either side
    assert verdicts.settling(score, summarize([-0.1, 0.0, 0.1])) == "settled"
    assert verdicts.settling(score, summarize([0.1] * 3)) == "still rising"  # by little, but in every seed
    assert verdicts.settling(score, summarize([-9.0, -1.0, 1.0])) == "still moving"  # of no sign, but by much
    assert (
        verdicts.settling(score, summarize([-9.0, -1.0, -1.0])) == "still falling"
    )  # the interval holds 0; every run fell
    assert verdicts.settling(score, summarize([9.0, 1.0, 1.0])) == "still rising"
    assert verdicts.settling(ONE, summarize([0.0] * 3)) == verdicts.settling(score, NONE) == "not known"


@pytest.mark.parametrize(("n", "since"), [(1, 0), (2, 0), (3, 1), (4, 2), (8, 5), (20, 14)])
def test_the_change_of_a_curve_is_that_of_its_last_quarter(n, since):
    curve = torch.arange(n).double() ** 2
    assert curves.change(curve) == curves.change(curve.tolist()) == (n - 1) ** 2 - since**2
    assert curves.last_quarter(curve) == curve[n - max(1, n // 4) :].mean()


def test_the_best_rate_is_named_with_the_end_that_it_lies_at():
    values = {("A", 1e-3): 1, ("A", 3e-3): 3, ("A", 1e-2): 2, ("B", 1e-3): 2, ("B", 1e-2): 1}
    for what in (None, "overlap"):
        summary = {arms.at_rate(arm, rate, what): summarize([v, v + 0.1]) for (arm, rate), v in values.items()}
        found = arms.trials(summary, ("A", "B", "C"), (1e-2, 1e-3, 3e-3, 1.0), what)
        assert {arm: set(rates) for arm, rates in found.items()} == {"A": {1e-3, 3e-3, 1e-2}, "B": {1e-3, 1e-2}}
        assert verdicts.best_rates(found, "x") == "Best rate by mean x: A 0.003, B 0.001 (an end of those tried)."
        least = verdicts.best_rates(found, "x", least_first=True)
        assert least == "Best rate by mean x: A 0.001 (an end of those tried), B 0.01 (an end of those tried)."
    failed = verdicts.best_rates({"A": {1e-3: NONE, 1e-2: NONE}}, "x")
    assert failed == "Best rate by mean x: A none, for no run finished."


def test_groups_hold_what_is_not_separated_from_their_best():
    tight = {name: summarize([m, m + 0.01, m + 0.005]) for name, m in (("c", 1.0), ("b", 5.0), ("a", 5.005))}
    assert verdicts.order(tight) == [["a", "b"], ["c"]] and verdicts.ordered(tight) == "a and b before c"
    assert verdicts.order(tight, least_first=True) == [["c"], ["b", "a"]]
    assert verdicts.listed([]) == "none" and verdicts.listed("abc") == "a, b and c"
    wide = tight | {"b": summarize([4.0, 4.01, 4.005]), "c": summarize([0.0, 3.9, 6.9])}  # c's interval holds a and b
    assert verdicts.order(wide) == [["a"], ["b", "c"]]  # c, behind b by its mean, does not pass it into a's group
    assert verdicts.ordered(wide) == "a before b and c (intervals meet: a with c)"


def test_an_order_names_what_it_does_not_separate():
    """An interval may reach from one group into the others, and "before" then says too much of that arm."""
    spread = {"a": 0.1, "b": 3.0, "c": 0.1, "d": 3.0, "e": 0.1}
    means = {"a": 10.0, "b": 9.8, "c": 8.0, "d": 7.9, "e": 5.0}
    arms_ = {name: summarize([means[name] - spread[name], means[name], means[name] + spread[name]]) for name in means}
    assert verdicts.order(arms_) == [["a", "b"], ["c", "d"], ["e"]]
    told = "a and b before c and d before e (intervals meet: b with c, d and e; d with a and e)"
    assert verdicts.ordered(arms_) == told
    assert verdicts.ordered(arms_ | {"f": NONE}) == told[:-1] + "; all 2 runs failed with f)"


# Arms


def test_numbers_are_named_once():
    numbers = {(("grid", "KL"), "modes"): 3.0, ("KL", "modes"): 4.0}
    assert arms.named(numbers) == {"grid, KL: modes": 3.0, "KL: modes": 4.0}
    summary = {name: summarize([value]) for name, value in arms.named(numbers).items()}
    assert arms.scores(summary, ["KL", "none"], "modes") == {"KL": summary["KL: modes"]}
    with pytest.raises(ValueError, match="one name"):
        arms.named({("a, b", "c"): 1.0, (("a", "b"), "c"): 2.0})


# Training


def player(seed=0):
    nets = gan.toy_networks(seed, width=8)
    return nets, fitting.adams(nets, 1e-3, (0.5, 0.999))


def test_fit_is_train_with_its_stream():
    rows = points.RING.draw(200, 0)[0]
    nets, opts = player()
    history = fitting.fit(gan.step, nets, opts, rows, 2, batch=20, steps=12, seed=3, device="cpu")
    other, opts = player()
    direct = train(gan.step, other, opts, Stream(rows, 20, 2), 12, 3)
    assert torch.equal(history["generator"], direct["generator"])
    assert all(torch.equal(a, b) for a, b in zip(nets.parameters(), other.parameters(), strict=True))


def test_an_optimizer_for_each_network_leaves_frozen_parts_out():
    nets, _ = player()
    frozen = nets["generator"][0].requires_grad_(False)
    opts = fitting.adams(nets, {"generator": 1.0, "discriminator": 2.0}, (0.5, 0.9))
    assert [opts[name].param_groups[0]["lr"] for name in ("generator", "discriminator")] == [1.0, 2.0]
    assert opts["generator"].param_groups[0]["betas"] == (0.5, 0.9)
    trained = opts["generator"].param_groups[0]["params"]
    assert not {id(p) for p in trained} & {id(p) for p in frozen.parameters()} and trained


def where(monkeypatch, tmp_path, **changes):
    """The folder of one run whose settings are changed."""
    monkeypatch.setenv("GENTOOLS_CHECKPOINTS", str(tmp_path))
    plain = dict(step=gan.step, start=0, rows=0, batch=20, steps=fitting.LONG, seed=3, rate=1e-3, watch=None, every=100)
    given = plain | changes
    nets = gan.toy_networks(given["start"], width=8)
    stream = Stream(points.RING.draw(200, given["rows"])[0], given["batch"], 2)
    how = {"watch": given["watch"], "log_every": given["every"]}
    opts = fitting.adams(nets, given["rate"])
    return fitting.run_folder(given["step"], nets, opts, stream, given["steps"], given["seed"], how)


CHANGES = {
    "step": gan.penalized_step,
    "start": 1,
    "rows": 1,
    "batch": 21,
    "steps": fitting.LONG + 1,
    "seed": 4,
    "rate": 2e-3,
    "watch": evaluation.modes,
    "every": 50,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_is_kept_under_all_that_decides_it(monkeypatch, tmp_path, name):
    first = where(monkeypatch, tmp_path)
    assert first.parent == tmp_path and first == where(monkeypatch, tmp_path)
    assert where(monkeypatch, tmp_path, **{name: CHANGES[name]}) != first


def test_arguments_filled_into_a_step_decide_its_run_and_short_runs_are_not_kept(monkeypatch, tmp_path):
    saturating, kl = (functools.partial(gan.step, generator_loss=gan.LOSSES[name]) for name in ("saturating", "KL"))
    weak, strong = (functools.partial(gan.penalized_step, penalty_weight=w) for w in (0.1, 0.2))
    found = [where(monkeypatch, tmp_path, step=step) for step in (saturating, kl, weak, strong)]
    assert len(set(found)) == 4
    assert where(monkeypatch, tmp_path, steps=fitting.LONG - 1) is None


def test_a_kept_run_goes_on_where_it_was_stopped(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("GENTOOLS_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr(fitting, "LONG", 1)
    rows, ends = points.RING.draw(200, 0)[0], []

    def run(stop=math.inf):
        nets, opts = player()

        def watch(done):
            if done > stop:
                raise KeyboardInterrupt
            return {"seen": done}

        history = fitting.fit_kept(gan.step, nets, opts, rows, 2, batch=20, steps=12, seed=3, device="cpu", watch=watch,
                                   log_every=4, save_every=4)  # fmt: skip
        ends.append((history["generator"], [w["seen"] for w in history.watched], next(nets.parameters()).detach()))

    with pytest.raises(KeyboardInterrupt):
        run(stop=7)
    run()
    assert "resumed after 4 steps" in capsys.readouterr().out
    run()
    nets, opts = player()
    whole = fitting.fit(gan.step, nets, opts, rows, 2, batch=20, steps=12, seed=3, device="cpu")
    for losses, seen, weight in ends:
        assert torch.equal(losses, whole["generator"]) and seen == [4, 8, 12]
        assert torch.equal(weight, next(nets.parameters()))


# Judges and critics


def test_a_judge_learns_and_is_the_hand_written_loop():
    images, labels = pictures.labeled("digits", "train")
    assert images.shape == (1500, 1, 8, 8) and images.dtype == torch.uint8
    test, truth = pictures.labeled("digits", "test")
    net = judging.train_judge(classifier(8, generator=generator(0, "judge")), images, labels, steps=300, seed=1)
    assert judging.accuracy(net, unit(test), truth) > 0.9 and not any(p.requires_grad for p in net.parameters())
    features, probabilities = judging.judged(net, unit(test))
    assert features.shape == (297, 64) and torch.allclose(probabilities.sum(1), torch.ones(297))
    assert torch.equal(probabilities.argmax(1), judging.named(net, unit(test)))
    other, stream = classifier(8, generator=generator(0, "judge")), Stream((images, labels), 128, 1)
    opt = adam(other.parameters(), 1e-3)
    for t in range(300):
        x, y = stream.batch(1, t)
        opt.zero_grad()
        nn.functional.cross_entropy(other(x), y).backward()
        opt.step()
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def gaussians(shift, n, key):
    x = torch.randn(2, n, 1, generator=generator(0, "two Gaussians", key))
    return x[0], x[1] + shift


def true_js(shift):
    """JS of N(0, 1) and N(shift, 1) by quadrature."""
    x = torch.linspace(-12, 16, 20_001, dtype=torch.float64)
    p, q = (torch.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (0.0, shift))
    m, dx = (p + q) / 2, x[1] - x[0]
    return float(((p * (p / m).log() + q * (q / m).log()) / 2).nan_to_num().sum() * dx)


@pytest.mark.parametrize("logits", [evaluation.apart, evaluation.together])
@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_a_critic_finds_the_divergence_and_no_more(shift, logits):
    critic = mlp([1, 32, 1], generator=generator(0, "critic"))
    batches = (gaussians(shift, 256, t) for t in range(600))
    real, fake = gaussians(shift, 20_000, "held out")
    bound = evaluation.critic_bound(critic, adam(critic.parameters(), 3e-3), batches, real, fake, logits)
    assert true_js(shift) - 0.02 < bound < true_js(shift) + 0.01 and not critic.training


def test_batch_norm_sees_real_and_fake_apart_or_together():
    critic = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
    x, y = torch.randn(2, 8, 1, generator=generator(0, "norm")) + torch.tensor([[[0.0]], [[9.0]]])
    a, b = evaluation.apart(critic, x, y)
    assert torch.allclose(a.mean(), b.mean(), atol=1e-5)
    a, b = evaluation.together(critic, x, y)
    assert (a.mean() - b.mean()).abs() > 0.1 * critic[1].weight.abs().item()


# Pictures and points


def test_pictures_are_split_without_overlap():
    rows = torch.cat([pictures.labeled("digits", split)[0] for split in ("train", "test")])
    assert len(rows) == 1797
    assert pictures.enlarged(rows[:2], 2).shape == (2, 1, 16, 16)
    assert torch.equal(pictures.enlarged(rows[:2], 2)[..., 1::2, ::2], rows[:2])
    bits = pictures.held_out_bits(rows[:9])
    assert bits.unique().tolist() == [0, 1] and torch.equal(bits, pictures.held_out_bits(rows[:9]))
    assert pictures.signed_bytes(torch.tensor([-1.0, 1.0])).tolist() == [0, 255]


@pytest.mark.parametrize("kind", [points.RING, points.GRID])
def test_true_points_score_as_their_chance_line(kind):
    found, (modes, quality) = points.score(kind.draw(2500, 0)[0], kind), points.chance(kind)["true data"]
    assert found.covered == len(kind.centers()) == round(modes)
    assert found.quality == pytest.approx(quality, abs=0.01)


# Drawing


def test_an_arm_looks_alike_everywhere():
    found = drawing.looks({"a": "first", "b": "second"})
    assert found["a"].rgb == COLORS["blue"] and found["b"].label == "second"
    assert found["a"].as_line()["ls"] != found["b"].as_line()["ls"] and found["a"].marker != found["b"].marker
    assert found["a"].as_points(label=None)["label"] is None and found["a"].as_both()["marker"] == "o"
    with pytest.raises(ValueError, match="several panels"):
        drawing.looks(range(8))


def test_points_and_curves_show_every_seed_and_their_mean():
    from matplotlib import pyplot as plt

    fig, (left, right) = drawing.panels(1, 2)
    look = drawing.Look("arm", "green")
    drawing.seed_points(left, 2, [1.0, 3.0, math.nan], look)
    dots, bar = left.lines
    assert dots.get_ydata()[:2].tolist() == [1, 3] and list(bar.get_ydata()) == [2, 2] and sum(bar.get_xdata()) == 4
    drawing.seed_points(left, 0, [5.0], look)
    assert left.lines[2].get_xdata().tolist() == [0]
    curves = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    drawing.band(right, [0, 1], curves, look)
    assert right.lines[0].get_ydata().tolist() == [2, 4] and right.collections[0].get_datalim(right.transData).y1 == 6
    drawing.seed_curves(right, [0, 1], curves, look)
    assert [line.get_ydata().tolist() for line in right.lines[1:]] == curves.tolist()
    assert right.get_legend_handles_labels()[1] == ["arm", "arm"]
    plt.close(fig)


def test_rows_of_pictures_are_square_and_titled():
    from matplotlib import pyplot as plt

    fig = plt.figure()
    rows = {"first": torch.arange(8.0).reshape(2, 4) / 8, "second": torch.ones(3, 9)}
    drawing.picture_rows(fig, rows)
    assert [ax.get_title(loc="left") for ax in fig.axes] == list(rows)
    (drawn,) = fig.axes[0].images
    assert drawn.get_array()[:2, :2].tolist() == [[0, 1 / 8], [2 / 8, 3 / 8]]  # the first picture, row by row
    assert fig.axes[1].images[0].get_array().shape == (4, 12)  # three pictures of 3 by 3 with lines between
    plt.close(fig)


def test_columns_stand_under_the_labels_of_their_arms():
    from matplotlib import pyplot as plt

    fig, ax = drawing.panels()
    results = [{"numbers": {"x: modes": torch.tensor(v), "y: modes": v + 1}} for v in (1.0, 2.0)]
    names = {arm: arms.name(arm, "modes") for arm in "xy"}
    drawing.seed_columns(ax, results, names, drawing.looks({"x": "one", "y": "two"}))
    drawing.level(ax, 1.5, "chance")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["one", "two"]
    assert ax.lines[2].get_ydata().tolist() == [2, 3] and ax.texts[0].get_text() == "chance"
    plt.close(fig)


def test_a_diagram_is_a_recipe_without_a_run():
    from matplotlib import pyplot as plt

    def picture():
        fig, ax = diagrams.canvas((4, 2), (0, 4), (0, 2))
        diagrams.box(ax, 1, 1, "x", "blue")
        diagrams.block(ax, 2, 0.5, 1.0, "green")
        diagrams.arrow(ax, (1, 1), (2, 1))
        return fig

    recipe = diagrams.diagram(picture, title="t", caption="c", alt="a")
    assert recipe.result("quick") == {"numbers": {}, "arrays": {}}
    fig = recipe.draw([recipe.result("full")], recipe.config("full"))
    assert len(fig.axes[0].patches) == 4
    plt.close(fig)


# What moves no number


def test_where_a_run_keeps_its_checkpoints_is_no_part_of_a_figures_code():
    reached = closure.reached([fitting.fit_kept])
    assert ("gentools.recipes.shared.fitting", "run_folder") not in reached
    assert ("gentools.lab.training", "train") in reached
    assert "run_folder" not in str(closure.shape("gentools.recipes.shared.fitting", "fit_kept"))


def test_a_recipe_without_a_quick_size_is_quick_as_it_is():
    recipe = recipes.Recipe("t", "c", "a", run=None, draw=None, full=3)
    assert recipe.config("quick") == recipe.config("full") == 3
    with pytest.raises(ValueError, match="no scale 'cpu'"):
        recipe.config("cpu")
