/** Tables and pictures as tensors: of CSV, JSON lines, Parquet, Arrow and folders, and on the command line. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
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

  const arrow = (own: object) => packRows(readRows(join(import.meta.dirname, "prices.arrow")), own as typeof options);

  test("of Arrow, as pyarrow writes it, in two chunks, with decimals, a dictionary and lists", async () => {
    const { tensors } = await arrow({ target: "kind", inputs: { x: ["price"], parts: ["parts"] } });
    expect(tensors).toEqual({
      x: { dtype: "float32", dims: [3, 1], data: Float32Array.of(1.25, -2.5, 300.75) },
      parts: { dtype: "float32", dims: [3, 2], data: Float32Array.of(1.5, -0.5, 2.5, 0, 3.5, 4) },
      target: wanted.target,
    });
    const { tensors: tagged } = await arrow({ target: "tags", inputs: { x: ["price"] } });
    expect(tagged.target).toEqual({ dtype: "int64", dims: [3, 2], data: BigInt64Array.of(0n, 1n, 1n, 1n, 0n, 0n) });
    await expect(arrow({ target: "kind", inputs: { x: ["day"] } })).rejects.toThrow(/"day" holds "2020-01-01T/);
  });

  test("of compressed Arrow are refused with what to do", async () => {
    const path = join(import.meta.dirname, "compressed.feather");
    await expect(packRows(readRows(path), { target: "kind" })).rejects.toMatchObject({
      code: "FILE_UNREADABLE",
      message: expect.stringContaining("write it uncompressed"),
    });
  });

  test("of Arrow with a list view, as pyarrow writes pa.list_view, are refused by the column's type", async () => {
    const path = join(import.meta.dirname, "list-view.arrow");
    await expect(packRows(readRows(path), { target: "t" })).rejects.toMatchObject({
      code: "FILE_UNREADABLE",
      message: expect.stringMatching(
        /has a column of the type ListView, which apache-arrow does not read; write it as/,
      ),
    });
  });

  test("with several targets of each sample, as a list or in several columns", async () => {
    const target = { dtype: "int64", dims: [2, 3], data: BigInt64Array.of(0n, 1n, 1n, 1n, 0n, 0n) };
    const lists = [
      { a: 1, kind: [0, 1, 1] },
      { a: 2, kind: [1, 0, 0] },
    ];
    expect((await packRows(lists, { target: "kind" })).tensors.target).toEqual(target);
    const columns = lists.map(({ a, kind: [p, q, r] }) => ({ a, p: String(p), q: String(q), r: String(r) }));
    const { tensors } = await packRows(columns, { target: "p,q,r" });
    expect(tensors).toEqual({ x: { dtype: "float32", dims: [2, 1], data: Float32Array.of(1, 2) }, target });
    // A column that is called so comes first.
    expect((await packRows([{ a: 1, "p,q": 0.5 }], { target: "p,q" })).tensors.target?.dims).toEqual([1]);
    await expect(packRows(columns, { target: "p,qq" })).rejects.toMatchObject({ code: "MISSING_TENSOR" });
  });

  test("with booleans, also as tables of text spell them", async () => {
    const target = { dtype: "int64", dims: [2, 2], data: BigInt64Array.of(0n, 1n, 1n, 0n) };
    const x = { dtype: "float32", dims: [2, 1], data: Float32Array.of(1, 0) };
    for (const [yes, no] of [
      [true, false],
      ["True", "False"],
      ["TRUE", " false"],
    ]) {
      const rows = [
        { a: yes, cat: no, dog: yes },
        { a: no, cat: yes, dog: no },
      ];
      expect((await packRows(rows, { target: "cat,dog" })).tensors).toEqual({ x, target });
    }
    // In a single column too.
    for (const [yes, no] of [
      [true, false],
      ["True", "FALSE"],
      [" TRUE", "false"],
    ]) {
      const rows = [
        { a: 1, kind: yes },
        { a: 2, kind: no },
      ];
      const packed = await packRows(rows, { target: "kind" });
      expect(packed.tensors.target).toEqual({ dtype: "int64", dims: [2], data: BigInt64Array.of(1n, 0n) });
      expect(packed.classNames).toBeUndefined();
    }
  });

  test.each([
    ["records", [{ name: "cat" }, { name: "dog" }], "DTYPE_MISMATCH"],
    ["dates", [new Date(0), new Date(1)], "DTYPE_MISMATCH"],
    ["lists of texts", [["a"], ["b"]], "DTYPE_MISMATCH"],
    ["lists and numbers", [[1], 2], "SHAPE_MISMATCH"],
    ["lists of different lengths", [[1, 2], [3]], "SHAPE_MISMATCH"],
    ["lists with gaps", [[1, null]], "NOT_FINITE"],
  ])("whose targets are %s are refused", async (_, kinds, code) => {
    const rows = kinds.map((kind) => ({ a: 1, kind }));
    await expect(packRows(rows, { target: "kind" })).rejects.toMatchObject({ code });
  });

  test("with a column that the first row lacks are refused, unless the input's columns are named", async () => {
    const rows = [
      { a: 1, kind: 0 },
      { a: 2, b: 7, kind: 1 },
    ];
    await expect(packRows(rows, { target: "kind" })).rejects.toMatchObject({
      code: "MISSING_TENSOR",
      message: expect.stringContaining('Row 1 has a column "b"'),
    });
    expect((await packRows(rows, { target: "kind", inputs: { x: ["a"] } })).tensors.x?.dims).toEqual([2, 1]);
  });

  test("with records of long numbers are refused in one sentence", async () => {
    const rows = [{ a: { deep: 2n ** 60n }, kind: 0 }];
    await expect(packRows(rows, { target: "kind" })).rejects.toMatchObject({ code: "DTYPE_MISMATCH" });
  });

  test.each([
    ["two columns of one name", "twice.csv", Buffer.from("a,a,kind\n1,2,0\n"), /two columns "a"/],
    ["bytes that are no UTF-8", "latin.csv", Buffer.from("a,kind\n1,caf\xe9\n", "latin1"), /not in UTF-8/],
    ["semicolons between columns", "german.csv", Buffer.from("a;kind\n1,5;0\n"), /separated by semicolons.*commas/],
    ["semicolons, and no commas", "whole.csv", Buffer.from("a;kind\n1;0\n"), /separated by semicolons.*commas/],
    ["commas between columns", "plain.tsv", Buffer.from("a,kind\n1,0\n"), /separated by commas.*tabs/],
    ["a row that is short", "short.csv", Buffer.from("a,b,kind\n1,0\n"), /expect 3, got 2 on line 2/],
    ["nothing in it", "nothing.parquet", Buffer.from(""), /is damaged, or no Parquet file; write it anew/],
    ["nothing in it", "nothing.arrow", Buffer.from(""), /is damaged, or no Arrow file; write it anew/],
    ["a footer that is cut off", "cut.parquet", Buffer.from("PAR1 and no more"), /is damaged, or no Parquet file/],
    ["a footer that is cut off", "cut.arrow", Buffer.from("ARROW1\0\0 and no more"), /is damaged, or no Arrow file/],
    ["the first version of Feather", "old.feather", Buffer.from("FEA1 and more"), /Feather version 1.*version 2/],
    ["half a letter at the end", "cut.jsonl", Buffer.from('{"a":1,"kind":0}\n\xc3', "latin1"), /not in UTF-8/],
  ])("of a file with %s are refused", async (_, name, content, message) => {
    const path = join(temporaryFolder(), name);
    writeFileSync(path, content);
    await expect(packRows(readRows(path), { target: "kind", inputs: { x: ["a"] } })).rejects.toMatchObject({
      code: "FILE_UNREADABLE",
      message: expect.stringMatching(message),
    });
  });

  test("of JSON lines with a byte order mark, and of CSV in UTF-16 of either order", async () => {
    const wide = Buffer.from("\ufeffa,kind\n1,0\n", "utf16le");
    for (const [name, content] of [
      ["mark.jsonl", '\ufeff{"a":1,"kind":0}\n'],
      ["little.csv", wide],
      ["big.csv", Buffer.from(wide).swap16()],
    ] as const) {
      const path = join(temporaryFolder(), name);
      writeFileSync(path, content);
      expect((await packRows(readRows(path), { target: "kind" })).tensors.x?.data).toEqual(Float32Array.of(1));
    }
  });

  test("of a folder are refused as a folder", async () => {
    const path = join(temporaryFolder(), "folder.csv");
    mkdirSync(path);
    await expect(packRows(readRows(path), { target: "kind" })).rejects.toThrow(/it is a directory, not a file/);
  });

  test("with texts in an input are refused, and the message says how to leave the column out", async () => {
    const path = join(temporaryFolder(), "named.csv");
    writeFileSync(path, "name,a,kind\nx,1,0\n");
    const { code, err } = await run("pack", path, "--target", "kind", "--out", join(temporaryFolder(), "o.npz"));
    expect(code).toBe(1);
    expect(err).toContain('The column "name" holds "x" in row 0, which is no number; encode it as numbers');
    expect(err).toContain("or name the columns of the inputs without it (--input)");
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
      ).rejects.toThrow(/column "kind" holds .* in row 1, which is a missing value/);
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

test("two packages that belong together are installed at once", async () => {
  const load = async () => {
    throw Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
  };
  const packages = ["hyparquet", "hyparquet-compressors"];
  await expect(library("hyparquet", "read Parquet", load, { install: packages })).rejects.toThrow(
    /the package "hyparquet", which is not installed; run npm install hyparquet hyparquet-compressors --ignore-scripts/,
  );
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

  test("of cameras stand upright, and links to folders count", async () => {
    const [here, there] = [temporaryFolder(), temporaryFolder()];
    // Red on top, blue below, in a file that lies on its side: turned by 90 degrees when it is shown.
    const pixels = Buffer.from([255, 0, 0, 0, 0, 255]);
    const upright = sharp(pixels, { raw: { width: 1, height: 2, channels: 3 } });
    const lying = await upright.rotate(270).png().toBuffer();
    await sharp(lying).withMetadata({ orientation: 6 }).png().toFile(join(there, "0.png"));
    symlinkSync(there, join(here, "cat"));
    symlinkSync(join(there, "gone"), join(here, "dog"));
    const { tensors, classNames } = await packImages(here);
    expect([tensors.x?.dims, classNames]).toEqual([[1, 3, 2, 1], ["cat"]]);
    expect(tensors.x?.data).toEqual(Uint8Array.of(255, 0, 0, 0, 0, 255));
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
