"""Transfer learning with VGG16: what it learned on ImageNet, used on another data set.

Two ways. Frozen: the base sees every image once, what it says of each is kept on disk (`features`), and heads learn from that in seconds.
Fine-tuned: the last block or blocks, or all of the base, learns on with a head that was trained on the frozen base before. A recipe
(`recipes.Recipe`) says which, at what image size. Written against Keras alone, like cnnlib.training, which does the training.

Images are RGB, 0 to 255, as `datasets.load` returns them; what the weights expect of them is done inside the models.
"""

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import time
import zlib

import filelock
import keras
import numpy as np
from keras import layers

from cnnlib import datasets, models, preprocessing, recipes, storage, training
from cnnlib.errors import InputError, check_name
from cnnlib.models.checks import check_classes
from cnnlib.models.norm import BatchNorm
from cnnlib.models.vgg import Weights

BLOCKS = {"3": "S16", "4": "S23", "5": "S30"}  # the layer that ends each block that a head can see
WIDTHS = {"3": 256, "4": 512, "5": 512}  # maps of that layer
TRAINED = {  # the layers of the base that learn
    "head": (),
    "block5": ("C24", "C26", "C28"),
    "blocks345": ("C10", "C12", "C14", "C17", "C19", "C21", "C24", "C26", "C28"),
    "all": ("C0", "C2", "C5", "C7", "C10", "C12", "C14", "C17", "C19", "C21", "C24", "C26", "C28"),
}
PARAMETERS = {
    "head": 0,
    "block5": 7_079_424,
    "blocks345": 14_454_528,
    "all": 14_714_688,
}  # what these layers hold
SAMPLE = 512  # training images by which `put_batch_norm` measures the maps
BATCH = 64  # images that the frozen base sees at a time
CHUNK = 16 * BATCH  # images after which features are on the disk for good


@dataclasses.dataclass(frozen=True, eq=False)
class Backbone:
    """VGG16 without its top. `model`: images float32 (n, h, w, 3), RGB, 0 to 255 -> float32 (n, 1280), the mean of each map of S16, S23
    and S30; its layer "vgg16" is the net of models.VGG16. `weights` says where they came from. With more `places` than 1 the features are
    the means of so many by so many parts of each map, row by row (of maps that are smaller, their pixels); `widths` counts them."""

    model: keras.Model
    image_size: int
    weights: Weights
    places: int = 1

    @property
    def widths(self):
        """{block: its features}."""
        return _widths(self.image_size, self.places)


