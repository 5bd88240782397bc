/* SPDX-License-Identifier: MIT */
/* The histogram of ringbench. */
#include "latency.h"

#include <criterion/criterion.h>

Test(latency_bucket, grows_with_the_value_and_stays_in_the_table, .timeout = 5)
{
    unsigned before = 0;

    for (unsigned shift = 0; shift < 64; shift++) {
        uint64_t value = (uint64_t)1 << shift;
        cr_assert(latency_bucket(value) > before, "2^%u", shift);
        cr_assert(latency_bucket(value) >= latency_bucket(value - 1), "2^%u", shift);
        before = latency_bucket(value);
    }
    cr_assert_eq(latency_bucket(0), 0);
    cr_assert_eq(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
}

Test(latency_percentile, is_right_within_three_per_cent, .timeout = 5)
{
    static struct latency latency;
    static const double percents[] = { 1, 10, 50, 90, 99, 99.9 };

    for (uint64_t value = 1; value <= 100000; value++)
        latency_add(&latency, value);

    for (unsigned i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        double expected = percents[i] * 1000;
        double found = latency_percentile(&latency, percents[i]);
        cr_assert(found > 0.97 * expected && found < 1.03 * expected, "%g %%: %g", percents[i],
                  found);
    }
}

Test(latency_percentile, is_exact_at_the_end_and_never_more_than_the_greatest, .timeout = 5)
{
    static struct latency latency;

    for (unsigned i = 0; i < 100; i++)
        latency_add(&latency, 1000001);

    cr_assert_eq(latency_percentile(&latency, 100), 1000001);
    cr_assert(latency_percentile(&latency, 50) <= 1000001);
}

Test(latency_percentile, is_zero_without_values, .timeout = 5)
{
    static struct latency latency;

    cr_assert_eq(latency_percentile(&latency, 50), 0);
    cr_assert_eq(latency_percentile(&latency, 100), 0);
}

Test(latency_merge, adds_counts_sums_and_buckets, .timeout = 5)
{
    static struct latency all, one;

    latency_add(&all, 10);
    latency_add(&one, 20);
    latency_add(&one, 30);
    latency_merge(&all, &one);

    cr_assert_eq(all.count, 3);
    cr_assert_eq(all.sum, 60);
    cr_assert_eq(all.max, 30);
    cr_assert_eq(latency_percentile(&all, 50), 20);
}
