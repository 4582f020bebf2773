"""better_than_chance, calibrated, held_out, tuned: each passes a healthy network and finds a fault that was planted."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import verax as vx
from tests.certify import cases
from tests.certify.cases import known_evidence, known_labels, known_splits, measure
from verax.evaluate import Estimate
from verax.train import lane_estimate


def test_the_true_probabilities_are_better_than_chance():
    item = measure(known_evidence(), "better_than_chance")
    (limit,) = item.limit.values()
    assert item.status == "passed" and item.measured["accuracy_low"] > limit
    test = known_splits()["test"]
    assert limit == np.bincount(test[1]).max() / len(test[1])
    hits = (test[0] @ cases.TRUE_KERNEL).argmax(axis=1) == test[1]
    assert item.measured["accuracy"] == pytest.approx(hits.mean())


def test_shuffled_labels_are_no_better_than_chance():
    splits = known_splits()
    splits["test"] = (splits["test"][0], np.random.default_rng(0).permutation(splits["test"][1]))
    item = measure(known_evidence(data=splits), "better_than_chance")
    assert item.status == "failed"
    assert item.measured["accuracy_low"] < item.limit["accuracy_of_simplest_predictor"]


def regression_evidence(noise: float, mend=lambda predictions: predictions):
    """Returns the evidence of a linear regressor whose targets have this much noise."""
    random = np.random.default_rng(4)
    kernel = random.normal(size=(5, 1)).astype(np.float32)

    def pair(rows):
        inputs = random.normal(size=(rows, 5)).astype(np.float32)
        return inputs, (10 + (inputs @ kernel)[:, 0] + random.normal(0, noise, rows)).astype(np.float32)

    network = (lambda key, x: {"kernel": jnp.zeros((5, 1))}, lambda params, x: mend(10 + x @ params["kernel"]))
    splits = {"train": pair(300), "calibration": pair(3000), "test": pair(3000)}
    return known_evidence(network=network, objective=vx.regression(), variables={"kernel": kernel}, data=splits)


def test_a_regressor_is_held_against_the_mean_of_the_training_targets():
    item = measure(regression_evidence(noise=0.5), "better_than_chance")
    assert item.status == "passed"
    assert item.measured["rmse"] == pytest.approx(0.5, rel=0.1)
    assert item.measured["rmse_high"] < item.limit["rmse_of_simplest_predictor"]


def test_a_regressor_that_shuffles_its_answers_is_no_better_than_the_mean():
    item = measure(regression_evidence(0.5, mend=lambda predictions: predictions[::-1]), "better_than_chance")
    assert item.status == "failed"


def test_true_probabilities_are_calibrated_with_and_without_a_calibration_split():
    with_split = measure(known_evidence(), "calibrated")
    assert with_split.status == "passed" and set(with_split.measured) == {"before", "after", "temperature"}
    assert with_split.measured["temperature"] == pytest.approx(1, abs=0.2)
    without = measure(known_evidence(data=known_splits(calibration=0)), "calibrated")
    assert without.status == "passed" and set(without.measured) == {"before"}
    assert "before recalibration (there is no calibration split)" in without.reason


def test_exaggerated_logits_fail_and_a_calibration_split_mends_them():
    loud = known_evidence(network=cases.small(scale=20.0), data=known_splits(calibration=0))
    item = measure(loud, "calibrated")
    assert item.status == "failed"
    assert item.measured["before"]["high"] > item.limit["calibration_error_high"] == 0.05
    mended = measure(known_evidence(network=cases.small(scale=20.0)), "calibrated")
    assert mended.status == "passed"
    assert mended.measured["temperature"] == pytest.approx(20, rel=0.2)
    assert mended.measured["before"]["ece"] > 0.1 > mended.measured["after"]["high"]


def test_the_calibration_split_may_not_speak_for_another_distribution():
    splits = known_splits()
    splits["calibration"] = (splits["calibration"][0], (splits["calibration"][1] + 1) % 3)
    assert measure(known_evidence(data=splits), "calibrated").status == "failed"


def test_a_regressor_is_calibrated_by_its_coverage():
    item = measure(regression_evidence(noise=0.5), "calibrated")
    assert item.status == "passed"
    after = item.measured["after"]
    assert {level: after[f"coverage_{level}"] for level in (50, 80, 90, 95)} == pytest.approx(
        {50: 0.5, 80: 0.8, 90: 0.9, 95: 0.95}, abs=0.05
    )


def test_a_regressor_whose_errors_grow_on_the_test_split_is_not_calibrated():
    evidence = regression_evidence(noise=0.5)
    inputs, targets = evidence.data["test"]
    evidence.data["test"] = (inputs, targets + np.random.default_rng(0).normal(0, 1.5, 3000).astype(np.float32))
    assert measure(evidence, "calibrated").status == "failed"


def test_a_regressor_without_a_calibration_split_cannot_be_judged():
    evidence = regression_evidence(noise=0.5)
    del evidence.data["calibration"]
    item = measure(evidence, "calibrated")
    assert item.status == "not_run" and "give the data one" in item.reason


def test_a_limit_may_be_stricter():
    assert measure(known_evidence(), "calibrated", calibration_error=0.001).status == "failed"


# held_out


def by_heart(copies: int, *, noise: float = 0.0, of_labels: bool = True, test: int = 400):
    """Returns the evidence of a network that knows 400 rows by heart; some of them come again in its test split."""
    inputs, labels = known_labels(400, seed=0)
    others, true = known_labels(test - copies, seed=1)
    moved = inputs[:copies] + noise * np.random.default_rng(2).normal(size=(copies, 5)).astype(np.float32)
    data = {
        "train": (inputs, labels),
        "test": (np.concatenate([others, moved]), np.concatenate([true, labels[:copies]])),
    }
    if not of_labels:
        return known_evidence(data=data)
    network = cases.ByHeart(inputs, labels)
    return known_evidence(network=network.functions, variables=network.variables, data=data)


def test_disjoint_splits_pass_even_for_a_network_that_learned_by_heart():
    item = measure(by_heart(0), "held_out")
    assert item.status == "passed" and item.findings == ()
    assert (item.measured["exact_duplicates"], item.measured["exact_share_within_seen"]) == (0, 0.0)
    assert item.measured["p_value_of_excess"] > 0.1
    assert "no more than the data hold by nature" in item.reason


def test_copies_that_carry_the_score_fail():
    item = measure(by_heart(150), "held_out")
    assert item.status == "failed"
    assert (
        item.measured["exact_duplicates"] == 150
        and item.measured["p_value_of_excess"] < item.limit["p_value_of_excess"]
    )
    assert item.measured["accuracy_without_duplicates"] < item.measured["accuracy_low"]
    (finding,) = item.findings
    assert (finding.id, finding.severity, str(finding.where)) == ("train-test-overlap", "error", "test row 250")


def test_near_copies_that_carry_the_score_fail():
    item = measure(by_heart(150, noise=1e-4), "held_out")
    assert item.status == "failed"
    assert item.measured["exact_duplicates"] == 0 and item.measured["near_duplicates"] >= 150
    assert [each.id for each in item.findings] == ["near-duplicate-leak"]


def test_copies_that_change_nothing_pass_with_a_warning():
    item = measure(by_heart(60, of_labels=False), "held_out")
    assert item.status == "passed"
    assert [each.severity for each in item.findings] == ["warning"]
    assert "but the score does not hang on them" in item.reason
    assert (
        item.measured["accuracy_low"] <= item.measured["accuracy_without_duplicates"] <= item.measured["accuracy_high"]
    )


def test_a_test_split_of_copies_alone_fails():
    item = measure(by_heart(400), "held_out")
    assert item.status == "failed" and "hardly a row is left" in item.reason


@pytest.mark.parametrize("copied", ["validation", "calibration"])
def test_copies_of_other_splits_count_too(copied):
    evidence = by_heart(0)
    evidence.data[copied] = tuple(part[:200] for part in evidence.data["test"])
    assert measure(evidence, "held_out").measured["exact_duplicates"] == 200


def test_a_table_with_duplicates_by_nature_passes():
    random = np.random.default_rng(0)
    inputs = np.stack([random.integers(0, size, 1500) for size in (2, 3, 4, 5, 7)], axis=1).astype(np.float32)
    labels = (inputs.sum(axis=1) + random.normal(0, 2, 1500) > 8).astype(np.int32)
    network = cases.ByHeart(inputs[:1000], labels[:1000], classes=2)
    splits = {"train": (inputs[:1000], labels[:1000]), "test": (inputs[1000:], labels[1000:])}
    evidence = known_evidence(network=network.functions, variables=network.variables, data=splits)
    item = measure(evidence, "held_out")
    assert item.status == "passed" and item.findings == ()
    assert item.measured["exact_duplicates"] > 200 and item.measured["exact_share_within_seen"] > 0.5


def test_a_custom_objective_is_judged_by_its_loss():
    evidence = by_heart(150)
    objective = vx.objective_from_loss(vx.classification().losses)
    item = measure(vx.Evidence(evidence.network, objective, evidence.variables, evidence.data), "held_out")
    assert item.status == "failed"
    assert item.measured["loss_without_duplicates"] > item.measured["loss_high"]
    whole_batch = vx.objective_from_loss(lambda outputs, batch: (outputs**2).mean(), per_example=False)
    item = measure(vx.Evidence(evidence.network, whole_batch, evidence.variables, evidence.data), "held_out")
    assert item.status == "failed" and "a loss of the whole batch cannot be taken without them" in item.reason


# tuned


def study_of(*rates: float, objective: str = "validation/loss", best: int = 0, **more) -> SimpleNamespace:
    trials = tuple(
        vx.tune.Trial({"learning_rate": rate, "seed": at}, 0.3, 1.0, "done", at) for at, rate in enumerate(rates)
    )
    return SimpleNamespace(trials=trials, objective=objective, best=trials[best], **more)


def winner_of(*values: float, ties=(0,)) -> vx.tune.Winner:
    value = lane_estimate(values)
    luck = Estimate(value.mean.value - 0.3, value.mean.low - 0.3, value.mean.high - 0.3)
    return vx.tune.Winner((7, 8, 9)[: len(values)], values, value, luck, {"accuracy": value}, ties)


def tuned(study, **hyperparameters):
    return measure(known_evidence(study=study, hyperparameters=hyperparameters), "tuned")


def test_the_winner_of_two_trials_by_validation_is_tuned():
    item = tuned(study_of(0.1, 0.01), learning_rate=0.1, hidden=64, seed=5)
    assert (item.status, item.measured["trials"], item.measured["chosen"]) == ("passed", 2, {"learning_rate": 0.1})
    assert item.measured["objective"] == "validation/loss"
    assert item.reason == "learning_rate=0.1 won among 2 trials by validation/loss"


def test_what_the_winner_is_worth_with_fresh_seeds_is_measured():
    winner = winner_of(0.30, 0.32, 0.34, ties=(2, 0))
    study = study_of(0.1, 0.01, 0.2, winner=winner, facts={"search": "tpe"})
    item = tuned(study, learning_rate=0.1)
    assert item.status == "passed" and item.measured["search"] == "tpe"
    assert item.measured["winner_value"] == winner.value.mean._asdict()
    assert item.measured["luck"] == winner.luck._asdict() and item.measured["fresh_seeds"] == 3
    assert item.measured["ties"] == ["learning_rate=0.2, seed=2"]
    assert f"; {winner.value.mean} with 3 fresh seeds, luck {winner.luck}" in item.reason
    alone = tuned(study_of(0.1, 0.01, winner=winner_of(0.32)), learning_rate=0.1)
    assert alone.reason.endswith("by validation/loss; 0.3200 with a fresh seed")


@pytest.mark.parametrize(
    ("study", "reason"),
    [
        (study_of(0.1), "a study of 1 trials of one setting chose nothing"),
        (study_of(0.1, 0.1), "a study of 2 trials of one setting chose nothing"),
        (study_of(0.1, 0.01, objective="test/accuracy"), "the study chose by test/accuracy, not by validation"),
        (study_of(0.1, 0.01, best=1), "the study chose learning_rate=0.01, but this run has learning_rate=0.1"),
    ],
    ids=["one trial", "one setting twice", "by test", "another setting"],
)
def test_what_did_not_choose_this_setting_by_validation_fails(study, reason):
    item = tuned(study, learning_rate=0.1)
    assert item.status == "failed" and reason in item.reason


def test_a_study_of_an_unknown_setting_is_not_run():
    item = tuned(study_of(0.1, 0.01))
    assert item.status == "not_run" and "pass hyperparameters= in the Evidence" in item.reason


def test_settings_that_went_through_json_are_the_same():
    trials = tuple(vx.tune.Trial({"sizes": sizes}, 0.3, 1.0, "done") for sizes in ([64, 32], [8]))
    study = SimpleNamespace(trials=trials, objective="validation/accuracy", best=trials[0])
    assert tuned(study, sizes=(64, 32)).status == "passed"
