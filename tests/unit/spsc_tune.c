/* SPDX-License-Identifier: MIT */
/* Byte rings: how an end is tuned, counted, taken over and checked. */
#define _GNU_SOURCE

#include "keep.h"
#include "ring_support.h"

#include <criterion/criterion.h>
#include <mring/spsc.h>

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int64_t MILLISECOND = 1000000;

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

/* A handle of a ring with a name, which is made if there is none. */
static struct mring_spsc open_ring(const char *tagname)
{
    struct mring_spsc ring = { 0 };

    cr_assert_eq(
        mring_spsc_open(&ring, &(struct mring_args){ .tagname = tagname, .capacity = smallest() }),
        0);
    return ring;
}

static int tune_batch(struct mring_spsc *ring, enum mring_end end, uint64_t bytes)
{
    return mring_spsc_tune(ring, end, &(struct mring_tuning){ .batch_bytes = bytes });
}

static uint64_t written(const struct mring_spsc *ring)
{
    return mring_spsc_position(ring, MRING_WRITE_END);
}

static uint64_t consumed(const struct mring_spsc *ring)
{
    return mring_spsc_position(ring, MRING_READ_END);
}

static struct mring_stats stats_of(const struct mring_spsc *ring, enum mring_end end)
{
    struct mring_stats stats;

    memset(&stats, 0xa5, sizeof stats);
    mring_spsc_stats(ring, end, &stats);
    return stats;
}

/* Give an end a descriptor, so that it can be armed. */
static int set_descriptor(struct mring_spsc *ring, enum mring_end end)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    cr_assert_geq(fd, 0);
    cr_assert_eq(mring_spsc_set_eventfd(ring, end, fd), 0);
    return fd;
}

/* ---- batches of the write end ---------------------------------------------------------------- */

TestSuite(mring_spsc_tune, .init = support_begin, .fini = support_end);
TestSuite(mring_spsc_destroy, .init = support_begin, .fini = support_end);

/*
 * A ring whose producer holds back 60 bytes, of 160: its batch is 100. Its consumer holds back 40
 * of the 100 that it knows of.
 */
static struct mring_spsc holding_ring(void)
{
    struct mring_spsc ring = new_ring(0);
    size_t size;

    cr_assert_eq(tune_batch(&ring, MRING_WRITE_END, 100), 0);
    cr_assert_eq(tune_batch(&ring, MRING_READ_END, 50), 0);
    cr_assert(put(&ring, 100) && put(&ring, 60));
    cr_assert_not_null(mring_spsc_peek(&ring, 1, &size));
    cr_assert(take(&ring, 40));
    cr_assert_eq(written(&ring), 100);
    cr_assert_eq(consumed(&ring), 0);
    return ring;
}

Test(mring_spsc_tune, has_the_producer_publish_when_a_batch_has_come_together, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    cr_expect_eq(tune_batch(&ring, MRING_WRITE_END, 100), 0);

    cr_expect(put(&ring, 60));
    cr_expect_eq(mring_spsc_readable(&ring), 0);
    cr_expect_eq(written(&ring), 0);
    cr_expect(put(&ring, 39));
    cr_expect_eq(mring_spsc_readable(&ring), 0);
    cr_expect(put(&ring, 1));
    cr_expect_eq(mring_spsc_readable(&ring), 100);
    cr_expect(put(&ring, 99));
    cr_expect_eq(mring_spsc_readable(&ring), 100, "the next batch counts from here");
    cr_expect(put(&ring, 500));
    cr_expect_eq(mring_spsc_readable(&ring), 699, "all of it, not a multiple of the batch");

    cr_expect_eq(mring_spsc_writable(&ring), smallest() - 699, "the producer knows, anyway");
    cr_expect(take(&ring, 699));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_tune, has_the_consumer_release_when_a_batch_has_come_together, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    cr_expect_eq(tune_batch(&ring, MRING_READ_END, 100), 0);
    cr_assert(put(&ring, capacity));

    cr_expect(take(&ring, 60));
    cr_expect_eq(mring_spsc_writable(&ring), 0);
    cr_expect_eq(consumed(&ring), 0);
    cr_expect(take(&ring, 39));
    cr_expect_eq(mring_spsc_writable(&ring), 0);
    cr_expect(take(&ring, 1));
    cr_expect_eq(mring_spsc_writable(&ring), 100);
    cr_expect(take(&ring, 99));
    cr_expect_eq(mring_spsc_writable(&ring), 100, "the next batch counts from here");
    cr_expect(take(&ring, 500));
    cr_expect_eq(mring_spsc_writable(&ring), 699);

    cr_expect_eq(mring_spsc_readable(&ring), capacity - 699);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_tune, has_the_consumer_release_when_nothing_is_left_that_it_knows_of, .timeout = 5)
{
    static const unsigned flags[] = { 0, MRING_NOWAIT, MRING_FENCE };

    for (size_t i = 0; i < ROWS(flags); i++) {
        struct mring_spsc ring = new_ring(flags[i]);
        size_t size;
        cr_assert_eq(tune_batch(&ring, MRING_READ_END, 100), 0);
        cr_assert(put(&ring, 10));
        cr_assert_not_null(mring_spsc_peek(&ring, 1, &size));
        cr_assert(put(&ring, 10));

        cr_expect(take(&ring, 9));
        cr_expect_eq(consumed(&ring), 0, "row %zu", i);
        cr_expect(take(&ring, 1));
        cr_expect_eq(consumed(&ring), 10, "row %zu", i);

        mring_spsc_destroy(&ring);
    }
}

/* ---- what ends the holding back -------------------------------------------------------------- */

static void act_flush(struct mring_spsc *ring, enum mring_end end)
{
    mring_spsc_flush(ring, end);
}

static void act_tune(struct mring_spsc *ring, enum mring_end end)
{
    cr_expect_eq(tune_batch(ring, end, 100), 0);
}

static void act_tune_to_defaults(struct mring_spsc *ring, enum mring_end end)
{
    cr_expect_eq(tune_batch(ring, end, 0), 0);
}

static void act_close(struct mring_spsc *ring, enum mring_end end)
{
    mring_spsc_close(ring, end, 0);
}

/* Ask for more than there is. */
static void act_find_too_little(struct mring_spsc *ring, enum mring_end end)
{
    size_t size;

    if (end == MRING_WRITE_END)
        cr_expect_null(mring_spsc_reserve(ring, smallest()));
    else
        cr_expect_null(mring_spsc_peek(ring, smallest(), &size));
}

static void act_find_too_few_elements(struct mring_spsc *ring, enum mring_end end)
{
    size_t count = SIZE_MAX;

    if (end == MRING_WRITE_END)
        cr_expect_not_null(mring_spsc_reserve_n(ring, 7, &count));
    else
        cr_expect_not_null(mring_spsc_peek_n(ring, 7, &count));
}

static void act_wait(struct mring_spsc *ring, enum mring_end end)
{
    if (end == MRING_WRITE_END)
        cr_expect_eq(mring_spsc_wait_writable(ring, smallest(), 0), MRING_TIMED_OUT);
    else
        cr_expect_eq(mring_spsc_wait_readable(ring, smallest(), 0), MRING_TIMED_OUT);
}

static void act_wait_until(struct mring_spsc *ring, enum mring_end end)
{
    if (end == MRING_WRITE_END)
        cr_expect_eq(mring_spsc_wait_writable_until(ring, smallest(), 0), MRING_TIMED_OUT);
    else
        cr_expect_eq(mring_spsc_wait_readable_until(ring, smallest(), 0), MRING_TIMED_OUT);
}

static void act_arm(struct mring_spsc *ring, enum mring_end end)
{
    int fd = set_descriptor(ring, end);

    if (end == MRING_WRITE_END)
        cr_expect_eq(mring_spsc_arm_writable(ring, smallest()), MRING_FULL);
    else
        cr_expect_eq(mring_spsc_arm_readable(ring, smallest()), MRING_EMPTY);
    close(fd);
}

