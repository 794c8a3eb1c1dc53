"""One way to train every net of the course: a recipe, a seed, a history.

A recipe is data (cnnlib.recipes). The figure reported is that of the last epoch. Written against Keras alone: runs on the TensorFlow and
JAX backends.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import math
import pathlib
import sys
import time
import zlib

import keras
import numpy as np
import pandas

from cnnlib import augment, backend, models, recipes, shortcuts, storage
from cnnlib.datasets import streams
from cnnlib.errors import InputError
from cnnlib.lab import distributed

Recipe, recipe, recipe_names = (
    recipes.Recipe,
    recipes.recipe,
    recipes.recipe_names,
)  # found here too


@dataclasses.dataclass(frozen=True)
class History:
    """How a net was trained, and on what.

    `epochs` is a DataFrame with epoch (from 1), loss, train_error and validation_error in % (NaN without validation)
    and seconds; `seconds` is the time of all epochs, validation included. The loss and the training error are means
    over the epoch, while the weights change; the validation error is that of the weights at its end.
    """

    epochs: pandas.DataFrame
    seconds: float
    recipe: Recipe
    seed: int
    data: str  # fingerprint of the images and labels that it was trained on
    weights: str  # digest of the trained weights: see `is_of`

    def is_of(self, model: keras.Model) -> bool:
        """Return whether `model` has the very weights that this training ended with."""
        return self.weights == weights_digest(model)


def train(model, images, labels, recipe, seed=0, validation=None, checkpoint=None, progress=True):
    """Train `model` in place. The same built weights, data, recipe and seed give bit-identical weights on the same machine's CPU.

    Args:
        model: a net of cnnlib.models, or any keras.Model that returns logits.
        images: float32 (n, h, w, c), as `preprocessing.prepare` returns them. labels: integers (n,).
        recipe: a Recipe. seed: decides the order of the images; seed Keras before building the net to decide its first weights.
        validation: (images, labels) that are only looked at, after each epoch. checkpoint: a path; the state is written there after each
            epoch, and a run that was killed goes on from it to the same weights. progress: show one line that updates in place.
    Returns: History.
    Raises InputError for images, labels or a checkpoint that do not fit, and when the loss is no longer finite.
    """
    check(model, images, labels)
    if validation is not None:
        check(model, *validation)
    steps = -(-len(images) // recipe.batch_size)
    for layer in model.layers:
        if isinstance(layer, models.cifar10.Whitening):
            layer.adapt(images)
    model.compile(
        _optimizer(recipe, steps),
        loss_of(model, recipe.label_smoothing),
        metrics=[_error_metric(model)],
        jit_compile=jit_compile(),
    )
    model.optimizer.build(model.trainable_variables)
    run = {
        "recipe": recipe.settings(),
        "seed": seed,
        "data": fingerprint(images, labels),
    }
    rows = _restore(checkpoint, model, run) if checkpoint else []
    distributed.check_same("epochs in the checkpoint", len(rows))
    shown = _Progress(recipe.epochs, steps) if progress and distributed.is_first() else None
    small = _small(model, recipe)
    for epoch in range(len(rows), recipe.epochs):
        learner = small if epoch < recipe.small_epochs else model
        start = time.perf_counter()
        order = np.random.RandomState((seed, epoch)).permutation(
            len(images)
        )  # depends on nothing before: a resumed run is the same run
        inputs, targets, batch_size = distributed.part(
            _inputs(images, order, recipe, seed, epoch), labels[order], recipe.batch_size
        )
        if learner is not model:
            inputs = shortcuts.smaller(inputs, recipe.small_size)
        callbacks = [shown] if shown else []
        if recipe.lookahead:
            total = recipe.epochs * steps
            place = (steps, total, epoch * steps)
            callbacks.append(shortcuts.Lookahead(model, recipe.lookahead, *place))
        logs = learner.fit(
            **_batches(inputs, targets, batch_size), shuffle=False, verbose=0, callbacks=callbacks
        ).history
        if not np.isfinite(logs["loss"][0]):
            raise InputError(
                f"the loss is {logs['loss'][0]} after epoch {epoch + 1}: training diverged. "
                f"Lower the recipe's learning_rate, which is {recipe.learning_rate}."
            )
        error = (
            evaluate(model, *validation, recipe.test_views)
            if validation is not None
            else float("nan")
        )
        losses = {
            "loss": logs["loss"][0],
            "train_error": logs["error_percent"][0],
            "validation_error": error,
        }
        rows.append({"epoch": epoch + 1, **losses, "seconds": time.perf_counter() - start})
        if checkpoint and distributed.is_first():
            _save(checkpoint, model, run, rows)
        if shown:
            shown.epoch_done(rows)
    weights = weights_digest(model) if distributed.processes() == 1 else ""
    return _history(rows, recipe, seed, run["data"], weights)


def _small(model, recipe):
    """The model for the smaller images of the recipe's first epochs, compiled as `model` is; `model` if there are none."""
    if not recipe.small_epochs:
        return model
    small = shortcuts.at_size(model, recipe.small_size)
    loss = loss_of(model, recipe.label_smoothing)
    small.compile(
        model.optimizer, loss, metrics=[_error_metric(model)], jit_compile=jit_compile()
    )
    return small


