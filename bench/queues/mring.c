/* SPDX-License-Identifier: MIT */
/*
 * The library's own rings. One item, or chunk, goes in by reserve, a copy and commit, which is what
 * write does when it is all or nothing; a batch by write and read; a span is filled and read in
 * place.
 */
#include "../loops.h"

#include <mring.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- calls ----------------------------------------------------------------------------------- */

SPECIALIZED bool spsc_put(void *end, const void *item, size_t size)
{
    void *room = mring_spsc_reserve(end, size);

    if (room == NULL)
        return false;
    memcpy(room, item, size);
    mring_spsc_commit(end, size);
    return true;
}

SPECIALIZED bool spsc_get(void *end, void *item, size_t size)
{
    size_t readable;
    const void *bytes = mring_spsc_peek(end, size, &readable);

    if (bytes == NULL)
        return false;
    memcpy(item, bytes, size);
    mring_spsc_consume(end, size);
    return true;
}

SPECIALIZED size_t spsc_put_batch(void *end, const void *items, size_t count, size_t size)
{
    return mring_spsc_write(end, items, count * size) / size;
}

SPECIALIZED size_t spsc_get_batch(void *end, void *items, size_t count, size_t size)
{
    return mring_spsc_read(end, items, count * size) / size;
}

SPECIALIZED void *spsc_reserve(void *end, size_t *count, size_t size)
{
    return mring_spsc_reserve(end, *count * size);
}

SPECIALIZED void spsc_commit(void *end, size_t count, size_t size)
{
    mring_spsc_commit(end, count * size);
}

SPECIALIZED const void *spsc_peek(void *end, size_t *count, size_t size)
{
    size_t readable;
    const void *items = mring_spsc_peek(end, size, &readable);

    if (readable < *count * size)
        *count = readable / size;
    return items;
}

SPECIALIZED void spsc_release(void *end, size_t count, size_t size)
{
    mring_spsc_consume(end, count * size);
}

/* The same, sleeping when there is no room or nothing to read. */
SPECIALIZED bool wait_put(void *end, const void *item, size_t size)
{
    return spsc_put(end, item, size) ||
           (mring_spsc_wait_writable(end, size, -1) == 0 && spsc_put(end, item, size));
}

SPECIALIZED bool wait_get(void *end, void *item, size_t size)
{
    return spsc_get(end, item, size) ||
           (mring_spsc_wait_readable(end, size, -1) == 0 && spsc_get(end, item, size));
}

DEFINE_ITEM_LOOPS(spsc, 0, spsc_put, spsc_get)
DEFINE_BATCH_LOOPS(spsc, 0, spsc_put_batch, spsc_get_batch)
DEFINE_SPAN_LOOPS(spsc, 0, spsc_reserve, spsc_commit, spsc_peek, spsc_release)
DEFINE_ROUND_TRIP_LOOPS(spsc, 0, spsc_put, spsc_get)
DEFINE_ITEM_LOOPS(wait, 0, wait_put, wait_get)
DEFINE_ROUND_TRIP_LOOPS(wait, 0, wait_put, wait_get)
DEFINE_WAKE_LOOPS(wait, wait_put, wait_get)

/* ---- life ------------------------------------------------------------------------------------ */

static void *create(const struct shape *shape, unsigned flags)
{
    struct mring_spsc *ring = malloc(sizeof *ring);
    struct mring_args args = { .capacity = mring_capacity(shape->item_bytes * shape->capacity, 0),
                               .flags = flags,
                               .map_flags = shape->prefault ? MMAP_PREFAULT : 0 };

    if (ring != NULL && mring_spsc_create(ring, &args) == 0)
        return ring;
    free(ring);
    return NULL;
}

static void *create_spinning(const struct shape *shape)
{
    return create(shape, MRING_NOWAIT);
}

static void *create_waiting(const struct shape *shape)
{
    return create(shape, 0);
}

static void destroy(void *queue)
{
    mring_spsc_destroy(queue);
    free(queue);
}

/* Between processes the queue is a name, which each process opens for itself. */
struct named_ring {
    char tagname[64];
    struct mring_args args;
};

static void *open_named(void *queue, bool producer)
{
    const struct named_ring *named = queue;
    struct mring_spsc *ring = malloc(sizeof *ring);

    (void)producer;
    if (ring != NULL && mring_spsc_open(ring, &named->args) == 0)
        return ring;
    free(ring);
    return NULL;
}

static void destroy_named(void *queue)
{
    struct named_ring *named = queue;

    mmap_unlink(named->tagname);
    free(named);
}

static void *create_named(const struct shape *shape, unsigned flags)
{
    static unsigned number;
    struct named_ring *named = malloc(sizeof *named);

    if (named == NULL)
        return NULL;
    snprintf(named->tagname, sizeof named->tagname, "mring.ringbench.%ld.%u", (long)getpid(),
             number++);
    named->args =
        (struct mring_args){ .tagname = named->tagname,
                             .capacity = mring_capacity(shape->item_bytes * shape->capacity, 0),
                             .flags = flags,
                             .map_flags = shape->prefault ? MMAP_PREFAULT : 0 };
    void *ring = open_named(named, true);
    if (ring != NULL) {
        destroy(ring);
        return named;
    }
    free(named);
    return NULL;
}

static void *create_named_spinning(const struct shape *shape)
{
    return create_named(shape, MRING_NOWAIT);
}

static void *create_named_waiting(const struct shape *shape)
{
    return create_named(shape, 0);
}

/* ---- tables ---------------------------------------------------------------------------------- */

const struct queue queues_mring[] = {
    {
        .name = "mring",
        .role = ROLE_OURS,
        .uses = USE_ITEMS | USE_BATCHES | USE_SPANS | USE_BYTES | USE_ROUND_TRIP,
        .create = create_spinning,
        .destroy = destroy,
        .put = spsc_put,
        .get = spsc_get,
        ITEM_LOOPS(spsc),
        BATCH_LOOPS(spsc),
        SPAN_LOOPS(spsc),
        ROUND_TRIP_LOOPS(spsc),
    },
    {
        .name = "mring_wait",
        .role = ROLE_VARIANT,
        .uses = USE_ITEMS | USE_BYTES | USE_ROUND_TRIP,
        .create = create_waiting,
        .destroy = destroy,
        .put = spsc_put,
        .get = spsc_get,
        ITEM_LOOPS(wait),
        ROUND_TRIP_LOOPS(wait),
    },
    {
        .name = "mring",
        .role = ROLE_OURS,
        .uses = USE_WAKE,
        .create = create_waiting,
        .destroy = destroy,
        WAKE_LOOPS(wait),
    },
    {
        .name = "mring",
        .role = ROLE_OURS,
        .uses = USE_PROCESSES,
        .create = create_named_spinning,
        .destroy = destroy_named,
        .open = open_named,
        .close = destroy,
        .put = spsc_put,
        .get = spsc_get,
        ITEM_LOOPS(spsc),
        ROUND_TRIP_LOOPS(spsc),
    },
    {
        .name = "mring",
        .role = ROLE_OURS,
        .uses = USE_BLOCKING,
        .create = create_named_waiting,
        .destroy = destroy_named,
        .open = open_named,
        .close = destroy,
        ITEM_LOOPS(wait),
        ROUND_TRIP_LOOPS(wait),
    },
    { .name = NULL },
};
