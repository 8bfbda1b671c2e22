"""Functions of paired tensors refuse what torch would spread in silence, and values of which nothing follows.

Every case holds arguments that fit. Each paired one is then replaced by its first row or entry, where it is a table that
is not square by its transpose, and where it is a vector by a column; the function must raise. A test reads the signatures of the chapters, so that a new
function of paired tensors is either a case or named below with the reason why it spreads its arguments on purpose.
"""

import contextlib
import importlib
import inspect
import math
import pkgutil
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import gentools
from gentools import (
    aae,
    age,
    ali,
    alpha_gan,
    autoregressive,
    conditional_gan,
    conditional_vae,
    dcgan,
    diffusion,
    em,
    evaluation,
    gan,
    joint_kl,
    neighbors,
    one_map,
    regularized_gan,
    similarity,
    vae,
    wgan_gp,
)
from gentools.lab import divergences, plots, shapes, stream, worlds
from gentools.lab.chapters import CHAPTERS
from gentools.recipes.shared.fitting import adams

REFUSED = (ValueError, TypeError, RuntimeError, IndexError)
W = worlds.table(3)
assert W.p_xz.shape[0] != W.p_xz.shape[1] and min(W.p_xz.shape) > 1
N, K, D = 4, 2, 3  # rows, numbers of a code, pixels


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def table(*shape, seed=0):
    """Probabilities with sum 1."""
    return normal(*shape, seed=seed).flatten().softmax(0).view(shape)


def covariances(*shape):
    a = normal(*shape, shape[-1])
    return a @ a.mT + torch.eye(shape[-1], dtype=a.dtype)


X, Y = torch.rand(N, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64), torch.tensor([0, 2, 1, 2])
CODE = normal(N, K, seed=2)
NOISE = normal(N, K, seed=3)
P, Q, OLD = table(5, seed=1), table(5, seed=2), table(5, seed=3)
LINE = {"x": torch.linspace(-1, 1, 5).double(), "p_x": P, "q_x": Q}  # two tables on sorted points
JOINTS = [table(3, 4, seed=s) for s in range(4)]
CONDITIONALS = JOINTS[0] / JOINTS[0].sum(0)
VAE = vae.networks(0, D, (5,), K).double()
CLASS_MEANS = conditional_vae.class_mean_networks(0, D, (5,), K, 3).double()
with torch.no_grad():
    CLASS_MEANS["prior"].means.copy_(normal(3, K))
CONDITIONAL = conditional_gan.networks(0, [K, 5, D], [D, 5, 1], normal(3, 2), normal(3, 2)).double()
ALI = ali.toy_networks(0, 5).double()
ANY_ORDER = autoregressive.AnyOrder(D, (5,)).double()
PLACE = torch.tensor([[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]])
BIGAN = ali.toy_networks(0, 5, 0.0).double()
BIGAN["players"]["encoder"] = ali.PlainEncoder(nn.Linear(2, 2).double())
PAIR = {"x": normal(N, 2), "noise": normal(N, 3, 2)}
SURE = torch.cat([torch.eye(W.p_xz.shape[1])[:1].double(), W.p_z_given_x[1:]])  # the first x has its code for sure
MADE = autoregressive.networks(0, 2, 5).double()
GAN = gan.toy_networks(0, 5).double()
OPTS = {name: torch.optim.SGD([torch.zeros(1)]) for name in ("generator", "discriminator", "critic", "players")}
WGAN = wgan_gp.toy_networks(0, 5).double()
ALPHA = alpha_gan.networks(0, D, (5,), K).double()
ALPHA_TABLES = {"p_joint": W.p_xz, "likelihood": W.q_x_given_z, "q_x_given_z": W.q_x_given_z, "q_z": W.q_z}


def case(function, paired, given=None, **more):
    """function(**more, **paired); `given` names the paired arguments that are tried, by default all."""
    return function, paired, more, given or list(paired)


