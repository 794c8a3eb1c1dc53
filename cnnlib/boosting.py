"""Boosting: three nets that vote, the second and third trained on what those before find hard.

Drucker, Schapire & Simard 1993 ("Boosting performance in neural networks"); LeCun et al. 1998,
section III-C.9, with LeNet-4. Net 1 is trained as usual. Net 2 learns from patterns of which net 1
classifies half correctly and half wrongly, net 3 from new patterns on which nets 1 and 2 disagree.
A trained net is wrong too rarely for the training images alone: the patterns are picked from an
endless stream of distorted ones. Any net of `models.names()` that is trained by gradient can be
boosted, on any data set that it takes.

The result is one keras.Model, so that `training.predict`, `training.evaluate` and saving work as
for every net. It averages the nets' probabilities, not their logits. A probability is bounded, as
the outputs of the paper's nets were, so each net has one vote that it can split. A logit has no
bound: net 1, which mostly saw easy patterns and is very confident, can outvote the other two where
they were trained to correct it.

What was tried, on LeNet-4 with 10,000 training images, 12 epochs of distorted images, 8,000
validation images and one seed: net 1 alone has an error of 2.90 %, and three such nets without
boosting 2.76 %. Boosted with 5,000, 10,000 and 20,000 patterns for each of nets 2 and 3 (and so
many more steps) the error is 2.54, 1.77 and 1.16 %; with the sum of logits 2.64, 1.77 and 1.27 %.
"""

import dataclasses
import hashlib
import json
import math
import pathlib
import time
from collections.abc import Sequence
from numbers import Real
from typing import Annotated, Any

import keras
import numpy as np
from pydantic import Field

from cnnlib import augment, models, storage, training
from cnnlib.errors import InputError, check_name
from cnnlib.models import committee, members
from cnnlib.models.checks import Classes
from cnnlib.progress import Line
from cnnlib.recipes import Recipe
from cnnlib.validation import InstanceOf, Seed, WholeNumber, validated

__all__ = [
    "Boosted",
    "Counts",
    "choose_confidence",
    "committee",
    "cost",
    "filtered",
    "members",
    "patterns",
    "predict",
    "train",
]

CHUNK = 10_000  # candidates made and judged at a time: bounds the memory
KINDS = {  # what the next net learns from, by the number of nets before it: as many of each kind
    1: ("net 1 is right", "net 1 is wrong"),
    2: ("nets 1 and 2 disagree",),
}
SEED_STEP = 1_000_000  # from one net's seed to the next one's
_Seed = Annotated[WholeNumber, Field(ge=0, le=2**32 - 1 - 2 * SEED_STEP)]
_Stream = tuple[Seed, ...]


@dataclasses.dataclass(frozen=True)
class Counts:
    """What a filter found.

    It ends when as many patterns as were `wanted` are accepted, or when `cap` candidates were seen.
    """

    wanted: int
    cap: int
    candidates: int
    """Distorted images that were seen."""
    accepted: int
    """Those that the next net is trained on: the same number of each kind."""
    found: dict[str, int]
    """How many candidates are of each kind: {"net 1 is right": 9900, "net 1 is wrong": 100}."""
    seconds: float = dataclasses.field(default=0.0, compare=False)


@dataclasses.dataclass(frozen=True)
class Boosted:
    """Three nets in one, and how they were trained."""

    model: keras.Model
    """Images -> logits (n, classes)."""
    counts: tuple[Counts, Counts]
    """What both filters found."""
    numbers: tuple[np.ndarray, np.ndarray]
    """The patterns that nets 2 and 3 learned from, by their numbers in the streams (seed, 2) and
    (seed, 3): `patterns` makes the images again."""
    seconds: float
    """Time of training and filtering."""
    recipe: Recipe
    seed: int
    data: str
    """Fingerprint of the images and labels that it was trained on."""
    weights: str
    """Digest of the trained weights: see `is_of`."""

    def is_of(self, model: keras.Model) -> bool:
        """Return whether `model` has the very weights that this training ended with."""
        return self.weights == training.weights_digest(model)


