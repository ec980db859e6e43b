/** Columns as the contract has them (Arrow's buffers, little-endian) and as JavaScript has them. */

import { asciiText, decodeText, encodeInto } from "./utf8.js";

const NUMBERS = {
  int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
  float32: Float32Array, float64: Float64Array,
};
const STORED = { ...NUMBERS, date32: Int32Array, "time64-us": BigInt64Array, "timestamp-us": BigInt64Array };
const OTHERS = ["boolean", "decimal128", "decimal256", "utf8", "binary", "fixed-binary", "float32-list"];
const RANGES = {
  int8: [-128, 127], int16: [-32768, 32767], int32: [-2147483648, 2147483647],
  uint8: [0, 255], uint16: [0, 65535], uint32: [0, 4294967295],
  int64: [-(2n ** 63n), 2n ** 63n - 1n], uint64: [0n, 2n ** 64n - 1n],
};
const DAY = 86_400_000;
const NOTHING = new Uint8Array(0);

/** Why a value is none of its column's type, in words that don't repeat the value. */
export class Misfit extends Error {}

/** An exact decimal number: `unscaled` (a bigint) divided by ten to the power of `scale`. */
export class Decimal {
  constructor(unscaled, scale) {
    Object.assign(this, { unscaled: BigInt(unscaled), scale });
  }

  /** Out of a text such as `-12.50`. */
  static parse(text) {
    const [, sign, whole, fraction = ""] = /^\s*([+-]?)(\d+)(?:\.(\d*))?\s*$/.exec(text) ?? [];
    if (whole === undefined) throw new Misfit("a text that is no decimal number");
    return new Decimal((sign === "-" ? -1n : 1n) * BigInt(whole + fraction), fraction.length);
  }

  toString() {
    const digits = (this.unscaled < 0n ? -this.unscaled : this.unscaled).toString().padStart(this.scale + 1, "0");
    const whole = digits.slice(0, digits.length - this.scale);
    return (this.unscaled < 0n ? "-" : "") + whole + (this.scale ? `.${digits.slice(-this.scale)}` : "");
  }

  /** The unscaled number at another scale; `Misfit` if that would round. */
  at(scale) {
    if (scale >= this.scale) return this.unscaled * 10n ** BigInt(scale - this.scale);
    const divisor = 10n ** BigInt(this.scale - scale);
    if (this.unscaled % divisor !== 0n) throw new Misfit(`more than ${scale} decimal places`);
    return this.unscaled / divisor;
  }
}

/** The Date of microseconds since 1970, in its milliseconds. */
export const toDate = (microseconds) => new Date(Number(microseconds / 1000n - (microseconds % 1000n < 0n ? 1n : 0n)));
/** Microseconds since 1970 of a Date. */
export const fromDate = (date) => BigInt(date.getTime()) * 1000n;

/** A type's kind and parameters: `decimal128(10, 2)` is `{ kind: "decimal128", parameters: ["10", "2"] }`. */
export function parseType(text) {
  const [, kind, list] = /^([a-z0-9-]+)(?:\(([^()]*)\))?$/.exec(text) ?? [];
  if (!(kind in STORED) && !OTHERS.includes(kind)) throw new Misfit(`\`${text}\` is no type of the contract`);
  return { kind, parameters: list === undefined ? [] : list.split(",").map((parameter) => parameter.trim()) };
}

/** Whether the bit of this number is set. */
export const bit = (bytes, number) => (bytes[number >> 3] >> (number & 7)) & 1;

/** A bitmap of these truths, least significant bit first. */
export function packBits(flags) {
  const bytes = new Uint8Array((flags.length + 7) >> 3);
  for (let i = 0; i < flags.length; i++) if (flags[i]) bytes[i >> 3] |= 1 << (i & 7);
  return bytes;
}

/** One Arrow array. `validity` is a bitmap or null (no NULLs), `offsets` has rows + 1 numbers of 4 bytes for text, bytes and lists. */
export class Column {
  constructor(type, rows, validity, offsets, data) {
    Object.assign(this, { type, rows, validity, offsets, data });
  }

  /** A column of JavaScript's values; `Misfit` if one doesn't fit the type. */
  static of(type, values, nullable = true) {
    const { column, bad } = Column.build(type, values, nullable, null);
    if (bad.length) throw new Misfit(`row ${bad[0].row}: ${bad[0].reason}`);
    return column;
  }

