/* SPDX-License-Identifier: MIT */
/* mmap_mirror(). */
#define _GNU_SOURCE

#include "keep.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <mring/mmap.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(mmap_mirror, .init = support_begin, .fini = support_end, .timeout = 20);

#define COUNT_OF(rows) (sizeof(rows) / sizeof(rows)[0])

/* Every byte that is written through one copy has to be seen through all others. */
static bool is_mirror(const struct mmap *map, unsigned times)
{
    volatile unsigned char *bytes = map->addr;
    const uint64_t size = map->size;
    const uint64_t probes[] = { 0, 1, size / 2 - 1, size / 2, size - 1 };

    for (unsigned copy = 0; copy < times; copy++) {
        for (size_t i = 0; i < COUNT_OF(probes); i++) {
            unsigned char stamp = (unsigned char)(1 + copy * 7 + i * 31);

            bytes[copy * size + probes[i]] = stamp;
            mring_alias_barrier();
            for (unsigned other = 0; other < times; other++) {
                if (bytes[other * size + probes[i]] != stamp)
                    return false;
            }
        }
    }
    return true;
}

/* The call has to fail with `expected`, leave nothing, and not touch its out parameter. */
static void assert_fails(const struct mmap_mirror_args *args, int expected, const char *what)
{
    struct mmap map, before;
    memset(&map, 0x5a, sizeof map);
    memcpy(&before, &map, sizeof map);
    support_remember();

    int err = mmap_mirror(&map, args);

    cr_assert_eq(err, expected, "%s: %s (%d), not %s", what, mmap_errname(err), err,
                 mmap_errname(expected));
    cr_assert_eq(memcmp(&map, &before, sizeof map), 0, "%s: out parameter written", what);
    ASSERT_NOTHING_LEFT(" (%s)", what);
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* S19, S21: every source is mirrored, anonymous memory and names too, any number of times. */
Test(mmap_mirror, shows_the_same_memory_in_every_copy_of_any_source, .timeout = 20)
{
    static const unsigned counts[] = { 1, 2, 3, 50 };
    uint64_t unit = mmap_mirror_granularity(0);
    int fd = open(support_path("fd"), O_RDWR | O_CREAT, 0600);
    FILE *stream = fopen(support_path("stream"), "w+");
    const struct mmap_file sources[] = {
        { 0 },
        { .path = support_path("path") },
        { .fd = &fd },
        { .stream = stream },
        { .tagname = support_tagname("tag") },
    };

    for (size_t source = 0; source < COUNT_OF(sources); source++) {
        for (size_t i = 0; i < COUNT_OF(counts); i++) {
            struct mmap map = { 0 };
            int err = mmap_mirror(&map, &(struct mmap_mirror_args){ .file = sources[source],
                                                                    .size = 3 * unit,
                                                                    .times = counts[i] });

            cr_assert_eq(err, 0, "source %zu, %u times: %s", source, counts[i], mmap_errname(err));
            cr_assert_eq(map.size, 3 * unit);
            cr_assert(is_mirror(&map, counts[i]), "source %zu, %u times", source, counts[i]);
            cr_assert_eq(mmap_free(&map), 0);
        }
    }
    fclose(stream);
    close(fd);
}

Test(mmap_mirror, makes_two_copies_by_default, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    struct mmap map = { 0 };
    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = unit }), 0);
    char *bytes = map.addr;

    memcpy(bytes + map.size - 3, "mirror", 6);
    mring_alias_barrier();

    cr_assert_eq(memcmp(bytes, "ror", 3), 0);
    cr_assert(is_mirror(&map, 2));
    mmap_free(&map);
}

Test(mmap_mirror, is_seen_by_a_reader_of_the_file, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    const char *path = support_path("file");
    struct mmap map = { 0 };
    char text[5] = "";
    cr_assert_eq(
        mmap_mirror(&map, &(struct mmap_mirror_args){ .file = { .path = path }, .size = unit }), 0);

    memcpy((char *)map.addr + unit + 10, "seen", 5);

    int fd = open(path, O_RDONLY);
    cr_assert_eq(pread(fd, text, 5, 10), 5);
    close(fd);
    cr_assert_str_eq(text, "seen");
    mmap_free(&map);
}

