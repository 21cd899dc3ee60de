/** The documentation site: its menu leads to every page, and its pages exist. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import pages from "../../site/pages.json" with { type: "json" };

const root = join(import.meta.dirname, "..", "..");

it("every page of docs/ stands in the site's menu, and every entry of the menu is a page", () => {
  const { menu, rootPages } = pages;
  const written = readdirSync(join(root, "docs")).flatMap((name) => (name.endsWith(".md") ? [name.slice(0, -3)] : []));
  const copied = Object.values(rootPages).map((page) => page.slice(0, -3));
  const listed = menu.flatMap(({ items }) => items.map(([, page]) => page)).filter((page) => page !== "api/");
  expect([...listed].sort()).toEqual([...written, ...copied].sort());
  for (const file of Object.keys(rootPages)) expect(existsSync(join(root, file)), file).toBe(true);
});
