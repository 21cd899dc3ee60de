/** What is in the columns of tables: every name and kind of value, in each format by one rule. */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tableFromArrays, tableToIPC } from "apache-arrow";
import { describe, expect, test, vi } from "vitest";
import { packRows, type Row, readRows } from "../../src/data/index.js";
import { temporaryFolder } from "../support/folder.js";

const formats = ["parquet", "arrow"] as const;
const kinds = (format: string) => readRows(join(import.meta.dirname, `kinds.${format}`));

function written(name: string, content: string): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, content);
  return path;
}

async function firstOf(rows: AsyncIterable<Row>): Promise<Row> {
  for await (const row of rows) return row;
  throw new Error("There are no rows.");
}

describe("columns with names that mean something to JavaScript", () => {
  const names = ["10", "2", "toString", "__proto__", "toJSON"];

  test.each(formats)("keep their order and values in %s", async (format) => {
    const found = await firstOf(kinds(format));
    expect([...found.keys()].slice(0, 5)).toEqual(names);
    const { tensors } = await packRows(kinds(format), { target: "kind", inputs: { x: names } });
    expect(tensors.x?.data).toEqual(Float32Array.of(1.5, 3, 5, 7, 9, 2.5, 4, 6, 8, 10));
  });

  test.each([
    ["t.csv", "10,2,toString,__proto__,toJSON,kind\n1.5,3,5,7,9,0\n2.5,4,6,8,10,1\n"],
    [
      "t.jsonl",
      '{"10":1.5,"2":3,"toString":5,"__proto__":7,"toJSON":9,"kind":0}\n{"kind":1,"2":4,"10":2.5,"toString":6,"\\u005f_proto__":8,"toJSON":10}\n',
    ],
  ])("keep them in %s", async (name, content) => {
    const { tensors } = await packRows(readRows(written(name, content)), { target: "kind" });
    expect(tensors.x?.data).toEqual(Float32Array.of(1.5, 3, 5, 7, 9, 2.5, 4, 6, 8, 10));
    expect(tensors.target?.data).toEqual(BigInt64Array.of(0n, 1n));
  });
});

describe("two columns of one name", () => {
  test.each([
    ["CSV", () => written("t.csv", "a,a,kind\n1,2,0\n")],
    ["JSON lines", () => written("t.jsonl", '{"b":{"a":0},"a":1,"a":2,"kind":0}\n')],
    ["Parquet", () => join(import.meta.dirname, "twice.parquet")],
    ["Arrow", () => join(import.meta.dirname, "twice.arrow")],
  ])("are refused in %s", async (_, path) => {
    await expect(firstOf(readRows(path()))).rejects.toThrow(/has two columns "a"; rename one/);
  });
});

// Of the columns of a file, one is damaged, and then two: a rejected promise that nobody awaits would end the process.
test.each([
  [[592, 255]],
  [
    [592, 255],
    [1484, 255],
  ],
  [
    [344, 0],
    [2377, 255],
  ],
])("damaged Parquet ends in one error: %j", async (...damage) => {
  const bytes = readFileSync(join(import.meta.dirname, "kinds.parquet"));
  for (const [at = 0, byte = 0] of damage) bytes[at] = byte;
  const path = join(temporaryFolder(), "t.parquet");
  writeFileSync(path, bytes);
  await expect(firstOf(readRows(path))).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
});

test("line separators of Unicode inside JSON are no ends of lines", async () => {
  const path = written("t.jsonl", '{"a":1,"name":"x\u2028y","kind":0}\r\n');
  expect((await packRows(readRows(path), { target: "kind", ids: "name" })).ids).toEqual(["x\u2028y"]);
});

