"""Wrong answers that chapter 00's exercises must refuse, and other right ones that they must accept."""

import torch


def one_order(heads, tosses):
    x = torch.arange(tosses + 1)[:, None]
    return heads**x * (1 - heads) ** (tosses - x)


def binomial(heads, tosses):
    x = torch.arange(tosses + 1.0).double()[:, None]
    return torch.distributions.Binomial(tosses, heads).log_prob(x).exp()


def three_tosses(weights, heads, tosses):
    return binomial(heads, 3) @ weights


def posteriors(q_z, q_x_given_z):
    joint = q_z * q_x_given_z
    return joint / joint.sum(1, keepdim=True)


def twice(q_z, q_x_given_z, x, x_again):
    each = posteriors(q_z, q_x_given_z)
    both = each[x] * each[x_again]
    return both / both.sum()


def in_turns(q_z, q_x_given_z, x, x_again):
    return posteriors(posteriors(q_z, q_x_given_z)[x], q_x_given_z)[x_again]


WRONG = {
    "0.E1": [
        lambda weights, heads, tosses: one_order(heads, tosses) @ weights,  # one sequence instead of all with x heads
        lambda weights, heads, tosses: binomial(heads, tosses).mean(1),  # all coins alike
        lambda weights, heads, tosses: binomial((weights * heads).sum()[None], tosses)[:, 0],  # one average coin
        lambda weights, heads, tosses: binomial(heads, tosses) * weights,  # the joint
        three_tosses,  # the chapter's own decoder
    ],
    "0.E2": [
        lambda q_z, q_x_given_z, x, x_again: posteriors(q_z, q_x_given_z)[x],  # the chapter's own Bayes, for one report
        twice,  # the prior counted twice
        lambda q_z, q_x_given_z, x, x_again: (
            q_x_given_z[x] * q_x_given_z[x_again] / (q_x_given_z[x] * q_x_given_z[x_again]).sum()
        ),
        lambda q_z, q_x_given_z, x, x_again: q_z * q_x_given_z[x] * q_x_given_z[x_again],  # the joint
        lambda q_z, q_x_given_z, x, x_again: posteriors(q_z, q_x_given_z)[[x, x_again]].mean(0),
    ],
    "0.E3": [
        {"p_theta(x)": "p(x)", "p_theta(x,z)": "p(x,z)", "ALI q(z)": "q(z)", "ALI p(x)": "p(x)"},
        {"p_theta(x)": "q(x)", "p_theta(x,z)": "q(x,z)", "ALI q(z)": "q(z)", "ALI p(x)": "q(x)"},
        {"p_theta(x)": "q(x)"},
        "q(x)",
    ],
}

ALTERNATIVE = {
    "0.E1": lambda weights, heads, tosses: (binomial(heads, tosses) * weights).sum(1),
    "0.E2": in_turns,
    "0.E3": {"ALI p(x)": "q( x )", "ALI q(z)": "p_z", "p_theta(x,z)": "Q(x, z)", "p_theta(x)": "$q(x)$"},
}
