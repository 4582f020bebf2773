"""What holds for every picture, and what each one shows."""

import inspect
import io

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from verax import plot
from verax.evaluate import calibration, regression_calibration, score
from verax.train import History, Record

RANDOM = np.random.default_rng(0)
TARGETS = RANDOM.normal(size=400)
PREDICTIONS = TARGETS + 0.3 * RANDOM.normal(size=400)
NAMES = (
    "cat",
    "<b>dog</b>",
    "$\\frac{1$ 日本語 \x00",
)  # markup, a formula that does not parse, no glyphs, no character


def epochs(*losses: float, name: str = "train/loss") -> History:
    return History(tuple(Record("epoch", 10 * n, n, {name: loss}, 0.1) for n, loss in enumerate(losses, 1)))


def probabilities_and_labels(examples: int = 300, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    probabilities = random.dirichlet(np.ones(classes), size=examples)
    labels = np.array([random.choice(classes, p=row) for row in probabilities])
    return probabilities, labels


CONFUSION = np.array([[8, 1, 0], [0, 5, 2], [0, 0, 0]])
CALIBRATION = calibration(*probabilities_and_labels(), resamples=20)
COVERAGE = regression_calibration(PREDICTIONS[:200], TARGETS[:200], PREDICTIONS[200:], TARGETS[200:], resamples=20)

PLOTS = {
    "training_curves": lambda ax: plot.training_curves(epochs(1.0, 0.5, 0.01), ax=ax),
    "confusion_matrix": lambda ax: plot.confusion_matrix(CONFUSION, NAMES, ax=ax),
    "reliability_diagram": lambda ax: plot.reliability_diagram(CALIBRATION, CALIBRATION, ax=ax),
    "coverage": lambda ax: plot.coverage(COVERAGE.before, COVERAGE.after, ax=ax),
    "predicted_against_true": lambda ax: plot.predicted_against_true(PREDICTIONS, TARGETS, ax=ax),
    "residuals": lambda ax: plot.residuals(PREDICTIONS, TARGETS, ax=ax),
}


def test_every_picture_with_axes_is_in_the_list():
    takes_axes = {
        name for name in plot.__all__ if "ax" in getattr(inspect.unwrap(getattr(plot, name)), "__annotations__", {})
    }
    assert takes_axes == set(PLOTS)


@pytest.mark.parametrize("name", PLOTS)
def test_without_axes_it_makes_its_own_and_leaves_pyplot_alone(name):
    import matplotlib.pyplot as plt

    ax = PLOTS[name](None)
    assert isinstance(ax, Axes)
    assert plt.get_fignums() == []
    assert ax.get_xlabel() and ax.get_ylabel()


@pytest.mark.parametrize("name", PLOTS)
def test_it_draws_into_given_axes_and_nowhere_else(name):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert PLOTS[name](left) is left
    assert left.has_data() and not right.has_data()
    assert figure.axes == [left, right]


@pytest.mark.parametrize("name", PLOTS)
def test_it_can_be_drawn_as_png_and_svg_whatever_the_names(name):
    ax = PLOTS[name](None)
    plot.svg(ax, "title", name="x")
    with plot._canvas.without_glyph_warnings():
        ax.figure.savefig(io.BytesIO(), format="png")


def lines(ax: Axes) -> dict[str, tuple[list[float], list[float]]]:
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.get_lines()}


def test_training_curves_are_those_of_the_history():
    history = History(
        tuple(
            Record("epoch", 10 * n, n, {"train/loss": 1 / n, "validation/loss": 2 / n, "validation/accuracy": 0.5}, 0.1)
            for n in (1, 2, 3)
        )
    )
    drawn = lines(plot.training_curves(history))
    assert drawn == {"train": ([1, 2, 3], [1, 1 / 2, 1 / 3]), "validation": ([1, 2, 3], [2, 1, 2 / 3])}
    assert lines(plot.training_curves(history, "accuracy")) == {"validation": ([1, 2, 3], [0.5] * 3)}


def test_a_run_without_epochs_shows_its_steps():
    history = History((Record("chunk", 2, 1, {"train/loss": (3.0, 2.0)}, 0.1),))
    ax = plot.training_curves(history)
    assert lines(ax) == {"train": ([1, 2], [3, 2])}
    assert ax.get_xlabel() == "step"


def test_a_long_series_is_averaged():
    history = History((Record("chunk", 4000, 1, {"train/loss": tuple(np.arange(4000.0))}, 0.1),))
    places, values = lines(plot.training_curves(history))["train"]
    assert len(places) == 400
    np.testing.assert_allclose(values, np.arange(4000.0).reshape(400, 10).mean(axis=1))


def test_a_loss_that_stops_being_finite_is_marked():
    ax = plot.training_curves(epochs(2.0, 1.0, float("nan"), float("inf"), 1.0))
    assert [text.get_text() for text in ax.texts] == ["not finite from here"]
    assert ax.get_lines()[1].get_xdata()[0] == 3
    assert not plot.training_curves(epochs(2.0, 1.0)).texts


