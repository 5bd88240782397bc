/* SPDX-License-Identifier: MIT */
/*
 * What all rings have in common: errors, the arguments of creation, the two ends, and the words
 * that the two sides of a ring share.
 */
#ifndef MRING_RING_H
#define MRING_RING_H

#include <mring/mmap.h>
#include <mring/wait.h>

MRING_BEGIN_DECLS

/* ---- errors ---------------------------------------------------------------------------------- */

/* The errors of rings. A ring call may also return those of the mapping layer, enum mmap_error. */
#define MRING_ERRORS(X)                                                                            \
    X(MRING_TIMED_OUT, -32, "timed_out", "nothing happened in the time given")                     \
    X(MRING_EOF, -33, "eof", "the producer closed the ring and all data has been read")            \
    X(MRING_CLOSED, -34, "closed", "the ring takes no more data: one of its ends was closed")      \
    X(MRING_CORRUPT, -35, "corrupt", "the other side left the ring in an impossible state")        \
    X(MRING_BAD_MAGIC, -36, "bad_magic", "the name is not a ring")                                 \
    X(MRING_BAD_VERSION, -37, "bad_version", "the ring has a format that this library can't read") \
    X(MRING_BAD_KIND, -38, "bad_kind", "the ring is of another kind")                              \
    X(MRING_BAD_CAPACITY, -39, "bad_capacity", "the ring has another capacity")                    \
    X(MRING_BAD_TYPE, -40, "bad_type", "the ring carries another type of data")

enum mring_error {
    MRING_OK = 0,
#define MRING_ERROR_ENUM(code, value, name, message) code = value,
    MRING_ERRORS(MRING_ERROR_ENUM)
#undef MRING_ERROR_ENUM
};

/*
 * Name and message of an error of either layer; as mmap_errname() and mmap_errmsg().
 *
 *   thread    any
 */
MRING_API const char *mring_errname(int err);
MRING_API const char *mring_errmsg(int err, char *buffer, size_t size);

/* ---- creation -------------------------------------------------------------------------------- */

enum mring_flags {
    MRING_NOWAIT = 1 << 0, /* no side ever sleeps: publishing pays no fence; _wait calls spin. For
                              creation; who attaches gets what the ring has */
    MRING_ANY_CAPACITY = 1 << 1 /* attach whatever the capacity is; `capacity` is for creation */
};

/* What a ring is made from. Zeros are defaults. */
struct mring_args {
    const char *tagname; /* see struct mmap_file; default: an anonymous ring */
    uint64_t capacity;   /* bytes, as mring_capacity() gives them */
    unsigned flags;      /* enum mring_flags */
    unsigned map_flags;  /* enum mmap_flags, for the memory. MMAP_HUGE_REQUIRE makes an anonymous
                            ring of the system's pool of huge pages; MMAP_HUGE_PREFER has the kernel
                            find some for capacities of 2 MiB and more */
    unsigned mode;       /* permissions of a name that is created; default: 0600 */

    /* What the data is, in the users' own words. An attach with another tag is bad_type; zeros
       when attaching: any. */
    unsigned char type_tag[16];
};

/*
 * The smallest capacity that holds `bytes` bytes: a power of two and a multiple of
 * mmap_mirror_granularity(map_flags). 0 when there is none, which is over 2^61 bytes.
 *
 *   thread    any
 */
MRING_API uint64_t mring_capacity(uint64_t bytes, unsigned map_flags);

/* The two ends of a ring. */
enum mring_end { MRING_WRITE_END = 0, MRING_READ_END = 1 };

/* ---- shared words ---------------------------------------------------------------------------- */

/*
 * What one side of a ring publishes to the other, in shared memory. Part of the format of named
 * rings: offsets never change. Each word stands on a block of MRING_LINE bytes of its own.
 */
struct mring_side {
    /* The side's position: write_pos or read_pos. Written by this side, read by the other. */
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u64 pos;
    /* Kept for rings with several members on a side; zero. */
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u64 reserved_pos;
    /* 0, or 1 + the status given to close. Written by this side, read by the other. */
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u64 closed;
    /* Kept for counters; zero. */
    MRING_ALIGNAS(MRING_LINE) uint64_t reserved_counters[16];
    /* This side sleeps here; the other side wakes it. */
    MRING_ALIGNAS(MRING_LINE) struct mring_event event;
};

MRING_STATIC_ASSERT(offsetof(struct mring_side, pos) == 0, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_side, reserved_pos) == 128, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_side, closed) == 256, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_side, reserved_counters) == 384, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_side, event) == 512, "format");
MRING_STATIC_ASSERT(sizeof(struct mring_side) == 640, "format");

MRING_END_DECLS

#endif
