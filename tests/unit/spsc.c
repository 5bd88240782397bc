/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE

#include "ring_support.h"

#include <criterion/criterion.h>
#include <mring/spsc.h>

#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static const int64_t MILLISECOND = 1000000;

/* ---- create ---------------------------------------------------------------------------------- */

TestSuite(mring_spsc_create, .init = support_begin, .fini = support_end);

Test(mring_spsc_create, makes_an_empty_open_ring_of_the_capacity_asked_for, .timeout = 5)
{
    for (uint64_t capacity = smallest(); capacity <= 16 * smallest(); capacity *= 2) {
        struct mring_spsc ring;

        cr_assert_eq(mring_spsc_create(&ring, &(struct mring_args){ .capacity = capacity }), 0);

        cr_expect_eq(mring_spsc_capacity(&ring), capacity);
        cr_expect_eq(mring_spsc_writable(&ring), capacity);
        cr_expect_eq(mring_spsc_readable(&ring), 0);
        cr_expect_not(mring_spsc_is_closed(&ring, MRING_WRITE_END, NULL));
        cr_expect_not(mring_spsc_is_closed(&ring, MRING_READ_END, NULL));
        cr_expect(ring.map.created);
        cr_expect_eq(mring_spsc_destroy(&ring), 0);
    }
}

Test(mring_spsc_create, fails_with_invalid_arg_and_leaves_no_trace, .timeout = 5)
{
    const struct mring_args rows[] = {
        { .capacity = 0 },
        { .capacity = 1 },
        { .capacity = smallest() - 1 },
        { .capacity = smallest() + 1 },
        { .capacity = smallest() / 2 },
        { .capacity = 3 * smallest() },
        { .capacity = UINT64_MAX },
        { .capacity = UINT64_C(1) << 63 },
        { .capacity = smallest(), .flags = 1u << 20 },
        { .capacity = smallest(), .map_flags = 1u << 30 },
        { .capacity = smallest(), .tagname = "a/b" },
        { .capacity = smallest(), .tagname = "" },
    };
    struct mring_spsc ring, before;
    memset(&ring, 0xa5, sizeof ring);
    memset(&before, 0xa5, sizeof before);
    mmap_mirror_granularity(0); /* anything that is set up once is not a trace */
    support_remember();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_eq(mring_spsc_create(&ring, &rows[i]), MMAP_INVALID_ARG, "row %zu", i);
        cr_expect_arr_eq((unsigned char *)&ring, (unsigned char *)&before, sizeof ring, "row %zu",
                         i);
    }
    ASSERT_NOTHING_LEFT();
}

Test(mring_spsc_create, gives_two_anonymous_rings_different_memory, .timeout = 5)
{
    struct mring_spsc first = new_ring(0);
    struct mring_spsc second = new_ring(0);

    cr_assert(put(&first, 10));

    cr_expect_eq(mring_spsc_readable(&second), 0);
    mring_spsc_destroy(&first);
    mring_spsc_destroy(&second);
}

/* ---- close ----------------------------------------------------------------------------------- */

Test(mring_spsc_close, is_seen_with_its_status, .timeout = 5)
{
    static const uint32_t statuses[] = { 0, 1, 42, UINT32_MAX - 1, UINT32_MAX };

    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        for (int end = MRING_WRITE_END; end <= MRING_READ_END; end++) {
            struct mring_spsc ring = new_ring(0);
            enum mring_end other = end == MRING_WRITE_END ? MRING_READ_END : MRING_WRITE_END;
            uint32_t status = 77;

            mring_spsc_close(&ring, (enum mring_end)end, statuses[i]);

            cr_expect(mring_spsc_is_closed(&ring, (enum mring_end)end, &status));
            cr_expect_eq(status, statuses[i]);
            cr_expect(mring_spsc_is_closed(&ring, (enum mring_end)end, NULL));
            cr_expect_not(mring_spsc_is_closed(&ring, other, &status));
            cr_expect_eq(status, statuses[i], "an open end leaves the status alone");
            mring_spsc_destroy(&ring);
        }
    }
}

