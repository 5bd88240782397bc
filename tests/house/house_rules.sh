#!/bin/sh
# The rules of the house that a text search can check.
#
#   house_rules.sh check ROOT        search the source tree; a line per violation, exit 1 if any
#   house_rules.sh selftest TMP     plant violations of each rule in a tree in TMP, see each found
#
# A violation is reported as "rule: file:line: text".
set -eu
LC_ALL=C
export LC_ALL

# ---- the files of a tree, relative to it ---------------------------------------------------------

c_files() { # FOLDER...: existing C and C++ files
    for folder; do
        [ ! -d "$folder" ] || find "$folder" -type f \
            '(' -name '*.c' -o -name '*.h' -o -name '*.cc' -o -name '*.cpp' -o -name '*.hpp' ')'
    done | sort
}

text_files() { # everything that people write and read
    c_files include src tests bench examples
    find . '(' -name build -o -name .git ')' -prune -o -type f \
        '(' -name CMakeLists.txt -o -name '*.cmake' -o -name '*.in' -o -name '*.sh' \
        -o -name Makefile -o -name '*.md' -o -path './.ci/*' ')' -print | sort
}

# report RULE PATTERN: search the files on stdin for an extended regular expression.
report() {
    xargs grep -nE -e "$2" /dev/null | sed "s|^|$1: |"
}

# ---- the rules -----------------------------------------------------------------------------------

rule_orders() { # atomic.h alone names memory orders, so that each access has its order in its name
    c_files include src examples | grep -vx include/mring/atomic.h |
        report orders 'memory_order_|__ATOMIC_|__atomic_|__sync_|stdatomic\.h|atomic_thread_fence'
}

rule_layers() { # maps know no rings
    for file in include/mring/mmap.h src/mmap.c src/mmap_*.c src/mmap_*.h; do
        [ ! -f "$file" ] || echo "$file"
    done |
        report layers 'spsc|mpmc|SPSC|MPMC|mring_(ring|side|event|args|end|capacity|err)|MRING_RING'
}

rule_systems() { # hot paths and portable halves know no system
    c_files include src |
        grep -vxE 'src/(mmap_(posix|linux|darwin|portable|shm)|io_(posix|linux)|wait_[a-z]+)\.[ch]|src/[a-z]+_windows\.[ch]' |
        report systems '^ *# *include *<((sys|linux|mach|bits|asm)/|(unistd|fcntl|pthread|signal|sched|poll|windows|winsock2|io|dlfcn|errno)\.h)'
}

# The headers of this library that a file may include, as one regular expression. Arrows go down.
arrows_of() {
    below_ring='mring/(mmap|wait|atomic|base)\.h'
    case $1 in
    include/mring/base.h) echo 'none' ;;
    include/mring/atomic.h) echo 'mring/(atomic_msvc|base)\.h' ;;
    include/mring/atomic_msvc.h | include/mring/mmap.h) echo 'mring/base\.h' ;;
    include/mring/wait.h) echo 'mring/(atomic|base)\.h' ;;
    include/mring/ring.h) echo "$below_ring" ;;
    include/mring/spsc.h | include/mring/mpmc.h) echo "mring/ring\\.h|$below_ring" ;;
    include/mring.h) echo 'mring/[a-z]+\.h' ;;
    src/mmap_os.h) echo 'mring/(mmap|base)\.h' ;;
    src/security_windows.h | src/handle_windows.h) echo 'none' ;;
    src/security_windows.c) echo 'security_windows\.h' ;;
    src/handle_windows.c) echo 'handle_windows\.h' ;;
    src/mmap_windows.c) echo '(mmap_os|security_windows|handle_windows)\.h|mring/(mmap|base)\.h' ;;
    src/mmap_posix.h) echo 'mmap_os\.h' ;;
    src/mmap_posix.c | src/mmap_linux.c | src/mmap_darwin.c | src/mmap_portable.c | src/mmap_shm.c)
        echo 'mmap_(posix|os)\.h'
        ;;
    src/mmap*.c) echo 'mmap_os\.h|mring/(mmap|base)\.h' ;;
    src/sleepers.h) echo 'mring/(wait|atomic|base)\.h' ;;
    src/wait_nap.h) echo 'mring/wait\.h' ;;
    src/wait_kqueue.c) echo "io_os\\.h|mring/ring\\.h|$below_ring" ;;
    src/wait_windows.c) echo '(sleepers|security_windows)\.h|mring/(wait|atomic|base)\.h' ;;
    src/wait_*.c) echo '(wait_nap|sleepers)\.h|mring/(wait|atomic|base)\.h' ;;
    src/io_os.h) echo "mring/ring\\.h|$below_ring" ;;
    src/io_windows.c) echo "(io_os|handle_windows)\\.h|mring/ring\\.h|$below_ring" ;;
    src/io_*.c) echo "io_os\\.h|mring/ring\\.h|$below_ring" ;;
    src/ring_header.h) echo "mring/ring\\.h|$below_ring" ;;
    src/ring.c) echo "ring_header\\.h|mring/ring\\.h|$below_ring" ;;
    src/waiter.h) echo "mring/ring\\.h|$below_ring" ;;
    src/waiter.c) echo "waiter\\.h|mring/ring\\.h|$below_ring" ;;
    src/spsc.c) echo "(io_os|ring_header|waiter)\\.h|mring/(ring|spsc)\\.h|$below_ring" ;;
    src/mpmc.c) echo "(io_os|ring_header|waiter)\\.h|mring/(ring|mpmc)\\.h|$below_ring" ;;
    src/mring.c) echo 'mring\.h' ;;
    *) echo 'none' ;; # a new file gets its place here
    esac
}

