"""The linter on code that nobody wrote for it: Python's own test suite, and files that were damaged at random.

    python benchmarks/lint_robustness.py [--mutants 5000] [--sources FOLDER] [--seed 0] [--json OUT]

Every file gets a line `import jax` in front, so that no rule is skipped. Damaged files are made of those of FOLDER (by
default Verax's own sources and the lint cases of its tests): cut off, lines indented anew, lines swapped or repeated,
bytes replaced, removed or inserted. Ends with 1 if a rule or the linter raised, or a file took more than 5 seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from verax.lint import Settings, all_rules, check_text

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 5.0  # seconds a file
INSERTED = (b"(", b"lambda: ", b"[", b"\0", b"\f", b"\r", b":=", b"*")


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Returns a file with one to three kinds of damage."""
    for _ in range(rng.randint(1, 3)):
        lines = content.splitlines(keepends=True) or [b"\n"]
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        place = rng.randrange(len(content) + 1)
        kind = rng.choice(("cut", "indent", "swap", "repeat", "bytes", "remove", "insert"))
        if kind == "cut":
            content = content[:place]
        elif kind == "indent":
            lines[at] = b" " * rng.randrange(9) + lines[at].lstrip()
        elif kind == "swap":
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == "repeat":
            lines[at] *= rng.randint(2, 30)
        elif kind == "bytes":
            content = content[:place] + rng.randbytes(rng.randint(1, 4)) + content[place + 4 :]
        elif kind == "remove":
            content = content[:place] + content[place + rng.randint(1, 200) :]
        else:
            content = content[:place] + rng.choice(INSERTED) + content[place:]
        if kind in ("indent", "swap", "repeat"):
            content = b"".join(lines)
    return content


def mutants(folder: Path, number: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yields damaged files, the same for the same seed."""
    files = sorted(folder.rglob("*.py"))
    rng = random.Random(seed)
    for place in range(number):
        file = rng.choice(files)
        yield f"{file.name} damaged ({seed}, {place})", damaged(file.read_bytes(), rng)


def originals(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yields the files of a folder."""
    for file in sorted(folder.rglob("*.py")):
        with contextlib.suppress(OSError):
            yield str(file.relative_to(folder)), file.read_bytes()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=5000, help="damaged files (default: 5000)")
    parser.add_argument("--sources", type=Path, help="a folder whose files are damaged")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default: 0)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the rows to a file")
    options = parser.parse_args(arguments)
    standard = Path(sysconfig.get_path("stdlib")) / "test"
    halves = [options.mutants - options.mutants // 2, options.mutants // 2]
    sets = {"Python's test suite": originals(standard)}
    if options.sources:
        sets["damaged files"] = mutants(options.sources, options.mutants, options.seed)
    else:
        sets["damaged sources"] = mutants(ROOT / "src" / "verax", halves[0], options.seed)
        sets["damaged cases"] = mutants(ROOT / "tests" / "lint" / "cases", halves[1], options.seed)
    rows, settings = [], Settings(extend_select=tuple(each.code for each in all_rules().values() if each.opt_in))
    for name, files in sets.items():
        count = faults = lines = 0
        slowest, longest = 0.0, ""
        for file, content in files:
            text = "import jax\n" + content.decode("utf-8", errors="replace")
            clock = time.perf_counter()
            try:
                broken = check_text(text, file, settings=settings).broken
            except Exception as error:
                broken = {"the linter": repr(error)}
            seconds = time.perf_counter() - clock
            for code, error in broken.items():
                print(f"{file}: {code} raised {error}")
            faults += bool(broken) or seconds > LIMIT
            if seconds > slowest:
                slowest, longest = seconds, file
            count, lines = count + 1, lines + text.count("\n")
        rows.append(
            {"set": name, "files": count, "lines": lines, "faults": faults, "slowest": slowest, "file": longest}
        )
    print("\n| set | files | lines | raised or too slow | slowest, s |\n|---|---:|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row['set']} | {row['files']} | {row['lines']:,} | {row['faults']} | "
            f"{row['slowest']:.2f} ({row['file']}) |"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if any(row["faults"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
