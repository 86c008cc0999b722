#!/bin/sh
# Runs every test below t/; each says what it found as TAP (https://testanything.org).
status=0
for file in t/*.t; do
    sh "$file" || status=1
done
exit $status
