"""VGG16 as the lecture prints it, and the weights that were trained on ImageNet.

Paper: K. Simonyan & A. Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", configuration D. Not to be confused with `cifar10.VGG16`, which has batch norm and one
dense layer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pathlib
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import keras
import numpy as np
from keras import layers, ops
from pydantic import Field

from cnnlib import backend, integrity, storage
from cnnlib.errors import InputError
from cnnlib.models.checks import Classes, InputShape, Name, image_input
from cnnlib.models.layers import register
from cnnlib.models.winograd import FastConv2D
from cnnlib.validation import Count, InstanceOf, validated

# Maps and convolutions of each block; each block ends in a 2x2 max pooling.
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
# The mean of ImageNet's training images, as the Caffe model of 2014 subtracts it.
MEAN_BGR = (103.939, 116.779, 123.68)
EMBEDDED = storage.DATA / "weights" / "vgg16_notop.float16.npz"
KERAS_ADDRESS = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
PATIENCE = 3  # seconds for Keras' host to answer


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """Hold weights of VGG16.

    Args:
        arrays: float32, kernel and bias of each layer in order.
        source: where they came from.
    """

    arrays: tuple[np.ndarray, ...]
    source: str

    @property
    def digest(self) -> str:
        """16 hex digits of all the numbers."""
        digest = hashlib.sha256()
        for array in self.arrays:
            digest.update(np.ascontiguousarray(array, "<f4").data)
        return digest.hexdigest()[:16]


@validated
def VGG16(
    weights: str | os.PathLike | InstanceOf[Weights] | None = None,
    include_top: bool = True,
    input_shape: InputShape = (224, 224, 3),
    classes: Classes = 1000,
    name: Name = "vgg16",
) -> keras.Model:
    """Build VGG16: five blocks of 3x3 convolutions and a 2x2 max pooling, then three dense layers.

    Layers are named as the lecture prints them from PyTorch: C0, X1, C2, ... S30, avgpool,
    classifier_0 ... classifier_6. Its last line, Linear(4096, 10000), is a slip: ImageNet's
    challenge has 1,000 classes. Two things are as in Keras, not PyTorch: maps stand last, so that
    the first fully connected layer takes its inputs in another order; and the images that the
    weights expect (`VGGPreprocessing`).

    Args:
        weights: None for random ones, "imagenet", a path, or a Weights: see `vgg16_weights`.
        include_top: with avgpool and classifier; without, the net ends in the maps of S30
            (height/32, width/32, 512).
        input_shape: (height, width, channels), at least 32x32. avgpool makes 7x7 maps of any size,
            and changes nothing at 224x224.
        classes: number of classes; "imagenet" has 1,000.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes). It has
        138,357,544 parameters, without the top 14,714,688.

    Raises:
        InputError: for an argument that it cannot take, or weights of another net.
    """
    images = image_input("VGG16", input_shape, smallest=32)
    x, number = images, 0
    for maps, convolutions in BLOCKS:
        for _ in range(convolutions):
            x = FastConv2D(maps, 3, padding="same", name=f"C{number}")(x)
            x = layers.Activation("relu", name=f"X{number + 1}")(x)
            number += 2
        x = layers.MaxPooling2D(2, name=f"S{number}")(x)
        number += 1
    if include_top:
        x = layers.AdaptiveAveragePooling2D(7, name="avgpool")(x)
        x = layers.Flatten(name="flatten")(x)
        for number in (0, 3):
            x = layers.Dense(4096, name=f"classifier_{number}")(x)
            x = layers.Activation("relu", name=f"classifier_{number + 1}")(x)
            x = layers.Dropout(0.5, name=f"classifier_{number + 2}")(x)
        # float32 in mixed precision too, as every output
        x = layers.Dense(classes, dtype="float32", name="classifier_6")(x)
    model = keras.Model(images, x, name=name)
    if weights is not None:
        if not isinstance(weights, Weights):
            weights = vgg16_weights(weights, include_top, classes)
        _check_shapes(weights, [w.shape for w in model.weights])
        model.set_weights(weights.arrays)
    return model


@validated
def vgg16_weights(
    weights: str | os.PathLike = "imagenet", include_top: bool = False, classes: Classes = 1000
) -> Weights:
    """Read weights of VGG16.

    The weights are those of Simonyan & Zisserman 2014 (CC BY 4.0). torchvision's are others,
    trained anew on images that were prepared otherwise.

    Args:
        weights: "imagenet" for those that Keras publishes, from Keras' folder or host if it answers
            within PATIENCE seconds (Keras checks their hash); else, without the top, the
            repository's copy of them in float16 (data/README.md). Or a path: an .npz file with the
            keys of that copy, or an .h5 file as Keras publishes it, with the top or without.
        include_top: with the weights of the fully connected layers.
        classes: number of classes.

    Raises:
        InputError: for a file that is missing, altered or of another net, and for "imagenet" with
            the top and no network.
    """
    backend.check_settings()
    if weights != "imagenet":
        return _read_file(pathlib.Path(weights), include_top, classes)
    if classes != 1000 and include_top:
        raise InputError(
            f"VGG16: the ImageNet weights have 1,000 classes, not {classes}: take "
            "include_top=False and a head of your own"
        )
    if _keras_has_them(include_top):
        try:
            model = keras.applications.VGG16(weights="imagenet", include_top=include_top)
            return Weights(tuple(model.get_weights()), "keras.applications.VGG16")
        except Exception as error:  # urllib, h5py and Keras each have their own
            problem = f"Keras' host failed ({str(error).splitlines()[0]})"
    else:
        problem = "Keras' host does not answer"
    if include_top:
        raise InputError(
            f"VGG16: {problem}, and the repository has its weights without the top alone: take "
            "include_top=False, connect to the internet, or give the path of Keras' file "
            "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
        )
    content = integrity.read_bytes(EMBEDDED)
    relative = EMBEDDED.relative_to(storage.ROOT).as_posix()
    return _read_npz(content, EMBEDDED, f"embedded {relative}")


@validated
def _check_image_size(image_size: Annotated[Count, Field(le=10_000)] | None) -> int | None:
    return image_size


@register
class VGGPreprocessing(layers.Layer):
    """Turn an image into what Keras' VGG16 weights expect: blue first, minus ImageNet's mean.

    RGB, 0 to 255 (n, h, w, 3), becomes BGR about 0, float32 in mixed precision too. torchvision's
    weights expect something else: RGB, 0 to 1, minus a mean and divided by a deviation.

    Args:
        image_size: side in pixels to which images are resized first (bilinear); None: as they are.
        options: as for every layer of Keras.

    Raises:
        InputError: for an image size that is no whole number of at least 1.
    """

    def __init__(self, image_size: int | None = None, **options: Any):
        super().__init__(**{"dtype": "float32", **options})
        self.image_size = _check_image_size(image_size)

    def call(self, images: Any) -> Any:
        if self.image_size and tuple(images.shape[1:3]) != (self.image_size, self.image_size):
            images = ops.image.resize(
                images, (self.image_size, self.image_size), interpolation="bilinear", antialias=True
            )
        return images[..., ::-1] - ops.cast(MEAN_BGR, images.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "image_size": self.image_size}


def _keras_has_them(include_top: bool) -> bool:
    """Return whether Keras has the weights in its folder, or its host answers that it has them."""
    import requests

    address = KERAS_ADDRESS if not include_top else KERAS_ADDRESS.replace("_notop", "")
    home = pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    if (home / "models" / address.rpartition("/")[2]).exists():
        return True
    try:
        return requests.head(address, timeout=PATIENCE).ok
    except requests.RequestException:
        return False


def _read_file(path: pathlib.Path, include_top: bool, classes: int) -> Weights:
    if path.suffix == ".npz" and not include_top:
        return _read_npz(_read_bytes(path), path, f"file {path.name}")
    if path.suffix != ".h5":
        raise InputError(
            "VGG16: weights are None, 'imagenet', an .npz file (without the top) or Keras' .h5 "
            f"file, not {str(path)!r}"
        )
    _read_bytes(path)
    try:
        # Keras only warns of a layer that the file does not have.
        with warnings.catch_warnings(action="error", category=UserWarning):
            model = keras.applications.VGG16(weights=path, include_top=include_top, classes=classes)
    except Exception as error:  # h5py and Keras each have their own
        raise InputError(
            f"{path} has no weights of VGG16 {'with' if include_top else 'without'} the top: "
            f"{error}"
        ) from error
    return Weights(tuple(model.get_weights()), f"file {path.name}")


def _read_bytes(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"the weights {path} cannot be read ({reason})") from error


def _read_npz(content: bytes, path: pathlib.Path, source: str) -> Weights:
    names = [
        f"block{block}_conv{conv}/{part}"
        for block, (_, n) in enumerate(BLOCKS, 1)
        for conv in range(1, n + 1)
        for part in ("kernel", "bias")
    ]
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as saved:
            arrays = tuple(saved[name].astype(np.float32) for name in names)
    except Exception as error:  # zipfile, zlib and NumPy each have their own
        raise InputError(
            f"{path} has no weights of VGG16 ({error}): expected the keys {names[0]} to {names[-1]}"
        ) from error
    return Weights(arrays, source)


def _check_shapes(weights: Weights, expected: Sequence[Sequence[int]]) -> None:
    found = [array.shape for array in weights.arrays]
    if found != [tuple(shape) for shape in expected]:
        first = next(
            (
                f"; {a} where {tuple(b)} belongs"
                for a, b in zip(found, expected, strict=False)
                if a != tuple(b)
            ),
            "",
        )
        raise InputError(
            f"the weights ({weights.source}) are of another net: {len(found)} arrays, expected "
            f"{len(expected)}{first}"
        )
