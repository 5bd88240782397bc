/* SPDX-License-Identifier: MIT */
/*
 * The hot path of the record ring, in every mode. The ring has two granules. It is full of one
 * record (or two: TWO) to begin with, whose bytes, at its second granule, are those of the word of
 * a record of the next lap. Consumers claim and release; producers push records of one granule over
 * it.
 *
 * Checked: no data race on the bytes; each record that was committed comes out once, and whole;
 * nothing else comes out; each consumer sees each producer's records in order. Positions run over
 * 2^64, laps over 2^32.
 *
 * Options:
 *   MODE        enum mring_flags; default 0
 *   PRODUCERS, CONSUMERS   1 or 2 of each
 *   PUSHES, CLAIMS         tries of each; default 1 and 2
 *   BATCH       claims are of up to so many records; default 1
 *   ABORT       the first producer gives its first reservation up, after it has written there
 *   LONG        producers' records take two granules and imitate, too
 *   TWO         the ring is full of two records of one granule instead
 *   COPY        by push and pop, or, with BATCH, push_n and pop_n, instead of in place
 *   STALL       (MRING_SKIP_STALLED) the first producer stops behind its reservation; all that the
 *               second one pushes comes out, and in the end, when the first one goes on, its record
 *
 * Controls that must fail: BREAK_P3, C2, C4, P1 in every mode; SCRUB, C1, C3 with two consumers; C6
 * with two and TWO; R2, R1 with that and two pushes (but with MRING_SKIP_STALLED, S1 reads the
 * words that R1 did); P2 with two producers; GIVE_UP with ABORT and LONG; S2 where stalled ones are
 * skipped, and two consumers.
 */
#include "mpmc_model.h"

#ifndef PRODUCERS
#define PRODUCERS 1
#endif
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#ifndef PUSHES
#define PUSHES 1
#endif
#ifndef CLAIMS
#define CLAIMS 2
#endif
#ifndef BATCH
#define BATCH 1
#endif
#ifdef LONG
enum { LENGTH = 24 };
#else
enum { LENGTH = 8 };
#endif

#ifdef TWO
#ifdef LONG
#error "TWO is of small records"
#endif
enum { FIRST_LENGTH = 8 };
#else
enum { FIRST_LENGTH = 24 };
#endif

/* A record's first word is its producer's number and its own; the first record is number 0 of 0. */
enum { RECORDS = 4 };
_Static_assert(PUSHES + (FIRST_LENGTH == 8) < RECORDS, "numbers of records");

static unsigned sent[2], received[2][2][RECORDS], last[2][2];

/* What is at the second granule of a record of 24 bytes: a record of the next lap, or this one. */
static uint64_t imitate(uint64_t pos)
{
    return mring_mpmc_make(&producers[0].layout, pos + GRANULE, MRING_STATE_READY, 8);
}

static size_t length_of(uint64_t number)
{
    return number == 0 ? FIRST_LENGTH : LENGTH;
}

/* The memory is one of words, so that they can be written one by one. */
static void fill(uint64_t *room, uint64_t number, uint64_t pos)
{
    room[0] = number;
    if (length_of(number) > 8) {
        mring_store_relaxed_u64((mring_atomic_u64 *)(room + 1), imitate(pos));
        room[2] = number;
    }
}

#ifdef COPY
static uint64_t records[2][3];

static void produce(unsigned who)
{
    struct mring_mpmc_end *producer = &producers[who];

    for (unsigned i = 0; i < PUSHES; i++) {
        records[who][0] = who << 8 | (sent[who] + 1);
        records[who][1] = imitate(START_POS + CAPACITY);
        records[who][2] = records[who][0];
        if (BATCH > 1 ? mring_mpmc_push_n(producer, records[who], LENGTH, 1) == 1
                      : mring_mpmc_push(producer, records[who], LENGTH) == 0)
            sent[who]++;
    }
}
#else
static void produce(unsigned who)
{
    struct mring_mpmc_end *producer = &producers[who];

    for (unsigned i = 0; i < PUSHES; i++) {
        uint64_t *room = mring_mpmc_reserve(producer, LENGTH);
        if (room == NULL)
            continue;
#ifdef STALL
        if (who == 0)
            return;
#endif
#ifdef ABORT
        if (who == 0 && i == 0) {
            fill(room, 3, producer->pos + CAPACITY);
            mring_mpmc_abort(producer);
            continue;
        }
#endif
        sent[who]++;
        fill(room, who << 8 | sent[who], producer->pos + CAPACITY);
        mring_mpmc_commit(producer, LENGTH);
    }
}
#endif

