/* SPDX-License-Identifier: MIT */
/*
 * The loops that are timed, for adaptors in C and in C++. Each is a function that takes the queue's
 * put or get as a constant and is always inlined: so the loop is the same text for every queue, and
 * the compiler sees the queue's code inside it.
 *
 * An adaptor names its calls, and an instance of each loop comes out of a macro:
 *
 *      static bool pipe_put(void *end, const void *item, size_t size) ...
 *      static bool pipe_get(void *end, void *item, size_t size) ...
 *      DEFINE_ITEM_LOOPS(pipe, 0, pipe_put, pipe_get)
 *
 *      const struct queue queues_pipe[] = {
 *          { .name = "pipe", .uses = USE_BYTES, ..., .put = pipe_put, .get = pipe_get,
 *            ITEM_LOOPS(pipe) },
 *          { 0 },
 *      };
 *
 * What is checked, at the same cost for every queue: from one producer to one consumer, the first
 * and the last word of each item, and one between that moves on from item to item, are the stamp
 * that its place in the sequence gives; so an item that is lost, repeated, torn or a lap old is
 * found. With several of them, each consumer sees the numbers of each producer rise, and all
 * numbers together have the right sum. Before the run every byte of a lap is compared, and after it
 * the last item (task.c).
 */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include "queue.h"

#include <mring/base.h>
#include <string.h>

#define SPECIALIZED static inline __attribute__((always_inline, unused))

/*
 * Move one item of `size` bytes, in or out; false if there is no room, or nothing, now. `size` is
 * the one that the loops were defined with, or that of the run if it was 0.
 */
typedef bool bench_put(void *end, const void *item, size_t size);
typedef bool bench_get(void *end, void *item, size_t size);

/* Move up to `count` items, in one call if the queue can; returns their number. */
typedef size_t bench_put_batch(void *end, const void *items, size_t count, size_t size);
typedef size_t bench_get_batch(void *end, void *items, size_t count, size_t size);

/*
 * Room for, or sight of, up to *count items in place; NULL if there is none now. *count becomes
 * what there is. Then publish, or give back, all of them.
 */
typedef void *bench_reserve(void *end, size_t *count, size_t size);
typedef void bench_commit(void *end, size_t count, size_t size);
typedef const void *bench_peek(void *end, size_t *count, size_t size);
typedef void bench_release(void *end, size_t count, size_t size);

/* ---- what is sent, and what has to arrive ---------------------------------------------------- */

#define STAMP_STEP UINT64_C(0x9e3779b97f4a7c15)

/* The items of the source, one after the other, for ever. */
struct feed {
    const unsigned char *item;
    const unsigned char *end;
    size_t bytes;
};

SPECIALIZED struct feed feed_start(const struct share *share, size_t size)
{
    size_t bytes = share->source_count * size;
    struct feed feed = { share->source, share->source + bytes, bytes };

    return feed;
}

/* On by `count` items, at most a batch. */
SPECIALIZED void feed_next(struct feed *feed, size_t count, size_t size)
{
    feed->item += count * size;
    if (feed->item >= feed->end)
        feed->item -= feed->bytes;
}

/* The stamps of these items. */
struct stamps {
    uint64_t stamp;
    uint64_t last_stamp;
    uint64_t mismatch;
    size_t offset; /* of the word between */
};

SPECIALIZED struct stamps stamps_start(const struct share *share)
{
    struct stamps stamps = { STAMP_STEP, STAMP_STEP * share->source_count, 0, 0 };

    return stamps;
}

SPECIALIZED void stamps_next(struct stamps *stamps)
{
    stamps->stamp = stamps->stamp == stamps->last_stamp ? STAMP_STEP : stamps->stamp + STAMP_STEP;
}

