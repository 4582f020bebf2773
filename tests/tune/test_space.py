import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import verax as vx
from verax.findings import InputError
from verax.tune._space import checked_space, combinations_of, drawn, grid, is_grid


def test_a_grid_has_every_combination_in_order():
    space = checked_space({"rate": [0.1, 0.2], "hidden": np.array([8, 16])})
    assert list(grid(space)) == [
        {"rate": 0.1, "hidden": 8},
        {"rate": 0.1, "hidden": 16},
        {"rate": 0.2, "hidden": 8},
        {"rate": 0.2, "hidden": 16},
    ]
    assert all(type(setting["hidden"]) is int for setting in grid(space))
    assert combinations_of(space) == 4


def test_a_hyperparameter_may_depend_on_those_before_it():
    space = checked_space(
        {"optimizer": ["adam", "sgd"], "momentum": lambda chosen: [0.0, 0.9] if chosen["optimizer"] == "sgd" else None}
    )
    assert is_grid(space)
    assert list(grid(space)) == [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "sgd", "momentum": 0.9},
    ]


def test_an_interval_makes_a_space_no_grid():
    space = checked_space({"rate": vx.log_uniform(1e-4, 1.0), "hidden": [8, 16]})
    assert not is_grid(space)
    with pytest.raises(InputError, match=r"a grid needs lists, but 'rate' is log_uniform\(0\.0001, 1\)"):
        list(grid(space))


@given(share=st.floats(0, 1, exclude_max=True), low=st.floats(1e-6, 1e3), width=st.floats(1e-3, 1e3))
def test_numbers_lie_between_the_ends(share, low, width):
    for interval in (vx.uniform(low, low + width), vx.log_uniform(low, low + width)):
        assert interval.low <= interval.at(share) <= interval.high


def test_shares_are_those_of_the_distribution():
    assert vx.uniform(2.0, 6.0).at(0.25) == 3.0
    assert vx.log_uniform(1e-4, 1e-2).at(0.5) == pytest.approx(1e-3)


@pytest.mark.parametrize("log", [False, True])
def test_whole_numbers_have_the_share_of_their_own(log):
    interval = vx.int_uniform(1, 6, log=log)
    shares = np.linspace(0, 1, 60_000, endpoint=False)
    counts = np.bincount([interval.at(share) for share in shares], minlength=7)[1:]
    edges = np.log(np.arange(0.5, 7)) if log else np.arange(0.5, 7)
    assert np.allclose(counts / counts.sum(), np.diff(edges) / (edges[-1] - edges[0]), atol=1e-3)
    assert all(type(interval.at(share)) is int for share in shares[:10])


def test_a_drawn_setting_asks_only_for_what_applies():
    asked = []

    def choose(name, values):
        asked.append(name)
        return values[0]

    space = checked_space({"a": [1, 2], "b": lambda chosen: None if chosen["a"] == 1 else [3], "c": lambda _: [4]})
    assert drawn(space, choose) == {"a": 1, "c": 4}
    assert asked == ["a", "c"]


REFUSED = {
    "nothing": (lambda: checked_space({}), "must name at least one hyperparameter"),
    "no mapping": (lambda: checked_space([1, 2]), "must name at least one hyperparameter"),
    "no values": (lambda: checked_space({"a": []}), r"must give 'a' a list of values to try.*got \[\]"),
    "text": (lambda: checked_space({"a": "abc"}), "must give 'a' a list of values to try.*got 'abc'"),
    "twice": (lambda: checked_space({"a": [1, 2, 1]}), r"gives 'a' a value twice: \[1, 2, 1\]"),
    "reversed": (lambda: vx.uniform(1, 0), "uniform needs two finite numbers, the lower first, got 1 and 0"),
    "equal": (lambda: vx.uniform(1, 1), "the lower first"),
    "infinite": (lambda: vx.uniform(0, math.inf), "two finite numbers"),
    "a text": (lambda: vx.uniform("0", 1), "two finite numbers"),
    "log of zero": (lambda: vx.log_uniform(0, 1), "log_uniform needs numbers above 0"),
    "not whole": (lambda: vx.int_uniform(1, 2.5), r"int_uniform needs whole numbers, got 2\.5"),
    "a bool": (lambda: vx.int_uniform(False, 2), "int_uniform needs whole numbers, got False"),
    "a function that gives text": (lambda: list(grid({"a": lambda _: "abc"})), "must give 'a' a list of values"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_space_is_refused(what):
    make, message = REFUSED[what]
    with pytest.raises(InputError, match=message):
        make()


def test_combinations_are_counted_without_making_them():
    space = {name: list(range(1000)) for name in "abcd"}
    assert combinations_of(checked_space(space)) == 10**12
    assert next(itertools.islice(grid(space), 5, None)) == {"a": 0, "b": 0, "c": 0, "d": 5}
    some = checked_space({"a": [1, 2, 3], "b": lambda chosen: None if chosen["a"] == 1 else [4, 5], "c": [6, 7]})
    assert combinations_of(some) == len(list(grid(some))) == 10


def test_combinations_that_depend_on_others_are_counted_until_there_are_enough():
    asked = []

    def depending(chosen):
        asked.append(chosen)
        return [1, 2]

    space = checked_space({"a": list(range(10**6)), "b": depending, "c": [1, 2, 3]})
    assert combinations_of(space, 10) == 12
    assert len(asked) == 2