Test(mring_spsc_tune, publishes_what_was_held_back_when_the_end_does_any_of_these, .timeout = 5)
{
    static const struct {
        void (*act)(struct mring_spsc *ring, enum mring_end end);
        const char *what;
    } rows[] = {
        { act_flush, "flush" },
        { act_tune, "tune" },
        { act_tune_to_defaults, "tune to defaults" },
        { act_close, "close" },
        { act_find_too_little, "find too little" },
        { act_find_too_few_elements, "find too few elements" },
        { act_wait, "wait" },
        { act_wait_until, "wait until" },
        { act_arm, "arm" },
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct mring_spsc ring = holding_ring();

        rows[i].act(&ring, MRING_WRITE_END);
        cr_expect_eq(written(&ring), 160, "%s", rows[i].what);
        cr_expect_eq(consumed(&ring), 0, "%s of the other end", rows[i].what);
        rows[i].act(&ring, MRING_READ_END);
        cr_expect_eq(consumed(&ring), 40, "%s", rows[i].what);

        cr_expect(take(&ring, 120), "%s: the bytes are the right ones", rows[i].what);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_tune, publishes_before_the_close_is_seen, .timeout = 5)
{
    struct mring_spsc ring = holding_ring();

    mring_spsc_close(&ring, MRING_WRITE_END, 0);

    cr_expect_eq(mring_spsc_readable(&ring), 120);
    cr_expect(take(&ring, 120));
    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 0), MRING_EOF);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_destroy, publishes_nothing_that_was_held_back, .timeout = 5)
{
    const char *tagname = support_tagname("held");
    struct mring_spsc ring = open_ring(tagname);
    size_t size;
    cr_assert_eq(tune_batch(&ring, MRING_WRITE_END, 100), 0);
    cr_assert_eq(tune_batch(&ring, MRING_READ_END, 50), 0);
    cr_assert(put(&ring, 100) && put(&ring, 60));
    cr_assert_not_null(mring_spsc_peek(&ring, 1, &size));
    cr_assert(take(&ring, 40));

    keep(tagname);
    cr_assert_eq(mring_spsc_destroy(&ring), 0);

    ring = open_ring(tagname);
    cr_expect_eq(written(&ring), 100);
    cr_expect_eq(consumed(&ring), 0);
    cr_expect(take(&ring, 100));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_tune, counts_a_new_batch_from_where_the_end_is, .timeout = 5)
{
    struct mring_spsc ring = holding_ring();
    cr_expect_eq(tune_batch(&ring, MRING_WRITE_END, 70), 0);
    cr_expect_eq(tune_batch(&ring, MRING_READ_END, 70), 0);

    cr_expect(put(&ring, 69));
    cr_expect_eq(written(&ring), 160);
    cr_expect(put(&ring, 1));
    cr_expect_eq(written(&ring), 230);
    cr_expect(take(&ring, 100));
    cr_expect_eq(consumed(&ring), 140);

    cr_expect(take(&ring, 69));
    cr_expect_eq(consumed(&ring), 140);
    cr_expect(take(&ring, 1));
    cr_expect_eq(consumed(&ring), 210);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_tune, goes_back_to_the_defaults_with_zeros, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0), fresh = new_ring(0);
    const struct mring_tuning tuning = { .batch_bytes = 100, .spin_ns = -1, .hold_ns = -1 };

    for (int end = MRING_WRITE_END; end <= MRING_READ_END; end++) {
        cr_expect_eq(mring_spsc_tune(&ring, (enum mring_end)end, &tuning), 0);
        cr_expect_eq(mring_spsc_tune(&ring, (enum mring_end)end, &(struct mring_tuning){ 0 }), 0);
    }

    cr_expect(put(&ring, 2));
    cr_expect_eq(written(&ring), 2);
    cr_expect(take(&ring, 1));
    cr_expect_eq(consumed(&ring), 1);
    cr_expect_arr_eq((unsigned char *)&ring.write_spin, (unsigned char *)&fresh.write_spin,
                     sizeof fresh.write_spin);
    cr_expect_arr_eq((unsigned char *)&ring.read_spin, (unsigned char *)&fresh.read_spin,
                     sizeof fresh.read_spin);
    cr_expect_gt(fresh.write_hold.pauses, 0);
    cr_expect_eq(ring.write_hold.pauses, fresh.write_hold.pauses);
    cr_expect_eq(ring.read_hold.pauses, fresh.read_hold.pauses);
    mring_spsc_destroy(&ring);
    mring_spsc_destroy(&fresh);
}

