/* SPDX-License-Identifier: MIT */
/*
 * Descriptors for poll loops where there is no eventfd: kqueues, or FIFOs. For macOS and the BSDs;
 * on Linux, in a build that tries these files, there are FIFOs alone.
 *
 * A kqueue can itself be waited for, and an event in it can be triggered by whoever has the
 * descriptor; but it can't be sent to another process, nor inherited. A FIFO that one descriptor
 * has open for both reading and writing can, and never lacks a reader, so that no write to it
 * raises a signal.
 */
#ifndef MRING_KQUEUE_H
#define MRING_KQUEUE_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__linux__)
static inline bool mring_kqueue_adopt(int fd)
{
    (void)fd;
    return false;
}

static inline bool mring_kqueue_trigger(int fd)
{
    (void)fd;
    return false;
}

static inline bool mring_kqueue_clear(int fd)
{
    (void)fd;
    return false;
}
#else
#include <sys/types.h>

#include <sys/event.h>
#include <sys/time.h>

/* An event of the user's in this kqueue is not likely to have this number, too. */
#define KQUEUE_IDENT ((uintptr_t)0x6d72696e)

/* False, here and below: it is no kqueue. */
static inline bool mring_kqueue_change(int fd, unsigned short flags, unsigned fflags)
{
    struct kevent event;

    EV_SET(&event, KQUEUE_IDENT, EVFILT_USER, flags, fflags, 0, NULL);
    return kevent(fd, &event, 1, NULL, 0, NULL) == 0;
}

/* Register our event. */
static inline bool mring_kqueue_adopt(int fd)
{
    return mring_kqueue_change(fd, EV_ADD | EV_CLEAR, 0);
}

static inline bool mring_kqueue_trigger(int fd)
{
    return mring_kqueue_change(fd, 0, NOTE_TRIGGER);
}

/* Taking the event out resets it. */
static inline bool mring_kqueue_clear(int fd)
{
    struct kevent event;
    struct timespec now = { 0, 0 };

    return kevent(fd, NULL, 0, &event, 1, &now) >= 0;
}
#endif

#endif
