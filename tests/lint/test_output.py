"""Reports in every format: the structure that readers of the format need, and everything escaped."""

import json
import re
import unicodedata
from dataclasses import replace
from urllib.parse import unquote
from xml.etree import ElementTree

import jsonschema
import pytest

from verax.lint import Edit, Fix, Report, Result, check_text
from verax.lint._output import FORMATS, Sources, printable, statistics, text

NASTY = "a, b: c%\r\n::error::x <&\"'> \x1b[31m\x00 é\ud800"
TEXT = "import jax.numpy as jnp\n\tx = 'é' or (y == jnp.nan)\n".replace("\t", "")
# The parts of the schema of SARIF 2.1.0 that are used here, as the standard has them (sections 3.13 to 3.57).
REGION = {
    "type": "object",
    "properties": {n: {"type": "integer", "minimum": 1} for n in ("startLine", "startColumn", "endLine", "endColumn")},
    "additionalProperties": False,
}
MESSAGE = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
ARTIFACT = {
    "type": "object",
    "required": ["uri"],
    "properties": {"uri": {"type": "string", "pattern": r"^[A-Za-z0-9._~:/%-]+$"}, "uriBaseId": {"type": "string"}},
    "additionalProperties": False,
}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
RULE = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "shortDescription": MESSAGE,
        "fullDescription": MESSAGE,
        "help": {**MESSAGE, "properties": {**MESSAGE["properties"], "markdown": {"type": "string"}}},
        "defaultConfiguration": {"type": "object", "properties": {"level": LEVEL}},
    },
    "additionalProperties": False,
}
REPLACEMENT = {
    "type": "object",
    "required": ["deletedRegion"],
    "properties": {"deletedRegion": REGION, "insertedContent": {"type": "object", "required": ["text"]}},
}
CHANGE = {
    "type": "object",
    "required": ["artifactLocation", "replacements"],
    "properties": {
        "artifactLocation": ARTIFACT,
        "replacements": {"type": "array", "minItems": 1, "items": REPLACEMENT},
    },
}
FIX = {
    "type": "object",
    "required": ["artifactChanges"],
    "properties": {"description": MESSAGE, "artifactChanges": {"type": "array", "minItems": 1, "items": CHANGE}},
}
PHYSICAL = {"type": "object", "properties": {"artifactLocation": ARTIFACT, "region": REGION}}
RESULT = {
    "type": "object",
    "required": ["message"],
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": LEVEL,
        "message": MESSAGE,
        "locations": {"type": "array", "items": {"type": "object", "properties": {"physicalLocation": PHYSICAL}}},
        "fixes": {"type": "array", "items": FIX},
    },
    "additionalProperties": False,
}
DRIVER = {
    "type": "object",
    "required": ["name"],
    "properties": {"rules": {"type": "array", "uniqueItems": True, "items": RULE}},
}
INVOCATION = {"type": "object", "required": ["executionSuccessful"]}
RUN = {
    "type": "object",
    "required": ["tool"],
    "properties": {
        "tool": {"type": "object", "required": ["driver"], "properties": {"driver": DRIVER}},
        "invocations": {"type": "array", "items": INVOCATION},
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "results": {"type": "array", "items": RESULT},
    },
    "additionalProperties": False,
}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": RUN},
        "$schema": {"type": "string"},
    },
    "additionalProperties": False,
}


def report(**about):
    return Report(**{
        "file": "a.py", "line": 2, "column": 12, "end_line": 2, "end_column": 24, "code": "VX604",
        "name": "nan-comparison", "level": "error", "message": "m.", "fix": None, **about,
    })  # fmt: skip


def nasty():
    cell = report(file="n.ipynb", cell=3, level="note", message="x.")
    return Result((report(file="d r/é,:%#?.py", message=NASTY), cell, report(level="warning")), {"a.py: VX1": NASTY}, 3)


def shown(name, result):
    return FORMATS[name](result, Sources(result))


def test_text_is_a_line_for_each_report():
    found = check_text(TEXT, "a.py")
    assert shown("text", found) == "a.py:2:13: VX604 this comparison with NaN is always false. Use isnan."
    lines = shown("text", nasty()).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(r"d r/é,:%#?.py:2:12: VX604 a, b: c%\r\n::error::x <")
    assert "\x1b" not in lines[0] and r"\x1b[31m\x00 é\ud800" in lines[0]
    assert lines[1] == "n.ipynb:cell 3:2:12: VX604 x."


def test_a_terminal_sees_the_line_underlined():
    found = check_text(TEXT, "a.py")
    lines = text(found, Sources(found), rich=True).splitlines()
    assert lines[0].startswith("a.py:2:13: VX604 [*] this")
    assert lines[1:] == ["    x = 'é' or (y == jnp.nan)", "                ^^^^^^^^^^^^"]
    colored = text(found, Sources(found), rich=True, color=True)
    assert re.sub(r"\x1b\[[\d;]+m", "", colored) == "\n".join(lines)


