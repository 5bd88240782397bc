/* SPDX-License-Identifier: MIT */
/*
 * The first bytes of every ring in shared memory, and the making and finding of that memory. For
 * the cold halves of the rings.
 *
 * A ring is one object, mapped with its data twice:
 *
 *      | header | write side | read side | members | words | data | data again |
 *      ^ lead of the mirror                                ^ map.addr
 *
 * Record rings have members, if they have a name, and those with MRING_SKIP_STALLED have words. In
 * a named ring the parts start at multiples of 64 KiB, so that the format is the same for every
 * page size and a part can be mapped with permissions of its own; in an anonymous ring the header
 * and the sides share a page.
 */
#ifndef MRING_RING_HEADER_H
#define MRING_RING_HEADER_H

#include <mring/ring.h>

/* "MRING\0\1\n" as the bytes stand in memory on a little-endian machine. */
#define RING_MAGIC         UINT64_C(0x0a0100474e49524d)
#define RING_VERSION_MAJOR 1 /* a reader of another one must not touch the ring */
#define RING_VERSION_MINOR 0
#define RING_GRANULE       UINT64_C(65536)

/* A record ring's kind is the sum of RING_KIND_MPMC and the flags of its mode. */
enum ring_kind { RING_KIND_SPSC = 1, RING_KIND_MPMC = 2 };

#define RING_MODE_FLAGS                                                                            \
    ((unsigned)(MRING_SINGLE_PRODUCER | MRING_SINGLE_CONSUMER | MRING_SKIP_STALLED))

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
    uint64_t members_offset; /* 0: there are none; as words_offset */
    uint64_t words_offset;
    uint64_t record_max;
    uint32_t record_granule;
    uint32_t member_count;
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
MRING_STATIC_ASSERT(offsetof(struct ring_header, members_offset) == 88, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, words_offset) == 96, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, record_max) == 104, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, record_granule) == 112, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_header, member_count) == 116, "format");
MRING_STATIC_ASSERT(sizeof(struct ring_header) == 120, "format");

/*
 * A member of a named record ring: an end in some process. Kept for recovery from the death of one
 * in the middle of a call, so that the format need not change for it; zeros.
 */
struct ring_member {
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u32 owner;
    uint32_t process;
    uint64_t start_time, process_namespace;
    uint32_t flags, reserved;
    mring_atomic_u64 intent; /* a position, and in its low bits what is being done there */
    mring_atomic_u64 intent_bytes;
};

#define RING_MEMBER_COUNT 64u

MRING_STATIC_ASSERT(offsetof(struct ring_member, process) == 4, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_member, start_time) == 8, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_member, process_namespace) == 16, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_member, flags) == 24, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_member, intent) == 32, "format");
MRING_STATIC_ASSERT(offsetof(struct ring_member, intent_bytes) == 40, "format");
MRING_STATIC_ASSERT(sizeof(struct ring_member) == 128, "format");

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

/* Hold-off as it begins: for so many nanoseconds; 0: the default; less: never. */
struct mring_hold mring_ring_hold(int64_t ns);

#define RING_HOLD_NS_MAX ((int64_t)10000) /* what a call takes longer must stay unnoticed */

/* A part of the ring in its memory, by its offset in the header. */
void *mring_ring_part(const struct mmap *map, const struct ring_header *header, uint64_t offset);

#endif
