"""What a model folder says about itself: names, shapes, classes, calibration, dates, and digests of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from verax.findings import InputError

SIGNATURE, WEIGHTS = "signature.json", "weights.safetensors"
KIND, FORMAT = "verax model", 1
PROMISED_DAYS = 180  # six months, JAX's promise for what jax.export writes (docs/export/export.md)


@dataclass(frozen=True)
class Signature:
    """What a model file says about itself.

    Attributes:
      name: of the model.
      task: `classification`, `binary`, `multilabel`, `regression`, `language_model`, `autoencoder` or `custom`.
      schema: what one raw example looks like, as `Schema.to_json` gives it: columns, categories, shape, dtype.
      preprocessing: the steps inside the program, as `Preprocessing.to_json` gives them.
      inputs: shape (without the axis of examples) and dtype of each raw array, by path; one array has the path "".
      outputs: likewise, of what comes back.
      classes: names of the classes, labels or tokens, in order; None if there are none.
      temperature: divides the logits before they become probabilities; None if there is none.
      weights: dtype and shape of each leaf, by path.
      batch_sizes: None if any number of rows fits; else the sizes there are programs for.
      fixed_because: why only these sizes; empty if any fits.
      rows_independent: whether no row depends on another; only then are rows added. Read from the program, or for
        fixed sizes found in trials.
      platforms: what the program runs on: `cpu`, `cuda`, `tpu`.
      x64: whether it was made, and must be run, with 64-bit types enabled.
      created: date and time in UTC.
      promised_until: JAX promises to read the program up to this day.
      versions: of verax and jax, at writing.
      files: size in bytes and SHA-256 of each file beside the signature.
      facts: anything the writer wanted to keep: fingerprints, scores.
      threshold: from which probability on a label is there, one number or one a label; None if nothing is decided.
      padding: of a language model, the target that marks a place without a token; None if there is none.
    """

    name: str
    task: str
    schema: dict[str, Any]
    preprocessing: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    classes: tuple[str, ...] | None
    temperature: float | None
    weights: dict[str, str]
    batch_sizes: tuple[int, ...] | None
    fixed_because: str
    rows_independent: bool
    platforms: tuple[str, ...]
    x64: bool
    created: str
    promised_until: str
    versions: dict[str, str]
    files: dict[str, dict[str, Any]]
    facts: dict[str, Any] = field(default_factory=dict)
    threshold: list[float] | None = None
    padding: int | None = None

    @property
    def expired(self) -> bool:
        """Whether JAX's promise to read the program is over; it may still be readable."""
        return datetime.now(UTC).date() > date.fromisoformat(self.promised_until)

    @property
    def programs(self) -> dict[int, str]:
        """The file of each program by batch size; 0 stands for any."""
        if self.batch_sizes is None:
            return {0: "program.stablehlo"}
        return {size: f"program_{size}.stablehlo" for size in self.batch_sizes}

    def to_json(self) -> dict[str, Any]:
        """Returns the signature as a value that `json.dumps` takes, with a digest of itself.

        Raises:
          InputError: if `facts` holds what JSON cannot.
        """
        content = {"kind": KIND, "format": FORMAT, **asdict(self)}
        return json.loads(_text({**content, "sha256": _digest(content)}))

    @classmethod
    def from_json(cls, content: Mapping[str, Any], place: str = SIGNATURE) -> Signature:
        """Returns the signature that `to_json` wrote.

        Raises:
          InputError: if it is of another kind, newer, edited, or incomplete.
        """
        if not isinstance(content, Mapping) or content.get("kind") != KIND:
            found = content.get("kind") if isinstance(content, Mapping) else type(content).__name__
            raise InputError(
                f"{place} must be of kind {KIND!r}, found {found!r}. Pass the folder that verax export wrote."
            )
        if content.get("format") != FORMAT:
            raise InputError(
                f"{place} must have format {FORMAT}, found {content.get('format')!r}, written by verax "
                f"{_writer(content)}. Install that version or a later one, or export the model again."
            )
        rest = {name: value for name, value in content.items() if name != "sha256"}
        if content.get("sha256") != _digest(rest):
            raise InputError(
                f"{place} must be as it was written, but its digest does not fit: it was edited or damaged. "
                "Copy the model again, or export it again."
            )
        names = {each.name for each in fields(cls)}
        values = {name: value for name, value in rest.items() if name in names}
        for name in ("classes", "batch_sizes", "platforms"):
            values[name] = None if values.get(name) is None else tuple(values[name])
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(
                f"{place} must have the fields of format {FORMAT}, but {error}. Export it again."
            ) from error


def read_signature(folder: Path) -> Signature:
    """Returns the signature of a model folder; looks at no other file.

    Raises:
      InputError: if there is no such folder, it is no model, or the signature is damaged.
    """
    if not folder.exists():
        raise InputError(
            f"path must be a model folder (model.vx), but nothing is at {folder}. Make one with verax export."
        )
    if not folder.is_dir():
        raise InputError(
            f"path must be a model folder (model.vx), but {folder} is a file. Is it the folder that it lies in?"
        )
    place = folder / SIGNATURE
    if not place.is_file():
        inside = sorted(entry.name for entry in folder.iterdir())
        hint = f" Did you mean {folder / 'model.vx'}?" if "model.vx" in inside else ""
        listed = ", ".join(inside[:5]) + (", ..." if len(inside) > 5 else "") or "nothing"
        raise InputError(f"{folder} must be a model folder with a {SIGNATURE}, found {listed}.{hint}")
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        size = place.stat().st_size
        raise InputError(
            f"{place} must be JSON, but it is damaged or cut short at {size:,} bytes: {error}. Copy the model again."
        ) from error
    return Signature.from_json(content, str(place))


def write_signature(folder: Path, signature: Signature) -> None:
    """Writes the signature into a model folder."""
    (folder / SIGNATURE).write_text(json.dumps(signature.to_json(), indent=2, ensure_ascii=False), encoding="utf-8")


def file_entry(path: Path) -> dict[str, Any]:
    """Returns size in bytes and SHA-256 of a file."""
    with open(path, "rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def array_entry(shape: Any, dtype: Any) -> dict[str, Any]:
    """Returns shape and dtype as they stand in a signature, without the axis of examples."""
    return {"shape": [int(length) for length in shape[1:]], "dtype": np.dtype(dtype).name}


def _writer(content: Mapping[str, Any]) -> str:
    versions = content.get("versions")
    return str(versions.get("verax", "unknown")) if isinstance(versions, Mapping) else "unknown"


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(content).encode()).hexdigest()


def _text(content: Mapping[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        raise TypeError(f"{type(value).__name__} is not a JSON value")

    try:
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, default=plain)
    except (TypeError, ValueError) as error:
        raise InputError(f"facts must be JSON values (finite numbers, texts, lists, dicts), but {error}.") from error
