/* Nets that learn in the page: forward and backward pass, plain stochastic gradient descent.
 *
 * `makeLearn` contains everything it needs, because a worker is made from its text: pages opened
 * from file:// cannot start a worker from a file. Maps are flat arrays in Keras' order: rows,
 * columns, maps. Sums are taken in double precision, weights are float32. */
function makeLearn() {
  "use strict";

  const SIDE = 28;

  /* A generator of numbers in [0, 1): mulberry32, by Tommy Ettinger (public domain). */
  function generator(seed) {
    let state = seed >>> 0;
    return function () {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  /* Glorot & Bengio 2010: uniform between ± sqrt(6 / (inputs + outputs)). */
  function glorot(count, inputs, outputs, random) {
    const limit = Math.sqrt(6 / (inputs + outputs));
    return Float32Array.from({ length: count }, () => (2 * random() - 1) * limit);
  }

  function weighted(kernel, biases) {
    const bias = new Float32Array(biases);
    const kernelGradient = new Float64Array(kernel.length);
    const biasGradient = new Float64Array(biases);
    return { kernel, bias, kernelGradient, biasGradient };
  }

  function dense(inputs, units, random) {
    const own = weighted(glorot(inputs * units, inputs, units, random), units);
    const { kernel, bias, kernelGradient, biasGradient } = own;
    const out = new Float64Array(units), back = new Float64Array(inputs);
    let seen = null;
    return Object.assign(own, {
      kind: "dense", inputs, units,
      forward(values) {
        seen = values;
        out.set(bias);
        for (let i = 0, at = 0; i < inputs; i++, at += units) {
          const value = values[i];
          for (let u = 0; u < units; u++) out[u] += value * kernel[at + u];
        }
        return out;
      },
      backward(slopes, isFirst) {
        for (let u = 0; u < units; u++) biasGradient[u] += slopes[u];
        for (let i = 0, at = 0; i < inputs; i++, at += units) {
          const value = seen[i];
          for (let u = 0; u < units; u++) kernelGradient[at + u] += value * slopes[u];
          if (isFirst) continue;
          let sum = 0;
          for (let u = 0; u < units; u++) sum += kernel[at + u] * slopes[u];
          back[i] = sum;
        }
        return back;
      },
    });
  }

  function convolution(side, channels, filters, size, random) {
    const inputs = size * size * channels;
    const own = weighted(glorot(inputs * filters, inputs, size * size * filters, random), filters);
    const { kernel, bias, kernelGradient, biasGradient } = own;
    const outSide = side - size + 1, row = size * channels;
    const out = new Float64Array(outSide * outSide * filters);
    const back = new Float64Array(side * side * channels);
    let seen = null;
    return Object.assign(own, {
      kind: "convolution", size, channels, filters,
      forward(maps) {
        seen = maps;
        for (let y = 0, to = 0; y < outSide; y++) {
          for (let x = 0; x < outSide; x++, to += filters) {
            for (let f = 0; f < filters; f++) out[to + f] = bias[f];
            for (let i = 0, at = 0; i < size; i++) {
              const from = ((y + i) * side + x) * channels;
              for (let j = 0; j < row; j++, at += filters) {
                const value = maps[from + j];
                for (let f = 0; f < filters; f++) out[to + f] += value * kernel[at + f];
              }
            }
          }
        }
        return out;
      },
      backward(slopes, isFirst) {
        if (!isFirst) back.fill(0);
        for (let y = 0, to = 0; y < outSide; y++) {
          for (let x = 0; x < outSide; x++, to += filters) {
            for (let f = 0; f < filters; f++) biasGradient[f] += slopes[to + f];
            for (let i = 0, at = 0; i < size; i++) {
              const from = ((y + i) * side + x) * channels;
              for (let j = 0; j < row; j++, at += filters) {
                const value = seen[from + j];
                for (let f = 0; f < filters; f++) kernelGradient[at + f] += value * slopes[to + f];
                if (isFirst) continue; // nothing asks for the slopes of the pixels
                let sum = 0;
                for (let f = 0; f < filters; f++) sum += kernel[at + f] * slopes[to + f];
                back[from + j] += sum;
              }
            }
          }
        }
        return back;
      },
    });
  }

  function pooling(side, channels) {
    const outSide = side / 2, row = side * channels;
    const out = new Float64Array(outSide * outSide * channels);
    const back = new Float64Array(side * side * channels);
    function each(visit) {
      for (let y = 0, to = 0; y < outSide; y++) {
        for (let x = 0; x < outSide; x++) {
          for (let c = 0; c < channels; c++, to++) visit(to, 2 * y * row + 2 * x * channels + c);
        }
      }
    }
    return {
      kind: "pooling",
      forward(maps) {
        each((to, at) => {
          out[to] = (maps[at] + maps[at + channels] + maps[at + row] + maps[at + row + channels]) / 4;
        });
        return out;
      },
      backward(slopes) {
        each((to, at) => {
          const part = slopes[to] / 4;
          back[at] = back[at + channels] = back[at + row] = back[at + row + channels] = part;
        });
        return back;
      },
    };
  }

  function tanh(count) {
    const out = new Float64Array(count), back = new Float64Array(count);
    return {
      kind: "tanh",
      forward(values) {
        for (let i = 0; i < count; i++) out[i] = Math.tanh(values[i]);
        return out;
      },
      backward(slopes) {
        for (let i = 0; i < count; i++) back[i] = slopes[i] * (1 - out[i] * out[i]);
        return back;
      },
    };
  }

  /* The nets, as the notebooks build them: 02, 03 and 04. */
  const NETS = {
    linear: { title: "Linear", weights: 7850, layers: (random) => [dense(784, 10, random)] },
    mlp: {
      title: "MLP, 32 hidden units", weights: 25450,
      layers: (random) => [dense(784, 32, random), tanh(32), dense(32, 10, random)],
    },
    "lenet-1": {
      title: "LeNet-1", weights: 3246,
      layers: (random) => [
        convolution(28, 1, 4, 5, random), tanh(24 * 24 * 4), pooling(24, 4), tanh(12 * 12 * 4),
        convolution(12, 4, 12, 5, random), tanh(8 * 8 * 12), pooling(8, 12), tanh(4 * 4 * 12),
        dense(192, 10, random),
      ],
    },
  };

  function softmax(logits) {
    const largest = Math.max(...logits);
    const powers = Array.from(logits, (value) => Math.exp(value - largest));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  /* A net with random first weights.
   *
   * digits: {images: Float32Array (n * 784), labels: Uint8Array (n)}; `indices` choose among them. */
  function build(name, seed) {
    const layers = NETS[name].layers(generator(seed));
    const weightedLayers = layers.filter((layer) => layer.kernel);

    function logits(image) {
      return layers.reduce((values, layer) => layer.forward(values), image);
    }

    function image(digits, index) {
      return digits.images.subarray(index * SIDE * SIDE, (index + 1) * SIDE * SIDE);
    }

    /* The gradient of the mean cross-entropy goes to the layers; returns its loss and mistakes. */
    function gradients(digits, indices) {
      let loss = 0, mistakes = 0;
      for (const layer of weightedLayers) {
        layer.kernelGradient.fill(0);
        layer.biasGradient.fill(0);
      }
      for (const index of indices) {
        const label = digits.labels[index];
        const probabilities = softmax(logits(image(digits, index)));
        loss -= Math.log(Math.max(probabilities[label], 1e-300));
        mistakes += probabilities.indexOf(Math.max(...probabilities)) !== label;
        // Of softmax and cross-entropy together: probability minus 1 for the right class.
        let slopes = Float64Array.from(probabilities, (p, k) => (p - (k === label)) / indices.length);
        for (let at = layers.length - 1; at >= 0; at--) slopes = layers[at].backward(slopes, !at);
      }
      return { loss: loss / indices.length, mistakes };
    }

    /* One step downhill by `rate` times the gradient. */
    function step(digits, indices, rate) {
      const found = gradients(digits, indices);
      for (const layer of weightedLayers) {
        for (let i = 0; i < layer.kernel.length; i++) layer.kernel[i] -= rate * layer.kernelGradient[i];
        for (let i = 0; i < layer.bias.length; i++) layer.bias[i] -= rate * layer.biasGradient[i];
      }
      return found;
    }

    /* Loss and error in percent of the digits `indices`, and the surest mistakes among them. */
    function evaluate(digits, indices) {
      let loss = 0;
      const mistakes = [];
      for (const index of indices) {
        const label = digits.labels[index];
        const probabilities = softmax(logits(image(digits, index)));
        const answer = probabilities.indexOf(Math.max(...probabilities));
        loss -= Math.log(Math.max(probabilities[label], 1e-300));
        if (answer !== label) mistakes.push({ index, label, answer, sure: probabilities[answer] });
      }
      mistakes.sort((a, b) => b.sure - a.sure);
      const count = indices.length;
      return { loss: loss / count, error: (100 * mistakes.length) / count, surest: mistakes.slice(0, 10) };
    }

    const weights = () => weightedLayers.map(({ kind, size, kernel, bias }) => ({
      kind, size, kernel: kernel.slice(), bias: bias.slice(),
    }));
    return { name, layers: weightedLayers, logits, gradients, step, evaluate, weights };
  }

  /* The order of `count` digits in an epoch: another one in each, the same for the same seed. */
  function order(count, seed, epoch) {
    const random = generator(seed * 100003 + epoch + 1), indices = Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const other = Math.floor(random() * (i + 1));
      [indices[i], indices[other]] = [indices[other], indices[i]];
    }
    return indices;
  }

  /* A training that one can go through in steps. `settings`: net, rate, batch, count, seed.
   * The first `count` digits are for training, the last `held` are held back. */
  function training(digits, held, settings) {
    const net = build(settings.net, settings.seed);
    const total = digits.labels.length;
    const heldBack = Array.from({ length: held }, (_, i) => total - held + i);
    const looked = Array.from({ length: Math.min(settings.count, held) }, (_, i) => i);
    const perEpoch = Math.ceil(settings.count / settings.batch);
    let steps = 0, indices = [];

    function step(rate) {
      const at = steps % perEpoch;
      if (at === 0) indices = order(settings.count, settings.seed, steps / perEpoch);
      steps++;
      return net.step(digits, indices.slice(at * settings.batch, (at + 1) * settings.batch), rate);
    }

    function report() {
      const train = net.evaluate(digits, looked), validation = net.evaluate(digits, heldBack);
      return {
        steps, epochs: steps / perEpoch, weights: net.weights(), surest: validation.surest,
        loss: [train.loss, validation.loss], error: [train.error, validation.error],
      };
    }

    return { net, step, report };
  }

  /* What the worker does: messages {digits}, {start: settings}, {rate}, {run: steps or 0 to stop}. */
  function serve(scope) {
    let digits = null, held = 0, current = null, rate = 0.1, left = 0, isBusy = false, next = 0;

    /* A report takes as long as some steps, so it gets a sixth of the time. */
    function tell() {
      const start = Date.now();
      scope.postMessage(current.report());
      next = Date.now() + Math.max(300, 5 * (Date.now() - start));
    }

    function work() {
      isBusy = left > 0;
      if (!isBusy) return tell();
      const until = Date.now() + 50;
      let isLost = false;
      while (left > 0 && Date.now() < until && !isLost) {
        isLost = !Number.isFinite(current.step(rate).loss);
        left--;
      }
      if (isLost) left = 0;
      if (left > 0 && Date.now() > next) tell();
      setTimeout(work, 0); // messages come in between
    }

    scope.onmessage = ({ data }) => {
      if (data.digits) ({ digits, held } = data);
      if (data.rate !== undefined) rate = data.rate;
      if (data.start) {
        left = 0;
        current = training(digits, held, data.start);
        tell();
      }
      if (data.run !== undefined) {
        left = data.run;
        if (!isBusy) work();
      }
    };
  }

  return { NETS, SIDE, build, order, training, softmax, serve };
}

if (typeof module !== "undefined") module.exports = makeLearn();
else if (typeof window !== "undefined") window.learn = makeLearn();
