"""What the tests of the nets share."""

import pytest

from cnnlib import models


@pytest.fixture(scope="session")
def net():
    """A function that builds each net once. Whoever changes its weights puts them back."""
    built = {}

    def get(name):
        if name not in built:
            built[name] = models.build(name)
        return built[name]

    return get
