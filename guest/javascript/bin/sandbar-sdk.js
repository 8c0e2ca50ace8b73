#!/usr/bin/env node
// Makes a component of a source: `sandbar-sdk build source.js -o name.wasm`, where the file's default export is the source.

import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const USAGE = "usage: sandbar-sdk build SOURCE.js -o NAME.wasm";
const sdk = resolve(dirname(fileURLToPath(import.meta.url)), "..");

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function compiler() {
  try {
    return createRequire(join(process.cwd(), "x.js")).resolve("componentize-qjs/cli.mjs");
  } catch {
    try {
      return createRequire(import.meta.url).resolve("componentize-qjs/cli.mjs");
    } catch {
      return fail("componentize-qjs is not installed: npm install --save-dev componentize-qjs");
    }
  }
}

function build(source, output) {
  // The engine resolves modules below one folder only: the source's own folder and the SDK are put together in it.
  const scratch = mkdtempSync(join(tmpdir(), "sandbar-"));
  try {
    const app = join(scratch, "app");
    cpSync(dirname(resolve(source)), app, { recursive: true, filter: (from) => !from.endsWith(".wasm") });
    cpSync(join(sdk, "src"), join(app, "node_modules", "sandbar-sdk", "src"), { recursive: true });
    cpSync(join(sdk, "package.json"), join(app, "node_modules", "sandbar-sdk", "package.json"));
    const entry = join(app, "sandbar-entry.js");
    const lines = [
      'import { exportsOf } from "sandbar-sdk/component";',
      `import source from "./${basename(source)}";`,
      "export const connector = exportsOf(source);",
    ];
    writeFileSync(entry, `${lines.join("\n")}\n`);
    const wit = join(scratch, "wit");
    cpSync(join(sdk, "wit"), wit, { recursive: true, dereference: true });
    const options = ["--wit", wit, "--world", "source", "--js", entry, "--module-root", app, "--output", resolve(output)];
    // Without WASI, which the engine imports and never calls, and without async, which a host need not have.
    const finished = spawnSync(process.execPath, [compiler(), ...options, "--stub-wasi", "--sync"], { stdio: "inherit" });
    process.exitCode = finished.status ?? 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { output: { type: "string", short: "o" } } });
if (positionals.length !== 2 || positionals[0] !== "build" || !values.output) {
  fail(USAGE);
}
build(positionals[1], values.output);
