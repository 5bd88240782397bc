/* SPDX-License-Identifier: MIT */
/* Waiting at an end of a ring, whichever ring it is. For the cold halves of the rings. */
#ifndef MRING_WAITER_H
#define MRING_WAITER_H

#include <mring/ring.h>

/* Who waits, and for what. */
struct waiter {
    /* The answer, or MRING_TIMED_OUT: not yet. It is not asked again after an answer, which may be
       what it has got. `what` is the ring's, and `size` goes with it. */
    int (*look)(void *what, size_t size);
    void *what;
    size_t size;
    int not_yet; /* for who does not wait but arms */
    enum mring_end end;
    enum mring_fencing fencing;
    struct mring_event *event;
    uint64_t
        wanted; /* the other side's position that a wake makes sense from, if it is looked at */
    struct mring_spin *spin;
    struct mring_counters *counters;
};

/*
 * Wait until look() has an answer, and return that, or timed_out. It was called just before, and
 * had none.
 */
int mring_waiter_wait(const struct waiter *waiter, int64_t timeout_ns);
int mring_waiter_wait_until(const struct waiter *waiter, int64_t deadline_ns);

/*
 * Have `fd` signalled when there may be an answer, and return not_yet; or an answer. As above. The
 * event is the one of those that wait for descriptors.
 */
int mring_waiter_arm(const struct waiter *waiter, int fd);

#endif
