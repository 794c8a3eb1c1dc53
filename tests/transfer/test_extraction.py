import numpy as np
import pytest

from cnnlib import transfer
from cnnlib.errors import InputError


def test_features_are_the_outputs_of_the_model_for_every_image(tiny, images, expected, capsys):
    seen = transfer.features(tiny, images)
    np.testing.assert_allclose(seen.array, expected(tiny, images), rtol=1e-5, atol=1e-4)
    assert (seen.array.shape, seen.array.dtype, seen.seconds > 0) == ((50, 1280), np.float32, True)
    assert capsys.readouterr().err.startswith("features of 50 of 50 images, ")
    transfer.features(tiny, images, progress=False)
    assert capsys.readouterr().err == ""


def test_each_block_has_its_columns(tiny, tiny_model, weights, images):
    seen = transfer.features(tiny, images, progress=False)
    parts = [seen.array[:, :256], seen.array[:, 768:]]
    np.testing.assert_array_equal(seen.of("35"), np.concatenate(parts, axis=1))
    wide = transfer.Backbone(tiny_model(features=3_584), 32, weights, pool_grid=2)
    seen = transfer.features(wide, images, progress=False)
    np.testing.assert_array_equal(seen.of("5"), seen.array[:, 1_024 + 2_048 :])
    with pytest.raises(InputError, match="unknown block '2'"):
        seen.of("2")


def test_what_is_no_backbone_is_refused(tiny, images):
    with pytest.raises(InputError, match=r"backbone is .*, expected an instance of Backbone"):
        transfer.features(tiny.model, images)
