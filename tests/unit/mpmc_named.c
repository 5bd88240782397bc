/* SPDX-License-Identifier: MIT */
/* Record rings with a tagname: attaching, refusing, and what is left when a process dies. */
#define _GNU_SOURCE

#include "../../src/ring_header.h"
#include "keep.h"
#include "ring_support.h"

#include <criterion/criterion.h>
#include <mring/mpmc.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t MILLISECOND = 1000000;

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

#define SINGLES (MRING_SINGLE_PRODUCER | MRING_SINGLE_CONSUMER)

static const unsigned modes[] = {
    0, MRING_SINGLE_PRODUCER, MRING_SINGLE_CONSUMER, SINGLES, MRING_SKIP_STALLED,
};

static int open_ring(struct mring_mpmc *ring, const char *tagname, unsigned mode, uint64_t capacity)
{
    return mring_mpmc_open(
        ring, &(struct mring_args){ .tagname = tagname, .capacity = capacity, .flags = mode });
}

static void new_named_ring(struct mring_mpmc *ring, const char *tagname, unsigned mode)
{
    cr_assert_eq(open_ring(ring, tagname, mode, smallest()), 0);
    cr_assert(ring->map.created);
}

/* The object behind a name, from its first byte. */
static struct mmap map_object(const char *tagname)
{
    struct mmap map = { 0 };

    cr_assert_eq(
        mmap_map(&map, &(struct mmap_args){ .file.tagname = tagname, .access = MMAP_WRITE }), 0);
    return map;
}

/* The copies of the inlined calls. */
static int push(struct mring_mpmc_end *producer, uint64_t value)
{
    return mring_mpmc_push(producer, &value, sizeof value);
}

static int pop(struct mring_mpmc_end *consumer, uint64_t *value)
{
    size_t size;

    return mring_mpmc_pop(consumer, value, sizeof *value, &size);
}

static unsigned char *reserve(struct mring_mpmc_end *producer, size_t size)
{
    return mring_mpmc_reserve(producer, size);
}

static void commit(struct mring_mpmc_end *producer, size_t size)
{
    mring_mpmc_commit(producer, size);
}

static const unsigned char *first_of(const struct mring_mpmc_end *consumer,
                                     struct mring_claim claim, size_t *size)
{
    return mring_mpmc_next(consumer, &claim, size);
}

static void release(struct mring_mpmc_end *consumer, const struct mring_claim *claim)
{
    mring_mpmc_release(consumer, claim);
}

/* By ends that are there for this one record. */
static int push_one(struct mring_mpmc *ring, uint64_t value)
{
    struct mring_mpmc_end out;
    int err = mring_mpmc_join(ring, &out, MRING_WRITE_END);

    if (err != 0)
        return err;
    err = push(&out, value);
    mring_mpmc_leave(&out);
    return err;
}

static int pop_one(struct mring_mpmc *ring, uint64_t *value)
{
    struct mring_mpmc_end in;
    int err = mring_mpmc_join(ring, &in, MRING_READ_END);

    if (err != 0)
        return err;
    err = pop(&in, value);
    mring_mpmc_leave(&in);
    return err;
}

static void expect_pop(struct mring_mpmc *ring, uint64_t expected, unsigned mode)
{
    uint64_t value = UINT64_MAX;

    cr_expect_eq(pop_one(ring, &value), 0, "mode %#x", mode);
    cr_expect_eq(value, expected, "mode %#x: %llu", mode, (unsigned long long)value);
}

static void expect_empty(struct mring_mpmc *ring, int err, unsigned mode)
{
    uint64_t value;

    cr_expect_eq(pop_one(ring, &value), err, "mode %#x", mode);
}

/* All of its room is free, at every place, and nothing is there that looks like a record: one after
   the other, and as many as fit, some laps long. */
static void expect_whole(struct mring_mpmc *ring, unsigned mode)
{
    struct mring_mpmc_end out, in;
    uint64_t value;
    cr_assert_eq(mring_mpmc_join(ring, &out, MRING_WRITE_END), 0);
    cr_assert_eq(mring_mpmc_join(ring, &in, MRING_READ_END), 0);
    const uint64_t most = smallest() / mring_mpmc_record_bytes(ring, sizeof value);

    for (uint64_t i = 0; i < 2 * most; i++) {
        cr_assert_eq(push(&out, i), 0, "mode %#x", mode);
        cr_assert_eq(pop(&in, &value), 0, "mode %#x", mode);
        cr_assert_eq(value, i, "mode %#x", mode);
        cr_assert_eq(pop(&in, &value), MRING_EMPTY, "mode %#x", mode);
    }
    for (int lap = 0; lap < 4; lap++) {
        for (uint64_t i = 0; i < most; i++)
            cr_assert_eq(push(&out, i), 0, "mode %#x, lap %d", mode, lap);
        cr_assert_eq(push(&out, 0), MRING_FULL, "mode %#x, lap %d", mode, lap);
        for (uint64_t i = 0; i < most; i++) {
            cr_assert_eq(pop(&in, &value), 0, "mode %#x, lap %d", mode, lap);
            cr_assert_eq(value, i, "mode %#x, lap %d", mode, lap);
        }
        cr_assert_eq(pop(&in, &value), MRING_EMPTY, "mode %#x, lap %d", mode, lap);
    }
    mring_mpmc_leave(&out);
    mring_mpmc_leave(&in);
}

/* ---- attaching ------------------------------------------------------------------------------- */

TestSuite(mring_mpmc_create, .init = support_begin, .fini = support_end);
TestSuite(mring_mpmc_open, .init = support_begin, .fini = support_end);
TestSuite(mring_mpmc_join, .init = support_begin, .fini = support_end);
TestSuite(mring_spsc_open, .init = support_begin, .fini = support_end);

