/** Rare operators that are loops over time, for pages (`rare.browser.ts`). */
import { recurrent } from "./rules/recurrent.js";
import { scanning } from "./rules/scanning.js";
import { stateSpace } from "./rules/state-space.js";

export const definitions = [...recurrent, ...scanning, ...stateSpace];
