import subprocess
import sys

import pytest

from verax.findings import Finding, InputError, Leaf, Moment, Span, Split, raise_errors


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Span("model.py", 3, 7), "model.py:3:7"),
        (Span("model.py", 3), "model.py:3:1"),
        (Leaf("params/hidden_0/kernel"), "params/hidden_0/kernel"),
        (Moment(120), "step 120"),
        (Moment(120, 3), "step 120 (epoch 3)"),
        (Split("train"), "train"),
        (Split("train", 7, "age"), "train row 7 column 'age'"),
        (Split("test", 0), "test row 0"),
    ],
)
def test_a_place_reads_as_people_write_it(place, text):
    assert str(place) == text


def test_a_finding_says_where_what_and_what_to_do():
    finding = Finding("exploding-gradient", "error", "norm 3.1e+04.", "Clip it.", Leaf("params/kernel"))
    assert str(finding) == "params/kernel: exploding-gradient: norm 3.1e+04. Clip it."


def test_a_finding_has_the_step_of_its_moment_or_its_own():
    assert Finding("a", "error", "m", where=Moment(7, 2)).step == 7
    assert Finding("a", "error", "m").step is None
    grown = Finding("a", "error", "m.", where=Leaf("p/kernel"), step=12)
    assert str(grown) == "p/kernel, step 12: a: m." and grown.place == "p/kernel, step 12"
    assert Finding("a", "error", "m", step=3).place == "step 3"
    assert Finding("a", "error", "m", where=Moment(7, 2)).place == "step 7 (epoch 2)"


def test_a_finding_without_place_and_advice_is_its_message():
    assert str(Finding("tiny-data", "info", "12 rows.")) == "tiny-data: 12 rows."


def test_an_input_error_lists_every_problem_on_its_own_line():
    problems = (Finding("a", "error", "first."), Finding("b", "error", "second."))
    error = InputError(problems)
    assert str(error) == "a: first.\nb: second."
    assert error.findings == problems


def test_an_input_error_of_a_text_has_no_findings():
    assert (str(InputError("wrong.")), InputError("wrong.").findings) == ("wrong.", ())


def test_an_input_error_is_a_value_error():
    with pytest.raises(ValueError, match="wrong"):
        raise InputError("wrong.")


def test_raise_errors_lets_warnings_through_and_hands_all_back():
    findings = [Finding("a", "warning", "w."), Finding("b", "info", "i.")]
    assert raise_errors(iter(findings)) == tuple(findings)


def test_raise_errors_names_the_errors_alone():
    with pytest.raises(InputError) as caught:
        raise_errors([Finding("a", "warning", "w."), Finding("b", "error", "e."), Finding("c", "error", "f.")])
    assert str(caught.value) == "b: e.\nc: f."


def test_findings_do_not_import_jax():
    code = "import sys, verax.findings; sys.exit('jax' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
