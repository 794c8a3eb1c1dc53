"""VGG16: the lecture's printout, its counts, Keras' outputs with equal weights; the embedded
weights; and what is refused."""

import keras
import numpy as np
import pytest

from cnnlib import models
from cnnlib.errors import Damaged, InputError
from cnnlib.models import vgg

# features and classifier as the lecture prints them from PyTorch
FEATURES = [
    *("C0", "X1", "C2", "X3", "S4"),
    *("C5", "X6", "C7", "X8", "S9"),
    *("C10", "X11", "C12", "X13", "C14", "X15", "S16"),
    *("C17", "X18", "C19", "X20", "C21", "X22", "S23"),
    *("C24", "X25", "C26", "X27", "C28", "X29", "S30"),
]
CLASSIFIER = ["avgpool", "flatten", *(f"classifier_{i}" for i in range(7))]
MAPS = {
    0: (3, 64),
    2: (64, 64),
    5: (64, 128),
    7: (128, 128),
    10: (128, 256),
    12: (256, 256),
    14: (256, 256),
}
MAPS |= {
    17: (256, 512),
    19: (512, 512),
    21: (512, 512),
    24: (512, 512),
    26: (512, 512),
    28: (512, 512),
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(vgg, "_keras_has_them", lambda include_top: False)


@pytest.fixture(scope="module")
def base():
    return models.VGG16(include_top=False, input_shape=(32, 32, 3))


def test_with_the_top_it_is_the_lectures_net_and_gives_what_keras_gives():
    net = models.VGG16()
    assert net.count_params() == 138_357_544
    assert [layer.name for layer in net.layers[1:]] == FEATURES + CLASSIFIER
    assert [net.get_layer(f"classifier_{i}").kernel.shape for i in (0, 3, 6)] == [
        (25088, 4096),
        (4096, 4096),
        (4096, 1000),
    ]
    assert [net.get_layer(f"classifier_{i}").rate for i in (2, 5)] == [0.5, 0.5]
    table = models.layer_table(net)
    assert (
        table.loc["Total", "Parameters"] == 138_357_544
        and table.loc["classifier_6", "Activation"] == "softmax"
    )
    assert models.multiply_adds(net) == 15_470_264_320
    theirs = keras.applications.VGG16(weights=None, classifier_activation=None)
    theirs.set_weights(net.get_weights())
    image = np.random.RandomState(0).uniform(-100, 100, (1, 224, 224, 3)).astype("float32")
    expected = theirs.predict_on_batch(image)
    np.testing.assert_allclose(
        net.predict_on_batch(image), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize("size", [(32, 32), (50, 71)])
def test_without_the_top_it_gives_what_keras_gives(size):
    keras.utils.set_random_seed(0)
    net = models.VGG16(include_top=False, input_shape=(*size, 3))
    theirs = keras.applications.VGG16(weights=None, include_top=False, input_shape=(*size, 3))
    random = np.random.RandomState(0)
    theirs.set_weights(
        [w + random.normal(0, 0.01, w.shape) for w in net.get_weights()]
    )  # no bias is 0
    net.set_weights(theirs.get_weights())
    images = random.uniform(-100, 100, (2, *size, 3)).astype("float32")
    expected = theirs.predict_on_batch(images)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(
        net.predict_on_batch(images), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max()
    )


def test_the_base_is_the_lectures_layer_by_layer(base):
    assert base.count_params() == 14_714_688 and base.output_shape == (None, 1, 1, 512)
    assert [layer.name for layer in base.layers[1:]] == FEATURES
    for number, (before, after) in MAPS.items():
        layer = base.get_layer(f"C{number}")
        assert (layer.kernel.shape, layer.strides, layer.padding) == (
            (3, 3, before, after),
            (1, 1),
            "same",
        )
    table = models.layer_table(base)
    assert table.loc["Total", "Parameters"] == 14_714_688 and "Output" not in set(table["Layer"])
    assert table.loc["S4", ["Type", "Size", "Kernel", "Stride"]].tolist() == [
        "Max Pooling",
        "16x16",
        "2x2",
        "2",
    ]


def test_the_batch_name_takes_rgb_images():
    assert models.input_format("vgg16") == "rgb"
    assert models.build("vgg16", include_top=False, input_shape=(32, 32, 3)).name == "vgg16"


class TestWeights:
    def test_the_embedded_ones_are_read_and_named(self, base):
        weights = models.vgg16_weights()
        assert weights.source == "embedded data/weights/vgg16_notop.float16.npz"
        net = models.VGG16(weights, include_top=False, input_shape=(32, 32, 3))
        for found, expected in zip(net.get_weights(), weights.arrays, strict=True):
            np.testing.assert_array_equal(found, expected)
        first = weights.arrays[0]
        assert first.shape == (3, 3, 3, 64) and 0.1 < first.std() < 0.3

    def test_an_npz_and_an_h5_file(self, tmp_path, base):
        names = [
            f"block{b}_conv{c}/{part}"
            for b, n in enumerate((2, 2, 3, 3, 3), 1)
            for c in range(1, n + 1)
            for part in ("kernel", "bias")
        ]
        np.savez(tmp_path / "own.npz", **dict(zip(names, base.get_weights(), strict=True)))
        net = models.VGG16(tmp_path / "own.npz", include_top=False, input_shape=(32, 32, 3))
        np.testing.assert_array_equal(net.get_weights()[-2], base.get_weights()[-2])
        theirs = keras.applications.VGG16(weights=None, include_top=False)
        theirs.save_weights(tmp_path / "theirs.weights.h5")
        weights = models.vgg16_weights(tmp_path / "theirs.weights.h5")
        assert weights.source == "file theirs.weights.h5"
        np.testing.assert_array_equal(weights.arrays[-2], theirs.get_weights()[-2])

    def test_those_of_keras_go_before_the_embedded_ones(self, monkeypatch):
        class Theirs:
            def get_weights(self):
                return [np.ones(3, "float32")]

        monkeypatch.setattr(vgg, "_keras_has_them", lambda include_top: True)
        monkeypatch.setattr(keras.applications, "VGG16", lambda **options: Theirs())
        assert models.vgg16_weights().source == "keras.applications.VGG16"

        def broken(**options):
            raise ValueError("Incomplete or corrupted file detected")

        monkeypatch.setattr(keras.applications, "VGG16", broken)
        assert models.vgg16_weights().source.startswith("embedded")
        with pytest.raises(InputError, match=r"corrupted file detected.*include_top=False"):
            models.vgg16_weights(include_top=True)

    def test_an_altered_embedded_file_is_refused(self, tmp_path, monkeypatch):
        path = tmp_path / "weights" / "w.npz"
        path.parent.mkdir()
        path.write_bytes(vgg.EMBEDDED.read_bytes()[:-1])
        (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  weights/w.npz\n")
        monkeypatch.setattr(vgg, "EMBEDDED", path)
        monkeypatch.setattr(vgg.storage, "DATA", tmp_path)
        with pytest.raises(Damaged, match=r"altered or cut off.*git checkout data/weights/w.npz"):
            models.vgg16_weights()

    def test_weights_of_another_net_are_refused(self, tmp_path):
        np.savez(tmp_path / "other.npz", a=np.zeros(3))
        with pytest.raises(InputError, match="no weights of VGG16"):
            models.VGG16(tmp_path / "other.npz", include_top=False)
        models.LeNet5().save_weights(tmp_path / "other.weights.h5")
        with pytest.raises(InputError, match="no weights of VGG16"):
            models.VGG16(tmp_path / "other.weights.h5", include_top=False)
        lenet = vgg.Weights(tuple(models.LeNet5().get_weights()), "lenet")
        with pytest.raises(
            InputError,
            match=r"of another net: 10 arrays, expected 26; \(5, 5, 1, 6\) where \(3, 3, 3, 64\)",
        ):
            models.VGG16(lenet, include_top=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (31, 32, 3)}, "at least 32x32"),
        ({"input_shape": (32, 32)}, r"input_shape is \(32, 32\)"),
        ({"classes": 1}, "classes is 1, expected"),
        ({"weights": "imagenet", "classes": 10}, "1,000 classes, not 10"),
        ({"weights": "imagenet"}, "does not answer.*include_top=False"),
        ({"weights": "nowhere.npz", "include_top": False}, "cannot be read"),
        ({"weights": "weights.pth", "include_top": False}, "not 'weights.pth'"),
    ],
)
def test_what_cannot_be_is_refused(options, message, monkeypatch):
    monkeypatch.setattr(
        keras.layers.Dense, "build", lambda self, shape: None
    )  # no need for the classifier's 500 MB
    with pytest.raises(InputError, match=message):
        models.VGG16(**options)


