"""The certificate as Markdown, JUnit XML and JSON."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from verax import report
from verax.certify import ITEMS, Certificate, Outcome
from verax.debug import DeadUnits, LayerUnits
from verax.evaluate import Estimate
from verax.findings import Finding, Leaf

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "certificate.schema.json").read_text())
EVIL = "<script>|`x`|*b*\n# no\x00 [a](b)"


def all_of(**outcome) -> tuple[Outcome, ...]:
    return tuple(Outcome(name, **outcome) for name in ITEMS)


def test_markdown_tells_the_verdict_first_then_what_failed(failed):
    lines = report.markdown(failed).splitlines()
    assert lines[0] == "# Digits MLP: failed"
    assert lines[2] == "6 of 10 items passed, 2 failed, 1 not run, 1 waived."
    assert lines[4].startswith("- **Gradients** (failed): 240 coordinates of 6 leaves")
    assert lines[6].startswith("- **Tuned** (not run): no study was given")
    assert sum(line.startswith("|") for line in lines) == 12 + 2 + len(failed.test) + 3  # of the moments
    assert "| accuracy | 91.6 % | 89.1 % to 93.6 % |" in lines


def test_markdown_holds_no_markup_of_a_user():
    certificate = Certificate(
        EVIL, all_of(status="failed", measured={"x": EVIL}, reason=EVIL), {EVIL: Estimate(1.0, 0.0, 2.0)}
    )
    text = report.markdown(certificate)
    assert "<script>" not in text and "\x00" not in text and "\n# no" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "failed" in line]
    assert len(rows) == 10
    assert all(row.replace("\\|", "").count("|") == 6 for row in rows)


def test_junit_has_a_case_for_each_item(failed):
    suite = ElementTree.fromstring(report.junit(failed).encode())
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "10", "failures": "2", "errors": "1", "skipped": "1",
    }  # fmt: skip
    kinds = {case.get("name"): [child.tag for child in case] for case in suite}
    assert list(kinds) == list(ITEMS)
    expected = {"gradients": ["failure"], "finite": ["failure"], "tuned": ["error"], "inference_time": ["skipped"]}
    assert {name: kind for name, kind in kinds.items() if kind} == expected
    failure = suite.find("testcase[@name='gradients']/failure")
    assert "params/hidden_1/kernel: wrong-gradient" in failure.text and "vx.check_gradients" in failure.text


def test_junit_can_be_read_whatever_the_texts():
    certificate = Certificate(EVIL, all_of(status="failed", measured={EVIL: EVIL}, reason=EVIL + "\ud800", rerun=EVIL))
    assert ElementTree.fromstring(report.junit(certificate).encode()).get("failures") == "10"


def problems(value, schema, where="certificate"):
    """Yields where a value departs from a schema, for the part of JSON Schema that ours uses."""
    unknown = set(schema) - {
        "$schema", "$defs", "$ref", "title", "description", "type", "required", "additionalProperties", "properties",
        "const", "enum", "minItems", "maxItems", "prefixItems", "items", "allOf", "if", "then", "minLength", "pattern",
    }  # fmt: skip
    assert not unknown, f"this test does not know {unknown}"
    if "$ref" in schema:
        yield from problems(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], where)
    types = {"object": dict, "array": list, "string": str, "number": int | float, "null": type(None)}
    named = schema.get("type", [])
    if named and not any(isinstance(value, types[name]) for name in ([named] if isinstance(named, str) else named)):
        yield f"{where}: {value!r} is no {named}"
        return
    if value != schema.get("const", value) or value not in schema.get("enum", [value]):
        yield f"{where}: {value!r}"
    if isinstance(value, str) and len(value) < schema.get("minLength", 0):
        yield f"{where}: is too short"
    if isinstance(value, dict):
        yield from (f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value)
        for name, each in value.items():
            own = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
            if own is False:
                yield f"{where}: {name} is unknown"
            elif isinstance(own, dict):
                yield from problems(each, own, f"{where}.{name}")
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{where}: has {len(value)} entries"
        for index, each in enumerate(value):
            place = f"{where}[{index}]"
            yield from problems(each, schema.get("items", {}), place)
            yield from problems(each, dict(enumerate(schema.get("prefixItems", []))).get(index, {}), place)
    for part in schema.get("allOf", []):
        yield from problems(value, part, where)
    if "if" in schema and not list(problems(value, schema["if"], where)):
        yield from problems(value, schema["then"], where)


def written(certificate: Certificate) -> dict:
    return json.loads(json.dumps(certificate.to_json(), allow_nan=False))


def test_every_certificate_keeps_to_the_schema(passed, failed, regressor):
    odd = Certificate(
        "odd", all_of(status="failed", measured={"x": float("nan")}), {"loss": Estimate(1.0, 0.0, float("inf"))}
    )
    layer = LayerUnits("hidden", "relu", 32, (0, None))
    told = replace(passed, units=DeadUnits(256, ("start", "last"), (0, None), (layer,)))
    unmeasured = replace(passed, units="TypeError: it has a batch size of its own")
    for certificate in (passed, failed, regressor.certificate, odd, told, unmeasured):
        assert list(problems(written(certificate), SCHEMA)) == []


FINDING = {"id": "x", "severity": "error", "where": "", "message": "m", "advice": ""}  # as earlier releases wrote it

SPOILT = {
    "no verdict": lambda content, item: content.pop("verdict"),
    "other verdict": lambda content, item: content.update(verdict="maybe"),
    "nine items": lambda content, item: content["items"].pop(),
    "order": lambda content, item: content["items"].reverse(),
    "status": lambda content, item: item.update(status="skipped"),
    "waived without a reason": lambda content, item: item.update(status="waived", reason=""),
    "measured": lambda content, item: item.update(measured=[1]),
    "finding": lambda content, item: item.update(findings=[{"id": "x"}]),
    "part": lambda content, item: item.update(findings=[{**FINDING, "part": "kitchen"}]),
    "evidence": lambda content, item: item.update(findings=[{**FINDING, "evidence": "one line"}]),
    "confidence": lambda content, item: item.update(findings=[{**FINDING, "confidence": "high"}]),
    "step": lambda content, item: item.update(findings=[{**FINDING, "step": "first"}]),
    "units": lambda content, item: content.update(units={"rows": 3}),
    "estimate": lambda content, item: content["test"].update(accuracy=0.9),
    "more": lambda content, item: content.update(signature="x"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_departs_from_the_schema_is_found(failed, name):
    content = written(failed)
    SPOILT[name](content, content["items"][3])
    assert list(problems(content, SCHEMA))


def test_findings_reach_the_json(failed):
    found = written(failed)["items"][1]["findings"]
    assert found[0]["where"] == str(Leaf("params/hidden_1/kernel")) and found[0]["id"] == "wrong-gradient"
    assert Finding("x", "info", "y").id == "x"


def test_evidence_and_what_was_tried_reach_the_json(failed):
    told = Finding("key-reuse", "error", "m", "a", None, "model", ("one", "two"), 1.0, "a split: loss 2 to 1")
    items = tuple(Outcome(each.id, "failed", findings=(told,)) for each in failed.items)
    content = written(Certificate("told", items))
    assert list(problems(content, SCHEMA)) == []
    found = content["items"][0]["findings"][0]
    assert found["evidence"] == ["one", "two"] and found["confidence"] == 1.0 and found["part"] == "model"
    assert found["tried"] == "a split: loss 2 to 1"
    content["items"][0]["findings"] = [FINDING]
    assert list(problems(content, SCHEMA)) == []


def test_the_step_of_a_finding_reaches_the_json(failed):
    assert written(failed)["items"][2]["findings"][0]["step"] == 860
    assert written(failed)["items"][1]["findings"][0]["step"] is None


def test_markdown_lists_moments_and_dead_units(passed, failed):
    late = Finding("over|fitting", "warning", "it <rose>.", step=120)
    text = report.markdown(failed, findings=[late])
    assert "| 120 | over\\|fitting (warning) | it &lt;rose&gt;. |\n| 860 | non-finite-loss (error)" in text
    units = DeadUnits(256, ("start", "last"), (0, 900), (LayerUnits("<b>", "relu", 32, (0, 8)),))
    text = report.markdown(replace(passed, units=units))
    assert "| Dead units of layer | Activation | Units | start (step 0) | last (step 900) |" in text
    assert "| &lt;b&gt; | relu | 32 | 0 | 8 |" in text and "On 256 rows of the training split" in text
    assert "At step" not in text and "Dead units" not in report.markdown(passed)
    assert "not measured: it is odd." in report.markdown(replace(passed, units="it is odd"))
