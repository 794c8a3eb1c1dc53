"""A row says what was trained, to the end, and is the last thing that is written."""

import pathlib

import keras
import numpy as np
import pytest

import cnnlab
from cnnlab import experiment, ledger
from cnnlib import (
    backend,
    datasets,
    models,
    preprocessing,
    progress,
    results,
    storage,
    training,
)
from cnnlib.errors import InputError
from cnnlib.results import prediction_files

ROW = {"model": "linear-20x20", "dataset": "mnist", "recipe": "plain,epochs=1"}
ROW |= {"seed": 3, "train_size": 200}


def test_a_net_whose_second_training_was_stopped_is_not_recorded(monkeypatch):
    """Run all; run the training cell again and press stop; run the test and record cells."""
    data = datasets.load("mnist", train_size=500, test_size=500)
    recipe = training.recipe("plain,epochs=2")
    images = preprocessing.prepare_for("linear-20x20", recipe, data.train.images)
    keras.utils.set_random_seed(0)
    net = models.build("linear-20x20")
    history = training.train(net, images, data.train.labels, recipe)

    def stop(shown, batch, logs=None):
        if batch == 2:  # the learning rate begins at 0, and the first step changes nothing
            raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(progress.Progress, "on_train_batch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            training.train(net, images, data.train.labels, recipe)
    with pytest.raises(InputError, match="was trained on, or stopped, since"):
        cnnlab.record("linear-20x20", net, history, data)
    assert not list(storage.results_folder().rglob("*.json"))

    history = training.train(net, images, data.train.labels, recipe)
    row = cnnlab.record("linear-20x20", net, history, data)
    assert row["epochs"] == len(history.epochs) == 2
    assert len(results.histories("mnist").query("run_id == @row['run_id']")) == 2


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        (experiment, "save_net"),
        (ledger, "write_predictions"),
        (ledger, "write_history"),
        (storage, "write_atomically"),
    ],
)
def test_a_kill_while_a_row_is_written_leaves_no_row(monkeypatch, module, name, again):
    if again:
        experiment.train_row(**ROW)
    run = experiment.plan(**ROW)["run_id"]
    function = getattr(module, name)

    def killed(*arguments, **options):
        if module is storage:  # before the row itself is written
            if pathlib.Path(arguments[0]).parent.name != "rows":
                return function(*arguments, **options)
        else:  # after a part of what belongs to it is written
            function(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, name, killed)
        with pytest.raises(KeyboardInterrupt):
            experiment.train_row(**ROW, again=again)
    assert experiment.find(run) is None

    epochs, images = [], training.epoch_images
    monkeypatch.setattr(
        training, "epoch_images", lambda *others: epochs.append(1) or images(*others)
    )
    row = experiment.train_row(**ROW)
    assert not epochs  # the checkpoint of the last epoch was still there
    predictions = prediction_files.read("mnist", run)
    error = 100 * np.mean(predictions != datasets.load("mnist").test.labels)
    assert row["value"] == pytest.approx(error)
    histories = results.histories("mnist").query("run_id == @run")
    assert ledger.net_path(run).exists() and len(histories) == 1


def test_a_row_says_that_float32_took_the_place_of_bfloat16(monkeypatch):
    monkeypatch.setattr(backend, "has_bfloat16", lambda: False)
    row = experiment.train_row(**ROW | {"recipe": "plain,epochs=1,precision=bfloat16"})
    assert row["device"].endswith("; float32 in the place of bfloat16")
