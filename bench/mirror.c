/* SPDX-License-Identifier: MIT */
/*
 * What the mirror is worth: one ring over four storages (storage.h) at three tasks. Positions,
 * ordering and publication are the same, so each class shows the storage and nothing else. The
 * loops that are timed are in loops.h, parse.h and hop.h.
 *
 * mirror/copy: chunks are copied in by one thread and out by another.
 *
 *   mirrored   one copy in, one copy out, wherever the chunk lies
 *   split      two copies where the chunk meets the end, after a check whether it does
 *   skip       one copy; a length before each chunk, and the rest before the end is lost
 *   doubled    one copy; a length before each chunk, and twice the memory
 *
 * mirror/parse: Redis commands (capture.h) are appended by one thread and parsed by another, in
 * place, by a real parser (resp.h). It takes all that is there, then gives it all back at once.
 *
 *   mirrored   everything readable is one span, which is parsed from end to end
 *   split      up to the end; the command that lies across it is first copied into a buffer of its
 *              own, in small pieces until it is whole, since its length is not known before
 *   skip, doubled
 *              a record per command, so one call of the parser per record. This flatters them: the
 *              writer has to know where commands end, so it has to be a parser itself. A server
 *              that receives what a client sends does not know, and cannot use them in this way
 *
 * mirror/io: a chunk goes round, in one thread: from the ring to a socket, and from the other end
 * of the socket pair into the ring.
 *
 *   mirrored      one send(), one recv()
 *   split_calls   two of each where the chunk meets the end
 *   split_vector  one writev(), one readv(), of two pieces where the chunk meets the end
 *   skip, doubled one send(), one recv() of a record. That works because one chunk at a time is on
 *                 its way: what two calls of recv() brought are two records, not one span to send
 *   one_buffer    a fixed buffer instead of a ring: what the system calls cost by themselves
 *
 * What to expect. Copying gains nothing: one chunk in a lap is split, and what the second memcpy()
 * costs is lost in the time that the lines take from the other core. Only with chunks of a word or
 * a line do the lengths of the records show, by up to a quarter. (At 64 bytes, split often comes
 * out some per cent ahead. Its code did so over mirrored memory too: that is the pace of the two
 * loops, not the storage.) Parsing gains some 5 %, and over the split ring the more, the more often
 * the end comes. Two system calls instead of one cost a third more; two vectors 5 to 15 %, and
 * records nothing as long as there is one of them at a time. So what the mirror gives is
 * contiguity: there is no second case in the parser and in the call, no format of records, no
 * record that has to fit before the end, and no second ring's worth of memory.
 *
 * How it is measured: as in the other classes. Threads are pinned and start together; time runs
 * from the first start to the last end; memory is mapped anew for each repetition and its pages
 * have been touched; source and destination are kept away from each other and from the ring modulo
 * 4 KiB. Rings start one cache line late, so that chunks really lie across the end, but those of 8
 * and 64 bytes, as items of a fixed size do not. All repetitions of a row together go over the ring
 * more than 1,000 times. A repetition in which the system took a processor away is done again.
 *
 * What is checked, at the same cost in each variant of a class:
 *
 *   copy    the stamps at both ends of each chunk (loops.h); the last chunk byte by byte
 *   parse   of each command: its size, number of arguments, name, a checksum of the lengths of the
 *           arguments, and the last eight bytes of its key and of the whole; from capture.h, whose
 *           numbers do not come from the parser
 *   io      what each call moved, and the whole chunk at the end: any damage goes round with it
 *   all     the positions, which say how many bytes there were, with lengths and with skipped ones
 */
#define _XOPEN_SOURCE 700 /* socketpair() and its kin under -std=c11 */

#include "capture.h"
#include "hop.h"
#include "parse.h"
#include "round.h"
#include "rows.h"
#include "source.h"
#include "storage.h"

#include <string.h>

/* ---- loops ----------------------------------------------------------------------------------- */

