// Tidies e-mail addresses: in small letters, without spaces around them, and with their domain in a column of its own.
import { Binding, Reject, RowTransform, SchemaError } from "../sdk/tidemill.js";

export default class extends RowTransform {
  static plugin = {
    name: "{{name}}",
    version: "0.1.0",
    summary: "tidies e-mail addresses, and puts their domain into a column of its own",
  };

  // The settings that a pipe file may give, as JSON Schema has them; the host checks them before it starts.
  static settings = {
    column: { type: "string", description: "the column with the address", default: "email" },
    drop_domains: {
      type: "array",
      items: { type: "string" },
      description: "rows with an address at one of these are left out",
      default: [],
    },
  };

  // Asked once a table: which columns are read, which come out. Columns that aren't named pass by untouched.
  bind(table) {
    const { column, drop_domains: domains } = this.config;
    const address = table.field(column);
    if (address.type !== "utf8") throw new SchemaError(`\`${column}\` is ${address.type}, and an address is text`);
    return new Binding(table, {
      reads: [column],
      changes: [column],
      adds: [{ name: `${column}_domain`, type: "utf8", nullable: true }],
      filters: domains.length > 0,
    });
  }

  // Called once a row, with the columns that are read: gives back the row changed, null to leave it out, or throws Reject.
  row(row) {
    const { column, drop_domains: domains } = this.config;
    if (row[column] === null) return row;
    const address = row[column].trim().toLowerCase();
    const at = address.indexOf("@");
    if (at < 0) throw new Reject("no address: an @ is missing");
    const domain = address.slice(at + 1);
    if (domains.includes(domain)) return null;
    return { [column]: address, [`${column}_domain`]: domain };
  }
}
