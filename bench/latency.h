/* SPDX-License-Identifier: MIT */
/*
 * A histogram of times: buckets that grow with the value, 32 to each power of two, so that a
 * percentile is right within 3 % (the idea is Gil Tene's HdrHistogram).
 *
 *   thread    one at a time
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LATENCY_BITS    5 /* buckets to a power of two, as a power of two */
#define LATENCY_BUCKETS ((64 - LATENCY_BITS + 1) << LATENCY_BITS)

/* Zeros to begin with. */
struct latency {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t buckets[LATENCY_BUCKETS];
};

/* The values of less than 2^(LATENCY_BITS + 1) have a bucket each. */
static inline unsigned latency_bucket(uint64_t value)
{
    unsigned shift = 0;

    if (value >> (LATENCY_BITS + 1) != 0)
        shift = 63 - LATENCY_BITS - (unsigned)__builtin_clzll(value);
    return (shift << LATENCY_BITS) + (unsigned)(value >> shift);
}

static inline void latency_add(struct latency *latency, uint64_t value)
{
    latency->buckets[latency_bucket(value)]++;
    latency->count++;
    latency->sum += value;
    if (value > latency->max)
        latency->max = value;
}

/* What is in `other` comes to what is in `latency`. */
void latency_merge(struct latency *latency, const struct latency *other);

/*
 * The value that `percent` per cent of the values do not exceed, in the unit of the values; 0 if
 * there are none. At 100 it is exact.
 */
double latency_percentile(const struct latency *latency, double percent);

#ifdef __cplusplus
}
#endif

#endif
