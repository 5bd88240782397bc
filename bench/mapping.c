/* SPDX-License-Identifier: MIT */
/*
 * Creating and destroying a mapping, untouched: what each kind of source costs. The floor is the
 * bare system calls. A file exists already and has its size; a name is made and removed each time.
 */
#define _GNU_SOURCE /* memfd_create() */

#include "round.h"
#include "rows.h"

#include <fcntl.h>
#include <mring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ITERATIONS 20

/* What the rows of a run map; made before the time starts. */
struct sources {
    int fd;         /* of anonymous memory */
    char path[256]; /* of a file */
    char tagname[64];
};

struct row {
    const struct kind *kind;
    uint64_t size;
};

/* ---- one create and destroy each; an error or 0 ---------------------------------------------- */

static int cycle_system(const struct sources *sources, uint64_t size)
{
    (void)sources;
    void *addr =
        mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (addr == MAP_FAILED)
        return MMAP_OUT_OF_MEM;
    return munmap(addr, (size_t)size) == 0 ? 0 : MMAP_INVALID_ARG;
}

static int cycle_map(const struct sources *sources, uint64_t size)
{
    struct mmap map = { 0 };

    (void)sources;
    int err = mmap_map(&map, &(struct mmap_args){ .access = MMAP_WRITE, .size = size });
    return err != 0 ? err : mmap_free(&map);
}

static int cycle_mirror(const struct mmap_file *file, uint64_t size)
{
    struct mmap map = { 0 };

    int err = mmap_mirror(&map, &(struct mmap_mirror_args){ .file = *file, .size = size });
    return err != 0 ? err : mmap_free(&map);
}

static int cycle_anonymous(const struct sources *sources, uint64_t size)
{
    (void)sources;
    return cycle_mirror(&(struct mmap_file){ 0 }, size);
}

static int cycle_fd(const struct sources *sources, uint64_t size)
{
    return cycle_mirror(&(struct mmap_file){ .fd = &sources->fd }, size);
}

static int cycle_file(const struct sources *sources, uint64_t size)
{
    return cycle_mirror(&(struct mmap_file){ .path = sources->path }, size);
}

static int cycle_name(const struct sources *sources, uint64_t size)
{
    int err = cycle_mirror(&(struct mmap_file){ .tagname = sources->tagname }, size);

    return err != 0 ? err : mmap_unlink(sources->tagname);
}

/* ---- sources --------------------------------------------------------------------------------- */

static int prepare_nothing(struct sources *sources, uint64_t size)
{
    (void)sources;
    (void)size;
    return 0;
}

static int prepare_fd(struct sources *sources, uint64_t size)
{
#if defined(__linux__)
    sources->fd = memfd_create("ringbench", MFD_CLOEXEC);
#else
    snprintf(sources->path, sizeof sources->path, "/tmp/ringbench-XXXXXX");
    sources->fd = mkstemp(sources->path);
#endif
    if (sources->fd < 0)
        return MMAP_ACCESS_DENIED;
    return mmap_set_filesize(&(struct mmap_file){ .fd = &sources->fd }, size);
}

static int prepare_file(struct sources *sources, uint64_t size)
{
    const char *folder = getenv("TMPDIR");
    int length = snprintf(sources->path, sizeof sources->path, "%s/ringbench-XXXXXX",
                          folder != NULL ? folder : "/tmp");

    if (length < 0 || (size_t)length >= sizeof sources->path) {
        sources->path[0] = '\0';
        return MMAP_NAME_TOO_LONG;
    }
    sources->fd = mkstemp(sources->path);
    if (sources->fd < 0) {
        sources->path[0] = '\0';
        return MMAP_ACCESS_DENIED;
    }
    return mmap_set_filesize(&(struct mmap_file){ .fd = &sources->fd }, size);
}

static int prepare_name(struct sources *sources, uint64_t size)
{
    (void)size;
    snprintf(sources->tagname, sizeof sources->tagname, "mring.ringbench.%ld", (long)getpid());
    return mmap_unlink(sources->tagname);
}

static void drop_sources(const struct sources *sources)
{
    if (sources->tagname[0] != '\0')
        mmap_unlink(sources->tagname);
    if (sources->path[0] != '\0')
        unlink(sources->path);
    if (sources->fd >= 0)
        close(sources->fd);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static const struct kind {
    const char *name;
    enum role role;
    int (*prepare)(struct sources *sources, uint64_t size);
    int (*cycle)(const struct sources *sources, uint64_t size);
} kinds[] = {
    { "mmap", ROLE_LIMIT, prepare_nothing, cycle_system },
    { "map_anonymous", ROLE_VARIANT, prepare_nothing, cycle_map },
    { "mirror_anonymous", ROLE_OURS, prepare_nothing, cycle_anonymous },
    { "mirror_memfd", ROLE_VARIANT, prepare_fd, cycle_fd },
    { "mirror_file", ROLE_VARIANT, prepare_file, cycle_file },
    { "mirror_name", ROLE_VARIANT, prepare_name, cycle_name },
};

static const struct row_class classes[] = {
    { .name = "mapping/size:4096", .title = "making and releasing 4 KiB", .unit = UNIT_NS },
    { .name = "mapping/size:65536",
      .title = "making and releasing 64 KiB",
      .unit = UNIT_NS,
      .quick = true },
    { .name = "mapping/size:1048576", .title = "making and releasing 1 MiB", .unit = UNIT_NS },
};

static const uint64_t sizes[] = { 4096, 65536, 1048576 };

#define KIND_COUNT (sizeof kinds / sizeof kinds[0])
#define SIZE_COUNT (sizeof sizes / sizeof sizes[0])

static void measure_mapping(struct sample *sample, uint64_t iterations, const void *context)
{
    const struct row *row = context;
    struct sources sources = { .fd = -1 };

    int err = row->kind->prepare(&sources, row->size);
    int64_t start = mring_os_now();
    for (uint64_t i = 0; i < iterations && err == 0; i++)
        err = row->kind->cycle(&sources, row->size);
    int64_t end = mring_os_now();
    drop_sources(&sources);

    if (err != 0)
        sample->fault = mmap_errname(err);
    sample->elapsed_ns = end - start;
}

void mapping_register(const struct bench_options *options)
{
    static struct row rows[SIZE_COUNT][KIND_COUNT];

    for (size_t i = 0; i < SIZE_COUNT; i++) {
        for (size_t j = 0; j < KIND_COUNT; j++) {
            if (options->quick && !classes[i].quick)
                continue;
            if (j > 0 && sizes[i] % mmap_mirror_granularity(0) != 0)
                continue; /* larger pages than that */
            rows[i][j] = (struct row){ .kind = &kinds[j], .size = sizes[i] };
            round_add(&(struct class_row){ .of = &classes[i],
                                           .name = kinds[j].name,
                                           .role = kinds[j].role,
                                           .iterations = ITERATIONS,
                                           .measure = measure_mapping,
                                           .context = &rows[i][j] });
        }
    }
}
