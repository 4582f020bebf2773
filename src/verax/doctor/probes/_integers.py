"""Integer inputs where floating point is needed: arithmetic that wraps around, standardised tables cut to integers."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._consumers import integer_uses
from verax.doctor.probes._tables import table
from verax.findings import Finding, Split

SAME = 1e-3  # of the outputs' spread: beyond rounding of the products, far below what a wrapped number does
CUT_COLUMNS = 4  # columns that must look alike: of fewer a mean of 0 and a deviation of 1 may be chance


def look(subject: Subject) -> Seen:
    """Returns integer inputs that are computed with in their own narrow type, or that were standardised before."""
    leaves = jax.tree.leaves(subject.batch.inputs)
    places = [place for place, leaf in enumerate(leaves) if leaf.dtype.kind in "iu"]
    if not places:
        raise NotApplicable("no input is an integer.")
    uses = integer_uses(subject)
    findings = []
    for place in sorted(uses.narrow.keys() & uses.numbers):
        difference = _difference(subject, place)
        if difference > SAME:
            dtype, equation = leaves[place].dtype, uses.narrow[place]
            message = f"the network computes with {dtype} inputs in {dtype}, which wraps around: its outputs differ by "
            message += f"{difference:.2g} of their spread from those for the same numbers as float32."
            advice = "Cast first: x.astype(jnp.float32), then subtract and divide."
            evidence = (f"the operation is {equation.eqn.primitive.name} at {equation.place}",)
            where = equation.place.span
            findings.append(Finding("integer-input", "error", message, advice, where, "data", evidence, 1.0))
    if not findings and uses.numbers and _was_cut(subject, places):
        message = (
            "integer inputs have mean 0 and deviation 1 in every column: a standardised table was cut to integers."
        )
        advice = "Keep inputs as float32: drop the cast to an integer type, which leaves a few levels of each column."
        values = table(subject, "train").values
        levels = np.median([len(np.unique(column)) for column in values.T])
        evidence = (f"{levels:g} levels a column", f"deviations {_range(values.std(axis=0))}")
        findings.append(Finding("integer-input", "warning", message, advice, Split("train"), "data", evidence, 0.9))
    kinds = ", ".join(str(leaves[place].dtype) for place in places)
    return Seen(f"{kinds} inputs; {len(uses.numbers)} of {len(places)} are computed with", tuple(findings))


def _difference(subject: Subject, place: int) -> float:
    """Returns by how much outputs change, in their spread, if an input is given in floating point."""
    inputs, variables, key = subject.probe.inputs, subject.variables, subject.noise(0)
    given = subject.evaluated(variables, inputs, key)
    try:
        wide = subject.evaluated(variables, _as_float(place)(inputs), key)
    except (TypeError, ValueError):  # something in it takes integers alone
        return 0.0
    pairs = zip(jax.tree.leaves(given), jax.tree.leaves(wide), strict=True)
    differences = [
        float(np.abs(np.asarray(a) - np.asarray(b)).max()) / (np.ptp(np.asarray(b)) + 1e-30) for a, b in pairs
    ]
    return float(max(differences, default=0.0))


def _as_float(place: int) -> Callable[[object], object]:
    def change(tree: object) -> object:
        leaves, structure = jax.tree.flatten(tree)
        leaves[place] = leaves[place].astype(np.float32)
        return jax.tree.unflatten(structure, leaves)

    return change


def _was_cut(subject: Subject, places: list[int]) -> bool:
    """Returns whether nearly all columns are such as a standardised one is after it was cut or rounded.

    A standard normal number has deviation 0.70 after it is cut towards zero, 1.04 after it is rounded; one that is
    uniform with deviation 1 has 0.65 and 1.05. Its mean stays about 0.
    """
    whole = table(subject, "train")
    if [place for _, place, _ in whole.leaves] != places or whole.values.shape[1] < CUT_COLUMNS:
        return False
    mean, spread = whole.values.mean(axis=0), whole.values.std(axis=0)
    like = (np.abs(mean) < 0.25) & (spread > 0.5) & (spread < 1.2) & (whole.values.min(axis=0) < 0)
    return bool(like.mean() >= 0.9)


def _range(values: np.ndarray) -> str:
    return f"{values.min():.2g} to {values.max():.2g}"


PROBES = (Probe("integer inputs", ("integer-input",), look),)
