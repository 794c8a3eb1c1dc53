"""Publishing: rows of this machine become rows of the ledger, data/measured/.

`python -m cnnlib results publish` does it, after the one who publishes has looked at them.
"""

from collections.abc import Iterable

from cnnlab import ledger, locks, manifest
from cnnlib import datasets, recipes
from cnnlib.errors import InputError, check_name
from cnnlib.results import history_files, prediction_files, rows

LARGEST_COURSE_NET = 1_000_000  # bytes; of larger ones the predictions are kept


def publish(
    run_ids: Iterable[str] | str | None = None, recipe: str | None = None
) -> tuple[list[str], list[str]]:
    """Move rows of this machine to data/measured/<data set>.csv, with all that belongs to them.

    With `run_ids`, exactly these rows. Otherwise those trained on the whole training set: by
    `recipe`, or by every recipe except the notebooks' default ones (quick) and changed ones
    (plain,epochs=3). Nets, predictions and histories are written first, then the table, and only
    then is a row's own file removed: a publication that stops in between can be repeated.

    Returns two lists of run_ids: (published, left). Raises InputError, and changes nothing, for an
    unknown run or recipe, a damaged row, or a run that the ledger has with another result.
    """
    if run_ids is not None and recipe is not None:
        raise InputError("publish takes run_ids or a recipe, not both")
    run_ids = [run_ids] if isinstance(run_ids, str) else None if run_ids is None else list(run_ids)
    with locks.of_data():
        local = rows.read_local()
        taken = _chosen(local, run_ids, recipe)
        tables = {name: rows.read_ledger(name) for name in {local[run]["dataset"] for run in taken}}
        for run in taken:
            there = tables[local[run]["dataset"]].setdefault(run, local[run])
            _check_same_result(local[run], there)
        for run in taken:
            _publish_net(local[run])
            _publish_predictions(local[run])
        for dataset, table in tables.items():
            runs = [run for run in taken if local[run]["dataset"] == dataset]
            _publish_histories(dataset, runs)
            ledger.write_ledger(dataset, table)
        for run in taken:
            rows.local_file(run).unlink()
            history_files.local_file(run).unlink(missing_ok=True)
            prediction_files.local_file(run).unlink(missing_ok=True)
    return taken, [run for run in local if run not in taken]


def _chosen(local, run_ids, recipe):
    """Return the run_ids that `publish` takes."""
    if run_ids is not None:
        return [check_name("run", run, local) for run in run_ids]
    if recipe is not None:
        check_name("recipe", recipe, {row["recipe"]: None for row in local.values()})
    return [run for run, row in local.items() if _is_published_by_default(row, recipe)]


def _is_published_by_default(row, recipe):
    if recipe is not None:
        wanted = row["recipe"] == recipe
    else:
        wanted = row["recipe"] not in recipes.NOTEBOOK_DEFAULTS and "," not in row["recipe"]
    return wanted and row["train_images"] >= datasets.info(row["dataset"]).train_count


def _check_same_result(here, there):
    if (there["metric"], there["value"]) != (here["metric"], here["value"]):
        run, file = here["run_id"], rows.ledger_file(here["dataset"])
        raise InputError(
            f"the run {run} has {here['metric']} {here['value']} here, and {there['metric']} "
            f"{there['value']} in the ledger. Find out why; then delete {rows.local_file(run)}, or "
            f"its line of {file}; publish again."
        )


def _publish_net(row):
    """Copy the trained net of a row to data/nets/ if it belongs to the course.

    These are nets of seed 0 for a row of the lecture that are small (LARGEST_COURSE_NET), with what
    the filters of a boosted one counted. A net trained anew takes the place of the old one.
    """
    from cnnlib.models import trained_path

    net = ledger.net_path(row["run_id"])
    is_wanted = row["seed"] == 0 and row["row_id"] and net.exists()
    if not is_wanted or net.stat().st_size > LARGEST_COURSE_NET:
        return
    target = trained_path(row["model"], row["recipe"])
    if net.with_suffix(".json").exists():
        counts = net.with_suffix(".json").read_bytes()
        manifest.write(target.with_suffix(".json"), counts)
    manifest.write(target, net.read_bytes())


def _publish_predictions(row):
    file = prediction_files.local_file(row["run_id"])
    if file.exists():
        target = prediction_files.published_file(row["dataset"], row["run_id"])
        manifest.write(target, file.read_bytes())


def _publish_histories(dataset, run_ids):
    """Copy the histories of these runs, where there are any, to the published file."""
    import pandas

    paths = [history_files.local_file(run) for run in run_ids]
    found = [history_files.read_file(path) for path in paths if path.exists()]
    if not found:
        return
    published = history_files.published_file(dataset)
    there = [history_files.read_file(published)] if published.exists() else []
    table = pandas.concat([*there, *found]).drop_duplicates(["run_id", "epoch"], keep="last")
    ledger.write_histories(published, table.sort_values(["run_id", "epoch"]))