@pytest.mark.parametrize("losses", [(float("nan"),) * 3, (0.0, 0.0), (5.0,)])
def test_odd_losses_can_be_drawn(losses):
    assert plot.svg(plot.training_curves(epochs(*losses)), "odd", name="odd")


@pytest.mark.parametrize(("losses", "scale"), [((100.0, 1.0), "log"), ((2.0, 1.0), "linear"), ((1.0, 0.0), "linear")])
def test_a_loss_that_falls_far_has_a_logarithmic_axis(losses, scale):
    assert plot.training_curves(epochs(*losses)).get_yscale() == scale


def test_an_unknown_metric_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"metric must be one of \['loss'\], got 'acuracy'\."):
        plot.training_curves(epochs(1.0), "acuracy")


def test_the_confusion_matrix_shows_its_counts_and_names():
    ax = plot.confusion_matrix(CONFUSION, NAMES)
    counts = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in ax.texts}
    assert counts == {(0, 0): "8", (0, 1): "1", (1, 1): "5", (1, 2): "2"}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "<b>dog</b>", "$\\frac{1$ 日…"]
    shades = ax.images[0].get_array()
    assert (shades[..., 3] > 0).tolist() == (CONFUSION > 0).tolist()
    assert shades[0, 0, 3] < shades[1, 1, 3] + 0.45 and tuple(shades[0, 0, :3]) != tuple(shades[0, 1, :3])


def test_many_classes_are_drawn_without_counts():
    ax = plot.confusion_matrix(np.eye(100, dtype=int) * 7)
    assert not ax.texts and len(ax.get_xticks()) <= 26
    assert len(plot.svg(ax, "many", name="many")) < 50_000


def test_a_wrong_number_of_names_is_refused():
    with pytest.raises(ValueError, match=r"classes must name the 3 classes of the confusion matrix, got 2 names\."):
        plot.confusion_matrix(CONFUSION, ["a", "b"])


def test_the_reliability_diagram_shows_bins_intervals_and_counts():
    ax = plot.reliability_diagram(CALIBRATION)
    bins = CALIBRATION.reliability
    filled = bins.count > 0
    across, up = ax.get_lines()[1].get_data()
    np.testing.assert_array_equal(across, bins.confidence[filled])
    np.testing.assert_array_equal(up, bins.accuracy[filled])
    ends = np.array([segment[:, 1] for segment in ax.collections[0].get_segments()])
    np.testing.assert_allclose(ends, np.stack([bins.low, bins.high], axis=1)[filled])
    heights = [bar.get_height() for bar in ax.child_axes[0].patches]
    assert heights == bins.count.tolist()


def test_coverage_shows_each_level_with_its_interval():
    ax = plot.coverage(COVERAGE.before)
    across, up = ax.get_lines()[1].get_data()
    np.testing.assert_allclose(
        across, COVERAGE.before.levels, atol=0.01
    )  # moved a little so that two can be told apart
    np.testing.assert_array_equal(up, [estimate.value for estimate in COVERAGE.before.coverage])
    assert ax.get_ylim()[0] <= min(estimate.low for estimate in COVERAGE.before.coverage)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_residuals_are_prediction_minus_target(kind):
    ax = plot.residuals(kind(PREDICTIONS.astype(np.float32)), kind(TARGETS.astype(np.float32)))
    across, up = ax.get_lines()[0].get_data()
    np.testing.assert_allclose(across, PREDICTIONS, rtol=1e-6)
    np.testing.assert_allclose(up, PREDICTIONS - TARGETS, atol=1e-6)


def test_several_outputs_have_a_series_each():
    two = np.stack([TARGETS, TARGETS + 1], axis=1)
    assert {"output 0", "output 1"} <= set(lines(plot.predicted_against_true(two, two)))


def test_of_many_examples_a_selection_is_drawn_and_said():
    many = np.arange(5000.0)
    ax = plot.predicted_against_true(many, many)
    assert len(ax.get_lines()[0].get_xdata()) == 1500
    assert ax.get_title(loc="right") == "1,500 of 5,000 shown"


def test_predictions_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"predictions and targets must have one shape, got \(3,\) and \(3, 1\)\."):
        plot.residuals(np.zeros(3), np.zeros((3, 1)))


def test_an_evaluation_can_be_drawn_as_it_is():
    probabilities, labels = probabilities_and_labels()
    evaluation = score("classification", probabilities, labels, classes=NAMES)
    assert plot.confusion_matrix(evaluation.confusion, evaluation.classes).has_data()
    assert plot.reliability_diagram(evaluation.calibration).has_data()


def test_infinities_of_both_signs_can_be_averaged():
    losses = (*([1.0] * 2000), float("inf"), float("-inf"), *([1.0] * 1998))
    history = History((Record("chunk", 4000, 1, {"train/loss": losses}, 0.1),))
    assert np.isnan(lines(plot.training_curves(history))["train"][1]).sum() == 1
