"""What the page of a study says of planted trials, and that nothing from a user gets out of its text."""

import csv
import io
import json
import math
from dataclasses import replace

import pytest

import verax as vx
from tests.report.studies import OBJECTIVE, a_study, a_trial, a_winner, of_trials
from tests.report.test_html import EVIL, Page
from verax import plot, report
from verax.evaluate import Estimate
from verax.findings import InputError
from verax.plot._trials import Scale, scales, value_text
from verax.report._study_importance import importance
from verax.report._study_parts import noted, ranked
from verax.report._study_unexplored import coverage, largest_gap
from verax.tune._space import checked_space, described

RATES = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}
WIDTHS = {"learning_rate": {"values": [64, 128, 256]}}


def told(study) -> str:
    """The sentences of what to look at next."""
    return "\n".join(noted(study.to_json()))


def rates(*given: float, best: int, **more) -> list:
    """Trials of learning rates, of which one is the best."""
    return [
        a_trial(number, {"learning_rate": rate, **more}, 0.1 if number == best else 0.5 + number)
        for number, rate in enumerate(given)
    ]


def section(page: str, name: str) -> str:
    """The text of the section whose heading has an id, with plain spaces."""
    text = next(each["text"] for each in Page(page).all("section") if each.get("aria-labelledby") == name)
    return text.replace("\N{NO-BREAK SPACE}", " ")


# The whole page.


@pytest.mark.parametrize("count", [1, 2, 12, 200])
def test_a_page_is_whole_and_loads_nothing_whatever_the_number_of_trials(count):
    text = report.study_html(of_trials(rates(*[0.001 * (at + 1) for at in range(count)], best=0), RATES))
    page = Page(text)
    ids = [each["id"] for each in page.elements if "id" in each]
    assert len(ids) == len(set(ids)) and len(text.encode()) < 2_000_000
    assert not page.all("script") and "url(h" not in text
    assert all(each.get("aria-label") for each in page.all("svg", class_="plot"))
    assert all(each["aria-labelledby"] in ids for each in page.all("section"))
    assert f"{count} trial" in page.text_of("header")
    assert ("The best 30 of 200" in text) == (count == 200)


def test_the_same_study_gives_the_same_page_from_memory_and_from_its_file():
    study = a_study(20)
    assert report.study_html(study) == report.study_html(json.loads(json.dumps(study.to_json())))


def test_the_best_has_its_interval_its_luck_and_its_ties():
    trials = rates(0.01, 0.02, 0.03, best=1)
    trials[0] = replace(trials[0], value=0.105, parameters=7)
    page = report.study_html(of_trials(trials, RATES))
    tiles = Page(page).text_of("dl", class_="tiles")
    assert "with 3 fresh seeds0.10595 % interval 0.1025 to 0.1075" in tiles
    assert "luck0.00595 % interval 0.002 to 0.008" in tiles
    assert "2 trials that noise does not tell from the best" in section(page, "best")
    assert "Trial 0 is as good as noise can tell, with 7 parameters, not 2,000: learning_rate 0.01." in page


def test_luck_that_noise_explains_is_not_held_against_the_search():
    trials = rates(0.01, 0.02, best=1)
    study = of_trials(trials, RATES)
    assert "flattered" in told(study)
    unsure = a_winner(trials[1], trials, luck=(0.005, -0.002, 0.012))
    assert "flattered" not in told(replace(study, winner=unsure))
    assert "not trained anew" in told(replace(study, winner=None))


def test_shares_are_written_in_per_cent_and_differences_keep_their_sign():
    trials = rates(0.01, 0.02, best=1)
    study = replace(of_trials(trials, RATES), objective="validation/accuracy", best=trials[1])
    winner = replace(a_winner(trials[1], trials), luck=Estimate(-0.01, -0.02, 0.0))
    tiles = Page(report.study_html(replace(study, winner=winner))).text_of("dl", class_="tiles")
    assert "10.5 %" in tiles and "−1.0 %" in tiles and "−2.0 % to 0.0 %" in tiles


def test_names_values_and_reasons_of_users_stay_text():
    trial = a_trial(0, {EVIL: EVIL, "other": 1}, stop_reason=EVIL, task=EVIL)
    broken = a_trial(1, {EVIL: "b", "other": 2}, state="not finite", stop_reason=EVIL)
    study = of_trials([trial, broken], {EVIL: {"values": [EVIL, "b", "<b>never</b>"]}, "other": {"values": [1, 2]}})
    text = report.study_html(replace(study, facts={**study.facts, "plan": [EVIL]}), title=EVIL)
    page = Page(text)
    assert not page.all("script") and not [each for each in page.elements if "onload" in each]
    assert "\x00" not in text and "<b>never" not in text
    assert EVIL.replace("\x00", "\N{REPLACEMENT CHARACTER}") in page.text_of("h1")


