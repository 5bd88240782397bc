/* SPDX-License-Identifier: MIT */
/*
 * Record rings: who sleeps, who is woken, and poll loops. Over the real src/mpmc.c and
 * src/waiter.c, which are compiled in, so that a test can act at certain moments of a wait, and so
 * that a sleeper does not find out by itself: a wake-up that is lost is a wait that takes too long.
 */
#define _GNU_SOURCE

#define MRING_WAIT_SLICE_NS ((int64_t)60000000000)

#include "ring_support.h"

#include <mring/mpmc.h>

static uint32_t announce(struct mring_event *event, uint64_t wanted, enum mring_manner manner,
                         enum mring_fencing fencing);
static void fall_asleep(struct mring_event *event, uint32_t expected, int64_t timeout_ns);
static uint64_t look_at_word(mring_atomic_u64 *word);
static void clear_descriptor(int fd);

#define mring_event_prepare(event, wanted, manner, fencing) announce(event, wanted, manner, fencing)
#define mring_os_sleep(event, expected, timeout_ns)         fall_asleep(event, expected, timeout_ns)
#define mring_look_acquire_u64(word)                        look_at_word(word)
#define mring_os_clear(fd)                                  clear_descriptor(fd)
#include "../../src/mpmc.c"
#include "../../src/waiter.c"
#undef mring_event_prepare
#undef mring_os_sleep
#undef mring_look_acquire_u64
#undef mring_os_clear

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t MILLISECOND = 1000000;
static const int64_t SECOND = 1000000000;

/* What nobody waits for who is woken, however busy the machine is; and when a test gives up. */
#define LATE     (8 * SECOND)
#define TOO_LONG (20 * SECOND)

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

/* ---- moments --------------------------------------------------------------------------------- */

/* Called once: between the announcement of a sleep and the look that follows; before the system is
   asked to sleep; after a word has been looked at; before a descriptor is cleared. */
static void (*after_announcement)(void);
static void (*before_sleep)(void);
static void (*after_look)(void);
static void (*before_clearing)(void);

static void happen(void (**moment)(void))
{
    void (*act)(void) = *moment;

    if (act != NULL) {
        *moment = NULL;
        act();
    }
}

static uint32_t announce(struct mring_event *event, uint64_t wanted, enum mring_manner manner,
                         enum mring_fencing fencing)
{
    uint32_t epoch = mring_event_prepare(event, wanted, manner, fencing);

    happen(&after_announcement);
    return epoch;
}

static void fall_asleep(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    happen(&before_sleep);
    mring_os_sleep(event, expected, timeout_ns);
}

static uint64_t look_at_word(mring_atomic_u64 *word)
{
    uint64_t value = mring_look_acquire_u64(word);

    happen(&after_look);
    return value;
}

static void clear_descriptor(int fd)
{
    happen(&before_clearing);
    mring_os_clear(fd);
}

/* ---- rings ----------------------------------------------------------------------------------- */

#define SINGLES (MRING_SINGLE_PRODUCER | MRING_SINGLE_CONSUMER)

/* All modes, and all with fences. */
static const unsigned modes[] = {
    0,
    MRING_SINGLE_PRODUCER,
    MRING_SINGLE_CONSUMER,
    SINGLES,
    MRING_SKIP_STALLED,
    MRING_FENCE,
    MRING_FENCE | MRING_SINGLE_PRODUCER,
    MRING_FENCE | MRING_SINGLE_CONSUMER,
    MRING_FENCE | SINGLES,
    MRING_FENCE | MRING_SKIP_STALLED,
};

static bool has_several(unsigned mode, enum mring_end end)
{
    return !(mode & (end == MRING_WRITE_END ? MRING_SINGLE_PRODUCER : MRING_SINGLE_CONSUMER));
}

static void new_records(struct mring_mpmc *ring, unsigned flags)
{
    cr_assert_eq(
        mring_mpmc_create(ring, &(struct mring_args){ .capacity = smallest(), .flags = flags }), 0);
}

/* An end that sleeps as soon as it has to wait. */
static void join(struct mring_mpmc *ring, struct mring_mpmc_end *member, enum mring_end end)
{
    struct mring_tuning tuning = { .spin_ns = -1, .hold_ns = -1 };

    cr_assert_eq(mring_mpmc_join(ring, member, end), 0);
    cr_assert_eq(mring_mpmc_tune(member, &tuning), 0);
}

/* The copies of the inlined calls. */
static int push(struct mring_mpmc_end *producer, uint64_t value)
{
    return mring_mpmc_push(producer, &value, sizeof value);
}

static size_t push_many(struct mring_mpmc_end *producer, const uint64_t *values, size_t count)
{
    return mring_mpmc_push_n(producer, values, sizeof *values, count);
}

static int pop(struct mring_mpmc_end *consumer, uint64_t *value)
{
    size_t size;

    return mring_mpmc_pop(consumer, value, sizeof *value, &size);
}

static int pop_into_larger(struct mring_mpmc_end *consumer, uint64_t *value)
{
    uint64_t buffer[10] = { 0 };
    size_t size;
    int err = mring_mpmc_pop(consumer, buffer, sizeof buffer, &size);

    *value = buffer[0];
    return err;
}

static size_t pop_many(struct mring_mpmc_end *consumer, uint64_t *values, size_t count)
{
    return mring_mpmc_pop_n(consumer, values, sizeof *values, count);
}

static void *reserve(struct mring_mpmc_end *producer, size_t size)
{
    return mring_mpmc_reserve(producer, size);
}

static void commit(struct mring_mpmc_end *producer, size_t size)
{
    mring_mpmc_commit(producer, size);
}

static void release(struct mring_mpmc_end *consumer, const struct mring_claim *claim)
{
    mring_mpmc_release(consumer, claim);
}

static uint64_t value_of(const struct mring_mpmc_end *consumer, struct mring_claim claim)
{
    size_t size = 0;
    const uint64_t *value = mring_mpmc_next(consumer, &claim, &size);

    return value != NULL && size == sizeof *value ? *value : UINT64_MAX;
}

/* Push until there is no room; returns how many. */
static unsigned fill(struct mring_mpmc *ring)
{
    struct mring_mpmc_end out;
    unsigned count = 0;

    join(ring, &out, MRING_WRITE_END);
    while (push(&out, count) == 0)
        count++;
    mring_mpmc_leave(&out);
    return count;
}

/* One record that takes the whole ring. */
static void fill_at_once(struct mring_mpmc *ring)
{
    struct mring_mpmc_end out;

    join(ring, &out, MRING_WRITE_END);
    size_t size = mring_mpmc_record_max(ring);
    cr_assert_not_null(reserve(&out, size));
    commit(&out, size);
    mring_mpmc_leave(&out);
}

static void new_ring_to_wait_in(struct mring_mpmc *ring, unsigned flags, enum mring_end waits)
{
    new_records(ring, flags);
    if (waits == MRING_WRITE_END)
        fill(ring);
}

static enum mring_end other_than(enum mring_end end)
{
    return end == MRING_WRITE_END ? MRING_READ_END : MRING_WRITE_END;
}

static struct mring_event *event_of(const struct mring_mpmc *ring, enum mring_end end)
{
    return &side_of(&ring->layout, end)->event;
}

static struct mring_event *poll_event_of(const struct mring_mpmc *ring, enum mring_end end)
{
    return &side_of(&ring->layout, end)->poll_event;
}

static uint32_t arms_of(const struct mring_mpmc *ring, enum mring_end end)
{
    return mring_load_acquire_u32(&event_of(ring, end)->arm);
}

static uint64_t sleeps_of(const struct mring_mpmc_end *member)
{
    return mring_load_relaxed_u64(&member->counters.sleeps);
}

static uint64_t wakes_of(const struct mring_mpmc_end *member)
{
    return mring_load_relaxed_u64(&member->counters.wakes);
}

/* Give those that wait a record, or the room of one. */
static void give(struct mring_mpmc_end *member)
{
    uint64_t value;

    if (member->end == MRING_WRITE_END)
        cr_assert_eq(push(member, 7), 0);
    else
        cr_assert_eq(pop(member, &value), 0);
}

/* ---- threads that wait ----------------------------------------------------------------------- */

enum call { POP, CLAIM, PUSH, RESERVE };

static const enum call calls[] = { POP, CLAIM, PUSH, RESERVE };

static const char *const names[] = { "pop_wait", "claim_wait", "push_wait", "reserve_wait" };

static enum mring_end end_of(enum call call)
{
    return call == POP || call == CLAIM ? MRING_READ_END : MRING_WRITE_END;
}

/* A thread that waits once. */
struct sleeper {
    struct mring_mpmc_end end;
    enum call call;
    size_t size; /* of the record, or the room */
    int64_t timeout_ns;

    int err;
    uint64_t value;
    int64_t elapsed;
    mring_atomic_u32 tid, done;
    pthread_t thread;
};

static int pop_wait(struct sleeper *sleeper)
{
    size_t size = 0;

    return mring_mpmc_pop_wait(&sleeper->end, &sleeper->value, sleeper->size, &size,
                               sleeper->timeout_ns);
}

static int claim_wait(struct sleeper *sleeper)
{
    struct mring_claim claim;
    size_t count;
    int err = mring_mpmc_claim_wait(&sleeper->end, &claim, 1, &count, sleeper->timeout_ns);

    if (err == 0) {
        sleeper->value = value_of(&sleeper->end, claim);
        release(&sleeper->end, &claim);
    }
    return err == 0 && count != 1 ? 99 : err;
}

static int reserve_wait(struct sleeper *sleeper)
{
    void *room;
    int err = mring_mpmc_reserve_wait(&sleeper->end, sleeper->size, &room, sleeper->timeout_ns);

    if (err == 0) {
        memset(room, 7, sleeper->size);
        commit(&sleeper->end, sleeper->size);
    }
    return err;
}

static int call_wait(struct sleeper *sleeper)
{
    static const uint64_t bytes[8] = { 7 };

    switch (sleeper->call) {
    case POP:
        return pop_wait(sleeper);
    case CLAIM:
        return claim_wait(sleeper);
    case PUSH:
        return mring_mpmc_push_wait(&sleeper->end, bytes, sleeper->size, sleeper->timeout_ns);
    case RESERVE:
        return reserve_wait(sleeper);
    }
    return 99;
}

static void prepare_sleeper(struct sleeper *sleeper, struct mring_mpmc *ring, enum call call,
                            int64_t timeout_ns)
{
    *sleeper = (struct sleeper){ .call = call, .size = 8, .timeout_ns = timeout_ns, .err = 99 };
    join(ring, &sleeper->end, end_of(call));
}

/* By the calling thread. */
static int wait_here(struct mring_mpmc *ring, enum call call, int64_t timeout_ns)
{
    struct sleeper sleeper;

    prepare_sleeper(&sleeper, ring, call, timeout_ns);
    int err = call_wait(&sleeper);
    mring_mpmc_leave(&sleeper.end);
    return err;
}

static void *wait_in_thread(void *context)
{
    struct sleeper *sleeper = context;
    int64_t before = mring_os_now();

    mring_store_release_u32(&sleeper->tid, (uint32_t)syscall(SYS_gettid));
    sleeper->err = call_wait(sleeper);
    sleeper->elapsed = mring_os_now() - before;
    mring_store_release_u32(&sleeper->done, 1);
    return NULL;
}

/* Wait until a thread sleeps, for at least the time that is told. */
static void await_sleep(const struct sleeper *sleeper, uint64_t sleeps)
{
    while (sleeps_of(&sleeper->end) < sleeps ||
           !support_is_asleep(mring_load_acquire_u32(&sleeper->tid)))
        usleep(200);
}

static void run_sleeper(struct sleeper *sleeper)
{
    cr_assert_eq(pthread_create(&sleeper->thread, NULL, wait_in_thread, sleeper), 0);
    await_sleep(sleeper, 1);
}

static void start_sleeper(struct sleeper *sleeper, struct mring_mpmc *ring, enum call call)
{
    prepare_sleeper(sleeper, ring, call, TOO_LONG);
    run_sleeper(sleeper);
}

static void start_sleepers(struct sleeper *sleepers, unsigned count, struct mring_mpmc *ring,
                           enum call call)
{
    for (unsigned i = 0; i < count; i++)
        start_sleeper(&sleepers[i], ring, call);
}

static bool is_done(const struct sleeper *sleeper)
{
    return mring_load_acquire_u32(&sleeper->done) != 0;
}

static unsigned count_done(const struct sleeper *sleepers, unsigned count)
{
    unsigned done = 0;

    for (unsigned i = 0; i < count; i++)
        done += is_done(&sleepers[i]);
    return done;
}

static uint64_t sum_of_sleeps(const struct sleeper *sleepers, unsigned count)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < count; i++)
        sum += sleeps_of(&sleepers[i].end);
    return sum;
}

static void await_done(const struct sleeper *sleepers, unsigned count, unsigned done)
{
    int64_t end = mring_os_now() + LATE;

    while (count_done(sleepers, count) < done && mring_os_now() < end)
        usleep(200);
}

/* Wait for the end of its wait, which has to have been woken for it. */
static void expect_woken(struct sleeper *sleeper, int err, const char *where, unsigned mode)
{
    pthread_join(sleeper->thread, NULL);
    cr_expect_eq(sleeper->err, err, "%s, mode %#x: %s", where, mode, mring_errname(sleeper->err));
    cr_expect_lt(sleeper->elapsed, LATE, "%s, mode %#x: nobody woke it", where, mode);
    mring_mpmc_leave(&sleeper->end);
}

