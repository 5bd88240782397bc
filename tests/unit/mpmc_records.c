/* SPDX-License-Identifier: MIT */
/* Record rings: claims, several records at a time, and records that imitate the ring's words. */
#include "mpmc_support.h"

#include <criterion/criterion.h>
#include <mring/mpmc.h>

/* Of a claim, the next record is of these bytes. */
static bool shows(struct mring_mpmc_end *consumer, struct mring_claim *claimed, uint64_t seed,
                  size_t size)
{
    size_t found = 99999;
    const void *bytes = next(consumer, claimed, &found);

    return bytes != NULL && found == size && has_bytes_of(bytes, seed, size);
}

/* A reservation of so many bytes is aborted. */
static void discard(struct mring_mpmc_end *producer, size_t size)
{
    void *room = reserve(producer, size);

    cr_assert_not_null(room);
    memset(room, 0xff, size);
    mring_mpmc_abort(producer);
}

/* ---- claim ----------------------------------------------------------------------------------- */

Test(mring_mpmc_claim, gives_as_many_as_are_there_up_to_what_was_asked_for, .timeout = 10)
{
    static const size_t mosts[] = { 1, 2, 4, 5, 6, 100, SIZE_MAX };

    for (size_t i = 0; i < ROWS(varieties) * ROWS(mosts); i++) {
        const struct variety *variety = &varieties[i / ROWS(mosts)];
        const size_t most = mosts[i % ROWS(mosts)], wanted = most < 5 ? most : 5;
        struct setup setup;
        struct mring_claim claimed;
        size_t size = 77;
        begin(&setup, variety);
        for (size_t j = 0; j < 5; j++)
            cr_assert_eq(put(&setup.out[j % setup.producers], j, 70 * j), 0);

        cr_expect_eq(claim(&setup.in[0], &claimed, most), wanted, "%s", variety->name);

        for (size_t j = 0; j < wanted; j++)
            cr_expect(shows(&setup.in[0], &claimed, j, 70 * j), "%s, %zu", variety->name, j);
        cr_expect_null(next(&setup.in[0], &claimed, &size), "%s", variety->name);
        cr_expect_null(next(&setup.in[0], &claimed, &size), "%s: for good", variety->name);
        cr_expect_eq(size, 0, "%s", variety->name);
        struct mring_mpmc_end *other = &setup.in[setup.consumers - 1];
        for (size_t j = wanted; j < 5; j++)
            cr_expect(take(other, j, 70 * j), "%s: others get the rest", variety->name);
        cr_expect_eq(pop_any(other), MRING_EMPTY, "%s", variety->name);
        release(&setup.in[0], &claimed);
        cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s", variety->name);
        finish(&setup);
    }
}

Test(mring_mpmc_claim, writes_nothing_when_there_is_nothing, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        struct mring_claim claimed, before;
        memset(&claimed, 0xa5, sizeof claimed);
        memset(&before, 0xa5, sizeof before);
        begin(&setup, &varieties[i]);
        for (size_t j = 0; j < 3; j++)
            discard(&setup.out[0], 50 * j);

        for (size_t j = 0; j < 3; j++)
            cr_expect_eq(claim(&setup.in[0], &claimed, 5), 0, "%s", varieties[i].name);

        cr_expect(memcmp(&claimed, &before, sizeof claimed) == 0, "%s", varieties[i].name);
        cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s", varieties[i].name);
        finish(&setup);
    }
}

/* Three claims of one, two and three records of a granule each, in a full ring. */
Test(mring_mpmc_release, may_come_in_any_order_and_room_comes_back_in_that_of_the_ring,
     .timeout = 10)
{
    static const size_t orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                        { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

    for (size_t i = 0; i < 2 * ROWS(varieties) * ROWS(orders); i++) {
        const struct variety *variety = &varieties[i / 2 / ROWS(orders)];
        const size_t *order = orders[i / 2 % ROWS(orders)];
        struct setup setup;
        struct mring_claim claims[3];
        struct mring_mpmc_end *owners[3];
        bool released[4] = { false };
        begin(&setup, variety);
        cr_assert_eq(fill(&setup), granules_of(&setup));
        for (size_t j = 0; j < granules_of(&setup) / 2 && i % 2; j++) /* over the end */
            cr_assert(pop_any(&setup.in[0]) == 0 && put(&setup.out[0], 0, 0) == 0);
        for (size_t j = 0; j < 3; j++) {
            owners[j] = &setup.in[i % 2 ? 0 : j % setup.consumers];
            cr_assert_eq(claim(owners[j], &claims[j], j + 1), j + 1);
        }

        for (size_t j = 0, first = 0; j < 3; j++) {
            size_t room = 0;
            release(owners[order[j]], &claims[order[j]]);
            released[order[j]] = true;
            for (; released[first]; first++)
                room += first + 1;
            cr_assert_eq(fill(&setup), room, "%s, row %zu, %zu", variety->name, i, j);
        }
        cr_expect_eq(drain(&setup), granules_of(&setup), "%s", variety->name);
        cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s", variety->name);
        finish(&setup);
    }
}

Test(mring_mpmc_release, may_come_after_later_records_were_popped, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        struct mring_claim claimed;
        unsigned char buffer[600];
        begin(&setup, &varieties[i]);
        for (size_t lap = 0; lap < 300; lap++) {
            for (size_t j = 0; j < 6; j++)
                cr_assert_eq(put(&setup.out[0], j, 100), 0, "%s, %zu", varieties[i].name, lap);
            cr_assert_eq(claim(&setup.in[0], &claimed, 2), 2);

            cr_assert(take(&setup.in[0], 2, 100), "%s, %zu", varieties[i].name, lap);
            cr_assert_eq(pop_n(&setup.in[0], buffer, 100, 2), 2, "%s", varieties[i].name);
            cr_assert(has_bytes_of(buffer, 3, 100) && has_bytes_of(buffer + 100, 4, 100));

            for (size_t j = 0; j < 2; j++)
                cr_assert(shows(&setup.in[0], &claimed, j, 100), "%s", varieties[i].name);
            release(&setup.in[0], &claimed);
            cr_assert(take(&setup.in[0], 5, 100), "%s, %zu", varieties[i].name, lap);
        }
        cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s", varieties[i].name);
        finish(&setup);
    }
}

