import keras
import numpy as np
import pytest

from cnnlib import augment, boosting, checkpoints, datasets, models, preprocessing, training
from cnnlib.errors import InputError

RECIPE = training.recipe("plain", epochs=2, batch_size=50)
DISTORTED = RECIPE.changed(protocol="distorted")


@pytest.fixture(scope="module")
def data():
    data = datasets.load("mnist", train_size=400, test_size=300, seed=1)
    return [
        (preprocessing.prepare(part.images, "28x28"), part.labels)
        for part in (data.train, data.test)
    ]


@pytest.fixture(scope="module")
def images(data):
    return data[0][0]


@pytest.fixture(scope="module")
def labels(data):
    return data[0][1]


def trained(images, labels, recipe, seed):
    keras.utils.set_random_seed(seed)
    net = models.build("linear-28x28")
    training.train(net, images, labels, recipe, seed, progress=False)
    return net


@pytest.fixture(scope="module")
def nets(images, labels):
    epochs = enumerate((1, 2, 6))
    return [trained(images, labels, RECIPE.changed(epochs=n), seed) for seed, n in epochs]


@pytest.fixture(scope="module")
def boosted(images, labels):
    """The run that nothing disturbs."""
    return train(images, labels)


def train(images, labels, **options):
    chosen = {"seed": 5, "wanted": 100, "cap": 1500, "progress": False} | options
    return boosting.train("linear-28x28", images, labels, DISTORTED, **chosen)


def stream(images, labels, seed, passes):
    """Return the first passes of a stream, each distorted as a whole: what the filters see."""
    orders = [np.random.RandomState((*seed, k, 0)).permutation(len(images)) for k in range(passes)]
    distorted = [augment.distort(images, (*seed, k, 1))[order] for k, order in enumerate(orders)]
    return np.concatenate(distorted), np.concatenate([labels[order] for order in orders])


def softmax(net, images):
    """Probabilities of a linear net, by NumPy."""
    kernel, bias = (w.astype(np.float64) for w in net.get_weights())
    powers = np.exp(images.reshape(len(images), -1) @ kernel + bias)
    return powers / powers.sum(axis=1, keepdims=True)


def says(net, images):
    return softmax(net, images).argmax(axis=1)


