/* SPDX-License-Identifier: MIT */
/*
 * Record rings whose words and positions somebody else has overwritten, or that are used in ways
 * that a debug build catches. Over the real src/mpmc.c, which is compiled in, so that a test can
 * act at certain moments of a call.
 */
#define _GNU_SOURCE

#include "mpmc_support.h"

static uint64_t look_at_word(mring_atomic_u64 *word);
static void *next_of_copy(const struct mring_mpmc_end *consumer, struct mring_claim *claimed,
                          size_t *size);

#define mring_look_acquire_u64(word)           look_at_word(word)
#define mring_mpmc_next(consumer, claim, size) next_of_copy(consumer, claim, size)
#include "../../src/mpmc.c"
#undef mring_look_acquire_u64
#undef mring_mpmc_next

/* The external definition that src/mpmc.c has under the other name. */
extern inline void *mring_mpmc_next(const struct mring_mpmc_end *consumer,
                                    struct mring_claim *claim, size_t *size);

#include <criterion/criterion.h>

#include <sys/eventfd.h>
#include <unistd.h>

/* ---- moments --------------------------------------------------------------------------------- */

/* Called once: before a word is looked at; after so many looks; before a claim is copied out. */
static void (*before_look)(void);
static void (*after_looks)(void);
static void (*before_copy)(void);
static int looks_left;

/* What they act on. */
static struct setup scene;
static mring_atomic_u64 *place;
static uint64_t forgery;

static void happen(void (**moment)(void))
{
    void (*act)(void) = *moment;

    if (act != NULL) {
        *moment = NULL;
        act();
    }
}

static uint64_t look_at_word(mring_atomic_u64 *word)
{
    happen(&before_look);
    uint64_t value = mring_look_acquire_u64(word);

    if (after_looks != NULL && --looks_left == 0)
        happen(&after_looks);
    return value;
}

static void *next_of_copy(const struct mring_mpmc_end *consumer, struct mring_claim *claimed,
                          size_t *size)
{
    happen(&before_copy);
    return mring_mpmc_next(consumer, claimed, size);
}

static void forge(void)
{
    mring_store_relaxed_u64(place, forgery);
}

/* ---- words ----------------------------------------------------------------------------------- */

static mring_atomic_u64 *word_at(const struct setup *setup, uint64_t pos)
{
    return mring_mpmc_word(&setup->ring.layout, skips(setup->variety), pos);
}

/* Overwrite the word at `pos` with one of its lap. */
static void set_word(const struct setup *setup, uint64_t pos, enum mring_state state,
                     uint64_t length)
{
    mring_store_relaxed_u64(word_at(setup, pos),
                            mring_mpmc_make(&setup->ring.layout, pos, state, length));
}

/* Where the next record will be claimed. */
static uint64_t read_pos_of(const struct setup *setup)
{
    return mring_mpmc_read_pos(&setup->in[0], has_one_consumer(setup->variety));
}

/* The state of a record that was claimed. */
static enum mring_state claimed_state(const struct setup *setup)
{
    return skips(setup->variety) ? MRING_STATE_TAKEN : MRING_STATE_READY;
}

/* As begin(), with records of up to `record_max` bytes. */
static void begin_with(struct setup *setup, const struct variety *variety, uint64_t record_max)
{
    *setup = (struct setup){ .variety = variety };
    cr_assert_eq(mring_mpmc_create(&setup->ring, &(struct mring_args){ .capacity = smallest(),
                                                                       .flags = variety->mode,
                                                                       .granule = variety->granule,
                                                                       .record_max = record_max }),
                 0, "%s", variety->name);
    join_all(setup);
}

/* ---- records over the limit ------------------------------------------------------------------ */

enum { LIMIT = 100 };

