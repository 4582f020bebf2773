"""Planted operations that stop being finite, in five kinds of network, against healthy twins that say nothing."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import verax as vx
from tests.debug import nonfinite_cases as planted
from verax.data import Batch
from verax.debug import find_nonfinite, nonfinite_findings

PLANTED = [case for case in planted.CASES if case.phase != "input"]


@pytest.mark.parametrize("case", PLANTED, ids=str)
def test_the_operation_its_line_and_the_example_are_named(case):
    found = find_nonfinite(*case.call())
    assert found is not None
    line = planted.line_of(case.fault.__name__)
    assert (found.operation, found.place.span.line) == (case.operation, line), str(found)
    assert found.place.span.file == planted.FILE
    assert (found.id, found.phase) == (case.id, case.phase)
    assert 2 in found.rows or case.fault in (planted.running_ratio, planted.growing)
    assert len(str(found).splitlines()) <= 6


@pytest.mark.parametrize("case", PLANTED, ids=str)
def test_nothing_is_said_of_a_healthy_twin(case):
    assert find_nonfinite(*case.call(bad=False)) is None


PARAMS = {"kernel": jnp.eye(4)}
INPUTS = jnp.asarray(np.arange(1.0, 25.0).reshape(6, 4) / 8, jnp.float32)


def here(mark):
    return next(n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith(f"# {mark}"))


def attention(params, inputs, mask):
    scores = inputs @ params["kernel"] @ inputs.T
    masked = jnp.where(mask, scores, -jnp.inf)  # the mask
    return jnp.mean(jax.nn.softmax(masked) @ inputs)


def test_a_mask_of_minus_infinity_is_meant():
    assert find_nonfinite(attention, PARAMS, INPUTS, jnp.tril(jnp.ones((6, 6), bool))) is None


def test_a_row_that_is_masked_altogether_is_reported_at_the_mask():
    found = find_nonfinite(attention, PARAMS, INPUTS, jnp.tril(jnp.ones((6, 6), bool), -1), batch=1)
    assert (found.operation, found.value, found.place.span.line) == ("constant", -np.inf, here("the mask"))
    assert "leave at least one entry" in found.advice


def test_an_overflow_is_told_from_a_mask_that_comes_before_it():
    def loss(params, inputs, mask):
        weights = jax.nn.softmax(jnp.where(mask, inputs @ inputs.T, -jnp.inf))
        return jnp.mean(jnp.exp(weights @ inputs * params["kernel"][0, 0] * 100))  # the overflow

    found = find_nonfinite(loss, PARAMS, INPUTS, jnp.tril(jnp.ones((6, 6), bool)))
    assert (found.operation, found.place.span.line) == ("exp", here("the overflow"))


def test_minus_infinity_among_the_inputs_is_passed_over_where_it_does_no_harm():
    def loss(params, inputs, bias):
        return jnp.mean(jax.nn.softmax(inputs @ params["kernel"] + bias) * inputs)

    bias = jnp.where(jnp.tril(jnp.ones((6, 4))) > 0, 0.0, -jnp.inf)
    assert find_nonfinite(loss, PARAMS, INPUTS, bias) is None


def squares(params, inputs):
    return jnp.mean(jnp.square(inputs @ params["kernel"]))


def test_an_input_that_is_not_finite_is_reported_by_leaf_and_index():
    found = find_nonfinite(squares, PARAMS, {"left": INPUTS.at[3, 1].set(jnp.nan)}["left"])
    assert (found.id, found.phase, found.leaf, found.index, found.rows) == (
        "non-finite-input", "input", "inputs", (3, 1), (3,),
    )  # fmt: skip


def test_a_parameter_that_is_not_finite_is_reported_by_its_path():
    found = find_nonfinite(squares, {"kernel": jnp.eye(4).at[2, 0].set(jnp.inf)}, INPUTS)
    assert (found.id, found.leaf, found.index, found.value) == ("non-finite-input", "params/kernel", (2, 0), np.inf)
    assert found.rows == tuple(range(6))


def test_an_array_from_around_the_function_is_reported_where_it_is_used():
    table = np.array([1.0, np.nan, 1.0, 1.0], np.float32)

    def loss(params, inputs):
        scaled = inputs @ params["kernel"] * table[None]  # the table
        return jnp.mean(scaled)

    found = find_nonfinite(loss, PARAMS, INPUTS)
    assert (found.operation, found.place.span.line) == ("constant", here("the table"))
    assert "around it" in found.advice


def test_what_does_not_reach_the_result_is_not_reported():
    def loss(params, inputs):
        hidden = inputs @ params["kernel"]
        return jnp.mean(hidden), {"log": jnp.nan_to_num(jnp.log(hidden * 0))}

    assert find_nonfinite(loss, PARAMS, INPUTS) is None


def test_the_gradient_of_the_first_of_several_outputs_is_looked_at():
    def loss(params, inputs):
        return jnp.sum(jnp.sqrt(jnp.sum(params["kernel"] - jnp.eye(4)) ** 2)), inputs

    found = find_nonfinite(loss, PARAMS, INPUTS)
    assert (found.phase, found.operation, found.leaf) == ("backward", "gradient of sqrt", "params/kernel")


def test_an_output_that_is_no_scalar_is_looked_at_forward_only():
    assert find_nonfinite(jnp.sqrt, jnp.zeros(3)) is None
    found = find_nonfinite(jnp.log, jnp.zeros(3))
    assert (found.operation, found.rows, found.leaf) == ("log", (0, 1, 2), "x")


def test_labels_beyond_the_outputs_are_named_with_the_row():
    def loss(params, inputs, labels):
        return optax.softmax_cross_entropy_with_integer_labels(inputs @ params["kernel"], labels).mean()  # the labels

    labels = jnp.array([0, 1, 2, 3, 4, 0])
    found = find_nonfinite(loss, PARAMS, INPUTS, labels)
    assert (found.id, found.rows, found.place.span.line) == ("label-out-of-range", (4,), here("the labels"))
    assert "index 4 into 4 outputs" in found.what
    assert find_nonfinite(loss, PARAMS, INPUTS, labels % 4) is None


def test_a_token_beyond_an_embedding_is_no_label():
    def loss(params, tokens):
        return jnp.mean(jnp.take(params["embedding"], tokens, axis=0))

    found = find_nonfinite(loss, {"embedding": jnp.ones((5, 3))}, jnp.array([[0, 1], [4, 5]]))
    assert (found.id, found.operation, found.rows) == ("non-finite-loss", "indexing", (1,))
    assert "index 5 into a parameter of 5 rows" in found.what


@pytest.mark.parametrize(("dtype", "limit"), [("float16", 11.1), ("bfloat16", 88.7), ("float32", 88.7)])
def test_the_limit_of_exp_is_that_of_its_type(dtype, limit):
    found = find_nonfinite(lambda x: jnp.sum(jnp.exp(x)), jnp.array([1.0, 95.0], dtype))
    assert f"{dtype} ends at exp({limit})" in found.what


def test_the_limit_of_float16_is_named():
    found = find_nonfinite(lambda x: jnp.sum(x, dtype=jnp.float16), jnp.full(3, 4e4, jnp.float16))
    assert (found.id, found.operation, found.rows) == ("low-precision-overflow", "sum", (0, 1, 2))
    assert "65504" in found.what


def test_a_cast_to_float16_can_overflow():
    found = find_nonfinite(lambda x: x.astype(jnp.float16), jnp.array([1.0, 1e5]))
    assert (found.id, found.operation, found.rows) == ("low-precision-overflow", "cast", (1,))


def test_a_gradient_that_overflows_is_found():
    found = find_nonfinite(lambda x: jnp.sum(1e-30 * jnp.tanh(x * 1e20) * 1e30 * 1e20), jnp.zeros(2))
    assert (found.id, found.phase, found.operation) == ("non-finite-loss", "backward", "multiplication in the gradient")


def test_the_gradient_within_a_function_is_known_as_such():
    found = find_nonfinite(jax.grad(lambda x: jnp.sum(jnp.log(x))), jnp.zeros(2))
    assert (found.phase, found.operation) == ("backward", "division in the gradient")


def test_rows_that_do_it_only_together_are_not_named():
    found = find_nonfinite(lambda x: 1.0 / jnp.std(x, axis=0), jnp.array([[1.0], [1.0], [1.0]]))
    assert found.rows == (0, 1, 2)  # one alone has no deviation either
    found = find_nonfinite(lambda x: jnp.log(jnp.abs(jnp.sum(x))), jnp.array([1.0, -1.0, 0.5, -0.5]))
    assert found.rows == ()


def test_lanes_of_a_vmap_are_named():
    lanes = jax.jit(jax.vmap(lambda x: jax.lax.fori_loop(0, 3, lambda i, y: jnp.exp(y), x)))
    found = find_nonfinite(lanes, jnp.array([0.1, 0.2, 9.0, 0.3, 50.0]))
    assert (found.operation, found.rows, found.turns) == ("exp", (2, 4), (1,))


def test_the_same_library_function_at_two_lines_is_told_apart():
    def loss(params, inputs):
        norms = jnp.linalg.norm(inputs, axis=1) + jnp.linalg.norm(inputs + 1, axis=1)
        return jnp.mean(norms) + jnp.linalg.norm(params["kernel"][0] * 0, axis=0)  # the second norm

    found = find_nonfinite(loss, PARAMS, INPUTS)
    assert (found.operation, found.place.span.line) == ("gradient of sqrt", here("the second norm"))


def test_keys_flags_and_counts_are_passed_on():
    def loss(params, inputs, key, training, times, name):
        kept = jax.random.bernoulli(key, 0.5, inputs.shape) if training else jnp.ones(inputs.shape, bool)
        assert name == "it"
        for _ in range(times):
            inputs = inputs @ params["kernel"]
        return jnp.mean(jnp.log(jnp.where(kept, inputs, 0.0)))

    for key in (jax.random.key(0), jax.random.PRNGKey(0)):
        assert find_nonfinite(loss, PARAMS, INPUTS, key, True, 2, "it").id == "log-of-zero"
        assert find_nonfinite(loss, PARAMS, INPUTS, key, False, 2, "it") is None


def test_the_gradient_is_by_the_arguments_that_are_asked_for():
    def loss(params, inputs):
        return jnp.sum(jnp.sqrt(inputs)) + jnp.sum(params["kernel"])

    assert find_nonfinite(loss, PARAMS, INPUTS * 0) is None
    assert find_nonfinite(loss, PARAMS, INPUTS * 0, argnums=(0, 1)).operation == "gradient of sqrt"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: find_nonfinite(jnp.log, 1.0, argnums=1), "numbers of the 1 arguments, got 1."),
        (lambda: find_nonfinite(jnp.log, 1.0, batch=-1), "numbers of the 1 arguments, got -1."),
        (lambda: jax.jit(lambda x: find_nonfinite(jnp.log, x))(1.0), "Call it outside of jit, grad and vmap."),
    ],
)
def test_misuse_is_refused(call, message):
    with pytest.raises(vx.InputError, match=re.escape(message)):
        call()


def test_it_prints_in_six_lines():
    found = find_nonfinite(planted.CASES[0].call()[0], *planted.CASES[0].call()[1:])
    lines = str(found).replace(planted.FILE, "FILE").splitlines()
    assert lines == [
        "log-of-zero: log of 0 is -inf.",
        f"  at Linen (FILE:{planted.line_of('log_of_relu')})",
        "  operands float32[6,4] in [0, 0.8594], there 0",
        "  result -inf; 1 of 24 numbers, the first at [2, 1]",
        "  row 2 of 6, counted from 0",
        f"  {found.advice}",
    ]


# A training step.

STEP = Batch(INPUTS, jnp.zeros(6, jnp.int32), jnp.ones(6))


class Dense(nn.Module):
    rate: float = 0.0

    @nn.compact
    def __call__(self, x, training=False):
        x = nn.Dropout(self.rate, deterministic=not training)(x)
        return nn.Dense(3, name="out")(x)


def step(batch=STEP, change=lambda params: params, objective=None, network=None, key=None):
    network = vx.as_network(network or Dense())
    variables = network.init(jax.random.key(0), batch.inputs)
    variables = variables._replace(params=change(variables.params))
    return nonfinite_findings(network, objective or vx.classification(), variables, batch, key)


def test_a_healthy_step_has_no_findings():
    assert step() == ()
    assert step(network=Dense(0.5), key=jax.random.key(1)) == ()


def test_a_label_out_of_range_is_the_finding():
    (finding,) = step(STEP._replace(targets=STEP.targets.at[4].set(3)))
    assert finding.id == "label-out-of-range"
    assert "index 3 into 3 outputs" in finding.message and "row 4 of 6" in finding.message
    assert finding.where.file != __file__  # the loss is none of this file's, which only called


def test_inputs_targets_and_parameters_are_told_apart():
    (finding,) = step(STEP._replace(inputs=INPUTS.at[5, 1].set(jnp.inf)))
    assert (finding.id, str(finding.where)) == ("non-finite-input", "batch/inputs row 5")
    targets = jnp.ones((6, 3)).at[2, 0].set(jnp.nan)
    (finding,) = step(STEP._replace(targets=targets), objective=vx.regression())
    assert (finding.id, str(finding.where)) == ("non-finite-input", "batch/targets row 2")
    (finding,) = step(change=lambda params: jax.tree.map(lambda leaf: leaf.at[0].set(jnp.nan), params))
    assert (finding.id, str(finding.where)) == ("non-finite-parameter", "params/out/bias")


def test_the_place_of_a_finding_is_the_line_of_the_loss():
    objective = vx.objective_from_loss(
        lambda outputs, batch: jnp.sum(jnp.log(jax.nn.softmax(outputs * 1e3)), axis=1)  # the loss
    )
    (finding,) = step(objective=objective)
    assert (finding.id, finding.where.file, finding.where.line) == ("log-of-zero", __file__, here("the loss"))


def test_dropout_is_drawn_as_in_the_step():
    objective = vx.objective_from_loss(lambda outputs, batch: jnp.log(jnp.max(jnp.abs(outputs), axis=1)))
    key = jax.random.key(0)
    one_column = STEP._replace(inputs=INPUTS[:, :1])
    (finding,) = step(one_column, network=Dense(0.5), objective=objective, key=key)
    assert finding.id == "log-of-zero"
    assert step(one_column, network=Dense(0.0), objective=objective, key=key) == ()
