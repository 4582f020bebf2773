"""`verax evaluate`, `export`, `predict`, `certify` and `show` on a finished run and its model."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import verax as vx
from tests.cli.conftest import BLOBS
from verax.cli import main


@pytest.fixture
def own_run(run_folder, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    return folder


def test_evaluate_scores_the_test_split_and_keeps_its_ledger(own_run, capsys):
    assert main(["evaluate", str(own_run), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    run = vx.train.load_run(own_run)
    test = run.dataset.examples("test")
    with np.load(own_run / "predictions.npz") as held:
        assert held["predictions"].shape == (test.size, 3)
        np.testing.assert_array_equal(held["targets"], test.targets)
        right = (held["predictions"].argmax(1) == held["targets"]).mean()
    assert scores["metrics"]["accuracy"]["value"] == pytest.approx(right)
    assert main(["evaluate", str(own_run)]) == 0
    said = capsys.readouterr().out
    assert "opened 2 times" in said
    assert "confusion matrix" in said
    assert "precision" in said


def test_evaluate_of_validation_leaves_the_test_split_closed(own_run, capsys):
    assert main(["evaluate", str(own_run), "--split", "validation", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 24
    assert not (own_run / "test_ledger.jsonl").exists()
    assert not (own_run / "predictions.npz").exists()


def test_a_model_scores_rows_as_its_run_does(own_run, model, tmp_path, capsys):
    test = vx.train.load_run(own_run).dataset.raw("test")
    np.savez(tmp_path / "rows.npz", inputs=test.inputs, targets=test.targets)
    assert main(["evaluate", str(model), str(tmp_path / "rows.npz"), "--json"]) == 0
    of_model = json.loads(capsys.readouterr().out)
    assert main(["evaluate", str(own_run), "--json"]) == 0
    of_run = json.loads(capsys.readouterr().out)
    assert of_model["confusion"] == of_run["confusion"]


def test_predict_gives_names_and_probabilities(own_run, model, tmp_path, capsys):
    rows = tmp_path / "rows.npy"
    np.save(rows, np.array([[4.0, 0.0], [0.0, 4.0]], np.float32))
    assert main(["predict", str(model), str(rows), "--json"]) == 0
    predictions = json.loads(capsys.readouterr().out)
    assert [each["prediction"] for each in predictions] == ["green", "blue"]
    assert sum(predictions[0]["probabilities"].values()) == pytest.approx(1.0, abs=1e-6)

    out = tmp_path / "predictions.csv"
    assert main(["predict", str(model), str(rows), "--out", str(out)]) == 0
    with out.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["prediction"] for row in table] == ["green", "blue"]
    assert float(table[0]["probability of green"]) == predictions[0]["probabilities"]["green"]

    capsys.readouterr()
    assert main(["export", str(own_run)]) == 0
    assert main(["predict", str(own_run), str(rows)]) == 0
    assert "green" in capsys.readouterr().out


def test_predict_needs_no_network_library_and_none_of_the_users_code(model, tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((2, 2), np.float32))
    program = (
        "import sys; from verax.cli import main\n"
        f"assert main(['predict', {str(model)!r}, {str(tmp_path / 'rows.npy')!r}]) == 0\n"
        "found = {'flax', 'haiku', 'optax', 'orbax', 'verax_experiment'} & set(sys.modules)\n"
        "sys.exit(f'imported {found}' if found else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_show_describes_a_model(model, capsys):
    assert main(["show", str(model)]) == 0
    said = capsys.readouterr().out
    assert "Net, classification" in said
    assert "red, green, blue" in said


def test_certify_prints_ten_items_and_writes_the_report(own_run, tmp_path, capsys):
    study = {"hyperparameters": {"hidden": 8}, "value": 0.1, "seconds": 1.0, "stop_reason": ""}
    other = {**study, "hyperparameters": {"hidden": 4}, "value": None}
    content = {"metric": "validation/loss", "best": study, "trials": [study, other]}
    (own_run / "study.json").write_text(json.dumps(content))
    words = ["--waive", "calibrated=48 test rows are too few", "--figures", str(tmp_path / "figures")]
    code = main(["certify", str(own_run), *words])
    said = capsys.readouterr()
    certificate = json.loads((own_run / "certificate.json").read_text())
    assert code == (certificate["verdict"] != "passed")
    statuses = {item["id"]: item["status"] for item in certificate["items"]}
    assert statuses["tuned"] == "passed", said.out  # the study beside the run was found, though of an older Verax
    assert certificate["fingerprints"]["code"]
    lines = said.out.splitlines()
    for name in statuses:
        assert any(name in line.split()[:3] for line in lines), name
    assert certificate["headline"] in said.out
    assert "opened once" in said.out
    page = (own_run / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".png"}

    assert main(["show", str(own_run / "certificate.json")]) == 0
    assert certificate["headline"] in capsys.readouterr().out
    assert main(["show", str(own_run)]) == 0
    said = capsys.readouterr().out
    assert certificate["headline"] in said and "start (step 0)" in said
    assert certificate["units"]["moments"][0] == {"name": "start", "step": 0}
    assert "Dead units by layer" in page
    del certificate["units"]  # as earlier releases wrote it
    (own_run / "certificate.json").write_text(json.dumps(certificate))
    assert main(["show", str(own_run)]) == 0
    assert "dead units: not measured" in capsys.readouterr().out
    assert main(["certify", str(own_run), "--limit", "latency_p99_seconds=1e-9", "--json"]) == 1
    again = json.loads(capsys.readouterr().out)
    assert {item["id"]: item["status"] for item in again["items"]}["inference_time"] == "failed"
    assert again["environment"]["test_openings"] == 2


@pytest.fixture(scope="module")
def averaged_run(tmp_path_factory):
    """A run of three steps that averages its weights slowly, so that the average is far from the last weights."""
    folder = tmp_path_factory.mktemp("averaged")
    text = BLOBS.replace("        epochs=epochs,\n", "        epochs=epochs,\n        ema=0.9,\n")
    (folder / "blobs.py").write_text(text)
    assert main(["train", str(folder / "blobs.py"), "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_average_and_last_weights_are_both_scored_and_exported(averaged_run, tmp_path, capsys):
    run = vx.train.load_run(averaged_run)
    inputs = run.dataset.raw("test").inputs
    said = {}
    for weights in ("raw", "ema"):
        capsys.readouterr()
        split = ["--split", "validation", "--json"]
        assert main(["evaluate", str(averaged_run), *split, "--weights", weights]) == 0
        said[weights] = json.loads(capsys.readouterr().out)["metrics"]["loss"]["value"]
        kind = "validation" if weights == "raw" else "ema_validation"
        assert said[weights] == pytest.approx(run.history.last(f"{kind}/loss"), rel=1e-4)
        target = tmp_path / f"{weights}.vx"
        assert main(["export", str(averaged_run), "--out", str(target), "--weights", weights]) == 0
        logits = run.network.apply(run.weights(weights), inputs)[0]
        expected = np.asarray(run.experiment.objective.predictions(logits)).argmax(axis=-1)
        capsys.readouterr()
        assert (np.asarray(vx.export.load(target).predict(inputs)["probabilities"]).argmax(axis=-1) == expected).all()
    assert said["raw"] != said["ema"]
    assert main(["evaluate", str(averaged_run), *split]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["loss"]["value"] == said["ema"]  # the average by default


def test_weights_that_were_not_kept_are_refused(own_run, model, tmp_path, capsys):
    assert main(["evaluate", str(own_run), "--weights", "ema"]) == 2
    assert "kept no average" in capsys.readouterr().err
    (tmp_path / "rows.csv").write_text("0,1\n1,2\n")
    assert main(["evaluate", str(model), str(tmp_path / "rows.csv"), "--weights", "ema"]) == 2
    assert "--weights is for a run" in capsys.readouterr().err
