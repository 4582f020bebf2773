"""A model folder is read as it was written, or refused with what is wrong with it."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export as jax_export

from tests.export.cases import sign_again
from verax import export
from verax.findings import InputError


def change_byte(path, at=-1):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def edit(folder, **changes):
    place = folder / "signature.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


FAULTS = {
    "a flipped bit in the weights": (
        lambda folder: change_byte(folder / "weights.safetensors"),
        "weights.safetensors was changed or damaged: SHA-256",
    ),
    "a flipped bit in the program": (
        lambda folder: change_byte(folder / "program.stablehlo", 1000),
        "program.stablehlo was changed or damaged: SHA-256",
    ),
    "a truncated program": (
        lambda folder: cut(folder / "program.stablehlo", 100),
        "program.stablehlo is cut short: .* bytes expected, found 100. Copy it again",
    ),
    "an edited signature": (
        lambda folder: edit(folder, classes=["owl", "dog", "cat"]),
        "must be as it was written, but its digest does not fit: it was edited",
    ),
    "a truncated signature": (lambda folder: cut(folder / "signature.json", 50), "must be JSON, .* at 50 bytes"),
    "an empty signature": (lambda folder: cut(folder / "signature.json", 0), "must be JSON, .* cut short at 0 bytes"),
    "a missing file": (
        lambda folder: remove(folder / "weights.safetensors"),
        "missing-file: .*weights.safetensors is expected, found only program.stablehlo, signature.json",
    ),
    "no signature": (
        lambda folder: remove(folder / "signature.json"),
        "must be a model folder with a signature.json, found program.stablehlo, weights.safetensors",
    ),
    "nothing at all": (remove, "path must be a model folder .*, but nothing is at"),
    "a newer format": (lambda folder: edit(folder, format=2), "must have format 1, found 2, written by verax 0"),
    "another kind of file": (lambda folder: edit(folder, kind="recipe"), "of kind 'verax model', found 'recipe'"),
    "another platform": (
        lambda folder: sign_again(folder, platforms=("tpu",)),
        r"must run on one of \['tpu'\], but this process runs on 'cpu'. Set JAX_PLATFORMS=tpu",
    ),
    "64-bit numbers": (lambda folder: sign_again(folder, x64=True), "computes with 64-bit numbers, but they are off"),
    "weights of other names": (
        lambda folder: sign_again(folder, weights={"params/kernel": "float32[2]"}),
        "must hold the weights that the signature lists",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_model_is_refused(copied, fault):
    export.load(copied)  # healthy before
    plant, message = FAULTS[fault]
    plant(copied)
    with pytest.raises(InputError, match=message):
        export.load(copied)


def test_all_damaged_files_are_named(copied):
    change_byte(copied / "weights.safetensors")
    cut(copied / "program.stablehlo", 10)
    with pytest.raises(InputError) as error:
        export.load(copied)
    assert [finding.id for finding in error.value.findings] == ["wrong-digest", "wrong-size"]


def test_a_file_is_not_a_folder(saved):
    with pytest.raises(InputError, match=r"is a file\. Is it the folder that it lies in"):
        export.load(saved / "weights.safetensors")


def test_a_run_folder_is_told_from_a_model(copied):
    with pytest.raises(InputError, match=r"Did you mean .*model\.vx"):
        export.load(copied.parent)


def test_weights_of_another_shape_do_not_fit_the_program(copied, table):
    other = table.save(copied.parent / "other.vx")
    shutil.copy(copied.parent / "other.vx" / "weights.safetensors", copied)
    sign_again(copied, weights=other.signature.weights)
    with pytest.raises(InputError, match=r"does not fit the weights: .*params/hidden/bias"):
        export.load(copied)


@pytest.mark.parametrize(
    ("version", "until", "message"),
    [
        (1, "2024-01-01", r"calling convention 1 is not among .* until 2024-01-01, a day that has passed. Export"),
        (99, "2999-01-01", r"calling convention 99 is not among .* a newer JAX writes what an older one cannot read"),
    ],
)
def test_a_program_of_another_age_is_refused(copied, version, until, message):
    program = export.load(copied).stablehlo[0]
    aged = dataclasses.replace(program, calling_convention_version=version)
    (copied / "program.stablehlo").write_bytes(aged.serialize())
    sign_again(copied, promised_until=until)
    with pytest.raises(InputError, match=message):
        export.load(copied)


def test_a_program_that_jax_refuses_is_refused_in_its_own_words(copied, monkeypatch):
    def expired(content):
        raise ValueError("Exported being deserialized seems to be older than the 6-month window")

    monkeypatch.setattr(jax_export, "deserialize", expired)
    with pytest.raises(
        InputError, match=r"must be readable by JAX .*ValueError: Exported being .* older than the 6-month"
    ):
        export.load(copied)


def test_a_program_of_garbage_is_refused(copied):
    (copied / "program.stablehlo").write_bytes(b"x" * 500)
    sign_again(copied)
    with pytest.raises(InputError, match=r"must be readable by JAX"):
        export.load(copied)


def test_a_program_that_calls_back_into_python_is_refused(copied, mlp):
    target = "xla_ffi_python_cpu_callback"

    def program(weights, raw):
        called = jax.ffi.ffi_call(target, jax.ShapeDtypeStruct(raw.shape, raw.dtype))(raw)
        return {"outputs": called[:, :3], "probabilities": called[:, :3] + sum(map(jnp.sum, weights.values()))}

    weights = {path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for path, leaf in export.load(copied).weights.items()}
    allowed = [jax_export.DisabledSafetyCheck.custom_call(target)]
    forged = jax_export.export(jax.jit(program), disabled_checks=allowed)(
        weights, jax.ShapeDtypeStruct((7, 4), jnp.float32)
    )
    (copied / "program.stablehlo").write_bytes(forged.serialize())
    sign_again(copied)
    with pytest.raises(InputError, match=f"must be a pure program, but it calls back into Python .*{target}"):
        export.load(copied)


def test_nothing_is_unpickled(copied):
    (copied / "weights.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    sign_again(copied)
    with pytest.raises(InputError, match="must be a safetensors file, but reading it failed"):
        export.load(copied)


def test_a_loaded_model_can_be_traced(saved, mlp):
    exported = export.load(saved)
    expected = exported.predict(mlp.raw)
    found = jax.jit(exported.call)(exported.weights, mlp.raw)
    np.testing.assert_array_equal(found["probabilities"], expected["probabilities"])
