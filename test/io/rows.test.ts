/** Parts and rows of a file are those of the tensors that reading it whole gives, in every format and of every dtype. */
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { openTensorFile, readTensors, writeTensors } from "../../src/io/files.js";
import { pickSamples, takeSamples } from "../../src/tensor/take-samples.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { temporaryFolder } from "../support/folder.js";
import { anyTensors, bits } from "../support/tensors.js";

async function agrees(path: string, tensors: ReadonlyMap<string, Tensor>, seed: number): Promise<void> {
  const file = await openTensorFile(path);
  try {
    expect([...file.layout].map(([name, { dtype, dims }]) => [name, dtype, dims])).toEqual(
      [...tensors].map(([name, { dtype, dims }]) => [name, dtype, dims]),
    );
    for (const [name, tensor] of tensors) {
      const whole = new Map([["whole", await file.read(name)]]);
      expect(bits(whole)).toEqual(bits(new Map([["whole", tensor]])));
      for (const [axis, dim] of tensor.dims.entries()) {
        const from = dim === 0 ? 0 : seed % dim;
        const to = from + ((dim - from) >> 1);
        const places = dim === 0 ? [] : [seed % dim, dim - 1, 0, (seed * 7) % dim, dim - 1];
        const own = new Map([
          ["part", await file.read(name, { axis, from, to })],
          ["rows", await file.rows(name, axis, places)],
        ]);
        const expected = new Map([
          ["part", takeSamples(tensor, axis, from, to)],
          ["rows", pickSamples(tensor, axis, places)],
        ]);
        expect(bits(own)).toEqual(bits(expected));
      }
    }
    await file.requireUnchanged();
  } finally {
    await file.close();
  }
}

it.each(["safetensors", "npz"])("%s files of any tensors", async (extension) => {
  const folder = temporaryFolder();
  const path = join(folder, `any.${extension}`);
  await fc.assert(
    fc.asyncProperty(anyTensors, fc.nat(1000), async (tensors, seed) => {
      await writeTensors(path, tensors);
      await agrees(path, await readTensors(path), seed);
    }),
    { numRuns: 40 },
  );
});

it("rows that lie far apart, and many that lie near each other", async () => {
  const path = join(temporaryFolder(), "long.safetensors");
  const x: Tensor = { dtype: "float32", dims: [3, 4000, 7], data: Float32Array.from({ length: 84000 }, (_, k) => k) };
  await writeTensors(path, { x });
  const file = await openTensorFile(path);
  for (const places of [[3999, 0, 1, 2000, 1], Array.from({ length: 4000 }, (_, k) => (k * 1201) % 4000)])
    expect(await file.rows("x", 1, places)).toEqual(pickSamples(x, 1, places));
  await file.close();
});

function npy(descr: string, shape: string, data: Uint8Array, order = "False"): Uint8Array {
  const text = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`;
  return new Uint8Array(
    Buffer.concat([Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, text.length, 0]), Buffer.from(text), data]),
  );
}
const bytes = (count: number) => Uint8Array.from({ length: count }, (_, k) => (k * 29) % 251);

describe("forms that NumPy writes", () => {
  const arrays = {
    "big-endian.npy": npy(">f8", "(5, 3)", bytes(120)),
    "first-axis-fastest.npy": npy("<i4", "(5, 3)", bytes(60), "True"),
    "halves.npy": npy("<f2", "(5, 3)", bytes(30)),
    "truths.npy": npy("|b1", "(15,)", bytes(15)),
    "ids.npy": npy("<U2", "(3,)", new Uint8Array(new Uint32Array([97, 98, 99, 0, 233, 0]).buffer)),
    "number.npy": npy("<f4", "()", bytes(4)),
  };
  it.each([0, 9] as const)("in an archive, packed by %i", async (level) => {
    const path = join(temporaryFolder(), "arrays.npz");
    writeFileSync(path, zipSync(arrays, { level }));
    await agrees(path, await readTensors(path), 3);
  });
  it.each(Object.entries(arrays))("alone: %s", async (name, own) => {
    const path = join(temporaryFolder(), name);
    writeFileSync(path, own);
    await agrees(path, await readTensors(path), 2);
  });
  it("an archive with a comment behind it", async () => {
    const path = join(temporaryFolder(), "arrays.npz");
    const zip = zipSync(arrays, { level: 0 });
    new DataView(zip.buffer).setUint16(zip.length - 2, 300, true);
    writeFileSync(path, Buffer.concat([zip, new Uint8Array(300).fill(80)]));
    await agrees(path, await readTensors(path), 3);
  });
});

it("damaged archives are refused as they are when they are read whole, or give the same", async () => {
  const zip = zipSync(
    { "x.npy": npy("<f4", "(8, 2)", bytes(64)), "y.npy": npy("<i2", "(4,)", bytes(8)) },
    { level: 0 },
  );
  const path = join(temporaryFolder(), "damaged.npz");
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => "",
      (error: { code?: string }) => error.code ?? `${error}`,
    );
  await fc.assert(
    fc.asyncProperty(fc.nat(zip.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), async (at, by, cut) => {
      const damaged = cut ? zip.slice(0, at) : zip.map((byte, k) => (k === at ? byte ^ by : byte));
      writeFileSync(path, damaged);
      const code = await codeOf(
        (async () => {
          const file = await openTensorFile(path);
          try {
            for (const [name, { dims }] of file.layout)
              if (dims.length > 0) await file.rows(name, 0, (dims[0] ?? 0) > 0 ? [(dims[0] ?? 1) - 1] : []);
          } finally {
            await file.close();
          }
        })(),
      );
      expect(["", "FILE_UNREADABLE"]).toContain(code);
    }),
    { numRuns: 300 },
  );
});

it("a file that became shorter is said to be", async () => {
  const path = join(temporaryFolder(), "short.safetensors");
  await writeTensors(path, { x: { dtype: "float32", dims: [100, 2], data: new Float32Array(200) } });
  const file = await openTensorFile(path);
  truncateSync(path, 200);
  await expect(file.rows("x", 0, [99])).rejects.toMatchObject({
    code: "FILE_UNREADABLE",
    message: expect.stringContaining("became shorter"),
  });
  await expect(file.requireUnchanged()).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  await file.close();
});
