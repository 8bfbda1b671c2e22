"""Chapter 15: no latent variable. The KL by the chain rule over coordinates, with MADE, PixelCNN and any-order models.

A table of d bits is a float64 tensor with d axes of length 2 that sums to 1; all entries are positive where conditionals
are taken. A model of pictures maps bits x (n, ...) to logits (n, d), pixels in raster order, and `net.order` says in which
order they are drawn: logit i depends on the pixels before i in that order and on no others. Log-likelihoods are in nats,
one per row. Shapes: x (n, ...), log_q (k, n), noise (n, d + 1), tables p and q (2, ..., 2).
"""

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import pad, relu, softplus

from gentools.gan import descend
from gentools.lab.divergences import expected_kl
from gentools.lab.networks import fan_in, mlp
from gentools.lab.randomness import generator
from gentools.lab.shapes import (
    distributions,
    filled,
    floating,
    of_bits,
    of_two_axes,
    of_width,
    only_bits,
    permutations,
    same_columns,
    same_shape,
    tensors,
    truth_values,
    whole,
    within_unit,
)

# Tables of d bits, exactly


def conditionals(p, order):
    """The factors of a table (2, ..., 2) in that order: for i = 0..d-1 a pair p(prefix) (2^i,), p(x_i | prefix) (2^i, 2).

    Given a prefix that never occurs the row is 0 throughout. Raises ValueError for a table that is not of bits.
    """
    of_bits(p=p)
    distributions(p=p)
    table, factors = p.permute(*order), []
    for i in range(p.ndim):
        joint = table.reshape(2**i, 2, -1).sum(2)  # (2^i, 2)
        factors.append((joint.sum(1), (joint / joint.sum(1, keepdim=True)).nan_to_num(0.0)))
    return factors


def prefix_kl(p, q, order):
    """E_p KL(p(x_i | prefix) || q(x_i | prefix)) of every coordinate in that order, (d,). Their sum is KL(p || q). (15.2)"""
    same_shape(p=p, q=q)
    pairs = zip(conditionals(p, order), conditionals(q, order), strict=True)
    return torch.stack([expected_kl(weights, rows, others) for (weights, rows), (_, others) in pairs])


