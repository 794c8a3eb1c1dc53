/* The page that looks inside: a kernel over a digit, the units of LeNet-5, the strokes that decide.
 * `window.look` is what tests use, too. Rows and columns are counted from 0 here, from 1 on the page. */
(function () {
  "use strict";

  const SIDE = 28, SIZE = 5, OUT = SIDE - SIZE + 1; // pixels of a digit, of the kernel, of its map
  const { nets: declared, examples, hasSite } = window.course;
  const lenet = window.nets.load(declared.find((net) => net.name === "lenet-5"));
  const layers = lenet.members[0];
  const get = (id) => document.getElementById(id);
  const text = (value, digits = 2) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
  const inside = (value, end) => Math.min(Math.max(value, 0), end - 1);
  const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  let image = new Uint8Array(SIDE * SIDE); // the digit, 0 to 255

  // Pictures: a canvas of 280 pixels, or less, in which each value is a square of one size

  /* Draw `count` values in rows of `width`, white where `value` gives 1 and black where it gives 0. */
  function paint(canvas, count, width, value) {
    const height = Math.ceil(count / width), small = document.createElement("canvas");
    [small.width, small.height] = [width, height];
    const pixels = new ImageData(width, height);
    for (let i = 0; i < count; i++) {
      const grey = 255 * Math.min(1, Math.max(0, value(i)));
      pixels.data.set([grey, grey, grey, 255], 4 * i);
    }
    small.getContext("2d").putImageData(pixels, 0, 0);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
  }

  /* Frame `rows` x `columns` values of a picture of `side` values in a row. */
  function frame(canvas, side, [top, left, rows, columns = rows], colour = "#ff9d2e") {
    const context = canvas.getContext("2d"), cell = canvas.width / side, width = Math.max(2, canvas.width / 90);
    for (const [style, line] of [["#000", width + 2], [colour, width]]) {
      context.strokeStyle = style;
      context.lineWidth = line;
      context.strokeRect(left * cell, top * cell, columns * cell, rows * cell);
    }
  }

  /* Row and column of the value under a pointer in a picture of `width` x `height` values. */
  function place(event, canvas, width, height = width) {
    const box = canvas.getBoundingClientRect();
    const at = (offset, size, count) => inside(Math.floor((offset / size) * count), count);
    return [at(event.clientY - box.top, box.height, height), at(event.clientX - box.left, box.width, width)];
  }

  /* Let mouse, finger and arrow keys move something over a picture: `move([row, column])` when
   * pointed at, `by([rows, columns])` by keys. */
  function steer(canvas, move, by) {
    canvas.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      canvas.focus();
      move(place(event, canvas, SIDE));
    });
    canvas.addEventListener("pointermove", (event) => move(place(event, canvas, SIDE)));
    canvas.addEventListener("keydown", (event) => {
      if (!MOVES[event.key] || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      by(MOVES[event.key]);
    });
  }

  const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

  /* A screen reader hears where things came to rest, not each place on the way. */
  const waiting = {};

  function say(id, said) {
    clearTimeout(waiting[id]);
    waiting[id] = setTimeout(() => (get(id).textContent = said), 500);
  }

  // The window

  const bands = (values) => Array.from({ length: SIZE * SIZE }, (_, i) => values[Math.floor(i / SIZE)]);
  const turned = (kernel) => kernel.map((_, i) => kernel[(i % SIZE) * SIZE + Math.floor(i / SIZE)]);
  const PRESETS = {
    "horizontal strokes": bands([-1, -1, 4, -1, -1]),
    "vertical strokes": turned(bands([-1, -1, 4, -1, -1])),
    "edges: paper above, ink below": bands([-1, -1, 0, 1, 1]),
    "edges: paper left, ink right": turned(bands([-1, -1, 0, 1, 1])),
    "outlines": Array.from({ length: 25 }, (_, i) => (i === 12 ? 24 : -1)),
    "blur: the mean": Array(25).fill(0.04),
    "the pixel itself": Array.from({ length: 25 }, (_, i) => Number(i === 12)),
  };
  const filters = layers[0].bias.length;
  for (let f = 0; f < filters; f++) {
    PRESETS[`LeNet-5's C1, map ${f + 1}, without its bias`] =
      Array.from({ length: 25 }, (_, i) => layers[0].kernel[i * filters + f]);
  }
  const OWN = "your own";
  let kernel = PRESETS["horizontal strokes"].slice();
  let corner = [8, 10]; // of the frame: its first row and column
  let map = []; // the feature map, 24x24

  const ink = (row, column) => image[row * SIDE + column] / 255;

  function pixels([top, left]) {
    return kernel.map((_, i) => ink(top + Math.floor(i / SIZE), left + (i % SIZE)));
  }

  function convolve() {
    map = Array.from({ length: OUT * OUT }, (_, at) =>
      pixels([Math.floor(at / OUT), at % OUT]).reduce((sum, value, i) => sum + value * kernel[i], 0));
  }

  /* Twenty-five numbers in cells; `grey` gives their ground, if they have one. */
  function numbers(id, values, label, grey) {
    const parent = get(id);
    while (parent.children.length < values.length) parent.append(document.createElement("span"));
    values.forEach((value, i) => {
      const cell = parent.children[i], level = grey && Math.round(255 * grey(value));
      cell.textContent = text(value);
      cell.classList.toggle("none", Math.abs(value) < 0.005);
      if (grey) [cell.style.background, cell.style.color] = [`rgb(${level},${level},${level})`, level > 117 ? "#000" : "#fff"];
    });
    parent.setAttribute("aria-label", `${label}: ${values.map((value) => text(value)).join(" ")}`);
  }

  function drawWindow() {
    const seen = pixels(corner), products = seen.map((value, i) => value * kernel[i]);
    const sum = map[corner[0] * OUT + corner[1]], most = Math.max(...map.map(Math.abs), 1e-9);
    paint(get("image"), SIDE * SIDE, SIDE, (i) => image[i] / 255);
    frame(get("image"), SIDE, [...corner, SIZE]);
    paint(get("map"), OUT * OUT, OUT, (i) => 0.5 + map[i] / (2 * most));
    frame(get("map"), OUT, [...corner, 1]);
    numbers("pixels", seen, "Pixels", (value) => value);
    numbers("products", products, "Products");
    get("sum").textContent = `Row ${corner[0] + 1}, column ${corner[1] + 1}: the sum of the 25 products is ${text(sum)}.`;
    say("sum-said", get("sum").textContent);
  }

  function showKernel() {
    kernel.forEach((value, i) => (get("kernel").children[i].value = String(Number(value.toFixed(2)))));
    convolve();
    drawWindow();
  }

  for (let i = 0; i < SIZE * SIZE; i++) {
    const field = document.createElement("input");
    field.inputMode = "decimal";
    field.autocomplete = "off";
    field.setAttribute("aria-label", `Row ${Math.floor(i / SIZE) + 1}, column ${(i % SIZE) + 1}`);
    field.addEventListener("input", () => {
      const value = Number(field.value.replace(",", ".").replace("−", "-"));
      const isNumber = field.value.trim() !== "" && Number.isFinite(value);
      field.setAttribute("aria-invalid", !isNumber);
      if (!isNumber) return;
      kernel[i] = value;
      get("preset").value = OWN;
      convolve();
      drawWindow();
    });
    get("kernel").append(field);
  }
  for (const name of [...Object.keys(PRESETS), OWN]) get("preset").add(new Option(name, name));
  get("preset").addEventListener("change", () => {
    if (PRESETS[get("preset").value]) kernel = PRESETS[get("preset").value].slice();
    showKernel();
  });

  function moveFrame([row, column]) {
    corner = [inside(row, OUT), inside(column, OUT)];
    drawWindow();
  }

  const middle = (at) => at.map((value) => value - (SIZE - 1) / 2);
  steer(get("image"), (at) => moveFrame(middle(at)), (step) => moveFrame(corner.map((value, i) => value + step[i])));

  // The layers. A stage is a layer with the activation after it: what it computes, and its pictures

  const stages = [{ name: "input", title: "Input", kind: "input", out: "input", jump: 1, sees: 1 }];
  for (const layer of layers) {
    const last = stages[stages.length - 1];
    if (layer.kind === "tanh") {
      [last.out, last.isSquashed] = [layer.name, true];
      continue;
    }
    const { jump, sees } = last, stage = { name: layer.name, title: layer.name === "output" ? "Output" : layer.name, kind: layer.kind, layer, out: layer.name, before: last };
    if (layer.kind === "convolution") Object.assign(stage, { jump, sees: sees + (layer.size - 1) * jump });
    else if (layer.kind === "pooling") Object.assign(stage, { jump: 2 * jump, sees: sees + jump });
    else Object.assign(stage, { jump, sees });
    stages.push(stage);
  }
  let computed = {}; // by the layer's name: {maps, shape}
  let chosen = null; // {stage, map, row, column}

  function compute() {
    const input = window.digits.prepare(image, lenet.format, lenet.deslanted), side = Math.sqrt(input.length);
    computed = { input: { maps: input, shape: { height: side, width: side, channels: 1 } } };
    window.nets.logits(lenet, input, (name, maps, shape) => (computed[name] = { maps, shape }));
  }

  const at = ({ maps, shape }, map, row, column) => maps[(row * shape.width + column) * shape.channels + map];

  /* What a unit computes: its inputs with their weights, a list for each map that it sees, the sum
   * of the products, bias, and output; `patch` is where it sees: first row and column, and size. */
  function unit({ stage, map, row, column }) {
    const { layer, before, kind } = stage, source = computed[before.out], { channels } = source.shape;
    let patch = [row, column, layer.size], maps = Array.from({ length: channels }, (_, c) => c);
    if (kind === "pooling") [patch, maps] = [[2 * row, 2 * column, 2], [map]];
    const inputs = maps.map((c) => {
      if (kind === "dense") return { map: 0, values: Array.from(source.maps), weights: Array.from(source.maps, (_, i) => layer.kernel[i * layer.bias.length + map]) };
      const [top, left, size] = patch, values = [], weights = [];
      for (let i = 0; i < size; i++) {
        for (let j = 0; j < size; j++) {
          values.push(at(source, c, top + i, left + j));
          weights.push(kind === "pooling" ? 1 / 4 : layer.kernel[((i * size + j) * channels + c) * layer.bias.length + map]);
        }
      }
      return { map: c, values, weights };
    }).slice(0, kind === "dense" ? 1 : maps.length);
    for (const each of inputs) each.products = each.values.map((value, i) => value * each.weights[i]);
    const sum = inputs.reduce((total, each) => total + each.products.reduce((a, b) => a + b), 0);
    const bias = layer.bias ? layer.bias[map] : 0;
    return { inputs, patch, sum, bias, output: at(computed[stage.out], map, row, column) };
  }

  const isFlat = (stage) => computed[stage.out].shape.width === 1;
  /* Rows of a picture of a layer whose units have no places: C5, F6, output. */
  const columnsOf = (count) => [20, 14, 12, 10].find((each) => count % each === 0) || count;

  const PICTURE = 140; // pixels of the pictures of maps

  /* A row of pictures for each layer, made once. */
  function makeLayers() {
    for (const stage of stages) {
      const { shape } = computed[stage.out], row = document.createElement("div");
      const count = isFlat(stage) ? 1 : shape.channels;
      stage.columns = isFlat(stage) ? columnsOf(shape.channels) : shape.width;
      stage.rows = isFlat(stage) ? shape.channels / stage.columns : shape.height;
      const what = isFlat(stage) ? `${shape.channels} units` : `${count === 1 ? "1 map" : `${count} maps`} of ${shape.height}x${shape.width}`;
      row.className = `layer of${count}${isFlat(stage) ? " flat" : ""}`;
      row.innerHTML = `<h3>${stage.title}: ${what}</h3><div class="pictures"></div>`;
      const pictures = row.querySelector(".pictures");
      stage.pictures = Array.from({ length: count }, (_, map) => {
        const picture = document.createElement("canvas");
        picture.width = isFlat(stage) ? 14 * stage.columns : PICTURE;
        picture.height = (picture.width * stage.rows) / stage.columns;
        if (stage.kind !== "input") {
          const point = (event) => choose(unitAt(stage, map, ...place(event, picture, stage.columns, stage.rows)));
          picture.addEventListener("click", point);
          picture.addEventListener("pointermove", (event) => event.buttons && point(event));
        }
        pictures.append(picture);
        return picture;
      });
      if (stage.kind !== "input") {
        pictures.tabIndex = 0;
        pictures.setAttribute("role", "application");
        pictures.setAttribute("aria-label", `${stage.title}, ${what}: arrow keys choose a unit`);
        pictures.setAttribute("aria-describedby", "unit-said");
        pictures.addEventListener("focus", () => { if (chosen.stage !== stage) choose({ stage, map: 0, row: 0, column: 0 }); });
        pictures.addEventListener("keydown", (event) => {
          if (event.altKey || event.ctrlKey || event.metaKey) return;
          if (MOVES[event.key]) choose(neighbour(chosen, MOVES[event.key]));
          else if (event.key === "PageDown" && !isFlat(stage)) choose({ ...chosen, map: inside(chosen.map + 1, count) });
          else if (event.key === "PageUp" && !isFlat(stage)) choose({ ...chosen, map: inside(chosen.map - 1, count) });
          else return;
          event.preventDefault();
        });
      } else pictures.setAttribute("role", "img"), pictures.setAttribute("aria-label", "What the net gets: the digit in 32x32 pixels");
      stage.row = row;
      get("net").append(row);
    }
  }

  /* The unit that a picture shows in this row and column. */
  function unitAt(stage, map, row, column) {
    return isFlat(stage) ? { stage, map: row * stage.columns + column, row: 0, column: 0 } : { stage, map, row, column };
  }

  function neighbour({ stage, map, row, column }, [down, right]) {
    const { columns, rows } = stage;
    if (!isFlat(stage)) return { stage, map, row: inside(row + down, rows), column: inside(column + right, columns) };
    return unitAt(stage, 0, inside(Math.floor(map / columns) + down, rows), inside((map % columns) + right, columns));
  }

  function choose(next) {
    chosen = next;
    drawLayers();
    drawUnit();
    placeUnit();
  }

  /* What the unit computes stands beside the layers; on a phone below the layer that it is in. */
  const phone = matchMedia("(max-width: 44rem)");

  function placeUnit() {
    const parent = phone.matches ? get("net") : document.querySelector(".inspect");
    const before = phone.matches ? chosen.stage.row.nextSibling : null;
    if (get("unit").parentNode !== parent || (before !== get("unit") && get("unit").nextSibling !== before)) {
      parent.insertBefore(get("unit"), before);
    }
  }

  phone.addEventListener("change", placeUnit);

  function drawLayers() {
    for (const stage of stages) {
      const { maps, shape } = computed[stage.out], isInput = stage.kind === "input";
      const most = stage.isSquashed ? 1 : Math.max(...Array.from(maps, Math.abs), 1e-9);
      stage.pictures.forEach((picture, map) => {
        const value = isFlat(stage) ? (i) => maps[i] : (i) => maps[i * shape.channels + map];
        const grey = isInput ? (i) => (value(i) + 0.1) / 1.275 : (i) => 0.5 + value(i) / (2 * most);
        paint(picture, stage.columns * stage.rows, stage.columns, grey);
        if (!stage.isSquashed && isFlat(stage)) digitsIn(picture, grey);
      });
    }
    const { stage, map, row, column } = chosen, { before } = stage, { patch, inputs } = unit(chosen);
    if (isFlat(stage)) frame(stage.pictures[0], stage.columns, [Math.floor(map / stage.columns), map % stage.columns, 1]);
    else frame(stage.pictures[map], stage.columns, [row, column, 1]);
    const whole = [0, 0, before.rows, before.columns];
    for (const each of inputs) frame(before.pictures[each.map], before.columns, stage.kind === "dense" ? whole : patch);
    if (before.kind === "input") return;
    const { sees, jump } = stage, [input] = stages;
    frame(input.pictures[0], input.columns, [row * jump, column * jump, sees]);
  }

  /* The ten digits in the cells of the output. */
  function digitsIn(picture, grey) {
    const context = picture.getContext("2d"), cell = picture.width / 10;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    for (let digit = 0; digit < 10; digit++) {
      context.fillStyle = grey(digit) > 0.46 ? "#000" : "#fff";
      context.fillText(digit, (digit + 0.5) * cell, picture.height - 3);
    }
  }

  function unitPicture(values, columns, grey, label, withNumbers) {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas");
    const rows = values.length / columns;
    canvas.width = 200;
    canvas.height = (200 * rows) / columns;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    paint(canvas, values.length, columns, (i) => grey(values[i]));
    if (withNumbers) {
      const context = canvas.getContext("2d"), cell = 200 / columns;
      context.font = `${Math.min(13, cell / 3.5)}px system-ui, sans-serif`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      values.forEach((value, i) => {
        context.fillStyle = grey(value) > 0.46 ? "#000" : "#fff";
        context.fillText(text(value), ((i % columns) + 0.5) * cell, (Math.floor(i / columns) + 0.5) * cell);
      });
    }
    figure.append(canvas);
    return figure;
  }

  function drawUnit() {
    const { stage, map, row, column } = chosen, { inputs, sum, bias, output } = unit(chosen);
    const { before } = stage, count = inputs.length * inputs[0].values.length;
    const where = isFlat(stage) ? "" : `, row ${row + 1}, column ${column + 1}`;
    get("unit-title").textContent = stage.kind === "dense" && !stage.isSquashed
      ? `Output for the digit ${map}`
      : `${stage.title}, ${isFlat(stage) ? "unit" : "map"} ${map + 1}${where}`;
    const squashed = stage.isSquashed ? `; tanh makes it ${text(output)}` : "";
    get("unit-text").textContent = stage.kind === "pooling"
      ? `The mean of 4 values of map ${map + 1} of ${before.title} is ${text(sum)}${squashed}.`
      : `It has ${count} inputs. Their products with the weights add up to ${text(sum)}; with the bias, ${text(bias)}, ` +
        `that is ${text(sum + bias)}${squashed}.` + (stage.isSquashed ? "" : ` Softmax: ${probability(map)}.`);
    say("unit-said", `${get("unit-title").textContent}. ${get("unit-text").textContent}`);
    const all = (key) => Math.max(...inputs.flatMap((each) => each[key].map(Math.abs)), 1e-9);
    const most = { weights: all("weights"), products: all("products") }, isNumbered = inputs[0].values.length <= 25 && inputs.length === 1;
    const greys = {
      values: before.kind === "input" ? (v) => (v + 0.1) / 1.275 : (v) => 0.5 + v / 2,
      weights: (v) => 0.5 + v / (2 * most.weights),
      products: (v) => 0.5 + v / (2 * most.products),
    };
    get("unit-inputs").replaceChildren(...inputs.map((each) => {
      const line = document.createElement("div"), total = each.products.reduce((a, b) => a + b);
      line.className = isNumbered ? "line numbered" : "line";
      const columns = stage.kind === "dense" ? before.columns : Math.sqrt(each.values.length);
      const from = inputs.length > 1 || stage.kind === "pooling" ? `map ${each.map + 1} of ${before.title}` : before.title;
      for (const [key, label] of [["values", from], ["weights", "weights"], ["products", `products: sum ${text(total)}`]]) {
        const figure = unitPicture(each[key], columns, greys[key], label, isNumbered), caption = document.createElement("figcaption");
        caption.textContent = label;
        figure.append(caption);
        line.append(figure);
      }
      return line;
    }));
  }

  function probability(digit) {
    return `${(100 * window.nets.softmax(Array.from(computed.output.maps))[digit]).toFixed(1)} %`;
  }

  for (const [key, label, sign] of [["ArrowLeft", "left", "←"], ["ArrowUp", "up", "↑"], ["ArrowDown", "down", "↓"], ["ArrowRight", "right", "→"]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = sign;
    button.setAttribute("aria-label", `The unit ${key === "ArrowUp" ? "above" : key === "ArrowDown" ? "below" : `to the ${label}`}`);
    button.addEventListener("click", () => choose(neighbour(chosen, MOVES[key])));
    get("unit-moves").append(button);
  }

  // The strokes that decide

  let square = 5, spot = [14, 14], isMoved = false, leads = [], first = null, run = 0;

  /* The digit with a square around a pixel wiped out, as far as it lies in the picture. */
  function wiped([row, column]) {
    const result = image.slice(), reach = (square - 1) / 2;
    for (let y = Math.max(0, row - reach); y <= Math.min(SIDE - 1, row + reach); y++) {
      result.fill(0, y * SIDE + Math.max(0, column - reach), y * SIDE + Math.min(SIDE, column + reach + 1));
    }
    return result;
  }

  function answer(digit) {
    return window.nets.logits(lenet, window.digits.prepare(digit, lenet.format, lenet.deslanted));
  }

  function lead(logits, best) {
    return logits[best] - Math.max(...logits.filter((_, digit) => digit !== best));
  }

  /* Wipe out a square at each place, for 25 ms at a time. Where it has no ink nothing changes. */
  function occlude() {
    const mine = ++run, logits = answer(image), best = logits.indexOf(Math.max(...logits));
    first = { best, lead: lead(logits, best) };
    leads = [];
    look.occluded = new Promise((resolve) => {
      function work() {
        if (mine !== run) return;
        const until = performance.now() + 25;
        while (leads.length < SIDE * SIDE && performance.now() < until) {
          const digit = wiped([Math.floor(leads.length / SIDE), leads.length % SIDE]);
          const isSame = digit.every((value, i) => value === image[i]);
          leads.push(isSame ? first.lead : lead(answer(digit), best));
        }
        const isDone = leads.length === SIDE * SIDE, most = leads.indexOf(Math.min(...leads));
        if (isDone && !isMoved) spot = [Math.floor(most / SIDE), most % SIDE];
        drawStrokes();
        if (isDone) resolve(leads);
        else setTimeout(work, 0);
      }
      work();
    });
  }

  function drawStrokes() {
    const canvas = get("deciding"), context = canvas.getContext("2d"), cell = canvas.width / SIDE;
    const changes = leads.map((each) => each - first.lead), most = Math.max(...changes.map(Math.abs), 1e-9);
    paint(canvas, SIDE * SIDE, SIDE, (i) => image[i] / 255);
    changes.forEach((change, i) => {
      const share = Math.abs(change) / most, [x, y] = [(i % SIDE) * cell, Math.floor(i / SIDE) * cell];
      if (share < 0.03) return;
      context.globalAlpha = 0.15 + 0.75 * share;
      if (change < 0) {
        context.fillStyle = "#f08000";
        context.fillRect(x, y, cell, cell);
      } else {
        context.fillStyle = "#3d9bff";
        for (let stripe = 0; stripe < cell; stripe += 4) context.fillRect(x, y + stripe, cell, 2);
      }
    });
    context.globalAlpha = 1;
    const reach = (square - 1) / 2;
    frame(canvas, SIDE, [spot[0] - reach, spot[1] - reach, square], "#fff");
    const rest = wiped(spot), logits = answer(rest), now = logits.indexOf(Math.max(...logits));
    paint(get("wiped"), SIDE * SIDE, SIDE, (i) => rest[i] / 255);
    frame(get("wiped"), SIDE, [spot[0] - reach, spot[1] - reach, square], "#fff");
    const share = (100 * window.nets.softmax(logits)[first.best]).toFixed(1);
    get("stroke-text").textContent =
      `The whole digit: a ${first.best}, with a lead of ${text(first.lead, 1)}. Without the square: ` +
      `${now === first.best ? "still" : "now"} a ${now}; the ${first.best} has ${share} % and a lead of ${text(lead(logits, first.best), 1)}.`;
    say("stroke-said", get("stroke-text").textContent);
  }

  function moveSquare(place) {
    [spot, isMoved] = [place.map((value) => inside(value, SIDE)), true];
    drawStrokes();
  }

  steer(get("deciding"), moveSquare, (step) => moveSquare(spot.map((value, i) => value + step[i])));
  get("square").addEventListener("change", () => {
    square = Number(get("square").value);
    occlude();
  });

  // The digit

  function show(next, said, button) {
    [image, isMoved] = [next, false];
    document.querySelectorAll(".examples button").forEach((each) => each.setAttribute("aria-pressed", each === button));
    get("digit-text").textContent = said;
    compute();
    convolve();
    drawWindow();
    if (!chosen) {
      makeLayers();
      chosen = { stage: stages[3], map: 0, row: 4, column: 4 };
    }
    choose(chosen);
    occlude();
  }

  const buttons = examples.map((example, number) => {
    const button = document.createElement("button"), picture = document.createElement("canvas");
    const pixels = bytes(example.image);
    button.type = "button";
    button.setAttribute("aria-label", `Example: ${example.label}`);
    [picture.width, picture.height] = [SIDE, SIDE];
    paint(picture, SIDE * SIDE, SIDE, (i) => pixels[i] / 255);
    button.append(picture);
    button.addEventListener("click", () => show(bytes(examples[number].image), `A ${example.label} of MNIST's test set.`, button));
    get("drawing").before(button);
    return button;
  });

  let drawn = null; // what the drawing page keeps
  try {
    drawn = bytes(localStorage.getItem("drawing") || "");
  } catch (error) { /* a browser that keeps nothing, or something else under this name */ }
  if (drawn && drawn.length === 784) {
    get("drawing").hidden = false;
    get("drawing").addEventListener("click", () => show(drawn, "What you drew last, in MNIST's size.", get("drawing")));
  }

  window.linkSite(hasSite);

  const look = {
    get map() { return map; },
    get layers() { return computed; },
    unit: (name, map, row, column) => unit({ stage: stages.find((each) => each.name === name), map, row, column }),
    chosen: () => ({ ...chosen, stage: chosen.stage.name }),
    corner: () => corner,
    spot: () => spot,
    occluded: null,
  };
  window.look = look;
  get("preset").value = "horizontal strokes";
  showKernel();
  if (drawn) get("drawing").click();
  else buttons[14].click();
})();
