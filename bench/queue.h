/* SPDX-License-Identifier: MIT */
/*
 * A queue as ringbench sees it: a table of functions, one table per queue and use. Each library has
 * a small adaptor of its own in bench/queues/, in C or C++, which ends in an array of such tables.
 *
 * What is timed is the same for all of them: the loops of loops.h, which an adaptor instantiates
 * with its own put and get. A table has pointers to these loops and not to put and get, so that the
 * compiler inlines a queue into the loop as it would in a program that uses it.
 */
#ifndef BENCH_QUEUE_H
#define BENCH_QUEUE_H

#include "latency.h"
#include "thread.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PRODUCERS_MAX 16

/* ---- one thread's share of a run ------------------------------------------------------------- */

/*
 * Written by ringbench before the run, read by the loops; the results are the loops' own. It is in
 * memory that processes share, alone on its cache lines.
 */
struct share {
    /* The handle that put, or get, takes; and of the way back, for round trips. */
    MRING_ALIGNAS(MRING_LINE) void *end;
    void *back;
    uint64_t count;    /* items, chunks or round trips */
    size_t item_bytes; /* of one item or chunk */
    size_t batch;      /* items that a batch has at most */

    /*
     * From one producer to one consumer: `source_count` items, sent round and round. The memory
     * goes on with the first `batch` of them, so that a batch is contiguous wherever it starts.
     */
    const unsigned char *source;
    uint64_t source_count;
    unsigned char *destination; /* where the consumer puts an item, or a batch */

    unsigned producer; /* many to many: this producer's number */

    struct bench_pace pace;

    /* Round trips: where each one's time goes; NULL: nowhere. Wake-ups: it is never NULL. */
    struct latency *latency;
    mring_atomic_u64 *sleeping; /* wake-ups: number of times the sleeper went to sleep */

    /* Results. */
    uint64_t failed_polls; /* the queue was full, or empty */
    uint64_t mismatch;     /* 0 if all was in order, complete and whole */
    uint64_t sum;          /* many to many: of the numbers of all items */
    uint64_t moved;        /* many to many: items that this one put, or got */
};

/* ---- a queue --------------------------------------------------------------------------------- */

/* Which side of the comparison a queue is on. */
enum role {
    ROLE_COMPETITOR,
    ROLE_OURS,    /* its figure is the numerator of the class's ratio; one per class */
    ROLE_VARIANT, /* ours in another way: shown, no part of the ratio */
    ROLE_LIMIT    /* what the hardware gives: shown, and ours is compared with it */
};

/* The classes of rows that a queue takes part in. */
enum use {
    USE_ITEMS = 1 << 0,        /* one producer, one consumer, one item per call */
    USE_BATCHES = 1 << 1,      /* the same in batches, copied */
    USE_SPANS = 1 << 2,        /* the same in batches, written and read in place */
    USE_BYTES = 1 << 3,        /* chunks of any size */
    USE_ROUND_TRIP = 1 << 4,   /* items of 8 bytes over two queues */
    USE_MANY = 1 << 5,         /* items of 8 bytes, several producers and consumers */
    USE_MANY_BATCHES = 1 << 6, /* the same in batches */
    USE_RECORDS = 1 << 7,      /* records of 16 to 256 bytes, several producers, one consumer */
    USE_PROCESSES = 1 << 8,    /* chunks of any size between two processes; put and get poll */
    USE_BLOCKING = 1 << 9,     /* the same; put and get sleep in the kernel when they have to */
    USE_WAKE = 1 << 10,        /* items of 8 bytes; get sleeps in the kernel */

    /* Items of 8 bytes in a ring of records: compared with the queues of the first line, and of
       USE_ROUND_TRIP. */
    USE_RECORD_ITEMS = 1 << 11,
    USE_RECORD_ROUND_TRIP = 1 << 12
};

/* What a queue is made for. */
struct shape {
    size_t item_bytes; /* the size of an item, or the largest of a chunk */
    size_t capacity;   /* items of that size */
    bool many_producers;
    bool many_consumers;
    bool processes; /* the ends are opened in two processes, after a fork */
    bool prefault;  /* touch the pages, where the queue can be asked to */
};

typedef void loop(struct share *share);

struct queue {
    const char *name; /* of its rows: lower case, digits, underscores */
    enum role role;
    unsigned uses;     /* enum use */
    size_t item_bytes; /* 0: any, or as the use says */
    size_t chunk_max;  /* the largest chunk that it takes; 0: any */
    bool unordered;    /* items of one producer may overtake each other */
    bool blocks;       /* put and get come back when they have done it: a run can't be cut short */
    bool slow;         /* the kernel or a lock is in its way: it is given a 32nd of the items */

    /* NULL if it can't be made, here and now; it has then left nothing behind. */
    void *(*create)(const struct shape *shape);
    void (*destroy)(void *queue);

    /*
     * A thread's, or process's, handle, opened and closed in that thread before and after the run.
     * NULL in the table: the queue itself is the handle, for all.
     */
    void *(*open)(void *queue, bool producer);
    void (*close)(void *end);

    /* One item, for going once around before the run; `size` is the item's. */
    bool (*put)(void *end, const void *item, size_t size);
    bool (*get)(void *end, void *item, size_t size);

    /* Those of loops.h that belong to the uses. */
    loop *produce; /* USE_ITEMS, USE_BYTES, USE_PROCESSES, USE_BLOCKING; USE_MANY; all RECORD */
    loop *consume;
    loop *produce_batches; /* USE_BATCHES; USE_MANY_BATCHES */
    loop *consume_batches;
    loop *produce_spans; /* USE_SPANS */
    loop *consume_spans;
    loop *ping; /* USE_ROUND_TRIP, USE_RECORD_ROUND_TRIP, USE_PROCESSES, USE_BLOCKING */
    loop *pong;
    loop *wake; /* USE_WAKE */
    loop *sleep;
};

/*
 * The arrays of the adaptors, each closed by a table without a name. Those of a library are there
 * if ringbench was built with competitors; see bench/CMakeLists.txt.
 */
extern const struct queue queues_mring[];
extern const struct queue queues_mring_records[];
extern const struct queue queues_system[]; /* pipe, socket pair, message queue, mutex */
extern const struct queue queues_limit[];  /* what the hardware gives */
extern const struct queue queues_control[];
#if defined(BENCH_COMPETITORS)
extern const struct queue queues_atomic_queue[];
extern const struct queue queues_boost[];
extern const struct queue queues_ck[];
extern const struct queue queues_dpdk[];
extern const struct queue queues_extra[]; /* of headers in MRING_BENCH_EXTRA */
extern const struct queue queues_moodycamel[];
extern const struct queue queues_tbb[];
extern const struct queue queues_xenium[];
#endif

#ifdef __cplusplus
}
#endif

#endif
