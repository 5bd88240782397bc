/* SPDX-License-Identifier: MIT */
/* Byte rings with a tagname: attaching, refusing, and what is left when a process dies. */
#define _GNU_SOURCE

#include "../../src/ring_header.h"
#include "keep.h"
#include "ring_support.h"

#include <criterion/criterion.h>
#include <mring/spsc.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t MILLISECOND = 1000000;

static int open_ring(struct mring_spsc *ring, const char *tagname, uint64_t capacity)
{
    return mring_spsc_open(ring, &(struct mring_args){ .tagname = tagname, .capacity = capacity });
}

/* A ring under a new name, attached. */
static struct mring_spsc new_named_ring(const char *tagname)
{
    struct mring_spsc ring = { 0 };

    cr_assert_eq(open_ring(&ring, tagname, smallest()), 0);
    cr_assert(ring.map.created);
    return ring;
}

/* The object behind a name, from its first byte. */
static struct mmap map_object(const char *tagname)
{
    struct mmap map = { 0 };

    cr_assert_eq(
        mmap_map(&map, &(struct mmap_args){ .file.tagname = tagname, .access = MMAP_WRITE }), 0);
    return map;
}

/* ---- attaching ------------------------------------------------------------------------------- */

TestSuite(mring_spsc_create, .init = support_begin, .fini = support_end);
TestSuite(mring_spsc_open, .init = support_begin, .fini = support_end);

Test(mring_spsc_open, creates_then_attaches, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_spsc first, second, third;

    cr_assert_eq(open_ring(&first, tagname, smallest()), 0);
    cr_assert_eq(open_ring(&second, tagname, smallest()), 0);
    cr_assert_eq(open_ring(&third, tagname, 0), 0);

    cr_expect(first.map.created);
    cr_expect_not(second.map.created);
    cr_expect_not(third.map.created);
    cr_expect_eq(mring_spsc_capacity(&third), smallest());
    cr_assert(put(&first, 10));
    cr_expect(take(&second, 10), "they are one ring");
    mring_spsc_destroy(&first);
    mring_spsc_destroy(&second);
    mring_spsc_destroy(&third);
}

Test(mring_spsc_open, goes_on_where_the_last_process_left, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring = new_named_ring(tagname);
    cr_assert(put(&ring, 100));
    cr_assert(take(&ring, 30));
    keep(tagname);
    mring_spsc_destroy(&ring);

    cr_assert_eq(open_ring(&ring, tagname, 0), 0);

    cr_expect_eq(mring_spsc_readable(&ring), 70);
    cr_expect_eq(mring_spsc_writable(&ring), smallest() - 70);
    cr_expect(take(&ring, 70));
    cr_expect(put(&ring, smallest()), "the whole ring is free again");
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_open, finds_a_closed_end_closed, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring = new_named_ring(tagname);
    uint32_t status = 0;
    cr_assert(put(&ring, 10));
    mring_spsc_close(&ring, MRING_WRITE_END, 5);
    keep(tagname);
    mring_spsc_destroy(&ring);

    cr_assert_eq(open_ring(&ring, tagname, 0), 0);

    cr_expect(mring_spsc_is_closed(&ring, MRING_WRITE_END, &status));
    cr_expect_eq(status, 5);
    cr_expect_eq(mring_spsc_reserve(&ring, 1), NULL, "a successor may not write on either");
    cr_expect_eq(mring_spsc_wait_writable(&ring, 1, 0), MRING_CLOSED);
    cr_expect(take(&ring, 10));
    cr_expect_eq(mring_spsc_wait_readable(&ring, 1, -1), MRING_EOF);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_open, makes_a_new_ring_after_unlink, .timeout = 5)
{
    support_needs_posix("taking a name from who has it mapped");
    const char *tagname = support_tagname("ring");
    struct mring_spsc old = new_named_ring(tagname);
    cr_assert(put(&old, 10));

    cr_assert_eq(mmap_unlink(tagname), 0);
    struct mring_spsc fresh = new_named_ring(tagname);

    cr_expect_eq(mring_spsc_readable(&fresh), 0);
    cr_expect(take(&old, 10), "who has the old one keeps it");
    mring_spsc_destroy(&old);
    mring_spsc_destroy(&fresh);
}

