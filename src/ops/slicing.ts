import type { OpDefinition } from "./definition.js";

export const slicing: readonly OpDefinition[] = [];
