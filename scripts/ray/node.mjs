// One Ray node on ports of its own, and the processes that belong to it: those that a mark in their environment tells.
// No other Ray on the machine is seen or touched.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** @returns {Promise<number[]>} so many ports that nobody listens on */
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

export class RayNode {
  #mark = `pergrad-${randomBytes(8).toString("hex")}`;
  #folder = mkdtempSync(join(tmpdir(), "ray-"));

  constructor(python, { cpus = 2, token } = {}) {
    this.python = python;
    this.cpus = cpus;
    this.token = token;
  }

  /** Rejects where Ray does not come up. */
  async start() {
    const [gcs, dashboard, agent, client] = await freePorts(4);
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
    const more = { "node-ip-address": "127.0.0.1", "temp-dir": this.#folder, "object-store-memory": 100_000_000 };
    const workers = { "min-worker-port": 0, "max-worker-port": 0 };
    for (const [name, value] of Object.entries({ ...named, ...more, ...workers })) args.push(`--${name}=${value}`);
    const started = spawn(join(dirname(this.python), "ray"), args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let printed = "";
    for (const stream of [started.stdout, started.stderr]) stream.on("data", (text) => (printed += text));
    this.url = `http://127.0.0.1:${dashboard}`;
    const headers = this.token === undefined ? {} : { authorization: `Bearer ${this.token}` };
    for (let tries = 0; tries < 600; tries++) {
      if (started.exitCode !== null) throw new Error(`Ray did not start: ${printed.trim().split("\n").at(-1)}`);
      const answer = await fetch(`${this.url}/api/version`, { headers }).catch(() => undefined);
      if (answer?.ok) return;
      await sleep(200);
    }
    throw new Error(`Ray's dashboard did not answer: ${printed.trim().split("\n").at(-1)}`);
  }

  /** Processes of this node, with their titles. */
  processes() {
    return readdirSync("/proc").flatMap((pid) => {
      if (!/^\d+$/.test(pid)) return [];
      try {
        if (!readFileSync(`/proc/${pid}/environ`, "latin1").includes(this.#mark)) return [];
        return [{ pid: Number(pid), title: readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim() }];
      } catch {
        return []; // it has ended, or is somebody else's
      }
    });
  }

  /** The first process with such a title, as soon as there is one. */
  async find(title, patience = 60_000) {
    for (const end = Date.now() + patience; Date.now() < end; await sleep(20)) {
      const found = this.processes().find((each) => title.test(each.title));
      if (found) return found.pid;
    }
    throw new Error(`no process ${title} came`);
  }

  /** Ends all that this node has started. */
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
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