static void receive(unsigned who, const uint64_t *record, size_t size)
{
    uint64_t number = record[0];
    unsigned producer = number >> 8 & 1, own = number & (RECORDS - 1);

    model_require(number >> 9 == 0 && (number & 0xff) < RECORDS, "nothing else comes out");
    model_require(size == length_of(number), "records come whole");
    if (number != 0) {
        model_require(own > last[who][producer], "a producer's records come in order");
        last[who][producer] = own;
    }
    received[who][producer][own]++;
}

#ifdef COPY
static uint64_t buffers[2][3 * BATCH];

static void consume_some(unsigned who, unsigned tries)
{
    static size_t sizes[2];

    for (unsigned i = 0; i < tries; i++) {
        if (BATCH > 1) {
            size_t count = mring_mpmc_pop_n(&consumers[who], buffers[who], LENGTH, BATCH);
            for (size_t k = 0; k < count; k++)
                receive(who, buffers[who] + k * LENGTH / 8, LENGTH);
            if (count > 0)
                continue;
        }
        if (mring_mpmc_pop(&consumers[who], buffers[who], 24, &sizes[who]) == 0)
            receive(who, buffers[who], sizes[who]);
    }
}
#else
static void consume_some(unsigned who, unsigned tries)
{
    struct mring_mpmc_end *consumer = &consumers[who];
    struct mring_claim *claim = &claims[who];
    static size_t sizes[2];

    for (unsigned i = 0; i < tries; i++) {
        if (mring_mpmc_claim(consumer, claim, BATCH) == 0)
            continue;
        const uint64_t *record;
        while ((record = mring_mpmc_next(consumer, claim, &sizes[who])) != NULL)
            receive(who, record, sizes[who]);
        mring_mpmc_release(consumer, claim);
    }
}
#endif

static void *produce_first(void *context)
{
    produce(0);
    return context;
}

static void *produce_second(void *context)
{
    produce(1);
    return context;
}

static void *consume_first(void *context)
{
    consume_some(0, CLAIMS);
    return context;
}

static void *consume_second(void *context)
{
    consume_some(1, 1);
    return context;
}

static void scenario(void)
{
    static void *(*const starts[])(void *) = { produce_first, PRODUCERS > 1 ? produce_second : NULL,
                                               consume_first,
                                               CONSUMERS > 1 ? consume_second : NULL };

    reset_ring(MRING_FENCING_NONE);
    for (unsigned i = 0; i < 2; i++) {
        sent[i] = 0;
        for (unsigned j = 0; j < 2; j++) {
            last[i][j] = 0;
            for (unsigned k = 0; k < RECORDS; k++)
                received[i][j][k] = 0;
        }
    }
    for (uint64_t i = 0; i * (FIRST_LENGTH + 8) < CAPACITY; i++) {
        uint64_t *room = mring_mpmc_reserve(&producers[0], FIRST_LENGTH);
        model_require(room != NULL, "an empty ring has room");
        fill(room, i, START_POS + CAPACITY);
        mring_mpmc_commit(&producers[0], FIRST_LENGTH);
        sent[0] = (unsigned)i;
    }

    model_run_all(starts, 4);

    consume_some(0, RECORDS);
#ifdef STALL
    for (unsigned k = 1; k <= sent[1]; k++)
        model_require(received[0][1][k] + received[1][1][k] == 1, "what follows comes out");
    if (producers[0].span != 0) {
        sent[0] = 1;
        fill((uint64_t *)mring_mpmc_bytes(&ring.layout, true, producers[0].pos), 1, 0);
        mring_mpmc_commit(&producers[0], LENGTH);
        consume_some(0, 1);
    }
#endif
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < RECORDS; k++) {
            bool was_sent = (i == 0 && k == 0) || (k > 0 && k <= sent[i]);
            model_require(received[0][i][k] + received[1][i][k] == was_sent,
                          "what was committed comes out once, and nothing else");
        }
}

int main(void)
{
    return model_main(scenario);
}
