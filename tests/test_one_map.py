"""Chapter 17: the map balances row by row, the ledger of claims follows the records, and the last models are right."""

import dataclasses
import functools
import inspect
import itertools
import math
import statistics
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chapters import source

from gentools import aae, ali, gan, one_map, vae
from gentools.exercises import one_map as exercises
from gentools.lab import checkpoint, data, records, worlds
from gentools.lab.chapters import CHAPTERS
from gentools.lab.chapters import chapter as chapter_of
from gentools.lab.divergences import js, kl, mutual_information
from gentools.lab.optim import adam, cosine
from gentools.lab.stream import Stream
from gentools.lab.training import train
from gentools.press import ledger
from gentools.recipes import ROOT, claims, find, one_map_pictures, one_map_points, one_map_ring, recipes
from gentools.recipes.longer import doubled
from gentools.recipes.shared import fitting

# The map


@pytest.mark.parametrize("name", one_map.ACCOUNTS)
def test_each_row_balances_and_its_slip_does_not(name):
    account, missed = one_map.ACCOUNTS[name], 0
    rounding = 1e-8 if name == "ALI, minimax" else 1e-11  # torch's softplus leaves out 2e-9 above 20
    for seed in range(60):
        w = one_map.world(seed)
        joint, objective, dropped = (float(part(w)) for part in account[:3])
        assert joint == pytest.approx(objective + dropped, abs=rounding)
        missed += abs(joint - objective - float(account.slip(w))) > 1e-6
    assert missed >= 57


def pairs(loss, at):
    """Losses of encoder and generator of ALI, over P and over Q, both D's logits held at `at` (n, k)."""
    return lambda w: sum(ali.expected(each, joint, at) for each, joint in zip(loss, (w.p_xz, w.q_xz), strict=True))


def rebuilding(w):
    return -(w.p_xz * w.q_x_given_z.log()).sum()


LOSSES = {  # of the networks in a step, from a world in which they move, and logits that are the best in the world o before
    "GAN": lambda w, o: gan.expected(gan.non_saturating_loss, w.q_x, gan.best_logit(o.p_x, o.q_old)),
    "DCGAN": lambda w, o: gan.expected(gan.non_saturating_loss, w.q_x, merged_logit(o)),
    "conditional GAN": lambda w, o: gan.expected(
        gan.non_saturating_loss, w.q_c.flatten(), gan.best_logit(o.p_c, o.q_c_old).flatten()
    ),
    "regularized GAN": lambda w, o: (
        gan.expected(gan.non_saturating_loss, w.q_x, gan.best_logit(o.p_x, o.q_old_xz.sum(1)))
        + (w.q_xz * (w.q_xz / o.q_old_xz).log()).sum()
    ),
    "AAE": lambda w, o: (
        rebuilding(w) + gan.expected(gan.non_saturating_loss, w.p_z, gan.best_logit(o.q_z, o.p_z))
    ),
    "ALI, truncated": lambda w, o: pairs(ali.LOSSES["truncated"], gan.best_logit(o.p_old_xz, o.q_old_xz))(w),
    "ALI, minimax": lambda w, o: pairs(ali.LOSSES["minimax"], gan.best_logit(o.p_xz, o.q_xz))(w),
    "ALI, swapped": lambda w, o: pairs(ali.LOSSES["swapped"], gan.best_logit(o.p_old_xz, o.q_old_xz))(w),
    "alpha-GAN": lambda w, o: (
        rebuilding(w)
        + 2 * gan.expected(gan.kl_loss, (w.q_x + w.q_x_given_z @ w.p_z) / 2, one_d(o))
        + gan.expected(gan.kl_loss, w.p_z, gan.best_logit(o.q_z, o.p_z))
    ),
}  # fmt: skip


def merged_logit(w):
    """Bayes' rule for pairs of neighbors, one by one."""
    both = [slice(i - i % 2, i - i % 2 + 2) for i in range(len(w.p_x))]
    return torch.stack([(w.p_x[each].sum() / w.q_old[each].sum()).log() for each in both])


def one_d(w):
    """The best logit of one D for samples and reconstructions."""
    return (w.p_x / ((w.q_x + w.q_x_given_z @ w.p_z) / 2)).log()


def moving(w):
    """The world w, with the logits of its encoder, its decoder and its conditional model as the leaves that can move."""
    leaves = [table.log().requires_grad_() for table in (w.p_z_given_x, w.q_x_given_z, w.q_c)]
    encoder, decoder, joint = leaves[0].softmax(1), leaves[1].softmax(0), leaves[2].flatten().softmax(0)
    now = worlds.joint_world(w.p_x, encoder, w.q_z, decoder)
    return leaves, SimpleNamespace(**{**vars(w), **vars(now), "q_c": joint.view_as(w.q_c)})


def slopes(objective, leaves):
    found = torch.autograd.grad(objective, leaves, allow_unused=True, retain_graph=True)
    return torch.cat([torch.zeros_like(leaf).flatten() if g is None else g.flatten() for g, leaf in zip(found, leaves, strict=True)])  # fmt: skip


def test_every_discriminator_of_the_map_has_its_loss_here():
    with_d = {name for name in one_map.ACCOUNTS if "D" in one_map.model(name).moves.split(",")[0].split(" and ")}
    assert set(LOSSES) == with_d


@pytest.mark.parametrize("name", LOSSES)
def test_each_objective_has_the_slope_of_the_models_own_loss_at_its_best_discriminators(name):
    """The discriminators are held, as in a step of the program; the account's move with the tables, or are the older ones."""
    steepest = 0.0
    for seed in range(20):
        w = one_map.world(seed)
        leaves, now = moving(w)
        found = slopes(one_map.ACCOUNTS[name].objective(now), leaves)
        assert torch.allclose(found, slopes(LOSSES[name](now, w), leaves), atol=1e-9), seed
        steepest = max(steepest, float(found.abs().max()))
    assert steepest > 0.1


def test_the_generator_of_age_lowers_its_objective_and_the_encoder_raises_it():
    """In `age.step` the generator descends Delta(codes of samples), the encoder Delta(codes of data) less that."""
    for seed in range(20):
        (encoder, decoder, _), now = moving(one_map.world(seed))
        of_samples, of_data = ((law * (law / now.q_z).log()).sum() for law in (now.q_x @ now.p_z_given_x, now.p_z))
        value = one_map.ACCOUNTS["AGE"].objective(now)
        assert torch.allclose(slopes(value, [decoder]), slopes(of_samples, [decoder]), atol=1e-12)
        assert torch.allclose(slopes(-value, [encoder]), slopes(of_data - of_samples, [encoder]), atol=1e-12)


