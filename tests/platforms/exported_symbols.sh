#!/bin/sh
# A shared library for another system exports the symbols that the one of this machine does, no
# more, no less.
#
#   exported_symbols.sh macos SOURCE_DIR BINARY_DIR LLVM_NM DYLIB OBJECT...
#   exported_symbols.sh windows SOURCE_DIR BINARY_DIR OBJDUMP TOOLCHAIN
#
# The library of this machine is built in BINARY_DIR, and so is the DLL. Of the library for macOS,
# only what its own objects define counts, and not what they hide: zig's linker exports the support
# functions of its compiler, too, and hidden symbols as well as others. Prints the symbols that
# differ, and closes with the number of those that are the same; but first a list that lacks one has
# to differ, on either side.
set -eu
LC_ALL=C
export LC_ALL

system=$1 source=$2 binary=$3 tool=$4
shift 4

# build NAME ARGUMENT...: a shared library in the folder NAME of BINARY_DIR
build() {
    folder=$binary/$1
    shift
    if ! { cmake -S "$source" -B "$folder" -DBUILD_SHARED_LIBS=ON -DMRING_BUILD_TESTS=OFF \
        -DMRING_BUILD_EXAMPLES=OFF -DMRING_BUILD_BENCH=OFF "$@" && cmake --build "$folder"; } \
        >"$folder.log" 2>&1; then
        cat "$folder.log"
        exit 1
    fi
}

# The symbols that a library or an object defines for others, one a line. Those for macOS begin with
# a '_' more.
elf_symbols() {
    nm -D --defined-only "$1" | awk '{ print $3 }' |
        grep -v '^_\(init\|fini\|edata\|end\|_bss_start\)$' | sort
}

macho_symbols() {
    "$tool" --extern-only --defined-only --format=darwin "$@" |
        sed -n '/ private external /d; s/^.* external _//p' | sort -u
}

pe_symbols() {
    "$tool" -p "$1" |
        awk '/^\[Ordinal\/Name Pointer\]/ { inside = 1; next }
             !/\[/ { inside = 0 }
             inside { print $NF }' |
        sort
}

# compare FILE FILE: print the difference, and how much is the same
compare() {
    different=$(comm -3 "$1" "$2" | sed -e 's/^\t\(.*\)/only there: \1/; t' -e 's/^/only here: /')
    if [ -n "$different" ]; then
        printf '%s\n' "$different"
        return 1
    fi
    echo "$(wc -l <"$1") symbols are the same"
}

# lacks FILE: the same with a line less
lacks() {
    sed '/^mring_spsc_reserve$/d' "$1" >"$1.less"
    echo "$1.less"
}

mkdir -p "$binary"
here=$binary/here.txt there=$binary/there.txt
build here
elf_symbols "$binary/here/libmring.so" >"$here"
case $system in
macos)
    dylib=$1
    shift
    macho_symbols "$@" >"$binary/defined.txt"
    macho_symbols "$dylib" | comm -12 - "$binary/defined.txt" >"$there"
    ;;
windows)
    build there "-DCMAKE_TOOLCHAIN_FILE=$1"
    pe_symbols "$binary/there/libmring.dll" >"$there"
    ;;
*)
    echo "$0: no system is called $system" >&2
    exit 2
    ;;
esac
if [ ! -s "$here" ] || [ ! -s "$there" ]; then
    echo "there are no symbols"
    exit 1
fi

if compare "$(lacks "$here")" "$there" >/dev/null ||
    compare "$here" "$(lacks "$there")" >/dev/null; then
    echo "a missing symbol was not seen"
    exit 1
fi
compare "$here" "$there"