Test(mring_mpmc_open, creates_then_attaches, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        const char *tagname = support_tagname("ring");
        struct mring_mpmc first, second, third;
        new_named_ring(&first, tagname, modes[i]);
        cr_assert_eq(open_ring(&second, tagname, modes[i], smallest()), 0);
        cr_assert_eq(open_ring(&third, tagname, modes[i], 0), 0);

        cr_expect_not(second.map.created, "mode %#x", modes[i]);
        cr_expect_not(third.map.created, "mode %#x", modes[i]);
        cr_expect_eq(mring_mpmc_capacity(&third), smallest(), "mode %#x", modes[i]);
        cr_expect_eq(third.layout.mode, modes[i]);
        cr_assert_eq(push_one(&first, 5), 0);
        expect_pop(&second, 5, modes[i]);
        cr_assert_eq(push_one(&third, 6), 0);
        expect_pop(&first, 6, modes[i]);
        mring_mpmc_destroy(&first);
        mring_mpmc_destroy(&second);
        mring_mpmc_destroy(&third);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

/* Where names are kept to the end of the test, each has to be new. */
static const char *numbered_tagname(size_t number)
{
    char name[20];

    snprintf(name, sizeof name, "ring%zu", number);
    return support_tagname(name);
}

Test(mring_mpmc_open, goes_on_where_the_last_process_left, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        const char *tagname = numbered_tagname(i);
        struct mring_mpmc ring;
        new_named_ring(&ring, tagname, modes[i]);
        for (uint64_t value = 0; value < 10; value++)
            cr_assert_eq(push_one(&ring, value), 0);
        for (uint64_t value = 0; value < 3; value++)
            expect_pop(&ring, value, modes[i]);
        keep(tagname);
        mring_mpmc_destroy(&ring);

        cr_assert_eq(open_ring(&ring, tagname, modes[i], 0), 0);

        for (uint64_t value = 3; value < 10; value++)
            expect_pop(&ring, value, modes[i]);
        expect_empty(&ring, MRING_EMPTY, modes[i]);
        expect_whole(&ring, modes[i]);
        mring_mpmc_destroy(&ring);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

Test(mring_mpmc_open, finds_a_closed_end_closed, .timeout = 5)
{
    static const enum mring_end ends[] = { MRING_WRITE_END, MRING_READ_END };

    for (size_t i = 0; i < LENGTH(modes) * LENGTH(ends); i++) {
        unsigned mode = modes[i / 2];
        enum mring_end closed = ends[i % 2], open = ends[1 - i % 2];
        const char *tagname = numbered_tagname(i);
        struct mring_mpmc ring;
        uint32_t status = 0;
        new_named_ring(&ring, tagname, mode);
        cr_assert_eq(push_one(&ring, 7), 0);
        mring_mpmc_close(&ring, closed, 5);
        keep(tagname);
        mring_mpmc_destroy(&ring);

        cr_assert_eq(open_ring(&ring, tagname, mode, 0), 0);

        cr_expect(mring_mpmc_is_closed(&ring, closed, &status), "mode %#x", mode);
        cr_expect_eq(status, 5, "mode %#x", mode);
        cr_expect_not(mring_mpmc_is_closed(&ring, open, &status), "mode %#x", mode);
        cr_expect_eq(push_one(&ring, 8), MRING_CLOSED, "mode %#x: nor may a successor", mode);
        expect_pop(&ring, 7, mode);
        expect_empty(&ring, MRING_EOF, mode);
        mring_mpmc_destroy(&ring);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

Test(mring_mpmc_open, makes_a_new_ring_after_unlink, .timeout = 5)
{
    support_needs_posix("taking a name from who has it mapped");
    const char *tagname = support_tagname("ring");
    struct mring_mpmc old, fresh;
    new_named_ring(&old, tagname, 0);
    cr_assert_eq(push_one(&old, 5), 0);

    cr_assert_eq(mmap_unlink(tagname), 0);
    new_named_ring(&fresh, tagname, MRING_SKIP_STALLED);

    expect_empty(&fresh, MRING_EMPTY, 0);
    expect_pop(&old, 5, 0);
    mring_mpmc_destroy(&old);
    mring_mpmc_destroy(&fresh);
}

Test(mring_mpmc_open, takes_granule_and_record_max_from_the_ring_and_not_from_the_call,
     .timeout = 5)
{
    static const struct {
        unsigned mode;
        uint32_t granule;
        uint64_t record_max;
    } rows[] = { { 0, 32, 100 }, { MRING_SKIP_STALLED, 16, 1000 }, { SINGLES, 64, 1 } };

    for (size_t i = 0; i < LENGTH(rows); i++) {
        const char *tagname = support_tagname("ring");
        struct mring_args args = { .tagname = tagname,
                                   .capacity = mring_capacity(1 << 20, 0),
                                   .flags = rows[i].mode,
                                   .granule = rows[i].granule,
                                   .record_max = rows[i].record_max };
        struct mring_mpmc ring, other, plain;
        cr_assert_eq(mring_mpmc_create(&ring, &args), 0);
        args.granule = rows[i].granule == 16 ? 64 : 16;
        args.record_max = 7;

        cr_assert_eq(mring_mpmc_open(&other, &args), 0, "row %zu", i);
        cr_assert_eq(open_ring(&plain, tagname, rows[i].mode, 0), 0, "row %zu", i);

        cr_expect_eq(mring_mpmc_record_max(&other), rows[i].record_max, "row %zu", i);
        cr_expect_eq(mring_mpmc_record_max(&plain), rows[i].record_max, "row %zu", i);
        cr_expect_eq(mring_mpmc_record_bytes(&ring, 1), rows[i].granule, "row %zu", i);
        cr_expect_eq(mring_mpmc_record_bytes(&other, 1), rows[i].granule, "row %zu", i);
        cr_expect_eq(mring_mpmc_record_bytes(&plain, 1), rows[i].granule, "row %zu", i);
        if (rows[i].mode == MRING_SKIP_STALLED)
            cr_expect_geq(plain.layout.data - plain.layout.words,
                          (ptrdiff_t)(mring_mpmc_capacity(&plain) / rows[i].granule * 8),
                          "row %zu: a word per granule", i);
        mring_mpmc_destroy(&ring);
        mring_mpmc_destroy(&other);
        mring_mpmc_destroy(&plain);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

/* As two processes would; each handle has ends of its own. */
Test(mring_mpmc_open, may_be_called_twice_in_a_process, .timeout = 10)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        const char *tagname = support_tagname("ring");
        struct mring_mpmc first, second;
        struct mring_mpmc_end out, in, more;
        uint64_t value;
        new_named_ring(&first, tagname, modes[i]);
        cr_assert_eq(open_ring(&second, tagname, modes[i], 0), 0);
        cr_assert_neq(first.layout.data, second.layout.data);
        cr_assert_eq(mring_mpmc_join(&first, &out, MRING_WRITE_END), 0);
        cr_assert_eq(mring_mpmc_join(&second, &in, MRING_READ_END), 0);

        for (uint64_t number = 0; number < 5000; number++) {
            cr_assert_eq(push(&out, number), 0, "mode %#x", modes[i]);
            cr_assert_eq(pop(&in, &value), 0, "mode %#x", modes[i]);
            cr_assert_eq(value, number, "mode %#x", modes[i]);
        }

        bool one = modes[i] & MRING_SINGLE_PRODUCER;
        cr_expect_eq(mring_mpmc_join(&first, &more, MRING_WRITE_END), one ? MRING_BUSY : 0);
        one = modes[i] & MRING_SINGLE_CONSUMER;
        cr_expect_eq(mring_mpmc_join(&second, &more, MRING_READ_END), one ? MRING_BUSY : 0);
        mring_mpmc_destroy(&first);
        mring_mpmc_destroy(&second);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

/* ---- refusing -------------------------------------------------------------------------------- */

Test(mring_mpmc_create, fails_with_exists_when_there_is_such_a_name, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        const char *tagname = support_tagname("ring");
        struct mring_args args = { .tagname = tagname, .capacity = smallest(), .flags = modes[i] };
        struct mring_mpmc ring, other;
        cr_assert_eq(mring_mpmc_create(&ring, &args), 0);
        cr_assert_eq(push_one(&ring, 5), 0);
        memset(&other, 0xa5, sizeof other);

        cr_expect_eq(mring_mpmc_create(&other, &args), MMAP_EXISTS, "mode %#x", modes[i]);

        cr_expect_eq(*(unsigned char *)&other, 0xa5, "untouched");
        expect_pop(&ring, 5, modes[i]);
        mring_mpmc_destroy(&ring);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

Test(mring_mpmc_open, refuses_what_does_not_fit_the_arguments, .timeout = 5)
{
    const char *ring_name = support_tagname("ring");
    const char *missing = support_tagname("missing");
    const struct {
        struct mring_args args;
        int err;
    } rows[] = {
        { { .tagname = missing }, MMAP_NOT_FOUND },
        { { .tagname = missing, .capacity = smallest(), .map_flags = MMAP_EXISTING },
          MMAP_NOT_FOUND },
        { { .tagname = missing, .flags = MRING_ANY_CAPACITY | MRING_SKIP_STALLED },
          MMAP_NOT_FOUND },
        { { .tagname = ring_name, .capacity = 2 * smallest() }, MRING_BAD_CAPACITY },
        { { .tagname = ring_name, .type_tag = "another" }, MRING_BAD_TYPE },
        { { .tagname = ring_name, .type_tag = "type" }, 0 },
        { { .tagname = ring_name, .capacity = 2 * smallest(), .flags = MRING_ANY_CAPACITY }, 0 },
        { { .tagname = ring_name, .capacity = smallest() + 1 }, MMAP_INVALID_ARG },
        { { .tagname = ring_name, .flags = 1u << 20 }, MMAP_INVALID_ARG },
        { { .tagname = ring_name, .flags = MRING_SKIP_STALLED | MRING_SINGLE_PRODUCER },
          MMAP_INVALID_ARG },
        { { .tagname = ring_name, .flags = MRING_SKIP_STALLED | MRING_SINGLE_CONSUMER },
          MMAP_INVALID_ARG },
        { { .tagname = ring_name, .granule = 8 }, MMAP_INVALID_ARG },
        { { .tagname = ring_name, .granule = 128 }, MMAP_INVALID_ARG },
        { { .tagname = ring_name, .granule = 48 }, MMAP_INVALID_ARG },
        { { .tagname = ring_name, .granule = 64 }, 0 },
        { { .tagname = ring_name, .capacity = smallest(), .record_max = smallest() - 7 },
          MMAP_INVALID_ARG },
        { { .tagname = ring_name, .capacity = smallest(), .record_max = smallest() - 8 }, 0 },
        { { .tagname = missing, .capacity = smallest(), .map_flags = MMAP_EXCLUSIVE },
          MMAP_INVALID_ARG },
        { { .capacity = smallest() }, MMAP_INVALID_ARG },
    };
    struct mring_mpmc ring, attached;
    cr_assert_eq(mring_mpmc_open(&ring, &(struct mring_args){ .tagname = ring_name,
                                                              .capacity = smallest(),
                                                              .type_tag = "type" }),
                 0);
    support_remember();

    for (size_t i = 0; i < LENGTH(rows); i++) {
        memset(&attached, 0xa5, sizeof attached);
        int err = mring_mpmc_open(&attached, &rows[i].args);
        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, mring_errname(err));
        if (err == 0) {
            cr_expect_eq(mring_mpmc_capacity(&attached), smallest(), "row %zu", i);
            cr_expect_eq(mring_mpmc_destroy(&attached), 0, "row %zu", i);
        } else {
            cr_expect_eq(*(unsigned char *)&attached, 0xa5, "row %zu: untouched", i);
        }
    }
    ASSERT_NOTHING_LEFT();
    mring_mpmc_destroy(&ring);
}

Test(mring_mpmc_open, refuses_a_ring_of_another_mode, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        const char *tagname = support_tagname("ring");
        struct mring_mpmc ring, other;
        new_named_ring(&ring, tagname, modes[i]);
        support_remember();

        for (size_t j = 0; j < LENGTH(modes); j++) {
            int err = open_ring(&other, tagname, modes[j], j % 2 == 0 ? smallest() : 0);
            cr_expect_eq(err, i == j ? 0 : MRING_BAD_KIND, "%#x as %#x: %s", modes[i], modes[j],
                         mring_errname(err));
            if (err == 0)
                mring_mpmc_destroy(&other);
        }
        ASSERT_NOTHING_LEFT(", mode %#x", modes[i]);
        mring_mpmc_destroy(&ring);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

Test(mring_mpmc_open, tells_record_rings_from_byte_rings, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        const char *bytes_name = support_tagname("bytes");
        const char *records_name = support_tagname("records");
        struct mring_spsc bytes, other_bytes;
        struct mring_mpmc records, other_records;
        struct mring_args args = { .tagname = bytes_name, .capacity = smallest() };
        cr_assert_eq(mring_spsc_open(&bytes, &args), 0);
        new_named_ring(&records, records_name, modes[i]);

        cr_expect_eq(open_ring(&other_records, bytes_name, modes[i], 0), MRING_BAD_KIND);
        args.tagname = records_name;
        cr_expect_eq(mring_spsc_open(&other_bytes, &args), MRING_BAD_KIND, "mode %#x", modes[i]);
        args.flags = modes[i];
        cr_expect_eq(mring_spsc_open(&other_bytes, &args),
                     modes[i] == 0 ? MRING_BAD_KIND : MMAP_INVALID_ARG, "mode %#x", modes[i]);

        mring_spsc_destroy(&bytes);
        mring_mpmc_destroy(&records);
        cr_assert_eq(mmap_unlink(bytes_name), 0);
        cr_assert_eq(mmap_unlink(records_name), 0);
    }
}

/* ---- the format ------------------------------------------------------------------------------ */

/* A number of so many bytes, in the order of this machine. */
struct number {
    uint64_t offset, size, value;
};

/* Lay numbers out in zeros. */
static void lay_out(unsigned char *bytes, const struct number *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (uint64_t j = 0; j < numbers[i].size; j++)
            bytes[SUPPORT_BYTE_AT(numbers[i].offset, numbers[i].size, j)] =
                (unsigned char)(numbers[i].value >> 8 * j);
}

/* The format, byte by byte: a change of it must change the version. One record is in the ring. */
Test(mring_mpmc_open, lays_a_ring_out_as_others_expect, .timeout = 10)
{
    enum { CAPACITY = 65536, MOST = 0x60000 };
    static const struct {
        unsigned mode;
        uint64_t kind, words, data, record_max, granule, write_pos;
    } rows[] = {
        { 0, 2, 0, 0x40000, 65528, 16, CAPACITY + 16 },
        { MRING_SINGLE_PRODUCER, 10, 0, 0x40000, 65528, 16, CAPACITY },
        { MRING_SINGLE_CONSUMER, 18, 0, 0x40000, 65528, 16, CAPACITY + 16 },
        { SINGLES, 26, 0, 0x40000, 65528, 16, CAPACITY },
        { MRING_SKIP_STALLED, 34, 0x40000, 0x50000, 65536, 64, CAPACITY + 64 },
    };
    static unsigned char expected[MOST];

    for (size_t i = 0; i < LENGTH(rows); i++) {
        const uint64_t total = rows[i].data + CAPACITY;
        const bool apart = rows[i].words != 0;
        const struct number numbers[] = {
            { 0, 8, UINT64_C(0x0a0100474e49524d) }, /* "MRING\0\1\n" */
            { 8, 2, 1 },                            /* version 1.0 */
            { 12, 4, rows[i].kind },
            { 24, 8, CAPACITY },
            { 32, 8, total },
            { 40, 8, 0x10000 }, /* write side */
            { 48, 8, 0x20000 }, /* read side */
            { 56, 8, rows[i].data },
            { 64, 4, 0x10000 },     /* granule of the parts */
            { 68, 4, MRING_FENCE }, /* flags */
            { 88, 8, 0x30000 },     /* members */
            { 96, 8, rows[i].words },
            { 104, 8, rows[i].record_max },
            { 112, 4, rows[i].granule },
            { 116, 4, 64 }, /* members */
            { 0x10000, 8, rows[i].write_pos },
            { 0x20000, 8, CAPACITY }, /* read_pos */
            { 0x20008, 8, CAPACITY }, /* free_pos */
            { apart ? rows[i].words : rows[i].data, 8, UINT64_C(0x140000005) },
        };
        const char *tagname = support_tagname("ring");
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        cr_assert_eq(
            mring_mpmc_open(&ring, &(struct mring_args){ .tagname = tagname,
                                                         .capacity = CAPACITY,
                                                         .flags = MRING_FENCE | rows[i].mode,
                                                         .type_tag = "type" }),
            0);
        cr_assert_eq(mring_mpmc_join(&ring, &out, MRING_WRITE_END), 0);
        memset(expected, 0, sizeof expected);
        lay_out(expected, numbers, LENGTH(numbers));
        if (support_is_windows) {
            /* What its events are called, which is another name each time. */
            const struct number ids[] = { { 0x10198, 8, ring.layout.write_side->event.id },
                                          { 0x20198, 8, ring.layout.read_side->event.id } };
            lay_out(expected, ids, LENGTH(ids));
        }
        memcpy(expected + 72, "type", 4);
        memcpy(expected + rows[i].data + (apart ? 0 : 8), "bytes", 5);

        cr_assert_eq(mring_mpmc_push(&out, "bytes", 5), 0);

        struct mmap map = map_object(tagname);
        const unsigned char *bytes = map.addr;
        cr_expect_eq(map.size, total, "mode %#x", rows[i].mode);
        for (uint64_t at = 0; at < total && at < map.size; at++)
            cr_assert_eq(bytes[at], expected[at], "mode %#x: at %#llx", rows[i].mode,
                         (unsigned long long)at);
        mmap_free(&map);
        mring_mpmc_destroy(&ring);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

/* Of a field of the header, the byte that is the index-th from the lowest. */
#define FIELD(name, index) SUPPORT_BYTE_OF(struct ring_header, name, index)

/* Its numbers, the magic among them, stand in the order of the machine that made it. */
Test(mring_mpmc_open, refuses_a_ring_of_a_machine_of_the_other_byte_order, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_mpmc ring, other;
    new_named_ring(&ring, tagname, 0);
    struct mmap map = map_object(tagname);
    unsigned char *bytes = map.addr;
    support_remember();

    for (size_t i = 0; i < 4; i++) {
        unsigned char byte = bytes[i];
        bytes[i] = bytes[7 - i];
        bytes[7 - i] = byte;
    }

    cr_expect_eq(open_ring(&other, tagname, 0, 0), MRING_BAD_MAGIC);
    ASSERT_NOTHING_LEFT();
    mmap_free(&map);
    mring_mpmc_destroy(&ring);
}

/* A byte of the header, and what is flipped in it. */
struct change {
    size_t offset;
    unsigned char flipped;
    int err;
};

static void expect_refusals(unsigned mode, const struct change *changes, size_t count)
{
    const char *tagname = support_tagname("ring");
    struct mring_mpmc ring, other;
    new_named_ring(&ring, tagname, mode);
    cr_assert_eq(push_one(&ring, 5), 0);
    struct mmap map = map_object(tagname);
    unsigned char *bytes = map.addr;
    support_remember();

    for (size_t i = 0; i < count; i++) {
        memset(&other, 0xa5, sizeof other);
        bytes[changes[i].offset] ^= changes[i].flipped;
        int err = open_ring(&other, tagname, mode, smallest());
        bytes[changes[i].offset] ^= changes[i].flipped;

        cr_expect_eq(err, changes[i].err, "mode %#x, row %zu: %s", mode, i, mring_errname(err));
        if (err == 0)
            mring_mpmc_destroy(&other);
        else
            cr_expect_eq(*(unsigned char *)&other, 0xa5, "row %zu: untouched", i);
        ASSERT_NOTHING_LEFT(", row %zu", i);
    }
    expect_pop(&ring, 5, mode);
    mmap_free(&map);
    mring_mpmc_destroy(&ring);
    cr_assert_eq(mmap_unlink(tagname), 0);
}

Test(mring_mpmc_open, refuses_every_header_that_is_not_of_this_ring, .timeout = 10)
{
    static const struct change changes[] = {
        { FIELD(magic, 0), 1, MRING_BAD_MAGIC },
        { FIELD(version_major, 0), 3, MRING_BAD_VERSION },
        { FIELD(incompatible_features, 3), 0x80, MRING_BAD_VERSION },
        { FIELD(granule, 0), 1, MRING_BAD_VERSION },
        { FIELD(kind, 0), 0x40, MRING_BAD_KIND },
        { FIELD(kind, 3), 1, MRING_BAD_KIND },
        { FIELD(capacity, 7), 0x80, MRING_CORRUPT },
        { FIELD(capacity, 0), 1, MRING_CORRUPT },
        { FIELD(total_size, 6), 1, MRING_CORRUPT },
        { FIELD(write_side_offset, 0), 1, MRING_CORRUPT },
        { FIELD(read_side_offset, 7), 0x80, MRING_CORRUPT },
        { FIELD(data_offset, 2), 8, MRING_CORRUPT },
        { FIELD(members_offset, 0), 1, MRING_CORRUPT },
        { FIELD(members_offset, 2), 3, MRING_CORRUPT }, /* none */
        { FIELD(members_offset, 7), 0x80, MRING_CORRUPT },
        { FIELD(words_offset, 0), 8, MRING_CORRUPT },
        { FIELD(words_offset, 2), 4, MRING_CORRUPT },
        { FIELD(words_offset, 7), 0x80, MRING_CORRUPT },
        { FIELD(record_max, 3), 0x40, MRING_CORRUPT },
        { FIELD(record_max, 7), 0x80, MRING_CORRUPT },
        { FIELD(record_granule, 0), 1, MRING_CORRUPT },
        { FIELD(record_granule, 3), 0x80, MRING_CORRUPT },
        { FIELD(member_count, 0), 0x40, MRING_CORRUPT }, /* none */
        { FIELD(member_count, 0), 1, MRING_CORRUPT },
        { FIELD(member_count, 3), 0x80, MRING_CORRUPT },
        { FIELD(version_minor, 0), 1, 0 },
        { FIELD(compatible_features, 0), 1, 0 },
    };
    static const struct change of_words_within[] = {
        { FIELD(record_granule, 0), 16, MRING_CORRUPT }, /* 0 */
        { FIELD(record_granule, 0), 16 ^ 8, MRING_CORRUPT },
        { FIELD(record_granule, 0), 16 ^ 128, MRING_CORRUPT },
    };
    static const struct change of_words_apart[] = {
        { FIELD(record_granule, 0), 64, MRING_CORRUPT }, /* 0 */
        { FIELD(words_offset, 2), 4 ^ 3, MRING_CORRUPT },
        { FIELD(record_max, 0), 1, MRING_CORRUPT }, /* one more than the capacity */
    };

    for (size_t i = 0; i < LENGTH(modes); i++) {
        expect_refusals(modes[i], changes, LENGTH(changes));
        if (modes[i] == MRING_SKIP_STALLED)
            expect_refusals(modes[i], of_words_apart, LENGTH(of_words_apart));
        else
            expect_refusals(modes[i], of_words_within, LENGTH(of_words_within));
    }
}

Test(mring_mpmc_open, refuses_a_record_max_of_nothing_or_more_than_the_ring_can_hold, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        const char *tagname = support_tagname("ring");
        struct mring_mpmc ring, other;
        new_named_ring(&ring, tagname, modes[i]);
        const uint64_t most = mring_mpmc_record_max(&ring);
        struct mmap map = map_object(tagname);
        struct ring_header *header = map.addr;
        const struct {
            uint64_t record_max;
            int err;
        } rows[] = { { 0, MRING_CORRUPT },
                     { most + 1, MRING_CORRUPT },
                     { UINT64_MAX, MRING_CORRUPT },
                     { most, 0 },
                     { 1, 0 } };

        for (size_t j = 0; j < LENGTH(rows); j++) {
            header->record_max = rows[j].record_max;
            int err = open_ring(&other, tagname, modes[i], 0);
            cr_expect_eq(err, rows[j].err, "mode %#x, row %zu: %s", modes[i], j,
                         mring_errname(err));
            if (err == 0)
                mring_mpmc_destroy(&other);
        }
        mmap_free(&map);
        mring_mpmc_destroy(&ring);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

Test(mring_spsc_open, refuses_a_byte_ring_that_has_what_record_rings_have, .timeout = 5)
{
    static const size_t fields[] = { FIELD(members_offset, 0), FIELD(words_offset, 0),
                                     FIELD(record_max, 0), FIELD(record_granule, 0),
                                     FIELD(member_count, 0) };
    const char *tagname = support_tagname("ring");
    struct mring_args args = { .tagname = tagname, .capacity = smallest() };
    struct mring_spsc ring, other;
    cr_assert_eq(mring_spsc_open(&ring, &args), 0);
    struct mmap map = map_object(tagname);
    unsigned char *bytes = map.addr;

    for (size_t i = 0; i < LENGTH(fields); i++) {
        bytes[fields[i]] = 16;
        cr_expect_eq(mring_spsc_open(&other, &args), MRING_CORRUPT, "row %zu", i);
        bytes[fields[i]] = 0;
    }

    mmap_free(&map);
    mring_spsc_destroy(&ring);
    cr_assert_eq(mmap_unlink(tagname), 0);
}

Test(mring_mpmc_open, refuses_an_object_that_is_too_short, .timeout = 5)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        const char *tagname = support_tagname("ring");
        const char *path = support_shm_path(tagname);
        struct mring_mpmc ring, other;
        new_named_ring(&ring, tagname, modes[i]);
        mring_mpmc_destroy(&ring);
        const uint64_t size = support_file_size(path);

        cr_assert_eq(truncate(path, (off_t)(size - 1)), 0);
        cr_expect_eq(open_ring(&other, tagname, modes[i], 0), MRING_CORRUPT, "mode %#x", modes[i]);
        cr_assert_eq(truncate(path, (off_t)sizeof(struct ring_header) - 1), 0);
        cr_expect_eq(open_ring(&other, tagname, modes[i], 0), MRING_BAD_MAGIC, "mode %#x",
                     modes[i]);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

/* A predecessor's last record may not reach beyond the ring. */
Test(mring_mpmc_join, refuses_records_that_contradict_the_positions, .timeout = 5)
{
    static const unsigned singles[] = { MRING_SINGLE_PRODUCER, SINGLES };

    for (size_t i = 0; i < LENGTH(singles); i++) {
        const char *tagname = support_tagname("ring");
        struct mring_mpmc ring;
        struct mring_mpmc_end out, before;
        new_named_ring(&ring, tagname, singles[i]);
        cr_assert_eq(push_one(&ring, 5), 0);
        memset(&out, 0xa5, sizeof out);
        memset(&before, 0xa5, sizeof before);
        *(uint64_t *)(void *)ring.layout.data = UINT64_C(0x140000000) | (2 * smallest());

        cr_expect_eq(mring_mpmc_join(&ring, &out, MRING_WRITE_END), MRING_CORRUPT);

        cr_expect_eq(memcmp(&out, &before, sizeof out), 0, "untouched");
        *(uint64_t *)(void *)ring.layout.data = UINT64_C(0x140000008);
        cr_expect_eq(push_one(&ring, 6), 0, "it did not count as joined");
        expect_pop(&ring, 5, singles[i]);
        expect_pop(&ring, 6, singles[i]);
        mring_mpmc_destroy(&ring);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

/* ---- processes ------------------------------------------------------------------------------- */

/* What the processes of a test tell each other besides the ring. */
struct stage {
    mring_atomic_u32 reached, records;
};

static struct stage *stage;
static const char *stage_tagname;
static unsigned stage_mode;
static uint32_t stage_laps_ahead; /* of the words that bytes imitate */

static void set_stage(void)
{
    support_begin();
    stage_tagname = support_tagname("ring");
    stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(stage, MAP_FAILED);
}

/* A new ring in that mode; the one before is gone. */
static void begin_act(struct mring_mpmc *ring, unsigned mode)
{
    stage_mode = mode;
    memset(stage, 0, sizeof *stage);
    new_named_ring(ring, stage_tagname, mode);
}

static void end_act(struct mring_mpmc *ring)
{
    mring_mpmc_destroy(ring);
    cr_assert_eq(mmap_unlink(stage_tagname), 0);
}

TestSuite(mring_mpmc_processes, .init = set_stage, .fini = support_end);

/* Run `body` on the ring in a child of its own; its result is the exit code. */
static pid_t start_child(int (*body)(struct mring_mpmc *ring))
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    struct mring_mpmc ring;
    alarm(30);
    _exit(open_ring(&ring, stage_tagname, stage_mode, 0) != 0 ? 99 : body(&ring));
}

/* The exit code, or -1 for a child that was killed. */
static int end_of(pid_t pid)
{
    int status;

    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The last thing that a child does which is to be killed. */
static int reach_stage_and_hang(void)
{
    mring_add_release_u32(&stage->reached, 1);
    while (pause() < 0)
        continue;
    return 0;
}

/* Run a child up to there, and kill it. */
static void kill_at_stage(int (*body)(struct mring_mpmc *ring))
{
    pid_t pid = start_child(body);
    int status;

    while (mring_load_acquire_u32(&stage->reached) == 0) {
        cr_assert_eq(waitpid(pid, &status, WNOHANG), 0, "it ends before");
        usleep(500);
    }
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(end_of(pid), -1);
    mring_store_release_u32(&stage->reached, 0);
}

enum { STREAM_RECORDS = 3000, STREAM_STATUS = 17 };

/* Who sent it, its number there, and bytes that depend on both. */
struct letter {
    uint32_t sender, number;
    unsigned char bytes[300];
};

static size_t write_letter(struct letter *letter, uint32_t sender, uint32_t number)
{
    size_t size = number * 7 % sizeof letter->bytes;

    *letter = (struct letter){ .sender = sender, .number = number };
    for (size_t i = 0; i < size; i++)
        letter->bytes[i] = support_byte(sender * 1000 + number + i);
    return offsetof(struct letter, bytes) + size;
}

static int send_letters(struct mring_mpmc *ring)
{
    struct mring_mpmc_end out;
    struct letter letter;

    if (mring_mpmc_join(ring, &out, MRING_WRITE_END) != 0)
        return 1;
    for (uint32_t number = 0; number < STREAM_RECORDS; number++) {
        size_t size = write_letter(&letter, (uint32_t)getpid(), number);
        if (mring_mpmc_push_wait(&out, &letter, size, -1) != 0)
            return 2;
    }
    return 0;
}

/* The numbers of each sender go up. */
static bool is_in_turn(const struct letter *letter)
{
    static struct {
        uint32_t sender, next;
    } senders[8];
    size_t i = 0;

    while (i < LENGTH(senders) - 1 && senders[i].sender != letter->sender && senders[i].sender != 0)
        i++;
    senders[i].sender = letter->sender;
    bool in_turn = letter->number >= senders[i].next;
    senders[i].next = letter->number + 1;
    return in_turn;
}

static int receive_letters(struct mring_mpmc *ring)
{
    struct mring_mpmc_end in;
    struct letter letter, expected;
    size_t size;
    int err;

    if (mring_mpmc_join(ring, &in, MRING_READ_END) != 0)
        return 1;
    while ((err = mring_mpmc_pop_wait(&in, &letter, sizeof letter, &size, -1)) == 0) {
        size_t right = write_letter(&expected, letter.sender, letter.number);
        if (size != right || memcmp(&letter, &expected, size) != 0)
            return 2;
        if (!is_in_turn(&letter))
            return 3;
        mring_add_release_u32(&stage->records, 1);
    }
    uint32_t status = 0;
    if (!mring_mpmc_is_closed(ring, MRING_WRITE_END, &status) || status != STREAM_STATUS)
        return 4;
    return err == MRING_EOF ? 0 : 5;
}

Test(mring_mpmc_processes, exchange_records_up_to_the_end_and_its_status, .timeout = 60)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        pid_t producers[2], consumers[2];
        int producer_count = modes[i] & MRING_SINGLE_PRODUCER ? 1 : 2;
        int consumer_count = modes[i] & MRING_SINGLE_CONSUMER ? 1 : 2;
        begin_act(&ring, modes[i]);

        for (int j = 0; j < producer_count; j++)
            producers[j] = start_child(send_letters);
        for (int j = 0; j < consumer_count; j++)
            consumers[j] = start_child(receive_letters);
        for (int j = 0; j < producer_count; j++)
            cr_expect_eq(end_of(producers[j]), 0, "mode %#x", modes[i]);
        mring_mpmc_close(&ring, MRING_WRITE_END, STREAM_STATUS);

        for (int j = 0; j < consumer_count; j++) {
            int code = end_of(consumers[j]);
            cr_expect_eq(code, 0, "mode %#x: %d", modes[i], code);
        }
        cr_expect_eq(mring_load_acquire_u32(&stage->records),
                     (uint32_t)producer_count * STREAM_RECORDS, "mode %#x", modes[i]);
        end_act(&ring);
    }
}

Test(mring_mpmc_processes, of_a_fork_share_an_anonymous_ring, .timeout = 60)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        memset(stage, 0, sizeof *stage);
        cr_assert_eq(mring_mpmc_create(
                         &ring, &(struct mring_args){ .capacity = smallest(), .flags = modes[i] }),
                     0);
        pid_t consumer = fork();
        if (consumer == 0) {
            alarm(30);
            _exit(receive_letters(&ring));
        }

        cr_expect_eq(send_letters(&ring), 0, "mode %#x", modes[i]);
        mring_mpmc_close(&ring, MRING_WRITE_END, STREAM_STATUS);

        int code = end_of(consumer);
        cr_expect_eq(code, 0, "mode %#x: %d", modes[i], code);
        cr_expect_eq(mring_load_acquire_u32(&stage->records), STREAM_RECORDS, "mode %#x", modes[i]);
        mring_mpmc_destroy(&ring);
    }
}

static int push_until_closed(struct mring_mpmc *ring)
{
    struct mring_mpmc_end out;
    uint32_t status = 0;
    int err;

    if (mring_mpmc_join(ring, &out, MRING_WRITE_END) != 0)
        return 1;
    while ((err = mring_mpmc_push_wait(&out, &(uint64_t){ 7 }, 8, -1)) == 0)
        mring_add_release_u32(&stage->records, 1);
    return err == MRING_CLOSED && mring_mpmc_is_closed(ring, MRING_READ_END, &status) ? (int)status
                                                                                      : 2;
}

Test(mring_mpmc_processes, end_when_a_reader_closes, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        begin_act(&ring, modes[i]);
        pid_t producer = start_child(push_until_closed);
        while (mring_load_acquire_u32(&stage->records) == 0)
            usleep(500);
        usleep(5000); /* the ring is full, and it sleeps, most likely */

        mring_mpmc_close(&ring, MRING_READ_END, 23);

        cr_expect_eq(end_of(producer), 23, "mode %#x: it knows why", modes[i]);
        end_act(&ring);
    }
}

/* ---- producers that die ---------------------------------------------------------------------- */

static int push_three_and_hang(struct mring_mpmc *ring)
{
    struct mring_mpmc_end out;

    if (mring_mpmc_join(ring, &out, MRING_WRITE_END) != 0)
        return 1;
    for (uint64_t value = 1; value <= 3; value++)
        if (push(&out, value) != 0)
            return 2;
    return reach_stage_and_hang();
}

Test(mring_mpmc_processes, go_on_after_a_producer_that_was_killed_outside_a_call, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        begin_act(&ring, modes[i]);

        kill_at_stage(push_three_and_hang);

        cr_expect_eq(push_one(&ring, 4), 0, "mode %#x", modes[i]);
        for (uint64_t value = 1; value <= 4; value++)
            expect_pop(&ring, value, modes[i]);
        expect_empty(&ring, MRING_EMPTY, modes[i]);
        expect_whole(&ring, modes[i]);
        end_act(&ring);
    }
}

/* Bytes that look like records of eight bytes, wherever one looks. */
static void imitate_words(const struct mring_layout *layout, uint64_t pos, unsigned char *bytes,
                          size_t size)
{
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t at = pos + 8 + i + stage_laps_ahead * (layout->mask + 1);
        uint64_t word = mring_mpmc_make(layout, at, MRING_STATE_READY, 8);
        memcpy(bytes + i, &word, sizeof word);
    }
}

static int reserve_all_imitate_and_hang(struct mring_mpmc *ring)
{
    struct mring_mpmc_end out;

    if (mring_mpmc_join(ring, &out, MRING_WRITE_END) != 0 || push(&out, 1) != 0)
        return 1;
    size_t size = smallest() - 100;
    unsigned char *room = reserve(&out, size);
    if (room == NULL)
        return 2;
    imitate_words(&out.layout, out.pos, room, size);
    return reach_stage_and_hang();
}

Test(mring_mpmc_processes, never_see_what_a_killed_single_producer_had_only_reserved, .timeout = 30)
{
    static const unsigned singles[] = { MRING_SINGLE_PRODUCER, SINGLES };

    for (size_t i = 0; i < LENGTH(singles) * 3; i++) {
        unsigned mode = singles[i / 3];
        struct mring_mpmc ring;
        begin_act(&ring, mode);
        stage_laps_ahead = (uint32_t)(i % 3);

        kill_at_stage(reserve_all_imitate_and_hang);

        cr_expect_eq(push_one(&ring, 2), 0, "mode %#x", mode);
        expect_pop(&ring, 1, mode);
        expect_pop(&ring, 2, mode);
        expect_empty(&ring, MRING_EMPTY, mode);
        expect_whole(&ring, mode);
        end_act(&ring);
    }
}

/* Before anybody follows, too, and at the end. */
Test(mring_mpmc_processes, reach_the_end_behind_what_a_killed_single_producer_had_reserved,
     .timeout = 30)
{
    static const unsigned singles[] = { MRING_SINGLE_PRODUCER, SINGLES };

    for (size_t i = 0; i < LENGTH(singles); i++) {
        struct mring_mpmc ring;
        begin_act(&ring, singles[i]);
        stage_laps_ahead = 0;

        kill_at_stage(reserve_all_imitate_and_hang);

        expect_pop(&ring, 1, singles[i]);
        expect_empty(&ring, MRING_EMPTY, singles[i]);
        mring_mpmc_close(&ring, MRING_WRITE_END, 0);
        expect_empty(&ring, MRING_EOF, singles[i]);
        end_act(&ring);
    }
}

/* A successor finds its place among records of every kind: aborted, cut, released and not. */
Test(mring_mpmc_processes, follow_a_single_producer_wherever_it_was, .timeout = 30)
{
    static const unsigned singles[] = { MRING_SINGLE_PRODUCER, SINGLES };

    for (size_t i = 0; i < LENGTH(singles); i++) {
        struct mring_mpmc ring, other;
        struct mring_mpmc_end in;
        uint64_t value, popped = 0;
        begin_act(&ring, singles[i]);
        cr_assert_eq(open_ring(&other, stage_tagname, singles[i], 0), 0);
        cr_assert_eq(mring_mpmc_join(&ring, &in, MRING_READ_END), 0);

        for (uint64_t number = 0; number < 2000; number++) {
            struct mring_mpmc_end out;
            cr_assert_eq(mring_mpmc_join(number % 2 ? &ring : &other, &out, MRING_WRITE_END), 0);
            cr_assert_not_null(reserve(&out, 200));
            mring_mpmc_abort(&out);
            unsigned char *room = reserve(&out, 100);
            cr_assert_not_null(room);
            memcpy(room, &number, sizeof number);
            commit(&out, sizeof number);
            mring_mpmc_leave(&out);
            for (; popped + 30 < number; popped++) {
                cr_assert_eq(pop(&in, &value), 0, "mode %#x", singles[i]);
                cr_assert_eq(value, popped, "mode %#x", singles[i]);
            }
        }

        mring_mpmc_destroy(&other);
        end_act(&ring);
    }
}

static int reserve_and_hang(struct mring_mpmc *ring)
{
    struct mring_mpmc_end out;

    if (mring_mpmc_join(ring, &out, MRING_WRITE_END) != 0 || push(&out, 1) != 0 ||
        reserve(&out, 8) == NULL)
        return 1;
    return reach_stage_and_hang();
}

/* What stands in the header, for better or worse. */
Test(mring_mpmc_processes, wait_for_a_killed_producer_of_several_unless_they_skip_it, .timeout = 30)
{
    static const unsigned several[] = { 0, MRING_SINGLE_CONSUMER, MRING_SKIP_STALLED };

    for (size_t i = 0; i < LENGTH(several); i++) {
        struct mring_mpmc ring;
        begin_act(&ring, several[i]);

        kill_at_stage(reserve_and_hang);

        cr_expect_eq(push_one(&ring, 2), 0, "mode %#x", several[i]);
        expect_pop(&ring, 1, several[i]);
        if (several[i] == MRING_SKIP_STALLED)
            expect_pop(&ring, 2, several[i]);
        expect_empty(&ring, MRING_EMPTY, several[i]);
        mring_mpmc_close(&ring, MRING_WRITE_END, 0);
        expect_empty(&ring, MRING_EMPTY, several[i]);
        end_act(&ring);
    }
}

/* ---- consumers that die ---------------------------------------------------------------------- */

static const unsigned single_consumers[] = { MRING_SINGLE_CONSUMER, SINGLES };

static int claim_two_and_hang(struct mring_mpmc *ring)
{
    struct mring_mpmc_end in;
    struct mring_claim claim;

    if (mring_mpmc_join(ring, &in, MRING_READ_END) != 0 || mring_mpmc_claim(&in, &claim, 2) != 2)
        return 1;
    return reach_stage_and_hang();
}

static int pop_two_with_a_batch_and_hang(struct mring_mpmc *ring)
{
    struct mring_mpmc_end in;
    uint64_t value;

    if (mring_mpmc_join(ring, &in, MRING_READ_END) != 0 ||
        mring_mpmc_tune(&in, &(struct mring_tuning){ .batch_bytes = smallest() }) != 0)
        return 1;
    if (pop(&in, &value) != 0 || pop(&in, &value) != 0 || value != 2)
        return 2;
    return reach_stage_and_hang();
}

static int release_two_with_a_batch_and_hang(struct mring_mpmc *ring)
{
    struct mring_mpmc_end in;
    struct mring_claim claim;

    if (mring_mpmc_join(ring, &in, MRING_READ_END) != 0 ||
        mring_mpmc_tune(&in, &(struct mring_tuning){ .batch_bytes = smallest() }) != 0 ||
        mring_mpmc_claim(&in, &claim, 2) != 2)
        return 1;
    release(&in, &claim);
    return reach_stage_and_hang();
}

Test(mring_mpmc_processes, get_again_what_a_killed_single_consumer_had_not_released, .timeout = 30)
{
    static int (*const bodies[])(struct mring_mpmc *) = {
        claim_two_and_hang,
        pop_two_with_a_batch_and_hang,
        release_two_with_a_batch_and_hang,
    };

    for (size_t i = 0; i < LENGTH(single_consumers) * LENGTH(bodies); i++) {
        unsigned mode = single_consumers[i / LENGTH(bodies)];
        struct mring_mpmc ring;
        begin_act(&ring, mode);
        for (uint64_t value = 1; value <= 3; value++)
            cr_assert_eq(push_one(&ring, value), 0);

        kill_at_stage(bodies[i % LENGTH(bodies)]);

        for (uint64_t value = 1; value <= 3; value++)
            expect_pop(&ring, value, mode);
        expect_empty(&ring, MRING_EMPTY, mode);
        expect_whole(&ring, mode);
        end_act(&ring);
    }
}

static int release_the_second_and_hang(struct mring_mpmc *ring)
{
    struct mring_mpmc_end in;
    struct mring_claim claims[3];

    if (mring_mpmc_join(ring, &in, MRING_READ_END) != 0)
        return 1;
    for (int i = 0; i < 3; i++)
        if (mring_mpmc_claim(&in, &claims[i], i == 1 ? 3 : 1) != (i == 1 ? 3 : 1))
            return 2;
    release(&in, &claims[1]);
    return reach_stage_and_hang();
}

/* Claims of 1, 2 to 4, and 5. */
Test(mring_mpmc_processes, get_again_what_was_not_released_around_what_was, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(single_consumers); i++) {
        struct mring_mpmc ring;
        begin_act(&ring, single_consumers[i]);
        for (uint64_t value = 1; value <= 6; value++)
            cr_assert_eq(push_one(&ring, value), 0);

        kill_at_stage(release_the_second_and_hang);

        expect_pop(&ring, 1, single_consumers[i]);
        expect_pop(&ring, 5, single_consumers[i]);
        cr_expect_eq(push_one(&ring, 7), 0);
        expect_pop(&ring, 6, single_consumers[i]);
        expect_pop(&ring, 7, single_consumers[i]);
        expect_empty(&ring, MRING_EMPTY, single_consumers[i]);
        expect_whole(&ring, single_consumers[i]);
        end_act(&ring);
    }
}

/* A producer that follows finds its place behind such a mark, too. */
Test(mring_mpmc_processes, follow_a_single_producer_past_what_was_released_out_of_order,
     .timeout = 30)
{
    struct mring_mpmc ring;
    begin_act(&ring, SINGLES);
    for (uint64_t value = 1; value <= 5; value++)
        cr_assert_eq(push_one(&ring, value), 0);

    kill_at_stage(release_the_second_and_hang);

    cr_expect_eq(push_one(&ring, 6), 0);
    expect_pop(&ring, 1, SINGLES);
    expect_pop(&ring, 5, SINGLES);
    expect_pop(&ring, 6, SINGLES);
    expect_whole(&ring, SINGLES);
    end_act(&ring);
}

enum { IMITATION_BYTES = 504 };

static int pop_imitation_with_a_batch_and_hang(struct mring_mpmc *ring)
{
    struct mring_mpmc_end in;
    unsigned char bytes[IMITATION_BYTES];
    size_t size;

    if (mring_mpmc_join(ring, &in, MRING_READ_END) != 0 ||
        mring_mpmc_tune(&in, &(struct mring_tuning){ .batch_bytes = smallest() }) != 0 ||
        mring_mpmc_pop(&in, bytes, sizeof bytes, &size) != 0)
        return 1;
    return reach_stage_and_hang();
}

/* What is not yet given back must not be made harmless yet, either. */
Test(mring_mpmc_processes, get_again_the_bytes_as_they_were_written, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(single_consumers); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out, in;
        unsigned char written[IMITATION_BYTES], found[IMITATION_BYTES];
        size_t size;
        begin_act(&ring, single_consumers[i]);
        stage_laps_ahead = 1;
        cr_assert_eq(mring_mpmc_join(&ring, &out, MRING_WRITE_END), 0);
        imitate_words(&ring.layout, smallest(), written, sizeof written);
        cr_assert_eq(mring_mpmc_push(&out, written, sizeof written), 0);

        kill_at_stage(pop_imitation_with_a_batch_and_hang);

        cr_assert_eq(mring_mpmc_join(&ring, &in, MRING_READ_END), 0);
        cr_expect_eq(mring_mpmc_pop(&in, found, sizeof found, &size), 0);
        cr_expect_eq(size, sizeof written);
        cr_expect_arr_eq(found, written, sizeof written, "mode %#x", single_consumers[i]);
        end_act(&ring);
    }
}

static int claim_one_and_hang(struct mring_mpmc *ring)
{
    struct mring_mpmc_end in;
    struct mring_claim claim;
    size_t size;

    if (mring_mpmc_join(ring, &in, MRING_READ_END) != 0 || mring_mpmc_claim(&in, &claim, 1) != 1 ||
        first_of(&in, claim, &size) == NULL || size != 8)
        return 1;
    return reach_stage_and_hang();
}

/* Its record is lost, and the room from there on comes back no more: a capacity can still pass. */
Test(mring_mpmc_processes, lose_only_room_to_a_killed_consumer_of_several, .timeout = 30)
{
    static const unsigned several[] = { 0, MRING_SINGLE_PRODUCER, MRING_SKIP_STALLED };

    for (size_t i = 0; i < LENGTH(several); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out, in;
        uint64_t value, passed = 0;
        begin_act(&ring, several[i]);
        for (uint64_t number = 1; number <= 3; number++)
            cr_assert_eq(push_one(&ring, number), 0);

        kill_at_stage(claim_one_and_hang);

        expect_pop(&ring, 2, several[i]);
        expect_pop(&ring, 3, several[i]);
        cr_assert_eq(mring_mpmc_join(&ring, &out, MRING_WRITE_END), 0);
        cr_assert_eq(mring_mpmc_join(&ring, &in, MRING_READ_END), 0);
        for (; push(&out, passed) == 0; passed++) {
            cr_assert_eq(pop(&in, &value), 0, "mode %#x", several[i]);
            cr_assert_eq(value, passed, "mode %#x", several[i]);
        }
        cr_expect_eq(passed, smallest() / mring_mpmc_record_bytes(&ring, 8) - 3, "mode %#x",
                     several[i]);
        mring_mpmc_close(&ring, MRING_READ_END, 0);
        cr_expect_eq(pop(&in, &value), MRING_EOF, "mode %#x", several[i]);
        end_act(&ring);
    }
}

static int sleep_in_pop(struct mring_mpmc *ring)
{
    struct mring_mpmc_end in;
    uint64_t value;
    size_t size;

    if (mring_mpmc_join(ring, &in, MRING_READ_END) != 0)
        return 1;
    return mring_mpmc_pop_wait(&in, &value, sizeof value, &size, -1) == 0 ? (int)value : 2;
}

Test(mring_mpmc_processes, wake_the_successor_of_a_killed_sleeper, .timeout = 30)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        begin_act(&ring, modes[i]);
        pid_t pid = start_child(sleep_in_pop);
        while (mring_load_acquire_u32(&ring.layout.read_side->event.arm) == 0)
            usleep(500);
        usleep(5000);
        cr_assert_eq(kill(pid, SIGKILL), 0);
        cr_assert_eq(end_of(pid), -1);

        pid = start_child(sleep_in_pop);
        while (mring_load_acquire_u32(&ring.layout.read_side->event.arm) == 1)
            usleep(500);
        cr_assert_eq(push_one(&ring, 33), 0);

        cr_expect_eq(end_of(pid), 33, "mode %#x", modes[i]);
        end_act(&ring);
    }
}

