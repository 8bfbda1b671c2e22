"""Chapter 15: chain rules against enumeration, causality by gradient, samplers against the exact law, masks by hand."""

import functools
import itertools
import math

import pytest
import torch
from chapters import source
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from gentools import autoregressive as ar
from gentools import neighbors
from gentools.exercises.autoregressive import EXERCISES
from gentools.lab import records
from gentools.lab.divergences import kl
from gentools.lab.randomness import generator
from gentools.lab.records import summarize
from gentools.lab.worlds import simplex
from gentools.recipes import autoregressive as nats
from gentools.recipes import autoregressive_digits as digits
from gentools.recipes import autoregressive_exact as exact
from gentools.recipes import claims
from gentools.recipes.shared.pictures import labeled


def bits_table(seed, d=3):
    return simplex(generator(seed, "bits"), 2**d).reshape((2,) * d)


def all_bits(d):
    """Every row of d bits, (2^d, d), the first bit the slowest."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=d)), dtype=torch.float64)


# Tables


@pytest.mark.parametrize("d", [2, 3, 4])
def test_the_chain_rule_holds_in_every_order(d):
    p, q = bits_table(1, d), bits_table(2, d)
    for order in itertools.permutations(range(d)):
        parts, others = ar.prefix_kl(p, q, order), [i for i in range(d) if i != order[0]]
        assert (parts >= 0).all() and parts.sum().item() == pytest.approx(kl(p, q).item(), abs=1e-13)
        assert parts[0].item() == pytest.approx(kl(p.sum(others), q.sum(others)).item(), abs=1e-13)


def test_a_prefix_that_never_occurs_costs_nothing_and_one_that_the_model_never_begins_costs_infinity():
    p = torch.tensor([[[0.5, 0.5], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]).double()
    q = torch.full((2, 2, 2), 0.125).double()
    for order in itertools.permutations(range(3)):
        assert ar.prefix_kl(p, q, order).sum().item() == pytest.approx(math.log(4))
        assert ar.prefix_kl(q, p, order).sum() == math.inf == kl(q, p)
        assert all(rows[weights == 0].eq(0).all() for weights, rows in ar.conditionals(p, order))


def test_conditionals_by_counting():
    p = bits_table(3)
    weights, rows = ar.conditionals(p, (2, 0, 1))[1]  # p(x2), p(x0 | x2)
    for c in (0, 1):
        assert weights[c].item() == pytest.approx(p[:, :, c].sum().item())
        for a in (0, 1):
            assert rows[c, a].item() == pytest.approx((p[a, :, c].sum() / p[:, :, c].sum()).item())


def test_deleting_a_coordinate_leaves_no_gap():
    p, q = bits_table(4), bits_table(5)
    p_joint, q_joint = ar.prefix_joints(p, q)
    assert p_joint.shape == (8, 4) and kl(p_joint, q_joint).item() == pytest.approx(kl(p, q).item())
    assert torch.allclose(p_joint.sum(0), p.sum(2).flatten())  # z is the first two bits
    with pytest.raises(ValueError, match="one shape"):
        ar.prefix_joints(p, bits_table(5, 2))


@pytest.mark.parametrize("same", [0.5, 0.6, 0.9, 0.99])
def test_two_bits_with_averaged_logits(same):
    p = torch.tensor([[same, 1 - same], [1 - same, same]], dtype=torch.float64) / 2
    said = ar.logit_average(p, [(0, 1), (1, 0)])
    root = math.sqrt(same * (1 - same))
    assert said.sum().item() == pytest.approx(2 / (1 + 2 * root))
    assert -(p * said.log()).sum().item() == pytest.approx(-(p * p.log()).sum().item() - math.log(said.sum().item()))
    if same == 0.9:
        assert torch.allclose(said, torch.tensor([[0.5625, 0.0625], [0.0625, 0.5625]]).double())


def test_one_order_averages_to_itself():
    p = bits_table(6)
    assert torch.allclose(ar.logit_average(p, [(1, 2, 0)]), p)
    assert not math.isclose(ar.logit_average(p, [(1, 2, 0), (0, 1, 2)]).sum().item(), 1, abs_tol=1e-3)


@pytest.mark.parametrize("d", [2, 3, 4])
def test_averaged_logits_of_a_chain_over_all_orders(d):
    """Every bit's odds given the bits before, by summing out the others with a loop, in every order; then the record."""
    flip, pictures = 0.1, list(itertools.product((0, 1), repeat=d))
    law = {x: 0.5 * math.prod(flip if a != b else 1 - flip for a, b in itertools.pairwise(x)) for x in pictures}
    orders = list(itertools.permutations(range(d)))

    def logit(x, i, before):
        one, zero = (
            sum(p for y, p in law.items() if y[i] == bit and all(y[j] == x[j] for j in before)) for bit in (1, 0)
        )
        return math.log(one / zero)

    total = 0.0
    for x in pictures:
        means = [sum(logit(x, i, order[: order.index(i)]) for order in orders) / len(orders) for i in range(d)]
        total += math.prod(1 / (1 + math.exp(-mean if bit else mean)) for bit, mean in zip(x, means, strict=True))
    numbers = records.load("15.4")["numbers"]
    assert numbers[f"chain of {d}: orders averaged"] == [math.factorial(d)]
    assert numbers[f'chain of {d}: sum of the "probabilities"'][0] == pytest.approx(total)


