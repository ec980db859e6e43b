/**
 * Write a Tidemill transform in JavaScript or TypeScript: one class, built by `tidemill plugin build`.
 *
 *     import { Binding, RowTransform } from "../sdk/tidemill.js";
 *
 *     export default class extends RowTransform {
 *       static plugin = { name: "shout", version: "0.1.0", summary: "writes a column in capitals" };
 *       static settings = { column: { type: "string", description: "the column" } };
 *
 *       bind(table) {
 *         const { column } = this.config;
 *         return new Binding(table, { reads: [column], changes: [column] });
 *       }
 *
 *       row(row) {
 *         const { column } = this.config;
 *         return { [column]: row[column]?.toUpperCase() ?? null };
 *       }
 *     }
 *
 * `bind` is asked once a table, `row` once a row. Who wants speed derives from `Transform` instead and is given whole columns as Arrow has them.
 * The same batch must give the same answer, always: no clock, no random numbers, nothing remembered from batch to batch.
 *
 * | type | in JavaScript |
 * | --- | --- |
 * | boolean; int8 to int32, uint8 to uint32, float32, float64 | boolean; number |
 * | int64, uint64 | bigint |
 * | decimal128(precision, scale), decimal256(precision, scale) | `Decimal`; a text or a bigint is taken as well |
 * | date32 | Date, at midnight UTC |
 * | time64-us (MySQL's TIME), timestamp-us, timestamp-us(UTC) | bigint: microseconds, of a moment since 1970; see `toDate`, `fromDate` |
 * | utf8; binary, fixed-binary(bytes); float32-list | string; Uint8Array; Float32Array |
 *
 * NULL is null.
 */

import { Column, Misfit, parseType, packBits } from "./columns.js";

export { Column, Decimal, fromDate, toDate } from "./columns.js";

/** Thrown by `row`: this row can't be transformed. The reason is logged, so it must not repeat values of the row. */
export class Reject extends Error {}
/** Thrown by `bind`: the configuration can't be used, and why. */
export class ConfigError extends Error {}
/** Thrown by `bind`: the table doesn't fit, and why. */
export class SchemaError extends Error {}
/** Thrown by `process`: the whole batch can't be transformed, and why (without values of rows). */
export class DataError extends Error {}

/** A table of the source, as `bind` is shown it. `key` has the names of the primary key's columns. */
export class Table {
  constructor(database, name, fields, key = []) {
    Object.assign(this, { database, name, fields, key });
  }

  /** The column of this name: `{ name, type, nullable }`. */
  field(name) {
    const field = this.fields.find((field) => field.name === name);
    if (field) return field;
    const names = this.fields.map((field) => field.name).join(", ");
    throw new SchemaError(`${this.database}.${this.name} has no column \`${name}\`; it has ${names}`);
  }
}

/**
 * What a plugin does with a table. All columns that aren't named here pass by: they never enter the plugin.
 *
 * - `reads`: names of columns that are given to the plugin
 * - `changes`: names of columns that it gives back under the same name and type
 * - `adds`: new columns, `{ name, type, nullable }`; one with the name of a column takes its place
 * - `drops`: names of columns that aren't in the output
 * - `renames`: `{ oldName: newName }` of columns that pass by
 * - `filters`: whether rows may be left out
 */
export class Binding {
  constructor(table, { reads = [], changes = [], adds = [], drops = [], renames = {}, filters = false } = {}) {
    for (const name of [...reads, ...changes, ...drops, ...Object.keys(renames)]) table.field(name);
    const computed = new Map(changes.map((name) => [name, table.field(name)]));
    for (const field of adds) computed.set(field.name, { nullable: true, ...field });
    const taken = new Set();
    this.output = [];
    table.fields.forEach((field, position) => {
      if (computed.has(field.name)) {
        taken.add(field.name);
        this.output.push({ field: computed.get(field.name) });
      } else if (!drops.includes(field.name)) {
        this.output.push({ position, name: renames[field.name] });
      }
    });
    for (const [name, field] of computed) if (!taken.has(name)) this.output.push({ field });
    Object.assign(this, { table, reads, filters });
    this.computed = this.output.filter((column) => column.field).map((column) => column.field);
    this.positions = reads.map((name) => table.fields.findIndex((field) => field.name === name));
  }
}

