"""The look at the targets of the newer tasks: each fault is named with its row, and healthy data are left in peace."""

import re

import numpy as np
import pytest

from verax.data import check_data, from_arrays

ROWS = 30
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.uniform(size=(ROWS, 4)).astype(np.float32)
BITS = (np.arange(ROWS)[:, None] % np.array([2, 3, 5]) == 0).astype(np.int32)
SOFT = np.full((ROWS, 3), 1 / 3, np.float32)
TOKENS = RANDOM.integers(0, 7, (ROWS, 6)).astype(np.int32)
PADDED = np.where(np.arange(6) < 1 + np.arange(ROWS)[:, None] % 6, TOKENS, -1).astype(np.int32)
VALUES = RANDOM.normal(size=(ROWS, 2)).astype(np.float32)


def found(targets, task, outputs, inputs=INPUTS, **rules):
    dataset = from_arrays(train=(inputs, targets)).split(0, 0, 0).load()
    return check_data(dataset, task=task, outputs_shape=outputs, **rules)


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("targets", "task", "outputs", "rules"),
    [
        (BITS, "multilabel", (8, 3), {}),
        (BITS.astype(np.float32), "multilabel", (8, 3), {}),
        (SOFT, "classification", (8, 3), {}),
        (SOFT, "classification", None, {}),
        (TOKENS, "language_model", (8, 6, 7), {}),
        (PADDED, "language_model", (8, 6, 7), {"padding": -1}),
        (TOKENS, "language_model", (8, 6, 7), {"padding": 0}),
        (VALUES, "regression", (8, 4), {"likelihood": "gaussian"}),
        (VALUES[:, 0], "regression", (8, 2), {"likelihood": "gaussian"}),
        (VALUES, "autoencoder", (8, 4), {}),
        (BITS[:, 0], "autoencoder", (8, 4), {"likelihood": "bernoulli"}),
    ],
)
def test_healthy_targets_raise_no_finding(targets, task, outputs, rules):
    assert [each for each in found(targets, task, outputs, **rules) if each.severity == "error"] == []


@pytest.mark.parametrize(
    ("targets", "task", "outputs", "rules", "message"),
    [
        (changed(BITS, (7, 1), 2), "multilabel", (8, 3), {}, "train row 7: .* must be 0 or 1, found 2 in 1 of 30 rows"),
        (BITS[:, 0], "multilabel", (8, 1), {}, r"a table of 0 and 1, \(rows, labels\), found int32 of shape \(30,\)"),
        (BITS, "multilabel", (8, 4), {}, r"outputs of shape \(batch, 3\), found \(batch, 4\)"),
        (changed(SOFT, (3, 0), 0.5), "classification", (8, 3), {}, "train row 3: .* rows that sum to 1, found 1.16"),
        (SOFT - np.array([1, -1, 0], np.float32), "classification", (8, 3), {}, "train row 0: .* must not be negative"),
        (SOFT, "classification", (8, 4), {}, r"distributions must have the shape of the outputs \(batch, 4\), found"),
        (changed(TOKENS, (4, 2), 7), "language_model", (8, 6, 7), {}, r"train row 4: .* lie in \[0, 7\), found 7"),
        (
            PADDED,
            "language_model",
            (8, 6, 7),
            {},
            r"train row 0: .* found -1 in 25 of 30 rows.* language_model\(padding",
        ),
        (changed(PADDED, 9, -1), "language_model", (8, 6, 7), {"padding": -1}, "train row 9: empty-text: .* besides"),
        (TOKENS.astype(np.float32), "language_model", (8, 6, 7), {}, "must be tokens, whole numbers, found float32"),
        (TOKENS[:, 0], "language_model", (8, 7), {}, r"must have shape \(rows, tokens\), found int32 of shape \(30,\)"),
        (TOKENS, "language_model", (8, 5, 7), {}, r"outputs of shape \(batch, 6, vocabulary\).* found \(batch, 5, 7\)"),
        (VALUES, "regression", (8, 2), {"likelihood": "gaussian"}, r"\(batch, 4\), a mean and a log-variance .* found"),
        (VALUES, "autoencoder", (8, 3), {}, r"the shape of the inputs \(batch, 4\), found \(batch, 3\)"),
    ],
)
def test_each_fault_is_named_with_its_row(targets, task, outputs, rules, message):
    errors = [each for each in found(targets, task, outputs, **rules) if each.severity == "error"]
    assert len(errors) == 1
    assert re.search(message, str(errors[0])), str(errors[0])


def test_inputs_beyond_black_and_white_are_no_bits():
    errors = found(BITS, "autoencoder", (8, 4), changed(INPUTS, (5, 0), 1.5), likelihood="bernoulli")
    assert "train row 5: value-out-of-range: inputs of a Bernoulli autoencoder must lie in [0, 1], found 1.5" in str(
        errors[0]
    )


def test_a_label_that_never_changes_is_a_warning():
    (finding,) = found(changed(BITS, (slice(None), 2), 1), "multilabel", (8, 3))
    assert (finding.id, finding.severity) == ("single-class-labels", "warning")
    assert "1 labels are the same in all rows: 2." in finding.message