def prefix_joints(p, q):
    """The two joints of x and its prefixes z, as tables (2^d, 2^(d-1)). Deleting coordinates fixes z once x is known.

    The latent is the longest prefix, which holds all shorter ones; rows are x, columns z.
    Raises ValueError for tables that are not of bits.
    """
    of_bits(p=p, q=q)
    same_shape(p=p, q=q)
    distributions(p=p, q=q)
    x = torch.arange(p.numel(), device=p.device)
    deleted = torch.zeros(p.numel(), p.numel() // 2, dtype=p.dtype, device=p.device)
    deleted[x, x // 2] = 1  # p(z|x) = q(z|x): both bits of the last coordinate have one prefix
    return p.reshape(-1, 1) * deleted, q.reshape(-1, 1) * deleted


def logit_average(p, orders):
    """What a program reports that averages logits over orders, for exact conditionals: "probabilities" (2, ..., 2).

    They do not sum to 1 in general, so they are no distribution. Equation (15.6). Raises ValueError where a prefix never
    occurs, or where one order is sure of a bit and another of its opposite: there is no logit to average then.
    """
    if not orders or any(sorted(order) != [*range(p.ndim)] for order in orders):
        raise ValueError(f"each order must hold the {p.ndim} coordinates once; they are {orders}")
    of_bits(p=p)
    distributions(p=p)
    logits = torch.stack([torch.stack(_logits(p, order)) for order in orders]).mean(0)  # (d, 2, ..., 2)
    if p.device.type == "cpu" and logits.isnan().any():
        raise ValueError(
            "logits have no average where a prefix never occurs, nor where orders are sure of opposite bits; with "
            "positive probabilities throughout, as (p + 1e-9) / (p + 1e-9).sum(), they have one"
        )
    bits = torch.stack(torch.meshgrid(*[torch.arange(2, device=p.device)] * p.ndim, indexing="ij"))  # (d, 2, ..., 2)
    return torch.where(bits == 1, logits.sigmoid(), (-logits).sigmoid()).prod(0)


def _logits(p, order):
    """log p(x_i = 1 | before) - log p(x_i = 0 | before) of every coordinate i, each (2, ..., 2)."""
    found = [None] * p.ndim
    for position, i in enumerate(order):
        later = tuple(order[position + 1 :])
        margin = p.sum(later, keepdim=True) if later else p
        zero, one = margin.log().unbind(i)
        found[i] = (one - zero).unsqueeze(i).expand_as(p)
    return found


def in_parallel(p, blocks):
    """The distribution (2, ..., 2) of drawing block after block by exact conditionals, a block's coordinates at once.

    blocks: lists of coordinates, which together hold each coordinate once. Raises ValueError if a block is to follow on
    bits that were drawn together and never occur together in p: no conditional says what comes then.
    """
    if sorted(i for block in blocks for i in block) != list(range(p.ndim)):
        raise ValueError(f"the blocks must hold each of the {p.ndim} coordinates once; they are {blocks}")
    distributions(p=p)
    q, drawn = torch.ones_like(p), []
    for block in blocks:
        before = _marginal(p, drawn)
        if p.device.type == "cpu" and block and ((before == 0) & (q > 0)).any():
            raise ValueError(
                f"the coordinates {drawn} are drawn with bits that never occur together in p, so nothing says how to draw "
                f"{block} after them; draw in smaller blocks"
            )
        for i in block:
            q = q * _marginal(p, [*drawn, i]) / torch.where(before == 0, 1, before)  # 0, where nothing was before
        drawn += block
    return q


def _marginal(p, kept):
    """The table with all other coordinates summed out, in an array with d axes."""
    if not all(i in range(p.ndim) for i in kept):
        raise ValueError(f"the coordinates run from 0 to {p.ndim - 1}; these are {kept}")
    others = [i for i in range(p.ndim) if i not in kept]
    return p.sum(others, keepdim=True) if others else p


def marginal_entropy(p, kept):
    """Entropy in nats of the coordinates `kept` of a table (2, ..., 2), numbers from 0; 0 for none."""
    distributions(p=p)
    margin = _marginal(p, kept)
    return -torch.xlogy(margin, margin).sum()


def scheduled_optimum(p, rate):
    """Where scheduled sampling takes q(x2|x1) for a joint p (n, m), if x1 is replaced by the model's own at that rate. (15.11)

    Given an x1 that never occurs the row is 0 throughout. Raises ValueError for a rate outside [0, 1] and other tables.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"the rate is a probability, not {rate}")
    of_two_axes(p=p)
    distributions(p=p)
    p_x1 = p.sum(1, keepdim=True)  # (n, 1)
    occurs = p_x1 > 0
    return occurs * ((1 - rate) * p / torch.where(occurs, p_x1, 1) + rate * p.sum(0))


# Likelihood, and one step


def bits_log_likelihood(x, logits):
    """sum_i x_i l_i - log(1 + exp l_i) in nats of bits x (n, d) with logits (n, d); (n,)."""
    same_shape(x=x, logits=logits)
    only_bits(x=x)
    return torch.einsum("nd,nd->n", x, logits) - softplus(logits).sum(1)


def log_likelihood(net, x):
    """log q(x) = sum_i x_i l_i - log(1 + exp l_i) in nats, exact: x bits (n, ...) -> (n,). One pass of the network."""
    floating(x=x)
    if x.ndim < 2:
        raise ValueError(f"x must be rows of bits (n, ...), not of shape {tuple(x.shape)}; x[None] makes one of a row")
    return bits_log_likelihood(x.flatten(1), net(x))


def step(nets, opts, x, z):
    """One step on -log q(x), the cross-entropy of every pixel given the true ones before it. x: bits (n, ...); z is not used."""
    filled(x=x)
    loss = -log_likelihood(nets["model"], x).mean()
    descend(opts["model"], loss)
    return {"loss": loss.detach()}


def average_orders(log_q):
    """log of the mean likelihood over k orders, from log_q (k, n); (n,). A mixture of models is a model. (15.5)"""
    if log_q.ndim != 2 or not len(log_q):
        raise ValueError(f"log_q is (k, n), a row for each of k >= 1 orders, not of shape {tuple(log_q.shape)}")
    return log_q.logsumexp(0) - math.log(len(log_q))


# MADE (Germain et al. 2015)


class MaskedLinear(nn.Linear):
    """A linear layer whose weights (out, in) count only where the mask (out, in) is 1."""

    def __init__(self, mask, bias=True, rng=None):
        with torch.device("meta"):
            super().__init__(mask.shape[1], mask.shape[0], bias)
        self.to_empty(device="cpu")
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)
        if bias:
            fan_in(self, rng)
        else:
            nn.init.zeros_(self.weight)

    def forward(self, x):
        """(n, in) -> (n, out)."""
        return nn.functional.linear(x, self.weight * self.mask, self.bias)


class MADE(nn.Module):
    """Bits (n, d) or pictures of d pixels -> logits (n, d): d - hidden - d with masks, and direct links d - d.

    A pixel's number is its place in `order`, 0 to d - 1. Hidden unit h has a number m(h) from 0 to d - 2; it sees pixels
    with numbers up to m(h), and feeds outputs with greater ones. Equation (15.3). order: a permutation (d,), or raster.
    """

    def __init__(self, d, hidden, order=None, rng=None, activation=relu):
        super().__init__()
        whole(hidden=hidden)
        order = torch.arange(d) if order is None else order
        tensors(order=order)
        if order.is_floating_point() or order.dtype == torch.bool:
            raise TypeError(f"an order holds whole numbers (int64), not {order.dtype}; use order.long()")
        if d < 2 or not torch.equal(order.sort().values, torch.arange(d)):
            raise ValueError(f"the order must be a permutation of the {d} pixels, at least 2")
        place, units = order.argsort(), torch.arange(hidden) * (d - 1) // hidden  # (d,), (hidden,): equal shares
        self.register_buffer("order", order, persistent=False)
        self.activation = activation
        self.inward = MaskedLinear(units[:, None] >= place, rng=rng)
        self.outward = MaskedLinear(place[:, None] > units, rng=rng)
        self.direct = MaskedLinear(place[:, None] > place, bias=False)

    def forward(self, x):
        """(n, ...) with d numbers in a row -> (n, d)."""
        x = x.flatten(1)
        of_width(len(self.order), x=x)
        return self.outward(self.activation(self.inward(x))) + self.direct(x)


# PixelCNN (van den Oord et al. 2016): convolutions that see what lies before


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees the rows above and, in its own row, what lies to the left; with `center` the pixel itself.

    Without it is mask A, for the first layer; with it mask B, for all others, whose inputs have not seen the pixel. Raises
    ValueError for an even kernel, which has no center.
    """

    def __init__(self, n, m, kernel, center):
        if kernel % 2 != 1:
            raise ValueError(f"the kernel must be odd, not {kernel}")
        super().__init__(n, m, kernel, padding=kernel // 2)
        mask = torch.zeros(kernel, kernel)
        mask[: kernel // 2] = 1
        mask[kernel // 2, : kernel // 2 + center] = 1
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        """(n, c, h, w) -> (n, m, h, w)."""
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class Raster(nn.Module):
    """What models of pictures have in common: they take (n, h, w), (n, 1, h, w) or (n, h * w), and return (n, h * w)."""

    def __init__(self, size):
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        if min(self.size) < 1:
            raise ValueError(f"a picture has a side of at least 1, not {size}")
        self.register_buffer("order", torch.arange(math.prod(self.size)), persistent=False)

    def forward(self, x):
        """Bits (n, ...) -> logits (n, h * w), pixels in raster order. Raises ValueError for pictures of another size."""
        if tuple(x.shape[1:]) not in (self.size, (1, *self.size), (math.prod(self.size),)):
            raise ValueError(
                f"x must be n pictures of size {self.size}, (n, h, w), (n, 1, h, w) or (n, h * w), not {tuple(x.shape)}"
            )
        return self.maps(2 * x.reshape(-1, 1, *self.size) - 1).flatten(1)  # bits as -1 and 1


class PlainPixelCNN(Raster):
    """`layers` masked convolutions of one stack. It never sees the pixels of a cone above to the right: the blind spot."""

    def __init__(self, size, channels=16, layers=4, kernel=3):
        super().__init__(size)
        whole(channels=channels, layers=layers)
        made = [MaskedConv2d(1, channels, kernel, center=False), nn.ReLU()]
        for _ in range(layers - 1):
            made += [MaskedConv2d(channels, channels, kernel, center=True), nn.ReLU()]
        self.maps = nn.Sequential(*made, nn.Conv2d(channels, 1, 1))


def down(x):
    """Maps (n, c, h, w) moved down by one row, with zeros on top: row r then holds what was seen up to row r - 1."""
    return pad(x, (0, 0, 1, 0))[:, :, :-1]


def gate(x):
    """tanh(a) * sigmoid(b) of the two halves a, b of the channels: (n, 2 c, h, w) -> (n, c, h, w)."""
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()


class GatedLayer(nn.Module):
    """A vertical stack that sees all rows up to its own, and a horizontal one that sees its row to the left.

    The vertical stack reaches the horizontal one moved down by a row. In the first layer the horizontal stack must not see
    its own pixel: its input is moved right by one, and there is no residual link, which would carry the pixel past it.
    Raises ValueError for an even kernel, which has no center.
    """

    def __init__(self, n, channels, kernel=3, first=False):
        if kernel % 2 != 1:
            raise ValueError(f"the kernel must be odd, not {kernel}")
        super().__init__()
        self.reach, self.first = kernel // 2, first
        self.vertical = nn.Conv2d(n, 2 * channels, (self.reach + 1, kernel))
        self.horizontal = nn.Conv2d(n, 2 * channels, (1, self.reach + 1))
        self.link = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, v, h):
        """Vertical and horizontal maps (n, c, h, w) -> both, (n, channels, h, w)."""
        r = self.reach
        seen_above = self.vertical(pad(v, (r, r, r, 0)))  # (n, 2 channels, h, w)
        left = pad(h, (r + 1, -1, 0, 0) if self.first else (r, 0, 0, 0))
        new = self.out(gate(self.horizontal(left) + self.link(down(seen_above))))
        return gate(seen_above), new if self.first else h + new


class GatedPixelCNN(Raster):
    """`layers` gated layers and two 1x1 convolutions. No blind spot: it sees every pixel before its own within reach."""

    def __init__(self, size, channels=32, layers=5, kernel=3):
        super().__init__(size)
        whole(channels=channels, layers=layers)
        self.layers = nn.ModuleList(GatedLayer(channels if i else 1, channels, kernel, i == 0) for i in range(layers))
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, 1, 1))

    def maps(self, x):
        """(n, 1, h, w) -> logits (n, 1, h, w)."""
        v = h = x
        for layer in self.layers:
            v, h = layer(v, h)
        return self.head(h)


def sees(net, x):
    """Which logit depends on which pixel: |slope| of every logit in every pixel at a row of numbers x (d,); (d, d).

    Entry (i, j) is the slope of logit i in pixel j. An autoregressive model in raster order has zeros on and above the
    diagonal. Masks make exact zeros. Raises ValueError for pictures and batches: (i, j) would have no place in the result.
    """
    if x.ndim != 1:
        raise ValueError(
            f"x must be one row of numbers (d,), not of shape {tuple(x.shape)}; x.flatten() makes a picture one"
        )
    return torch.autograd.functional.jacobian(lambda row: net(row[None])[0], x).abs()


def networks(seed, size=28, hidden=1024, order=None):
    """ModuleDict with "model": a MADE for pictures of side `size`, in raster order or another (d,).

    Raises ValueError for a size or a number of hidden units below 1.
    """
    whole(size=size, hidden=hidden)
    return nn.ModuleDict({"model": MADE(size * size, hidden, order, generator(seed, "made"))})


def pixelcnn_networks(seed, size=8, channels=32, layers=5):
    """ModuleDict with "model": a gated PixelCNN whose start depends on the seed alone.

    Raises ValueError for a size, channels or layers below 1.
    """
    whole(channels=channels, layers=layers)
    with torch.device("meta"):
        net = GatedPixelCNN(size, channels, layers)
    net, rng = net.to_empty(device="cpu"), generator(seed, "pixelcnn")
    net.order = torch.arange(math.prod(net.size))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            fan_in(layer, rng)
    return nn.ModuleDict({"model": net})


# Drawing


@torch.no_grad()
def sample(net, uniform):
    """Bits (n, d), one pixel after the other: a pass of the whole network for each. uniform: numbers (n, d) in [0, 1].

    Pixel i is 1 where uniform i lies below its probability, so the same numbers give the same pictures.
    """
    same_columns(uniform=uniform, order=net.order)
    within_unit(uniform=uniform)
    x = torch.zeros_like(uniform)
    for i in net.order.tolist():
        x[:, i] = (uniform[:, i] < net(x)[:, i].sigmoid()).to(x.dtype)
    return x


@torch.no_grad()
def cached_sample(made, uniform):
    """`sample` for a MADE, with the hidden units kept: a new pixel adds one column of weights to them.

    All d pixels together then cost as much as one pass of the network. The pictures are the same. Raises TypeError for
    other networks, also for a MADE whose `forward` was changed: the cache goes its own way through the weights.
    """
    if not isinstance(made, MADE):
        raise TypeError(
            f"only a MADE keeps hidden units, and this is a {type(made).__name__}: sample(net, uniform) draws from it"
        )
    if getattr(made.forward, "__func__", None) is not MADE.forward:
        raise TypeError(
            f"this {type(made).__name__} has a forward of its own, which the cache does not know: sample(net, uniform) "
            "draws from it"
        )
    same_columns(uniform=uniform, order=made.order)
    within_unit(uniform=uniform)
    columns = (made.inward.weight * made.inward.mask).T.contiguous()  # (d, hidden)
    rows, direct = made.outward.weight * made.outward.mask, made.direct.weight * made.direct.mask  # (d, hidden), (d, d)
    x, hidden = torch.zeros_like(uniform), made.inward.bias.repeat(len(uniform), 1)  # (n, d), (n, hidden)
    for i in made.order.tolist():
        logit = made.activation(hidden) @ rows[i] + x @ direct[i] + made.outward.bias[i]  # (n,)
        x[:, i] = (uniform[:, i] < logit.sigmoid()).to(x.dtype)
        hidden += x[:, i, None] * columns[i]
    return x


# Any order: one network for all conditionals (Uria et al. 2014)


class AnyOrder(nn.Module):
    """Bits x (n, d) and what is seen of them (n, d) -> logits (n, d) of all pixels given the seen ones."""

    def __init__(self, d, hidden=(256,), rng=None, activation=nn.ReLU):
        super().__init__()
        self.net = mlp([2 * d, *hidden, d], activation, generator=rng)

    def forward(self, x, seen):
        """x (n, d) is read only where seen (n, d) is true."""
        seen = seen.to(x.dtype)
        return self.net(torch.cat([x * seen, seen], 1))


def any_order_loss(net, x, seen):
    """d / (d - t) times the cross-entropy of the d - t unseen pixels, in nats, (n,). x bits (n, d), seen (n, d). (15.7)

    With t uniform on 0..d-1 and the seen pixels uniform among sets of t, its mean is that of -log q over all orders.
    Raises TypeError for `seen` in numbers, ValueError for x in gray and for rows without an unseen pixel.
    """
    truth_values(seen=seen)
    only_bits(x=x)
    if x.device.type == "cpu" and seen.all(1).any():
        raise ValueError("a row has no unseen pixel, so there is nothing to predict in it")
    x, hidden = x.flatten(1), ~seen
    same_shape(x=x, seen=seen)
    logits = net(x, seen)
    lost = (softplus(logits) - x * logits) * hidden  # (n, d): -log q(x_i | seen)
    return lost.sum(1) * x.shape[1] / hidden.sum(1)


def some_seen(noise):
    """Standard normal noise (n, d + 1) -> seen (n, d): t pixels of each row, t uniform on 0..d-1, the set uniform."""
    if noise.device.type == "cpu" and noise.isnan().any():
        raise ValueError("noise holds NaN, which has no place in an order")
    d = noise.shape[1] - 1
    t = (torch.special.ndtr(noise[:, d]) * d).long().clamp(0, d - 1)  # (n,)
    return places(noise[:, :d]) < t[:, None]


def places(noise):
    """Noise (n, d) -> the place of every pixel in a random order, a permutation of 0..d-1 in each row."""
    return noise.argsort(1).argsort(1)


def any_order_step(nets, opts, x, z):
    """One step on `any_order_loss` at random sets of seen pixels. x: bits (n, ...); z: noise (n, d + 1)."""
    filled(x=x)
    loss = any_order_loss(nets["model"], x, some_seen(z)).mean()
    descend(opts["model"], loss)
    return {"loss": loss.detach()}


@torch.no_grad()
def order_logits(net, x, place):
    """The logit (n, d) of every pixel of bits x (n, d), given those with smaller places (n, d): d passes of the network."""
    same_shape(x=x, place=place)
    permutations(place=place)
    logits = torch.zeros_like(x)
    for t in range(x.shape[1]):
        logits = torch.where(place == t, net(x, place < t), logits)  # one pixel of each row
    return logits


def order_log_likelihood(net, x, place):
    """log q_o(x) of an `AnyOrder` net for bits x (n, d), if pixel i is drawn at place (n, d) in its row; (n,)."""
    return bits_log_likelihood(x, order_logits(net, x, place))


@torch.no_grad()
def unmask(net, uniform, place, passes):
    """Bits (n, d) of an `AnyOrder` net in that many passes, about d / passes pixels of each row at once. (15.9)

    uniform (n, d) as in `sample`; place (n, d): the order of every row. With passes = d pixels come one by one.
    """
    same_shape(uniform=uniform, place=place)
    within_unit(uniform=uniform)
    permutations(place=place)
    d = uniform.shape[1]
    if not 1 <= passes <= d:
        raise ValueError(f"passes must lie between 1 and the {d} pixels, not {passes}")
    x = torch.zeros_like(uniform)
    bounds = [d * k // passes for k in range(passes + 1)]
    for low, high in pairwise(bounds):
        drawn = (uniform < net(x, place < low).sigmoid()).to(x.dtype)
        x = torch.where((place >= low) & (place < high), drawn, x)
    return x