static int echo(struct mring_mpmc *ring)
{
    struct mring_mpmc_end in;
    uint64_t value;
    size_t size;
    int err;

    if (mring_mpmc_join(ring, &in, MRING_READ_END) != 0 ||
        mring_mpmc_tune(&in, &(struct mring_tuning){ .spin_ns = -1 }) != 0)
        return 1;
    while ((err = mring_mpmc_pop_wait(&in, &value, sizeof value, &size, -1)) == 0)
        mring_add_release_u32(&stage->records, 1);
    return err == MRING_EOF ? 0 : 2;
}

/*
 * Without wake-ups, each would last until the slice of the sleeper ends, more than 40 ms: it has
 * just gone to sleep again when the next record comes.
 */
Test(mring_mpmc_processes, wake_each_other_at_once, .timeout = 60)
{
    enum { RECORDS = 30 };

    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct mring_mpmc ring;
        struct mring_mpmc_end out;
        int64_t spent = 0;
        begin_act(&ring, modes[i]);
        cr_assert_eq(mring_mpmc_join(&ring, &out, MRING_WRITE_END), 0);
        pid_t pid = start_child(echo);

        for (uint32_t number = 0; number < RECORDS; number++) {
            while (mring_load_acquire_u32(&ring.layout.read_side->event.arm) <= number)
                usleep(500);
            usleep(2000);
            int64_t before = mring_os_now();
            cr_assert_eq(push(&out, number), 0);
            while (mring_load_acquire_u32(&stage->records) == number)
                usleep(50);
            spent += mring_os_now() - before;
        }

        mring_mpmc_close(&ring, MRING_WRITE_END, 0);
        cr_expect_eq(end_of(pid), 0, "mode %#x", modes[i]);
        cr_expect_lt(spent, RECORDS * 25 * MILLISECOND, "mode %#x: %lld us", modes[i],
                     (long long)spent / 1000);
        end_act(&ring);
    }
}

