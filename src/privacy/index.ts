/** How much privacy steps of private training cost, and how much noise a wanted privacy needs. */
import { gdpDelta, gdpEpsilon } from "./accountants/gdp.js";
import { rdpDelta, rdpEpsilon } from "./accountants/rdp.js";
import { bisect } from "./bisect.js";
import { type Mechanism, outOfRange } from "./mechanism.js";

export { renyiDivergence } from "./accountants/rdp.js";
export type { GaussianMechanism, Mechanism } from "./mechanism.js";

export type Accountant = "pld" | "rdp" | "gdp";

export interface EpsilonOptions {
  readonly delta: number;
  readonly accountant?: Accountant;
  readonly orders?: readonly number[];
}

export function epsilon(mechanisms: readonly Mechanism[], options: EpsilonOptions): number {
  checkDelta(options.delta);
  if (options.accountant === "gdp") return gdpEpsilon(mechanisms, options.delta);
  return rdpEpsilon(mechanisms, options.delta, options.orders).epsilon;
}

export interface DeltaOptions {
  readonly epsilon: number;
  readonly accountant?: Accountant;
  readonly orders?: readonly number[];
}

export function delta(mechanisms: readonly Mechanism[], options: DeltaOptions): number {
  if (!(options.epsilon >= 0)) throw outOfRange("epsilon", options.epsilon, "a number from 0 up");
  if (options.accountant === "gdp") return gdpDelta(mechanisms, options.epsilon);
  return rdpDelta(mechanisms, options.epsilon, options.orders).delta;
}

export interface NoiseOptions {
  readonly targetEpsilon: number;
  readonly delta: number;
  readonly samplingRate: number;
  readonly steps: number;
  readonly accountant?: Accountant;
  readonly orders?: readonly number[];
}

export function noiseMultiplierFor({ targetEpsilon, samplingRate, steps, ...options }: NoiseOptions): number {
  if (!(targetEpsilon > 0)) throw outOfRange("target epsilon", targetEpsilon, "above 0");
  const isEnough = (noiseMultiplier: number) =>
    epsilon([{ kind: "gaussian", noiseMultiplier, samplingRate, steps }], options) <= targetEpsilon;
  if (isEnough(0)) return 0;
  return bisect(isEnough, 0, 1, 1e-5);
}

function checkDelta(delta: number): void {
  if (!(delta >= 0 && delta <= 1)) throw outOfRange("delta", delta, "from 0 to 1");
}
