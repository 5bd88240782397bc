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
 * Fixed-size elements (push, pop, and many at a time: push_n, pop_n, or in place) and messages with
 * a length in front (send, recv) are thin calls over the same bytes; fill and drain move bytes
 * between a descriptor and the ring with one system call.
 *
 * Guarantees:
 *
 *   - All calls that move data are wait-free: neither side can hold up the other, wherever it stops
 *     or dies. (On ARMv7 stores of 64 bits are loops, and the calls lock-free.) Only create, open,
 *     destroy and the _wait calls block, and the descriptor's calls if the descriptor does.
 *   - No wake-up is lost: whoever sleeps or has armed is woken by the first publication that gives
 *     him what he waits for, and there is no system call while he is awake. Should a side die in
 *     the middle of waking the other, a sleeper looks for itself after 50 ms; whoever has armed is
 *     told by the next publication or close.
 *   - A name is never visible half-built. Data survives its writer and its reader: bytes that were
 *     committed and not consumed are there for the next process that opens the name. A producer
 *     killed between reserve and commit leaves nothing; a consumer killed between peek and
 *     consume leaves the bytes to be read again.
 *   - Positions that the other side publishes are checked before use. A peer that breaks the rules
 *     can spoil the data, not the memory of this process (unless it shortens the shared object).
 *
 * What it is not: there is no room for a second producer or consumer. That they are not there at
 * the same time is the caller's promise; debug builds (without NDEBUG) catch most breaches of it by
 * assert(). Each end's position is kept in its handle from the opening on, so a successor opens its
 * handle after its predecessor's last call, or calls mring_spsc_adopt() then.
 *
 * fork(): parent and child have a copy of the handle each, and the ring is in memory that they
 * share. So one may produce and the other consume. An end that one of them used before the fork
 * belongs to that one; the other calls mring_spsc_adopt() before it uses it, after the first one's
 * last call. Debug builds catch a handle that is used without that. Tuning an end is no use of it.
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
 * How it is fast. Each side keeps its own position and the last one it saw of the other in its
 * handle, so that the shared line of the other is read only when the bytes or the room seen last
 * time do not suffice (caching of the peer's index: Lee, Bu and Chandranmenon's MCRingBuffer,
 * 2010). When data streams and a look finds little, the next look comes a fixed time later
 * (hold-off, ring.h): within peek, pop, reserve and the like, which then take up to 400 ns longer
 * and still answer truthfully. Publication can be deferred (struct mring_tuning, flush). There is
 * no special case for tiny rings, as none is smaller than a page; and lines are not prefetched,
 * which measured no better, for reading or writing, at 2 to 16 lines ahead.
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
    /* Constant while the ends are used; read by both sides. The padding, here and below, keeps it
       off the lines of its neighbours at any address. */
    unsigned char padding_before[MRING_LINE];
    unsigned char *data;           /* first byte, at its first address */
    uint64_t capacity;             /* bytes, a power of two */
    struct mring_side *write_side; /* pos is write_pos, event is where the producer sleeps */
    struct mring_side *read_side;  /* pos is read_pos, event is where the consumer sleeps */
    enum mring_fencing fencing;    /* none: nobody sleeps, so nobody is notified */
    int write_fd, read_fd;         /* signalled instead of waking that end; less than 0: none */
    struct mmap map;

    /* The producer's own. */
    unsigned char padding_before_producer[MRING_LINE];
    uint64_t write_pos;
    uint64_t read_pos_seen; /* what P1 last saw, at most write_pos */
    struct mring_batch write_batch;
    struct mring_hold write_hold;
    bool write_closed; /* closed by this end: read_pos_seen stays at a full ring */
    struct mring_spin write_spin;
    struct mring_counters write_counters;
    struct mring_guard write_guard;

    /* The consumer's own. */
    unsigned char padding_before_consumer[MRING_LINE];
    uint64_t read_pos;
    uint64_t write_pos_seen; /* what C1 last saw, at least read_pos */
    struct mring_batch read_batch;
    struct mring_hold read_hold;
    struct mring_spin read_spin;
    struct mring_counters read_counters;
    struct mring_guard read_guard;
    unsigned char padding_behind_consumer[MRING_LINE];
};

