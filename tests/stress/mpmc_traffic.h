/* SPDX-License-Identifier: MIT */
/*
 * Traffic over a record ring that can be accounted for. Producers send numbered records of random
 * length, consumers take them, both by a random mix of all calls. Every byte of a record follows
 * from its head, so that a torn, stale or spoilt one shows; every record is entered in the tallies
 * of who sent it and who received it, so that a lost, repeated or invented one shows.
 *
 * Some records consist of words like the ring's own, of this lap and the next, wherever the ring
 * may look for a word; consumers write such words over records before they release them, too.
 */
#ifndef MRING_TESTS_MPMC_TRAFFIC_H
#define MRING_TESTS_MPMC_TRAFFIC_H

#include "mpmc_unsliced.h"
#include "under_tsan.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PRODUCERS_MAX 4
#define CONSUMERS_MAX 4
#define HELD_MAX      3  /* claims that a consumer holds at a time */
#define BATCH_MAX     24 /* records per call */
#define BATCH_SIZE    24 /* bytes of those of push_n and pop_n */

/* A record's head: in the lowest byte its producer, and whether it imitates; above, its number. */
#define HEAD_FROM     0x0fu
#define HEAD_IMITATES 0x10u
#define ABORTED       15u /* the producer of records that nobody may see */

/* When the ring is closed: always by a member that is still at work then. */
enum closer { CLOSED_BY_LAST_PRODUCER, CLOSED_HALFWAY_BY_PRODUCER, CLOSED_HALFWAY_BY_CONSUMER };

/* What was sent or received. Empty records don't say who sent them: their place is the last. */
struct tally {
    struct account {
        uint64_t count, sum;
    } from[PRODUCERS_MAX + 1];
};

/* What the members have in common, in memory that their processes share. */
struct traffic {
    uint64_t quota; /* records of each producer */
    unsigned producers, consumers;
    int64_t timeout_ns; /* of calls that wait; 0: there are none */
    struct mring_tuning tuning;
    enum closer closer;
    uint64_t seed;
    mring_atomic_u32 producing; /* producers that have not ended */
    struct tally sent[PRODUCERS_MAX], received[CONSUMERS_MAX];
};

/* A thread at work at an end. */
struct member {
    struct traffic *traffic;
    struct mring_mpmc *ring;
    unsigned index;
    struct mring_mpmc_end end;
    uint64_t random;
    unsigned char *buffer; /* as large as the ring */

    uint64_t number; /* a producer: of its next record */

    /* A consumer: */
    uint64_t last[PRODUCERS_MAX]; /* numbers that it received last */
    mring_atomic_u64 taken;       /* records so far; others look at it */
    uint64_t passed;              /* where its last claim ended */
    struct mring_claim held[HELD_MAX];
    unsigned held_count;
};

/* ---- chance ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t value)
{
    value *= UINT64_C(0x9e3779b97f4a7c15);
    value ^= value >> 32;
    return value * UINT64_C(0xd6e8feb86659fd93);
}

/* Marsaglia's xorshift64. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Less than `limit`. */
static uint64_t draw(struct member *me, uint64_t limit)
{
    return (random_next(&me->random) >> 16) % limit;
}

static bool one_in(struct member *me, uint64_t odds)
{
    return draw(me, odds) == 0;
}

/* Mostly small; sometimes all that the ring can hold. */
static size_t random_size(struct member *me)
{
    uint64_t limit = mring_mpmc_record_max(me->ring);
    uint64_t kind = draw(me, 1024);

    if (kind == 0)
        return (size_t)(limit - (one_in(me, 2) ? draw(me, 100) : 0));
    return (size_t)draw(me, kind < 12 ? limit / 4 : kind < 400 ? 24 : 100);
}

/* Let others in where it hurts. */
static void linger(struct member *me)
{
    uint64_t kind = draw(me, 4096);

    if (kind == 0)
        nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
    else if (kind < 64)
        sched_yield();
}

/* ---- records --------------------------------------------------------------------------------- */

/* What a record's bytes follow from. */
struct record {
    uint64_t head;
    uint64_t filler; /* of one that imitates: its second word, and all others */
};