Test(mring_spsc_tune, fails_with_invalid_arg_and_leaves_the_end_as_it_was, .timeout = 5)
{
    const struct mring_tuning rows[] = {
        { .batch_bytes = smallest() + 1 },
        { .batch_bytes = UINT64_MAX },
        { .hold_ns = 10001 },
        { .hold_ns = INT64_MAX },
        { .batch_bytes = 1, .spin_ns = 1, .hold_ns = 10001 },
        { .batch_bytes = smallest() + 1, .spin_ns = 1, .hold_ns = 1 },
    };

    for (size_t i = 0; i < ROWS(rows) * 2; i++) {
        struct mring_spsc ring = holding_ring();
        struct mring_spsc before = ring;

        cr_expect_eq(mring_spsc_tune(&ring, (enum mring_end)(i % 2), &rows[i / 2]),
                     MMAP_INVALID_ARG, "row %zu", i / 2);

        cr_expect_eq(written(&ring), 100, "row %zu: nothing is published", i / 2);
        cr_expect_eq(consumed(&ring), 0, "row %zu", i / 2);
        cr_expect_arr_eq((unsigned char *)&ring, (unsigned char *)&before, sizeof ring, "row %zu",
                         i / 2);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_tune, takes_the_largest_and_the_smallest_of_everything, .timeout = 5)
{
    const struct mring_tuning rows[] = {
        { .batch_bytes = smallest() },
        { .hold_ns = 10000 },
        { .hold_ns = 1 },
        { .hold_ns = -1 },
        { .hold_ns = INT64_MIN },
        { .spin_ns = INT64_MAX },
        { .spin_ns = INT64_MIN },
        { .batch_bytes = 1 },
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct mring_spsc ring = new_ring(0);

        cr_expect_eq(mring_spsc_tune(&ring, MRING_WRITE_END, &rows[i]), 0, "row %zu", i);
        cr_expect_eq(mring_spsc_tune(&ring, MRING_READ_END, &rows[i]), 0, "row %zu", i);

        for (int lap = 0; lap < 3; lap++) {
            cr_expect(put(&ring, smallest()), "row %zu", i);
            cr_expect_eq(mring_spsc_wait_writable(&ring, 1, MILLISECOND), MRING_TIMED_OUT);
            cr_expect(take(&ring, smallest()), "row %zu", i);
            cr_expect_eq(mring_spsc_wait_readable(&ring, 1, MILLISECOND), MRING_TIMED_OUT);
        }
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_tune, sets_how_long_an_end_holds_off, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const uint32_t usual = ring.write_hold.pauses;

    cr_expect_eq(mring_spsc_tune(&ring, MRING_WRITE_END, &(struct mring_tuning){ .hold_ns = -5 }),
                 0);
    cr_expect_eq(mring_spsc_tune(&ring, MRING_READ_END, &(struct mring_tuning){ .hold_ns = 8000 }),
                 0);

    cr_expect_eq(ring.write_hold.pauses, 0);
    cr_expect_gt(ring.read_hold.pauses, usual * 10);
    mring_spsc_destroy(&ring);
}

/* ---- a consumer with a batch and a producer that waits --------------------------------------- */

Test(mring_spsc_tune, has_the_consumer_release_at_once_when_the_producer_is_armed, .timeout = 5)
{
    static const unsigned flags[] = { 0, MRING_FENCE };

    for (size_t i = 0; i < ROWS(flags); i++) {
        struct mring_spsc ring = new_ring(flags[i]);
        uint64_t count = 0;
        int fd = set_descriptor(&ring, MRING_WRITE_END);
        cr_assert_eq(tune_batch(&ring, MRING_READ_END, smallest() / 2), 0);
        cr_assert(put(&ring, smallest()));
        cr_expect(take(&ring, 1));
        cr_expect_eq(consumed(&ring), 0, "nobody waits yet");

        cr_expect_eq(mring_spsc_arm_writable(&ring, 3), MRING_FULL);
        cr_expect(take(&ring, 1));
        cr_expect_eq(consumed(&ring), 2, "row %zu", i);
        cr_expect_lt(read(fd, &count, sizeof count), 0, "but that is not enough yet");
        cr_expect(take(&ring, 1));
        cr_expect_eq(consumed(&ring), 3, "row %zu", i);
        cr_expect_eq(read(fd, &count, sizeof count), (ssize_t)sizeof count, "row %zu", i);

        cr_expect(take(&ring, 1));
        cr_expect_eq(consumed(&ring), 3, "nobody waits any more");
        close(fd);
        mring_spsc_destroy(&ring);
    }
}

/* One call of a waiting thread. */
struct waiter {
    struct mring_spsc *ring;
    bool writes;
    int64_t deadline_ns;
    int err;
};

static void *wait_in_thread(void *context)
{
    struct waiter *waiter = context;

    waiter->err = waiter->writes
                      ? mring_spsc_wait_writable_until(waiter->ring, 1, waiter->deadline_ns)
                      : mring_spsc_wait_readable_until(waiter->ring, 1, waiter->deadline_ns);
    return NULL;
}

static bool is_announced(struct mring_side *side)
{
    for (int i = 0; i < 10000 && mring_load_acquire_u32(&side->event.arm) == 0; i++)
        usleep(500);
    return mring_load_acquire_u32(&side->event.arm) != 0;
}

Test(mring_spsc_tune, never_lets_a_sleeping_producer_wait_for_a_batch, .timeout = 20)
{
    struct mring_spsc ring = new_ring(0);
    struct waiter waiter = { &ring, true, INT64_MAX, 99 };
    pthread_t thread;
    cr_assert_eq(tune_batch(&ring, MRING_READ_END, smallest()), 0);
    cr_assert(put(&ring, smallest()));
    cr_assert_eq(pthread_create(&thread, NULL, wait_in_thread, &waiter), 0);
    cr_expect(is_announced(ring.write_side));

    cr_expect(take(&ring, 1));

    pthread_join(thread, NULL);
    cr_expect_eq(waiter.err, 0);
    mring_spsc_destroy(&ring);
}

/* ---- flush ----------------------------------------------------------------------------------- */

Test(mring_spsc_flush, does_nothing_without_a_batch, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert(put(&ring, 20));
    cr_assert(take(&ring, 10));
    /* What it would overwrite. */
    mring_store_release_u64(&ring.write_side->pos, 19);
    mring_store_release_u64(&ring.read_side->pos, 9);

    mring_spsc_flush(&ring, MRING_WRITE_END);
    mring_spsc_flush(&ring, MRING_READ_END);

    cr_expect_eq(written(&ring), 19);
    cr_expect_eq(consumed(&ring), 9);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_flush, publishes_once, .timeout = 5)
{
    struct mring_spsc ring = holding_ring();
    mring_spsc_flush(&ring, MRING_WRITE_END);
    mring_store_release_u64(&ring.write_side->pos, 159);

    mring_spsc_flush(&ring, MRING_WRITE_END);

    cr_expect_eq(written(&ring), 159, "nothing was held back any more");
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_flush, wakes_whoever_waits_for_what_was_held_back, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    int fd = set_descriptor(&ring, MRING_READ_END);
    uint64_t count = 0;
    cr_assert_eq(tune_batch(&ring, MRING_WRITE_END, 100), 0);
    cr_assert_eq(mring_spsc_arm_readable(&ring, 1), MRING_EMPTY);

    cr_expect(put(&ring, 10));
    cr_expect_lt(read(fd, &count, sizeof count), 0);
    mring_spsc_flush(&ring, MRING_WRITE_END);

    cr_expect_eq(read(fd, &count, sizeof count), (ssize_t)sizeof count);
    close(fd);
    mring_spsc_destroy(&ring);
}

/* ---- stats ----------------------------------------------------------------------------------- */

TestSuite(mring_spsc_stats, .init = support_begin, .fini = support_end);

Test(mring_spsc_stats, are_zeros_but_for_the_position_in_a_new_handle, .timeout = 5)
{
    const char *tagname = support_tagname("stats");
    struct mring_spsc ring = open_ring(tagname);
    cr_assert(put(&ring, 100) && take(&ring, 40) && !put(&ring, smallest()));
    keep(tagname);
    mring_spsc_destroy(&ring);

    ring = open_ring(tagname);

    for (int end = MRING_WRITE_END; end <= MRING_READ_END; end++) {
        struct mring_stats stats = stats_of(&ring, (enum mring_end)end);
        cr_expect_eq(stats.bytes, end == MRING_WRITE_END ? 100 : 40);
        cr_expect_eq(stats.misses + stats.high_water + stats.sleeps + stats.wakes, 0);
    }
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_stats, count_the_bytes_that_were_published, .timeout = 5)
{
    struct mring_spsc ring = holding_ring();

    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).bytes, 100);
    cr_expect_eq(stats_of(&ring, MRING_READ_END).bytes, 0);
    mring_spsc_flush(&ring, MRING_WRITE_END);
    mring_spsc_flush(&ring, MRING_READ_END);

    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).bytes, 160);
    cr_expect_eq(stats_of(&ring, MRING_READ_END).bytes, 40);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_stats, count_how_often_an_end_found_less_than_it_asked_for, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    unsigned char bytes[20];
    size_t size;
    cr_assert(put(&ring, capacity - 10));

    cr_expect_null(mring_spsc_reserve(&ring, 11));
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).misses, 1);
    cr_expect(put(&ring, 5));
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).misses, 1, "found");
    cr_expect_eq(mring_spsc_write(&ring, "0123456789", 10), 5);
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).misses, 2, "found less");
    cr_expect_not(mring_spsc_push(&ring, "x", 1));
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).misses, 3);
    cr_expect_eq(stats_of(&ring, MRING_READ_END).misses, 0, "the other end's are its own");

    cr_expect_not_null(mring_spsc_peek(&ring, capacity, &size));
    mring_spsc_consume(&ring, capacity - 5);
    cr_expect_eq(stats_of(&ring, MRING_READ_END).misses, 0, "found");
    cr_expect_null(mring_spsc_peek(&ring, 6, &size));
    cr_expect_not(mring_spsc_pop(&ring, bytes, 6));
    cr_expect_eq(mring_spsc_read(&ring, bytes, 20), 5);
    cr_expect_eq(stats_of(&ring, MRING_READ_END).misses, 3);
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).misses, 3);

    cr_expect(put(&ring, capacity));
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).misses, 3, "looked and found");
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_stats, have_the_most_bytes_that_were_found, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);

    cr_assert(put(&ring, 100));
    cr_expect_eq(stats_of(&ring, MRING_READ_END).high_water, 0, "it has not looked");
    cr_expect_eq(mring_spsc_readable(&ring), 100);
    cr_expect_eq(mring_spsc_writable(&ring), smallest() - 100);
    cr_expect_eq(stats_of(&ring, MRING_READ_END).high_water, 100);
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).high_water, 100);

    cr_expect(take(&ring, 90));
    cr_expect(put(&ring, 50));
    cr_expect_eq(mring_spsc_readable(&ring), 60);
    cr_expect_eq(mring_spsc_writable(&ring), smallest() - 60);
    cr_expect_eq(stats_of(&ring, MRING_READ_END).high_water, 100, "it stays");
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).high_water, 100);

    cr_expect(put(&ring, smallest() - 60));
    cr_expect_not(put(&ring, 1));
    cr_expect_eq(mring_spsc_readable(&ring), smallest());
    cr_expect_eq(stats_of(&ring, MRING_READ_END).high_water, smallest());
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).high_water, smallest());
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_stats, count_sleeps_of_the_end_that_sleeps, .timeout = 10)
{
    struct mring_spsc ring = new_ring(0), spinning = new_ring(MRING_NOWAIT);

    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 0), MRING_TIMED_OUT);
    cr_expect_eq(stats_of(&ring, MRING_READ_END).sleeps, 0, "it only looked");
    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 120 * MILLISECOND), MRING_TIMED_OUT);
    cr_expect_geq(stats_of(&ring, MRING_READ_END).sleeps, 1);
    cr_expect_leq(stats_of(&ring, MRING_READ_END).sleeps, 1000);
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).sleeps, 0);
    cr_expect_eq(mring_spsc_wait_readable(&spinning, 1, 5 * MILLISECOND), MRING_TIMED_OUT);
    cr_expect_eq(stats_of(&spinning, MRING_READ_END).sleeps, 0, "this ring has no sleep");

    cr_assert(put(&ring, smallest()));
    uint64_t sleeps = stats_of(&ring, MRING_READ_END).sleeps;
    cr_expect_eq(mring_spsc_wait_writable(&ring, 1, 120 * MILLISECOND), MRING_TIMED_OUT);
    cr_expect_geq(stats_of(&ring, MRING_WRITE_END).sleeps, 1);
    cr_expect_eq(stats_of(&ring, MRING_READ_END).sleeps, sleeps);
    mring_spsc_destroy(&ring);
    mring_spsc_destroy(&spinning);
}

