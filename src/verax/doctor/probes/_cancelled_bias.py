"""Is a bias learnt that the normalisation after it takes out again?"""

from __future__ import annotations

import jax
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._bias_terms import subtracted
from verax.doctor.probes._points import stirred
from verax.findings import Finding, Leaf
from verax.trees import is_floating

# Of the largest gradient. Sums of float32 numbers that cancel leave some 1e-7 of their terms, and the division by a
# small deviation enlarges that; the proof is in the program, and this only confirms it.
ROUNDING = 1e-3


def look(subject: Subject) -> Seen:
    """Follows every bias to the outputs in training: by no other way than values whose mean is subtracted."""
    leaves = jax.tree.leaves(subject.variables.params)
    biases = {
        index: tuple(np.shape(leaf))
        for index, leaf in enumerate(leaves)
        if is_floating(leaf) and sum(size > 1 for size in np.shape(leaf)) <= 1
    }
    if not biases:
        raise NotApplicable("there are no parameters of one axis.")
    outputs = len(jax.tree.leaves(jax.eval_shape(subject.forward, *_given(subject))[0]))
    found = subtracted(subject.training_program, biases, outputs)
    compared = f"{len(biases)} parameters of one axis at most: means take {len(found)} of them out again."
    if not found:
        return Seen(compared)
    sizes = _gradients(subject)
    zero = [index for index in found if sizes[index] <= ROUNDING * sizes.max()]
    if not zero:
        return Seen(f"{compared} Their gradients are not zero all the same.")
    names = [subject.paths[index] for index in zero]
    first = found[zero[0]]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    message = f"{shown}: learnt in vain, since the mean that is subtracted afterwards takes it out again."
    evidence = (
        f"largest gradient of {names[0]} {sizes[zero[0]]:.1g}, of all parameters {sizes.max():.2g}",
        f"the mean{f' over axes {first.axes}' if first.axes else ''} is subtracted in {first.equation.place}",
    )
    advice = "Leave the bias out (use_bias=False): the normalisation has a shift of its own."
    where = Leaf(f"params/{names[0]}")
    return Seen(
        compared, (Finding("redundant-bias-before-norm", "info", message, advice, where, "model", evidence, 1.0),)
    )


def _given(subject: Subject) -> tuple[object, object, object]:
    return subject.variables, subject.batch.inputs, subject.noise(0)


def _gradients(subject: Subject) -> np.ndarray:
    """Returns the largest gradient of each parameter, at weights without the zeros of an initialisation."""
    params, model_state = stirred(subject)
    _, grads = subject.gradient(params, model_state, subject.batch, subject.noise(0))
    return np.array([np.abs(np.asarray(leaf, np.float64)).max(initial=0.0) for leaf in jax.tree.leaves(grads)])


PROBES = (Probe("biases before a normalisation", ("redundant-bias-before-norm",), look),)