def test_what_a_restricted_discriminator_cannot_see_has_a_slope():
    """So DCGAN's loss does not even for one step have the slope of the joint KL, and GAN's has, where q = q_o."""
    gaps = {"GAN": 0.0, "DCGAN": 0.0}
    for seed in range(20):
        w = one_map.world(seed)
        leaves, now = moving(w)
        now.q_old = w.q_x  # D is at its best for the model as it is
        for name in gaps:
            account = one_map.ACCOUNTS[name]
            gap = slopes(account.joint(now), leaves) - slopes(account.objective(now), leaves)
            gaps[name] = max(gaps[name], float(gap.abs().max()))
    assert gaps["GAN"] < 1e-12 and gaps["DCGAN"] > 0.1
    assert [one_map.model(name).allowed for name in gaps] == ["for one step", "no"]


def test_a_row_against_sums_written_out():
    """AAE's row by loops over the entries of one table, with no function of the course."""
    w = one_map.world(4)
    n, k = w.p_xz.shape
    p, q = w.p_xz.tolist(), w.q_xz.tolist()
    p_x, p_z = [sum(row) for row in p], [sum(p[i][j] for i in range(n)) for j in range(k)]
    q_z = [sum(q[i][j] for i in range(n)) for j in range(k)]
    entries = list(itertools.product(range(n), range(k)))
    joint = sum(p[i][j] * math.log(p[i][j] / q[i][j]) for i, j in entries)
    loss = sum(p[i][j] * math.log(q_z[j] / q[i][j]) for i, j in entries)
    middle = [(p_z[j] + q_z[j]) / 2 for j in range(k)]
    loss += 2 * sum(middle[j] * math.log(middle[j] / q_z[j]) for j in range(k))
    information = sum(p[i][j] * math.log(p[i][j] / p_x[i] / p_z[j]) for i, j in entries)
    twice = sum(law[j] * math.log(law[j] / middle[j]) for law in (p_z, q_z) for j in range(k))  # 2 JS(p(z), q(z))
    account = one_map.ACCOUNTS["AAE"]
    assert float(account.joint(w)) == pytest.approx(joint) and float(account.objective(w)) == pytest.approx(loss)
    assert float(account.dropped(w)) == pytest.approx(information + twice + sum(a * math.log(a) for a in p_x))


def test_minimax_by_sums_over_pairs_with_the_best_discriminator():
    w = one_map.world(3)
    d = w.p_xz / (w.p_xz + w.q_xz)
    game = float((w.p_xz * d.log()).sum() + (w.q_xz * (1 - d).log()).sum())
    middle = (w.p_xz + w.q_xz) / 2
    twice = sum(float((each * (each / middle).log()).sum()) for each in (w.p_xz, w.q_xz))  # 2 JS(P, Q)
    account = one_map.ACCOUNTS["ALI, minimax"]
    assert float(account.objective(w)) == pytest.approx(game) and float(account.joint(w)) == pytest.approx(twice)
    assert float(account.dropped(w)) == pytest.approx(2 * math.log(2))


def test_the_chain_against_the_joint_of_three():
    w = one_map.world(7)
    c = w.chain
    p = np.einsum("a,ab,bc->abc", *(t.numpy() for t in (c.p0, c.p1, c.p2)))
    q = np.einsum("c,cb,ba->abc", *(t.numpy() for t in (c.q2, c.q1, c.q0)))
    assert float(one_map.chain_kl(c)) == pytest.approx((p * np.log(p / q)).sum())
    assert torch.from_numpy(p.sum((0, 1))).allclose(one_map.last_law(c))


def test_a_prefix_that_never_occurs_costs_nothing():
    p, q = torch.tensor([[0.5, 0.5], [0.0, 0.0]]).double(), torch.full((2, 2), 0.25).double()
    assert float(one_map.prefix_loss(p, q)) == pytest.approx(math.log(4))
    assert one_map.prefix_loss(q, p) == math.inf


def test_every_model_of_the_course_is_on_the_map_and_its_ids_exist():
    chapters = {row.chapter for row in one_map.MODELS}
    assert chapters == set(range(1, 18)) - {11}, "chapter 11 holds no model"
    assert set(one_map.ACCOUNTS) <= {row.name for row in one_map.MODELS}
    tags = {tag for path in sorted((ROOT / "notebooks").glob("*.ipynb")) for tag in ledger.read(path).tags}
    for row in one_map.MODELS:
        written = CHAPTERS[row.chapter].written
        if row.equation and written:
            assert row.equation in tags and chapter_of(row.equation).number == row.chapter, row
        if row.figure and written:
            assert row.figure in recipes(chapter_of(row.figure).name), row


def test_rows_are_found_by_name():
    assert one_map.model("VAE").chapter == 3
    with pytest.raises(ValueError, match="no row 'VQ-VAE'"):
        one_map.model("VQ-VAE")


def test_no_renaming_of_x_moves_a_number_of_the_map():
    for seed in range(20):
        w = one_map.world(seed)
        order = torch.randperm(len(w.p_x), generator=w.rng)
        renamed = one_map.renamed(w, order)
        before, after = ((kl(v.p_xz, v.q_xz), kl(v.q_xz, v.p_xz), js(v.p_x, v.q_x)) for v in (w, renamed))
        assert torch.stack(before).allclose(torch.stack(after), atol=1e-13)


def test_first_order_by_automatic_differentiation():
    w = one_map.world(11)
    h = torch.zeros((), dtype=torch.float64, requires_grad=True)
    moved = (1 - h) * w.p_xz + h * w.p_old_xz
    slope = torch.autograd.grad(mutual_information(moved), h)[0]
    assert float(one_map.first_order(w)[1]) == pytest.approx(float(slope))
    h = torch.zeros((), dtype=torch.float64, requires_grad=True)
    term = (w.q_xz * (w.p_xz / ((1 - h) * w.p_xz + h * w.p_old_xz)).log()).sum()
    assert float(one_map.first_order(w)[2]) == pytest.approx(float(torch.autograd.grad(term, h)[0]))


def test_dropped_terms_grow_as_their_derivatives_say_and_gans_with_the_square():
    """Short steps against the derivatives by hand; half the chi-square of both models is how GAN's term begins."""
    w, h = one_map.world(11), 1e-6
    found = one_map.dropped_slopes(w, h)
    assert torch.allclose(found[1:], one_map.first_order(w)[1:], rtol=1e-3)
    assert found[1:].abs().min() > 1e-2
    squares = ((w.q_old - w.q_x) ** 2 / w.q_x).sum() / 2
    assert float(one_map.dropped_slopes(w, 1e-5)[0]) == pytest.approx(1e-5 * float(squares), rel=1e-3)


# What the view cannot say


def test_mmd_against_pairs_of_samples():
    """Tables of equally many points are samples: the mean over all pairs, one by one."""
    x, y = [0.0, 0.4, 2.0], [1.0, 0.1, -0.7]
    points = torch.tensor([*x, *y]).double()
    p, q = torch.tensor([1.0] * 3 + [0.0] * 3).double() / 3, torch.tensor([0.0] * 3 + [1.0] * 3).double() / 3

    def mean(a, b):
        return sum(math.exp(-((s - t) ** 2) / (2 * 0.8**2)) for s in a for t in b) / 9

    found = one_map.mmd(p, q, one_map.gaussian_kernel(points, 0.8))
    assert float(found) == pytest.approx(mean(x, x) + mean(y, y) - 2 * mean(x, y))
    with pytest.raises(ValueError, match="width"):
        one_map.gaussian_kernel(points, 0.0)