def _batches(inputs, targets, batch_size):
    """What Keras' `fit` takes for one pass over these arrays, in this order."""
    if keras.backend.backend() == "tensorflow":
        return {"x": streams.batches(inputs, targets, batch_size)}
    return {"x": inputs, "y": targets, "batch_size": batch_size}


def _inputs(images, order, recipe, seed, epoch):
    """The images of one epoch, in this order, as the recipe's protocol changes them."""
    inputs = images[order]
    if recipe.protocol == "distorted":
        return augment.distort(inputs, (seed, epoch, 1))
    if recipe.protocol in recipes.CROP_PADDING:
        mirrored = None
        if (
            recipe.protocol == "crop-alternating"
        ):  # a coin for each image decides whether it begins mirrored
            mirrored = (
                np.random.RandomState((seed, 2)).randint(0, 2, len(images))[order] + epoch
            ) % 2 == 1
        input_format = "rgb" if recipe.transfer else "cifar10"
        return augment.crop_and_flip(
            inputs, (seed, epoch, 1), recipes.CROP_PADDING[recipe.protocol], mirrored, input_format
        )
    return inputs


def predict(model, images, batch_size=1000, views=1):
    """Class probabilities, float32 (n, classes): softmax of the logits (of minus the distances for an RBF output).

    With two `views`, of the mean of the logits of each image and of its mirror image; with six, half of that mean and half of the mean of
    these two moved by a pixel up and left, and down and right (the border repeats), as in Jordan 2024.
    """
    check(model, images)
    outputs = []
    for i in range(0, len(images), batch_size):
        seen = _views(images[i : i + batch_size], views)
        outputs.append(
            sum(
                weight * keras.ops.convert_to_numpy(model(view, training=False))
                for weight, view in seen
            )
        )
    scores = models.scores(model, np.concatenate(outputs))
    return keras.ops.convert_to_numpy(keras.ops.softmax(scores, axis=-1))


def _views(images, views):
    """[(weight, images)]: how `predict` sees images."""
    if views == 1:
        return [(1, images)]
    both = [(images, 1 / 2)]
    if views == 6:
        wide = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        both = [(images, 1 / 4), (wide[:, 2:, 2:], 1 / 8), (wide[:, :-2, :-2], 1 / 8)]
    return [(weight, view) for seen, weight in both for view in (seen, seen[:, :, ::-1])]


def evaluate(model, images, labels, views=1):
    """Return the error in % of the images whose most probable class is not their label. `views` as for `predict`."""
    check(model, images, labels)
    return 100 * float(np.mean(predict(model, images, views=views).argmax(axis=1) != labels))


def trainable_parameters(model):
    """The number of trained weights of a keras.Model."""
    return sum(math.prod(v.shape) for v in model.trainable_variables)


