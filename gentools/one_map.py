"""Chapter 17: every model of the course on one map, as data, and the arithmetic that checks each row of it.

A row says between which joints a model measures, in which direction, what it estimates, and what it drops. `ACCOUNTS` holds
the same as functions of a `world` of finite tables, in float64 and nats: joint KL = objective + dropped, to rounding.
P = p(x)p(z|x) is the data side, Q = q(z)q(x|z) the model's; x lies along dim 0 and z along dim 1.
Shapes: p_x (n,), joint, p_joint and q_joint (n, k), p_z_given_x (n, k), q_x_given_z (n, k), q_z (k,), w a world with joints
(n, k), data x (n, d), noise z (n, 2, k).
"""

import math
from types import SimpleNamespace
from typing import NamedTuple

import torch

from gentools import aae, age, ali, alpha_gan, autoregressive, conditional_gan, dcgan, gan, joint_kl, vae
from gentools.gan import descend, non_saturating_loss
from gentools.lab import worlds
from gentools.lab.chapters import chapter
from gentools.lab.divergences import cross_entropy, entropy, expected_kl, js, kl, mutual_information
from gentools.lab.shapes import (
    distributions,
    filled,
    no_negative,
    one_number,
    permutations,
    positive,
    same_rows,
    same_shape,
)

# The map, as data


class Model(NamedTuple):
    """One row of the map. `equation` and `figure` are the ids at which its chapter derives and shows it."""

    name: str
    chapter: int
    joints: str  # the two joints, or what takes their place
    direction: str  # the divergence that is measured
    moves: str  # which factors, in which order
    estimated: str  # how the intractable part is had
    dropped: str  # what the loss leaves out
    allowed: str  # whether that changes the optimum
    gives: str  # what it can do when trained: sample, infer a code, score by a likelihood
    equation: str
    figure: str


MODELS = (
    Model("variational inference", 1, "over z, x held", "KL(P‖Q)", "encoder", "exact", "log q(x), constant in p(z|x)",
          "yes", "infer", "1.8", "1.5"),
    Model("EM", 2, "p̃(x)p(z|x), q(z)q(x|z)", "KL(P‖Q)", "encoder, then model", "exact", "H(p̃), constant", "yes",
          "sample, infer, score", "2.1", "2.1"),
    Model("VAE", 3, "p̃(x)p(z|x), q(z)q(x|z)", "KL(P‖Q)", "both at once", "reparameterization", "H(p̃), constant", "yes",
          "sample, infer, bound", "3.1", "3.8"),
    Model("conditional VAE", 4, "the same with a label y", "KL(P‖Q)", "both at once", "reparameterization",
          "H(x|y), constant", "yes", "sample, infer, bound", "4.1", "4.5"),
    Model("GAN", 5, "q(x,y), p(x,y), y the origin", "KL(Q‖P)", "D, then G", "ratio", "KL(q‖q_o), second order",
          "for one step", "sample", "5.9", "5.6"),
    Model("DCGAN", 6, "as GAN", "KL(Q‖P)", "D, then G", "ratio by a restricted D",
          "KL(q‖q_o), second order; what D cannot see, first order", "no", "sample", "6.3", "6.4"),
    Model("conditional GAN", 7, "q(x,c,y), p(x,c,y)", "KL(Q‖P)", "D, then G", "ratio", "KL(q‖q_o), second order",
          "for one step", "sample", "7.1", "7.3"),
    Model("AAE", 8, "p̃(x)p(z|x), q(z)q(x|z)", "KL(P‖Q)", "D, then E and G", "ratio on z",
          "I(x;z), first order; 2 JS(p(z),q(z))", "no", "sample, infer", "8.3", "8.3"),
    Model("ALI, truncated", 9, "q(x,z,y), p(x,z,y)", "KL(Q‖P)", "D, then E and G", "ratio on (x,z)",
          "E_Q log p_o(z|x)/p(z|x), first order", "no", "nothing", "9.4", "9.5"),
    Model("ALI, minimax", 9, "P, Q and their mean M", "2 JS(P,Q)", "D, then E and G", "ratio on (x,z)", "2 log 2, constant", "yes",
          "sample, infer", "9.9", "9.5"),
    Model("ALI, swapped", 9, "P, Q and their mean M", "KL(M‖P), KL(M‖Q)", "D, then E and G", "ratio on (x,z)",
          "KL(P‖P_o), KL(Q‖Q_o), second order", "for one step; one optimum if P = Q is reached", "sample, infer", "9.9",
          "9.7"),
    Model("regularized GAN", 10, "as GAN", "KL(Q‖P)", "D, then G twice", "ratio, and |G − G_o|²",
          "nothing: a bound in place of KL(q‖q_o)", "as a bound", "sample", "10.4", "10.11"),
    Model("WGAN-GP", 12, "a plan over data and samples", "W₁(p̃,q), and more by the penalty", "critic, then G", "penalized critic",
          "the KL itself", "another distance", "sample", "12.5", "12.8"),
    Model("AGE", 13, "p̃(x)p(z|x), q(x)p(z|x)", "KL(Q‖P)", "E against G", "two moments of codes",
          "what codes do not tell of x; a term of codes off the prior; all other moments", "no", "sample, infer", "13.2", "13.4"),
    Model("alpha-GAN", 14, "p̃(x)p(z|x), q(z)q(x|z)", "KL(P‖Q)", "D and C, then E and G", "two ratios",
          "I(x;z), first order; 2 KL(q̄‖p̃) added", "no", "sample, infer", "14.6", "14.6"),
    Model("autoregressive", 15, "p̃(x), q(x), prefixes as codes", "KL(P‖Q)", "model", "exact", "H(p̃), constant", "yes",
          "sample, score", "15.2", "15.2"),
    Model("diffusion", 16, "p̃(x₀)∏p(x_t|x_t−1), q(x_T)∏q(x_t−1|x_t)", "KL(P‖Q)", "model", "regression",
          "KL(p(x_T)‖q(x_T)), constant", "yes", "sample, infer, bound", "16.2", "16.3"),
    Model("flow matching", 16, "as diffusion", "KL(P‖Q), reweighted", "velocity", "regression", "the weights of time",
          "if the network is exact", "sample", "16.12", "16.6"),
    Model("wake-sleep", 17, "p̃(x)p(z|x), q(z)q(x|z)", "KL(P‖Q), then KL(Q‖P)", "model, then encoder", "draws alone",
          "for you to find", "for you to find", "sample, infer", "", "17.4"),
)  # fmt: skip


