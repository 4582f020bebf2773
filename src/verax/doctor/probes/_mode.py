"""Is there noise where there should be none, none where there should be, and is it new at every step?"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._probe import Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._points import distance, marks, row_count, rows_of, stirred
from verax.findings import Finding
from verax.jaxpr import Equation, flow
from verax.trees import is_key

DRAWS = ("random_bits", "random_gamma", "threefry2x32")
COMPARISONS = ("lt", "le", "gt", "ge")
KEYED = frozenset(["key"])
FIXED, FRESH, MASK = "fixed", "fresh", "mask"  # drawn from a constant, from a key that was given; compared with a rate


def look_at_evaluation_noise(subject: Subject) -> Seen:
    """Reads which draws reach the outputs in evaluation, and evaluates with two keys."""
    evaluation, training = noise_of(subject)
    if FRESH not in evaluation:
        return Seen("no random number that depends on a key reaches the outputs in evaluation.")
    variables, inputs = stirred(subject), subject.batch.inputs
    rows = row_count(inputs)
    first = rows_of(subject.evaluated(variables, inputs, subject.noise(0)), rows)
    other = variables._replace(model_state=jax.tree.map(_other_key, variables.model_state))
    second = rows_of(subject.evaluated(other, inputs, subject.noise(1)), rows)
    felt = distance(first, second, first)
    compared = f"outputs for two keys in evaluation: they differ by {felt:.2g} of their spread."
    if not felt:
        return Seen(compared)
    message = f"two evaluations of the same rows differ by {felt:.2g} of the spread of the outputs"
    evidence = (f"random numbers reach the outputs in evaluation{', and in training' if FRESH in training else ''}",)
    if FRESH in training or MASK in evaluation:
        advice = "Turn noise off in evaluation: deterministic=not train, is_training, model.eval() or inference_mode."
        found = [
            Finding(
                "train-mode-at-eval",
                "error",
                f"{message}: noise of the training is on.",
                advice,
                None,
                "model",
                evidence,
                1.0,
            )
        ]
        if FRESH not in training:
            message = "the noise is on in evaluation and off in training: the mode is the wrong way round."
            found.append(Finding("eval-mode-in-training", "error", message, advice, None, "model", evidence, 1.0))
        return Seen(compared, tuple(found))
    advice = "Take the mean or the mode in place of a sample, or average over many of them."
    finding = Finding("nondeterministic-eval", "error", f"{message}.", advice, None, "model", evidence, 1.0)
    return Seen(compared, (finding,))


def look_at_training_noise(subject: Subject) -> Seen:
    """Compares the outputs in training for two keys, where random numbers are drawn."""
    evaluation, training = noise_of(subject)
    if not training & {FIXED, FRESH}:
        return _without_noise(subject, evaluation)
    variables, batch = stirred(subject), subject.batch
    rows = row_count(batch.inputs)

    def outputs(step: int, model_state: Any) -> tuple[np.ndarray, Any]:
        (_, (given, after)), _ = subject.gradient(variables.params, model_state, batch, subject.noise(step))
        return rows_of(given, rows), after

    first, after = outputs(0, variables.model_state)
    second, _ = outputs(1, after)
    felt = distance(first, second, first)
    compared = f"outputs in training at two steps: they differ by {felt:.2g} of their spread."
    plain = rows_of(subject.evaluated(variables, batch.inputs, subject.noise(0)), rows)
    active = distance(plain, first, plain)
    if felt or not active or (training == evaluation and FRESH not in training):
        return Seen(compared)
    constant = FIXED in training
    cause = "its key is a constant of the program" if constant else "the key of the step does not change it"
    message = f"the noise of the training is the same at every step: {cause}."
    evidence = (
        f"outputs with two keys differ by {felt:.2g} of their spread",
        f"outputs with and without noise differ by {active:.2g} of it",
    )
    advice = "Draw from the key that is passed in, and pass a new one at each step: jax.random.fold_in(key, step)."
    return Seen(compared, (Finding("fixed-dropout-key", "error", message, advice, None, "model", evidence, 1.0),))


def _without_noise(subject: Subject, evaluation: frozenset[str]) -> Seen:
    """A program that draws nothing in training: has it dropout all the same?"""
    with _dropout_calls() as rates:
        jax.make_jaxpr(lambda *args: subject.forward(*args))(subject.variables, subject.batch.inputs, subject.noise(0))
    if not rates or FRESH in evaluation:  # the other probe says so
        return Seen("no random number reaches the outputs in training, and no dropout was called.")
    message = f"dropout of rate {max(rates):g} is called in training and draws nothing ({len(rates)} calls)."
    advice = "Pass train=True to the model in training (deterministic=False, model.train()), or remove the layer."
    return Seen(
        "dropout layers called in training, and what they draw.",
        (Finding("eval-mode-in-training", "warning", message, advice, None, "model", (), 0.9),),
    )


def noise_of(subject: Subject) -> tuple[frozenset[str], frozenset[str]]:
    """Returns what kinds of random numbers reach the outputs in evaluation and in training."""
    given = marks(subject, model_state=KEYED, key=KEYED)
    evaluation = flow(subject.evaluation_program, given, _drawn, frozenset.union)
    training = flow(subject.training_program, given, _drawn, frozenset.union)[: len(evaluation)]
    kinds = [frozenset().union(*(each or () for each in outputs)) - KEYED for outputs in (evaluation, training)]
    return kinds[0], kinds[1]


def _drawn(equation: Equation, known: Sequence[Any]) -> frozenset[str] | None:
    words: frozenset[str] = frozenset().union(*(each or () for each in known))
    name = equation.eqn.primitive.name
    if name in DRAWS:
        return frozenset([FRESH if words & KEYED or FRESH in words else FIXED])
    if name in COMPARISONS and words & {FRESH, FIXED}:
        words |= {MASK}
    return words or None


def _other_key(leaf: Any) -> Any:
    """Returns another random key for a key (typed or two words); any other leaf as it is."""
    if is_key(leaf):
        return jax.random.wrap_key_data(jax.random.key_data(leaf) + 1, impl=jax.random.key_impl(leaf))
    is_words = getattr(leaf, "dtype", None) == jnp.uint32 and np.shape(leaf)[-1:] == (2,)
    return leaf + jnp.uint32(1) if is_words else leaf


@contextmanager
def _dropout_calls() -> Iterator[list[float]]:
    """Collects the rates of the dropout layers that are called; of libraries that are not imported none can be."""
    rates: list[float] = []
    with ExitStack() as stack:
        linen = sys.modules.get("flax.linen")
        if linen is not None:

            def note(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
                if isinstance(context.module, linen.Dropout) and context.method_name == "__call__":
                    _add(rates, context.module.rate)
                return call(*args, **kwargs)

            stack.enter_context(linen.intercept_methods(note))
        for module, rate in (("flax.nnx", "rate"), ("equinox.nn", "p")):
            layer = getattr(sys.modules.get(module), "Dropout", None)
            if layer is not None:
                stack.enter_context(mock.patch.object(layer, "__call__", _noting(layer.__call__, rate, rates)))
        yield rates


def _noting(call: Any, rate: str, rates: list[float]) -> Any:
    def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
        _add(rates, getattr(self, rate))
        return call(self, *args, **kwargs)

    return noting


def _add(rates: list[float], rate: Any) -> None:
    if isinstance(rate, int | float) and 0 < rate < 1:
        rates.append(float(rate))


PROBES = (
    Probe(
        "determinism of the evaluation",
        ("train-mode-at-eval", "nondeterministic-eval", "eval-mode-in-training"),
        look_at_evaluation_noise,
    ),
    Probe("noise of the training", ("fixed-dropout-key", "eval-mode-in-training"), look_at_training_noise),
)
