"""The page on which nets learn: its gradients are Keras', its steps those of the NumPy loop."""

import keras
import numpy as np
import pytest
from keras import layers

from cnnlab.site import draw_page
from cnnlib import datasets

GRADIENTS = """
const [name, seed, indices] = arguments;
const net = window.learn.build(name, seed), before = net.weights();
const {loss} = net.gradients(window.watch.digits, indices);
const list = (values) => Array.from(values);
return {
    loss,
    weights: before.flatMap(({kernel, bias}) => [list(kernel), list(bias)]),
    gradients: net.layers.flatMap((l) => [list(l.kernelGradient), list(l.biasGradient)]),
};
"""
STEPS = """
const [rate, batch, count, epochs] = arguments;
const settings = {net: "linear", batch, count, seed: 3};
const run = window.learn.training(window.watch.digits, 500, settings);
const list = ({kernel, bias}) => [Array.from(kernel), Array.from(bias)];
const start = list(run.net.weights()[0]), orders = [];
for (let epoch = 0; epoch < epochs; epoch++) {
    orders.push(window.learn.order(count, 3, epoch));
    for (let i = 0; i < Math.ceil(count / batch); i++) run.step(rate);
}
return {start, end: list(run.net.weights()[0]), orders};
"""


def nets():
    """The nets of the page in Keras: image 28x28 -> logits."""
    flat = [keras.Input((28, 28, 1)), layers.Flatten()]
    lenet = [layers.Conv2D(4, 5), layers.Activation("tanh"), layers.AveragePooling2D(2)]
    lenet += [layers.Activation("tanh"), layers.Conv2D(12, 5), layers.Activation("tanh")]
    lenet += [layers.AveragePooling2D(2), layers.Activation("tanh"), layers.Flatten()]
    return {
        "linear": keras.Sequential([*flat, layers.Dense(10)]),
        "mlp": keras.Sequential([*flat, layers.Dense(32, "tanh"), layers.Dense(10)]),
        "lenet-1": keras.Sequential([flat[0], *lenet, layers.Dense(10)]),
    }


@pytest.fixture(scope="module")
def digits():
    """The page's digits as the nets see them, float32 (2500, 28, 28, 1), and their labels."""
    part = datasets.load("mnist").train
    images = np.concatenate([part.images[:2000], part.images[-500:]])
    labels = np.concatenate([part.labels[:2000], part.labels[-500:]])
    return (-0.1 + images * 1.275 / 255).astype(np.float32), labels


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return draw_page.write_page(tmp_path_factory.mktemp("draw")).with_name("watch.html")


@pytest.fixture
def watch(tab, page):
    assert page.with_name("sheet.js").stat().st_size < 700_000
    tab.screen()
    assert tab.open(page.as_uri()) == ([], [])
    tab.browser.execute_async_script("window.watch.ready.then(arguments[0])")
    return tab


def test_gradients_are_those_of_keras(watch, digits):
    import tensorflow as tf

    images, labels = digits
    chosen = np.random.RandomState(0).choice(2000, 50, replace=False)
    for name, net in nets().items():
        found = watch.run(GRADIENTS, name, 7, chosen.tolist())
        net.set_weights(
            [np.reshape(w, v.shape) for w, v in zip(found["weights"], net.weights, strict=True)]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        with tf.GradientTape() as tape:
            value = loss(labels[chosen], net(images[chosen], training=True))
        assert found["loss"] == pytest.approx(float(value), abs=1e-5)
        expected = tape.gradient(value, net.trainable_weights)
        for ours, theirs in zip(found["gradients"], expected, strict=True):
            np.testing.assert_allclose(ours, np.ravel(theirs), atol=1e-5, err_msg=name)


def test_the_linear_net_ends_where_a_loop_in_numpy_ends(watch, digits):
    """The loop of notebook 02, with the page's first weights and its order of digits."""
    images, labels = digits
    rate, batch, count, epochs = 0.1, 50, 500, 2
    found = watch.run(STEPS, rate, batch, count, epochs)
    weights = np.reshape(found["start"][0], (784, 10)).astype(float)
    biases = np.array(found["start"][1], float)
    for order in np.array(found["orders"]):
        for i in range(0, count, batch):
            x = images[order[i : i + batch]].reshape(-1, 784).astype(float)
            scores = x @ weights + biases
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            slopes = powers / powers.sum(axis=1, keepdims=True)
            slopes -= np.eye(10)[labels[order[i : i + batch]]]
            weights -= rate * x.T @ slopes / batch
            biases -= rate * slopes.mean(axis=0)
    np.testing.assert_allclose(np.ravel(weights), found["end"][0], atol=1e-5)
    np.testing.assert_allclose(biases, found["end"][1], atol=1e-5)


def test_a_net_learns_is_stopped_and_starts_again(watch):
    def steps():
        return watch.run("return window.watch.latest && window.watch.latest.steps")

    watch.wait("#weights canvas")
    for _ in range(3):
        watch.find("#step")[0].click()
    watch.until("window.watch.latest.steps >= 3")
    assert steps() == 3 and len(watch.find("#weights canvas")) == 10
    watch.find("#run")[0].click()
    watch.until("window.watch.latest.error[1] < 30")
    watch.find("#run")[0].click()
    assert "epochs" in watch.find("#status")[0].text and watch.find("#mistakes figure")
    watch.run(
        "const net = document.getElementById('net'); net.value = 'lenet-1';"
        "net.dispatchEvent(new Event('change'))"
    )
    watch.wait("#weights .of12 canvas")
    assert steps() == 0
