/**
 * What cannot be absent, though its type allows it: the element at a place of a list, the entry of a record, the
 * result of a look-up. Where it is absent after all, pergrad contradicts itself, and says so.
 *
 * Loops over typed arrays read `data[i] as number` instead: there a call for each element would cost time.
 */
import { defect } from "./errors.js";

/** The value itself. Throws INTERNAL where there is none. */
export function present<T>(value: T): NonNullable<T> {
  if (value === undefined || value === null) throw defect("a value is absent where there must be one");
  return value;
}

/** The element at place `index`. Throws INTERNAL where there is none. */
export function nth<T>(list: readonly T[], index: number): NonNullable<T> {
  const element = list[index];
  if (element === undefined || element === null) {
    throw defect(`element ${index} of a list of ${list.length} is absent`);
  }
  return element;
}

/** The entry called `key`. Throws INTERNAL where there is none. */
export function entryOf<T>(record: Readonly<Record<string, T>>, key: string): NonNullable<T> {
  const entry = record[key];
  if (entry === undefined || entry === null) throw defect(`the entry "${key}" of a record is absent`);
  return entry;
}

type There<T> = NonNullable<T>;

/**
 * The list, known to begin with `count` elements of which none is absent: to be taken apart. What follows may be
 * there or not. Throws INTERNAL where there are fewer.
 */
export function leadingOf<T>(list: readonly T[], count: 1): readonly [There<T>, ...T[]];
export function leadingOf<T>(list: readonly T[], count: 2): readonly [There<T>, There<T>, ...T[]];
export function leadingOf<T>(list: readonly T[], count: 3): readonly [There<T>, There<T>, There<T>, ...T[]];
export function leadingOf<T>(list: readonly T[], count: 4): readonly [There<T>, There<T>, There<T>, There<T>, ...T[]];
export function leadingOf<T>(list: readonly T[], count: number): readonly T[] {
  for (let index = 0; index < count; index++) nth(list, index);
  return list;
}
