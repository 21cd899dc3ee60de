/** Finds samples with exactly the same inputs. */
import type { Expected } from "../graph/model.js";
import { entryOf } from "../present.js";
import type { Prepared } from "../program/feeds.js";
import { takeSamples } from "../tensor/take-samples.js";

/** For each sample, the first other one with the same inputs (the target aside), -1 if there is none; `[N]`. */
export class SameInputs {
  readonly #first = new Map<string, number>();
  readonly #found: number[] = [];

  constructor(private readonly expected: ReadonlyMap<string, Expected>) {}

  add({ feeds, samples }: Prepared): void {
    const own = [...this.expected].flatMap(([name, { sampleAxis }]) =>
      name === "target" || sampleAxis === null ? [] : [{ tensor: entryOf(feeds, name), axis: sampleAxis }],
    );
    for (let n = 0; n < samples; n++) {
      const parts = own.map(({ tensor, axis }) => {
        const { buffer, byteOffset, byteLength } = takeSamples(tensor, axis, n, n + 1).data;
        return fingerprint(new Uint8Array(buffer, byteOffset, byteLength));
      });
      const key = parts.join(" ");
      const at = this.#found.length;
      const first = this.#first.get(key);
      this.#found.push(first ?? -1);
      if (first === undefined) this.#first.set(key, at);
      else if (this.#found[first] === -1) this.#found[first] = at;
    }
  }

  get all(): Int32Array {
    return Int32Array.from(this.#found);
  }
}

/**
 * Odd multipliers of four independent 32-bit hashes: two different samples agree in all with a probability of 2^-128.
 */
const multipliers = [0x01000193, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f] as const;

/** FNV-1a with four multipliers, each mixed at the end as in MurmurHash3: this also runs in browsers. */
function fingerprint(bytes: Uint8Array): string {
  let [a, b, c, d] = [0x811c9dc5, 0x9e3779b9, 0x165667b1, 0x2545f491];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    a = Math.imul(a ^ byte, multipliers[0]);
    b = Math.imul(b ^ byte, multipliers[1]);
    c = Math.imul((c ^ byte) + (a >>> 15), multipliers[2]);
    d = Math.imul((d ^ byte) + (b >>> 13), multipliers[3]);
  }
  return [a, b, c, d].map((hash) => (mixed(hash) >>> 0).toString(36)).join(".");
}

function mixed(hash: number): number {
  let own = hash ^ (hash >>> 16);
  own = Math.imul(own, 0x85ebca6b);
  own ^= own >>> 13;
  own = Math.imul(own, 0xc2b2ae35);
  return own ^ (own >>> 16);
}
