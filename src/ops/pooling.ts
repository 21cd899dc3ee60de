import type { OpDefinition } from "./definition.js";

export const pooling: readonly OpDefinition[] = [];
