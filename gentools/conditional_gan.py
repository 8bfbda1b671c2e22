"""Chapter 07: the class joins the joint. The conditional GAN, where the label has to go, and what it cannot know.

Tables p_xc, q_xc are float64 joints of a point and its class, x along dim 0 and c along dim 1, data and model; d is
D(x,c) = p(y=1|x,c), of the same shape. The class is c, because y already says where a point came from (chapter 05).
Losses are those of chapter 05: they see a logit and do not care what the logit has seen.
Shapes: p_xc, q_xc and d (n, k), data x (n, ...), codes z (n, latent), classes c (n,). Divergences are 0-d tensors.
"""

import functools

import torch
from torch import nn
from torch.nn.functional import interpolate, leaky_relu, pixel_shuffle

from gentools import gan
from gentools.gan import descend, discriminator_loss, non_saturating_loss
from gentools.lab import randomness
from gentools.lab.divergences import entropy, expected_kl, kl
from gentools.lab.networks import frozen, mlp
from gentools.lab.shapes import (
    distributions,
    filled,
    gray_of_side,
    loss_weights,
    may_lack_inputs,
    modes_kept,
    of_two_axes,
    positive,
    row_by_row,
    same_columns,
    same_shape,
    tensors,
    whole,
)

# The joints, exactly


def joint_kl(p_xc, q_xc, d):
    """KL(q(x,c,y) || p(x,c,y)) in nats: (5.1) with the pair (x,c) in the place of x. Left side of (7.1) to (7.3)."""
    same_shape(p_xc=p_xc, q_xc=q_xc, d=d)
    return gan.joint_kl(p_xc.flatten(), q_xc.flatten(), d.flatten())


def label_kl(p_xc, q_xc, d):
    """What D adds: E_m KL(q(y|x,c) || p(y|x,c)) over pairs, in nats. Last term of (7.2)."""
    same_shape(p_xc=p_xc, q_xc=q_xc, d=d)
    return gan.label_kl(p_xc.flatten(), q_xc.flatten(), d.flatten())


def within_classes(p_xc, q_xc):
    """Sum over c of m(c) KL(m(x|c) || p(x|c)), where m = (p + q)/2 is a joint. Second term of (7.2)."""
    same_shape(p_xc=p_xc, q_xc=q_xc)
    of_two_axes(p_xc=p_xc)
    distributions(p_xc=p_xc, q_xc=q_xc)
    m_xc = (p_xc + q_xc) / 2
    return expected_kl(m_xc.sum(0), _divided(m_xc, m_xc.sum(0)).T, _divided(p_xc, p_xc.sum(0)).T)


def _divided(joint, total):
    """A joint divided by its sums. Where there is no mass it stays 0, not NaN."""
    return joint / torch.where(total == 0, 1, total)


def unseen_by_blind(p_xc, q_xc):
    """I(c; y|x): what (x,c) tells about the origin y beyond x alone, in nats. A discriminator without c misses it. (7.4)"""
    same_shape(p_xc=p_xc, q_xc=q_xc)
    of_two_axes(p_xc=p_xc)
    joint = torch.stack([q_xc, p_xc], 2) / 2  # q(x, c, y)
    apart = joint.sum(1, keepdim=True) * joint.sum(2, keepdim=True)  # q(x, c) q(x, y)
    return kl(joint, _divided(apart, joint.sum((1, 2), keepdim=True)))


def blind_generator(p_xc):
    """What a generator that does not see c makes of KL(q(x)p(c) || p(x,c)): (best q(x), the KL that is left). (7.7)

    q(x) is proportional to p(x) exp(-KL(p(c) || p(c|x))), the geometric mean of the classes weighted with p(c).
    """
    of_two_axes(p_xc=p_xc)
    distributions(p_xc=p_xc)
    log_q = (p_xc.sum(0) * p_xc.log()).sum(1)
    if not log_q.isfinite().any():
        raise ValueError(
            "no x is possible in every class, so the KL is infinite for every q(x); leave empty classes out"
        )
    return log_q.softmax(0), -entropy(p_xc.sum(0)) - log_q.logsumexp(0)


def logit_parts(p_xc, q_xc):
    """The two parts of the best logit: log p(x)/q(x), shape (n, 1), and log p(c|x)/q(c|x), shape (n, k). (7.5)

    Raises ValueError where a part has no value: at an x that a side never has, at a pair that neither side has.
    """
    same_shape(p_xc=p_xc, q_xc=q_xc)
    of_two_axes(p_xc=p_xc)
    distributions(p_xc=p_xc, q_xc=q_xc)
    p_x, q_x = p_xc.sum(1, keepdim=True), q_xc.sum(1, keepdim=True)
    if not ((p_x > 0) & (q_x > 0) & (p_xc + q_xc > 0)).all():
        raise ValueError(
            "the two parts need every x on both sides, or there is no p(c|x), and every pair (x, c) on one of them"
        )
    return (p_x / q_x).log(), ((p_xc / p_x) / (q_xc / q_x)).log()