def model(name):
    """The row of the map with that name. Raises ValueError if there is none."""
    found = {row.name: row for row in MODELS}
    if name not in found:
        raise ValueError(f"the map has no row {name!r}; its rows are {', '.join(found)}")
    return found[name]


def table():
    """The map as the lines of a Markdown table, each row linked to its chapter and its figure."""
    head = ("Model", "Joints", "Measures", "What moves", "Estimated by", "Left out", "Allowed", "Gives", "Where")
    lines = [head, ["---"] * len(head)]
    for row in MODELS:
        lines.append((row.name, row.joints, row.direction, row.moves, row.estimated, row.dropped, row.allowed, row.gives,
                      where(row)))  # fmt: skip
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def where(row):
    """Equation and figure of a row, as a Markdown link to the chapter that holds them."""
    words = [f"({row.equation})"] if row.equation else []
    words += [f"figure {row.figure}"] if row.figure else []
    return f"[{', '.join(words) or f'chapter {row.chapter}'}]({chapter(row.chapter).folder}.ipynb)"


# The map, as arithmetic


def world(seed):
    """Random finite tables with all that the map needs: two joints with older ones, labels, three bits, a chain of three."""
    w = worlds.table(seed)
    n, k, rng = len(w.p_x), len(w.q_z), w.rng
    w.q_old_xz = worlds.simplex(rng, n, k, dim=0) * w.q_z  # an older model with the same prior
    w.p_old_xz = w.p_x[:, None] * worlds.simplex(rng, n, k)  # an older encoder
    w.labels = worlds.simplex(rng, 3)  # p(y) = q(y), and for each y two joints
    w.each = [worlds.table(f"{seed}, label {y}") for y in range(3)]
    w.p_c, w.q_c, w.q_c_old = (worlds.simplex(rng, n, 3, dim=0) * w.labels for _ in range(3))  # (n, 3) over (x, c)
    w.p_bits, w.q_bits = (worlds.simplex(rng, 8).reshape(2, 2, 2) for _ in range(2))
    w.chain = SimpleNamespace(  # p(x0), p(x1|x0), p(x2|x1); q(x2), q(x1|x2), q(x0|x1), later variables in rows
        p0=w.p_x, p1=worlds.simplex(rng, n, 4), p2=worlds.simplex(rng, 4, 3),
        q2=worlds.simplex(rng, 3), q1=worlds.simplex(rng, 3, 4), q0=worlds.simplex(rng, 4, n),
    )  # fmt: skip
    return w


