"""python -m unittest discover -s plugins/sdk-python/tests"""

import contextlib
import datetime as dt
import doctest
import io
import json
import pathlib
import sys
import textwrap
import unittest
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Literal, Optional

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import tidemill
from tidemill import Binding, Column, Field, log
from tidemill.columns import pack_bits, unpack_bits

UTC = dt.timezone.utc
VALUES = {
    "boolean": [True, False],
    "int8": [-128, 127], "int16": [-2**15], "int32": [-2**31, 2**31 - 1], "int64": [-2**63, 2**63 - 1],
    "uint8": [255], "uint16": [65535], "uint32": [2**32 - 1], "uint64": [2**64 - 1],
    "float32": [0.5, float("inf"), -float("inf"), 3.4028234663852886e38], "float64": [0.1, -0.0],
    "decimal128(38, 10)": [Decimal("-1234567890123456789012345678.0123456789"), Decimal("0E-10")],
    "decimal256(65, 30)": [Decimal("12345678901234567890123456789012345.012345678901234567890123456789")],
    "date32": [dt.date(1, 1, 1), dt.date(9999, 12, 31)],
    "time64-us": [-dt.timedelta(hours=838, minutes=59, seconds=59), dt.timedelta(microseconds=1)],
    "timestamp-us": [dt.datetime(1000, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)],
    "timestamp-us(UTC)": [dt.datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC)],
    "utf8": ["", "Zoë", "日本"], "binary": [b"", b"\xff\0"], "fixed-binary(2)": [b"ab"], "float32-list": [[], [0.5, 2.0, float("inf")]],
}


class Columns(unittest.TestCase):
    def test_every_type_comes_back_as_it_was(self):
        for kind, some in VALUES.items():
            for values in (some, [None, *some, None], [None] * 9, []):
                with self.subTest(kind, values=values):
                    self.assertEqual(Column.of(kind, values).to_list(), values)

    def test_bits_begin_with_the_least_significant(self):
        self.assertEqual(pack_bits([True, False, True] + [False] * 6 + [True]), b"\x05\x02")
        self.assertEqual(unpack_bits(b"\x05\xfe", 10), "1010000001"[:9] + "1")

    def test_a_value_that_does_not_fit_names_its_row_and_not_itself(self):
        for kind, value in [("int8", 128), ("int64", "7"), ("int64", True), ("utf8", 7), ("boolean", 1), ("decimal128(4, 2)", Decimal("1.234")),
                            ("decimal128(4, 2)", Decimal("100")), ("decimal128(4, 2)", 0.5), ("date32", dt.datetime(2026, 1, 1)),
                            ("timestamp-us", dt.datetime(2026, 1, 1, tzinfo=UTC)), ("fixed-binary(2)", b"abc"), ("float32-list", ["x"]),
                            ("float32", 1e300), ("float32", -1e39), ("float32", 10**300), ("float32-list", [0.5, 1e300])]:
            with self.subTest(kind):
                column, bad = Column.from_list(kind, [None, value])
                self.assertEqual([row for row, _ in bad], [1])
                self.assertNotIn(str(value), bad[0][1].replace(kind, ""))
                self.assertEqual(column.to_list(), [None, None])

    def test_numbers_are_read_where_they_are(self):
        self.assertEqual(list(Column.of("date32", [dt.date(1970, 1, 3)]).values()), [2])


class Domain(tidemill.RowTransform):
    name, version, summary = "domain", "1.0.0", "the domain of an address"

    @dataclass
    class Config:
        column: Annotated[str, "the address"] = "email"
        drop: list[str] = field(default_factory=list)

    def bind(self, table):
        return Binding(table, reads=[self.config.column], adds=[Field("domain", "utf8")], filters=bool(self.config.drop))

    def row(self, row):
        address = row[self.config.column]
        if address is None:
            return row
        if "@" not in address:
            raise tidemill.Reject("no address")
        row["domain"] = address.partition("@")[2]
        return None if row["domain"] in self.config.drop else row


FIELDS = [Field("id", "int64", False), Field("email", "utf8")]


