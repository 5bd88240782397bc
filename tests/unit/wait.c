/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE

#include "support.h"

#include <criterion/criterion.h>
#include <mring/wait.h>

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
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
    mring_atomic_u32 word = { 7 };
    int64_t before = mring_os_now();

    mring_os_sleep(&word, 6, 60 * SECOND);

    cr_expect_lt(mring_os_now() - before, 2 * SECOND);
}

/* Sleeping may end early by chance, so the shortest of all would prove nothing. */
Test(mring_os_sleep, ends_after_the_timeout, .timeout = 5)
{
    mring_atomic_u32 word = { 7 };
    int64_t longest = 0;

    for (int try = 0; try < 3; try++) {
        int64_t before = mring_os_now();
        mring_os_sleep(&word, 7, 30 * MILLISECOND);
        int64_t elapsed = mring_os_now() - before;
        if (elapsed > longest)
            longest = elapsed;
    }

    cr_expect_geq(longest, 30 * MILLISECOND);
    cr_expect_lt(longest, 3 * SECOND);
}

/* As a ring does it that says nothing about positions. */
static uint32_t prepare(struct mring_event *event)
{
    return mring_event_prepare(event, 0, MRING_MANNER_SLEEP, MRING_FENCING_BOTH_SIDES);
}

static void notify(struct mring_event *event)
{
    if (mring_event_is_armed(event, MRING_FENCING_BOTH_SIDES))
        mring_event_wake(event, -1);
}

/* Sleep until woken, without the safety of a short timeout. */
static void sleep_until_ready(struct shared *shared)
{
    while (mring_load_acquire_u32(&shared->ready) == 0) {
        uint32_t epoch = prepare(&shared->event);
        if (mring_load_acquire_u32(&shared->ready) != 0)
            break;
        mring_os_sleep(&shared->event.epoch, epoch, 60 * SECOND);
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
