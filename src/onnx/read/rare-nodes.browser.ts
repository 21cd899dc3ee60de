/** The page's version of `rare-nodes.ts`: loaded with the first file that has such a node. */
import { missing } from "../../missing.js";
import type { FileNode } from "./file-node.js";

const needed = () => import("./rare-nodes-needed.js");

export const rareFormOf = missing(async () => (await needed()).rareFormOf);

const restatedThere = missing(async () => (await needed()).restated);

/** The only two of them that a file may write so. */
const mayBeRestated: ReadonlySet<string> = new Set(["Einsum", "Resize"]);

/** The node itself, if it is read as it is written. */
export function restated(node: FileNode): FileNode {
  return mayBeRestated.has(node.op) ? restatedThere(node) : node;
}