CASES = {
    "divergences.cross_entropy": case(divergences.cross_entropy, {"p": P, "q": Q}),
    "divergences.kl": case(divergences.kl, {"p": P, "q": Q}),
    "divergences.kl of rows": case(
        divergences.kl, {"p": W.p_z_given_x, "q": W.q_xz / W.q_xz.sum(1, keepdim=True)}, dim=1
    ),
    "divergences.js": case(divergences.js, {"p": P, "q": Q}),
    "divergences.expected_kl": case(
        divergences.expected_kl, {"weights": W.p_x, "p": W.p_z_given_x, "q": W.q_xz / W.q_xz.sum(1, keepdim=True)}
    ),
    "divergences.gaussian_kl": case(
        divergences.gaussian_kl,
        {"mean_p": normal(2), "cov_p": covariances(2), "mean_q": normal(2), "cov_q": covariances(2)},
    ),
    "divergences.diagonal_gaussian_kl": case(divergences.diagonal_gaussian_kl, {"mean": CODE, "log_variance": NOISE}),
    "joint_kl.joints": case(
        joint_kl.joints, {"p_x": W.p_x, "p_z_given_x": W.p_z_given_x, "q_z": W.q_z, "q_x_given_z": W.q_x_given_z}
    ),
    "joint_kl.gap": case(joint_kl.gap, {"p_joint": W.p_xz, "q_joint": W.q_xz}),
    "joint_kl.js_gap": case(joint_kl.js_gap, {"p_joint": W.p_xz, "q_joint": W.q_xz}),
    "joint_kl.elbo": case(joint_kl.elbo, {"p_z_given_x": W.p_z_given_x, "q_joint": W.q_xz}),
    "joint_kl.fit_forward": case(joint_kl.fit_forward, {"x": torch.linspace(-1, 1, 5).double(), "p": P}),
    "joint_kl.fit_reverse": case(
        joint_kl.fit_reverse, {"x": torch.linspace(-9, 9, 5).double(), "p": P}, mean=0.0, std=2.5, steps=1
    ),
    "em.joint_kl": case(em.joint_kl, {"p_x": W.p_x, "p_z_given_x": W.p_z_given_x, "q_joint": W.q_xz}),
    "em.bound": case(em.bound, {"resp": W.p_z_given_x, "log_joint": W.q_xz.log()}),
    "em.gaussian_log_joint": case(
        em.gaussian_log_joint,
        {"x": X, "weights": table(2), "means": normal(2, D), "covariances": covariances(2, D)},
        ["weights", "means", "covariances"],
    ),
    "em.gaussian_m_step": case(em.gaussian_m_step, {"x": X, "resp": normal(N, 2).softmax(1)}),
    "em.gaussian_em": case(
        em.gaussian_em,
        {"x": X, "weights": table(2), "means": normal(2, D), "covariances": covariances(2, D)},
        ["weights", "means", "covariances"],
        steps=1,
        floor=0.1,
    ),
    "em.nearest": case(em.nearest, {"x": X, "means": normal(2, D)}, ["nothing"]),
    "em.k_means": case(em.k_means, {"x": X, "means": normal(2, D)}, ["nothing"], steps=1),
    "em.bernoulli_log_joint": case(
        em.bernoulli_log_joint,
        {"x": X.round(), "weights": table(2), "means": normal(2, D).sigmoid()},
        ["weights", "means"],
    ),
    "em.bernoulli_m_step": case(em.bernoulli_m_step, {"x": X.round(), "resp": normal(N, 2).softmax(1)}),
    "vae.sample": case(vae.sample, {"mean": CODE, "log_variance": CODE, "noise": NOISE}, ["noise"]),
    "vae.pathwise": case(vae.pathwise, {"z": normal(5), "noise": normal(5)}, slope=torch.sin),
    "vae.score": case(vae.score, {"z": normal(5), "noise": normal(5)}, f=torch.sin, std=1.0),
    "vae.elbo_terms": case(vae.elbo_terms, {"x": X, "z": NOISE}, ["z"], nets=VAE),
    "vae.log_weights": case(vae.log_weights, {"x": X, "noise": normal(5, N, K)}, ["x"], nets=VAE),
    "vae.expected_importance_bound": case(
        vae.expected_importance_bound, {"p_z_given_x": W.p_z_given_x, "q_joint": W.q_xz}, samples=1
    ),
    "vae.linear_log_likelihood": case(
        vae.linear_log_likelihood, {"cov": covariances(D), "decoder": normal(D, K)}, noise_variance=1.0
    ),
    "vae.linear_terms": case(
        vae.linear_terms,
        {"cov": covariances(D), "encoder": normal(K, D), "encoder_variance": table(K), "decoder": normal(D, K)},
    ),
    "vae.linear_elbo": case(
        vae.linear_elbo,
        {"cov": covariances(D), "encoder": normal(K, D), "encoder_variance": table(K), "decoder": normal(D, K)},
        noise_variance=1.0,
    ),
    "vae.axis_angle": case(vae.axis_angle, {"decoder": normal(D, K), "axes": normal(D, K)}),
    "conditional_vae.with_label": case(conditional_vae.with_label, {"rows": X, "y": Y}, classes=3),
    "conditional_vae.class_kl": case(
        conditional_vae.class_kl, {"mean": CODE, "log_variance": CODE, "class_mean": NOISE}
    ),
    "conditional_vae.elbo_terms": case(conditional_vae.elbo_terms, {"x": X, "y": Y, "noise": NOISE}, nets=CLASS_MEANS),
    "conditional_vae.log_weights": case(
        conditional_vae.log_weights, {"x": X, "y": Y, "noise": NOISE}, nets=CLASS_MEANS
    ),
    "conditional_vae.joint_log_weights": case(
        conditional_vae.joint_log_weights, {"x": X, "shares": table(3), "noise": normal(3, N, K)}, nets=CLASS_MEANS
    ),
    "conditional_vae.offsets": case(conditional_vae.offsets, {"x": X, "y": Y, "noise": NOISE}, nets=CLASS_MEANS),
    "conditional_vae.decode": case(conditional_vae.decode, {"offset": NOISE, "y": Y}, nets=CLASS_MEANS),
    "conditional_vae.class_averages": case(conditional_vae.class_averages, {"mean": CODE, "y": Y}, classes=3),
    "conditional_vae.log_responsibilities": case(
        conditional_vae.log_responsibilities,
        {"mean": CODE, "means": normal(3, K), "shares": table(3)},
        ["means", "shares"],
    ),
    "conditional_vae.within_covariance": case(conditional_vae.within_covariance, {"x": X, "y": Y}, classes=3),
    "conditional_vae.linear_log_likelihood": case(
        conditional_vae.linear_log_likelihood,
        {"x": X, "y": Y, "decoder": normal(D, K), "centers": normal(3, D)},
        noise_variance=1.0,
    ),
    "conditional_vae.correlation": case(conditional_vae.correlation, {"a": X, "b": normal(N, D)}),
    "gan.joints": case(gan.joints, {"p_x": P, "q_x": Q, "d": OLD}),
    "gan.joint_kl": case(gan.joint_kl, {"p_x": P, "q_x": Q, "d": OLD}),
    "gan.best_discriminator": case(gan.best_discriminator, {"p_x": P, "q_x": Q}),
    "gan.best_logit": case(gan.best_logit, {"p_x": P, "q_x": Q}),
    "gan.label_kl": case(gan.label_kl, {"p_x": P, "q_x": Q, "d": OLD}),
    "gan.expected": case(gan.expected, {"q_x": P, "logit": normal(5)}, loss=gan.kl_loss),
    "dcgan.merged": case(dcgan.merged, {"p_x": P, "part": torch.tensor([0, 1, 1, 0, 2])}),
    "dcgan.best_joint_kl": case(dcgan.best_joint_kl, {"p_x": P, "q_x": Q, "part": torch.tensor([0, 1, 1, 0, 2])}),
    "dcgan.unseen": case(dcgan.unseen, {"p_x": P, "q_x": Q, "part": torch.tensor([0, 1, 1, 0, 2])}),
    "conditional_gan.joint_kl": case(conditional_gan.joint_kl, dict(zip(("p_xc", "q_xc", "d"), JOINTS, strict=False))),
    "conditional_gan.label_kl": case(conditional_gan.label_kl, dict(zip(("p_xc", "q_xc", "d"), JOINTS, strict=False))),
    "conditional_gan.within_classes": case(conditional_gan.within_classes, {"p_xc": JOINTS[0], "q_xc": JOINTS[1]}),
    "conditional_gan.unseen_by_blind": case(conditional_gan.unseen_by_blind, {"p_xc": JOINTS[0], "q_xc": JOINTS[1]}),
    "conditional_gan.logit_parts": case(conditional_gan.logit_parts, {"p_xc": JOINTS[0], "q_xc": JOINTS[1]}),
    "conditional_gan.conditional_gradient": case(
        conditional_gan.conditional_gradient,
        {"q_c": table(4), "q_x_given_c": CONDITIONALS},
        ["q_c"],
        functional=torch.sum,
    ),
    "conditional_gan.sample": case(conditional_gan.sample, {"z": NOISE, "c": Y}, nets=CONDITIONAL),
    "aae.code_game": case(aae.code_game, {"p_z": P, "q_z": Q, "d": OLD}),
    "aae.reconstruction": case(aae.reconstruction, {"p_joint": W.p_xz, "q_joint": W.q_xz}),
    "aae.objective": case(aae.objective, {"p_joint": W.p_xz, "q_joint": W.q_xz}),
    "aae.usual_objective": case(aae.usual_objective, {"p_joint": W.p_xz, "q_joint": W.q_xz}),
    "aae.petals": case(aae.petals, {"noise": normal(N, 3), "c": Y}),
    "aae.swiss_roll": case(aae.swiss_roll, {"noise": normal(N, 3), "c": Y}),
    "age.pushed": case(age.pushed, {"p_x": W.p_x, "p_z_given_x": W.p_z_given_x}),
    "age.value": case(age.value, {"p_z": P, "q_bar": Q, "q_z": OLD}),
    "age.moment_kl": case(age.moment_kl, {"mean": normal(5), "variance": normal(5).exp()}),
    "age.full_moment_kl": case(age.full_moment_kl, {"mean": normal(2), "cov": covariances(2)}),
    "age.published_kl": case(age.published_kl, {"mean": normal(5), "variance": normal(5).exp()}),
    "age.linear_value": case(
        age.linear_value,
        {"encoder": normal(3, 2), "p_cov": covariances(2), "q_cov": covariances(2), "shift": normal(2)},
        ["p_cov", "q_cov", "shift"],
    ),
    "age.variance_ratios": case(age.variance_ratios, {"p_cov": covariances(2), "q_cov": covariances(2)}),
    "aae.split_kl_term": case(
        aae.split_kl_term, {"mean": CODE, "log_variance": CODE, "noise": NOISE}, log_prior=aae.log_normal_prior
    ),
    "ali.divergence": case(ali.divergence, {"p_joint": W.p_xz, "q_joint": W.q_xz}),
    "ali.four_terms": case(ali.four_terms, dict(zip(("p_joint", "q_joint", "p_old", "q_old"), JOINTS, strict=True))),
    "ali.encoder_gradient": case(
        ali.encoder_gradient, {"p_x": W.p_x, "p_z_given_x": W.p_z_given_x}, ["p_x"], functional=torch.sum
    ),
    "ali.generator_gradient": case(
        ali.generator_gradient, {"q_z": W.q_z, "q_x_given_z": W.q_x_given_z}, ["q_z"], functional=torch.sum
    ),
    "ali.expected": case(ali.expected, {"joint": W.p_xz, "logit": W.q_xz.log()}, loss=gan.kl_loss),
    "ali.fisher_product": case(ali.fisher_product, dict(zip(("p_joint", "f", "g"), JOINTS, strict=False))),
    "ali.natural_step": case(
        ali.natural_step,
        {"log_p": W.p_z_given_x.log(), "log_q": W.q_x_given_z.log()},
        w=W,
        losses=ali.LOSSES["swapped"],
        step_size=0.1,
    ),
    "ali.exact_step": case(
        ali.exact_step,
        {"p_z_given_x": W.p_z_given_x, "q_x_given_z": W.q_x_given_z},
        w=W,
        losses=ali.LOSSES["swapped"],
        step_size=0.1,
    ),
    "ali.density_term": case(ali.density_term, {"fake": normal(N, 2), "z": NOISE}, encoder=ALI["players"]["encoder"]),
    "ali.pairs": case(ali.pairs, PAIR, nets=ALI),
    "ali.pairs without noise": case(ali.pairs, PAIR, nets=BIGAN),
    "ali.draw": case(ali.draw, PAIR, nets=ALI),
    "regularized_gan.objective": case(regularized_gan.objective, {"p_x": P, "q_x": Q}),
    "regularized_gan.generator_problem": case(
        regularized_gan.generator_problem, {"q_x": P, "q_old": Q, "d": OLD}, proximal_weight=1.0
    ),
    "regularized_gan.answer": case(regularized_gan.answer, {"q_old": P, "d": OLD}, proximal_weight=1.0),
    "regularized_gan.halving_factor": case(regularized_gan.halving_factor, {"inverse_ratio": P / Q, "p_x": P}),
    "regularized_gan.closed_form": case(regularized_gan.closed_form, {"p_x": P, "q_x": Q}, steps=2),
    "regularized_gan.flow": case(
        regularized_gan.flow, {"x": X, "log_d_slope": normal(N, D)}, proximal_weight=1.0, time=0.1
    ),
    "regularized_gan.forces": case(
        regularized_gan.forces,
        {"z": normal(N, 2), "old": NOISE},
        nets=gan.toy_networks(0, 5).double(),
        penalty_weight=1.0,
    ),
    "evaluation.modes": case(evaluation.modes, {"samples": X, "centers": normal(2, D)}, ["nothing"], std=1.0),
    "evaluation.frechet": case(evaluation.frechet, {"x": X, "y": normal(N, D)}),
    "evaluation.kid": case(evaluation.kid, {"x": X, "y": normal(N, D)}),
    "autoregressive.prefix_kl": case(
        autoregressive.prefix_kl, {"p": table(2, 2, 2), "q": table(2, 2, 2, seed=1)}, order=(0, 1, 2)
    ),
    "autoregressive.prefix_joints": case(
        autoregressive.prefix_joints, {"p": table(2, 2, 2), "q": table(2, 2, 2, seed=1)}
    ),
    "autoregressive.bits_log_likelihood": case(
        autoregressive.bits_log_likelihood, {"x": X.round(), "logits": normal(N, D)}
    ),
    "evaluation.slope_penalty": case(
        evaluation.slope_penalty, {"real": X, "fake": normal(N, D), "mix": X[:, 0]}, critic=nn.Linear(D, 1).double()
    ),
    "autoregressive.any_order_loss": case(
        autoregressive.any_order_loss, {"x": X.round(), "seen": PLACE < 1}, net=ANY_ORDER
    ),
    "autoregressive.order_logits": case(autoregressive.order_logits, {"x": X, "place": PLACE}, net=ANY_ORDER),
    "autoregressive.unmask": case(autoregressive.unmask, {"uniform": X, "place": PLACE}, net=ANY_ORDER, passes=2),
    "alpha_gan.laws": case(alpha_gan.laws, {k: v for k, v in ALPHA_TABLES.items() if k != "likelihood"}),
    "alpha_gan.synthetic": case(alpha_gan.synthetic, {"p_joint": W.p_xz, "q_joint": W.q_xz}),
    "alpha_gan.objective": case(alpha_gan.objective, ALPHA_TABLES),
    "alpha_gan.shared_objective": case(alpha_gan.shared_objective, ALPHA_TABLES),
    "alpha_gan.shared_logit": case(alpha_gan.shared_logit, {"p_x": P, "q_x": Q, "rho_x": OLD}),
    "alpha_gan.blind": case(alpha_gan.blind, {"q_x": P, "rho_x": Q}),
    "alpha_gan.attempt": case(alpha_gan.attempt, {"x": X, "z": normal(N, 2, K)}, nets=ALPHA),
    "alpha_gan.rebuilt": case(alpha_gan.rebuilt, {"x": X, "noise": NOISE}, nets=ALPHA),
    "wgan_gp.transport": case(wgan_gp.transport, {"p_x": table(3), "q_x": table(4), "cost": normal(3, 4).abs()}),
    "wgan_gp.best_critic": case(
        wgan_gp.best_critic, {"p_x": P, "q_x": Q, "cost": (LINE["x"][:, None] - LINE["x"]).abs()}
    ),
    "one_map.minus_log_d": case(one_map.minus_log_d, {"p_x": P, "q_x": Q, "q_old": OLD}),
    "one_map.label_constant": case(one_map.label_constant, {"p_x": P, "q_old": OLD}),
    "one_map.twice_label_kl": case(one_map.twice_label_kl, {"p_x": P, "q_x": Q, "q_old": OLD}),
    "one_map.mmd": case(one_map.mmd, {"p_x": P, "q_x": Q, "kernel": one_map.gaussian_kernel(LINE["x"], 1.0)}),
    "one_map.mixed": case(one_map.mixed, {"one": P, "other": Q}, h=0.5),
    "one_map.prefix_loss": case(one_map.prefix_loss, {"p": table(2, 2, 2, seed=1), "q": table(2, 2, 2, seed=2)}),
    "one_map.reversed_loss": case(one_map.reversed_loss, {"p_x": P, "q_x": Q, "logit": normal(5)}),
    "one_map.as_inference": case(one_map.as_inference, {"p_x": P, "q_x": Q, "q_old": OLD, "logit": normal(5)}),
    "wgan_gp.piecewise_penalty": case(
        wgan_gp.piecewise_penalty,
        {"real": normal(N, 2), "fake": normal(N, 2, seed=4), "mix": X[:, 0]},
        critic=wgan_gp.toy_networks(0, 5)["critic"].double(),
    ),
    "wgan_gp.piecewise_gradient": case(
        wgan_gp.piecewise_gradient,
        {"real": normal(N, 2), "fake": normal(N, 2, seed=4), "mix": X[:, 0]},
        critic=wgan_gp.toy_networks(0, 5)["critic"].double(),
        penalty_weight=1.0,
    ),
    "wgan_gp.gain": case(wgan_gp.gain, {"f": normal(5), "p_x": P, "q_x": Q}),
    "wgan_gp.surplus": case(wgan_gp.surplus, {"p_x": P, "q_x": Q}),
    "wgan_gp.line_distance": case(wgan_gp.line_distance, LINE),
    "wgan_gp.between_density": case(wgan_gp.between_density, LINE),
    "wgan_gp.penalized_slope": case(wgan_gp.penalized_slope, LINE, weight=1.0),
    "wgan_gp.penalized_value": case(wgan_gp.penalized_value, LINE, weight=1.0),
    "wgan_gp.line_penalty": case(wgan_gp.line_penalty, LINE | {"slope": normal(4)}),
    "diffusion.mixture_estimate": case(
        diffusion.mixture_estimate, {"centers": normal(2, D), "weights": table(2)}, std=0.1, path=diffusion.straight
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_fits_is_taken(name):
    function, paired, more, _ = CASES[name]
    function(**more, **paired)


def one_row(value):
    return value[:1]


def transposed(value):
    return value.T.contiguous()


def column(value):
    return value[:, None]


COLUMNS_TOO = {"mix"}  # of any shape with a number per row
SPOILED = [
    (name, argument, spoil)
    for name, (_, paired, _, tried) in CASES.items()
    for argument in tried
    if argument in paired
    for spoil in (one_row, transposed, column)
    if spoil is one_row
    or (spoil is column and paired[argument].ndim == 1 and argument not in COLUMNS_TOO)
    or (spoil is transposed and paired[argument].ndim == 2 and paired[argument].shape[0] != paired[argument].shape[1])
]


@pytest.mark.parametrize("name, argument, spoil", SPOILED, ids=[f"{n}: {a}, {s.__name__}" for n, a, s in SPOILED])
def test_one_row_for_many_transposed_tables_and_columns_are_refused(name, argument, spoil):
    function, paired, more, _ = CASES[name]
    with pytest.raises(REFUSED):
        function(**more, **(paired | {argument: spoil(paired[argument])}))


TABLES = {"p", "q", "p_x", "q_x", "q_z", "p_z", "q_bar", "p_joint", "q_joint", "p_old", "q_old", "p_xc", "q_xc", "p_z_given_x",
          "q_x_given_z", "q_x_given_c", "q_c", "resp", "weights", "shares", "rho_x", "likelihood", "one", "other"}  # fmt: skip
UNNORMALIZED = {  # tables that may sum to something else
    "divergences.cross_entropy": {"q"},  # the likelihoods of several codes side by side
    "gan.best_discriminator": {"p_x", "q_x"},  # densities, whose values at some points sum to anything
    "gan.best_logit": {"p_x", "q_x"},
    "alpha_gan.shared_logit": {"p_x", "q_x", "rho_x"},
    "alpha_gan.objective": {"likelihood"},
    "alpha_gan.shared_objective": {"likelihood"},
    "one_map.mixed": {"one", "other"},  # conditionals too
    "diffusion.mixture_estimate": {"weights"},  # shares, of which only the ratios matter
}


def scaled(table):
    return 2 * table


def below_zero(table):
    """The same sums, and a negative entry."""
    moved = table.clone()
    moved.view(-1)[0] += 1
    moved.view(-1)[1] -= 1
    return moved


def unknown(table):
    return table * NAN


def numbers(found):
    """Every number in what a function returns, one vector."""
    if isinstance(found, torch.Tensor):
        return found.detach().double().flatten()
    parts = found.values() if isinstance(found, dict) else found if isinstance(found, (tuple, list)) else [found]
    parts = [numbers(part) for part in parts if isinstance(part, (torch.Tensor, dict, tuple, list))]
    return torch.cat(parts) if parts else torch.zeros(0).double()


@pytest.mark.parametrize(
    "name, argument, spoil",
    [
        (name, argument, spoil)
        for name, (_, paired, _, _) in CASES.items()
        for argument in paired
        for spoil in (scaled, below_zero, unknown)
        if argument in TABLES and not (spoil is scaled and argument in UNNORMALIZED.get(name, ()))
    ],
)
def test_a_table_that_is_none_of_probabilities_gives_no_finite_number(name, argument, spoil):
    function, paired, more, _ = CASES[name]
    try:
        found = function(**more, **(paired | {argument: spoil(paired[argument])}))
    except (ValueError, TypeError):
        return
    assert not numbers(found).isfinite().all(), f"it took {argument} and returned {found}"


LETTERS = {"p_x", "q_x", "q_z", "p_z", "d", "p_joint", "q_joint", "p_old", "q_old", "p_xc", "q_xc", "p_z_given_x", "x", "y",
           "q_x_given_z", "q_x_given_c", "q_c", "resp", "log_joint", "means", "weights", "mean", "log_variance", "noise", "z",
           "class_mean", "shares", "offset", "a", "b", "c", "logit", "joint", "f", "g", "log_p", "log_q", "fake", "old",
           "inverse_ratio", "log_d_slope", "part", "samples", "centers", "covariances", "decoder", "axes", "cov", "encoder",
           "encoder_variance", "std", "rows", "p"}  # fmt: skip
SPREADS = {  # functions of several tensors, and why they may spread one over the other
    "joint_kl.gaussian_cells": "one Gaussian on many cells",
    "vae.log_normal": "one density at many points, and many densities at one point, are both meant",
    "vae.expectation": "mean and std of one Gaussian",
    "dcgan.linear_walk": "many moments of one walk",
    "dcgan.great_circle": "many moments of one walk",
    "dcgan.analogy": "the three words have exemplars of their own; their shapes are tried below",
    "age.event_value": "one probability of the data against many of the model is meant too",
    "aae.normal": "the class is not used",
    "alpha_gan.linear_objective": "numbers, or many axes and many players at once",
    "aae.energy_distance": "two samples, each of its own size",
    "regularized_gan.proximal_step": "many games at once",
    "regularized_gan.orbit": "many games at once",
    "conditional_gan.look_up": "a code and the classes that look it up; tried below",
    "evaluation.disc_probabilities": "the density is a function",
    "evaluation.chance_lines": "centers and one std; tried below",
    "evaluation.parzen": "two samples, each of its own size",
    "conditional_gan.networks": "two codes, one for each player",
    "ali.assemble": "networks",
    "diffusion.guided_ode": "mean and std of one Gaussian",
    "diffusion.guided_sde": "mean and std of one Gaussian",
    "diffusion.product": "mean and std of one Gaussian",
}


def test_every_function_of_paired_tensors_is_tried_or_spreads_on_purpose():
    missing = []
    for chapter in [c.name for c in CHAPTERS if c.written and c.name != "start"] + ["evaluation"]:
        module = importlib.import_module(f"gentools.{chapter}")
        for name, function in vars(module).items():
            if not inspect.isfunction(function) or function.__module__ != module.__name__ or name.startswith("_"):
                continue
            letters = [p for p in inspect.signature(function).parameters if p in LETTERS]
            known = (
                f"{chapter}.{name}" in CASES
                or f"{chapter}.{name}" in SPREADS
                or "opts" in inspect.signature(function).parameters
            )
            if len(letters) > 1 and not known:
                missing.append(f"{chapter}.{name}")
    assert not missing, f"add a case to tests/test_refusals.py, or say why they spread: {missing}"


NAN = torch.tensor(float("nan"), dtype=torch.float64)
SEMI = torch.diag(torch.tensor([1.0, -1.0])).double()
EYE = torch.eye(2, dtype=torch.float64)
ZERO = torch.zeros(2, dtype=torch.float64)
FALLING = torch.tensor([2.0, 0.5], dtype=torch.float64)  # eigenvalues


class Linked(autoregressive.MADE):
    """A MADE that exercise 15.E5 leads to: a link past the masks, which the cache would leave out."""

    def forward(self, x):
        return super().forward(x) + 8 * nn.functional.pad(x.flatten(1), (1, 0))[:, :-1]


def replaced(net):
    """The same network with another forward set on it."""
    net.forward = lambda x: 0 * x
    return net


GAUSSIAN_VAE = vae.networks(0, D, (5,), K, vae.Gaussian).double()
LABELED_AAE = aae.networks(0, D, (5,), 2, classes=10)
POINT_AAE = aae.networks(0, D, (5,), 2, noisy=False).double()


def first_row_empty(table):
    """1 (n, 1), and 0 in the first row: what leaves the first x of a table without codes."""
    return (torch.arange(len(table)) > 0).to(table)[:, None]


WITHOUT_ONE = torch.cat([normal(N - 1, 2).softmax(1), torch.zeros(1, 2).double()])  # no component holds the last point
WGAN_PLAYERS = {"generator": WGAN["generator"], "discriminator": WGAN["critic"]}
BETAS = torch.full((3,), 0.1, dtype=torch.float64)
DENOISER = nn.ModuleDict({"denoiser": diffusion.LabeledDenoiser(0, D, 3, width=4, blocks=1)})


class OneOutput(nn.Module):
    """One number for each row, whatever its width."""

    classes = 10

    def forward(self, x, t, y=None):
        return x[:, :1]


ONE_OUTPUT = nn.ModuleDict({"denoiser": OneOutput()})
CHAIN = diffusion.exact_chain(ZERO[0], 1.0, BETAS)
PICTURES, SMALL_UNET = torch.zeros(N, 16), diffusion.UNet(0, 4, 1, 3, width=8)


def as_it_is(noisy, t):  # an estimate: data and noise
    return noisy, noisy


def bits_bound(x, draws, reach=8.0, levels=(0.0, 1.0)):
    estimate = diffusion.mixture_estimate(normal(2, D), 0.1, table(2), diffusion.cosine)
    rng = torch.Generator().manual_seed(0)
    return diffusion.bound(estimate, x, torch.tensor(levels), diffusion.cosine, draws, rng, reach)


def exact_step(step_size=0.1, p_x=W.p_x, q_z=W.q_z, p_z_given_x=W.p_z_given_x, q_x_given_z=W.q_x_given_z):
    return ali.exact_step(SimpleNamespace(p_x=p_x, q_z=q_z), p_z_given_x, q_x_given_z, ali.LOSSES["swapped"], step_size)


def natural_step(step_size=0.1, p_x=W.p_x, q_z=W.q_z, p_z_given_x=W.p_z_given_x, q_x_given_z=W.q_x_given_z):
    return ali.natural_step(
        p_z_given_x.log(), q_x_given_z.log(), SimpleNamespace(p_x=p_x, q_z=q_z), ali.LOSSES["swapped"], step_size
    )


VALUES = {  # of which nothing follows, or something false
    "entropy of counts in a table": lambda: divergences.entropy(5 * P),
    "entropy of rows of counts": lambda: divergences.entropy(2 * W.p_z_given_x, 1),
    "p(z|x) from less than nothing": lambda: joint_kl.given_x(-W.p_xz),
    "cells of a Gaussian nowhere": lambda: joint_kl.gaussian_cells(LINE["x"], math.inf, 1.0),
    "cells of a Gaussian everywhere": lambda: joint_kl.gaussian_cells(LINE["x"], 0.0, EYE[0, 0] * math.inf),
    "p(z|x) from a table with two parts of a code": lambda: joint_kl.given_x(torch.full((2, 2, 2), 1 / 8)),
    "gap of tables with two parts of a code": lambda: joint_kl.gap(*[torch.full((2, 4, 2), 1 / 16)] * 2),
    "js_gap of tables with two parts of a code": lambda: joint_kl.js_gap(*[torch.full((2, 4, 2), 1 / 16)] * 2),
    "fit_forward on a grid with NaN": lambda: joint_kl.fit_forward(X[:, 0] * math.nan, torch.full((N,), 1 / N)),
    "smoothed_kl of infinite width": lambda: joint_kl.smoothed_kl(X, math.inf),
    "precision given a decoder of NaN": lambda: joint_kl.posterior_precision(X * math.nan, 1.0),
    "joint_kl of rows that only together sum to 1": lambda: em.joint_kl(
        torch.tensor([0.5, 0.5]), torch.tensor([[1.5, 0.0], [0.25, 0.25]]), torch.full((2, 2), 0.25)
    ),
    "log_likelihood of no points": lambda: em.log_likelihood(X[:0]),
    "gaussian_m_step of NaN": lambda: em.gaussian_m_step(X * math.nan, normal(N, 2).softmax(1)),
    "gaussian_m_step of infinity": lambda: em.gaussian_m_step(X * math.inf, normal(N, 2).softmax(1)),
    "saturating_loss of no logits": lambda: gan.saturating_loss(X[:0]),
    "non_saturating_loss of no logits": lambda: gan.non_saturating_loss(X[:0]),
    "kl_loss of no logits": lambda: gan.kl_loss(X[:0]),
    "fit_reverse, -2 steps": lambda: joint_kl.fit_reverse(torch.linspace(-9, 9, 5).double(), P, 0.0, 2.5, steps=-2),
    "k_means, half a step": lambda: em.k_means(X, X[:2], 0.5),
    "k_means, -2 steps": lambda: em.k_means(X, X[:2], -2),
    "expectation of a table": lambda: vae.expectation(lambda z, noise: z[:, None] ** 2, 0.0, 1.0),
    "expectation of two functions": lambda: vae.expectation(lambda z, noise: torch.stack([z, z]), 0.0, 1.0),
    "score, a column of deviations": lambda: vae.score(torch.sin, normal(4), normal(4), torch.ones(4, 1)),
    "expectation, std -1": lambda: vae.expectation(lambda z, noise: z, 0.0, -1.0),
    "spectrum of square pictures, as many as they have rows": lambda: vae.spectrum(torch.rand(8, 8, 8)),
    "spectrum of NaN": lambda: vae.spectrum(X * NAN),
    "linear terms, variance -1": lambda: vae.linear_terms(EYE, EYE, -EYE[0] - 1, EYE),
    "gradient in a table of counts": lambda: gan.gradient(torch.sum, 5 * P),
    "joints, D of 2": lambda: gan.joints(P, Q, 2 + OLD),
    "joints, D of -1": lambda: gan.joints(P, Q, -OLD),
    "generator_problem, D of 2": lambda: regularized_gan.generator_problem(P, Q, 2 + OLD, 1.0),
    "halving factor, ratio -1": lambda: regularized_gan.halving_factor(-P / Q, P),
    "halving factor, ratio of no q": lambda: regularized_gan.halving_factor(0.2 * P / Q, P),
    "proximal step of tables": lambda: regularized_gan.proximal_step(Q.log(), P, 1.0),
    "proximal step from a table": lambda: regularized_gan.proximal_step(Q, P.log(), 1.0),
    "proximal step, one number for all": lambda: regularized_gan.proximal_step(Q.log(), ZERO[:1], 1.0),
    "proximal step, a weight for every value": lambda: regularized_gan.proximal_step(Q.log(), P.log(), 1 + P),
    "orbit, weights of games along the values": lambda: regularized_gan.orbit(Q.log().expand(5, -1), P.log(), 1 + P, 2),
    "flow, a weight for every number": lambda: regularized_gan.flow(X, X, 1 + X[0], 0.1),
    "fresh phase, one draw for each row": lambda: regularized_gan.fresh_phase(GAN, OPTS, PAIR["x"], NOISE, 1.0, 2),
    "recorded phase, one draw for each row": lambda: regularized_gan.recorded_phase(
        GAN, OPTS, PAIR["x"], NOISE, 1.0, 2
    ),
    "phase without an answer": lambda: regularized_gan.phase(WGAN_PLAYERS, {}, X[:0], NOISE[:0], NOISE[:0], 1.0),
    "orbit of tables": lambda: regularized_gan.orbit(Q.log(), P, 1.0, 2),
    "frechet without columns": lambda: evaluation.frechet(X[:, :0], X[:, :0]),
    "expected_modes of a table": lambda: evaluation.expected_modes(P[:4].view(2, 2), 5),
    "frechet_bias, 2.5 rows": lambda: evaluation.frechet_bias(EYE, EYE, 2.5),
    "frechet_bias, 2.5 rows of the other": lambda: evaluation.frechet_bias(EYE, EYE, 10, 2.5),
    "critic's smallest game, step size -0.1": lambda: wgan_gp.dirac(X, X, -0.1, 1.0, wgan_gp.two_sided_pull),
    "critic's smallest game, weight -1": lambda: wgan_gp.dirac(X, X, 0.1, -1.0, wgan_gp.two_sided_pull),
    "line_simultaneous, step size -0.1": lambda: age.line_simultaneous(EYE[0, 0], EYE[0, 0], 1.0, -0.1),
    "growth of AGE, step size -0.1": lambda: age.growth(torch.tensor(1.0).double(), -0.1),
    "growth, step size -0.1": lambda: gan.growth(gan.dirac_alternating, -0.1, 0.0),
    "growth, penalty -1": lambda: gan.growth(gan.dirac_alternating, 0.5, -1.0),
    "dirac_simultaneous, penalty -1": lambda: gan.dirac_simultaneous(X, X, 0.5, -1.0),
    "dirac_alternating, penalty NaN": lambda: gan.dirac_alternating(X, X, 0.5, NAN),
    "discriminator_push, penalty -1": lambda: gan.discriminator_push(X, X, -1.0),
    "conditional discriminator of two logits per row": lambda: conditional_gan.networks(0, [K, D], [D, 2], EYE, EYE),
    "local factors, step size -0.1": lambda: ali.local_factors(W.p_xz, ali.LOSSES["swapped"], -0.1),
    "exact step of ALI, step size -0.1": lambda: ali.exact_step(
        W, W.p_z_given_x, W.q_x_given_z, ali.LOSSES["swapped"], -0.1
    ),
    "flow backwards": lambda: regularized_gan.flow(X, X, 1.0, -0.1),
    "line_simultaneous, variance 0": lambda: age.line_simultaneous(EYE[0, 0], EYE[0, 0], 0.0, 0.1),
    "exact step of ALI, a probability of 0": lambda: exact_step(p_z_given_x=SURE),
    "natural step of ALI, a probability of 0": lambda: natural_step(p_z_given_x=SURE),
    "local factors of counts": lambda: ali.local_factors(2 * W.p_xz, ali.LOSSES["swapped"], 0.1),
    "correlations of counts": lambda: ali.correlations(2 * W.p_xz),
    "correlations, infinite": lambda: ali.correlations(W.p_xz / 0),
    "step_kl, a square of -1": lambda: diffusion.step_kl(-EYE[0, 0], EYE[0, 0], EYE[0, 0]),
    "down from 2": lambda: diffusion.down(5, 2.0),
    "down from 0": lambda: diffusion.down(5, 0.0),
    "bound, an infinite level": lambda: bits_bound(torch.zeros(1, 2).double(), 2, levels=(0.0, math.inf)),
    "bound, no levels": lambda: bits_bound(torch.zeros(1, 2).double(), 2, levels=()),
    "transposed convolution, a padding of 1.0 pixels": lambda: dcgan.transposed_size(5, 3, 2, 1.0),
    "gaussian_kl of -I": lambda: divergences.gaussian_kl(ZERO, EYE, ZERO, -EYE),
    "gaussian_kl from -I": lambda: divergences.gaussian_kl(ZERO, -EYE, ZERO, EYE),
    "gaussian_kl, indefinite": lambda: divergences.gaussian_kl(ZERO, SEMI, ZERO, EYE),
    "gaussian_kl, not symmetric": lambda: divergences.gaussian_kl(
        ZERO, EYE + torch.triu(torch.ones_like(EYE)), ZERO, EYE
    ),
    "gaussian_kl, variances for a covariance": lambda: divergences.gaussian_kl(ZERO, EYE[0], ZERO, EYE[0]),
    "gaussian_kl, NaN": lambda: divergences.gaussian_kl(ZERO, EYE * NAN, ZERO, EYE),
    "gaussian_entropy of -I": lambda: divergences.gaussian_entropy(-EYE),
    "mean_field of -I": lambda: joint_kl.mean_field(-EYE),
    "mean_field_gap, indefinite": lambda: joint_kl.mean_field_gap(-EYE),
    "posterior_precision, noise variance -1": lambda: joint_kl.posterior_precision(normal(3, 2), -1.0),
    "gaussian_cells, std -1": lambda: joint_kl.gaussian_cells(torch.linspace(-1, 1, 5), 0.0, -1.0),
    "gaussian_cells, std NaN": lambda: joint_kl.gaussian_cells(torch.linspace(-1, 1, 5), 0.0, NAN),
    "gaussian_cells, falling grid": lambda: joint_kl.gaussian_cells(torch.linspace(1, -1, 5), 0.0, 1.0),
    "gaussian_cells, uneven grid": lambda: joint_kl.gaussian_cells(torch.tensor([0.0, 1.0, 3.0]), 0.0, 1.0),
    "fit_forward of counts": lambda: joint_kl.fit_forward(torch.arange(3).double(), torch.ones(3).double()),
    "fit_forward of a grid that leaves out 0.0005": lambda: joint_kl.fit_forward(LINE["x"], 0.9995 * P),
    "fit_forward of a negative probability": lambda: joint_kl.fit_forward(
        torch.arange(3).double(), torch.tensor([1.5, -0.7, 0.2]).double()
    ),
    "gap of counts": lambda: joint_kl.gap(100 * W.p_xz, W.q_xz),
    "gap of counts of the model": lambda: joint_kl.gap(W.p_xz, 100 * W.q_xz),
    "js_gap of counts": lambda: joint_kl.js_gap(100 * W.p_xz, 100 * W.q_xz),
    "elbo of a joint as the encoder": lambda: joint_kl.elbo(W.p_xz, W.q_xz),
    "mean_field of a stack": lambda: joint_kl.mean_field(EYE.expand(3, 2, 2)),
    "mean_field_gap of a stack": lambda: joint_kl.mean_field_gap(EYE.expand(3, 2, 2)),
    "posterior_precision, a variance per pixel": lambda: joint_kl.posterior_precision(normal(2, 2), FALLING),
    "fit_reverse that starts off the grid": lambda: joint_kl.fit_reverse(
        torch.linspace(-5, 5, 101).double(), table(101), 30.0, 1.0, steps=2
    ),
    "fit_reverse that leaves the grid": lambda: joint_kl.fit_reverse(
        torch.linspace(-5, 5, 101).double(), table(101), 0.0, 20.0, steps=2
    ),
    "fit_reverse, std 0": lambda: joint_kl.fit_reverse(torch.linspace(-1, 1, 5).double(), P, 0.0, 0.0),
    "fit_reverse, p 0 somewhere": lambda: joint_kl.fit_reverse(
        torch.linspace(-1, 1, 3).double(), torch.tensor([0.5, 0.5, 0.0]).double(), 0.0, 1.0, steps=1
    ),
    "fit_reverse, -1 steps": lambda: joint_kl.fit_reverse(LINE["x"], P, 0.0, 0.3, steps=-1),
    "smoothed_kl, h -1": lambda: joint_kl.smoothed_kl(normal(3), -1.0),
    "smoothed_kl of tables": lambda: joint_kl.smoothed_kl(normal(2, 2, 2), 0.01),
    "smoothed_kl of NaN": lambda: joint_kl.smoothed_kl(NAN * normal(3), 0.01),
    "gaussian_em, -1 steps": lambda: em.gaussian_em(X, table(2), normal(2, D), covariances(2, D), -1),
    "k_means, -1 steps": lambda: em.k_means(X, normal(2, D), -1),
    "gaussian_m_step, a point that nobody holds": lambda: em.gaussian_m_step(X, WITHOUT_ONE),
    "bernoulli_m_step, a point that nobody holds": lambda: em.bernoulli_m_step(X.round(), WITHOUT_ONE),
    "bound, a point that nobody holds": lambda: em.bound(WITHOUT_ONE, normal(N, 2)),
    "gan.gradient at what is no distribution": lambda: gan.gradient(lambda q: q[0], torch.tensor([5.0, 5.0, 10.0])),
    "gan.gradient at a 0": lambda: gan.gradient(lambda q: q[0], torch.tensor([0.0, 0.5, 0.5])),
    "gan.penalized_step, weight -1": lambda: gan.penalized_step({}, {}, X, NOISE, -1.0),
    "conditional penalized_step, weight -1": lambda: conditional_gan.penalized_step({}, {}, (X, Y), NOISE, -1.0),
    "conditional VAE, weight -1": lambda: conditional_vae.step({}, {}, (X, Y), NOISE, kl_weight=-1.0),
    "critic of evaluation, weight -1": lambda: evaluation.critic_step({}, {}, (X, X), None, -1.0),
    "critic_step, weight -1": lambda: wgan_gp.critic_step(WGAN["critic"], None, NOISE, NOISE, -1.0),
    "piecewise_gradient, weight -1": lambda: wgan_gp.piecewise_gradient(WGAN["critic"], NOISE, NOISE, P[:4], -1.0),
    "fresh_step, weight -1": lambda: regularized_gan.fresh_step({}, {}, X, NOISE, -1.0),
    "anchored_step, weight -1": lambda: regularized_gan.anchored_step({}, {}, X, NOISE, -1.0),
    "phase, weight -1": lambda: regularized_gan.phase({}, {}, X, NOISE, NOISE, -1.0),
    "forces, weight -1": lambda: regularized_gan.forces(WGAN_PLAYERS, NOISE, NOISE, -1.0),
    "AGE, weight -1": lambda: age.step({}, {}, X, normal(N, 3, 3), data_weight=-1.0),
    "AGE's joint step, weight NaN": lambda: age.joint_step({}, {}, X, normal(N, 2, 3), value_weight=math.nan),
    "gaussian_log_joint, covariance -I": lambda: em.gaussian_log_joint(X[:, :2], table(1), ZERO[None], -EYE[None]),
    "gaussian_log_joint, covariance 0": lambda: em.gaussian_log_joint(X[:, :2], table(1), ZERO[None], 0 * EYE[None]),
    "e_step of a point that no component makes": lambda: em.e_step(torch.tensor([[0.0, 0.0], [-math.inf, -math.inf]])),
    "gaussian_m_step, an empty component": lambda: em.gaussian_m_step(X, torch.eye(2).double()[[0] * N]),
    "gaussian_m_step, floor -1": lambda: em.gaussian_m_step(X, normal(N, 2).softmax(1), floor=-1.0),
    "gaussian_m_step of counts": lambda: em.gaussian_m_step(X, torch.ones(N, 2).double()),
    "bernoulli_m_step of counts": lambda: em.bernoulli_m_step(X.round(), torch.ones(N, 2).double()),
    "bernoulli_m_step of truth values": lambda: em.bernoulli_m_step(X > 0.5, normal(N, 2).softmax(1)),
    "bernoulli_m_step of whole numbers": lambda: em.bernoulli_m_step((X > 0.5).long(), normal(N, 2).softmax(1)),
    "bernoulli_log_joint of truth values": lambda: em.bernoulli_log_joint(X > 0.5, table(2), normal(2, D).sigmoid()),
    "gaussian_m_step of whole numbers": lambda: em.gaussian_m_step((9 * X).long(), normal(N, 2).softmax(1)),
    "bernoulli_m_step of gray values": lambda: em.bernoulli_m_step(X, normal(N, 2).softmax(1)),
    "bound of counts": lambda: em.bound(10 * W.p_z_given_x, W.q_xz.log()),
    "bernoulli_m_step, an empty component": lambda: em.bernoulli_m_step(X.round(), torch.eye(2).double()[[0] * N]),
    "bernoulli_m_step, floor 0.7": lambda: em.bernoulli_m_step(X.round(), normal(N, 2).softmax(1), floor=0.7),
    "bernoulli_log_joint of gray values": lambda: em.bernoulli_log_joint(
        X.round() / 2, table(2), normal(2, D).sigmoid()
    ),
    "bernoulli_log_joint, a mean of 2": lambda: em.bernoulli_log_joint(X.round(), table(2), 2 + 0 * normal(2, D)),
    "bernoulli_log_joint, means of another width": lambda: em.bernoulli_log_joint(
        X.round(), table(2), normal(2, D + 1).sigmoid()
    ),
    "nearest of NaN": lambda: em.nearest(X * NAN, normal(2, D)),
    "nearest to NaN": lambda: em.nearest(X, normal(2, D) * NAN),
    "k_means of infinity": lambda: em.k_means(X / 0, normal(2, D), 1),
    "log_weights, one noise per row": lambda: vae.log_weights(VAE, X, NOISE),
    "log_weights, one row of noise": lambda: vae.log_weights(VAE, X, normal(5, 1, K)),
    "score, std -1": lambda: vae.score(torch.sin, normal(5), normal(5), -1.0),
    "importance_bound, samples 0": lambda: vae.importance_bound(normal(4, 2), 0),
    "importance_bound, samples -1": lambda: vae.importance_bound(normal(4, 2), -1),
    "linear_log_likelihood, noise variance -1": lambda: vae.linear_log_likelihood(EYE, EYE, -3.0),
    "class means, label -1": lambda: conditional_vae.elbo_terms(CLASS_MEANS, X, Y - 1, NOISE),
    "class means, label 3": lambda: conditional_vae.decode(CLASS_MEANS, NOISE, Y + 1),
    "linear_log_likelihood, cov that is not square": lambda: vae.linear_log_likelihood(normal(4, 3), normal(4, 2), 1.0),
    "linear_log_likelihood, negative cov": lambda: vae.linear_log_likelihood(-covariances(D), normal(D, K), 1.0),
    "linear_terms, negative cov": lambda: vae.linear_terms(-covariances(D), normal(K, D), table(K), normal(D, K)),
    "linear_elbo, noise variance -1": lambda: vae.linear_elbo(
        covariances(D), normal(K, D), table(K), normal(D, K), -1.0
    ),
    "linear_log_likelihood, one code as a vector": lambda: vae.linear_log_likelihood(EYE, FALLING, 1.0),
    "linear_terms, one code as a vector": lambda: vae.linear_terms(EYE, normal(1, 2), table(1), FALLING),
    "linear_terms, an encoder that is a vector": lambda: vae.linear_terms(EYE, FALLING, table(2), normal(2, 1)),
    "linear_elbo, one code as a vector": lambda: vae.linear_elbo(EYE, normal(1, 2), table(1), FALLING, 1.0),
    "rates, a negative eigenvalue": lambda: vae.rates(FALLING - 1, 1.0),
    "rates, noise variance 0": lambda: vae.rates(FALLING, 0.0),
    "rates, noise variance -1": lambda: vae.rates(FALLING, -1.0),
    "expected_importance_bound, an encoder with sum 3": lambda: vae.expected_importance_bound(
        3 * W.p_z_given_x, W.q_xz, 2
    ),
    "expected_importance_bound, a joint with sum 2": lambda: vae.expected_importance_bound(
        W.p_z_given_x, 2 * W.q_xz, 2
    ),
    "expected_importance_bound, samples 0": lambda: vae.expected_importance_bound(W.p_z_given_x, W.q_xz, 0),
    "axis_angle of a collapsed column": lambda: vae.axis_angle(EYE * FALLING[:, None].sub(0.5), EYE),
    "axis_angle to a column of zeros": lambda: vae.axis_angle(EYE, EYE * FALLING.sub(0.5)),
    "spectrum of no rows": lambda: vae.spectrum(X[:0]),
    "linear_log_likelihood, one column of centers": lambda: conditional_vae.linear_log_likelihood(
        X, Y, normal(D, K), normal(3, 1), 1.0
    ),
    "linear_log_likelihood, label -1": lambda: conditional_vae.linear_log_likelihood(
        X, Y - 1, normal(D, K), normal(3, D), 1.0
    ),
    "within_covariance, label -1": lambda: conditional_vae.within_covariance(X, Y - 1, 3),
    "conditional GAN, label -1": lambda: conditional_gan.sample(CONDITIONAL, NOISE, Y - 1),
    "conditional GAN, labels that are floats": lambda: conditional_gan.sample(CONDITIONAL, NOISE, Y.double()),
    "petals, class 99": lambda: aae.petals(normal(N, 3), torch.full((N,), 99)),
    "petals, class -1": lambda: aae.petals(normal(N, 3), Y - 1),
    "petals, classes that are floats": lambda: aae.petals(normal(N, 3), Y.double()),
    "swiss roll, class 10": lambda: aae.swiss_roll(normal(N, 3), torch.full((N,), 10)),
    "AAE's discriminator, class -1": lambda: LABELED_AAE["discriminator"](normal(N, 2).float(), Y - 1),
    "AAE's discriminator, one class for all": lambda: LABELED_AAE["discriminator"](normal(N, 2).float(), Y[:1]),
    "signed, floats 0..255": lambda: dcgan.signed(255 * X),
    "signed, NaN": lambda: dcgan.signed(X * NAN),
    "signed, already signed": lambda: dcgan.signed(2 * X - 1),
    "analogy of other codes": lambda: dcgan.analogy(normal(3, 4), normal(3, 1), normal(3, 4)),
    "generator with one row of noise": lambda: ALI["players"]["generator"](NOISE, NOISE[:1]),
    "autoencoder step, two draws": lambda: ali.autoencoder_step(BIGAN, OPTS, PAIR["x"], PAIR["noise"][:, :2]),
    "autoencoder step, rebuilt with one number": lambda: ali.autoencoder_step(
        ali.assemble(BIGAN["players"]["encoder"], nn.Linear(2, 1).double(), nn.Identity()),
        OPTS,
        PAIR["x"],
        PAIR["noise"],
    ),
    "discriminator of side 20": lambda: conditional_gan.ProjectionDiscriminator(conditional_gan.one_hot(3), 20),
    "autoencoder step, other rows": lambda: ali.autoencoder_step(BIGAN, {}, PAIR["x"], PAIR["noise"][:1]),
    "proximal step, a value without data": lambda: regularized_gan.proximal_step(
        table(3).log(), torch.tensor([0.5, 0.5, 0.0]).double().log(), 1.0
    ),
    "generator's answer to D = 0": lambda: regularized_gan.answer(Q, 0 * OLD, 1.0),
    "generator's answer to D < 0": lambda: regularized_gan.answer(Q, -OLD, 1.0),
    "variance_ratios, samples of no covariance": lambda: age.variance_ratios(EYE, EYE + 5 * EYE.flip(0)),
    "variance_ratios, not symmetric": lambda: age.variance_ratios(EYE, EYE + torch.triu(torch.ones_like(EYE), 1)),
    "variance_ratios, NaN": lambda: age.variance_ratios(EYE, EYE * NAN),
    "linear_value, samples of no covariance": lambda: age.linear_value(EYE, EYE, EYE + 5 * EYE.flip(0), ZERO),
    "line_value, variance -1": lambda: age.line_value(EYE[0, 0], EYE[0, 0], -EYE[0, 0]),
    "AGE, noise of other rows": lambda: age.step(age.networks(0), {}, normal(8, 2).float(), normal(5, 3, 3).float()),
    "AGE, both rebuild, noise of other rows": lambda: age.joint_step(
        age.networks(0), {}, normal(8, 2).float(), normal(5, 2, 3).float()
    ),
    "fisher_product, a value without data": lambda: ali.fisher_product(SEMI.clamp_min(0), EYE, EYE),
    "correlations, a code that nothing has": lambda: ali.correlations(SEMI.clamp_min(0)),
    "neighborhoods, squares overflow": lambda: neighbors.neighborhoods(normal(9, 2) * 1e200, normal(9, 2) * 1e200),
    "neighborhoods in float32, squares overflow": lambda: neighbors.neighborhoods(
        1e20 * normal(9, 2).float(), 1e20 * normal(9, 2).float()
    ),
    "kid, the kernel overflows": lambda: evaluation.kid(1e120 * X, 1e120 * X),
    "frechet, squares overflow": lambda: evaluation.frechet(1e160 * X[:2], 1e160 * X[:2]),
    "parzen, the bandwidth's square is 0": lambda: evaluation.parzen(X, X, 1e-165),
    "SSIM without channels": lambda: similarity.ssim(torch.zeros(2, 0, 16, 16), torch.zeros(2, 0, 16, 16)),
    "critic_gap, two scores": lambda: evaluation.critic_gap(nn.Linear(D, 2).double(), X, X),
    "slope_penalty, two scores": lambda: evaluation.slope_penalty(nn.Linear(D, 2).double(), X, X, X[:, 0]),
    "slope_penalty, one score for all": lambda: evaluation.slope_penalty(lambda x: x.sum(), X, X, X[:, 0]),
    "critic_bound, two logits": lambda: evaluation.critic_bound(nn.Linear(D, 2).double(), None, [], X, X),
    "slope_penalty of no rows": lambda: evaluation.slope_penalty(nn.Linear(D, 1).double(), X[:0], X[:0], X[:0, 0]),
    "collapsed, quality NaN": lambda: regularized_gan.collapsed([5, 5], [1.0, float("nan")], 1),
    "collapsed, modes NaN": lambda: regularized_gan.collapsed([5, float("nan")], [1.0, 1.0], 1),
    "collapsed, other lengths": lambda: regularized_gan.collapsed([5, 5, 5], [1.0, 1.0], 1),
    "collapsed, nothing": lambda: regularized_gan.collapsed([], [], 1),
    "collapsed, every 0 steps": lambda: regularized_gan.collapsed([5, 5], [1.0, 1.0], 0),
    "collapsed, patience 0": lambda: regularized_gan.collapsed([5, 5], [1.0, 1.0], 1, patience=0),
    "generator's problem of weight 0": lambda: regularized_gan.generator_problem(P, Q, OLD, 0.0),
    "generator's answer of weight 0": lambda: regularized_gan.answer(Q, OLD, 0.0),
    "proximal step of weight -1": lambda: regularized_gan.proximal_step(Q.log(), P.log(), -1.0),
    "proximal step, one weight of two 0": lambda: regularized_gan.proximal_step(
        Q.log().expand(2, -1), P.log(), torch.tensor([[1.0], [0.0]])
    ),
    "orbit of -1 rounds": lambda: regularized_gan.orbit(Q.log(), P.log(), 1.0, -1),
    "local factor of weight 0": lambda: regularized_gan.local_factor(0.0),
    "closed form after -1 rounds": lambda: regularized_gan.closed_form(P, Q, -1),
    "contraction of weight 0": lambda: regularized_gan.contraction(P.log() - Q.log(), 0.0),
    "implied width of penalty 0": lambda: regularized_gan.implied_width(0.0, 10),
    "implied width of no numbers": lambda: regularized_gan.implied_width(1.0, 0),
    "flow of weight 0": lambda: regularized_gan.flow(NOISE, NOISE, 0.0, 0.1),
    "signed, bits": lambda: dcgan.signed(X > 0.5),
    "signed, whole numbers": lambda: dcgan.signed(torch.tensor([300, -5])),
    "binarize, whole numbers": lambda: stream.binarize(torch.tensor([0, 255]), torch.Generator()),
    "transposed convolution, nothing left": lambda: dcgan.transposed_size(1, 2, 2, 5),
    "transposed convolution, half a pixel": lambda: dcgan.transposed_size(4.5, 4, 2, 1),
    "transposed convolution, a padding of half a pixel": lambda: dcgan.transposed_size(5, 3, 2, 0.5),
    "convolution, a padding of half a pixel": lambda: dcgan.conv_size(5, 3, 2, 0.5),
    "convolution, a stride of a pixel and a half": lambda: dcgan.conv_size(5, 3, 1.5, 1),
    "R1 of three scores": lambda: gan.r1(nn.Linear(2, 3), torch.ones(4, 2)),
    "R1 of a pair under BatchNorm": lambda: conditional_gan.penalized_step(
        {"generator": CONDITIONAL["generator"], "discriminator": nn.Sequential(nn.BatchNorm1d(D))},
        {},
        (X, Y),
        NOISE,
        1.0,
    ),
    "best D against a negative density": lambda: gan.best_discriminator(torch.tensor([-0.5, 1.5]), torch.ones(2) / 2),
    "best logit against a negative density": lambda: gan.best_logit(torch.ones(2) / 2, torch.tensor([-0.5, 1.5])),
    "label_kl of counts": lambda: gan.label_kl(30 * P, 30 * Q, OLD),
    "expected of counts": lambda: gan.expected(gan.kl_loss, 30 * P, normal(5)),
    "label_kl of counts of pairs": lambda: conditional_gan.label_kl(30 * JOINTS[0], 30 * JOINTS[1], JOINTS[2]),
    "within_classes of counts": lambda: conditional_gan.within_classes(100 * JOINTS[0], JOINTS[1]),
    "blind generator of counts": lambda: conditional_gan.blind_generator(100 * JOINTS[0]),
    "parts of the logit of counts": lambda: conditional_gan.logit_parts(100 * JOINTS[0], JOINTS[1]),
    "gradient with counts of classes": lambda: conditional_gan.conditional_gradient(
        torch.sum, 100 * table(4), CONDITIONALS
    ),
    "gradient with counts of points": lambda: conditional_gan.conditional_gradient(
        torch.sum, table(4), 5 * CONDITIONALS
    ),
    "gradient at a share below 0": lambda: conditional_gan.conditional_gradient(
        torch.sum, table(2), torch.tensor([[-0.5, 0.5], [1.5, 0.5]]).double()
    ),
    "gradient of a class without points": lambda: conditional_gan.conditional_gradient(
        torch.sum, table(2), torch.tensor([[0.0, 0.5], [0.0, 0.5]]).double()
    ),
    "gradient of a GAN with counts": lambda: gan.gradient(torch.sum, 5 * P),
    "gradient of an encoder with counts": lambda: ali.encoder_gradient(torch.sum, W.p_x, 5 * W.p_z_given_x),
    "R1 of weight NaN": lambda: gan.penalized_step(GAN, OPTS, normal(N, 2), normal(N, 2), NAN),
    "R1 of weight -1": lambda: gan.penalized_step(GAN, OPTS, normal(N, 2), normal(N, 2), -1.0),
    "R1 of a pair, weight NaN": lambda: conditional_gan.penalized_step(CONDITIONAL, OPTS, (X, Y), NOISE, NAN),
    "R1 of a pair, weight -1": lambda: conditional_gan.penalized_step(CONDITIONAL, OPTS, (X, Y), NOISE, -1.0),
    "WGAN-GP of weight NaN": lambda: wgan_gp.step(WGAN, OPTS, normal(N, 2), normal(N, 2, 2), 1, NAN),
    "WGAN-GP in one sweep of weight -1": lambda: wgan_gp.piecewise_step(
        WGAN, OPTS, normal(N, 2), normal(N, 2, 2), 1, -1.0
    ),
    "independent critic of weight NaN": lambda: evaluation.critic_step(WGAN, OPTS, (NOISE, CODE), None, NAN),
    "tied to the generator before, weight -1": lambda: regularized_gan.fresh_step(
        GAN, OPTS, NOISE, normal(N, 1, 2), -1.0
    ),
    "tied to an average, weight NaN": lambda: regularized_gan.anchored_step(GAN, OPTS, NOISE, NOISE, NAN),
    "tied over a phase, weight -1": lambda: regularized_gan.recorded_phase(
        GAN, OPTS, normal(5 * N, 2), normal(5 * N, 2, 2), -1.0
    ),
    "GAN's step on no rows": lambda: gan.step(GAN, OPTS, NOISE[:0], NOISE[:0]),
    "conditional GAN's step on no rows": lambda: conditional_gan.step(CONDITIONAL, OPTS, (X[:0], Y[:0]), NOISE[:0]),
    "ALI's step on no rows": lambda: ali.step(ALI, OPTS, normal(0, 2), normal(0, 3, 2)),
    "ALI, noise of width -1": lambda: ali.toy_networks(0, noise_std=-1.0),
    "ALI, noise of width NaN": lambda: ali.toy_networks(0, noise_std=NAN),
    "statistics of no codes": lambda: dcgan.measure_statistics(nn.BatchNorm1d(K), NOISE[:0].float()),
    "a fold of a 5x5 kernel": lambda: dcgan.fold(torch.ones(1, 1, 5, 5)),
    "image networks without maps": lambda: conditional_gan.image_networks(0, K, normal(3, 3), normal(3, 3), width=0),
    "discriminator of side 14, a picture of side 16": lambda: conditional_gan.ProjectionDiscriminator(
        conditional_gan.one_hot(3), side=14, width=4
    )(torch.zeros(1, 1, 16, 16), torch.tensor([0])),
    "convolution, half a pixel": lambda: dcgan.conv_size(4.5, 4, 2, 1),
    "parts of the logit, an x of one side": lambda: conditional_gan.logit_parts(
        torch.eye(2).double() / 2, torch.tensor([[0.5, 0.5], [0.0, 0.0]]).double()
    ),
    "parts of the logit, a pair of neither side": lambda: conditional_gan.logit_parts(
        torch.eye(2).double() / 2, torch.eye(2).double() / 2
    ),
    "convolution, kernel too large": lambda: dcgan.conv_size(2, 5, 1, 1),
    "convolution, stride 0": lambda: dcgan.conv_size(8, 4, 0, 1),
    "great circle from 0": lambda: dcgan.great_circle(torch.zeros(3), torch.ones(3), 0.5),
    "great circle to NaN": lambda: dcgan.great_circle(NOISE, NAN * NOISE, 0.5),
    "great circle in bfloat16": lambda: dcgan.great_circle(NOISE.bfloat16(), CODE.bfloat16(), 0.5),
    "great circle to single numbers": lambda: dcgan.great_circle(NOISE, NOISE[:, :1], 0.5),
    "great circle at numbers for moments": lambda: dcgan.great_circle(NOISE[0], CODE[0], torch.linspace(0, 1, K)),
    "line at numbers for moments": lambda: dcgan.linear_walk(NOISE[0], CODE[0], torch.linspace(0, 1, K)),
    "line to single numbers": lambda: dcgan.linear_walk(NOISE, NOISE[:, :1], 0.5),
    "statistics of NaN": lambda: dcgan.measure_statistics(nn.BatchNorm1d(K), NAN * NOISE.float()),
    "moving average, angle NaN": lambda: dcgan.average_gain(0.5, NAN),
    "upsampling of a picture without a batch": lambda: dcgan.UpsampleConv(1, 1)(torch.ones(1, 4, 4)),
    "folded upsampling of a picture without a batch": lambda: dcgan.FoldedUpsampleConv(1, 1)(torch.ones(1, 4, 4)),
    "great circle to the opposite": lambda: dcgan.great_circle(NOISE, -NOISE, 0.5),
    "great circle to nearly the opposite": lambda: dcgan.great_circle(
        NOISE.float(), -NOISE.float() - 1e-4 * NOISE.float().flip(0), 0.5
    ),
    "moving average, decay 1": lambda: dcgan.average_gain(1.0, torch.tensor(0.1)),
    "moving average, decay -0.1": lambda: dcgan.average_gain(-0.1, torch.tensor(0.1)),
    "judge of one class": lambda: conditional_gan.measured_accuracy(0.5, 0.9, 1),
    "judge of two classes and a half": lambda: conditional_gan.measured_accuracy(0.5, 0.9, 2.5),
    "judge of NaN classes": lambda: conditional_gan.measured_accuracy(0.5, 0.9, NAN),
    "judge, accuracy in percent": lambda: conditional_gan.measured_accuracy(50.0, 0.9, 10),
    "judge, share -0.1": lambda: conditional_gan.measured_accuracy(0.5, -0.1, 10),
    **{
        f"{name} of shape {shape}": lambda name=name, shape=shape: getattr(conditional_gan, name)(
            *(table(*shape, seed=seed) for seed in range(1 if name == "blind_generator" else 2))
        )
        for name in ("unseen_by_blind", "blind_generator", "logit_parts", "within_classes")
        for shape in ((2, 3, 2), (6,))
    },
    "blind generator of disjoint classes": lambda: conditional_gan.blind_generator(torch.eye(2).double() / 2),
    "local factors of a copy": lambda: ali.local_factors(torch.eye(2).double() / 2, ali.LOSSES["joint KL"], 1.0),
    "local factors, step size 1e308": lambda: ali.local_factors(W.p_xz, ali.LOSSES["joint KL"], 1.7e308),
    "growth, step size 1e300": lambda: gan.growth(gan.dirac_alternating, 1e300, 1e300),
    "growth of AGE, step size infinite": lambda: age.growth(torch.tensor(1.0).double(), math.inf),
    "MADE without hidden units": lambda: autoregressive.networks(0, 8, 0),
    "PixelCNN without layers": lambda: autoregressive.pixelcnn_networks(0, 8, 4, 0),
    "a step on gray values": lambda: autoregressive.step(MADE, {}, X[:, [0, 1, 2, 0]], None),
    "bits 0 and 255": lambda: autoregressive.log_likelihood(MADE["model"], 255 * X[:, [0, 1, 2, 0]].round()),
    "sample by normal numbers": lambda: autoregressive.sample(MADE["model"], normal(N, 4)),
    "sample of three pixels": lambda: autoregressive.sample(MADE["model"], X),
    "cached sample by normal numbers": lambda: autoregressive.cached_sample(MADE["model"], normal(N, 4)),
    "cached sample by NaN": lambda: autoregressive.cached_sample(MADE["model"], NAN * normal(N, 4)),
    "a plain PixelCNN without layers": lambda: autoregressive.PlainPixelCNN(5, layers=0),
    "a plain PixelCNN, kernel 4": lambda: autoregressive.PlainPixelCNN(5, kernel=4),
    "a gated PixelCNN, kernel 4": lambda: autoregressive.GatedPixelCNN(5, kernel=4),
    "any order, nothing unseen": lambda: autoregressive.any_order_loss(ANY_ORDER, X.round(), PLACE < 3),
    "any order, gray values": lambda: autoregressive.any_order_loss(ANY_ORDER, X, PLACE < 1),
    "any order, seen in 0 and 1": lambda: autoregressive.any_order_loss(ANY_ORDER, X.round(), (PLACE < 1).int()),
    "order likelihood, places that repeat": lambda: autoregressive.order_log_likelihood(
        ANY_ORDER, X.round(), 0 * PLACE
    ),
    "unmask, places that repeat": lambda: autoregressive.unmask(ANY_ORDER, X, 0 * PLACE, 2),
    "unmask by NaN": lambda: autoregressive.unmask(ANY_ORDER, X * NAN, PLACE, 2),
    "unmask by numbers above 1": lambda: autoregressive.unmask(ANY_ORDER, 2 + X, PLACE, 2),
    "entropy of coordinate -1": lambda: autoregressive.marginal_entropy(table(2, 2, 2), [-1]),
    "entropy of coordinate 7": lambda: autoregressive.marginal_entropy(table(2, 2, 2), [7]),
    "squared error, strength infinite": lambda: alpha_gan.squared_error_scale(0.5, math.inf),
    "squared error, strength NaN": lambda: alpha_gan.squared_error_scale(0.5, math.nan),
    "alpha-GAN, weight NaN": lambda: alpha_gan.step(ALPHA, {}, X, normal(N, 2, K), math.nan),
    "alpha-GAN with two discriminators, weight -1": lambda: alpha_gan.separate_step(
        ALPHA, {}, X, normal(N, 2, K), -1.0
    ),
    "alpha-GAN, rows with a further axis": lambda: alpha_gan.step(ALPHA, {}, X[:, None], normal(N, 2, K)),
    "conditionals of three values": lambda: autoregressive.conditionals(table(3, 3), (0, 1)),
    "prefix joints of three values": lambda: autoregressive.prefix_joints(table(3, 3), table(3, 3)),
    "scheduled sampling of three coordinates": lambda: autoregressive.scheduled_optimum(table(2, 2, 2), 0.5),
    "a PixelCNN of transposed pictures": lambda: autoregressive.GatedPixelCNN((2, 3), 4, 1)(torch.zeros(5, 3, 2)),
    "alpha-GAN, pictures rebuilt": lambda: alpha_gan.rebuilt(ALPHA, X.view(N, 1, 1, D), NOISE),
    "chain of data with variance -20": lambda: diffusion.exact_chain(ZERO[0], -20.0, BETAS),
    "moments, four variances": lambda: diffusion.moments(ZERO[0], 1 + torch.arange(4.0), BETAS),
    "exact chain, three means": lambda: diffusion.exact_chain(BETAS, 1.0, BETAS),
    "joint terms, four variances": lambda: diffusion.joint_terms(ZERO[0], 1 + torch.arange(4.0), BETAS, CHAIN),
    "betas of a path that begins in noise": lambda: diffusion.betas_of(lambda t: diffusion.even(t, reach=1.0), 4),
    "labeled denoiser, a column of times": lambda: DENOISER["denoiser"](X.float(), X[:, :1].float(), Y),
    "labeled denoiser, one time for all": lambda: DENOISER["denoiser"](X.float(), X[0, :1].float(), Y),
    "U-Net, a column of times": lambda: SMALL_UNET(PICTURES, PICTURES[:, :1], Y),
    "U-Net, one time for all": lambda: SMALL_UNET(PICTURES, PICTURES[0, :1], Y),
    "joint terms, three betas and a chain of two": lambda: diffusion.joint_terms(
        ZERO[0], 1.0, BETAS, diffusion.exact_chain(ZERO[0], 1.0, BETAS[:2])
    ),
    "bound terms, three betas and a chain of one": lambda: diffusion.bound_terms(
        ZERO[0], 1.0, BETAS, diffusion.exact_chain(ZERO[0], 1.0, BETAS[:1])
    ),
    "joint terms, a chain of one variance": lambda: diffusion.joint_terms(
        ZERO[0], 1.0, BETAS, CHAIN._replace(variance=BETAS[:1])
    ),
    "bound terms, a chain of two slopes and one variance": lambda: diffusion.bound_terms(
        ZERO[0], 1.0, BETAS[:2], diffusion.exact_chain(ZERO[0], 1.0, BETAS[:2])._replace(variance=BETAS[:1])
    ),
    "bound terms, a first variance of 0": lambda: diffusion.bound_terms(
        ZERO[0], 1.0, BETAS, CHAIN._replace(variance=BETAS * torch.tensor([0.0, 1.0, 1.0]))
    ),
    "joint of a chain of one variance": lambda: diffusion.chain_joint(CHAIN._replace(variance=BETAS[:1])),
    "betas of the straight path": lambda: diffusion.betas_of(diffusion.straight, 4),
    "betas of no step": lambda: diffusion.betas_of(diffusion.cosine, 0),
    "betas of -1 steps": lambda: diffusion.betas_of(diffusion.cosine, -1),
    "smaller variance of one step": lambda: diffusion.smaller_variance(BETAS[:1]),
    "labeled step, one row of noise": lambda: diffusion.labeled_step(
        DENOISER, {}, (X.float(), Y), X[:1].float(), diffusion.straight, diffusion.noise_target, 0.1
    ),
    "labeled step, labels dropped twice": lambda: diffusion.labeled_step(
        DENOISER, {}, (X.float(), Y), X.float(), diffusion.straight, diffusion.noise_target, 2.0
    ),
    "variance cost of variance -1": lambda: diffusion.variance_cost(-EYE[0, 0], EYE[0, 0]),
    "variance cost of two steps with one variance": lambda: diffusion.variance_cost(BETAS[:2], BETAS[:1]),
    "variance cost of variance 0 in use": lambda: diffusion.variance_cost(EYE[0, 0], ZERO[0]),
    "mixture_estimate, std -1": lambda: diffusion.mixture_estimate(NOISE, -1.0, P[:4], diffusion.straight),
    "mixture_estimate, std NaN": lambda: diffusion.mixture_estimate(NOISE, NAN, P[:4], diffusion.straight),
    "DDIM upward": lambda: diffusion.ddim(as_it_is, NOISE, diffusion.down(5).flip(0), diffusion.straight),
    "Heun upward": lambda: diffusion.heun(as_it_is, NOISE, diffusion.down(5).flip(0), diffusion.straight),
    "ancestral sampling upward": lambda: diffusion.ancestral(
        as_it_is, NOISE, diffusion.down(5).flip(0), diffusion.straight, None
    ),
    "wide ancestral sampling upward": lambda: diffusion.ancestral_wide(
        as_it_is, NOISE, diffusion.down(5).flip(0), diffusion.straight, None
    ),
    "DDIM at one time": lambda: diffusion.ddim(as_it_is, NOISE, diffusion.down(5)[:1], diffusion.straight),
    "DDIM, a time twice": lambda: diffusion.ddim(as_it_is, NOISE, torch.tensor([1.0, 1.0, 0.0]), diffusion.straight),
    "guided ODE of a class too narrow": lambda: diffusion.guided_ode(1.0, 0.02, 1.0),
    "guided ODE of a class too wide": lambda: diffusion.guided_ode(1.0, 1.2, 1.0),
    "guided ODE, weight 50": lambda: diffusion.guided_ode(1.0, 0.3, 50.0),
    "guided ODE of sixty classes": lambda: diffusion.guided_ode(1.0, torch.linspace(0.2, 0.9, 60).double(), 2.0),
    "guided ODE, two weights": lambda: diffusion.guided_ode(1.0, 0.5, FALLING),
    "guided SDE, weight NaN": lambda: diffusion.guided_sde(1.0, 0.5, float("nan")),
    "guided SDE, weight infinite": lambda: diffusion.guided_sde(1.0, 0.5, math.inf),
    "guided SDE, weight 1/2": lambda: diffusion.guided_sde(1.0, 0.5, 0.5),
    "guided SDE, std 1": lambda: diffusion.guided_sde(ZERO[0], EYE[0, 0], 2.0),
    "product of a class that is a point": lambda: diffusion.product(EYE[0, 0], ZERO[0], 1.0),
    "linear_objective, noise variance 0": lambda: alpha_gan.linear_objective(1.0, 1.0, EYE[0, 0], ZERO[0]),
    "linear_objective, variance -1": lambda: alpha_gan.linear_objective(1.0, 1.0, -EYE[0, 0], EYE[0, 0]),
    "linear_objective, weight -1": lambda: alpha_gan.linear_objective(1.0, 1.0, EYE[0, 0], EYE[0, 0], on_samples=-1.0),
    "alpha-GAN, three draws": lambda: alpha_gan.step(ALPHA, {}, X, normal(N, 3, K)),
    "repeated step, no draws": lambda: alpha_gan.repeated_step(ALPHA, {}, X, normal(N, 0, K)),
    "autoregressive step of no rows": lambda: autoregressive.step(MADE, {}, normal(0, 4), None),
    "any-order step of no rows": lambda: autoregressive.any_order_step(
        {"model": ANY_ORDER}, {}, X[:0], normal(0, D + 1)
    ),
    "log-likelihood of a row": lambda: autoregressive.log_likelihood(MADE["model"], torch.ones(4).double()),
    "logit average, three values": lambda: autoregressive.logit_average(table(3, 3), [(0, 1)]),
    "a gated PixelCNN of no pixels": lambda: autoregressive.GatedPixelCNN(0, 4, 1),
    "what is seen by NaN": lambda: autoregressive.some_seen(NAN * normal(N, 4)),
    "VAE step of no rows": lambda: vae.step(GAUSSIAN_VAE, {}, X[:0], NOISE[:0]),
    "conditional VAE step of no rows": lambda: conditional_vae.step({}, {}, (X[:0], Y[:0]), NOISE[:0]),
    "sampled VAE step of no rows": lambda: aae.sampled_vae_step(
        GAUSSIAN_VAE, {}, X[:0], normal(0, K + aae.NOISE), lambda code: vae.log_normal(code, 0 * code, 0 * code)
    ),
    "inverse step of no rows": lambda: ali.inverse_step(ALI, {}, PAIR["x"][:0], PAIR["noise"][:0]),
    "ALI's autoencoder step of no rows": lambda: ali.autoencoder_step(BIGAN, {}, PAIR["x"][:0], PAIR["noise"][:0]),
    "wake-sleep step of no rows": lambda: one_map.step(GAUSSIAN_VAE, {}, X[:0], normal(0, 2, K)),
    "a step of a denoiser, no rows": lambda: diffusion.step(
        {"denoiser": lambda x, t: x}, {}, NOISE[:0], NOISE[:0], diffusion.straight, diffusion.velocity_target
    ),
    "a labeled step, no rows": lambda: diffusion.labeled_step(
        DENOISER, {}, (X[:0].float(), Y[:0]), X[:0].float(), diffusion.straight, diffusion.noise_target, 0.1
    ),
    "a chain step, no rows": lambda: diffusion.chain_step(
        {"denoiser": diffusion.LinearDenoiser(BETAS)}, {}, normal(0, 1), normal(0, 3)
    ),
    "linear denoiser, noise as data": lambda: diffusion.LinearDenoiser(BETAS)(normal(N, 3), normal(N, 3)),
    "linear denoiser, a row of data": lambda: diffusion.LinearDenoiser(BETAS)(normal(1, 1), normal(N, 3)),
    "linear denoiser, a step too few": lambda: diffusion.LinearDenoiser(BETAS)(normal(N, 1), normal(N, 1)),
    "linear denoiser, beta 2": lambda: diffusion.LinearDenoiser(20 * BETAS),
    "joint of a chain, variance -1": lambda: diffusion.chain_joint(CHAIN._replace(variance=-CHAIN.variance)),
    "even path that reaches nowhere": lambda: diffusion.even(FALLING, reach=0.0),
    "point denoiser, width 0": lambda: diffusion.PointDenoiser(0, width=0),
    "labeled denoiser, width 0": lambda: diffusion.LabeledDenoiser(0, D, 3, width=0),
    "labeled denoiser, -1 classes": lambda: diffusion.LabeledDenoiser(0, D, -1),
    "U-Net, width 0": lambda: diffusion.UNet(0, 8, 1, 10, width=0),
    "U-Net, no channels": lambda: diffusion.UNet(0, 8, 0, 10),
    "U-Net, -1 classes": lambda: diffusion.UNet(0, 8, 1, -1),
    "DDIM below 0": lambda: diffusion.ddim(as_it_is, NOISE, torch.tensor([1.0, 0.5, -0.1]), diffusion.straight),
    "Heun below 0": lambda: diffusion.heun(as_it_is, NOISE, torch.tensor([1.0, 0.5, -0.1]), diffusion.straight),
    "ancestral sampling below 0": lambda: diffusion.ancestral(
        as_it_is, NOISE, torch.tensor([1.0, 0.5, -0.1]), diffusion.straight, None
    ),
    "wide ancestral sampling below 0": lambda: diffusion.ancestral_wide(
        as_it_is, NOISE, torch.tensor([1.0, 0.5, -0.1]), diffusion.straight, None
    ),
    "mixture_estimate, points without noise": lambda: diffusion.mixture_estimate(NOISE, 0.0, P[:4], diffusion.straight)(
        NOISE, 0.0
    ),
    "guided, weight NaN": lambda: diffusion.guided(None, None, math.nan),
    "repeated step, three draws": lambda: alpha_gan.repeated_step(ALPHA, {}, X, normal(N, 3, K)),
    "renamed, a name twice": lambda: one_map.renamed(W, torch.zeros(len(W.p_x)).long()),
    "renamed, too few names": lambda: one_map.renamed(W, torch.arange(len(W.p_x) - 1)),
    "dropped slopes, no step": lambda: one_map.dropped_slopes(W, 0.0),
    "mixed, twice the way": lambda: one_map.mixed(P, Q, 2.0),
    "mixed, NaN": lambda: one_map.mixed(P, Q, math.nan),
    "average_orders of a vector": lambda: autoregressive.average_orders(-P),
    "entropy of coordinate 1/2": lambda: autoregressive.marginal_entropy(table(2, 2, 2), [0.5]),
    "MADE, order as a list": lambda: autoregressive.MADE(D, 4, [0, 1, 2]),
    "logit average, an order without a coordinate": lambda: autoregressive.logit_average(table(2, 2, 2), [(0, 1)]),
    "logit average over no orders": lambda: autoregressive.logit_average(table(2, 2), []),
    "average_orders of no orders": lambda: autoregressive.average_orders(normal(0, 5)),
    "MADE, order of floats": lambda: autoregressive.MADE(D, 4, torch.arange(3.0)),
    "sees of a picture": lambda: autoregressive.sees(MADE["model"], normal(2, 2)),
    "sees of a row in a batch": lambda: autoregressive.sees(MADE["model"], normal(1, 4)),
    "factors of counts": lambda: autoregressive.conditionals(8 * table(2, 2), (0, 1)),
    "prefix_kl of counts": lambda: autoregressive.prefix_kl(table(2, 2), 8 * table(2, 2), (0, 1)),
    "prefix_joints of counts": lambda: autoregressive.prefix_joints(8 * table(2, 2), table(2, 2)),
    "logit average of counts": lambda: autoregressive.logit_average(8 * table(2, 2), [(0, 1)]),
    "drawn in parallel from counts": lambda: autoregressive.in_parallel(8 * table(2, 2), [[0], [1]]),
    "entropy of counts": lambda: autoregressive.marginal_entropy(torch.tensor([[3.0, 1], [2, 2]]), [0]),
    "scheduled sampling of counts": lambda: autoregressive.scheduled_optimum(8 * table(2, 2), 0.5),
    "cached sample of a MADE with a forward of its own": lambda: autoregressive.cached_sample(
        Linked(4, 5).double(), X[:, :1].repeat(1, 4)
    ),
    "cached sample of a MADE whose forward was replaced": lambda: autoregressive.cached_sample(
        replaced(autoregressive.MADE(4, 5).double()), X[:, :1].repeat(1, 4)
    ),
    "cached sample of a PixelCNN": lambda: autoregressive.cached_sample(
        autoregressive.PlainPixelCNN(2), X[:, :1].repeat(1, 4)
    ),
    "bound with reach 0": lambda: bits_bound(X.round(), 1, 0.0),
    "bound with reach -8": lambda: bits_bound(X.round(), 1, -8.0),
    "bound with 0 draws": lambda: bits_bound(X.round(), 0),
    "bound of gray values": lambda: bits_bound(X, 1),
    "bound of bits 0 and 255": lambda: bits_bound(255 * X.round(), 1),
    "bound of NaN": lambda: bits_bound(X * NAN, 1),
    "WGAN-GP on five rows in two parts": lambda: wgan_gp.step(WGAN, {}, normal(5, 2), normal(5, 2, 2), 2, 1.0),
    "WGAN-GP on no rows": lambda: wgan_gp.step(WGAN, {}, normal(0, 2), normal(0, 2, 2), 2, 1.0),
    "WGAN-GP in no parts": lambda: wgan_gp.step(WGAN, {}, normal(4, 2), normal(4, 2, 2), 0, 1.0),
    "a step of a denoiser that names one number for two coordinates": lambda: diffusion.step(
        ONE_OUTPUT, {}, NOISE.float(), NOISE.float(), diffusion.straight, diffusion.velocity_target
    ),
    "a labeled step of a denoiser that names one number": lambda: diffusion.labeled_step(
        ONE_OUTPUT, {}, (NOISE.float(), Y), NOISE.float(), diffusion.straight, diffusion.velocity_target, 0.1
    ),
    "an estimate by a network that names one number": lambda: diffusion.estimates(
        ONE_OUTPUT["denoiser"], diffusion.straight, diffusion.velocity_target
    )(NOISE.float(), 0.5),
    "a bound with a level twice": lambda: bits_bound(X.round(), 2, levels=(0.0, 1.0, 1.0)),
    "point denoiser, octaves -1": lambda: diffusion.PointDenoiser(0, octaves=-1),
    "noise named where no data are left": lambda: diffusion.estimates(
        lambda noisy, t: noisy, diffusion.straight, diffusion.noise_target
    )(normal(N, 2), 1.0),
    "modes, std -1": lambda: evaluation.modes(X, normal(2, D), -1.0),
    "chance_lines, std -1": lambda: evaluation.chance_lines(normal(3, 2), -1.0),
    "disc_probabilities, radius -1": lambda: evaluation.disc_probabilities(lambda x: x.sum(1), normal(3, 2), -1.0),
    "rising, a point behind another": lambda: shapes.rising(x=torch.tensor([0.0, 2.0, 1.0])),
    "rising, NaN": lambda: shapes.rising(x=torch.stack([ZERO[0], NAN])),
    "rising, a table of points": lambda: shapes.rising(x=torch.arange(6).view(2, 3)),
    "same_mass, twice as much": lambda: shapes.same_mass(p_x=P, q_x=2 * P),
    "same_mass, below 0": lambda: shapes.same_mass(p_x=P, q_x=P + torch.tensor([-1.0, 1, 0, 0, 0]).double()),
    "best_critic, squared distances": lambda: wgan_gp.best_critic(P, Q, (LINE["x"][:, None] - LINE["x"]).square()),
    "best_critic, a longer way back": lambda: wgan_gp.best_critic(P, Q, (2 * (LINE["x"][:, None] - LINE["x"])).relu()),
    "best_critic, a way to itself": lambda: wgan_gp.best_critic(P, Q, torch.ones(5, 5)),
    "line_distance, below 0": lambda: wgan_gp.line_distance(
        torch.arange(3.0), torch.tensor([1.5, -0.5, 0]), torch.tensor([0.5, 0.5, 0])
    ),
    "four_terms of counts": lambda: ali.four_terms(10 * W.p_xz, W.q_xz, W.p_xz, W.q_xz),
    "fisher_product of counts": lambda: ali.fisher_product(10 * W.p_xz, W.p_xz, W.q_xz),
    "halving factor of counts": lambda: regularized_gan.halving_factor(P / Q, 10 * P),
    "closed form of counts": lambda: regularized_gan.closed_form(10 * P, Q, 3),
    "closed form of a model of counts": lambda: regularized_gan.closed_form(P, 10 * Q, 3),
    "interpolate, one u per pixel": lambda: wgan_gp.interpolate(normal(1, 4), normal(1, 4), normal(1, 4)),
    "interpolate, one u for all rows": lambda: wgan_gp.interpolate(normal(4, 2), normal(4, 2), normal(1)),
    "interpolate, one sample for all rows": lambda: wgan_gp.interpolate(normal(4, 2), normal(1, 2), normal(4)),
    "slope_penalty, one u per pixel": lambda: evaluation.slope_penalty(nn.Linear(D, 1).double(), X[:1], X[:1], X[:1]),
    "ALI, a discriminator with BatchNorm": lambda: ali.step(
        {"discriminator": nn.Sequential(nn.Linear(4, 1), nn.BatchNorm1d(1))}, {}, normal(8, 2), normal(8, 3, 2)
    ),
    "frechet_bias of one row": lambda: evaluation.frechet_bias(EYE, EYE, 1),
    "frechet_bias against half a row": lambda: evaluation.frechet_bias(EYE, EYE, 9, 0.5),
    "same_mass, NaN": lambda: shapes.same_mass(p_x=P, q_x=P * NAN),
    "same_mass, infinity": lambda: shapes.same_mass(p_x=P, q_x=P / 0),
    "best_critic, twice as much": lambda: wgan_gp.best_critic(P, 2 * Q, (LINE["x"][:, None] - LINE["x"]).abs()),
    "clipped critic, more data than samples": lambda: wgan_gp.clipped_critic_step(
        nn.Linear(2, 1), None, normal(6, 2).float(), normal(2, 2).float(), 0.1
    ),
    "transport, cost NaN": lambda: wgan_gp.transport(P, Q, NAN * normal(5, 5)),
    "best_critic, cost infinite": lambda: wgan_gp.best_critic(P, Q, (LINE["x"][:, None] - LINE["x"]).abs() / 0),
    "line_distance, points in falling order": lambda: wgan_gp.line_distance(**LINE | {"x": LINE["x"].flip(0)}),
    "penalized_value, weight -1": lambda: wgan_gp.penalized_value(**LINE, weight=-1.0),
    "penalized_slope, weight 0": lambda: wgan_gp.penalized_slope(**LINE, weight=0.0),
    "event_value, a 0": lambda: age.event_value(ZERO[0], EYE[0, 0] / 3),
    "frechet_of_moments, indefinite": lambda: evaluation.frechet_of_moments(ZERO, EYE + 2 * EYE.flip(0), ZERO, EYE),
    "ppca, eigenvalues in rising order": lambda: vae.ppca(torch.arange(3.0), torch.eye(3), 1),
    "ppca_log_likelihood, eigenvalues in rising order": lambda: vae.ppca_log_likelihood(torch.arange(3.0), 1, 0.5),
    "falling, NaN": lambda: shapes.falling(eigenvalues=torch.stack([ZERO[0], NAN])),
    "scatter in three dimensions": lambda: plots.scatter(normal(N, 3)),
    "sheet, channels last": lambda: plots.sheet(torch.rand(N, 8, 8, 3)),
    "sheet of rows": lambda: plots.sheet(torch.rand(N, 64)),
    "sheet of nothing": lambda: plots.sheet(torch.rand(0, 8, 8)),
    "sheet, NaN": lambda: plots.sheet(torch.rand(N, 8, 8) * NAN),
    "expected_modes, infinitely many samples": lambda: evaluation.expected_modes(P, float("inf")),
    "expected_modes, -5 samples": lambda: evaluation.expected_modes(P, -5),
    "ppca, noise variance -1": lambda: vae.ppca(FALLING, EYE, 1, -1.0),
    "ppca, noise variance NaN": lambda: vae.ppca(FALLING, EYE, 1, NAN),
    "ppca, two noise variances": lambda: vae.ppca(FALLING, EYE, 1, FALLING),
    "ppca, infinite noise variance": lambda: vae.ppca(FALLING, EYE, 1, math.inf),
    "ppca_log_likelihood, two noise variances": lambda: vae.ppca_log_likelihood(FALLING, 1, FALLING),
    "ppca_log_likelihood, infinite noise variance": lambda: vae.ppca_log_likelihood(FALLING, 1, math.inf),
    "linear_log_likelihood, two noise variances": lambda: vae.linear_log_likelihood(EYE, EYE, FALLING),
    "linear_log_likelihood, infinite noise variance": lambda: vae.linear_log_likelihood(EYE, EYE, math.inf),
    "linear_elbo, two noise variances": lambda: vae.linear_elbo(EYE, EYE, EYE[0] + 1, EYE, FALLING),
    "posterior_precision, two noise variances": lambda: joint_kl.posterior_precision(EYE, FALLING),
    "posterior_precision, infinite noise variance": lambda: joint_kl.posterior_precision(EYE, math.inf),
    "gaussian_cells, a std per cell": lambda: joint_kl.gaussian_cells(LINE["x"], 0.0, torch.ones_like(LINE["x"])),
    "gaussian_cells, a mean per cell": lambda: joint_kl.gaussian_cells(LINE["x"], LINE["x"], 1.0),
    "gaussian_kernel, a width per point": lambda: one_map.gaussian_kernel(LINE["x"], torch.ones_like(LINE["x"])),
    "penalized_slope, a weight per gap": lambda: wgan_gp.penalized_slope(**LINE, weight=LINE["x"].diff()),
    "penalized_value, a weight per gap": lambda: wgan_gp.penalized_value(**LINE, weight=LINE["x"].diff()),
    "generator's answer, a weight per value": lambda: regularized_gan.answer(Q, OLD, torch.ones_like(Q)),
    "Gaussian decoder, infinite noise variance": lambda: vae.Gaussian(None, math.inf),
    "expectation, 400 nodes": lambda: vae.expectation(lambda z, _: z, 0.0, 1.0, nodes=400),
    "expectation, 0 nodes": lambda: vae.expectation(lambda z, _: z, 0.0, 1.0, nodes=0),
    "expected_importance_bound, an x without codes": lambda: vae.expected_importance_bound(
        W.p_z_given_x * first_row_empty(W.p_z_given_x), W.q_xz, 2
    ),
    "elbo, an x without codes": lambda: joint_kl.elbo(W.p_z_given_x * first_row_empty(W.p_z_given_x), W.q_xz),
    "log_weights of point codes": lambda: vae.log_weights(POINT_AAE, X, normal(5, N, 2)),
    "a VAE's step with point codes": lambda: aae.sampled_vae_step(POINT_AAE, {}, X, normal(N, 5), aae.log_normal_prior),
    "ppca, rising eigenvalues": lambda: vae.ppca(FALLING.flip(0), EYE, 1, 0.1),
    "ppca, too few rows of eigenvectors": lambda: vae.ppca(FALLING, EYE[:1], 1, 0.1),
    "ppca, five eigenvectors of two numbers": lambda: vae.ppca(FALLING, normal(2, 5), 1, 0.1),
    "ppca, a negative eigenvalue": lambda: vae.ppca(FALLING - 1, EYE, 1, 0.1),
    "ppca_log_likelihood, a negative eigenvalue": lambda: vae.ppca_log_likelihood(FALLING - 1, 1, 1.0),
    "ppca_log_likelihood, more codes than dimensions": lambda: vae.ppca_log_likelihood(FALLING, 9, 0.1),
    "ppca_log_likelihood, -1 codes": lambda: vae.ppca_log_likelihood(FALLING, -1, 0.1),
    "ppca_log_likelihood, rising eigenvalues": lambda: vae.ppca_log_likelihood(FALLING.flip(0), 1, 0.1),
    "ppca_log_likelihood, noise variance 0": lambda: vae.ppca_log_likelihood(FALLING, 1, 0.0),
    "expectation of as many means as nodes": lambda: vae.expectation(lambda z, _: z, normal(60), torch.ones(60)),
    "Bernoulli of no rows": lambda: vae.networks(0, D, (5,), K)["decoder"].log_likelihood(
        torch.zeros(0, D), torch.zeros(0, K)
    ),
    "joint_log_weights, a share -0.5": lambda: conditional_vae.joint_log_weights(
        CLASS_MEANS, X, torch.tensor([1.0, 0.5, -0.5]), normal(3, N, K)
    ),
    "joint_log_weights, shares with sum 3": lambda: conditional_vae.joint_log_weights(
        CLASS_MEANS, X, torch.ones(3).double(), normal(3, N, K)
    ),
    "joint_log_weights, two shares of three classes": lambda: conditional_vae.joint_log_weights(
        CLASS_MEANS, X, table(2), normal(2, N, K)
    ),
    "joint_log_weights of a CVAE, two shares of three classes": lambda: conditional_vae.joint_log_weights(
        conditional_vae.cvae_networks(0, D, (5,), K, 3).double(), X, table(2), normal(2, N, K)
    ),
    "cvae_networks, classes True": lambda: conditional_vae.cvae_networks(0, D, (5,), K, True),
    "energy_distance in half precision": lambda: aae.energy_distance(normal(9, 2).half(), normal(9, 2).half()),
    "energy_distance of other columns": lambda: aae.energy_distance(normal(5, 1), normal(5, 2)),
    "energy_distance of one axis": lambda: aae.energy_distance(normal(5), normal(5)),
    "energy_distance of two precisions": lambda: aae.energy_distance(normal(5, 2), normal(5, 2).float()),
    "energy_distance of whole numbers": lambda: aae.energy_distance(torch.ones(5, 2).long(), torch.ones(5, 2).long()),
    "nearest of whole numbers": lambda: em.nearest(torch.ones(4, D).long(), torch.ones(2, D).long()),
    "k_means of no means": lambda: em.k_means(X, X[:0], 1),
    "bound of no points": lambda: em.bound(X[:0], X[:0]),
    "M-step of no points": lambda: em.gaussian_m_step(X[:0], X[:0]),
    "log_responsibilities, a share -1": lambda: conditional_vae.log_responsibilities(
        NOISE, normal(3, K), torch.tensor([1.0, 1.0, -1.0]).double()
    ),
    "log_responsibilities, no shares": lambda: conditional_vae.log_responsibilities(
        NOISE, normal(3, K), torch.zeros(3).double()
    ),
    "ink_and_slant, negative ink": lambda: conditional_vae.ink_and_slant(normal(N, 5, 5)),
    "ink_and_slant, ink in one line alone": lambda: conditional_vae.ink_and_slant(
        torch.eye(9)[5].outer(torch.ones(9)).expand(N, 9, 9)
    ),
    "ink_and_slant of one line": lambda: conditional_vae.ink_and_slant(torch.rand(N, 1, 5)),
    "class_averages of single numbers": lambda: conditional_vae.class_averages(normal(N), Y, 3),
    "label_entropy of no labels": lambda: conditional_vae.label_entropy(Y[:0], 3),
    "correlation of one row": lambda: conditional_vae.correlation(X[:1], X[:1]),
    "correlation with a column that stays the same": lambda: conditional_vae.correlation(
        X, X * torch.tensor([1, 0, 1])
    ),
    "aae networks, classes -1": lambda: aae.networks(0, D, (5,), 2, classes=-1),
    "split_kl_term of point codes": lambda: aae.split_kl_term(
        CODE, torch.full_like(CODE, -math.inf), NOISE, aae.log_normal_prior
    ),
    "split_kl_term of no images": lambda: aae.split_kl_term(CODE[:0], CODE[:0], NOISE[:0], aae.log_normal_prior),
    "split_kl_term of codes too sharp for floats": lambda: aae.split_kl_term(
        *(t.float() for t in (CODE, torch.full_like(CODE, -90.0), NOISE)), aae.log_normal_prior
    ),
    "AAE, weight NaN": lambda: aae.step(aae.networks(0, D, (5,), 2).double(), {}, X, normal(N, 5), weight=math.nan),
    "AAE, weight -1": lambda: aae.step(aae.networks(0, D, (5,), 2).double(), {}, X, normal(N, 5), weight=-1.0),
    "AAE, classes for a discriminator that sees none": lambda: aae.step(
        aae.networks(0, D, (5,), 2).double(), {}, (X.round(), Y), normal(N, 5), aae.petals
    ),
    "correlation of no rows": lambda: conditional_vae.correlation(X[:0], X[:0]),
    **{
        f"{loss.__name__} of no rows": lambda loss=loss: loss(normal(0, 1))
        for loss in (ali.kl_encoder_loss, ali.swapped_encoder_loss, ali.minimax_encoder_loss, ali.tamed)
    },
    **{f"tamed from {floor}": lambda floor=floor: ali.tamed(normal(4), floor) for floor in (NAN, -1000.0, math.inf)},
    **{
        f"{step.__name__} of size {size}": lambda step=step, size=size: step(step_size=size)
        for step in (exact_step, natural_step)
        for size in (NAN, -1.0, math.inf)
    },
    **{
        f"{step.__name__}, {name} of sum 1.4": lambda step=step, name=name: step(**{name: 1.4 * getattr(W, name)})
        for step in (exact_step, natural_step)
        for name in ("p_x", "q_z", "p_z_given_x", "q_x_given_z")
    },
    **{
        f"{step.__name__}, {name} of one value": lambda step=step, name=name: step(**{name: torch.ones(1).double()})
        for step in (exact_step, natural_step)
        for name in ("p_x", "q_z")
    },
    "generator's problem, a weight for every value": lambda: regularized_gan.generator_problem(P, Q, OLD, 1 + P),
    **{
        f"{phase.__name__}, {rows} rows of x for ten of codes": lambda phase=phase, rows=rows: phase(
            WGAN_PLAYERS, OPTS, normal(rows, D), normal(10, 2, K), 1.0, batches=5
        )
        for phase in (regularized_gan.fresh_phase, regularized_gan.recorded_phase)
        for rows in (5, 20)
    },
    "density term of a sampler": lambda: ali.density_term(BIGAN["players"]["encoder"], normal(N, 2), NOISE),
    "pairs from two draws": lambda: ali.pairs(ALI, PAIR["x"], normal(N, 2, 2)),
    "inverse mapping from four draws": lambda: ali.inverse_step(ALI, OPTS, PAIR["x"], normal(N, 4, 2)),
    "gradient of an encoder with transposed rows": lambda: ali.encoder_gradient(torch.sum, W.p_x, W.p_z_given_x.T),
    "density term of no rows": lambda: ali.density_term(ALI["players"]["encoder"], NOISE[:0], NOISE[:0]),
    "halving factor, ratio below 0": lambda: regularized_gan.halving_factor(-P / Q, P),
    "halving factor, ratio NaN": lambda: regularized_gan.halving_factor(NAN * P, P),
    "closed form of a value that neither takes": lambda: regularized_gan.closed_form(
        torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.4, 0.6, 0.0]), 3
    ),
    "recorded phase, three draws": lambda: regularized_gan.recorded_phase(WGAN, {}, X, normal(5, 3, K), 1.0, batches=1),
    "between_density of counts": lambda: wgan_gp.between_density(LINE["x"], 10 * P, 10 * Q),
    "between_density, a mass below 0": lambda: wgan_gp.between_density(
        LINE["x"], P, torch.tensor([1.5, -0.5, 0, 0, 0]).double()
    ),
    "penalized_value of counts": lambda: wgan_gp.penalized_value(LINE["x"], 10 * P, 10 * Q, 1.0),
    "penalized_slope of counts": lambda: wgan_gp.penalized_slope(LINE["x"], 10 * P, 10 * Q, 1.0),
    "line_penalty of counts": lambda: wgan_gp.line_penalty(LINE["x"], 10 * P, 10 * Q, normal(4)),
    "dirac, one critic for two generators": lambda: wgan_gp.dirac(P[:2], P[:1], 0.1, 1.0, wgan_gp.centered_pull),
    "dirac of a GAN, one critic for two generators": lambda: gan.dirac_simultaneous(P[:2], P[:1], 0.1),
    "dirac of a GAN in turn, one critic for two generators": lambda: gan.dirac_alternating(P[:2], P[:1], 0.1),
    "slope_penalty, normal u": lambda: evaluation.slope_penalty(WGAN["critic"], NOISE, NOISE, 3 * torch.ones(N)),
    "interpolate, normal u": lambda: wgan_gp.interpolate(NOISE, NOISE, -torch.ones(N)),
    "piecewise penalty, normal u": lambda: wgan_gp.piecewise_penalty(WGAN["critic"], NOISE, NOISE, 3 * torch.ones(N)),
    "piecewise gradient, normal u": lambda: wgan_gp.piecewise_gradient(
        WGAN["critic"], NOISE, NOISE, 3 * torch.ones(N).double(), 1.0
    ),
    "piecewise penalty of no rows": lambda: wgan_gp.piecewise_penalty(WGAN["critic"], NOISE[:0], NOISE[:0], P[:0]),
    "piecewise slopes of one linear layer": lambda: wgan_gp.piecewise_slopes(
        nn.Sequential(nn.Linear(2, 1)), NOISE.float()
    ),
    "piecewise gradient, weight -1": lambda: wgan_gp.piecewise_gradient(WGAN["critic"], NOISE, NOISE, X[:, 0], -1.0),
    "anchored step, decay 1.5": lambda: regularized_gan.anchored_step(WGAN, {}, NOISE, NOISE, decay=1.5),
    "codes on the sphere, two draws of each": lambda: age.on_sphere(normal(4, 2, 3)),
    "samples of AGE, two draws of each": lambda: age.sample(age.networks(0).double(), normal(4, 2, 3)),
    "forces of no codes": lambda: regularized_gan.forces(WGAN, NOISE[:0], NOISE[:0], 1.0),
    "slope penalty of no rows": lambda: evaluation.slope_penalty(WGAN["critic"], NOISE[:0], NOISE[:0], P[:0]),
    "piecewise gradient of no rows": lambda: wgan_gp.piecewise_gradient(
        WGAN["critic"], NOISE[:0], NOISE[:0], P[:0], 1.0
    ),
    "mixture_estimate, weights -1": lambda: diffusion.mixture_estimate(NOISE, 0.1, -P[:4], diffusion.straight),
    "mixture_estimate, weights NaN": lambda: diffusion.mixture_estimate(NOISE, 0.1, NAN * P[:4], diffusion.straight),
    "mixture_estimate, weights 0": lambda: diffusion.mixture_estimate(NOISE, 0.1, 0 * P[:4], diffusion.straight),
    "fit_mixture from means alone": lambda: em.fit_mixture(X, 2, start=X[:2]),
    "transport at a cost of NaN": lambda: wgan_gp.transport(P, Q, NAN * torch.ones(5, 5)),
    "energy_distance from one point": lambda: aae.energy_distance(normal(1, 2), normal(5, 2)),
    "petals_log_density in space": lambda: aae.petals_log_density(normal(4, 3)),
    "petals_log_density of three axes": lambda: aae.petals_log_density(normal(4, 5, 2)),
    "normal prior of three axes": lambda: aae.normal(normal(2, 5, 3)),
    "petals of three axes": lambda: aae.petals(normal(2, 5, 3)),
    "swiss_roll of three axes": lambda: aae.swiss_roll(normal(2, 5, 3)),
    "normal prior of one number": lambda: aae.normal(normal(4, 1)),
    "petals of two numbers, told the class": lambda: aae.petals(normal(4, 2), Y),
    "swiss_roll of two numbers, told the class": lambda: aae.swiss_roll(normal(4, 2), Y),
}


