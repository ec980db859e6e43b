"""Write a Tidemill transform in Python: one class, built by `tidemill plugin build`.

    import tidemill
    from dataclasses import dataclass
    from typing import Annotated

    class Plugin(tidemill.RowTransform):
        name, version, summary = "shout", "0.1.0", "writes a column in capitals"

        @dataclass
        class Config:
            column: Annotated[str, "the column"]

        def bind(self, table):
            return tidemill.Binding(table, reads=[self.config.column], changes=[self.config.column])

        def row(self, row):
            if row[self.config.column] is not None:
                row[self.config.column] = row[self.config.column].upper()
            return row

`bind` is asked once a table, `row` once a row. Who wants speed derives from `Transform` instead and is given whole columns as Arrow has them.
The same batch must give the same answer, always: no clock, no random numbers, nothing remembered from batch to batch.

| type | in Python |
| --- | --- |
| boolean; int8 to int64, uint8 to uint64; float32, float64 | bool; int; float |
| decimal128(precision, scale), decimal256(precision, scale) | decimal.Decimal |
| date32 | datetime.date |
| time64-us: MySQL's TIME, -838:59:59 to 838:59:59 | datetime.timedelta |
| timestamp-us: a wall clock; timestamp-us(UTC): an instant | datetime.datetime: naive; aware, in UTC |
| utf8; binary, fixed-binary(bytes); float32-list | str; bytes; list of float |

NULL is None. Only the standard library is used.
"""

import sys
from dataclasses import dataclass, field as _field
from typing import Optional

from . import config as _config
from .columns import Column, Field

__all__ = ["Batch", "Binding", "Column", "ConfigError", "DataError", "Field", "Output", "Reject", "RowTransform", "SchemaError", "Table",
           "Transform", "log", "run"]


class Reject(Exception):
    """Raised by `row`: this row can't be transformed. The reason is logged, so it must not repeat values of the row."""


class ConfigError(Exception):
    """Raised by `bind`: the configuration can't be used, and why."""


class SchemaError(Exception):
    """Raised by `bind`: the table doesn't fit, and why."""


class DataError(Exception):
    """Raised by `process`: the whole batch can't be transformed, and why (without values of rows)."""


@dataclass
class Table:
    """A table of the source, as `bind` is shown it. `key` has the names of the primary key's columns."""
    database: str
    name: str
    fields: list
    key: list = _field(default_factory=list)

    def field(self, name):
        """The column of this name; `SchemaError` if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise SchemaError(f"{self.database}.{self.name} has no column `{name}`; it has {', '.join(f.name for f in self.fields)}")


@dataclass
class Binding:
    """What a plugin does with a table. All columns that aren't named here pass by: they never enter the plugin.

    reads    names of columns that are given to the plugin
    changes  names of columns that it gives back under the same name and type
    adds     new columns: a list of `Field`; a field with the name of a column takes its place
    drops    names of columns that aren't in the output
    renames  {old name: new name} of columns that pass by
    filters  whether rows may be left out
    """
    table: Table
    reads: list = _field(default_factory=list)
    changes: list = _field(default_factory=list)
    adds: list = _field(default_factory=list)
    drops: list = _field(default_factory=list)
    renames: dict = _field(default_factory=dict)
    filters: bool = False

    def __post_init__(self):
        for name in [*self.reads, *self.changes, *self.drops, *self.renames]:
            self.table.field(name)
        replaced = {field.name: field for field in self.adds}
        replaced.update((name, self.table.field(name)) for name in self.changes if name not in replaced)
        self.output = []
        for position, field in enumerate(self.table.fields):
            if field.name in replaced:
                self.output.append(replaced.pop(field.name))
            elif field.name not in self.drops:
                self.output.append((position, self.renames.get(field.name)))
        self.output.extend(replaced.values())
        self.computed = [column for column in self.output if isinstance(column, Field)]
        self.positions = [[field.name for field in self.table.fields].index(name) for name in self.reads]
        self.read_fields = [self.table.fields[position] for position in self.positions]


@dataclass
class Batch:
    """Rows, at most 65,536: the columns that the binding reads, in its order."""
    rows: int
    columns: list


@dataclass
class Output:
    """What became of a batch: the computed columns in the binding's output order, for each row whether it stays (None: all do), and rejected rows
    as pairs of number and reason."""
    columns: list
    keep: Optional[list] = None
    rejected: list = _field(default_factory=list)


class Transform:
    """A transform of whole columns. `self.config` holds the configuration, `self.binding` what `bind` answered."""
    name = "unnamed"
    version = "0.1.0"
    summary = ""

    @dataclass
    class Config:
        """The settings, as a dataclass. Types and `Annotated` descriptions become the JSON Schema that the host checks a pipe file against."""

    def bind(self, table):
        """Answers with a `Binding`."""
        raise NotImplementedError

    def process(self, batch):
        """Takes a `Batch`, answers with an `Output`."""
        raise NotImplementedError


class RowTransform(Transform):
    """A transform of one row at a time: a dict of the columns that it reads. `row` gives back a dict with the columns that it writes (a changed column
    that is missing stays as it was, an added one becomes NULL), or None to leave the row out, or raises `Reject`."""

    def row(self, row):
        raise NotImplementedError

    def process(self, batch):
        names = self.binding.reads
        given = [column.to_list() for column in batch.columns]
        written = [(field.name, []) for field in self.binding.computed]
        known = {*names, *(name for name, _ in written)}
        only_read = [(name, values) for name, values in zip(names, given) if all(name != other for other, _ in written)]
        keep, rejected = bytearray(b"\1") * batch.rows, []
        for number, cells in enumerate(zip(*given) if given else [()] * batch.rows):
            old = dict(zip(names, cells))
            try:
                new = self.row(dict(old))
            except Reject as reason:
                rejected.append((number, str(reason)))
                new = old
            if new is None:
                keep[number] = 0
                new = old
            elif not isinstance(new, dict):
                raise DataError(f"`row` gave back a {type(new).__name__}, where a dict is expected, or None")
            elif not new.keys() <= known:
                raise DataError(f"`row` gave back `{min(new.keys() - known)}`, which `bind` doesn't name in `changes` or `adds`")
            else:
                for name, values in only_read:
                    if name in new and new[name] is not values[number] and new[name] != values[number]:
                        raise DataError(f"`row` changed `{name}`, which `bind` names in `reads` and not in `changes`")
            for name, values in written:
                values.append(new[name] if name in new else old.get(name))
        if 0 in keep and not self.binding.filters:
            raise DataError("`row` left a row out, and `bind` doesn't say `filters=True`")
        out = {number for number, _ in rejected}
        made = []
        for field, (_, values) in zip(self.binding.computed, written):
            # The cells of a row that isn't in the output are nobody's, and may be anything: also NULL where none is allowed.
            unused = [number for number in range(batch.rows) if not keep[number] or number in out] if (out or 0 in keep) else []
            for number in unused:
                values[number] = None
            column, bad = Column.from_list(field.type, values, nullable=field.nullable, unused=unused)
            rejected.extend((number, f"`{field.name}`: {reason}") for number, reason in bad if number not in out)
            out.update(number for number, _ in bad)
            made.append(column)
        for number in out:
            keep[number] = 1
        return Output(made, list(keep) if 0 in keep else None, sorted(rejected))


def describe(plugin):
    """What the plugin says of itself: a dict of name, version, summary and the configuration's JSON Schema."""
    return {"name": plugin.name, "version": plugin.version, "summary": plugin.summary, "config_schema": _config.schema(plugin.Config)}


