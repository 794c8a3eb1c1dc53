"""Training by transfer recipes: heads, fine-tuning, and stages that continue from each other."""

import dataclasses

import numpy as np
import pytest

from cnnlib import checkpoints, recipes, transfer
from cnnlib.errors import InputError
from cnnlib.transfer import fine_tuning

SHORT = {"epochs": 2, "batch_size": 16}


def dies_after_saving(path, save=checkpoints.save):
    """Return a stand-in for checkpoints.save that is killed once it has written `path`."""

    def save_and_die(to, *others):
        save(to, *others)
        if to == path:
            raise KeyboardInterrupt

    return save_and_die


def same_weights(one, other):
    for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_head_is_trained_and_the_backbone_stays_as_it_is(weights, images, labels):
    recipe = recipes.recipe("frozen-32-all-mlp", **SHORT, hidden=20)
    trained = transfer.train(
        images,
        labels,
        recipe,
        weights=weights,
        validation=(images[:20], labels[:20]),
        progress=False,
    )
    assert trained.trainable_parameters == 1281 * 20 + 21 * 10
    assert len(trained.history.epochs) == 2
    assert trained.history.epochs["validation_error"].notna().all()
    kept = trained.model.get_layer("vgg16").get_weights()
    for now, before in zip(kept, weights.arrays, strict=True):
        np.testing.assert_array_equal(now, before)
    np.testing.assert_allclose(
        transfer.probabilities(trained, images[:8], progress=False),
        transfer.predict(trained.model, images[:8]),
        atol=1e-4,
    )
    assert trained.is_of(trained.model)
    again = transfer.train(images, labels, recipe, weights=weights, progress=False)
    same_weights(again, trained)


def test_features_come_from_the_function_that_is_passed_in(weights, images, labels):
    """A caller can remember them: each view is asked for once for training, once for testing."""
    asked = []

    def extract(backbone, images, progress=True):
        asked.append(len(images))
        return transfer.features(backbone, images, progress)

    recipe = recipes.recipe("frozen-32-quarters", **SHORT, hidden=20)
    trained = transfer.train(
        images,
        labels,
        recipe,
        weights=weights,
        validation=(images[:20], labels[:20]),
        extract=extract,
        progress=False,
    )
    assert asked == [50, 50, 20]  # both views for training, one for validation
    transfer.probabilities(trained, images[:8], extract, progress=False)
    assert asked == [50, 50, 20, 8, 8]


def test_a_head_that_is_trained_on_mirror_images_answers_by_both_views(weights, images, labels):
    recipe = recipes.recipe("frozen-32-quarters", **SHORT, hidden=20)
    trained = transfer.train(images, labels, recipe, weights=weights, progress=False)
    assert trained.trainable_parameters == 3_585 * 20 + 21 * 10
    answers = transfer.probabilities(trained, images[:8], progress=False)
    both = transfer.predict(trained.model, images[:8], views=2)
    np.testing.assert_allclose(answers, both, atol=1e-4)
    assert np.abs(answers - transfer.predict(trained.model, images[:8])).max() > 1e-3
    mirrored = transfer.probabilities(trained, images[:8, :, ::-1], progress=False)
    np.testing.assert_allclose(mirrored, answers, atol=1e-4)
    plain = recipe.changed(mirrored=False)
    other = transfer.train(images, labels, plain, weights=weights, progress=False)
    assert not np.array_equal(other.head.get_weights()[-1], trained.head.get_weights()[-1])


def test_a_head_on_parts_of_the_maps_needs_as_many_parts_at_the_next_size(
    weights, images, labels, short, moved
):
    first = short("frozen-32-quarters", hidden=20, epochs=1)
    options = {"trainable": "block5", "batch_size": 16, "epochs": 1, "init_from": first}
    recipe = recipes.recipe("fine-tuned-32", **options)
    trained = transfer.train(images[:16], labels[:16], recipe, weights=weights, progress=False)
    assert trained.backbone.pool_grid == 2
    assert moved(trained.backbone, weights) == ["C24", "C26", "C28"]
    message = "at 64x64 there are others than at 32x32: name a recipe with pool_grid=1"
    with pytest.raises(InputError, match=message):
        recipes.recipe("fine-tuned-64", init_from=first)
    larger = recipes.recipe("fine-tuned-64").changed(init_from=first)
    with pytest.raises(InputError, match=message):
        transfer.train(images, labels, larger, weights=weights, progress=False)


