"""Every random key from (seed, purpose, step), and the generator that draws noise inside a step."""

from __future__ import annotations

from typing import Any

import jax

from verax.jaxpr import straight_threefry

# Frozen: a number that was given is never given again, or old runs could not be replayed.
PURPOSES = {"init": 0, "noise": 1, "augment": 2}


def base_key(seed: int) -> Any:
    """Returns the key of a run. It never advances: it is stored once and every other key is derived from it.

    The generator is Threefry whatever `jax_default_prng_impl` says, so that a seed means the same everywhere.
    """
    return jax.random.key(seed, impl="threefry2x32")


def purpose_key(key: Any, purpose: str, step: Any = 0) -> Any:
    """Returns the key for one purpose at one step.

    Args:
      key: the run's base key.
      purpose: a name in `PURPOSES`.
      step: which use of it; may be traced.

    Raises:
      ValueError: if the purpose is unknown.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"purpose must be one of {', '.join(PURPOSES)}, got {purpose!r}.")
    return jax.random.fold_in(jax.random.fold_in(key, PURPOSES[purpose]), step)


def init_key(key: Any) -> Any:
    """Returns the key that draws the initial weights: the bits of `purpose_key(key, "init")`, of the generator of
    `noise_key`, whose draws compile several times faster."""
    return purpose_key(_fast(key), "init")


def noise_key(key: Any, step: Any, once: bool = False) -> Any:
    """Returns the key that a training step gives to the network: the bits of `purpose_key(key, "noise", step)`.

    It is of the generator `straight_threefry(once)`, which draws JAX's own bits several times faster on CPU.
    """
    return purpose_key(_fast(key, once), "noise", step)


def augment_key(key: Any, step: Any) -> Any:
    """Returns the key that a training step gives to the augmentation: the bits of `purpose_key(key, "augment", step)`,
    of the generator of `noise_key`."""
    return purpose_key(_fast(key), "augment", step)


def _fast(key: Any, once: bool = False) -> Any:
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=straight_threefry(once))
