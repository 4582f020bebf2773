"""The benchmark of diagnoses: what a case gives away, how findings are judged, six small cases that are diagnosed."""

import dataclasses
import importlib
import json
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest

import verax.doctor
from verax.doctor._probe import Examined
from verax.findings import Finding, Leaf

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CASES = Path(__file__).parent / "cases"
FAULTY = sorted(path.stem for path in CASES.glob("c0*.py"))
HEALTHY = sorted(path.stem for path in CASES.glob("c5*.py"))


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a file of `benchmarks` by name, and forgets it afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if name == "program" or (file and Path(file).is_relative_to(BENCHMARKS)):
            del sys.modules[name]


# What a case gives away.


def test_only_the_text_above_the_mark_is_executed(benchmark):
    reader = benchmark("_faultbench")
    names = reader.names_of(f"answer = 1\n{reader.MARK}; ----\nraise SystemExit('read on')\n")
    assert names["answer"] == 1 and "CASE" not in names


@pytest.mark.parametrize("name", [*FAULTY, *HEALTHY])
def test_a_program_holds_no_name_of_its_case(benchmark, name):
    reader = benchmark("_faultbench")
    names = reader.names_of((CASES / f"{name}.py").read_text())
    assert names["loss_fn"].__code__.co_filename == reader.NEUTRAL
    assert not {"CASE", "FIXED", "__file__"} & set(names) and names["__name__"] == "program"


def test_every_library_is_among_the_cases_and_trains(benchmark):
    """One step of each: weights move, and evaluation answers every row."""
    reader, plain = benchmark("_faultbench"), benchmark("_plain_training")
    seen = set()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for path in sorted(CASES.glob("*.py")):
            program = reader.read_case(path)
            if program.network.library not in seen:
                seen.add(program.network.library)
                one = dataclasses.replace(program, batches=None, epochs=1, batch_size=1000)
                record = plain.trained(one, watch=False)
                assert len(record.outputs) == len(program.test[1]) and np.isfinite(record.losses).all()
    assert seen == {"linen", "nnx", "haiku", "equinox", "functions"}


# How findings are judged.


def alarm(name, where=None, severity="warning"):
    return {"id": name, "severity": severity, "where": where}


@pytest.fixture
def double(benchmark):
    return benchmark("_faultbench_score").known(CASES / "c01_two_clouds.py")