@contextlib.contextmanager
def precision(recipe):
    """Keras' precision while a net is built that this recipe trains: `with precision(recipe): build(...)`."""
    before = keras.config.dtype_policy()
    if recipe.precision == "mixed" and not backend.on_cpu():
        keras.config.set_dtype_policy("mixed_float16")
    if recipe.precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def loss_of(model, label_smoothing=0.0):
    """Cross-entropy from logits, or the paper's loss for a net with an RBF output."""
    if isinstance(model.layers[-1], models.RBFOutput):
        return models.RBFLoss()
    if label_smoothing:
        return SmoothedCrossEntropy(label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@keras.saving.register_keras_serializable(package="cnnlib")
class SmoothedCrossEntropy(keras.losses.CategoricalCrossentropy):
    """Cross-entropy from logits (n, classes) and whole-number labels, (n,) or (n, 1), of whose target all classes share a part."""

    def __init__(self, label_smoothing=0.1, name="smoothed_cross_entropy", **options):
        super().__init__(
            **{**options, "from_logits": True}, label_smoothing=label_smoothing, name=name
        )

    def call(self, labels, logits):
        labels = keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32")
        return super().call(keras.ops.one_hot(labels, logits.shape[-1]), logits)


@keras.saving.register_keras_serializable(package="cnnlib")
def error_percent(labels, scores):
    """100 where the largest score is not the label's, else 0: its mean is the error in %. Tensors (n,) or (n, 1), and (n, classes)."""
    wrong = keras.ops.argmax(scores, axis=-1) != keras.ops.cast(
        keras.ops.reshape(labels, (-1,)), "int32"
    )
    return 100 * keras.ops.cast(wrong, "float32")


@keras.saving.register_keras_serializable(package="cnnlib")
def error_percent_of_distances(labels, distances):
    """`error_percent` for an RBF output, where the smallest distance is the answer."""
    return error_percent(labels, -distances)


@keras.saving.register_keras_serializable(package="cnnlib")
class TorchSGD(keras.optimizers.SGD):
    """SGD as PyTorch defines it, and as published PyTorch recipes mean it.

    gradient + weight_decay * weight is what the momentum adds up (Keras' own weight decay goes past it: with a momentum of 0.9 the same
    number decays ten times less), and the rate multiplies the sum (in Keras each gradient keeps the rate of its step).
    The gradients of batch norm's shifts, its variables `beta`, count `shift_rate` times.
    """

    def __init__(
        self,
        learning_rate=0.1,
        momentum=0.9,
        coupled_decay=0.0,
        nesterov=False,
        shift_rate=1.0,
        **options,
    ):
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, **options)
        self.coupled_decay, self.shift_rate = coupled_decay, shift_rate

    def build(self, variables):
        super().build(variables)
        self._shifts = {
            number for number, variable in enumerate(variables) if variable.name == "beta"
        }

    def update_step(self, gradient, variable, learning_rate):
        rate, step = (
            keras.ops.cast(learning_rate, variable.dtype),
            keras.ops.cast(gradient, variable.dtype),
        )
        if self.shift_rate != 1 and self._get_variable_index(variable) in self._shifts:
            step = self.shift_rate * step
        step = step + self.coupled_decay * variable
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            self.assign(velocity, self.momentum * velocity + step)
            step = step + self.momentum * velocity if self.nesterov else velocity
        self.assign_sub(variable, rate * step)

    def get_config(self):
        own = {"coupled_decay": self.coupled_decay, "shift_rate": self.shift_rate}
        return {**super().get_config(), **own}


def _error_metric(model):
    function = (
        error_percent_of_distances
        if isinstance(model.layers[-1], models.RBFOutput)
        else error_percent
    )
    return keras.metrics.MeanMetricWrapper(function, name="error_percent")


def _optimizer(recipe, steps):
    total, warmup = recipe.epochs * steps, round(recipe.warmup_epochs * steps)
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            max(total - warmup, 1),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    if recipe.schedule == "linear":
        rate = shortcuts.LinearDecay(rate, warmup, total)
    if recipe.schedule == "cosine-by-epoch" and recipe.epochs > 1:
        boundaries = [epoch * steps - 1 for epoch in range(1, recipe.epochs)]
        by_epoch = [
            rate * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
            for epoch in range(recipe.epochs)
        ]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, by_epoch)
    if recipe.schedule == "lecun-1998":
        boundaries = [
            last * steps - 1 for last, _ in recipes.LECUN_1998_RATES[:-1]
        ]  # the last step of a rate
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            boundaries, [part * rate for _, part in recipes.LECUN_1998_RATES]
        )
    if recipe.optimizer == "torch-sgd":
        sgd = (recipe.momentum, recipe.weight_decay, recipe.nesterov)
        return TorchSGD(rate, *sgd, shift_rate=recipe.shift_rate)
    if recipe.optimizer == "sgd":
        return keras.optimizers.SGD(
            rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay or None
        )
    return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)


def jit_compile():
    """What Keras' `compile` takes: XLA on a CPU slows TensorFlow's convolutions with oneDNN down (benchmarks/README.md has the figures);
    elsewhere Keras decides."""
    return False if keras.backend.backend() == "tensorflow" and backend.on_cpu() else "auto"