/* No way to get at the next record gives any, or writes to the buffer. */
static void expect_corrupt(struct setup *setup, uint64_t length)
{
    static unsigned char buffer[1 << 18], untouched[1 << 18];
    const char *name = setup->variety->name;
    const size_t rooms[] = { LIMIT, LIMIT + 1, 2 * LIMIT, (size_t)length, sizeof buffer, SIZE_MAX };
    struct mring_mpmc_end *in = &setup->in[0];
    struct mring_claim claimed, before;
    size_t size, count = 99;
    memset(buffer, 0xa5, sizeof buffer);
    memset(untouched, 0xa5, sizeof untouched);
    memset(&claimed, 0xa5, sizeof claimed);
    memset(&before, 0xa5, sizeof before);

    cr_expect_eq(claim(in, &claimed, 5), 0, "%s", name);
    cr_expect_eq(mring_mpmc_claim_wait(in, &claimed, 5, &count, 0), MRING_CORRUPT, "%s", name);
    cr_expect_eq(count, 99, "%s", name);
    cr_expect(memcmp(&claimed, &before, sizeof claimed) == 0, "%s", name);
    for (size_t i = 0; i < ROWS(rooms); i++) {
        cr_expect_eq(pop(in, buffer, rooms[i], &size), MRING_CORRUPT, "%s, %zu", name, rooms[i]);
        cr_expect_eq(mring_mpmc_pop_wait(in, buffer, rooms[i], &size, 0), MRING_CORRUPT, "%s, %zu",
                     name, rooms[i]);
    }
    cr_expect_eq(pop_n(in, buffer, LIMIT + 1, 1), 0, "%s", name);
    cr_expect_eq(pop_n(in, buffer, (size_t)length, 1), 0, "%s", name);
    cr_expect_eq(mring_mpmc_arm(in, 0), MRING_CORRUPT, "%s", name);
    cr_expect(memcmp(buffer, untouched, sizeof buffer) == 0, "%s", name);
}

Test(mring_mpmc_pop, answers_corrupt_to_a_record_that_is_over_the_limit, .timeout = 10)
{
    static const uint64_t lengths[] = { LIMIT + 1, LIMIT + 30, 5000, 1 << 20, MRING_LENGTH_MAX };

    for (size_t i = 0; i < ROWS(varieties) * ROWS(lengths); i++) {
        const struct variety *variety = &varieties[i / ROWS(lengths)];
        const uint64_t length = lengths[i % ROWS(lengths)];
        int fd = eventfd(0, EFD_NONBLOCK);
        struct setup setup;
        begin_with(&setup, variety, LIMIT);
        cr_assert_eq(mring_mpmc_set_eventfd(&setup.ring, MRING_READ_END, fd), 0);

        set_word(&setup, read_pos_of(&setup), MRING_STATE_READY, length);

        expect_corrupt(&setup, length);
        cr_assert_eq(mring_mpmc_set_eventfd(&setup.ring, MRING_READ_END, -1), 0);
        close(fd);
        finish(&setup);
    }
}

Test(mring_mpmc_claim, ends_before_a_record_that_is_over_the_limit, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct setup setup;
        struct mring_claim claimed;
        size_t size;
        int fd = eventfd(0, EFD_NONBLOCK);
        begin_with(&setup, &varieties[i], LIMIT);
        cr_assert_eq(mring_mpmc_set_eventfd(&setup.ring, MRING_READ_END, fd), 0);
        uint64_t pos = read_pos_of(&setup);
        for (size_t j = 0; j < 3; j++)
            cr_assert_eq(put(&setup.out[0], j, LIMIT), 0);
        pos += 2 * mring_mpmc_record_bytes(&setup.ring, LIMIT);

        set_word(&setup, pos, MRING_STATE_READY, LIMIT + 1);

        cr_expect(take(&setup.in[0], 0, LIMIT), "%s", varieties[i].name);
        cr_assert_eq(claim(&setup.in[0], &claimed, 9), 1, "%s", varieties[i].name);
        cr_expect(has_bytes_of(next(&setup.in[0], &claimed, &size), 1, LIMIT));
        cr_expect_eq(size, LIMIT, "%s", varieties[i].name);
        release(&setup.in[0], &claimed);
        expect_corrupt(&setup, LIMIT + 1);
        cr_assert_eq(mring_mpmc_set_eventfd(&setup.ring, MRING_READ_END, -1), 0);
        close(fd);
        finish(&setup);
    }
}

