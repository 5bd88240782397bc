/* SPDX-License-Identifier: MIT */
/*
 * Closing a record ring: a producer pushes while the ring is closed, and a consumer drains it.
 *
 * Checked: when the consumer is told that it is at the end, all that was committed has come out,
 * and nothing comes afterwards; and after the close, sooner or later, it is told so.
 *
 * Options: MODE, as in mpmc.c; PUSHES, by default 2. With a single producer, the write end is
 * closed by that one, after its pushes; otherwise by a thread of its own.
 *
 * Controls that must fail, with a single producer: BREAK_P4, BREAK_C5. With several, write_pos
 * itself says whether it is final.
 */
#include "mpmc_model.h"

#ifndef PUSHES
#define PUSHES 2
#endif

enum { LOOKS = PUSHES + 1 };

static unsigned sent, received;
static size_t size;
static bool ended;

static void close_ring(void)
{
    mring_mpmc_close(&ring, MRING_WRITE_END, 0);
}

static void *produce(void *context)
{
    for (unsigned i = 0; i < PUSHES; i++) {
        uint64_t *room = mring_mpmc_reserve(&producers[0], 8);
        if (room == NULL)
            continue;
        room[0] = ++sent;
        mring_mpmc_commit(&producers[0], 8);
    }
    if (MODE & MRING_SINGLE_PRODUCER)
        close_ring();
    return context;
}

static void *close_apart(void *context)
{
    close_ring();
    return context;
}

static void receive(void)
{
    struct mring_mpmc_end *consumer = &consumers[0];

    if (mring_mpmc_claim(consumer, &claims[0], 1) == 0) {
        ended = look_for_record(consumer, CAPACITY, &size) == MRING_EOF;
        return;
    }
    const uint64_t *record = mring_mpmc_next(consumer, &claims[0], &size);
    model_require(record[0] == ++received, "records come in order");
    mring_mpmc_release(consumer, &claims[0]);
}

static void *consume(void *context)
{
    for (unsigned i = 0; i < LOOKS && !ended; i++)
        receive();
    return context;
}

static void scenario(void)
{
    static void *(*const starts[])(void *) = { produce, consume,
                                               MODE & MRING_SINGLE_PRODUCER ? NULL : close_apart };

    reset_ring(MRING_FENCING_NONE);
    sent = received = 0;
    ended = false;
    model_run_all(starts, 3);

    bool had_ended = ended;
    unsigned before = received;
    for (unsigned i = 0; i <= PUSHES; i++)
        receive();
    model_require(ended && received == sent, "all comes out, and then the end");
    model_require(!had_ended || before == sent, "nothing comes after the end");
}

int main(void)
{
    return model_main(scenario);
}
