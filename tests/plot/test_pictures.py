import io

import numpy as np
import pytest
from PIL import Image

from verax import plot

LABELS = np.array([0, 1, 2, 0, 1])
PROBABILITIES = np.array([[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 1.0, 0.0]])
PREDICTIONS = PROBABILITIES.argmax(axis=1)  # rows 1, 2 and 3 are wrong, with 0.6, 0.8 and 0.7
GREY = np.arange(5 * 8 * 8, dtype=np.float32).reshape(5, 8, 8)


def test_the_most_confident_mistakes_come_first():
    found = plot.find_mistakes(GREY, LABELS, PREDICTIONS, PROBABILITIES, ["a", "b", "c"])
    assert found.rows.tolist() == [2, 3, 1]
    assert found.labels.tolist() == [2, 0, 1] and found.predictions.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(found.confidence, [0.8, 0.7, 0.6])
    assert (found.total, found.examples, found.classes) == (3, 5, ("a", "b", "c"))
    assert plot.find_mistakes(GREY, LABELS, PREDICTIONS, PROBABILITIES, count=1).rows.tolist() == [2]


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_images_of_any_kind_become_pictures(channels, dtype):
    images = np.random.default_rng(0).integers(0, 255, size=(5, 8, 6, *channels)).astype(dtype)
    found = plot.find_mistakes(images, LABELS, PREDICTIONS, PROBABILITIES)
    assert found.images.shape == ((3, 8, 6) if channels in ((), (1,)) else (3, 8, 6, 3))
    assert found.images.min() >= 0 and found.images.max() <= 1
    picture = Image.open(io.BytesIO(plot.png(found.images[0])))
    assert picture.size == (6, 8)


def test_bytes_keep_their_brightness():
    images = np.full((5, 4, 4), 102, np.uint8)
    found = plot.find_mistakes(images, LABELS, PREDICTIONS, PROBABILITIES)
    np.testing.assert_allclose(found.images, 0.4)
    assert Image.open(io.BytesIO(plot.png(found.images[0]))).convert("L").getpixel((0, 0)) == 102


def test_bytes_that_go_up_to_sixteen_are_not_black():
    images = np.arange(5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4) % 17
    found = plot.find_mistakes(images, LABELS, PREDICTIONS, PROBABILITIES)
    assert (found.images.min(), found.images.max()) == (0, 1)


def test_constant_and_missing_pixels_can_be_drawn():
    images = np.full((5, 4, 4), np.nan)
    assert not plot.find_mistakes(images, LABELS, PREDICTIONS, PROBABILITIES).images.any()


def test_large_images_are_thinned():
    images = np.zeros((5, 300, 200), np.uint8)
    assert plot.find_mistakes(images, LABELS, PREDICTIONS, PROBABILITIES).images.shape == (3, 75, 50)


def test_other_arrays_are_refused():
    with pytest.raises(
        ValueError, match=r"images must be grey or have 1, 3 or 4 channels at the end, got shape \(5, 8, 8, 2\)\."
    ):
        plot.find_mistakes(np.zeros((5, 8, 8, 2)), LABELS, PREDICTIONS, PROBABILITIES)


def test_a_figure_of_them_says_what_each_is_and_was_taken_for():
    figure = plot.worst_mistakes(GREY, LABELS, PREDICTIONS, PROBABILITIES, ["a", "b", "$c"])
    assert [ax.get_xlabel() for ax in figure.axes if ax.has_data()] == [
        "true: $c\nsaid: a\n80 % sure",
        "true: a\nsaid: b\n70 % sure",
        "true: b\nsaid: a\n60 % sure",
    ]
    assert plot.svg(figure, "mistakes", name="m")


def test_a_perfect_classifier_has_none():
    figure = plot.worst_mistakes(GREY, LABELS, LABELS, np.eye(3)[LABELS])
    assert [text.get_text() for text in figure.texts] == ["no mistake in 5 examples"]