Test(mring_spsc_close, counts_once, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    uint32_t status = 0;

    mring_spsc_close(&ring, MRING_WRITE_END, 1);
    mring_spsc_close(&ring, MRING_WRITE_END, 2);

    cr_expect(mring_spsc_is_closed(&ring, MRING_WRITE_END, &status));
    cr_expect_eq(status, 1);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_close, of_the_producer_lets_the_data_drain_first, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert(put(&ring, 10));

    mring_spsc_close(&ring, MRING_WRITE_END, 0);

    cr_expect_eq(mring_spsc_wait_readable(&ring, 10, -1), 0);
    cr_expect_eq(mring_spsc_wait_readable(&ring, 11, -1), MRING_EOF, "there will never be eleven");
    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 0), 0);
    cr_expect(take(&ring, 10));
    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, -1), MRING_EOF);
    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 0), MRING_EOF);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_close, of_the_consumer_is_the_answer_even_when_there_is_room, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);

    mring_spsc_close(&ring, MRING_READ_END, 0);

    cr_expect_eq(mring_spsc_wait_writable(&ring, 1, 0), MRING_CLOSED);
    cr_expect_eq(mring_spsc_wait_writable(&ring, 1, -1), MRING_CLOSED);
    cr_expect(put(&ring, 1), "the calls that do not wait do not look");
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_close, of_the_producer_leaves_it_no_room, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert(put(&ring, 10));
    cr_assert_neq(mring_spsc_reserve(&ring, 5), NULL);

    mring_spsc_close(&ring, MRING_WRITE_END, 0);

    for (int i = 0; i < 2; i++) {
        cr_expect_eq(mring_spsc_reserve(&ring, 1), NULL);
        cr_expect_eq(mring_spsc_write(&ring, "more", 4), 0);
        cr_expect_eq(mring_spsc_writable(&ring), 0);
        cr_expect_eq(mring_spsc_wait_writable(&ring, 1, 0), MRING_CLOSED);
        cr_expect_eq(mring_spsc_wait_writable(&ring, 1, -1), MRING_CLOSED);
        mring_spsc_commit(&ring, 0);
        if (i == 0)
            cr_expect(take(&ring, 10), "nothing was added, and consuming makes no room");
    }
    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 0), MRING_EOF);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_close, of_the_consumer_leaves_it_what_is_there, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert(put(&ring, 10));

    mring_spsc_close(&ring, MRING_READ_END, 0);

    cr_expect_eq(mring_spsc_wait_readable(&ring, 10, 0), 0);
    cr_expect(take(&ring, 10));
    mring_spsc_destroy(&ring);
}

/* ---- position -------------------------------------------------------------------------------- */

Test(mring_spsc_position, counts_what_each_end_has_published, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    start_at(&ring, (uint64_t)-5);

    cr_assert_neq(mring_spsc_reserve(&ring, 20), NULL);
    cr_expect_eq(mring_spsc_position(&ring, MRING_WRITE_END), (uint64_t)-5, "not yet committed");
    cr_assert(put(&ring, 20));
    cr_assert(take(&ring, 4));

    cr_expect_eq(mring_spsc_position(&ring, MRING_WRITE_END), 15);
    cr_expect_eq(mring_spsc_position(&ring, MRING_READ_END), UINT64_MAX);
    mring_spsc_destroy(&ring);
}

/* ---- destroy --------------------------------------------------------------------------------- */

TestSuite(mring_spsc_destroy, .init = support_begin, .fini = support_end);

Test(mring_spsc_destroy, leaves_zeros_and_nothing_else, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    struct mring_spsc zeros;
    memset(&zeros, 0, sizeof zeros);
    mring_spsc_destroy(&ring);
    support_remember();
    ring = new_ring(0);
    cr_assert(put(&ring, 10));

    cr_expect_eq(mring_spsc_destroy(&ring), 0);

    cr_expect_arr_eq((unsigned char *)&ring, (unsigned char *)&zeros, sizeof ring);
    ASSERT_NOTHING_LEFT();
}

Test(mring_spsc_destroy, does_nothing_to_zeros, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);

    cr_expect_eq(mring_spsc_destroy(&ring), 0);
    cr_expect_eq(mring_spsc_destroy(&ring), 0);
}

/* ---- producer -------------------------------------------------------------------------------- */

