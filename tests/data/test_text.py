"""Text as windows of tokens, split by position."""

import json
import string
import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest

import verax as vx
from verax.data import Schema, check_data, from_text
from verax.findings import InputError

TEXT = "abcdefghij" * 10


def loaded(text=TEXT, **changes):
    return from_text(text=text, **{"context": 4, **changes}).load()


def read(dataset, rows):
    return ["".join(dataset.schema.classes[token] for token in row) for row in rows]


def test_targets_are_the_tokens_after_the_inputs():
    dataset = loaded(validation=0, test=0)
    train = dataset.raw("train")
    assert train.inputs.shape == train.targets.shape == (24, 4)  # of 100 tokens 24 windows and the token after each
    assert read(dataset, train.inputs)[:3] == ["abcd", "efgh", "ijab"]
    assert read(dataset, train.targets)[:3] == ["bcde", "fghi", "jabc"]
    assert "".join(read(dataset, train.inputs)) == TEXT[:96]


@pytest.mark.parametrize("stride", [1, 3, 4, 7])
@pytest.mark.parametrize("context", [1, 4, 9])
def test_windows_are_those_of_a_loop_in_every_split(context, stride):
    dataset = loaded(context=context, stride=stride, validation=0.2, calibration=0.1, test=0.1)
    begin = 0
    for split, length in {"train": 60, "validation": 20, "calibration": 10, "test": 10}.items():
        part = TEXT[begin : begin + length]
        starts = range(0, length - context, stride)
        assert read(dataset, dataset.raw(split).inputs) == [part[at : at + context] for at in starts]
        assert read(dataset, dataset.raw(split).targets) == [part[at + 1 : at + 1 + context] for at in starts]
        begin += length


def test_no_window_crosses_a_boundary():
    """Each part has letters of its own; a window that crossed would show those of two."""
    text = "a" * 50 + "ab" * 5 + "c" * 20 + "d" * 20
    dataset = loaded(text, stride=1, validation=0.2, test=0.2, vocabulary="abcd")
    assert set("".join(read(dataset, dataset.raw("train").inputs))) == {"a", "b"}
    for split, letter in (("validation", "c"), ("test", "d")):
        both = [*read(dataset, dataset.raw(split).inputs), *read(dataset, dataset.raw(split).targets)]
        assert set("".join(both)) == {letter}


def test_the_split_can_be_changed_like_that_of_every_source():
    source = from_text(text=TEXT, context=4).split(test=0.3, validation=0)
    assert source.load().splits == ("train", "test")
    assert read(source.load(), source.load().raw("test").inputs)[0] == TEXT[70:74]
    assert source.load().rows == {}


@pytest.mark.parametrize(("letters", "dtype"), [(2, "uint8"), (256, "uint8"), (257, "uint16")])
def test_tokens_take_the_smallest_type(letters, dtype):
    text = "".join(chr(1000 + letter) for letter in range(letters)) * 5
    dataset = loaded(text, validation=0, test=0)
    assert dataset.schema.dtype == dataset.raw("train").targets.dtype == dtype
    assert len(dataset.schema.classes) == letters
    assert "".join(read(dataset, dataset.raw("train").inputs)) == text[: dataset.raw("train").inputs.size]


def test_a_character_that_train_never_shows_is_an_error_or_unknown():
    text = TEXT[:80] + "ab€dé" * 4
    message = r"validation row 2: token-unseen-in-train: .*first '€'(.|\n)*test row 2: .*(.|\n)*unknown="
    with pytest.raises(InputError, match=message):
        loaded(text)
    dataset = loaded(text, unknown="?")
    assert dataset.schema.classes == (*"abcdefghij", "?")
    assert read(dataset, dataset.raw("test").inputs) == ["ab?d", "?ab?"]
    assert loaded(text, unknown="a").schema.classes == tuple("abcdefghij")
    given = loaded(text, vocabulary="é€" + string.ascii_lowercase)
    assert given.schema.classes[:3] == ("é", "€", "a")
    with pytest.raises(InputError, match=r"train row 0: .*80 characters that vocabulary lacks|vocabulary lacks"):
        loaded(text, vocabulary="€é")


def test_bytes_know_every_text():
    dataset = loaded("aé€" * 20, level="byte")
    assert len(dataset.schema.classes) == 256 and dataset.schema.classes[97] == "a"
    assert dataset.schema.classes[0xC3] == "\\xc3"
    train = bytes(np.asarray(dataset.raw("train").inputs).ravel().tolist())
    assert ("aé€" * 20).encode().startswith(train)


def test_files_are_read_when_loaded_and_again_when_they_change(tmp_path):
    path = tmp_path / "novel.txt"
    source = from_text(path, context=4)
    path.write_text(TEXT)
    first = source.load()
    assert first.name == "novel" and from_text(str(path), context=4).load() is first
    path.write_text(TEXT * 2)
    assert source.load().raw("train").size > first.raw("train").size


