#!/bin/sh
# A DLL exports the symbols that the shared library of this machine does, no more, no less.
#
#   exported_symbols_windows.sh OBJDUMP TOOLCHAIN SOURCE_DIR BINARY_DIR
#
# Both are built in BINARY_DIR. Prints the symbols that differ, and closes with the number of those
# that are the same; and a list that lacks one must differ.
set -eu
LC_ALL=C
export LC_ALL

objdump=$1 toolchain=$2 source=$3 binary=$4

# build FOLDER ARGUMENT...: a shared library
build() {
    folder=$1
    shift
    cmake -S "$source" -B "$folder" -DBUILD_SHARED_LIBS=ON -DMRING_BUILD_TESTS=OFF \
        -DMRING_BUILD_EXAMPLES=OFF -DMRING_BUILD_BENCH=OFF "$@"
    cmake --build "$folder"
}

# compare FILE FILE: print the difference, and how much is the same
compare() {
    different=$(comm -3 "$1" "$2" | sed -e 's/^\t\(.*\)/only in the DLL: \1/; t' -e 's/^/only here: /')
    if [ -n "$different" ]; then
        printf '%s\n' "$different"
        return 1
    fi
    echo "$(wc -l <"$1") symbols are the same"
}

mkdir -p "$binary"
build "$binary/here" >"$binary/here.log" 2>&1
build "$binary/there" "-DCMAKE_TOOLCHAIN_FILE=$toolchain" >"$binary/there.log" 2>&1

nm -D --defined-only "$binary/here/libmring.so" | awk '{ print $3 }' |
    grep -v '^_\(init\|fini\|edata\|end\|_bss_start\)$' | sort >"$binary/here.txt"
"$objdump" -p "$binary/there/libmring.dll" |
    awk '/^\[Ordinal\/Name Pointer\]/ { inside = 1; next } !/\[/ { inside = 0 } inside { print $NF }' |
    sort >"$binary/there.txt"
if [ ! -s "$binary/here.txt" ] || [ ! -s "$binary/there.txt" ]; then
    echo "there are no symbols"
    exit 1
fi

sed '/^mring_spsc_reserve$/d' "$binary/there.txt" >"$binary/less.txt"
if compare "$binary/here.txt" "$binary/less.txt" >/dev/null; then
    echo "a missing symbol was not seen"
    exit 1
fi
compare "$binary/here.txt" "$binary/there.txt"