Test(mring_spsc_open, is_for_the_owner_alone_unless_a_mode_is_given, .timeout = 5)
{
    const char *ours = support_tagname("ours");
    const char *groups = support_tagname("groups");
    struct mring_spsc ring = new_named_ring(ours);
    struct mring_spsc shared;

    cr_assert_eq(mring_spsc_open(&shared, &(struct mring_args){ .tagname = groups,
                                                                .capacity = smallest(),
                                                                .mode = 0660 }),
                 0);

    cr_expect_eq(support_file_mode(support_shm_path(ours)), 0600);
    cr_expect_eq(support_file_mode(support_shm_path(groups)), 0660);
    mring_spsc_destroy(&ring);
    mring_spsc_destroy(&shared);
}

Test(mring_spsc_open, takes_a_ring_of_anybody_when_told_to, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring = new_named_ring(tagname), other = { 0 };
    struct mring_args args = { .tagname = tagname };
    cr_assert_eq(chmod(support_shm_path(tagname), 0666), 0);

    cr_expect_eq(mring_spsc_open(&other, &args), MMAP_ACCESS_DENIED);
    args.map_flags = MMAP_ANY_OWNER;
    cr_expect_eq(mring_spsc_open(&other, &args), 0);

    mring_spsc_destroy(&other);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_open, takes_waiting_from_the_ring_and_not_from_the_call, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring, other;
    cr_assert_eq(mring_spsc_open(&ring, &(struct mring_args){ .tagname = tagname,
                                                              .capacity = smallest(),
                                                              .flags = MRING_NOWAIT }),
                 0);

    cr_assert_eq(open_ring(&other, tagname, 0), 0);

    cr_expect_eq(ring.fencing, MRING_FENCING_NONE);
    cr_expect_eq(other.fencing, MRING_FENCING_NONE);
    mring_spsc_destroy(&ring);
    mring_spsc_destroy(&other);
    cr_assert_eq(mmap_unlink(tagname), 0);
    ring = new_named_ring(tagname);
    cr_expect_neq(ring.fencing, MRING_FENCING_NONE);
    mring_spsc_destroy(&ring);
}

/* ---- refusing -------------------------------------------------------------------------------- */

Test(mring_spsc_create, fails_with_exists_when_there_is_such_a_name, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_args args = { .tagname = tagname, .capacity = smallest() };
    struct mring_spsc ring, other;
    cr_assert_eq(mring_spsc_create(&ring, &args), 0);
    cr_assert(put(&ring, 10));
    memset(&other, 0xa5, sizeof other);

    cr_expect_eq(mring_spsc_create(&other, &args), MMAP_EXISTS);

    cr_expect_eq(*(unsigned char *)&other, 0xa5, "untouched");
    cr_expect(take(&ring, 10));
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_open, refuses_what_does_not_fit_the_arguments, .timeout = 5)
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
        { { .tagname = missing, .flags = MRING_ANY_CAPACITY }, MMAP_NOT_FOUND },
        { { .tagname = ring_name, .capacity = 2 * smallest() }, MRING_BAD_CAPACITY },
        { { .tagname = ring_name, .type_tag = "another" }, MRING_BAD_TYPE },
        { { .tagname = ring_name, .type_tag = "type" }, 0 },
        { { .tagname = ring_name, .capacity = 2 * smallest(), .flags = MRING_ANY_CAPACITY }, 0 },
        { { .tagname = ring_name, .capacity = smallest() + 1 }, MMAP_INVALID_ARG },
        { { .tagname = ring_name, .capacity = 1, .flags = MRING_ANY_CAPACITY }, MMAP_INVALID_ARG },
        { { .tagname = ring_name, .flags = 1u << 20 }, MMAP_INVALID_ARG },
        { { .tagname = ring_name, .map_flags = 1u << 30 }, MMAP_INVALID_ARG },
        { { .tagname = missing, .capacity = smallest(), .map_flags = MMAP_EXCLUSIVE },
          MMAP_INVALID_ARG },
        { { .capacity = smallest() }, MMAP_INVALID_ARG },
        { { .tagname = ".hidden", .capacity = smallest() }, MMAP_INVALID_ARG },
        { { .tagname = "", .capacity = smallest() }, MMAP_INVALID_ARG },
    };
    struct mring_spsc ring, attached;
    cr_assert_eq(mring_spsc_open(&ring, &(struct mring_args){ .tagname = ring_name,
                                                              .capacity = smallest(),
                                                              .type_tag = "type" }),
                 0);
    support_remember();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(&attached, 0xa5, sizeof attached);
        int err = mring_spsc_open(&attached, &rows[i].args);
        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, mring_errname(err));
        if (err == 0) {
            cr_expect_eq(mring_spsc_capacity(&attached), smallest(), "row %zu", i);
            cr_expect_eq(mring_spsc_destroy(&attached), 0, "row %zu", i);
        } else {
            cr_expect_eq(*(unsigned char *)&attached, 0xa5, "row %zu: untouched", i);
        }
    }
    ASSERT_NOTHING_LEFT();
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_open, asks_an_untyped_ring_for_its_type_too, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring = new_named_ring(tagname);
    struct mring_spsc other;

    cr_expect_eq(
        mring_spsc_open(&other, &(struct mring_args){ .tagname = tagname, .type_tag = "type" }),
        MRING_BAD_TYPE);
    mring_spsc_destroy(&ring);
}

