"""What can go wrong on the way to the bytes of a data set."""


class Unavailable(RuntimeError):
    """There is no way to get the data set here: neither prepared, nor embedded, nor to be downloaded."""


class Damaged(Unavailable):
    """The bytes are here, but they are not what they should be. No other source takes their place."""
