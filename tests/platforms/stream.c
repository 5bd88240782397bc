/* SPDX-License-Identifier: MIT */
/*
 * One end of a named ring, for two programs that are built for different processors: streams.sh
 * starts the one as the writer and the other as the reader.
 *
 *      stream write|read bytes|records TAGNAME
 *
 * Both print how much they have moved and its checksum, which must be the same. Each rests now and
 * then, so that the other one has to sleep; a process that never slept has failed.
 */
#define _POSIX_C_SOURCE 200809L

#include <mring.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 20000, MOST = 3000, CAPACITY = 65536, REST_EVERY = 2000 };

#define PATIENCE_NS INT64_C(20000000000)

/* What has gone through: its bytes, and a checksum of them and of the borders between them. */
struct sum {
    uint64_t bytes, check;
};

/* Fowler, Noll and Vo's FNV-1a. */
static void add(struct sum *sum, const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum->check = (sum->check ^ bytes[i]) * UINT64_C(0x100000001b3);
    sum->bytes += size;
}

/* Marsaglia's xorshift64. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t random_size(uint64_t *state)
{
    return 1 + (size_t)(random_next(state) % MOST);
}

static void fill(unsigned char *bytes, size_t size, uint64_t *state)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(random_next(state) >> 32);
}

static void fail(const char *what, int err)
{
    printf("FAILED: %s: %s\n", what, mring_errname(err));
    exit(1);
}

static void rest(uint64_t round)
{
    if (round % REST_EVERY == REST_EVERY - 1)
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

/* A process that looks around for as long as it takes would not sleep. */
static const struct mring_tuning sleepy = { .spin_ns = -1 };

/* ---- byte ring ------------------------------------------------------------------------------- */

static struct mring_stats write_bytes(struct mring_spsc *ring, struct sum *sum)
{
    struct mring_stats stats;
    uint64_t state = 1;

    mring_spsc_tune(ring, MRING_WRITE_END, &sleepy);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        size_t size = random_size(&state);
        int err = mring_spsc_wait_writable(ring, size, PATIENCE_NS);
        if (err != 0)
            fail("wait_writable", err);
        unsigned char *room = mring_spsc_reserve(ring, size);
        fill(room, size, &state);
        add(sum, room, size);
        mring_spsc_commit(ring, size);
        rest(round);
    }
    mring_spsc_close(ring, MRING_WRITE_END, 42);
    mring_spsc_stats(ring, MRING_WRITE_END, &stats);
    return stats;
}

static struct mring_stats read_bytes(struct mring_spsc *ring, struct sum *sum)
{
    struct mring_stats stats;
    uint32_t status = 0;
    int err;

    mring_spsc_tune(ring, MRING_READ_END, &sleepy);
    for (uint64_t round = 0; (err = mring_spsc_wait_readable(ring, 1, PATIENCE_NS)) == 0; round++) {
        size_t size;
        const unsigned char *bytes = mring_spsc_peek(ring, 1, &size);
        if (size > MOST)
            size = MOST;
        add(sum, bytes, size);
        mring_spsc_consume(ring, size);
        rest(round);
    }
    if (err != MRING_EOF || !mring_spsc_is_closed(ring, MRING_WRITE_END, &status) || status != 42)
        fail("wait_readable", err);
    mring_spsc_stats(ring, MRING_READ_END, &stats);
    return stats;
}

static struct mring_stats stream_bytes(bool writes, const struct mring_args *args, struct sum *sum)
{
    struct mring_spsc ring;
    int err = mring_spsc_open(&ring, args);

    if (err != 0)
        fail("mring_spsc_open", err);
    struct mring_stats stats = writes ? write_bytes(&ring, sum) : read_bytes(&ring, sum);
    mring_spsc_destroy(&ring);
    return stats;
}

/* ---- record ring ----------------------------------------------------------------------------- */

static void write_records(struct mring_mpmc_end *out, struct sum *sum)
{
    static unsigned char bytes[MOST];
    uint64_t state = 1;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        size_t size = random_size(&state);
        fill(bytes, size, &state);
        int err = mring_mpmc_push_wait(out, bytes, size, PATIENCE_NS);
        if (err != 0)
            fail("push_wait", err);
        add(sum, bytes, size);
        add(sum, (const unsigned char *)"|", 1);
        rest(round);
    }
}

static void read_records(struct mring_mpmc_end *in, struct sum *sum)
{
    static unsigned char bytes[MOST];
    size_t size;
    int err;

    for (uint64_t round = 0;
         (err = mring_mpmc_pop_wait(in, bytes, sizeof bytes, &size, PATIENCE_NS)) == 0; round++) {
        add(sum, bytes, size);
        add(sum, (const unsigned char *)"|", 1);
        rest(round);
    }
    if (err != MRING_EOF)
        fail("pop_wait", err);
}

static struct mring_stats stream_records(bool writes, const struct mring_args *args,
                                         struct sum *sum)
{
    struct mring_mpmc ring;
    struct mring_mpmc_end member;
    struct mring_stats stats;
    int err = mring_mpmc_open(&ring, args);

    if (err == 0)
        err = mring_mpmc_join(&ring, &member, writes ? MRING_WRITE_END : MRING_READ_END);
    if (err != 0)
        fail("mring_mpmc_open", err);
    mring_mpmc_tune(&member, &sleepy);
    if (writes) {
        write_records(&member, sum);
        mring_mpmc_close(&ring, MRING_WRITE_END, 0);
    } else {
        read_records(&member, sum);
    }
    mring_mpmc_stats(&member, &stats);
    mring_mpmc_leave(&member);
    mring_mpmc_destroy(&ring);
    return stats;
}

/* ---- main ------------------------------------------------------------------------------------ */

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s write|read bytes|records TAGNAME\n", argv[0]);
        return 2;
    }
    struct mring_args args = { .tagname = argv[3], .capacity = CAPACITY, .type_tag = "stream" };
    struct sum sum = { .check = UINT64_C(0xcbf29ce484222325) };
    bool writes = strcmp(argv[1], "write") == 0;
    struct mring_stats stats = strcmp(argv[2], "bytes") == 0 ? stream_bytes(writes, &args, &sum)
                                                             : stream_records(writes, &args, &sum);

    fprintf(stderr, "%d bits, %s %s: %llu bytes, slept %llu times\n", (int)sizeof(void *) * 8,
            argv[1], argv[2], (unsigned long long)sum.bytes, (unsigned long long)stats.sleeps);
    printf("%llu bytes, checksum %016llx\n", (unsigned long long)sum.bytes,
           (unsigned long long)sum.check);
    if (stats.sleeps == 0)
        fail("it never slept", 0);
    return 0;
}
