"""A run in MLflow, replayed from its history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from verax.report._writers import Tracked, Write, outcome, replay, require, scalars, tracked
from verax.train import Record, Run

MOST_METRICS, MOST_PARAMETERS, LONGEST = 1000, 100, 500  # what MLflow takes at once, and of a parameter's text
TAG = "verax.id"  # by which a run is found again


def mlflow(run: Run | str | Path, uri: str | None = None, *, experiment: str = "verax") -> str:
    """Writes a run to MLflow and returns its id there.

    The run is marked with a tag that follows from it, so that writing it again completes the same one: values that it
    has are left out, nothing is changed or removed.

    Args:
      run: a run, or its folder.
      uri: of the tracking server or store, such as `http://localhost:5000` or `sqlite:///mlflow.db`; what MLflow itself
        is set to (`MLFLOW_TRACKING_URI`) if not given.
      experiment: MLflow's name for a group of runs; made if it does not exist.

    Raises:
      ImportError: if mlflow is not installed.
      InputError: if there is no history.
    """
    require("mlflow")
    known, ids = tracked(run), []

    @contextmanager
    def opened(known: Tracked) -> Iterator[Write]:
        with mlflow_writer(known, uri, experiment=experiment, ids=ids) as write:
            yield write

    replay(known, opened)
    return ids[0]


@contextmanager
def mlflow_writer(
    run: Tracked, uri: str | None, *, experiment: str = "verax", ids: list[str] | None = None
) -> Iterator[Write]:
    """Yields a function that adds a record to a run in MLflow; its id there is added to `ids`."""
    library, entities = require("mlflow"), require("mlflow.entities")
    client: Any = library.MlflowClient(tracking_uri=uri)
    run_id = _run_id(client, run, experiment)
    if ids is not None:
        ids.append(run_id)
    known_steps: dict[str, set[int]] = {}
    status = "KILLED"  # until the run has come to its end

    def is_new(name: str, step: int) -> bool:
        if name not in known_steps:
            known_steps[name] = {each.step for each in client.get_metric_history(run_id, name)}
        return step not in known_steps[name]

    def write(record: Record) -> None:
        nonlocal status
        stamp = round(1000 * (run.started + record.seconds))
        metrics = [
            entities.Metric(each.name, each.value, stamp, each.step)
            for each in scalars(record)
            if is_new(each.name, each.step)
        ]
        for start in range(0, len(metrics), MOST_METRICS):
            client.log_batch(run_id, metrics=metrics[start : start + MOST_METRICS])
        if (end := outcome(record)) is not None:
            for name, value in end.items():
                client.set_tag(run_id, f"verax.{name}", str(value))
            status = "FAILED" if end["failed"] else "FINISHED"

    try:
        parameters = [entities.Param(name, str(value)[:LONGEST]) for name, value in run.hyperparameters.items()]
        for start in range(0, len(parameters), MOST_PARAMETERS):
            client.log_batch(run_id, params=parameters[start : start + MOST_PARAMETERS])
        yield write
    finally:
        client.set_terminated(run_id, status)


def _run_id(client: Any, run: Tracked, experiment: str) -> str:
    """Returns the id of the run in MLflow, which is made if it is not there."""
    group = client.get_experiment_by_name(experiment)
    group_id = client.create_experiment(experiment) if group is None else group.experiment_id
    found = client.search_runs([group_id], filter_string=f"tags.`{TAG}` = '{run.id}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    made = client.create_run(group_id, tags={TAG: run.id}, run_name=run.name, start_time=round(1000 * run.started))
    return str(made.info.run_id)
