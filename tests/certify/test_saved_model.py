"""reload, inference_time, memory: each passes a healthy network and finds a fault that was planted."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from tests.certify import cases
from tests.certify.cases import known_evidence, measure, subject_of
from verax import export
from verax.certify import _subject as subject_module
from verax.certify._saved_model import inference_time, memory, reload


@pytest.fixture(scope="module")
def subject():
    """A healthy subject whose model is measured once."""
    with subject_of(known_evidence()) as subject:
        yield subject


def test_a_healthy_network_is_equal_bit_for_bit_in_a_fresh_process(subject):
    item = reload(subject)
    assert item.status == "passed" and item.findings == ()
    assert (item.measured["rows_compared"], item.measured["largest_difference"]) == (32, 0.0)
    assert item.measured["batch_sizes"] == "any" and item.limit == {"largest_difference": 0.0}


def test_a_healthy_network_is_fast_and_small(subject):
    fast, small = inference_time(subject), memory(subject)
    assert (fast.status, small.status) == ("passed", "passed")
    one = fast.measured["batch_1"]
    assert one["calls"] >= 200 and 0 < one["p50_seconds"] <= one["p95_seconds"] <= one["p99_seconds"] < 0.1
    assert fast.measured["batch_32"]["examples_per_second"] > 0
    assert small.measured["training_process_bytes"] == 10**8
    assert 2**26 < small.measured["inference_process_bytes"] < small.limit["inference_peak_bytes"] == 2**31


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("inference_time", {"latency_p99_seconds": 1e-9}),
        ("memory", {"inference_peak_bytes": 1000}),
        ("memory", {"training_peak_bytes": 1000}),
    ],
)
def test_a_limit_that_is_not_kept_fails(subject, name, limits):
    item = cases.CHECKS[name](replace_limits(subject, limits))
    assert item.status == "failed"
    assert limits.items() <= item.limit.items()


def replace_limits(subject, limits):
    """Returns the subject with other limits, and what was measured of it so far."""
    changed = replace(subject, limits={**subject.limits, **limits})
    vars(changed).update({name: value for name, value in vars(subject).items() if name != "limits"})
    return changed


def test_a_really_slow_network_fails():
    init, apply = cases.small()

    def slow(params, x):
        def once(_, state):
            return jnp.tanh(state @ state)

        start = jnp.ones((128, 128)) * params["bias"][0] + x[:, :1].sum() * 1e-6
        waste = jax.lax.fori_loop(0, 40, once, start)
        return apply(params, x) + 1e-20 * waste.sum()

    item = measure(known_evidence(network=(init, slow)), "inference_time", latency_p99_seconds=2e-3)
    assert item.status == "failed"
    assert item.measured["batch_1"]["p99_seconds"] > 2e-3
    assert "one example: p50" in item.reason


def test_a_network_that_depends_on_the_process_is_not_reloaded():
    init, apply = cases.small()
    traces = itertools.count()  # state on the host, which each trace bakes into its program
    network = (init, lambda params, x: apply(params, x) + 1e-3 * next(traces))
    item = measure(known_evidence(network=network), "reload")
    assert item.status == "failed"
    assert item.measured["largest_difference"] > 1e-4
    assert [each.id for each in item.findings] == ["export-mismatch"]
    assert "differ by up to" in item.reason


def test_a_damaged_file_is_not_reloaded(monkeypatch):
    def save_and_damage(path, **settings):
        export.save(path, **settings)
        file = path / "weights.safetensors"
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)

    monkeypatch.setattr(subject_module, "save", save_and_damage)
    with subject_of(known_evidence()) as damaged:
        item, time = reload(damaged), cases.CHECKS["inference_time"]
        assert item.status == "failed" and [each.id for each in item.findings] == ["export-failed"]
        assert "weights.safetensors" in item.reason
        with pytest.raises(ValueError, match="weights"):
            time(damaged)


def test_a_network_that_cannot_be_exported_fails_once(monkeypatch):
    calls = []

    def refuse(*_, **__):
        calls.append(1)
        raise TypeError("no such type")

    monkeypatch.setattr(subject_module, "save", refuse)
    with subject_of(known_evidence()) as unsaved:
        assert "no such type" in reload(unsaved).reason
        for check in (inference_time, memory):
            with pytest.raises(TypeError, match="no such type"):
                check(unsaved)
    assert len(calls) == 1


def test_without_the_peak_of_training_memory_says_what_to_pass():
    item = measure(known_evidence(training_peak_bytes=None), "memory")
    assert item.status == "not_run" and "pass training_peak_bytes= in the Evidence" in item.reason
