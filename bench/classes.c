/* SPDX-License-Identifier: MIT */
/*
 * The classes of rows that compare queues, and how they are measured.
 */
#include "loops.h"
#include "rows.h"
#include "task.h"

#include <mring.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- classes --------------------------------------------------------------------------------- */

/* A line or two per class. */
/* clang-format off */
static const struct task_class classes[] = {
/* One producer, one consumer. */
#define ITEM(size, at_once)                                                                        \
    { { "spsc/item:" #size, "items of " #size " bytes, one per call", UNIT_ITEMS,                  \
        .quick = at_once },                                                                        \
      TASK_ITEMS, USE_ITEMS, .item_bytes = size }
    ITEM(8, true), ITEM(16, false), ITEM(64, false), ITEM(256, false),

#define BATCH(size, suffix, count, at_once)                                                        \
    { { "spsc/batch:" #count suffix, "items of " #size " bytes, up to " #count " per call, copied",\
        UNIT_ITEMS, .quick = at_once },                                                            \
      TASK_BATCHES, USE_BATCHES, .item_bytes = size, .batch = count }
    BATCH(8, "", 8, false), BATCH(8, "", 64, true), BATCH(8, "", 256, false),
#define BATCHES(size)                                                                              \
    BATCH(size, "/item:" #size, 8, false), BATCH(size, "/item:" #size, 64, false),                 \
        BATCH(size, "/item:" #size, 256, false)
    BATCHES(16), BATCHES(64), BATCHES(256),

#define SPAN(count, at_once)                                                                       \
    { { "spsc/span:" #count, "items of 8 bytes, up to " #count " at a time, in place", UNIT_ITEMS, \
        .quick = at_once },                                                                        \
      TASK_SPANS, USE_SPANS, .item_bytes = 8, .batch = count }
    SPAN(8, false), SPAN(64, true), SPAN(256, false),

    { { "spsc/rtt", "an item of 8 bytes there and back", UNIT_NS, .quick = true },
      TASK_ROUND_TRIP, USE_ROUND_TRIP, .item_bytes = 8 },

#define BYTES(size, at_once)                                                                       \
    { { "bytes:" #size, "chunks of " #size " bytes", UNIT_BYTES, .quick = at_once,                 \
        .bytes = size },                                                                           \
      TASK_ITEMS, USE_BYTES, .item_bytes = size }
    BYTES(8, true), BYTES(16, false), BYTES(64, true), BYTES(200, false), BYTES(1500, true),
    BYTES(4096, true), BYTES(16384, false), BYTES(65536, true),

    /* Records. */
    { { "record/spsc/item:8", "records of 8 bytes, one per call", UNIT_ITEMS, .quick = true,
        .like = "spsc/item:8" },
      TASK_ITEMS, USE_RECORD_ITEMS, .item_bytes = 8 },
    { { "record/spsc/rtt", "a record of 8 bytes there and back", UNIT_NS, .quick = true,
        .like = "spsc/rtt" },
      TASK_ROUND_TRIP, USE_RECORD_ROUND_TRIP, .item_bytes = 8 },
    { { "record/mpsc/16-256", "records of 16 to 256 bytes, 2 producers, 1 consumer", UNIT_ITEMS,
        .quick = true, .threads = 3 },
      TASK_RECORDS, USE_RECORDS, .item_bytes = RECORD_MAX, .producers = 2 },

#define MANY(mode, title, at_once, number, ...)                                                    \
    { { "record/" mode, title, UNIT_ITEMS, .quick = at_once, .threads = number,                    \
        .limit = "spsc/item:8/handover" },                                                         \
      TASK_MANY, USE_MANY, .item_bytes = 8, __VA_ARGS__ }
    MANY("mpmc/1x1", "records of 8 bytes, 1 producer, 1 consumer", true, 2, .for_many = true),
    MANY("mpmc/2x2", "the same, 2 and 2", true, 4, .producers = 2, .consumers = 2),
    MANY("mpmc/4x4", "the same, 4 and 4", true, 8, .producers = 4, .consumers = 4),
    MANY("spmc/1x3", "the same, 1 and 3", false, 4, .consumers = 3),
    MANY("mpsc/3x1", "the same, 3 and 1", false, 4, .producers = 3),
    MANY("mpmc/4x4/cores:2", "the same, 4 and 4 on 2 cores", false, 8, .producers = 4,
         .consumers = 4, .cores = 2),

#define MANY_BATCH(count, at_once)                                                                 \
    { { "record/mpmc/1x1/batch:" #count, "records of 8 bytes, up to " #count " per call",          \
        UNIT_ITEMS, .quick = at_once, .limit = "spsc/batch:64/handover" },                         \
      TASK_MANY_BATCHES, USE_MANY_BATCHES, .item_bytes = 8, .batch = count, .for_many = true }
    MANY_BATCH(8, false), MANY_BATCH(16, true), MANY_BATCH(64, false),

    /* Two processes. */
    { { "ipc/rtt", "64 bytes to another process and back, polling", UNIT_NS, .quick = true,
        .limit = "spsc/rtt/line" }, TASK_ROUND_TRIP, USE_PROCESSES, .item_bytes = 64 },
    { { "ipc/rtt/wait", "64 bytes to another process and back; may sleep", UNIT_NS, .quick = true,
        .limit = "spsc/rtt/line" }, TASK_ROUND_TRIP, USE_BLOCKING, .item_bytes = 64 },
#define IPC_BYTES(size, at_once)                                                                   \
    { { "ipc/bytes:" #size, "chunks of " #size " bytes between processes", UNIT_BYTES,             \
        .quick = at_once, .bytes = size, .limit = "bytes:" #size "/handover" },                    \
      TASK_ITEMS, USE_PROCESSES, .item_bytes = size }
    IPC_BYTES(64, false), IPC_BYTES(1500, false), IPC_BYTES(65536, true),

    { { "wake", "from put to the return of a get that slept", UNIT_NS, .quick = true },
      TASK_WAKE, USE_WAKE, .item_bytes = 8 },
    { { "create", "making and destroying a queue of 64 KiB", UNIT_NS, .quick = true,
        .limit = "mapping/size:65536/mmap" },
      TASK_LIFE, USE_ITEMS | USE_MANY, .item_bytes = 8 },

    /* Broken queues, whose rows must fail: --negative-control. */
    { { "control/item:8", "one in a million goes wrong", UNIT_ITEMS, .quick = true },
      TASK_ITEMS, USE_ITEMS, .item_bytes = 8 },
    { { "control/item:256", "one in a thousand goes wrong", UNIT_ITEMS, .quick = true },
      TASK_ITEMS, USE_ITEMS, .item_bytes = 256 },
    { { "control/batch:64", "one in a thousand goes wrong", UNIT_ITEMS, .quick = true },
      TASK_BATCHES, USE_BATCHES, .item_bytes = 8, .batch = 64 },
    { { "control/many", "one in a million goes wrong", UNIT_ITEMS, .quick = true },
      TASK_MANY, USE_MANY, .item_bytes = 8 },
};
/* clang-format on */

#define CLASS_COUNT (sizeof classes / sizeof classes[0])

/* ---- measures -------------------------------------------------------------------------------- */

struct row {
    struct task_row task;
    struct latency *latency; /* of all repetitions; NULL: none */
};

/* Message queues and shared memory may be missing, or too small: then others are compared. */
static void note_unavailable(struct sample *sample, const struct row *row)
{
    if (sample->fault == task_cant_make && row->task.queue->role == ROLE_COMPETITOR) {
        sample->fault = NULL;
        sample->unavailable = true;
    }
}

/*
 * Perform it; again if it was disturbed, unless it is about latencies: a thread that loses its
 * processor is a part of their distribution. False if it failed.
 */
static bool perform_well(struct task_outcome *outcome, struct sample *sample, const struct row *row,
                         uint64_t iterations, bool latency)
{
    const struct bench_cores *cores = row->task.cores;
    const char *remark = bench_cores_remark(cores);
    unsigned members =
        (unsigned)(or_one(row->task.of->producers) + or_one(row->task.of->consumers));
    unsigned attempts = 0;

    do {
        sample->fault = task_perform(outcome, &row->task, iterations, latency);
        note_unavailable(sample, row);
        if (sample->fault != NULL || sample->unavailable)
            return false;
        attempts++;
    } while (!latency && members <= outcome->cores &&
             bench_was_disturbed(&outcome->time, cores, members, attempts));
    sample->failed_polls = (double)outcome->failed_polls / (double)iterations;
    sample->label = remark != NULL ? remark : cores->topology;
    sample->elapsed_ns = outcome->time.elapsed_ns;
    return true;
}

static void measure_throughput(struct sample *sample, uint64_t iterations, const void *context)
{
    const struct row *row = context;
    struct task_outcome outcome;

    if (!perform_well(&outcome, sample, row, iterations, false))
        return;
    sample->items = iterations;
    sample->bytes = iterations * row->task.of->shown.bytes;
    sample->cut = outcome.time.cut;
    if (sample->cut)
        sample->elapsed_ns =
            (int64_t)((double)sample->elapsed_ns * (double)iterations / (double)outcome.moved);
}

/*
 * The mean comes from round trips that nobody times one by one, since reading the clock takes a
 * part of their time; the percentiles come from others, a quarter as many.
 */
static void measure_round_trip(struct sample *sample, uint64_t iterations, const void *context)
{
    const struct row *row = context;
    struct task_outcome outcome;

    if (!perform_well(&outcome, sample, row, iterations / 4, true))
        return;
    round_add_latency(sample, row->latency, &outcome.latency);
    perform_well(&outcome, sample, row, iterations, false);
}

#define SLEEPS_MAX 20

static void measure_wake(struct sample *sample, uint64_t iterations, const void *context)
{
    const struct row *row = context;
    struct task_outcome outcome;

    /* On a busy machine it may be woken before it could fall asleep. */
    for (unsigned attempts = 0; attempts == 0 || outcome.time.slept < iterations / 2; attempts++) {
        if (attempts == SLEEPS_MAX) {
            sample->fault = "the sleeper did not sleep";
            return;
        }
        if (!perform_well(&outcome, sample, row, iterations, true))
            return;
    }
    round_add_latency(sample, row->latency, &outcome.latency);
    sample->elapsed_ns = (int64_t)((double)outcome.latency.sum * bench_tick_ns());
}

static void measure_life(struct sample *sample, uint64_t iterations, const void *context)
{
    const struct row *row = context;
    int64_t start = mring_os_now();

    for (uint64_t i = 0; i < iterations; i++) {
        void *queue = task_make_queue(&row->task);
        if (queue == NULL) {
            sample->fault = task_cant_make;
            note_unavailable(sample, row);
            return;
        }
        row->task.queue->destroy(queue);
    }
    sample->elapsed_ns = mring_os_now() - start;
}

/* ---- registration ---------------------------------------------------------------------------- */

/* So that a repetition takes a millisecond or some, which thread starts don't show in. */
#define TRIPS         4096
#define TRIPS_IF_SLOW 256
#define WAKES         10
#define LIVES         300
#define ITEMS_MIN     64
#define FAST_LAPS     4 /* as many laps if a lap is quick: the items are large, or in batches */
#define LARGE_BYTES   1500

static uint64_t count_iterations(const struct task_class *of, const struct queue *queue,
                                 unsigned laps)
{
    bool fast = of->item_bytes >= LARGE_BYTES || of->batch > 1;
    uint64_t items = (uint64_t)laps * task_capacity(of) * (fast ? FAST_LAPS : 1);
    uint64_t unit = or_one(of->producers) * or_one(of->consumers);

    switch (of->task) {
    case TASK_ROUND_TRIP:
        return queue->slow ? TRIPS_IF_SLOW : TRIPS;
    case TASK_WAKE:
        return WAKES;
    case TASK_LIFE:
        return LIVES;
    default:
        if (queue->slow)
            items /= 32;
        if (items < ITEMS_MIN)
            items = ITEMS_MIN;
        return (items + unit - 1) / unit * unit; /* each thread has the same number */
    }
}

static bool takes_part(const struct queue *queue, const struct task_class *of,
                       const struct bench_cores *cores)
{
    if ((queue->uses & of->uses) == 0 || (of->task == TASK_LIFE && queue->role == ROLE_LIMIT))
        return false;
    if (queue->blocks && cores->available == 1)
        return false; /* each call would spin away its time slice */
    if (queue->chunk_max > 0 && of->item_bytes > queue->chunk_max)
        return false;
    return queue->item_bytes == 0 || queue->item_bytes == of->item_bytes;
}

/* For as long as the program runs; zeros. */
static void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (memory != NULL)
        return memory;
    fputs("ringbench: out of memory\n", stderr);
    exit(EXIT_FAILURE);
}

static void add_row(const struct task_class *of, const struct queue *queue,
                    const struct bench_cores *cores, unsigned laps)
{
    static void (*const measures[])(struct sample *, uint64_t, const void *) = {
        [TASK_ITEMS] = measure_throughput,
        [TASK_BATCHES] = measure_throughput,
        [TASK_SPANS] = measure_throughput,
        [TASK_MANY] = measure_throughput,
        [TASK_MANY_BATCHES] = measure_throughput,
        [TASK_RECORDS] = measure_throughput,
        [TASK_ROUND_TRIP] = measure_round_trip,
        [TASK_WAKE] = measure_wake,
        [TASK_LIFE] = measure_life,
    };
    bool timed = of->task == TASK_ROUND_TRIP || of->task == TASK_WAKE;
    struct row *row = allocate(sizeof *row);
    struct latency *latency = timed ? allocate(sizeof *latency) : NULL;

    *row = (struct row){ .task = { of, queue, cores }, .latency = latency };
    round_add(&(struct class_row){ .of = &of->shown,
                                   .name = queue->name,
                                   .role = queue->role,
                                   .iterations = count_iterations(of, queue, laps),
                                   .measure = measures[of->task],
                                   .context = row,
                                   .latency = latency });
}

/* Each queue once; one that has several tables is in the class by the first that fits. */
static void add_rows(const struct task_class *of, const struct queue *queues,
                     const struct bench_cores *cores, const struct bench_options *options)
{
    for (const struct queue *queue = queues; queue->name != NULL; queue++) {
        if (options->compare && queue->role == ROLE_VARIANT)
            continue;
        if (takes_part(queue, of, cores) && !round_has(&of->shown, queue->name))
            add_row(of, queue, cores, options->laps);
    }
}

static bool is_control(const struct task_class *of)
{
    return strncmp(of->shown.name, "control/", strlen("control/")) == 0;
}

void classes_register(const struct bench_cores *cores, const struct bench_options *options)
{
    static const struct queue *const arrays[] = {
        queues_mring,
        queues_mring_records,
        queues_limit,
        queues_system,
#if defined(BENCH_COMPETITORS)
        queues_atomic_queue,
        queues_boost,
        queues_ck,
        queues_dpdk,
        queues_extra,
        queues_moodycamel,
        queues_tbb,
        queues_xenium,
#endif
    };

    for (size_t i = 0; i < CLASS_COUNT; i++) {
        const struct task_class *of = &classes[i];
        bool redundant = of->cores > 0 && cores->count <= of->cores;
        if (is_control(of) != options->negative_control || redundant ||
            (options->quick && !of->shown.quick))
            continue;
        round_add_class(&of->shown);
        if (is_control(of))
            add_rows(of, queues_control, cores, options);
        else
            for (size_t j = 0; j < sizeof arrays / sizeof arrays[0]; j++)
                add_rows(of, arrays[j], cores, options);
    }
}

/* ---- the line -------------------------------------------------------------------------------- */

/* The fastest of so many: other work on the machine can only make it slower. */
#define LINE_RUNS 25

double classes_measure_line(const struct bench_cores *cores)
{
    static const struct task_class round_trip = { .task = TASK_ROUND_TRIP,
                                                  .uses = USE_ROUND_TRIP,
                                                  .item_bytes = 8 };
    struct task_row row = { &round_trip, queues_limit, cores };
    int64_t fastest = INT64_MAX;
    struct task_outcome outcome;

    while (row.queue->name != NULL && !takes_part(row.queue, &round_trip, cores))
        row.queue++;
    for (unsigned i = 0; i < LINE_RUNS; i++) {
        if (task_perform(&outcome, &row, TRIPS, false) != NULL)
            return 0;
        if (outcome.time.elapsed_ns < fastest)
            fastest = outcome.time.elapsed_ns;
    }
    return (double)fastest / TRIPS / 2;
}