@pytest.mark.parametrize(
    "line",
    [
        "    \tx = (y == jnp.nan)",
        "x = '漢字', y == jnp.nan",
        "x = 'e\u0301', y == jnp.nan",
        "x = [" + "1, " * 900 + "y == jnp.nan]",
    ],
)
def test_the_underline_stands_below_its_text(line):
    source = f"import jax.numpy as jnp\nif 1:\n{line}\n" if line[0] == " " else f"import jax.numpy as jnp\n\n{line}\n"
    found = check_text(source, "a.py")
    _, shown, under = text(found, Sources(found), rich=True).splitlines()
    columns = [each for each in shown for _ in range(_width(each))]
    start, end = under.index("^"), under.rindex("^")
    assert "".join(columns[start : end + 1]) == "y == jnp.nan"
    assert len(shown) <= 204


def _width(character):
    return 0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1


def test_what_moves_the_cursor_is_not_printed():
    assert printable("a\x1b]0;x\x07\r\x9b\u202eb é") == r"a\x1b]0;x\x07\r\x9b\u202eb é"


def test_json_is_a_list_with_places_and_fixes():
    [one] = json.loads(shown("json", check_text(TEXT, "a.py")))
    assert one == {
        "file": "a.py", "line": 2, "column": 13, "end_line": 2, "end_column": 25, "code": "VX604",
        "name": "nan-comparison", "level": "error",
        "message": "this comparison with NaN is always false. Use isnan.",
        "fix": {
            "title": "Replace by jnp.isnan(y)", "safe": True,
            "edits": [{"line": 2, "column": 13, "end_line": 2, "end_column": 25, "text": "jnp.isnan(y)"}],
        },
    }  # fmt: skip
    found = json.loads(shown("json", nasty()).encode())
    assert [each.get("cell") for each in found] == [None, 3, None]
    assert json.loads(shown("json", Result(()))) == []


def test_edits_of_cells_and_blocks_are_in_their_places():
    cells = [{"cell_type": "code", "source": each} for each in ("import jax.numpy as jnp", "\nx == jnp.nan")]
    [one] = json.loads(shown("json", check_text(json.dumps({"cells": cells}), "a.ipynb")))
    place = {"line": 2, "column": 1, "end_line": 2, "end_column": 13}
    assert one["cell"] == 2 and one["fix"]["edits"] == [{"cell": 2, **place, "text": "jnp.isnan(x)"}]


def test_sarif_is_as_its_schema_has_it():
    for result in (check_text(TEXT, "a.py"), nasty(), Result(())):
        jsonschema.validate(json.loads(shown("sarif", result)), SARIF)
    [run] = json.loads(shown("sarif", check_text(TEXT, "a.py")))["runs"]
    [rule], [one] = run["tool"]["driver"]["rules"], run["results"]
    assert rule["id"] == one["ruleId"] == "VX604" and "Good:" in rule["help"]["text"]
    assert one["level"] == rule["defaultConfiguration"]["level"] == "error"
    [change] = one["fixes"][0]["artifactChanges"]
    assert change["replacements"][0]["insertedContent"]["text"] == "jnp.isnan(y)"


def test_sarif_names_places_and_what_broke():
    [run] = json.loads(shown("sarif", nasty()))["runs"]
    uris = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in run["results"]]
    assert [unquote(each) for each in uris] == ["d r/é,:%#?.py", "n.ipynb", "a.py"]
    assert run["results"][1]["message"]["text"] == "in cell 3: x."
    [invocation] = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert "VX1 raised" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_github_gets_commands_of_one_line():
    lines = shown("github", nasty()).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(
        "::error file=d r/é%2C%3A%25#?.py,line=2,col=12,endLine=2,endColumn=24,title=VX604 nan-comparison::"
    )
    assert "c%25%0D%0A::error::x" in lines[0]
    assert lines[1] == "::notice file=n.ipynb,title=VX604 nan-comparison::n.ipynb:cell 3:2:12: VX604 x."
    assert lines[2].startswith("::warning ")


def test_junit_is_xml_with_a_failure_for_each_report():
    root = ElementTree.fromstring(shown("junit", nasty()).encode())
    assert root.get("tests") == root.get("failures") == "3"
    assert [each.get("name") for each in root] == ["d r/é,:%#?.py", "n.ipynb", "a.py"]
    case = root[0][0]
    assert (case.get("name"), case.get("line")) == ("VX604 nan-comparison at 2:12", "2")
    assert case[0].get("message").startswith("a, b: c%") and "\x1b" not in case[0].text
    passed = ElementTree.fromstring(shown("junit", Result((), files=5)))
    assert (passed.get("tests"), passed.get("failures"), len(passed[0][0])) == ("1", "0", 0)


def test_statistics_count_by_rule():
    fix = Fix("t", (Edit(0, 0, "x"),), True)
    reports = [report(), report(fix=fix), replace(report(), code="VX101", name="key-reuse", level="warning")]
    assert statistics(reports) == [
        {"count": 2, "code": "VX604", "name": "nan-comparison", "level": "error", "fixable": 1},
        {"count": 1, "code": "VX101", "name": "key-reuse", "level": "warning", "fixable": 0},
    ]
