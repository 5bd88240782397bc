/* SPDX-License-Identifier: MIT */
/*
 * Redis commands that are parsed where they lie in a ring, over each of the four storages: the
 * loops of mirror/parse, see mirror.c. What is sent are the commands of capture.h, over and over;
 * what comes out of the parser (resp.h) is compared with what capture.h says of them.
 *
 *      DEFINE_LOOP(produce, produce_commands_loop(share, split_put))
 *      DEFINE_LOOP(consume, consume_commands_loop(share, parse_split))
 *
 * expected_prepare() comes before the first run. To be included by one file only: it has the table
 * that this writes, and code that all variants share.
 */
#ifndef BENCH_PARSE_H
#define BENCH_PARSE_H

#include "capture.h"
#include "resp.h"
#include "storage.h"

#include <string.h>

/* ---- the source ------------------------------------------------------------------------------ */

static inline size_t capture_count_bytes(void)
{
    size_t bytes = 0;

    for (size_t i = 0; i < CAPTURE_COUNT; i++)
        bytes += capture[i].size;
    return bytes;
}

/* One command after the other, once. */
static inline void capture_fill(unsigned char *source)
{
    for (size_t i = 0; i < CAPTURE_COUNT; source += capture[i].size, i++)
        memcpy(source, capture[i].bytes, capture[i].size);
}

/* ---- what is expected ------------------------------------------------------------------------ */

/* A command of the capture as it has to come out of the parser. */
struct expected {
    size_t size;
    size_t argc;
    size_t name_size;
    const char *name;
    uint32_t lengths;
    uint64_t key_tail; /* the last bytes of the key, with what is before it if it is short */
    uint64_t tail;     /* the last bytes of all */
};

/* Written once, before the first run. */
static struct expected expected[CAPTURE_COUNT];

static inline uint64_t load_tail(const char *end)
{
    uint64_t tail;

    memcpy(&tail, end - sizeof tail, sizeof tail);
    return tail;
}

static inline void expected_prepare(void)
{
    for (size_t i = 0; i < CAPTURE_COUNT; i++) {
        const struct capture_command *command = &capture[i];
        expected[i] = (struct expected){
            .size = command->size,
            .argc = command->argc,
            .name_size = strlen(command->name),
            .name = command->name,
            .lengths = command->lengths,
            .key_tail = load_tail(command->bytes + command->key_end),
            .tail = load_tail(command->bytes + command->size),
        };
    }
}

static inline bool is_as_expected(const struct resp_command *command, const char *bytes,
                                  const struct expected *wanted)
{
    uint32_t lengths = 0;

    if (command->size != wanted->size || command->argc != wanted->argc)
        return false;
    for (size_t i = 0; i < command->argc; i++)
        lengths = lengths * 31 + (uint32_t)command->arglen[i];
    return lengths == wanted->lengths && command->arglen[0] == wanted->name_size &&
           memcmp(command->argv[0], wanted->name, wanted->name_size) == 0 &&
           load_tail(command->argv[1] + command->arglen[1]) == wanted->key_tail &&
           load_tail(bytes + command->size) == wanted->tail;
}

/* ---- the variants ---------------------------------------------------------------------------- */

/* Where the consumer is in the capture. */
struct parse {
    uint64_t left; /* commands */
    size_t index;  /* of the next one */
    size_t known;  /* bytes of it that are in the ring, and are not all */
    bool wrong;
};

/* One copy of the code for all variants, so that none is better only for how it was inlined. */
#define SHARED_CODE static __attribute__((noinline))

/* The command at `bytes`. Returns its size, 0 if it is not complete or wrong. */
SHARED_CODE size_t parse_one(struct parse *parse, const unsigned char *bytes, size_t size)
{
    struct resp_command command;
    enum resp_status status = resp_parse(&command, bytes, size);

    if (status == RESP_MORE)
        return 0;
    if (status == RESP_MALFORMED || parse->left == 0 ||
        !is_as_expected(&command, (const char *)bytes, &expected[parse->index])) {
        parse->wrong = true;
        return 0;
    }
    parse->left--;
    parse->index = parse->index + 1 == CAPTURE_COUNT ? 0 : parse->index + 1;
    return command.size;
}

/* All commands that are complete. Returns their size. */
SHARED_CODE size_t parse_span(struct parse *parse, const unsigned char *bytes, size_t size)
{
    size_t done = 0;
    size_t one;

    while (done < size && (one = parse_one(parse, bytes + done, size - done)) > 0)
        done += one;
    return done;
}

