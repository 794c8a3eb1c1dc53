"""Streams: what is in them, their order, sizes and splits."""

import gc
import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import psutil
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from cnnlib import datasets, storage
from cnnlib.datasets import caltech, pipelines, streams
from cnnlib.errors import InputError

REAL = storage.ROOT.parent / "shared" / "data"


@pytest.fixture
def prepared(published):
    """Both Caltech sets, prepared from the small archives."""
    return {name: datasets.prepare(name, archive=path) for name, path in published.items()}


def contents(dataset):
    """(label, grey) of single images: each image of the archives has one grey in all its pixels."""
    return [(int(label), round(float(image.numpy().mean()))) for image, label in dataset]


def single(name, split, **options):
    return datasets.stream(name, split, batch_size=None, **options)


def test_batches(prepared):
    stream = datasets.stream("caltech101", image_size=(48, 64), batch_size=16)
    assert isinstance(stream, tf.data.Dataset) and len(stream) == 6
    images, labels = next(iter(stream))
    assert (images.shape, images.dtype, labels.shape, labels.dtype) == (
        (16, 48, 64, 3),
        tf.uint8,
        (16,),
        tf.int64,
    )


@pytest.mark.parametrize("name", ["caltech101", "caltech256"])
def test_the_split_is_stratified_and_each_image_is_in_one_part(name, prepared):
    parts = {split: contents(single(name, split)) for split in ("train", "test")}
    sizes = {"caltech101": {4: 31, 0: 33, 101: 31}, "caltech256": {0: 32, 55: 12, 256: 31}}[name]
    for label, count in sizes.items():
        of_class = [
            [grey for lab, grey in parts[split] if lab == label] for split in ("train", "test")
        ]
        assert len(of_class[0]) == (30 if count > 30 else 6)
        # JPEG keeps a plain grey to within one step, and neighbours are two apart
        assert sorted(round(grey / 2) for part in of_class for grey in part) == list(
            range(1, count + 1)
        )


def test_the_drawn_names_are_frozen():
    """The promise that the split is the same on every machine, in whatever order names come."""
    names = [f"image_{i:04d}.jpg" for i in range(1, 41)]
    drawn = caltech.training_names(reversed(names), 7)
    assert drawn == caltech.training_names(names, 7) and len(drawn) == 30
    assert sorted(int(name[6:10]) for name in set(names) - drawn) == [
        4,
        5,
        9,
        15,
        20,
        24,
        26,
        29,
        36,
        39,
    ]
    assert len(caltech.training_names(names[:30], 7)) == 15


def test_a_folder_that_tfds_split_itself_gives_the_same_parts(
    prepared, published, monkeypatch, tmp_path
):
    ours = {split: sorted(contents(single("caltech101", split))) for split in ("train", "test")}
    shutil.rmtree(prepared["caltech101"])
    archive = published["caltech101"]
    builder = tfds.builder("caltech101", data_dir=tmp_path / "data" / "tfds")
    manual = tmp_path / "manual"
    manual.mkdir()
    shutil.copy(archive, manual / "caltech-101.zip")
    monkeypatch.setattr(
        tfds.download.DownloadManager,
        "_register_or_validate_checksums",
        lambda *arguments, **options: None,
    )
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual, try_download_gcs=False)
    )
    theirs = {split: single("caltech101", split) for split in ("train", "test")}
    assert {split: sorted(contents(stream)) for split, stream in theirs.items()} == ours
    assert {split: len(stream) for split, stream in theirs.items()} == {"train": 90, "test": 5}


def test_class_counts(prepared):
    counts = datasets.class_counts("caltech256")
    assert len(counts) == 257 and {
        label: int(counts[label]) for label in np.flatnonzero(counts)
    } == {0: 32, 55: 12, 256: 31}
    mnist = [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]
    assert datasets.class_counts("mnist").tolist() == mnist
    assert datasets.class_counts("cifar10", sample=True).tolist() == [350] * 10
    of_pictures = datasets.class_counts("caltech101", sample=True)
    assert (len(of_pictures), of_pictures.sum(), of_pictures.max()) == (102, 99, 1)
    assert datasets.class_counts("caltech256", sample=True).sum() == 20


