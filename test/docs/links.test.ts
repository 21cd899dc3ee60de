/** Links of the README, the pages of docs/ and the other pages at the root lead to files and headings that exist. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "..", "..");
const pagesIn = (folder: string) =>
  readdirSync(join(root, folder)).flatMap((name) => (name.endsWith(".md") ? [join(root, folder, name)] : []));
const pages = [...pagesIn("."), ...pagesIn("docs")];

/** A page without its code, where brackets are not links. */
function proseOf(page: string): string {
  return readFileSync(page, "utf8")
    .replace(/^```[\s\S]*?^```$/gm, "")
    .replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]()]/g, " "));
}

function linksOf(page: string): string[] {
  return [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
}

/** The anchors that GitHub gives to the headings of a page. */
function anchorsOf(page: string): Set<string> {
  const headings = [
    ...readFileSync(page, "utf8")
      .replace(/^```[\s\S]*?^```$/gm, "")
      .matchAll(/^#+ (.*)$/gm),
  ];
  return new Set(
    headings.map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replace(/ /g, "-"),
    ),
  );
}

/** Why a link leads nowhere; undefined where it leads somewhere. */
function problemOf(page: string, target: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined;
  const [path = "", anchor] = target.split("#");
  const file = path === "" ? page : join(dirname(page), path);
  if (!existsSync(file)) return "there is no such file";
  if (anchor === undefined || statSync(file).isDirectory()) return undefined;
  return anchorsOf(file).has(anchor) ? undefined : "the page has no such heading";
}

it("finds the links", () => {
  expect(linksOf(join(root, "README.md"))).toContain("docs/wants.md");
});

it("every link within the repository leads somewhere", () => {
  const broken = pages.flatMap((page) =>
    linksOf(page).flatMap((target) => {
      const problem = problemOf(page, target);
      return problem ? [`${relative(root, page)}: ${target}: ${problem}`] : [];
    }),
  );
  expect(broken).toEqual([]);
});
