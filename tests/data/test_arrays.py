"""Sources over arrays and .npz files."""

import jax.numpy as jnp
import numpy as np
import pytest

from verax.data import Dataset, from_arrays, from_npz, load
from verax.findings import InputError

INPUTS = np.arange(40, dtype=np.float32).reshape(20, 2)
LABELS = np.arange(20) % 2


def whole(source):
    return source.split(0, 0, 0).load()


@pytest.mark.parametrize(
    "as_given", [np.asarray, jnp.asarray, lambda array: array.astype(array.dtype.newbyteorder(">"))]
)
def test_arrays_come_back_as_they_were_read_only(as_given):
    inputs, targets = whole(from_arrays(as_given(INPUTS), as_given(LABELS.astype(np.int32)))).raw("train")
    np.testing.assert_array_equal(inputs, INPUTS)
    np.testing.assert_array_equal(targets, LABELS)
    assert inputs.dtype == np.float32 and targets.dtype == np.int32
    assert inputs.dtype.isnative and not inputs.flags.writeable


@pytest.mark.parametrize(
    "given, kept",
    [("float64", "float32"), ("int64", "int32"), ("uint64", "uint32"), ("uint8", "uint8"), ("float16", "float16")],
)
def test_types_of_64_bits_become_those_that_jax_computes_in(given, kept):
    assert whole(from_arrays(INPUTS.astype(given), LABELS)).raw("train").inputs.dtype == kept


def test_values_that_do_not_fit_are_never_changed_in_silence():
    inputs = INPUTS.astype(np.float64)
    inputs[3, 1] = 1e300
    assert whole(from_arrays(inputs, LABELS)).raw("train").inputs[3, 1] == 1e300


def test_booleans_are_labels_and_texts_are_classes():
    assert whole(from_arrays(INPUTS, LABELS == 1)).raw("train").targets.dtype == np.int32
    named = whole(from_arrays(INPUTS, np.where(LABELS, "cat", "ant")))
    assert named.schema.classes == ("ant", "cat")
    np.testing.assert_array_equal(named.raw("train").targets, LABELS)
    ordered = whole(from_arrays(INPUTS, np.where(LABELS, "cat", "ant"), classes=["cat", "ant"]))
    np.testing.assert_array_equal(ordered.raw("train").targets, 1 - LABELS)
    assert whole(from_arrays(INPUTS, [str(label * 10 + 9) for label in LABELS])).schema.classes == ("9", "19")


def test_the_kind_of_input_is_told_by_its_form():
    assert whole(from_arrays(INPUTS, LABELS)).schema.kind == "array"
    assert whole(from_arrays(np.zeros((20, 8, 8), np.uint8), LABELS)).schema.kind == "image"
    assert whole(from_arrays(np.zeros((20, 8, 8, 3), np.uint8), LABELS)).schema.kind == "image"
    assert whole(from_arrays(np.zeros((20, 8, 8), np.float32), LABELS)).schema.kind == "array"
    tree = whole(from_arrays({"a": INPUTS}, LABELS)).schema
    assert tree.kind == "tree" and tree.shape == ()


def test_a_data_set_belongs_to_its_source():
    source = from_arrays(INPUTS, LABELS)
    assert source.load() is source.load()
    assert source.load() is not from_arrays(INPUTS, LABELS).load()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: from_arrays(), "needs inputs and targets, or train="),
        (lambda: from_arrays(INPUTS), "targets must be given, got None"),
        (lambda: from_arrays(None, LABELS), "inputs must be given, got None"),
        (lambda: from_arrays(INPUTS, LABELS, train=(INPUTS, LABELS)), "got both"),
        (lambda: from_arrays(test=(INPUTS, LABELS)), "needs inputs and targets, or train="),
        (
            lambda: from_arrays(INPUTS, LABELS[:-1]),
            "length-mismatch: all arrays must have the same number of rows, found inputs 20, targets 19",
        ),
        (lambda: from_arrays(INPUTS[:0], LABELS[:0]), r"empty-split: inputs has no rows, shape \(0, 2\)"),
        (
            lambda: from_arrays(INPUTS.astype(complex), LABELS),
            r"wrong-dtype: inputs must be numbers, found complex128 of shape \(20, 2\)",
        ),
        (lambda: from_arrays(INPUTS.astype(object), LABELS), "wrong-dtype: inputs must be numbers, found object"),
        (lambda: from_arrays(INPUTS.astype(str), LABELS), "found <U32 .* from_csv"),
        (
            lambda: from_arrays({"a": 3.0}, [0, 1]),
            "wrong-rank: inputs/a must have a leading axis .* NumPy arrays",
        ),
        (lambda: from_arrays([[1, 2], [3]], [0, 1]), "inputs must have rows of the same length"),
        (lambda: from_arrays({}, LABELS), "empty-split: there are no inputs"),
        (
            lambda: from_arrays(INPUTS, np.where(LABELS, "cat", "dog"), classes=["cat", "dogs"]),
            "must be among the classes, got 'dog' at index 0. Did you mean 'dogs'",
        ),
        (lambda: from_arrays(INPUTS, LABELS, classes=["a", "a"]), "classes must be distinct"),
        (
            lambda: from_arrays(train=(INPUTS, LABELS), test=(INPUTS[:, :1], LABELS)),
            r"test: split-mismatch: inputs must be float32\[2\] a row as in train, found float32\[1\]",
        ),
        (
            lambda: from_arrays(train=(INPUTS, LABELS), validation=(INPUTS.astype(np.uint8), LABELS)),
            r"validation: split-mismatch: .* found uint8\[2\]",
        ),
        (
            lambda: from_arrays(train=({"a": INPUTS}, LABELS), test=({"b": INPUTS}, LABELS)),
            "inputs/a must be .* found nothing",
        ),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused_at_once(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_all_problems_are_reported_together():
    with pytest.raises(InputError) as error:
        from_arrays(train=(INPUTS.astype(complex), LABELS[:3]), test=(INPUTS[:0], LABELS))
    assert sorted(finding.id for finding in error.value.findings) == [
        "empty-split",
        "length-mismatch",
        "length-mismatch",
        "wrong-dtype",
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("x", "y", "x_test", "y_test"),
        ("inputs", "targets", "x_test", "y_test"),
    ],
)
def test_usual_names_in_an_npz_file_are_found(tmp_path, names):
    np.savez(tmp_path / "data.npz", **dict(zip(names, (INPUTS, LABELS, INPUTS[:5], LABELS[:5]), strict=True)))
    dataset = from_npz(tmp_path / "data.npz").split(validation=0, calibration=0).load()
    assert dataset.name == "data" and dataset.splits == ("train", "test")
    np.testing.assert_array_equal(dataset.raw("train").inputs, INPUTS)
    np.testing.assert_array_equal(dataset.raw("test").targets, LABELS[:5])


