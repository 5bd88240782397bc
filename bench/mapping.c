/* SPDX-License-Identifier: MIT */
/*
 * Creating and destroying a mapping, untouched: what each kind of source costs. The floor is the
 * bare system calls. A file exists already and has its size; a name is made and removed each time.
 */
#define _GNU_SOURCE /* memfd_create() */

#include "cbench.h"
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
    char name[48];
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
    int (*prepare)(struct sources *sources, uint64_t size);
    int (*cycle)(const struct sources *sources, uint64_t size);
} kinds[] = {
    { "mmap", prepare_nothing, cycle_system },
    { "map/anonymous", prepare_nothing, cycle_map },
    { "mirror/anonymous", prepare_nothing, cycle_anonymous },
    { "mirror/memfd", prepare_fd, cycle_fd },
    { "mirror/file", prepare_file, cycle_file },
    { "mirror/name", prepare_name, cycle_name },
};

static const uint64_t sizes[] = { 4096, 65536, 1048576 };

#define KIND_COUNT (sizeof kinds / sizeof kinds[0])
#define SIZE_COUNT (sizeof sizes / sizeof sizes[0])

static void mapping_body(struct cb_state *state, uint64_t iterations, const void *context)
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
        cb_fail(state, mmap_errname(err));
    else
        cb_set_time(state, end - start);
}

static void name_row(char *name, size_t name_size, const struct kind *kind, uint64_t size)
{
    snprintf(name, name_size, "%s/size:%llu", kind->name, (unsigned long long)size);
}

void mapping_register(void)
{
    static struct row rows[KIND_COUNT][SIZE_COUNT];

    for (size_t i = 0; i < KIND_COUNT; i++) {
        for (size_t j = 0; j < SIZE_COUNT; j++) {
            struct row *row = &rows[i][j];
            if (i > 0 && sizes[j] % mmap_mirror_granularity(0) != 0)
                continue; /* larger pages than that */
            *row = (struct row){ .kind = &kinds[i], .size = sizes[j] };
            name_row(row->name, sizeof row->name, row->kind, row->size);
            cb_register(&(struct cb_row){ .name = row->name,
                                          .iterations = ITERATIONS,
                                          .body = mapping_body,
                                          .context = row });
        }
    }
}

static void print_head(FILE *out)
{
    fprintf(out, "\nCreating and destroying a mapping, medians, microseconds.\n%-16s", "KiB");
    for (size_t i = 0; i < SIZE_COUNT; i++)
        fprintf(out, " %8llu ", (unsigned long long)(sizes[i] / 1024));
    fputc('\n', out);
}

bool mapping_print(FILE *out)
{
    bool headed = false;

    for (size_t i = 0; i < KIND_COUNT; i++) {
        char names[SIZE_COUNT][48];
        double sum = 0;
        for (size_t j = 0; j < SIZE_COUNT; j++) {
            name_row(names[j], sizeof names[j], &kinds[i], sizes[j]);
            sum += cb_median_ns(names[j]);
        }
        if (sum <= 0)
            continue;
        if (!headed)
            print_head(out);
        headed = true;
        fprintf(out, "%-16s", kinds[i].name);
        for (size_t j = 0; j < SIZE_COUNT; j++)
            bench_print_number(out, 8, cb_median_ns(names[j]) * 1e-3, cb_spread(names[j]));
        fputc('\n', out);
    }
    return headed;
}
