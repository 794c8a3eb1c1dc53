"""Errors in a notebook: a cell that was run too early, and a training that was stopped."""

import re
import threading

import pytest
from jupyter_client.manager import start_new_kernel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kernel():
    """A function that runs a cell in a kernel and returns its error."""
    manager, client = start_new_kernel()

    def run(source, stop_after=None):
        lines = []

        def hear(message):
            lines.extend(message["content"].get("traceback", []))

        if stop_after:
            threading.Timer(stop_after, manager.interrupt_kernel).start()
        reply = client.execute_interactive(source, output_hook=hear, timeout=120)["content"]
        assert (reply["status"] == "error") == bool(lines)
        return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))

    run("import cnnlib")
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_cell_that_was_run_too_early_says_what_to_run_first(kernel):
    text = kernel("labels + 1")
    assert "NameError: name 'labels' is not defined" in text
    assert "If a cell above makes `labels`" in text and "Run All Above" in text


def test_a_cell_that_was_stopped_says_so_in_a_line(kernel):
    text = kernel("import time\nfor _ in range(600): time.sleep(0.1)", stop_after=1.5)
    assert text.splitlines() == [
        "KeyboardInterrupt: stopped. What this cell computes is not complete."
    ]
    assert kernel("1 + 1") == ""
