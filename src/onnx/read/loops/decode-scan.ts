/** Converts Scan from the forms in files to the one form of our graphs: time is the first axis and runs forwards. */

import type { NodeProto } from "onnx-buf";
import { type BatchMultiple, isBatch, sameDim } from "../../../graph/dim.js";
import type { Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import type { Call } from "../../../ops/call.js";
import {
  intAttribute,
  interaction,
  intsAttribute,
  normalAxis,
  part,
  requireInput,
  shapeMismatch,
  unsupported,
} from "../../../ops/checks.js";
import { type ScanStep, scan } from "../../../ops/rules/scan.js";
import { scanApart } from "../../../ops/rules/scan-shared.js";
import { nth } from "../../../present.js";
import { decodeAttributes } from "../../attributes.js";
import type { Decoder } from "../decoder.js";
import { bindOutputs, readNode } from "../file-node.js";
import { Scope } from "../scope.js";
import { mapOverSamples } from "./sample-loop.js";
import { subgraph } from "./subgraphs.js";

/** A Scan's body may read values around it; a value that does not change from step to step is computed outside. */
export function decodeScan(decoder: Decoder, proto: NodeProto, scope: Scope): void {
  const { batchOver, build, initializers, opsetOf, precision } = decoder.context;
  const plain = { ...proto, attribute: proto.attribute.filter(({ name }) => name !== "body") };
  const call = readNode(proto, scope, decodeAttributes(plain, precision));
  if (opsetOf(proto) < 9)
    throw unsupported(
      call,
      "is of opset 8, in which a Scan ran over batches",
      "export the model with opset 9 or later",
    );
  const scans = intAttribute(call, "num_scan_inputs", 0);
  const states = call.inputs.length - scans;
  if (scans < 1 || states < 0) throw shapeMismatch(call, `scans ${scans} inputs, but has ${call.inputs.length}`);
  const given = call.inputs.map((_, k) => requireInput(call, k));
  const body = subgraph(proto, "body");
  const step = (leaves: readonly Value[]) => {
    const inner = new Scope(scope);
    if (body.input.length !== leaves.length)
      throw shapeMismatch(part(call, "the body"), `takes ${body.input.length} inputs, but is given ${leaves.length}`);
    body.input.forEach(({ name }, k) => {
      inner.set(name, nth(leaves, k));
    });
    const structure = decoder.structureOf(body, inner);
    initializers.read(structure, inner);
    decoder.decodeNodes(structure, inner);
    return structure.outputs.map((name) => inner.get(name));
  };
  const rows = rowsOfSamples(call, given);
  if (states === 0 && rows && batchOver) {
    const scanned = given.map((value, k) => build.moveAxis(value, scanAxis(call, value, k), 0));
    const results = mapOverSamples(decoder, scanned, rows, batchOver, step);
    const moved = results.map((value, k) => build.moveAxis(value, 0, outputAxis(call, value, k)));
    bindOutputs(
      proto,
      moved.map((value) => () => value),
      scope,
    );
    return;
  }
  const scanned = given.slice(states).map((value, k) => timeFirst(call, build, value, k));
  const spec = { initial: given.slice(0, states), scanned, name: call.name };
  const ofStep: ScanStep = (before, slices) => {
    const outputs = step([...before, ...slices]);
    return { states: outputs.slice(0, states), results: outputs.slice(states) };
  };
  const results = batchOver ? scanApart(build, spec, batchOver, ofStep) : scan(build, spec, ofStep);
  const stacked = results.stacked.map((value, k) => asWritten(call, build, value, k));
  const outputs = [...results.states, ...stacked].map((value) => () => value);
  bindOutputs(proto, outputs, scope);
}

/** The steps of a Scan without states that runs over the samples, all in one direction. */
function rowsOfSamples(call: Call, scanned: readonly Value[]): BatchMultiple | undefined {
  const sizes = scanned.map((value, k) => value.shape[scanAxis(call, value, k)]);
  const [rows] = sizes;
  const directions = [
    ...(intsAttribute(call, "scan_input_directions") ?? []),
    ...(intsAttribute(call, "scan_output_directions") ?? []),
  ];
  const same = sizes.every((size) => size !== undefined && rows !== undefined && sameDim(size, rows));
  return same && isBatch(rows) && !directions.includes(1) ? rows : undefined;
}

function scanAxis(call: Call, value: Value, k: number): number {
  return normalAxis(call, intsAttribute(call, "scan_input_axes")?.[k] ?? 0, value.shape.length);
}

function outputAxis(call: Call, value: Value, k: number): number {
  return normalAxis(call, intsAttribute(call, "scan_output_axes")?.[k] ?? 0, value.shape.length);
}

function reversed(build: Build, value: Value, direction: number | undefined): Value {
  return direction === 1 ? build.slice(value, 0, -1, Number.MIN_SAFE_INTEGER, -1) : value;
}

function timeFirst(call: Call, build: Build, value: Value, k: number): Value {
  const axis = scanAxis(call, value, k);
  if (isBatch(value.shape[axis])) throw interaction(call, "steps from sample to sample");
  return reversed(build, build.moveAxis(value, axis, 0), intsAttribute(call, "scan_input_directions")?.[k]);
}

function asWritten(call: Call, build: Build, value: Value, k: number): Value {
  const axis = outputAxis(call, value, k);
  const ordered = reversed(build, value, intsAttribute(call, "scan_output_directions")?.[k]);
  return build.moveAxis(ordered, 0, axis);
}
