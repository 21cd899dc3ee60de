/** The page's version of `older-opsets.ts`: the upgrades are loaded with the first file that needs them. */
import { missing } from "../../../missing.js";

export const olderUpgrades = missing(async () => (await import("./older.js")).olderUpgrades);
