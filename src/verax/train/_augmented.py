"""What an augmentation makes of a batch, traced before the first step: its errors do not blame the network."""

from __future__ import annotations

from typing import Any

import jax

from verax.data import Batch
from verax.findings import InputError
from verax.network import Network
from verax.train._objective import Objective
from verax.train._step import Augment
from verax.train._tracing_errors import explained, tree_text


def check_augmented(
    augment: Augment, network: Network, objective: Objective, shapes: Any, batch: Batch, key: Any
) -> None:
    """Traces network and loss on what an augmentation makes of a batch; computes nothing.

    Args:
      augment: `(key, batch) -> batch`.
      network: the model.
      objective: fitted to the training split.
      shapes: of the network's variables.
      batch: as the augmentation is given it.
      key: a typed key.

    Raises:
      InputError: if the augmentation, the network or the loss fails, naming which.
    """
    changed = augmented_shapes(augment, batch, key)
    with explained(f"the network {network.name}", {"augmented inputs": changed.inputs}):
        outputs: Any = jax.eval_shape(lambda v, x, k: network.apply(v, x, key=k)[0], shapes, changed.inputs, key)
    with explained("the loss", {"outputs": outputs, "augmented targets": changed.targets}):
        jax.eval_shape(objective.losses, outputs, changed)


def augmented_shapes(augment: Augment, batch: Batch, key: Any) -> Batch:
    """Returns the shapes of an augmented batch; computes nothing.

    Args:
      augment: `(key, batch) -> batch`.
      batch: a batch, or its shapes.
      key: a typed key, or its shape.

    Raises:
      InputError: if the augmentation fails, gives no Batch, or changes the number of examples or the weights' shape.
    """
    with explained("the augmentation", {"inputs": batch.inputs, "targets": batch.targets}):
        changed: Any = jax.eval_shape(augment, key, batch)
    if not isinstance(changed, Batch):
        raise InputError(
            f"the augmentation must return a Batch, got {type(changed).__name__}. "
            "Return batch._replace(inputs=...) with what it changes."
        )
    examples = batch.weight.shape[0]
    wrong = [leaf for leaf in jax.tree.leaves((changed.inputs, changed.targets)) if leaf.shape[:1] != (examples,)]
    if wrong or getattr(changed.weight, "shape", None) != batch.weight.shape:
        raise InputError(
            f"the augmentation must keep the {examples} examples of a batch and their weights, got inputs "
            f"{tree_text(changed.inputs)}, targets {tree_text(changed.targets)}, weight {tree_text(changed.weight)}."
        )
    return changed
