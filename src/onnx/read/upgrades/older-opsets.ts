/** Upgrades for opsets that few files have. */
export { olderUpgrades } from "./older.js";
