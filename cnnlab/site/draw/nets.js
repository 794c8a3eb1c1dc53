/* The forward pass of the course's nets. A net is what draw_page.py writes: a list of layers with
 * their weights, float32 in base64; a boosted net has the layers of three nets. Maps are flat
 * arrays in the order of Keras: rows, columns, maps. */
(function (root) {
  "use strict";

  function decode(base64) {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new Float32Array(bytes.buffer); // little-endian, as every browser's machine is
  }

  /* Decode the weights of a net once, in place. */
  function load(net) {
    for (const layers of net.members) {
      for (const layer of layers) {
        if (typeof layer.kernel === "string") layer.kernel = decode(layer.kernel);
        if (typeof layer.bias === "string") layer.bias = decode(layer.bias);
      }
    }
    return net;
  }

  function convolution(maps, { height, width, channels }, layer) {
    const size = layer.size, filters = layer.bias.length;
    const outHeight = height - size + 1, outWidth = width - size + 1;
    const result = new Float32Array(outHeight * outWidth * filters);
    const sums = new Float64Array(filters);
    for (let y = 0; y < outHeight; y++) {
      for (let x = 0; x < outWidth; x++) {
        for (let f = 0; f < filters; f++) sums[f] = layer.bias[f];
        for (let i = 0; i < size; i++) {
          for (let j = 0; j < size; j++) {
            for (let c = 0; c < channels; c++) {
              const value = maps[((y + i) * width + x + j) * channels + c];
              const at = ((i * size + j) * channels + c) * filters;
              for (let f = 0; f < filters; f++) sums[f] += value * layer.kernel[at + f];
            }
          }
        }
        result.set(sums, (y * outWidth + x) * filters);
      }
    }
    return [result, { height: outHeight, width: outWidth, channels: filters }];
  }

  function averagePooling(maps, { height, width, channels }) {
    const outHeight = height / 2, outWidth = width / 2;
    const result = new Float32Array(outHeight * outWidth * channels);
    for (let y = 0; y < outHeight; y++) {
      for (let x = 0; x < outWidth; x++) {
        for (let c = 0; c < channels; c++) {
          const at = (row, column) => maps[((2 * y + row) * width + 2 * x + column) * channels + c];
          const sum = at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1);
          result[(y * outWidth + x) * channels + c] = sum / 4;
        }
      }
    }
    return [result, { height: outHeight, width: outWidth, channels }];
  }

  function dense(values, layer) {
    const units = layer.bias.length;
    const sums = Float64Array.from(layer.bias);
    for (let i = 0; i < values.length; i++) {
      for (let u = 0; u < units; u++) sums[u] += values[i] * layer.kernel[i * units + u];
    }
    return [Float32Array.from(sums), { height: 1, width: 1, channels: units }];
  }

  /* Return the logits of one net; `seen(name, maps, shape)` is told what each layer returns. */
  function run(layers, input, seen) {
    const side = Math.sqrt(input.length);
    let maps = input, shape = { height: side, width: side, channels: 1 };
    for (const layer of layers) {
      if (layer.kind === "convolution") [maps, shape] = convolution(maps, shape, layer);
      else if (layer.kind === "pooling") [maps, shape] = averagePooling(maps, shape);
      else if (layer.kind === "dense") [maps, shape] = dense(maps, layer);
      else if (layer.kind === "tanh") maps = maps.map(Math.tanh);
      else throw new Error("unknown layer " + layer.kind);
      if (seen) seen(layer.name, maps, shape);
    }
    return maps;
  }

  function softmax(logits) {
    const largest = Math.max(...logits);
    const powers = Array.from(logits, (value) => Math.exp(value - largest));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((value) => value / sum);
  }

  /* Return a net's logits for its prepared input; a boosted net's are logs of mean probabilities. */
  function logits(net, input, seen) {
    const each = net.members.map((layers) => run(layers, input, seen));
    if (each.length === 1) return Array.from(each[0]);
    const votes = each.map(softmax);
    return votes[0].map((_, i) => Math.log(votes.reduce((sum, p) => sum + p[i], 0) / votes.length));
  }

  const nets = { load, logits, softmax };
  if (typeof module !== "undefined") module.exports = nets;
  else root.nets = nets;
})(this);
