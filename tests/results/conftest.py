"""An empty ledger of its own for every test, and the columns of a run as a notebook would record
it."""

import pytest

from cnnlib.results import rows


@pytest.fixture(autouse=True)
def measured_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MEASURED", tmp_path / "measured")
    return rows.MEASURED


@pytest.fixture
def run():
    """A function: the columns that `record` needs, with some of them changed."""
    columns = {
        "model": "lenet-5",
        "dataset": "mnist",
        "data_source": "embedded data/mnist.npz",
        "protocol": "plain",
        "recipe": "standard",
        "seed": 0,
        "train_images": 60000,
        "metric": "test_error_percent",
        "value": 0.95,
        "trainable_parameters": 61706,
        "epochs": 20,
        "train_seconds": 116.5,
        "image_order": "official",
        "test_images": 10000,
    }

    def run(**changed):
        found = columns | changed
        # In these tests the name of a recipe and its epochs stand for its settings.
        settings = {"name": str(found["recipe"]), "epochs": str(found["epochs"])}
        return {"settings": rows.settings_text(settings)} | found

    return run
