"""A row is trained again and compared; what belongs to a row is written before it."""

import numpy as np
import pytest

from cnnlab import experiment, ledger, publishing, verify
from cnnlib import datasets, results, storage, training
from cnnlib.errors import InputError
from cnnlib.models import trained
from cnnlib.results import history_files, prediction_files, rows

SHORT = "plain,epochs=1"


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MEASURED", tmp_path / "measured")
    monkeypatch.setattr(trained, "FOLDER", tmp_path / "nets")


@pytest.fixture
def row():
    return experiment.train_row("linear-20x20", "mnist", SHORT, seed=3, train_size=1000)


def test_the_same_machine_reproduces_every_prediction(row):
    (report,) = verify.verify([row["run_id"]])
    assert report.passed and report.different == 0 and report.same_conditions
    assert (
        report.text().startswith("reproduced") and "every prediction is the same" in report.text()
    )


def test_another_result_is_not_reproduced(row):
    path = prediction_files.local_file(row["run_id"])
    labels = datasets.load("mnist").test.labels
    ledger.write_predictions(path, labels)  # as if the net had made no mistake
    (report,) = verify.verify([row["run_id"]])
    assert not report.passed and report.p_value < 1e-6
    assert "NOT REPRODUCED" in report.text() and "no difference was expected" in report.text()


def test_without_predictions_the_value_decides(row):
    prediction_files.local_file(row["run_id"]).unlink()
    (report,) = verify.verify([row["run_id"]])
    assert report.passed and report.different is None
    changed = ledger.record(**row | {"value": row["value"] - 2 * report.tolerance})
    (report,) = verify.verify([changed["run_id"]])
    assert not report.passed


def test_predictions_can_be_kept_where_there_are_none(row):
    path = prediction_files.local_file(row["run_id"])
    before = prediction_files.read("mnist", row["run_id"])
    path.unlink()
    next(verify.verify([row["run_id"]], keep_predictions=True))
    np.testing.assert_array_equal(prediction_files.read("mnist", row["run_id"]), before)


def test_tolerance_is_four_deviations_of_the_difference():
    # Two nets with an error of 1 % on 10,000 images: sd of each sqrt(0.01 * 0.99 / 10,000).
    assert verify.tolerance(1.0, 10_000) == pytest.approx(100 * 4 * np.sqrt(2 * 0.0099 / 10_000))
    assert verify.tolerance(0.0, 10_000) > 0


def test_an_unknown_run_is_refused(row):
    with pytest.raises(InputError, match=r"unknown run 'no-such-run'. Known: "):
        list(verify.verify(["no-such-run"]))


def test_all_that_belongs_to_a_row_is_published_before_the_table(row, monkeypatch):
    def killed(*arguments):
        assert prediction_files.published_file("mnist", row["run_id"]).exists()
        assert history_files.published_file("mnist").exists()
        raise KeyboardInterrupt

    write = ledger.write_ledger
    monkeypatch.setattr(ledger, "write_ledger", killed)
    with pytest.raises(KeyboardInterrupt):
        publishing.publish([row["run_id"]])
    assert experiment.find(row["run_id"]) == row
    monkeypatch.setattr(ledger, "write_ledger", write)
    assert publishing.publish([row["run_id"]]) == ([row["run_id"]], [])
    published = results.measured(local=False)
    assert published["run_id"].tolist() == [row["run_id"]]
    assert prediction_files.read("mnist", row["run_id"]).shape == (10000,)
    assert not list((storage.results_folder() / "predictions").iterdir())


def test_the_row_is_the_last_thing_written(monkeypatch):
    """A folder that cannot be written to leaves no row that says "done"."""
    (storage.results_folder()).mkdir()
    (storage.results_folder() / "histories").write_text("in the way")
    arguments = ("linear-20x20", "mnist", SHORT, 3, 1000)
    with pytest.raises(InputError, match=r"cannot write to the folder .*histories"):
        experiment.train_row(*arguments)
    assert not experiment.is_done(*arguments)
    (storage.results_folder() / "histories").unlink()
    row = experiment.train_row(*arguments)
    assert experiment.is_done(*arguments)
    assert results.histories("mnist")["run_id"].tolist() == [row["run_id"]]


def test_remove_deletes_a_row_and_all_that_belongs_to_it(row):
    other = experiment.train_row("linear-20x20", "mnist", SHORT, seed=4, train_size=1000)
    with pytest.raises(InputError, match="unknown run 'x'"):
        ledger.remove([row["run_id"], "x"])
    removed = ledger.remove([row["run_id"]])
    assert len(removed) == 4  # row, history, net, predictions
    left = [path.stem for path in storage.results_folder().rglob("*") if path.is_file()]
    assert set(left) == {other["run_id"]}


def test_record_refuses_a_net_that_was_trained_on():
    """Run all, then the training cell again and stop it: the row must not be recorded."""
    import keras

    import cnnlab
    from cnnlib import models, preprocessing

    data = datasets.load("mnist", train_size=500, test_size=500)
    recipe = training.recipe(SHORT)
    images = preprocessing.prepare_for("linear-20x20", recipe, data.train.images)
    keras.utils.set_random_seed(0)
    net = models.build("linear-20x20")
    history = training.train(net, images, data.train.labels, recipe, progress=False)
    other = datasets.load("mnist", train_size=500, seed=1, test_size=500)
    with pytest.raises(InputError, match="trained on other images than `data` has"):
        cnnlab.record("linear-20x20", net, history, other)
    net.get_layer(index=-1).bias.assign_add(np.full(10, 0.1, "float32"))
    with pytest.raises(InputError, match="not those that this training ended with"):
        cnnlab.record("linear-20x20", net, history, data)
    assert not len(results.measured())
