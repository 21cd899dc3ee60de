/** What the page is computing: a bar shows how far it is, and a button ends it. */
import { element } from "./dom.js";

const shown = element("progress", HTMLElement);
const bar = element("done", HTMLProgressElement);
const all = new Set<Work>();

element("cancel", HTMLButtonElement).addEventListener("click", () => {
  for (const each of all) each.cancel();
});

export class Work {
  readonly #controller = new AbortController();

  constructor() {
    all.add(this);
    bar.value = 0;
    shown.hidden = false;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** @param share how much of it is done, from 0 to 1 */
  reached(share: number): void {
    if (all.has(this)) bar.value = share;
  }

  cancel(): void {
    this.#controller.abort();
  }

  end(): void {
    all.delete(this);
    shown.hidden = all.size === 0;
  }
}