/* Who releases in turn does not look whether what follows is marked; whoever comes next, does. */
Test(mring_mpmc_release, moves_free_pos_over_all_that_was_released_before_or_after, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        struct mring_claim claims[5];
        if (has_one_consumer(&varieties[i]))
            continue;
        begin(&setup, &varieties[i]);
        mring_atomic_u64 *free_pos = &setup.ring.layout.read_side->free_pos;
        for (size_t j = 0; j < 5; j++) {
            cr_assert_eq(put(&setup.out[0], j, 100), 0, "%s", varieties[i].name);
            cr_assert_eq(claim(&setup.in[j % setup.consumers], &claims[j], 1), 1);
        }
        static const size_t order[] = { 0, 2, 1, 4, 3 }, after[] = { 0, 0, 1, 2, 3 };
        for (size_t j = 0; j < 5; j++) {
            release(&setup.in[order[j] % setup.consumers], &claims[order[j]]);
            cr_expect_eq(mring_load_relaxed_u64(free_pos), claims[after[j]].end, "%s, %zu",
                         varieties[i].name, j);
        }
        finish(&setup);
    }
}

/* Of records of 1 MiB, whose bytes nobody touches, in a ring of 2 GiB. */
Test(mring_mpmc_claim, is_of_no_more_than_a_gibibyte_and_what_begins_in_it, .timeout = 60)
{
#if SIZE_MAX <= UINT32_MAX
    cr_skip_test("needs more addresses than 32 bits give");
#endif
    enum { RECORDS = 2048, HALF = 1024 };
    const struct mring_args args = { .capacity = (uint64_t)RECORDS << 20 };
    struct mring_mpmc ring;
    struct mring_mpmc_end out, in;
    struct mring_claim claimed;
    cr_assert_eq(mring_mpmc_create(&ring, &args), 0);
    cr_assert_eq(mring_mpmc_join(&ring, &out, MRING_WRITE_END), 0);
    cr_assert_eq(mring_mpmc_join(&ring, &in, MRING_READ_END), 0);
    for (size_t i = 0; i < RECORDS; i++) {
        cr_assert_not_null(reserve(&out, (1 << 20) - 8));
        commit(&out, (1 << 20) - 8);
    }

    for (size_t i = 0; i < RECORDS / HALF; i++) {
        cr_expect_eq(claim(&in, &claimed, SIZE_MAX), HALF);
        cr_expect_eq(claimed.end - claimed.pos, (uint64_t)HALF << 20);
    }
    cr_expect_eq(claim(&in, &claimed, SIZE_MAX), 0);
    mring_mpmc_destroy(&ring);
}

Test(mring_mpmc_claim, passes_what_was_discarded, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        struct mring_claim claimed;
        size_t size, count = 0;
        begin(&setup, variety);
        for (size_t j = 0; j < 4; j++) {
            discard(&setup.out[0], 30 * j);
            memcpy(reserve(&setup.out[0], 300), bytes_of(j, 20 * j), 20 * j);
            commit(&setup.out[0], 20 * j);
            discard(&setup.out[0], 200);
        }

        /* Where words stand apart, a claim is of records without anything between. */
        while (count < 4) {
            size_t got = claim(&setup.in[0], &claimed, 9);
            cr_assert_eq(got, skips(variety) ? 1 : 4, "%s", variety->name);
            for (size_t j = 0; j < got; j++, count++)
                cr_assert(shows(&setup.in[0], &claimed, count, 20 * count), "%s", variety->name);
            cr_assert_null(next(&setup.in[0], &claimed, &size));
            release(&setup.in[0], &claimed);
        }
        cr_expect_eq(claim(&setup.in[0], &claimed, 9), 0, "%s", variety->name);
        cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s", variety->name);
        finish(&setup);
    }
}

Test(mring_mpmc_claim, gives_contiguous_bytes_over_the_end_of_the_ring, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        begin(&setup, variety);
        const size_t sizes[] = { 1, smallest() / 4, smallest() / 2 + 1, 9, 100 };

        const size_t further = size_of_granules(variety, step() * step());

        for (size_t lap = 0; lap < 2 * granules_of(&setup); lap += step() * step()) {
            struct mring_claim claimed;
            for (size_t j = 0; j < ROWS(sizes); j++)
                cr_assert_eq(put(&setup.out[0], lap + j, sizes[j]), 0);
            cr_assert_eq(claim(&setup.in[0], &claimed, 9), ROWS(sizes), "%s", variety->name);
            for (size_t j = 0; j < ROWS(sizes); j++)
                cr_assert(shows(&setup.in[0], &claimed, lap + j, sizes[j]), "%s, %zu",
                          variety->name, lap);
            release(&setup.in[0], &claimed);
            cr_assert_eq(put(&setup.out[0], 0, further), 0); /* the next lap begins elsewhere */
            cr_assert(take(&setup.in[0], 0, further));
        }
        finish(&setup);
    }
}

