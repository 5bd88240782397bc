/* SPDX-License-Identifier: MIT */
/*
 * A producer and a consumer thread move a stream through a byte ring in spans of random size. Every
 * byte is a function of its position, so that a lost, repeated, stale or torn byte shows.
 *
 * Under ThreadSanitizer, which takes the copies of a mirror for different memory, no span leaves
 * the first copy; it then sees every access at its canonical address.
 *
 *      spsc_stress [times]     run so many times the usual number of bytes
 */
#define _POSIX_C_SOURCE 200809L

#include "under_tsan.h"

#include <mring/spsc.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

/* How a side finds out that there is something to do, and when it tells the other. */
static const struct manner {
    const char *name;
    bool waits; /* or tries, over and over again */
    unsigned flags;
    unsigned batch_share; /* of the capacity, for both ends; 0: everything at once */
} manners[] = {
    { "waits", true, 0, 0 },
    { "waits, fences", true, MRING_FENCE, 0 },
    { "waits, batches", true, 0, 8 },
    { "tries", false, 0, 0 },
    { "tries, batches", false, MRING_NOWAIT, 3 },
    { "spins in wait", true, MRING_NOWAIT, 0 },
};

struct stream {
    struct mring_spsc ring;
    uint64_t start_pos;
    uint64_t total; /* bytes to move */
    const struct manner *manner;
    uint64_t sum_sent;
    uint64_t sum_received;
    const char *failure; /* the consumer's */
};