Test(mring_spsc_stats, count_wakes_of_the_end_that_wakes, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    int read_fd = set_descriptor(&ring, MRING_READ_END);
    int write_fd = set_descriptor(&ring, MRING_WRITE_END);

    cr_expect_eq(mring_spsc_arm_readable(&ring, 3), MRING_EMPTY);
    cr_expect(put(&ring, 1) && put(&ring, 1));
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).wakes, 0, "not enough yet");
    cr_expect(put(&ring, 1) && put(&ring, 1));
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).wakes, 1);
    cr_expect_eq(stats_of(&ring, MRING_READ_END).wakes, 0);

    cr_expect(put(&ring, smallest() - 4));
    cr_expect_eq(mring_spsc_arm_writable(&ring, 2), MRING_FULL);
    cr_expect(take(&ring, 1));
    cr_expect_eq(stats_of(&ring, MRING_READ_END).wakes, 0);
    cr_expect(take(&ring, 1) && take(&ring, 1));
    cr_expect_eq(stats_of(&ring, MRING_READ_END).wakes, 1);
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).wakes, 1);
    close(read_fd);
    close(write_fd);
    mring_spsc_destroy(&ring);
}

/* ---- spinning -------------------------------------------------------------------------------- */

Test(mring_spsc_tune, has_an_end_never_look_before_it_sleeps, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const struct mring_tuning never = { .spin_ns = -1 };
    cr_assert_eq(mring_spsc_tune(&ring, MRING_READ_END, &never), 0);
    cr_assert_eq(mring_spsc_tune(&ring, MRING_WRITE_END, &never), 0);
    cr_assert(put(&ring, smallest() - 1));

    cr_expect_eq(mring_spsc_wait_readable(&ring, smallest(), 200 * MILLISECOND), MRING_TIMED_OUT);
    cr_expect_eq(mring_spsc_wait_writable(&ring, 2, 200 * MILLISECOND), MRING_TIMED_OUT);

    cr_expect_eq(ring.read_spin.debt, 0, "it has looked in vain");
    cr_expect_eq(ring.write_spin.debt, 0, "it has looked in vain");
    cr_expect_geq(stats_of(&ring, MRING_READ_END).sleeps, 1);
    cr_expect_geq(stats_of(&ring, MRING_WRITE_END).sleeps, 1);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_tune, has_an_end_look_as_long_as_asked_for_and_not_sleep_before, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const struct mring_tuning long_look = { .spin_ns = 10000 * MILLISECOND };
    cr_assert_eq(mring_spsc_tune(&ring, MRING_READ_END, &long_look), 0);
    cr_assert_eq(mring_spsc_tune(&ring, MRING_WRITE_END, &long_look), 0);
    cr_assert(put(&ring, smallest() - 1));

    for (int i = 0; i < 10; i++) {
        cr_expect_eq(mring_spsc_wait_readable(&ring, smallest(), 3 * MILLISECOND), MRING_TIMED_OUT);
        cr_expect_eq(mring_spsc_wait_writable(&ring, 2, 3 * MILLISECOND), MRING_TIMED_OUT);
    }

    cr_expect_eq(stats_of(&ring, MRING_READ_END).sleeps, 0);
    cr_expect_eq(stats_of(&ring, MRING_WRITE_END).sleeps, 0);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_tune, sleeps_after_a_look_as_short_as_asked_for, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert_eq(mring_spsc_tune(&ring, MRING_READ_END, &(struct mring_tuning){ .spin_ns = 1000 }),
                 0);

    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 200 * MILLISECOND), MRING_TIMED_OUT);

    cr_expect_geq(stats_of(&ring, MRING_READ_END).sleeps, 1);
    mring_spsc_destroy(&ring);
}

Test(mring_spin, does_not_learn_when_it_is_told_how_long, .timeout = 5)
{
    struct mring_spin always = { .spin_ns = 5 }, never = { .spin_ns = -5 };

    for (int i = 0; i < 200; i++) {
        cr_expect(mring_spin_pays(&always));
        cr_expect_not(mring_spin_pays(&never));
        mring_spin_learn(&always, false);
        mring_spin_learn(&never, true);
    }
}

/* ---- waiting until a time -------------------------------------------------------------------- */

