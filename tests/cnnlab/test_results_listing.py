"""The listing of results: what it shows, how wide it is, what it needs."""

import json
import subprocess
import sys

import pytest

from cnnlab import results_listing
from cnnlib import datasets, storage
from cnnlib.errors import InputError
from cnnlib.results import rows


@pytest.fixture
def local():
    """A function that records a changed copy of a published row as one of this machine."""

    def local(run_id, dataset="mnist", model="lenet-5", **changes):
        known = rows.read_ledger(dataset).values()
        row = next(each for each in known if each["model"] == model) | {"run_id": run_id} | changes
        storage.write_atomically(rows.local_file(run_id), json.dumps(row))

    return local


@pytest.mark.parametrize("name", datasets.names())
def test_it_fits_a_terminal(name, local):
    local("here-0", seed=77, recipe="plain,epochs=123,learning_rate=0.00123456789")
    text = results_listing.text(name)
    assert max(map(len, text.splitlines())) <= 80


def test_the_lecture_beside_what_was_measured():
    lines = results_listing.text("mnist").splitlines()
    values = [row["value"] for row in rows.read_ledger("mnist").values()]
    assert len(values) >= 60
    (line,) = [each for each in lines if each.startswith("LeNet-4 ")]
    own = [r["value"] for r in rows.read_ledger("mnist").values() if r["model"] == "lenet-4"]
    mean = sum(own) / len(own)
    deviation = (sum((value - mean) ** 2 for value in own) / (len(own) - 1)) ** 0.5
    assert line.split() == [
        *("LeNet-4", "1.10", f"{mean:.2f}", "±", f"{deviation:.2f}"),
        *("(n", "=", f"{len(own)})", "plain"),
    ]


def test_nets_that_are_not_measured_are_listed():
    text = results_listing.text("cifar10")
    assert any(line.split() == ["DPN92", "95.16", "not", "measured"] for line in text.splitlines())


def test_transfer_learning_is_listed():
    text = results_listing.text("cifar10").partition("Transfer learning")[2]
    recipes = {row["recipe"] for row in rows.read_ledger("cifar10").values()}
    assert "frozen-32-all-mlp" in recipes and "frozen-32-all-mlp" in text


def test_rows_of_this_machine_are_marked_and_not_mixed_with_published_ones(local):
    assert "*" not in results_listing.text("mnist")
    local("here-0", seed=77, value=5.0)
    local("here-1", seed=78, value=6.0)
    lines = results_listing.text("mnist").splitlines()
    (marked,) = [line for line in lines if "*5.50 ± 0.71 (n = 2)" in line]
    assert marked.startswith("LeNet-5 ")
    assert any(line.startswith("* of this machine") for line in lines)
    local("here-2", seed=5, train_images=1000, recipe="quick", value=20.0)
    (line,) = [each for each in results_listing.text("mnist").splitlines() if "*20.00" in each]
    assert line.rstrip().endswith("quick (1,000")


def test_the_newest_row_of_a_seed_counts(local):
    local("here-0", seed=77, value=5.0, date="2026-01-01T00:00:00Z")
    local("here-1", seed=77, value=6.0, date="2026-01-02T00:00:00Z")
    assert "*6.00 (n = 1)" in results_listing.text("mnist")


def test_an_unknown_data_set():
    with pytest.raises(InputError, match=r"unknown benchmark 'mnits'\. Known: mnist"):
        results_listing.text("mnits")


def test_it_needs_neither_pandas_nor_keras():
    code = """
import sys
from cnnlab import results_listing
results_listing.text("cifar10")
unwanted = {"tensorflow", "keras", "pandas", "matplotlib"}
sys.exit(f"imported: {heavy}" if (heavy := unwanted & set(sys.modules)) else 0)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
