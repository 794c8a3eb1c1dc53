"""Damage the files of data/ in a copy of the checkout, and read them as the course does.

In each, one bit is flipped or, one time in five, the end is cut off. The right outcome is an error
that names the file and its repair, Damaged. A value that is read all the same is silently wrong.
"""

import functools
import gc
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from cnnlib import datasets, digits, integrity, models, results, storage
from cnnlib.errors import Damaged, InputError

LINKED = ("mnist.npz", "weights")  # large: the copy has links to them, and they are left alone


def altered(content: bytes, draw: random.Random) -> bytes:
    """Return the content with one bit flipped, or cut off somewhere."""
    if draw.random() < 0.2:
        return content[: draw.randrange(len(content))]
    changed = bytearray(content)
    changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def readers() -> dict[str, Callable[[], Any]]:
    """Return for each file of data/, by its name there, what of the course reads it."""
    found: dict[str, Callable[[], Any]] = {
        "SHA256SUMS": lambda: [integrity.read_bytes(storage.DATA / n) for n in integrity.digests()],
        "published/keras_applications.csv": results.keras_applications,
        "measured/costs.csv": results.costs,
    }
    for name in ("cifar100", "imagenet", "caltech101", "caltech256"):
        found[f"class_names/{name}.txt"] = lambda name=name: datasets.info(name).class_names
    for name in ("mnist", "cifar10"):
        found[f"published/{name}.csv"] = lambda name=name: results.published(name)
        found[f"measured/{name}.csv"] = lambda name=name: results.measured(name, local=False)
        found[f"measured/histories/{name}.csv"] = lambda name=name: results.histories(name)
        for path in (storage.DATA / "measured" / "predictions" / name).glob("*.npz"):
            read = functools.partial(results.predictions, path.stem)
            found[f"measured/predictions/{name}/{path.name}"] = read
    for model, recipe in models.trained_nets():
        read = functools.partial(models.load_trained, model, recipe)
        found[f"nets/{models.trained_path(model, recipe).name}"] = read
    for name, files in {
        "fashion_mnist": ["fashion_mnist.npz"],
        "cifar100": ["cifar100.npz"],
        "cifar10": ["cifar10_train.webp", "cifar10_test.webp"],
    }.items():
        for file in files:
            read = functools.partial(datasets.load, name, sample=True)
            found[f"samples/{file}"] = read
    return found


def damaged_files(count: int, seed: int = 0) -> Counter:
    """Return how often damage of a file in data/ was refused, harmless or silently wrong, ..."""
    with tempfile.TemporaryDirectory(prefix="drill-") as temporary:
        folder = pathlib.Path(temporary)
        for name in ("cnnlib", "drills", "notebooks"):
            skipped = shutil.ignore_patterns("__pycache__", "*.ipynb")
            shutil.copytree(storage.ROOT / name, folder / name, ignore=skipped)
        (folder / "data").mkdir()
        for path in storage.DATA.iterdir():
            if path.name in LINKED:
                (folder / "data" / path.name).symlink_to(path)
            elif path.is_dir():
                shutil.copytree(path, folder / "data" / path.name)
            else:
                shutil.copy(path, folder / "data")
        shutil.copy(storage.ROOT / "pyproject.toml", folder)
        command = [sys.executable, "-m", "drills.damage", str(count), str(seed)]
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder), "CNNLIB_RESULTS": str(folder / "results")},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return Counter(json.loads(done.stdout.splitlines()[-1]))


def _in_the_copy(count: int, seed: int) -> Counter:
    draw, found = random.Random(seed), Counter()
    table = readers()
    names = sorted(table)
    for _ in range(count):
        name = draw.choice(names)
        path = storage.DATA / name
        before = path.read_bytes()
        path.write_bytes(altered(before, draw))
        for each in gc.get_objects():
            if isinstance(each, functools._lru_cache_wrapper) and each.__module__.startswith("cnn"):
                each.cache_clear()
        try:
            table[name]()
            outcome = "harmless" if path.read_bytes() == before else f"silently wrong: {name}"
        except (Damaged, InputError):
            outcome = "refused"
        except Exception as error:
            outcome = f"{type(error).__name__}: {name}"
        found[outcome] += 1
        path.write_bytes(before)
    return found


def damaged_pictures(count: int, seed: int = 0) -> Counter:
    """Return what `digits.read_picture` makes of picture files that are damaged."""
    draw, found = random.Random(seed), Counter()
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
            try:
                digits.read_picture(path)
                outcome = "read"
            except InputError:
                outcome = "refused"
            except Exception as error:
                outcome = f"{type(error).__name__}: {error}"[:80]
            found[outcome] += 1
    return found


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    print(json.dumps(_in_the_copy(int(sys.argv[1]), int(sys.argv[2]))))
