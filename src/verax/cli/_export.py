"""`verax export`: a run's network as a folder that runs without its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from verax.cli._runs import chosen_variables, expect
from verax.cli._say import say, say_json, waiting
from verax.findings import InputError


def export(
    run: Path,
    /,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    weights: Literal["raw", "ema"] | None = None,
    threshold: str | None = None,
    json: bool = False,
) -> int:
    """Writes a run's network with its preprocessing and calibration as model.vx, which takes raw rows.

    Args:
      run: the run folder.
      out: the folder to write, usually NAME.vx; model.vx in the run folder if not given.
      overwrite: replaces a model that is there already.
      weights: of a run that averaged its weights: the average, or those trained last; the average if not given.
      threshold: for binary and multilabel: from which probability on a label is there, such as 0.3, or the metric that
        the best threshold on the validation split is chosen by, such as f1.
      json: prints the model's signature as JSON on stdout.
    """
    expect(run, "run")
    target = out or run / "model.vx"
    if target.exists() and not overwrite and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{target} exists already. Choose another with --out, or pass --overwrite to replace a model.")
    from verax.export import save
    from verax.train import load_run

    with waiting("loading the run"):
        loaded = load_run(run)
    data, variables = loaded.dataset, chosen_variables(loaded, weights)
    temperature = temperature_of(loaded, variables)
    chosen = None if threshold is None else threshold_of(loaded, variables, threshold, temperature)
    with waiting("exporting"):
        model = save(
            target,
            network=loaded.network,
            objective=loaded.experiment.objective.fitted(data.examples("train")),
            variables=variables,
            preprocessing=data.preprocessing,
            schema=data.schema,
            temperature=temperature,
            threshold=chosen,
            name=loaded.network.name,
            raw=data.raw("train").inputs,
            overwrite=overwrite,
        )
    if json:
        say_json(model.signature.to_json())
        return 0
    size = sum(each.stat().st_size for each in model.path.iterdir())
    sizes = model.signature.batch_sizes
    say(f"{model.path}: {size / 1e6:.2f} MB, {'any number of rows' if sizes is None else f'batches of {sizes}'}")
    if model.signature.threshold is not None:
        say(f"threshold: {', '.join(f'{each:.4g}' for each in model.signature.threshold)}")
    say(f"next: verax predict {target} ROWS")
    return 0


def temperature_of(run: Any, variables: Any) -> float | None:
    """Returns what logits are divided by, fitted on the calibration split; None without one, or without logits."""
    from verax.train import temperature_on

    if "calibration" not in run.dataset.splits:
        return None
    return temperature_on(run.network, run.experiment.objective, variables, run.dataset.examples("calibration"))


def threshold_of(run: Any, variables: Any, chosen: str, temperature: float | None) -> Any:
    """Returns a threshold: the number that was given, or the best one by a metric on the validation split."""
    import numpy as np

    from verax.evaluate import choose_threshold
    from verax.train import answers_on

    objective = run.experiment.objective
    if objective.task not in ("binary", "multilabel"):
        raise InputError(f"--threshold is for binary and multilabel, but this run is of task {objective.task}.")
    try:
        return float(chosen)
    except ValueError:
        pass
    if "validation" not in run.dataset.splits:
        raise InputError(
            f"--threshold {chosen} is chosen on a validation split, and the data have none. Give a number."
        )
    outputs, examples = answers_on(run.network, objective, variables, run.dataset.examples("validation"))
    probabilities = np.asarray(objective.predictions(outputs if temperature is None else outputs / temperature))
    try:
        return choose_threshold(probabilities, np.asarray(examples.targets), chosen)
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(f"--threshold: {error}") from error