/* The same numbers as a little-endian machine has them; `sizes` are theirs, 0 is the end. */
static void turn_to_little_endian(unsigned char *bytes, const unsigned char *sizes)
{
    for (; *sizes != 0; bytes += *sizes++) {
        unsigned char number[8];

        memcpy(number, bytes, *sizes);
        for (size_t i = 0; i < *sizes; i++)
            bytes[i] = number[SUPPORT_BYTE_AT(0u, *sizes, i)];
    }
}

/* The format, byte by byte: a change of it must change the version. */
Test(mring_spsc_open, writes_the_header_that_others_expect, .timeout = 5)
{
    static const unsigned char expected[88] = {
        'M', 'R', 'I', 'N', 'G', 0, 1, '\n', /* magic */
        1,   0,   0,   0,                    /* version 1.0 */
        1,   0,   0,   0,                    /* kind */
        0,   0,   0,   0,   0,   0, 0, 0,    /* features */
        0,   0,   1,   0,   0,   0, 0, 0,    /* capacity 65536 */
        0,   0,   4,   0,   0,   0, 0, 0,    /* total size */
        0,   0,   1,   0,   0,   0, 0, 0,    /* write side */
        0,   0,   2,   0,   0,   0, 0, 0,    /* read side */
        0,   0,   3,   0,   0,   0, 0, 0,    /* data */
        0,   0,   1,   0,                    /* granule */
        1,   0,   0,   0,                    /* flags: nowait */
        't', 'y', 'p', 'e',                  /* type tag */
    };
    static const unsigned char sizes[] = { 8, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 4, 4, 0 };
    unsigned char found[sizeof expected];
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring;

    cr_assert_eq(mring_spsc_open(&ring, &(struct mring_args){ .tagname = tagname,
                                                              .capacity = 65536,
                                                              .flags = MRING_NOWAIT,
                                                              .type_tag = "type" }),
                 0);
    cr_assert_eq(mring_spsc_write(&ring, "bytes", 5), 5);

    struct mmap map = map_object(tagname);
    const unsigned char *bytes = map.addr;
    cr_expect_eq(map.size, 0x40000);
    memcpy(found, bytes, sizeof found);
    turn_to_little_endian(found, sizes);
    cr_expect_arr_eq(found, expected, sizeof expected);
    cr_expect_eq(bytes[SUPPORT_BYTE_AT(0x10000, 8, 0)], 5, "write_pos");
    cr_expect(support_is_zero(bytes + sizeof expected, 0x10000 - sizeof expected));
    cr_expect(support_is_zero(bytes + 0x10008, 0x190), "the rest of the side");
    cr_expect_neq(support_is_zero(bytes + 0x10198, 8), support_is_windows, "its sleepers' names");
    cr_expect(support_is_zero(bytes + 0x101a0, 0x10000 - 0x1a0), "the rest of the side");
    cr_expect_eq(bytes[0x20000], 0, "read_pos");
    cr_expect_arr_eq(bytes + 0x30000, "bytes", 5);
    mmap_free(&map);
    mring_spsc_destroy(&ring);
}

/* Of a field of the header, the byte that is the index-th from the lowest. */
#define FIELD(name, index) SUPPORT_BYTE_OF(struct ring_header, name, index)