def check(model, images, labels=None):
    """Raise InputError unless the images, and the labels if given, are what the model takes."""
    shape = tuple(model.input_shape[1:])
    if not isinstance(images, np.ndarray) or images.dtype != np.float32:
        kind = getattr(images, "dtype", type(images).__name__)
        raise InputError(
            f"images must be a float32 array, got {kind}: pass them through preprocessing.prepare(images, input_format) first"
        )
    if images.shape[1:] != shape or not len(images):
        raise InputError(
            f"{model.name} takes images of shape (n, {', '.join(map(str, shape))}), got {images.shape}"
        )
    if labels is None:
        return
    labels, classes = np.asarray(labels), model.output_shape[-1]
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise InputError(
            f"labels must be {len(images)} integers, one for each image, got {labels.dtype} {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"labels must be from 0 to {classes - 1}, the classes of {model.name}; found {labels.min()} to {labels.max()}"
        )


def fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    """Return a short text that differs for other images, other labels or another order of them."""
    sums = [zlib.crc32(np.ascontiguousarray(array)) for array in (images, labels)]
    return "-".join(f"{value:08x}" for value in sums)


def weights_digest(model: keras.Model) -> str:
    """Return 16 hex digits that differ for other weights of `model`."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight))
    return digest.hexdigest()[:16]


def _history(rows, recipe, seed, data, weights):
    seconds = sum(row["seconds"] for row in rows)
    return History(pandas.DataFrame(rows), seconds, recipe, seed, data, weights)


def _variables(model):
    return model.variables + [
        v for v in model.optimizer.variables if v is not model.optimizer.learning_rate
    ]


def _save(path, model, run, rows):
    run = json.dumps({**run, "epochs": rows})
    buffer = io.BytesIO()
    np.savez(buffer, *[keras.ops.convert_to_numpy(v) for v in _variables(model)], run=run)
    storage.write_atomically(path, buffer.getvalue())


def _restore(path, model, run):
    """Put the state of the checkpoint, if there is one, into the model; return the rows of the epochs that it has seen."""
    path = pathlib.Path(path)
    if not path.exists():
        return []
    try:
        with np.load(path, allow_pickle=False) as saved:
            found, arrays = (
                json.loads(str(saved["run"])),
                [saved[f"arr_{i}"] for i in range(len(saved.files) - 1)],
            )
    except Exception as error:  # zipfile, zlib, json and NumPy each have their own
        raise InputError(
            f"the checkpoint {path} cannot be read ({error}): delete it to train from the start"
        ) from error
    epochs = found.pop("epochs", None)
    if found != run or [a.shape for a in arrays] != [tuple(v.shape) for v in _variables(model)]:
        raise InputError(
            f"the checkpoint {path} is of another net, recipe, seed or data: delete it to train from the start"
        )
    for variable, array in zip(_variables(model), arrays, strict=True):
        variable.assign(array)
    return epochs


class Line:
    """One line of progress, rewritten in place: in a notebook an output that updates (only its last state is stored), in a terminal a
    line that is overwritten; elsewhere just the last state."""

    def __init__(self):
        self.handle = None

    def show(self, text, last=False):
        if _in_notebook():
            from IPython.display import Pretty, display

            if self.handle is None:
                self.handle = display(Pretty(text), display_id=True)
            else:
                self.handle.update(Pretty(text))
        elif sys.stderr.isatty():
            print(f"\r\033[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
        elif last:
            print(text, file=sys.stderr, flush=True)


class _Progress(keras.callbacks.Callback):
    """How far a training is, as a Line."""

    def __init__(self, epochs, steps):
        super().__init__()
        self.epochs, self.steps, self.rows, self.last = epochs, steps, [], 0.0
        self.line = Line()

    def on_train_batch_end(self, batch, logs=None):
        if time.perf_counter() - self.last > 0.5:
            self.last = time.perf_counter()
            self.line.show(
                f"epoch {len(self.rows) + 1}/{self.epochs}: {100 * (batch + 1) // self.steps} %"
            )

    def epoch_done(self, rows):
        self.rows = rows
        row = rows[-1]
        text = f"epoch {row['epoch']}/{self.epochs}: loss {row['loss']:.4f}, training error {row['train_error']:.2f} %"
        if row["validation_error"] == row["validation_error"]:
            text += f", validation error {row['validation_error']:.2f} %"
        self.line.show(
            text + f", {sum(r['seconds'] for r in rows):.0f} s", last=row["epoch"] == self.epochs
        )


def _in_notebook():
    """True if this process is the kernel of a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")
