// Usage: build.mjs [--serve]. Builds the inspector in dist/inspector: a static folder that any server can serve.
// With --serve it is then served on the loopback.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { counterparts } from "../scripts/bundle.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..");
const folder = join(root, "dist", "inspector");

export async function buildInspector(out = folder) {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const thread = join(root, "src", "program", "worker-thread.browser.ts");
  await build({
    bundle: true,
    format: "esm",
    target: "es2022",
    platform: "browser",
    splitting: true,
    minify: true,
    legalComments: "linked",
    logLevel: "warning",
    entryPoints: { page: join(here, "page.ts"), "worker-thread": thread },
    outdir: out,
    plugins: [counterparts(["browser"])],
  });
  for (const name of ["index.html", "style.css"]) copyFileSync(join(here, name), join(out, name));
  const wasm = "ort-wasm-simd-threaded.wasm";
  copyFileSync(join(root, "node_modules", "onnxruntime-web", "dist", wasm), join(out, wasm));
  await buildOffline(out);
  return out;
}

/** The service worker, which knows the names and a digest of all files that are in the folder. */
async function buildOffline(out) {
  const names = readdirSync(out)
    .filter((name) => /\.(js|css|html|wasm)$/.test(name))
    .sort();
  const digest = createHash("sha256");
  for (const name of names) digest.update(readFileSync(join(out, name)));
  const files = names.map((name) => (name === "index.html" ? "./" : name));
  await build({
    minify: true,
    entryPoints: { offline: join(here, "offline.mjs") },
    outdir: out,
    logLevel: "warning",
    define: { FILES: JSON.stringify(files), VERSION: JSON.stringify(digest.digest("hex").slice(0, 16)) },
  });
}

const types = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};

/** Serves a folder on the loopback; 0: any free port. */
export async function serve(out, port) {
  const server = createServer(({ url }, response) => {
    const { pathname } = new URL(url ?? "/", "http://localhost");
    const path = join(out, pathname === "/" ? "index.html" : pathname);
    if (existsSync(path) && path.startsWith(join(out, "/")))
      response.writeHead(200, { "content-type": types[extname(path)] ?? "text/plain" }).end(readFileSync(path));
    else response.writeHead(404).end();
  });
  await new Promise((done, fail) => server.once("error", fail).listen(port, "127.0.0.1", done));
  return server;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await buildInspector();
  console.log(`The inspector is in ${folder}.`);
  if (process.argv.includes("--serve")) {
    const server = await serve(folder, Number(process.env.PORT ?? 8080));
    console.log(`http://127.0.0.1:${server.address().port}/ (Ctrl-C ends it)`);
  }
}
