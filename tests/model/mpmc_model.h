/* SPDX-License-Identifier: MIT */
/*
 * What the harnesses of the record ring share: a ring of a few granules, made by hand, since a
 * checker has no system calls, and the controls, -DBREAK_x, by the labels of mpmc.h.
 *
 * The memory is made of atomic words. A word of a record's bytes that stands where a word of the
 * ring could be is written as an atomic one, too, for consumers may look at it (mpmc.h, C2 and R1);
 * all others are plain, so that the checker reports a race on them.
 */
#ifndef MRING_TEST_MPMC_MODEL_H
#define MRING_TEST_MPMC_MODEL_H

#ifdef BREAK_P1
#define MODEL_BROKEN_LOAD (MODEL_WITHIN(reclaim) || MODEL_WITHIN(look_for_free))
#elif defined(BREAK_C1)
#define MODEL_BROKEN_LOAD MODEL_WITHIN(mring_mpmc_read_pos)
#elif defined(BREAK_C6)
#define MODEL_BROKEN_LOAD MODEL_WITHIN(mring_mpmc_hand_over)
#elif defined(BREAK_C5)
#define MODEL_BROKEN_LOAD MODEL_WITHIN(is_closed)
#elif defined(BREAK_S1)
#define MODEL_BROKEN_LOAD MODEL_WITHIN(mring_mpmc_reserve_skipping)
#elif defined(BREAK_C2)
#define MODEL_BROKEN_LOAD (MODEL_WITHIN(find_ready) || MODEL_WITHIN(claim_once))
#endif

#ifdef BREAK_P3
#define MODEL_BROKEN_STORE                                                                         \
    (MODEL_WITHIN(mring_mpmc_commit) || MODEL_WITHIN(mring_mpmc_push_next) ||                      \
     MODEL_WITHIN(mring_mpmc_push_n))
#elif defined(BREAK_GIVE_UP)
#define MODEL_BROKEN_STORE (MODEL_WITHIN(discard) || MODEL_WITHIN(give_up))
#elif defined(BREAK_C4)
#define MODEL_BROKEN_STORE                                                                         \
    (MODEL_WITHIN(mring_mpmc_hand_over) || MODEL_WITHIN(mring_mpmc_mark) ||                        \
     MODEL_WITHIN(publish_released))
#endif

#ifdef BREAK_C2
#define MODEL_BROKEN_LOOK                                                                          \
    (MODEL_WITHIN(walk) || MODEL_WITHIN(count_alike) || MODEL_WITHIN(mring_mpmc_pop) ||            \
     MODEL_WITHIN(mring_mpmc_pop_slowly))
#elif defined(BREAK_R1)
#define MODEL_BROKEN_LOOK MODEL_WITHIN(reclaim)
#endif

#ifdef BREAK_C3
#define MODEL_BROKEN_CAS MODEL_WITHIN(mring_mpmc_take)
#elif defined(BREAK_R2)
#define MODEL_BROKEN_CAS MODEL_WITHIN(reclaim)
#elif defined(BREAK_P4)
#define MODEL_BROKEN_CAS MODEL_WITHIN(mring_mpmc_close)
#elif defined(BREAK_S1)
#define MODEL_BROKEN_CAS (MODEL_WITHIN(mring_mpmc_reserve_skipping) || MODEL_WITHIN(is_reserved))
#endif

/* Words that look like the next lap's stay where they are. */
#ifdef BREAK_SCRUB
#define MODEL_LOST_STORE MODEL_WITHIN(mring_mpmc_scrub)
#endif

/* Two do at once what one may do. */
#ifdef BREAK_P2
#define MODEL_TORN_CAS MODEL_WITHIN(mring_mpmc_reserve_span)
#elif defined(BREAK_S2)
#define MODEL_TORN_CAS MODEL_WITHIN(take_at)
#endif

#include "model.h"

#include <mring/ring.h>
#include <string.h>

#ifdef MRING_MODEL_CHECK
enum { MODEL_GRANULE = 16 };

