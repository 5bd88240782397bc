/* SPDX-License-Identifier: MIT */
#include "latency.h"

void latency_merge(struct latency *latency, const struct latency *other)
{
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        latency->buckets[i] += other->buckets[i];
    latency->count += other->count;
    latency->sum += other->sum;
    if (other->max > latency->max)
        latency->max = other->max;
}

/* The middle of a bucket. */
static double value_of(unsigned bucket)
{
    unsigned shift = bucket >> LATENCY_BITS;

    if (shift > 0)
        shift--;
    double first = (double)((uint64_t)(bucket - (shift << LATENCY_BITS)) << shift);
    return first + ((double)((uint64_t)1 << shift) - 1) / 2;
}

double latency_percentile(const struct latency *latency, double percent)
{
    double rank = percent / 100 * (double)latency->count;
    uint64_t seen = 0;

    if (percent >= 100)
        return (double)latency->max;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        seen += latency->buckets[i];
        if (seen > 0 && (double)seen >= rank)
            return value_of(i) < (double)latency->max ? value_of(i) : (double)latency->max;
    }
    return 0;
}
