/* SPDX-License-Identifier: MIT */
/* Byte rings: when a sleeper is woken and when not, and which fences that takes. */
#define _GNU_SOURCE

#include "ring_support.h"

#include <criterion/criterion.h>
#include <mring/spsc.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t MILLISECOND = 1000000;

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

static struct mring_stats stats_of(const struct mring_spsc *ring, enum mring_end end)
{
    struct mring_stats stats;

    mring_spsc_stats(ring, end, &stats);
    return stats;
}

/* `waits` is the end that sleeps; the other one gives it bytes or room. */
static const enum mring_end ends[] = { MRING_READ_END, MRING_WRITE_END };

/* Each of both ends, in both kinds of rings. */
static const struct {
    enum mring_end waits;
    unsigned flags;
} kinds[] = {
    { MRING_READ_END, 0 },
    { MRING_WRITE_END, 0 },
    { MRING_READ_END, MRING_FENCE },
    { MRING_WRITE_END, MRING_FENCE },
};

static enum mring_end other_than(enum mring_end end)
{
    return end == MRING_WRITE_END ? MRING_READ_END : MRING_WRITE_END;
}

/* A ring in which that end has nothing to do. */
static struct mring_spsc new_ring_for(enum mring_end waits, unsigned flags)
{
    struct mring_spsc ring = new_ring(flags);

    if (waits == MRING_WRITE_END)
        cr_assert(put(&ring, smallest()));
    return ring;
}

static bool give(struct mring_spsc *ring, enum mring_end waits, size_t size)
{
    return waits == MRING_WRITE_END ? take(ring, size) : put(ring, size);
}

static int wait_at(struct mring_spsc *ring, enum mring_end waits, size_t size, int64_t timeout_ns)
{
    return waits == MRING_WRITE_END ? mring_spsc_wait_writable(ring, size, timeout_ns)
                                    : mring_spsc_wait_readable(ring, size, timeout_ns);
}

/* A thread that waits once. */
struct waiter {
    struct mring_spsc *ring;
    enum mring_end waits;
    size_t size;
    int64_t timeout_ns;
    int err;
    int64_t elapsed;
    mring_atomic_u32 done;
    pthread_t thread;
};

static void *wait_in_thread(void *context)
{
    struct waiter *waiter = context;
    int64_t before = mring_os_now();

    waiter->err = wait_at(waiter->ring, waiter->waits, waiter->size, waiter->timeout_ns);
    waiter->elapsed = mring_os_now() - before;
    mring_store_release_u32(&waiter->done, 1);
    return NULL;
}

/* Start a thread that waits, and wait until it sleeps. */
static void start_waiter(struct waiter *waiter, struct mring_spsc *ring, enum mring_end waits,
                         size_t size, int64_t timeout_ns)
{
    *waiter = (struct waiter){
        .ring = ring, .waits = waits, .size = size, .timeout_ns = timeout_ns, .err = 99
    };
    cr_assert_eq(pthread_create(&waiter->thread, NULL, wait_in_thread, waiter), 0);
    while (stats_of(ring, waits).sleeps == 0)
        usleep(500);
    usleep(5000); /* from the decision into the kernel */
}

/* ---- the right moment ------------------------------------------------------------------------ */

TestSuite(mring_spsc_wait, .init = support_begin, .fini = support_end);

