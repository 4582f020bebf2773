"""A process of its own: what it measures, and that it knows nothing but the folder."""

import subprocess
import sys

import numpy as np
import pytest

from tests.export.cases import FixedSize, image_case
from verax import export
from verax.findings import InputError


@pytest.fixture(scope="module")
def fresh(saved, mlp):
    held = np.ones(100_000_000)  # 800 MB in this process, which are not the other one's
    result = export.measure_in_fresh_process(saved, mlp.raw, batch_sizes=(1, 8), calls=200)
    del held
    return result


def test_outputs_are_those_of_this_process(fresh, saved, mlp):
    for name, expected in export.load(saved).predict(mlp.raw).items():
        np.testing.assert_array_equal(fresh.outputs[name], expected)


def test_latency_is_in_order_and_positive(fresh):
    assert [latency.batch_size for latency in fresh.latencies] == [1, 8]
    for latency in fresh.latencies:
        assert 0 < latency.p50 <= latency.p95 <= latency.p99 < 1
        assert latency.calls == 200
        assert latency.batch_size / latency.p99 < latency.examples_per_second * 10
    assert 0 < fresh.load_seconds < fresh.total_seconds
    assert 0 < fresh.first_seconds < fresh.total_seconds


def test_memory_is_that_of_the_other_process(fresh, saved):
    weights = sum(leaf.nbytes for leaf in export.load(saved).weights.values())
    assert 20e6 < fresh.loaded_bytes <= fresh.peak_bytes < 700e6  # below what this process held meanwhile
    assert fresh.program_bytes >= weights


def test_no_source_and_no_network_library_is_imported(fresh):
    assert "jax" in fresh.modules
    assert not {"flax", "haiku", "optax", "tests", "matplotlib", "sklearn"} & set(fresh.modules)


def test_a_forbidden_module_fails_the_measurement(saved, mlp):
    with pytest.raises(RuntimeError, match="must run without the model's source, but it imported safetensors"):
        export.measure_in_fresh_process(saved, mlp.raw, batch_sizes=(), without=("safetensors",))


def test_a_failing_process_is_quoted(saved, mlp, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_no_such_flag=1")
    with pytest.raises(RuntimeError, match=r"must end with exit code 0, got (?s:.)*xla_no_such_flag"):
        export.measure_in_fresh_process(saved, mlp.raw, batch_sizes=())


def test_a_process_that_takes_too_long_is_ended(saved, mlp):
    with pytest.raises(RuntimeError, match=r"must end within 0.05 s, but it did not. Give it more time with timeout="):
        export.measure_in_fresh_process(saved, mlp.raw, timeout=0.05)


def test_wrong_inputs_are_refused_before_a_process_starts(saved, mlp, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: pytest.fail("a process was started"))
    with pytest.raises(InputError, match="calls and batch_sizes must be at least 1"):
        export.measure_in_fresh_process(saved, mlp.raw, calls=0)
    with pytest.raises(InputError, match="got shape"):
        export.measure_in_fresh_process(saved, mlp.raw[:, :3])
    with pytest.raises(InputError, match="at least one row"):
        export.measure_in_fresh_process(saved, mlp.raw[:0])


def test_fixed_sizes_are_timed_as_far_as_they_reach(tmp_path):
    case = image_case(FixedSize(), rows=5)
    case.save(tmp_path / "model.vx", batch_sizes=(4, 8))
    fresh = export.measure_in_fresh_process(tmp_path / "model.vx", case.raw, batch_sizes=(1, 8, 16), calls=3)
    assert [(latency.batch_size, latency.calls) for latency in fresh.latencies] == [(1, 3), (8, 3)]
    comparison = case.compare(tmp_path / "model.vx", fresh=fresh)
    assert (comparison.equal, comparison.max_difference, comparison.rows) == (True, 0.0, 5)


def test_loading_imports_no_network_library(saved):
    program = (
        "import sys; from verax import export; model = export.load(sys.argv[1]); model.predict([[1., 2., 3., 4.]]);"
        "found = {'flax', 'haiku', 'optax', 'orbax', 'sklearn'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", program, str(saved)], check=True)
