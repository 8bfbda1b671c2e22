"""Wrong answers that chapter 00's exercises must refuse, and other right ones that they must accept."""

import torch


def one_order(weights, heads):
    x = torch.arange(4)[:, None]
    return heads**x * (1 - heads) ** (3 - x)


def binomial(heads):
    return torch.distributions.Binomial(3, heads).log_prob(torch.arange(4.0).double()[:, None]).exp()


WRONG = {
    "0.E1": [
        lambda weights, heads: one_order(weights, heads) @ weights,  # one sequence instead of 1, 3, 3, 1
        lambda weights, heads: binomial(heads).mean(1),  # all coins alike
        lambda weights, heads: binomial((weights * heads).sum()[None])[:, 0],  # one average coin
        lambda weights, heads: binomial(heads) * weights,  # the joint
    ],
    "0.E2": [
        lambda q_xz: q_xz / q_xz.sum(0),  # q(x|z)
        lambda q_xz: q_xz,
        lambda q_xz: (q_xz / q_xz.sum(0)) / (q_xz / q_xz.sum(0)).sum(1, keepdim=True),  # forgets the prior
    ],
    "0.E3": [
        {"q_phi(z|x)": "q(z|x)", "p_theta(x|z)": "p(x|z)", "p_theta(z)": "p(z)", "p_theta(z|x)": "p(z|x)"},
        {"q_phi(z|x)": "p(z|x)", "p_theta(x|z)": "q(x|z)", "p_theta(z)": "p(z)", "p_theta(z|x)": "q(z|x)"},
        {"q_phi(z|x)": "p(z|x)"},
        "p(z|x)",
    ],
}

ALTERNATIVE = {
    "0.E1": lambda weights, heads: (binomial(heads) * weights).sum(1),
    "0.E2": lambda q_xz: torch.stack([row / row.sum() for row in q_xz]),
    "0.E3": {"p_theta(z)": "q(z)", "q_phi(z|x)": "p(z | x)", "p_theta(z|x)": "q(z|x)", "p_theta(x|z)": "q(x | z)"},
}
