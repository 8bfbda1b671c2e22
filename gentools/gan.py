"""Chapter 05: a label joins the joint. The generative adversarial network, its three generator losses, its dynamics.

Tables p_x, q_x, d are float64 vectors over the values of x: data, model, and D(x) = p(y=1|x). The label y is 1 for data
and 0 for the model. Losses and networks work with the logit of D, log D/(1-D), never with D itself.
Shapes: p_x, q_x and d (n,), logit and fake_logit (n, ...), data x (n, d), noise z (n, k). Losses and divergences are
0-d tensors.
"""

import torch
from torch import nn
from torch.nn.functional import softplus

from gentools.lab import randomness
from gentools.lab.divergences import expected_kl, kl
from gentools.lab.networks import frozen, mlp
from gentools.lab.shapes import (
    distributions,
    filled,
    finite,
    loss_weights,
    modes_kept,
    no_negative,
    one_score_per_row,
    positive,
    probabilities,
    same_shape,
    vectors,
)

# The joints, exactly


def joints(p_x, q_x, d):
    """The two joints over (x, y), both (n, 2) with y along dim 1: q(x,y) = {q/2, p/2} and p(x,y) = p {1-D, D}."""
    same_shape(p_x=p_x, q_x=q_x, d=d)
    distributions(p_x=p_x, q_x=q_x)
    probabilities(d=d)
    return torch.stack([q_x, p_x], 1) / 2, p_x[:, None] * torch.stack([1 - d, d], 1)


def joint_kl(p_x, q_x, d):
    """KL(q(x,y) || p(x,y)) in nats: what the GAN minimizes. Left side of (5.1) and (5.2)."""
    return kl(*joints(p_x, q_x, d))


def best_discriminator(p_x, q_x):
    """D*(x) = p(x) / (p(x) + q(x)): Bayes' rule for "did the data produce this x?"; 1/2 where nobody did. (5.3)"""
    same_shape(p_x=p_x, q_x=q_x)
    no_negative(p_x=p_x, q_x=q_x)
    both = p_x + q_x
    return torch.where(both == 0, 0.5, p_x / both)  # NaN stays NaN


def best_logit(p_x, q_x):
    """The logit of D*: log p(x)/q(x); 0 where neither side ever has x, as D* is 1/2 there. (5.3)"""
    same_shape(p_x=p_x, q_x=q_x)
    no_negative(p_x=p_x, q_x=q_x)
    nobody = (p_x == 0) & (q_x == 0)
    return p_x.masked_fill(nobody, 1).log() - q_x.masked_fill(nobody, 1).log()  # NaN stays NaN


def label_kl(p_x, q_x, d):
    """What D adds: E_m KL(q(y|x) || p(y|x)) with m = (p + q)/2, in nats. Second term of (5.2)."""
    same_shape(p_x=p_x, q_x=q_x, d=d)
    distributions(p_x=p_x, q_x=q_x)
    truth = best_discriminator(p_x, q_x)
    return expected_kl((p_x + q_x) / 2, torch.stack([1 - truth, truth], 1), torch.stack([1 - d, d], 1))


def expected(loss, q_x, logit):
    """E_q of a loss on a table: `loss` at the logit of each x, weighted with q(x). Where q is 0 the loss may be infinite."""
    vectors(q_x=q_x, logit=logit)
    distributions(q_x=q_x)
    return sum(q * loss(at_x) for q, at_x in zip(q_x, logit, strict=True) if q != 0)


def gradient(functional, q_x):
    """Gradient of functional(q) in the logits of q, where q = softmax(logits); shape (n,).

    What is the same for every x in a functional's derivative drops out, as it must: q has no room to follow it.
    """
    distributions(q_x=q_x)
    positive(q_x=q_x)
    logits = q_x.log().requires_grad_()
    return torch.autograd.grad(functional(logits.softmax(0)), logits)[0]


# Losses, from logits


def discriminator_loss(real_logit, fake_logit):
    """E_p[-log D] + E_q[-log(1-D)] in nats, a 0-d tensor. Its least value over D is 2 log 2 - 2 JS(p, q). (5.5)"""
    filled(real_logit=real_logit, fake_logit=fake_logit)
    return softplus(-real_logit).mean() + softplus(fake_logit).mean()


def saturating_loss(fake_logit):
    """E_q log(1-D), the generator's side of the minimax game (Goodfellow et al. 2014). At D* it descends 2 JS. (5.7)"""
    filled(fake_logit=fake_logit)
    return -softplus(fake_logit).mean()


def non_saturating_loss(fake_logit):
    """E_q[-log D], the loss in common use (Goodfellow et al. 2014). At D* it descends 2 KL(m || p). (5.7)"""
    filled(fake_logit=fake_logit)
    return softplus(-fake_logit).mean()


def kl_loss(fake_logit):
    """E_q[-log D/(1-D)], minus the logit. At D* it descends KL(q || p). (5.7)"""
    filled(fake_logit=fake_logit)
    return -fake_logit.mean()


LOSSES = {"saturating": saturating_loss, "non-saturating": non_saturating_loss, "KL": kl_loss}


# Networks and their steps


def toy_networks(seed, width=128):
    """For points in the plane: generator 2-width-width-2 and discriminator 2-width-width-1 with ReLU."""
    start = {name: randomness.generator(seed, name) for name in ("generator", "discriminator")}
    generator = mlp([2, width, width, 2], generator=start["generator"])
    discriminator = mlp([2, width, width, 1], generator=start["discriminator"])
    return nn.ModuleDict({"generator": generator, "discriminator": discriminator})