Test(mring_spsc_wait, is_not_woken_before_there_is_enough, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        enum mring_end waits = kinds[i].waits, acts = other_than(waits);
        struct mring_spsc ring = new_ring_for(waits, kinds[i].flags);
        struct waiter waiter;
        start_waiter(&waiter, &ring, waits, 100, -1);

        for (int j = 0; j < 99; j++)
            cr_assert(give(&ring, waits, 1));
        cr_expect_eq(stats_of(&ring, acts).wakes, 0, "kind %zu", i);
        cr_assert(give(&ring, waits, 1));

        pthread_join(waiter.thread, NULL);
        cr_expect_eq(waiter.err, 0, "kind %zu: %s", i, mring_errname(waiter.err));
        cr_expect_eq(stats_of(&ring, acts).wakes, 1, "kind %zu", i);
        /* It looks for itself after each slice, so how often depends on the machine alone. */
        uint64_t slices = (uint64_t)(waiter.elapsed / MRING_WAIT_SLICE_NS);
        cr_expect_geq(stats_of(&ring, waits).sleeps, 1, "kind %zu", i);
        cr_expect_leq(stats_of(&ring, waits).sleeps, slices + 5, "kind %zu", i);
        cr_expect_eq(stats_of(&ring, waits).wakes, 0, "kind %zu", i);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_wait, is_woken_by_a_publication_of_more_than_enough, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        enum mring_end waits = kinds[i].waits, acts = other_than(waits);
        struct mring_spsc ring = new_ring_for(waits, kinds[i].flags);
        struct waiter waiter;
        start_waiter(&waiter, &ring, waits, 100, -1);

        cr_assert(give(&ring, waits, 99));
        cr_assert(give(&ring, waits, 1000));

        pthread_join(waiter.thread, NULL);
        cr_expect_eq(waiter.err, 0, "kind %zu: %s", i, mring_errname(waiter.err));
        cr_expect_eq(stats_of(&ring, acts).wakes, 1, "kind %zu", i);
        mring_spsc_destroy(&ring);
    }
}

/* A sleeper finds out by itself after a slice, so what is measured is the sum of many. */
Test(mring_spsc_wait, for_much_is_woken_too_and_does_not_find_out_by_itself, .timeout = 30)
{
    enum { ROUNDS = 20 };

    for (size_t i = 0; i < LENGTH(kinds); i++) {
        int64_t spent = 0;
        for (int round = 0; round < ROUNDS; round++) {
            struct mring_spsc ring = new_ring_for(kinds[i].waits, kinds[i].flags);
            struct waiter waiter;
            start_waiter(&waiter, &ring, kinds[i].waits, 100, -1);
            int64_t before = mring_os_now();
            cr_assert(give(&ring, kinds[i].waits, 99) && give(&ring, kinds[i].waits, 1));
            pthread_join(waiter.thread, NULL);
            spent += mring_os_now() - before;
            mring_spsc_destroy(&ring);
        }

        cr_expect_lt(spent, ROUNDS * 25 * MILLISECOND, "kind %zu: %lld us", i,
                     (long long)spent / 1000);
    }
}

Test(mring_spsc_wait, ends_with_the_close_of_the_other_end_whatever_it_is_for, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        const size_t sizes[] = { 1, 100, smallest() };
        for (size_t j = 0; j < LENGTH(sizes); j++) {
            enum mring_end waits = kinds[i].waits, acts = other_than(waits);
            struct mring_spsc ring = new_ring_for(waits, kinds[i].flags);
            struct waiter waiter;
            start_waiter(&waiter, &ring, waits, sizes[j], -1);

            mring_spsc_close(&ring, acts, 0);

            pthread_join(waiter.thread, NULL);
            cr_expect_eq(waiter.err, waits == MRING_READ_END ? MRING_EOF : MRING_CLOSED,
                         "kind %zu, %zu: %s", i, sizes[j], mring_errname(waiter.err));
            cr_expect_eq(stats_of(&ring, acts).wakes, 1, "kind %zu, %zu", i, sizes[j]);
            mring_spsc_destroy(&ring);
        }
    }
}

Test(mring_spsc_wait, that_was_in_vain_costs_the_other_end_one_wake, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        enum mring_end waits = kinds[i].waits, acts = other_than(waits);
        struct mring_spsc ring = new_ring_for(waits, kinds[i].flags);
        cr_assert_eq(wait_at(&ring, waits, 10, 20 * MILLISECOND), MRING_TIMED_OUT);

        cr_assert(give(&ring, waits, 9));
        cr_expect_eq(stats_of(&ring, acts).wakes, 0, "kind %zu", i);
        for (int j = 0; j < 5; j++)
            cr_assert(give(&ring, waits, 1));

        cr_expect_eq(stats_of(&ring, acts).wakes, 1, "kind %zu", i);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_wait, announces_nothing_when_there_is_enough, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        enum mring_end waits = kinds[i].waits, acts = other_than(waits);
        struct mring_spsc ring = new_ring_for(waits, kinds[i].flags);
        cr_assert(give(&ring, waits, 10));

        cr_expect_eq(wait_at(&ring, waits, 10, -1), 0, "kind %zu", i);

        cr_assert(give(&ring, waits, 10));
        cr_expect_eq(stats_of(&ring, waits).sleeps, 0, "kind %zu", i);
        cr_expect_eq(stats_of(&ring, acts).wakes, 0, "kind %zu", i);
        mring_spsc_destroy(&ring);
    }
}

