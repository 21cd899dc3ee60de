/** Weights in files beside the model. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { AttributeProto_AttributeType as Kind, type TensorProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { PergradError } from "../../src/errors.js";
import type { Model } from "../../src/graph/model.js";
import { bytesOfArray } from "../../src/io/bytes.js";
import { readTensors, writeTensors } from "../../src/io/files.js";
import { loadModel } from "../../src/onnx/read/load.js";
import type { FileContent } from "../../src/onnx/read/load-options.js";
import { run } from "../cli/support.js";
import { temporaryFolder } from "../support/folder.js";
import { file, floats, node, valueInfo } from "./models.js";

interface Place {
  readonly location?: string;
  readonly offset?: number | string;
  readonly length?: number | string;
}

/** A tensor stored elsewhere, float32 where nothing is said. */
function stored(name: string, dims: readonly number[], place: Place, dataType = 1) {
  return {
    name,
    dataType,
    dims: dims.map(BigInt),
    dataLocation: 1,
    externalData: Object.entries(place).map(([key, value]) => ({ key, value: String(value) })),
  };
}

type Init = MessageInitShape<typeof TensorProtoSchema>;

/** A model that adds all initializers to its input, in a folder with one data file, `w.bin`. */
function modelWith(initializers: readonly Init[], data: Uint8Array = new Uint8Array(64), unread: readonly Init[] = []) {
  const folder = join(temporaryFolder(), "model");
  mkdirSync(folder);
  const path = join(folder, "m.onnx");
  const nodes = initializers.map(({ name = "" }, k) => node("Add", [k === 0 ? "x" : `y${k - 1}`, name], [`y${k}`]));
  const outputs = [`y${initializers.length - 1}`];
  const inputs = [valueInfo("x", ["N", 2])];
  writeFileSync(path, file({ inputs, initializers: [...initializers, ...unread], nodes, outputs }));
  writeFileSync(join(folder, "w.bin"), data);
  return { folder, path };
}

const floatBytes = (...numbers: number[]) => bytesOfArray(Float32Array.from(numbers));

