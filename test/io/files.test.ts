import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { removeUnfinishedFiles } from "../../src/io/atomic.js";
import { openTensors, readTensors, writeTensors } from "../../src/io/files.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { temporaryFolder } from "../support/folder.js";
import { anyTensors, bits } from "../support/tensors.js";

const x: Tensor = { dtype: "float32", dims: [2], data: Float32Array.of(1, 2) };
const formats = ["out.safetensors", "out.npz", "OUT.NPZ"];

describe.each(formats)("%s", (name) => {
  test("what is written is read, and nothing else is left in the folder", async () => {
    const folder = temporaryFolder();
    await fc.assert(
      fc.asyncProperty(anyTensors, async (tensors) => {
        await writeTensors(join(folder, name), tensors);
        expect(bits(await readTensors(join(folder, name)))).toEqual(bits(tensors));
      }),
      { numRuns: 30 },
    );
    expect(readdirSync(folder)).toEqual([name]);
  });

  test("the old file stays until commit and after abort", async () => {
    const path = join(temporaryFolder(), name);
    await writeTensors(path, { x });
    const before = readFileSync(path);
    const writer = await openTensors(path, { y: { dtype: "int8", dims: [1] } });
    await writer.write("y", 0, Int8Array.of(5));
    expect(readFileSync(path)).toEqual(before);
    await writer.abort();
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(join(path, ".."))).toEqual([name]);
  });

  test("unfinished files can be removed at once", async () => {
    const folder = temporaryFolder();
    const writer = await openTensors(join(folder, name), { x });
    expect(readdirSync(folder)).toHaveLength(1);
    removeUnfinishedFiles();
    expect(readdirSync(folder)).toEqual([]);
    await writer.abort();
  });

  test("an output that cannot be written is refused at the start", async () => {
    const folder = temporaryFolder();
    const refused = (path: string, reason: RegExp) =>
      expect(openTensors(path, { x })).rejects.toMatchObject({
        code: "FILE_UNWRITABLE",
        message: expect.stringMatching(reason),
      });
    await refused(join(folder, "missing", name), /^Cannot write ".*": its folder does not exist\.$/);
    writeFileSync(join(folder, "file"), "");
    await refused(join(folder, "file", name), /its folder does not exist/);
    mkdirSync(join(folder, name));
    await refused(join(folder, name), /it is a directory/);
    expect(readdirSync(folder).sort()).toEqual(["file", name].sort());
  });
});

test("a folder without permission is refused", async (ctx) => {
  ctx.skip(process.getuid?.() === 0 || process.platform === "win32", "permissions do not bind this user");
  const folder = temporaryFolder();
  chmodSync(folder, 0o500);
  const failure = { code: "FILE_UNWRITABLE", message: expect.stringMatching(/permission is denied/) };
  await expect(writeTensors(join(folder, "out.npz"), { x })).rejects.toMatchObject(failure);
});

test("a symbolic link is written through", async (ctx) => {
  ctx.skip(process.platform === "win32", "links need a privilege on Windows");
  const folder = temporaryFolder();
  writeFileSync(join(folder, "real.npz"), "");
  symlinkSync("real.npz", join(folder, "link.npz"));
  await writeTensors(join(folder, "link.npz"), { x });
  expect(lstatSync(join(folder, "link.npz")).isSymbolicLink()).toBe(true);
  expect((await readTensors(join(folder, "real.npz"))).get("x")).toEqual(x);
});

test("a device is not replaced", async (ctx) => {
  ctx.skip(!existsSync("/dev/null"), "there is no /dev/null");
  const link = join(temporaryFolder(), "null.npz");
  symlinkSync("/dev/null", link);
  await expect(writeTensors(link, { x })).rejects.toMatchObject({
    message: expect.stringMatching(/not a regular file/),
  });
});

test("the format is told by content on reading and by extension on writing", async () => {
  const folder = temporaryFolder();
  await writeTensors(join(folder, "a.npz"), { x });
  writeFileSync(join(folder, "b.safetensors"), readFileSync(join(folder, "a.npz")));
  expect((await readTensors(join(folder, "b.safetensors"))).get("x")).toEqual(x);
  const failure = { code: "FILE_UNWRITABLE", message: expect.stringMatching(/must end in .safetensors or .npz/) };
  await expect(writeTensors(join(folder, "out.bin"), { x })).rejects.toMatchObject(failure);
});

test("unreadable inputs are named with the reason", async () => {
  const folder = temporaryFolder();
  const refused = (path: string, reason: RegExp) =>
    expect(readTensors(path)).rejects.toMatchObject({
      code: "FILE_UNREADABLE",
      message: expect.stringMatching(reason),
    });
  await refused(join(folder, "none.npz"), /^Cannot read ".*none.npz": it does not exist\.$/);
  await refused(folder, /it is a directory/);
  const write = (name: string, content: string) => {
    writeFileSync(join(folder, name), Buffer.from(content, "latin1"));
    return join(folder, name);
  };
  await refused(write("a.npz", "neither"), /"a?.*a.npz" is not a readable .npz file/);
  await refused(write("a.safetensors", ""), /is not a readable safetensors file: it has 0 bytes/);
  await refused(write("a.npy", "\x93NUMPY\x01\x00"), /not a readable .npy file: it is not a .npy array/);
});
