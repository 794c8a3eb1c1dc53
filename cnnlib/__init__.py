"""Helper package of the course: data sets, nets, one way to train, and the ledger of measured figures.

Importing it is light: TensorFlow, Keras and pandas are imported where they are used. It must be imported before TensorFlow, because
TensorFlow reads TF_ENABLE_ONEDNN_OPTS once: on CPUs without AVX-512 it leaves oneDNN off unless told, and trains convolutions two to
three times slower.
"""

import os
import sys
import warnings

__version__ = "0.1.0"

if "TF_ENABLE_ONEDNN_OPTS" not in os.environ:
    if "tensorflow" in sys.modules:
        warnings.warn(
            "TensorFlow was imported before cnnlib, so oneDNN may be off and training two to three times slower: import cnnlib first, "
            "or set TF_ENABLE_ONEDNN_OPTS=1 before Python starts.",
            stacklevel=2,
        )
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes are noise in a notebook
