import math

import numpy as np
import pytest

import verax as vx
from verax.findings import InputError
from verax.tune._search import Told, check_search, proposals
from verax.tune._space import checked_space

SPACE = checked_space(
    {
        "rate": vx.log_uniform(1e-4, 1e-1),
        "optimizer": ["adam", "sgd"],
        "momentum": lambda chosen: vx.uniform(0, 0.9) if chosen["optimizer"] == "sgd" else None,
        "hidden": vx.int_uniform(8, 64, log=True),
    }
)


def cost(setting):
    """A valley at a rate of 1e-2."""
    return abs(math.log10(setting["rate"]) + 2)


@pytest.mark.parametrize("search", ["random", "quasi-random"])
def test_proposals_depend_on_seed_and_number_alone(search):
    whole = proposals(SPACE, search, 3, 0, 12)
    assert [proposals(SPACE, search, 3, number, 1)[0] for number in range(12)] == whole
    assert proposals(SPACE, search, 4, 0, 12) != whole


@pytest.mark.parametrize("search", ["random", "quasi-random", "tpe"])
def test_proposals_lie_in_the_space(search):
    for setting in proposals(SPACE, search, 0, 0, 16):
        assert 1e-4 <= setting["rate"] <= 1e-1
        assert isinstance(setting["hidden"], int) and 8 <= setting["hidden"] <= 64
        assert ("momentum" in setting) == (setting["optimizer"] == "sgd")


def test_a_quasi_random_search_is_more_even_than_a_random_one():
    space = checked_space({"a": vx.uniform(0, 1), "b": vx.uniform(0, 1)})

    def largest_gap(search):
        values = np.sort([setting["a"] for setting in proposals(space, search, 0, 0, 64)])
        return np.diff(values, prepend=0, append=1).max()

    assert largest_gap("quasi-random") < 2.1 / 64 < largest_gap("random")


def test_a_grid_ends_where_it_ends():
    space = checked_space({"a": [1, 2], "b": [3, 4]})
    assert proposals(space, "grid", 0, 3, 8) == [{"a": 2, "b": 4}]


def test_a_model_proposes_the_same_for_the_same_results():
    told = [Told(setting, cost(setting)) for setting in proposals(SPACE, "random", 0, 0, 16)]
    first = proposals(SPACE, "tpe", 1, 16, 8, told)
    assert proposals(SPACE, "tpe", 1, 16, 8, told) == first
    assert proposals(SPACE, "tpe", 2, 16, 8, told) != first


def test_the_last_digits_of_a_score_change_no_proposal():
    settings = proposals(SPACE, "random", 0, 0, 16)
    exact = [Told(setting, 1.0 + cost(setting)) for setting in settings]
    other = [Told(setting, value * (1 + 1e-9)) for setting, value in exact]
    assert proposals(SPACE, "tpe", 1, 16, 8, exact) == proposals(SPACE, "tpe", 1, 16, 8, other)


def test_a_model_goes_where_it_is_better():
    told = [Told(setting, cost(setting)) for setting in proposals(SPACE, "quasi-random", 0, 0, 32)]
    costs = [cost(setting) for setting in proposals(SPACE, "tpe", 0, 32, 8, told)]
    assert np.median(costs) < np.median([value for _, value in told]) / 2


@pytest.mark.parametrize(("known", "is_random"), [(6, True), (8, False)])
def test_a_model_of_few_trials_does_not_choose(known, is_random):
    settings = proposals(SPACE, "random", 0, 0, known)
    one, other = ([Told(each, sign * cost(each)) for each in settings] for sign in (1, -1))
    proposed = [proposals(SPACE, "tpe", 0, known, 1, told) for told in (one, other)]
    assert (proposed[0] == proposed[1]) == is_random


def test_what_was_not_finite_is_told_as_the_worst():
    settings = proposals(SPACE, "quasi-random", 0, 0, 32)
    told = [Told(each, math.nan if each["rate"] > 3e-3 else 0.5 + cost(each) / 10) for each in settings]
    rates = [setting["rate"] for setting in proposals(SPACE, "tpe", 0, 32, 8, told)]
    assert np.mean([rate <= 3e-3 for rate in rates]) > 0.6


def test_optuna_keeps_its_own_settings(recwarn):
    import optuna

    level = optuna.logging.get_verbosity()
    proposals(SPACE, "tpe", 0, 0, 8)
    assert optuna.logging.get_verbosity() == level
    assert not recwarn.list


def test_a_gaussian_process_without_torch_says_what_it_needs():
    try:
        import torch  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match="search='gp' uses Optuna's Gaussian process, which needs PyTorch"):
            proposals(SPACE, "gp", 0, 0, 8)
    else:
        pytest.skip("PyTorch is installed here")


def test_an_unknown_search_is_refused():
    with pytest.raises(InputError, match="search must be one of grid, random, quasi-random, tpe, gp, got 'bayes'"):
        check_search("bayes")