def test_a_killed_fine_tuning_continues_to_the_same_weights(
    weights, images, labels, short, moved, tmp_path, monkeypatch
):
    first = short("quick-frozen", epochs=2)
    recipe = recipes.recipe("fine-tuned-32-block5", **SHORT, init_from=first)
    arguments = (images[:32], labels[:32], recipe)
    start = transfer.train(*arguments[:2], recipes.recipe(first), weights=weights, progress=False)
    options = {"weights": weights, "progress": False, "start": start}
    whole = transfer.train(*arguments, **options)
    path = tmp_path / "state.npz"
    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", dies_after_saving(path))
        transfer.train(*arguments, **options, checkpoint=path)
    resumed = transfer.train(*arguments, **options | {"start": None, "checkpoint": path})
    assert len(resumed.history.epochs) == 2
    same_weights(resumed, whole)
    assert moved(whole.backbone, weights) == ["C24", "C26", "C28"]


def test_fine_tuning_starts_from_what_it_is_given_and_leaves_it_as_it_was(
    weights, images, labels, short
):
    first = short("quick-frozen", epochs=1)
    recipe = recipes.recipe("fine-tuned-32-block5", **SHORT, init_from=first)
    start = transfer.train(
        images[:16], labels[:16], recipes.recipe(first), weights=weights, progress=False
    )
    before = [w.copy() for w in start.model.get_weights()]
    options = {"weights": weights, "progress": False}
    once = transfer.train(images[:16], labels[:16], recipe, start=start, **options)
    twice = transfer.train(images[:16], labels[:16], recipe, start=start, **options)
    same_weights(once, twice)
    for a, b in zip(before, start.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert start.is_of(start.model) and once.seconds > once.history.seconds
    for change, other in [
        ({"seed": 1}, start),
        ({}, dataclasses.replace(start, recipe=recipes.recipe("quick-frozen"))),
        ({}, dataclasses.replace(start, data="other images")),
    ]:
        with pytest.raises(InputError, match=r"continues from .*: the start .* is another one"):
            transfer.train(images[:16], labels[:16], recipe, start=other, **options, **change)


def test_a_larger_size_starts_from_what_a_smaller_one_has_learned(
    weights, images, labels, short, moved, monkeypatch
):
    options = {"trainable": "block5", "batch_size": 16, "epochs": 1}
    first = short("fine-tuned-32", init_from="quick-frozen", **options)
    small = (images[:16], labels[:16])
    rest = {"weights": weights, "progress": False}
    before = transfer.train(*small, recipes.recipe(first), **rest)
    assert moved(before.backbone, weights) == ["C24", "C26", "C28"]
    # At a learning rate of 0 the kernels stay those it began with.
    none = {"learning_rate": 0.0, "weight_decay": 0.0}
    last = recipes.recipe("fine-tuned-64", init_from=first, **options, **none)
    began, put = [], transfer.put_batch_norm
    monkeypatch.setattr(
        fine_tuning, "put_batch_norm", lambda net, *others: began.append(net) or put(net, *others)
    )
    after = transfer.train(*small, last, start=before, **rest)
    (net,) = began
    assert (net.weights.digest, net.image_size) == (before.backbone.weights.digest, 64)
    np.testing.assert_array_equal(after.head.get_weights()[-1], before.head.get_weights()[-1])
    assert not any(layer.name.startswith("N") for layer in after.model.get_layer("vgg16").layers)
    assert after.trainable_parameters == 12_810 + 7_079_424 + 2 * 3 * 512
    assert after.backbone.image_size == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"recipe": recipes.recipe("plain")},
            "plain is not for transfer learning: use one of quick",
        ),
        ({"recipe": "quick-frozen"}, "recipe is 'quick-frozen', expected an instance of Recipe"),
        ({"images": np.ones((50, 32, 32, 3), "float32")}, "look like 0 to 1"),
        ({"labels": np.arange(50) % 10 + 1}, "labels must be from 0 to 9"),
        ({"labels": np.arange(49) % 10}, "labels must be 50 integers"),
        ({"seed": -1}, "seed is -1, expected a number of at least 0"),
        ({"seed": 1.0}, "seed is 1.0, expected a whole number"),
        ({"start": "quick-frozen"}, "start is 'quick-frozen', expected"),
        ({"validation": 5}, "validation is 5"),
    ],
)
def test_what_does_not_fit_is_refused(weights, images, labels, change, message):
    arguments = {"images": images, "labels": labels, "recipe": recipes.recipe("quick-frozen")}
    with pytest.raises(InputError, match=message):
        transfer.train(**arguments | change, weights=weights, progress=False)
