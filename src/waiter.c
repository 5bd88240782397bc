/* SPDX-License-Identifier: MIT */
/* Waiting at an end of a ring: look, look for a while, sleep. */
#include "waiter.h"

/*
 * How long to look before sleeping, where that pays (struct mring_spin), and how often per look at
 * the clock. The time is what a wake costs: a side that sleeps sooner than that makes both sides
 * sleep at every hand-over. Measured with ringcat, a ring of 4 KiB and an idle second core: 2 us of
 * looking move 131 - 160 MB/s, 10 us 518 - 576, 50 us 507 - 626, 200 us 548 - 653. With a core
 * that computes something else, never looking moves 218 - 234 MB/s, 50 us 34; learning which it
 * is gives 500 - 560 and 200 - 233.
 */
#define SPIN_NS         ((int64_t)50000)
#define LOOKS_PER_CLOCK 16

static int look(const struct waiter *waiter)
{
    return waiter->look(waiter->what, waiter->size);
}

/* Announce, look once more, sleep for a slice at most, and look. */
static int look_or_sleep(const struct waiter *waiter, int64_t rest_ns)
{
    uint32_t epoch =
        mring_event_prepare(waiter->event, waiter->wanted, MRING_MANNER_SLEEP, waiter->fencing);

    int err = look(waiter);
    if (err != MRING_TIMED_OUT)
        return err;
    mring_counter_add(&waiter->counters->sleeps, 1);
    mring_os_sleep(waiter->event, epoch,
                   rest_ns < MRING_WAIT_SLICE_NS ? rest_ns : MRING_WAIT_SLICE_NS);
    return look(waiter);
}

/* For less time than a look at the clock is worth. */
static int look_a_few_times(const struct waiter *waiter)
{
    int err = MRING_TIMED_OUT;

    for (int i = 0; i < LOOKS_PER_CLOCK && err == MRING_TIMED_OUT; i++) {
        mring_pause();
        err = look(waiter);
    }
    return err;
}

/* Look for a while, at most until `end`. */
static int look_for_a_while(const struct waiter *waiter, int64_t end)
{
    int err;

    do {
        err = look_a_few_times(waiter);
    } while (err == MRING_TIMED_OUT && mring_os_now() < end);
    return err;
}

/* Look for as long as that seems to pay, and learn whether it does. */
static int look_before_sleep(const struct waiter *waiter, int64_t now, int64_t deadline)
{
    int64_t spin_ns = waiter->spin->spin_ns > 0 ? waiter->spin->spin_ns : SPIN_NS;
    bool cut_short = deadline - now < spin_ns;

    if (!mring_spin_pays(waiter->spin))
        return MRING_TIMED_OUT;
    int err = look_for_a_while(waiter, cut_short ? deadline : now + spin_ns);
    if (err != MRING_TIMED_OUT || !cut_short)
        mring_spin_learn(waiter->spin, err != MRING_TIMED_OUT);
    return err;
}

static int wait_from(const struct waiter *waiter, int64_t now, int64_t deadline)
{
    if (deadline <= now)
        return MRING_TIMED_OUT;
    if (waiter->fencing == MRING_FENCING_NONE)
        return look_for_a_while(waiter, deadline);

    int err = look_before_sleep(waiter, now, deadline);
    while (err == MRING_TIMED_OUT && (now = mring_os_now()) < deadline)
        err = look_or_sleep(waiter, deadline - now);
    return err;
}

int mring_waiter_wait_until(const struct waiter *waiter, int64_t deadline_ns)
{
    return wait_from(waiter, mring_os_now(), deadline_ns);
}

int mring_waiter_wait(const struct waiter *waiter, int64_t timeout_ns)
{
    if (timeout_ns == 0)
        return MRING_TIMED_OUT;
    if (mring_spin_has_credit(waiter->spin)) {
        /* An answer is often there before the clock has been read. */
        int err = look_a_few_times(waiter);
        if (err != MRING_TIMED_OUT) {
            mring_spin_learn(waiter->spin, true);
            return err;
        }
    }
    int64_t now = mring_os_now();
    bool ever = timeout_ns < 0 || timeout_ns > INT64_MAX - now;
    return wait_from(waiter, now, ever ? INT64_MAX : now + timeout_ns);
}

/* Cleared before the last look: what is signalled after that is news. */
int mring_waiter_arm(const struct waiter *waiter, int fd)
{
    mring_os_clear(fd);
    mring_event_prepare(waiter->event, waiter->wanted, MRING_MANNER_DESCRIPTOR, waiter->fencing);

    int err = look(waiter);
    return err == MRING_TIMED_OUT ? waiter->not_yet : err;
}
