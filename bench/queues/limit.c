/* SPDX-License-Identifier: MIT */
/*
 * What the hardware gives, whatever the queue: rows to compare the others with, of no use as
 * queues.
 *
 *   handover   chunks are copied into and out of mirrored memory, and a position is published once
 *              per quarter of it: the copies and the transfer of the lines, and nothing else
 *   line       one word in one cache line, which goes to the other side and back
 *   futex      one word, and the system's call to sleep on it
 */
#include "../loops.h"

#include <mring.h>
#include <stdlib.h>

/* ---- handover -------------------------------------------------------------------------------- */

/* In memory that processes share: two positions, on lines of their own. */
struct positions {
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u64 write_pos;
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u64 read_pos;
};

struct handover {
    struct mmap words;
    struct mmap storage;
    uint64_t capacity;
};

/* One side's view: bytes are written, or read, from `pos` to `end_pos` without a look around. */
struct handover_end {
    MRING_ALIGNAS(MRING_LINE) unsigned char *data;
    struct positions *positions;
    uint64_t capacity;
    uint64_t pos;
    uint64_t published_pos;
    uint64_t end_pos;
    bool producer;
};

/* All of these are read or written under the same rules as in mring/spsc.h: P2 -> C1, C2 -> P1. */
SPECIALIZED bool look(struct handover_end *end, size_t size)
{
    if (end->producer)
        end->end_pos = mring_load_acquire_u64(&end->positions->read_pos) + end->capacity;
    else
        end->end_pos = mring_load_acquire_u64(&end->positions->write_pos);
    return end->end_pos - end->pos >= size;
}

SPECIALIZED void publish(struct handover_end *end)
{
    end->published_pos = end->pos;
    mring_store_release_u64(end->producer ? &end->positions->write_pos : &end->positions->read_pos,
                            end->pos);
}

SPECIALIZED void advance(struct handover_end *end, size_t size)
{
    end->pos += size;
    if (end->pos - end->published_pos >= end->capacity / 4)
        publish(end);
}

SPECIALIZED void *handover_reserve(void *context, size_t *count, size_t size)
{
    struct handover_end *end = context;

    if (end->end_pos - end->pos < *count * size && !look(end, *count * size))
        return NULL;
    return end->data + (end->pos & (end->capacity - 1));
}

SPECIALIZED const void *handover_peek(void *context, size_t *count, size_t size)
{
    struct handover_end *end = context;

    if (end->end_pos - end->pos < size && !look(end, size))
        return NULL;
    if ((end->end_pos - end->pos) / size < *count)
        *count = (size_t)(end->end_pos - end->pos) / size;
    return end->data + (end->pos & (end->capacity - 1));
}

SPECIALIZED void handover_advance(void *end, size_t count, size_t size)
{
    advance(end, count * size);
}

SPECIALIZED bool handover_put(void *end, const void *item, size_t size)
{
    size_t count = 1;
    void *room = handover_reserve(end, &count, size);

    if (room == NULL)
        return false;
    memcpy(room, item, size);
    advance(end, size);
    return true;
}

SPECIALIZED bool handover_get(void *end, void *item, size_t size)
{
    size_t count = 1;
    const void *bytes = handover_peek(end, &count, size);

    if (bytes == NULL)
        return false;
    memcpy(item, bytes, size);
    advance(end, size);
    return true;
}

SPECIALIZED size_t handover_put_batch(void *end, const void *items, size_t count, size_t size)
{
    void *room = handover_reserve(end, &count, size);

    if (room == NULL)
        return 0;
    memcpy(room, items, count * size);
    advance(end, count * size);
    return count;
}

SPECIALIZED size_t handover_get_batch(void *end, void *items, size_t count, size_t size)
{
    const void *bytes = handover_peek(end, &count, size);

    if (bytes == NULL)
        return 0;
    memcpy(items, bytes, count * size);
    advance(end, count * size);
    return count;
}

DEFINE_ITEM_LOOPS(handover, 0, handover_put, handover_get)
DEFINE_BATCH_LOOPS(handover, 0, handover_put_batch, handover_get_batch)
DEFINE_SPAN_LOOPS(handover, 0, handover_reserve, handover_advance, handover_peek, handover_advance)

static void handover_destroy(void *queue)
{
    struct handover *handover = queue;

    mmap_free(&handover->storage);
    mmap_free(&handover->words);
    free(handover);
}

static void *handover_create(const struct shape *shape)
{
    struct handover *handover = calloc(1, sizeof *handover);
    struct mmap_args words = { .access = MMAP_WRITE, .size = sizeof(struct positions) };
    struct mmap_mirror_args storage = { .flags = shape->prefault ? MMAP_PREFAULT : 0,
                                        .size = mring_capacity(shape->item_bytes * shape->capacity,
                                                               0) };

    if (handover == NULL)
        return NULL;
    if (mmap_map(&handover->words, &words) != 0 || mmap_mirror(&handover->storage, &storage) != 0) {
        handover_destroy(handover);
        return NULL;
    }
    handover->capacity = storage.size;
    return handover;
}

