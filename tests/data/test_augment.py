"""Augmentations: what they change, what they leave, how they are distributed, and what they refuse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from verax.data import Batch, augment
from verax.data.augment._geometry import cropped, rotated, shifted
from verax.data.augment._mixup import partners, real_rows
from verax.data.augment._values import squares
from verax.findings import InputError

COUNT, SIDE, CLASSES = 64, 8, 3


def images(dtype="float32", channels=None, count=COUNT):
    shape = (count, SIDE, SIDE) if channels is None else (count, SIDE, SIDE, channels)
    values = np.random.default_rng(0).integers(20, 256, shape)
    return values.astype(np.uint8) if dtype == "uint8" else (values / 255).astype(dtype)


def batch(inputs=None, weight=None):
    inputs = images() if inputs is None else inputs
    labels = np.arange(len(inputs), dtype=np.int32) % CLASSES
    weight = np.ones(len(inputs), np.float32) if weight is None else np.asarray(weight, np.float32)
    return Batch(jnp.asarray(inputs), jnp.asarray(labels), jnp.asarray(weight))


OF_IMAGES = (
    augment.crop(2),
    augment.flip(),
    augment.rotate(20),
    augment.shift(1.5),
    augment.cutout(3),
    augment.mixup(1.0, CLASSES),
    augment.compose(augment.crop(2), augment.flip()),
)
ALL = (*OF_IMAGES, augment.noise(0.1))
KEY = jax.random.key(0)


@functools.cache
def compiled(augmentation):
    return jax.jit(augmentation.__call__)


def changes_something(augmentation, given):
    """Whether at least half of the examples are changed (a flip leaves half of them as they are)."""
    changed = compiled(augmentation)(KEY, given).inputs
    rows = (np.asarray(changed) != np.asarray(given.inputs)).reshape(len(changed), -1).any(axis=1)
    return rows.mean() >= 0.25


@pytest.mark.parametrize("augmentation", ALL, ids=repr)
def test_it_changes_inputs_and_nothing_else(augmentation):
    given = batch()
    assert changes_something(augmentation, given)
    after = compiled(augmentation)(KEY, given)
    assert (after.inputs.shape, after.inputs.dtype) == (given.inputs.shape, given.inputs.dtype)
    np.testing.assert_array_equal(after.weight, given.weight)
    if "mixup" not in repr(augmentation):
        np.testing.assert_array_equal(after.targets, given.targets)


def test_an_identity_is_noticed():
    """The planted fault of the test above."""
    assert not changes_something(augment.Augmentation("identity", (), lambda key, given: given), batch())
    assert not changes_something(
        augment.Augmentation("fixed", (), lambda key, given: augment.noise(1e-30)(KEY, given)), batch()
    )


@pytest.mark.parametrize("augmentation", ALL, ids=repr)
def test_the_same_key_gives_the_same_bits_and_another_one_others(augmentation):
    run, given = compiled(augmentation), batch()
    first, again = run(KEY, given).inputs, run(KEY, given).inputs
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != np.asarray(run(jax.random.key(1), given).inputs)).any()


def test_it_is_compiled_once_and_vmaps_over_keys():
    both, given, keys = augment.compose(*OF_IMAGES[:5]), batch(), jax.random.split(KEY, 2)
    run = compiled(both)
    alone = [run(key, given).inputs for key in keys]
    assert run._cache_size() == 1
    lanes = jax.jit(jax.vmap(both.__call__, in_axes=(0, None)))(keys, given).inputs
    for lane, expected in zip(lanes, alone, strict=True):
        np.testing.assert_allclose(lane, expected, rtol=1e-5, atol=1e-5)  # fused otherwise


@pytest.mark.parametrize(
    "given", [images("uint8"), images("uint8", 3), images("float16", 1)], ids=["uint8", "rgb", "half"]
)
@pytest.mark.parametrize("augmentation", OF_IMAGES, ids=repr)
def test_shape_and_type_of_the_images_are_kept(augmentation, given):
    before = batch(given)
    after = jax.eval_shape(augmentation.__call__, KEY, before).inputs
    assert (after.shape, after.dtype) == (before.inputs.shape, before.inputs.dtype)


def test_channels_move_together():
    moved = compiled(augment.compose(augment.crop(2), augment.flip(), augment.rotate(20), augment.cutout(3)))
    after = np.asarray(moved(KEY, batch(np.repeat(images()[..., None], 3, axis=-1))).inputs)
    assert (after != images()[..., None]).any()
    np.testing.assert_array_equal(after, np.repeat(after[..., :1], 3, axis=-1))


def test_a_crop_is_the_slice_of_the_padded_image_at_the_drawn_corner():
    given, padding = images("uint8", 2), 3
    corners = np.random.default_rng(1).integers(0, 2 * padding + 1, (COUNT, 2)).astype(np.int32)
    expected = np.pad(given, ((0, 0), (padding, padding), (padding, padding), (0, 0)), constant_values=7)
    expected = [
        one[row : row + SIDE, column : column + SIDE] for one, (row, column) in zip(expected, corners, strict=True)
    ]
    np.testing.assert_array_equal(cropped(jnp.asarray(given), jnp.asarray(corners), padding, 7.0), np.stack(expected))


def test_all_moves_of_a_crop_are_equally_likely():
    point = np.zeros((4000, 3, 3), np.float32)
    point[:, 1, 1] = 1
    moved = np.asarray(compiled(augment.crop(1))(KEY, batch(point)).inputs)
    assert (moved.sum(axis=(1, 2)) == 1).all()
    assert stats.chisquare(moved.sum(axis=0).ravel()).pvalue > 1e-3


def test_half_of_the_images_are_flipped():
    given = images(count=2000)
    after = np.asarray(compiled(augment.flip())(KEY, batch(given)).inputs)
    flipped = (after == given[:, :, ::-1]).all(axis=(1, 2))
    assert (flipped | (after == given).all(axis=(1, 2))).all()
    assert stats.binomtest(int(flipped.sum()), len(given), 0.5).pvalue > 1e-3


@pytest.mark.parametrize("turns", [0, 1, 2, -1])
def test_a_quarter_turn_is_that_of_numpy(turns):
    given = images(channels=2)
    turned = rotated(jnp.asarray(given), jnp.full(COUNT, 90.0 * turns))
    np.testing.assert_allclose(turned, np.rot90(given, turns, axes=(1, 2)), atol=1e-5)  # sine and cosine in float32


def test_angles_are_uniform_and_within_the_bound():
    """The angle is read off an image whose values are coordinates."""
    rows = np.arange(5, dtype=np.float32)[:, None] - 2
    plane = np.broadcast_to(rows + 10, (1000, 5, 5))
    turned = np.asarray(compiled(augment.rotate(40))(KEY, batch(plane)).inputs)
    angles = np.rad2deg(np.arcsin(turned[:, 2, 3] - turned[:, 2, 2]))
    assert np.abs(angles).max() <= 40.001
    assert stats.kstest(angles, stats.uniform(-40, 80).cdf).pvalue > 1e-3


def test_a_shift_by_whole_pixels_is_that_of_numpy_and_by_half_a_mean():
    given = images(channels=1)
    moved = shifted(jnp.asarray(given), jnp.tile(jnp.array([[1.0, -2.0]]), (COUNT, 1)))
    expected = np.zeros_like(given)
    expected[:, 1:, :-2] = given[:, :-1, 2:]
    np.testing.assert_allclose(moved, expected, atol=1e-6)
    half = shifted(jnp.asarray(given), jnp.tile(jnp.array([[0.0, 0.5]]), (COUNT, 1)))
    np.testing.assert_allclose(half[:, :, 1:], (given[:, :, 1:] + given[:, :, :-1]) / 2, atol=1e-6)


def test_what_comes_from_outside_takes_the_fill():
    ones = np.ones((COUNT, SIDE, SIDE), np.float32)
    for augmentation in (
        augment.crop(2, fill=5),
        augment.shift(2, fill=5),
        augment.rotate(45, fill=5),
        augment.cutout(3, 5),
    ):
        after = np.asarray(compiled(augmentation)(KEY, batch(ones)).inputs)
        assert after.min() >= 1 - 1e-5 and 2 < after.max() <= 5 + 1e-5


def test_a_cut_is_a_square_around_its_centre():
    expected = np.zeros((2, 5, 6), bool)
    expected[0, 0:2, 0:2] = True  # the centre is the corner: what is outside is lost
    expected[1, 1:4, 2:5] = True
    np.testing.assert_array_equal(squares(jnp.array([[0, 0], [2, 3]]), 3, (5, 6)), expected)
    cut = np.asarray(compiled(augment.cutout(3))(KEY, batch()).inputs) == 0
    assert set(cut.sum(axis=(1, 2)).tolist()) <= {4, 6, 9}


def test_noise_has_the_spread_that_was_asked_for_on_inputs_of_any_shape():
    tree = {"table": jnp.zeros((2000, 3)), "codes": jnp.arange(2000)}
    after = compiled(augment.noise(0.5))(KEY, Batch(tree, jnp.zeros(2000), jnp.ones(2000)))
    assert stats.kstest(np.asarray(after.inputs["table"]).ravel(), stats.norm(0, 0.5).cdf).pvalue > 1e-3
    np.testing.assert_array_equal(after.inputs["codes"], tree["codes"])


def test_shares_of_mixup_are_those_of_beta_and_blend_inputs_as_targets():
    count = 4000
    given = Batch(
        jnp.zeros((count, 1)).at[: count // 2].set(1.0), jnp.zeros(count, int).at[: count // 2].set(1), jnp.ones(count)
    )
    after = compiled(augment.mixup(0.4, 2))(KEY, given)
    np.testing.assert_allclose(after.targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(after.targets[:, 1], after.inputs[:, 0], atol=1e-6)
    own = np.where(np.arange(count) < count // 2, after.targets[:, 1], after.targets[:, 0])
    mixed_with_other_half = own[own < 1]
    assert 0.4 * count < len(mixed_with_other_half) < 0.6 * count
    assert stats.kstest(mixed_with_other_half, stats.beta(0.4, 0.4).cdf).pvalue > 1e-3


def test_padding_is_never_mixed_into_real_rows_nor_changed():
    real = np.arange(COUNT) % 3 > 0
    inputs = np.where(real[:, None, None], images(), np.nan)
    for seed in range(20):
        after = compiled(augment.mixup(1.0, CLASSES))(jax.random.key(seed), batch(inputs, real))
        assert np.isfinite(after.inputs)[real].all() and np.isnan(after.inputs)[~real].all()
        np.testing.assert_array_equal(after.weight, real)
        np.testing.assert_array_equal(after.targets[~real], jax.nn.one_hot(np.arange(COUNT)[~real] % CLASSES, CLASSES))


def test_a_row_is_real_if_any_of_its_tokens_counts():
    np.testing.assert_array_equal(real_rows(jnp.array([[0.0, 0.5], [0.0, 0.0]])), [True, False])
    np.testing.assert_array_equal(real_rows(jnp.array([0.0, 0.5])), [False, True])


def test_every_real_row_has_another_one_as_its_partner():
    is_real = jnp.array([True, False, True, True, False])
    for seed in range(20):
        other = np.asarray(partners(jax.random.uniform(jax.random.key(seed), (5,)), is_real))
        assert sorted(other.tolist()) == list(range(5))
        assert (other[[1, 4]] == [1, 4]).all() and (other[[0, 2, 3]] != [0, 2, 3]).all()
    alone = partners(jnp.zeros(3), jnp.array([False, True, False]))
    np.testing.assert_array_equal(alone, np.arange(3))


def test_numbers_and_distributions_are_mixed_as_they_are():
    numbers = batch()._replace(targets=jnp.arange(float(COUNT)))
    after = compiled(augment.mixup(1.0))(KEY, numbers).targets
    assert after.shape == (COUNT,) and (after != numbers.targets).any()
    distributions = batch()._replace(targets=jnp.eye(CLASSES)[np.arange(COUNT) % CLASSES])
    mix = compiled(augment.mixup(1.0, CLASSES))
    np.testing.assert_array_equal(mix(KEY, distributions).targets, mix(KEY, batch()).targets)


@pytest.mark.parametrize("shape", [(COUNT,), (COUNT, 3)])
def test_bits_are_mixed_to_probabilities(shape):
    bits = jnp.arange(COUNT * 3)[: np.prod(shape)].reshape(shape) % 2
    given = batch()._replace(inputs=bits.astype(jnp.float32).reshape(COUNT, -1), targets=bits)
    after = compiled(augment.mixup(1.0, binary=True))(KEY, given)
    np.testing.assert_allclose(after.targets.reshape(COUNT, -1), after.inputs, atol=1e-6)
    assert ((after.targets > 0) & (after.targets < 1)).any()


def test_a_composition_gives_each_a_key_of_its_own_and_takes_own_functions():
    seen = []
    both = augment.compose(lambda key, given: seen.append(key) or given, lambda key, given: seen.append(key) or given)
    both(KEY, batch())
    assert (jax.random.key_data(seen[0]) != jax.random.key_data(seen[1])).any()


def test_strengths_may_be_traced():
    def first(strength):
        augmentation = augment.compose(
            augment.noise(strength), augment.rotate(strength), augment.mixup(strength, CLASSES)
        )
        return augmentation(KEY, batch()).inputs

    assert jax.eval_shape(jax.vmap(first), jnp.array([0.1, 0.2])).shape == (2, COUNT, SIDE, SIDE)
    noisy = jax.vmap(lambda std: augment.noise(std)(KEY, batch()).inputs)(jnp.array([0.1, 0.2]))
    assert (noisy[0] != noisy[1]).any()


def test_it_prints_as_it_is_written_and_compares_by_that():
    text = "compose(crop(padding=4, fill=-1.0), flip(), mixup(alpha=0.2, classes=10), noise(std=0.1))"
    made = augment.compose(augment.crop(4, fill=-1), augment.flip(), augment.mixup(0.2, 10), augment.noise(0.1))
    assert repr(made) == text
    assert augment.crop(2) == augment.crop(2) != augment.crop(3)
    assert len({augment.crop(2), augment.crop(2)}) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: augment.crop(0), "padding must be a whole number of at least 1, got 0"),
        (lambda: augment.crop(True), "padding must be a whole number"),
        (lambda: augment.cutout(-1), "size must be a whole number of at least 1, got -1"),
        (lambda: augment.rotate(-3), "degrees must be a number above 0, got -3"),
        (lambda: augment.shift("2"), "pixels must be a number above 0, got '2'"),
        (lambda: augment.noise(float("nan")), "std must be a number above 0"),
        (lambda: augment.mixup(0), "alpha must be a number above 0, got 0"),
        (lambda: augment.mixup(0.2, 0), "classes must be a whole number"),
        (lambda: augment.mixup(0.2, 3, binary=True), "takes classes or binary, one of them, got classes=3"),
        (lambda: augment.crop(2, fill=float("inf")), "fill must be a number, got inf"),
        (lambda: augment.compose(augment.flip), r"got the function flip that makes one\. Call it: flip\(\)"),
        (lambda: augment.compose(3), "compose takes functions"),
    ],
)
def test_a_wrong_argument_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("augmentation", "given", "message"),
    [
        (
            augment.flip(),
            batch(np.zeros((4, 3), np.float32)),
            r"flip changes images, .* but the inputs are float32\[4,3\]",
        ),
        (augment.crop(1), batch(np.zeros((4, 3, 3), np.int32)), r"crop changes images of floats or uint8"),
        (augment.cutout(9), batch(), "size must be at most the shorter side of the images, 8, got 9"),
        (augment.noise(1), batch(images("uint8")), r"noise is added to floats, .* Scale them"),
        (augment.mixup(1), batch(), "mixup needs the number of classes .* say binary=True"),
        (augment.mixup(1, 3), batch(np.zeros((4, 3), np.int32)), "codes cannot be blended"),
        (augment.mixup(1, 3), batch()._replace(targets=jnp.zeros(COUNT)), "targets of floats must be distributions"),
        (augment.mixup(1, 3), batch()._replace(targets=jnp.zeros((COUNT, 2), int)), "one label an example"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value)[:20],
)
def test_inputs_that_cannot_be_augmented_are_refused_while_tracing(augmentation, given, message):
    with pytest.raises(InputError, match=message):
        jax.eval_shape(augmentation.__call__, KEY, given)
