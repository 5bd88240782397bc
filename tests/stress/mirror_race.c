/* SPDX-License-Identifier: MIT */
/*
 * Mirrors are made and freed while other threads map and unmap at random, which is when an
 * implementation that gives up its address range for a moment loses it. Nobody may ever find his
 * memory replaced: each thread stamps its mappings and looks again before it unmaps them, and each
 * mirror has to be one.
 *
 * Arguments: the number of mirrors, default 100000.
 */
#define _GNU_SOURCE

#include <mring/mmap.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOISE_THREADS 4
#define HELD          8

static atomic_bool stop;
static atomic_ulong noise_count;

static void fail(const char *what, uint64_t round)
{
    printf("FAILED: mirror_race: %s (round %llu)\n", what, (unsigned long long)round);
    fflush(stdout);
    _exit(1);
}

/* A xorshift generator: the threads need different, repeatable noise and no more. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A mapping of the noise, its first and last word stamped. */
struct held {
    volatile uint64_t *first, *last;
    size_t size;
    uint64_t stamp;
};

static void take(struct held *held, uint64_t random)
{
    held->size = (1 + random % 4) * (size_t)mmap_pagesize();
    void *addr = mmap(NULL, held->size, PROT_READ | PROT_WRITE,
                      (random >> 8 & 1 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
    if (addr == MAP_FAILED)
        fail("no memory for noise", 0);
    held->first = addr;
    held->last = held->first + held->size / sizeof *held->first - 1;
    held->stamp = random;
    *held->first = random;
    *held->last = random;
}

static void give_back(struct held *held)
{
    if (*held->first != held->stamp || *held->last != held->stamp)
        fail("a foreign mapping was replaced", atomic_load(&noise_count));
    munmap((void *)held->first, held->size);
    atomic_fetch_add(&noise_count, 1);
}

static void *make_noise(void *argument)
{
    uint64_t state = (uintptr_t)argument * 0x9e3779b97f4a7c15u;
    struct held held[HELD];

    for (int i = 0; i < HELD; i++)
        take(&held[i], next_random(&state));
    while (!atomic_load(&stop)) {
        uint64_t random = next_random(&state);
        struct held *one = &held[random >> 32 & (HELD - 1)];

        give_back(one);
        take(one, random);
    }
    for (int i = 0; i < HELD; i++)
        give_back(&held[i]);
    return NULL;
}

/* Each word that is written through one copy is there in all of them, and in no other place. */
static void check_mirror(const struct mmap *map, unsigned times, uint64_t round)
{
    const uint64_t words = map->size / sizeof(uint64_t);
    volatile uint64_t *first = map->addr;

    for (unsigned copy = 0; copy < times; copy++) {
        first[copy * words] = round + copy;
        first[copy * words + words - 1] = ~(round + copy);
        mring_alias_barrier();
        for (unsigned other = 0; other < times; other++) {
            if (first[other * words] != round + copy ||
                first[other * words + words - 1] != ~(round + copy))
                fail("a torn mirror", round);
        }
    }
}

static void run_round(uint64_t round, int fd)
{
    struct mmap_mirror_args args = {
        .size = mmap_mirror_granularity(0) * (1 + round % 3),
        .times = 2 + round % 2,
    };
    struct mmap map = { 0 };

    if (round % 4 == 3)
        args.file.fd = &fd;
    if (mmap_mirror(&map, &args) != 0)
        fail("mmap_mirror", round);
    check_mirror(&map, args.times, round);
    if (mmap_free(&map) != 0)
        fail("mmap_free", round);
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    pthread_t threads[NOISE_THREADS];
    int fd = memfd_create("mirror_race", MFD_CLOEXEC);

    for (uintptr_t i = 0; i < NOISE_THREADS; i++) {
        if (pthread_create(&threads[i], NULL, make_noise, (void *)(i + 1)) != 0)
            fail("pthread_create", i);
    }
    while (atomic_load(&noise_count) == 0)
        continue;
    for (uint64_t round = 0; round < rounds; round++)
        run_round(round, fd);
    atomic_store(&stop, true);
    for (int i = 0; i < NOISE_THREADS; i++)
        pthread_join(threads[i], NULL);
    close(fd);
    printf("mirror_race: %llu mirrors among %lu other mappings: passed\n",
           (unsigned long long)rounds, atomic_load(&noise_count));
    return 0;
}