static uint64_t word_at(const struct record *record, size_t at)
{
    return record->head & HEAD_IMITATES ? record->filler : mix(record->head + at);
}

static void fill(unsigned char *bytes, size_t size, const struct record *record)
{
    for (size_t i = 0; i < 8 && i < size; i++)
        bytes[i] = (unsigned char)(record->head >> 8 * i);
    for (size_t at = 8; at < size; at += 8) {
        uint64_t word = word_at(record, at);
        if (size - at >= 8)
            memcpy(bytes + at, &word, 8);
        else
            memcpy(bytes + at, &word, size - at);
    }
}

/* As much of it as `size` bytes tell. */
static struct record record_in(const unsigned char *bytes, size_t size)
{
    struct record record = { 0, 0 };

    for (size_t i = 0; i < 8 && i < size; i++)
        record.head |= (uint64_t)bytes[i] << 8 * i;
    if (size > 8 && record.head & HEAD_IMITATES)
        memcpy(&record.filler, bytes + 8, size < 16 ? size - 8 : 8);
    return record;
}

static bool is_intact(const unsigned char *bytes, size_t size, const struct record *record)
{
    for (size_t at = 8; at < size; at += 8) {
        uint64_t word = word_at(record, at);
        if (size - at >= 8 ? memcmp(bytes + at, &word, 8) : memcmp(bytes + at, &word, size - at))
            return false;
    }
    return true;
}

/* Enter a record in a tally. */
static void enter(struct tally *tally, const struct record *record, size_t size)
{
    struct account *account = &tally->from[size > 0 ? record->head & HEAD_FROM : PRODUCERS_MAX];

    account->count++;
    account->sum += mix(mix(record->head) + mix(record->filler + size));
}

/* A word as the ring may have it around `pos`, in this lap, the next one, or another. */
static uint64_t imitation(struct member *me, uint64_t pos)
{
    const struct mring_layout *layout = &me->ring->layout;
    static const uint64_t laps[] = { 0, 0, 0, 1, 1, 1, 2, UINT64_MAX };
    const uint64_t lengths[] = { 0, 1, 8, layout->granule_mask + 1, 24, 56, layout->mask, 1 };
    enum mring_state state = one_in(me, 2) ? MRING_STATE_READY : (enum mring_state)draw(me, 4);

    return mring_mpmc_make(layout, pos + laps[draw(me, 8)] * (layout->mask + 1), state,
                           lengths[draw(me, 8)]);
}

/* The next record of a producer, whose place will be near where its last one ended. */
static struct record make_record(struct member *me, unsigned from)
{
    bool imitates = one_in(me, 3);

    return (struct record){ .head = me->number << 8 | (imitates ? HEAD_IMITATES : 0) | from,
                            .filler = imitates ? imitation(me, me->end.pos) : 0 };
}

/* ---- producers ------------------------------------------------------------------------------- */

static int send_copy(struct member *me)
{
    bool waits = me->traffic->timeout_ns != 0 && one_in(me, 2);
    size_t size = random_size(me);
    struct record record = make_record(me, me->index);

    fill(me->buffer, size, &record);
    int err = waits ? mring_mpmc_push_wait(&me->end, me->buffer, size, me->traffic->timeout_ns)
                    : mring_mpmc_push(&me->end, me->buffer, size);
    if (err == 0) {
        record = record_in(me->buffer, size);
        enter(&me->traffic->sent[me->index], &record, size);
        me->number++;
    }
    return err;
}

/* Also what is given up, or published in part. */
static int send_in_place(struct member *me)
{
    bool waits = me->traffic->timeout_ns != 0 && one_in(me, 2), aborts = one_in(me, 8);
    size_t size = random_size(me);
    void *room = NULL;
    int err = 0;

    if (!waits)
        room = mring_mpmc_reserve(&me->end, size);
    if (room == NULL)
        err = mring_mpmc_reserve_wait(&me->end, size, &room, waits ? me->traffic->timeout_ns : 0);
    if (err != 0)
        return err;
    struct record record = make_record(me, aborts ? ABORTED : me->index);
    fill(room, size, &record);
    linger(me);
    if (aborts) {
        mring_mpmc_abort(&me->end);
        return 0;
    }
    if (one_in(me, 4))
        size = (size_t)draw(me, size + 1);
    record = record_in(room, size);
    enter(&me->traffic->sent[me->index], &record, size);
    me->number++;
    mring_mpmc_commit(&me->end, size);
    return 0;
}

