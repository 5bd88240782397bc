/* SPDX-License-Identifier: MIT */
/*
 * Record ring for many producers and many consumers, in one process or in several.
 *
 * Records have any length up to the whole capacity, are contiguous, and are written and read in
 * place. Each comes out once, at one of the consumers, in the order in which room was reserved for
 * them. Where there is one thread at an end, say so at creation, and that end needs no atomic
 * read-modify-write: MPMC, MPSC, SPMC and SPSC are one layout and one set of calls.
 *
 *      struct mring_mpmc ring;                              // one per process
 *      int err = mring_mpmc_create(&ring, &(struct mring_args){ .capacity = 65536 });
 *
 *      struct mring_mpmc_end out;                           // one per producing thread
 *      mring_mpmc_join(&ring, &out, MRING_WRITE_END);
 *      mring_mpmc_push(&out, "some bytes", 10);             // a copy; or in place:
 *      char *room = mring_mpmc_reserve(&out, 100);
 *      if (room != NULL)
 *          mring_mpmc_commit(&out, format(room, 100));      // 0 to 100 bytes; or abort
 *
 *      struct mring_mpmc_end in;                            // one per consuming thread
 *      mring_mpmc_join(&ring, &in, MRING_READ_END);
 *      size_t size;
 *      char buffer[100];
 *      mring_mpmc_pop(&in, buffer, sizeof buffer, &size);   // a copy; or up to 16 in place:
 *      struct mring_claim claim;
 *      if (mring_mpmc_claim(&in, &claim, 16) > 0) {
 *          for (const void *record; (record = mring_mpmc_next(&in, &claim, &size)) != NULL;)
 *              work(record, size);
 *          mring_mpmc_release(&in, &claim);
 *      }
 *
 * Guarantees:
 *
 *   - FIFO by reservation: records come out in the order in which their room was reserved, whatever
 *     the order of the commits. What one producer pushes in turn comes out in turn.
 *   - What a call answers was true at some moment of the call. "Empty" means that the next record
 *     in order is not committed; later ones may be (see MRING_SKIP_STALLED). "Full" means that what
 *     has come back in the order of the ring does not suffice; what was given up comes back when
 *     consumers have passed it.
 *   - A record is never split, and starts at a multiple of 8 bytes: 8 above one of the granule, or
 *     at one of the granule with MRING_SKIP_STALLED.
 *   - No wake-up is lost; and a publication wakes no more consumers than it has records, an abort
 *     and a claim that leaves records one each.
 *   - Whatever the bytes of records are, they are never taken for the ring's own words.
 *
 * Progress. Calls that don't wait never sleep and never spin for what another thread has to do.
 *
 *                      one at that end    several        MRING_SKIP_STALLED
 *   reserve, push      wait-free          lock-free      lock-free
 *   commit, abort      wait-free          wait-free      wait-free
 *   claim, pop         wait-free (1)      lock-free      lock-free
 *   release            wait-free          wait-free      wait-free
 *
 *   (1) but that it passes what was given up: lock-free, if producers do nothing else
 *
 * (Where a store of 64 bits is a loop, which it is on ARMv7, lock-free is the most that there is.)
 *
 * (A commit or release that has to wake somebody makes a system call. A reservation that finds the
 * ring full, or a release before its turn, passes what was released before, of up to an eighth of
 * the capacity more than it needs.) What a thread does to the others that is stopped in the middle,
 * or dies:
 *
 *   a producer between reserve and commit, or within push: its record, and those behind it, are not
 *      delivered until it goes on; so the ring gets full. With MRING_SKIP_STALLED the records
 *      behind it are delivered, out of order with this one alone; but its room, and the room of all
 *      that follows, comes back only when it goes on. So as much as the capacity can still pass it,
 *      and each claim looks at the words of all that has passed, one after the other.
 *   a consumer between claim and release, or within pop: nobody is held up but by the room, as
 *      above. With MRING_SINGLE_CONSUMER, a consumer that does not call is one that does not call.
 *
 * So a process that is killed there takes a part of a named ring with it, up to all; if it was not
 * inside a call, nothing happens. With a single producer even then nothing happens, and its
 * successor goes on; so it is with a single consumer, whose successor gets again what had not been
 * released (as it was, unless the consumer wrote there, or was killed in the middle of releasing
 * bytes that imitate words of the ring). The format has a place for what recovery from the rest
 * needs.
 *
 * A broken peer can spoil records and bring the ring to a halt, but lead no access out of it: a
 * record whose word says that it is over record_max is MRING_CORRUPT.
 *
 * fork(): parent and child share the ring, and the memory of their ends is their own. An end that
 * has joined before belongs to the parent; the child joins with ends of its own, the first of them
 * while no other of its threads joins. Where the mode allows one at an end, that is after the
 * parent's last call. Debug builds catch an end that both use, a claim that is released twice, and
 * a commit of more than was reserved.
 *
 * How it works. Positions are byte counts that never wrap; the address of position p is
 * data + (p & (capacity - 1)), and its lap is p / capacity. A record takes a whole number of
 * granules. At its first granule is its word, {lap: 32, state: 2, length: 30}, and the bytes follow
 * the word, or, with MRING_SKIP_STALLED, the words of all granules stand apart. Positions begin
 * with lap 1, so that zeros mean: free.
 *
 *      lap - 1, or less   nobody has committed here
 *      READY              a record; without MRING_SKIP_STALLED, whether or not it is claimed
 *      TAKEN              what is nobody's: it was aborted, or cut off by a commit of less than was
 *                         reserved. With MRING_SKIP_STALLED: a record that was claimed
 *      FREE               released before its turn; the length is in granules and may span several
 *                         records. With MRING_SKIP_STALLED, what is nobody's, too
 *      BUSY               (MRING_SKIP_STALLED) reserved
 *
 * Below free_pos, or, with a single consumer, read_pos, all of them mean: released.
 *
 * Consumers look for the word where the next record is to come; and what stands there before it is
 * written may be bytes of an old record. Hence the invariant: before bytes go back to the
 * producers, no granule in them starts with the lap that follows theirs. Whoever releases a record
 * looks through its granules and overwrites such a word, which is there by chance, or malice, alone
 * ("scrub"). So a record's bytes are not written by consumers, and their lines need not come back.
 *
 * Several consumers have free_pos. Who releases the record at free_pos moves it behind that, and
 * does not look further. Nobody else can, as its word is not FREE: so a plain store suffices. Who
 * releases another one marks its word FREE, and then reclaims: moves free_pos, by
 * compare-and-swap, over the marks that it stands at. So a mark may stay until the next release out
 * of turn, or until a producer lacks room and reclaims for itself. A producer does that between
 * arming and sleeping, too: it sleeps for no room that is marked.
 *
 * Ordering map. Left out where an end is single: the accesses in brackets.
 *
 *      producer                                    consumer
 *      P1 load_acquire(read_pos)    <------------  C4 (single) store_release(read_pos)
 *     [   load_acquire(free_pos)    <------------  C4 in turn: store_release(free_pos)]
 *     [P2 cas_relaxed(write_pos)]                 [C1 load_acquire(read_pos)]
 *         write bytes
 *      P3 store_release(word READY) ------------>  C2 load_acquire(word)
 *                                                 [C3 cas_acq_rel(read_pos)]
 *                                                     read bytes, scrub (relaxed)
 *                                                 [C6 load_acquire(free_pos)]
 *     [R1 load_acquire(word)        <------------  C4 out of turn: store_release(word FREE)]
 *     [R2 cas_acq_rel(free_pos), read by P1 and C6; consumers reclaim, too]
 *      P4 or_relaxed(write_pos, 1)
 *         cas_acq_rel(closed)       ------------>  C5 load_acquire(closed),
 *                                                     then write_pos, or C2 again
 *
 *   P3 -> C2  the bytes of the record are complete before it is seen.
 *   C3 -> C1  a consumer that learns from another one how far they are also sees what that one saw:
 *             that the granule which is now next was scrubbed. With a relaxed load it may see old
 *             bytes there, and take them for a record.
 *   C4 -> P1, C4 -> R1 -> R2 -> P1
 *             the bytes have been read, and scrubbed, before they are written again.
 *   C4, R2 -> C6
 *             the same of those that others had released before: who goes on from there passes it
 *             on.
 *   P2        relaxed: positions never repeat, so that the value alone proves that the room is
 *             this producer's; what was in it before is P1's matter.
 *   C2, R1    look at words that may be somebody else's bytes by then, when the position they come
 *             from is outdated. Then the compare-and-swap of C3, or R2, fails.
 *   P4 -> C5  who sees the ring closed sees what was reserved before: drain that, then the end.
 *
 * With MRING_SKIP_STALLED, the words stand apart, and each is written only for a position at which
 * a record begins: so a value of the right lap proves by itself what it says, however outdated the
 * position that led there is. S1 compare-and-swaps the word at write_pos to BUSY, and then
 * write_pos, which whoever comes by may do: so nobody waits for who stopped in between, and what
 * write_pos had not passed when the ring was closed was not reserved. S2 compare-and-swaps a word
 * from READY to TAKEN. read_pos is a hint where the first record is that is not taken. A consumer
 * passes a BUSY record only if it is still BUSY after C2 has seen a later one READY: so it is
 * another producer's, and what one producer pushes in turn comes out in turn.
 *
 *   S1 -> S1  who reserves behind a record makes its word visible along with his own: consumers
 *             that are to find his have to walk over it.
 *
 * How it is fast. A word and its bytes share a line, so a small record costs one transfer of a
 * line, where a ring of positions costs two. What is free is kept in each producer's handle and
 * looked up when that does not suffice; several consumers keep it beside read_pos, on a line that
 * they have anyway, and, in turn, write no line of a record. Several records can be claimed, or
 * pushed, by one compare-and-swap (with MRING_SKIP_STALLED, a record takes two, and a claim one for
 * each). Producers fetch lines for writing ahead of a compare-and-swap, which waits for all stores
 * before it. Both ends hold off as in the byte ring (struct mring_hold).
 *
 * The rules are checked under RC11 and IMM in every mode by tests/model/mpmc.c and mpmc_close.c,
 * and sleeping, for one waiter and one notifier, by event.c; mpmc_wait.c, with several of both, has
 * run as a stress test. Words with a lap are from Vyukov's bounded queue (2010), one word for
 * reservation and commit from Aeron's log buffers, claims of several by one compare-and-swap from
 * DPDK's rte_ring; that a position lags behind and anybody moves it on, from Michael and Scott
 * (1996).
 */
