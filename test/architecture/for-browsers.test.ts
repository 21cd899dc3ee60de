/** Everything that `pergrad` exports can be packed for browsers, where no module of Node's is. */
import { expect, it } from "vitest";
import { checkForBrowsers } from "../../scripts/bundle.mjs";

it("no module that browsers load needs Node: a counterpart (x.browser.ts) or an import on demand takes its place", async () => {
  await expect(checkForBrowsers()).resolves.toBeUndefined();
});
