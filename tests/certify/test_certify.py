"""Healthy networks of every kind pass all ten items, from a run and from evidence; what is written; what is refused."""

import functools
import json
import time
from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

import verax as vx
from tests.certify import cases
from tests.report.test_formats import SCHEMA, problems
from verax.certify import ITEMS, certify, evidence_from_run, outcomes
from verax.evaluate import Calibration
from verax.export import load

RATES = {"learning_rate": [1e-4, 3e-3]}


@pytest.fixture(scope="module")
def digits() -> vx.tune.Study:
    return vx.tune(cases.digits_experiment, RATES, retrain=1)


@pytest.fixture(scope="module")
def certified(digits, tmp_path_factory) -> SimpleNamespace:
    """The certificate of the digits network, and the folder it was written to."""
    folder = tmp_path_factory.mktemp("certified") / "run"
    begun = time.process_time()
    certificate = certify(digits.best_run, study=digits, out=folder)
    return SimpleNamespace(certificate=certificate, folder=folder, seconds=time.process_time() - begun)


def assert_passed(certificate: vx.Certificate) -> None:
    assert {item.id: (item.status, item.reason) for item in certificate.items if item.status != "passed"} == {}
    assert certificate.verdict == "passed"
    assert certificate.headline() == "passed: 10 of 10 items passed"
    assert all(item.measured and item.limit and item.reason and item.rerun for item in certificate.items)


def test_a_linen_network_passes_all_ten_items(certified):
    assert_passed(certified.certificate)
    assert certified.certificate.test["accuracy"].low > 0.9
    assert certified.seconds < 15  # of this process; measured 5 to 7


def test_a_haiku_network_with_state_and_noise_passes_all_ten_items():
    with jax.numpy_dtype_promotion("standard"):  # which Haiku's BatchNorm is written for
        study = vx.tune(cases.haiku_experiment, RATES, retrain=1)
        certificate = certify(study.best_run, study=study)
    assert_passed(certificate)
    assert certificate.name == "classifier"
    assert certificate.item("gradients").measured["mode"] == "evaluation"  # Haiku has one flag for noise and statistics


@pytest.mark.slow
def test_a_convolution_with_batch_norm_passes_all_ten_items():
    study = vx.tune(cases.convolution_experiment, RATES, retrain=1)
    certificate = certify(study.best_run, study=study)
    assert_passed(certificate)
    assert certificate.item("gradients").measured["mode"] == "training statistics, no noise"


def test_a_regressor_of_a_table_passes_all_ten_items(tmp_path):
    path = cases.write_houses(tmp_path / "houses.csv")
    space = {"learning_rate": [1e-4, 1e-2]}
    study = vx.tune(functools.partial(cases.houses_experiment, path), space, retrain=1)
    certificate = certify(study.best_run, study=study)
    assert_passed(certificate)
    assert 13 < certificate.test["rmse"].value < 22  # the noise of the target is 15
    assert certificate.item("calibrated").measured["after"]["coverage_90"] == pytest.approx(0.9, abs=0.04)


def test_a_binary_classifier_passes_all_ten_items():
    study = vx.tune(cases.binary_experiment, {"learning_rate": [1e-4, 1e-2]}, retrain=1)
    assert_passed(certify(study.best_run, study=study))


def test_plain_functions_from_a_loop_of_ones_own_lack_only_a_study():
    certificate = certify(cases.known_evidence())
    assert {item.id: item.status for item in certificate.items if item.status != "passed"} == {"tuned": "not_run"}
    assert "pass study=vx.tune(experiment, space)" in certificate.item("tuned").reason
    assert certificate.verdict == "failed"
    assert certificate.headline() == "failed: 9 of 10 items passed, 1 not run (tuned)"


def test_a_network_that_gives_nan_has_a_certificate_that_says_so(tmp_path):
    params = {**cases.TRUE_PARAMS, "bias": np.array([0, np.nan, 0], np.float32)}
    certificate = certify(cases.known_evidence(variables=params), out=tmp_path)
    assert certificate.verdict == "failed"
    assert certificate.item("finite").status == "failed"
    assert certificate.item("finite").measured["nonfinite_leaves"] == ["params/bias"]
    assert (certificate.test, certificate.details) == ({}, None)
    assert list(problems(json.loads((tmp_path / "certificate.json").read_text()), SCHEMA)) == []


