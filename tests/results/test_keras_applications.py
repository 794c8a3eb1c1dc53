"""What Keras publishes of its ImageNet nets, against the nets as Keras builds them: parameters,
depth, and sizes in MiB."""

import os

import keras
import pytest

from cnnlib import registry, results

TABLE = results.keras_applications().set_index("model")
# CNNLIB_ALL_NETS=1 counts all 33: minutes, and 2 GB of memory
QUICK = ["MobileNet", "ResNet50", "InceptionV3"]
NAMES = list(TABLE.index) if os.environ.get("CNNLIB_ALL_NETS") else QUICK


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_those_of_the_net(name):
    net, row = getattr(keras.applications, name)(weights=None), TABLE.loc[name]
    assert round(net.count_params() / 1e6, 1) == row["parameters_millions"]
    if row["depth"] == row["depth"]:
        assert sum(bool(layer.weights) for layer in net.layers) == row["depth"]
    more = row["size_mib"] - 4 * net.count_params() / 2**20
    if not name.startswith("EfficientNet"):  # whose published sizes are those of larger files
        # Rounded, and a file of weights has some kilobytes a layer besides.
        assert -1 < more < 1 + 0.012 * row["depth"]
    keras.backend.clear_session()


def test_every_net_is_one_of_keras():
    assert len(TABLE) == 33 and TABLE.index.is_unique
    assert all(callable(getattr(keras.applications, name)) for name in TABLE.index)
    assert TABLE["top1_percent"].between(70, 86).all()
    assert (TABLE["top5_percent"] > TABLE["top1_percent"]).all()
    assert all(TABLE["depth"].isna() == TABLE.index.str.startswith("EfficientNetV2"))


def test_each_of_the_twelve_nets_shows_a_sign_of_life():
    costs = results.costs()
    twelve = {net.name for net in registry.NETS.values() if (net.row or "").startswith("cifar10/")}
    assert len(twelve) == 12 and set(costs.index) == twelve | {"cifar10/fast"}
    assert (costs["last_loss"] < costs["first_loss"]).all()
