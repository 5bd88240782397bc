/* SPDX-License-Identifier: MIT */
/*
 * Sleeping where the system does not find the sleepers by their memory (src/sleepers.h): one waker
 * publishes, two sleepers want to see it. The system is defined here: an object is a flag that a
 * ticket belongs to; an address that is slept on, a queue behind a lock.
 *
 * Nothing here waits. Who would wait for an object whose signal never comes is found at the end.
 * What the caller of a sleep does is left out but for its look after it: who has come back for
 * another reason than a signal must see all of which it was told by being counted.
 *
 * Options:
 *   ADDRESS     in one process: the number of sleepers
 *   WAKES=1     at most so many are woken; 2 is the default
 *   RETURNS     the first sleeper may come back without a signal at any time
 *   AGAIN       there is a second wake, for the same; what it says is looked at
 *
 * Controls that must fail: BREAK_S2, BREAK_K1; with RETURNS, BREAK_S4, where a sleeper does not
 * look whether its ticket is still there. With ADDRESS, BREAK_A2, BREAK_B1; with RETURNS, BREAK_A4.
 */
#define SLEEPERS_SLOTS 2

#include "model.h"

#ifdef BREAK_S2
#define BROKEN_FENCE MODEL_WITHIN(sleepers_enter)
#elif defined(BREAK_K1)
#define BROKEN_FENCE MODEL_WITHIN(sleepers_begin_wake)
#elif defined(BREAK_A2)
#define BROKEN_FENCE MODEL_WITHIN(sleepers_come)
#elif defined(BREAK_A4)
#define BROKEN_FENCE MODEL_WITHIN(sleepers_go)
#elif defined(BREAK_B1)
#define BROKEN_FENCE MODEL_WITHIN(sleepers_count)
#endif
#ifdef BROKEN_FENCE
static inline void fence_unless(bool broken)
{
    if (!broken)
        mring_fence_seq_cst();
}
#define mring_fence_seq_cst() fence_unless(BROKEN_FENCE)
#endif

#include "../../src/sleepers.h"

#ifndef WAKES
#define WAKES 2
#endif

enum { SLEEPERS = 2 };

static struct mring_event event;
static mring_atomic_u32 published;
static uint32_t woken;        /* what the waker says */
static bool unseen[SLEEPERS]; /* came back, or never slept, and has not seen what was published */
static bool asleep[SLEEPERS]; /* waits, without a limit of time */

static bool may_return(unsigned who)
{
#ifdef RETURNS
    return who == 0;
#else
    (void)who;
    return false;
#endif
}

#ifdef ADDRESS
/* ---- the system: addresses ------------------------------------------------------------------- */

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;

/* Compared and entered in one step, as the system does it. */
static void wait_by_address(unsigned who)
{
    pthread_mutex_lock(&queue_lock);
    asleep[who] = mring_load_relaxed_u32(&event.epoch) == 0;
    pthread_mutex_unlock(&queue_lock);
    if (may_return(who)) {
        pthread_mutex_lock(&queue_lock);
        asleep[who] = false;
        pthread_mutex_unlock(&queue_lock);
    }
}

static bool is_asleep(unsigned who)
{
    pthread_mutex_lock(&queue_lock);
    bool result = asleep[who];
    pthread_mutex_unlock(&queue_lock);
    return result;
}

static void sleep_once(unsigned who)
{
    sleepers_come(&event);
    wait_by_address(who);
    if (is_asleep(who))
        return; /* it is still there when all is done, or is woken then */
    sleepers_go(&event);
    unseen[who] = mring_load_relaxed_u32(&published) == 0;
}

static uint32_t wake(void)
{
    uint64_t count = sleepers_count(&event);
    uint32_t wakes = count < WAKES ? (uint32_t)count : WAKES;

    pthread_mutex_lock(&queue_lock);
    for (unsigned i = 0, done = 0; i < SLEEPERS; i++)
        if (asleep[i] && done < wakes) {
            asleep[i] = false;
            done++;
        }
    pthread_mutex_unlock(&queue_lock);
    return wakes;
}
#else
/* ---- the system: objects --------------------------------------------------------------------- */

