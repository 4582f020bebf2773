"""Every rule against the files of `cases`, whose lines say what is expected of them."""

from pathlib import Path

import pytest

from tests.lint.marked import expected, judged, said
from verax.lint._check import check
from verax.lint._rule import all_rules

CASES = Path(__file__).parent / "cases"
FILES = sorted(CASES.glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_rule_reports_the_marked_lines_and_no_other(file):
    code = file.stem[:5].upper()
    rules = all_rules()
    on = [each for each in rules.values() if not each.opt_in or each.code == code]
    checked = check(file.read_text(), on, file.name)
    assert not checked.broken
    assert expected(file.read_text(), code), "a file of cases marks what its rule must find"
    result = judged(file.read_text(), said(checked.reports))
    assert not result.missed and not result.wrong
