/** Adapts programs for ONNX Runtime. */
import type { Value } from "../../graph/value.js";
import { sumsInBlocks } from "../../lower/long-sums.js";
import { asLoops } from "../../optimise/loops.js";
import { simplifyInFloat32 } from "../../optimise/simplify.js";
import type { AdaptOptions, Schedulable } from "../target.js";
import { aroundFaults } from "./workarounds/index.js";

/** The same program with changed values; the program itself if none changes. */
export function adapted<T extends Schedulable>(
  program: T,
  { notFiniteInputs = false, onRewrite }: AdaptOptions = {},
): T {
  const before = program.outputs.map(({ value }) => value);
  return withValues(program, before, aroundFaults(before, { notFiniteInputs }, onRewrite));
}

/** The same for an empty batch, on which recurrent kernels end the process; undefined if there are none. */
export function adaptedForNone<T extends Schedulable>(program: T): T | undefined {
  const before = program.outputs.map(({ value }) => value);
  const loops = asLoops(before);
  if (loops.every((value, k) => value === before[k])) return undefined;
  return adapted(withValues(program, before, sumsInBlocks(simplifyInFloat32(loops))));
}

function withValues<T extends Schedulable>(program: T, before: readonly Value[], after: readonly Value[]): T {
  if (after.every((value, k) => value === before[k])) return program;
  const { outputs } = program;
  return { ...program, outputs: outputs.map((output, k) => ({ ...output, value: after[k] ?? output.value })) };
}
