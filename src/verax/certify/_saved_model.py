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
    evidence = subject.evidence
    comparison = compare_reload(
        subject.model_path,
        subject.network,
        evidence.objective,
        subject.variables,
        subject.dataset.preprocessing,
        subject.temperature,
        subject.reload_inputs,
        fresh=subject.fresh,
    )
    signature = load(subject.model_path).signature
    sizes = "any" if signature.batch_sizes is None else list(signature.batch_sizes)
    findings = ()
    if not comparison.equal:
        message = f"outputs of the exported model differ from the network's by up to {comparison.max_difference:.3g}."
        findings = (Finding("export-mismatch", "error", message, "Look for randomness or global state in the forward pass."),)
    return Outcome(
        "reload",
        "passed" if comparison.equal else "failed",
        {
            "rows_compared": comparison.rows,
            "largest_difference": comparison.max_difference,
            "batch_sizes": sizes,
            "load_seconds": subject.fresh.load_seconds,
            "fresh_process_seconds": subject.fresh.total_seconds,
        },
        {"largest_difference": 0.0},
        findings,
        f"{comparison.rows} rows " + ("equal bit for bit" if comparison.equal else f"differ by up to {comparison.max_difference:.3g}"),
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
        return Outcome("memory", "not_run", reason="the peak of training was not recorded: pass training_peak_bytes= in the Evidence")
    parts = dict(training) if isinstance(training, Mapping) else {"process_bytes": int(training)}
    training_peak, inference_peak = max(parts.values()), subject.fresh.peak_bytes
    limits = {name: subject.limits[name] for name in ("training_peak_bytes", "inference_peak_bytes")}
    passed = training_peak <= limits["training_peak_bytes"] and inference_peak <= limits["inference_peak_bytes"]
    programs = {f"inference_program_bytes_batch_{each.batch_size}": sum(each.program_bytes.values()) for each in subject.fresh.latencies}
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
