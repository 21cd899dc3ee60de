/** Hands out the names of a file's values, each once. */
export class Names {
  private readonly taken = new Set<string>();
  private readonly counts = new Map<string, number>();

  /** Takes exactly this name; false where it is taken already. */
  claim(name: string): boolean {
    if (this.taken.has(name)) return false;
    this.taken.add(name);
    return true;
  }

  /** The wanted name where it is free, else it with a number. */
  fresh(wanted: string): string {
    if (this.claim(wanted)) return wanted;
    for (;;) {
      const count = (this.counts.get(wanted) ?? 0) + 1;
      this.counts.set(wanted, count);
      const name = `${wanted}_${count}`;
      if (this.claim(name)) return name;
    }
  }
}