/* ---- descriptors of another process ---------------------------------------------------------- */

/* The descriptor of the consumers that poll is known where they and the producers are. Another
   consumer's process has none, and may not swallow what was for them. */
Test(mring_mpmc_processes, leave_the_arming_of_another_process_alone, .timeout = 10)
{
    struct mring_mpmc ring, other;
    struct mring_mpmc_end out, polls, pops;
    uint64_t value;
    int fd = new_eventfd(0);
    begin_act(&ring, 0);
    cr_assert_eq(open_ring(&other, stage_tagname, 0, 0), 0);
    cr_assert_eq(mring_mpmc_set_eventfd(&ring, MRING_READ_END, fd), 0);
    cr_assert_eq(mring_mpmc_join(&ring, &out, MRING_WRITE_END), 0);
    cr_assert_eq(mring_mpmc_join(&ring, &polls, MRING_READ_END), 0);
    cr_assert_eq(mring_mpmc_join(&other, &pops, MRING_READ_END), 0);
    cr_assert_eq(mring_mpmc_arm(&polls, 0), MRING_EMPTY);
    /* As if a sleeper had been woken for them. */
    uint8_t fencing = out.layout.fencing;
    out.layout.fencing = MRING_FENCING_NONE;
    cr_assert_eq(push(&out, 1), 0);
    cr_assert_eq(push(&out, 2), 0);
    out.layout.fencing = fencing;

    cr_assert_eq(pop(&pops, &value), 0);
    cr_assert_eq(push(&out, 3), 0);

    cr_expect(is_readable(fd), "the producer knows the descriptor, and it is armed");
    mring_mpmc_destroy(&other);
    end_act(&ring);
    close(fd);
}

