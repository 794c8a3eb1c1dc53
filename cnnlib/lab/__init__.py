"""The laboratory: what measures, records, publishes and runs many.

Nothing in `cnnlib` outside this folder imports it. A notebook needs one function of it:
`lab.record(name, net, trained, data)`, which tests a trained net once and keeps its row.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnlib.lab.experiment import record as record

__all__ = ["record"]


def __getattr__(name: str):
    if name == "record":  # imported when it is needed: the command line must start quickly
        from cnnlib.lab import experiment

        return experiment.record
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
