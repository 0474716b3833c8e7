"""A step size that is tuned to an acceptance during thermalisation and then kept."""

from math import exp

from csd.core.errors import check_positive

SPAN = 1e9
"""Largest ratio of a tuned step and the initial one, either way."""


class Tuned:
    """ln step ← ln step + (accepted − acceptance) · 2/√j at the j-th adaptation (Robbins and Monro).

    Args:
        name: of the step, for messages.
        given: the step, which is then not changed; None for one to be tuned.
        start: the initial step, if it is to be tuned.
        acceptance: the acceptance to be reached.

    Raises:
        InputError: if the given step is not a finite number above 0.
    """

    def __init__(self, name: str, given: float | None, start: float, acceptance: float) -> None:
        self.start, self.value = start, start if given is None else float(check_positive(name, given))
        self.free = given is None
        self.acceptance = acceptance
        self._adapted = 0

    def adapt(self, accepted: float) -> None:
        """Change the step according to the accepted fraction."""
        if self.free:
            self._adapted += 1
            changed = self.value * exp((accepted - self.acceptance) * 2.0 / self._adapted**0.5)
            # Where all steps are accepted, or none, it would become infinite or 0.
            self.value = min(max(changed, self.start / SPAN), self.start * SPAN)
