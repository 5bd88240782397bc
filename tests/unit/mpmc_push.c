/* SPDX-License-Identifier: MIT */
/* Record rings: records that are pushed and popped, or written in place. */
#include "mpmc_support.h"

#include <criterion/criterion.h>
#include <mring/mpmc.h>

/* ---- push and pop ---------------------------------------------------------------------------- */

Test(mring_mpmc_push, carries_records_of_all_lengths_over_many_laps, .timeout = 60)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        begin(&setup, &varieties[i]);
        const size_t most = mring_mpmc_record_max(&setup.ring);

        for (size_t size = 0; size <= most; size += step() * step()) {
            cr_assert_eq(put(&setup.out[size % setup.producers], size, size), 0, "%s, %zu",
                         varieties[i].name, size);
            cr_assert(take(&setup.in[size % setup.consumers], size, size), "%s, %zu",
                      varieties[i].name, size);
        }
        cr_expect_eq(pop_any(&setup.in[0]), MRING_EMPTY);
        finish(&setup);
    }
}

Test(mring_mpmc_push, carries_records_as_large_as_the_ring_wherever_they_start, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        begin(&setup, &varieties[i]);
        const size_t most = mring_mpmc_record_max(&setup.ring);

        const size_t further = size_of_granules(&varieties[i], step() * step());

        for (size_t j = 0; j < granules_of(&setup); j += step() * step()) {
            cr_assert_eq(put(&setup.out[0], j, most), 0, "%s, %zu", varieties[i].name, j);
            cr_assert_eq(put(&setup.out[0], j, 0), MRING_FULL, "%s, %zu", varieties[i].name, j);
            cr_assert_eq(put(&setup.out[0], j, most), MRING_FULL, "%s, %zu", varieties[i].name, j);
            cr_assert(take(&setup.in[0], j, most), "%s, %zu", varieties[i].name, j);
            cr_assert_eq(put(&setup.out[0], j, further), 0);
            cr_assert_eq(put(&setup.out[0], j, most), MRING_FULL, "%s, %zu", varieties[i].name, j);
            cr_assert(take(&setup.in[0], j, further));
        }
        finish(&setup);
    }
}

Test(mring_mpmc_push, says_full_when_there_is_less_room_than_the_record_takes, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        begin(&setup, variety);
        for (size_t lap = 0; lap < 3; lap++) {
            cr_assert_eq(fill(&setup), granules_of(&setup), "%s", variety->name);
            for (size_t freed = 1; freed < granules_of(&setup); freed++) {
                cr_assert_eq(pop_any(&setup.in[0]), 0);
                if (freed % step() == 0)
                    cr_assert_eq(put(&setup.out[0], 1, size_of_granules(variety, freed) + 1),
                                 MRING_FULL, "%s, %zu", variety->name, freed);
            }
            cr_assert_eq(put(&setup.out[0], 1, size_of_granules(variety, granules_of(&setup) - 1)),
                         0, "%s", variety->name);
            cr_assert_eq(put(&setup.out[0], 1, 0), MRING_FULL, "%s", variety->name);
            cr_assert_eq(drain(&setup), 2);
            cr_assert_eq(pop_any(&setup.in[0]), MRING_EMPTY);
            cr_assert_eq(put(&setup.out[0], 1, 0), 0); /* the next lap begins elsewhere */
            cr_assert_eq(drain(&setup), 1);
        }
        finish(&setup);
    }
}

Test(mring_mpmc_push, takes_null_for_a_record_of_0_bytes, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        begin(&setup, &varieties[i]);

        for (size_t j = 0; j < 3 * granules_of(&setup); j++) {
            size_t size = 99;
            cr_assert_eq(push(&setup.out[0], NULL, 0), 0, "%s", varieties[i].name);
            cr_assert_eq(pop(&setup.in[0], NULL, 0, &size), 0, "%s", varieties[i].name);
            cr_assert_eq(size, 0, "%s", varieties[i].name);
            cr_assert_eq(pop(&setup.in[0], NULL, 0, &size), MRING_EMPTY, "%s", varieties[i].name);
        }
        finish(&setup);
    }
}