def _widths(image_size, places):
    sides = [min(places, image_size // shrunk) for shrunk in (8, 16, 32)]
    return {
        block: maps * side**2 for (block, maps), side in zip(WIDTHS.items(), sides, strict=True)
    }


def backbone(input_shape=(32, 32, 3), image_size=None, weights="imagenet", places=1):
    """Build a Backbone for images of this shape (height, width, 3), resized to `image_size` pixels a side (None: 32).

    `weights` as for models.vgg16_weights, or a models.vgg.Weights. Raises InputError for an argument that cannot be.
    """
    image_size = 32 if image_size is None else image_size
    if len(input_shape) != 3 or input_shape[2] != 3:
        raise InputError(
            f"VGG16 takes images (height, width, 3), got {tuple(input_shape)}: preprocessing.prepare(images, 'rgb') makes them"
        )
    weights = weights if isinstance(weights, Weights) else models.vgg16_weights(weights)
    base = models.VGG16(weights, include_top=False, input_shape=(image_size, image_size, 3))
    return _backbone_of(
        base,
        {layer.name: layer.output for layer in base.layers},
        input_shape,
        image_size,
        weights,
        places,
    )


def _backbone_of(base, outputs, input_shape, image_size, weights, places):
    """A Backbone of the net `base`, of which `outputs` has those of S16, S23 and S30."""
    maps = keras.Model(base.input, [outputs[name] for name in BLOCKS.values()], name="vgg16")
    images = keras.Input(tuple(input_shape), name="images")
    x = models.VGGPreprocessing(image_size, name="preprocessing")(images)
    means = [
        _means(m, places, f"mean_{name}") for name, m in zip(BLOCKS.values(), maps(x), strict=True)
    ]
    model = keras.Model(images, layers.Concatenate(name="features")(means), name="backbone")
    model.compile(
        jit_compile=training.jit_compile()
    )  # for predict_on_batch: a graph takes a tenth less time than single calls
    return Backbone(model, image_size, weights, places)


def _means(maps, places, name):
    """The means of places x places parts of each map (n, side, side, maps) -> (n, parts * maps); of smaller maps, their pixels."""
    side = min(places, maps.shape[1])
    if side == 1:
        return layers.GlobalAveragePooling2D(name=name)(maps)
    return layers.Flatten(name=name)(
        layers.AdaptiveAveragePooling2D(side, name=f"parts_{name}")(maps)
    )


def check_images(images, shape=None):
    """Raise InputError unless the images are RGB, 0 to 255: uint8 or float (n, h, w, 3), of this `shape` (h, w, 3) if it is given."""
    images = np.asanyarray(images)
    expected = f"(n, {', '.join(map(str, shape or ('height', 'width', 3)))})"
    if (
        images.ndim != 4
        or images.shape[3] != 3
        or not len(images)
        or (shape and images.shape[1:] != tuple(shape))
    ):
        hint = (
            ": preprocessing.prepare(images, 'rgb') makes three channels of one"
            if images.shape[-1:] == (1,)
            else ""
        )
        raise InputError(f"images must be of shape {expected}, got {images.shape}{hint}")
    if images.dtype.kind == "f":
        low, high = float(images.min()), float(images.max())
        if not (low >= 0 and high <= 255):
            raise InputError(
                f"images must be from 0 to 255, found {low:g} to {high:g}: give them as `datasets.load` returns them"
            )
        if high <= 1:
            raise InputError(
                f"images must be from 0 to 255, and these look like 0 to 1 (the largest value is {high:g}): multiply them by 255. The "
                "preprocessing that the weights expect is inside the model"
            )
    elif images.dtype != np.uint8:
        raise InputError(f"images must be uint8, or floats from 0 to 255, got {images.dtype}")


# --- features, computed once


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """What the frozen base says of each image: `array` float32 (n, 1280), mapped from the file `path`; `seconds` it took to compute;
    `widths` as the Backbone's, by which there may be more columns."""

    array: np.ndarray
    path: pathlib.Path
    seconds: float
    widths: dict

    def of(self, blocks):
        """The columns of some blocks, such as "45". float32 (n, columns), in memory."""
        return np.concatenate(
            [self.array[:, columns] for columns in _columns(blocks, self.widths)], axis=1
        )


def features(backbone, images, folder=None, progress=True):
    """What the backbone says of the images, from `folder` if it has been computed before, else computed and kept there.

    The file's name is a digest of all that decides what is in it: weights, layers, pooling, image size, and the images themselves. It is
    whole or not there. A run that was killed goes on from its last chunk of 1,024 images; of two processes that want the same, one computes
    and the other waits. The array is mapped: it may be larger than the memory.

    Args: images: uint8, or float32 from 0 to 255, (n, h, w, 3); folder: `features/` in the results folder if None.
    Returns: Features. Raises InputError for images that the backbone cannot take, a damaged file, a full disk.
    """
    check_images(images, backbone.model.input_shape[1:])
    folder = storage.make_folder(folder or storage.results_folder() / "features")
    identity = _identity(backbone, images)
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"vgg16-{backbone.image_size}-{key}.npy"
    with filelock.FileLock(path.with_suffix(".lock")):
        if not path.exists():
            _compute(path, backbone, images, identity, progress)
        return _open(path, identity, backbone.widths)


def _identity(backbone, images):
    digest = hashlib.sha256(f"{images.dtype.str} {images.shape}".encode())
    for i in range(0, len(images), CHUNK):
        digest.update(np.ascontiguousarray(images[i : i + CHUNK]))
    return {
        "net": "vgg16",
        "weights": backbone.weights.digest,
        "layers": list(BLOCKS.values()),
        "pooling": "mean" if backbone.places == 1 else f"mean {backbone.places}x{backbone.places}",
        "image_size": backbone.image_size,
        "images": digest.hexdigest(),
        "count": len(images),
    }


def _compute(path, backbone, images, identity, progress):
    """Write the features chunk by chunk to `path`.part, with each chunk's checksum in `path`.json, and give it its name at the end."""
    part, log = _part(path), path.with_suffix(".json")
    width = sum(backbone.widths.values())
    header = _header(len(images), width)
    sums, seconds = _done(part, log, identity, header, width)
    line, n = training.Line(), len(images)
    try:
        with open(part, "r+b" if sums else "wb") as file:
            if not sums:
                file.write(header)
            file.truncate(len(header) + 4 * width * min(n, len(sums) * CHUNK))
            file.seek(0, os.SEEK_END)
            for start in range(len(sums) * CHUNK, n, CHUNK):
                before = time.perf_counter()
                chunk = _seen(backbone.model, images[start : start + CHUNK])
                file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
                sums.append(zlib.crc32(chunk))
                seconds += time.perf_counter() - before
                storage.write_atomically(
                    log, json.dumps({**identity, "seconds": seconds, "sums": sums})
                )
                done = min(n, start + CHUNK)
                if progress:
                    line.show(
                        f"features of {done:,} of {n:,} images, {seconds:.0f} s", last=done == n
                    )
        os.replace(part, path)
    except OSError as error:
        raise InputError(
            f"cannot write {part} ({error.strerror or error}): make room, then do the same again: it goes on"
        ) from error


def _seen(model, images):
    """The model's outputs of some images, as bytes."""
    outputs = []
    for i in range(0, len(images), BATCH):
        batch = images[i : i + BATCH].astype("float32")
        missing = BATCH - len(
            batch
        )  # filled up: a batch of another size would have the graph built anew
        outputs.append(
            model.predict_on_batch(np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0))))[
                : len(batch)
            ]
        )
    return np.concatenate(outputs).astype("<f4").tobytes()


