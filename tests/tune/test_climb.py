"""Rungs over made-up curves: which trials go on, from where, and what becomes of the others."""

import math

import pytest

import verax as vx
from verax.findings import InputError
from verax.tune import Halving, LaneResult, Task, TaskResult, Trial
from verax.tune._climb import climb

EPOCHS = 9
LOSS = "validation/loss"


def losses(number, begun, until):
    """Trial 0 is the best; trial 3 is so only at first."""
    return tuple(
        (10.0 + number) / (epoch + 1) + (0.0 if number != 3 or epoch else -9.0) for epoch in range(begun, until)
    )


class Machine:
    """Runs tasks of made-up trials, and remembers them."""

    def __init__(self, broken=(), states=True):
        self.seen, self.broken, self.states = [], broken, states

    def __call__(self, tasks):
        self.seen += tasks
        for task in tasks:
            until = task.until or EPOCHS
            trials = tuple(
                LaneResult(
                    number,
                    {LOSS: (losses(number, task.begun, until),)},
                    (1 if number in self.broken else None,),
                    5,
                    0.1,
                )
                for number in task.numbers
            )
            states = tuple(b"%d" % number for number in task.numbers) if task.keep and self.states else ()
            yield TaskResult(task.name, trials, task.begun, states=states)


def trial_of(lane, result):
    curve = lane.curves[LOSS][0]
    bad = lane.broken[0] is not None
    state = "not finite" if bad else "complete"
    return Trial(
        {}, math.nan if bad else curve[-1], 0.1, "end", lane.number, state, (curve[-1],), lane.curves, 5, result.name
    )


def tasks(*sizes):
    first, made = 0, []
    for place, size in enumerate(sizes):
        numbers = tuple(range(first, first + size))
        made.append(Task(f"g0-{place}", numbers, ({},) * size, ((0,),) * size, {}, (), ()))
        first += size
    return made


def climbed(machine, given, pruner, epochs=EPOCHS):
    numbers = [number for task in given for number in task.numbers]
    found = climb(given, machine, trial_of, epochs=dict.fromkeys(numbers, epochs), pruner=pruner, objective=LOSS)
    return {trial.number: trial for trial in found}


def test_without_a_pruner_all_trials_are_trained_to_their_end():
    machine = Machine()
    trials = climbed(machine, tasks(2, 3), None)
    assert sorted(trials) == [0, 1, 2, 3, 4]
    assert all(trial.state == "complete" and len(trial.curves[LOSS][0]) == EPOCHS for trial in trials.values())
    assert [(task.name, task.until, task.keep) for task in machine.seen] == [
        ("g0-0", None, False),
        ("g0-1", None, False),
    ]


def test_the_best_third_goes_on_from_rung_to_rung():
    machine = Machine()
    trials = climbed(machine, tasks(4, 5), Halving(factor=3, first=1))
    assert {number for number, trial in trials.items() if trial.state == "complete"} == {0}
    assert trials[0].curves[LOSS][0] == losses(0, 0, EPOCHS)  # joined from all rungs
    lengths = {number: len(trial.curves[LOSS][0]) for number, trial in trials.items()}
    assert lengths == {0: 9, 1: 3, 3: 3, 2: 1, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1}  # 3 flattered itself at the first rung
    assert trials[8].stop_reason == "not among the best of 9 after 1 epoch"
    assert trials[3].stop_reason == "not among the best of 3 after 3 epochs"


def test_survivors_are_packed_anew_with_their_states():
    machine = Machine()
    climbed(machine, tasks(4, 5), Halving(factor=3, first=1))
    told = [(task.name, task.numbers, task.begun, task.until, task.states) for task in machine.seen]
    assert told == [
        ("g0-0", (0, 1, 2, 3), 0, 1, ()),
        ("g0-1", (4, 5, 6, 7, 8), 0, 1, ()),
        ("g0-0-r1", (0, 1, 3), 1, 3, (b"0", b"1", b"3")),
        ("g0-0-r2", (0,), 3, None, (b"0",)),
    ]


def test_without_states_survivors_begin_anew():
    machine = Machine(states=False)
    trials = climbed(machine, tasks(4, 5), Halving(factor=3, first=1))
    assert [task.begun for task in machine.seen] == [0, 0, 0, 0]
    assert trials[0].curves[LOSS][0] == losses(0, 0, EPOCHS)
    assert {number: trial.state for number, trial in trials.items()} == {
        number: trial.state for number, trial in climbed(Machine(), tasks(4, 5), Halving()).items()
    }


def test_a_trial_that_is_not_finite_takes_nobodys_place():
    trials = climbed(Machine(broken=(0, 1)), tasks(4), Halving(factor=2, first=1))
    assert trials[0].state == trials[1].state == "not finite"
    assert trials[2].state == "complete"


def test_if_none_is_finite_the_rungs_end():
    trials = climbed(Machine(broken=(0, 1, 2)), tasks(3), Halving())
    assert {trial.state for trial in trials.values()} == {"not finite"} and len(trials) == 3


def test_trials_shorter_than_a_rung_end_there():
    trials = climbed(Machine(), tasks(3), Halving(factor=3, first=1), epochs=1)
    assert {trial.state for trial in trials.values()} == {"complete"}


@pytest.mark.parametrize(("factor", "first"), [(1, 1), (3, 0), (True, 1)])
def test_rungs_that_make_no_sense_are_refused(factor, first):
    with pytest.raises(InputError, match="of a Halving must be a whole number of at least"):
        vx.Halving(factor=factor, first=first)