Test(mring_mpmc_push, fails_with_too_large_and_changes_nothing, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        begin(&setup, &varieties[i]);
        const size_t most = mring_mpmc_record_max(&setup.ring);
        const size_t sizes[] = { most + 1,       most + 8,        smallest() + 1,
                                 2 * smallest(), (size_t)1 << 30, ((size_t)1 << 30) + 8,
                                 SIZE_MAX - 7,   SIZE_MAX };

        for (size_t j = 0; j < ROWS(sizes); j++)
            cr_expect_eq(push(&setup.out[0], NULL, sizes[j]), MRING_TOO_LARGE, "%s, %zu",
                         varieties[i].name, sizes[j]);

        cr_expect_eq(pop_any(&setup.in[0]), MRING_EMPTY);
        cr_expect_eq(granules_free(&setup), granules_of(&setup));
        finish(&setup);
    }
}

Test(mring_mpmc_pop, fails_with_too_large_and_leaves_the_record_where_it_is, .timeout = 5)
{
    static const size_t sizes[] = { 1, 7, 8, 9, 24, 100, 1000, 4000 };

    for (size_t i = 0; i < ROWS(varieties) * ROWS(sizes); i++) {
        const struct variety *variety = &varieties[i / ROWS(sizes)];
        const size_t size = sizes[i % ROWS(sizes)];
        const size_t rooms[] = { 0, size / 2, size - 1 };
        unsigned char buffer[4001];
        struct setup setup;
        begin(&setup, variety);
        cr_assert_eq(put(&setup.out[0], 5, size), 0);
        memset(buffer, 0xa5, sizeof buffer);

        for (size_t j = 0; j < ROWS(rooms) * setup.consumers; j++) {
            size_t found = 99999;
            size_t room = rooms[j % ROWS(rooms)];
            cr_expect_eq(pop(&setup.in[j / ROWS(rooms)], room ? buffer : NULL, room, &found),
                         MRING_TOO_LARGE, "%s, %zu", variety->name, size);
            cr_expect_eq(found, size, "%s", variety->name);
            cr_expect_eq(pop_n(&setup.in[0], buffer, room, 1), 0, "%s", variety->name);
        }

        cr_expect_eq(buffer[0], 0xa5);
        cr_expect_eq(memcmp(buffer, buffer + 1, sizeof buffer - 1), 0, "nothing was written");
        size_t found;
        cr_expect_eq(pop(&setup.in[0], buffer, size, &found), 0);
        cr_expect(found == size && has_bytes_of(buffer, 5, size) && buffer[size] == 0xa5);
        finish(&setup);
    }
}

static void expect_no_more_than_the_record(const size_t *rooms, size_t count)
{
    for (size_t i = 0; i < ROWS(varieties) * count; i++) {
        const struct variety *variety = &varieties[i / count];
        unsigned char buffer[64];
        struct setup setup;
        size_t size = 99;
        begin(&setup, variety);
        cr_expect_eq(pop(&setup.in[0], buffer, rooms[i % count], &size), MRING_EMPTY);
        cr_expect_eq(size, 99);
        memset(buffer, 0xa5, sizeof buffer);
        cr_assert_eq(put(&setup.out[0], 5, 8), 0);

        cr_expect_eq(pop(&setup.in[0], buffer, rooms[i % count], &size), 0, "%s", variety->name);

        cr_expect_eq(size, 8, "%s, row %zu: %zu", variety->name, i % count, size);
        cr_expect(has_bytes_of(buffer, 5, 8), "%s", variety->name);
        cr_expect(buffer[8] == 0xa5 && memcmp(buffer + 8, buffer + 9, 55) == 0);
        finish(&setup);
    }
}

/* Such as look like a word's state, with a length behind. */
Test(mring_mpmc_pop, writes_no_more_than_the_record_however_much_room_there_is, .timeout = 5)
{
    static const size_t rooms[] = {
        9,
        ((size_t)1 << 30) - 1,
        (size_t)1 << 30,
        ((size_t)1 << 30) | 8,
        ((size_t)1 << 30) | 9,
        ((size_t)2 << 30) | 8,
        ((size_t)3 << 30) | 8,
        SIZE_MAX - 7,
        SIZE_MAX,
    };

    expect_no_more_than_the_record(rooms, ROWS(rooms));
}

/* Such as look like a word's lap, too. */
Test(mring_mpmc_pop, writes_no_more_than_the_record_when_there_is_room_for_laps, .timeout = 5)
{
#if SIZE_MAX > UINT32_MAX
    static const size_t rooms[] = {
        ((size_t)1 << 32) | 8,
        ((size_t)1 << 32) | ((size_t)1 << 30) | 8,
        ((size_t)1 << 63) | 8,
    };

    expect_no_more_than_the_record(rooms, ROWS(rooms));
#else
    cr_skip_test("a size has no more than 32 bits");
#endif
}

