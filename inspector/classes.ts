/** Class labels: as numbers, as one-hot rows, and by name. */
import type { Model } from "../src/index.js";
import type { Tensor } from "../src/tensor/tensor.js";

/** The number of classes that the model distinguishes, if its first output is `[N, classes]`; otherwise undefined. */
export function classesOf({ graph }: Model): number | undefined {
  const [, classes, ...others] = graph.outputs[0]?.value.shape ?? [];
  return others.length === 0 && typeof classes === "number" ? classes : undefined;
}

/** For each row of `[N, classes]`, the position of its single 1, if all else is 0; null if a row is different. */
export function oneHotClasses({ dims, data }: Tensor, classes: number | undefined): BigInt64Array | null {
  const [samples = 0, width = 0] = dims;
  if (dims.length !== 2 || width < 2 || width !== classes) return null;
  const found = new BigInt64Array(samples);
  for (let n = 0; n < samples; n++) {
    const row = Array.from(data.slice(n * width, (n + 1) * width), Number);
    const isOneHot = row.every((each) => each === 0 || each === 1) && row.filter((each) => each === 1).length === 1;
    if (!isOneHot) return null;
    found[n] = BigInt(row.indexOf(1));
  }
  return found;
}

/** The class of each sample, if the target gives one. */
export function classesIn(target: Tensor | undefined, samples: number, classes: number | undefined): Int32Array | null {
  if (!target || target.dims[0] !== samples) return null;
  if (target.dtype === "int64" && target.data.length === samples) return Int32Array.from(target.data, Number);
  const found = oneHotClasses(target, classes);
  return found && Int32Array.from(found, Number);
}

/** Names by class number. */
export class ClassNames {
  constructor(readonly names: readonly string[] = []) {}

  /** "7", or "7 (seven)" if it has a name. */
  of(label: number | undefined): string {
    const name = label === undefined ? undefined : this.names[label];
    return name === undefined || name === String(label) ? `${label}` : `${name} (${label})`;
  }

  /** Says in a note how names and numbers correspond; empty if there are no names. */
  toString(): string {
    return this.names.map((name, label) => `${label} ${name}`).join(", ");
  }
}