def test_drawing_in_parallel():
    p = bits_table(7, 4)
    assert torch.allclose(ar.in_parallel(p, [[2], [0], [3], [1]]), p)
    independent = ar.in_parallel(p, [[0, 1, 2, 3]])
    expected = functools.reduce(
        lambda a, b: a[..., None] * b, [p.sum([j for j in range(4) if j != i]) for i in range(4)]
    )
    assert torch.allclose(independent, expected)
    q = ar.in_parallel(p, [[1, 3], [0, 2]])
    entropy = functools.partial(ar.marginal_entropy, p)
    lost = entropy([1]) + entropy([3]) - entropy([1, 3])
    lost = lost + entropy([0, 1, 3]) + entropy([1, 2, 3]) - entropy([1, 3]) - entropy([0, 1, 2, 3])
    assert kl(p, q).item() == pytest.approx(lost.item())
    with pytest.raises(ValueError, match="each of the 4 coordinates once"):
        ar.in_parallel(p, [[0, 1], [1, 2, 3]])


def test_a_chain_of_four_bits_drawn_in_parallel():
    """Bits that flip with probability .1: one block loses 3 (log 2 - H(.1)) nats."""
    p = torch.full((2,) * 4, 0.5, dtype=torch.float64)
    for x in itertools.product((0, 1), repeat=4):
        for a, b in itertools.pairwise(x):
            p[x] *= 0.9 if a == b else 0.1
    h = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    assert kl(p, ar.in_parallel(p, [[0, 1, 2, 3]])).item() == pytest.approx(3 * (math.log(2) - h))
    assert kl(p, ar.in_parallel(p, [[0, 2], [1, 3]])).item() < kl(p, ar.in_parallel(p, [[0, 1], [2, 3]])).item()


def sparse_table(seed, d=3):
    """Bits that occur with probability 0 in many places, and in whole families of places."""
    rng = generator(seed, "sparse")
    p = bits_table(seed, d) * (torch.rand((2,) * d, generator=rng) < 0.5)
    return p / p.sum() if p.sum() > 0 else bits_table(seed, d)


def share(p, fixed):
    """The probability that the coordinates of `fixed` {coordinate: bit} have these bits, by a loop."""
    return sum(
        p[x].item() for x in itertools.product((0, 1), repeat=p.ndim) if all(x[i] == bit for i, bit in fixed.items())
    )


@given(st.integers(0, 10**6), st.permutations(range(3)), st.sampled_from([(1, 1, 1), (2, 1), (1, 2), (3,)]))
def test_blocks_of_a_table_with_zeros_are_drawn_as_the_conditionals_say_or_refused(seed, order, sizes):
    """By loops over pictures: a block after bits that p never has together has no law, and after others it has one."""
    p, blocks = sparse_table(seed), []
    for size in sizes:
        blocks.append([*order[:size]])
        order = order[size:]
    law, lost = {}, False
    for x in itertools.product((0, 1), repeat=3):
        chance, fixed = 1.0, {}
        for block in blocks:
            whole = share(p, fixed)
            lost |= chance > 0 and whole == 0
            if chance > 0 and whole > 0:
                chance *= math.prod(share(p, {**fixed, i: x[i]}) / whole for i in block)
            fixed |= {i: x[i] for i in block}
        law[x] = chance
    if lost:
        with pytest.raises(ValueError, match="never occur together"):
            ar.in_parallel(p, blocks)
    else:
        q = ar.in_parallel(p, blocks)
        assert q.sum().item() == pytest.approx(1)
        assert all(q[x].item() == pytest.approx(chance, abs=1e-12) for x, chance in law.items())


@given(st.integers(0, 10**6), st.lists(st.permutations(range(3)), min_size=1, max_size=3))
def test_logits_of_a_table_with_zeros_have_an_average_or_are_refused(seed, orders):
    p, means = sparse_table(seed), []
    for x in itertools.product((0, 1), repeat=3):
        for i in range(3):
            found = []
            for order in orders:
                before = {j: x[j] for j in order[: order.index(i)]}
                zero, one = (share(p, before | {i: bit}) for bit in (0, 1))
                found.append(
                    math.nan
                    if zero == one == 0
                    else math.inf
                    if zero == 0
                    else -math.inf
                    if one == 0
                    else math.log(one / zero)
                )
            means.append(sum(found) / len(found))
    if any(map(math.isnan, means)):
        with pytest.raises(ValueError, match="logits have no average"):
            ar.logit_average(p, orders)
    else:
        said = ar.logit_average(p, orders)
        assert ((said >= 0) & (said <= 1)).all() and (said[p == 0] == 0).all()


def test_after_what_never_occurs_scheduled_sampling_takes_the_model_nowhere():
    p = torch.tensor([[0.25, 0.75], [0.0, 0.0]]).double()
    assert ar.scheduled_optimum(p, 0.5).tolist() == [[0.25, 0.75], [0.0, 0.0]]


def test_scheduled_sampling_has_its_optimum_elsewhere():
    p = bits_table(8, 2)
    for rate in (0.0, 0.3, 1.0):
        best = ar.scheduled_optimum(p, rate)
        logits = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
        opt = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-15)

        def loss(logits=logits, rate=rate):
            log_q = logits.log_softmax(1)
            kept, replaced = (p * log_q).sum(), (p.sum(1)[:, None] * p.sum(0) * log_q).sum()
            return -(1 - rate) * kept - rate * replaced

        def closure(opt=opt, loss=loss):
            opt.zero_grad()
            value = loss()
            value.backward()
            return value

        opt.step(closure)
        assert torch.allclose(logits.detach().softmax(1), best, atol=1e-6)
    with pytest.raises(ValueError, match="probability"):
        ar.scheduled_optimum(p, 1.5)


