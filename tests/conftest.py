"""What every test shares: none reads or writes the user's own results and data folders."""

import pathlib

import pytest

import cnnlib

# Files whose tests train nets, execute notebooks or start processes that do: `make test-fast`
# leaves them out. A single test elsewhere is marked with `@pytest.mark.slow`.
SLOW_FILES = (
    "lab/batch/test_dispatch.py",
    "lab/batch/test_worker.py",
    "lab/test_course.py",
    "lab/test_distributed.py",
    "lab/test_editions.py",
    "lab/test_experiment.py",
    "lab/test_notebooks.py",
    "lab/test_recording.py",
    "lab/test_site.py",
    "lab/test_stages.py",
    "test_boosting.py",
    "test_training.py",
    "transfer/test_stages.py",
)


def pytest_report_header():
    """Say which cnnlib is tested. Importing it here, before Keras, prepares TensorFlow."""
    return f"cnnlib {cnnlib.__version__}"


def pytest_collection_modifyitems(items):
    folder = pathlib.Path(__file__).parent
    slow = [folder / name for name in SLOW_FILES]
    for item in items:
        if item.path in slow:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))
