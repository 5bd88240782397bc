/* SPDX-License-Identifier: MIT */
/* Names that live on between two uses, where they do not do that by themselves. */
#ifndef MRING_TESTS_KEEP_H
#define MRING_TESTS_KEEP_H

#include "support.h"

#include <criterion/criterion.h>
#include <mring/mmap.h>

/* To the end of the test. Whoever has a name mapped keeps it, so on Windows this does. */
static inline void keep(const char *tagname)
{
    struct mmap map = { 0 };

    if (support_is_windows)
        cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file.tagname = tagname }), 0);
}

#endif
