"""What the notebooks share when they run as tests (`tests/conftest.py` does the same for the unit
tests)."""

import os
import re
import tempfile

import pytest


def pytest_configure(config):
    """The notebooks run on the data of the checkout, and write to a results folder of this test
    run: the recap reads what they wrote."""
    folder = tempfile.TemporaryDirectory(prefix="cnnlib-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    os.environ["CNNLIB_RESULTS"] = os.path.join(folder.name, "results")
    os.environ["CNNLIB_DATA"] = os.path.join(folder.name, "data")


def checks_an_answer(item):
    return hasattr(item, "cell") and re.search(r"\bcheck\w*\(", item.cell.source)


def knows_the_answer(item):
    return item.name.endswith("answered") or "solution" in item.cell.metadata.get("tags", [])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """At the end of a notebook, when its solutions have given the answers, its checks run again."""
    for notebook in dict.fromkeys(item.parent for item in items if hasattr(item, "cell")):
        cells = [item for item in items if item.parent is notebook]
        checks = [each for each in cells if checks_an_answer(each) and not knows_the_answer(each)]
        again = []
        for each in checks:
            own = {"cell_num": each.cell_num, "cell": each.cell, "options": each.options}
            again.append(type(each).from_parent(notebook, name=f"{each.name}, answered", **own))
        end = items.index(cells[-1]) + 1
        items[end:end] = again
        for item in cells + again:
            # nbval waits 5 seconds for the next output, and a busy machine takes longer.
            item.output_timeout = 120


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A check waits for an answer, and then takes that of the solution for right."""
    yield
    if checks_an_answer(item):
        printed = "".join(each.get("text", "") for each in item.test_outputs)
        assert ("Right" if knows_the_answer(item) else "No answer yet") in printed, printed
