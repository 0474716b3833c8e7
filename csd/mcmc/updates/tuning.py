"""A step size that finds its acceptance while a chain thermalises, and stays as it is afterwards."""

from math import exp

from csd.core.errors import check_positive


class Tuned:
    """ln step ← ln step + (accepted − acceptance) · 2/√j at the j-th adaptation (Robbins and Monro).

    Args:
        name: of the step, for messages.
        given: the step, which then stays; None: to be tuned.
        start: the first one tried.
        acceptance: to aim at.

    Raises:
        InputError: if the given step is not a finite number above 0.
    """

    def __init__(self, name: str, given: float | None, start: float, acceptance: float) -> None:
        self.value = start if given is None else float(check_positive(name, given))
        self.free = given is None
        self.acceptance = acceptance
        self._adapted = 0

    def adapt(self, accepted: float) -> None:
        """Follow the fraction that was accepted."""
        if self.free:
            self._adapted += 1
            self.value *= exp((accepted - self.acceptance) * 2.0 / self._adapted**0.5)
