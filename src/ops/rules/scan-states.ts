/**
 * States of a Scan that all samples share: a counter, a decay that is multiplied by a parameter in each step, powers of
 * a matrix. If parameters enter through them, these states are computed in a Scan of their own, once for all samples,
 * which is differentiated like any other computation on parameters. The remaining Scan reads them as slices.
 */
import { substitute } from "../../graph/body.js";
import { isBatch } from "../../graph/dim.js";
import { leaf, type Value } from "../../graph/value.js";
import { dependentsOf, leavesOf, nodesBefore } from "../../graph/walk.js";
import { nth } from "../../present.js";
import { isFloat } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import { type ScanResults, type ScanSpec, type Stepped, scanOf } from "./scan.js";

/** A Scan without the states that have been moved to a Scan of their own. */
export interface StatesApart {
  readonly spec: ScanSpec;
  readonly step: Stepped;
  /** All states after the last step, given the remaining ones. */
  readonly last: (rest: readonly Value[]) => readonly Value[];
}

export function statesApart(build: Build, spec: ScanSpec, step: Stepped): StatesApart {
  const { states, slices, next, results } = step;
  const shared = sharedStates(step);
  if (shared.length === 0 || !takesParameters(spec, step, shared)) return { spec, step, last: (rest) => rest };
  const alone = steppedAlone(build, spec, step, shared);
  const others = states.filter((state) => !shared.includes(state));
  const ofOthers = (values: readonly Value[]) => others.map((state) => nth(values, states.indexOf(state)));
  return {
    spec: { ...spec, initial: ofOthers(spec.initial), scanned: [...spec.scanned, ...alone.before] },
    step: { states: others, slices: [...slices, ...shared], next: ofOthers(next), results },
    last: (rest) =>
      states.map((state) =>
        shared.includes(state) ? nth(alone.states, shared.indexOf(state)) : nth(rest, others.indexOf(state)),
      ),
  };
}

/** The states whose next values depend neither on a sample nor on a state that does. */
function sharedStates(step: Stepped): Value[] {
  const { states, slices, next } = step;
  const nodes = nodesBefore(next, new Set([...states, ...slices]));
  let shared = states.filter(isShared);
  for (let before = -1; shared.length > 0 && shared.length !== before; ) {
    before = shared.length;
    const dependent = dependentsOf(varyingLeaves(step, shared), nodes);
    shared = shared.filter((state) => {
      const after = nth(next, states.indexOf(state));
      return !dependent.has(after) && leavesOf([after]).every((each) => isShared(each) || slices.includes(each));
    });
  }
  return shared;
}

/** The leaves of a step that may differ between samples. */
function varyingLeaves({ states, slices }: Stepped, shared: readonly Value[]): Value[] {
  return [...states.filter((state) => !shared.includes(state)), ...slices.filter((slice) => !isShared(slice))];
}

/**
 * Whether parameters enter through the shared states, or through values computed from them, and samples enter as well.
 */
function takesParameters({ initial, scanned }: ScanSpec, step: Stepped, shared: readonly Value[]): boolean {
  const { states, slices, next, results } = step;
  const leaves = new Set([...states, ...slices]);
  const outputs = [...next, ...results];
  if ([...leaves, ...leavesOf(outputs)].every(isShared)) return false;
  const nodes = nodesBefore(outputs, leaves);
  const [stepwise, varying] = [dependentsOf(shared, nodes), dependentsOf(varyingLeaves(step, shared), nodes)];
  const own = [...stepwise].filter((value) => !varying.has(value) && isFloat(value.dtype));
  const given = new Map<Value, Value>([
    ...states.map((state, k) => [state, nth(initial, k)] as const),
    ...slices.map((slice, k) => [slice, nth(scanned, k)] as const),
  ]);
  const read = leavesOf(own).map((each) => given.get(each) ?? each);
  return leavesOf(read).some(mayBeTrained);
}

/** Computes the shared states in a Scan of their own: before each step, and after the last. */
function steppedAlone(build: Build, spec: ScanSpec, step: Stepped, shared: readonly Value[]): ScanResults {
  const { states, slices, next } = step;
  const copies = new Map([...shared, ...slices].map((value) => [value, leafLike(value)]));
  const copied = (values: readonly Value[]) => values.map((value) => copies.get(value) ?? value);
  const ofShared = (values: readonly Value[]) => shared.map((state) => nth(values, states.indexOf(state)));
  return scanOf(
    build,
    { ...spec, initial: ofShared(spec.initial) },
    { states: copied(shared), slices: copied(slices), next: substitute(ofShared(next), copies), results: [] },
  );
}

/** A new leaf that stands for a value. */
export const leafLike = ({ name, dtype, shape }: Value): Value => leaf(name, { dtype, shape }, { kind: "input" });

export const isShared = ({ shape }: Value): boolean => !shape.some(isBatch);

/** Whether the value is a parameter or, in the body of another loop, may stand for one. */
export const mayBeTrained = (value: Value): boolean =>
  value.source.kind === "parameter" || (value.source.kind === "input" && isFloat(value.dtype) && isShared(value));