# Edges and what was never explored.


@pytest.mark.parametrize(
    ("space", "given", "best", "words"),
    [
        (RATES, (1e-4, 1e-3, 0.095), 2, "high end of the interval from 0.0001 to 0.1. {} upwards, such as to 1."),
        (RATES, (1.1e-4, 1e-3, 0.05), 0, "low end of the interval from 0.0001 to 0.1. {} downwards, such as to 1e-5."),
        (WIDTHS, (64, 128, 256), 2, "the highest of the 3 values that were searched. {} upwards, such as to 512."),
        ({"learning_rate": {"values": [0.5, 0.75]}}, (0.5, 0.75), 1, "{} upwards."),  # not to 1.125
        ({"learning_rate": {"low": 0.0, "high": 0.9}}, (0.0, 0.4, 0.8), 0, "If 0 switches it off, leave it out"),
    ],
)  # fmt: skip
def test_a_best_at_the_edge_is_said_with_the_direction(space, given, best, words):
    assert words.format("Widen the range") in told(of_trials(rates(*given, best=best), space))


@pytest.mark.parametrize(
    ("space", "given", "best"),
    [
        (RATES, (1e-4, 1e-2, 0.1), 1),
        (WIDTHS, (64, 128, 256), 1),
        ({"learning_rate": {"values": ["relu", "tanh"]}}, ("relu", "tanh"), 1),
        ({"learning_rate": {"values": [False, True]}}, (False, True), 1),
        ({"learning_rate": {"low": 0.0, "high": 0.9}}, (0.01, 0.4, 0.8), 0),  # nothing lies below 0
    ],
)
def test_a_best_that_is_not_at_an_edge_is_not_said(space, given, best):
    assert "Widen" not in told(of_trials(rates(*given, best=best), space)) and "edge" not in told(
        of_trials(rates(*given, best=best), space)
    )


def test_the_best_seed_is_at_no_edge():
    trials = [a_trial(number, {"seed": number}, 1.0 - 0.1 * number) for number in range(3)]
    assert "Widen" not in told(of_trials(trials, {"seed": {"values": [0, 1, 2]}}))


def test_a_tie_inside_the_range_is_named_with_the_edge():
    trials = rates(0.1, 0.01, best=0)
    trials[1] = replace(trials[1], value=0.105)
    assert "Noise does not tell it from trial 1, which has 0.01." in told(of_trials(trials, RATES))


def test_values_never_tried_or_never_finished_are_said():
    trials = [
        a_trial(0, {"width": 32}),
        a_trial(1, {"width": 64}, state="not finite"),
        a_trial(2, {"width": 64}, state="pruned"),
    ]
    study = of_trials(trials, {"width": {"values": [16, 32, 64]}})
    assert "Never tried: width 16." in told(study)
    assert "Tried only in trials that did not finish: width 64 (1 not finite, 1 pruned)." in told(study)
    assert "64 (1 not finite, 1 pruned)" in section(report.study_html(study), "unexplored")


def test_empty_parts_of_intervals_are_said_on_their_own_scale():
    study = of_trials(rates(1e-4, 3e-4, 1e-1, best=1), RATES)
    assert "No trial has learning_rate between 0.0003 and 0.1, 84 % of its range." in told(study)
    assert largest_gap(Scale("n", None, 1.0, 100.0, whole=True), [1, 2, 100])[:2] == (3, 99)
    assert largest_gap(Scale("n", None, 1.0, 4.0, whole=True), [1, 2, 3, 4]).share == 0
    assert largest_gap(Scale("n", None, 1.0, 64.0, log=True, whole=True), []).share == 1


def test_few_whole_numbers_are_told_one_by_one():
    trials = [a_trial(number, {"layers": layers}) for number, layers in enumerate((1, 3))]
    (found,) = coverage(of_trials(trials, {"layers": {"low": 1, "high": 4, "whole": True}}).to_json())
    assert found.untried == (2, 4)


def test_combinations_that_were_left_out_are_counted():
    trials = [a_trial(number, {"a": number % 2, "b": 0}) for number in range(2)]
    assert "2 of 4 combinations were never tried." in told(
        of_trials(trials, {"a": {"values": [0, 1]}, "b": {"values": [0, 1]}})
    )


def test_a_space_that_is_not_known_is_said_to_be_so():
    trials = rates(0.1, 0.2, best=0)
    assert "learning_rate is not known: the study does not hold its space" in told(of_trials(trials))
    assert "not known: its values depend on other" in told(of_trials(trials, {"learning_rate": None}))


