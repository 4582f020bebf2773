"""`verax export`: a run's network as a folder that runs without its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verax.cli._runs import expect
from verax.cli._say import say, say_json, waiting
from verax.findings import InputError


def export(run: Path, /, *, out: Path | None = None, overwrite: bool = False, json: bool = False) -> int:
    """Writes a run's network with its preprocessing and calibration as model.vx, which takes raw rows.

    Args:
      run: the run folder.
      out: the folder to write, usually NAME.vx; model.vx in the run folder if not given.
      overwrite: replaces a model that is there already.
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
    data = loaded.dataset
    with waiting("exporting"):
        model = save(
            target,
            network=loaded.network,
            objective=loaded.experiment.objective,
            variables=loaded.variables,
            preprocessing=data.preprocessing,
            schema=data.schema,
            temperature=temperature_of(loaded),
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
    say(f"next: verax predict {target} ROWS")
    return 0


def temperature_of(run: Any) -> float | None:
    """Returns what logits are divided by, fitted on the calibration split; None without one, or without classes."""
    from verax.evaluate import fit_temperature, predict

    if "calibration" not in run.dataset.splits or run.experiment.objective.task not in ("classification", "binary"):
        return None
    examples = run.dataset.examples("calibration")
    return fit_temperature(predict(run.network, run.variables, examples.inputs), examples.targets)
