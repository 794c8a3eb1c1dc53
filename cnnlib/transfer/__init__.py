"""Transfer learning with VGG16: what it learned on ImageNet, used on another data set.

There are two kinds. Frozen: the backbone sees every image once (`features`), and heads learn from
these features in seconds. Fine-tuned: the last block or blocks of the backbone, or all of it, are
trained too, with a head that was trained on the frozen backbone before. A recipe says which, and at
what image size.

Images are RGB, 0 to 255, as `datasets.load` returns them; the preprocessing that the weights expect
is inside the models.
"""

from cnnlib.transfer.backbones import BLOCKS, WIDTHS, Backbone, backbone, check_images, rgb
from cnnlib.transfer.extraction import Features, features
from cnnlib.transfer.fine_tuning import Trained, predict, probabilities, train
from cnnlib.transfer.heads import assemble, head
from cnnlib.transfer.unfreezing import LAYERS, fold_batch_norm, put_batch_norm, unfreeze

__all__ = [
    "BLOCKS",
    "LAYERS",
    "WIDTHS",
    "Backbone",
    "Features",
    "Trained",
    "assemble",
    "backbone",
    "check_images",
    "features",
    "fold_batch_norm",
    "head",
    "predict",
    "probabilities",
    "put_batch_norm",
    "rgb",
    "train",
    "unfreeze",
]