  /** The same, with the rows that don't fit as `{ row, reason }`; their cells, and those of `unused` rows, are NULL or empty. */
  static build(type, values, nullable, unused) {
    const { kind, parameters } = parseType(type);
    const rows = values.length;
    const valid = new Uint8Array(rows).fill(1);
    const bad = [];
    const writer = writerOf(kind, parameters, rows);
    for (let row = 0; row < rows; row++) {
      const value = values[row] ?? null;
      try {
        if (unused?.[row] || value === null) {
          if (!nullable && !unused?.[row]) throw new Misfit("NULL where none is allowed");
          valid[row] = 0;
          writer.empty(row);
        } else {
          writer.write(row, value);
        }
      } catch (error) {
        if (!(error instanceof Misfit || error instanceof TypeError || error instanceof RangeError)) throw error;
        bad.push({ row, reason: error instanceof Misfit ? error.message : `a value that is no ${type}` });
        valid[row] = 0;
        writer.empty(row);
      }
    }
    const { offsets, data } = writer.finish();
    const validity = nullable && valid.includes(0) ? packBits(valid) : null;
    return { column: new Column(type, rows, validity, offsets, data), bad };
  }

  /** The numbers in memory, NULLs included, without a copy where they are aligned: days for date32, microseconds for times. */
  values() {
    return typed(STORED[parseType(this.type).kind], this.data);
  }

  /** JavaScript's values, null for NULL. */
  toArray() {
    const read = readerOf(this);
    const values = new Array(this.rows);
    for (let row = 0; row < this.rows; row++) values[row] = this.validity && !bit(this.validity, row) ? null : read(row);
    return values;
  }
}

function typed(Kind, bytes) {
  const aligned = bytes.byteOffset % Kind.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new Kind(aligned.buffer, aligned.byteOffset, aligned.byteLength / Kind.BYTES_PER_ELEMENT);
}

/** A function from a row to its value. */
function readerOf({ type, offsets, data }) {
  const { kind, parameters } = parseType(type);
  if (kind === "boolean") return (row) => bit(data, row) === 1;
  if (kind === "date32") {
    const days = typed(Int32Array, data);
    return (row) => new Date(days[row] * DAY);
  }
  if (kind in STORED) {
    const values = typed(STORED[kind], data);
    return (row) => values[row];
  }
  if (kind.startsWith("decimal")) {
    const words = typed(BigUint64Array, data);
    const [width, scale] = [kind === "decimal128" ? 2 : 4, Number(parameters[1])];
    return (row) => new Decimal(wide(words, row * width, width), scale);
  }
  if (kind === "fixed-binary") {
    const width = Number(parameters[0]);
    return (row) => data.slice(row * width, (row + 1) * width);
  }
  const bounds = typed(Int32Array, offsets);
  if (kind === "utf8") {
    const text = asciiText(data);
    if (text !== null) return (row) => text.slice(bounds[row], bounds[row + 1]);
    return (row) => decodeText(data, bounds[row], bounds[row + 1]);
  }
  if (kind === "binary") return (row) => data.slice(bounds[row], bounds[row + 1]);
  const floats = typed(Float32Array, data);
  return (row) => floats.slice(bounds[row], bounds[row + 1]);
}

/** A signed number of several words of 64 bits, the least significant first. */
function wide(words, at, width) {
  let value = 0n;
  for (let i = width - 1; i >= 0; i--) value = (value << 64n) | words[at + i];
  return BigInt.asIntN(width * 64, value);
}

/** What takes values row by row: `write(row, value)`, `empty(row)`, `finish()`. */
function writerOf(kind, parameters, rows) {
  if (kind === "boolean") return flags(rows);
  if (kind.startsWith("decimal")) return decimals(kind === "decimal128" ? 2 : 4, parameters.map(Number), rows);
  if (kind in STORED) return numbers(kind, rows);
  if (kind === "fixed-binary") return fixed(Number(parameters[0]), rows);
  return parts(kind, rows);
}

function flags(rows) {
  const values = new Array(rows).fill(false);
  const write = (row, value) => {
    if (typeof value !== "boolean") throw new Misfit(`a ${typeof value} where a boolean is expected`);
    values[row] = value;
  };
  return { write, empty() {}, finish: () => ({ offsets: NOTHING, data: packBits(values) }) };
}

