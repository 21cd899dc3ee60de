/** What a command does if its standard output takes no more. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";

const built = pathToFileURL(join(import.meta.dirname, "../../dist/node/cli.js")).href;
const script = `const { main } = await import(${JSON.stringify(built)}); process.exitCode = await main(["--help"]);`;
const call = ["--input-type=module", "-e", script];

test.skipIf(!existsSync("/dev/full"))("a full disk ends it with one sentence", () => {
  const { status, stderr } = spawnSync(process.execPath, call, {
    stdio: ["ignore", openSync("/dev/full", "w"), "pipe"],
  });
  expect({ status, stderr: String(stderr) }).toEqual({
    status: 1,
    stderr: "pergrad: Cannot write to the standard output: the disk is full.\n",
  });
});

test("a reader that stops early ends it quietly", async () => {
  const child = spawn(process.execPath, call, { stdio: ["ignore", "pipe", "pipe"] });
  let told = "";
  child.stderr.on("data", (text) => {
    told += text;
  });
  child.stdout.destroy();
  const [code] = await once(child, "close");
  expect({ code, told }).toEqual({ code: 0, told: "" });
});
