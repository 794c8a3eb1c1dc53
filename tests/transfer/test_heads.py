import keras
import numpy as np
import pytest

from cnnlib import training, transfer
from cnnlib.errors import InputError


@pytest.mark.parametrize(("blocks", "hidden"), [("3", 0), ("45", 0), ("345", 7)])
def test_heads_learn_from_the_blocks_they_are_given(blocks, hidden):
    width = sum(transfer.WIDTHS[b] for b in blocks)
    own = transfer.head(blocks, 10, hidden, 0.5)
    count = (width + 1) * hidden + (hidden + 1) * 10 if hidden else (width + 1) * 10
    assert own.input_shape == (None, width)
    assert training.trainable_parameters(own) == count


def test_an_assembled_net_is_its_head_on_its_features(vgg16, images, expected, tmp_path):
    own = transfer.head("35", 7)
    net = transfer.assemble(vgg16, own, "35")
    seen = expected(vgg16, images[:4])
    logits = own.predict_on_batch(np.concatenate([seen[:, :256], seen[:, 768:]], axis=1))
    found = net.predict_on_batch(images[:4].astype("float32"))
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4 * np.abs(logits).max())
    net.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    before = transfer.predict(net, images[:4])
    np.testing.assert_allclose(transfer.predict(loaded, images[:4]), before, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": "2"}, "unknown block '2'"),
        ({"blocks": ""}, "blocks must be different digits"),
        ({"blocks": "33"}, "blocks must be different digits"),
        ({"blocks": 345}, "blocks is 345, expected text"),
        ({"classes": 1}, "classes is 1, expected a number of at least 2"),
        ({"hidden": -1}, "hidden must be at least 0"),
        ({"hidden": 2.0}, "hidden is 2.0, expected a whole number"),
        ({"dropout": 1}, "below 1, got 0 and 1"),
        ({"dropout": float("nan")}, "dropout is nan, expected a finite number"),
    ],
)
def test_heads_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        transfer.head(**arguments)


def test_a_head_of_other_blocks_is_refused(vgg16):
    message = "the head takes 1280 features, and blocks 45 have 1024"
    with pytest.raises(InputError, match=message):
        transfer.assemble(vgg16, transfer.head(), "45")
    with pytest.raises(InputError, match="head is None, expected an instance of Model"):
        transfer.assemble(vgg16, None)