def _done(part, log, identity, header, width):
    """(checksums, seconds) of the chunks that an earlier run has left whole."""
    saved = _read_log(log)
    if saved is None or {k: saved.get(k) for k in identity} != identity or not part.exists():
        return [], 0.0
    sums = []
    with open(part, "rb") as file:
        if file.read(len(header)) != header:
            return [], 0.0
        for start, expected in zip(range(0, identity["count"], CHUNK), saved["sums"], strict=False):
            if zlib.crc32(file.read(4 * width * min(CHUNK, identity["count"] - start))) != expected:
                break
            sums.append(expected)
    return sums, saved["seconds"] * len(sums) / max(len(saved["sums"]), 1)


def _open(path, identity, widths):
    """Map a whole file, once every chunk has the checksum that was noted when it was computed."""
    saved, n = _read_log(path.with_suffix(".json")), identity["count"]
    repair = f"Delete it: the next run computes it again. ({path.with_suffix('.json').name} beside it holds its checksums.)"
    if saved is None or {k: saved.get(k) for k in identity} != identity:
        raise InputError(
            f"the features {path} cannot be checked: what was noted about them is missing or of another file. {repair}"
        )
    width = sum(widths.values())
    size, expected = path.stat().st_size, len(_header(n, width)) + 4 * width * n
    if size != expected:
        raise InputError(
            f"the features {path} are damaged: {size:,} bytes, expected {expected:,}. {repair}"
        )
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise InputError(f"the features {path} are damaged ({error}). {repair}") from error
    for start, expected in zip(range(0, n, CHUNK), saved["sums"], strict=True):
        if zlib.crc32(array[start : start + CHUNK]) != expected:
            raise InputError(
                f"the features {path} are damaged: those of the images from {start} on are not what was written. {repair}"
            )
    return Features(array, path, saved["seconds"], widths)