@validated
def train(
    name: str,
    images: Any,
    labels: Any,
    recipe: InstanceOf[Recipe],
    seed: _Seed = 0,
    folder: str | pathlib.Path | None = None,
    wanted: WholeNumber | None = None,
    cap: WholeNumber | None = None,
    classes: Classes = 10,
    progress: bool = True,
) -> Boosted:
    """Train three nets of the name `name`, one after the other.

    The same arguments give the same weights on the same machine with the same number of threads.

    Args:
        name: a net of models.names() that is trained by gradient.
        images: float32 (n, h, w, c), as `preprocessing.prepare` returns them.
        labels: integers (n,).
        recipe: how to train. Net 1 is the net that `training.train` makes of these arguments, bit
            for bit.
        seed: net k is trained with seed + 1,000,000 (k - 1), and its patterns come from the stream
            (seed, k).
        folder: the state is written there, and a run that was killed continues from its last
            complete epoch or filter. None to keep nothing.
        wanted: patterns for each of nets 2 and 3, as many as there are images if None. More are
            better, but a net 1 that errs on 1 % of the stream needs 50 candidates for each.
        cap: candidates at most, 100 for each wanted pattern if None. What is found by then is used.
        classes: number of classes.
        progress: show one line for each net and filter.

    Raises:
        InputError: as `training.train`; for a `wanted` below 2 or a smaller `cap`; if no pattern of
            a kind is found before the cap; and for a folder of another run.
    """
    known = [each for each in models.names() if models.net(each).training == "gradient"]
    check_name("model", name, known)
    if not isinstance(images, np.ndarray) or images.ndim != 4:
        raise InputError(
            f"images must be an array (n, height, width, channels), got {type(images).__name__} of "
            f"shape {np.shape(images) if isinstance(images, np.ndarray) else '?'}"
        )
    wanted = max(2, len(images)) if wanted is None else wanted
    cap = 100 * wanted if cap is None else cap
    _check_limits(wanted, cap)
    folder = None if folder is None else storage.make_folder(folder)
    nets: list[keras.Model] = []
    counts: list[Counts] = []
    found: list[np.ndarray] = []
    seconds = 0.0
    for k in (1, 2, 3):
        inputs, answers, own_recipe = images, labels, recipe
        if nets:
            labels = np.asarray(labels)  # checked when net 1 was trained
            numbers, count = _filtered_once(
                folder, nets, images, labels, wanted, cap, (seed, k), progress
            )
            inputs, answers = patterns(images, labels, numbers, (seed, k))
            # They are distorted already. Distorted again in each epoch they are no longer what the
            # filter found hard: then the errors above are 2.71 and 2.00 %, not 2.54 and 1.77 %.
            own_recipe = recipe.changed(protocol="plain")
            counts.append(count)
            found.append(numbers)
            seconds += count.seconds
        own_seed = seed + SEED_STEP * (k - 1)
        keras.utils.set_random_seed(own_seed)
        with training.precision(recipe):
            net = models.build(name, input_shape=images.shape[1:], classes=classes)
        checkpoint = folder and folder / f"net-{k}.npz"  # that of the last epoch is the trained net
        seconds += training.train(
            net, inputs, answers, own_recipe, own_seed, checkpoint=checkpoint, progress=progress
        ).seconds
        nets.append(net)
    model = committee(nets, f"boosted-{name}")
    digest = training.weights_digest(model)
    data = training.fingerprint(images, labels)
    return Boosted(
        model,
        (counts[0], counts[1]),
        (found[0], found[1]),
        seconds,
        recipe,
        seed,
        data,
        digest,
    )


