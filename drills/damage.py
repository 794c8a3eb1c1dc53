"""Damage the files of data/ in a copy of the checkout, and read them as the course does.

One bit is flipped, the end is cut off, the file is empty, longer or missing. The right outcome is
an error that names the file and its repair. A file that is read all the same is silently wrong.
"""

import functools
import gc
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter

import numpy as np
from PIL import Image

from cnnlib import datasets, digits, integrity, models, results, storage
from cnnlib.errors import Damaged, InputError
from cnnlib.models import trained
from drills import counted, outcome

ALL = list(integrity.digests())


def altered(content: bytes, draw: random.Random) -> bytes:
    """Return the content with one bit flipped or, one time in five, cut off somewhere."""
    if draw.random() < 0.2:
        return content[: draw.randrange(len(content))]
    changed = bytearray(content)
    changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def read(name: str) -> object:
    """Read a file of data/, given by its name there, as the course does."""
    path = pathlib.PurePosixPath(name)
    folder, stem = path.parts[0], path.stem
    if name == "SHA256SUMS":  # each line is about another file
        return [integrity.read_bytes(storage.DATA / each) for each in ALL]
    if name == "mnist.npz":
        return datasets.load("mnist", train_size=1, test_size=1)
    if folder == "samples":
        data_set = re.match(r"caltech\d+|cifar\d+|fashion_mnist", path.parts[1])[0]
        if "caltech" in data_set:
            return datasets.stream(data_set, sample=True, image_size=32)
        return datasets.load(data_set, sample=True)
    if folder == "class_names":
        vars(datasets.info(stem)).pop("class_names", None)  # what is kept of an earlier reading
        return datasets.info(stem).class_names
    if folder == "weights":
        return models.vgg16_weights()
    if folder == "nets":
        if ".weights" in name:
            return results.float16_nets(), models.load_trained("cifar10/fast", "fast-bfloat16-12")
        return trained.load(storage.DATA / name)
    if folder == "published":
        return results.keras_applications() if "keras" in stem else results.published(stem)
    if name == "measured/costs.csv":
        return results.costs()
    if "histories" in path.parts:
        return results.read_history(storage.DATA / name)
    if "predictions" in path.parts:
        return results.predictions(stem)
    assert folder == "measured", f"who reads data/{name}?"
    return results.measured(stem, local=False)


def drill(count: int) -> tuple[str, bool]:
    """Damage files of data/ one after the other, `count` times, in a copy of the checkout."""
    with tempfile.TemporaryDirectory(prefix="drill-") as temporary:
        folder = pathlib.Path(temporary)
        for name in ("cnnlib", "drills", "data"):
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(storage.ROOT / name, folder / name, ignore=skipped)
        shutil.copy(storage.ROOT / "pyproject.toml", folder)
        own = {"PYTHONPATH": str(folder), "CNNLIB_RESULTS": str(folder / "results")}
        command = [sys.executable, "-m", "drills.damage", str(count)]
        done = subprocess.run(
            command, cwd=folder, env=os.environ | own, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return counted(Counter(json.loads(done.stdout.splitlines()[-1])), ("refused",))


def _in_the_copy(count: int) -> Counter:
    draw, found = random.Random(0), Counter()
    names = ["SHA256SUMS", *integrity.digests()]
    alike = [name for name in names if "caltech" in name or "predictions" in name]
    names = [name for name in names if name not in alike] + draw.sample(alike, 10)
    for i in range(count):
        name = names[i % len(names)]
        path = storage.DATA / name
        before = path.read_bytes()
        damaged = altered(before, draw)
        changed = draw.choice([damaged, damaged, b"", before + b"+", None])
        path.unlink() if changed is None else path.write_bytes(changed)
        for each in gc.get_objects():
            if isinstance(each, functools._lru_cache_wrapper) and each.__module__.startswith("cnn"):
                each.cache_clear()
        try:
            read(name)
            outcome = f"silently wrong: {name}"
        except (Damaged, InputError) as error:
            is_clear = name in str(error) and "git checkout data/" in str(error)
            outcome = "refused" if is_clear else f"unclear: {error}"
        except Exception as error:
            outcome = f"{type(error).__name__}: {name}"
        found[outcome] += 1
        path.write_bytes(before)
    return found


def damaged_pictures(count: int) -> tuple[str, bool]:
    """Hand damaged picture files to `digits.read_picture`."""
    draw, found = random.Random(0), Counter()
    page = np.full((200, 160), 235, np.uint8)
    page[40:160, 70:90] = 20
    with tempfile.TemporaryDirectory(prefix="drill-") as temporary:
        path = pathlib.Path(temporary) / "picture"
        contents = []
        for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"):
            Image.fromarray(page).save(path, kind)
            contents.append(path.read_bytes())
        for _ in range(count):
            path.write_bytes(altered(draw.choice(contents), draw))
            found[outcome(digits.read_picture, path)] += 1
    return counted(found, ("refused", "accepted"))


if __name__ == "__main__":
    print(json.dumps(_in_the_copy(int(sys.argv[1]))))