static int send_batch(struct member *me)
{
    size_t count = 1 + (size_t)draw(me, BATCH_MAX);
    struct record records[BATCH_MAX];

    for (size_t i = 0; i < count; i++) {
        records[i] = make_record(me, me->index);
        records[i].head += (uint64_t)i << 8;
        fill(me->buffer + i * BATCH_SIZE, BATCH_SIZE, &records[i]);
    }
    count = mring_mpmc_push_n(&me->end, me->buffer, BATCH_SIZE, count);
    for (size_t i = 0; i < count; i++)
        enter(&me->traffic->sent[me->index], &records[i], BATCH_SIZE);
    me->number += count;
    return count > 0 ? 0 : MRING_FULL;
}

static int send(struct member *me)
{
    uint64_t kind = draw(me, 16);

    return kind < 9 ? send_copy(me) : kind < 14 ? send_in_place(me) : send_batch(me);
}

static void join_or_fail(struct member *me, enum mring_end end)
{
    struct mring_tuning tuning = me->traffic->tuning;
    int err = mring_mpmc_join(me->ring, &me->end, end);

    if (err != 0)
        fail(mring_errname(err));
    if (end != MRING_READ_END || !(me->ring->layout.mode & MRING_SINGLE_CONSUMER))
        tuning.batch_bytes = 0;
    me->buffer = malloc(mring_mpmc_capacity(me->ring));
    if (me->buffer == NULL || mring_mpmc_tune(&me->end, &tuning) != 0)
        fail("a member cannot be made");
    me->random = mix(me->traffic->seed + 2 * me->index + end) | 1;
}

static void *produce(void *context)
{
    struct member *me = context;
    struct traffic *traffic = me->traffic;
    uint64_t quota = traffic->quota;
    int err = 0;

    join_or_fail(me, MRING_WRITE_END);
    if (traffic->closer == CLOSED_HALFWAY_BY_PRODUCER && me->index == 0)
        quota /= 2;
    for (me->number = 1; me->number <= quota && err != MRING_CLOSED;) {
        err = send(me);
        if (err == MRING_FULL || err == MRING_TIMED_OUT)
            sched_yield();
        else if (err != 0 && err != MRING_CLOSED)
            fail(mring_errname(err));
    }
    if (err == MRING_CLOSED && traffic->closer == CLOSED_BY_LAST_PRODUCER)
        fail("a producer found the ring closed too early");
    /* Release: nothing is published by this, the ring does that. */
    bool last = mring_add_release_u32(&traffic->producing, UINT32_MAX) == 1;
    if (last || quota < traffic->quota)
        mring_mpmc_close(me->ring, MRING_WRITE_END, 42);
    mring_mpmc_leave(&me->end);
    free(me->buffer);
    return NULL;
}

/* ---- consumers ------------------------------------------------------------------------------- */

static void receive(struct member *me, const unsigned char *bytes, size_t size)
{
    struct record record = record_in(bytes, size);
    uint64_t from = record.head & HEAD_FROM, number = record.head >> 8;

    if (size > 0 && from == ABORTED)
        fail("an aborted record came out");
    if (size > 0 && from >= me->traffic->producers)
        fail("a record came out that nobody sent");
    if (size >= 8) {
        if (number <= me->last[from])
            fail("records of one producer came out of order");
        me->last[from] = number;
    }
    if (!is_intact(bytes, size, &record))
        fail("the bytes of a record are not its own");
    enter(&me->traffic->received[me->index], &record, size);
    mring_counter_add(&me->taken, 1);
}

/* Whatever a claim's bytes are, they must not come to mean anything when they are released. */
static void spoil(struct member *me, const struct mring_claim *claim)
{
    struct mring_claim rest = *claim;
    struct record record = { .head = HEAD_IMITATES };
    unsigned char *bytes;
    size_t size;

    while ((bytes = mring_mpmc_next(&me->end, &rest, &size)) != NULL) {
        record.filler = imitation(me, rest.pos);
        fill(bytes, size, &record);
    }
}