/* ---- signals --------------------------------------------------------------------------------- */

static mring_atomic_u32 signals;

static void count_signal(int number)
{
    (void)number;
    mring_add_release_u32(&signals, 1);
}

/* Have them interrupt system calls. */
static void count_signals(void)
{
    struct sigaction action = { .sa_handler = count_signal };

    sigemptyset(&action.sa_mask);
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

/* Every millisecond, until the wait is over or that many have been sent. */
static void rain_on(struct waiter *waiter, int count)
{
    for (int i = 0; i < count && mring_load_acquire_u32(&waiter->done) == 0; i++) {
        pthread_kill(waiter->thread, SIGUSR1);
        usleep(1000);
    }
}

Test(mring_spsc_wait, goes_on_after_a_signal, .timeout = 20)
{
    count_signals();

    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct mring_spsc ring = new_ring_for(ends[i], 0);
        struct waiter waiter;
        mring_store_release_u32(&signals, 0);
        start_waiter(&waiter, &ring, ends[i], 5, -1);

        rain_on(&waiter, 50);
        cr_expect_eq(mring_load_acquire_u32(&waiter.done), 0);
        cr_assert(give(&ring, ends[i], 5));

        pthread_join(waiter.thread, NULL);
        cr_expect_eq(waiter.err, 0, "%s", mring_errname(waiter.err));
        cr_expect_gt(mring_load_acquire_u32(&signals), 0);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_wait, is_neither_prolonged_nor_cut_short_by_signals, .timeout = 30)
{
    count_signals();

    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct mring_spsc ring = new_ring_for(ends[i], 0);
        struct waiter waiter;
        mring_store_release_u32(&signals, 0);
        start_waiter(&waiter, &ring, ends[i], 5, 200 * MILLISECOND);

        rain_on(&waiter, 8000);

        pthread_join(waiter.thread, NULL);
        cr_expect_eq(waiter.err, MRING_TIMED_OUT, "%s", mring_errname(waiter.err));
        cr_expect_geq(waiter.elapsed, 200 * MILLISECOND);
        cr_expect_lt(waiter.elapsed, 4000 * MILLISECOND);
        cr_expect_gt(mring_load_acquire_u32(&signals), 0);
        mring_spsc_destroy(&ring);
    }
}

/* ---- a waiter that dies ---------------------------------------------------------------------- */

static void await_arm(const struct mring_spsc *ring, enum mring_end waits)
{
    const struct mring_side *side = waits == MRING_WRITE_END ? ring->write_side : ring->read_side;

    while (mring_load_acquire_u32(&side->event.arm) == 0)
        usleep(500);
    usleep(5000); /* from the announcement into the kernel */
}

Test(mring_spsc_wait, of_a_killed_process_costs_the_other_end_one_wake, .timeout = 20)
{
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        enum mring_end waits = kinds[i].waits, acts = other_than(waits);
        struct mring_spsc ring = new_ring_for(waits, kinds[i].flags);
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            alarm(15);
            mring_spsc_adopt(&ring, waits);
            wait_at(&ring, waits, 5, -1);
            _exit(0);
        }
        await_arm(&ring, waits);
        kill(pid, SIGKILL);
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

        cr_assert(give(&ring, waits, 4));
        cr_expect_eq(stats_of(&ring, acts).wakes, 0, "kind %zu", i);
        for (int j = 0; j < 5; j++)
            cr_assert(give(&ring, waits, 1));

        cr_expect_eq(stats_of(&ring, acts).wakes, 1, "kind %zu", i);
        mring_spsc_destroy(&ring);
    }
}

/* ---- fences ---------------------------------------------------------------------------------- */

/* What a ring gets whose makers do not ask for fences. */
static enum mring_fencing usual_fencing(void)
{
    return mring_os_join_barriers() ? MRING_FENCING_WAITER : MRING_FENCING_BOTH_SIDES;
}

TestSuite(mring_spsc_fencing, .init = support_begin, .fini = support_end);

