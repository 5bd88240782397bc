/* SPDX-License-Identifier: MIT */
/*
 * mmap_flush(). What was flushed cannot be read back, since a mapping and its file share their
 * pages anyway; so the tests look at the range that the kernel was asked to write.
 */
#define _GNU_SOURCE

#include "inject.h"
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <mring/mmap.h>
#include <sys/mman.h>

TestSuite(mmap_flush, .init = support_begin, .fini = support_end, .timeout = 10);

#define COUNT_OF(rows) (sizeof(rows) / sizeof(rows)[0])

/* Of map_pages(): pages, the last one not whole. */
#define PAGES 4
#define TAIL  100

static struct mmap map_pages(unsigned access, unsigned flags)
{
    const char *path = support_path("file");
    struct mmap map = { 0 };

    support_write_file(path, (PAGES - 1) * mmap_pagesize() + TAIL);
    cr_assert_eq(
        mmap_map(&map,
                 &(struct mmap_args){ .file = { .path = path }, .access = access, .flags = flags }),
        0);
    return map;
}

/* S3, S5: a range that starts inside a page is flushed to its last byte. */
Test(mmap_flush, writes_every_page_that_the_range_touches, .timeout = 10)
{
    uint64_t page = mmap_pagesize(), size = (PAGES - 1) * page + TAIL;
    struct mmap map = map_pages(MMAP_WRITE, 0);
    const struct {
        uint64_t start, size, first, last;
    } rows[] = {
        { 0, 0, 0, size - 1 },
        { 0, size, 0, size - 1 },
        { 0, 1, 0, 0 },
        { page, page, page, 2 * page - 1 },
        { page - 1, 2, 0, page },
        { page - 1, page + 2, 0, 2 * page },
        { 1, page, 0, page },
        { 100, 0, 0, size - 1 },
        { size - 1, 1, (PAGES - 1) * page, size - 1 },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        unsigned char *bytes = map.addr;
        unsigned count = inject_last_msync()->count;

        cr_assert_eq(mmap_flush(&map, bytes + rows[i].start, rows[i].size, false), 0, "row %zu", i);

        const struct inject_msync *call = inject_last_msync();
        cr_assert_eq(call->count, count + 1, "row %zu: nothing was flushed", i);
        cr_assert_eq(call->addr, bytes + rows[i].first, "row %zu", i);
        cr_assert_gt(call->length, rows[i].last - rows[i].first, "row %zu: %zu bytes", i,
                     call->length);
        cr_assert_leq(call->length, mmap_aligned_size(size, MMAP_UP) - rows[i].first, "row %zu", i);
        cr_assert_eq(call->flags, MS_SYNC, "row %zu", i);
    }
    mmap_free(&map);
}

/* S6 */
Test(mmap_flush, takes_null_for_the_start_of_the_map, .timeout = 10)
{
    uint64_t page = mmap_pagesize();
    struct mmap map = map_pages(MMAP_WRITE, 0);

    cr_assert_eq(mmap_flush(&map, NULL, page + 1, false), 0);
    cr_assert_eq(inject_last_msync()->addr, map.addr);
    cr_assert_gt(inject_last_msync()->length, page);
    cr_assert_eq(mmap_flush(&map, NULL, 0, true), 0);
    cr_assert_eq(inject_last_msync()->addr, map.addr);
    cr_assert_geq(inject_last_msync()->length, map.size);

    cr_assert_eq(inject_last_msync()->flags, MS_ASYNC);
    mmap_free(&map);
}

/* S6 */
Test(mmap_flush, refuses_a_range_outside_the_map, .timeout = 10)
{
    struct mmap map = map_pages(MMAP_WRITE, 0);
    unsigned char *bytes = map.addr;
    const struct {
        void *addr;
        uint64_t size;
    } rows[] = {
        { NULL, map.size + 1 },    { bytes, map.size + 1 },
        { bytes + 1, map.size },   { bytes - 1, 1 },
        { bytes - 1, 0 },          { bytes - mmap_pagesize(), map.size },
        { bytes + map.size, 1 },   { bytes + map.size + 1, 0 },
        { bytes + 1, UINT64_MAX }, { bytes + 10, UINT64_MAX - 9 },
        { NULL, UINT64_MAX },      { (void *)1, 1 },
    };
    unsigned count = inject_last_msync()->count;

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        cr_assert_eq(mmap_flush(&map, rows[i].addr, rows[i].size, i % 2), MMAP_INVALID_ARG,
                     "row %zu", i);

    cr_assert_eq(inject_last_msync()->count, count);
    mmap_free(&map);
}

/* S4 */
Test(mmap_flush, works_on_locked_memory, .timeout = 10)
{
    struct mmap map = map_pages(MMAP_WRITE, MMAP_LOCK);

    cr_assert_eq(mmap_flush(&map, NULL, 0, false), 0);
    cr_assert_eq(mmap_flush(&map, NULL, 0, true), 0);

    mmap_free(&map);
}

