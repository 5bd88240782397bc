/* SPDX-License-Identifier: MIT */
/*
 * Byte ring for one producer and one consumer, in one process or in two.
 *
 * Its storage is a mirror: every span is contiguous, whatever its position. Reserve up to the whole
 * capacity and fill it in place; peek at everything that is readable and parse it in place.
 *
 *      struct mring_spsc ring;
 *      int err = mring_spsc_create(&ring, &(struct mring_args){ .capacity = 65536 });
 *
 *      void *room = mring_spsc_reserve(&ring, 100);        // the producer's thread
 *      if (room != NULL)
 *          mring_spsc_commit(&ring, format(room, 100));    // publish 0 to 100 bytes
 *
 *      size_t size;                                        // the consumer's thread
 *      const void *bytes = mring_spsc_peek(&ring, 1, &size);
 *      if (bytes != NULL)
 *          mring_spsc_consume(&ring, parse(bytes, size));  // give back 0 to size bytes
 *
 * Guarantees:
 *
 *   - All calls but the two _wait calls, create, open and destroy are wait-free: neither side can
 *     hold up the other, wherever it stops or dies.
 *   - A name is never visible half-built. Data survives its writer and its reader: bytes that were
 *     committed and not consumed are there for the next process that opens the name. A producer
 *     killed between reserve and commit leaves nothing; a consumer killed between peek and
 *     consume leaves the bytes to be read again.
 *   - Positions that the other side publishes are checked before use. A peer that breaks the rules
 *     can spoil the data, not the memory of this process (unless it shortens the shared object).
 *
 * What it is not: there is no room for a second producer or consumer. That they are not there at
 * the same time is the caller's promise. Each end's position is kept in its handle from the opening
 * on, so a successor opens its handle after its predecessor's last call, or it starts at a position
 * that is not the last one. After fork(), a handle is used by the parent or by the child, not by
 * both in the same role.
 *
 * Ordering map. Positions are byte counts that never wrap; the address of position p is
 * data + (p & (capacity - 1)).
 *
 *      producer                                   consumer
 *      P1 load_acquire(read_pos)    <-----------  C2 store_release(read_pos)
 *         write bytes                                read bytes
 *      P2 store_release(write_pos)  ----------->  C1 load_acquire(write_pos)
 *      P3 store_release(closed)     ----------->  C3 load_acquire(closed), then C1 again
 *      P4 load_acquire(closed)      <-----------  C4 store_release(closed)
 *
 *   P2 -> C1  the bytes below write_pos are complete before they are readable.
 *   C2 -> P1  the bytes below read_pos have been read before they are overwritten.
 *   P3 -> C3  who sees the ring closed also sees everything committed before: drain, then end.
 *
 * Each side keeps its own position and the last one it saw of the other in its handle, so that the
 * shared line of the other is read only when the bytes or the room seen last time do not suffice
 * (caching of the peer's index: Lee, Bu and Chandranmenon's MCRingBuffer, 2010).
 */
#ifndef MRING_SPSC_H
#define MRING_SPSC_H

#include <mring/ring.h>
#include <string.h>

MRING_BEGIN_DECLS

/* ---- types ----------------------------------------------------------------------------------- */

/*
 * A process's handle of a ring: one per process, or one per side. Its members are private. It may
 * stand anywhere but must not move while another thread uses it.
 */
struct mring_spsc {
    /* Constant after creation; read by both sides. */
    unsigned char *data;           /* first byte, at its first address */
    uint64_t capacity;             /* bytes, a power of two */
    struct mring_side *write_side; /* pos is write_pos, event is where the producer sleeps */
    struct mring_side *read_side;  /* pos is read_pos, event is where the consumer sleeps */
    bool waitable;                 /* somebody may sleep, so notify */
    struct mmap map;

    /* The producer's own. The padding keeps it off the lines of its neighbours at any address. */
    unsigned char padding_before_producer[MRING_LINE];
    uint64_t write_pos;
    uint64_t read_pos_seen; /* what P1 last saw, at most write_pos */
    struct mring_spin write_spin;
    bool write_closed; /* closed by this end: read_pos_seen stays at a full ring */

    /* The consumer's own. */
    unsigned char padding_before_consumer[MRING_LINE];
    uint64_t read_pos;
    uint64_t write_pos_seen; /* what C1 last saw, at least read_pos */
    struct mring_spin read_spin;
    unsigned char padding_behind_consumer[MRING_LINE];
};