def conditional_gradient(functional, q_c, q_x_given_c):
    """Gradient of functional(q(x,c)) in the logits of every q(x|c), with q(c) held; shape (n, k), as q_x_given_c."""
    same_columns(q_c=q_c, q_x_given_c=q_x_given_c)
    distributions(q_c=q_c)
    distributions(dim=0, q_x_given_c=q_x_given_c)
    positive(q_x_given_c_summed=q_x_given_c.sum(0))  # softmax makes NaN of a class without points
    logits = q_x_given_c.log().requires_grad_()
    return torch.autograd.grad(functional(logits.softmax(0) * q_c), logits)[0]


def measured_accuracy(accuracy, judge, classes):
    """What a judge counts as right if a share `accuracy` of the samples is, in [0, 1]. (7.8)

    The judge names the true class with probability `judge`, and each of the other classes - 1 equally often.
    """
    whole(classes=classes)
    if classes < 2:
        raise ValueError(f"a judge decides between two classes or more, not {classes}")
    if not torch.as_tensor((accuracy >= 0) & (accuracy <= 1) & (judge >= 0) & (judge <= 1)).all():
        raise ValueError(f"accuracy and judge are shares, from 0 to 1, not {accuracy} and {judge}")
    return accuracy * judge + (1 - accuracy) * (1 - judge) / (classes - 1)


# Codes: how a class is told to a network. A code is a table with one row of numbers per class


def one_hot(classes):
    """A row of its own for every class, shape (k, k)."""
    return torch.eye(classes)


def blind(classes):
    """Rows of length 0, shape (k, 0): the network gets a class and sees nothing of it."""
    return torch.zeros(classes, 0)


def factored(classes, styles):
    """One-hot class beside one-hot style, shape (k s, k + s); combination (c, s) has the number c * styles + s."""
    c, s = torch.eye(classes), torch.eye(styles)
    return torch.cat([c.repeat_interleave(styles, 0), s.repeat(classes, 1)], 1)


def look_up(code, c, rows):
    """code[c], after checking that c holds one class per row: int64, shape (rows,), from 0 to len(code) - 1.

    Raises TypeError or ValueError otherwise. The range is checked on the CPU alone; on a GPU it would make it wait.
    """
    tensors(c=c)
    if c.dtype != torch.int64:
        raise TypeError(f"classes are whole numbers (int64), not {c.dtype}; use c.long()")
    if c.shape != (rows,):
        raise ValueError(f"there are {rows} rows, so classes have the shape ({rows},), not {tuple(c.shape)}")
    if c.device.type == "cpu" and rows and not 0 <= int(c.min()) <= int(c.max()) < len(code):
        raise ValueError(f"classes run from 0 to {len(code) - 1}; these run from {int(c.min())} to {int(c.max())}")
    return code[c]


# Networks


class Concatenated(nn.Module):
    """net([x, code[c]]): the code of the class is appended to the vector x (Mirza, Osindero 2014)."""

    def __init__(self, net, code):
        super().__init__()
        self.net = net
        self.register_buffer("code", code)

    def forward(self, x, c):
        """x (n, d) and classes c (n,) -> what `net` makes of (n, d + length of the code)."""
        if x.ndim != 2:
            raise ValueError(
                f"x must hold one vector per row, not {tuple(x.shape)}; images are flattened with x.flatten(1)"
            )
        return self.net(torch.cat([x, look_up(self.code, c, len(x))], 1))


def networks(seed, sizes_g, sizes_d, code_g, code_d, squash=None):
    """Generator and discriminator of linear layers; each sees the class through its own code.

    sizes: widths from z to x and from x to 1, without the code. squash: a module after the generator, such as Sigmoid.
    """
    if sizes_d[-1] != 1:
        raise ValueError(f"a discriminator gives one logit per row, so sizes_d ends in 1, not in {sizes_d[-1]}")
    start = {name: randomness.generator(seed, name) for name in ("generator", "discriminator")}
    leaky = functools.partial(nn.LeakyReLU, 0.2)
    g = mlp([sizes_g[0] + code_g.shape[1], *sizes_g[1:]], generator=start["generator"])
    d = mlp([sizes_d[0] + code_d.shape[1], *sizes_d[1:]], leaky, generator=start["discriminator"])
    g = nn.Sequential(g, squash) if squash else g
    return nn.ModuleDict({"generator": Concatenated(g, code_g), "discriminator": Concatenated(d, code_d)})