Test(mring_spsc_reserve, gives_contiguous_room_at_every_position, .timeout = 20)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);

    /* A record as large as the ring, starting at every offset that there is, or at some of all. */
    for (size_t i = 0; i < capacity; i += step() * step()) {
        cr_assert(put(&ring, capacity), "at %zu", i);
        cr_assert(take(&ring, capacity), "at %zu", i);
        cr_assert(put(&ring, step() * step()) && take(&ring, step() * step()), "at %zu", i);
    }
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_reserve, leads_over_the_end_to_the_first_byte, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    start_at(&ring, capacity - 2);

    memcpy(mring_spsc_reserve(&ring, 4), "abcd", 4);
    mring_alias_barrier();

    cr_expect_arr_eq(ring.data + capacity - 2, "ab", 2);
    cr_expect_arr_eq(ring.data, "cd", 2);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_reserve, says_null_exactly_when_there_is_less_room, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);

    cr_expect_not_null(mring_spsc_reserve(&ring, capacity));
    cr_assert(put(&ring, 10));

    cr_expect_null(mring_spsc_reserve(&ring, capacity));
    cr_expect_null(mring_spsc_reserve(&ring, capacity - 9));
    cr_expect_not_null(mring_spsc_reserve(&ring, capacity - 10));
    cr_assert(put(&ring, capacity - 10));
    cr_expect_null(mring_spsc_reserve(&ring, 1));
    cr_assert(take(&ring, 1));
    cr_expect_not_null(mring_spsc_reserve(&ring, 1));
    cr_expect_null(mring_spsc_reserve(&ring, 2));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_reserve, does_not_believe_an_impossible_position, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    start_at(&ring, 1000);
    cr_assert(put(&ring, capacity));
    /* Ahead of the producer, behind what was seen, and far from both. */
    const uint64_t positions[] = { ring.write_pos + 1, 999, 0, UINT64_MAX,
                                   ring.write_pos + (UINT64_C(1) << 63) };

    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        mring_store_release_u64(&ring.read_side->pos, positions[i]);

        cr_expect_null(mring_spsc_reserve(&ring, 1), "row %zu", i);
        cr_expect_eq(mring_spsc_writable(&ring), 0, "row %zu", i);
        cr_expect_eq(mring_spsc_write(&ring, "x", 1), 0, "row %zu", i);
        cr_expect_eq(mring_spsc_wait_writable(&ring, 1, -1), MRING_CORRUPT, "row %zu", i);
    }
    mring_store_release_u64(&ring.read_side->pos, 1001);
    cr_expect_eq(mring_spsc_writable(&ring), 1, "a sane position is believed again");
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_commit, makes_the_bytes_visible_and_nothing_does_before, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    unsigned char *room = mring_spsc_reserve(&ring, 8);
    memcpy(room, "12345678", 8);
    cr_expect_eq(mring_spsc_readable(&ring), 0);
    cr_expect_eq(mring_spsc_reserve(&ring, 8), room, "a reservation need not be committed");

    mring_spsc_commit(&ring, 5);

    cr_expect_eq(mring_spsc_readable(&ring), 5, "part of a reservation may be committed");
    cr_expect_eq(mring_spsc_reserve(&ring, 1), room + 5);
    mring_spsc_commit(&ring, 0);
    cr_expect_eq(mring_spsc_readable(&ring), 5);
    mring_spsc_destroy(&ring);
}

enum { CANNOT_FILTER = 1 };

/* In strict mode the kernel kills a process for any call but read, write and exit. */
static void publish_under_seccomp(struct mring_spsc *ring)
{
    size_t size;

    /* A debug build prepares for its checks at the first use of an end. */
    mring_spsc_writable(ring);
    mring_spsc_readable(ring);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
        syscall(SYS_exit, CANNOT_FILTER);
    for (int i = 0; i < 1000; i++) {
        void *room = mring_spsc_reserve(ring, 100);
        if (room == NULL)
            syscall(SYS_exit, 2);
        memset(room, i, 100);
        mring_spsc_commit(ring, 100);
        if (mring_spsc_peek(ring, 100, &size) == NULL)
            syscall(SYS_exit, 3);
        mring_spsc_consume(ring, 100);
    }
    syscall(SYS_exit, 0);
}