SPECIALIZED void stamps_check(struct stamps *stamps, const void *item, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)item;
    uint64_t head, middle, tail;

    memcpy(&head, bytes, sizeof head);
    memcpy(&tail, bytes + size - sizeof tail, sizeof tail);
    stamps->mismatch |= (head ^ stamps->stamp) | (tail ^ stamps->stamp);
    if (size > 16) {
        memcpy(&middle, bytes + stamps->offset, sizeof middle);
        stamps->mismatch |= middle ^ stamps->stamp;
        stamps->offset += sizeof middle;
        if (stamps->offset > size - 2 * sizeof tail)
            stamps->offset = 0;
    }
    stamps_next(stamps);
}

/* ---- polling --------------------------------------------------------------------------------- */

/*
 * Try until it worked, and count the tries that did not, of which there were `polls` before. False
 * if the run has failed, or is over.
 */
SPECIALIZED bool put_trying(struct share *share, const void *item, size_t size, bench_put *put,
                            uint64_t *failed, uint64_t polls)
{
    while (!put(share->end, item, size)) {
        if (!bench_idle(&share->pace, ++polls))
            return false;
    }
    *failed += polls;
    return true;
}

SPECIALIZED bool get_trying(struct share *share, void *item, size_t size, bench_get *get,
                            uint64_t *failed, uint64_t polls)
{
    while (!get(share->end, item, size)) {
        if (!bench_idle(&share->pace, ++polls))
            return false;
    }
    *failed += polls;
    return true;
}

/* The same where it works most often at once: then nothing is counted and no register needed. */
SPECIALIZED bool put_polling(struct share *share, const void *item, size_t size, bench_put *put,
                             uint64_t *failed)
{
    return MRING_LIKELY(put(share->end, item, size)) ||
           (bench_idle(&share->pace, 1) && put_trying(share, item, size, put, failed, 1));
}

SPECIALIZED bool get_polling(struct share *share, void *item, size_t size, bench_get *get,
                             uint64_t *failed)
{
    return MRING_LIKELY(get(share->end, item, size)) ||
           (bench_idle(&share->pace, 1) && get_trying(share, item, size, get, failed, 1));
}

/* The same for batches: how many; 0 as above. */
SPECIALIZED size_t put_batch_polling(struct share *share, const void *items, size_t count,
                                     size_t size, bench_put_batch *put, uint64_t *failed)
{
    uint64_t polls = 0;
    size_t done;

    while ((done = put(share->end, items, count, size)) == 0) {
        if (!bench_idle(&share->pace, ++polls))
            return 0;
    }
    *failed += polls;
    return done;
}

SPECIALIZED size_t get_batch_polling(struct share *share, void *items, size_t count, size_t size,
                                     bench_get_batch *get, uint64_t *failed)
{
    uint64_t polls = 0;
    size_t done;

    while ((done = get(share->end, items, count, size)) == 0) {
        if (!bench_idle(&share->pace, ++polls))
            return 0;
    }
    *failed += polls;
    return done;
}

/* At most a batch. */
SPECIALIZED size_t next_batch(const struct share *share, uint64_t left)
{
    return left < share->batch ? (size_t)left : share->batch;
}

/* ---- one producer, one consumer -------------------------------------------------------------- */

SPECIALIZED void produce_loop(struct share *share, size_t size, bench_put *put)
{
    struct feed feed = feed_start(share, size);
    uint64_t failed = 0;

    for (uint64_t left = share->count; left > 0; left--) {
        if (!put_polling(share, feed.item, size, put, &failed))
            break;
        feed_next(&feed, 1, size);
    }
    share->failed_polls = failed;
}

SPECIALIZED void consume_loop(struct share *share, size_t size, bench_get *get)
{
    struct stamps stamps = stamps_start(share);
    uint64_t failed = 0;

    for (uint64_t left = share->count; left > 0; left--) {
        if (!get_polling(share, share->destination, size, get, &failed))
            break;
        /* The copy is what is measured: the compiler may not read around it. */
        mring_alias_barrier();
        stamps_check(&stamps, share->destination, size);
    }
    share->failed_polls = failed;
    share->mismatch = stamps.mismatch;
}

