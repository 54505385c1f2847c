// The OpenAI SDK for Node where pictures are sent in: edits and variations.
import assert from "node:assert/strict";
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { openAsBlob } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import OpenAI, { toFile } from "openai";
import { KEY, startBoth } from "./easel.mjs";
import { MASKS, card, checkLeftHalfChanged, decoded, dimensions, entry, fetched, mean, plain } from "./pictures.mjs";

const folder = mkdtempSync(join(tmpdir(), "easel-pictures-"));
const path = join(folder, "card.png");
let easel, client;

before(async () => {
  writeFileSync(path, card());
  easel = await startBoth();
  client = new OpenAI({ baseURL: `${easel.url}/v1`, apiKey: KEY, maxRetries: 0 });
});
after(async () => {
  await easel?.stop();
  rmSync(folder, { recursive: true });
});

const png = (bytes, name = "card.png") => toFile(bytes, name, { type: "image/png" });
const left = () => png(MASKS.transparent(), "mask.png");

// Nova Canvas edits where its mask is black, Stability where it is white; gpt-image-1 goes on to a fallback.
for (const model of ["nova-canvas", "inpaint", "gpt-image-1"]) {
  for (const [kind, mask] of Object.entries(MASKS)) {
    test(`only what a ${kind} mask shows changes with ${model}`, async () => {
      const wish = { model, prompt: "a red house", image: await png(card()), mask: await png(mask()), n: 2 };
      const answer = await client.images.edit(wish);
      assert.equal(answer.data.length, 2);
      for (const image of answer.data) checkLeftHalfChanged(decoded(card()), entry(image));
      assert.notEqual(answer.data[0].b64_json, answer.data[1].b64_json);
    });
  }
}

// A stream is sent in chunks, without a length, and the others are not.
const ways = {
  "a stream from a file": () => createReadStream(path),
  "a Response": () => new Response(readFileSync(path), { headers: { "content-type": "image/png" } }),
  "a File": () => new File([readFileSync(path)], "card.png", { type: "image/png" }),
  "a file as a blob": async () => toFile(await openAsBlob(path), "card.png"),
  "bytes without a name or a type": () => toFile(readFileSync(path)),
  "bytes of another type": () => toFile(readFileSync(path), "card.txt", { type: "text/plain" }),
  "an iterator": () => toFile(Readable.from([card().subarray(0, 5000), card().subarray(5000)]), "card.png"),
};
for (const [name, way] of Object.entries(ways)) {
  test(`${name} arrives`, async () => {
    const answer = await client.images.edit({
      model: "nova-canvas",
      prompt: "a red house",
      image: await way(),
      mask: await left(),
    });
    checkLeftHalfChanged(decoded(card()), entry(answer.data[0]));
  });
}

test("picture and mask as streams", async () => {
  const maskPath = join(folder, "mask.png");
  writeFileSync(maskPath, MASKS.transparent());
  const [image, mask] = [createReadStream(path), createReadStream(maskPath)];
  const answer = await client.images.edit({ model: "inpaint", prompt: "a red house", image, mask });
  checkLeftHalfChanged(decoded(card()), entry(answer.data[0]));
});

test("several pictures lean the painting their way", async () => {
  const paint = async (colours) => {
    const image = await Promise.all(colours.map((colour) => png(plain(colour))));
    const wish = { model: "nova-canvas", prompt: "an otter", image, size: "512x512", seed: 7 };
    return entry((await client.images.edit(wish)).data[0]);
  };
  const [red, blue] = [await paint([[255, 0, 0], [200, 0, 0]]), await paint([[0, 0, 255], [0, 0, 200]])];
  assert.equal(dimensions(red), "512x512");
  assert.ok(mean(red, 0) > mean(blue, 0) + 20 && mean(red, 2) < mean(blue, 2) - 20);
});

test("an edit as a link", async () => {
  const wish = { model: "dall-e-2", prompt: "a red house", image: await png(card()), mask: await left() };
  const answer = await client.images.edit(wish);
  assert.equal("b64_json" in answer.data[0], false);
  checkLeftHalfChanged(decoded(card()), await fetched(answer.data[0].url));
});

test("an edit as events", async () => {
  const wish = { model: "inpaint", prompt: "a red house", image: await png(card()), mask: await left(), stream: true };
  const events = [];
  for await (const event of await client.images.edit(wish)) events.push(event);
  assert.deepEqual(events.map((event) => [event.type, event.size]), [["image_edit.completed", "640x480"]]);
  checkLeftHalfChanged(decoded(card()), entry(events[0]));
});

test("variations", async () => {
  const wish = { image: createReadStream(path), model: "dall-e-2", n: 2, size: "512x512" };
  const answer = await client.images.createVariation({ ...wish, response_format: "b64_json" });
  assert.deepEqual(answer.data.map((image) => dimensions(entry(image))), ["512x512", "512x512"]);
  const links = await client.images.createVariation({ ...wish, image: createReadStream(path), n: 1 });
  assert.equal(dimensions(await fetched(links.data[0].url)), "512x512");
});

const refusals = [
  ["no picture at all", () => ({ image: toFile(Buffer.from("x"), "x.png") }), 400, "invalid_image_file", "image"],
  ["a mask that is none", () => ({ mask: toFile(Buffer.from("x"), "x.png") }), 400, "invalid_image_file", "mask"],
  ["a filtered picture", () => ({ prompt: "emulate:filter-image" }), 400, "content_policy_violation", null],
  ["a filtered answer", () => ({ prompt: "emulate:filter-all" }), 400, "content_policy_violation", null],
  ["an unknown model", () => ({ model: "dall-e-9" }), 404, "model_not_found", "model"],
  ["throttling", () => ({ prompt: "emulate:throttle" }), 429, "rate_limit_exceeded", null],
];
for (const [name, wish, status, code, param] of refusals) {
  test(`${name} is an error with its code`, async () => {
    const usual = { model: "nova-canvas", prompt: "a red house", image: await png(card()), mask: await left() };
    const asked = { ...usual, ...wish() };
    for (const member of ["image", "mask"]) asked[member] = await asked[member];
    await assert.rejects(client.images.edit(asked), (error) => {
      assert.deepEqual([error.status, error.code, error.param], [status, code, param], `${error}`);
      return true;
    });
  });
}
