"""Prepared TFDS folders and downloads: a tiny Fashion-MNIST that TFDS itself writes."""

import dataclasses
import hashlib
import http.server
import shutil
import socket
import threading

import numpy as np
import pytest
import tensorflow_datasets as tfds

from cnnlab import data as lab_data
from cnnlib import datasets, storage
from cnnlib.datasets import download, fetching, prepared
from cnnlib.datasets.catalogue import CATALOGUE
from cnnlib.datasets.ordering import by_digest

TRAIN, TEST = (
    30,
    20,
)  # images of the tiny set; image i is filled with the value i and has the label i % 10
REAL = storage.ROOT.parent / "shared" / "data" / "tfds"


class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A Fashion-MNIST of 30 + 20 images. It breaks off after `breaks_at` images."""

    name = "fashion_mnist"
    VERSION = tfds.core.Version("3.0.1")
    breaks_at = None
    order = range

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(28, 28, 1)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(TRAIN), "test": self._generate_examples(TEST)}

    def _generate_examples(self, count):
        for i in map(int, type(self).order(count)):
            if i == self.breaks_at:
                raise ConnectionError("connection lost")
            yield i, {"image": np.full((28, 28, 1), i, np.uint8), "label": i % 10}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A TFDS data folder with the tiny set, in two shards for each split."""
    folder = tmp_path_factory.mktemp("tfds")
    Tiny(data_dir=folder).download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=2)
    )
    return folder


@pytest.fixture
def data(tiny, tmp_path, monkeypatch):
    """A copy of it where CNNLIB_DATA points, and a catalogue that expects its counts."""
    expect_tiny(monkeypatch)
    return shutil.copytree(tiny, tmp_path / "data" / "tfds") / "fashion_mnist"


def expect_tiny(monkeypatch, **changes):
    info = dataclasses.replace(
        CATALOGUE["fashion_mnist"], **{"train_count": TRAIN, "test_count": TEST} | changes
    )
    monkeypatch.setitem(CATALOGUE, "fashion_mnist", info)


def damaged():
    with pytest.raises(datasets.Damaged) as caught:
        datasets.load("fashion_mnist")
    return str(caught.value)


def unavailable(name="fashion_mnist"):
    with pytest.raises(datasets.Unavailable) as caught:
        datasets.load(name)
    return str(caught.value)


def test_a_prepared_folder_is_read_whole(data):
    tiny = datasets.load("fashion_mnist")
    assert tiny.source == "prepared fashion_mnist/3.0.1"
    assert (tiny.train.images.shape, tiny.train.images.dtype, tiny.train.labels.dtype) == (
        (TRAIN, 28, 28, 1),
        np.uint8,
        np.int64,
    )
    values = tiny.train.images[:, 5, 5, 0]
    assert sorted(values.tolist()) == list(range(TRAIN))
    assert tiny.train.labels.tolist() == (values % 10).tolist()
    assert sorted(tiny.test.images[:, 0, 27, 0].tolist()) == list(range(TEST))


def test_the_order_is_that_of_the_digests_of_the_images(data):
    """Written out by hand: SHA-256 of the 784 bytes, which are all alike."""
    digests = {i: hashlib.sha256(bytes([i]) * 784).hexdigest() for i in range(TRAIN)}
    expected = sorted(digests, key=digests.get)
    assert expected[:5] != list(range(5))
    assert datasets.load("fashion_mnist").train.images[:, 0, 0, 0].tolist() == expected
    assert datasets.image_order("fashion_mnist") == "by digest"


def test_the_order_of_the_records_does_not_matter(data, tmp_path, monkeypatch):
    """The same images in another order and in other shards are loaded alike."""
    loaded = datasets.load("fashion_mnist", train_size=12, validation_size=5, test_size=7, seed=3)
    whole = datasets.load("fashion_mnist")
    monkeypatch.setattr(Tiny, "order", lambda count: np.random.RandomState(1).permutation(count))
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "other"))
    config = tfds.download.DownloadConfig(num_shards=3)
    builder = Tiny(data_dir=tmp_path / "other" / "tfds")
    builder.download_and_prepare(download_config=config)
    shuffled = datasets.load("fashion_mnist", train_size=12, validation_size=5, test_size=7, seed=3)
    for ours, theirs in ((loaded, shuffled), (whole, datasets.load("fashion_mnist"))):
        for part in ("train", "validation", "test"):
            assert np.array_equal(getattr(ours, part).images, getattr(theirs, part).images)
            assert np.array_equal(getattr(ours, part).labels, getattr(theirs, part).labels)


