/* SPDX-License-Identifier: MIT */
/* Moving bytes through descriptors: POSIX. */
#define _POSIX_C_SOURCE 200809L

#include "io_os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* No call moves more, on any system; what is left is for the next one. */
#define MOST ((size_t)1 << 30)

static ssize_t input_once(const struct io *io, void *bytes, size_t size)
{
    return io->socket ? recv(io->fd, bytes, size, io->flags) : read(io->fd, bytes, size);
}

static ssize_t output_once(const struct io *io, const void *bytes, size_t size)
{
    return io->socket ? send(io->fd, bytes, size, io->flags | MSG_NOSIGNAL)
                      : write(io->fd, bytes, size);
}

/* EWOULDBLOCK may be another number than EAGAIN, though not here. */
static int error_of_call(void)
{
    return errno == EAGAIN ? MRING_WOULD_BLOCK : errno;
}

int mring_io_input(const struct io *io, void *bytes, size_t size, size_t *count)
{
    ssize_t moved;

    /* recv() would return more than it has written. */
    if (io->flags & MSG_TRUNC)
        return MMAP_INVALID_ARG;
    do {
        moved = input_once(io, bytes, size < MOST ? size : MOST);
    } while (moved < 0 && errno == EINTR);
    if (moved < 0)
        return error_of_call();
    *count = (size_t)moved;
    return 0;
}

int mring_io_output(const struct io *io, const void *bytes, size_t size, size_t *count)
{
    ssize_t moved;

    do {
        moved = output_once(io, bytes, size < MOST ? size : MOST);
    } while (moved < 0 && errno == EINTR);
    if (moved < 0)
        return error_of_call();
    *count = (size_t)moved;
    return 0;
}

/*
 * Writing to a pipe or socket whose reader is gone raises a signal, and what was written stays
 * there until all of it has been read: an eventfd does neither. It is no file of any type; and of
 * those only an eventfd takes 8 bytes, of which zeros add nothing.
 */
int mring_io_check_eventfd(int fd)
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
