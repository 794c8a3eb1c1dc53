"""One line that shows how far a training is, in a notebook or a terminal."""

import sys
import time
from typing import Any

import keras


class Line:
    """One line of progress, rewritten in place in a notebook or terminal, else the last alone."""

    def __init__(self):
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        self.is_in_notebook = hasattr(shell, "kernel")
        self.handle: Any = None

    def show(self, text: str, last: bool = False) -> None:
        """Show `text` in place of what was shown before."""
        if self.is_in_notebook:
            from IPython.display import Pretty, display

            if self.handle is None:
                self.handle = display(Pretty(text), display_id=True)
            else:
                self.handle.update(Pretty(text))
        elif sys.stderr.isatty():
            print(f"\r\033[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
        elif last:
            print(text, file=sys.stderr, flush=True)


class Progress(keras.callbacks.Callback):
    """Show how far a training is: in per cent within an epoch, and the results of the last one."""

    def __init__(self, epochs: int, steps: int, done: int = 0):
        super().__init__()
        self.epochs, self.steps, self.done, self.shown_at = epochs, steps, done, 0.0
        self.line = Line()
        if 0 < done < epochs:
            self.line.show(f"resumed at epoch {done + 1} of {epochs}", last=True)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if time.perf_counter() - self.shown_at > 0.5:
            self.shown_at = time.perf_counter()
            percent = 100 * (batch + 1) // self.steps
            self.line.show(f"epoch {self.done + 1}/{self.epochs}: {percent} %")

    def epoch_done(self, rows: list[dict[str, float]]) -> None:
        """Show the results of the last of the epochs in `rows`."""
        row, self.done = rows[-1], len(rows)
        text = f"epoch {row['epoch']}/{self.epochs}: loss {row['loss']:.4f}"
        text += f", training error {row['train_error']:.2f} %"
        if row["validation_error"] == row["validation_error"]:  # not NaN
            text += f", validation error {row['validation_error']:.2f} %"
        text += f", {sum(each['seconds'] for each in rows):.0f} s"
        # Where no line can be rewritten, as in a file, each epoch has one.
        self.line.show(text, last=row["epoch"] == self.epochs or not sys.stderr.isatty())
