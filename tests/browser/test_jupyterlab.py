"""Notebook 04 in JupyterLab, from top to bottom by Run All, as a learner does it."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import pytest

from cnnlab import editions

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path, free_port):
    """The address of a JupyterLab that shows the students' notebooks, 04 without outputs."""
    work = tmp_path / "work"
    editions.write(work, editions.without_solutions)
    nb = nbformat.read(work / "04_lenet1.ipynb", 4)
    for cell in nb.cells:  # so that what is there afterwards was made by this run
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += "\ntrain_size, epochs = 1000, 1"
    nbformat.write(nb, work / "04_lenet1.ipynb")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={free_port}", "--IdentityProvider.token=", "--expose-app-in-browser"]
    own = ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_WORKSPACES_DIR")  # not those of whoever runs the tests
    environment = os.environ | {name: str(tmp_path / name) for name in own}
    server = subprocess.Popen([*command, str(work)], env=environment, stderr=subprocess.DEVNULL)
    address = f"http://localhost:{free_port}/lab"
    for _ in range(120):
        try:
            urllib.request.urlopen(address).close()
            break
        except urllib.error.URLError:
            time.sleep(0.5)
    yield address
    server.terminate()
    server.wait(30)


PANEL = "[...window.jupyterapp.shell.widgets('main')].find(w => w.content?.model?.cells)"


def test_notebook_04_runs_to_its_end(tab, lab):
    tab.screen()
    tab.open(f"{lab}/tree/04_lenet1.ipynb")
    tab.wait(".jp-NotebookPanel-notebook .jp-CodeCell")
    for _ in range(240):
        if tab.run(f"return {PANEL}?.sessionContext?.session?.kernel?.status") == "idle":
            break
        time.sleep(0.5)
    tab.run(
        "window.jupyterapp.commands.execute('notebook:run-all-cells')"
        ".then(() => window.outcome = 'done', error => window.outcome = String(error))"
    )
    for _ in range(900):  # the driver's connection gives up an answer after two minutes
        if outcome := tab.run("return window.outcome"):
            break
        time.sleep(1)
    assert outcome == "done"
    cells = tab.run(
        f"return Array.from({PANEL}.content.model.cells).filter(cell => cell.type === 'code')"
        ".map(cell => [cell.executionCount, cell.outputs.toJSON().map(o => o.output_type)])"
    )
    assert [count for count, _ in cells] == list(range(1, len(cells) + 1))
    assert len(cells) > 30 and not [kinds for _, kinds in cells if "error" in kinds]
