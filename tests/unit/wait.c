/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE

#include "ring_support.h"

#include <criterion/criterion.h>
#include <mring/wait.h>

#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t SECOND = 1000000000;
static const int64_t MILLISECOND = 1000000;

/* An event and what is waited for, seen by forked children too. */
struct shared {
    struct mring_event event;
    mring_atomic_u32 ready;
    mring_atomic_u32 woken;
};

static struct shared *new_shared(void)
{
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(shared, MAP_FAILED);
    return shared;
}

/* ---- the system's calls ---------------------------------------------------------------------- */

Test(mring_os_now, counts_nanoseconds_forward, .timeout = 5)
{
    int64_t before = mring_os_now();

    usleep(20000);

    int64_t elapsed = mring_os_now() - before;
    cr_expect_geq(elapsed, 20 * MILLISECOND);
    cr_expect_lt(elapsed, 5 * SECOND);
}

Test(mring_os_sleep, returns_at_once_when_the_word_has_another_value, .timeout = 5)
{
    struct mring_event event = { .epoch = { 7 } };
    int64_t before = mring_os_now();

    mring_os_sleep(&event, 6, 60 * SECOND);

    cr_expect_lt(mring_os_now() - before, 2 * SECOND);
}

/* Sleeping may end early by chance, so the shortest of all would prove nothing. */
Test(mring_os_sleep, ends_after_the_timeout, .timeout = 5)
{
    struct mring_event event = { .epoch = { 7 } };
    int64_t longest = 0;

    for (int try = 0; try < 3; try++) {
        int64_t before = mring_os_now();
        mring_os_sleep(&event, 7, 30 * MILLISECOND);
        int64_t elapsed = mring_os_now() - before;
        if (elapsed > longest)
            longest = elapsed;
    }

    cr_expect_geq(longest, 30 * MILLISECOND);
    cr_expect_lt(longest, 3 * SECOND);
}

/* The one copy of the inlined call. */
static void wake(struct mring_event *event, int fd)
{
    mring_event_wake(event, fd, MRING_WAKE_ALL);
}

/* As a ring does it that says nothing about positions. */
static uint32_t prepare(struct mring_event *event)
{
    return mring_event_prepare(event, 0, MRING_MANNER_SLEEP, MRING_FENCING_BOTH_SIDES);
}

static void notify(struct mring_event *event)
{
    if (mring_event_is_armed(event, MRING_FENCING_BOTH_SIDES))
        wake(event, -1);
}

/* Sleep until woken, without the safety of a short timeout. */
static void sleep_until_ready(struct shared *shared)
{
    while (mring_load_acquire_u32(&shared->ready) == 0) {
        uint32_t epoch = prepare(&shared->event);
        if (mring_load_acquire_u32(&shared->ready) != 0)
            break;
        mring_os_sleep(&shared->event, epoch, 60 * SECOND);
    }
    mring_add_release_u32(&shared->woken, 1);
}

static void *sleep_in_thread(void *context)
{
    sleep_until_ready(context);
    return NULL;
}

static void await_arms(struct shared *shared, uint32_t count)
{
    while (mring_load_acquire_u32(&shared->event.arm) < count)
        usleep(1000);
    usleep(20000); /* from the announcement into the kernel */
}

static void set_ready(struct shared *shared)
{
    mring_store_release_u32(&shared->ready, 1);
    notify(&shared->event);
}

Test(mring_os_wake, wakes_every_sleeper_of_the_process, .timeout = 20)
{
    enum { SLEEPERS = 3 };
    struct shared *shared = new_shared();
    pthread_t threads[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, sleep_in_thread, shared), 0);
    await_arms(shared, SLEEPERS);
    int64_t before = mring_os_now();

    set_ready(shared);

    for (int i = 0; i < SLEEPERS; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(mring_load_acquire_u32(&shared->woken), SLEEPERS);
    cr_expect_lt(mring_os_now() - before, 10 * SECOND);
}