@validated
def filtered(
    nets: Sequence[InstanceOf[keras.Model]],
    images: Any,
    labels: Any,
    wanted: WholeNumber,
    cap: WholeNumber,
    seed: _Stream,
    progress: bool = False,
) -> tuple[np.ndarray, Counts]:
    """Pick what the next net learns from.

    The stream `seed` passes over the images again and again, each time in another order and with
    other distortions. It ends when `wanted` patterns are found (one less if they are of two kinds
    and `wanted` is odd) or `cap` candidates were seen. Then there are as many of each kind as of
    the rarest.

    Args:
        nets: [net 1], to find half mistakes of net 1; [net 1, net 2], to find disagreements.
        images: float32 (n, h, w, c), as prepared.
        labels: integers (n,).
        wanted: patterns.
        cap: candidates at most.
        seed: of the stream.
        progress: show one line that updates in place.

    Returns:
        The numbers of the patterns in the stream, int64 (accepted,), ascending, of which `patterns`
        makes images and labels; and the Counts.

    Raises:
        InputError: if there are none of a kind, and for limits as in `train`.
    """
    _check_limits(wanted, cap)
    if len(nets) not in KINDS:
        raise InputError(f"nets must be [net 1] or [net 1, net 2], got {len(nets)} nets")
    for net in nets:
        training.check(net, images, [] if labels is None else labels)
    labels = np.asarray(labels)
    start, line, kinds = time.perf_counter(), Line(), KINDS[len(nets)]
    goal, seen = wanted // len(kinds), 0
    parts, found = [], np.zeros(len(kinds), int)
    while seen < cap and found.min() < goal:
        left_of_pass = len(images) - seen % len(images)
        numbers = np.arange(seen, seen + min(CHUNK, left_of_pass, cap - seen))
        parts.append(_judge(nets, *patterns(images, labels, numbers, seed)))
        found, seen = found + parts[-1].sum(axis=1), seen + len(numbers)
        if progress:
            accepted = min(goal, found.min()) * len(kinds)
            text = f"patterns for net {len(nets) + 1}: {accepted:,} of {wanted:,} in {seen:,}"
            line.show(f"{text} candidates", last=seen == cap or found.min() >= goal)
    if not found.min():
        raise InputError(
            f"among {seen:,} distorted training images there is none where "
            f"{kinds[found.argmin()]}: nothing for net {len(nets) + 1} to learn from. Raise cap, "
            "or give another recipe: fewer epochs leave more mistakes."
        )
    judged, each = np.concatenate(parts, axis=1), min(goal, found.min())
    taken = [np.flatnonzero(row)[:each] for row in judged]
    if each == goal:  # the rest of the last chunk was not needed
        judged = judged[:, : 1 + max(row[-1] for row in taken)]
    numbers = np.sort(np.concatenate(taken))
    by_kind = dict(zip(kinds, judged.sum(axis=1).tolist(), strict=True))
    seconds = time.perf_counter() - start
    return numbers, Counts(wanted, cap, judged.shape[1], len(numbers), by_kind, seconds)


