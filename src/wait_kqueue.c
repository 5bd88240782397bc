/* SPDX-License-Identifier: MIT */
/*
 * Descriptors for poll loops on macOS and the BSDs, and barriers, which they have none of.
 *
 * A kqueue can itself be waited for, and an event in it can be triggered by whoever has the
 * descriptor. It is not inherited: in a forked child its number is closed, or soon something
 * else's. So nothing here ever writes to a descriptor or reads from one: kevent() is all, which
 * refuses whatever is no kqueue, and a kqueue that our event is not in.
 */
#define _GNU_SOURCE /* systems without this macro show everything anyway */

#include "io_os.h"

#include <mring/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

#if __has_include(<sys/event.h>)
#include <sys/types.h>

#include <sys/event.h>
#include <sys/time.h>
#endif

/* ---- descriptors ----------------------------------------------------------------------------- */

#if defined(EVFILT_USER)
/* What the event is known by in its kqueue. An event of the user's is not likely to be, too. */
#define EVENT_IDENT ((uintptr_t)0x6d72696e)

static void describe(struct kevent *event, unsigned short flags, unsigned fflags)
{
    EV_SET(event, EVENT_IDENT, EVFILT_USER, flags, fflags, 0, NULL);
}

/* Nobody but the system can tell a kqueue: it takes our event. */
int mring_io_check_signal(int fd)
{
    struct kevent event;

    if (fcntl(fd, F_GETFD) < 0)
        return errno;
    describe(&event, EV_ADD | EV_CLEAR, 0);
    if (kevent(fd, &event, 1, NULL, 0, NULL) == 0)
        return 0;
    return errno == EBADF || errno == EINVAL ? MMAP_INVALID_ARG : errno;
}

/* Where it can't be triggered, there is nobody in this process who waits for it. */
void mring_os_signal(int fd)
{
    struct kevent event;

    describe(&event, 0, NOTE_TRIGGER);
    kevent(fd, &event, 1, NULL, 0, NULL);
}

/*
 * Events of others in the kqueue are left alone: ours is not taken out, but made anew. If it is not
 * there, the kqueue is another one, and the call ends with the first change. A trigger that comes
 * between the two is lost as one that comes before them is: the caller looks after this call.
 */
void mring_os_clear(int fd)
{
    struct kevent events[2];

    describe(&events[0], EV_DELETE, 0);
    describe(&events[1], EV_ADD | EV_CLEAR, 0);
    kevent(fd, events, 2, NULL, 0, NULL);
}
#else
/* Some BSDs: without an event of the user's there is nothing to give. */
int mring_io_check_signal(int fd)
{
    return fcntl(fd, F_GETFD) < 0 ? errno : MMAP_UNSUPPORTED;
}

void mring_os_signal(int fd)
{
    (void)fd;
}

void mring_os_clear(int fd)
{
    (void)fd;
}
#endif

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
