"""Do the outputs depend on the inputs, on all of them, and in a sequence on no later one?"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._points import FELT, distance, marks, row_count, rows_of, stirred
from verax.findings import Finding
from verax.jaxpr import Equation, evaluate, flow
from verax.trees import Tree

POSITIONS = 64  # of an axis that are looked at, evenly spaced
MOST = 0.5  # of the positions of an axis ignored: a design that reads less than half of what it is given is no design
SHIFTED = 0.99  # of the targets are the next input: a language model
RECTIFIERS = ("max", "select_n", "clamp")


def look_at_inputs(subject: Subject) -> Seen:
    """Follows the inputs to the outputs, then moves them and looks whether the outputs move."""
    given = marks(subject, inputs=True)
    ways = [flow(program, given, _reaches, lambda one, _: one) for program in _programs(subject)]
    if not any(any(way) for way in ways):
        message = "no operation leads from the inputs to the outputs."
        return Seen(message, (_ignored(message, None),))
    inputs, key, variables = subject.batch.inputs, subject.noise(0), stirred(subject)
    rows = row_count(inputs)
    if rows < 2 or all(_constant(leaf) for leaf in jax.tree.leaves(inputs)):
        raise NotApplicable("the rows of the first batch are all the same.")
    outputs = rows_of(subject.evaluated(variables, inputs, key), rows)
    started = rows_of(subject.evaluated(subject.variables, inputs, key), rows)
    if not np.isfinite(outputs).all():
        raise NotApplicable("the outputs are not finite.")
    spread = float(np.max(np.ptp(outputs, axis=0)))
    if spread <= 1e-7 * float(np.max(np.abs(outputs))) and _constant(started):
        lost = _where_lost(subject, variables)
        compared = f"outputs of {rows} different rows: they are all the same."
        if lost is not None and lost.eqn.primitive.name in RECTIFIERS:
            return Seen(f"{compared} Units that are silent on all rows are why.")
        after = f": after {lost.eqn.primitive.name} in {lost.place} nothing is left of them" if lost else ""
        return Seen(compared, (_ignored(f"the outputs are the same for {rows} different rows{after}.", lost),))
    return _by_position(subject, variables, outputs, spread)


def _programs(subject: Subject) -> tuple[Any, Any]:
    return subject.evaluation_program, subject.training_program


def _reaches(equation: Equation, known: Any) -> bool | None:
    del equation
    return True if any(known) else None


def _constant(leaf: Any) -> bool:
    values = np.asarray(leaf)
    return bool((values == values[:1]).all())


def _ignored(message: str, lost: Equation | None) -> Finding:
    advice = "Look where they are overwritten, masked, rounded, or normalised over an axis of length one."
    return Finding("input-ignored", "error", message, advice, lost.place.span if lost else None, "model", (), 1.0)


def _where_lost(subject: Subject, variables: Any) -> Equation | None:
    """Returns the first equation that gives the same for all rows though its operands differ between rows."""
    program, found = subject.evaluation_program, []
    values = jax.tree.leaves((variables, subject.batch.inputs, subject.noise(0)))
    rows = row_count(subject.batch.inputs)

    def visit(equation: Equation, inputs: Any, outputs: Any, turns: tuple[int, ...]) -> None:
        del turns
        if not found and any(map(_varies, inputs)) and not any(map(_varies, outputs)):
            found.append(equation)

    def _varies(value: Any) -> bool:
        if np.ndim(value) == 0 or np.shape(value)[0] != rows or jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended):
            return False
        return not _constant(value)

    evaluate(program, values, visit)
    return found[0] if found else None


def _by_position(subject: Subject, variables: Any, outputs: np.ndarray, spread: float) -> Seen:
    """Moves the inputs at one place of an axis at a time."""
    inputs, key = subject.batch.inputs, subject.noise(0)
    rows, said, found = row_count(inputs), [], []
    for index, leaf in enumerate(map(np.asarray, jax.tree.leaves(inputs))):
        for axis in range(1, np.ndim(leaf)):
            length = np.shape(leaf)[axis]
            places = np.unique(np.linspace(0, length - 1, min(length, POSITIONS)).astype(int))
            varying = [place for place in places.tolist() if not _constant(np.take(leaf, place, axis))]
            if len(varying) < 4:
                continue
            silent = []
            for place in varying:
                moved = rows_of(subject.evaluated(variables, _rolled_at(inputs, index, axis, place), key), rows)
                if np.max(np.abs(moved - outputs)) <= 1e-7 * spread:
                    silent.append(place)
            said.append(f"{len(silent)} of {len(varying)} places of axis {axis}")
            if len(silent) > MOST * len(varying):
                found.append(_unread(axis, length, silent, varying))
    compared = f"outputs when inputs move; without effect: {', '.join(said) or 'no place'}."
    return Seen(compared, tuple(found[:1]))


def _rolled_at(inputs: Tree, index: int, axis: int, place: int) -> Tree:
    """Returns inputs in which one place of one leaf has the values of the row before."""
    leaves, tree = jax.tree.flatten(inputs)
    changed = np.array(leaves[index])
    at = (slice(None),) * axis + (place,)
    changed[at] = np.roll(changed[at], 1, axis=0)
    leaves[index] = changed
    return jax.tree.unflatten(tree, leaves)


def _unread(axis: int, length: int, silent: list[int], varying: list[int]) -> Finding:
    read = [place for place in varying if place not in silent]
    share = len(silent) / len(varying)
    message = f"the outputs do not depend on {share:.0%} of the inputs along axis {axis} (of length {length})."
    evidence = (f"places that have an effect: {', '.join(map(str, read[:10]))}{' ...' if len(read) > 10 else ''}",)
    advice = "Look for an index that takes one place where all were meant, or a mask the wrong way round."
    return Finding("input-ignored", "warning", message, advice, None, "model", evidence, 0.7)


def look_at_later_positions(subject: Subject) -> Seen:
    """Changes the later half of sequences whose targets are the next inputs, and looks at the outputs before it."""
    inputs, targets = subject.batch.inputs, subject.batch.targets
    if not _predicts_next(inputs, targets):
        raise NotApplicable("the targets are not the inputs one step later.")
    variables, key, rows = stirred(subject), subject.noise(0), row_count(inputs)
    length = np.shape(inputs)[1]
    found, said = [], []
    for mode, ask in (("evaluation", _evaluated), ("training", _trained)):
        outputs = ask(subject, variables, inputs, key)
        if np.ndim(outputs) < 2 or np.shape(outputs)[:2] != (rows, length):
            raise NotApplicable("the outputs do not have one entry for each position.")
        felt, where = 0.0, 0
        for cut in sorted({1, length // 2, length - 1}):
            later = np.array(inputs)
            later[:, cut:] = np.roll(later[:, cut:], 1, axis=0)
            moved = ask(subject, variables, later, key)
            here = distance(
                moved[:, :cut].reshape(rows, -1), outputs[:, :cut].reshape(rows, -1), outputs.reshape(rows, -1)
            )
            felt, where = max((felt, where), (here, cut))
        said.append(f"{felt:.2g} in {mode}")
        if felt:
            message = (
                f"outputs before position {where} move by {felt:.2g} of their spread when later inputs change ({mode})."
            )
            advice = "Mask attention to later positions (nn.make_causal_mask), pad convolutions on the left only."
            found.append(Finding("causal-leak", "error", message, advice, None, "model", (), 1.0))
    return Seen(
        f"earlier outputs when later inputs change, as a share of their spread: {', '.join(said)}.", tuple(found[:1])
    )


def _predicts_next(inputs: Tree, targets: Tree) -> bool:
    """Returns whether targets are the inputs one position later."""
    if len(jax.tree.leaves(inputs)) != 1 or len(jax.tree.leaves(targets)) != 1:
        return False
    given, wanted = np.asarray(jax.tree.leaves(inputs)[0]), np.asarray(jax.tree.leaves(targets)[0])
    given = given[..., 0] if given.ndim == 3 and given.shape[-1] == 1 else given
    wanted = wanted[..., 0] if wanted.ndim == 3 and wanted.shape[-1] == 1 else wanted
    if given.ndim != 2 or given.shape != wanted.shape or given.shape[1] < 3:
        return False
    counted = wanted[:, :-1] >= 0 if np.issubdtype(wanted.dtype, np.integer) else np.ones_like(wanted[:, :-1], bool)
    same = np.isclose(given[:, 1:], wanted[:, :-1])
    still = np.isclose(given[:, :-1], wanted[:, :-1])  # a constant sequence is its own next
    if not counted.any():
        return False
    return bool(same[counted].mean() > SHIFTED and still[counted].mean() < 1 - FELT)


def _evaluated(subject: Subject, variables: Any, inputs: Any, key: Any) -> Any:
    return np.asarray(jax.tree.leaves(subject.evaluated(variables, inputs, key))[0], np.float64)


def _trained(subject: Subject, variables: Any, inputs: Any, key: Any) -> Any:
    (_, (outputs, _)), _ = subject.gradient(*variables, subject.batch._replace(inputs=inputs), key)
    return np.asarray(jax.tree.leaves(outputs)[0], np.float64)


PROBES = (
    Probe("use of the inputs", ("input-ignored",), look_at_inputs),
    Probe("time direction", ("causal-leak",), look_at_later_positions),
)
