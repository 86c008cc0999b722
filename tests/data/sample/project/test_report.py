"""Tests of the report command."""
import io
import unittest

import report


class TestTotals(unittest.TestCase):
    def test_adds_up_by_product(self):
        rows = [{"product": "tea", "pieces": "2", "cents": "350"}, {"product": "tea", "pieces": "1", "cents": "350"}]
        self.assertEqual(report.totals(rows), {"tea": (3, 1050)})

    def test_nothing_sold(self):
        self.assertEqual(report.totals([]), {})


class TestReport(unittest.TestCase):
    def run_report(self, *arguments):
        out = io.StringIO()
        self.assertEqual(report.main([*arguments, "sales.csv"], out), 0)
        return out.getvalue()

    def test_prints_a_line_for_each_product(self):
        self.assertEqual(self.run_report().splitlines(), ["tea              5      17.50", "cups             2       9.00"])


if __name__ == "__main__":
    unittest.main()