/* They stay what they are for as long as they are claimed. */
static void check_again(struct member *me, const struct mring_claim *claim)
{
    struct mring_claim rest = *claim;
    const unsigned char *bytes;
    size_t size;

    while ((bytes = mring_mpmc_next(&me->end, &rest, &size)) != NULL) {
        struct record record = record_in(bytes, size);
        if (size > 0 && (record.head & HEAD_FROM) >= me->traffic->producers)
            fail("a claimed record became another");
        if (!is_intact(bytes, size, &record))
            fail("the bytes of a claimed record changed");
    }
}

static void release_one(struct member *me)
{
    unsigned which = (unsigned)draw(me, me->held_count);
    struct mring_claim claim = me->held[which];

    check_again(me, &claim);
    if (one_in(me, 4))
        spoil(me, &claim);
    mring_mpmc_release(&me->end, &claim);
    me->held[which] = me->held[--me->held_count];
}

/* Who sleeps has nothing in hand that others may sleep for. */
static void release_all(struct member *me)
{
    while (me->held_count > 0)
        release_one(me);
}

static int take_in_place(struct member *me)
{
    size_t most = one_in(me, 2) ? 1 : 1 + (size_t)draw(me, BATCH_MAX), count = 0, seen = 0, size;
    bool waits = me->traffic->timeout_ns != 0 && one_in(me, 2);
    struct mring_claim claim, walk;
    const unsigned char *bytes;
    int err = 0;

    if (waits)
        release_all(me);
    else if (me->held_count == HELD_MAX)
        release_one(me);
    if (waits)
        err = mring_mpmc_claim_wait(&me->end, &claim, most, &count, me->traffic->timeout_ns);
    else
        count = mring_mpmc_claim(&me->end, &claim, most);
    if (err != 0 || count == 0)
        return err != 0 ? err : MRING_EMPTY;
    if (!mring_mpmc_is_apart(&me->ring->layout) && (int64_t)(claim.pos - me->passed) < 0)
        fail("a claim lies before an earlier one");
    me->passed = claim.end;
    for (walk = claim; (bytes = mring_mpmc_next(&me->end, &walk, &size)) != NULL; seen++)
        receive(me, bytes, size);
    if (seen != count || count > most)
        fail("a claim has another number of records");
    me->held[me->held_count++] = claim;
    linger(me);
    return 0;
}

static int take_copy(struct member *me)
{
    bool waits = me->traffic->timeout_ns != 0 && one_in(me, 2);
    size_t room = one_in(me, 2) ? (size_t)draw(me, 100) : mring_mpmc_capacity(me->ring), size;

    if (waits)
        release_all(me);
    int err = waits
                  ? mring_mpmc_pop_wait(&me->end, me->buffer, room, &size, me->traffic->timeout_ns)
                  : mring_mpmc_pop(&me->end, me->buffer, room, &size);
    if ((err == 0 && size > room) || (err == MRING_TOO_LARGE && size <= room))
        fail("pop gave the wrong size");
    if (err == 0)
        receive(me, me->buffer, size);
    /* The others are tried again, with more room sooner or later. */
    return err == MRING_TOO_LARGE ? 0 : err;
}

static int take_batch(struct member *me)
{
    size_t count =
        mring_mpmc_pop_n(&me->end, me->buffer, BATCH_SIZE, 1 + (size_t)draw(me, BATCH_MAX));

    for (size_t i = 0; i < count; i++)
        receive(me, me->buffer + i * BATCH_SIZE, BATCH_SIZE);
    return count > 0 ? 0 : MRING_EMPTY;
}

static int take(struct member *me)
{
    uint64_t kind = draw(me, 16);

    return kind < 7 ? take_copy(me) : kind < 14 ? take_in_place(me) : take_batch(me);
}

/* EOF is for good. */
static void check_eof(struct member *me)
{
    struct mring_claim claim;
    size_t size;

    release_all(me);
    if (mring_mpmc_claim(&me->end, &claim, 1) != 0 ||
        mring_mpmc_pop(&me->end, me->buffer, mring_mpmc_capacity(me->ring), &size) != MRING_EOF ||
        mring_mpmc_claim_wait(&me->end, &claim, 1, NULL, -1) != MRING_EOF)
        fail("something came after the end");
}