MRING_STATIC_ASSERT(offsetof(struct mring_spsc, write_pos) >= MRING_LINE, "own lines");
MRING_STATIC_ASSERT(offsetof(struct mring_spsc, read_pos) -
                            offsetof(struct mring_spsc, write_guard) >=
                        MRING_LINE + sizeof(struct mring_guard),
                    "own lines");

/* ---- life ------------------------------------------------------------------------------------ */

/*
 * Create a ring: anonymous, or with a new tagname.
 *
 *   ring      written on success only; release with mring_spsc_destroy()
 *   errors    exists       there is such a name
 *             invalid_arg  capacity is not one that mring_capacity() gives, or unknown flags
 *             and those of mmap_mirror(), but file_too_short
 *   thread    any; blocking (system calls). The first ring of a process that has several threads
 *             takes some milliseconds longer: the kernel registers it for membarrier
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
 *             unsupported                 its members are ordered by membarrier, which this process
 *                                         may not use
 *             and those of mmap_mirror()
 *   thread    any; blocking (system calls)
 */
MRING_API int mring_spsc_open(struct mring_spsc *ring, const struct mring_args *args);

/*
 * Say that this end is done. The producer's close ends the stream: the consumer reads what was
 * committed, then gets MRING_EOF, and the producer itself finds no more room, and MRING_CLOSED.
 * After the consumer's close, the producer gets MRING_CLOSED; what is in the ring can still be
 * read. Whoever sleeps at the other end is woken. A reservation that was not committed is void.
 * Only the first close of an end counts. It is for good: it stays with the name.
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
 * Make an end behave as `tuning` says; zeros are the defaults. Whatever the end held back is
 * published.
 *
 *   errors    invalid_arg  batch_bytes is over the capacity, or hold_ns over 10,000
 *   thread    the end's own; wait-free, and a system call if the other side sleeps
 */
MRING_API int mring_spsc_tune(struct mring_spsc *ring, enum mring_end end,
                              const struct mring_tuning *tuning);

/*
 * Look at what an end has done, through this handle; each number is right by itself. Commits are
 * not counted: a counter there takes a quarter of the throughput of small ones (items of 8, 16 and
 * 64 bytes moved at 0.76, 0.72 and 0.82 of the rate, medians of five runs).
 *
 *   thread    any; wait-free
 */
MRING_API void mring_spsc_stats(const struct mring_spsc *ring, enum mring_end end,
                                struct mring_stats *stats);

/*
 * Take over an end from a thread or process that is done with it: go on where it published last.
 * Needed after fork(), and when another handle has moved the end. What this handle has held back at
 * that end is given up: flush before, if it is its own.
 *
 *   errors    corrupt  the positions contradict themselves; the handle is as it was
 *   thread    the new user of the end, after the last call of the old one; wait-free
 */
MRING_API int mring_spsc_adopt(struct mring_spsc *ring, enum mring_end end);

/*
 * Make the ring as new: throw away what is in it, open what was closed. Positions go on from the
 * write end's.
 *
 *   thread    any, while nobody else uses the ring, in this process or another; handles in others
 *             adopt both ends before they go on. Wait-free
 */
MRING_API void mring_spsc_reset(struct mring_spsc *ring);

/*
 * Release the handle. An anonymous ring is gone with its last handle. A named one stays, with its
 * data, until mmap_unlink(tagname). The ring is not closed by this, and what an end has held back
 * and not flushed is not published, as when the process is killed. Destroying zeros does nothing,
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
 * Bytes that could be reserved now: it always looks, and never holds off. If there is no more than
 * before, what the end has held back is published.
 *
 *   thread    the producer; wait-free
 */
MRING_INLINE size_t mring_spsc_writable(struct mring_spsc *ring);

/*
 * Publish what the end has held back (struct mring_tuning, batch_bytes); otherwise do nothing.
 *
 *   thread    the end's own; wait-free, and a system call if the other side sleeps
 */
MRING_INLINE void mring_spsc_flush(struct mring_spsc *ring, enum mring_end end);

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

/* The same until a time of mring_os_now(); INT64_MAX: for ever. */
MRING_API int mring_spsc_wait_writable_until(struct mring_spsc *ring, size_t size,
                                             int64_t deadline_ns);

