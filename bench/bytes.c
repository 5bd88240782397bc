/* SPDX-License-Identifier: MIT */
/*
 * Chunks of bytes, copied into a ring by one thread and out of it by another.
 *
 *   memcpy     one thread fills a buffer as large as the ring and empties it: no hand-over at all
 *   spsc       the library's ring: one copy in, one copy out, wherever the chunk lies
 *   split      the same ring over plain memory: two copies where the chunk meets the end. The
 *              rings start one cache line late, so that chunks of more than a line do; shorter
 *              ones are items of a fixed size, which never do
 *   batch      the library's ring, half of it reserved and published at a time
 *   spsc/wait  the library's ring made for sleeping: each publication pays a fence
 *
 * How it is measured: both threads are pinned and start together; time runs from the first start to
 * the last end. All pages are there before, in every copy of a mirror. The variants of one size
 * move the same bytes, in all repetitions of a row over 1,000 times the capacity, so that the rings
 * really wrap. Memory is mapped anew for each repetition, since a lucky choice of pages would bias
 * a whole run.
 *
 * What is checked, at the same cost in each variant: a chunk starts and ends with a stamp that its
 * place in the sequence gives, so that a chunk that is lost, repeated, torn or a lap old is found.
 * After the run the last chunk is compared byte by byte, and the positions with the count.
 */
#include "cbench.h"
#include "rows.h"
#include "split_ring.h"

#include <stdio.h>
#include <string.h>

#define RING_BYTES  ((size_t)131072)
#define START_BYTES ((size_t)64)
#define BATCH_BYTES (RING_BYTES / 2)

/*
 * The source is a few chunks with different stamps, sent round and round, small enough for the
 * first-level cache. Their number is odd, so a chunk of the lap before has another stamp.
 */
#define SOURCE_BYTES ((size_t)8192)
#define STAMP_STEP   UINT64_C(0x9e3779b97f4a7c15)

/*
 * On x86 a load that follows a store with the same low 12 bits of address waits for it. These keep
 * source and destination away from each other and from the start of the ring's pages.
 */
#define SOURCE_OFFSET      ((size_t)17 * 64)
#define DESTINATION_OFFSET ((size_t)33 * 64)

/* The loops below exist once per chunk size, with the size as a constant; see by_size(). */
#define SPECIALIZED static inline __attribute__((always_inline))

/* ---- one run --------------------------------------------------------------------------------- */

struct run {
    /* Constant while it runs. */
    struct mring_spsc *ring;     /* of all variants but memcpy */
    unsigned char *buffer;       /* of memcpy: as large as a ring */
    const unsigned char *source; /* source_count chunks */
    unsigned char *destination;  /* one chunk */
    size_t size;                 /* of a chunk */
    uint64_t count;              /* of chunks */
    uint64_t source_count;
    unsigned idle_limit;

    /* The consumer's, when it is done: 0 if each stamp was the one expected. */
    uint64_t mismatch;
};

/* The chunks of the source, one after the other, for ever. */
struct feed {
    const unsigned char *chunk;
    const unsigned char *first;
    const unsigned char *end;
};

SPECIALIZED struct feed feed_start(const struct run *run)
{
    return (struct feed){ run->source, run->source, run->source + run->source_count * run->size };
}

SPECIALIZED void feed_next(struct feed *feed, size_t size)
{
    feed->chunk += size;
    if (feed->chunk == feed->end)
        feed->chunk = feed->first;
}

/* What the consumer expects. */
struct check {
    uint64_t stamp;
    uint64_t last_stamp;
    uint64_t mismatch;
};

SPECIALIZED struct check check_start(const struct run *run)
{
    return (struct check){ STAMP_STEP, STAMP_STEP * run->source_count, 0 };
}

SPECIALIZED void check_chunk(struct check *check, const unsigned char *chunk, size_t size)
{
    uint64_t head, tail;

    /* The copy is what is measured: the compiler may not read around it. */
    mring_alias_barrier();
    memcpy(&head, chunk, sizeof head);
    memcpy(&tail, chunk + size - sizeof tail, sizeof tail);
    check->mismatch |= (head ^ check->stamp) | (tail ^ check->stamp);
    check->stamp = check->stamp == check->last_stamp ? STAMP_STEP : check->stamp + STAMP_STEP;
}

