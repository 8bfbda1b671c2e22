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
