"""The judge of generated pictures: a classifier trained on the real ones, which no generator is trained against.

Use it for the share of samples that show the asked class, the classes covered, and the features of a Frechet distance.
A network that finds out whether samples differ from data at all is a critic: `evaluation.critic_bound`.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gentools.gan import descend
from gentools.lab.optim import adam
from gentools.lab.shapes import labels_within
from gentools.lab.stream import unit
from gentools.recipes.shared.fitting import fit_kept


def judge_step(nets, opts, x, z):
    """One step of nets["judge"] on the cross-entropy of (images, labels); z is not used."""
    images, labels = x
    labels_within(labels, rows=len(images))
    loss = cross_entropy(nets["judge"](images), labels)
    descend(opts["judge"], loss)
    return {"loss": loss.detach()}


def train_judge(net, images, labels, *, steps, seed, learning_rate=1e-3, batch=128, prepare=unit, schedule=None,
                device="cpu"):  # fmt: skip
    """Train a classifier in place, images (n, ...) as `prepare` leaves them -> logits (n, classes); returns it, frozen.

    net: `lab.networks.classifier`, or an `mlp` where images are given as rows (n, d).
    """
    nets = nn.ModuleDict({"judge": net.to(device)})
    opts = {"judge": adam(net.parameters(), learning_rate)}
    fit_kept(judge_step, nets, opts, (images, labels), 1, batch=batch, steps=steps, seed=seed, device=device,
             prepare=prepare, schedule=schedule)  # fmt: skip
    return net.requires_grad_(False)


@torch.no_grad()
def judged(net, images):
    """Features (n, 64) and class probabilities (n, 10) of images, prepared as in training; on the CPU. net: `classifier`."""
    device = next(net.parameters()).device
    features = torch.cat([net.features(part.to(device)) for part in images.split(1000)])  # (n, 64)
    return features.cpu(), net.head(features).softmax(1).cpu()


@torch.no_grad()
def named(net, images):
    """The class (n,) that any judge names for each image, prepared as in training; on the CPU."""
    device = next(net.parameters()).device
    return torch.cat([net(part.to(device)).argmax(1) for part in images.split(1000)]).cpu()


def accuracy(net, images, labels):
    """Share of right answers, as a float."""
    return float((named(net, images) == labels).double().mean())
