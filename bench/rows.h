/* SPDX-License-Identifier: MIT */
/*
 * The rows of ringbench: each file registers its own, and prints its table after the run. A table
 * leaves out what did not run or failed, and itself if nothing is left.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "thread.h"

#include <stdio.h>

/*
 * Chunks of bytes from one thread to another. `cores` has to live until the run is over.
 *
 *   laps      over the ring in one repetition; 0: default
 */
void bytes_register(const struct bench_cores *cores, unsigned laps);
bool bytes_print(FILE *out);

/* Making and destroying mappings. */
void mapping_register(void);
bool mapping_print(FILE *out);

/*
 * A row whose repetitions spread over more than this was disturbed by other work on its cores; the
 * tables mark it.
 */
#define BENCH_SPREAD_MAX 0.2

/* A number of a table with its mark; a dash for 0. */
static inline void bench_print_number(FILE *out, int width, double number, double spread)
{
    if (number > 0)
        fprintf(out, " %*.2f%c", width, number, spread > BENCH_SPREAD_MAX ? '*' : ' ');
    else
        fprintf(out, " %*s ", width, "-");
}

#endif
