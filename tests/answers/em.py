"""Wrong answers that chapter 02's exercises must refuse, and other right ones that they must accept."""

import torch


def naive(x, weights, means, stds):
    density = weights / stds * torch.exp(-(((x[:, None] - means) / stds) ** 2) / 2)
    return density / density.sum(1, keepdim=True)  # 0 / 0 far away


def log_joint(x, weights, means, stds):
    return weights.log() + torch.distributions.Normal(means, stds).log_prob(x[:, None])


def moments(x, resp, about):
    count = resp.sum(0)
    mean = resp.T @ x / count
    return count / len(x), mean, ((resp * (x[:, None] - about(x, mean)) ** 2).sum(0) / count).sqrt()


def tied(x, resp):
    """The root of the data's mean square minus that of the means."""
    return ((x**2).mean() - resp.mean(0) @ (resp.T @ x / resp.sum(0)) ** 2).sqrt()


def poisson(x, weights, rates):
    return torch.softmax(weights.log() + x[:, None] * rates.log() - rates, 1)


def products(x, weights, rates):
    joint = weights * rates ** x[:, None] * (-rates).exp() / (x[:, None] + 1).lgamma().exp()
    resp = joint / joint.sum(1, keepdim=True)
    return resp.mean(0), x @ resp / resp.sum(0)


def densities(x, weights, rates):
    joint = weights * torch.distributions.Poisson(rates).log_prob(x[:, None]).exp()
    resp = joint / joint.sum(1, keepdim=True)
    return resp.mean(0), x @ resp / resp.sum(0)


WRONG = {
    "2.E1": [
        naive,
        lambda x, w, m, s: torch.softmax(log_joint(x, torch.ones_like(w), m, s), 1),  # forgets the weights
        lambda x, w, m, s: torch.softmax(log_joint(x, w, m, s), 0),  # over the points
        lambda x, w, m, s: log_joint(x, w, m, s).exp(),  # not normalized
    ],
    "2.E2": [
        lambda x, r: moments(x, r, lambda x, m: m),  # one deviation per component
        lambda x, r: (*moments(x, r, lambda x, m: m)[:2], moments(x, r, lambda x, m: m)[2].mean()),  # their plain mean
        lambda x, r: (*moments(x, r, lambda x, m: m)[:2], x.std(correction=0)),  # about the mean of all data
        lambda x, r: (*moments(x, r, lambda x, m: m)[:2], tied(x, r) ** 2),  # the variance
        lambda x, r: (torch.full((r.shape[1],), 1 / r.shape[1], dtype=x.dtype), r.T @ x / r.sum(0), tied(x, r)),
    ],
    "2.E3": [
        lambda x, w, lam: (w, x @ poisson(x, w, lam) / poisson(x, w, lam).sum(0)),  # the prior stays
        lambda x, w, lam: (poisson(x, w, lam).mean(0), x @ poisson(x, w, lam) / len(x)),
        lambda x, w, lam: (poisson(x, w, lam).mean(0), lam),  # the rates stay
        products,  # 0/0 for large counts
        densities,  # 0/0 far from all rates
    ],
    "2.E4": [
        [[[2.0, 55.0], [4.3, 80.0]], [[2.0, 55.0], [4.3, 80.0]]],  # the first finds the groups
        [[[3.4, 70.0], [3.6, 72.0]], [[3.3, 70.0], [3.7, 72.0]]],  # close, and still finds them
        [[[3.0, 70.0], [3.0, 70.0]], [[3.1, 70.1], [3.1, 70.1]]],  # moved, and both means still equal
        [[[3.0, 70.0], [3.0, 70.0]], [[2.0, 55.0], [4.3, 80.0]]],  # mended from far away
        # mended, and EM rests at -4.6915, with .962 of the eruptions in one component
        [[[3.4365221858, 32.929554522], [3.5047163667, 43.2286577]], [[3.9072407, 32.6296955], [3.607579, 42.9743334]]],
        [[3.0, 70.0], [3.0, 70.0]],  # one start only
    ],
}

ALTERNATIVE = {
    "2.E1": lambda x, w, m, s: (log_joint(x, w, m, s) - log_joint(x, w, m, s).logsumexp(1, keepdim=True)).exp(),
    "2.E2": lambda x, r: (r.mean(0), (r * x[:, None]).sum(0) / r.sum(0), tied(x, r)),
    "2.E3": lambda x, w, lam: (
        poisson(x, w, lam).sum(0) / len(x),
        torch.einsum("n,nk->k", x, poisson(x, w, lam)) / torch.einsum("nk->k", poisson(x, w, lam)),
    ),
    "2.E4": torch.tensor([[[4.0, 80.0], [4.0, 80.0]], [[3.8, 79.6], [4.2, 80.4]]]),
}
