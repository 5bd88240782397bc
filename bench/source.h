/* SPDX-License-Identifier: MIT */
/*
 * What is sent from one producer to one consumer, and the memory that it is sent from and to.
 */
#ifndef BENCH_SOURCE_H
#define BENCH_SOURCE_H

#include <mring/mmap.h>

/*
 * The source is a few items with different stamps (loops.h), sent round and round: so many that
 * they stay in the first-level cache, if a few of that size do, and no fewer than a batch. Their
 * number is odd, so that an item of the lap before differs.
 */
uint64_t source_count_items(size_t size, size_t batch);

/*
 * Fill the source's items, and behind them the first ones again, one batch of them. Each is filled
 * with its stamp; a tail that is no whole word ends with it too.
 */
void source_fill(unsigned char *source, size_t size, size_t batch);

/*
 * On x86 a load that follows a store with the same low 12 bits of address waits for it. These keep
 * source and destination away from each other and from the start of a ring's pages.
 */
#define SOURCE_OFFSET      ((size_t)17 * 64)
#define DESTINATION_OFFSET ((size_t)33 * 64)

/*
 * Chunks of more than a cache line meet the end of a ring whose size they divide if the first one
 * starts this late.
 */
#define START_BYTES ((size_t)64)

/* Memory that this thread has touched already. Returns an error or 0. */
int source_map(struct mmap *map, size_t size);

#endif
