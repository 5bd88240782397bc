/* SPDX-License-Identifier: MIT */
/*
 * Eventcount: sleep until the other side moves. For the authors of rings; users call the _wait
 * calls of a ring.
 *
 * A waiter announces itself, looks once more, and sleeps. A notifier publishes, looks whether
 * anybody announced himself, and only then makes a system call. So nothing is paid but one fence
 * while the other side is awake.
 *
 *      waiter                                     notifier
 *      W1 load_acquire(epoch)    <--------+          publish (the ring's own release store)
 *      W2 add_relaxed(arm, 1)             |       N1 fence_seq_cst
 *      W3 fence_seq_cst                   |       N2 load_relaxed(arm), load_relaxed(ack)
 *         look again: enough? done        |          equal: nobody waits, done
 *      W4 sleep while epoch is W1's value +------ N3 add_release(epoch, 1)
 *         look again                              N4 wake all sleepers
 *                                                 N5 store_relaxed(ack, the value of arm in N2)
 *
 *   W3 <-> N1  store buffering: either the waiter's second look sees what was published, or the
 *              notifier sees the waiter's arm. Release and acquire do not give this, on x86 either.
 *   N3 -> W1   a waiter that starts after N3 and sees the new epoch also sees what was published.
 *   N3 -> W4   a waiter counted in N2 that is not asleep yet finds epoch changed, does not sleep.
 *   N5         comes after the wake, and never exceeds what was woken: a notifier that dies between
 *              N2 and N5 leaves arm != ack, and the next notify wakes. If it was the last one ever,
 *              the waiter's slice (MRING_WAIT_SLICE_NS) ends and it looks for itself. A waiter that
 *              dies, or finds enough in its second look and does not sleep, costs one wake that
 *              nobody hears.
 *
 * Only waiters write arm; only notifiers write epoch and ack. arm is what distinguishes this from
 * an eventcount with a "somebody waits" bit in the epoch, which loses a wake-up when a woken waiter
 * sets the bit again just before the notifier clears it.
 *
 * The protocol is checked under RC11 and IMM for one waiter and one notifier, and without either
 * fence the checker finds the lost wake-up: tests/model/event.c. The wait loop and the system calls
 * are in the ring's .c file and in src/wait_*.c.
 */
#ifndef MRING_WAIT_H
#define MRING_WAIT_H

#include <mring/atomic.h>

MRING_BEGIN_DECLS

/* In memory shared by both sides; zeros to begin with. Part of the format of named rings. */
struct mring_event {
    mring_atomic_u32 epoch; /* number of wakes; the word to sleep on. Written by notifiers */
    mring_atomic_u32 arm;   /* number of times somebody prepared to sleep. Written by waiters */
    mring_atomic_u32 ack;   /* the value of arm up to which all were woken. Written by notifiers */
};

MRING_STATIC_ASSERT(sizeof(struct mring_event) == 12, "format");

/*
 * Whether it pays to keep looking for a while before sleeping: learned by each waiter from its last
 * waits, private to it. It pays when the other side runs now, on a processor of its own. When it
 * does not, because it is idle or because the waiter has the processor that it needs, looking only
 * takes time from others. Zeros to begin with: it pays.
 */
struct mring_spin {
    uint32_t debt;  /* what looking in vain has cost, less what successes have paid back */
    uint32_t waits; /* number of waits without credit */
};

/* A sleeper looks around for itself after this time at the latest, whatever its timeout is. */
#define MRING_WAIT_SLICE_NS ((int64_t)50000000)

/* Sleep for as long as *word is `expected`, at most `timeout_ns`; may return early at any time. */
MRING_API void mring_os_sleep(mring_atomic_u32 *word, uint32_t expected, int64_t timeout_ns);

/* Wake all sleepers on *word, in all processes. */
MRING_API void mring_os_wake(mring_atomic_u32 *word);

/* A clock in nanoseconds that only goes forward. */
MRING_API int64_t mring_os_now(void);

/*
 * Announce a sleep. Look again after this call; if there is still nothing, sleep on `epoch` while
 * it has the value returned.
 *
 *   thread    the waiter; wait-free
 */
MRING_INTERNAL uint32_t mring_event_prepare(struct mring_event *event)
{
    /* W1, pairs with N3: whoever sees the new epoch also sees what was published before it. */
    uint32_t epoch = mring_load_acquire_u32(&event->epoch);

    /* W2: relaxed, since the fence orders it against the look that follows. */
    mring_add_relaxed_u32(&event->arm, 1);

    /* W3, pairs with N1. */
    mring_fence_seq_cst();
    return epoch;
}

/*
 * Wake the waiters, if there are any. Call it after the store that they wait for.
 *
 *   thread    the notifier; wait-free, and one system call if somebody waits
 */
MRING_INTERNAL void mring_event_notify(struct mring_event *event)
{
    /* N1, pairs with W3. */
    mring_fence_seq_cst();

    /* N2: relaxed, the fence before it orders it against the store that is to be seen. */
    uint32_t arm = mring_load_relaxed_u32(&event->arm);
    if (arm == mring_load_relaxed_u32(&event->ack))
        return;

    /* N3, pairs with W1; the value is compared again by the kernel in W4. */
    mring_add_release_u32(&event->epoch, 1);
    mring_os_wake(&event->epoch);

    /* N5: relaxed, since a stale value of ack only costs a wake that nobody needed. */
    mring_store_relaxed_u32(&event->ack, arm);
}

/* In units of one success: a look in vain costs more than a success saves. */
#define MRING_SPIN_COST       3u
#define MRING_SPIN_DEBT_LIMIT 8u

/* Without credit, look all the same in one wait out of these, to find out whether it pays again. */
#define MRING_SPIN_TRIAL 64u

/*
 * Whether this wait should look for a while before it sleeps.
 *
 *   thread    the waiter; wait-free
 */
MRING_INTERNAL bool mring_spin_pays(struct mring_spin *spin)
{
    if (spin->debt <= MRING_SPIN_DEBT_LIMIT)
        return true;
    return ++spin->waits % MRING_SPIN_TRIAL == 0;
}

/*
 * What a wait that looked for a while came to: `hit`, it found what it waited for before it slept.
 *
 *   thread    the waiter; wait-free
 */
MRING_INTERNAL void mring_spin_learn(struct mring_spin *spin, bool hit)
{
    if (!hit && spin->debt <= MRING_SPIN_DEBT_LIMIT)
        spin->debt += MRING_SPIN_COST;
    else if (hit && spin->debt > MRING_SPIN_DEBT_LIMIT)
        spin->debt = MRING_SPIN_DEBT_LIMIT;
    else if (hit && spin->debt > 0)
        spin->debt--;
}

MRING_END_DECLS

#endif
