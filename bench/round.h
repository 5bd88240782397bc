/* SPDX-License-Identifier: MIT */
/*
 * The rows of ringbench, and how they are repeated: in rounds.
 *
 * A class is a task, such as "bytes:64"; its rows are the queues that do it, and their names are
 * "bytes:64/mring" and so on. A round is one repetition of each row of a class, right after each
 * other, in an order that rotates from round to round. So two rows of a class are compared within
 * some milliseconds, while a machine is in one state: the ratio of two rows is the median of their
 * ratios in each round, and not that of their medians, which a machine that is now slow and now
 * fast moves about. The rounds of different classes follow each other at random, as the framework
 * has it: it asks for one repetition of one row, which starts a round unless one has it already.
 */
#ifndef BENCH_ROUND_H
#define BENCH_ROUND_H

#include "cbench.h"
#include "latency.h"
#include "queue.h"

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
    bool ourselves;    /* our rings in comparison with each other */
    unsigned threads;  /* that the processors share, if there are so many; 0: two */
    size_t bytes;      /* that one iteration moves; for UNIT_BYTES */
    const char *like;  /* the class with the same task, whose competitors and limit count for this
                          one, which has none of its own; NULL: none. They share their rounds */
    const char *limit; /* the row of another class that is the limit of this one; NULL: it has its
                          own, or none */
};

/* Of latencies: 50, 99, 99.9 and 100 per cent. */
#define ROUND_PERCENTILES 4

extern const double round_percents[ROUND_PERCENTILES];

/* What one repetition of a row gives. Zeros to begin with. */
struct sample {
    const char *fault;   /* what went wrong; NULL: nothing, and the rest holds */
    bool unavailable;    /* the system has no such thing: no fault, but nothing else holds */
    int64_t elapsed_ns;  /* what all iterations took */
    uint64_t items;      /* that they moved; 0: not to be shown */
    uint64_t bytes;      /* the same */
    double failed_polls; /* for each item */
    double percentiles[ROUND_PERCENTILES]; /* of latencies, in nanoseconds; zeros: none */
    bool cut;          /* it was cut short; the time is what it would have taken */
    const char *label; /* a remark to stand behind the numbers, or NULL */
};

/* One row of a class; everything that it points to has to live until the end. */
struct class_row {
    const struct row_class *of;
    const char *name; /* of the queue */
    enum role role;
    uint64_t iterations; /* of one repetition */
    void (*measure)(struct sample *sample, uint64_t iterations, const void *context);
    const void *context;
    struct latency *latency; /* of all repetitions, in ticks, see round_add_latency(); or NULL */
};

/* ---- registration ---------------------------------------------------------------------------- */

/* Show the class, in this place, even if it has no rows of its own. */
void round_add_class(const struct row_class *row_class);

/* Register the row; its class with it, if that is not there yet. */
void round_add(const struct class_row *row);

/* Whether the class has a row of that queue. */
bool round_has(const struct row_class *row_class, const char *name);

/* For `measure`: what a repetition found, for its percentiles and those of all. */
void round_add_latency(struct sample *sample, struct latency *all, const struct latency *latency);

/* ---- run ------------------------------------------------------------------------------------- */

/* As cb_run(), after forgetting what a run before has found. */
bool round_run(bool reported, void (*progress)(uint64_t done, uint64_t total));

/* ---- results --------------------------------------------------------------------------------- */

#define ROW_NAME_BYTES 96

struct round_row {
    struct class_row row;
    char name[ROW_NAME_BYTES]; /* "class/queue" */
    struct sample *samples;    /* one for each round */
    unsigned sample_count;
    unsigned delivered; /* of those, to the framework */
    bool selected;      /* by the filter */
    bool failed;
    bool unavailable;
};

/* All classes and rows, in the order of their registration; NULL behind the last one. */
const struct row_class *round_get_class(size_t index);
const struct round_row *round_get(size_t index);

/* By "class/queue", or NULL. */
const struct round_row *round_find(const char *name);

/* What one iteration took, the median of all rounds. 0 if it was not measured, or failed. */
double round_ns(const struct round_row *row);

/*
 * How many times as long the second row took as the first: the median of the rounds, if they were
 * in the same ones; else that of their medians. 0 if one of the two was not measured, or failed.
 */
double round_ratio(const struct round_row *row, const struct round_row *other);

/*
 * Over what part of the median the middle half of all rounds spreads: 0.1 is ten per cent. Of what
 * a row took; and of its ratio to another row of its class.
 */
double round_spread(const struct round_row *row);
double round_ratio_spread(const struct round_row *row, const struct round_row *other);

/* The medians of these. */
double round_failed_polls(const struct round_row *row);
bool round_was_cut(const struct round_row *row);

#endif
