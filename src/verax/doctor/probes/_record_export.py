"""Does the model that was exported into a run's folder prepare its inputs as the training did?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.export import Exported, load
from verax.findings import Finding, InputError
from verax.network import Variables
from verax.train import Run
from verax.trees import Tree, leaves_by_path

ROWS = 64
SAME = 1e-3  # of the largest output: other batches, and products that keep 10 bits on an accelerator
FELT = 0.1  # of it: what rounding never does


def look(run: Run) -> Seen:
    """Gives raw rows to each exported model, and compares its outputs with the network's, prepared and unprepared."""
    models = sorted(path for path in run.folder.glob("*.vx") if path.is_dir()) if run.folder else []
    if not models:
        raise NotApplicable("the run has no folder with an exported model (model.vx).")
    if not run.dataset.preprocessing.steps:
        raise NotApplicable("the run does not prepare its inputs.")
    raw, prepared = run.dataset.raw("train").inputs, run.dataset.examples("train").inputs
    said = []
    for path in models:
        compared, finding = _compared(
            run, path, *(jax.tree.map(lambda leaf: leaf[:ROWS], each) for each in (raw, prepared))
        )
        said.append(f"{path.name}: {compared}")
        if finding is not None:
            return Seen("; ".join(said), (finding,))
    return Seen("; ".join(said))


def _compared(run: Run, path: Path, raw: Tree, prepared: Tree) -> tuple[str, Finding | None]:
    """Returns what the outputs of a model are, and what is wrong with them."""
    try:
        model = load(path)
        raw = model.check(raw)
        served = model.predict(raw)["outputs"]
    except (InputError, TypeError) as error:  # it refuses raw rows, so nobody can be misled
        return f"it does not take the raw rows ({str(error).splitlines()[0]})", None
    variables = _weights(run, model)
    if variables is None or not isinstance(served, np.ndarray):
        return "its weights or outputs are not those of the run's network", None
    wanted, unprepared = (_outputs(run, variables, inputs) for inputs in (prepared, raw))
    gap, other = _gap(served, wanted), _gap(served, unprepared)
    compared = f"outputs for raw rows differ by {gap:.2g} of the largest from the network's for prepared ones"
    if not (gap > FELT and other <= SAME and not model.signature.preprocessing.get("steps")):
        return compared, None
    steps = ", ".join(str(step.get("kind")) for step in run.dataset.preprocessing.steps)
    message = f"{path.name} does not prepare its inputs ({steps}): raw rows go into the network as they are."
    evidence = (
        f"outputs for {len(served)} raw rows: {gap:.2g} of the largest away from the network's for them, prepared",
        f"and {other:.1g} from the network's for rows that were not prepared",
    )
    advice = "Export preparation and network together: verax export, or preprocessing=run.dataset.preprocessing."
    return compared, Finding("missing-preprocessing-in-export", "error", message, advice, None, "data", evidence, 1.0)


def _weights(run: Run, model: Exported) -> Variables | None:
    """Returns the exported weights as the variables of the run's network; None if they are of another."""
    like = run.variables._asdict()
    found = {path: model.weights.get(path) for path in leaves_by_path(like)}
    wanted = leaves_by_path(like).items()
    if any((leaf := found[path]) is None or leaf.shape != np.shape(own) for path, own in wanted):
        return None
    return Variables(**jax.tree.unflatten(jax.tree.structure(like), list(found.values())))


def _outputs(run: Run, variables: Variables, inputs: Tree) -> Any:
    """Returns the outputs of the run's network; None where it does not take such inputs."""
    try:
        return jax.jit(lambda inputs: run.network.apply(variables, inputs)[0])(inputs)
    except Exception:  # whatever a network raises for inputs that it was not made for
        return None


def _gap(served: np.ndarray, outputs: Any) -> float:
    """Returns the largest difference as a share of the largest output; infinite where they cannot be compared."""
    if outputs is None or np.shape(outputs) != served.shape:
        return np.inf
    one, other = served.astype(np.float64), np.asarray(outputs, np.float64)
    size = max(np.abs(one).max(initial=0.0), np.abs(other).max(initial=0.0))
    return float(np.abs(one - other).max(initial=0.0) / size) if size else 0.0


PROBES = (Probe("preparation in exported models", ("missing-preprocessing-in-export",), look, "record"),)
