"""What holds for every picture, and what each one shows."""

import inspect
import io

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tests.report.studies import a_study
from verax import plot
from verax.debug import DeadUnits, LayerUnits
from verax.evaluate import calibration, choose_threshold, regression_calibration, score, slices
from verax.findings import Finding
from verax.train import Health, History, Record
from verax.train import health as health_of

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

POSITIVE, TRUTH = RANDOM.random(200), np.arange(200) % 2
LABELS = score("multilabel", np.stack([POSITIVE] * 3, axis=1), np.stack([TRUTH] * 3, axis=1), classes=NAMES)
SLICES = slices("regression", PREDICTIONS, TARGETS, {NAMES[1]: np.arange(400) % 3, NAMES[2]: np.arange(400) % 4})


def health(*rows: dict) -> Health:
    """The health along chunks of 10 steps: the gradient norm and update ratio of each leaf."""
    records = []
    for number, row in enumerate(rows, 1):
        leaves = {path: (norm, norm, norm, 0.0, bad, 0, ratio, 0.1) for path, (norm, ratio, bad) in row.items()}
        records.append(Record("chunk", 10 * number, 1, {"leaves": leaves}, 0.1))
    return health_of(History(tuple(records)))


HEALTH = health(
    {NAMES[1]: (1.0, 1e-3, 0), f"{NAMES[2]}/kernel": (0.0, None, 0), "a/bias": (9.0, 1.0, 0)},
    {NAMES[1]: (10.0, 1e-2, 0), f"{NAMES[2]}/kernel": (0.1, 1e-4, 3), "a/bias": (9.0, 1.0, 0)},
)

UNITS = DeadUnits(
    256,
    ("start", "last"),
    (0, 40),
    (LayerUnits(NAMES[1], "relu", 32, (0, 8)), LayerUnits(NAMES[2], "tanh", 400, (None, 1))),
)
FOUND = [Finding(NAMES[2], "error", "m", step=12), Finding("late", "warning", "m", step=29)]
STUDY = a_study(12, names=NAMES)