Test(mring_mpmc_claim, gives_each_record_to_one_of_several_consumers, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        struct mring_claim claims[ENDS_MAX];
        if (has_one_consumer(&varieties[i]))
            continue;
        begin(&setup, &varieties[i]);
        for (size_t lap = 0; lap < 200; lap++) {
            for (size_t j = 0; j < 6; j++)
                cr_assert_eq(put(&setup.out[0], lap + j, 90 + j), 0);
            for (size_t j = 0; j < 3; j++)
                cr_assert_eq(claim(&setup.in[(lap + j) % 3], &claims[j], 2), 2);
            cr_assert_eq(claim(&setup.in[lap % 3], &claims[0], 2), 0);

            for (size_t j = 6; j-- > 0;) {
                struct mring_claim second = claims[j / 2];
                struct mring_mpmc_end *in = &setup.in[(lap + j / 2) % 3];
                if (j % 2)
                    cr_assert(shows(in, &second, lap + j - 1, 89 + j), "%s", varieties[i].name);
                cr_assert(shows(in, &second, lap + j, 90 + j), "%s", varieties[i].name);
            }
            for (size_t j = 0; j < 3; j++)
                release(&setup.in[(lap + j) % 3], &claims[j]);
        }
        cr_expect_eq(granules_free(&setup), granules_of(&setup));
        finish(&setup);
    }
}

Test(mring_mpmc_claim, takes_one_at_a_time_past_a_stalled_producer, .timeout = 5)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        struct mring_claim claims[3];
        size_t size;
        if (!skips(&varieties[i]))
            continue;
        begin(&setup, &varieties[i]);
        cr_assert_eq(put(&setup.out[0], 1, 100), 0);
        cr_assert_eq(put(&setup.out[0], 2, 100), 0);
        cr_assert_not_null(reserve(&setup.out[1], 100));
        for (size_t j = 3; j < 6; j++)
            cr_assert_eq(put(&setup.out[0], j, 100), 0);

        cr_expect_eq(claim(&setup.in[0], &claims[0], 9), 2, "%s", varieties[i].name);
        cr_expect_eq(claim(&setup.in[1], &claims[1], 9), 1, "%s", varieties[i].name);
        commit(&setup.out[1], 0);
        cr_expect_eq(claim(&setup.in[2], &claims[2], 9), 1, "%s: the earlier one first",
                     varieties[i].name);

        cr_expect(shows(&setup.in[0], &claims[0], 1, 100));
        cr_expect(shows(&setup.in[0], &claims[0], 2, 100));
        cr_expect_null(next(&setup.in[0], &claims[0], &size));
        cr_expect(shows(&setup.in[1], &claims[1], 3, 100));
        cr_expect_null(next(&setup.in[1], &claims[1], &size));
        cr_expect(shows(&setup.in[2], &claims[2], 0, 0));
        for (size_t j = 3; j-- > 0;)
            release(&setup.in[j], &claims[j]);
        cr_expect(take(&setup.in[0], 4, 100));
        cr_expect(take(&setup.in[0], 5, 100));
        cr_expect_eq(granules_free(&setup), granules_of(&setup));
        finish(&setup);
    }
}

/* ---- push_n, pop_n --------------------------------------------------------------------------- */

Test(mring_mpmc_push_n, moves_as_many_as_there_is_room_for, .timeout = 20)
{
    static const size_t sizes[] = { 0, 1, 8, 9, 24, 100, 1000 };
    static unsigned char buffer[1 << 18];

    for (size_t i = 0; i < ROWS(varieties) * ROWS(sizes); i++) {
        const struct variety *variety = &varieties[i / ROWS(sizes)];
        const size_t size = sizes[i % ROWS(sizes)];
        const size_t counts[] = { 0, 1, 3, SIZE_MAX };
        struct setup setup;
        begin(&setup, variety);
        size_t span = mring_mpmc_record_bytes(&setup.ring, size);

        for (size_t lap = 0; lap < 40; lap += step()) {
            size_t room = smallest() / variety->granule - lap; /* granules */
            size_t popped = 0, most = room * variety->granule / span;
            for (size_t j = 0; j < lap; j++)
                cr_assert_eq(put(&setup.out[0], 0, 0), 0);
            for (size_t j = 0, left = most; j < ROWS(counts); j++) {
                size_t wanted = counts[j] < left ? counts[j] : left;
                size_t moved =
                    push_n(&setup.out[0], bytes_of(most - left, most * size), size, counts[j]);
                cr_assert_eq(moved, wanted, "%s, %zu: %zu", variety->name, size, moved);
                memcpy(buffer + (most - left) * size, bytes_of(most - left, moved * size),
                       moved * size);
                left -= moved;
            }
            for (size_t j = 0; j < lap; j++)
                cr_assert(take(&setup.in[0], 0, 0));
            for (size_t found; popped < most; popped++) {
                static unsigned char one[1000];
                cr_assert_eq(pop(&setup.in[0], one, size, &found), 0, "%s", variety->name);
                cr_assert_eq(found, size, "%s", variety->name);
                cr_assert(size == 0 || memcmp(one, buffer + popped * size, size) == 0, "%s, %zu",
                          variety->name, popped);
            }
            cr_assert_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s", variety->name);
        }
        finish(&setup);
    }
}

