/** --out and the options that go with it. */
import { type Command, InvalidArgumentError, type Option } from "commander";
import { meant } from "../meant.js";
import { type ExecutionProvider, executionProviders } from "../target/runtime.js";
import { outputFile, tableFile } from "./compute.js";
import type { OnCluster } from "./on-cluster.js";
import { required } from "./options.js";
import { inWorkers } from "./shared-options.js";
import { bytes, UsageError, wholeNumber } from "./usage.js";

/** The file name of a page. Throws InvalidArgumentError. */
export function pageFile(path: string): string {
  if (/\.html?$/i.test(path)) return path;
  throw new InvalidArgumentError("its name must end in .html");
}

/** The file names allowed for a command's output. */
export interface OutputKind {
  readonly formats: string;
  readonly check: (path: string) => string;
}

export const tensors: OutputKind = { formats: ".safetensors or .npz", check: outputFile };
export const tables: OutputKind = {
  formats: ".safetensors, .npz, .csv, .jsonl, .json, .parquet, or - for CSV on the standard output",
  check: tableFile,
};

export function outOption({ formats, check }: OutputKind): Option {
  return required("--out <file>", `file to write: ${formats}`, check);
}

/** Execution providers, separated by commas. Throws InvalidArgumentError. */
function providers(text: string): readonly ExecutionProvider[] {
  return text.split(",").map((each) => {
    const found = executionProviders.find((name) => name === each.trim());
    if (found) return found;
    const names = executionProviders.join(", ");
    throw new InvalidArgumentError(
      `it must be a list, separated by commas, of ${names}${meant(each, executionProviders)}`,
    );
  });
}

/** A command that writes a file or, on a cluster (--ray), a folder. */
export function withFolder(command: Command, { formats, check }: OutputKind): Command {
  const out = required("--out <file>", `file to write: ${formats}; with --ray, a folder`);
  return withOutputOf(command, out)
    .option(
      "--execution <list>",
      "with --ray: execution providers of the nodes, the preferred one first, such as cuda,cpu",
      providers,
    )
    .option(
      "--ids <column>",
      'with --ray: the column with the ids of the samples (default: "id"; without it, rows are numbered)',
    )
    .hook("preAction", (called) => {
      const { ray, out, execution, ids, shared } = called.opts<OnCluster & { readonly out?: string }>();
      if (ray === undefined && execution !== undefined)
        throw new UsageError(
          "--execution is for --ray; give that too, or leave it out (this machine computes on its CPU).",
        );
      if (ray === undefined && shared !== undefined)
        throw new UsageError("--shared is for --ray; leave it out, and put shared inputs into the file of --data.");
      if (ray === undefined && ids !== undefined)
        throw new UsageError('--ids is for --ray; leave it out, and put names into the tensor "ids" of the data file.');
      if (ray === undefined && out !== undefined) check(out);
    });
}

/** A command whose samples a cluster can compute; its output is then a folder. */
export function withCluster(command: Command, kind: OutputKind = tensors): Command {
  return inWorkers(withFolder(command, kind))
    .option(
      "--ray <url>",
      "compute on the Ray cluster with this dashboard; --data is then a folder or a glob of Parquet files",
    )
    .option("--shared <file>", "with --ray: the inputs that all samples share, .safetensors or .npz");
}

/** A command that writes results in batches. */
export function withOutput(command: Command, kind: OutputKind = tensors): Command {
  return withOutputOf(command, outOption(kind));
}

function withOutputOf(command: Command, out: Option): Command {
  return command
    .addOption(out)
    .option(
      "--microbatch-size <b>",
      "samples computed at a time (default: as many as memory allows, at most 256)",
      wholeNumber(1),
    )
    .option(
      "--memory-budget <size>",
      "the most memory that a run may use, such as 512MB; limits the samples computed at a time",
      bytes,
    );
}
