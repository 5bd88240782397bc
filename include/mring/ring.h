/* SPDX-License-Identifier: MIT */
/*
 * What all rings have in common: errors, the arguments of creation, the two ends and how they are
 * tuned and counted, and the words that the two sides of a ring share.
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
    X(MRING_BAD_TYPE, -40, "bad_type", "the ring carries another type of data")                    \
    X(MRING_EMPTY, -41, "empty", "the ring has less to read than was asked for, now")              \
    X(MRING_FULL, -42, "full", "the ring has less room than was asked for, now")                   \
    X(MRING_TOO_LARGE, -43, "too_large", "the message is larger than the buffer, or the ring")     \
    X(MRING_WOULD_BLOCK, -44, "would_block", "the descriptor can't take or give anything now")     \
    X(MRING_BUSY, -45, "busy", "another thread or process is at that end of the ring")

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
    MRING_NOWAIT = 1 << 0, /* no side ever sleeps: publishing does not look whether one does; _wait
                              calls spin. For creation; who attaches gets what the ring has */
    MRING_ANY_CAPACITY = 1 << 1, /* attach whatever the capacity is; `capacity` is for creation */
    MRING_FENCE = 1 << 2, /* publishing pays a fence, so that no sleeper interrupts the processors
                             of other threads (membarrier), or for a process that will give up that
                             call later. For creation; what a ring gets anyway where the system has
                             no such call */

    /* Record rings only: their modes. All who use a ring have to give the same. */
    MRING_SINGLE_PRODUCER = 1 << 3, /* one producer at a time, which then needs no atomic
                                       read-modify-write */
    MRING_SINGLE_CONSUMER = 1 << 4, /* the same for the consumer */
    MRING_SKIP_STALLED = 1 << 5     /* consumers take later records while a producer has not
                                       committed an earlier one; not with either of the above */
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

    /* Record rings only. For creation; who attaches gets what the ring has. */
    uint32_t granule;    /* bytes that records are aligned to: 16, 32 or 64; default: 16, or 64 with
                            MRING_SKIP_STALLED */
    uint64_t record_max; /* bytes of the largest record; default: what the ring can hold */
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

/* ---- tuning ---------------------------------------------------------------------------------- */

/* How an end of a ring behaves. Zeros are defaults. */
struct mring_tuning {
    /*
     * Publish only when this many bytes have come together: 0, at every commit or consume; at most
     * the capacity. Fewer publications, fewer wakes, and a peer that finds more at a time, but
     * later. Whatever is held back is published by flush, by close, when this end finds too little
     * room or too few bytes for what it asks for, or nothing new, and by every _wait and _arm call,
     * even if there is enough: so ask first, and wait only when there is too little. The read end
     * also publishes when it has consumed all that it knows of, and, of a byte ring, as soon as it
     * notices that the producer waits. What is held back by an end whose process dies was not done.
     */
    uint64_t batch_bytes;

    /* Before it sleeps, look so long for what it waits for: nanoseconds. 0: 50,000, and learn
       whether that pays; less: never. */
    int64_t spin_ns;

    /* Hold-off, see struct mring_hold: nanoseconds. 0: 400; less: never; at most 10,000. */
    int64_t hold_ns;
};

/* What an end of a ring has seen and done since its handle was made. */
struct mring_stats {
    uint64_t bytes;      /* its published position: all bytes since the ring was made */
    uint64_t misses;     /* times it found less room, or fewer bytes, than it asked for; waits and
                            arming are not counted */
    uint64_t high_water; /* the most bytes in the ring that it has found, looking */
    uint64_t sleeps;     /* times it went to sleep */
    uint64_t wakes;      /* times it woke the other end: a system call each */
};

/* ---- what an end keeps for itself ------------------------------------------------------------ */

/* The counters of struct mring_stats. Written by the end, read by anyone in the process. */
struct mring_counters {
    mring_atomic_u64 misses, high_water, sleeps, wakes;
};

/* Relaxed: each is a number by itself; the end alone writes it. */
MRING_INTERNAL void mring_counter_add(mring_atomic_u64 *counter, uint64_t count)
{
    mring_store_relaxed_u64(counter, mring_load_relaxed_u64(counter) + count);
}

/* Relaxed, as above. */
MRING_INTERNAL void mring_counter_raise(mring_atomic_u64 *counter, uint64_t value)
{
    if (mring_load_relaxed_u64(counter) < value)
        mring_store_relaxed_u64(counter, value);
}

/* Deferred publication. */
struct mring_batch {
    uint64_t bytes;     /* 0: publish at once */
    uint64_t published; /* the position last published; unused if bytes is 0 */
};

/* Whether to publish now that the end is at `pos`; then it counts as published. */
MRING_INTERNAL bool mring_batch_is_due(struct mring_batch *batch, uint64_t pos)
{
    if (batch->bytes == 0)
        return true;
    if (pos - batch->published < batch->bytes)
        return false;
    batch->published = pos;
    return true;
}

/* The same, for everything that was held back. */
MRING_INTERNAL bool mring_batch_is_held(struct mring_batch *batch, uint64_t pos)
{
    if (batch->bytes == 0 || batch->published == pos)
        return false;
    batch->published = pos;
    return true;
}

/*
 * Hold-off: an end that follows the other one closely finds little each time it looks, and each
 * look takes a cache line away from where it is being written. When most looks find something, but
 * few bytes, data is streaming, and the end lets some more come together before it looks again: for
 * a fixed time. When messages are sparse, as they are in a ping-pong, the consumer looks in vain
 * between, and does not hold off. Where that brought less than twice as much, because the end
 * itself is what is slow, it takes twice as many finds before it is tried again. A producer's looks
 * in vain say nothing: there is a whole ring to be read before what it writes now is late.
 */
