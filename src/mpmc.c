/* SPDX-License-Identifier: MIT */
/* The cold half of the record ring: life, room, skipping, waiting. The rest is in mpmc.h. */
#include <mring/mpmc.h>

#include "io_os.h"
#include "ring_header.h"
#include "waiter.h"

/* Who reclaims what was released goes on over such a part of the capacity more than is needed. */
#define RECLAIM_PART 8

/* ---- life ------------------------------------------------------------------------------------ */

static uint8_t log2_of(uint64_t power)
{
    uint8_t shift = 0;

    while (power >> shift != 1)
        shift++;
    return shift;
}

static void start(struct mring_mpmc *ring, const struct mmap *map, const struct ring_header *header)
{
    unsigned mode = (header->kind - RING_KIND_MPMC) & RING_MODE_FLAGS;

    *ring = (struct mring_mpmc){
        .layout = { .data = map->addr,
                    .words = mring_ring_part(map, header, header->words_offset),
                    .mask = header->capacity - 1,
                    .granule_mask = header->record_granule - 1,
                    .granule_shift = log2_of(header->record_granule),
                    .record_max = header->record_max,
                    .inline_below = mode & MRING_SKIP_STALLED ? 0 : header->record_max + 1,
                    .lap_shift = log2_of(header->capacity),
                    .word_shift = (uint8_t)(log2_of(header->record_granule) - 3),
                    .fencing = (uint8_t)mring_ring_fencing(header),
                    .mode = mode,
                    .write_side = mring_ring_part(map, header, header->write_side_offset),
                    .read_side = mring_ring_part(map, header, header->read_side_offset) },
        .fds = { -1, -1 },
        .process = { mring_os_process() },
        .map = *map,
    };
}

/*
 * Whether a position is one at which a record may begin: then its word is aligned. That they do not
 * contradict each other is seen where they are used; here they may be moving.
 */
static bool is_position(const struct mring_layout *layout, const mring_atomic_u64 *word,
                        uint64_t flags)
{
    /* Relaxed: no byte is touched on the strength of it. */
    return (mring_load_relaxed_u64(word) & ~flags & layout->granule_mask) == 0;
}

int mring_mpmc_create(struct mring_mpmc *ring, const struct mring_args *args)
{
    struct ring_header header;
    struct mmap map = { 0 };
    int err = mring_ring_create(&map, &header, RING_KIND_MPMC, args);

    if (err == 0)
        start(ring, &map, &header);
    return err;
}

int mring_mpmc_open(struct mring_mpmc *ring, const struct mring_args *args)
{
    struct ring_header header;
    struct mmap map = { 0 };
    struct mring_mpmc result;
    int err = mring_ring_open(&map, &header, RING_KIND_MPMC, args);

    if (err != 0)
        return err;
    start(&result, &map, &header);
    if (!is_position(&result.layout, &result.layout.write_side->pos, MRING_POS_CLOSED) ||
        !is_position(&result.layout, &result.layout.read_side->free_pos, 0) ||
        !is_position(&result.layout, &result.layout.read_side->pos, 0)) {
        mmap_free(&map);
        return MRING_CORRUPT;
    }
    *ring = result;
    return 0;
}

int mring_mpmc_destroy(struct mring_mpmc *ring)
{
    int err = mmap_free(&ring->map);

    if (err == 0)
        memset(ring, 0, sizeof *ring);
    return err;
}

static uint64_t capacity_of(const struct mring_layout *layout)
{
    return layout->mask + 1;
}

static uint64_t record_span(const struct mring_layout *layout, uint64_t size)
{
    return mring_mpmc_span(layout, mring_mpmc_is_apart(layout), size);
}

static struct mring_side *side_of(const struct mring_layout *layout, enum mring_end end)
{
    return end == MRING_WRITE_END ? layout->write_side : layout->read_side;
}

/* The word that says what is free: all that is below it. */
static mring_atomic_u64 *free_pos_of(const struct mring_layout *layout)
{
    return layout->mode & MRING_SINGLE_CONSUMER ? &layout->read_side->pos
                                                : &layout->read_side->free_pos;
}

/* Where a producer would reserve now, perhaps with MRING_POS_CLOSED. */
static uint64_t write_pos_of(const struct mring_mpmc_end *producer)
{
    /* Relaxed, for P2: the compare-and-swap finds out whether it is outdated. */
    uint64_t pos = mring_load_relaxed_u64(&producer->layout.write_side->pos);

    return producer->layout.mode & MRING_SINGLE_PRODUCER ? producer->pos | (pos & MRING_POS_CLOSED)
                                                         : pos;
}

static bool has_one_member(const struct mring_layout *layout, enum mring_end end)
{
    return layout->mode &
           (unsigned)(end == MRING_WRITE_END ? MRING_SINGLE_PRODUCER : MRING_SINGLE_CONSUMER);
}

/* Where a consumer would claim next. */
static uint64_t claim_pos_of(const struct mring_mpmc_end *consumer)
{
    return mring_mpmc_read_pos(consumer, has_one_member(&consumer->layout, MRING_READ_END));
}

/* What one word that is nobody's covers at most, as its length has so many bits. */
#define DISCARD_BYTES_MAX (UINT64_C(1) << (MRING_LENGTH_BITS - 1))

/* Write words for [pos, end) that are nobody's, to be passed. */
static void discard(const struct mring_layout *layout, uint64_t pos, uint64_t end)
{
    while (end - pos > DISCARD_BYTES_MAX) {
        end -= DISCARD_BYTES_MAX;
        /* Relaxed: nobody gets here but over the first word. */
        mring_store_relaxed_u64(mring_mpmc_word(layout, false, end),
                                mring_mpmc_make(layout, end, MRING_STATE_TAKEN,
                                                DISCARD_BYTES_MAX - mring_mpmc_head(false)));
    }
    /* P3, pairs with C2: all of them are there. */
    mring_store_release_u64(
        mring_mpmc_word(layout, false, pos),
        mring_mpmc_make(layout, pos, MRING_STATE_TAKEN, end - pos - mring_mpmc_head(false)));
}

/* Whether the word at `pos` was written for it. Zeros are of lap 0, but nobody wrote them. */
static bool is_written(const struct mring_layout *layout, uint64_t pos, uint64_t word)
{
    return word != 0 && mring_mpmc_is_current(layout, pos, word);
}

/*
 * Where a single producer goes on: behind the last record. A predecessor that was killed may have
 * written to the room that it had reserved, so nothing there may look like a record.
 */