Test(mring_mpmc_pop, says_empty_and_leaves_size_alone_when_there_is_nothing, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        begin(&setup, &varieties[i]);

        for (size_t j = 0; j < setup.consumers; j++) {
            size_t size = 99;
            cr_expect_eq(pop(&setup.in[j], NULL, 0, &size), MRING_EMPTY, "%s", varieties[i].name);
            cr_expect_eq(size, 99);
        }

        cr_expect_eq(granules_free(&setup), granules_of(&setup));
        finish(&setup);
    }
}

/* ---- reserve, commit, abort ------------------------------------------------------------------ */

Test(mring_mpmc_reserve, gives_contiguous_bytes_at_a_multiple_of_8, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        begin(&setup, variety);

        for (size_t j = 0; j < 2 * granules_of(&setup); j += step() * step()) {
            size_t size = (j * 3001) % mring_mpmc_record_max(&setup.ring);
            struct mring_mpmc_end *out = &setup.out[j % setup.producers];
            unsigned char *room = reserve(out, size);
            cr_assert_not_null(room, "%s, %zu", variety->name, size);
            cr_assert_eq(((uintptr_t)room - head_of(variety)) % variety->granule, 0);
            memcpy(room, bytes_of(j, size), size);
            cr_assert_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s: not committed", variety->name);
            commit(out, size);
            cr_assert(take(&setup.in[j % setup.consumers], j, size), "%s", variety->name);
        }
        finish(&setup);
    }
}

Test(mring_mpmc_reserve, gives_null_when_there_is_no_room, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        begin(&setup, &varieties[i]);
        cr_assert_eq(fill(&setup), granules_of(&setup));

        for (size_t j = 0; j < setup.producers; j++) {
            cr_expect_null(reserve(&setup.out[j], 0), "%s", varieties[i].name);
            cr_expect_null(reserve(&setup.out[j], mring_mpmc_record_max(&setup.ring)));
        }

        cr_assert_eq(pop_any(&setup.in[0]), 0);
        cr_expect_not_null(reserve(&setup.out[0], 8), "%s", varieties[i].name);
        commit(&setup.out[0], 8);
        finish(&setup);
    }
}

Test(mring_mpmc_reserve, keeps_the_order_of_reservations_whatever_that_of_commits, .timeout = 10)
{
    static const size_t orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                        { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

    for (size_t i = 0; i < ROWS(varieties) * ROWS(orders); i++) {
        const struct variety *variety = &varieties[i / ROWS(orders)];
        const size_t *order = orders[i % ROWS(orders)];
        bool committed[4] = { false };
        struct setup setup;
        size_t next_out = 0;
        if (has_one_producer(variety) || skips(variety))
            continue;
        begin(&setup, variety);
        for (size_t j = 0; j < 3; j++)
            memcpy(reserve(&setup.out[j], 100 + j), bytes_of(j, 100 + j), 100 + j);

        for (size_t j = 0; j < 3; j++) {
            commit(&setup.out[order[j]], 100 + order[j]);
            committed[order[j]] = true;
            for (; committed[next_out]; next_out++)
                cr_assert(take(&setup.in[0], next_out, 100 + next_out), "%s", variety->name);
            cr_assert_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s", variety->name);
        }
        cr_expect_eq(next_out, 3);
        finish(&setup);
    }
}

Test(mring_mpmc_reserve, holds_back_what_others_push_behind_it_unless_the_ring_skips_stalled,
     .timeout = 10)
{
    for (size_t i = 0; i < 2 * ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i / 2];
        struct setup setup;
        struct mring_claim none;
        if (has_one_producer(variety))
            continue;
        begin(&setup, variety);
        size_t other = 100;
        memcpy(reserve(&setup.out[0], 50), bytes_of(0, 50), 50);
        for (size_t j = 1; j <= 3; j++)
            cr_assert_eq(put(&setup.out[1], j, other), 0);

        for (size_t j = 1; j <= 3 && skips(variety); j++)
            cr_expect(take(&setup.in[0], j, other), "%s: in their order", variety->name);
        cr_expect_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s", variety->name);
        cr_expect_eq(claim(&setup.in[0], &none, 9), 0, "%s", variety->name);
        cr_expect_eq(pop_n(&setup.in[0], NULL, 0, 9), 0, "%s", variety->name);
        if (i % 2)
            mring_mpmc_abort(&setup.out[0]);
        else
            commit(&setup.out[0], 50);
        if (i % 2 == 0)
            cr_expect(take(&setup.in[0], 0, 50), "%s", variety->name);
        for (size_t j = 1; j <= 3 && !skips(variety); j++)
            cr_expect(take(&setup.in[0], j, other), "%s", variety->name);
        cr_expect_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s", variety->name);
        cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s", variety->name);
        finish(&setup);
    }
}