Test(mring_mpmc_processes, tell_who_polls_at_their_own_end_that_they_close, .timeout = 10)
{
    static const enum mring_end ends[] = { MRING_WRITE_END, MRING_READ_END };

    for (size_t i = 0; i < LENGTH(ends); i++) {
        struct mring_mpmc ring, other;
        struct mring_mpmc_end polls;
        int fd = new_eventfd(0);
        begin_act(&ring, 0);
        while (ends[i] == MRING_WRITE_END && push_one(&ring, 1) == 0)
            continue;
        cr_assert_eq(open_ring(&other, stage_tagname, 0, 0), 0);
        cr_assert_eq(mring_mpmc_set_eventfd(&ring, ends[i], fd), 0);
        cr_assert_eq(mring_mpmc_set_eventfd(&other, ends[i], fd), 0);
        cr_assert_eq(mring_mpmc_join(&ring, &polls, ends[i]), 0);
        cr_assert_eq(mring_mpmc_arm(&polls, 0), i == 0 ? MRING_FULL : MRING_EMPTY);

        mring_mpmc_close(&other, ends[i], 0);

        cr_expect(is_readable(fd), "row %zu", i);
        mring_mpmc_destroy(&other);
        end_act(&ring);
        close(fd);
    }
}

/* ---- where there is no membarrier ------------------------------------------------------------ */