static int take_write_end(struct mring_mpmc_end *producer)
{
    const struct mring_layout *layout = &producer->layout;
    /* P1, pairs with C4 and R2. */
    uint64_t free_pos = mring_load_acquire_u64(free_pos_of(layout));
    uint64_t pos = free_pos;

    while (pos - free_pos < capacity_of(layout)) {
        /* C2, pairs with P3: of the predecessor. */
        uint64_t word = mring_load_acquire_u64(mring_mpmc_word(layout, false, pos));
        if (!is_written(layout, pos, word))
            break;
        pos += mring_mpmc_word_span(layout, false, word);
    }
    if (pos - free_pos > capacity_of(layout))
        return MRING_CORRUPT;
    mring_mpmc_scrub(layout, false, pos, free_pos + capacity_of(layout), 0);
    producer->pos = pos;
    producer->limit = free_pos + capacity_of(layout);
    return 0;
}

/*
 * Where a single consumer goes on: behind what was released. What its predecessor has released out
 * of order is nobody's.
 */
static void take_read_end(struct mring_mpmc_end *consumer)
{
    const struct mring_layout *layout = &consumer->layout;
    uint64_t pos = consumer->pos;

    while (pos - consumer->pos < capacity_of(layout)) {
        /* C2, pairs with P3. */
        uint64_t word = mring_load_acquire_u64(mring_mpmc_word(layout, false, pos));
        uint64_t end = pos + mring_mpmc_word_span(layout, false, word);
        if (!is_written(layout, pos, word))
            break;
        if (mring_mpmc_state(word) == MRING_STATE_FREE)
            discard(layout, pos, end);
        pos = end;
    }
}

int mring_mpmc_join(struct mring_mpmc *ring, struct mring_mpmc_end *member, enum mring_end end)
{
    const struct mring_layout *layout = &ring->layout;
    struct mring_mpmc_end result = {
        .layout = *layout,
        .ring = ring,
        .end = end,
        .hold = mring_ring_hold(0),
    };

    /* After a fork(), those that had joined before are in another process. Relaxed: these are only
       numbers. */
    if (mring_load_relaxed_u32(&ring->process) != mring_os_process()) {
        mring_store_relaxed_u32(&ring->joined[MRING_WRITE_END], 0);
        mring_store_relaxed_u32(&ring->joined[MRING_READ_END], 0);
        mring_store_relaxed_u32(&ring->process, mring_os_process());
    }
    /* Release, for nothing: this only counts. */
    if (mring_add_release_u32(&ring->joined[end], 1) > 0 && has_one_member(layout, end)) {
        mring_add_release_u32(&ring->joined[end], UINT32_MAX);
        return MRING_BUSY;
    }
    int err = 0;
    if (end == MRING_READ_END) {
        /* C1, pairs with C3, or with C4 of the predecessor. */
        result.pos = mring_load_acquire_u64(&layout->read_side->pos);
        result.seen = result.published = result.batch.published = result.pos;
        if (has_one_member(layout, end))
            take_read_end(&result);
    } else if (has_one_member(layout, end)) {
        err = take_write_end(&result);
    } else {
        /* P1, pairs with C4 and R2. */
        result.limit = mring_load_acquire_u64(free_pos_of(layout)) + capacity_of(layout);
    }
    if (err == 0)
        *member = result;
    else
        mring_add_release_u32(&ring->joined[end], UINT32_MAX);
    return err;
}

static bool is_closed(const struct mring_layout *layout)
{
    /* C5, pairs with P4: write_pos does not move any more. */
    return mring_load_acquire_u64(&layout->write_side->closed) != 0 ||
           mring_load_acquire_u64(&layout->read_side->closed) != 0;
}

/*
 * First who sleeps; and if these are fewer than there is something for, who polls, too. An arming
 * is left to those who know the descriptor. When the ring is closed, the end may have come with the
 * last record, for all.
 */
static void wake(struct mring_mpmc *ring, enum mring_end sleepers, uint32_t most)
{
    struct mring_side *side = side_of(&ring->layout, sleepers);
    enum mring_fencing fencing = (enum mring_fencing)ring->layout.fencing;
    int fd = ring->fds[sleepers];
    uint32_t woken = 0;

    if (is_closed(&ring->layout))
        most = MRING_WAKE_ALL;
    if (mring_event_is_armed(&side->event, fencing))
        woken = mring_event_wake(&side->event, -1, most);
    if (woken < most && fd >= 0 && mring_event_is_armed(&side->poll_event, fencing))
        mring_event_wake(&side->poll_event, fd, MRING_WAKE_ALL);
}

void mring_mpmc_wake(struct mring_mpmc_end *member, enum mring_end sleepers, uint32_t most)
{
    mring_counter_add(&member->counters.wakes, 1);
    wake(member->ring, sleepers, most);
}

/* Publish what a single consumer has released. Until then the bytes stay as they are, for its
   successor. */
static void publish_released(struct mring_mpmc_end *consumer)
{
    const struct mring_layout *layout = &consumer->layout;
    uint64_t now = consumer->pos - consumer->span;

    mring_mpmc_scrub(layout, false, consumer->published, now, capacity_of(layout));
    consumer->published = now;
    /* C4, pairs with P1: the bytes have been read and may be overwritten. */
    mring_store_release_u64(&layout->read_side->pos, now);
    if (mring_mpmc_is_awaited(layout, layout->write_side))
        mring_mpmc_wake(consumer, MRING_WRITE_END, MRING_WAKE_ALL);
}

/* The same, if it was held back. */
static void publish_held(struct mring_mpmc_end *consumer)
{
    if (mring_batch_is_held(&consumer->batch, consumer->pos - consumer->span))
        publish_released(consumer);
}

void mring_mpmc_leave(struct mring_mpmc_end *member)
{
    assert((member->end == MRING_READ_END || member->span == 0) &&
           "commit or abort comes before leaving");

    publish_held(member);
    mring_add_release_u32(&member->ring->joined[member->end], UINT32_MAX);
    member->ring = NULL;
}

void mring_mpmc_close(struct mring_mpmc *ring, enum mring_end end, uint32_t status)
{
    const struct mring_layout *layout = &ring->layout;
    uint64_t open = 0;

    /* P4: with this, write_pos does not move any more. Relaxed: what follows orders it. */
    mring_or_relaxed_u64(&layout->write_side->pos, MRING_POS_CLOSED);

    /* P4, pairs with C5: who sees this sees that, too, and what was published before. */
    while (open == 0 &&
           !mring_cas_acq_rel_u64(&side_of(layout, end)->closed, &open, (uint64_t)status + 1))
        ;
    if (mring_mpmc_is_awaited(layout, layout->read_side))
        wake(ring, MRING_READ_END, MRING_WAKE_ALL);
    if (mring_mpmc_is_awaited(layout, layout->write_side))
        wake(ring, MRING_WRITE_END, MRING_WAKE_ALL);
}

