/**
 * Access to what cannot be absent although its type allows it: an element of a list, an entry of a record, the result
 * of a look-up. If it is absent after all, pergrad contradicts itself, and the error says so.
 *
 * Loops over typed arrays read `data[i] as number` instead: a call for each element would take too long there.
 */
import { defect } from "./errors.js";

/** The value itself. Throws INTERNAL if it is null or undefined. */
export function present<T>(value: T): NonNullable<T> {
  if (value === undefined || value === null) throw defect("a value is absent where there must be one");
  return value;
}

/** The element at `index`. Throws INTERNAL if there is none. */
export function nth<T>(list: readonly T[], index: number): NonNullable<T> {
  const element = list[index];
  if (element === undefined || element === null) {
    throw defect(`element ${index} of a list of ${list.length} is absent`);
  }
  return element;
}

/** The entry called `key`. Throws INTERNAL if there is none. */
export function entryOf<T>(record: Readonly<Record<string, T>>, key: string): NonNullable<T> {
  const entry = record[key];
  if (entry === undefined || entry === null) throw defect(`the entry "${key}" of a record is absent`);
  return entry;
}

type There<T> = NonNullable<T>;

/**
 * The list, typed so that its first `count` elements can be destructured: none of them is absent. Later elements may
 * be. Throws INTERNAL if there are fewer.
 */
export function leadingOf<T>(list: readonly T[], count: 1): readonly [There<T>, ...T[]];
export function leadingOf<T>(list: readonly T[], count: 2): readonly [There<T>, There<T>, ...T[]];
export function leadingOf<T>(list: readonly T[], count: 3): readonly [There<T>, There<T>, There<T>, ...T[]];
export function leadingOf<T>(list: readonly T[], count: 4): readonly [There<T>, There<T>, There<T>, There<T>, ...T[]];
export function leadingOf<T>(list: readonly T[], count: number): readonly T[] {
  for (let index = 0; index < count; index++) nth(list, index);
  return list;
}
