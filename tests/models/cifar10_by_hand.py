"""The nets of the CIFAR-10 benchmark in plain NumPy, stated apart from cnnlib: what its graphs are
compared with.

Layout and order are PyTorch's: images (n, channels, height, width), kernels (out, in / groups,
height, width), and the weights in the order in which the published definitions compute with them: a
kernel, or gamma, beta, mean and variance of a batch norm. float64."""

import numpy as np


class Net:
    """Layers that take their weights from a list, the next one each time."""

    def __init__(self, weights):
        self.weights = iter(weights)

    def take(self):
        return np.asarray(next(self.weights), np.float64)

    def conv(self, x, stride=1, groups=1, bias=False):
        """A convolution with size // 2 zeros on every side."""
        kernel = self.take()
        size = kernel.shape[-1]
        x = np.pad(x, ((0, 0), (0, 0), (size // 2, size // 2), (size // 2, size // 2)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[
            :, :, ::stride, ::stride
        ]
        n, channels, height, width = windows.shape[:4]
        assert kernel.shape[1] * groups == channels, "the kernel is of another convolution"
        windows = windows.transpose(1, 4, 5, 0, 2, 3).reshape(groups, -1, n * height * width)
        y = np.matmul(kernel.reshape(groups, kernel.shape[0] // groups, -1), windows)
        y = y.reshape(kernel.shape[0], n, height, width).transpose(1, 0, 2, 3)
        return y + self.take()[:, None, None] if bias else y

    def bn(self, x):
        gamma, beta, mean, variance = (self.take()[:, None, None] for _ in range(4))
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def classify(self, x):
        kernel, bias = self.take(), self.take()
        return x.mean(axis=(2, 3)) @ kernel.T + bias


def relu(x):
    return np.maximum(x, 0)


def pooled(x, function):
    n, channels, height, width = x.shape
    return function(x.reshape(n, channels, height // 2, 2, width // 2, 2), axis=(3, 5))


def strides(depths, first=(1, 2, 2, 2)):
    """(stage, stride) of each block."""
    return [
        (stage, first[stage] if number == 0 else 1)
        for stage, depth in enumerate(depths)
        for number in range(depth)
    ]


def vgg16(net, x):
    for depth in (2, 2, 3, 3, 3):
        for _ in range(depth):
            x = relu(net.bn(net.conv(x, bias=True)))
        x = pooled(x, np.max)
    return net.classify(x)


def resnet18(net, x):
    x = relu(net.bn(net.conv(x)))
    for _, stride in strides((2, 2, 2, 2)):
        y = net.bn(net.conv(relu(net.bn(net.conv(x, stride)))))
        x = relu(y + (net.bn(net.conv(x, stride)) if stride > 1 else x))
    return net.classify(x)


def resnet50(net, x):
    x = relu(net.bn(net.conv(x)))
    for _, stride in strides((3, 4, 6, 3)):
        y = relu(net.bn(net.conv(x)))
        y = net.bn(net.conv(relu(net.bn(net.conv(y, stride)))))
        x = relu(y + (net.bn(net.conv(x, stride)) if y.shape[1] != x.shape[1] else x))
    return net.classify(x)


def preactresnet18(net, x):
    x = net.conv(x)
    for _, stride in strides((2, 2, 2, 2)):
        y = relu(net.bn(x))
        x = net.conv(y, stride) if stride > 1 else x
        x = x + net.conv(relu(net.bn(net.conv(y, stride))))
    return net.classify(x)


def resnext29(net, x, cardinality):
    x = relu(net.bn(net.conv(x)))
    for _, stride in strides((3, 3, 3)):
        y = relu(net.bn(net.conv(x)))
        y = net.bn(net.conv(relu(net.bn(net.conv(y, stride, cardinality)))))
        x = relu(y + (net.bn(net.conv(x, stride)) if y.shape[1] != x.shape[1] else x))
    return net.classify(x)


def regnet(net, x, depths, widths, group_width, excited):
    x = relu(net.bn(net.conv(x)))
    for stage, stride in strides(depths, (1, 1, 2, 2)):
        y = relu(net.bn(net.conv(x)))
        y = relu(net.bn(net.conv(y, stride, widths[stage] // group_width)))
        if excited:
            means = y.mean(axis=(2, 3), keepdims=True)
            y = y / (1 + np.exp(-net.conv(relu(net.conv(means, bias=True)), bias=True)))
        y = net.bn(net.conv(y))
        changed = stride > 1 or x.shape[1] != widths[stage]
        x = relu(y + (net.bn(net.conv(x, stride)) if changed else x))
    return net.classify(x)


def mobilenetv2(net, x):
    x = relu(net.bn(net.conv(x)))
    for _, stride in strides((1, 2, 3, 4, 3, 3, 1), (1, 1, 2, 2, 1, 2, 1)):
        y = relu(net.bn(net.conv(x)))
        y = relu(net.bn(net.conv(y, stride, groups=y.shape[1])))
        y = net.bn(net.conv(y))
        if stride == 1:
            y = y + (net.bn(net.conv(x)) if x.shape[1] != y.shape[1] else x)
        x = y
    return net.classify(relu(net.bn(net.conv(x))))


def densenet121(net, x):
    x = net.conv(x)
    for stage, depth in enumerate((6, 12, 24, 16)):
        for _ in range(depth):
            y = net.conv(relu(net.bn(x)))
            x = np.concatenate([net.conv(relu(net.bn(y))), x], axis=1)
        if stage < 3:
            x = pooled(net.conv(relu(net.bn(x))), np.mean)
    return net.classify(relu(net.bn(x)))


def dpn92(net, x):
    x = relu(net.bn(net.conv(x)))
    before = None
    for stage, stride in strides((3, 4, 20, 3)):
        d = (256, 512, 1024, 2048)[stage]
        y = relu(net.bn(net.conv(x)))
        y = net.bn(net.conv(relu(net.bn(net.conv(y, stride, 32)))))
        x = net.bn(net.conv(x, stride)) if stage != before else x
        x = relu(np.concatenate([x[:, :d] + y[:, :d], x[:, d:], y[:, d:]], axis=1))
        before = stage
    return net.classify(x)


NETS = {
    "cifar10/vgg16": vgg16,
    "cifar10/resnet18": resnet18,
    "cifar10/resnet50": resnet50,
    "cifar10/regnetx-200mf": lambda *net: regnet(*net, (1, 1, 4, 7), (24, 56, 152, 368), 8, False),
    "cifar10/regnety-400mf": lambda *net: regnet(*net, (1, 2, 7, 12), (32, 64, 160, 384), 16, True),
    "cifar10/mobilenetv2": mobilenetv2,
    "cifar10/resnext29-32x4d": lambda net, x: resnext29(net, x, 32),
    "cifar10/resnext29-2x64d": lambda net, x: resnext29(net, x, 2),
    "cifar10/densenet121": densenet121,
    "cifar10/preactresnet18": preactresnet18,
    "cifar10/dpn92": dpn92,
}


def logits(name, weights, images):
    """The logits of a net (a key of NETS) with these weights, which must be exactly as many as it
    needs."""
    net = Net(weights)
    result = NETS[name](net, np.asarray(images, np.float64))
    assert next(net.weights, None) is None, "weights are left over"
    return result