#ifndef MRING_MPMC_H
#define MRING_MPMC_H

#include <mring/ring.h>
#include <string.h>

MRING_BEGIN_DECLS

/* ---- types ----------------------------------------------------------------------------------- */

/* Where things are: constants of a ring. Private, as all members of the structures here. */
struct mring_layout {
    unsigned char *data;           /* first byte, at its first address */
    uint64_t mask;                 /* capacity - 1, a power of two less one */
    uint64_t granule_mask;         /* bytes of a granule - 1, the same */
    struct mring_side *write_side; /* pos is write_pos, event is where producers sleep */
    struct mring_side *read_side;  /* pos is read_pos, event is where consumers sleep */
    unsigned mode;     /* MRING_SINGLE_PRODUCER, MRING_SINGLE_CONSUMER, MRING_SKIP_STALLED */
    uint8_t lap_shift; /* position >> lap_shift is the lap */
    uint8_t granule_shift;
    uint8_t fencing; /* enum mring_fencing */
    uint8_t word_shift;
    unsigned char *words;  /* with MRING_SKIP_STALLED, of position p: at words + ((p & (capacity -
                             1)) >> word_shift) */
    uint64_t record_max;   /* bytes */
    uint64_t inline_below; /* push and pop copy smaller ones inline: record_max + 1; with
                              MRING_SKIP_STALLED, 0: none */
};

/* A ring in a process. It must not move while ends have joined it. */
struct mring_mpmc {
    struct mring_layout layout;
    int fds[2]; /* by enum mring_end: signalled for those that poll; less than 0: none */
    mring_atomic_u32 joined[2]; /* ends that have joined and not left, in this process */
    mring_atomic_u32 process;   /* the one in which they have */
    struct mmap map;
};

/*
 * An end of a ring: one per thread that produces, or consumes. It may stand anywhere, and only its
 * thread uses it. The padding keeps it off the lines of its neighbours.
 */
struct mring_mpmc_end {
    unsigned char padding_before[MRING_LINE];
    struct mring_layout layout; /* a copy, near the rest */
    struct mring_mpmc *ring;
    enum mring_end end;

