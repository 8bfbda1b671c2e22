"""What a run measured: every metric of every step, kept without waiting for the device."""

import torch

from gentools.lab.checkpoint import NonFinite


class History:
    """Metrics of a run. history["loss"] is a CPU tensor (steps,); history.watched a list of {"step": ..., ...}.

    `add` leaves the numbers on the device, `read` fetches them all at once and raises NonFinite if one is not finite.
    Metrics of another shape than 0-d, for example one number per stacked seed, give (steps, *shape). TypeError for metrics
    that are no floating-point numbers.
    """

    def __init__(self, folder=None):
        self.names, self.values, self.watched = [], torch.empty(0), []
        self.folder, self._rows = folder, []

    def __getitem__(self, name):
        if not self.names:
            raise KeyError(f"no metric {name!r}: the history is empty, because no step was run")
        if name not in self.names:
            raise KeyError(f"no metric {name!r}; there are {', '.join(self.names)}")
        return self.values[:, self.names.index(name)]

    def __len__(self):
        return len(self.values)

    def add(self, metrics):
        """Append one step's metrics, {name: tensor}. The stack is a copy, so the step may reuse its tensors."""
        values = metrics.values() if isinstance(metrics, dict) else ()
        if not values or not all(isinstance(value, torch.Tensor) for value in values):
            raise TypeError(f"a step returns tensors by name, such as {{'loss': loss.detach()}}, not {metrics}")
        self.names = self.names or list(metrics)
        if list(metrics) != self.names:
            raise ValueError(f"the step returned the metrics {list(metrics)}, and before {self.names}")
        self._rows.append(torch.stack([value.detach() for value in values]))
        if not self._rows[-1].is_floating_point():
            raise TypeError(f"metrics are floating-point numbers, and {metrics} are not; .float() makes them")

    def read(self):
        """Fetch what was added since the last read; returns the newest metrics. This waits for the device."""
        if self._rows:
            block = torch.stack(self._rows).cpu()
            bad = ~block.isfinite().reshape(*block.shape[:2], -1).all(2)
            if bad.any():
                row, column = bad.nonzero()[0].tolist()  # in order of time: the first bad step
                raise NonFinite(self.names[column], len(self) + row, self.folder)
            self.values = torch.cat([self.values, block]) if len(self) else block
            self._rows = []
        return {name: self[name][-1].mean().item() for name in self.names}

    def state_dict(self):
        """Plain values for a checkpoint."""
        return {"names": self.names, "values": self.values, "watched": self.watched}

    def load_state_dict(self, state):
        """The inverse of state_dict."""
        self.names, self.values, self.watched = (state["names"], state["values"], list(state["watched"]))
