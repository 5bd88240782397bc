/* SPDX-License-Identifier: MIT */
/* The cold half of the byte ring: life, tuning, waiting, descriptors. The rest is in spsc.h. */
#include <mring/spsc.h>

#include "io_os.h"
#include "ring_header.h"
#include "waiter.h"

/* Looks at two positions that both move. */
#define LOOK_ATTEMPTS 1000

/* ---- life ------------------------------------------------------------------------------------ */

/* The positions of both ends, at one time. */
struct positions {
    uint64_t write_pos, read_pos;
};

/*
 * Take up both positions where they stand. While one side is idle, as it is when its successor
 * opens the ring, they cannot contradict each other. While both move they can, since they are read
 * one after the other: then look again.
 */
static bool read_positions(const struct mring_spsc *ring, struct positions *positions)
{
    for (int i = 0; i < LOOK_ATTEMPTS; i++) {
        /* P1 and C1, pair with C2 and P2: a successor goes on from what was published. */
        positions->read_pos = mring_load_acquire_u64(&ring->read_side->pos);
        positions->write_pos = mring_load_acquire_u64(&ring->write_side->pos);
        if (positions->write_pos - positions->read_pos <= ring->capacity)
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

static void take_write_end(struct mring_spsc *ring, const struct positions *positions)
{
    ring->write_pos = ring->write_batch.published = positions->write_pos;
    ring->read_pos_seen = positions->read_pos;
    ring->write_guard = (struct mring_guard){ 0 };
    ring->write_closed = false;
    if (mring_spsc_is_closed(ring, MRING_WRITE_END, NULL))
        forget_room(ring);
}

static void take_read_end(struct mring_spsc *ring, const struct positions *positions)
{
    ring->read_pos = ring->read_batch.published = positions->read_pos;
    ring->write_pos_seen = positions->write_pos;
    ring->read_guard = (struct mring_guard){ 0 };
}

/* Fill a handle. On failure the memory is released. */
static int start(struct mring_spsc *ring, struct mmap *map, const struct ring_header *header)
{
    const struct mring_hold hold = mring_ring_hold(0);
    struct positions positions;
    struct mring_spsc result = {
        .data = map->addr,
        .capacity = header->capacity,
        .write_side = mring_ring_part(map, header, header->write_side_offset),
        .read_side = mring_ring_part(map, header, header->read_side_offset),
        .fencing = mring_ring_fencing(header),
        .write_fd = -1,
        .read_fd = -1,
        .map = *map,
        .write_hold = hold,
        .read_hold = hold,
    };

    if (!read_positions(&result, &positions)) {
        mmap_free(map);
        return MRING_CORRUPT;
    }
    take_write_end(&result, &positions);
    take_read_end(&result, &positions);
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
    enum mring_end other = end == MRING_WRITE_END ? MRING_READ_END : MRING_WRITE_END;

    /* Relaxed: this end alone writes the word. */
    if (mring_load_relaxed_u64(&ours->closed) != 0)
        return;
    mring_spsc_flush(ring, end);
    if (end == MRING_WRITE_END)
        forget_room(ring);

    /* P3 or C4, pairs with C3 or P4: whoever sees the close sees all that was published before. */
    mring_store_release_u64(&ours->closed, (uint64_t)status + 1);
    if (ring->fencing != MRING_FENCING_NONE &&
        mring_event_is_armed(&side_of(ring, other)->event, ring->fencing))
        mring_spsc_wake(ring, other);
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

int mring_spsc_adopt(struct mring_spsc *ring, enum mring_end end)
{
    struct positions positions;

    if (!read_positions(ring, &positions))
        return MRING_CORRUPT;
    if (end == MRING_WRITE_END)
        take_write_end(ring, &positions);
    else
        take_read_end(ring, &positions);
    return 0;
}

void mring_spsc_reset(struct mring_spsc *ring)
{
    /* Relaxed, all: nobody else uses the ring, so whatever lets others use it again orders them. */
    uint64_t pos = mring_load_relaxed_u64(&ring->write_side->pos);
    const struct positions empty = { pos, pos };

    mring_store_relaxed_u64(&ring->read_side->pos, pos);
    mring_store_relaxed_u64(&ring->write_side->closed, 0);
    mring_store_relaxed_u64(&ring->read_side->closed, 0);
    take_write_end(ring, &empty);
    take_read_end(ring, &empty);
}

int mring_spsc_destroy(struct mring_spsc *ring)
{
    int err = mmap_free(&ring->map);

    if (err == 0)
        memset(ring, 0, sizeof *ring);
    return err;
}

/* ---- tuning and counters --------------------------------------------------------------------- */

int mring_spsc_tune(struct mring_spsc *ring, enum mring_end end, const struct mring_tuning *tuning)
{
    bool writes = end == MRING_WRITE_END;
    struct mring_batch *batch = writes ? &ring->write_batch : &ring->read_batch;
    struct mring_spin *spin = writes ? &ring->write_spin : &ring->read_spin;
    struct mring_hold *hold = writes ? &ring->write_hold : &ring->read_hold;

    if (tuning->batch_bytes > ring->capacity || tuning->hold_ns > RING_HOLD_NS_MAX)
        return MMAP_INVALID_ARG;
    mring_spsc_publish_held(ring, end);
    *batch = (struct mring_batch){ tuning->batch_bytes, writes ? ring->write_pos : ring->read_pos };
    *spin = (struct mring_spin){ .spin_ns = tuning->spin_ns };
    *hold = mring_ring_hold(tuning->hold_ns);
    return 0;
}

void mring_spsc_stats(const struct mring_spsc *ring, enum mring_end end, struct mring_stats *stats)
{
    const struct mring_counters *counters =
        end == MRING_WRITE_END ? &ring->write_counters : &ring->read_counters;

    /* Relaxed: each is a number by itself. */
    *stats = (struct mring_stats){
        .bytes = mring_spsc_position(ring, end),
        .misses = mring_load_relaxed_u64(&counters->misses),
        .high_water = mring_load_relaxed_u64(&counters->high_water),
        .sleeps = mring_load_relaxed_u64(&counters->sleeps),
        .wakes = mring_load_relaxed_u64(&counters->wakes),
    };
}

/* ---- looking --------------------------------------------------------------------------------- */

void mring_spsc_publish_held(struct mring_spsc *ring, enum mring_end end)
{
    if (end == MRING_WRITE_END && mring_batch_is_held(&ring->write_batch, ring->write_pos))
        mring_spsc_publish(ring);
    if (end == MRING_READ_END && mring_batch_is_held(&ring->read_batch, ring->read_pos))
        mring_spsc_release(ring);
}

/* The consumer gets first what the producer held back: it may be what makes the ring full. */
bool mring_spsc_find_room(struct mring_spsc *ring, size_t size)
{
    uint64_t before = ring->read_pos_seen;

    mring_spsc_publish_held(ring, MRING_WRITE_END);
    mring_hold_off(&ring->write_hold);
    mring_spsc_refresh_room(ring);

    bool enough = mring_spsc_room_seen(ring) >= size;
    mring_hold_learn(&ring->write_hold, MRING_WRITE_END, ring->read_pos_seen - before, enough);
    if (!enough)
        mring_counter_add(&ring->write_counters.misses, 1);
    return enough;
}

/* The producer gets first what the consumer held back, as above. */
bool mring_spsc_find_bytes(struct mring_spsc *ring, size_t minimum)
{
    uint64_t before = ring->write_pos_seen;

    mring_spsc_publish_held(ring, MRING_READ_END);
    mring_hold_off(&ring->read_hold);
    mring_spsc_refresh_bytes(ring);

    bool enough = mring_spsc_bytes_seen(ring) >= minimum;
    mring_hold_learn(&ring->read_hold, MRING_READ_END, ring->write_pos_seen - before, enough);
    if (!enough)
        mring_counter_add(&ring->read_counters.misses, 1);
    return enough;
}

/* ---- waiting --------------------------------------------------------------------------------- */

void mring_spsc_wake(struct mring_spsc *ring, enum mring_end sleeper)
{
    if (sleeper == MRING_READ_END) {
        mring_counter_add(&ring->write_counters.wakes, 1);
        mring_event_wake(&ring->read_side->event, ring->read_fd, MRING_WAKE_ALL);
    } else {
        mring_counter_add(&ring->read_counters.wakes, 1);
        mring_event_wake(&ring->write_side->event, ring->write_fd, MRING_WAKE_ALL);
    }
}

/* How things stand for the producer: 0, or the answer of mring_spsc_wait_writable(). */
static int look_for_room(void *what, size_t size)
{
    struct mring_spsc *ring = what;

    if (ring->write_closed || mring_spsc_is_closed(ring, MRING_READ_END, NULL))
        return MRING_CLOSED;
    if (mring_spsc_room_seen(ring) >= size)
        return 0;
    if (!mring_spsc_refresh_room(ring))
        return MRING_CORRUPT;
    return mring_spsc_room_seen(ring) >= size ? 0 : MRING_TIMED_OUT;
}

/* The same for the consumer. Closed is looked at before the position: see P3 -> C3. */
static int look_for_bytes(void *what, size_t minimum)
{
    struct mring_spsc *ring = what;

    if (mring_spsc_bytes_seen(ring) >= minimum)
        return 0;

    bool closed = mring_spsc_is_closed(ring, MRING_WRITE_END, NULL);
    if (!mring_spsc_refresh_bytes(ring))
        return MRING_CORRUPT;
    if (mring_spsc_bytes_seen(ring) >= minimum)
        return 0;
    return closed ? MRING_EOF : MRING_TIMED_OUT;
}

static struct waiter producer_of(struct mring_spsc *ring, size_t size)
{
    return (struct waiter){ .end = MRING_WRITE_END,
                            .look = look_for_room,
                            .what = ring,
                            .size = size,
                            .fencing = ring->fencing,
                            .not_yet = MRING_FULL,
                            .event = &ring->write_side->event,
                            .spin = &ring->write_spin,
                            .counters = &ring->write_counters,
                            .wanted = ring->write_pos + size - ring->capacity };
}

static struct waiter consumer_of(struct mring_spsc *ring, size_t minimum)
{
    return (struct waiter){ .end = MRING_READ_END,
                            .look = look_for_bytes,
                            .what = ring,
                            .size = minimum,
                            .fencing = ring->fencing,
                            .not_yet = MRING_EMPTY,
                            .event = &ring->read_side->event,
                            .spin = &ring->read_spin,
                            .counters = &ring->read_counters,
                            .wanted = ring->read_pos + minimum };
}

/* Look; what has been held back is published first, as the other side may wait for that. */
static int look_once(struct mring_spsc *ring, const struct waiter *waiter)
{
    if (waiter->size == 0 || waiter->size > ring->capacity)
        return MMAP_INVALID_ARG;
    mring_spsc_flush(ring, waiter->end);
    return waiter->look(ring, waiter->size);
}

static int wait_for(struct mring_spsc *ring, const struct waiter *waiter, int64_t timeout_ns)
{
    int err = look_once(ring, waiter);

    return err != MRING_TIMED_OUT ? err : mring_waiter_wait(waiter, timeout_ns);
}

static int wait_until(struct mring_spsc *ring, const struct waiter *waiter, int64_t deadline_ns)
{
    int err = look_once(ring, waiter);

    return err != MRING_TIMED_OUT ? err : mring_waiter_wait_until(waiter, deadline_ns);
}

int mring_spsc_wait_writable(struct mring_spsc *ring, size_t size, int64_t timeout_ns)
{
    struct waiter producer = producer_of(ring, size);

    return wait_for(ring, &producer, timeout_ns);
}

int mring_spsc_wait_writable_until(struct mring_spsc *ring, size_t size, int64_t deadline_ns)
{
    struct waiter producer = producer_of(ring, size);

    return wait_until(ring, &producer, deadline_ns);
}

int mring_spsc_wait_readable(struct mring_spsc *ring, size_t minimum, int64_t timeout_ns)
{
    struct waiter consumer = consumer_of(ring, minimum);

    return wait_for(ring, &consumer, timeout_ns);
}

int mring_spsc_wait_readable_until(struct mring_spsc *ring, size_t minimum, int64_t deadline_ns)
{
    struct waiter consumer = consumer_of(ring, minimum);

    return wait_until(ring, &consumer, deadline_ns);
}

int mring_spsc_wait_message(struct mring_spsc *ring, int64_t timeout_ns)
{
    int64_t start = timeout_ns > 0 ? mring_os_now() : 0;
    int err = mring_spsc_wait_readable(ring, MRING_MESSAGE_HEAD, timeout_ns);

    if (err != 0)
        return err;
    uint64_t size = mring_spsc_message_size(mring_spsc_read_end(ring));
    if (!mring_spsc_message_fits(ring, size))
        return MRING_CORRUPT;
    if (timeout_ns > 0) {
        int64_t rest_ns = timeout_ns - (mring_os_now() - start);
        timeout_ns = rest_ns > 0 ? rest_ns : 0;
    }
    return mring_spsc_wait_readable(ring, (size_t)mring_spsc_message_bytes(size), timeout_ns);
}

/* ---- poll loops ------------------------------------------------------------------------------ */

int mring_spsc_set_eventfd(struct mring_spsc *ring, enum mring_end end, int fd)
{
    if (ring->fencing == MRING_FENCING_NONE)
        return MMAP_INVALID_ARG;
    int err = fd >= 0 ? mring_io_check_signal(fd) : 0;
    if (err != 0)
        return err;
    *(end == MRING_WRITE_END ? &ring->write_fd : &ring->read_fd) = fd >= 0 ? fd : -1;

    /* The other end may have published before it had the descriptor, and woken nobody. Relaxed:
       whoever published for somebody armed has seen manner, here or in a process before. */
    uint32_t manner = mring_load_relaxed_u32(&side_of(ring, end)->event.manner);
    if (fd >= 0 && manner == MRING_MANNER_DESCRIPTOR)
        mring_os_signal(fd);
    return 0;
}

static int arm(struct mring_spsc *ring, const struct waiter *waiter, int fd)
{
    if (fd < 0)
        return MMAP_INVALID_ARG;
    int err = look_once(ring, waiter);
    return err != MRING_TIMED_OUT ? err : mring_waiter_arm(waiter, fd);
}

int mring_spsc_arm_writable(struct mring_spsc *ring, size_t size)
{
    struct waiter producer = producer_of(ring, size);

    return arm(ring, &producer, ring->write_fd);
}

int mring_spsc_arm_readable(struct mring_spsc *ring, size_t minimum)
{
    struct waiter consumer = consumer_of(ring, minimum);

    return arm(ring, &consumer, ring->read_fd);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

/* Nothing was moved: so what was held back is not to wait for what may come. */
static int moved_nothing(struct mring_spsc *ring, const struct waiter *waiter, int err)
{
    mring_spsc_flush(ring, waiter->end);
    if (err == MRING_TIMED_OUT)
        mring_counter_add(&waiter->counters->misses, 1);
    return err == MRING_TIMED_OUT ? waiter->not_yet : err;
}

static int fill(struct mring_spsc *ring, const struct io *io, size_t most, size_t *moved)
{
    const struct waiter producer = producer_of(ring, 1);
    int err = most > 0 ? producer.look(ring, 1) : MMAP_INVALID_ARG;
    size_t count;

    if (err != 0)
        return moved_nothing(ring, &producer, err);
    mring_spsc_refresh_room(ring);
    size_t room = (size_t)mring_spsc_room_seen(ring), size = room < most ? room : most;
    err = mring_io_input(io, mring_spsc_reserve(ring, size), size, &count);
    if (err == 0 && count == 0)
        err = MRING_EOF;
    if (err != 0)
        return moved_nothing(ring, &producer, err);
    mring_spsc_commit(ring, count);
    *moved = count;
    return 0;
}

int mring_spsc_fill_read(struct mring_spsc *ring, int fd, size_t most, size_t *moved)
{
    return fill(ring, &(struct io){ .fd = fd }, most, moved);
}

int mring_spsc_fill_recv(struct mring_spsc *ring, int fd, size_t most, int flags, size_t *moved)
{
    return fill(ring, &(struct io){ .fd = fd, .socket = true, .flags = flags }, most, moved);
}

static int drain(struct mring_spsc *ring, const struct io *io, size_t most, size_t *moved)
{
    const struct waiter consumer = consumer_of(ring, 1);
    int err = most > 0 ? consumer.look(ring, 1) : MMAP_INVALID_ARG;
    size_t count;

    if (err != 0)
        return moved_nothing(ring, &consumer, err);
    mring_spsc_refresh_bytes(ring);
    size_t bytes = (size_t)mring_spsc_bytes_seen(ring), size = bytes < most ? bytes : most;
    err = mring_io_output(io, mring_spsc_read_end(ring), size, &count);
    if (err != 0)
        return moved_nothing(ring, &consumer, err);
    mring_spsc_consume(ring, count);
    *moved = count;
    return 0;
}

int mring_spsc_drain_write(struct mring_spsc *ring, int fd, size_t most, size_t *moved)
{
    return drain(ring, &(struct io){ .fd = fd }, most, moved);
}

int mring_spsc_drain_send(struct mring_spsc *ring, int fd, size_t most, int flags, size_t *moved)
{
    return drain(ring, &(struct io){ .fd = fd, .socket = true, .flags = flags }, most, moved);
}

/* ---- external definitions of the inline calls ------------------------------------------------ */

extern inline MRING_API void *mring_spsc_reserve(struct mring_spsc *ring, size_t size);
extern inline MRING_API void mring_spsc_commit(struct mring_spsc *ring, size_t size);
extern inline MRING_API size_t mring_spsc_write(struct mring_spsc *ring, const void *bytes,
                                                size_t size);
extern inline MRING_API size_t mring_spsc_writable(struct mring_spsc *ring);
extern inline MRING_API void mring_spsc_flush(struct mring_spsc *ring, enum mring_end end);
extern inline MRING_API const void *mring_spsc_peek(struct mring_spsc *ring, size_t minimum,
                                                    size_t *size);
extern inline MRING_API void mring_spsc_consume(struct mring_spsc *ring, size_t size);
extern inline MRING_API size_t mring_spsc_read(struct mring_spsc *ring, void *bytes, size_t size);
extern inline MRING_API size_t mring_spsc_readable(struct mring_spsc *ring);
extern inline MRING_API bool mring_spsc_push(struct mring_spsc *ring, const void *element,
                                             size_t size);
extern inline MRING_API bool mring_spsc_pop(struct mring_spsc *ring, void *element, size_t size);
extern inline MRING_API size_t mring_spsc_push_n(struct mring_spsc *ring, const void *elements,
                                                 size_t size, size_t count);
extern inline MRING_API size_t mring_spsc_pop_n(struct mring_spsc *ring, void *elements,
                                                size_t size, size_t count);
extern inline MRING_API void *mring_spsc_reserve_n(struct mring_spsc *ring, size_t size,
                                                   size_t *count);
extern inline MRING_API const void *mring_spsc_peek_n(struct mring_spsc *ring, size_t size,
                                                      size_t *count);
extern inline MRING_API uint64_t mring_spsc_message_bytes(uint64_t size);
extern inline MRING_API int mring_spsc_send(struct mring_spsc *ring, const void *message,
                                            size_t size);
extern inline MRING_API int mring_spsc_recv(struct mring_spsc *ring, void *buffer, size_t room,
                                            size_t *size);
extern inline MRING_API void *mring_spsc_reserve_message(struct mring_spsc *ring, size_t size);
extern inline MRING_API void mring_spsc_commit_message(struct mring_spsc *ring, size_t size);
extern inline MRING_API const void *mring_spsc_peek_message(struct mring_spsc *ring, size_t *size);
extern inline MRING_API void mring_spsc_consume_message(struct mring_spsc *ring, size_t size);
extern inline MRING_API size_t mring_spsc_capacity(const struct mring_spsc *ring);
