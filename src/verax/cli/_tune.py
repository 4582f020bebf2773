"""`verax tune`: a search over hyperparameters, chosen by validation; the winner trained anew, in its run folder."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from verax.cli._arguments import parameter_kinds
from verax.cli._file import load_experiment
from verax.cli._runs import study_folder, write_run, write_study
from verax.cli._say import console, metrics_table, say, say_findings, say_json, waiting
from verax.cli._study import read_space
from verax.cli._train import given
from verax.cli._trials import watch_study
from verax.findings import InputError


def tune(
    file: Path,
    /,
    *,
    space: tuple[str, ...] = (),
    search: str | None = None,
    trials: int | None = None,
    generation: int = 8,
    objective: str = "validation/loss",
    prune: int | None = None,
    seeds: int = 1,
    retrain: int = 5,
    executor: str = "local",
    storage: str | None = None,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
    **hyperparameters: Any,
) -> int:
    """Searches hyperparameters; validation chooses, and the winner is trained anew with fresh seeds and kept.

    The other parameters of the experiment are options too, and hold for all trials. Trials that share a compiled
    program are trained together; the plan says which, and why others do not. The test split is opened once, for the
    winner. The folder holds its run with study.json, which `verax certify` finds there, study.csv and study.html. The
    same command with the same folder goes on with a study that was stopped or killed.

    Args:
      file: the Python file that defines experiment(...).
      space: what is searched: lists such as hidden=64,128 or intervals such as 'learning_rate=log(1e-4,1e-1)' (also
        uniform, int, logint; brackets need quotes in a shell). Several may follow one another.
      search: grid, random, quasi-random, tpe or gp; grid if all are lists, else tpe.
      trials: how many; all combinations of a grid, else 64.
      generation: how many trials tpe and gp propose before they see their results.
      objective: what chooses, such as validation/loss or validation/accuracy.
      prune: successive halving with this factor: after 1, 3, 9, ... epochs (for 3) one in 3 goes on.
      seeds: trainings of each trial; its value is their mean.
      retrain: fresh seeds for the winner: what it is worth, with an interval from 2 on. 0 trains no run.
      executor: local, processes, processes:N, ray, or the address of a Ray cluster (ray://HOST:PORT).
      storage: of Optuna, where the study is kept (sqlite:///FILE, journal:FILE, postgresql://...); study.db in the
        folder if not given.
      seed: of the study: its proposals, and the first seed of each trial.
      out: the folder to write; runs/NAME-DATE-TIME if not given. Only a study that was stopped may be there.
      json: prints the study as JSON on stdout; progress goes to stderr.
      **hyperparameters: for the experiment, the same in all trials.
    """
    from verax.tune import Halving, events
    from verax.tune._tune import number_of_trials

    experiment = load_experiment(file)
    if not space:
        raise InputError("tune needs at least one --space, such as --space learning_rate=1e-3,1e-2.")
    values = read_space(space, parameter_kinds(experiment))
    total = number_of_trials(values, search, trials)
    folder, goes_on = study_folder(out, file.stem)
    if goes_on:
        say(f"{folder} holds a study without a run of its winner: it goes on", to_stderr=json)
    fixed = _fixed(experiment, given(hyperparameters), values)
    steps = events(
        experiment, values, search=search, trials=trials, generation=generation, objective=objective,
        pruner=None if prune is None else Halving(prune), executor=executor,
        storage=folder if storage is None else storage, name="study" if storage is None else folder.name,
        seed=seed, seeds=seeds, retrain=retrain, **fixed,
    )  # fmt: skip
    seen: list[Any] = []
    last = f"training the winner anew with {retrain} fresh seed{'s' * (retrain != 1)}" if retrain else ""
    try:
        study = watch_study(steps, total, objective, seen=seen, last=last, to_stderr=json)
    except BaseException as error:
        steps.close()  # and with it the storage and the executor
        _keep_what_is_known(folder, seen, total, objective, error, is_new=not goes_on)
        raise
    if study.best_run is None:
        write_study(folder, study)
    else:
        write_run(folder, experiment, study.best_run, study)
    from verax.report import write_study_report

    with waiting("drawing the study"):
        page = write_study_report(folder, study.to_json())
    failed = say_findings(study.best_run.findings) if study.best_run else False
    if json:
        say_json({"run": str(folder) if study.best_run else None, **study.to_json()})
    else:
        _say_study(study)
        say(f"study: {page}, beside it study.csv and study.json")
        if study.best_run is not None:
            say(f"run: {folder}\nnext: verax certify {folder}")
    return int(failed)


def _fixed(
    experiment: Callable[..., Any], hyperparameters: Mapping[str, Any], space: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the hyperparameters that hold for all trials: those that are neither searched nor left as they are."""
    defaults = {name: each.default for name, each in inspect.signature(experiment).parameters.items()}
    return {
        name: value
        for name, value in hyperparameters.items()
        if name not in space and repr(value) != repr(defaults.get(name, inspect.Parameter.empty))
    }


def _keep_what_is_known(
    folder: Path, seen: Sequence[Any], total: int, objective: str, error: BaseException, *, is_new: bool
) -> None:
    """Writes the trials of a study that did not come to its end, and says what goes on with it."""
    from verax.tune._study import so_far

    ended = [each for each in seen if not hasattr(each, "tasks")]
    is_interrupt = isinstance(error, KeyboardInterrupt)
    if any(trial.state != "not trained" for trial in ended):
        plans = [each for each in seen if hasattr(each, "tasks")]
        facts = {"plan": [plan.head() for plan in plans], "ended": len(ended), "of": total}
        study = so_far(ended, objective, plans[0].verdicts if plans else (), facts)
        write_study(folder, study)
        if is_interrupt:
            _say_best(study, to_stderr=True)
        what = f"{len(ended)} of {total} trials are in {folder / 'study.json'} and study.csv."
        say(f"Stopped before the end. {what}", to_stderr=True)
    elif is_interrupt:
        say(f"Stopped before the first trial ended. {_left(folder)}", to_stderr=True)
    elif is_new and folder.is_dir() and {each.name for each in folder.iterdir()} <= {"study.db"}:  # nothing was trained
        (folder / "study.db").unlink(missing_ok=True)
        folder.rmdir()
    if is_interrupt and folder.is_dir():
        say(f"The same command with --out {folder} goes on from here.", to_stderr=True)


def _left(folder: Path) -> str:
    return f"{folder} keeps the study." if folder.is_dir() else "Nothing was written."


def _say_best(study: Any, *, to_stderr: bool = False) -> None:
    from verax.tune._study import setting_text

    best = study.best
    if math.isfinite(best.value):
        value = f"{study.objective} {best.value:.4g} in the search"
        say(f"best: {setting_text(best.hyperparameters)} ({value}, trial {best.number})", to_stderr=to_stderr)


def _say_study(study: Any) -> None:
    """Prints the winner, what it is worth, what was luck, and which trials are as good."""
    from verax.tune._study import setting_text

    counts = Counter(trial.state for trial in study.trials)
    say(f"{len(study.trials)} trials: {', '.join(f'{number} {state}' for state, number in counts.items())}")
    _say_best(study)
    winner = study.winner
    if winner is None:
        return
    if winner.value.lanes > 1:
        say(f"with {winner.value.lanes} fresh seeds: {study.objective} {winner.value.mean}")
        say(f"luck: the search saw it better than it is by {winner.luck}")
    else:
        say(f"with a fresh seed: {study.objective} {winner.value.mean.value:.4f} (two or more give an interval)")
    by_number = {trial.number: trial for trial in study.trials}
    if len(winner.ties) > 1:
        simplest = by_number[winner.ties[0]]
        what = f"trial {simplest.number}, {setting_text(simplest.hyperparameters)} ({simplest.parameters:,} parameters)"
        say(f"ties: noise does not tell {len(winner.ties)} trials apart, the winner among them; the simplest is {what}")
    if winner.test:
        seeds = f"{winner.value.lanes} seed{'s' * (winner.value.lanes != 1)}"
        tested = {name: each.mean for name, each in winner.test.items()}
        console().print(metrics_table(tested, f"on the test split: mean over {seeds}"))
