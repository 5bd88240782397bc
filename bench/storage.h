/* SPDX-License-Identifier: MIT */
/*
 * Four storages under one ring:
 *
 *   mirrored   the library's: the pages are there twice, so any span of bytes is contiguous
 *   split      plain memory; a span that meets the end is in two pieces
 *   skip       plain memory of records, each with its length before it. One that does not fit
 *              before the end starts at the beginning; a mark says that the rest is to be skipped
 *   doubled    plain memory of records, twice the capacity of it. A record may run on behind the
 *              capacity, and the next one starts where its position says, near the beginning (as in
 *              quill's BoundedSPSCQueue). So a record is contiguous, but a row of them is not
 *
 * Positions, ordering, cached views and publication are the library's own calls on a struct
 * mring_spsc in all four. So what a comparison shows is the storage and nothing else.
 *
 *             mirrored                split           skip              doubled
 *   copy      mirrored_put            split_put       skip_put          doubled_put
 *             mirrored_get            split_get       skip_get          doubled_get
 *   in place  mring_spsc_reserve      split_reserve   skip_reserve      doubled_reserve
 *             mring_spsc_commit       the same        records_commit    the same
 *             mring_spsc_peek         split_peek      records_peek and
 *                                                     skip_next         doubled_next
 *             mring_spsc_consume      the same        records_consume   the same
 *
 * The copying calls have the types of loops.h: they move `size` bytes, or none and return false.
 */
#ifndef BENCH_STORAGE_H
#define BENCH_STORAGE_H

#include "loops.h"

#include <mring/spsc.h>
#include <string.h>

/* ---- life ------------------------------------------------------------------------------------ */

/* As `storage->create`, on pages that have been touched in every copy. */
static inline int mirrored_create(struct mring_spsc *ring, uint64_t capacity)
{
    return mring_spsc_create(ring, &(struct mring_args){ .capacity = capacity,
                                                         .flags = MRING_NOWAIT,
                                                         .map_flags = MMAP_PREFAULT });
}

/*
 * Both sides' words come first, then the bytes, on pages of their own as in the library's rings.
 * They do not begin where a page does: the first record of each lap of `skip` would be 8 bytes into
 * one, and the kernel's copies from there to the start of another page take three times as long.
 */
#define PLAIN_OFFSET ((size_t)5 * 64)

static inline int plain_create(struct mring_spsc *ring, uint64_t capacity, uint64_t bytes)
{
    uint64_t lead = mmap_aligned_size(2 * sizeof(struct mring_side), MMAP_UP) + PLAIN_OFFSET;
    struct mmap_args args = { .access = MMAP_WRITE, .flags = MMAP_PREFAULT, .size = lead + bytes };
    struct mmap map = { 0 };

    int err = mmap_map(&map, &args);
    if (err != 0)
        return err;
    struct mring_side *sides = map.addr;
    *ring = (struct mring_spsc){
        .data = (unsigned char *)map.addr + lead,
        .capacity = capacity,
        .write_side = &sides[0],
        .read_side = &sides[1],
        .map = map,
    };
    /* It holds off as the library's own does. */
    err = mring_spsc_tune(ring, MRING_WRITE_END, &(struct mring_tuning){ 0 });
    return err != 0 ? err : mring_spsc_tune(ring, MRING_READ_END, &(struct mring_tuning){ 0 });
}

static inline int single_create(struct mring_spsc *ring, uint64_t capacity)
{
    return plain_create(ring, capacity, capacity);
}

static inline int doubled_create(struct mring_spsc *ring, uint64_t capacity)
{
    return plain_create(ring, capacity, 2 * capacity);
}

static inline int plain_destroy(struct mring_spsc *ring)
{
    return mmap_free(&ring->map);
}

/* ---- mirrored -------------------------------------------------------------------------------- */

SPECIALIZED bool mirrored_put(void *end, const void *chunk, size_t size)
{
    return mring_spsc_push(end, chunk, size);
}

SPECIALIZED bool mirrored_get(void *end, void *chunk, size_t size)
{
    return mring_spsc_pop(end, chunk, size);
}

/* ---- split ----------------------------------------------------------------------------------- */

/* What the end of the memory makes of one span. Without a second piece, its size is 0. */
struct spans {
    unsigned char *first;
    size_t first_size;
    unsigned char *second;
    size_t second_size;
};

