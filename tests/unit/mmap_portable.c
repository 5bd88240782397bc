/* SPDX-License-Identifier: MIT */
/*
 * What src/mmap_portable.c and src/mmap_posix.c do on other systems when calls fail that do not
 * fail, or are not there, on this one: both are compiled in.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static void *map_or_fail(void *addr, size_t length, int protection, int flags, int fd, off_t pos);
static int control(int fd, int command, ...);
static int synchronize_file(int fd);
static int allocate(int fd, off_t pos, off_t size);

#if !defined(F_FULLFSYNC)
#define F_FULLFSYNC 51
#endif
#define mmap(...)            map_or_fail(__VA_ARGS__)
#define fcntl(...)           control(__VA_ARGS__)
#define fsync(fd)            synchronize_file(fd)
#define posix_fallocate(...) allocate(__VA_ARGS__)
#include "../../src/mmap_portable.c"
#include "../../src/mmap_posix.c"
#undef mmap
#undef fcntl
#undef fsync
#undef posix_fallocate

static void begin(void);

TestSuite(mmap_portable, .init = begin, .fini = support_end, .timeout = 10);

#define COUNT_OF(rows) (sizeof(rows) / sizeof(rows)[0])
#define SIZE           mmap_mirror_granularity(0)

/* ---- failing calls --------------------------------------------------------------------------- */

static struct {
    unsigned rehearsals, replacements; /* mappings of objects, anywhere and over a reservation */
    unsigned fail_rehearsal;           /* which of them fails */
    unsigned lose_first, lose_last;    /* which replacements fail, and leave a hole to others */
    void *taken;                       /* what they have put there */
} maps;

static struct {
    int full_code, fsync_code; /* to fail with */
    unsigned interrupts;       /* of each, before */
    unsigned full_count, fsync_count;
} syncs;

static void begin(void)
{
    support_begin();
    memset(&maps, 0, sizeof maps);
    memset(&syncs, 0, sizeof syncs);
}

static void *fail_with(int code)
{
    errno = code;
    return MAP_FAILED;
}

static void *map_or_fail(void *addr, size_t length, int protection, int flags, int fd, off_t pos)
{
    bool replaces = (flags & MAP_FIXED) && fd >= 0;

    if (fd >= 0 && addr == NULL && ++maps.rehearsals == maps.fail_rehearsal)
        return fail_with(ENOMEM);
    maps.replacements += replaces;
    if (replaces && maps.replacements >= maps.lose_first && maps.replacements <= maps.lose_last) {
        munmap(addr, length);
        maps.taken = mmap(addr, length, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        memset(maps.taken, 'x', length);
        return fail_with(ENOMEM);
    }
    return mmap(addr, length, protection, flags, fd, pos);
}

/* ---- ranges that are lost -------------------------------------------------------------------- */

static int map_mirror(struct mmap *map)
{
    const char *path = support_path("file");

    return mmap_mirror(map,
                       &(struct mmap_mirror_args){ .file.path = path, .size = SIZE, .times = 4 });
}

Test(mmap_portable, a_mirror_is_made_anew_when_another_thread_gets_a_piece_of_its_range)
{
    for (unsigned piece = 1; piece <= 4; piece++) {
        struct mmap map = { 0 };
        support_write_file(support_path("file"), SIZE);
        support_remember();
        maps.replacements = 0;
        maps.lose_first = maps.lose_last = piece;

        cr_assert_eq(map_mirror(&map), 0, "piece %u", piece);

        cr_expect_eq(maps.replacements, piece + 4, "piece %u", piece);
        for (unsigned i = 0; i < 4; i++)
            cr_expect(support_has_bytes((char *)map.addr + i * SIZE, 0, SIZE));
        cr_expect_eq(((char *)maps.taken)[SIZE - 1], 'x', "what is another's was touched");
        cr_assert_eq(munmap(maps.taken, SIZE), 0);
        cr_assert_eq(mmap_free(&map), 0);
        ASSERT_NOTHING_LEFT("piece %u", piece);
    }
}

Test(mmap_portable, a_mirror_whose_mapping_fails_leaves_nothing)
{
    for (unsigned piece = 1; piece <= 4; piece++) {
        struct mmap map = { 0 };
        support_write_file(support_path("file"), SIZE);
        support_remember();
        maps.rehearsals = 0;
        maps.fail_rehearsal = piece;

        cr_expect_eq(map_mirror(&map), MMAP_OUT_OF_MEM, "piece %u", piece);

        cr_expect_null(map.addr);
        ASSERT_NOTHING_LEFT("piece %u", piece);
    }
}

/* ---- F_FULLFSYNC ----------------------------------------------------------------------------- */

static int interrupted_or(unsigned *count, int code)
{
    if ((*count)++ < syncs.interrupts)
        code = EINTR;
    errno = code;
    return code == 0 ? 0 : -1;
}

static int control(int fd, int command, ...)
{
    return command == F_FULLFSYNC ? interrupted_or(&syncs.full_count, syncs.full_code)
                                  : fcntl(fd, command, 0);
}

static int synchronize_file(int fd)
{
    (void)fd;
    return interrupted_or(&syncs.fsync_count, syncs.fsync_code);
}

Test(mmap_portable, a_full_flush_falls_back_to_fsync_only_where_there_is_none)
{
    static const struct {
        int full_code, fsync_code, err;
        unsigned interrupts, full_count, fsync_count;
    } rows[] = {
        { 0, 0, 0, 0, 1, 0 },       { 0, 0, 0, 2, 3, 0 },
        { ENOTSUP, 0, 0, 0, 1, 1 }, { EOPNOTSUPP, 0, 0, 0, 1, 1 },
        { ENOTTY, 0, 0, 0, 1, 1 },  { EINVAL, 0, 0, 2, 3, 3 },
        { ENODEV, 0, 0, 0, 1, 1 },  { ENODEV, EIO, EIO, 0, 1, 1 },
        { EIO, 0, EIO, 0, 1, 0 },   { ENOSPC, 0, MMAP_DISK_FULL, 0, 1, 0 },
    };
    struct mmap map = { 0 };
    support_remember();

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file.path = support_path("file"),
                                                     .access = MMAP_WRITE,
                                                     .flags = MMAP_FULLFSYNC,
                                                     .size = SIZE }),
                 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        memset(&syncs, 0, sizeof syncs);
        syncs.full_code = rows[i].full_code;
        syncs.fsync_code = rows[i].fsync_code;
        syncs.interrupts = rows[i].interrupts;

        cr_expect_eq(mmap_flush(&map, NULL, 0, false), rows[i].err, "row %zu", i);
        cr_expect_eq(syncs.full_count, rows[i].full_count, "row %zu", i);
        cr_expect_eq(syncs.fsync_count, rows[i].fsync_count, "row %zu", i);
    }
    syncs.full_count = 0;
    cr_expect_eq(mmap_flush(&map, NULL, 0, true), 0);
    cr_expect_eq(syncs.full_count, 0, "who does not wait does not have the drive write");
    cr_assert_eq(mmap_free(&map), 0);
    unlink(support_path("file"));
    ASSERT_NOTHING_LEFT();
}

