/** Which samples go through a program together hardly depends on any one of them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BatchParts } from "../../src/train/parts.js";
import "../support/seed.js";

const drawn = fc
  .record({
    samples: fc.integer({ min: 1, max: 3000 }),
    rate: fc.double({ min: 0, max: 1, noNaN: true }),
    most: fc.integer({ min: 1, max: 60 }),
    expected: fc.integer({ min: 1, max: 2000 }),
  })
  .chain((options) =>
    fc.record({
      options: fc.constant(options),
      batch: fc
        .infiniteStream(fc.double({ min: 0, max: 1, noNaN: true }))
        .map((stream) =>
          Array.from({ length: options.samples }, (_, n) => n).filter(() => stream.next().value < options.rate),
        ),
    }),
  );

const key = (part: Uint32Array) => part.join();

describe("the parts of a batch", () => {
  it("hold each sample once, and no more than they may", () => {
    fc.assert(
      fc.property(drawn, ({ options: { samples, expected, most }, batch }) => {
        const parts = new BatchParts(samples, expected, most).of(Uint32Array.from([...batch].reverse()));
        expect(parts.flatMap((part) => [...part])).toEqual(batch);
        for (const part of parts) {
          expect(part.length).toBeGreaterThan(0);
          expect(part.length).toBeLessThanOrEqual(most);
        }
      }),
    );
  });

  it("are one where as many as expected fit into it", () => {
    expect(new BatchParts(1000, 64, 64).of(Uint32Array.from({ length: 64 }, (_, k) => 3 * k))).toHaveLength(1);
    expect(new BatchParts(1000, 64, 64).of(new Uint32Array())).toHaveLength(0);
  });

  it("stay as they are where a sample is left out, but for those of as many samples as a part holds and one", () => {
    fc.assert(
      fc.property(drawn, fc.nat(), ({ options: { samples, expected, most }, batch }, which) => {
        fc.pre(batch.length > 0);
        const parts = new BatchParts(samples, expected, most);
        const without = batch[which % batch.length] as number;
        const all = parts.of(Uint32Array.from(batch));
        const fewer = parts.of(Uint32Array.from(batch.filter((n) => n !== without)));
        const before = new Set(all.map(key));
        const after = new Set(fewer.map(key));
        const gone = all.filter((part) => !after.has(key(part)));
        const made = fewer.filter((part) => !before.has(key(part)));
        const size = (some: readonly Uint32Array[]) => some.reduce((sum, { length }) => sum + length, 0);
        expect(size(gone)).toBeLessThanOrEqual(most + 1);
        expect(size(made)).toBe(size(gone) - 1);
        expect(gone.some((part) => part.includes(without))).toBe(true);
      }),
    );
  });
});