def bind(plugin, table, config):
    """The plugin, bound to a table with a configuration (a dict)."""
    bound = plugin()
    try:
        bound.config = _config.load(plugin.Config, config)
    except ValueError as cause:
        raise ConfigError(str(cause)) from None
    bound.binding = _told(SchemaError, bound.bind, table)
    return bound


def process(bound, batch):
    """What `bound.process` makes of a batch."""
    return _told(DataError, bound.process, batch)


def _told(kind, call, argument):
    """Calls; a mistake of the plugin's is told by its kind and its author's line, since an exception's own text may hold values of rows."""
    try:
        return call(argument)
    except (Reject, ConfigError, SchemaError, DataError):
        raise
    except Exception as mistake:
        places = list(_places(mistake.__traceback__))
        place = next((place for place in reversed(places) if _is_author_s(place)), places[-1])
        file = place.tb_frame.f_code.co_filename.rpartition("/")[2]
        raise kind(f"{type(mistake).__name__} in {file}, line {place.tb_lineno}") from mistake


def _places(trace):
    """From the outermost call to the innermost. Not by `traceback`, which would look for the source's file: there are no files."""
    while trace:
        yield trace
        trace = trace.tb_next


def _is_author_s(place):
    module = place.tb_frame.f_globals.get("__name__", "").partition(".")[0]
    return module != __name__ and module not in sys.stdlib_module_names


def run(plugin, fields, rows, config=None, key=(), table="test.rows"):
    """Runs a plugin natively, for tests: its rows (dicts) in, `(rows, rejected)` out, as the host would do it.

    >>> class Twice(RowTransform):
    ...     name = "twice"
    ...     def bind(self, table):
    ...         return Binding(table, reads=["n"], changes=["n"])
    ...     def row(self, row):
    ...         return {"n": row["n"] * 2}
    >>> run(Twice, [Field("id", "int64"), Field("n", "int32")], [{"id": 1, "n": 4}])
    ([{'id': 1, 'n': 8}], [])
    """
    database, _, name = table.rpartition(".")
    bound = bind(plugin, Table(database, name, list(fields), list(key)), config or {})
    binding = bound.binding
    given = [Column.of(field.type, [row.get(field.name) for row in rows]) for field in binding.read_fields]
    output = process(bound, Batch(len(rows), given))
    computed = iter([column.to_list() for column in output.columns])
    whole = []
    for column in binding.output:
        if isinstance(column, Field):
            whole.append((column.name, next(computed)))
        else:
            field = binding.table.fields[column[0]]
            whole.append((column[1] or field.name, [row.get(field.name) for row in rows]))
    out = {number for number, _ in output.rejected}
    stays = [number for number in range(len(rows)) if number not in out and (output.keep is None or output.keep[number])]
    return [{name: values[number] for name, values in whole} for number in stays], output.rejected


def log(level, message):
    """Writes to the host's log: "debug", "info", "warn" or "error". Never log values of rows."""
    _sink(level, message)


def _to_stderr(level, message):
    print(f"{level}: {message}", file=sys.stderr)


# Where `log` writes. In a component it is the host's log.
_sink = _to_stderr
