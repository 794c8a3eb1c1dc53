"""What the notebooks share when they run as tests (`tests/conftest.py` does the same for the unit
tests)."""

import os
import tempfile

import pytest


def pytest_configure(config):
    """The notebooks run on the data of the checkout, and write to a results folder of this test
    run: the recap reads what they wrote."""
    folder = tempfile.TemporaryDirectory(prefix="cnnlib-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    os.environ["CNNLIB_RESULTS"] = os.path.join(folder.name, "results")
    os.environ["CNNLIB_DATA"] = os.path.join(folder.name, "data")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """nbval waits 5 seconds for the next output of a cell that is done, and has no option for it: a
    busy machine takes longer."""
    for item in items:
        if hasattr(item, "output_timeout"):
            item.output_timeout = 120
