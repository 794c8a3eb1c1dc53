"""What killed runs left behind is found, and nothing else."""

import os
import time

import pytest

from cnnlab import leftovers
from cnnlib import storage


def write(path, age=7200.0, content="text"):
    """Write a file that was last changed `age` seconds ago, and so was its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    for each in (path, path.parent):
        os.utime(each, (time.time() - age, time.time() - age))
    return path


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setattr(storage, "DATA", tmp_path / "checkout-data")
    return storage.results_folder()


def test_files_and_data_sets_that_were_not_written_to_their_end(results, tmp_path):
    assert leftovers.find() == {} and leftovers.find(checkpoints=True) == {}
    left = [
        write(results / "rows" / ".a.json.0a1b2c3d.part"),
        write(results / "nets" / ".a.keras.0a1b2c3d.keras"),
        write(results / "notebooks" / ".net-1.abc_defg.ipynb"),
        write(tmp_path / "checkout-data" / ".mnist.csv.0a1b2c3d.part"),
        write(tmp_path / "data" / "tfds" / "cifar10" / "incomplete.X1_3.0.2" / "part").parent,
    ]
    kept = [
        write(results / "rows" / "a.json"),
        write(results / "rows" / ".a.json.0a1b2c3e.part", age=10),
        write(results / "notebooks" / "net-1.failed.ipynb"),
        write(results / "notebooks" / ".ipynb_checkpoints" / "net-1-checkpoint.ipynb"),
        write(results / ".gitignore"),
        write(tmp_path / "data" / "tfds" / "cifar10" / "3.0.2" / "dataset_info.json"),
        write(tmp_path / "data" / "tfds" / "cifar10" / "incomplete.X2_3.0.2" / "part", age=10),
    ]
    found = leftovers.find()
    assert list(found) == sorted(left)
    for path in found:
        storage.remove(path)
    assert not any(path.exists() for path in left) and all(path.exists() for path in kept)
    assert leftovers.find() == {}


def test_checkpoints_of_trainings_that_are_done(results):
    done = write(results / "stages" / "lenet-5-1" / "checkpoint.npz").parent
    write(results / "rows" / "lenet-5-1.json", content="{}")
    begun = write(results / "stages" / "lenet-5-2" / "checkpoint.npz").parent
    write(results / "stages" / ".lenet-5-2.lock")
    running = write(results / "stages" / "lenet-5-3" / "checkpoint.npz", age=60).parent
    stage = write(results / "stages" / "vgg16-1" / "result.npz").parent
    write(results / "rows" / "vgg16-1.json", content="{}")
    assert list(leftovers.find()) == [done]
    assert list(leftovers.find(checkpoints=True)) == [done, begun, stage]
    storage.remove(done)
    assert begun.exists() and running.exists() and stage.exists() and not done.exists()
