/* SPDX-License-Identifier: MIT */
/* What can be signalled for poll loops on Linux: eventfd. */
#define _POSIX_C_SOURCE 200809L

#include "io_os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Writing to a pipe or socket whose reader is gone raises a signal, and what was written stays
 * there until all of it has been read: an eventfd does neither. It is no file of any type; and of
 * those only an eventfd takes 8 bytes, of which zeros add nothing.
 */
int mring_io_check_signal(int fd)
{
    uint64_t nothing = 0;
    struct stat status;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fstat(fd, &status) != 0)
        return errno;
    if ((status.st_mode & S_IFMT) != 0 || !(flags & O_NONBLOCK) ||
        write(fd, &nothing, sizeof nothing) != sizeof nothing)
        return MMAP_INVALID_ARG;
    return 0;
}
