// Tests without the sandbox: npm test
import assert from "node:assert/strict";
import test from "node:test";

import { run } from "../sdk/tidemill.js";
import Plugin from "../src/plugin.js";

const fields = [
  { name: "id", type: "int64", nullable: false },
  { name: "email", type: "utf8" },
];

test("an address is tidied", () => {
  const { rows, rejected } = run(Plugin, fields, [{ id: 1n, email: " Ada@Example.ORG" }], {}, ["id"]);
  assert.deepEqual(rows, [{ id: 1n, email: "ada@example.org", email_domain: "example.org" }]);
  assert.deepEqual(rejected, []);
});

test("what is no address is rejected", () => {
  const { rows, rejected } = run(Plugin, fields, [{ id: 1n, email: "nowhere" }], {}, ["id"]);
  assert.deepEqual(rows, []);
  assert.deepEqual(rejected, [{ row: 0, reason: "no address: an @ is missing" }]);
});

test("domains can be left out", () => {
  const { rows } = run(Plugin, fields, [{ id: 1n, email: "a@b" }], { drop_domains: ["b"] }, ["id"]);
  assert.deepEqual(rows, []);
});
