/* SPDX-License-Identifier: MIT */
/* What can be signalled for poll loops on macOS and the BSDs: kqueue.h says why these. */
#define _GNU_SOURCE /* systems without this macro show everything anyway */

#include "io_os.h"
#include "kqueue.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int mring_io_check_signal(int fd)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fstat(fd, &status) != 0)
        return errno;
    if (mring_kqueue_adopt(fd))
        return 0;
    return S_ISFIFO(status.st_mode) && (flags & O_ACCMODE) == O_RDWR && (flags & O_NONBLOCK)
               ? 0
               : MMAP_INVALID_ARG;
}
