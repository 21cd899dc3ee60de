/** Names, texts and classes in files: lines or JSON, in UTF-8 or UTF-16, and nothing else. */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { floats, labels, linear, workspace } from "./support.js";

const data = { x: floats([3, 3]), target: labels(0, 1, 0) };

/** The names that a report takes from a file, or its error. */
async function named(content: string | Buffer, file = "names.txt") {
  const { command, path } = await workspace(linear(), data);
  writeFileSync(path(file), content);
  const { code, err } = await command(
    "report",
    "--loss",
    "cross_entropy",
    "--ids",
    path(file),
    "--report",
    path("R.html"),
  );
  if (code !== 0) return { code, err };
  const { rows }: { rows: { id: string }[] } = JSON.parse(readFileSync(path("R.json"), "utf8"));
  return rows.map(({ id }) => id);
}

const wanted = ["grün", "[b]", "c"];
const lines = `${wanted.join("\n")}\n`;
const wide = Buffer.from(`\ufeff${lines}`, "utf16le");

describe("names of samples", () => {
  test.each<[what: string, content: string | Buffer, file?: string]>([
    ["lines", lines, "names.txt"],
    ["lines with a byte order mark", `\ufeff${lines}`],
    ["lines in UTF-16", wide],
    ["lines in UTF-16, high bytes first", Buffer.from(wide).swap16()],
    ["lines as Windows ends them", lines.replaceAll("\n", "\r\n")],
    ["JSON", JSON.stringify(wanted), "names.json"],
    ["JSON with a byte order mark", `\ufeff${JSON.stringify(wanted)}`],
  ])("are read from %s", async (_, content, file) => {
    expect(await named(content, file)).toEqual(wanted);
  });

  test("may be lines that begin with a bracket, and numbers in JSON", async () => {
    expect(await named("[INFO] a\n[INFO] b\n[WARN] c\n")).toEqual(["[INFO] a", "[INFO] b", "[WARN] c"]);
    expect(await named("[1, 2.5, 3]")).toEqual(["1", "2.5", "3"]);
  });

  test.each<[what: string, content: string | Buffer, message: RegExp, file?: string]>([
    ["bytes that are no UTF-8", Buffer.from(lines, "latin1"), /is not in UTF-8, so its texts would not survive; write/],
    ["records", '[{"a":1},{"a":2},{"a":3}]', /entry 0 of the list in ".*" is \{"a":1\}; write a text or a number/],
    ["gaps", '["a",null,"c"]', /entry 1 of the list in ".*" is null; write a text or a number/],
    ["JSON that is cut off", '["a","b', /is no JSON list; correct it/, "names.json"],
    ["JSON of another kind", '{"a":1}', /is no JSON list; correct it/, "names.json"],
    ["nothing", "", /has 0 entries for 3 samples; give one line/],
    ["too few", "a\n", /has 1 entry for 3 samples; give one line/],
  ])("that are %s are refused", async (_, content, message, file) => {
    expect(await named(content, file)).toEqual({ code: 1, err: expect.stringMatching(message) });
  });
});

describe("names of classes", () => {
  async function refused(classes: string, content = "") {
    const { command, path } = await workspace(linear(), data);
    writeFileSync(path("classes.json"), content);
    const given = classes.replace("FILE", path("classes.json"));
    return command("report", "--loss", "cross_entropy", "--class-names", given, "--report", path("R.html"));
  }

  test("are read from JSON with a byte order mark", async () => {
    expect(await refused("FILE", '\ufeff["cat","dog"]')).toMatchObject({ code: 0, err: "" });
  });

  test("that are empty, or no texts, are refused", async () => {
    expect(await refused("cat,")).toMatchObject({
      code: 2,
      err: expect.stringMatching(/name 1 of --class-names is empty/),
    });
    const records = await refused("FILE", "[1, 2]");
    expect(records).toMatchObject({
      code: 1,
      err: expect.stringMatching(/no JSON list of texts; write it as \["cat"/),
    });
  });
});