/*
 * Copies are of whole words here; the checker is not told of memcpy() with a size that it does not
 * know. A word where one of the ring's could be is written as an atomic one, as above.
 */
static inline void *model_copy(void *to, const void *from, size_t size)
{
    uint64_t *words = to;
    const uint64_t *source = from;

    for (size_t i = 0; i < size / sizeof *words; i++)
        if ((uintptr_t)(words + i) % MODEL_GRANULE == 0)
            mring_store_relaxed_u64((mring_atomic_u64 *)(words + i), source[i]);
        else
            words[i] = source[i];
    return to;
}
#define memcpy(to, from, size) model_copy(to, from, size)
#endif

#include <mring/mpmc.h>

/* A consumer does not see that there is more. */
#ifdef BREAK_PASS_ON
#define mring_look_acquire_u64(word)                                                               \
    (MODEL_WITHIN(mring_mpmc_pass_on) ? 0 : mring_look_acquire_u64(word))
#endif

/* The checker takes one file; and the sizes here are not those of the library. */
#include "../../src/mpmc.c"
#include "../../src/waiter.c"

enum { GRANULE = 16 };

#ifndef CAPACITY
#define CAPACITY 32
#endif

#ifndef MODE
#define MODE 0
#endif

/* The lap before the last one, so that positions run over 2^64, and laps over 2^32. */
static const uint64_t START_POS = (uint64_t)0 - CAPACITY;

static _Alignas(16) mring_atomic_u64 data[CAPACITY / 8];
static mring_atomic_u64 words[CAPACITY / GRANULE];
static struct mring_side write_side, read_side;
static struct mring_mpmc ring;
static struct mring_mpmc_end producers[2], consumers[2];
static struct mring_claim claims[2];

static void set_layout(struct mring_layout *layout, enum mring_fencing fencing)
{
    layout->data = (unsigned char *)data;
    layout->words = (unsigned char *)words;
    layout->mask = CAPACITY - 1;
    layout->granule_mask = GRANULE - 1;
    layout->granule_shift = 4;
    layout->word_shift = 1;
    layout->lap_shift = CAPACITY == 32 ? 5 : 6;
    layout->mode = MODE;
    layout->fencing = (uint8_t)fencing;
    layout->record_max = CAPACITY - 8;
    layout->inline_below = MODE & MRING_SKIP_STALLED ? 0 : CAPACITY - 7;
    layout->write_side = &write_side;
    layout->read_side = &read_side;
}

static void reset_end(struct mring_mpmc_end *member, enum mring_end end, enum mring_fencing fencing)
{
    set_layout(&member->layout, fencing);
    member->ring = &ring;
    member->end = end;
    member->pos = member->seen = member->published = member->batch.published = START_POS;
    member->limit = START_POS + CAPACITY;
    member->span = 0;
    member->hold.needed = MRING_HOLD_NEEDED_MIN;
    member->hold.finds = 0;
}

/* An empty ring, as after a lap. */
static void reset_ring(enum mring_fencing fencing)
{
    set_layout(&ring.layout, fencing);
    for (int i = 0; i < 2; i++) {
        reset_end(&producers[i], MRING_WRITE_END, fencing);
        reset_end(&consumers[i], MRING_READ_END, fencing);
    }
    mring_store_relaxed_u64(&write_side.pos, START_POS);
    mring_store_relaxed_u64(&read_side.free_pos, START_POS);
    mring_store_relaxed_u64(&read_side.pos, START_POS);
    mring_store_relaxed_u64(&write_side.closed, 0);
    mring_store_relaxed_u64(&read_side.closed, 0);
    for (uint64_t i = 0; i < CAPACITY / GRANULE; i++)
        mring_store_relaxed_u64(
            mring_mpmc_word(&producers[0].layout, MODE & MRING_SKIP_STALLED, i * GRANULE),
            mring_mpmc_make(&producers[0].layout, START_POS - CAPACITY, MRING_STATE_FREE, 1));
}

#endif
