"""Wrong answers that chapter 17's exercises must refuse, and other right ones that they must accept."""

import torch
from scipy import stats

from gentools.exercises import one_map as exercises
from gentools.lab.divergences import kl


def by_gradient(value, start, dim):
    """The conditional table that gradient descent finds, from the logits of a start."""
    logits = start.log().clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-13, tolerance_change=1e-16,
                                  line_search_fn="strong_wolfe")  # fmt: skip

    def closure():
        optimizer.zero_grad()
        loss = value(logits.softmax(dim))
        loss.backward()
        return loss

    optimizer.step(closure)
    return logits.detach().softmax(dim)


def wake_by_search(p_x, p_z_given_x, q_z):
    start = torch.full_like(p_z_given_x, 1 / len(p_x))
    return by_gradient(lambda q: kl(p_x[:, None] * p_z_given_x, q * q_z), start, 0)


def sleep_by_search(p_x, q_z, q_x_given_z):
    start = torch.full_like(q_x_given_z, 1 / len(q_z))
    return by_gradient(lambda p: kl(q_x_given_z * q_z, p_x[:, None] * p), start, 1)


def scaled(p_x, q_z, p_z_given_x):
    """Scaling of rows and columns, by factors and in their logarithms."""
    log, rows = p_z_given_x.log(), torch.zeros_like(p_x)
    for _ in range(1500):
        columns = q_z.log() - (log + rows[:, None]).logsumexp(0)
        rows = p_x.log() - (log + columns).logsumexp(1)
    return (log + rows[:, None] + columns).exp()


def once(p_x, q_z, p_z_given_x):
    joint = p_x[:, None] * p_z_given_x
    return joint / joint.sum(0) * q_z


def parts(nets, z):
    for_code, prior, for_x = z.unbind(1)
    return for_code, prior, for_x, (nets["decoder"].log_variance / 2).exp()


def by_hand(nets, opts, x, z):
    """Both losses written out, and both slopes taken before anybody moves."""
    for_code, prior, for_x, sigma = parts(nets, z)
    mean, log_variance = nets["encoder"](x)
    code = (mean + (log_variance / 2).exp() * for_code).detach()
    wake = -torch.distributions.Normal(nets["decoder"](code), sigma).log_prob(x).sum(1).mean()
    dream = (nets["decoder"](prior) + sigma * for_x).detach()
    mean, log_variance = nets["encoder"](dream)
    sleep = -torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(prior).sum(1).mean()
    for name, loss in (("decoder", wake), ("encoder", sleep)):
        opts[name].zero_grad()
        loss.backward(inputs=list(nets[name].parameters()))
        opts[name].step()
    return wake.detach(), sleep.detach()


def changed(nets, opts, x, z, *, through=False, mean_only=False, late=False):
    """The step with one slip."""
    for_code, prior, for_x, sigma = parts(nets, z)
    mean, log_variance = nets["encoder"](x)
    code = mean + (log_variance / 2).exp() * for_code
    wake = -nets["decoder"].log_likelihood(x, code if through else code.detach()).mean()
    noise = 0 if mean_only else sigma * for_x
    dream = (nets["decoder"](prior) + noise).detach()
    opts["decoder"].zero_grad()
    opts["encoder"].zero_grad()
    wake.backward()
    opts["decoder"].step()
    if late:
        dream = (nets["decoder"](prior) + (nets["decoder"].log_variance / 2).exp() * for_x).detach()
    mean, log_variance = nets["encoder"](dream)
    sleep = -torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(prior).sum(1).mean()
    sleep.backward()  # in the slip `through` the encoder also holds the slope of the decoder's loss
    opts["encoder"].step()
    return wake.detach(), sleep.detach()


def pairs(p_x, q_z):
    """The pairing in the reverse order: as much information where the order is turned around, and enough elsewhere."""
    joint = 0.9 * exercises.in_order(p_x, q_z) + 0.1 * p_x[:, None] * q_z
    joint = joint**3
    return (joint + 1e-12) / (joint + 1e-12).sum(1, keepdim=True)


