/* SPDX-License-Identifier: MIT */
/* Page size, granularity and alignment: the section "sizes" of mmap.h. */
#include "support.h"

#include <criterion/criterion.h>
#include <mring/mmap.h>
#include <unistd.h>

#define GIB ((uint64_t)1 << 30)

/* S2, S29: the page is the system's, and not a constant or the 64 KiB of another system. */
Test(mmap_pagesize, is_that_of_the_system, .timeout = 5)
{
    cr_assert_eq(mmap_pagesize(), (uint64_t)sysconf(_SC_PAGESIZE));
}

Test(mmap_mirror_granularity, is_a_power_of_two_of_whole_pages, .timeout = 5)
{
    uint64_t granularity = mmap_mirror_granularity(0);

    cr_assert_geq(granularity, mmap_pagesize());
    cr_assert_eq(granularity & (granularity - 1), 0);
    cr_assert_eq(mmap_mirror_granularity(MMAP_HUGE_PREFER | MMAP_LOCK), granularity);
}

Test(mmap_mirror_granularity, is_the_huge_page_when_huge_pages_are_required, .timeout = 5)
{
    cr_assert_eq(mmap_mirror_granularity(MMAP_HUGE_REQUIRE), (uint64_t)2 << 20);
}

/* S23: all 64 bits count. */
Test(mmap_aligned_size, keeps_all_64_bits, .timeout = 5)
{
    uint64_t page = mmap_pagesize();
    const struct {
        uint64_t bytes, up, down;
    } rows[] = {
        { 0, 0, 0 },
        { 1, page, 0 },
        { page - 1, page, 0 },
        { page, page, page },
        { page + 1, 2 * page, page },
        { 3 * GIB, 3 * GIB, 3 * GIB },
        { 5 * GIB + 1, 5 * GIB + page, 5 * GIB },
        { 0x1fffff001, 0x200000000, 0x1fffff000 },
        { UINT64_MAX - page + 1, UINT64_MAX - page + 1, UINT64_MAX - page + 1 },
        { UINT64_MAX - page + 2, 0, UINT64_MAX - page + 1 },
        { UINT64_MAX, 0, UINT64_MAX - page + 1 },
    };

    if (page != 4096)
        cr_skip_test("the row of 0x1fffff001 is for pages of 4 KiB");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(mmap_aligned_size(rows[i].bytes, MMAP_UP), rows[i].up, "row %zu", i);
        cr_assert_eq(mmap_aligned_size(rows[i].bytes, MMAP_DOWN), rows[i].down, "row %zu", i);
    }
}

Test(mmap_aligned_addr, goes_to_the_page_border_on_either_side, .timeout = 5)
{
    uint64_t page = mmap_pagesize();
    char *at = (char *)(uintptr_t)(16 * page);

    cr_assert_eq(mmap_aligned_addr(at, MMAP_UP), (void *)at);
    cr_assert_eq(mmap_aligned_addr(at, MMAP_DOWN), (void *)at);
    cr_assert_eq(mmap_aligned_addr(at + 1, MMAP_UP), (void *)(at + page));
    cr_assert_eq(mmap_aligned_addr(at + 1, MMAP_DOWN), (void *)at);
    cr_assert_eq(mmap_aligned_addr(at + page - 1, MMAP_DOWN), (void *)at);
    cr_assert_eq(mmap_aligned_addr(NULL, MMAP_UP), NULL);
}

Test(mmap_aligned_addr, is_null_when_the_next_page_does_not_exist, .timeout = 5)
{
    cr_assert_null(mmap_aligned_addr((void *)UINTPTR_MAX, MMAP_UP));
}