@validated
def patterns(
    images: InstanceOf[np.ndarray],
    labels: InstanceOf[np.ndarray],
    numbers: InstanceOf[np.ndarray],
    seed: _Stream,
) -> tuple[np.ndarray, np.ndarray]:
    """Return patterns of the stream `seed`: images float32 (k, h, w, c) and labels (k,).

    Args:
        images: float32 (n, h, w, c), as prepared.
        labels: integers (n,).
        numbers: of the patterns in the stream, ascending.
        seed: of the stream.

    Raises:
        InputError: for numbers that are not ascending whole numbers, and labels of other images.
    """
    if images.ndim != 4 or labels.shape != images.shape[:1] or not len(images):
        raise InputError(
            "images must be of shape (n, height, width, channels) and labels (n,), got "
            f"{images.shape} and {labels.shape}"
        )
    right = numbers.ndim == 1 and numbers.dtype.kind in "iu" and numbers.size
    if not right or numbers.min() < 0 or (np.diff(numbers) < 0).any():
        raise InputError("numbers must be ascending whole numbers of at least 0, one or more")
    inputs, answers = [], []
    for one_pass in np.unique(numbers // len(images)).tolist():
        order = np.random.RandomState((*seed, one_pass, 0)).permutation(len(images))
        chosen = order[numbers[numbers // len(images) == one_pass] % len(images)]
        inputs.append(augment.distort(images, (*seed, one_pass, 1), only=chosen))
        answers.append(labels[chosen])
    return np.concatenate(inputs), np.concatenate(answers)


@validated
def predict(
    model: InstanceOf[keras.Model], images: Any, confidence: Any = math.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Classify images with net 1, and ask nets 2 and 3 only where net 1 is not confident.

    Args:
        model: a boosted net.
        images: float32 (n, h, w, c), as prepared.
        confidence: nets 2 and 3 are asked where net 1's highest probability is lower. 0 for never;
            the default for always, as `training.predict(model, images)` does.

    Returns:
        Probabilities float32 (n, classes), and for which images nets 2 and 3 were asked, bool (n,).
    """
    first, *others = members(model)
    if not isinstance(confidence, Real) or isinstance(confidence, bool | np.bool):
        raise InputError(f"confidence must be a number, such as 0.9, got {confidence!r}")
    if math.isnan(confidence):
        raise InputError("confidence must be a number, such as 0.9, got nan")
    probabilities = np.array(training.predict(first, images))
    asked = probabilities.max(axis=1) < confidence
    if asked.any():
        votes = [training.predict(net, images[asked]) for net in others]
        probabilities[asked] = sum(votes, probabilities[asked]) / 3
    return probabilities, asked


def cost(asked: np.ndarray) -> float:
    """Return how many nets an image takes on average, from 1 to 3 (in the paper about 1.75).

    Args:
        asked: for which images nets 2 and 3 were asked, as `predict` returns it.
    """
    if not isinstance(asked, np.ndarray) or asked.dtype != bool or not asked.size:
        raise InputError("asked must be True or False for each image, as `predict` returns it")
    return 1 + 2 * float(np.mean(asked))


@validated
def choose_confidence(model: InstanceOf[keras.Model], images: Any, labels: Any) -> float:
    """Return the lowest `confidence` with which the error is no higher than that of all three nets.

    Choose it on images that are neither the test images nor those that the nets were trained on:
    a validation split, or new distortions of the training images.

    Args:
        model: a boosted net.
        images: float32 (n, h, w, c), as prepared.
        labels: integers (n,).
    """
    training.check(model, images, [] if labels is None else labels)
    together, _ = predict(model, images)
    alone, _ = predict(model, images, confidence=0)
    wrong_together, wrong_alone = (p.argmax(axis=1) != labels for p in (together, alone))
    order = alone.max(axis=1).argsort()
    certainty = alone.max(axis=1)[order]
    # Mistakes saved if nets 2 and 3 are asked about the least certain 0, 1, 2, ... images.
    saved = np.cumsum(wrong_alone[order].astype(int) - wrong_together[order])
    saved = np.concatenate([[0], saved])
    choices = np.append(np.unique(certainty), math.inf)
    enough = saved[np.searchsorted(certainty, choices)] >= saved[-1]
    return float(choices[enough.argmax()])


def _judge(nets, images, labels):
    """Return of which of KINDS each image is: bool (kinds, n)."""
    answers = [_answers(net, images) for net in nets]
    if len(nets) == 1:
        return np.stack([answers[0] == labels, answers[0] != labels])
    return np.stack([answers[0] != answers[1]])


def _answers(net, images, batch_size=1000):
    """Return the classes that a net gives, int (n,).

    They are those of `training.predict`; the compiled graph takes two thirds of the time.
    """
    outputs = [
        net.predict_on_batch(images[i : i + batch_size]) for i in range(0, len(images), batch_size)
    ]
    return np.asarray(models.scores(net, np.concatenate(outputs))).argmax(axis=1)


def _filtered_once(folder, nets, images, labels, wanted, cap, seed, progress):
    """Return what `filtered` does, or what it returned before the run was killed."""
    if folder is None:
        return filtered(nets, images, labels, wanted, cap, seed, progress)
    path = folder / f"patterns-{len(nets) + 1}.json"
    digest = hashlib.sha256()
    for net in nets:
        for weight in net.get_weights():
            digest.update(weight.tobytes())
    run = {
        "nets": digest.hexdigest(),
        "images": len(images),
        "seed": list(seed),
        "wanted": wanted,
        "cap": cap,
    }
    if path.exists():
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            numbers, counts = np.array(saved["numbers"]), Counts(**saved["counts"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} cannot be read ({error}): delete the folder to train from the start"
            ) from error
        if saved["run"] != run:
            raise InputError(f"{path} is of another run: delete the folder to train from the start")
        return numbers, counts
    numbers, counts = filtered(nets, images, labels, wanted, cap, seed, progress)
    content = {"run": run, "counts": dataclasses.asdict(counts), "numbers": numbers.tolist()}
    storage.write_atomically(path, json.dumps(content))
    return numbers, counts


def _check_limits(wanted, cap):
    if wanted < 2:
        raise InputError(
            "wanted must be a whole number of at least 2, half of them mistakes of net 1; got "
            f"{wanted!r}"
        )
    if cap < wanted:
        raise InputError(
            f"cap must be a whole number of at least wanted, which is {wanted}; got {cap!r}"
        )
