/** Ray's Jobs interface: uploads packages; submits, follows and stops jobs. */
import { setTimeout as sleep } from "node:timers/promises";
import { PergradError } from "../../errors.js";
import { type RayAddress, tokenFor } from "./address.js";
import { type HttpRequest, type HttpResponse, send } from "./http.js";
import { fieldsIn } from "./json.js";

/** The state of a job. */
export interface JobState {
  /** PENDING or RUNNING; at the end STOPPED, SUCCEEDED or FAILED. */
  readonly status: string;
  /** What Ray says about it. */
  readonly message: string;
}

const ended = ["STOPPED", "SUCCEEDED", "FAILED"];

/** Whether a job will not change any more. */
export function isEnded({ status }: JobState): boolean {
  return ended.includes(status);
}

/** Milliseconds for which a cluster that has answered before may be silent. */
const patience = 20_000;

/** How often a job is submitted: the node's agent may not be up yet. */
const tries = 20;

/** Ray keeps packages in memory, and takes none of this many bytes or more. */
const mostInPackage = 500 * 2 ** 20;

export class RayJobs {
  readonly #token: string | null;

  /** Throws CLUSTER_REFUSED, INVALID_ARGUMENT. */
  constructor(private readonly address: RayAddress) {
    this.#token = tokenFor(address, process.env);
  }

  get url(): string {
    return this.address.url;
  }

  /**
   * The cluster's version of Ray.
   * @throws PergradError CLUSTER_UNREACHABLE, CLUSTER_REFUSED, CLUSTER_VERSION.
   */
  async version(): Promise<string> {
    const found = await this.#send({ method: "GET", path: "/api/version" });
    const { version, ray_version: own } = fieldsIn(found.text) ?? {};
    // Since version 3 of the interface, whoever submits a job names it, and a job need not take a CPU.
    if (found.status === 200 && typeof own === "string" && Number(version) >= 3) return own;
    const what = typeof own === "string" ? `Ray ${own}, whose Jobs interface is too old` : "no Ray cluster";
    throw new PergradError(
      "CLUSTER_VERSION",
      `What answers at ${this.url} is ${what}; give the address of the dashboard of Ray 2.9 or later (2.60 is tested).`,
    );
  }

  /** Uploads a package, unless the cluster has it. Throws TOO_LARGE, CLUSTER_REFUSED, CLUSTER_UNREACHABLE, CLUSTER_JOB. */
  async upload(name: string, zip: Uint8Array): Promise<void> {
    if (zip.length >= mostInPackage)
      throw new PergradError(
        "TOO_LARGE",
        `The program and what it is fed besides its data take ${Math.ceil(zip.length / 2 ** 20)} MB, but Ray takes packages of less than 500 MB; use a smaller model, or feed less besides the data.`,
      );
    const path = `/api/packages/gcs/${name}`;
    if ((await this.#patiently({ method: "GET", path })).status === 200) return;
    const { status, text } = await this.#patiently({ method: "PUT", path, body: zip });
    if (status !== 200) throw this.#refused("take the program", status, text);
  }

  /**
   * Submits a job, whose folder is `files` (the name of an uploaded package).
   * @throws PergradError CLUSTER_JOB, CLUSTER_REFUSED, CLUSTER_UNREACHABLE.
   */
  async submit(id: string, entrypoint: string, files: string, signal?: AbortSignal): Promise<void> {
    const job = {
      submission_id: id,
      entrypoint,
      // The driver only waits: it must not take a CPU from the workers.
      entrypoint_num_cpus: 0,
      runtime_env: {
        working_dir: `gcs://${files}`,
        env_vars: { OMP_NUM_THREADS: "1", PYTHONUNBUFFERED: "1", PERGRAD_JOB: id },
      },
    };
    const body = new TextEncoder().encode(JSON.stringify(job));
    for (let k = 1; ; k++) {
      signal?.throwIfAborted();
      const { status, text } = await this.#patiently({
        method: "POST",
        path: "/api/jobs/",
        body,
        contentType: "application/json",
      });
      // The job may exist because an earlier response was lost: nobody else uses this name.
      if (status === 200 || /already exists/i.test(text)) return;
      if (k === tries || !/No available agent|head node agent/i.test(text))
        throw this.#refused("start a job", status, text);
      await sleep(1000);
    }
  }

  /** Throws CLUSTER_UNREACHABLE, CLUSTER_REFUSED, CLUSTER_JOB. */
  async state(id: string): Promise<JobState> {
    const { status, text } = await this.#patiently({ method: "GET", path: `/api/jobs/${id}` });
    if (status !== 200) throw this.#refused("report on its job", status, text);
    const { status: own, message } = fieldsIn(text) ?? {};
    return { status: String(own), message: typeof message === "string" ? message : "" };
  }

  /** All that a job has printed so far; empty while its node cannot be asked. */
  async logs(id: string): Promise<string> {
    const { status, text } = await this.#patiently({ method: "GET", path: `/api/jobs/${id}/logs` });
    const { logs } = (status === 200 ? fieldsIn(text) : undefined) ?? {};
    return typeof logs === "string" ? logs : "";
  }

  /** Asks a job to stop, and waits until it has. */
  async stop(id: string): Promise<void> {
    await this.#send({ method: "POST", path: `/api/jobs/${id}/stop` });
    for (const end = Date.now() + patience; Date.now() < end; await sleep(200))
      if (isEnded(await this.state(id))) return;
  }

  async #send(request: HttpRequest): Promise<HttpResponse> {
    let found: HttpResponse;
    try {
      found = await send(this.url, request, this.#token);
    } catch (error) {
      throw this.#unreachable(error);
    }
    if (found.status === 401 || found.status === 403) throw this.#unknown(found.status);
    return found;
  }

  /** A job runs for hours: a cluster may be out of reach for a moment. */
  async #patiently(request: HttpRequest): Promise<HttpResponse> {
    for (const end = Date.now() + patience; ; await sleep(1000)) {
      try {
        return await this.#send(request);
      } catch (error) {
        const silent = error instanceof PergradError && error.code === "CLUSTER_UNREACHABLE";
        if (!silent || Date.now() >= end) throw error;
      }
    }
  }

  #unreachable(cause: unknown): PergradError {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    return new PergradError(
      "CLUSTER_UNREACHABLE",
      `No Ray cluster answers at ${this.url} (${code}); check that it runs, and that this is the address of its dashboard.`,
      { cause },
    );
  }

  #unknown(status: number): PergradError {
    const problem = this.#token === null ? "wants a token" : "refuses the token in RAY_AUTH_TOKEN";
    return new PergradError(
      "CLUSTER_REFUSED",
      `The Ray cluster at ${this.url} ${problem} (${status}); set RAY_AUTH_TOKEN to the token that it was started with.`,
    );
  }

  #refused(what: string, status: number, text: string): PergradError {
    const last = text.trim().split("\n").at(-1)?.replace(/\.$/, "") ?? "";
    return new PergradError(
      "CLUSTER_JOB",
      `The Ray cluster at ${this.url} did not ${what} (${status}: ${last}); look at its dashboard for the reason.`,
    );
  }
}
