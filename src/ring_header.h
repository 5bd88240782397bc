/* SPDX-License-Identifier: MIT */
/*
 * The first bytes of every ring in shared memory, and the making and finding of that memory. For
 * the cold halves of the rings.
 *
 * A ring is one object, mapped with its data twice:
 *
 *      | header | write side | read side | data | data again |
 *      ^ lead of the mirror              ^ map.addr
 *
 * In a named ring the four parts start at multiples of 64 KiB, so that the format is the same for
 * every page size and a part can be mapped with permissions of its own; in an anonymous ring the
 * three parts before the data share a page.
 */
#ifndef MRING_RING_HEADER_H
#define MRING_RING_HEADER_H

#include <mring/ring.h>

/* "MRING\0\1\n" as the bytes stand in memory on a little-endian machine. */
#define RING_MAGIC         UINT64_C(0x0a0100474e49524d)
#define RING_VERSION_MAJOR 1 /* a reader of another one must not touch the ring */
#define RING_VERSION_MINOR 0
#define RING_GRANULE       UINT64_C(65536)

enum ring_kind { RING_KIND_SPSC = 1 };

/* Written once, before the name is visible; constant from then on. Zeros where nothing is said. */
struct ring_header {
    uint64_t magic;
    uint16_t version_major, version_minor;
    uint32_t kind;
    uint32_t incompatible_features; /* unknown bits here: bad_version */
    uint32_t compatible_features;   /* unknown bits here may be ignored */
    uint64_t capacity;              /* bytes of data */
    uint64_t total_size;            /* bytes of the object */
    uint64_t write_side_offset, read_side_offset, data_offset;
    uint32_t granule;
    uint32_t flags; /* MRING_NOWAIT; or MRING_FENCE; or neither: sleepers call mring_os_barrier() */
    unsigned char type_tag[16];
};

MRING_STATIC_ASSERT(offsetof(struct ring_header, version_major) == 8, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, kind) == 12, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, incompatible_features) == 16, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, compatible_features) == 20, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, capacity) == 24, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, total_size) == 32, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, write_side_offset) == 40, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, read_side_offset) == 48, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, data_offset) == 56, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, granule) == 64, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, flags) == 68, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, type_tag) == 72, "format");
MRING_STATIC_ASSERT(sizeof(struct ring_header) == 88, "format");

/*
 * Make the memory of an anonymous ring, or of a name that must be new.
 *   header  what was written into the memory
 *   errors  those of mring_spsc_create()
 */
int mring_ring_create(struct mmap *map, struct ring_header *header, enum ring_kind kind,
                      const struct mring_args *args);

/*
 * Attach to the memory of a name, or make it.
 *   header  a private copy, checked; the shared one is never read again
 *   errors  those of mring_spsc_open(), but those of the positions
 */
int mring_ring_open(struct mmap *map, struct ring_header *header, enum ring_kind kind,
                    const struct mring_args *args);

/* What the header says about fences. */
enum mring_fencing mring_ring_fencing(const struct ring_header *header);

/* How often mring_pause() takes that time, about; measured once per process. */
uint32_t mring_ring_pauses(int64_t ns);

/* A side of the ring in its memory: `offset` is write_side_offset or read_side_offset. */
struct mring_side *mring_ring_side(const struct mmap *map, const struct ring_header *header,
                                   uint64_t offset);

#endif
