"""Comments that silence: which reports, on which lines."""

import pytest

from verax.lint import check_text

HEAD = "import jax\nimport numpy as np\n"


def lines(text):
    return [each.line for each in check_text(text).reports]


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "#noqa",
        "# NOQA",
        "# why  # noqa",
        "# noqa: VX604",
        "# noqa:VX604",
        "# noqa : VX604",
        "# noqa: E501,VX604",
        "# noqa: E501 VX604",
        "# noqa: VX6",
        "# noqa: VX604 because",
        "# type: ignore # noqa: vx604",
        "# verax: ignore",
        "# verax: ignore[VX604]",
        "#verax:ignore[VX101, VX604]",
        "# verax: ignore[nan-comparison]",
        "# verax: ignore[VX6] because",
    ],
)
def test_a_comment_silences(comment):
    assert lines(f"{HEAD}x == np.nan  {comment}\ny == np.nan\n") == [4]


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: E501",
        "# noqa: VX101",
        "# noqa:",
        "# noqable",
        "# no qa",
        "# verax: ignore[VX101]",
        "# verax: ignores",
        "# verax: ignored",
        "# flake8: noqa-not",
    ],
)
def test_other_comments_do_not(comment):
    assert lines(f"{HEAD}x == np.nan  {comment}\n") == [3]


def test_it_counts_on_the_first_and_last_line_of_the_statement():
    body = "f(\n    x == np.nan,\n    1,\n)"
    for place, expected in ((0, []), (1, []), (2, [4]), (3, [])):
        text = body.split("\n")
        text[place] += "  # noqa"
        assert lines(HEAD + "\n".join(text) + "\n") == expected, place


def test_of_a_compound_statement_its_header_counts():
    assert lines(f"{HEAD}if (\n    x == np.nan\n):  # noqa\n    y == np.nan\n") == [6]
    assert lines(f"{HEAD}if x == np.nan:\n    pass  # noqa\n") == [3]
    assert lines(f"{HEAD}@f(x == np.nan)\n@g\ndef f():  # noqa\n    return x == np.nan\n") == [6]
    assert lines(f"{HEAD}match x == np.nan:  # noqa\n    case 1:\n        x == np.nan\n") == [5]


def test_a_whole_file_is_silenced():
    assert lines(f"{HEAD}x == np.nan\n# verax: ignore-file\n") == []
    assert lines(f"# verax: ignore-file[VX6]\n{HEAD}x == np.nan\n") == []
    assert lines(f"# verax: ignore-file[VX1]\n{HEAD}x == np.nan\n") == [4]
    assert lines("# verax: ignore-file\ndef f(:\n") == []


def test_what_looks_like_a_comment_in_a_text_is_none():
    assert lines(f"{HEAD}x == np.nan, '# noqa'\n") == [3]
    assert lines(f"{HEAD}x = '''\n# verax: ignore-file\n'''\nx == np.nan\n") == [6]


def test_line_ends_of_every_kind_count_the_same():
    for end in ("\n", "\r\n", "\r"):
        text = f"{HEAD}x = 'a\f\x0b\u2028b'\ny == np.nan\nx == np.nan  # noqa\n"
        assert lines(text.replace("\n", end)) == [4]