/* Its numbers, the magic among them, stand in the order of the machine that made it. */
Test(mring_spsc_open, refuses_a_ring_of_a_machine_of_the_other_byte_order, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring, other;
    ring = new_named_ring(tagname);
    struct mmap map = map_object(tagname);
    unsigned char *bytes = map.addr;
    support_remember();

    for (size_t i = 0; i < 4; i++) {
        unsigned char byte = bytes[i];
        bytes[i] = bytes[7 - i];
        bytes[7 - i] = byte;
    }

    cr_expect_eq(open_ring(&other, tagname, 0), MRING_BAD_MAGIC);
    ASSERT_NOTHING_LEFT();
    mmap_free(&map);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_open, refuses_every_header_that_is_not_of_this_ring, .timeout = 10)
{
    static const struct {
        size_t offset;
        unsigned char change; /* flipped in the byte at offset */
        int err;
    } rows[] = {
        { FIELD(magic, 0), 1, MRING_BAD_MAGIC },
        { FIELD(magic, 7), 0x80, MRING_BAD_MAGIC },
        { FIELD(version_major, 0), 3, MRING_BAD_VERSION },
        { FIELD(version_major, 1), 1, MRING_BAD_VERSION },
        { FIELD(incompatible_features, 0), 1, MRING_BAD_VERSION },
        { FIELD(incompatible_features, 3), 0x80, MRING_BAD_VERSION },
        { FIELD(granule, 0), 1, MRING_BAD_VERSION },
        { FIELD(kind, 0), 3, MRING_BAD_KIND },
        { FIELD(kind, 3), 1, MRING_BAD_KIND },
        { FIELD(capacity, 0), 1, MRING_CORRUPT },
        { FIELD(capacity, 1), 0x30, MRING_CORRUPT },
        { FIELD(capacity, 7), 0x80, MRING_CORRUPT },
        { FIELD(total_size, 0), 1, MRING_CORRUPT },
        { FIELD(total_size, 6), 1, MRING_CORRUPT },
        { FIELD(write_side_offset, 0), 1, MRING_CORRUPT },
        { FIELD(read_side_offset, 7), 0x80, MRING_CORRUPT },
        { FIELD(data_offset, 2), 1, MRING_CORRUPT },
        { FIELD(version_minor, 0), 1, 0 },
        { FIELD(compatible_features, 0), 1, 0 },
    };
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring = new_named_ring(tagname);
    struct mring_spsc other;
    cr_assert(put(&ring, 10));
    struct mmap map = map_object(tagname);
    unsigned char *bytes = map.addr;
    support_remember();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bytes[rows[i].offset] ^= rows[i].change;
        int err = open_ring(&other, tagname, smallest());
        bytes[rows[i].offset] ^= rows[i].change;

        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, mring_errname(err));
        if (err == 0)
            mring_spsc_destroy(&other);
        ASSERT_NOTHING_LEFT(", row %zu", i);
    }
    cr_expect(take(&ring, 10), "what is there is unharmed");
    mmap_free(&map);
    mring_spsc_destroy(&ring);
}

/* A capacity and a total size that fit each other, and an object that fits neither. */
Test(mring_spsc_open, refuses_a_header_that_promises_more_than_the_object_has, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring = new_named_ring(tagname);
    struct mring_spsc other;
    struct mmap map = map_object(tagname);
    struct ring_header *header = map.addr;
    support_remember();

    header->total_size += header->capacity;
    header->capacity *= 2;

    cr_expect_eq(open_ring(&other, tagname, 0), MRING_CORRUPT);
    ASSERT_NOTHING_LEFT();
    mmap_free(&map);
    mring_spsc_destroy(&ring);
}

/* Some systems round the size of an object up, so longer is no mistake. */
Test(mring_spsc_open, refuses_an_object_that_is_too_short, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    const char *path = support_shm_path(tagname);
    struct mring_spsc ring = new_named_ring(tagname);
    struct mring_spsc other;
    mring_spsc_destroy(&ring);
    const uint64_t size = support_file_size(path);
    const struct {
        uint64_t size;
        int err;
    } rows[] = {
        { size + 1, 0 },
        { 2 * size, 0 },
        { size - 1, MRING_CORRUPT },
        { size / 2, MRING_CORRUPT },
        { sizeof(struct ring_header), MRING_CORRUPT },
        { sizeof(struct ring_header) - 1, MRING_BAD_MAGIC },
        { 0, MRING_BAD_MAGIC },
    };
    support_remember();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(truncate(path, (off_t)rows[i].size), 0);
        int err = open_ring(&other, tagname, smallest());
        cr_expect_eq(err, rows[i].err, "%llu bytes: %s", (unsigned long long)rows[i].size,
                     mring_errname(err));
        if (err == 0)
            mring_spsc_destroy(&other);
        cr_expect_eq(support_file_size(path), rows[i].size, "unharmed");
        cr_assert_eq(truncate(path, (off_t)size), 0);
        ASSERT_NOTHING_LEFT(", row %zu", i);
    }
}