Test(mring_mpmc_pop_n, moves_as_many_as_there_are_of_that_size, .timeout = 20)
{
    static const size_t sizes[] = { 0, 1, 8, 9, 24, 100, 500 };
    static unsigned char buffer[1 << 18];

    for (size_t i = 0; i < ROWS(varieties) * ROWS(sizes); i++) {
        const struct variety *variety = &varieties[i / ROWS(sizes)];
        const size_t size = sizes[i % ROWS(sizes)];
        struct setup setup;
        begin(&setup, variety);

        for (size_t lap = 0; lap < 60; lap++) {
            cr_assert_eq(pop_n(&setup.in[0], buffer, size, 5), 0, "%s", variety->name);
            for (size_t j = 0; j < 4; j++)
                cr_assert_eq(put(&setup.out[0], j, size), 0);
            cr_assert_eq(put(&setup.out[0], 9, size + 1), 0);
            cr_assert_eq(put(&setup.out[0], 4, size), 0);
            memset(buffer, 0xa5, 5 * size + 64);

            cr_assert_eq(pop_n(&setup.in[0], buffer, size, 0), 0, "%s", variety->name);
            cr_assert_eq(pop_n(&setup.in[0], buffer, size + 1, 9), 0, "%s", variety->name);
            cr_assert_eq(pop_n(&setup.in[0], buffer, size, 1), 1, "%s", variety->name);
            cr_assert_eq(pop_n(&setup.in[0], buffer + size, size, SIZE_MAX), 3, "%s, %zu",
                         variety->name, size);
            for (size_t j = 0; j < 4; j++)
                cr_assert(has_bytes_of(buffer + j * size, j, size), "%s, %zu", variety->name, j);
            cr_assert_eq(buffer[4 * size], 0xa5);
            cr_assert_eq(pop_n(&setup.in[0], buffer, size, 9), 0, "%s", variety->name);
            cr_assert_eq(pop_n(&setup.in[0], buffer, smallest() + 1, 9), 0, "%s", variety->name);
            cr_assert_eq(pop_n(&setup.in[0], buffer, ((size_t)1 << 30) | (size + 1), 9), 0,
                         "%s: it looks like the word's state", variety->name);
            cr_assert_eq(pop_n(&setup.in[0], buffer, size + 1, 9), 1, "%s", variety->name);
            cr_assert_eq(pop_n(&setup.in[0], buffer, size, 9), 1, "%s", variety->name);
        }
        cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s", variety->name);
        finish(&setup);
    }
}

/* Discards before, between and behind; also as large as an element, or as some. */
Test(mring_mpmc_pop_n, passes_what_was_discarded, .timeout = 20)
{
    static const size_t sizes[] = { 0, 24, 56, 120 }, discards[] = { 0, 24, 56, 120, 248 };

    for (size_t i = 0; i < ROWS(varieties) * ROWS(sizes) * ROWS(discards); i++) {
        const struct variety *variety = &varieties[i / ROWS(sizes) / ROWS(discards)];
        const size_t size = sizes[i % ROWS(sizes)];
        const size_t discarded = discards[i / ROWS(sizes) % ROWS(discards)];
        unsigned char buffer[5 * 120];
        struct setup setup;
        begin(&setup, variety);
        for (size_t j = 0; j < 4; j++) {
            if (j != 2)
                discard(&setup.out[0], discarded);
            cr_assert_eq(put(&setup.out[0], j, size), 0);
        }
        discard(&setup.out[0], discarded);

        size_t popped = 0;
        for (size_t got; (got = pop_n(&setup.in[0], buffer + popped * size, size, 9)) > 0;)
            popped += got;

        cr_expect_eq(popped, 4, "%s, %zu, %zu", variety->name, size, discarded);
        for (size_t j = 0; j < 4; j++)
            cr_expect(has_bytes_of(buffer + j * size, j, size), "%s, %zu, %zu, %zu", variety->name,
                      size, discarded, j);
        cr_expect_eq(granules_free(&setup), granules_of(&setup), "%s", variety->name);
        finish(&setup);
    }
}

/* ---- laps ------------------------------------------------------------------------------------ */

/*
 * A granule has begun no record for 2^32 laps: before, it was released in a claim of many, or by
 * itself, or the ring was made. The record that is over it now is aborted, or cut.
 */