/* S22: one copy, and blocks for it. */
Test(mmap_mirror, grows_the_file_to_one_copy, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    const char *path = support_path("file");
    struct mmap map = { 0 };
    struct stat status;
    support_remember();

    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .file = { .path = path },
                                                               .size = 4 * unit,
                                                               .times = 50 }),
                 0);

    cr_assert(map.created);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq((uint64_t)status.st_size, 4 * unit);
    cr_assert_geq((uint64_t)status.st_blocks * 512, 4 * unit);
    mmap_free(&map);
    unlink(path);
    ASSERT_NOTHING_LEFT();
}

/* S22: no descriptor is kept per copy. */
Test(mmap_mirror, keeps_no_descriptor, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    const struct mmap_file sources[] = { { 0 },
                                         { .path = support_path("file") },
                                         { .tagname = support_tagname("tag") } };
    size_t count = support_fd_count();

    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        struct mmap map = { 0 };

        cr_assert_eq(
            mmap_mirror(
                &map, &(struct mmap_mirror_args){ .file = sources[i], .size = unit, .times = 10 }),
            0);
        cr_assert_eq(support_fd_count(), count, "source %zu", i);
        mmap_free(&map);
    }
}

Test(mmap_mirror, mirrors_a_segment_over_4_gib_into_a_sparse_file, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0), offset = (uint64_t)5 << 30;
    const char *path = support_path("sparse");
    struct mmap map = { 0 };
    char byte = 0;
    if (!support_has_far_offsets())
        cr_skip_test("offsets of mappings are cut to 32 bits here");
    support_write_file(path, 0);
    cr_assert_eq(truncate(path, (off_t)(offset + 2 * unit)), 0);

    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .file = { .path = path },
                                                               .offset = offset,
                                                               .size = unit,
                                                               .times = 3 }),
                 0);

    cr_assert(is_mirror(&map, 3));
    ((char *)map.addr)[2 * unit + 5] = 42;
    int fd = open(path, O_RDONLY);
    cr_assert_eq(pread(fd, &byte, 1, (off_t)offset + 5), 1);
    close(fd);
    cr_assert_eq(byte, 42);
    mmap_free(&map);
}

Test(mmap_mirror, mirrors_more_than_4_gib, .timeout = 20)
{
#if SIZE_MAX <= UINT32_MAX
    cr_skip_test("needs more addresses than 32 bits give");
#endif
    uint64_t size = ((uint64_t)5 << 30);
    const char *path = support_path("sparse");
    struct mmap map = { 0 };
    support_write_file(path, 0);
    cr_assert_eq(truncate(path, (off_t)size), 0);

    cr_assert_eq(
        mmap_mirror(&map, &(struct mmap_mirror_args){ .file = { .path = path }, .size = size }), 0);

    cr_assert(is_mirror(&map, 2));
    mmap_free(&map);
}

/* ---- lead ------------------------------------------------------------------------------------ */

Test(mmap_mirror, maps_the_lead_once_in_front_of_the_copies, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    const struct mmap_file sources[] = { { 0 },
                                         { .path = support_path("file") },
                                         { .tagname = support_tagname("tag") } };

    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        struct mmap map = { 0 };

        cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .file = sources[i],
                                                                   .offset = 2 * unit,
                                                                   .lead_size = 2 * unit,
                                                                   .size = unit,
                                                                   .times = 3 }),
                     0, "source %zu", i);
        unsigned char *lead = (unsigned char *)map.addr - 2 * unit;
        cr_assert_eq(map.size, unit);
        memset(lead, 0xee, 2 * unit);
        cr_assert(support_is_zero(map.addr, 3 * unit), "source %zu: the lead is in a copy", i);
        cr_assert(is_mirror(&map, 3), "source %zu", i);
        cr_assert_eq(lead[0], 0xee);
        cr_assert_eq(lead[2 * unit - 1], 0xee, "source %zu: a copy is in the lead", i);
        mmap_free(&map);
    }
}