Test(mring_spsc_wait_until, only_looks_when_the_time_is_past, .timeout = 5)
{
    static const unsigned flags[] = { 0, MRING_NOWAIT };

    for (size_t i = 0; i < ROWS(flags) * 4; i++) {
        struct mring_spsc ring = new_ring(flags[i / 4]);
        const int64_t deadlines[] = { INT64_MIN, -1, 0, mring_os_now() };
        int64_t deadline = deadlines[i % 4];

        cr_expect_eq(mring_spsc_wait_readable_until(&ring, 1, deadline), MRING_TIMED_OUT);
        cr_expect_eq(mring_spsc_wait_writable_until(&ring, smallest(), deadline), 0);
        cr_assert(put(&ring, smallest()));
        cr_expect_eq(mring_spsc_wait_readable_until(&ring, smallest(), deadline), 0);
        cr_expect_eq(mring_spsc_wait_writable_until(&ring, 1, deadline), MRING_TIMED_OUT);

        cr_expect_eq(stats_of(&ring, MRING_READ_END).sleeps, 0, "row %zu", i);
        cr_expect_eq(stats_of(&ring, MRING_WRITE_END).sleeps, 0, "row %zu", i);
        cr_expect_eq(ring.read_spin.debt, 0, "row %zu: nor looks for a while", i);
        cr_expect_eq(ring.write_spin.debt, 0, "row %zu: nor looks for a while", i);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_wait_until, gives_up_at_that_time_and_not_before, .timeout = 10)
{
    static const unsigned flags[] = { 0, MRING_NOWAIT };

    for (size_t i = 0; i < ROWS(flags); i++) {
        struct mring_spsc ring = new_ring(flags[i]);
        cr_assert(put(&ring, smallest() - 1));

        int64_t deadline = mring_os_now() + 70 * MILLISECOND;
        cr_expect_eq(mring_spsc_wait_readable_until(&ring, smallest(), deadline), MRING_TIMED_OUT);
        cr_expect_geq(mring_os_now(), deadline, "row %zu", i);
        deadline = mring_os_now() + 70 * MILLISECOND;
        cr_expect_eq(mring_spsc_wait_writable_until(&ring, 2, deadline), MRING_TIMED_OUT);
        cr_expect_geq(mring_os_now(), deadline, "row %zu", i);

        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_wait_until, has_the_other_answers_of_wait, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);

    cr_expect_eq(mring_spsc_wait_readable_until(&ring, 0, INT64_MAX), MMAP_INVALID_ARG);
    cr_expect_eq(mring_spsc_wait_readable_until(&ring, smallest() + 1, 0), MMAP_INVALID_ARG);
    cr_expect_eq(mring_spsc_wait_writable_until(&ring, 0, INT64_MAX), MMAP_INVALID_ARG);
    cr_expect_eq(mring_spsc_wait_writable_until(&ring, smallest() + 1, 0), MMAP_INVALID_ARG);
    mring_store_release_u64(&ring.write_side->pos, smallest() + 1);
    cr_expect_eq(mring_spsc_wait_readable_until(&ring, 1, INT64_MAX), MRING_CORRUPT);
    mring_store_release_u64(&ring.write_side->pos, 0);

    mring_spsc_close(&ring, MRING_READ_END, 0);
    cr_expect_eq(mring_spsc_wait_writable_until(&ring, 1, INT64_MAX), MRING_CLOSED);
    mring_spsc_close(&ring, MRING_WRITE_END, 0);
    cr_expect_eq(mring_spsc_wait_readable_until(&ring, 1, INT64_MAX), MRING_EOF);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_wait_until, ends_when_the_other_side_acts, .timeout = 20)
{
    const int64_t deadlines[] = { INT64_MAX, mring_os_now() + 15000 * MILLISECOND };

    for (size_t i = 0; i < ROWS(deadlines) * 2; i++) {
        struct mring_spsc ring = new_ring(0);
        struct waiter waiter = { &ring, i % 2 == 0, deadlines[i / 2], 99 };
        pthread_t thread;
        if (waiter.writes)
            cr_assert(put(&ring, smallest()));
        cr_assert_eq(pthread_create(&thread, NULL, wait_in_thread, &waiter), 0);
        cr_expect(is_announced(waiter.writes ? ring.write_side : ring.read_side), "it sleeps");

        cr_expect(waiter.writes ? take(&ring, 1) : put(&ring, 1));

        pthread_join(thread, NULL);
        cr_expect_eq(waiter.err, 0, "row %zu: %s", i, mring_errname(waiter.err));
        mring_spsc_destroy(&ring);
    }
}

/* ---- adopt ----------------------------------------------------------------------------------- */

TestSuite(mring_spsc_adopt, .init = support_begin, .fini = support_end);

Test(mring_spsc_adopt, goes_on_where_another_handle_has_moved_the_end, .timeout = 5)
{
    const char *tagname = support_tagname("adopt");
    struct mring_spsc ring = open_ring(tagname), other = open_ring(tagname);
    cr_assert(put(&ring, 50));
    cr_assert_eq(mring_spsc_adopt(&other, MRING_WRITE_END), 0);
    cr_assert(put(&other, 30));
    cr_assert(take(&other, 70));

    cr_expect_eq(mring_spsc_adopt(&ring, MRING_WRITE_END), 0);
    cr_expect_eq(mring_spsc_adopt(&ring, MRING_READ_END), 0);

    cr_expect_eq(mring_spsc_writable(&ring), smallest() - 10);
    cr_expect_eq(mring_spsc_readable(&ring), 10);
    cr_expect(put(&ring, smallest() - 10));
    cr_expect_eq(written(&ring), 80 + smallest() - 10);
    cr_expect_not(put(&ring, 1));
    cr_expect(take(&ring, smallest()));
    mring_spsc_destroy(&other);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_adopt, of_one_end_leaves_the_other_one_alone, .timeout = 5)
{
    const char *tagname = support_tagname("one");
    struct mring_spsc ring = open_ring(tagname), other = open_ring(tagname);
    cr_assert(put(&other, 80));
    cr_assert(take(&other, 70));

    cr_expect_eq(mring_spsc_adopt(&ring, MRING_READ_END), 0);
    cr_expect_eq(ring.write_pos, 0);
    cr_expect_eq(ring.read_pos, 70);
    cr_expect_eq(mring_spsc_adopt(&ring, MRING_WRITE_END), 0);
    cr_expect_eq(ring.write_pos, 80);
    cr_assert(take(&other, 10));
    cr_expect_eq(mring_spsc_adopt(&ring, MRING_WRITE_END), 0);
    cr_expect_eq(ring.read_pos, 70);

    mring_spsc_destroy(&other);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_adopt, is_harmless_when_nobody_has_moved_the_end, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert(put(&ring, 100));
    cr_assert(take(&ring, 30));

    for (int i = 0; i < 3; i++) {
        cr_expect_eq(mring_spsc_adopt(&ring, MRING_WRITE_END), 0);
        cr_expect_eq(mring_spsc_adopt(&ring, MRING_READ_END), 0);
        cr_expect(put(&ring, 10));
        cr_expect(take(&ring, 10));
    }

    cr_expect(take(&ring, 70));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_adopt, counts_a_batch_from_where_the_end_is, .timeout = 5)
{
    const char *tagname = support_tagname("batch");
    struct mring_spsc ring = open_ring(tagname), other = open_ring(tagname);
    cr_assert_eq(tune_batch(&ring, MRING_WRITE_END, 100), 0);
    cr_assert_eq(tune_batch(&ring, MRING_READ_END, 100), 0);
    cr_assert(put(&other, 600));
    cr_assert(take(&other, 300));
    cr_assert_eq(mring_spsc_adopt(&ring, MRING_WRITE_END), 0);
    cr_assert_eq(mring_spsc_adopt(&ring, MRING_READ_END), 0);

    cr_expect(put(&ring, 60));
    cr_expect(take(&ring, 60));
    cr_expect_eq(written(&ring), 600);
    cr_expect_eq(consumed(&ring), 300);
    cr_expect(put(&ring, 40));
    cr_expect(take(&ring, 40));

    cr_expect_eq(written(&ring), 700);
    cr_expect_eq(consumed(&ring), 400);
    mring_spsc_destroy(&other);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_adopt, sees_that_the_end_was_closed, .timeout = 5)
{
    const char *tagname = support_tagname("closed");
    struct mring_spsc ring = open_ring(tagname), other = open_ring(tagname);
    cr_assert(put(&other, 10));
    mring_spsc_close(&other, MRING_WRITE_END, 0);

    cr_expect_eq(mring_spsc_adopt(&ring, MRING_WRITE_END), 0);

    cr_expect_eq(mring_spsc_writable(&ring), 0);
    cr_expect_not(put(&ring, 1));
    cr_expect_eq(mring_spsc_send(&ring, "", 0), MRING_CLOSED);
    cr_expect_eq(mring_spsc_wait_writable(&ring, 1, -1), MRING_CLOSED);
    mring_spsc_destroy(&other);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_adopt, fails_with_corrupt_and_leaves_the_handle_as_it_was, .timeout = 5)
{
    const struct {
        uint64_t write_pos, read_pos;
    } rows[] = { { smallest() + 1, 0 }, { 0, 1 }, { UINT64_C(1) << 63, 5 } };

    for (size_t i = 0; i < ROWS(rows) * 2; i++) {
        struct mring_spsc ring = new_ring(0);
        mring_store_release_u64(&ring.write_side->pos, rows[i / 2].write_pos);
        mring_store_release_u64(&ring.read_side->pos, rows[i / 2].read_pos);
        struct mring_spsc before = ring;

        cr_expect_eq(mring_spsc_adopt(&ring, (enum mring_end)(i % 2)), MRING_CORRUPT, "row %zu", i);

        cr_expect_arr_eq((unsigned char *)&ring, (unsigned char *)&before, sizeof ring, "row %zu",
                         i);
        mring_spsc_destroy(&ring);
    }
}

/* ---- fork ------------------------------------------------------------------------------------ */

TestSuite(mring_spsc_fork, .init = support_begin, .fini = support_end);

static const char *produce_in_child(void *context)
{
    struct mring_spsc *ring = context;

    EXPECT(put(ring, 100));
    mring_spsc_close(ring, MRING_WRITE_END, 7);
    return NULL;
}

Test(mring_spsc_fork, shares_a_ring_whose_ends_nobody_has_used, .timeout = 10)
{
    struct mring_spsc ring = new_ring(0);
    uint32_t status = 0;

    ASSERT_CHILD(support_child(produce_in_child, &ring));

    cr_expect(take(&ring, 100));
    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 0), MRING_EOF);
    cr_expect(mring_spsc_is_closed(&ring, MRING_WRITE_END, &status));
    cr_expect_eq(status, 7);
    mring_spsc_destroy(&ring);
}

static const char *adopt_and_go_on(void *context)
{
    struct mring_spsc *ring = context;

    EXPECT(mring_spsc_adopt(ring, MRING_WRITE_END) == 0);
    EXPECT(mring_spsc_adopt(ring, MRING_READ_END) == 0);
    EXPECT(put(ring, 20));
    EXPECT(take(ring, 15));
    return NULL;
}

Test(mring_spsc_fork, hands_over_the_ends_to_the_child_and_back, .timeout = 10)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert(put(&ring, 10) && take(&ring, 5));

    ASSERT_CHILD(support_child(adopt_and_go_on, &ring));

    cr_assert_eq(mring_spsc_adopt(&ring, MRING_WRITE_END), 0);
    cr_assert_eq(mring_spsc_adopt(&ring, MRING_READ_END), 0);
    cr_expect_eq(written(&ring), 30);
    cr_expect_eq(consumed(&ring), 20);
    cr_expect(put(&ring, 5) && take(&ring, 15));
    mring_spsc_destroy(&ring);
}

static const char *destroy_in_child(void *context)
{
    EXPECT(mring_spsc_destroy(context) == 0);
    return NULL;
}

