/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests of record rings have in common: all modes and granules, small rings with some
 * ends, and records whose bytes look like the ring's own words.
 */
#ifndef MRING_TESTS_MPMC_SUPPORT_H
#define MRING_TESTS_MPMC_SUPPORT_H

#include "support.h"

#include <criterion/criterion.h>
#include <mring/mpmc.h>

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

/* ---- varieties of rings ---------------------------------------------------------------------- */

#define SINGLE_BOTH (MRING_SINGLE_PRODUCER | MRING_SINGLE_CONSUMER)

static const struct variety {
    const char *name;
    unsigned mode;
    uint32_t granule;
} varieties[] = {
    { "several/16", 0, 16 },
    { "several/32", 0, 32 },
    { "several/64", 0, 64 },
    { "single producer/16", MRING_SINGLE_PRODUCER, 16 },
    { "single producer/32", MRING_SINGLE_PRODUCER, 32 },
    { "single producer/64", MRING_SINGLE_PRODUCER, 64 },
    { "single consumer/16", MRING_SINGLE_CONSUMER, 16 },
    { "single consumer/32", MRING_SINGLE_CONSUMER, 32 },
    { "single consumer/64", MRING_SINGLE_CONSUMER, 64 },
    { "single both/16", SINGLE_BOTH, 16 },
    { "single both/32", SINGLE_BOTH, 32 },
    { "single both/64", SINGLE_BOTH, 64 },
    { "skip/16", MRING_SKIP_STALLED, 16 },
    { "skip/32", MRING_SKIP_STALLED, 32 },
    { "skip/64", MRING_SKIP_STALLED, 64 },
};

static inline bool has_one_producer(const struct variety *variety)
{
    return variety->mode & MRING_SINGLE_PRODUCER;
}

static inline bool has_one_consumer(const struct variety *variety)
{
    return variety->mode & MRING_SINGLE_CONSUMER;
}

static inline bool skips(const struct variety *variety)
{
    return variety->mode & MRING_SKIP_STALLED;
}

/* Bytes before those of a record. */
static inline size_t head_of(const struct variety *variety)
{
    return skips(variety) ? 0 : 8;
}

/* The longest record that takes so many granules. */
static inline size_t size_of_granules(const struct variety *variety, size_t granules)
{
    return granules * variety->granule - head_of(variety);
}

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
static inline struct mring_mpmc new_records(const struct variety *variety)
{
    struct mring_mpmc ring = { 0 };

    cr_assert_eq(mring_mpmc_create(&ring, &(struct mring_args){ .capacity = smallest(),
                                                                .flags = variety->mode,
                                                                .granule = variety->granule }),
                 0, "%s", variety->name);
    return ring;
}

/*
 * As if the ring had gone through so many bytes already, a multiple of the capacity, in the
 * smallest records that there are. Nobody may have joined.
 */
static inline void start_at(struct mring_mpmc *ring, uint64_t pos)
{
    const struct mring_layout *layout = &ring->layout;
    bool apart = mring_mpmc_is_apart(layout);

    cr_assert_eq(pos & layout->mask, 0);
    mring_store_relaxed_u64(&layout->write_side->pos, pos);
    mring_store_relaxed_u64(&layout->read_side->free_pos, pos);
    mring_store_relaxed_u64(&layout->read_side->pos, pos);
    for (uint64_t at = pos - layout->mask - 1; at != pos; at += layout->granule_mask + 1)
        mring_store_relaxed_u64(mring_mpmc_word(layout, apart, at),
                                mring_mpmc_make(layout, at, MRING_STATE_FREE, 1));
}

/* Where rings of that capacity start for tests of wrap-around. */
static inline size_t starts_of(uint64_t capacity, uint64_t starts[4])
{
    starts[0] = capacity;
    starts[1] = ((UINT64_C(1) << 32) - 2) * capacity; /* two laps below 2^32 laps */
    starts[2] = ((UINT64_C(1) << 32) + 1) * capacity;
    starts[3] = UINT64_C(0) - 2 * capacity; /* two laps below 2^64 bytes */
    return 4;
}

enum { ENDS_MAX = 3 };