# Hu et al.


def test_the_lemma_of_hu_by_finite_differences():
    """Slopes in the logits of q by differences of whole losses, for a discriminator that is not the best."""
    w = one_map.world(3)
    logit, start = w.logit, w.q_x.log()
    for i in range(len(start)):
        ends = []
        for sign in (1, -1):
            q = (start + sign * 1e-5 * torch.eye(len(start), dtype=torch.float64)[i]).softmax(0)
            ends.append([float(one_map.reversed_loss(w.p_x, q, logit)),
                         float(one_map.as_inference(w.p_x, q, w.q_x, logit))])  # fmt: skip
        slopes = [(a - b) / 2e-5 for a, b in zip(*ends, strict=True)]
        assert slopes[0] == pytest.approx(slopes[1], abs=1e-8)


def test_at_its_best_their_difference_is_one_divergence():
    w = one_map.world(5)
    best = gan.best_logit(w.p_x, w.q_x)
    found = one_map.as_inference(w.p_x, w.q_x, w.q_x, best)
    assert float(found) == pytest.approx(float(kl(w.mix, w.p_x) + kl(w.p_x, w.q_x) / 2), abs=1e-12)


# The capstone


def test_exact_rounds_scale_rows_and_columns_and_end_where_both_joints_meet():
    for seed in range(5):
        w = worlds.table(seed)
        end = exercises.solve_end(w.p_x, w.q_z, w.p_z_given_x)
        assert end.sum(1).allclose(w.p_x, atol=1e-10) and end.sum(0).allclose(w.q_z, atol=1e-10)
        decoder = exercises.solve_wake(w.p_x, end / w.p_x[:, None], w.q_z)
        assert kl(end, decoder * w.q_z) < 1e-12


def test_a_start_without_information_never_gets_any():
    w = worlds.table(2)
    end = exercises.solve_end(w.p_x, w.q_z, w.q_z.expand_as(w.p_z_given_x))
    assert mutual_information(end).abs() < 1e-14


def test_the_pairing_in_order_has_both_marginals():
    p, q = torch.tensor([0.5, 0.2, 0.3]).double(), torch.tensor([0.25, 0.75]).double()
    joint = exercises.in_order(p, q)
    assert joint.sum(1).allclose(p) and joint.sum(0).allclose(q)
    assert joint.allclose(torch.tensor([[0.25, 0.25], [0, 0.2], [0, 0.3]]).double())


def test_a_step_of_the_capstone_moves_each_network_by_its_own_loss():
    nets = vae.networks(0, 2, (8,), 2, vae.Gaussian)
    before = {name: [p.clone() for p in net.parameters()] for name, net in nets.items()}
    opts = {
        "decoder": torch.optim.SGD(nets["decoder"].parameters(), 0.1),
        "encoder": torch.optim.SGD(nets["encoder"].parameters(), 0.0),
    }
    torch.manual_seed(0)
    one_map.step(nets, opts, torch.randn(16, 2), torch.randn(16, 2, 2))
    still = {name: all(map(torch.equal, before[name], net.parameters())) for name, net in nets.items()}
    assert still == {"encoder": True, "decoder": False}


# The ledger of claims


MANY_GAMES = {"9.2"}  # its one seed draws sixty exact games, and its rule asks of all


def test_a_claim_about_training_rests_on_at_least_three_seeds():
    """With fewer there is no interval, and one lucky run would make a claim hold."""
    short = {}
    for claim in claims.CLAIMS:
        recipe, record = find(claim.figure), records.load(claim.figure)
        if record and trains(recipe.config(recipe.record)) and len(record["seeds"]) < 3:
            short[claim.figure] = len(record["seeds"])
    assert set(short) <= MANY_GAMES, short


def trains(config):
    """Whether something is trained for a number of steps that could be doubled."""
    try:
        doubled(config)
    except ValueError:
        return False
    return True


def test_every_figure_with_a_verdict_is_in_the_ledger_once_or_as_a_claim():
    rows = claims.ledger()
    assert {row.figure for row in rows if row.figure} >= set(claims.with_verdicts())
    findings = [row.figure for row in rows if not row.claim]
    assert len(findings) == len(set(findings)) and not set(findings) & {row.figure for row in rows if row.claim}


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: f"{claim.figure} {claim.text[:20]}")
def test_each_ruling_is_what_the_record_says(claim):
    record = records.load(claim.figure)
    row = next(row for row in claims.ledger() if row.claim == claim.text)
    if record is None:  # of a chapter that is not recorded yet
        assert (row.ruling, row.seeds) == ("open", 0)
        return
    recipe = find(claim.figure)
    said = recipe.verdict(record["summary"]) if recipe.verdict else record["caption"]
    assert row.result == " ".join(said.split()) and row.seeds == len(record["seeds"])
    assert recipe.verdict is None or said == record["verdict"]
    assert row.ruling == claims.WORDS[claim.rule(claims.Asked(record["summary"], record["numbers"]))]


def summary(low, high, n=5):
    return {
        "n": n,
        "failed": 0,
        "mean": (low + high) / 2,
        "median": low,
        "min": low,
        "max": high,
        "low": low,
        "high": high,
    }


@pytest.mark.parametrize(
    "rule,one,other,expected",
    [
        (claims.more("a", "b"), (2, 3), (0, 1), True),
        (claims.more("a", "b"), (0, 1), (2, 3), False),
        (claims.more("a", "b"), (0, 2), (1, 3), None),
        (claims.more("a", "b", wish=-1), (0, 1), (2, 3), True),
        (claims.every("a", "b"), (2, 3), (0, 1), True),
        (claims.every("a", "b", -1), (2, 3), (0, 1), False),
        (claims.in_all([("a", "b")]), (2, 3), (0, 1), True),
        (claims.in_all([("a", "b")]), (0, 1), (2, 3), False),
        (claims.in_all([("a", "b")]), (0, 2), (1, 3), None),
        (claims.in_all([("a", "b"), ("b", "a")]), (2, 3), (0, 1), None),
        (claims.better(["a"]), (-2, -1), (0, 0), True),
        (claims.better(["a"]), (1, 2), (0, 0), False),
        (claims.better(["a", "b"]), (-2, -1), (-1, 1), None),
        (claims.better(["a", "b"]), (1, 2), (-1, 1), None),
        (claims.better(["a", "b"]), (-2, -1), (-2, -1), True),
        (claims.better(["a", "b"]), (-2, -1), (1, 2), None),
        (claims.resolved("a"), (1, 2), (0, 0), True),
        (claims.resolved("a", -1), (1, 2), (0, 0), False),
        (claims.resolved("a"), (-1, 2), (0, 0), None),
        (claims.at_rest(claims.resolved("a"), {"a": "b"}), (1, 2), (-0.1, 0.2), True),
        (claims.at_rest(claims.resolved("a"), {"a": "b"}), (1, 2), (0.1, 0.3), None),
    ],
)
def test_the_rules_follow_the_numbers(rule, one, other, expected):
    assert rule({"a": summary(*one), "b": summary(*other)}) is expected


