"""Profiles of small functions with a planted cause each, and healthy ones beside them."""

import functools
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verax as vx
from verax.debug import profile
from verax.debug._profile import _waits
from verax.debug._profile_batches import BatchSize, batch_size_advice
from verax.debug._profile_cost import flops, measure_machine
from verax.debug._profile_time import spread
from verax.debug._profile_trace import own_seconds

pytestmark = pytest.mark.compiler

BATCH, COLUMNS, HIDDEN = 256, 96, 128


def loss(params, batch):
    return jnp.mean(jnp.square(jnp.tanh(batch @ params["first"]) @ params["second"]))


@functools.partial(jax.jit, donate_argnums=0)
def step(params, batch):
    value, grads = jax.value_and_grad(loss)(params, batch)
    return jax.tree.map(lambda param, grad: param - 0.01 * grad, params, grads), value


PARAMS = {"first": jnp.full((COLUMNS, HIDDEN), 0.01), "second": jnp.full((HIDDEN, 4), 0.01)}
ROWS = np.ones((BATCH, COLUMNS), np.float32)


@pytest.fixture(scope="module", autouse=True)
def short():
    """Short measurements: the causes that are planted here are large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("verax.debug._profile_time.ROUND_SECONDS", 0.03)
        patch.setattr("verax.debug._profile_cost.MEASURED_SECONDS", 0.1)
        measure_machine.cache_clear()
        yield
    measure_machine.cache_clear()


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A step on batches that lie on the device, its trace kept."""
    return profile(
        step, PARAMS, batches=[jnp.asarray(ROWS)], batch_sizes=(BATCH, 2 * BATCH), out=tmp_path_factory.mktemp("trace")
    )


def test_a_planted_sort_tops_the_table_with_its_source_line():
    def slow(x):
        small = jnp.tanh(x @ x)
        return small + jnp.sort(jnp.concatenate([small.ravel()] * 8))[: x.size].reshape(x.shape)  # the slow line

    found = profile(slow, jnp.ones((128, 128)), trace_steps=3)
    top = found.operations[0]
    assert top.origin.operation == "sort"
    assert top.origin.span is not None
    assert top.origin.span.file == __file__
    assert "the slow line" in Path(__file__).read_text().splitlines()[top.origin.span.line - 1]
    assert top.share > 0.5
    assert sum(row.share for row in found.operations) == pytest.approx(1)
    assert {"dot_general", "tanh"} <= {row.origin.operation for row in found.operations}
    assert found.input_wait is None  # there is no loop to wait in
    assert not found.findings


def test_a_planted_callback_is_found():
    def wait(x):
        time.sleep(0.01)
        return x

    def slow(x):
        return jnp.sin(jax.pure_callback(wait, jax.ShapeDtypeStruct(x.shape, x.dtype), x))

    found = profile(slow, jnp.ones(8), trace_steps=3)
    assert found.operations[0].origin.operation == "pure_callback"
    assert found.operations[0].seconds >= 0.01
    (finding,) = found.findings
    assert (finding.id, str(finding.where).partition(":")[0]) == ("slow-callback", __file__)


def test_a_slow_loader_makes_the_device_wait():
    def loader():
        while True:
            time.sleep(0.02)
            yield ROWS

    found = profile(step, PARAMS, batches=loader(), batch_sizes=(), trace_steps=2)
    assert found.input_wait.median > 0.5
    assert found.loop_seconds.median > 0.02
    assert [finding.id for finding in found.findings] == ["input-wait"]
    assert "the device waits for the host" in str(found)


def test_a_fast_loader_does_not_make_the_device_wait():
    """The step sleeps, so that its time is the same on a busy machine."""

    def wait(x):
        time.sleep(0.01)
        return x

    def sleeping(state, batch):
        return state + jax.pure_callback(wait, jax.ShapeDtypeStruct(batch.shape, batch.dtype), batch)

    found = profile(sleeping, jnp.ones(8), batches=[np.ones(8, np.float32)], batch_sizes=(), trace_steps=1)
    assert found.input_wait.median < 0.3
    assert found.loop_seconds.median > 0.01
    assert "input-wait" not in [finding.id for finding in found.findings]


