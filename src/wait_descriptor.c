/* SPDX-License-Identifier: MIT */
/*
 * Where there is neither eventfd nor membarrier: descriptors for poll loops that are kqueues or
 * FIFOs, and no barriers. For macOS and the BSDs.
 *
 * A kqueue can itself be waited for, and an event in it can be triggered by whoever has the
 * descriptor; but it can't be sent to another process, nor inherited. A FIFO that one descriptor
 * has open for both reading and writing can, and never lacks a reader, so that no write to it
 * raises a signal.
 */
#define _GNU_SOURCE /* systems without this macro show everything anyway */

#include "io_os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- kqueues --------------------------------------------------------------------------------- */

#if !defined(__linux__)
#include <sys/event.h>

/* Nobody else is likely to use this number for an event of the user's in this kqueue. */
#define IDENT ((uintptr_t)0x6d72696e67)

static bool change(int fd, unsigned short flags, unsigned fflags)
{
    struct kevent event;

    EV_SET(&event, IDENT, EVFILT_USER, flags, fflags, 0, NULL);
    return kevent(fd, &event, 1, NULL, 0, NULL) == 0;
}

/* Register our event. False if it is no kqueue. */
static bool adopt_kqueue(int fd)
{
    return change(fd, EV_ADD | EV_CLEAR, 0);
}

static bool trigger_kqueue(int fd)
{
    return change(fd, 0, NOTE_TRIGGER);
}

/* Taking the event out resets it. */
static bool clear_kqueue(int fd)
{
    struct kevent event;
    struct timespec now = { 0, 0 };

    return kevent(fd, NULL, 0, &event, 1, &now) >= 0;
}
#else
static bool adopt_kqueue(int fd)
{
    (void)fd;
    return false;
}

static bool trigger_kqueue(int fd)
{
    (void)fd;
    return false;
}

static bool clear_kqueue(int fd)
{
    (void)fd;
    return false;
}
#endif

/* ---- descriptors ----------------------------------------------------------------------------- */

int mring_io_check_eventfd(int fd)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fstat(fd, &status) != 0)
        return errno;
    if (adopt_kqueue(fd))
        return 0;
    return S_ISFIFO(status.st_mode) && (flags & O_ACCMODE) == O_RDWR && (flags & O_NONBLOCK)
               ? 0
               : MMAP_INVALID_ARG;
}

/* A FIFO that is full is readable already. */
void mring_os_signal(int fd)
{
    if (trigger_kqueue(fd))
        return;
    ssize_t written = write(fd, "", 1);
    (void)written;
}

/* Nothing to read is what was wanted. */
void mring_os_clear(int fd)
{
    char bytes[256];
    ssize_t got;

    if (clear_kqueue(fd))
        return;
    do {
        got = read(fd, bytes, sizeof bytes);
    } while (got == (ssize_t)sizeof bytes);
}

/* ---- barriers -------------------------------------------------------------------------------- */

/* Nobody joined, so nobody calls this: rings use fences. */
void mring_os_barrier(void)
{
    mring_fence_seq_cst();
}

bool mring_os_join_barriers(void)
{
    return false;
}

/* Sleepers are found by the memory that they sleep on, or wake by themselves. */
uint64_t mring_os_event_id(void)
{
    return 0;
}
