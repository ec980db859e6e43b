"""Tests without the sandbox: python3 -m unittest discover -s tests"""

import pathlib
import sys
import unittest

here = pathlib.Path(__file__).parent.parent
sys.path[:0] = [str(here / "src"), str(here / "sdk")]

import tidemill
from plugin import Plugin

FIELDS = [tidemill.Field("id", "int64", nullable=False), tidemill.Field("email", "utf8")]


class Addresses(unittest.TestCase):
    def test_an_address_is_tidied(self):
        rows, rejected = tidemill.run(Plugin, FIELDS, [{"id": 1, "email": " Ada@Example.ORG"}], key=["id"])
        self.assertEqual(rows, [{"id": 1, "email": "ada@example.org", "email_domain": "example.org"}])
        self.assertEqual(rejected, [])

    def test_what_is_no_address_is_rejected(self):
        rows, rejected = tidemill.run(Plugin, FIELDS, [{"id": 1, "email": "nowhere"}], key=["id"])
        self.assertEqual(rows, [])
        self.assertEqual(rejected, [(0, "no address: an @ is missing")])

    def test_domains_can_be_left_out(self):
        rows, _ = tidemill.run(Plugin, FIELDS, [{"id": 1, "email": "a@b"}], {"drop_domains": ["b"]}, key=["id"])
        self.assertEqual(rows, [])


if __name__ == "__main__":
    unittest.main()