Test(mring_mpmc_reserve, does_not_take_a_word_of_2_to_the_32_laps_before_for_one_of_now,
     .timeout = 10)
{
    static const struct {
        uint64_t lap, word_lap, length;
        bool aborted;
    } rows[] = {
        { UINT64_C(1) << 32, 1, 20, true },      { UINT64_C(1) << 32, 1, 20, false },
        { UINT64_C(1) << 32, 1, 1, true },       { UINT64_C(1) << 32, 1, 1, false },
        { (UINT64_C(1) << 32) - 1, 0, 0, true }, { (UINT64_C(1) << 32) - 1, 0, 0, false },
    };

    for (size_t i = 0; i < ROWS(varieties) * ROWS(rows); i++) {
        const struct variety *variety = &varieties[i / ROWS(rows)];
        const size_t row = i % ROWS(rows), granule = variety->granule;
        struct setup setup;
        begin_at(&setup, variety, rows[row].lap * smallest());
        const struct mring_layout *layout = &setup.ring.layout;
        mring_store_relaxed_u64(mring_mpmc_word(layout, skips(variety), 2 * granule),
                                mring_mpmc_make(layout,
                                                rows[row].word_lap * smallest() + 2 * granule,
                                                MRING_STATE_FREE, rows[row].length));
        cr_assert_not_null(reserve(&setup.out[0], size_of_granules(variety, 4)));
        if (rows[row].aborted)
            mring_mpmc_abort(&setup.out[0]);
        else
            commit(&setup.out[0], 0);
        cr_assert_eq(drain(&setup), rows[row].aborted ? 0 : 1);
        /* The rest of the lap. A single producer has not used all of it. */
        size_t used = !has_one_producer(variety) ? 4 : rows[row].aborted ? 0 : 1;
        size_t rest = granules_of(&setup) - used;
        cr_assert_eq(put(&setup.out[0], 0, size_of_granules(variety, rest)), 0);
        cr_assert_eq(drain(&setup), 1);

        size_t count = fill(&setup);

        cr_expect_eq(count, granules_of(&setup), "%s, row %zu: %zu", variety->name, row, count);
        for (size_t j = 0; j < count; j++)
            cr_assert(take(&setup.in[0], j, size_of_granules(variety, 1)), "%s", variety->name);
        finish(&setup);
    }
}

/* ---- records that imitate words -------------------------------------------------------------- */

/* A length, of which many are short and some are as long as can be. */
static size_t random_size(const struct mring_mpmc *ring, uint64_t *random)
{
    uint64_t most = mring_mpmc_record_max(ring), kind = random_below(random, 20);

    if (kind < 10)
        return (size_t)random_below(random, 100);
    if (kind < 17)
        return (size_t)random_below(random, most / 8);
    return (size_t)random_below(random, (kind < 19 ? most / 2 : most) + 1);
}

static size_t laps(void)
{
    return 600 / step();
}

/* One record at a time, which is often aborted or cut. */
Test(mring_mpmc_commit, never_has_the_bytes_of_records_taken_for_words, .timeout = 60)
{
    static unsigned char buffer[1 << 18];
    uint64_t starts[4];
    size_t rows = starts_of(smallest(), starts);

    for (size_t i = 0; i < ROWS(varieties) * rows; i++) {
        const struct variety *variety = &varieties[i / rows];
        const uint64_t start = starts[i % rows];
        struct setup setup;
        uint64_t random = i, pos = start;
        begin_at(&setup, variety, start);
        const struct mring_layout *layout = &setup.ring.layout;

        while (pos - start < laps() * smallest()) {
            size_t size = random_size(&setup.ring, &random), found = 99999;
            uint64_t kind = random_below(&random, 4), seed = random_of(&random);
            unsigned char *room = reserve(&setup.out[0], size);
            cr_assert_not_null(room, "%s, %#llx", variety->name, (unsigned long long)pos);
            imitate(layout, pos, seed, room, size);
            size_t used = kind == 0 ? (size_t)random_below(&random, size + 1) : size;
            if (kind == 1)
                mring_mpmc_abort(&setup.out[0]);
            else
                commit(&setup.out[0], used);
            if (kind != 1) {
                cr_assert_eq(pop(&setup.in[0], buffer, sizeof buffer, &found), 0, "%s, %#llx",
                             variety->name, (unsigned long long)pos);
                cr_assert_eq(found, used, "%s, %#llx", variety->name, (unsigned long long)pos);
                cr_assert(is_imitation(layout, pos, seed, buffer, used), "%s", variety->name);
            }
            cr_assert_eq(pop(&setup.in[0], buffer, sizeof buffer, &found), MRING_EMPTY, "%s, %#llx",
                         variety->name, (unsigned long long)pos);
            if (!has_one_producer(variety))
                pos += mring_mpmc_record_bytes(&setup.ring, size);
            else if (kind != 1)
                pos += mring_mpmc_record_bytes(&setup.ring, used);
        }
        finish(&setup);
    }
}

/* ---- at random, against a model -------------------------------------------------------------- */

/* What is in the ring, oldest first. */
enum entry_state { RESERVED, READY, DISCARDED, CLAIMED, RELEASED };

struct entry {
    enum entry_state state;
    uint64_t pos, span, seed;
    size_t size;
};

enum { ENTRIES_MAX = 600, CLAIMS_MAX = 4 };

struct held_claim {
    struct mring_claim claim;
    struct mring_mpmc_end *owner; /* NULL: there is none */
    uint64_t pos, end;
};

struct model {
    struct setup setup;
    uint64_t random, start;
    uint64_t pos; /* where the next record will be */
    struct entry entries[ENTRIES_MAX];
    size_t count;
    struct held_claim claims[CLAIMS_MAX];
    size_t operation; /* for messages */
};

static uint64_t room_of(const struct model *model)
{
    uint64_t room = smallest();

    for (size_t i = 0; i < model->count; i++)
        room -= model->entries[i].span;
    return room;
}

static uint64_t span_of(const struct model *model, size_t size)
{
    return mring_mpmc_record_bytes(&model->setup.ring, size);
}

static void add_entry(struct model *model, size_t at, const struct entry *entry)
{
    cr_assert_lt(model->count, ENTRIES_MAX);
    memmove(&model->entries[at + 1], &model->entries[at],
            (model->count - at) * sizeof model->entries[0]);
    model->entries[at] = *entry;
    model->count++;
}