bool mring_mpmc_is_closed(const struct mring_mpmc *ring, enum mring_end end, uint32_t *status)
{
    /* C5, pairs with P4. */
    uint64_t closed = mring_load_acquire_u64(&side_of(&ring->layout, end)->closed);

    if (closed != 0 && status != NULL)
        *status = (uint32_t)(closed - 1);
    return closed != 0;
}

/* ---- tuning and counters --------------------------------------------------------------------- */

int mring_mpmc_tune(struct mring_mpmc_end *member, const struct mring_tuning *tuning)
{
    const struct mring_layout *layout = &member->layout;
    bool batches = member->end == MRING_READ_END && has_one_member(layout, MRING_READ_END);

    if (tuning->batch_bytes > (batches ? capacity_of(layout) : 0) ||
        tuning->hold_ns > RING_HOLD_NS_MAX)
        return MMAP_INVALID_ARG;
    publish_held(member);
    member->batch = (struct mring_batch){ tuning->batch_bytes, member->pos - member->span };
    member->spin = (struct mring_spin){ .spin_ns = tuning->spin_ns };
    member->hold = mring_ring_hold(tuning->hold_ns);
    return 0;
}

void mring_mpmc_stats(const struct mring_mpmc_end *member, struct mring_stats *stats)
{
    const struct mring_counters *counters = &member->counters;
    /* Relaxed, all: each is a number by itself. */
    uint64_t pos = mring_load_relaxed_u64(&side_of(&member->layout, member->end)->pos);

    if (has_one_member(&member->layout, member->end) && member->end == MRING_WRITE_END)
        pos = member->pos;
    *stats = (struct mring_stats){
        .bytes = (pos & ~MRING_POS_CLOSED) - capacity_of(&member->layout),
        .misses = mring_load_relaxed_u64(&counters->misses),
        .high_water = mring_load_relaxed_u64(&counters->high_water),
        .sleeps = mring_load_relaxed_u64(&counters->sleeps),
        .wakes = mring_load_relaxed_u64(&counters->wakes),
    };
}

/* ---- room ------------------------------------------------------------------------------------ */

/*
 * Move free_pos on over records that are marked as released: to `wanted` at least, if there are so
 * many, and by a part of the capacity, so that the next ones need not look. Returns where it is.
 */
static uint64_t reclaim(const struct mring_layout *layout, uint64_t wanted)
{
    bool apart = mring_mpmc_is_apart(layout);
    mring_atomic_u64 *free_pos = &layout->read_side->free_pos;
    /* P1, or, of a consumer, C6; pairs with C4 and R2: what is below was released. */
    uint64_t before = mring_load_acquire_u64(free_pos);

    while ((int64_t)(wanted - before) > 0) {
        uint64_t most = wanted - before + capacity_of(layout) / RECLAIM_PART;
        uint64_t pos = before;
        do {
            /* R1, pairs with C4: the bytes have been read. */
            uint64_t word = mring_look_acquire_u64(mring_mpmc_word(layout, apart, pos));
            if (!mring_mpmc_is(layout, pos, word, MRING_STATE_FREE))
                break;
            pos += mring_mpmc_word_span(layout, apart, word);
        } while (pos - before < most);
        if (pos == before)
            break;
        /* R2, pairs with P1 and C6: nobody else has, so that `before` was not outdated when R1
           looked. */
        if (mring_cas_acq_rel_u64(free_pos, &before, pos))
            return pos;
    }
    return before;
}

/*
 * Release [pos, end), before which others have not been released, or were and are only marked. If
 * neither this nor who releases the one before sees the other's store, the mark stays; who arms
 * looks after that.
 */
void mring_mpmc_mark(const struct mring_layout *layout, bool apart, uint64_t pos, uint64_t end)
{
    /* C4, pairs with R1: the bytes have been read and may be overwritten. */
    mring_store_release_u64(
        mring_mpmc_word(layout, apart, pos),
        mring_mpmc_make(layout, pos, MRING_STATE_FREE, (end - pos) >> layout->granule_shift));
    reclaim(layout, end);
}

/* What of the ring is free, looking for as much as `wanted`. */
static uint64_t look_for_free(const struct mring_layout *layout, uint64_t wanted)
{
    if (layout->mode & MRING_SINGLE_CONSUMER)
        /* P1, pairs with C4: the bytes have been read. */
        return mring_load_acquire_u64(&layout->read_side->pos);
    return reclaim(layout, wanted);
}

/* How things stand for a producer: 0, or the answer of mring_mpmc_reserve_wait(). */
static int look_for_room(struct mring_mpmc_end *producer, uint64_t span)
{
    const struct mring_layout *layout = &producer->layout;

    for (;;) {
        uint64_t pos = write_pos_of(producer);
        if (pos & MRING_POS_CLOSED)
            return MRING_CLOSED;
        uint64_t free_pos = look_for_free(layout, pos + span - capacity_of(layout));
        uint64_t used = pos - free_pos;
        if (used <= capacity_of(layout)) {
            producer->limit = free_pos + capacity_of(layout);
            mring_counter_raise(&producer->counters.high_water, used);
            if (mring_mpmc_has_room(producer, pos, span))
                return 0;
        }
        /* If others have gone on meanwhile, this may never have been so. */
        if (write_pos_of(producer) == pos)
            return used <= capacity_of(layout) ? MRING_TIMED_OUT : MRING_CORRUPT;
    }
}

bool mring_mpmc_find_room(struct mring_mpmc_end *producer, uint64_t span)
{
    uint64_t before = producer->limit;

    mring_hold_off(&producer->hold);
    bool enough = look_for_room(producer, span) == 0;
    mring_hold_learn(&producer->hold, MRING_WRITE_END, producer->limit - before, enough);
    if (!enough)
        mring_counter_add(&producer->counters.misses, 1);
    return enough;
}

int mring_mpmc_why_no_room(struct mring_mpmc_end *producer)
{
    return write_pos_of(producer) & MRING_POS_CLOSED ? MRING_CLOSED : MRING_FULL;
}

/*
 * Give up what was reserved at [pos, end). A single producer has not reserved it for anybody to
 * see, but may have written there. Where stalled producers are skipped, it is free at once, and
 * nobody will release it: so this has to see to the words that follow.
 */