def test_waiting_is_an_alarm_only_beyond_the_noise_and_where_something_loads():
    sure, noise, little = spread([0.3, 0.31, 0.29]), spread([0.3, -0.2, 0.6]), spread([0.05, 0.06, 0.04])
    assert [finding.severity for finding in _waits(sure, False)] == ["warning"]
    assert [finding.severity for finding in _waits(sure, True)] == ["info"]
    assert [_waits(each, False) for each in (noise, little, None)] == [[], [], []]


def test_an_experiment_is_profiled_by_the_program_that_trains_it():
    from tests.train.cases import CLASSES, COLUMNS, LINEAR, experiment

    found = profile(experiment, batch_sizes=(), trace_steps=4)
    row = next(row for row in found.operations if row.origin.operation == "dot_general")
    assert row.origin.span is not None and row.origin.span.file == LINEAR[1].__code__.co_filename
    assert row.calls == 1
    assert {"training steps"} <= {row.name for row in found.programs} and found.compile_seconds > 0
    assert found.flops > 2 * 2 * 8 * COLUMNS * CLASSES
    assert found.loop_seconds.median > 0 and found.batch_size == 8
    assert found.batch_sizes == () and found.advice == "" and found.trace is None
    assert all(finding.severity == "info" for finding in found.findings)


def test_healthy_numbers(healthy):
    assert healthy.compile_seconds > 0
    assert [row.name for row in healthy.programs] == ["step"]
    assert healthy.batch_size == BATCH
    assert healthy.memory["process_peak_bytes"] > healthy.memory["peak_bytes"] > ROWS.nbytes
    assert healthy.step_seconds.low <= healthy.step_seconds.median <= healthy.step_seconds.high
    assert healthy.operation_seconds == pytest.approx(sum(row.seconds for row in healthy.operations))
    assert healthy.utilisation > 0  # no upper bound: the machine is measured in other moments, and may be busy
    assert healthy.bytes > 2 * ROWS.nbytes
    assert "dot_general" in [row.origin.operation for row in healthy.operations[:3]]
    assert any(row.origin.backward for row in healthy.operations)
    assert healthy.trace.name.endswith(".trace.json.gz")
    assert list(healthy.trace.parent.glob("*.xplane.pb"))


def test_the_floating_point_operations_of_a_step_are_those_of_its_formulas(healthy):
    forward = 2 * BATCH * HIDDEN * (COLUMNS + 4)
    gradient = 2 * BATCH * HIDDEN * (COLUMNS + 4 + 4)  # of both weights, and of the hidden layer
    assert healthy.flops == pytest.approx(forward + gradient, rel=0.02)
    assert not healthy.flops_are_a_lower_bound


def test_a_profile_prints_and_is_json(healthy):
    text = str(healthy)
    for words in ("step          ", "Operations, by their own time", "GFLOP/s", "lowering", "MiB", "test_profile.py:"):
        assert words in text
    tables = text.partition("Batch sizes")[0]
    assert max(map(len, tables.splitlines())) < 140
    content = json.loads(json.dumps(healthy.to_json(), allow_nan=False))
    assert content["operations"][0]["seconds"] == healthy.operations[0].seconds
    assert [row["size"] for row in content["batch_sizes"]] == [BATCH, 2 * BATCH]
    assert content["batch_sizes"][0]["times_current"]["median"] == 1


def test_the_arguments_are_as_they_were(healthy):
    assert float(PARAMS["first"][0, 0]) == np.float32(0.01)  # they are donated by the step


def test_a_loop_counts_as_often_as_it_runs():
    def loop(x):
        inner = jax.lax.scan(lambda y, _: (jnp.tanh(y @ x), None), x, None, length=5)[0]
        return jax.lax.scan(lambda y, _: (jax.lax.scan(lambda z, _: (z @ x, None), y, None, length=3)[0], None), inner,
                            None, length=2)[0]  # fmt: skip

    counted, unknown = flops(jax.make_jaxpr(loop)(jnp.ones((64, 64))))
    assert counted == pytest.approx((5 + 2 * 3) * 2 * 64**3, rel=0.01)
    assert not unknown


def test_a_loop_of_unknown_length_makes_it_a_lower_bound():
    program = jax.make_jaxpr(lambda x, n: jax.lax.fori_loop(0, n, lambda _, y: y @ x, x))(jnp.ones((64, 64)), 3)
    counted, unknown = flops(program)
    assert counted == pytest.approx(2 * 64**3, rel=0.01)
    assert unknown


