/* The page on which a net learns. The worker computes (learn.js), this draws what it reports.
 * `window.watch` is what tests use, too. */
(function () {
  "use strict";

  const { NETS, SIDE } = window.learn;
  const { labels, held, packed } = window.sheet;
  const total = labels.length;
  const get = (id) => document.getElementById(id);
  const worker = new Worker(URL.createObjectURL(new Blob([`(${makeLearn})().serve(self);`])));
  let digits = null; // {images, labels}, as learn.js takes them
  let isRunning = false, latest = null, past = [];

  const TEXTS = {
    linear: "One picture for each digit: bright where ink speaks for it, dark where ink speaks against it.",
    mlp: "One picture for each hidden unit: the pattern of ink to which it answers most.",
    "lenet-1": "Above the four kernels of C1, 5x5 each; below those of C3, a row for each of its four input maps.",
  };

  /* The pixels are deflated, as the browser can inflate them by itself. */
  async function unpack() {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const pixels = new Uint8Array(await new Response(stream).arrayBuffer());
    const images = Float32Array.from(pixels, (value) => -0.1 + (value * 1.275) / 255);
    digits = { images, labels: Uint8Array.from(labels) };
  }

  function settings() {
    return {
      net: get("net").value, rate: Number(get("rate").value), batch: Number(get("batch").value),
      count: Number(get("count").value), seed: Math.abs(Math.trunc(Number(get("seed").value))) || 0,
    };
  }

  function start() {
    past = [];
    worker.postMessage({ start: settings(), rate: settings().rate });
    run(false);
  }

  function run(wanted) {
    isRunning = wanted;
    get("run").textContent = wanted ? "Pause" : "Run";
    worker.postMessage({ run: wanted ? Infinity : 0 });
  }

  worker.onmessage = ({ data }) => {
    latest = data;
    past.push({ epochs: data.epochs, loss: data.loss, error: data.error });
    if (past.length > 600) past = past.filter((_, i) => i % 2 === 0 || i === past.length - 1);
    const isLost = !Number.isFinite(data.loss[0]);
    if (isLost && isRunning) run(false);
    requestAnimationFrame(() => draw(isLost));
  };

  function draw(isLost) {
    const { steps, epochs, error, surest, weights } = latest;
    get("status").textContent = isLost
      ? "The weights have grown beyond all bounds: the learning rate is too large. Start again with a smaller one."
      : `${steps.toLocaleString("en")} steps, ${epochs.toFixed(1)} epochs: error ` +
        `${error[0].toFixed(1)} % on what it learns from, ${error[1].toFixed(1)} % on the others`;
    curve(get("errors"), past.map((each) => each.error), 100);
    curve(get("losses"), past.map((each) => each.loss), Infinity);
    if (isLost) return;
    drawWeights(weights);
    drawMistakes(surest);
  }

  /* Two lines over epochs; the first solid, the second dashed, so that they differ without colour. */
  function curve(canvas, values, most) {
    const style = getComputedStyle(document.documentElement), context = canvas.getContext("2d");
    const { width, height } = canvas, left = 62, bottom = 34, top = 10, right = 14;
    const finite = values.flat().filter(Number.isFinite);
    const highest = nice(Math.min(most, Math.max(...finite, 1e-9)));
    const end = Math.max(past[past.length - 1].epochs, 1);
    const x = (epoch) => left + ((width - left - right) * epoch) / end;
    const y = (value) => height - bottom - ((height - bottom - top) * Math.min(value, highest)) / highest;
    context.clearRect(0, 0, width, height);
    context.font = "20px system-ui, sans-serif";
    context.fillStyle = style.getPropertyValue("--soft");
    context.strokeStyle = style.getPropertyValue("--line");
    context.lineWidth = 1;
    context.setLineDash([]);
    context.textAlign = "right";
    for (let part = 0; part <= 4; part++) {
      const value = (highest * part) / 4;
      context.beginPath();
      context.moveTo(left, y(value));
      context.lineTo(width - right, y(value));
      context.stroke();
      context.fillText(String(Number(value.toPrecision(3))), left - 8, y(value) + 7);
    }
    context.fillText(`${end.toFixed(end < 10 ? 1 : 0)} epochs`, width - right, height - 8);
    context.textAlign = "left";
    context.fillText("0", left, height - 8);
    ["--held", "--best"].forEach((colour, i) => {
      const line = 1 - i; // the held-back digits first, so that the other line lies above
      context.strokeStyle = style.getPropertyValue(colour);
      context.setLineDash(line ? [10, 7] : []);
      context.lineWidth = 4;
      context.beginPath();
      past.forEach((each, k) => {
        const value = values[k][line];
        if (Number.isFinite(value)) context.lineTo(x(each.epochs), y(value));
      });
      context.stroke();
    });
  }

  function nice(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 2.5, 4, 5, 8, 10].find((each) => each * power >= value * 0.999) * power;
  }

  function picture(parent, at, side, value, title) {
    while (parent.children.length <= at) parent.append(document.createElement("canvas"));
    const canvas = parent.children[at];
    if (canvas.width !== side) canvas.width = canvas.height = side;
    canvas.title = title;
    const context = canvas.getContext("2d"), image = context.createImageData(side, side);
    for (let i = 0; i < side * side; i++) {
      image.data.fill(Math.round(255 * Math.min(1, Math.max(0, value(i)))), 4 * i, 4 * i + 3);
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  /* Kernels as pictures: middle grey is 0, white the largest weight of the layer, black its opposite. */
  function drawWeights(weights) {
    const parent = get("weights");
    const shown = weights.length === 3 ? weights.slice(0, 2) : weights.slice(0, 1);
    while (parent.children.length < shown.length) parent.append(document.createElement("div"));
    while (parent.children.length > shown.length) parent.lastChild.remove();
    shown.forEach(({ kind, size, kernel, bias }, k) => {
      const units = bias.length, row = parent.children[k];
      const side = kind === "dense" ? SIDE : size, inputs = kernel.length / units / (side * side);
      const largest = kernel.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
      row.className = `pictures ${kind} of${units}`;
      while (row.children.length > units * inputs) row.lastChild.remove();
      for (let c = 0, at = 0; c < inputs; c++) {
        for (let u = 0; u < units; u++, at++) {
          const value = (i) => 0.5 + kernel[(i * inputs + c) * units + u] / (2 * largest);
          picture(row, at, side, value, kind === "dense" ? `unit ${u}` : `kernel ${u}, input map ${c}`);
        }
      }
    });
    get("weights-text").textContent = TEXTS[settings().net];
  }

  function drawMistakes(surest) {
    const parent = get("mistakes");
    parent.replaceChildren();
    surest.forEach(({ index, label, answer, sure }) => {
      const figure = document.createElement("figure"), text = document.createElement("figcaption");
      picture(figure, 0, SIDE, (i) => (digits.images[index * SIDE * SIDE + i] + 0.1) / 1.275, "");
      text.textContent = `${label}, taken for ${answer} (${Math.round(100 * sure)} %)`;
      figure.append(text);
      parent.append(figure);
    });
  }

  for (const [name, { title, weights }] of Object.entries(NETS)) {
    get("net").add(new Option(`${title}: ${weights.toLocaleString("en")} weights`, name));
  }
  for (const count of [20, 100, 500, total - held]) {
    get("count").add(new Option(count.toLocaleString("en"), count, count === total - held, count === total - held));
  }
  get("held-count").textContent = held;
  for (const id of ["net", "batch", "count", "seed"]) get(id).addEventListener("change", start);
  get("rate").addEventListener("change", () => worker.postMessage({ rate: settings().rate }));
  get("run").addEventListener("click", () => run(!isRunning));
  get("step").addEventListener("click", () => { run(false); worker.postMessage({ run: 1 }); });
  get("restart").addEventListener("click", start);

  get("try").open = matchMedia("(min-width: 44rem)").matches; // on a phone the curves come first
  window.linkSite(window.sheet.hasSite);
  window.watch = {
    ready: unpack().then(() => {
      worker.postMessage({ digits, held });
      start();
    }),
    get digits() { return digits; },
    get latest() { return latest; },
    run,
  };
})();
