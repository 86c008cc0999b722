"""Prints what was sold, by product.

    python3 report.py sales.csv
"""
import argparse
import csv
import sys


def totals(rows):
    """Product -> (pieces, cents), in the order in which the products first come."""
    sums = {}
    for row in rows:
        pieces, cents = sums.get(row["product"], (0, 0))
        sums[row["product"]] = (pieces + int(row["pieces"]), cents + int(row["pieces"]) * int(row["cents"]))
    return sums


def main(arguments, out=sys.stdout):
    parser = argparse.ArgumentParser(prog="report")
    parser.add_argument("file")
    options = parser.parse_args(arguments)
    with open(options.file, encoding="utf-8", newline="") as f:
        sums = totals(csv.DictReader(f))
    for product, (pieces, cents) in sums.items():
        print(f"{product:<12} {pieces:>5} {cents / 100:>10.2f}", file=out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