class Account(NamedTuple):
    """A row as functions of a `world`: joint(w) = objective(w) + dropped(w), and slip(w), a tempting wrong `dropped`."""

    joint: object
    objective: object
    dropped: object
    slip: object


def minus_log_d(p_x, q_x, q_old):
    """E_q[-log D] in nats, with D exact for an older model; all (n,)."""
    same_shape(p_x=p_x, q_x=q_x, q_old=q_old)
    distributions(p_x=p_x, q_old=q_old)
    return gan.expected(non_saturating_loss, q_x, gan.best_logit(p_x, q_old))


def label_constant(p_x, q_old):
    """What 2 KL(q(x,y) || p(x,y)) holds beside the generator's part: E_p[-log D] - 2 log 2, D exact for q_old; both (n,)."""
    same_shape(p_x=p_x, q_old=q_old)
    distributions(q_old=q_old)
    return gan.expected(non_saturating_loss, p_x, gan.best_logit(p_x, q_old)) - 2 * math.log(2)


def label_constants(w):
    """What the two sums of ALI's swapped losses hold beside what the players move."""
    p_old, q_old = w.p_old_xz.flatten(), w.q_old_xz.flatten()
    return label_constant(p_old, q_old) + label_constant(q_old, p_old)


def twice_label_kl(p_x, q_x, q_old):
    """2 KL(q(x,y) || p(x,y)) in nats with D exact for an older model; all (n,). Left side of (10.1), less 2 log 2."""
    same_shape(p_x=p_x, q_x=q_x, q_old=q_old)
    distributions(q_old=q_old)
    return 2 * gan.joint_kl(p_x, q_x, gan.best_discriminator(p_x, q_old))


def code_kl(w):
    """E_p KL(p(z|x) || q(z)): the price of codes in the VAE."""
    return expected_kl(w.p_x, w.p_z_given_x, w.q_z.expand_as(w.p_z_given_x))


def conditional_joint_kl(w):
    """KL of the joints over (x, z, y) with one law of labels: E_y KL(P_y || Q_y)."""
    return sum(p * kl(each.p_xz, each.q_xz) for p, each in zip(w.labels, w.each, strict=True))


def conditional_objective(w):
    """E_y of reconstruction and price of codes: the conditional VAE's loss."""
    parts = [aae.reconstruction(each.p_xz, each.q_xz) + code_kl(each) for each in w.each]
    return sum(p * part for p, part in zip(w.labels, parts, strict=True))


def chain_kl(chain):
    """KL of the two joints over (x0, x1, x2), from whole tables. chain: as in `world`."""
    p = chain.p0[:, None, None] * chain.p1[:, :, None] * chain.p2
    q = chain.q0.T[:, :, None] * chain.q1.T * chain.q2
    return kl(p, q)


def backward_terms(chain):
    """Sum over t of E KL(p(x_{t-1}|x_t) || q(x_{t-1}|x_t)), with the encoder turned around by Bayes' rule. (16.2)"""
    total, law = 0.0, chain.p0
    for forward, back in ((chain.p1, chain.q0), (chain.p2, chain.q1)):
        joint = law[:, None] * forward  # (x_{t-1}, x_t)
        law = joint.sum(0)
        total = total + expected_kl(law, (joint / law).T, back)
    return total


def last_law(chain):
    """p(x_2): where the encoder's chain ends."""
    return chain.p0 @ chain.p1 @ chain.p2


def off_prior(w):
    """sum over z of (q_bar - p) log(p/q): what V adds to KL(q_bar(z) || p(z)) while codes of data miss the prior. (13.2)"""
    return ((age.pushed(w.q_x, w.p_z_given_x) - w.p_z) * (w.p_z / w.q_z).log()).sum()


def behind_codes(w):
    """E_q_bar KL(R(x|z) || P(x|z)), what no criterion of codes sees. R(x|z): q(x) p(z|x) turned around."""
    r_joint = w.q_x[:, None] * w.p_z_given_x
    r_z = r_joint.sum(0)
    return expected_kl(r_z, (r_joint / r_z).T, w.p_x_given_z.T)


def prefix_loss(p, q):
    """The cross-entropy of every coordinate given those before it, tables (2, 2, 2): an autoregressive model's loss."""
    same_shape(p=p, q=q)
    pairs = zip(*(autoregressive.conditionals(table, range(table.ndim)) for table in (p, q)), strict=True)
    return sum((weight * cross_entropy(rows, others, 1)).sum() for (weight, rows), (_, others) in pairs)