def test_a_custom_objective_has_no_chance_level_and_no_calibration():
    objective = vx.objective_from_loss(
        lambda outputs, batch: abs(outputs.max(axis=1) - batch.targets.astype(outputs.dtype))
    )
    certificate = certify(cases.known_evidence(objective=objective))
    for name in ("better_than_chance", "calibrated"):
        item = certificate.item(name)
        assert item.status == "not_run" and "state its task with objective_from_loss(task=...)" in item.reason
    assert {certificate.item(name).status for name in ("gradients", "finite", "held_out", "reload")} == {"passed"}
    assert list(certificate.test) == ["loss"]


def test_a_loss_of_a_whole_batch_is_certified_as_far_as_it_goes():
    objective = vx.objective_from_loss(lambda outputs, batch: (outputs**2).mean(), per_example=False)
    statuses = {item.id: item.status for item in outcomes_of(cases.known_evidence(objective=objective))}
    assert (statuses["better_than_chance"], statuses["calibrated"]) == ("not_run", "not_run")
    assert {statuses[name] for name in ("converges", "gradients", "held_out", "reload", "memory")} == {"passed"}


def outcomes_of(evidence, **settings):
    return list(outcomes(evidence, **settings))


def test_outputs_that_are_a_tree_are_written_without_pickle(tmp_path):
    init, apply = cases.small()
    network = (init, lambda params, x: {"logits": apply(params, x), "norm": (x**2).sum(axis=1)})
    objective = vx.objective_from_loss(lambda outputs, batch: outputs["norm"] * outputs["logits"][:, 0] ** 2)
    certificate = certify(cases.known_evidence(network=network, objective=objective), out=tmp_path)
    assert certificate.item("reload").status == "passed"
    with np.load(tmp_path / "predictions.npz", allow_pickle=False) as file:
        assert {name: file[name].shape for name in file} == {
            "predictions/logits": (4000, 3), "predictions/norm": (4000,), "targets": (4000,)
        }  # fmt: skip


def test_inputs_that_are_a_tree_are_certified():
    data = {name: ({"left": x[:, :2], "right": x[:, 2:]}, y) for name, (x, y) in cases.known_splits().items()}
    init, apply = cases.small()

    def join(x):
        return jax.numpy.concatenate([x["left"], x["right"]], axis=1)

    network = (lambda key, x: init(key, join(x)), lambda params, x: apply(params, join(x)))
    statuses = {item.id: item.status for item in outcomes_of(cases.known_evidence(network=network, data=data))}
    assert {name for name, status in statuses.items() if status != "passed"} == {"tuned"}


def test_the_folder_holds_certificate_predictions_model_and_ledger(certified):
    certificate, folder = certified.certificate, certified.folder
    names = {path.name for path in folder.iterdir()}
    assert names == {"certificate.json", "predictions.npz", "model.vx", "test_ledger.jsonl"}
    content = json.loads((folder / "certificate.json").read_text())
    assert list(problems(content, SCHEMA)) == []
    assert content == json.loads(json.dumps(certificate.to_json()))
    assert set(content["fingerprints"]) == {"weights", "data"}
    assert content["environment"]["test_openings"] == 2  # by the study, for its winner, and by certify
    with np.load(folder / "predictions.npz", allow_pickle=False) as file:
        assert file["predictions"].shape == (540, 10)
        hits = file["predictions"].argmax(axis=1) == file["targets"]
        assert hits.mean() == pytest.approx(certificate.test["accuracy"].value)


def test_the_exported_model_is_the_network_recalibrated(certified, digits):
    exported, details = load(certified.folder / "model.vx"), certified.certificate.details
    assert exported.signature.temperature == pytest.approx(
        certified.certificate.item("calibrated").measured["temperature"], rel=1e-6
    )
    found = exported.predict(details.inputs)
    np.testing.assert_array_equal(found["probabilities"].argmax(axis=1), details.predictions.argmax(axis=1))


