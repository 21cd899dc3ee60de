/** Work-arounds for operators that few models use. */

import type { FasterForms } from "../faster-forms.js";
import { convolutions } from "./convolutions.js";
import { poolWorkarounds } from "./pool-workarounds.js";
import { fasterAfterLoops, seldomNeeded } from "./seldom-needed.js";
import type { Seldom } from "./workaround.js";

const all: Seldom = {
  ...poolWorkarounds,
  workarounds: [...convolutions, ...poolWorkarounds.workarounds, ...seldomNeeded],
};

export function seldom(): Seldom {
  return all;
}

/** Faster forms of what these operators give. */
export function seldomFaster(): FasterForms {
  return fasterAfterLoops;
}

/** Loads what programs made of the loaded operators may need. In Node all of it is there at once; a page must wait. */
export async function loadSeldom(): Promise<void> {}
