"""Copies are found as by comparing each pair of rows, and healthy data raise no alarm."""

import time

import ml_dtypes
import numpy as np
import pytest

import verax as vx
from verax.certify import overlap
from verax.certify._judgement import CHANCE, _chance_of_copies


def brute_force(seen, test):
    """Returns which test rows are equal to a seen one (NaN equals NaN), by comparing all pairs."""
    return np.array([any(np.array_equal(row, other, equal_nan=True) for other in seen) for row in test])


def distances(rows, others):
    """Returns the distance from each row to its nearest other, in standard deviations of the others' features."""
    scale = others.std(axis=0)
    return np.array([min(np.sqrt((((row - other) / scale) ** 2).sum()) for other in others) for row in rows])


def test_exact_copies_are_those_of_brute_force():
    random = np.random.default_rng(0)
    seen, test = (random.integers(0, 3, (rows, 4)).astype(np.float32) for rows in (60, 40))
    found = overlap(seen, test)
    np.testing.assert_array_equal(found.exact, brute_force(seen, test))
    within = np.mean([brute_force(np.delete(seen, row, axis=0), seen[row : row + 1])[0] for row in range(60)])
    assert found.exact_within == pytest.approx(within)
    assert 0.1 < within < 0.9


def test_near_copies_are_those_of_brute_force():
    random = np.random.default_rng(1)
    seen = random.normal(size=(200, 4)) * [1, 10, 100, 0.01]
    test = np.concatenate([random.normal(size=(50, 4)), random.normal(size=(50, 4)) * 0.01])
    test = np.concatenate([test * [1, 10, 100, 0.01], seen[:20] + 1e-4 * seen.std(axis=0)])
    found = overlap(seen, test)
    np.testing.assert_array_equal(found.near, distances(test, seen) <= found.distance)
    assert found.near[-20:].all() and not found.exact.any()
    alone = np.sort([distances(seen[row : row + 1], np.delete(seen, row, axis=0))[0] for row in range(200)])
    assert found.near_within == np.mean(alone <= found.distance * 1.01)  # the unit moves a little with the row left out


def test_missing_values_zeros_of_both_signs_and_other_types_are_equal():
    seen = np.array([[1.0, np.nan], [0.0, 2.0], [5.0, 6.0]])
    test = np.array([[1.0, -np.nan], [-0.0, 2.0], [np.nan, 6.0]])
    assert overlap(seen, test).exact.tolist() == [True, True, False]
    assert overlap(seen, test.astype(np.float32)).exact.tolist() == [True, True, False]
    assert overlap(np.array([[1, 2], [3, 4]], np.uint8), np.array([[3.0, 4.0]])).exact.tolist() == [True]


def test_a_missing_value_is_near_no_number():
    random = np.random.default_rng(0)
    seen = random.normal(size=(300, 3))
    test = seen[:50].copy()
    test[:, 1] = np.nan
    seen[0, 1] = np.nan
    found = overlap(seen, test)
    assert found.exact.tolist() == [True] + [False] * 49
    assert found.near.sum() == 1


def test_large_numbers_that_differ_in_float64_alone_are_not_equal():
    seen, test = np.array([[1e9], [2e9]]), np.array([[1e9 + 1], [2e9]])
    assert overlap(seen, test).exact.tolist() == [False, True]


def test_trees_are_compared_leaf_by_leaf():
    random = np.random.default_rng(0)
    seen = {"image": random.integers(0, 256, (40, 4, 4), np.uint8), "age": random.normal(size=40)}
    test = {name: leaf[:10].copy() for name, leaf in seen.items()}
    test["age"][:5] += 1.0
    assert overlap(seen, test).exact.tolist() == [False] * 5 + [True] * 5


def test_half_precision_is_read():
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(ml_dtypes.bfloat16)
    assert overlap(rows[:40], rows[35:]).exact.tolist()[:5] == [True] * 5