@pytest.mark.parametrize("rivals,expected", [
    ({"b": (2, 3, 0)}, True), ({"b": (-3, -2, 0)}, False), ({"b": (0, 2, 0)}, None),
    ({"b": (2, 3, 1)}, None),  # it is behind and still moves
    ({"b": (2, 3, 0), "c": (2, 3, 0), "d": (-3, -2, 1)}, True),  # before two that rest, whatever the third does
    ({"b": (2, 3, 0), "c": (2, 3, 1), "d": (-3, -2, 0)}, None),
    ({"b": (2, 3, 0), "c": (-3, -2, 0)}, None),
    ({"b": (-3, -2, 0), "c": (-3, -2, 0), "d": (2, 3, 1)}, False),
])  # fmt: skip
def test_a_rival_that_still_moves_may_end_on_either_side(rivals, expected):
    """Each rival: the ends of its score, and by how much it changed over the last quarter, if more than chance."""
    rest = summary(-0.1, 0.1)
    found = {name: summary(low, high) for name, (low, high, _) in rivals.items()} | {"a": summary(0, 1)}
    found |= {f"{name}, moved": summary(by, by + 0.1) if by else rest for name, (_, _, by) in rivals.items()}
    rule = claims.competitive("a", tuple(rivals), "", ", moved")
    assert rule(found | {"a, moved": rest}) is expected
    assert rule(found | {"a, moved": summary(1, 1.1)}) is None


@pytest.mark.parametrize("one,moves,other_moves,expected", [
    ((2, 3), 0, 0, True), ((-3, -2), 0, 0, False), ((0, 2), 0, 0, None),
    ((-3, -2), -1, 0, False), ((-3, -2), 0, 1, False),  # behind, and on its way further back
    ((-3, -2), 1, 0, None), ((-3, -2), 0, -1, None),  # behind, but catching up
    ((2, 3), 1, -1, True), ((2, 3), -1, 0, None),
])  # fmt: skip
def test_as_well_as_is_answered_unless_the_two_still_draw_near(one, moves, other_moves, expected):
    found = {"a": summary(*one), "b": summary(0, 1)}
    found |= {f"{name}, moved": summary(by - 0.1, by + 0.1) for name, by in (("a", moves), ("b", other_moves))}
    assert claims.keeps_up("a", "b", "", ", moved")(found) is expected


@pytest.mark.parametrize("one,change,expected", [
    ((-3, -2.9), (-0.4, 0.6), False), ((-3, -2.9), (-0.4, 3.6), None),
    ((2, 2.1), (-0.6, 0.4), True), ((2, 2.1), (-3.6, 0.4), None),
])  # fmt: skip
def test_a_move_of_no_sign_decides_by_how_far_it_reaches(one, change, expected):
    found = {"a": summary(*one), "b": summary(0, 1), "b, moved": summary(-0.1, 0.1), "a, moved": summary(*change)}
    assert claims.settling(found["a"], found["a, moved"]) == "still moving"
    assert claims.keeps_up("a", "b", "", ", moved")(found) is expected


@pytest.mark.parametrize("below,above,expected", [(1, 0, None), (2, 0, None), (3, 0, True), (4, 0, True), (3, 1, None),
                                                  (0, 1, None), (0, 3, False), (0, 4, False), (0, 0, None)])  # fmt: skip
def test_one_score_of_many_decides_nothing(below, above, expected):
    """A claim of "faster" or "better" that is judged by four scores needs three of them, and none against it."""
    names = ["a", "b", "c", "d"]
    rule = claims.better(names)
    ends = [(-2, -1)] * below + [(1, 2)] * above + [(-1, 1)] * (4 - below - above)
    assert rule({name: summary(*each) for name, each in zip(names, ends, strict=True)}) is expected


def test_seconds_on_a_loaded_machine_decide_no_claim():
    """Figure 10.10: its arms cost the same, yet in four of five seeds their seconds differ; so steps alone decide."""
    record = records.load("10.10")
    numbers, arms = record["numbers"], ("without, fresh z", "without, recorded z", "with, recorded z")
    idle = [record["twice"]["numbers"][f"{arm}: seconds"][0] for arm in arms]
    loaded = zip(*(numbers[f"{arm}: seconds"] for arm in arms), strict=True)
    assert max(idle) < 1.03 * min(idle) and sum(max(each) > 1.3 * min(each) for each in loaded) == 4
    rule = next(claim.rule for claim in claims.CLAIMS if claim.figure == "10.10")
    steps = {f"{claims.PAIR}: {score}, a quarter of the steps": summary(-2, -1) for score in ("distance", "critic")}
    assert rule(steps) is True and "equal seconds" not in find("10.10").verdict(record["summary"])


def test_rulings_that_were_read_by_hand():
    rulings = {row.figure: row.ruling for row in claims.ledger() if row.claim}
    assert rulings["9.5"] == rulings["9.2"] == rulings["1.3"] == rulings["15.4"] == rulings["10.5"] == "refuted"
    assert rulings["15.6"] == "refuted" and rulings["8.3"] == "not shown"
    assert rulings["9.10"] == rulings["10.8"] == rulings["10.9"] == rulings["10.10"] == rulings["4.8"] == "not shown"
    assert rulings["13.4"] == rulings["13.5"] == rulings["9.11"] == "not shown" and rulings["8.8"] == "holds"
    assert rulings["12.4"] == rulings["6.8"] == rulings["7.3"] == rulings["12.5"] == rulings["16.9"] == "holds"


@pytest.mark.parametrize("figure,name,holds,refuted", [
    ("8.3", "AAE, weight 10: energy distance", (-1, 0), (2, 3)),
    ("10.5", "no BN, 1 steps: ratio at the first", (0.1, 1), (0, 0)),
    ("12.5", "1000 pictures: lead of training", (0.1, 1), (-1, -0.1)),
    ("10.8", "1:2: collapsed", (0.6, 1), (0, 0.1)),
])  # fmt: skip
def test_these_rules_can_give_every_ruling(figure, name, holds, refuted):
    rule = next(claim.rule for claim in claims.CLAIMS if claim.figure == figure)
    others = {"two draws of the prior: energy distance": summary(-1, 1), "1:2, penalty 5: collapsed": summary(0.2, 0.5)}
    between = (0, 2) if figure == "8.3" else (0, 1) if figure == "10.5" else (-1, 1)
    assert [rule(others | {name: summary(*ends)}) for ends in (holds, refuted, between)] == [True, False, None]


@pytest.mark.parametrize("ends,expected", [((-0.01, 0.015), True), ((0.03, 0.05), False), ((-0.05, -0.03), False),
                                           ((-0.05, -0.01), None), ((-0.05, 0.05), None)])  # fmt: skip