async function refused(loading: Promise<Model>): Promise<string> {
  try {
    await loading;
  } catch (error) {
    if (error instanceof PergradError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "no error";
}

const refusedWith = (initializer: Init, data?: Uint8Array) => refused(loadModel(modelWith([initializer], data).path));

describe("external data", () => {
  it("is read at its offsets, several tensors from one file, in any order", async () => {
    const data = floatBytes(9, 1, 2, 3, 4, 5, 6);
    const { path } = modelWith(
      [
        stored("late", [2], { location: "w.bin", offset: 20, length: 8 }),
        stored("early", [1, 2], { location: "./w.bin", offset: 4, length: 8 }),
        stored("start", [1], { location: "w.bin" }),
      ],
      data,
    );
    const { parameters } = await loadModel(path);
    expect(parameters).toEqual({
      late: floats([2], 5, 6),
      early: floats([1, 2], 1, 2),
      start: floats([1], 9),
    });
    for (const { data } of Object.values(parameters)) expect(data.buffer.byteLength).toBe(data.byteLength);
  });

  it("may be half precision at odd offsets, in a folder of its own", async () => {
    const halves = new Uint8Array([0xff, 0x00, 0x3c, 0x00, 0xc0, 0x80, 0x3f, 0x00, 0x40]);
    const { folder, path } = modelWith([
      stored("h", [2], { location: "sub/h.bin", offset: 1, length: 4 }, 10),
      stored("b", [2], { location: "sub/../sub/h.bin", offset: 5, length: 4 }, 16),
    ]);
    mkdirSync(join(folder, "sub"));
    writeFileSync(join(folder, "sub", "h.bin"), halves);
    const { parameters, notes } = await loadModel(path);
    expect(parameters).toEqual({ h: floats([2], 1, -2), b: floats([2], 1, 2) });
    expect(notes).toEqual([
      'Declared as float16, computed in float32: The initializer "h".',
      'Declared as bfloat16, computed in float32: The initializer "b".',
    ]);
  });

  it("may hold no elements, or doubles", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "m.onnx");
    const initializers = [
      stored("none", [0, 2], { location: "w.bin", offset: 8, length: 0 }),
      stored("doubles", [1], { location: "w.bin", length: 8 }, 11),
    ];
    writeFileSync(path, file({ initializers, outputs: ["none", "doubles"] }));
    writeFileSync(join(folder, "w.bin"), bytesOfArray(Float64Array.of(0.5)));
    expect((await loadModel(path)).parameters).toEqual({ none: floats([0, 2]), doubles: floats([1], 0.5) });
  });

  it("may hold the value of a Constant", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "m.onnx");
    const t = stored("", [2], { location: "w.bin", offset: 8, length: 8 });
    const nodes = [
      node("Constant", [], ["c"], [{ name: "value", type: Kind.TENSOR, t }]),
      node("Mul", ["x", "c"], ["y"]),
    ];
    writeFileSync(path, file({ inputs: [valueInfo("x", ["N", 2])], nodes }));
    writeFileSync(join(folder, "w.bin"), floatBytes(0, 0, 3, 4));
    const { graph } = await loadModel(path);
    const { source } = graph.outputs[0]?.value ?? {};
    const constant = source?.kind === "node" ? source.node.inputs[1]?.source : undefined;
    expect(constant).toMatchObject({ kind: "constant", tensor: { data: Float64Array.of(3, 4) } });
  });

  it("may be shared or overlap in the file; in memory each tensor has its own", async () => {
    const place = { location: "w.bin", offset: 0, length: 8 };
    const { path } = modelWith(
      [stored("a", [2], place), stored("b", [2], place), stored("c", [2], { ...place, offset: 4 })],
      floatBytes(1, 2, 3),
    );
    const { a, b, c } = (await loadModel(path)).parameters;
    a?.data.fill(0);
    expect([b, c]).toEqual([floats([2], 1, 2), floats([2], 2, 3)]);
  });

  it("is not read where nothing uses it", async () => {
    const unread = stored("unread", [2], { location: "gone.bin" });
    const { path } = modelWith([stored("w", [2], { location: "w.bin" })], floatBytes(1, 2), [unread]);
    const { parameters, notes } = await loadModel(path);
    expect(parameters).toEqual({ w: floats([2], 1, 2) });
    expect(notes).toEqual(['The initializer "unread" is not used.']);
  });

  it("reaches the command line, also where dimensions are left to the data", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "m.onnx");
    const initializers = [stored("w", [1], { location: "w.bin", offset: 4 })];
    const nodes = [node("Mul", ["x", "w"], ["y"])];
    writeFileSync(path, file({ inputs: [valueInfo("x", ["N", "time"])], initializers, nodes }));
    writeFileSync(join(folder, "w.bin"), floatBytes(0, 3));
    const data = join(folder, "data.safetensors");
    const feeds = { x: floats([2, 2], 1, 2, 3, 4), target: floats([2, 2], 3, 6, 9, 13) };
    await writeTensors(data, feeds);
    const out = join(folder, "out.safetensors");
    const { code, err } = await run("grads", path, "--data", data, "--loss", "mse", "--out", out);
    expect([code, err]).toEqual([0, ""]);
    expect((await readTensors(out)).get("w")).toEqual(floats([2, 1], 0, -4));
  });

  it("needs the model's path, or the files themselves", async () => {
    const { path } = modelWith([stored("w", [2], { location: "data/w.bin" })]);
    const bytes = new Uint8Array(readFileSync(path));
    expect(await refused(loadModel(bytes))).toBe(
      'FILE_UNREADABLE: The initializer "w" is stored in "data/w.bin"; give that file too, as externalData: { "w.bin": file }.',
    );
    const externalData = { "v.bin": floatBytes(1, 2) };
    expect(await refused(loadModel(bytes, { externalData }))).toContain('externalData has only "v.bin"');
    const text = { "w.bin": "w.bin" as never };
    expect(await refused(loadModel(bytes, { externalData: text }))).toMatch(
      /^INVALID_ARGUMENT: externalData has for "w.bin"/,
    );
    const short = { "w.bin": floatBytes(1) };
    expect(await refused(loadModel(bytes, { externalData: short }))).toContain(
      "which has 4, so that file is truncated",
    );
  });

  it.each<[string, (bytes: Uint8Array<ArrayBuffer>) => FileContent]>([
    ["bytes", (bytes) => bytes],
    ["an ArrayBuffer", (bytes) => bytes.slice().buffer],
    ["a Blob", (bytes) => new Blob([bytes])],
    ["a File", (bytes) => new File([bytes], "a file")],
    ["a Response", (bytes) => new Response(bytes)],
  ])("and the model can be given as %s", async (_, as) => {
    const first = stored("w", [2], { location: "data/w.bin", offset: 4 });
    const { path } = modelWith([first, stored("v", [1], { location: "w.bin" })]);
    const data = new Uint8Array(floatBytes(1, 2, 3));
    const model = await loadModel(as(new Uint8Array(readFileSync(path))), {
      parameters: ["*"],
      externalData: { "w.bin": as(data), "data/w.bin": as(data) },
    });
    data.fill(0);
    expect(Object.entries(model.parameters).map(([name, tensor]) => [name, ...tensor.data])).toEqual([
      ["w", 2, 3],
      ["v", 1],
    ]);
  });

  it("an answer that is an error is one", async () => {
    const message =
      'FILE_UNREADABLE: Cannot read "the model": the server answered 404 (Not Found); correct its address.';
    const answer = new Response("no", { status: 404, statusText: "Not Found" });
    expect(await refused(loadModel(answer))).toBe(message);
  });
});