WITH_CENTERS = {  # every function that takes centers of modes in the plane
    "modes": lambda centers: evaluation.modes(normal(N, 2), centers, 0.1),
    "disc_probabilities": lambda centers: evaluation.disc_probabilities(lambda x: x.square().sum(1), centers, 0.1),
    "chance_lines": lambda centers: evaluation.chance_lines(centers, 0.1),
    "mixture_estimate": lambda centers: diffusion.mixture_estimate(centers, 0.1, table(3), diffusion.straight),
    "scatter": lambda centers: plots.scatter(normal(N, 2), centers),
}
SPOILED_CENTERS = {
    "NaN": (lambda c: c * NAN, "6 of the 6 numbers of centers are NaN or infinite; a mode needs a place"),
    "infinity": (lambda c: c / torch.tensor([1.0, 0.0]), "3 of the 6 numbers of centers are NaN or infinite"),
    "none": (lambda c: c[:0], r"centers must have the shape \(k, .\), one row per mode and k >= 1, not \(0, 2\)"),
    "one center without its axis": (lambda c: c[0], r"one row per mode and k >= 1, not \(2,\)"),
    "one column": (lambda c: c[:, :1], r"\(k, 2\), one row per mode and k >= 1, not \(3, 1\)"),
}
OF_ANY_DIMENSION = {"modes", "mixture_estimate"}  # modes refuses by the samples' dimension, the other takes any


