/* SPDX-License-Identifier: MIT */
/*
 * System calls of the mapping layer that fail when a test wants them to. The linker sends each call
 * named in tests/CMakeLists.txt to a wrapper in inject.c.
 *
 *   thread    one thread injects; wrapped calls of other threads go through
 */
#ifndef MRING_TESTS_INJECT_H
#define MRING_TESTS_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Let the k-th wrapped call from now on fail with `error`; k = 1 is the next one. With a name only
 * calls of that function count, as it is written in the source ("mmap", "open"); "mremap of 0" are
 * those that map something once more instead of moving it.
 */
void inject_nth(const char *function, unsigned k, int error);

/* The same for `count` calls in a row. */
void inject_row(const char *function, unsigned k, unsigned count, int error);

/* Let the next calls of a function fail with these errors; 0: go through. At most 4. */
void inject_pattern(const char *function, const int *errors, unsigned count);

/* Let every call of a function fail, on top of the above. Two functions at a time. */
void inject_always(const char *function, int error);

/* What another process does at the moment of a planned failure. */
void inject_meanwhile(void (*meanwhile)(void));

/* No more failures. The name of the function that failed by number, or NULL. */
const char *inject_stop(void);

/* mmap() takes MAP_FIXED_NOREPLACE for a hint, as kernels before 4.17 do. */
void inject_old_kernel(bool old);

/* SHMLBA is this many pages, as on processors whose caches cannot hold every alias. 0: as it is. */
void inject_shmlba(unsigned pages);

/* Whether any descriptor was opened without close-on-exec since failures were last planned. */
bool inject_saw_inheritable(void);

/*
 * Whether anything was mapped over, or unmapped, where not all of the range was mapped, since
 * failures were last planned: such a range is not held, so it may be another thread's.
 */
bool inject_saw_foreign(void);

/* The size of the file when posix_fallocate() last failed. */
uint64_t inject_size_at_failure(void);

/* The last call of msync(); its number since the start of the process. */
struct inject_msync {
    unsigned count;
    void *addr;
    size_t length;
    int flags;
};

const struct inject_msync *inject_last_msync(void);

#endif