/* A ring and its ends: as many as it may have, up to three on each side. It must not move. */
struct setup {
    const struct variety *variety;
    struct mring_mpmc ring;
    struct mring_mpmc_end out[ENDS_MAX], in[ENDS_MAX]; /* producers, consumers */
    size_t producers, consumers;
};

static inline void join_all(struct setup *setup)
{
    setup->producers = has_one_producer(setup->variety) ? 1 : ENDS_MAX;
    setup->consumers = has_one_consumer(setup->variety) ? 1 : ENDS_MAX;
    for (size_t i = 0; i < setup->producers; i++)
        cr_assert_eq(mring_mpmc_join(&setup->ring, &setup->out[i], MRING_WRITE_END), 0);
    for (size_t i = 0; i < setup->consumers; i++)
        cr_assert_eq(mring_mpmc_join(&setup->ring, &setup->in[i], MRING_READ_END), 0);
}

static inline void begin_at(struct setup *setup, const struct variety *variety, uint64_t pos)
{
    *setup = (struct setup){ .variety = variety, .ring = new_records(variety) };
    start_at(&setup->ring, pos);
    join_all(setup);
}

static inline void begin(struct setup *setup, const struct variety *variety)
{
    *setup = (struct setup){ .variety = variety, .ring = new_records(variety) };
    join_all(setup);
}

/* Nothing may be reserved or claimed. */
static inline void finish(struct setup *setup)
{
    for (size_t i = 0; i < setup->producers; i++)
        mring_mpmc_leave(&setup->out[i]);
    for (size_t i = 0; i < setup->consumers; i++)
        mring_mpmc_leave(&setup->in[i]);
    cr_assert_eq(mring_mpmc_destroy(&setup->ring), 0);
}

/* Another process that has the same ring, as far as the library can tell. */
static inline struct mring_mpmc as_in_another_process(const struct mring_mpmc *ring)
{
    struct mring_mpmc other = *ring;

    mring_store_release_u32(&other.joined[MRING_WRITE_END], 0);
    mring_store_release_u32(&other.joined[MRING_READ_END], 0);
    return other;
}

/* ---- records --------------------------------------------------------------------------------- */

/* The calls, once each: they are inlined. */
static inline int push(struct mring_mpmc_end *producer, const void *bytes, size_t size)
{
    return mring_mpmc_push(producer, bytes, size);
}

static inline int pop(struct mring_mpmc_end *consumer, void *buffer, size_t room, size_t *size)
{
    return mring_mpmc_pop(consumer, buffer, room, size);
}

static inline size_t push_n(struct mring_mpmc_end *producer, const void *elements, size_t size,
                            size_t count)
{
    return mring_mpmc_push_n(producer, elements, size, count);
}

static inline size_t pop_n(struct mring_mpmc_end *consumer, void *elements, size_t size,
                           size_t count)
{
    return mring_mpmc_pop_n(consumer, elements, size, count);
}

static inline void *reserve(struct mring_mpmc_end *producer, size_t size)
{
    return mring_mpmc_reserve(producer, size);
}

static inline void commit(struct mring_mpmc_end *producer, size_t size)
{
    mring_mpmc_commit(producer, size);
}

static inline size_t claim(struct mring_mpmc_end *consumer, struct mring_claim *what, size_t most)
{
    return mring_mpmc_claim(consumer, what, most);
}

static inline void *next(struct mring_mpmc_end *consumer, struct mring_claim *what, size_t *size)
{
    return mring_mpmc_next(consumer, what, size);
}

static inline void release(struct mring_mpmc_end *consumer, const struct mring_claim *what)
{
    mring_mpmc_release(consumer, what);
}

