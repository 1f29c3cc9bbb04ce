/** What whoever installs the package gets. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

/** Every file that `entry` imports, itself included; and what is imported from other packages. */
function imports(entry: URL): { readonly files: Set<string>; readonly packages: Set<string> } {
  const found = { files: new Set<string>(), packages: new Set<string>() };
  const left = [entry];
  for (let file = left.pop(); file !== undefined; file = left.pop()) {
    if (found.files.has(file.pathname)) continue;
    found.files.add(file.pathname);
    const code = readFileSync(file, "utf8").replaceAll(/\/\*.*?\*\//gs, "");
    for (const [, name] of code.matchAll(/(?:from|import) "([^"]+)"/g)) {
      if (name!.startsWith(".")) left.push(new URL(name!, file));
      else found.packages.add(name!);
    }
  }
  return found;
}

test("the browser's entry needs no package, and little time to load", () => {
  const { files, packages } = imports(new URL(import.meta.resolve("voxswap/browser")));
  assert.deepEqual([...packages], []);
  const bytes = [...files].reduce((sum, file) => sum + readFileSync(file).length, 0);
  assert.ok(files.size > 5 && bytes < 60_000, `${files.size} files of ${bytes} bytes`);
});

test("Node's entry needs gRPC and protobuf alone", () => {
  const { packages } = imports(new URL(import.meta.resolve("voxswap")));
  const named = new Set([...packages].map((name) => name.split("/").slice(0, 2).join("/")));
  assert.deepEqual([...named].sort(), ["@bufbuild/protobuf", "@grpc/grpc-js"]);
});
