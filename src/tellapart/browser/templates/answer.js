// The network, what it says of a photo, and when it may answer.

let session = null, running = Promise.resolve();

// The bytes of a part of this page, which lies in it or, on a server, beside it; gzipped or not.
async function loadPart(name) {
  const element = document.getElementById(`part-${name}`);
  let bytes;
  if (element) {
    const text = element.textContent;
    element.remove();
    bytes = Uint8Array.fromBase64?.(text) ?? Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  } else {
    const response = await fetch(data.parts[name]);
    if (!response.ok) throw new Error(`${response.status} ${data.parts[name]}`);
    bytes = new Uint8Array(await response.arrayBuffer());
  }
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}

async function openNetwork() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.proxy = false;
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = (await loadPart("runtime")).buffer;
  session = await ort.InferenceSession.create(await loadPart("network"), { executionProviders: ["wasm"] });
}

// From an upright image to {probabilities, distance, mapOf}, one after another; a map is {values, height, width}.
function runNetwork(photo) {
  const run = running.then(() => compute(photo));
  running = run.catch(() => {});
  return run;
}

async function compute({ pixels, height, width }) {
  const image = preprocess(pixels, height, width), channels = data.isGrey ? 1 : 3;
  const outputs = await session.run({ image: new ort.Tensor("uint8", image, [1, data.height, data.width, channels]) });
  const maps = outputs.activation_map, [rows, columns] = maps?.dims.slice(2) ?? [0, 0];
  return {
    probabilities: [...outputs.probabilities.data],
    distance: outputs.distance?.data[0] ?? null,
    mapOf: (place) => maps && { values: maps.data.slice(place * rows * columns, (place + 1) * rows * columns), height: rows, width: columns },
  };
}

// "none of these" for what is too unlike the training photos, then the class that the dial names, else the most probable one or "not sure".
function decide({ probabilities, distance }, { least, largest }) {
  const nearest = probabilities.indexOf(Math.max(...probabilities));
  let place = nearest, doubt = null;
  if (data.dial) {
    const others = probabilities.map((share, at) => (at === data.dial.place ? -1 : share));
    place = probabilities[data.dial.place] >= data.dial.threshold ? data.dial.place : others.indexOf(Math.max(...others));
  }
  if (distance !== null && distance > largest) doubt = "none of these";
  else if (probabilities[nearest] < least) [doubt, place] = ["not sure", nearest];
  return { nearest, place, doubt, probability: doubt ? null : probabilities[place] };
}

// The colours of a heat map with their opacity, square, to be stretched over the photo; null: it points at nothing.
function colourMap({ values, height, width }, side) {
  const heat = Float32Array.from(values, (value) => (Number.isFinite(value) ? value : 0)), largest = Math.max(...heat);
  if (largest <= 0 || largest - Math.min(...heat) <= 1e-6 * largest) return null;
  const down = cubic(height, side), across = cubic(width, side), image = new ImageData(side, side);
  for (let at = 0; at < side * side; at += 1) {
    let sum = 0;
    for (let i = 0; i < 4; i += 1) {
      for (let j = 0; j < 4; j += 1) {
        const [row, column] = [4 * Math.floor(at / side) + i, 4 * (at % side) + j];
        sum += down.weights[row] * across.weights[column] * heat[down.olds[row] * width + across.olds[column]];
      }
    }
    const warmth = Math.min(1, Math.max(0, sum / largest));
    image.data.set([255, 255 * (1 - warmth), 0, 255 * 0.55 * warmth ** 2 * (3 - 2 * warmth)], 4 * at);
  }
  return image;
}

// Whether this browser shows this page the pixels of a photo as they are, and the network answers as it did where it was made.
async function testPage() {
  const { pixels } = await readPhoto(fileOf(data.golden.pixels, "golden.png"));
  for (let at = 0; at < pixels.length; at += 1) {
    const place = Math.floor(at / 3), x = place % data.golden.side, y = Math.floor(place / data.golden.side);
    if (pixels[at] !== [37 * x + 11 * y, 91 * x + 3 * y + 50, 7 * x * y][at % 3] % 256) {
      throw new Error(_("This browser changes the pixels of photos, often to protect your privacy. Allow this page to read canvas pixels, or use another browser."));
    }
  }
  const { probabilities } = await runNetwork(await readPhoto(fileOf(data.golden.photo, "golden.jpg")));
  const difference = Math.max(...probabilities.map((share, at) => Math.abs(share - data.golden.probabilities[at])));
  if (!(difference <= data.golden.tolerance)) {
    throw new Error(_("The network answers differently in this browser. Use another browser."));
  }
  return difference;
}

function fileOf(text, name) {
  return new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], name);
}