/* ---- words that change in the hand of a consumer --------------------------------------------- */

/* All that next() gives lies within the claim, and it comes to an end. */
static void expect_within(struct setup *setup, struct mring_claim claimed, const char *what)
{
    const struct mring_layout *layout = &setup->ring.layout;
    const unsigned char *first = mring_mpmc_bytes(layout, true, claimed.pos);
    const unsigned char *end = first + (claimed.end - claimed.pos);
    size_t size = 77;

    for (int i = 0; i < 4; i++) {
        const unsigned char *bytes = next(&setup->in[0], &claimed, &size);
        if (bytes == NULL)
            break;
        cr_expect(bytes >= first && bytes + size <= end, "%s, %s: %zu bytes", setup->variety->name,
                  what, size);
    }
    for (int i = 0; i < 3; i++) {
        cr_expect_null(next(&setup->in[0], &claimed, &size), "%s, %s", setup->variety->name, what);
        cr_expect_eq(size, 0, "%s, %s", setup->variety->name, what);
    }
}

/* Of three records that were claimed, more behind them, any one is changed. */
Test(mring_mpmc_next, gives_nothing_beyond_the_claim_when_a_word_is_changed, .timeout = 10)
{
    static const struct {
        const char *what;
        bool is_free;
        uint64_t length;
    } rows[] = {
        { "longer", false, 101 },
        { "much longer", false, 400 },
        { "a lap", false, 1 << 16 },
        { "longest", false, MRING_LENGTH_MAX },
        { "free", true, 1 },
        { "more free", true, 1000 },
        { "most free", true, 1 << 20 },
        { "all free", true, MRING_LENGTH_MAX },
        { "shorter", false, 50 },
        { "nothing", false, 0 },
    };

    for (size_t i = 0; i < 3 * ROWS(varieties) * ROWS(rows); i++) {
        const size_t row = i / 3 % ROWS(rows), which = i % 3;
        struct setup setup;
        struct mring_claim claimed;
        begin(&setup, &varieties[i / 3 / ROWS(rows)]);
        const size_t span = mring_mpmc_record_bytes(&setup.ring, 100);
        for (size_t j = 0; j < 9; j++)
            cr_assert_eq(put(&setup.out[0], j, 100), 0);
        cr_assert_eq(mring_mpmc_claim_wait(&setup.in[0], &claimed, 3, NULL, 0), 0);
        cr_assert_eq(claimed.end - claimed.pos, 3 * span);

        set_word(&setup, claimed.pos + which * span,
                 rows[row].is_free ? MRING_STATE_FREE : claimed_state(&setup), rows[row].length);

        expect_within(&setup, claimed, rows[row].what);
        cr_assert_eq(mring_mpmc_destroy(&setup.ring), 0);
    }
}

/* One byte, in granules with room for more, becomes as long as the granule. */
static void copy_what_grows(const struct variety *variety, bool waits)
{
    unsigned char buffer[1 << 8];
    size_t size = 99;
    begin(&scene, variety);
    cr_assert_eq(put(&scene.out[0], 7, 1), 0);
    cr_assert_eq(put(&scene.out[0], 8, 1), 0);
    memset(buffer, 0xa5, sizeof buffer);
    place = word_at(&scene, read_pos_of(&scene));
    forgery = mring_mpmc_make(&scene.ring.layout, read_pos_of(&scene), claimed_state(&scene),
                              size_of_granules(variety, 1));
    before_copy = forge;

    int err = waits ? mring_mpmc_pop_wait(&scene.in[0], buffer, 1, &size, 0)
                    : pop(&scene.in[0], buffer, 1, &size);

    cr_expect_eq(err, 0, "%s", variety->name);
    cr_expect_eq(size, 1, "%s: %zu", variety->name, size);
    cr_expect(has_bytes_of(buffer, 7, 1), "%s", variety->name);
    for (size_t i = 1; i < sizeof buffer; i++)
        cr_assert_eq(buffer[i], 0xa5, "%s: byte %zu", variety->name, i);
    if (waits || skips(variety))
        cr_expect_null(before_copy, "%s", variety->name);
    before_copy = NULL;
    cr_expect(take(&scene.in[0], 8, 1), "%s", variety->name);
    finish(&scene);
}

