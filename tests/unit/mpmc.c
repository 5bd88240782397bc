/* SPDX-License-Identifier: MIT */
/* The life of record rings and of their ends: create, join, close, tune, stats. */
#include "mpmc_support.h"

#include <criterion/criterion.h>
#include <mring/mpmc.h>
#include <mring/spsc.h>

/* ---- create ---------------------------------------------------------------------------------- */

TestSuite(mring_mpmc_create, .init = support_begin, .fini = support_end);

Test(mring_mpmc_create, makes_an_empty_open_ring_of_the_capacity_asked_for, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        for (uint64_t capacity = smallest(); capacity <= 16 * smallest(); capacity *= 2) {
            struct setup setup = { .variety = variety };

            cr_assert_eq(
                mring_mpmc_create(&setup.ring, &(struct mring_args){ .capacity = capacity,
                                                                     .flags = variety->mode,
                                                                     .granule = variety->granule }),
                0, "%s", variety->name);

            join_all(&setup);
            cr_expect_eq(mring_mpmc_capacity(&setup.ring), capacity, "%s", variety->name);
            cr_expect(setup.ring.map.created);
            cr_expect_not(mring_mpmc_is_closed(&setup.ring, MRING_WRITE_END, NULL));
            cr_expect_not(mring_mpmc_is_closed(&setup.ring, MRING_READ_END, NULL));
            cr_expect_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s", variety->name);
            cr_expect_eq(fill(&setup), capacity / variety->granule, "%s", variety->name);
            finish(&setup);
        }
    }
}

Test(mring_mpmc_create, has_records_as_large_as_the_ring_by_default, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct mring_mpmc ring = new_records(&varieties[i]);

        cr_expect_eq(mring_mpmc_record_max(&ring), smallest() - head_of(&varieties[i]), "%s",
                     varieties[i].name);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_create, has_granules_of_16_bytes_by_default_or_64_with_skip_stalled, .timeout = 5)
{
    static const struct {
        unsigned flags;
        size_t of_0, of_9;
    } rows[] = {
        { 0, 16, 32 },
        { MRING_SINGLE_PRODUCER, 16, 32 },
        { MRING_SINGLE_CONSUMER, 16, 32 },
        { SINGLE_BOTH, 16, 32 },
        { MRING_SKIP_STALLED, 64, 64 },
        { MRING_NOWAIT, 16, 32 },
        { MRING_FENCE, 16, 32 },
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct mring_mpmc ring;

        cr_assert_eq(mring_mpmc_create(&ring, &(struct mring_args){ .capacity = smallest(),
                                                                    .flags = rows[i].flags }),
                     0, "row %zu", i);

        cr_expect_eq(mring_mpmc_record_bytes(&ring, 0), rows[i].of_0, "row %zu", i);
        cr_expect_eq(mring_mpmc_record_bytes(&ring, 9), rows[i].of_9, "row %zu", i);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_create, has_the_largest_record_that_was_asked_for, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const uint64_t sizes[] = { 1, 8, 100, smallest() - head_of(&varieties[i]) };
        for (size_t j = 0; j < ROWS(sizes); j++) {
            struct setup setup = { .variety = &varieties[i] };
            size_t size = (size_t)sizes[j];

            cr_assert_eq(mring_mpmc_create(&setup.ring,
                                           &(struct mring_args){ .capacity = smallest(),
                                                                 .flags = varieties[i].mode,
                                                                 .granule = varieties[i].granule,
                                                                 .record_max = size }),
                         0, "%s, %zu", varieties[i].name, size);

            join_all(&setup);
            cr_expect_eq(mring_mpmc_record_max(&setup.ring), size);
            cr_expect_eq(put(&setup.out[0], 1, size), 0, "%s, %zu", varieties[i].name, size);
            cr_expect(take(&setup.in[0], 1, size), "%s, %zu", varieties[i].name, size);
            cr_expect_eq(put(&setup.out[0], 1, size + 1), MRING_TOO_LARGE, "%s, %zu",
                         varieties[i].name, size);
            finish(&setup);
        }
    }
}

Test(mring_mpmc_create, has_records_of_less_than_a_gibibyte_in_larger_rings, .timeout = 60)
{
#if SIZE_MAX <= UINT32_MAX
    cr_skip_test("needs more addresses than 32 bits give");
#endif
    static const struct {
        unsigned flags;
        uint64_t capacity, record_max;
    } rows[] = {
        { 0, UINT64_C(1) << 30, (UINT64_C(1) << 30) - 8 },
        { MRING_SKIP_STALLED, UINT64_C(1) << 30, (UINT64_C(1) << 30) - 1 },
        { 0, UINT64_C(1) << 31, (UINT64_C(1) << 30) - 1 },
        { SINGLE_BOTH, UINT64_C(1) << 31, (UINT64_C(1) << 30) - 1 },
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct mring_args args = { .capacity = rows[i].capacity, .flags = rows[i].flags };
        struct mring_mpmc ring;

        cr_assert_eq(mring_mpmc_create(&ring, &args), 0, "row %zu", i);

        cr_expect_eq(mring_mpmc_record_max(&ring), rows[i].record_max, "row %zu", i);
        cr_expect_eq(mring_mpmc_destroy(&ring), 0);
        args.record_max = rows[i].record_max + 1;
        cr_expect_eq(mring_mpmc_create(&ring, &args), MMAP_INVALID_ARG, "row %zu", i);
    }
}