static void give_up(const struct mring_layout *layout, uint64_t pos, uint64_t end)
{
    uint64_t second = pos + mring_mpmc_granule(layout);

    if (layout->mode & MRING_SINGLE_PRODUCER) {
        mring_mpmc_scrub(layout, false, second, end, 0);
    } else if (mring_mpmc_is_apart(layout)) {
        mring_mpmc_scrub(layout, true, second, end, capacity_of(layout));
        /* P3, pairs with C2 and R1. */
        mring_store_release_u64(
            mring_mpmc_word(layout, true, pos),
            mring_mpmc_make(layout, pos, MRING_STATE_FREE, (end - pos) >> layout->granule_shift));
    } else {
        discard(layout, pos, end);
    }
}

void mring_mpmc_cut(struct mring_mpmc_end *producer, uint64_t end)
{
    const struct mring_layout *layout = &producer->layout;

    /* The first word of the rest may be bytes of a single producer, too. */
    if (layout->mode & MRING_SINGLE_PRODUCER)
        mring_mpmc_scrub(layout, false, end, end + mring_mpmc_granule(layout), 0);
    give_up(layout, end, producer->pos + producer->span);
}

void mring_mpmc_abort(struct mring_mpmc_end *producer)
{
    const struct mring_layout *layout = &producer->layout;

    assert(producer->span != 0 && "reserve comes before abort");

    mring_guard_enter(&producer->guard);
    mring_guard_commit(&producer->guard, 0);
    give_up(layout, producer->pos, producer->pos + producer->span);
    producer->span = 0;
    if (mring_mpmc_is_awaited(layout, layout->read_side))
        mring_mpmc_wake(producer, MRING_READ_END, 1);
    if (mring_mpmc_is_apart(layout) && mring_mpmc_is_awaited(layout, layout->write_side))
        mring_mpmc_wake(producer, MRING_WRITE_END, MRING_WAKE_ALL);
    mring_guard_leave(&producer->guard);
}

/* Of as many as there is room for. */
uint64_t mring_mpmc_reserve_n(struct mring_mpmc_end *producer, uint64_t span, size_t *count)
{
    const struct mring_layout *layout = &producer->layout;
    uint64_t most = capacity_of(layout) / span;
    uint64_t pos = MRING_POS_NONE;

    if (*count > most)
        *count = (size_t)most;
    while (*count > 0) {
        pos = mring_mpmc_reserve_span(producer, *count * span);
        if (pos != MRING_POS_NONE)
            break;
        /* Not for all of them; what is free now may do for some. */
        uint64_t write_pos = write_pos_of(producer);
        uint64_t room = producer->limit - write_pos;
        bool none = (write_pos & MRING_POS_CLOSED) || room > capacity_of(layout);
        uint64_t fewer = none ? 0 : room / span;
        *count = fewer < *count ? (size_t)fewer : *count / 2;
    }
    return pos;
}

/* ---- records --------------------------------------------------------------------------------- */

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A claim of so many bytes is not made longer: a word has to tell of it when it is released. */
#define CLAIM_BYTES_MAX MRING_LENGTH_MAX

/* How many of the next words are `ready`: up to `most`, one every `span` bytes, up to `last`. */
static size_t count_alike(unsigned char *place, const unsigned char *last, uint64_t span,
                          uint64_t ready, size_t most)
{
    size_t count = 0;

    /* C2, pairs with P3: the records are complete. */
    while (count < most && place <= last &&
           mring_look_acquire_u64((mring_atomic_u64 *)(void *)place) == ready) {
        place += span;
        count++;
    }
    return count;
}

/*
 * Walk over what was committed from `pos` on: up to `most` records, each of `least` to `greatest`
 * bytes, and what is no record between them. Returns where they end; *count is their number.
 */
static uint64_t walk(const struct mring_layout *layout, uint64_t pos, size_t most, uint64_t least,
                     uint64_t greatest, size_t *count)
{
    uint64_t end = pos, length = least, span = mring_mpmc_span(layout, false, length);

    for (*count = 0; *count < most && end - pos < CLAIM_BYTES_MAX;) {
        unsigned char *place = mring_mpmc_place(layout->data, layout->mask, end);
        /* In one lap, all that are as long as the last one have the same word. */
        uint64_t ready = mring_mpmc_make(layout, end, MRING_STATE_READY, length);
        uint64_t ahead =
            least_of(layout->mask - (end & layout->mask), CLAIM_BYTES_MAX - (end - pos) - 1);
        size_t alike = count_alike(place, place + ahead, span, ready, most - *count);
        *count += alike;
        end += alike * span;
        if (*count == most || end - pos >= CLAIM_BYTES_MAX)
            break;
        /* C2, pairs with P3. */
        uint64_t word = mring_look_acquire_u64(mring_mpmc_word(layout, false, end));
        if (mring_mpmc_is(layout, end, word, MRING_STATE_TAKEN)) {
            end += mring_mpmc_word_span(layout, false, word);
            continue;
        }
        length = mring_mpmc_length(word);
        if (!mring_mpmc_is(layout, end, word, MRING_STATE_READY) || length < least ||
            length > greatest)
            break;
        span = mring_mpmc_span(layout, false, length);
    }
    return end;
}

/*
 * Nothing was found at `pos`: look again if it is worth while to wait for more. Hold-off counts as
 * a find what has come since the last time that nothing was there.
 */
static bool holds_off(struct mring_mpmc_end *consumer, uint64_t pos)
{
    publish_held(consumer);
    mring_hold_learn(&consumer->hold, MRING_READ_END, pos - consumer->seen, pos != consumer->seen);
    consumer->seen = pos;
    if (consumer->hold.finds < consumer->hold.needed)
        return false;
    mring_hold_off(&consumer->hold);
    return true;
}

/* Claim [*pos, end); if others were faster, *pos becomes where they are. */
static bool take_span(struct mring_mpmc_end *consumer, uint64_t *pos, uint64_t end)
{
    if (!has_one_member(&consumer->layout, MRING_READ_END))
        return mring_mpmc_take(&consumer->layout, pos, end);
    consumer->span += end - *pos;
    consumer->pos = end;
    return true;
}

static size_t claim_in_order(struct mring_mpmc_end *consumer, struct mring_claim *claim,
                             size_t most, uint64_t least, uint64_t greatest)
{
    const struct mring_layout *layout = &consumer->layout;
    uint64_t pos = claim_pos_of(consumer);
    bool again = true;
    size_t count;

    for (;;) {
        uint64_t end = walk(layout, pos, most, least, greatest, &count);
        if (end == pos && claim_pos_of(consumer) != pos) {
            /* Others have gone on: this may never have been so. */
            pos = claim_pos_of(consumer);
            continue;
        }
        if (end == pos) {
            again = again && holds_off(consumer, pos);
            if (!again) {
                mring_counter_add(&consumer->counters.misses, 1);
                return 0;
            }
            again = false;
            pos = claim_pos_of(consumer);
            continue;
        }
        if (!take_span(consumer, &pos, end))
            continue;
        if (count > 0) {
            claim->pos = claim->next = pos;
            claim->end = end;
            return count;
        }
        mring_mpmc_give_back(consumer, false, pos, end);
        pos = claim_pos_of(consumer);
    }
}

