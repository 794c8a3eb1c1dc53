"""Batches: many runs from one file, on this machine or a cluster, that can be killed at any moment and completed by the same command.

`format` has the format of the file, `state` what the results folder holds, docs/batch.md the guide for those who use it.
"""

from cnnlib.lab.batch.engine import run
from cnnlib.lab.batch.format import Limits, Run, read
from cnnlib.lab.batch.report import plan_text, status_text, write
from cnnlib.lab.batch.state import done, states

__all__ = ["Limits", "Run", "done", "plan_text", "read", "run", "states", "status_text", "write"]
