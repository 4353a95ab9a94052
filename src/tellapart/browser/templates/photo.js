// A file to upright pixels, as the gate of tellapart makes them. The browser decodes; everything else is done here.

// Its message is the reason why a photo has no answer.
class UnreadableError extends Error {}

const JPEG_SCALES = [8, 4, 2];

// The first bytes of the kinds that tellapart reads; browsers read some of them.
function sniff(bytes) {
  const text = (start, end) => String.fromCharCode(...bytes.subarray(start, end));
  const head = text(0, 12);
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "JPEG";
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "PNG";
  if (head.startsWith("GIF87a") || head.startsWith("GIF89a")) return "GIF";
  if (head.startsWith("RIFF") && head.endsWith("WEBP")) return "WEBP";
  if (head === "\0\0\0\x0cjP  \r\n\x87\n" || head.startsWith("\xff\x4f\xff\x51")) return "JPEG 2000";
  if (["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(head.slice(0, 4))) return "TIFF";
  if (head.startsWith("BM") && [12, 16, 40, 52, 56, 64, 108, 124].includes(bytes[14])) return "BMP";
  if (head.startsWith("\xff\x0a") || head === "\0\0\0\x0cJXL \r\n\x87\n") return "JPEG XL";
  if (head.slice(4, 8) !== "ftyp") return null;
  const brands = [text(8, 12)];
  for (let at = 16; at + 4 <= Math.min(256, read(bytes, 0, 4)); at += 4) brands.push(text(at, at + 4));
  if (brands.some((brand) => ["avif", "avis"].includes(brand))) return "AVIF";
  return brands.some((brand) => /^(he(ic|ix|im|is|vc|vx|vm|vs)|mif[12]|msf1)$/.test(brand)) ? "HEIC" : null;
}

function read(bytes, at, size, isLittle = false) {
  let value = 0;
  for (let i = 0; i < size; i += 1) value = value * 256 + (bytes[isLittle ? at + size - 1 - i : at + i] ?? 0);
  return value;
}

// EXIF 2.32, section 4.5: the orientation in the block from start to end, and where it is written; null: it is silent.
function readOrientation(bytes, start, end) {
  const order = String.fromCharCode(bytes[start], bytes[start + 1]);
  if (order !== "II" && order !== "MM") return null;
  const isLittle = order === "II", first = read(bytes, start + 4, 4, isLittle);
  const count = read(bytes, start + first, 2, isLittle);
  if (first < 8 || count > 1000) return null;
  for (let i = count - 1; i >= 0; i -= 1) {
    const entry = start + first + 2 + 12 * i;
    if (entry + 12 > end || read(bytes, entry, 2, isLittle) !== 0x0112) continue;
    const size = read(bytes, entry + 2, 2, isLittle) === 4 ? 4 : 2, value = read(bytes, entry + 8, size, isLittle);
    return { value: value >= 1 && value <= 8 ? value : 1, at: entry + 8, size, isLittle };
  }
  return null;
}

// The copy says that the photo is upright, so that no browser turns it on its own account.
function eraseOrientation(bytes, found) {
  for (let i = 0; i < found.size; i += 1) bytes[found.at + i] = i === (found.isLittle ? 0 : found.size - 1) ? 1 : 0;
}

// ITU-T T.81, annex B: what a JPEG says before its first scan.
function readJpeg(bytes) {
  const found = { exif: null, xmp: 0, hasXmp: false, height: 0, width: 0 };
  for (let at = 2; ; ) {
    while (at < bytes.length - 1 && !(bytes[at] === 0xff && ((bytes[at + 1] >= 2 && bytes[at + 1] <= 0xcf) || (bytes[at + 1] >= 0xd9 && bytes[at + 1] < 0xff)))) at += 1;
    const marker = bytes[at + 1], size = read(bytes, at + 2, 2), start = at + 4, end = at + 2 + size;
    if (at >= bytes.length - 1 || end > bytes.length || size < 2) throw new UnreadableError(cutOff("JPEG"));
    if (marker === 0xda) {
      for (let mark = end; mark < bytes.length - 1; mark += 1) if (bytes[mark] === 0xff && bytes[mark + 1] === 0xd9) return found;
      throw new UnreadableError(cutOff("JPEG"));
    }
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      [found.height, found.width] = [read(bytes, start + 1, 2), read(bytes, start + 3, 2)];
    } else if (marker === 0xe1 && String.fromCharCode(...bytes.subarray(start, start + 6)) === "Exif\0\0") {
      found.exif ??= readOrientation(bytes, start + 6, end);
    } else if (marker === 0xe1 && !found.hasXmp) {
      found.hasXmp = true;
      found.xmp = Number(/tiff:Orientation(?:=["']|>)([1-8])["'<]/.exec(new TextDecoder("latin1").decode(bytes.subarray(start, end)))?.[1] ?? 0);
    }
    at = end;
  }
}

// The PNG without its block of EXIF, and the orientation in it.
function readPng(bytes) {
  if (bytes[24] === 16) throw new UnreadableError(_("This is a PNG of 16 bits, which a browser may show too dark. Save the photo with 8 bits."));
  for (let at = 8, exif = null, kept = bytes; at + 12 <= bytes.length; ) {
    const size = read(bytes, at, 4), kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (kind === "eXIf") {
      exif ??= readOrientation(bytes, at + 8, at + 8 + size);
      kept = new Uint8Array(bytes.length - size - 12);
      kept.set(bytes.subarray(0, at));
      kept.set(bytes.subarray(at + size + 12), at);
    }
    if (kind === "IEND") return { bytes: kept, orientation: exif?.value ?? 1 };
    at += size + 12;
  }
  throw new UnreadableError(cutOff("PNG"));
}

function readWebp(bytes) {
  if (read(bytes, 4, 4, true) + 8 > bytes.length) throw new UnreadableError(cutOff("WEBP"));
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = read(bytes, at + 4, 4, true), start = at + 8;
    if (String.fromCharCode(...bytes.subarray(at, at + 4)) === "EXIF") {
      const skip = bytes[start] === 0x45 ? 6 : 0; // some programs write Exif in front
      const exif = readOrientation(bytes, start + skip, start + size);
      if (exif) eraseOrientation(bytes, exif);
      return exif?.value ?? 1;
    }
    at = start + size + (size % 2);
  }
  return 1;
}

const cutOff = (kind) => _("The {kind} file is cut off. Copy it again from the original.", { kind });

// A photo as {pixels, height, width}: red, green, blue of each pixel, row by row, upright.
async function readPhoto(file) {
  if (!file.size) throw new UnreadableError(_("The file is empty."));
  if (file.size > data.limits.max_bytes) throw new UnreadableError(_("The file is too large."));
  let bytes;
  try {
    bytes = new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new UnreadableError(_("The file cannot be read. It may have been moved or deleted."));
  }
  const kind = sniff(bytes);
  if (!kind) throw new UnreadableError(_("This is not a photo."));
  let orientation = 1, size = null;
  if (kind === "JPEG") {
    size = readJpeg(bytes);
    orientation = size.exif?.value ?? (size.xmp || 1);
    if (size.exif) eraseOrientation(bytes, size.exif);
    checkPixels(size.height / JPEG_SCALES[0], size.width / JPEG_SCALES[0]);
  } else if (kind === "PNG") {
    checkPixels(read(bytes, 20, 4), read(bytes, 16, 4));
    ({ bytes, orientation } = readPng(bytes));
  } else if (kind === "WEBP") {
    orientation = readWebp(bytes);
  }
  const image = await decode(bytes, kind);
  return turnUpright(kind === "JPEG" ? reduceJpeg(image, orientation) : putOnGround(image), orientation);
}

function checkPixels(height, width) {
  if (height * width > data.limits.max_pixels) throw new UnreadableError(_("The photo has too many pixels."));
}

async function decode(bytes, kind) {
  let bitmap;
  try {
    const settings = { premultiplyAlpha: "none", colorSpaceConversion: data.isManaged ? "default" : "none" };
    bitmap = await createImageBitmap(new Blob([bytes], { type: `image/${kind.toLowerCase()}` }), settings);
  } catch {
    if (["JPEG", "PNG", "GIF", "BMP"].includes(kind)) throw new UnreadableError(_("The {kind} file is damaged or too large for this browser.", { kind }));
    throw new UnreadableError(_("This browser cannot read {kind}. Save the photo as JPEG or PNG.", { kind }));
  }
  try {
    return drawnPixels(bitmap, bitmap.height, bitmap.width);
  } finally {
    bitmap.close();
  }
}

// What the canvas makes of a bitmap or a video, red, green, blue, opacity; kept out of the graphics card, which rounds.
function drawnPixels(source, height, width) {
  checkPixels(height, width);
  const canvas = Object.assign(document.createElement("canvas"), { height, width });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  try {
    context.drawImage(source, 0, 0);
    return { pixels: context.getImageData(0, 0, width, height).data, height, width };
  } catch {
    throw new UnreadableError(_("The photo is too large for this browser."));
  }
}

// tellapart decodes a large JPEG at a half, a quarter or an eighth of its size: the mean of blocks of pixels.
function reduceJpeg({ pixels, height, width }, orientation) {
  const wanted = orientation < 5 ? [data.height, data.width] : [data.width, data.height];
  const fits = (scale) => Math.ceil(height / scale) >= wanted[0] && Math.ceil(width / scale) >= wanted[1];
  const scale = JPEG_SCALES.find(fits) ?? 1, [rows, columns] = [Math.ceil(height / scale), Math.ceil(width / scale)];
  const made = new Uint8Array(rows * columns * 3);
  for (let y = 0, to = 0; y < rows; y += 1) {
    const bottom = Math.min(height, (y + 1) * scale);
    for (let x = 0; x < columns; x += 1, to += 3) {
      const right = Math.min(width, (x + 1) * scale), count = (bottom - y * scale) * (right - x * scale);
      let red = 0, green = 0, blue = 0;
      for (let row = y * scale; row < bottom; row += 1) {
        for (let from = 4 * (row * width + x * scale), end = 4 * (row * width + right); from < end; from += 4) {
          red += pixels[from];
          green += pixels[from + 1];
          blue += pixels[from + 2];
        }
      }
      made[to] = red / count + 0.5;
      made[to + 1] = green / count + 0.5;
      made[to + 2] = blue / count + 0.5;
    }
  }
  return { pixels: made, height: rows, width: columns };
}

// Colours over white where the photo is transparent, or over black where nothing but white could be seen.
function putOnGround({ pixels, height, width }) {
  let visible = 0, dark = 0;
  for (let at = 0; at < pixels.length; at += 4) {
    visible += pixels[at + 3];
    if (Math.min(pixels[at], pixels[at + 1], pixels[at + 2]) < 224) dark += pixels[at + 3];
  }
  if (!visible) throw new UnreadableError(_("The photo is transparent everywhere, and a browser cannot see its colours."));
  const isOpaque = visible === (255 * pixels.length) / 4, ground = !isOpaque && dark <= 0.01 * visible ? 0 : 255;
  const made = new Uint8Array((pixels.length / 4) * 3);
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) {
    const share = pixels[from + 3];
    for (let c = 0; c < 3; c += 1) made[to + c] = (pixels[from + c] * share + ground * (255 - share) + 127) / 255;
  }
  return { pixels: made, height, width };
}

// EXIF 2.32, tag 0x0112: where each pixel of the upright photo comes from.
function turnUpright(image, orientation) {
  if (orientation === 1) return image;
  const { pixels, height: h, width: w } = image, isTurned = orientation >= 5;
  const [height, width] = isTurned ? [w, h] : [h, w], made = new Uint8Array(pixels.length);
  for (let y = 0, to = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, to += 3) {
      const row = [0, y, y, h - 1 - y, h - 1 - y, x, h - 1 - x, h - 1 - x, x][orientation];
      const column = [0, x, w - 1 - x, w - 1 - x, x, y, y, w - 1 - y, w - 1 - y][orientation];
      const from = 3 * (row * w + column);
      made[to] = pixels[from];
      made[to + 1] = pixels[from + 1];
      made[to + 2] = pixels[from + 2];
    }
  }
  return { pixels: made, height, width };
}