/* ---- consumer -------------------------------------------------------------------------------- */

/*
 * Look at the bytes at the read end.
 *
 * Returns them in one piece, and their number in *size, or NULL (and *size 0) when fewer than
 * `minimum` are there. All that the consumer knows of is returned; it looks for more only when it
 * knows of fewer than `minimum`. To get all that is there now, call mring_spsc_readable() before;
 * to get news, ask for one byte more than last time.
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
 * Bytes that could be peeked at now: it always looks, and never holds off. If there is no more than
 * before, what the end has held back is published.
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

/* The same until a time of mring_os_now(); INT64_MAX: for ever. */
MRING_API int mring_spsc_wait_readable_until(struct mring_spsc *ring, size_t minimum,
                                             int64_t deadline_ns);

/* ---- elements of a fixed size ---------------------------------------------------------------- */

/*
 * Copy one element of `size` bytes in, or out, whole; false if there is no room for it, or none,
 * now. Any size from 1 to the capacity will do: it need not divide the capacity.
 *
 *   thread    the producer; the consumer. Wait-free
 */
MRING_INLINE bool mring_spsc_push(struct mring_spsc *ring, const void *element, size_t size);
MRING_INLINE bool mring_spsc_pop(struct mring_spsc *ring, void *element, size_t size);

/*
 * The same for up to `count` elements, as many as there is room for, or as there are: the number is
 * returned.
 */
MRING_INLINE size_t mring_spsc_push_n(struct mring_spsc *ring, const void *elements, size_t size,
                                      size_t count);
MRING_INLINE size_t mring_spsc_pop_n(struct mring_spsc *ring, void *elements, size_t size,
                                     size_t count);

/*
 * In place: reserve room for, or peek at, up to *count elements of `size` bytes. Returns them, and
 * their number in *count, or NULL, and *count 0, if there is not one. Follow with
 * mring_spsc_commit(ring, n * size), or mring_spsc_consume().
 *
 *   owner     as reserve and peek
 *   thread    the producer; the consumer. Wait-free
 */
MRING_INLINE void *mring_spsc_reserve_n(struct mring_spsc *ring, size_t size, size_t *count);
MRING_INLINE const void *mring_spsc_peek_n(struct mring_spsc *ring, size_t size, size_t *count);

/* ---- messages -------------------------------------------------------------------------------- */

/*
 * A message is its size, as a uint64_t of this machine, its bytes, and zeros up to a multiple of 8.
 * In a ring that carries nothing else, size and bytes are aligned to 8. What it takes in the ring:
 *
 *   thread    any
 */
MRING_INLINE uint64_t mring_spsc_message_bytes(uint64_t size);

/*
 * Copy a message in.
 *
 *   size      bytes, 0 .. capacity - 8
 *   errors    full       no room now: mring_spsc_wait_writable() for its message_bytes
 *             closed     either end was closed
 *             too_large  it never fits
 *   thread    the producer; wait-free, and a system call if the consumer sleeps
 */
MRING_INLINE int mring_spsc_send(struct mring_spsc *ring, const void *message, size_t size);

/*
 * Copy a message out; *size becomes its size.
 *
 *   room      bytes at `buffer`, which may be NULL if there are none
 *   errors    empty      there is none now
 *             eof        there is none, and the producer closed its end
 *             too_large  than `room`; *size is set, and the message stays where it is
 *             corrupt    what the ring carries is no message
 *   thread    the consumer; wait-free, and a system call if the producer sleeps
 */
MRING_INLINE int mring_spsc_recv(struct mring_spsc *ring, void *buffer, size_t room, size_t *size);

/*
 * The same in place. Reserve room for a message of up to `size` bytes, NULL if there is none now:
 * wait or arm for its message_bytes. Then publish it, with the size that it came to be.
 *
 *   size      bytes, 0 .. capacity - 8, and not more than reserved
 *   thread    the producer; wait-free
 */
MRING_INLINE void *mring_spsc_reserve_message(struct mring_spsc *ring, size_t size);
MRING_INLINE void mring_spsc_commit_message(struct mring_spsc *ring, size_t size);