def _read_log(path):
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return saved if isinstance(saved, dict) and {"seconds", "sums"} <= set(saved) else None
    except (OSError, ValueError):
        return None


def _header(n, width):
    """What an .npy file of n rows of so many features begins with."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": (n, width)}
    )
    return buffer.getvalue()


def _part(path):
    return path.with_name(path.name + ".part")


def _columns(blocks, widths):
    """Where the features of these blocks stand, a slice each."""
    starts = dict(zip(widths, np.cumsum([0, *widths.values()]).tolist(), strict=False))
    return [slice(starts[check_name("block", b, widths)], starts[b] + widths[b]) for b in blocks]


# --- heads, whole nets, training


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A trained net: `model`, images -> logits; its `backbone` and `head`; the `recipe`; how it learned; the `seconds` that it took,
    features of the training images included."""

    model: keras.Model
    backbone: Backbone
    head: keras.Model
    recipe: recipes.Recipe
    history: training.History
    seconds: float
    trainable_parameters: int
    seed: int
    data: str  # fingerprint of the images and labels that it was trained on
    weights: str  # digest of the trained weights: see `is_of`

    def is_of(self, model: keras.Model) -> bool:
        """Return whether `model` has the very weights that this training ended with."""
        return self.weights == training.weights_digest(model)


def head(blocks="345", classes=10, hidden=0, dropout=0.0, widths=WIDTHS):
    """A head on the features of these blocks: each on its own scale, a hidden layer or none, the output. Gives logits (n, classes).

    `widths`: those of the Backbone, if it has more places than 1.
    """
    check_classes("head", classes)
    features = keras.Input(
        (sum(widths[check_name("block", b, widths)] for b in blocks),), name="features"
    )
    x = layers.BatchNormalization(momentum=0.9, center=False, scale=False, name="scale")(
        features
    )  # nothing in it is trained
    if hidden:
        x = layers.Dense(hidden, activation="relu", name="hidden")(x)
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(features, layers.Dense(classes, name="output")(x), name="head")


def assemble(backbone, head, blocks="345", name="vgg16"):
    """One keras.Model of a backbone and a head on the features of these blocks: images as the backbone takes them -> logits (n, classes).

    It shares its layers with both. Raises InputError for a head of other blocks.
    """
    columns = _columns(blocks, backbone.widths)
    width = sum(part.stop - part.start for part in columns)
    if head.input_shape[1] != width:
        raise InputError(
            f"the head takes {head.input_shape[1]} features, and blocks {blocks} have {width}: give the blocks it was made for"
        )
    means = [backbone.model.get_layer(f"mean_{BLOCKS[b]}").output for b in blocks]
    seen = means[0] if len(means) == 1 else layers.Concatenate(name="features")(means)
    return keras.Model(backbone.model.input, head(seen), name=name)


def unfreeze(model, trained):
    """Set which part of an assembled net learns: a key of TRAINED; the head always does. Returns the number of trained weights.

    It counts them before and after, because a net in which nothing was unfrozen trains just as quietly. Where the base learns, the scale of
    its features stays what it was: batch norm's averages lag behind a base that moves, and the net that is tested would be another one
    than the net that learned. Batch norm that `put_batch_norm` put in learns with its convolution, two weights a map.
    """
    names, base = (
        TRAINED[check_name("part of the net to train", trained, TRAINED)],
        model.get_layer("vgg16"),
    )
    norms = [layer for layer in base.layers if isinstance(layer, layers.BatchNormalization)]
    for layer in base.layers:
        layer.trainable = (_convolution(layer) if layer in norms else layer.name) in names
    model.get_layer("head").get_layer("scale").trainable = trained == "head"
    expected = PARAMETERS[trained] + training.trainable_parameters(model.get_layer("head"))
    expected += sum(2 * layer.gamma.shape[0] for layer in norms if _convolution(layer) in names)
    found = training.trainable_parameters(model)
    if found != expected:
        raise AssertionError(
            f"{found:,} weights of {model.name} would be trained where {trained!r} means {expected:,}"
        )
    return found


