"""Chapter 12: a critic in place of the discriminator. The Wasserstein GAN with gradient penalty (Gulrajani et al. 2017).

The critic is a function f of a point; its values are scores, neither probabilities nor logits. Tables p_x and q_x are
float64 vectors over n points; on a line the points are sorted, and what lives on the n - 1 gaps between them has their
order. A distance W1 has the unit of x.
Shapes: data, real and fake points (n, ...), noise (n, k), scores (n, 1). Losses and the penalty are 0-d tensors.
"""

import math

import torch
from torch import nn

from gentools.evaluation import slope_penalty as gradient_penalty  # E (|gradient of f| - 1)^2 between real and fake
from gentools.gan import descend
from gentools.lab import randomness
from gentools.lab.networks import frozen, mlp
from gentools.lab.shapes import (
    distances,
    distributions,
    draws_of_each,
    filled,
    finite,
    flat,
    loss_weights,
    number_per_row,
    one_number,
    one_score_each,
    positive,
    rising,
    same_mass,
    same_rows,
    same_shape,
    split_evenly,
    vectors,
    within_unit,
)

# Losses, networks, one step


def critic_loss(real_score, fake_score):
    """E_q f - E_p f. Its least value over all f with slopes of at most 1 is -W1(p, q) (Arjovsky et al. 2017)."""
    one_score_each(real_score)
    one_score_each(fake_score)
    filled(real_score=real_score, fake_score=fake_score)
    return fake_score.mean() - real_score.mean()


def generator_loss(fake_score):
    """-E_q f: the part of the critic's gain that the generator can move."""
    one_score_each(fake_score)
    filled(fake_score=fake_score)
    return -fake_score.mean()


def interpolate(real, fake, mix):
    """mix real + (1 - mix) fake, one number from 0 to 1 per row, (n, ...); no gradient passes."""
    same_shape(real=real, fake=fake)
    number_per_row(real, mix=mix)
    within_unit(mix=mix)
    mix = mix.reshape(-1, *[1] * (real.ndim - 1))  # (n, 1, ...): one number per row, not per coordinate
    return (mix * real + (1 - mix) * fake).detach()


def toy_networks(seed, width=128, hidden=2):
    """For points in the plane: generator 2-width-...-width-2 and critic 2-width-...-width-1 with ReLU, no BatchNorm."""
    start = {name: randomness.generator(seed, name) for name in ("generator", "critic")}
    inner = [width] * hidden
    generator = mlp([2, *inner, 2], generator=start["generator"])
    critic = mlp([2, *inner, 1], generator=start["critic"])
    return nn.ModuleDict({"generator": generator, "critic": critic})


def critic_step(critic, optimizer, real, fake, penalty_weight, penalty=gradient_penalty):
    """One step of the critic on its loss and the penalty at fresh random places. Returns the loss without penalty."""
    loss_weights(penalty_weight=penalty_weight)
    same_shape(real=real, fake=fake)
    mix = torch.rand(len(real), device=real.device, dtype=real.dtype)  # (n,)
    loss = critic_loss(*critic(torch.cat([real, fake])).chunk(2))
    descend(optimizer, loss + penalty_weight * penalty(critic, real, fake, mix))
    return loss.detach()


def step(nets, opts, x, z, critic_steps, penalty_weight, penalty=gradient_penalty):
    """`critic_steps` steps of the critic, each on rows of its own, then one step of the generator.

    x: data (rows, ...), with rows = critic_steps * n. z: noise (rows, 2, k), a draw per row for the critic and one for
    the generator, which uses n of them. Returns the losses of both, the critic's last one without its penalty.
    """
    split_evenly(critic_steps, x=x, z=z)
    draws_of_each(2, z=z)
    generator, critic = nets["generator"], nets["critic"]
    for_critic, for_generator = z.unbind(1)  # (rows, k) each
    x, for_critic = (rows.unflatten(0, (critic_steps, -1)) for rows in (x, for_critic))  # (critic_steps, n, ...)
    for real, noise in zip(x, for_critic, strict=True):
        with torch.no_grad():
            fake = generator(noise)  # (n, ...)
        c_loss = critic_step(critic, opts["critic"], real, fake, penalty_weight, penalty)

    with frozen(critic):  # the generator's gradient passes through the critic and leaves none in it
        g_loss = generator_loss(critic(generator(for_generator[: len(real)])))
        descend(opts["generator"], g_loss)
    return {"critic": c_loss, "generator": g_loss.detach()}


