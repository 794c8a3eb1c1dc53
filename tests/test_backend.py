"""The user's own settings of Keras change no result: they are refused, by name and file."""

import json
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


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Let the test write a keras.json that Keras, imported long ago, does not read again."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


CHANGES = {
    "floatx": ("float16", "float32"),
    "image_data_format": ("channels_first", "channels_last"),
    "epsilon": (1e-3, 1e-7),
    "max_epochs": (1, None),
    "max_steps_per_epoch": (2, None),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_of_the_program_is_refused_wherever_a_result_depends_on_it(name, home):
    net = models.build("lenet-1")
    changed, usual = CHANGES[name]
    getattr(keras.config, f"set_{name}")(changed)
    try:
        for call in (
            lambda: models.build("lenet-1"),
            lambda: models.build("boosted-linear-28x28"),
            lambda: models.build("cifar10/fast"),
            lambda: models.load_trained("lenet-5"),
            lambda: training.train(net, IMAGES, np.zeros(4, int), recipes.recipe("quick")),
        ):
            with pytest.raises(InputError, match=rf"Keras' {name} is .*keras\.config\.set_{name}"):
                call()
        if name in backend.SETTINGS:
            (home / "keras.json").write_text(json.dumps({name: changed}))
            file = (home / "keras.json").as_posix()
            with pytest.raises(InputError, match=rf"{file} says so\. Change {name} there to"):
                models.build("lenet-1")
    finally:
        getattr(keras.config, f"set_{name}")(usual)
    assert models.build("lenet-1").count_params() == 3246


def test_a_limit_of_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "1")
    keras.config.set_max_epochs(1)
    try:
        with pytest.raises(InputError, match="unset the environment variable KERAS_MAX_EPOCHS"):
            models.build("lenet-1")
    finally:
        keras.config.set_max_epochs(None)


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


@pytest.mark.parametrize(
    ("content", "environment", "message"),
    [
        ('{"floatx": "float16"}', {}, "Keras' floatx is 'float16' here"),
        ('{"floatx": "float8"}', {}, "Keras cannot use its settings in"),
        ("[1]", {}, "Keras cannot use its settings in"),
        ('{"backend": "theano"}', {}, "Keras' backend is 'theano' here"),
        ("{}", {"KERAS_BACKEND": "torch"}, "the environment variable KERAS_BACKEND says so"),
        ("{}", {"KERAS_MAX_EPOCHS": "ten"}, "unset the environment variable KERAS_MAX_EPOCHS"),
    ],
)
def test_a_command_refuses_settings_and_names_their_place(content, environment, message, tmp_path):
    (tmp_path / "keras.json").write_text(content)
    results = {"CNNLIB_RESULTS": str(tmp_path / "results"), **environment}
    arguments = ["-m", "cnnlib", "train", "lenet-1", "mnist", "--recipe", "quick"]
    done = command(arguments, tmp_path, **results)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not list((tmp_path / "results").rglob("*.json"))
    if not environment:
        assert str(tmp_path / "keras.json") in done.stderr


def test_an_import_that_failed_says_the_same_again(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "theano"}')
    program = """
import cnnlib
from cnnlib.errors import InputError
for _ in range(2):
    try:
        import keras
    except InputError as error:
        print(error)
import os
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
print(keras.config.backend())
"""
    done = command(["-c", program], tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[0] == lines[1] and "'theano'" in lines[0] and lines[2] == "tensorflow"


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
    if "avx512f" in flags and not flags & {"avx512_bf16", "amx_bf16"}:
        pytest.skip("this processor emulates bfloat16, faster or slower")
    assert backend.has_bfloat16() == bool(flags & {"avx512_bf16", "amx_bf16"})