@pytest.mark.parametrize("spoiled", SPOILED_CENTERS)
@pytest.mark.parametrize("name", WITH_CENTERS)
def test_centers_without_a_place_in_the_plane_are_refused(name, spoiled):
    spoil, message = SPOILED_CENTERS[spoiled]
    if spoiled == "one column" and name in OF_ANY_DIMENSION:
        message = r"need equal d" if name == "modes" else None
    with pytest.raises(ValueError, match=message) if message else contextlib.nullcontext():
        WITH_CENTERS[name](spoil(normal(3, 2)))


def test_every_public_function_with_centers_is_tried():
    modules = [
        importlib.import_module(f"gentools.{m.name}") for m in pkgutil.iter_modules(gentools.__path__) if not m.ispkg
    ]
    found = {
        name
        for module in [*modules, plots]
        for name, f in vars(module).items()
        if inspect.isfunction(f) and f.__module__ == module.__name__ and not name.startswith("_")
        if "centers" in inspect.signature(f).parameters
    }
    assert found - {"linear_log_likelihood"} == set(WITH_CENTERS)  # whose centers are class means


@pytest.mark.parametrize("name", VALUES)
def test_values_of_which_nothing_follows_are_refused(name):
    with pytest.raises(REFUSED):
        VALUES[name]()


