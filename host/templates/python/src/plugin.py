"""Tidies e-mail addresses: in small letters, without spaces around them, and with their domain in a column of its own."""

from dataclasses import dataclass, field
from typing import Annotated

import tidemill


class Plugin(tidemill.RowTransform):
    name, version = "{{name}}", "0.1.0"
    summary = "tidies e-mail addresses, and puts their domain into a column of its own"

    # The settings that a pipe file may give; the host checks them before it starts.
    @dataclass
    class Config:
        column: Annotated[str, "the column with the address"] = "email"
        drop_domains: Annotated[list[str], "rows with an address at one of these are left out"] = field(default_factory=list)

    # Asked once a table: which columns are read, which come out. Columns that aren't named pass by untouched.
    def bind(self, table):
        column = self.config.column
        address = table.field(column)
        if address.type != "utf8":
            raise tidemill.SchemaError(f"`{column}` is {address.type}, and an address is text")
        return tidemill.Binding(
            table,
            reads=[column],
            changes=[column],
            adds=[tidemill.Field(f"{column}_domain", "utf8", nullable=True)],
            filters=bool(self.config.drop_domains),
        )

    # Called once a row, with the columns that are read: gives back the row changed, None to leave it out, or raises Reject.
    def row(self, row):
        address = row[self.config.column]
        if address is None:
            return row
        address = address.strip().lower()
        name, at, domain = address.partition("@")
        if not at:
            raise tidemill.Reject("no address: an @ is missing")
        if domain in self.config.drop_domains:
            return None
        return {self.config.column: address, f"{self.config.column}_domain": domain}