describe("values that are no numbers are refused by one rule", () => {
  const columns = ["time32", "time64", "times", "timestamp", "date"];

  test.each(formats.flatMap((format) => columns.map((column) => [column, format] as const)))(
    "%s in %s, as inputs and as targets",
    async (column, format) => {
      const refused = { code: "DTYPE_MISMATCH", message: expect.stringMatching(/is a date or a time; convert it/) };
      const input = packRows(kinds(format), { target: "kind", inputs: { x: [column] } });
      await expect(input).rejects.toMatchObject(refused);
      await expect(packRows(kinds(format), { target: column })).rejects.toMatchObject({ code: "DTYPE_MISMATCH" });
      const target = packRows(kinds(format), { target: column, inputs: { x: ["10"] } });
      await expect(target).rejects.toMatchObject(refused);
    },
  );

  test.each([
    "2020-01-31",
    "2020-01-31 10:00",
    "2020-01-31T10:00:00Z",
    "10:30",
    "23:59:59.5",
    "31/01/2020",
    "9:30 pm",
    "PT1.5S",
    "-1 days +23:59:59",
  ])("%s in CSV", async (time) => {
    const path = written("t.csv", `a,kind\n1,${time}\n2,${time}\n`);
    await expect(packRows(readRows(path), { target: "kind" })).rejects.toThrow(/is a date or a time; convert it/);
    await expect(packRows(readRows(path), { target: "a" })).rejects.toThrow(/is a date or a time; convert it/);
    // Who calls them classes means them.
    const packed = await packRows(readRows(path), { target: "kind", classes: [time] });
    expect(packed.tensors.target?.data).toEqual(BigInt64Array.of(0n, 0n));
  });

  test("durations and maps in Arrow", async () => {
    for (const [column, message] of [
      ["duration", /holds "PT1.5S" in row 0, which is a date or a time/],
      ["map", /which is no number/],
    ] as const)
      await expect(packRows(kinds("arrow"), { target: "kind", inputs: { x: [column] } })).rejects.toThrow(message);
  });

  test.each(formats.flatMap((format) => ["bytes", "fixed"].map((column) => [column, format] as const)))(
    "%s in %s",
    async (column, format) => {
      for (const options of [
        { target: "kind", inputs: { x: [column] } },
        { target: column, inputs: { x: ["10"] } },
      ])
        await expect(packRows(kinds(format), options)).rejects.toThrow(
          /holds \d+ bytes in row 0, which is no number; decode them/,
        );
    },
  );

  test.each(["1,5", "1.234,5", "1,234", "12%", "1_000", "0x10", "1 000"])("%s in quotes", async (number) => {
    const path = written("t.csv", `a,kind\n1,"${number}"\n2,"${number}"\n`);
    await expect(packRows(readRows(path), { target: "a" })).rejects.toMatchObject({ code: "DTYPE_MISMATCH" });
    if (number !== "0x10")
      await expect(packRows(readRows(path), { target: "kind" })).rejects.toThrow(/is a number in another form/);
  });
});

describe("missing and infinite values", () => {
  const values = ["NA", "nan", "None", "null", "<NA>", "", "inf", "-Infinity", "1e39"];

  test.each(values)('"%s" is refused in inputs and targets alike', async (value) => {
    const path = written("t.csv", `a,kind\n1,0.5\n"${value}",0.5\n`);
    for (const target of ["a", "kind"])
      await expect(packRows(readRows(path), { target })).rejects.toMatchObject({
        code: "NOT_FINITE",
        message: expect.stringMatching(/^The column "a" holds .* in row 1, which is /),
      });
  });

  test.each([null, undefined, Number.NaN, Number.POSITIVE_INFINITY, "NA", "inf"])(
    "%s is refused in rows",
    async (value) => {
      const rows = [
        { a: 1, kind: "cat" },
        { a: 2, kind: value },
      ];
      await expect(packRows(rows, { target: "kind" })).rejects.toMatchObject({ code: "NOT_FINITE" });
      await expect(packRows([{ a: value, kind: 0 }], { target: "kind" })).rejects.toMatchObject({ code: "NOT_FINITE" });
    },
  );

  test("are kept in inputs of floats on demand, but never in targets or whole numbers", async () => {
    const rows = [{ a: "NA", b: null, c: "-inf", d: 4, kind: 0 }];
    const options = { target: "kind", allowNotFinite: true };
    const { tensors } = await packRows(rows, options);
    expect(tensors.x?.data).toEqual(Float32Array.of(Number.NaN, Number.NaN, Number.NEGATIVE_INFINITY, 4));
    for (const own of [
      { ...options, integers: ["x"] },
      { ...options, target: "a" },
    ])
      await expect(packRows(rows, own)).rejects.toMatchObject({ code: "NOT_FINITE" });
  });

  test("as names of classes must be named", async () => {
    const rows = ["None", "Mild"].map((kind) => ({ a: 1, kind }));
    await expect(packRows(rows, { target: "kind" })).rejects.toThrow(/missing value.*or name all classes/);
    const { tensors } = await packRows(rows, { target: "kind", classes: ["None", "Mild"] });
    expect(tensors.target?.data).toEqual(BigInt64Array.of(0n, 1n));
  });
});

