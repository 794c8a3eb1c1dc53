/* The page: drawing, examples, answers. `window.pad` is what tests use, too. */
(function () {
  "use strict";

  const PEN = 22; // pixels of 280: a stroke of MNIST is two to three pixels of 28 wide
  const DIGIT = 200; // pixels of 280 that a digit fills: 20 of MNIST's 28
  const FAINT = 16 / 255; // less is no ink: some browsers add noise when a canvas is read
  const { nets: declared, examples, uncertainBelow } = window.course;
  const trained = declared.map((net) => window.nets.load(net));
  const canvas = document.getElementById("pad");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const side = canvas.width;
  const page = document.createElement("canvas"); // the drawing in one size, which the nets see
  page.width = page.height = side;
  const sheet = page.getContext("2d", { willReadFrequently: true });
  let items = []; // what is drawn: strokes, which are lists of points, and examples
  let before = []; // what undo goes back to: earlier `items`
  let isScheduled = false; // the answer, once for all that happens before the next picture

  function redraw() {
    blank(context);
    items.forEach((item) => paint(context, item, (point) => point));
    schedule();
  }

  function schedule() {
    if (!isScheduled) requestAnimationFrame(answer);
    isScheduled = true;
  }

  function blank(target) {
    target.fillStyle = "#000";
    target.fillRect(0, 0, side, side);
  }

  function paint(target, item, place) {
    if (item.example) {
      paintExample(target, item.example);
      return;
    }
    target.strokeStyle = "#fff";
    target.lineWidth = PEN;
    target.lineCap = target.lineJoin = "round";
    target.beginPath();
    const points = item.points.map(place);
    target.moveTo(...points[0]);
    points.forEach((point) => target.lineTo(point[0] + 0.01, point[1]));
    target.stroke();
  }

  function paintExample(target, example) {
    const size = side / 28;
    bytes(example.image).forEach((value, i) => {
      target.fillStyle = `rgb(${value},${value},${value})`;
      target.fillRect((i % 28) * size, Math.floor(i / 28) * size, size, size);
    });
  }

  function bytes(base64) {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  }

  /* The drawing, 0 to 1, row after row. Strokes are drawn as large as a digit of MNIST, with a pen
   * of one width: scaled as pictures, a small digit would have bold strokes and a large one thin. */
  function ink() {
    blank(sheet);
    const points = items.flatMap((item) => item.points || []);
    let place = (point) => point;
    if (points.length && !items.some((item) => item.example)) {
      let [left, right, top, bottom] = [side, 0, side, 0];
      for (const [x, y] of points) {
        [left, right] = [Math.min(left, x), Math.max(right, x)];
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
      }
      const scale = Math.min((DIGIT - PEN) / Math.max(right - left, bottom - top, 1), 12);
      const [middleX, middleY] = [(left + right) / 2, (top + bottom) / 2];
      place = ([x, y]) => [side / 2 + scale * (x - middleX), side / 2 + scale * (y - middleY)];
    }
    items.forEach((item) => paint(sheet, item, place));
    const pixels = sheet.getImageData(0, 0, side, side).data;
    const value = (i) => (pixels[4 * i] < 255 * FAINT ? 0 : pixels[4 * i] / 255);
    return Float32Array.from({ length: side * side }, (_, i) => value(i));
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
      say("Draw a digit from 0 to 9.");
      return;
    }
    const best = mean.indexOf(Math.max(...mean));
    latest.digit = best;
    latest.probability = mean[best];
    latest.uncertain = mean[best] < uncertainBelow;
    say(latest.uncertain
      ? `Uncertain: the nets do not agree that this is a digit (nearest: ${best}).`
      : `This is a ${best}.`);
  }

  /* The answer changes while one draws; it is announced once, when the pen has been lifted. */
  let announcement = 0;

  function say(text) {
    answered.textContent = text;
    clearTimeout(announcement);
    announcement = setTimeout(() => {
      if (!current && !typed) document.getElementById("announced").textContent = text;
      keep();
    }, 500);
  }

  /* The page that looks inside takes the last drawing from here. */
  function keep() {
    try {
      if (latest) localStorage.setItem("drawing", btoa(String.fromCharCode(...latest.image)));
    } catch (error) { /* a browser that keeps nothing: that page has the examples */ }
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

  let current = null; // the stroke under the pointer
  let cursor = [side / 2, side / 2]; // the pen of the keyboard
  let typed = null; // the stroke that the keyboard draws

  /* Change what is drawn; undo goes back to what was there. No pen goes on with what it began. */
  function change(next) {
    before.push(items);
    items = next;
    typed = current = null;
    redraw();
  }

  function undo() {
    items = before.pop() || [];
    typed = current = null;
    redraw();
  }

  function clear() {
    if (items.length) change([]);
    else redraw();
  }

  function showExample(number) {
    change([{ example: examples[number] }]);
  }

  /* The last piece of a stroke alone: redrawing everything would take longer with each stroke. */
  function extend(stroke, point) {
    const last = stroke.points[stroke.points.length - 1];
    stroke.points.push(point);
    paint(context, { points: [last, point] }, (each) => each);
    schedule();
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
    const stroke = { points: [place(event)], pointer: event.pointerId };
    change([...items, stroke]);
    current = stroke;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!current || event.pointerId !== current.pointer) return;
    extend(current, place(event));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      if (!current || event.pointerId !== current.pointer) return;
      current = null;
      schedule();
    });
  }

  const MOVES = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] };

  /* The letter of a key, whatever the case; where the layout has no Latin letters, by its place. */
  function letter(event) {
    return (/^[a-z]$/i.test(event.key) ? event.key : event.code.replace(/^Key/, "")).toLowerCase();
  }

  canvas.addEventListener("keydown", (event) => {
    if (event.altKey) return;
    if (event.ctrlKey || event.metaKey) {
      if (letter(event) !== "z") return;
      undo();
    } else if (MOVES[event.key]) {
      const inside = (value) => Math.min(Math.max(value, 0), side);
      cursor = cursor.map((value, i) => inside(value + MOVES[event.key][i]));
      if (typed) extend(typed, cursor);
      showCursor();
    } else if (event.key === " ") {
      if (typed) {
        typed = null;
        schedule();
      } else {
        const stroke = { points: [cursor] };
        change([...items, stroke]);
        typed = stroke;
      }
      showCursor();
    } else if (letter(event) === "u" || event.key === "Backspace") undo();
    else if (letter(event) === "c" || event.key === "Delete") clear();
    else if (/^(Digit|Numpad)?[0-9]$/.test(event.key) || /^(Digit|Numpad)[0-9]$/.test(event.code)) {
      const digit = Number(/^[0-9]$/.test(event.key) ? event.key : event.code.slice(-1));
      showExample(examples.findIndex((example) => example.label === digit));
    } else return;
    event.preventDefault();
  });

  const mark = document.getElementById("cursor");

  function showCursor() {
    mark.hidden = false;
    mark.className = typed ? "down" : "";
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
  window.linkSite(window.course.hasSite);
  window.pad = {
    ink, clear, undo, showExample, answer, latest: () => latest, count: () => items.length,
    points: () => items.reduce((sum, item) => sum + (item.points || []).length, 0),
  };
  redraw();
})();
