/* SPDX-License-Identifier: MIT */
/*
 * What the hardware gives, whatever the queue: rows to compare the others with, of no use as
 * queues.
 *
 *   line       one word in one cache line, which goes to the other side and back
 *   futex      one word, and the system's call to sleep on it
 *
 * That of throughput is in mring.c.
 */
#include "../loops.h"

#include <mring.h>
#include <stdlib.h>

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
    /* Pairs with the load in line_get(). */
    mring_store_release_u64(end->word, value);
    return true;
}

SPECIALIZED bool line_get(void *context, void *item, size_t size)
{
    struct line_end *end = context;
    /* Pairs with the store in line_put(). */
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

/* The epoch that is slept on is 1 while there is an item. That stands on the same line: written
   while the epoch is 0, read while it is 1. */
struct flag {
    MRING_ALIGNAS(MRING_LINE) union {
        struct mring_event event;
        struct {
            uint64_t skipped[2];
            uint64_t item;
        };
    };
};

SPECIALIZED bool futex_put(void *end, const void *item, size_t size)
{
    struct flag *flag = end;

    /* Pairs with the store of 0: the item has been read. */
    if (mring_load_acquire_u32(&flag->event.epoch) != 0)
        return false;
    memcpy(&flag->item, item, size);
    /* Pairs with the load in futex_get(): the item is there. */
    mring_store_release_u32(&flag->event.epoch, 1);
    mring_os_wake(&flag->event, MRING_WAKE_ALL);
    return true;
}

SPECIALIZED bool futex_get(void *end, void *item, size_t size)
{
    struct flag *flag = end;

    /* Pairs with the store of 1. */
    while (mring_load_acquire_u32(&flag->event.epoch) == 0)
        mring_os_sleep(&flag->event, 0, MRING_WAIT_SLICE_NS);
    memcpy(item, &flag->item, size);
    /* Pairs with the load in futex_put(). */
    mring_store_release_u32(&flag->event.epoch, 0);
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
