/**
 * Upgrades a node from its file's opset to its form in opset 21, which is the one pergrad computes with. For each
 * operator, the tables list the opsets below which its form differed and how that form is upgraded. A node passes
 * through all steps that apply to its opset, oldest first. Operators that are not listed are the same in all opsets
 * from 6 to 28.
 */
import { PergradError } from "../../errors.js";
import type { Build } from "../../ops/build.js";
import type { FileNode } from "./file-node.js";
import { collect } from "./upgrades/collect.js";
import { inputsUpgrades } from "./upgrades/inputs.js";
import { olderBelow } from "./upgrades/older-below.js";
import { olderUpgrades } from "./upgrades/older-opsets.js";
import { type Upgrade, without } from "./upgrades/rule.js";

export const oldestOpset = 6;
export const newestOpset = 28;

const usual = collect([inputsUpgrades]);

/** All steps that apply to an operator in a file of this opset, oldest first. */
function upgradesOf(op: string, opset: number): readonly Upgrade[] {
  if (opset >= olderBelow(op)) return usual.get(op) ?? [];
  return [...(usual.get(op) ?? []), ...olderUpgrades(op)].sort((a, b) => a.below - b.below);
}

/** Whether the upgrade turns an operator, itself unknown to pergrad, into a known one. */
export function isRenamed(op: string, opset: number): boolean {
  return upgradesOf(op, opset).some(({ below, renames }) => renames === true && opset < below);
}

/** The opsets below which the operator had another form, in ascending order. */
export function upgradedBelow(op: string): number[] {
  return [...new Set(upgradesOf(op, 0).map(({ below }) => below))].sort((a, b) => a - b);
}

/** Throws UNSUPPORTED_OP for opsets older or newer than those that pergrad knows. */
export function checkOpset(opset: number, fileName: string): void {
  if (opset >= oldestOpset && opset <= newestOpset) return;
  throw new PergradError(
    "UNSUPPORTED_OP",
    `"${fileName}" is of opset ${opset}, and pergrad reads ${oldestOpset} to ${newestOpset}; export it with opset_version=21.`,
  );
}

/** The same node in the form of opset 21. Steps that turn a node into several create all but the last with `build`. */
export function upgradeNode(node: FileNode, opset: number, build: Build): FileNode {
  if (node.domain !== "") return node;
  // The first is a hint to the first runtimes, which some exporters kept writing. The second is of casts to floats of
  // nothing but an exponent, which pergrad does not read.
  const idle = opset < 7 ? "consumed_inputs" : "round_mode";
  let current = idle in node.attributes ? { ...node, attributes: without(node.attributes, idle) } : node;
  for (const { below, rewrite } of upgradesOf(node.op, opset)) {
    if (opset >= below) continue;
    current = rewrite(current, build);
    if (current.op !== node.op) break;
  }
  return current;
}