# MADE


def made(d=5, hidden=16, order=None, seed=0):
    net = ar.MADE(d, hidden, order, generator(seed, "made"), activation=torch.tanh).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(generator=generator(seed, "shaken", len(parameter)))
    return net


@pytest.mark.parametrize("order", [None, [3, 0, 4, 2, 1]])
@pytest.mark.parametrize("hidden", [1, 3, 16])
def test_no_output_of_made_sees_itself_or_what_comes_later(order, hidden):
    order = torch.arange(5) if order is None else torch.tensor(order)
    net = made(5, hidden, order)
    slopes = ar.sees(net, torch.rand(5, generator=generator(0, "row"), dtype=torch.float64))
    place = order.argsort()
    earlier = place[:, None] > place
    assert (slopes[~earlier] == 0).all()
    assert (slopes[earlier] != 0).all()  # and by the direct links it sees all that comes before


def test_made_without_direct_links_still_sees_all_that_comes_before():
    net = made(6, 32)
    torch.nn.init.zeros_(net.direct.weight)
    slopes = ar.sees(net, torch.rand(6, generator=generator(1, "row"), dtype=torch.float64))
    assert ((slopes != 0) == torch.ones(6, 6).tril(-1).bool()).all()


def test_the_mask_of_a_small_made_by_hand():
    net = ar.MADE(3, 2)  # units with m = 0, 1
    assert net.inward.mask.tolist() == [[1, 0, 0], [1, 1, 0]]
    assert net.outward.mask.tolist() == [[0, 0], [1, 0], [1, 1]]
    assert net.direct.mask.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]


def test_hidden_units_are_shared_out_equally_among_the_numbers_that_feed_an_output():
    for d, hidden in ((6, 10), (5, 16), (9, 8)):
        numbers = (ar.MADE(d, hidden).inward.mask.sum(1) - 1).long()  # m(h): a unit sees pixels 0..m(h)
        assert numbers.max() == d - 2 and numbers.tolist() == sorted(numbers.tolist())
        counts = numbers.bincount(minlength=d - 1)
        assert counts.max() - counts.min() <= 1


def test_a_made_without_hidden_units_is_refused_in_words():
    with pytest.raises(ValueError, match="hidden must be at least 1"):
        ar.MADE(3, 0)


@pytest.mark.parametrize("order", [[0, 1, 1], [0, 1], [1, 2, 3]])
def test_an_order_that_is_none_is_refused(order):
    with pytest.raises(ValueError, match="permutation of the 3 pixels"):
        ar.MADE(3, 4, torch.tensor(order))


# Convolutions


def shaken_pixelcnn(size=5, layers=3, kind="gated"):
    net = (
        ar.pixelcnn_networks(0, size, 6, layers)["model"] if kind == "gated" else ar.PlainPixelCNN(size, 6, layers)
    ).double()
    with torch.no_grad():
        for i, parameter in enumerate(net.parameters()):
            parameter.normal_(generator=generator(1, "shaken", i))
    return net


def union(net, d, rows=4):
    """Which logit sees which pixel, at any of a few rows: a ReLU may be dead at one of them."""
    return sum(ar.sees(net, torch.rand(d, generator=generator(s, "row"), dtype=torch.float64)) for s in range(rows)) > 0


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("size", [5, 6])
def test_the_gated_pixelcnn_is_causal_at_every_depth(size, layers):
    seen = union(shaken_pixelcnn(size, layers), size * size)
    assert not seen[torch.ones_like(seen).triu()].any()


def test_a_wider_kernel_of_the_gated_pixelcnn_is_causal_and_reaches_further():
    net = ar.GatedPixelCNN(5, 6, layers=1, kernel=5).double()
    for i, parameter in enumerate(net.parameters()):
        torch.nn.init.normal_(parameter, generator=generator(1, "wide", i))
    seen = union(net, 25)
    for i, j in itertools.product(range(25), repeat=2):
        up, right = i // 5 - j // 5, j % 5 - i % 5
        above = 1 <= up <= 3 and -2 <= right <= 2  # the vertical stack, moved down by a row
        assert seen[i, j] == (above or (up == 0 and -3 <= right < 0)), (i, j)


def test_a_gated_layer_by_hand():
    """Maps of one channel and one pixel, so that every convolution is a product: gates, sums and the residual link."""
    layer = ar.GatedLayer(1, 1).double()
    with torch.no_grad():
        for i, parameter in enumerate(layer.parameters()):
            parameter.normal_(generator=generator(2, "layer", i))
    v, h = 0.7, -0.4
    a, b = (
        layer.vertical.weight[:, 0, 1, 1] * v + layer.vertical.bias
    ).tolist()  # the last row of the kernel is its own
    above = layer.link.bias  # moved down by a row, only zeros are left of it
    c, d = (layer.horizontal.weight[:, 0, 0, 1] * h + layer.horizontal.bias + above).tolist()
    gated = math.tanh(c) / (1 + math.exp(-d))
    new = layer.out.weight.item() * gated + layer.out.bias.item()
    found_v, found_h = layer(*(torch.full((1, 1, 1, 1), each, dtype=torch.float64) for each in (v, h)))
    assert found_v.item() == pytest.approx(math.tanh(a) / (1 + math.exp(-b)))
    assert found_h.item() == pytest.approx(h + new)