static void *handover_open(void *queue, bool producer)
{
    const struct handover *handover = queue;
    struct positions *positions = handover->words.addr;
    struct handover_end *end = aligned_alloc(MRING_LINE, sizeof *end);

    if (end == NULL)
        return NULL;
    *end = (struct handover_end){ .data = handover->storage.addr,
                                  .positions = positions,
                                  .capacity = handover->capacity,
                                  .producer = producer };
    end->pos = mring_load_relaxed_u64(producer ? &positions->write_pos : &positions->read_pos);
    end->published_pos = end->pos;
    end->end_pos = end->pos;
    return end;
}

/* What is left of the last quarter is handed over by this. */
static void handover_close(void *context)
{
    publish(context);
    free(context);
}

/* ---- line ------------------------------------------------------------------------------------ */

/* No two items that follow each other are equal, and the next one waits for the answer. */
struct line_end {
    mring_atomic_u64 *word;
    uint64_t last;
};

SPECIALIZED bool line_put(void *context, const void *item, size_t size)
{
    const struct line_end *end = context;
    uint64_t value;

    (void)size;
    memcpy(&value, item, sizeof value);
    mring_store_release_u64(end->word, value);
    return true;
}

SPECIALIZED bool line_get(void *context, void *item, size_t size)
{
    struct line_end *end = context;
    uint64_t value = mring_load_acquire_u64(end->word);

    (void)size;
    if (value == end->last)
        return false;
    end->last = value;
    memcpy(item, &value, sizeof value);
    return true;
}

DEFINE_ROUND_TRIP_LOOPS(line, 0, line_put, line_get)

static void *line_create(const struct shape *shape)
{
    struct mmap *map = calloc(1, sizeof *map);

    (void)shape;
    if (map != NULL &&
        mmap_map(map, &(struct mmap_args){
                          .access = MMAP_WRITE, .flags = MMAP_PREFAULT, .size = MRING_LINE }) == 0)
        return map;
    free(map);
    return NULL;
}

static void line_destroy(void *queue)
{
    mmap_free(queue);
    free(queue);
}

static void *line_open(void *queue, bool producer)
{
    const struct mmap *map = queue;
    struct line_end *end = malloc(sizeof *end);

    (void)producer;
    if (end != NULL)
        *end = (struct line_end){ .word = map->addr };
    return end;
}

/* ---- futex ----------------------------------------------------------------------------------- */

struct flag {
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u32 full;
    uint64_t item; /* written while it is not full, read while it is */
};

SPECIALIZED bool futex_put(void *end, const void *item, size_t size)
{
    struct flag *flag = end;

    if (mring_load_acquire_u32(&flag->full) != 0)
        return false;
    memcpy(&flag->item, item, size);
    mring_store_release_u32(&flag->full, 1);
    mring_os_wake(&flag->full);
    return true;
}

SPECIALIZED bool futex_get(void *end, void *item, size_t size)
{
    struct flag *flag = end;

    while (mring_load_acquire_u32(&flag->full) == 0)
        mring_os_sleep(&flag->full, 0, MRING_WAIT_SLICE_NS);
    memcpy(item, &flag->item, size);
    mring_store_release_u32(&flag->full, 0);
    return true;
}

DEFINE_WAKE_LOOPS(futex, futex_put, futex_get)

static void *futex_create(const struct shape *shape)
{
    struct flag *flag = aligned_alloc(MRING_LINE, sizeof *flag);

    (void)shape;
    if (flag != NULL)
        *flag = (struct flag){ .item = 0 };
    return flag;
}

/* ---- tables ---------------------------------------------------------------------------------- */

const struct queue queues_limit[] = {
    {
        .name = "handover",
        .role = ROLE_LIMIT,
        .uses = USE_ITEMS | USE_BATCHES | USE_SPANS | USE_BYTES,
        .create = handover_create,
        .destroy = handover_destroy,
        .open = handover_open,
        .close = handover_close,
        .put = handover_put,
        .get = handover_get,
        ITEM_LOOPS(handover),
        BATCH_LOOPS(handover),
        SPAN_LOOPS(handover),
    },
    {
        .name = "line",
        .role = ROLE_LIMIT,
        .uses = USE_ROUND_TRIP,
        .create = line_create,
        .destroy = line_destroy,
        .open = line_open,
        .close = free,
        ROUND_TRIP_LOOPS(line),
    },
    {
        .name = "futex",
        .role = ROLE_LIMIT,
        .uses = USE_WAKE,
        .create = futex_create,
        .destroy = free,
        WAKE_LOOPS(futex),
    },
    { .name = NULL },
};