class TestPreprocessing:
    def test_it_is_that_of_keras(self):
        images = np.random.RandomState(0).randint(0, 256, (2, 32, 32, 3)).astype("float32")
        expected = keras.applications.vgg16.preprocess_input(images.copy())
        np.testing.assert_allclose(models.VGGPreprocessing()(images), expected, atol=1e-4)

    def test_blue_comes_first(self):
        red = np.zeros((1, 32, 32, 3), "float32")
        red[..., 0] = 255
        np.testing.assert_allclose(
            models.VGGPreprocessing()(red)[0, 0, 0], [-103.939, -116.779, 255 - 123.68], atol=1e-4
        )

    def test_it_resizes_and_is_the_same_after_saving(self, tmp_path):
        images = keras.Input((28, 30, 3))
        net = keras.Model(images, models.VGGPreprocessing(64)(images))
        assert net.output_shape == (None, 64, 64, 3)
        net.save(tmp_path / "net.keras")
        flat = np.full((1, 28, 30, 3), 7.0, "float32")
        found = keras.saving.load_model(tmp_path / "net.keras").predict_on_batch(flat)
        np.testing.assert_allclose(
            found, np.broadcast_to(7 - np.float32(vgg.MEAN_BGR), (1, 64, 64, 3)), atol=1e-3
        )
