/* SPDX-License-Identifier: MIT */
/*
 * Waiting as macOS and the BSDs do: naps where they have nothing better, and kqueues for poll
 * loops. Their files are compiled in, and rings of the library run on them.
 */
#define _GNU_SOURCE

#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <mring.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void record_nap(const struct timespec *time);

#define nanosleep(time, rest) (record_nap(time), nanosleep(time, rest))
#include "../../src/wait_naps.c"
#undef nanosleep

#if __has_include(<sys/event.h>)
static int new_kqueue(void)
{
    return kqueue();
}

static void forget_kqueue(int fd)
{
    (void)fd;
}
#else
#include <sys/eventfd.h>

/*
 * What kqueues do, as far as they are used here, over eventfds: one is readable while an event in
 * it is triggered. Changes are made in their order, up to the first that fails.
 */
#define EVFILT_USER  (-11)
#define EV_ADD       0x01
#define EV_DELETE    0x02
#define EV_CLEAR     0x20
#define NOTE_TRIGGER 0x01000000

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned fflags;
};

#define EV_SET(event, ident, filter, flags, fflags, data, udata)                                   \
    (*(event) = (struct kevent){ ident, filter, flags, fflags })

#define EVENTS 4

static struct fake {
    int fd;
    struct {
        bool is_there, triggered;
        uintptr_t ident;
    } events[EVENTS];
} fakes[8];

static pthread_mutex_t fakes_mutex = PTHREAD_MUTEX_INITIALIZER;

static struct fake *find_fake(int fd)
{
    for (size_t i = 0; i < sizeof fakes / sizeof *fakes; i++) {
        if (fakes[i].fd == fd)
            return &fakes[i];
    }
    return NULL;
}

static int new_kqueue(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    *find_fake(0) = (struct fake){ .fd = fd };
    return fd;
}

static void forget_kqueue(int fd)
{
    *find_fake(fd) = (struct fake){ 0 };
}

static int change_fake(struct fake *fake, const struct kevent *change)
{
    int found = -1, unused = -1;

    for (int i = 0; i < EVENTS; i++) {
        if (fake->events[i].is_there && fake->events[i].ident == change->ident)
            found = i;
        else if (!fake->events[i].is_there)
            unused = i;
    }
    if (change->flags & EV_ADD && found < 0) {
        fake->events[unused].is_there = true;
        fake->events[unused].triggered = false;
        fake->events[unused].ident = change->ident;
        found = unused;
    }
    if (found < 0)
        return ENOENT;
    if (change->flags & EV_DELETE)
        fake->events[found].is_there = fake->events[found].triggered = false;
    if (change->fflags & NOTE_TRIGGER)
        fake->events[found].triggered = true;
    return 0;
}

static void show_fake(const struct fake *fake)
{
    bool triggered = false;
    eventfd_t count;

    for (int i = 0; i < EVENTS; i++)
        triggered |= fake->events[i].triggered;
    if (triggered)
        eventfd_write(fake->fd, 1);
    else
        eventfd_read(fake->fd, &count);
}

static int kevent(int fd, const struct kevent *changes, int count, struct kevent *events, int room,
                  const struct timespec *timeout)
{
    cr_assert(events == NULL && room == 0 && timeout == NULL, "it takes out events, or waits");
    pthread_mutex_lock(&fakes_mutex);
    struct fake *fake = fd > 0 ? find_fake(fd) : NULL;
    int code = fake == NULL ? EBADF : 0;

    for (int i = 0; i < count && code == 0; i++)
        code = change_fake(fake, &changes[i]);
    if (fake != NULL)
        show_fake(fake);
    pthread_mutex_unlock(&fakes_mutex);
    errno = code;
    return code == 0 ? 0 : -1;
}
#endif

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

static bool is_readable(int fd)
{
    struct pollfd what = { .fd = fd, .events = POLLIN };

    return poll(&what, 1, 0) == 1 && (what.revents & POLLIN);
}

/* Somebody else's event in a kqueue. */
static int change_other(int fd, unsigned short flags, unsigned fflags)
{
    struct kevent event;

    EV_SET(&event, 1, EVFILT_USER, flags, fflags, 0, NULL);
    return kevent(fd, &event, 1, NULL, 0, NULL);
}