MRING_STATIC_ASSERT(offsetof(struct mring_spsc, write_pos) >= MRING_LINE, "own lines");
MRING_STATIC_ASSERT(offsetof(struct mring_spsc, read_pos) -
                            offsetof(struct mring_spsc, write_closed) >
                        MRING_LINE,
                    "own lines");

/* ---- life ------------------------------------------------------------------------------------ */

/*
 * Create a ring: anonymous, or with a new tagname.
 *
 *   ring      written on success only; release with mring_spsc_destroy()
 *   errors    exists       there is such a name
 *             invalid_arg  capacity is not one that mring_capacity() gives, or unknown flags
 *             and those of mmap_mirror(), but file_too_short
 *   thread    any; blocking (system calls)
 */
MRING_API int mring_spsc_create(struct mring_spsc *ring, const struct mring_args *args);

/*
 * Attach to the ring of a tagname, or create it. ring->map.created says which. Reading and writing
 * go on where the last process left them.
 *
 *   capacity  0: only attach. Otherwise, an existing ring must have the same, unless
 *             MRING_ANY_CAPACITY is set.
 *   errors    not_found                   no such name, and capacity is 0 or MMAP_EXISTING is set
 *             bad_magic, bad_version, bad_kind, bad_capacity, bad_type
 *                                         there is something else under the name; it is unharmed
 *             corrupt                     the header or the positions contradict themselves
 *             invalid_arg                 no tagname, or MMAP_EXCLUSIVE; as above
 *             and those of mmap_mirror()
 *   thread    any; blocking (system calls)
 */
MRING_API int mring_spsc_open(struct mring_spsc *ring, const struct mring_args *args);

/*
 * Say that this end is done. The producer's close ends the stream: the consumer reads what was
 * committed, then gets MRING_EOF, and the producer itself finds no more room, and MRING_CLOSED.
 * After the consumer's close, the producer gets MRING_CLOSED; what is in the ring can still be
 * read. Whoever sleeps is woken. Only the first close of an end counts. It is for good: it stays
 * with the name.
 *
 *   status    0, or any number that tells the other side why
 *   thread    the end's own; wait-free, and a system call if the other side sleeps
 */
MRING_API void mring_spsc_close(struct mring_spsc *ring, enum mring_end end, uint32_t status);

/*
 * Whether an end was closed. `status`, which may be NULL, is written only if it was.
 *
 *   thread    any; wait-free
 */
MRING_API bool mring_spsc_is_closed(const struct mring_spsc *ring, enum mring_end end,
                                    uint32_t *status);

/*
 * Release the handle. An anonymous ring is gone with its last handle. A named one stays, with its
 * data, until mmap_unlink(tagname). The ring is not closed by this. Destroying zeros does nothing,
 * and a destroyed handle is zeros.
 *
 *   errors    map_limit, as mmap_free(); the handle stays as it was
 *   thread    any, while no other thread uses the handle; blocking (system calls)
 */
MRING_API int mring_spsc_destroy(struct mring_spsc *ring);

/* ---- producer -------------------------------------------------------------------------------- */

/*
 * Reserve room at the write end.
 *
 * Returns `size` contiguous writable bytes, or NULL when there is less room now. Nothing is visible
 * to the consumer before mring_spsc_commit(); a reservation need not be committed.
 *
 *   size      bytes, 1 .. capacity
 *   owner     the ring; the pointer dies at the next commit
 *   thread    the producer; wait-free
 *   errors    none (full is an answer; mring_spsc_wait_writable() tells full from closed)
 */
MRING_INLINE void *mring_spsc_reserve(struct mring_spsc *ring, size_t size);

/*
 * Publish the first `size` bytes of the reservation.
 *
 *   size      bytes, 0 .. what was reserved
 *   thread    the producer; wait-free, and a system call if the consumer sleeps
 */
MRING_INLINE void mring_spsc_commit(struct mring_spsc *ring, size_t size);

/*
 * Copy bytes in: as many of `size` as there is room for. Returns their number.
 *
 *   thread    the producer; wait-free
 */
MRING_INLINE size_t mring_spsc_write(struct mring_spsc *ring, const void *bytes, size_t size);

/*
 * Bytes that could be reserved now.
 *
 *   thread    the producer; wait-free
 */
MRING_INLINE size_t mring_spsc_writable(struct mring_spsc *ring);