    /* A producer: where its reservation is, or, a single one, will be. A single consumer: where it
       claims next. */
    uint64_t pos;
    /* A producer: bytes of its reservation, 0: it has none. A single consumer: bytes below pos that
       it has not released. */
    uint64_t span;
    /* A producer: where room ends, by what P1 last saw. */
    uint64_t limit;
    /* A consumer: where it was when it last found nothing. */
    uint64_t seen;
    /* A single consumer: what it has published. */
    uint64_t published;
    struct mring_batch batch; /* of a single consumer */
    struct mring_hold hold;
    struct mring_spin spin;
    struct mring_counters counters;
    struct mring_guard guard;
    unsigned char padding_behind[MRING_LINE];
};

/* Some records that a consumer has in hand, in a row. */
struct mring_claim {
    uint64_t pos, end; /* bytes of the ring */
    uint64_t next;     /* where the next record, or what is none, is */
};

/* ---- life ------------------------------------------------------------------------------------ */

/*
 * Create a ring: anonymous, or with a new tagname.
 *
 *   ring      written on success only; release with mring_mpmc_destroy()
 *   args      flags, granule and record_max say what it is made for (enum mring_flags)
 *   errors    exists       there is such a name
 *             invalid_arg  capacity is not one that mring_capacity() gives; unknown flags, or such
 *                          that exclude each other; no such granule; record_max is over what the
 *                          ring can hold: the capacity less 8 (all of it with MRING_SKIP_STALLED),
 *                          and 1 GiB - 1
 *             and those of mmap_mirror(), but file_too_short
 *   thread    any; blocking (system calls), see mring_spsc_create()
 */
MRING_API int mring_mpmc_create(struct mring_mpmc *ring, const struct mring_args *args);

/*
 * Attach to the ring of a tagname, or create it. ring->map.created says which.
 *
 *   args      as of mring_spsc_open(); an existing ring has to be of the same mode, or it is
 *             bad_kind
 *   errors    as mring_spsc_open()
 *   thread    any; blocking (system calls)
 */
MRING_API int mring_mpmc_open(struct mring_mpmc *ring, const struct mring_args *args);

/*
 * Join a ring: make an end for the calling thread to use.
 *
 *   member    written on success only; it must not move while it is used
 *   errors    busy     the mode allows one at that end, and one of this process has joined
 *             corrupt  (a single producer) the records contradict the positions
 *   thread    any, at any time. Where the mode allows one at that end, after the last call of the
 *             one before, whichever process that was in; wait-free: a producer that follows another
 *             one looks at all records in the ring, and all room
 */
MRING_API int mring_mpmc_join(struct mring_mpmc *ring, struct mring_mpmc_end *member,
                              enum mring_end end);

/*
 * Leave: what the end holds back is published. It must have nothing reserved or claimed. It may not
 * be used any more, and need not be left before the process ends.
 *
 *   thread    the end's own; wait-free, and a system call if somebody sleeps
 */
MRING_API void mring_mpmc_leave(struct mring_mpmc_end *member);

/*
 * Close the ring: no more room is reserved. What was reserved before can be committed, and is
 * delivered; then the consumers get MRING_EOF. Whoever sleeps is woken. Only the first close of an
 * end counts; it is for good and stays with the name. Closing the read end does the same and says
 * that nobody may be there to read.
 *
 *   status    0, or any number that tells the other side why
 *   thread    any; lock-free. What a single producer has reserved, nobody sees: so the write end
 *             is closed by its thread, with nothing reserved; and when another thread closes the
 *             read end, what it is pushing may be delivered after MRING_EOF
 */
MRING_API void mring_mpmc_close(struct mring_mpmc *ring, enum mring_end end, uint32_t status);

/*
 * Whether an end was closed. `status`, which may be NULL, is written only if it was.
 *
 *   thread    any; wait-free
 */
MRING_API bool mring_mpmc_is_closed(const struct mring_mpmc *ring, enum mring_end end,
                                    uint32_t *status);

/*
 * Release the ring. All ends have to have made their last call. An anonymous ring is gone with its
 * last process; a named one stays, with its records, until mmap_unlink(tagname). The ring is not
 * closed by this. Destroying zeros does nothing, and a destroyed ring is zeros.
 *
 *   errors    map_limit, as mmap_free(); the ring stays as it was
 *   thread    any, while no other thread uses the ring; blocking (system calls)
 */
MRING_API int mring_mpmc_destroy(struct mring_mpmc *ring);

/*
 * Make an end behave as `tuning` says; zeros are the defaults. batch_bytes is for a single
 * consumer: it gives room back when so many bytes have come together, or when it finds the ring
 * empty, waits or leaves. Everything else is published at once.
 *
 *   errors    invalid_arg  batch_bytes is over the capacity, or not for this end; or hold_ns is
 *                          over 10,000
 *   thread    the end's own; wait-free, and a system call if somebody sleeps
 */
MRING_API int mring_mpmc_tune(struct mring_mpmc_end *member, const struct mring_tuning *tuning);

/*
 * What an end has seen and done; each number is right by itself. `bytes` is how far all members at
 * its end are together: what was reserved, or, of a single producer, committed; what was claimed,
 * or, by a single consumer, released; with MRING_SKIP_STALLED, about.
 *
 *   thread    the end's own; wait-free
 */
MRING_API void mring_mpmc_stats(const struct mring_mpmc_end *member, struct mring_stats *stats);

/* ---- producers ------------------------------------------------------------------------------- */

/*
 * Reserve room for a record of up to `size` bytes.
 *
 * Returns so many contiguous writable bytes, or NULL when there is no room for them now, or the
 * ring is closed. The reservation must be committed or aborted before the next one, and soon: the
 * records behind it wait for that.
 *
 *   size      bytes, 0 .. record_max
 *   owner     the ring; the pointer dies at the commit, or abort
 *   thread    the producer's; wait-free with a single producer, else lock-free
 *   errors    none (mring_mpmc_reserve_wait() with a timeout of 0 tells full from closed)
 */
MRING_INLINE void *mring_mpmc_reserve(struct mring_mpmc_end *producer, size_t size);

/*
 * Publish a record: the first `size` bytes of the reservation. The room of the rest comes back like
 * that of a record; with a single producer, at once, for a look at each of its granules.
 *
 *   size      bytes, 0 .. what was reserved
 *   thread    the producer's; wait-free, and a system call if a consumer sleeps
 */
MRING_INLINE void mring_mpmc_commit(struct mring_mpmc_end *producer, size_t size);

/*
 * Give the reservation up: there will be no such record. Its room comes back like that of a record
 * which consumers pass without seeing it; that of a single producer at once.
 *
 *   thread    as commit
 */
MRING_API void mring_mpmc_abort(struct mring_mpmc_end *producer);