ACCOUNTS = {
    "variational inference": Account(
        lambda w: expected_kl(w.p_x, w.p_z_given_x, w.q_z_given_x),
        lambda w: -(w.p_x * joint_kl.elbo(w.p_z_given_x, w.q_xz)).sum(),
        lambda w: (w.p_x * w.q_x.log()).sum(),
        lambda w: -entropy(w.p_x),
    ),
    "EM": Account(
        lambda w: kl(w.p_xz, w.q_xz),
        lambda w: cross_entropy(w.p_xz, w.q_xz) - (w.p_x * entropy(w.p_z_given_x, 1)).sum(),
        lambda w: -entropy(w.p_x),
        lambda w: entropy(w.p_x),
    ),
    "VAE": Account(
        lambda w: kl(w.p_xz, w.q_xz),
        lambda w: aae.reconstruction(w.p_xz, w.q_xz) + code_kl(w),
        lambda w: -entropy(w.p_x),
        lambda w: mutual_information(w.p_xz) - entropy(w.p_x),
    ),
    "conditional VAE": Account(
        conditional_joint_kl,
        conditional_objective,
        lambda w: -sum(p * entropy(each.p_x) for p, each in zip(w.labels, w.each, strict=True)),
        lambda w: -sum(p * entropy(each.p_x) for p, each in zip(w.labels, w.each, strict=True)) - entropy(w.labels),
    ),
    "GAN": Account(
        lambda w: twice_label_kl(w.p_x, w.q_x, w.q_old),
        lambda w: minus_log_d(w.p_x, w.q_x, w.q_old),
        lambda w: kl(w.q_x, w.q_old) + label_constant(w.p_x, w.q_old),
        lambda w: label_constant(w.p_x, w.q_old),
    ),
    "DCGAN": Account(
        lambda w: 2 * gan.joint_kl(w.p_x, w.q_x, restricted_logit(w).sigmoid()),
        lambda w: gan.expected(non_saturating_loss, w.q_x, restricted_logit(w)),
        lambda w: kl(w.q_x, w.q_old) + unseen(w) + restricted_constant(w),
        lambda w: kl(w.q_x, w.q_old) + restricted_constant(w),
    ),
    "conditional GAN": Account(
        lambda w: 2 * conditional_gan.joint_kl(w.p_c, w.q_c, gan.best_discriminator(w.p_c, w.q_c_old)),
        lambda w: minus_log_d(w.p_c.flatten(), w.q_c.flatten(), w.q_c_old.flatten()),
        lambda w: kl(w.q_c, w.q_c_old) + label_constant(w.p_c.flatten(), w.q_c_old.flatten()),
        lambda w: kl(w.q_c.sum(1), w.q_c_old.sum(1)) + label_constant(w.p_c.flatten(), w.q_c_old.flatten()),
    ),
    "AAE": Account(
        lambda w: kl(w.p_xz, w.q_xz),
        lambda w: aae.usual_objective(w.p_xz, w.q_xz),
        lambda w: mutual_information(w.p_xz) + 2 * js(w.p_z, w.q_z) - entropy(w.p_x),
        lambda w: mutual_information(w.p_xz) - entropy(w.p_x),
    ),
    "ALI, truncated": Account(
        lambda w: 2 * kl(*gan.joints(w.p_xz.flatten(), w.q_xz.flatten(), at_old_pair(w))),
        lambda w: ali.four_terms(w.p_xz, w.q_xz, w.p_old_xz, w.q_old_xz)[:2].sum(),
        lambda w: kl(w.q_xz, w.q_old_xz) + encoder_term(w) - 2 * math.log(2),
        lambda w: kl(w.q_xz, w.q_old_xz) - 2 * math.log(2),
    ),
    "ALI, minimax": Account(
        lambda w: 2 * js(w.p_xz, w.q_xz),
        lambda w: sum(ali.expected(loss, joint, gan.best_logit(w.p_xz, w.q_xz))
                      for loss, joint in zip(ali.LOSSES["minimax"], (w.p_xz, w.q_xz), strict=True)),
        lambda w: torch.tensor(2 * math.log(2)).double(),
        lambda w: 2 * math.log(2) + 2 * js(w.p_xz, w.q_xz) - ali.divergence(w.p_xz, w.q_xz),
    ),
    "ALI, swapped": Account(  # encoder and generator, each with the other held
        lambda w: (
            2 * kl(*gan.joints(w.p_old_xz.flatten(), w.q_xz.flatten(), at_old_pair(w)))
            + 2 * kl(*gan.joints(w.q_old_xz.flatten(), w.p_xz.flatten(), 1 - at_old_pair(w)))
        ),
        lambda w: sum(ali.expected(loss, joint, gan.best_logit(w.p_old_xz, w.q_old_xz))
                      for loss, joint in zip(ali.LOSSES["swapped"], (w.p_xz, w.q_xz), strict=True)),
        lambda w: kl(w.p_xz, w.p_old_xz) + kl(w.q_xz, w.q_old_xz) + label_constants(w),
        label_constants,
    ),
    "regularized GAN": Account(
        lambda w: twice_label_kl(w.p_x, w.q_x, w.q_old_xz.sum(1)),
        lambda w: minus_log_d(w.p_x, w.q_x, w.q_old_xz.sum(1)) + kl(w.q_xz, w.q_old_xz),
        lambda w: label_constant(w.p_x, w.q_old_xz.sum(1)) - joint_kl.gap(w.q_xz, w.q_old_xz),
        lambda w: label_constant(w.p_x, w.q_old_xz.sum(1)),
    ),
    "AGE": Account(
        lambda w: kl(w.q_x, w.p_x),
        lambda w: age.value(w.p_z, age.pushed(w.q_x, w.p_z_given_x), w.q_z),
        lambda w: behind_codes(w) - off_prior(w),
        behind_codes,
    ),
    "alpha-GAN": Account(
        lambda w: kl(w.p_xz, w.q_xz),
        lambda w: alpha_gan.shared_objective(w.p_xz, w.q_x_given_z, w.q_x_given_z, w.q_z),
        lambda w: mutual_information(w.p_xz) - entropy(w.p_x) - added_by_d(w),
        lambda w: mutual_information(w.p_xz) - entropy(w.p_x) - added_by_two(w),
    ),
    "autoregressive": Account(
        lambda w: kl(w.p_bits, w.q_bits),
        lambda w: prefix_loss(w.p_bits, w.q_bits),
        lambda w: -entropy(w.p_bits),
        lambda w: -sum(entropy(w.p_bits.sum(axes)) for axes in ((1, 2), (0, 2), (0, 1))),
    ),
    "diffusion": Account(
        lambda w: chain_kl(w.chain),
        lambda w: backward_terms(w.chain),
        lambda w: kl(last_law(w.chain), w.chain.q2),
        lambda w: torch.zeros(()).double(),
    ),
}  # fmt: skip