def test_the_schema_says_text_and_survives_json():
    schema = loaded().schema
    assert (schema.kind, schema.shape, schema.target) == ("text", (4,), "next token")
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema
    np.testing.assert_array_equal(schema.encode(np.zeros((2, 4), np.uint8)), np.zeros((2, 4)))


def test_the_fingerprint_follows_text_context_and_split():
    first = loaded().fingerprint
    assert loaded().fingerprint == first
    others = [loaded(context=5), loaded(test=0.2), loaded(stride=2), loaded("b" + TEXT[1:])]
    assert len({first, *(each.fingerprint for each in others)}) == 5


def test_tokens_are_sound_data_without_remarks():
    assert check_data(loaded(), task="language_model", outputs_shape=(8, 4, 10), batch_size=8) == ()


def test_overlapping_windows_take_the_memory_of_the_text():
    """A megabyte of text, a window at every character: 64 MB if they were copied."""
    text = TEXT * 10_000
    source = from_text(text=text, context=64, stride=1)
    tracemalloc.start()
    try:
        dataset = source.load()
        _ = dataset.fingerprint
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    train = dataset.raw("train")
    assert train.size == 800_000 - 64 and train.inputs.nbytes > 50e6
    assert peak < 40e6
    assert not train.inputs.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        train.inputs[0, 0] = 1


def test_tiny_shakespeare_has_its_65_characters(data_folder):
    dataset = from_text(data_folder / "text" / "tinyshakespeare.txt", context=64, stride=1, test=0).load()
    assert len(dataset.schema.classes) == 65
    assert (dataset.raw("train").size + 64, dataset.raw("validation").size + 64) == (1_003_854, 111_540)
    assert read(dataset, dataset.raw("train").inputs[:1])[0].startswith("First Citizen:\nBefore we proceed")


def test_a_network_of_one_table_learns_what_follows_what():
    """A bigram model: the targets must fit the inputs position by position."""

    def init(key, tokens):
        return {"table": jnp.zeros((10, 10))}

    def apply(params, tokens):
        return params["table"][tokens.astype(jnp.int32)]

    import optax

    losses = vx.objective_from_loss(
        lambda outputs, batch: optax.softmax_cross_entropy_with_integer_labels(
            outputs, batch.targets.astype(jnp.int32)
        ).mean(axis=1)
    )
    run = vx.train(
        vx.Experiment((init, apply), losses, optax.adam(0.3), from_text(text=TEXT, context=4), batch_size=5, epochs=20)
    )
    table = np.asarray(run.variables.params["table"])
    assert (table.argmax(axis=1) == (np.arange(10) + 1) % 10).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "takes the path of a file or text=, one of them"),
        ({"path": "a.txt", "text": "a"}, "one of them"),
        ({"path": "To be\nor not"}, r"got a text of 12 characters\. Pass it as text="),
        ({"text": TEXT, "context": 0}, "context must be a whole number of at least 1, got 0"),
        ({"text": TEXT, "stride": True}, "stride must be a whole number of at least 1, got True"),
        ({"text": TEXT, "validation": 1.0}, r"validation must be a fraction of the text in \[0, 1\), got 1.0"),
        ({"text": TEXT, "validation": 0.5, "test": 0.5}, "must leave text to train on"),
        ({"text": TEXT, "level": "bytes"}, "level must be .*Did you mean 'byte'"),
        ({"text": TEXT, "level": "byte", "unknown": "?"}, "bytes are always known"),
        ({"text": TEXT, "unknown": "??"}, "unknown must be one character"),
        ({"text": TEXT, "vocabulary": "aa"}, "vocabulary must be a text of distinct characters"),
        ({"text": TEXT, "vocabulary": ""}, "vocabulary must be a text of distinct characters"),
    ],
)
def test_a_wrong_argument_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        from_text(**{"context": 4, **arguments})


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (
            TEXT.encode(),
            {"context": 10},
            r"(?s)validation: empty-split: a window .* need 11 tokens, .* has 10\..*test: ",
        ),
        (b"", {}, "the text is empty"),
        (b"abc\xff" * 50, {}, r"must be UTF-8, but byte 3 is not\. Convert it, or pass level='byte'"),
    ],
    ids=["short", "empty", "latin"],
)
def test_a_file_that_does_not_do_is_refused(tmp_path, content, changes, message):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        from_text(path, **{"context": 4, **changes}).load()


def test_a_missing_file_is_named_with_its_neighbours(tmp_path):
    (tmp_path / "novel.txt").write_text(TEXT)
    with pytest.raises(InputError, match=r"no such file\. Did you mean 'novel.txt'"):
        from_text(tmp_path / "novel.tx", context=4).load()