def test_equal_images_with_several_labels_are_ordered_by_label():
    images, labels = np.zeros((6, 2, 2, 1), np.uint8), np.array([3, 1, 2, 1, 0, 3])
    images[2] = 7
    ordered, of_them = by_digest(images, labels)
    of_seven, of_zero = (int(labels[2]), [0, 1, 1, 3, 3])
    first = hashlib.sha256(b"\7" * 4).digest() < hashlib.sha256(b"\0" * 4).digest()
    assert of_them.tolist() == ([of_seven, *of_zero] if first else [*of_zero, of_seven])
    assert ordered[:, 0, 0, 0].tolist() == [7 if label == 2 else 0 for label in of_them]


def test_the_order_of_the_data_folders(data, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))  # Windows
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "elsewhere"))
    assert prepared.find(datasets.info("fashion_mnist")) == data / "3.0.1"
    monkeypatch.delenv("CNNLIB_DATA")
    assert prepared.data_folder() == tmp_path / "elsewhere"
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert prepared.data_folder() == tmp_path / "home" / "tensorflow_datasets"
    monkeypatch.setenv("TFDS_DATA_DIR", str(data.parent))
    assert datasets.load("fashion_mnist").source == "prepared fashion_mnist/3.0.1"


def test_the_newest_version_counts_and_unfinished_folders_do_not(data):
    (data / "3.0.1").rename(data / "3.0.10")
    for name in ("3.0.9", "incomplete.ABCDEF_4.0.0", "notes"):
        (data / name).mkdir()
    assert prepared.find(datasets.info("fashion_mnist")) == data / "3.0.10"
    assert prepared.find(datasets.info("cifar10")) is None


@pytest.mark.parametrize(
    "name", ["9.9.9", "3.0.1.old", "1" * 5000 + ".0.0", "3.0", "..", "notes", "\u0663.0.1"]
)
@pytest.mark.parametrize("kind", ["folder", "file", "filled"])
def test_a_foreign_folder_beside_the_versions(name, kind, data):
    """What TFDS has not written is no version; without any other it is named as damaged."""
    path = data / name
    if name != ".." and len(name) < 200:
        path.write_text("foreign") if kind == "file" else path.mkdir()
        if kind == "filled":
            (path / "stray").write_text("foreign")
    assert prepared.find(datasets.info("fashion_mnist")) == data / "3.0.1"
    assert datasets.status("fashion_mnist").state == "prepared"
    assert lab_data.table().count("\n") == 10
    shutil.rmtree(data / "3.0.1")
    state = datasets.status("fashion_mnist").state
    assert state == ("damaged" if name == "9.9.9" and kind != "file" else "sample")
    assert lab_data.table().count("\n") == 10


@pytest.mark.parametrize("part", ["fashion_mnist", "tfds"])
def test_a_file_in_the_place_of_a_folder(part, data):
    path = data if part == "fashion_mnist" else data.parent
    shutil.rmtree(path)
    path.write_text("a file")
    assert datasets.status("fashion_mnist").state == "sample"
    assert lab_data.table().count("\n") == 10


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"\xff\xfe",
        b"[]",
        b"5",
        b'{"splits": 5}',
        b'{"splits": [{"name": "train", "shardLengths": [], "numBytes": "0"}]}',
        b'{"splits": [{"name": "train", "shardLengths": ["-5", "5"], "numBytes": "0"}]}',
        b'{"splits": [{"name": "train", "shardLengths": [1e999], "numBytes": "0"}]}',
        b'{"splits": [{"name": "train", "shardLengths": ["1"], "numBytes": "%s"}]}' % (b"9" * 5000),
        b'{"splits": [{"name": ["train"], "shardLengths": ["1"], "numBytes": "1"}]}',
    ],
)
def test_metadata_of_another_kind(content, data):
    (data / "3.0.1" / "dataset_info.json").write_bytes(content)
    assert "dataset_info.json" in damaged()
    assert datasets.status("fashion_mnist").state == "damaged"
    with pytest.raises(datasets.Damaged):
        datasets.load("fashion_mnist", partial=True)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("shard", ["00000-of-00002", "00001-of-00002"])
