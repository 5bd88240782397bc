/* SPDX-License-Identifier: MIT */
/*
 * The eventcount: one notifier publishes messages, one waiter wants all of them. The harness
 * defines the system calls of the protocol itself: a sleeper is a flag behind a lock, which is what
 * the kernel's queue of a futex comes to; so is a descriptor.
 *
 * Nothing here waits. A waiter that is asleep looks once whether it was woken; if not, it is left
 * where it is. Finally, with everything published, nobody may be asleep.
 *
 * Options:
 *   MESSAGES=1        2 is the default: a woken waiter that has to sleep again
 *   WANTED=MESSAGES   the waiter waits for all messages at once and not for the next one
 *   DESCRIPTOR        it waits for a descriptor
 *   BARRIER           for a checker only: W3 is mring_os_barrier(), N1 nothing. The notifier
 *                     executes a fence for it before, at or after its fence N1, and at its end
 *   DEATH=0, 1, 2     whoever notifies of the first message dies after N2, N3, N4; what comes then
 *                     is another notifier's
 *
 * Controls that must fail: BREAK_W2, BREAK_W3, BREAK_N1, BREAK_N3; BREAK_W0; with two messages
 * BREAK_N5 and BREAK_ONE_WORD; with DEATH=0 BREAK_CLEAR_FIRST; with BARRIER BREAK_BARRIER, which
 * orders the waiter alone. The orders of W1, W2, N2 and N3 have no control: the fences next to them
 * order the same accesses.
 */
#include "model.h"

#ifdef BARRIER
static void maybe_fence(void);
#define mring_fence_compiler() maybe_fence()
#endif
#include <mring/wait.h>

#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef WANTED
#define WANTED (seen + 1)
#endif
#ifndef DEATH
#define DEATH 3 /* nobody dies */
#endif

#ifdef DESCRIPTOR
static const enum mring_manner MANNER = MRING_MANNER_DESCRIPTOR;
enum { EVENTFD = 0 };
#else
static const enum mring_manner MANNER = MRING_MANNER_SLEEP;
enum { EVENTFD = -1 };
#endif

#ifdef BARRIER
static const enum mring_fencing FENCING = MRING_FENCING_WAITER;
#else
static const enum mring_fencing FENCING = MRING_FENCING_BOTH_SIDES;
#endif

static struct mring_event event;
static mring_atomic_u64 published;

/* ---- the system ------------------------------------------------------------------------------ */

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static bool asleep;

/* The kernel compares the word and puts the caller into the queue under one lock. */
void mring_os_sleep(struct mring_event *place, uint32_t expected, int64_t timeout_ns)
{
    (void)timeout_ns;
    pthread_mutex_lock(&queue_lock);
    if (mring_load_relaxed_u32(&place->epoch) == expected)
        asleep = true;
    pthread_mutex_unlock(&queue_lock);
}

/* Who polls it finds it readable, now or later. */
static bool readable;

/* Whoever is woken is acknowledged afterwards: a notifier that dies in between has not done it. */
static void wake(bool by_descriptor)
{
#ifndef BREAK_CLEAR_FIRST
    model_require(mring_load_relaxed_u32(&event.ack) != mring_load_relaxed_u32(&event.arm),
                  "the wake comes before its acknowledgement");
#endif
    model_require(by_descriptor == (MANNER == MRING_MANNER_DESCRIPTOR),
                  "who waits for a descriptor is told by it, and nobody else");
    pthread_mutex_lock(&queue_lock);
    asleep = false;
    readable = by_descriptor;
    pthread_mutex_unlock(&queue_lock);
}

uint32_t mring_os_wake(struct mring_event *place, uint32_t most)
{
    (void)most;
    (void)place;
    wake(false);
    return 0;
}

void mring_os_signal(int fd)
{
    (void)fd;
    wake(true);
}

static void clear_descriptor(void)
{
    pthread_mutex_lock(&queue_lock);
    readable = false;
    pthread_mutex_unlock(&queue_lock);
}

static void poll_descriptor(void)
{
    pthread_mutex_lock(&queue_lock);
    asleep = !readable;
    pthread_mutex_unlock(&queue_lock);
}

static bool is_asleep(void)
{
    pthread_mutex_lock(&queue_lock);
    bool result = asleep;
    pthread_mutex_unlock(&queue_lock);
    return result;
}

/* ---- the barrier ----------------------------------------------------------------------------- */

#ifdef BARRIER
#ifndef MRING_MODEL_CHECK
#error "a barrier that is only a model is none for real threads"
#endif

void __VERIFIER_assume(bool condition) __attribute__((__nothrow__));

static mring_atomic_u32 wanted_barriers, done_barriers, notifier_ended;

