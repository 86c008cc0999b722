#!/bin/sh
# Prints what was sold, a line for each product: sh report.sh FILE
sed 1d "$1" | while IFS=, read -r product pieces cents; do
    sum=$((pieces * cents))
    printf '%-8s %4d %6d.%02d\n' "$product" "$pieces" $((sum / 100)) $((sum % 100))
done
