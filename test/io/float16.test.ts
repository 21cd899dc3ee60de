import { describe, expect, it } from "vitest";
import { roundToHalves, toFloat32 } from "../../src/tensor/float16.js";

/** The bits of every half from 0 up, and what they stand for. */
const positive = Uint16Array.from({ length: 0x7c01 }, (_, bits) => bits);
const values = toFloat32({ dtype: "float16", dims: [positive.length], data: positive }).data;

/** Of long arrays that is found sooner than by expect alone. */
function expectSame(found: Uint16Array | Float32Array, wanted: Uint16Array | Float32Array): void {
  const bytes = ({ buffer, byteLength }: Uint16Array | Float32Array) => Buffer.from(buffer, 0, byteLength);
  expect(bytes(found).equals(bytes(wanted))).toBe(true);
}

function rounded(numbers: Float32Array): { readonly halves: Uint16Array; readonly numbers: Float32Array } {
  const [own, halves] = [numbers.slice(), new Uint16Array(numbers.length)];
  roundToHalves(own, halves);
  return { halves, numbers: own };
}

describe("numbers rounded to half precision", () => {
  it("are left as they are where they are halves, of either sign", () => {
    const found = rounded(values);
    expectSame(found.halves, positive);
    expectSame(found.numbers, values);
    const negative = rounded(values.map((value) => -value));
    expectSame(
      negative.halves,
      positive.map((bits) => bits | 0x8000),
    );
    expectSame(
      negative.numbers,
      values.map((value) => -value),
    );
  });

  it("go to the even one of two that are as near, and else to the nearer one", () => {
    // What lies beyond 65504, the last one, is infinite from half of the way to 65536 on.
    const next = (bits: number) => (bits === 0x7bff ? 65536 : (values[bits + 1] ?? 0));
    const middles = Float32Array.from({ length: 0x7c00 }, (_, bits) => ((values[bits] ?? 0) + next(bits)) / 2);
    const moved = (by: number) => {
      const found = middles.slice();
      const bits = new Int32Array(found.buffer);
      for (let k = 0; k < bits.length; k++) bits[k] = (bits[k] ?? 0) + by;
      return found;
    };
    expectSame(
      rounded(middles).halves,
      Uint16Array.from(middles, (_, bits) => bits + (bits & 1)),
    );
    expectSame(
      rounded(moved(-1)).halves,
      Uint16Array.from(middles, (_, bits) => bits),
    );
    expectSame(
      rounded(moved(1)).halves,
      Uint16Array.from(middles, (_, bits) => bits + 1),
    );
    const { halves, numbers } = rounded(middles.map((each) => -each));
    expectSame(numbers, toFloat32({ dtype: "float16", dims: [halves.length], data: halves }).data);
  });

  it("stay NaN, and are infinite where they are too large", () => {
    const { halves, numbers } = rounded(Float32Array.of(Number.NaN, 65520, -1e30, Number.POSITIVE_INFINITY, 1e-40));
    expect([...halves]).toEqual([0x7e00, 0x7c00, 0xfc00, 0x7c00, 0]);
    expect([...numbers]).toEqual([Number.NaN, Infinity, -Infinity, Infinity, 0]);
  });
});
