"""Boosting: three nets that vote, the second and the third trained on what the ones before them find hard.

Drucker, Schapire & Simard 1993 ("Boosting performance in neural networks"); LeCun et al. 1998, section III-C.9, with LeNet-4. Net 1 is
trained as usual. Net 2 learns from patterns of which net 1 gets half right and half wrong, net 3 from new patterns on which nets 1 and 2
disagree. A trained net is wrong too rarely for the training images alone: the patterns are picked from an endless stream of distorted
ones. Any net of `models.names()` can be boosted, on any data set that it takes.

The result is one keras.Model, so that `training.predict`, `training.evaluate` and saving work as for every net. It adds the nets'
probabilities (and divides by 3), not their logits: a probability is bounded, as the outputs of the paper's nets were, so each net has one
vote that it can split. A logit has no bound: net 1, which saw easy patterns most of the time and is very sure of itself, can outvote the
other two where they were trained to correct it.

What was tried, on LeNet-4, 10,000 training images, 12 distorted epochs, 8,000 validation images and one seed. Net 1 alone: 2.90 % error;
three such nets, not boosted: 2.76 %; boosted, with 5,000, 10,000 and 20,000 patterns for each of nets 2 and 3 (and so many more steps):
2.54, 1.77 and 1.16 %. Adding logits: 2.64, 1.77 and 1.27 %.
"""

import dataclasses
import hashlib
import json
import math
import pathlib
import time

import keras
import numpy as np

from cnnlib import augment, models, storage, training
from cnnlib.errors import InputError, check_name
from cnnlib.models.committee import committee, members
from cnnlib.recipes import Recipe

CHUNK = 10_000  # candidates made and judged at a time: bounds the memory
KINDS = {  # what the next net learns from, by the number of nets before it: as many of each kind
    1: ("net 1 is right", "net 1 is wrong"),
    2: ("nets 1 and 2 disagree",),
}


@dataclasses.dataclass(frozen=True)
class Counts:
    """What a filter saw: it ends with `wanted` patterns accepted, or earlier because it has seen `cap` candidates."""

    wanted: int
    cap: int
    candidates: int  # distorted images that were looked at
    accepted: int  # of these, what the next net is trained on: the same number of each kind
    found: dict  # kind: number among the candidates, such as {"net 1 is right": 9900, "net 1 is wrong": 100}
    seconds: float = dataclasses.field(default=0.0, compare=False)


@dataclasses.dataclass(frozen=True)
class Boosted:
    """The three nets in one `model`: images -> logits (n, classes); what both filters counted and found; seconds of it all.

    `numbers`: of what nets 2 and 3 learned from, in the streams (seed, 2) and (seed, 3): `patterns` makes the images of them again.
    """

    model: keras.Model
    counts: tuple[Counts, Counts]
    numbers: tuple[np.ndarray, np.ndarray]
    seconds: float
    recipe: Recipe
    seed: int
    data: str  # fingerprint of the images and labels that it was trained on
    weights: str  # digest of the trained weights: see `is_of`

    def is_of(self, model: keras.Model) -> bool:
        """Return whether `model` has the very weights that this training ended with."""
        return self.weights == training.weights_digest(model)


