"""Run many trainings and notebooks from one file, on this machine or on a cluster.

A batch can be killed at any moment; the same command completes it. The guide is docs/batch.md.

- `batch_file` reads the file, `runs` has the two classes of run.
- `records` has the files in which the results folder keeps track of runs, `claims` says which
  process does a run now, `status` summarises both.
- `dispatch` gives runs to Dask, `supervisor` starts a process for each and watches it,
  `child` is that process.
- `durations` estimates how long runs take, `terminal` prints how far a batch is, `page` writes the
  report.
"""

from cnnlab.batch.batch_file import read
from cnnlab.batch.dispatch import run
from cnnlab.batch.page import write
from cnnlab.batch.runs import Limits, NotebookRun, TrainingRun
from cnnlab.batch.status import done, plan_text, status_text, statuses

__all__ = [
    "Limits",
    "NotebookRun",
    "TrainingRun",
    "done",
    "plan_text",
    "read",
    "run",
    "status_text",
    "statuses",
    "write",
]
