/** Ray's Jobs interface as far as pergrad uses it, without Ray: what it was asked, and answers that a test sets. */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** What a job prints and how it stands, look by look; the last stays. */
export interface Look {
  readonly status: string;
  readonly logs?: string;
  readonly message?: string;
}

export interface FakeSettings {
  readonly looks?: readonly Look[];
  readonly token?: string;
  /** Times that no agent is available. */
  readonly noAgent?: number;
  readonly version?: object;
  /** Called when the job is handed in. */
  readonly onSubmit?: (job: Readonly<Record<string, unknown>>) => void;
}

export class FakeRay {
  readonly received: Received[] = [];
  readonly packages = new Map<string, Buffer>();
  #looked = 0;
  #look: Look = { status: "PENDING" };
  #stopped = false;
  #refused = 0;

  private constructor(
    private readonly server: Server,
    private readonly settings: FakeSettings,
  ) {}

  static async start(settings: FakeSettings = {}): Promise<FakeRay> {
    const server = createServer();
    const fake = new FakeRay(server, settings);
    server.on("request", async (request, response) => {
      const { status, body } = fake.#answer(await receivedOf(request));
      response.writeHead(status, { "content-type": "application/json" });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return fake;
  }

  get url(): string {
    const { port } = this.server.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  count(method: string, path: string): number {
    return this.received.filter((each) => each.method === method && each.path.startsWith(path)).length;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  #answer(request: Received): { readonly status: number; readonly body: unknown } {
    this.received.push(request);
    const { method, path, headers, body } = request;
    // As Ray's own guard does.
    if (method !== "GET" && "sec-fetch-mode" in headers) return { status: 405, body: "browsers are refused" };
    if (this.settings.token !== undefined) {
      if (headers.authorization === undefined) return { status: 401, body: "Unauthorized" };
      if (headers.authorization !== `Bearer ${this.settings.token}`) return { status: 403, body: "Forbidden" };
    }
    if (path === "/api/version")
      return { status: 200, body: this.settings.version ?? { version: "4", ray_version: "2.60.0" } };
    if (path.startsWith("/api/packages/gcs/")) {
      const name = path.slice("/api/packages/gcs/".length);
      if (method === "GET") return this.packages.has(name) ? { status: 200, body: "" } : { status: 404, body: "none" };
      this.packages.set(name, body);
      return { status: 200, body: "" };
    }
    if (path === "/api/jobs/" && method === "POST") {
      if (this.#refused++ < (this.settings.noAgent ?? 0))
        return { status: 500, body: "No available agent to submit job, please try again later." };
      this.settings.onSubmit?.(JSON.parse(body.toString("utf8")));
      return { status: 200, body: { submission_id: "x" } };
    }
    if (path.endsWith("/stop")) {
      this.#stopped = true;
      return { status: 200, body: { stopped: true } };
    }
    if (path.endsWith("/logs")) return { status: 200, body: { logs: this.#look.logs ?? "" } };
    const looks = this.settings.looks ?? [{ status: "SUCCEEDED" }];
    this.#look = looks[Math.min(this.#looked++, looks.length - 1)] ?? this.#look;
    const look = this.#look;
    return {
      status: 200,
      body: { status: this.#stopped ? "STOPPED" : look.status, message: look.message ?? "" },
    };
  }
}

async function receivedOf(request: IncomingMessage): Promise<Received> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const { method = "", url = "", headers } = request;
  return { method, path: url, headers, body: Buffer.concat(chunks) };
}