/*
 * Look at the next message, NULL if there is none now (or if it is none: wait_message tells); then
 * give it back.
 *
 *   size      the message's, as peek_message has set it
 *   thread    the consumer; wait-free
 */
MRING_INLINE const void *mring_spsc_peek_message(struct mring_spsc *ring, size_t *size);
MRING_INLINE void mring_spsc_consume_message(struct mring_spsc *ring, size_t size);

/*
 * Wait until a whole message can be read. As mring_spsc_wait_readable(); eof, too, if the producer
 * closed its end in the middle of one; corrupt, too, if what is there is no message.
 */
MRING_API int mring_spsc_wait_message(struct mring_spsc *ring, int64_t timeout_ns);

/* ---- poll loops ------------------------------------------------------------------------------ */

/*
 * Let an end wait in epoll, poll or io_uring: give it an eventfd, which the other end writes to
 * when there is something to do. On macOS and the BSDs, in kevent() or poll(): give it a kqueue.
 *
 *      int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
 *      mring_spsc_set_eventfd(&ring, MRING_READ_END, fd);
 *
 *      for (;;) {
 *          while (mring_spsc_arm_readable(&ring, 1) == 0)
 *              ... peek and consume ...
 *          ... epoll_wait(): fd becomes readable; other rings and sockets, too ...
 *      }
 *
 * The descriptor is written to once per arming, when what was armed for has come true or the other
 * end closes; while the end is not armed, nothing is written. It then stays readable (level) until
 * the end arms again, which clears it: so arm after every report, or poll it edge-triggered or
 * one-shot. It may become readable without a reason. A _wait call that does not find enough at once
 * ends an arming: arm again after it.
 *
 *   fd        an eventfd with O_NONBLOCK and without EFD_SEMAPHORE, the caller's, open for as long
 *             as it is set; less than 0: none any more. It is kept in this handle: a process in
 *             which the other end is used through another handle has to be sent the descriptor, and
 *             sets it there
 *   kqueue    on macOS and the BSDs, which have no eventfd: one per end of a ring, since two ends
 *             in one kqueue would be the same event. An event of the user's is put into it, which
 *             the other end triggers; a server adds that kqueue (EVFILT_READ) to its own. A kqueue
 *             can't be sent, and does not cross fork(): the child has not got it, and must not use
 *             that end, nor signal it. So this is for rings between threads; between processes,
 *             use the _wait calls
 *   HANDLE    on Windows: of an event with manual reset, cast to int ((int)(intptr_t)handle), that
 *             may be modified and queried; to wait for it by WaitForMultipleObjects() takes
 *             SYNCHRONIZE, too
 *   errors    invalid_arg  the ring is MRING_NOWAIT, or the descriptor blocks, or is none of these
 *             unsupported  a BSD without events of the user's (EVFILT_USER)
 *             >0           the system's code: EBADF, or ERROR_INVALID_HANDLE, ERROR_ACCESS_DENIED
 *   thread    any, while no other thread uses the handle
 */
MRING_API int mring_spsc_set_eventfd(struct mring_spsc *ring, enum mring_end end, int fd);

/*
 * Arm: clear the descriptor, and have it signalled when `minimum` bytes can be read, or `size`
 * reserved, counted from where this end stands now.
 *
 *   returns   0      there are now: go on. Nothing to wait for; one more write may follow
 *             empty  (readable) it is armed
 *             full   (writable) it is armed
 *             the other answers of wait_readable, and of wait_writable: as for 0
 *             invalid_arg  no descriptor is set; as there
 *   thread    the consumer; the producer. Wait-free; system calls only if there is too little
 */
MRING_API int mring_spsc_arm_readable(struct mring_spsc *ring, size_t minimum);
MRING_API int mring_spsc_arm_writable(struct mring_spsc *ring, size_t size);

/* ---- descriptors ----------------------------------------------------------------------------- */

