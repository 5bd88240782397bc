/* SPDX-License-Identifier: MIT */
/*
 * The eventcount: one notifier publishes messages, one waiter wants all of them. The harness
 * defines the two system calls of the protocol itself: a sleeper is a flag behind a lock, which is
 * what the kernel's queue of a futex comes to.
 *
 * Nothing here waits. A waiter that is asleep looks once whether it was woken; if not, it is left
 * where it is. Finally, with everything published, nobody may be asleep.
 *
 * Options: MESSAGES=1 (2 is the default: a woken waiter that has to sleep again).
 * Controls that must fail: BREAK_W2, BREAK_W3, BREAK_N1, BREAK_N3, BREAK_ONE_WORD, and with two
 * messages BREAK_N5. The orders of W1 and N3 have no control: the fences next to them order
 * the same accesses.
 */
#include "model.h"
#include <mring/wait.h>

#ifndef MESSAGES
#define MESSAGES 2
#endif

static struct mring_event event;
static mring_atomic_u32 published;

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static bool asleep;

/* The kernel compares the word and puts the caller into the queue under one lock. */
void mring_os_sleep(mring_atomic_u32 *word, uint32_t expected, int64_t timeout_ns)
{
    (void)timeout_ns;
    pthread_mutex_lock(&queue_lock);
    if (mring_load_relaxed_u32(word) == expected)
        asleep = true;
    pthread_mutex_unlock(&queue_lock);
}

/* Whoever is woken is acknowledged afterwards: a notifier that dies in between has not done it. */
void mring_os_wake(mring_atomic_u32 *word)
{
    (void)word;
    model_require(mring_load_relaxed_u32(&event.ack) != mring_load_relaxed_u32(&event.arm),
                  "the wake comes before its acknowledgement");
    pthread_mutex_lock(&queue_lock);
    asleep = false;
    pthread_mutex_unlock(&queue_lock);
}

static bool is_asleep(void)
{
    pthread_mutex_lock(&queue_lock);
    bool result = asleep;
    pthread_mutex_unlock(&queue_lock);
    return result;
}

#ifdef BREAK_ONE_WORD
/* The eventcount that everybody writes first: bit 0 of the epoch says that somebody waits. */
static uint32_t prepare(void)
{
    uint32_t epoch = mring_load_acquire_u32(&event.epoch);

    if ((epoch & 1) == 0) {
        mring_add_relaxed_u32(&event.epoch, 1);
        epoch++;
    }
    mring_fence_seq_cst();
    return epoch;
}

static void notify(void)
{
    mring_fence_seq_cst();
    if ((mring_load_relaxed_u32(&event.epoch) & 1) == 0)
        return;
    mring_os_wake(&event.epoch);
    mring_add_release_u32(&event.epoch, 1);
}
#else
static uint32_t prepare(void)
{
    return mring_event_prepare(&event);
}

static void notify(void)
{
    mring_event_notify(&event);
}
#endif

static void *publish(void *context)
{
    for (uint32_t message = 1; message <= MESSAGES; message++) {
        mring_store_release_u32(&published, message);
        notify();
    }
    return context;
}

static void *await(void *context)
{
    /* One round more than there can be wakes. */
    for (int round = 0; round <= MESSAGES; round++) {
        uint32_t epoch = prepare();
        if (mring_load_acquire_u32(&published) == MESSAGES)
            break;
        mring_os_sleep(&event.epoch, epoch, -1);
        if (is_asleep())
            break;
    }
    return context;
}

static void scenario(void)
{
    event = (struct mring_event){ 0 };
    published = (mring_atomic_u32){ 0 };
    asleep = false;

    model_run(publish, await);

    model_require(!asleep, "nobody sleeps although everything was published");
}

int main(void)
{
    return model_main(scenario);
}