Test(mring_spsc_fork, has_a_child_destroy_its_copy_and_move_no_end, .timeout = 10)
{
    struct mring_spsc ring = new_ring(0), before_fork;
    size_t size;
    cr_assert_eq(tune_batch(&ring, MRING_WRITE_END, 100), 0);
    cr_assert_eq(tune_batch(&ring, MRING_READ_END, 100), 0);
    cr_assert(put(&ring, 100) && put(&ring, 60));
    cr_assert_not_null(mring_spsc_peek(&ring, 1, &size));
    cr_assert(take(&ring, 40));
    before_fork = ring; /* what a child gets; by the time that it destroys it we have gone on */
    cr_assert(put(&ring, 200) && take(&ring, 60));

    ASSERT_CHILD(support_child(destroy_in_child, &before_fork));

    cr_expect_eq(written(&ring), 360);
    cr_expect_eq(consumed(&ring), 100);
    cr_expect(take(&ring, 260));
    mring_spsc_destroy(&ring);
}

/* ---- reset ----------------------------------------------------------------------------------- */

TestSuite(mring_spsc_reset, .init = support_begin, .fini = support_end);

Test(mring_spsc_reset, throws_away_the_data_and_goes_on_from_the_write_end, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    cr_assert(put(&ring, capacity - 5));
    cr_assert(take(&ring, 100));

    mring_spsc_reset(&ring);

    cr_expect_eq(mring_spsc_readable(&ring), 0);
    cr_expect_eq(mring_spsc_writable(&ring), capacity);
    cr_expect_eq(written(&ring), capacity - 5);
    cr_expect_eq(consumed(&ring), capacity - 5);
    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 0), MRING_TIMED_OUT);
    cr_expect(put(&ring, capacity) && !put(&ring, 1));
    cr_expect(take(&ring, capacity));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_reset, opens_what_was_closed, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert(put(&ring, 10));
    mring_spsc_close(&ring, MRING_WRITE_END, 3);
    mring_spsc_close(&ring, MRING_READ_END, 4);

    mring_spsc_reset(&ring);

    cr_expect_not(mring_spsc_is_closed(&ring, MRING_WRITE_END, NULL));
    cr_expect_not(mring_spsc_is_closed(&ring, MRING_READ_END, NULL));
    cr_expect_eq(mring_spsc_wait_writable(&ring, smallest(), 0), 0);
    cr_expect_eq(mring_spsc_send(&ring, "x", 1), 0);
    cr_expect_eq(mring_spsc_wait_message(&ring, 0), 0);
    mring_spsc_close(&ring, MRING_WRITE_END, 5);
    uint32_t status = 0;
    cr_expect(mring_spsc_is_closed(&ring, MRING_WRITE_END, &status), "and it closes again");
    cr_expect_eq(status, 5);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_reset, throws_away_what_was_held_back_and_keeps_the_batch, .timeout = 5)
{
    struct mring_spsc ring = holding_ring();

    mring_spsc_reset(&ring);
    mring_spsc_flush(&ring, MRING_WRITE_END);
    mring_spsc_flush(&ring, MRING_READ_END);

    cr_expect_eq(written(&ring), 100);
    cr_expect_eq(consumed(&ring), 100);
    cr_expect(put(&ring, 99));
    cr_expect_eq(written(&ring), 100);
    cr_expect(put(&ring, 1));
    cr_expect_eq(written(&ring), 200);
    cr_expect(take(&ring, 100));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_reset, is_seen_by_another_handle_that_adopts_both_ends, .timeout = 5)
{
    const char *tagname = support_tagname("reset");
    struct mring_spsc ring = open_ring(tagname), other = open_ring(tagname);
    cr_assert(put(&other, 100));
    mring_spsc_close(&other, MRING_WRITE_END, 0);
    cr_assert_eq(mring_spsc_adopt(&ring, MRING_READ_END), 0);
    cr_assert(take(&ring, 30));

    mring_spsc_reset(&ring);
    cr_expect_eq(mring_spsc_adopt(&other, MRING_WRITE_END), 0);
    cr_expect_eq(mring_spsc_adopt(&other, MRING_READ_END), 0);

    cr_expect_eq(mring_spsc_readable(&other), 0);
    cr_expect(put(&other, smallest()));
    cr_expect(take(&ring, smallest()));
    mring_spsc_destroy(&other);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_reset, heals_positions_that_contradict_each_other, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    mring_store_release_u64(&ring.write_side->pos, 5);
    mring_store_release_u64(&ring.read_side->pos, 6);
    cr_assert_eq(mring_spsc_adopt(&ring, MRING_WRITE_END), MRING_CORRUPT);

    mring_spsc_reset(&ring);

    cr_expect_eq(mring_spsc_adopt(&ring, MRING_WRITE_END), 0);
    cr_expect(put(&ring, smallest()));
    cr_expect(take(&ring, smallest()));
    mring_spsc_destroy(&ring);
}

/* ---- hold-off -------------------------------------------------------------------------------- */

static const struct mring_hold new_hold = { .needed = MRING_HOLD_NEEDED_MIN };

static bool holds(const struct mring_hold *hold)
{
    return hold->finds >= hold->needed;
}

/* The one copy of the inlined call. */
static void learn_at(struct mring_hold *hold, enum mring_end end, uint64_t found, bool enough)
{
    mring_hold_learn(hold, end, found, enough);
}

/* What a consumer learns. */
static void learn(struct mring_hold *hold, uint64_t found, bool enough)
{
    learn_at(hold, MRING_READ_END, found, enough);
}

/* Looks, one per letter: f finds 8 bytes, F 2,000, anything else none. Those before which it held
   off. */
static size_t look(struct mring_hold *hold, const char *looks)
{
    size_t held = 0;

    for (; *looks != '\0'; looks++) {
        held += holds(hold);
        learn(hold, *looks == 'f' ? 8 : *looks == 'F' ? 2000 : 0, *looks == 'f' || *looks == 'F');
    }
    return held;
}

Test(mring_hold, never_holds_off_in_a_ping_pong, .timeout = 5)
{
    static const char *const patterns[] = { "-f", "--f", "f---", "-f-F", "--------f" };

    for (size_t i = 0; i < ROWS(patterns); i++) {
        struct mring_hold hold = new_hold;

        for (int round = 0; round < 1000; round++)
            cr_assert_eq(look(&hold, patterns[i]), 0, "%s, round %d", patterns[i], round);
    }
}

Test(mring_hold, never_holds_off_when_much_is_found, .timeout = 5)
{
    struct mring_hold hold = new_hold;

    for (int i = 0; i < 1000; i++)
        learn(&hold, MRING_HOLD_FEW, true);

    cr_expect_eq(hold.finds, 0);
    learn(&hold, MRING_HOLD_FEW - 1, true);
    cr_expect_eq(hold.finds, 1);
}

Test(mring_hold, holds_off_after_some_looks_that_found_little, .timeout = 5)
{
    struct mring_hold hold = new_hold;

    cr_expect_eq(look(&hold, "ff"), 0);
    cr_expect_not(holds(&hold));
    cr_expect_eq(look(&hold, "f"), 0);

    cr_expect(holds(&hold));
    cr_expect_eq(hold.needed, MRING_HOLD_NEEDED_MIN);
}

Test(mring_hold, tolerates_some_looks_in_vain, .timeout = 5)
{
    static const char *const patterns[] = { "ff-ff", "f-fff", "---fff", "ffF-Fff", "f--fff" };

    for (size_t i = 0; i < ROWS(patterns); i++) {
        struct mring_hold hold = new_hold;

        cr_expect_eq(look(&hold, patterns[i]), 0, "%s", patterns[i]);

        cr_expect(holds(&hold), "%s", patterns[i]);
    }
}

Test(mring_hold, does_not_count_a_producers_looks_in_vain_but_those_it_held_off_before,
     .timeout = 5)
{
    struct mring_hold hold = new_hold;

    for (uint32_t i = 0; i < MRING_HOLD_NEEDED_MIN; i++) {
        cr_expect_not(holds(&hold));
        learn_at(&hold, MRING_WRITE_END, 8, true);
        for (int j = 0; j < 10 && i + 1 < MRING_HOLD_NEEDED_MIN; j++)
            learn_at(&hold, MRING_WRITE_END, 0, false);
    }
    cr_assert(holds(&hold));

    learn_at(&hold, MRING_WRITE_END, 0, false);

    cr_expect_not(holds(&hold));
    cr_expect_eq(hold.needed, 2 * MRING_HOLD_NEEDED_MIN);
}