TestSuite(mring_mpmc_fencing, .init = support_begin, .fini = support_end);

/* As an old kernel, or a sandbox: all further membarrier calls of this process fail. */
static bool filter_membarrier(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { LENGTH(rules), rules };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

#define EXPECT_NO_MEMBARRIER()                                                                     \
    do {                                                                                           \
        if (!filter_membarrier())                                                                  \
            return SUPPORT_SKIP "this process may not filter its system calls";                    \
        EXPECT(!mring_os_join_barriers());                                                         \
    } while (0)

Test(mring_mpmc_fencing, is_what_the_flags_of_the_maker_say, .timeout = 5)
{
    const struct {
        unsigned flags;
        enum mring_fencing fencing;
    } rows[] = {
        { 0, mring_os_join_barriers() ? MRING_FENCING_WAITER : MRING_FENCING_BOTH_SIDES },
        { MRING_FENCE, MRING_FENCING_BOTH_SIDES },
        { MRING_NOWAIT, MRING_FENCING_NONE },
        { MRING_NOWAIT | MRING_FENCE, MRING_FENCING_NONE },
    };

    for (size_t i = 0; i < LENGTH(modes) * LENGTH(rows) * LENGTH(rows); i++) {
        unsigned mode = modes[i % LENGTH(modes)];
        size_t made = i / LENGTH(modes) / LENGTH(rows), opened = i / LENGTH(modes) % LENGTH(rows);
        const char *tagname = support_tagname("ring");
        struct mring_mpmc ring, other;
        new_named_ring(&ring, tagname, mode | rows[made].flags);
        cr_assert_eq(open_ring(&other, tagname, mode | rows[opened].flags, 0), 0);

        cr_expect_eq(ring.layout.fencing, rows[made].fencing, "row %zu, mode %#x", made, mode);
        cr_expect_eq(other.layout.fencing, rows[made].fencing, "row %zu, mode %#x", made, mode);
        mring_mpmc_destroy(&ring);
        mring_mpmc_destroy(&other);
        cr_assert_eq(mmap_unlink(tagname), 0);
    }
}

/* The ring of a name, for a child. */
struct named {
    const char *tagname;
    unsigned flags;
};

static const char *create_without_membarrier(void *context)
{
    const struct named *named = context;
    struct mring_mpmc ring;
    EXPECT_NO_MEMBARRIER();

    EXPECT(open_ring(&ring, named->tagname, named->flags, smallest()) == 0);

    EXPECT(ring.map.created);
    EXPECT(ring.layout.fencing == MRING_FENCING_BOTH_SIDES);
    EXPECT(push_one(&ring, 5) == 0);
    EXPECT(mring_mpmc_destroy(&ring) == 0);
    return NULL;
}

Test(mring_mpmc_fencing, of_a_ring_made_without_membarrier_is_on_both_sides, .timeout = 20)
{
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct named named = { support_tagname("ring"), modes[i] };
        struct mring_mpmc ring;

        ASSERT_CHILD(support_child(create_without_membarrier, &named));

        cr_assert_eq(open_ring(&ring, named.tagname, modes[i], 0), 0);
        cr_expect_eq(ring.layout.fencing, MRING_FENCING_BOTH_SIDES, "mode %#x", modes[i]);
        expect_pop(&ring, 5, modes[i]);
        mring_mpmc_destroy(&ring);
        cr_assert_eq(mmap_unlink(named.tagname), 0);
    }
}

