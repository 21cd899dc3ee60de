/** Work-arounds for pools, which many models have but many others do not. */
import { emptyPools, poolsOfInfinities } from "./infinite-pools.js";
import { pools } from "./pools.js";
import type { Seldom } from "./workaround.js";

export const poolWorkarounds: Seldom = { workarounds: pools, poolsOfInfinities, names: [emptyPools] };