/*
 * Copy a record in.
 *
 *   errors    full       no room now
 *             closed     either end was closed
 *             too_large  over record_max
 *   thread    the producer's; wait-free with a single producer, else lock-free, and a system call
 *             if a consumer sleeps
 */
MRING_INLINE int mring_mpmc_push(struct mring_mpmc_end *producer, const void *bytes, size_t size);

/*
 * Copy in up to `count` elements of `size` bytes, a record each, with one reservation for all (with
 * MRING_SKIP_STALLED, one for each). Returns the number, which is what there is room for: 0 when
 * full, or closed.
 *
 *   size      bytes, 0 .. record_max
 *   thread    as push
 */
MRING_INLINE size_t mring_mpmc_push_n(struct mring_mpmc_end *producer, const void *elements,
                                      size_t size, size_t count);

/*
 * Reserve, or push, and wait until there is room.
 *
 *   room        written on success only
 *   timeout_ns  nanoseconds; 0 only looks, less than 0 waits for ever
 *   errors      timed_out  still no room
 *               closed     either end was closed
 *               too_large  over record_max
 *               corrupt    the positions contradict themselves
 *   thread      the producer's; blocking. Sleeps in the kernel, or spins if the ring is
 *               MRING_NOWAIT
 */
MRING_API int mring_mpmc_reserve_wait(struct mring_mpmc_end *producer, size_t size, void **room,
                                      int64_t timeout_ns);
MRING_API int mring_mpmc_push_wait(struct mring_mpmc_end *producer, const void *bytes, size_t size,
                                   int64_t timeout_ns);

/* ---- consumers ------------------------------------------------------------------------------- */

/*
 * Claim up to `most` records, as many as are there in a row: from now on they are this consumer's
 * alone. Returns their number, 0 if there is none now.
 *
 * Then next() gives them one by one, with the size of each in *size, and NULL and 0 after the last.
 * They stay where they are until release() gives all of them back. A consumer may have several
 * claims, and release them in any order; room comes back in the order of the ring.
 *
 *   claim     written if there are any
 *   most      1 or more
 *   owner     the ring; the bytes stay as they are until release, and may be written to
 *   thread    the consumer's. claim: wait-free with a single consumer, else lock-free. next and
 *             release: wait-free. release: a system call if a producer sleeps
 */
MRING_API size_t mring_mpmc_claim(struct mring_mpmc_end *consumer, struct mring_claim *claim,
                                  size_t most);
MRING_INLINE void *mring_mpmc_next(const struct mring_mpmc_end *consumer, struct mring_claim *claim,
                                   size_t *size);
MRING_INLINE void mring_mpmc_release(struct mring_mpmc_end *consumer,
                                     const struct mring_claim *claim);

/*
 * Copy a record out; *size becomes its size.
 *
 *   room      bytes at `buffer`, which may be NULL if there are none
 *   errors    empty      there is none now
 *             eof        there is none, and the ring is closed
 *             too_large  than `room`; *size is set, and the record stays where it is
 *             corrupt    it is said to be over record_max
 *   thread    the consumer's; wait-free with a single consumer, else lock-free, and a system call
 *             if a producer sleeps
 */
MRING_INLINE int mring_mpmc_pop(struct mring_mpmc_end *consumer, void *buffer, size_t room,
                                size_t *size);

/*
 * Copy out up to `count` elements, records of `size` bytes. Returns the number: 0 if there is none
 * now, or the next record is of another size.
 *
 *   thread    as pop
 */
MRING_INLINE size_t mring_mpmc_pop_n(struct mring_mpmc_end *consumer, void *elements, size_t size,
                                     size_t count);

/*
 * Claim, or pop, and wait until there is something.
 *
 *   claim       written on success only; *count, which may be NULL, is the number of records
 *   timeout_ns  nanoseconds; 0 only looks, less than 0 waits for ever
 *   errors      timed_out  still nothing
 *               eof        there is nothing, and the ring is closed
 *               too_large  (pop) as there
 *               corrupt    as pop
 *   thread      the consumer's; blocking. Sleeps in the kernel, or spins if the ring is
 *               MRING_NOWAIT
 */
MRING_API int mring_mpmc_claim_wait(struct mring_mpmc_end *consumer, struct mring_claim *claim,
                                    size_t most, size_t *count, int64_t timeout_ns);
MRING_API int mring_mpmc_pop_wait(struct mring_mpmc_end *consumer, void *buffer, size_t room,
                                  size_t *size, int64_t timeout_ns);

/* ---- poll loops ------------------------------------------------------------------------------ */

/*
 * Let the members at an end wait in epoll, poll or io_uring: give that end an eventfd, which the
 * other end's members write to. As mring_spsc_set_eventfd(), but that all members of an end in this
 * process share it: whoever finds it readable goes on until there is nothing to do, and arms.
 *
 *   fd        an eventfd with O_NONBLOCK and without EFD_SEMAPHORE, the caller's, open for as long
 *             as it is set; less than 0: none any more. A process in which members of the other
 *             end are, or other consumers, or that may close the ring, has to be sent the
 *             descriptor, and sets it there
 *   kqueue    on macOS and the BSDs, as for mring_spsc_set_eventfd(): one per end of a ring, and it
 *             does not cross fork()
 *   HANDLE    on Windows, as there: of an event with manual reset, cast to int
 *   errors    invalid_arg  the ring is MRING_NOWAIT, or the descriptor blocks, or is none of these
 *             unsupported  as there
 *             >0           the system's code: EBADF, or ERROR_INVALID_HANDLE, ERROR_ACCESS_DENIED
 *   thread    any, while no other thread uses the ring
 */
MRING_API int mring_mpmc_set_eventfd(struct mring_mpmc *ring, enum mring_end end, int fd);

/*
 * Arm: clear the end's descriptor, and have it signalled when there is a record, or room for a
 * record of `size` bytes may be there. `size` is for producers; consumers give 0. Where an end may
 * have several members and it does not come to waiting, the descriptor is signalled again, for what
 * was cleared was perhaps for others.
 *
 *   returns   0      there is something to do now
 *             empty  (consumer) it is armed
 *             full   (producer) it is armed
 *             eof, closed, too_large, corrupt: as pop_wait and push_wait
 *             invalid_arg  no descriptor is set
 *   thread    the member's; lock-free; system calls only if there is nothing
 */
MRING_API int mring_mpmc_arm(struct mring_mpmc_end *member, size_t size);

/* ---- both ------------------------------------------------------------------------------------ */

/*
 * Bytes that the ring holds when it is full, of the largest record, and that a record of `size`
 * bytes takes.
 *
 *   thread    any; wait-free
 */