Test(mring_hold, goes_on_while_it_brings_twice_as_much, .timeout = 5)
{
    struct mring_hold hold = { .needed = MRING_HOLD_NEEDED_MAX };
    for (uint32_t i = 0; i < MRING_HOLD_NEEDED_MAX; i++)
        look(&hold, "f");
    cr_assert(holds(&hold));
    cr_assert_leq(hold.usual, 8);
    cr_assert_geq(hold.usual, 7);

    for (int i = 0; i < 100; i++) {
        learn(&hold, 16, true);
        cr_expect(holds(&hold));
    }

    cr_expect_eq(hold.needed, MRING_HOLD_NEEDED_MIN, "and it will start sooner next time");
    learn(&hold, 13, true);
    cr_expect_not(holds(&hold), "that was less than twice");
}

Test(mring_hold, takes_twice_as_many_finds_after_it_brought_nothing, .timeout = 5)
{
    static const uint32_t needed[] = { 3, 6, 12, 24, 48, 96, 96, 96 };
    struct mring_hold hold = new_hold;

    for (size_t i = 0; i < ROWS(needed); i++) {
        cr_expect_eq(hold.needed, needed[i], "step %zu", i);
        for (uint32_t find = 0; find < needed[i]; find++)
            cr_expect_eq(look(&hold, "f"), 0, "step %zu, find %u", i, (unsigned)find);
        cr_expect_eq(look(&hold, i % 2 == 0 ? "-" : "f"), 1, "step %zu", i);
        cr_expect_eq(hold.finds, 0, "step %zu", i);
    }
}

Test(mring_hold, knows_how_much_a_look_usually_finds, .timeout = 5)
{
    struct mring_hold hold = { .needed = 1000 };

    for (int i = 0; i < 50; i++)
        learn(&hold, 600, true);
    cr_expect_geq(hold.usual, 590);
    cr_expect_leq(hold.usual, 600);
    for (int i = 0; i < 50; i++)
        learn(&hold, 20, true);

    cr_expect_geq(hold.usual, 20);
    cr_expect_leq(hold.usual, 21);
}

Test(mring_hold, takes_time_only_while_it_holds_off, .timeout = 5)
{
    struct mring_hold hold = { .finds = 2, .needed = 3, .pauses = UINT32_MAX };

    mring_hold_off(&hold); /* four thousand million pauses would take longer than this test may */
    hold.finds = 3;
    hold.pauses = 2000000;
    int64_t before = mring_os_now();
    mring_hold_off(&hold);

    cr_expect_geq(mring_os_now() - before, 100000, "not even a twentieth of a ns each");
}

Test(mring_hold, is_learned_by_both_ends_of_a_ring, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    size_t size;

    for (int i = 0; i < 1000; i++)
        cr_assert(put(&ring, 8) && take(&ring, 8));
    cr_expect_eq(ring.read_hold.needed, MRING_HOLD_NEEDED_MAX, "it followed closely, in vain");
    while (mring_spsc_reserve(&ring, 8) != NULL)
        cr_assert(put(&ring, 8));
    for (int i = 0; i < 1000; i++)
        cr_assert(take(&ring, 8) && put(&ring, 8));
    cr_expect_eq(ring.write_hold.needed, MRING_HOLD_NEEDED_MAX, "it followed closely, in vain");
    mring_spsc_destroy(&ring);

    ring = new_ring(0);
    for (int i = 0; i < 1000; i++) {
        cr_assert(put(&ring, 8) && take(&ring, 8));
        cr_assert_null(mring_spsc_peek(&ring, 1, &size));
    }
    cr_expect_eq(ring.read_hold.needed, MRING_HOLD_NEEDED_MIN, "a ping-pong");
    mring_spsc_destroy(&ring);
}

/* ---- guards of debug builds ------------------------------------------------------------------ */

TestSuite(mring_guard, .init = support_begin, .fini = support_end);

/* A breach of the rules, in a child. NULL if nothing has caught it. */
static void assert_is_caught(support_body *breach, struct mring_spsc *ring, const char *what)
{
    if (!MRING_GUARDED)
        cr_skip_test("this build has no guards: NDEBUG is set");

    const char *result = support_child(breach, ring);

    cr_assert_not_null(result, "%s: nothing has caught it", what);
    cr_assert_str_eq(result, "signal 6", "%s: %s", what, result);
}

static const char *commit_too_much(void *context)
{
    if (mring_spsc_reserve(context, 10) != NULL)
        mring_spsc_commit(context, 11);
    return NULL;
}

static const char *commit_without_a_reservation(void *context)
{
    mring_spsc_commit(context, 1);
    return NULL;
}

static const char *commit_twice(void *context)
{
    if (mring_spsc_reserve(context, 10) != NULL) {
        mring_spsc_commit(context, 5);
        mring_spsc_commit(context, 5);
    }
    return NULL;
}

static const char *commit_what_a_failed_reserve_did_not_give(void *context)
{
    mring_spsc_reserve(context, 10);
    put(context, 1);
    if (mring_spsc_reserve(context, smallest()) == NULL)
        mring_spsc_commit(context, 1);
    return NULL;
}

static const char *commit_too_many_elements(void *context)
{
    size_t count = 3;

    if (mring_spsc_reserve_n(context, 5, &count) != NULL)
        mring_spsc_commit(context, 16);
    return NULL;
}

Test(mring_guard, catches_a_commit_of_more_than_was_reserved, .timeout = 20)
{
    static const struct {
        support_body *breach;
        const char *what;
    } rows[] = {
        { commit_too_much, "too much" },
        { commit_without_a_reservation, "without" },
        { commit_twice, "twice" },
        { commit_what_a_failed_reserve_did_not_give, "after a failed reserve" },
        { commit_too_many_elements, "elements" },
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct mring_spsc ring = new_ring(0);
        assert_is_caught(rows[i].breach, &ring, rows[i].what);
        mring_spsc_destroy(&ring);
    }
}

static const char *commit_as_two_producers_in_turn(void *context)
{
    mring_spsc_reserve(context, 10); /* the one */
    mring_spsc_reserve(context, 10); /* the other */
    mring_spsc_commit(context, 10);
    mring_spsc_commit(context, 10);
    return NULL;
}

Test(mring_guard, catches_two_producers_in_turn, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);

    assert_is_caught(commit_as_two_producers_in_turn, &ring, "two producers");
    mring_spsc_destroy(&ring);
}

Test(mring_guard, lets_a_reservation_stand_until_the_next_commit, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    size_t count = 1;
    cr_assert(put(&ring, 1));
    cr_assert_not_null(mring_spsc_reserve(&ring, 100));
    cr_expect_null(mring_spsc_reserve(&ring, smallest()));
    cr_expect_null(mring_spsc_reserve_n(&ring, smallest(), &count));
    cr_expect_not_null(mring_spsc_reserve(&ring, 5));
    mring_spsc_commit(&ring, 60);

    cr_expect_eq(mring_spsc_readable(&ring), 61);
    mring_spsc_destroy(&ring);
}

static void *reserve_in_thread(void *context)
{
    return mring_spsc_reserve(context, 10);
}

/* As with requests that one thread prepares and another one completes. */
Test(mring_guard, lets_another_thread_commit_what_was_reserved_before, .timeout = 10)
{
    struct mring_spsc ring = new_ring(0);
    pthread_t thread;
    void *room = NULL;
    cr_assert_eq(pthread_create(&thread, NULL, reserve_in_thread, &ring), 0);
    pthread_join(thread, &room);
    cr_assert_not_null(room);

    mring_spsc_commit(&ring, 10);

    cr_expect_eq(mring_spsc_readable(&ring), 10);
    mring_spsc_destroy(&ring);
}

static const char *read_after_fork(void *context)
{
    EXPECT(mring_spsc_readable(context) == 0);
    EXPECT(mring_spsc_writable(context) == smallest());
    return NULL;
}

Test(mring_guard, lets_a_forked_process_use_ends_that_were_only_tuned, .timeout = 10)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert_eq(tune_batch(&ring, MRING_READ_END, 100), 0);
    cr_assert_eq(tune_batch(&ring, MRING_WRITE_END, 100), 0);

    ASSERT_CHILD(support_child(read_after_fork, &ring));

    mring_spsc_destroy(&ring);
}

static void *put_in_thread(void *context)
{
    return put(context, 10) ? context : NULL;
}