/* ---- variants -------------------------------------------------------------------------------- */

/* Copy a chunk in, or out; false if there is no room, or nothing to read, now. */
typedef bool put_chunk(struct mring_spsc *ring, const void *chunk, size_t size);
typedef bool get_chunk(struct mring_spsc *ring, void *chunk, size_t size);

SPECIALIZED bool mirrored_put(struct mring_spsc *ring, const void *chunk, size_t size)
{
    void *room = mring_spsc_reserve(ring, size);

    if (room == NULL)
        return false;
    memcpy(room, chunk, size);
    mring_spsc_commit(ring, size);
    return true;
}

SPECIALIZED bool mirrored_get(struct mring_spsc *ring, void *chunk, size_t size)
{
    size_t readable;
    const void *bytes = mring_spsc_peek(ring, size, &readable);

    if (bytes == NULL)
        return false;
    memcpy(chunk, bytes, size);
    mring_spsc_consume(ring, size);
    return true;
}

SPECIALIZED bool waiting_put(struct mring_spsc *ring, const void *chunk, size_t size)
{
    return mirrored_put(ring, chunk, size) ||
           (mring_spsc_wait_writable(ring, size, -1) == 0 && mirrored_put(ring, chunk, size));
}

SPECIALIZED bool waiting_get(struct mring_spsc *ring, void *chunk, size_t size)
{
    return mirrored_get(ring, chunk, size) ||
           (mring_spsc_wait_readable(ring, size, -1) == 0 && mirrored_get(ring, chunk, size));
}

SPECIALIZED void produce_chunks(struct run *run, size_t size, put_chunk *put)
{
    struct feed feed = feed_start(run);

    for (uint64_t left = run->count; left > 0; left--) {
        for (unsigned polls = 0; !put(run->ring, feed.chunk, size);)
            bench_idle(&polls, run->idle_limit);
        feed_next(&feed, size);
    }
}

SPECIALIZED void consume_chunks(struct run *run, size_t size, get_chunk *get)
{
    struct check check = check_start(run);

    for (uint64_t left = run->count; left > 0; left--) {
        for (unsigned polls = 0; !get(run->ring, run->destination, size);)
            bench_idle(&polls, run->idle_limit);
        check_chunk(&check, run->destination, size);
    }
    run->mismatch = check.mismatch;
}

SPECIALIZED void produce_batches(struct run *run, size_t size)
{
    struct feed feed = feed_start(run);
    uint64_t batch = BATCH_BYTES / size;
    unsigned char *room;

    for (uint64_t left = run->count; left > 0; left -= batch) {
        batch = left < batch ? left : batch;
        for (unsigned polls = 0; (room = mring_spsc_reserve(run->ring, batch * size)) == NULL;)
            bench_idle(&polls, run->idle_limit);
        for (uint64_t i = 0; i < batch; i++) {
            memcpy(room + i * size, feed.chunk, size);
            feed_next(&feed, size);
        }
        mring_spsc_commit(run->ring, batch * size);
    }
}

SPECIALIZED void consume_batches(struct run *run, size_t size)
{
    struct check check = check_start(run);
    uint64_t batch = BATCH_BYTES / size;
    const unsigned char *bytes;
    size_t readable;

    for (uint64_t left = run->count; left > 0; left -= batch) {
        batch = left < batch ? left : batch;
        for (unsigned polls = 0;
             (bytes = mring_spsc_peek(run->ring, batch * size, &readable)) == NULL;)
            bench_idle(&polls, run->idle_limit);
        for (uint64_t i = 0; i < batch; i++) {
            memcpy(run->destination, bytes + i * size, size);
            check_chunk(&check, run->destination, size);
        }
        mring_spsc_consume(run->ring, batch * size);
    }
    run->mismatch = check.mismatch;
}