Test(mring_mpmc_create, fails_with_invalid_arg_and_leaves_no_trace, .timeout = 5)
{
    const uint64_t capacity = smallest();
    const struct mring_args rows[] = {
        { .capacity = 0 },
        { .capacity = 1 },
        { .capacity = capacity - 1 },
        { .capacity = capacity + 1 },
        { .capacity = capacity / 2 },
        { .capacity = 3 * capacity },
        { .capacity = UINT64_MAX },
        { .capacity = UINT64_C(1) << 63 },
        { .capacity = capacity, .flags = 1u << 6 },
        { .capacity = capacity, .flags = 1u << 20 },
        { .capacity = capacity, .flags = 1u << 31 },
        { .capacity = capacity, .flags = MRING_SKIP_STALLED | MRING_SINGLE_PRODUCER },
        { .capacity = capacity, .flags = MRING_SKIP_STALLED | MRING_SINGLE_CONSUMER },
        { .capacity = capacity, .flags = MRING_SKIP_STALLED | SINGLE_BOTH },
        { .capacity = capacity, .granule = 1 },
        { .capacity = capacity, .granule = 8 },
        { .capacity = capacity, .granule = 24 },
        { .capacity = capacity, .granule = 48 },
        { .capacity = capacity, .granule = 128 },
        { .capacity = capacity, .granule = UINT32_MAX },
        { .capacity = capacity, .record_max = capacity - 7 },
        { .capacity = capacity, .record_max = capacity },
        { .capacity = capacity, .record_max = UINT64_MAX },
        { .capacity = capacity, .flags = SINGLE_BOTH, .record_max = capacity - 7 },
        { .capacity = capacity, .flags = MRING_SKIP_STALLED, .record_max = capacity + 1 },
        { .capacity = capacity, .map_flags = 1u << 30 },
        { .capacity = capacity, .tagname = "a/b" },
        { .capacity = capacity, .tagname = "" },
    };
    struct mring_mpmc ring, before;
    memset(&ring, 0xa5, sizeof ring);
    memset(&before, 0xa5, sizeof before);
    mmap_mirror_granularity(0); /* anything that is set up once is not a trace */
    support_remember();

    for (size_t i = 0; i < ROWS(rows); i++) {
        cr_expect_eq(mring_mpmc_create(&ring, &rows[i]), MMAP_INVALID_ARG, "row %zu", i);
        cr_expect(memcmp(&ring, &before, sizeof ring) == 0, "row %zu", i);
    }
    ASSERT_NOTHING_LEFT();
}

Test(mring_spsc_create, refuses_what_is_for_record_rings, .timeout = 5)
{
    const struct mring_args rows[] = {
        { .capacity = smallest(), .flags = MRING_SINGLE_PRODUCER },
        { .capacity = smallest(), .flags = MRING_SINGLE_CONSUMER },
        { .capacity = smallest(), .flags = SINGLE_BOTH },
        { .capacity = smallest(), .flags = MRING_SKIP_STALLED },
        { .capacity = smallest(), .granule = 16 },
        { .capacity = smallest(), .record_max = 1 },
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct mring_spsc ring;

        cr_expect_eq(mring_spsc_create(&ring, &rows[i]), MMAP_INVALID_ARG, "row %zu", i);
    }
}

/* ---- join and leave -------------------------------------------------------------------------- */

Test(mring_mpmc_join, fails_with_busy_where_the_mode_allows_one, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        struct mring_mpmc_end extra, before;
        memset(&extra, 0xa5, sizeof extra);
        memset(&before, 0xa5, sizeof before);
        begin(&setup, variety);

        for (int j = 0; j < 3 && has_one_producer(variety); j++)
            cr_expect_eq(mring_mpmc_join(&setup.ring, &extra, MRING_WRITE_END), MRING_BUSY);
        for (int j = 0; j < 3 && has_one_consumer(variety); j++)
            cr_expect_eq(mring_mpmc_join(&setup.ring, &extra, MRING_READ_END), MRING_BUSY);

        cr_expect(memcmp(&extra, &before, sizeof extra) == 0, "%s", variety->name);
        cr_expect_eq(put(&setup.out[0], 1, 30), 0, "%s", variety->name);
        cr_expect(take(&setup.in[0], 1, 30), "%s", variety->name);
        mring_mpmc_leave(&setup.out[0]);
        mring_mpmc_leave(&setup.in[0]);
        cr_expect_eq(mring_mpmc_join(&setup.ring, &setup.out[0], MRING_WRITE_END), 0);
        cr_expect_eq(mring_mpmc_join(&setup.ring, &setup.in[0], MRING_READ_END), 0);
        finish(&setup);
    }
}

