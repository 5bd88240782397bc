/* SPDX-License-Identifier: MIT */
/*
 * What the mirror is compared with: the byte ring of mring/spsc.h over plain memory. Positions,
 * ordering, cached views and publication are the library's own calls; the difference is that a
 * chunk that meets the end of the storage is copied in two pieces, after a check whether it does.
 * So what a comparison shows is the mirror and nothing else.
 *
 * Only the calls below work on such a ring, never reserve and peek: there is no second copy.
 */
#ifndef SPLIT_RING_H
#define SPLIT_RING_H

#include <mring/spsc.h>

/* Both sides' words come first, then the storage, each on its own page as in the library's rings.
 */
static inline int split_ring_create(struct mring_spsc *ring, uint64_t capacity)
{
    uint64_t lead = mmap_aligned_size(2 * sizeof(struct mring_side), MMAP_UP);
    struct mmap_args args = { .access = MMAP_WRITE,
                              .flags = MMAP_PREFAULT,
                              .size = lead + capacity };
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
    return 0;
}

static inline int split_ring_destroy(struct mring_spsc *ring)
{
    return mmap_free(&ring->map);
}

/* Copy all of `size` bytes in, or nothing. The producer's. */
static MRING_INTERNAL bool split_ring_write(struct mring_spsc *ring, const void *bytes, size_t size)
{
    if (mring_spsc_room_seen(ring) < size) {
        mring_spsc_refresh_room(ring);
        if (mring_spsc_room_seen(ring) < size)
            return false;
    }
    uint64_t offset = ring->write_pos & (ring->capacity - 1);
    size_t first = (size_t)(ring->capacity - offset);
    if (size <= first) {
        memcpy(ring->data + offset, bytes, size);
    } else {
        memcpy(ring->data + offset, bytes, first);
        memcpy(ring->data, (const unsigned char *)bytes + first, size - first);
    }
    mring_spsc_commit(ring, size);
    return true;
}

/* Copy all of `size` bytes out, or nothing. The consumer's. */
static MRING_INTERNAL bool split_ring_read(struct mring_spsc *ring, void *bytes, size_t size)
{
    if (mring_spsc_bytes_seen(ring) < size) {
        mring_spsc_refresh_bytes(ring);
        if (mring_spsc_bytes_seen(ring) < size)
            return false;
    }
    uint64_t offset = ring->read_pos & (ring->capacity - 1);
    size_t first = (size_t)(ring->capacity - offset);
    if (size <= first) {
        memcpy(bytes, ring->data + offset, size);
    } else {
        memcpy(bytes, ring->data + offset, first);
        memcpy((unsigned char *)bytes + first, ring->data, size - first);
    }
    mring_spsc_consume(ring, size);
    return true;
}

#endif
