"""Are the weights of a finished run those that its records are about, in memory and on disk?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.findings import Finding, InputError, Leaf
from verax.network import Variables
from verax.train import Run, TrainState, load_state, make_eval_step, mean_metrics
from verax.train._keys import init_key
from verax.train._session import validation_batches
from verax.trees import is_floating, leaf_digest, leaves_by_path

LOSS = "validation/loss"
# Rounding of the loss. Products on an accelerator may keep 10 bits of each number (TF32), so weights that are off by
# half of the last of these stand for it; sums of float32 numbers in another order differ by less than SAME.
NARROW = 2.0**-11
ROUNDINGS = 8.0  # times what such weights do: they were drawn once, and every layer rounds anew
SAME = 1e-4
ADVICE = (
    "Save parameters, model state, optimizer state and preparation together, and restore them into the same network."
)


def look_at_files(run: Run) -> Seen:
    """Reads the checkpoints in the run's folder and compares them with the weights in memory, leaf by leaf."""
    if run.folder is None or not (run.folder / "checkpoints").is_dir():
        raise NotApplicable("the run has no folder with checkpoints.")
    held = [(name, state) for name, state in (("final", run.state), ("best", run.best)) if state is not None]
    for name, state in held:
        path = run.folder / "checkpoints" / name
        try:
            differing = _first_difference(load_state(path, state), state)
        except InputError as error:
            lines = [line.strip() for line in str(error).splitlines()]
            said = f"the checkpoint {name} cannot be restored: {lines[0]}"
            return Seen(said, (_finding(said, None, tuple(lines[1:3])),))
        if differing:
            said = (
                f"the checkpoint {name} holds other numbers than the run: {differing} is the first leaf that differs."
            )
            return Seen(said, (_finding(said, Leaf(differing), (f"in {path}",)),))
    return Seen(f"{' and '.join(name for name, _ in held)} on disk and in memory: equal to the bit.")


def _first_difference(one: TrainState, other: TrainState) -> str | None:
    pairs = zip(leaves_by_path(one).items(), leaves_by_path(other).values(), strict=True)
    return next((path for (path, a), b in pairs if leaf_digest(a) != leaf_digest(b)), None)


def look_at_records(run: Run) -> Seen:
    """Computes the validation loss of the run's weights again, and compares it with what was recorded at their step."""
    recorded = dict(zip(*run.history.series(LOSS), strict=True))
    states = [("best", run.best), ("last", run.state)]
    known = [
        (name, state, recorded[int(state.step)]) for name, state in states if state and int(state.step) in recorded
    ]
    if not known or not np.isfinite([value for *_, value in known]).all():
        raise NotApplicable("no validation loss was recorded at the steps of the run's weights.")
    batches = [jax.tree.map(jnp.asarray, batch) for batch in validation_batches(run.experiment, run.dataset)]
    loss_of, said = _loss(run, batches), []
    for name, state, before in known:
        now = loss_of(state.variables)
        said.append(f"{name}, step {int(state.step)}: recorded {before:.6g}, now {now:.6g}")
        if abs(now - before) <= _room(loss_of, state.variables, now):
            continue
        if _loss(run, batches)(state.variables) != now:
            raise NotApplicable("the validation loss differs from one evaluation to the next.")
        still = next(_as_it_began(run, state.variables), None)
        message = (
            f"the {name} weights have a validation loss of {now:.4g}, and {before:.4g} was recorded at their step."
        )
        evidence = (f"{still} is as it was before the first step",) if still else ()
        return Seen("; ".join(said), (_finding(message, Leaf(still) if still else None, evidence),))
    return Seen("; ".join(said))


def _loss(run: Run, batches: list[Any]) -> Any:
    """Returns `variables -> validation loss`, as the training computes it."""
    objective = run.experiment.objective.fitted(run.dataset.examples("train"))
    evaluate = jax.jit(make_eval_step(run.network, objective))

    def loss(variables: Variables) -> float:
        parts = jax.device_get([evaluate(variables, batch) for batch in batches])
        return mean_metrics({name: sum(float(part[name]) for part in parts) for name in ("loss", "weight")})["loss"]

    return loss


def _room(loss_of: Any, variables: Variables, loss: float) -> float:
    """Returns by how much the loss may differ on another device, by rounding alone."""
    rng = np.random.default_rng(0)

    def rounded(leaf: Any) -> Any:
        if not is_floating(leaf):
            return leaf
        return leaf * jnp.asarray(1 + NARROW * rng.choice([-1.0, 1.0], np.shape(leaf)), leaf.dtype)

    moved = loss_of(variables._replace(params=jax.tree.map(rounded, variables.params)))
    return SAME * abs(loss) + ROUNDINGS * abs(moved - loss)


def _as_it_began(run: Run, variables: Variables) -> Iterator[str]:
    """Yields the leaves that a training should have moved and that are as they were: nobody restored them."""
    inputs = jax.tree.map(lambda leaf: leaf[: run.experiment.batch_size], run.dataset.examples("train").inputs)
    first = leaves_by_path(jax.jit(lambda key: run.network.init(init_key(key), inputs))(run.state.key)._asdict())
    for path, leaf in leaves_by_path(variables._asdict()).items():
        if path in first and is_floating(leaf) and np.array_equal(np.asarray(first[path]), np.asarray(leaf)):
            yield path


def _finding(message: str, where: Leaf | None, evidence: tuple[str, ...]) -> Finding:
    return Finding("checkpoint-mismatch", "error", message, ADVICE, where, None, evidence, 1.0)


PROBES = (
    Probe("checkpoints on disk", ("checkpoint-mismatch",), look_at_files, "record"),
    Probe("weights and records", ("checkpoint-mismatch",), look_at_records, "record"),
)
