/** Upgrades of opsets that few files have, as a page has them: loaded with the first file of one. */
import { missing } from "../../../missing.js";

export const olderUpgrades = missing(async () => (await import("./older.js")).olderUpgrades);