Test(mring_mpmc_reserve, has_as_much_pass_it_as_the_capacity_in_a_ring_that_skips_stalled,
     .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        if (!skips(variety))
            continue;
        begin(&setup, variety);
        cr_assert_not_null(reserve(&setup.out[0], 2 * variety->granule));
        size_t passed = 0;

        while (put(&setup.out[1], passed, variety->granule) == 0) {
            cr_assert(take(&setup.in[passed % 3], passed, variety->granule));
            passed++;
        }

        cr_expect_eq(passed, granules_of(&setup) - 2, "%s", variety->name);
        cr_expect_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s", variety->name);
        commit(&setup.out[0], 0);
        cr_expect_eq(put(&setup.out[1], 0, 0), MRING_FULL, "%s: nor is it popped", variety->name);
        cr_expect(take(&setup.in[0], 0, 0), "%s", variety->name);
        cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s", variety->name);
        finish(&setup);
    }
}

/* ---- commit ---------------------------------------------------------------------------------- */

Test(mring_mpmc_commit, of_less_than_was_reserved_publishes_that_and_skips_the_rest, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        begin(&setup, variety);
        const size_t reserved = smallest() / 2 - head_of(variety);

        for (size_t size = 0; size <= reserved; size += size < 200 ? step() : 61 * step()) {
            unsigned char *room = reserve(&setup.out[0], reserved);
            cr_assert_not_null(room, "%s, %zu", variety->name, size);
            memset(room, 0xff, reserved);
            memcpy(room, bytes_of(size, size), size);
            commit(&setup.out[0], size);
            cr_assert_eq(put(&setup.out[0], 1, 3), 0, "%s, %zu", variety->name, size);
            cr_assert(take(&setup.in[0], size, size), "%s, %zu", variety->name, size);
            cr_assert(take(&setup.in[0], 1, 3), "%s, %zu", variety->name, size);
            cr_assert_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s, %zu", variety->name, size);
        }
        cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s", variety->name);
        finish(&setup);
    }
}

Test(mring_mpmc_commit, of_less_takes_no_room_for_the_rest_with_a_single_producer, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        begin(&setup, variety);
        size_t all = granules_of(&setup);
        cr_assert_not_null(reserve(&setup.out[0], mring_mpmc_record_max(&setup.ring)));
        commit(&setup.out[0], size_of_granules(variety, 3));

        size_t free_before = fill(&setup);
        cr_assert_eq(pop_any(&setup.in[0]), 0);
        size_t free_after = fill(&setup);

        cr_expect_eq(free_before, has_one_producer(variety) ? all - 3 : 0, "%s", variety->name);
        /* Where the words stand apart, the rest is free at once, and here is behind the record. */
        cr_expect_eq(free_after, skips(variety) ? all : 3, "%s", variety->name);
        drain(&setup);
        cr_expect_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s", variety->name);
        cr_expect_eq(granules_free(&setup), all, "%s", variety->name);
        finish(&setup);
    }
}

/* ---- abort ----------------------------------------------------------------------------------- */

Test(mring_mpmc_abort, leaves_no_record_and_gives_the_room_back, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        begin(&setup, variety);
        const size_t most = mring_mpmc_record_max(&setup.ring);

        for (size_t size = 0; size <= most; size += size < 200 ? step() : 61 * step()) {
            unsigned char *room = reserve(&setup.out[0], size);
            cr_assert_not_null(room, "%s, %zu", variety->name, size);
            memset(room, 0xff, size);
            mring_mpmc_abort(&setup.out[0]);
            cr_assert_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s, %zu", variety->name, size);
            cr_assert_eq(put(&setup.out[0], size, most), 0, "%s, %zu", variety->name, size);
            cr_assert(take(&setup.in[0], size, most), "%s, %zu", variety->name, size);
        }
        finish(&setup);
    }
}

