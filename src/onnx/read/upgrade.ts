/**
 * Upgrades a node from its file's opset to the form of opset 21, which pergrad computes with. The tables
 * say, per operator, below which opset it differed and what is done about it; opsets between run through
 * all the steps that apply, oldest first. Operators not listed are the same in all opsets from 6 to 28.
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

/** All steps for an operator, oldest first, of a file of this opset. */
function upgradesOf(op: string, opset: number): readonly Upgrade[] {
  if (opset >= olderBelow(op)) return usual.get(op) ?? [];
  return [...(usual.get(op) ?? []), ...olderUpgrades(op)].sort((a, b) => a.below - b.below);
}

/** Whether an operator that is not known itself becomes another one. */
export function isRenamed(op: string, opset: number): boolean {
  return upgradesOf(op, opset).some(({ below, renames }) => renames === true && opset < below);
}

/** The opsets below which an operator had another form, which is upgraded; ascending. */
export function upgradedBelow(op: string): number[] {
  return [...new Set(upgradesOf(op, 0).map(({ below }) => below))].sort((a, b) => a - b);
}

/** Throws UNSUPPORTED_OP for opsets before and after those that pergrad knows. */
export function checkOpset(opset: number, fileName: string): void {
  if (opset >= oldestOpset && opset <= newestOpset) return;
  throw new PergradError(
    "UNSUPPORTED_OP",
    `"${fileName}" is of opset ${opset}, and pergrad reads ${oldestOpset} to ${newestOpset}; export it with opset_version=21.`,
  );
}

/** The same node in the form of opset 21. Steps that become several nodes make all but the last with `build`. */
export function upgradeNode(node: FileNode, opset: number, build: Build): FileNode {
  if (node.domain !== "") return node;
  // A hint to the first runtimes, which some exporters kept writing.
  let current = opset < 7 ? { ...node, attributes: without(node.attributes, "consumed_inputs") } : node;
  for (const { below, rewrite } of upgradesOf(node.op, opset)) {
    if (opset >= below) continue;
    current = rewrite(current, build);
    if (current.op !== node.op) break;
  }
  return current;
}
