"""What each operation of a compiled program came from, read from its text: layer, source line, what it does."""

from __future__ import annotations

import re
import sysconfig
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from verax.findings import Span

OWN_FOLDER = str(Path(__file__).parents[1])
LIBRARIES = tuple({sysconfig.get_paths()[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")})
MOST_PARTS = 3  # of a fused operation that are named
STRUCTURE = re.compile(r"while|body|cond|closed_call|core_call|checkpoint|rematted_computation|scan|branch_\d+_fun")
BRINGS_NOTHING = {"parameter", "constant", "bitcast", "get-tuple-element", "tuple", "broadcast", "copy", "reshape"}
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*)$")
OPCODE = re.compile(r"(?:^|[\s)}\]])([a-z][a-z0-9\-]*)\(")
OP_NAME = re.compile(r'op_name="([^"]*)"')
CALLED = re.compile(r"calls=%?([\w.\-]+)")
LISTED = re.compile(r"^(\d+) (?:\"(.*)\"|\{(.*)\})$")


class Origin(NamedTuple):
    """Where an operation of a compiled program comes from.

    Attributes:
      operation: what it does: `dot_general`, or the parts of a fused one: `add, mul, sqrt`.
      module: the layer, `MLP/Dense_0`; empty for plain functions.
      backward: whether it belongs to the gradient.
      span: the line of the user's own code; the library's where no line of the user's led there; None if not known.
    """

    operation: str
    module: str = ""
    backward: bool = False
    span: Span | None = None


def origins(text: str) -> dict[str, Origin]:
    """Returns the origin of every operation in a compiled program, by the operation's name.

    Args:
      text: `compiled.as_text()`.

    Example:
      >>> text = jax.jit(lambda x: jnp.sin(x) @ x).lower(jnp.ones((32, 32))).compile().as_text()
      >>> sorted({origin.operation for origin in origins(text).values()} & {"sin", "dot_general"})
      ['dot_general', 'sin']
    """
    frames = _frames(text)
    computation, inside, found = "", defaultdict(list), {}
    for line in text.splitlines():
        if head := COMPUTATION.match(line):
            computation = head[1]
        elif part := INSTRUCTION.match(line):
            opcode = _first(OPCODE, part[3])
            module, backward, primitive = _path(_first(OP_NAME, part[3]))
            if opcode not in BRINGS_NOTHING:
                inside[computation].append(primitive or opcode)
            parts = [] if "kind=kCustom" in part[3] else inside.get(_first(CALLED, part[3]), [])
            found[part[2]] = Origin(_operation(opcode, primitive, parts), module, backward, _span(part[3], frames))
    return found


def module_name(text: str) -> str:
    """Returns the name of a compiled program, as its operations carry it in a trace: `jit_step`."""
    return _first(re.compile(r"HloModule ([^\s,]+)"), text)


def _first(pattern: re.Pattern[str], text: str) -> str:
    """Returns the first group of the first match; empty if there is none."""
    match = pattern.search(text)
    return match[1] if match else ""


def _operation(opcode: str, primitive: str, parts: list[str]) -> str:
    """Returns what an operation does: the parts of a fused one, most frequent first."""
    if opcode in ("dot", "convolution"):  # JAX calls the last one of a product's gradient `transpose`
        return {"dot": "dot_general", "convolution": "conv_general_dilated"}[opcode]
    if len(set(parts)) > 1:
        names = sorted(set(parts), key=lambda name: (-parts.count(name), name))
        return ", ".join(names[:MOST_PARTS]) + (", ..." if len(names) > MOST_PARTS else "")
    return primitive or opcode


def _path(op_name: str) -> tuple[str, bool, str]:
    """Returns layer, whether in the gradient, and primitive of `jit(f)/transpose(jvp(MLP))/Dense_0/dot_general`."""
    backward, layers = False, []
    parts = list(_split(op_name))
    for part in parts[:-1]:
        while wrapped := re.fullmatch(r"([\w\-]+)\((.*)\)", part):
            backward |= wrapped[1] == "transpose"
            part = "" if wrapped[1] in ("jit", "pjit") else wrapped[2]
        if part and not STRUCTURE.fullmatch(part):
            layers.append(part)
    return "/".join(layers), backward, parts[-1] if parts else ""


def _split(op_name: str) -> Iterator[str]:
    """Yields the parts between slashes that stand outside of brackets."""
    depth, part = 0, ""
    for letter in op_name:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "/" and depth == 0:
            yield part
            part = ""
        else:
            part += letter
    if part:
        yield part


def _frames(text: str) -> dict[int, list[Span]]:
    """Returns for each stack frame of the program's tables its line and those that called it, the innermost first."""
    tables: dict[str, dict[int, Any]] = {}
    title = ""
    for line in text.splitlines():
        if line in ("FileNames", "FunctionNames", "FileLocations", "StackFrames"):
            title = line
        elif (entry := LISTED.match(line)) and title:
            fields = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", entry[3] or "")}
            tables.setdefault(title, {})[int(entry[1])] = entry[2] if entry[2] is not None else fields
        elif line.startswith(("%", "ENTRY")):
            break
    files, places = tables.get("FileNames", {}), tables.get("FileLocations", {})
    raw = tables.get("StackFrames", {})
    first = int(any(frame.get("parent_frame_id") == number for number, frame in raw.items()))  # callers count from 1
    chains: dict[int, list[Span]] = {}
    for number in raw:
        chain, at, seen = [], number, set()
        while at in raw and at not in seen:
            seen.add(at)
            place = places.get(raw[at].get("file_location_id", 0), {})
            if place.get("file_name_id") in files:
                chain.append(Span(files[place["file_name_id"]], place.get("line", 0), place.get("column", 1)))
            at = raw[at].get("parent_frame_id", 0) - first
        chains[number] = chain
    return chains


def _span(line: str, frames: dict[int, list[Span]]) -> Span | None:
    """Returns the innermost line of the user's own code before Verax called it, else the innermost line of all."""
    if number := re.search(r"stack_frame_id=(\d+)", line):
        chain = frames.get(int(number[1]), [])
    else:
        place = re.search(r'source_file="([^"]*)" source_line=(\d+)', line)
        chain = [Span(place[1], int(place[2]))] if place else []
    for span in chain:
        if span.file.startswith(OWN_FOLDER):
            break
        if not span.file.startswith((*LIBRARIES, "<")):
            return span
    return chain[0] if chain else None
