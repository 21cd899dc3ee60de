import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { writeTensors } from "../../src/io/files.js";
import { readSafetensors } from "../../src/io/safetensors.js";
import { tensor } from "../../src/tensor/tensor.js";
import { readState, writeState } from "../../src/train/state-file.js";
import { temporaryFolder } from "../support/folder.js";

const key = fc.string({ maxLength: 6 }).filter((name) => !name.startsWith("$"));
const array = fc.oneof(
  fc.float32Array({ maxLength: 5 }),
  fc.float64Array({ maxLength: 5 }),
  fc.uint32Array({ maxLength: 5 }),
  fc.uint8Array({ maxLength: 5 }),
  fc.bigInt64Array({ maxLength: 5 }),
);
const single = fc.oneof(
  fc.double(),
  fc.constantFrom(-0, Number.NaN, Number.NEGATIVE_INFINITY),
  fc.string(),
  fc.boolean(),
  fc.constant(null),
  fc.bigInt(),
  array,
  fc.float32Array({ minLength: 6, maxLength: 6 }).map((data) => tensor("float32", [2, 3], data)),
  fc.constant(tensor("bool", [], Uint8Array.of(1))),
);
const { state } = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: "small" }, single, fc.array(tie("value"), { maxLength: 3 }), tie("state")),
  state: fc.dictionary(key, tie("value"), { maxKeys: 5, noNullPrototype: true }),
}));

describe("a state written to a file", () => {
  it("is the same when it is read", async () => {
    const path = join(temporaryFolder(), "state.safetensors");
    await fc.assert(
      fc.asyncProperty(state, async (written) => {
        await writeState(path, written as object);
        expect(await readState(path)).toStrictEqual(written);
      }),
    );
  });

  it("keeps its tensors under the names of where they stand, for any reader of safetensors", async () => {
    const path = join(temporaryFolder(), "state.safetensors");
    const weight = tensor("float32", [1, 2], Float32Array.of(1, 2));
    const clash = { parameters: { "fc.weight": weight }, "parameters/fc.weight": Float64Array.of(3) };
    await writeState(path, clash);
    const { tensors } = await readSafetensors(path);
    expect(tensors.get("parameters/fc.weight")).toEqual(weight);
    expect(tensors.size).toBe(2);
    expect(await readState(path)).toEqual(clash);
  });

  it("leaves out what is undefined, and refuses what is not plain, leaving no file", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "state.safetensors");
    await expect(writeState(path, { a: { b: () => 1 } })).rejects.toThrow("a/b is a function");
    await expect(writeState(path, { a: [new Map()] })).rejects.toThrow("a/0 is an object of a class");
    await expect(writeState(path, { $number: "1" })).rejects.toThrow('starts with "$"');
    expect(readdirSync(folder)).toEqual([]);
    await writeState(path, { a: undefined, b: 1 });
    expect(await readState(path)).toEqual({ b: 1 });
  });

  it("is told apart from other files, and from damaged ones", async () => {
    const path = join(temporaryFolder(), "state.safetensors");
    await writeTensors(path, { w: tensor("float32", [1], Float32Array.of(1)) });
    await expect(readState(path)).rejects.toThrow("no state of a training run");
    writeFileSync(path, "nothing of the kind");
    await expect(readState(path)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    await expect(readState(`${path}x`)).rejects.toThrow("does not exist");
  });
});