Test(mring_guard, allows_threads_to_take_turns, .timeout = 10)
{
    struct mring_spsc ring = new_ring(0);

    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        void *result = NULL;
        cr_assert_eq(pthread_create(&thread, NULL, put_in_thread, &ring), 0);
        pthread_join(thread, &result);
        cr_expect_not_null(result);
        cr_expect(put(&ring, 10));
    }
    mring_spsc_commit(&ring, 0);

    cr_expect(take(&ring, 60));
    mring_spsc_destroy(&ring);
}

/* The calls that look out for whoever else is in the end. */
static const char *use_reserve(void *context)
{
    mring_spsc_reserve(context, 1);
    return NULL;
}

static const char *use_reserve_n(void *context)
{
    size_t count = 1;

    mring_spsc_reserve_n(context, 1, &count);
    return NULL;
}

static const char *use_commit(void *context)
{
    mring_spsc_commit(context, 0);
    return NULL;
}

static const char *use_writable(void *context)
{
    mring_spsc_writable(context);
    return NULL;
}

static const char *use_peek(void *context)
{
    size_t size;

    mring_spsc_peek(context, 1, &size);
    return NULL;
}

static const char *use_peek_n(void *context)
{
    size_t count = 1;

    mring_spsc_peek_n(context, 1, &count);
    return NULL;
}

static const char *use_consume(void *context)
{
    mring_spsc_consume(context, 0);
    return NULL;
}

static const char *use_readable(void *context)
{
    mring_spsc_readable(context);
    return NULL;
}

static const struct {
    support_body *use;
    const char *what;
} uses[] = {
    { use_reserve, "reserve" },   { use_reserve_n, "reserve_n" }, { use_commit, "commit" },
    { use_writable, "writable" }, { use_peek, "peek" },           { use_peek_n, "peek_n" },
    { use_consume, "consume" },   { use_readable, "readable" },
};

Test(mring_guard, catches_a_second_thread_in_an_end, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(uses); i++) {
        struct mring_spsc ring = new_ring(0);
        cr_assert(put(&ring, 10) && take(&ring, 5));
        /* As if another thread were in the middle of a call. */
        mring_add_release_u32(&ring.write_guard.busy, 1);
        mring_add_release_u32(&ring.read_guard.busy, 1);

        assert_is_caught(uses[i].use, &ring, uses[i].what);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_guard, catches_an_end_that_is_used_after_fork_without_adopt, .timeout = 20)
{
    for (size_t i = 0; i < ROWS(uses); i++) {
        struct mring_spsc ring = new_ring(0);
        cr_assert(put(&ring, 10) && take(&ring, 5));

        assert_is_caught(uses[i].use, &ring, uses[i].what);
        mring_spsc_destroy(&ring);
    }
}

static const char *adopt_the_other_end(void *context)
{
    if (mring_spsc_adopt(context, MRING_READ_END) == 0)
        mring_spsc_reserve(context, 1);
    return NULL;
}

Test(mring_guard, catches_an_adopt_of_the_wrong_end, .timeout = 10)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert(put(&ring, 10) && take(&ring, 5));

    assert_is_caught(adopt_the_other_end, &ring, "write end");
    mring_spsc_destroy(&ring);
}

/* ---- hold-off, in place ---------------------------------------------------------------------- */

/* A stream in which that end finds `size` bytes, or room for them, each time it looks. */
static void stream(struct mring_spsc *ring, enum mring_end end, size_t size, unsigned count)
{
    unsigned char bytes[2048] = { 0 };

    for (unsigned i = 0; i < count; i++) {
        if (end == MRING_READ_END)
            cr_assert(mring_spsc_push(ring, bytes, size));
        cr_assert(mring_spsc_pop(ring, bytes, size));
        if (end == MRING_WRITE_END)
            cr_assert(mring_spsc_push(ring, bytes, size));
    }
}

static const struct mring_hold *hold_of(const struct mring_spsc *ring, enum mring_end end)
{
    return end == MRING_WRITE_END ? &ring->write_hold : &ring->read_hold;
}

/* Empty for the consumer, full for the producer, whose looks are what a test is about. */
static struct mring_spsc ring_for(enum mring_end end)
{
    struct mring_spsc ring = new_ring(0);

    if (end == MRING_WRITE_END)
        cr_assert(put(&ring, smallest()));
    return ring;
}

static const enum mring_end both_ends[] = { MRING_WRITE_END, MRING_READ_END };

Test(mring_spsc_hold, is_on_while_an_end_finds_little_and_then_much, .timeout = 5)
{
    for (size_t i = 0; i < 2; i++) {
        enum mring_end end = both_ends[i];
        struct mring_spsc ring = ring_for(end);

        stream(&ring, end, 8, MRING_HOLD_NEEDED_MIN);
        cr_expect_eq(hold_of(&ring, end)->finds, MRING_HOLD_NEEDED_MIN, "it holds off");
        stream(&ring, end, 512, 1);

        cr_expect_eq(hold_of(&ring, end)->finds, MRING_HOLD_NEEDED_MIN, "that was worth it");
        cr_expect_eq(hold_of(&ring, end)->needed, MRING_HOLD_NEEDED_MIN);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_hold, takes_more_finds_each_time_that_it_was_not_worth_it, .timeout = 5)
{
    for (size_t i = 0; i < 2; i++) {
        enum mring_end end = both_ends[i];
        struct mring_spsc ring = ring_for(end);

        for (uint32_t needed = MRING_HOLD_NEEDED_MIN; needed < MRING_HOLD_NEEDED_MAX; needed *= 2) {
            stream(&ring, end, 8, needed);
            cr_expect_eq(hold_of(&ring, end)->finds, needed);
            stream(&ring, end, 8, 1);
            cr_expect_eq(hold_of(&ring, end)->finds, 0);
        }
        stream(&ring, end, 8, MRING_HOLD_NEEDED_MAX + 1);

        cr_expect_eq(hold_of(&ring, end)->needed, MRING_HOLD_NEEDED_MAX, "there is a limit");
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_hold, is_off_where_a_consumer_looks_in_vain, .timeout = 5)
{
    struct mring_spsc ring = ring_for(MRING_READ_END);
    unsigned char byte = 0;

    for (unsigned j = 0; j < 100; j++) {
        stream(&ring, MRING_READ_END, 8, 1);
        cr_assert_not(mring_spsc_pop(&ring, &byte, 1));
        stream(&ring, MRING_READ_END, 2048, 1);
    }

    cr_expect_lt(ring.read_hold.finds, 2);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_hold, comes_to_a_producer_that_looks_in_vain_between, .timeout = 5)
{
    struct mring_spsc ring = ring_for(MRING_WRITE_END);
    unsigned char byte = 0;

    for (unsigned j = 0; j < MRING_HOLD_NEEDED_MIN; j++) {
        cr_assert_not(mring_spsc_push(&ring, &byte, 1));
        stream(&ring, MRING_WRITE_END, 8, 1);
    }

    cr_expect(holds(&ring.write_hold));
    mring_spsc_destroy(&ring);
}

/* ---- looking for news without asking for anything -------------------------------------------- */

Test(mring_spsc_readable, publishes_what_was_held_back_if_there_is_nothing_new, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert_eq(tune_batch(&ring, MRING_READ_END, 1000), 0);
    cr_assert(put(&ring, smallest()));
    cr_assert(take(&ring, 100));
    cr_assert_eq(mring_spsc_writable(&ring), 0);

    cr_expect_eq(mring_spsc_readable(&ring), smallest() - 100);

    cr_expect_eq(mring_spsc_writable(&ring), 100);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_writable, publishes_what_was_held_back_if_there_is_no_more_room, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert_eq(tune_batch(&ring, MRING_WRITE_END, 1000), 0);
    cr_assert(put(&ring, 100));
    cr_assert_eq(mring_spsc_readable(&ring), 0);

    cr_expect_eq(mring_spsc_writable(&ring), smallest() - 100);

    cr_expect_eq(mring_spsc_readable(&ring), 100);
    mring_spsc_destroy(&ring);
}

/* A byte at a time, half of the usual is less than one: still, nothing is not enough. */
Test(mring_spsc_hold, ends_with_a_look_in_vain_however_little_was_found_before, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    unsigned char byte = 0;
    stream(&ring, MRING_READ_END, 1, MRING_HOLD_NEEDED_MIN);
    cr_assert_eq(ring.read_hold.finds, ring.read_hold.needed, "it holds off");

    cr_assert_not(mring_spsc_pop(&ring, &byte, 1));

    cr_expect_eq(ring.read_hold.finds, 0);
    mring_spsc_destroy(&ring);
}
