/** Assigns unique names to the values of a file. */
export class Names {
  readonly #taken = new Set<string>();
  readonly #counts = new Map<string, number>();

  /** Claims exactly this name; false if it is taken. */
  claim(name: string): boolean {
    if (this.#taken.has(name)) return false;
    this.#taken.add(name);
    return true;
  }

  /** The wanted name if it is free, otherwise with a number added. */
  fresh(wanted: string): string {
    if (this.claim(wanted)) return wanted;
    for (;;) {
      const count = (this.#counts.get(wanted) ?? 0) + 1;
      this.#counts.set(wanted, count);
      const name = `${wanted}_${count}`;
      if (this.claim(name)) return name;
    }
  }
}
