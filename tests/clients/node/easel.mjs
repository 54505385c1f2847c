// Starts Easel and its emulator on free ports, and stops what it started, by process id.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const KEY = "sk-test-1234567890";

async function start(args, environment, address) {
  // An empty folder and an environment that holds nothing of the machine's.
  const folder = mkdtempSync(join(tmpdir(), "easel-"));
  const child = spawn(process.env.EASEL_BIN, args, {
    cwd: folder,
    env: { HOME: folder, AWS_EC2_METADATA_DISABLED: "true", ...environment },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const log = [];
  const port = await new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stderr });
    lines.on("line", (line) => {
      log.push(line);
      const match = address.exec(line);
      if (match) resolve(Number(match[1]));
    });
    child.once("error", reject);
    lines.once("close", () => reject(new Error(`it did not start:\n${log.join("\n")}`)));
  });
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true });
  };
  return { url: `http://127.0.0.1:${port}`, stop };
}

/// Both, joined; `stop` ends both.
export async function startBoth() {
  const emulator = await start(["emulate", "--port", "0"], {}, /listens on http:\/\/127\.0\.0\.1:(\d+)/);
  const environment = {
    LITELLM_MASTER_KEY: KEY,
    AWS_BEARER_TOKEN_BEDROCK: "emulated",
    AWS_BEDROCK_RUNTIME_ENDPOINT: emulator.url,
  };
  try {
    const args = ["--config", process.env.EASEL_CONFIG, "--host", "127.0.0.1", "--port", "0"];
    const easel = await start(args, environment, /listening on http:\/\/127\.0\.0\.1:(\d+)/);
    const stop = async () => {
      await easel.stop();
      await emulator.stop();
    };
    return { url: easel.url, stop };
  } catch (error) {
    await emulator.stop();
    throw error;
  }
}

/// A counter of Easel's, summed over its series.
export async function count(url, name) {
  const answer = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${KEY}` } });
  const lines = (await answer.text()).split("\n").filter((line) => line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

/// The size of a whole PNG, from its header; its last chunk has to be there.
export function size(bytes) {
  const png = Buffer.from(bytes);
  if (png.toString("latin1", 1, 4) !== "PNG" || png.toString("latin1", png.length - 8, png.length - 4) !== "IEND") {
    throw new Error("no whole PNG");
  }
  return `${png.readUInt32BE(16)}x${png.readUInt32BE(20)}`;
}
