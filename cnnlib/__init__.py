"""Helper package of the course: data sets, nets, training, and published and measured results.

Importing it is light: TensorFlow, Keras and pandas are imported where they are used. It also sets
what TensorFlow reads once, when it is imported, so import cnnlib before TensorFlow (see
`cnnlib.backend`)."""

from cnnlib import backend, cell_errors

__version__ = "0.2.0"

backend.prepare()
cell_errors.install()
