/** Samples with exactly the same inputs. */
import { createHash } from "node:crypto";
import type { Expected } from "../graph/model.js";
import { entryOf } from "../present.js";
import type { Prepared } from "../program/feeds.js";
import { takeSamples } from "../tensor/take-samples.js";

/** The first sample with the same inputs (the target aside) for each, -1 where no other has; `[N]`. */
export class SameInputs {
  readonly #first = new Map<string, number>();
  readonly #found: number[] = [];

  constructor(private readonly expected: ReadonlyMap<string, Expected>) {}

  add({ feeds, samples }: Prepared): void {
    const own = [...this.expected].flatMap(([name, { sampleAxis }]) =>
      name === "target" || sampleAxis === null ? [] : [{ tensor: entryOf(feeds, name), axis: sampleAxis }],
    );
    for (let n = 0; n < samples; n++) {
      const hash = createHash("sha1");
      for (const { tensor, axis } of own) {
        const { buffer, byteOffset, byteLength } = takeSamples(tensor, axis, n, n + 1).data;
        hash.update(new Uint8Array(buffer, byteOffset, byteLength));
      }
      const key = hash.digest("base64");
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
