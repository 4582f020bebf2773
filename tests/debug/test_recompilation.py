"""Why a function is compiled again, and programs that are several by right."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import verax as vx


def test_train_eval_and_the_last_batch_are_three_programs_by_right():
    @jax.jit
    def step(params, inputs):
        grads = jax.grad(lambda p: jnp.mean((inputs @ p) ** 2))(params)
        return params - 0.1 * grads

    step = vx.explain_recompilation(step)
    params = jnp.ones((3, 1))
    for _ in range(2):
        for rows in (8, 8, 5):
            params = step(params, jnp.ones((rows, 3)))
    step(params, jnp.ones((100, 3)))
    assert (len(step.traces), step.calls, step.findings) == (3, 7, ())
    assert step.seconds > 0
    assert step.traces[0].changes == ()


CHANGES = {
    "the last batch": ((jnp.ones((8, 3)),), (jnp.ones((5, 3)),), "float32[8,3]", "float32[5,3]", "Pad the last batch"),
    "another shape": ((jnp.ones((8, 3)),), (jnp.ones((9, 4)),), "float32[8,3]", "float32[9,4]", "Pad to one shape"),
    "another dtype": ((np.ones(2, np.float32),), (np.ones(2, int),), "float32[2]", "int64[2]", "one type"),
    "a Python number": ((jnp.float32(1),), (1.0,), "float32[]", "Python float", "one type"),
    "a weak type": ((jnp.float32(1),), (jnp.asarray(1.0),), "float32[]", "float32[] of weak type", "one type"),
    "a list that grows": (({"m": []},), ({"m": [1.0]},), None, "Python float", "metrics that grows"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_leaf_that_changed_is_named_with_what_to_do(name):
    first, second, before, after, advice = CHANGES[name]
    fn = vx.explain_recompilation(jax.jit(lambda tree: jax.tree.map(jnp.sin, tree)), limit=1)
    fn(*first)
    fn(*second)
    (change,) = fn.traces[1].changes
    assert change.path.startswith("argument 0")
    assert (change.before, change.after) == (before, after)
    (finding,) = fn.findings
    assert (finding.id, finding.severity) == ("recompilation", "warning")
    assert f"{before or 'not there'} before, {after} now" in finding.message
    assert advice in finding.advice
    assert str(change) in str(fn)


def test_static_arguments_are_compared_by_value():
    fn = vx.explain_recompilation(jax.jit(lambda x, n: x * n, static_argnums=1), limit=1)
    fn(jnp.ones(2), 3)
    fn(jnp.ones(2), 4)
    assert str(fn.traces[1].changes[0]) == "argument 1: 3 before, 4 now"
    assert "static" in fn.findings[0].advice


def test_one_signature_is_one_trace_whatever_the_values():
    fn = vx.explain_recompilation(jax.jit(lambda x, y: x + y))
    for i in range(4):
        fn(jnp.full(2, i, jnp.float32), float(i))
    assert len(fn.traces) == 1


def test_the_wrapper_is_the_function():
    def scaled(x, by=2.0):
        """Scales."""
        return x * by

    fn = vx.explain_recompilation(jax.jit(scaled))
    assert fn(3.0, by=4.0) == 12.0
    assert (fn.__name__, fn.__doc__) == ("scaled", "Scales.")
    assert fn.lower(3.0).compile()(3.0) == 6.0
    plain = vx.explain_recompilation(scaled)
    assert [plain(1.0), plain(jnp.ones(2)).shape, plain(2.0)] == [2.0, (2,), 4.0]
    assert len(plain.traces) == 2


def test_a_cleared_cache_is_said_to_be_no_change_of_the_arguments():
    compiled = jax.jit(lambda x: x * 3)
    fn = vx.explain_recompilation(compiled, limit=1)
    fn(1.0)
    jax.clear_caches()
    fn(1.0)
    assert "the same arguments" in fn.findings[0].message


def test_one_trace_too_many_raises_with_the_explanation():
    step = vx.assert_max_traces(jax.jit(lambda x: x + 1.0), 1)
    step(jnp.ones(3))
    step(jnp.zeros(3))
    with pytest.raises(AssertionError, match=r"float32\[3\] before, float32\[2\] now"):
        step(jnp.ones(2))
    with vx.assert_max_traces(jax.jit(lambda x: x + 2.0), 2) as step:
        step(jnp.ones(3))
        step(jnp.ones(2))
    with pytest.raises(ValueError, match="n must not be negative, got -1"):
        vx.assert_max_traces(n=-1)


def test_below_jit_every_call_is_a_trace():
    @jax.jit
    @vx.assert_max_traces(n=1)
    def step(x):
        return x * 2

    assert [float(step(1.0)), float(step(2.0))] == [2.0, 4.0]
    with pytest.raises(AssertionError, match="traced 2 times"):
        step(jnp.ones(3))


@jax.numpy_dtype_promotion("standard")  # Optax raises floats to integer powers
def test_an_optimizer_state_that_settles_its_types_is_seen():
    tx = optax.adam(1e-3)
    fn = vx.explain_recompilation(jax.jit(lambda g, s: tx.update(g, s)[1]))
    state = tx.init(jnp.ones(3))
    for _ in range(4):
        state = fn(jnp.ones(3), state)
    assert len(fn.traces) == 1


def test_a_lambda_that_is_compiled_in_a_loop_is_found():
    x = jnp.ones(3)
    with vx.debug.compilations() as compiled:
        for scale in range(5):
            jax.jit(lambda x: x * float(scale))(x)  # noqa: B023
    (finding,) = compiled.findings
    assert finding.message.startswith("<lambda> was traced 5 times")
    assert "outside of the loop" in finding.advice
    assert "never seen function" in compiled.programs[0].why
    assert "<lambda> (" in str(compiled)


def test_one_function_in_a_loop_is_compiled_once():
    x, fn = jnp.ones(3), jax.jit(lambda x: x * 5)
    with vx.debug.compilations() as compiled:
        for _ in range(5):
            fn(x)
    assert [each.name for each in compiled.programs].count("<lambda>") == 1
    assert compiled.findings == ()


def test_why_is_told_by_argument():
    @jax.jit
    def fn(x):
        return x + 1.0

    with vx.debug.compilations() as compiled:
        fn(jnp.ones(3))
        fn(jnp.ones(4))
    assert any("f32[4] and before f32[3]" in each.why for each in compiled.programs)


def test_nnx_modules_of_another_size_are_another_program_and_rebuilt_ones_are_not():
    @nnx.jit
    def apply(model, x):
        return model(x)

    with vx.debug.compilations(explain=False) as compiled:
        for width in (3, 3, 3, 4):
            apply(nnx.Linear(2, width, rngs=nnx.Rngs(0)), jnp.ones((1, 2)))
    assert [each.name for each in compiled.programs].count("apply") == 2
