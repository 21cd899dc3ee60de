/** A worker thread in Node: answers the requests of workers.ts. */
import { parentPort, workerData } from "node:worker_threads";
import { Answering } from "./answering.js";
import { here } from "./here.js";
import { place, type Request } from "./messages.js";

const answering = new Answering(here);
const state = new Int32Array(workerData as SharedArrayBuffer);

async function reply(request: Request): Promise<void> {
  const { answer, buffers } = await answering.answer(request);
  parentPort?.postMessage(answer, buffers);
}

/** The end of the last request: they are answered one after another. */
let before = Promise.resolve();

/** Deno's port to the parent thread has no `close`. */
function end(): void {
  if (typeof parentPort?.close === "function") parentPort.close();
  else process.exit();
}

async function next(request: Request): Promise<void> {
  Atomics.store(state, place.busy, 1);
  if (Atomics.load(state, place.ending) === 1) end();
  else await reply(request);
  Atomics.store(state, place.busy, 0);
  Atomics.notify(state, place.busy);
}

parentPort?.on("message", (request: Request) => {
  before = before.then(() => next(request));
});