static void append(struct model *model, enum entry_state state, size_t size, uint64_t seed)
{
    uint64_t span = span_of(model, size);

    add_entry(model, model->count, &(struct entry){ state, model->pos, span, seed, size });
    model->pos += span;
}

static void forget_what_is_free(struct model *model)
{
    size_t free_count = 0;

    while (free_count < model->count && model->entries[free_count].state == RELEASED)
        free_count++;
    model->count -= free_count;
    memmove(model->entries, model->entries + free_count, model->count * sizeof model->entries[0]);
}

static void set_released(struct model *model, uint64_t pos, uint64_t end)
{
    for (size_t i = 0; i < model->count; i++)
        if (model->entries[i].pos - pos < end - pos)
            model->entries[i].state = RELEASED;
    forget_what_is_free(model);
}

struct sizes {
    size_t least, most;
};

static bool is_of(const struct entry *entry, const struct sizes *sizes)
{
    return entry->size >= sizes->least && entry->size <= sizes->most;
}

/* What a claim in order takes: entries from *first on. *end is behind the last. */
static size_t find_in_order(struct model *model, size_t most, const struct sizes *sizes,
                            size_t *first, size_t *end)
{
    size_t i = 0, count = 0;

    while (i < model->count && model->entries[i].state >= CLAIMED)
        i++;
    for (*first = i; i < model->count && count < most; i++) {
        const struct entry *entry = &model->entries[i];
        if (entry->state == READY && is_of(entry, sizes))
            count++;
        else if (entry->state != DISCARDED)
            break;
    }
    *end = i;
    return count;
}

static size_t find_skipping(struct model *model, size_t most, const struct sizes *sizes,
                            size_t *first, size_t *end)
{
    bool stalled = false;
    size_t i = 0;

    for (; i < model->count && model->entries[i].state != READY; i++)
        stalled = stalled || model->entries[i].state == RESERVED;
    for (*first = i; i < model->count && i - *first < (stalled ? 1 : most); i++)
        if (model->entries[i].state != READY || !is_of(&model->entries[i], sizes))
            break;
    *end = i;
    return i - *first;
}

/* The same in any mode, with what happens if there are but discards. */
static size_t find_records(struct model *model, size_t most, const struct sizes *sizes,
                           size_t *first, size_t *end)
{
    if (skips(model->setup.variety))
        return find_skipping(model, most, sizes, first, end);
    size_t count = find_in_order(model, most, sizes, first, end);
    if (count == 0) {
        for (size_t i = *first; i < *end; i++)
            model->entries[i].state = RELEASED;
        forget_what_is_free(model);
    }
    return count;
}

#define AGREE(condition)                                                                           \
    cr_assert(condition, "%s, operation %zu at %#llx", model->setup.variety->name,                 \
              model->operation, (unsigned long long)model->pos)

/* A size that fits just, or just not, or any. */
static size_t size_to_try(struct model *model)
{
    size_t most = mring_mpmc_record_max(&model->setup.ring), head = head_of(model->setup.variety);
    uint64_t room = room_of(model), kind = random_below(&model->random, 8);

    if (kind == 0 && room > 0)
        return (size_t)room - head;
    if (kind == 1 && room < most)
        return (size_t)room - head + 1 + (room == 0 ? head : 0);
    return random_size(&model->setup.ring, &model->random);
}

static void try_push(struct model *model, struct mring_mpmc_end *out)
{
    static unsigned char bytes[1 << 18];
    size_t size = size_to_try(model);
    uint64_t seed = random_of(&model->random);
    bool fits = span_of(model, size) <= room_of(model);

    imitate(&model->setup.ring.layout, model->pos, seed, bytes, size);
    AGREE(push(out, bytes, size) == (fits ? 0 : MRING_FULL));
    if (fits)
        append(model, READY, size, seed);
}

static void try_push_n(struct model *model, struct mring_mpmc_end *out)
{
    static unsigned char bytes[64 * 100];
    size_t size = (size_t)random_below(&model->random, 100), span = span_of(model, size);
    size_t count = (size_t)random_below(&model->random, 64);
    size_t most = room_of(model) / span, wanted = count < most ? count : most;
    uint64_t seed = random_of(&model->random);

    for (size_t i = 0; i < count; i++)
        imitate(&model->setup.ring.layout, model->pos + i * span, seed + i, bytes + i * size, size);
    AGREE(push_n(out, bytes, size, count) == wanted);
    for (size_t i = 0; i < wanted; i++)
        append(model, READY, size, seed + i);
}

static void try_reserve(struct model *model, struct mring_mpmc_end *out)
{
    const struct mring_layout *layout = &model->setup.ring.layout;
    size_t size = size_to_try(model);
    uint64_t seed = random_of(&model->random);
    bool fits = span_of(model, size) <= room_of(model);
    unsigned char *room = reserve(out, size);

    AGREE((room != NULL) == fits);
    if (!fits)
        return;
    AGREE(room == mring_mpmc_bytes(layout, skips(model->setup.variety), model->pos));
    if (random_below(&model->random, 8) > 0) /* else old bytes stay there */
        imitate(layout, model->pos, seed, room, size);
    else
        seed = 0;
    append(model, RESERVED, size, seed);
}

static struct entry *entry_at(struct model *model, uint64_t pos)
{
    size_t i = 0;

