/* SPDX-License-Identifier: MIT */
/* Names and messages of errors: the first section of mmap.h. */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <mring/mmap.h>

TestSuite(mmap_errname, .timeout = 5);
TestSuite(mmap_errmsg, .timeout = 5);

/* S16: each cause has its own code, and the codes are those of the header. */
Test(mmap_errname, gives_each_named_error_its_own_name, .timeout = 5)
{
    static const struct {
        int err;
        int value;
        const char *name;
    } rows[] = {
        { MMAP_OK, 0, "ok" },
        { MMAP_NOT_FOUND, -1, "not_found" },
        { MMAP_FILE_TOO_SHORT, -2, "file_too_short" },
        { MMAP_FILE_TOO_BIG, -3, "file_too_big" },
        { MMAP_DISK_FULL, -4, "disk_full" },
        { MMAP_OUT_OF_MEM, -5, "out_of_mem" },
        { MMAP_MAP_LIMIT, -6, "map_limit" },
        { MMAP_FD_LIMIT, -7, "fd_limit" },
        { MMAP_INVALID_ARG, -8, "invalid_arg" },
        { MMAP_NAME_TOO_LONG, -9, "name_too_long" },
        { MMAP_EXISTS, -10, "exists" },
        { MMAP_ACCESS_DENIED, -11, "access_denied" },
        { MMAP_UNSUPPORTED, -12, "unsupported" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(rows[i].err, rows[i].value, "%s", rows[i].name);
        cr_assert_str_eq(mmap_errname(rows[i].err), rows[i].name);
    }
}

Test(mmap_errname, calls_a_positive_code_os_error_and_the_rest_unknown_error, .timeout = 5)
{
    cr_assert_str_eq(mmap_errname(EIO), "os_error");
    cr_assert_str_eq(mmap_errname(INT_MAX), "os_error");
    cr_assert_str_eq(mmap_errname(-13), "unknown_error");
    cr_assert_str_eq(mmap_errname(INT_MIN), "unknown_error");
}

Test(mmap_errmsg, has_a_different_message_for_every_code, .timeout = 5)
{
    char messages[14][128];

    for (int i = 0; i < 14; i++)
        cr_assert_eq(mmap_errmsg(-i, messages[i], sizeof messages[i]), messages[i]);

    for (int i = 0; i < 14; i++) {
        cr_assert(strlen(messages[i]) > 0);
        for (int k = 0; k < i; k++)
            cr_assert_str_neq(messages[i], messages[k], "codes %d and %d", -i, -k);
    }
    cr_assert_str_eq(messages[1], "no such file or name");
    cr_assert_str_eq(messages[13], "unknown error");
}

/* S27: a message is text in every case, without a line end, and never the error itself. */
Test(mmap_errmsg, gives_the_systems_message_for_its_codes, .timeout = 5)
{
    char message[128];
    char strange[128];

    mmap_errmsg(EIO, message, sizeof message);
    mmap_errmsg(1 << 20, strange, sizeof strange);

    cr_assert_str_eq(message, support_message(EIO));
    cr_assert(strlen(strange) > 0);
    cr_assert_null(strpbrk(message, "\r\n"));
}

Test(mmap_errmsg, truncates_to_the_buffer_and_always_terminates, .timeout = 5)
{
    static const int codes[] = { MMAP_NOT_FOUND, EIO, 1 << 20, -99 };

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char small[6] = "xxxxx";
        char one[2] = "xx";
        char whole[128];

        mmap_errmsg(codes[i], whole, sizeof whole);
        mmap_errmsg(codes[i], small, 5);
        mmap_errmsg(codes[i], one, 1);

        cr_assert_eq(strlen(small), 4, "code %d: '%s'", codes[i], small);
        cr_assert_eq(strncmp(small, whole, 4), 0, "code %d: '%s'", codes[i], small);
        cr_assert_eq(small[5], '\0');
        cr_assert_eq(one[0], '\0');
        cr_assert_eq(one[1], 'x', "written past the buffer");
    }
}
