"""What `batch run` prints: a line for each run that ended, and in a terminal one that says how far
it is."""

import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

from cnnlab.batch import durations, records
from cnnlab.batch.runs import Run


class Progress:
    """Counts the runs that ended and prints them."""

    def __init__(self, runs: Sequence[Run], slots: int, dashboard: str, already: int):
        """Print how many runs there are.

        Args:
            runs: the runs to do.
            slots: how many are done at a time.
            dashboard: the address of Dask's dashboard.
            already: how many runs of the batch were done before.
        """
        self.total, self.count, self.failures, self.slots = len(runs), 0, 0, slots
        self.left = durations.minutes(runs)
        self.started, self.dashboard, self.live = time.monotonic(), dashboard, sys.stderr.isatty()
        self.note(
            f"{self.total} runs to do, {already} done; {slots} at a time. Dashboard: {dashboard}"
        )

    def ended(self, run: Run, outcome: dict[str, Any]) -> None:
        """Print how a run ended."""
        self.count += 1
        self.left.pop(run.id)
        first_line = outcome["message"].partition("\n")[0]
        text = f"[{self.count}/{self.total}] {run}: "
        if outcome["status"] == records.DONE:
            text += first_line
        else:
            self.failures += 1
            text += f"FAILED: {first_line}; see {records.log_path(run.id)}"
        if "seconds" in outcome:
            text += f" ({outcome['seconds']:.0f} s)"
        self._clear()
        print(text, flush=True)

    def show(self, unfinished: int) -> None:
        """Renew the line that says how far the batch is; `unfinished` runs have been handed out."""
        if not self.live:
            return
        failures = f", {self.failures} failed" if self.failures else ""
        line = (
            f"{self.count}/{self.total} runs{failures}, {min(self.slots, unfinished)} running, "
            f"{self._time_left()}; {self.dashboard}"
        )
        self._clear()
        print(line[: shutil.get_terminal_size().columns - 1], end="", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """Print a note."""
        self._clear()
        print(text, file=sys.stderr, flush=True)

    def _clear(self):
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _time_left(self):
        passed = (time.monotonic() - self.started) / 60
        if self.count:  # what is measured now says more than earlier runs
            minutes = passed / self.count * (self.total - self.count)
        elif None not in self.left.values():
            minutes = max(sum(self.left.values()) / self.slots - passed, 0)
        else:
            return "time left not known yet"
        return f"about {durations.text(minutes)} left"
