"""What a study was asked for: the user's function with its space, and what can be said of a setting untrained."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from verax.data import Dataset, load
from verax.findings import InputError
from verax.train import Experiment, fingerprint, resolve
from verax.train._batches import EpochPlan
from verax.tune._halving import Halving
from verax.tune._plan import Planner
from verax.tune._search import proposals
from verax.tune._space import one_of_each
from verax.tune._trace import takes_seed

LOOKED_AT = 8  # settings of a search, where it is checked that something can be trained


@dataclass(frozen=True, eq=False)
class Given:
    """What a study was asked for.

    Attributes:
      function: the user's, from hyperparameters to an Experiment.
      space: checked.
      search: one of `SEARCHES`.
      total: number of trials.
      generation: how many a model proposes before it sees their results; None where no model proposes.
      objective: what chooses.
      pruner: ends bad trials early; None trains all to the end.
      seed: of the study.
      seeds: trainings of each trial.
      fixed: hyperparameters of all trials.
    """

    function: Callable[..., Experiment]
    space: dict[str, Any]
    search: str
    total: int
    generation: int | None
    objective: str
    pruner: Halving | None
    seed: int
    seeds: int
    fixed: dict[str, Any]

    @functools.cached_property
    def planner(self) -> Planner:
        """Groups its trials."""
        return Planner(self.function, self.fixed, dict(one_of_each(self.space)), self.dataset_of, self.steps_of)

    @functools.cached_property
    def looked_at(self) -> list[dict[str, Any]]:
        """Settings that are looked at before the first trial: all of a grid, some of another search."""
        count = self.total if self.search == "grid" else min(self.total, LOOKED_AT)
        return proposals(self.space, self.search, self.seed, 0, count)

    @functools.cached_property
    def first(self) -> Experiment:
        """The first experiment that can be made.

        Raises:
          InputError: if there is none.
        """
        made = [self.made_or_error(setting) for setting in self.looked_at]
        found = next((one for one, _ in made if one is not None), None)
        if found is None:
            raise InputError(f"none of the trials could be trained. The first: {made[0][1]}")
        return found

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


def _steps_an_epoch(experiment: Experiment) -> int:
    """Returns the steps of an epoch; whether the last batch is padded does not change their number."""
    size = load(experiment.data).examples("train").size
    return EpochPlan(size, min(experiment.batch_size, size), experiment.remainder, padded=False).steps
