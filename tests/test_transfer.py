"""Transfer learning: features once and safely, heads, fine-tuning, rows; and what is refused. Nets and data are tiny where they can be."""

import errno
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from cnnlib import datasets, models, recipes, results, storage, training, transfer
from cnnlib.errors import InputError
from cnnlib.lab import experiment, ledger
from cnnlib.models import vgg

RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.randint(0, 256, (50, 32, 32, 3)).astype(np.uint8)
LABELS = np.arange(50) % 10


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(vgg, "_keras_has_them", lambda include_top: False)


@pytest.fixture(scope="module")
def weights():
    """Weights that keep the maps' size about the same from block to block, so that tests see signals and not noise."""
    keras.utils.set_random_seed(0)
    shapes = [w.shape for w in models.VGG16(include_top=False, input_shape=(32, 32, 3)).weights]
    random = np.random.RandomState(1)
    arrays = [
        random.normal(0, np.sqrt(2 / np.prod(s[:3])) if len(s) == 4 else 0.1, s).astype("float32")
        for s in shapes
    ]
    return vgg.Weights(tuple(arrays), "random")


@pytest.fixture(scope="module")
def vgg16(weights):
    return transfer.backbone(weights=weights)


@pytest.fixture
def tiny(weights, monkeypatch):
    """A backbone that costs nothing, seen in chunks of 16 images."""
    monkeypatch.setattr(transfer, "BATCH", 8)
    monkeypatch.setattr(transfer, "CHUNK", 16)
    return transfer.Backbone(_tiny((32, 32, 3)), 32, weights)


def _tiny(shape, features=1280):
    keras.utils.set_random_seed(0)
    images = keras.Input(shape)
    model = keras.Model(
        images, keras.layers.Dense(features)(keras.layers.GlobalAveragePooling2D()(images))
    )
    model.compile(jit_compile=False)
    return model


def expected(backbone, images=IMAGES):
    return backbone.model.predict_on_batch(images.astype("float32"))


class TestBackbone:
    def test_features_are_the_means_of_the_blocks_maps_of_kerass_own_net(self, vgg16, weights):
        theirs = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
        theirs.set_weights(weights.arrays)
        maps = keras.Model(
            theirs.input, [theirs.get_layer(f"block{b}_pool").output for b in (3, 4, 5)]
        )
        images = keras.applications.vgg16.preprocess_input(IMAGES[:8].astype("float32"))
        means = np.concatenate([m.mean(axis=(1, 2)) for m in maps.predict_on_batch(images)], axis=1)
        np.testing.assert_allclose(
            expected(vgg16, IMAGES[:8]), means, rtol=1e-4, atol=1e-4 * means.max()
        )

    def test_colours_in_the_wrong_order_are_noticed(self, vgg16):
        right, wrong = expected(vgg16, IMAGES[:8]), expected(vgg16, IMAGES[:8, ..., ::-1])
        assert np.abs(right - wrong).max() > 0.05 * right.max()

    def test_images_are_resized_inside(self, weights):
        large = transfer.backbone((28, 30, 3), 64, weights)
        assert large.model.input_shape == (None, 28, 30, 3) and large.model.get_layer(
            "vgg16"
        ).input_shape == (None, 64, 64, 3)

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (IMAGES / np.float32(255), r"look like 0 to 1 \(the largest value is 1\)"),
            (IMAGES - np.float32(128), "from 0 to 255, found -128 to 127"),
            (np.full((2, 32, 32, 3), np.nan, "float32"), "found nan"),
            (IMAGES[..., :1], r"\(n, 32, 32, 3\), got \(50, 32, 32, 1\).*three channels"),
            (IMAGES[:, :28], r"got \(50, 28, 32, 3\)"),
            (IMAGES[0], r"got \(32, 32, 3\)"),
            (IMAGES[:0], r"got \(0, 32, 32, 3\)"),
            (IMAGES.astype(int), "uint8, or floats from 0 to 255, got int64"),
        ],
    )
    def test_other_images_are_refused(self, tiny, images, message):
        with pytest.raises(InputError, match=message):
            transfer.features(tiny, images, progress=False)
        with pytest.raises(InputError, match=message):
            transfer.predict(tiny.model, images)

    def test_other_shapes_and_weights_are_refused(self):
        with pytest.raises(InputError, match=r"got .28, 28, 1.: preprocessing.prepare"):
            transfer.backbone((28, 28, 1))
        with pytest.raises(InputError, match="at least 32x32"):
            transfer.backbone(image_size=16)
        with pytest.raises(InputError, match="another net"):
            transfer.backbone(weights=vgg.Weights(tuple(models.LeNet5().get_weights()), "lenet"))


