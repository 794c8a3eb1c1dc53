"""Boosting: three nets that vote, the second and third trained on what those before find hard.

Drucker, Schapire & Simard 1993 ("Boosting performance in neural networks"); LeCun et al. 1998,
section III-C.9, with LeNet-4. Net 1 is trained as usual. Net 2 learns from patterns of which net 1
classifies half correctly and half wrongly, net 3 from new patterns on which nets 1 and 2 disagree.
A trained net is wrong too rarely for the training images alone: the patterns are picked from an
endless stream of distorted ones. Any net that is trained by gradient can be boosted.

The result is one keras.Model, so that `training.predict`, `training.evaluate` and saving work as
for every net. It averages the nets' probabilities, not their logits. A probability is bounded, as
the outputs of the paper's nets were, so each net has one vote that it can split. A logit has no
bound: net 1, which mostly saw easy patterns and is very confident, can outvote the other two where
they were trained to correct it.
"""

import dataclasses
import pathlib
import time
from collections.abc import Sequence

import keras
import numpy as np

from cnnlib import augment, checkpoints, models, training
from cnnlib.errors import InputError
from cnnlib.models import committee as committee
from cnnlib.models import members as members
from cnnlib.progress import Line
from cnnlib.recipes import Recipe

CHUNK = 10_000  # candidates made and judged at a time: bounds the memory
KINDS = {  # what the next net learns from, by the number of nets before it: as many of each kind
    1: ("net 1 is right", "net 1 is wrong"),
    2: ("nets 1 and 2 disagree",),
}
SEED_STEP = 1_000_000  # from one net's seed to the next one's


@dataclasses.dataclass(frozen=True)
class Counts:
    """What a filter found, which ends with enough patterns accepted or candidates seen."""

    wanted: int  # patterns
    cap: int  # candidates at most
    candidates: int  # distorted images that were seen
    accepted: int  # those that the next net is trained on: the same number of each kind
    found: dict[
        str, int
    ]  # candidates of each kind: {"net 1 is right": 9900, "net 1 is wrong": 100}
    seconds: float = dataclasses.field(default=0.0, compare=False)


@dataclasses.dataclass(frozen=True)
class Boosted:
    """Three nets in one, and how they were trained."""

    model: keras.Model  # images -> logits (n, classes)
    counts: tuple[Counts, Counts]  # what both filters found
    # The patterns that nets 2 and 3 learned from, by their numbers in the streams (seed, 2) and
    # (seed, 3): `patterns` makes the images again.
    numbers: tuple[np.ndarray, np.ndarray]
    seconds: float  # of training and filtering
    recipe: Recipe
    seed: int
    data: str  # fingerprint of the images and labels that it was trained on
    weights: str  # digest of the trained weights

    is_of = training.History.is_of


def train(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
    seed: int = 0,
    folder: str | pathlib.Path | None = None,
    wanted: int | None = None,
    cap: int | None = None,
    classes: int = 10,
    progress: bool = True,
) -> Boosted:
    """Train three nets of the name `name`, one after the other.

    The same arguments give the same weights on the same machine with the same number of threads.

    Args:
        name: a net of models.names() that is trained by gradient.
        images, labels: float32 (n, h, w, c), as `preprocessing.prepare` returns them, and whole
            numbers (n,).
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
        InputError: as `training.train`; for less than 2 patterns; if none of a kind is found before
            the cap.
    """
    wanted = max(2, len(images)) if wanted is None else wanted
    cap = 100 * wanted if cap is None else cap
    if wanted < 2:
        raise InputError(f"patterns for each net must be 2 or more, half mistakes; got {wanted}")
    folder = None if folder is None else pathlib.Path(folder)
    nets: list[keras.Model] = []
    found: list[tuple[np.ndarray, Counts]] = []
    seconds = 0.0
    for k in (1, 2, 3):
        inputs, answers, own_recipe = images, labels, recipe
        if nets:
            state = folder and folder / f"patterns-{k}.npz"
            found.append(_filtered_once(state, nets, images, labels, wanted, cap, seed, progress))
            inputs, answers = patterns(images, labels, found[-1][0], (seed, k))
            # They are distorted already: distorted again they would no longer be what was hard.
            own_recipe = recipe.changed(protocol="plain")
            seconds += found[-1][1].seconds
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
    (of_2, counts_2), (of_3, counts_3) = found
    return Boosted(
        model,
        (counts_2, counts_3),
        (of_2, of_3),
        seconds,
        recipe,
        seed,
        training.fingerprint(images, labels),
        training.weights_digest(model),
    )


def filtered(
    nets: Sequence[keras.Model],
    images: np.ndarray,
    labels: np.ndarray,
    wanted: int,
    cap: int,
    seed: tuple[int, int],
    progress: bool = False,
) -> tuple[np.ndarray, Counts]:
    """Pick what the next net learns from.

    The stream `seed` passes over the images again and again, each time in another order and with
    other distortions. It ends when `wanted` patterns are found (one less if they are of two kinds
    and `wanted` is odd) or `cap` candidates were seen. Then there are as many of each kind as of
    the rarest.

    Args:
        nets: [net 1], to find half mistakes of net 1; [net 1, net 2], to find disagreements.
        images, labels: as for `train`.

    Returns:
        The numbers of the patterns in the stream, int64 (accepted,), ascending, of which `patterns`
        makes images and labels; and the Counts.

    Raises:
        InputError: if there are none of a kind.
    """
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


def patterns(
    images: np.ndarray, labels: np.ndarray, numbers: np.ndarray, seed: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return patterns of the stream `seed`: images float32 (k, h, w, c) and labels (k,).

    Images and labels are those of `train`, `numbers` those of the patterns, (k,), ascending.
    """
    labels = np.asarray(labels)
    inputs, answers = [], []
    for one_pass in np.unique(numbers // len(images)).tolist():
        order = np.random.RandomState((*seed, one_pass, 0)).permutation(len(images))
        chosen = order[numbers[numbers // len(images) == one_pass] % len(images)]
        inputs.append(augment.distort(images, (*seed, one_pass, 1), only=chosen))
        answers.append(labels[chosen])
    return np.concatenate(inputs), np.concatenate(answers)


def _judge(nets, images, labels):
    """Return of which of KINDS each image is: bool (kinds, n)."""
    # Keras' own `predict`: its compiled graph takes two thirds of the time of `training.predict`.
    outputs = [models.scores(net, net.predict(images, 1000, verbose=0)) for net in nets]
    answers = [np.asarray(each).argmax(axis=1) for each in outputs]
    if len(nets) == 1:
        return np.stack([answers[0] == labels, answers[0] != labels])
    return np.stack([answers[0] != answers[1]])


def _filtered_once(path, nets, images, labels, wanted, cap, seed, progress):
    """Return what `filtered` does, or what it returned before the run was killed."""
    digests = [training.weights_digest(net) for net in nets]
    run = {"nets": digests, "images": len(images), "seed": seed, "wanted": wanted, "cap": cap}
    kept = checkpoints.read(path, run) if path else None
    if kept:
        return kept[1][0], Counts(**kept[0])
    stream = (seed, len(nets) + 1)
    numbers, counts = filtered(nets, images, labels, wanted, cap, stream, progress)
    if path:
        checkpoints.write(path, run, dataclasses.asdict(counts), [numbers])
    return numbers, counts
