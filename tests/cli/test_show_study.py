"""`verax show` of a folder that holds a study: its report is drawn without the user's code."""

import json

import pytest

from tests.report.studies import a_study
from verax.cli import main


@pytest.mark.parametrize("name", ["", "study.json"])
def test_a_study_is_told_and_its_report_written(tmp_path, capsys, name):
    (tmp_path / "study.json").write_text(json.dumps(a_study(3).to_json()))
    assert main(["show", str(tmp_path / name)]) == 0
    said = capsys.readouterr().out
    assert "study: 3 trials; best learning_rate=" in said and "with 3 fresh seeds: " in said
    assert (tmp_path / "study.html").read_text().startswith("<!DOCTYPE html>")
    assert main(["show", str(tmp_path / name), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["kind"] == "study" and shown["trials"] == 3 and shown["report"] == str(tmp_path / "study.html")


def test_a_file_that_is_no_study_is_refused(tmp_path, capsys):
    (tmp_path / "study.json").write_text("{}")
    assert main(["show", str(tmp_path)]) == 2
    assert "is no study that this version of Verax wrote" in capsys.readouterr().err
    assert not (tmp_path / "study.html").exists()
