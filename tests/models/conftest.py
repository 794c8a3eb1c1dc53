"""What the tests of the nets share."""

import pathlib

import pytest

from cnnlib import models

LARGE = ("resnet50", "resnet101", "regnety-400mf", "densenet121", "dpn92")  # hundreds of layers


def pytest_collection_modifyitems(items):
    """Tests of the largest nets are slow ones."""
    for item in items:
        here = item.path.parent == pathlib.Path(__file__).parent
        if here and item.name.endswith(tuple(f"{name}]" for name in LARGE)):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def net():
    """A function that builds each net once. Whoever changes its weights puts them back."""
    built = {}

    def get(name):
        if name not in built:
            built[name] = models.build(name)
        return built[name]

    return get