class Maxout(nn.Module):
    """The largest of `pieces` linear functions, per output (Goodfellow et al. 2013, arXiv 1302.4389)."""

    def __init__(self, n, m, pieces=5):
        super().__init__()
        self.linear, self.pieces = nn.Linear(n, m * pieces), pieces

    def forward(self, x):
        """(..., n) -> (..., m)."""
        return self.linear(x).unflatten(-1, (-1, self.pieces)).amax(-1)


def ali_networks(seed):
    """The GAN of ALI's toy experiment (Dumoulin et al. 2016): generator 2-400x4-2 with BatchNorm, maxout discriminator."""
    layers, n = [], 2
    for _ in range(4):
        layers += [nn.Linear(n, 400, bias=False), nn.BatchNorm1d(400, momentum=0.05), nn.ReLU()]
        n = 400
    generator = nn.Sequential(*layers, nn.Linear(n, 2))
    discriminator = nn.Sequential(Maxout(2, 200), Maxout(200, 200), Maxout(200, 200), nn.Linear(200, 1))
    nets = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
    rng = randomness.generator(seed, "ali_networks")
    for layer in nets.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.02, generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nets


def step(nets, opts, x, z, generator_loss=non_saturating_loss):
    """One alternating step: the discriminator, then the generator against the discriminator just updated.

    x: a batch of data, z: noise, one batch for both players. Real and fake points pass the discriminator together, so
    it must hold no BatchNorm. Another loss: functools.partial(step, generator_loss=kl_loss). Returns both losses.
    """
    generator, discriminator = nets["generator"], nets["discriminator"]
    fake = generator(z)
    real_logit, fake_logit = discriminator(torch.cat([x, fake.detach()])).split([len(x), len(fake)])
    d_loss = discriminator_loss(real_logit, fake_logit)
    descend(opts["discriminator"], d_loss)

    with frozen(discriminator):  # the generator's gradient passes through D and leaves none in it
        g_loss = generator_loss(discriminator(fake))
        descend(opts["generator"], g_loss)
    return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}


def penalized_step(nets, opts, x, z, penalty_weight, generator_loss=non_saturating_loss):
    """`step` with the penalty R1 on the discriminator: penalty_weight / 2 times E_p |gradient of its logit in x|^2."""
    loss_weights(penalty_weight=penalty_weight)
    generator, discriminator = nets["generator"], nets["discriminator"]
    fake = generator(z)
    real_logit, penalty = r1(discriminator, x)
    d_loss = discriminator_loss(real_logit, discriminator(fake.detach()))
    descend(opts["discriminator"], d_loss + penalty_weight * penalty)

    with frozen(discriminator):
        g_loss = generator_loss(discriminator(fake))
        descend(opts["generator"], g_loss)
    return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}


@one_score_per_row
def r1(discriminator, x):
    """Logits at the data x, and the penalty E_p |gradient of the logit in x|^2 / 2 (Mescheder et al. 2018).

    With BatchNorm in training mode each logit depends on all rows. Then the slope is that of the batch's sum of logits, as
    in figure 10.7.
    """
    x = x.detach().requires_grad_()
    logit = discriminator(x)
    (slope,) = torch.autograd.grad(logit.sum(), x, create_graph=True)
    return logit, slope.flatten(1).square().sum(1).mean() / 2


def descend(optimizer, loss):
    """One step of `optimizer` down the gradient of `loss`."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@torch.no_grad()
@modes_kept
def sample(nets, z):
    """What the generator makes of z, with BatchNorm in its evaluation mode."""
    nets["generator"].eval()
    x = nets["generator"](z)
    nets["generator"].train()
    return x


# The smallest game: data at 0, model at theta, logit psi x (Mescheder et al. 2018, the Dirac GAN). Each of theta and psi
# is a number or a tensor, both of one shape


def minimax_push(theta, psi):
    """How the generator moves theta when it descends log(1 - D(theta))."""
    return psi * torch.sigmoid(torch.as_tensor(psi * theta))


def non_saturating_push(theta, psi):
    """How the generator moves theta when it descends -log D(theta)."""
    return psi * torch.sigmoid(torch.as_tensor(-psi * theta))


def discriminator_push(theta, psi, penalty=0.0):
    """How the discriminator moves psi when it descends -log D(0) - log(1 - D(theta)) + penalty psi^2 / 2 (R1 here)."""
    loss_weights(penalty=penalty)
    return -theta * torch.sigmoid(torch.as_tensor(psi * theta)) - penalty * psi


def dirac_simultaneous(theta, psi, step_size, penalty=0.0, push=minimax_push):
    """Both players move at once, each against the other's old position. theta is the model's point, psi the slope of D's logit."""
    same_shape(theta=theta, psi=psi)
    loss_weights(step_size=step_size)
    return theta + step_size * push(theta, psi), psi + step_size * discriminator_push(theta, psi, penalty)


def dirac_alternating(theta, psi, step_size, penalty=0.0, push=minimax_push):
    """The discriminator moves first, and the generator answers its new position. Returns theta and psi."""
    same_shape(theta=theta, psi=psi)
    loss_weights(step_size=step_size)
    psi = psi + step_size * discriminator_push(theta, psi, penalty)
    return theta + step_size * push(theta, psi), psi


def growth(play, step_size, penalty):
    """Factor per step of a small deviation from the equilibrium (0, 0): the largest |eigenvalue| there. (5.10)"""
    origin = torch.zeros(2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda s: torch.stack(play(s[0], s[1], step_size, penalty)), origin)
    finite("give a step size of ordinary size", jacobian=jacobian)  # or LAPACK crashes
    return torch.linalg.eigvals(jacobian).abs().max()