describe("targets of numbers and texts", () => {
  test.each([
    ["a number after texts", ["cat", "3"]],
    ["a text after numbers", ["3", "cat"]],
    ["a text after truths", ["true", "maybe"]],
  ])("with %s are refused", async (_, kinds) => {
    const rows = kinds.map((kind) => ({ a: 1, kind }));
    await expect(packRows(rows, { target: "kind" })).rejects.toThrow(
      /column "kind" holds .* in row 1,.*name all classes/,
    );
    const { tensors } = await packRows(rows, { target: "kind", classes: kinds });
    expect(tensors.target?.data).toEqual(BigInt64Array.of(0n, 1n));
  });

  test("beyond 2^53 are floats, which no loss takes for classes", async () => {
    const { tensors } = await packRows([{ a: 1, kind: 2n ** 60n }], { target: "kind" });
    expect(tensors.target).toEqual({ dtype: "float32", dims: [1], data: Float32Array.of(2 ** 60) });
    const whole = packRows([{ a: 2n ** 60n, kind: 0 }], { target: "kind", integers: ["x"] });
    await expect(whole).rejects.toThrow(/no whole number within 2\^53/);
  });
});

test.each(["t.csv", null, Promise.resolve([])])("%s in place of rows is refused", async (rows) => {
  const given = rows as unknown as Row[];
  await expect(packRows(given, { target: "kind" })).rejects.toThrow(/packRows takes rows, not .*readRows\(path\)/);
});

