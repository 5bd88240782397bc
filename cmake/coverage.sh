#!/bin/sh
# coverage.sh GCOVR SOURCE_DIR BINARY_DIR: line and branch coverage of the library after a test run.
# What macOS and the BSDs have instead of Linux' calls is no part of this build's library; its tests
# bring it along, with system calls of their own, whose branches would count too. An assertion is
# a branch that no test may take, so lines of assertions are not counted.
set -eu

gcovr=$1
source=$2
binary=$3

for branches in '' --branches; do
    # shellcheck disable=SC2086  # no word when empty
    "$gcovr" --root "$source" --filter "$source/src/" --filter "$source/include/" \
        --exclude "$source/src/mmap_portable.c" --exclude "$source/src/mmap_shm.c" \
        --exclude-unreachable-branches --exclude-throw-branches \
        --exclude-lines-by-pattern '.*\bassert\(.*' \
        --fail-under-branch 95 $branches --txt - --print-summary "$binary" >"$binary/coverage.txt"
    sed -n '/^File/,/^TOTAL/p' "$binary/coverage.txt"
done
# The summary has both figures.
sed -n '/^lines:/p;/^branches:/p' "$binary/coverage.txt"