/*
 * Wait until `size` bytes can be reserved.
 *
 *   size        bytes, 1 .. capacity
 *   timeout_ns  nanoseconds; 0 only looks, less than 0 waits for ever
 *   errors      timed_out    still not enough room
 *               closed       either end was closed, whether there is room or not
 *               corrupt      the consumer published an impossible position
 *               invalid_arg  size is 0 or over the capacity
 *   thread      the producer; blocking. Sleeps in the kernel, or spins if the ring is MRING_NOWAIT
 */
MRING_API int mring_spsc_wait_writable(struct mring_spsc *ring, size_t size, int64_t timeout_ns);

/* ---- consumer -------------------------------------------------------------------------------- */

/*
 * Look at the bytes at the read end.
 *
 * Returns them in one piece, and their number in *size, or NULL (and *size 0) when fewer than
 * `minimum` are there. All that the consumer knows of is returned; it looks for more only when it
 * knows of fewer than `minimum`. So ask for one byte more than last time to get news.
 *
 *   minimum   bytes, 1 .. capacity
 *   owner     the ring; the bytes stay as they are until they are consumed
 *   thread    the consumer; wait-free
 *   errors    none (empty is an answer; mring_spsc_wait_readable() tells empty from the end)
 */
MRING_INLINE const void *mring_spsc_peek(struct mring_spsc *ring, size_t minimum, size_t *size);

/*
 * Give the first `size` bytes back to the producer.
 *
 *   size      bytes, 0 .. what was peeked
 *   thread    the consumer; wait-free, and a system call if the producer sleeps
 */
MRING_INLINE void mring_spsc_consume(struct mring_spsc *ring, size_t size);

/*
 * Copy bytes out: as many of `size` as there are. Returns their number.
 *
 *   thread    the consumer; wait-free
 */
MRING_INLINE size_t mring_spsc_read(struct mring_spsc *ring, void *bytes, size_t size);

/*
 * Bytes that could be peeked at now.
 *
 *   thread    the consumer; wait-free
 */
MRING_INLINE size_t mring_spsc_readable(struct mring_spsc *ring);

/*
 * Wait until `minimum` bytes are readable.
 *
 *   minimum     bytes, 1 .. capacity
 *   timeout_ns  nanoseconds; 0 only looks, less than 0 waits for ever
 *   errors      timed_out    still fewer
 *               eof          the producer closed its end and fewer than `minimum` bytes are left
 *                            (peek at a minimum of 1 to get those)
 *               corrupt      the producer published an impossible position
 *               invalid_arg  minimum is 0 or over the capacity
 *   thread      the consumer; blocking. Sleeps in the kernel, or spins if the ring is MRING_NOWAIT
 */
MRING_API int mring_spsc_wait_readable(struct mring_spsc *ring, size_t minimum, int64_t timeout_ns);

/* ---- both ------------------------------------------------------------------------------------ */

/*
 * Bytes that the ring holds when it is full; all of them are usable.
 *
 *   thread    any; wait-free
 */
MRING_INLINE size_t mring_spsc_capacity(const struct mring_spsc *ring);

/*
 * The position that an end has published: the number of bytes committed (MRING_WRITE_END) or
 * consumed (MRING_READ_END) since the ring was made. It says where in the stream a successor goes
 * on, and how far the other side is.
 *
 * It is a snapshot that is not checked and publishes nothing: only the end's own calls make bytes
 * readable or room writable.
 *
 *   thread    any; wait-free
 */
MRING_API uint64_t mring_spsc_position(const struct mring_spsc *ring, enum mring_end end);

/* ---- inline bodies --------------------------------------------------------------------------- */

MRING_INLINE size_t mring_spsc_capacity(const struct mring_spsc *ring)
{
    return (size_t)ring->capacity;
}

/* The room that the producer knows of. */
MRING_INTERNAL uint64_t mring_spsc_room_seen(const struct mring_spsc *ring)
{
    return ring->capacity - (ring->write_pos - ring->read_pos_seen);
}

/*
 * Look at the consumer's position. It may have moved forward, at most to write_pos: anything else
 * is the work of a broken peer and is not believed. False then.
 */
MRING_INTERNAL bool mring_spsc_refresh_room(struct mring_spsc *ring)
{
    /* P1, pairs with C2: the bytes below read_pos have been read; they may be overwritten. */
    uint64_t read_pos = mring_load_acquire_u64(&ring->read_side->pos);

    if (ring->write_closed)
        return true;
    if (ring->write_pos - read_pos > ring->write_pos - ring->read_pos_seen)
        return false;
    ring->read_pos_seen = read_pos;
    return true;
}