Test(mring_spsc_fencing, is_what_the_flags_say, .timeout = 5)
{
    const struct {
        unsigned flags;
        enum mring_fencing fencing;
    } rows[] = {
        { 0, usual_fencing() },
        { MRING_FENCE, MRING_FENCING_BOTH_SIDES },
        { MRING_NOWAIT, MRING_FENCING_NONE },
        { MRING_NOWAIT | MRING_FENCE, MRING_FENCING_NONE },
    };

    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct mring_spsc ring = new_ring(rows[i].flags);

        cr_expect_eq(ring.fencing, rows[i].fencing, "row %zu: %d", i, (int)ring.fencing);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_fencing, of_a_name_is_that_of_its_maker, .timeout = 5)
{
    static const unsigned flags[] = { 0, MRING_FENCE, MRING_NOWAIT };

    for (size_t i = 0; i < LENGTH(flags) * LENGTH(flags); i++) {
        const char *tagname = support_tagname("ring");
        struct mring_args args = { .tagname = tagname, .capacity = smallest() };
        struct mring_spsc made, opened;
        args.flags = flags[i / LENGTH(flags)];
        cr_assert_eq(mring_spsc_create(&made, &args), 0);

        args.flags = flags[i % LENGTH(flags)];
        cr_assert_eq(mring_spsc_open(&opened, &args), 0);

        cr_expect_not(opened.map.created);
        cr_expect_eq(opened.fencing, made.fencing, "row %zu: %d", i, (int)opened.fencing);
        mring_spsc_destroy(&made);
        mring_spsc_destroy(&opened);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

/* Messages 0 .. count - 1, both sides waiting whenever they have to. */
struct exchange {
    struct mring_spsc *ring;
    uint64_t count;
    bool received;
};

static void *receive_in_thread(void *context)
{
    struct exchange *exchange = context;
    uint64_t message, expected = 0;

    while (mring_spsc_wait_readable(exchange->ring, sizeof message, -1) == 0)
        while (mring_spsc_pop(exchange->ring, &message, sizeof message))
            if (message != expected++)
                return NULL;
    exchange->received = expected == exchange->count;
    return NULL;
}

/* True if everything arrived. */
static bool exchange_messages(struct mring_spsc *ring, uint64_t count)
{
    struct exchange exchange = { ring, count, false };
    pthread_t thread;

    if (pthread_create(&thread, NULL, receive_in_thread, &exchange) != 0)
        return false;
    for (uint64_t message = 0; message < count; message++)
        while (!mring_spsc_push(ring, &message, sizeof message))
            mring_spsc_wait_writable(ring, sizeof message, -1);
    mring_spsc_close(ring, MRING_WRITE_END, 0);
    pthread_join(thread, NULL);
    return exchange.received;
}

Test(mring_spsc_fencing, makes_no_difference_to_what_arrives, .timeout = 30)
{
    static const unsigned flags[] = { 0, MRING_FENCE, MRING_NOWAIT };

    for (size_t i = 0; i < LENGTH(flags); i++) {
        struct mring_spsc ring = new_ring(flags[i]);

        cr_expect(exchange_messages(&ring, 20000), "row %zu", i);
        mring_spsc_destroy(&ring);
    }
}

/* ---- where there is no membarrier ------------------------------------------------------------ */

/* What becomes of a membarrier call: SECCOMP_RET_ALLOW, or another action. */
struct fates {
    uint32_t joining, expedited, global;
};

#define FAILS(code) (SECCOMP_RET_ERRNO | (code))

/* Decide about all further membarrier calls of this process. */
static bool filter_membarrier(struct fates fates)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MEMBARRIER_CMD_GLOBAL, 3, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, fates.joining),
        BPF_STMT(BPF_RET | BPF_K, fates.expedited),
        BPF_STMT(BPF_RET | BPF_K, fates.global),
    };
    struct sock_fprog program = { LENGTH(rules), rules };

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    rules[2].k += 4; /* the low half of the argument */
#endif
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static const struct fates no_membarrier = { FAILS(ENOSYS), FAILS(ENOSYS), FAILS(ENOSYS) };
static const struct fates no_fast_membarrier = { SECCOMP_RET_ALLOW, FAILS(ENOMEM),
                                                 SECCOMP_RET_ALLOW };