Test(mmap_mirror, takes_the_lead_from_the_bytes_before_the_segment, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    const char *path = support_path("file");
    struct mmap map = { 0 };
    support_write_file(path, 5 * unit);

    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .file = { .path = path },
                                                               .offset = 3 * unit,
                                                               .lead_size = unit,
                                                               .size = 2 * unit }),
                 0);

    unsigned char *bytes = map.addr;
    cr_assert(support_has_bytes(bytes - unit, 2 * unit, unit));
    cr_assert(support_has_bytes(bytes, 3 * unit, 2 * unit));
    cr_assert(support_has_bytes(bytes + 2 * unit, 3 * unit, 2 * unit));
    mmap_free(&map);
}

Test(mmap_mirror, has_its_lead_with_a_single_copy_too, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    const char *path = support_path("file");
    struct mmap map = { 0 };
    support_write_file(path, 3 * unit);

    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .file = { .path = path },
                                                               .offset = 2 * unit,
                                                               .lead_size = 2 * unit,
                                                               .size = unit,
                                                               .times = 1 }),
                 0);

    cr_assert_eq(map.size, unit);
    cr_assert(support_has_bytes((unsigned char *)map.addr - 2 * unit, 0, 3 * unit));
    mmap_free(&map);
}

Test(mmap_mirror, shares_lead_and_segment_with_other_kinds_of_maps, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    const char *tagname = support_tagname("tag");
    struct mmap mirror = { 0 }, plain = { 0 };
    cr_assert_eq(mmap_mirror(&mirror, &(struct mmap_mirror_args){ .file = { .tagname = tagname },
                                                                  .offset = unit,
                                                                  .lead_size = unit,
                                                                  .size = unit }),
                 0);
    cr_assert_eq(mmap_map(&plain, &(struct mmap_args){ .file = { .tagname = tagname } }), 0);

    cr_assert_eq(plain.size, 2 * unit);
    strcpy((char *)mirror.addr - unit, "lead");
    strcpy((char *)mirror.addr + unit, "segment");
    cr_assert_str_eq(plain.addr, "lead");
    cr_assert_str_eq((char *)plain.addr + unit, "segment");

    mmap_free(&mirror);
    mmap_free(&plain);
}

/* ---- address --------------------------------------------------------------------------------- */

static unsigned char *free_range(uint64_t size)
{
    uint64_t unit = mmap_mirror_granularity(0);
    unsigned char *range = mmap(NULL, size + unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq((void *)range, MAP_FAILED);
    munmap(range, size + unit);
    return range + (unit - (uintptr_t)range % unit) % unit;
}

Test(mmap_mirror, starts_at_the_address_asked_for, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    const struct mmap_file sources[] = { { 0 }, { .path = support_path("file") } };
    unsigned char *at = free_range(4 * unit);

    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        struct mmap map = { 0 };
        struct mmap_mirror_args args = { .file = sources[i], .size = unit, .times = 3, .addr = at };

        cr_assert_eq(mmap_mirror(&map, &args), 0, "source %zu", i);
        cr_assert_eq(map.addr, at);
        cr_assert(is_mirror(&map, 3));
        mmap_free(&map);
        args.lead_size = args.offset = unit;
        cr_assert_eq(mmap_mirror(&map, &args), 0, "source %zu", i);
        cr_assert_eq(map.addr, at + unit, "the address is that of the lead");
        mmap_free(&map);
    }
}

/* S18, S20: nothing at the address is replaced, whichever copy would fall on it. */
Test(mmap_mirror, never_replaces_what_is_at_the_address, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    const char *path = support_path("file");
    struct mmap there = { 0 };
    cr_assert_eq(mmap_map(&there, &(struct mmap_args){ .size = unit,
                                                       .access = MMAP_COPY,
                                                       .addr = free_range(unit) }),
                 0);
    unsigned char *bytes = there.addr;
    memset(bytes, 42, unit);

    for (unsigned copy = 0; copy < 3; copy++) {
        struct mmap_mirror_args args = { .size = unit, .times = 3, .addr = bytes - copy * unit };

        assert_fails(&args, MMAP_OUT_OF_MEM, "anonymous");
        args.file.path = path;
        assert_fails(&args, MMAP_OUT_OF_MEM, "file");
    }

    for (uint64_t i = 0; i < unit; i++)
        cr_assert_eq(bytes[i], 42);
    mmap_free(&there);
}

/* ---- arguments ------------------------------------------------------------------------------- */

