/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <criterion/criterion.h>
#include <mring.h>

/* ---- errors ---------------------------------------------------------------------------------- */

static const struct {
    int value;
    const char *name;
    const char *message;
} ring_errors[] = {
#define ROW(code, value, name, message) { code, name, message },
    MRING_ERRORS(ROW)
};

static const struct {
    int value;
    const char *name;
    const char *message;
} map_errors[] = { MMAP_ERRORS(ROW) };

Test(mring_version, is_that_of_the_headers, .timeout = 5)
{
    unsigned expected = MRING_VERSION_MAJOR << 16 | MRING_VERSION_MINOR << 8 | MRING_VERSION_PATCH;

    cr_expect_eq(mring_version(), expected);
}

Test(mring_errname, knows_every_error_of_the_rings, .timeout = 5)
{
    static const char *const names[] = { "timed_out",   "eof",         "closed",   "corrupt",
                                         "bad_magic",   "bad_version", "bad_kind", "bad_capacity",
                                         "bad_type",    "empty",       "full",     "too_large",
                                         "would_block", "busy" };

    cr_assert_eq(sizeof ring_errors / sizeof ring_errors[0], sizeof names / sizeof names[0]);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        cr_expect_str_eq(mring_errname(ring_errors[i].value), names[i]);
        cr_expect_lt(ring_errors[i].value, 0, "%s", names[i]);
    }
}

Test(mring_errname, knows_every_error_of_the_maps, .timeout = 5)
{
    for (size_t i = 0; i < sizeof map_errors / sizeof map_errors[0]; i++)
        cr_expect_str_eq(mring_errname(map_errors[i].value), map_errors[i].name);
}

Test(mring_errname, knows_success_system_codes_and_the_unknown, .timeout = 5)
{
    cr_expect_str_eq(mring_errname(0), "ok");
    cr_expect_str_eq(mring_errname(5), "os_error");
    cr_expect_str_eq(mring_errname(-1000), "unknown_error");
    cr_expect_str_eq(mring_errname(-31), "unknown_error");
}

Test(mring_errname, gives_no_value_to_two_errors, .timeout = 5)
{
    for (size_t i = 0; i < sizeof ring_errors / sizeof ring_errors[0]; i++)
        for (size_t j = 0; j < sizeof map_errors / sizeof map_errors[0]; j++)
            cr_expect_neq(ring_errors[i].value, map_errors[j].value, "%s and %s",
                          ring_errors[i].name, map_errors[j].name);
}

Test(mring_errmsg, has_the_message_of_every_error, .timeout = 5)
{
    char buffer[128];

    for (size_t i = 0; i < sizeof ring_errors / sizeof ring_errors[0]; i++)
        cr_expect_str_eq(mring_errmsg(ring_errors[i].value, buffer, sizeof buffer),
                         ring_errors[i].message);
    for (size_t i = 0; i < sizeof map_errors / sizeof map_errors[0]; i++)
        cr_expect_str_eq(mring_errmsg(map_errors[i].value, buffer, sizeof buffer),
                         map_errors[i].message);
}

Test(mring_errmsg, agrees_with_the_maps_about_everything_else, .timeout = 5)
{
    static const int codes[] = { 0, 1, 2, 28, 999999, -31, -1000 };
    char ours[128], theirs[128];

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        cr_expect_str_eq(mring_errmsg(codes[i], ours, sizeof ours),
                         mmap_errmsg(codes[i], theirs, sizeof theirs), "code %d", codes[i]);
}

Test(mring_errmsg, truncates_to_the_buffer_and_returns_it, .timeout = 5)
{
    char buffer[8] = "xxxxxxx";

    cr_expect_eq(mring_errmsg(MRING_CLOSED, buffer, 4), buffer);

    cr_expect_str_eq(buffer, "the");
    cr_expect_eq(buffer[4], 'x', "nothing is written behind the size given");
    cr_expect_str_eq(mring_errmsg(MRING_CLOSED, buffer, 1), "");
}

/* ---- creation -------------------------------------------------------------------------------- */

Test(mring_capacity, is_the_next_power_of_two_of_at_least_one_granule, .timeout = 5)
{
    const uint64_t granule = mmap_mirror_granularity(0);
    const struct {
        uint64_t bytes;
        uint64_t capacity;
    } rows[] = {
        { 0, granule },
        { 1, granule },
        { granule - 1, granule },
        { granule, granule },
        { granule + 1, 2 * granule },
        { 2 * granule, 2 * granule },
        { 2 * granule + 1, 4 * granule },
        { 3 * granule, 4 * granule },
        { (UINT64_C(1) << 32) - 1, UINT64_C(1) << 32 },
        { UINT64_C(1) << 32, UINT64_C(1) << 32 },
        { (UINT64_C(1) << 32) + 1, UINT64_C(1) << 33 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(mring_capacity(rows[i].bytes, 0), rows[i].capacity, "%llu bytes: %llu",
                     (unsigned long long)rows[i].bytes,
                     (unsigned long long)mring_capacity(rows[i].bytes, 0));
}

Test(mring_capacity, is_0_when_there_is_none, .timeout = 5)
{
    cr_expect_eq(mring_capacity((UINT64_C(1) << 63) + 1, 0), 0);
    cr_expect_eq(mring_capacity(UINT64_MAX, 0), 0);
}

Test(mring_capacity, follows_the_granularity_of_huge_pages, .timeout = 5)
{
    const uint64_t huge = mmap_mirror_granularity(MMAP_HUGE_REQUIRE);

    cr_expect_eq(mring_capacity(1, MMAP_HUGE_REQUIRE), huge);
    cr_expect_eq(mring_capacity(huge + 1, MMAP_HUGE_REQUIRE), 2 * huge);
}

/* ---- shared words ---------------------------------------------------------------------------- */

/* The offsets are asserted in the header; this is about the size of what stands there. */
Test(mring_side, gives_each_word_a_block_of_its_own, .timeout = 5)
{
    cr_expect_eq(sizeof(mring_atomic_u64), 8);
    cr_expect_eq(sizeof(mring_atomic_u32), 4);
    cr_expect_eq(_Alignof(struct mring_side), 128);
    cr_expect_eq(MRING_LINE, 128, "the format of named rings has this number");
}
