// Usage: build.mjs [--serve]. Makes the documentation site in site/dist: the Markdown of ../docs and of the repository's
// root, and an API reference from the docstrings. --serve shows it on the loopback afterwards. Installs what is missing.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { relink, rootPages } from "./links.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..");
const content = join(here, ".content");
function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: here, stdio: "inherit", shell: process.platform === "win32" });
  if (status !== 0) process.exit(status ?? 1);
}

function install() {
  const stamp = join(here, "node_modules", ".pergrad-stamp");
  const hash = createHash("sha256")
    .update(readFileSync(join(here, "package-lock.json")))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return;
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
  writeFileSync(stamp, hash);
}

/** The page without the marks of its generated parts, which the site would show: it takes no HTML. */
function withoutMarks(markdown) {
  return markdown.replace(/^<!--.*-->\n/gm, "");
}

function copyPages() {
  mkdirSync(content, { recursive: true });
  for (const name of readdirSync(join(root, "docs"))) {
    const [from, to] = [join(root, "docs", name), join(content, name)];
    if (name.endsWith(".md")) writeFileSync(to, relink(withoutMarks(readFileSync(from, "utf8")), "docs", root));
    else cpSync(from, to, { recursive: true });
  }
  for (const [file, page] of Object.entries(rootPages)) {
    const text = readFileSync(join(root, file), "utf8").replaceAll("](docs/idea.svg)", "](./idea.svg)");
    writeFileSync(join(content, page), relink(text, ".", root));
  }
}

install();
rmSync(content, { recursive: true, force: true });
copyPages();
run("npx", ["--no-install", "typedoc"]);
run("npx", ["--no-install", "vitepress", "build"]);
if (process.argv.includes("--serve")) run("npx", ["--no-install", "vitepress", "preview", "--host", "127.0.0.1"]);