def test_a_missing_or_empty_shard(split, shard, data):
    path = data / "3.0.1" / f"fashion_mnist-{split}.tfrecord-{shard}"
    path.write_bytes(b"")
    message = damaged()
    assert f"{path} is empty" in message
    path.unlink()
    message = damaged()
    assert f"{path} is missing" in message
    assert f"Delete the folder {data / '3.0.1'} and prepare it again" in message


@pytest.mark.parametrize(
    "change", ["cut inside a record", "one bit", "cut between records", "too long"]
)
def test_an_altered_shard(change, data):
    path = data / "3.0.1" / "fashion_mnist-train.tfrecord-00001-of-00002"
    content = bytearray(path.read_bytes())
    first_record = 16 + int.from_bytes(
        content[:8], "little"
    )  # TFRecord: length 8, its checksum 4, the bytes, their checksum 4
    content[100] ^= 1 if change == "one bit" else 0
    path.write_bytes(
        {
            "cut inside a record": content[:-7],
            "one bit": content,
            "cut between records": content[:first_record],
            "too long": content * 2,
        }[change]
    )
    assert str(path) in damaged()


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_metadata_that_is_missing_or_not_json(name, data):
    path = data / "3.0.1" / name
    path.write_text(path.read_text()[:40])
    assert name in damaged()
    path.unlink()
    assert name in damaged()


def test_more_or_fewer_records_than_promised(data):
    folder, info = data / "3.0.1", datasets.info("fashion_mnist")
    split = prepared.check(folder, info)["train"]
    for count in (TRAIN - 1, TRAIN + 1):
        with pytest.raises(datasets.Damaged, match=f"{TRAIN} train images, expected {count}"):
            prepared.read_split({"train": dataclasses.replace(split, count=count)}, "train", info)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train_count": 31}, "has 30 train images, expected 31"),
        ({"test_count": 10}, "has 20 test images, expected 10"),
        (
            {"image_shape": (32, 32, 3)},
            "the train images are uint8 (30, 28, 28, 1), expected uint8 (30, 32, 32, 3)",
        ),
        ({"classes": ("a", "b", "c")}, "the train labels go from 0 to 9, expected 0 to 2"),
    ],
)
def test_another_set_under_the_name(changes, says, data, monkeypatch):
    expect_tiny(monkeypatch, **changes)
    assert says in damaged()


def test_a_damaged_folder_is_not_passed_over_for_a_download(data, monkeypatch):
    (data / "3.0.1" / "dataset_info.json").unlink()
    monkeypatch.setattr(download, "prepare", None)
    assert "dataset_info.json is missing" in damaged()


def test_mnist_has_one_order_whatever_is_prepared(data):
    """Prepared by TFDS it would have another order, so the repository's own file comes first."""
    (data.parent / "mnist" / "3.0.1").mkdir(parents=True)
    assert datasets.load("mnist", train_size=10).source == "embedded data/mnist.npz"
    assert datasets.image_order("mnist") == "official"


def test_real_cifar10(monkeypatch):
    if not (REAL / "cifar10").is_dir():
        pytest.skip("no prepared CIFAR-10 beside the checkout")
    monkeypatch.delenv("CNNLIB_DATA")
    monkeypatch.setenv("TFDS_DATA_DIR", str(REAL))
    cifar10 = datasets.load("cifar10")
    assert cifar10.source == "prepared cifar10/3.0.2"
    assert np.bincount(cifar10.train.labels).tolist() == [5000] * 10
    assert np.bincount(cifar10.test.labels).tolist() == [1000] * 10
    # The channel means and deviations that everyone uses; the deviations from every tenth image,
    # which takes a tenth of the memory.
    assert np.allclose(
        cifar10.train.images.mean(axis=(0, 1, 2)) / 255, (0.4914, 0.4822, 0.4465), atol=1e-4
    )
    assert np.allclose(
        cifar10.train.images[::10].std(axis=(0, 1, 2)) / 255, (0.2470, 0.2435, 0.2616), atol=2e-3
    )