# Weight clipping, the older way to hold the slopes (Arjovsky et al. 2017)


@torch.no_grad()
def clip(critic, bound):
    """Put every weight and bias of the critic back into [-bound, bound]. Raises ValueError unless bound > 0."""
    positive(bound=bound)
    for parameter in critic.parameters():
        parameter.clamp_(-bound, bound)


def clipped_critic_step(critic, optimizer, real, fake, bound):
    """One step of the critic on its loss, then clipping. Returns the loss, from before the step."""
    same_shape(real=real, fake=fake)
    loss = critic_loss(*critic(torch.cat([real, fake])).chunk(2))
    descend(optimizer, loss)
    clip(critic, bound)
    return loss.detach()


# The penalty of a piecewise linear critic in closed form


def piecewise_slopes(critic, x):
    """Gradient in x of the score of linear layers with ReLU or LeakyReLU between them, (n, d). Equation (12.9).

    critic: an nn.Sequential such as `lab.networks.mlp`, ending in one score; x: (n, d). Differentiable in the weights by
    one backward pass: the activations' slopes are constant around almost every x, and no gradient enters through them.
    Raises ValueError for layers of another kind, and for a single one, whose slope is its weight at every x.
    """
    linears, slopes = [], []
    with torch.no_grad():
        for layer in critic:
            if isinstance(layer, nn.Linear):
                linears.append(layer)
            elif isinstance(layer, (nn.ReLU, nn.LeakyReLU)):
                slopes.append(_activation_slope(layer, x))  # (n, width)
            else:
                raise ValueError(f"the closed form is for Linear, ReLU and LeakyReLU, not {type(layer).__name__}")
            x = layer(x)
    if [isinstance(f, nn.Linear) for f in critic] != [True, False] * len(slopes) + [True] or len(critic[-1].weight) > 1:
        raise ValueError(
            "the closed form is for Linear layers with one activation between each two, ending in one score"
        )
    if len(linears) < 2:
        raise ValueError("the closed form is for two Linear layers or more; the slope of a single one is its weight")
    back = linears[-1].weight  # (1, width): slope of the score in the last hidden layer
    for linear, slope in zip(linears[-2::-1], slopes[::-1], strict=True):
        back = (back * slope) @ linear.weight  # (n, width of the layer below)
    return back


def _activation_slope(layer, x):
    """1 where the activation's input x is positive, its slope on the other side elsewhere; as x."""
    slope, other = (x > 0).to(x.dtype), getattr(layer, "negative_slope", 0.0)
    return other + (1 - other) * slope if other else slope


def piecewise_penalty(critic, real, fake, mix):
    """`gradient_penalty` for points (n, d) and critics that `piecewise_slopes` takes, without a double backward pass."""
    same_shape(real=real, fake=fake)
    same_rows(real=real, mix=mix)
    filled(real=real)
    flat(real=real)
    slope = piecewise_slopes(critic, interpolate(real, fake, mix))  # (n, d)
    return (slope.norm(dim=1) - 1).square().mean()


# The whole step of a piecewise linear critic by hand