Test(mring_mpmc_pop, writes_no_more_than_there_is_room_for_when_a_word_grows, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++)
        copy_what_grows(&varieties[i], false);
}

Test(mring_mpmc_pop_wait, writes_no_more_than_there_is_room_for_when_a_word_grows, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++)
        copy_what_grows(&varieties[i], true);
}

/* The first of two with something aborted between them, after all were looked at. */
Test(mring_mpmc_pop_n, copies_nothing_beyond_the_claim_when_a_word_is_changed, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        unsigned char buffer[64];
        if (has_one_producer(&varieties[i]) || skips(&varieties[i]))
            continue;
        begin(&scene, &varieties[i]);
        cr_assert_eq(put(&scene.out[0], 1, 20), 0);
        cr_assert_not_null(reserve(&scene.out[0], 20));
        mring_mpmc_abort(&scene.out[0]);
        cr_assert_eq(put(&scene.out[0], 2, 20), 0);
        memset(buffer, 0xa5, sizeof buffer);
        place = word_at(&scene, read_pos_of(&scene));
        forgery = mring_mpmc_make(&scene.ring.layout, read_pos_of(&scene), MRING_STATE_READY,
                                  MRING_LENGTH_MAX);
        looks_left = 3;
        after_looks = forge;

        cr_expect_eq(pop_n(&scene.in[0], buffer, 20, 2), 2, "%s", varieties[i].name);

        cr_expect_null(after_looks, "%s", varieties[i].name);
        for (size_t j = 0; j < sizeof buffer; j++)
            cr_assert_eq(buffer[j], 0xa5, "%s: byte %zu", varieties[i].name, j);
        finish(&scene);
    }
}

/* ---- a read_pos that is not the consumer's own ----------------------------------------------- */

/* Nothing loops, and what was not read yet stays what it was. */
Test(mring_mpmc_release, does_not_go_by_what_read_pos_has_become, .timeout = 10)
{
    const uint64_t changes[] = {
        8, 1, UINT64_C(0) - 8, 64, smallest(), 0 - (uint64_t)smallest(), UINT64_C(1) << 63
    };
    static const uint64_t batches[] = { 0, 1, 500, 4000 };

    for (size_t i = 0; i < ROWS(varieties) * ROWS(changes) * ROWS(batches); i++) {
        const struct variety *variety = &varieties[i / ROWS(changes) / ROWS(batches)];
        const uint64_t change = changes[i / ROWS(batches) % ROWS(changes)];
        struct mring_tuning tuning = { .batch_bytes = batches[i % ROWS(batches)] };
        struct setup setup;
        struct mring_claim claimed;
        size_t size;
        if (!has_one_consumer(variety))
            continue;
        begin_at(&setup, variety, 4 * (uint64_t)smallest());
        mring_atomic_u64 *read_pos = &setup.ring.layout.read_side->pos;
        cr_assert_eq(mring_mpmc_tune(&setup.in[0], &tuning), 0);
        for (size_t j = 0; j < 20; j++)
            cr_assert_eq(put(&setup.out[0], j, 30), 0);

        for (size_t j = 0; j < 20; j++) {
            mring_store_relaxed_u64(read_pos, mring_load_relaxed_u64(read_pos) + change);
            if (j % 2) {
                cr_assert(take(&setup.in[0], j, 30), "%s, row %zu, %zu", variety->name, i, j);
                continue;
            }
            cr_assert_eq(claim(&setup.in[0], &claimed, 1), 1, "%s, row %zu, %zu", variety->name, i,
                         j);
            cr_expect(has_bytes_of(next(&setup.in[0], &claimed, &size), j, 30), "%s, row %zu",
                      variety->name, i);
            release(&setup.in[0], &claimed);
        }
        cr_expect_eq(pop_any(&setup.in[0]), MRING_EMPTY, "%s, row %zu", variety->name, i);
        mring_mpmc_leave(&setup.in[0]);
        cr_assert_eq(mring_mpmc_destroy(&setup.ring), 0);
    }
}

