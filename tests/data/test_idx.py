"""IDX files, plain and gzip, whole and damaged."""

import gzip
import struct

import numpy as np
import pytest

from verax.data import from_idx
from verax.findings import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 4, 3), np.uint8)
LABELS = np.arange(20, dtype=np.uint8) % 3


def idx(array, code=0x08):
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "images").write_bytes(idx(IMAGES))
    (folder / "labels").write_bytes(gzip.compress(idx(LABELS)))
    return folder


def test_plain_and_gzip_files_are_told_by_their_content(folder):
    dataset = from_idx(folder / "images", folder / "labels").split(0, 0, 0).load()
    np.testing.assert_array_equal(dataset.raw("train").inputs, IMAGES)
    np.testing.assert_array_equal(dataset.raw("train").targets, LABELS)
    assert dataset.raw("train").targets.dtype == np.int32
    assert (dataset.name, dataset.schema.kind, dataset.schema.shape) == ("pictures", "image", (4, 3))


def test_test_files_are_the_test_split(folder):
    (folder / "test-images").write_bytes(idx(IMAGES[:5]))
    (folder / "test-labels").write_bytes(idx(LABELS[:5]))
    source = from_idx(
        folder / "images",
        folder / "labels",
        test_images=folder / "test-images",
        test_labels=folder / "test-labels",
        classes=("a", "b", "c"),
    )
    dataset = source.load()
    assert dataset.splits == ("train", "validation", "calibration", "test")
    np.testing.assert_array_equal(dataset.raw("test").inputs, IMAGES[:5])
    assert dataset.schema.classes == ("a", "b", "c")


@pytest.mark.parametrize(
    "code, dtype, kept", [(0x0B, ">i2", "int16"), (0x0D, ">f4", "float32"), (0x0E, ">f8", "float32")]
)
def test_other_number_types_are_read(folder, code, dtype, kept):
    values = np.linspace(-9, 9, 40).reshape(20, 2).astype(dtype)
    (folder / "images").write_bytes(idx(values, code))
    inputs = from_idx(folder / "images", folder / "labels").split(0, 0, 0).load().raw("train").inputs
    assert inputs.dtype == kept
    np.testing.assert_allclose(inputs, values, rtol=1e-6)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "must be an IDX file, .* found an empty file"),
        (b"PK\x03\x04zip", "must be an IDX file, which begins with 00 00, .* found 50 4b 03 04"),
        (idx(IMAGES)[:8], "must have 3 axes in its header, but it ends after 8 bytes"),
        (idx(IMAGES)[:-7], r"must have 256 bytes for shape \(20, 4, 3\) as its header says, found 249"),
        (idx(IMAGES) + b"\0", "must have 256 bytes .* found 257"),
        (
            gzip.compress(idx(IMAGES), mtime=0)[:60],
            "must be a whole gzip file, but it is damaged or cut short at 60 bytes",
        ),
        (gzip.compress(idx(IMAGES), mtime=0)[:-8] + b"\0" * 8, "must be a whole gzip file"),
        (idx(LABELS), "images must have two axes or more and labels one, .* Were the files swapped"),
    ],
)
def test_damaged_files_say_what_was_expected(folder, content, message):
    (folder / "images").write_bytes(content)
    with pytest.raises(InputError, match=message):
        from_idx(folder / "images", folder / "labels").load()


def test_lengths_that_differ_are_an_error(folder):
    (folder / "labels").write_bytes(idx(LABELS[:-1]))
    with pytest.raises(InputError, match=r"length-mismatch: .* found inputs 20, targets 19"):
        from_idx(folder / "images", folder / "labels").load()


def test_missing_files_are_named(folder):
    with pytest.raises(InputError, match=r"must be an IDX file, but there is no such file. Did you mean 'labels'"):
        from_idx(folder / "images", folder / "label").load()


def test_test_files_come_in_pairs():
    with pytest.raises(InputError, match="are given together"):
        from_idx("images", "labels", test_images="test-images")
