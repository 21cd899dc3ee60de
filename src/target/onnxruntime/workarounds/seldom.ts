/** Work-arounds for operators that few models use. */
import { convolutions } from "./convolutions.js";
import { poolWorkarounds } from "./pool-workarounds.js";
import { seldomNeeded } from "./seldom-needed.js";
import type { Seldom } from "./workaround.js";

const all: Seldom = {
  ...poolWorkarounds,
  workarounds: [...convolutions, ...poolWorkarounds.workarounds, ...seldomNeeded],
};

export function seldom(): Seldom {
  return all;
}

/** Loads what programs of the operators that are loaded may need. It is here at once; a page waits for it. */
export async function loadSeldom(): Promise<void> {}