/* Bytes that differ with `seed`; valid until the next call. */
static inline unsigned char *bytes_of(uint64_t seed, size_t size)
{
    static unsigned char bytes[1 << 18];

    cr_assert_leq(size, sizeof bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = support_byte(seed * 1009 + i);
    return bytes;
}

static inline bool has_bytes_of(const void *bytes, uint64_t seed, size_t size)
{
    return support_has_bytes(bytes, seed * 1009, size);
}

/* Push a record of these bytes. */
static inline int put(struct mring_mpmc_end *producer, uint64_t seed, size_t size)
{
    return push(producer, bytes_of(seed, size), size);
}

/* Whether the next record is of these bytes; it is popped. */
static inline bool take(struct mring_mpmc_end *consumer, uint64_t seed, size_t size)
{
    static unsigned char buffer[1 << 18];
    size_t found = 99;

    return pop(consumer, buffer, sizeof buffer, &found) == 0 && found == size &&
           has_bytes_of(buffer, seed, size);
}

/* What pop says, with all the room that may be needed. */
static inline int pop_any(struct mring_mpmc_end *consumer)
{
    static unsigned char buffer[1 << 18];
    size_t found;

    return pop(consumer, buffer, sizeof buffer, &found);
}

/* Push records of one granule until there is no room; their number. */
static inline size_t fill(struct setup *setup)
{
    size_t size = size_of_granules(setup->variety, 1), count = 0;

    while (put(&setup->out[0], count, size) == 0)
        count++;
    return count;
}

/* Pop all that is there; its number. */
static inline size_t drain(struct setup *setup)
{
    size_t count = 0;

    while (pop_any(&setup->in[0]) == 0)
        count++;
    return count;
}

/* How many records of one granule there is room for. Nothing else may be in the ring then. */
static inline size_t granules_free(struct setup *setup)
{
    size_t count = fill(setup);

    cr_assert_eq(drain(setup), count, "%s", setup->variety->name);
    return count;
}

static inline size_t granules_of(const struct setup *setup)
{
    return mring_mpmc_capacity(&setup->ring) / setup->variety->granule;
}

/* ---- records that imitate words -------------------------------------------------------------- */

/* A number of a sequence. */
static inline uint64_t random_of(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* 0 .. below - 1 */
static inline uint64_t random_below(uint64_t *state, uint64_t below)
{
    return random_of(state) % below;
}

/* A word as one might stand at `pos`, now or some laps later. */
static inline uint64_t imitation_of(const struct mring_layout *layout, uint64_t pos,
                                    uint64_t *random)
{
    const uint64_t granule = layout->granule_mask + 1, capacity = layout->mask + 1;
    const uint64_t lengths[] = { 0,
                                 1,
                                 2,
                                 3,
                                 8,
                                 24,
                                 56,
                                 granule - 8,
                                 granule,
                                 2 * granule - 8,
                                 99,
                                 1000,
                                 capacity / granule,
                                 capacity - 8,
                                 MRING_LENGTH_MAX };
    uint64_t laps = random_below(random, 8);

    /* The next lap most often: what the ring must find. */
    laps = laps > 3 ? 1 : laps;
    return mring_mpmc_make(layout, pos + laps * capacity, (enum mring_state)random_below(random, 4),
                           lengths[random_below(random, ROWS(lengths))]);
}

/*
 * Write `size` bytes for a record that stands at `pos`: they depend on `seed`, and at each granule
 * imitate a word.
 */
static inline void imitate(const struct mring_layout *layout, uint64_t pos, uint64_t seed,
                           unsigned char *bytes, size_t size)
{
    const uint64_t granule = layout->granule_mask + 1;
    const size_t head = mring_mpmc_is_apart(layout) ? 0 : 8;

    if (size > 0)
        memset(bytes, (int)(seed & 0xff), size);
    for (uint64_t offset = head == 0 ? 0 : granule; offset < size + head; offset += granule) {
        size_t at = (size_t)offset - head;
        uint64_t word = imitation_of(layout, pos + offset, &seed);
        memcpy(bytes + at, &word, size - at < sizeof word ? size - at : sizeof word);
    }
}

/* Whether they still stand there. */
static inline bool is_imitation(const struct mring_layout *layout, uint64_t pos, uint64_t seed,
                                const unsigned char *bytes, size_t size)
{
    static unsigned char expected[1 << 18];

    cr_assert_leq(size, sizeof expected);
    imitate(layout, pos, seed, expected, size);
    return size == 0 || memcmp(bytes, expected, size) == 0;
}

#endif
