"""Why the loss or the gradients of one training step are not finite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from verax.data import Batch
from verax.debug._nonfinite import find_nonfinite
from verax.findings import Finding, Leaf, Split
from verax.network import Variables, as_network
from verax.train import Objective
from verax.trees import Tree


def nonfinite_findings(
    network: Any, objective: Objective, variables: Variables, batch: Batch, key: Any = None
) -> tuple[Finding, ...]:
    """Returns why a training step gives a loss or gradients that are not finite; empty if they are.

    Args:
      network: a model of any library that `vx.as_network` takes.
      objective: the task.
      variables: parameters and model state before the step.
      batch: the batch of the step, augmented if it was.
      key: the step's random key; None for training without noise, where the network can do that.

    Example:
      >>> apply = lambda params, inputs: jnp.log(inputs @ params)
      >>> batch = Batch(jnp.array([[1.0], [0.0]]), jnp.zeros((2, 1)), jnp.ones(2))
      >>> network = (lambda key, inputs: jnp.ones((1, 1)), apply)
      >>> (finding,) = nonfinite_findings(network, vx.regression(), Variables(jnp.ones((1, 1)), {}), batch)
      >>> finding.id, finding.message
      ('log-of-zero', 'log of 0 is -inf (next to params; row 1 of 2, counted from 0).')
    """
    bound = objective.bind(as_network(network))

    def loss(params: Tree, batch: Batch) -> Any:
        value = bound(variables._replace(params=params), batch, key, True)
        return value.total / value.weight

    found = find_nonfinite(loss, variables.params, batch)
    if found is None:
        return ()
    finding = found.finding
    if found.phase == "input" and found.leaf.startswith("params"):
        return (replace(finding, id="non-finite-parameter", where=Leaf(found.leaf)),)
    if found.phase == "input":
        return (replace(finding, where=Split(found.leaf, found.index[0] if found.index else None)),)
    return (finding,)