def piecewise_step(nets, opts, x, z, critic_steps, penalty_weight):
    """The update of `step`, in less time, for points (rows, d) and critics that `piecewise_gradient` takes.

    Arguments and what it returns are those of `step`, and so are the random places between data and samples. The critic's
    gradient comes from `piecewise_gradient`. The loop is not that of `step`: the generator stands still while the critic
    moves, so here it makes the samples for all of the critic's steps at once. Raises ValueError for a critic with other
    layers.
    """
    split_evenly(critic_steps, x=x, z=z)
    draws_of_each(2, z=z)
    generator, critic = nets["generator"], nets["critic"]
    for_critic, for_generator = z.unbind(1)  # (rows, k) each
    x, for_critic = (rows.unflatten(0, (critic_steps, -1)) for rows in (x, for_critic))  # (critic_steps, n, ...)
    for real, fake in zip(x, batches(generator, for_critic), strict=True):  # (n, d) each
        mix = torch.rand(len(real), device=real.device, dtype=real.dtype)  # (n,)
        opts["critic"].zero_grad()
        c_loss = piecewise_gradient(critic, real, fake, mix, penalty_weight)
        opts["critic"].step()

    with frozen(critic):
        g_loss = generator_loss(critic(generator(for_generator[: len(real)])))
        descend(opts["generator"], g_loss)
    return {"critic": c_loss, "generator": g_loss.detach()}


ROW_BY_ROW = nn.Linear, nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid  # layers that look at each row by itself


@torch.no_grad()
def batches(net, rows):
    """What `net` makes of several batches, rows (m, n, k) -> (m, n, d), as of one after the other; no gradient passes.

    net: a module, best an nn.Sequential. A layer of the kinds ROW_BY_ROW gets all batches at once, because one large
    product takes less time than several small ones; every other layer, such as BatchNorm, gets them in turn.
    """
    for layer in net if type(net) is nn.Sequential else [net]:
        rows = layer(rows) if type(layer) in ROW_BY_ROW else torch.stack([layer(part) for part in rows])
    return rows


@torch.no_grad()
def piecewise_gradient(critic, real, fake, mix, penalty_weight):
    """Write the gradient of critic_loss + penalty_weight * penalty into `critic`, with no graph; returns the loss, ().

    real, fake: (n, d); mix: (n,). critic: Linear layers, each with a weight of its own, and ReLU or LeakyReLU between them;
    raises ValueError for others. One sweep up to the scores, of data, samples and the n rows between them, for
    which the first layer needs no product: what it puts out there lies between what it puts out at both ends. One sweep
    down: `down` is the slope of a row's term in what a linear layer puts out. A weight's gradient is the sum over rows of
    down times what the layer took in. For the rows between data and samples the penalty asks for the gradient of a slope,
    which has the same form: what the layer took in is replaced by `up`, the derivative of the penalty in the slope sent
    up through the layers, without biases.
    """
    same_shape(real=real, fake=fake)
    same_rows(real=real, mix=mix)
    filled(real=real)
    flat(real=real)
    within_unit(mix=mix)
    loss_weights(penalty_weight=penalty_weight)
    linears, bends = _layers(critic)
    n, taken = len(real), [torch.cat([real, fake, real])]  # (3 n, d); the last n rows are room for `up`
    out = linears[0](taken[0][: 2 * n])
    out = torch.cat([out, out[n:].lerp(out[:n], mix[:, None])])  # (3 n, width): fake + mix (real - fake)
    for linear, bend in zip(linears[1:], bends, strict=True):
        taken.append(bend(out))
        out = linear(taken[-1])
    loss = critic_loss(*out[: 2 * n].chunk(2))

    down = [out.new_tensor([[-1 / n], [1 / n], [1]]).expand(3, n).reshape(-1, 1)]  # (3 n, 1), of the last layer
    for linear, bend, after in zip(linears[:0:-1], bends[::-1], taken[:0:-1], strict=True):
        down.insert(0, _through(bend, down[0] @ linear.weight, after))  # (3 n, width)
    slope = down[0][2 * n :] @ linears[0].weight  # (n, d), of the score between data and samples
    length = slope.norm(dim=1, keepdim=True).clamp_min(1e-12)  # (n, 1)
    up = 2 * penalty_weight / n * (1 - 1 / length) * slope  # (n, d), of the penalty in that slope
    for i, (linear, rows, back) in enumerate(zip(linears, taken, down, strict=True)):
        rows[2 * n :] = up
        linear.weight.grad = back.T @ rows
        if linear.bias is not None:
            linear.bias.grad = back[: 2 * n].sum(0)  # the penalty does not depend on a bias
        if i < len(bends):
            up = _through(bends[i], up @ linear.weight.T, taken[i + 1][2 * n :])
    return loss