def test_where_trials_break_is_said_only_where_it_is_no_chance():
    good = rates(*[0.001 * (at + 1) for at in range(6)], best=0)
    bad = [a_trial(6 + at, {"learning_rate": 0.05 + 0.01 * at}, state="not finite") for at in range(3)]
    words = "All 3 trials that did not stay finite have learning_rate at least 0.05; the others have at most 0.006."
    assert words in told(of_trials([*good, *bad], RATES))
    assert "stay finite" not in told(of_trials([*good, bad[0]], RATES))


# How trials ended.


def test_reasons_are_shown_with_their_trials():
    page = report.study_html(a_study(40))
    early = section(page, "early")
    for words in ("not among the best of 40 after 2 epochs", "not finite by step 12", "width must be positive"):
        assert words in early
    assert "Nothing: every trial was trained" in report.study_html(of_trials(rates(0.1, best=0), RATES))


def test_a_study_of_which_all_but_one_failed_has_a_page():
    failed = [a_trial(at, {"learning_rate": 0.1 * at}, state="not finite") for at in range(1, 6)]
    page = report.study_html(of_trials([a_trial(0, {"learning_rate": 0.001}), *failed], RATES))
    assert "6 trials (1 complete, 5 not finite)" in page
    assert "Importance: Not computed" in page


def test_numbers_that_are_not_finite_stay_out_of_the_page():
    curves = {OBJECTIVE: ((None, None), (1.0, None)), "train/loss": ((), ())}
    broken = a_trial(1, {"learning_rate": math.inf}, state="not finite", curves=curves, values=(math.nan, math.nan))
    page = report.study_html(of_trials([a_trial(0, {"learning_rate": 0.01}), broken], RATES))
    assert "nan" not in Page(page).text_of("main").lower().replace("nan or inf", "")


def test_the_order_is_best_first_then_those_that_came_far():
    trials = [
        a_trial(0, {}, state="not trained"),
        a_trial(1, {}, state="not finite"),
        a_trial(2, {}, 0.5, state="pruned"),
        a_trial(3, {}, 0.4, state="pruned"),
        a_trial(4, {}, 0.9),
        a_trial(5, {}, 0.8),
    ]
    assert [trial["number"] for trial in ranked(of_trials(trials).to_json())] == [5, 4, 3, 2, 1, 0]


def test_time_is_told_by_task_and_by_end():
    trials = [a_trial(0, {"a": 1}, task="g0-0"), a_trial(1, {"a": 2}, task="g0-1", state="pruned", seconds=0.75)]
    text = section(report.study_html(of_trials(trials)), "time")
    assert "in 1 trials that were pruned750 ms (75 %)" in text
    assert "g0-1" in text and "of it compiling4 s" in text


# What matters.


def test_a_hyperparameter_that_matters_ranks_over_those_that_do_not():
    found = importance(a_study(60).to_json())
    assert next(iter(found.shares)) == "learning_rate" and found.shares["learning_rate"] > 0.9
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found == importance(a_study(60).to_json())  # the forest has a seed


def test_a_name_that_matters_ranks_over_a_number_that_does_not():
    trials = [
        a_trial(at, {"rate": 0.1 * (at % 5), "kind": "ab"[at % 2]}, 1.0 + at % 2 + 0.01 * (at % 3)) for at in range(20)
    ]
    space = {"rate": {"low": 0.0, "high": 0.4}, "kind": {"values": ["a", "b"]}}
    assert next(iter(importance(of_trials(trials, space).to_json()).shares)) == "kind"


def test_the_logarithm_of_an_interval_weighs_its_decades_equally():
    """The best decade of four decides a quarter of all trials; by size it would be a thousandth of the interval."""
    trials = [
        a_trial(at, {"rate": 10 ** (-4 + 4 * at / 39), "other": (7 * at) % 40 / 40}, 1.0 if at < 10 else 2.0)
        for at in range(40)
    ]
    space = {"rate": {"low": 1e-4, "high": 1.0, "log": True}, "other": {"low": 0.0, "high": 1.0}}
    assert importance(of_trials(trials, space).to_json()).shares["rate"] > 0.9


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        ([a_trial(at, {"a": at}, at) for at in range(20)], "a single hyperparameter"),
        ([a_trial(at, {"a": at, "b": at % 2}, at) for at in range(7)], "7 complete trials are too few; it takes 8"),
        ([a_trial(at, {"a": at, "b": 1}, at) for at in range(20)], "fewer than two hyperparameters vary"),
        ([a_trial(at, {"a": at, "b": at % 2}) for at in range(20)], "the same value"),
    ],
)
def test_importance_that_says_nothing_is_not_computed(trials, reason):
    found = importance(of_trials(trials).to_json())
    assert not found.shares and found.note.startswith("Not computed") and reason in found.note