/* The notifier is interrupted, or is not yet. */
static void maybe_fence(void)
{
    uint32_t wanted = mring_load_acquire_u32(&wanted_barriers);

    if (wanted == mring_load_relaxed_u32(&done_barriers))
        return;
    mring_fence_seq_cst();
    mring_store_release_u32(&done_barriers, wanted);
}

/* Comes back when the notifier was interrupted, or runs no more. */
static void interrupt_notifier(void)
{
    uint32_t wanted = mring_add_release_u32(&wanted_barriers, 1) + 1;
    bool ended = mring_load_acquire_u32(&notifier_ended) != 0;

    __VERIFIER_assume(ended || mring_load_acquire_u32(&done_barriers) == wanted);
}

void mring_os_barrier(void)
{
    mring_fence_seq_cst();
#ifndef BREAK_BARRIER
    interrupt_notifier();
    mring_fence_seq_cst();
#endif
}
#else
static mring_atomic_u32 notifier_ended;

static void maybe_fence(void)
{
}

void mring_os_barrier(void)
{
}
#endif

/* ---- the eventcount -------------------------------------------------------------------------- */

#if defined(BREAK_ONE_WORD) || defined(BREAK_CLEAR_FIRST)
/* The eventcounts that everybody writes first: bit 0 of the epoch says that somebody waits. */
static uint32_t prepare(uint64_t wanted)
{
    uint32_t epoch = mring_load_acquire_u32(&event.epoch);

    (void)wanted;
    if ((epoch & 1) == 0)
        epoch = mring_add_release_u32(&event.epoch, 1) + 1;
    mring_fence_seq_cst();
    return epoch;
}

/* The bit is cleared after the wake, or before. */
static void notify(uint64_t pos, unsigned death)
{
    (void)pos;
    mring_fence_seq_cst();
    if ((mring_load_relaxed_u32(&event.epoch) & 1) == 0)
        return;
#ifdef BREAK_CLEAR_FIRST
    mring_add_release_u32(&event.epoch, 1);
    if (death == 0)
        return;
    wake(false);
#else
    if (death == 0)
        return;
    mring_os_wake(&event, MRING_WAKE_ALL);
    mring_add_release_u32(&event.epoch, 1);
#endif
}
#else
static uint32_t prepare(uint64_t wanted)
{
#ifdef BREAK_W0
    uint32_t epoch =
        mring_event_prepare(&event, mring_load_relaxed_u64(&event.wanted), MANNER, FENCING);
    mring_store_relaxed_u64(&event.wanted, wanted);
    return epoch;
#else
    return mring_event_prepare(&event, wanted, MANNER, FENCING);
#endif
}

static void notify(uint64_t pos, unsigned death)
{
    bool armed = mring_event_is_armed(&event, FENCING) && mring_event_is_reached(&event, pos);

    maybe_fence();
    if (!armed || death == 0)
        return;
    if (death > 2) {
        mring_event_wake(&event, EVENTFD, MRING_WAKE_ALL);
        return;
    }
    mring_add_release_u32(&event.epoch, 1);
    if (death == 2)
        wake(MANNER == MRING_MANNER_DESCRIPTOR);
}
#endif

static void *publish(void *context)
{
    for (uint64_t message = 1; message <= MESSAGES; message++) {
        maybe_fence();
        mring_store_release_u64(&published, message);
        notify(message, message == 1 ? DEATH : 3);
    }
    maybe_fence();
    mring_store_release_u32(&notifier_ended, 1);
    return context;
}

static void *await(void *context)
{
    uint64_t seen = 0;

    /* One round more than there can be wakes. */
    for (int round = 0; round <= MESSAGES; round++) {
        if (MANNER == MRING_MANNER_DESCRIPTOR)
            clear_descriptor();
        uint32_t epoch = prepare(WANTED);
        seen = mring_load_acquire_u64(&published);
        if (seen == MESSAGES)
            break;
        if (MANNER == MRING_MANNER_DESCRIPTOR)
            poll_descriptor();
        else
            mring_os_sleep(&event, epoch, -1);
        if (is_asleep())
            break;
    }
    return context;
}

static void scenario(void)
{
    mring_store_relaxed_u32(&event.epoch, 0);
    mring_store_relaxed_u32(&event.arm, 0);
    mring_store_relaxed_u32(&event.ack, 0);
    mring_store_relaxed_u32(&event.manner, 0);
    mring_store_relaxed_u64(&event.wanted, 100); /* somebody has wanted much more before */
    mring_store_relaxed_u64(&published, 0);
    asleep = readable = false;

    model_run(publish, await);

    model_require(!asleep, "nobody sleeps although everything was published");
}

int main(void)
{
    return model_main(scenario);
}
