// How a photo becomes what the network takes, in plain JavaScript. Copy it freely.
// Give it an upright RGB photo: apply the EXIF orientation before. Give the result to the model as it is.

const [HEIGHT, WIDTH, IS_GREY, HAS_ONE_FACTOR] = [24, 20, false, false];

// pixels: red, green, blue of each pixel, row by row.
// Gives a Uint8Array of HEIGHT * WIDTH * 3 numbers, or HEIGHT * WIDTH if IS_GREY.
export function preprocess(pixels, height, width) {
  let [rows, columns] = [Math.max(1, Math.floor(height / HEIGHT)), Math.max(1, Math.floor(width / WIDTH))];
  if (HAS_ONE_FACTOR) rows = columns = Math.min(rows, columns);
  if (Math.max(rows, columns) >= 2) {
    const [newHeight, newWidth] = [Math.floor(height / rows), Math.floor(width / columns)];
    // A mean of n.5 goes up for blocks of 2x2, else to the even number.
    const round = height === 2 * newHeight && width === 2 * newWidth ? Math.round : roundToEven;
    const area = (height * width) / (newHeight * newWidth);
    pixels = combine(pixels, width, shares(height, newHeight), shares(width, newWidth), (sum) => round(sum / area));
    [height, width] = [newHeight, newWidth];
  }
  if (height !== HEIGHT || width !== WIDTH) {
    pixels = combine(pixels, width, cubic(height, HEIGHT), cubic(width, WIDTH), roundToEven);
  }
  if (!IS_GREY) return Uint8Array.from(pixels);
  return Uint8Array.from({ length: pixels.length / 3 }, (_, i) => (9798 * pixels[3 * i] + 19235 * pixels[3 * i + 1] + 3735 * pixels[3 * i + 2] + 16384) >> 15);
}

function roundToEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

// How much of each old pixel lies below each new one: olds and weights, count of them for each new pixel.
function shares(size, newSize) {
  const scale = size / newSize, count = Math.ceil(scale) + 1;
  return taps(newSize, count, (place, i) => {
    const start = place * scale, old = Math.min(size - 1, Math.floor(start) + i);
    return [old, Math.floor(start) + i >= size ? 0 : Math.max(0, Math.min(start + scale, old + 1) - Math.max(start, old))];
  });
}

// Weights of a cubic through 4 pixels (a = -0.75).
function cubic(size, newSize) {
  return taps(newSize, 4, (place, i) => {
    const at = Math.fround((place + 0.5) * (size / newSize) - 0.5), first = Math.floor(at), x = at - first, a = -0.75;
    const w0 = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a;
    const w1 = ((a + 2) * x - (a + 3)) * x * x + 1;
    const w2 = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1;
    return [Math.min(size - 1, Math.max(0, first - 1 + i)), [w0, w1, w2, 1 - w0 - w1 - w2][i]];
  });
}

function taps(newSize, count, tap) {
  const made = { newSize, count, olds: new Int32Array(newSize * count), weights: new Float64Array(newSize * count) };
  for (let at = 0; at < newSize * count; at += 1) {
    [made.olds[at], made.weights[at]] = tap(Math.floor(at / count), at % count);
  }
  return made;
}

// The weighted sums, first along the rows and then down the columns, each made a byte by finish.
function combine(pixels, width, down, across, finish) {
  const height = pixels.length / width / 3, newWidth = across.newSize;
  const between = new Float64Array(height * newWidth * 3);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < newWidth; x += 1, at += 3) {
      let red = 0, green = 0, blue = 0;
      for (let i = x * across.count; i < (x + 1) * across.count; i += 1) {
        const from = 3 * (y * width + across.olds[i]), weight = across.weights[i];
        red += weight * pixels[from];
        green += weight * pixels[from + 1];
        blue += weight * pixels[from + 2];
      }
      between[at] = red;
      between[at + 1] = green;
      between[at + 2] = blue;
    }
  }
  const made = new Uint8ClampedArray(down.newSize * newWidth * 3), sums = new Float64Array(3 * newWidth);
  for (let y = 0; y < down.newSize; y += 1) {
    sums.fill(0);
    for (let i = y * down.count; i < (y + 1) * down.count; i += 1) {
      const from = 3 * newWidth * down.olds[i], weight = down.weights[i];
      for (let x = 0; x < sums.length; x += 1) sums[x] += weight * between[from + x];
    }
    for (let x = 0; x < sums.length; x += 1) made[3 * y * newWidth + x] = finish(sums[x]);
  }
  return made;
}
