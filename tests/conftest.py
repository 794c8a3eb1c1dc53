"""What tests of several folders share. None uses the results and data folders of the user."""

import hashlib
import http.server
import io
import pathlib
import re
import tarfile
import threading
import zipfile

import numpy as np
import PIL.Image
import pytest

import cnnlib

# Files whose tests train nets, execute notebooks or start processes that do: `make test-fast`
# leaves them out. A single test elsewhere is marked with `@pytest.mark.slow`.
SLOW_FILES = (
    "browser/test_site.py",
    "cnnlab/batch/test_batch.py",
    "cnnlab/test_course.py",
    "cnnlab/test_editions.py",
    "cnnlab/test_experiment.py",
    "cnnlab/test_notebooks.py",
    "cnnlab/test_site.py",
    "cnnlab/test_stages.py",
    "test_boosting.py",
    "test_training.py",
)


def pytest_report_header():
    """Say which cnnlib is tested. Importing it here, before Keras, prepares TensorFlow."""
    return f"cnnlib {cnnlib.__version__}"


def pytest_collection_modifyitems(items):
    folder = pathlib.Path(__file__).parent
    slow = [folder / name for name in SLOW_FILES]
    assert all(path.exists() for path in slow), "SLOW_FILES names a file that is not there"
    for item in items:
        if item.path in slow:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))


@pytest.fixture
def course_folder(tmp_path, monkeypatch):
    """An empty folder in the place of notebooks/."""
    from cnnlib import storage

    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr(storage, "NOTEBOOKS", folder)
    return folder


@pytest.fixture
def write_notebook():
    """A function that writes a notebook: a cell of parameters, if any, and one for each text, which
    is Markdown if it starts with "# "."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    def write(path, *texts, parameters=""):
        tagged = [new_code_cell(parameters, metadata={"tags": ["parameters"]})]
        cells = [new_markdown_cell(t) if t.startswith("# ") else new_code_cell(t) for t in texts]
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(new_notebook(cells=[*(tagged if parameters else []), *cells]), path)
        return path

    return write


@pytest.fixture(scope="session")
def random_vgg16_weights():
    """A function: random weights for VGG16 that keep the size of the maps about the same, so that
    tests see signals and not noise."""
    from cnnlib.models import vgg

    def weights():
        net = vgg.VGG16(include_top=False, input_shape=(32, 32, 3))
        random, arrays = np.random.RandomState(1), []
        for shape in (weight.shape for weight in net.weights):
            scale = np.sqrt(2 / np.prod(shape[:3])) if len(shape) == 4 else 0.1
            arrays.append(random.normal(0, scale, shape).astype("float32"))
        return vgg.Weights(tuple(arrays), "random")

    return weights


@pytest.fixture
def small_vgg16(random_vgg16_weights, monkeypatch):
    """Make VGG16 one of 8 and 16 maps, whose random weights pass for the published ones: (16 + 1)
    * 10 weights of a head on one block, 9 * 16 * 16 + 16 of a convolution in blocks 4 and 5."""
    from cnnlib import models, transfer
    from cnnlib.models import vgg

    monkeypatch.setattr(vgg, "BLOCKS", ((8, 2), (8, 2), (16, 3), (16, 3), (16, 3)))
    monkeypatch.setattr(transfer, "WIDTHS", dict.fromkeys("345", 16))
    weights = random_vgg16_weights()
    monkeypatch.setattr(models, "vgg16_weights", lambda: weights)
    return weights


@pytest.fixture
def measured_folder(tmp_path, monkeypatch):
    """An empty ledger of its own."""
    from cnnlib import results

    monkeypatch.setattr(results, "MEASURED", tmp_path / "measured")
    return results.MEASURED


@pytest.fixture
def run():
    """A function: the columns that `record` needs, with some of them changed."""
    columns = {
        "model": "lenet-5",
        "dataset": "mnist",
        "data_source": "embedded data/mnist.npz",
        "protocol": "plain",
        "recipe": "standard",
        "seed": 0,
        "train_images": 60000,
        "metric": "test_error_percent",
        "value": 0.95,
        "trainable_parameters": 61706,
        "epochs": 20,
        "train_seconds": 116.5,
        "image_order": "official",
        "test_images": 10000,
        "settings": "{}",
        "results_version": 1,
    }

    def run(**changed):
        found = columns | changed
        named = ("model", "dataset", "protocol", "recipe", "epochs", "train_images")
        run_id = "-".join(str(found[name]) for name in named)
        return {"run_id": re.sub(r"[^\w.-]", "-", f"{run_id}-seed{found['seed']}")} | found

    return run


@pytest.fixture
def local_files():
    """A function: the names of the rows' files on this machine."""
    from cnnlib import storage

    def names():
        folder = storage.results_folder() / "rows"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    return names