def encoder_term(w):
    """E_Q log p_o(z|x)/p(z|x): the last term of (9.3), which the truncated losses of ALI drop."""
    return (w.q_xz * (w.p_old_xz / w.p_xz).log()).sum()


def at_old_pair(w):
    """D, flat, exact for the older encoder and the older model."""
    return gan.best_discriminator(w.p_old_xz.flatten(), w.q_old_xz.flatten())


def added_by_d(w):
    """2 KL((q + rho)/2 || p): what alpha-GAN's one discriminator of samples and reconstructions adds to the joint KL."""
    q_x, rho_x = alpha_gan.laws(w.p_xz, w.q_x_given_z, w.q_z)
    return 2 * kl((q_x + rho_x) / 2, w.p_x)


def added_by_two(w):
    """KL(rho || p) + KL(q || p): what two discriminators would add, one for samples and one for reconstructions. (14.5)"""
    q_x, rho_x = alpha_gan.laws(w.p_xz, w.q_x_given_z, w.q_z)
    return kl(rho_x, w.p_x) + kl(q_x, w.p_x)


def restricted_logit(w):
    """The best logit (n,) for the older model of a D that sees neighboring values of x as one, in pairs."""
    part = torch.arange(len(w.p_x)) // 2
    return gan.best_logit(dcgan.merged(w.p_x, part), dcgan.merged(w.q_old, part))[part]


def restricted_constant(w):
    """`label_constant` with the best of those D."""
    return gan.expected(non_saturating_loss, w.p_x, restricted_logit(w)) - 2 * math.log(2)


def unseen(w):
    """E_q of such a D's logit less the best logit of all: a term with a slope, 0 where the family holds the best D."""
    return (w.q_x * (restricted_logit(w) - gan.best_logit(w.p_x, w.q_old))).sum()


def column(part, w):
    """That part of every account, (rows,): "joint", "objective", "dropped" or "slip". w: a `world`."""
    return torch.stack([torch.as_tensor(getattr(account, part)(w)).double() for account in ACCOUNTS.values()])


# Of which order is what is dropped?