def test_training_is_shuffled_reproducibly_and_anew_each_epoch(prepared):
    stream, again, other = (single("caltech101", "train", seed=seed) for seed in (3, 3, 4))
    epochs = [contents(stream), contents(stream)]
    assert epochs == [contents(again), contents(again)]
    assert epochs[0] != epochs[1] and sorted(epochs[0]) == sorted(epochs[1])
    assert epochs[0] != contents(other)
    plain = single("caltech101", "train", shuffle=False)
    assert contents(plain) == contents(plain) and sorted(contents(plain)) == sorted(epochs[0])
    assert contents(single("caltech101", "test")) == contents(single("caltech101", "test", seed=5))


def test_images_as_they_are(prepared):
    widths = {image.shape[1] for image, _ in single("caltech101", "train")}
    assert min(widths) >= 41 and len(widths) > 25
    with pytest.raises(InputError, match="give image_size, such as 224, or batch_size=None"):
        datasets.stream("caltech101")


def test_resizing_agrees_with_pillow(monkeypatch):
    """CIFAR-10's sample enlarged and MNIST reduced: within two grey levels of Pillow's filter."""
    for options, size in (({"name": "cifar10", "sample": True}, 48), ({"name": "mnist"}, 20)):
        stream = datasets.stream(split="test", image_size=size, batch_size=20, **options)
        images = next(iter(stream))[0].numpy()
        plain = next(iter(datasets.stream(split="test", batch_size=20, **options)))[0].numpy()
        for image, original in zip(images, plain, strict=True):
            expected = np.asarray(
                PIL.Image.fromarray(original.squeeze()).resize(
                    (size, size), PIL.Image.Resampling.BILINEAR
                )
            )
            assert np.abs(image.squeeze().astype(int) - expected).max() <= 2


def test_crop_takes_the_middle_and_stretch_takes_all():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    dataset = tf.data.Dataset.from_tensors((wide, 0))
    (cropped, _), (stretched, _) = (
        next(iter(pipelines.resized(dataset, (10, 10), fit))) for fit in ("crop", "stretch")
    )
    assert cropped.numpy().min() == 200
    assert stretched.numpy()[:, 0].max() == 0 and stretched.numpy()[:, 5].min() > 190
    tall = next(
        iter(
            pipelines.resized(
                tf.data.Dataset.from_tensors((wide.transpose(1, 0, 2), 0)), (5, 5), "crop"
            )
        )
    )[0]
    assert tall.numpy().min() == 200


def test_mnist_streams_from_the_repository():
    stream = datasets.stream("mnist", "test", batch_size=1000)
    images, labels = next(iter(stream))
    mnist = datasets.load("mnist").test
    assert np.array_equal(images, mnist.images[:1000]) and np.array_equal(
        labels, mnist.labels[:1000]
    )
    first, second = (
        np.concatenate([labels for _, labels in datasets.stream("mnist", seed=seed)])
        for seed in (0, 1)
    )
    assert (
        len(first) == 60_000
        and not np.array_equal(first, second)
        and np.array_equal(np.bincount(first), np.bincount(second))
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_flipped_bit_is_never_an_image(split, prepared):
    (shard,) = prepared["caltech101"].glob(f"*-{split}.tfrecord-*")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(tf.errors.DataLossError):
        contents(single("caltech101", split))


@pytest.mark.parametrize("change", [lambda content: content[:-100], lambda content: b""])
def test_a_truncated_shard_is_refused_before_the_first_image(change, prepared):
    (shard,) = prepared["caltech256"].glob("*-test.tfrecord-*")
    shard.write_bytes(change(shard.read_bytes()))
    with pytest.raises(datasets.Damaged, match=shard.name):
        single("caltech256", "train")
    assert datasets.status("caltech256").state == "damaged"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"split": "val"}, "split is 'val', expected 'train' or 'test'"),
        ({"fit": "squeeze"}, "fit is 'squeeze', expected 'crop' or 'stretch'"),
        ({"image_size": 0}, "image_size is 0"),
        ({"image_size": (10, 20, 3)}, "image_size"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"image_size": "224"}, "image_size is '224', expected a side or (height, width)"),
        ({"image_size": (10.0, 20)}, "image_size"),
        ({"image_size": True}, "image_size is True"),
        ({"image_size": 10**9}, "from 1 to 16384"),
        ({"batch_size": 8.0}, "batch_size is 8.0, expected a whole number"),
        ({"shuffle": "no"}, "shuffle is 'no', expected True or False"),
        ({"seed": -1}, "seed is -1"),
        ({"name": "imagenet", "sample": True}, "there is no sample of imagenet"),
        ({"sample": True, "split": "test"}, "there are no test images of caltech101 in the sample"),
    ],
)
def test_bad_arguments(options, says):
    with pytest.raises(InputError) as caught:
        datasets.stream(**{"name": "caltech101", "image_size": 32} | options)
    assert says in str(caught.value)