MRING_INLINE void *mring_spsc_reserve(struct mring_spsc *ring, size_t size)
{
    assert(size >= 1 && size <= ring->capacity);

    if (mring_spsc_room_seen(ring) < size) {
        mring_spsc_refresh_room(ring);
        if (mring_spsc_room_seen(ring) < size)
            return NULL;
    }
    return ring->data + (ring->write_pos & (ring->capacity - 1));
}

MRING_INLINE void mring_spsc_commit(struct mring_spsc *ring, size_t size)
{
    assert(size <= mring_spsc_room_seen(ring));

    ring->write_pos += size;

    /* P2, pairs with C1: publish the bytes written above. */
    mring_store_release_u64(&ring->write_side->pos, ring->write_pos);
    if (ring->waitable)
        mring_event_notify(&ring->read_side->event);
}

MRING_INLINE size_t mring_spsc_writable(struct mring_spsc *ring)
{
    mring_spsc_refresh_room(ring);
    return (size_t)mring_spsc_room_seen(ring);
}

MRING_INLINE size_t mring_spsc_write(struct mring_spsc *ring, const void *bytes, size_t size)
{
    if (mring_spsc_room_seen(ring) < size)
        mring_spsc_refresh_room(ring);
    if (mring_spsc_room_seen(ring) < size)
        size = (size_t)mring_spsc_room_seen(ring);
    if (size == 0)
        return 0;
    memcpy(ring->data + (ring->write_pos & (ring->capacity - 1)), bytes, size);
    mring_spsc_commit(ring, size);
    return size;
}

/* The bytes that the consumer knows of. */
MRING_INTERNAL uint64_t mring_spsc_bytes_seen(const struct mring_spsc *ring)
{
    return ring->write_pos_seen - ring->read_pos;
}

/*
 * Look at the producer's position. It may have moved forward, at most to a full ring; as above.
 */
MRING_INTERNAL bool mring_spsc_refresh_bytes(struct mring_spsc *ring)
{
    /* C1, pairs with P2: the bytes below write_pos are complete. */
    uint64_t write_pos = mring_load_acquire_u64(&ring->write_side->pos);
    uint64_t bytes = write_pos - ring->read_pos;

    if (bytes > ring->capacity || bytes < mring_spsc_bytes_seen(ring))
        return false;
    ring->write_pos_seen = write_pos;
    return true;
}

MRING_INLINE const void *mring_spsc_peek(struct mring_spsc *ring, size_t minimum, size_t *size)
{
    assert(minimum >= 1 && minimum <= ring->capacity);

    if (mring_spsc_bytes_seen(ring) < minimum) {
        mring_spsc_refresh_bytes(ring);
        if (mring_spsc_bytes_seen(ring) < minimum) {
            *size = 0;
            return NULL;
        }
    }
    *size = (size_t)mring_spsc_bytes_seen(ring);
    return ring->data + (ring->read_pos & (ring->capacity - 1));
}

MRING_INLINE void mring_spsc_consume(struct mring_spsc *ring, size_t size)
{
    assert(size <= mring_spsc_bytes_seen(ring));

    ring->read_pos += size;

    /* C2, pairs with P1: the bytes have been read; the producer may overwrite them. */
    mring_store_release_u64(&ring->read_side->pos, ring->read_pos);
    if (ring->waitable)
        mring_event_notify(&ring->write_side->event);
}

MRING_INLINE size_t mring_spsc_readable(struct mring_spsc *ring)
{
    mring_spsc_refresh_bytes(ring);
    return (size_t)mring_spsc_bytes_seen(ring);
}

MRING_INLINE size_t mring_spsc_read(struct mring_spsc *ring, void *bytes, size_t size)
{
    if (mring_spsc_bytes_seen(ring) < size)
        mring_spsc_refresh_bytes(ring);
    if (mring_spsc_bytes_seen(ring) < size)
        size = (size_t)mring_spsc_bytes_seen(ring);
    if (size == 0)
        return 0;
    memcpy(bytes, ring->data + (ring->read_pos & (ring->capacity - 1)), size);
    mring_spsc_consume(ring, size);
    return size;
}

MRING_END_DECLS

#endif
