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
    other = [each._replace(value=each.value * (1 + 1e-9)) for each in exact]
    assert proposals(SPACE, "tpe", 1, 16, 8, exact) == proposals(SPACE, "tpe", 1, 16, 8, other)


def test_a_model_goes_where_it_is_better():
    told = [Told(setting, cost(setting)) for setting in proposals(SPACE, "quasi-random", 0, 0, 32)]
    costs = [cost(setting) for setting in proposals(SPACE, "tpe", 0, 32, 8, told)]
    assert np.median(costs) < np.median([each.value for each in told]) / 2


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


def seen_by_the_sampler(monkeypatch, told):
    """The trials that TPE finds when it is asked for the first time."""
    import optuna

    seen, choose = [], optuna.samplers.TPESampler.sample_independent

    def watched(self, study, *given):
        seen.append(study.trials[: len(told)])
        return choose(self, study, *given)

    monkeypatch.setattr(optuna.samplers.TPESampler, "sample_independent", watched)
    proposals(SPACE, "tpe", 0, len(told), 1, told)
    return seen[0]


def test_a_pruned_trial_reaches_the_sampler_with_its_value_and_epoch(monkeypatch):
    settings = proposals(SPACE, "random", 0, 0, 3)
    told = [Told(settings[0], 1.0), Told(settings[1], 0.123456789, 3), Told(settings[2], math.inf)]
    complete, pruned, broken = seen_by_the_sampler(monkeypatch, told)
    assert (complete.state.name, complete.value) == ("COMPLETE", 1.0)
    assert (pruned.state.name, pruned.intermediate_values) == ("PRUNED", {3: 0.123457})
    assert (broken.state.name, broken.intermediate_values) == ("PRUNED", {})  # to TPE the worst of all


def test_a_model_learns_from_pruned_trials():
    told = [Told(setting, cost(setting), 1) for setting in proposals(SPACE, "quasi-random", 0, 0, 32)]
    proposed = proposals(SPACE, "tpe", 0, 32, 8, told)
    assert np.median([cost(each) for each in proposed]) < np.median([each.value for each in told]) / 2
    assert proposals(SPACE, "tpe", 0, 32, 8, told) == proposed
    further = [each._replace(pruned=3) if each.setting["rate"] > 3e-2 else each for each in told]
    assert proposals(SPACE, "tpe", 0, 32, 8, further) != proposed


def test_a_pruned_trial_is_better_than_one_that_is_not_finite():
    settings = proposals(SPACE, "quasi-random", 0, 0, 32)
    told = [Told(each, math.inf) if each["rate"] > 3e-3 else Told(each, 1.0, 1) for each in settings]
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


def test_a_gaussian_process_learns_from_results():
    pytest.importorskip("torch", reason="PyTorch is not installed, which Optuna's Gaussian process needs")
    told = [Told(setting, cost(setting)) for setting in proposals(SPACE, "quasi-random", 0, 0, 16)]
    proposed = proposals(SPACE, "gp", 0, 16, 8, told)
    assert np.median([cost(each) for each in proposed]) < np.median([each.value for each in told]) / 2
    assert proposals(SPACE, "gp", 0, 16, 8, told) == proposed


def test_an_unknown_search_is_refused():
    with pytest.raises(InputError, match="search must be one of grid, random, quasi-random, tpe, gp, got 'bayes'"):
        check_search("bayes")