# ---- downloads


@pytest.mark.parametrize("name", sorted(set(download.ADDRESSES) - {"caltech256"}))
def test_the_files_are_those_that_tfds_would_download(name, tmp_path):
    known = tfds.builder(datasets.info(name).tfds_name, data_dir=tmp_path).url_infos
    for address in download.ADDRESSES[name]:
        assert known[address].filename == fetching.file_name(address)
    assert (
        sum(known[address].size for address in download.ADDRESSES[name])
        == datasets.info(name).download_bytes
    )


@pytest.fixture
def no_network(monkeypatch):
    """Every request goes to a proxy that refuses: a port of this machine that nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{unused.getsockname()[1]}"
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, proxy)
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("name", "host"), [("cifar10", "www.cs.toronto.edu"), ("fashion_mnist", "amazonaws.com")]
)
def test_no_network(name, host, no_network, tmp_path):
    message = unavailable(name)
    for part in (
        name,
        host,
        "did not answer (ProxyError)",
        str(tmp_path / "data" / "tfds" / name),
        "CNNLIB_DATA",
        "TFDS_DATA_DIR",
    ):
        assert part in message
    assert "connect to the internet" in message and "mnist" in message.splitlines()[-1]
    assert not (tmp_path / "data").exists()


def test_a_host_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(fetching, "PATIENCE", 0.2)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, says nothing
        monkeypatch.setitem(
            download.ADDRESSES,
            "fashion_mnist",
            [f"http://127.0.0.1:{silent.getsockname()[1]}/file"],
        )
        message = unavailable()
    assert "127.0.0.1 did not answer" in message


def test_a_name_lookup_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(fetching, "PATIENCE", 0.2)
    hang = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: hang.wait() and [])
    message = unavailable("cifar10")
    hang.set()
    assert "www.cs.toronto.edu did not answer (no answer within 0.2 seconds)" in message


@pytest.fixture
def answering_host(monkeypatch):
    """A server of this machine that has /file and nothing else, in the place of the set's host."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200 if self.path == "/file" else 404)
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(b"a file that the tiny set does not read")

        def log_message(self, *arguments):
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setitem(download.ADDRESSES, "fashion_mnist", [address + "/file"])
        monkeypatch.setattr(tfds, "builder", lambda name, data_dir: Tiny(data_dir=data_dir))
        yield address
        server.shutdown()


def test_a_download_is_prepared_once(answering_host, tmp_path, monkeypatch):
    expect_tiny(monkeypatch)
    assert datasets.load("fashion_mnist").source == "downloaded fashion_mnist/3.0.1"
    assert (tmp_path / "data" / "tfds" / "fashion_mnist" / "3.0.1" / "dataset_info.json").is_file()
    monkeypatch.setattr(download, "prepare", None)
    assert datasets.load("fashion_mnist").source == "prepared fashion_mnist/3.0.1"


def test_an_interrupted_download_does_not_look_prepared(answering_host, tmp_path, monkeypatch):
    expect_tiny(monkeypatch)
    monkeypatch.setattr(Tiny, "breaks_at", 7)
    assert "preparing fashion_mnist broke off (ConnectionError: connection lost" in unavailable()
    assert prepared.find(datasets.info("fashion_mnist")) is None
    assert not list(tmp_path.rglob("*tfrecord*"))
    monkeypatch.setattr(Tiny, "breaks_at", None)
    assert datasets.load("fashion_mnist").source == "downloaded fashion_mnist/3.0.1"


def test_a_file_that_the_host_no_longer_has(answering_host, monkeypatch):
    monkeypatch.setitem(download.ADDRESSES, "fashion_mnist", [answering_host + "/gone"])
    assert "did not answer (HTTPError 404)" in unavailable()


def test_a_data_folder_that_cannot_be_written(answering_host, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "file"))
    message = unavailable()
    assert f"cannot write to the folder {tmp_path / 'file' / 'tfds'}" in message
    assert "set CNNLIB_DATA to a folder that is" in message
