"""The arithmetic of the lint benchmark, on a source that is judged by hand."""

from tests.lint.marked import Score, judged, marks, spans

SOURCE = """\
import jax


@jax.jit
def step(x):  # expect: VX201
    y = f(
        x,  # expect: VX101, VX102
    )
    return y  # allow: VX103
"""


def test_a_report_anywhere_in_the_statement_of_a_mark_is_right():
    result = judged(SOURCE, [(6, "VX101"), (4, "VX201"), (9, "VX103"), (1, "VX101")])
    assert result.found == ((5, "VX201"), (7, "VX101"))
    assert result.missed == ((7, "VX102"),)
    assert result.right == ((6, "VX101"), (4, "VX201"), (9, "VX103"))
    assert result.wrong == ((1, "VX101"),)


def test_a_header_is_not_its_body():
    import ast

    places = spans(ast.parse(SOURCE))
    assert places[4] == places[5] == (4, 5) and places[7] == (6, 8) and places[9] == (9, 9)
    assert marks(SOURCE, "allow") == [(9, "VX103")]


def test_a_file_passes_by_its_own_rule_and_other_reports_are_noise():
    score = Score()
    score.add("one", "VX201", judged(SOURCE, [(4, "VX201"), (6, "VX101"), (6, "VX102"), (1, "VX601")]))
    score.add("two", "VX101", judged(SOURCE, [(4, "VX201"), (6, "VX102"), (2, "VX101")]))
    assert score.files == {"one": True, "two": False}
    assert score.cross == {"VX601": 1}
    total = score.total
    assert (total.expected, total.found, total.right, total.wrong) == (6, 5, 5, 2)
    assert total.recall == 5 / 6 and total.precision == 5 / 7
