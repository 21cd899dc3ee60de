/** Nodes of operators that few models use. */
export * from "./rare-nodes-needed.js";