/*
 * Fill the ring from a descriptor: one read(), or recv() with `flags`, into all the room that there
 * is, but not more than `most` bytes. *moved is their number, 1 or more. If nothing was moved, what
 * the end has held back is published.
 *
 *   fd        on Windows: of the C runtime, which is set to binary mode by this, or with _recv a
 *             SOCKET, cast to int
 *   flags     of recv(), but not MSG_TRUNC
 *   errors    full         the ring has no room now
 *             would_block  the descriptor has nothing now
 *             eof          the descriptor is at its end (or an empty datagram came); the ring is
 *                          not closed by this
 *             closed       either end of the ring was closed
 *             corrupt      the consumer published an impossible position
 *             invalid_arg  most is 0, or MSG_TRUNC
 *             >0           the system's code; nothing was moved
 *   thread    the producer; one system call, repeated if a signal interrupts it; blocking if the
 *             descriptor is
 */
MRING_API int mring_spsc_fill_read(struct mring_spsc *ring, int fd, size_t most, size_t *moved);
MRING_API int mring_spsc_fill_recv(struct mring_spsc *ring, int fd, size_t most, int flags,
                                   size_t *moved);

/*
 * Drain the ring into a descriptor: one write(), or send() with `flags` and MSG_NOSIGNAL, of all
 * that is there, but not more than `most` bytes. What the descriptor took is consumed; *moved is
 * its number, 1 or more, and may be less than was there. If nothing was moved, what the end has
 * held back is published.
 *
 *   errors    empty        the ring has nothing now
 *             would_block  the descriptor takes nothing now
 *             eof          the ring is empty and its producer closed it
 *             corrupt      the producer published an impossible position
 *             invalid_arg  most is 0
 *             >0           the system's code; nothing was consumed. write() to a pipe or socket
 *                          that nobody reads raises SIGPIPE, unless that is ignored; drain_send
 *                          never does
 *   macOS     has no MSG_NOSIGNAL: drain_send sets the option SO_NOSIGPIPE of the socket, by one
 *             more system call, and the socket keeps it
 *   thread    the consumer; as above
 */
MRING_API int mring_spsc_drain_write(struct mring_spsc *ring, int fd, size_t most, size_t *moved);
MRING_API int mring_spsc_drain_send(struct mring_spsc *ring, int fd, size_t most, int flags,
                                    size_t *moved);

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

/*
 * The cold halves of the calls below, in spsc.c: look for more room, or bytes, than are known;
 * false if there is not so much. Publish what an end holds back. Wake the end that sleeps, or
 * signal its descriptor.
 */
MRING_API bool mring_spsc_find_room(struct mring_spsc *ring, size_t size);
MRING_API bool mring_spsc_find_bytes(struct mring_spsc *ring, size_t minimum);
MRING_API void mring_spsc_publish_held(struct mring_spsc *ring, enum mring_end end);
MRING_API void mring_spsc_wake(struct mring_spsc *ring, enum mring_end sleeper);

/* ---- the producer's */

/* The room that the producer knows of. */
MRING_INTERNAL uint64_t mring_spsc_room_seen(const struct mring_spsc *ring)
{
    return ring->capacity - (ring->write_pos - ring->read_pos_seen);
}

MRING_INTERNAL void mring_spsc_publish(struct mring_spsc *ring)
{
    /* P2, pairs with C1: publish the bytes written below write_pos. */
    mring_store_release_u64(&ring->write_side->pos, ring->write_pos);
    if (ring->fencing != MRING_FENCING_NONE &&
        mring_event_is_armed(&ring->read_side->event, ring->fencing) &&
        mring_event_is_reached(&ring->read_side->event, ring->write_pos))
        mring_spsc_wake(ring, MRING_READ_END);
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
    mring_counter_raise(&ring->write_counters.high_water, ring->write_pos - read_pos);
    return true;
}

/* Where the next byte goes. */
MRING_INTERNAL unsigned char *mring_spsc_write_end(const struct mring_spsc *ring)
{
    return ring->data + (ring->write_pos & (ring->capacity - 1));
}

/* The same as reserve, but that it only answers. */
MRING_INTERNAL bool mring_spsc_has_room(struct mring_spsc *ring, size_t size)
{
    assert(size >= 1 && size <= ring->capacity);

    mring_guard_enter(&ring->write_guard);
    bool enough =
        MRING_LIKELY(mring_spsc_room_seen(ring) >= size) || mring_spsc_find_room(ring, size);
    mring_guard_reserve(&ring->write_guard, enough ? size : 0);
    mring_guard_leave(&ring->write_guard);
    return enough;
}

