"""The user's own settings of Keras change no result: they are refused, by name and file."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from cnnlib import backend, models, recipes, training
from cnnlib.errors import InputError

IMAGES = np.zeros((4, 28, 28, 1), np.float32)


CHANGES = {
    "floatx": ("float16", "float32"),
    "image_data_format": ("channels_first", "channels_last"),
    "epsilon": (1e-3, 1e-7),
    "max_epochs": (1, None),
    "max_steps_per_epoch": (2, None),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_of_the_program_is_refused_before_a_training(name):
    net = models.build("lenet-1")
    changed, usual = CHANGES[name]
    getattr(keras.config, f"set_{name}")(changed)
    try:
        with pytest.raises(InputError, match=rf"Keras' {name} is .*keras\.config\.set_{name}"):
            training.train(net, IMAGES, np.zeros(4, int), recipes.recipe("quick"))
    finally:
        getattr(keras.config, f"set_{name}")(usual)


def test_the_precision_is_the_recipes_whatever_the_programs_is():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with training.precision(recipes.recipe("plain")):
            assert models.build("lenet-1").get_layer("C1").compute_dtype == "float32"
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def command(arguments, home, **environment):
    environment = {**os.environ, "KERAS_HOME": str(home), **environment}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=600
    )


def test_a_command_refuses_settings_and_records_nothing(tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "float16"}')
    arguments = ["-m", "cnnlib", "train", "lenet-1", "mnist", "--recipe", "quick"]
    done = command(arguments, tmp_path, CNNLIB_RESULTS=str(tmp_path / "results"))
    assert done.returncode == 2 and "Keras' floatx is 'float16' here" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not list((tmp_path / "results").rglob("*.json"))


@pytest.mark.parametrize(
    "environment",
    [{"KERAS_NNX_ENABLED": "true"}, {"HOME": ""}, {"CLOSED": "2>&-"}],
    ids=["NNX", "no home folder", "closed stderr"],
)
def test_surroundings_that_end_other_programs(environment, tmp_path):
    program = "from cnnlib import models; print(models.build('lenet-1').count_params())"
    environment = {**os.environ, **environment, "PYTHONPATH": os.getcwd()}
    environment = {name: value for name, value in environment.items() if value}
    line = f'"{sys.executable}" -c "{program}" {environment.pop("CLOSED", "")}'
    done = subprocess.run(line, shell=True, capture_output=True, env=environment, cwd=tmp_path)
    assert done.stdout.split() == [b"3246"], done.stderr.decode()
    assert not list(tmp_path.iterdir())


def test_a_notebook_gets_none_of_tensorflows_notes(tmp_path):
    program = "import sys; import ipykernel, cnnlib; assert 'keras' in sys.modules"
    assert command(["-c", program], tmp_path).stderr == ""


def test_the_usual_settings_and_an_older_file_are_fine(tmp_path):
    (tmp_path / "keras.json").write_text(
        '{"floatx": "float32", "epsilon": 1e-07, "backend": "tensorflow", '
        '"image_data_format": "channels_last", "from_the_future": 1}'
    )
    program = "from cnnlib import models; print(models.build('lenet-1').count_params())"
    assert command(["-c", program], tmp_path).stdout.strip() == "3246"


def test_bfloat16_is_for_processors_that_have_it():
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if not backend.on_cpu() or not cpuinfo.exists():
        pytest.skip("the processor's instructions are read on Linux alone")
    flags = set(cpuinfo.read_text().split())
    assert backend.has_bfloat16() == bool(flags & {"avx512_bf16", "amx_bf16"})
