/**
 * Weighs memory against time. Gradients that are materialised for their norms and then summed, `[N, ...shape]`, are
 * held until every norm is known. If they are a large part of what the program holds, methods that hold only the
 * factors replace them, provided that the program takes little longer.
 */
import { cheapest, timeOf } from "../gradients/cost.js";
import { type Factored, sizeOfGradient } from "../gradients/factored.js";
import type { Prices } from "../ops/prices.js";
import type { Choice } from "./choice.js";

/** The extra time allowed for holding less, as a part of the time of a forward and a backward pass. */
const allowedTime = 0.08;

/** The least that a parameter must save, as a part of all that is held. */
const leastSaving = 0.1;

/** The conditions that a plan is made for. */
export interface Conditions {
  readonly samples: number;
  readonly prices: Prices;
}

export interface Alternatives {
  readonly fastest: Choice;
  /** The fastest choice that materialises nothing; null if there is none. */
  readonly lowMemory: Choice | null;
}

/** One choice for each parameter, for a batch of `samples`. */
export function withinMemory(all: readonly Alternatives[], { samples, prices }: Conditions): Choice[] {
  const held = all.reduce((sum, { fastest }) => sum + heldBy(fastest), 0);
  const offers = all.flatMap(({ fastest, lowMemory }) => {
    const saving = lowMemory ? heldBy(fastest) - heldBy(lowMemory) : 0;
    if (!lowMemory || saving <= 0 || saving < leastSaving * held) return [];
    return [
      {
        lowMemory,
        saving,
        time: Math.max(0, timeOf(lowMemory.methods, samples, prices) - timeOf(fastest.methods, samples, prices)),
      },
    ];
  });
  let left = allowedTime * passTime(all, { samples, prices });
  const taken = new Map<string, Choice>();
  for (const { lowMemory, time } of offers.sort((a, b) => a.time / a.saving - b.time / b.saving)) {
    if (time > left) continue;
    left -= time;
    taken.set(lowMemory.parameter, lowMemory);
  }
  return all.map(({ fastest }) => taken.get(fastest.parameter) ?? fastest);
}

/** Floats per sample that are held from the norm to the sum; 0 unless both are asked for. */
function heldBy({ gradient, methods: { norm, sum } }: Choice): number {
  if (!norm || !sum) return 0;
  return norm.dense && sum.dense ? sizeOfGradient(gradient) : gradient.held;
}

/**
 * Nanoseconds for a forward and a backward pass: the product with a layer's weights takes as long as their gradient.
 */
function passTime(all: readonly Alternatives[], { samples, prices }: Conditions): number {
  const ofGradient = (gradient: Factored) =>
    timeOf(cheapest(gradient.weightedSums(), samples, prices), samples, prices);
  return 3 * all.reduce((sum, { fastest }) => sum + ofGradient(fastest.gradient), 0);
}
