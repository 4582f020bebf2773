"""The items that look at the exported model in a fresh process: reload, inference_time, memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verax.certify._certificate import Outcome
from verax.certify._subject import Subject
from verax.export import compare_reload, load
from verax.findings import Finding


def reload(subject: Subject) -> Outcome:
    """The exported model, read in a fresh process without its source, gives the same outputs bit for bit."""
    try:
        fresh, signature = subject.fresh, load(subject.model_path).signature
    except Exception as error:  # whatever keeps a model from being written, read or run
        message = f"the model could not be exported and run in a fresh process: {error}"
        advice = (
            "Python branches and shapes that depend on values, callbacks, and leaves of unusual types stop an export."
        )
        finding = Finding("export-failed", "error", message, advice)
        return Outcome("reload", "failed", {}, {"largest_difference": 0.0}, (finding,), message)
    comparison = compare_reload(
        subject.model_path,
        subject.network,
        subject.objective,
        subject.variables,
        subject.dataset.preprocessing,
        subject.temperature,
        subject.reload_inputs,
        fresh=fresh,
    )
    rows, gap = comparison.rows, comparison.max_difference
    findings = ()
    if not comparison.equal:
        message = f"outputs of the exported model differ from the network's by up to {gap:.3g}."
        advice = "Look for randomness or global state in the forward pass."
        findings = (Finding("export-mismatch", "error", message, advice),)
    return Outcome(
        "reload",
        "passed" if comparison.equal else "failed",
        {
            "rows_compared": rows,
            "largest_difference": gap,
            "batch_sizes": "any" if signature.batch_sizes is None else list(signature.batch_sizes),
            "load_seconds": fresh.load_seconds,
            "fresh_process_seconds": fresh.total_seconds,
        },
        {"largest_difference": 0.0},
        findings,
        f"{rows} rows equal bit for bit" if comparison.equal else f"{rows} rows differ by up to {gap:.3g}",
    )


def inference_time(subject: Subject) -> Outcome:
    """One example is answered within the limit, in 99 of 100 calls of a warm fresh process."""
    limit = subject.limits["latency_p99_seconds"]
    latencies = subject.fresh.latencies
    measured: dict[str, Any] = {
        f"batch_{each.batch_size}": {
            "p50_seconds": each.p50,
            "p95_seconds": each.p95,
            "p99_seconds": each.p99,
            "examples_per_second": each.examples_per_second,
            "calls": each.calls,
        }
        for each in latencies
    }
    smallest = latencies[0]
    size = "one example" if smallest.batch_size == 1 else f"a batch of {smallest.batch_size}"
    return Outcome(
        "inference_time",
        "passed" if smallest.p99 <= limit else "failed",
        {**measured, "device": subject.fresh.device},
        {"latency_p99_seconds": limit},
        reason=f"{size}: p50 {1e3 * smallest.p50:.2f} ms, p99 {1e3 * smallest.p99:.2f} ms",
    )


def memory(subject: Subject) -> Outcome:
    """Training and inference held no more memory than the limits."""
    training = subject.evidence.training_peak_bytes
    if training is None:
        reason = "the peak of training was not recorded: pass training_peak_bytes= in the Evidence"
        return Outcome("memory", "not_run", reason=reason)
    parts = dict(training) if isinstance(training, Mapping) else {"process_bytes": int(training)}
    training_peak, inference_peak = max(parts.values()), subject.fresh.peak_bytes
    limits = {name: subject.limits[name] for name in ("training_peak_bytes", "inference_peak_bytes")}
    passed = training_peak <= limits["training_peak_bytes"] and inference_peak <= limits["inference_peak_bytes"]
    programs = {
        f"inference_program_bytes_batch_{each.batch_size}": sum(each.program_bytes.values())
        for each in subject.fresh.latencies
    }
    return Outcome(
        "memory",
        "passed" if passed else "failed",
        {
            **{f"training_{name}": value for name, value in parts.items()},
            "inference_process_bytes": inference_peak,
            **programs,
        },
        limits,
        reason=f"training {_mib(training_peak)}, inference {_mib(inference_peak)}",
    )


def _mib(size: float | int) -> str:
    return f"{size / 2**20:.0f} MiB"
