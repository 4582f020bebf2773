"""Does the output for an example depend on the others of its batch, or on how many there are? And by what?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._points import distance, marks, row_count, rows_of, shape_of, stirred
from verax.findings import Finding
from verax.jaxpr import Equation, equations, has_primitive, mixing_equations
from verax.trees import Tree, is_floating

RANDOM = ("random_bits", "random_gamma", "threefry2x32")
REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "argmax", "argmin")
RUNNING = "Use the running statistics in evaluation: use_running_average=not train, is_training=False, model.eval()."
NEARBY = 60  # equations within which a mean becomes a normalisation: those of Flax, Haiku and by hand have under 40


def look_at_rows(subject: Subject) -> Seen:
    """Compares the output for a row among other rows than before, at stirred weights: no zero hides anything."""
    inputs, variables = subject.batch.inputs, stirred(subject)
    rows = row_count(inputs)
    if rows < 2:
        raise NotApplicable("batches hold one row.")
    try:
        program = subject.evaluation_program
    except Exception as error:
        if type(error).__name__ != "ModifyScopeVariableError":
            raise
        return _refused(str(error))
    mixing = mixing_equations(program, marks(subject, params=False, model_state=False, inputs=True, key=False))
    if mixing is None:
        return Seen("the program of the evaluation keeps rows apart.")
    key = subject.noise(0)
    outputs = rows_of(subject.evaluated(variables, inputs, key), rows)
    felt = 0.0
    for row in (0, rows // 2):
        others = jax.tree.map(lambda leaf: _among_others(leaf, row), inputs)  # noqa: B023
        moved = rows_of(subject.evaluated(variables, others, key), rows)
        felt = max(felt, distance(outputs[row], moved[row], outputs))
    compared = f"outputs of 2 of {rows} rows when the other rows change: they move by {felt:.2g} of their spread."
    return Seen(compared, (_coupled(subject, mixing, felt),) if felt else ())


def _refused(error: str) -> Seen:
    """Flax refuses to update batch statistics where nobody asked for them back: in evaluation."""
    message = f"the model updates its batch statistics in evaluation too: {error.split('. ')[0]}."
    finding = Finding("train-mode-at-eval", "error", message, RUNNING, None, "model", (), 1.0)
    return Seen("the model applied in evaluation.", (finding,))


def _among_others(leaf: Any, row: int) -> Any:
    """Returns a batch in which every row but one is replaced: numbers by noise of their size (a pixel that is blank in
    all rows would hide that it is read), others by the row before."""
    values = np.asarray(leaf)
    others = np.roll(values, 1, axis=0)
    if np.issubdtype(values.dtype, np.floating):
        size = max(float(np.std(values, dtype=np.float64)), 1e-6)
        others = others + (size * np.random.default_rng(row).normal(size=values.shape)).astype(values.dtype)
    others[row] = values[row]
    return others


def _coupled(subject: Subject, mixing: Sequence[Equation], felt: float) -> Finding:
    first = mixing[0] if mixing else None
    place = f" in {first.place}" if first else ""
    where = first.place.span if first else None
    evidence = [f"the output for a row moves by {felt:.2g} of the spread of the outputs when the other rows change"]
    if first:
        evidence.append(f"rows first meet in {_described(first)}{place}")
    kind, advice = _kind(subject, mixing)
    messages = {
        "wrong-softmax-axis": f"a softmax runs over the examples of a batch{place}.",
        "train-mode-at-eval": f"the statistics of the batch are used in evaluation too{place}.",
        "normalization-wrong-axis": f"a normalisation takes its statistics over the examples of a batch{place}.",
        "cross-example-leak": f"the output for an example depends on the others of its batch: they meet in "
        f"{_described(first)}{place}."
        if first
        else "the output for an example depends on the others of its batch.",
    }
    return Finding(kind, "error", messages[kind], advice, where, "model", tuple(evidence), 1.0)


def _kind(subject: Subject, mixing: Sequence[Equation]) -> tuple[str, str]:
    """Returns the most specific name for what makes rows meet, and what to change."""
    program = list(equations(subject.evaluation_program))
    keys = [each.key for each in program]
    for first in mixing[:1]:
        name = first.eqn.primitive.name
        if name == "reshape":
            return (
                "cross-example-leak",
                "Move an axis with transpose or swapaxes; a reshape keeps the order of numbers.",
            )
        if name not in REDUCTIONS:
            break
        start = keys.index(first.key)
        after = [each.eqn.primitive.name for each in program[start + 1 : start + 1 + NEARBY]]
        made_by = next((each.eqn for each in program[:start] if first.eqn.invars[0] in each.eqn.outvars), None)
        exp_before = made_by is not None and made_by.primitive.name == "exp"
        exp_after = name == "reduce_max" and "exp" in after[:8]
        if exp_before or exp_after:
            return "wrong-softmax-axis", "Take it over the axis of the classes: axis=-1."
        ranges = {each.eqn.primitive.name for each in mixing} >= {"reduce_max", "reduce_min"}
        if ranges or {"rsqrt", "sqrt"} & set(after):
            return _normalisation(subject, first)
    return "cross-example-leak", "Reduce over features, never over the first axis."


def _normalisation(subject: Subject, first: Equation) -> tuple[str, str]:
    layer = first.place.layer.lower().replace("_", "")
    statistics = any(is_floating(leaf) for leaf in jax.tree.leaves(subject.variables.model_state))
    if "batchnorm" in layer or (statistics and "norm" not in layer):
        return "train-mode-at-eval", RUNNING
    return "normalization-wrong-axis", "Normalise each example over its features: axis=-1."


def _described(equation: Equation) -> str:
    eqn = equation.eqn
    taken, given = shape_of(eqn.invars[0]), shape_of(eqn.outvars[0])
    over = eqn.params.get("axes", eqn.params.get("dimension"))
    axes = (
        f" over axis {', '.join(map(str, np.atleast_1d(over)))}"
        if over is not None and len(np.atleast_1d(over))
        else ""
    )
    return f"{eqn.primitive.name}{axes} from {taken} to {given}"


def look_at_batch_size(subject: Subject) -> Seen:
    """Compares the program of one row with that of a batch, and where they differ, what they give."""
    inputs = subject.batch.inputs
    rows = row_count(inputs)
    if rows < 2 or has_primitive(subject.evaluation_program, RANDOM):
        raise NotApplicable("batches hold one row." if rows < 2 else "the evaluation is random.")
    tracked = marks(subject, params=False, model_state=False, inputs=True, key=False)
    if mixing_equations(subject.evaluation_program, tracked) is not None:
        raise NotApplicable("rows may meet, and the probe of batch independence looks at that.")
    alone = jax.make_jaxpr(subject.evaluate)(subject.variables, _row(inputs, 0), subject.noise(0))
    if _numbers(alone) == _numbers(subject.evaluation_program):
        return Seen(f"the program for 1 row and for {rows} rows has the same operations and constants.")
    variables, key = stirred(subject), subject.noise(0)
    together = rows_of(subject.evaluated(variables, inputs, key), rows)
    single = [np.ravel(rows_of(subject.evaluated(variables, _row(inputs, row), key), 1)) for row in (0, rows // 2)]
    felt = max(distance(one, together[row], together) for one, row in zip(single, (0, rows // 2), strict=True))
    compared = f"2 rows alone and among {rows}: outputs differ by {felt:.2g} of their spread."
    if not felt:
        return Seen(compared)
    message = f"outputs change with the size of the batch: by {felt:.2g} of their spread from {rows} rows to 1."
    advice = "Keep the number of rows out of the computation (no division by len(x), no squeeze of all axes)."
    return Seen(compared, (Finding("batch-size-dependent-output", "error", message, advice, None, "model", (), 1.0),))


def _row(inputs: Tree, row: int) -> Tree:
    return jax.tree.map(lambda leaf: leaf[row : row + 1], inputs)


def _numbers(program: Any) -> list[tuple[str, tuple[float, ...]]]:
    """Returns the operations of a program with the floating-point constants that they use."""
    found = []
    for equation in equations(program):
        constants = [getattr(var, "val", None) for var in equation.eqn.invars]
        numbers = tuple(
            float(each) for each in constants if each is not None and np.ndim(each) == 0 and is_floating(each)
        )
        found.append((equation.eqn.primitive.name, numbers))
    return found


PROBES = (
    Probe(
        "batch independence",
        ("wrong-softmax-axis", "train-mode-at-eval", "normalization-wrong-axis", "cross-example-leak"),
        look_at_rows,
    ),
    Probe("batch size", ("batch-size-dependent-output",), look_at_batch_size),
)
