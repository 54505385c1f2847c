// The OpenAI SDK for Node as its users use it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { KEY, count, size, startBoth } from "./easel.mjs";
import { dimensions, entry, fetched } from "./pictures.mjs";

let easel, client;

before(async () => {
  easel = await startBoth();
  client = new OpenAI({ baseURL: `${easel.url}/v1`, apiKey: KEY, maxRetries: 0 });
});
after(() => easel?.stop());

const sizes = (answer) => answer.data.map((image) => size(Buffer.from(image.b64_json, "base64")));

test("a prompt alone is enough", async () => {
  const answer = await client.images.generate({ prompt: "A cute baby sea otter" });
  assert.deepEqual(sizes(answer), ["1024x1024"]);
  assert.equal("url" in answer.data[0], false);
  assert.equal(Number.isInteger(answer.created), true);
  assert.equal(answer.usage.total_tokens, 0);
});

test("every parameter of a dall-e-3 user", async () => {
  const { data: answer, response } = await client.images
    .generate({
      model: "dall-e-3",
      prompt: "otter",
      n: 1,
      size: "1792x1024",
      quality: "hd",
      style: "natural",
      response_format: "b64_json",
      user: "u",
    })
    .withResponse();
  assert.deepEqual(sizes(answer), ["1792x1024"]);
  assert.ok(response.headers.get("x-request-id"));
  assert.equal(response.headers.get("x-easel-model"), "amazon.nova-canvas-v1:0");
});

test("several pictures come and differ", async () => {
  const answer = await client.images.generate({ model: "gpt-image-1", prompt: "otters", n: 3, size: "auto" });
  assert.equal(new Set(answer.data.map((image) => image.b64_json)).size, 3);
  assert.equal(sizes(answer).length, 3);
});

test("models are listed and found", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("nova-canvas"));
  assert.equal((await client.models.retrieve("gpt-image-1")).id, "gpt-image-1");
});

const refusals = [
  ["a nonsensical size", { size: "1024*768" }, OpenAI.BadRequestError, "invalid_value", "size"],
  ["another form", { response_format: "png" }, OpenAI.BadRequestError, "invalid_value", "response_format"],
  ["a fifth partial picture", { partial_images: 5 }, OpenAI.BadRequestError, "invalid_value", "partial_images"],
  ["a filtered prompt", { prompt: "x emulate:filter-input" }, OpenAI.BadRequestError, "content_policy_violation", null],
  ["an unknown model", { model: "dall-e-9" }, OpenAI.NotFoundError, "model_not_found", "model"],
  ["throttling", { prompt: "x emulate:throttle" }, OpenAI.RateLimitError, "rate_limit_exceeded", null],
  ["a denied deployment", { prompt: "x emulate:access-denied" }, OpenAI.InternalServerError, "upstream_auth", null],
];
for (const [name, wish, type, code, param] of refusals) {
  test(`${name} is an error with its code`, async () => {
    await assert.rejects(client.images.generate({ model: "nova-canvas", prompt: "otter", ...wish }), (error) => {
      assert.ok(error instanceof type, `${error}`);
      assert.deepEqual([error.code, error.param], [code, param]);
      assert.ok(error.requestID);
      return true;
    });
  });
}

test("links, asked for or expected of the model's name", async () => {
  for (const wish of [{ model: "nova-canvas", response_format: "url", n: 2 }, { model: "dall-e-3" }]) {
    const answer = await client.images.generate({ prompt: "otter", size: "1792x1024", ...wish });
    assert.equal(answer.data.length, wish.n ?? 1);
    for (const image of answer.data) {
      assert.equal("b64_json" in image, false);
      assert.match(image.url, /\.png$/);
      assert.equal(dimensions(await fetched(image.url)), "1792x1024");
    }
  }
});

test("events bring each picture whole", async () => {
  const events = [];
  const wish = { model: "nova-canvas", prompt: "otter", n: 2, stream: true, partial_images: 1 };
  for await (const event of await client.images.generate(wish)) events.push(event);
  assert.equal(events.length, 2);
  for (const event of events) {
    const { type, size: told, created_at: created, quality, background, output_format: format, usage } = event;
    assert.deepEqual([type, told, format], ["image_generation.completed", "1024x1024", "png"]);
    assert.equal(dimensions(entry(event)), "1024x1024");
    assert.ok(Number.isInteger(created) && quality && background && usage.input_tokens_details);
  }
});

test("a stream that fails before its first picture is an ordinary error", async () => {
  for (const [fault, type] of [["filter-all", OpenAI.BadRequestError], ["throttle", OpenAI.RateLimitError]]) {
    const wish = { model: "nova-canvas", prompt: `otter emulate:${fault}`, stream: true };
    await assert.rejects(client.images.generate(wish), type);
  }
});

test("a stream that breaks in mid-picture is an error", async () => {
  const wish = { model: "nova-canvas", prompt: "otter emulate:reset-mid-body", stream: true };
  await assert.rejects(async () => {
    for await (const event of await client.images.generate(wish)) assert.fail(`${event.type} of half a picture`);
  }, (error) => error.code !== "ERR_ASSERTION");
});

test("a wrong key is an authentication error", async () => {
  const stranger = new OpenAI({ baseURL: `${easel.url}/v1`, apiKey: "sk-not-the-key", maxRetries: 0 });
  await assert.rejects(stranger.images.generate({ prompt: "otter" }), OpenAI.AuthenticationError);
});

test("what would not help is not tried again", async () => {
  const eager = new OpenAI({ baseURL: `${easel.url}/v1`, apiKey: KEY });
  assert.equal(eager.maxRetries, 2);
  const calls = await count(easel.url, "easel_bedrock_calls_total");
  await assert.rejects(eager.images.generate({ prompt: "otter emulate:bearer-expired" }), { code: "upstream_auth" });
  assert.equal((await count(easel.url, "easel_bedrock_calls_total")) - calls, 1);
});

for (const fault of ["reset-mid-body", "truncated-json", "short-length", "long-length", "stall"]) {
  test(`a reply that breaks by ${fault} is never a picture`, async () => {
    await assert.rejects(client.images.generate({ prompt: `otter emulate:${fault}`, timeout: 3 }));
  });
}
