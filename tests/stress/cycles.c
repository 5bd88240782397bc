/* SPDX-License-Identifier: MIT */
/*
 * Every kind of map and ring is made and freed many times, with a system call failing in most of
 * the cycles. Afterwards the process has the descriptors, the mappings and the names that it had
 * before.
 *
 * Arguments: the number of cycles for each kind, default 10000, under ThreadSanitizer 1000. Kinds
 * are: a map and a mirror of each source (with the access modes and options taking turns), a ring
 * without a name, a new name, and a name that is opened twice.
 */
#define _GNU_SOURCE

#include "inject.h"
#include "support.h"
#include "under_tsan.h"

#include <errno.h>
#include <fcntl.h>
#include <mring.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAP_KINDS = 8, RING_KINDS = 3, KINDS = MAP_KINDS + RING_KINDS };

#define COUNT_OF(rows) (sizeof(rows) / sizeof(rows)[0])

/* The support library looks at the resources every so often, since to look takes long. */
#define CHECK_EVERY 500

static struct {
    char path[300], tagname[100];
    int fd;
    off_t fd_size;
    unsigned long failures;
} world;

static void fail(const char *what, unsigned long cycle)
{
    printf("FAILED: cycles: %s (cycle %lu)\n", what, cycle);
    support_end();
    exit(1);
}

static int fill(struct mmap *map, void *context)
{
    (void)context;
    memset(map->addr, 1, map->size);
    return 0;
}

/* One cycle of each kind. Errors are what is tested for; the resources tell whether all is well. */
static int make(struct mmap *map, unsigned long kind)
{
    uint64_t unit = mmap_mirror_granularity(0);
    const struct mmap_file sources[] = {
        { .path = NULL }, { .path = world.path }, { .fd = &world.fd }, { .tagname = world.tagname }
    };
    static const unsigned access[] = { MMAP_READ, MMAP_WRITE, MMAP_COPY, MMAP_WRITE | MMAP_EXEC };
    static const unsigned flags[] = {
        0,
        MMAP_PREFAULT,
        MMAP_LOCK,
        MMAP_DONTFORK | MMAP_PREFAULT,
        MMAP_NODUMP,
        MMAP_HUGE_PREFER,
        MMAP_NODUMP | MMAP_LOCK | MMAP_PREFAULT,
    };
    struct mmap_file source = sources[kind % COUNT_OF(sources)];
    unsigned flag = flags[kind / 4 % COUNT_OF(flags)];
    unsigned mode = access[kind / 56 % COUNT_OF(access)];

    if (kind / 28 % 2 == 0)
        return mmap_map(map, &(struct mmap_args){ .file = source,
                                                  .access = mode,
                                                  .flags = flag,
                                                  .size = 3 * unit + 5,
                                                  .init = mode & MMAP_WRITE ? fill : NULL });
    return mmap_mirror(map, &(struct mmap_mirror_args){ .file = source,
                                                        .flags = flag,
                                                        .size = 2 * unit,
                                                        .offset = unit,
                                                        .lead_size = unit,
                                                        .times = 1 + kind / 56 % 4,
                                                        .init = fill });
}

/* A name may come and go between two steps when some of them fail; a ring is never half there. */
static int make_ring(struct mring_spsc *ring, unsigned long kind)
{
    struct mring_args args = { .capacity = mring_capacity(1, 0) };

    if (kind == 0)
        return mring_spsc_create(ring, &args);
    args.tagname = world.tagname;
    if (kind == 1)
        return mring_spsc_create(ring, &args);

    struct mring_spsc first = { 0 };
    int err = mring_spsc_open(&first, &args);
    if (err == 0)
        err = mring_spsc_open(ring, &args);
    while (mring_spsc_destroy(&first) != 0)
        ; /* the failure planned may be in here, once */
    return err;
}

static void plan_failure(unsigned long cycle)
{
    static const int errors[] = { ENOMEM, EIO, EINTR, ENOSPC, EACCES, EINVAL, EMFILE, EEXIST };

    inject_nth(NULL, 1 + (unsigned)(cycle * 7 % 13), errors[cycle % COUNT_OF(errors)]);
}

/* Whether the cycle was meant to fail; if it was not, it must not have failed. */
static void judge(int err, unsigned long cycle)
{
    if (inject_stop() != NULL)
        world.failures++;
    else if (err != 0 && err != MMAP_NOT_FOUND)
        fail(mring_errname(err), cycle);
}

static void run_map(unsigned long cycle)
{
    struct mmap map = { 0 };

    plan_failure(cycle);
    int err = make(&map, cycle);
    if (err == 0)
        err = mmap_flush(&map, NULL, 0, cycle % 2);
    judge(err, cycle);
    if (mmap_free(&map) != 0)
        fail("mmap_free", cycle);
    if (unlink(world.path) != 0 && errno != ENOENT)
        fail("unlink", cycle);
    if (ftruncate(world.fd, world.fd_size) != 0)
        fail("ftruncate", cycle);
}

static void run_ring(unsigned long cycle)
{
    struct mring_spsc ring = { 0 };

    plan_failure(cycle);
    judge(make_ring(&ring, cycle % RING_KINDS), cycle);
    if (mring_spsc_destroy(&ring) != 0)
        fail("mring_spsc_destroy", cycle);
}

static void run_cycle(unsigned long cycle)
{
    if (cycle % KINDS < MAP_KINDS)
        run_map(cycle / KINDS * MAP_KINDS + cycle % KINDS);
    else
        run_ring(cycle / KINDS * RING_KINDS + cycle % KINDS - MAP_KINDS);
    if (mmap_unlink(world.tagname) != 0)
        fail("mmap_unlink", cycle);
}

int main(int argc, char **argv)
{
    unsigned long usual = UNDER_TSAN ? 1000 : 10000,
                  cycles = KINDS * (argc > 1 ? strtoul(argv[1], NULL, 10) : usual);

    support_begin();
    strcpy(world.path, support_path("file"));
    strcpy(world.tagname, support_tagname("tag"));
    world.fd_size = 16 * (off_t)mmap_mirror_granularity(0);
    world.fd = open(support_path("open"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (world.fd < 0 || ftruncate(world.fd, world.fd_size) != 0)
        fail("open", 0);
    for (unsigned long cycle = 0; cycle < KINDS; cycle++)
        run_cycle(cycle); /* what the C library allocates at first use */
    support_remember();
    for (unsigned long cycle = 1; cycle <= cycles; cycle++) {
        run_cycle(cycle);
        if (cycle % CHECK_EVERY != 0 && cycle != cycles)
            continue;
        const char *difference = support_difference();
        if (difference != NULL)
            fail(difference, cycle);
    }
    close(world.fd);
    support_end();
    if (world.failures < cycles / 4)
        fail("too few injected failures to say anything", cycles);
    printf("cycles: %lu maps, mirrors and rings, %lu failed on purpose: passed\n", cycles,
           world.failures);
    return 0;
}