/** A transform of whole columns. `this.config` holds the configuration, `this.binding` what `bind` answered. */
export class Transform {
  static plugin = { name: "unnamed", version: "0.1.0", summary: "" };
  /** The settings: JSON Schema's `properties`. One without a `default` must be given. */
  static settings = {};

  /** Answers with a `Binding`. */
  bind(_table) {
    throw new SchemaError("the plugin has no `bind`");
  }

  /** Takes `{ rows, columns }`, answers with `{ columns, keep?: boolean[], rejected?: { row, reason }[] }`. */
  process(_batch) {
    throw new DataError("the plugin has no `process`");
  }
}

/**
 * A transform of one row at a time: an object of the columns that it reads. `row` gives back an object with the columns that it writes (a changed
 * column that is missing stays as it was, an added one becomes NULL), or null to leave the row out, or throws `Reject`.
 */
export class RowTransform extends Transform {
  process(batch) {
    const { reads, computed, filters } = this.binding;
    const given = batch.columns.map((column) => column.toArray());
    const sources = computed.map((field) => given[reads.indexOf(field.name)] ?? null);
    const written = computed.map(() => new Array(batch.rows));
    const declared = Object.fromEntries(computed.map((field) => [field.name, true]));
    const unused = new Uint8Array(batch.rows);
    let keep = null;
    const rejected = [];
    for (let number = 0; number < batch.rows; number++) {
      const row = {};
      for (let i = 0; i < reads.length; i++) row[reads[i]] = given[i][number];
      let answer;
      try {
        answer = this.row(row);
      } catch (error) {
        if (!(error instanceof Reject)) throw error;
        rejected.push({ row: number, reason: error.message });
        unused[number] = 1;
        continue;
      }
      if (answer === null || answer === undefined) {
        if (!filters) throw new DataError("`row` left a row out, and `bind` doesn't say `filters: true`");
        keep ??= new Array(batch.rows).fill(true);
        keep[number] = false;
        unused[number] = 1;
        continue;
      }
      for (const name in answer) {
        if (declared[name]) continue;
        const read = reads.indexOf(name);
        if (read < 0 || answer[name] !== given[read][number]) throw new DataError(undeclared(name, read >= 0));
      }
      for (let i = 0; i < computed.length; i++) {
        const { name } = computed[i];
        written[i][number] = (name in answer ? answer[name] : sources[i]?.[number]) ?? null;
      }
    }
    const columns = computed.map((field, i) => {
      const { column, bad } = Column.build(field.type, written[i], field.nullable, unused);
      for (const { row, reason } of bad) {
        if (!unused[row]) rejected.push({ row, reason: `\`${field.name}\`: ${reason}` });
        unused[row] = 1;
      }
      return column;
    });
    return { columns, keep, rejected: rejected.sort((one, other) => one.row - other.row) };
  }
}

function undeclared(name, isRead) {
  return isRead
    ? `\`row\` changed \`${name}\`, which \`bind\` names in \`reads\` and not in \`changes\``
    : `\`row\` gave back \`${name}\`, which \`bind\` doesn't name in \`changes\` or \`adds\``;
}

/** What the plugin says of itself. */
export function describe(Plugin) {
  const required = Object.keys(Plugin.settings).filter((name) => !("default" in Plugin.settings[name]));
  const schema = { type: "object", additionalProperties: false, properties: Plugin.settings, required };
  return { ...Plugin.plugin, configSchema: JSON.stringify(schema) };
}

/** The plugin, bound to a table with a configuration. The host has held the configuration against the JSON Schema. */
export function bind(Plugin, table, config) {
  const bound = new Plugin();
  const defaults = Object.entries(Plugin.settings).filter(([, setting]) => "default" in setting);
  bound.config = { ...Object.fromEntries(defaults.map(([name, setting]) => [name, setting.default])), ...config };
  const missing = Object.keys(Plugin.settings).find((name) => !(name in bound.config));
  if (missing) throw new ConfigError(`\`${missing}\` is missing`);
  bound.binding = bound.bind(table);
  return bound;
}

