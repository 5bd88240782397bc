#!/bin/sh
# format.sh CLANG_FORMAT apply|check: the house style over every C and C++ file, from the source root.
set -eu

files() {
    find include src tests bench examples -type f \
        '(' -name '*.c' -o -name '*.h' -o -name '*.cc' -o -name '*.cpp' -o -name '*.hpp' ')' \
        -exec "$@" '{}' +
}

case $2 in
apply)
    files "$1" --style=file -i
    ;;
check)
    if ! complaints=$(files "$1" --style=file --dry-run --Werror 2>&1); then
        # A line per place is enough; the target `format` does the rest.
        printf '%s\n' "$complaints" |
            sed -nE 's/^([^:]+:[0-9]+):[0-9]+: error: .*/\1: not as clang-format writes it/p' | uniq
        exit 1
    fi
    ;;
*)
    echo "usage: format.sh CLANG_FORMAT apply|check" >&2
    exit 2
    ;;
esac
