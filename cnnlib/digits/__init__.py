"""Read a picture of one's own digit as MNIST has digits, and ask a trained net what it is."""

from cnnlib.digits.nets import SHADES, describe, drawing, find_net, load_net, probabilities
from cnnlib.digits.pictures import read_page, read_picture
from cnnlib.digits.strokes import centre_by_mass

__all__ = [
    "SHADES",
    "centre_by_mass",
    "describe",
    "drawing",
    "find_net",
    "load_net",
    "probabilities",
    "read_page",
    "read_picture",
]
