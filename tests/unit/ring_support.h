/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests of byte rings have in common: small rings, bytes that depend on their
 * positions, and eventfds.
 */
#ifndef MRING_TESTS_RING_SUPPORT_H
#define MRING_TESTS_RING_SUPPORT_H

#include "support.h"

#include <criterion/criterion.h>
#include <mring/spsc.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- rings ----------------------------------------------------------------------------------- */

/* The smallest capacity. */
static inline size_t smallest(void)
{
    return (size_t)mring_capacity(1, 0);
}

/*
 * 1 where pages have 4 KiB. With larger ones the rings are larger, and tests that go through all
 * places of a ring take steps, since each place costs more, too. Odd, so that no power of two is
 * left out.
 */
static inline size_t step(void)
{
    return smallest() / 4096 | 1;
}

/* An anonymous ring of it. */
static inline struct mring_spsc new_ring(unsigned flags)
{
    struct mring_spsc ring = { 0 };

    cr_assert_eq(
        mring_spsc_create(&ring, &(struct mring_args){ .capacity = smallest(), .flags = flags }),
        0);
    return ring;
}

/* As if that many bytes had gone through the ring already. */
static inline void start_at(struct mring_spsc *ring, uint64_t pos)
{
    mring_store_relaxed_u64(&ring->write_side->pos, pos);
    mring_store_relaxed_u64(&ring->read_side->pos, pos);
    cr_assert_eq(mring_spsc_adopt(ring, MRING_WRITE_END), 0);
    cr_assert_eq(mring_spsc_adopt(ring, MRING_READ_END), 0);
}

/* Commit `size` bytes that depend on their positions; false if there is no room. */
static inline bool put(struct mring_spsc *ring, size_t size)
{
    unsigned char *room = mring_spsc_reserve(ring, size);

    if (room == NULL)
        return false;
    for (size_t i = 0; i < size; i++)
        room[i] = support_byte(ring->write_pos + i);
    mring_spsc_commit(ring, size);
    return true;
}

/* Whether `size` bytes are there and are those of their positions. */
static inline bool shows(struct mring_spsc *ring, size_t size)
{
    size_t available;
    const void *bytes = mring_spsc_peek(ring, size, &available);

    return bytes != NULL && available >= size && support_has_bytes(bytes, ring->read_pos, size);
}

/* Consume `size` bytes; false if they are not there or not the right ones. */
static inline bool take(struct mring_spsc *ring, size_t size)
{
    if (!shows(ring, size))
        return false;
    mring_spsc_consume(ring, size);
    return true;
}

/* What stands at `pos` of every stream here. Valid until the next call. */
static inline unsigned char *bytes_at(uint64_t pos, size_t size)
{
    static unsigned char bytes[1 << 20];

    cr_assert_leq(size, sizeof bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = support_byte(pos + i);
    return bytes;
}

static inline void write_bytes(struct mring_spsc *ring, size_t size)
{
    cr_assert_eq(mring_spsc_write(ring, bytes_at(ring->write_pos, size), size), size);
}

static inline void drop_bytes(struct mring_spsc *ring, size_t size)
{
    size_t there;

    cr_assert_not_null(mring_spsc_peek(ring, size, &there));
    mring_spsc_consume(ring, size);
}

/* ---- eventfds -------------------------------------------------------------------------------- */

/* One that does not block, and has been written to `count` times. */
static inline int new_eventfd(unsigned count)
{
    int fd = eventfd(count, EFD_NONBLOCK | EFD_CLOEXEC);

    cr_assert_geq(fd, 0);
    return fd;
}

/* How often the descriptor has been written to; now it never was. */
static inline uint64_t count_of(int fd)
{
    uint64_t count;

    return read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

static inline bool is_readable(int fd)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLIN);
}

#endif