/* What was released out of order was changed to be longer than all that is claimed. */
Test(mring_mpmc_release, comes_to_an_end_when_what_was_released_before_is_changed, .timeout = 10)
{
    static const uint64_t lengths[] = { 0, 3, 1000, 1 << 20, MRING_LENGTH_MAX };

    for (size_t i = 0; i < ROWS(varieties) * ROWS(lengths); i++) {
        struct setup setup;
        struct mring_claim claims[3];
        if (!has_one_consumer(&varieties[i / ROWS(lengths)]))
            continue;
        begin(&setup, &varieties[i / ROWS(lengths)]);
        for (size_t j = 0; j < 3; j++) {
            cr_assert_eq(put(&setup.out[0], j, 30), 0);
            cr_assert_eq(claim(&setup.in[0], &claims[j], 1), 1);
        }
        release(&setup.in[0], &claims[1]);

        set_word(&setup, claims[1].pos, MRING_STATE_FREE, lengths[i % ROWS(lengths)]);

        release(&setup.in[0], &claims[0]);
        mring_mpmc_leave(&setup.in[0]);
        cr_assert_eq(mring_mpmc_destroy(&setup.ring), 0);
    }
}

/* ---- positions of named rings ---------------------------------------------------------------- */

TestSuite(mring_mpmc_open, .init = support_begin, .fini = support_end);

Test(mring_mpmc_open, answers_corrupt_to_positions_between_granules, .timeout = 20)
{
    static const uint64_t changes[] = { 2, 4, 8, UINT64_C(0) - 8, 1 };

    for (size_t i = 0; i < 3 * ROWS(varieties) * ROWS(changes); i++) {
        const struct variety *variety = &varieties[i / 3 / ROWS(changes)];
        const uint64_t change = changes[i / 3 % ROWS(changes)];
        const char *tagname = support_tagname("ring");
        struct mring_args args = { .tagname = tagname,
                                   .capacity = smallest(),
                                   .flags = variety->mode,
                                   .granule = variety->granule };
        struct mring_mpmc ring, other, before;
        cr_assert_eq(mring_mpmc_create(&ring, &args), 0, "%s", variety->name);
        mring_atomic_u64 *positions[] = { &ring.layout.write_side->pos,
                                          &ring.layout.read_side->free_pos,
                                          &ring.layout.read_side->pos };
        mring_atomic_u64 *position = positions[i % 3];
        const uint64_t value = mring_load_relaxed_u64(position);
        memset(&other, 0xa5, sizeof other);
        memset(&before, 0xa5, sizeof before);
        const bool closes = change == 1 && i % 3 == 0; /* that is what it means in write_pos */

        mring_store_relaxed_u64(position, value + (closes ? 2 : change));
        support_remember();
        cr_expect_eq(mring_mpmc_open(&other, &args), MRING_CORRUPT, "%s, row %zu", variety->name,
                     i);

        ASSERT_NOTHING_LEFT("row %zu", i);
        cr_expect(memcmp(&other, &before, sizeof other) == 0, "%s, row %zu", variety->name, i);
        cr_expect(support_name_exists(tagname), "%s, row %zu", variety->name, i);
        mring_store_relaxed_u64(position, value);
        cr_assert_eq(mring_mpmc_open(&other, &args), 0, "%s, row %zu", variety->name, i);
        cr_expect_not(other.map.created, "%s, row %zu", variety->name, i);
        mring_mpmc_destroy(&other);
        mring_mpmc_destroy(&ring);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

Test(mring_mpmc_open, attaches_to_a_ring_whose_write_pos_says_that_it_is_closed, .timeout = 10)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        struct mring_args args = { .tagname = support_tagname("ring"),
                                   .capacity = smallest(),
                                   .flags = varieties[i].mode,
                                   .granule = varieties[i].granule };
        struct mring_mpmc ring, other;
        cr_assert_eq(mring_mpmc_create(&ring, &args), 0, "%s", varieties[i].name);
        mring_or_relaxed_u64(&ring.layout.write_side->pos, MRING_POS_CLOSED);

        cr_assert_eq(mring_mpmc_open(&other, &args), 0, "%s", varieties[i].name);

        mring_mpmc_destroy(&other);
        mring_mpmc_destroy(&ring);
        cr_assert_eq(mmap_unlink(args.tagname), 0);
    }
}