MRING_INLINE void *mring_spsc_reserve(struct mring_spsc *ring, size_t size)
{
    return mring_spsc_has_room(ring, size) ? mring_spsc_write_end(ring) : NULL;
}

MRING_INLINE void mring_spsc_commit(struct mring_spsc *ring, size_t size)
{
    assert(size <= mring_spsc_room_seen(ring));

    mring_guard_enter(&ring->write_guard);
    mring_guard_commit(&ring->write_guard, size);
    ring->write_pos += size;
    if (mring_batch_is_due(&ring->write_batch, ring->write_pos))
        mring_spsc_publish(ring);
    mring_guard_leave(&ring->write_guard);
}

MRING_INLINE size_t mring_spsc_writable(struct mring_spsc *ring)
{
    uint64_t before = ring->read_pos_seen;

    mring_guard_enter(&ring->write_guard);
    mring_spsc_refresh_room(ring);
    if (ring->read_pos_seen == before)
        mring_spsc_publish_held(ring, MRING_WRITE_END);
    mring_guard_leave(&ring->write_guard);
    return (size_t)mring_spsc_room_seen(ring);
}

MRING_INLINE void *mring_spsc_reserve_n(struct mring_spsc *ring, size_t size, size_t *count)
{
    assert(size >= 1 && size <= ring->capacity);

    size_t most = *count < ring->capacity / size ? *count : (size_t)(ring->capacity / size);
    mring_guard_enter(&ring->write_guard);
    if (mring_spsc_room_seen(ring) < most * size)
        mring_spsc_find_room(ring, most * size);
    if (mring_spsc_room_seen(ring) < most * size)
        most = (size_t)(mring_spsc_room_seen(ring) / size);
    mring_guard_reserve(&ring->write_guard, most * size);
    mring_guard_leave(&ring->write_guard);
    *count = most;
    return most > 0 ? mring_spsc_write_end(ring) : NULL;
}

/* Copy in what there is room for, and publish it. */
MRING_INTERNAL void mring_spsc_put(struct mring_spsc *ring, const void *bytes, size_t size)
{
    memcpy(mring_spsc_write_end(ring), bytes, size);
    mring_spsc_commit(ring, size);
}

MRING_INLINE size_t mring_spsc_write(struct mring_spsc *ring, const void *bytes, size_t size)
{
    if (mring_spsc_reserve_n(ring, 1, &size) != NULL)
        mring_spsc_put(ring, bytes, size);
    return size;
}

MRING_INLINE bool mring_spsc_push(struct mring_spsc *ring, const void *element, size_t size)
{
    if (!mring_spsc_has_room(ring, size))
        return false;
    mring_spsc_put(ring, element, size);
    return true;
}

MRING_INLINE size_t mring_spsc_push_n(struct mring_spsc *ring, const void *elements, size_t size,
                                      size_t count)
{
    if (mring_spsc_reserve_n(ring, size, &count) != NULL)
        mring_spsc_put(ring, elements, count * size);
    return count;
}

/* ---- the consumer's */

/* The bytes that the consumer knows of. */
MRING_INTERNAL uint64_t mring_spsc_bytes_seen(const struct mring_spsc *ring)
{
    return ring->write_pos_seen - ring->read_pos;
}

MRING_INTERNAL void mring_spsc_release(struct mring_spsc *ring)
{
    /* C2, pairs with P1: the bytes below read_pos have been read; they may be overwritten. */
    mring_store_release_u64(&ring->read_side->pos, ring->read_pos);
    if (ring->fencing != MRING_FENCING_NONE &&
        mring_event_is_armed(&ring->write_side->event, ring->fencing) &&
        mring_event_is_reached(&ring->write_side->event, ring->read_pos))
        mring_spsc_wake(ring, MRING_WRITE_END);
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
    mring_counter_raise(&ring->read_counters.high_water, bytes);
    return true;
}

/* Where the next byte comes from. */
MRING_INTERNAL const unsigned char *mring_spsc_read_end(const struct mring_spsc *ring)
{
    return ring->data + (ring->read_pos & (ring->capacity - 1));
}