def _layers(critic):
    """The linear layers of a critic and the activations between them: two lists, the first longer by one."""
    layers = list(critic)  # a slice of an nn.Sequential would be built anew, which takes longer than the checks
    for i, layer in enumerate(layers):
        if type(layer) not in ((nn.ReLU, nn.LeakyReLU) if i % 2 else (nn.Linear,)):
            raise ValueError(
                "the closed form is for Linear layers with ReLU or LeakyReLU between them: layer "
                f"{i} of this critic is {type(layer).__name__}"
            )
    if len(layers) % 2 == 0:
        raise ValueError("the closed form is for critics that end in a Linear layer")
    weights = [layer.weight for layer in layers[::2]]
    if len({id(weight) for weight in weights}) < len(weights) or not all(isinstance(w, nn.Parameter) for w in weights):
        raise ValueError(
            "the closed form is for layers that each own their weight: use `step` for shared or normed ones"
        )
    return layers[::2], layers[1::2]


def _through(bend, rows, after):
    """rows times the slope of an activation that put out `after`; both (n, width). One pass over memory."""
    return torch.ops.aten.leaky_relu_backward(rows, after, getattr(bend, "negative_slope", 0.0), True)


# Transport between two tables, exactly


def transport(p_x, q_x, cost):
    """The least mean cost of carrying p_x to q_x, and a plan (n, m) that attains it: left side of (12.3).

    p_x (n,), q_x (m,), cost (n, m). A linear program, solved by scipy on the CPU to about 1e-10 of the largest cost; no
    gradient passes. Sums that differ by rounding are made equal. Raises ValueError if shapes do not fit, if the two sums
    differ by more, and for negative probabilities and costs that are not finite.
    """
    n, m = len(p_x), len(q_x)
    if cost.shape != (n, m):
        raise ValueError(f"cost needs a row for each of {n} and a column for each of {m}, not {tuple(cost.shape)}")
    same_mass(p_x=p_x, q_x=q_x)
    finite("a cost is the length of a way", cost=cost)
    p, q, cost = (part.detach().double().cpu() for part in (p_x, q_x, cost))
    mass, size = float(p.sum()) or 1.0, _size(cost)
    p, q = p / mass, q / (float(q.sum()) or 1.0)
    eye_n, eye_m = torch.eye(n, dtype=torch.float64), torch.eye(m, dtype=torch.float64)
    rows = eye_n.repeat_interleave(m, 1)  # (n, n m): sums over each row of the plan
    columns = eye_m.repeat(1, n)[:-1]  # (m - 1, n m): the last column follows from the others
    program = _program(
        (cost / size).flatten(), equal=(torch.cat([rows, columns]), torch.cat([p, q[:-1]])), bounds=(0, None)
    )
    plan = torch.from_numpy(program.x).reshape(n, m) * mass
    return (plan * cost).sum(), plan