static const char *open_without_membarrier(void *context)
{
    const struct named *named = context;
    struct mring_mpmc ring;
    memset(&ring, 0xa5, sizeof ring);
    EXPECT_NO_MEMBARRIER();

    EXPECT(open_ring(&ring, named->tagname, named->flags, 0) == MMAP_UNSUPPORTED);
    EXPECT(open_ring(&ring, named->tagname, named->flags | MRING_FENCE, smallest()) ==
           MMAP_UNSUPPORTED);

    EXPECT(*(unsigned char *)&ring == 0xa5);
    return NULL;
}

static const char *open_others_without_membarrier(void *context)
{
    const struct named *named = context;
    struct mring_mpmc ring;
    uint64_t value;
    EXPECT_NO_MEMBARRIER();

    EXPECT(open_ring(&ring, named->tagname, named->flags, 0) == 0);

    EXPECT(pop_one(&ring, &value) == 0);
    EXPECT(value == 5);
    EXPECT(mring_mpmc_destroy(&ring) == 0);
    return NULL;
}

Test(mring_mpmc_fencing, by_membarrier_is_unsupported_for_who_may_not_use_it, .timeout = 30)
{
    static const unsigned flags[] = { 0, MRING_FENCE, MRING_NOWAIT };
    if (!mring_os_join_barriers())
        cr_skip_test("this kernel has no membarrier");

    for (size_t i = 0; i < LENGTH(modes) * LENGTH(flags); i++) {
        unsigned mode = modes[i / LENGTH(flags)], more = flags[i % LENGTH(flags)];
        struct named named = { support_tagname("ring"), mode };
        struct mring_mpmc ring;
        new_named_ring(&ring, named.tagname, mode | more);
        cr_assert_eq(push_one(&ring, 5), 0);

        ASSERT_CHILD(support_child(
            more == 0 ? open_without_membarrier : open_others_without_membarrier, &named));

        if (more == 0)
            expect_pop(&ring, 5, mode);
        expect_empty(&ring, MRING_EMPTY, mode);
        mring_mpmc_destroy(&ring);
        cr_assert_eq(mmap_unlink(named.tagname), 0);
    }
}
