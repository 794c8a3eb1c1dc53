/* The page: drawing, examples, answers. `window.pad` is what tests use, too. */
(function () {
  "use strict";

  const PEN = 22; // pixels of 280: a stroke of MNIST is two to three pixels of 28 wide
  const { nets: declared, examples, uncertainBelow } = window.course;
  const trained = declared.map((net) => window.nets.load(net));
  const canvas = document.getElementById("pad");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const side = canvas.width;
  let items = []; // what is drawn: strokes, which are lists of points, and examples
  let isScheduled = false; // the answer, once for all that happens before the next picture

  function redraw() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, side, side);
    items.forEach(paint);
    if (!isScheduled) requestAnimationFrame(answer);
    isScheduled = true;
  }

  function paint(item) {
    if (item.example) {
      paintExample(item.example);
      return;
    }
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    const [first, ...others] = item.points;
    context.moveTo(...first);
    others.forEach((point) => context.lineTo(...point));
    if (!others.length) context.lineTo(first[0] + 0.01, first[1]);
    context.stroke();
  }

  function paintExample(example) {
    const size = side / 28;
    bytes(example.image).forEach((value, i) => {
      context.fillStyle = `rgb(${value},${value},${value})`;
      context.fillRect((i % 28) * size, Math.floor(i / 28) * size, size, size);
    });
  }

  function bytes(base64) {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  }

  /* The drawing, 0 to 1, row after row. */
  function ink() {
    const pixels = context.getImageData(0, 0, side, side).data;
    return Float32Array.from({ length: side * side }, (_, i) => pixels[4 * i] / 255);
  }

  // Answers

  const answered = document.getElementById("answer");
  const rows = trained.map((net) => row(net));
  let latest = null; // of the drawing: its 28x28 image, and each net's logits

  function row(net) {
    const element = document.createElement("div");
    element.className = "net";
    element.innerHTML =
      '<p><strong></strong><span class="note"></span></p><div class="bars" aria-hidden="true"></div>';
    element.querySelector("strong").textContent = net.title;
    const bars = element.querySelector(".bars");
    for (let digit = 0; digit < 10; digit++) {
      const bar = document.createElement("div");
      bar.innerHTML = '<div class="column"><span style="height:0"></span></div>' + digit;
      bars.append(bar);
    }
    document.getElementById("nets").append(element);
    return element;
  }

  function show(element, net, probabilities) {
    const best = probabilities ? probabilities.indexOf(Math.max(...probabilities)) : -1;
    const error = `test error ${net.testError} %`;
    element.querySelector(".note").textContent = probabilities
      ? `${best} (${(100 * probabilities[best]).toFixed(0)} %); ${error}`
      : error;
    element.querySelectorAll(".bars > div").forEach((bar, digit) => {
      const share = probabilities ? probabilities[digit] : 0;
      bar.classList.toggle("best", digit === best);
      bar.querySelector("span").style.height = `${(100 * share).toFixed(1)}%`;
    });
  }

  function answer() {
    isScheduled = false;
    const image = window.digits.normalise(ink(), side, side);
    latest = image && { image, logits: [] };
    drawMap(document.getElementById("input"), image || new Uint8Array(784), 28, 0, 255);
    const mean = new Array(10).fill(0);
    trained.forEach((net, i) => {
      let probabilities = null;
      if (image) {
        const input = window.digits.prepare(image, net.format, net.deslanted);
        const seen = net.showsMaps ? showMaps : undefined;
        const logits = window.nets.logits(net, input, seen);
        latest.logits.push(logits);
        probabilities = window.nets.softmax(logits);
        probabilities.forEach((p, digit) => (mean[digit] += p / trained.length));
      }
      show(rows[i], net, probabilities);
    });
    if (!image) {
      clearMaps();
      answered.textContent = "Draw a digit from 0 to 9.";
      return;
    }
    const best = mean.indexOf(Math.max(...mean));
    latest.digit = best;
    latest.probability = mean[best];
    latest.uncertain = mean[best] < uncertainBelow;
    answered.textContent = latest.uncertain
      ? `Uncertain: the nets do not agree that this is a digit (nearest: ${best}).`
      : `This is a ${best}.`;
  }

  // Pictures of maps

  const mapPictures = {};

  function drawMap(target, values, width, lowest, highest) {
    target.width = target.height = width;
    const picture = target.getContext("2d").createImageData(width, width);
    const range = highest - lowest || 1;
    for (let i = 0; i < width * width; i++) {
      const grey = (255 * (values[i] - lowest)) / range;
      picture.data.set([grey, grey, grey, 255], 4 * i);
    }
    target.getContext("2d").putImageData(picture, 0, 0);
  }

  const SHOWN = { X1: "C1", S2: "S2", X3: "C3", S4: "S4" }; // after the activation

  function showMaps(name, maps, shape) {
    if (!SHOWN[name]) return;
    const pictures = mapPictures[name] || (mapPictures[name] = rowOfMaps(name, shape));
    pictures.forEach((picture, map) => {
      const values = [];
      for (let i = map; i < maps.length; i += shape.channels) values.push(maps[i]);
      drawMap(picture, values, shape.width, -1, 1);
    });
  }

  function rowOfMaps(name, shape) {
    const line = document.createElement("div");
    line.className = "maps";
    line.innerHTML = `<b>${SHOWN[name]}</b>`;
    line.setAttribute("role", "img");
    const size = `${shape.height}x${shape.width}`;
    line.setAttribute("aria-label", `${SHOWN[name]}: ${shape.channels} maps of ${size}`);
    document.getElementById("maps").append(line);
    return Array.from({ length: shape.channels }, () => {
      const picture = document.createElement("canvas");
      picture.style.width = picture.style.height = `${shape.width > 20 ? 56 : 36}px`;
      line.append(picture);
      return picture;
    });
  }

  function clearMaps() {
    Object.values(mapPictures).flat().forEach((picture) => {
      drawMap(picture, new Float32Array(picture.width ** 2), picture.width, -1, 1);
    });
  }

  // Drawing

  let current = null; // the stroke under the pen
  let cursor = [side / 2, side / 2]; // the pen of the keyboard
  let isDown = false;

  function add(item) {
    items.push(item);
    redraw();
    return item;
  }

  function undo() {
    items.pop();
    isDown = false;
    redraw();
  }

  function clear() {
    items = [];
    isDown = false;
    redraw();
  }

  function showExample(number) {
    items = [];
    add({ example: examples[number] });
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    const scale = side / canvas.clientWidth;
    const x = event.clientX - box.left - canvas.clientLeft;
    const y = event.clientY - box.top - canvas.clientTop;
    return [x * scale, y * scale];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || current) return;
    event.preventDefault();
    canvas.focus();
    try {
      canvas.setPointerCapture(event.pointerId);
    } catch {
      // a pointer that has gone already
    }
    current = { points: [place(event)], pointer: event.pointerId };
    add(current);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!current || event.pointerId !== current.pointer) return;
    current.points.push(place(event));
    redraw();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      if (current && event.pointerId === current.pointer) current = null;
    });
  }

  const MOVES = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] };

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key === "z" && !event.altKey) undo();
      else return;
    } else if (MOVES[event.key]) {
      const inside = (value) => Math.min(Math.max(value, 0), side);
      cursor = cursor.map((value, i) => inside(value + MOVES[event.key][i]));
      if (isDown) items[items.length - 1].points.push(cursor);
      redraw();
      showCursor();
    } else if (event.key === " ") {
      isDown = !isDown;
      if (isDown) add({ points: [cursor] });
      showCursor();
    } else if (event.key === "u" || event.key === "Backspace") undo();
    else if (event.key === "c" || event.key === "Delete") clear();
    else if (/^[0-9]$/.test(event.key)) {
      showExample(examples.findIndex((example) => example.label === Number(event.key)));
    } else return;
    event.preventDefault();
  });

  const mark = document.getElementById("cursor");

  function showCursor() {
    mark.hidden = false;
    mark.className = isDown ? "down" : "";
    mark.style.left = `${(100 * cursor[0]) / side}%`;
    mark.style.top = `${(100 * cursor[1]) / side}%`;
  }

  canvas.addEventListener("blur", () => (mark.hidden = true));
  document.getElementById("undo").addEventListener("click", undo);
  document.getElementById("clear").addEventListener("click", clear);
  examples.forEach((example, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Example: ${example.label}`);
    const picture = document.createElement("canvas");
    drawMap(picture, bytes(example.image), 28, 0, 255);
    button.append(picture);
    button.addEventListener("click", () => showExample(number));
    document.querySelector(".examples").append(button);
  });
  if (!window.course.hasSite) document.getElementById("home").remove();
  window.pad = { ink, clear, undo, showExample, answer, latest: () => latest, count: () => items.length };
  redraw();
})();