/* ---- fork ------------------------------------------------------------------------------------ */

/* In a child: the one place at each single end is to be had once. */
static const char *join_in_child(void *context)
{
    struct setup *setup = context;
    struct mring_mpmc_end member, more;
    const bool singles[] = { has_one_producer(setup->variety), has_one_consumer(setup->variety) };
    uint64_t value = 55;
    size_t size;

    for (enum mring_end end = MRING_WRITE_END; end <= MRING_READ_END; end++) {
        if (!singles[end == MRING_READ_END])
            continue;
        EXPECT(mring_mpmc_join(&setup->ring, &member, end) == 0);
        EXPECT(mring_mpmc_join(&setup->ring, &more, end) == MRING_BUSY);
        mring_mpmc_leave(&member);
        EXPECT(mring_mpmc_join(&setup->ring, &more, end) == 0);
        EXPECT(mring_mpmc_join(&setup->ring, &member, end) == MRING_BUSY);
        if (end == MRING_WRITE_END)
            EXPECT(push(&more, &value, sizeof value) == 0);
        else
            EXPECT(pop(&more, &value, sizeof value, &size) == 0 && value == 44);
    }
    return NULL;
}

Test(mring_mpmc_join, counts_anew_in_a_child, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(varieties); i++) {
        const struct variety *variety = &varieties[i];
        struct setup setup;
        struct mring_mpmc_end more;
        const uint64_t value = 44;
        if (!has_one_producer(variety) && !has_one_consumer(variety))
            continue;
        begin(&setup, variety);
        cr_assert_eq(push(&setup.out[0], &value, sizeof value), 0);

        ASSERT_CHILD(support_child(join_in_child, &setup));

        cr_expect_eq(mring_mpmc_join(&setup.ring, &more, MRING_WRITE_END),
                     has_one_producer(variety) ? MRING_BUSY : 0, "%s", variety->name);
        cr_expect_eq(mring_mpmc_join(&setup.ring, &more, MRING_READ_END),
                     has_one_consumer(variety) ? MRING_BUSY : 0, "%s", variety->name);
        cr_assert_eq(mring_mpmc_destroy(&setup.ring), 0);
    }
}

/* ---- guards of debug builds ------------------------------------------------------------------ */

static const char *release_twice(void *context)
{
    struct setup *setup = context;
    struct mring_claim claimed;

    EXPECT(claim(&setup->in[0], &claimed, 2) == 2);
    release(&setup->in[0], &claimed);
    release(&setup->in[0], &claimed);
    return NULL;
}

/* The second of two: a single consumer has it marked. */
static const char *release_the_second_twice(void *context)
{
    struct setup *setup = context;
    struct mring_claim first, second;

    EXPECT(claim(&setup->in[0], &first, 1) == 1);
    EXPECT(claim(&setup->in[0], &second, 1) == 1);
    release(&setup->in[0], &second);
    release(&setup->in[0], &second);
    return NULL;
}