def best_critic(p_x, q_x, cost):
    """The critic f (n,), with f_i - f_j <= cost_ij, of the largest gain E_p f - E_q f: right side of (12.3).

    p_x, q_x (n,) on the same points; cost (n, n), their distances. A linear program on the CPU, through which no gradient
    passes; f is fixed by f_0 = 0. Raises ValueError if shapes do not fit or the two sums differ, and for costs that are no
    finite distances: without the triangle inequality the two sides of (12.3) differ.
    """
    same_shape(p_x=p_x, q_x=q_x)
    same_mass(p_x=p_x, q_x=q_x)
    if cost.shape != (len(p_x), len(p_x)):
        raise ValueError(f"cost needs a row and a column for each of {len(p_x)} points, not {tuple(cost.shape)}")
    finite("a cost is the length of a way", cost=cost)
    distances(cost=cost)
    n, eye = len(p_x), torch.eye(len(p_x), dtype=torch.float64)
    first, second = (~eye.bool()).nonzero().T  # all pairs of different points
    bounds = [(0, 0)] + [(None, None)] * (n - 1)
    cost, carried = cost.double(), q_x.double() - p_x.double()
    size = _size(cost)
    below = eye[first] - eye[second], cost[first, second] / size
    return torch.from_numpy(_program(carried / _size(carried), below=below, bounds=bounds).x) * size


def _size(numbers):
    """The largest of them without sign, or 1 if all are 0: the program's tolerances are absolute, its numbers around 1."""
    return float(numbers.detach().abs().max()) or 1.0


def _program(cost, bounds, equal=(None, None), below=(None, None)):
    """Least cost . x under equal[0] x = equal[1] and below[0] x <= below[1]."""
    from scipy.optimize import linprog

    arrays = [None if part is None else part.detach().double().cpu().numpy() for part in (cost, *below, *equal)]
    strict = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    program = linprog(*arrays, bounds=bounds, method="highs", options=strict)
    if program.status:
        raise ValueError(f"this transport problem has no solution: {program.message}")
    return program


def gain(f, p_x, q_x):
    """E_p f - E_q f, what a critic table f (n,) tells apart; minus its loss."""
    same_shape(f=f, p_x=p_x, q_x=q_x)
    same_mass(p_x=p_x, q_x=q_x)
    return ((p_x - q_x) * f).sum()


# The penalized critic on a line, exactly


def surplus(p_x, q_x):
    """F_q - F_p on the gaps between sorted points, (n - 1,): how much more mass of q than of p lies to the left.

    Raises ValueError for tables whose sums differ.
    """
    same_shape(p_x=p_x, q_x=q_x)
    same_mass(p_x=p_x, q_x=q_x)
    vectors(p_x=p_x, q_x=q_x)
    return (q_x - p_x).cumsum(0)[:-1]


def line_distance(x, p_x, q_x):
    """W1 on a line: the integral of |F_q - F_p|. x: (n,), sorted. Equation (12.4). Raises ValueError for other points."""
    same_shape(x=x, p_x=p_x, q_x=q_x)
    rising(x=x)
    return (surplus(p_x, q_x).abs() * x.diff()).sum()


def between_density(x, p_x, q_x):
    """Density of u X + (1 - u) Y on the gaps, (n - 1,), for independent X ~ p, Y ~ q and uniform u. x: (n,), sorted.

    The pair (i, j) spreads its probability p_i q_j evenly over the way between. Pairs at one point are left out: they fall
    on a single point, where a critic may have any slope at no cost. Raises ValueError for points that are not sorted, and
    for tables that do not sum to 1: the density grows with the square of the mass, what a critic gains with the mass.
    """
    same_shape(x=x, p_x=p_x, q_x=q_x)
    distributions(p_x=p_x, q_x=q_x)
    rising(x=x)
    way = (x[:, None] - x).abs()  # (n, n)
    rate = torch.where(way > 0, p_x[:, None] * q_x / way.clamp_min(torch.finfo(x.dtype).tiny), 0.0)
    rate = rate + rate.T  # (i, j) and (j, i) cover the same way
    upper = rate.triu()
    density = (upper.sum(1) - upper.sum(0)).cumsum(0)[:-1]  # a pair i < j begins at i and ends at j
    before = [part.cumsum(0)[:-1] for part in (p_x, q_x)]  # mass on the left of a gap, exactly 0 where there is none
    behind = [part.flip(0).cumsum(0).flip(0)[1:] for part in (p_x, q_x)]
    crossed = before[0] * behind[1] + before[1] * behind[0] > 0
    return torch.where(crossed, density, 0.0)  # a difference of sums would leave rounding there


