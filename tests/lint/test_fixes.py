"""Fixes applied to files: none overlaps, all parses, everything else is kept, a second time changes nothing."""

import json
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from verax.lint._document import decoded, document
from verax.lint._engine import checker
from verax.lint._fixes import diff, edited, fixed
from verax.lint._outcome import Outcome
from verax.lint._project import Project
from verax.lint._report import Edit, Fix, Report
from verax.lint._settings import Settings

CASES = Path(__file__).parent / "cases"
NAN = "import jax.numpy as jnp\nx == jnp.nan  # é\nif y != jnp.nan: z = 1 == jnp.nan\n"
MENDED = "import jax.numpy as jnp\njnp.isnan(x)  # é\nif ~jnp.isnan(y): z = jnp.isnan(1)\n"


def mended(data, file="a.py", **about):
    settings = Settings(markdown=True)
    check = checker(file, settings, settings.rules(), Project(settings.root))
    return fixed(data, file, check, markdown=True, **about)


def planted(*fixes, when=lambda text: True):
    """Returns a check that reports fixes, for as long as something holds."""

    def check(found):
        wanted = fixes if found.texts and when(found.texts[0]) else ()
        return Outcome(tuple(Report("a.py", 1, 1, 1, 1, "VX999", "planted", "error", "m", fix) for fix in wanted))

    return check


def change(start, end, text, *, safe=True):
    return Fix("Replace", (Edit(start, end, text),), safe)


def test_all_fixes_are_applied_and_a_second_time_changes_nothing():
    once = mended(NAN.encode())
    assert (once.after.decode(), once.count, once.problem, once.outcome.reports) == (MENDED, 3, "", ())
    twice = mended(once.after)
    assert (twice.after, twice.count) == (once.after, 0)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("encoding", "head"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("latin-1", "# -*- coding: latin-1 -*-\n"),
        ("cp1252", "#!/usr/bin/python\n# coding: cp1252\n"),
    ],
)
def test_line_ends_and_the_encoding_are_kept(end, encoding, head):
    def data(text):
        return (head + text).replace("\n", end).encode(encoding)

    assert mended(data(NAN)).after == data(MENDED)


def test_text_that_the_encoding_cannot_hold_leaves_the_file_alone():
    data = b"# coding: latin-1\nx = 1\n"
    found = fixed(data, "a.py", planted(change(18, 23, "x = 'λ'"), when=lambda text: "λ" not in text))
    assert (found.after, found.problem) == (
        data,
        "its fixes are left out: its encoding, iso-8859-1, cannot hold the new text.",
    )


def test_unsafe_fixes_only_on_request():
    check = planted(change(0, 1, "y", safe=False), when=lambda text: text.startswith("x"))
    assert fixed(b"x = 1\n", "a.py", check).after == b"x = 1\n"
    assert fixed(b"x = 1\n", "a.py", check, unsafe=True).after == b"y = 1\n"


def test_what_overlaps_waits_for_the_next_round():
    rounds = []

    def check(found):
        rounds.append(found.texts[0])
        fixes = []
        if "aa" in found.texts[0]:
            at = found.texts[0].index("aa")
            fixes = [change(at, at + 2, "b"), change(at + 1, at + 3, "c")]
        return Outcome(tuple(Report("a.py", 1, 1, 1, 1, "VX999", "p", "error", "m", fix) for fix in fixes))

    assert fixed(b"aaa + aaa\n", "a.py", check).after == b"ba + ba\n"
    assert rounds == ["aaa + aaa\n", "ba + aaa\n", "ba + ba\n"]


def test_the_same_import_for_two_fixes_is_inserted_once():
    line = Edit(0, 0, "import functools\n")
    one, two = (Fix("t", (line, Edit(at, at + 1, "functools")), True) for at in (4, 8))
    check = planted(one, two, when=lambda text: "import" not in text)
    assert fixed(b"x = a + b\n", "a.py", check).after == b"import functools\nx = functools + functools\n"


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (planted(change(0, 1, "(")), "it would no longer be Python after 'Replace'."),
        (planted(change(0, 1, "xx")), "50 rounds did not end them."),
    ],
)
def test_what_goes_wrong_leaves_the_file_alone(check, said):
    found = fixed(b"x = 1\n", "a.py", check)
    assert (found.after, found.count, found.problem) == (b"x = 1\n", 0, f"its fixes are left out: {said}")
    assert len(found.outcome.reports) == 1


