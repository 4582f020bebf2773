"""The catalogue: complete, without contradiction, and with code that is Python."""

import ast
import graphlib
import operator
import re
import subprocess
import sys
from pathlib import Path

import pytest

import verax
from verax.doctor.catalogue import GROUPS, PROOFS, Page, page, pages
from verax.findings import InputError

SOURCE = Path(verax.__file__).parent
PARTS = {"data", "batches", "model", "loss", "optimizer", "schedule", None}
EACH = pytest.mark.parametrize("one", pages(), ids=lambda one: one.id)


def ids_in(source: Path) -> set[str]:
    """Returns the ids that findings are made with, where they stand in the call itself."""
    makers = {"Finding": 0, "Cause": 0}
    found = set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers and node.args:
                first = node.args[makers[node.func.id]]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value)
    return found


def test_every_id_of_a_finding_has_its_page():
    used = ids_in(SOURCE)
    assert len(used) > 80
    assert used - {each.id for each in pages()} == set()


def test_an_id_without_a_page_is_found(tmp_path):
    (tmp_path / "a.py").write_text("Finding('my-fault', 'error', 'x')\nFinding(name, 'error', 'y')\nother('not-one')")
    assert ids_in(tmp_path) == {"my-fault"}


def test_ids_are_given_once_and_groups_hold_all():
    ids = [each.id for each in pages()]
    assert len(ids) == len(set(ids)) == sum(map(len, GROUPS.values()))
    assert all(each.group == group for group, some in GROUPS.items() for each in some)


@EACH
def test_a_page_says_everything_in_short_sentences(one):
    assert one.id == one.id.lower() and " " not in one.id
    assert one.part in PARTS and one.proof in PROOFS and one.kind in ("cause", "symptom")
    assert (one.proof == "symptom") == (one.kind == "symptom")
    assert one.meaning and not one.meaning.endswith(".")
    for text in (one.symptom, one.cause, one.evidence, one.fix):
        assert text.endswith(".") and len(text) < 400 and text.isprintable()
    assert one.false_alarm or one.proof == "exact" or one.id in ("majority-class-collapse", "slow-callback",
                                                                   "non-finite-parameter")  # fmt: skip
    assert len(str(one).splitlines()) <= 20


@EACH
def test_the_code_of_a_page_is_python_on_both_sides(one):
    for sign in "-+":
        lines = [line[2:] for line in one.change if line.startswith(sign)]
        code = "\n".join(lines)
        if code.lstrip().startswith("return"):
            code = "def f():\n" + "\n".join(f"    {line}" for line in lines)
        ast.parse(code)
    assert all(line.startswith(("- ", "+ ")) for line in one.change)
    assert len({line[0] for line in one.change}) in (0, 2)  # a wrong side has a right one


def test_names_of_verax_in_the_pages_exist():
    names = {name.rstrip(".") for one in pages() for name in re.findall(r"\bvx((?:\.[a-zA-Z_]+)+)", str(one))}
    assert len(names) > 8
    for name in names:
        operator.attrgetter(name.removeprefix("."))(verax)


@EACH
def test_what_a_page_explains_exists(one):
    known = {each.id for each in pages()}
    assert set(one.explains) <= known - {one.id}
    assert len(set(one.explains)) == len(one.explains)


def test_nothing_explains_itself_in_a_circle():
    order = list(graphlib.TopologicalSorter({one.id: one.explains for one in pages()}).static_order())
    assert len(order) == len(pages())


def test_a_symptom_explains_only_symptoms():
    symptoms = {one.id for one in pages() if one.kind == "symptom"}
    assert all(set(one.explains) <= symptoms for one in pages() if one.kind == "symptom")


def test_every_symptom_has_a_cause():
    explained = {id for one in pages() if one.kind == "cause" for id in one.explains}
    assert {one.id for one in pages() if one.kind == "symptom"} <= explained


def test_a_page_is_shown_as_text():
    said = str(page("double-softmax"))
    assert said.startswith("double-softmax (Activation, cause): softmax applied in the model and again in the loss\n")
    assert "Change: Return logits.\n    - return nn.softmax(nn.Dense(10)(x))\n    + return nn.Dense(10)(x)\n" in said
    assert "Source" not in said and "Source: Guo" in str(page("miscalibration"))


@pytest.mark.parametrize(
    ("id", "hint"), [("doble-softmax", "Did you mean 'double-softmax'?"), ("zzz", f"There are {len(pages())}.")]
)
def test_an_unknown_id_is_an_error_with_a_suggestion(id, hint):
    with pytest.raises(InputError, match=f"unknown diagnosis '{id}'") as error:
        page(id)
    assert hint in str(error.value)


def test_pages_are_frozen():
    with pytest.raises(AttributeError):
        page("double-softmax").fix = ""
    assert isinstance(pages(), tuple) and isinstance(pages()[0], Page)
    with pytest.raises(TypeError):
        GROUPS["Data"] = ()


def test_the_catalogue_needs_no_jax():
    program = (
        "import sys, verax.doctor.catalogue; found = {'jax', 'numpy', 'rich'} & set(sys.modules); assert not found"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
