"""Certificates as they come out of real runs: a classifier of digits that passes, one that fails, a regressor."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.report.studies import a_study
from verax import plot
from verax.certify import ITEMS, Certificate, Outcome
from verax.evaluate import calibration, regression_calibration, score
from verax.findings import Finding, Leaf, Moment, Split
from verax.train import History, Record

CLASSES = tuple(str(digit) for digit in range(10))


@pytest.fixture(scope="session")
def digits() -> SimpleNamespace:
    """What is known after training a classifier of scikit-learn's digits: its evaluation, mistakes, curves."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    images, labels = load_digits(return_X_y=False).images, load_digits().target
    model = LogisticRegression(C=0.002, max_iter=300).fit(images[:1200].reshape(1200, -1), labels[:1200])
    logits = model.decision_function(images[1200:].reshape(-1, 64))
    held_out, held_out_images = labels[1200:], images[1200:]
    probabilities, sharper = softmax(logits), softmax(1.6 * logits)
    return SimpleNamespace(
        evaluation=score("classification", probabilities, held_out, classes=CLASSES),
        calibration_after=calibration(sharper, held_out, resamples=100),
        mistakes=plot.find_mistakes(held_out_images, held_out, probabilities.argmax(1), probabilities, CLASSES),
        history=curves(epochs=20),
    )


@pytest.fixture(scope="session")
def passed(digits) -> Certificate:
    return Certificate("Digits MLP", outcomes(), digits.evaluation.metrics, FINGERPRINTS, ENVIRONMENT)


@pytest.fixture(scope="session")
def failed(digits) -> Certificate:
    """Two items failed, one was not run, one is waived."""
    wrong_leaf = Finding(
        "wrong-gradient",
        "error",
        "automatic 0.0132, numerical 0.0264: off by a factor of 2.00.",
        "Look at the custom derivative that this leaf passes through.",
        Leaf("params/hidden_1/kernel"),
    )
    changed = {
        "gradients": Outcome(
            "gradients",
            "failed",
            {"largest_relative_error": 0.5, "coordinates": 240, "leaves": 6, "precision": "float64"},
            {"relative_error": 1e-5},
            (wrong_leaf,),
            "240 coordinates of 6 leaves in float64, largest relative error 5.0e-01",
            "vx.check_gradients(loss, params, batch)",
        ),
        "finite": Outcome(
            "finite",
            "failed",
            {"steps_watched": 900, "nonfinite_steps": 41, "first_nonfinite_step": 860},
            {"nonfinite_steps": 0},
            (Finding("non-finite-loss", "error", "NaN or Inf first at step 860.", where=Moment(860, 19)),),
            "900 steps watched, 41 of them not finite",
            "vx.train(experiment).findings",
        ),
        "tuned": Outcome(
            "tuned",
            "not_run",
            reason="no study was given: pass study=vx.tune(experiment, space), or train through verax tune",
        ),
        "inference_time": Outcome(
            "inference_time",
            "waived",
            {"batch_1": {"p50_seconds": 0.081, "p99_seconds": 0.14, "calls": 200}},
            {"latency_p99_seconds": 0.1},
            reason="The batch job runs at night; nobody waits for it (failed: p99 140 ms)",
        ),
    }
    items = tuple(changed.get(item.id, item) for item in outcomes())
    return Certificate("Digits MLP", items, digits.evaluation.metrics, FINGERPRINTS, ENVIRONMENT)


@pytest.fixture(scope="session")
def regressor() -> SimpleNamespace:
    """A regressor whose intervals are too narrow, with its certificate."""
    random = np.random.default_rng(0)
    targets = random.normal(180, 60, 2200)
    predictions = targets + random.standard_t(3, 2200) * 20
    known = predictions[:700], targets[:700]
    evaluation = score("regression", predictions[700:], targets[700:])
    both = regression_calibration(*known, predictions[700:], targets[700:], resamples=100)
    return SimpleNamespace(
        certificate=Certificate("House prices", outcomes(), evaluation.metrics, FINGERPRINTS, ENVIRONMENT),
        drawn={
            "evaluation": evaluation,
            "calibration_before": both.before,
            "calibration_after": both.after,
            "predictions": predictions[700:],
            "targets": targets[700:],
            "history": curves(epochs=40, metric="rmse"),
        },
    )


FINGERPRINTS = {"weights": "5f1c" * 16, "data": "a09e" * 16, "code": "77b2" * 16}
ENVIRONMENT = {
    "verax": "0.2.0",
    "jax": "0.10.2",
    "numpy": "2.3.5",
    "python": "3.11.2",
    "device": "cpu: cpu",
    "platform": "Linux-6.1.0-18-amd64-x86_64-with-glibc2.36",
    "date": "2026-11-22T18:04:11+00:00",
    "test_openings": 1,
}
FACTS = {
    "parameters": 25_450,
    "steps": 900,
    "steps_per_epoch": 45,
    "train_seconds": 3.42,
    "compile_seconds": 1.18,
    "examples_per_second": 8420.5,
    "process_peak_bytes": 612_000_000,
    "programs": {"train": 2, "evaluate": 1},
    "stop_reason": "no better validation/loss for 5 epochs",
}
NOTICED = (
    Finding(
        "constant-feature", "warning", "10 of 64 features never change.", "Leave them out.", Split("train", None, "0_0")
    ),
    Finding("small-test", "info", "597 examples give an interval of about two per cent."),
)