SPECIALIZED struct spans split_spans(const struct mring_spsc *ring, uint64_t pos, size_t size)
{
    uint64_t offset = pos & (ring->capacity - 1);
    size_t rest = (size_t)(ring->capacity - offset);
    size_t first_size = size < rest ? size : rest;

    return (struct spans){ ring->data + offset, first_size, ring->data, size - first_size };
}

SPECIALIZED bool split_reserve(struct mring_spsc *ring, size_t size, struct spans *spans)
{
    if (mring_spsc_reserve(ring, size) == NULL)
        return false;
    *spans = split_spans(ring, ring->write_pos, size);
    return true;
}

/* All that is known to be there, at least `minimum` bytes. */
SPECIALIZED bool split_peek(struct mring_spsc *ring, size_t minimum, struct spans *spans)
{
    size_t size;

    if (mring_spsc_peek(ring, minimum, &size) == NULL)
        return false;
    *spans = split_spans(ring, ring->read_pos, size);
    return true;
}

/* The usual case has the one copy of constant size that the mirror has always. */
SPECIALIZED bool split_put(void *end, const void *chunk, size_t size)
{
    struct mring_spsc *ring = end;
    unsigned char *room = mring_spsc_reserve(ring, size);

    if (room == NULL)
        return false;
    size_t rest = (size_t)(ring->data + ring->capacity - room);
    if (size <= rest) {
        memcpy(room, chunk, size);
    } else {
        memcpy(room, chunk, rest);
        memcpy(ring->data, (const unsigned char *)chunk + rest, size - rest);
    }
    mring_spsc_commit(ring, size);
    return true;
}

SPECIALIZED bool split_get(void *end, void *chunk, size_t size)
{
    struct mring_spsc *ring = end;
    size_t readable;
    const unsigned char *bytes = mring_spsc_peek(ring, size, &readable);

    if (bytes == NULL)
        return false;
    size_t rest = (size_t)(ring->data + ring->capacity - bytes);
    if (size <= rest) {
        memcpy(chunk, bytes, size);
    } else {
        memcpy(chunk, bytes, rest);
        memcpy((unsigned char *)chunk + rest, ring->data, size - rest);
    }
    mring_spsc_consume(ring, size);
    return true;
}

/* ---- records --------------------------------------------------------------------------------- */

/*
 * Before a record is its length. Each starts at a multiple of a length's size, so that there is
 * always room for the mark before the end.
 */
typedef uint64_t record_head;

#define RECORD_HEAD ((size_t)8)
#define RECORD_SKIP UINT64_MAX

/* That a record takes up. */
SPECIALIZED size_t record_bytes(size_t size)
{
    return RECORD_HEAD + ((size + RECORD_HEAD - 1) & ~(RECORD_HEAD - 1));
}

/*
 * Publish the first `size` bytes of the reservation as a record. The head is a plain store: P2 of
 * the library publishes it with the record.
 */
SPECIALIZED void records_commit(struct mring_spsc *ring, size_t size)
{
    record_head head = size;

    memcpy(ring->data + (ring->write_pos & (ring->capacity - 1)), &head, sizeof head);
    mring_spsc_commit(ring, record_bytes(size));
}

/* Whether there is a record, or a mark. What is published is whole. */
SPECIALIZED bool records_peek(struct mring_spsc *ring)
{
    size_t readable;

    return mring_spsc_peek(ring, RECORD_HEAD, &readable) != NULL;
}

/* Give back everything before `pos`. */
SPECIALIZED void records_consume(struct mring_spsc *ring, uint64_t pos)
{
    mring_spsc_consume(ring, (size_t)(pos - ring->read_pos));
}

/*
 * The record at *pos, which moves behind it; NULL behind the last one that the consumer knows of.
 * To begin with, *pos is the ring's read_pos. *pos may move in either case: over a mark.
 */
typedef const void *next_record(const struct mring_spsc *ring, uint64_t *pos, size_t *size);

SPECIALIZED const void *doubled_next(const struct mring_spsc *ring, uint64_t *pos, size_t *size)
{
    const unsigned char *bytes = ring->data + (*pos & (ring->capacity - 1));
    record_head head;

    if (*pos == ring->write_pos_seen)
        return NULL;
    memcpy(&head, bytes, sizeof head);
    *size = (size_t)head;
    *pos += record_bytes(*size);
    return bytes + RECORD_HEAD;
}

