// Firefox, driven by WebDriver BiDi over its own socket: playwright-core speaks BiDi too, but starts each page with a
// command that Firefox ESR 153 does not know (emulation.setMediaFeaturesOverride).
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Firefox's message for plain JSON that a page returns as text. */
function answerOf({ type, result, exceptionDetails }) {
  if (type === "exception") throw new Error(exceptionDetails.text);
  return result.value;
}

/** A Firefox without a window and without the user's profile. */
export class Firefox {
  #process;
  #profile;
  #socket;
  #context;
  #waiting = new Map();
  #listeners = [];
  #sent = 0;

  static async launch(executable) {
    const firefox = new Firefox();
    try {
      await firefox.#start(executable);
      return firefox;
    } catch (error) {
      await firefox.close();
      throw error;
    }
  }

  async #start(executable) {
    this.#profile = mkdtempSync(join(tmpdir(), "pergrad-firefox-"));
    const args = [
      "--headless",
      "--no-remote",
      "--profile",
      this.#profile,
      "--remote-debugging-port",
      "0",
      "about:blank",
    ];
    this.#process = spawn(executable, args, { stdio: ["ignore", "ignore", "pipe"] });
    const address = await this.#listening();
    this.#socket = new WebSocket(`${address}/session`);
    await new Promise((resolve, reject) => {
      this.#socket.addEventListener("open", resolve, { once: true });
      this.#socket.addEventListener("error", () => reject(new Error(`${address} does not answer`)), { once: true });
    });
    this.#socket.addEventListener("message", ({ data }) => this.#received(JSON.parse(data)));
    await this.#ask("session.new", { capabilities: {} });
    await this.#ask("session.subscribe", { events: ["network.beforeRequestSent", "log.entryAdded"] });
    const { contexts } = await this.#ask("browsingContext.getTree", {});
    this.#context = contexts[0].context;
  }

  /** The address at which Firefox says that it listens. */
  #listening() {
    return new Promise((resolve, reject) => {
      let said = "";
      const late = setTimeout(() => reject(new Error(`Firefox does not listen after a minute: ${said}`)), 60_000);
      this.#process.once("error", reject);
      this.#process.once("exit", (code) => reject(new Error(`Firefox ended with ${code}: ${said}`)));
      this.#process.stderr.on("data", (chunk) => {
        said += chunk;
        const [, address] = /WebDriver BiDi listening on (ws:\S+)/.exec(said) ?? [];
        if (!address) return;
        clearTimeout(late);
        resolve(address);
      });
    });
  }

  #received({ id, type, result, message, method, params }) {
    if (type === "event") for (const listener of this.#listeners) listener(method, params);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (type === "success") waiting?.resolve(result);
    else if (type === "error") waiting?.reject(new Error(message));
  }

  #ask(method, params) {
    const id = ++this.#sent;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  /** @param listener is called with the address of each request */
  onRequest(listener) {
    this.#listeners.push((method, params) => {
      if (method === "network.beforeRequestSent") listener(params.request.url);
    });
  }

  /** @param listener is called with the errors of the page */
  onError(listener) {
    this.#listeners.push((method, { type, level, text }) => {
      if (method === "log.entryAdded" && type === "javascript" && level === "error") listener(text);
    });
  }

  async goto(url) {
    await this.#ask("browsingContext.navigate", { context: this.#context, url, wait: "complete" });
  }

  /** The value of an expression, or of the promise that it returns, in the form that JSON gives it. */
  async evaluate(expression) {
    const target = { context: this.#context };
    const text = `Promise.resolve(${expression}).then((value) => JSON.stringify(value ?? null))`;
    const answer = await this.#ask("script.evaluate", { expression: text, target, awaitPromise: true });
    return JSON.parse(answerOf(answer));
  }

  /** Waits until an expression is true. */
  async waitFor(expression, milliseconds = 30_000) {
    const until = Date.now() + milliseconds;
    while (!(await this.evaluate(`Boolean(${expression})`))) {
      if (Date.now() > until) throw new Error(`after ${milliseconds} ms it is not so: ${expression}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Selects files, by their paths, in the element that a selector finds. */
  async setFiles(selector, files) {
    const target = { context: this.#context };
    const expression = `document.querySelector(${JSON.stringify(selector)})`;
    const { result } = await this.#ask("script.evaluate", { expression, target, awaitPromise: false });
    await this.#ask("input.setFiles", { context: this.#context, element: { sharedId: result.sharedId }, files });
  }

  async version() {
    return this.evaluate("navigator.userAgent");
  }

  async close() {
    this.#socket?.close();
    if (this.#process && this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = new Promise((resolve) => this.#process.once("exit", resolve));
      this.#process.kill();
      await ended;
    }
    if (this.#profile) rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
