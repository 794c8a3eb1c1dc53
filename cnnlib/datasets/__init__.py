"""The data sets of the lecture: what is known of them, images as arrays, and streams of images.

`load` and `stream` take the images from the first of: the repository's own data/ (MNIST), a folder
that TensorFlow Datasets prepared, a download. They never put another data set in the place of the
one asked for, nor a sample in the place of the whole.
"""

from cnnlib.datasets.catalogue import Info, info, names
from cnnlib.datasets.download import prepare
from cnnlib.datasets.loading import Dataset, Images, image_order, load
from cnnlib.datasets.prepared import Status, status
from cnnlib.datasets.streams import stream
from cnnlib.errors import Damaged, Unavailable
