"""The command line: python -m cnnlib. Nothing heavy is imported until a command needs it."""

import contextlib
import errno
import io
import os
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

import click

from cnnlib import __version__, storage
from cnnlib.errors import InputError

KEPT = " What is complete is kept, each epoch of a training: the same command goes on from there."
SEED = click.IntRange(0, 2**32 - 1)


class Commands(click.Group):
    """Commands in the order of their definition; an expected error is shown as a message."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of their definition."""
        return list(self.commands)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command, on a terminal of any encoding and with figures that need no window."""
        os.environ["MPLBACKEND"] = "Agg"
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError):  # it is closed
                if isinstance(stream, io.TextIOWrapper):
                    stream.reconfigure(errors="backslashreplace")
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            kept = ctx.find_root().invoked_subcommand in ("train", "batch", "transfer", "data")
            click.echo(f"Stopped.{KEPT if kept else ''}", err=True)
            ctx.exit(130)
        except (InputError, OSError, RuntimeError) as error:
            message, code = _expected(error)
            if message is None or ctx.find_root().params.get("traceback"):
                raise
            click.echo(f"Error: {message}", err=True)
            ctx.exit(code)


def _expected(error: BaseException) -> tuple[str | None, int]:
    """(message, exit code) of an error that the user can put right; (None, 1) of any other."""
    from cnnlab.notebooks import NotebookError
    from cnnlib.datasets import Unavailable

    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}", 2
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return f"{error.strerror}: make room, then run the same command again", 2
    if isinstance(error, InputError | Unavailable):
        return str(error), 2
    return str(error) if isinstance(error, NotebookError) else None, 1


def folder_option(text: str) -> Any:
    """Return the option -o, --folder, with this help."""
    return click.option("-o", "--folder", type=click.Path(file_okay=False), help=text)


def examples(*commands: str) -> str:
    """Return the examples under a command's help, each on a line of its own."""
    return "\n".join(["\b", "Examples:", *(f"  python -m cnnlib {each}" for each in commands)])


def one_of(names: str) -> Callable[..., list[str]]:
    """Return what completes a name in a shell: those that a function lists."""

    def complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[str]:
        return [name for name in pkgutil.resolve_name(names)() if name.startswith(typed)]

    return complete


def start(text: str) -> None:
    """Say what begins before Keras is loaded, which takes seconds."""
    from cnnlib import backend

    click.echo(f"{text} ...", err=True)
    backend.load_keras()


NET, DATASET = one_of("cnnlib.registry:names"), one_of("cnnlib.datasets:names")
NOTEBOOK, RECIPE = one_of("cnnlab.notebooks:names"), one_of("cnnlib.recipes:recipe_names")
AT_LEAST_1 = click.IntRange(min=1)
SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}


@click.group(cls=Commands, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="cnnlib")
@click.option("--traceback", is_flag=True, help="Show where an error came from.")
def cli(traceback: bool) -> None:
    """Train, measure and compare the nets of the course on CNN image classification."""


@cli.command("course", epilog=examples("course", "course 02 04 -o report"))
@click.argument("notebooks", nargs=-1, shell_complete=NOTEBOOK)
@folder_option("Write the report there.  [default: results/course]")
def course(notebooks: tuple[str, ...], folder: str | None) -> None:
    """Run all notebooks, or those named, and write a report."""
    from cnnlab import course

    if course.run(notebooks, folder):
        raise SystemExit(1)


