/* SPDX-License-Identifier: MIT */
#ifndef MRING_HARNESS_UIO_H
#define MRING_HARNESS_UIO_H

#pragma GCC system_header

#include "../posix.h"

struct iovec {
    void *iov_base;
    size_t iov_len;
};

LACKS_(ssize_t, writev, int fd, const struct iovec *parts, int count)

#endif
