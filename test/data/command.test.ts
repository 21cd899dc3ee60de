/** `pergrad pack`: options that fit the source, classes of two files, and the files beside the data. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readTensors } from "../../src/index.js";
import { floats, labels, linear, run, workspace } from "../cli/support.js";
import { temporaryFolder } from "../support/folder.js";

function tables() {
  const folder = temporaryFolder();
  const path = (name: string) => join(folder, name);
  return { path, write: (name: string, content: string) => writeFileSync(path(name), content) };
}

test("classes of two files that are packed apart have the same numbers", async () => {
  const { path, write } = tables();
  write("train.csv", "a,kind\n1,dog\n2,bird\n3,cat\n");
  write("query.csv", "a,kind\n1,dog\n");
  const pack = (name: string, ...more: string[]) =>
    run("pack", path(`${name}.csv`), "--target", "kind", "--out", path(`${name}.safetensors`), ...more);
  expect(await pack("train")).toMatchObject({
    code: 0,
    err: "",
    out: expect.stringMatching(/3 classes: bird, cat, dog\n$/),
  });
  for (const classes of [path("train.classes.json"), "bird,cat,dog"]) {
    expect(await pack("query", "--classes", classes)).toMatchObject({ code: 0, err: "" });
    expect((await readTensors(path("query.safetensors"))).target?.data).toEqual(BigInt64Array.of(2n));
    expect(JSON.parse(readFileSync(path("query.classes.json"), "utf8"))).toEqual(["bird", "cat", "dog"]);
  }
  const { code, err } = await pack("query", "--classes", "bird,cat");
  expect(code).toBe(1);
  expect(err).toContain(
    '"kind" holds "dog" in row 0, which is none of the classes bird, cat; correct it, or add it to --classes.',
  );
  write("no.json", '{"a": 1}');
  expect((await pack("query", "--classes", path("no.json"))).err).toContain("is no JSON list of texts");
});

test("files of the user's own beside new data are neither overwritten nor removed", async () => {
  const { path, write } = tables();
  const pack = (...more: string[]) => run("pack", path("t.csv"), "--target", "kind", "--out", path("t.npz"), ...more);
  write("t.csv", "a,kind\n1,dog\n2,cat\n");
  write("t.ids.json", "mine");
  expect(await pack()).toMatchObject({
    code: 1,
    err: expect.stringMatching(
      /would overwrite .*t\.ids\.json", which belongs to no earlier data file; give .* another/,
    ),
  });
  expect([readFileSync(path("t.ids.json"), "utf8"), existsSync(path("t.npz"))]).toEqual(["mine", false]);
  rmSync(path("t.ids.json"));
  // The list of classes that the call itself reads may be the one that it writes.
  write("t.classes.json", '["cat","dog"]');
  expect(await pack("--classes", path("t.classes.json"))).toMatchObject({ code: 0, err: "" });
});

test("files beside earlier data do not stay beside new data", async () => {
  const { path, write } = tables();
  const pack = (...more: string[]) => run("pack", path("t.csv"), "--target", "kind", "--out", path("t.npz"), ...more);
  write("t.csv", "a,name,kind\n1,x,dog\n2,y,cat\n");
  await pack("--ids", "name");
  expect([existsSync(path("t.classes.json")), existsSync(path("t.ids.json"))]).toEqual([true, true]);
  write("t.csv", "a,kind\n1,1\n2,0\n");
  expect((await pack()).out).toMatch(/removed .*t\.ids\.json, .*t\.classes\.json, which an earlier file had/);
  expect([existsSync(path("t.classes.json")), existsSync(path("t.ids.json"))]).toEqual([false, false]);
});

test.each([
  ["--size", "2x2"],
  ["--grey", undefined],
])("%s is refused for a table", async (option, value) => {
  const { path, write } = tables();
  write("t.csv", "a,kind\n1,0\n");
  const { code, err } = await run(
    "pack",
    path("t.csv"),
    "--target",
    "kind",
    "--out",
    path("t.npz"),
    option,
    ...(value ? [value] : []),
  );
  expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(`${option} is for folders of pictures`) });
});

test.each(["--ids", "--texts", "--integers", "--target"])("%s is refused for a folder of pictures", async (option) => {
  const { path } = tables();
  mkdirSync(path("pictures"));
  const { code, err } = await run("pack", path("pictures"), "--out", path("t.npz"), option, "name");
  expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(`${option} is for tables`) });
});

test("missing values are refused, or kept and counted", async () => {
  const { path, write } = tables();
  write("t.csv", "a,kind\nNA,0\n");
  const pack = (...more: string[]) => run("pack", path("t.csv"), "--target", "kind", "--out", path("t.npz"), ...more);
  const refused = await pack();
  expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("or allow it (--allow-not-finite)") });
  const { code, err } = await pack("--allow-not-finite");
  expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining('1 of the 1 numbers of "x" are NaN') });
});

test("reports take the names of classes from the file that pack wrote", async () => {
  const { command, path } = await workspace(linear(), { x: floats([2, 3]), target: labels(0, 1) });
  writeFileSync(path("t.csv"), "a,kind\n1,cat\n2,dog\n");
  expect(await run("pack", path("t.csv"), "--target", "kind", "--out", path("t.npz"))).toMatchObject({ code: 0 });
  const page = ["--loss", "cross_entropy", "--class-names", path("t.classes.json"), "--report", path("R.html")];
  expect(await command("report", ...page)).toMatchObject({ code: 0, err: "" });
  expect(JSON.parse(readFileSync(path("R.json"), "utf8")).classNames).toEqual(["cat", "dog"]);
});