def train(
    name,
    images,
    labels,
    recipe,
    seed=0,
    folder=None,
    wanted=None,
    cap=None,
    classes=10,
    progress=True,
):
    """Train three nets of the batch name `name`, one after the other. The same arguments give the same weights on the same machine.

    Args:
        images, labels, recipe: as for `training.train`; net 1 is the net that it makes of them with `seed`, bit for bit.
        seed: net k is trained with seed + 1,000,000 (k - 1), and its patterns come from the stream (seed, k).
        folder: the state is written there, and a run that was killed goes on from its last whole epoch or filter. None: nowhere.
        wanted: patterns for each of nets 2 and 3, as many as there are images if None: the more the better, but a net 1 that errs on 1 % of
            the stream has to look at 50 candidates for each. cap: candidates at most, 100 for each wanted one if None; what is found by
            then is used. classes: of the data set.
    Returns: Boosted.
    Raises InputError as `training.train`, for a `wanted` below 2 or a smaller `cap`, if no pattern of a kind is found before the cap, and
        for a folder of another run.
    """
    wanted = max(2, len(images)) if wanted is None else wanted
    cap = 100 * wanted if cap is None else cap
    _check_limits(wanted, cap)
    known = [each for each in models.names() if models.net(each).training == "gradient"]
    check_name("model", name, known)
    folder = None if folder is None else storage.make_folder(folder)
    nets, counts, found, seconds = [], [], [], 0.0
    for k in (1, 2, 3):
        inputs, answers, own_recipe = images, labels, recipe
        if nets:
            numbers, count = _filtered_once(
                folder, nets, images, labels, wanted, cap, (seed, k), progress
            )
            inputs, answers = patterns(images, labels, numbers, (seed, k))
            # They are distorted already. Distorted once more in each epoch they are no longer what the filter found hard: then the error
            # above is 2.71 and 2.00 % in the place of 2.54 and 1.77 %.
            own_recipe = recipe.changed(protocol="plain")
            counts.append(count)
            found.append(numbers)
            seconds += count.seconds
        own_seed = seed + 1_000_000 * (k - 1)
        keras.utils.set_random_seed(own_seed)
        net = models.build(name, input_shape=np.shape(images)[1:], classes=classes)
        checkpoint = folder and folder / f"net-{k}.npz"  # that of the last epoch is the trained net
        seconds += training.train(
            net, inputs, answers, own_recipe, own_seed, checkpoint=checkpoint, progress=progress
        ).seconds
        nets.append(net)
    model = committee(nets, f"boosted-{name}")
    digest = training.weights_digest(model)
    data = training.fingerprint(images, labels)
    return Boosted(model, tuple(counts), tuple(found), seconds, recipe, seed, data, digest)


def filtered(nets, images, labels, wanted, cap, seed, progress=False):
    """Pick what the next net learns from: half mistakes of net 1 if `nets` is [net 1], disagreements if it is [net 1, net 2].

    The stream `seed` (a tuple) goes through the images (float32, as prepared) again and again, each time in another order and with other
    distortions, until `wanted` patterns are found (one less if half of them is no whole number), or `cap` candidates seen: then there are
    as many of each kind as of the rarest.
    Returns the patterns' numbers in the stream, int64 (accepted,), ascending, of which `patterns` makes images and labels; and Counts.
    Raises InputError if there are none of a kind, and for limits as in `train`.
    """
    _check_limits(wanted, cap)
    training.check(nets[0], images, labels)
    start, line = time.perf_counter(), training.Line()
    kinds = KINDS[len(nets)]
    goal, judged, found, seen = wanted // len(kinds), [], np.zeros(len(kinds), int), 0
    while seen < cap and found.min() < goal:
        left_of_pass = len(images) - seen % len(images)
        numbers = np.arange(seen, seen + min(CHUNK, left_of_pass, cap - seen))
        judged.append(_judge(nets, *patterns(images, labels, numbers, seed)))
        found, seen = found + judged[-1].sum(axis=1), seen + len(numbers)
        if progress:
            text = f"patterns for net {len(nets) + 1}: {min(goal, found.min()) * len(kinds):,} of {wanted:,} in {seen:,} candidates"
            line.show(text, last=seen == cap or found.min() >= goal)
    if not found.min():
        raise InputError(
            f"among {seen:,} distorted training images there is none where {kinds[found.argmin()]}: nothing for net {len(nets) + 1} to "
            "learn from. Raise cap, or give another recipe: fewer epochs leave more mistakes."
        )
    judged, each = np.concatenate(judged, axis=1), min(goal, found.min())
    taken = [np.flatnonzero(row)[:each] for row in judged]
    if each == goal:
        judged = judged[
            :, : 1 + max(row[-1] for row in taken)
        ]  # the rest of the last chunk was not needed
    numbers = np.sort(np.concatenate(taken))
    found = dict(zip(kinds, judged.sum(axis=1).tolist(), strict=True))
    return numbers, Counts(
        wanted, cap, judged.shape[1], len(numbers), found, time.perf_counter() - start
    )


