"""Digits, and data sets that are found on disk or downloaded with a checksum."""

import gzip
import hashlib
import socket
import struct
import urllib.request

import numpy as np
import pytest

from verax.data import Source, check_data, digits, fashion_mnist, mnist
from verax.data._known import KnownFiles
from verax.findings import InputError

NAMES = ("train-images.gz", "train-labels.gz", "test-images.gz", "test-labels.gz")


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


ARRAYS = (np.arange(20 * 4).reshape(20, 2, 2), np.arange(20) % 2, np.arange(5 * 4).reshape(5, 2, 2), np.arange(5) % 2)
FILES = {name: idx(array) for name, array in zip(NAMES, ARRAYS, strict=True)}
DIGESTS = tuple((name, hashlib.sha256(content).hexdigest()) for name, content in FILES.items())


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A small data set on a site of its own, with nothing on disk."""
    site = tmp_path / "site"
    site.mkdir()
    put(site)
    monkeypatch.delenv("VERAX_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return site


def put(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)


def small(site):
    return Source("small", KnownFiles("small", site.as_uri() + "/", DIGESTS, ("a", "b")))


def test_digits_need_no_file_and_are_scaled_to_one():
    dataset = digits().load()
    assert (dataset.schema.kind, dataset.schema.shape, dataset.schema.dtype) == ("image", (8, 8), "uint8")
    assert dataset.schema.classes == tuple("0123456789")
    assert sum(dataset.raw(split).size for split in dataset.splits) == 1797
    inputs = dataset.examples("train").inputs
    assert inputs.dtype == np.float32 and inputs.min() == 0 and inputs.max() == 1
    assert digits().load() is dataset


def test_the_constant_border_of_the_digits_is_harmless():
    findings = check_data(digits().load(), task="classification", outputs_shape=(32, 10), batch_size=32)
    assert [(finding.id, finding.severity) for finding in findings] == [("constant-feature", "info")]


def test_missing_files_are_downloaded_once_whole_and_checked(site, tmp_path):
    dataset = small(site).load()
    np.testing.assert_array_equal(dataset.raw("test").inputs, ARRAYS[2])
    cache = tmp_path / "cache" / "verax" / "data" / "small"
    assert sorted(path.name for path in cache.iterdir()) == sorted(NAMES)
    for path in site.iterdir():
        path.unlink()
    np.testing.assert_array_equal(small(site).split(seed=5).load().raw("test").inputs, ARRAYS[2])


@pytest.mark.parametrize("below", ["", "small"])
def test_files_below_verax_data_are_used(site, tmp_path, monkeypatch, below):
    put(tmp_path / "mine" / below)
    for path in site.iterdir():
        path.unlink()
    monkeypatch.setenv("VERAX_DATA", str(tmp_path / "mine"))
    assert small(site).load().raw("test").size == 5
    assert not (tmp_path / "cache").exists()


def test_files_of_a_sister_set_in_verax_data_itself_are_not_mistaken(site, tmp_path, monkeypatch):
    put(tmp_path / "mine")
    (tmp_path / "mine" / NAMES[0]).write_bytes(idx(ARRAYS[0] + 1))
    monkeypatch.setenv("VERAX_DATA", str(tmp_path / "mine"))
    dataset = small(site).split(validation=0, calibration=0).load()
    np.testing.assert_array_equal(dataset.raw("train").inputs, ARRAYS[0])


def test_a_damaged_file_on_disk_is_named(site, tmp_path, monkeypatch):
    put(tmp_path / "mine" / "small")
    (tmp_path / "mine" / "small" / NAMES[1]).write_bytes(FILES[NAMES[1]][:-3])
    monkeypatch.setenv("VERAX_DATA", str(tmp_path / "mine"))
    with pytest.raises(InputError, match=r"train-labels.gz must have SHA-256 .* Delete it or put the right file there"):
        small(site).load()


def test_a_damaged_download_is_not_kept(site, tmp_path):
    (site / NAMES[0]).write_bytes(FILES[NAMES[0]][:-3])
    with pytest.raises(InputError, match=r"must have SHA-256 .* Nothing was kept"):
        small(site).load()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != site]


@pytest.mark.parametrize("where", ["cache", "VERAX_DATA"])
@pytest.mark.parametrize("make", [mnist, fashion_mnist])
def test_offline_the_error_names_every_file_and_the_folder(make, where, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise urllib.request.URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("VERAX_DATA", raising=False)
    name = make().name
    folder = tmp_path / "cache" / "verax" / "data" / name
    if where == "VERAX_DATA":
        monkeypatch.setenv("VERAX_DATA", str(tmp_path / "mine"))
        folder = tmp_path / "mine" / name
    with pytest.raises(InputError) as error:
        make().load()
    message = str(error.value)
    assert f"{name} needs 4 files that are not on this machine" in message and "Name or service not known" in message
    assert f"Put these files into {folder}:" in message
    for file in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        assert f"/{file}-ubyte.gz\n" in message
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("make, mean, deviation", [(mnist, 0.1307, 0.3081), (fashion_mnist, 0.2860, 0.3530)])
def test_the_published_sets_load_with_their_published_statistics(data_folder, monkeypatch, make, mean, deviation):
    monkeypatch.setenv("VERAX_DATA", str(data_folder))
    dataset = make().split(validation=0, calibration=0).load()
    assert dataset.raw("train").inputs.shape == (60_000, 28, 28) and dataset.raw("test").size == 10_000
    inputs = dataset.examples("train").inputs
    assert abs(float(inputs.mean()) - mean) < 1e-4 and abs(float(inputs.std()) - deviation) < 1e-4
