/* SPDX-License-Identifier: MIT */
/*
 * Waiting as macOS and the BSDs do where they have nothing better: naps, and FIFOs for poll loops.
 * Their files are compiled in, and rings of the library run on them.
 */
#define _GNU_SOURCE

#include "support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <mring.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void record_nap(const struct timespec *time);

#define nanosleep(time, rest) (record_nap(time), nanosleep(time, rest))
#include "../../src/wait_naps.c"
#undef nanosleep
#include "../../src/io_kqueue.c"
#include "../../src/wait_kqueue.c"

TestSuite(wait_naps, .init = support_begin, .fini = support_end, .timeout = 30);

#define COUNT_OF(rows) (sizeof(rows) / sizeof(rows)[0])
#define MS             ((int64_t)1000000)

static struct {
    unsigned count;
    int64_t first_ns, longest_ns, sum_ns;
} naps;

static void record_nap(const struct timespec *time)
{
    int64_t ns = time->tv_sec * 1000 * MS + time->tv_nsec;

    if (naps.count++ == 0)
        naps.first_ns = ns;
    if (ns > naps.longest_ns)
        naps.longest_ns = ns;
    naps.sum_ns += ns;
}

/* In memory that forked children share. */
static struct mring_event *new_event(void)
{
    struct mring_event *event =
        mmap(NULL, sizeof *event, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON, -1, 0);

    cr_assert_neq(event, MAP_FAILED);
    return event;
}

/* ---- sleeping -------------------------------------------------------------------------------- */

Test(wait_naps, do_not_begin_when_the_epoch_has_changed)
{
    struct mring_event *event = new_event();

    mring_os_sleep(event, 1, 1000 * MS);

    cr_expect_eq(naps.count, 0);
}

Test(wait_naps, end_with_the_timeout)
{
    static const int64_t timeouts[] = { -1, 0, 1, 30000, 5 * MS, 40 * MS };
    struct mring_event *event = new_event();

    for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
        naps.sum_ns = 0;
        int64_t start = mring_os_now();
        mring_os_sleep(event, 0, timeouts[i]);
        int64_t elapsed = mring_os_now() - start;

        cr_expect_eq(naps.sum_ns, timeouts[i] > 0 ? timeouts[i] : 0, "timeout %zu", i);
        cr_expect_geq(elapsed, timeouts[i], "timeout %zu", i);
    }
}

Test(wait_naps, are_short_at_first_and_never_long)
{
    struct mring_event *event = new_event();

    mring_os_sleep(event, 0, 50 * MS);

    cr_expect_eq(naps.first_ns, 50000);
    cr_expect_eq(naps.longest_ns, MS);
    cr_expect_lt(naps.count, 70u, "a long wait costs %u naps", naps.count);
}

static const char *sleep_until_woken(void *context)
{
    mring_os_sleep(context, 0, 20000 * MS);
    EXPECT(mring_load_relaxed_u32(&((struct mring_event *)context)->epoch) == 1);
    return NULL;
}

Test(wait_naps, end_in_another_process_when_the_epoch_changes)
{
    struct mring_event *event = new_event();
    int64_t start = mring_os_now();
    pid_t pid = fork();

    if (pid == 0) {
        usleep(20000);
        mring_add_release_u32(&event->epoch, 1);
        _exit(mring_os_wake(event, MRING_WAKE_ALL) != 0);
    }
    const char *failure = sleep_until_woken(event);
    int64_t elapsed = mring_os_now() - start;
    int status = -1;
    waitpid(pid, &status, 0);

    cr_expect_null(failure, "%s", failure);
    cr_expect_eq(status, 0);
    cr_expect_geq(elapsed, 20 * MS);
    cr_expect_lt(elapsed, 5000 * MS);
}