class Rows(unittest.TestCase):
    def test_rows_are_changed_left_out_and_rejected(self):
        rows = [{"id": 1, "email": "a@x"}, {"id": 2, "email": None}, {"id": 3, "email": "b"}, {"id": 4, "email": "c@y"}]
        kept, rejected = tidemill.run(Domain, FIELDS, rows, {"drop": ["y"]}, key=["id"])
        self.assertEqual(kept, [{"id": 1, "email": "a@x", "domain": "x"}, {"id": 2, "email": None, "domain": None}])
        self.assertEqual(rejected, [(2, "no address")])

    def test_mistakes_of_the_author_are_told(self):
        def plugin(row, **binding):
            class Plugin(tidemill.RowTransform):
                def bind(self, table):
                    return Binding(table, reads=["email"], **binding)
            Plugin.row = lambda self, given: row(given)
            return Plugin
        for made, words in [
            (plugin(lambda row: None), "filters=True"),
            (plugin(lambda row: {"eMail": "x"}), "`eMail`"),
            (plugin(lambda row: {"email": "x"}), "not in `changes`"),
            (plugin(lambda row: True), "gave back a bool"),
            (plugin(lambda row: row["secret-key"]), "KeyError in test_tidemill.py, line"),
            (plugin(lambda row: json.loads("{secret-key")), "JSONDecodeError in test_tidemill.py, line"),
            (plugin(lambda row: Column.of("utf8", [7])), "ValueError in test_tidemill.py, line"),
        ]:
            with self.assertRaisesRegex(tidemill.DataError, words) as raised:
                tidemill.run(made, FIELDS, [{"id": 1, "email": "who@x"}])
            self.assertNotIn("secret-key", str(raised.exception))
            self.assertNotIn("who@x", str(raised.exception))

    def test_a_mistake_in_bind_is_told_with_the_author_s_line(self):
        class Plugin(tidemill.RowTransform):
            def bind(self, table):
                return Binding(table, adds=["email_domain"])
        line = Plugin.bind.__code__.co_firstlineno + 1
        with self.assertRaisesRegex(tidemill.SchemaError, f"AttributeError in test_tidemill.py, line {line}$"):
            tidemill.run(Plugin, FIELDS, [])

    def test_a_result_of_another_type_is_rejected_with_its_column(self):
        class Plugin(tidemill.RowTransform):
            def bind(self, table):
                return Binding(table, reads=["id"], changes=["id"])

            def row(self, row):
                return {"id": None} if row["id"] == 1 else {"id": "x"} if row["id"] == 2 else row
        kept, rejected = tidemill.run(Plugin, FIELDS, [{"id": number} for number in (1, 2, 3)])
        self.assertEqual(kept, [{"id": 3, "email": None}])
        self.assertEqual(rejected, [(0, "`id`: NULL where none is allowed"), (1, "`id`: a str that is no int64")])

    def test_whole_columns(self):
        class Twice(tidemill.Transform):
            def bind(self, table):
                return Binding(table, reads=["id"], changes=["id"], renames={"email": "mail"})

            def process(self, batch):
                return tidemill.Output([Column.of("int64", [value * 2 for value in batch.columns[0].values()], nullable=False)],
                                       keep=[value != 3 for value in batch.columns[0].values()])
        kept, _ = tidemill.run(Twice, FIELDS, [{"id": 2, "email": "a"}, {"id": 3, "email": "b"}])
        self.assertEqual(kept, [{"id": 4, "mail": "a"}])


class Settings(unittest.TestCase):
    def test_a_dataclass_becomes_a_schema(self):
        @dataclass
        class Inner:
            width: int

        @dataclass
        class Config:
            mode: Literal["a", "b"]
            inner: Inner
            names: dict[str, str] = field(default_factory=dict)
            size: Optional[float] = None
        Domain.Config, before = Config, Domain.Config
        try:
            told = tidemill.describe(Domain)
        finally:
            Domain.Config = before
        schema = told["config_schema"]
        self.assertEqual(schema["required"], ["mode", "inner"])
        self.assertEqual(schema["properties"]["inner"]["properties"], {"width": {"type": "integer"}})
        self.assertEqual(schema["properties"]["size"], {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None})
        json.dumps(schema)
        loaded = tidemill._config.load(Config, {"mode": "a", "inner": {"width": 3}, "size": 2})
        self.assertEqual((loaded.inner.width, loaded.size), (3, 2.0))
        for wrong in [{"mode": "c", "inner": {"width": 3}}, {"mode": "a"}, {"mode": "a", "inner": {"width": True}}, {"other": 1}]:
            with self.assertRaises(ValueError):
                tidemill._config.load(Config, wrong)

    def test_a_column_that_is_not_there_is_named(self):
        with self.assertRaisesRegex(tidemill.SchemaError, "no column `mail`; it has id, email"):
            tidemill.run(Domain, FIELDS, [], {"column": "mail"})


class Helper(unittest.TestCase):
    def test_the_first_example_works_as_it_is(self):
        example = tidemill.__doc__.split("\n\n", 1)[1].split("\n\n`bind` is", 1)[0]
        names = {}
        exec(textwrap.dedent(example), names)
        rows, rejected = tidemill.run(names["Plugin"], FIELDS, [{"id": 1, "email": "a"}, {"id": 2, "email": None}], {"column": "email"})
        self.assertEqual((rows, rejected), ([{"id": 1, "email": "A"}, {"id": 2, "email": None}], []))

    def test_a_line_of_the_log_goes_where_the_host_says_however_log_was_imported(self):
        with contextlib.redirect_stderr(io.StringIO()) as printed:
            log("warn", "natively")
        self.assertEqual(printed.getvalue(), "warn: natively\n")
        lines, before = [], tidemill._sink
        tidemill._sink = lambda level, message: lines.append((level, message))
        try:
            tidemill.log("info", "one")
            log("debug", "two")
        finally:
            tidemill._sink = before
        self.assertEqual(lines, [("info", "one"), ("debug", "two")])


def load_tests(_loader, tests, _pattern):
    """The examples in the documentation, too."""
    tests.addTests(doctest.DocTestSuite(tidemill))
    return tests


if __name__ == "__main__":
    unittest.main()
