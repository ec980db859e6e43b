// node --test plugins/sdk-javascript
import assert from "node:assert/strict";
import test from "node:test";

import { asciiText, decodeText, encodeInto } from "./utf8.js";
import { Binding, Column, DataError, Decimal, Reject, RowTransform, Transform, describe, fromDate, run, toDate } from "./tidemill.js";

const VALUES = {
  boolean: [true, false],
  int8: [-128, 127], int16: [-32768], int32: [-2147483648, 2147483647], int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint8: [255], uint16: [65535], uint32: [4294967295], uint64: [2n ** 64n - 1n],
  float32: [0.5, Infinity, -Infinity, NaN, 3.4028234663852886e38], float64: [0.1, -0],
  "decimal128(38, 10)": [Decimal.parse("-1234567890123456789012345678.0123456789"), new Decimal(0n, 10)],
  "decimal256(65, 30)": [Decimal.parse("12345678901234567890123456789012345.012345678901234567890123456789")],
  date32: [new Date("0001-01-01"), new Date("9999-12-31")],
  "time64-us": [-3020399000000n], "timestamp-us": [-1n], "timestamp-us(UTC)": [1n],
  utf8: ["", "Zoë", "日本"], binary: [new Uint8Array(0), Uint8Array.of(255, 0)], "fixed-binary(2)": [Uint8Array.of(1, 2)],
  "float32-list": [new Float32Array(0), Float32Array.of(0.5, 2, Infinity)],
};

test("every type comes back as it was", () => {
  for (const [type, some] of Object.entries(VALUES)) {
    for (const values of [some, [null, ...some, null], new Array(9).fill(null), []]) {
      assert.deepEqual(Column.of(type, values).toArray(), values, type);
    }
  }
});

test("a value that does not fit names its row and not itself", () => {
  const wrong = [["int8", 128], ["int8", 1.5], ["int64", "7"], ["utf8", 7], ["boolean", 1], ["decimal128(4, 2)", "1.234"], ["decimal128(4, 2)", 100n],
    ["decimal128(4, 2)", 0.5], ["date32", 7], ["fixed-binary(2)", Uint8Array.of(1)], ["float32-list", ["x"]], ["timestamp-us", "today"],
    ["float32", 1e300], ["float32", -1e39], ["float32-list", [0.5, 1e300]]];
  for (const [type, value] of wrong) {
    const { column, bad } = Column.build(type, [null, value], true, null);
    assert.deepEqual(bad.map(({ row }) => row), [1], type);
    assert.ok(!bad[0].reason.replace(type, "").includes(String(value)), bad[0].reason);
    assert.deepEqual(column.toArray(), [null, null]);
  }
});

test("texts are UTF-8, as the platform has it", () => {
  const texts = ["", "plain", "Zoë", "日本", "😀x😀", "x".repeat(10_000) + "é", "\u{10ffff}\uffff\u0800\u07ff\u0080"];
  const encodeText = (text) => {
    const bytes = new Uint8Array(text.length * 3 + 1);
    return bytes.subarray(1, encodeInto(text, bytes, 1));
  };
  for (const text of texts) {
    const bytes = new TextEncoder().encode(text);
    assert.deepEqual(encodeText(text), bytes);
    assert.equal(decodeText(bytes, 0, bytes.length), text);
    assert.equal(asciiText(bytes), bytes.length === text.length ? text : null);
  }
  assert.deepEqual(encodeText("a\ud800b\udc00"), new TextEncoder().encode("a\ud800b\udc00"));
});

test("moments keep their microseconds", () => {
  assert.equal(toDate(-1n).getTime(), -1);
  assert.equal(fromDate(new Date(5)), 5000n);
  assert.equal(String(Decimal.parse("-0.05")), "-0.05");
});

class Domain extends RowTransform {
  static plugin = { name: "domain", version: "1.0.0", summary: "the domain of an address" };
  static settings = {
    column: { type: "string", default: "email" },
    drop: { type: "array", items: { type: "string" }, default: [] },
  };

  bind(table) {
    const { column, drop } = this.config;
    return new Binding(table, { reads: [column], adds: [{ name: "domain", type: "utf8" }], filters: drop.length > 0 });
  }

  row(row) {
    const address = row[this.config.column];
    if (address === null) return row;
    if (!address.includes("@")) throw new Reject("no address");
    const domain = address.split("@")[1];
    return this.config.drop.includes(domain) ? null : { ...row, domain };
  }
}

const FIELDS = [{ name: "id", type: "int64", nullable: false }, { name: "email", type: "utf8" }];

test("rows are changed, left out and rejected", () => {
  const emails = ["a@x", null, "b", "c@y"];
  const { rows, rejected } = run(Domain, FIELDS, emails.map((email, i) => ({ id: BigInt(i), email })), { drop: ["y"] }, ["id"]);
  assert.deepEqual(rows, [{ id: 0n, email: "a@x", domain: "x" }, { id: 1n, email: null, domain: null }]);
  assert.deepEqual(rejected, [{ row: 2, reason: "no address" }]);
});

test("mistakes of the author are told, and no values", () => {
  const plugin = (row, binding = {}) => class extends RowTransform {
    bind(table) { return new Binding(table, { reads: ["email"], ...binding }); }
    row(given) { return row(given); }
  };
  const wrong = [
    [plugin(() => null), /filters: true/],
    [plugin(() => ({ eMail: "x" })), /`eMail`/],
    [plugin(() => ({ email: "x" })), /not in `changes`/],
    [plugin((row) => row.email.missing.call()), /TypeError at tidemill\.test\.js:\d+/],
    [plugin((row) => { throw new Error(`secret ${row.email}`); }), /Error at tidemill\.test\.js:\d+/],
  ];
  for (const [Plugin, words] of wrong) {
    assert.throws(() => run(Plugin, FIELDS, [{ id: 1n, email: "who@x" }]), (error) => {
      assert.ok(error instanceof DataError && words.test(error.message) && !/who@x|secret/.test(error.message), String(error));
      return true;
    });
  }
});

test("a result of another type is rejected with its column", () => {
  class Plugin extends RowTransform {
    bind(table) { return new Binding(table, { reads: ["id"], changes: ["id"] }); }
    row({ id }) { return { id: [null, "x", id][Number(id)] }; }
  }
  const { rows, rejected } = run(Plugin, FIELDS, [0n, 1n, 2n].map((id) => ({ id })));
  assert.deepEqual(rows, [{ id: 2n, email: null }]);
  assert.deepEqual(rejected.map(({ row }) => row), [0, 1]);
  assert.equal(rejected[0].reason, "`id`: NULL where none is allowed");
});

test("whole columns", () => {
  class Twice extends Transform {
    bind(table) { return new Binding(table, { reads: ["id"], changes: ["id"], renames: { email: "mail" }, filters: true }); }
    process({ rows, columns }) {
      const doubled = columns[0].values().map((value) => value * 2n);
      const column = new Column("int64", rows, null, new Uint8Array(0), new Uint8Array(doubled.buffer));
      return { columns: [column], keep: Array.from(columns[0].values(), (value) => value !== 3n) };
    }
  }
  assert.deepEqual(run(Twice, FIELDS, [{ id: 2n, email: "a" }, { id: 3n, email: "b" }]).rows, [{ id: 4n, mail: "a" }]);
});

test("settings become a JSON Schema", () => {
  const schema = JSON.parse(describe(Domain).configSchema);
  assert.deepEqual(schema.required, []);
  assert.equal(schema.additionalProperties, false);
  assert.throws(() => run(Domain, FIELDS, [], { column: "mail" }), /no column `mail`; it has id, email/);
});
