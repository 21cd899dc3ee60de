import type { OpDefinition } from "./definition.js";

export const joining: readonly OpDefinition[] = [];