PASSED_ON = {  # steps that look at their batches first, and leave the weight to another one
    "alpha_gan.repeated_step",
    "regularized_gan.fresh_phase",
    "regularized_gan.recorded_phase",
    "regularized_gan.recorded_step",
    "wgan_gp.piecewise_step",
    "wgan_gp.step",
}


def weighted_steps():
    """Every step of the chapters whose loss has terms with weights: {name: (function, names of the weights)}."""
    found = {}
    for m in pkgutil.iter_modules(gentools.__path__):
        module = None if m.ispkg or m.name == "__main__" else importlib.import_module(f"gentools.{m.name}")
        for name, f in vars(module).items() if module else ():
            if inspect.isfunction(f) and f.__module__ == module.__name__ and not name.startswith("_"):
                takes = inspect.signature(f).parameters
                weights = [each for each in takes if each == "weight" or each.endswith("_weight")]
                if weights and {"opts", "optimizer"} & set(takes):
                    found[f"{m.name}.{name}"] = f, weights
    return found


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", sorted(set(weighted_steps()) - PASSED_ON))
def test_a_step_refuses_a_weight_that_turns_its_loss_around(name, bad):
    """A weight below 0 trains the opposite, NaN ruins every parameter: refused before anything else is looked at."""
    step, weights = weighted_steps()[name]
    for weight in weights:
        given = {each: None for each, p in inspect.signature(step).parameters.items() if p.default is p.empty}
        given |= dict.fromkeys(weights, 1.0) | {weight: bad}
        with pytest.raises(ValueError, match=f"{weight} must be a number from 0 up"):
            step(**given)


