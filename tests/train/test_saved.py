import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.train.cases import experiment, same_bits
from verax.findings import InputError
from verax.network import Variables
from verax.train import TrainState, load_state, prepare, save_state
from verax.trees import leaves_by_path

PARAMS = {
    "half": jnp.arange(6, dtype=jnp.bfloat16).reshape(2, 3) / 7,
    "single": jnp.array([0.1, np.nan, -0.0, np.inf], jnp.float32),
    "scalar": jnp.float32(3.5),
    "empty": jnp.zeros((0, 3)),
    "list": [jnp.ones(2, jnp.int8), (jnp.array(True),)],
}
STATE = TrainState(
    jnp.int32(12),
    jax.random.key(5),
    Variables(PARAMS, {"batch_stats": {"mean": jnp.ones(3)}}),
    optax.adam(0.1).init({"w": jnp.ones((2, 2))}),
    {"carry": jax.random.split(jax.random.key(1), 3), "on host": np.arange(3.0), "count": np.int64(2**40)},
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_state(tmp_path_factory.mktemp("state") / "state", STATE)


@pytest.fixture
def copy(saved, tmp_path):
    """A saved state to be damaged."""
    return Path(shutil.copytree(saved, tmp_path / "state"))


def test_every_leaf_comes_back_bit_for_bit_and_of_its_own_dtype(saved):
    found = load_state(saved, STATE)
    assert same_bits(found, STATE)
    assert jax.tree.structure(found) == jax.tree.structure(STATE)
    for path, leaf in leaves_by_path(STATE).items():
        assert leaves_by_path(found)[path].dtype == leaf.dtype, path
    assert jax.random.normal(found.key) == jax.random.normal(STATE.key)


def test_the_values_of_the_state_to_compare_with_do_not_matter(saved):
    other = STATE.replace(key=jax.random.key(99), step=jnp.int32(0))
    assert same_bits(load_state(saved, other), STATE)


def test_the_state_of_a_run_comes_back(tmp_path):
    state = prepare(experiment(optimizer=optax.inject_hyperparams(optax.adam)(learning_rate=0.1))).state
    assert same_bits(load_state(save_state(tmp_path / "run", state), state), state)


def test_the_manifest_lists_every_leaf(saved):
    manifest = json.loads((saved / "manifest.json").read_text())
    entries = {entry["path"]: entry for entry in manifest["leaves"]}
    assert list(entries) == list(leaves_by_path(STATE))
    assert (entries["variables/params/half"]["shape"], entries["variables/params/half"]["dtype"]) == (
        [2, 3],
        "bfloat16",
    )
    assert len(entries["step"]["sha256"]) == 64


def test_a_state_is_not_overwritten_unless_that_is_said(tmp_path):
    path = save_state(tmp_path / "state", {"a": jnp.ones(2)})
    with pytest.raises(InputError, match=r"state exists already\. Choose another folder, or pass overwrite=True"):
        save_state(path, {"a": jnp.zeros(2)})
    assert same_bits(load_state(path, {"a": jnp.zeros(2)}), {"a": jnp.ones(2)})
    save_state(path, {"a": jnp.full(2, 3.0)}, overwrite=True)
    assert same_bits(load_state(path, {"a": jnp.zeros(2)}), {"a": jnp.full(2, 3.0)})
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


# Each kind of damage gives its own error.


def largest_file(folder):
    return max(
        (path for path in (folder / "arrays").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )


def arrays_of(folder):
    return [path for path in sorted((folder / "arrays").rglob("*")) if path.is_file()]


def test_a_flipped_byte_in_the_arrays_is_noticed(tmp_path):
    """Wherever in the largest file: in a number, in the compressed stream or in its index."""
    whole = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(64, 64)), jnp.float32)}
    path = save_state(tmp_path / "state", whole)
    file = largest_file(path)
    content = file.read_bytes()
    for position in np.linspace(0, len(content) - 1, 12).astype(int):
        changed = bytearray(content)
        changed[position] ^= 0x10
        file.write_bytes(changed)
        with pytest.raises(InputError, match=r"is damaged: arrays/.* has changed since it was written\. Use another"):
            load_state(path, whole)
    file.write_bytes(content)
    assert same_bits(load_state(path, whole), whole)