def test_the_gated_pixelcnn_has_no_blind_spot():
    seen = union(shaken_pixelcnn(5, 5), 25)
    assert (seen == torch.ones(25, 25).tril(-1).bool()).all()


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_the_plain_pixelcnn_is_causal_and_blind_to_a_cone(layers):
    size = 7
    seen = union(shaken_pixelcnn(size, layers, "plain"), size * size, rows=12)
    for i, j in itertools.product(range(size * size), repeat=2):
        (r, c), (s, t) = divmod(i, size), divmod(j, size)
        up, right = r - s, t - c
        expected = (up == 0 and -layers <= right < 0) or (1 <= up <= layers and -layers <= right <= up)
        assert seen[i, j] == expected, (i, j)


def test_masks_a_and_b():
    kept = [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert ar.MaskedConv2d(1, 1, 3, center=False).mask.tolist() == kept
    kept[1][1] = 1
    assert ar.MaskedConv2d(1, 1, 3, center=True).mask.tolist() == kept


def test_mask_b_in_the_first_layer_leaks_the_pixel_itself():
    net = shaken_pixelcnn(5, 2, "plain")
    net.maps[0].mask[1, 1] = 1
    assert union(net, 25).diagonal().all()


def test_a_residual_link_in_the_first_layer_leaks_the_pixel_itself():
    net = shaken_pixelcnn(5, 2)
    net.layers[0].first = False  # no shift to the right, and h + new
    assert union(net, 25).diagonal().all()
    shifted = shaken_pixelcnn(5, 2)
    layer, forward = shifted.layers[0], shifted.layers[0].forward
    layer.forward = lambda v, h: (lambda out: (out[0], h + out[1]))(forward(v, h))  # the shift, and a residual link
    assert union(shifted, 25).diagonal().all()


def test_a_vertical_stack_that_is_not_moved_down_leaks_later_pixels(monkeypatch):
    monkeypatch.setattr(ar, "down", lambda x: x)
    seen = union(shaken_pixelcnn(5, 2), 25)
    assert seen[0, 0] and seen[0, 1]


def test_pictures_come_in_any_of_three_shapes():
    net = shaken_pixelcnn()
    x = torch.rand(2, 5, 5, generator=generator(0, "x"), dtype=torch.float64).round()
    assert torch.equal(net(x), net(x.flatten(1))) and torch.equal(net(x), net(x[:, None]))
    assert torch.equal(
        net(x), net.maps(torch.where(x == 1, 1.0, -1.0).double()[:, None]).flatten(1)
    )  # bits as -1 and 1


# Likelihood


MODELS = {
    "made": lambda: made(4, 8),
    "made, another order": lambda: made(4, 8, torch.tensor([2, 0, 3, 1])),
    "gated": lambda: shaken_pixelcnn(2, 2),
    "plain": lambda: shaken_pixelcnn(2, 2, "plain"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_probabilities_of_all_pictures_sum_to_one(kind):
    log_q = ar.log_likelihood(MODELS[kind](), all_bits(4))
    assert log_q.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_a_leak_makes_probabilities_sum_to_more_than_one():
    net = made(4, 8)
    net.direct.mask.fill_diagonal_(1)
    with torch.no_grad():
        net.direct.weight.fill_diagonal_(5.0)
    assert ar.log_likelihood(net, 2 * all_bits(4) / 2).exp().sum().item() > 1.5


@pytest.mark.parametrize("kind", MODELS)
def test_samples_follow_the_exact_law(kind):
    net, n = MODELS[kind](), 40_000
    law = ar.log_likelihood(net, all_bits(4)).exp()
    x = ar.sample(net, torch.rand(n, 4, generator=generator(0, "uniform"), dtype=torch.float64))
    counts = (x @ torch.tensor([8.0, 4, 2, 1]).double()).long().bincount(minlength=16).double()
    chi = ((counts - n * law) ** 2 / (n * law).clamp(min=1e-9))[n * law > 5].sum()
    assert chi < 45  # 15 degrees of freedom: beyond it with probability 1e-4


def test_the_cache_changes_no_picture():
    for order in (None, torch.randperm(12, generator=generator(0, "order"))):
        net = made(12, 30, order)
        uniform = torch.rand(200, 12, generator=generator(1, "uniform"), dtype=torch.float64)
        assert torch.equal(ar.cached_sample(net, uniform), ar.sample(net, uniform))


def test_a_step_descends_the_cross_entropy_of_every_pixel():
    nets = torch.nn.ModuleDict({"model": made(4, 8)})
    x = all_bits(4)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(nets["model"](x), x, reduction="sum") / len(x)
    opts = {"model": torch.optim.SGD(nets.parameters(), 0.01)}
    assert ar.step(nets, opts, x.reshape(-1, 1, 2, 2), None)["loss"].item() == pytest.approx(expected.item())
    assert -ar.log_likelihood(nets["model"], x).mean() < expected


def test_the_mean_of_models_is_a_model():
    orders = [torch.tensor(o) for o in ([0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0])]
    log_q = torch.stack([ar.log_likelihood(made(4, 8, o, seed), all_bits(4)) for seed, o in enumerate(orders)])
    mixture = ar.average_orders(log_q)
    assert mixture.exp().sum().item() == pytest.approx(1)
    assert torch.allclose(mixture.exp(), log_q.exp().mean(0)) and (mixture >= log_q.mean(0) - 1e-12).all()


# Any order


def any_order(d=4, seed=0):
    net = ar.AnyOrder(d, (12,), generator(seed, "any"), torch.nn.Tanh).double()
    with torch.no_grad():
        for i, parameter in enumerate(net.parameters()):
            parameter.normal_(generator=generator(seed, "shaken", i))
    return net


def test_an_unseen_pixel_is_not_read():
    net, x = any_order(), all_bits(4)
    seen = torch.rand(16, 4, generator=generator(0, "seen")) < 0.5
    other = torch.where(seen, x, 1 - x)
    assert torch.equal(net(x, seen), net(other, seen))


def orders_by_hand(net, x):
    """log q_o(x) (24,) for one row x (4,), in every order, pixel by pixel."""
    found = []
    for order in itertools.permutations(range(4)):
        seen, total = torch.zeros(1, 4, dtype=torch.bool), 0.0
        for i in order:
            p = net(x[None], seen)[0, i].sigmoid().item()
            total += math.log(p if x[i] else 1 - p)
            seen = seen.clone()
            seen[0, i] = True
        found.append(total)
    return found


def test_the_loss_over_all_sets_is_that_over_all_orders():
    net = any_order()
    for x in all_bits(4)[[0, 5, 14]]:
        masks = all_bits(4)[:-1].bool()  # all but the full set
        losses = ar.any_order_loss(net, x.expand(15, 4), masks).detach()
        sizes = masks.sum(1)
        average = sum(losses[sizes == t].mean() for t in range(4)) / 4
        assert average.item() == pytest.approx(-sum(orders_by_hand(net, x)) / 24)


def test_the_likelihood_under_an_order():
    net, x = any_order(), all_bits(4)[9]
    for order, truth in zip(itertools.permutations(range(4)), orders_by_hand(net, x), strict=True):
        place = torch.tensor(order).argsort()[None]
        assert ar.order_log_likelihood(net, x[None], place).item() == pytest.approx(truth)


def test_a_step_for_any_order_descends_the_mean_loss_at_the_sets_that_the_noise_draws():
    nets, noise = torch.nn.ModuleDict({"model": any_order()}), torch.randn(16, 5, generator=generator(5, "noise"))
    net, seen = nets["model"], ar.some_seen(noise)
    bce = torch.nn.functional.binary_cross_entropy_with_logits(net(all_bits(4), seen), all_bits(4), reduction="none")
    expected = sum(4 * (row[~mask]).mean().item() for row, mask in zip(bce, seen, strict=True)) / 16
    loss = ar.any_order_step(nets, {"model": torch.optim.SGD(nets.parameters(), 1e-3)}, all_bits(4), noise)["loss"]
    assert loss.item() == pytest.approx(expected)
    assert ar.any_order_loss(net, all_bits(4), seen).mean() < loss


def test_a_place_is_the_rank_of_its_noise():
    noise = torch.tensor([[0.3, -1.0, 2.0, 0.1], [4.0, 3.0, 2.0, 1.0]])
    assert ar.places(noise).tolist() == [[2, 0, 3, 1], [3, 2, 1, 0]]
    seen = ar.some_seen(torch.cat([noise, torch.tensor([[0.01], [-9.0]])], 1))  # t = 2 and t = 0
    assert seen.tolist() == [[False, True, False, True], [False] * 4]


def test_random_sets_have_every_size_alike_and_every_pixel_alike():
    n = 30_000
    seen = ar.some_seen(torch.randn(n, 5, generator=generator(0, "noise")))
    shares = seen.sum(1).bincount(minlength=4) / n
    assert seen.shape == (n, 4) and torch.allclose(shares, torch.full((4,), 0.25), atol=0.012)
    assert torch.allclose(seen.double().mean(0), torch.full((4,), 0.375).double(), atol=0.012)  # E t / d


def test_masked_diffusion_weighs_a_set_as_an_order_does():
    """The integral of a^r (1-a)^(d-r-1), by quadrature, is 1 / ((d-r) C(d, r))."""
    for d, r in ((4, 0), (4, 3), (7, 2)):
        found, _ = integrate.quad(lambda a, d=d, r=r: a**r * (1 - a) ** (d - r - 1), 0, 1)
        assert found == pytest.approx(1 / ((d - r) * math.comb(d, r)))


def test_unmasking_one_by_one_follows_the_law_of_its_order():
    net, n = any_order(), 40_000
    place = torch.tensor([2, 0, 3, 1]).expand(n, 4)
    law = ar.order_log_likelihood(net, all_bits(4), place[:16]).exp()
    assert law.sum().item() == pytest.approx(1)
    x = ar.unmask(net, torch.rand(n, 4, generator=generator(2, "uniform"), dtype=torch.float64), place, passes=4)
    counts = (x @ torch.tensor([8.0, 4, 2, 1]).double()).long().bincount(minlength=16).double()
    chi = ((counts - n * law) ** 2 / (n * law))[n * law > 5].sum()
    assert chi < 45


@pytest.mark.parametrize("passes", [1, 2, 3, 4, 7])
def test_every_pass_of_unmasking_draws_about_as_many_pixels(passes):
    seen = []

    def net(x, known):
        seen.append(known.sum(1))
        return torch.zeros_like(x)

    uniform = torch.rand(5, 7, generator=generator(0, "uniform"))
    ar.unmask(net, uniform, ar.places(torch.randn(5, 7, generator=generator(0, "places"))), passes)
    drawn = torch.stack([*seen, torch.full((5,), 7)]).diff(dim=0)  # (passes, 5)
    assert drawn.shape == (passes, 5) and 7 // passes <= drawn.min() <= drawn.max() <= -(-7 // passes)


def test_unmasking_all_at_once_is_one_pass():
    net, uniform = any_order(), torch.rand(6, 4, generator=generator(3, "uniform"), dtype=torch.float64)
    place = ar.places(torch.randn(6, 4, generator=generator(4, "order")))
    nothing = torch.zeros(6, 4, dtype=torch.bool)
    expected = (uniform < net(torch.zeros_like(uniform), nothing).sigmoid()).double()
    assert torch.equal(ar.unmask(net, uniform, place, passes=1), expected)
    for passes in (0, 5):
        with pytest.raises(ValueError, match="between 1 and the 4 pixels"):
            ar.unmask(net, uniform, place, passes)


def test_networks_depend_on_the_seed_alone():
    torch.rand(3)
    for make in (lambda s: ar.networks(s, 3, 8), lambda s: ar.pixelcnn_networks(s, 4, 4, 2)):
        one, same, other = make(1), make(1), make(2)
        assert all(map(torch.equal, one.parameters(), same.parameters()))
        assert not all(map(torch.equal, one.parameters(), other.parameters()))


# The judge of samples


def test_true_digits_are_neither_held_out_nor_the_teachers_of_the_judge(monkeypatch):
    """Then they are covered as often as equal distributions are, whatever the features; the mean is over many draws."""
    seen = []
    monkeypatch.setattr(digits.judging, "train_judge", lambda net, images, labels, **how: (seen.append(images), net)[1])
    digits.judge.cache_clear()
    try:
        numbers = digits.real_scores(steps=1)
        few = digits.real_scores(steps=1, draws=2)
    finally:
        digits.judge.cache_clear()
    expected = neighbors.expected_coverage(297, 297, 5)
    assert numbers["true digits", "coverage"].item() == pytest.approx(expected, abs=0.01)
    spread = "coverage, standard deviation of a draw"
    assert (
        0 < numbers["true digits", spread] < 0.03
        and few["true digits", "coverage"] != numbers["true digits", "coverage"]
    )
    images = labeled("digits", "train")[0]
    assert torch.equal(seen[0], images[:900]) and len(images) - len(seen[0]) > 297


@pytest.mark.parametrize("shape", [(4, 2), (3, 2), (2, 3), (4,), (3, 3)])
def test_tables_that_are_not_of_bits_are_refused(shape):
    """Their axes would be cut in the wrong places, and the sum over coordinates would not be the KL."""
    p, q = (simplex(generator(seed, "table"), math.prod(shape)).reshape(shape) for seed in (0, 1))
    order = range(len(shape))
    for call in (
        lambda: ar.conditionals(p, order),
        lambda: ar.prefix_kl(p, q, order),
        lambda: ar.prefix_joints(p, q),
        lambda: ar.logit_average(p, [order]),
    ):
        with pytest.raises(ValueError, match="table of bits"):
            call()
    assert torch.allclose(ar.in_parallel(p, [[i] for i in order]), p)  # these need no bits
    assert torch.isclose(ar.marginal_entropy(p, list(order)), -torch.xlogy(p, p).sum())


def test_scheduled_sampling_of_three_coordinates_is_refused():
    with pytest.raises(ValueError, match="table"):
        ar.scheduled_optimum(torch.full((2, 2, 2), 0.125), 0.5)


@pytest.mark.parametrize("shape", [(5, 12), (5, 3, 2), (5, 2, 3, 1), (5, 2, 2, 3), (2, 3)])
@pytest.mark.parametrize("kind", [ar.PlainPixelCNN, ar.GatedPixelCNN])
def test_pictures_of_another_size_are_refused(kind, shape):
    """Two pictures to a row, transposed ones and channels would all have become pictures of the right size."""
    with pytest.raises(ValueError, match="size"):
        kind((2, 3), 4, 1)(torch.zeros(shape))


def test_the_counts_of_products_beside_figure_15_3():
    """Between the smallest and the largest picture, as the recorded slopes are taken; each of those lies below."""
    config, summary = exact.RECIPES["15.3"].full, records.load("15.3")["summary"]
    low, high = config.sides[0] ** 2, config.sides[-1] ** 2
    ways = {"MADE": (lambda d: d * d * (2 * config.hidden + d), 2.18, (1.9, 2.1)),
            "MADE with a cache": (lambda d: d * (2 * config.hidden + d), 1.18, (1.0, 1.1))}  # fmt: skip
    for name, (products, slope, measured) in ways.items():
        assert round(math.log(products(high) / products(low)) / math.log(high / low), 2) == slope
        found = summary[f"{name}: slope on logarithmic axes"]
        assert (round(found["min"], 1), round(found["max"], 1)) == measured and found["max"] < slope


def test_one_slow_run_of_figure_15_3_is_told_in_text_and_verdict():
    """The mean of its slopes, 1.4, would be that of no run."""
    record, config = records.load("15.3"), exact.RECIPES["15.3"].full
    slopes = record["numbers"]["gated PixelCNN: slope on logarithmic axes"]
    growth = (config.gated_sides[1] / config.gated_sides[0]) ** 2
    ends = record["numbers"]["gated PixelCNN: ms per picture of 144 pixels"]
    starts = sorted(round(end / growth**slope) for end, slope in zip(ends, slopes, strict=True))
    assert starts == [26, 29, 48] and sorted(round(slope, 1) for slope in slopes) == [0.7, 1.7, 1.7]
    assert "48 ms at 64 pixels, the others 26 and 29" in source(15, "orders")
    assert "gated PixelCNN 0.7 to 1.7, MADE 1.9 to 2.1" in exact.verdict_cost(record["summary"])


def test_the_network_of_all_orders_is_larger_than_made_so_no_claim_rests_on_its_lead():
    """Text and caption of figure 15.5 say the sizes; the claim compares averages with single orders of the same network."""
    config, record = digits.Any(), records.load("15.5")
    net, made = ar.AnyOrder(64, config.hidden), ar.MADE(64, config.made_hidden)
    weights = sum(p.numel() for p in net.parameters())
    closed = sum(int((part == 0).sum()) for name, part in made.named_buffers() if name.endswith("mask"))
    open_ones = sum(p.numel() for p in made.parameters()) - closed
    said = source(15, "any-2")
    assert f"two hidden layers and {weights:,} weights" in said and f"{open_ones:,} that no mask closes" in said
    assert weights > 3 * open_ones and "which is larger" in digits.RECIPES["15.5"].caption
    claim = next(claim for claim in claims.CLAIMS if claim.figure == "15.5")
    asked = claims.Asked(record["summary"])
    assert claim.rule(asked) is True and not any("MADE" in name for name in asked.names)
    names = "likelihoods of 8 orders averaged, nats", "one order, the best, nats"
    assert all(a > b for a, b in zip(*(record["numbers"][name] for name in names), strict=True))


def test_samples_gain_up_to_sixteen_passes_and_no_more_that_five_seeds_show():
    numbers, passes = records.load("15.5")["numbers"], (1, 2, 4, 8, 16, 64)
    runs = [numbers[f"{k} passes: distance"] for k in passes]
    for fewer, more in itertools.pairwise(runs[:5]):
        assert all(b < a for a, b in zip(fewer, more, strict=True))
    apart = summarize([b - a for a, b in zip(runs[4], runs[5], strict=True)])
    assert apart["low"] < 0 < apart["high"]


def test_the_trial_with_fewer_layers_ended_lower_as_the_text_says():
    tuning = {name: dict(zip(rates, found, strict=True)) for name, rates, found in digits.Families().tuning}
    assert tuning["gated PixelCNN, 3 layers"] == {1e-2: -23.93} and tuning["gated PixelCNN"][1e-2] == -22.79
    assert "A trial with three, and so with fewer weights, ended lower" in source(15, "families-2")


def test_the_likelihoods_of_both_autoregressive_models_lie_above_the_bound():
    """So at the recorded length; with twice the steps the bound rises to what the text says."""
    record = records.load("15.6")
    nats = {name: record["summary"][f"{name}: nats"] for name in ("VAE", "MADE", "gated PixelCNN")}
    assert all(nats[name]["min"] > nats["VAE"]["max"] for name in ("MADE", "gated PixelCNN"))
    assert round(record["twice"]["numbers"]["VAE: nats"][0], 2) == -22.16 > nats["VAE"]["max"]


def test_the_verdict_on_nats_compares_the_same_images_and_calls_a_bound_a_bound():
    few, many = (bound["mean"] for bound in nats.chapter_three().values())
    summary = {
        "log-likelihood, all test images": summarize([few + 1, few + 1.01, few + 1.02]),
        "log-likelihood, every 10th test image": summarize([many - 1, many - 1.01, many - 1.02]),
        "gain over the last quarter of the steps": summarize([0.3, 0.3, 0.31]),
    }
    said = nats.verdict_nats(summary)
    assert "lie above every bound" in said and "every tenth image not above every bound" in said
    assert "by an amount that is not known" in said and said.endswith("0.30 nats were gained: still rising.")


def test_the_verdict_on_orders_tells_arms_apart_and_says_what_has_settled():
    at, late = [-22.3, -22.2, -22.1], ", nats, change over the last quarter"
    summary = {
        "MADE in raster order, nats": summarize(at),
        "one order, mean over orders, nats": summarize([v - 1 for v in at]),
        "likelihoods of 8 orders averaged, nats": summarize([v + 0.1 for v in at]),
        "logits of 8 orders averaged, no likelihood": summarize([v + 1 for v in at]),
        f"MADE in raster order{late}": summarize([0.02, -0.02, 0.01]),
        f"one order{late}": summarize([0.5, 0.5, 0.51]),
        "1 passes: distance": summarize([60, 61, 62]),
        "64 passes: distance": summarize([9, 10, 11]),
    }
    said = digits.verdict_any(summary)
    assert "single orders: more in every seed; against MADE in raster order: not told apart; what" in said
    assert "averaged likelihoods: more in every seed; against MADE: more in every seed" in said
    assert said.endswith("MADE in raster order 0.00 (settled), one order 0.50 (still rising).")
    lower = summary | {"likelihoods of 8 orders averaged, nats": summarize([v - 0.5 for v in at])}
    assert "against MADE in raster order: less in every seed" in digits.verdict_any(lower)


def test_a_rate_that_one_run_chose_need_not_be_the_best_and_twice_the_steps_turn_an_order():
    """As the text says of figure 15.6, whose MADE is that of figure 15.5 at another rate."""
    families, orders = records.load("15.6"), records.load("15.5")
    chosen, other = families["config"]["made_rate"], orders["config"]["made_rate"]
    assert chosen != other and families["config"]["made_steps"] == orders["config"]["steps"]
    mine, theirs = families["numbers"]["MADE: nats"], orders["numbers"]["MADE in raster order, nats"]
    assert all(a > b for a, b in zip(theirs, mine, strict=True))
    longer = {name: values[0] for name, values in families["twice"]["numbers"].items()}
    assert longer["gated PixelCNN: nats"] > longer["VAE: nats"] > longer["MADE: nats"]
    assert longer["MADE: nats"] < mine[0] and min(mine) > max(families["numbers"]["VAE: nats"])
    longer = {name: values[0] for name, values in orders["twice"]["numbers"].items()}
    assert longer["MADE in raster order, nats"] < theirs[0]  # though the last quarter of every run rose
    assert longer["one order, mean over orders, nats"] > longer["MADE in raster order, nats"]
    said = source(15, "families-2")
    assert "twice the steps bring MADE no more, here and in figure 15.5" in said


def test_after_twice_the_steps_the_bound_passes_made_at_the_worse_of_two_rates_only():
    """Figures 15.5 and 15.6 hold one MADE at two rates, on the same bits; families-2 says all four numbers."""
    orders, families = (records.load(id)["twice"] for id in ("15.5", "15.6"))
    ours, theirs = families["config"], orders["config"]
    assert all(ours[f"made_{what}"] == theirs[same] for what, same in (("hidden", "made_hidden"), ("steps", "steps")))
    assert ours["batch"] == theirs["batch"] and orders["seeds"] == families["seeds"] == [0]
    bound, made, gated = (families["numbers"][f"{name}: nats"][0] for name in ("VAE", "MADE", "gated PixelCNN"))
    other = orders["numbers"]["MADE in raster order, nats"][0]
    assert gated > other > bound > made
    said = source(15, "families-2")
    assert f"that bound (${bound:.2f}$) passes this MADE (${made:.2f}$), but not the same MADE" in said
    assert f"(${other:.2f}$ after as many steps). The gated PixelCNN (${gated:.2f}$) stays ahead of all" in said


def test_twice_the_epochs_of_figure_15_2_gain_what_the_text_says():
    record = records.load("15.2")
    (first, *_), longer = record["numbers"]["log-likelihood, all test images"], record["twice"]
    (last,) = longer["numbers"]["log-likelihood, all test images"]
    assert longer["config"]["epochs"] == 2 * record["config"]["epochs"] and longer["seeds"] == [0]
    assert longer["numbers"]["gain over the last quarter of the steps"][0] > 0.3
    said = source(15, "nats-2")
    assert f"A run of twice the epochs (seed 0) ends at ${last:.2f}$ instead of ${first:.2f}$, and still rises" in said


def test_direct_links_show_every_earlier_pixel_also_where_no_unit_does():
    """(15.3) is of a network without them; the text names them beside it."""
    net = ar.MADE(6, 2, rng=generator(0, "links"), activation=torch.tanh).double()
    x = torch.rand(6, generator=generator(1, "links"), dtype=torch.float64)
    place, unit = torch.arange(6), torch.arange(2) * 5 // 2
    linked = ((place[:, None, None] > unit[:, None]) & (unit[:, None] >= place)).any(1)  # (d, d), (15.3)
    assert torch.equal(ar.sees(net, x) > 0, linked) and linked.sum() < 15
    torch.nn.init.normal_(net.direct.weight, generator=generator(2, "links"))
    assert torch.equal(ar.sees(net, x) > 0, place[:, None] > place)
    assert "masked **direct links** from each pixel to all later outputs" in source(15, "estimate")


def test_the_test_by_gradient_takes_one_row_at_a_time_as_the_text_says():
    net = ar.MADE(4, 3, rng=generator(0, "rows"))
    with pytest.raises(ValueError, match="one row"):
        ar.sees(net, torch.rand(2, 4, generator=generator(0, "two rows")))
    assert "call `ar.sees` at several pictures, one at a time" in source(15, "pixelcnn")


def test_a_loss_of_probability_is_not_called_a_leak():
    """A leak makes the reported nats better; what (15.10) charges makes them worse."""
    (row,) = [line for line in source(15, "wrong-2").splitlines() if "(15.10) |" in line]
    assert "loses probability" in row and "leak" not in row + source(15, "eq-15-10")


def test_rows_without_an_unseen_pixel_cost_nothing_in_masked_diffusion():
    """Exercise 15.E4 has such rows, `any_order_loss` refuses them, and the exercise and its hints say both."""

    def by_any_order(nets, opts, x, seen, keep, left_out=True):
        rest = ~seen.all(1) if left_out else torch.ones(len(x), dtype=torch.bool)
        x, seen, keep, n = x[rest], seen[rest], keep[rest], len(x)
        lost = ar.any_order_loss(nets["model"], x, seen) * (~seen).sum(1) / x.shape[1]
        loss = (lost / (1 - keep)).sum() / n
        opts["model"].zero_grad()
        loss.backward()
        opts["model"].step()
        return loss.detach()

    exercise = EXERCISES["15.E4"]
    exercise.check(by_any_order)
    with pytest.raises(ValueError, match="no unseen pixel"):
        exercise.check(functools.partial(by_any_order, left_out=False))
    assert "some rows have no unseen pixel; they cost 0" in source(15, "exercises")
    assert any(
        "ar.any_order_loss" in hint and "refuses rows without an unseen pixel" in hint for hint in exercise.hints
    )