Test(wait_naps, descriptors_are_kqueues)
{
    int pipes[2], kqueue = new_kqueue();
    cr_assert_eq(pipe(pipes), 0);
    const struct {
        int fd, err;
    } rows[] = {
        { kqueue, 0 },
        { kqueue, 0 },
        { pipes[0], MMAP_INVALID_ARG },
        { pipes[1], MMAP_INVALID_ARG },
        { open(support_folder(), O_RDONLY), MMAP_INVALID_ARG },
        { 9999, EBADF },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        cr_expect_eq(mring_io_check_signal(rows[i].fd), rows[i].err, "row %zu", i);
}

Test(wait_naps, a_kqueue_is_readable_from_a_signal_until_it_is_cleared)
{
    static const unsigned signals[] = { 1, 2, 1000 };
    int fd = new_kqueue();

    cr_assert_eq(mring_io_check_signal(fd), 0);
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        cr_expect_not(is_readable(fd), "%u signals", signals[i]);
        for (unsigned j = 0; j < signals[i]; j++)
            mring_os_signal(fd);
        cr_expect(is_readable(fd), "%u signals", signals[i]);
        mring_os_clear(fd);
    }
    cr_expect_not(is_readable(fd));
    mring_os_clear(fd);
    cr_expect_not(is_readable(fd));
}

Test(wait_naps, what_others_have_in_a_kqueue_is_left_alone)
{
    int fd = new_kqueue();

    cr_assert_eq(mring_io_check_signal(fd), 0);
    cr_assert_eq(change_other(fd, EV_ADD | EV_CLEAR, 0), 0);
    cr_assert_eq(change_other(fd, 0, NOTE_TRIGGER), 0);
    mring_os_signal(fd);
    mring_os_clear(fd);
    cr_expect(is_readable(fd), "an event of others was taken");

    cr_assert_eq(change_other(fd, EV_DELETE, 0), 0);
    cr_expect_not(is_readable(fd));
}

/* As in a forked child, which has not got the kqueue: the number may be anything's by now. */
Test(wait_naps, a_number_that_is_no_kqueue_any_more_is_left_alone)
{
    int fd = new_kqueue(), pipes[2];
    char byte;

    cr_assert_eq(mring_io_check_signal(fd), 0);
    forget_kqueue(fd);
    cr_assert_eq(pipe2(pipes, O_NONBLOCK), 0);
    cr_assert_eq(dup2(pipes[1], fd), fd);
    mring_os_signal(fd);
    cr_expect_lt(read(pipes[0], &byte, 1), 0, "it was written to");

    cr_assert_eq(write(pipes[1], "x", 1), 1);
    cr_assert_eq(dup2(pipes[0], fd), fd);
    mring_os_clear(fd);
    cr_expect_eq(read(pipes[0], &byte, 1), 1, "it was read from");

    close(fd);
    int other = new_kqueue();
    mring_os_clear(other);
    mring_os_signal(other);
    cr_expect_not(is_readable(other), "our event is in a kqueue that was not given");
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

static void new_ring(struct mring_spsc *ring)
{
    cr_assert_eq(mring_spsc_create(ring, &(struct mring_args){ .capacity = 65536 }), 0);
}

/* Both ends fall asleep and are woken, across a fork. */
Test(wait_naps, move_a_ring_between_processes)
{
    struct mring_spsc ring;
    int status = -1;
    new_ring(&ring);

    pid_t pid = fork();
    if (pid == 0)
        _exit(produce(&ring) != NULL);
    uint32_t got = consume_sleeping(&ring);
    waitpid(pid, &status, 0);

    cr_expect_eq(got, MESSAGES);
    cr_expect_eq(status, 0);
    cr_expect_gt(naps.count, 0u, "nobody slept");
}

static void *produce_in_thread(void *ring)
{
    return (void *)(uintptr_t)produce(ring);
}

/* A kqueue stays in its process. */
Test(wait_naps, kqueues_move_a_ring_between_threads)
{
    struct mring_spsc ring;
    pthread_t thread;
    void *failure = NULL;
    int fd = new_kqueue();
    new_ring(&ring);

    cr_assert_eq(mring_spsc_set_eventfd(&ring, MRING_READ_END, fd), 0);
    cr_assert_eq(pthread_create(&thread, NULL, produce_in_thread, &ring), 0);
    uint32_t got = consume_polling(&ring, fd);
    pthread_join(thread, &failure);

    cr_expect_eq(got, MESSAGES);
    cr_expect_null(failure, "%s", (const char *)failure);
}
