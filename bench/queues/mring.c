/* SPDX-License-Identifier: MIT */
/*
 * The library's own rings. An item, or chunk, goes by push and pop, a batch by push_n and pop_n; a
 * span is filled and read in place. Between processes, the forked one has a copy of the handle and
 * adopts one end of it.
 *
 * The row "handover" is what the hardware gives, for the others to be compared with: one ring is
 * reserved, published, read and given back a 16th of it at a time. So nothing is left but copying
 * the items (or writing and reading them in place) and the transfer of their cache lines.
 */
#include "../storage.h"

#include <mring.h>
#include <stdlib.h>

/* ---- calls ----------------------------------------------------------------------------------- */

SPECIALIZED size_t spsc_put_batch(void *end, const void *items, size_t count, size_t size)
{
    return mring_spsc_push_n(end, items, size, count);
}

SPECIALIZED size_t spsc_get_batch(void *end, void *items, size_t count, size_t size)
{
    return mring_spsc_pop_n(end, items, size, count);
}

/* All or nothing, so that spans of one size follow each other. */
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
    while (!mirrored_put(end, item, size)) {
        if (mring_spsc_wait_writable(end, size, -1) != 0)
            return false;
    }
    return true;
}

SPECIALIZED bool wait_get(void *end, void *item, size_t size)
{
    while (!mirrored_get(end, item, size)) {
        if (mring_spsc_wait_readable(end, size, -1) != 0)
            return false;
    }
    return true;
}

DEFINE_ITEM_LOOPS(spsc, 0, mirrored_put, mirrored_get)
DEFINE_BATCH_LOOPS(spsc, 0, spsc_put_batch, spsc_get_batch)
DEFINE_SPAN_LOOPS(spsc, 0, spsc_reserve, spsc_commit, spsc_peek, spsc_release)
DEFINE_ROUND_TRIP_LOOPS(spsc, 0, mirrored_put, mirrored_get)
DEFINE_ITEM_LOOPS(wait, 0, wait_put, wait_get)
DEFINE_ROUND_TRIP_LOOPS(wait, 0, wait_put, wait_get)
DEFINE_WAKE_LOOPS(wait, wait_put, wait_get)

/* ---- hand-over in blocks --------------------------------------------------------------------- */

/* Items of a block: batches, as many as fit; not more than are left. */
SPECIALIZED size_t next_block(const struct share *share, size_t size, uint64_t left)
{
    size_t batches = mring_spsc_capacity(share->end) / 16 / (share->batch * size);
    size_t count = batches > 1 ? batches * share->batch : share->batch;

    return count < left ? count : (size_t)left;
}

SPECIALIZED void produce_blocks_loop(struct share *share, size_t size, size_t batch)
{
    struct mring_spsc *ring = share->end;
    struct feed feed = feed_start(share, size);
    uint64_t failed = 0;

    for (uint64_t left = share->count; left > 0;) {
        size_t count = next_block(share, size, left);
        unsigned char *room = mring_spsc_reserve(ring, count * size);
        for (uint64_t polls = 0; room == NULL; room = mring_spsc_reserve(ring, count * size)) {
            failed++;
            if (!bench_idle(&share->pace, ++polls))
                return;
        }
        for (size_t i = 0; i < count; i += batch) {
            size_t n = count - i < batch ? count - i : batch;
            memcpy(room + i * size, feed.item, n * size);
            feed_next(&feed, n, size);
        }
        mring_spsc_commit(ring, count * size);
        left -= count;
    }
    share->failed_polls = failed;
}

SPECIALIZED void consume_blocks_loop(struct share *share, size_t size, size_t batch)
{
    struct mring_spsc *ring = share->end;
    struct stamps stamps = stamps_start(share);
    uint64_t failed = 0;
    size_t known;

    for (uint64_t left = share->count; left > 0;) {
        size_t count = next_block(share, size, left);
        const unsigned char *items = mring_spsc_peek(ring, count * size, &known);
        for (uint64_t polls = 0; items == NULL;
             items = mring_spsc_peek(ring, count * size, &known)) {
            failed++;
            if (!bench_idle(&share->pace, ++polls))
                return;
        }
        for (size_t i = 0; i < count; i += batch) {
            size_t n = count - i < batch ? count - i : batch;
            memcpy(share->destination, items + i * size, n * size);
            mring_alias_barrier();
            for (size_t j = 0; j < n; j++)
                stamps_check(&stamps, share->destination + j * size, size);
        }
        mring_spsc_consume(ring, count * size);
        left -= count;
    }
    share->failed_polls = failed;
    share->mismatch = stamps.mismatch;
}

/* In place: the usual loops, with larger batches. */
static void produce_large_spans(struct share *share)
{
    share->batch = next_block(share, 8, share->count);
    produce_spans_loop(share, 8, spsc_reserve, spsc_commit);
}

static void consume_large_spans(struct share *share)
{
    share->batch = next_block(share, 8, share->count);
    consume_spans_loop(share, 8, spsc_peek, spsc_release);
}

DEFINE_SIZED_LOOP(produce_blocks, 0, produce_blocks_loop(share, size, 1))
DEFINE_SIZED_LOOP(consume_blocks, 0, consume_blocks_loop(share, size, 1))
DEFINE_SIZED_LOOP(produce_batch_blocks, 0, produce_blocks_loop(share, size, share->batch))
DEFINE_SIZED_LOOP(consume_batch_blocks, 0, consume_blocks_loop(share, size, share->batch))

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

/* Before the run, this thread's process has used both ends; a forked one takes one over. */
static void *open_end(void *queue, bool producer)
{
    int err = mring_spsc_adopt(queue, producer ? MRING_WRITE_END : MRING_READ_END);

    return err == 0 ? queue : NULL;
}

static void destroy(void *queue)
{
    mring_spsc_destroy(queue);
    free(queue);
}

/* ---- tables ---------------------------------------------------------------------------------- */

const struct queue queues_mring[] = {
    {
        .name = "mring",
        .role = ROLE_OURS,
        .uses = USE_ITEMS | USE_BATCHES | USE_SPANS | USE_BYTES | USE_ROUND_TRIP | USE_PROCESSES,
        .create = create_spinning,
        .destroy = destroy,
        .open = open_end,
        .put = mirrored_put,
        .get = mirrored_get,
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
        .open = open_end,
        .put = mirrored_put,
        .get = mirrored_get,
        ITEM_LOOPS(wait),
        ROUND_TRIP_LOOPS(wait),
    },
    {
        .name = "mring",
        .role = ROLE_OURS,
        .uses = USE_WAKE,
        .create = create_waiting,
        .destroy = destroy,
        .open = open_end,
        WAKE_LOOPS(wait),
    },
    {
        .name = "mring",
        .role = ROLE_OURS,
        .uses = USE_BLOCKING,
        .create = create_waiting,
        .destroy = destroy,
        .open = open_end,
        ITEM_LOOPS(wait),
        ROUND_TRIP_LOOPS(wait),
    },
    {
        .name = "handover",
        .role = ROLE_LIMIT,
        .uses = USE_ITEMS | USE_BATCHES | USE_SPANS | USE_BYTES,
        .create = create_spinning,
        .destroy = destroy,
        .open = open_end,
        .put = mirrored_put,
        .get = mirrored_get,
        .produce = produce_blocks,
        .consume = consume_blocks,
        .produce_batches = produce_batch_blocks,
        .consume_batches = consume_batch_blocks,
        .produce_spans = produce_large_spans,
        .consume_spans = consume_large_spans,
    },
    { .name = NULL },
};