Test(mring_mpmc_join, succeeds_again_after_the_one_before_has_left, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        begin(&setup, &varieties[i]);

        for (size_t size = 0; size < 500; size += 7) {
            mring_mpmc_leave(&setup.out[0]);
            cr_assert_eq(mring_mpmc_join(&setup.ring, &setup.out[0], MRING_WRITE_END), 0);
            cr_assert_eq(put(&setup.out[0], size, size), 0, "%s", varieties[i].name);
            cr_assert_eq(put(&setup.out[0], size + 1, size), 0, "%s", varieties[i].name);
            cr_assert(take(&setup.in[0], size, size), "%s", varieties[i].name);
            mring_mpmc_leave(&setup.in[0]);
            cr_assert_eq(mring_mpmc_join(&setup.ring, &setup.in[0], MRING_READ_END), 0);
            cr_assert(take(&setup.in[0], size + 1, size), "%s", varieties[i].name);
        }
        cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s", varieties[i].name);
        finish(&setup);
    }
}

Test(mring_mpmc_join, makes_any_number_of_ends_where_the_mode_does, .timeout = 10)
{
    enum { MANY = 200 };
    static struct mring_mpmc_end out[MANY], in[MANY];

    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct mring_mpmc ring = new_records(variety);
        size_t producers = has_one_producer(variety) ? 1 : MANY;
        size_t consumers = has_one_consumer(variety) ? 1 : MANY;

        for (size_t j = 0; j < producers; j++)
            cr_assert_eq(mring_mpmc_join(&ring, &out[j], MRING_WRITE_END), 0);
        for (size_t j = 0; j < consumers; j++)
            cr_assert_eq(mring_mpmc_join(&ring, &in[j], MRING_READ_END), 0);

        for (size_t j = 0; j < 1000; j++) {
            cr_assert_eq(put(&out[j % producers], j, j % 300), 0, "%s", variety->name);
            cr_assert(take(&in[(j * 7 + 3) % consumers], j, j % 300), "%s", variety->name);
        }
        mring_mpmc_destroy(&ring);
    }
}

/* A single producer that was killed has left hostile bytes in the room that it had reserved. */
Test(mring_mpmc_join, of_a_single_producer_goes_on_behind_what_the_one_before_has_committed,
     .timeout = 60)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        for (uint64_t seed = 0; seed < 500 / step() && has_one_producer(variety); seed++) {
            struct setup setup;
            uint64_t starts[4], random = seed;
            begin_at(&setup, variety, (starts_of(smallest(), starts), starts[seed % 4]));
            const struct mring_layout *layout = &setup.ring.layout;
            for (size_t j = random_below(&random, 200); j > 0; j--) {
                cr_assert_eq(put(&setup.out[0], j, 8 + j), 0);
                cr_assert(take(&setup.in[0], j, 8 + j));
            }
            size_t before = (size_t)random_below(&random, 30);
            for (size_t j = 0; j < before; j++)
                cr_assert_eq(put(&setup.out[0], j, 40), 0);
            size_t size = (size_t)random_below(&random, 2000);
            void *room = reserve(&setup.out[0], size);
            cr_assert_not_null(room);
            for (uint64_t laps = 0; laps < 2; laps++) /* words of this lap, too */
                imitate(layout, setup.out[0].pos - laps * (layout->mask + 1), seed + laps, room,
                        size);

            struct mring_mpmc other = as_in_another_process(&setup.ring);
            struct mring_mpmc_end successor;
            cr_assert_eq(mring_mpmc_join(&other, &successor, MRING_WRITE_END), 0);

            cr_assert_eq(put(&successor, 1000, 1), 0, "%s, %zu", variety->name, (size_t)seed);
            for (size_t j = 0; j < before; j++)
                cr_assert(take(&setup.in[0], j, 40), "%s, %zu", variety->name, (size_t)seed);
            cr_assert(take(&setup.in[0], 1000, 1), "%s, %zu", variety->name, (size_t)seed);
            cr_assert_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s, %zu", variety->name,
                         (size_t)seed);
            setup.out[0] = successor;
            cr_assert_eq(granules_free(&setup), granules_of(&setup), "%s", variety->name);
            mring_mpmc_destroy(&setup.ring);
        }
    }
}

