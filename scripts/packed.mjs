// Usage: packed.mjs [PROJECT ...]. Installs the packed package, as users would, into a new project of each kind and runs
// three lines there. Needs the npm registry; some projects are large (Next.js: 400 MB).
import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { losses, nn, perSample, saveModel, want } from "../dist/src/index.js";
import { projects } from "./packed/projects.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const shell = process.platform === "win32";
const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1" };

function run([command, ...args], cwd) {
  const done = spawnSync(command, args, { cwd, env, encoding: "utf8", shell });
  if (done.status !== 0) throw new Error(`${command} ${args.join(" ")}\n${done.stdout ?? ""}${done.stderr ?? ""}`);
  return done.stdout;
}

/** The model that every project loads, and the norms that the project must print. */
async function reference(folder) {
  const model = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2)), { seed: 1 });
  await saveModel(model, join(folder, "model.onnx"));
  const program = await perSample(model, { loss: losses.crossEntropy(), want: { norms: want.norms() } });
  const x = Float32Array.from({ length: 6 * 3 }, (_, k) => Math.sin(1 + k));
  const { norms } = await program.run({ x, target: Array.from({ length: 6 }, (_, n) => n % 2) });
  await program.release();
  return Array.from(norms.total.data);
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The answer of a project's server, once it answers. */
async function answerOf({ command, path }, cwd) {
  const port = await freePort();
  const [program, ...args] = command;
  const server = spawn(program, args, {
    cwd,
    env: { ...env, PORT: `${port}` },
    stdio: "ignore",
    shell,
    detached: !shell,
  });
  try {
    for (let tried = 0; ; tried++) {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined);
      if (answer?.ok) return await answer.text();
      if (answer || tried > 120) throw new Error(`${command.join(" ")}: ${answer ? await answer.text() : "no answer"}`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  } finally {
    if (shell) server.kill();
    else process.kill(-server.pid);
  }
}

const types = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

/** The `norms` of a page, as text; the page and the model beside it are served on the loopback. */
async function toldByPage(folder, cwd) {
  const server = createHttpServer(({ url }, response) => {
    const { pathname } = new URL(url, "http://localhost");
    const path = [join(cwd, folder, pathname), join(cwd, pathname)].find((each) => existsSync(each));
    if (!path) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": types[extname(path)] ?? "text/plain" }).end(readFileSync(path));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/index.html`);
    await page.waitForFunction(() => globalThis.norms !== undefined, null, { timeout: 30_000 });
    return JSON.stringify(await page.evaluate(() => globalThis.norms()));
  } finally {
    await browser.close();
    server.close();
  }
}

async function tryProject(name, tarball, model) {
  const project = projects[name];
  if (!project) throw new Error(`there is no such project; there are ${Object.keys(projects).join(", ")}`);
  const folder = mkdtempSync(join(tmpdir(), `pergrad-${name}-`));
  try {
    for (const [path, content] of Object.entries(project.files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    cpSync(model.file, join(folder, "model.onnx"));
    const install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
    run([...install, tarball, ...(project.install ?? [])], folder);
    const printed = project.steps.map((step) => run(step, folder)).at(-1);
    const told = await (project.serve
      ? answerOf(project.serve, folder)
      : project.page
        ? toldByPage(project.page, folder)
        : printed);
    const found = told.match(/[-+.\de]{3,}/g)?.map(Number) ?? [];
    const expected = [...model.norms, ...model.norms];
    const same = found.length === expected.length && expected.every((norm, k) => Math.abs(norm - found[k]) < 1e-6);
    if (!same) throw new Error(`it printed ${told}, not ${JSON.stringify(model.norms)} twice`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const folder = mkdtempSync(join(tmpdir(), "pergrad-packed-"));
try {
  run(["npm", "pack", "--silent", "--pack-destination", folder], root);
  const tarball = join(
    folder,
    readdirSync(folder).find((file) => file.endsWith(".tgz")),
  );
  const model = { file: join(folder, "model.onnx"), norms: await reference(folder) };
  const given = process.argv.slice(2);
  for (const name of given.length > 0 ? given : Object.keys(projects)) {
    try {
      await tryProject(name, tarball, model);
      console.log(`${name}: runs`);
    } catch (error) {
      console.error(`${name}: ${error.message}`);
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
