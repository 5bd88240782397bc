/* SPDX-License-Identifier: MIT */
/* Moving bytes through descriptors: POSIX. */
#define _GNU_SOURCE /* systems without this macro show everything anyway */

#include "io_os.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

/* No call moves more, on any system; what is left is for the next one. */
#define MOST ((size_t)1 << 30)

static ssize_t input_once(const struct io *io, void *bytes, size_t size)
{
    return io->socket ? recv(io->fd, bytes, size, io->flags) : read(io->fd, bytes, size);
}

#if defined(__APPLE__)
/*
 * A flag of send() that keeps it from raising SIGPIPE is too new; an option of the socket is not,
 * and stays set. A socket that is shut down both ways takes no options any more, nor data.
 */
static ssize_t send_quietly(const struct io *io, const void *bytes, size_t size)
{
    int on = 1;

    if (setsockopt(io->fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) == 0)
        return send(io->fd, bytes, size, io->flags);
    if (errno == EINVAL)
        errno = EPIPE;
    return -1;
}
#else
static ssize_t send_quietly(const struct io *io, const void *bytes, size_t size)
{
    return send(io->fd, bytes, size, io->flags | MSG_NOSIGNAL);
}
#endif

static ssize_t output_once(const struct io *io, const void *bytes, size_t size)
{
    return io->socket ? send_quietly(io, bytes, size) : write(io->fd, bytes, size);
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
