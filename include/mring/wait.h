/* SPDX-License-Identifier: MIT */
/*
 * Eventcount: sleep until the other side moves. For the authors of rings; users call the _wait and
 * _arm calls of a ring.
 *
 * A waiter says what it waits for, announces itself, looks once more, and sleeps: on a futex, or,
 * in a server's poll loop, on a descriptor. A notifier publishes, looks whether anybody announced
 * himself, and only then makes a system call. So there is no system call while the other side is
 * awake.
 *
 *      waiter                                     notifier
 *      W0 store_relaxed(wanted, manner)           publish (the ring's own release store)
 *      W1 load_acquire(epoch)    <--------+    N1 fence_seq_cst, or nothing (below)
 *      W2 add_release(arm, 1)    ---------|--> N2 load_acquire(arm), load_relaxed(ack)
 *      W3 fence_seq_cst                   |          equal: nobody waits, done
 *         look again: enough? done        |          wanted not reached: done
 *      W4 sleep while epoch is W1's value +--- N3 add_release(epoch, 1)
 *         look again                           N4 wake sleepers, or write to the descriptor
 *                                              N5 store_relaxed(ack, the value of arm before N3)
 *
 *   W3 <-> N1  store buffering: either the waiter's second look sees what was published, or the
 *              notifier sees the waiter's arm. Release and acquire do not give this, on x86 either.
 *   W2 -> N2   a notifier that sees this arm also sees what is wanted, and how to wake.
 *   N3 -> W1   a waiter that starts after N3 and sees the new epoch also sees what was published.
 *   N3 -> W4   a waiter counted in arm that is not asleep yet finds epoch changed, does not sleep.
 *   N5         comes after the wake, and never exceeds what was woken: a notifier that dies between
 *              N2 and N5 leaves arm != ack, and the next notify wakes. If it was the last one ever,
 *              the waiter's slice (MRING_WAIT_SLICE_NS) ends and it looks for itself. A waiter that
 *              dies, or finds enough in its second look and does not sleep, costs one wake that
 *              nobody hears.
 *
 * The fence of N1 costs more than all the rest of a small message, and whoever publishes pays it
 * each time, for the sake of a sleeper who is hardly ever there. Where the system can order the
 * accesses of the other processors from outside (mring_os_barrier: Linux' membarrier), W3 is that
 * call, which sleepers can afford, and N1 only keeps the compiler from reordering (asymmetric
 * fences: Dice, Huang and Yang, "Asymmetric Dekker Synchronization", 2001).
 *
 * Only waiters write wanted, manner and arm; only notifiers write epoch and ack. arm is what
 * distinguishes this from an eventcount with a "somebody waits" bit in the epoch, which loses a
 * wake-up: if the bit is cleared after the wake, when a woken waiter sets it again just before; if
 * it is cleared before the wake, when the notifier dies between the two.
 *
 * The protocol is checked under RC11 and IMM for one waiter and one notifier, with fences and with
 * the barrier, and with either of them dead in between: tests/model/event.c. Without either fence,
 * and for both eventcounts of the last paragraph, the checker finds the lost wake-up. The wait loop
 * and the system calls are in the ring's .c file and in src/wait_*.c.
 */
#ifndef MRING_WAIT_H
#define MRING_WAIT_H

#include <mring/atomic.h>

MRING_BEGIN_DECLS

/* ---- types ----------------------------------------------------------------------------------- */

/* How a waiter is woken. */
enum mring_manner {
    MRING_MANNER_SLEEP = 0,     /* it sleeps on epoch */
    MRING_MANNER_DESCRIPTOR = 1 /* it waits for a descriptor to become readable */
};

/* Of more that sleep on one event, some look for themselves, where sleepers have slots at all. */
#define MRING_EVENT_SLEEPERS 11

/* In memory shared by both sides; zeros to begin with. Part of the format of named rings. */
struct mring_event {
    mring_atomic_u32 epoch;  /* number of wakes; the word to sleep on. Written by notifiers */
    mring_atomic_u32 arm;    /* number of times somebody prepared to sleep. Written by waiters */
    mring_atomic_u32 ack;    /* the value of arm up to which all were woken. Written by notifiers */
    mring_atomic_u32 manner; /* enum mring_manner. Written by waiters, before arm */

    /* The position that the waiter waits for: before it is reached, waking it is in vain. Written
       by waiters, before arm. */
    mring_atomic_u64 wanted;

