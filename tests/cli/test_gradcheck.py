"""`verax gradcheck`, on the experiment that trains within a second, and on one with a wrong rule."""

import json

import pytest

from verax.cli import main

WRONG = """
import jax


@jax.custom_vjp
def activation(x):
    return jax.numpy.tanh(x)


activation.defvjp(lambda x: (activation(x), x), lambda x, g: (1.0001 * g * (1 - jax.numpy.tanh(x) ** 2),))
"""


@pytest.fixture(scope="module")
def wrong(blobs, tmp_path_factory):
    """The same experiment, whose activation brings a derivative that is off by a ten-thousandth."""
    path = tmp_path_factory.mktemp("wrong") / "wrong.py"
    source = blobs.read_text().replace("nn.relu(", "activation(")
    head, _, rest = source.partition("class Net(")
    path.write_text(head + WRONG + "\n\nclass Net(" + rest)
    return path


def test_the_gradients_of_an_experiment_are_checked_leaf_by_leaf(blobs, capsys):
    assert main(["gradcheck", str(blobs), "--hidden", "5"]) == 0
    said = capsys.readouterr().out
    assert all(leaf in said for leaf in ("Dense_0/kernel", "Dense_0/bias", "Dense_1/kernel", "Dense_1/bias"))
    assert "passed: 33 coordinates in float64" in said


def test_a_wrong_rule_is_named_and_the_exit_code_is_1(wrong, capsys):
    assert main(["gradcheck", str(wrong), "--json", "--rows", "8"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["passed"] and found["precision"] == "float64" and found["coordinates"] == 2 * 8 + 8 + 8 * 3 + 3
    assert {leaf["path"]: leaf["status"] for leaf in found["leaves"]} == {
        "Dense_0/bias": "passed", "Dense_0/kernel": "passed", "Dense_1/bias": "failed", "Dense_1/kernel": "failed"
    }  # fmt: skip
    # Flax counts layers as they are made: the outer one, written first, is Dense_0.
    (rule,) = found["rules"]
    assert (rule["name"], rule["status"]) == ("activation", "failed") and str(wrong) in rule["definition"]
    assert {each["id"] for each in found["findings"]} == {"wrong-custom-gradient"}
    assert all("activation" in each["message"] for each in found["findings"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--rows", "0"], "rows must be at least 1, got 0."),
        (["--hiden", "3"], "Did you mean --hidden?"),
        (["--fault", "labels"], "label"),
    ],
)
def test_wrong_words_are_refused(words, expected, blobs, capsys):
    assert main(["gradcheck", str(blobs), *words]) == 2
    assert expected in capsys.readouterr().err