/* Only the header is looked at before it is known to be one. */
Test(mring_spsc_open, refuses_an_object_larger_than_the_address_space, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring;
    int fd = open(support_shm_path(tagname), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, (off_t)1 << 48), 0);
    close(fd);

    cr_expect_eq(open_ring(&ring, tagname, 0), MRING_BAD_MAGIC);
}

Test(mring_spsc_open, knows_no_names_of_huge_pages, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring;
    struct mring_args args = { .tagname = tagname, .map_flags = MMAP_HUGE_REQUIRE };

    cr_expect_eq(mring_spsc_open(&ring, &args), MMAP_UNSUPPORTED);
    args.capacity = mring_capacity(1, MMAP_HUGE_REQUIRE);
    cr_expect_eq(mring_spsc_open(&ring, &args), MMAP_UNSUPPORTED);
    cr_expect_eq(mring_spsc_create(&ring, &args), MMAP_UNSUPPORTED);
}

Test(mring_spsc_open, refuses_what_never_was_a_ring, .timeout = 5)
{
    const char *tagname = support_tagname("other");
    struct mring_spsc ring;
    struct mmap map = { 0 };
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file.tagname = tagname,
                                                     .access = MMAP_WRITE,
                                                     .size = 1 << 20 }),
                 0);

    cr_expect_eq(open_ring(&ring, tagname, smallest()), MRING_BAD_MAGIC);

    cr_expect(support_is_zero(map.addr, map.size));
    mmap_free(&map);
}

Test(mring_spsc_open, refuses_positions_that_contradict_each_other, .timeout = 5)
{
    const char *tagname = support_tagname("ring");
    struct mring_spsc ring = new_named_ring(tagname);
    struct mring_spsc other;
    const struct {
        uint64_t write_pos, read_pos;
        int err;
    } rows[] = {
        { 0, 1, MRING_CORRUPT },
        { smallest() + 1, 0, MRING_CORRUPT },
        { UINT64_C(1) << 63, 0, MRING_CORRUPT },
        { 0, UINT64_C(1) << 63, MRING_CORRUPT },
        { 5, UINT64_MAX - 4, 0 },
        { smallest(), 0, 0 },
        { 7, 7, 0 },
    };
    support_remember();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mring_store_release_u64(&ring.write_side->pos, rows[i].write_pos);
        mring_store_release_u64(&ring.read_side->pos, rows[i].read_pos);
        int err = open_ring(&other, tagname, 0);

        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, mring_errname(err));
        if (err == 0) {
            cr_expect_eq(mring_spsc_readable(&other), rows[i].write_pos - rows[i].read_pos);
            mring_spsc_destroy(&other);
        }
        ASSERT_NOTHING_LEFT(", row %zu", i);
    }
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_open, goes_on_over_every_limit_of_the_positions, .timeout = 10)
{
    static const uint64_t limits[] = { UINT64_C(1) << 32, 0 /* 2^64 */ };

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const char *tagname = support_tagname(i == 0 ? "ring32" : "ring64");
        struct mring_spsc ring = new_named_ring(tagname);
        const uint64_t start = limits[i] - smallest() - 100;
        mring_store_release_u64(&ring.write_side->pos, start);
        mring_store_release_u64(&ring.read_side->pos, start);
        keep(tagname);
        mring_spsc_destroy(&ring);

        /* Each lap by another process, as far as the ring can tell. */
        for (int lap = 0; lap < 6; lap++) {
            cr_assert_eq(open_ring(&ring, tagname, 0), 0, "limit %zu, lap %d", i, lap);
            cr_expect_eq(mring_spsc_writable(&ring), smallest(), "limit %zu, lap %d", i, lap);
            cr_assert(put(&ring, smallest()), "limit %zu, lap %d", i, lap);
            cr_expect_null(mring_spsc_reserve(&ring, 1), "limit %zu, lap %d", i, lap);
            mring_spsc_destroy(&ring);
            cr_assert_eq(open_ring(&ring, tagname, 0), 0, "limit %zu, lap %d", i, lap);
            cr_assert(take(&ring, smallest()), "limit %zu, lap %d", i, lap);
            mring_spsc_destroy(&ring);
        }
    }
}

