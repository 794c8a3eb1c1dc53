"""VGG16: the lecture's printout, its counts, Keras' outputs with equal weights; the weights."""

import keras
import numpy as np
import pytest

from cnnlib import models

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
    **{"C0": (3, 64), "C2": (64, 64), "C5": (64, 128), "C7": (128, 128), "C10": (128, 256)},
    **{"C12": (256, 256), "C14": (256, 256), "C17": (256, 512), "C19": (512, 512)},
    **dict.fromkeys(("C21", "C24", "C26", "C28"), (512, 512)),
}


@pytest.mark.slow
def test_with_the_top_it_is_the_lectures_net_and_gives_what_keras_gives():
    net = models.build("vgg16")
    assert net.count_params() == 138_357_544 and net.name == "vgg16"
    assert [layer.name for layer in net.layers[1:]] == FEATURES + CLASSIFIER
    shapes = [net.get_layer(f"classifier_{i}").kernel.shape for i in (0, 3, 6)]
    assert shapes == [(25088, 4096), (4096, 4096), (4096, 1000)]
    assert [net.get_layer(f"classifier_{i}").rate for i in (2, 5)] == [0.5, 0.5]
    table = models.layer_table(net)
    assert table.loc["Total", "Parameters"] == 138_357_544
    assert table.loc["classifier_6", "Activation"] == "softmax"
    assert models.multiply_adds(net) == 15_470_264_320
    theirs = keras.applications.VGG16(weights=None, classifier_activation=None)
    theirs.set_weights(net.get_weights())
    image = np.random.RandomState(0).uniform(-100, 100, (1, 224, 224, 3)).astype("float32")
    expected = theirs.predict_on_batch(image)
    allowed = {"rtol": 1e-5, "atol": 1e-5 * np.abs(expected).max()}
    np.testing.assert_allclose(net.predict_on_batch(image), expected, **allowed)


@pytest.mark.parametrize("size", [(32, 32), (50, 71)])
def test_without_the_top_it_is_the_lectures_and_gives_what_keras_gives(size):
    keras.utils.set_random_seed(0)
    net = models.build("vgg16", include_top=False, input_shape=(*size, 3))
    assert net.count_params() == 14_714_688 and net.output_shape == (None, 1, size[1] // 32, 512)
    assert [layer.name for layer in net.layers[1:]] == FEATURES
    for name, maps in MAPS.items():
        layer = net.get_layer(name)
        found = (layer.kernel.shape, layer.strides, layer.padding)
        assert found == ((3, 3, *maps), (1, 1), "same")
    table = models.layer_table(net)
    assert table.loc["Total", "Parameters"] == 14_714_688 and "Output" not in set(table["Layer"])
    row = table.loc["S4", ["Type", "Size", "Kernel", "Stride"]].tolist()
    assert row == ["Max Pooling", f"{size[0] // 2}x{size[1] // 2}", "2x2", "2"]
    theirs = keras.applications.VGG16(weights=None, include_top=False, input_shape=(*size, 3))
    random = np.random.RandomState(0)  # no bias is 0
    theirs.set_weights([w + random.normal(0, 0.01, w.shape) for w in net.get_weights()])
    net.set_weights(theirs.get_weights())
    images = random.uniform(-100, 100, (2, *size, 3)).astype("float32")
    expected = theirs.predict_on_batch(images)
    assert np.abs(expected).max() > 0.1
    allowed = {"rtol": 1e-5, "atol": 1e-5 * np.abs(expected).max()}
    np.testing.assert_allclose(net.predict_on_batch(images), expected, **allowed)


def test_the_embedded_weights_are_read_and_named():
    weights = models.vgg16_weights()
    assert weights.source == "embedded data/weights/vgg16_notop.float16.npz"
    net = models.VGG16(weights, include_top=False, input_shape=(32, 32, 3))
    for found, expected in zip(net.get_weights(), weights.arrays, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert weights.arrays[0].shape == (3, 3, 3, 64) and 0.1 < weights.arrays[0].std() < 0.3
