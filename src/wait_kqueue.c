/* SPDX-License-Identifier: MIT */
/* Descriptors for poll loops on macOS and the BSDs, which have no barriers: kqueue.h. */
#define _GNU_SOURCE /* systems without this macro show everything anyway */

#include "kqueue.h"

#include <mring/wait.h>

#include <unistd.h>

/* A FIFO that is full is readable already. */
void mring_os_signal(int fd)
{
    if (mring_kqueue_trigger(fd))
        return;
    ssize_t written = write(fd, "", 1);
    (void)written;
}

/* Nothing to read is what was wanted. */
void mring_os_clear(int fd)
{
    char bytes[256];
    ssize_t got;

    if (mring_kqueue_clear(fd))
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
