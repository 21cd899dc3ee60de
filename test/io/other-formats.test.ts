/** Data in formats that are not read: each is called what it is, and the message says how to convert it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openTensorFile, readTensors, writeTensors } from "../../src/io/files.js";
import { temporaryFolder } from "../support/folder.js";

const pickle = "\x80\x04\x95\x10\0\0\0\0\0\0\0}";
const contents: readonly (readonly [string, string, RegExp])[] = [
  ["csv", "a,b,label\n1,2,0\n", /it is a table as text.*pandas\.read_csv/],
  ["tsv", "a\tb\n1\t2\n", /it is a table as text/],
  ["json", '{"x": [[1, 2]], "target": [0]}', /it is JSON, .*json\.load/],
  ["jsonl", '{"x": [1, 2], "target": 0}\n{"x": [1, 2], "target": 1}\n', /it is JSON lines, .*lines=True/],
  ["parquet", "PAR1\x15\x04PAR1", /it is a Parquet file.*pandas\.read_parquet/],
  ["feather", "ARROW1\0\0", /it is an Arrow file/],
  ["h5", "\x89HDF\r\n\x1a\n", /it is an HDF5 file.*h5py/],
  ["pkl", pickle, /it is a pickle/],
  ["mat", "MATLAB 5.0 MAT-file", /it is a MATLAB file/],
];

describe("files of other formats", () => {
  it.each(contents)("%s", async (ending, content, message) => {
    const folder = temporaryFolder();
    // By its ending, and by what is in it.
    for (const name of [`data.${ending}`, "data", "data.safetensors"]) {
      const path = join(folder, name);
      writeFileSync(path, content, "latin1");
      for (const read of [readTensors, openTensorFile])
        await expect(read(path)).rejects.toMatchObject({
          code: "FILE_UNREADABLE",
          message: expect.stringMatching(message),
        });
    }
  });

  it.each(["csv", "jsonl", "parquet", "feather"])("a table that pergrad pack takes: .%s", async (ending) => {
    const path = join(temporaryFolder(), `data.${ending}`);
    writeFileSync(path, "a,b,label\n1,2,0\n");
    await expect(readTensors(path)).rejects.toThrow(`pergrad pack ${JSON.stringify(path)} --target COLUMN`);
  });

  it.each(["txt", "xlsx", "h5"])("what it does not take: .%s", async (ending) => {
    const path = join(temporaryFolder(), `data.${ending}`);
    writeFileSync(path, "a,b,label\n1,2,0\n");
    await expect(readTensors(path)).rejects.toThrow(/by its name, so convert it in Python/);
  });

  it.each(["pt", "xlsx"])("archives that end in .%s", async (ending) => {
    const path = join(temporaryFolder(), `data.${ending}`);
    writeFileSync(path, "PK\x03\x04 and so on", "latin1");
    await expect(readTensors(path)).rejects.toThrow(/convert it in Python/);
  });

  it("are not taken for one where they hold tensors, whatever they are called", async () => {
    const folder = temporaryFolder();
    const x = { dtype: "float32", dims: [2], data: Float32Array.of(1, 2) } as const;
    await writeTensors(join(folder, "x.safetensors"), { x });
    writeFileSync(join(folder, "x.csv"), readFileSync(join(folder, "x.safetensors")));
    expect((await readTensors(join(folder, "x.csv"))).get("x")).toEqual(x);
  });
});