/* That one has claimed six, and released some of them. */
Test(mring_mpmc_join, of_a_single_consumer_gets_again_what_the_one_before_had_not_released,
     .timeout = 20)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        for (unsigned released = 0; released < 64 && has_one_consumer(&varieties[i]); released++) {
            struct setup setup;
            struct mring_claim claims[6];
            begin(&setup, &varieties[i]);
            for (size_t j = 0; j < 8; j++)
                cr_assert_eq(put(&setup.out[0], j, 60 * j), 0);
            for (size_t j = 0; j < 6; j++)
                cr_assert_eq(claim(&setup.in[0], &claims[j], 1), 1);
            for (size_t j = 6; j-- > 0;)
                if (released >> j & 1)
                    release(&setup.in[0], &claims[j]);

            struct mring_mpmc other = as_in_another_process(&setup.ring);
            struct mring_mpmc_end successor;
            cr_assert_eq(mring_mpmc_join(&other, &successor, MRING_READ_END), 0);

            for (size_t j = 0; j < 8; j++)
                if (j >= 6 || !(released >> j & 1))
                    cr_assert(take(&successor, j, 60 * j), "%s, %#x, %zu", varieties[i].name,
                              released, j);
            cr_assert_eq(pop_any(&successor), MRING_EMPTY);
            setup.in[0] = successor;
            cr_assert_eq(granules_free(&setup), granules_of(&setup), "%s, %#x", varieties[i].name,
                         released);
            mring_mpmc_destroy(&setup.ring);
        }
    }
}

/* As above; but the successor claims them one by one before it releases the first. */
Test(mring_mpmc_join, of_a_single_consumer_may_claim_all_of_that_before_it_releases, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        for (unsigned released = 0; released < 16 && has_one_consumer(&varieties[i]); released++) {
            struct setup setup;
            struct mring_claim claims[6];
            size_t count = 0;
            begin(&setup, &varieties[i]);
            for (size_t j = 0; j < 6; j++)
                cr_assert_eq(put(&setup.out[0], j, 60), 0);
            for (size_t j = 0; j < 4; j++)
                cr_assert_eq(claim(&setup.in[0], &claims[j], 1), 1);
            for (size_t j = 4; j-- > 0;)
                if (released >> j & 1)
                    release(&setup.in[0], &claims[j]);
            struct mring_mpmc other = as_in_another_process(&setup.ring);
            struct mring_mpmc_end successor;
            cr_assert_eq(mring_mpmc_join(&other, &successor, MRING_READ_END), 0);

            while (claim(&successor, &claims[count], 1) == 1)
                count++;
            for (size_t j = 0; j < count; j++)
                release(&successor, &claims[j]);

            setup.in[0] = successor;
            cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s, %#x", varieties[i].name,
                         released);
            mring_mpmc_destroy(&setup.ring);
        }
    }
}

Test(mring_mpmc_join, fails_with_corrupt_when_records_are_longer_than_the_ring, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        if (!has_one_producer(&varieties[i]))
            continue;
        struct mring_mpmc ring = new_records(&varieties[i]);
        struct mring_mpmc_end member, before;
        mring_atomic_u64 *word = mring_mpmc_word(&ring.layout, false, smallest());
        memset(&member, 0xa5, sizeof member);
        memset(&before, 0xa5, sizeof before);
        mring_store_relaxed_u64(
            word, mring_mpmc_make(&ring.layout, smallest(), MRING_STATE_READY, smallest() - 7));

        cr_expect_eq(mring_mpmc_join(&ring, &member, MRING_WRITE_END), MRING_CORRUPT);

        cr_expect(memcmp(&member, &before, sizeof member) == 0);
        mring_store_relaxed_u64(
            word, mring_mpmc_make(&ring.layout, smallest(), MRING_STATE_READY, smallest() - 8));
        cr_expect_eq(mring_mpmc_join(&ring, &member, MRING_WRITE_END), 0, "it does not count");
        cr_expect_eq(put(&member, 0, 0), MRING_FULL);
        mring_mpmc_destroy(&ring);
    }
}

/* As a peer might have written them that means no good. */
Test(mring_mpmc_join, comes_to_an_end_with_words_that_free_nothing, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct mring_mpmc ring = new_records(&varieties[i]);
        const struct mring_layout *layout = &ring.layout;
        struct mring_mpmc_end member;
        if (has_one_producer(&varieties[i])) {
            for (uint64_t pos = smallest(); pos < 2 * smallest(); pos += varieties[i].granule)
                mring_store_relaxed_u64(mring_mpmc_word(layout, false, pos),
                                        mring_mpmc_make(layout, pos, MRING_STATE_FREE, 0));

            cr_expect_eq(mring_mpmc_join(&ring, &member, MRING_WRITE_END), 0);

            /* Several consumers would have released them. */
            cr_expect_eq(put(&member, 0, 0), has_one_consumer(&varieties[i]) ? MRING_FULL : 0);
        }
        mring_mpmc_destroy(&ring);
    }
}

