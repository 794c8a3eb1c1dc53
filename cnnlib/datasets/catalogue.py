"""Facts of the data sets, as their authors published them."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Info:
    """What is known of a data set before a byte of it is read."""

    name: str  # as `load` takes it; TFDS has it under the same name
    title: str
    year: int
    class_names: tuple[str, ...]  # by label
    train_count: int
    test_count: int
    image_shape: tuple[int, int, int]  # height, width, channels
    licence: str
    homepage: str
    citation: str


CATALOGUE = {
    info.name: info
    for info in (
        Info(
            name="mnist",
            title="MNIST",
            year=1998,
            class_names=("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
            train_count=60_000,
            test_count=10_000,
            image_shape=(28, 28, 1),
            licence="CC BY-SA 3.0 (Y. LeCun, C. Cortes, C. J. C. Burges)",
            homepage="http://yann.lecun.com/exdb/mnist/",
            citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-Based Learning Applied to Document Recognition. "
            "Proceedings of the IEEE 86(11), 1998.",
        ),
        Info(
            name="fashion_mnist",
            title="Fashion-MNIST",
            year=2017,
            class_names=(
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ),
            train_count=60_000,
            test_count=10_000,
            image_shape=(28, 28, 1),
            licence="MIT (Zalando SE)",
            homepage="https://github.com/zalandoresearch/fashion-mnist",
            citation="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms. "
            "arXiv:1708.07747, 2017.",
        ),
        Info(
            name="cifar10",
            title="CIFAR-10",
            year=2009,
            class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
            train_count=50_000,
            test_count=10_000,
            image_shape=(32, 32, 3),
            licence="no named licence; free to use with citation of Krizhevsky 2009",
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
            citation="A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images. Technical report, University of Toronto, 2009.",
        ),
    )
}
