"""Between the contract's types, as componentize-py makes them, and the helper's. Imported in a component only."""

import json
import sys

from componentize_py_types import Err
from wit_world.exports import transform as wit
from wit_world.imports import log as host, types

import tidemill as sdk
from . import columns

_KINDS = ["boolean", *columns.NUMBERS, "decimal128", "decimal256", "date32", "time64-us", "timestamp-us", "utf8", "binary", "fixed-binary",
          "float32-list"]
_WIRE = {kind: "".join(part.capitalize() for part in kind.split("-")) for kind in _KINDS}
_NAMES = {wire: kind for kind, wire in _WIRE.items()}


def _type_text(wire):
    name = _NAMES[type(wire).__name__.partition("_")[2]]
    value = getattr(wire, "value", None)
    if value is None:
        return name
    return f"{name}({', '.join(map(str, value)) if isinstance(value, tuple) else value})"


def _wire_type(text):
    kind, arguments = columns.parse_type(text)
    make = getattr(types, f"DataType_{_WIRE[kind]}")
    if kind in ("decimal128", "decimal256"):
        return make(tuple(arguments))
    if kind == "timestamp-us":
        return make(arguments[0] if arguments else None)
    return make(*arguments)


def _field(field):
    return types.Field(field.name, _wire_type(field.type), field.nullable)


def _to_host(level, message):
    host.log(host.Level[level.upper()], message)


def _close_standard_streams():
    """A component has none, and to write to one would be a crash. What is printed goes nowhere, since it may hold values of rows; that is said once."""
    said = False

    def write(text):
        nonlocal said
        if not said:
            said = True
            sdk.log("debug", "what is printed is not shown: write it with `tidemill.log`")
        return len(text)

    for stream in (sys.stdout, sys.stderr):
        # What was printed while the component is built is shown there. The objects stay the same: somebody may hold them.
        stream.flush()
        stream.write, stream.flush = write, lambda: None


def make(plugin):
    """The class that is exported."""
    sdk._sink = _to_host
    _close_standard_streams()

    # Each call has an object of its own.
    state = {}

    class Transform:
        def describe(self):
            told = sdk.describe(plugin)
            return wit.Description(told["name"], told["version"], told["summary"], json.dumps(told["config_schema"]))

        def bind(self, table, config):
            fields = [sdk.Field(field.name, _type_text(field.data_type), field.nullable) for field in table.fields]
            shown = sdk.Table(table.database, table.name, fields, [fields[position].name for position in table.key])
            try:
                state["bound"] = sdk.bind(plugin, shown, json.loads(config))
            except sdk.ConfigError as reason:
                raise Err(wit.Error_Config(str(reason)))
            except sdk.SchemaError as reason:
                raise Err(wit.Error_Schema(str(reason)))
            binding = state["bound"].binding
            output = [wit.OutColumn_Computed(_field(column)) if isinstance(column, sdk.Field) else wit.OutColumn_Pass(column)
                      for column in binding.output]
            return wit.Binding(binding.positions, output, binding.filters)

        def process(self, rows, given):
            bound = state["bound"]
            fields = bound.binding.read_fields
            batch = sdk.Batch(rows, [sdk.Column(field.type, rows, column.validity, column.offsets, column.data)
                                     for field, column in zip(fields, given)])
            try:
                output = sdk.process(bound, batch)
            except (sdk.DataError, sdk.Reject) as reason:
                raise Err(wit.Error_Data(str(reason)))
            made = [types.Column(column.validity, bytes(column.offsets), bytes(column.data)) for column in output.columns]
            keep = None if output.keep is None else columns.pack_bits(output.keep)
            return wit.Output(made, keep, [wit.Rejection(row, reason) for row, reason in output.rejected])

    return Transform