    while (i < model->count && model->entries[i].pos != pos)
        i++;
    cr_assert_lt(i, model->count);
    return &model->entries[i];
}

/* The room behind `span` bytes of a reservation is given up. */
static void cut(struct model *model, struct entry *entry, uint64_t span, enum entry_state state)
{
    struct entry rest = { .pos = entry->pos + span, .span = entry->span - span };

    rest.state = state;
    entry->span = span;
    if (has_one_producer(model->setup.variety))
        model->pos = rest.pos;
    else if (rest.span > 0)
        add_entry(model, (size_t)(entry - model->entries) + 1, &rest);
}

static void end_reservation(struct model *model, struct mring_mpmc_end *out)
{
    struct entry *entry = entry_at(model, out->pos);
    uint64_t kind = random_below(&model->random, 4);
    enum entry_state gone = skips(model->setup.variety) ? RELEASED : DISCARDED;

    if (kind == 0) {
        mring_mpmc_abort(out);
        entry->state = gone;
        if (has_one_producer(model->setup.variety)) {
            model->pos = entry->pos;
            model->count--;
        }
    } else {
        if (kind == 1)
            entry->size = (size_t)random_below(&model->random, entry->size + 1);
        commit(out, entry->size);
        entry->state = READY;
        cut(model, entry, span_of(model, entry->size), gone);
    }
    forget_what_is_free(model);
}

static bool is_entry(const struct model *model, const struct entry *entry,
                     const unsigned char *bytes, size_t size)
{
    return size == entry->size &&
           (entry->seed == 0 ||
            is_imitation(&model->setup.ring.layout, entry->pos, entry->seed, bytes, size));
}

/* With room for all, or for the record just, or just not. */
static void try_pop(struct model *model, struct mring_mpmc_end *in)
{
    static unsigned char buffer[1 << 18];
    const struct sizes any = { 0, SIZE_MAX };
    size_t first, end, found = 99999;
    size_t rooms[] = { sizeof buffer, 50, 0, 0 };
    size_t there = skips(model->setup.variety) ? find_skipping(model, 1, &any, &first, &end)
                                               : find_in_order(model, 1, &any, &first, &end);

    rooms[2] = there ? model->entries[end - 1].size : 0;
    rooms[3] = rooms[2] > 0 ? rooms[2] - 1 : 0;
    const struct sizes sizes = { 0, rooms[random_below(&model->random, 4)] };
    size_t size_there = rooms[2];
    int err = pop(in, buffer, sizes.most, &found);
    if (there && size_there > sizes.most) {
        AGREE(err == MRING_TOO_LARGE && found == size_there);
        find_records(model, 1, &sizes, &first, &end);
        return;
    }
    AGREE(err == (there ? 0 : MRING_EMPTY));
    if (find_records(model, 1, &sizes, &first, &end) == 0)
        return;
    AGREE(is_entry(model, &model->entries[end - 1], buffer, found));
    set_released(model, model->entries[first].pos,
                 model->entries[end - 1].pos + model->entries[end - 1].span);
}

static void try_pop_n(struct model *model, struct mring_mpmc_end *in)
{
    static unsigned char buffer[64 * 4096];
    const struct sizes any = { 0, SIZE_MAX };
    size_t first, end, size = (size_t)random_below(&model->random, 100);
    size_t count = (size_t)random_below(&model->random, 64);

    if (find_in_order(model, 1, &any, &first, &end) && random_below(&model->random, 4) > 0)
        size = model->entries[end - 1].size;
    size_t moved = pop_n(in, buffer, size, count);
    if (count == 0)
        return;
    AGREE(moved == find_records(model, count, &(struct sizes){ size, size }, &first, &end));
    if (moved == 0)
        return;
    for (size_t i = first, j = 0; i < end; i++)
        if (model->entries[i].state == READY)
            AGREE(is_entry(model, &model->entries[i], buffer + size * j++, size));
    set_released(model, model->entries[first].pos,
                 model->entries[end - 1].pos + model->entries[end - 1].span);
}

/* All that next() gives is what the model has there; then it is overwritten, if so wanted. */
static void check_claim(struct model *model, const struct held_claim *held, bool overwrite)
{
    const struct mring_layout *layout = &model->setup.ring.layout;
    struct mring_claim claimed = held->claim;
    size_t size = 99999;
    unsigned char *bytes;

    for (size_t i = 0; i < model->count; i++) {
        struct entry *entry = &model->entries[i];
        if (entry->pos - held->pos >= held->end - held->pos || entry->size == SIZE_MAX)
            continue;
        bytes = next(held->owner, &claimed, &size);
        AGREE(bytes != NULL && is_entry(model, entry, bytes, size));
        if (overwrite) {
            entry->seed = random_of(&model->random);
            imitate(layout, entry->pos, entry->seed, bytes, size);
        }
    }
    AGREE(next(held->owner, &claimed, &size) == NULL);
}

static void try_claim(struct model *model, struct mring_mpmc_end *in)
{
    const struct sizes any = { 0, SIZE_MAX };
    struct held_claim *held = model->claims;
    size_t first, end, most = 1 + (size_t)random_below(&model->random, 20);

    while (held < model->claims + CLAIMS_MAX && held->owner != NULL)
        held++;
    if (held == model->claims + CLAIMS_MAX)
        return;
    size_t count = claim(in, &held->claim, most);
    AGREE(count == find_records(model, most, &any, &first, &end));
    if (count == 0)
        return;
    held->owner = in;
    held->pos = model->entries[first].pos;
    held->end = model->entries[end - 1].pos + model->entries[end - 1].span;
    for (size_t i = first; i < end; i++) {
        if (model->entries[i].state == DISCARDED)
            model->entries[i].size = SIZE_MAX; /* is none */
        model->entries[i].state = CLAIMED;
    }
    check_claim(model, held, random_below(&model->random, 4) == 0);
}