def put_batch_norm(net, trained, images):
    """A Backbone with batch norm, N10 after C10 and so on, after each convolution that `trained`, a key of TRAINED but head, names.

    VGG16 is older than batch norm. The new layers begin with the mean and the deviation that the convolutions' maps have over SAMPLE of
    the `images` (uint8 or float32, 0 to 255), as what they subtract and divide by and also as what they add and multiply with: as used
    for tests, the net is what it was. While it learns, each batch is divided by its own deviation, so that steps of a higher rate stay
    steps of one size; a convolution's bias has no effect then. `fold_batch_norm` takes the layers out again. The new net shares its
    convolutions with `net`. Source of the layer: Ioffe & Szegedy 2015; of calibrating it to change nothing: the course.
    """
    names, old = (
        TRAINED[check_name("part of the net to train", trained, TRAINED)],
        net.model.get_layer("vgg16"),
    )
    if not names:
        raise InputError(
            "where only the head is trained there is no convolution that learns, and so none to put batch norm after"
        )
    maps = keras.Model(old.input, [old.get_layer(name).output for name in names])
    sample = images[np.linspace(0, len(images) - 1, min(len(images), SAMPLE)).astype(int)]
    moments = _moments(
        keras.Model(net.model.input, maps(net.model.get_layer("preprocessing")(net.model.input))),
        sample,
    )
    x = first = keras.Input(old.input_shape[1:], name="input")
    outputs = {}
    for layer in old.layers[1:]:
        x = layer(x)
        if layer.name in names:
            norm = BatchNorm(momentum=0.9, name=f"N{layer.name[1:]}")
            x = norm(x)
            mean, variance = moments[names.index(layer.name)]
            norm.set_weights([np.sqrt(variance + norm.epsilon), mean, mean, variance])
        outputs[layer.name] = x
    return _backbone_of(
        keras.Model(first, x),
        outputs,
        net.model.input_shape[1:],
        net.image_size,
        net.weights,
        net.places,
    )


def _moments(model, images):
    """For each output of the model the mean and the variance of each map, over the images and all places: float64, (maps,) each."""
    sums = [np.zeros((2, output.shape[-1])) for output in model.outputs]
    for i in range(0, len(images), BATCH):
        for total, maps in zip(
            sums, model.predict_on_batch(images[i : i + BATCH].astype("float32")), strict=True
        ):
            maps = maps.astype("float64")
            total += [maps.mean((1, 2)).sum(0), np.square(maps).mean((1, 2)).sum(0)]
    return [(mean, square - mean**2) for mean, square in (total / len(images) for total in sums)]


def fold_batch_norm(net):
    """A Backbone of VGG16 as it was published, without batch norm, that answers as `net` does in tests, and shares nothing with it:
    what batch norm does to a convolution's maps, each of its kernels does."""
    base, arrays = net.model.get_layer("vgg16"), []
    norms = {
        _convolution(layer): layer
        for layer in base.layers
        if isinstance(layer, layers.BatchNormalization)
    }
    for name in TRAINED["all"]:
        kernel, bias = base.get_layer(name).get_weights()
        if name in norms:
            gamma, beta, mean, variance = norms[name].get_weights()
            factor = gamma / np.sqrt(variance + norms[name].epsilon)
            kernel, bias = kernel * factor, (bias - mean) * factor + beta
        arrays += [kernel, bias]
    weights = Weights(tuple(arrays), net.weights.source)
    return backbone(net.model.input_shape[1:], net.image_size, weights, net.places)


def _convolution(norm):
    """The name of the convolution that a layer of batch norm, N10, stands after: C10."""
    return f"C{norm.name[1:]}"