MRING_INLINE size_t mring_mpmc_capacity(const struct mring_mpmc *ring);
MRING_INLINE size_t mring_mpmc_record_max(const struct mring_mpmc *ring);
MRING_INLINE size_t mring_mpmc_record_bytes(const struct mring_mpmc *ring, size_t size);

/* ---- words ----------------------------------------------------------------------------------- */

enum mring_state {
    MRING_STATE_FREE = 0,
    MRING_STATE_READY = 1,
    MRING_STATE_BUSY = 2,
    MRING_STATE_TAKEN = 3
};

#define MRING_LENGTH_BITS 30
#define MRING_LENGTH_MAX  ((UINT64_C(1) << MRING_LENGTH_BITS) - 1)

/* In write_pos, whose low bits are free: no more room is to be reserved. */
#define MRING_POS_CLOSED UINT64_C(1)

/* Not a position. */
#define MRING_POS_NONE UINT64_MAX

MRING_INTERNAL uint64_t mring_mpmc_granule(const struct mring_layout *layout)
{
    return layout->granule_mask + 1;
}

/*
 * Whether the words stand apart from the bytes. What is called from one mode alone gives it as a
 * constant, so that the compiler knows it.
 */
MRING_INTERNAL bool mring_mpmc_is_apart(const struct mring_layout *layout)
{
    return layout->mode & MRING_SKIP_STALLED;
}

/* Bytes before those of a record, at its first granule. */
MRING_INTERNAL uint64_t mring_mpmc_head(bool apart)
{
    return sizeof(mring_atomic_u64) * !apart;
}

/* Where `pos` is. Loops keep what this needs at hand: for all that the compiler knows, each atomic
   access that they make could change the layout. */
MRING_INTERNAL unsigned char *mring_mpmc_place(unsigned char *data, uint64_t mask, uint64_t pos)
{
    return data + (pos & mask);
}

MRING_INTERNAL mring_atomic_u64 *mring_mpmc_word(const struct mring_layout *layout, bool apart,
                                                 uint64_t pos)
{
    uint64_t offset = pos & layout->mask;

    return (mring_atomic_u64 *)(void *)(apart ? layout->words + (offset >> layout->word_shift)
                                              : layout->data + offset);
}

MRING_INTERNAL unsigned char *mring_mpmc_bytes(const struct mring_layout *layout, bool apart,
                                               uint64_t pos)
{
    return layout->data + (pos & layout->mask) + mring_mpmc_head(apart);
}

/* The word of a record at `pos`. */
MRING_INTERNAL uint64_t mring_mpmc_make(const struct mring_layout *layout, uint64_t pos,
                                        enum mring_state state, uint64_t length)
{
    return pos >> layout->lap_shift << 32 | (uint64_t)state << MRING_LENGTH_BITS | length;
}

MRING_INTERNAL enum mring_state mring_mpmc_state(uint64_t word)
{
    return (enum mring_state)(word >> MRING_LENGTH_BITS & 3);
}

MRING_INTERNAL uint64_t mring_mpmc_length(uint64_t word)
{
    return word & MRING_LENGTH_MAX;
}

/* Whether a word is of the lap of `pos`. */
MRING_INTERNAL bool mring_mpmc_is_current(const struct mring_layout *layout, uint64_t pos,
                                          uint64_t word)
{
    return (uint32_t)(word >> 32) == (uint32_t)(pos >> layout->lap_shift);
}

/* Whether it is of that lap and in that state. */
MRING_INTERNAL bool mring_mpmc_is(const struct mring_layout *layout, uint64_t pos, uint64_t word,
                                  enum mring_state state)
{
    return (word ^ mring_mpmc_make(layout, pos, state, 0)) <= MRING_LENGTH_MAX;
}

/* Bytes of the ring that a record of `length` bytes takes: not none. */
MRING_INTERNAL uint64_t mring_mpmc_span(const struct mring_layout *layout, bool apart,
                                        uint64_t length)
{
    uint64_t bytes = mring_mpmc_head(apart) + length;

    return (bytes + (bytes == 0) + layout->granule_mask) & ~layout->granule_mask;
}

/* The same of what a word of any state describes. */
MRING_INTERNAL uint64_t mring_mpmc_word_span(const struct mring_layout *layout, bool apart,
                                             uint64_t word)
{
    uint64_t length = mring_mpmc_length(word);

    return mring_mpmc_state(word) == MRING_STATE_FREE
               ? (length + (length == 0)) * mring_mpmc_granule(layout)
               : mring_mpmc_span(layout, apart, length);
}

/*
 * See that no granule that starts in [pos, end) has a word of its own lap in the ring, or, with an
 * `ahead` of one capacity, of the one that follows.
 *
 * Relaxed, both: who may look at the words next is ordered by the store that follows, C4 or P3.
 */
MRING_INTERNAL void mring_mpmc_scrub(const struct mring_layout *layout, bool apart, uint64_t pos,
                                     uint64_t end, uint64_t ahead)
{
    /* Bytes may have been written through the second copy of the mirror. */
    mring_alias_barrier();
    for (; (int64_t)(end - pos) > 0; pos += mring_mpmc_granule(layout)) {
        mring_atomic_u64 *word = mring_mpmc_word(layout, apart, pos);
        uint64_t harmless =
            mring_mpmc_make(layout, pos + ahead - layout->mask - 1, MRING_STATE_FREE, 1);
        if (mring_mpmc_is_current(layout, pos + ahead, mring_load_relaxed_u64(word)))
            mring_store_relaxed_u64(word, harmless);
    }
}

/* ---- inline bodies --------------------------------------------------------------------------- */

MRING_INLINE size_t mring_mpmc_capacity(const struct mring_mpmc *ring)
{
    return (size_t)ring->layout.mask + 1;
}

MRING_INLINE size_t mring_mpmc_record_max(const struct mring_mpmc *ring)
{
    return (size_t)ring->layout.record_max;
}

MRING_INLINE size_t mring_mpmc_record_bytes(const struct mring_mpmc *ring, size_t size)
{
    return (size_t)mring_mpmc_span(&ring->layout, mring_mpmc_is_apart(&ring->layout), size);
}

/*
 * The cold halves of the calls below, in mpmc.c: look for more room than is known; the whole of a
 * call when it is not as simple as it is here; wake up to `most` of those that wait at an end.
 */
