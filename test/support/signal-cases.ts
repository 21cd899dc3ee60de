/** Random cases of the Fourier transforms. */
import fc from "fast-check";
import { filled, ints, type OpInput, shape } from "./op-checks.js";
import type { Cases } from "./op-suite.js";

const upTo = (max: number, min = 0) => fc.integer({ min, max });

/** Every form that is defined: lengths that cut the signal off or go beyond it, axes counted from either end. */
const dftCases: Cases = fc
  .tuple(shape(1, 3, 7), upTo(5, -6), fc.option(upTo(9, 1)), upTo(1), upTo(1), upTo(1), fc.boolean())
  .chain(([signal, at, length, inverse, onesided, complex, stated]) => {
    // A spectrum of one element, with no length given, is that of an empty signal.
    const dims = inverse === 1 && onesided === 1 ? signal.map((dim) => Math.max(dim, 2)) : signal;
    const parts = onesided === 1 ? 1 + inverse : 1 + complex;
    const rank = dims.length + 1;
    const front = ((at % dims.length) + dims.length) % dims.length;
    const axis = at < 0 ? front - rank : front;
    const place = stated || axis !== -2 ? [ints([axis], [])] : [];
    return filled([...dims, parts]).map((x) => ({
      op: "DFT",
      inputs: [x, length === null ? null : ints([length], []), ...place],
      attributes: { inverse, onesided },
    }));
  });

const stftCases: Cases = fc
  .tuple(upTo(2, 1), upTo(12, 5), upTo(5, 1), upTo(4, 1), fc.option(upTo(1)), upTo(2, 1), upTo(3))
  .chain(([batch, size, length, step, onesided, parts, given]) => {
    // Of a complex signal, ONNX Runtime's newest version refuses one side.
    const sides = onesided === 0 || parts === 2 ? { onesided: 0 } : onesided === null ? {} : { onesided };
    const [windowed, stated] = [given % 2 === 1, given >= 2 || given === 0];
    return fc.tuple(filled([batch, size, parts]), filled([length], undefined, { shared: true })).map(([x, window]) => {
      const inputs: (OpInput | null)[] = [x, ints([step], []), windowed ? window : null];
      return { op: "STFT", inputs: stated ? [...inputs, ints([length], [])] : inputs, attributes: sides };
    });
  });

/** By operator. */
export const signalTable: Record<string, Cases> = { DFT: dftCases, STFT: stftCases };
