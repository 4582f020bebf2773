"""`verax explain`: pages of the catalogue, without JAX."""

import json
import subprocess
import sys

import pytest

from verax.cli import main
from verax.doctor.catalogue import GROUPS, page, pages


def test_a_page_is_shown(capsys):
    assert main(["explain", "double-softmax"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("double-softmax  Activation, cause\nSoftmax applied in the model and again in the loss.\n")
    assert "    - return nn.softmax(nn.Dense(10)(x))\n    + return nn.Dense(10)(x)\n" in said
    assert "False alarms\n  Probabilities with a loss of their logarithm are right" in said


@pytest.mark.parametrize("one", ["class-imbalance", "loss-divergence", "gradient-undecided", "wrong-digest"])
def test_pages_of_every_kind_are_shown(one, capsys):
    assert main(["explain", one]) == 0
    assert page(one).symptom.split()[0] in capsys.readouterr().out


def test_without_an_id_all_are_listed_by_group(capsys):
    assert main(["explain"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n{group}" in f"\n{said}" for group in GROUPS)
    assert all(f"\n{each.id} " in said for each in pages())
    assert said.endswith(f"{len(pages())} diagnoses. verax explain ID shows the page of one.\n")


def test_json_holds_every_field(capsys):
    assert main(["explain", "double-softmax", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one["fix"] == "Return logits." and one["part"] == "model" and "vanishing-gradient" in one["explains"]
    assert main(["explain", "--json"]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)] == [each.id for each in pages()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["doble-softmax"], "unknown diagnosis 'doble-softmax'. Did you mean 'double-softmax'?"),
        (["zzz"], f"There are {len(pages())}. `verax explain` lists them all."),
        (["VX999"], "unknown rule 'VX999'."),
        (["double-softmax", "more"], "unexpected 'more'"),
    ],
)
def test_what_is_unknown_is_refused(words, expected, capsys):
    assert main(["explain", *words]) == 2
    assert expected in capsys.readouterr().err


def test_it_does_not_load_jax():
    program = (
        "import sys; from verax.cli import main; main(['explain', 'double-softmax']); "
        "found = {'jax', 'numpy'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
