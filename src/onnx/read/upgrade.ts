/**
 * Upgrades a node from its file's opset to the form of opset 21, which pergrad computes with. The tables
 * say, per operator, below which opset it differed and what is done about it; opsets between run through
 * all the steps that apply, oldest first. Operators not listed are the same in all opsets from 6 to 28.
 */
import { PergradError } from "../../errors.js";
import type { Build } from "../../ops/build.js";
import type { FileNode } from "./file-node.js";
import { gridSampleUpgrades } from "./upgrades/grid-sample.js";
import { inputsUpgrades } from "./upgrades/inputs.js";
import { normalisationUpgrades } from "./upgrades/normalisation.js";
import { oldBroadcastUpgrades } from "./upgrades/old-broadcast.js";
import { resizeUpgrades } from "./upgrades/resize.js";
import { type Upgrade, without } from "./upgrades/rule.js";
import { softmaxUpgrades } from "./upgrades/softmax.js";

export const oldestOpset = 6;
export const newestOpset = 28;

const upgrades: ReadonlyMap<string, readonly Upgrade[]> = collect([
  oldBroadcastUpgrades,
  inputsUpgrades,
  softmaxUpgrades,
  normalisationUpgrades,
  resizeUpgrades,
  gridSampleUpgrades,
]);

function collect(tables: readonly Readonly<Record<string, readonly Upgrade[]>>[]): Map<string, Upgrade[]> {
  const all = new Map<string, Upgrade[]>();
  for (const [op, rules] of tables.flatMap((table) => Object.entries(table)))
    all.set(op, [...(all.get(op) ?? []), ...rules]);
  for (const rules of all.values()) rules.sort((a, b) => a.below - b.below);
  return all;
}

/** Whether an operator that is not known itself becomes another one. */
export function isRenamed(op: string, opset: number): boolean {
  return upgrades.get(op)?.some(({ below, renames }) => renames === true && opset < below) ?? false;
}

/** The opsets below which an operator had another form, which is upgraded; ascending. */
export function upgradedBelow(op: string): number[] {
  return [...new Set(upgrades.get(op)?.map(({ below }) => below))].sort((a, b) => a - b);
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
  for (const { below, rewrite } of upgrades.get(node.op) ?? []) {
    if (opset >= below) continue;
    current = rewrite(current, build);
    if (current.op !== node.op) break;
  }
  return current;
}
