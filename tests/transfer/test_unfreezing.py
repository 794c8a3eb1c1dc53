import keras
import numpy as np
import pytest

from cnnlib import transfer
from cnnlib.errors import InputError


def test_the_weights_that_are_trained_are_counted(vgg16, monkeypatch):
    net = transfer.assemble(vgg16, transfer.head(), "345")
    own = 12_810
    parts = {"head": 0, "block5": 7_079_424, "blocks345": 14_454_528, "all": 14_714_688}
    for part in (*parts, "head"):
        assert transfer.unfreeze(net, part) == own + parts[part]
    with pytest.raises(InputError, match="unknown part of the net to train 'block4'"):
        transfer.unfreeze(net, "block4")
    # Names that the net does not have.
    monkeypatch.setitem(transfer.LAYERS, "block5", ("block5_conv1", "block5_conv2"))
    message = "12,810 weights of vgg16 would be trained where 'block5' means 7,092,234"
    with pytest.raises(AssertionError, match=message):
        transfer.unfreeze(net, "block5")


def test_batch_norm_is_put_in_and_folded_without_a_change_to_the_answers(weights, images, expected):
    plain = transfer.backbone(weights=weights)
    net = transfer.put_batch_norm(plain, "blocks345", images)
    before, size = expected(plain, images), np.abs(expected(plain, images)).max()
    np.testing.assert_allclose(expected(net, images), before, atol=1e-5 * size)
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
    after, folded = expected(net, images), transfer.fold_batch_norm(net)
    assert np.abs(after - before).max() > 0.05 * size
    np.testing.assert_allclose(expected(folded, images), after, atol=1e-5 * np.abs(after).max())
    assert [w.shape for w in folded.weights.arrays] == [w.shape for w in weights.arrays]
    assert folded.weights.source == "random"


def test_batch_norm_needs_a_convolution_that_is_trained(vgg16, images):
    with pytest.raises(InputError, match="there is no convolution to put batch norm after"):
        transfer.put_batch_norm(vgg16, "head", images)
    with pytest.raises(InputError, match="images must be an array"):
        transfer.put_batch_norm(vgg16, "block5", None)


def test_batch_norm_sees_a_batch_as_the_plain_net_does_at_first(weights, images, expected):
    plain = transfer.backbone(weights=weights)
    net = transfer.put_batch_norm(plain, "block5", images)
    training = keras.ops.convert_to_numpy(net.model(images.astype("float32"), training=True))
    tolerance = 1e-3 * np.abs(training).max()  # the sample is the batch
    np.testing.assert_allclose(training, expected(plain, images), atol=tolerance)


def test_the_scale_of_the_features_stays_while_the_backbone_is_trained(vgg16):
    own = transfer.head("345", 10)
    net = transfer.assemble(vgg16, own, "345")
    scale = own.get_layer("scale")
    spread = np.random.RandomState(0).rand(8, 1280).astype("float32")
    for part in transfer.LAYERS:
        transfer.unfreeze(net, part)
        before = [w.copy() for w in scale.get_weights()]
        scale(spread, training=True)
        after = scale.get_weights()
        changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
        assert changed == [part == "head"] * 2, part
    transfer.unfreeze(net, "head")
