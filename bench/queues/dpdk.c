/* SPDX-License-Identifier: MIT */
/*
 * DPDK's rte_ring, Debian's libdpdk-dev. A ring needs nothing of DPDK's environment: rte_ring_init
 * makes it in any memory. RING_F_EXACT_SZ lets it hold the asked number of elements, in a table of
 * the next power of two.
 *
 * What a ring holds are elements of one size, a multiple of 4 bytes. So a chunk of bytes is a bulk
 * of elements, and a chunk of another size can't be had.
 */
#define _GNU_SOURCE /* rte_lcore.h: cpu_set_t */

#include "adaptor.h"

#include <mring/mmap.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <rte_ring_peek_zc.h>
#include <stdlib.h>

/* ---- life ------------------------------------------------------------------------------------ */

/* The bytes of a ring with room for `count` elements; 0 if there can't be one. */
static size_t ring_bytes(size_t element_bytes, size_t count)
{
    if (count == 0 || count > RTE_RING_SZ_MASK / 2)
        return 0;
    ssize_t bytes =
        rte_ring_get_memsize_elem((unsigned)element_bytes, (unsigned)next_power_of_two(count + 1));
    return bytes < 0 ? 0 : (size_t)bytes;
}

static bool init_ring(void *memory, size_t count, unsigned flags)
{
    return rte_ring_init(memory, "ringbench", (unsigned)count, flags | RING_F_EXACT_SZ) == 0;
}

static void *create(const struct shape *shape, size_t element_bytes, unsigned flags)
{
    size_t bytes = ring_bytes(element_bytes, shape->capacity);
    void *ring = bytes == 0 ? NULL : aligned_alloc(RTE_CACHE_LINE_SIZE, bytes);

    if (ring == NULL)
        return NULL;
    if (shape->prefault)
        memset(ring, 0, bytes);
    if (init_ring(ring, shape->capacity, flags))
        return ring;
    free(ring);
    return NULL;
}

/* ---- one producer, one consumer: items ------------------------------------------------------- */

SPECIALIZED bool spsc_put(void *end, const void *item, size_t size)
{
    return rte_ring_sp_enqueue_elem(end, (void *)item, (unsigned)size) == 0;
}

SPECIALIZED bool spsc_get(void *end, void *item, size_t size)
{
    return rte_ring_sc_dequeue_elem(end, item, (unsigned)size) == 0;
}

SPECIALIZED size_t spsc_put_batch(void *end, const void *items, size_t count, size_t size)
{
    return rte_ring_sp_enqueue_burst_elem(end, items, (unsigned)size, (unsigned)count, NULL);
}

SPECIALIZED size_t spsc_get_batch(void *end, void *items, size_t count, size_t size)
{
    return rte_ring_sc_dequeue_burst_elem(end, items, (unsigned)size, (unsigned)count, NULL);
}

/*
 * A span is what is contiguous: at the end of the table that is less than was started with, and the
 * finish, which may be for less, leaves the rest.
 */
SPECIALIZED void *spsc_reserve(void *end, size_t *count, size_t size)
{
    struct rte_ring_zc_data room;

    if (rte_ring_enqueue_zc_burst_elem_start(end, (unsigned)size, (unsigned)*count, &room, NULL) ==
        0)
        return NULL;
    *count = room.n1;
    return room.ptr1;
}

SPECIALIZED void spsc_commit(void *end, size_t count, size_t size)
{
    (void)size;
    rte_ring_enqueue_zc_elem_finish(end, (unsigned)count);
}

SPECIALIZED const void *spsc_peek(void *end, size_t *count, size_t size)
{
    struct rte_ring_zc_data items;

    if (rte_ring_dequeue_zc_burst_elem_start(end, (unsigned)size, (unsigned)*count, &items, NULL) ==
        0)
        return NULL;
    *count = items.n1;
    return items.ptr1;
}