/* ---- close ----------------------------------------------------------------------------------- */

Test(mring_mpmc_close, is_seen_with_its_status, .timeout = 10)
{
    static const uint32_t statuses[] = { 0, 1, 42, UINT32_MAX - 1, UINT32_MAX };

    for (size_t i = 0; i < ROWS(varieties) * ROWS(statuses) * 2; i++) {
        const struct variety *variety = &varieties[i / 2 / ROWS(statuses)];
        uint32_t wanted = statuses[i / 2 % ROWS(statuses)], status = 77;
        enum mring_end end = i % 2 ? MRING_READ_END : MRING_WRITE_END;
        enum mring_end other = i % 2 ? MRING_WRITE_END : MRING_READ_END;
        struct mring_mpmc ring = new_records(variety);

        mring_mpmc_close(&ring, end, wanted);

        cr_expect(mring_mpmc_is_closed(&ring, end, &status), "%s", variety->name);
        cr_expect_eq(status, wanted, "%s", variety->name);
        cr_expect(mring_mpmc_is_closed(&ring, end, NULL), "%s", variety->name);
        cr_expect_not(mring_mpmc_is_closed(&ring, other, &status), "%s", variety->name);
        cr_expect_eq(status, wanted, "an open end leaves the status alone");
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_close, counts_once_for_each_end, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct mring_mpmc ring = new_records(&varieties[i]);
        uint32_t status = 99;

        mring_mpmc_close(&ring, MRING_READ_END, 0);
        mring_mpmc_close(&ring, MRING_READ_END, 1);
        mring_mpmc_close(&ring, MRING_WRITE_END, 2);
        mring_mpmc_close(&ring, MRING_WRITE_END, 3);

        cr_expect(mring_mpmc_is_closed(&ring, MRING_READ_END, &status));
        cr_expect_eq(status, 0);
        cr_expect(mring_mpmc_is_closed(&ring, MRING_WRITE_END, &status));
        cr_expect_eq(status, 2);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_close, of_either_end_leaves_no_room_and_lets_the_records_drain, .timeout = 10)
{
    for (size_t i = 0; i < 2 * ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i / 2];
        struct setup setup;
        struct mring_claim none;
        begin(&setup, variety);
        for (size_t j = 0; j < 5; j++)
            cr_assert_eq(put(&setup.out[0], j, 100 * j), 0);

        mring_mpmc_close(&setup.ring, i % 2 ? MRING_READ_END : MRING_WRITE_END, 0);

        for (size_t j = 0; j < 6; j++) {
            for (size_t k = 0; k < setup.producers; k++) {
                cr_expect_eq(put(&setup.out[k], 0, 1), MRING_CLOSED, "%s", variety->name);
                cr_expect_eq(put(&setup.out[k], 0, 4000), MRING_CLOSED, "%s", variety->name);
                cr_expect_null(reserve(&setup.out[k], 0), "%s", variety->name);
                cr_expect_eq(push_n(&setup.out[k], "abc", 1, 3), 0, "%s", variety->name);
                cr_expect_eq(put(&setup.out[k], 0, smallest() + 1), MRING_TOO_LARGE);
            }
            if (j < 5)
                cr_expect(take(&setup.in[j % setup.consumers], j, 100 * j), "%s", variety->name);
        }
        for (size_t j = 0; j < setup.consumers; j++) {
            cr_expect_eq(pop_any(&setup.in[j]), MRING_EOF, "%s", variety->name);
            cr_expect_eq(claim(&setup.in[j], &none, 9), 0, "%s", variety->name);
            cr_expect_eq(pop_n(&setup.in[j], NULL, 0, 9), 0, "%s", variety->name);
        }
        finish(&setup);
    }
}

Test(mring_mpmc_close, of_an_empty_ring_is_the_end_at_once, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        begin(&setup, &varieties[i]);

        mring_mpmc_close(&setup.ring, MRING_WRITE_END, 0);

        cr_expect_eq(pop_any(&setup.in[0]), MRING_EOF, "%s", varieties[i].name);
        cr_expect_eq(put(&setup.out[0], 0, 0), MRING_CLOSED, "%s", varieties[i].name);
        finish(&setup);
    }
}

Test(mring_mpmc_close, of_a_full_ring_says_closed_and_not_full, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        begin(&setup, &varieties[i]);
        cr_assert_eq(fill(&setup), granules_of(&setup));
        cr_assert_eq(put(&setup.out[0], 0, 0), MRING_FULL);

        mring_mpmc_close(&setup.ring, MRING_READ_END, 0);

        cr_expect_eq(put(&setup.out[0], 0, 0), MRING_CLOSED, "%s", varieties[i].name);
        cr_expect_eq(drain(&setup), granules_of(&setup), "%s", varieties[i].name);
        cr_expect_eq(pop_any(&setup.in[0]), MRING_EOF, "%s", varieties[i].name);
        finish(&setup);
    }
}