def test_bound_does_not_hide_what_is_no_probability():
    log_joint = W.q_xz.log()
    for bad in (NAN, torch.tensor(-0.1).double()):
        resp = W.p_z_given_x.clone()
        resp[0, 0] = bad
        with pytest.raises(ValueError, match="resp must sum to 1"):
            em.bound(resp, log_joint)
    resp = W.p_z_given_x.clone()
    resp[0] = torch.eye(len(resp[0]), dtype=resp.dtype)[0]
    assert em.bound(resp, log_joint).isfinite()


ARRAYS = {
    "conditional GAN, classes": lambda: conditional_gan.sample(CONDITIONAL, NOISE, Y.numpy()),
    "elbo_terms": lambda: vae.elbo_terms(VAE, X.numpy(), NOISE),
    "bernoulli_log_joint": lambda: em.bernoulli_log_joint(X.round().numpy(), table(2), normal(2, D).sigmoid()),
    "joint_kl": lambda: gan.joint_kl(P.numpy(), Q, OLD),
    "joint_kl of lists": lambda: gan.joint_kl(P.tolist(), Q.tolist(), OLD.tolist()),
    "labels_within": lambda: shapes.labels_within(Y.numpy(), 3),
    "energy_distance": lambda: aae.energy_distance(X.numpy(), X.numpy()),
    "nearest": lambda: em.nearest(X.numpy(), X.numpy()),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_and_lists_are_told_that_they_are_no_tensors(name):
    with pytest.raises(TypeError, match=r"(\w+) must be a torch tensor, not \w+.\w+; torch.as_tensor\(\1\) makes one"):
        ARRAYS[name]()


def test_nan_is_no_value_that_nobody_made():
    told = gan.best_discriminator(torch.stack([NAN, ZERO[0], P[0]]), torch.stack([P[0], ZERO[0], P[0]]))
    assert told.isnan().tolist() == [True, False, False] and told[1:].tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="sums to nan"):
        one_map.twice_label_kl(P, P, torch.cat([NAN[None], P[1:]]))