class ImageGenerator(nn.Module):
    """(z, code of c) -> gray image (n, 1, side, side) in [0, 1], side 14 or 28: a dense layer to 7x7, then convolutions.

    Each doubling but the last is nearest-neighbor upsampling before a convolution; the last is a pixel shuffle.
    """

    def __init__(self, z_size, code, side=28, width=32):
        super().__init__()
        if side not in (14, 28):
            raise ValueError(f"the networks of this chapter make pictures of side 14 or 28, not {side}")
        whole(width=width)
        self.register_buffer("code", code)
        self.dense = nn.Linear(z_size + code.shape[1], 2 * width * 49, bias=False)
        self.norm = nn.BatchNorm2d(2 * width)
        self.middle = nn.Conv2d(2 * width, width, 3, padding=1, bias=False)
        self.middle_norm = nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, 4, 3, padding=1)
        self.first_scale = side // 14

    def forward(self, z, c):
        """z (n, z_size) and classes c (n,) -> images."""
        h = self.dense(torch.cat([z, look_up(self.code, c, len(z))], 1)).unflatten(1, (-1, 7, 7))
        h = interpolate(self.norm(h).relu(), scale_factor=self.first_scale)
        h = self.middle_norm(self.middle(h)).relu()
        return pixel_shuffle(self.last(h), 2).sigmoid()


class ProjectionDiscriminator(nn.Module):
    """Image and class -> logit w f(x) + b + v_c f(x) with features f: the two parts of (7.5) (Miyato, Koyama 2018)."""

    @may_lack_inputs
    def __init__(self, code, side=28, width=32):
        super().__init__()
        if side not in (14, 28):
            raise ValueError(f"the networks of this chapter see pictures of side 14 or 28, not {side}")
        whole(width=width)
        self.register_buffer("code", code)
        self.first = nn.Conv2d(1, width, 4, stride=2, padding=1)
        self.second = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        features = 2 * width * (-(-side // 4)) ** 2
        self.origin = nn.Linear(features, 1)
        self.of_class = nn.Linear(code.shape[1], features, bias=False)

    def forward(self, x, c):
        """Images x (n, 1, side, side) in [0, 1] and classes c (n,) -> logits (n, 1)."""
        # The last layer tells for which side it was built: each of its maps has 4x4 cells or 7x7.
        gray_of_side({16: 14, 49: 28}[self.origin.in_features // self.second.out_channels], images=x)
        h = leaky_relu(self.second(leaky_relu(self.first(2 * x - 1), 0.2)), 0.2).flatten(1)
        v = self.of_class(look_up(self.code, c, len(x)))
        return self.origin(h) + (v * h).sum(1, keepdim=True)


def image_networks(seed, z_size, code_g, code_d, side=28, width=32):
    """Convolutional generator and projection discriminator for gray images, weights N(0, 0.02^2) as in DCGAN."""
    nets = nn.ModuleDict(
        {
            "generator": ImageGenerator(z_size, code_g, side, width),
            "discriminator": ProjectionDiscriminator(code_d, side, width),
        }
    )
    for name, net in nets.items():
        rng = randomness.generator(seed, name)
        for layer in net.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                nn.init.normal_(layer.weight, 0, 0.02, generator=rng)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return nets


def step(nets, opts, x, z, generator_loss=non_saturating_loss):
    """One alternating step. x: a batch of images and their classes (x, c). z: noise, one row per class.

    The generator is asked for the classes of the batch, so q(c) = p(c) without further care. What a player knows of c
    is the matter of its code: with `blind` codes in both players this is gan.step. Returns both losses.
    """
    generator, discriminator = nets["generator"], nets["discriminator"]
    x, c = labeled(x)
    fake = generator(z, c)
    real_logit, fake_logit = discriminator(torch.cat([x, fake.detach()]), torch.cat([c, c])).split(len(c))
    d_loss = discriminator_loss(real_logit, fake_logit)
    descend(opts["discriminator"], d_loss)

    with frozen(discriminator):  # the generator's gradient passes through D and leaves none in it
        g_loss = generator_loss(discriminator(fake, c))
        descend(opts["generator"], g_loss)
    return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}


def penalized_step(nets, opts, x, z, penalty_weight, generator_loss=non_saturating_loss):
    """`step` with R1 (Mescheder et al. 2018): penalty_weight / 2 times E_p |gradient of D's logit in x|^2, c held.

    x: a batch of images and their classes (x, c). z: noise, one row per class. Returns both losses, without the penalty.
    """
    loss_weights(penalty_weight=penalty_weight)
    generator, discriminator = nets["generator"], nets["discriminator"]
    x, c = labeled(x)
    row_by_row(discriminator)
    fake = generator(z, c)
    real_logit, penalty = gan.r1(lambda points: discriminator(points, c), x)
    d_loss = discriminator_loss(real_logit, discriminator(fake.detach(), c))
    descend(opts["discriminator"], d_loss + penalty_weight * penalty)

    with frozen(discriminator):
        g_loss = generator_loss(discriminator(fake, c))
        descend(opts["generator"], g_loss)
    return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}


def labeled(batch):
    """The batch itself, if it is (x, c) and has rows. Raises TypeError or ValueError otherwise."""
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        filled(x=batch[0])
        return batch
    raise TypeError(
        "a conditional GAN learns from pairs (x, c); make the stream from a tuple, Stream((images, classes), ...)"
    )


@torch.no_grad()
@modes_kept
def sample(nets, z, c):
    """What the generator makes of z, asked for the classes c, with BatchNorm in its evaluation mode."""
    nets["generator"].eval()
    x = nets["generator"](z, c)
    nets["generator"].train()
    return x