    /* Where the system finds the sleepers by the memory that they sleep on, the rest stays zero.
       Elsewhere (Windows) it finds those of one process only, and those of several meet here:
       src/wait_windows.c. */

    /* What the names of the sleepers' own events are made of; 0: all are in one process. Written
       once, before the ring's name is visible. */
    uint64_t id;
    mring_atomic_u64 tickets; /* number of sleepers so far. Written by waiters */
    /* 0, or the ticket of a sleeper. Written by waiters, and by notifiers that take one out. */
    mring_atomic_u64 sleepers[MRING_EVENT_SLEEPERS];
};

MRING_STATIC_ASSERT(offsetof(struct mring_event, epoch) == 0, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_event, arm) == 4, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_event, ack) == 8, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_event, manner) == 12, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_event, wanted) == 16, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_event, id) == 24, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_event, tickets) == 32, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_event, sleepers) == 40, "format");
MRING_STATIC_ASSERT(sizeof(struct mring_event) == 128, "format");

/* Who pays for the order of W3 and N1. The same for all members of a ring. */
enum mring_fencing {
    MRING_FENCING_NONE = 0,      /* nobody ever sleeps: there is nothing to order */
    MRING_FENCING_WAITER = 1,    /* W3 is mring_os_barrier(), N1 nothing but the compiler's order */
    MRING_FENCING_BOTH_SIDES = 2 /* both are fences */
};

/*
 * Whether it pays to keep looking for a while before sleeping: learned by each waiter from its last
 * waits, private to it. It pays when the other side runs now, on a processor of its own. When it
 * does not, because it is idle or because the waiter has the processor that it needs, looking only
 * takes time from others. Zeros to begin with: it pays.
 */
struct mring_spin {
    uint32_t debt;   /* what looking in vain has cost, less what successes have paid back */
    uint32_t waits;  /* number of waits without credit */
    int64_t spin_ns; /* 0: as learned; more: always so long; less: never */
};

/* A sleeper looks around for itself after this time at the latest, whatever its timeout is. */
#ifndef MRING_WAIT_SLICE_NS
#define MRING_WAIT_SLICE_NS ((int64_t)50000000)
#endif

/* ---- the system's part ----------------------------------------------------------------------- */

/*
 * Sleep for as long as the epoch is `expected`, at most `timeout_ns`; may return early at any time.
 * macOS before 14.4 and the BSDs can't be told whom to wake in other processes: there a sleeper
 * takes naps of 50 us to 1 ms, and every change of the epoch wakes all.
 */
MRING_API void mring_os_sleep(struct mring_event *event, uint32_t expected, int64_t timeout_ns);

/*
 * Wake up to `most` sleepers of the event, in all processes; its epoch has changed. Returns their
 * number: less than `most` only when nobody who could still be asleep was left out.
 */
MRING_API uint32_t mring_os_wake(struct mring_event *event, uint32_t most);

/* A number for struct mring_event's id that no other ring of this machine has; 0: not needed. */
MRING_API uint64_t mring_os_event_id(void);

/*
 * Make a descriptor readable, and unreadable again: an eventfd that does not block; on macOS and
 * the BSDs a kqueue, and what is no kqueue is left alone.
 */
MRING_API void mring_os_signal(int fd);
MRING_API void mring_os_clear(int fd);

/*
 * Have every running thread of every process that called mring_os_join_barriers() execute a full
 * fence, and the calling thread, too, before the call returns.
 */
MRING_API void mring_os_barrier(void);

/* Take part in such barriers, and all processes forked from here on. False: the system has none. */
MRING_API bool mring_os_join_barriers(void);

/* A clock in nanoseconds that only goes forward; that of deadlines, too. */
MRING_API int64_t mring_os_now(void);

/* For debug builds: a number of this process, never 0, that those have not that it forks after the
   first call. */
MRING_API uint32_t mring_os_process(void);

/* ---- the waiter ------------------------------------------------------------------------------ */

/*
 * Announce a sleep. Look again after this call; if there is still nothing, sleep on `epoch` while
 * it has the value returned, or on the descriptor.
 *
 *   wanted    the position from which on a wake makes sense
 *   thread    the waiter; wait-free (a system call with MRING_FENCING_WAITER)
 */
MRING_INTERNAL uint32_t mring_event_prepare(struct mring_event *event, uint64_t wanted,
                                            enum mring_manner manner, enum mring_fencing fencing)
{
    /* W0: relaxed, W2 publishes them. */
    mring_store_relaxed_u64(&event->wanted, wanted);
    mring_store_relaxed_u32(&event->manner, (uint32_t)manner);