/* In a child: as an old kernel, or a sandbox. */
#define EXPECT_NO_MEMBARRIER()                                                                     \
    do {                                                                                           \
        if (!filter_membarrier(no_membarrier))                                                     \
            return SUPPORT_SKIP "this process may not filter its system calls";                    \
        EXPECT(!mring_os_join_barriers());                                                         \
    } while (0)

static const char *create_without_membarrier(void *context)
{
    const char *tagname = context;
    struct mring_args args = { .capacity = smallest(), .tagname = tagname };
    struct mring_spsc ring;
    EXPECT_NO_MEMBARRIER();

    EXPECT(mring_spsc_create(&ring, &args) == 0);

    EXPECT(ring.fencing == MRING_FENCING_BOTH_SIDES);
    EXPECT(mring_spsc_destroy(&ring) == 0);
    return NULL;
}

Test(mring_spsc_fencing, without_membarrier_is_on_both_sides, .timeout = 20)
{
    ASSERT_CHILD(support_child(create_without_membarrier, NULL));
}

Test(mring_spsc_fencing, of_a_name_made_without_membarrier_is_kept_to_with_it, .timeout = 20)
{
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring;
    ASSERT_CHILD(support_child(create_without_membarrier, (void *)(uintptr_t)tagname));

    cr_assert_eq(mring_spsc_open(&ring, &(struct mring_args){ .tagname = tagname }), 0);

    cr_expect_eq(ring.fencing, MRING_FENCING_BOTH_SIDES);
    mring_spsc_destroy(&ring);
}

/* A test is a process of its own. The sanitizers allow no threads in a child of it. */
Test(mring_spsc_fencing, without_membarrier_makes_no_difference_to_what_arrives, .timeout = 20)
{
    if (!filter_membarrier(no_membarrier))
        cr_skip_test("this process may not filter its system calls");
    struct mring_spsc ring = new_ring(0);
    cr_assert_eq(ring.fencing, MRING_FENCING_BOTH_SIDES);

    cr_expect(exchange_messages(&ring, 5000));

    mring_spsc_destroy(&ring);
}

static const char *open_without_membarrier(void *context)
{
    const char *tagname = context;
    const uint64_t capacities[] = { 0, smallest() };
    struct mring_spsc ring, before;
    memset(&ring, 0xa5, sizeof ring);
    memset(&before, 0xa5, sizeof before);
    EXPECT_NO_MEMBARRIER();
    /* Whatever the first attempt sets up once is not a trace. */
    EXPECT(mring_spsc_open(&ring, &(struct mring_args){ .tagname = tagname }) == MMAP_UNSUPPORTED);
    support_remember();

    for (size_t i = 0; i < LENGTH(capacities); i++) {
        struct mring_args args = { .tagname = tagname, .capacity = capacities[i] };
        EXPECT(mring_spsc_open(&ring, &args) == MMAP_UNSUPPORTED);
        args.flags = MRING_FENCE;
        EXPECT(mring_spsc_open(&ring, &args) == MMAP_UNSUPPORTED);
    }

    EXPECT(memcmp(&ring, &before, sizeof ring) == 0);
    return support_difference();
}

Test(mring_spsc_fencing, by_membarrier_is_unsupported_for_who_may_not_use_it, .timeout = 20)
{
    const char *tagname = support_tagname("ring");
    struct mring_args args = { .tagname = tagname, .capacity = smallest() };
    struct mring_spsc ring;
    cr_assert_eq(mring_spsc_create(&ring, &args), 0);
    if (ring.fencing != MRING_FENCING_WAITER) {
        mmap_unlink(tagname); /* nothing is done after a test that skips */
        cr_skip_test("this system has no membarrier");
    }

    ASSERT_CHILD(support_child(open_without_membarrier, (void *)(uintptr_t)tagname));

    struct mring_spsc again;
    cr_assert(put(&ring, 10));
    cr_expect_eq(mring_spsc_open(&again, &args), 0, "the ring is unharmed");
    cr_expect_eq(mring_spsc_readable(&again), 10);
    mring_spsc_destroy(&ring);
    mring_spsc_destroy(&again);
}

static const char *open_others_without_membarrier(void *context)
{
    struct mring_args args = { .tagname = context };
    struct mring_spsc ring;
    EXPECT_NO_MEMBARRIER();

    EXPECT(mring_spsc_open(&ring, &args) == 0);

    EXPECT(take(&ring, 10));
    EXPECT(mring_spsc_destroy(&ring) == 0);
    return NULL;
}