def test_two_variances_are_alike_or_apart_or_neither(ends, expected):
    rule = next(claim.rule for claim in claims.CLAIMS if claim.figure == "16.13")
    assert rule({"trained, 1000 steps: overlap, beta minus beta-tilde": summary(*ends)}) is expected


@pytest.mark.parametrize(
    "ends,expected", [([(1, 2)] * 3, True), ([(-2, -1)] * 3, False), ([(-2, -1), (-1, 1), (1, 2)], None)]
)
def test_features_help_with_few_labels_only_if_they_do_with_each_number_of_them(ends, expected):
    rule = next(claim.rule for claim in claims.CLAIMS if claim.figure == "9.11")
    names = (f"BiGAN, hidden layer minus pixels, {n} a class" for n in (10, 30, 100))
    assert rule({name: summary(*each) for name, each in zip(names, ends, strict=True)}) is expected


@pytest.mark.parametrize("ends,expected", [
    ([(-3, -2), (-2, -1), (-9, -1)], True), ([(-3, -2), (-2, 1), (-9, -1)], None), ([(-3, -2), (1, 2), (-9, -1)], False),
])  # fmt: skip
def test_the_claim_about_v_is_judged_by_all_arms_and_not_by_the_one_that_is_best(ends, expected):
    rule = next(claim.rule for claim in claims.CLAIMS if claim.figure == "13.4")
    arms = ("AGE", "authors' weights", "both rebuild")
    said = {f"distance: {arm} minus autoencoder": summary(*each) for arm, each in zip(arms, ends, strict=True)}
    assert rule(said) is expected


def test_a_record_refutes_no_claim_that_something_can_be_done():
    """Whatever the numbers: with the worst ones such a rule says that nothing is shown."""

    class Worst(dict):
        __missing__ = lambda self, name: summary(8, 9) if name.endswith("distance") else summary(-9, -8)

    found = {claim.figure: claim.rule(Worst()) for claim in claims.CLAIMS if " can " in claim.text}
    assert found == {"4.8": None, "6.10": None, "12.6": None, "13.5": None}


def test_the_ledger_stands_in_the_order_of_the_figures():
    ids = [[tuple(map(int, row.figure.split("."))) for row in claims.ledger() if row.figure and bool(row.claim) == told]
           for told in (True, False)]  # fmt: skip
    assert ids == [sorted(each) for each in ids]
    assert [row.figure for row in claims.ledger() if row.claim][-len(claims.UNTRIED) :] == [""] * len(claims.UNTRIED)


def test_a_chapter_that_comes_later_enters_by_itself(monkeypatch):
    """Chapter 14 records a figure with a verdict: its claim gets a ruling, and nothing else has to be written."""
    later = dataclasses.replace(find("9.7"), verdict=lambda summary: "Two updates help.")
    scores = ("two updates: Fréchet", "no reconstruction: recall", "alpha-GAN: Fréchet", "alpha-GAN: recall")
    at_rest = {f"{each}, at the end minus after three quarters": summary(-0.1, 0.2) for each in scores}
    found = records.load("9.7") | {"summary": {"Fréchet: two updates minus alpha-GAN": summary(-2, -1),
                                               "recall: no reconstruction minus alpha-GAN": summary(-1, 1),
                                               **{each: summary(1, 2) for each in scores}, **at_rest}}  # fmt: skip
    load = records.load
    monkeypatch.setattr(claims, "find", lambda id: later if id == "14.8" else find(id))
    monkeypatch.setattr(records, "load", lambda id: found if id == "14.8" else load(id))
    rows = [row for row in claims.ledger() if row.figure == "14.8" and row.claim]
    assert [row.ruling for row in rows] == ["holds", "not shown"]
    assert all("Rosca" in row.source and row.result == "Two updates help." for row in rows)


def test_a_row_says_what_twice_the_steps_do_to_the_numbers_that_its_ruling_rests_on(monkeypatch):
    """8.3 compares two energy distances; a run of twice the steps that moves one of them, and another number, names the one."""
    record = records.load("8.3")
    claim = next(claim for claim in claims.CLAIMS if claim.figure == "8.3" and "a VAE's" in claim.text)
    numbers = {name: [statistics.fmean(values)] for name, values in record["numbers"].items()}
    longer = numbers | {"VAE: energy distance": [99.0], "VAE: reconstruction": [99.0]}
    load = records.load
    for found, said in ((numbers, "2 of 2 numbers"), (longer, "1 of 2 numbers")):
        entry = record | {"twice": {"seeds": [0], "numbers": found}}
        monkeypatch.setattr(records, "load", lambda id, entry=entry: entry if id == "8.3" else load(id))
        row = next(row for row in claims.ledger() if row.claim == claim.text)
        assert said in row.longer and ("VAE: energy distance 99 (" in row.longer) is (found is longer)
    monkeypatch.setattr(records, "load", lambda id: {k: v for k, v in load(id).items() if k != "twice"})
    assert {row.longer for row in claims.ledger()} == {""}


def test_a_rule_may_ask_for_a_difference_seed_by_seed():
    """Seeds whose arms move together: the intervals of both meet, and every difference is of one sign."""
    one, other = [9.0, 13.0, 17.0, 14.0], [7.0, 10.5, 15.0, 12.0]
    summary = {name: records.summarize(values) for name, values in (("A: d", one), ("B: d", other))}
    asked = claims.Asked(summary, {"A: d": one, "B: d": other})
    assert claims.more("A", "B", ": d")(asked) is None and claims.resolved("A: d minus B: d")(asked) is True
    assert {"A: d", "B: d"} <= set(asked.names)
    with pytest.raises(KeyError):
        asked["A: e"]


def test_what_was_not_run_is_open(monkeypatch):
    monkeypatch.setattr(records, "load", lambda id: None)
    assert {row.ruling for row in claims.ledger()} == {"open"}


def test_the_command_prints_every_claim(capsys):
    assert claims.command() == 0
    said = capsys.readouterr().out
    assert all(claim.text in said for claim in claims.CLAIMS) and "refuted" in said.splitlines()[-1]


# The figures


def test_bits_tell_a_point_to_a_cell():
    x = 12 * torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) - 6
    bits = one_map_points.to_bits(x)
    assert bits.shape == (500, 20) and set(bits.unique().tolist()) <= {0.0, 1.0}
    back = one_map_points.from_bits(bits, torch.full((500, 2), 0.5))
    assert (back - x).abs().max() <= 12 / 1024 / 2 + 1e-5
    assert one_map_points.to_bits(torch.tensor([[7.0, -7.0]])).tolist() == [[1.0] * 10 + [0.0] * 10]


