"""The order of the examples, a pure function of seed, purpose and epoch.

Orders are drawn on the host: every order is equally likely, NumPy needs a millisecond for 60,000 examples, and there is
no program to compile. Philox is a counter-based generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1,
2, 3"). A test holds known orders, so that a NumPy release that drew others would be noticed (NEP 19 allows it).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

# Frozen: a number is never given to another purpose, or old runs could not be replayed.
SHUFFLE_EXAMPLES = 1
SPLIT_EXAMPLES = 2


def epoch_order(size: int, seed: int, epoch: int) -> Int[np.ndarray, "examples"]:
    """Returns the order in which an epoch visits the examples: a permutation of `range(size)`, int32.

    The same arguments give the same order in every process; epochs are independent, so any one can be replayed alone.

    Args:
      size: number of examples, below 2**31.
      seed: of the run, not negative.
      epoch: counted from 0.

    Raises:
      ValueError: if an argument is out of range.

    Example:
      >>> epoch_order(5, seed=0, epoch=0).tolist() == epoch_order(5, seed=0, epoch=0).tolist()
      True
    """
    return permutation(size, seed, SHUFFLE_EXAMPLES, epoch)


def permutation(size: int, seed: int, purpose: int, epoch: int = 0) -> Int[np.ndarray, "examples"]:
    """Returns a permutation of `range(size)` that depends on nothing but the arguments."""
    for name, value in {"size": size, "seed": seed, "epoch": epoch}.items():
        if value < 0:
            raise ValueError(f"{name} must not be negative, got {value}.")
    if size >= 2**31:
        raise ValueError(f"size must be below 2**31, got {size}.")
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, purpose, epoch])))
    return generator.permutation(size).astype(np.int32)