PLOTS = {
    "dead_units": lambda ax: plot.dead_units(UNITS, ax=ax),
    "loss_and_moments": lambda ax: plot.loss_and_moments(epochs(1.0, 0.5, 0.01), FOUND, ax=ax),
    "parallel_coordinates": lambda ax: plot.parallel_coordinates(STUDY, ax=ax),
    "trial_slice": lambda ax: plot.trial_slice(STUDY, NAMES[1], ax=ax),
    "trial_curves": lambda ax: plot.trial_curves(STUDY, ax=ax),
    "importance_bars": lambda ax: plot.importance_bars(dict(zip(NAMES, (0.7, 0.295, 0.005), strict=True)), ax=ax),
    "gradient_norms": lambda ax: plot.gradient_norms(HEALTH, ax=ax),
    "update_ratios": lambda ax: plot.update_ratios(HEALTH, ax=ax),
    "perplexity_curve": lambda ax: plot.perplexity_curve(epochs(5.0, 3.0, 2.0), ax=ax),
    "seeds": lambda ax: plot.seeds([epochs(5.0, 3.0), epochs(4.0, 2.0)], ax=ax),
    "schedule": lambda ax: plot.schedule([0, 10, 20], [0.0, 0.1, 0.05], total=15, ax=ax),
    "learning_rates": lambda ax: plot.learning_rates([1e-3, 1e-2, 0.1], [2.0, 1.0, float("nan")], 2e-3, 2e-2, ax=ax),
    "roc_curve": lambda ax: plot.roc_curve(POSITIVE, TRUTH, threshold=0.4, ax=ax),
    "precision_recall_curve": lambda ax: plot.precision_recall_curve(POSITIVE, TRUTH, threshold=0.4, ax=ax),
    "label_bars": lambda ax: plot.label_bars(LABELS.per_class, ax=ax),
    "slices": lambda ax: plot.slices(SLICES, ax=ax),
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


def test_the_roc_curve_is_scikit_learns_and_marks_the_threshold():
    chosen = choose_threshold(POSITIVE, TRUTH, "youden")
    ax = plot.roc_curve(np.stack([1 - POSITIVE, POSITIVE], axis=1), TRUTH, threshold=chosen)
    false, found, _ = sklearn.metrics.roc_curve(TRUTH, POSITIVE)
    chance, curve, point = ax.get_lines()
    assert (list(curve.get_xdata()), list(curve.get_ydata())) == (list(false), list(found))
    assert list(chance.get_xdata()) == [0, 1]
    called = chosen.decide(POSITIVE)
    place = (called[TRUTH == 0].mean(), called[TRUTH == 1].mean())
    assert (point.get_xdata()[0], point.get_ydata()[0]) == pytest.approx(place)
    area = LABELS.metrics["roc_auc"].value
    assert f"area {area:.3f}" in curve.get_label() and "threshold" in point.get_label()


def test_the_precision_recall_curve_is_scikit_learns():
    ax = plot.precision_recall_curve(POSITIVE, TRUTH, threshold=0.3)
    precision, recall, _ = sklearn.metrics.precision_recall_curve(TRUTH, POSITIVE)
    base, curve, point = ax.get_lines()
    assert list(curve.get_xdata()) == list(recall[::-1]) and list(curve.get_ydata()) == list(precision[::-1])
    assert base.get_ydata()[0] == TRUTH.mean()
    called = POSITIVE >= 0.3
    expected = (called[TRUTH == 1].mean(), TRUTH[called].mean())
    assert (point.get_xdata()[0], point.get_ydata()[0]) == pytest.approx(expected)
    with pytest.raises(ValueError, match="labels must be of both classes"):
        plot.roc_curve(POSITIVE, np.zeros(200, int))


def test_a_long_curve_is_thinned():
    random = np.random.default_rng(0)
    ax = plot.roc_curve(random.random(5000), random.integers(0, 2, 5000))
    assert len(ax.get_lines()[1].get_xdata()) <= 300


def test_bars_show_each_label_with_its_interval():
    ax = plot.label_bars(LABELS.per_class, "average_precision")
    rows = sorted(LABELS.per_class, key=lambda row: row["average_precision"])
    assert [bar.get_width() for bar in ax.patches] == [row["average_precision"] for row in rows]
    ends = np.array([segment[:, 0] for segment in ax.collections[0].get_segments()])
    np.testing.assert_allclose(ends, [[row["average_precision_low"], row["average_precision_high"]] for row in rows])
    with pytest.raises(ValueError, match=r"metric must be one of \['average_precision', 'f1'.*got 'speed'"):
        plot.label_bars(LABELS.per_class, "speed")
    many = [{**LABELS.per_class[0], "f1": index / 100} for index in range(90)]
    assert plot.label_bars(many).get_title(loc="right") == "30 lowest of 90 shown"


def test_groups_are_drawn_with_their_intervals():
    ax = plot.slices(SLICES, "mae")
    ends = np.concatenate([[segment[:, 0] for segment in part.get_segments()] for part in ax.collections])
    np.testing.assert_allclose(ends, [[row.metrics["mae"].low, row.metrics["mae"].high] for row in SLICES.rows])
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == ["0 (134)", "1 (133)"]
    with pytest.raises(ValueError, match="metric must be one of"):
        plot.slices(SLICES, "accuracy")


def test_rates_whose_loss_is_not_finite_are_crosses_and_the_interval_is_a_band():
    ax = PLOTS["learning_rates"](None)
    drawn = lines(ax)
    assert drawn["loss"] == ([1e-3, 1e-2], [2, 1]) and drawn["not finite"][0] == [0.1]
    assert [patch.get_label() for patch in ax.patches] == ["0.002 to 0.02"] and ax.get_xscale() == "log"
    assert not plot.learning_rates([0.1, 1.0], [1.0, 1.0]).patches
    with pytest.raises(ValueError, match="rates and losses must be equally many"):
        plot.learning_rates([0.1], [1.0, 2.0])


def test_a_schedule_longer_than_its_run_shows_where_it_ends():
    ax = plot.schedule(np.arange(5000), np.linspace(1, 0, 5000), total=300)
    assert len(ax.get_lines()[0].get_xdata()) == 400 and ax.get_lines()[1].get_xdata()[0] == 300
    with pytest.raises(ValueError, match="equally many, one at least"):
        plot.schedule([], [])


def test_seeds_have_a_mean_and_the_interval_of_it():
    losses = np.array([[5.0, 3.0, 1.0], [4.0, 2.0, 1.5], [6.0, 2.5, 1.2]])
    ax = plot.seeds([epochs(*row) for row in losses])
    assert lines(ax)["train, mean of 3"][1] == pytest.approx(losses.mean(axis=0))
    corners = ax.collections[0].get_paths()[0].vertices
    low, high = scipy.stats.t.interval(0.95, 2, losses.mean(axis=0), scipy.stats.sem(losses, axis=0))
    assert corners[:, 1].min() == pytest.approx(low.min()) and corners[:, 1].max() == pytest.approx(high.max())
    assert len(plot.seeds([epochs(1.0, 2.0)]).collections) == 0
    shorter = plot.seeds([epochs(1.0, 2.0, 3.0), epochs(3.0, 2.0)])
    assert lines(shorter)["train, mean of 2"][1] == [2, 2]
    with pytest.raises(ValueError, match="metric must be in the histories"):
        plot.seeds([epochs(1.0)], "accuracy")


def test_perplexity_is_the_exponential_of_the_loss():
    drawn = lines(plot.perplexity_curve(epochs(2.0, 1.0)))
    assert drawn["train"][1] == pytest.approx(np.exp([2.0, 1.0]))
    assert plot.perplexity_curve(epochs(8.0, 1.0)).get_yscale() == "log"
    assert plot.svg(plot.perplexity_curve(epochs(9999.0, float("nan"))), "odd", name="odd")


def test_a_spread_is_drawn_as_bars_of_twice_its_length():
    ax = plot.predicted_against_true(PREDICTIONS[:50], TARGETS[:50], np.full(50, 0.25))
    ends = np.array([segment[:, 1] for segment in ax.collections[0].get_segments()])
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 1.0)
    np.testing.assert_allclose(ends.mean(axis=1), PREDICTIONS[:50])
    many = plot.predicted_against_true(PREDICTIONS, TARGETS, np.full(400, 0.25))
    assert many.get_title(loc="right") == "200 of 400 shown"


