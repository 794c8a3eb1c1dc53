/* From a drawing to the input of a net: the same steps, with the same results, as cnnlib.digits
 * and cnnlib.preprocessing. Images are flat arrays, row after row. */
(function (root) {
  "use strict";

  const SIDE = 28; // of an MNIST image
  const BOX = 20; // a digit is scaled to fit this many pixels on a side

  function roundHalfToEven(value) {
    const floor = Math.floor(value);
    const rest = value - floor;
    if (rest !== 0.5) return Math.round(value);
    return floor % 2 === 0 ? floor : floor + 1;
  }

  /* The smallest rectangle with all pixels above zero, or null if there is none. */
  function boundingBox(image, width, height) {
    let top = height, bottom = -1, left = width, right = -1;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (image[y * width + x] > 0) {
          top = Math.min(top, y);
          bottom = y;
          left = Math.min(left, x);
          right = Math.max(right, x);
        }
      }
    }
    return bottom < 0 ? null : { top, left, width: right - left + 1, height: bottom - top + 1 };
  }

  function cut(image, width, box) {
    const result = new Float32Array(box.width * box.height);
    for (let y = 0; y < box.height; y++) {
      for (let x = 0; x < box.width; x++) {
        result[y * box.width + x] = image[(box.top + y) * width + box.left + x];
      }
    }
    return result;
  }

  /* For each new pixel the first old pixel and how many: those with their centre in its area. */
  function areas(before, after) {
    const scale = before / after;
    const found = [];
    for (let i = 0; i < after; i++) {
      const centre = (i + 0.5) * scale;
      const first = Math.max(0, Math.trunc(centre - scale / 2 + 0.5));
      const last = Math.min(before, Math.trunc(centre + scale / 2 + 0.5));
      const inside = [];
      for (let x = first; x < last; x++) {
        const offset = (x - centre + 0.5) / scale;
        if (offset > -0.5 && offset <= 0.5) inside.push(x);
      }
      found.push(inside);
    }
    return found;
  }

  /* Shrink as Pillow's box filter does: columns first, then rows, in float32 between them. */
  function shrink(image, width, height, newWidth, newHeight) {
    const columns = areas(width, newWidth);
    const rows = areas(height, newHeight);
    const narrow = new Float32Array(newWidth * height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < newWidth; x++) {
        const share = 1 / columns[x].length;
        let sum = 0;
        for (const i of columns[x]) sum += image[y * width + i] * share;
        narrow[y * newWidth + x] = sum;
      }
    }
    const result = new Float32Array(newWidth * newHeight);
    for (let y = 0; y < newHeight; y++) {
      const share = 1 / rows[y].length;
      for (let x = 0; x < newWidth; x++) {
        let sum = 0;
        for (const i of rows[y]) sum += narrow[i * newWidth + x] * share;
        result[y * newWidth + x] = sum;
      }
    }
    return result;
  }

  /* Move a digit in 28x28 so that its centre of mass is at row and column 14, counted from 0. */
  function centreByMass(box, width, height) {
    const total = Math.max(box.reduce((sum, value) => sum + value, 0), 1);
    let rowMean = 0, columnMean = 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        rowMean += (box[y * width + x] / total) * y;
        columnMean += (box[y * width + x] / total) * x;
      }
    }
    const place = (mean, side) =>
      Math.min(Math.max(roundHalfToEven(14 - mean), 0), SIDE - side);
    const top = place(rowMean, height), left = place(columnMean, width);
    const result = new Uint8Array(SIDE * SIDE);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        result[(top + y) * SIDE + left + x] = box[y * width + x];
      }
    }
    return result;
  }

  /* Return a drawing (0 to 1, ink is 1) as MNIST would show it: 28x28, 0 to 255; null if empty. */
  function normalise(ink, width, height) {
    const box = boundingBox(ink, width, height);
    if (!box) return null;
    const longest = Math.max(box.width, box.height);
    if (longest < BOX) return null; // a speck
    const scale = BOX / longest;
    const newWidth = Math.max(1, roundHalfToEven(box.width * scale));
    const newHeight = Math.max(1, roundHalfToEven(box.height * scale));
    const full = cut(ink, width, box).map((value) => 255 * value);
    const small = shrink(full, box.width, box.height, newWidth, newHeight);
    const whole = small.map((value) => Math.min(Math.max(roundHalfToEven(value), 0), 255));
    return centreByMass(whole, newWidth, newHeight);
  }

  /* Shear a digit so that its principal axis is vertical and in the middle of the columns. */
  function deslant(image) {
    const f = Math.fround;
    let mass = 0, rowSum = 0, columnSum = 0;
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        const ink = image[y * SIDE + x];
        mass += ink;
        rowSum += ink * y;
        columnSum += ink * x;
      }
    }
    mass = Math.max(mass, 1);
    const centre = f(columnSum / mass);
    const rowCentre = f(rowSum / mass);
    let mu11 = 0, mu02 = 0;
    for (let y = 0; y < SIDE; y++) {
      const offset = f(y - rowCentre);
      for (let x = 0; x < SIDE; x++) {
        mu11 += image[y * SIDE + x] * offset * f(x - centre);
        mu02 += image[y * SIDE + x] * offset * offset;
      }
    }
    const slope = f(f(mu11) / Math.max(f(mu02), 1));
    const result = new Uint8Array(SIDE * SIDE);
    for (let y = 0; y < SIDE; y++) {
      const shift = f(f(f(slope * f(y - rowCentre)) + centre) - (SIDE - 1) / 2);
      const at = (x) => (x < 0 || x >= SIDE ? 0 : image[y * SIDE + x]);
      for (let x = 0; x < SIDE; x++) {
        const source = f(x + shift);
        const left = Math.floor(source);
        const share = f(source - left);
        const moved = f(f(at(left) * f(1 - share)) + f(at(left + 1) * share));
        result[y * SIDE + x] = roundHalfToEven(moved);
      }
    }
    return result;
  }

  /* Return a digit's bounding box centred in 20x20; of a deslanted digit the middle columns. */
  function cropTo20(image, middleColumns) {
    const box = boundingBox(image, SIDE, SIDE);
    const result = new Uint8Array(BOX * BOX);
    if (!box) return result;
    const top = box.top - Math.floor((BOX - box.height) / 2);
    const left = middleColumns ? (SIDE - BOX) / 2 : box.left - Math.floor((BOX - box.width) / 2);
    for (let y = 0; y < BOX; y++) {
      for (let x = 0; x < BOX; x++) {
        const row = top + y, column = left + x;
        const inside = row >= 0 && row < SIDE && column >= 0 && column < SIDE;
        result[y * BOX + x] = inside ? image[row * SIDE + column] : 0;
      }
    }
    return result;
  }

  /* Put an image into the middle of a larger one. */
  function pad(image, side, around) {
    const large = side + 2 * around;
    const result = new Uint8Array(large * large);
    for (let y = 0; y < side; y++) {
      result.set(image.subarray(y * side, (y + 1) * side), (y + around) * large + around);
    }
    return result;
  }

  /* LeNet-1's input: the 20x20 box shrunk to 16x16 by area, in the middle of 28x28. */
  function digit16In28(image) {
    const box = cropTo20(image, false);
    const share = [];
    for (let i = 0; i < 16; i++) {
      share.push([]);
      for (let j = 0; j < BOX; j++) {
        const from = Math.max(j, 1.25 * i), to = Math.min(j + 1, 1.25 * (i + 1));
        share[i].push(Math.max(0, to - from) / 1.25);
      }
    }
    const small = new Uint8Array(16 * 16);
    for (let i = 0; i < 16; i++) {
      for (let k = 0; k < 16; k++) {
        let sum = 0;
        for (let y = 0; y < BOX; y++) {
          if (!share[i][y]) continue;
          for (let x = 0; x < BOX; x++) sum += share[i][y] * box[y * BOX + x] * share[k][x];
        }
        small[i * 16 + k] = roundHalfToEven(sum);
      }
    }
    return pad(small, 16, 6);
  }

  /* Return the float32 input of a net for an MNIST image, as cnnlib.preprocessing.prepare does. */
  function prepare(image, format, deslanted) {
    if (deslanted) image = deslant(image);
    if (format === "20x20") image = cropTo20(image, deslanted);
    else if (format === "16-in-28") image = digit16In28(image);
    else if (format === "32x32") image = pad(image, SIDE, 2);
    return Float32Array.from(image, (value) => value * Math.fround(1.275 / 255) - 0.1);
  }

  const digits = { normalise, centreByMass, deslant, cropTo20, digit16In28, prepare };
  if (typeof module !== "undefined") module.exports = digits;
  else root.digits = digits;
})(this);