def test_a_hyperparameter_that_not_all_trials_have_is_left_out_by_name():
    trials = [a_trial(at, {"a": at, "b": at % 2, **({"c": at} if at % 2 else {})}, at) for at in range(20)]
    found = importance(of_trials(trials).to_json())
    assert (
        set(found.shares) == {"a", "b"}
        and "Left out, for they do not vary or not all trials have them: c." in found.note
    )


# Files, and the certificate.


def test_the_three_files_hold_the_study(tmp_path):
    study = a_study(12)
    path = report.write_study_report(tmp_path / "new", study)
    assert path == tmp_path / "new" / "study.html"
    assert sorted(each.name for each in path.parent.iterdir()) == ["study.csv", "study.html", "study.json"]
    assert json.loads((path.parent / "study.json").read_text()) == json.loads(json.dumps(study.to_json()))
    assert (path.parent / "study.csv").read_text() == study.to_csv()
    assert len(list(csv.reader(io.StringIO(study.to_csv())))) == 13
    assert "<title>new: 12 trials" in path.read_text()


def test_a_file_that_would_not_change_is_left_alone(tmp_path):
    study = a_study(3)
    report.write_study_report(tmp_path, study)
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    report.write_study_report(tmp_path, json.loads((tmp_path / "study.json").read_text()))
    assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("wrong", [{}, [], None, {"metric": "validation/loss", "best": {}, "trials": []}])
def test_what_is_no_study_is_refused(tmp_path, wrong):
    with pytest.raises(InputError, match=r"study must be a vx\.tune\.Study or the content of a study\.json"):
        report.write_study_report(tmp_path, wrong)
    assert not list(tmp_path.iterdir())


def test_a_certificate_shows_the_study_beside_it(passed):
    page = report.html(passed, study=a_study(12))
    text = section(page, "study")
    assert "12 trials" in text and "fresh seeds" in text and "Never tried: width 128." in text
    ids = [each["id"] for each in Page(page).elements if "id" in each]
    assert len(ids) == len(set(ids))
    assert 'id="study"' not in report.html(passed)
    assert 'id="study"' not in report.html(passed, study={"metric": "an older file"})


# Where values lie.


def test_axes_follow_the_space_and_without_it_what_was_tried():
    trials = [a_trial(at, {"rate": 10.0**-at, "kind": "ab"[at % 2], "size": 100 + at}) for at in range(10)]
    by_name = {scale.name: scale for scale in scales(of_trials(trials).to_json())}
    assert by_name["rate"].log and not by_name["size"].log and not by_name["rate"].is_known
    assert by_name["kind"].place("b") == 0.75 and math.isnan(by_name["kind"].place("c"))
    known = scales(of_trials(trials, {"size": {"low": 0, "high": 200}}).to_json())[0]
    assert known.place(100) == 0.5 and [text for _, text in known.ticks()] == ["0", "50", "100", "150", "200"]


def test_values_are_told_apart_by_type():
    scale = Scale("flag", (1, True, 1.0))
    assert [scale.place(value) for value in scale.values] == pytest.approx([1 / 6, 1 / 2, 5 / 6])
    assert [value_text(value) for value in (True, None, 0.1, "a\nb")] == [
        "True",
        "None",
        "0.1",
        "a\N{REPLACEMENT CHARACTER}b",
    ]


def test_a_few_far_worse_trials_do_not_squeeze_the_others():
    trials = rates(*[0.001 * (at + 1) for at in range(30)], best=0)
    trials = [replace(trial, value=1.0 + 0.01 * trial.number) for trial in trials]
    trials[7] = replace(trials[7], value=1e9)
    ax = plot.trial_slice(of_trials(trials, RATES), "learning_rate")
    heights = [float(y) for line in ax.get_lines()[:1] for y in line.get_ydata()]
    assert max(heights) == 1.0 and sorted(heights)[-2] > 0.9 and sorted(heights)[15] > 0.3


def test_a_space_is_described_as_settings_are_written():
    given = {"a": [(1, 2), None], "b": vx.int_uniform(1, 8, log=True), "c": lambda chosen: [1], "d": [len]}
    told = json.loads(json.dumps(described(checked_space(given))))
    assert told["a"] == {"values": [{"tuple": [1, 2]}, None]} and told["c"] is None
    assert told["b"] == {"low": 1, "high": 8, "log": True, "whole": True}
    assert told["d"] == {"values": ["<built-in function len>"]}
