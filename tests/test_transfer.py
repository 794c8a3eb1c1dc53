"""Features, heads, batch norm and trainings of VGG16, with random weights."""

import dataclasses

import keras
import numpy as np
import pytest

from cnnlib import checkpoints, recipes, training, transfer
from cnnlib.errors import InputError

IMAGES = np.random.RandomState(0).randint(0, 256, (24, 32, 32, 3)).astype(np.uint8)
LABELS = np.arange(24) % 10
SHORT = {"epochs": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def weights(random_vgg16_weights):
    return random_vgg16_weights()


@pytest.fixture(scope="module")
def vgg16(weights):
    return transfer.backbone(weights=weights)


@pytest.fixture
def train(small_vgg16):
    """`transfer.train` by a recipe, of a small VGG16."""

    def train(recipe, n=24, **options):
        return transfer.train(IMAGES[:n], LABELS[:n], recipe, progress=False, **options)

    return train


@pytest.fixture
def short(monkeypatch):
    """A function that adds a changed recipe under a name of its own, which it returns."""

    def add(base, **changes):
        changed = recipes.recipe(base, **changes).model_copy(update={"name": f"short-{base}"})
        monkeypatch.setitem(recipes.RECIPES, changed.name, changed)
        return changed.name

    return add


def answers(backbone, images=IMAGES):
    return backbone.model.predict_on_batch(images.astype("float32"))


def moved(trained, weights):
    """Return the convolutions whose kernels differ from given weights."""
    kernels = zip(trained.backbone.weights.arrays[::2], weights.arrays[::2], strict=True)
    names = transfer.LAYERS["all"]
    return [name for name, (a, b) in zip(names, kernels, strict=True) if (a != b).any()]


def same_weights(one, other):
    np.testing.assert_equal(one.model.get_weights(), other.model.get_weights())


class TestBackbone:
    def test_features_are_the_means_of_the_maps_of_keras_own_net(self, vgg16, weights):
        theirs = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
        theirs.set_weights(weights.arrays)
        maps = [theirs.get_layer(f"block{b}_pool").output for b in (3, 4, 5)]
        prepared = keras.applications.vgg16.preprocess_input(IMAGES[:8].astype("float32"))
        found = keras.Model(theirs.input, maps).predict_on_batch(prepared)
        means = np.concatenate([m.mean(axis=(1, 2)) for m in found], axis=1)
        right = answers(vgg16, IMAGES[:8])
        np.testing.assert_allclose(right, means, rtol=1e-4, atol=1e-4 * means.max())
        wrong = answers(vgg16, IMAGES[:8, ..., ::-1])  # colours in the other order
        assert np.abs(right - wrong).max() > 0.05 * right.max()

    @pytest.mark.parametrize("size", [32, 96])
    def test_features_of_a_pool_grid_are_the_means_of_parts_of_each_map(self, weights, size):
        whole = transfer.backbone((28, 30, 3), size, weights)
        assert whole.model.input_shape == (None, 28, 30, 3)  # resized inside
        parts = transfer.backbone((28, 30, 3), size, weights, pool_grid=2)
        two = IMAGES[:2, :28, :30].astype("float32")
        maps = whole.model.get_layer("vgg16")(whole.model.get_layer("preprocessing")(two))
        means = []
        for each in map(keras.ops.convert_to_numpy, maps):
            # Of three rows, the one in the middle is in both halves.
            half, rest = -(-each.shape[1] // 2), each.shape[1] // 2
            halves = (slice(None, half), slice(rest, None)) if rest else (slice(None),)
            means += [each[:, rows, columns].mean((1, 2)) for rows in halves for columns in halves]
        means = np.concatenate(means, axis=1)
        found = parts.model.predict_on_batch(two)
        np.testing.assert_allclose(found, means, rtol=1e-3, atol=1e-4 * np.abs(means).max())
        widths = {32: 3_584, 96: 5_120}
        assert sum(parts.widths.values()) == means.shape[1] == widths[size]
        assert whole.widths == transfer.WIDTHS

    def test_features_of_every_image_and_the_columns_of_each_block(self, vgg16, capsys):
        images = np.concatenate([IMAGES] * 3)  # more than a batch
        seen = transfer.features(vgg16, images)
        np.testing.assert_allclose(seen.array, answers(vgg16, images), rtol=1e-4, atol=1e-3)
        assert (seen.array.shape, seen.array.dtype) == ((72, 1280), np.float32)
        assert capsys.readouterr().err.startswith("features of 72 of 72 images, ")
        parts = [seen.array[:, :256], seen.array[:, 768:]]
        np.testing.assert_array_equal(seen.of("35"), np.concatenate(parts, axis=1))

    @pytest.mark.parametrize("change", [lambda x: x / 255, lambda x: x - 128, lambda x: x * np.nan])
    def test_images_of_another_range_are_refused(self, vgg16, change):
        with pytest.raises(InputError, match=r"images must be from 0 to 255, found (0|-128|nan)"):
            transfer.features(vgg16, change(IMAGES.astype("float32")))


class TestHeads:
    def test_an_assembled_net_is_its_head_on_its_features(self, vgg16, tmp_path):
        own = transfer.head("35", 7)
        net = transfer.assemble(vgg16, own, "35")
        seen = answers(vgg16, IMAGES[:4])
        logits = own.predict_on_batch(np.concatenate([seen[:, :256], seen[:, 768:]], axis=1))
        four = IMAGES[:4].astype("float32")
        found = net.predict_on_batch(four)
        np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4 * np.abs(logits).max())
        net.save(tmp_path / "net.keras")
        loaded = keras.saving.load_model(tmp_path / "net.keras")
        np.testing.assert_allclose(loaded.predict_on_batch(four), found, rtol=1e-4, atol=1e-4)

    def test_the_scale_of_the_features_stays_while_the_backbone_is_trained(self, vgg16):
        own = transfer.head()
        net, scale = transfer.assemble(vgg16, own), own.get_layer("scale")
        spread = np.random.RandomState(0).rand(8, 1280).astype("float32")
        for part in transfer.LAYERS:
            transfer.unfreeze(net, part)
            before = [w.copy() for w in scale.get_weights()]
            scale(spread, training=True)
            changed = [(a != b).any() for a, b in zip(scale.get_weights(), before, strict=True)]
            assert changed == [part == "head"] * 2, part


class TestBatchNorm:
    def test_it_is_put_in_and_folded_without_a_change_to_the_answers(self, weights):
        plain = transfer.backbone(weights=weights)
        net = transfer.put_batch_norm(plain, "blocks345", IMAGES)
        before, size = answers(plain), np.abs(answers(plain)).max()
        np.testing.assert_allclose(answers(net), before, atol=1e-5 * size)
        model = transfer.assemble(net, transfer.head())
        count = 12_810 + 14_454_528 + 2 * (3 * 256 + 6 * 512)
        assert transfer.unfreeze(model, "blocks345") == count
        assert transfer.unfreeze(model, "block5") == 12_810 + 7_079_424 + 2 * 3 * 512
        base = model.get_layer("vgg16")
        names = [layer.name for layer in base.layers if layer.name.startswith("N")]
        assert names == [name.replace("C", "N") for name in transfer.LAYERS["blocks345"]]
        random = np.random.RandomState(2)
        for name in names:  # as after training: no longer what it began with
            layer = base.get_layer(name)
            layer.set_weights([w * random.uniform(0.8, 1.2, w.shape) for w in layer.get_weights()])
        after, folded = answers(net), transfer.fold_batch_norm(net)
        assert np.abs(after - before).max() > 0.05 * size
        np.testing.assert_allclose(answers(folded), after, atol=1e-5 * np.abs(after).max())
        assert [w.shape for w in folded.weights.arrays] == [w.shape for w in weights.arrays]


@pytest.mark.slow
class TestTraining:
    @pytest.mark.parametrize(
        ("recipe", "views", "count"),
        [("frozen-32-all-mlp", 1, 49 * 20), ("frozen-32-quarters", 2, 145 * 20)],
    )
    def test_a_head_is_trained_and_the_backbone_stays_as_it_is(
        self, train, small_vgg16, recipe, views, count
    ):
        asked = []

        def extract(backbone, images, progress=True):
            asked.append(len(images))
            return transfer.features(backbone, images, progress)

        chosen = recipes.recipe(recipe, **SHORT, hidden=20)
        trained = train(chosen, extract=extract)
        assert trained.trainable_parameters == count + 21 * 10 and len(trained.epochs) == 2
        assert not moved(trained, small_vgg16)
        found = transfer.probabilities(trained, IMAGES[:8], extract, progress=False)
        assert asked == [24] * views + [8] * views  # each view once for training and for testing
        eight = IMAGES[:8].astype("float32")
        expected = training.predict(trained.model, eight, views=views)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        if views == 2:
            one = training.predict(trained.model, eight)
            assert np.abs(found - one).max() > 1e-3
            other = train(chosen.changed(mirrored=False))
            assert not np.array_equal(other.head.get_weights()[-1], trained.head.get_weights()[-1])
        assert trained.is_of(trained.model)
        same_weights(train(chosen), trained)

    def test_a_killed_fine_tuning_continues_to_the_same_weights(
        self, train, small_vgg16, short, tmp_path, monkeypatch
    ):
        first = short("frozen-32-quarters", hidden=20, epochs=1)
        recipe = recipes.recipe("quick-fine-tuned", **SHORT, init_from=first)
        start = train(recipes.recipe(first), n=8)
        before = [w.copy() for w in start.model.get_weights()]
        whole = train(recipe, n=8, start=start)
        path, save = tmp_path / "state.npz", checkpoints.save

        def save_and_die(to, *others):
            save(to, *others)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
            patch.setattr(checkpoints, "save", save_and_die)
            train(recipe, n=8, start=start, checkpoint=path)
        np.testing.assert_equal(start.model.get_weights(), before)  # `start` stays as it was
        resumed = train(recipe, n=8, checkpoint=path)  # trains its start again
        assert len(resumed.epochs) == 2 and resumed.seconds > resumed.epochs["seconds"].sum()
        same_weights(resumed, whole)
        assert moved(whole, small_vgg16) == ["C24", "C26", "C28"]
        assert whole.backbone.pool_grid == 2  # the head sees the same parts
        for change, other in [
            ({"seed": 1}, start),
            ({}, dataclasses.replace(start, recipe=recipes.recipe("quick-frozen"))),
            ({}, dataclasses.replace(start, data="other images")),
        ]:
            with pytest.raises(InputError, match=r"continues from .*: the start .* is another one"):
                train(recipe, n=8, start=other, **change)

    def test_a_larger_size_starts_from_what_a_smaller_one_has_learned(
        self, train, small_vgg16, short, monkeypatch
    ):
        options = {"trainable": "block5", "batch_size": 16, "epochs": 1}
        head = short("frozen-32-all-mlp", epochs=1, hidden=20, pool_grid=1)
        first = short("fine-tuned-32", init_from=head, **options)
        before = train(recipes.recipe(first), n=8)
        assert moved(before, small_vgg16) == ["C24", "C26", "C28"]
        # At this learning rate the kernels stay those it began with.
        none = {"learning_rate": 1e-30, "weight_decay": 0.0}
        last = recipes.recipe("fine-tuned-64", init_from=first, **options, **none)
        began, put = [], transfer.put_batch_norm
        monkeypatch.setattr(
            transfer, "put_batch_norm", lambda net, *others: began.append(net) or put(net, *others)
        )
        after = train(last, n=8, start=before)
        (net,) = began
        assert (net.weights.digest, net.image_size) == (before.backbone.weights.digest, 64)
        np.testing.assert_array_equal(after.head.get_weights()[-1], before.head.get_weights()[-1])
        names = [layer.name for layer in after.model.get_layer("vgg16").layers]
        assert not any(name.startswith("N") for name in names)
        count = 49 * 20 + 21 * 10 + 3 * (9 * 16 * 16 + 16) + 2 * 3 * 16
        assert after.trainable_parameters == count and after.backbone.image_size == 64