def test_reliability_by_label_has_axes_for_each():
    random = np.random.default_rng(0)
    stated = random.random((300, 14))
    truth = (random.random((300, 14)) < stated).astype(int)
    figure = plot.reliability_by_label(stated, truth)
    drawn = [ax for ax in figure.axes if ax.has_data()]
    assert [ax.get_title() for ax in drawn] == [str(label) for label in range(12)]
    across, up = drawn[2].get_lines()[1].get_data()
    group = np.minimum((stated[:, 2] * 10).astype(int), 9)
    np.testing.assert_allclose(across, [stated[group == bin_, 2].mean() for bin_ in range(10)])
    np.testing.assert_allclose(up, [truth[group == bin_, 2].mean() for bin_ in range(10)])
    assert plot.svg(plot.reliability_by_label(stated[:, :3], truth[:, :3], NAMES), "labels", name="labels")
    with pytest.raises(ValueError, match="labels must be as many everywhere"):
        plot.reliability_by_label(stated, truth, ["a"])


@pytest.mark.parametrize("draw", [plot.augmentation_grid, plot.reconstructions])
def test_images_stand_above_their_counterparts_on_one_scale(draw):
    before = np.random.default_rng(0).integers(0, 200, (10, 6, 5)).astype(np.uint8)
    after = before + 50
    figure = draw(before, after)
    assert len(figure.axes) == 16
    top, bottom = figure.axes[0].images[0].get_array(), figure.axes[8].images[0].get_array()
    np.testing.assert_allclose(top, before[0] / 255)
    np.testing.assert_allclose(bottom, after[0] / 255)
    assert plot.svg(draw(before, after[:, :4].astype(np.float32)), "cropped", name="pairs")
    with pytest.raises(ValueError, match="images must come in pairs"):
        draw(before, after[:3])


def test_the_map_of_gradients_is_darker_the_larger_and_orange_where_not_finite():
    (image,) = plot.gradient_norms(HEALTH).get_images()
    cells = image.get_array()  # leaves, steps, red green blue and opacity
    assert cells.shape == (3, 2, 4)
    assert (
        cells[0, 0, 3] < 0.9 and cells[0, 1, 3] == pytest.approx(1) and cells[1, 0, 3] == 0
    )  # a gradient of zeros is empty
    np.testing.assert_allclose(cells[1, 1, :3], to_rgb(plot.PALETTE["orange"]), atol=1e-6)
    np.testing.assert_allclose(cells[0, 1, :3], to_rgb(plot.PALETTE["blue"]), atol=1e-6)


