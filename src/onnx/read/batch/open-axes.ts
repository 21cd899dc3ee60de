/** Checks the user's sizes and sample axes against what the file leaves open. */
import type { ValueInfoProto } from "onnx-buf";
import { PergradError } from "../../../errors.js";
import { meant } from "../../../meant.js";
import { option, sentence, type Words } from "../../../sentence.js";
import { type BatchAxes, dimsOf, statedSize, symbolOf } from "./batch-axes.js";

/**
 * Sizes must be for existing dimensions, by name or as `input.axis`, that the file leaves open.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function checkDimensions(
  inputs: readonly ValueInfoProto[],
  dimensions: Readonly<Record<string, number>>,
  fileName: string,
): void {
  const axes = inputs.flatMap((input) => dimsOf(input).map((dim, axis) => ({ key: `${input.name}.${axis}`, dim })));
  const open = axes.filter(({ dim }) => statedSize(dim) === undefined);
  const names = [...new Set(open.map(({ key, dim }) => symbolOf(dim) ?? key))];
  for (const [name, size] of Object.entries(dimensions)) {
    if (names.includes(name) || open.some(({ key }) => key === name)) continue;
    const found = axes.find(({ key }) => key === name);
    if (found && statedSize(found.dim) === size) continue;
    const problem = found
      ? `A size of ${size} is given for "${name}", but the file fixes that axis to ${statedSize(found.dim)}`
      : `A size is given for the dimension "${name}", which "${fileName}" does not have`;
    const known =
      names.length === 0
        ? "it leaves none open, so leave that size out"
        : `those that it leaves open are ${names.map((each) => `"${each}"`).join(", ")}`;
    throw new PergradError("INVALID_ARGUMENT", `${problem}; ${known}${meant(name, names) || "."}`);
  }
}

/** What to do if a node does not work for batches of another size than the one that the file fixes. */
export function adviceOnBatch(
  inputs: readonly ValueInfoProto[],
  { axes, fixed }: BatchAxes,
  given: Readonly<Record<string, number | null>> = {},
): Words {
  const input = inputs.find(({ name, ...rest }) => {
    const axis = axes.get(name) ?? null;
    return axis !== null && statedSize(dimsOf({ name, ...rest })[axis]) !== undefined;
  });
  const symbolic = "export the model with a symbolic batch axis";
  const shown = `the file fixes its batch to ${fixed}, and this node could not be shown to work for others`;
  if (!input) return `${shown}, so ${symbolic}`;
  const { name } = input;
  const axis = axes.get(name) ?? 0;
  const other = dimsOf(input).flatMap((dim, k) =>
    k === axis || statedSize(dim) !== undefined
      ? []
      : [`${k}${symbolOf(dim) === undefined ? "" : ` ("${symbolOf(dim)}")`}`],
  )[0];
  if (Object.hasOwn(given, name)) {
    const open = other === undefined ? "" : `, and leaves axis ${other} open`;
    return sentence`${option("sampleAxes", { [name]: axis })} says that the samples of "${name}" lie along axis ${axis}, which the file fixes to ${String(fixed)}${open}: correct that, or ${symbolic}`;
  }
  if (other === undefined) return `${shown}, so ${symbolic}`;
  const at = Number.parseInt(other, 10);
  return sentence`the samples of "${name}" are assumed to lie along axis ${axis}, which the file fixes to ${String(fixed)}; if they lie along axis ${other}, say so: ${option("sampleAxes", { [name]: at })}`;
}
