"""Put the weights of a trained net into data/nets/ in float16, and test exactly these weights.

    python benchmarks/ship_net.py RUN_ID

RUN_ID is a row on all images whose net this machine has, in results/nets/. It writes
data/nets/MODEL-RECIPE.weights.npz, which `models.load_trained` reads, beside it a JSON file with
the accuracy of the net that this returns, on all test images by the recipe's test views, and
README's results. It needs the whole data set, and for cifar10/fast two minutes.
"""

import datetime
import json
import sys

import numpy as np

from cnnlab import environment, manifest, readme
from cnnlib import backend, datasets, recipes, results
from cnnlib.errors import check_name


def main() -> None:
    rows = results.rows()
    row = rows[check_name("run", sys.argv[1], rows)]
    commit = environment.commit()
    backend.load_keras()
    from cnnlib import models, preprocessing, training

    name, recipe = row["model"], recipes.recipe(row["recipe"])
    net = models.load(results.local_file(row["run_id"], "nets"))
    path = models.trained.FOLDER / f"{name.replace('/', '-')}-{recipe.name}.weights.npz"
    manifest.write(path, models.trained.half_precision(net))
    test = datasets.load(row["dataset"]).test
    images = preprocessing.prepare_for(name, recipe, test.images)
    net = models.load_trained(name, recipe.name)
    found = training.predict(net, images, views=recipe.test_views).argmax(axis=1)
    record = {key: row[key] for key in ("run_id", "model", "dataset", "recipe")} | {
        "test_images": len(test.labels),
        "test_accuracy_percent": round(100 * float(np.mean(found == test.labels)), 10),
        "commit": commit,
        "device": environment.device(),
        "versions": environment.versions(),
        "date": datetime.datetime.now(datetime.UTC).strftime(results.DATE),
    }
    manifest.write(path.with_suffix(".json"), json.dumps(record, indent=2) + "\n")
    own = results.predictions(row["run_id"])
    changed = "" if own is None else f", {int((own != found).sum())} answers unlike the row's"
    print(f"{path}: {path.stat().st_size:,} bytes")
    print(f"{record['test_accuracy_percent']:.2f} %, the row {row['value']:.2f} %{changed}")
    readme.update_readme()


if __name__ == "__main__":
    main()
