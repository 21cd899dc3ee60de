/** How losses and wants were made: what another thread needs to make them again. */

/** How something that holds functions was made: by which maker, given what. Another thread makes it again. */
export interface Made {
  readonly by: string;
  readonly given: readonly unknown[];
}

const making = Symbol("made");

/** The same object, which remembers how it was made. A copy of it with other fields does not: it was not made so. */
export function remembering<T extends object>(product: T, by: string, given: readonly unknown[]): T {
  return Object.defineProperty(product, making, { value: { by, given } satisfies Made });
}

/** Undefined where it was not made by a maker that is known by name. */
export function makingOf(product: object): Made | undefined {
  return Object.getOwnPropertyDescriptor(product, making)?.value;
}