/*
 * Where there is a single consumer. Out of order: mark it, and let who releases the one before take
 * it along. Relaxed, all: these are marks for the consumer itself, or, C4 follows.
 */
void mring_mpmc_release_single(struct mring_mpmc_end *consumer, uint64_t pos, uint64_t end)
{
    const struct mring_layout *layout = &consumer->layout;

    if (pos != consumer->pos - consumer->span) {
        mring_store_relaxed_u64(
            mring_mpmc_word(layout, false, pos),
            mring_mpmc_make(layout, pos, MRING_STATE_FREE, (end - pos) >> layout->granule_shift));
        return;
    }
    while ((int64_t)(consumer->pos - end) > 0) {
        uint64_t word = mring_load_relaxed_u64(mring_mpmc_word(layout, false, end));
        uint64_t span = mring_mpmc_word_span(layout, false, word);
        /* A mark that leads behind what was claimed is a broken peer's. */
        if (!mring_mpmc_is(layout, end, word, MRING_STATE_FREE) || span > consumer->pos - end)
            break;
        end += span;
    }
    consumer->span = consumer->pos - end;
    if (mring_batch_is_due(&consumer->batch, end))
        publish_released(consumer);
}

/* Whether the ring is closed, and all that was reserved before lies below `pos`. */
static bool ends_at(const struct mring_mpmc_end *consumer, uint64_t pos)
{
    const struct mring_layout *layout = &consumer->layout;

    if (!is_closed(layout))
        return false;
    if (layout->mode & MRING_SINGLE_PRODUCER) {
        /* C2, pairs with P3, and after C5: so nothing was missed. And C1 after C5: if others had
           gone on, so far that this is an old place, that is seen. */
        uint64_t word = mring_look_acquire_u64(mring_mpmc_word(layout, false, pos));
        return !mring_mpmc_is_current(layout, pos, word) && claim_pos_of(consumer) == pos;
    }
    /* Relaxed: C5 has seen it. */
    uint64_t write_pos = mring_load_relaxed_u64(&layout->write_side->pos);
    return write_pos == (pos | MRING_POS_CLOSED);
}

/*
 * What it means that the record at `pos`, which is there, is not claimed, for a consumer with so
 * much room. No producer makes a record that is over the limit.
 */
static int judge_record(const struct mring_layout *layout, uint64_t word, size_t room, size_t *size)
{
    size_t length = (size_t)mring_mpmc_length(word);

    if (length > layout->record_max)
        return MRING_CORRUPT;
    if (length <= room)
        return 0;
    *size = length;
    return MRING_TOO_LARGE;
}

/* How things stand at `pos` for a consumer with so much room. */
static int look_at(struct mring_mpmc_end *consumer, uint64_t pos, size_t room, size_t *size)
{
    const struct mring_layout *layout = &consumer->layout;
    /* C2, pairs with P3. */
    uint64_t word = mring_look_acquire_u64(mring_mpmc_word(layout, false, pos));

    if (mring_mpmc_is(layout, pos, word, MRING_STATE_TAKEN))
        return 0;
    if (mring_mpmc_is(layout, pos, word, MRING_STATE_READY))
        return claim_pos_of(consumer) == pos ? judge_record(layout, word, room, size) : 0;
    return ends_at(consumer, pos) ? MRING_EOF : MRING_TIMED_OUT;
}

/* ---- skipping -------------------------------------------------------------------------------- */

/*
 * The reservation is the word. write_pos follows: if it does before the ring is closed, by whomever
 * it is moved, the reservation counts.
 */
static bool is_reserved(const struct mring_layout *layout, uint64_t pos, uint64_t end)
{
    uint64_t now = pos;

    /* S1, pairs with itself, as below. */
    while (now == pos && !mring_cas_acq_rel_u64(&layout->write_side->pos, &now, end))
        ;
    return now != (pos | MRING_POS_CLOSED);
}

uint64_t mring_mpmc_reserve_skipping(struct mring_mpmc_end *producer, uint64_t size)
{
    const struct mring_layout *layout = &producer->layout;
    uint64_t span = mring_mpmc_span(layout, true, size);

    for (;;) {
        /* S1, pairs with itself: whoever reserves behind a record also shows that one's word. */
        uint64_t pos = mring_load_acquire_u64(&layout->write_side->pos);
        if (pos & MRING_POS_CLOSED)
            return MRING_POS_NONE;
        mring_atomic_u64 *place = mring_mpmc_word(layout, true, pos);
        /* S1, as above. */
        uint64_t word = mring_load_acquire_u64(place);
        if (mring_mpmc_is_current(layout, pos, word)) {
            is_reserved(layout, pos, pos + mring_mpmc_word_span(layout, true, word));
            continue;
        }
        /* If write_pos is still there, the word is of an older lap. Relaxed: it never repeats. */
        if (mring_load_relaxed_u64(&layout->write_side->pos) != pos)
            continue;
        if (!mring_mpmc_has_room(producer, pos, span)) {
            if (!mring_mpmc_find_room(producer, span))
                return MRING_POS_NONE;
            continue;
        }
        uint64_t busy = mring_mpmc_make(layout, pos, MRING_STATE_BUSY, size);
        /* S1, pairs with itself. */
        if (mring_cas_acq_rel_u64(place, &word, busy))
            return is_reserved(layout, pos, pos + span) ? pos : MRING_POS_NONE;
    }
}

int mring_mpmc_push_skipping(struct mring_mpmc_end *producer, const void *bytes, size_t size)
{
    void *room = mring_mpmc_reserve(producer, size);

    if (room == NULL)
        return mring_mpmc_why_no_room(producer);
    if (size > 0)
        memcpy(room, bytes, size);
    mring_mpmc_commit(producer, size);
    return 0;
}

/* Whether what was found at `pos` is outdated: then *pos becomes a place that is not. */
static bool is_outdated(const struct mring_layout *layout, uint64_t *pos)
{
    /* Relaxed: where nobody needs to look any more; what was written there is not read. */
    uint64_t free_pos = mring_load_relaxed_u64(&layout->read_side->free_pos);

    if ((int64_t)(free_pos - *pos) <= 0)
        return false;
    *pos = free_pos;
    return true;
}

