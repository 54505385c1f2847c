// Vercel's AI SDK, with the provider for OpenAI and the one for whatever is compatible with it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateImage, generateText, streamText } from "ai";
import { KEY, count, size, startBoth } from "./easel.mjs";
import { MASKS, card, checkLeftHalfChanged, decoded, dimensions, fetched, mean, plain } from "./pictures.mjs";

let easel, openai, compatible;

before(async () => {
  easel = await startBoth();
  const baseURL = `${easel.url}/v1`;
  openai = createOpenAI({ baseURL, apiKey: KEY });
  compatible = createOpenAICompatible({ name: "easel", baseURL, apiKey: KEY });
});
after(() => easel?.stop());

const distinct = (images) => new Set(images.map((image) => image.base64)).size;

test("a picture through the OpenAI provider", async () => {
  const { image } = await generateImage({ model: openai.image("dall-e-3"), prompt: "otter", size: "1792x1024" });
  assert.equal(size(image.uint8Array), "1792x1024");
  assert.equal(image.mediaType, "image/png");
});

test("gpt-image names, which the provider sends without response_format", async () => {
  const { images, usage } = await generateImage({ model: openai.image("gpt-image-1"), prompt: "otter", n: 2 });
  assert.equal(distinct(images), 2);
  assert.equal(usage.totalTokens, 0);
});

test("other names go out one picture a request, side by side, and all of them come", async () => {
  const before = await count(easel.url, "easel_requests_total");
  const { images } = await generateImage({ model: openai.image("nova-canvas"), prompt: "otter", n: 3 });
  // One of them is the request for the figures before.
  assert.equal((await count(easel.url, "easel_requests_total")) - before, 3 + 1);
  assert.equal(distinct(images), 3);
  for (const image of images) assert.equal(size(image.uint8Array), "1024x1024");
});

test("a picture through the compatible provider, with native members", async () => {
  const { images } = await generateImage({
    model: compatible.imageModel("amazon.nova-canvas-v1:0"),
    prompt: "otter",
    n: 2,
    size: "512x512",
    providerOptions: { easel: { quality: "premium", negative_prompt: "x", seed: 7 } },
  });
  assert.deepEqual(images.map((image) => size(image.uint8Array)), ["512x512", "512x512"]);
  assert.equal(distinct(images), 2);
});

test("more pictures than one request takes", async () => {
  const { images } = await generateImage({
    model: compatible.imageModel("nova-canvas"),
    prompt: "otter",
    n: 12,
    size: "320x320",
  });
  assert.equal(distinct(images), 12);
});

// Nova Canvas edits where its mask is black, Stability where it is white; gpt-image-1 goes on to a fallback.
for (const model of ["nova-canvas", "inpaint", "gpt-image-1"]) {
  for (const provider of ["openai", "compatible"]) {
    test(`only what the mask shows changes with ${model} through ${provider}`, async () => {
      const painter = provider === "openai" ? openai.image(model) : compatible.imageModel(model);
      const prompt = { text: "a red house", images: [card()], mask: MASKS.transparent() };
      const { images } = await generateImage({ model: painter, prompt, n: 2 });
      assert.equal(distinct(images), 2);
      for (const image of images) checkLeftHalfChanged(decoded(card()), decoded(image.uint8Array));
    });
  }
}

test("several pictures, as bytes and as base64, lean the painting their way", async () => {
  const paint = async (...colours) => {
    const [first, second] = colours.map((colour) => plain(colour));
    const prompt = { text: "an otter", images: [first, second.toString("base64")] };
    const { image } = await generateImage({ model: compatible.imageModel("nova-canvas"), prompt, size: "512x512" });
    assert.equal(size(image.uint8Array), "512x512");
    return decoded(image.uint8Array);
  };
  const [red, blue] = [await paint([255, 0, 0], [200, 0, 0]), await paint([0, 0, 255], [0, 0, 200])];
  assert.ok(mean(red, 0) > mean(blue, 0) + 20 && mean(red, 2) < mean(blue, 2) - 20);
});

test("a picture that cannot be read is an error with Easel's words", async () => {
  const prompt = { text: "a red house", images: [card().subarray(0, 3000)] };
  const call = generateImage({ model: compatible.imageModel("nova-canvas"), prompt, maxRetries: 0 });
  await assert.rejects(call, (error) => {
    assert.equal(error.statusCode, 400);
    assert.equal(JSON.parse(error.responseBody).error.param, "image");
    return true;
  });
});

test("a chat with a model that paints answers a link", async () => {
  const model = compatible.chatModel("nova-canvas");
  const { text } = await generateText({ model, prompt: "an otter", temperature: 1, maxOutputTokens: 99 });
  const link = /^!\[.*\]\((.*)\)$/.exec(text)[1];
  assert.equal(dimensions(await fetched(link)), "1024x1024");
});

test("a chat that streams ends well", async () => {
  const { textStream, finishReason } = streamText({ model: compatible.chatModel("nova-canvas"), prompt: "an otter" });
  const pieces = [];
  for await (const piece of textStream) pieces.push(piece);
  assert.ok(pieces.join("").length > 0);
  assert.equal(await finishReason, "stop");
});

for (const [name, prompt, model, status] of [
  ["a filtered prompt", "otter emulate:filter-input", "nova-canvas", 400],
  ["an unknown model", "otter", "nothing", 404],
  ["a denied deployment", "otter emulate:access-denied", "nova-canvas", 500],
]) {
  test(`${name} is an error with Easel's words`, async () => {
    const call = generateImage({ model: compatible.imageModel(model), prompt, maxRetries: 0 });
    await assert.rejects(call, (error) => {
      assert.ok(APICallError.isInstance(error), `${error}`);
      assert.equal(error.statusCode, status);
      assert.equal(error.message, JSON.parse(error.responseBody).error.message);
      return true;
    });
  });
}

test("a wrong key is a 401", async () => {
  const stranger = createOpenAICompatible({ name: "easel", baseURL: `${easel.url}/v1`, apiKey: "sk-not-the-key" });
  const call = generateImage({ model: stranger.imageModel("nova-canvas"), prompt: "otter", maxRetries: 0 });
  await assert.rejects(call, { statusCode: 401 });
});

test("a reply that breaks in mid-picture is never a picture", async () => {
  for (const fault of ["reset-mid-body", "truncated-json"]) {
    const prompt = `otter emulate:${fault}`;
    await assert.rejects(generateImage({ model: openai.image("nova-canvas"), prompt, maxRetries: 0 }));
  }
});
