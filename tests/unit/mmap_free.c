/* SPDX-License-Identifier: MIT */
/* mmap_free(). */
#define _GNU_SOURCE

#include "keep.h"

#include <criterion/criterion.h>
#include <mring/mmap.h>
#include <sys/mman.h>

TestSuite(mmap_free, .init = support_begin, .fini = support_end, .timeout = 10);

/* S10: neither a mapping nor a descriptor outlives the map. */
Test(mmap_free, gives_back_everything_of_every_kind_of_map, .timeout = 10)
{
    uint64_t page = mmap_mirror_granularity(0);
    const char *path = support_path("file");
    const char *tagname = support_tagname("tag");
    struct mmap map = { 0 };
    support_write_file(path, 100);
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .tagname = tagname },
                                                     .access = MMAP_WRITE,
                                                     .size = 4 * page }),
                 0);
    keep(tagname);
    mmap_free(&map);
    const struct mmap_args plain[] = {
        { .size = 3 * page + 1 },
        { .size = 1, .access = MMAP_WRITE },
        { .size = page, .access = MMAP_COPY, .flags = MMAP_LOCK },
        { .size = page, .flags = MMAP_HUGE_PREFER },
        { .file = { .path = path } },
        { .file = { .path = path }, .access = MMAP_WRITE },
        { .file = { .path = path }, .access = MMAP_COPY },
        { .file = { .tagname = tagname } },
        { .file = { .tagname = tagname }, .access = MMAP_WRITE, .size = 10 },
    };
    support_remember();

    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
            cr_assert_eq(mmap_map(&map, &plain[i]), 0, "row %zu", i);
            cr_assert_eq(mmap_free(&map), 0, "row %zu", i);
        }
        for (unsigned times = 1; times <= 3; times++) {
            cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = page,
                                                                       .times = times,
                                                                       .lead_size = page }),
                         0);
            cr_assert_eq(mmap_free(&map), 0);
        }
        cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .file = { .tagname = tagname },
                                                                   .size = page,
                                                                   .offset = page,
                                                                   .lead_size = page }),
                     0);
        cr_assert_eq(mmap_free(&map), 0);
    }

    ASSERT_NOTHING_LEFT();
}

Test(mmap_free, leaves_zeros, .timeout = 10)
{
    static const struct mmap zero;
    struct mmap map = { 0 };
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .size = 10 }), 0);

    cr_assert_eq(mmap_free(&map), 0);

    cr_assert_eq(map.addr, zero.addr);
    cr_assert_eq(map.size, 0);
    cr_assert_not(map.created);
    cr_assert_not(map.huge);
    cr_assert_eq(map.base, NULL);
    cr_assert_eq(map.length, 0);
}

/* S31: the second call must not unmap what somebody else has got there by then. */
Test(mmap_free, twice_is_harmless, .timeout = 10)
{
    uint64_t page = mmap_pagesize();
    struct mmap map = { 0 };
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .size = page }), 0);
    void *addr = map.addr;
    cr_assert_eq(mmap_free(&map), 0);
    unsigned char *other =
        mmap(addr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    cr_assert_eq(other, addr);
    other[0] = 42;

    cr_assert_eq(mmap_free(&map), 0);

    cr_assert_eq(other[0], 42);
    munmap(other, page);
}

Test(mmap_free, of_zeros_does_nothing, .timeout = 10)
{
    struct mmap map = { 0 };
    support_remember();

    cr_assert_eq(mmap_free(&map), 0);

    ASSERT_NOTHING_LEFT();
}

/* What was written is in the file, without a flush. */
Test(mmap_free, keeps_what_was_written, .timeout = 10)
{
    const char *path = support_path("file");
    struct mmap map = { 0 };
    cr_assert_eq(
        mmap_map(&map,
                 &(struct mmap_args){ .file = { .path = path }, .access = MMAP_WRITE, .size = 6 }),
        0);
    memcpy(map.addr, "stays", 6);

    cr_assert_eq(mmap_free(&map), 0);

    char text[6] = "";
    FILE *stream = fopen(path, "r");
    cr_assert_eq(fread(text, 1, 6, stream), 6);
    fclose(stream);
    cr_assert_str_eq(text, "stays");
}
