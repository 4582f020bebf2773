"""The linter on sources whose comments say what it must report: recall and precision of every rule.

    python benchmarks/lintbench.py PATH [--reports OUT.jsonl] [--json OUT]

PATH is a folder in the lintbench format: Python files, each for the rule in its name (`vx101_key_reuse.py`), with
marks `# expect: VX101` and `# allow: VX101`. Where no file is named so, all are scored, for the rules that are on by
default. Rules that are off by default are on for their own file alone. `--reports` writes what the linter said, one
JSON object a line, for another scorer. Ends with 1 unless every file passes and no rule reports elsewhere.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from _lintbench_score import Score, judged

from verax.lint import Settings, all_rules, check_text

NAME = re.compile(r"vx(\d{3})_")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="the folder")
    parser.add_argument("--reports", type=Path, metavar="OUT", help="write the reports, a JSON object a line")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write rows and summary to a file")
    options = parser.parse_args(arguments)
    if not options.path.is_dir():
        parser.error(f"there is no folder {options.path}.")
    files = sorted(options.path.rglob("*.py"))
    files = [file for file in files if NAME.match(file.name)] or files
    if not files:
        parser.error(f"there are no Python files in {options.path}.")
    score, written = Score(), []
    for file in files:
        named = NAME.match(file.name)
        own = f"VX{named[1]}" if named else None
        text = file.read_text(encoding="utf-8")
        is_asked = own in all_rules() and all_rules()[own].opt_in
        checked = check_text(text, str(file), settings=Settings(extend_select=(own,) if is_asked else ()))
        result = judged(text, [(each.line, each.code) for each in checked.reports])
        score.add(str(file.relative_to(options.path)), own, result)
        written += [{"file": file.name, "line": each.line, "code": each.code} for each in checked.reports]
        for line, code in result.missed:
            print(f"{file.name}:{line}: {code} missed")
        for line, code in result.wrong:
            print(f"{file.name}:{line}: {code} reported without a mark")
        for code, error in checked.broken.items():
            print(f"{file.name}: {code} raised {error}")
    total, passed = score.total, sum(score.files.values())
    print("\n| rule | marked | found | right | wrong |\n|---|---:|---:|---:|---:|")
    for code, each in sorted(score.rules.items()):
        print(f"| {code} | {each.expected} | {each.found} | {each.right} | {each.wrong} |")
    noise = sum(score.cross.values())
    print(f"| all | {total.expected} | {total.found} | {total.right} | {total.wrong} |\n")
    print(f"files passed: {passed} of {len(files)}; recall {total.recall:.3f}; precision {total.precision:.3f}")
    print(f"reports of other rules on unmarked lines: {noise} {dict(score.cross) if noise else ''}".rstrip())
    if options.reports:
        options.reports.write_text("".join(json.dumps(each) + "\n" for each in written))
    if options.json:
        rows = [{"rule": code, **vars(each)} for code, each in sorted(score.rules.items())]
        summary = {
            "files": len(files), "passed": passed, "recall": total.recall, "precision": total.precision,
            "cross_noise": noise,
        }  # fmt: skip
        options.json.write_text(json.dumps({"rows": rows, "summary": summary}, indent=1) + "\n")
    return 0 if passed == len(files) and not noise else 1


if __name__ == "__main__":
    sys.exit(main())