/* The same as peek, but that it only answers. */
MRING_INTERNAL bool mring_spsc_has_bytes(struct mring_spsc *ring, size_t minimum)
{
    assert(minimum >= 1 && minimum <= ring->capacity);

    mring_guard_enter(&ring->read_guard);
    bool enough = MRING_LIKELY(mring_spsc_bytes_seen(ring) >= minimum) ||
                  mring_spsc_find_bytes(ring, minimum);
    mring_guard_leave(&ring->read_guard);
    return enough;
}

MRING_INLINE const void *mring_spsc_peek(struct mring_spsc *ring, size_t minimum, size_t *size)
{
    bool enough = mring_spsc_has_bytes(ring, minimum);

    *size = enough ? (size_t)mring_spsc_bytes_seen(ring) : 0;
    return enough ? mring_spsc_read_end(ring) : NULL;
}

/*
 * With a batch: whether not to wait for it, as nothing is left, or as the producer waits. A hint,
 * so it needs no fence: what it misses, the next call that finds too little makes up for.
 */
MRING_INTERNAL bool mring_spsc_must_release(struct mring_spsc *ring)
{
    if (ring->read_pos != ring->write_pos_seen &&
        (ring->fencing == MRING_FENCING_NONE ||
         !mring_event_is_armed(&ring->write_side->event, MRING_FENCING_WAITER)))
        return false;
    return mring_batch_is_held(&ring->read_batch, ring->read_pos);
}

MRING_INLINE void mring_spsc_consume(struct mring_spsc *ring, size_t size)
{
    assert(size <= mring_spsc_bytes_seen(ring));

    mring_guard_enter(&ring->read_guard);
    ring->read_pos += size;
    if (mring_batch_is_due(&ring->read_batch, ring->read_pos) || mring_spsc_must_release(ring))
        mring_spsc_release(ring);
    mring_guard_leave(&ring->read_guard);
}

MRING_INLINE size_t mring_spsc_readable(struct mring_spsc *ring)
{
    uint64_t before = ring->write_pos_seen;

    mring_guard_enter(&ring->read_guard);
    mring_spsc_refresh_bytes(ring);
    if (ring->write_pos_seen == before)
        mring_spsc_publish_held(ring, MRING_READ_END);
    mring_guard_leave(&ring->read_guard);
    return (size_t)mring_spsc_bytes_seen(ring);
}

MRING_INLINE const void *mring_spsc_peek_n(struct mring_spsc *ring, size_t size, size_t *count)
{
    assert(size >= 1 && size <= ring->capacity);

    size_t most = *count < ring->capacity / size ? *count : (size_t)(ring->capacity / size);
    mring_guard_enter(&ring->read_guard);
    if (mring_spsc_bytes_seen(ring) < most * size)
        mring_spsc_find_bytes(ring, most * size);
    if (mring_spsc_bytes_seen(ring) < most * size)
        most = (size_t)(mring_spsc_bytes_seen(ring) / size);
    mring_guard_leave(&ring->read_guard);
    *count = most;
    return most > 0 ? mring_spsc_read_end(ring) : NULL;
}

/* Copy out what is there, and give it back. */
MRING_INTERNAL void mring_spsc_get(struct mring_spsc *ring, void *bytes, size_t size)
{
    memcpy(bytes, mring_spsc_read_end(ring), size);
    mring_spsc_consume(ring, size);
}

MRING_INLINE size_t mring_spsc_read(struct mring_spsc *ring, void *bytes, size_t size)
{
    if (mring_spsc_peek_n(ring, 1, &size) != NULL)
        mring_spsc_get(ring, bytes, size);
    return size;
}

MRING_INLINE bool mring_spsc_pop(struct mring_spsc *ring, void *element, size_t size)
{
    if (!mring_spsc_has_bytes(ring, size))
        return false;
    mring_spsc_get(ring, element, size);
    return true;
}

MRING_INLINE size_t mring_spsc_pop_n(struct mring_spsc *ring, void *elements, size_t size,
                                     size_t count)
{
    if (mring_spsc_peek_n(ring, size, &count) != NULL)
        mring_spsc_get(ring, elements, count * size);
    return count;
}

/* ---- either's */

MRING_INLINE void mring_spsc_flush(struct mring_spsc *ring, enum mring_end end)
{
    struct mring_guard *guard = end == MRING_WRITE_END ? &ring->write_guard : &ring->read_guard;

    mring_guard_enter(guard);
    mring_spsc_publish_held(ring, end);
    mring_guard_leave(guard);
}

