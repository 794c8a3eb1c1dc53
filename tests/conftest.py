"""What every test shares: none reads or writes the user's own results and data folders."""

import pytest


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))
