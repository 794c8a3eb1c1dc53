"""Every test here has an empty ledger of its own."""

import pytest


@pytest.fixture(autouse=True)
def own_ledger(measured_folder):
    pass
