/* SPDX-License-Identifier: MIT */
/*
 * A lost wake-up hangs: two threads hand bytes over, one at a time, and sleep whenever they can,
 * for as long as it takes. The library's own sleepers look around after a while, which would hide
 * it; here src/spsc.c is compiled once more, without that.
 *
 *      handoffs [count]     hand over so many bytes in each of the manners
 */
#define MRING_WAIT_SLICE_NS INT64_MAX
#include "../../src/spsc.c"
#include "../../src/waiter.c"

#include "under_tsan.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* What both ends do before they sleep, and who pays for fences. */
static const struct manner {
    const char *name;
    unsigned flags;
    int64_t spin_ns;
    uint64_t batch_bytes;
    size_t step;   /* bytes that a wait asks for */
    bool lockstep; /* the producer waits until each byte has been taken: both sleep all the time */
} manners[] = {
    { "never look, barriers", 0, -1, 0, 1, false },
    { "never look, fences", MRING_FENCE, -1, 0, 1, false },
    { "look for 1 us, barriers", 0, 1000, 0, 1, false },
    { "look for 1 us, fences", MRING_FENCE, 1000, 0, 1, false },
    { "learn, barriers", 0, 0, 0, 1, false },
    { "batches, barriers", 0, -1, 100, 1, false },
    { "half a ring at a time, barriers", 0, -1, 0, 2048, false },
    { "in lockstep, barriers", 0, -1, 0, 1, true },
    { "in lockstep, fences", MRING_FENCE, -1, 0, 1, true },
    { "in lockstep, look for 1 us, barriers", 0, 1000, 0, 1, true },
    { "in lockstep, look for 1 us, fences", MRING_FENCE, 1000, 0, 1, true },
};

/* In lockstep, each byte takes two sleeps. */
#define LOCKSTEP_SHARE 100

struct exchange {
    struct mring_spsc ring;
    const struct manner *manner;
    uint64_t count;
    uint64_t mismatches;
    struct mring_stats sent, received;
};

static unsigned char byte_at(uint64_t pos)
{
    return (unsigned char)(pos * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

static void *produce(void *context)
{
    struct exchange *exchange = context;
    struct mring_spsc *ring = &exchange->ring;

    for (uint64_t pos = 0; pos < exchange->count; pos++) {
        unsigned char byte = byte_at(pos);
        while (!mring_spsc_push(ring, &byte, 1))
            if (mring_spsc_wait_writable(ring, exchange->manner->step, -1) != 0)
                return NULL;
        if (exchange->manner->lockstep &&
            mring_spsc_wait_writable(ring, mring_spsc_capacity(ring), -1) != 0)
            return NULL;
    }
    mring_spsc_close(ring, MRING_WRITE_END, 0);
    mring_spsc_stats(ring, MRING_WRITE_END, &exchange->sent);
    return NULL;
}

/* At the end there may be less than a step: then what is left is taken. */
static void *consume(void *context)
{
    struct exchange *exchange = context;
    struct mring_spsc *ring = &exchange->ring;

    for (uint64_t pos = 0; pos < exchange->count; pos++) {
        unsigned char byte;
        while (!mring_spsc_pop(ring, &byte, 1)) {
            int err = mring_spsc_wait_readable(ring, exchange->manner->step, -1);
            if (err != 0 && err != MRING_EOF)
                return NULL;
        }
        exchange->mismatches += byte != byte_at(pos);
    }
    mring_spsc_stats(ring, MRING_READ_END, &exchange->received);
    return NULL;
}

static bool run(const struct manner *manner, uint64_t count)
{
    if (manner->lockstep)
        count = count / LOCKSTEP_SHARE + 1;

    struct exchange exchange = { .manner = manner, .count = count };
    struct mring_tuning tuning = { .spin_ns = manner->spin_ns, .batch_bytes = manner->batch_bytes };
    struct mring_args args = { .capacity = mring_capacity(1, 0), .flags = manner->flags };
    pthread_t producer, consumer;

    if (mring_spsc_create(&exchange.ring, &args) != 0 ||
        mring_spsc_tune(&exchange.ring, MRING_WRITE_END, &tuning) != 0 ||
        mring_spsc_tune(&exchange.ring, MRING_READ_END, &tuning) != 0 ||
        pthread_create(&producer, NULL, produce, &exchange) != 0 ||
        pthread_create(&consumer, NULL, consume, &exchange) != 0)
        abort();
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    mring_spsc_destroy(&exchange.ring);

    bool good = exchange.sent.bytes == count && exchange.received.bytes == count &&
                exchange.mismatches == 0;
    printf("%s: %llu handed over, slept %llu + %llu times, woke %llu + %llu times%s\n",
           manner->name, (unsigned long long)exchange.received.bytes,
           (unsigned long long)exchange.sent.sleeps, (unsigned long long)exchange.received.sleeps,
           (unsigned long long)exchange.sent.wakes, (unsigned long long)exchange.received.wakes,
           good ? "" : ": FAILED");
    fflush(stdout);
    return good;
}

int main(int argc, char **argv)
{
    const uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : UNDER_TSAN ? 100000 : 3000000;
    unsigned passed = 0, failed = 0;

    for (size_t i = 0; i < sizeof manners / sizeof manners[0]; i++) {
        if (run(&manners[i], count))
            passed++;
        else
            failed++;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
