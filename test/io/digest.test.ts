/** The digest that browsers compute is that of Node's library: FIPS 180-4. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { sha256 as inBrowsers } from "../../src/io/digest.browser.js";
import { sha256 } from "../../src/io/digest.js";

it("of any bytes, at any place in their buffer", () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(
      bytes,
      fc.nat({ max: 9 }),
      (all, from) => inBrowsers(all.subarray(from)) === sha256(all.subarray(from)),
    ),
  );
});

it("of the lengths at which the padding takes one block more", () => {
  for (const length of [0, 55, 56, 63, 64, 119, 120, 128])
    expect(inBrowsers(new Uint8Array(length).fill(7))).toBe(sha256(new Uint8Array(length).fill(7)));
});