def patterns(images, labels, numbers, seed):
    """The patterns of the stream `seed` (a tuple) with these ascending numbers: images float32 (k, h, w, c), labels (k,)."""
    inputs, answers = [], []
    for one_pass in np.unique(numbers // len(images)).tolist():
        order = np.random.RandomState((*seed, one_pass, 0)).permutation(len(images))
        chosen = order[numbers[numbers // len(images) == one_pass] % len(images)]
        inputs.append(augment.distort(images, (*seed, one_pass, 1), only=chosen))
        answers.append(labels[chosen])
    return np.concatenate(inputs), np.concatenate(answers)


def predict(model, images, confidence=math.inf):
    """Probabilities float32 (n, classes), and for which images nets 2 and 3 were asked, bool (n,).

    They are asked where net 1's highest probability is below `confidence`; elsewhere net 1's answer stands. 0 asks for none, the default
    for all: that is `training.predict(model, images)`.
    """
    first, *others = members(model)
    probabilities = np.array(training.predict(first, images))
    asked = probabilities.max(axis=1) < confidence
    if asked.any():
        probabilities[asked] = (
            sum((training.predict(net, images[asked]) for net in others), probabilities[asked]) / 3
        )
    return probabilities, asked


def cost(asked):
    """What a short cut costs, in forward passes of one net an image: from 1 to 3 (the paper: about 1.75). `asked` as from `predict`."""
    return 1 + 2 * float(np.mean(asked))


def choose_confidence(model, images, labels):
    """The `confidence` of least cost whose error on these images is no higher than that of all three nets together.

    Choose it on images that are neither the test images nor what the nets were trained on, such as a validation split or fresh distortions
    of the training images.
    """
    training.check(model, images, labels)
    together, _ = predict(model, images)
    alone, _ = predict(model, images, confidence=0)
    wrong_together, wrong_alone = (p.argmax(axis=1) != labels for p in (together, alone))
    order = alone.max(axis=1).argsort()
    certainty = alone.max(axis=1)[order]
    saved = np.cumsum(
        wrong_alone[order].astype(int) - wrong_together[order]
    )  # mistakes, if the least certain 1, 2, ... are asked about
    saved = np.concatenate([[0], saved])
    choices = np.append(np.unique(certainty), math.inf)
    enough = saved[np.searchsorted(certainty, choices)] >= saved[-1]
    return float(choices[enough.argmax()])


def _judge(nets, images, labels):
    """Of which of KINDS each image is, bool (kinds, n)."""
    answers = [_answers(net, images) for net in nets]
    if len(nets) == 1:
        return np.stack([answers[0] == labels, answers[0] != labels])
    return np.stack([answers[0] != answers[1]])


def _answers(net, images, batch_size=1000):
    """The classes that a net names, int (n,): those of `training.predict`, by the net's compiled graph in two thirds of the time."""
    outputs = [
        net.predict_on_batch(images[i : i + batch_size]) for i in range(0, len(images), batch_size)
    ]
    return np.asarray(models.scores(net, np.concatenate(outputs))).argmax(axis=1)


def _filtered_once(folder, nets, images, labels, wanted, cap, seed, progress):
    """`filtered`, or what it gave before the run was killed."""
    if folder is None:
        return filtered(nets, images, labels, wanted, cap, seed, progress)
    path = pathlib.Path(folder) / f"patterns-{len(nets) + 1}.json"
    weights = hashlib.sha256(
        b"".join(w.tobytes() for net in nets for w in net.get_weights())
    ).hexdigest()
    run = {"nets": weights, "images": len(images), "seed": list(seed), "wanted": wanted, "cap": cap}
    if path.exists():
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved["run"] != run:
            raise InputError(f"{path} is of another run: delete the folder to train from the start")
        return np.array(saved["numbers"]), Counts(**saved["counts"])
    numbers, counts = filtered(nets, images, labels, wanted, cap, seed, progress)
    storage.write_atomically(
        path,
        json.dumps({"run": run, "counts": dataclasses.asdict(counts), "numbers": numbers.tolist()}),
    )
    return numbers, counts


def _check_limits(wanted, cap):
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 2:
        raise InputError(
            f"wanted must be a whole number of at least 2, half of them mistakes of net 1; got {wanted!r}"
        )
    if isinstance(cap, bool) or not isinstance(cap, int) or cap < wanted:
        raise InputError(
            f"cap must be a whole number of at least wanted, which is {wanted}; got {cap!r}"
        )
