"""The user's own settings of Keras change no result: they are refused, by name and file."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from cnnlib import models, recipes, training
from cnnlib.errors import InputError

IMAGES, LABELS = np.zeros((4, 28, 28, 1), np.float32), np.zeros(4, int)


@pytest.mark.parametrize(
    ("name", "changed", "usual"),
    [
        ("floatx", "float16", "float32"),
        ("image_data_format", "channels_first", "channels_last"),
        ("epsilon", 1e-3, 1e-7),
        ("max_epochs", 1, None),
        ("max_steps_per_epoch", 2, None),
    ],
)
def test_a_setting_of_the_program_is_refused_before_a_training(name, changed, usual):
    net = models.build("linear-28x28")
    getattr(keras.config, f"set_{name}")(changed)
    try:
        with pytest.raises(InputError, match=rf"Keras' {name} is .*keras\.config\.set_{name}"):
            training.train(net, IMAGES, LABELS, recipes.recipe("quick"))
    finally:
        getattr(keras.config, f"set_{name}")(usual)


@pytest.mark.parametrize(
    ("settings", "told"),
    [('{"floatx": "float16"}', "Keras' floatx is 'float16' here"), ("[]", "Keras cannot start")],
)
def test_a_command_refuses_settings_of_keras_json_and_records_nothing(tmp_path, settings, told):
    (tmp_path / "keras.json").write_text(settings)
    words = "train linear-28x28 mnist --recipe quick --train-size 100"
    own = {"KERAS_HOME": str(tmp_path), "CNNLIB_RESULTS": str(tmp_path / "results")}
    command = [sys.executable, "-m", "cnnlib", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | own)
    assert done.returncode == 2 and told in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not list((tmp_path / "results").rglob("*.json"))


def test_surroundings_that_end_other_programs(tmp_path):
    """No home folder, another backend's switch, no number of threads, closed stderr, and more."""
    (tmp_path / "keras.json").write_text('{"epsilon": 1e-07, "from_the_future": 1}')
    program = "from cnnlib import models; print(models.build('lenet-1').count_params())"
    own = {"KERAS_HOME": str(tmp_path), "KERAS_NNX_ENABLED": "true", "PYTHONPATH": os.getcwd()}
    own |= {"TF_NUM_INTRAOP_THREADS": "-1", "TF_NUM_INTEROP_THREADS": "abc"}
    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | own
    line = f'"{sys.executable}" -c "{program}" 2>&-'
    done = subprocess.run(line, shell=True, capture_output=True, env=environment, cwd=tmp_path)
    assert done.stdout.split() == [b"3246"]
    assert [path.name for path in tmp_path.iterdir()] == ["keras.json"]


def test_a_notebook_gets_none_of_tensorflows_notes():
    program = "import sys; import ipykernel, cnnlib; assert 'keras' in sys.modules"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ""
