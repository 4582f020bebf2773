"""Labels: each fault is planted in a healthy program, and has a look-alike that stays silent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import make_classification, make_friedman1

from tests.doctor.probes.test_data_values import linear
from tests.doctor.programs import HEALTHY, binary, classes_loss, classifier, ids, regressor, subject, suspected
from verax.doctor.probes import _alignment, _imbalance, _label_noise, _labels, _leakage, _order

MODULES = (_alignment, _imbalance, _label_noise, _labels, _leakage, _order)


@pytest.fixture(autouse=True)
def _promotion():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def relabelled(train=lambda y: y, test=lambda y: y, outputs=10, **parts):
    (x, y), (x_test, y_test) = classifier().train, classifier().test
    data = {"train": (x, train(y).astype(np.int32)), "test": (x_test, test(y_test).astype(np.int32))}
    return classifier(**{"network": linear(outputs), **data, **parts})


def both(change, **parts):
    return relabelled(change, change, **parts)


def friedman(train=lambda y: y, **parts):
    x, y = make_friedman1(900, n_features=6, noise=0.5, random_state=0)
    x, y = x.astype(np.float32), ((y - y.mean()) / y.std()).astype(np.float32)
    data = {"train": (x[:600], train(y[:600])), "test": (x[600:], y[600:])}
    return regressor(**{"network": linear(1), **data, **parts})


def table(columns=lambda x, y: x, rows=900, **parts):
    """Two classes that overlap, and columns made from them."""
    x, y = make_classification(rows, 10, n_informative=5, class_sep=0.5, flip_y=0.1, random_state=1)
    x = columns(x, y).astype(np.float32)
    half = rows * 2 // 3
    return binary(**{"train": (x[:half], y[:half]), "test": (x[half:], y[half:]), "network": linear(1), **parts})


def alarms(program, look):
    return ids(look(subject(program)))


@pytest.mark.parametrize("program", HEALTHY)
def test_healthy_programs_are_silent(program):
    each = subject(program())
    for look in [probe.look for module in MODULES for probe in module.PROBES]:
        try:
            found = look(each)
        except Exception as reason:
            assert type(reason).__name__ == "NotApplicable", reason
        else:
            assert ids(found) == [] and suspected(found) == []


def some(value):
    return lambda y: np.where(np.arange(len(y)) % 20 == 0, value, y)


@pytest.mark.parametrize("change", [lambda y: y + 1, some(-1), some(99), lambda y: 10 * y])
def test_labels_without_an_output_are_found(change):
    (finding,) = _labels.look(subject(both(change))).findings
    assert (finding.id, finding.severity, finding.part) == ("label-out-of-range", "error", "data")


def test_labels_that_only_the_test_rows_have_are_found_there():
    (finding,) = _labels.look(subject(relabelled(test=some(10)))).findings
    assert finding.id == "label-out-of-range" and str(finding.where) == "test row 0"


@pytest.mark.parametrize("outputs", [5, 9])
def test_fewer_outputs_than_classes_are_found(outputs):
    (finding,) = _labels.look(subject(both(lambda y: y, outputs=outputs))).findings
    assert (finding.id, finding.part) == ("output-size-mismatch", "model") and "10 outputs" in finding.advice


def masked(outputs, targets):
    counts = (targets >= 0) & (targets < 10)
    return jnp.where(counts, classes_loss(outputs, jnp.where(counts, targets, 0)), 0.0)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (some(-100), {"loss": masked}),
        (some(255), {"loss": masked}),
        (lambda y: y + 1, {"loss": lambda outputs, targets: classes_loss(outputs, targets - 1)}),
        (lambda y: y, {"outputs": 20}),
    ],
)
def test_labels_left_out_on_purpose_numbers_from_one_and_spare_outputs_are_fine(change, parts):
    assert alarms(both(change, **parts), _labels.look) == []


def test_a_split_of_one_class_is_found():
    assert alarms(relabelled(lambda y: 0 * y), _labels.look_for_single_class) == ["single-class-labels"]
    assert alarms(relabelled(test=lambda y: 0 * y), _labels.look_for_single_class) == ["single-class-labels"]

    def only_zeros(x, y, epoch):
        yield x[y == 0][:64], y[y == 0][:64]

    (finding,) = _labels.look_for_single_class(subject(relabelled(batches=only_zeros))).findings
    assert finding.part == "batches"


def test_a_rare_class_is_suspected_and_the_repair_weights_its_losses():
    it = subject(both(lambda y: (y == 0) & (np.arange(len(y)) % 3 > 0), outputs=2, loss=classes_loss))
    (suspicion,) = _imbalance.look(it).suspicions
    repaired = suspicion.repairs[0].change(it)
    losses, labels = repaired.losses(jnp.zeros((64, 2)), it.batch), np.asarray(it.batch.targets)
    assert suspicion.finding.id == "class-imbalance"
    assert float(losses[labels == 1].min()) > 10 * float(losses[labels == 0].max())


def test_a_loss_of_one_number_is_balanced_by_its_batches():
    it = subject(both(lambda y: y == 0, outputs=2, loss=lambda outputs, y: classes_loss(outputs, y).mean()))
    repaired = _imbalance.weighted(it, np.array([0, 1]), np.array([0.55, 5.0]))
    shares = np.mean([batch.targets.mean() for batch in repaired.batches_of(0)])
    assert it.train.targets.mean() < 0.12 and 0.4 < shares < 0.6


def permuted(y, seed=0):
    return np.random.default_rng(seed).permutation(y)


@pytest.mark.parametrize("program", [lambda: relabelled(permuted), lambda: friedman(permuted)])
def test_labels_in_another_order_are_found(program):
    (finding,) = _alignment.look(subject(program())).findings
    assert (finding.id, finding.part, str(finding.where)) == ("label-misalignment", "data", "train")


@pytest.mark.parametrize("lag", [1, -3])
def test_labels_that_slipped_are_found_with_their_lag(lag):
    (finding,) = _alignment.look(subject(both(lambda y: np.roll(y, lag)))).findings
    assert f"moved by {-lag:+d} row" in finding.message
    (finding,) = _alignment.look(subject(friedman(lambda y: np.roll(y, lag)))).findings
    assert f"np.roll(y, {-lag})" in finding.advice


def test_a_reader_that_mixes_them_up_is_found():
    def mixed(x, y, epoch):
        x = permuted(x, epoch)
        for start in range(0, len(x) - 63, 64):
            yield x[start : start + 64], y[start : start + 64]

    (finding,) = _alignment.look(subject(relabelled(batches=mixed))).findings
    assert (finding.id, finding.part) == ("label-misalignment", "batches")


def test_parity_of_which_neighbours_say_nothing_is_no_misalignment():
    x = np.random.default_rng(0).choice([-1.0, 1.0], (900, 12)).astype(np.float32)
    y = (x.prod(axis=1) > 0).astype(np.int32)
    program = binary(train=(x[:600], y[:600]), test=(x[600:], y[600:]), network=linear(1))
    assert alarms(program, _alignment.look) == []


def test_classes_numbered_otherwise_in_the_test_rows_are_found():
    order = np.array([3, 4, 5, 6, 7, 8, 9, 0, 1, 2])
    (finding,) = _alignment.look_across(subject(relabelled(test=lambda y: order[y]))).findings
    assert finding.id == "label-encoding-mismatch" and "3 is 0" in finding.evidence[0]
    assert alarms(relabelled(), _alignment.look_across) == []
    assert alarms(relabelled(test=permuted), _alignment.look_across) == []


def wrong(share, seed=0):
    def change(y):
        generator = np.random.default_rng(seed)
        return np.where(generator.random(len(y)) < share, generator.integers(0, 10, len(y)), y)

    return change


@pytest.mark.parametrize("program", [lambda: relabelled(wrong(0.3)), lambda: both(wrong(0.3))])
def test_wrong_labels_are_found_in_train_alone_and_in_both_splits(program):
    (finding,) = _label_noise.look(subject(program())).findings
    assert finding.id == "label-noise" and finding.part == "data"


def test_wrong_numbers_are_found():
    def change(y):
        y = y.copy()
        y[::3] = permuted(y[::3])
        return y

    assert alarms(friedman(change), _label_noise.look) == ["label-noise"]
    assert alarms(friedman(), _label_noise.look) == []


@pytest.mark.parametrize("separation", [0.3, 0.6, 1.0])
def test_classes_that_overlap_are_not_noise(separation):
    for seed in range(3):
        x, y = make_classification(900, 15, n_informative=6, n_classes=5, class_sep=separation, random_state=seed)
        x = x.astype(np.float32)
        program = classifier(train=(x[:600], y[:600]), test=(x[600:], y[600:]), network=linear(5))
        assert alarms(program, _label_noise.look) == []


def test_honest_noise_in_both_splits_is_not_noise():
    assert alarms(table(), _label_noise.look) == []


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_a_column_made_from_the_answer_is_found(spread):
    def leak(x, y):
        return np.concatenate([x, (y + spread * np.random.default_rng(0).normal(size=len(y)))[:, None]], axis=1)

    (finding,) = _leakage.look(subject(table(leak))).findings
    assert finding.id == "target-leakage" and str(finding.where) == "train column '10'"


@pytest.mark.parametrize(
    "law", [lambda x: 3 * x[:, 0], lambda x: 3 * x[:, 0] + 0.4 * x[:, 1], lambda x: np.sin(x[:, 0])]
)
def test_a_law_of_one_column_is_no_leak(law):
    x = np.random.default_rng(0).normal(size=(900, 5)).astype(np.float32)
    y = law(x).astype(np.float32)
    program = regressor(train=(x[:600], y[:600]), test=(x[600:], y[600:]), network=linear(1))
    assert alarms(program, _leakage.look) == []
    y = (x[:, 0] > 0).astype(np.int32)
    program = binary(train=(x[:600], y[:600]), test=(x[600:], y[600:]), network=linear(1))
    assert alarms(program, _leakage.look) == []


def in_order(size):
    def batches(x, y, epoch):
        for start in range(0, len(x) - size + 1, size):
            yield x[start : start + size], y[start : start + size]

    return batches


def by_target(program, size):
    x, y = program.train
    order = np.argsort(y, kind="stable")
    return {"train": (x[order], y[order]), "batches": in_order(size)}


@pytest.mark.parametrize("size", [1, 4, 64])
def test_batches_in_the_order_of_the_classes_are_suspected_and_the_repair_mixes_them(size):
    it = subject(classifier(network=linear(), **by_target(classifier(), size)))
    (suspicion,) = _order.look(it).suspicions
    assert (suspicion.finding.id, suspicion.finding.part) == ("unshuffled-data", "batches")
    repaired = suspicion.repairs[0].change(it)
    sizes = [len(batch.targets) for batch in repaired.batches_of(0)]
    assert sizes == [len(batch.targets) for batch in it.first_epoch]
    assert suspected(_order.look(repaired)) == []
    assert sorted(np.concatenate([batch.targets for batch in repaired.batches_of(1)])) == sorted(
        np.concatenate([batch.targets for batch in it.batches_of(1)])
    )


def test_sorted_numbers_are_suspected_and_mixed_rows_in_a_fixed_order_are_not():
    assert suspected(_order.look(subject(regressor(network=linear(1), **by_target(regressor(), 32))))) == [
        "unshuffled-data"
    ]
    assert suspected(_order.look(subject(classifier(network=linear(), batches=in_order(8))))) == []
    assert suspected(_order.look(subject(regressor(network=linear(1), batches=in_order(4))))) == []


def test_rows_in_the_order_of_an_input_are_suspected():
    x, y = regressor().train
    order = np.argsort(x[:, 4])
    program = regressor(train=(x[order], y[order]), batches=in_order(32), network=linear(1))
    assert suspected(_order.look(subject(program))) == ["unshuffled-data"]
