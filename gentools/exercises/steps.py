"""What the exercises share in which the reader writes a training step."""

import torch

from gentools.lab.quiz import Wrong, off


def same_updates(answer, solution, game, batch, losses, rounds=3):
    """Raise Wrong unless `answer` returns the losses that `solution` returns, and moves every weight to the same place.

    game(): new networks and optimizers, the same ones each time. batch(t): what step t gets beside them.
    losses: the names of the numbers that a step returns. The weights are compared network by network after each step.
    """
    (mine, my_opts), (theirs, their_opts) = game(), game()
    for t in range(rounds):
        right, given = solution(theirs, their_opts, *batch(t)), answer(mine, my_opts, *batch(t))
        _same_step(losses, given, right, mine, theirs, f"In step {t + 1}")


def same_players(answer, solution, game, losses=("loss of the discriminator", "loss of the generator")):
    """Raise Wrong unless `answer` moves all weights of both players as `solution` does, and returns the same two losses.

    game(seed): networks, optimizers and what a step gets beside them, as a tuple; the same each time. losses: how
    messages call the numbers that the step returns.
    """
    for seed in range(3):
        (mine, my_opts, batch), (theirs, their_opts, same) = game(seed), game(seed)
        right, given = solution(theirs, their_opts, *same), answer(mine, my_opts, *batch)
        _same_step(losses, given, right, mine, theirs, f"On batch {seed}")


def _same_step(losses, given, right, mine, theirs, where):
    """Raise Wrong unless the numbers given are right and the networks agree weight by weight; it names what does not."""
    for name, loss in zip(losses, given, strict=True):
        if loss.shape != ():
            raise Wrong(f"The {name} should be one number, a mean over the batch; its shape is {tuple(loss.shape)}.")
    moved = [name for name, net in theirs.named_children() if not _same_weights(mine[name], net)]
    elsewhere = f"the weights of the {' and the '.join(moved)} are not where they should be"
    for name, a, b in zip(losses, given, right, strict=True):
        if wrong := off(a, b):
            more = f" After the step {elsewhere}." if moved else ""
            raise Wrong(f"{where} the {name} should be {wrong.right}, not {wrong.given}.{more}")
    if moved:
        raise Wrong(
            f"{where} the losses are right, but after it {elsewhere}. Look at what each optimizer descends, and at "
            "gradients left over from before."
        )


def _same_weights(mine, theirs):
    pairs = zip(mine.parameters(), theirs.parameters(), strict=True)
    return all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in pairs)  # room for single precision


def one_descent(answer, nets, loss, step_size, seed):
    """Raise Wrong unless answer() returns `loss`, a 0-d tensor, and moves `nets` by one step of gradient descent on it.

    seed: how messages call the batch. The gradients are those of another step before, which have to be cleared.
    """
    slopes = torch.autograd.grad(loss, list(nets.parameters()))
    truth = [p.detach() - step_size * slope for p, slope in zip(nets.parameters(), slopes, strict=True)]
    for parameter in nets.parameters():
        parameter.grad = torch.ones_like(parameter)
    got = answer()
    if wrong := off(got, loss, 1e-4):
        raise Wrong(f"On batch {seed} the loss should be {wrong.right}, not {wrong.given}.")
    for (name, p), right in zip(nets.named_parameters(), truth, strict=True):
        if not (p.detach() - right).abs().max() < 1e-4:
            raise Wrong(
                f"The loss is right, and after the step `{name}` is not where one step of gradient descent on it leads. "
                "Old gradients have to be cleared, new ones computed, and the optimizer has to move once."
            )