Test(mring_spsc_commit, makes_no_system_call_while_nobody_sleeps, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    int status;
    if (SANITIZED)
        cr_skip_test("a sanitizer makes system calls of its own");

    pid_t pid = fork();
    if (pid == 0)
        publish_under_seccomp(&ring);

    cr_assert_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_FILTER)
        cr_skip_test("this process may not filter its system calls");
    cr_expect_not(WIFSIGNALED(status), "killed by the kernel: a system call");
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_write, copies_as_much_as_there_is_room_for, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    static unsigned char bytes[1 << 17];
    cr_assert_leq(capacity + 100, sizeof bytes);
    for (size_t i = 0; i < capacity + 100; i++)
        bytes[i] = support_byte(i);

    cr_expect_eq(mring_spsc_write(&ring, bytes, 0), 0);
    cr_expect_eq(mring_spsc_write(&ring, bytes, 60), 60);
    cr_expect_eq(mring_spsc_write(&ring, bytes + 60, capacity), capacity - 60);
    cr_expect_eq(mring_spsc_write(&ring, bytes, 1), 0);

    cr_expect(take(&ring, 50));
    cr_expect_eq(mring_spsc_write(&ring, bytes + capacity, 100), 50);
    cr_expect(take(&ring, capacity));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_writable, follows_what_is_published_and_consumed, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);

    cr_expect_eq(mring_spsc_writable(&ring), capacity);
    cr_assert(put(&ring, 100));
    cr_expect_eq(mring_spsc_writable(&ring), capacity - 100);
    cr_assert(take(&ring, 30));
    cr_expect_eq(mring_spsc_writable(&ring), capacity - 70);
    cr_assert(put(&ring, capacity - 70));
    cr_expect_eq(mring_spsc_writable(&ring), 0);
    mring_spsc_destroy(&ring);
}

/* ---- consumer -------------------------------------------------------------------------------- */

Test(mring_spsc_peek, gives_everything_that_was_published_when_it_looked, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    size_t size = 77;

    cr_expect_null(mring_spsc_peek(&ring, 1, &size));
    cr_expect_eq(size, 0);
    cr_assert(put(&ring, 10));
    cr_expect_null(mring_spsc_peek(&ring, 11, &size));
    cr_expect_eq(size, 0);

    const void *bytes = mring_spsc_peek(&ring, 1, &size);
    cr_expect_eq(size, 10);
    cr_expect(support_has_bytes(bytes, 0, 10));
    cr_assert(put(&ring, 10));
    cr_expect_eq(mring_spsc_peek(&ring, 20, &size), bytes, "nothing was consumed");
    cr_expect_eq(size, 20);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_peek, gives_one_span_over_the_end, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    size_t size;
    start_at(&ring, 3 * capacity - 1);
    cr_assert(put(&ring, capacity));

    const void *bytes = mring_spsc_peek(&ring, capacity, &size);

    cr_assert_not_null(bytes);
    cr_expect_eq(size, capacity);
    cr_expect(support_has_bytes(bytes, 3 * capacity - 1, capacity));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_peek, does_not_believe_an_impossible_position, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    start_at(&ring, 1000);
    cr_assert(put(&ring, 10));
    cr_expect_eq(mring_spsc_readable(&ring), 10);
    /* Too far ahead, behind what was seen, and far from both. */
    const uint64_t positions[] = { 1001 + capacity,           1009, 999, 0, UINT64_MAX,
                                   1000 + (UINT64_C(1) << 63) };

    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        size_t size;
        mring_store_release_u64(&ring.write_side->pos, positions[i]);

        cr_expect_null(mring_spsc_peek(&ring, 11, &size), "row %zu", i);
        cr_expect_not_null(mring_spsc_peek(&ring, 10, &size), "row %zu", i);
        cr_expect_eq(size, 10, "row %zu", i);
        cr_expect_eq(mring_spsc_readable(&ring), 10, "row %zu", i);
        cr_expect_eq(mring_spsc_wait_readable(&ring, 11, -1), MRING_CORRUPT, "row %zu", i);
    }
    mring_store_release_u64(&ring.write_side->pos, 1000 + capacity);
    cr_expect_eq(mring_spsc_readable(&ring), capacity, "a sane position is believed again");
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_consume, gives_back_the_first_bytes_only, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    const size_t capacity = mring_spsc_capacity(&ring);
    size_t size;
    cr_assert(put(&ring, capacity));
    cr_assert_not_null(mring_spsc_peek(&ring, 1, &size));

    mring_spsc_consume(&ring, 0);
    cr_expect_eq(mring_spsc_writable(&ring), 0);
    mring_spsc_consume(&ring, 7);

    cr_expect_eq(mring_spsc_writable(&ring), 7);
    const void *bytes = mring_spsc_peek(&ring, 1, &size);
    cr_expect_eq(size, capacity - 7);
    cr_expect(support_has_bytes(bytes, 7, capacity - 7));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_read, copies_as_much_as_there_is, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    unsigned char bytes[100];
    cr_assert(put(&ring, 60));

    cr_expect_eq(mring_spsc_read(&ring, bytes, 0), 0);
    cr_expect_eq(mring_spsc_read(&ring, bytes, 40), 40);
    cr_expect(support_has_bytes(bytes, 0, 40));
    cr_expect_eq(mring_spsc_read(&ring, bytes, 100), 20);
    cr_expect(support_has_bytes(bytes, 40, 20));
    cr_expect_eq(mring_spsc_read(&ring, bytes, 100), 0);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_read, copies_over_the_end, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);
    unsigned char bytes[100];
    start_at(&ring, mring_spsc_capacity(&ring) - 50);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = support_byte(ring.write_pos + i);

    cr_expect_eq(mring_spsc_write(&ring, bytes, 100), 100);
    memset(bytes, 0, sizeof bytes);
    cr_expect_eq(mring_spsc_read(&ring, bytes, 100), 100);

    cr_expect(support_has_bytes(bytes, mring_spsc_capacity(&ring) - 50, 100));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_readable, follows_what_is_published_and_consumed, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);

    cr_expect_eq(mring_spsc_readable(&ring), 0);
    cr_assert(put(&ring, 100));
    cr_expect_eq(mring_spsc_readable(&ring), 100);
    cr_assert(take(&ring, 30));
    cr_expect_eq(mring_spsc_readable(&ring), 70);
    cr_assert(put(&ring, mring_spsc_capacity(&ring) - 70));
    cr_expect_eq(mring_spsc_readable(&ring), mring_spsc_capacity(&ring));
    mring_spsc_destroy(&ring);
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Each test of waiting runs with sleeping and with spinning. */
static const unsigned manners[] = { 0, MRING_NOWAIT };

