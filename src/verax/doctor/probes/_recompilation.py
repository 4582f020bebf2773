"""Batches whose shapes or types differ, each of which JAX compiles the step for."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from typing import Any

import jax
import numpy as np

from verax.data import Batch
from verax.doctor._probe import Probe, Seen
from verax.doctor._subject import Subject, on_device
from verax.findings import Finding
from verax.network import Variables
from verax.train._optimizer import with_standard_promotion
from verax.trees import Tree, shape_text

FEW = 3  # the first program, the last batch of an epoch, one more
OFTEN = 0.1  # of the planned steps that compile
MANY = 10  # by the end of the run, where every epoch brings new ones
EPOCHS = 8  # that are read
SECONDS = 2.0  # for reading them
WAITING = 5  # times the step that a reader takes, where a step takes more than a millisecond


def look(subject: Subject) -> Seen:
    """Reads the first epochs as the program does and counts what the step would be compiled for."""
    start = time.perf_counter()
    seen: Counter[Any] = Counter()
    new: list[int] = []
    for epoch in range(min(EPOCHS, subject.epochs)):
        before = len(seen)
        batches = subject.first_epoch if epoch == 0 else subject.batches_of(epoch)
        seen.update(_signature(batch) for batch in batches)
        new.append(len(seen) - before)
        if time.perf_counter() - start > SECONDS:
            break
    compared = f"{len(seen)} kinds of batches among {seen.total()} in {len(new)} epochs"
    at_the_end = len(seen) + (np.mean(new[1:]) * (subject.epochs - len(new)) if len(new) > 1 and all(new[1:]) else 0)
    if len(seen) <= FEW or not (at_the_end > MANY or len(seen) > OFTEN * max(subject.steps, seen.total())):
        return Seen(compared)
    seconds = _seconds_to_compile(subject)
    sizes = Counter({shapes[0][0]: 0 for shapes, _ in seen})
    for (shapes, _), times in seen.items():
        sizes[shapes[0][0]] += times
    said = f"the batches of {len(new)} epochs have {len(seen)} different shapes: the step is compiled for each."
    shown = ", ".join(str(size) for size in itertools.islice(sorted(sizes), 12))
    evidence = (
        f"{len(seen)} programs for {seen.total()} batches, {new[-1]} of them new in epoch {len(new)}",
        f"examples in a batch: {shown}{', ...' if len(sizes) > 12 else ''}",
        f"one compilation of the gradient took {seconds:.2f} s: about {seconds * len(seen):.0f} s so far",
    )
    advice = "Give all batches one size: drop the last rows of an epoch, or pad them and give them weight 0."
    finding = Finding("recompilation", "error", said, advice, None, "batches", evidence, 0.95)
    return Seen(compared, (finding,))


def _signature(batch: Batch) -> Any:
    """Returns what decides whether a batch needs a program of its own."""
    leaves, structure = jax.tree.flatten((batch.inputs, batch.targets))
    return tuple((*np.shape(leaf), str(leaf.dtype)) for leaf in leaves), structure


def _seconds_to_compile(subject: Subject) -> float:
    start = time.perf_counter()
    function = jax.jit(jax.value_and_grad(subject.objective, has_aux=True))
    function.lower(*subject.variables, subject.batch, subject.noise(0)).compile()
    return time.perf_counter() - start


def types(subject: Subject) -> Seen:
    """Compares the types of parameters, model state and optimizer state before and after a step."""
    params, model_state = subject.variables
    shapes = jax.eval_shape(subject.objective, params, model_state, subject.batch, subject.noise(0))
    after_state = shapes[1][1]
    update = with_standard_promotion(subject.optimizer).update
    _, after_optimizer = jax.eval_shape(update, params, subject.opt_state, params)
    found = []
    for what, before, after, part in (
        ("model state", model_state, after_state, "model"),
        ("optimizer state", subject.opt_state, after_optimizer, "optimizer"),
    ):
        changed = _changed(before, after)
        if changed:
            said = (
                f"the {what} changes its type at the first step, so the second compiles anew: {', '.join(changed[:3])}."
            )
            advice = "Create it in the type that it has later."
            found.append(Finding("dtype-promotion", "info", said, advice, None, part))  # pyright: ignore[reportArgumentType]
    return Seen("types before and after a step", tuple(found))


def _changed(before: Tree, after: Tree) -> list[str]:
    """Returns the leaves whose type changes, with both types."""
    if jax.tree.structure(before) != jax.tree.structure(after):
        return []
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return [f"{shape_text(a)} to {shape_text(b)}" for a, b in pairs if a.dtype != b.dtype or a.shape != b.shape]


def waiting(subject: Subject) -> Seen:
    """Times the reader of the batches, and a step."""
    variables: Variables = subject.variables
    start = time.perf_counter()
    read = list(itertools.islice(subject.batches_of(0), 8))
    reading = (time.perf_counter() - start) / len(read)
    batch, key = on_device(read[0]), subject.noise(0)
    times = []
    for _ in range(4):  # the first may compile
        start = time.perf_counter()
        jax.block_until_ready(subject.gradient(*variables, batch, key))
        times.append(time.perf_counter() - start)
    step = min(times)
    compared = f"a batch is read in {reading * 1000:.2g} ms, its gradient takes {step * 1000:.2g} ms"
    if not (reading > WAITING * step and reading > 1e-3):
        return Seen(compared)
    advice = "Prepare batches ahead, in another thread or process, or keep the data on the device."
    said = f"reading a batch takes {reading / step:.1f} times as long as its gradient."
    return Seen(compared, (Finding("data-starvation", "info", said, advice, None, "batches"),))


PROBES = (
    Probe("shapes of the batches", ("recompilation",), look),
    Probe("types of the states", ("dtype-promotion",), types),
    Probe("time for reading", ("data-starvation",), waiting),
)