/* What a producer does with the reservation that it had before. */
static void end_reservation(struct mring_mpmc_end *producer, void *room, int how)
{
    memcpy(room, bytes_of(7, 200), 200);
    if (how == 0)
        commit(producer, 200);
    else if (how == 1)
        commit(producer, 20);
    else
        mring_mpmc_abort(producer);
}

static bool takes_what_was_reserved(struct mring_mpmc_end *consumer, int how)
{
    return how == 2 || take(consumer, 7, how == 0 ? 200 : 20);
}

Test(mring_mpmc_close, delivers_what_was_reserved_before_and_then_the_end, .timeout = 10)
{
    for (size_t i = 0; i < 6 * ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i / 6];
        int how = (int)(i / 2 % 3);
        struct setup setup;
        if (has_one_producer(variety))
            continue;
        begin(&setup, variety);
        cr_assert_eq(put(&setup.out[0], 1, 100), 0);
        void *room = reserve(&setup.out[1], 200);
        cr_assert_not_null(room);
        cr_assert_eq(put(&setup.out[0], 2, 100), 0);

        mring_mpmc_close(&setup.ring, i % 2 ? MRING_READ_END : MRING_WRITE_END, 0);

        cr_expect(take(&setup.in[0], 1, 100), "%s", variety->name);
        if (skips(variety))
            cr_expect(take(&setup.in[0], 2, 100), "%s", variety->name);
        cr_expect_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s: not yet the end", variety->name);
        end_reservation(&setup.out[1], room, how);
        cr_expect(takes_what_was_reserved(&setup.in[0], how), "%s", variety->name);
        if (!skips(variety))
            cr_expect(take(&setup.in[0], 2, 100), "%s", variety->name);
        cr_expect_eq(pop_any(&setup.in[0]), MRING_EOF, "%s", variety->name);
        cr_expect_null(reserve(&setup.out[1], 0), "%s", variety->name);
        finish(&setup);
    }
}

/* It closes the write end itself, before it commits. */
Test(mring_mpmc_close, is_not_the_end_while_another_consumer_has_claimed_the_last_records,
     .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        struct mring_claim claimed;
        size_t size;
        begin(&setup, &varieties[i]);
        cr_assert_eq(put(&setup.out[0], 1, 100), 0);
        cr_assert_eq(put(&setup.out[0], 2, 100), 0);
        cr_assert_eq(claim(&setup.in[0], &claimed, 2), 2);

        mring_mpmc_close(&setup.ring, MRING_WRITE_END, 0);

        cr_expect_eq(pop_any(&setup.in[setup.consumers - 1]), MRING_EOF,
                     "%s: there is nothing for others", varieties[i].name);
        cr_expect(has_bytes_of(next(&setup.in[0], &claimed, &size), 1, 100));
        cr_expect(has_bytes_of(next(&setup.in[0], &claimed, &size), 2, 100));
        release(&setup.in[0], &claimed);
        cr_expect_eq(pop_any(&setup.in[0]), MRING_EOF, "%s", varieties[i].name);
        finish(&setup);
    }
}

/* ---- destroy --------------------------------------------------------------------------------- */

Test(mring_mpmc_destroy, does_nothing_with_zeros_and_makes_them, .timeout = 5)
{
    struct mring_mpmc zeros;
    memset(&zeros, 0, sizeof zeros);
    cr_expect_eq(mring_mpmc_destroy(&zeros), 0);

    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct mring_mpmc ring = new_records(&varieties[i]);

        cr_expect_eq(mring_mpmc_destroy(&ring), 0);

        cr_expect(support_is_zero(&ring, sizeof ring));
        cr_expect_eq(mring_mpmc_destroy(&ring), 0, "twice is once");
    }
}

/* ---- tune ------------------------------------------------------------------------------------ */