SPECIALIZED void produce_batches_loop(struct share *share, size_t size, bench_put_batch *put)
{
    struct feed feed = feed_start(share, size);
    uint64_t failed = 0;
    size_t done;

    for (uint64_t left = share->count; left > 0; left -= done) {
        done = put_batch_polling(share, feed.item, next_batch(share, left), size, put, &failed);
        if (done == 0)
            break;
        feed_next(&feed, done, size);
    }
    share->failed_polls = failed;
}

SPECIALIZED void consume_batches_loop(struct share *share, size_t size, bench_get_batch *get)
{
    struct stamps stamps = stamps_start(share);
    uint64_t failed = 0;
    size_t done;

    for (uint64_t left = share->count; left > 0; left -= done) {
        done = get_batch_polling(share, share->destination, next_batch(share, left), size, get,
                                 &failed);
        if (done == 0)
            break;
        mring_alias_barrier();
        for (size_t i = 0; i < done; i++)
            stamps_check(&stamps, share->destination + i * size, size);
    }
    share->failed_polls = failed;
    share->mismatch = stamps.mismatch;
}

/* In place: the stamp is written where the item will be read, and nothing is copied. */
SPECIALIZED void produce_spans_loop(struct share *share, size_t size, bench_reserve *reserve,
                                    bench_commit *commit)
{
    struct stamps stamps = stamps_start(share);
    uint64_t polls = 0;
    uint64_t failed = 0;

    for (uint64_t left = share->count; left > 0;) {
        size_t count = next_batch(share, left);
        unsigned char *room = (unsigned char *)reserve(share->end, &count, size);
        if (room == NULL) {
            failed++;
            if (!bench_idle(&share->pace, ++polls))
                break;
            continue;
        }
        polls = 0;
        for (size_t i = 0; i < count; i++) {
            memcpy(room + i * size, &stamps.stamp, sizeof stamps.stamp);
            memcpy(room + (i + 1) * size - sizeof stamps.stamp, &stamps.stamp, sizeof stamps.stamp);
            stamps_next(&stamps);
        }
        commit(share->end, count, size);
        left -= count;
    }
    share->failed_polls = failed;
}

SPECIALIZED void consume_spans_loop(struct share *share, size_t size, bench_peek *peek,
                                    bench_release *release)
{
    struct stamps stamps = stamps_start(share);
    uint64_t polls = 0;
    uint64_t failed = 0;

    for (uint64_t left = share->count; left > 0;) {
        size_t count = next_batch(share, left);
        const unsigned char *items = (const unsigned char *)peek(share->end, &count, size);
        if (items == NULL) {
            failed++;
            if (!bench_idle(&share->pace, ++polls))
                break;
            continue;
        }
        polls = 0;
        for (size_t i = 0; i < count; i++)
            stamps_check(&stamps, items + i * size, size);
        release(share->end, count, size);
        left -= count;
    }
    share->failed_polls = failed;
    share->mismatch = stamps.mismatch;
}

/* ---- many producers, many consumers ---------------------------------------------------------- */

/*
 * The n-th item of a producer is its number above n; n begins with 1, since some queues keep 0 for
 * themselves.
 */
#define PRODUCER_SHIFT 48

struct order {
    uint64_t last[PRODUCERS_MAX]; /* of each producer */
    uint64_t mismatch;
    uint64_t sum;
};

SPECIALIZED void order_check(struct order *order, uint64_t item)
{
    uint64_t *last = &order->last[(item >> PRODUCER_SHIFT) % PRODUCERS_MAX];

    order->mismatch |= item <= *last;
    *last = item;
    order->sum += item;
}

SPECIALIZED void order_finish(const struct order *order, struct share *share, uint64_t failed,
                              uint64_t left)
{
    share->failed_polls = failed;
    share->mismatch = order->mismatch;
    share->sum = order->sum;
    share->moved = share->count - left;
}

SPECIALIZED uint64_t first_number(const struct share *share)
{
    return ((uint64_t)share->producer << PRODUCER_SHIFT) + 1;
}