def penalized_slope(x, p_x, q_x, weight):
    """Slope on each gap, (n - 1,), of the critic that gains most under the penalty. Equation (12.5).

    1 on gaps that lie between no two points of p and q, where the slope is free. Raises ValueError unless weight > 0.
    """
    one_number(weight=weight)
    positive(weight=weight)
    g = surplus(p_x, q_x)
    density = between_density(x, p_x, q_x)
    return torch.where(density > 0, torch.where(g < 0, -1.0, 1.0) + g / (2 * weight * _reached(density)), 1.0)


def _reached(density):
    """The density with 1 on gaps that nothing crosses: there F_q - F_p is 0 too, and 0/1 stands for 0/0."""
    return torch.where(density > 0, density, 1.0)


def penalized_value(x, p_x, q_x, weight):
    """The largest gain minus penalty on a line: W1 plus the integral of (F_q - F_p)^2 / (4 weight density). (12.5)

    x, p_x, q_x: (n,), the points sorted. Returns a 0-d tensor in the unit of x. Raises ValueError unless weight > 0.
    """
    one_number(weight=weight)
    positive(weight=weight)
    g = surplus(p_x, q_x)
    return line_distance(x, p_x, q_x) + (g**2 / _reached(between_density(x, p_x, q_x)) * x.diff()).sum() / (4 * weight)


def line_penalty(x, p_x, q_x, slope):
    """E (|f'| - 1)^2 for a critic with the given slope on each gap, (n - 1,)."""
    same_shape(slope=slope, gaps=x.diff())
    return (between_density(x, p_x, q_x) * (slope.abs() - 1) ** 2 * x.diff()).sum()


# The smallest game: data at 0, model at theta, critic psi . x. Both are tensors of one shape, () or (d,).


def two_sided_pull(psi, weight):
    """How the penalty weight (|psi| - 1)^2 of Gulrajani et al. (2017) moves psi."""
    return -2 * weight * (_length(psi) - 1) * _direction(psi)


def one_sided_pull(psi, weight):
    """How the penalty weight max(0, |psi| - 1)^2, which leaves small slopes alone, moves psi."""
    return -2 * weight * (_length(psi) - 1).clamp_min(0) * _direction(psi)


def centered_pull(psi, weight):
    """How the penalty weight |psi|^2, which is R1 here, moves psi."""
    return -2 * weight * psi


def _length(psi):
    return psi.square().sum().sqrt()


def _direction(psi):
    return psi / _length(psi).clamp_min(torch.finfo(psi.dtype).tiny)


def dirac(theta, psi, step_size, weight, pull):
    """The critic climbs -psi . theta minus its penalty, then the generator climbs psi . theta. Returns the new pair.

    theta, psi: tensors, one number () or one vector (d,) each; two starts on a line are two calls, for as a vector they
    are one start in the plane. Raises ValueError for tables, and for a step size or a weight below 0: that is another game.
    """
    same_shape(theta=theta, psi=psi)
    if torch.as_tensor(theta).ndim > 1:
        raise ValueError(f"theta is one number or one vector (d,), not {tuple(theta.shape)}: loop over several starts")
    loss_weights(step_size=step_size, weight=weight)
    psi = psi + step_size * (pull(psi, weight) - theta)
    return theta + step_size * psi, psi


def dirac_reach(weight):
    """How far from the data the smallest game on a line with two-sided penalty ends up, for weight > 0. Equation (12.10).

    Below 1 it is the largest |theta| of the cycle in the limit of small steps; from 1 on the generator stops there.
    """
    if not weight > 0:
        raise ValueError(f"the weight of the penalty must be positive, not {weight}")
    if weight >= 1:
        return 2 * weight
    return 2 * weight / math.tanh(math.pi * weight / (2 * math.sqrt(1 - weight**2)))
