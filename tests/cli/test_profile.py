"""`verax profile`, on the experiment that trains within a second."""

import json

import pytest

from verax.cli import main


@pytest.fixture(scope="module", autouse=True)
def short():
    """Short measurements: what they say is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("verax.debug._profile_time.ROUND_SECONDS", 0.02)
        patch.setattr("verax.debug._profile_cost.MEASURED_SECONDS", 0.1)
        yield


@pytest.fixture(scope="module")
def profiled(blobs, tmp_path_factory):
    """What the command says, as JSON, and the folder of its trace."""
    out = tmp_path_factory.mktemp("profile") / "trace"
    words = ["--hidden", "64", "--batch-sizes", "64", "--trace-steps", "4", "--out", str(out), "--json"]
    with pytest.MonkeyPatch.context() as patch:
        said = []
        patch.setattr("verax.cli._profile.say_json", said.append)
        code = main(["profile", str(blobs), *words])
    return code, said[0], out


@pytest.mark.slow
def test_a_profile_of_an_experiment_names_its_layers_and_lines(profiled, blobs):
    code, found, out = profiled
    json.dumps(found, allow_nan=False)
    assert code == 0  # the data lie on the device: waiting for the host is a remark
    layers = {(row["layer"], row["backward"]) for row in found["operations"]}
    assert {("Net/Dense_0", False), ("Net/Dense_1", False), ("Net/Dense_1", True)} <= layers
    products = [row for row in found["operations"] if row["operation"] == "dot_general"]
    assert {row["source"].rpartition(":")[0] for row in products} == {str(blobs)}
    assert {row["calls"] for row in products} <= {1.0, 2.0}  # a step
    assert "training steps" in [row["name"] for row in found["programs"]]
    assert found["compile_seconds"] > 0
    assert found["input_wait"]["low"] <= found["input_wait"]["high"] < 1
    forward_and_gradient = 2 * 32 * 64 * (2 + 3) + 2 * 32 * 64 * (2 + 3 + 3)
    assert found["flops"] > forward_and_gradient  # and the optimizer's
    assert [row["size"] for row in found["batch_sizes"]] == [32, 64]
    assert found["batch_size"] == 32
    assert list(out.rglob("*.xplane.pb")) and found["trace"].endswith(".trace.json.gz")


@pytest.mark.slow
def test_nothing_is_written_unless_asked_for(blobs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = main(["profile", str(blobs), "--batch-sizes", "500"])
    said = capsys.readouterr().out
    assert code == 0
    assert list(tmp_path.iterdir()) == []
    assert "Operations, by their own time" in said
    assert "the training split has 144 examples" in said  # so 500 cannot be tried


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--trace-steps", "0"], "trace_steps must be at least 1, got 0."),
        (["--batch-sizes", "0"], "batch_sizes must be whole numbers of at least 1"),
        (["--hiden", "3"], "Did you mean --hidden?"),
        (["--fault", "labels"], "label"),
    ],
)
def test_wrong_words_are_refused(words, expected, blobs, capsys):
    assert main(["profile", str(blobs), *words]) == 2
    assert expected in capsys.readouterr().err