@pytest.mark.parametrize("refuses", [shapes.semidefinite, shapes.positive_definite])
def test_what_is_no_square_matrix_is_no_covariance(refuses):
    refuses(cov=EYE)
    for cov in (torch.zeros(2, 3), torch.zeros(3), torch.zeros(0, 0)):
        with pytest.raises(ValueError, match=r"cov is (a square|one) matrix.* not of shape"):
            refuses(cov=cov)
    with pytest.raises(ValueError, match="cov is no covariance: it must be symmetric"):
        refuses(cov=torch.tensor([[1.0, 0.5], [0.0, 1.0]]))


def test_a_plan_needs_no_slopes():
    cost = (LINE["x"][:, None] - LINE["x"]).abs()
    value, plan = wgan_gp.transport(P.clone().requires_grad_(), Q, cost)
    assert torch.equal(plan, wgan_gp.transport(P, Q, cost)[1]) and not value.requires_grad
    critic = wgan_gp.best_critic(P.clone().requires_grad_(), Q, cost)
    assert torch.equal(critic, wgan_gp.best_critic(P, Q, cost))


def test_tables_stay_where_they_are():
    p = torch.rand(2, 2, 2, device="meta")
    assert autoregressive.logit_average(p, [[0, 1, 2], [2, 1, 0]]).device.type == "meta"
    assert {joint.device.type for joint in autoregressive.prefix_joints(p, p)} == {"meta"}