SPECIALIZED void produce_many_loop(struct share *share, bench_put *put)
{
    uint64_t item = first_number(share);
    uint64_t failed = 0;
    uint64_t left = share->count;

    for (; left > 0; left--, item++) {
        if (bench_is_over(&share->pace) || !put_polling(share, &item, sizeof item, put, &failed))
            break;
    }
    share->failed_polls = failed;
    share->moved = share->count - left;
}

SPECIALIZED void consume_many_loop(struct share *share, bench_get *get)
{
    struct order order = { { 0 }, 0, 0 };
    uint64_t failed = 0;
    uint64_t left = share->count;
    uint64_t item;

    for (; left > 0; left--) {
        if (bench_is_over(&share->pace) || !get_polling(share, &item, sizeof item, get, &failed))
            break;
        order_check(&order, item);
    }
    order_finish(&order, share, failed, left);
}

#define BATCH_MAX 256

SPECIALIZED void produce_many_batches_loop(struct share *share, bench_put_batch *put)
{
    uint64_t item = first_number(share);
    uint64_t failed = 0;
    uint64_t left = share->count;
    uint64_t items[BATCH_MAX];
    size_t done;

    for (; left > 0 && !bench_is_over(&share->pace); left -= done) {
        size_t count = next_batch(share, left);
        for (size_t i = 0; i < count; i++)
            items[i] = item + i;
        done = put_batch_polling(share, items, count, sizeof item, put, &failed);
        if (done == 0)
            break;
        item += done;
    }
    share->failed_polls = failed;
    share->moved = share->count - left;
}

SPECIALIZED void consume_many_batches_loop(struct share *share, bench_get_batch *get)
{
    struct order order = { { 0 }, 0, 0 };
    uint64_t failed = 0;
    uint64_t left = share->count;
    uint64_t items[BATCH_MAX];
    size_t done;

    for (; left > 0 && !bench_is_over(&share->pace); left -= done) {
        done =
            get_batch_polling(share, items, next_batch(share, left), sizeof items[0], get, &failed);
        if (done == 0)
            break;
        for (size_t i = 0; i < done; i++)
            order_check(&order, items[i]);
    }
    order_finish(&order, share, failed, left);
}

/* ---- records of 16 to 256 bytes -------------------------------------------------------------- */

#define RECORD_MIN 16
#define RECORD_MAX 256

/* The length is in the number's producer's own sequence, so that both sides know it. */
SPECIALIZED size_t record_size(uint64_t number)
{
    return RECORD_MIN + (size_t)(number * STAMP_STEP >> 32) % (RECORD_MAX - RECORD_MIN + 1);
}

/* Where a record has its number once more; at the beginning if there is no room between. */
SPECIALIZED size_t record_middle(size_t size)
{
    return size < 24 ? 0 : 8 + (size - 24) / 2;
}

/*
 * A record begins and ends with its number, and has it in the middle. `size` is its length for
 * bench_put, and the room for bench_get: the record says by itself how long it is.
 */
SPECIALIZED void produce_records_loop(struct share *share, bench_put *put)
{
    unsigned char record[RECORD_MAX] = { 0 };
    uint64_t number = first_number(share);
    uint64_t failed = 0;
    uint64_t left = share->count;

    for (; left > 0; left--, number++) {
        size_t size = record_size(number);
        memcpy(record, &number, sizeof number);
        memcpy(record + record_middle(size), &number, sizeof number);
        memcpy(record + size - sizeof number, &number, sizeof number);
        if (bench_is_over(&share->pace) || !put_polling(share, record, size, put, &failed))
            break;
    }
    share->failed_polls = failed;
    share->moved = share->count - left;
}

SPECIALIZED void consume_records_loop(struct share *share, bench_get *get)
{
    struct order order = { { 0 }, 0, 0 };
    uint64_t failed = 0;
    uint64_t left = share->count;
    uint64_t number, middle, tail;

    for (; left > 0; left--) {
        if (bench_is_over(&share->pace) ||
            !get_polling(share, share->destination, RECORD_MAX, get, &failed))
            break;
        mring_alias_barrier();
        memcpy(&number, share->destination, sizeof number);
        size_t size = record_size(number);
        memcpy(&middle, share->destination + record_middle(size), sizeof middle);
        memcpy(&tail, share->destination + size - sizeof tail, sizeof tail);
        order.mismatch |= (number ^ middle) | (number ^ tail);
        order_check(&order, number);
    }
    order_finish(&order, share, failed, left);
}

