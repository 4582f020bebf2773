"""An experiment: a frozen value, made by a plain function of hyperparameters."""

from __future__ import annotations

import difflib
import inspect
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import optax
from jax import Array

from verax.findings import InputError
from verax.network import as_network
from verax.train._limits import check_limits
from verax.train._objective import Objective
from verax.train._optimizer import texts_for_numbers
from verax.train._precision import Precision
from verax.train._stopping import EarlyStopping

Remainder = Literal["partial", "wrap", "drop"]
RESERVED = ("out", "initial", "start", "seeds", "folds")  # arguments of vx.train and its like
CHOICES = {
    "remainder": ("partial", "wrap", "drop"),
    "decay": ("weights", "all"),
    "precision": ("float32", "bfloat16", "float16"),
}


@dataclass(frozen=True, eq=False)
class Experiment:
    """Everything a training run needs, in one frozen value.

    Attributes:
      network: a model of Flax Linen or NNX, Haiku or Equinox, a pair of functions, or a `vx.Network`.
      objective: the task, such as `vx.classification()`.
      optimizer: any Optax transformation, with its schedule and clipping.
      data: a source of `vx.data`; it is loaded once a process, when first needed.
      batch_size: examples a step.
      epochs: passes over the training split; give this or `steps`, or `seconds` alone.
      steps: number of steps; give this or `epochs`, or `seconds` alone.
      seconds: a limit in wall time, looked at after every chunk; alone, or with one of the others.
      seed: of initial weights, noise and the order of the data.
      stopping: when to stop early; None trains to the end.
      remainder: what becomes of the last batch of an epoch when it is not full: `partial` trains on it as it is, `wrap`
        fills it with rows from the epoch's beginning, `drop` leaves it out.
      decay: `weights` keeps the optimizer's weight decay from biases and normalisation scales, `all` leaves it alone.
      precision: of matrix products and convolutions in training: `float32`, `bfloat16` or `float16` (with a dynamic
        loss scale). Everything else, and all evaluation, is in float32.
      freeze: parameters that stay as they are, by patterns of their paths: `("Conv_*", "*/bias")`.
      accumulate: parts of a batch whose gradients are computed one after another and summed: the same step in less
        memory.
      ema: decay of an average of the weights, such as 0.999; it is then what `run.variables` holds. None keeps none.
      augment: `(key, batch) -> batch`, a pure function applied to each training batch, such as those of
        `vx.data.augment`.
      chunk_steps: steps between two reads of the device, where steps run in one compiled loop.
      watch: whether every parameter leaf is watched at the last step of each chunk (`vx.train.health`); it changes no
        bit of the training and costs up to 7 % of its speed on small networks (docs/guide/monitor.md).
      limits: limits of the certificate's items, by name, where the defaults do not fit.
      hyperparameters: what made this value, set by Verax.

    Raises:
      InputError: if a number is out of its range, or a part is of the wrong kind.

    Example:
      >>> import optax
      >>> from flax import linen as nn
      >>> Experiment(nn.Dense(10), vx.classification(), optax.adam(1e-3), vx.data.digits(), epochs=3).batch_size
      32
    """

    network: Any
    objective: Objective
    optimizer: optax.GradientTransformation
    data: Any
    batch_size: int = 32
    epochs: int | None = None
    steps: int | None = None
    seed: int = 0
    stopping: EarlyStopping | None = None
    remainder: Remainder = "partial"
    decay: Literal["weights", "all"] = "weights"
    precision: Precision = "float32"
    freeze: Sequence[str] = ()
    accumulate: int = 1
    ema: float | Array | None = None  # traced where it is a lane of a batched trial
    augment: Callable[[Any, Any], Any] | None = None
    seconds: float | int | None = None
    chunk_steps: int = 200
    watch: bool = False
    limits: Mapping[str, float] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise InputError(f"give epochs or steps, one of them, got epochs={self.epochs}, steps={self.steps}.")
        if self.epochs is None and self.steps is None and self.seconds is None:
            raise InputError("give epochs, steps or seconds: how long is it to train? Got none of them.")
        for name in ("batch_size", "epochs", "steps", "chunk_steps", "accumulate"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _whole(name, value, "of at least 1", range(1, 2**62)))
        object.__setattr__(self, "seed", _whole("seed", self.seed, "in [0, 2**32)", range(2**32)))
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}.")
        _check_step(self)
        if not (self.stopping is None or isinstance(self.stopping, EarlyStopping)):
            raise InputError(f"stopping must be a vx.EarlyStopping or None, got {_kind(self.stopping)}.")
        try:
            as_network(self.network)
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from error
        if not isinstance(self.objective, Objective):
            raise InputError(
                f"objective must be a vx.Objective such as vx.classification(), got {_kind(self.objective)}. "
                "Make one of your own loss with vx.objective_from_loss(fn)."
            )
        if not isinstance(self.optimizer, optax.GradientTransformation):
            raise InputError(
                f"optimizer must be an Optax transformation such as optax.adam(1e-3), got {_kind(self.optimizer)}."
            )
        texts = texts_for_numbers(self.optimizer)
        if texts:
            named = ", ".join("learning rate" if name == "step_size" else name for name in texts)
            raise InputError(f"the optimizer needs numbers, but its {named} is a text. Give a number, or a schedule.")
        check_limits(self.limits)
        if not isinstance(self.watch, bool | np.bool_):
            raise InputError(f"watch must be True or False, got {self.watch!r}.")


