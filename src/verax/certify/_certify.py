"""The ten items, one after another, and the certificate they add up to."""

from __future__ import annotations

import contextlib
import datetime
import json
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from verax.certify._certificate import ITEMS, Certificate, Outcome
from verax.certify._details import details_of
from verax.certify._evidence import Evidence, code_fingerprint, evidence_from_run, resolved
from verax.certify._judgement import better_than_chance, calibrated, held_out, opened_by_study, tuned
from verax.certify._ledger import open_test
from verax.certify._saved_model import inference_time, memory, reload
from verax.certify._subject import Subject
from verax.certify._training import converges, finite, gradients
from verax.findings import InputError, suggested
from verax.train import Run, environment
from verax.train._limits import chosen_limits
from verax.trees import digest, leaves_by_path

RERUN = {
    "converges": "vx.overfit_batch(network, objective, optimizer, batch)",
    "gradients": "vx.check_gradients(loss, params, batch)",
    "finite": "vx.train(experiment).findings",
    "better_than_chance": "vx.evaluate(network, objective, variables, examples)",
    "calibrated": "vx.calibration(probabilities, labels)",
    "held_out": "vx.certify.overlap(seen_inputs, test_inputs)",
    "tuned": "vx.tune(experiment, space)",
    "reload": "vx.export.compare_reload('model.vx', ...)",
    "inference_time": "vx.export.measure_in_fresh_process('model.vx', rows)",
    "memory": "vx.export.measure_in_fresh_process('model.vx', rows)",
}


def certify(
    subject: Run | Evidence,
    *,
    study: Any = None,
    waivers: Mapping[str, str] | None = None,
    limits: Mapping[str, float | int] | None = None,
    out: str | Path | None = None,
) -> Certificate:
    """Returns the certificate of a trained network: ten items, each measured.

    An item without evidence is `not_run` and says what to pass; it is never passed. Nothing is written unless `out` is
    given: then `certificate.json`, the exported `model.vx`, `predictions.npz` and a line in `test_ledger.jsonl`. A
    study that trained its winner anew has opened the test split too, which is counted.

    Args:
      subject: a run of `vx.train`, or the `Evidence` of a loop of your own.
      study: the search that chose the setting, such as the result of `vx.tune`.
      waivers: for each item that may fail, the reason; it is still measured.
      limits: limits where neither the defaults nor the experiment's fit, by name (see docs/certificate.md).
      out: a folder; it may be the run's own.

    Raises:
      InputError: if a waiver or a limit is unknown, the weights do not fit the network, or there is no test split.
    """
    items = outcomes(subject, study=study, waivers=waivers, limits=limits, out=out)
    while True:
        try:
            next(items)
        except StopIteration as end:
            return end.value


def outcomes(
    subject: Run | Evidence,
    *,
    study: Any = None,
    waivers: Mapping[str, str] | None = None,
    limits: Mapping[str, float | int] | None = None,
    out: str | Path | None = None,
) -> Generator[Outcome, None, Certificate]:
    """Yields each outcome as it is measured, and returns the certificate: `certify` with something to watch."""
    if isinstance(subject, Run):
        evidence = evidence_from_run(subject, study)
    elif isinstance(subject, Evidence):
        evidence = subject if study is None else replace(subject, study=study)
    else:
        raise InputError(f"certify takes a Run of vx.train or a vx.Evidence, got {type(subject).__name__}.")
    waivers = _checked_waivers(waivers or {})
    chosen = chosen_limits(evidence.limits, limits or {})
    network, variables, dataset, history = resolved(evidence)
    with tempfile.TemporaryDirectory(prefix="verax-") as temporary:
        folder = Path(temporary) if out is None else _folder(out)
        measured = Subject(evidence, network, variables, dataset, history, chosen, folder)
        before = ["tune"] if opened_by_study(evidence.study) else []
        openings = open_test(None if out is None else folder, "certify", dataset.fingerprint, before=before)
        checks: dict[str, Callable[[], Outcome]] = {
            "converges": lambda: converges(measured),
            "gradients": lambda: gradients(measured),
            "finite": lambda: finite(measured),
            "better_than_chance": lambda: better_than_chance(measured),
            "calibrated": lambda: calibrated(measured),
            "held_out": lambda: held_out(measured, openings),
            "tuned": lambda: tuned(measured),
            "reload": lambda: reload(measured),
            "inference_time": lambda: inference_time(measured),
            "memory": lambda: memory(measured),
        }
        items = []
        for name in ITEMS:
            items.append(_waived(_measured(name, checks[name]), waivers))
            yield items[-1]
        certificate = Certificate(
            evidence.name or network.name,
            tuple(items),
            {} if measured.scores is None else measured.scores.metrics,
            _fingerprints(measured),
            {**environment(), "date": _now(), "test_openings": openings},
            measured.units,
            details_of(measured),
        )
        if out is not None:
            _write(folder, certificate, measured)
    return certificate


def _folder(out: str | Path) -> Path:
    folder = Path(out).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out must be a folder that can be written, got {folder}: {error.strerror}.") from error
    return folder


def _checked_waivers(waivers: Mapping[str, str]) -> Mapping[str, str]:
    for name, reason in waivers.items():
        if name not in ITEMS:
            raise InputError(f"unknown item {name!r} in waivers. {suggested(name, ITEMS)}")
        if not isinstance(reason, str) or not reason.strip():
            raise InputError(f"the waiver of {name} must give a written reason, got {reason!r}.")
    return waivers


def _measured(name: str, check: Callable[[], Outcome]) -> Outcome:
    """Returns an item's outcome; one that could not be measured is not run, with the cause."""
    try:
        return replace(check(), rerun=RERUN[name])
    except Exception as error:  # whatever breaks while measuring, the other items still count
        reason = f"it could not be measured: {type(error).__name__}: {str(error).strip()}".removesuffix(": ")
        return Outcome(name, "not_run", reason=reason, rerun=RERUN[name])


def _waived(outcome: Outcome, waivers: Mapping[str, str]) -> Outcome:
    if outcome.id not in waivers or outcome.status == "passed":
        return outcome
    measured = f"{outcome.status.replace('_', ' ')}: {outcome.reason}"
    return replace(outcome, status="waived", reason=f"{waivers[outcome.id]} ({measured})")


def _fingerprints(subject: Subject) -> dict[str, str]:
    prints = {"weights": digest(subject.variables._asdict()), "data": subject.dataset.fingerprint}
    code = code_fingerprint(subject.evidence)
    return {**prints, "code": code} if code else prints


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _write(folder: Path, certificate: Certificate, subject: Subject) -> None:
    trees = {"predictions": subject.predictions, "targets": subject.objective.wanted(subject.test)}
    arrays: dict[str, Any] = {
        f"{name}/{path}" if path else name: _storable(leaf)
        for name, tree in (trees if subject.scores else {}).items()
        for path, leaf in leaves_by_path(tree).items()
    }
    with _finished(folder / "predictions.npz") as file:
        np.savez_compressed(file, **arrays)
    with _finished(folder / "certificate.json") as file:
        file.write(json.dumps(certificate.to_json(), indent=1, allow_nan=False).encode())


@contextlib.contextmanager
def _finished(path: Path) -> Iterator[IO[bytes]]:
    """Yields a file that has its name only once it is whole."""
    unfinished = path.with_name(f".{path.name}")
    with unfinished.open("wb") as file:
        yield file
    unfinished.rename(path)


def _storable(leaf: Any) -> np.ndarray:
    """Returns an array in a type that NumPy's own files know."""
    array = np.asarray(leaf)
    return array.astype(np.float32) if array.dtype.kind == "V" else array
