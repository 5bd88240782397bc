/* SPDX-License-Identifier: MIT */
/*
 * A stream of samples from one thread to another: the ring in its plainest use.
 *
 * Samples are made where they will be read, in the ring's own memory, and stand there in one piece:
 * plain arrays on both sides. A sample's 24 bytes need not divide the ring's capacity.
 */
#include <mring.h>

#include <pthread.h>
#include <stdio.h>

#define SAMPLES  ((uint64_t)2000000)
#define AT_ONCE  256
#define FOREVER  (-1)
#define OPENINGS 3 /* samples that the consumer needs to begin */

struct sample {
    uint64_t number;
    int64_t time_us;
    int64_t millivolts;
};

static struct sample measure(uint64_t number)
{
    return (struct sample){ number, (int64_t)number * 125, (int64_t)(number * 7919 % 5001) - 2500 };
}

static void *produce(void *argument)
{
    struct mring_spsc *ring = argument;
    const struct sample openings[OPENINGS] = { measure(0), measure(1), measure(2) };
    uint64_t next = mring_spsc_push_n(ring, openings, sizeof openings[0], OPENINGS);

    /* They would wait until more have come together (see main), but are needed now. */
    mring_spsc_flush(ring, MRING_WRITE_END);
    while (next < SAMPLES) {
        size_t count = SAMPLES - next < AT_ONCE ? (size_t)(SAMPLES - next) : AT_ONCE;
        struct sample *room = mring_spsc_reserve_n(ring, sizeof *room, &count);

        if (room != NULL) {
            for (size_t i = 0; i < count; i++)
                room[i] = measure(next++);
            mring_spsc_commit(ring, count * sizeof *room);
        } else if (mring_spsc_wait_writable(ring, AT_ONCE * sizeof *room, FOREVER) != 0) {
            break; /* the consumer has closed its end */
        }
    }
    mring_spsc_close(ring, MRING_WRITE_END, 0); /* publishes the last samples, ends the stream */
    return NULL;
}

/* Returns how many samples came in their right order, and adds them up. */
static uint64_t consume(struct mring_spsc *ring, int64_t *sum)
{
    uint64_t received = 0;

    for (;;) {
        size_t count = AT_ONCE;
        const struct sample *samples = mring_spsc_peek_n(ring, sizeof *samples, &count);

        if (samples != NULL) {
            for (size_t i = 0; i < count && samples[i].number == received; i++, received++)
                *sum += samples[i].millivolts;
            mring_spsc_consume(ring, count * sizeof *samples);
        } else if (mring_spsc_wait_readable(ring, sizeof *samples, FOREVER) != 0) {
            break; /* the producer has closed its end, and all has been read */
        }
    }
    return received;
}

static void print_stats(const struct mring_spsc *ring, enum mring_end end, const char *name)
{
    struct mring_stats stats;

    mring_spsc_stats(ring, end, &stats);
    printf("%s: %llu bytes, slept %llu times, woke the other %llu times\n", name,
           (unsigned long long)stats.bytes, (unsigned long long)stats.sleeps,
           (unsigned long long)stats.wakes);
}

int main(void)
{
    struct mring_spsc ring;
    pthread_t producer;
    int64_t sum = 0, expected = 0;

    int err =
        mring_spsc_create(&ring, &(struct mring_args){ .capacity = mring_capacity(65536, 0) });
    if (err == 0) /* hand over 8 KiB at a time: less often, and more to work on */
        err =
            mring_spsc_tune(&ring, MRING_WRITE_END, &(struct mring_tuning){ .batch_bytes = 8192 });
    if (err == 0)
        err = pthread_create(&producer, NULL, produce, &ring);
    if (err != 0) {
        fprintf(stderr, "spsc_stream: %s\n", mring_errname(err));
        return 1;
    }
    uint64_t received = consume(&ring, &sum);
    pthread_join(producer, NULL);

    for (uint64_t i = 0; i < SAMPLES; i++)
        expected += measure(i).millivolts;
    printf("%llu samples, sum %lld mV\n", (unsigned long long)received, (long long)sum);
    print_stats(&ring, MRING_WRITE_END, "producer");
    print_stats(&ring, MRING_READ_END, "consumer");
    mring_spsc_destroy(&ring);
    return received == SAMPLES && sum == expected ? 0 : 1;
}