Test(mring_mpmc_abort, is_passed_by_every_call_that_takes_records, .timeout = 10)
{
    for (size_t i = 0; i < 4 * ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i / 4];
        struct setup setup;
        struct mring_claim claimed;
        unsigned char buffer[100];
        size_t size = 0;
        begin(&setup, variety);
        for (size_t j = 0; j < 5; j++) {
            cr_assert_not_null(reserve(&setup.out[0], 40 * j));
            mring_mpmc_abort(&setup.out[0]);
        }
        cr_assert_eq(put(&setup.out[0], 1, 100), 0);

        switch (i % 4) {
        case 0:
            cr_expect_eq(pop(&setup.in[0], buffer, 99, &size), MRING_TOO_LARGE);
            cr_expect_eq(size, 100);
            cr_expect(take(&setup.in[0], 1, 100), "%s", variety->name);
            break;
        case 1:
            cr_expect_eq(pop_n(&setup.in[0], buffer, 99, 1), 0);
            cr_expect_eq(pop_n(&setup.in[0], buffer, 100, 1), 1, "%s", variety->name);
            cr_expect(has_bytes_of(buffer, 1, 100));
            break;
        case 2:
            cr_expect_eq(claim(&setup.in[0], &claimed, 1), 1, "%s", variety->name);
            cr_expect(has_bytes_of(next(&setup.in[0], &claimed, &size), 1, 100));
            cr_expect_eq(size, 100);
            cr_expect_null(next(&setup.in[0], &claimed, &size));
            release(&setup.in[0], &claimed);
            break;
        default:
            cr_expect(take(&setup.in[0], 1, 100), "%s", variety->name);
        }
        cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s", variety->name);
        finish(&setup);
    }
}

Test(mring_mpmc_abort, of_everything_leaves_the_end_when_the_ring_was_closed, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        begin(&setup, &varieties[i]);
        for (size_t j = 0; j < setup.producers; j++)
            cr_assert_not_null(reserve(&setup.out[j], 100));
        if (!has_one_producer(&varieties[i]))
            mring_mpmc_close(&setup.ring, MRING_WRITE_END, 0);

        for (size_t j = 0; j < setup.producers; j++) {
            cr_expect_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s", varieties[i].name);
            mring_mpmc_abort(&setup.out[j]);
        }

        if (has_one_producer(&varieties[i]))
            mring_mpmc_close(&setup.ring, MRING_WRITE_END, 0);
        cr_expect_eq(pop_any(&setup.in[0]), MRING_EOF, "%s", varieties[i].name);
        finish(&setup);
    }
}

#if !defined(__SANITIZE_THREAD__)

/* It is as long as a word can tell of, and takes some granules more. No thread runs beside it:
 * the shadow of ThreadSanitizer, several times as large as the ring, would tell nothing. */
Test(mring_mpmc_abort, gives_up_the_largest_record_that_there_can_be, .timeout = 60)
{
#if SIZE_MAX <= UINT32_MAX
    cr_skip_test("needs more addresses than 32 bits give");
#endif
    static const unsigned modes[] = { 0, MRING_SINGLE_CONSUMER, MRING_SKIP_STALLED };

    for (size_t i = 0; i < ROWS(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out, in;
        cr_assert_eq(mring_mpmc_create(&ring, &(struct mring_args){ .capacity = UINT64_C(1) << 31,
                                                                    .flags = modes[i],
                                                                    .granule = 64 }),
                     0);
        cr_assert_eq(mring_mpmc_join(&ring, &out, MRING_WRITE_END), 0);
        cr_assert_eq(mring_mpmc_join(&ring, &in, MRING_READ_END), 0);
        cr_assert_not_null(reserve(&out, mring_mpmc_record_max(&ring)));

        mring_mpmc_abort(&out);

        cr_expect_eq(put(&out, 1, 100), 0);
        cr_expect(take(&in, 1, 100), "row %zu", i);
        cr_expect_eq(pop_any(&in), MRING_EMPTY, "row %zu", i);
        mring_mpmc_destroy(&ring);
    }
}

#endif

/* ---- capacity, record_bytes ------------------------------------------------------------------ */

Test(mring_mpmc_record_bytes, counts_whole_granules_with_the_word, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        begin(&setup, &varieties[i]);

        for (size_t size = 0; size <= mring_mpmc_record_max(&setup.ring); size++) {
            size_t bytes = size + head_of(&varieties[i]);
            size_t granules = (bytes + varieties[i].granule - 1) / varieties[i].granule;
            cr_assert_eq(mring_mpmc_record_bytes(&setup.ring, size),
                         (granules > 0 ? granules : 1) * varieties[i].granule, "%s, %zu",
                         varieties[i].name, size);
        }
        for (size_t size = 0; size < 500; size += 23) {
            size_t count = 0;
            while (put(&setup.out[0], 1, size) == 0)
                count++;
            cr_assert_eq(count, smallest() / mring_mpmc_record_bytes(&setup.ring, size), "%s, %zu",
                         varieties[i].name, size);
            drain(&setup);
        }
        finish(&setup);
    }
}