/* By their tickets. Signalled ones are seen by who waits, now or later. */
static mring_atomic_u32 signals[SLEEPERS + 1];
static uint64_t tickets[SLEEPERS];
static mring_atomic_u32 destroyed[SLEEPERS + 1];

static void sleep_once(unsigned who)
{
    uint64_t ticket = sleepers_ticket(&event);

    tickets[who] = ticket;
    mring_atomic_u64 *slot = sleepers_enter(&event, ticket);
    model_require(slot != NULL, "there is a slot for each");
    if (sleepers_may_sleep(&event, 0) && !may_return(who)) {
        asleep[who] = true; /* unless it is signalled */
        return;
    }
#ifdef BREAK_S4
    if (mring_load_relaxed_u64(slot) != 0)
        mring_store_relaxed_u64(slot, 0);
#else
    sleepers_leave(slot, ticket);
#endif
    mring_store_release_u32(&destroyed[ticket], 1);
    unseen[who] = mring_load_relaxed_u32(&published) == 0;
}

static uint32_t wake(void)
{
    uint32_t count = 0;

    sleepers_begin_wake();
    for (unsigned i = 0; i < SLEEPERS_SLOTS && count < WAKES; i++) {
        uint64_t ticket = sleepers_look(&event, i);
        if (ticket == 0)
            continue;
        bool gone = mring_load_acquire_u32(&destroyed[ticket]) != 0;
        bool taken = sleepers_take(&event, i, ticket);
        model_require(!gone || !taken, "who is back has left its slot");
        if (taken) {
            mring_store_relaxed_u32(&signals[ticket], 1);
            count++;
        }
    }
    return count;
}
#endif

/* ---- the scenario ---------------------------------------------------------------------------- */

static void *first(void *context)
{
    sleep_once(0);
    return context;
}

static void *second(void *context)
{
    sleep_once(1);
    return context;
}

static void *waker(void *context)
{
    mring_store_release_u32(&published, 1);
    mring_add_release_u32(&event.epoch, 1); /* N3 */
    woken = wake();
#ifdef AGAIN
    mring_add_release_u32(&event.epoch, 1);
    woken = wake();
#endif
    return context;
}

static void reset(void)
{
    mring_store_relaxed_u32(&event.epoch, 0);
    mring_store_relaxed_u32(&published, 0);
    mring_store_relaxed_u64(&event.tickets, 0);
    for (unsigned i = 0; i < SLEEPERS; i++) {
        mring_store_relaxed_u64(&event.sleepers[i], 0);
        asleep[i] = unseen[i] = false;
    }
#ifndef ADDRESS
    for (unsigned i = 0; i <= SLEEPERS; i++)
        mring_store_relaxed_u32(&signals[i], 0);
    for (unsigned i = 0; i <= SLEEPERS; i++)
        mring_store_relaxed_u32(&destroyed[i], 0);
#endif
}

static void scenario(void)
{
    static void *(*const starts[])(void *) = { first, second, waker };
    unsigned left = 0, blind = 0;

    reset();
    model_run_all(starts, 3);

    /* Who is asleep although it was not woken. */
    for (unsigned i = 0; i < SLEEPERS; i++) {
#ifndef ADDRESS
        asleep[i] = asleep[i] && mring_load_relaxed_u32(&signals[tickets[i]]) == 0;
#endif
        left += asleep[i];
        blind += unseen[i];
    }
    model_require(left == 0 || woken == WAKES,
                  "nobody is left asleep when fewer are woken than may be");
#ifndef AGAIN /* where the first wake has counted some, too */
    model_require(woken + left + blind <= SLEEPERS, "who counts as woken sees what was published");
#else
    (void)blind;
#endif
}

int main(void)
{
    return model_main(scenario);
}