/* ---- round trips ----------------------------------------------------------------------------- */

#define ROUND_TRIP_MAX 256 /* bytes */

/* So many trips, which bring lines and pages home, are not timed one by one. */
#define TRIPS_BEFORE 8

/* The item comes back as it was sent. `end` is the way out, `back` the way home. */
SPECIALIZED void ping_loop(struct share *share, size_t size, bench_put *put, bench_get *get)
{
    unsigned char out[ROUND_TRIP_MAX] = { 0 };
    unsigned char home[ROUND_TRIP_MAX] = { 0 };
    struct share homeward = *share;
    uint64_t mismatch = 0;
    uint64_t failed = 0;
    uint64_t before = 0;

    homeward.end = share->back;
    for (uint64_t number = 1; number <= share->count; number++) {
        memcpy(out, &number, sizeof number);
        if (!put_trying(share, out, size, put, &failed, 0) ||
            !get_trying(&homeward, home, size, get, &failed, 0))
            break;
        mismatch |= memcmp(out, home, size) != 0;
        if (share->latency != NULL) {
            uint64_t now = bench_ticks();
            if (number > TRIPS_BEFORE)
                latency_add(share->latency, now - before);
            before = now;
        }
    }
    share->failed_polls = failed;
    share->mismatch = mismatch;
}

SPECIALIZED void pong_loop(struct share *share, size_t size, bench_put *put, bench_get *get)
{
    unsigned char item[ROUND_TRIP_MAX] = { 0 };
    struct share homeward = *share;
    uint64_t failed = 0;

    homeward.end = share->back;
    for (uint64_t left = share->count; left > 0; left--) {
        if (!get_trying(share, item, size, get, &failed, 0) ||
            !put_trying(&homeward, item, size, put, &failed, 0))
            break;
    }
    share->failed_polls = failed;
}

/* ---- wake-ups -------------------------------------------------------------------------------- */

/*
 * The item is the time at which it was put. The waker waits until the sleeper said that it goes to
 * sleep, and for a while longer, so that it does.
 */
SPECIALIZED void wake_loop(struct share *share, bench_put *put)
{
    uint64_t failed = 0;

    for (uint64_t number = 1; number <= share->count; number++) {
        if (!bench_let_sleep(&share->pace, share->sleeping, number))
            break;
        uint64_t now = bench_ticks();
        if (!put_trying(share, &now, sizeof now, put, &failed, 0))
            break;
    }
    share->failed_polls = failed;
}

SPECIALIZED void sleep_loop(struct share *share, bench_get *get)
{
    uint64_t failed = 0;
    uint64_t mismatch = 0;
    uint64_t before = bench_ticks();
    uint64_t sent;

    for (uint64_t number = 1; number <= share->count; number++) {
        /* Pairs with the load in bench_let_sleep(). */
        mring_store_release_u64(share->sleeping, number);
        if (!get_trying(share, &sent, sizeof sent, get, &failed, 0))
            break;
        uint64_t now = bench_ticks();
        mismatch |= sent < before || sent > now;
        latency_add(share->latency, now - sent);
        before = sent;
    }
    share->failed_polls = failed;
    share->mismatch = mismatch;
}

/* ---- instances ------------------------------------------------------------------------------- */

/*
 * Items of a few words have a constant size in most programs, and their copy is then a few
 * instructions; for longer ones the call of memcpy() does not matter.
 */
#define BY_SIZE(share, fixed, call)                                                                \
    do {                                                                                           \
        size_t size = (fixed) != 0 ? (fixed) : (share)->item_bytes;                                \
        if (size == 8) {                                                                           \
            size = 8;                                                                              \
            call;                                                                                  \
        } else if (size == 16) {                                                                   \
            size = 16;                                                                             \
            call;                                                                                  \
        } else if (size == 64) {                                                                   \
            size = 64;                                                                             \
            call;                                                                                  \
        } else if (size == 256) {                                                                  \
            size = 256;                                                                            \
            call;                                                                                  \
        } else {                                                                                   \
            call;                                                                                  \
        }                                                                                          \
    } while (0)

