/** Compares a peer's results with ours, to see whether it does the same work. */
import { type Model, perSample, type Tensor, want } from "../../src/index.js";
import type { Workload } from "../workloads.js";

/** The largest difference, relative to the largest number, that rounding in float32 explains. */
export const allowedDifference = 1e-3;

type Numbers = ArrayLike<number>;

/** Results by the names in the file of the request `check`: `norms`, and each parameter's place. */
export type Reference = Readonly<Record<string, ReadonlyMap<string, Numbers>>>;

/** Our own results for the kinds that are compared. */
export async function referenceOf({ model, loss, data }: Workload): Promise<Reference> {
  const program = await perSample(model, {
    loss,
    want: { mean: want.mean(), clipped: want.clippedSum({ maxNorm: 1 }) },
  });
  const { mean, clipped } = await program.run(data);
  await program.release();
  return {
    mean: byPlace(model, mean),
    clipped: new Map([...byPlace(model, clipped.sum), ["norms", clipped.norms.data]]),
  };
}

/** Gradients by each parameter's place. */
export function byPlace(model: Model, tensors: Readonly<Record<string, Tensor<"float32">>>): Map<string, Numbers> {
  return new Map(Object.keys(model.parameters).map((name, k) => [`${k}`, tensors[name]?.data ?? []]));
}

/** The worst difference of norms over the largest norm, or the same for the gradients' elements, whichever is larger. */
export function differenceOf(ours: ReadonlyMap<string, Numbers>, theirs: ReadonlyMap<string, Numbers>): number {
  const names = [...ours.keys()];
  const groups = [names.filter((name) => name === "norms"), names.filter((name) => name !== "norms")];
  return Math.max(...groups.filter((group) => group.length > 0).map((group) => worst(group, ours, theirs)));
}

function worst(
  names: readonly string[],
  ours: ReadonlyMap<string, Numbers>,
  theirs: ReadonlyMap<string, Numbers>,
): number {
  let [difference, largest] = [0, 0];
  for (const name of names) {
    const [a, b] = [ours.get(name), theirs.get(name)];
    if (!a || !b || a.length !== b.length) return Number.POSITIVE_INFINITY;
    for (let i = 0; i < a.length; i++) {
      const gap = Math.abs((a[i] as number) - (b[i] as number));
      if (Number.isNaN(gap)) return Number.POSITIVE_INFINITY;
      difference = Math.max(difference, gap);
      largest = Math.max(largest, Math.abs(a[i] as number));
    }
  }
  return largest === 0 && difference === 0 ? 0 : difference / largest;
}
