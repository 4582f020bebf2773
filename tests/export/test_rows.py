"""Raw rows from files of every kind, and files that are damaged or do not fit the model."""

import gzip
import json

import numpy as np
import pytest
from PIL import Image

from tests.export.cases import table_case
from verax.data import Schema
from verax.export import read_rows
from verax.findings import InputError

GREY, COLOUR = Schema("image", (8, 6), "uint8"), Schema("image", (8, 6, 3), "uint8")
NUMBERS, TABLE = Schema("array", (2,), "float32"), table_case().schema
PIXELS, COLOURS = np.arange(48, dtype=np.uint8).reshape(8, 6), np.array([1, 2, 3], np.uint8)


def test_a_csv_file_gives_dicts_by_column(tmp_path):
    (tmp_path / "rows.csv").write_text("age, work, hours\n39, State, 40\n50, Private, ?\n")
    rows = read_rows(tmp_path / "rows.csv", TABLE)
    assert rows == [{"age": "39", "work": "State", "hours": "40"}, {"age": "50", "work": "Private", "hours": "?"}]
    np.testing.assert_array_equal(TABLE.encode(rows), [[39, 1, 40], [50, 0, np.nan]])


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "one.json"])
def test_json_gives_dicts_by_column(tmp_path, name):
    rows = [{"age": 39, "work": "State", "hours": None}, {"age": 50, "work": "Private", "hours": 60}]
    rows = rows[:1] if name == "one.json" else rows
    text = {"rows.json": json.dumps(rows), "one.json": json.dumps(rows[0])}
    (tmp_path / name).write_text(text.get(name, "\n".join(map(json.dumps, rows)) + "\n\n"))
    assert read_rows(tmp_path / name, TABLE) == rows


def test_arrays_come_from_json_npy_npz_and_idx(tmp_path):
    array = np.array([[1, 2], [3, 4]], np.float32)
    (tmp_path / "a.json").write_text("[[1, 2], [3, 4]]")
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "one.npz", anything=array)
    np.savez(tmp_path / "two.npz", labels=np.zeros(2), inputs=array)
    for name in ("a.json", "a.npy", "one.npz", "two.npz"):
        np.testing.assert_array_equal(read_rows(tmp_path / name, NUMBERS), array)
    header = bytes([0, 0, 8, 3]) + np.array([1, 8, 6], ">u4").tobytes()
    (tmp_path / "images-ubyte").write_bytes(header + PIXELS.tobytes())
    (tmp_path / "images-ubyte.gz").write_bytes(gzip.compress(header + PIXELS.tobytes()))
    for name in ("images-ubyte", "images-ubyte.gz"):
        np.testing.assert_array_equal(read_rows(tmp_path / name, GREY), PIXELS[None])


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_grey_picture_is_read_from_any_mode(tmp_path, mode):
    Image.fromarray(PIXELS).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_rows(tmp_path / "a.png", GREY), PIXELS[None])
    flat = Schema("image", (8, 6, 1), "uint8")
    np.testing.assert_array_equal(read_rows(tmp_path / "a.png", flat), PIXELS[None, ..., None])


def test_a_colour_picture_is_read_for_a_colour_model(tmp_path):
    colours = np.stack([PIXELS, PIXELS + 1, PIXELS + 2], axis=-1)
    Image.fromarray(colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_rows(tmp_path / "a.png", COLOUR), colours[None])


def write_png(path, pixels, mode=None):
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)


def transparent(path):
    Image.fromarray(np.zeros((8, 6, 4), np.uint8)).save(path)


def pickled(path):
    np.save(path, np.array([{"age": 1}], object), allow_pickle=True)


def cut_short(path):
    write_png(path, np.random.default_rng(0).integers(0, 256, (8, 6), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:-30])


WRONG = [
    ("none.csv", lambda path: None, TABLE, "must be a file with rows, but there is no such file"),
    ("rows.xlsx", lambda path: path.write_text("x"), TABLE, r"must be a file with rows \(.csv, .*got 'rows.xlsx'"),
    ("a.csv", lambda path: path.write_text("age,work,hours\n39,State\n"), TABLE, "line 2 must have 3 values"),
    ("b.csv", lambda path: path.write_text("39,1,40\n50,0,40\n"), TABLE, "must name the columns, found numbers only"),
    ("c.csv", lambda path: path.write_bytes(b"age\n\xff\xfe\n"), TABLE, "must be text in UTF-8, but byte 4"),
    ("d.csv", lambda path: path.write_text("a,b\n1,2\n"), GREY, r"uint8 of shape \(examples, 8, 6\), got the table"),
    ("a.json", lambda path: path.write_text('[{"age": 1},\n {"age"]'), TABLE, "must be JSON, but line 2 column 8"),
    ("b.json", lambda path: path.write_text("[]"), TABLE, "must hold a list of rows, found an empty list"),
    ("c.json", lambda path: path.write_text("3"), TABLE, "must hold a list of rows, found int"),
    ("d.json", lambda path: path.write_text("[[1, 2], [3]]"), NUMBERS, "found lists of different lengths"),
    ("a.jsonl", lambda path: path.write_text('{"age": 1}\n{"age":\n'), TABLE, "must be JSON, but line 2"),
    ("a.npy", pickled, NUMBERS, "must be a .npy file with numbers, but reading it failed"),
    ("b.npy", lambda path: path.write_bytes(b"\x93NUMPY\x01"), NUMBERS, "must be a .npy file with numbers"),
    ("a.npz", lambda path: path.write_bytes(b"PK\x03\x04 cut"), NUMBERS, "must be a .npz file with numbers"),
    ("b.npz", lambda path: np.savez(path, a=[1], b=[2]), NUMBERS, "one array, or one named 'inputs', found a, b"),
    ("a-ubyte", lambda path: path.write_bytes(b"hello"), GREY, "must be an IDX file"),
    ("a.png", lambda path: path.write_text("hello"), GREY, "must be a picture, but it is damaged or of another kind"),
    ("b.png", cut_short, GREY, "must be a picture, but it is damaged"),
    ("c.png", lambda path: write_png(path, PIXELS.T), GREY, "must be 6 x 8 pixels wide and high, found 8 x 6. Resize"),
    ("d.png", lambda path: write_png(path, PIXELS[..., None] * COLOURS), GREY, "must be grey, found colours"),
    ("e.png", transparent, GREY, "must have no transparent pixels"),
    ("f.png", lambda path: write_png(path, PIXELS.astype(np.uint16)), GREY, "8 bits a channel, found mode 'I;16'"),
    ("g.png", lambda path: write_png(path, PIXELS), TABLE, "a table with the columns age, work, hours, got the"),
    ("h.png", lambda path: write_png(path, PIXELS), Schema("image", (8, 6, 4), "uint8"), "which no picture has"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "plant", "schema", "message"), WRONG, ids=[case[0] for case in WRONG])
def test_a_wrong_file_is_refused(tmp_path, name, plant, schema, message):
    plant(tmp_path / name)
    with pytest.raises(InputError, match=message):
        read_rows(tmp_path / name, schema)
