/* SPDX-License-Identifier: MIT */
/*
 * What a wait does before it sleeps, over the real src/spsc.c, which is compiled in: its pauses and
 * its looks at the clock are this file's, so that an answer comes at a certain look.
 */
#include "ring_support.h"

static void on_pause(void);
static int64_t on_clock(void);

#define mring_pause()  on_pause()
#define mring_os_now() on_clock()
#include "../../src/spsc.c"
#include "../../src/waiter.c"

/* After so many pauses, a byte is committed. */
static unsigned pauses_before_answer;
static struct mring_spsc *answered;
static unsigned clock_reads;

static void on_pause(void)
{
    if (pauses_before_answer > 0 && --pauses_before_answer == 0)
        cr_assert(put(answered, 1));
}

static int64_t on_clock(void)
{
    return ++clock_reads;
}

/* Wait for a byte that comes after so many pauses. */
static int wait_for_answer(struct mring_spsc *ring, unsigned pauses)
{
    answered = ring;
    pauses_before_answer = pauses;
    clock_reads = 0;
    return mring_spsc_wait_readable(ring, 1, -1);
}

Test(mring_spsc_wait, does_not_read_the_clock_for_an_answer_that_comes_at_once, .timeout = 5)
{
    struct mring_spsc ring = new_ring(0);

    cr_expect_eq(wait_for_answer(&ring, LOOKS_PER_CLOCK), 0);
    cr_expect_eq(clock_reads, 0);
    cr_assert(take(&ring, 1));
    cr_expect_eq(wait_for_answer(&ring, LOOKS_PER_CLOCK + 1), 0);
    cr_expect_gt(clock_reads, 0);

    mring_spsc_destroy(&ring);
}

Test(mring_spsc_wait, is_paid_back_by_every_answer_before_the_sleep, .timeout = 5)
{
    static const unsigned pauses[] = { 1, LOOKS_PER_CLOCK, LOOKS_PER_CLOCK + 1 };
    struct mring_spsc ring = new_ring(0);

    for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
        ring.read_spin.debt = MRING_SPIN_DEBT_LIMIT;
        cr_expect_eq(wait_for_answer(&ring, pauses[i]), 0);
        cr_expect_eq(ring.read_spin.debt, MRING_SPIN_DEBT_LIMIT - 1, "%u pauses", pauses[i]);
        cr_assert(take(&ring, 1));
    }

    mring_spsc_destroy(&ring);
}
