/* SPDX-License-Identifier: MIT */
/*
 * Sleeping on a byte ring, over the real wait loop and the real arming of src/spsc.c: one side
 * waits for what the other one does. As in event.c, a sleeper is a flag behind a lock, and so is a
 * descriptor; whoever is asleep when all is done would be so for ever.
 *
 * Options:
 *   MODEL_SIDE=1, 2  only the consumer waits, only the producer; 3, both, one after the other, is
 *                    the default
 *   ARMS             the waiter arms twice, and polls a descriptor each time
 *   BATCH            the other side defers publication: the producer, who then finds no room; the
 *                    consumer, who then has drained the ring
 *
 * Controls that must fail: BREAK_W2, BREAK_W3, BREAK_N1, BREAK_N3 (without ARMS).
 */
#include "model.h"

#include "../../src/spsc.c"
#include "../../src/waiter.c"

#ifndef MODEL_SIDE
#define MODEL_SIDE 3
#endif

enum { CAPACITY = 1, TIMEOUT_NS = 1 };

#ifdef BATCH
enum { BATCH_BYTES = 2 };
#else
enum { BATCH_BYTES = 0 };
#endif

static unsigned char data[CAPACITY];
static struct mring_side write_side, read_side;
static struct mring_spsc ring;

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static bool asleep;
static int64_t now_ns; /* the waiter's */

/* A sleeper does not come back before its time is over. */
void mring_os_sleep(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    (void)timeout_ns;
    pthread_mutex_lock(&queue_lock);
    if (mring_load_relaxed_u32(&event->epoch) == expected) {
        asleep = true;
        now_ns = TIMEOUT_NS;
    }
    pthread_mutex_unlock(&queue_lock);
}

uint32_t mring_os_wake(struct mring_event *event, uint32_t most)
{
    (void)most;
    (void)event;
    pthread_mutex_lock(&queue_lock);
    asleep = false;
    pthread_mutex_unlock(&queue_lock);
    return 0;
}

int64_t mring_os_now(void)
{
    return now_ns;
}

static bool readable;

void mring_os_signal(int fd)
{
    (void)fd;
    pthread_mutex_lock(&queue_lock);
    readable = true;
    asleep = false;
    pthread_mutex_unlock(&queue_lock);
}

void mring_os_clear(int fd)
{
    (void)fd;
    pthread_mutex_lock(&queue_lock);
    readable = false;
    pthread_mutex_unlock(&queue_lock);
}

/* What a wait does not call; it is here so that the library's own are not linked. */
int mring_io_check_signal(int fd);
#if !defined(_WIN32) /* there, it is in a file that the library has to give */
int mring_io_check_signal(int fd)
{
    (void)fd;
    return 0;
}
#endif

void mring_os_barrier(void)
{
}

bool mring_os_join_barriers(void)
{
    return false;
}

uint64_t mring_os_event_id(void)
{
    return 0;
}

uint32_t mring_os_process(void)
{
    return 1;
}

#ifdef ARMS
/* Whether a poll loop would sleep now; then it does. */
static bool poll_descriptor(void)
{
    pthread_mutex_lock(&queue_lock);
    bool sleeps = asleep = !readable;
    pthread_mutex_unlock(&queue_lock);
    return sleeps;
}
#endif

static void reset_event(struct mring_event *event)
{
    mring_store_relaxed_u32(&event->epoch, 0);
    mring_store_relaxed_u32(&event->arm, 0);
    mring_store_relaxed_u32(&event->ack, 0);
    mring_store_relaxed_u32(&event->manner, 0);
    mring_store_relaxed_u64(&event->wanted, 0);
}

/* A ring with `bytes` bytes in it, whose sides do not look for long before they sleep. */
static void reset(uint64_t bytes)
{
    mring_store_relaxed_u64(&write_side.pos, bytes);
    mring_store_relaxed_u64(&read_side.pos, 0);
    reset_event(&write_side.event);
    reset_event(&read_side.event);
    ring.data = data;
    ring.capacity = CAPACITY;
    ring.write_side = &write_side;
    ring.read_side = &read_side;
    ring.fencing = MRING_FENCING_BOTH_SIDES;
    ring.write_pos = ring.write_pos_seen = bytes;
    ring.read_pos = ring.read_pos_seen = 0;
    ring.write_spin.debt = ring.read_spin.debt = MRING_SPIN_DEBT_LIMIT + 1;
    ring.write_spin.waits = ring.read_spin.waits = 0;
    ring.write_fd = ring.read_fd = 0;
    ring.write_batch.bytes = ring.read_batch.bytes = BATCH_BYTES;
    ring.write_batch.published = bytes;
    ring.read_batch.published = 0;
    asleep = readable = false;
    now_ns = 0;
}

static void *put(void *context)
{
    unsigned char *room = mring_spsc_reserve(&ring, 1);

    model_require(room != NULL, "the ring has room");
    room[0] = 1;
    mring_spsc_commit(&ring, 1);
    if (BATCH_BYTES > 0)
        model_require(mring_spsc_reserve(&ring, 1) == NULL, "the ring is full");
    return context;
}

#ifdef ARMS
static void *await_bytes(void *context)
{
    for (int i = 0; i < 2; i++) {
        int err = mring_spsc_arm_readable(&ring, 1);
        if (err == 0)
            break;
        model_require(err == MRING_EMPTY, "bytes or none are the answers");
        if (poll_descriptor())
            break;
    }
    return context;
}
#else
static void *await_bytes(void *context)
{
    int err = mring_spsc_wait_readable(&ring, 1, TIMEOUT_NS);

    model_require(err == 0 || err == MRING_TIMED_OUT, "bytes or none are the answers");
    return context;
}
#endif

static void *take(void *context)
{
    size_t size;

    model_require(mring_spsc_peek(&ring, 1, &size) != NULL, "the ring has bytes");
    mring_spsc_consume(&ring, 1);
    return context;
}

#ifdef ARMS
static void *await_room(void *context)
{
    for (int i = 0; i < 2; i++) {
        int err = mring_spsc_arm_writable(&ring, 1);
        if (err == 0)
            break;
        model_require(err == MRING_FULL, "room or none are the answers");
        if (poll_descriptor())
            break;
    }
    return context;
}
#else
static void *await_room(void *context)
{
    int err = mring_spsc_wait_writable(&ring, 1, TIMEOUT_NS);

    model_require(err == 0 || err == MRING_TIMED_OUT, "room or none are the answers");
    return context;
}
#endif

static void scenario(void)
{
    if (MODEL_SIDE & 1) {
        reset(0);
        model_run(put, await_bytes);
        model_require(!asleep, "no consumer sleeps although there are bytes");
    }
    if (MODEL_SIDE & 2) {
        reset(CAPACITY);
        model_run(take, await_room);
        model_require(!asleep, "no producer sleeps although there is room");
    }
}

int main(void)
{
    return model_main(scenario);
}