#define DEFINE_SIZED_LOOP(name, fixed, call)                                                       \
    static void name(struct share *share)                                                          \
    {                                                                                              \
        BY_SIZE(share, fixed, call);                                                               \
    }

#define DEFINE_LOOP(name, call)                                                                    \
    static void name(struct share *share)                                                          \
    {                                                                                              \
        call;                                                                                      \
    }

/* Items of `fixed` bytes, or of any size if it is 0. */
#define DEFINE_ITEM_LOOPS(name, fixed, put, get)                                                   \
    DEFINE_SIZED_LOOP(name##_produce, fixed, produce_loop(share, size, put))                       \
    DEFINE_SIZED_LOOP(name##_consume, fixed, consume_loop(share, size, get))
#define ITEM_LOOPS(name) .produce = name##_produce, .consume = name##_consume

#define DEFINE_BATCH_LOOPS(name, fixed, put, get)                                                  \
    DEFINE_SIZED_LOOP(name##_produce_batches, fixed, produce_batches_loop(share, size, put))       \
    DEFINE_SIZED_LOOP(name##_consume_batches, fixed, consume_batches_loop(share, size, get))
#define BATCH_LOOPS(name)                                                                          \
    .produce_batches = name##_produce_batches, .consume_batches = name##_consume_batches

#define DEFINE_SPAN_LOOPS(name, fixed, reserve, commit, peek, release)                             \
    DEFINE_SIZED_LOOP(name##_produce_spans, fixed,                                                 \
                      produce_spans_loop(share, size, reserve, commit))                            \
    DEFINE_SIZED_LOOP(name##_consume_spans, fixed, consume_spans_loop(share, size, peek, release))
#define SPAN_LOOPS(name)                                                                           \
    .produce_spans = name##_produce_spans, .consume_spans = name##_consume_spans

#define DEFINE_ROUND_TRIP_LOOPS(name, fixed, put, get)                                             \
    DEFINE_SIZED_LOOP(name##_ping, fixed, ping_loop(share, size, put, get))                        \
    DEFINE_SIZED_LOOP(name##_pong, fixed, pong_loop(share, size, put, get))
#define ROUND_TRIP_LOOPS(name) .ping = name##_ping, .pong = name##_pong

/* Numbers of 8 bytes, from many to many. */
#define DEFINE_MANY_LOOPS(name, put, get)                                                          \
    DEFINE_LOOP(name##_produce_many, produce_many_loop(share, put))                                \
    DEFINE_LOOP(name##_consume_many, consume_many_loop(share, get))
#define MANY_LOOPS(name) .produce = name##_produce_many, .consume = name##_consume_many

#define DEFINE_MANY_BATCH_LOOPS(name, put, get)                                                    \
    DEFINE_LOOP(name##_produce_many_batches, produce_many_batches_loop(share, put))                \
    DEFINE_LOOP(name##_consume_many_batches, consume_many_batches_loop(share, get))
#define MANY_BATCH_LOOPS(name)                                                                     \
    .produce_batches = name##_produce_many_batches, .consume_batches = name##_consume_many_batches

#define DEFINE_RECORD_LOOPS(name, put, get)                                                        \
    DEFINE_LOOP(name##_produce_records, produce_records_loop(share, put))                          \
    DEFINE_LOOP(name##_consume_records, consume_records_loop(share, get))
#define RECORD_LOOPS(name) .produce = name##_produce_records, .consume = name##_consume_records

#define DEFINE_WAKE_LOOPS(name, put, get)                                                          \
    DEFINE_LOOP(name##_wake, wake_loop(share, put))                                                \
    DEFINE_LOOP(name##_sleep, sleep_loop(share, get))
#define WAKE_LOOPS(name) .wake = name##_wake, .sleep = name##_sleep

#endif