describe("the type of the target", () => {
  const pack = (kinds: readonly unknown[], own: object) =>
    packRows(
      kinds.map((kind) => ({ a: 1, kind })),
      { target: "kind", ...own },
    );

  test("may be float32 for whole numbers, lists and classes", async () => {
    for (const [kinds, own] of [
      [[0, 1], {}],
      [["no", "yes"], {}],
      [["no", "yes"], { classes: ["no", "yes"] }],
    ] as const) {
      const { tensors } = await pack(kinds, { ...own, targetType: "float32" });
      expect(tensors.target).toEqual({ dtype: "float32", dims: [2], data: Float32Array.of(0, 1) });
    }
    const { tensors } = await pack([[0, 1]], { targetType: "float32" });
    expect(tensors.target).toEqual({ dtype: "float32", dims: [1, 2], data: Float32Array.of(0, 1) });
  });

  test("refuses fractions if it is int64, and other types", async () => {
    await expect(pack([0, 0.5], { targetType: "int64" })).rejects.toThrow(
      /holds 0.5 in row 1, which is no whole number/,
    );
    await expect(pack([0], { targetType: "int32" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("lists", () => {
  test("of lists keep their shape, in inputs and targets", async () => {
    const rows = [0, 6].map((from) => {
      const list = [
        [from, from + 1, from + 2],
        [from + 3, from + 4, from + 5],
      ];
      return { a: list, mask: list };
    });
    const { tensors } = await packRows(rows, { target: "mask" });
    expect(tensors.x).toEqual({
      dtype: "float32",
      dims: [2, 2, 3],
      data: Float32Array.from({ length: 12 }, (_, i) => i),
    });
    expect(tensors.target?.dims).toEqual([2, 2, 3]);
  });

  test.each([
    ["of unequal lengths in one row", [{ a: [[1, 2], [3]], kind: 0 }]],
    [
      "whose lengths only add up to the same",
      [
        { a: [1, 2], b: [3], kind: 0 },
        { a: [1], b: [2, 3], kind: 1 },
      ],
    ],
    [
      "of lists, divided in another way",
      [
        {
          a: [
            [1, 2],
            [3, 4],
          ],
          kind: 0,
        },
        { a: [[1], [2], [3], [4]], kind: 1 },
      ],
    ],
    ["of lists beside other columns", [{ a: [[1, 2]], b: 1, kind: 0 }]],
    ["without numbers", [{ a: [], kind: 0 }]],
  ])("%s are refused", async (_, rows) => {
    await expect(packRows(rows, { target: "kind" })).rejects.toMatchObject({ code: "SHAPE_MISMATCH" });
  });

  test("of many numbers fill more than one block", async () => {
    const rows = Array.from({ length: 300 }, (_, n) => ({ a: Array.from({ length: 500 }, (_, i) => n + i), kind: n }));
    const { tensors } = await packRows(rows, { target: "kind" });
    expect(tensors.x?.dims).toEqual([300, 500]);
    expect(tensors.x?.data[299 * 500 + 499]).toBe(798);
    expect(tensors.x?.data[131 * 500 + 36]).toBe(167);
  });
});

test("a column without a name, as pandas writes its index, is no input", async () => {
  const path = written("t.csv", ",a,kind\n7,1,0\n8,2,1\n");
  expect((await packRows(readRows(path), { target: "kind" })).tensors.x?.data).toEqual(Float32Array.of(1, 2));
  const arrow = join(temporaryFolder(), "t.arrow");
  writeFileSync(arrow, tableToIPC(tableFromArrays({ a: [1], kind: [0], __index_level_0__: [5] }), "file"));
  expect((await packRows(readRows(arrow), { target: "kind" })).tensors.x?.dims).toEqual([1, 1]);
});

describe("names of samples", () => {
  test.each([[""], [null], [undefined]])("that are %s are refused", async (name) => {
    const rows = [{ a: 1, kind: 0, name }];
    await expect(packRows(rows, { target: "kind", ids: "name" })).rejects.toThrow(/name of row 0 is missing/);
  });

  test("that JSON rounds, and lists, are refused; days and long integers are written out", async () => {
    const pack = (name: unknown) => packRows([{ a: 1, kind: 0, name }], { target: "kind", ids: "name" });
    for (const name of [2 ** 60, ["a"]]) await expect(pack(name)).rejects.toMatchObject({ code: "DTYPE_MISMATCH" });
    expect((await pack(2n ** 60n + 1n)).ids).toEqual(["1152921504606846977"]);
    expect((await pack(new Date(0))).ids).toEqual(["1970-01-01T00:00:00.000Z"]);
  });
});

describe("options that contradict each other are refused", () => {
  const rows = [{ a: 1, b: 2, kind: 0 }];
  test.each([
    ["integers of no input", { integers: ["zz"] }, /integers names "zz"/],
    ["a column twice in the target", { target: "kind,kind" }, /target has the column "kind" twice/],
    ["a column twice in an input", { inputs: { x: ["a", "a"] } }, /"x" has the column "a" twice/],
    ["an input called target", { inputs: { target: ["a"] } }, /"target"/],
    ["no inputs", { inputs: {} }, /no input/],
    ["an input without columns", { inputs: { x: [] } }, /no columns/],
    ["a table of targets only", { target: "a,b,kind" }, /no column for an input beside the target/],
    [
      "classes of several columns",
      { target: "a,b", classes: ["x"] },
      /classes is for a target of one column, not of 2/,
    ],
    ["the same class twice", { classes: ["x", "x"] }, /names "x" twice/],
    ["no classes", { classes: [] }, /at least one/],
    ["an option that does not exist", { labels: "kind" }, /no option "labels"/],
    ["a target that is a list", { target: ["kind"] }, /target must be the name of a column/],
  ])("%s", async (_, own, message) => {
    const options = { target: "kind", ...own } as Parameters<typeof packRows>[1];
    await expect(packRows(rows, options)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringMatching(message),
    });
  });
});

test.runIf(process.platform === "linux").each([
  ["t.csv", `a,kind\n${"1,0\n".repeat(200_000)}`],
  ["t.jsonl", '{"a":1,"kind":0}\n'.repeat(100_000)],
])("a %s of which only the first row is read is closed", async (name, content) => {
  const path = written(name, content);
  await firstOf(readRows(path));
  const open = () =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === path;
      } catch {
        return false;
      }
    });
  await vi.waitFor(() => expect(open()).toEqual([]));
});
