import { readdirSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Writable } from "node:stream";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema } from "onnx-buf";
import { vi } from "vitest";
import { main } from "../../src/cli/main.js";
import type { Model } from "../../src/graph/model.js";
import { readTensors, writeTensors } from "../../src/io/files.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { temporaryFolder } from "../support/folder.js";

class Captured extends Writable {
  text = "";
  readonly columns = 100;
  constructor(readonly isTTY: boolean) {
    super({ decodeStrings: false });
  }
  override _write(chunk: string, _encoding: string, done: () => void): void {
    this.text += chunk;
    done();
  }
}

export function capture(isTTY = false) {
  return { stdout: new Captured(false), stderr: new Captured(isTTY) };
}

/** Runs the command line in this process. */
export async function run(...argv: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const io = capture();
  const code = await main(argv, io);
  return { code, out: io.stdout.text, err: io.stderr.text };
}

export function floats(
  dims: readonly number[],
  f: (index: number) => number = (k) => Math.sin(1 + k),
): Tensor<"float32"> {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { dtype: "float32", dims, data: Float32Array.from({ length: size }, (_, k) => f(k)) };
}

export function labels(...values: readonly number[]): Tensor<"int64"> {
  return { dtype: "int64", dims: [values.length], data: BigInt64Array.from(values, BigInt) };
}

/** x [N, 3] times a weight [3, 2] plus a bias: small, with every dimension different. */
export function linear(): Model {
  return trace({ x: ["N", 3] }, { weight: uniform([3, 2], 1), bias: uniform([2], 1) }, ({ x }, { weight, bias }) =>
    x.matmul(weight).add(bias),
  );
}

export function encoded(model: Model, edit: (proto: ModelProto) => void = () => {}): Uint8Array {
  const { inputs, outputs } = model.graph;
  const proto = fromBinary(ModelProtoSchema, encodeModel({ inputs, outputs, parameters: model.parameters }));
  edit(proto);
  return toBinary(ModelProtoSchema, proto);
}

/** A folder with model.onnx and data.safetensors in it. */
export async function workspace(model: Model | Uint8Array, data: Readonly<Record<string, Tensor>>) {
  const folder = temporaryFolder();
  const path = (name: string) => join(folder, name);
  writeFileSync(path("model.onnx"), model instanceof Uint8Array ? model : encoded(model));
  await writeTensors(path("data.safetensors"), data);
  const inputs = [path("model.onnx"), "--data", path("data.safetensors")];
  return {
    path,
    inputs,
    files: () => readdirSync(folder).sort(),
    /** Runs a command on both, with a loss of mse unless the options say otherwise. */
    command: (name: string, ...options: readonly string[]) => {
      const loss = options.includes("--loss") ? [] : ["--loss", "mse"];
      return run(name, ...inputs, ...loss, ...options);
    },
    /** The same with a result, which is read. */
    result: async (name: string, ...options: readonly string[]) => {
      const out = path("out.safetensors");
      const loss = options.includes("--loss") ? [] : ["--loss", "mse"];
      const ended = await run(name, ...inputs, ...loss, "--out", out, ...options);
      if (ended.code !== 0) throw new Error(ended.err);
      return { ...ended, tensors: await readTensors(out) };
    },
  };
}

/** The most bytes that were read from files at once while f ran, and how many in all. */
export async function readBy(path: string, f: () => Promise<unknown>): Promise<{ most: number; all: number }> {
  const handle = await open(path);
  const { read } = handle;
  const methods = Object.getPrototypeOf(handle) as { read: (...given: unknown[]) => Promise<{ bytesRead: number }> };
  await handle.close();
  const found = { most: 0, all: 0 };
  const spy = vi.spyOn(methods, "read").mockImplementation(async function (this: unknown, ...given: unknown[]) {
    const result = (await Reflect.apply(read, this, given)) as { bytesRead: number };
    found.most = Math.max(found.most, result.bytesRead);
    found.all += result.bytesRead;
    return result;
  });
  try {
    await f();
  } finally {
    spy.mockRestore();
  }
  return found;
}