Test(mring_spsc_wait, refuses_a_size_that_can_never_be, .timeout = 5)
{
    for (size_t i = 0; i < 2; i++) {
        struct mring_spsc ring = new_ring(manners[i]);
        const size_t capacity = mring_spsc_capacity(&ring);

        cr_expect_eq(mring_spsc_wait_writable(&ring, 0, -1), MMAP_INVALID_ARG);
        cr_expect_eq(mring_spsc_wait_writable(&ring, capacity + 1, -1), MMAP_INVALID_ARG);
        cr_expect_eq(mring_spsc_wait_readable(&ring, 0, -1), MMAP_INVALID_ARG);
        cr_expect_eq(mring_spsc_wait_readable(&ring, capacity + 1, -1), MMAP_INVALID_ARG);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_wait, only_looks_with_a_timeout_of_0, .timeout = 5)
{
    for (size_t i = 0; i < 2; i++) {
        struct mring_spsc ring = new_ring(manners[i]);
        const size_t capacity = mring_spsc_capacity(&ring);

        cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 0), MRING_TIMED_OUT);
        cr_expect_eq(mring_spsc_wait_writable(&ring, capacity, 0), 0);
        cr_assert(put(&ring, capacity));
        cr_expect_eq(mring_spsc_wait_writable(&ring, 1, 0), MRING_TIMED_OUT);
        cr_expect_eq(mring_spsc_wait_readable(&ring, capacity, 0), 0);
        cr_expect_eq(ring.write_side->event.arm.value, 0, "and announces nothing");
        cr_expect_eq(ring.read_side->event.arm.value, 0, "and announces nothing");
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_wait, lasts_as_long_as_the_timeout, .timeout = 20)
{
    /* Less and more than the slice of a sleep. */
    static const int64_t timeouts[] = { 1, 20000000, 120000000 };

    for (size_t i = 0; i < 2; i++) {
        struct mring_spsc ring = new_ring(manners[i]);
        for (size_t j = 0; j < sizeof timeouts / sizeof timeouts[0]; j++) {
            int64_t before = mring_os_now();
            cr_expect_eq(mring_spsc_wait_readable(&ring, 1, timeouts[j]), MRING_TIMED_OUT);
            int64_t elapsed = mring_os_now() - before;
            cr_expect_geq(elapsed, timeouts[j]);
            cr_expect_lt(elapsed, timeouts[j] + 2000 * MILLISECOND);
        }
        cr_assert(put(&ring, mring_spsc_capacity(&ring)));
        int64_t before = mring_os_now();
        cr_expect_eq(mring_spsc_wait_writable(&ring, 1, timeouts[1]), MRING_TIMED_OUT);
        cr_expect_geq(mring_os_now() - before, timeouts[1]);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_wait, looks_before_it_sleeps_only_while_that_pays, .timeout = 20)
{
    struct mring_spsc ring = new_ring(0);
    cr_assert(put(&ring, smallest()));
    cr_assert(take(&ring, 1));

    for (unsigned i = 0; i < 3; i++) {
        cr_expect_eq(mring_spsc_wait_readable(&ring, smallest(), 1000), MRING_TIMED_OUT,
                     "too short to learn from");
        cr_expect_eq(ring.read_spin.debt, i * MRING_SPIN_COST);
        cr_expect_eq(ring.write_spin.debt, i * MRING_SPIN_COST);
        cr_expect_eq(mring_spsc_wait_readable(&ring, smallest(), 20 * MILLISECOND),
                     MRING_TIMED_OUT);
        cr_expect_eq(mring_spsc_wait_writable(&ring, 2, 20 * MILLISECOND), MRING_TIMED_OUT);
    }

    cr_expect_eq(ring.read_spin.waits + ring.write_spin.waits, 0);
    cr_expect_eq(mring_spsc_wait_readable(&ring, smallest(), 20 * MILLISECOND), MRING_TIMED_OUT);
    cr_expect_eq(mring_spsc_wait_writable(&ring, 2, 20 * MILLISECOND), MRING_TIMED_OUT);
    cr_expect_eq(ring.read_spin.waits, 1);
    cr_expect_eq(ring.write_spin.waits, 1);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_wait, never_announces_anything_in_a_ring_without_waiting, .timeout = 5)
{
    struct mring_spsc ring = new_ring(MRING_NOWAIT);

    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 5 * MILLISECOND), MRING_TIMED_OUT);
    cr_expect_eq(ring.read_side->event.arm.value, 0);
    ring.read_side->event.arm.value = 1; /* as if somebody slept */
    cr_assert(put(&ring, 1));

    cr_expect_eq(ring.read_side->event.epoch.value, 0, "publishing does not look");
    mring_spsc_destroy(&ring);
}

