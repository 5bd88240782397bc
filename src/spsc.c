/* SPDX-License-Identifier: MIT */
/* The cold half of the byte ring: creation, attaching, closing, waiting. The rest is in spsc.h. */
#include <mring/spsc.h>

#include "ring_header.h"

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

/* Looks at two positions that both move. */
#define LOOK_ATTEMPTS 1000

/* ---- life ------------------------------------------------------------------------------------ */

/*
 * Take up both positions where they stand. While one side is idle, as it is when its successor
 * opens the ring, they cannot contradict each other. While both move they can, since they are read
 * one after the other: then look again.
 */
static bool read_positions(struct mring_spsc *ring)
{
    for (int i = 0; i < LOOK_ATTEMPTS; i++) {
        /* P1 and C1, pair with C2 and P2: a successor goes on from what was published. */
        ring->read_pos = mring_load_acquire_u64(&ring->read_side->pos);
        ring->write_pos = mring_load_acquire_u64(&ring->write_side->pos);
        ring->read_pos_seen = ring->read_pos;
        ring->write_pos_seen = ring->write_pos;
        if (ring->write_pos - ring->read_pos <= ring->capacity)
            return true;
    }
    return false;
}

/* The write end is closed: from now on the ring is full for this handle. */
static void forget_room(struct mring_spsc *ring)
{
    ring->write_closed = true;
    ring->read_pos_seen = ring->write_pos - ring->capacity;
}

/* Fill a handle. On failure the memory is released. */
static int start(struct mring_spsc *ring, struct mmap *map, const struct ring_header *header)
{
    struct mring_spsc result = {
        .data = map->addr,
        .capacity = header->capacity,
        .write_side = mring_ring_side(map, header, header->write_side_offset),
        .read_side = mring_ring_side(map, header, header->read_side_offset),
        .waitable = !(header->flags & MRING_NOWAIT),
        .map = *map,
    };

    if (!read_positions(&result)) {
        mmap_free(map);
        return MRING_CORRUPT;
    }
    if (mring_spsc_is_closed(&result, MRING_WRITE_END, NULL))
        forget_room(&result);
    *ring = result;
    return 0;
}

int mring_spsc_create(struct mring_spsc *ring, const struct mring_args *args)
{
    struct ring_header header;
    struct mmap map = { 0 };
    int err = mring_ring_create(&map, &header, RING_KIND_SPSC, args);

    return err != 0 ? err : start(ring, &map, &header);
}

int mring_spsc_open(struct mring_spsc *ring, const struct mring_args *args)
{
    struct ring_header header;
    struct mmap map = { 0 };
    int err = mring_ring_open(&map, &header, RING_KIND_SPSC, args);

    return err != 0 ? err : start(ring, &map, &header);
}

static struct mring_side *side_of(const struct mring_spsc *ring, enum mring_end end)
{
    return end == MRING_WRITE_END ? ring->write_side : ring->read_side;
}

void mring_spsc_close(struct mring_spsc *ring, enum mring_end end, uint32_t status)
{
    struct mring_side *ours = side_of(ring, end);
    struct mring_side *theirs =
        side_of(ring, end == MRING_WRITE_END ? MRING_READ_END : MRING_WRITE_END);

    /* Relaxed: this end alone writes the word. */
    if (mring_load_relaxed_u64(&ours->closed) != 0)
        return;
    if (end == MRING_WRITE_END)
        forget_room(ring);

    /* P3 or C4, pairs with C3 or P4: whoever sees the close sees all that was published before. */
    mring_store_release_u64(&ours->closed, (uint64_t)status + 1);
    if (ring->waitable)
        mring_event_notify(&theirs->event);
}

bool mring_spsc_is_closed(const struct mring_spsc *ring, enum mring_end end, uint32_t *status)
{
    /* C3 or P4, pairs with P3 or C4: what was published before the close is seen from here on. */
    uint64_t closed = mring_load_acquire_u64(&side_of(ring, end)->closed);

    if (closed != 0 && status != NULL)
        *status = (uint32_t)(closed - 1);
    return closed != 0;
}

uint64_t mring_spsc_position(const struct mring_spsc *ring, enum mring_end end)
{
    /* Relaxed: no byte is touched on the strength of it. */
    return mring_load_relaxed_u64(&side_of(ring, end)->pos);
}

