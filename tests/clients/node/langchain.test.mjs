// LangChain.js's DALL-E tool, which asks for links.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DallEAPIWrapper } from "@langchain/openai";
import { KEY, startBoth } from "./easel.mjs";
import { decoded, dimensions, fetched } from "./pictures.mjs";

let easel;

before(async () => {
  easel = await startBoth();
});
after(() => easel?.stop());

const tool = (settings) => new DallEAPIWrapper({ apiKey: KEY, baseUrl: `${easel.url}/v1`, ...settings });

test("a link", async () => {
  const url = await tool({ size: "1792x1024", quality: "hd" }).invoke("an otter");
  assert.equal(dimensions(await fetched(url)), "1792x1024");
});

test("several links", async () => {
  const images = await tool({ model: "nova-canvas", n: 3 }).invoke("otters");
  assert.deepEqual(images.map((image) => image.type), ["image_url", "image_url", "image_url"]);
  for (const image of images) assert.equal(dimensions(await fetched(image.image_url)), "1024x1024");
});

test("base64", async () => {
  const base64 = await tool({ dallEResponseFormat: "b64_json" }).invoke("an otter");
  assert.equal(dimensions(decoded(Buffer.from(base64, "base64"))), "1024x1024");
});

test("errors are shown", async () => {
  await assert.rejects(tool({}).invoke("an otter emulate:filter-input"), { code: "content_policy_violation" });
  await assert.rejects(tool({ model: "dall-e-9" }).invoke("an otter"), { status: 404 });
});
