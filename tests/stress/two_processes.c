/* SPDX-License-Identifier: MIT */
/*
 * Two processes that have nothing in common but a name: one sends bytes through a ring, the other
 * adds them up, and what it comes to goes back through another ring. Both sums have to be equal.
 *
 *     stress_two_processes [MIB [STARTER]]     64 without it; STARTER: what runs this program
 *
 * The chunks vary, so that either side is the faster one at times, and sleeps.
 */
#include "spawn.h"

#include <mring/spsc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 1 << 18, PATIENCE_S = 60 };

static const int64_t PATIENCE_NS = PATIENCE_S * INT64_C(1000000000);

static char tagname[64];

static void unlink_ring(const char *what)
{
    char name[100];

    snprintf(name, sizeof name, "%s.%s", tagname, what);
    mmap_unlink(name);
}

static void unlink_rings(void)
{
    unlink_ring("data");
    unlink_ring("answer");
}

static void check(int err, const char *what)
{
    if (err == 0)
        return;
    unlink_rings();
    printf("%s: %s\n0 passed, 1 failed\n", what, mring_errname(err));
    fflush(stdout);
    exit(1);
}

static struct mring_spsc open_ring(const char *what)
{
    char name[100];
    struct mring_spsc ring = { 0 };

    snprintf(name, sizeof name, "%s.%s", tagname, what);
    check(mring_spsc_open(&ring, &(struct mring_args){ .tagname = name, .capacity = CAPACITY }),
          "open");
    return ring;
}

/* ---- what goes through ----------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* FNV-1a, by words: it depends on the order, too. */
static uint64_t add_up(uint64_t sum, const void *bytes, size_t size)
{
    uint64_t word;

    for (size_t i = 0; i < size; i += sizeof word) {
        memcpy(&word, (const char *)bytes + i, sizeof word);
        sum = (sum ^ word) * UINT64_C(0x100000001b3);
    }
    return sum;
}

/* Whole words, from 8 bytes to a quarter of the ring. */
static size_t chunk_of(uint64_t random, uint64_t rest)
{
    size_t size = (size_t)(8 << random % 14) & ~(size_t)7;

    return size < rest ? size : (size_t)rest;
}

/* ---- the two --------------------------------------------------------------------------------- */

static uint64_t send_bytes(struct mring_spsc *ring, uint64_t total)
{
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15), sum = 0;

    for (uint64_t sent = 0; sent < total;) {
        size_t size = chunk_of(next_random(&state), total - sent);
        check(mring_spsc_wait_writable(ring, size, PATIENCE_NS), "wait for room");
        char *room = mring_spsc_reserve(ring, size);
        for (size_t i = 0; i < size; i += sizeof state) {
            next_random(&state);
            memcpy(room + i, &state, sizeof state);
        }
        sum = add_up(sum, room, size);
        mring_spsc_commit(ring, size);
        sent += size;
    }
    mring_spsc_close(ring, MRING_WRITE_END, 0);
    return sum;
}

/* To the end. */
static uint64_t receive_bytes(struct mring_spsc *ring)
{
    uint64_t sum = 0;

    for (;;) {
        size_t size;
        int err = mring_spsc_wait_readable(ring, 8, PATIENCE_NS);
        if (err == MRING_EOF)
            return sum;
        check(err, "wait for bytes");
        const void *bytes = mring_spsc_peek(ring, 8, &size);
        size &= ~(size_t)7;
        sum = add_up(sum, bytes, size);
        mring_spsc_consume(ring, size);
    }
}

static int be_the_other(void)
{
    struct mring_spsc data = open_ring("data"), answer = open_ring("answer");
    uint64_t sum = receive_bytes(&data);

    if (mring_spsc_write(&answer, &sum, sizeof sum) != sizeof sum)
        return 1;
    mring_spsc_destroy(&data);
    mring_spsc_destroy(&answer);
    return 0;
}

static bool exchange(const char *program, uint64_t total)
{
    struct mring_spsc data = open_ring("data"), answer = open_ring("answer");
    intptr_t other = spawn(program, "--other", tagname);
    size_t size;

    check(other < 0 ? MMAP_UNSUPPORTED : 0, "spawn");
    int64_t start = mring_os_now();
    uint64_t sum = send_bytes(&data, total), their_sum;
    check(mring_spsc_wait_readable(&answer, sizeof their_sum, PATIENCE_NS), "wait for the answer");
    memcpy(&their_sum, mring_spsc_peek(&answer, sizeof their_sum, &size), sizeof their_sum);
    double seconds = (double)(mring_os_now() - start) / 1e9;
    bool ended_well = spawn_succeeds(other);

    printf("%llu bytes in %.2f s, %.0f MB/s; sums %016llx and %016llx\n", (unsigned long long)total,
           seconds, (double)total / 1e6 / seconds, (unsigned long long)sum,
           (unsigned long long)their_sum);
    mring_spsc_destroy(&data);
    mring_spsc_destroy(&answer);
    return ended_well && sum == their_sum;
}

int main(int count, char **arguments)
{
    uint64_t mib = count >= 2 ? strtoull(arguments[1], NULL, 10) : 64;

    if (count == 3 && strcmp(arguments[1], "--other") == 0) {
        snprintf(tagname, sizeof tagname, "%s", arguments[2]);
        return be_the_other();
    }
    if (mib == 0) {
        fprintf(stderr, "usage: %s [MIB [STARTER]]\n", arguments[0]);
        return 2;
    }
    snprintf(tagname, sizeof tagname, "two-processes.%llx", (unsigned long long)mring_os_now());
    bool good = exchange(arguments[count == 3 ? 2 : 0], mib << 20);
    unlink_rings();
    printf("%d passed, %d failed\n", good, !good);
    return !good;
}
