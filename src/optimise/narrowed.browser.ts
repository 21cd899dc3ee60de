/** What windows leave unread, for a page: the code is loaded with the first model that has windows. */
import type { Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { missing } from "../missing.js";
import { definitionOf } from "../ops/registry.js";

const narrowed = missing(async () => (await import("./unread.js")).withoutUnread);

export function withoutUnread(outputs: readonly Value[]): Value[] {
  const hasWindows = nodesBefore(outputs).some((node) => {
    const { slides, largest } = definitionOf(node) ?? {};
    return slides !== undefined || largest === true;
  });
  return hasWindows ? narrowed(outputs) : [...outputs];
}
