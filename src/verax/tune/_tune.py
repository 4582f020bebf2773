"""`vx.tune`: proposals, planned into programs, trained by an executor, kept in a storage; the winner trained anew."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax

from verax.data import Dataset, load
from verax.findings import InputError
from verax.network import as_network
from verax.train import EarlyStopping, Experiment, base_key, fingerprint, resolve
from verax.train._batches import EpochPlan
from verax.train._tracing_errors import explained
from verax.tune._climb import climb
from verax.tune._halving import Halving
from verax.tune._judge import Judged, best_first, cost, is_higher_better, judged
from verax.tune._lanes import program_bytes
from verax.tune._opened import storage_in
from verax.tune._plan import Plan, Planner
from verax.tune._search import BY_MODEL, Told, check_search, proposals
from verax.tune._space import checked_space, combinations_of, described, is_grid, one_of_each
from verax.tune._storage import Memory, OptunaStorage, identity_of
from verax.tune._study import Study, Trial
from verax.tune._task import LaneResult, Task, TaskResult
from verax.tune._trace import takes_seed
from verax.tune._winner import retrained
from verax.tune.executors import Executor, executor_of

LOOKED_AT = 8  # settings of a search, where it is checked that something can be trained
LARGEST_GRID = 100_000  # combinations that are all tried, unless fewer trials are asked for
UNBOUNDED = 64  # trials of a study of intervals, where nobody says how many


def tune(
    experiment: Callable[..., Experiment],
    space: Mapping[str, Any],
    *,
    search: str | None = None,
    trials: int | None = None,
    generation: int = 8,
    objective: str = "validation/loss",
    pruner: Halving | None = None,
    executor: Any = "local",
    storage: str | Path | None = None,
    name: str = "study",
    seed: int = 0,
    seeds: int = 1,
    retrain: int = 5,
    **hyperparameters: Any,
) -> Study:
    """Returns the study of a space: validation chooses among the trials, and the winner is trained anew.

    Hyperparameters that can be inputs of a compiled program are found by tracing, and all trials that share a program
    are trained together. The winner is then trained alone with fresh seeds and scored once on the test split.

    Args:
      experiment: the function from hyperparameters to an Experiment.
      space: for each hyperparameter a list of values, `vx.uniform(low, high)`, `vx.log_uniform`, `vx.int_uniform`, or a
        function from the hyperparameters chosen before it to one of these, or to None where it does not apply.
      search: `grid`, `random`, `quasi-random` (Sobol'), `tpe` or `gp` (both of Optuna; `gp` needs PyTorch). By default
        `grid` where every hyperparameter has a list, else `tpe`.
      trials: how many; of a grid all where it is not given, else 64.
      generation: how many trials `tpe` and `gp` propose before they see their results: fewer are chosen better, more
        share their programs.
      objective: what chooses: `validation/loss`, `validation/accuracy` or another metric of the task.
      pruner: `vx.Halving()` ends bad trials early; None trains all to the end.
      executor: `local`, `processes`, `processes:N`, `ray`, `ray:HOST:PORT` or `ray://HOST:PORT`: where tasks run. All
        give the same trials (`vx.tune.executors`).
      storage: a folder as a Path, for a `study.db` in it, or a URL of Optuna's storage (`sqlite:///study.db`,
        `journal:study.log`, `postgresql+psycopg://...`): there the study is kept, and goes on after it was killed. None
        keeps it in memory.
      name: of the study in the storage.
      seed: of the study: of its proposals, and the first seed of each trial.
      seeds: trainings of each trial; its value is their mean.
      retrain: fresh seeds for the winner, at least 2 for an interval; 0 leaves it as it is.
      **hyperparameters: held fixed in all trials.

    Raises:
      InputError: if a hyperparameter is unknown, has no values, changes nothing, the data has no validation split, or
        a grid has over 100,000 combinations and `trials` is not given; all before the first trial. Also if no trial
        stayed finite.

    Example:
      >>> import optax
      >>> inputs = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
      >>> data = {"train": (inputs[::2], inputs[::2, 0]), "validation": (inputs[1::2], inputs[1::2, 0])}
      >>> network = (lambda key, x: jnp.zeros((1, 1)), lambda params, x: x @ params)
      >>> def line(rate: float = 0.1) -> vx.Experiment:
      ...     return vx.Experiment(network, vx.regression(), optax.sgd(rate), data, epochs=3)
      >>> study = tune(line, {"rate": [0.01, 0.3]}, retrain=0)
      >>> dict(study.best.hyperparameters)
      {'rate': 0.3}
    """
    steps = events(
        experiment, space, search=search, trials=trials, generation=generation, objective=objective, pruner=pruner,
        executor=executor, storage=storage, name=name, seed=seed, seeds=seeds, retrain=retrain, **hyperparameters,
    )  # fmt: skip
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def events(
    experiment: Callable[..., Experiment],
    space: Mapping[str, Any],
    *,
    search: str | None = None,
    trials: int | None = None,
    generation: int = 8,
    objective: str = "validation/loss",
    pruner: Halving | None = None,
    executor: Any = "local",
    storage: str | Path | None = None,
    name: str = "study",
    seed: int = 0,
    seeds: int = 1,
    retrain: int = 5,
    **hyperparameters: Any,
) -> Generator[Plan | Trial, None, Study]:
    """Yields each plan before it is run and each trial as it ends, and returns the study: `tune` to be watched.

    A study that goes on yields its earlier trials first.
    """
    clock = time.perf_counter()
    space = checked_space(space)
    search = search or ("grid" if is_grid(space) else "tpe")
    check_search(search)
    if trials is not None:
        _check_numbers(trials=(trials, 1))
    _check_numbers(generation=(generation, 1), seeds=(seeds, 1), retrain=(retrain, 0), seed=(seed, 0))
    if pruner is not None and not isinstance(pruner, Halving):
        raise InputError(f"pruner must be vx.Halving() or None, got {pruner!r}.")
    both = set(space) & set(hyperparameters)
    if both:
        raise InputError(f"{', '.join(sorted(both))} cannot be searched and held fixed at once.")
    total = number_of_trials(space, search, trials)
    size = generation if search in BY_MODEL else None
    study = _Study(experiment, space, search, total, size, objective, pruner, seed, seeds, hyperparameters)
    runs_tasks = executor_of(executor, experiment)
    study.check()
    with study.kept_in(storage, name) as kept, runs_tasks as runner:
        yield from study.run(runner, kept)
    return study.finished(retrain, time.perf_counter() - clock, executor)


def number_of_trials(space: Mapping[str, Any], search: str | None, trials: int | None) -> int:
    """Returns how many trials a study has: of a grid all combinations if no number is given, else 64.

    Raises:
      InputError: if a grid has more combinations than fit into memory, and no number is given.
    """
    space = checked_space(space)
    if (search or ("grid" if is_grid(space) else "tpe")) != "grid":
        return trials or UNBOUNDED
    count = combinations_of(space, trials or LARGEST_GRID + 1)
    if trials is None and count > LARGEST_GRID:
        raise InputError(
            f"a grid must have at most {LARGEST_GRID:,} combinations, got {count:,} or more. Give the number of "
            "trials, or another search: random, quasi-random or tpe."
        )
    return min(trials or count, count)


def _check_numbers(**given: tuple[Any, int]) -> None:
    for name, (value, least) in given.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}.")


@dataclass
class _Study:
    """A study while it runs."""

    function: Callable[..., Experiment]
    space: dict[str, Any]
    search: str
    total: int
    size: int | None
    objective: str
    pruner: Halving | None
    seed: int
    seeds: int
    fixed: dict[str, Any]

    def __post_init__(self) -> None:
        self.trials: dict[int, Trial] = {}
        self.plans: list[Plan] = []
        self.results: list[TaskResult] = []
        self.planner = Planner(self.function, self.fixed, dict(one_of_each(self.space)), self.dataset_of, self.steps_of)

    # Before the first trial.

    def check(self) -> None:
        """Refuses what cannot be searched.

        Raises:
          InputError: as `tune` says.
        """
        count = self.total if self.search == "grid" else min(self.total, LOOKED_AT)
        settings = proposals(self.space, self.search, self.seed, 0, count)
        made = {at: one for at, setting in enumerate(settings) if (one := self.made_or_error(setting)[0]) is not None}
        if not made:
            raise InputError(f"none of the trials could be trained. The first: {self.made_or_error(settings[0])[1]}")
        self.first = one = next(iter(made.values()))
        kinds = ("validation",) if one.ema is None else ("validation", "ema_validation")
        known = [f"{kind}/{metric}" for kind in kinds for metric in one.objective.metrics]
        try:
            EarlyStopping(metric=self.objective).check_metric(known if "validation" in load(one.data).splits else [])
        except InputError as error:
            raise InputError(str(error).replace("the metric must", "objective must", 1)) from None
        for name, values in one_of_each(self.space):
            if len(values) > 1 and name != "seed" and not self.changes_something(name, values, settings):
                tried = ", ".join(map(repr, values))
                raise InputError(
                    f"the hyperparameter {name!r} changes nothing: {tried} give the same program and data. "
                    "Does the experiment function use it?"
                )

    def first_program(self) -> str:
        """Returns a digest of what the first trial computes on which data: a study goes on with the same only."""
        try:
            return fingerprint(self.first)[:12]
        except InputError:  # what is wrong with it is said when it is trained
            return load(self.first.data).fingerprint[:12]

    def made(self, setting: Mapping[str, Any]) -> Experiment:
        """Returns the experiment of a setting.

        Raises:
          InputError: if the setting is wrong.
        """
        return resolve(self.function, {**self.fixed, **setting})

    def made_or_error(self, setting: Mapping[str, Any]) -> tuple[Experiment | None, str]:
        """Returns the experiment of a setting, or why there is none. Unknown names are an error of the study."""
        try:
            return self.made(setting), ""
        except InputError as error:
            if "unknown hyperparameter" in str(error) or "needs a value for" in str(error):
                raise
            return None, str(error)

    def dataset_of(self, setting: Mapping[str, Any]) -> Dataset:
        """Returns the data of a setting."""
        return load(self.made(setting).data)

    def steps_of(self, setting: Mapping[str, Any]) -> int:
        """Returns the steps of a trial, as near as its schedules need it."""
        made = self.made(setting)
        return made.steps or (made.epochs or 1) * _steps_an_epoch(made)

    def changes_something(self, name: str, values: Sequence[Any], settings: Sequence[Mapping[str, Any]]) -> bool:
        """Returns whether two values of a hyperparameter give different programs or data, at any of some settings."""
        for setting in settings:
            if name not in setting or self.made_or_error(setting)[0] is None:
                continue
            found, idle = self.planner.about(setting)
            if name in found and found[name].is_input:
                if name not in idle:
                    return True
                continue
            others = [{**setting, name: value} for value in values]
            made = [one for other in others if (one := self.made_or_error(other)[0]) is not None]
            if len(made) < len(others) or any(_differ(made[0], other) for other in made[1:]):
                return True
        return False

    def kept_in(self, storage: str | Path | None, name: str) -> Memory | OptunaStorage:
        """Returns where the study is kept.

        Raises:
          InputError: as `OptunaStorage` says, or if a value has no plain form.
        """
        memory = program_bytes()
        if storage is None:
            return Memory(memory)
        others = {"seeds": self.seeds, "trials": self.total, "pruner": repr(self.pruner) if self.pruner else None}
        others["generation"] = self.size
        others["program and data of digest"] = self.first_program()
        identity = identity_of(self.space, self.search, self.seed, self.objective, self.fixed, others)
        return OptunaStorage(
            storage_in(storage) if isinstance(storage, Path) else storage,
            name,
            space=self.space,
            objective=self.objective,
            maximise=is_higher_better(self.objective),
            identity=identity,
            memory=memory,
        )

    # The trials.

    def run(self, runner: Executor, kept: Memory | OptunaStorage) -> Iterator[Plan | Trial]:
        """Yields plans, and trials as they end."""
        size = self.size or self.total
        for generation, first in enumerate(range(0, self.total, size)):
            told = [_told(trial, self.objective) for _, trial in sorted(self.trials.items())]
            count = min(size, self.total - first)
            settings = proposals(self.space, self.search, self.seed, first, count, told)
            for trial in self.generation(generation, first, settings, runner, kept):
                if isinstance(trial, Trial):
                    kept.finish(trial)
                    self.trials[trial.number] = trial
                yield trial

    def generation(
        self, generation: int, first: int, settings: Sequence[Mapping[str, Any]], runner: Executor, kept: Any
    ) -> Iterator[Plan | Trial]:
        """Yields the plan of some trials, and the trials as they end."""
        valid: list[int] = []
        for at, setting in enumerate(settings):
            error = self.made_or_error(setting)[1]
            if error:
                yield _untrained(first + at, setting, error, self.seeds)
            else:
                valid.append(at)
        if not valid:
            return
        plan = self.planner.plan(
            generation,
            [first + at for at in valid],
            [self.without_seed(settings[at]) for at in valid],
            [self.seeds_of(settings[at]) for at in valid],
        )
        known = sum(len(task.numbers) for task in plan.tasks if task.name in kept.results)
        plan = replace(plan, known=known)
        self.plans.append(plan)
        yield plan
        of_number = {first + at: settings[at] for at in valid}
        yield from climb(
            plan.tasks,
            lambda tasks: self.results_of(tasks, runner, kept),
            lambda result, task: self.trial_of(of_number[result.number], result, task),
            epochs={number: self.epochs_of(setting) for number, setting in of_number.items()},
            pruner=self.pruner,
            objective=self.objective,
        )

    def results_of(self, tasks: Sequence[Task], runner: Executor, kept: Memory | OptunaStorage) -> Iterator[TaskResult]:
        """Yields what came of tasks: those that are kept at once, the others when they are done.

        Raises:
          InputError: if what is kept is of other trials.
        """
        left = [replace(task, memory=kept.memory) for task in tasks if task.name not in kept.results]
        for task in tasks:
            if task.name in kept.results:
                known = kept.results[task.name]
                if [lane.number for lane in known.trials] != list(task.numbers):
                    raise InputError(
                        "the trials of the study are not grouped as they were when it was begun. Did the experiment "
                        "function change? Choose another name or folder for a new study."
                    )
                self.results.append(known)
                yield known
        for result in runner.run(left) if left else ():
            kept.record(result)
            self.results.append(kept.results[result.name])
            yield result

    def trial_of(self, setting: Mapping[str, Any], result: LaneResult, task: TaskResult) -> Trial:
        """Returns a trial, of what was measured in all of its tasks and the last of these."""
        if result.error:
            return _untrained(result.number, setting, result.error, len(result.broken), task.name)
        lanes = [
            judged(result.curves, broken, seed, self.objective, task.stopping)
            for seed, broken in enumerate(result.broken)
        ]
        bad = next((lane for lane in lanes if math.isnan(lane.value)), None)
        value = math.nan if bad else sum(lane.value for lane in lanes) / len(lanes)
        told: Judged = bad or lanes[0]
        return Trial(
            dict(setting),
            value,
            result.seconds,
            told.reason,
            result.number,
            "not finite" if bad else "complete",
            tuple(lane.value for lane in lanes),
            {
                name: tuple(curve[: lane.epochs] for curve, lane in zip(curves, lanes, strict=True))
                for name, curves in result.curves.items()
            },
            result.parameters,
            task.name,
        )

    def epochs_of(self, setting: Mapping[str, Any]) -> int:
        """Returns the epochs of a trial."""
        made = self.made(setting)
        return made.epochs or -(-(made.steps or 1) // _steps_an_epoch(made))

    def seeds_of(self, setting: Mapping[str, Any]) -> tuple[int, ...]:
        """Returns the seeds that a trial is trained with."""
        first = setting.get("seed", self.seed)
        return tuple(range(first, first + self.seeds))

    def without_seed(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a setting without its seed where that changes weights, noise and order alone."""
        if "seed" not in setting or self.seed_is_own:
            return dict(setting)
        return {name: value for name, value in setting.items() if name != "seed"}

    @functools.cached_property
    def seed_is_own(self) -> bool:
        """Whether the user's function makes another program or other data of another seed."""
        if not takes_seed(self.function):
            return False
        values = self.space.get("seed", [0, 1])
        setting = {name: examples[0] for name, examples in one_of_each(self.space)}
        try:
            made = [self.made({**setting, "seed": value}) for value in list(values)[:2]]
        except TypeError:  # it takes any name, but cannot do with this one
            return False
        return len({fingerprint(replace(each, seed=0)) for each in made}) > 1

    # The end.

    def finished(self, retrain: int, seconds: float, executor: Any) -> Study:
        """Returns the study.

        Raises:
          InputError: if no trial stayed finite.
        """
        trials = [self.trials[number] for number in sorted(self.trials)]
        best = trials[best_first([_final(trial) for trial in trials], self.objective)[0]]
        if math.isnan(_final(best)):
            untrained = [each.stop_reason for each in trials if each.state == "not trained"]
            if len(untrained) == len(trials):
                raise InputError(f"none of the {len(trials)} trials could be trained. The first: {untrained[0]}")
            raise InputError(f"none of the {len(trials)} trials stayed finite. Try smaller learning rates.")
        facts = {
            "search": self.search,
            "space": described(self.space),
            "seed": self.seed,
            "generation": self.size,
            "seeds": self.seeds,
            "pruner": repr(self.pruner) if self.pruner else None,
            "executor": executor if isinstance(executor, str) else type(executor).__name__,
            "plan": [str(plan).splitlines()[0] for plan in self.plans],
            "programs": sum(result.programs for result in self.results),
            "compile_seconds": sum(result.compile_seconds for result in self.results),
            "search_seconds": seconds,
            "peak_bytes": max((result.peak_bytes for result in self.results), default=0),
            "lanes": {result.name: result.lanes for result in sorted(self.results, key=lambda each: each.name)},
        }
        verdicts = self.plans[0].verdicts if self.plans else ()
        study = Study(tuple(trials), self.objective, best, None, None, verdicts, facts)
        if not retrain:
            return study
        used = [seed for trial in trials for seed in self.seeds_of(trial.hyperparameters)]
        fresh = [max(used) + 1 + place for place in range(retrain)]
        in_turn = retrain > 1 and self.seed_is_own
        run, winner = retrained(self.function, best, trials, self.objective, fresh, self.fixed, in_turn=in_turn)
        return replace(study, best_run=run, winner=winner)


