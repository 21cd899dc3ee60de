/** explain: how the commands would compute their results. */
import { InvalidArgumentError } from "commander";
import { Program } from "../program/program.js";
import { type Want, want } from "../wants/want.js";
import type { Io } from "./io.js";
import { json } from "./json.js";
import type { Progress } from "./progress.js";
import { type TaskOptions, taskOf } from "./task.js";

export interface ExplainOptions extends TaskOptions {
  /** Each is the wants of one program. */
  readonly want?: readonly (readonly string[])[];
  readonly json?: boolean;
}

const makers: Readonly<Record<string, () => Want<unknown>>> = {
  grads: want.gradients,
  norms: want.norms,
  // How a sum is computed does not depend on the limit.
  "clipped-sum": () => want.clippedSum({ maxNorm: 1 }),
  mean: want.mean,
  sum: want.sum,
  moments: want.moments,
  "noise-scale": want.noiseScale,
  dot: () => want.dot(),
  gram: want.gram,
  cosine: want.cosine,
};

export const wantNames = Object.keys(makers).join(", ");

/** Reads "norms,clipped-sum", the wants of one program, and adds it to the programs before. */
export function programs(text: string, before: readonly (readonly string[])[] = []): readonly (readonly string[])[] {
  const names = text.split(",");
  const unknown = names.find((name) => !Object.hasOwn(makers, name));
  if (unknown === undefined) return [...before, [...new Set(names)]];
  throw new InvalidArgumentError(`it must be a list, separated by commas, of ${wantNames}`);
}

export async function explain(modelFile: string, options: ExplainOptions, io: Io, progress: Progress): Promise<void> {
  const task = await taskOf(modelFile, options, progress);
  const lists = options.want ?? [["grads"], ["norms"], ["clipped-sum"]];
  progress.stage("compiling", lists.length);
  const found = [];
  for (const [k, names] of lists.entries()) {
    const wants = Object.fromEntries(names.flatMap((name) => (makers[name] ? [[name, makers[name]()]] : [])));
    const program = await Program.compile(task.model, { ...task.options, want: wants });
    found.push({ wants: names, explanation: program.explain() });
    await program.release();
    progress.update(k + 1);
  }
  progress.stop();
  if (!options.json) {
    io.stdout.write(found.map(({ wants, explanation }) => `${wants.join(", ")}\n\n${explanation}\n`).join("\n"));
    return;
  }
  const plain = found.map(({ wants, explanation: { rows, total, notes, constants } }) => ({
    wants,
    parameters: rows,
    total,
    notes,
    constants,
  }));
  io.stdout.write(json(plain));
}
