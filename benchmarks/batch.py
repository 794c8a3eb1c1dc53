"""Batches: what they cost, and what two workers bring.

    python benchmarks/batch.py                  all of it: about 25 minutes on two idle cores
    python benchmarks/batch.py --runs 10 --rounds 2

Contenders take turns (A B A B), and the ratios count. - throughput: the same short runs with one
worker and with two, one thread each. - overhead: a run of a batch beside `papermill` on the command
line, with the same notebook. - plan: 1,000 planned runs: `batch plan`, `batch status`, and the time
until a resumed command starts its first run."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

# A second or so of pure computation in one thread, as a small training would need it.
WORK = "total = 0\nfor i in range({steps}):\n    total += i * i % 7\nprint(total, seed)"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--steps", type=int, default=20_000_000, help="of the loop in a run: about two seconds"
    )
    parser.add_argument("--only", choices=["throughput", "overhead", "plan"])
    arguments = parser.parse_args()
    print(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="batch-benchmark-") as folder:
        folder = pathlib.Path(folder)
        write_notebook(folder / "net.ipynb", WORK.format(steps=arguments.steps))
        write_notebook(folder / "empty.ipynb", "print(seed)")
        for measure in (throughput, overhead, plan):
            if arguments.only in (None, measure.__name__):
                measure(folder, arguments)


def write_notebook(path, source):
    cells = [
        {
            "cell_type": "code",
            "id": f"c{i}",
            "source": text,
            "metadata": {"tags": tags},
            "outputs": [],
            "execution_count": None,
        }
        for i, (text, tags) in enumerate([("seed = 0  # of the run", ["parameters"]), (source, [])])
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(
        json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})
    )


def seconds_of(command, results=None):
    environment = os.environ | ({"CNNLIB_RESULTS": str(results)} if results else {})
    start = time.perf_counter()
    subprocess.run(
        command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def batch(folder, notebook, runs):
    file = folder / f"{pathlib.Path(notebook).stem}.yaml"
    file.write_text(
        f"- notebook: {{path: {notebook}, grid: {{seed: {list(range(1, runs + 1))}}}}}\n"
    )
    return [sys.executable, "-m", "cnnlib", "batch", "run", str(file), "--threads", "1"]


def throughput(folder, arguments):
    ratios = []
    for round in range(arguments.rounds):
        command = batch(folder, "net.ipynb", arguments.runs)
        one, two = (
            seconds_of(
                [*command, "--workers", str(workers)], folder / f"throughput-{round}-{workers}"
            )
            for workers in (1, 2)
        )
        ratios.append(one / two)
        print(
            f"throughput: {arguments.runs} runs: one worker {one:.1f} s, two {two:.1f} s: "
            f"{one / two:.2f} times",
            flush=True,
        )
    print(f"throughput: median {statistics.median(ratios):.2f} times")


def overhead(folder, arguments):
    runs = 5
    differences = []
    for round in range(2 * arguments.rounds):
        plain = [
            seconds_of(
                [
                    sys.executable,
                    "-m",
                    "papermill",
                    str(folder / "empty.ipynb"),
                    str(folder / "out.ipynb"),
                    "-p",
                    "seed",
                    str(i),
                ]
            )
            for i in range(runs)
        ]
        command = batch(folder, "empty.ipynb", runs)
        results = folder / f"overhead-{round}"
        whole = seconds_of([*command, "--workers", "1"], results)
        each = [
            json.loads(path.read_text())["seconds"] for path in (results / "batch").glob("*.json")
        ]
        differences.append(statistics.median(each) - statistics.median(plain))
        print(
            f"overhead: papermill {statistics.median(plain):.2f} s, a run of a batch "
            f"{statistics.median(each):.2f} s; "
            f"the command as a whole {whole - sum(each):.1f} s beyond its runs",
            flush=True,
        )
    print(f"overhead: median {statistics.median(differences):+.2f} s a run")


def plan(folder, arguments):
    runs = 1000
    run = batch(folder, "empty.ipynb", runs)
    file, results = run[5], folder / "plan"
    command = [sys.executable, "-m", "cnnlib", "batch"]
    taken = {
        name: [seconds_of([*command, name, file], results) for _ in range(3)]
        for name in ("plan", "status")
    }
    environment, firsts = os.environ | {"CNNLIB_RESULTS": str(results)}, []
    for _ in range(3):
        for log in (results / "logs").glob("*.log"):
            log.unlink()
        start = time.perf_counter()
        process = subprocess.Popen(
            run, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not list((results / "logs").glob("*.log")):
            time.sleep(0.02)
        firsts.append(time.perf_counter() - start)
        process.kill()
        process.wait()
    for name, seconds in {**taken, "first run of a resumed command": firsts}.items():
        print(
            f"plan: {runs} runs, {name}: {statistics.median(seconds):.2f} s; from "
            f"{min(seconds):.2f} to {max(seconds):.2f}"
        )


if __name__ == "__main__":
    main()
