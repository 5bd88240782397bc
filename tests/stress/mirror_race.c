/* SPDX-License-Identifier: MIT */
/*
 * Mirrors are made and freed while other threads map and unmap at random, which is when an
 * implementation that gives up its address range for a moment loses it. Nobody may ever find his
 * memory replaced: each thread stamps its mappings and looks again before it unmaps them, and each
 * mirror has to be one.
 *
 * Arguments: the number of mirrors, default 100000, under ThreadSanitizer 20000.
 */
#define _GNU_SOURCE

#include "under_tsan.h"

#include <mring/mmap.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

#define NOISE_THREADS 4
#define HELD          8

static atomic_bool stop;
static atomic_ulong noise_count;

static void fail(const char *what, uint64_t round)
{
    printf("FAILED: mirror_race: %s (round %llu)\n", what, (unsigned long long)round);
    fflush(stdout);
    _Exit(1);
}

#if defined(_WIN32)
static void *map_noise(size_t size, bool shared)
{
    if (!shared)
        return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    HANDLE section =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, (DWORD)size, NULL);
    void *addr = section == NULL ? NULL : MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, size);
    if (section != NULL)
        CloseHandle(section);
    return addr;
}

static bool unmap_noise(void *addr, size_t size, bool shared)
{
    (void)size;
    return shared ? UnmapViewOfFile(addr) : VirtualFree(addr, 0, MEM_RELEASE);
}

/* Gone when it is closed. */
static int open_file(void)
{
    char *path = _tempnam(NULL, "mring");
    int fd = path == NULL ? -1
                          : _open(path, _O_RDWR | _O_CREAT | _O_EXCL | _O_BINARY | _O_TEMPORARY,
                                  _S_IREAD | _S_IWRITE);

    free(path);
    return fd;
}

static void close_file(int fd)
{
    _close(fd);
}
#else
static void *map_noise(size_t size, bool shared)
{
    void *addr = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);

    return addr == MAP_FAILED ? NULL : addr;
}

static bool unmap_noise(void *addr, size_t size, bool shared)
{
    (void)shared;
    return munmap(addr, size) == 0;
}

static int open_file(void)
{
    return memfd_create("mirror_race", MFD_CLOEXEC);
}

static void close_file(int fd)
{
    close(fd);
}
#endif

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
    bool shared;
};

static void take(struct held *held, uint64_t random)
{
    held->size = (1 + random % 4) * (size_t)mmap_pagesize();
    held->shared = random >> 8 & 1;
    void *addr = map_noise(held->size, held->shared);
    if (addr == NULL)
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
    if (!unmap_noise((void *)held->first, held->size, held->shared))
        fail("a foreign mapping was unmapped", atomic_load(&noise_count));
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
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : UNDER_TSAN ? 20000 : 100000;
    pthread_t threads[NOISE_THREADS];
    int fd = open_file();

    if (fd < 0)
        fail("no file", 0);
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
    close_file(fd);
    printf("mirror_race: %llu mirrors among %lu other mappings: passed\n",
           (unsigned long long)rounds, atomic_load(&noise_count));
    return 0;
}