static void expect_all_woken(struct sleeper *sleepers, unsigned count, int err, const char *where,
                             unsigned mode)
{
    for (unsigned i = 0; i < count; i++)
        expect_woken(&sleepers[i], err, where, mode);
}

/* ---- one that waits -------------------------------------------------------------------------- */

TestSuite(mring_mpmc_wait, .init = support_begin, .fini = support_end);

Test(mring_mpmc_wait, returns_at_once_when_there_is_something, .timeout = 10)
{
    static const int64_t timeouts[] = { 0, 1, 1000000, INT64_MAX, -1, INT64_MIN };

    for (size_t i = 0; i < LENGTH(modes) * LENGTH(calls) * LENGTH(timeouts); i++) {
        unsigned mode = modes[i % LENGTH(modes)];
        enum call call = calls[i / LENGTH(modes) % LENGTH(calls)];
        struct mring_mpmc ring;
        struct mring_mpmc_end member;
        struct sleeper sleeper;
        new_ring_to_wait_in(&ring, mode, end_of(call));
        join(&ring, &member, other_than(end_of(call)));
        give(&member);
        prepare_sleeper(&sleeper, &ring, call, timeouts[i / LENGTH(modes) / LENGTH(calls)]);

        int err = call_wait(&sleeper);

        cr_expect_eq(err, 0, "%s, mode %#x: %s", names[call], mode, mring_errname(err));
        cr_expect_eq(sleeps_of(&sleeper.end), 0, "%s, mode %#x", names[call], mode);
        cr_expect_eq(arms_of(&ring, end_of(call)), 0, "%s, mode %#x", names[call], mode);
        if (end_of(call) == MRING_READ_END)
            cr_expect_eq(sleeper.value, 7, "%s, mode %#x", names[call], mode);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_wait, only_looks_with_a_timeout_of_zero, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes) * LENGTH(calls); i++) {
        unsigned mode = modes[i / LENGTH(calls)];
        enum call call = calls[i % LENGTH(calls)];
        struct mring_mpmc ring;
        struct sleeper sleeper;
        new_ring_to_wait_in(&ring, mode, end_of(call));
        prepare_sleeper(&sleeper, &ring, call, 0);

        int err = call_wait(&sleeper);

        cr_expect_eq(err, MRING_TIMED_OUT, "%s, mode %#x: %s", names[call], mode,
                     mring_errname(err));
        cr_expect_eq(sleeps_of(&sleeper.end), 0, "%s, mode %#x", names[call], mode);
        cr_expect_eq(arms_of(&ring, end_of(call)), 0, "%s, mode %#x", names[call], mode);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_wait, keeps_its_timeout_and_sleeps_for_it, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(modes) * LENGTH(calls); i++) {
        unsigned mode = modes[i / LENGTH(calls)];
        enum call call = calls[i % LENGTH(calls)];
        struct mring_mpmc ring;
        struct sleeper sleeper;
        new_ring_to_wait_in(&ring, mode, end_of(call));
        prepare_sleeper(&sleeper, &ring, call, 20 * MILLISECOND);

        int64_t before = mring_os_now();
        int err = call_wait(&sleeper);
        int64_t elapsed = mring_os_now() - before;

        cr_expect_eq(err, MRING_TIMED_OUT, "%s, mode %#x: %s", names[call], mode,
                     mring_errname(err));
        cr_expect_geq(elapsed, 20 * MILLISECOND, "%s, mode %#x", names[call], mode);
        cr_expect_lt(elapsed, LATE, "%s, mode %#x", names[call], mode);
        cr_expect_geq(sleeps_of(&sleeper.end), 1, "%s, mode %#x", names[call], mode);
        cr_expect_eq(mring_load_relaxed_u64(&sleeper.end.counters.misses), 0, "not counted");
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_wait, spins_where_nobody_sleeps, .timeout = 20)
{
    for (size_t i = 0; i < LENGTH(calls); i++) {
        struct mring_mpmc ring;
        struct sleeper sleeper;
        new_ring_to_wait_in(&ring, MRING_NOWAIT, end_of(calls[i]));
        prepare_sleeper(&sleeper, &ring, calls[i], 5 * MILLISECOND);
        int64_t before = mring_os_now();

        cr_expect_eq(call_wait(&sleeper), MRING_TIMED_OUT, "%s", names[i]);

        cr_expect_geq(mring_os_now() - before, 5 * MILLISECOND, "%s", names[i]);
        cr_expect_eq(sleeps_of(&sleeper.end), 0, "%s", names[i]);
        cr_expect_eq(arms_of(&ring, end_of(calls[i])), 0, "%s: announces nothing", names[i]);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_wait, sees_what_comes_while_it_spins, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(calls); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end member;
        struct sleeper sleeper;
        new_ring_to_wait_in(&ring, MRING_NOWAIT, end_of(calls[i]));
        join(&ring, &member, other_than(end_of(calls[i])));
        prepare_sleeper(&sleeper, &ring, calls[i], -1);
        cr_assert_eq(pthread_create(&sleeper.thread, NULL, wait_in_thread, &sleeper), 0);
        usleep(2000);

        give(&member);

        expect_woken(&sleeper, 0, names[i], MRING_NOWAIT);
        cr_expect_eq(sleeps_of(&sleeper.end), 0, "%s", names[i]);
        cr_expect_eq(wakes_of(&member), 0, "%s", names[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* As tuned, longer than the test takes. */
Test(mring_mpmc_wait, looks_for_a_while_before_it_sleeps, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(calls); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end member;
        struct sleeper sleeper;
        new_ring_to_wait_in(&ring, 0, end_of(calls[i]));
        join(&ring, &member, other_than(end_of(calls[i])));
        prepare_sleeper(&sleeper, &ring, calls[i], -1);
        cr_assert_eq(
            mring_mpmc_tune(&sleeper.end, &(struct mring_tuning){ .spin_ns = 60 * SECOND }), 0);
        cr_assert_eq(pthread_create(&sleeper.thread, NULL, wait_in_thread, &sleeper), 0);
        usleep(2000);

        give(&member);

        expect_woken(&sleeper, 0, names[i], 0);
        cr_expect_eq(sleeps_of(&sleeper.end), 0, "%s", names[i]);
        cr_expect_eq(wakes_of(&member), 0, "%s", names[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* ---- what wakes ------------------------------------------------------------------------------ */

Test(mring_mpmc_wait, is_woken_by_what_it_waits_for, .timeout = 60)
{
    static const int64_t timeouts[] = { -1, 20000000000, INT64_MAX };

    for (size_t i = 0; i < LENGTH(modes) * LENGTH(calls); i++) {
        unsigned mode = modes[i / LENGTH(calls)];
        enum call call = calls[i % LENGTH(calls)];
        struct mring_mpmc ring;
        struct mring_mpmc_end member;
        struct sleeper sleeper;
        new_ring_to_wait_in(&ring, mode, end_of(call));
        join(&ring, &member, other_than(end_of(call)));
        prepare_sleeper(&sleeper, &ring, call, timeouts[i % LENGTH(timeouts)]);
        run_sleeper(&sleeper);

        give(&member);

        expect_woken(&sleeper, 0, names[call], mode);
        cr_expect_eq(sleeps_of(&sleeper.end), 1, "%s, mode %#x", names[call], mode);
        cr_expect_eq(wakes_of(&member), 1, "%s, mode %#x", names[call], mode);
        if (end_of(call) == MRING_READ_END)
            cr_expect_eq(sleeper.value, 7, "%s, mode %#x", names[call], mode);
        mring_mpmc_destroy(&ring);
    }
}

static void give_by_push(struct mring_mpmc_end *producer)
{
    cr_assert_eq(push(producer, 7), 0);
}

static void give_by_push_n(struct mring_mpmc_end *producer)
{
    cr_assert_eq(push_many(producer, &(uint64_t){ 7 }, 1), 1);
}

static void give_by_commit(struct mring_mpmc_end *producer)
{
    uint64_t *room = reserve(producer, sizeof *room);

    cr_assert_not_null(room);
    *room = 7;
    commit(producer, sizeof *room);
}

static void give_by_a_shorter_commit(struct mring_mpmc_end *producer)
{
    uint64_t *room = reserve(producer, 300);

    cr_assert_not_null(room);
    *room = 7;
    commit(producer, sizeof *room);
}

static void give_by_reserve_wait(struct mring_mpmc_end *producer)
{
    void *room;

    cr_assert_eq(mring_mpmc_reserve_wait(producer, sizeof(uint64_t), &room, 0), 0);
    *(uint64_t *)room = 7;
    commit(producer, sizeof(uint64_t));
}

static void give_by_push_wait(struct mring_mpmc_end *producer)
{
    cr_assert_eq(mring_mpmc_push_wait(producer, &(uint64_t){ 7 }, sizeof(uint64_t), 0), 0);
}

Test(mring_mpmc_pop_wait, is_woken_by_every_way_to_write, .timeout = 60)
{
    static void (*const ways[])(struct mring_mpmc_end *) = {
        give_by_push,         give_by_push_n,    give_by_commit, give_by_a_shorter_commit,
        give_by_reserve_wait, give_by_push_wait,
    };

    for (size_t i = 0; i < LENGTH(modes) * LENGTH(ways); i++) {
        unsigned mode = modes[i / LENGTH(ways)];
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        struct sleeper sleeper;
        new_records(&ring, mode);
        join(&ring, &out, MRING_WRITE_END);
        start_sleeper(&sleeper, &ring, POP);

        ways[i % LENGTH(ways)](&out);

        expect_woken(&sleeper, 0, "way", (unsigned)(i % LENGTH(ways)) << 16 | mode);
        cr_expect_eq(sleeper.value, 7, "way %zu, mode %#x", i % LENGTH(ways), mode);
        cr_expect_eq(wakes_of(&out), 1, "way %zu, mode %#x", i % LENGTH(ways), mode);
        mring_mpmc_destroy(&ring);
    }
}

static void take_by_pop(struct mring_mpmc_end *consumer)
{
    uint64_t value;

    cr_assert_eq(pop(consumer, &value), 0);
}

static void take_by_pop_into_larger(struct mring_mpmc_end *consumer)
{
    uint64_t value;

    cr_assert_eq(pop_into_larger(consumer, &value), 0);
}

static void take_by_pop_n(struct mring_mpmc_end *consumer)
{
    uint64_t values[3];

    cr_assert_eq(pop_many(consumer, values, 3), 3);
}

static void take_by_claim(struct mring_mpmc_end *consumer)
{
    struct mring_claim claim;

    cr_assert_eq(mring_mpmc_claim(consumer, &claim, 3), 3);
    release(consumer, &claim);
}

static void take_by_pop_wait(struct mring_mpmc_end *consumer)
{
    uint64_t value;
    size_t size;

    cr_assert_eq(mring_mpmc_pop_wait(consumer, &value, sizeof value, &size, 0), 0);
}

static void take_by_claim_wait(struct mring_mpmc_end *consumer)
{
    struct mring_claim claim;

    cr_assert_eq(mring_mpmc_claim_wait(consumer, &claim, 1, NULL, 0), 0);
    release(consumer, &claim);
}

static void (*const ways_to_read[])(struct mring_mpmc_end *) = {
    take_by_pop,   take_by_pop_into_larger, take_by_pop_n,
    take_by_claim, take_by_pop_wait,        take_by_claim_wait,
};

Test(mring_mpmc_push_wait, is_woken_by_every_way_to_read, .timeout = 60)
{
    for (size_t i = 0; i < LENGTH(modes) * LENGTH(ways_to_read); i++) {
        unsigned mode = modes[i / LENGTH(ways_to_read)];
        struct mring_mpmc ring;
        struct mring_mpmc_end in;
        struct sleeper sleeper;
        new_ring_to_wait_in(&ring, mode, MRING_WRITE_END);
        join(&ring, &in, MRING_READ_END);
        start_sleeper(&sleeper, &ring, PUSH);

        ways_to_read[i % LENGTH(ways_to_read)](&in);

        expect_woken(&sleeper, 0, "way", (unsigned)(i % LENGTH(ways_to_read)) << 16 | mode);
        cr_expect_eq(wakes_of(&in), 1, "way %zu, mode %#x", i % LENGTH(ways_to_read), mode);
        mring_mpmc_destroy(&ring);
    }
}

/* The claim itself gives nothing; with several consumers room comes back in order. */
Test(mring_mpmc_reserve_wait, is_woken_by_the_release_and_not_by_the_claim, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end in;
        struct mring_claim first, second;
        struct sleeper sleeper;
        new_ring_to_wait_in(&ring, modes[i], MRING_WRITE_END);
        join(&ring, &in, MRING_READ_END);
        start_sleeper(&sleeper, &ring, RESERVE);

        cr_assert_eq(mring_mpmc_claim(&in, &first, 1), 1);
        cr_assert_eq(mring_mpmc_claim(&in, &second, 1), 1);
        cr_expect_eq(wakes_of(&in), 0, "mode %#x", modes[i]);
        release(&in, &second);
        cr_expect_not(is_done(&sleeper), "mode %#x", modes[i]);
        release(&in, &first);

        expect_woken(&sleeper, 0, "release", modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* What it waits for may be much: each release is a reason to look. */
Test(mring_mpmc_push_wait, goes_on_to_sleep_until_there_is_room_enough, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end in;
        struct sleeper sleeper;
        new_records(&ring, modes[i]);
        unsigned count = fill(&ring);
        uint64_t value;
        join(&ring, &in, MRING_READ_END);
        prepare_sleeper(&sleeper, &ring, RESERVE, TOO_LONG);
        sleeper.size = mring_mpmc_record_max(&ring);
        run_sleeper(&sleeper);

        for (unsigned j = 0; j + 1 < count; j++)
            cr_assert_eq(pop(&in, &value), 0);
        cr_expect_not(is_done(&sleeper), "mode %#x", modes[i]);
        cr_assert_eq(pop(&in, &value), 0);

        expect_woken(&sleeper, 0, "all of it", modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* ---- closing --------------------------------------------------------------------------------- */

Test(mring_mpmc_close, wakes_who_sleeps_at_either_end, .timeout = 60)
{
    static const enum mring_end closed_ends[] = { MRING_WRITE_END, MRING_READ_END };

    for (size_t i = 0; i < LENGTH(modes) * LENGTH(calls) * LENGTH(closed_ends); i++) {
        unsigned mode = modes[i / LENGTH(calls) / LENGTH(closed_ends)];
        enum call call = calls[i / LENGTH(closed_ends) % LENGTH(calls)];
        enum mring_end closed = closed_ends[i % LENGTH(closed_ends)];
        struct mring_mpmc ring;
        struct sleeper sleeper;
        new_ring_to_wait_in(&ring, mode, end_of(call));
        start_sleeper(&sleeper, &ring, call);

        mring_mpmc_close(&ring, closed, 0);

        expect_woken(&sleeper, end_of(call) == MRING_READ_END ? MRING_EOF : MRING_CLOSED,
                     names[call], mode);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_close, wakes_all_that_sleep, .timeout = 30)
{
    enum { SLEEPERS = 4 };

    for (size_t i = 0; i < LENGTH(modes) * LENGTH(calls); i++) {
        unsigned mode = modes[i / LENGTH(calls)];
        enum call call = calls[i % LENGTH(calls)];
        struct mring_mpmc ring;
        struct sleeper sleepers[SLEEPERS];
        if (!has_several(mode, end_of(call)))
            continue;
        new_ring_to_wait_in(&ring, mode, end_of(call));
        start_sleepers(sleepers, SLEEPERS, &ring, call);

        mring_mpmc_close(&ring, end_of(call), 0);

        expect_all_woken(sleepers, SLEEPERS,
                         end_of(call) == MRING_READ_END ? MRING_EOF : MRING_CLOSED, names[call],
                         mode);
        mring_mpmc_destroy(&ring);
    }
}

/* Where there may be several at both ends. */
static const unsigned several_modes[] = { 0, MRING_SKIP_STALLED };

/* A reservation of the whole ring: nothing to read, and no room. What was reserved before the close
   still comes. */
Test(mring_mpmc_close, wakes_both_ends_and_leaves_the_readers_waiting_for_what_was_reserved,
     .timeout = 60)
{
    for (size_t i = 0; i < LENGTH(several_modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        struct sleeper consumer, producer;
        new_records(&ring, several_modes[i]);
        join(&ring, &out, MRING_WRITE_END);
        size_t most = mring_mpmc_record_max(&ring);
        cr_assert_not_null(reserve(&out, most));
        start_sleeper(&consumer, &ring, CLAIM);
        start_sleeper(&producer, &ring, PUSH);

        mring_mpmc_close(&ring, MRING_READ_END, 0);

        expect_woken(&producer, MRING_CLOSED, "producer", several_modes[i]);
        await_sleep(&consumer, 2);
        commit(&out, most);
        expect_woken(&consumer, 0, "consumer", several_modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* One gets the record that was reserved before, and all others the end. */
Test(mring_mpmc_close, is_told_to_all_that_sleep_when_the_last_record_comes_after_it, .timeout = 60)
{
    enum { CONSUMERS = 3 };

    for (size_t i = 0; i < LENGTH(several_modes) * 2; i++) {
        unsigned mode = several_modes[i / 2];
        bool aborts = i % 2;
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        struct sleeper consumers[CONSUMERS];
        unsigned ended = 0;
        new_records(&ring, mode);
        join(&ring, &out, MRING_WRITE_END);
        cr_assert_not_null(reserve(&out, 8));
        mring_mpmc_close(&ring, MRING_WRITE_END, 0);
        for (int j = 0; j < CONSUMERS; j++) {
            prepare_sleeper(&consumers[j], &ring, CLAIM, LATE + 2 * SECOND);
            run_sleeper(&consumers[j]);
        }

        if (aborts)
            mring_mpmc_abort(&out);
        else
            commit(&out, 8);

        for (int j = 0; j < CONSUMERS; j++) {
            pthread_join(consumers[j].thread, NULL);
            cr_expect_lt(consumers[j].elapsed, LATE, "mode %#x, aborts %d: nobody woke it", mode,
                         aborts);
            ended += consumers[j].err == MRING_EOF;
        }
        cr_expect_eq(ended, CONSUMERS - !aborts, "mode %#x, aborts %d", mode, aborts);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_close, drains_what_is_there_before_a_wait_ends, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        new_records(&ring, modes[i]);
        join(&ring, &out, MRING_WRITE_END);
        cr_assert_eq(push(&out, 1), 0);
        cr_assert_eq(push(&out, 2), 0);

        mring_mpmc_close(&ring, MRING_WRITE_END, 3);

        cr_expect_eq(wait_here(&ring, POP, -1), 0, "mode %#x", modes[i]);
        cr_expect_eq(wait_here(&ring, CLAIM, -1), 0, "mode %#x", modes[i]);
        cr_expect_eq(wait_here(&ring, POP, -1), MRING_EOF, "mode %#x", modes[i]);
        cr_expect_eq(wait_here(&ring, CLAIM, 0), MRING_EOF, "mode %#x", modes[i]);
        mring_mpmc_leave(&out);
        cr_expect_eq(wait_here(&ring, PUSH, -1), MRING_CLOSED, "mode %#x", modes[i]);
        cr_expect_eq(wait_here(&ring, RESERVE, 0), MRING_CLOSED, "mode %#x", modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* ---- answers and out parameters -------------------------------------------------------------- */

Test(mring_mpmc_claim_wait, writes_its_results_on_success_only, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out, in;
        struct mring_claim claim, before;
        size_t count = 12345;
        memset(&claim, 0xa5, sizeof claim);
        memset(&before, 0xa5, sizeof before);
        new_records(&ring, modes[i]);
        join(&ring, &out, MRING_WRITE_END);
        join(&ring, &in, MRING_READ_END);

        cr_expect_eq(mring_mpmc_claim_wait(&in, &claim, 5, &count, 0), MRING_TIMED_OUT);
        cr_expect_eq(mring_mpmc_claim_wait(&in, &claim, 5, &count, 1000), MRING_TIMED_OUT);
        cr_expect(memcmp(&claim, &before, sizeof claim) == 0 && count == 12345, "mode %#x",
                  modes[i]);
        cr_assert_eq(push_many(&out, (uint64_t[]){ 1, 2, 3 }, 3), 3);
        cr_expect_eq(mring_mpmc_claim_wait(&in, &claim, 2, &count, 0), 0, "mode %#x", modes[i]);
        cr_expect_eq(count, 2, "mode %#x", modes[i]);
        release(&in, &claim);
        cr_expect_eq(mring_mpmc_claim_wait(&in, &claim, 2, NULL, 0), 0, "mode %#x", modes[i]);
        cr_expect_eq(value_of(&in, claim), 3, "mode %#x", modes[i]);
        release(&in, &claim);
        mring_mpmc_close(&ring, MRING_WRITE_END, 0);
        claim = before;
        count = 12345;
        cr_expect_eq(mring_mpmc_claim_wait(&in, &claim, 5, &count, -1), MRING_EOF);
        cr_expect(memcmp(&claim, &before, sizeof claim) == 0 && count == 12345, "mode %#x",
                  modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_reserve_wait, writes_the_room_on_success_only, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        char mark;
        void *room = &mark;
        new_ring_to_wait_in(&ring, modes[i], MRING_WRITE_END);
        join(&ring, &out, MRING_WRITE_END);
        size_t most = mring_mpmc_record_max(&ring);

        cr_expect_eq(mring_mpmc_reserve_wait(&out, 8, &room, 0), MRING_TIMED_OUT);
        cr_expect_eq(mring_mpmc_reserve_wait(&out, 8, &room, 1000), MRING_TIMED_OUT);
        cr_expect_eq(mring_mpmc_reserve_wait(&out, most + 1, &room, -1), MRING_TOO_LARGE);
        cr_expect_eq(mring_mpmc_reserve_wait(&out, SIZE_MAX, &room, -1), MRING_TOO_LARGE);
        mring_mpmc_close(&ring, MRING_READ_END, 0);
        cr_expect_eq(mring_mpmc_reserve_wait(&out, 8, &room, -1), MRING_CLOSED);
        cr_expect_eq(mring_mpmc_reserve_wait(&out, most + 1, &room, -1), MRING_TOO_LARGE);

        cr_expect_eq(room, &mark, "mode %#x", modes[i]);
        cr_expect_eq(mring_mpmc_push_wait(&out, "", most + 1, -1), MRING_TOO_LARGE);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_reserve_wait, gives_what_commit_and_abort_take, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out, in;
        void *room;
        uint64_t value = 0;
        new_records(&ring, modes[i]);
        join(&ring, &out, MRING_WRITE_END);
        join(&ring, &in, MRING_READ_END);

        cr_assert_eq(mring_mpmc_reserve_wait(&out, 200, &room, -1), 0);
        memset(room, 1, 200);
        mring_mpmc_abort(&out);
        cr_assert_eq(mring_mpmc_reserve_wait(&out, 200, &room, -1), 0);
        memcpy(room, &(uint64_t){ 9 }, sizeof value);
        commit(&out, sizeof value);
        cr_assert_eq(mring_mpmc_push_wait(&out, NULL, 0, -1), 0);

        cr_expect_eq(pop(&in, &value), 0, "mode %#x", modes[i]);
        cr_expect_eq(value, 9, "mode %#x", modes[i]);
        size_t size = 99;
        cr_expect_eq(mring_mpmc_pop_wait(&in, NULL, 0, &size, -1), 0, "mode %#x", modes[i]);
        cr_expect_eq(size, 0, "mode %#x", modes[i]);
        cr_expect_eq(pop(&in, &value), MRING_EMPTY, "mode %#x", modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_pop_wait, tells_the_size_of_what_is_too_large_and_leaves_it, .timeout = 20)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out, in;
        uint64_t values[3] = { 1, 2, 3 }, found[3] = { 0 };
        size_t size = 12345;
        new_records(&ring, modes[i]);
        join(&ring, &out, MRING_WRITE_END);
        join(&ring, &in, MRING_READ_END);

        cr_expect_eq(mring_mpmc_pop_wait(&in, found, sizeof found, &size, 0), MRING_TIMED_OUT);
        cr_expect_eq(size, 12345, "mode %#x", modes[i]);
        cr_assert_eq(mring_mpmc_push(&out, values, sizeof values), 0);
        cr_expect_eq(mring_mpmc_pop_wait(&in, found, 8, &size, -1), MRING_TOO_LARGE);
        cr_expect_eq(size, sizeof values, "mode %#x", modes[i]);
        cr_expect_eq(found[0], 0, "mode %#x", modes[i]);
        size = 0;
        cr_expect_eq(mring_mpmc_pop_wait(&in, found, sizeof found - 1, &size, 0), MRING_TOO_LARGE);
        cr_expect_eq(size, sizeof values, "mode %#x", modes[i]);

        cr_expect_eq(mring_mpmc_pop_wait(&in, found, sizeof found, &size, -1), 0);
        cr_expect_eq(size, sizeof values, "mode %#x", modes[i]);
        cr_expect_arr_eq(found, values, sizeof values, "mode %#x", modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_pop_wait, is_woken_to_say_that_a_record_is_too_large, .timeout = 20)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        struct sleeper sleeper;
        new_records(&ring, modes[i]);
        join(&ring, &out, MRING_WRITE_END);
        prepare_sleeper(&sleeper, &ring, POP, TOO_LONG);
        sleeper.size = 7;
        run_sleeper(&sleeper);

        cr_assert_eq(push(&out, 7), 0);

        expect_woken(&sleeper, MRING_TOO_LARGE, "room for 7", modes[i]);
        cr_expect_eq(wait_here(&ring, POP, 0), 0, "mode %#x: it is still there", modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_reserve_wait, does_not_believe_impossible_positions, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        char mark;
        void *room = &mark;
        if (modes[i] & (MRING_SINGLE_PRODUCER | MRING_SKIP_STALLED))
            continue;
        new_records(&ring, modes[i]);
        join(&ring, &out, MRING_WRITE_END);
        mring_store_relaxed_u64(&ring.layout.write_side->pos, 4 * smallest());

        cr_expect_eq(mring_mpmc_reserve_wait(&out, 8, &room, -1), MRING_CORRUPT, "mode %#x",
                     modes[i]);
        cr_expect_eq(mring_mpmc_push_wait(&out, "", 0, 0), MRING_CORRUPT, "mode %#x", modes[i]);
        cr_expect_eq(room, &mark, "mode %#x", modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* The whole ring, twice over, by others. */
static struct mring_mpmc *moment_ring;

static void let_two_laps_pass(void)
{
    struct mring_mpmc_end in;
    uint64_t value;

    join(moment_ring, &in, MRING_READ_END);
    for (int lap = 0; lap < 3; lap++) {
        while (pop(&in, &value) == 0)
            continue;
        fill(moment_ring);
    }
    mring_mpmc_leave(&in);
}

/* It has seen what is free, and not yet what is reserved. */
Test(mring_mpmc_reserve_wait, is_not_deceived_by_what_has_passed_between_two_looks, .timeout = 10)
{
    static const unsigned several[] = { 0, MRING_FENCE, MRING_SKIP_STALLED };

    for (size_t i = 0; i < LENGTH(several); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        void *room;
        new_ring_to_wait_in(&ring, several[i], MRING_WRITE_END);
        join(&ring, &out, MRING_WRITE_END);
        moment_ring = &ring;
        after_look = let_two_laps_pass;

        int err = mring_mpmc_reserve_wait(&out, 8, &room, 0);

        cr_expect_eq(err, MRING_TIMED_OUT, "mode %#x: %s", several[i], mring_errname(err));
        cr_expect_null(after_look, "mode %#x", several[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* In a process of its own, which the alarm ends. */
static const char *reserve_at_impossible_positions(void *context)
{
    unsigned mode = *(unsigned *)context;
    struct mring_mpmc ring;
    struct mring_mpmc_end out;
    EXPECT(mring_mpmc_create(&ring,
                             &(struct mring_args){ .capacity = smallest(), .flags = mode }) == 0);
    EXPECT(mring_mpmc_join(&ring, &out, MRING_WRITE_END) == 0);
    mring_store_relaxed_u64(&ring.layout.write_side->pos, 8 * smallest());

    alarm(5);
    EXPECT(reserve(&out, 8) == NULL);
    EXPECT(push(&out, 1) != 0);
    EXPECT(mring_mpmc_push_wait(&out, "", 0, 0) != 0);
    return NULL;
}

Test(mring_mpmc_reserve, does_not_go_on_for_ever_at_impossible_positions, .timeout = 30)
{
    static unsigned several[] = { 0, MRING_SINGLE_CONSUMER, MRING_SKIP_STALLED };

    for (size_t i = 0; i < LENGTH(several); i++) {
        const char *failure = support_child(reserve_at_impossible_positions, &several[i]);
        cr_expect_null(failure, "mode %#x: %s", several[i], failure != NULL ? failure : "");
    }
}

/* ---- moments of a wait ----------------------------------------------------------------------- */

static struct mring_mpmc_end *moment_member; /* NULL: close */

static void act_in_a_moment(void)
{
    if (moment_member != NULL)
        give(moment_member);
    else
        mring_mpmc_close(moment_ring, MRING_READ_END, 0);
}

/* Wait for ever, when something happens in that moment. */
static void expect_to_see_what_happens(void (**moment)(void), bool closes, unsigned mode,
                                       enum call call, uint64_t sleeps)
{
    struct mring_mpmc ring;
    struct mring_mpmc_end member;
    struct sleeper sleeper;
    int done = end_of(call) == MRING_READ_END ? MRING_EOF : MRING_CLOSED;
    new_ring_to_wait_in(&ring, mode, end_of(call));
    join(&ring, &member, other_than(end_of(call)));
    prepare_sleeper(&sleeper, &ring, call, TOO_LONG);
    moment_ring = &ring;
    moment_member = closes ? NULL : &member;
    *moment = act_in_a_moment;

    int64_t before = mring_os_now();
    int err = call_wait(&sleeper);

    cr_expect_lt(mring_os_now() - before, LATE, "%s, mode %#x", names[call], mode);
    cr_expect_eq(err, closes ? done : 0, "%s, mode %#x: %s", names[call], mode, mring_errname(err));
    cr_expect_eq(sleeps_of(&sleeper.end), sleeps, "%s, mode %#x", names[call], mode);
    cr_expect_eq(mring_load_acquire_u32(&event_of(&ring, end_of(call))->ack), 1,
                 "the other side has seen the announcement");
    mring_mpmc_destroy(&ring);
}

Test(mring_mpmc_wait, does_not_sleep_when_the_second_look_finds_something, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(modes) * LENGTH(calls) * 2; i++)
        expect_to_see_what_happens(&after_announcement, i % 2, modes[i / 2 / LENGTH(calls)],
                                   calls[i / 2 % LENGTH(calls)], 0);
}

Test(mring_mpmc_wait, hears_what_happens_after_the_second_look, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(modes) * LENGTH(calls) * 2; i++)
        expect_to_see_what_happens(&before_sleep, i % 2, modes[i / 2 / LENGTH(calls)],
                                   calls[i / 2 % LENGTH(calls)], 1);
}

Test(mring_mpmc_wait, goes_on_when_it_is_woken_for_nothing, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(calls); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end member;
        struct sleeper sleeper;
        new_ring_to_wait_in(&ring, 0, end_of(calls[i]));
        join(&ring, &member, other_than(end_of(calls[i])));
        start_sleeper(&sleeper, &ring, calls[i]);

        for (uint64_t sleeps = 2; sleeps < 5; sleeps++) {
            mring_os_wake(event_of(&ring, end_of(calls[i])), 1);
            await_sleep(&sleeper, sleeps);
        }
        cr_expect_not(is_done(&sleeper), "%s", names[i]);
        give(&member);

        expect_woken(&sleeper, 0, names[i], 0);
        mring_mpmc_destroy(&ring);
    }
}

/* ---- several that wait ----------------------------------------------------------------------- */

enum { SLEEPERS = 4 };

/* Whether the values 0 .. SLEEPERS - 1 have come out, each once. */
static bool have_all_values(const struct sleeper *sleepers)
{
    unsigned seen = 0;

    for (int i = 0; i < SLEEPERS; i++)
        if (sleepers[i].value < SLEEPERS)
            seen |= 1u << sleepers[i].value;
    return seen == (1u << SLEEPERS) - 1;
}

Test(mring_mpmc_wait, of_several_consumers_ends_for_each_record, .timeout = 60)
{
    static const enum call reading_calls[] = { POP, CLAIM };
    static const uint64_t values[SLEEPERS] = { 0, 1, 2, 3 };

    for (size_t i = 0; i < LENGTH(modes) * LENGTH(reading_calls) * 2; i++) {
        unsigned mode = modes[i / 2 / LENGTH(reading_calls)];
        bool at_once = i % 2;
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        struct sleeper sleepers[SLEEPERS];
        if (!has_several(mode, MRING_READ_END))
            continue;
        new_records(&ring, mode);
        join(&ring, &out, MRING_WRITE_END);
        start_sleepers(sleepers, SLEEPERS, &ring, reading_calls[i / 2 % LENGTH(reading_calls)]);

        if (at_once)
            cr_assert_eq(push_many(&out, values, SLEEPERS), SLEEPERS);
        for (int j = 0; j < SLEEPERS && !at_once; j++)
            cr_assert_eq(push(&out, values[j]), 0);

        expect_all_woken(sleepers, SLEEPERS, 0, at_once ? "push_n" : "push", mode);
        cr_expect(have_all_values(sleepers), "mode %#x", mode);
        cr_expect_leq(wakes_of(&out), SLEEPERS, "mode %#x", mode);
        mring_mpmc_destroy(&ring);
    }
}

/* Who is not meant sleeps through it. */
Test(mring_mpmc_wait, of_several_consumers_ends_for_no_more_than_there_are_records, .timeout = 60)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        struct sleeper sleepers[SLEEPERS];
        if (!has_several(modes[i], MRING_READ_END))
            continue;
        new_records(&ring, modes[i]);
        join(&ring, &out, MRING_WRITE_END);
        start_sleepers(sleepers, SLEEPERS, &ring, POP);

        for (unsigned done = 1; done < SLEEPERS; done++) {
            cr_assert_eq(push(&out, done), 0);
            await_done(sleepers, SLEEPERS, done);
            usleep(5000);
            cr_expect_eq(count_done(sleepers, SLEEPERS), done, "mode %#x", modes[i]);
            cr_expect_eq(sum_of_sleeps(sleepers, SLEEPERS), SLEEPERS, "mode %#x", modes[i]);
        }
        give_by_commit(&out);

        expect_all_woken(sleepers, SLEEPERS, 0, "one by one", modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* Each that takes one of them may wake one more for the others, which are somebody's already. */
Test(mring_mpmc_wait, of_several_consumers_is_disturbed_once_per_record_at_most, .timeout = 60)
{
    enum { RECORDS = 2 };
    static const uint64_t values[RECORDS] = { 0, 1 };

    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        struct sleeper sleepers[SLEEPERS];
        if (!has_several(modes[i], MRING_READ_END))
            continue;
        new_records(&ring, modes[i]);
        join(&ring, &out, MRING_WRITE_END);
        start_sleepers(sleepers, SLEEPERS, &ring, POP);

        cr_assert_eq(push_many(&out, values, RECORDS), RECORDS);

        await_done(sleepers, SLEEPERS, RECORDS);
        usleep(5000);
        cr_expect_eq(count_done(sleepers, SLEEPERS), RECORDS, "mode %#x", modes[i]);
        cr_expect_leq(sum_of_sleeps(sleepers, SLEEPERS), SLEEPERS + RECORDS, "mode %#x", modes[i]);
        mring_mpmc_close(&ring, MRING_WRITE_END, 0);
        for (int j = 0; j < SLEEPERS; j++)
            pthread_join(sleepers[j].thread, NULL);
        mring_mpmc_destroy(&ring);
    }
}

/* An abort is for one consumer, too, that gives back the room. */
Test(mring_mpmc_abort, wakes_no_more_consumers_than_one, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        struct sleeper sleepers[SLEEPERS];
        if (!has_several(modes[i], MRING_READ_END))
            continue;
        new_records(&ring, modes[i]);
        join(&ring, &out, MRING_WRITE_END);
        start_sleepers(sleepers, SLEEPERS, &ring, POP);
        cr_assert_not_null(reserve(&out, 100));

        mring_mpmc_abort(&out);

        usleep(20000);
        cr_expect_eq(count_done(sleepers, SLEEPERS), 0, "mode %#x", modes[i]);
        cr_expect_leq(sum_of_sleeps(sleepers, SLEEPERS), SLEEPERS + 1, "mode %#x", modes[i]);
        mring_mpmc_close(&ring, MRING_WRITE_END, 0);
        expect_all_woken(sleepers, SLEEPERS, MRING_EOF, "close", modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* ---- records behind one that is not committed ------------------------------------------------ */

/* One is woken for each record behind, finds the one in front, and sleeps again. */
static void sleep_behind(struct sleeper *sleepers, unsigned count, struct mring_mpmc *ring,
                         struct mring_mpmc_end *front, struct mring_mpmc_end *behind)
{
    uint64_t sleeps = count;

    uint64_t *room = reserve(front, sizeof *room);
    cr_assert_not_null(room);
    *room = 0;
    start_sleepers(sleepers, count, ring, POP);
    for (uint64_t value = 1; value < count; value++) {
        cr_assert_eq(push(behind, value), 0);
        sleeps++;
        while (sum_of_sleeps(sleepers, count) < sleeps)
            usleep(200);
        for (unsigned i = 0; i < count; i++)
            while (!support_is_asleep(mring_load_acquire_u32(&sleepers[i].tid)))
                usleep(200);
    }
}

static void expect_all_behind(unsigned mode, unsigned count)
{
    struct mring_mpmc ring;
    struct mring_mpmc_end front, behind;
    struct sleeper sleepers[SLEEPERS];
    uint64_t sum = 0;
    new_records(&ring, mode);
    join(&ring, &front, MRING_WRITE_END);
    join(&ring, &behind, MRING_WRITE_END);
    sleep_behind(sleepers, count, &ring, &front, &behind);
    cr_expect_eq(count_done(sleepers, count), 0, "mode %#x", mode);

    commit(&front, sizeof(uint64_t));

    expect_all_woken(sleepers, count, 0, "behind", mode);
    for (unsigned i = 0; i < count; i++)
        sum += sleepers[i].value;
    cr_expect_eq(sum, count * (count - 1) / 2, "mode %#x", mode);
    mring_mpmc_destroy(&ring);
}

Test(mring_mpmc_wait, of_several_ends_when_what_their_records_were_behind_is_committed,
     .timeout = 30)
{
    expect_all_behind(0, 2);
    expect_all_behind(0, SLEEPERS);
    expect_all_behind(MRING_FENCE, 2);
    expect_all_behind(MRING_FENCE, SLEEPERS);
}

Test(mring_mpmc_wait, of_several_ends_when_what_their_records_were_behind_is_aborted, .timeout = 30)
{
    static const unsigned several[] = { 0, MRING_FENCE };

    for (size_t i = 0; i < LENGTH(several); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end front, behind;
        struct sleeper sleepers[SLEEPERS];
        new_records(&ring, several[i]);
        join(&ring, &front, MRING_WRITE_END);
        join(&ring, &behind, MRING_WRITE_END);
        sleep_behind(sleepers, SLEEPERS, &ring, &front, &behind);

        mring_mpmc_abort(&front);

        await_done(sleepers, SLEEPERS, SLEEPERS - 1);
        cr_expect_eq(count_done(sleepers, SLEEPERS), SLEEPERS - 1, "mode %#x", several[i]);
        mring_mpmc_close(&ring, MRING_WRITE_END, 0);
        for (int j = 0; j < SLEEPERS; j++)
            pthread_join(sleepers[j].thread, NULL);
        mring_mpmc_destroy(&ring);
    }
}

/* Where there is one consumer, too: it is woken, and sleeps again. */
Test(mring_mpmc_pop_wait, waits_for_the_commit_of_what_is_in_front, .timeout = 30)
{
    static const unsigned several[] = { 0, MRING_FENCE, MRING_SINGLE_CONSUMER,
                                        MRING_SINGLE_CONSUMER | MRING_FENCE };

    for (size_t i = 0; i < LENGTH(several) * 2; i++) {
        unsigned mode = several[i / 2];
        bool aborts = i % 2;
        struct mring_mpmc ring;
        struct mring_mpmc_end front, behind;
        struct sleeper sleeper;
        new_records(&ring, mode);
        join(&ring, &front, MRING_WRITE_END);
        join(&ring, &behind, MRING_WRITE_END);
        uint64_t *room = reserve(&front, sizeof *room);
        cr_assert_not_null(room);
        *room = 5;
        start_sleeper(&sleeper, &ring, POP);
        cr_assert_eq(push(&behind, 6), 0);
        await_sleep(&sleeper, 2);

        if (aborts)
            mring_mpmc_abort(&front);
        else
            commit(&front, sizeof *room);

        expect_woken(&sleeper, 0, aborts ? "abort" : "commit", mode);
        cr_expect_eq(sleeper.value, aborts ? 6 : 5, "mode %#x", mode);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_pop_wait, does_not_wait_for_what_is_stalled_when_that_is_skipped, .timeout = 30)
{
    static const unsigned skipping[] = { MRING_SKIP_STALLED, MRING_SKIP_STALLED | MRING_FENCE };

    for (size_t i = 0; i < LENGTH(skipping); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end front, behind;
        struct sleeper sleepers[2];
        new_records(&ring, skipping[i]);
        join(&ring, &front, MRING_WRITE_END);
        join(&ring, &behind, MRING_WRITE_END);
        uint64_t *room = reserve(&front, sizeof *room);
        cr_assert_not_null(room);
        *room = 5;
        start_sleepers(sleepers, 2, &ring, POP);

        cr_assert_eq(push(&behind, 6), 0);
        await_done(sleepers, 2, 1);
        cr_expect_eq(count_done(sleepers, 2), 1);
        commit(&front, sizeof *room);

        expect_all_woken(sleepers, 2, 0, "commit", skipping[i]);
        cr_expect_eq(sleepers[0].value + sleepers[1].value, 11);
        mring_mpmc_destroy(&ring);
    }
}

/* The room of what is skipped comes back with the abort, which is no consumer's matter. */
Test(mring_mpmc_abort, wakes_producers_where_what_is_stalled_is_skipped, .timeout = 30)
{
    static const unsigned skipping[] = { MRING_SKIP_STALLED, MRING_SKIP_STALLED | MRING_FENCE };

    for (size_t i = 0; i < LENGTH(skipping); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end front, in;
        struct sleeper sleepers[SLEEPERS];
        uint64_t value;
        new_records(&ring, skipping[i]);
        join(&ring, &front, MRING_WRITE_END);
        join(&ring, &in, MRING_READ_END);
        cr_assert_not_null(reserve(&front, 8));
        fill(&ring);
        while (pop(&in, &value) == 0)
            continue;
        start_sleepers(sleepers, SLEEPERS, &ring, PUSH);

        mring_mpmc_abort(&front);

        expect_all_woken(sleepers, SLEEPERS, 0, "abort", skipping[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* ---- passing on ------------------------------------------------------------------------------ */

/* A producer that wakes nobody: as if those that it woke had found one in front that was not
   committed. */
static void join_silently(struct mring_mpmc *ring, struct mring_mpmc_end *producer)
{
    join(ring, producer, MRING_WRITE_END);
    producer->layout.fencing = MRING_FENCING_NONE;
}

Test(mring_mpmc_pass_on, wakes_a_sleeper_for_what_every_way_to_read_leaves, .timeout = 60)
{
    for (size_t i = 0; i < LENGTH(modes) * LENGTH(ways_to_read); i++) {
        unsigned mode = modes[i / LENGTH(ways_to_read)];
        struct mring_mpmc ring;
        struct mring_mpmc_end out, in;
        struct sleeper sleeper;
        if (!has_several(mode, MRING_READ_END))
            continue;
        new_records(&ring, mode);
        join_silently(&ring, &out);
        join(&ring, &in, MRING_READ_END);
        start_sleeper(&sleeper, &ring, POP);
        for (uint64_t value = 0; value < 4; value++)
            cr_assert_eq(push(&out, value), 0);

        ways_to_read[i % LENGTH(ways_to_read)](&in);

        expect_woken(&sleeper, 0, "way", (unsigned)(i % LENGTH(ways_to_read)) << 16 | mode);
        cr_expect_geq(wakes_of(&in), 1, "way %zu, mode %#x", i % LENGTH(ways_to_read), mode);
        mring_mpmc_destroy(&ring);
    }
}

/* A discarded record is something, too: its room is somebody's. */
Test(mring_mpmc_pass_on, wakes_a_sleeper_for_what_is_nobodys, .timeout = 30)
{
    struct mring_mpmc ring;
    struct mring_mpmc_end out, in;
    struct sleeper sleeper;
    uint64_t value;
    new_records(&ring, 0);
    join_silently(&ring, &out);
    join(&ring, &in, MRING_READ_END);
    start_sleeper(&sleeper, &ring, POP);
    cr_assert_eq(push(&out, 1), 0);
    cr_assert_not_null(reserve(&out, 8));
    mring_mpmc_abort(&out);
    cr_assert_eq(push(&out, 2), 0);

    cr_assert_eq(pop(&in, &value), 0);

    expect_woken(&sleeper, 0, "abort", 0);
    cr_expect_eq(sleeper.value, 2);
    mring_mpmc_destroy(&ring);
}

Test(mring_mpmc_pass_on, wakes_nobody_when_nothing_is_left, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out, in;
        struct sleeper sleeper;
        uint64_t value;
        if (!has_several(modes[i], MRING_READ_END))
            continue;
        new_records(&ring, modes[i]);
        join_silently(&ring, &out);
        join(&ring, &in, MRING_READ_END);
        start_sleeper(&sleeper, &ring, POP);
        cr_assert_eq(push(&out, 1), 0);

        cr_assert_eq(pop(&in, &value), 0);

        cr_expect_eq(wakes_of(&in), 0, "mode %#x", modes[i]);
        cr_expect_eq(sleeps_of(&sleeper.end), 1, "mode %#x", modes[i]);
        mring_mpmc_close(&ring, MRING_WRITE_END, 0);
        expect_woken(&sleeper, MRING_EOF, "close", modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* One for what is left, whoever else sleeps. */
Test(mring_mpmc_pass_on, wakes_one, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(several_modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out, in;
        struct sleeper sleepers[SLEEPERS];
        uint64_t value;
        new_records(&ring, several_modes[i]);
        join_silently(&ring, &out);
        join(&ring, &in, MRING_READ_END);
        start_sleepers(sleepers, SLEEPERS, &ring, POP);
        cr_assert_eq(push(&out, 1), 0);
        cr_assert_eq(push(&out, 2), 0);

        cr_assert_eq(pop(&in, &value), 0);

        await_done(sleepers, SLEEPERS, 1);
        usleep(5000);
        cr_expect_eq(count_done(sleepers, SLEEPERS), 1, "mode %#x", several_modes[i]);
        cr_expect_eq(sum_of_sleeps(sleepers, SLEEPERS), SLEEPERS, "mode %#x", several_modes[i]);
        mring_mpmc_close(&ring, MRING_WRITE_END, 0);
        for (int j = 0; j < SLEEPERS; j++)
            pthread_join(sleepers[j].thread, NULL);
        mring_mpmc_destroy(&ring);
    }
}

/* The producer woke one. If that one can't take the record, it is another one's. */
Test(mring_mpmc_pass_on, goes_on_to_who_has_room_for_a_record_that_is_too_large, .timeout = 60)
{
    for (size_t i = 0; i < LENGTH(several_modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        struct sleeper small, large;
        new_records(&ring, several_modes[i]);
        join(&ring, &out, MRING_WRITE_END);
        prepare_sleeper(&small, &ring, POP, TOO_LONG);
        small.size = 4;
        run_sleeper(&small);
        prepare_sleeper(&large, &ring, POP, LATE + 2 * SECOND);
        run_sleeper(&large);

        cr_assert_eq(push(&out, 7), 0);

        expect_woken(&small, MRING_TOO_LARGE, "4 bytes of room", several_modes[i]);
        expect_woken(&large, 0, "8 bytes of room", several_modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* ---- several producers, and room ------------------------------------------------------------- */

Test(mring_mpmc_release, wakes_all_producers_that_it_has_room_for, .timeout = 60)
{
    static const enum call writing_calls[] = { PUSH, RESERVE };

    for (size_t i = 0; i < LENGTH(modes) * LENGTH(writing_calls); i++) {
        unsigned mode = modes[i / LENGTH(writing_calls)];
        struct mring_mpmc ring;
        struct mring_mpmc_end in;
        struct mring_claim claim;
        struct sleeper sleepers[SLEEPERS];
        if (!has_several(mode, MRING_WRITE_END))
            continue;
        new_records(&ring, mode);
        fill_at_once(&ring);
        join(&ring, &in, MRING_READ_END);
        cr_assert_eq(mring_mpmc_claim(&in, &claim, 1), 1);
        start_sleepers(sleepers, SLEEPERS, &ring, writing_calls[i % LENGTH(writing_calls)]);

        release(&in, &claim);

        expect_all_woken(sleepers, SLEEPERS, 0, "release", mode);
        cr_expect_eq(wakes_of(&in), 1, "mode %#x", mode);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_pop, wakes_all_producers_that_it_has_room_for, .timeout = 30)
{
    static unsigned char buffer[1 << 20];

    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end in;
        struct sleeper sleepers[SLEEPERS];
        size_t size;
        if (!has_several(modes[i], MRING_WRITE_END))
            continue;
        new_records(&ring, modes[i]);
        fill_at_once(&ring);
        join(&ring, &in, MRING_READ_END);
        start_sleepers(sleepers, SLEEPERS, &ring, PUSH);

        cr_assert_eq(mring_mpmc_pop(&in, buffer, sizeof buffer, &size), 0);

        expect_all_woken(sleepers, SLEEPERS, 0, "pop", modes[i]);
        cr_expect_eq(wakes_of(&in), 1, "mode %#x", modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

/* What a single consumer holds back, it may not keep while it waits, arms, leaves or is tuned. */
static void wait_with_batch(struct mring_mpmc_end *in)
{
    uint64_t value;
    size_t size;

    cr_expect_eq(mring_mpmc_pop_wait(in, &value, sizeof value, &size, 0), 0);
}

static void arm_with_batch(struct mring_mpmc_end *in)
{
    cr_expect_eq(mring_mpmc_arm(in, 0), 0);
}

static void tune_with_batch(struct mring_mpmc_end *in)
{
    cr_expect_eq(mring_mpmc_tune(in, &(struct mring_tuning){ .spin_ns = -1 }), 0);
}

static void find_nothing_with_batch(struct mring_mpmc_end *in)
{
    uint64_t value;

    while (pop(in, &value) == 0)
        continue;
}

static void claim_nothing_with_batch(struct mring_mpmc_end *in)
{
    struct mring_claim claim;

    while (mring_mpmc_claim(in, &claim, 5) > 0)
        release(in, &claim);
}

Test(mring_mpmc_tune, has_what_a_single_consumer_holds_back_published_in_time, .timeout = 60)
{
    static void (*const ways[])(struct mring_mpmc_end *) = {
        wait_with_batch,
        arm_with_batch,
        tune_with_batch,
        mring_mpmc_leave,
    };
    static const unsigned singles[] = { MRING_SINGLE_CONSUMER, SINGLES,
                                        MRING_SINGLE_CONSUMER | MRING_FENCE };

    for (size_t i = 0; i < LENGTH(singles) * LENGTH(ways); i++) {
        unsigned mode = singles[i / LENGTH(ways)];
        struct mring_mpmc ring;
        struct mring_mpmc_end in;
        struct mring_claim claim;
        struct sleeper sleeper;
        uint64_t value;
        int fd = new_eventfd(0);
        new_ring_to_wait_in(&ring, mode, MRING_WRITE_END);
        cr_assert_eq(mring_mpmc_set_eventfd(&ring, MRING_READ_END, fd), 0);
        join(&ring, &in, MRING_READ_END);
        cr_assert_eq(mring_mpmc_tune(
                         &in, &(struct mring_tuning){ .batch_bytes = smallest(), .hold_ns = -1 }),
                     0);
        start_sleeper(&sleeper, &ring, PUSH);
        cr_assert_eq(pop(&in, &value), 0);
        cr_assert_eq(mring_mpmc_claim(&in, &claim, 1), 1);
        release(&in, &claim);
        cr_expect_eq(wakes_of(&in), 0, "way %zu: it is held back", i % LENGTH(ways));

        ways[i % LENGTH(ways)](&in);

        expect_woken(&sleeper, 0, "way", (unsigned)(i % LENGTH(ways)) << 16 | mode);
        mring_mpmc_destroy(&ring);
        close(fd);
    }
}

/* For more than a batch may ever be: the producer waits for the whole ring. */
Test(mring_mpmc_tune, has_what_is_held_back_published_when_there_is_nothing_to_read, .timeout = 30)
{
    static void (*const ways[])(struct mring_mpmc_end *) = { find_nothing_with_batch,
                                                             claim_nothing_with_batch };

    for (size_t i = 0; i < LENGTH(ways); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end in, out;
        struct sleeper sleeper;
        new_records(&ring, MRING_SINGLE_CONSUMER);
        join(&ring, &out, MRING_WRITE_END);
        join(&ring, &in, MRING_READ_END);
        cr_assert_eq(mring_mpmc_tune(&in, &(struct mring_tuning){ .batch_bytes = smallest() }), 0);
        cr_assert_eq(push_many(&out, (uint64_t[]){ 1, 2, 3 }, 3), 3);
        prepare_sleeper(&sleeper, &ring, RESERVE, TOO_LONG);
        sleeper.size = mring_mpmc_record_max(&ring);
        run_sleeper(&sleeper);

        ways[i](&in);

        expect_woken(&sleeper, 0, "way", (unsigned)i);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_tune, has_a_batch_wake_when_it_is_full, .timeout = 30)
{
    struct mring_mpmc ring;
    struct mring_mpmc_end in;
    struct sleeper sleeper;
    uint64_t value;
    new_ring_to_wait_in(&ring, MRING_SINGLE_CONSUMER, MRING_WRITE_END);
    size_t bytes = mring_mpmc_record_bytes(&ring, sizeof value);
    join(&ring, &in, MRING_READ_END);
    cr_assert_eq(mring_mpmc_tune(&in, &(struct mring_tuning){ .batch_bytes = 3 * bytes }), 0);
    start_sleeper(&sleeper, &ring, PUSH);

    cr_assert_eq(pop(&in, &value), 0);
    cr_assert_eq(pop(&in, &value), 0);
    cr_expect_eq(wakes_of(&in), 0);
    cr_assert_eq(pop(&in, &value), 0);

    cr_expect_eq(wakes_of(&in), 1);
    expect_woken(&sleeper, 0, "batch", MRING_SINGLE_CONSUMER);
    mring_mpmc_destroy(&ring);
}

/* ---- nobody waits ---------------------------------------------------------------------------- */

Test(mring_mpmc_wait, costs_no_system_call_when_nobody_sleeps, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out, in;
        struct mring_claim claim;
        uint64_t values[4] = { 0 };
        new_records(&ring, modes[i]);
        join(&ring, &out, MRING_WRITE_END);
        join(&ring, &in, MRING_READ_END);

        for (int j = 0; j < 1000; j++) {
            cr_assert_eq(push(&out, 1), 0);
            cr_assert_eq(push_many(&out, values, 2), 2);
            give_by_a_shorter_commit(&out);
            cr_assert_not_null(reserve(&out, 8));
            mring_mpmc_abort(&out);
            cr_assert_eq(mring_mpmc_push_wait(&out, values, 8, -1), 0);
            cr_assert_eq(pop(&in, values), 0);
            cr_assert_eq(pop_many(&in, values, 2), 2);
            cr_assert_eq(mring_mpmc_claim(&in, &claim, 1), 1);
            release(&in, &claim);
            cr_assert_eq(mring_mpmc_claim_wait(&in, &claim, 4, NULL, -1), 0);
            release(&in, &claim);
            cr_assert_eq(pop(&in, values), MRING_EMPTY);
        }
        mring_mpmc_close(&ring, MRING_WRITE_END, 0);

        cr_expect_eq(wakes_of(&out), 0, "mode %#x", modes[i]);
        cr_expect_eq(wakes_of(&in), 0, "mode %#x", modes[i]);
        cr_expect_eq(mring_load_acquire_u32(&event_of(&ring, MRING_READ_END)->epoch), 0);
        cr_expect_eq(mring_load_acquire_u32(&event_of(&ring, MRING_WRITE_END)->epoch), 0);
        mring_mpmc_destroy(&ring);
    }
}

Test(mring_mpmc_wait, that_was_in_vain_costs_the_other_end_one_wake, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes) * LENGTH(calls); i++) {
        unsigned mode = modes[i / LENGTH(calls)];
        enum call call = calls[i % LENGTH(calls)];
        struct mring_mpmc ring;
        struct mring_mpmc_end member;
        new_ring_to_wait_in(&ring, mode, end_of(call));
        join(&ring, &member, other_than(end_of(call)));
        /* Long enough for it to go to sleep first, on a machine with much to do. */
        cr_assert_eq(wait_here(&ring, call, 20 * MILLISECOND), MRING_TIMED_OUT);

        for (int j = 0; j < 5; j++)
            give(&member);

        cr_expect_eq(wakes_of(&member), 1, "%s, mode %#x", names[call], mode);
        mring_mpmc_destroy(&ring);
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Numbers 1 .. each, from every producer; the consumers add them up. */
struct exchange {
    struct mring_mpmc_end end;
    uint64_t each, count, sum;
    int err;
    pthread_t thread;
};

static void *send_in_thread(void *context)
{
    struct exchange *exchange = context;

    for (uint64_t value = 1; value <= exchange->each && exchange->err == 0; value++)
        exchange->err = mring_mpmc_push_wait(&exchange->end, &value, sizeof value, -1);
    return NULL;
}

static void *receive_in_thread(void *context)
{
    struct exchange *exchange = context;
    struct mring_claim claim;
    uint64_t value;
    size_t size;

    for (;;) {
        exchange->err = mring_mpmc_pop_wait(&exchange->end, &value, sizeof value, &size, TOO_LONG);
        if (exchange->err != 0)
            return NULL;
        exchange->count++;
        exchange->sum += value;
        exchange->err = mring_mpmc_claim_wait(&exchange->end, &claim, 3, NULL, TOO_LONG);
        if (exchange->err != 0)
            return NULL;
        const uint64_t *found;
        while ((found = mring_mpmc_next(&exchange->end, &claim, &size)) != NULL) {
            exchange->count++;
            exchange->sum += *found;
        }
        release(&exchange->end, &claim);
    }
}

static void expect_exchange(unsigned flags, int64_t spin_ns, uint64_t each)
{
    enum { MOST = 3 };
    struct exchange producers[MOST], consumers[MOST];
    int producer_count = flags & MRING_SINGLE_PRODUCER ? 1 : MOST;
    int consumer_count = flags & MRING_SINGLE_CONSUMER ? 1 : MOST;
    struct mring_tuning tuning = { .spin_ns = spin_ns };
    struct mring_mpmc ring;
    uint64_t count = 0, sum = 0;
    new_records(&ring, flags);

    for (int i = 0; i < consumer_count; i++) {
        consumers[i] = (struct exchange){ .each = each };
        join(&ring, &consumers[i].end, MRING_READ_END);
        cr_assert_eq(mring_mpmc_tune(&consumers[i].end, &tuning), 0);
        pthread_create(&consumers[i].thread, NULL, receive_in_thread, &consumers[i]);
    }
    for (int i = 0; i < producer_count; i++) {
        producers[i] = (struct exchange){ .each = each };
        join(&ring, &producers[i].end, MRING_WRITE_END);
        cr_assert_eq(mring_mpmc_tune(&producers[i].end, &tuning), 0);
        pthread_create(&producers[i].thread, NULL, send_in_thread, &producers[i]);
    }
    for (int i = 0; i < producer_count; i++) {
        pthread_join(producers[i].thread, NULL);
        cr_expect_eq(producers[i].err, 0, "flags %#x: %s", flags, mring_errname(producers[i].err));
    }
    mring_mpmc_close(&ring, MRING_WRITE_END, 0);
    for (int i = 0; i < consumer_count; i++) {
        pthread_join(consumers[i].thread, NULL);
        cr_expect_eq(consumers[i].err, MRING_EOF, "flags %#x", flags);
        count += consumers[i].count;
        sum += consumers[i].sum;
    }

    cr_expect_eq(count, each * (uint64_t)producer_count, "flags %#x", flags);
    cr_expect_eq(sum, each * (each + 1) / 2 * (uint64_t)producer_count, "flags %#x", flags);
    mring_mpmc_destroy(&ring);
}

/* A wake-up that is lost is a wait of TOO_LONG, and an error. */
Test(mring_mpmc_wait, delivers_everything_when_everybody_sleeps, .timeout = 60)
{
    for (size_t i = 0; i < LENGTH(modes); i++)
        expect_exchange(modes[i], -1, 1500);
}

Test(mring_mpmc_wait, delivers_everything_when_everybody_looks_before, .timeout = 60)
{
    for (size_t i = 0; i < LENGTH(modes); i++)
        expect_exchange(modes[i], 0, 1500);
}

Test(mring_mpmc_wait, delivers_everything_where_nobody_sleeps, .timeout = 60)
{
    static const unsigned several[] = { 0, SINGLES, MRING_SKIP_STALLED };

    for (size_t i = 0; i < LENGTH(several); i++)
        expect_exchange(several[i] | MRING_NOWAIT, 0, 300);
}

/* ---- set_eventfd ----------------------------------------------------------------------------- */

static const enum mring_end ends[] = { MRING_READ_END, MRING_WRITE_END };

static const char *name_of(enum mring_end end)
{
    return end == MRING_WRITE_END ? "write end" : "read end";
}

/* A ring in which an end has nothing to do, the descriptor of that end, a member of it that arms,
   and one of the other end. */
struct scene {
    struct mring_mpmc ring;
    struct mring_mpmc_end waits, acts;
    int fd;
};

static void new_scene(struct scene *scene, enum mring_end waits, unsigned mode)
{
    new_ring_to_wait_in(&scene->ring, mode, waits);
    join(&scene->ring, &scene->waits, waits);
    join(&scene->ring, &scene->acts, other_than(waits));
    scene->fd = new_eventfd(0);
    cr_assert_eq(mring_mpmc_set_eventfd(&scene->ring, waits, scene->fd), 0);
}

static void end_scene(struct scene *scene)
{
    mring_mpmc_destroy(&scene->ring);
    close(scene->fd);
}

static int arm(struct mring_mpmc_end *member)
{
    return mring_mpmc_arm(member, member->end == MRING_WRITE_END ? 8 : 0);
}

static int armed(enum mring_end waits)
{
    return waits == MRING_WRITE_END ? MRING_FULL : MRING_EMPTY;
}

/* Use up what was given. */
static void use(struct mring_mpmc_end *member)
{
    uint64_t value;

    if (member->end == MRING_WRITE_END)
        while (push(member, 7) == 0)
            continue;
    else
        while (pop(member, &value) == 0)
            continue;
}

TestSuite(mring_mpmc_set_eventfd, .init = support_begin, .fini = support_end);

Test(mring_mpmc_set_eventfd, takes_nothing_but_an_eventfd_that_does_not_block, .timeout = 5)
{
    support_needs_posix("an eventfd that blocks");
    int pipe_fds[2];
    cr_assert_eq(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC), 0);
    int closed = fcntl(pipe_fds[0], F_DUPFD_CLOEXEC, 500); /* high: nothing else gets it */
    cr_assert_geq(closed, 500);
    close(closed);
    const struct {
        int fd, err;
    } rows[] = {
        { eventfd(0, EFD_CLOEXEC), MMAP_INVALID_ARG },
        { pipe_fds[0], MMAP_INVALID_ARG },
        { pipe_fds[1], MMAP_INVALID_ARG },
        { open("/dev/null", O_RDWR | O_NONBLOCK | O_CLOEXEC), MMAP_INVALID_ARG },
        { closed, EBADF },
        { INT_MAX, EBADF },
    };

    for (size_t i = 0; i < LENGTH(rows) * LENGTH(ends); i++) {
        enum mring_end waits = ends[i % 2];
        struct scene scene;
        new_scene(&scene, waits, 0);

        int err = mring_mpmc_set_eventfd(&scene.ring, waits, rows[i / 2].fd);

        cr_expect_eq(err, rows[i / 2].err, "row %zu: %s", i / 2, mring_errname(err));
        cr_expect_eq(arm(&scene.waits), armed(waits), "row %zu", i / 2);
        give(&scene.acts);
        cr_expect_eq(count_of(scene.fd), 1, "row %zu: the one before is still set", i / 2);
        end_scene(&scene);
    }
}

Test(mring_mpmc_set_eventfd, refuses_a_ring_in_which_nobody_waits, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end member;
        int fd = new_eventfd(0);
        new_records(&ring, MRING_NOWAIT);
        join(&ring, &member, ends[i]);

        cr_expect_eq(mring_mpmc_set_eventfd(&ring, ends[i], fd), MMAP_INVALID_ARG);
        cr_expect_eq(mring_mpmc_set_eventfd(&ring, ends[i], -1), MMAP_INVALID_ARG);

        cr_expect_eq(arm(&member), MMAP_INVALID_ARG);
        mring_mpmc_destroy(&ring);
        close(fd);
    }
}

Test(mring_mpmc_set_eventfd, is_for_one_end_and_a_new_ring_has_none, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end member;
        int fd = new_eventfd(0);
        new_records(&ring, 0);
        join(&ring, &member, ends[i]);

        cr_expect_eq(arm(&member), MMAP_INVALID_ARG, "%s", name_of(ends[i]));
        cr_assert_eq(mring_mpmc_set_eventfd(&ring, other_than(ends[i]), fd), 0);

        cr_expect_eq(arm(&member), MMAP_INVALID_ARG, "%s", name_of(ends[i]));
        mring_mpmc_destroy(&ring);
        close(fd);
    }
}

Test(mring_mpmc_set_eventfd, with_a_negative_number_takes_it_away, .timeout = 5)
{
    static const int negatives[] = { -1, -2, INT_MIN };

    for (size_t i = 0; i < LENGTH(ends) * LENGTH(negatives); i++) {
        enum mring_end waits = ends[i % 2];
        struct scene scene;
        new_scene(&scene, waits, 0);
        cr_assert_eq(arm(&scene.waits), armed(waits));

        cr_expect_eq(mring_mpmc_set_eventfd(&scene.ring, waits, negatives[i / 2]), 0);

        give(&scene.acts);
        cr_expect_eq(count_of(scene.fd), 0, "%s, %d", name_of(waits), negatives[i / 2]);
        cr_expect_eq(scene.ring.fds[waits], -1, "%s", name_of(waits));
        cr_expect_eq(arm(&scene.waits), MMAP_INVALID_ARG, "%s", name_of(waits));
        end_scene(&scene);
    }
}

Test(mring_mpmc_set_eventfd, signals_at_once_when_somebody_armed_before, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        int fd = new_eventfd(0);
        new_scene(&scene, ends[i], 0);
        cr_assert_eq(mring_mpmc_set_eventfd(&scene.ring, ends[i], fd), 0);
        cr_expect_eq(count_of(fd), 0, "%s: nobody has armed ever", name_of(ends[i]));
        cr_assert_eq(arm(&scene.waits), armed(ends[i]));

        cr_assert_eq(mring_mpmc_set_eventfd(&scene.ring, ends[i], scene.fd), 0);

        cr_expect_eq(count_of(scene.fd), 1, "%s: something may have been missed", name_of(ends[i]));
        give(&scene.acts);
        cr_expect_eq(count_of(scene.fd), 1, "%s: the arming goes over to it", name_of(ends[i]));
        cr_expect_eq(count_of(fd), 0, "%s", name_of(ends[i]));
        end_scene(&scene);
        close(fd);
    }
}

/* ---- arm ------------------------------------------------------------------------------------- */

TestSuite(mring_mpmc_arm, .init = support_begin, .fini = support_end);

Test(mring_mpmc_arm, tells_something_from_nothing, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes) * LENGTH(ends); i++) {
        unsigned mode = modes[i / 2];
        enum mring_end waits = ends[i % 2];
        struct scene scene;
        new_scene(&scene, waits, mode);

        cr_expect_eq(arm(&scene.waits), armed(waits), "%s, mode %#x", name_of(waits), mode);
        cr_expect_not(is_readable(scene.fd), "%s, mode %#x", name_of(waits), mode);
        give(&scene.acts);
        cr_expect(is_readable(scene.fd), "%s, mode %#x", name_of(waits), mode);
        cr_expect_eq(arm(&scene.waits), 0, "%s, mode %#x", name_of(waits), mode);
        cr_expect(is_readable(scene.fd), "%s, mode %#x: it was not armed", name_of(waits), mode);
        use(&scene.waits);
        cr_expect_eq(arm(&scene.waits), armed(waits), "%s, mode %#x", name_of(waits), mode);
        cr_expect_not(is_readable(scene.fd), "%s, mode %#x: cleared", name_of(waits), mode);
        give(&scene.acts);
        cr_expect_eq(count_of(scene.fd), 1, "%s, mode %#x", name_of(waits), mode);
        cr_expect_eq(wakes_of(&scene.acts), 2, "%s, mode %#x", name_of(waits), mode);
        cr_expect_eq(sleeps_of(&scene.waits), 0, "%s, mode %#x", name_of(waits), mode);
        end_scene(&scene);
    }
}

Test(mring_mpmc_arm, of_a_producer_is_for_a_size, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct scene scene;
        new_scene(&scene, MRING_WRITE_END, modes[i]);
        size_t most = mring_mpmc_record_max(&scene.ring);

        cr_expect_eq(mring_mpmc_arm(&scene.waits, most + 1), MRING_TOO_LARGE, "mode %#x", modes[i]);
        cr_expect_eq(mring_mpmc_arm(&scene.waits, SIZE_MAX), MRING_TOO_LARGE, "mode %#x", modes[i]);
        cr_expect_eq(mring_load_acquire_u32(&poll_event_of(&scene.ring, MRING_WRITE_END)->arm), 0);
        cr_expect_eq(mring_mpmc_arm(&scene.waits, 0), MRING_FULL, "mode %#x", modes[i]);
        give(&scene.acts);
        cr_expect_eq(mring_mpmc_arm(&scene.waits, 8), 0, "mode %#x", modes[i]);
        cr_expect_eq(mring_mpmc_arm(&scene.waits, most), MRING_FULL, "mode %#x", modes[i]);
        use(&scene.acts);
        cr_expect_eq(mring_mpmc_arm(&scene.waits, most), 0, "mode %#x", modes[i]);
        end_scene(&scene);
    }
}

Test(mring_mpmc_arm, of_a_consumer_is_for_a_record_of_any_size, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct scene scene;
        new_scene(&scene, MRING_READ_END, modes[i]);
        cr_assert_eq(arm(&scene.waits), MRING_EMPTY);
        size_t most = mring_mpmc_record_max(&scene.ring);

        cr_assert_not_null(reserve(&scene.acts, most));
        commit(&scene.acts, most);

        cr_expect_eq(count_of(scene.fd), 1, "mode %#x", modes[i]);
        cr_expect_eq(arm(&scene.waits), 0, "mode %#x", modes[i]);
        end_scene(&scene);
    }
}

Test(mring_mpmc_arm, tells_that_the_ring_is_closed, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes) * LENGTH(ends) * LENGTH(ends); i++) {
        unsigned mode = modes[i / 4];
        enum mring_end waits = ends[i / 2 % 2];
        int done = waits == MRING_WRITE_END ? MRING_CLOSED : MRING_EOF;
        struct scene scene;
        new_scene(&scene, waits, mode);
        cr_assert_eq(arm(&scene.waits), armed(waits));

        mring_mpmc_close(&scene.ring, ends[i % 2], 0);

        cr_expect_eq(count_of(scene.fd), 1, "%s, mode %#x", name_of(waits), mode);
        cr_expect_eq(arm(&scene.waits), done, "%s, mode %#x", name_of(waits), mode);
        mring_mpmc_close(&scene.ring, ends[i % 2], 0);
        cr_expect_eq(count_of(scene.fd), 0, "%s, mode %#x: it was not armed", name_of(waits), mode);
        end_scene(&scene);
    }
}

Test(mring_mpmc_arm, has_what_was_reserved_before_the_close_come_before_the_end, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct scene scene;
        if (!has_several(modes[i], MRING_WRITE_END))
            continue;
        new_scene(&scene, MRING_READ_END, modes[i]);
        cr_assert_not_null(reserve(&scene.acts, 8));
        mring_mpmc_close(&scene.ring, MRING_WRITE_END, 0);

        cr_expect_eq(arm(&scene.waits), MRING_EMPTY, "mode %#x", modes[i]);
        mring_mpmc_abort(&scene.acts);

        cr_expect_eq(count_of(scene.fd), 1, "mode %#x", modes[i]);
        use(&scene.waits);
        cr_expect_eq(arm(&scene.waits), MRING_EOF, "mode %#x", modes[i]);
        end_scene(&scene);
    }
}

Test(mring_mpmc_arm, does_not_believe_impossible_positions, .timeout = 5)
{
    struct scene scene;
    new_scene(&scene, MRING_WRITE_END, 0);
    mring_store_relaxed_u64(&scene.ring.layout.write_side->pos, 8 * smallest());

    cr_expect_eq(arm(&scene.waits), MRING_CORRUPT);

    cr_expect_eq(mring_load_acquire_u32(&poll_event_of(&scene.ring, MRING_WRITE_END)->arm), 0);
    end_scene(&scene);
}

Test(mring_mpmc_arm, is_answered_once_however_often_it_is_called, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes) * LENGTH(ends); i++) {
        enum mring_end waits = ends[i % 2];
        struct scene scene;
        new_scene(&scene, waits, modes[i / 2]);
        for (int j = 0; j < 5; j++)
            cr_assert_eq(arm(&scene.waits), armed(waits));

        give(&scene.acts);
        give(&scene.acts);

        cr_expect_eq(count_of(scene.fd), 1, "%s, mode %#x", name_of(waits), modes[i / 2]);
        cr_expect_eq(wakes_of(&scene.acts), 1, "%s, mode %#x", name_of(waits), modes[i / 2]);
        end_scene(&scene);
    }
}

static struct scene *moment_scene;

static void act_in_scene(void)
{
    give(&moment_scene->acts);
}

/* Whatever happens after the clearing stands in the descriptor, or is found by the look. */
Test(mring_mpmc_arm, answers_what_the_second_look_finds, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes) * LENGTH(ends); i++) {
        enum mring_end waits = ends[i % 2];
        struct scene scene;
        new_scene(&scene, waits, modes[i / 2]);
        moment_scene = &scene;
        after_announcement = act_in_scene;

        int err = arm(&scene.waits);

        cr_expect_eq(err, 0, "%s, mode %#x: %s", name_of(waits), modes[i / 2], mring_errname(err));
        cr_expect(is_readable(scene.fd), "%s, mode %#x", name_of(waits), modes[i / 2]);
        end_scene(&scene);
    }
}

Test(mring_mpmc_arm, publishes_what_a_single_consumer_holds_back, .timeout = 10)
{
    struct scene scene;
    uint64_t value;
    int fd = new_eventfd(0);
    new_scene(&scene, MRING_WRITE_END, MRING_SINGLE_CONSUMER);
    cr_assert_eq(mring_mpmc_set_eventfd(&scene.ring, MRING_READ_END, fd), 0);
    cr_assert_eq(mring_mpmc_tune(&scene.acts, &(struct mring_tuning){ .batch_bytes = smallest() }),
                 0);
    cr_assert_eq(pop(&scene.acts, &value), 0);
    cr_assert_eq(arm(&scene.waits), MRING_FULL, "it is held back");

    cr_expect_eq(mring_mpmc_arm(&scene.acts, 0), 0);

    cr_expect_eq(count_of(scene.fd), 1);
    cr_expect_eq(arm(&scene.waits), 0);
    end_scene(&scene);
    close(fd);
}

/* ---- several at one descriptor --------------------------------------------------------------- */

/* A thread in a poll loop, of one of several members at an end. */
struct poller {
    struct mring_mpmc_end end;
    int fd, err;
    uint64_t count, sum, each;
    pthread_t thread;
};

/* Go on until there is nothing to do, and arm. */
static void *poll_in_thread(void *context)
{
    struct poller *poller = context;
    bool writes = poller->end.end == MRING_WRITE_END;

    for (;;) {
        uint64_t value = poller->count + 1;
        if (writes && poller->count == poller->each)
            return NULL;
        while ((poller->err = writes ? push(&poller->end, value) : pop(&poller->end, &value)) ==
               0) {
            poller->count++;
            poller->sum += value;
            value = poller->count + 1;
            if (writes && poller->count == poller->each)
                return NULL;
        }
        poller->err = arm(&poller->end);
        if (poller->err == armed(poller->end.end)) {
            struct pollfd poll_fd = { .fd = poller->fd, .events = POLLIN };
            if (poll(&poll_fd, 1, 20000) != 1) {
                poller->err = MRING_TIMED_OUT;
                return NULL;
            }
        } else if (poller->err != 0) {
            return NULL;
        }
    }
}

static void start_poller(struct poller *poller, struct mring_mpmc *ring, enum mring_end end, int fd,
                         uint64_t each)
{
    *poller = (struct poller){ .fd = fd, .each = each };
    join(ring, &poller->end, end);
    cr_assert_eq(pthread_create(&poller->thread, NULL, poll_in_thread, poller), 0);
}

/* Producers and consumers that poll, and some that sleep. */
static void expect_pollers_to_lose_nothing(unsigned mode, uint64_t each)
{
    enum { POLLERS = 2 };
    bool many_producers = has_several(mode, MRING_WRITE_END);
    bool many_consumers = has_several(mode, MRING_READ_END);
    int producers = many_producers ? POLLERS : 1, consumers = many_consumers ? POLLERS : 1;
    struct mring_mpmc ring;
    struct poller producing[POLLERS], consuming[POLLERS];
    struct exchange sender = { .each = each }, receiver = { .each = each };
    int fds[] = { new_eventfd(0), new_eventfd(0) };
    uint64_t sum = 0;
    new_records(&ring, mode);
    cr_assert_eq(mring_mpmc_set_eventfd(&ring, MRING_WRITE_END, fds[MRING_WRITE_END]), 0);
    cr_assert_eq(mring_mpmc_set_eventfd(&ring, MRING_READ_END, fds[MRING_READ_END]), 0);

    if (many_consumers) {
        join(&ring, &receiver.end, MRING_READ_END);
        pthread_create(&receiver.thread, NULL, receive_in_thread, &receiver);
    }
    for (int i = 0; i < consumers; i++)
        start_poller(&consuming[i], &ring, MRING_READ_END, fds[MRING_READ_END], 0);
    for (int i = 0; i < producers; i++)
        start_poller(&producing[i], &ring, MRING_WRITE_END, fds[MRING_WRITE_END], each);
    if (many_producers) {
        join(&ring, &sender.end, MRING_WRITE_END);
        pthread_create(&sender.thread, NULL, send_in_thread, &sender);
        pthread_join(sender.thread, NULL);
        cr_expect_eq(sender.err, 0, "mode %#x: %s", mode, mring_errname(sender.err));
    }
    for (int i = 0; i < producers; i++) {
        pthread_join(producing[i].thread, NULL);
        cr_expect_eq(producing[i].err, 0, "mode %#x: %s", mode, mring_errname(producing[i].err));
    }
    mring_mpmc_close(&ring, MRING_WRITE_END, 0);
    for (int i = 0; i < consumers; i++) {
        pthread_join(consuming[i].thread, NULL);
        cr_expect_eq(consuming[i].err, MRING_EOF, "mode %#x: %s", mode,
                     mring_errname(consuming[i].err));
        sum += consuming[i].sum;
    }
    if (many_consumers) {
        pthread_join(receiver.thread, NULL);
        cr_expect_eq(receiver.err, MRING_EOF, "mode %#x: %s", mode, mring_errname(receiver.err));
        sum += receiver.sum;
    }

    uint64_t senders = (uint64_t)producers + many_producers;
    cr_expect_eq(sum, senders * each * (each + 1) / 2, "mode %#x", mode);
    mring_mpmc_destroy(&ring);
    close(fds[0]);
    close(fds[1]);
}

Test(mring_mpmc_arm, loses_nothing_where_several_poll_and_others_sleep, .timeout = 60)
{
    for (size_t i = 0; i < LENGTH(modes); i++)
        expect_pollers_to_lose_nothing(modes[i], 1500);
}

Test(mring_mpmc_arm, is_heard_by_all_who_share_the_descriptor, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct scene scene;
        struct mring_mpmc_end other;
        new_scene(&scene, ends[i], 0);
        join(&scene.ring, &other, ends[i]);
        cr_assert_eq(arm(&scene.waits), armed(ends[i]));
        cr_assert_eq(arm(&other), armed(ends[i]));

        give(&scene.acts);

        cr_expect(is_readable(scene.fd));
        use(&scene.waits);
        cr_expect(is_readable(scene.fd), "%s: until somebody arms", name_of(ends[i]));
        cr_expect_eq(arm(&other), armed(ends[i]));
        give(&scene.acts);
        cr_expect(is_readable(scene.fd), "%s: the arming of one is for all", name_of(ends[i]));
        end_scene(&scene);
    }
}

static void close_in_scene(void)
{
    mring_mpmc_close(&moment_scene->ring, MRING_WRITE_END, 0);
}

/* Who arms clears what was signalled for all; if he finds what it was for, he does not wait. */
Test(mring_mpmc_arm, leaves_the_signal_to_the_others_when_it_finds_something, .timeout = 10)
{
    static void (*const acts[])(void) = { act_in_scene, close_in_scene };

    for (size_t i = 0; i < LENGTH(acts) * LENGTH(ends); i++) {
        enum mring_end waits = ends[i % 2];
        struct scene scene;
        struct mring_mpmc_end other;
        new_scene(&scene, waits, 0);
        join(&scene.ring, &other, waits);
        cr_assert_eq(arm(&other), armed(waits));
        moment_scene = &scene;
        before_clearing = acts[i / 2];

        int err = arm(&scene.waits);

        cr_expect_neq(err, armed(waits), "%s, act %zu", name_of(waits), i / 2);
        cr_expect(is_readable(scene.fd), "%s, act %zu", name_of(waits), i / 2);
        end_scene(&scene);
    }
}

/* Records enough for both: the sleeper is woken and the descriptor signalled. */
Test(mring_mpmc_arm, and_a_sleeper_at_one_end_are_both_heard, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(modes) * LENGTH(ends); i++) {
        unsigned mode = modes[i / 2];
        enum mring_end waits = ends[i % 2];
        struct scene scene;
        struct sleeper sleeper;
        if (!has_several(mode, waits))
            continue;
        new_scene(&scene, waits, mode);
        cr_assert_eq(arm(&scene.waits), armed(waits));
        start_sleeper(&sleeper, &scene.ring, waits == MRING_WRITE_END ? PUSH : POP);

        give(&scene.acts);
        expect_woken(&sleeper, 0, name_of(waits), mode);
        give(&scene.acts);

        cr_expect(is_readable(scene.fd), "%s, mode %#x", name_of(waits), mode);
        end_scene(&scene);
    }
}

/* More records at once than sleepers. */
Test(mring_mpmc_arm, is_heard_when_there_are_more_records_than_sleepers, .timeout = 30)
{
    static const uint64_t values[] = { 1, 2 };
    struct scene scene;
    struct sleeper sleeper;
    new_scene(&scene, MRING_READ_END, 0);
    cr_assert_eq(arm(&scene.waits), MRING_EMPTY);
    start_sleeper(&sleeper, &scene.ring, POP);

    cr_assert_eq(push_many(&scene.acts, values, 2), 2);

    cr_expect(is_readable(scene.fd));
    expect_woken(&sleeper, 0, "sleeper", 0);
    cr_expect_eq(arm(&scene.waits), 0);
    end_scene(&scene);
}

Test(mring_mpmc_arm, is_not_heard_for_a_record_that_a_sleeper_gets, .timeout = 30)
{
    struct scene scene;
    struct sleeper sleeper;
    new_scene(&scene, MRING_READ_END, 0);
    cr_assert_eq(arm(&scene.waits), MRING_EMPTY);
    start_sleeper(&sleeper, &scene.ring, POP);

    give(&scene.acts);

    expect_woken(&sleeper, 0, "sleeper", 0);
    cr_expect_not(is_readable(scene.fd));
    cr_expect_eq(arm(&scene.waits), MRING_EMPTY);
    end_scene(&scene);
}

/* The sleeper was woken for the record behind, and the commit wakes it again. */
Test(mring_mpmc_pass_on, signals_who_polls_for_what_a_sleeper_leaves, .timeout = 30)
{
    struct scene scene;
    struct mring_mpmc_end behind;
    struct sleeper sleeper;
    uint64_t value;
    new_scene(&scene, MRING_READ_END, 0);
    join(&scene.ring, &behind, MRING_WRITE_END);
    cr_assert_not_null(reserve(&scene.acts, 8));
    cr_assert_eq(arm(&scene.waits), MRING_EMPTY);
    start_sleeper(&sleeper, &scene.ring, POP);
    cr_assert_eq(push(&behind, 6), 0);
    await_sleep(&sleeper, 2);
    cr_expect_not(is_readable(scene.fd));

    commit(&scene.acts, 8);

    expect_woken(&sleeper, 0, "sleeper", 0);
    cr_expect(is_readable(scene.fd));
    cr_expect_eq(pop(&scene.waits, &value), 0);
    cr_expect_eq(value, 6);
    end_scene(&scene);
}

/* The last record, reserved before the close, is the sleeper's; the end is for all. */
Test(mring_mpmc_close, is_told_to_who_polls_when_a_sleeper_gets_the_last_record, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(several_modes); i++) {
        struct scene scene;
        struct sleeper sleeper;
        new_scene(&scene, MRING_READ_END, several_modes[i]);
        cr_assert_not_null(reserve(&scene.acts, 8));
        mring_mpmc_close(&scene.ring, MRING_WRITE_END, 0);
        cr_assert_eq(arm(&scene.waits), MRING_EMPTY);
        start_sleeper(&sleeper, &scene.ring, POP);

        commit(&scene.acts, 8);

        expect_woken(&sleeper, 0, "sleeper", several_modes[i]);
        cr_expect(is_readable(scene.fd), "mode %#x", several_modes[i]);
        cr_expect_eq(arm(&scene.waits), MRING_EOF, "mode %#x", several_modes[i]);
        end_scene(&scene);
    }
}

/* Who polls looks at descriptors only: nothing else would ever wake it. */
Test(mring_mpmc_pass_on, signals_who_polls_when_a_sleeper_finds_a_record_too_large, .timeout = 30)
{
    struct scene scene;
    struct sleeper sleeper;
    new_scene(&scene, MRING_READ_END, 0);
    cr_assert_eq(arm(&scene.waits), MRING_EMPTY);
    prepare_sleeper(&sleeper, &scene.ring, POP, TOO_LONG);
    sleeper.size = 4;
    run_sleeper(&sleeper);

    give(&scene.acts);

    expect_woken(&sleeper, MRING_TOO_LARGE, "4 bytes of room", 0);
    cr_expect(is_readable(scene.fd));
    end_scene(&scene);
}

/* ---- the limit of a wake --------------------------------------------------------------------- */

/* A thread that sleeps on an event while its epoch is 0. */
struct dozer {
    struct mring_event *event;
    mring_atomic_u32 tid, done;
    pthread_t thread;
};

static void *doze(void *context)
{
    struct dozer *dozer = context;

    mring_store_release_u32(&dozer->tid, (uint32_t)syscall(SYS_gettid));
    mring_os_sleep(dozer->event, 0, TOO_LONG);
    mring_store_release_u32(&dozer->done, 1);
    return NULL;
}

/* There may be a sleep of something else before it, if never for long. */
static void await_doze(const struct dozer *dozer)
{
    for (int seen = 0; seen < 10;) {
        uint32_t tid = mring_load_acquire_u32(&dozer->tid);
        seen = tid != 0 && support_is_asleep(tid) ? seen + 1 : 0;
        usleep(500);
    }
}

static void start_dozers(struct dozer *dozers, struct mring_event *event)
{
    for (int i = 0; i < SLEEPERS; i++) {
        dozers[i] = (struct dozer){ .event = event };
        cr_assert_eq(pthread_create(&dozers[i].thread, NULL, doze, &dozers[i]), 0);
        await_doze(&dozers[i]);
    }
}

static void join_dozers(struct dozer *dozers)
{
    for (int i = 0; i < SLEEPERS; i++)
        pthread_join(dozers[i].thread, NULL);
}

static unsigned count_awake(const struct dozer *dozers)
{
    unsigned count = 0;

    usleep(20000);
    for (int i = 0; i < SLEEPERS; i++)
        count += mring_load_acquire_u32(&dozers[i].done);
    return count;
}

static uint32_t wake_some(struct mring_event *event, uint32_t most)
{
    return mring_event_wake(event, -1, most);
}

Test(mring_os_wake, wakes_no_more_than_it_is_told_and_says_how_many, .timeout = 30)
{
    struct mring_event event = { 0 };
    struct dozer dozers[SLEEPERS];
    start_dozers(dozers, &event);

    cr_expect_eq(mring_os_wake(&event, 1), 1);
    cr_expect_eq(count_awake(dozers), 1);
    cr_expect_eq(mring_os_wake(&event, 2), 2);
    cr_expect_eq(count_awake(dozers), 3);
    cr_expect_eq(mring_os_wake(&event, MRING_WAKE_ALL), 1);
    cr_expect_eq(count_awake(dozers), SLEEPERS);
    cr_expect_eq(mring_os_wake(&event, MRING_WAKE_ALL), 0);

    join_dozers(dozers);
}

Test(mring_event_wake, acknowledges_nobody_when_as_many_were_woken_as_allowed, .timeout = 30)
{
    struct mring_event event = { .arm = { SLEEPERS } };
    struct dozer dozers[SLEEPERS];
    start_dozers(dozers, &event);

    cr_expect_eq(wake_some(&event, 3), 3);
    cr_expect_eq(count_awake(dozers), 3);
    cr_expect_eq(mring_load_acquire_u32(&event.epoch), 1);
    cr_expect_eq(mring_load_acquire_u32(&event.ack), 0, "who sleeps on is not acknowledged");
    cr_expect_eq(wake_some(&event, 1), 1, "the next one tries again");
    cr_expect_eq(mring_load_acquire_u32(&event.ack), 0, "nor is it known that nobody does");
    cr_expect_eq(count_awake(dozers), SLEEPERS);

    cr_expect_eq(wake_some(&event, 1), 0);
    cr_expect_eq(mring_load_acquire_u32(&event.ack), SLEEPERS);
    join_dozers(dozers);
}

Test(mring_event_wake, acknowledges_all_when_fewer_were_woken_than_allowed, .timeout = 30)
{
    static const uint32_t limits[] = { SLEEPERS + 1, MRING_WAKE_ALL };

    for (size_t i = 0; i < LENGTH(limits); i++) {
        struct mring_event event = { .arm = { 7 } };
        struct dozer dozers[SLEEPERS];
        start_dozers(dozers, &event);

        cr_expect_eq(wake_some(&event, limits[i]), SLEEPERS, "row %zu", i);

        cr_expect_eq(mring_load_acquire_u32(&event.ack), 7, "row %zu", i);
        join_dozers(dozers);
    }
}

Test(mring_event_wake, acknowledges_who_is_not_asleep_yet, .timeout = 5)
{
    struct mring_event event = { .arm = { 3 } };

    cr_expect_eq(wake_some(&event, 1), 0);

    cr_expect_eq(mring_load_acquire_u32(&event.epoch), 1, "it finds the epoch changed");
    cr_expect_eq(mring_load_acquire_u32(&event.ack), 3);
}