rule_arrows() {
    c_files include src | while IFS= read -r file; do
        grep -nE '^ *# *include *(<mring|")' "$file" /dev/null |
            grep -vE "include *[<\"]($(arrows_of "$file"))[>\"]" | sed 's/^/arrows: /' || true
    done
}

rule_leftovers() { # what is not done is not in the tree
    text_files | report leftovers \
        '(^|[^A-Za-z0-9_])(TO''DO|FIX''ME|XX''X|HA''CK)([^A-Za-z0-9_]|$)'
}

rule_columns() { # two files fit side by side
    c_files include src tests bench examples | report columns '^.{101,}'
}

rule_license() {
    c_files include src tests bench examples | while IFS= read -r file; do
        head -n 1 "$file" | grep -qxE '/\* SPDX-License-Identifier: MIT \*/' ||
            echo "license: $file:1: the first line is not the SPDX line"
    done
}

# A function's lines are counted from the first line of its declarator to its closing brace, both of
# which the format puts at the left margin.
rule_length() {
    c_files include src | while IFS= read -r file; do
        awk -v file="$file" '
            /^[{]$/ { inside = 1 }
            inside == 0 && (/^$/ || /^[ \/]\*/ || /;$/ || /^[#}]/) { start = NR + 1 }
            /^}$/ {
                if (inside && NR - start + 1 > 70)
                    printf "length: %s:%d: a function of %d lines\n", file, start, NR - start + 1
                inside = 0
                start = NR + 1
            }' "$file"
    done
}

rules='orders layers systems arrows leftovers columns license length'

# ---- check ---------------------------------------------------------------------------------------

check() { # ROOT
    cd "$1"
    violations=$(for rule in $rules; do "rule_$rule"; done)
    if [ -n "$violations" ]; then
        printf '%s\n' "$violations"
        return 1
    fi
}

# ---- selftest ------------------------------------------------------------------------------------

# with_lines FILE TEXT...: check a tree that has just this file.
with_lines() {
    file=$1
    shift
    rm -rf "$tree"
    mkdir -p "$(dirname "$tree/$file")"
    if [ "$spdx" = yes ]; then
        set -- '/* SPDX-License-Identifier: MIT */' "$@"
    fi
    printf '%s\n' "$@" >"$tree/$file"
    (check "$tree")
}

# plant RULE FILE TEXT...: exactly this rule must report exactly this file.
plant() {
    rule=$1
    shift
    if found=$(with_lines "$@"); then
        echo "selftest: a violation of '$rule' was not seen: $*"
        failures=$((failures + 1))
    elif printf '%s\n' "$found" | grep -v "^$rule: $1:"; then
        echo "selftest: the lines above were found instead of '$rule: $1'"
        failures=$((failures + 1))
    fi
}

# accept FILE TEXT...: no rule may report it.
accept() {
    if ! with_lines "$@"; then
        echo "selftest: the lines above were found in what is allowed"
        failures=$((failures + 1))
    fi
}

long_function() { # COUNT: a function of that many lines
    echo 'int planted(void)'
    echo '{'
    i=3
    while [ "$i" -lt "$1" ]; do
        echo '    planted();'
        i=$((i + 1))
    done
    echo '}'
}

selftest() { # TMP
    tree=$1/planted
    failures=0
    spdx=yes # every file begins with the line that it must

    plant orders src/spsc.c 'int x = memory_order_relaxed;'
    plant orders include/mring/spsc.h '    __atomic_store_n(&x, 1, __ATOMIC_RELAXED);'
    plant orders src/mmap_posix.c '#include <stdatomic.h>'
    plant layers include/mring/mmap.h 'struct mring_spsc;'
    plant layers src/mmap.c '/* the mpmc ring needs this */'
    plant layers src/mmap_os.h 'struct mring_ring;'
    plant layers src/mmap_posix.c 'struct mring_event event;'
    plant systems include/mring/wait.h '#include <linux/futex.h>'
    plant systems src/mmap.c '#include <sys/mman.h>' '#include <unistd.h>'
    plant systems src/spsc.c '#  include <windows.h>'
    plant systems include/mring/base.h '#include <mach/mach.h>' '#include <fcntl.h>'
    plant arrows include/mring/base.h '#include <mring/atomic.h>'
    plant arrows include/mring/wait.h '#include <mring/ring.h>'
    plant arrows include/mring/wait.h '#include <mring/mmap.h>'
    plant arrows include/mring/spsc.h '#include <mring.h>'
    plant arrows include/mring/mmap.h '#include <mring/wait.h>'
    plant arrows src/spsc.c '#include "mmap_os.h"'
    plant arrows src/spsc.c '#include <mring/mpmc.h>'
    plant arrows src/ring.c '#include <mring/spsc.h>'
    plant arrows src/mmap.c '#include <mring/wait.h>'
    plant layers src/mmap.c '#include <mring/mmap.h>' '/* for mring/spsc.h */'
    plant arrows src/wait_linux.c '#include <mring/mmap.h>'
    plant arrows include/mring/newcomer.h '#include <mring/base.h>'
    plant leftovers src/ring.c '/* TO''DO: later */'
    plant leftovers ./tests/CMakeLists.txt '# FIX''ME'
    plant leftovers tests/planted.c '// XX''X'
    plant columns tests/planted.c "/* $(printf '%0100d' 0) */"
    plant length src/ring.c '' "$(long_function 71)"
    plant length include/mring/spsc.h '' 'struct mring_spsc {' '};' '' "$(long_function 90)"
    spdx=no
    plant license tests/planted.h '#ifndef PLANTED_H' '#endif'
    spdx=yes

    accept include/mring/atomic.h '#include <mring/base.h>' 'return __ATOMIC_RELAXED;'
    accept include/mring/mmap.h '/* Rings are stored in mirrors; see mring_alias_barrier(). */'
    accept src/mmap_posix.c '#include "mmap_os.h"' '#include <sys/mman.h>' '#include <unistd.h>'
    accept src/wait_linux.c '#include <linux/futex.h>' '#include <mring/wait.h>'
    accept src/spsc.c '#include <mring/spsc.h>' '#include "ring_header.h"'
    accept src/ring.c '' "$(long_function 70)" '' "$(long_function 70)"
    accept tests/planted.c "/* $(printf '%094d' 0) */" \
        '/* mktemp: XX''XXXX */'

    [ "$failures" -eq 0 ] || return 1
    echo "selftest: every planted violation was found"
}

case ${1-} in
check) check "$2" ;;
selftest) selftest "$2" ;;
*) echo "usage: house_rules.sh check ROOT | selftest TMP" >&2; exit 2 ;;
esac