Test(mmap_mirror, refuses_arguments_that_make_no_sense, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    int fd = 0;
    const char *path = support_path("file");
    const struct {
        const char *what;
        struct mmap_mirror_args args;
    } rows[] = {
        { "no size", { .size = 0 } },
        { "no size of a file", { .file = { .path = path } } },
        { "size 1", { .size = 1 } },
        { "size unit + 1", { .size = unit + 1 } },
        { "size unit / 2", { .size = unit / 2 } },
        { "offset", { .file = { .path = path }, .size = unit, .offset = 1 } },
        { "lead", { .size = unit, .lead_size = 100 } },
        { "lead over offset", { .file = { .path = path }, .size = unit, .lead_size = unit } },
        { "addr", { .size = unit, .addr = (void *)(uintptr_t)((1 << 30) + 1) } },
        { "two sources", { .file = { .path = path, .fd = &fd }, .size = unit } },
        { "flags", { .size = unit, .flags = 1 << 10 } },
        { "two kinds of huge", { .size = 2 << 20, .flags = MMAP_HUGE_PREFER | MMAP_HUGE_REQUIRE } },
        { "exclusive and existing",
          { .file = { .path = path }, .size = unit, .flags = MMAP_EXCLUSIVE | MMAP_EXISTING } },
        { "tagname", { .file = { .tagname = "a/b" }, .size = unit } },
        { "mode", { .file = { .path = path }, .size = unit, .mode = 04000 } },
        { "times * size over 2^64", { .size = (uint64_t)1 << 62, .times = 5 } },
        { "size 2^63", { .size = (uint64_t)1 << 63, .times = 1 } },
        { "sum 2^63",
          { .file = { .path = path }, .size = unit, .offset = ((uint64_t)1 << 63) - unit } },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_fails(&rows[i].args, MMAP_INVALID_ARG, rows[i].what);
}

Test(mmap_mirror, names_the_other_errors_as_mmap_map_does, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    const char *path = support_path("file"), *tagname = support_tagname("tag");
    support_write_file(path, 10);
    int reader = open(path, O_RDONLY);
    struct mmap map = { 0 };
    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .file = { .tagname = tagname },
                                                               .size = unit }),
                 0);
    const struct {
        const char *what;
        struct mmap_mirror_args args;
        int err;
    } rows[] = {
        { "folder", { .file = { .path = support_folder() }, .size = unit }, MMAP_UNSUPPORTED },
        { "HANDLE",
          { .file = { .handle = &map }, .size = unit },
          support_is_windows ? MMAP_INVALID_ARG : MMAP_UNSUPPORTED },
        { "no folder",
          { .file = { .path = support_path("no/file") }, .size = unit },
          MMAP_NOT_FOUND },
        { "read-only descriptor", { .file = { .fd = &reader }, .size = unit }, MMAP_ACCESS_DENIED },
        { "existing",
          { .file = { .path = support_path("missing") }, .size = unit, .flags = MMAP_EXISTING },
          MMAP_NOT_FOUND },
        { "exclusive",
          { .file = { .path = path }, .size = unit, .flags = MMAP_EXCLUSIVE },
          MMAP_EXISTS },
        { "short name", { .file = { .tagname = tagname }, .size = 2 * unit }, MMAP_FILE_TOO_SHORT },
        { "no room", { .size = (uint64_t)1 << 61, .times = 4 }, MMAP_OUT_OF_MEM },
        { "no room for a file",
          { .file = { .path = path }, .size = 256 * unit, .times = ~0u },
          MMAP_OUT_OF_MEM },
        { "no room for the lead",
          { .size = unit, .lead_size = (uint64_t)1 << 62 },
          MMAP_OUT_OF_MEM },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_fails(&rows[i].args, rows[i].err, rows[i].what);
    close(reader);
    mmap_free(&map);
}

/* ---- filling --------------------------------------------------------------------------------- */

struct filling {
    unsigned calls;
    int result;
};

/* The mirror is complete when init runs: the lead and the copies can be used. */
static int fill(struct mmap *map, void *context)
{
    uint64_t unit = mmap_mirror_granularity(0);
    struct filling *filling = context;

    filling->calls++;
    cr_assert(is_mirror(map, 2));
    memset((char *)map->addr - unit, 0x42, unit);
    return filling->result;
}