static unsigned char byte_at(uint64_t pos)
{
    return (unsigned char)(pos * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

/* Marsaglia's xorshift64. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Mostly small, sometimes all of `limit`: 1 .. limit. */
static size_t random_size(uint64_t *state, uint64_t limit)
{
    uint64_t draw = random_next(state);
    uint64_t most;

    switch (draw & 7) {
    case 0:
        return (size_t)limit;
    case 1:
        most = limit;
        break;
    default:
        most = limit < 256 ? limit : 256;
        break;
    }
    return (size_t)(1 + (draw >> 3) % most);
}

/* The bytes from `pos` to the end of the first copy, or `size` if that is less. */
static size_t cap_span(const struct mring_spsc *ring, uint64_t pos, size_t size)
{
    uint64_t to_end = ring->capacity - (pos & (ring->capacity - 1));

    return UNDER_TSAN && size > to_end ? (size_t)to_end : size;
}

/*
 * The producer may ask for the whole ring, since the consumer never waits for more than one byte:
 * two sides that want more together than there is would wait for each other for ever.
 */
static unsigned char *await_room(struct stream *stream, size_t size)
{
    unsigned char *room;

    if (stream->manner->waits && mring_spsc_wait_writable(&stream->ring, size, -1) != 0)
        return NULL;
    while ((room = mring_spsc_reserve(&stream->ring, size)) == NULL)
        sched_yield();
    return room;
}

static void *produce(void *context)
{
    struct stream *stream = context;
    uint64_t seed = 88172645463325252u + stream->total;
    uint64_t pos = stream->start_pos;
    uint64_t left = stream->total;

    while (left > 0) {
        size_t size = random_size(&seed, stream->ring.capacity);
        if (size > left)
            size = (size_t)left;
        size = cap_span(&stream->ring, pos, size);

        unsigned char *room = await_room(stream, size);
        if (room == NULL)
            break;
        /* One in eight reservations is committed in part. */
        if ((random_next(&seed) & 7) == 0)
            size = (size_t)(random_next(&seed) % (size + 1));
        for (size_t i = 0; i < size; i++) {
            room[i] = byte_at(pos + i);
            stream->sum_sent += room[i];
        }
        mring_spsc_commit(&stream->ring, size);
        pos += size;
        left -= size;
    }
    mring_spsc_close(&stream->ring, MRING_WRITE_END, 0);
    return NULL;
}

/* 0 at the end of the stream or after a failure. */
static size_t await_bytes(struct stream *stream, const unsigned char **bytes)
{
    size_t size = 0;

    for (;;) {
        int64_t timeout_ns = stream->manner->waits ? -1 : 0;
        int err = mring_spsc_wait_readable(&stream->ring, 1, timeout_ns);
        *bytes = err == 0 ? mring_spsc_peek(&stream->ring, 1, &size) : NULL;
        if (*bytes != NULL)
            return size;
        if (err == 0)
            stream->failure = "wait_readable said 0 and peek found nothing";
        else if (err != MRING_EOF && err != MRING_TIMED_OUT)
            stream->failure = mring_errname(err);
        if (err != MRING_TIMED_OUT)
            return 0;
        sched_yield();
    }
}

static void *consume(void *context)
{
    struct stream *stream = context;
    uint64_t seed = 362436069u + stream->total;
    uint64_t pos = stream->start_pos;
    const unsigned char *bytes;
    size_t size;

    while ((size = await_bytes(stream, &bytes)) > 0) {
        /* Take a part of what is there, so that bytes are peeked at more than once. */
        size_t part = random_size(&seed, stream->ring.capacity);
        if (part < size)
            size = part;
        size = cap_span(&stream->ring, pos, size);
        for (size_t i = 0; i < size; i++) {
            if (bytes[i] != byte_at(pos + i))
                stream->failure = "a byte is not the one of its position";
            stream->sum_received += bytes[i];
        }
        mring_spsc_consume(&stream->ring, size);
        pos += size;
    }
    if (stream->failure == NULL && pos - stream->start_pos != stream->total)
        stream->failure = "the stream ended early";
    return NULL;
}

/* As if that many bytes had gone through the ring already. */
static void start_at(struct stream *stream, uint64_t pos)
{
    struct mring_spsc *ring = &stream->ring;

    mring_store_relaxed_u64(&ring->write_side->pos, pos);
    mring_store_relaxed_u64(&ring->read_side->pos, pos);
    ring->write_pos = ring->read_pos_seen = pos;
    ring->read_pos = ring->write_pos_seen = pos;
    stream->start_pos = pos;
}

static const char *run(uint64_t capacity, const struct manner *manner, uint64_t start_pos,
                       uint64_t total)
{
    struct stream stream = { .manner = manner, .total = total };
    struct mring_args args = { .capacity = capacity, .flags = manner->flags };
    struct mring_tuning tuning = { .batch_bytes = manner->batch_share > 0
                                                      ? capacity / manner->batch_share
                                                      : 0 };
    pthread_t producer, consumer;
    int err = mring_spsc_create(&stream.ring, &args);

    if (err != 0)
        return mring_errname(err);
    start_at(&stream, start_pos);
    if (mring_spsc_tune(&stream.ring, MRING_WRITE_END, &tuning) != 0 ||
        mring_spsc_tune(&stream.ring, MRING_READ_END, &tuning) != 0)
        abort();
    if (pthread_create(&producer, NULL, produce, &stream) != 0 ||
        pthread_create(&consumer, NULL, consume, &stream) != 0)
        abort();
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    if (stream.failure == NULL && stream.sum_sent != stream.sum_received)
        stream.failure = "the sums differ";
    err = mring_spsc_destroy(&stream.ring);
    if (stream.failure == NULL && err != 0)
        stream.failure = mring_errname(err);
    return stream.failure;
}

int main(int argc, char **argv)
{
    static const uint64_t start_positions[] = { 0, (UINT64_C(1) << 32) - 1000, UINT64_MAX - 999 };
    const double times = argc > 1 ? strtod(argv[1], NULL) : 1;
    unsigned passed = 0, failed = 0;

    for (uint64_t bytes = 1; bytes <= UINT64_C(1) << 20; bytes = bytes == 1 ? 65536 : bytes * 16) {
        uint64_t capacity = mring_capacity(bytes, 0);
        uint64_t usual = (UINT64_C(1) << 20) + 8 * capacity;
        uint64_t total = (uint64_t)(times * (double)(UNDER_TSAN ? usual / 4 : usual)) + 12345;
        for (size_t j = 0; j < sizeof manners / sizeof manners[0]; j++) {
            for (size_t i = 0; i < sizeof start_positions / sizeof start_positions[0]; i++) {
                const char *failure = run(capacity, &manners[j], start_positions[i], total);
                if (failure != NULL)
                    printf("capacity %llu, %s, from %llu: %s\n", (unsigned long long)capacity,
                           manners[j].name, (unsigned long long)start_positions[i], failure);
                passed += failure == NULL;
                failed += failure != NULL;
            }
        }
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