/* ---- processes ------------------------------------------------------------------------------- */

/* What the processes of a test tell each other besides the ring. */
struct stage {
    mring_atomic_u32 reached;
    mring_atomic_u32 go;
};

static struct stage *stage;
static const char *stage_tagname;

static void set_stage(void)
{
    support_begin();
    stage_tagname = support_tagname("ring");
    stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(stage, MAP_FAILED);
}

TestSuite(mring_spsc_processes, .init = set_stage, .fini = support_end);

/* Run `body` on the ring in a child of its own; its result is the exit code. */
static pid_t start_child(int (*body)(struct mring_spsc *ring))
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    struct mring_spsc ring;
    alarm(30);
    _exit(open_ring(&ring, stage_tagname, 0) != 0 ? 99 : body(&ring));
}

/* The exit code, or -1 for a child that was killed. */
static int end_of(pid_t pid)
{
    int status;

    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void await_stage(uint32_t reached)
{
    while (mring_load_acquire_u32(&stage->reached) < reached)
        usleep(500);
}

/* The last thing that a child does which is to be killed. */
static int reach_stage_and_hang(void)
{
    mring_add_release_u32(&stage->reached, 1);
    while (pause() < 0)
        continue;
    return 0;
}

static void kill_at_stage(pid_t pid)
{
    await_stage(1);
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(end_of(pid), -1);
    mring_store_release_u32(&stage->reached, 0);
}

/* Enough to wrap the ring a few hundred times. */
enum { STREAM_BYTES = 2000000, STREAM_STATUS = 17 };

static int write_stream(struct mring_spsc *ring)
{
    for (size_t left = STREAM_BYTES, size = 1; left > 0; size = size * 7 % 3989 + 1) {
        if (size > left)
            size = left;
        if (mring_spsc_wait_writable(ring, size, -1) != 0 || !put(ring, size))
            return 1;
        left -= size;
    }
    mring_spsc_close(ring, MRING_WRITE_END, STREAM_STATUS);
    return 0;
}

Test(mring_spsc_processes, stream_to_the_end_and_the_status_comes_with_it, .timeout = 30)
{
    struct mring_spsc ring = new_named_ring(stage_tagname);
    uint64_t received = 0, sum = 0, expected_sum = 0;
    uint32_t status = 0;
    pid_t writer = start_child(write_stream);

    int err;
    while ((err = mring_spsc_wait_readable(&ring, 1, -1)) == 0) {
        size_t size;
        const unsigned char *bytes = mring_spsc_peek(&ring, 1, &size);
        cr_assert(support_has_bytes(bytes, ring.read_pos, size), "at %llu",
                  (unsigned long long)ring.read_pos);
        for (size_t i = 0; i < size; i++)
            sum += bytes[i];
        mring_spsc_consume(&ring, size);
        received += size;
    }

    for (uint64_t pos = 0; pos < STREAM_BYTES; pos++)
        expected_sum += support_byte(pos);
    cr_expect_eq(err, MRING_EOF, "%s", mring_errname(err));
    cr_expect_eq(received, STREAM_BYTES);
    cr_expect_eq(sum, expected_sum);
    cr_expect(mring_spsc_is_closed(&ring, MRING_WRITE_END, &status));
    cr_expect_eq(status, STREAM_STATUS);
    cr_expect_eq(end_of(writer), 0);
    mring_spsc_destroy(&ring);
}

static int read_stream(struct mring_spsc *ring)
{
    while (mring_spsc_wait_readable(ring, 1, -1) == 0)
        if (!take(ring, mring_spsc_readable(ring)))
            return 1;
    return 0;
}

Test(mring_spsc_processes, let_an_observer_open_the_ring_at_any_time, .timeout = 30)
{
    struct mring_spsc ring = new_named_ring(stage_tagname);
    pid_t writer = start_child(write_stream);
    pid_t reader = start_child(read_stream);
    unsigned opened = 0;

    while (!mring_spsc_is_closed(&ring, MRING_WRITE_END, NULL)) {
        struct mring_spsc observer;
        int err = open_ring(&observer, stage_tagname, 0);
        cr_assert_eq(err, 0, "after %u times: %s", opened, mring_errname(err));
        cr_assert_eq(mring_spsc_destroy(&observer), 0);
        opened++;
    }

    cr_expect_eq(end_of(writer), 0);
    cr_expect_eq(end_of(reader), 0);
    cr_expect_gt(opened, 0);
    mring_spsc_destroy(&ring);
}

static int write_until_closed(struct mring_spsc *ring)
{
    uint32_t status = 0;
    int err;

    while ((err = mring_spsc_wait_writable(ring, 100, -1)) == 0)
        put(ring, 100);
    if (err != MRING_CLOSED || !mring_spsc_is_closed(ring, MRING_READ_END, &status))
        return 1;
    return (int)status;
}

Test(mring_spsc_processes, end_when_the_reader_closes, .timeout = 30)
{
    struct mring_spsc ring = new_named_ring(stage_tagname);
    pid_t writer = start_child(write_until_closed);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(mring_spsc_wait_readable(&ring, 100, -1), 0);
        cr_assert(take(&ring, 100));
    }

    mring_spsc_close(&ring, MRING_READ_END, 23);

    cr_expect_eq(end_of(writer), 23, "the writer knows why");
    mring_spsc_destroy(&ring);
}

