"""The laboratory: what measures, records, publishes and runs many.

A notebook needs two functions of it: `cnnlab.record(name, net, trained, data)`, which tests a
trained net once and keeps its row, and `cnnlab.features`, which computes features once.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnlab.experiment import record as record
    from cnnlab.feature_cache import features as features

__all__ = ["features", "record"]


def __getattr__(name: str) -> Any:
    # Imported when they are needed: the command line must start quickly.
    if name == "record":
        from cnnlab import experiment

        return experiment.record
    if name == "features":
        from cnnlab import feature_cache

        return feature_cache.features
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