@pytest.fixture(scope="session")
def pages(passed, failed, regressor, digits) -> dict[str, str]:
    """The pages of the three certificates by name."""
    from verax import report

    drawn = {**vars(digits), "run_facts": FACTS, "findings": NOTICED}
    return {
        "passed": report.html(passed, **drawn),
        "failed": report.html(failed, **{**drawn, "history": curves(epochs=20, broken_from=19)}),
        "regressor": report.html(regressor.certificate, **regressor.drawn, run_facts=FACTS),
        "study": report.study_html(a_study(40), title="Digits MLP"),
    }


def outcomes() -> tuple[Outcome, ...]:
    """Ten passed items with numbers of the size that a run on digits has."""
    items = {
        "converges": (
            {"steps": 38, "excess_share": 0.0091, "accuracy": 1.0},
            {"steps": 1000, "excess_share": 0.01},
            "accuracy 1 on 32 rows after 38 steps",
            "vx.overfit_batch(network, objective, optimizer, batch)",
        ),
        "gradients": (
            {"largest_relative_error": 3.1e-8, "coordinates": 240, "leaves": 6, "kinks": 0, "precision": "float64"},
            {"relative_error": 1e-5},
            "240 coordinates of 6 leaves in float64, largest relative error 3.1e-08",
            "vx.check_gradients(loss, params, batch)",
        ),
        "finite": (
            {"steps_watched": 900, "nonfinite_steps": 0, "first_nonfinite_step": None, "nonfinite_leaves": []},
            {"nonfinite_steps": 0},
            "900 steps watched, 0 of them not finite",
            "vx.train(experiment).findings",
        ),
        "better_than_chance": (
            {"accuracy": 0.9778, "accuracy_low": 0.9625, "accuracy_high": 0.9869, "examples": 597},
            {"accuracy_of_simplest_predictor": 0.1022},
            "accuracy 0.9778 [0.9625, 0.9869] against 0.1022 of the most frequent class",
            "verax evaluate RUN",
        ),
        "calibrated": (
            {
                "before": {
                    "ece": 0.0213,
                    "high": 0.041,
                    "expected": 0.012,
                    "p_value": 0.05,
                    "brier": 0.034,
                    "nll": 0.081,
                },
                "after": {
                    "ece": 0.0132,
                    "high": 0.028,
                    "expected": 0.011,
                    "p_value": 0.31,
                    "brier": 0.033,
                    "nll": 0.077,
                },
                "temperature": 1.18,
            },
            {"calibration_error_high": 0.05},
            "calibration error 0.0132, upper end 0.0280, after recalibration; 0.0110 is expected by chance",
            "vx.calibration(probabilities, labels)",
        ),
        "held_out": (
            {
                "exact_duplicates": 0,
                "near_duplicates": 2,
                "exact_share_within_seen": 0.0,
                "test_examples": 597,
                "test_openings": 1,
            },
            {"p_value_of_excess": 0.001},
            "0 exact and 2 near duplicates of seen rows among 597, no more than the data hold by nature; opened once",
            "vx.certify.overlap(seen, test)",
        ),
        "tuned": (
            {
                "trials": 9,
                "metric": "validation/loss",
                "best_value": 0.0712,
                "chosen": {"learning_rate": 0.003, "hidden": 128},
            },
            {"trials": 2},
            "learning_rate=0.003, hidden=128 won among 9 trials by validation/loss",
            "verax tune FILE.py --space NAME=VALUES",
        ),
        "reload": (
            {"rows_compared": 32, "largest_difference": 0.0, "batch_sizes": "any", "load_seconds": 0.412},
            {"largest_difference": 0.0},
            "32 rows equal bit for bit",
            "verax certify RUN",
        ),
        "inference_time": (
            {
                "batch_1": {
                    "p50_seconds": 8.1e-5,
                    "p95_seconds": 1.1e-4,
                    "p99_seconds": 1.9e-4,
                    "examples_per_second": 12034.0,
                    "calls": 400,
                },
                "batch_128": {
                    "p50_seconds": 4.2e-4,
                    "p95_seconds": 5.8e-4,
                    "p99_seconds": 9.3e-4,
                    "examples_per_second": 304761.0,
                    "calls": 200,
                },
                "device": "cpu: cpu",
            },
            {"latency_p99_seconds": 0.1},
            "one example: p50 0.08 ms, p99 0.19 ms",
            "python -m verax.export._fresh model.vx",
        ),
        "memory": (
            {
                "training_program_bytes": 4_200_000,
                "training_process_bytes": 612_000_000,
                "inference_process_bytes": 301_000_000,
            },
            {"training_peak_bytes": 16e9, "inference_peak_bytes": 2147483648.0},
            "training 584 MiB, inference 287 MiB",
            "python -m verax.export._fresh model.vx",
        ),
    }
    assert tuple(items) == tuple(ITEMS)
    return tuple(Outcome(name, "passed", *values[:2], (), *values[2:]) for name, values in items.items())


def curves(epochs: int, metric: str = "accuracy", broken_from: int | None = None) -> History:
    """Curves of a run that learns; from some epoch on, its training loss is NaN."""
    random = np.random.default_rng(1)
    records = []
    for epoch in range(1, epochs + 1):
        fall = 2.3 * np.exp(-epoch / 4)
        loss = float("nan") if broken_from and epoch >= broken_from else fall + 0.02 + 0.006 * random.random()
        reached = 1 - 0.9 * np.exp(-epoch / 3) - 0.02 if metric == "accuracy" else 20 + 60 * np.exp(-epoch / 5)
        values = {"train/loss": loss, "validation/loss": fall + 0.07, f"validation/{metric}": reached}
        records.append(Record("epoch", 45 * epoch, epoch, values, 0.17 * epoch))
    return History(tuple(records))


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