Test(mring_mpmc_tune, fails_with_invalid_arg_and_changes_nothing, .timeout = 5)
{
    const uint64_t capacity = smallest();

    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        begin(&setup, variety);
        int batch = has_one_consumer(variety) ? 0 : MMAP_INVALID_ARG;
        const struct {
            struct mring_mpmc_end *member;
            struct mring_tuning tuning;
            int err;
        } rows[] = {
            { &setup.in[0], { .batch_bytes = capacity + 1 }, MMAP_INVALID_ARG },
            { &setup.in[0], { .batch_bytes = UINT64_MAX }, MMAP_INVALID_ARG },
            { &setup.in[0], { .batch_bytes = capacity }, batch },
            { &setup.in[0], { .batch_bytes = 1 }, batch },
            { &setup.out[0], { .batch_bytes = 1 }, MMAP_INVALID_ARG },
            { &setup.in[0], { .hold_ns = 10001 }, MMAP_INVALID_ARG },
            { &setup.out[0], { .hold_ns = 10001 }, MMAP_INVALID_ARG },
            { &setup.out[0], { .hold_ns = INT64_MAX }, MMAP_INVALID_ARG },
            { &setup.in[0], { .hold_ns = 10000, .spin_ns = -1 }, 0 },
            { &setup.out[0], { .hold_ns = -1, .spin_ns = INT64_MAX }, 0 },
            { &setup.in[0], { .spin_ns = 0 }, 0 },
            { &setup.out[0], { .spin_ns = 0 }, 0 },
        };

        for (size_t j = 0; j < ROWS(rows); j++) {
            struct mring_mpmc_end before = *rows[j].member;
            cr_expect_eq(mring_mpmc_tune(rows[j].member, &rows[j].tuning), rows[j].err,
                         "%s, row %zu", variety->name, j);
            if (rows[j].err != 0)
                cr_expect(memcmp(&before, rows[j].member, sizeof before) == 0, "row %zu", j);
        }
        finish(&setup);
    }
}

/* In a full ring, the room that comes back when records of one granule are popped. */
Test(mring_mpmc_tune, has_a_single_consumer_give_room_back_when_enough_has_come_together,
     .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        if (!has_one_consumer(variety))
            continue;
        begin(&setup, variety);
        cr_assert_eq(mring_mpmc_tune(&setup.in[0],
                                     &(struct mring_tuning){ .batch_bytes = 5 * variety->granule }),
                     0);
        cr_assert_eq(fill(&setup), granules_of(&setup));

        for (size_t j = 1; j < granules_of(&setup) - 4; j++) {
            cr_assert_eq(pop_any(&setup.in[0]), 0);
            size_t pushed = fill(&setup);
            cr_assert_eq(pushed, j % 5 == 0 ? 5 : 0, "%s, %zu", variety->name, j);
        }
        finish(&setup);
    }
}

Test(mring_mpmc_tune, has_what_a_single_consumer_pops_together_held_back_as_well, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        static const size_t given_back[] = { 0, 0, 6, 0, 0, 6 };
        unsigned char buffer[2 * 64];
        struct setup setup;
        if (!has_one_consumer(variety))
            continue;
        begin(&setup, variety);
        cr_assert_eq(mring_mpmc_tune(&setup.in[0],
                                     &(struct mring_tuning){ .batch_bytes = 5 * variety->granule }),
                     0);
        cr_assert_eq(fill(&setup), granules_of(&setup));

        for (size_t j = 0; j < ROWS(given_back); j++) {
            cr_assert_eq(pop_n(&setup.in[0], buffer, size_of_granules(variety, 1), 2), 2);
            cr_expect_eq(fill(&setup), given_back[j], "%s, %zu", variety->name, j);
        }
        finish(&setup);
    }
}

Test(mring_mpmc_tune, has_claims_of_a_single_consumer_held_back_as_well, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        struct mring_claim first, second, third;
        if (!has_one_consumer(variety))
            continue;
        begin(&setup, variety);
        cr_assert_eq(mring_mpmc_tune(&setup.in[0],
                                     &(struct mring_tuning){ .batch_bytes = 5 * variety->granule }),
                     0);
        cr_assert_eq(fill(&setup), granules_of(&setup));
        cr_assert_eq(claim(&setup.in[0], &first, 2), 2);
        cr_assert_eq(claim(&setup.in[0], &second, 2), 2);
        cr_assert_eq(claim(&setup.in[0], &third, 2), 2);

        release(&setup.in[0], &second);
        cr_expect_eq(fill(&setup), 0, "%s", variety->name);
        release(&setup.in[0], &first);
        cr_expect_eq(fill(&setup), 0, "%s: four are not five", variety->name);
        release(&setup.in[0], &third);
        cr_expect_eq(fill(&setup), 6, "%s", variety->name);
        finish(&setup);
    }
}

/* There is a whole ring to be read before what it writes is late. */
Test(mring_mpmc_hold, comes_to_a_producer_that_looks_in_vain_between, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        begin(&setup, &varieties[i]);
        cr_assert_eq(fill(&setup), granules_of(&setup));

        for (uint32_t j = 0; j < MRING_HOLD_NEEDED_MIN; j++) {
            cr_assert_eq(put(&setup.out[0], 0, 0), MRING_FULL, "%s", varieties[i].name);
            cr_assert_eq(pop_any(&setup.in[0]), 0, "%s", varieties[i].name);
            cr_assert_eq(put(&setup.out[0], 0, 0), 0, "%s", varieties[i].name);
        }

        cr_expect_eq(setup.out[0].hold.finds, MRING_HOLD_NEEDED_MIN, "%s", varieties[i].name);
        finish(&setup);
    }
}

