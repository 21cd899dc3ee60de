/** A view into a compile: what is told of it while it goes on. Nothing that is computed depends on it. */

import type { Graph, Value } from "../graph/value.js";
import type { OnRewrite } from "../optimise/rule.js";
import type { Plan } from "../plan/planner.js";
import type { Emitted } from "./program-graph.js";
import type { Objective } from "./objective.js";
