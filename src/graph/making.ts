/** Remembers how losses and wants were made, so that another thread can make them again. */

/** How an object that holds functions was made: the maker's name and its arguments. */
export interface Made {
  readonly by: string;
  readonly given: readonly unknown[];
}

const making = Symbol("made");

/** The same object, which remembers how it was made. A copy with other fields does not. */
export function remembering<T extends object>(product: T, by: string, given: readonly unknown[]): T {
  return Object.defineProperty(product, making, { value: { by, given } satisfies Made });
}

/** How an object was made; undefined if no named maker made it. */
export function makingOf(product: object): Made | undefined {
  return Object.getOwnPropertyDescriptor(product, making)?.value;
}