/* What makes a single consumer give back what it holds. */
static void find_it_empty_by_pop(struct setup *setup)
{
    cr_assert_eq(pop_any(&setup->in[0]), MRING_EMPTY);
}

static void find_it_empty_by_pop_n(struct setup *setup)
{
    cr_assert_eq(pop_n(&setup->in[0], NULL, 0, 1), 0);
}

static void find_it_empty_by_claim(struct setup *setup)
{
    struct mring_claim none;

    cr_assert_eq(claim(&setup->in[0], &none, 1), 0);
}

static void leave(struct setup *setup)
{
    mring_mpmc_leave(&setup->in[0]);
    cr_assert_eq(mring_mpmc_join(&setup->ring, &setup->in[0], MRING_READ_END), 0);
}

static void tune(struct setup *setup)
{
    cr_assert_eq(mring_mpmc_tune(&setup->in[0], &(struct mring_tuning){ 0 }), 0);
}

Test(mring_mpmc_tune, has_a_single_consumer_give_back_what_it_holds_when_it_finds_nothing_or_leaves,
     .timeout = 10)
{
    void (*const causes[])(struct setup *) = { find_it_empty_by_pop, find_it_empty_by_pop_n,
                                               find_it_empty_by_claim, leave, tune };

    for (size_t i = 0; i < ROWS(varieties) * ROWS(causes); i++) {
        const struct variety *variety = &varieties[i / ROWS(causes)];
        struct setup setup;
        if (!has_one_consumer(variety))
            continue;
        begin(&setup, variety);
        cr_assert_eq(
            mring_mpmc_tune(&setup.in[0], &(struct mring_tuning){ .batch_bytes = smallest() }), 0);
        cr_assert_eq(put(&setup.out[0], 1, 1000), 0);
        cr_assert(take(&setup.in[0], 1, 1000));
        cr_assert_eq(put(&setup.out[0], 0, smallest() - 8), MRING_FULL, "%s", variety->name);

        causes[i % ROWS(causes)](&setup);

        cr_expect_eq(put(&setup.out[0], 0, smallest() - 8), 0, "%s, cause %zu", variety->name,
                     i % ROWS(causes));
        finish(&setup);
    }
}

/* ---- stats ----------------------------------------------------------------------------------- */

static struct mring_stats stats_of(const struct mring_mpmc_end *member)
{
    struct mring_stats stats;

    memset(&stats, 0xa5, sizeof stats);
    mring_mpmc_stats(member, &stats);
    return stats;
}

Test(mring_mpmc_stats, counts_bytes_since_the_ring_was_made_and_what_was_asked_for_in_vain,
     .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        begin(&setup, variety);
        size_t of_100 = mring_mpmc_record_bytes(&setup.ring, 100);
        struct mring_mpmc_end *out = &setup.out[0], *in = &setup.in[0];
        cr_expect_eq(stats_of(out).bytes, 0);
        cr_expect_eq(stats_of(in).bytes, 0);
        cr_expect_eq(stats_of(in).misses, 0);

        cr_assert_eq(put(out, 1, 100), 0);
        cr_assert_eq(put(out, 2, 100), 0);
        cr_assert(take(in, 1, 100));
        cr_expect_eq(stats_of(out).bytes, 2 * of_100, "%s", variety->name);
        if (!skips(variety)) /* whose position is a hint */
            cr_expect_eq(stats_of(in).bytes, of_100, "%s", variety->name);
        cr_expect_eq(stats_of(out).misses, 0);
        cr_assert(take(in, 2, 100));
        cr_assert_eq(pop_any(in), MRING_EMPTY);
        cr_assert_eq(pop_any(in), MRING_EMPTY);
        cr_expect_eq(stats_of(in).bytes, 2 * of_100, "%s", variety->name);
        cr_expect_eq(stats_of(in).misses, 2, "%s", variety->name);
        cr_assert_eq(fill(&setup), granules_of(&setup));
        cr_expect_eq(stats_of(out).bytes, 2 * of_100 + smallest(), "%s", variety->name);
        cr_expect_eq(stats_of(out).misses, 1, "%s", variety->name);
        cr_expect_eq(stats_of(out).high_water, smallest(), "%s", variety->name);
        mring_mpmc_close(&setup.ring, MRING_WRITE_END, 0);
        cr_expect_eq(stats_of(out).bytes, 2 * of_100 + smallest(), "%s", variety->name);
        cr_expect_eq(stats_of(out).sleeps + stats_of(out).wakes, 0);
        finish(&setup);
    }
}
