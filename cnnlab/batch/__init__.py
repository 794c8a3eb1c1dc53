"""Run many trainings and notebooks from one file, on this machine or on a cluster.

A batch can be killed at any moment; the same command completes it. The guide is docs/batch.md.
`file` reads the file, `runs` has the two kinds of run and their files in the results folder,
`dispatch` gives runs to Dask, `worker` does one in a process of its own, `report` says how far they
are.
"""

from cnnlab.batch.dispatch import run
from cnnlab.batch.file import read
from cnnlab.batch.report import plan_text, status_text, statuses, write

__all__ = ["plan_text", "read", "run", "status_text", "statuses", "write"]
