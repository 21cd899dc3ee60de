/** What reads nodes that become something else than one node of the graph. */
export { specialDecoder } from "./special-nodes.js";

/** Loads what reads those of the operators that need it. It is here at once; a page waits for it. */
export async function loadSpecialDecoders(_operators: ReadonlySet<string>): Promise<void> {}