Test(mring_os_wake, wakes_sleepers_in_other_processes, .timeout = 20)
{
    struct shared *shared = new_shared();
    pid_t pid = fork();
    if (pid == 0) {
        sleep_until_ready(shared);
        _exit(0);
    }
    await_arms(shared, 1);
    int64_t before = mring_os_now();

    set_ready(shared);

    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    cr_expect_eq(mring_load_acquire_u32(&shared->woken), 1);
    cr_expect_lt(mring_os_now() - before, 10 * SECOND);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

Test(mring_os_signal, makes_a_descriptor_readable, .timeout = 5)
{
    int fd = new_eventfd(0);
    cr_assert_not(is_readable(fd));

    mring_os_signal(fd);

    cr_expect(is_readable(fd));
    cr_expect_eq(count_of(fd), 1);
    close(fd);
}

Test(mring_os_signal, does_not_block_when_the_counter_is_full, .timeout = 5)
{
    int fd = new_eventfd(0);
    cr_assert_eq(eventfd_write(fd, UINT64_MAX - 1), 0);

    mring_os_signal(fd);

    cr_expect(is_readable(fd));
    cr_expect_eq(count_of(fd), UINT64_MAX - 1);
    close(fd);
}

Test(mring_os_clear, makes_a_descriptor_unreadable_whatever_its_count, .timeout = 5)
{
    static const uint64_t counts[] = { 1, 2, 12345, UINT64_MAX - 1 };

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        int fd = new_eventfd(0);
        cr_assert_eq(eventfd_write(fd, counts[i]), 0);
        cr_assert(is_readable(fd));

        mring_os_clear(fd);

        cr_expect_not(is_readable(fd), "row %zu", i);
        mring_os_signal(fd);
        cr_expect_eq(count_of(fd), 1, "row %zu", i);
        close(fd);
    }
}

Test(mring_os_clear, does_not_block_when_there_is_nothing_to_clear, .timeout = 5)
{
    int fd = new_eventfd(0);

    mring_os_clear(fd);
    mring_os_clear(fd);

    cr_expect_not(is_readable(fd));
    close(fd);
}

/* ---- barriers -------------------------------------------------------------------------------- */

/* Since Linux 6.3; not in every linux/membarrier.h. */
#define GET_REGISTRATIONS 512