MRING_API bool mring_mpmc_find_room(struct mring_mpmc_end *producer, uint64_t span);
MRING_API uint64_t mring_mpmc_reserve_skipping(struct mring_mpmc_end *producer, uint64_t size);
MRING_API int mring_mpmc_push_skipping(struct mring_mpmc_end *producer, const void *bytes,
                                       size_t size);
MRING_API uint64_t mring_mpmc_reserve_n(struct mring_mpmc_end *producer, uint64_t span,
                                        size_t *count);
MRING_API size_t mring_mpmc_claim_n(struct mring_mpmc_end *consumer, struct mring_claim *claim,
                                    size_t size, size_t count);
MRING_API void mring_mpmc_cut(struct mring_mpmc_end *producer, uint64_t end);
MRING_API int mring_mpmc_why_no_room(struct mring_mpmc_end *producer);
MRING_API int mring_mpmc_pop_slowly(struct mring_mpmc_end *consumer, void *buffer, size_t room,
                                    size_t *size);
MRING_API void mring_mpmc_release_single(struct mring_mpmc_end *consumer, uint64_t pos,
                                         uint64_t end);
MRING_API void mring_mpmc_mark(const struct mring_layout *layout, bool apart, uint64_t pos,
                               uint64_t end);
MRING_API void mring_mpmc_pass_on(struct mring_mpmc_end *consumer, uint64_t pos);
MRING_API void mring_mpmc_wake(struct mring_mpmc_end *member, enum mring_end sleepers,
                               uint32_t most);

/* Whether somebody at a side of the ring waits; ask after the store that he waits for. */
MRING_INTERNAL bool mring_mpmc_is_awaited(const struct mring_layout *layout,
                                          struct mring_side *side)
{
    enum mring_fencing fencing = (enum mring_fencing)layout->fencing;

    return fencing != MRING_FENCING_NONE && (mring_event_is_armed(&side->event, fencing) ||
                                             mring_event_is_armed_too(&side->poll_event));
}

/* ---- the producers' */

/* Whether there is that much room, as far as the producer knows. */
MRING_INTERNAL bool mring_mpmc_has_room(const struct mring_mpmc_end *producer, uint64_t pos,
                                        uint64_t span)
{
    return (int64_t)(producer->limit - pos) >= (int64_t)span;
}

/*
 * How far ahead producers fetch lines for writing. A compare-and-swap waits for the stores before
 * it, and those for their lines.
 */
#define MRING_PREFETCH_BYTES 512u

/* Reserve `span` bytes; returns where, or MRING_POS_NONE. */
MRING_INTERNAL uint64_t mring_mpmc_reserve_span(struct mring_mpmc_end *producer, uint64_t span)
{
    const struct mring_layout *layout = &producer->layout;
    mring_atomic_u64 *write_pos = &layout->write_side->pos;
    /* Relaxed, for P2; that the ring is closed orders nothing here. */
    uint64_t pos = mring_load_relaxed_u64(write_pos);

    if (layout->mode & MRING_SINGLE_PRODUCER)
        return MRING_LIKELY(mring_mpmc_has_room(producer, producer->pos, span) &&
                            !(pos & MRING_POS_CLOSED)) ||
                       mring_mpmc_find_room(producer, span)
                   ? producer->pos
                   : MRING_POS_NONE;
    do {
        while (
            !MRING_LIKELY(mring_mpmc_has_room(producer, pos, span) && !(pos & MRING_POS_CLOSED))) {
            if (!mring_mpmc_find_room(producer, span))
                return MRING_POS_NONE;
            /* Relaxed, for P2. */
            pos = mring_load_relaxed_u64(write_pos);
        }
        /* P2: nobody else reserves the same room. */
    } while (!MRING_LIKELY(mring_cas_relaxed_u64(write_pos, &pos, pos + span)));
    mring_prefetch_write(layout->data + ((pos + MRING_PREFETCH_BYTES) & layout->mask));
    return pos;
}

/* After P3: wake who waits for the records. */
MRING_INTERNAL void mring_mpmc_notify(struct mring_mpmc_end *producer, uint32_t records)
{
    if (mring_mpmc_is_awaited(&producer->layout, producer->layout.read_side))
        mring_mpmc_wake(producer, MRING_READ_END, records);
}

MRING_INLINE void *mring_mpmc_reserve(struct mring_mpmc_end *producer, size_t size)
{
    assert(producer->end == MRING_WRITE_END && size <= producer->layout.record_max);
    assert(producer->span == 0 && "commit or abort comes before the next reserve");

    bool apart = mring_mpmc_is_apart(&producer->layout);
    uint64_t span = mring_mpmc_span(&producer->layout, apart, size);
    mring_guard_enter(&producer->guard);
    uint64_t pos = apart ? mring_mpmc_reserve_skipping(producer, size)
                         : mring_mpmc_reserve_span(producer, span);
    if (MRING_LIKELY(pos != MRING_POS_NONE)) {
        producer->pos = pos;
        producer->span = span;
        mring_guard_reserve(&producer->guard, size);
    }
    mring_guard_leave(&producer->guard);
    return pos != MRING_POS_NONE ? mring_mpmc_bytes(&producer->layout, apart, pos) : NULL;
}

MRING_INLINE void mring_mpmc_commit(struct mring_mpmc_end *producer, size_t size)
{
    assert(producer->span != 0 && "reserve comes before commit");

    const struct mring_layout *layout = &producer->layout;
    bool apart = mring_mpmc_is_apart(layout);
    uint64_t pos = producer->pos;
    uint64_t span = mring_mpmc_span(layout, apart, size);
    mring_guard_enter(&producer->guard);
    mring_guard_commit(&producer->guard, size);
    if (!MRING_LIKELY(span == producer->span))
        mring_mpmc_cut(producer, pos + span);
    producer->span = 0;
    producer->pos = pos + span;
    /* P3, pairs with C2: the bytes are complete. */
    mring_store_release_u64(mring_mpmc_word(layout, apart, pos),
                            mring_mpmc_make(layout, pos, MRING_STATE_READY, size));
    mring_mpmc_notify(producer, 1);
    mring_guard_leave(&producer->guard);
}

/* Copy a record in. */
MRING_INTERNAL bool mring_mpmc_push_next(struct mring_mpmc_end *producer, const void *bytes,
                                         size_t size)
{
    const struct mring_layout *layout = &producer->layout;
    uint64_t span = mring_mpmc_span(layout, false, size);
    uint64_t pos = mring_mpmc_reserve_span(producer, span);

    if (!MRING_LIKELY(pos != MRING_POS_NONE))
        return false;
    mring_atomic_u64 *word = mring_mpmc_word(layout, false, pos);
    uint64_t ready = mring_mpmc_make(layout, pos, MRING_STATE_READY, size);
    producer->pos = pos + span;
    if (size > 0)
        memcpy(mring_mpmc_bytes(layout, false, pos), bytes, size);
    /* P3, pairs with C2: the bytes are complete. */
    mring_store_release_u64(word, ready);
    mring_mpmc_notify(producer, 1);
    return true;
}

