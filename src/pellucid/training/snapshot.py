"""Copies of a network's numbers to go back to: after a NaN, after Ctrl-C, to the best epoch."""

from __future__ import annotations

import numpy as np

from pellucid.network import Network


class Snapshot:
    """A copy of a network's parameters and running statistics, and of its step.

    Args:
        network: what to copy; the copy is taken at once.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._live = [network.flat_parameters, *network.state.values()]
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
        late: KeyboardInterrupt | None = None
        while True:
            try:
                for kept, live in zip(self.kept, self._live, strict=True):
                    np.copyto(live, kept)
                break
            except KeyboardInterrupt as interrupt:
                late = interrupt
        if late is not None:
            raise late


class LastGood:
    """What a network was before the step in progress, and before the last step whose loss was finite.

    A step runs from :meth:`begin` to :meth:`end`; :meth:`confirm`, in between, says that its loss is finite. There are
    two snapshots, because the numbers before a step are good only once the loss is known, and until then those before
    the last step must be kept. What is in use changes by assigning one name, which Ctrl-C cannot split.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._good, self._spare = Snapshot(network), Snapshot(network)
        self._start: Snapshot | None = None

    def begin(self) -> None:
        """Keep the numbers a step starts from."""
        self._spare.take()
        self._start = self._spare

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

    def _return_to(self, snapshot: Snapshot) -> None:
        self._start = snapshot  # so that recover, after Ctrl-C in here, ends at the same place
        self._network.step = snapshot.step
        snapshot.put_back()
        self._start = None
