/** Types of `tidemill.js`, where each thing is described. */

/** A column: its type in the contract's words (`"int64"`, `"decimal128(10, 2)"`); NULL is allowed unless `nullable` is false. */
export interface Field {
  name: string;
  type: string;
  nullable?: boolean;
}

/** A value of a row. */
export type Value = null | boolean | number | bigint | string | Decimal | Date | Uint8Array | Float32Array;
export type Row = Record<string, Value>;
/** What a row may be given back with. */
export type Written = Record<string, Value | number[] | undefined>;

export class Reject extends Error {}
export class ConfigError extends Error {}
export class SchemaError extends Error {}
export class DataError extends Error {}

export class Table {
  constructor(database: string, name: string, fields: Field[], key?: string[]);
  readonly database: string;
  readonly name: string;
  readonly fields: Field[];
  readonly key: string[];
  field(name: string): Field;
}

export interface BindingParts {
  reads?: string[];
  changes?: string[];
  adds?: Field[];
  drops?: string[];
  renames?: Record<string, string>;
  filters?: boolean;
}

export class Binding {
  constructor(table: Table, parts?: BindingParts);
  readonly table: Table;
  readonly reads: string[];
  readonly filters: boolean;
  readonly computed: Field[];
}

export class Decimal {
  constructor(unscaled: bigint | number, scale: number);
  static parse(text: string): Decimal;
  readonly unscaled: bigint;
  readonly scale: number;
  at(scale: number): bigint;
  toString(): string;
}

export function toDate(microseconds: bigint): Date;
export function fromDate(date: Date): bigint;

type TypedArray = Int8Array | Int16Array | Int32Array | BigInt64Array | Uint8Array | Uint16Array | Uint32Array | BigUint64Array | Float32Array | Float64Array;

export class Column {
  constructor(type: string, rows: number, validity: Uint8Array | null, offsets: Uint8Array, data: Uint8Array);
  static of(type: string, values: readonly (Value | number[])[], nullable?: boolean): Column;
  readonly type: string;
  readonly rows: number;
  readonly validity: Uint8Array | null;
  readonly offsets: Uint8Array;
  readonly data: Uint8Array;
  values(): TypedArray;
  toArray(): Value[];
}

export interface Batch {
  rows: number;
  columns: Column[];
}

export interface Output {
  columns: Column[];
  keep?: boolean[] | null;
  rejected?: { row: number; reason: string }[];
}

export interface Plugin {
  name: string;
  version: string;
  summary: string;
}

/** `Config` is the type of the settings. */
export class Transform<Config = Record<string, any>> {
  static plugin: Plugin;
  static settings: Record<string, object>;
  config: Config;
  binding: Binding;
  bind(table: Table): Binding;
  process(batch: Batch): Output;
}

export class RowTransform<Config = Record<string, any>> extends Transform<Config> {
  row(row: Row): Written | null;
}

export type PluginClass = { new (): Transform<any>; plugin: Plugin; settings: Record<string, object> };

export function run(Plugin: PluginClass, fields: Field[], rows: Row[], config?: object, key?: string[]): { rows: Row[]; rejected: { row: number; reason: string }[] };
export function log(level: "debug" | "info" | "warn" | "error", message: string): void;