Test(mring_spsc_fencing, by_other_means_is_open_to_everybody, .timeout = 20)
{
    static const unsigned flags[] = { MRING_FENCE, MRING_NOWAIT };

    for (size_t i = 0; i < LENGTH(flags); i++) {
        const char *tagname = support_tagname(i == 0 ? "fence" : "nowait");
        struct mring_spsc ring;
        cr_assert_eq(mring_spsc_create(&ring, &(struct mring_args){ .tagname = tagname,
                                                                    .capacity = smallest(),
                                                                    .flags = flags[i] }),
                     0);
        cr_assert(put(&ring, 10));

        ASSERT_CHILD(support_child(open_others_without_membarrier, (void *)(uintptr_t)tagname));

        cr_expect_eq(mring_spsc_position(&ring, MRING_READ_END), 10, "row %zu", i);
        mring_spsc_destroy(&ring);
    }
}

/* ---- the barrier itself ---------------------------------------------------------------------- */

/* Calls that ended in SECCOMP_RET_TRAP. */
static volatile sig_atomic_t traps;

static void count_trap(int number)
{
    (void)number;
    traps++;
}

/* What is expected of a barrier under these circumstances. */
struct barrier {
    struct fates fates;
    int traps;
};

static const char *call_barrier(void *context)
{
    const struct barrier *barrier = context;
    struct sigaction action = { .sa_handler = count_trap };
    sigemptyset(&action.sa_mask);
    EXPECT(sigaction(SIGSYS, &action, NULL) == 0);
    if (!filter_membarrier(barrier->fates))
        return SUPPORT_SKIP "this process may not filter its system calls";

    mring_os_barrier();

    EXPECT(traps == barrier->traps);
    return NULL;
}

Test(mring_os_barrier, goes_the_slow_way_only_when_the_fast_one_fails, .timeout = 20)
{
    static struct barrier rows[] = {
        { { SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP, SECCOMP_RET_ALLOW }, 1 },
        { { SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP }, 0 },
        { { SECCOMP_RET_ALLOW, FAILS(ENOMEM), SECCOMP_RET_TRAP }, 1 },
    };
    if (!mring_os_join_barriers())
        cr_skip_test("this kernel has no membarrier");

    for (size_t i = 0; i < LENGTH(rows); i++)
        ASSERT_CHILD(support_child(call_barrier, &rows[i]));
}

/* Without it a wake-up is lost once in a blue moon, which no test would see. */
static const char *prepare_to_sleep(void *context)
{
    static const struct fates trap = { SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP, SECCOMP_RET_ALLOW };
    struct mring_event event = { .epoch = { 0 } };
    struct sigaction action = { .sa_handler = count_trap };
    (void)context;
    sigemptyset(&action.sa_mask);
    EXPECT(sigaction(SIGSYS, &action, NULL) == 0);
    if (!filter_membarrier(trap))
        return SUPPORT_SKIP "this process may not filter its system calls";

    mring_event_prepare(&event, 1, MRING_MANNER_SLEEP, MRING_FENCING_BOTH_SIDES);
    mring_event_is_armed(&event, MRING_FENCING_WAITER);
    EXPECT(traps == 0);
    mring_event_prepare(&event, 1, MRING_MANNER_SLEEP, MRING_FENCING_WAITER);
    EXPECT(traps == 1);
    mring_event_prepare(&event, 1, MRING_MANNER_DESCRIPTOR, MRING_FENCING_WAITER);
    EXPECT(traps == 2);
    return NULL;
}

Test(mring_os_barrier, is_called_by_a_waiter_when_the_notifier_has_no_fence, .timeout = 20)
{
    ASSERT_CHILD(support_child(prepare_to_sleep, NULL));
}

Test(mring_os_barrier, orders_a_ring_the_slow_way_too, .timeout = 30)
{
    if (!filter_membarrier(no_fast_membarrier))
        cr_skip_test("this process may not filter its system calls");
    struct mring_spsc ring = new_ring(0);
    cr_assert_eq(ring.fencing, usual_fencing());

    cr_expect(exchange_messages(&ring, 2000));

    mring_spsc_destroy(&ring);
}