def nearly(table, dim):
    """A conditional table whose entries are off by a thousandth of themselves, up or down in turn."""
    signs = (-1.0) ** torch.arange(table.numel()).reshape(table.shape)
    return table * (1 + 1e-3 * signs) / (table * (1 + 1e-3 * signs)).sum(dim, keepdim=True)


def judged(apart, quantile, correction=1):
    half = quantile * apart.std(correction=correction) / len(apart) ** 0.5
    return int(apart.mean() > half) - int(apart.mean() < -half)


def nearly_one_code(n, k):
    """An encoder (n, k) that gives every x the same code, but for entries so small that products of them vanish."""
    table = torch.full((n, k), 5e-324, dtype=torch.float64)
    table[:, 0] = 1
    return table


WRONG = {
    "17.E1": [
        lambda p_x, p_z_given_x, q_z: nearly(exercises.solve_wake(p_x, p_z_given_x, q_z), 0),
        lambda p_x, p_z_given_x, q_z: p_z_given_x / p_z_given_x.sum(0),  # without the data
        lambda p_x, p_z_given_x, q_z: (p_x[:, None] * p_z_given_x * q_z) / (p_x[:, None] * p_z_given_x * q_z).sum(),
        lambda p_x, p_z_given_x, q_z: p_x[:, None].expand_as(p_z_given_x),  # ignores the code
    ],
    "17.E2": [
        lambda p_x, q_z, q_x_given_z: nearly(exercises.solve_sleep(p_x, q_z, q_x_given_z), 1),
        lambda p_x, q_z, q_x_given_z: q_x_given_z / q_x_given_z.sum(1, keepdim=True),  # without the prior
        lambda p_x, q_z, q_x_given_z: q_z.expand_as(q_x_given_z),  # the prior for every x
        lambda p_x, q_z, q_x_given_z: p_x[:, None] * q_x_given_z,  # not normalized
    ],
    "17.E3": [
        once,
        lambda p_x, q_z, p_z_given_x: p_x[:, None] * q_z,  # independent
        lambda p_x, q_z, p_z_given_x: p_x[:, None] * p_z_given_x,  # the start
    ],
    "17.E4": [
        lambda *given: changed(*given, through=True),
        lambda *given: changed(*given, mean_only=True),
        lambda *given: changed(*given, late=True),
    ],
    "17.E5": [
        lambda p_x, q_z: q_z.expand(len(p_x), -1),  # the start that never learns
        lambda p_x, q_z: torch.full((len(p_x), len(q_z)), 1.0 / len(q_z)),
        lambda p_x, q_z: (exercises.in_order(p_x, q_z) + p_x[:, None] * q_z) / 2,  # rows that do not sum to 1
        lambda p_x, q_z: nearly_one_code(len(p_x), len(q_z)),
    ],
    "17.E6": [
        lambda one, other: judged(one - other, stats.norm.ppf(0.975)),  # as if the spread were known
        lambda one, other: judged(one - other, stats.t.ppf(0.975, len(one))),  # a degree of freedom too many
        lambda one, other: judged(one - other, stats.t.ppf(0.975, len(one) - 2)),  # one too few
        lambda one, other: judged(one - other, stats.t.ppf(0.975, len(one) - 1), correction=0),  # the biased spread
        lambda one, other: judged(one - other, stats.t.ppf(0.95, len(one) - 1)),  # one-sided
        lambda one, other: int(one.mean() > other.mean()) - int(one.mean() < other.mean()),  # means alone
        lambda one, other: int(one.min() > other.max()) - int(one.max() < other.min()),  # ranges, unpaired
        lambda one, other: 0,
    ],
}

ALTERNATIVE = {
    "17.E1": wake_by_search,
    "17.E2": sleep_by_search,
    "17.E3": scaled,
    "17.E4": by_hand,
    "17.E5": pairs,
    "17.E6": lambda one, other: (
        0 if stats.ttest_1samp((one - other).numpy(), 0).pvalue > 0.05 else int(torch.sign((one - other).mean()))
    ),
}