@pytest.fixture
def published_ledger(run, measured_folder):
    """data/measured/mnist.csv with two rows."""
    from cnnlab import ledger

    for seed in (0, 1):
        ledger.record(**run(seed=seed))
    ledger.publish()
    return measured_folder / "mnist.csv"


# Small archives in the layout of the Caltech sets, and a local host that serves files.
CLASSES = {
    "caltech101": {"BACKGROUND_Google": 31, "accordion": 33, "yin_yang": 31},
    "caltech256": {"001.ak47": 32, "056.dog": 12, "257.clutter": 31},
}


def jpeg(width, height, grey):
    content = io.BytesIO()
    PIL.Image.fromarray(np.full((height, width, 3), grey, np.uint8)).save(content, "JPEG")
    return content.getvalue()


def tar_of(folder, classes, file_name, strays=()):
    """The bytes of a tar file; image i of a class is 40 + i pixels wide, and of the grey 2 i."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        images = {
            f"{folder}/{c}/{file_name(c, i)}": jpeg(40 + i, 50, 2 * i)
            for c, n in classes.items()
            for i in range(1, n + 1)
        }
        for name, image in {**dict.fromkeys(strays, b"not an image of the set"), **images}.items():
            info = tarfile.TarInfo(name)
            info.size = len(image)
            tar.addfile(info, io.BytesIO(image))
    return content.getvalue()


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """Paths of a part of Caltech-101 (a tar.gz in a zip) and of Caltech-256 (a tar)."""
    import gzip

    folder = tmp_path_factory.mktemp("archives")
    inner = tar_of("101_ObjectCategories", CLASSES["caltech101"], lambda c, i: f"image_{i:04d}.jpg")
    paths = {
        "caltech101": folder / "caltech-101.zip",
        "caltech256": folder / "256_ObjectCategories.tar",
    }
    with zipfile.ZipFile(paths["caltech101"], "w") as archive:
        archive.writestr("caltech-101/101_ObjectCategories.tar.gz", gzip.compress(inner, 1))
        archive.writestr("__MACOSX/caltech-101/._101_ObjectCategories.tar.gz", b"stray")
    strays = (
        "256_ObjectCategories/198.spider/RENAME2",
        "256_ObjectCategories/056.dog/greg/vision309/056_0001.jpg",
    )
    tar = tar_of(
        "256_ObjectCategories", CLASSES["caltech256"], lambda c, i: f"{c[:3]}_{i:04d}.jpg", strays
    )
    paths["caltech256"].write_bytes(tar)
    return paths


@pytest.fixture(scope="session")
def prepared_archives(archives, tmp_path_factory):
    """A data folder with both sets, prepared in part from the small archives. Not to be changed."""
    from cnnlib.datasets import download

    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNLIB_DATA", str(folder))
        patch.setattr(download, "_check_archive", lambda *given: None)
        for name, path in archives.items():
            download.prepare(name, path)
    return folder


@pytest.fixture
def published(archives, monkeypatch):
    """The small archives pass for the published ones, with their digests and numbers of images."""
    import dataclasses

    from cnnlib.datasets import download
    from cnnlib.datasets.catalogue import CATALOGUE

    for name, path in archives.items():
        digest = ("sha256", hashlib.sha256(path.read_bytes()).hexdigest())
        monkeypatch.setitem(download.DIGESTS, name, [digest])
        train = sum(30 if n > 30 else n // 2 for n in CLASSES[name].values())
        info = dataclasses.replace(
            CATALOGUE[name], train_count=train, test_count=sum(CLASSES[name].values()) - train
        )
        monkeypatch.setitem(CATALOGUE, name, info)
    return archives


class Host(http.server.ThreadingHTTPServer):
    """Serves `files` ({"/path": bytes}); answers a Range; cuts a body after `cut_after` bytes."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.cut_after, self.ranges, self.requests = {}, None, [], []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200 if self.path in self.server.files else 404)
        self.end_headers()

    def do_GET(self):
        content = self.server.files[self.path]
        start, wanted = 0, self.headers.get("Range")
        self.server.requests.append(self.path)
        if wanted:
            self.server.ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.send_response(416 if start >= len(content) else 206 if wanted else 200)
        self.send_header("Content-Length", str(max(len(content) - start, 0)))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.cut_after])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def host(monkeypatch, archives):
    """A Host in the place of CaltechDATA, with both archives."""
    from cnnlib.datasets import download

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Host() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        for name, path in archives.items():
            server.files[f"/{path.name}"] = path.read_bytes()
            monkeypatch.setitem(download.ADDRESSES, name, [f"{server.address}/{path.name}"])
        yield server
        server.shutdown()
