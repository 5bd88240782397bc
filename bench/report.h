/* SPDX-License-Identifier: MIT */
/*
 * What ringbench shows of a run: a table per class with each row's figure and its ratio to the best
 * competitor and to the hardware's limit, and the head-to-head with a line per class.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "round.h"

#include <stdio.h>

/* A table per class; `cores` were those of the run. */
void report_print_tables(FILE *out, const struct bench_cores *cores);

/*
 * A line per class: our figure, the best competitor, and our ratio to it. The classes in which our
 * rings are compared with each other come first, by themselves.
 */
void report_print_comparison(FILE *out);

/*
 * Our ratio to the best competitor of a class; more than 1: we are better. 0 if one of the two was
 * not measured, or there is no such class.
 */
double report_ratio(const char *class_name);

/* Whether a run has rows of both, as the filter is. */
bool report_can_compare(const char *class_name);

/*
 * Keep the ratios of all rows, then, after another run, print how they compare. False if less than
 * 90 % of them came out within 10 % of what they were.
 */
void report_remember(void);
bool report_print_repeat(FILE *out);

/* Data for bench/plots.gp, in files of the folder. False, with a message, if one can't be made. */
bool report_write_plots(const char *folder);

#endif