class TestPlaces:
    @pytest.mark.parametrize("size", [32, 64, 96])
    def test_features_are_the_means_of_parts_of_each_map(self, weights, size):
        whole, parts = (
            transfer.backbone(image_size=size, weights=weights),
            transfer.backbone(image_size=size, weights=weights, places=2),
        )
        images = IMAGES[:2].astype("float32")
        maps = whole.model.get_layer("vgg16")(whole.model.get_layer("preprocessing")(images))
        means = []
        for each in map(keras.ops.convert_to_numpy, maps):
            half, rest = (
                -(-each.shape[1] // 2),
                each.shape[1] // 2,
            )  # of three rows, the one in the middle is in both halves
            halves = (slice(None, half), slice(rest, None)) if rest else (slice(None),)
            means += [each[:, rows, columns].mean((1, 2)) for rows in halves for columns in halves]
        means = np.concatenate(means, axis=1)
        np.testing.assert_allclose(
            expected(parts, IMAGES[:2]), means, rtol=1e-3, atol=1e-4 * np.abs(means).max()
        )
        assert (
            sum(parts.widths.values()) == means.shape[1] == {32: 3_584, 64: 5_120, 96: 5_120}[size]
        )
        assert whole.widths == transfer.WIDTHS

    def test_they_have_files_and_columns_of_their_own(self, tiny, weights):
        wide = transfer.Backbone(_tiny((32, 32, 3), 3_584), 32, weights, 2)
        seen = transfer.features(wide, IMAGES, progress=False)
        np.testing.assert_array_equal(seen.of("5"), seen.array[:, 1_024 + 2_048 :])
        np.testing.assert_array_equal(
            transfer.features(wide, IMAGES, progress=False).array, seen.array
        )
        assert transfer.features(tiny, IMAGES, progress=False).array.shape == (50, 1_280)

    def test_a_head_learns_from_both_views_and_answers_by_both(self, weights):
        recipe = recipes.recipe("frozen-32-quarters", **SHORT, hidden=20)
        trained = transfer.train(
            IMAGES,
            LABELS,
            recipe,
            weights=weights,
            validation=(IMAGES[:20], LABELS[:20]),
            progress=False,
        )
        assert trained.trainable_parameters == 3_585 * 20 + 21 * 10
        answers = transfer.probabilities(trained, IMAGES[:8], progress=False)
        np.testing.assert_allclose(
            answers, transfer.predict(trained.model, IMAGES[:8], views=2), atol=1e-4
        )
        assert np.abs(answers - transfer.predict(trained.model, IMAGES[:8])).max() > 1e-3
        np.testing.assert_allclose(
            transfer.probabilities(trained, IMAGES[:8, :, ::-1], progress=False), answers, atol=1e-4
        )
        seen = sorted((storage.results_folder() / "features").glob("*.npy"))
        assert [len(np.load(path)) for path in seen].count(50) == 2
        plain = transfer.train(
            IMAGES, LABELS, recipe.changed(mirrored=False), weights=weights, progress=False
        )
        assert not np.array_equal(plain.head.get_weights()[-1], trained.head.get_weights()[-1])

    def test_the_base_learns_on_with_such_a_head_at_a_size_with_as_many_parts(self, weights, short):
        head = short("frozen-32-quarters", hidden=20, epochs=1)
        recipe = recipes.recipe(
            "fine-tuned-32", trained="block5", batch_size=16, epochs=1, head=head
        )
        trained = transfer.train(IMAGES[:16], LABELS[:16], recipe, weights=weights, progress=False)
        assert trained.backbone.places == 2 and moved(trained.backbone, weights) == [
            "C24",
            "C26",
            "C28",
        ]
        with pytest.raises(
            InputError,
            match="at 64x64 there are others than at 32x32: name a head with pool_grid=1",
        ):
            transfer.train(
                IMAGES,
                LABELS,
                recipes.recipe("fine-tuned-64", head=head),
                weights=weights,
                progress=False,
            )


class TestFeatures:
    def test_they_are_what_the_model_says_computed_once_and_mapped(self, tiny, monkeypatch):
        seen = transfer.features(tiny, IMAGES, progress=False)
        np.testing.assert_allclose(seen.array, expected(tiny), rtol=1e-5, atol=1e-4)
        assert (
            isinstance(seen.array, np.memmap)
            and seen.array.dtype == np.float32
            and seen.seconds > 0
        )
        assert seen.path.parent == storage.results_folder() / "features"
        np.testing.assert_array_equal(
            seen.of("35"), np.concatenate([seen.array[:, :256], seen.array[:, 768:]], axis=1)
        )
        monkeypatch.setattr(transfer, "_seen", None)
        np.testing.assert_array_equal(
            transfer.features(tiny, IMAGES.copy(), progress=False).array, seen.array
        )

    def test_other_images_weights_and_sizes_have_files_of_their_own(self, tiny, weights):
        changed = IMAGES.copy()
        changed[49, 31, 31, 2] ^= 1
        other = vgg.Weights((weights.arrays[0] + 1, *weights.arrays[1:]), "other")
        nets = [(tiny, IMAGES), (tiny, changed), (tiny, IMAGES[:49])]
        nets += [
            (transfer.Backbone(tiny.model, *rest), IMAGES) for rest in ((64, weights), (32, other))
        ]
        assert (
            len({transfer.features(net, images, progress=False).path for net, images in nets}) == 5
        )

    def test_a_killed_run_goes_on_from_its_last_chunk(self, tiny, monkeypatch):
        seen, calls = transfer._seen, []

        def die_at_the_third(model, images):
            calls.append(len(images))
            if len(calls) == 3:
                raise KeyboardInterrupt
            return seen(model, images)

        monkeypatch.setattr(transfer, "_seen", die_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            transfer.features(tiny, IMAGES, progress=False)
        assert not list((storage.results_folder() / "features").glob("*.npy"))
        found = transfer.features(tiny, IMAGES, progress=False)
        assert calls == [16, 16, 16, 16, 2]  # the third once more, then the rest
        np.testing.assert_allclose(found.array, expected(tiny), rtol=1e-5, atol=1e-4)

    def test_what_a_crash_left_half_written_is_computed_again(self, tiny, monkeypatch):
        whole = transfer.features(tiny, IMAGES, progress=False)
        array, part = np.array(whole.array), transfer._part(whole.path)
        content = bytearray(whole.path.read_bytes())
        content[-5000 * 4] ^= 1  # in the third of four chunks
        part.write_bytes(content)
        whole.path.unlink()
        seen, calls = transfer._seen, []
        monkeypatch.setattr(
            transfer,
            "_seen",
            lambda model, images: calls.append(len(images)) or seen(model, images),
        )
        np.testing.assert_array_equal(transfer.features(tiny, IMAGES, progress=False).array, array)
        assert len(calls) < 4 and sum(calls) == 50 - 16 * (4 - len(calls))

    @pytest.mark.parametrize("damage", ["byte", "end", "header", "log", "no log"])
    def test_a_damaged_file_is_refused(self, tiny, damage):
        path = transfer.features(tiny, IMAGES, progress=False).path
        content, log = bytearray(path.read_bytes()), path.with_suffix(".json")
        if damage in ("byte", "header"):
            content[1000 if damage == "byte" else 3] ^= 1
            path.write_bytes(content)
        elif damage == "end":
            path.write_bytes(content[:-4])
        elif damage == "log":
            log.write_text(log.read_text()[:-9])
        else:
            log.unlink()
        with pytest.raises(InputError, match=rf"{path.name}.*Delete it"):
            transfer.features(tiny, IMAGES, progress=False)
        path.unlink()
        np.testing.assert_allclose(
            transfer.features(tiny, IMAGES, progress=False).array,
            expected(tiny),
            rtol=1e-5,
            atol=1e-4,
        )

    def test_a_full_disk_is_said_and_nothing_is_lost(self, tiny, monkeypatch):
        write, done = storage.write_atomically, []

        def full_after_two(path, content):
            if len(done) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done.append(path)
            return write(path, content)

        monkeypatch.setattr(storage, "write_atomically", full_after_two)
        with pytest.raises(
            InputError,
            match=r"No space left on device.*make room, then do the same again: it goes on",
        ):
            transfer.features(tiny, IMAGES, progress=False)
        monkeypatch.setattr(storage, "write_atomically", write)
        np.testing.assert_allclose(
            transfer.features(tiny, IMAGES, progress=False).array,
            expected(tiny),
            rtol=1e-5,
            atol=1e-4,
        )

    def test_two_processes_share_one_computation(self, tiny, weights, tmp_path):
        tiny.model.save(tmp_path / "tiny.keras")
        np.save(tmp_path / "images.npy", IMAGES)
        program = """
import cnnlib, keras, numpy as np, pathlib, sys
from cnnlib import transfer
from cnnlib.models import vgg
transfer.BATCH, transfer.CHUNK = 8, 16
calls, seen = [], transfer._seen
transfer._seen = lambda model, images: calls.append(len(images)) or seen(model, images)
net = transfer.Backbone(keras.saving.load_model("tiny.keras"), 32, vgg.Weights((np.ones(3, "float32"),), "any"))
print("ready", flush=True); sys.stdin.readline()
found = transfer.features(net, np.load("images.npy"), folder="shared", progress=False)
print(len(calls), transfer.zlib.crc32(found.array))
"""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
        both = [subprocess.Popen([sys.executable, "-c", program], **pipes) for _ in range(2)]
        assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
        for process in both:
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.communicate()[0].split() for process in both]
        assert (
            sorted(calls for calls, _ in answers) == ["0", "4"]
            and len({crc for _, crc in answers}) == 1
        )


class TestHeads:
    def test_heads_learn_from_the_blocks_they_are_given(self):
        for blocks, hidden in (("3", 0), ("45", 0), ("345", 7)):
            width = sum(transfer.WIDTHS[b] for b in blocks)
            own = transfer.head(blocks, 10, hidden, 0.5)
            trained = (width + 1) * hidden + (hidden + 1) * 10 if hidden else (width + 1) * 10
            assert (
                own.input_shape == (None, width) and training.trainable_parameters(own) == trained
            )

    def test_an_assembled_net_is_its_head_on_its_features(self, vgg16, tmp_path):
        own = transfer.head("35", 7)
        net = transfer.assemble(vgg16, own, "35")
        seen = expected(vgg16, IMAGES[:4])
        logits = own.predict_on_batch(np.concatenate([seen[:, :256], seen[:, 768:]], axis=1))
        np.testing.assert_allclose(
            net.predict_on_batch(IMAGES[:4].astype("float32")),
            logits,
            rtol=1e-4,
            atol=1e-4 * np.abs(logits).max(),
        )
        net.save(tmp_path / "net.keras")
        loaded = keras.saving.load_model(tmp_path / "net.keras")
        np.testing.assert_allclose(
            transfer.predict(loaded, IMAGES[:4]),
            transfer.predict(net, IMAGES[:4]),
            rtol=1e-4,
            atol=1e-6,
        )

    def test_what_does_not_fit_is_refused(self, vgg16):
        with pytest.raises(
            InputError, match="the head takes 1280 features, and blocks 45 have 1024"
        ):
            transfer.assemble(vgg16, transfer.head(), "45")
        with pytest.raises(InputError, match="unknown block '2'"):
            transfer.head("2")
        with pytest.raises(InputError, match="classes must be"):
            transfer.head(classes=1)

    def test_the_weights_that_are_trained_are_counted(self, vgg16, monkeypatch):
        net = transfer.assemble(vgg16, transfer.head(), "345")
        own = 12_810
        parts = {"head": 0, "block5": 7_079_424, "blocks345": 14_454_528, "all": 14_714_688}
        for part in (*parts, "head"):
            assert transfer.unfreeze(net, part) == own + parts[part]
        monkeypatch.setitem(
            transfer.TRAINED, "block5", ("block5_conv1", "block5_conv2", "block5_conv3")
        )  # names that the net does not have
        with pytest.raises(
            AssertionError,
            match="12,810 weights of vgg16 would be trained where 'block5' means 7,092,234",
        ):
            transfer.unfreeze(net, "block5")


SHORT = {"epochs": 2, "batch_size": 16}


@pytest.fixture
def short(monkeypatch):
    """A function that makes a changed recipe known under a name of its own, which it returns."""

    def add(base, **changes):
        changed = recipes.recipe(base, **changes).model_copy(update={"name": f"short-{base}"})
        monkeypatch.setitem(recipes.RECIPES, changed.name, changed)
        return changed.name

    return add


def saves_and_dies(name, save=training._save):
    """In the place of training._save: it is killed once the state of the recipe of that name has been kept."""

    def save_and_die(path, *others):
        save(path, *others)
        if path.name == f"{name}.npz":
            raise KeyboardInterrupt

    return save_and_die


def same_weights(one, other):
    for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def moved(backbone, weights):
    """The convolutions whose kernels differ from these weights'."""
    return [
        name
        for name, a, b in zip(
            transfer.TRAINED["all"], backbone.weights.arrays[::2], weights.arrays[::2], strict=True
        )
        if (a != b).any()
    ]


class TestTraining:
    def test_a_head_is_trained_and_the_base_stays_as_it_is(self, weights):
        recipe = recipes.recipe("frozen-32-all-mlp", **SHORT, hidden=20)
        trained = transfer.train(
            IMAGES,
            LABELS,
            recipe,
            weights=weights,
            validation=(IMAGES[:20], LABELS[:20]),
            progress=False,
        )
        assert (
            trained.trainable_parameters == 1281 * 20 + 21 * 10 and len(trained.history.epochs) == 2
        )
        assert trained.history.epochs["validation_error"].notna().all()
        for now, before in zip(
            trained.model.get_layer("vgg16").get_weights(), weights.arrays, strict=True
        ):
            np.testing.assert_array_equal(now, before)
        np.testing.assert_allclose(
            transfer.probabilities(trained, IMAGES[:8], progress=False),
            transfer.predict(trained.model, IMAGES[:8]),
            atol=1e-4,
        )
        again = transfer.train(IMAGES, LABELS, recipe, weights=weights, progress=False)
        for a, b in zip(again.head.get_weights(), trained.head.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_a_killed_fine_tuning_goes_on_to_the_same_weights(
        self, weights, short, tmp_path, monkeypatch
    ):
        recipe = recipes.recipe(
            "fine-tuned-32-block5", **SHORT, head=short("quick-frozen", epochs=2)
        )
        arguments = (IMAGES[:32], LABELS[:32], recipe)
        whole = transfer.train(*arguments, weights=weights, progress=False)
        with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
            patch.setattr(training, "_save", saves_and_dies(recipe.name))
            transfer.train(*arguments, folder=tmp_path, weights=weights, progress=False)
        resumed = transfer.train(*arguments, folder=tmp_path, weights=weights, progress=False)
        assert len(resumed.history.epochs) == 2
        same_weights(resumed, whole)
        assert moved(whole.backbone, weights) == ["C24", "C26", "C28"]

    def test_a_chain_of_recipes_goes_on_wherever_it_was_killed(
        self, weights, short, tmp_path, monkeypatch
    ):
        head = short("frozen-32-all-mlp", hidden=20, epochs=1)
        first = short("fine-tuned-32", trained="block5", batch_size=16, epochs=2, head=head)
        last = recipes.recipe(
            "fine-tuned-64", trained="block5", batch_size=16, epochs=2, head=first
        )
        arguments, folder = (IMAGES[:16], LABELS[:16], last), tmp_path / "state"
        whole = transfer.train(*arguments, weights=weights, progress=False)
        for name in (first, last.name):
            with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
                patch.setattr(training, "_save", saves_and_dies(name))
                transfer.train(*arguments, folder=folder, weights=weights, progress=False)
        assert {path.name for path in folder.iterdir()} == {
            f"{name}.npz" for name in (head, first, last.name)
        }
        resumed = transfer.train(*arguments, folder=folder, weights=weights, progress=False)
        same_weights(resumed, whole)
        assert resumed.backbone.image_size == 64 and resumed.seconds > resumed.history.seconds

    def test_a_larger_size_goes_on_from_what_a_smaller_one_has_learned(
        self, weights, short, monkeypatch
    ):
        first = short(
            "fine-tuned-32", trained="block5", batch_size=16, epochs=1, head="quick-frozen"
        )
        before = transfer.train(
            IMAGES[:16], LABELS[:16], recipes.recipe(first), weights=weights, progress=False
        )
        assert moved(before.backbone, weights) == ["C24", "C26", "C28"]
        # A rate of 0: nothing learns, so that the kernels are those it began with (batch norm put in and folded rounds them).
        last = recipes.recipe(
            "fine-tuned-64",
            trained="block5",
            batch_size=16,
            epochs=1,
            head=first,
            learning_rate=0.0,
            weight_decay=0.0,
        )
        put = transfer.put_batch_norm
        began = []
        monkeypatch.setattr(
            transfer, "put_batch_norm", lambda net, *others: began.append(net) or put(net, *others)
        )
        after = transfer.train(IMAGES[:16], LABELS[:16], last, weights=weights, progress=False)
        assert [(net.weights.digest, net.image_size) for net in began] == [
            (weights.digest, 32),
            (before.backbone.weights.digest, 64),
        ]
        np.testing.assert_array_equal(after.head.get_weights()[-1], before.head.get_weights()[-1])
        assert not any(
            layer.name.startswith("N") for layer in after.model.get_layer("vgg16").layers
        )
        assert after.trainable_parameters == 12_810 + 7_079_424 + 2 * 3 * 512

    def test_batch_norm_is_put_in_and_folded_without_a_change_to_the_answers(self, weights):
        plain = transfer.backbone(weights=weights)
        net = transfer.put_batch_norm(plain, "blocks345", IMAGES)
        before, size = expected(plain), np.abs(expected(plain)).max()
        np.testing.assert_allclose(expected(net), before, atol=1e-5 * size)
        model = transfer.assemble(net, transfer.head())
        assert transfer.unfreeze(model, "blocks345") == 12_810 + 14_454_528 + 2 * (
            3 * 256 + 6 * 512
        )
        assert transfer.unfreeze(model, "block5") == 12_810 + 7_079_424 + 2 * 3 * 512
        base = model.get_layer("vgg16")
        names = [layer.name for layer in base.layers if layer.name.startswith("N")]
        assert names == [name.replace("C", "N") for name in transfer.TRAINED["blocks345"]]
        random = np.random.RandomState(2)
        for name in names:  # as after training: no longer what it began with
            base.get_layer(name).set_weights(
                [w * random.uniform(0.8, 1.2, w.shape) for w in base.get_layer(name).get_weights()]
            )
        moved, folded = expected(net), transfer.fold_batch_norm(net)
        assert np.abs(moved - before).max() > 0.05 * size
        np.testing.assert_allclose(expected(folded), moved, atol=1e-5 * np.abs(moved).max())
        assert [w.shape for w in folded.weights.arrays] == [
            w.shape for w in weights.arrays
        ] and folded.weights.source == "random"

    def test_batch_norm_needs_a_convolution_that_learns(self, vgg16):
        with pytest.raises(InputError, match="there is no convolution that learns"):
            transfer.put_batch_norm(vgg16, "head", IMAGES)

    def test_batch_norm_sees_a_batch_as_the_plain_net_does_at_first(self, weights):
        plain = transfer.backbone(weights=weights)
        net = transfer.put_batch_norm(plain, "block5", IMAGES)
        learning = keras.ops.convert_to_numpy(net.model(IMAGES.astype("float32"), training=True))
        np.testing.assert_allclose(
            learning, expected(plain), atol=1e-3 * np.abs(learning).max()
        )  # the sample is the batch

    def test_the_scale_of_the_features_stays_while_the_base_learns(self, vgg16):
        own = transfer.head("345", 10)
        net = transfer.assemble(vgg16, own, "345")
        scale, spread = (
            own.get_layer("scale"),
            np.random.RandomState(0).rand(8, 1280).astype("float32"),
        )
        for part in transfer.TRAINED:
            transfer.unfreeze(net, part)
            before = [w.copy() for w in scale.get_weights()]
            scale(spread, training=True)
            moved = [
                not np.array_equal(a, b) for a, b in zip(before, scale.get_weights(), strict=True)
            ]
            assert moved == [part == "head"] * 2, part
        transfer.unfreeze(net, "head")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                (IMAGES, LABELS, recipes.recipe("plain")),
                "plain is not for transfer learning: use one of quick-frozen",
            ),
            (
                (IMAGES / np.float32(255), LABELS, recipes.recipe("quick-frozen")),
                "look like 0 to 1",
            ),
            ((IMAGES, LABELS + 1, recipes.recipe("quick-frozen")), "labels must be from 0 to 9"),
            ((IMAGES, LABELS[:-1], recipes.recipe("quick-frozen")), "labels must be 50 integers"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, weights, arguments, message):
        with pytest.raises(InputError, match=message):
            transfer.train(*arguments, weights=weights, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("blocks=54", "blocks must be digits from 3 to 5"),
        ("image_size=16", "image_size must be a whole number of at least 32"),
        ("dropout=1", "dropout must be a number from 0 to less than 1"),
        ("trained=block4", "unknown part of the net to train 'block4'. Known: block5"),
        ("protocol=crop-flip", "sees every image once, as it is"),
        ("trained=all", "head must name the recipe"),
        ("batch_norm=1", "batch_norm must be 0 or 1, and 0 where trained is head"),
        ("places=0", "places must be a whole number of at least 1"),
        ("mirrored=2", "mirrored must be 0 or 1"),
        ("widht=3", "unknown recipe field 'widht'"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        recipes.recipe(f"frozen-32-all-mlp,{change}")


def test_mirror_images_are_for_heads_alone():
    with pytest.raises(
        InputError,
        match="mirrored must be 0 or 1, and 0 where more than the head is trained, got 1",
    ):
        recipes.recipe("fine-tuned-32,mirrored=1")


def test_a_recipe_goes_on_from_one_without_changes():
    with pytest.raises(
        InputError,
        match=r"head must be the name of a recipe without changes, got 'quick-frozen,epochs=2'",
    ):
        recipes.recipe("fine-tuned-32", head="quick-frozen,epochs=2")


class TestRows:
    @pytest.fixture(autouse=True)
    def small_data(self, monkeypatch):
        sample = datasets.load("fashion_mnist", train_size=60, test_size=30, sample=True)
        monkeypatch.setattr(datasets, "load", lambda name, train_size=None, seed=0: sample)

    def test_a_frozen_row_says_how_it_was_made(self):
        row = experiment.train_row("vgg16", "fashion_mnist", "quick-frozen", seed=1, train_size=60)
        assert (row["protocol"], row["recipe"], row["trainable_parameters"], row["row_id"]) == (
            "frozen-32",
            "quick-frozen",
            12_810,
            "",
        )
        assert row["data_source"].endswith(
            "; weights embedded data/weights/vgg16_notop.float16.npz"
        )
        assert experiment.is_done("vgg16", "fashion_mnist", "quick-frozen", seed=1, train_size=60)
        kept = keras.saving.load_model(ledger.net_path(row["run_id"]))
        assert kept.input_shape == (None, 1280)  # the head alone: the rest is the same for all
        assert len(results.histories("fashion_mnist")) == row["epochs"] == 20

    def test_a_fine_tuned_row_keeps_the_whole_net(self):
        row = experiment.train_row("vgg16", "fashion_mnist", "quick-fine-tuned", train_size=60)
        assert (row["protocol"], row["trainable_parameters"]) == (
            "fine-tuned-32",
            12_810 + 7_079_424,
        )
        kept = keras.saving.load_model(ledger.net_path(row["run_id"]))
        test = datasets.load("fashion_mnist").test
        wrong = (
            transfer.predict(kept, np.repeat(test.images, 3, axis=3)).argmax(axis=1) != test.labels
        )
        assert 100 * wrong.mean() == pytest.approx(row["value"])

    def test_a_fine_tuned_row_is_tested_in_as_many_views_as_its_recipe_says(self):
        row = experiment.train_row(
            "vgg16", "fashion_mnist", "quick-fine-tuned,test_views=2", train_size=60
        )
        kept, test = (
            keras.saving.load_model(ledger.net_path(row["run_id"])),
            datasets.load("fashion_mnist").test,
        )
        images = np.repeat(test.images, 3, axis=3).astype("float32")
        logits = kept.predict_on_batch(images) + kept.predict_on_batch(images[:, :, ::-1])
        assert 100 * np.mean(logits.argmax(axis=1) != test.labels) == pytest.approx(row["value"])

    @pytest.mark.parametrize(
        ("model", "recipe", "message"),
        [
            (
                "vgg16",
                "plain",
                "plain is for training from the start, and vgg16 takes the input format rgb: use one of quick-frozen",
            ),
            (
                "lenet-5",
                "quick-frozen",
                "quick-frozen is for transfer learning, and lenet-5 takes .* use one of deslanted",
            ),
            ("boosted-vgg16", "plain", "unknown model 'boosted-vgg16'"),
        ],
    )
    def test_a_recipe_for_another_net_is_refused(self, model, recipe, message):
        with pytest.raises(InputError, match=message):
            experiment.train_row(model, "fashion_mnist", recipe)


def test_heads_are_compared_on_a_part_of_the_training_images(tiny, monkeypatch):
    data = datasets.load("fashion_mnist", train_size=200, test_size=30, sample=True)
    monkeypatch.setattr(datasets, "load", lambda name, train_size=None: data)
    monkeypatch.setattr(
        transfer,
        "backbone",
        lambda shape, size: transfer.Backbone(_tiny(shape), size, tiny.weights),
    )
    table = transfer.compare_heads(
        "fashion_mnist", epochs=1, settings=[(0, 0.0, 1e-3, 0.0), (7, 0.5, 0.0, 0.0)]
    )
    assert set(table["hidden"]) == {0, 7} and table["validation_error"].is_monotonic_increasing
    seen = list((storage.results_folder() / "features").glob("*.json"))
    assert (
        len(seen) == 1 and '"count": 200' in seen[0].read_text()
    )  # the test images were not even looked at
    both = transfer.features_of("fashion_mnist")
    assert {split: len(seen.array) for split, seen in both.items()} == {"train": 200, "test": 30}


def test_grey_images_are_taken_three_times():
    grey = IMAGES[..., :1]
    assert transfer.rgb(IMAGES) is IMAGES and np.array_equal(
        transfer.rgb(grey), np.concatenate([grey] * 3, axis=3)
    )