def test_fixes_that_undo_one_another_leave_the_file_alone():
    def check(found):
        fix = change(0, 1, "y" if found.texts[0].startswith("x") else "x")
        return Outcome((Report("a.py", 1, 1, 1, 1, "VX999", "p", "error", "m", fix),))

    assert fixed(b"x = 1\n", "a.py", check).problem == "its fixes are left out: they undo one another."


def test_a_fix_that_changes_nothing_is_none():
    assert fixed(b"x = 1\n", "a.py", planted(change(0, 1, "x"))).count == 0


def test_the_diff_shows_what_changes():
    assert diff(mended(NAN.encode()), "a.py").splitlines()[:6] == [
        "--- a/a.py", "+++ b/a.py", "@@ -1,3 +1,3 @@", " import jax.numpy as jnp", "-x == jnp.nan  # é",
        "-if y != jnp.nan: z = 1 == jnp.nan",
    ]  # fmt: skip
    assert diff(mended(MENDED.encode()), "a.py") == ""
    assert diff(mended(NAN.strip().encode()), "a.py").endswith("\\ No newline at end of file\n")


def test_cells_of_a_notebook_are_mended_and_the_rest_is_kept():
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["x == jnp.nan\n"]},
        {"cell_type": "code", "outputs": [{"text": ["ü"]}], "source": ["%load x\n", "import jax.numpy as jnp"]},
        {"cell_type": "code", "metadata": {"a": 1.50}, "source": ["y = !ls\n", "x == jnp.nan\n", "y?"]},
        {"cell_type": "code", "metadata": {}, "source": "z == jnp.nan"},
    ]  # fmt: skip
    for about in ({"indent": 1}, {"indent": 4, "ensure_ascii": False}, {}):
        data = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}, **about).encode() + b"\n"
        found = mended(data, "a.ipynb")
        wanted = data.replace(b"z == jnp.nan", b"jnp.isnan(z)")
        head, _, tail = wanted.rpartition(b"x == jnp.nan")
        assert (found.after, found.count, found.problem) == (head + b"jnp.isnan(x)" + tail, 2, "")


def test_blocks_of_markdown_are_mended_in_their_place():
    page = "# é\n\n- a\n  ```python\n  import jax.numpy as jnp\n\n  x == jnp.nan\n  ```\n\n"
    page += "> ```py\n> import jax.numpy as n\n> y == n.nan\n> ```\n\nx == jnp.nan\n"
    wanted = page.replace("  x == jnp.nan", "  jnp.isnan(x)").replace("y == n.nan", "n.isnan(y)")
    for end in ("\n", "\r\n"):
        assert mended(page.replace("\n", end).encode(), "a.md").after == wanted.replace("\n", end).encode()


@given(st.text(), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5), st.text(max_size=3)), max_size=4))
def test_edits_apart_are_made_as_if_one_by_one(text, wanted):
    edits, place = [], 0
    for gap, length, new in wanted:
        start, end = place + gap, place + gap + length
        if end <= len(text):
            edits.append(Edit(start, end, new))
            place = end + 1
    expected = text
    for edit in reversed(edits):
        expected = expected[: edit.start] + edit.text + expected[edit.end :]
    if "\r" not in text:
        assert edited(text, edits) == expected


@given(st.binary())
def test_any_bytes_are_a_document(data):
    for name in ("a.py", "a.ipynb", "a.md"):
        found = document(data, name, markdown=True)
        assert found.problems or found.rebuilt(found.texts) == data or not found.texts


@given(st.text(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_a_text_is_decoded_as_python_does(text, encoding):
    data = f"# {text}".encode(encoding, "replace")
    try:
        found, known = decoded(data)
    except (UnicodeDecodeError, SyntaxError, LookupError):
        return
    assert found.encode(known) == data


@pytest.mark.parametrize("file", sorted(CASES.glob("*.py")), ids=lambda file: file.stem)
@pytest.mark.parametrize("unsafe", [False, True])
def test_fixes_of_every_rule_end_parse_and_leave_nothing_to_mend(file, unsafe):
    settings = Settings(extend_select=("VX",))
    check = checker(str(file), settings, settings.rules(), Project(settings.root))
    found = fixed(file.read_bytes(), str(file), check, unsafe=unsafe)
    assert (found.problem, found.outcome.broken) == ("", {})
    assert [str(each) for each in found.outcome.reports if each.fix and (each.fix.safe or unsafe)] == []
    assert fixed(found.after, str(file), check, unsafe=unsafe).after == found.after
