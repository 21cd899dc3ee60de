/** A worker thread: runs the sessions that workers.ts asks it for. */
import { parentPort, workerData } from "node:worker_threads";
import { defect, PergradError } from "../../errors.js";
import type { Session } from "../runtime.js";
import { here } from "./here.js";
import { type Answer, place, type Request } from "./messages.js";

const sessions = new Map<number, Session>();
const state = new Int32Array(workerData as SharedArrayBuffer);

async function answer(request: Request): Promise<Answer> {
  const { id, session } = request;
  if (request.kind === "load") {
    sessions.set(session, await here.load(request.model, request.options));
    return { id };
  }
  const found = sessions.get(session);
  if (!found) throw defect(`a worker thread knows no session ${session}`);
  if (request.kind === "run") return { id, results: await found.run(request.feeds) };
  sessions.delete(session);
  await found.release();
  return { id };
}

async function reply(request: Request): Promise<void> {
  try {
    const told = await answer(request);
    const buffers = new Set(Object.values(told.results ?? {}).map(({ data }) => data.buffer as ArrayBuffer));
    parentPort?.postMessage(told, [...buffers]);
  } catch (error) {
    const { code, message } = error instanceof PergradError ? error : defect(String(error), error);
    parentPort?.postMessage({ id: request.id, error: { code, message } } satisfies Answer);
  }
}

/** One request after another: the last one's end. */
let before = Promise.resolve();

async function next(request: Request): Promise<void> {
  Atomics.store(state, place.busy, 1);
  if (Atomics.load(state, place.ending) === 1) parentPort?.close();
  else await reply(request);
  Atomics.store(state, place.busy, 0);
  Atomics.notify(state, place.busy);
}

parentPort?.on("message", (request: Request) => {
  before = before.then(() => next(request));
});
