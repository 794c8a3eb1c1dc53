"""The declarations of the nets: what they promise, and that they are read without Keras."""

import numpy as np

from cnnlib import models, preprocessing, recipes, registry, results
from cnnlib.models import members

# The lecture's tables: the nets that are compared with each published row, its own first.
ROWS = {
    "mnist/linear-20x20": ["linear-20x20", "linear-28x28"],
    "mnist/mlp-20x20-300": ["mlp-20x20-300", "mlp-28x28-300"],
    "mnist/mlp-20x20-1000": ["mlp-20x20-1000", "mlp-28x28-1000"],
    "mnist/mlp-28x28-300-100": ["mlp-28x28-300-100"],
    "mnist/mlp-28x28-1000-150": ["mlp-28x28-1000-150", "mlp-28x28-500-150"],
    "mnist/lenet-1": ["lenet-1", "lenet-1-paper"],
    "mnist/lenet-4": ["lenet-4", "lenet-4-paper"],
    "mnist/lenet-5": ["lenet-5", "lenet-5-paper"],
    "mnist/boosted-lenet-4": ["boosted-lenet-4"],
}


def test_each_net_is_compared_with_the_row_of_the_lecture():
    for row, nets in ROWS.items():
        assert registry.nets_of_row(row) == nets, row
    published = results.published("mnist").set_index("row_id")["models"]
    assert published.to_dict() == {row: ";".join(nets) for row, nets in ROWS.items()}
    cifar10 = results.published("cifar10")
    assert cifar10["models"].tolist() == cifar10["row_id"].tolist()  # the names agree
    known = {*ROWS, *cifar10["row_id"]}
    assert {models.net(name).row for name in models.names()} - {None} == known


def test_a_boosted_net_is_built_of_three_members_that_vote():
    model = models.build("boosted-lenet-5-paper", classes=7)
    nets = members(model)
    assert model.name == "boosted-lenet-5-paper" and len(nets) == 3
    images = np.random.RandomState(0).uniform(-0.1, 1.2, (5, 32, 32, 1)).astype("float32")
    distances = np.array([net.predict_on_batch(images) for net in nets], "float64")
    votes = np.exp(-distances) / np.exp(-distances).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(
        model.predict_on_batch(images), np.log(votes.mean(axis=0)), rtol=1e-4
    )
    assert not np.array_equal(nets[0].get_weights()[0], nets[1].get_weights()[0])
    assert model.count_params() == 3 * models.build("lenet-5-paper", classes=7).count_params()
    assert models.multiply_adds(models.build("boosted-lenet-4")) == 3 * 287_600


def test_images_are_prepared_as_the_net_and_the_recipe_ask():
    random = np.random.RandomState(0)
    digit = np.zeros((3, 28, 28, 1), np.uint8)
    digit[:, 6:22, 8:20] = random.randint(1, 256, (3, 16, 12, 1))
    prepared = preprocessing.prepare_for("lenet-5", recipes.recipe("deslanted"), digit)
    expected = preprocessing.prepare(preprocessing.deslant(digit), "32x32")
    np.testing.assert_array_equal(prepared, expected)
    colour = random.randint(0, 256, (2, 32, 32, 3), np.uint8)
    mean, deviation = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])
    prepared = preprocessing.prepare_for("cifar10/fast", recipes.recipe("plain"), colour)
    np.testing.assert_allclose(prepared, (colour / 255 - mean) / deviation, atol=1e-5)
