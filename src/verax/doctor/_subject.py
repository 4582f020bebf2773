"""What the probes look at: a training program with what is computed from it once and used by many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.data import Batch, Examples, epoch_order, load
from verax.doctor._program import Kind, TrainingProgram, examples_of
from verax.network import Network, Variables, as_network
from verax.train import Experiment, base_key, purpose_key
from verax.train._initial import effective_optimizer
from verax.train._keys import init_key
from verax.train._objective import squared_weights
from verax.trees import Tree, leaves_by_path

PROBE_ROWS = 512  # of the training split: enough to call a unit silent on every example, or a share 2 % certain

KINDS_OF_TASKS: Mapping[str, Kind] = {
    "classification": "classification",
    "binary": "binary",
    "multilabel": "multilabel",
    "regression": "regression",
    "language_model": "sequence",
}


@dataclass(frozen=True, eq=False)
class Subject:
    """A training program as the probes see it.

    Every function in it is pure and traceable, and none is compiled; the arrays of the splits are on the host.

    Attributes:
      network: the model.
      losses: `(outputs, batch) -> losses`, one for each example or one number; their mean is minimised.
      penalty: `params -> number`, added to that mean; None where there is none.
      optimizer: as the steps use it.
      splits: by name, `train` among them.
      held_out: the name of the split by which training is judged: `validation`, else `test`, else None.
      task: what outputs and targets are.
      batch_size: examples a step, as stated.
      epochs: as planned.
      seed: of the program.
      batches_of: `epoch -> batches` on the host, as the program reads them.
      own_batches: whether the program brought its own reader.
      evaluate: `(variables, inputs, key) -> outputs`, as the trained program is asked.
      evaluation_batch: rows that are evaluated together; None for all.
      predict: as in `TrainingProgram`.
      probabilities: likewise.
      scored: likewise.
      augment: `(key, batch) -> batch`, applied in training; None where there is none.
    """

    network: Network
    losses: Callable[[Tree, Batch], Any]
    penalty: Callable[[Tree], Any] | None
    optimizer: optax.GradientTransformation
    splits: Mapping[str, Examples]
    held_out: str | None
    task: Kind
    batch_size: int
    epochs: int
    seed: int
    batches_of: Callable[[int], Iterator[Batch]]
    own_batches: bool
    evaluate: Callable[[Variables, Tree, Any], Tree]
    evaluation_batch: int | None = None
    predict: Callable[[Tree], Any] | None = None
    probabilities: Callable[[Tree], Any] | None = None
    scored: Callable[[Tree], Any] | None = None
    augment: Callable[[Any, Batch], Batch] | None = None

    # The program's functions, traceable.

    def forward(self, variables: Variables, inputs: Tree, key: Any) -> tuple[Tree, Tree]:
        """Returns outputs and next model state in training."""
        return self.network.apply_fn(variables, inputs, key, True)

    def mean_loss(self, outputs: Tree, batch: Batch) -> Any:
        """Returns the mean loss of a batch, without penalty."""
        return jnp.mean(jnp.asarray(self.losses(outputs, batch)))

    def objective(self, params: Tree, model_state: Tree, batch: Batch, key: Any) -> tuple[Any, tuple[Tree, Tree]]:
        """Returns what a training step differentiates, with `(outputs, model_state)` beside it."""
        if self.augment is not None:
            batch = self.augment(jax.random.fold_in(key, 1), batch)
        outputs, after = self.forward(Variables(params, model_state), batch.inputs, key)
        loss = self.mean_loss(outputs, batch)
        return (loss if self.penalty is None else loss + self.penalty(params)), (outputs, after)

    def evaluated_loss(self, variables: Variables, batch: Batch, key: Any) -> Any:
        """Returns the mean loss of a batch in evaluation, without penalty."""
        return self.mean_loss(self.evaluate(variables, batch.inputs, key), batch)

    def changed(self, **fields: Any) -> Subject:
        """Returns the program with some parts replaced; what was computed from it is computed anew."""
        return replace(self, **fields)

    # What is computed once.

    @property
    def train(self) -> Examples:
        """The training split."""
        return self.splits["train"]

    @property
    def held(self) -> Examples | None:
        """The split by which training is judged."""
        return self.splits[self.held_out] if self.held_out else None

    @cached_property
    def key(self) -> Any:
        """The program's base key; a step's noise is `noise(step)`."""
        return base_key(self.seed)

    def noise(self, step: Any) -> Any:
        """Returns the key of a training step, of JAX's own generator; `step` may be traced."""
        return purpose_key(self.key, "noise", step)

    @cached_property
    def first_epoch(self) -> list[Batch]:
        """All batches of the first epoch, on the host."""
        return list(self.batches_of(0))

    @cached_property
    def batch(self) -> Batch:
        """The first batch, on the device."""
        return on_device(self.first_epoch[0])

    @property
    def steps_an_epoch(self) -> int:
        """Steps of the first epoch."""
        return len(self.first_epoch)

    @property
    def steps(self) -> int:
        """Steps of the whole run, as planned."""
        return self.steps_an_epoch * self.epochs

    @cached_property
    def probe(self) -> Batch:
        """Up to PROBE_ROWS rows of the training split, drawn with a fixed seed, on the device."""
        return some_rows(self.train, PROBE_ROWS)

    @cached_property
    def held_probe(self) -> Batch | None:
        """Likewise of the split by which training is judged."""
        return some_rows(self.held, PROBE_ROWS) if self.held else None

    @cached_property
    def variables(self) -> Variables:
        """The initial weights and model state."""
        inputs = self.batch.inputs
        return jax.jit(lambda key: self.network.init(init_key(key), inputs))(self.key)

    @cached_property
    def opt_state(self) -> Tree:
        """The optimizer's first state."""
        return self.optimizer.init(self.variables.params)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The paths of the parameters, in the order of their leaves."""
        return tuple(leaves_by_path(self.variables.params))

    @cached_property
    def gradient(self) -> Callable[..., Any]:
        """`(params, model_state, batch, key) -> ((loss, (outputs, model_state)), grads)`, compiled."""
        return jax.jit(jax.value_and_grad(self.objective, has_aux=True))

    @cached_property
    def evaluated(self) -> Callable[..., Any]:
        """`(variables, inputs, key) -> outputs` in evaluation, compiled."""
        return jax.jit(self.evaluate)

    @cached_property
    def loss_of(self) -> Callable[..., Any]:
        """`(variables, batch, key) -> mean loss` in evaluation, compiled."""
        return jax.jit(self.evaluated_loss)

    @cached_property
    def evaluation_program(self) -> Any:
        """The jaxpr of `evaluate(variables, inputs, key)` on the first batch."""
        return jax.make_jaxpr(self.evaluate)(self.variables, self.batch.inputs, self.noise(0))

    @cached_property
    def training_program(self) -> Any:
        """The jaxpr of `forward(variables, inputs, key)` on the first batch."""
        return jax.make_jaxpr(self.forward)(self.variables, self.batch.inputs, self.noise(0))

    @cached_property
    def objective_program(self) -> Any:
        """The jaxpr of `objective(params, model_state, batch, key)` on the first batch."""
        return jax.make_jaxpr(self.objective)(*self.variables, self.batch, self.noise(0))

    def outputs_on(self, variables: Variables, inputs: Tree, key: Any = None) -> Tree:
        """Returns the outputs for all rows as the trained program gives them: in groups of `evaluation_batch`, on the
        host."""
        key = self.noise(0) if key is None else key
        rows = np.shape(jax.tree.leaves(inputs)[0])[0]
        size = min(self.evaluation_batch or rows, rows)
        starts = range(0, rows, size)
        parts = [self.evaluated(variables, jax.tree.map(partial(_cut, start, size), inputs), key) for start in starts]
        return jax.tree.map(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]), *parts)


def subject_of(program: TrainingProgram | Experiment) -> Subject:
    """Returns a training program, or an experiment, as the probes see it.

    Raises:
      InputError: for what is wrong with the data of an experiment.
    """
    return _from_experiment(program) if isinstance(program, Experiment) else _from_program(program)


def _from_program(program: TrainingProgram) -> Subject:
    network = as_network(program.network)
    splits = {"train": examples_of(program.train)}
    if program.test is not None:
        splits["test"] = examples_of(program.test)
    train = splits["train"]
    size = min(program.batch_size, train.size)

    def own(epoch: int) -> Iterator[Batch]:
        assert program.batches is not None
        for inputs, targets in program.batches(train.inputs, train.targets, epoch):
            yield _batch(jax.tree.map(np.asarray, inputs), jax.tree.map(np.asarray, targets))

    def evaluate(variables: Variables, inputs: Tree, key: Any) -> Tree:
        return network.apply(variables, inputs)[0]

    return Subject(
        network=network,
        losses=lambda outputs, batch: program.loss(outputs, batch.targets),
        penalty=None,
        optimizer=program.optimizer,
        splits=splits,
        held_out="test" if program.test is not None else None,
        task=cast(Kind, program.task),
        batch_size=size,
        epochs=program.epochs,
        seed=program.seed,
        batches_of=own if program.batches else partial(shuffled, train, size, program.seed),
        own_batches=program.batches is not None,
        evaluate=program.evaluate or evaluate,
        evaluation_batch=program.evaluation_batch,
        predict=program.predict,
        probabilities=program.probabilities,
        scored=program.scored,
    )


def _from_experiment(experiment: Experiment) -> Subject:
    network, dataset = as_network(experiment.network), load(experiment.data)
    splits = {name: dataset.examples(name) for name in dataset.splits}
    train = splits["train"]
    objective = experiment.objective.fitted(train)
    size = min(experiment.batch_size, train.size)

    def losses(outputs: Tree, batch: Batch) -> Any:
        value = jnp.asarray(objective.losses(outputs, batch))
        if not objective.per_example:
            return value
        weight = jnp.asarray(objective.weights(batch), value.dtype)
        weight = jnp.broadcast_to(weight.reshape(weight.shape + (1,) * (value.ndim - weight.ndim)), value.shape)
        return value * weight / jnp.mean(weight)

    steps = max(1, train.size // size)
    epochs = experiment.epochs or (max(1, experiment.steps // steps) if experiment.steps else 10)
    weightless = isinstance(objective.l2, int | float) and objective.l2 == 0
    return Subject(
        network=network,
        losses=losses,
        penalty=None if weightless else lambda params: 0.5 * objective.l2 * squared_weights(params),
        optimizer=effective_optimizer(experiment),
        splits=splits,
        held_out="validation" if "validation" in splits else None,  # the test split is opened by nobody but certify
        task=KINDS_OF_TASKS.get(objective.task, "custom"),
        batch_size=size,
        epochs=epochs,
        seed=experiment.seed,
        batches_of=partial(shuffled, train, size, experiment.seed),
        own_batches=False,
        evaluate=lambda variables, inputs, key: network.apply(variables, inputs)[0],
        predict=None,
        probabilities=objective.predictions if objective.task in ("classification", "multilabel") else None,
        scored=None,
        augment=experiment.augment,
    )


def shuffled(train: Examples, size: int, seed: int, epoch: int) -> Iterator[Batch]:
    """Yields the batches of an epoch in a new order, without the remainder."""
    order = epoch_order(train.size, seed, epoch)
    for start in range(0, train.size - size + 1, size):
        rows = order[start : start + size]
        yield _batch(*jax.tree.map(lambda leaf: leaf[rows], (train.inputs, train.targets)))  # noqa: B023


def some_rows(examples: Examples, rows: int) -> Batch:
    """Returns up to so many rows of a split, drawn with a fixed seed (a file may be sorted), on the device."""
    chosen = epoch_order(examples.size, seed=0, epoch=0)[:rows]
    return on_device(_batch(*jax.tree.map(lambda leaf: leaf[chosen], (examples.inputs, examples.targets))))


def on_device(batch: Batch) -> Batch:
    """Returns a batch with JAX arrays."""
    return jax.tree.map(jnp.asarray, batch)


def _batch(inputs: Tree, targets: Tree) -> Batch:
    rows = np.shape(jax.tree.leaves(inputs)[0])[0]
    return Batch(inputs, targets, np.ones(rows, np.float32))


def _cut(start: int, size: int, leaf: Any) -> Any:
    return jnp.asarray(leaf[start : start + size])