def mixed(one, other, h):
    """(1 - h) one + h other: a step of size h from one table to another of the same shape."""
    same_shape(one=one, other=other)
    no_negative(one=one, other=other)
    if not 0 <= h <= 1:
        raise ValueError(f"h is the share of the way, from 0 to 1, not {h}")
    return (1 - h) * one + h * other


def dropped_slopes(w, h):
    """How fast the dropped terms grow in the first step h, over h: GAN's, AAE's and ALI's, (3,). (17.3)

    GAN moves q towards an older model, AAE and ALI the encoder towards another one.
    """
    positive(h=h)
    moved = mixed(w.p_xz, w.p_old_xz, h)
    return torch.stack([
        kl(mixed(w.q_x, w.q_old, h), w.q_x),
        mutual_information(moved) - mutual_information(w.p_xz),
        (w.q_xz * (w.p_xz / moved).log()).sum(),
    ]) / h  # fmt: skip


def first_order(w):
    """The limits of `dropped_slopes` for h -> 0, (3,), by hand: 0, and two first derivatives. (17.3)"""
    step = w.p_old_xz - w.p_xz
    information = (step * (w.p_z_given_x / w.p_z).log()).sum()
    return torch.stack([torch.zeros(()).double(), information, -(w.q_xz / w.p_xz * step).sum()])


# What the view cannot say


def renamed(w, order):
    """The world w with the values of x in another order (n,), for data and model alike."""
    same_rows(p_x=w.p_x, order=order)
    permutations(order=order)
    return worlds.joint_world(w.p_x[order], w.p_z_given_x[order], w.q_z, w.q_x_given_z[order])


def mmd(p_x, q_x, kernel):
    """Squared maximum mean discrepancy of tables (n,) under a kernel (n, n) (Gretton et al. 2012). (17.5)"""
    same_shape(p_x=p_x, q_x=q_x)
    distributions(p_x=p_x, q_x=q_x)
    return (p_x - q_x) @ kernel @ (p_x - q_x)


def gaussian_kernel(x, width):
    """exp(-|x - x'|^2 / (2 width^2)) of points on a line (n,), (n, n)."""
    one_number(width=width)
    positive(width=width)
    return torch.exp(-(((x[:, None] - x) / width) ** 2) / 2)


# The view of Hu, Yang, Salakhutdinov and Xing (2017)


def reversed_loss(p_x, q_x, logit):
    """E_p(y) E[-log q^r(y|x)] in nats, q^r the discriminator with its labels exchanged: left side of (17.6); all (n,)."""
    same_shape(p_x=p_x, q_x=q_x, logit=logit)
    return (gan.expected(non_saturating_loss, q_x, logit) + gan.expected(non_saturating_loss, p_x, -logit)) / 2


def as_inference(p_x, q_x, q_old, logit):
    """E_p(y) KL(p(x|y) || q^r(x|y)) - JS(p, q): right side of (17.6), with q^r(x|y) in proportion to q^r(y|x) m_o(x).

    All (n,). The "posterior" q^r(x|y) stays as it was for the old model, whose mean with the data is m_o.
    """
    same_shape(p_x=p_x, q_x=q_x, q_old=q_old, logit=logit)
    distributions(q_old=q_old)
    weights = [share * (p_x + q_old) / 2 for share in (logit.sigmoid(), (-logit).sigmoid())]  # of samples, of data
    for_samples, for_data = (weight / weight.sum() for weight in weights)
    return (kl(q_x, for_samples) + kl(p_x, for_data)) / 2 - js(p_x, q_x)


# The capstone


def step(nets, opts, x, z):
    """One step of the capstone's model: "decoder", a `vae.Gaussian`, and "encoder" of `vae.networks`, an optimizer each.

    x: data (n, d). z: noise (n, 2, k), for the codes of x and as draws of the prior. What the decoder draws from those
    has its noise from torch's global generator.
    """
    filled(x=x)
    noise, prior = z.unbind(1)  # (n, k) each
    with torch.no_grad():
        code = vae.sample(*nets["encoder"](x), noise)
        mean = nets["decoder"](prior)
        dream = mean + (nets["decoder"].log_variance / 2).exp() * torch.randn_like(mean)
    wake = -nets["decoder"].log_likelihood(x, code).mean()
    descend(opts["decoder"], wake)
    sleep = -vae.log_normal(prior, *nets["encoder"](dream)).mean()
    descend(opts["encoder"], sleep)
    return {"wake": wake.detach(), "sleep": sleep.detach()}