SPECIALIZED void spsc_release(void *end, size_t count, size_t size)
{
    (void)size;
    rte_ring_dequeue_zc_elem_finish(end, (unsigned)count);
}

DEFINE_ITEM_LOOPS(spsc, 0, spsc_put, spsc_get)
DEFINE_BATCH_LOOPS(spsc, 0, spsc_put_batch, spsc_get_batch)
DEFINE_SPAN_LOOPS(spsc, 0, spsc_reserve, spsc_commit, spsc_peek, spsc_release)
DEFINE_ROUND_TRIP_LOOPS(spsc, 0, spsc_put, spsc_get)

static void *create_spsc(const struct shape *shape)
{
    return create(shape, shape->item_bytes, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

/* ---- one producer, one consumer: bytes ------------------------------------------------------- */

/*
 * The chunks of a run have one size, so the elements are as large as divides it: those of 16 bytes
 * are copied faster than those of 4. In memory that processes share; the ring follows.
 */
struct byte_ring {
    MRING_ALIGNAS(MRING_LINE) unsigned element_bytes; /* 4, 8 or 16 */
    struct mmap map;
};

SPECIALIZED bool put_elements(void *end, const void *chunk, size_t size, unsigned element_bytes)
{
    struct rte_ring *ring = (struct rte_ring *)((struct byte_ring *)end + 1);

    return rte_ring_sp_enqueue_bulk_elem(ring, chunk, element_bytes,
                                         (unsigned)(size / element_bytes), NULL) != 0;
}

SPECIALIZED bool get_elements(void *end, void *chunk, size_t size, unsigned element_bytes)
{
    struct rte_ring *ring = (struct rte_ring *)((struct byte_ring *)end + 1);

    return rte_ring_sc_dequeue_bulk_elem(ring, chunk, element_bytes,
                                         (unsigned)(size / element_bytes), NULL) != 0;
}

/* In the loops an element's size is a constant, as it is in a program. */
#define DEFINE_LOOPS_OF_ELEMENTS(bytes)                                                            \
    SPECIALIZED bool put##bytes(void *end, const void *chunk, size_t size)                         \
    {                                                                                              \
        return put_elements(end, chunk, size, bytes);                                              \
    }                                                                                              \
                                                                                                   \
    SPECIALIZED bool get##bytes(void *end, void *chunk, size_t size)                               \
    {                                                                                              \
        return get_elements(end, chunk, size, bytes);                                              \
    }                                                                                              \
                                                                                                   \
    DEFINE_ITEM_LOOPS(elements##bytes, 0, put##bytes, get##bytes)                                  \
    DEFINE_ROUND_TRIP_LOOPS(elements##bytes, 0, put##bytes, get##bytes)

DEFINE_LOOPS_OF_ELEMENTS(4)
DEFINE_LOOPS_OF_ELEMENTS(8)
DEFINE_LOOPS_OF_ELEMENTS(16)

#define DEFINE_BYTES_LOOP(loop)                                                                    \
    static void bytes_##loop(struct share *share)                                                  \
    {                                                                                              \
        const struct byte_ring *bytes = share->end;                                                \
                                                                                                   \
        if (bytes->element_bytes == 4)                                                             \
            elements4_##loop(share);                                                               \
        else if (bytes->element_bytes == 8)                                                        \
            elements8_##loop(share);                                                               \
        else                                                                                       \
            elements16_##loop(share);                                                              \
    }

DEFINE_BYTES_LOOP(produce)
DEFINE_BYTES_LOOP(consume)
DEFINE_BYTES_LOOP(ping)
DEFINE_BYTES_LOOP(pong)

static bool bytes_put(void *end, const void *chunk, size_t size)
{
    return put_elements(end, chunk, size, ((struct byte_ring *)end)->element_bytes);
}

static bool bytes_get(void *end, void *chunk, size_t size)
{
    return get_elements(end, chunk, size, ((struct byte_ring *)end)->element_bytes);
}

static void destroy_bytes(void *queue)
{
    struct mmap map = ((struct byte_ring *)queue)->map;

    mmap_free(&map);
}

static void *create_bytes(const struct shape *shape)
{
    unsigned element_bytes = shape->item_bytes % 16 == 0 ? 16 : shape->item_bytes % 8 == 0 ? 8 : 4;
    size_t count = shape->item_bytes / element_bytes * shape->capacity;
    size_t size = ring_bytes(element_bytes, count);
    struct mmap_args args = { .access = MMAP_WRITE,
                              .flags = shape->prefault ? MMAP_PREFAULT : 0,
                              .size = sizeof(struct byte_ring) + size };
    struct mmap map = { 0 };

    if (shape->item_bytes % 4 != 0 || size == 0 || mmap_map(&map, &args) != 0)
        return NULL;
    struct byte_ring *bytes = map.addr;
    *bytes = (struct byte_ring){ .element_bytes = element_bytes, .map = map };
    if (init_ring(bytes + 1, count, RING_F_SP_ENQ | RING_F_SC_DEQ))
        return bytes;
    mmap_free(&map);
    return NULL;
}

/* ---- many producers, many consumers ---------------------------------------------------------- */

/* How a ring is synchronised is one of its flags, which these look at. */
SPECIALIZED bool many_put(void *end, const void *item, size_t size)
{
    return rte_ring_enqueue_elem(end, (void *)item, (unsigned)size) == 0;
}

SPECIALIZED bool many_get(void *end, void *item, size_t size)
{
    return rte_ring_dequeue_elem(end, item, (unsigned)size) == 0;
}

SPECIALIZED size_t many_put_batch(void *end, const void *items, size_t count, size_t size)
{
    return rte_ring_enqueue_burst_elem(end, items, (unsigned)size, (unsigned)count, NULL);
}

SPECIALIZED size_t many_get_batch(void *end, void *items, size_t count, size_t size)
{
    return rte_ring_dequeue_burst_elem(end, items, (unsigned)size, (unsigned)count, NULL);
}

DEFINE_MANY_LOOPS(many, many_put, many_get)
DEFINE_MANY_BATCH_LOOPS(many, many_put_batch, many_get_batch)

/* `producers` and `consumers` are the flags for more than one; the only one is not to compete. */
static void *create_many(const struct shape *shape, size_t element_bytes, unsigned producers,
                         unsigned consumers)
{
    return create(shape, element_bytes,
                  (shape->many_producers ? producers : RING_F_SP_ENQ) |
                      (shape->many_consumers ? consumers : RING_F_SC_DEQ));
}

static void *create_mpmc(const struct shape *shape)
{
    return create_many(shape, sizeof(uint64_t), 0, 0);
}

static void *create_rts(const struct shape *shape)
{
    return create_many(shape, sizeof(uint64_t), RING_F_MP_RTS_ENQ, RING_F_MC_RTS_DEQ);
}

static void *create_hts(const struct shape *shape)
{
    return create_many(shape, sizeof(uint64_t), RING_F_MP_HTS_ENQ, RING_F_MC_HTS_DEQ);
}

/* ---- records --------------------------------------------------------------------------------- */

/* The calls for producers that compete copy elements: the slot is copied as a whole. */
SPECIALIZED bool slot_put(void *end, const void *record, size_t size)
{
    struct slot slot;

    slot.length = (uint32_t)size;
    memcpy(slot.bytes, record, size);
    return rte_ring_enqueue_elem(end, &slot, sizeof slot) == 0;
}

/* In place, which there is where a side is serialised: only the record is copied. */
SPECIALIZED bool slot_put_in_place(void *end, const void *record, size_t size)
{
    struct rte_ring_zc_data room;

    if (rte_ring_enqueue_zc_bulk_elem_start(end, sizeof(struct slot), 1, &room, NULL) == 0)
        return false;
    struct slot *slot = room.ptr1;
    slot->length = (uint32_t)size;
    memcpy(slot->bytes, record, size);
    rte_ring_enqueue_zc_elem_finish(end, 1);
    return true;
}

SPECIALIZED bool slot_get_in_place(void *end, void *record, size_t size)
{
    struct rte_ring_zc_data slots;

    (void)size;
    if (rte_ring_dequeue_zc_bulk_elem_start(end, sizeof(struct slot), 1, &slots, NULL) == 0)
        return false;
    const struct slot *slot = slots.ptr1;
    memcpy(record, slot->bytes, slot->length);
    rte_ring_dequeue_zc_elem_finish(end, 1);
    return true;
}

DEFINE_RECORD_LOOPS(slots, slot_put, slot_get_in_place)
DEFINE_RECORD_LOOPS(slots_in_place, slot_put_in_place, slot_get_in_place)

static void *create_slots(const struct shape *shape)
{
    return create_many(shape, sizeof(struct slot), 0, 0);
}

static void *create_slots_in_place(const struct shape *shape)
{
    return create_many(shape, sizeof(struct slot), RING_F_MP_HTS_ENQ, RING_F_MC_HTS_DEQ);
}

/* ---- tables ---------------------------------------------------------------------------------- */

const struct queue queues_dpdk[] = {
    {
        .name = "dpdk",
        .role = ROLE_COMPETITOR,
        .uses = USE_ITEMS | USE_BATCHES | USE_SPANS | USE_ROUND_TRIP,
        .create = create_spsc,
        .destroy = free,
        .put = spsc_put,
        .get = spsc_get,
        ITEM_LOOPS(spsc),
        BATCH_LOOPS(spsc),
        SPAN_LOOPS(spsc),
        ROUND_TRIP_LOOPS(spsc),
    },
    {
        .name = "dpdk",
        .role = ROLE_COMPETITOR,
        .uses = USE_BYTES | USE_PROCESSES,
        .create = create_bytes,
        .destroy = destroy_bytes,
        .put = bytes_put,
        .get = bytes_get,
        ITEM_LOOPS(bytes),
        ROUND_TRIP_LOOPS(bytes),
    },
    {
        .name = "dpdk_mpmc",
        .role = ROLE_COMPETITOR,
        .uses = USE_MANY | USE_MANY_BATCHES,
        .create = create_mpmc,
        .destroy = free,
        .put = many_put,
        .get = many_get,
        MANY_LOOPS(many),
        MANY_BATCH_LOOPS(many),
    },
    {
        .name = "dpdk_rts",
        .role = ROLE_COMPETITOR,
        .uses = USE_MANY | USE_MANY_BATCHES,
        .create = create_rts,
        .destroy = free,
        .put = many_put,
        .get = many_get,
        MANY_LOOPS(many),
        MANY_BATCH_LOOPS(many),
    },
    {
        .name = "dpdk_hts",
        .role = ROLE_COMPETITOR,
        .uses = USE_MANY | USE_MANY_BATCHES,
        .create = create_hts,
        .destroy = free,
        .put = many_put,
        .get = many_get,
        MANY_LOOPS(many),
        MANY_BATCH_LOOPS(many),
    },
    {
        .name = "dpdk",
        .role = ROLE_COMPETITOR,
        .uses = USE_RECORDS,
        .create = create_slots,
        .destroy = free,
        .put = slot_put,
        .get = slot_get_in_place,
        RECORD_LOOPS(slots),
    },
    {
        .name = "dpdk_hts",
        .role = ROLE_COMPETITOR,
        .uses = USE_RECORDS,
        .create = create_slots_in_place,
        .destroy = free,
        .put = slot_put_in_place,
        .get = slot_get_in_place,
        RECORD_LOOPS(slots_in_place),
    },
    { .name = NULL },
};
