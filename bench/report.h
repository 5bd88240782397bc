/* SPDX-License-Identifier: MIT */
/*
 * What ringbench shows. A class is a task, such as "bytes:64"; its rows are the queues that do it,
 * and their names in the report are "bytes:64/mring" and so on. A table per class shows each row's
 * figure and its ratio to the best competitor and to the hardware's limit; the head-to-head has a
 * line per class.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "cbench.h"
#include "latency.h"
#include "queue.h"

#include <stdio.h>

/* What a figure is, and which one is better. */
enum unit {
    UNIT_ITEMS, /* millions of items, messages or commands per second: more is better */
    UNIT_BYTES, /* GB per second: more is better */
    UNIT_NS     /* nanoseconds for one: less is better */
};

struct row_class {
    const char *name;
    const char *title;
    enum unit unit;
    bool quick;        /* a part of --quick */
    unsigned threads;  /* that the processors share, if there are so many; 0: two */
    size_t bytes;      /* that one iteration moves; for UNIT_BYTES */
    const char *like;  /* the class with the same task, whose competitors and limit count for this
                          one, which has none of its own; NULL: none */
    const char *limit; /* the row of another class that is the limit of this one; NULL: it has its
                          own, or none */
};

/* One row of a class; everything that it points to has to live until the end. */
struct class_row {
    const struct row_class *of;
    const char *name; /* of the queue */
    enum role role;
    uint64_t iterations; /* of one repetition */
    void (*body)(struct cb_state *state, uint64_t iterations, const void *context);
    const void *context;
    struct latency *latency; /* of all repetitions, in ticks; NULL: none */
};

/* Show the class, in this place, even if it has no rows of its own. */
void report_add_class(const struct row_class *row_class);

/* Register the row; its class with it, if that is not there yet. */
void report_add(const struct class_row *row);

/* Whether the class has a row of this queue. */
bool report_has(const struct row_class *row_class, const char *name);

/* Whether there is a class of that name. */
bool report_has_class(const char *name);

/* ---- after the run --------------------------------------------------------------------------- */

/* A table per class; `cores` were those of the run. */
void report_print_tables(FILE *out, const struct bench_cores *cores);

/* A line per class: our figure, the best competitor, and our ratio to it. */
void report_print_comparison(FILE *out);

/*
 * Our ratio to the best competitor of a class; more than 1: we are better. 0 if one of the two was
 * not measured, or there is no such class.
 */
double report_ratio(const char *class_name);

/*
 * Keep the ratios of all rows, then, after another run, print how they compare. False if less than
 * 90 % of them came out within 10 % of what they were.
 */
void report_remember(void);
bool report_print_repeat(FILE *out);

/* Data for bench/plots.gp, in files of the folder. False, with a message, if one can't be made. */
bool report_write_plots(const char *folder);

/*
 * A row whose repetitions spread over more than this was disturbed by other work on its cores; the
 * tables mark it.
 */
#define SPREAD_MAX 0.2

#endif
