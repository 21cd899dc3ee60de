/** The documentation site: its menu leads to every page, and its pages exist. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, it } from "vitest";
import { relink, rootPages } from "../../site/links.mjs";
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

it("the site's pages link only to pages and pictures that the site has: it would not be built otherwise", () => {
  const inDocs = readdirSync(join(root, "docs"));
  const onSite = new Set([...inDocs, ...Object.values(rootPages)]);
  const pagesIn = inDocs.filter((name) => name.endsWith(".md")).map((name) => [`docs/${name}`, "docs"] as const);
  const written = [...Object.keys(rootPages).map((file) => [file, "."] as const), ...pagesIn];
  const broken = written.flatMap(([file, folder]) => {
    const markdown = readFileSync(join(root, file), "utf8").replace(/^```[\s\S]*?^```$/gm, "");
    const prose = relink(markdown, folder, root).replace(/`[^`\n]*`/g, "code");
    const links = [...prose.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(([, target = ""]) => target);
    const isWrong = (target: string) => !/^[a-z]+:/.test(target) && !onSite.has(basename(target));
    return links.filter(isWrong).map((target) => `${file}: ${target}`);
  });
  expect(broken).toEqual([]);
});

it("a link to a file that the site does not have becomes its text", () => {
  expect(relink("see [the script](../findings/README.md-less.sh) [x](../package.json)", "docs", root)).toBe(
    "see [the script](../findings/README.md-less.sh) x",
  );
  expect(relink("[wants](wants.md#norms), [words](../GLOSSARY.md)", "docs", root)).toBe(
    "[wants](/wants.md#norms), [words](/glossary.md)",
  );
});
