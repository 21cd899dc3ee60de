#!/usr/bin/env node
import { existsSync } from "node:fs";

// In a checkout (sources beside this file) install and build first; an installed package is already built.
if (existsSync(new URL("../src", import.meta.url))) {
  const { setup } = await import("../scripts/setup.mjs");
  try {
    setup();
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}
const { main } = await import("../dist/node/cli.js");
process.exitCode = await main(process.argv.slice(2));
