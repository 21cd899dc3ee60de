// Usage: node --experimental-websocket test-firefox.mjs EXECUTABLE TASK. Tries in Firefox what test.mjs tries in Chromium.
// TASK is JSON: the address of the server, the folder that it serves, the workloads and the inspector's place. It runs in a
// process of its own, because Node 20 has WebSocket only behind this flag. Prints a line for each test, as test.mjs does.
import { join } from "node:path";
import { Firefox } from "./firefox.mjs";

const [executable, task] = process.argv.slice(2);
const { address, folder, models, maxNorm, inspector, digits } = JSON.parse(task);
const outside = [];
const tell = (name, problem) =>
  console.log(`${problem ? "failed" : "passed"}: firefox: ${name}${problem ? ` (${problem})` : ""}`);

async function attempt(name, action) {
  try {
    tell(name, await action());
  } catch (error) {
    tell(name, error.message);
  }
}

const firefox = await Firefox.launch(executable);
try {
  console.log(await firefox.version());
  firefox.onRequest((url) => {
    if (/^https?:/.test(url) && !url.startsWith(`${address}/`) && !url.startsWith(`${inspector}/`)) outside.push(url);
  });
  firefox.onError((text) => tell("no error of the page", text));
  await firefox.goto(`${address}/page.html`);
  await firefox.waitFor("globalThis.pergradTest !== undefined");
  await attempt("numbers, half precision, streams, training, private training", async () => {
    await firefox.evaluate("globalThis.pergradTest.smoke()");
  });
  await attempt("Web Workers", async () => {
    await firefox.evaluate("globalThis.pergradTest.inWorkers()");
  });
  for (const id of models) {
    await attempt(`${id}: Node's numbers`, async () => {
      const given = JSON.stringify({ id, maxNorm });
      const { worst, compared } = await firefox.evaluate(`globalThis.pergradTest.ofModel(${given})`);
      if (compared < 4) return `only ${compared} results were compared`;
      return worst <= 1e-5 ? undefined : `they differ by ${worst}`;
    });
  }
  await attempt("the example of docs/browser.md", async () => {
    await firefox.goto(`${address}/example.html`);
    await firefox.setFiles("#model", [join(folder, "example.onnx")]);
    await firefox.waitFor('document.querySelector("#norms").textContent !== ""');
  });
  await attempt("inspector: 2,000 digits", async () => {
    await firefox.goto(`${inspector}/`);
    await firefox.setFiles("#files", digits);
    await firefox.waitFor('document.querySelector("#cards li, #problem:not(:empty)") !== null', 120_000);
    const problem = await firefox.evaluate('document.querySelector("#problem").textContent');
    if (problem !== "") return problem;
    const found = await firefox.evaluate('document.querySelectorAll("#cards li").length');
    return found > 0 ? undefined : "no sample is shown";
  });
  tell("no request leaves loopback", outside.join(" "));
} finally {
  await firefox.close();
}
