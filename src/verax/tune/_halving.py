"""Successive halving: all trials for a few epochs, the best of them for more."""

from __future__ import annotations

from dataclasses import dataclass

from verax.findings import InputError


@dataclass(frozen=True)
class Halving:
    """Drops all but the best share of the trials at each rung (Jamieson and Talwalkar 2016).

    All trials of a study (of a generation, where a model proposes) are trained to the first rung; the best go on to the
    next, and so on. They are compared at the same epoch, so the result does not depend on which finished first.

    Attributes:
      factor: one in so many goes on; also by how much each rung is longer than the one before.
      first: epochs of the first rung.

    Raises:
      InputError: if the factor is below 2, or `first` below 1.

    Example:
      >>> Halving(factor=3, first=1).rungs(10)
      [1, 3, 9]
    """

    factor: int = 3
    first: int = 1

    def __post_init__(self) -> None:
        for name, least in (("factor", 2), ("first", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} of a Halving must be a whole number of at least {least}, got {value!r}.")

    def rungs(self, epochs: int) -> list[int]:
        """Returns the epochs at which trials are compared, all before the end."""
        rungs, at = [], self.first
        while at < epochs:
            rungs.append(at)
            at *= self.factor
        return rungs

    def survivors(self, trials: int) -> int:
        """Returns how many of some trials go on: at least one."""
        return max(1, trials // self.factor)
