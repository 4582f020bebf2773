import pytest

from verax.doctor._probe import Repair
from verax.doctor._rank import ranked
from verax.doctor._trial import Trial
from verax.doctor.catalogue import page
from verax.findings import Finding


def finding(name, severity="warning", part=None, confidence=0.8):
    return Finding(name, severity, f"{name}.", part=part, confidence=confidence)


def tried(name, part, after, before=0.5):
    trial = Trial(
        Repair("a change", lambda subject: subject), True, before, after, f"error {before} -> {after}", 100, 1.0
    )
    return finding(name, part=part), trial


def said(findings):
    return [(each.id, each.severity) for each in findings]


def test_a_symptom_is_a_remark_below_the_cause_that_explains_it():
    cause, symptom = finding("double-softmax", "error", "model", 1.0), finding("loss-not-decreasing")
    assert said(ranked([symptom, cause])) == [("double-softmax", "error"), ("loss-not-decreasing", "info")]


def test_a_symptom_without_a_cause_is_an_alarm():
    assert said(ranked([finding("loss-not-decreasing")])) == [("loss-not-decreasing", "warning")]


def test_a_cause_that_another_explains_is_a_remark():
    explained = next(each for each in page("input-not-normalized").explains if page(each).kind == "cause")
    findings = [finding(explained), finding("input-not-normalized", part="data")]
    assert said(ranked(findings)) == [("input-not-normalized", "warning"), (explained, "info")]


def test_of_repairs_that_do_as_much_the_deepest_is_the_cause():
    rate, data = tried("learning-rate-too-high", "optimizer", 0.10), tried("input-not-normalized", "data", 0.11)
    first, second = ranked([], [rate, data])
    assert (first.id, first.severity, first.tried) == ("input-not-normalized", "warning", "error 0.5 -> 0.11")
    assert (second.id, second.severity) == ("learning-rate-too-high", "info")


def test_of_repairs_that_do_unlike_the_best_is_the_cause():
    rate, data = tried("learning-rate-too-high", "optimizer", 0.05), tried("input-not-normalized", "data", 0.4)
    assert ranked([], [rate, data])[0].id == "learning-rate-too-high"


def test_a_proof_comes_before_a_repair_that_helped():
    proof = finding("wrong-softmax-axis", "error", "model", 1.0)
    assert said(ranked([proof], [tried("learning-rate-too-low", "optimizer", 0.1)])) == [
        ("wrong-softmax-axis", "error"),
        ("learning-rate-too-low", "info"),
    ]


@pytest.mark.parametrize("name", ["constant-feature", "decay-on-norm-and-bias"])
def test_a_remark_stays_a_remark(name):
    assert said(ranked([finding(name, "info")])) == [(name, "info")]


def test_each_id_is_said_once():
    twice = [finding("double-softmax", "error", "model", 1.0), finding("double-softmax", "warning", "loss", 0.5)]
    assert said(ranked(twice)) == [("double-softmax", "error")]


def test_how_a_run_went_is_explained_by_a_repair_that_helped():
    helped = tried("exploding-initialization", "model", 0.1)
    said_of = said(ranked([finding("miscalibration"), finding("overfitting")], [helped]))
    assert said_of[0] == ("exploding-initialization", "warning") and {each[1] for each in said_of[1:]} == {"info"}
    assert said(ranked([finding("overfitting")])) == [("overfitting", "warning")]


def test_a_short_run_is_no_low_learning_rate():
    both = [tried("learning-rate-too-low", "optimizer", 0.1), tried("insufficient-training", "schedule", 0.2)]
    assert ranked([], both)[0].id == "insufficient-training"
