/* SPDX-License-Identifier: MIT */
/*
 * The hot path of the byte ring: three bytes through a ring of two, so that the producer overwrites
 * what the consumer has read, and has to look at the consumer's position for that.
 *
 * Checked: no data race on the bytes, the bytes come in order and unharmed, none is lost. The
 * positions start just below 2^64 and run over it.
 *
 * Option: BATCH=2 defers publication at both ends; the producer flushes at its end.
 *
 * Controls that must fail: BREAK_P1, BREAK_P2, BREAK_C1, BREAK_C2. Under IMM, the model of the
 * hardware, BREAK_P1 passes, and with BATCH BREAK_C2: there a write is ordered behind the branch
 * that it depends on. In C it is a data race, which RC11 reports.
 */
#include "model.h"
#include <mring/spsc.h>

#ifdef MRING_MODEL_CHECK
/* The checker takes one file. */
#include "../../src/spsc.c"
#include "../../src/waiter.c"

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

#ifndef BATCH
#define BATCH 0
#endif

enum { CAPACITY = 2, TRIES = 3 };

static const uint64_t START_POS = UINT64_MAX - 1;

static unsigned char data[CAPACITY];
static struct mring_side write_side, read_side;
static struct mring_spsc ring;
static unsigned sent, received;
static size_t readable; /* the consumer's; of no interest */

/* Tries, not waits: a checker needs a program that ends in every execution. */
static void *produce(void *context)
{
    for (int try = 0; try < TRIES; try++) {
        unsigned char *room = mring_spsc_reserve(&ring, 1);
        if (room == NULL)
            continue;
        room[0] = (unsigned char)(sent + 1);
        sent++;
        mring_spsc_commit(&ring, 1);
    }
    mring_spsc_flush(&ring, MRING_WRITE_END);
    return context;
}

static void receive(void)
{
    const unsigned char *bytes = mring_spsc_peek(&ring, 1, &readable);

    if (bytes == NULL)
        return;
    /* The check comes last: a branch on the byte would order what C2 has to order. */
    unsigned char byte = bytes[0];
    mring_spsc_consume(&ring, 1);
    received++;
    model_require(byte == received, "the bytes come in order");
}

static void *consume(void *context)
{
    for (int try = 0; try < TRIES; try++)
        receive();
    return context;
}

static void scenario(void)
{
    mring_store_relaxed_u64(&write_side.pos, START_POS);
    mring_store_relaxed_u64(&read_side.pos, START_POS);
    ring.data = data;
    ring.capacity = CAPACITY;
    ring.write_side = &write_side;
    ring.read_side = &read_side;
    ring.write_pos = ring.read_pos = START_POS;
    ring.write_pos_seen = ring.read_pos_seen = START_POS;
    ring.write_batch.bytes = ring.read_batch.bytes = BATCH;
    ring.write_batch.published = ring.read_batch.published = START_POS;
    sent = received = 0;

    model_run(produce, consume);

    for (int try = 0; try < CAPACITY; try++)
        receive();
    model_require(sent >= CAPACITY, "the whole capacity can be filled");
    model_require(received == sent, "nothing is lost");
}

int main(void)
{
    return model_main(scenario);
}