function numbers(kind, rows) {
  const values = new STORED[kind](rows);
  const big = values instanceof BigInt64Array || values instanceof BigUint64Array;
  const [least, most] = RANGES[kind] ?? (big ? RANGES.int64 : [-Infinity, Infinity]);
  const whole = kind in RANGES;
  const write = (row, value) => {
    if (kind === "date32") {
      if (!(value instanceof Date) || Number.isNaN(value.getTime())) throw new Misfit("no Date");
      values[row] = Math.floor(value.getTime() / DAY);
      return;
    }
    if (big && typeof value === "number" && Number.isSafeInteger(value)) value = BigInt(value);
    if (typeof value !== (big ? "bigint" : "number")) throw new Misfit(`a ${typeof value} where a ${big ? "bigint" : "number"} is expected`);
    if (whole && !big && !Number.isInteger(value)) throw new Misfit("a number that is not whole");
    if (value < least || value > most || (kind === "float32" && !isFloat32(value))) throw new Misfit(`a number beyond ${kind}`);
    values[row] = value;
  };
  return { write, empty() {}, finish: () => ({ offsets: NOTHING, data: new Uint8Array(values.buffer) }) };
}

function decimals(width, [precision, scale], rows) {
  const words = new BigUint64Array(rows * width);
  const limit = 10n ** BigInt(precision);
  const write = (row, value) => {
    if (typeof value === "number") throw new Misfit("a number where a Decimal is expected: it would not be exact");
    const decimal = value instanceof Decimal ? value : typeof value === "bigint" ? new Decimal(value, 0) : Decimal.parse(value);
    const unscaled = decimal.at(scale);
    if (unscaled >= limit || unscaled <= -limit) throw new Misfit(`more than ${precision} digits`);
    for (let i = 0; i < width; i++) words[row * width + i] = BigInt.asUintN(64, unscaled >> BigInt(64 * i));
  };
  return { write, empty() {}, finish: () => ({ offsets: NOTHING, data: new Uint8Array(words.buffer) }) };
}

function fixed(width, rows) {
  const data = new Uint8Array(rows * width);
  const write = (row, value) => {
    if (!(value instanceof Uint8Array) || value.length !== width) throw new Misfit(`not ${width} bytes`);
    data.set(value, row * width);
  };
  return { write, empty() {}, finish: () => ({ offsets: NOTHING, data }) };
}

function parts(kind, rows) {
  const offsets = new Int32Array(rows + 1);
  let data = new Uint8Array(rows * 16);
  const room = (end) => {
    if (end <= data.length) return;
    const wider = new Uint8Array(Math.max(end, data.length * 2));
    wider.set(data);
    data = wider;
  };
  const text = (start, value) => {
    room(start + value.length * 3);
    return encodeInto(value, data, start);
  };
  const bytes = (start, value) => {
    room(start + value.length);
    data.set(value, start);
    return start + value.length;
  };
  const write = (row, value) => {
    const start = offsets[row];
    if (kind === "utf8" && typeof value === "string") offsets[row + 1] = text(start, value);
    else if (kind === "binary" && value instanceof Uint8Array) offsets[row + 1] = bytes(start, value);
    else if (kind === "float32-list") offsets[row + 1] = bytes(start, new Uint8Array(Float32Array.from(value, listed).buffer));
    else throw new Misfit(`a ${typeof value} that is no ${kind}`);
  };
  const finish = () => {
    const end = offsets[rows];
    // A list's offsets count its values.
    if (kind === "float32-list") for (let i = 0; i <= rows; i++) offsets[i] /= 4;
    return { offsets: new Uint8Array(offsets.buffer), data: data.slice(0, end) };
  };
  return { write, empty: (row) => { offsets[row + 1] = offsets[row]; }, finish };
}

function listed(value) {
  if (typeof value !== "number") throw new Misfit("a list of something else than numbers");
  if (!isFloat32(value)) throw new Misfit("a number beyond float32");
  return value;
}

/** Whether a number is as finite in a float32 as it is here. */
const isFloat32 = (value) => Number.isFinite(Math.fround(value)) === Number.isFinite(value);