@pytest.mark.parametrize("module", [one_map_points, one_map_pictures])
def test_every_arm_has_settings_and_optimizers_that_its_step_takes(module):
    config = module.Grid() if module is one_map_points else module.Digits()
    assert [settings.model for settings in config.models] == list(module.ARMS)
    for settings in config.models:
        arm = module.ARMS[settings.model]
        nets = arm.made(0)
        opts = one_map_points.optimizers(arm, nets, settings)
        latent = arm.latent if isinstance(arm.latent, tuple) else (arm.latent,)
        d = {"autoregressive": 20}.get(settings.model, 2) if module is one_map_points else 784
        x = torch.rand(8, d, generator=torch.Generator().manual_seed(0)).round()
        moved = torch.cat([p.detach().flatten().clone() for p in nets.parameters()])
        arm.step(nets, opts, x, torch.randn(8, *latent))
        now = torch.cat([p.detach().flatten() for p in nets.parameters()])
        assert not torch.equal(moved, now), settings.model
        drawn = arm.draw(nets, 5, 0)
        assert drawn.shape == (5, 2 if module is one_map_points else 784) and drawn.isfinite().all()


@pytest.mark.parametrize("id,module", [("17.2", one_map_points), ("17.3", one_map_pictures)])
def test_the_caption_says_every_weight_that_an_arm_is_trained_with(id, module):
    found = {}
    for name, arm in module.ARMS.items():
        step = arm.step if isinstance(arm.step, functools.partial) else functools.partial(arm.step)
        taken = {key: p.default for key, p in inspect.signature(step).parameters.items() if key.endswith("weight")}
        taken = {key: value for key, value in taken.items() if value not in (1, inspect.Parameter.empty)}
        if taken:
            found[name] = [f"{value:,g}" for value in taken.values()]
    said = {name: f"{name} {numbers[0]}" for name, numbers in found.items()}
    said["AGE"] = "AGE {} for data and {} for codes".format(*found["AGE"])
    assert all(f"{words}" in find(id).caption for words in said.values()) and len(said) == 4
    assert "others 1." in find(id).caption


@pytest.mark.parametrize("id,sign", [("17.2", 1), ("17.3", -1)])
def test_every_rate_is_the_best_of_its_trials_and_the_caption_names_those_at_an_edge(id, sign):
    config, edges, edges_in_full = find(id).full, set(), set()
    short = {name: tried for name, _, *tried in config.tuning}
    longest = short | {name: tried for name, *tried in getattr(config, "tuning_in_full", ())}
    for settings in config.models:
        rate, _ = max(longest[settings.model], key=lambda tried: sign * tried[1])
        assert settings.rate == rate, settings.model
        rates = {rate for rate, _ in short[settings.model] + longest[settings.model]}
        edges |= {settings.model} if rate in (min(rates), max(rates)) else set()
        rates = {rate for rate, _ in longest[settings.model]}
        edges_in_full |= {settings.model} if rate in (min(rates), max(rates)) else set()
    assert edges == ({"autoregressive"} if id == "17.3" else set())
    assert ("for the autoregressive model the best is an edge of all that were tried" in find(id).caption) == bool(
        edges
    )
    if id == "17.3":
        assert edges_in_full == {"VAE", "WGAN-GP", "flow matching", "autoregressive"}
        assert "for VAE, WGAN-GP and flow matching of those over all steps" in find(id).caption


@pytest.mark.parametrize("id,sign", [("17.2", 1), ("17.3", -1)])
def test_rates_that_were_tried_over_all_steps_surround_the_best_of_the_short_trials(id, sign):
    """A rate that is best for few steps may be far too large for all: of both, and of smaller ones, one run each."""
    config = find(id).full
    short = {name: max(tried, key=lambda each: sign * each[1])[0] for name, _, *tried in config.tuning}
    for name, *tried in config.tuning_in_full:
        rates = [rate for rate, _ in tried]
        assert rates == sorted(rates) and short[name] in rates and min(rates) < short[name]


def test_the_trial_that_chose_a_rate_may_be_better_than_all_runs_at_it_and_the_text_says_so():
    trial = max(score for _, score in tried_in_full("17.2", "alpha-GAN"))
    runs = records.load("17.2")["numbers"]["alpha-GAN: overlap"]
    assert trial > 1.5 * max(runs) and f"an overlap of {trial:.2f}".replace("0.", ".") in source(17, "grid-read")
    runs = records.load("17.3")["numbers"]["AGE: Fréchet"]
    (chosen, lucky), (larger, mean) = tried_in_full("17.3", "AGE")[-2:]
    assert chosen < larger and lucky < min(runs) and mean < statistics.fmean(runs[:2])
    ends = sorted(map(round, runs))
    said = f"one run ends at {ends[-1]}, the others at {ends[0]} to {ends[-2]}"
    for words in (said, f"(mean {mean} against {statistics.fmean(runs[:2]):.1f})"):
        assert words in source(17, "digits-read")


def test_what_twice_the_steps_change_on_digits():
    """As the text below figure 17.3 says of the first seed."""
    record = records.load("17.3")
    moved = {}
    for name, *_ in find("17.3").full.models:
        short, longer = (numbers[f"{name}: Fréchet"][0] for numbers in (record["numbers"], record["twice"]["numbers"]))
        moved[name] = (round(short), round(longer))
        assert name in ("AGE", "regularized GAN") or abs(longer / short - 1) < 0.2, name
    assert moved["AGE"] == (46, 18) and moved["regularized GAN"] == (21, 51)
    assert "AGE comes from 46 to 18, the regularized GAN goes from 21 to 51, no other" in source(17, "digits-read")
    more = [
        record["twice"]["numbers"][f"{name}: coverage"][0] > record["numbers"][f"{name}: coverage"][0] + 0.005
        for name in moved
    ]
    assert sum(more) >= 8 and "most models cover more" in source(17, "digits-read")
    alone, digits = (record["numbers"][f"{name}: precision"] for name in ("pixels alone", "training digits"))
    assert min(alone) > max(digits) and "pixels alone have .99, training digits .93" in source(17, "digits-read")
    grid = {name: values for name, values in records.load("17.2")["numbers"].items() if name.endswith(": recall")}
    assert f"{statistics.fmean(grid['flow matching: recall']):.2f}" == "0.88"
    assert f"{statistics.fmean(grid['true data: recall']):.2f}" == "0.98"


def tried_in_full(id, model):
    """The pairs of rate and score that were tried over all steps, of one model."""
    return next(tried for name, *tried in find(id).full.tuning_in_full if name == model)


def test_rates_from_chapter_14_are_what_its_record_says():
    summary = records.load("14.5")["summary"]
    for name, _, *tried in one_map_pictures.Digits().tuning:
        if name in ("GAN", "WGAN-GP", "AGE", "alpha-GAN"):
            for rate, distance in tried:
                assert summary[f"{name}, rate {rate:g}: Fréchet"]["mean"] == pytest.approx(distance, abs=0.051)


def test_the_denoiser_of_pictures_is_not_held_to_the_width_of_its_layers():
    """Velocities made by a last layer of 128 units lie in 128 dimensions and miss 656 of 784 of the noise; these do not."""
    net, rng = one_map_pictures.denoisers(0)["denoiser"], torch.Generator().manual_seed(0)
    x = torch.randn(400, one_map_pictures.PIXELS, generator=rng)
    with torch.no_grad():
        plain = net.net(x, torch.full((400,), 0.9), torch.zeros(400, dtype=torch.long))
        velocity = net(x, torch.full((400,), 0.9))
    assert torch.linalg.matrix_rank((plain - plain.mean(0)).double(), rtol=1e-5) <= one_map_pictures.WIDTH
    assert torch.linalg.matrix_rank((velocity - velocity.mean(0)).double(), rtol=1e-5) == 399