static int peek_and_hang(struct mring_spsc *ring)
{
    return shows(ring, 50) ? reach_stage_and_hang() : 1;
}

Test(mring_spsc_processes, read_again_what_a_killed_reader_had_only_peeked_at, .timeout = 30)
{
    struct mring_spsc ring = new_named_ring(stage_tagname);
    cr_assert(put(&ring, 70));
    cr_assert(take(&ring, 20));

    kill_at_stage(start_child(peek_and_hang));

    struct mring_spsc successor;
    cr_assert_eq(open_ring(&successor, stage_tagname, 0), 0);
    cr_expect_eq(mring_spsc_readable(&successor), 50);
    cr_expect(take(&successor, 50), "bytes 20 to 70 are read once more");
    cr_expect_eq(mring_spsc_writable(&ring), smallest());
    mring_spsc_destroy(&successor);
    mring_spsc_destroy(&ring);
}

/* Write garbage into all the room that there is, and never publish it. */
static int reserve_and_hang(struct mring_spsc *ring)
{
    size_t size = mring_spsc_writable(ring);
    unsigned char *room = mring_spsc_reserve(ring, size);

    if (room == NULL)
        return 1;
    memset(room, 0xee, size);
    return reach_stage_and_hang();
}

Test(mring_spsc_processes, never_see_what_a_killed_writer_had_only_reserved, .timeout = 30)
{
    struct mring_spsc ring = new_named_ring(stage_tagname);
    cr_assert(put(&ring, 70));

    kill_at_stage(start_child(reserve_and_hang));

    struct mring_spsc successor;
    cr_assert_eq(open_ring(&successor, stage_tagname, 0), 0);
    cr_expect_eq(mring_spsc_readable(&ring), 70);
    cr_assert(put(&successor, 30));
    cr_expect(take(&ring, 100), "the successor goes on behind the last commit");
    mring_spsc_destroy(&successor);
    mring_spsc_destroy(&ring);
}

static int echo(struct mring_spsc *ring)
{
    mring_add_release_u32(&stage->reached, 1);
    while (mring_spsc_wait_readable(ring, 1, -1) == 0)
        take(ring, 1);
    return 0;
}

/*
 * Without wake-ups, each hand-over would last until the sleeper's slice ends, 25 ms in the mean:
 * the writer waits for the ring to be empty again, and the reader is asleep by then.
 */
