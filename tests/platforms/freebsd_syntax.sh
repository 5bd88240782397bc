#!/bin/sh
# The sources with FreeBSD's branches taken are C without warnings, against the headers of the folder
# freebsd/. These are this project's, written from the manual pages: so this finds slips, and does
# not show that the library compiles on FreeBSD.
#
#   freebsd_syntax.sh CLANG SOURCE_DIR
set -eu

clang=$1
cd "$2"
if ! command -v "$clang" >/dev/null; then
    echo "skipped: there is no clang"
    exit 77
fi

# compiles FILE
compiles() {
    "$clang" --target=x86_64-unknown-freebsd13 -std=c11 -nostdlibinc -isystem tests/platforms/freebsd \
        -I include -I src -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
        -Wmissing-prototypes -Wundef -Werror -fsyntax-only -x c "$1"
}

# It sees the branches of FreeBSD, and is no Linux.
if echo '#include <no_such_header.h>' | compiles - 2>/dev/null; then
    echo "a missing header was not seen"
    exit 1
fi
if echo '#include <sys/eventfd.h>' | compiles - 2>/dev/null; then
    echo "the headers of this machine are found"
    exit 1
fi

status=0
for file in io_posix mmap mmap_portable mmap_posix mmap_shm mpmc mring ring spsc wait_kqueue \
    wait_naps wait_posix waiter; do
    if compiles "src/$file.c"; then
        echo "src/$file.c: compiles"
    else
        echo "src/$file.c: does not compile"
        status=1
    fi
done
exit $status
