// Tidies e-mail addresses: in small letters, without spaces around them, and with their domain in a column of its own.
import { Binding, Reject, RowTransform, SchemaError, Table, type Row, type Written } from "../sdk/tidemill.js";

interface Config {
  column: string;
  drop_domains: string[];
}

export default class extends RowTransform<Config> {
  static override plugin = {
    name: "{{name}}",
    version: "0.1.0",
    summary: "tidies e-mail addresses, and puts their domain into a column of its own",
  };

  // The settings that a pipe file may give, as JSON Schema has them; the host checks them before it starts.
  static override settings = {
    column: { type: "string", description: "the column with the address", default: "email" },
    drop_domains: {
      type: "array",
      items: { type: "string" },
      description: "rows with an address at one of these are left out",
      default: [],
    },
  };

  // Asked once a table: which columns are read, which come out. Columns that aren't named pass by untouched.
  override bind(table: Table): Binding {
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
  override row(row: Row): Written | null {
    const { column, drop_domains: domains } = this.config;
    const given = row[column] as string | null;
    if (given === null) return row;
    const address = given.trim().toLowerCase();
    const at = address.indexOf("@");
    if (at < 0) throw new Reject("no address: an @ is missing");
    const domain = address.slice(at + 1);
    if (domains.includes(domain)) return null;
    return { [column]: address, [`${column}_domain`]: domain };
  }
}