struct mring_hold {
    uint32_t finds;  /* looks that found few bytes, less those in vain of a consumer */
    uint32_t needed; /* of them, to hold off */
    uint32_t usual;  /* bytes that such a look finds, about */
    uint32_t pauses; /* how often mring_pause() takes that time */
};

#define MRING_HOLD_FEW        1024u /* bytes */
#define MRING_HOLD_NEEDED_MIN 3u
#define MRING_HOLD_NEEDED_MAX 96u

/* Before a look. */
MRING_INTERNAL void mring_hold_off(const struct mring_hold *hold)
{
    if (hold->finds >= hold->needed)
        for (uint32_t i = 0; i < hold->pauses; i++)
            mring_pause();
}

/* After a look of `end` that found `found` more bytes; `enough`: as many as were asked for. */
MRING_INTERNAL void mring_hold_learn(struct mring_hold *hold, enum mring_end end, uint64_t found,
                                     bool enough)
{
    if (hold->finds >= hold->needed) {
        if (found >= 2 * hold->usual) {
            hold->needed = MRING_HOLD_NEEDED_MIN;
        } else {
            hold->finds = 0;
            if (hold->needed < MRING_HOLD_NEEDED_MAX)
                hold->needed *= 2;
        }
    } else if (!enough) {
        hold->finds -= end == MRING_READ_END && hold->finds > 0;
    } else if (found < MRING_HOLD_FEW) {
        hold->usual = (hold->usual + (uint32_t)found + 1) / 2; /* not 0, or nothing would do */
        hold->finds++;
    }
}

/*
 * Debug builds, those without NDEBUG, check by assert() that an end is not used by two threads at
 * once, that what is committed was reserved (which two producers in turn break, too), and that no
 * process uses an end that it has got by fork() from one that used it before. In other builds the
 * members are there and unused.
 */
struct mring_guard {
    mring_atomic_u32 busy; /* calls of this end that run now */
    uint32_t process;      /* the one that uses the end; 0: nobody has */
    uint64_t reserved;     /* bytes that may be committed */
};

#if !defined(NDEBUG) && !defined(MRING_MODEL_CHECK)
#define MRING_GUARDED 1
#else
#define MRING_GUARDED 0
#endif

/* The first and the last thing that a call does at an end. No order is needed, so leaving is
 * relaxed: a race that is seen is enough; one that is not is as bad as without. */
MRING_INTERNAL void mring_guard_enter(struct mring_guard *guard)
{
#if MRING_GUARDED
    bool alone = mring_add_release_u32(&guard->busy, 1) == 0;
    assert(alone && "an end of a ring is used by two threads at once");
    (void)alone;
    if (guard->process == 0)
        guard->process = mring_os_process();
    assert(guard->process == mring_os_process() &&
           "an end of a ring is used after fork() without having been taken over");
#else
    (void)guard;
#endif
}

MRING_INTERNAL void mring_guard_leave(struct mring_guard *guard)
{
#if MRING_GUARDED
    mring_store_relaxed_u32(&guard->busy, 0);
#else
    (void)guard;
#endif
}

/* A reservation holds until the next commit, whatever else is asked for before it. */
MRING_INTERNAL void mring_guard_reserve(struct mring_guard *guard, uint64_t size)
{
#if MRING_GUARDED
    if (guard->reserved < size)
        guard->reserved = size;
#else
    (void)guard;
    (void)size;
#endif
}

MRING_INTERNAL void mring_guard_commit(struct mring_guard *guard, uint64_t size)
{
#if MRING_GUARDED
    assert(size <= guard->reserved && "more is committed than was reserved");
    guard->reserved = 0;
#else
    (void)guard;
    (void)size;
#endif
}

/* ---- shared words ---------------------------------------------------------------------------- */

/*
 * What one side of a ring publishes to the other, in shared memory. Part of the format of named
 * rings: offsets never change. Each word stands on a block of MRING_LINE bytes of its own, but
 * free_pos.
 */
struct mring_side {
    /* The side's position: write_pos or read_pos. Written by this side; read by the other, or, in a
       record ring with several members on this side, by those. */
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u64 pos;
    /* The read side's, in a record ring with several consumers: what is below is free. Written by
       the consumer that releases the record at it, and by whoever reclaims what was released
       before; read by both sides. Beside pos, since consumers have that line anyway. */
    mring_atomic_u64 free_pos;
    /* 0, or 1 + the status given to close. Written by this side, read by the other. */
    MRING_ALIGNAS(MRING_LINE) mring_atomic_u64 closed;
    /* Kept for counters; zero. */
    MRING_ALIGNAS(MRING_LINE) uint64_t reserved_counters[16];
    /* This side sleeps here; the other side wakes it. */
    MRING_ALIGNAS(MRING_LINE) struct mring_event event;
    /* The same for those of its members that wait for a descriptor, in a record ring. */
    struct mring_event poll_event;
};

MRING_STATIC_ASSERT(offsetof(struct mring_side, pos) == 0, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_side, free_pos) == 8, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_side, closed) == 128, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_side, reserved_counters) == 256, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_side, event) == 384, "format");
MRING_STATIC_ASSERT(offsetof(struct mring_side, poll_event) == 512, "format");
MRING_STATIC_ASSERT(sizeof(struct mring_side) == 640, "format");

MRING_END_DECLS

#endif