/* All that there is, in place, then give it back. False if there is nothing new. */
typedef bool parse_readable(struct share *share, struct parse *parse);

SPECIALIZED bool parse_mirrored(struct share *share, struct parse *parse)
{
    struct mring_spsc *ring = share->end;
    size_t size;
    const unsigned char *bytes = mring_spsc_peek(ring, parse->known + 1, &size);

    if (bytes == NULL)
        return false;
    size_t done = parse_span(parse, bytes, size);
    mring_spsc_consume(ring, done);
    parse->known = size - done;
    return true;
}

/* Room to make a command contiguous. More than the longest one of the capture. */
#define LINE_UP_BYTES ((size_t)2048)
#define LINE_UP_STEP  ((size_t)256)

/*
 * The command that begins `done` bytes into the first piece and ends in the second. Returns its
 * size, 0 if it is not complete or wrong.
 */
SHARED_CODE size_t parse_across(struct parse *parse, const struct spans *spans, size_t done,
                                unsigned char *room)
{
    size_t size = spans->first_size - done;
    size_t taken = 0;
    size_t one = 0;

    if (size > LINE_UP_BYTES - LINE_UP_STEP)
        return 0;
    memcpy(room, spans->first + done, size);
    while (one == 0 && !parse->wrong && taken < spans->second_size &&
           size <= LINE_UP_BYTES - LINE_UP_STEP) {
        size_t left = spans->second_size - taken;
        size_t step = left < LINE_UP_STEP ? left : LINE_UP_STEP;
        memcpy(room + size, spans->second + taken, step);
        taken += step;
        size += step;
        one = parse_one(parse, room, size);
    }
    return one;
}

SPECIALIZED bool parse_split(struct share *share, struct parse *parse)
{
    struct mring_spsc *ring = share->end;
    struct spans spans;

    if (!split_peek(ring, parse->known + 1, &spans))
        return false;
    size_t done = parse_span(parse, spans.first, spans.first_size);
    if (done < spans.first_size && spans.second_size > 0 && !parse->wrong)
        done += parse_across(parse, &spans, done, share->destination);
    if (done >= spans.first_size && !parse->wrong) {
        size_t before = done - spans.first_size;
        done += parse_span(parse, spans.second + before, spans.second_size - before);
    }
    mring_spsc_consume(ring, done);
    parse->known = spans.first_size + spans.second_size - done;
    return true;
}

SPECIALIZED bool parse_records(struct share *share, struct parse *parse, next_record *next)
{
    struct mring_spsc *ring = share->end;
    uint64_t pos = ring->read_pos;
    const void *record;
    size_t size;

    if (!records_peek(ring))
        return false;
    while (!parse->wrong && (record = next(ring, &pos, &size)) != NULL)
        parse->wrong |= parse_one(parse, record, size) != size;
    records_consume(ring, pos);
    return true;
}

SPECIALIZED bool parse_skip(struct share *share, struct parse *parse)
{
    return parse_records(share, parse, skip_next);
}

SPECIALIZED bool parse_doubled(struct share *share, struct parse *parse)
{
    return parse_records(share, parse, doubled_next);
}

/* ---- the loops ------------------------------------------------------------------------------- */

/* Who finds something wrong stops the run, since the producer may be waiting for room. */
SPECIALIZED void consume_commands_loop(struct share *share, parse_readable *parse_all)
{
    struct parse parse = { .left = share->count };
    uint64_t polls = 0;
    uint64_t failed = 0;

    while (parse.left > 0 && !parse.wrong) {
        if (parse_all(share, &parse)) {
            failed += polls;
            polls = 0;
        } else if (!bench_idle(&share->pace, ++polls)) {
            break;
        }
    }
    share->failed_polls = failed;
    share->mismatch = parse.wrong;
    if (parse.wrong)
        bench_fail(&share->pace);
}

/* One command after the other, each published by itself. */
SPECIALIZED void produce_commands_loop(struct share *share, bench_put *put)
{
    const unsigned char *bytes = share->source;
    uint64_t failed = 0;
    size_t index = 0;

    for (uint64_t left = share->count; left > 0; left--) {
        if (!put_polling(share, bytes, expected[index].size, put, &failed))
            break;
        bytes += expected[index].size;
        if (++index == CAPTURE_COUNT) {
            bytes = share->source;
            index = 0;
        }
    }
    share->failed_polls = failed;
}

#endif
