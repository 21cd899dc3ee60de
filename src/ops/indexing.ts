import type { OpDefinition } from "./definition.js";

export const indexing: readonly OpDefinition[] = [];