static const char *join_and_call_barriers(void *context)
{
    const bool *joined = context;
    long registrations = syscall(SYS_membarrier, GET_REGISTRATIONS, 0, 0);

    mring_os_barrier();
    EXPECT(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0);
    EXPECT(mring_os_join_barriers() == *joined);
    if (registrations < 0)
        return SUPPORT_SKIP "this kernel does not say what a process has registered for";
    EXPECT(registrations & MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
    return NULL;
}

static bool has_barriers(void)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

    return commands > 0 && (commands & MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

Test(mring_os_join_barriers, says_whether_the_kernel_has_them, .timeout = 5)
{
    bool expected = has_barriers();

    cr_expect_eq(mring_os_join_barriers(), expected);
    cr_expect_eq(mring_os_join_barriers(), expected, "it may be called again");
}

Test(mring_os_join_barriers, registers_this_process, .timeout = 5)
{
    if (!has_barriers())
        cr_skip_test("this kernel has no such barrier");
    if (syscall(SYS_membarrier, GET_REGISTRATIONS, 0, 0) < 0)
        cr_skip_test("this kernel does not say what a process has registered for");

    mring_os_join_barriers();

    cr_expect(syscall(SYS_membarrier, GET_REGISTRATIONS, 0, 0) &
              MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

Test(mring_os_join_barriers, holds_for_forked_processes, .timeout = 20)
{
    bool joined = mring_os_join_barriers();
    if (!joined)
        cr_skip_test("this kernel has no such barrier");

    ASSERT_CHILD(support_child(join_and_call_barriers, &joined));
}

/* ---- who is who ------------------------------------------------------------------------------ */

/* What a process and two generations of its children are called. */
struct processes {
    uint32_t parent, child;
};

static const char *see_grandchild(void *context)
{
    const struct processes *processes = context;
    uint32_t grandchild = mring_os_process();

    EXPECT(grandchild != 0);
    EXPECT(grandchild != processes->parent);
    EXPECT(grandchild != processes->child);
    return NULL;
}

static const char *see_child(void *context)
{
    struct processes *processes = context;

    processes->child = mring_os_process();
    EXPECT(processes->child != 0);
    EXPECT(processes->child != processes->parent);
    EXPECT(processes->child == mring_os_process());
    return support_child(see_grandchild, processes);
}

Test(mring_os_process, differs_in_forked_processes, .timeout = 20)
{
    struct processes processes = { .parent = mring_os_process() };
    cr_assert_neq(processes.parent, 0);

    ASSERT_CHILD(support_child(see_child, &processes));

    cr_expect_eq(mring_os_process(), processes.parent);
}

/* ---- the eventcount -------------------------------------------------------------------------- */

Test(mring_event_prepare, announces_and_returns_the_epoch, .timeout = 5)
{
    struct mring_event event = { .epoch = { 5 }, .arm = { 3 }, .ack = { 3 } };

    uint32_t epoch = prepare(&event);

    cr_expect_eq(epoch, 5);
    cr_expect_eq(event.arm.value, 4);
    cr_expect_eq(event.epoch.value, 5);
    cr_expect_eq(event.ack.value, 3);
}

Test(mring_event_prepare, says_what_is_wanted_and_how_to_wake, .timeout = 5)
{
    static const struct {
        uint64_t wanted;
        enum mring_manner manner;
        enum mring_fencing fencing;
    } rows[] = {
        { 0, MRING_MANNER_SLEEP, MRING_FENCING_BOTH_SIDES },
        { 100, MRING_MANNER_DESCRIPTOR, MRING_FENCING_BOTH_SIDES },
        { UINT64_MAX, MRING_MANNER_SLEEP, MRING_FENCING_WAITER },
        { UINT64_C(1) << 63, MRING_MANNER_DESCRIPTOR, MRING_FENCING_WAITER },
        { 1, MRING_MANNER_SLEEP, MRING_FENCING_WAITER },
    };
    struct mring_event event = { .epoch = { 5 } };

    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t epoch =
            mring_event_prepare(&event, rows[i].wanted, rows[i].manner, rows[i].fencing);

        cr_expect_eq(epoch, 5, "row %u", i);
        cr_expect_eq(event.wanted.value, rows[i].wanted, "row %u", i);
        cr_expect_eq(event.manner.value, rows[i].manner, "row %u", i);
        cr_expect_eq(event.arm.value, i + 1, "row %u", i);
    }
}

Test(mring_event_is_armed, tells_an_announcement_from_none, .timeout = 5)
{
    static const enum mring_fencing fencings[] = { MRING_FENCING_WAITER, MRING_FENCING_BOTH_SIDES };

    for (size_t i = 0; i < sizeof fencings / sizeof fencings[0]; i++) {
        struct mring_event event = { .arm = { 0 } };

        cr_expect_not(mring_event_is_armed(&event, fencings[i]));
        mring_event_prepare(&event, 10, MRING_MANNER_SLEEP, fencings[i]);
        cr_expect(mring_event_is_armed(&event, fencings[i]));
        wake(&event, -1);
        cr_expect_not(mring_event_is_armed(&event, fencings[i]));
    }
}

/* Positions wrap, and whoever waits is never more than half of all numbers away. */
Test(mring_event_is_reached, compares_positions_across_every_wrap, .timeout = 5)
{
    static const uint64_t positions[] = {
        0,
        1,
        1000,
        (UINT64_C(1) << 63) - 1,
        UINT64_C(1) << 63,
        (UINT64_C(1) << 63) + 1,
        UINT64_MAX,
        UINT64_MAX - 1,
    };
    static const struct {
        uint64_t behind;
        bool reached;
    } rows[] = {
        { (uint64_t)-1, false },
        { (uint64_t)-1000, false },
        { (uint64_t)INT64_MIN, false },
        { 0, true },
        { 1, true },
        { 1000, true },
        { INT64_MAX, true },
    };

    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        struct mring_event event = { .wanted = { positions[i] } };
        for (size_t j = 0; j < sizeof rows / sizeof rows[0]; j++)
            cr_expect_eq(mring_event_is_reached(&event, positions[i] + rows[j].behind),
                         rows[j].reached, "position %zu, row %zu", i, j);
    }
}

Test(mring_event_wake, changes_nothing_when_nobody_announced_himself, .timeout = 5)
{
    struct mring_event event = { .epoch = { 5 }, .arm = { 3 }, .ack = { 3 } };

    notify(&event);

    cr_expect_eq(event.epoch.value, 5);
    cr_expect_eq(event.arm.value, 3);
    cr_expect_eq(event.ack.value, 3);
}

Test(mring_event_wake, changes_the_epoch_and_acknowledges_all_that_were_there, .timeout = 5)
{
    struct mring_event event = { .epoch = { 0 } };
    uint32_t first = prepare(&event);
    uint32_t second = prepare(&event);

    notify(&event);

    cr_expect_eq(first, 0);
    cr_expect_eq(second, 0);
    cr_expect_eq(event.epoch.value, 1, "a late sleeper finds the epoch changed");
    cr_expect_eq(event.ack.value, 2);
    notify(&event);
    cr_expect_eq(event.epoch.value, 1, "all are acknowledged: nobody to wake");
}

Test(mring_event_wake, goes_on_where_the_counters_wrap, .timeout = 5)
{
    struct mring_event event = { .epoch = { UINT32_MAX },
                                 .arm = { UINT32_MAX },
                                 .ack = { UINT32_MAX } };

    uint32_t epoch = prepare(&event);
    notify(&event);

    cr_expect_eq(epoch, UINT32_MAX);
    cr_expect_eq(event.epoch.value, 0);
    cr_expect_eq(event.arm.value, 0);
    cr_expect_eq(event.ack.value, 0);
}

/* A sleeper that announces itself in one of the manners. */
struct manner {
    struct mring_event event;
    enum mring_manner manner;
};

static void *sleep_for_a_wake(void *context)
{
    struct manner *manner = context;
    uint32_t epoch =
        mring_event_prepare(&manner->event, 10, manner->manner, MRING_FENCING_BOTH_SIDES);

    while (mring_load_acquire_u32(&manner->event.epoch) == epoch)
        mring_os_sleep(&manner->event, epoch, 60 * SECOND);
    return NULL;
}

Test(mring_event_wake, signals_a_descriptor_when_that_is_waited_for, .timeout = 5)
{
    struct mring_event event = { .epoch = { 5 } };
    int fd = new_eventfd(0);
    mring_event_prepare(&event, 10, MRING_MANNER_DESCRIPTOR, MRING_FENCING_BOTH_SIDES);

    wake(&event, fd);

    cr_expect_eq(count_of(fd), 1);
    cr_expect_eq(event.epoch.value, 6);
    cr_expect_eq(event.ack.value, event.arm.value);
    close(fd);
}

Test(mring_event_wake, wakes_the_sleepers_when_no_descriptor_is_waited_for_or_there, .timeout = 20)
{
    const struct {
        enum mring_manner manner;
        bool has_fd;
    } rows[] = {
        { MRING_MANNER_SLEEP, false },
        { MRING_MANNER_SLEEP, true },
        { MRING_MANNER_DESCRIPTOR, false },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct manner manner = { .manner = rows[i].manner };
        int fd = new_eventfd(0);
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, sleep_for_a_wake, &manner), 0);
        while (mring_load_acquire_u32(&manner.event.arm) == 0)
            usleep(1000);
        usleep(20000); /* from the announcement into the kernel */

        wake(&manner.event, rows[i].has_fd ? fd : -1);

        pthread_join(thread, NULL);
        cr_expect_eq(count_of(fd), 0, "row %zu", i);
        cr_expect_eq(manner.event.ack.value, 1, "row %zu", i);
        close(fd);
    }
}

