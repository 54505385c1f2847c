// Pictures to send in, and what is to be seen in the answers. Knows no client.
import assert from "node:assert/strict";
import { PNG } from "pngjs";

function drawn(width, height, pixel) {
  const png = new PNG({ width, height });
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) png.data.set(pixel(x, y), at);
  }
  return png;
}

/// A picture in which a shift or another size would show, as the bytes of a PNG.
export const card = (width = 640, height = 480) =>
  PNG.sync.write(drawn(width, height, (x, y) => [x & 255, y & 255, (x ^ y) & 255, 255]), { colorType: 2 });

/// One colour all over.
export const plain = (colour, width = 640, height = 480) =>
  PNG.sync.write(drawn(width, height, () => [...colour, 255]), { colorType: 2 });

/// Masks of the left half: transparent, as OpenAI has them, and white on black, as most tools make them.
export const MASKS = {
  transparent: (width = 640, height = 480) =>
    PNG.sync.write(drawn(width, height, (x) => [255, 255, 255, x < width / 2 ? 0 : 255])),
  "black and white": (width = 640, height = 480) => {
    const shade = (x) => (x < width / 2 ? 255 : 0);
    return PNG.sync.write(drawn(width, height, (x) => [shade(x), shade(x), shade(x), 255]), { colorType: 2 });
  },
};

/// A PNG, read to its last row.
export const decoded = (bytes) => PNG.sync.read(Buffer.from(bytes));

/// The picture of one entry of an answer.
export const entry = (image) => decoded(Buffer.from(image.b64_json, "base64"));

/// What a link leads to. No key is shown.
export async function fetched(url) {
  const answer = await fetch(url);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "image/png");
  return decoded(await answer.arrayBuffer());
}

export const dimensions = (png) => `${png.width}x${png.height}`;

/// The left half was painted anew, and of the right one every pixel is what it was.
export function checkLeftHalfChanged(before, after) {
  assert.equal(dimensions(after), dimensions(before));
  const changed = { left: 0, right: 0 };
  for (let at = 0; at < before.data.length; at += 4) {
    const side = (at / 4) % before.width < before.width / 2 ? "left" : "right";
    if (before.data.compare(after.data, at, at + 4, at, at + 4) !== 0) changed[side]++;
  }
  assert.equal(changed.right, 0, "pixels that were to stay");
  assert.ok(changed.left > before.width * before.height * 0.45, `only ${changed.left} pixels changed`);
}

/// The mean of a channel: 0 is red, 1 green, 2 blue.
export function mean(png, channel) {
  let sum = 0;
  for (let at = channel; at < png.data.length; at += 4) sum += png.data[at];
  return (sum * 4) / png.data.length;
}