@cli.command("run", epilog=examples("run 04_lenet1 -p epochs 20 -o long.ipynb"))
@click.argument("notebook", shell_complete=NOTEBOOK)
@click.option("-p", "values", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter.")
@click.option("-f", "file", type=click.Path(), help="Read parameters from a YAML file; -p wins.")
@click.option("-o", "output", type=click.Path(dir_okay=False), help="Write the notebook there.")
def run(
    notebook: str, values: tuple[tuple[str, str], ...], file: str | None, output: str | None
) -> None:
    """Run one notebook with other parameters."""
    from cnnlab import notebooks

    defaults = {p.name: p.default for p in notebooks.parameters(notebook)}
    parameters = notebooks.read_values(file) if file else {}
    given = [name for name, _ in values]
    if twice := [name for name in given if given.count(name) > 1]:
        raise InputError(f"the parameter {twice[0]} is given twice")
    parameters |= {name: notebooks.parse(text, defaults.get(name)) for name, text in values}
    click.echo(f"Executed notebook: {notebooks.run(notebook, parameters, output)}")


@cli.group("notebooks", cls=Commands)
def notebooks() -> None:
    """Copy the notebooks: to work in, for students, for teachers."""


@notebooks.command("copy", epilog=examples("notebooks copy"))
@folder_option("Copy them there.  [default: work/ beside notebooks/]")
def notebooks_copy(folder: str | None) -> None:
    """Copy the notebooks that the folder does not have yet, to work in the copies."""
    from cnnlab import editions

    copied, kept = editions.copy_for_work(folder)
    where = folder or editions.WORK
    if kept:
        click.echo(f"Kept as they are in {where}: {', '.join(kept)}")
    click.echo(f"Copied to {where}: {', '.join(copied) or 'none'}")


@notebooks.command("student", epilog=examples("notebooks student -o students"))
@click.option("-o", "--folder", required=True, type=click.Path(file_okay=False))
def notebooks_student(folder: str) -> None:
    """Write the notebooks without their solutions."""
    from cnnlab import editions

    click.echo("\n".join(map(str, editions.write(folder, editions.without_solutions))))


@notebooks.command("teacher", epilog=examples("notebooks teacher -o teachers"))
@click.option("-o", "--folder", required=True, type=click.Path(file_okay=False))
def notebooks_teacher(folder: str) -> None:
    """Write the notebooks with their solutions in the answer cells."""
    from cnnlab import editions

    click.echo("\n".join(map(str, editions.write(folder, editions.with_answers))))


@cli.command("train", epilog=examples("train lenet-5 mnist --recipe plain,epochs=3 --seed 1"))
@click.argument("model", shell_complete=NET)
@click.argument("dataset", shell_complete=DATASET)
@click.option("--recipe", default="plain", help="Train by this recipe.", shell_complete=RECIPE)
@click.option("--seed", type=SEED, default=0, help="Decide first weights and order of images.")
@click.option("--train-size", type=AT_LEAST_1, help="Train on so many images.  [default: all]")
@click.option("--again", is_flag=True, help="Train it although the results have it.")
def train(
    model: str, dataset: str, recipe: str, seed: int, train_size: int | None, again: bool
) -> None:
    """Train one net, test it once, record the row."""
    from cnnlab import experiment
    from cnnlib import results

    run = experiment.plan(model, dataset, recipe, seed, train_size)["run_id"]
    known = not again and experiment.find(run) is not None
    if not known:
        start(f"Training {model} on {dataset} by {recipe}, seed {seed}")
    row = experiment.train_row(model, dataset, recipe, seed, train_size=train_size, again=again)
    note = " (already in the results: --again trains it anew)" if known else ""
    measure = row["metric"].removesuffix("_percent").replace("_", " ")
    click.echo(
        f"{model} {dataset} {row['recipe']} seed {seed}: {row['value']:.2f} % {measure} "
        f"in {row['train_seconds']:.0f} s{note}"
    )
    run = row["run_id"]
    local, net = results.local_file(run), results.local_file(run, "nets")
    click.echo(f"Row: {local if local.exists() else f'{results.ledger_file(dataset)} ({run})'}")
    if net.exists():
        click.echo(f"Net: {net}")


@cli.command("predict", epilog=examples("predict lenet-5 my_seven.png"))
@click.argument("model", shell_complete=NET)
@click.argument("images", nargs=-1, required=True, type=click.Path())
@click.option("--invert/--no-invert", default=None, help="Say if the ink is dark.")
def predict(model: str, images: tuple[str, ...], invert: bool) -> None:
    """Show what a trained net reads in pictures of digits: files or folders."""
    from cnnlib import digits

    start(f"Asking {model}")
    text, bad = digits.describe(model, images, invert)
    click.echo(text)
    for message in bad:
        click.echo(f"Error: {message}", err=True)
    if bad:
        raise SystemExit(1)


@cli.group("batch", cls=Commands)
def batch() -> None:
    """Run many trainings and notebooks from a file."""


@batch.command("plan", epilog=examples("batch plan batches/mnist.yaml"))
@click.argument("file", type=click.Path())
def batch_plan(file: str) -> None:
    """Check a batch file and list its runs, their ids and how long they may take."""
    from cnnlab import batch

    click.echo(batch.plan_text(file))


@batch.command("run", epilog=examples("batch run batches/mnist.yaml --workers 2"))
@click.argument("file", type=click.Path())
@click.option("--scheduler", metavar="ADDRESS", help="Use the Dask cluster there: tcp://host:8786.")
@click.option("--workers", type=AT_LEAST_1, help="So many runs at a time.  [default: one a core]")
@click.option("--threads", type=AT_LEAST_1, help="Threads of each run.  [default: an equal part]")
@click.option("--copy-to", "copies", metavar="PLACE", help="Copy notebooks there: s3://...")
@click.option("--retries", type=click.IntRange(0), default=2, help="Start a killed run again.")
def batch_run(file: str, **options: Any) -> None:
    """Run what is not in the results yet."""
    from cnnlab import batch

    if options["scheduler"] and options["workers"]:
        raise click.UsageError("--workers is for this machine: a cluster's have --nworkers")
    failed = batch.run(file, **options)
    if failed:
        click.echo(f"{len(failed)} failed: {', '.join(map(str, failed))}", err=True)
        raise SystemExit(1)


@batch.command("status", epilog=examples("batch status batches/mnist.yaml"))
@click.argument("file", type=click.Path())
def batch_status(file: str) -> None:
    """Show which runs are done, running or failed."""
    from cnnlab import batch

    click.echo(batch.status_text(file))


@batch.command("report", epilog=examples("batch report batches/mnist.yaml"))
@click.argument("file", type=click.Path())
@folder_option("Write the page there.  [default: results/batch]")
def batch_report(file: str, folder: str | None) -> None:
    """Write a page that links the executed notebooks and shows what failed."""
    from cnnlab import batch

    page = batch.write(file, folder)
    click.echo(f"{batch.status_text(file)}\nReport: {page}")


@cli.group("transfer", cls=Commands)
def transfer() -> None:
    """Prepare transfer learning with VGG16; `train vgg16` makes a row."""


@transfer.command("features", epilog=examples("transfer features cifar10 --image-size 64"))
@click.argument("dataset", shell_complete=DATASET)
@click.option("--image-size", type=click.IntRange(32), default=32, help="Side in pixels.")
@click.option("--train-size", type=AT_LEAST_1, help="Take so many training images.  [default: all]")
def transfer_features(dataset: str, image_size: int, train_size: int | None) -> None:
    """Compute and keep the features of frozen VGG16, resumably."""
    start(f"Features of {dataset}")
    from cnnlab import feature_cache

    for split, seen in feature_cache.features_of(dataset, image_size, train_size).items():
        click.echo(f"{split}: {len(seen.array):,} images, {seen.seconds:.0f} s")


@cli.group("results", cls=Commands)
def results() -> None:
    """Show and publish what was measured."""


@results.command("show", epilog=examples("results show", "results show cifar10"))
@click.argument("benchmark", default="mnist", shell_complete=DATASET)
def results_show(benchmark: str) -> None:
    """Show the lecture's results beside those measured here."""
    from cnnlab import results_listing

    click.echo(results_listing.text(benchmark))


@results.command("publish", epilog=examples("results publish --recipe plain"))
@click.argument("run_ids", nargs=-1)
@click.option("--recipe", help="Publish the rows of this recipe.", shell_complete=RECIPE)
def results_publish(run_ids: tuple[str, ...], recipe: str) -> None:
    """Move rows of this machine into data/measured/, and nets into data/nets/."""
    from cnnlab import ledger

    taken, left = ledger.publish(run_ids, recipe)
    click.echo("\n".join([*taken, f"{len(taken)} rows published, {len(left)} rows left"]))


@results.command("remove", epilog=examples("results remove RUN_ID"))
@click.argument("run_ids", nargs=-1, required=True)
def results_remove(run_ids: tuple[str, ...]) -> None:
    """Delete rows of this machine, with their nets, histories and predictions."""
    from cnnlab import ledger

    removed = ledger.remove(run_ids)
    click.echo("\n".join(["Deleted:", *map(str, removed)]))


@results.command("verify", epilog=examples("results verify", "results verify RUN_ID"))
@click.argument("run_ids", nargs=-1)
def results_verify(run_ids: tuple[str, ...]) -> None:
    """Train rows again and compare them; without rows, a quick one."""
    from cnnlab import verify

    outcomes = []
    for report in verify.verify(run_ids):
        click.echo(report.text)
        outcomes.append(report.outcome)
    if verify.DIFFERS in outcomes:
        raise SystemExit(1)


@results.command("readme", epilog=examples("results readme --check"))
@click.option("--check", is_flag=True, help="Only say if it is up to date; exit code 1 if not.")
def results_readme(check: bool) -> None:
    """Write the published rows into README's table."""
    from cnnlab import readme

    changed = readme.update_readme(check=check)
    status = ("out of date" if check else "rewritten") if changed else "up to date"
    click.echo(f"README.md is {status}")
    if changed and check:
        raise SystemExit(1)


@cli.command("models", epilog=examples("models"))
def models() -> None:
    """List the nets that can be trained."""
    from cnnlib import registry

    for net in map(registry.net, registry.names()):
        click.echo(f"{net.name:27} input {net.input_format:9} {net.about}")


@cli.command("datasets", epilog=examples("datasets"))
def datasets() -> None:
    """List the data sets."""
    from cnnlib.datasets.catalogue import CATALOGUE

    for info in CATALOGUE.values():
        shape = "x".join(map(str, info.image_shape)) if info.image_shape else "of many sizes"
        click.echo(
            f"{info.name:15} {info.train_count:,} + {info.test_count:,} images {shape}, "
            f"{len(info.class_names)} classes ({info.title})"
        )


@cli.group("data", cls=Commands)
def data() -> None:
    """Prepare data sets ahead, carry them to other machines, list them."""


@data.command("fetch", epilog=examples("data fetch cifar10 cifar100"))
@click.argument("names", nargs=-1, required=True, shell_complete=DATASET)
@click.option("--archive", type=click.Path(dir_okay=False), help="Take this Caltech archive.")
def data_fetch(names: tuple[str, ...], archive: str | None) -> None:
    """Download and prepare data sets; an interrupted download continues."""
    from cnnlab import fetch

    if failed := fetch.fetch(names, archive):
        click.echo(f"{len(failed)} of {len(names)} failed: {', '.join(failed)}", err=True)
        raise SystemExit(1)


@data.command("bundle", epilog=examples("data bundle cifar10 -o course.zip"))
@click.argument("names", nargs=-1, required=True, shell_complete=DATASET)
@click.option("-o", "output", required=True, type=click.Path(dir_okay=False), help="The bundle.")
def data_bundle(names: tuple[str, ...], output: str) -> None:
    """Pack prepared data sets into one zip."""
    from cnnlab import bundle

    packed = bundle.pack(names, output)
    click.echo(
        f"{output}: {len(packed)} files. On the other machine: "
        f"python -m cnnlib data unpack {output}"
    )


@data.command("unpack", epilog=examples("data unpack course.zip"))
@click.argument("file", type=click.Path(dir_okay=False))
def data_unpack(file: str) -> None:
    """Verify a bundle and install what is in it."""
    from cnnlab import bundle

    click.echo("\n".join(bundle.unpack(file)))


@data.command("list", epilog=examples("data list"))
def data_list() -> None:
    """Show what of each data set is on this machine."""
    from cnnlab import fetch

    click.echo(fetch.table())


@cli.command("site", epilog=examples("site"))
@folder_option("Write the site there.  [default: site/ in the checkout]")
def site(folder: str | None) -> None:
    """Build the course as a web site that opens without a network."""
    start("Building the site")
    from cnnlab import site

    click.echo(f"Site: {site.build_site(folder)}")


@cli.command("draw", epilog=examples("draw"))
@click.option("-o", "--output", "folder", help="Folder of the page.  [default: results/draw]")
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser.")
def draw(folder: str | None, browser: bool) -> None:
    """Open a page on which you draw a digit and nets of the course answer."""
    import webbrowser

    start("Preparing the page")
    from cnnlab import output_paths
    from cnnlab.site import draw_page

    target = output_paths.output_folder(folder or storage.results_folder() / "draw")
    page = draw_page.write_page(target).resolve()
    click.echo(f"Page: {page}")
    if browser and not webbrowser.open(page.as_uri()):
        click.echo("No browser was found: open the page by hand.")


@cli.command("clean", epilog=examples("clean --dry-run"))
@click.option("--checkpoints", is_flag=True, help="Also those of trainings that are not complete.")
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be removed.")
def clean(checkpoints: bool, dry_run: bool) -> None:
    """Remove what killed runs left behind, and show what it was."""
    from cnnlab import leftovers

    total = 0
    for path, reason in leftovers.find(checkpoints).items():
        size = leftovers.size(path)
        total += size
        click.echo(f"{path}  ({reason}, {size / 1e6:.1f} MB)")
        if not dry_run:
            storage.remove(path)
    click.echo(f"{total / 1e6:.1f} MB {'would be removed' if dry_run else 'removed'}")


@cli.command("recipes", epilog=examples("recipes"))
def recipes() -> None:
    """List the recipes by which nets are trained."""
    from cnnlib import recipes

    for name in recipes.recipe_names():
        click.echo(f"{name:15} {recipes.recipe(name).about}")