/* One call of a waiting thread. */
struct waiter {
    struct mring_spsc *ring;
    bool writes;
    size_t size;
    int64_t timeout_ns;
    int err;
};

static void *wait_in_thread(void *context)
{
    struct waiter *waiter = context;

    waiter->err = waiter->writes
                      ? mring_spsc_wait_writable(waiter->ring, waiter->size, waiter->timeout_ns)
                      : mring_spsc_wait_readable(waiter->ring, waiter->size, waiter->timeout_ns);
    return NULL;
}

enum act { PUT, TAKE, CLOSE_WRITE_END, CLOSE_READ_END };

static void do_act(struct mring_spsc *ring, enum act act, size_t size)
{
    switch (act) {
    case PUT:
        cr_assert(put(ring, size));
        break;
    case TAKE:
        cr_assert(take(ring, size));
        break;
    case CLOSE_WRITE_END:
        mring_spsc_close(ring, MRING_WRITE_END, 0);
        break;
    case CLOSE_READ_END:
        mring_spsc_close(ring, MRING_READ_END, 0);
        break;
    }
}

Test(mring_spsc_wait, for_ever_ends_when_the_other_side_acts, .timeout = 20)
{
    static const struct {
        bool writes;
        enum act act;
        int64_t timeout_ns;
        int err;
    } rows[] = {
        { false, PUT, -1, 0 },        { false, CLOSE_WRITE_END, -1, MRING_EOF },
        { true, TAKE, -1, 0 },        { true, CLOSE_READ_END, -1, MRING_CLOSED },
        { false, PUT, INT64_MAX, 0 }, { true, TAKE, INT64_MAX, 0 },
        { false, PUT, INT64_MIN, 0 },
    };

    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        struct mring_spsc ring = new_ring(manners[i % 2]);
        struct waiter waiter = { &ring, rows[i / 2].writes, 5, rows[i / 2].timeout_ns, 99 };
        pthread_t thread;
        if (waiter.writes)
            cr_assert(put(&ring, mring_spsc_capacity(&ring)));
        cr_assert_eq(pthread_create(&thread, NULL, wait_in_thread, &waiter), 0);
        usleep(20000);

        do_act(&ring, rows[i / 2].act, 5);

        pthread_join(thread, NULL);
        cr_expect_eq(waiter.err, rows[i / 2].err, "row %zu: %s", i / 2, mring_errname(waiter.err));
        mring_spsc_destroy(&ring);
    }
}