def train(
    images,
    labels,
    recipe,
    seed=0,
    classes=10,
    folder=None,
    validation=None,
    weights="imagenet",
    progress=True,
):
    """Train VGG16 on images by a Transfer recipe. The same arguments give the same net on the same machine.

    A recipe that trains more than the head goes on from what the recipe that it names as `head` has trained: a head on the frozen base, or
    a base that has learned already, at another image size.

    Args:
        images, labels: uint8 (n, h, w, 3) and integers (n,). seed: of the head's first weights and the order of the images.
        folder: where the state is kept after each epoch, so that a run that was killed goes on. None: nowhere.
        validation: (images, labels) that are only looked at, after each epoch. weights: as for `backbone`.
    Returns: Trained, its `history` that of the recipe's own epochs, its `seconds` those of all that went before too.
    Raises InputError for images, labels or a recipe that do not fit.
    """
    if recipe.transfer is None:
        known = [name for name in recipes.recipe_names() if recipes.recipe(name).transfer]
        raise InputError(
            f"the recipe {recipe.name} is not for transfer learning: use one of {', '.join(known)}"
        )
    check_images(images)
    if recipe.transfer.trainable == "head":
        net = backbone(
            images.shape[1:], recipe.transfer.image_size, weights, recipe.transfer.pool_grid
        )
        return _train_head(net, images, labels, recipe, seed, classes, folder, validation, progress)
    first = _head_recipe(recipe)
    if _widths(first.transfer.image_size, first.transfer.pool_grid) != _widths(
        recipe.transfer.image_size, first.transfer.pool_grid
    ):
        raise InputError(
            f"recipe {recipe.name}: the head of {first.name} sees {first.transfer.pool_grid}x{first.transfer.pool_grid} parts of the maps, and at "
            f"{recipe.transfer.image_size}x{recipe.transfer.image_size} there are others than at {first.transfer.image_size}x{first.transfer.image_size}: "
            "name a head with pool_grid=1"
        )
    start = train(
        images,
        labels,
        recipes.recipe(recipe.transfer.init_from),
        seed,
        classes,
        folder,
        None,
        weights,
        progress,
    )
    net = backbone(
        images.shape[1:],
        recipe.transfer.image_size,
        start.backbone.weights,
        first.transfer.pool_grid,
    )
    if recipe.transfer.batch_norm:
        net = put_batch_norm(net, recipe.transfer.trainable, images)
    model = assemble(net, start.head, first.transfer.blocks)
    count = unfreeze(model, recipe.transfer.trainable)
    prepare = lambda images: preprocessing.prepare(images, "rgb")  # noqa: E731
    looked_at = validation and (prepare(validation[0]), validation[1])
    checkpoint = folder and pathlib.Path(folder) / f"{recipe.name}.npz"
    history = training.train(
        model, prepare(images), labels, recipe, seed, looked_at, checkpoint, progress
    )
    net = fold_batch_norm(net)
    model = assemble(net, start.head, first.transfer.blocks)
    seconds = start.seconds + history.seconds
    digest = training.weights_digest(model)
    return Trained(
        model, net, start.head, recipe, history, seconds, count, seed, start.data, digest
    )


def _head_recipe(recipe):
    """The recipe that a recipe's head was first trained by."""
    return (
        _head_recipe(recipes.recipe(recipe.transfer.init_from))
        if recipe.transfer.init_from
        else recipe
    )


def _train_head(net, images, labels, recipe, seed, classes, folder, validation, progress):
    views = [features(net, view, progress=progress) for view in _views(images, recipe)]
    seen = np.concatenate([view.of(recipe.transfer.blocks) for view in views])
    looked_at = validation and (
        features(net, validation[0], progress=progress).of(recipe.transfer.blocks),
        validation[1],
    )
    keras.utils.set_random_seed(seed)
    own = head(
        recipe.transfer.blocks, classes, recipe.transfer.hidden, recipe.transfer.dropout, net.widths
    )
    checkpoint = folder and pathlib.Path(folder) / f"{recipe.name}.npz"
    history = training.train(
        own, seen, np.tile(labels, len(views)), recipe, seed, looked_at, checkpoint, progress
    )
    model = assemble(net, own, recipe.transfer.blocks)
    count = unfreeze(model, "head")
    seconds = sum(view.seconds for view in views) + history.seconds
    data, digest = training.fingerprint(images, labels), training.weights_digest(model)
    return Trained(model, net, own, recipe, history, seconds, count, seed, data, digest)


