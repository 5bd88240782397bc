/* SPDX-License-Identifier: MIT */
/*
 * Broken queues, for --negative-control: one item in a million goes wrong, in the ways in which a
 * queue with a race does. Their rows have to fail, or the checks of all the other rows are worth
 * nothing.
 */
#include "../storage.h"

#include <mring.h>
#include <stdlib.h>

#define ONE_IN 1000000

/*
 * Of large items, of which a run has fewer and does not look at every word; and of batches. A prime
 * number, so that it is not always the same word that is looked at.
 */
#define ONE_LARGE_IN 997

/* Says that it took the item, and did not. */
SPECIALIZED bool drop(struct mring_spsc *ring, const void *item, size_t size, bool its_turn)
{
    return its_turn || mirrored_put(ring, item, size);
}

SPECIALIZED bool repeat(struct mring_spsc *ring, const void *item, size_t size, bool its_turn)
{
    if (!mirrored_put(ring, item, size))
        return false;
    if (its_turn)
        mirrored_put(ring, item, size);
    return true;
}

/* The end of the item has not arrived yet when the consumer reads it. */
SPECIALIZED bool tear(struct mring_spsc *ring, const void *item, size_t size, bool its_turn)
{
    unsigned char torn[RECORD_MAX];

    if (!its_turn)
        return mirrored_put(ring, item, size);
    memcpy(torn, item, size);
    memset(torn + size - 4, 0, 4);
    return mirrored_put(ring, torn, size);
}

/* A row's put with the fault, counted over all repetitions: each row has one producer. */
#define DEFINE_BROKEN(name, fault)                                                                 \
    SPECIALIZED bool name##_put(void *end, const void *item, size_t size)                          \
    {                                                                                              \
        static uint64_t count;                                                                     \
                                                                                                   \
        return fault(end, item, size, ++count % (size > 8 ? ONE_LARGE_IN : ONE_IN) == 0);          \
    }

/* One byte in the middle is wrong. */
SPECIALIZED bool flip(struct mring_spsc *ring, const void *item, size_t size, bool its_turn)
{
    unsigned char flipped[RECORD_MAX];

    if (!its_turn)
        return mirrored_put(ring, item, size);
    memcpy(flipped, item, size);
    flipped[size / 2] ^= 1;
    return mirrored_put(ring, flipped, size);
}

/* One batch is short of an item. */
SPECIALIZED size_t drop_batch_put(void *end, const void *items, size_t count, size_t size)
{
    static uint64_t batches;
    size_t missing = ++batches % ONE_LARGE_IN == 0;

    return mring_spsc_write(end, items, (count - missing) * size) / size + missing;
}

SPECIALIZED size_t get_batch(void *end, void *items, size_t count, size_t size)
{
    return mring_spsc_read(end, items, count * size) / size;
}

DEFINE_BROKEN(drop, drop)
DEFINE_ITEM_LOOPS(drop, 8, drop_put, mirrored_get)
DEFINE_BROKEN(repeat, repeat)
DEFINE_ITEM_LOOPS(repeat, 8, repeat_put, mirrored_get)
DEFINE_BROKEN(tear, tear)
DEFINE_ITEM_LOOPS(tear, 8, tear_put, mirrored_get)
DEFINE_BROKEN(flip, flip)
DEFINE_ITEM_LOOPS(flip, 256, flip_put, mirrored_get)
DEFINE_BATCH_LOOPS(drop_batch, 8, drop_batch_put, get_batch)
DEFINE_BROKEN(drop_many, drop)
DEFINE_MANY_LOOPS(drop_many, drop_many_put, mirrored_get)
DEFINE_BROKEN(repeat_many, repeat)
DEFINE_MANY_LOOPS(repeat_many, repeat_many_put, mirrored_get)

static void *create(const struct shape *shape)
{
    struct mring_spsc *ring = malloc(sizeof *ring);
    struct mring_args args = { .capacity = mring_capacity(shape->item_bytes * shape->capacity, 0),
                               .flags = MRING_NOWAIT };

    if (ring != NULL && mring_spsc_create(ring, &args) == 0)
        return ring;
    free(ring);
    return NULL;
}

static void destroy(void *queue)
{
    mring_spsc_destroy(queue);
    free(queue);
}

#define BROKEN_QUEUE(fault, row_uses, size, loops)                                                 \
    {                                                                                              \
        .name = #fault, .uses = row_uses, .item_bytes = size, .create = create,                    \
        .destroy = destroy, .get = mirrored_get, loops                                             \
    }

const struct queue queues_control[] = {
    BROKEN_QUEUE(drop, USE_ITEMS, 8, ITEM_LOOPS(drop)),
    BROKEN_QUEUE(repeat, USE_ITEMS, 8, ITEM_LOOPS(repeat)),
    BROKEN_QUEUE(tear, USE_ITEMS, 8, ITEM_LOOPS(tear)),
    BROKEN_QUEUE(flip, USE_ITEMS, 256, ITEM_LOOPS(flip)),
    BROKEN_QUEUE(drop_batch, USE_BATCHES, 8, BATCH_LOOPS(drop_batch)),
    BROKEN_QUEUE(drop_many, USE_MANY, 8, MANY_LOOPS(drop_many)),
    BROKEN_QUEUE(repeat_many, USE_MANY, 8, MANY_LOOPS(repeat_many)),
    { .name = NULL },
};
