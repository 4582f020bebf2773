"""A perceptron with room to spare in the place of a model: what a model that is too small is held against."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._probe import NotApplicable, Repair
from verax.doctor._subject import Subject
from verax.doctor.probes._signal import Signal
from verax.network import Network, Variables
from verax.trees import Tree

WIDTHS = (128, 128)
HEADS = {"softmax": jax.nn.softmax, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "softplus": jax.nn.softplus}


def perceptron_repair(subject: Subject, signal: Signal) -> Repair:
    """Returns the repair that puts a perceptron in the place of the model, with its output activation.

    Raises:
      NotApplicable: if the model takes or gives something else than one array of numbers for each row.
    """
    inputs, outputs = (jax.tree.leaves(tree) for tree in (subject.batch.inputs, _outputs(subject)))
    if len(inputs) != 1 or len(outputs) != 1 or not jnp.issubdtype(inputs[0].dtype, jnp.floating):
        raise NotApplicable("no reference model is known for these inputs and outputs.")
    shape = np.shape(outputs[0])[1:]
    structure = jax.tree.structure(_outputs(subject))
    last = [layer for layer in signal.layers if layer.role == "output"]
    head = _head(last[-1].function if last else "", np.asarray(outputs[0]))

    def init(key: Any, inputs: Tree) -> Variables:
        columns = int(np.prod(np.shape(jax.tree.leaves(inputs)[0])[1:]))
        sizes = [columns, *WIDTHS, int(np.prod(shape))]
        keys = jax.random.split(key, len(sizes) - 1)
        layers = [
            {"kernel": jax.random.normal(key, (fan_in, fan_out)) * (2 / fan_in) ** 0.5, "bias": jnp.zeros(fan_out)}
            for key, fan_in, fan_out in zip(keys, sizes, sizes[1:], strict=False)
        ]
        return Variables({f"layer_{number}": layer for number, layer in enumerate(layers)}, {})

    def apply(variables: Variables, inputs: Tree, key: Any, training: bool) -> tuple[Tree, Tree]:
        (x,) = jax.tree.leaves(inputs)
        x = x.reshape(x.shape[0], -1)
        for number in range(len(WIDTHS) + 1):
            layer = variables.params[f"layer_{number}"]
            x = x @ layer["kernel"] + layer["bias"][None]
            x = jax.nn.relu(x) if number < len(WIDTHS) else head(x)
        return jax.tree.unflatten(structure, [x.reshape(x.shape[0], *shape)]), variables.model_state

    network = Network(init, apply, name="perceptron")

    def evaluate(variables: Variables, inputs: Tree, key: Any) -> Tree:
        return apply(variables, inputs, key, False)[0]

    name = f"a perceptron of {' and '.join(map(str, WIDTHS))} hidden units in its place"
    return Repair(name, lambda subject: subject.changed(network=network, evaluate=evaluate))


def _outputs(subject: Subject) -> Tree:
    return subject.evaluated(subject.variables, subject.batch.inputs, subject.noise(0))


def _head(function: str, outputs: np.ndarray) -> Any:
    """Returns the model's output activation, so that the loss is given what it expects."""
    logs = outputs.ndim > 1 and outputs.shape[-1] > 1 and outputs.max() <= 1e-6
    if logs and np.allclose(np.exp(outputs.astype(np.float64)).sum(axis=-1), 1, atol=1e-3):
        return jax.nn.log_softmax
    return HEADS.get(function, lambda x: x)