/* ---- messages */

#define MRING_MESSAGE_HEAD 8u

MRING_INLINE uint64_t mring_spsc_message_bytes(uint64_t size)
{
    return (MRING_MESSAGE_HEAD + size + 7) & ~(uint64_t)7;
}

/* Whether a message of that size fits into the ring at all. */
MRING_INTERNAL bool mring_spsc_message_fits(const struct mring_spsc *ring, uint64_t size)
{
    return size <= ring->capacity - MRING_MESSAGE_HEAD;
}

MRING_INLINE void *mring_spsc_reserve_message(struct mring_spsc *ring, size_t size)
{
    assert(mring_spsc_message_fits(ring, size));

    unsigned char *room =
        (unsigned char *)mring_spsc_reserve(ring, (size_t)mring_spsc_message_bytes(size));
    return room != NULL ? room + MRING_MESSAGE_HEAD : NULL;
}

MRING_INLINE void mring_spsc_commit_message(struct mring_spsc *ring, size_t size)
{
    unsigned char *room = mring_spsc_write_end(ring);
    uint64_t message_size = size;
    uint64_t bytes = mring_spsc_message_bytes(size);

    memcpy(room, &message_size, MRING_MESSAGE_HEAD);
    memset(room + MRING_MESSAGE_HEAD + size, 0, (size_t)bytes - MRING_MESSAGE_HEAD - size);
    mring_spsc_commit(ring, (size_t)bytes);
}

MRING_INLINE int mring_spsc_send(struct mring_spsc *ring, const void *message, size_t size)
{
    if (!mring_spsc_message_fits(ring, size))
        return MRING_TOO_LARGE;
    if (ring->write_closed || mring_spsc_is_closed(ring, MRING_READ_END, NULL))
        return MRING_CLOSED;

    void *room = mring_spsc_reserve_message(ring, size);
    if (room == NULL)
        return MRING_FULL;
    if (size > 0)
        memcpy(room, message, size);
    mring_spsc_commit_message(ring, size);
    return 0;
}

/*
 * The size of the next message, as its head says it; `bytes` is where the head is. It is read once,
 * as the producer may be hostile.
 */
MRING_INTERNAL uint64_t mring_spsc_message_size(const void *bytes)
{
    uint64_t size;

    memcpy(&size, bytes, sizeof size);
    return size;
}

MRING_INLINE const void *mring_spsc_peek_message(struct mring_spsc *ring, size_t *size)
{
    size_t known;
    const unsigned char *bytes =
        (const unsigned char *)mring_spsc_peek(ring, MRING_MESSAGE_HEAD, &known);

    if (bytes == NULL)
        return NULL;
    uint64_t message_size = mring_spsc_message_size(bytes);
    if (!mring_spsc_message_fits(ring, message_size))
        return NULL;
    if (known < mring_spsc_message_bytes(message_size) &&
        mring_spsc_peek(ring, (size_t)mring_spsc_message_bytes(message_size), &known) == NULL)
        return NULL;
    *size = (size_t)message_size;
    return bytes + MRING_MESSAGE_HEAD;
}

MRING_INLINE void mring_spsc_consume_message(struct mring_spsc *ring, size_t size)
{
    mring_spsc_consume(ring, (size_t)mring_spsc_message_bytes(size));
}

MRING_INLINE int mring_spsc_recv(struct mring_spsc *ring, void *buffer, size_t room, size_t *size)
{
    size_t message_size;
    const void *message = mring_spsc_peek_message(ring, &message_size);

    if (message == NULL) {
        int err = mring_spsc_wait_message(ring, 0);
        if (err != 0)
            return err == MRING_TIMED_OUT ? MRING_EMPTY : err;
        message = mring_spsc_peek_message(ring, &message_size);
        if (message == NULL)
            return MRING_CORRUPT;
    }
    *size = message_size;
    if (message_size > room)
        return MRING_TOO_LARGE;
    if (message_size > 0)
        memcpy(buffer, message, message_size);
    mring_spsc_consume_message(ring, message_size);
    return 0;
}

MRING_END_DECLS

#endif
