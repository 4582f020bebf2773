"""`verax evaluate`: the scores of a run on a split, or of an exported model on rows with their answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from verax.cli._certify import openings_text
from verax.cli._runs import chosen_variables, expect
from verax.cli._say import console, metrics_table, say, say_json, table, waiting
from verax.findings import InputError

MOST_CLASSES = 20  # of a confusion matrix on a screen


def evaluate(
    target: Path,
    rows: Path | None = None,
    /,
    *,
    split: Literal["test", "validation", "calibration", "train"] = "test",
    weights: Literal["raw", "ema"] | None = None,
    json: bool = False,
) -> int:
    """Scores a run on one of its splits, or an exported model on a file of rows, each number with a 95 % interval.

    Of a run it also writes predictions.npz (test split), and every opening of the test split goes into its ledger.
    An exported model runs without its source: give a CSV with the target column, or an .npz with inputs and targets.

    Args:
      target: a run folder or a model.vx.
      rows: rows with their answers, for a model.vx.
      split: which split of a run.
      weights: of a run that averaged its weights: the average, or those trained last; the average if not given.
      json: prints everything as JSON on stdout.
    """
    if expect(target, "run", "model") == "run":
        if rows is not None:
            raise InputError(f"rows are for a model.vx, but {target} is a run, which has its own data. Use --split.")
        evaluation, note = _of_run(target, split, weights)
    else:
        if rows is None:
            raise InputError(f"{target} holds no data. Give a file of rows with their answers after it: CSV or NPZ.")
        if weights is not None:
            raise InputError(f"--weights is for a run, but {target} is a model, which holds one set of weights.")
        evaluation, note = _of_model(target, rows)
    if json:
        say_json(evaluation.to_json())
        return 0
    title = f"{evaluation.task}, {evaluation.examples:,} examples of {rows.name if rows else f'the {split} split'}"
    _print(evaluation, title)
    if note:
        say(note)
    return 0


def _of_run(folder: Path, split: str, weights: str | None) -> tuple[Any, str]:
    import numpy as np

    from verax.certify import open_test
    from verax.evaluate import evaluate as score_network
    from verax.train import answers_on, load_run

    with waiting("loading the run"):
        run = load_run(folder)
    examples, variables = run.dataset.examples(split), chosen_variables(run, weights)
    objective = run.experiment.objective.fitted(run.dataset.examples("train"))
    if split != "test":
        classes = run.dataset.schema.classes
        return score_network(run.network, objective, variables, examples, classes=classes), ""
    openings = open_test(folder, "evaluate", run.dataset.fingerprint)
    evaluation = score_network(run.network, objective, variables, examples, classes=run.dataset.schema.classes)
    wanted = objective.wanted(examples)
    if not isinstance(wanted, np.ndarray) or objective.meaning.most_numbers is not None:  # a tree, or too many to write
        return evaluation, openings_text(openings)
    predictions = objective.predictions(answers_on(run.network, objective, variables, examples).outputs)
    if not hasattr(predictions, "shape"):
        return evaluation, openings_text(openings)
    _write_predictions(folder / "predictions.npz", np.asarray(predictions), wanted)
    return evaluation, f"{openings_text(openings)}; predictions: {folder / 'predictions.npz'}"


def _write_predictions(path: Path, predictions: Any, targets: Any) -> None:
    import numpy as np

    unfinished = path.with_name(f".{path.name}.{os.getpid()}.npz")
    try:
        np.savez_compressed(unfinished, predictions=predictions, targets=targets)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _of_model(folder: Path, path: Path) -> tuple[Any, str]:
    from verax.evaluate import score
    from verax.export import load, read_rows

    with waiting("loading the model"):
        model = load(folder)
    task = model.signature.task
    if task == "custom":
        raise InputError(f"{folder} has a loss of its own, which a model file does not hold. Evaluate its run.")
    if task == "autoencoder":
        raise InputError(f"{folder} reconstructs prepared inputs, which a model file does not give. Evaluate its run.")
    rows = read_rows(path, model.schema)
    targets = _targets(path, rows, model)
    encoded = model.schema.encode(rows)
    outputs = model.predict(encoded)
    predictions = outputs["predictions" if task == "regression" else "probabilities"]
    options = {
        "spread": outputs.get("std"),
        "threshold": model.signature.threshold,
        "padding": model.signature.padding,
        "classes": None if task in ("regression", "language_model") else model.classes,
    }
    return score(task, predictions, targets, **options), ""


def _targets(path: Path, rows: Any, model: Any) -> Any:
    """Returns the answers in a file of rows: labels, or numbers for a regression."""
    import numpy as np

    name = model.schema.target
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as held:
            if "targets" not in held:
                raise InputError(f"{path} must hold 'targets' beside the inputs, found {', '.join(held.files)}.")
            return held["targets"]
    if not (isinstance(rows, list) and rows and isinstance(rows[0], dict)):
        raise InputError(f"{path} holds no answers. Give a CSV with {name!r}, or an .npz with inputs and targets.")
    if name not in rows[0]:
        raise InputError(f"{path} must have the target column {name!r}, found {', '.join(map(str, rows[0]))}.")
    texts = [str(row[name]).strip() for row in rows]
    if model.classes is None:
        return np.array([_number(path, index, text) for index, text in enumerate(texts)], np.float32)
    labels = {each: label for label, each in enumerate(model.classes)}
    for index, text in enumerate(texts):
        if text not in labels:
            raise InputError(f"{path} row {index}: {name} must be one of {', '.join(labels)}, got {text!r}.")
    return np.array([labels[text] for text in texts], np.int32)


def _number(path: Path, row: int, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{path} row {row}: the target must be a number, got {text!r}.") from None


def _print(evaluation: Any, title: str) -> None:
    screen = console()
    screen.print(metrics_table(evaluation.metrics, title))
    calibration = evaluation.calibration
    if calibration is not None:
        screen.print(
            f"calibration error {calibration.ece:.4f} (debiased {calibration.debiased:.4f}, "
            f"{calibration.low:.4f} to {calibration.high:.4f}; {calibration.expected:.4f} is expected by chance)"
        )
    if evaluation.confusion is None:
        return
    say()
    say(evaluation.report.rstrip())
    names = evaluation.classes or tuple(map(str, range(len(evaluation.confusion))))
    if len(names) <= MOST_CLASSES:
        rows = [(name, *counts) for name, counts in zip(names, evaluation.confusion.tolist(), strict=True)]
        say()
        screen.print(table(("true \\ predicted", *names), rows, title="confusion matrix", numbers=names))
