/* SPDX-License-Identifier: MIT */
#ifndef MRING_HARNESS_SECCOMP_H
#define MRING_HARNESS_SECCOMP_H

#pragma GCC system_header

#include "../posix.h"

struct seccomp_data {
    int nr;
    uint32_t arch;
    uint64_t instruction_pointer, args[6];
};

#define SECCOMP_MODE_STRICT 1
#define SECCOMP_MODE_FILTER 2
#define SECCOMP_RET_ALLOW   0u
#define SECCOMP_RET_ERRNO   1u
#define SECCOMP_RET_TRAP    2u

#endif