/* Nobody who was announced before the epoch changed sleeps on, so all are acknowledged: N5. */
Test(wait_naps, are_all_acknowledged_by_any_wake)
{
    static const uint32_t most[] = { 1, 2, MRING_WAKE_ALL };
    struct mring_event *event = new_event();

    for (size_t i = 0; i < COUNT_OF(most); i++) {
        for (int j = 0; j < 3; j++)
            mring_event_prepare(event, 0, MRING_MANNER_SLEEP, MRING_FENCING_BOTH_SIDES);
        uint32_t epoch = mring_load_relaxed_u32(&event->epoch);
        cr_assert(mring_event_is_armed(event, MRING_FENCING_BOTH_SIDES));
        mring_event_wake(event, -1, most[i]);

        cr_expect_not(mring_event_is_armed(event, MRING_FENCING_BOTH_SIDES));
        naps.count = 0;
        mring_os_sleep(event, epoch, 1000 * MS);
        cr_expect_eq(naps.count, 0, "somebody who was acknowledged slept on");
    }
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static int new_fifo(const char *name, int flags)
{
    const char *path = support_path(name);

    cr_assert(mkfifo(path, 0600) == 0 || support_exists(path));
    return open(path, flags | O_CLOEXEC);
}

static bool is_readable(int fd)
{
    struct pollfd what = { .fd = fd, .events = POLLIN };

    return poll(&what, 1, 0) == 1 && (what.revents & POLLIN);
}

Test(wait_naps, descriptors_are_fifos_that_do_not_block_and_never_lack_a_reader)
{
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0);
    const struct {
        int fd, err;
    } rows[] = {
        { new_fifo("good", O_RDWR | O_NONBLOCK), 0 },
        { new_fifo("blocks", O_RDWR), MMAP_INVALID_ARG },
        { new_fifo("good", O_RDONLY | O_NONBLOCK), MMAP_INVALID_ARG },
        { new_fifo("good", O_WRONLY | O_NONBLOCK), MMAP_INVALID_ARG },
        { pipes[0], MMAP_INVALID_ARG },
        { pipes[1], MMAP_INVALID_ARG },
        { open(support_folder(), O_RDONLY), MMAP_INVALID_ARG },
        { 9999, EBADF },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        cr_expect_eq(mring_io_check_signal(rows[i].fd), rows[i].err, "row %zu", i);
}

Test(wait_naps, a_fifo_is_readable_from_a_signal_until_it_is_cleared)
{
    static const unsigned signals[] = { 1, 255, 256, 257, 100000 };
    int fd = new_fifo("fifo", O_RDWR | O_NONBLOCK);

    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        cr_expect_not(is_readable(fd), "%u signals", signals[i]);
        for (unsigned j = 0; j < signals[i]; j++)
            mring_os_signal(fd);
        cr_expect(is_readable(fd), "%u signals", signals[i]);
        mring_os_clear(fd);
    }
    cr_expect_not(is_readable(fd));
    mring_os_clear(fd);
}

/* ---- rings ----------------------------------------------------------------------------------- */

#define MESSAGES 20000u

static const char *produce(struct mring_spsc *ring)
{
    for (uint32_t i = 0; i < MESSAGES; i++) {
        void *room;
        while ((room = mring_spsc_reserve(ring, sizeof i)) == NULL)
            EXPECT(mring_spsc_wait_writable(ring, sizeof i, 20000 * MS) == 0);
        memcpy(room, &i, sizeof i);
        mring_spsc_commit(ring, sizeof i);
        if (i % 1000 == 0)
            usleep(3000); /* the other side sleeps */
    }
    mring_spsc_close(ring, MRING_WRITE_END, 0);
    return NULL;
}

static uint32_t take_all(struct mring_spsc *ring, uint32_t next)
{
    size_t size;
    const unsigned char *bytes;

    while ((bytes = mring_spsc_peek(ring, sizeof next, &size)) != NULL) {
        uint32_t found;
        memcpy(&found, bytes, sizeof found);
        cr_assert_eq(found, next);
        next++;
        mring_spsc_consume(ring, sizeof found);
    }
    return next;
}

static uint32_t consume_sleeping(struct mring_spsc *ring)
{
    uint32_t next = 0;

    while (mring_spsc_wait_readable(ring, sizeof next, 20000 * MS) == 0)
        next = take_all(ring, next);
    return next;
}

static uint32_t consume_polling(struct mring_spsc *ring, int fd)
{
    uint32_t next = 0;
    int err;

    while ((err = mring_spsc_arm_readable(ring, sizeof next)) == 0 || err == MRING_EMPTY) {
        struct pollfd what = { .fd = fd, .events = POLLIN };
        if (err == MRING_EMPTY)
            cr_assert_eq(poll(&what, 1, 20000), 1, "the wake-up was lost");
        next = take_all(ring, next);
    }
    cr_expect_eq(err, MRING_EOF);
    return next;
}

/* Both ends fall asleep and are woken, across a fork; with a FIFO, which is inherited, too. */
static void run_ring(bool polls)
{
    struct mring_spsc ring;
    int fd = new_fifo("fifo", O_RDWR | O_NONBLOCK);

    cr_assert_eq(mring_spsc_create(&ring, &(struct mring_args){ .capacity = 65536 }), 0);
    if (polls)
        cr_assert_eq(mring_spsc_set_eventfd(&ring, MRING_READ_END, fd), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(produce(&ring) != NULL);
    uint32_t got = polls ? consume_polling(&ring, fd) : consume_sleeping(&ring);
    int status = -1;
    waitpid(pid, &status, 0);

    cr_expect_eq(got, MESSAGES);
    cr_expect_eq(status, 0);
}

Test(wait_naps, move_a_ring_between_processes)
{
    run_ring(false);
    cr_expect_gt(naps.count, 0u, "nobody slept");
}

Test(wait_naps, fifos_move_a_ring_between_processes)
{
    run_ring(true);
}
