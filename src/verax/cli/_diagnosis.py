"""What `verax check` and `verax diagnose` share: making what is examined, and saying what was found."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from verax.cli._say import console, say, say_json, seconds_text, table
from verax.findings import InputError

VERDICTS = ("passed", "failed", "undecided", "not applicable", "could not run")


def made(experiment: Callable[..., Any], hyperparameters: Mapping[str, Any]) -> Any:
    """Returns the experiment, or the training program, that a file's function makes.

    Raises:
      InputError: if it makes something else.
    """
    from verax.doctor import TrainingProgram
    from verax.train import Experiment

    chosen = dict(hyperparameters)
    parameters = inspect.signature(experiment).parameters
    takes_seed = "seed" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    seed = None if takes_seed else chosen.pop("seed", None)
    value = experiment(**{name: each for name, each in chosen.items() if name != "seed" or each is not None})
    if not isinstance(value, Experiment | TrainingProgram):
        found = type(value).__name__
        raise InputError(f"experiment must return a vx.Experiment or a vx.TrainingProgram, got {found}.")
    return value if seed is None else replace(value, seed=seed)


def say_diagnosis(found: Any, name: str, json: bool, all: bool) -> int:
    """Prints a diagnosis and returns the exit code: 1 if something does harm.

    Args:
      found: what `verax.doctor.check` or `diagnose` returned.
      name: of what was examined.
      json: prints it as JSON.
      all: shows remarks and every probe too.
    """
    if json:
        say_json(found.to_json())
        return int(bool(found.alarms))
    from verax.doctor._show import curve_text, findings_table, printable

    alarms = tuple(found.alarms)
    remarks = len(found.findings) - len(alarms)
    count = f"{len(alarms)} {'thing does' if len(alarms) == 1 else 'things do'} harm" if alarms else "nothing found"
    say(f"{printable(name)}: {count}, in {seconds_text(sum(found.seconds.values()))}")
    if len(found.curve):
        say(curve_text("training loss", found.curve))
    shown = found.findings if all else alarms
    if shown:
        console().print(findings_table(shown))
    if remarks and not all:
        say(f"{remarks} {'remark' if remarks == 1 else 'remarks'} besides: --all shows all.")
    _say_probes(found.probes, all)
    return int(bool(alarms))


def _say_probes(probes: Any, all: bool) -> None:
    """Prints how many probes passed, and why others could not run; with `all`, each of them."""
    from verax.doctor._show import printable

    if all and probes:
        rows = [(each.verdict, each.name, printable(each.said), f"{each.seconds:.1f}") for each in probes]
        console().print(table(("verdict", "probe", "compared", "seconds"), rows, numbers=("seconds",)))
    counts = Counter(each.verdict for each in probes)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    if told:
        say(f"{len(probes)} probes: {told}{'.' if all else '; --all says what each compared.'}")
    if not all:
        for each in probes:
            if each.verdict == "could not run":
                say(f"could not run: {each.name}: {printable(each.said)}")