/* Killed between N2 and N4: arm and ack differ and nobody was woken. */
Test(mring_event_wake, heals_what_a_killed_notifier_left, .timeout = 20)
{
    struct shared *shared = new_shared();
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, sleep_in_thread, shared), 0);
    await_arms(shared, 1);
    mring_store_release_u32(&shared->ready, 1); /* the dead notifier got this far */

    notify(&shared->event);

    pthread_join(thread, NULL);
    cr_expect_eq(shared->event.ack.value, shared->event.arm.value);
}

Test(mring_event_wake, pays_for_a_killed_waiter_once, .timeout = 20)
{
    struct shared *shared = new_shared();
    pid_t pid = fork();
    if (pid == 0) {
        sleep_until_ready(shared);
        _exit(0);
    }
    await_arms(shared, 1);
    kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);

    notify(&shared->event);
    notify(&shared->event);

    cr_expect_eq(shared->event.epoch.value, 1);
    cr_expect_eq(shared->event.ack.value, shared->event.arm.value);
}

/* ---- looking before sleeping ----------------------------------------------------------------- */

/* Of `count` waits, how many look before they sleep, when those that do find something or not. */
static unsigned looks_of(struct mring_spin *spin, unsigned count, bool hit)
{
    unsigned looks = 0;

    for (unsigned i = 0; i < count; i++) {
        if (!mring_spin_pays(spin))
            continue;
        looks++;
        mring_spin_learn(spin, hit);
    }
    return looks;
}

Test(mring_spin, always_looks_while_that_pays, .timeout = 5)
{
    struct mring_spin spin = { 0 };

    cr_expect_eq(looks_of(&spin, 1000, true), 1000);
}

Test(mring_spin, gives_up_after_a_few_looks_in_vain_but_tries_now_and_then, .timeout = 5)
{
    struct mring_spin spin = { 0 };

    cr_expect_eq(looks_of(&spin, 3, false), 3);
    cr_expect_eq(looks_of(&spin, MRING_SPIN_TRIAL - 1, false), 0);
    cr_expect_eq(looks_of(&spin, 1, false), 1, "a trial");
    cr_expect_eq(looks_of(&spin, 100 * MRING_SPIN_TRIAL, false), 100);
}

Test(mring_spin, looks_again_after_one_trial_that_paid, .timeout = 5)
{
    struct mring_spin spin = { 0 };
    looks_of(&spin, 3 + MRING_SPIN_TRIAL - 1, false);

    cr_expect_eq(looks_of(&spin, 100, true), 100);
}

Test(mring_spin, does_not_look_when_only_every_other_look_pays, .timeout = 5)
{
    struct mring_spin spin = { 0 };
    unsigned looks = 0;

    for (unsigned i = 0; i < 100 * MRING_SPIN_TRIAL; i++)
        looks += looks_of(&spin, 1, looks % 2 == 0);

    cr_expect_leq(looks, 100 * 4);
}
