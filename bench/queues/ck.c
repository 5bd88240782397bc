/* SPDX-License-Identifier: MIT */
/*
 * Concurrency Kit's ck_ring, Debian's libck-dev. Its calls are for pointers; CK_RING_PROTOTYPE
 * makes the same ones for items of a type of one's own, which are copied in and out by value.
 *
 * Processes could share it, since it has no pointer in it. But it is for items of one type, and
 * what goes between processes here are chunks of any size.
 *
 * The 0.7.1 of Debian 12 orders the copy of an item before its release with a store fence only.
 * That is enough on x86, and not on processors that reorder a load with a later store.
 */
#include "adaptor.h"

#include <ck_ring.h>
#include <stdlib.h>

/* The buffer follows it. */
struct ring {
    MRING_ALIGNAS(MRING_LINE) ck_ring_t ring;
    bool many_producers;
    bool many_consumers;
};

/*
 * A ring of n slots holds n - 1 items, and n is a power of two, 4 at least. So that its memory is
 * that of the others, it holds one item less than was asked for.
 */
static void *create(const struct shape *shape, size_t item_bytes)
{
    size_t slots = next_power_of_two(shape->capacity < 4 ? 4 : shape->capacity);
    size_t bytes = sizeof(struct ring) + slots * item_bytes;

    bytes = (bytes + MRING_LINE - 1) & ~(size_t)(MRING_LINE - 1);
    struct ring *ring = aligned_alloc(MRING_LINE, bytes);
    if (ring == NULL)
        return NULL;
    if (shape->prefault)
        memset(ring, 0, bytes);
    ck_ring_init(&ring->ring, (unsigned)slots);
    ring->many_producers = shape->many_producers;
    ring->many_consumers = shape->many_consumers;
    return ring;
}

/* ---- one producer, one consumer -------------------------------------------------------------- */

/* The items are characters, so that any memory may be seen as one. */
#define DEFINE_ITEM(size)                                                                          \
    struct item##size {                                                                            \
        MRING_ALIGNAS(8) unsigned char bytes[size];                                                \
    };                                                                                             \
    CK_RING_PROTOTYPE(item##size, item##size)                                                      \
                                                                                                   \
    static void *create##size(const struct shape *shape)                                           \
    {                                                                                              \
        return create(shape, size);                                                                \
    }                                                                                              \
                                                                                                   \
    SPECIALIZED bool spsc_put##size(void *end, const void *item, size_t bytes)                     \
    {                                                                                              \
        struct ring *ring = end;                                                                   \
                                                                                                   \
        (void)bytes;                                                                               \
        return CK_RING_ENQUEUE_SPSC(item##size, &ring->ring, (struct item##size *)(ring + 1),      \
                                    (struct item##size *)item);                                    \
    }                                                                                              \
                                                                                                   \
    SPECIALIZED bool spsc_get##size(void *end, void *item, size_t bytes)                           \
    {                                                                                              \
        struct ring *ring = end;                                                                   \
                                                                                                   \
        (void)bytes;                                                                               \
        return CK_RING_DEQUEUE_SPSC(item##size, &ring->ring, (struct item##size *)(ring + 1),      \
                                    item);                                                         \
    }                                                                                              \
                                                                                                   \
    DEFINE_ITEM_LOOPS(spsc##size, size, spsc_put##size, spsc_get##size)

DEFINE_ITEM(8)
DEFINE_ITEM(16)
DEFINE_ITEM(64)
DEFINE_ITEM(256)
DEFINE_ROUND_TRIP_LOOPS(spsc8, 8, spsc_put8, spsc_get8)

/* ---- many producers, many consumers ---------------------------------------------------------- */

/* The calls of the kind that is asked for: where there is one of a side, it need not compete. */
SPECIALIZED bool many_put(void *end, const void *item, size_t size)
{
    struct ring *ring = end;
    struct item8 *items = (struct item8 *)(ring + 1);

    (void)size;
    if (ring->many_producers)
        return CK_RING_ENQUEUE_MPMC(item8, &ring->ring, items, (struct item8 *)item);
    return CK_RING_ENQUEUE_SPMC(item8, &ring->ring, items, (struct item8 *)item);
}

/* Not the try variant, which fails as well when another consumer was faster. */
SPECIALIZED bool many_get(void *end, void *item, size_t size)
{
    struct ring *ring = end;
    struct item8 *items = (struct item8 *)(ring + 1);

    (void)size;
    if (ring->many_consumers)
        return CK_RING_DEQUEUE_MPMC(item8, &ring->ring, items, item);
    return CK_RING_DEQUEUE_MPSC(item8, &ring->ring, items, item);
}

DEFINE_MANY_LOOPS(many, many_put, many_get)

/* ---- tables ---------------------------------------------------------------------------------- */

#define TABLE_OF_ITEMS(size, more_uses, ...)                                                       \
    {                                                                                              \
        .name = "ck", .role = ROLE_COMPETITOR, .uses = USE_ITEMS | (more_uses),                    \
        .item_bytes = size, .create = create##size, .destroy = free, .put = spsc_put##size,        \
        .get = spsc_get##size, ITEM_LOOPS(spsc##size), __VA_ARGS__                                 \
    }

const struct queue queues_ck[] = {
    TABLE_OF_ITEMS(8, USE_ROUND_TRIP, ROUND_TRIP_LOOPS(spsc8)),
    TABLE_OF_ITEMS(16, 0, ),
    TABLE_OF_ITEMS(64, 0, ),
    TABLE_OF_ITEMS(256, 0, ),
    {
        .name = "ck",
        .role = ROLE_COMPETITOR,
        .uses = USE_MANY,
        .create = create8,
        .destroy = free,
        .put = many_put,
        .get = many_get,
        MANY_LOOPS(many),
    },
    { .name = NULL },
};