SPECIALIZED const void *skip_next(const struct mring_spsc *ring, uint64_t *pos, size_t *size)
{
    uint64_t offset = *pos & (ring->capacity - 1);
    record_head head;

    if (*pos == ring->write_pos_seen)
        return NULL;
    memcpy(&head, ring->data + offset, sizeof head);
    if (head == RECORD_SKIP) {
        *pos += ring->capacity - offset;
        if (*pos == ring->write_pos_seen)
            return NULL;
        offset = 0;
        memcpy(&head, ring->data, sizeof head);
    }
    *size = (size_t)head;
    *pos += record_bytes(*size);
    return ring->data + offset + RECORD_HEAD;
}

SPECIALIZED void *doubled_reserve(struct mring_spsc *ring, size_t size)
{
    unsigned char *room = mring_spsc_reserve(ring, record_bytes(size));

    return room != NULL ? room + RECORD_HEAD : NULL;
}

/*
 * The mark is published by itself, once in a lap. So the consumer can give back the rest before the
 * end, and a record may be as large as the ring; were it published with the record, one of more
 * than half the ring might wait for ever.
 */
SPECIALIZED void *skip_reserve(struct mring_spsc *ring, size_t size)
{
    size_t rest = (size_t)(ring->capacity - (ring->write_pos & (ring->capacity - 1)));

    if (record_bytes(size) > rest) {
        const record_head mark = RECORD_SKIP;
        void *room = mring_spsc_reserve(ring, rest);
        if (room == NULL)
            return NULL;
        memcpy(room, &mark, sizeof mark);
        mring_spsc_commit(ring, rest);
    }
    return doubled_reserve(ring, size);
}

/* Copying, as if the reader knew the length, like the readers of the other storages. */
SPECIALIZED bool records_get(struct mring_spsc *ring, void *chunk, size_t size, next_record *next)
{
    uint64_t pos = ring->read_pos;
    size_t length = 0;

    if (!records_peek(ring))
        return false;
    const void *record = next(ring, &pos, &length);
    if (length == size)
        memcpy(chunk, record, size);
    records_consume(ring, pos);
    return length == size;
}

SPECIALIZED bool skip_put(void *end, const void *chunk, size_t size)
{
    void *room = skip_reserve(end, size);

    if (room == NULL)
        return false;
    memcpy(room, chunk, size);
    records_commit(end, size);
    return true;
}

SPECIALIZED bool skip_get(void *end, void *chunk, size_t size)
{
    return records_get(end, chunk, size, skip_next);
}

SPECIALIZED bool doubled_put(void *end, const void *chunk, size_t size)
{
    void *room = doubled_reserve(end, size);

    if (room == NULL)
        return false;
    memcpy(room, chunk, size);
    records_commit(end, size);
    return true;
}

SPECIALIZED bool doubled_get(void *end, void *chunk, size_t size)
{
    return records_get(end, chunk, size, doubled_next);
}

/* ---- table ----------------------------------------------------------------------------------- */

/* Where a position is when `size` more bytes have been put; for checking afterwards. */
static inline uint64_t stream_advance(uint64_t pos, size_t size, uint64_t capacity)
{
    (void)capacity;
    return pos + size;
}

static inline uint64_t doubled_advance(uint64_t pos, size_t size, uint64_t capacity)
{
    (void)capacity;
    return pos + 8 + (size + 7) / 8 * 8;
}

static inline uint64_t skip_advance(uint64_t pos, size_t size, uint64_t capacity)
{
    uint64_t end = doubled_advance(pos, size, capacity);
    uint64_t lap = (pos / capacity + 1) * capacity;

    return end <= lap ? end : doubled_advance(lap, size, capacity);
}

struct storage {
    int (*create)(struct mring_spsc *ring, uint64_t capacity); /* 0, or an error of the library */
    int (*destroy)(struct mring_spsc *ring);
    bench_put *put;
    bench_get *get;
    uint64_t (*advance)(uint64_t pos, size_t size, uint64_t capacity);
};

static const struct storage storage_mirrored = { mirrored_create, mring_spsc_destroy, mirrored_put,
                                                 mirrored_get, stream_advance };
static const struct storage storage_split = { single_create, plain_destroy, split_put, split_get,
                                              stream_advance };
static const struct storage storage_skip = { single_create, plain_destroy, skip_put, skip_get,
                                             skip_advance };
static const struct storage storage_doubled = { doubled_create, plain_destroy, doubled_put,
                                                doubled_get, doubled_advance };

#endif