def _check_step(experiment: Experiment) -> None:
    """Checks what a step does besides gradient and update."""
    if experiment.seconds is not None and not (
        isinstance(experiment.seconds, int | float) and 0 < experiment.seconds < float("inf")
    ):
        raise InputError(f"seconds must be a number above 0, got {experiment.seconds!r}.")
    patterns = experiment.freeze if isinstance(experiment.freeze, list | tuple) else (None,)
    if not all(isinstance(each, str) for each in patterns):
        raise InputError(f"freeze must be a tuple of patterns such as ('Conv_*',), got {experiment.freeze!r}.")
    object.__setattr__(experiment, "freeze", tuple(experiment.freeze))
    ema: Any = experiment.ema
    if isinstance(ema, str) or (isinstance(ema, int | float) and not 0 < ema < 1):
        raise InputError(f"ema must be a decay between 0 and 1, such as 0.999, got {experiment.ema!r}.")
    if not (experiment.augment is None or callable(experiment.augment)):
        raise InputError(f"augment must be a function (key, batch) -> batch, got {_kind(experiment.augment)}.")
    if experiment.accumulate > experiment.batch_size:
        raise InputError(
            f"accumulate must be at most batch_size, got {experiment.accumulate} parts of {experiment.batch_size} rows."
        )
    if (
        experiment.accumulate > 1
        and isinstance(experiment.objective, Objective)
        and not experiment.objective.per_example
    ):
        raise InputError(
            "a loss of the whole batch cannot be accumulated: it is not the sum of the losses of its parts. Leave out "
            "accumulate, or use a smaller batch."
        )


def _whole(name: str, value: Any, text: str, allowed: range) -> int:
    """Returns a whole number of any kind (NumPy's too) as an int."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral) or int(value) not in allowed:
        raise InputError(f"{name} must be a whole number {text}, got {value!r}.")
    return int(value)


def _kind(value: Any) -> str:
    if callable(value):
        return f"the function {getattr(value, '__name__', value)}; call it"
    return f"{type(value).__name__} {value!r}"[:80]


def resolve(experiment: Experiment | Callable[..., Experiment], hyperparameters: Mapping[str, Any]) -> Experiment:
    """Returns the experiment for these hyperparameters.

    `seed` is always accepted: where the function does not take one, it replaces the experiment's own.

    Args:
      experiment: a function from hyperparameters to an Experiment, or one that is made already.
      hyperparameters: by name.

    Raises:
      InputError: if a name is unknown (with a suggestion), or the function does not return an Experiment.
    """
    chosen = dict(hyperparameters)
    if isinstance(experiment, Experiment):
        seed = {"seed": chosen.pop("seed")} if "seed" in chosen else {}
        if chosen:
            raise InputError(
                f"hyperparameters {', '.join(chosen)} were given with a finished Experiment, which takes none. "
                "Pass the function that makes it."
            )
        return (
            replace(experiment, **seed, hyperparameters={**experiment.hyperparameters, **seed}) if seed else experiment
        )
    if not callable(experiment):
        raise InputError(
            f"experiment must be a vx.Experiment or a function that returns one, got {type(experiment).__name__}."
        )
    parameters = inspect.signature(experiment).parameters
    for name in RESERVED:
        if name in parameters:
            raise InputError(
                f"the experiment's hyperparameter {name!r} has the name of an argument of vx.train, which would take "
                "it. Call it something else."
            )
    open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    own_seed = {"seed": chosen.pop("seed")} if "seed" in chosen and "seed" not in parameters and not open_ended else {}
    for name in chosen:
        if name not in parameters and not open_ended:
            close = difflib.get_close_matches(name, parameters, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"It takes: {', '.join(parameters) or 'nothing'}."
            raise InputError(f"unknown hyperparameter {name!r}. {hint}")
    missing = [name for name, each in parameters.items() if _is_required(each) and name not in chosen]
    if missing:
        raise InputError(f"the experiment needs a value for {', '.join(missing)}.")
    made = experiment(**chosen)
    if not isinstance(made, Experiment):
        raise InputError(
            f"{getattr(experiment, '__name__', 'experiment')} must return a vx.Experiment, got {type(made).__name__}."
        )
    defaults = {name: each.default for name, each in parameters.items() if each.default is not inspect.Parameter.empty}
    return replace(made, **own_seed, hyperparameters={**defaults, **chosen, **own_seed})


def _is_required(parameter: inspect.Parameter) -> bool:
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return parameter.default is inspect.Parameter.empty and parameter.kind in by_name