    /* W1, pairs with N3: whoever sees the new epoch also sees what was published before it. */
    uint32_t epoch = mring_load_acquire_u32(&event->epoch);

    /* W2, pairs with N2: with the arm, W0 is seen. */
    mring_add_release_u32(&event->arm, 1);

    /* W3, pairs with N1. */
    if (fencing == MRING_FENCING_WAITER)
        mring_os_barrier();
    else
        mring_fence_seq_cst();
    return epoch;
}

/* ---- the notifier ---------------------------------------------------------------------------- */

/*
 * Whether somebody waits. Ask after the store that he waits for.
 *
 *   thread    the notifier; wait-free
 */
MRING_INTERNAL bool mring_event_is_armed(struct mring_event *event, enum mring_fencing fencing)
{
    /* N1, pairs with W3. */
    if (fencing == MRING_FENCING_WAITER)
        mring_fence_compiler();
    else
        mring_fence_seq_cst();

    /* N2, pairs with W2: who sees the arm sees W0. N1 orders it against the store that is to be
       seen. ack: relaxed, the notifier's own word, or that of one that is dead. */
    return mring_load_acquire_u32(&event->arm) != mring_load_relaxed_u32(&event->ack);
}

/* The same for a further event, right after the first: one N1 does for both. */
MRING_INTERNAL bool mring_event_is_armed_too(const struct mring_event *event)
{
    /* N2, as above. */
    return mring_load_acquire_u32(&event->arm) != mring_load_relaxed_u32(&event->ack);
}

/* Whether waking the waiter makes sense at this position, if there is one. */
MRING_INTERNAL bool mring_event_is_reached(struct mring_event *event, uint64_t pos)
{
    /* Relaxed: N2 has made W0 visible. */
    return (int64_t)(pos - mring_load_relaxed_u64(&event->wanted)) >= 0;
}

/* As many as there are. */
#define MRING_WAKE_ALL ((uint32_t)INT32_MAX)

/*
 * Wake waiters: all of them, or up to `most` of those that sleep. Call it when
 * mring_event_is_armed() said so.
 *
 *   fd        what to signal if a waiter waits for a descriptor; less than 0: there is none
 *   returns   the number of sleepers that were woken
 *   thread    the notifier; wait-free: one system call; on macOS and Windows, where sleepers are
 *             woken one by one unless all of them are, a few for each of `most`
 */
MRING_INTERNAL uint32_t mring_event_wake(struct mring_event *event, int fd, uint32_t most)
{
    /* N2 once more, for N5: whoever is counted here is woken below. */
    uint32_t arm = mring_load_acquire_u32(&event->arm);

    /* N3, pairs with W1; the value is compared again by the kernel in W4. */
    mring_add_release_u32(&event->epoch, 1);

    /* N4. Relaxed: N2 has made W0 visible. */
    uint32_t woken = 0;
    if (fd >= 0 && mring_load_relaxed_u32(&event->manner) == MRING_MANNER_DESCRIPTOR)
        mring_os_signal(fd);
    else
        woken = mring_os_wake(event, most);

    /* N5: relaxed, since a stale value of ack only costs a wake that nobody needed. Whoever sleeps
       beyond `most` stays unacknowledged: the next notifier tries again. */
    if (woken < most)
        mring_store_relaxed_u32(&event->ack, arm);
    return woken;
}

/* ---- spinning -------------------------------------------------------------------------------- */

/* In units of one success: a look in vain costs more than a success saves. */
#define MRING_SPIN_COST       3u
#define MRING_SPIN_DEBT_LIMIT 8u

/* Without credit, look all the same in one wait out of these, to find out whether it pays again. */
#define MRING_SPIN_TRIAL 64u

/* Whether looking has paid of late, or is wished. */
MRING_INTERNAL bool mring_spin_has_credit(const struct mring_spin *spin)
{
    return spin->spin_ns != 0 ? spin->spin_ns > 0 : spin->debt <= MRING_SPIN_DEBT_LIMIT;
}

/*
 * Whether this wait should look for a while before it sleeps.
 *
 *   thread    the waiter; wait-free
 */
MRING_INTERNAL bool mring_spin_pays(struct mring_spin *spin)
{
    if (mring_spin_has_credit(spin) || spin->spin_ns < 0)
        return spin->spin_ns >= 0;
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
