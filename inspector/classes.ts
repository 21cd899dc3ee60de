/** Class labels: as numbers, as one-hot rows, and by name. */
import type { Model } from "../src/index.js";
import type { Tensor } from "../src/tensor/tensor.js";

/** How many classes the model tells apart: its first output is `[N, classes]`. Undefined where it is not. */
export function classesOf({ graph }: Model): number | undefined {
  const [, classes, ...others] = graph.outputs[0]?.value.shape ?? [];
  return others.length === 0 && typeof classes === "number" ? classes : undefined;
}

/** Of each row `[N, classes]` the place of its one 1, where all else is 0; null where a row is another. */
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

/** The class of each sample, where the target says one. */
export function classesIn(target: Tensor | undefined, samples: number, classes: number | undefined): Int32Array | null {
  if (!target || target.dims[0] !== samples) return null;
  if (target.dtype === "int64" && target.data.length === samples) return Int32Array.from(target.data, Number);
  const found = oneHotClasses(target, classes);
  return found && Int32Array.from(found, Number);
}

/** Names by the numbers of their classes. */
export class ClassNames {
  constructor(readonly names: readonly string[] = []) {}

  /** "7", or "7 (seven)" where it has a name. */
  of(label: number | undefined): string {
    const name = label === undefined ? undefined : this.names[label];
    return name === undefined || name === String(label) ? `${label}` : `${name} (${label})`;
  }

  /** How names and numbers go together, for a note; empty where there are no names. */
  toString(): string {
    return this.names.map((name, label) => `${label} ${name}`).join(", ");
  }
}