def event(name, start, seconds, thread=1, module="jit_f", **more):
    arguments = {"hlo_op": name, "hlo_module": module} if module else {}
    return {"ph": "X", "pid": 1, "tid": thread, "ts": start, "dur": seconds, "name": name, "args": arguments, **more}


def test_own_time_leaves_out_what_is_nested_on_the_same_thread():
    events = [
        event("while.1", 0, 100),
        event("dot.1", 10, 30),
        event("ThunkExecutor::Execute (wait for completion)", 50, 40, module=""),
        event("helper inside dot", 12, 5, module=""),
        event("dot.1", 60, 30, thread=2),
        event("dot.1", 0, 1000, thread=3, module="jit_other"),
        event("after", 100, 7),
    ]
    own, calls = own_seconds(events, "jit_f")
    assert {name: round(seconds * 1e6) for name, seconds in own.items()} == {"while.1": 30, "dot.1": 60, "after": 7}
    assert calls == {"while.1": 1, "dot.1": 2, "after": 1}


def test_an_accelerators_summary_is_not_counted_twice():
    names = [
        {"ph": "M", "pid": 1, "tid": tid, "name": "thread_name", "args": {"name": name}}
        for tid, name in {1: "XLA Ops", 2: "Stream #13"}.items()
    ]
    own, calls = own_seconds([*names, event("dot.1", 0, 10), event("dot.1", 0, 9, thread=2)], "jit_f")
    assert (round(own["dot.1"] * 1e6), calls["dot.1"]) == (10, 1)


RATES = {
    16: (500.0, 520.0, 480.0),
    32: (1000.0, 1010.0, 990.0),
    64: (1900.0, 2000.0, 1950.0),
    128: (2000.0, 2050.0, 2010.0),
}


def rows(**changes):
    return [BatchSize(size, changes.get(f"of_{size}", rates), 0) for size, rates in RATES.items()]


@pytest.mark.parametrize(
    ("current", "changes", "expected"),
    [
        (32, {}, "batch size 64 gives 1.97 times the examples/s of 32"),  # 128 gives no tenth more
        (64, {}, "batch size 64 is efficient"),
        (128, {}, "64 gives 0.97 times its examples/s"),
        (32, {"of_64": (700.0, 2600.0, 1100.0), "of_128": (900.0, 1500.0, 950.0)}, "batch size 32 is efficient"),
        (32, {"of_16": (), "of_64": (), "of_128": ()}, "no other batch size could be measured"),
    ],
)
def test_advice_on_batch_size(current, changes, expected):
    assert expected in batch_size_advice(current, rows(**changes))


def test_a_batch_size_that_does_not_run_says_why():
    def fixed(params, batch):
        return params, batch.reshape(BATCH, COLUMNS).sum()

    found = profile(fixed, PARAMS, batches=[ROWS], batch_sizes=(8,), trace_steps=1)
    assert [(row.size, bool(row.rates)) for row in found.batch_sizes] == [(8, False), (BATCH, True)]
    assert "does not run" in str(found)
    assert found.advice == "no other batch size could be measured."


def test_quartiles():
    assert spread([3.0, 1.0, 2.0, 5.0, 4.0]) == (3.0, 2.0, 4.0)
    assert spread([2.0]).inverse(4.0) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: profile(3, ROWS), "takes a vx.Experiment or a function, got int"),
        (lambda: profile(step, PARAMS, ROWS[:, :5]), "the function step fails with arguments"),
        (lambda: profile(step, PARAMS, batches=[]), "batches ended after 0"),
        (lambda: profile(step, PARAMS, batches=iter([ROWS])), "batches ended after 1"),
        (lambda: profile(step, PARAMS, ROWS, trace_steps=0), "trace_steps must be at least 1, got 0"),
        (lambda: profile(step, PARAMS, ROWS, batch_sizes=(0,)), "batch_sizes must be whole numbers of at least 1"),
        (lambda: profile(step, PARAMS, ROWS, hidden=3), "hidden: arguments of a function must be given by position"),
        (lambda: profile(lambda: 3), "must return a vx.Experiment"),
        (
            lambda: profile(jax.jit(lambda x, n: x * n, static_argnums=1), jnp.ones(3), 2),
            "has static arguments",
        ),
    ],
)
def test_what_cannot_be_profiled_is_refused(call, message):
    with pytest.raises(vx.InputError, match=message):
        call()