/* Move read_pos on over what was taken. Returns where it is. */
static uint64_t find_oldest(const struct mring_layout *layout)
{
    mring_atomic_u64 *read_pos = &layout->read_side->pos;
    /* Relaxed: a hint; that it is outdated is found out by the words. */
    uint64_t oldest = mring_load_relaxed_u64(read_pos);

    for (;;) {
        uint64_t pos = oldest;
        /* Relaxed: nothing is read on the strength of it. */
        uint64_t word = mring_load_relaxed_u64(mring_mpmc_word(layout, true, pos));
        if (!mring_mpmc_is_current(layout, pos, word)) {
            if (!is_outdated(layout, &pos))
                return pos;
        } else if (mring_mpmc_is(layout, pos, word, MRING_STATE_BUSY) ||
                   mring_mpmc_is(layout, pos, word, MRING_STATE_READY)) {
            return pos;
        } else {
            pos += mring_mpmc_word_span(layout, true, word);
        }
        if (mring_cas_relaxed_u64(read_pos, &oldest, pos))
            oldest = pos;
    }
}

/*
 * The first record in [*pos, end) that is committed and not taken; *pos becomes its position and
 * *word its word. `stalled` is set if there is one before that is not committed.
 */
static bool find_ready(const struct mring_layout *layout, uint64_t *pos, uint64_t end,
                       uint64_t *word, bool *stalled)
{
    while ((int64_t)(end - *pos) > 0) {
        /* C2, pairs with P3: the record is complete. */
        *word = mring_load_acquire_u64(mring_mpmc_word(layout, true, *pos));
        if (mring_mpmc_is(layout, *pos, *word, MRING_STATE_READY))
            return true;
        if (mring_mpmc_is_current(layout, *pos, *word)) {
            *stalled = *stalled || mring_mpmc_is(layout, *pos, *word, MRING_STATE_BUSY);
            *pos += mring_mpmc_word_span(layout, true, *word);
        } else if (!is_outdated(layout, pos)) {
            return false;
        }
    }
    return false;
}

/*
 * The record to claim next. One that is not committed is passed only if it still is not when a
 * later one is seen to be: so it is of another producer, and what one producer pushes in turn comes
 * out in turn.
 */
static bool find_next(const struct mring_layout *layout, uint64_t *pos, uint64_t *word,
                      bool *stalled)
{
    uint64_t oldest;

    do {
        oldest = *pos = find_oldest(layout);
        *stalled = false;
        if (find_ready(layout, pos, oldest + capacity_of(layout), word, stalled))
            break;
        /* If others have gone on meanwhile, this may never have been so. */
        if (find_oldest(layout) == oldest)
            return false;
    } while (true);
    while (*stalled) {
        uint64_t earlier = oldest, earlier_word;
        if (!find_ready(layout, &earlier, *pos, &earlier_word, stalled))
            break;
        *pos = earlier;
        *word = earlier_word;
    }
    return true;
}

/* Claim the record at *pos; then *pos becomes what follows. */
static bool take_at(const struct mring_layout *layout, uint64_t *pos, uint64_t word)
{
    uint64_t length = mring_mpmc_length(word);
    uint64_t taken = mring_mpmc_make(layout, *pos, MRING_STATE_TAKEN, length);

    /* S2: nobody else claims it. Nothing is ordered by it: C2 and C4 do that. */
    if (!mring_cas_relaxed_u64(mring_mpmc_word(layout, true, *pos), &word, taken))
        return false;
    *pos += mring_mpmc_span(layout, true, length);
    return true;
}

static bool fits(uint64_t least, uint64_t greatest, uint64_t word)
{
    return mring_mpmc_length(word) >= least && mring_mpmc_length(word) <= greatest;
}

static size_t claim_once(const struct mring_layout *layout, struct mring_claim *claim, size_t most,
                         uint64_t least, uint64_t greatest)
{
    uint64_t first, pos, word;
    bool stalled;
    size_t count = 0;

    do {
        if (!find_next(layout, &pos, &word, &stalled) || !fits(least, greatest, word))
            return 0;
        first = pos;
    } while (!take_at(layout, &pos, word));

    /* More of them if they follow, and nothing was passed. */
    while (++count < most && !stalled && pos - first < CLAIM_BYTES_MAX) {
        /* C2, pairs with P3: the record is complete. */
        word = mring_load_acquire_u64(mring_mpmc_word(layout, true, pos));
        if (!mring_mpmc_is(layout, pos, word, MRING_STATE_READY) || !fits(least, greatest, word) ||
            !take_at(layout, &pos, word))
            break;
    }
    claim->pos = claim->next = first;
    claim->end = pos;
    return count;
}

static size_t claim_skipping(struct mring_mpmc_end *consumer, struct mring_claim *claim,
                             size_t most, uint64_t least, uint64_t greatest)
{
    const struct mring_layout *layout = &consumer->layout;
    size_t count = claim_once(layout, claim, most, least, greatest);

    /* Relaxed: about where the consumers are. */
    if (count == 0 && holds_off(consumer, mring_load_relaxed_u64(&layout->read_side->pos)))
        count = claim_once(layout, claim, most, least, greatest);
    if (count == 0)
        mring_counter_add(&consumer->counters.misses, 1);
    return count;
}

/* As look_at(), over all records. */
static int look_over(struct mring_mpmc_end *consumer, size_t room, size_t *size)
{
    const struct mring_layout *layout = &consumer->layout;
    bool closed = is_closed(layout), stalled = false;
    uint64_t pos = find_oldest(layout), word;
    /* Relaxed: C5 has seen where it stays. What was reserved there came too late. */
    uint64_t end = closed ? mring_load_relaxed_u64(&layout->write_side->pos) & ~MRING_POS_CLOSED
                          : pos + capacity_of(layout);

    if (find_ready(layout, &pos, end, &word, &stalled))
        return judge_record(layout, word, room, size);
    return closed && !stalled && pos == end ? MRING_EOF : MRING_TIMED_OUT;
}

/* ---- claiming -------------------------------------------------------------------------------- */

/*
 * Who published woke no more consumers than there were records, and these may have found in front
 * of them one that was not committed yet. So whoever claims looks whether there is more, or if it
 * was the last one of all.
 */
void mring_mpmc_pass_on(struct mring_mpmc_end *consumer, uint64_t pos)
{
    const struct mring_layout *layout = &consumer->layout;
    bool stalled, more;
    uint64_t word;

    if (mring_mpmc_is_apart(layout)) {
        more = find_next(layout, &pos, &word, &stalled);
    } else {
        /* C2, pairs with P3; but nothing is read on the strength of it. */
        word = mring_look_acquire_u64(mring_mpmc_word(layout, false, pos));
        more = mring_mpmc_is(layout, pos, word, MRING_STATE_READY) ||
               mring_mpmc_is(layout, pos, word, MRING_STATE_TAKEN);
    }
    if (more || is_closed(layout))
        mring_mpmc_wake(consumer, MRING_READ_END, 1);
}