DEFINE_ITEM_LOOPS(copy_mirrored, 0, mirrored_put, mirrored_get)
DEFINE_ITEM_LOOPS(copy_split, 0, split_put, split_get)
DEFINE_ITEM_LOOPS(copy_skip, 0, skip_put, skip_get)
DEFINE_ITEM_LOOPS(copy_doubled, 0, doubled_put, doubled_get)

#define DEFINE_PARSE_LOOPS(storage)                                                                \
    DEFINE_LOOP(parse_##storage##_produce, produce_commands_loop(share, storage##_put))            \
    DEFINE_LOOP(parse_##storage##_consume, consume_commands_loop(share, parse_##storage))

DEFINE_PARSE_LOOPS(mirrored)
DEFINE_PARSE_LOOPS(split)
DEFINE_PARSE_LOOPS(skip)
DEFINE_PARSE_LOOPS(doubled)

DEFINE_LOOP(io_mirrored, hop_loop(share, hop_mirrored))
DEFINE_LOOP(io_split_calls, hop_loop(share, hop_split_calls))
DEFINE_LOOP(io_split_vector, hop_loop(share, hop_split_vector))
DEFINE_LOOP(io_skip, hop_loop(share, hop_skip))
DEFINE_LOOP(io_doubled, hop_loop(share, hop_doubled))
DEFINE_LOOP(io_one_buffer, hop_loop(share, hop_one_buffer))

/* ---- tables ---------------------------------------------------------------------------------- */

struct variant {
    const char *name;
    enum role role;
    const struct storage *storage; /* NULL: a buffer, no ring */
    loop *consume;
    loop *produce; /* NULL: there is one thread only */
};

#define VARIANTS_MAX 6

/* Each is closed by a variant without a name. */
static const struct variant copy_variants[] = {
    { "mirrored", ROLE_OURS, &storage_mirrored, copy_mirrored_consume, copy_mirrored_produce },
    { "split", ROLE_COMPETITOR, &storage_split, copy_split_consume, copy_split_produce },
    { "skip", ROLE_COMPETITOR, &storage_skip, copy_skip_consume, copy_skip_produce },
    { "doubled", ROLE_COMPETITOR, &storage_doubled, copy_doubled_consume, copy_doubled_produce },
    { 0 },
};
static const struct variant parse_variants[] = {
    { "mirrored", ROLE_OURS, &storage_mirrored, parse_mirrored_consume, parse_mirrored_produce },
    { "split", ROLE_COMPETITOR, &storage_split, parse_split_consume, parse_split_produce },
    { "skip", ROLE_COMPETITOR, &storage_skip, parse_skip_consume, parse_skip_produce },
    { "doubled", ROLE_COMPETITOR, &storage_doubled, parse_doubled_consume, parse_doubled_produce },
    { 0 },
};
static const struct variant io_variants[] = {
    { "mirrored", ROLE_OURS, &storage_mirrored, io_mirrored, NULL },
    { "split_calls", ROLE_COMPETITOR, &storage_split, io_split_calls, NULL },
    { "split_vector", ROLE_COMPETITOR, &storage_split, io_split_vector, NULL },
    { "skip", ROLE_COMPETITOR, &storage_skip, io_skip, NULL },
    { "doubled", ROLE_COMPETITOR, &storage_doubled, io_doubled, NULL },
    { "one_buffer", ROLE_LIMIT, NULL, io_one_buffer, NULL },
    { 0 },
};

enum kind { KIND_COPY, KIND_PARSE, KIND_IO };

static const struct task {
    struct row_class class;
    enum kind kind;
    const struct variant *variants;
    uint64_t ring_bytes;
    size_t chunk_bytes; /* 0: the commands of the capture */
    unsigned times;     /* as many laps as --laps says, so that it takes about a millisecond */
} tasks[] = {
/* A line or a few per class. */
/* clang-format off */
#define COPY(chunk, times_, at_once)                                                               \
    { { .name = "mirror/copy:" #chunk,                                                             \
        .title = "chunks of " #chunk " bytes copied in and out, ring of 64 KiB",                   \
        .unit = UNIT_BYTES, .quick = (at_once), .ourselves = true, .bytes = (chunk) },             \
      KIND_COPY, copy_variants, 65536, (chunk), (times_) }
    COPY(8, 2, false),
    COPY(64, 4, true),
    COPY(200, 4, false),
    COPY(1500, 8, true),
    COPY(4096, 8, false),

#define PARSE(ring, times_, at_once)                                                               \
    { { .name = "mirror/parse/ring:" #ring,                                                        \
        .title = "Redis commands parsed in place, ring of " #ring " bytes",                        \
        .unit = UNIT_ITEMS, .quick = (at_once), .ourselves = true },                               \
      KIND_PARSE, parse_variants, (ring), 0, (times_) }
    PARSE(4096, 16, false),
    PARSE(65536, 2, true),

#define IO(chunk, ring, times_, at_once)                                                           \
    { { .name = "mirror/io:" #chunk,                                                               \
        .title = "a chunk of " #chunk " bytes through a socket, ring of " #ring " bytes",          \
        .unit = UNIT_NS, .quick = (at_once), .ourselves = true },                                  \
      KIND_IO, io_variants, (ring), (chunk), (times_) }
    IO(1500, 4096, 8, true),
    IO(16384, 65536, 4, false),
};
/* clang-format on */

#define TASK_COUNT (sizeof tasks / sizeof tasks[0])

/* ---- one repetition -------------------------------------------------------------------------- */

struct row {
    const struct task *task;
    const struct variant *variant;
    const struct bench_cores *cores;
};

/* All that a repetition needs, made anew for each. Zeros, with a wire of -1, to begin with. */
struct scene {
    struct mmap source;
    struct mmap destination;
    struct mring_spsc ring;
    struct wire wire;
    uint64_t source_count;
};

static size_t count_source_bytes(const struct task *task)
{
    switch (task->kind) {
    case KIND_COPY:
        return (source_count_items(task->chunk_bytes, 1) + 1) * task->chunk_bytes;
    case KIND_PARSE:
        return capture_count_bytes();
    case KIND_IO:
        break;
    }
    return task->chunk_bytes;
}

/* No part of the chunk is like another one. */
static void fill_with_numbers(unsigned char *source, size_t size)
{
    for (size_t at = 0; at < size; at++)
        source[at] = (unsigned char)((at + 1) * STAMP_STEP >> 56);
}

static void fill_source(struct scene *scene, const struct task *task, unsigned char *source)
{
    switch (task->kind) {
    case KIND_COPY:
        scene->source_count = source_count_items(task->chunk_bytes, 1);
        source_fill(source, task->chunk_bytes, 1);
        break;
    case KIND_PARSE:
        scene->source_count = CAPTURE_COUNT;
        capture_fill(source);
        break;
    case KIND_IO:
        scene->source_count = 1;
        fill_with_numbers(source, task->chunk_bytes);
        break;
    }
}

static unsigned char *get_source(const struct scene *scene)
{
    return (unsigned char *)scene->source.addr + SOURCE_OFFSET;
}

static unsigned char *get_destination(const struct scene *scene)
{
    return (unsigned char *)scene->destination.addr + DESTINATION_OFFSET;
}

/* The first chunk starts behind these bytes. They are there in any storage. */
static void skip_start(struct mring_spsc *ring)
{
    size_t size;

    mring_spsc_reserve(ring, START_BYTES);
    mring_spsc_commit(ring, START_BYTES);
    mring_spsc_peek(ring, START_BYTES, &size);
    mring_spsc_consume(ring, START_BYTES);
}

/* Returns what went wrong, or NULL; close_scene() follows in any case. */
static const char *open_scene(struct scene *scene, const struct row *row)
{
    const struct task *task = row->task;
    const struct storage *storage = row->variant->storage;
    size_t destination_bytes = task->chunk_bytes > 0 ? task->chunk_bytes : LINE_UP_BYTES;

    int err = source_map(&scene->source, SOURCE_OFFSET + count_source_bytes(task));
    if (err == 0)
        err = source_map(&scene->destination, DESTINATION_OFFSET + destination_bytes);
    if (err == 0 && storage != NULL)
        err = storage->create(&scene->ring, task->ring_bytes);
    if (err != 0)
        return mring_errname(err);

    fill_source(scene, task, get_source(scene));
    if (storage != NULL)
        skip_start(&scene->ring);
    if (task->kind != KIND_IO)
        return NULL;
    if (storage == NULL)
        memcpy(get_destination(scene), get_source(scene), task->chunk_bytes);
    else if (!storage->put(&scene->ring, get_source(scene), task->chunk_bytes))
        return "the ring has no room for the chunk";
    return wire_open(&scene->wire, task->chunk_bytes);
}

/* Returns what went wrong, or NULL. All is given back that can be. */
static const char *close_scene(struct scene *scene, const struct row *row)
{
    int err = 0;

    if (scene->ring.data != NULL)
        err = row->variant->storage->destroy(&scene->ring);
    int destination_err = mmap_free(&scene->destination);
    int source_err = mmap_free(&scene->source);
    wire_close(&scene->wire);

    err = err != 0 ? err : destination_err;
    err = err != 0 ? err : source_err;
    return err != 0 ? mring_errname(err) : NULL;
}

/* The position behind all that was put into the ring. */
static uint64_t count_end(const struct row *row, uint64_t count)
{
    const struct storage *storage = row->variant->storage;
    uint64_t capacity = row->task->ring_bytes;
    size_t size = row->task->chunk_bytes;
    uint64_t pos = START_BYTES;

    if (row->task->kind == KIND_IO)
        count++;
    for (uint64_t i = 0; i < count; i++) {
        if (row->task->kind == KIND_PARSE)
            size = capture[i % CAPTURE_COUNT].size;
        pos = storage->advance(pos, size, capacity);
    }
    return pos;
}

/* What is wrong with what arrived, or NULL. `mismatch` is the consumer's. */
static const char *find_fault(struct scene *scene, const struct row *row, uint64_t count,
                              uint64_t mismatch)
{
    static const char *const faults[] = {
        [KIND_COPY] = "a chunk was lost, repeated or damaged",
        [KIND_PARSE] = "a command was lost, repeated or damaged",
        [KIND_IO] = "a call did not move the whole chunk",
    };
    const struct task *task = row->task;
    const struct storage *storage = row->variant->storage;
    struct mring_spsc *ring = &scene->ring;
    uint64_t last = task->kind == KIND_COPY ? (count - 1) % scene->source_count : 0;

    if (mismatch != 0)
        return faults[task->kind];
    if (task->kind == KIND_IO && storage != NULL &&
        !storage->get(ring, get_destination(scene), task->chunk_bytes))
        return "the chunk is not in the ring";
    mring_alias_barrier();
    if (memcmp(get_destination(scene), get_source(scene) + last * task->chunk_bytes,
               task->chunk_bytes) != 0)
        return "the last chunk differs from what was sent";
    if (storage == NULL)
        return NULL;
    uint64_t end = count_end(row, count);
    if (ring->write_pos != end || ring->read_pos != end)
        return "the positions differ from what was sent";
    return NULL;
}

/* One thread of a run. */
struct part {
    struct share *share;
    loop *go;
};

static bool prepare_part(void *context, const struct bench_pace *pace)
{
    const struct part *part = context;

    part->share->pace = *pace;
    return true;
}

static void run_part(void *context)
{
    const struct part *part = context;

    part->go(part->share);
}

static void finish_part(void *context)
{
    (void)context;
}

static unsigned count_members(const struct variant *variant)
{
    return variant->produce != NULL ? 2 : 1;
}

/* What a repetition gives. */
struct outcome {
    struct bench_time time;
    uint64_t failed_polls;
};

/* Returns what went wrong, or NULL. The first member is the consumer, in this thread. */
static const char *run_scene(struct outcome *outcome, struct scene *scene, const struct row *row,
                             uint64_t count)
{
    const struct variant *variant = row->variant;
    struct share shares[2];
    struct part parts[2] = { { &shares[0], variant->consume }, { &shares[1], variant->produce } };
    struct bench_member members[2];

    for (unsigned i = 0; i < 2; i++) {
        shares[i] = (struct share){
            .end = &scene->ring,
            .back = &scene->wire,
            .count = count,
            .item_bytes = row->task->chunk_bytes,
            .source = get_source(scene),
            .source_count = scene->source_count,
            .destination = get_destination(scene),
        };
        members[i] = (struct bench_member){
            .prepare = prepare_part,
            .body = run_part,
            .finish = finish_part,
            .context = &parts[i],
            .core = 1 - i,
        };
    }
    const char *stopped = bench_run(&outcome->time, row->cores, members, count_members(variant),
                                    &(struct bench_manner){ .name = variant->name });
    outcome->failed_polls = shares[0].failed_polls + shares[1].failed_polls;

    /* What the consumer saw says more than that the run was stopped, which comes of it. */
    if (stopped != NULL && shares[0].mismatch == 0)
        return stopped;
    return find_fault(scene, row, count, shares[0].mismatch);
}

/* Move everything once. Returns what went wrong, or NULL. */
static const char *transfer(struct outcome *outcome, const struct row *row, uint64_t count)
{
    struct scene scene = { .wire = { -1, -1 } };

    const char *fault = open_scene(&scene, row);
    if (fault == NULL)
        fault = run_scene(outcome, &scene, row, count);
    const char *left_over = close_scene(&scene, row);
    return fault != NULL ? fault : left_over;
}

static void measure_mirror(struct sample *sample, uint64_t iterations, const void *context)
{
    const struct row *row = context;
    const char *remark = bench_cores_remark(row->cores);
    struct outcome outcome;
    unsigned attempts = 0;

    do {
        sample->fault = transfer(&outcome, row, iterations);
        if (sample->fault != NULL)
            return;
        attempts++;
    } while (bench_was_disturbed(&outcome.time, row->cores, count_members(row->variant), attempts));
    sample->elapsed_ns = outcome.time.elapsed_ns;
    sample->items = iterations;
    sample->bytes = iterations * row->task->chunk_bytes;
    sample->failed_polls = (double)outcome.failed_polls / (double)iterations;
    sample->label = remark != NULL ? remark : row->cores->topology;
}

/* ---- registration ---------------------------------------------------------------------------- */

/* Chunks, commands or hops of one repetition. */
static uint64_t count_iterations(const struct task *task, unsigned laps)
{
    uint64_t bytes = (uint64_t)laps * task->times * task->ring_bytes;
    uint64_t items = 1;
    uint64_t size = task->chunk_bytes;

    if (task->kind == KIND_PARSE) {
        items = CAPTURE_COUNT;
        size = capture_count_bytes();
    }
    return (bytes * items + size - 1) / size;
}

void mirror_register(const struct bench_cores *cores, const struct bench_options *options)
{
    static struct row rows[TASK_COUNT][VARIANTS_MAX];

    expected_prepare();
    for (size_t i = 0; i < TASK_COUNT; i++) {
        const struct task *task = &tasks[i];
        if (options->quick && !task->class.quick)
            continue;
        if (task->ring_bytes % mmap_mirror_granularity(0) != 0)
            continue; /* larger pages than that */
        for (size_t j = 0; task->variants[j].name != NULL; j++) {
            const struct variant *variant = &task->variants[j];
            rows[i][j] = (struct row){ .task = task, .variant = variant, .cores = cores };
            round_add(&(struct class_row){ .of = &task->class,
                                           .name = variant->name,
                                           .role = variant->role,
                                           .iterations = count_iterations(task, options->laps),
                                           .measure = measure_mirror,
                                           .context = &rows[i][j] });
        }
    }
}