def test_a_case_is_read_without_running_it(benchmark, tmp_path, double):
    assert double.faults == ("double-sigmoid",) and "class-imbalance" in double.never and "loss" in double.where
    (tmp_path / "a01.py").write_text("raise SystemExit\nCASE = dict(faulty=False, faults=[], never=['x'])\n")
    score = benchmark("_faultbench_score")
    assert score.known(tmp_path / "a01.py").never == {"x"}
    (tmp_path / "a02.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"a02.py has no `CASE = dict\(...\)`: it is not in the faultbench format."):
        score.known(tmp_path / "a02.py")


def test_a_right_alarm_is_detected_first_exact_and_placed(benchmark, double):
    row = benchmark("_faultbench_score").judged(double, [alarm("double-sigmoid", "model"), alarm("underfitting")])
    assert row.verdict == "found" and row.first and row.exact and row.placed and row.fair == row.alarms == 2


def test_a_right_alarm_behind_a_wrong_one_is_not_first(benchmark, double):
    findings = [alarm("label-noise"), alarm("key-reuse"), alarm("double-sigmoid", "data")]
    row = benchmark("_faultbench_score").judged(double, findings)
    assert row.detected and not row.first and not row.placed
    assert row.wrong == ("label-noise",) and row.other == ("key-reuse",) and row.fair == 1


def test_a_remark_is_no_alarm(benchmark, double):
    row = benchmark("_faultbench_score").judged(double, [alarm("double-sigmoid", severity="info")])
    assert row.verdict == "MISSED" and row.alarms == 0


def test_any_alarm_on_a_healthy_program_is_false(benchmark):
    score = benchmark("_faultbench_score")
    healthy = score.known(CASES / "c51_equal_rows.py")
    assert score.judged(healthy, [alarm("overfitting")]).verdict == "FALSE"
    assert score.judged(healthy, [alarm("overfitting", severity="info")]).verdict == "quiet"


def test_figures_are_shares_with_wilsons_interval(benchmark, double):
    score = benchmark("_faultbench_score")
    found = score.judged(double, [alarm("double-sigmoid", "loss"), alarm("x")])
    figures = score.figures([found, score.judged(double, []), score.Judged(False, 0)])
    assert figures["detected"] == (1, 2) and figures["right or fair"] == (1, 2) and figures["false alarm"] == (0, 1)
    low, high = score.Share(9, 10).interval  # Wilson (1927): 0.596 to 0.982
    assert low == pytest.approx(0.5958, abs=1e-4) and high == pytest.approx(0.9821, abs=1e-4)
    assert score.Share(0, 0).interval == (0.0, 1.0)


# The runner, with a stand-in for the doctor's process.


ANSWER = """
import json, sys
assert "CASE" not in (text := sys.stdin.read()) and "make_data" in text
found = {"id": "double-sigmoid", "severity": "error", "where": "model"}
json.dump({"findings": [found], "seconds": {"check": 1.0, "run": 2.0, "fixes": 0.0}}, open(sys.argv[1], "w"))
"""


@pytest.fixture
def runner(benchmark, monkeypatch, tmp_path):
    module = benchmark("faultbench")

    def with_worker(text):
        (tmp_path / "worker.py").write_text(text)
        monkeypatch.setattr(module, "WORKER", tmp_path / "worker.py")
        return module

    return with_worker


def test_the_runner_writes_the_report_that_the_format_scores(runner, tmp_path, capsys):
    report, rows = tmp_path / "report.json", tmp_path / "rows.json"
    module = runner(ANSWER)
    arguments = [str(CASES), "--only=c01,c51", "--peers=none", f"--report={report}", f"--json={rows}"]
    assert module.main(arguments) == 0
    finding = {"id": "double-sigmoid", "severity": "error", "where": "model"}
    assert json.loads(report.read_text()) == {"c01_two_clouds": [finding], "c51_equal_rows": [finding]}
    printed = capsys.readouterr().out
    assert "found  c01_two_clouds" in printed and "FALSE  c51_equal_rows" in printed
    assert "check 1.0, run 2.0, fixes 0.0 s" in printed and "missed: false alarm 100.0%" in printed
    written = json.loads(rows.read_text())
    assert written["rows"][0]["judged"]["verdict"] == "found"
    assert written["summary"]["figures"]["Verax"]["false alarm"]["hits"] == 1
    assert module.main([*arguments, "--check"]) == 1


def test_a_crash_and_a_process_that_does_not_end_are_rows_that_say_so(runner, benchmark):
    module = runner("raise MemoryError('too large')")
    row = module.case_row(CASES / "c01_two_clouds.py", 1.0, 1.0, [])
    assert row["failed"] == "MemoryError: too large" and row["judged"].verdict == "MISSED"
    assert module.line(row).startswith("FAILED c01_two_clouds")
    assert "failed: c01_two_clouds" in module.verdict([row], benchmark("_faultbench_score").figures([row["judged"]]))
    runner("import time; time.sleep(60)")
    assert module.run("", [], 0.5) == {"failed": "not done after 0 s"}


def test_a_slow_check_is_named(runner, benchmark):
    module = runner("")
    score = benchmark("_faultbench_score")
    row = {"case": "c01", "seconds": {"check": 21.0, "run": 3.0}, "judged": score.Judged(False, 0)}
    assert "too slow: c01 (check 21 s)" in module.verdict([row], score.figures([row["judged"]]))


def test_what_the_command_line_cannot_mean_is_refused(runner, capsys):
    module = runner("")
    for arguments, said in (
        ([str(CASES), "--peers=keras"], "--peers must be of sagemaker"),
        ([str(CASES), "--only=z99"], "starts with z99"),
    ):
        with pytest.raises(SystemExit):
            module.main(arguments)
        assert said in capsys.readouterr().err


def test_the_worker_writes_findings_with_their_part_as_the_place(benchmark, monkeypatch):
    finding = Finding(
        "double-sigmoid", "error", "twice.", "Once.", Leaf("params/head"), "model", ("0.31",), 1.0, "helped"
    )
    probe = Examined("output range", ("double-sigmoid",), "failed", "0 to 1", 0.5)
    diagnosis = types.SimpleNamespace(findings=(finding,), probes=(probe,), seconds={"check": 0.5})
    given = {}
    monkeypatch.setattr(
        verax.doctor, "diagnose", lambda program, **budget: given.update(budget) or diagnosis, raising=False
    )
    said = json.loads(json.dumps(benchmark("_faultbench_worker").doctor(None, 3.0, 4.0)))
    assert given == {"seconds": 3.0, "fix_seconds": 4.0} and said["seconds"] == {"check": 0.5}
    assert said["findings"][0]["where"] == "model" and said["findings"][0]["place"] == "params/head"
    assert said["probes"][0]["verdict"] == "failed"


# The published rules.


def test_published_rules_read_a_record(benchmark):
    """Symptoms planted in the record of a healthy program are seen by the rules that name them, and not before."""
    plain, rules = benchmark("_plain_training"), benchmark("_published_rules")
    program = benchmark("_faultbench").read_case(CASES / "c53_cool_start.py")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        record = plain.trained(program)
    assert {layer.kind for layer in record.last_layers} == {"tanh"} and len(record.late) == program.epochs
    assert list(rules.autotrainer(record)) == [] and "saturated-activation" not in rules.sagemaker(record)
    record.last_layers = [plain.Layer("tanh", 20 + layer.before, layer.after) for layer in record.last_layers]
    assert "saturated-activation" in rules.sagemaker(record) and "saturated-activation" in rules.deepdiagnosis(record)
    record.last_layers = [plain.Layer("relu", layer.before, 0 * layer.after) for layer in record.last_layers]
    assert "dying-relu" in rules.sagemaker(record) and list(rules.deepdiagnosis(record)) == ["dying-relu"]
    record.learning_rate = 0.02
    assert "learning-rate-too-high" in rules.umlaut(record)


# The doctor itself.


def diagnosed(benchmark, name):
    program = benchmark("_faultbench").read_case(CASES / f"{name}.py")
    diagnosis = verax.doctor.diagnose(program, seconds=300.0, fix_seconds=300.0)  # a busy machine decides nothing
    findings = benchmark("_faultbench_worker").as_dict
    case = benchmark("_faultbench_score").known(CASES / f"{name}.py")
    return benchmark("_faultbench_score").judged(case, [findings(each) for each in diagnosis.findings])


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_program_is_named_first_and_placed(benchmark, name):
    row = diagnosed(benchmark, name)
    assert row.first and row.placed and not row.wrong


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_is_left_in_peace(benchmark, name):
    assert diagnosed(benchmark, name).verdict == "quiet"