def test_the_velocity_follows_from_the_picture_on_the_straight_path():
    """A network that knows the picture gets the velocity, noise minus picture, at every time."""
    net, rng = one_map_pictures.Unlabeled(0), torch.Generator().manual_seed(1)
    known, noise = torch.randn(2, 6, one_map_pictures.PIXELS, generator=rng)
    net.net.forward = lambda x, t, y: known
    data, t = known.tanh(), torch.tensor([0.06, 0.2, 0.4, 0.7, 0.9, 1.0])
    noisy = (1 - t[:, None]) * data + t[:, None] * noise
    assert torch.allclose(net(noisy, t), noise - data, atol=1e-4)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_no_marker_of_a_row_is_cut_by_its_panel(scale):
    """A panel as narrow as those of figure 17.3, the ends of the span and points beyond it: every marker is whole."""
    from matplotlib import pyplot as plt

    names, values = ["EM", "AAE", "true data"], {"EM": (1.0, 2.0), "AAE": (5.0, 10.0), "true data": (0.5, 12.0)}
    results = [{"numbers": {f"{n}: score": values[n][i] for n in names}} for i in range(2)]
    fig, ax = plt.subplots(figsize=(0.75, 3.0), layout="none")
    fig.subplots_adjust(left=0, right=1)
    one_map_points.score_rows([ax], results, names, ["score"], [(1, 10)])
    ax.set_xscale(scale)
    fig.draw_without_rendering()
    panel = ax.get_window_extent()
    for line in ax.lines:
        half = (line.get_markersize() * 2**0.5 + line.get_markeredgewidth()) / 2 * fig.dpi / 72  # of a diamond
        x = ax.transData.transform(line.get_xydata())[:, 0]
        assert panel.x0 + half < x.min() and x.max() < panel.x1 - half, line.get_marker()
    plt.close(fig)


def test_widths_of_networks_whose_widths_are_known():
    nets = vae.networks(0, 2, (8,), 2, vae.Gaussian)
    with torch.no_grad():
        nets["decoder"].log_variance.fill_(2 * math.log(0.3))
    x, mode = torch.randn(50, 2), torch.arange(50) % 3
    found = one_map_points.widths(nets, x, mode)
    assert found["width of q(x|z)"].item() == pytest.approx(0.3)
    log_variance = nets["encoder"](torch.zeros(1, 2))[1]
    still = one_map_points.widths(nets, torch.zeros(3, 2), torch.tensor([4, 4, 7]))
    assert still["width of p(z|x)"].item() == pytest.approx((log_variance / 2).exp().mean().item())
    assert still["codes, from the middle of their mode"] == still["codes, from a mode to the next"] == 0
    codes = nets["encoder"](x)[0].detach().numpy()
    middles = [codes[mode.numpy() == k].mean(0) for k in range(3)]
    inside = sum(math.dist(codes[i], middles[mode[i]]) for i in range(50)) / 50
    next_one = sum(min(math.dist(middles[k], middles[j]) for j in range(3) if j != k) for k in range(3)) / 3
    assert found["codes, from the middle of their mode"].item() == pytest.approx(inside, rel=1e-5)
    assert found["codes, from a mode to the next"].item() == pytest.approx(next_one, rel=1e-4)


@pytest.mark.parametrize("id", ["17.2", "17.3"])
def test_what_the_figures_claim_to_be_equal(id):
    """The verdict, the ledger and the caption go by the recorded run: the same steps, or trials at every rate."""
    record, recipe = records.load(id), find(id)
    assert len(record["seeds"]) == 5 and recipe.verdict(record["summary"]) == record["verdict"]
    assert any(row.figure == id and row.result == " ".join(record["verdict"].split()) for row in claims.ledger())
    if id == "17.3":
        steps = {steps for _, _, steps, *_ in record["config"]["models"]}
        assert steps == {one_map_pictures.STEPS} and f"{one_map_pictures.STEPS:,} steps" in record["title"]


def test_the_table_of_the_notebook_is_the_map():
    """A row that changes has to change in the chapter too: build its cell from one_map.table()."""
    assert source(17, "map-table") == one_map.table()


def test_the_ring_without_a_model_is_described_alike_on_every_machine(monkeypatch):
    summary, config = records.load("17.4")["summary"], one_map_ring.Ring()
    levels = one_map_ring.without_model(config.data, config.points)
    said = one_map_ring.verdict_ring(summary)
    for error in (-3e-6, 3e-6):  # how far sums of another order lie apart
        moved = {name: {what: value + error for what, value in found.items()} for name, found in levels.items()}
        monkeypatch.setattr(one_map_ring, "without_model", lambda data, points, moved=moved: moved)
        assert one_map_ring.verdict_ring(summary) == said


def test_the_informed_start_of_the_ring_is_a_trained_vae(monkeypatch):
    """Its VAE trains to the end of its own schedule, before all the rounds, and what it leaves is drawn and recorded."""
    full, trained = find("17.4").full, []
    assert (
        full.informed >= full.steps // 2
    )  # after 400 steps there were only the 1.2 nats at which the plain start ends
    assert doubled(full) == dataclasses.replace(full, steps=2 * full.steps)

    tried = {
        name: {rate: statistics.fmean(ends) for rate, *ends in trials if len(ends) > 1} for name, *trials in full.tuning
    }
    for name, rate in full.rates:  # of those that two runs tried, the best
        assert min(tried[name], key=tried[name].get) == rate

    def fit_kept(step, nets, opts, rows, latent, *, steps, schedule, **how):
        rates = {group["lr"] for opt in opts.values() for group in opt.param_groups}
        trained.append((step, steps, rates, schedule(steps)))
        return fitting.fit(step, nets, opts, rows, latent, steps=steps, schedule=schedule, **how)

    monkeypatch.setattr(one_map_ring, "fit_kept", fit_kept)
    config = dataclasses.replace(find("17.4").quick, steps=8, informed=6, points=2600, read=100)
    result = one_map_ring.run_ring(config, 0, "cpu")
    rates = {name: {rate} for name, rate in config.rates}
    assert [each[:3] for each in trained] == [
        (vae.step, 8, rates["VAE"]),
        (one_map.step, 8, rates["wake-sleep"]),
        (vae.step, 6, rates["VAE"]),
        (one_map.step, 8, rates["informed start"]),
    ]
    assert all(abs(last) < 1e-9 for *_, last in trained)
    arrays, numbers = result["arrays"], result["numbers"]
    assert arrays["informed start step"].tolist() == [0, 2, 4, 6, 8] and arrays["wake-sleep step"].tolist() == [
        2,
        4,
        6,
        8,
    ]
    told = arrays["informed start information, nats"].tolist()
    assert numbers["informed start: information when the rounds begin, nats"] == pytest.approx(told[0])
    assert numbers["informed start: information at the end minus when the rounds begin, nats"] == pytest.approx(
        told[-1] - told[0]
    )
    assert numbers["informed start: information at the end minus after three quarters, nats"] == pytest.approx(
        told[4] - told[3]
    )
    assert numbers["informed start: energy distance when the rounds begin"] == pytest.approx(
        float(arrays["informed start energy distance"][0])
    )
    summary = {name: records.summarize([value, value + 1e-3, value - 1e-3]) for name, value in numbers.items()}
    for gain, word in ((-1.0, "take from it"), (0.0, "change it by nothing resolved"), (1.0, "add to it")):
        name = "informed start: information at the end minus when the rounds begin, nats"
        said = one_map_ring.verdict_ring(summary | {name: records.summarize([gain - 0.1, gain, gain + 0.1])})
        assert f"seed by seed the rounds {word}" in said and "begin at" in said