def _views(images, recipe):
    """What the frozen base sees of the images."""
    return [images, images[:, :, ::-1]] if recipe.transfer.mirrored else [images]


def predict(model, images, batch_size=100, views=1):
    """Class probabilities of an assembled net, float32 (n, classes). Images as for `check_images`, `views` as for training.predict."""
    check_images(images, model.input_shape[1:])
    return training.predict(model, np.asarray(images, np.float32), batch_size, views)


def probabilities(trained, images, progress=True):
    """Class probabilities of a Trained, float32 (n, classes); where the base is frozen, through features that are kept."""
    recipe = trained.recipe
    if recipe.transfer.trainable != "head":
        return predict(trained.model, images, views=recipe.test_views)
    seen = [
        features(trained.backbone, view, progress=progress).of(recipe.transfer.blocks)
        for view in _views(images, recipe)
    ]
    logits = np.mean(
        [trained.head.predict(view, batch_size=1000, verbose=0) for view in seen], axis=0
    )
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits, axis=-1))


# --- a data set's features, and the choice of a head


def rgb(images):
    """Images as this module takes them: uint8 (n, h, w, 1 or 3) -> uint8 (n, h, w, 3), grey ones three times."""
    return np.repeat(images, 3, axis=3) if images.shape[-1:] == (1,) else images


def features_of(dataset, image_size=32, train_size=None):
    """{"train": Features, "test": Features} of a data set, computed now or before. `train_size`: so many training images, of seed 0."""
    data = datasets.load(dataset, train_size=train_size)
    net = backbone((*data.info.image_shape[:2], 3), image_size)
    return {split: features(net, rgb(getattr(data, split).images)) for split in ("train", "test")}


# Settings that `compare_heads` tries: (hidden, dropout, learning rate, weight decay)
SETTINGS = [
    *((0, 0.0, rate, decay) for rate in (5e-4, 2e-3) for decay in (0.02, 0.2)),
    *(
        (hidden, dropout, 1e-3, decay)
        for hidden in (512, 1024, 2048)
        for dropout in (0.3, 0.6)
        for decay in (0.05, 0.3)
    ),
]


def compare_heads(
    dataset, image_size=32, train_size=None, blocks="345", epochs=30, settings=SETTINGS
):
    """Train a head by each of the settings on 90 % of the training images, and look at the other 10 %.

    Returns a pandas.DataFrame, best first: the settings, the validation and training error in % after the last epoch, seconds of training.
    The test images have no part in it. The split is random, the same for all.
    """
    import pandas

    data = datasets.load(dataset, train_size=train_size)
    labels, n = data.train.labels, len(data.train.labels)
    net = backbone((*data.info.image_shape[:2], 3), image_size)
    seen = features(net, rgb(data.train.images)).of(blocks)
    order = np.random.RandomState(0).permutation(n)
    held_out, kept = np.sort(order[: n // 10]), np.sort(order[n // 10 :])
    base, rows = (
        recipes.recipe(
            "quick-frozen", epochs=epochs, batch_size=256, blocks=blocks, image_size=image_size
        ),
        [],
    )
    for hidden, dropout, rate, decay in settings:
        keras.utils.set_random_seed(0)
        own = head(blocks, len(data.info.class_names), hidden, dropout)
        recipe = base.changed(learning_rate=rate, weight_decay=decay)
        history = training.train(own, seen[kept], labels[kept], recipe, progress=False)
        errors = {"validation_error": training.evaluate(own, seen[held_out], labels[held_out])}
        errors["train_error"] = training.evaluate(own, seen[kept], labels[kept])
        tried = {"hidden": hidden, "dropout": dropout, "learning_rate": rate, "weight_decay": decay}
        rows.append({**tried, **errors, "seconds": history.seconds})
    return pandas.DataFrame(rows).sort_values("validation_error")
