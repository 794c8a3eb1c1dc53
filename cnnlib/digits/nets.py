"""Find a net that was trained on MNIST's digits, and show what it answers for picture files."""

import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlib import datasets, preprocessing, registry, results, storage
from cnnlib.digits.pictures import read_page
from cnnlib.errors import InputError, check_name

if TYPE_CHECKING:
    import keras
    import pandas as pd

SHADES = " .:-=+*#%@"
DATASET = "mnist"  # the one data set whose digits look as `read_picture` makes them


def drawing(image: np.ndarray) -> str:
    """Draw a digit as text, two characters a pixel and a line a row. image: uint8 (h, w, 1)."""
    return "\n".join(
        "".join(2 * SHADES[int(value) * (len(SHADES) - 1) // 255] for value in row)
        for row in image[..., 0]
    )


def find_net(model: str) -> tuple[pathlib.Path, "pd.Series | None"]:
    """Find a net that was trained on MNIST's digits.

    Args:
        model: the name of a net, such as "lenet-5": the one that comes with the course, by the
            recipe "plain" where there are several, or, where the course has none, the one of this
            machine that saw the most images; a net of the course with its recipe, such as
            "lenet-5-distorted"; the run id of a row; or the path to a .keras file.

    Returns:
        The net's file and its row in the results, None for a file that no row belongs to.

    Raises:
        InputError: if there is no such net, or if it was trained on anything but MNIST.
    """
    rows = results.measured().sort_values("date", ascending=False)
    path = pathlib.Path(model)
    if path.suffix == ".keras":
        return _by_path(path, rows)
    if (found := rows[rows["run_id"] == model]).shape[0]:
        return _checked(_own_folder() / f"{model}.keras", found.iloc[0])
    of_the_course = {
        f"{row['model']}-{row['recipe']}": row
        for _, row in rows[(rows["seed"] == 0) & (rows["dataset"] == DATASET)][::-1].iterrows()
        if _course_path(row).exists()
    }
    if model in of_the_course:
        return _course_path(of_the_course[model]), of_the_course[model]
    check_name("model", model, [*registry.names(), *rows["model"].unique(), *of_the_course])
    named = [row for row in of_the_course.values() if row["model"] == model]
    if named:
        row = min(named, key=lambda row: (row["recipe"] != "plain", row["recipe"]))
        return _course_path(row), row
    own = rows[(rows["model"] == model) & (rows["dataset"] == DATASET)]
    own = own[[(_own_folder() / f"{run_id}.keras").exists() for run_id in own["run_id"]]]
    if not len(own):
        raise InputError(
            f"no {model} that was trained on {DATASET} is in {_own_folder()}. "
            f"Train one first: python -m cnnlib train {model} {DATASET} --recipe quick"
        )
    seen = own["train_images"] * own["epochs"]
    row = own.loc[seen.sort_values(ascending=False, kind="stable").index[0]]
    return _own_folder() / f"{row['run_id']}.keras", row


def probabilities(net: "keras.Model", pictures: np.ndarray, deslanted: bool = False) -> np.ndarray:
    """Return a trained net's class probabilities for pictures as `read_picture` returns them.

    Args:
        net: a net of the course, with the name that it was built with.
        pictures: uint8 (n, 28, 28, 1).
        deslanted: whether the net was trained on deslanted digits.

    Returns:
        float32 (n, classes).
    """
    from cnnlib import training

    input_format = registry.input_format(net.name)
    inputs = preprocessing.prepare(pictures, input_format, deslanted=deslanted)
    return training.predict(net, inputs)


def describe(model: str, pictures: Sequence[str | os.PathLike], invert: bool | None = None) -> str:
    """Show as text what a trained net sees in picture files and what it answers.

    Args:
        model: as for `find_net`.
        pictures: paths to picture files, one digit in each.
        invert: as for `read_picture`.

    Raises:
        InputError: as `find_net` and `read_picture`, and for a file that is no net for digits.
    """
    pages_read = [read_page(path, invert) for path in pictures]
    images = np.stack([image for image, _ in pages_read])
    path, row = find_net(model)
    net = load_net(path)
    classes = datasets.info(DATASET).class_names
    deslanted = row is not None and row["protocol"] == "deslanted"
    answers = probabilities(net, images, deslanted)
    text = [f"Net: {net.name}, {path.name}, {_training(row)}"]
    for name, (image, notes), p in zip(pictures, pages_read, answers, strict=True):
        first, *others = np.argsort(-p)[:3]
        text += [
            f"\n{name}, scaled to 20x20 and centred by its centre of mass in 28x28:",
            drawing(image),
            *(f"{name}: {note}" for note in notes),
            f"{name}: {classes[first]} ({100 * p[first]:.1f} %); next "
            + ", ".join(f"{classes[i]} ({100 * p[i]:.1f} %)" for i in others),
        ]
    return "\n".join(text)


def _own_folder() -> pathlib.Path:
    return storage.results_folder() / "nets"


def _course_path(row: Any) -> pathlib.Path:
    from cnnlib.models import trained

    return trained.trained_path(row["model"], row["recipe"])


def _by_path(path: pathlib.Path, rows: "pd.DataFrame") -> tuple[pathlib.Path, "pd.Series | None"]:
    if not os.path.exists(path):  # also of a name that no file can have
        raise InputError(f"there is no file {path}")
    for _, row in rows.iterrows():
        of_the_course = row["seed"] == 0 and row["dataset"] == DATASET
        if path.stem == row["run_id"] or (of_the_course and path.name == _course_path(row).name):
            return _checked(path, row)
    return path, None


def _checked(path: pathlib.Path, row: "pd.Series") -> tuple[pathlib.Path, "pd.Series"]:
    if row["dataset"] != DATASET:
        raise InputError(
            f"{path.name} was trained on {row['dataset']}: pictures are read as {DATASET} draws "
            f"its digits, so give a net that was trained on {DATASET}"
        )
    if not path.exists():
        raise InputError(
            f"the net of the row {row['run_id']} is not on this machine: give another net, or "
            f"train it: python -m cnnlib train {row['model']} {DATASET} --recipe {row['recipe']} "
            f"--seed {row['seed']} --again"
        )
    return path, row


def load_net(path: str | os.PathLike) -> "keras.Model":
    """Read a net for digits from its file.

    Raises:
        InputError: if the file is no net that Keras can read, or no net of the course for digits.
    """
    from cnnlib.models import trained

    known = [trained.trained_path(*each) for each in trained.trained_nets()]
    if (path := pathlib.Path(path)) in known:
        net = trained.load_trained(*trained.trained_nets()[known.index(path)])
    else:
        net = trained.load(path)
    classes = len(datasets.info(DATASET).class_names)
    if net.output_shape != (None, classes) or not _takes_digits(net.name):
        raise InputError(
            f"{path} is no net of the course for digits in {classes} classes: give one of "
            "`python -m cnnlib models` that was trained on mnist"
        )
    return net


def _takes_digits(name: str) -> bool:
    known = name in registry.names()
    return known and registry.input_format(name) not in ("cifar10", "rgb")


def _training(row: "pd.Series | None") -> str:
    if row is None:
        return "not in the results: on which images it was trained is unknown"
    epochs = "1 epoch" if row["epochs"] == 1 else f"{row['epochs']} epochs"
    return f"test error {row['value']:.2f} % on {row['dataset']} after {epochs}"
