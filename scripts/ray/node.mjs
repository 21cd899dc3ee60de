// One Ray node on ports of its own, and its processes, which a mark in their environment identifies. No other Ray on the
// machine is seen or touched.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** @returns {Promise<number[]>} ports on which nobody listens */
async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Uses node:http, because the agent mistakes Node's fetch for a browser and refuses it. */
function answersWith200(url, headers) {
  return new Promise((resolve) => {
    const asked = get(url, { headers, agent: false, timeout: 5000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on("error", () => resolve(false));
    asked.on("timeout", () => asked.destroy());
  });
}

export class RayNode {
  #mark = `pergrad-${randomBytes(8).toString("hex")}`;
  /** Ray's files, one folder for each start. */
  #folders = [];

  constructor(python, { cpus = 2, token } = {}) {
    this.python = python;
    this.cpus = cpus;
    this.token = token;
  }

  /** The mark in the environment of this node's processes. */
  get mark() {
    return this.#mark;
  }

  /** Rejects if Ray does not come up in three tries: on a busy machine its processes may give up on each other. */
  async start() {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#start();
      } catch (error) {
        await this.kill();
        if (tries === 3) throw error;
      }
    }
  }

  async #start() {
    const [gcs, dashboard, agent, client] = await freePorts(4);
    const folder = mkdtempSync(join(tmpdir(), "ray-"));
    this.#folders.push(folder);
    const env = {
      ...process.env,
      PATH: `${dirname(this.python)}:${process.env.PATH}`,
      PERGRAD_RAY_MARK: this.#mark,
      RAY_USAGE_STATS_ENABLED: "0",
      RAY_DISABLE_IMPORT_WARNING: "1",
      ORT_DISABLE_TELEMETRY: "1",
      ...(this.token === undefined ? {} : { RAY_AUTH_MODE: "token", RAY_AUTH_TOKEN: this.token }),
    };
    const args = ["start", "--head", "--block", "--disable-usage-stats", `--num-cpus=${this.cpus}`];
    const ports = { port: gcs, "dashboard-port": dashboard, "dashboard-agent-listen-port": agent };
    const named = { ...ports, "ray-client-server-port": client, "dashboard-host": "127.0.0.1" };
    const more = { "node-ip-address": "127.0.0.1", "temp-dir": folder, "object-store-memory": 100_000_000 };
    const workers = { "min-worker-port": 0, "max-worker-port": 0 };
    for (const [name, value] of Object.entries({ ...named, ...more, ...workers })) args.push(`--${name}=${value}`);
    const started = spawn(join(dirname(this.python), "ray"), args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let printed = "";
    for (const stream of [started.stdout, started.stderr]) stream.on("data", (text) => (printed += text));
    this.url = `http://127.0.0.1:${dashboard}`;
    this.address = `127.0.0.1:${gcs}`;
    const headers = this.token === undefined ? {} : { authorization: `Bearer ${this.token}` };
    const answers = (url) => answersWith200(url, headers);
    const health = `http://127.0.0.1:${agent}/api/local_raylet_healthz`;
    for (const end = Date.now() + 120_000; Date.now() < end; await sleep(200)) {
      if (started.exitCode !== null) break;
      // The agent starts last, and without it no job is accepted.
      if ((await answers(`${this.url}/api/version`)) && (await answers(health))) return;
    }
    throw new Error(`Ray did not come up: ${printed.trim().split("\n").slice(-5).join("; ")}`);
  }

  /** This node's processes, with their titles. A process that sets its title may overwrite its mark, so its parent decides. */
  processes() {
    const all = new Map(
      readdirSync("/proc")
        .filter((name) => /^\d+$/.test(name))
        .flatMap((pid) => {
          const of = (what) => readFileSync(`/proc/${pid}/${what}`, "latin1");
          try {
            const marked = of("environ").includes(this.#mark);
            const parent = Number(/^PPid:\s*(\d+)/m.exec(of("status"))?.[1]);
            return [[Number(pid), { marked, parent, title: of("cmdline").replaceAll("\0", " ").trim() }]];
          } catch {
            return []; // it has ended, or belongs to another user
          }
        }),
    );
    const isOurs = ({ marked, parent }) => marked || (all.has(parent) && isOurs(all.get(parent)));
    return [...all].filter(([, each]) => isOurs(each)).map(([pid, { title }]) => ({ pid, title }));
  }

  /** The first process with such a title, as soon as there is one. */
  async find(title, patience = 300_000) {
    for (const end = Date.now() + patience; Date.now() < end; await sleep(20)) {
      const found = this.processes().find((each) => title.test(each.title));
      if (found) return found.pid;
    }
    throw new Error(`no process ${title} came`);
  }

  /** Ends all processes that this node has started. */
  async kill(signal = "SIGKILL") {
    for (let tries = 0; tries < 100; tries++) {
      const left = this.processes();
      if (left.length === 0) return;
      for (const { pid } of left) {
        try {
          process.kill(pid, tries === 0 ? signal : "SIGKILL");
        } catch {
          // it has ended
        }
      }
      await sleep(100);
    }
  }

  async stop() {
    await this.kill();
    for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true });
  }
}
