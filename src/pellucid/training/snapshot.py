"""Copies of a network's numbers to go back to: after a NaN, after Ctrl-C, to the best epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pellucid.arrays import Array
from pellucid.network import Network
from pellucid.training.step import Step


class Snapshot:
    """A copy of a network's parameters and running statistics, and of its step.

    Args:
        network: what to copy; the copy is taken at once.
        parameters: False to leave them out.
    """

    def __init__(self, network: Network, *, parameters: bool = True) -> None:
        self._network = network
        self._live = [*([network.flat_parameters] if parameters else []), *network.state.values()]
        #: the parameters as one array, then the running statistics
        self.kept = [array.copy() for array in self._live]
        self.step = network.step

    def take(self) -> None:
        """Copy the network as it is now into the arrays there are."""
        for kept, live in zip(self.kept, self._live, strict=True):
            np.copyto(kept, live)
        self.step = self._network.step

    def put_back(self) -> None:
        """Copy back all arrays, not the step. Ctrl-C meanwhile is raised when the copy is whole."""
        _copy_whole(self._live, self.kept)


class LastGood:
    """What a network was before the step in progress, and before the last step whose loss was finite.

    A step runs from :meth:`begin` to :meth:`end`; :meth:`confirm`, in between, says that its loss is finite. The step
    itself keeps the parameters from before its update, and counts its updates. There are two snapshots of the rest,
    because the numbers before a step are good only once the loss is known, and until then those before the last step
    must be kept. What is in use changes by assigning one name, which Ctrl-C cannot split.
    """

    def __init__(self, network: Network, step: Step) -> None:
        self._network, self._step = network, step
        self._good, self._spare = ((Snapshot(network, parameters=False), step.updates) for _ in range(2))
        self._start: tuple[Snapshot, int] | None = None

    def begin(self) -> None:
        """Keep the numbers a step starts from."""
        self._spare[0].take()
        self._start = self._spare = (self._spare[0], self._step.updates)

    def confirm(self) -> None:
        """Take the numbers that the step started from as good."""
        self._good, self._spare = self._spare, self._good

    def end(self) -> None:
        """Let the numbers the step made stand."""
        self._start = None

    def recover(self) -> None:
        """Undo a step that was broken off in the middle; between steps the network is whole as it is."""
        if self._start is not None:
            self._return_to(self._start)

    def put_back(self) -> None:
        """Go back to the last good weights, running statistics and step."""
        self._return_to(self._good)

    def _return_to(self, start: tuple[Snapshot, int]) -> None:
        self._start = start  # so that recover, after Ctrl-C in here, ends at the same place
        snapshot, updates = start
        self._network.step = snapshot.step
        if self._step.updates > updates and self._step.previous is not None:
            _copy_whole([self._network.flat_parameters], [self._step.previous])
        snapshot.put_back()
        self._start = None


def _copy_whole(to: Sequence[Array], kept: Sequence[Array]) -> None:
    """Copy all arrays. Ctrl-C meanwhile is raised when the copy is whole."""
    late: KeyboardInterrupt | None = None
    while True:
        try:
            for live, array in zip(to, kept, strict=True):
                np.copyto(live, array)
            break
        except KeyboardInterrupt as interrupt:
            late = interrupt
    if late is not None:
        raise late
