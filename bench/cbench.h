/* SPDX-License-Identifier: MIT */
/*
 * Google Benchmark for C: rows are registered from a table, and each repetition of a row is one
 * call of its body, which has the loop. So nothing of the framework is inside what is timed.
 *
 * Every row runs a fixed number of iterations, so that the variants of one comparison move the same
 * bytes (--benchmark_min_time has no effect), and times itself: setting up is not measured.
 */
#ifndef CBENCH_H
#define CBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One repetition of one row, for the calls below. */
struct cb_state;

struct cb_row {
    const char *name;    /* such as "spsc/bytes:64" */
    uint64_t iterations; /* of one repetition */
    void (*body)(struct cb_state *state, uint64_t iterations, const void *context);
    const void *context;
};

/* Add a row. The struct is copied; what it points to has to live until cb_run() returns. */
void cb_register(const struct cb_row *row);

/* ---- called by a body ------------------------------------------------------------------------ */

/* What all iterations of this repetition took. Every body that does not fail calls it once. */
void cb_set_time(struct cb_state *state, int64_t nanoseconds);

/* What they moved; each gives a rate. */
void cb_set_bytes(struct cb_state *state, uint64_t bytes);
void cb_set_items(struct cb_state *state, uint64_t items);

/* Any other figure of this repetition. */
void cb_set_counter(struct cb_state *state, const char *name, double value);

/* A remark to stand behind the numbers. */
void cb_set_label(struct cb_state *state, const char *label);

/* The repetition is void: the message goes to the report and to stderr, and cb_run() fails. */
void cb_fail(struct cb_state *state, const char *message);

/* The repetition can't be, which is no failure: the remark goes to the report. */
void cb_skip(struct cb_state *state, const char *remark);

/* ---- called by main -------------------------------------------------------------------------- */

/*
 * Take the options of Google Benchmark from the command line. `defaults` are such options too; each
 * holds unless the command line or its environment variable says otherwise. False, with a message
 * on stderr, if there are arguments left that nobody knows.
 *
 *   help      printed by --help, before the framework's own
 */
bool cb_initialize(int argc, char **argv, const char *const *defaults, size_t count,
                   const char *help);

/* A line of the report's head. Both texts are copied. */
void cb_add_context(const char *key, const char *value);

/*
 * Run the rows that the filter selects; it may be called again. False if one of them failed or none
 * was selected.
 *
 *   reported  the framework's report goes to stdout, in the format that its option chose
 *   progress  called before each repetition: how many are done, of how many. NULL: not
 */
bool cb_run(bool reported, void (*progress)(uint64_t done, uint64_t total));

/* Whether the command line or the environment asks for the framework's report. */
bool cb_report_is_wanted(void);

/* Whether it asks for the names of the rows and nothing else. */
bool cb_only_lists(void);

/* How often each row is repeated. */
uint64_t cb_repetitions(void);

/* Whether the filter of the command line selects a row of that name. */
bool cb_is_selected(const char *name);

#ifdef __cplusplus
}
#endif

#endif
