/** Sizes that round to multiples of the batch: exporters write them for halves of a joined batch. */
import { reshapes } from "../../../graph/behind.js";
import { factorOf, isBatch } from "../../../graph/dim.js";
import { dimsValue, nodeOf, type Value } from "../../../graph/value.js";
import type { Call } from "../../../ops/call.js";
import { isFloat } from "../../../tensor/tensor.js";

/** samples * N + more. */
interface Count {
  readonly samples: number;
  readonly more: number;
}

/** A count for each element of an integer scalar or vector; null if they are unknown. */
function countsOf(value: Value | null | undefined): readonly Count[] | null {
  if (!value || isFloat(value.dtype) || value.shape.length > 1) return null;
  if (value.known) {
    return value.known.map((dim) =>
      isBatch(dim) ? { samples: dim.perSample, more: 0 } : { samples: 0, more: factorOf(dim) },
    );
  }
  const node = nodeOf(value);
  if (node?.domain !== "") return null;
  if (reshapes.includes(node.op) || node.op === "Cast" || node.op === "Identity") return countsOf(node.inputs[0]);
  if (node.op !== "Add" && node.op !== "Sub") return null;
  const [a, b] = [countsOf(node.inputs[0]), countsOf(node.inputs[1])];
  if (!a || !b) return null;
  const sign = node.op === "Add" ? 1 : -1;
  return Array.from({ length: Math.max(a.length, b.length) }, (_, k) => {
    const [x, y] = [a[a.length === 1 ? 0 : k], b[b.length === 1 ? 0 : k]] as [Count, Count];
    return { samples: x.samples + sign * y.samples, more: x.more + sign * y.more };
  });
}

/** (k * N + more) / k, rounded down, is N for any N if `more` is less than k. */
export function roundedSize({ op, domain, inputs }: Call): Value | null {
  const [from, by] = inputs;
  if (op !== "Div" || domain !== "" || !from || from.known || by?.known?.length !== 1) return null;
  const [divisor] = by.known;
  const counts = countsOf(from);
  if (!counts || divisor === undefined || isBatch(divisor)) return null;
  const whole = counts.every(
    ({ samples, more }) => samples > 0 && samples % divisor === 0 && more >= 0 && more < divisor,
  );
  if (!whole) return null;
  return dimsValue(
    counts.map(({ samples }) => ({ perSample: samples / divisor })),
    from.shape.length === 0,
  );
}