def same_weights(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def test_net_2_learns_from_as_many_patterns_that_net_1_gets_right_as_wrong(
    nets, images, labels, monkeypatch
):
    monkeypatch.setattr(boosting, "CHUNK", 130)
    numbers, counts = boosting.filtered(nets[:1], images, labels, wanted=601, cap=5000, seed=(3, 2))
    candidates, answers = stream(images, labels, (3, 2), 10)
    right = says(nets[0], candidates) == answers
    taken = [np.flatnonzero(right)[:300], np.flatnonzero(~right)[:300]]
    np.testing.assert_array_equal(numbers, np.sort(np.concatenate(taken)))
    seen = max(numbers) + 1
    assert seen > 400  # so that more than one pass was needed
    found = {"net 1 is right": right[:seen].sum(), "net 1 is wrong": (~right[:seen]).sum()}
    assert counts == boosting.Counts(601, 5000, candidates=seen, accepted=600, found=found)
    inputs, own = boosting.patterns(images, labels, numbers, (3, 2))
    assert inputs.dtype == np.float32
    np.testing.assert_array_equal(inputs, candidates[numbers])
    np.testing.assert_array_equal(own, answers[numbers])


def test_net_3_learns_from_the_first_patterns_on_which_nets_1_and_2_disagree(nets, images, labels):
    numbers, counts = boosting.filtered(nets[:2], images, labels, wanted=150, cap=5000, seed=(3, 3))
    candidates, _ = stream(images, labels, (3, 3), 10)
    disagree = np.flatnonzero(says(nets[0], candidates) != says(nets[1], candidates))
    np.testing.assert_array_equal(numbers, disagree[:150])
    found = {"nets 1 and 2 disagree": 150}
    assert counts == boosting.Counts(150, 5000, disagree[149] + 1, accepted=150, found=found)


def test_at_the_cap_there_are_as_many_of_each_kind_as_of_the_rarest(nets, images, labels):
    numbers, counts = boosting.filtered(nets[:1], images, labels, wanted=410, cap=410, seed=(3, 2))
    rarest = min(counts.found.values())
    assert 0 < rarest < 205 and sum(counts.found.values()) == counts.candidates == 410
    assert len(numbers) == counts.accepted == 2 * rarest
    inputs, own = boosting.patterns(images, labels, numbers, (3, 2))
    assert (says(nets[0], inputs) == own).mean() == 0.5


def test_each_net_is_trained_by_the_recipe_on_its_own_patterns_as_they_are(boosted, images, labels):
    nets = boosting.members(boosted.model)
    assert same_weights(nets[0], trained(images, labels, DISTORTED, 5))
    for k, seed in [(2, 1_000_005), (3, 2_000_005)]:
        numbers, counts = boosting.filtered(nets[: k - 1], images, labels, 100, 1500, (5, k))
        assert counts == boosted.counts[k - 2] and np.array_equal(numbers, boosted.numbers[k - 2])
        own = boosting.patterns(images, labels, numbers, (5, k))
        assert same_weights(nets[k - 1], trained(*own, RECIPE, seed))
    assert boosted.seconds > sum(counts.seconds for counts in boosted.counts) > 0
    assert boosted.model.name == "boosted-linear-28x28" and boosted.is_of(boosted.model)


@pytest.mark.parametrize(
    ("when", "epochs_left", "filters_left"), [("in its filter", 4, 2), ("in its last epoch", 3, 1)]
)
def test_a_run_killed_at_net_2_goes_on_to_the_same_weights(
    boosted, images, labels, tmp_path, monkeypatch, when, epochs_left, filters_left
):
    monkeypatch.setattr(boosting, "CHUNK", 40)
    saved, judge = checkpoints.save, boosting._judge
    epochs, filters = [], []

    def save(path, model, run, rows):
        saved(path, model, run, rows)
        epochs.append((path.stem, len(rows)))
        if when == "in its last epoch" and epochs[-1] == ("net-2", 1):
            raise KeyboardInterrupt

    def judge_some(nets, images, labels):
        filters.append(len(nets) + 1)
        if when == "in its filter" and filters.count(2) == 2:
            raise KeyboardInterrupt
        return judge(nets, images, labels)

    monkeypatch.setattr(checkpoints, "save", save)
    monkeypatch.setattr(boosting, "_judge", judge_some)
    with pytest.raises(KeyboardInterrupt):
        train(images, labels, folder=tmp_path)
    when = "the second time"
    epochs.clear()
    filters.clear()
    resumed = train(images, labels, folder=tmp_path)
    assert (len(epochs), len(set(filters))) == (epochs_left, filters_left)  # what was left to do
    assert same_weights(resumed.model, boosted.model) and resumed.counts == boosted.counts
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["net-1.npz", "net-2.npz", "net-3.npz", "patterns-2.npz", "patterns-3.npz"]


def test_a_folder_of_another_run_is_refused(images, labels, tmp_path):
    train(images, labels, folder=tmp_path)
    with pytest.raises(InputError, match=r"patterns-2.npz is of another net.*: delete it"):
        train(images, labels, folder=tmp_path, wanted=120)
    with pytest.raises(InputError, match=r"net-1.npz is of another net, recipe, seed or data"):
        train(images, labels, folder=tmp_path, seed=6)
    path = tmp_path / "patterns-2.npz"
    content = path.read_bytes()
    flipped = content[:99] + bytes([content[99] ^ 1]) + content[100:]
    for damaged in (b"", b"{}", content[:-40], flipped, (tmp_path / "net-1.npz").read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"patterns-2.npz (cannot be read|is of another)"):
            train(images, labels, folder=tmp_path)


def test_without_a_pattern_of_a_kind_the_error_says_what_to_do(nets, images, labels, tmp_path):
    sure = models.build("linear-28x28")
    sure.set_weights([np.zeros((784, 10)), np.arange(10)])
    wrong = "among 900 .* none where net 1 is wrong: nothing for net 2 .* Raise cap, or .* fewer"
    for chosen, answers, message in [
        ([sure], np.full(400, 9), wrong),
        ([sure], np.full(400, 3), "none where net 1 is right"),
        ([nets[0], nets[0]], labels, "none where nets 1 and 2 disagree: nothing for net 3"),
    ]:
        with pytest.raises(InputError, match=message):
            boosting.filtered(chosen, images, answers, 10, 900, (0, 2))
    with pytest.raises(InputError, match=r"patterns for each net must be 2 or more, .* got 1"):
        train(images, labels, wanted=1, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
