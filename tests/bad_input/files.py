"""Files and folders that are wrong: missing, cut short, damaged, of the wrong kind. All made from sound ones."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from verax.cli import main

HERE = Path(__file__).parent
EXPERIMENTS, FROM_FILES = HERE / "experiments.py", HERE / "from_files.py"

SOURCES = {
    "notes.txt": "not Python",
    "syntax.py": "def experiment(:\n    pass\n",
    "raising.py": 'names = {"hidden": 4}\nwidth = names["widht"]\ndef experiment():\n    return width\n',
    "importing.py": "import no_such_module\ndef experiment():\n    return None\n",
    "exiting.py": "import sys\nsys.exit(0)\n",
    "misnamed.py": "def make_experiment():\n    return None\n",
    "a_value.py": "experiment = 3\n",
    "nothing.py": "def experiment(hidden: int = 4):\n    hidden + 1\n",
    "failing.py": "def experiment(hidden: int = 4):\n    return [0.1, 0.2][hidden]\n",
    "needing.py": "def experiment(hidden: int):\n    return hidden\n",
    "taking_out.py": "def experiment(out: str = ''):\n    return out\n",
}

TABLE = "size,weight,colour,price\n" + "".join(
    f"{row % 7},{row % 5}.5,{('red', 'green', 'blue')[row % 3]},{row % 7 + row % 5}\n" for row in range(60)
)
TABLES = {
    "sound.csv": TABLE,
    "empty.csv": "",
    "header.csv": "size,weight,colour,price\n",
    "ragged.csv": TABLE.replace("3,3.5,red,6\n", "3,3.5,red,6,9\n"),
    "cut.csv": TABLE[:-8],
    "no_target.csv": TABLE.replace("price", "prize", 1),
    "no_header.csv": TABLE.partition("\n")[2].replace("red", "1").replace("green", "2").replace("blue", "3"),
    "text_among_numbers.csv": TABLE.replace("3,3.5,red,6\n", "3,heavy,red,6\n"),
    "missing_price.csv": TABLE.replace("3,3.5,red,6\n", "3,3.5,red,?\n"),
    "text_price.csv": TABLE.replace("3,3.5,red,6\n", "3,3.5,red,much\n"),
    "repeated.csv": TABLE.replace("weight", "size", 1),
    "missing_weight.csv": TABLE.replace("3,3.5,red,6\n", "3,,red,6\n"),
    # rows to predict
    "unknown_colour.csv": "size,weight,colour\n1,2,red\n1,2,blu\n",
    "no_weight.csv": "size,colour\n1,red\n",
    "extra.csv": "size,weight,height,colour\n1,2,3,red\n",
    "text_size.csv": "size,weight,colour\nbig,2,red\n",
    "rows.json": '[{"size": 1, "weight": 2, "colour": "red"',
    "rows.xlsx": "PK",
}


def make_all(folder: Path) -> None:
    """Writes every wrong file, below `folder`, and the sound runs and models that some are made from."""
    for name, text in {**SOURCES, **TABLES}.items():
        (folder / name).write_text(text)
    (folder / "a_folder.py").mkdir()
    (folder / "an_empty_folder").mkdir()
    (folder / "latin.py").write_bytes("# café\ndef experiment(): ...\n".encode("latin-1"))
    (folder / "compressed.csv").write_bytes(gzip.compress(TABLE.encode()))
    _arrays(folder)
    _idx(folder)
    for kind, data in {"csv": "sound.csv", "npz": "sound.npz"}.items():
        run = folder / f"{kind}_run"
        words = [str(FROM_FILES), "--kind", kind, "--path", str(folder / data), "--out", str(run)]
        assert main(["train", *words]) == 0
        assert main(["export", str(run), "--out", str(folder / f"{kind}.vx")]) == 0
    _runs(folder)
    _models(folder)


def _arrays(folder: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(60, dtype=np.int32) % 3
    pictures = random.integers(0, 256, (60, 3, 3), dtype=np.uint8)
    np.savez(folder / "sound.npz", x=pictures, y=labels)
    np.savez(folder / "later.npz", x=pictures[::-1], y=labels)
    whole = (folder / "sound.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "text.npz").write_text("x, y\n")
    (folder / "flipped.npz").write_bytes(_flipped(whole, 200))
    np.savez(folder / "objects.npz", x=np.array([{"a": 1}, {"b": 2}], object), y=labels[:2])
    np.savez(folder / "other_names.npz", images=pictures, answers=labels)
    with open(folder / "single.npz", "wb") as file:
        np.save(file, pictures)
    np.save(folder / "wide.npy", np.zeros((2, 3, 4), np.uint8))
    np.save(folder / "one_picture.npy", np.zeros((3, 3), np.uint8))
    np.save(folder / "scaled.npy", np.zeros((2, 3, 3), np.float32))
    np.save(folder / "beyond.npy", np.full((2, 3, 3), 300, np.int32))
    np.save(folder / "nan.npy", np.full((2, 3), np.nan, np.float32))
    np.savez(folder / "no_answers.npz", inputs=pictures)
    np.savez(folder / "wrong_answers.npz", inputs=pictures, targets=labels + 4)
    (folder / "cut.npy").write_bytes((folder / "wide.npy").read_bytes()[:-5])


def _idx(folder: Path) -> None:
    images = b"\0\0\x08\x03" + np.array([60, 3, 3], ">u4").tobytes() + bytes(540)
    labels = b"\0\0\x08\x01" + np.array([60], ">u4").tobytes() + bytes(i % 3 for i in range(60))
    contents = {
        "cut": images[:-7],
        "headless": images[:6],
        "magic": b"\x89PNG" + images,
        "gzip-cut": gzip.compress(images)[:-12],
        "gzip-flipped": _flipped(gzip.compress(images), -6),
        "swapped": labels,
    }
    for name, content in contents.items():
        (folder / f"{name}-images").write_bytes(content)
        (folder / f"{name}-labels").write_bytes(labels)
    (folder / "alone-images").write_bytes(images)
    (folder / "data" / "mnist").mkdir(parents=True)
    (folder / "data" / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))


def _runs(folder: Path) -> None:
    def damaged(name: str, damage: Callable[[Path], object]) -> None:
        shutil.copytree(folder / "npz_run", folder / name)
        damage(folder / name)

    damaged("flipped_run", lambda run: _flip(max((run / "checkpoints/final/arrays").rglob("*"), key=_size)))
    damaged(
        "flipped_arrays_run", lambda run: _flip(max((run / "checkpoints/final/arrays/state/d").iterdir(), key=_size))
    )
    damaged("other_digest_run", lambda run: _edit(run / "checkpoints/final/manifest.json", _with_digest))
    damaged("unfinished_run", lambda run: shutil.rmtree(run / "checkpoints"))
    damaged("cut_run", lambda run: _cut(run / "experiment.json"))
    damaged("cut_manifest_run", lambda run: _cut(run / "checkpoints/final/manifest.json"))
    damaged("no_manifest_run", lambda run: (run / "checkpoints/final/manifest.json").unlink())
    damaged("no_arrays_run", lambda run: shutil.rmtree(run / "checkpoints/final/arrays"))
    damaged("cut_findings_run", lambda run: (run / "findings.json").write_text("[{"))
    damaged("damaged_history_run", lambda run: (run / "history.jsonl").write_text("{\n{}\n"))
    damaged("other_data_run", lambda run: _edit(run / "experiment.json", _with_path(folder / "later.npz")))
    damaged("no_data_run", lambda run: _edit(run / "experiment.json", _with_path(folder / "gone.npz")))
    damaged("bare_run", lambda run: _edit(run / "experiment.json", lambda content: {**content, "resumable": False}))
    damaged("newer_run", lambda run: _edit(run / "experiment.json", lambda content: {**content, "format": 99}))
    damaged("wider_run", lambda run: _edit(run / "experiment.json", _with_hidden))
    (folder / "damaged_certificate.json").write_text('{"verdict": "passed"')
    (folder / "other.json").write_text('{"colour": "red"}')
    (folder / "damaged_study.json").write_text('{"trials": [{}], "objective": "validation/loss"}')


def _models(folder: Path) -> None:
    def damaged(name: str, damage: Callable[[Path], object]) -> None:
        shutil.copytree(folder / "npz.vx", folder / name)
        damage(folder / name)

    damaged("cut_weights.vx", lambda model: _cut(model / "weights.safetensors"))
    damaged("flipped_weights.vx", lambda model: _flip(model / "weights.safetensors"))
    damaged("no_weights.vx", lambda model: (model / "weights.safetensors").unlink())
    damaged("no_program.vx", lambda model: (model / "program.stablehlo").unlink())
    damaged("edited.vx", lambda model: _edit(model / "signature.json", lambda content: {**content, "temperature": 2.0}))
    damaged("cut_signature.vx", lambda model: _cut(model / "signature.json"))
    damaged("newer.vx", lambda model: _edit(model / "signature.json", lambda content: {**content, "format": 99}))
    damaged("other_kind.vx", lambda model: _edit(model / "signature.json", lambda content: {"kind": "lens"}))


def _with_path(path: Path) -> Callable[[dict], dict]:
    return lambda content: {**content, "hyperparameters": {**content["hyperparameters"], "path": str(path)}}


def _with_hidden(content: dict) -> dict:
    return {**content, "hyperparameters": {**content["hyperparameters"], "hidden": 7}}


def _with_digest(content: dict) -> dict:
    return {**content, "leaves": [{**leaf, "sha256": "0" * 64} for leaf in content["leaves"]]}


def _edit(path: Path, change: Callable[[dict], dict]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    path.write_bytes(_flipped(path.read_bytes(), path.stat().st_size // 2))


def _flipped(content: bytes, at: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 0xFF
    return bytes(changed)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
