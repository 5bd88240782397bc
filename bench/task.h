/* SPDX-License-Identifier: MIT */
/*
 * A class of rows that compares queues, and one run of one of its rows.
 */
#ifndef BENCH_TASK_H
#define BENCH_TASK_H

#include "queue.h"
#include "round.h"

enum task {
    TASK_ITEMS,
    TASK_BATCHES,
    TASK_SPANS,
    TASK_MANY,
    TASK_MANY_BATCHES,
    TASK_RECORDS,
    TASK_ROUND_TRIP,
    TASK_WAKE,
    TASK_LIFE
};

/* Zeros: one of them; as many cores as there are. */
struct task_class {
    struct row_class shown;
    enum task task;
    unsigned uses;     /* enum use, one of which a queue must have to take part */
    size_t item_bytes; /* of one item or chunk; of the largest record */
    size_t batch;
    size_t producers;
    size_t consumers;
    unsigned cores;
    bool for_many; /* the queue is made for many on both sides, however many there are */
};

struct task_row {
    const struct task_class *of;
    const struct queue *queue;
    const struct bench_cores *cores;
};

/* What a run gives. */
struct task_outcome {
    struct bench_time time;
    unsigned cores; /* that the members had */
    uint64_t failed_polls;
    uint64_t moved; /* items, many to many; all, if it was not cut short */
    struct latency latency;
};

/* Between several producers or consumers, rather than from one to one. */
bool task_is_many(enum task task);

/* Items of the queue; each has `item_bytes`. */
size_t task_capacity(const struct task_class *of);

/* A queue for the class, or NULL. */
void *task_make_queue(const struct task_row *row);

/* What task_perform() returns if there is no queue: the system may lack what it needs. */
extern const char task_cant_make[];

/*
 * Run the row once, over a queue made for it.
 *
 *   iterations  items, or round trips; a multiple of the number of producers, and of consumers
 *   latency     whether the time of each is taken
 *   returns     what went wrong, or NULL
 */
const char *task_perform(struct task_outcome *outcome, const struct task_row *row,
                         uint64_t iterations, bool latency);

static inline size_t or_one(size_t count)
{
    return count > 0 ? count : 1;
}

#endif
