/* SPDX-License-Identifier: MIT */
#ifndef MRING_HARNESS_SIGNALFD_H
#define MRING_HARNESS_SIGNALFD_H

#pragma GCC system_header

#include "../posix.h"

#define SFD_NONBLOCK 1
#define SFD_CLOEXEC  2
struct signalfd_siginfo {
    uint32_t ssi_signo;
};
LACKS_(int, signalfd, int fd, const sigset_t *set, int flags)

#endif