def test_a_part_without_the_split_that_is_asked_for(prepared):
    import json

    path = prepared["caltech256"] / "dataset_info.json"
    info = json.loads(path.read_text())
    info["splits"] = [split for split in info["splits"] if split["name"] == "test"]
    path.write_text(json.dumps(info))
    with pytest.raises(InputError, match="holds a part of caltech256, and no train images"):
        single("caltech256", "train", partial=True)
    assert len(single("caltech256", "test", partial=True)) == 9


def test_real_parts(monkeypatch):
    """CIFAR-100 in part, and pictures of both Caltech sets as they were published."""
    if not (REAL / "partial").is_dir():
        pytest.skip("no real data beside the checkout")
    for name, archive in (
        ("caltech101", "caltech-101.zip"),
        ("caltech256", "256_ObjectCategories.tar"),
    ):
        datasets.prepare(name, archive=REAL / "partial" / archive, partial=True)
        images, labels = next(
            iter(datasets.stream(name, image_size=64, batch_size=50, partial=True))
        )
        assert (
            images.shape == (50, 64, 64, 3)
            and images.numpy().std() > 30
            and len(set(labels.numpy())) > 5
        )
    monkeypatch.delenv("CNNLIB_DATA")
    monkeypatch.setenv("TFDS_DATA_DIR", str(REAL / "partial" / "tfds"))
    with pytest.raises(datasets.Damaged, match="has 2500 train images, expected 50000"):
        datasets.load("cifar100")
    part = datasets.load("cifar100", partial=True)
    assert part.source == "prepared cifar100/3.0.2, a part (3,000 images)"
    assert np.bincount(part.train.labels).tolist() == [25] * 100
    cut = datasets.load("cifar100", partial=True, train_size=200, test_size=100)
    assert np.bincount(cut.train.labels).tolist() == [2] * 100
    with pytest.raises(InputError, match="from 1 to 2500"):
        datasets.load("cifar100", partial=True, train_size=2501)


def test_the_first_stream_is_quiet(tmp_path):
    """TensorFlow's start-up notes would stand in a notebook's outputs."""
    code = "from cnnlib import datasets; print(len(datasets.stream('mnist')))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (process.stdout, process.stderr) == ("1875\n", "")


class TestBatchesOfArrays:
    @pytest.mark.parametrize(("n", "sizes"), [(10, [4, 4, 2]), (8, [4, 4]), (3, [3])])
    def test_they_are_the_arrays_in_their_order(self, n, sizes):
        images, labels = np.random.RandomState(0).rand(n, 2, 3).astype("float32"), np.arange(n)
        found = list(streams.batches(images, labels, 4).as_numpy_iterator())
        assert [len(batch) for batch, _ in found] == sizes == [len(batch) for _, batch in found]
        np.testing.assert_array_equal(np.concatenate([batch for batch, _ in found]), images)
        np.testing.assert_array_equal(np.concatenate([batch for _, batch in found]), labels)
        assert len(streams.batches(images, labels, 4)) == len(sizes)

    def test_a_pass_leaves_nothing_in_memory(self):
        images, labels = np.ones((1_000, 12_500), "float32"), np.zeros(1_000, "int64")  # 50 MB
        used = psutil.Process().memory_info
        gc.collect()
        gc.disable()  # what is left in cycles stays, as it does in a loop that makes few objects
        try:
            for _ in streams.batches(images, labels, 128):
                pass
            before = used().rss
            for _ in range(8):
                for _ in streams.batches(images, labels, 128):
                    pass
            assert used().rss - before < 4 * images.nbytes
        finally:
            gc.enable()