MRING_INLINE int mring_mpmc_push(struct mring_mpmc_end *producer, const void *bytes, size_t size)
{
    assert(producer->end == MRING_WRITE_END);
    assert(producer->span == 0 && "commit or abort comes before the next push");

    const struct mring_layout *layout = &producer->layout;
    if (!MRING_LIKELY(size < layout->inline_below))
        return size > layout->record_max ? MRING_TOO_LARGE
                                         : mring_mpmc_push_skipping(producer, bytes, size);
    mring_guard_enter(&producer->guard);
    bool done = mring_mpmc_push_next(producer, bytes, size);
    mring_guard_leave(&producer->guard);
    return MRING_LIKELY(done) ? 0 : mring_mpmc_why_no_room(producer);
}

MRING_INLINE size_t mring_mpmc_push_n(struct mring_mpmc_end *producer, const void *elements,
                                      size_t size, size_t count)
{
    assert(producer->end == MRING_WRITE_END && size <= producer->layout.record_max);
    assert(producer->span == 0 && "commit or abort comes before the next push");

    const struct mring_layout *layout = &producer->layout;
    const unsigned char *element = (const unsigned char *)elements;
    unsigned char *const data = layout->data;
    const uint64_t mask = layout->mask, span = mring_mpmc_span(layout, false, size);
    size_t done = 0;
    if (mring_mpmc_is_apart(layout)) {
        while (done < count && mring_mpmc_push_skipping(producer, element + done * size, size) == 0)
            done++;
        return done;
    }
    mring_guard_enter(&producer->guard);
    uint64_t pos = mring_mpmc_reserve_n(producer, span, &count);
    for (uint64_t at = pos; done < count; done++, at += span) {
        unsigned char *place = mring_mpmc_place(data, mask, at);
        if (size > 0)
            memcpy(place + mring_mpmc_head(false), element + done * size, size);
        /* Relaxed: nobody gets here but over the first word, which P3 publishes. */
        if (done > 0)
            mring_store_relaxed_u64((mring_atomic_u64 *)(void *)place,
                                    mring_mpmc_make(layout, at, MRING_STATE_READY, size));
    }
    if (count > 0) {
        producer->pos = pos + count * span;
        /* P3, pairs with C2: all of them are complete. */
        mring_store_release_u64(mring_mpmc_word(layout, false, pos),
                                mring_mpmc_make(layout, pos, MRING_STATE_READY, size));
        mring_mpmc_notify(producer, count < MRING_WAKE_ALL ? (uint32_t)count : MRING_WAKE_ALL);
    }
    mring_guard_leave(&producer->guard);
    return count;
}

/* ---- the consumers' */

/* Where consumers claim next. */
MRING_INTERNAL uint64_t mring_mpmc_read_pos(const struct mring_mpmc_end *consumer, bool single)
{
    /* C1, pairs with C3: what those before have seen is seen. */
    return single ? consumer->pos : mring_load_acquire_u64(&consumer->layout.read_side->pos);
}

/* Claim [*pos, end), as one of several; if others were faster, *pos becomes where they are. */
MRING_INTERNAL bool mring_mpmc_take(const struct mring_layout *layout, uint64_t *pos, uint64_t end)
{
    /* C3, pairs with C1: nobody else claims it, so that *pos was not outdated when C2 looked. */
    return mring_cas_acq_rel_u64(&layout->read_side->pos, pos, end);
}

/* Release [pos, end), which is scrubbed, and is all that a single consumer has not released. */
MRING_INTERNAL void mring_mpmc_hand_over(struct mring_mpmc_end *consumer, bool single, bool apart,
                                         uint64_t pos, uint64_t end)
{
    const struct mring_layout *layout = &consumer->layout;

    if (single) {
        consumer->published = end;
        /* C4, pairs with P1: the bytes have been read and may be overwritten. */
        mring_store_release_u64(&layout->read_side->pos, end);
    } else {
        /* C6, pairs with C4 and R2: what is below has been read by others. */
        uint64_t free_pos = mring_load_acquire_u64(&layout->read_side->free_pos);
        if (MRING_LIKELY(free_pos == pos))
            /* C4, pairs with P1, and C6 of whoever is next: and now this. */
            mring_store_release_u64(&layout->read_side->free_pos, end);
        else
            mring_mpmc_mark(layout, apart, pos, end);
    }
    if (mring_mpmc_is_awaited(layout, layout->write_side))
        mring_mpmc_wake(consumer, MRING_WRITE_END, MRING_WAKE_ALL);
}

/* Release [pos, end), which was claimed. */
MRING_INTERNAL void mring_mpmc_give_back(struct mring_mpmc_end *consumer, bool apart, uint64_t pos,
                                         uint64_t end)
{
    const struct mring_layout *layout = &consumer->layout;

    if (layout->mode & MRING_SINGLE_CONSUMER) {
        mring_mpmc_release_single(consumer, pos, end);
        return;
    }
    mring_mpmc_scrub(layout, apart, pos + mring_mpmc_granule(layout), end, layout->mask + 1);
    mring_mpmc_hand_over(consumer, false, apart, pos, end);
}

MRING_INLINE void *mring_mpmc_next(const struct mring_mpmc_end *consumer, struct mring_claim *claim,
                                   size_t *size)
{
    const struct mring_layout *layout = &consumer->layout;
    bool apart = mring_mpmc_is_apart(layout);
    enum mring_state state = apart ? MRING_STATE_TAKEN : MRING_STATE_READY;

    while ((int64_t)(claim->end - claim->next) > 0) {
        uint64_t pos = claim->next;
        /* Relaxed: C2 has seen it, and nobody else writes it now. */
        uint64_t word = mring_load_relaxed_u64(mring_mpmc_word(layout, apart, pos));
        claim->next += mring_mpmc_word_span(layout, apart, word);
        if (MRING_LIKELY(mring_mpmc_state(word) == state) &&
            MRING_LIKELY((int64_t)(claim->end - claim->next) >= 0)) {
            *size = (size_t)mring_mpmc_length(word);
            return mring_mpmc_bytes(layout, apart, pos);
        }
    }
    *size = 0;
    return NULL;
}