/* Claim up to `most` records, each of `least` to `greatest` bytes. */
static size_t claim_records(struct mring_mpmc_end *consumer, struct mring_claim *claim, size_t most,
                            uint64_t least, uint64_t greatest)
{
    const struct mring_layout *layout = &consumer->layout;
    size_t count = layout->mode & MRING_SKIP_STALLED
                       ? claim_skipping(consumer, claim, most, least, greatest)
                       : claim_in_order(consumer, claim, most, least, greatest);

    if (count > 0 && !(layout->mode & MRING_SINGLE_CONSUMER) &&
        mring_mpmc_is_awaited(layout, layout->read_side))
        mring_mpmc_pass_on(consumer, claim->end);
    return count;
}

size_t mring_mpmc_claim(struct mring_mpmc_end *consumer, struct mring_claim *claim, size_t most)
{
    assert(consumer->end == MRING_READ_END && most >= 1);

    mring_guard_enter(&consumer->guard);
    size_t count = claim_records(consumer, claim, most, 0, consumer->layout.record_max);
    mring_guard_leave(&consumer->guard);
    return count;
}

/* Copy out the one record of a claim, and release it. The word is read again: a broken peer may
   have changed it, but the buffer is not larger for that. */
static size_t pop_claim(struct mring_mpmc_end *consumer, struct mring_claim *claim, void *buffer,
                        size_t room)
{
    size_t size = 0;
    const void *bytes = mring_mpmc_next(consumer, claim, &size);

    if (size > room)
        size = room;
    if (size > 0)
        memcpy(buffer, bytes, size);
    mring_mpmc_give_back(consumer, mring_mpmc_is_apart(&consumer->layout), claim->pos, claim->end);
    return size;
}

size_t mring_mpmc_claim_n(struct mring_mpmc_end *consumer, struct mring_claim *claim, size_t size,
                          size_t count)
{
    if (count == 0 || size > consumer->layout.record_max)
        return 0;
    return claim_records(consumer, claim, count, size, size);
}

/* How things stand for a consumer: 0, there is something; or the answer of pop_wait. */
static int look_for_record(struct mring_mpmc_end *consumer, size_t room, size_t *size)
{
    if (consumer->layout.mode & MRING_SKIP_STALLED)
        return look_over(consumer, room, size);
    return look_at(consumer, claim_pos_of(consumer), room, size);
}

/*
 * Pop where the next record is not of the usual size, or is not there. The second is a poll's most
 * frequent answer, which is to be quick: until it has looked, it can't see what comes.
 */