describe("the file of external data", () => {
  it.each(["../w.bin", "sub/../../w.bin", "..\\w.bin", "..", "/etc/passwd", "C:\\w.bin", "C:w.bin", "\\\\host\\w.bin"])(
    "is in the model's folder: refuses %s",
    async (location) => {
      expect(await refusedWith(stored("w", [2], { location }))).toBe(
        `INVALID_MODEL: The initializer "w" is stored in "${location}", outside the model's folder, where pergrad ` +
          "does not read; put that file beside the model and save the model with its bare name.",
      );
    },
  );

  it("is not a link to elsewhere, nor in a folder that is", async () => {
    for (const [location, link, target] of [
      ["link.bin", "link.bin", "../outside.bin"],
      ["sub/outside.bin", "sub", ".."],
    ] as const) {
      const { folder, path } = modelWith([stored("w", [2], { location })]);
      writeFileSync(join(folder, "..", "outside.bin"), floatBytes(1, 2));
      symlinkSync(target, join(folder, link));
      const message = await refused(loadModel(path));
      expect(message).toContain(`FILE_UNREADABLE: The initializer "w" is stored in "${location}", a link to "`);
      expect(message).toContain("outside.bin\" outside the model's folder, where pergrad does not read; put the file");
    }
  });

  it("may be a link within the folder, or into the folder that the model itself is linked from", async () => {
    const { folder, path } = modelWith([stored("w", [2], { location: "link.bin" })], floatBytes(1, 2));
    symlinkSync("w.bin", join(folder, "link.bin"));
    const expected = { w: floats([2], 1, 2) };
    expect((await loadModel(path)).parameters).toEqual(expected);
    const snapshot = join(folder, "..", "snapshot");
    mkdirSync(snapshot);
    symlinkSync("../model/m.onnx", join(snapshot, "m.onnx"));
    expect((await loadModel(join(snapshot, "m.onnx"))).parameters).toEqual(expected);
    symlinkSync("../model/w.bin", join(snapshot, "link.bin"));
    expect((await loadModel(join(snapshot, "m.onnx"))).parameters).toEqual(expected);
  });

  it("is there, and a file", async () => {
    expect(await refusedWith(stored("w", [2], { location: "gone.bin" }))).toMatch(
      /^FILE_UNREADABLE: The initializer "w" is stored outside the model: Cannot read ".*gone\.bin": it does not exist; put that file beside the model\.$/,
    );
    expect(await refusedWith(stored("w", [2], { location: "." }))).toMatch(
      /^FILE_UNREADABLE: The initializer "w" is stored in "\.", but ".*model" is not a file; put the model's data there\.$/,
    );
  });

  it("is named", async () => {
    for (const place of [{}, { location: "" }, { location: "w.bin\0" }]) {
      expect(await refusedWith(stored("w", [2], place))).toBe(
        'INVALID_MODEL: The initializer "w" is stored outside the model, which does not say in what file; ' +
          "export the model again.",
      );
    }
  });
});

describe("the place in the file", () => {
  it("lies within it", async () => {
    const at = (place: Place) => refusedWith(stored("w", [2], { location: "w.bin", ...place }), new Uint8Array(12));
    for (const [place, bytes] of [
      [{ offset: 5, length: 8 }, "5..13"],
      [{ offset: 4096 }, "4096..4104"],
    ] as const) {
      expect(await at(place)).toMatch(
        new RegExp(
          `^FILE_UNREADABLE: The initializer "w" lies at bytes ${bytes} of ".*w\\.bin", which has 12, ` +
            "so that file is truncated or another model's; copy it again\\.$",
        ),
      );
    }
  });

  it("fits the tensor", async () => {
    expect(await refusedWith(stored("w", [2], { location: "w.bin", length: 12 }))).toBe(
      'INVALID_MODEL: The initializer "w" needs 8 bytes for its shape [2] of float32, but the model says that it has ' +
        '12 in "w.bin"; export the model again.',
    );
    expect(await refusedWith(stored("w", [2 ** 40, 2 ** 40], { location: "w.bin" }))).toContain(
      'INVALID_MODEL: The initializer "w" has the impossible shape',
    );
  });

  it.each(["-8", "1e3", "", " 4", "9007199254740993"])("is a number: refuses %j", async (offset) => {
    expect(await refusedWith(stored("w", [2], { location: "w.bin", offset }))).toBe(
      `INVALID_MODEL: The initializer "w" is stored outside the model at the impossible offset "${offset}"; ` +
        "export the model again.",
    );
  });

  it("leaves other types to the decoder", async () => {
    expect(await refusedWith(stored("w", [2], { location: "../w.bin" }, 8))).toBe(
      'DTYPE_MISMATCH: The initializer "w" holds string, which pergrad does not read; store it as float32 or int64.',
    );
  });
});