/* For debug builds: whether a claim is not released yet, as far as its first word says, and where
   free_pos or a single consumer is. */
MRING_INTERNAL bool mring_mpmc_is_claimed(const struct mring_mpmc_end *consumer,
                                          const struct mring_claim *claim)
{
    const struct mring_layout *layout = &consumer->layout;
    /* Relaxed: if the claim is not released, nobody else writes it now. */
    uint64_t word =
        mring_load_relaxed_u64(mring_mpmc_word(layout, mring_mpmc_is_apart(layout), claim->pos));
    /* Relaxed: a claim that is not released keeps it from moving on. */
    uint64_t free_pos = mring_load_relaxed_u64(&layout->read_side->free_pos);

    if (layout->mode & MRING_SINGLE_CONSUMER
            ? claim->pos - (consumer->pos - consumer->span) >= consumer->span
            : (int64_t)(claim->pos - free_pos) < 0)
        return false;
    return mring_mpmc_is(layout, claim->pos, word, MRING_STATE_READY) ||
           mring_mpmc_is(layout, claim->pos, word, MRING_STATE_TAKEN);
}

MRING_INLINE void mring_mpmc_release(struct mring_mpmc_end *consumer,
                                     const struct mring_claim *claim)
{
    assert(consumer->end == MRING_READ_END);
    assert(mring_mpmc_is_claimed(consumer, claim) && "a claim is released once");

    mring_guard_enter(&consumer->guard);
    mring_mpmc_give_back(consumer, mring_mpmc_is_apart(&consumer->layout), claim->pos, claim->end);
    mring_guard_leave(&consumer->guard);
}

/* Copy `count` records of `size` bytes out of a claim. */
MRING_INTERNAL void mring_mpmc_copy_out(const struct mring_mpmc_end *consumer, bool apart,
                                        struct mring_claim *claim, void *elements, size_t size,
                                        size_t count)
{
    const struct mring_layout *layout = &consumer->layout;
    unsigned char *const data = layout->data, *element = (unsigned char *)elements;
    const uint64_t mask = layout->mask, span = mring_mpmc_span(layout, apart, size);
    size_t found;

    if (size == 0)
        return;
    /* Unless there is something between, one is right behind the other. */
    if (MRING_LIKELY(claim->end - claim->pos == count * span)) {
        for (uint64_t pos = claim->pos; pos != claim->end; pos += span, element += size)
            memcpy(element, mring_mpmc_place(data, mask, pos) + mring_mpmc_head(apart), size);
        return;
    }
    for (size_t i = 0; i < count; i++, element += size) {
        const void *bytes = mring_mpmc_next(consumer, claim, &found);
        if (MRING_LIKELY(bytes != NULL))
            memcpy(element, bytes, size);
    }
}

MRING_INLINE size_t mring_mpmc_pop_n(struct mring_mpmc_end *consumer, void *elements, size_t size,
                                     size_t count)
{
    assert(consumer->end == MRING_READ_END);

    const struct mring_layout *layout = &consumer->layout;
    bool apart = mring_mpmc_is_apart(layout);
    struct mring_claim claim;
    mring_guard_enter(&consumer->guard);
    count = mring_mpmc_claim_n(consumer, &claim, size, count);
    if (count > 0) {
        mring_mpmc_copy_out(consumer, apart, &claim, elements, size, count);
        /* Where each takes a granule, and a single consumer has no others, all begin with words of
           this lap: nothing is to be scrubbed. */
        if (MRING_LIKELY(claim.end - claim.pos == count * mring_mpmc_granule(layout) &&
                         consumer->span <= claim.end - claim.pos && consumer->batch.bytes == 0)) {
            consumer->span = 0;
            mring_mpmc_hand_over(consumer, layout->mode & MRING_SINGLE_CONSUMER, apart, claim.pos,
                                 claim.end);
        } else {
            mring_mpmc_give_back(consumer, apart, claim.pos, claim.end);
        }
    }
    mring_guard_leave(&consumer->guard);
    return count;
}

/*
 * Pop the record at `pos`, of `length` bytes, which is there; false if another consumer was faster,
 * or a `single` one holds something else.
 */
MRING_INTERNAL bool mring_mpmc_pop_record(struct mring_mpmc_end *consumer, bool single,
                                          uint64_t pos, void *buffer, size_t length)
{
    const struct mring_layout *layout = &consumer->layout;
    const uint64_t granule = mring_mpmc_granule(layout);
    const uint64_t span = mring_mpmc_span(layout, false, length), end = pos + span;

    if (!MRING_LIKELY(single ? consumer->span == 0 : mring_mpmc_take(layout, &pos, end)))
        return false;
    if (length > 0)
        memcpy(buffer, mring_mpmc_bytes(layout, false, pos), length);
    if (single) {
        consumer->pos = end;
        if (!MRING_LIKELY(consumer->batch.bytes == 0)) {
            consumer->span = span;
            mring_mpmc_release_single(consumer, pos, end);
            return true;
        }
    }
    if (span > granule)
        mring_mpmc_scrub(layout, false, pos + granule, end, layout->mask + 1);
    mring_mpmc_hand_over(consumer, single, false, pos, end);
    if (!single && mring_mpmc_is_awaited(layout, layout->read_side))
        mring_mpmc_pass_on(consumer, end);
    return true;
}

MRING_INLINE int mring_mpmc_pop(struct mring_mpmc_end *consumer, void *buffer, size_t room,
                                size_t *size)
{
    assert(consumer->end == MRING_READ_END);

    const struct mring_layout *layout = &consumer->layout;
    const bool single = layout->mode & MRING_SINGLE_CONSUMER;
    int err = 0;
    mring_guard_enter(&consumer->guard);
    uint64_t pos = mring_mpmc_read_pos(consumer, single);
    /*
     * C2, pairs with P3: the record is complete. The usual one has the size of the room: so the
     * processor need not wait for this word to know where the next one is.
     */
    if (MRING_LIKELY(room < layout->inline_below) &&
        MRING_LIKELY(mring_look_acquire_u64(mring_mpmc_word(layout, false, pos)) ==
                     mring_mpmc_make(layout, pos, MRING_STATE_READY, room)) &&
        MRING_LIKELY(mring_mpmc_pop_record(consumer, single, pos, buffer, room)))
        *size = room;
    else
        err = mring_mpmc_pop_slowly(consumer, buffer, room, size);
    mring_guard_leave(&consumer->guard);
    return err;
}

MRING_END_DECLS

#endif
