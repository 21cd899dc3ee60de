/** Upgrades for opsets that few files have, and for operators that few models use. */
import { collect } from "./collect.js";
import { gridSampleUpgrades } from "./grid-sample.js";
import { normalisationUpgrades } from "./normalisation.js";
import { oldBroadcastUpgrades } from "./old-broadcast.js";
import { resizeUpgrades } from "./resize.js";
import type { Upgrade } from "./rule.js";
import { softmaxUpgrades } from "./softmax.js";

export const older = collect([
  oldBroadcastUpgrades,
  softmaxUpgrades,
  normalisationUpgrades,
  resizeUpgrades,
  gridSampleUpgrades,
]);

export function olderUpgrades(op: string): readonly Upgrade[] {
  return older.get(op) ?? [];
}