/** `bound.process`; a mistake of the plugin's is told by kind and place: an error's own text may hold values of rows. */
export function process(bound, batch) {
  try {
    return bound.process(batch);
  } catch (error) {
    if (error instanceof DataError || error instanceof Misfit) throw error;
    // The first line of a stack repeats the message in some engines.
    const place = /[^\s(/]+:\d+(:\d+)?/.exec((error?.stack ?? "").replace(String(error?.message), ""));
    throw new DataError(`${error?.name ?? "an error"}${place ? ` at ${place[0]}` : ""}`);
  }
}

/**
 * Runs a plugin natively, for tests: rows (objects) in, `{ rows, rejected }` out, as the host would do it.
 * `fields` are `{ name, type, nullable }`; NULL is allowed where `nullable` isn't false.
 */
export function run(Plugin, fields, rows, config = {}, key = []) {
  const table = new Table("test", "rows", fields.map((field) => ({ nullable: true, ...field })), key);
  const bound = bind(Plugin, table, config);
  const columns = bound.binding.positions.map((position) => {
    const { name, type } = table.fields[position];
    return Column.of(type, rows.map((row) => row[name] ?? null));
  });
  const output = process(bound, { rows: rows.length, columns });
  const computed = output.columns.map((column) => column.toArray());
  const rejected = output.rejected ?? [];
  const stays = (number) => (output.keep?.[number] ?? true) && rejected.every(({ row }) => row !== number);
  const whole = (row, number) => {
    let next = 0;
    const cells = bound.binding.output.map(({ field, position, name }) => {
      if (field) return [field.name, computed[next++][number]];
      const source = table.fields[position].name;
      return [name ?? source, row[source] ?? null];
    });
    return Object.fromEntries(cells);
  };
  return { rows: rows.flatMap((row, number) => (stays(number) ? [whole(row, number)] : [])), rejected };
}

let host = null;

/** Writes to the host's log: "debug", "info", "warn" or "error". Never log values of rows. */
export function log(level, message) {
  if (host) host.log(level, message);
  else console.error(`${level}: ${message}`);
}

// A component has no console, and code that writes to one shouldn't fail by that. What it writes may hold values of rows: it is not shown, which is said once.
let said = false;
function unshown() {
  if (!host || said) return;
  said = true;
  log("debug", "what goes to the console is not shown: write it with `log`");
}
globalThis.console ??= { debug: unshown, error: unshown, info: unshown, log: unshown, trace: unshown, warn: unshown };

/** What a component exports; `tidemill plugin build` calls this. `hostLog` is the contract's interface `log`. */
export function component(Plugin, hostLog) {
  host = hostLog;
  let bound = null;
  const failed = (tag, error) => ({ tag, val: String(error.message) });
  return {
    describe: () => describe(Plugin),
    bind(table, config) {
      const fields = table.fields.map(({ name, dataType, nullable }) => ({ name, type: typeText(dataType), nullable }));
      const key = Array.from(table.key, (position) => fields[position].name);
      try {
        bound = bind(Plugin, new Table(table.database, table.name, fields, key), JSON.parse(config));
        return wireBinding(bound.binding);
      } catch (error) {
        throw failed(error instanceof SchemaError ? "schema" : "config", error);
      }
    },
    process(rows, columns) {
      try {
        const given = columns.map(({ validity, offsets, data }, i) =>
          new Column(bound.binding.table.fields[bound.binding.positions[i]].type, rows, validity ?? null, offsets, data));
        const { columns: made, keep, rejected } = process(bound, { rows, columns: given });
        return {
          columns: made.map(({ validity, offsets, data }) => ({ validity: validity ?? undefined, offsets, data })),
          keep: keep ? packBits(keep) : undefined,
          rejected: rejected ?? [],
        };
      } catch (error) {
        throw failed("data", error);
      }
    },
  };
}

function wireBinding({ positions, output, filters }) {
  const column = ({ field, position, name }) =>
    field
      ? { tag: "computed", val: { name: field.name, dataType: wireType(field.type), nullable: field.nullable } }
      : { tag: "pass", val: [position, name] };
  return { reads: positions, output: output.map(column), filters };
}

function typeText({ tag, val }) {
  if (val === undefined || val === null) return tag;
  return `${tag}(${Array.isArray(val) ? val.join(", ") : val})`;
}

function wireType(text) {
  const { kind, parameters } = parseType(text);
  if (kind.startsWith("decimal")) return { tag: kind, val: parameters.map(Number) };
  if (kind === "timestamp-us") return { tag: kind, val: parameters[0] };
  return kind === "fixed-binary" ? { tag: kind, val: Number(parameters[0]) } : { tag: kind };
}