@pytest.mark.parametrize("kind", ["digits", "rare pixels"])
def test_images_with_a_little_noise_are_near(kind):
    random = np.random.default_rng(0)
    images = vx.data.digits().load().raw("train").inputs
    if kind == "rare pixels":  # at the border hardly ever anything: a unit of its own would make noise there enormous
        images = np.pad(images * 15, ((0, 0), (4, 4), (4, 4)))
        images[3, 0, :] = 9
    noisy = np.clip(images[:200].astype(np.int16) + random.integers(-1, 2, images[:200].shape), 0, 255).astype(np.uint8)
    if kind == "digits":
        noisy = images[:200].copy()
        noisy[:, 0, 0] += 1
    assert overlap(images, noisy).near.mean() > 0.95


def test_a_constant_column_and_a_single_row_are_no_trouble():
    rows = np.full((30, 2), 0.1, np.float32)
    rows[:, 1] = np.arange(30)
    found = overlap(rows[:20], rows[20:])
    assert not found.exact.any() and np.isfinite(found.distance)
    assert overlap(rows[:1], rows[1:3]).near.tolist() == [False, False]


GENERATORS = {
    "continuous": lambda random, rows: random.normal(size=(rows, 6)),
    "one column": lambda random, rows: random.normal(size=(rows, 1)),
    "rounded": lambda random, rows: random.normal(size=(rows, 2)).round(1),
    "categories": lambda random, rows: random.integers(0, [2, 3, 4, 5, 7], (rows, 5)).astype(float),
    "long tail": lambda random, rows: np.minimum(random.zipf(1.6, (rows, 2)), 500).astype(float),
    "clusters": lambda random, rows: (
        random.normal(size=(50, 6))[random.integers(0, 50, rows)] + 0.01 * random.normal(size=(rows, 6))
    ),
    "pairs": lambda random, rows: np.repeat(random.normal(size=(rows // 2, 6)), 2, axis=0),
    "resampled": lambda random, rows: random.normal(size=(rows, 6))[random.integers(0, rows, rows)],
}


def chances(seen, test):
    found = overlap(seen, test)
    exact, near = int(found.exact.sum()), int(found.near.sum())
    return (
        _chance_of_copies(exact, len(test), found.exact_within, found.exact_trials),
        _chance_of_copies(near, len(test), found.near_within, found.near_trials),
    )


@pytest.mark.parametrize("kind", GENERATORS)
def test_healthy_data_raise_no_alarm(kind):
    random = np.random.default_rng(0)
    for rows in (100, 600):
        for _ in range(6):
            data = random.permutation(GENERATORS[kind](random, rows))
            share = int(rows * random.choice([0.1, 0.3, 0.5]))
            assert min(chances(data[share:], data[:share])) >= CHANCE


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("kind", ["continuous", "clusters", "rounded"])
def test_a_leak_of_a_tenth_is_seen(kind, noise):
    random = np.random.default_rng(0)
    data = GENERATORS[kind](random, 900)
    copies = data[:30] + noise * random.normal(size=data[:30].shape) * data.std(axis=0)
    leaked = np.concatenate([data[600:870], copies])
    exact, near = chances(data[:600], leaked)
    if kind == "rounded":  # four in ten rows have a copy by nature: 30 more are no surprise
        assert min(exact, near) > CHANCE
    else:
        assert (exact < CHANCE) == (noise == 0) and near < CHANCE


def test_the_share_within_foretells_the_share_of_new_rows():
    random = np.random.default_rng(0)
    for kind in ("categories", "rounded", "resampled", "long tail"):
        gaps = []
        for _ in range(20):
            data = random.permutation(GENERATORS[kind](random, 500))
            found = overlap(data[150:], data[:150])
            gaps.append(found.exact.mean() - found.exact_within)
        assert np.mean(gaps) == pytest.approx(0, abs=0.03)


@pytest.mark.slow
def test_sixty_thousand_images_take_seconds():
    random = np.random.default_rng(0)
    seen, test = (random.integers(0, 256, (rows, 28, 28), np.uint8) for rows in (60_000, 10_000))
    test[:100] = seen[:100]
    begun = time.process_time()
    found = overlap(seen, test)
    assert time.process_time() - begun < 30  # of all threads together; measured 7 to 10
    assert found.exact.sum() == 100 and 100 <= found.near.sum() < 300