/* ---- files that cannot grow ------------------------------------------------------------------ */

/* What somebody else has made the size, while blocks were reserved. */
static uint64_t size_meanwhile;

static int allocate(int fd, off_t pos, off_t size)
{
    if (size_meanwhile == 0)
        return posix_fallocate(fd, pos, size);
    return ftruncate(fd, (off_t)size_meanwhile) == 0 ? ENOSPC : errno;
}

Test(mmap_portable, a_file_that_cannot_grow_is_cut_back_unless_somebody_else_has_changed_it)
{
    static const struct {
        uint64_t meanwhile, after;
    } rows[] = { { 5000, 5000 }, { 7000, 5000 }, { 9000, 5000 }, { 9001, 9001 }, { 4000, 4000 } };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mmap_file file = { .path = support_path("file") };
        support_write_file(file.path, 5000);
        size_meanwhile = rows[i].meanwhile;

        cr_expect_eq(mmap_set_filesize(&file, 9000), MMAP_DISK_FULL, "row %zu", i);
        cr_expect_eq(support_file_size(file.path), rows[i].after, "row %zu", i);
    }
}

/* ---- prefault -------------------------------------------------------------------------------- */

/* Pages of a private file mapping are its own once they are written to, and those of the file are
   in memory as soon as they are read. */
static uint64_t kib_taken_by_prefault(unsigned access)
{
    struct mmap map = { 0 };
    const char *path = support_path("file");
    support_write_file(path, 64 * SIZE);
    uint64_t before = support_status("RssAnon:");

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file.path = path,
                                                     .access = access,
                                                     .flags = MMAP_PREFAULT }),
                 0);
    uint64_t taken = support_status("RssAnon:") - before;

    cr_expect(support_has_bytes(map.addr, 0, 64 * SIZE), "access %u", access);
    cr_assert_eq(mmap_free(&map), 0);
    return taken;
}

Test(mmap_portable, prefault_changes_nothing)
{
    kib_taken_by_prefault(MMAP_READ);
    kib_taken_by_prefault(MMAP_WRITE);
    kib_taken_by_prefault(MMAP_COPY);
}

Test(mmap_portable, prefault_takes_the_pages_of_a_copy)
{
    if (!support_has_whole_pages())
        cr_skip_test("the pages are larger here than the kernel's");
    uint64_t taken = kib_taken_by_prefault(MMAP_COPY);

    cr_expect_geq(taken, 64 * SIZE / 1024, "only %u KiB were taken", (unsigned)taken);
}