def test_arrays_in_an_npz_file_are_chosen_by_key(tmp_path):
    np.savez(tmp_path / "data.npz", pictures=INPUTS, answers=LABELS, others=INPUTS[:5], known=LABELS[:5])
    source = from_npz(tmp_path / "data.npz", inputs="pictures", targets="answers", test=("others", "known"))
    assert source.split(validation=0, calibration=0).load().splits == ("train", "test")


def test_a_file_is_read_once_until_it_changes(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x=INPUTS, y=LABELS)
    first = from_npz(path).load()
    assert from_npz(path).load() is first
    assert from_npz(path).split(seed=1).load() is not first
    np.savez(path, x=np.concatenate([INPUTS, INPUTS]), y=np.concatenate([LABELS, LABELS]))
    assert from_npz(path).load().raw("train").size == 24


def test_nothing_is_read_before_load(tmp_path):
    source = from_npz(tmp_path / "later.npz").split(test=0.5)
    np.savez(tmp_path / "later.npz", x=INPUTS, y=LABELS)
    assert source.load().raw("test").size == 10


def test_files_that_cannot_be_read_say_what_was_expected(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x=INPUTS, y=LABELS)
    content = path.read_bytes()
    cases = {
        "cut.npz": (content[: len(content) // 2], "must be an .npz file, but it cannot be read as one"),
        "empty.npz": (b"", "cannot be read as one"),
        "text.npz": (b"x,y\n1,2\n", "cannot be read as one"),
        "flipped.npz": (content.replace(INPUTS.tobytes()[8:16], b"\xff" * 8), "'x' cannot be read"),
    }
    for name, (broken, message) in cases.items():
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(InputError, match=message):
            from_npz(tmp_path / name).load()
    with pytest.raises(InputError, match=r"there is no such file. Did you mean 'data.npz'"):
        from_npz(tmp_path / "dat.npz").load()
    with pytest.raises(InputError, match="does not exist"):
        from_npz(tmp_path / "no" / "data.npz").load()
    with pytest.raises(InputError, match="it is a folder"):
        from_npz(tmp_path).load()


def test_wrong_contents_of_an_npz_file_are_named(tmp_path):
    np.savez(tmp_path / "data.npz", x=INPUTS, yy=LABELS, held=np.array([{}, []], dtype=object))
    with pytest.raises(InputError, match="must have arrays with the usual names"):
        from_npz(tmp_path / "data.npz").load()
    with pytest.raises(InputError, match=r"has no array 'y'. Did you mean 'yy'"):
        from_npz(tmp_path / "data.npz", inputs="x", targets="y").load()
    with pytest.raises(InputError, match="'held' cannot be read: it is damaged, or holds Python objects"):
        from_npz(tmp_path / "data.npz", inputs="x", targets="held").load()
    np.save(tmp_path / "one.npy", INPUTS)
    with pytest.raises(InputError, match=r"found a single .npy array of shape \(20, 2\)"):
        from_npz(tmp_path / "one.npy").load()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"inputs": "x"}, "are named together"),
        ({"inputs": "x", "targets": "y", "train": ("x", "y")}, "got both"),
        ({"test": ("x", "y")}, "needs the keys of the train split too"),
    ],
)
def test_wrong_keys_are_refused_before_anything_is_read(arguments, message):
    with pytest.raises(InputError, match=message):
        from_npz("nowhere.npz", **arguments)


def test_a_path_must_be_one():
    with pytest.raises(InputError, match="path must be the path of a file, got int 3"):
        from_npz(3)


def test_an_experiment_may_give_its_data_in_three_forms():
    source = from_arrays(INPUTS, LABELS)
    assert load(source) is source.load() is load(source.load())
    dataset = load({"train": (INPUTS, LABELS), "test": (INPUTS, LABELS)})
    assert isinstance(dataset, Dataset) and dataset.splits == ("train", "test")
    with pytest.raises(InputError, match=r"data must be a source such as .* got tuple"):
        load((INPUTS, LABELS))