def test_details_hold_what_a_report_draws(certified, digits):
    details = certified.certificate.details
    assert details.evaluation.metrics == certified.certificate.test
    assert details.history is digits.best_run.history and details.study is digits
    assert details.inputs.shape == (540, 8, 8) and details.inputs.dtype == np.uint8
    assert isinstance(details.calibration_before, Calibration) and isinstance(details.calibration_after, Calibration)


def test_certifying_again_counts_as_another_opening(certified, digits):
    first = certified.certificate.item("held_out")
    assert first.measured["test_openings"] == 2  # by the study, for its winner, and by certify
    evidence = replace(evidence_from_run(digits.best_run, digits), optimizer=None)
    again = certify(evidence, out=certified.folder)
    assert again.environment["test_openings"] == 3
    assert "the test split was opened 3 times" in again.item("held_out").reason
    lines = (certified.folder / "test_ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["purpose"] for line in lines] == ["tune", "certify", "certify"]


def test_nothing_is_written_unless_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made_here = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for item in outcomes(cases.known_evidence(optimizer=None)):
        if item.id == "reload":
            made_here = [path.name for path in tmp_path.iterdir()]
    assert any(name.startswith("verax-") for name in made_here)  # it was there while it was needed
    assert list(tmp_path.iterdir()) == []


def test_outcomes_come_one_by_one_and_the_certificate_last():
    steps = outcomes(cases.known_evidence(optimizer=None))
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            certificate = end.value
            break
    assert [item.id for item in seen] == list(ITEMS)
    assert certificate.items == tuple(seen)


def test_a_waiver_is_counted_and_the_item_still_measured():
    weak = cases.known_evidence(optimizer=None, study=one_trial(), hyperparameters={"learning_rate": 0.1})
    reasons = {"tuned": "the setting is a published one", "converges": "checked by hand", "finite": "never needed"}
    certificate = certify(weak, waivers=reasons)
    assert certificate.verdict == "passed"
    assert certificate.headline() == "passed: 8 of 10 items passed, 2 waived (converges, tuned)"
    waived = certificate.item("tuned")
    assert waived.status == "waived" and waived.measured["trials"] == 1
    assert waived.reason.startswith("the setting is a published one (failed: a study of 1 trials")
    assert certificate.item("converges").reason == (
        "checked by hand (not run: no optimizer was given: pass optimizer= in the Evidence)"
    )


def one_trial() -> SimpleNamespace:
    trial = vx.tune.Trial({"learning_rate": 0.1}, 0.3, 1.0, "done")
    return SimpleNamespace(trials=(trial,), objective="validation/loss", best=trial)


def test_an_item_that_breaks_is_not_run_and_the_others_count(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("in the middle")

    monkeypatch.setattr("verax.certify._certify.gradients", broken)
    items = {item.id: item for item in outcomes_of(cases.known_evidence(optimizer=None))}
    assert items["gradients"].status == "not_run"
    assert items["gradients"].reason == "it could not be measured: ZeroDivisionError: in the middle"
    assert items["reload"].status == "passed"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"waivers": {"calibratd": "no"}}, "unknown item 'calibratd' in waivers. Did you mean 'calibrated'?"),
        ({"waivers": {"xyz": "no"}}, "unknown item 'xyz' in waivers. There are: converges, gradients, finite"),
        ({"waivers": {"tuned": "  "}}, "the waiver of tuned must give a written reason, got '  '."),
        ({"limits": {"calibration_eror": 1.0}}, "unknown limit 'calibration_eror'. Did you mean 'calibration_error'?"),
        ({"limits": {"calibration_error": 0}}, "limit calibration_error must be a positive number, got 0."),
        ({"study": 3}, "study must be what vx.tune returns, got int without trials, objective, best."),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_measured(settings, message, tmp_path):
    with pytest.raises(vx.InputError) as error:
        certify(cases.known_evidence(), out=tmp_path / "out", **settings)
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


def without(split: str):
    return {name: pair for name, pair in cases.known_splits().items() if name != split}


