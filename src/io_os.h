/* SPDX-License-Identifier: MIT */
/* What the rings need of the system's descriptors. One file per system implements it. */
#ifndef MRING_IO_OS_H
#define MRING_IO_OS_H

#include <mring/ring.h>

/* A descriptor, and how to move bytes through it. */
struct io {
    int fd;
    bool socket; /* by recv() and send(), with these flags; otherwise by read() and write() */
    int flags;
};

/*
 * One system call, repeated if a signal interrupts it. *count is the number of bytes that it moved;
 * 0 only for the end of input.
 *
 *   errors    would_block, or the system's code; invalid_arg: MSG_TRUNC is in the flags of an input
 */
int mring_io_input(const struct io *io, void *bytes, size_t size, size_t *count);
int mring_io_output(const struct io *io, const void *bytes, size_t size, size_t *count);

/*
 * Whether mring_os_signal() and mring_os_clear() neither block nor raise a signal.
 *
 *   errors    invalid_arg, or the system's code
 */
int mring_io_check_signal(int fd);

#endif
