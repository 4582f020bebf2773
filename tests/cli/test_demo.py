"""`verax demo`, whole: it needs no input and no network, and ends with a passed certificate."""

import json

import pytest

import verax as vx
from verax.cli import main
from verax.cli._demo_command import _is_demo


@pytest.mark.slow
def test_the_demo_ends_with_a_passed_certificate(tmp_path, run_folder, capsys):
    folder = tmp_path / "demo"
    code = main(["demo", "--out", str(folder)])
    said = capsys.readouterr()
    certificate = json.loads((folder / "certificate.json").read_text())
    assert (code, certificate["verdict"]) == (0, "passed"), said.out
    assert all(item["status"] == "passed" for item in certificate["items"]), said.out
    assert certificate["test"]["accuracy"]["low"] >= 0.95
    assert certificate["test"]["accuracy"]["value"] >= 0.97
    assert (folder / "report.html").stat().st_size < 2_000_000
    assert str(folder / "report.html") in said.out
    assert int(vx.train.load_run(folder).state.step) == 560  # an ordinary run folder
    assert _is_demo(folder)  # so that another `verax demo --out` may replace it
    assert not _is_demo(run_folder)


def test_the_demo_replaces_nothing_but_a_demo(run_folder, capsys):
    before = sorted(path.name for path in run_folder.iterdir())
    assert main(["demo", "--out", str(run_folder)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert sorted(path.name for path in run_folder.iterdir()) == before