/* A whole buffer in, then out again: a chunk that is read at once would not leave the L1 cache. */
SPECIALIZED void copy_alone(struct run *run, size_t size)
{
    struct feed feed = feed_start(run);
    struct check check = check_start(run);
    uint64_t lap = RING_BYTES / size;

    for (uint64_t left = run->count; left > 0; left -= lap) {
        lap = left < lap ? left : lap;
        for (uint64_t i = 0; i < lap; i++) {
            memcpy(run->buffer + i * size, feed.chunk, size);
            feed_next(&feed, size);
        }
        for (uint64_t i = 0; i < lap; i++) {
            memcpy(run->destination, run->buffer + i * size, size);
            check_chunk(&check, run->destination, size);
        }
    }
    run->mismatch = check.mismatch;
}

/*
 * Messages of a few words have a constant size in most programs, and their copy is then a few
 * instructions; for longer ones the call of memcpy() does not matter.
 */
typedef void chunk_loop(struct run *run, size_t size);

SPECIALIZED void by_size(struct run *run, chunk_loop *loop)
{
    switch (run->size) {
    case 8:
        loop(run, 8);
        break;
    case 16:
        loop(run, 16);
        break;
    case 64:
        loop(run, 64);
        break;
    default:
        loop(run, run->size);
        break;
    }
}

