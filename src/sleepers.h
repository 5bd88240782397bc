/* SPDX-License-Identifier: MIT */
/*
 * Who sleeps on an event, for a system that does not find out by the memory that is slept on, or
 * does not say how many it has woken. For src/wait_*.c. There is no system call in here, so that a
 * model checker can drive all of it: tests/model/sleepers.c.
 *
 * All in one process (id is 0): sleepers[0] is their number. The system wakes them by the address
 * of the epoch, which it compares before it lets anybody sleep.
 *
 *      sleeper                                    waker
 *      A1 add(sleepers[0], 1)                     N3 add(epoch, 1), in mring_event_wake()
 *      A2 fence_seq_cst                      <--> B1 fence_seq_cst
 *         sleep while epoch is what it was        B2 load(sleepers[0]): wake so many
 *      A3 add(sleepers[0], -1)
 *      A4 fence_seq_cst
 *         the caller looks again
 *
 *   A2 <-> B1  either the waker counts the sleeper, or the system finds that the epoch has changed.
 *   A4 <-> B1  who is still counted but awake already sees in its look what was published before
 *              B1, as if it had been woken. So when B2 says less than `most`, nobody is left out.
 *              It may say more than were asleep: of those that are awake, and again of one that
 *              several wakers find before it goes.
 *
 * In several processes: a sleeper waits for a system's object of its own, whose name is made of id
 * and its ticket. It enters the ticket into a slot, from which the waker takes it.
 *
 *      sleeper                                    waker
 *         make the object                         N3 add(epoch, 1), in mring_event_wake()
 *      S1 cas(slot, 0 -> ticket)                  K1 fence_seq_cst
 *      S2 fence_seq_cst                      <--> K2 load(slot): a ticket
 *      S3 load(epoch): changed? to S4                open the object by its name
 *         wait for the object                     K3 cas(slot, ticket -> 0)
 *      S4 cas(slot, ticket -> 0)                     both done: signal the object, count it
 *         destroy the object, look again
 *
 *   S2 <-> K1  store buffering: either the waker finds the ticket or the sleeper the new epoch.
 *   K3 -> S4   a sleeper that does not find its ticket was counted. It sees what was published
 *              before K3, whether the signal has reached it or it came back for another reason,
 *              such as the end of its time.
 *   S1 -> K2   the object of a ticket that is found in a slot was made before, and its sleeper
 *              destroys it only after S4. So if it is not there, nobody sleeps under this ticket:
 *              its sleeper has died, and K3 frees its slot without counting anybody; or it is
 *              back, and K3 finds nothing. Before that one sleeps again, W3 shows it what was
 *              published before K1.
 *
 * A sleeper that was counted may come back, arm again, and be counted a second time by the same
 * waker in another slot. With a limit another one may be left asleep for that; then as many were
 * counted as may be, and nobody is acknowledged (N5). An object that is there but cannot be opened
 * stays in its slot, and the waker says that it has left somebody out.
 *
 * Tickets are never used twice, so a slot that has the same ticket as before was not changed in
 * between. A waker that dies after K3 leaves a sleeper that nobody knows; its slice ends.
 */
#ifndef MRING_SLEEPERS_H
#define MRING_SLEEPERS_H

#include <mring/wait.h>

#ifndef SLEEPERS_SLOTS
#define SLEEPERS_SLOTS MRING_EVENT_SLEEPERS
#endif

/* ---- in one process -------------------------------------------------------------------------- */

/* Before the system is asked to sleep while the epoch is what it was. */
static inline void sleepers_come(struct mring_event *event)
{
    /* A1. Relaxed: the fence orders it. */
    mring_add_relaxed_u64(&event->sleepers[0], 1);

    /* A2, pairs with B1. */
    mring_fence_seq_cst();
}

/* After that. */
static inline void sleepers_go(struct mring_event *event)
{
    /* A3. Relaxed, as above. */
    mring_add_relaxed_u64(&event->sleepers[0], UINT64_MAX);

    /* A4, pairs with B1. */
    mring_fence_seq_cst();
}

/* How many there are to wake; the epoch has changed. */
static inline uint64_t sleepers_count(struct mring_event *event)
{
    /* B1, pairs with A2 and A4. */
    mring_fence_seq_cst();

    /* B2. Relaxed: the fence orders it. */
    return mring_load_relaxed_u64(&event->sleepers[0]);
}

/* ---- in several processes -------------------------------------------------------------------- */

/* A number that no other sleeper on this event has, nor has had; never 0. */
static inline uint64_t sleepers_ticket(struct mring_event *event)
{
    /* Relaxed: all that counts is that it differs. */
    return mring_add_relaxed_u64(&event->tickets, 1) + 1;
}

/* Change a slot; false: it has another value. */
static inline bool sleepers_change(mring_atomic_u64 *slot, uint64_t from, uint64_t to)
{
    uint64_t found = from;

    while (!mring_cas_acq_rel_u64(slot, &found, to))
        if (found != from)
            return false;
    return true;
}

/* Enter a ticket, whose object is there. The slot, or NULL: none is free. */
static inline mring_atomic_u64 *sleepers_enter(struct mring_event *event, uint64_t ticket)
{
    mring_atomic_u64 *slot = NULL;

    /* S1, pairs with K2. */
    for (unsigned i = 0; i < SLEEPERS_SLOTS && slot == NULL; i++)
        if (sleepers_change(&event->sleepers[i], 0, ticket))
            slot = &event->sleepers[i];

    /* S2, pairs with K1. */
    mring_fence_seq_cst();
    return slot;
}

/* Whether who has entered may wait now. */
static inline bool sleepers_may_sleep(struct mring_event *event, uint32_t expected)
{
    /* S3. Relaxed: the fence orders it, and the caller looks again in any case. */
    return mring_load_relaxed_u32(&event->epoch) == expected;
}

/* Done with it, however that came. */
static inline void sleepers_leave(mring_atomic_u64 *slot, uint64_t ticket)
{
    /* S4, pairs with K3. */
    sleepers_change(slot, ticket, 0);
}

/* To be called once before a waker takes tickets; the epoch has changed. */
static inline void sleepers_begin_wake(void)
{
    /* K1, pairs with S2. */
    mring_fence_seq_cst();
}

/* The ticket in a slot, whose object is to be opened. 0: there is none. */
static inline uint64_t sleepers_look(const struct mring_event *event, unsigned slot)
{
    /* K2, pairs with S1. */
    return mring_load_acquire_u64(&event->sleepers[slot]);
}

/* Take it out; false: its sleeper or another waker has been faster. */
static inline bool sleepers_take(struct mring_event *event, unsigned slot, uint64_t ticket)
{
    /* K3, pairs with S4. */
    return sleepers_change(&event->sleepers[slot], ticket, 0);
}

#endif