static void assert_is_caught(support_body *breach, const struct variety *variety)
{
    struct setup setup;

    if (!MRING_GUARDED)
        cr_skip_test("this build has no guards: NDEBUG is set");
    setup = (struct setup){ .variety = variety, .ring = new_records(variety) };
    setup.producers = 1;
    cr_assert_eq(mring_mpmc_join(&setup.ring, &setup.out[0], MRING_WRITE_END), 0);
    cr_assert_eq(mring_mpmc_join(&setup.ring, &setup.in[0], MRING_READ_END), 0);
    for (size_t i = 0; i < 3; i++) /* by the parent alone */
        cr_assert_eq(put(&setup.out[0], i, 20), 0);

    const char *result = support_child(breach, &setup);

    cr_assert_not_null(result, "%s: nothing has caught it", variety->name);
    cr_assert_str_eq(result, "signal 6", "%s: %s", variety->name, result);
    cr_assert_eq(mring_mpmc_destroy(&setup.ring), 0);
}

Test(mring_mpmc_guard, catches_a_claim_that_is_released_twice, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(varieties); i++)
        assert_is_caught(release_twice, &varieties[i]);
}

Test(mring_mpmc_guard, catches_a_claim_that_is_released_twice_out_of_order, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(varieties); i++)
        assert_is_caught(release_the_second_twice, &varieties[i]);
}

/* ---- a consumer that was overtaken ----------------------------------------------------------- */

/* Others pop a lap, of which the last record but one lies there again; and the ring is closed. */
static void let_a_lap_pass(void)
{
    size_t count = fill(&scene);

    cr_assert_eq(count, granules_of(&scene), "%s", scene.variety->name);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(pop_any(&scene.in[1]), 0, "%s", scene.variety->name);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(put(&scene.out[0], 70 + i, 5), 0, "%s", scene.variety->name);
    mring_mpmc_close(&scene.ring, MRING_WRITE_END, 0);
}

/* Ways to get the next record. */
enum way { BY_POP, BY_POP_WAIT, BY_CLAIM_WAIT, BY_ARM };

static int get_next(enum way way, struct mring_mpmc_end *consumer)
{
    unsigned char buffer[100];
    struct mring_claim claimed;
    size_t size;
    int err;

    switch (way) {
    case BY_POP:
        return pop(consumer, buffer, sizeof buffer, &size);
    case BY_POP_WAIT:
        return mring_mpmc_pop_wait(consumer, buffer, sizeof buffer, &size, 0);
    case BY_CLAIM_WAIT:
        err = mring_mpmc_claim_wait(consumer, &claimed, 1, NULL, 0);
        if (err == 0)
            release(consumer, &claimed);
        return err;
    case BY_ARM:
        return mring_mpmc_arm(consumer, 0);
    }
    return MRING_CORRUPT;
}

/* Whatever the look at which it happens, there are records, so that it is not the end. */
Test(mring_mpmc_is_closed, is_not_the_end_for_who_was_overtaken_by_a_lap, .timeout = 30)
{
    for (size_t i = 0; i < ROWS(varieties) * 4 * 6; i++) {
        const struct variety *variety = &varieties[i / 4 / 6];
        const enum way way = (enum way)(i / 6 % 4);
        int fd = eventfd(0, EFD_NONBLOCK), err;
        if (has_one_consumer(variety) || skips(variety)) {
            close(fd);
            continue;
        }
        begin(&scene, variety);
        cr_assert_eq(mring_mpmc_set_eventfd(&scene.ring, MRING_READ_END, fd), 0);
        if (i % 6 == 0) {
            before_look = let_a_lap_pass;
        } else {
            looks_left = (int)(i % 6);
            after_looks = let_a_lap_pass;
        }

        err = get_next(way, &scene.in[0]);

        bool has_passed = before_look == NULL && after_looks == NULL;
        cr_expect(i % 6 > 1 || has_passed, "%s, row %zu", variety->name, i);
        cr_expect_neq(err, MRING_EOF, "%s, row %zu", variety->name, i);
        before_look = after_looks = NULL;
        if (has_passed) {
            size_t left = err == 0 && way != BY_ARM ? 2 : 3;
            cr_expect_eq(drain(&scene), left, "%s, row %zu", variety->name, i);
            cr_expect_eq(pop_any(&scene.in[0]), MRING_EOF, "%s, row %zu", variety->name, i);
        }
        close(fd);
        cr_assert_eq(mring_mpmc_set_eventfd(&scene.ring, MRING_READ_END, -1), 0);
        finish(&scene);
    }
}

