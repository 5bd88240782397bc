/* SPDX-License-Identifier: MIT */
/* The library as a whole: its version, and the external definitions of base.h. */
#include <mring.h>

unsigned mring_version(void)
{
    return MRING_VERSION_MAJOR << 16 | MRING_VERSION_MINOR << 8 | MRING_VERSION_PATCH;
}

extern inline MRING_API void mring_alias_barrier(void);