/* ---- the second look ------------------------------------------------------------------------- */

/*
 * The barrier is between announcing and looking again. Its trap is the moment in which the other
 * side does something, and wakes nobody as it has looked for sleepers just before.
 */
static struct mring_side *acting_side;
static bool acting_closes;

static void act_in_trap(int number)
{
    (void)number;
    if (acting_closes)
        mring_store_release_u64(&acting_side->closed, 1);
    else
        mring_store_release_u64(&acting_side->pos, mring_load_relaxed_u64(&acting_side->pos) + 1);
}

/* False if that is not possible here. */
static bool act_between_announcement_and_look(void)
{
    static const struct fates trap = { SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP, SECCOMP_RET_ALLOW };
    struct sigaction action = { .sa_handler = act_in_trap };

    sigemptyset(&action.sa_mask);
    return usual_fencing() == MRING_FENCING_WAITER && sigaction(SIGSYS, &action, NULL) == 0 &&
           filter_membarrier(trap);
}

static const struct {
    enum mring_end waits;
    bool closes;
    int err;
} late_acts[] = {
    { MRING_READ_END, false, 0 },
    { MRING_READ_END, true, MRING_EOF },
    { MRING_WRITE_END, false, 0 },
    { MRING_WRITE_END, true, MRING_CLOSED },
};

static struct mring_spsc new_ring_for_late_act(size_t row)
{
    struct mring_spsc ring = new_ring_for(late_acts[row].waits, 0);

    acting_side = late_acts[row].waits == MRING_READ_END ? ring.write_side : ring.read_side;
    acting_closes = late_acts[row].closes;
    return ring;
}

Test(mring_spsc_wait, does_not_sleep_when_the_second_look_finds_something, .timeout = 10)
{
    if (!act_between_announcement_and_look())
        cr_skip_test("this process may not filter its system calls, or has no membarrier");

    for (size_t i = 0; i < LENGTH(late_acts); i++) {
        struct mring_spsc ring = new_ring_for_late_act(i);

        int err = wait_at(&ring, late_acts[i].waits, 1, -1);

        cr_expect_eq(err, late_acts[i].err, "row %zu: %s", i, mring_errname(err));
        cr_expect_eq(stats_of(&ring, late_acts[i].waits).sleeps, 0, "row %zu", i);
        mring_spsc_destroy(&ring);
    }
}

Test(mring_spsc_arm, answers_what_the_second_look_finds, .timeout = 10)
{
    if (!act_between_announcement_and_look())
        cr_skip_test("this process may not filter its system calls, or has no membarrier");

    for (size_t i = 0; i < LENGTH(late_acts); i++) {
        struct mring_spsc ring = new_ring_for_late_act(i);
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        cr_assert_eq(mring_spsc_set_eventfd(&ring, late_acts[i].waits, fd), 0);

        int err = late_acts[i].waits == MRING_READ_END ? mring_spsc_arm_readable(&ring, 1)
                                                       : mring_spsc_arm_writable(&ring, 1);

        cr_expect_eq(err, late_acts[i].err, "row %zu: %s", i, mring_errname(err));
        mring_spsc_destroy(&ring);
        close(fd);
    }
}

/* A sleep that went on to the end of its slice would take 50 ms. The shortest of some tries. */
Test(mring_spsc_wait_readable, sleeps_no_longer_than_its_timeout, .timeout = 10)
{
    struct mring_spsc ring = { 0 };
    int64_t shortest = INT64_MAX;
    cr_assert_eq(mring_spsc_create(&ring, &(struct mring_args){ .capacity = mring_capacity(1, 0) }),
                 0);
    cr_assert_eq(mring_spsc_tune(&ring, MRING_READ_END, &(struct mring_tuning){ .spin_ns = -1 }),
                 0);

    for (int i = 0; i < 10; i++) {
        int64_t start = mring_os_now();
        cr_expect_eq(mring_spsc_wait_readable(&ring, 1, 5000000), MRING_TIMED_OUT);
        int64_t elapsed = mring_os_now() - start;
        cr_expect_geq(elapsed, 5000000);
        if (elapsed < shortest)
            shortest = elapsed;
    }

    cr_expect_lt(shortest, 40000000);
    mring_spsc_destroy(&ring);
}