def test_a_truncated_file_is_noticed(copy):
    file = largest_file(copy)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match="is damaged"):
        load_state(copy, STATE)


def test_missing_arrays_are_noticed(copy):
    shutil.rmtree(copy / "arrays")
    with pytest.raises(InputError, match="is damaged"):
        load_state(copy, STATE)


def test_a_folder_without_a_manifest_holds_no_state(copy, tmp_path):
    (copy / "manifest.json").unlink()
    for path in (copy, tmp_path / "nowhere"):
        with pytest.raises(
            InputError, match=r"holds no saved state: manifest\.json is missing\. Expected a folder that"
        ):
            load_state(path, STATE)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"format": []}', '{"format": "one"}'])
def test_a_manifest_that_is_none_is_noticed(copy, content):
    (copy / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=r"is damaged: manifest\.json cannot be read\. Use another checkpoint"):
        load_state(copy, STATE)


def test_a_truncated_or_binary_manifest_is_noticed(copy):
    whole = (copy / "manifest.json").read_bytes()
    for content in (whole[:-40], b"\xff\xfe" + whole):
        (copy / "manifest.json").write_bytes(content)
        with pytest.raises(InputError, match=r"is damaged: manifest\.json cannot be read"):
            load_state(copy, STATE)


def test_a_flipped_byte_in_the_manifest_is_noticed(copy):
    """Wherever it is, unless it is in the white space between the entries."""
    file = copy / "manifest.json"
    whole = file.read_bytes()
    for position in range(0, len(whole), 37):
        changed = bytearray(whole)
        changed[position] ^= 0x02
        file.write_bytes(changed)
        try:
            assert same_bits(load_state(copy, STATE), STATE)
            assert whole[position : position + 1].isspace()
        except InputError as error:
            assert str(copy) in str(error)


def test_a_manifest_of_a_later_format_asks_for_an_update(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(InputError, match=r"has format 99, this Verax reads up to 1\. Update Verax"):
        load_state(copy, STATE)


def test_two_leaves_that_changed_places_are_noticed(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    leaves = manifest["leaves"]
    first, second = (
        next(i for i, leaf in enumerate(leaves) if leaf["path"] == path) for path in ("step", "opt_state/0/count")
    )
    leaves[first]["path"], leaves[second]["path"] = leaves[second]["path"], leaves[first]["path"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"manifest\.json has changed since it was written"):
        load_state(copy, STATE)


SMALL = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}


@pytest.mark.parametrize(
    ("like", "lines"),
    [
        ({**SMALL, "scale": jnp.ones(3)}, ["scale: expected float32[3], missing"]),
        ({"kernel": SMALL["kernel"]}, ["bias: not expected, found float32[3]"]),
        ({**SMALL, "bias": jnp.zeros(4)}, ["bias: expected float32[4], found float32[3]"]),
        ({**SMALL, "bias": jnp.zeros(3, jnp.float16)}, ["bias: expected float16[3], found float32[3]"]),
        ({**SMALL, "bias": jnp.zeros(3, jnp.int8)}, ["bias: expected int8[3], found float32[3]"]),
        (
            {"kernel": jnp.ones((3, 2)), "key": jax.random.key(0)},
            [
                "bias: not expected, found float32[3]",
                "kernel: expected float32[3,2], found float32[2,3]",
                "key: expected key<fry>[], missing",
            ],
        ),
    ],
    ids=["missing", "unexpected", "shape", "precision", "kind", "all at once"],
)
def test_a_state_that_does_not_fit_is_named_leaf_by_leaf_and_never_cast(tmp_path, like, lines):
    path = save_state(tmp_path / "state", SMALL)
    with pytest.raises(InputError) as caught:
        load_state(path, like)
    first, *rest = str(caught.value).splitlines()
    assert first == f"the state in {path} does not fit:"
    assert [line.strip() for line in rest] == lines
