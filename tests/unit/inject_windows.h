/* SPDX-License-Identifier: MIT */
/*
 * System calls of src/mmap_windows.c that fail when a test wants them to, and placeholders for a
 * system that has none. What goes through sets the system's last error to something else, so that
 * an error that was not saved at once is seen.
 *
 *   thread    one
 */
#ifndef MRING_TESTS_INJECT_WINDOWS_H
#define MRING_TESTS_INJECT_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <windows.h>

/*
 * Let the k-th call from now on fail with `code`; 1 is the next one. With a name only calls of that
 * function count: "VirtualAlloc". Without one all do but those that only give back.
 */
void inject_nth(const char *function, unsigned k, DWORD code);

/* The same for `count` calls in a row. */
void inject_row(const char *function, unsigned k, unsigned count, DWORD code);

/*
 * What another thread does at the moment of the planned call, which gets `at` as its address.
 * With a code of 0 the call itself goes through.
 */
void inject_meanwhile(void (*meanwhile)(void *at));

/* No more failures. The name of the function that failed by number, or NULL. */
const char *inject_stop(void);

/* Calls of the function that was named last. */
unsigned inject_count(void);

/*
 * Placeholders over ordinary reservations and views. Since those begin at multiples of 64 KiB, that
 * is what this system takes for its page, and the unit where others begin is larger.
 *   refuse_pages  a placeholder is replaced at multiples of the unit only
 * Before the first call of the library; 0: there are none.
 */
#define INJECT_PAGE ((size_t)1 << 16)
#define INJECT_UNIT ((size_t)1 << 18)
void inject_placeholders(bool refuse_pages);

/* There are such functions, but they do not know what is asked of them. */
void inject_old_functions(void);

/* What was done with placeholders since inject_placeholders(), in order. */
struct inject_step {
    enum { STEP_RESERVE, STEP_SPLIT, STEP_MAP, STEP_COMMIT, STEP_FREE } kind;
    unsigned char *at;
    size_t size;
    uint64_t offset;
    ULONG type, protection;
};

size_t inject_steps(const struct inject_step **steps);
void inject_forget_steps(void);

/* Placeholders that are left. */
size_t inject_placeholder_count(void);

#endif