/*
 * A sleeper looks for itself after a slice of 50 ms; by then it would see everything. So what is
 * tested here is the time that it takes, which on a busy machine means the sum of many.
 */
Test(mring_spsc_wait, is_woken_and_does_not_only_find_out_by_itself, .timeout = 30)
{
    static const enum act acts[] = { PUT, CLOSE_WRITE_END, TAKE, CLOSE_READ_END };
    enum { ROUNDS = 20 };

    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        int64_t spent = 0;
        for (int round = 0; round < ROUNDS; round++) {
            struct mring_spsc ring = new_ring(0);
            struct waiter waiter = { &ring, acts[i] == TAKE || acts[i] == CLOSE_READ_END, 1, -1,
                                     99 };
            struct mring_side *side = waiter.writes ? ring.write_side : ring.read_side;
            pthread_t thread;
            if (waiter.writes)
                cr_assert(put(&ring, mring_spsc_capacity(&ring)));
            cr_assert_eq(pthread_create(&thread, NULL, wait_in_thread, &waiter), 0);
            while (mring_load_acquire_u32(&side->event.arm) == 0)
                usleep(200);
            usleep(2000); /* from the announcement into the kernel */

            int64_t before = mring_os_now();
            do_act(&ring, acts[i], 1);
            pthread_join(thread, NULL);
            spent += mring_os_now() - before;
            mring_spsc_destroy(&ring);
        }
        cr_expect_lt(spent, ROUNDS * 15 * MILLISECOND, "act %zu: %lld us", i,
                     (long long)spent / 1000);
    }
}

struct late_publication {
    struct mring_spsc *ring;
    bool was_awaited;
};

static void *publish_without_a_wake(void *context)
{
    struct late_publication *publication = context;
    struct mring_event *event = &publication->ring->read_side->event;

    for (int i = 0; i < 5000 && mring_load_relaxed_u32(&event->arm) == 0; i++)
        usleep(1000);
    publication->was_awaited = mring_load_relaxed_u32(&event->arm) != 0;
    mring_store_release_u64(&publication->ring->write_side->pos, 1);
    return NULL;
}

/* The producer died between its commit and the wake. */
Test(mring_spsc_wait, ends_without_a_wake_too, .timeout = 20)
{
    struct mring_spsc ring = new_ring(0);
    pthread_t thread;
    struct late_publication publication = { .ring = &ring };
    cr_assert_eq(pthread_create(&thread, NULL, publish_without_a_wake, &publication), 0);

    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, -1), 0);

    pthread_join(thread, NULL);
    cr_expect(publication.was_awaited, "the consumer slept");
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_wait, goes_on_until_there_is_enough, .timeout = 20)
{
    struct mring_spsc ring = new_ring(0);
    struct waiter waiter = { &ring, false, 3, -1, 99 };
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wait_in_thread, &waiter), 0);

    for (int i = 0; i < 3; i++) {
        usleep(10000);
        cr_assert(put(&ring, 1));
    }

    pthread_join(thread, NULL);
    cr_expect_eq(waiter.err, 0);
    cr_expect(take(&ring, 3));
    mring_spsc_destroy(&ring);
}

/* ---- positions ------------------------------------------------------------------------------- */

Test(mring_spsc, runs_over_every_limit_of_its_positions, .timeout = 20)
{
    static const uint64_t limits[] = { UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(1) << 63,
                                       0 /* 2^64 */ };

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct mring_spsc ring = new_ring(0);
        const size_t capacity = mring_spsc_capacity(&ring);
        start_at(&ring, limits[i] - 2 * capacity - 5);

        for (int lap = 0; lap < 5; lap++) {
            cr_assert(put(&ring, capacity - 3), "limit %zu", i);
            cr_expect_eq(mring_spsc_writable(&ring), 3, "limit %zu", i);
            cr_expect_eq(mring_spsc_readable(&ring), capacity - 3, "limit %zu", i);
            cr_expect_null(mring_spsc_reserve(&ring, 4), "limit %zu", i);
            cr_assert(put(&ring, 3), "limit %zu", i);
            cr_expect_eq(mring_spsc_wait_writable(&ring, 1, 0), MRING_TIMED_OUT, "limit %zu", i);
            cr_assert(take(&ring, capacity), "limit %zu", i);
            cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 0), MRING_TIMED_OUT, "limit %zu", i);
        }
        mring_spsc_destroy(&ring);
    }
}