def _told(trial: Trial, objective: str) -> Told:
    """Returns a trial as a model sees it; of a pruned one the epochs that count."""
    pruned = max(map(len, trial.curves[objective])) if trial.state == "pruned" else None
    return Told(trial.hyperparameters, cost(trial.value, objective), pruned)


def _final(trial: Trial) -> float:
    """Returns a trial's value; that of one that was not trained to its end does not compare."""
    return trial.value if trial.state == "complete" else math.nan


def _untrained(number: int, setting: Mapping[str, Any], error: str, seeds: int, task: str = "") -> Trial:
    reason = f"not trained: {error}"
    return Trial(dict(setting), math.nan, 0.0, reason, number, "not trained", (math.nan,) * seeds, {}, 0, task)


def _steps_an_epoch(experiment: Experiment) -> int:
    """Returns the steps of an epoch; whether the last batch is padded does not change their number."""
    size = load(experiment.data).examples("train").size
    return EpochPlan(size, min(experiment.batch_size, size), experiment.remainder, padded=False).steps


def _differ(one: Experiment, other: Experiment) -> bool:
    """Returns whether two experiments train differently: by what is cheap to compare, then by their programs."""
    numbers = ("batch_size", "epochs", "steps", "seed", "remainder", "decay", "ema", "precision", "accumulate")
    if any(getattr(one, name) != getattr(other, name) for name in numbers):
        return True
    if load(one.data).fingerprint != load(other.data).fingerprint:
        return True
    return _shapes(one) != _shapes(other) or fingerprint(one) != fingerprint(other)


def _shapes(experiment: Experiment) -> str:
    inputs = jax.tree.map(lambda leaf: leaf[:1], load(experiment.data).examples("train").inputs)
    network = as_network(experiment.network)
    with explained(f"the network {network.name}", {"inputs": inputs}):
        return repr(jax.eval_shape(network.init, base_key(0), inputs))
