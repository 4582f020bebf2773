"""Outcomes, certificates and the ledger as values."""

import json
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from verax.certify import DEFAULTS, ITEMS, Certificate, Outcome, open_test
from verax.certify._certificate import plain
from verax.findings import Finding, Leaf

PASSED = tuple(Outcome(name, "passed") for name in ITEMS)


def with_item(name: str, **changes) -> Certificate:
    return Certificate("it", tuple(replace(item, **changes) if item.id == name else item for item in PASSED))


@pytest.mark.parametrize("name", ITEMS)
@pytest.mark.parametrize(
    ("status", "verdict"), [("passed", "passed"), ("waived", "passed"), ("failed", "failed"), ("not_run", "failed")]
)
def test_one_item_that_failed_or_was_not_run_fails_the_certificate(name, status, verdict):
    certificate = with_item(name, status=status)
    assert certificate.verdict == verdict == certificate.to_json()["verdict"]
    assert certificate.headline().startswith(f"{verdict}: ")
    assert (name in certificate.headline()) == (status != "passed")


def test_the_items_must_be_all_ten_in_order():
    for items in (PASSED[:-1], PASSED[::-1], PASSED + PASSED[:1]):
        with pytest.raises(ValueError, match=r"items must be converges, gradients, .*, in this order, got"):
            Certificate("it", items)


def test_an_item_is_found_by_its_id():
    assert with_item("tuned", status="failed").item("tuned").status == "failed"
    with pytest.raises(KeyError, match="tunned"):
        with_item("tuned").item("tunned")


def test_the_text_names_every_item_with_its_reason():
    text = str(with_item("reload", status="failed", reason="32 rows differ"))
    assert text.splitlines()[0] == "it: failed: 9 of 10 items passed, 1 failed (reload)"
    assert all(name in text for name in ITEMS) and "32 rows differ" in text


def test_json_holds_what_was_found():
    finding = Finding("wrong", "error", "off by 2.", "Mend it.", Leaf("params/kernel"))
    item = Outcome("gradients", "failed", {"error": np.float32(0.5), "steps": (1, 2)}, {"error": 1e-5}, (finding,))
    content = json.loads(json.dumps(item.to_json(), allow_nan=False))
    assert content["measured"] == {"error": 0.5, "steps": [1, 2]}
    assert content["findings"] == [
        {
            "id": "wrong", "severity": "error", "where": "params/kernel", "message": "off by 2.", "advice": "Mend it.",
            "part": None, "evidence": [], "confidence": None, "tried": "", "step": None,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), None),
        (np.float64("inf"), None),
        (np.array([1.0, np.nan]), [1.0, None]),
        (jnp.arange(2), [0, 1]),
        (np.bool_(True), True),
        ({1: (2, None)}, {"1": [2, None]}),
        (Leaf("params"), "params"),
    ],
)
def test_any_value_can_be_written(value, written):
    assert plain(value) == written
    json.dumps(plain(value), allow_nan=False)


def test_every_default_limit_has_its_reason_in_the_documentation(request):
    text = (request.config.rootpath / "docs" / "certificate.md").read_text()
    assert all(f"`{name}`" in text for name in DEFAULTS)
    assert all(f"| `{name}` |" in text for name in ITEMS)


def test_the_ledger_counts_the_openings_of_the_same_data(tmp_path):
    folder = tmp_path / "run"
    assert [open_test(folder, "evaluate", data) for data in ("a", "a", "b", "a")] == [1, 2, 1, 3]
    lines = [json.loads(line) for line in (folder / "test_ledger.jsonl").read_text().splitlines()]
    assert [line["purpose"] for line in lines] == ["evaluate"] * 4 and all(line["when"] for line in lines)
    assert open_test(None, "certify", "a") == 1


def test_an_opening_that_is_known_from_elsewhere_is_written_once(tmp_path):
    assert open_test(tmp_path, "certify", "a", before=["tune"]) == 2
    assert open_test(tmp_path, "certify", "a", before=["tune"]) == 3
    lines = [json.loads(line) for line in (tmp_path / "test_ledger.jsonl").read_text().splitlines()]
    assert [line["purpose"] for line in lines] == ["tune", "certify", "certify"]
    assert open_test(tmp_path, "certify", "b", before=["tune"]) == 2  # of other data
    assert open_test(None, "certify", "a", before=["tune"]) == 2


def test_a_damaged_line_of_the_ledger_counts_as_an_opening(tmp_path):
    open_test(tmp_path, "certify", "a")
    with (tmp_path / "test_ledger.jsonl").open("a") as file:
        file.write('{"purpose": "certi')  # the machine went off here
    assert open_test(tmp_path, "certify", "a") == 3
    assert open_test(tmp_path, "certify", "a") == 4