int mring_mpmc_pop_slowly(struct mring_mpmc_end *consumer, void *buffer, size_t room, size_t *size)
{
    const struct mring_layout *layout = &consumer->layout;
    uint64_t pos = claim_pos_of(consumer);
    uint64_t most = least_of(room, layout->record_max);
    struct mring_claim claim;

    if (!mring_mpmc_is_apart(layout)) {
        /* C2, pairs with P3: the record is complete. */
        uint64_t word = mring_look_acquire_u64(mring_mpmc_word(layout, false, pos));
        size_t length = (size_t)mring_mpmc_length(word);
        bool single = has_one_member(layout, MRING_READ_END);
        if (mring_mpmc_is(layout, pos, word, MRING_STATE_READY)) {
            if (length <= most && mring_mpmc_pop_record(consumer, single, pos, buffer, length)) {
                *size = length;
                return 0;
            }
        } else if (!mring_mpmc_is(layout, pos, word, MRING_STATE_TAKEN) &&
                   claim_pos_of(consumer) == pos && !holds_off(consumer, pos)) {
            mring_counter_add(&consumer->counters.misses, 1);
            return ends_at(consumer, pos) ? MRING_EOF : MRING_EMPTY;
        }
    }
    if (claim_records(consumer, &claim, 1, 0, most) > 0) {
        *size = pop_claim(consumer, &claim, buffer, room);
        return 0;
    }
    int err = look_for_record(consumer, room, size);
    return err == 0 || err == MRING_TIMED_OUT ? MRING_EMPTY : err;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* What a member tries until it succeeds. */
struct attempt {
    struct mring_mpmc_end *member;
    uint64_t pos;              /* a producer: what it got */
    struct mring_claim *claim; /* a consumer: what it got, and how many records */
    size_t count;
    size_t *size; /* a consumer: of a record that is too large */
    size_t most;  /* a consumer: records */
};

/* Try to reserve room for `size` bytes. */
static int try_to_reserve(void *what, size_t size)
{
    struct attempt *attempt = what;
    uint64_t span = record_span(&attempt->member->layout, size);

    do {
        int err = look_for_room(attempt->member, span);
        if (err != 0)
            return err;
        attempt->pos = mring_mpmc_is_apart(&attempt->member->layout)
                           ? mring_mpmc_reserve_skipping(attempt->member, size)
                           : mring_mpmc_reserve_span(attempt->member, span);
    } while (attempt->pos == MRING_POS_NONE);
    return 0;
}

/* Try to claim records of up to `room` bytes. */
static int try_to_claim(void *what, size_t room)
{
    struct attempt *attempt = what;
    struct mring_mpmc_end *consumer = attempt->member;

    do {
        int err = look_for_record(consumer, room, attempt->size);
        if (err != 0)
            return err;
        attempt->count = claim_records(consumer, attempt->claim, attempt->most, 0,
                                       least_of(room, consumer->layout.record_max));
    } while (attempt->count == 0);
    return 0;
}

static struct waiter waiter_for(struct attempt *attempt, int (*look)(void *, size_t), size_t size)
{
    struct mring_mpmc_end *member = attempt->member;

    return (struct waiter){ .look = look,
                            .what = attempt,
                            .size = size,
                            .not_yet = member->end == MRING_WRITE_END ? MRING_FULL : MRING_EMPTY,
                            .end = member->end,
                            .fencing = (enum mring_fencing)member->layout.fencing,
                            .event = &side_of(&member->layout, member->end)->event,
                            .spin = &member->spin,
                            .counters = &member->counters };
}

/* Try, and wait if that was in vain. */
static int wait_for(struct attempt *attempt, int (*look)(void *, size_t), size_t size,
                    int64_t timeout_ns)
{
    const struct mring_layout *layout = &attempt->member->layout;
    struct waiter waiter = waiter_for(attempt, look, size);

    mring_guard_enter(&attempt->member->guard);
    publish_held(attempt->member);
    int err = look(attempt, size);
    if (err == MRING_TIMED_OUT)
        err = mring_waiter_wait(&waiter, timeout_ns);
    /* This one was perhaps woken for the record; another one may have room for it. */
    if (err == MRING_TOO_LARGE && mring_mpmc_is_awaited(layout, layout->read_side))
        mring_mpmc_wake(attempt->member, MRING_READ_END, 1);
    mring_guard_leave(&attempt->member->guard);
    return err;
}

int mring_mpmc_reserve_wait(struct mring_mpmc_end *producer, size_t size, void **room,
                            int64_t timeout_ns)
{
    struct attempt attempt = { .member = producer };

    assert(producer->end == MRING_WRITE_END);
    assert(producer->span == 0 && "commit or abort comes before the next reserve");

    if (size > producer->layout.record_max)
        return MRING_TOO_LARGE;
    int err = wait_for(&attempt, try_to_reserve, size, timeout_ns);
    if (err != 0)
        return err;
    producer->pos = attempt.pos;
    producer->span = record_span(&producer->layout, size);
    mring_guard_reserve(&producer->guard, size);
    *room =
        mring_mpmc_bytes(&producer->layout, mring_mpmc_is_apart(&producer->layout), attempt.pos);
    return 0;
}

int mring_mpmc_push_wait(struct mring_mpmc_end *producer, const void *bytes, size_t size,
                         int64_t timeout_ns)
{
    void *room;
    int err = mring_mpmc_reserve_wait(producer, size, &room, timeout_ns);

    if (err != 0)
        return err;
    if (size > 0)
        memcpy(room, bytes, size);
    mring_mpmc_commit(producer, size);
    return 0;
}

int mring_mpmc_claim_wait(struct mring_mpmc_end *consumer, struct mring_claim *claim, size_t most,
                          size_t *count, int64_t timeout_ns)
{
    size_t size;
    struct attempt attempt = { .member = consumer, .claim = claim, .size = &size, .most = most };

    assert(consumer->end == MRING_READ_END && most >= 1);

    int err = wait_for(&attempt, try_to_claim, MRING_LENGTH_MAX, timeout_ns);
    if (err == 0 && count != NULL)
        *count = attempt.count;
    return err;
}

int mring_mpmc_pop_wait(struct mring_mpmc_end *consumer, void *buffer, size_t room, size_t *size,
                        int64_t timeout_ns)
{
    struct mring_claim claim;
    struct attempt attempt = { .member = consumer, .claim = &claim, .size = size, .most = 1 };

    assert(consumer->end == MRING_READ_END);

    int err = wait_for(&attempt, try_to_claim, room, timeout_ns);
    if (err == 0)
        *size = pop_claim(consumer, &claim, buffer, room);
    return err;
}

/* ---- poll loops ------------------------------------------------------------------------------ */

int mring_mpmc_set_eventfd(struct mring_mpmc *ring, enum mring_end end, int fd)
{
    if (ring->layout.fencing == MRING_FENCING_NONE)
        return MMAP_INVALID_ARG;
    int err = fd >= 0 ? mring_io_check_signal(fd) : 0;
    if (err != 0)
        return err;
    ring->fds[end] = fd >= 0 ? fd : -1;

    /* The other end may have published before it had the descriptor, and signalled nobody. Relaxed:
       whoever published for somebody armed has seen manner, here or in a process before. */
    uint32_t manner = mring_load_relaxed_u32(&side_of(&ring->layout, end)->poll_event.manner);
    if (fd >= 0 && manner == MRING_MANNER_DESCRIPTOR)
        mring_os_signal(fd);
    return 0;
}

/* Whether a producer might get room for `size` bytes. */
static int try_to_find_room(void *what, size_t size)
{
    struct mring_mpmc_end *producer = ((struct attempt *)what)->member;

    return look_for_room(producer, record_span(&producer->layout, size));
}

/* Whether a consumer might get a record, of whatever size. */
static int try_to_find_record(void *what, size_t size)
{
    return look_for_record(((struct attempt *)what)->member, SIZE_MAX, &size);
}

int mring_mpmc_arm(struct mring_mpmc_end *member, size_t size)
{
    int fd = member->ring->fds[member->end];
    struct attempt attempt = { .member = member };
    bool writes = member->end == MRING_WRITE_END;
    struct waiter waiter =
        waiter_for(&attempt, writes ? try_to_find_room : try_to_find_record, size);

    if (fd < 0)
        return MMAP_INVALID_ARG;
    if (writes && size > member->layout.record_max)
        return MRING_TOO_LARGE;
    publish_held(member);
    int err = waiter.look(&attempt, size);
    if (err != MRING_TIMED_OUT)
        return err;
    waiter.event = &side_of(&member->layout, member->end)->poll_event;
    err = mring_waiter_arm(&waiter, fd);
    /* What was cleared was perhaps for another one who polls, and there is still what it was for:
       after the end, for one, nobody signals again. */
    if (err != waiter.not_yet && !has_one_member(&member->layout, member->end))
        mring_os_signal(fd);
    return err;
}

/* ---- external definitions of the inline calls ------------------------------------------------ */

extern inline MRING_API void *mring_mpmc_reserve(struct mring_mpmc_end *producer, size_t size);
extern inline MRING_API void mring_mpmc_commit(struct mring_mpmc_end *producer, size_t size);
extern inline MRING_API int mring_mpmc_push(struct mring_mpmc_end *producer, const void *bytes,
                                            size_t size);
extern inline MRING_API size_t mring_mpmc_push_n(struct mring_mpmc_end *producer,
                                                 const void *elements, size_t size, size_t count);
extern inline MRING_API size_t mring_mpmc_pop_n(struct mring_mpmc_end *consumer, void *elements,
                                                size_t size, size_t count);
extern inline MRING_API void *mring_mpmc_next(const struct mring_mpmc_end *consumer,
                                              struct mring_claim *claim, size_t *size);
extern inline MRING_API void mring_mpmc_release(struct mring_mpmc_end *consumer,
                                                const struct mring_claim *claim);
extern inline MRING_API int mring_mpmc_pop(struct mring_mpmc_end *consumer, void *buffer,
                                           size_t room, size_t *size);
extern inline MRING_API size_t mring_mpmc_capacity(const struct mring_mpmc *ring);
extern inline MRING_API size_t mring_mpmc_record_max(const struct mring_mpmc *ring);
extern inline MRING_API size_t mring_mpmc_record_bytes(const struct mring_mpmc *ring, size_t size);