Test(mmap_mirror, lets_init_fill_what_it_creates, .timeout = 20)
{
    uint64_t unit = mmap_mirror_granularity(0);
    const char *path = support_path("file"), *tagname = support_tagname("tag");
    const struct mmap_file sources[] = { { .path = path }, { .tagname = tagname } };

    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        struct filling filling = { .result = 4711 };
        struct mmap_mirror_args args = { .file = sources[i],
                                         .size = unit,
                                         .offset = unit,
                                         .lead_size = unit,
                                         .init = fill,
                                         .context = &filling };
        struct mmap map = { 0 };

        assert_fails(&args, 4711, "init fails");
        filling.result = 0;
        cr_assert_eq(mmap_mirror(&map, &args), 0);
        if (sources[i].tagname != NULL)
            keep(tagname);
        mmap_free(&map);
        cr_assert_eq(mmap_mirror(&map, &args), 0);
        cr_assert_eq(filling.calls, 2);
        cr_assert_not(map.created);
        cr_assert_eq(((unsigned char *)map.addr)[-1], 0x42);
        mmap_free(&map);
    }
}

/* ---- limits ---------------------------------------------------------------------------------- */

static const char *mirror_on_a_full_disk(void *context)
{
    struct mmap map = { 0 };
    struct mmap_mirror_args args = { .file = { .path = support_path("file") }, .size = 2 << 20 };

    (void)context;
    support_remember();
    EXPECT(mmap_mirror(&map, &args) == MMAP_DISK_FULL);
    EXPECT(support_difference() == NULL);
    args.size = 512 << 10;
    args.times = 8;
    EXPECT(mmap_mirror(&map, &args) == 0);
    memset(map.addr, 1, 8 * map.size);
    return NULL;
}

/* S22, S25: times * size would not fit the disk, one copy does. */
Test(mmap_mirror, needs_disk_space_for_one_copy_and_fails_without, .timeout = 20)
{
    ASSERT_CHILD(support_child_in_small_tmpfs(support_folder(), mirror_on_a_full_disk, NULL));
}

static const char *mirror_with_file_size_limit(void *context)
{
    struct mmap map = { 0 };

    (void)context;
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1000, 1000 });
    EXPECT(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = 1 << 20 }) == 0);
    EXPECT(is_mirror(&map, 2));
    return NULL;
}

/* Anonymous memory is no file to its user, so the limit on file sizes is none of its business. */
Test(mmap_mirror, of_anonymous_memory_does_not_know_the_file_size_limit, .timeout = 20)
{
#if defined(__SANITIZE_THREAD__)
    cr_skip_test("under ThreadSanitizer anonymous mirrors are made of a file in memory");
#endif
    if (!support_has_alias())
        cr_skip_test("mremap() makes no aliases here: mirrors are made of a file in memory");
    ASSERT_CHILD(support_child(mirror_with_file_size_limit, NULL));
}

static const char *write_through_second_copy(void *context)
{
    struct mmap *map = context;

    ((char *)map->addr)[map->size + 7] = 99;
    return NULL;
}

Test(mmap_mirror, is_shared_with_forked_children, .timeout = 20)
{
    struct mmap map = { 0 };
    cr_assert_eq(
        mmap_mirror(&map, &(struct mmap_mirror_args){ .size = mmap_mirror_granularity(0) }), 0);

    ASSERT_CHILD(support_child(write_through_second_copy, &map));

    cr_assert_eq(((char *)map.addr)[7], 99);
    mmap_free(&map);
}

Test(mmap_mirror, refuses_a_lead_that_is_not_aligned, .timeout = 10)
{
    uint64_t unit = mmap_mirror_granularity(0);
    struct mmap map = { 0 };
    const char *tagname = support_tagname("lead");

    int err = mmap_mirror(&map, &(struct mmap_mirror_args){
                                    .file.tagname = tagname,
                                    .size = unit,
                                    .offset = unit,
                                    .lead_size = unit / 2,
                                });

    cr_assert_eq(err, MMAP_INVALID_ARG, "%s", mmap_errname(err));
    cr_assert_null(map.addr);
}
