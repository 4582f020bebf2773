"""The trials of one task made ready: data loaded and checked, an epoch cut into steps, the optimizer probed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np

from verax.data import load
from verax.findings import InputError
from verax.train import Experiment, resolve
from verax.train._cache import enable_compilation_cache
from verax.train._keys import base_key
from verax.train._lanes_data import lane_validation
from verax.train._lanes_session import basis, lane_plan
from verax.train._session import schedule_facts
from verax.trees import Tree, count
from verax.tune._program import Common, GroupProgram, Own
from verax.tune._task import Task
from verax.tune._trace import Maker

PASSES = 3  # that a training step costs in forward passes: the backward pass is two


@dataclass(frozen=True, eq=False)
class Group:
    """The trials of a task, made ready: all but the programs, which depend on how many lanes there are.

    Attributes:
      program: what they have in common.
      inputs: of the program, by name: one number a lane. A lane is one trial with one seed; those of a trial follow one
        another.
      seeds: one a lane.
      experiment: of one trial, for what is no input.
      common: what is on the device for all, without rows.
      batch: inputs of one batch.
      operations: floating-point operations of a whole lane.
      parameters: how many numbers the network has.
      in_turn: whether lanes run one after another rather than side by side.
    """

    program: GroupProgram
    inputs: Mapping[str, np.ndarray]
    seeds: Sequence[int]
    experiment: Experiment
    common: Common
    batch: Tree
    operations: float
    parameters: int
    in_turn: bool

    @property
    def epochs(self) -> int:
        """Epochs of a whole trial, the last one perhaps cut short."""
        return -(-self.program.total_steps // self.program.plan.steps)

    @functools.cached_property
    def keys(self) -> np.ndarray:
        """Words of the base keys of the lanes."""
        known = {seed: np.asarray(jax.random.key_data(base_key(seed))) for seed in set(self.seeds)}
        return np.stack([known[seed] for seed in self.seeds])

    def own(self, lanes: Sequence[int]) -> Own:
        """Returns what some lanes have of their own, without rows."""
        return Own({name: values[list(lanes)] for name, values in self.inputs.items()})

    def row_bytes(self, lanes: Sequence[int]) -> int:
        """Returns how many bytes the rows of an epoch take, or may take."""
        return len(lanes) * self.program.plan.size * np.dtype(np.int32).itemsize

    def with_rows(self, own: Own, lanes: Sequence[int], begun: int, epochs: int) -> tuple[Own, Common]:
        """Returns the data of some epochs: the order of the examples is a function of seed and epoch."""
        plan, seeds = self.program.plan, [self.seeds[lane] for lane in lanes]
        cut = {seed: [plan.rows(seed, begun + epoch) for epoch in range(epochs)] for seed in dict.fromkeys(seeds)}
        rows = {seed: np.stack([each[0] for each in epochs]) for seed, epochs in cut.items()}
        rest = {seed: np.stack([each[2] for each in epochs]) for seed, epochs in cut.items()} if plan.rest else {}
        common = self.common._replace(begun=np.int32(begun))
        if len(cut) == 1 and jax.default_backend() != "cpu":  # there a shared batch has the first weights laid out anew
            return own, common._replace(rows=rows[seeds[0]], rest=rest.get(seeds[0]))
        rest_rows = np.stack([rest[seed] for seed in seeds]) if rest else None
        return own._replace(rows=np.stack([rows[seed] for seed in seeds]), rest=rest_rows), common


def prepared(function: Callable[..., Experiment], task: Task) -> Group:
    """Returns the trials of a task made ready; data, network and loss are checked as for a single run.

    Raises:
      InputError: for anything that is wrong with them, before any compute.
    """
    enable_compilation_cache()
    given = [{name: setting[name] for name in task.inputs if name in setting} for setting in task.settings]
    # Whether decay is kept from biases is decided once for all, so by a trial that has a decay if any does.
    place = max(range(len(given)), key=lambda at: sum(value != 0 for value in given[at].values()))
    setting = task.settings[place]
    ones = {name: 1.0 for name in task.scaled if name in setting}
    dataset = load(resolve(function, {**task.fixed, **setting, **ones}).data)
    maker = Maker(function, task.fixed, dataset, frozenset(task.scaled))
    made = replace(maker(setting), seed=task.seeds[place][0])
    base = basis(made, dataset)
    if "validation" not in dataset.splits:
        raise InputError("a study chooses by the validation split, and the data has none. Add one with .split().")
    plan = lane_plan(made, base, dataset.examples("train").size)
    total = made.steps or (made.epochs or 0) * plan.steps
    if not total:
        raise InputError("a trial needs epochs or steps: with a clock its score depends on the machine.")
    states = jax.eval_shape(base.optimizer.init, base.shapes.params)
    schedule_facts(base.optimizer, base.shapes.params, states, total)
    static = {name: value for name, value in setting.items() if name not in given[place]}
    program = GroupProgram(
        make=lambda inputs: maker({**static, **inputs}),
        facts=base.facts,
        plan=plan,
        total_steps=total,
    )
    weight = plan.rows(0, 0)[1]
    batches = jax.tree.map(lambda *leaves: np.stack(leaves), *lane_validation(made, [dataset]))
    inputs, targets, weight, validation = jax.device_put((*dataset.examples("train"), weight, batches))
    return Group(
        program=program,
        inputs={
            name: _numbers(name, [each[name] for each, own in zip(given, task.seeds, strict=True) for _ in own])
            for name in given[0]
        },
        seeds=[seed for own in task.seeds for seed in own],
        experiment=made,
        common=Common(inputs, targets, weight, None, None, validation, np.int32(0)),
        batch=base.few.inputs,
        operations=base.cost.operations * PASSES * total,
        parameters=count(base.shapes.params),
        in_turn=base.in_turn,
    )


def _numbers(name: str, values: Sequence[float | int]) -> np.ndarray:
    """Returns values of a hyperparameter as JAX takes them, of one dtype whichever of them a call has."""
    dtype = jax.dtypes.canonicalize_dtype(np.result_type(*map(type, values)))
    largest = max(values, key=abs)
    if np.issubdtype(dtype, np.integer) and abs(largest) > np.iinfo(dtype).max:
        raise InputError(f"{name} must fit into {8 * dtype.itemsize} bits to be an input of a program, got {largest}.")
    return np.asarray(values, dtype)
