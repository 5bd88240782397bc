/* SPDX-License-Identifier: MIT */
/*
 * Sleeping on a record ring with several waiters, over the real wait loop: no wake-up is lost,
 * though only as many consumers are woken as there are records.
 *
 * Two consumers pop a record each, without a limit of time. The first record is reserved to begin
 * with; one producer commits it, another one pushes the second. So a consumer that is woken for the
 * second one may find the first in front of it and sleep again; who then takes the first has to see
 * to it that somebody takes the second. Everybody has to come to an end: a checker is told to look
 * for waits that do not (GenMC: --check-liveness).
 *
 * Options:
 *   MODE     as in mpmc.c; of several consumers
 *   FULL     the ring is full to begin with: two producers push a record each, and a consumer
 *            releases what there is
 *
 * Controls that must fail: BREAK_W2, BREAK_W3, BREAK_N1, BREAK_N3; without FULL, BREAK_PASS_ON.
 */
/* A sleeper does not look for itself. */
#define MRING_WAIT_SLICE_NS INT64_MAX

#include "mpmc_model.h"

#ifdef MRING_MODEL_CHECK
enum { WAITERS = 2 };

/* A sleeper is a word that it waits for, entered behind a lock, as the kernel does it. */
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static mring_atomic_u32 queue[WAITERS];
static unsigned queued;

void mring_os_sleep(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    (void)timeout_ns;
    pthread_mutex_lock(&queue_lock);
    if (mring_load_relaxed_u32(&event->epoch) != expected) {
        pthread_mutex_unlock(&queue_lock);
        return;
    }
    unsigned place = queued++;
    model_require(place < WAITERS, "nobody sleeps twice");
    mring_store_relaxed_u32(&queue[place], 1);
    pthread_mutex_unlock(&queue_lock);
    while (mring_load_acquire_u32(&queue[place]) != 0)
        ;
}

uint32_t mring_os_wake(struct mring_event *event, uint32_t most)
{
    uint32_t woken = 0;

    (void)event;
    pthread_mutex_lock(&queue_lock);
    for (unsigned i = 0; i < queued && woken < most; i++)
        if (mring_load_relaxed_u32(&queue[i]) != 0) {
            mring_store_release_u32(&queue[i], 0);
            woken++;
        }
    pthread_mutex_unlock(&queue_lock);
    return woken;
}

int64_t mring_os_now(void)
{
    return 0;
}
#endif

#ifdef FULL
enum { MOST = 2 };
#else
enum { MOST = 1 };
#endif

static void *const DONE = &ring;
static size_t sizes[2], counts[2];
static void *rooms[2];

static void *pop(unsigned who)
{
    struct mring_claim *claim = &claims[who];

    int err = mring_mpmc_claim_wait(&consumers[who], claim, MOST, &counts[who], -1);
    model_require(err == 0 && counts[who] == MOST, "what is there comes");
    model_require(mring_mpmc_next(&consumers[who], claim, &sizes[who]) != NULL, "it is there");
    mring_mpmc_release(&consumers[who], claim);
    return DONE;
}

static void *pop_first(void *context)
{
    (void)context;
    return pop(0);
}

static void *push(unsigned who)
{
    int err = mring_mpmc_reserve_wait(&producers[who], 8, &rooms[who], -1);

    model_require(err == 0, "there is room");
    *(uint64_t *)rooms[who] = who;
    mring_mpmc_commit(&producers[who], 8);
    return DONE;
}

static void *push_second(void *context)
{
    (void)context;
    return push(1);
}

#ifdef FULL
static void *push_first(void *context)
{
    (void)context;
    return push(0);
}
#else
static void *pop_second(void *context)
{
    (void)context;
    return pop(1);
}

static void *commit_first(void *context)
{
    mring_mpmc_commit(&producers[0], 8);
    return context;
}
#endif

static void reset_event(struct mring_event *event)
{
    mring_store_relaxed_u32(&event->epoch, 0);
    mring_store_relaxed_u32(&event->arm, 0);
    mring_store_relaxed_u32(&event->ack, 0);
}

static void scenario(void)
{
#ifdef FULL
    static void *(*const starts[])(void *) = { push_first, push_second, pop_first };
#else
    static void *(*const starts[])(void *) = { pop_first, pop_second, commit_first, push_second };
#endif

    reset_ring(MRING_FENCING_BOTH_SIDES);
    reset_event(&write_side.event);
    reset_event(&read_side.event);
    for (unsigned i = 0; i < 2; i++) /* they do not look for long before they sleep */
        producers[i].spin.spin_ns = consumers[i].spin.spin_ns = -1;
#ifdef MRING_MODEL_CHECK
    queued = 0;
#endif
    uint64_t *room = mring_mpmc_reserve(&producers[0], 8);
    model_require(room != NULL, "an empty ring has room");
    room[0] = 0;
#ifdef FULL
    mring_mpmc_commit(&producers[0], 8);
    room = mring_mpmc_reserve(&producers[0], 8);
    model_require(room != NULL, "and for a second one");
    room[0] = 0;
    mring_mpmc_commit(&producers[0], 8);
#endif
    model_run_all(starts, sizeof starts / sizeof starts[0]);
}

int main(void)
{
    return model_main(scenario);
}