def labels_up_to(largest: int):
    splits = cases.known_splits()
    splits["test"][1][7] = largest
    return splits


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": without("test")}, "data must have a test split to certify, found train, calibration."),
        (
            {"variables": {"kernel": cases.TRUE_KERNEL}},
            "variables must be the trained weights of functions, found othe",
        ),
        ({"variables": {"kernel": cases.TRUE_KERNEL}}, "params/bias: expected float32[3], missing"),
        (
            {"variables": {**cases.TRUE_PARAMS, "kernel": cases.TRUE_KERNEL[:2]}},
            "params/kernel: expected float32[5,3], found float32[2,3]",
        ),
        ({"data": labels_up_to(12)}, "test row 7: label-out-of-range: labels must lie in [0, 3), found 12"),
        ({"network": "mlp"}, "network must be a Flax Linen module, a Haiku transform, a pair of functions"),
        ({"limits": {"latency_p99": 1.0}}, "unknown limit 'latency_p99'. Did you mean 'latency_p99_seconds'?"),
    ],
)
def test_wrong_evidence_is_refused_before_anything_is_measured(changes, message, tmp_path):
    with pytest.raises(vx.InputError) as error:
        certify(cases.known_evidence(**changes), out=tmp_path / "out")
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


def test_weights_without_their_state_are_refused():
    network = cases.ConvNet()
    data = vx.data.digits()
    variables = vx.as_network(network).init(jax.random.key(0), data.load().examples("train").inputs[:2])
    evidence = vx.Evidence(network, vx.classification(), variables.params, data)
    with pytest.raises(vx.InputError, match=r"ConvNet holds state besides its parameters \(batch_stats\)"):
        certify(evidence)


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(vx.InputError, match=r"out must be a folder that can be written, got .*file"):
        certify(cases.known_evidence(), out=tmp_path / "file")


def test_limits_come_from_default_experiment_and_argument_in_this_order():
    run = vx.train(
        replace(cases.binary_experiment(), epochs=1, limits={"calibration_error": 0.9, "latency_p99_seconds": 5})
    )
    evidence = replace(evidence_from_run(run), optimizer=None)
    items = {item.id: item for item in outcomes_of(evidence, limits={"calibration_error": 0.8})}
    assert items["calibrated"].limit == {"calibration_error_high": 0.8}
    assert items["inference_time"].limit == {"latency_p99_seconds": 5.0}
    assert items["memory"].limit["inference_peak_bytes"] == 2 * 2**30


def test_hyperparameters_that_json_does_not_know_are_written_as_text(tmp_path):
    trials = tuple(vx.tune.Trial({"activation": each}, 0.5, 1.0, "done") for each in (np.tanh, np.cos))
    study = SimpleNamespace(trials=trials, objective="validation/loss", best=trials[0])
    chosen = {"activation": np.tanh, "optimizer": optax.adam}
    certificate = certify(cases.known_evidence(optimizer=None, study=study, hyperparameters=chosen), out=tmp_path)
    assert certificate.item("tuned").status == "passed"
    content = json.loads((tmp_path / "certificate.json").read_text())
    written = next(item for item in content["items"] if item["id"] == "tuned")
    assert "tanh" in written["measured"]["chosen"]["activation"]


def test_dead_units_are_counted_at_the_start_the_best_and_the_last_step(certified, digits):
    units = certified.certificate.units
    assert isinstance(units, vx.debug.DeadUnits) and units.rows == 256
    assert units.moments[0] == "start" and units.moments[-1] == "last"
    assert units.steps[0] == 0 and units.steps[-1] == int(digits.best_run.state.step)
    assert {layer.function for layer in units} == {"relu"} and all(None not in layer.dead for layer in units)
    written = json.loads((certified.folder / "certificate.json").read_text())
    assert vx.debug.DeadUnits.from_json(written["units"]) == units


def test_the_weights_of_the_start_are_those_that_the_run_drew(digits):
    run = digits.best_run
    start = evidence_from_run(run).weights[0]
    assert start.moment == "start"
    jax.tree.map(np.testing.assert_array_equal, start.weights, vx.train.prepare(run.experiment).state.variables)
    given = replace(run, facts={**run.facts, "initial_weights": "given"})
    earlier = replace(run, facts={name: each for name, each in run.facts.items() if name != "initial_weights"})
    assert all(evidence_from_run(each).weights[0].moment != "start" for each in (given, earlier))