Test(mring_spsc_processes, wake_each_other_at_once, .timeout = 30)
{
    enum { HANDOVERS = 60 };
    struct mring_spsc ring = new_named_ring(stage_tagname);
    pid_t reader = start_child(echo);
    int64_t spent = 0;
    await_stage(1);

    for (int i = 0; i < HANDOVERS; i++) {
        usleep(2000);
        int64_t before = mring_os_now();
        cr_assert(put(&ring, 1));
        cr_assert_eq(mring_spsc_wait_writable(&ring, smallest(), -1), 0);
        spent += mring_os_now() - before;
    }

    mring_spsc_close(&ring, MRING_WRITE_END, 0);
    cr_expect_eq(end_of(reader), 0);
    cr_expect_lt(spent, HANDOVERS * 12 * MILLISECOND, "%lld us", (long long)spent / 1000);
    mring_spsc_destroy(&ring);
}

Test(mring_spsc_processes, wake_the_successor_of_a_killed_sleeper, .timeout = 30)
{
    struct mring_spsc ring = new_named_ring(stage_tagname);
    pid_t sleeper = start_child(echo);
    await_stage(1);
    while (mring_load_acquire_u32(&ring.read_side->event.arm) == 0)
        usleep(500);
    usleep(5000);
    cr_assert_eq(kill(sleeper, SIGKILL), 0);
    cr_assert_eq(end_of(sleeper), -1);
    cr_assert(put(&ring, 1));

    pid_t successor = start_child(echo);

    cr_expect_eq(mring_spsc_wait_writable(&ring, smallest(), 10000 * MILLISECOND), 0);
    usleep(5000);
    cr_assert(put(&ring, 1));
    cr_expect_eq(mring_spsc_wait_writable(&ring, smallest(), 10000 * MILLISECOND), 0);
    mring_spsc_close(&ring, MRING_WRITE_END, 0);
    cr_expect_eq(end_of(successor), 0);
    mring_spsc_destroy(&ring);
}

/*
 * Everybody opens, creates and removes one name, with two capacities. Whoever gets a ring gets a
 * whole one; nobody gets an error that a name in flux does not explain.
 */
static const char *open_in_a_storm(void *context)
{
    unsigned rounds = 3000 / (unsigned)step(), number = *(unsigned *)context;

    while (mring_load_acquire_u32(&stage->go) == 0)
        sched_yield();
    for (unsigned i = 0; i < rounds; i++) {
        struct mring_spsc ring;
        struct mring_args args = { .tagname = stage_tagname,
                                   .capacity = smallest() << ((i + number) & 1),
                                   .flags = MRING_ANY_CAPACITY };
        if ((i + number) % 3 == 0)
            EXPECT(mmap_unlink(stage_tagname) == 0);
        if ((i + number) % 5 == 0)
            args.capacity = 0;
        int err = mring_spsc_open(&ring, &args);
        if (err == MMAP_NOT_FOUND && args.capacity == 0)
            continue;
        EXPECT(err != MRING_BAD_MAGIC && err != MMAP_FILE_TOO_SHORT);
        EXPECT(err != MRING_CORRUPT);
        EXPECT(err != MMAP_EXISTS && err != MMAP_NOT_FOUND);
        EXPECT(err == 0);
        EXPECT(mring_spsc_capacity(&ring) == smallest() ||
               mring_spsc_capacity(&ring) == 2 * smallest());
        const struct ring_header *header =
            (const void *)(ring.data - (ring.map.extent - 2 * ring.capacity));
        EXPECT(header->capacity == ring.capacity);
        EXPECT(ring.read_pos == 0 && ring.write_pos == 0);
        EXPECT(support_is_zero(ring.data, 2 * mring_spsc_capacity(&ring)));
        EXPECT(mring_spsc_destroy(&ring) == 0);
    }
    return NULL;
}

static const char *let_the_storm_go(void *context)
{
    unsigned *number = context;

    mring_store_release_u32(&stage->go, 1);
    return open_in_a_storm(number);
}

Test(mring_spsc_processes, never_see_a_name_half_built, .timeout = 60)
{
    enum { OTHERS = 3 };
    pid_t pids[OTHERS];
    for (unsigned i = 0; i < OTHERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            alarm(50);
            const char *failure = open_in_a_storm(&i);
            if (failure != NULL)
                fprintf(stderr, "%s\n", failure);
            _exit(failure != NULL);
        }
    }

    const char *failure = support_child(let_the_storm_go, &(unsigned){ OTHERS });

    for (unsigned i = 0; i < OTHERS; i++)
        cr_expect_eq(end_of(pids[i]), 0, "process %u", i);
    ASSERT_CHILD(failure);
}