static void try_release(struct model *model)
{
    struct held_claim *held = &model->claims[random_below(&model->random, CLAIMS_MAX)];

    if (held->owner == NULL)
        return;
    check_claim(model, held, random_below(&model->random, 2) == 0);
    check_claim(model, held, false);
    release(held->owner, &held->claim);
    set_released(model, held->pos, held->end);
    held->owner = NULL;
}

static void try_to_join_again(struct model *model, struct mring_mpmc_end *member)
{
    enum mring_end end = member->end;

    if (end == MRING_WRITE_END && member->span != 0)
        return;
    for (size_t i = 0; i < CLAIMS_MAX; i++)
        if (model->claims[i].owner == member)
            return;
    mring_mpmc_leave(member);
    AGREE(mring_mpmc_join(&model->setup.ring, member, end) == 0);
}

static bool has_reserved(const struct model *model, const struct mring_mpmc_end *out)
{
    for (size_t i = 0; i < model->count; i++)
        if (model->entries[i].state == RESERVED && model->entries[i].pos == out->pos)
            return out->span != 0;
    return false;
}

static void produce(struct model *model)
{
    size_t which = (size_t)random_below(&model->random, model->setup.producers);
    struct mring_mpmc_end *out = &model->setup.out[which];
    uint64_t kind = random_below(&model->random, 8);

    if (has_reserved(model, out))
        end_reservation(model, out);
    else if (kind < 3)
        try_push(model, out);
    else if (kind < 4)
        try_push_n(model, out);
    else
        try_reserve(model, out);
}

static void consume(struct model *model)
{
    size_t which = (size_t)random_below(&model->random, model->setup.consumers);
    struct mring_mpmc_end *in = &model->setup.in[which];
    uint64_t kind = random_below(&model->random, 8);

    if (kind < 2)
        try_pop(model, in);
    else if (kind < 4)
        try_pop_n(model, in);
    else if (kind < 5)
        try_claim(model, in);
    else
        try_release(model);
}

static void operate(struct model *model)
{
    /* Now there is more in the ring, now less. */
    uint64_t producing = (model->operation >> 6 & 3) == 0 ? 6 : (model->operation >> 6 & 1) ? 3 : 4;
    uint64_t kind = random_below(&model->random, 100);

    if (kind == 0)
        try_to_join_again(model, &model->setup.out[0]);
    else if (kind == 1)
        try_to_join_again(model, &model->setup.in[0]);
    else if (kind % 8 < producing)
        produce(model);
    else
        consume(model);
    model->operation++;
}

/* Whatever is in hand is given up, and what is in the ring comes out; then there is the end. */
static void come_to_an_end(struct model *model)
{
    const struct sizes any = { 0, SIZE_MAX };
    size_t first, end;

    for (size_t i = 0; i < model->setup.producers; i++)
        if (has_reserved(model, &model->setup.out[i]))
            end_reservation(model, &model->setup.out[i]);
    mring_mpmc_close(&model->setup.ring, MRING_WRITE_END, 0);
    for (size_t i = 0; i < 10000; i++)
        try_release(model);
    while (find_records(model, 1, &any, &first, &end) > 0) {
        AGREE(pop_any(&model->setup.in[0]) == 0);
        set_released(model, model->entries[first].pos,
                     model->entries[end - 1].pos + model->entries[end - 1].span);
    }
    AGREE(pop_any(&model->setup.in[0]) == MRING_EOF);
    finish(&model->setup);
}

static void agree_over_many_laps(unsigned mode)
{
    static struct model model;
    uint64_t starts[4];
    size_t rows = starts_of(smallest(), starts);

    for (size_t i = 0; i < ROWS(varieties) * rows; i++) {
        uint64_t start = starts[i % rows];
        if (varieties[i / rows].mode != mode)
            continue;
        memset(&model, 0, sizeof model);
        begin_at(&model.setup, &varieties[i / rows], start);
        model.random = i;
        model.start = model.pos = start;

        while (model.pos - start < laps() * smallest() && model.operation < 60000)
            operate(&model);

        cr_expect_lt(model.operation, 60000, "it gets on");
        come_to_an_end(&model);
    }
}

Test(mring_mpmc, does_what_a_model_does_with_several_at_both_ends, .timeout = 60)
{
    agree_over_many_laps(0);
}

Test(mring_mpmc, does_what_a_model_does_with_a_single_producer, .timeout = 60)
{
    agree_over_many_laps(MRING_SINGLE_PRODUCER);
}

Test(mring_mpmc, does_what_a_model_does_with_a_single_consumer, .timeout = 60)
{
    agree_over_many_laps(MRING_SINGLE_CONSUMER);
}

Test(mring_mpmc, does_what_a_model_does_with_one_at_both_ends, .timeout = 60)
{
    agree_over_many_laps(SINGLE_BOTH);
}

Test(mring_mpmc, does_what_a_model_does_when_it_skips_stalled_ones, .timeout = 60)
{
    agree_over_many_laps(MRING_SKIP_STALLED);
}
