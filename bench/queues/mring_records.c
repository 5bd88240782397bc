/* SPDX-License-Identifier: MIT */
/*
 * The library's record ring: in the mode that the number of producers and consumers allows, and, as
 * a variant, where stalled producers are skipped. An item, or record, goes by push and pop, a batch
 * by push_n and pop_n.
 */
#include "../loops.h"

#include <mring.h>
#include <stdlib.h>

/* ---- calls ----------------------------------------------------------------------------------- */

SPECIALIZED bool record_put(void *end, const void *item, size_t size)
{
    return mring_mpmc_push(end, item, size) == 0;
}

SPECIALIZED bool record_get(void *end, void *item, size_t size)
{
    size_t got;

    return mring_mpmc_pop(end, item, size, &got) == 0;
}

SPECIALIZED size_t record_put_batch(void *end, const void *items, size_t count, size_t size)
{
    return mring_mpmc_push_n(end, items, size, count);
}

SPECIALIZED size_t record_get_batch(void *end, void *items, size_t count, size_t size)
{
    return mring_mpmc_pop_n(end, items, size, count);
}

DEFINE_ITEM_LOOPS(record, 8, record_put, record_get)
DEFINE_ROUND_TRIP_LOOPS(record, 8, record_put, record_get)
DEFINE_MANY_LOOPS(record, record_put, record_get)
DEFINE_MANY_BATCH_LOOPS(record, record_put_batch, record_get_batch)
DEFINE_RECORD_LOOPS(records, record_put, record_get)

/* ---- life ------------------------------------------------------------------------------------ */

/*
 * As many bytes as the items and their words take. Its granule is the size of a word and an item of
 * 8 bytes; that of the ring that skips is larger, so that it holds a quarter of these items.
 * Records of several sizes get what as many of the largest would take, as other queues' slots do.
 */
static void *create(const struct shape *shape, unsigned flags)
{
    struct mring_mpmc *ring = malloc(sizeof *ring);
    unsigned single = (shape->many_producers ? 0u : MRING_SINGLE_PRODUCER) |
                      (shape->many_consumers ? 0u : MRING_SINGLE_CONSUMER);
    struct mring_args args = {
        .capacity = mring_capacity((8 + shape->item_bytes) * shape->capacity, 0),
        .flags = flags & MRING_SKIP_STALLED ? flags : flags | single,
        .map_flags = shape->prefault ? MMAP_PREFAULT : 0,
    };

    if (ring != NULL && mring_mpmc_create(ring, &args) == 0)
        return ring;
    free(ring);
    return NULL;
}

static void *create_in_order(const struct shape *shape)
{
    return create(shape, MRING_NOWAIT);
}

static void *create_waiting(const struct shape *shape)
{
    return create(shape, 0);
}

static void *create_skipping(const struct shape *shape)
{
    return create(shape, MRING_NOWAIT | MRING_SKIP_STALLED);
}

static void destroy(void *queue)
{
    mring_mpmc_destroy(queue);
    free(queue);
}

static void *open_end(void *queue, bool producer)
{
    struct mring_mpmc_end *end = malloc(sizeof *end);

    if (end != NULL &&
        mring_mpmc_join(queue, end, producer ? MRING_WRITE_END : MRING_READ_END) == 0)
        return end;
    free(end);
    return NULL;
}

static void close_end(void *end)
{
    mring_mpmc_leave(end);
    free(end);
}

/* ---- tables ---------------------------------------------------------------------------------- */

#define RECORD_TABLE(label, part, use, creator, ...)                                               \
    {                                                                                              \
        .name = label, .role = part, .uses = use, .create = creator, .destroy = destroy,           \
        .open = open_end, .close = close_end, .put = record_put, .get = record_get, __VA_ARGS__    \
    }
#define USE_ITEMS_OF_8 (USE_RECORD_ITEMS | USE_RECORD_ROUND_TRIP)
#define LOOPS_OF_8     ITEM_LOOPS(record), ROUND_TRIP_LOOPS(record)
#define LOOPS_OF_MANY  MANY_LOOPS(record), MANY_BATCH_LOOPS(record)

const struct queue queues_mring_records[] = {
    RECORD_TABLE("mring", ROLE_OURS, USE_ITEMS_OF_8, create_in_order, LOOPS_OF_8),
    RECORD_TABLE("mring", ROLE_OURS, USE_MANY | USE_MANY_BATCHES, create_in_order, LOOPS_OF_MANY),
    RECORD_TABLE("mring", ROLE_OURS, USE_RECORDS, create_in_order, RECORD_LOOPS(records)),
    RECORD_TABLE("mring_wait", ROLE_VARIANT, USE_ITEMS_OF_8, create_waiting, LOOPS_OF_8),
    RECORD_TABLE("mring_wait", ROLE_VARIANT, USE_MANY | USE_MANY_BATCHES, create_waiting,
                 LOOPS_OF_MANY),
    RECORD_TABLE("mring_wait", ROLE_VARIANT, USE_RECORDS, create_waiting, RECORD_LOOPS(records)),
    RECORD_TABLE("mring_skip", ROLE_VARIANT, USE_MANY | USE_MANY_BATCHES, create_skipping,
                 LOOPS_OF_MANY),
    RECORD_TABLE("mring_skip", ROLE_VARIANT, USE_RECORDS, create_skipping, RECORD_LOOPS(records)),
    { .name = NULL },
};