def test_of_many_leaves_those_that_were_not_finite_are_in_the_map():
    many = {f"{place}/kernel": (1.0 + place, 1e-3, int(place == 41)) for place in range(60)}
    ax = plot.gradient_norms(health(many, many))
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(names) == 30 and "41/kernel" in names and "30 of 60 leaves" in ax.get_title(loc="right")


def test_update_ratios_are_those_of_the_weights_beside_the_usual_one():
    drawn = lines(plot.update_ratios(HEALTH))
    ratios = [y for label, (_, y) in drawn.items() if not label.startswith("_")]
    np.testing.assert_allclose(ratios[0], [1e-3, 1e-2])
    assert len(ratios) == 2 and any(y == [1e-3, 1e-3] for _, y in drawn.values())


def test_of_many_leaves_the_highest_and_lowest_ratio_are_named():
    many = {f"{place}/kernel": (1.0, 1e-4 * (1 + place), 0) for place in range(9)}
    ax = plot.update_ratios(health(many, many))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["8/kernel", "0/kernel"]
    assert len(ax.get_lines()) == 10


@pytest.mark.parametrize("draw", [plot.gradient_norms, plot.update_ratios])
def test_a_run_without_health_has_no_picture_of_it(draw):
    with pytest.raises(ValueError, match="health must have at least one step"):
        draw(health_of(History()))


def test_each_moment_is_a_numbered_line_that_the_legend_explains():
    losses = {"train/loss": tuple(np.linspace(2.0, 0.5, 100))}
    history = History((Record("chunk", 100, 1, losses, 0.1), Record("epoch", 100, 1, {"validation/loss": 1.0}, 0.1)))
    found = [Finding("b", "warning", "m", step=80), Finding("a", "error", "m", step=20), Finding("x", "error", "m")]
    ax = plot.loss_and_moments(history, found)
    assert {"train", "validation", "1  step 20: a", "2  step 80: b"} == set(lines(ax))
    assert [text.get_text() for text in ax.texts] == ["1", "2"]
    styles = {line.get_label()[0]: line.get_linestyle() for line in ax.get_lines()}
    assert styles["1"] == ":" and styles["2"] == "-."
    unmarked = plot.loss_and_moments(history, found[2:])
    assert set(lines(unmarked)) == {"train", "validation"} and not unmarked.texts


def test_numbers_of_close_moments_stand_above_one_another():
    found = [Finding("a", "info", "m", step=step) for step in (50, 51, 90)]
    ax = plot.loss_and_moments(History((Record("chunk", 100, 1, {"train/loss": (1.0,) * 100}, 0.1),)), found)
    heights = [text.xyann[1] for text in ax.texts]
    assert heights[0] == heights[2] < heights[1]


def test_of_many_moments_the_worst_are_marked():
    found = [Finding("r", "info", "m", step=step) for step in range(1, 30)] + [Finding("e", "error", "m", step=40)]
    marks = plot.find_marks(found)
    assert [mark.number for mark in marks] == list(range(1, 10))
    assert marks[-1].step == 40 and marks[-1].severity == "error"
    same = plot.find_marks([Finding("r", "info", "m", step=3), Finding("e", "error", "m", step=3)])
    assert [(mark.step, mark.names, mark.severity) for mark in same] == [(3, "e, r", "error")]


def test_a_moment_beyond_the_curve_is_within_the_picture():
    ax = plot.loss_and_moments(epochs(1.0, 0.5), [Finding("a", "error", "m", step=37)])
    assert ax.get_xlim()[1] >= 37


def test_without_a_loss_there_is_no_picture_of_it():
    with pytest.raises(ValueError, match=r"history must have a train/loss or a validation/loss, got neither\."):
        plot.loss_and_moments(History())


def test_dead_units_are_shares_and_layers_that_are_not_finite_are_dashes():
    ax = plot.dead_units(UNITS)
    assert [text.get_text() for text in ax.texts] == ["0 %", "25 %", "–", "<1 %"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["start\n0", "last\n40"]
    many = tuple(LayerUnits(f"l{place}", "relu", 4, (int(place == 77),)) for place in range(100))
    ax = plot.dead_units(DeadUnits(64, ("last",), (None,), many))
    assert "l77" in [label.get_text() for label in ax.get_yticklabels()]
    assert ax.get_title(loc="right") == "30 of 100 layers" and ax.get_xticklabels()[0].get_text() == "last"
    with pytest.raises(ValueError, match="units must have a hidden layer"):
        plot.dead_units(DeadUnits(64, ("last",), (None,), ()))
