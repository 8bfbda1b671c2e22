"""What the exercises share in which the reader writes a training step."""

import torch

from gentools.lab.quiz import Wrong


def same_updates(answer, solution, game, batch, losses, rounds=3):
    """Raise Wrong unless `answer` returns the losses that `solution` returns, and moves every weight to the same place.

    game(): new networks and optimizers, the same ones each time. batch(t): what step t gets beside them.
    losses: the names of the numbers that a step returns. The weights are compared network by network after each step.
    """
    (mine, my_opts), (theirs, their_opts) = game(), game()
    for t in range(rounds):
        want, got = solution(theirs, their_opts, *batch(t)), answer(mine, my_opts, *batch(t))
        for name, a, b in zip(losses, (v.detach() for v in got), (v.detach() for v in want), strict=True):
            if a.shape != ():
                raise Wrong(f"The {name} should be one number, a mean over the batch; its shape is {tuple(a.shape)}.")
            if abs(float(a) - float(b)) > 1e-6 * (1 + abs(float(b))):
                raise Wrong(f"In step {t + 1} the {name} should be {float(b):.4f}, not {float(a):.4f}.")
        for name, net in theirs.named_children():
            pairs = zip(mine[name].parameters(), net.parameters(), strict=True)
            if not all(torch.allclose(a, b, rtol=1e-6, atol=1e-8) for a, b in pairs):
                raise Wrong(
                    f"The losses of step {t + 1} are right, but after it the weights of the {name} are not where they "
                    "should be. Look at what each optimizer descends, and at gradients left over from before."
                )


def same_players(answer, solution, game):
    """Raise Wrong unless `answer` moves all weights of both players as `solution` does, and returns the same two losses.

    game(seed): networks, optimizers and what a step gets beside them, as a tuple; the same each time.
    """
    for seed in range(3):
        losses, weights = [], []
        for step in (solution, answer):
            nets, opts, batch = game(seed)
            losses.append([float(loss) if loss.shape == () else loss for loss in step(nets, opts, *batch)])
            weights.append(
                {name: torch.cat([p.detach().flatten() for p in net.parameters()]) for name, net in nets.items()}
            )
        for name in nets:
            if not torch.allclose(weights[0][name], weights[1][name], rtol=0, atol=1e-7):
                raise Wrong(f"After your step the weights of the {name} are not where the step asked for moves them.")
        for name, got, right in zip(("discriminator", "generator"), losses[1], losses[0], strict=True):
            if isinstance(got, torch.Tensor) or abs(got - right) > 1e-7:
                raise Wrong(f"The weights move as they should, but the loss of the {name} that you return is another.")


def one_descent(answer, nets, loss, step_size, seed):
    """Raise Wrong unless answer() returns `loss`, a 0-d tensor, and moves `nets` by one step of gradient descent on it.

    seed: how messages call the batch. The gradients are those of another step before, which have to be cleared.
    """
    slopes = torch.autograd.grad(loss, list(nets.parameters()))
    truth = [p.detach() - step_size * slope for p, slope in zip(nets.parameters(), slopes, strict=True)]
    for parameter in nets.parameters():
        parameter.grad = torch.ones_like(parameter)
    got = answer()
    if not abs(got - loss.item()) < 1e-4:
        raise Wrong(f"On batch {seed} the loss should be {loss.item():.4f}, not {got:.4f}.")
    for (name, p), right in zip(nets.named_parameters(), truth, strict=True):
        if not (p.detach() - right).abs().max() < 1e-4:
            raise Wrong(
                f"The loss is right, and after the step `{name}` is not where one step of gradient descent on it leads. "
                "Old gradients have to be cleared, new ones computed, and the optimizer has to move once."
            )