def test_what_rows_for_does_to_the_points_of_the_ring():
    points, text = data.ring(20_000, 0)[0], source(17, "train-why")
    for rows in (data.grid(20_000, 0)[0], points):
        assert f"{float(rows.std()):.2f}" in text
    assert float(one_map_points.rows_for("flow matching", points).std()) == pytest.approx(0.5, abs=0.005)
    assert "half as wide as the noise" in text


def test_from_another_start_a_truncated_game_may_end_nearer():
    """What the cell of the broken run shows of one world is no rule; that the whole game ends nearer is one."""
    full, cut = ali.LOSSES["joint KL"], ali.LOSSES["truncated"]
    flipped = (lambda logit: 2 * cut[0](logit) - full[0](logit), full[1])

    def nearer(seed, losses):
        w = one_map.world(seed)
        encoder, decoder = w.p_z_given_x, w.q_x_given_z
        for _ in range(200):
            encoder, decoder = ali.exact_step(w, encoder, decoder, losses, step_size=0.2)
        end = ali.divergence(w.p_x[:, None] * encoder, decoder * w.q_z)
        return bool(end < ali.divergence(w.p_xz, w.q_xz))

    starts = {5: [False, True, False], 2: [True, True, False], 4: [True, True, True]}
    for seed, ends in starts.items():
        assert [nearer(seed, losses) for losses in (cut, full, flipped)] == ends
    assert "one_map.world(5)" in source(17, "wrong-run") and "`one_map.world(4)`" in source(17, "wrong")


def test_the_slope_of_another_discriminator_differs_and_often_points_elsewhere(capsys):
    exec(source(17, "estimate-ratio"), {"one_map": one_map, "gan": gan, "kl": kl, "torch": torch})
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == ["True", "False", "True"]


def test_a_step_with_sums_is_told_that_the_losses_are_means():
    assert "means over rows of minus log-densities" in source(17, "exercises")


def capstone_cell(step):
    """The training cell of chapter 17's capstone in its smallest size, with a reader's step."""
    cell = source(17, "capstone-run")
    for old, new in (("my_step = None\n", ""), ("300 if", "3 if")):
        assert cell.count(old) == 1
        cell = cell.replace(old, new)
    shown, drawn = [], []
    names = {"data": data, "Stream": Stream, "vae": vae, "train": train, "adam": adam, "cosine": cosine}
    names |= {"ARMS": one_map_points.ARMS, "aae": aae}
    names |= {"curves": lambda history, alt: shown.append(history), "SCALE": "quick", "DEVICE": "cpu", "my_step": step}
    exec(cell, names | {"scatter": lambda rows, *more, alt: drawn.append(rows)})
    return shown, drawn


def test_the_capstones_cell_trains_a_readers_step_and_stops_at_a_loss_that_is_no_number(capsys):
    step = exercises.solve_step
    shown, drawn = capstone_cell(step)
    assert [len(history["decoder"]) for history in shown] == [3, 3] and all(rows.isfinite().all() for rows in drawn)
    assert capsys.readouterr().out.count(": energy distance ") == 2  # of what was trained from each start

    def broken(nets, opts, x, z):
        wake, sleep = step(nets, opts, x, z)
        return wake, sleep * torch.nan

    with pytest.raises(checkpoint.NonFinite, match="encoder"):
        capstone_cell(broken)


def test_twice_the_steps_take_wgan_gp_near_flow_matching_and_modes_from_the_regularized_gan():
    """As the text below figure 17.2 says of its run of twice the steps."""
    record = records.load("17.2")
    short, longer = (
        {name: values[0] for name, values in numbers["numbers"].items()} for numbers in (record, record["twice"])
    )
    assert record["twice"]["seeds"] == [0]
    ends = {name: [numbers[f"{name}: overlap"] for numbers in (short, longer)] for name in ("WGAN-GP", "flow matching")}
    assert [f"{at:.2f}" for at in (ends["WGAN-GP"][1], ends["flow matching"][1])] == ["0.90", "0.94"]
    assert ends["flow matching"][0] - ends["WGAN-GP"][0] > 0.2
    assert [numbers["regularized GAN: modes"] for numbers in (short, longer)] == [22, 15]


def test_after_twice_the_rounds_the_informed_start_is_where_the_plain_one_is():
    """As the text below figure 17.4 says of its first seed, and that runs of the recorded length may end there."""
    record = records.load("17.4")
    ends, longer = record["summary"], {name: values[0] for name, values in record["twice"]["numbers"].items()}
    told, far = "information, nats", "energy distance"
    assert ends[f"informed start: {told}"]["low"] > ends[f"wake-sleep: {told}"]["high"]
    assert longer[f"informed start: {told}"] == pytest.approx(longer[f"wake-sleep: {told}"], abs=0.1)
    assert longer[f"informed start: {far}"] == pytest.approx(longer[f"wake-sleep: {far}"], abs=0.01)
    assert not any("informed start" in name for name in records.moved(record))
    numbers = record["numbers"]  # until then it lies farther from the data, in every seed and by the intervals
    pairs = zip(numbers[f"informed start: {far}"], numbers[f"wake-sleep: {far}"], strict=True)
    assert all(informed > plain for informed, plain in pairs)
    assert ends[f"informed start: {far}"]["low"] > ends[f"wake-sleep: {far}"]["high"]
    assert "its samples lie farther from the data, in every seed" in source(17, "ring-read")


def test_chapter_17_says_who_is_as_near_as_training_digits():
    numbers = records.load("17.3")["numbers"]
    off = {
        name: [
            model - real
            for model, real in zip(numbers[f"{name}: Fréchet"], numbers["training digits: Fréchet"], strict=True)
        ]
        for name in ("AAE", "WGAN-GP", "autoregressive")
    }
    assert records.summarize(off["AAE"])["high"] < 0 and sum(each < 0 for each in off["AAE"]) == 4
    for name in ("WGAN-GP", "autoregressive"):
        assert records.summarize(off[name])["low"] < 0 < records.summarize(off[name])["high"]
    assert "and the AAE is nearer in four seeds of five" in source(17, "digits-read")
