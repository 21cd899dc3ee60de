/**
 * What is sent to a cluster: programs as ONNX, numbers as safetensors, the job as JSON, and the Python files of this package.
 * No code of the user's is sent, and nothing is pickled.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Zippable, zipSync } from "fflate";
import { invalidArgument } from "../arguments.js";
import { defect } from "../errors.js";
import { unreadable } from "../io/failure.js";
import { Program } from "../program/program.js";
import type { MappedProgram } from "./types.js";

/** The program's file in a package. */
const programFile = "program.onnx";

/** The job's file in a package. */
const jobFile = "job.json";

/** Every file gets the same time, so that equal content makes an equal package. */
const noTime = "1980-01-01T00:00:00";

export interface Package {
  /** Derived from the content, so that nothing is uploaded twice. */
  readonly name: string;
  readonly zip: Uint8Array;
}

/** Packs a job with its files and the worker's. @param entry the Python file that is started */
export async function packedFiles(job: object, entry: string, own: Zippable = {}): Promise<Package> {
  const files: Zippable = {
    ...own,
    ...(await workerFiles(entry)),
    [jobFile]: [new TextEncoder().encode(JSON.stringify(job)), {}],
  };
  // Weights hardly compress.
  const zip = zipSync(files, { level: 0, mtime: noTime });
  return { name: `_ray_pkg_${createHash("sha256").update(zip).digest("hex").slice(0, 32)}.zip`, zip };
}

/**
 * The program's file under this name and, for a large program, the file of its weights.
 * @param weights whether the file of a compiled program holds the parameters or takes them as inputs
 */
export async function programFiles(
  program: MappedProgram,
  weights: "inside" | "inputs" = "inside",
  name = programFile,
): Promise<Zippable> {
  if (typeof program === "string") return savedFiles(program, name);
  if (!(program instanceof Program))
    throw invalidArgument(
      "A cluster takes a program that perSample compiled, or the path of a saved one; for an opened program, give its path.",
    );
  const folder = await mkdtemp(join(tmpdir(), "pergrad-"));
  try {
    await program.save(join(folder, name), { for: "onnxruntime", weights });
    return await savedFiles(join(folder, name), name);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function savedFiles(path: string, name: string): Promise<Zippable> {
  const read = (file: string) =>
    readFile(file).catch((error: unknown) => {
      throw unreadable(file, error);
    });
  const weights = `${path}.data`;
  // A saved program names the file of its weights.
  const own = existsSync(weights) ? { [basename(weights)]: await read(weights) } : {};
  return { [name]: await read(path), ...own };
}

/** The worker's files, and the one that is started. */
async function workerFiles(entry: string): Promise<Zippable> {
  const folder = pythonFolder();
  const all = await readdir(folder, { recursive: true });
  const worker = all.map((name) => name.replaceAll("\\", "/")).filter((name) => /^pergrad_worker\/.*\.py$/.test(name));
  const names = [entry, ...worker.sort()];
  const read = names.map(async (name) => [name, await readFile(join(folder, name))] as const);
  return Object.fromEntries(await Promise.all(read));
}

/** Our folder of Python files, which lies beside the sources and beside what is built from them. Throws INTERNAL. */
function pythonFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const found = join(folder, "python");
    if (existsSync(join(found, "pergrad_ray.py"))) return found;
    if (folder === dirname(folder)) throw defect("the Python files are not where the package has them");
  }
}