/* S8: where there is no disk there is nothing to do, but the range is checked all the same. */
Test(mmap_flush, succeeds_where_there_is_no_disk, .timeout = 10)
{
    const char *path = support_path("file"), *tagname = support_tagname("tag");
    support_write_file(path, 10);
    const struct mmap_args rows[] = {
        { .size = 10 },
        { .size = 10, .access = MMAP_WRITE },
        { .size = 10, .access = MMAP_COPY },
        { .file = { .path = path }, .access = MMAP_COPY },
        { .file = { .tagname = tagname }, .access = MMAP_WRITE, .size = 10 },
        { .file = { .tagname = tagname } },
        { .file = { .tagname = tagname }, .access = MMAP_COPY },
    };
    unsigned count = inject_last_msync()->count;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mmap map = { 0 };

        cr_assert_eq(mmap_map(&map, &rows[i]), 0, "row %zu", i);
        cr_assert_eq(mmap_flush(&map, NULL, 0, false), 0, "row %zu", i);
        cr_assert_eq(mmap_flush(&map, (char *)map.addr + 3, 7, true), 0, "row %zu", i);
        cr_assert_eq(mmap_flush(&map, (char *)map.addr + 3, 8, false), MMAP_INVALID_ARG, "row %zu",
                     i);
        mmap_free(&map);
    }
    cr_assert_eq(inject_last_msync()->count, count, "the kernel was asked");
}

Test(mmap_flush, succeeds_on_a_map_for_reading, .timeout = 10)
{
    struct mmap map = map_pages(MMAP_READ, 0);

    cr_assert_eq(mmap_flush(&map, NULL, 0, false), 0);

    mmap_free(&map);
}

Test(mmap_flush, takes_ranges_in_any_copy_of_a_mirror_and_its_lead, .timeout = 10)
{
    uint64_t page = mmap_mirror_granularity(0);
    struct mmap map = { 0 };
    cr_assert_eq(
        mmap_mirror(&map, &(struct mmap_mirror_args){ .file = { .path = support_path("file") },
                                                      .size = 2 * page,
                                                      .times = 3,
                                                      .offset = page,
                                                      .lead_size = page }),
        0);
    unsigned char *bytes = map.addr;
    memset(bytes - page, 1, 3 * page);
    const struct {
        int64_t start;
        uint64_t size;
        int err;
    } rows[] = {
        { -(int64_t)page, 1, 0 },
        { -(int64_t)page, 7 * page, 0 },
        { -(int64_t)page, 7 * page + 1, MMAP_INVALID_ARG },
        { -(int64_t)page - 1, 1, MMAP_INVALID_ARG },
        { 0, 6 * page, 0 },
        { 0, 6 * page + 1, MMAP_INVALID_ARG },
        { (int64_t)(2 * page) - 5, 10, 0 },
        { (int64_t)(6 * page) - 1, 1, 0 },
        { (int64_t)(6 * page) - 1, 2, MMAP_INVALID_ARG },
        { (int64_t)(3 * page), 0, 0 },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        cr_assert_eq(mmap_flush(&map, bytes + rows[i].start, rows[i].size, false), rows[i].err,
                     "row %zu", i);
    cr_assert_eq(mmap_flush(&map, NULL, 0, false), 0);
    mmap_free(&map);
}

/* Where the drive is always told to write, the flag changes nothing. */
Test(mmap_flush, succeeds_with_the_flag_that_asks_for_the_drive, .timeout = 10)
{
    uint64_t page = mmap_pagesize();
    struct mmap map = { 0 };
    const char *path = support_path("file");

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .path = path },
                                                     .access = MMAP_WRITE,
                                                     .flags = MMAP_FULLFSYNC,
                                                     .size = page }),
                 0);
    cr_expect_eq(mmap_flush(&map, NULL, 0, false), 0);
    cr_expect_eq(inject_last_msync()->flags, MS_SYNC);
    cr_expect_eq(mmap_flush(&map, NULL, 0, true), 0);
    cr_expect_eq(inject_last_msync()->flags, MS_ASYNC);
    cr_expect_eq(mmap_free(&map), 0);
}

/* S3, S8, S27: a failure is reported as one. */
Test(mmap_flush, returns_the_systems_code_when_the_disk_fails, .timeout = 10)
{
    struct mmap map = map_pages(MMAP_WRITE, 0);

    inject_nth("msync", 1, EIO);
    int err = mmap_flush(&map, NULL, 0, false);
    const char *hit = inject_stop();

    cr_assert_str_eq(hit, "msync");
    cr_assert_eq(err, EIO);
    cr_assert(support_has_bytes(map.addr, 0, map.size), "the memory lost its contents");
    mmap_free(&map);
}