static void *consume(void *context)
{
    struct member *me = context;
    struct traffic *traffic = me->traffic;
    bool closes = traffic->closer == CLOSED_HALFWAY_BY_CONSUMER && me->index == 0;
    int err = 0;

    join_or_fail(me, MRING_READ_END);
    me->passed = me->end.pos;
    while (err != MRING_EOF) {
        err = take(me);
        if (closes && mring_load_relaxed_u64(&me->taken) > traffic->quota / 2) {
            mring_mpmc_close(me->ring, MRING_READ_END, 43);
            closes = false;
        }
        if (err != MRING_EMPTY && err != MRING_TIMED_OUT) {
            if (err != 0 && err != MRING_EOF)
                fail(mring_errname(err));
            continue;
        }
        if (me->held_count > 0)
            release_one(me);
        else
            sched_yield();
    }
    check_eof(me);
    mring_mpmc_leave(&me->end);
    free(me->buffer);
    return NULL;
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* Where a run stands in the table of all, and the chances that it takes. */
struct run {
    size_t mode, start, manner;
    uint32_t granule;
    uint64_t capacity;
    uint64_t round;
    struct traffic traffic;
};

static const unsigned modes[] = { 0, MRING_SINGLE_PRODUCER, MRING_SINGLE_CONSUMER,
                                  MRING_SINGLE_PRODUCER | MRING_SINGLE_CONSUMER,
                                  MRING_SKIP_STALLED };
static const char *const mode_names[] = { "mpmc", "spmc", "mpsc", "spsc", "skipping" };
#define MODES (sizeof modes / sizeof modes[0])

/* How members wait. */
static const struct manner {
    const char *name;
    int64_t timeout_ns;
    unsigned flags;
    int64_t spin_ns;
} manners[] = {
    { "tries", 0, 0, 0 },
    { "tries, nowait", 0, MRING_NOWAIT, 0 },
    { "waits", -1, 0, 0 },
    { "waits, never looks", -1, 0, -1 },
    { "waits, fences", -1, MRING_FENCE, -1 },
    { "waits for 20 us", 20000, 0, 0 },
    { "spins for 5 us", 5000, MRING_NOWAIT, 0 },
};
#define MANNERS (sizeof manners / sizeof manners[0])

/* Where the positions begin: as in a new ring; two laps before lap 2^32; before byte 2^64. */
static const char *const start_names[] = { "the start", "lap 2^32", "byte 2^64" };
#define STARTS (sizeof start_names / sizeof start_names[0])

/* What the table leaves open is left to chance. */
static void choose(struct run *run, uint64_t quota)
{
    static const char *const closers[] = { "the last producer", "a producer", "a consumer" };
    unsigned mode = modes[run->mode];
    uint64_t cell = ((run->round * MODES + run->mode) * STARTS + run->start) * 64 + run->granule;
    uint64_t chance = mix(mix(cell + (run->capacity << 20)));

    run->manner = (size_t)((chance >> 8) % MANNERS);
    run->traffic = (struct traffic){
        .quota = quota,
        .producers = mode & MRING_SINGLE_PRODUCER ? 1 : 1 + (unsigned)(chance >> 16) % 4,
        .consumers = mode & MRING_SINGLE_CONSUMER ? 1 : 1 + (unsigned)(chance >> 24) % 4,
        .timeout_ns = manners[run->manner].timeout_ns,
        .tuning = { .spin_ns = manners[run->manner].spin_ns,
                    .batch_bytes = chance >> 40 & 1 ? run->capacity / 8 : 0,
                    .hold_ns = chance >> 41 & 1 ? -1 : 0 },
        .closer = (enum closer)((chance >> 44) % 3),
        .seed = chance,
    };
    if (mode & MRING_SINGLE_PRODUCER && run->traffic.closer == CLOSED_HALFWAY_BY_CONSUMER)
        run->traffic.closer = CLOSED_BY_LAST_PRODUCER; /* or one record might come after EOF */
    mring_store_relaxed_u32(&run->traffic.producing, run->traffic.producers);
    snprintf(run_name, sizeof run_name,
             "%s, granule %u, capacity %llu, from %s, %u x %u, %s, closed by %s, round %llu",
             mode_names[run->mode], run->granule, (unsigned long long)run->capacity,
             start_names[run->start], run->traffic.producers, run->traffic.consumers,
             manners[run->manner].name, closers[run->traffic.closer],
             (unsigned long long)run->round);
}

/* As if the ring had been filled and emptied up to there already. */
static void start_at(struct mring_mpmc *ring, size_t start)
{
    const struct mring_layout *layout = &ring->layout;
    uint64_t capacity = layout->mask + 1, granule = mring_mpmc_granule(layout);
    uint64_t before = 2 * capacity + 10 * granule;
    uint64_t pos = (start == 1 ? capacity << 32 : 0) - before;

    if (start == 0)
        return;
    for (uint64_t at = pos; at != pos + capacity; at += granule)
        mring_store_relaxed_u64(mring_mpmc_word(layout, mring_mpmc_is_apart(layout), at),
                                mring_mpmc_make(layout, at - capacity, MRING_STATE_FREE, 1));
    mring_store_relaxed_u64(&layout->read_side->free_pos, pos);
    mring_store_relaxed_u64(&layout->read_side->pos, pos);
    mring_store_release_u64(&layout->write_side->pos, pos);
}

/* Without a tagname: an anonymous ring. */
static void create_or_fail(struct mring_mpmc *ring, const struct run *run, const char *tagname)
{
    struct mring_args args = { .tagname = tagname,
                               .capacity = run->capacity,
                               .granule = run->granule,
                               .flags = modes[run->mode] | manners[run->manner].flags };
    int err = mring_mpmc_create(ring, &args);

    if (err != 0)
        fail(mring_errname(err));
    start_at(ring, run->start);
}

/*
 * All has been delivered and released: from free_pos on there are free records up to the end, and
 * then nothing that could be taken for one of the lap that would follow.
 */
static void check_remains(const struct mring_mpmc *ring)
{
    const struct mring_layout *layout = &ring->layout;
    bool apart = mring_mpmc_is_apart(layout);
    uint64_t capacity = layout->mask + 1;
    uint64_t free_pos = mring_load_acquire_u64(free_pos_of(layout)), end = free_pos;
    uint64_t write_pos = mring_load_acquire_u64(&layout->write_side->pos);

    while (end - free_pos < capacity) {
        uint64_t word = mring_load_relaxed_u64(mring_mpmc_word(layout, apart, end));
        if (!mring_mpmc_is(layout, end, word, MRING_STATE_FREE))
            break;
        end += mring_mpmc_word_span(layout, apart, word);
    }
    if (!(layout->mode & MRING_SINGLE_PRODUCER) && write_pos != (end | MRING_POS_CLOSED))
        fail("something was left behind");
    for (uint64_t pos = end; pos != end + capacity; pos += mring_mpmc_granule(layout)) {
        uint64_t word = mring_load_relaxed_u64(mring_mpmc_word(layout, apart, pos));
        /* A reservation that came too late stays where it was tried. */
        bool came_too_late =
            apart && pos == end && mring_mpmc_is(layout, pos, word, MRING_STATE_BUSY);
        if (mring_mpmc_is_current(layout, pos, word) && !came_too_late)
            fail("a word of the next lap stands in what is free");
    }
}

/* Returns how many records there were. */
static uint64_t check_tallies(const struct traffic *traffic)
{
    uint64_t total = 0;

    for (unsigned i = 0; i <= PRODUCERS_MAX; i++) {
        struct account sent = { 0, 0 }, received = { 0, 0 };
        for (unsigned j = 0; j < PRODUCERS_MAX; j++) {
            sent.count += traffic->sent[j].from[i].count;
            sent.sum += traffic->sent[j].from[i].sum;
        }
        for (unsigned j = 0; j < CONSUMERS_MAX; j++) {
            received.count += traffic->received[j].from[i].count;
            received.sum += traffic->received[j].from[i].sum;
        }
        if (received.count < sent.count)
            fail("records were lost");
        if (received.count > sent.count)
            fail("records came twice, or from nowhere");
        if (received.sum != sent.sum)
            fail("others came than were sent");
        total += sent.count;
    }
    return total;
}

#endif
