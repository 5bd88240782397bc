/* SPDX-License-Identifier: MIT */
/*
 * The files that have rows of ringbench.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "thread.h"

#include <stdbool.h>

/* Of the command line. */
struct bench_options {
    unsigned laps;         /* of the ring in one repetition */
    bool quick;            /* only the classes that are a part of it */
    bool compare;          /* only classes and rows of the head-to-head */
    bool negative_control; /* broken queues instead of all others */
};

/* ---- classes.c: queues in comparison --------------------------------------------------------- */

/* Register the rows. `cores` has to live until the end; so it is below. */
void classes_register(const struct bench_cores *cores, const struct bench_options *options);

/* What it takes to hand a bare cache line over, in nanoseconds; 0 if that can't be measured. */
double classes_measure_line(const struct bench_cores *cores);

/* ---- mirror.c: what the mirror is worth ------------------------------------------------------ */

void mirror_register(const struct bench_cores *cores, const struct bench_options *options);

/* ---- mapping.c: making and destroying mappings ----------------------------------------------- */

void mapping_register(const struct bench_options *options);

#endif
