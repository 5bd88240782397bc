/* SPDX-License-Identifier: MIT */
/* What a test does without: it skips. */
#include "../criterion/criterion.h"
#include "posix.h"

void windows_lacks(const char *what)
{
    cr_skip_test("%s does not exist on Windows", what);
}