/* ---- positions that contradict each other ---------------------------------------------------- */

Test(mring_mpmc_reserve_wait, answers_corrupt_to_a_write_pos_far_beyond, .timeout = 10)
{
    static const uint64_t laps[] = { 2, 4, 1000, UINT64_C(1) << 40 };

    for (size_t i = 0; i < 3 * ROWS(varieties) * ROWS(laps); i++) {
        const struct variety *variety = &varieties[i / 3 / ROWS(laps)];
        const uint64_t beyond = laps[i / 3 % ROWS(laps)] * smallest();
        struct setup setup;
        void *room = &setup;
        if (has_one_producer(variety))
            continue;
        begin(&setup, variety);
        if (i % 3 > 0)
            fill(&setup);
        mring_atomic_u64 *write_pos = &setup.ring.layout.write_side->pos;
        const uint64_t pos = mring_load_relaxed_u64(write_pos) + beyond;

        mring_store_relaxed_u64(write_pos, pos);
        if (i % 3 > 1 && skips(variety)) /* as if somebody had reserved there */
            set_word(&setup, pos, MRING_STATE_BUSY, 1);

        for (size_t j = 0; j < setup.producers; j++) {
            struct mring_mpmc_end *out = &setup.out[j];
            cr_expect_eq(mring_mpmc_reserve_wait(out, 8, &room, 0), MRING_CORRUPT, "%s, row %zu",
                         variety->name, i);
            cr_expect_eq(room, &setup, "%s, row %zu", variety->name, i);
            cr_expect_eq(mring_mpmc_push_wait(out, "", 1, 0), MRING_CORRUPT, "%s, row %zu",
                         variety->name, i);
            cr_expect_null(reserve(out, 8), "%s, row %zu", variety->name, i);
            cr_expect_eq(push_n(out, bytes_of(0, 80), 8, 10), 0, "%s, row %zu", variety->name, i);
        }
        cr_assert_eq(mring_mpmc_destroy(&setup.ring), 0);
    }
}

/* ---- push_n into a ring that is nearly full -------------------------------------------------- */

/* Of 0, 1, .. granules of room, which a consumer gives back when the producers think it is full. */
Test(mring_mpmc_push_n, moves_exactly_what_fits_into_a_nearly_full_ring, .timeout = 60)
{
    static const size_t sizes[] = { 0, 1, 8, 24, 100, 1000 };
    static const size_t counts[] = { 1, 2, 3, 1000, 1 << 20, SIZE_MAX };
    enum { ROOMS = 45 };

    for (size_t i = 0; i < ROWS(varieties) * ROWS(sizes); i++) {
        const struct variety *variety = &varieties[i / ROWS(sizes)];
        const size_t size = sizes[i % ROWS(sizes)];
        struct setup setup;
        begin(&setup, variety);
        const size_t span = mring_mpmc_record_bytes(&setup.ring, size);
        cr_assert_eq(fill(&setup), granules_of(&setup));

        for (size_t j = 0; j < ROOMS * ROWS(counts); j += step()) {
            const size_t room = j / ROWS(counts), count = counts[j % ROWS(counts)];
            const size_t most = room * variety->granule / span;
            const size_t wanted = count < most ? count : most;
            struct mring_mpmc_end *out = &setup.out[j % setup.producers];
            for (size_t k = 0; k < room; k++)
                cr_assert_eq(pop_any(&setup.in[0]), 0, "%s", variety->name);

            size_t moved = push_n(out, bytes_of(j, (wanted + 1) * size), size, count);

            cr_assert_eq(moved, wanted, "%s, size %zu, room %zu, count %zu: %zu", variety->name,
                         size, room, count, moved);
            cr_assert_eq(fill(&setup), room - moved * span / variety->granule, "%s", variety->name);
            drain(&setup);
            cr_assert_eq(fill(&setup), granules_of(&setup), "%s", variety->name);
        }
        drain(&setup);
        finish(&setup);
    }
}
