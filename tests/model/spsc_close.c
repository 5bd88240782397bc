/* SPDX-License-Identifier: MIT */
/*
 * Closing a byte ring, over the real src/spsc.c.
 *
 * Checked: a consumer that is told of the end has got every byte that was committed before, and the
 * status; an end that sees the other one closed also sees whatever that did before.
 *
 * Options: -DMODEL_END=1 only the producer closes, 2 only the consumer; 3, both, is the default.
 * Controls that must fail: with MODEL_END=1 BREAK_P3 and BREAK_C3, with MODEL_END=2 BREAK_C4 and
 * BREAK_P4.
 */
#include "model.h"
#include <mring/spsc.h>

#ifdef MRING_MODEL_CHECK
/* The checker takes one file. Nothing sleeps: all waits have a timeout of 0. */
#include "../../src/spsc.c"
#include "../../src/waiter.c"

void mring_os_sleep(struct mring_event *event, uint32_t expected, int64_t timeout_ns)
{
    (void)event;
    (void)expected;
    (void)timeout_ns;
}

uint32_t mring_os_wake(struct mring_event *event, uint32_t most)
{
    (void)most;
    (void)event;
    return 0;
}

int64_t mring_os_now(void)
{
    return 0;
}
#endif

#ifndef MODEL_END
#define MODEL_END 3
#endif

enum { CAPACITY = 2, TRIES = 3, STATUS = 7 };

static unsigned char data[CAPACITY];
static struct mring_side write_side, read_side;
static struct mring_spsc ring;
static unsigned sent, received;
static unsigned reason;

static void reset(void)
{
    mring_store_relaxed_u64(&write_side.pos, 0);
    mring_store_relaxed_u64(&read_side.pos, 0);
    mring_store_relaxed_u64(&write_side.closed, 0);
    mring_store_relaxed_u64(&read_side.closed, 0);
    ring.data = data;
    ring.capacity = CAPACITY;
    ring.write_side = &write_side;
    ring.read_side = &read_side;
    ring.write_pos = ring.read_pos = 0;
    ring.write_pos_seen = ring.read_pos_seen = 0;
    ring.write_closed = false;
    sent = received = reason = 0;
}

static void *send_and_close(void *context)
{
    while (sent < CAPACITY) {
        unsigned char *room = mring_spsc_reserve(&ring, 1);
        model_require(room != NULL, "the ring has room");
        room[0] = (unsigned char)++sent;
        mring_spsc_commit(&ring, 1);
    }
    reason = STATUS;
    mring_spsc_close(&ring, MRING_WRITE_END, STATUS);
    return context;
}

static void *receive_to_the_end(void *context)
{
    for (int try = 0; try < TRIES; try++) {
        int err = mring_spsc_wait_readable(&ring, 1, 0);
        if (err == MRING_TIMED_OUT)
            continue;
        if (err == MRING_EOF) {
            uint32_t status = 0;
            model_require(received == CAPACITY, "the data is drained before the end");
            model_require(mring_spsc_is_closed(&ring, MRING_WRITE_END, &status), "it is closed");
            model_require(status == STATUS && reason == STATUS, "the status comes with the end");
            break;
        }
        model_require(err == 0, "the ring is in order");

        size_t size;
        const unsigned char *bytes = mring_spsc_peek(&ring, 1, &size);
        model_require(bytes != NULL && bytes[0] == received + 1, "the bytes come in order");
        received++;
        mring_spsc_consume(&ring, 1);
    }
    return context;
}

static void *give_up(void *context)
{
    reason = STATUS;
    mring_spsc_close(&ring, MRING_READ_END, STATUS);
    return context;
}

static void *see_that_nobody_reads(void *context)
{
    for (int try = 0; try < TRIES; try++) {
        int err = mring_spsc_wait_writable(&ring, 1, 0);
        if (err == 0)
            continue;
        model_require(err == MRING_CLOSED, "room or closed are the answers");
        model_require(reason == STATUS, "what the consumer did before is visible");
        break;
    }
    return context;
}

static void scenario(void)
{
    if (MODEL_END & 1) {
        reset();
        model_run(send_and_close, receive_to_the_end);
        model_require(received <= sent, "nothing is read that was not sent");
    }
    if (MODEL_END & 2) {
        reset();
        model_run(give_up, see_that_nobody_reads);
        model_require(mring_spsc_wait_writable(&ring, 1, 0) == MRING_CLOSED, "closed stays closed");
    }
}

int main(void)
{
    return model_main(scenario);
}