/* One side of a variant, as a thread wants it. */
#define DEFINE_SIDE(name, loop_call)                                                               \
    SPECIALIZED void name##_loop(struct run *run, size_t size)                                     \
    {                                                                                              \
        loop_call;                                                                                 \
    }                                                                                              \
    static void name(void *run)                                                                    \
    {                                                                                              \
        by_size(run, name##_loop);                                                                 \
    }

DEFINE_SIDE(copy_in_one_thread, copy_alone(run, size))
DEFINE_SIDE(produce_mirrored, produce_chunks(run, size, mirrored_put))
DEFINE_SIDE(consume_mirrored, consume_chunks(run, size, mirrored_get))
DEFINE_SIDE(produce_split, produce_chunks(run, size, split_ring_write))
DEFINE_SIDE(consume_split, consume_chunks(run, size, split_ring_read))
DEFINE_SIDE(produce_waiting, produce_chunks(run, size, waiting_put))
DEFINE_SIDE(consume_waiting, consume_chunks(run, size, waiting_get))
DEFINE_SIDE(produce_in_batches, produce_batches(run, size))
DEFINE_SIDE(consume_in_batches, consume_batches(run, size))

static int create_mirrored(struct mring_spsc *ring)
{
    return mring_spsc_create(ring, &(struct mring_args){ .capacity = RING_BYTES,
                                                         .flags = MRING_NOWAIT,
                                                         .map_flags = MMAP_PREFAULT });
}

static int create_waitable(struct mring_spsc *ring)
{
    return mring_spsc_create(
        ring, &(struct mring_args){ .capacity = RING_BYTES, .map_flags = MMAP_PREFAULT });
}

static int create_split(struct mring_spsc *ring)
{
    return split_ring_create(ring, RING_BYTES);
}

enum { VARIANT_MEMCPY, VARIANT_SPSC, VARIANT_SPLIT, VARIANT_BATCH, VARIANT_WAIT, VARIANT_COUNT };

/* Without a producer, the variant has one thread and a buffer instead of a ring. */
static const struct variant {
    const char *name;
    const char *suffix; /* behind the size */
    int (*create)(struct mring_spsc *ring);
    int (*destroy)(struct mring_spsc *ring);
    void (*produce)(void *run);
    void (*consume)(void *run);
} variants[] = {
    [VARIANT_MEMCPY] = { "memcpy", "", NULL, NULL, NULL, copy_in_one_thread },
    [VARIANT_SPSC] = { "spsc", "", create_mirrored, mring_spsc_destroy, produce_mirrored,
                       consume_mirrored },
    [VARIANT_SPLIT] = { "split", "", create_split, split_ring_destroy, produce_split,
                        consume_split },
    [VARIANT_BATCH] = { "batch", "", create_mirrored, mring_spsc_destroy, produce_in_batches,
                        consume_in_batches },
    [VARIANT_WAIT] = { "spsc", "/wait", create_waitable, mring_spsc_destroy, produce_waiting,
                       consume_waiting },
};

static const size_t sizes[] = { 8, 16, 64, 200, 1500, 4096, 16384, 65536 };

#define SIZE_COUNT (sizeof sizes / sizeof sizes[0])

/* ---- the body of a row ----------------------------------------------------------------------- */

struct row {
    const struct variant *variant;
    const struct bench_cores *cores;
    size_t size;
    char name[48];
};

static uint64_t count_source_chunks(size_t size)
{
    uint64_t count = SOURCE_BYTES / size;

    return count < 3 ? 3 : (count - 1) | 1;
}

/* Each chunk is filled with its stamp; a tail that is no whole word ends with it too. */
static void fill_source(unsigned char *source, size_t size)
{
    uint64_t stamp = STAMP_STEP;

    for (uint64_t i = 0; i < count_source_chunks(size); i++, stamp += STAMP_STEP) {
        unsigned char *chunk = source + i * size;
        for (size_t at = 0; at + sizeof stamp <= size; at += sizeof stamp)
            memcpy(chunk + at, &stamp, sizeof stamp);
        memcpy(chunk + size - sizeof stamp, &stamp, sizeof stamp);
    }
}

/* The first chunk starts behind these bytes; see `split` above. */
static void skip_start(struct mring_spsc *ring)
{
    size_t size;

    mring_spsc_reserve(ring, START_BYTES);
    mring_spsc_commit(ring, START_BYTES);
    mring_spsc_peek(ring, START_BYTES, &size);
    mring_spsc_consume(ring, START_BYTES);
}

/* What is wrong with what arrived, or NULL. */
static const char *find_fault(const struct run *run)
{
    uint64_t end = START_BYTES + run->count * run->size;
    const unsigned char *last = run->source + (run->count - 1) % run->source_count * run->size;
    const struct mring_spsc *ring = run->ring;

    if (run->mismatch != 0)
        return "a chunk was lost, repeated or damaged";
    if (memcmp(run->destination, last, run->size) != 0)
        return "the last chunk differs from what was sent";
    if (ring != NULL && (ring->write_pos != end || ring->read_pos != end))
        return "the positions differ from what was sent";
    return NULL;
}

/* Memory that this thread has touched already. */
static int map_memory(struct mmap *map, size_t size)
{
    return mmap_map(
        map, &(struct mmap_args){ .access = MMAP_WRITE, .flags = MMAP_PREFAULT, .size = size });
}

/* Move the chunks once, over fresh memory. Returns what went wrong, or NULL. */
static const char *transfer(struct bench_time *time, const struct row *row, uint64_t count)
{
    const struct variant *variant = row->variant;
    uint64_t source_count = count_source_chunks(row->size);
    struct mmap source = { 0 };
    struct mmap destination = { 0 };
    struct mmap buffer = { 0 };
    struct mring_spsc ring = { 0 };
    const char *fault = NULL;

    int err = map_memory(&source, SOURCE_OFFSET + source_count * row->size);
    if (err == 0)
        err = map_memory(&destination, DESTINATION_OFFSET + row->size);
    if (err == 0)
        err = variant->create != NULL ? variant->create(&ring) : map_memory(&buffer, RING_BYTES);
    if (err == 0) {
        if (variant->create != NULL)
            skip_start(&ring);
        fill_source((unsigned char *)source.addr + SOURCE_OFFSET, row->size);
        struct run run = {
            .ring = variant->create != NULL ? &ring : NULL,
            .buffer = buffer.addr,
            .source = (unsigned char *)source.addr + SOURCE_OFFSET,
            .destination = (unsigned char *)destination.addr + DESTINATION_OFFSET,
            .size = row->size,
            .count = count,
            .source_count = source_count,
            .idle_limit = bench_idle_limit(row->cores),
        };
        bool ran = bench_run(time, row->cores, variant->produce, variant->consume, &run);
        fault = ran ? find_fault(&run) : "no second thread";
    } else {
        fault = mring_errname(err);
    }

    if (ring.data != NULL)
        variant->destroy(&ring);
    mmap_free(&buffer);
    mmap_free(&destination);
    mmap_free(&source);
    return fault;
}

/*
 * A repetition in which the system took a processor away from one of the threads is done again,
 * whatever time came out. Not for ever, and not if it is so long that the next one would fare no
 * better; nor where the threads have to share or to move between processors.
 */
#define ATTEMPTS_MAX    10
#define RETRY_BYTES_MAX (64 * RING_BYTES)

static void bytes_body(struct cb_state *state, uint64_t iterations, const void *context)
{
    const struct row *row = context;
    const char *remark = bench_cores_remark(row->cores);
    bool retry = remark == NULL && iterations * row->size <= RETRY_BYTES_MAX;
    struct bench_time time;
    unsigned attempts = 0;

    do {
        const char *fault = transfer(&time, row, iterations);
        if (fault != NULL) {
            cb_fail(state, fault);
            return;
        }
        attempts++;
    } while (time.interrupted && retry && attempts < ATTEMPTS_MAX);
    cb_set_time(state, time.elapsed_ns);
    cb_set_bytes(state, iterations * row->size);
    if (remark != NULL)
        cb_set_label(state, remark);
}

/* ---- table ----------------------------------------------------------------------------------- */

/* Of one repetition. By default it takes about a millisecond or less. */
static uint64_t count_chunks(size_t size, uint64_t laps)
{
    if (laps == 0)
        laps = 16;
    return (laps * RING_BYTES + size - 1) / size;
}

static void name_row(char *name, size_t name_size, const struct variant *variant, size_t size)
{
    snprintf(name, name_size, "%s/bytes:%zu%s", variant->name, size, variant->suffix);
}

void bytes_register(const struct bench_cores *cores, unsigned laps)
{
    static struct row rows[SIZE_COUNT][VARIANT_COUNT];

    for (size_t i = 0; i < SIZE_COUNT; i++) {
        for (size_t j = 0; j < VARIANT_COUNT; j++) {
            struct row *row = &rows[i][j];
            *row = (struct row){ .variant = &variants[j], .cores = cores, .size = sizes[i] };
            name_row(row->name, sizeof row->name, row->variant, row->size);
            cb_register(&(struct cb_row){ .name = row->name,
                                          .iterations = count_chunks(row->size, laps),
                                          .body = bytes_body,
                                          .context = row });
        }
    }
}

/* 0 where one of them was not measured. */
static double quotient(double dividend, double divisor)
{
    return divisor > 0 ? dividend / divisor : 0;
}

static void print_head(FILE *out)
{
    fprintf(out,
            "\nChunks of bytes, ring of %zu KiB, medians. GB/s, then ratios.\n"
            "%7s %8s  %8s  %8s  %8s  %8s  %11s  %11s\n",
            RING_BYTES / 1024, "bytes", "memcpy", "spsc", "split", "batch", "wait", "spsc/split",
            "spsc/memcpy");
}

bool bytes_print(FILE *out)
{
    bool headed = false;

    for (size_t i = 0; i < SIZE_COUNT; i++) {
        double rates[VARIANT_COUNT];
        double spreads[VARIANT_COUNT];
        double sum = 0;
        for (size_t j = 0; j < VARIANT_COUNT; j++) {
            char name[48];
            name_row(name, sizeof name, &variants[j], sizes[i]);
            rates[j] = cb_median_bytes_per_second(name);
            spreads[j] = cb_spread(name);
            sum += rates[j];
        }
        if (sum <= 0)
            continue;
        if (!headed)
            print_head(out);
        headed = true;
        fprintf(out, "%7zu", sizes[i]);
        for (size_t j = 0; j < VARIANT_COUNT; j++)
            bench_print_number(out, 8, rates[j] * 1e-9, spreads[j]);
        bench_print_number(out, 11, quotient(rates[VARIANT_SPSC], rates[VARIANT_SPLIT]), 0);
        bench_print_number(out, 11, quotient(rates[VARIANT_SPSC], rates[VARIANT_MEMCPY]), 0);
        fputc('\n', out);
    }
    return headed;
}