def test_no_modes_are_expected_of_none():
    assert str(evaluation.expected_modes(torch.zeros(0), 10)) == "0.0"


def test_what_is_meant_to_be_spread_still_is():
    assert vae.sample(CODE, CODE, normal(5, N, K)).shape == (5, N, K)
    assert vae.sample(CODE[:1], CODE[:1], NOISE).shape == (N, K)
    assert aae.petals(normal(N, 3)).shape == (N, 2)
    plain = conditional_vae.plain_networks(0, D, (5,), K).double()
    assert conditional_vae.offsets(plain, X, Y, NOISE).shape == (N, K)


def test_refusals_name_what_they_saw():
    with pytest.raises(ValueError, match=r"p_x \(5,\), q_x \(1,\)"):
        gan.best_logit(P, Q[:1])
    with pytest.raises(ValueError, match=r"x \(4, 2\), noise \(1, 3, 2\)"):
        ali.pairs(ALI, PAIR["x"], PAIR["noise"][:1])
    with pytest.raises(ValueError, match=r"^p_z_given_x must sum to 1 over dim=1"):
        ali.encoder_gradient(torch.sum, W.p_x, 5 * W.p_z_given_x)
    with pytest.raises(ValueError, match=r"^q_x_given_z must sum to 1 over dim=0"):
        ali.generator_gradient(torch.sum, W.q_z, 5 * W.q_x_given_z)
    with pytest.raises(TypeError, match="PlainEncoder is a sampler alone; the logit form"):
        ali.full_step(BIGAN, OPTS, **PAIR)
    with pytest.raises(ValueError, match=r"noise holds 3 draws for each row, \(n, 3, k\), .* \(4, 2, 2\)"):
        ali.pairs(ALI, PAIR["x"], normal(N, 2, 2))
    with pytest.raises(ValueError, match="x holds no rows"):
        conditional_gan.step(CONDITIONAL, OPTS, (X[:0], Y[:0]), NOISE[:0])
    with pytest.raises(ValueError, match=r"lost in torch.bfloat16; a.float\(\) and b.float\(\) keep it"):
        dcgan.great_circle(NOISE.bfloat16(), CODE.bfloat16(), 0.5)
    with pytest.raises(ValueError, match=r"weights \(1,\), means \(2, 3\)"):
        em.bernoulli_log_joint(X, table(1), normal(2, D).sigmoid())
    with pytest.raises(ValueError, match=r"x \(4, 3\), means \(2, 4\)"):
        em.bernoulli_log_joint(X.round(), table(2), normal(2, D + 1).sigmoid())
    with pytest.raises(ValueError, match="covariances is no covariance"):
        em.gaussian_log_joint(X[:, :2], table(1), ZERO[None], 0 * EYE[None])
    with pytest.raises(ValueError, match="cov_q is no covariance"):
        divergences.gaussian_kl(ZERO, EYE, ZERO, -EYE)
    with pytest.raises(ValueError, match=r"two draws for each row, \(n, 2, k\), .* \(4, 3, 2\)"):
        alpha_gan.step(ALPHA, {}, X, normal(N, 3, K))
    with pytest.raises(ValueError, match=r"pairs of draws for each row, \(n, 2m, k\), .* \(4, 0, 2\)"):
        alpha_gan.repeated_step(ALPHA, {}, X, normal(N, 0, K))
    with pytest.raises(ValueError, match=r"rows of bits \(n, \.\.\.\), not of shape \(4,\)"):
        autoregressive.log_likelihood(MADE["model"], torch.ones(4).double())
    with pytest.raises(ValueError, match=r"a table of bits \(2, \.\.\., 2\), not of shape \(3, 3\)"):
        autoregressive.logit_average(table(3, 3), [(0, 1)])
    with pytest.raises(ValueError, match="width must be at least 1 and a whole number, not 0"):
        diffusion.LabeledDenoiser(0, D, 3, width=0)
    with pytest.raises(ValueError, match="from 0 to 2; these run from -1 to 1"):
        shapes.labels_within(Y - 1, 3)
    with pytest.raises(ValueError, match=r"places must be points .* places, order = places.sort"):
        shapes.rising(places=torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match=r"because their sums differ: data 1, model 0\.5"):
        shapes.same_mass(data=P, model=P / 2)
    shapes.rising(x=torch.tensor([0.0, 0.0, 1.0]), alone=torch.ones(1))
    shapes.same_mass(p_x=P.float(), q_x=Q.requires_grad_(False), unnormalized=P)


def batch_norm(layer):
    return nn.Sequential(layer, nn.BatchNorm1d(D))


def toys(*names):
    """ALI's networks for the plane, with the players in this order."""
    nets = ali.toy_networks(0)
    nets["players"] = nn.ModuleDict({name: nets["players"][name] for name in names})
    return nets


def own_sphere(encoder):
    nets = nn.ModuleDict({"encoder": encoder, "generator": nn.Linear(K, D)})
    return nets, adams(nets, 1e-3)


def critic_of(*layers):
    return wgan_gp.piecewise_slopes(nn.Sequential(*layers), torch.randn(4, 2))


def anchored():
    nets = nn.ModuleDict(gan.toy_networks(0))
    nets["anchor"] = nets["generator"]
    return regularized_gan.anchored_step(nets, adams(nets, 1e-3), torch.randn(4, 2), torch.randn(4, 2))


DENOISER = nn.ModuleDict({"denoiser": diffusion.LabeledDenoiser(0, 8, 3, width=8)})
LABELED = {"path": diffusion.cosine, "target": diffusion.velocity_target, "dropped": 0.1}
SHARP = torch.rand(4, 3)
READERS = {  # what a reader may hand over, each of which once trained or measured something else without a word
    "labels that begin at 1": (lambda: diffusion.labeled_step(DENOISER, adams(DENOISER, 1e-3), (torch.rand(3, 8), torch.tensor([1, 2, 3])), torch.rand(3, 8), **LABELED), "labels run from 0 to 2; these run from 1 to 3"),
    "pictures where rows belong": (lambda: diffusion.step(DENOISER, {}, torch.rand(8, 1, 8, 8), torch.rand(8, 1, 8, 8), diffusion.cosine, diffusion.velocity_target), r"flatten\(1\)"),
    "pictures in an estimate": (lambda: diffusion.estimates(torch.mul, diffusion.cosine, diffusion.velocity_target)(torch.rand(8, 1, 8, 8), 0.5), r"flatten\(1\)"),
    "points of space for a denoiser of the plane": (lambda: diffusion.PointDenoiser(0)(torch.rand(4, 3), torch.rand(4)), "rows of 2 numbers each"),
    "a list of times": (lambda: diffusion.ddim(None, torch.rand(4, 2), [1.0, 0.0], diffusion.cosine), "at must be a torch tensor"),
    "codes that are not on the sphere": (lambda: age.joint_step(*own_sphere(nn.Linear(D, K)), torch.rand(N, D), torch.randn(N, 2, K)), "codes must have length 1"),
    "such codes in other steps": (lambda: age.step(*own_sphere(nn.Linear(D, K)), torch.rand(N, D), torch.randn(N, 2, K)), "codes must have length 1"),
    "a sphere of two points": (lambda: age.networks(0, latent=1), "two points"),
    "samples that hang on the batch": (lambda: age.sample({"generator": batch_norm(nn.Linear(K, D))}, torch.randn(N, K)), "the generator holds BatchNorm in training mode"),
    "reconstructions that hang on the batch": (lambda: age.rebuilt({"encoder": batch_norm(nn.Linear(D, D)), "generator": nn.Linear(D, D)}, torch.rand(N, D)), "the encoder holds BatchNorm"),
    "the same of alpha-GAN": (lambda: alpha_gan.rebuilt({"encoder": nn.Linear(D, D), "generator": batch_norm(nn.Linear(D, D))}, torch.rand(N, D), NOISE), "the generator holds BatchNorm"),
    "a density that sums to 2": (lambda: alpha_gan.objective(table(2, 2), 2 * torch.ones(2, 2).double() / 2, torch.ones(2, 2).double() / 2, table(2)), "likelihood must sum to 1"),
    "players in another order": (lambda: ali.pairs(toys("generator", "encoder"), torch.randn(4, 2), torch.randn(4, 3, 2)), "must be encoder and generator, in this order"),
    "losses by their name": (lambda: ali.step(None, None, None, None, losses="swapped"), r"ali.LOSSES\['swapped'\]"),
    "gray levels as bits": (lambda: autoregressive.log_likelihood(MADE["model"], torch.ones(2, 4, dtype=torch.uint8)), "floating-point numbers"),
    "pictures of another size": (lambda: autoregressive.MADE(9, 5)(torch.rand(2, 4, 4).round()), "rows of 9 numbers each"),
    "floats up to 255": (lambda: stream.binarize(255 * torch.rand(3, 4), None), "divide by 255"),
    "statistics of one picture": (lambda: dcgan.measure_statistics(nn.Identity(), torch.rand(1, 4)), "statistics of one picture"),
    "two linear layers in a row": (lambda: critic_of(nn.Linear(2, 3), nn.Linear(3, 3), nn.ReLU(), nn.ReLU(), nn.Linear(3, 1)), "one activation between each two"),
    "an activation before the first layer": (lambda: critic_of(nn.ReLU(), nn.Linear(2, 2), nn.Linear(2, 1)), "one activation between each two"),
    "several tables at once": (lambda: wgan_gp.surplus(table(2, 3), table(2, 3)), r"p_x must be numbers \(n,\)"),
    "rows beside pictures": (lambda: wgan_gp.critic_step(nn.Linear(4, 1), None, torch.rand(3, 1, 2, 2), torch.rand(3, 4), 1.0), "one shape"),
    "bytes beside floats": (lambda: evaluation.critic_step({}, {}, (SHARP, SHARP.to(torch.uint8)), None), "fake must hold floating-point numbers"),
    "whole numbers as eigenvalues": (lambda: vae.ppca_log_likelihood(torch.tensor([3, 2, 1]), 2, 0.5), "floating-point numbers"),
    "an anchor that is the generator": (anchored, "copy.deepcopy"),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_what_trained_something_else_without_a_word_is_refused(name):
    call, said = READERS[name]
    with pytest.raises(REFUSED, match=said):
        call()


def test_pictures_that_are_not_square_have_a_pixelcnn():
    nets = autoregressive.pixelcnn_networks(0, size=(3, 4), channels=4, layers=2)
    assert nets["model"](torch.zeros(2, 12)).shape == (2, 12)