int mring_spsc_destroy(struct mring_spsc *ring)
{
    int err = mmap_free(&ring->map);

    if (err == 0)
        memset(ring, 0, sizeof *ring);
    return err;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* How things stand for the producer: 0, or the answer of mring_spsc_wait_writable(). */
static int look_for_room(struct mring_spsc *ring, size_t size)
{
    if (ring->write_closed || mring_spsc_is_closed(ring, MRING_READ_END, NULL))
        return MRING_CLOSED;
    if (mring_spsc_room_seen(ring) >= size)
        return 0;
    if (!mring_spsc_refresh_room(ring))
        return MRING_CORRUPT;
    return mring_spsc_room_seen(ring) >= size ? 0 : MRING_TIMED_OUT;
}

/* The same for the consumer. Closed is looked at before the position: see P3 -> C3. */
static int look_for_bytes(struct mring_spsc *ring, size_t minimum)
{
    if (mring_spsc_bytes_seen(ring) >= minimum)
        return 0;

    bool closed = mring_spsc_is_closed(ring, MRING_WRITE_END, NULL);
    if (!mring_spsc_refresh_bytes(ring))
        return MRING_CORRUPT;
    if (mring_spsc_bytes_seen(ring) >= minimum)
        return 0;
    return closed ? MRING_EOF : MRING_TIMED_OUT;
}

typedef int look_function(struct mring_spsc *ring, size_t size);

static int64_t deadline_of(int64_t now, int64_t timeout_ns)
{
    return timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

/* Announce, look once more, sleep for a slice at most. */
static void look_or_sleep(struct mring_spsc *ring, struct mring_event *event, look_function *look,
                          size_t size, int64_t rest_ns)
{
    uint32_t epoch = mring_event_prepare(event);

    if (look(ring, size) == MRING_TIMED_OUT)
        mring_os_sleep(&event->epoch, epoch,
                       rest_ns < MRING_WAIT_SLICE_NS ? rest_ns : MRING_WAIT_SLICE_NS);
}

/* Look for a while, at most until `end`. */
static int look_for_a_while(struct mring_spsc *ring, look_function *look, size_t size, int64_t end)
{
    int err = MRING_TIMED_OUT;

    for (unsigned looks = 1; err == MRING_TIMED_OUT; looks++) {
        if (looks % LOOKS_PER_CLOCK == 0 && mring_os_now() >= end)
            break;
        mring_pause();
        err = look(ring, size);
    }
    return err;
}

/* What the two sides of the ring do not have in common when they wait. */
struct waiter {
    struct mring_event *event;
    struct mring_spin *spin;
    look_function *look;
};

static int wait_until(struct mring_spsc *ring, const struct waiter *waiter, size_t size,
                      int64_t timeout_ns)
{
    if (size == 0 || size > ring->capacity)
        return MMAP_INVALID_ARG;

    int err = waiter->look(ring, size);
    if (err != MRING_TIMED_OUT || timeout_ns == 0)
        return err;

    int64_t now = mring_os_now(), deadline = deadline_of(now, timeout_ns);
    if (!ring->waitable)
        return look_for_a_while(ring, waiter->look, size, deadline);
    if (mring_spin_pays(waiter->spin)) {
        bool cut_short = deadline - now < SPIN_NS;

        err = look_for_a_while(ring, waiter->look, size, cut_short ? deadline : now + SPIN_NS);
        if (err != MRING_TIMED_OUT || !cut_short)
            mring_spin_learn(waiter->spin, err != MRING_TIMED_OUT);
    }
    while (err == MRING_TIMED_OUT && (now = mring_os_now()) < deadline) {
        look_or_sleep(ring, waiter->event, waiter->look, size, deadline - now);
        err = waiter->look(ring, size);
    }
    return err;
}

int mring_spsc_wait_writable(struct mring_spsc *ring, size_t size, int64_t timeout_ns)
{
    struct waiter producer = { &ring->write_side->event, &ring->write_spin, look_for_room };

    return wait_until(ring, &producer, size, timeout_ns);
}

int mring_spsc_wait_readable(struct mring_spsc *ring, size_t minimum, int64_t timeout_ns)
{
    struct waiter consumer = { &ring->read_side->event, &ring->read_spin, look_for_bytes };

    return wait_until(ring, &consumer, minimum, timeout_ns);
}

/* ---- external definitions of the inline calls ------------------------------------------------ */

extern inline void *mring_spsc_reserve(struct mring_spsc *ring, size_t size);
extern inline void mring_spsc_commit(struct mring_spsc *ring, size_t size);
extern inline size_t mring_spsc_write(struct mring_spsc *ring, const void *bytes, size_t size);
extern inline size_t mring_spsc_writable(struct mring_spsc *ring);
extern inline const void *mring_spsc_peek(struct mring_spsc *ring, size_t minimum, size_t *size);
extern inline void mring_spsc_consume(struct mring_spsc *ring, size_t size);
extern inline size_t mring_spsc_read(struct mring_spsc *ring, void *bytes, size_t size);
extern inline size_t mring_spsc_readable(struct mring_spsc *ring);
extern inline size_t mring_spsc_capacity(const struct mring_spsc *ring);
