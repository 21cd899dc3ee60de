/** Tables and pictures as tensors: of CSV, JSON lines, Parquet, Arrow and folders, and on the command line. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tableFromArrays, tableToIPC } from "apache-arrow";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { packImages, packRows, readRows } from "../../src/data/index.js";
import { readTensors } from "../../src/index.js";
import { library } from "../../src/io/library.js";
import { run } from "../cli/support.js";
import { temporaryFolder } from "../support/folder.js";

const options = { target: "kind", ids: "name" };
const wanted = {
  ids: ["a", "b", "c"],
  classNames: ["iris", "rose"],
  target: { dtype: "int64", dims: [3], data: BigInt64Array.of(1n, 0n, 1n) },
};

describe("rows", () => {
  const x = { dtype: "float32", dims: [3, 2], data: Float32Array.of(1.5, 1, 2.25, 2, 3, 3) };

  test("of CSV, with quotes, a byte order mark and empty lines", async () => {
    const path = join(temporaryFolder(), "flowers.csv");
    writeFileSync(path, '\ufeffname,length,width,kind\r\n"a",1.5,1,rose\r\nb,2.25,2,iris\r\n\r\nc,3,"3",rose\r\n');
    const { tensors, classNames, ids } = await packRows(readRows(path), options);
    expect(tensors).toEqual({ x, target: wanted.target });
    expect({ classNames, ids }).toEqual({ classNames: wanted.classNames, ids: wanted.ids });
  });

  test("of JSON lines, with lists as one input and columns as another", async () => {
    const path = join(temporaryFolder(), "flowers.jsonl");
    const rows = [0, 1, 2].map((n) => ({ spectrum: [n, n + 0.5, 9], words: [n, 7], grade: n / 2 }));
    writeFileSync(path, `${rows.map((row) => JSON.stringify(row)).join("\n\n")}\n`);
    const inputs = { x: ["spectrum"], words: ["words"] };
    const { tensors, classNames } = await packRows(readRows(path), { target: "grade", inputs, integers: ["words"] });
    expect(tensors).toEqual({
      x: { dtype: "float32", dims: [3, 3], data: Float32Array.of(0, 0.5, 9, 1, 1.5, 9, 2, 2.5, 9) },
      words: { dtype: "int64", dims: [3, 2], data: BigInt64Array.of(0n, 7n, 1n, 7n, 2n, 7n) },
      target: { dtype: "float32", dims: [3], data: Float32Array.of(0, 0.5, 1) },
    });
    expect(classNames).toBeUndefined();
  });

  test("of Parquet, as pyarrow writes it, compressed with zstd", async () => {
    const path = join(import.meta.dirname, "flowers.parquet");
    const { tensors, classNames, ids } = await packRows(readRows(path), options);
    const data = Float32Array.of(1.5, 1, 1, 2, 2.25, 2, 3, 4, 3, 3, 5, 6);
    expect(tensors).toEqual({ x: { dtype: "float32", dims: [3, 4], data }, target: wanted.target });
    expect({ classNames, ids }).toEqual({ classNames: wanted.classNames, ids: wanted.ids });
  });

  test("of Arrow", async () => {
    const path = join(temporaryFolder(), "flowers.arrow");
    const table = tableFromArrays({
      length: Float32Array.of(1.5, 2.25, 3),
      width: BigInt64Array.of(1n, 2n, 3n),
      kind: ["rose", "iris", "rose"],
    });
    writeFileSync(path, tableToIPC(table, "file"));
    expect((await packRows(readRows(path), { target: "kind" })).tensors).toEqual({ x, target: wanted.target });
  });

  test("that do not fit are refused, naming the column and the row", async () => {
    const pack = (rows: object[], more: object = {}) =>
      packRows(rows as Record<string, unknown>[], { target: "kind", ...more });
    await expect(
      pack([
        { a: 1, kind: 0 },
        { a: "?", kind: 1 },
      ]),
    ).rejects.toThrow(/column "a" holds "\?" in row 1/);
    await expect(pack([{ a: 1 }])).rejects.toMatchObject({ code: "MISSING_TENSOR" });
    await expect(
      pack([
        { a: [1, 2], kind: 0 },
        { a: [1], kind: 1 },
      ]),
    ).rejects.toMatchObject({ code: "SHAPE_MISMATCH" });
    for (const kind of ["", "nan", null, Number.NaN])
      await expect(
        pack([
          { a: 1, kind: "x" },
          { a: 2, kind },
        ]),
      ).rejects.toThrow("The target in row 1 is missing");
    await expect(pack([])).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(pack([{ a: 0.5, kind: 0 }], { integers: ["x"] })).rejects.toMatchObject({ code: "DTYPE_MISMATCH" });
  });

  test.each([
    ["a.parquet", "PAR1 but no more"],
    ["a.arrow", "ARROW1 but no more"],
    ["a.jsonl", "[1, 2]\n"],
    ["a.csv", "a,b\n1\n"],
    ["a.xlsx", "PK"],
  ])("of a damaged %s are refused", async (name, content) => {
    const path = join(temporaryFolder(), name);
    writeFileSync(path, content);
    await expect(packRows(readRows(path), { target: "b" })).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  });
});

test("a package that is not installed is named, with what to run", async () => {
  const load = async () => {
    throw Object.assign(new Error("Cannot find package 'hyparquet'"), { code: "ERR_MODULE_NOT_FOUND" });
  };
  await expect(library("hyparquet", "read Parquet", load)).rejects.toThrow(/npm install hyparquet --ignore-scripts/);
});

describe("pictures", () => {
  async function folder(): Promise<string> {
    const path = temporaryFolder();
    for (const [name, red] of [
      ["cat", 200],
      ["dog", 10],
    ] as const) {
      mkdirSync(join(path, name));
      const background = { r: red, g: 20, b: 30 };
      await sharp({ create: { width: 4, height: 3, channels: 3, background } })
        .png()
        .toFile(join(path, name, "1.png"));
    }
    return path;
  }

  test("are bytes by channel, with a class for each folder", async () => {
    const { tensors, classNames, ids } = await packImages(await folder());
    expect(tensors.x).toMatchObject({ dtype: "uint8", dims: [2, 3, 3, 4], scale: 1 / 255 });
    const data = Array.from(tensors.x?.data ?? [], Number);
    expect([data[0], data[12], data[24], data[36]]).toEqual([200, 20, 30, 10]);
    expect({ classNames, ids }).toEqual({ classNames: ["cat", "dog"], ids: ["cat/1.png", "dog/1.png"] });
    expect(tensors.target?.data).toEqual(BigInt64Array.of(0n, 1n));
  });

  test("are brought to a size, in grey, by the command", async () => {
    const out = join(temporaryFolder(), "pets.safetensors");
    const { code, err } = await run("pack", await folder(), "--out", out, "--size", "8x6", "--grey");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect((await readTensors(out)).x).toMatchObject({
      dtype: "uint8",
      dims: [2, 1, 6, 8],
      scale: [Math.fround(1 / 255)],
    });
    expect(JSON.parse(readFileSync(out.replace("safetensors", "classes.json"), "utf8"))).toEqual(["cat", "dog"]);
  });

  test("of different sizes, damaged ones, and none are refused", async () => {
    const path = await folder();
    await sharp({ create: { width: 5, height: 5, channels: 3, background: "red" } })
      .png()
      .toFile(join(path, "dog", "2.png"));
    await expect(packImages(path)).rejects.toMatchObject({ code: "SHAPE_MISMATCH" });
    writeFileSync(join(path, "cat", "0.png"), "no picture");
    await expect(packImages(path)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    await expect(packImages(temporaryFolder())).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  });
});

test("the command packs a table, and says what it needs", async () => {
  const folder = temporaryFolder();
  const [source, out] = [join(folder, "t.csv"), join(folder, "t.npz")];
  writeFileSync(source, "a,b,y\n1,2,0\n3,4,1\n");
  expect(await run("pack", source, "--out", out)).toMatchObject({ code: 2 });
  const { code, out: told } = await run("pack", source, "--target", "y", "--input", "in=b,a", "--out", out);
  expect(code).toBe(0);
  expect(told).toContain("in float32 [2, 2], target int64 [2]");
  expect((await readTensors(out)).in?.data).toEqual(Float32Array.of(2, 1, 4, 3));
});
