"""Which trials share a program: the plan of a study, made before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from verax.network import as_network
from verax.train import Experiment
from verax.train._keys import base_key
from verax.trees import count
from verax.tune._task import Task
from verax.tune._trace import Maker, Verdict, is_number, verdicts


@dataclass(frozen=True)
class Plan:
    """How the trials of one generation are grouped.

    Attributes:
      tasks: one a program.
      verdicts: what each hyperparameter is to the program; where that depends on others, as it is for the first trial.
      known: how many of the trials were trained before, by a study that goes on.
    """

    tasks: tuple[Task, ...]
    verdicts: tuple[Verdict, ...]
    known: int = 0

    def __str__(self) -> str:
        return "\n".join([self.head(), *(f"  {verdict}" for verdict in self.verdicts)])

    def head(self) -> str:
        """Returns the plan in a line: `81 trials = 9 programs × 9 lanes`."""
        lanes = [len(task.numbers) * len(task.seeds[0]) for task in self.tasks]
        if not lanes:
            return "no trial"
        seeds = len(self.tasks[0].seeds[0])
        what = _counted(sum(len(task.numbers) for task in self.tasks), "trial")
        what += f" with {seeds} seeds each" if seeds > 1 else ""
        if len(set(lanes)) == 1:
            how = f"{_counted(len(lanes), 'program')} × {_counted(lanes[0], 'lane')}"
        else:
            how = f"{len(lanes)} programs of {min(lanes)} to {max(lanes)} lanes"
        return f"{what} = {how}" + (f" ({self.known} known already)" if self.known else "")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Planner:
    """Groups trials; what was found out about a hyperparameter is kept for later generations.

    Args:
      function: the user's, from hyperparameters to an Experiment.
      fixed: hyperparameters that all trials have.
      examples: some values of each hyperparameter that is searched.
      dataset_of: from a setting to its data, loaded.
      steps_of: from an experiment to its number of steps.
    """

    def __init__(
        self,
        function: Callable[..., Experiment],
        fixed: Mapping[str, Any],
        examples: Mapping[str, Sequence[Any]],
        dataset_of: Callable[[Mapping[str, Any]], Any],
        steps_of: Callable[[Mapping[str, Any]], int],
    ):
        self.function, self.fixed, self.examples = function, fixed, examples
        self.dataset_of, self.steps_of = dataset_of, steps_of
        self.makers: dict[str, Maker] = {}
        self.known: dict[str, tuple[dict[str, Verdict], frozenset[str]]] = {}

    def about(self, setting: Mapping[str, Any]) -> tuple[dict[str, Verdict], frozenset[str]]:
        """Returns what each hyperparameter is to the program of a setting, and the inputs that change nothing there.

        Asked once for each choice among names and switches: they may lead to other code. Widths and depths do not.
        """
        kind = _kind(setting)
        if kind not in self.known:
            self.makers[kind] = Maker(self.function, self.fixed, self.dataset_of(setting))
            examples = {name: values for name, values in self.examples.items() if name != "seed"}
            self.known[kind] = verdicts(self.makers[kind], setting, examples, self.steps_of(setting))
        return self.known[kind]

    def plan(
        self,
        generation: int,
        numbers: Sequence[int],
        settings: Sequence[Mapping[str, Any]],
        seeds: Sequence[tuple[int, ...]],
    ) -> Plan:
        """Returns the tasks of some trials, numbered in the order of their first; what seems longest comes first."""
        groups: dict[str, list[int]] = {}
        forms: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        for at, setting in enumerate(settings):
            found, _ = self.about(setting)
            inputs = tuple(name for name in setting if name in found and found[name].is_input)
            key = repr({name: None if name in inputs else value for name, value in setting.items()})
            groups.setdefault(key, []).append(at)
            forms[key] = inputs, tuple(name for name in inputs if found[name].form == "scale")
        tasks = [
            Task(
                name=f"g{generation}-{place}",
                numbers=tuple(numbers[at] for at in members),
                settings=tuple(settings[at] for at in members),
                seeds=tuple(seeds[at] for at in members),
                fixed=self.fixed,
                inputs=forms[key][0],
                scaled=forms[key][1],
            )
            for place, (key, members) in enumerate(groups.items())
        ]
        if len(tasks) > 1:  # begun last, the longest would run alone at the end
            tasks.sort(key=self.work, reverse=True)
        shown = tuple(self.about(settings[0])[0].values()) if settings else ()
        return Plan(tuple(tasks), shown)

    def work(self, task: Task) -> float:
        """Returns about how long a task takes, in a unit of no meaning: its parameters times the examples it sees."""
        setting = task.settings[0]
        maker = self.makers[_kind(setting)]
        try:
            made = maker(setting)
            inputs = jax.tree.map(lambda leaf: leaf[:2], maker.train.inputs)
            parameters = count(jax.eval_shape(as_network(made.network).init, base_key(0), inputs).params)
        except Exception:  # what is wrong with the trial is told when it is trained
            return 0.0
        examples = made.steps * made.batch_size if made.steps else (made.epochs or 0) * maker.train.size
        return float(parameters * examples * len(task.numbers) * len(task.seeds[0]))


def _kind(setting: Mapping[str, Any]) -> str:
    return repr({name: None if is_number(value) else value for name, value in setting.items()})
