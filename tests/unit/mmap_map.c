/* SPDX-License-Identifier: MIT */
/* mmap_map() of files and anonymous memory. Names: mmap_names.c; options: mmap_options.c. */
#define _GNU_SOURCE

#include "support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <mring/mmap.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(mmap_map, .init = support_begin, .fini = support_end, .timeout = 10);

#define COUNT_OF(rows) (sizeof(rows) / sizeof(rows)[0])

/* A map that no call has touched: to see that a failing one does not. */
static struct mmap untouched(void)
{
    struct mmap map;

    memset(&map, 0x5a, sizeof map);
    return map;
}

static bool is_untouched(const struct mmap *map)
{
    struct mmap other = untouched();

    return memcmp(map, &other, sizeof other) == 0;
}

/* The call has to fail with `expected`, leave nothing, and not touch its out parameter. */
static void assert_fails(const struct mmap_args *args, int expected, const char *what)
{
    struct mmap map = untouched();
    support_remember();

    int err = mmap_map(&map, args);

    cr_assert_eq(err, expected, "%s: %s (%d), not %s", what, mmap_errname(err), err,
                 mmap_errname(expected));
    cr_assert(is_untouched(&map), "%s: out parameter written", what);
    ASSERT_NOTHING_LEFT(" (%s)", what);
}

/* ---- sources --------------------------------------------------------------------------------- */

Test(mmap_map, maps_a_file_by_its_path, .timeout = 10)
{
    const char *path = support_path("file");
    struct mmap map = { 0 };
    support_write_file(path, 5000);

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .path = path } }), 0);

    cr_assert_eq(map.size, 5000);
    cr_assert(support_has_bytes(map.addr, 0, 5000));
    cr_assert_not(map.created);
    cr_assert_not(map.huge);
    mmap_free(&map);
}

Test(mmap_map, maps_a_file_whose_name_is_utf8, .timeout = 10)
{
    const char *path = support_path("Gr\xc3\xbc\xc3\x9f"
                                    "e \xe7\x8e\xaf \xf0\x9f\x92\x8d");
    struct mmap map = { 0 };

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .path = path },
                                                     .access = MMAP_WRITE,
                                                     .size = 100 }),
                 0);

    cr_assert(support_exists(path));
    cr_assert_eq(support_file_size(path), 100);
    mmap_free(&map);
}

/* S9; S26: the position stays, and so does the descriptor. */
Test(mmap_map, maps_a_descriptor_and_leaves_it_alone, .timeout = 10)
{
    const char *path = support_path("file");
    struct mmap map = { 0 };
    support_write_file(path, 5000);
    int fd = open(path, O_RDWR);
    lseek(fd, 77, SEEK_SET);

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .fd = &fd }, .access = MMAP_WRITE }),
                 0);

    cr_assert_eq(lseek(fd, 0, SEEK_CUR), 77);
    cr_assert_eq(close(fd), 0, "it was closed");
    cr_assert_eq(map.size, 5000);
    cr_assert(support_has_bytes(map.addr, 0, 5000), "the mapping does not need the descriptor");
    mmap_free(&map);
}

Test(mmap_map, maps_descriptor_zero, .timeout = 10)
{
    const char *path = support_path("file");
    struct mmap map = { 0 };
    support_write_file(path, 10);
    close(0);
    int fd = open(path, O_RDONLY);
    cr_assert_eq(fd, 0);

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .fd = &fd } }), 0);

    cr_assert_eq(map.size, 10);
    mmap_free(&map);
}

/* S26: what the stream has in its buffer is part of the file. */
Test(mmap_map, maps_a_stream_after_writing_its_buffer, .timeout = 10)
{
    const char *path = support_path("file");
    struct mmap map = { 0 };
    FILE *stream = fopen(path, "w+");
    fputs("in the buffer", stream);

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .stream = stream } }), 0);

    cr_assert_eq(map.size, 13);
    cr_assert_eq(memcmp(map.addr, "in the buffer", 13), 0);
    cr_assert_eq(ftell(stream), 13);
    cr_assert_eq(fputs("!", stream) >= 0 && fclose(stream) == 0, 1, "the stream was closed");
    mmap_free(&map);
}

/* Flushing a stream that was read from would drop what was pushed back and move the position. */
Test(mmap_map, leaves_a_stream_alone_that_was_read_from, .timeout = 10)
{
    const char *path = support_path("file");
    support_write_file(path, 100);
    struct mmap map = { 0 };
    FILE *stream = fopen(path, "r+");
    fgetc(stream);
    fgetc(stream);
    ungetc('!', stream);
    off_t position = lseek(fileno(stream), 0, SEEK_CUR);

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .stream = stream } }), 0);

    cr_assert_eq(lseek(fileno(stream), 0, SEEK_CUR), position);
    cr_assert_eq(fgetc(stream), '!');
    cr_assert_eq(fgetc(stream), support_byte(2));
    fclose(stream);
    mmap_free(&map);
}

Test(mmap_map, maps_anonymous_memory_of_zeros, .timeout = 10)
{
    static const unsigned modes[] = { MMAP_READ, MMAP_WRITE, MMAP_COPY };

    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        struct mmap map = { 0 };

        cr_assert_eq(
            mmap_map(&map, &(struct mmap_args){ .access = modes[i], .size = 10001, .offset = 3 }),
            0, "mode %u: the offset is ignored", modes[i]);
        cr_assert_eq(map.size, 10001);
        cr_assert(support_is_zero(map.addr, 10001));
        if (modes[i] != MMAP_READ)
            memset(map.addr, 1, 10001);
        mmap_free(&map);
    }
}

struct both_maps {
    struct mmap shared, copied;
};

static const char *write_into_both(void *context)
{
    struct both_maps *maps = context;

    memset(maps->shared.addr, 1, 10);
    memset(maps->copied.addr, 1, 10);
    return NULL;
}

Test(mmap_map, shares_writable_anonymous_memory_with_a_child_and_copies_other, .timeout = 10)
{
    struct both_maps maps = { 0 };
    mmap_map(&maps.shared, &(struct mmap_args){ .access = MMAP_WRITE, .size = 10 });
    mmap_map(&maps.copied, &(struct mmap_args){ .access = MMAP_COPY, .size = 10 });

    ASSERT_CHILD(support_child(write_into_both, &maps));

    cr_assert_eq(((unsigned char *)maps.shared.addr)[9], 1);
    cr_assert_eq(((unsigned char *)maps.copied.addr)[9], 0);
    mmap_free(&maps.shared);
    mmap_free(&maps.copied);
}

Test(mmap_map, refuses_more_than_one_source, .timeout = 10)
{
    int fd = 0;
    const struct mmap_file rows[] = {
        { .path = "a", .fd = &fd },          { .path = "a", .stream = stdin },
        { .path = "a", .handle = &fd },      { .path = "a", .tagname = "t" },
        { .fd = &fd, .stream = stdin },      { .fd = &fd, .handle = &fd },
        { .fd = &fd, .tagname = "t" },       { .stream = stdin, .handle = &fd },
        { .stream = stdin, .tagname = "t" }, { .handle = &fd, .tagname = "t" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_fails(&(struct mmap_args){ .file = rows[i], .size = 1 }, MMAP_INVALID_ARG, "two");
}

/* S9, S16: what is wrong with the source has a name of its own. */
Test(mmap_map, names_what_is_wrong_with_a_source, .timeout = 20)
{
    char long_name[300];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    int closed = dup(0), negative = -1, device = open("/dev/zero", O_RDWR), ends[2], pipes[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    cr_assert_eq(pipe(pipes), 0);
    mkfifo(support_path("fifo"), 0600);
    support_write_file(support_path("file"), 10);
    symlink(support_path("missing"), support_path("dangling"));
    symlink(support_path("loop"), support_path("loop"));
    char text[8] = "";
    FILE *memory = fmemopen(text, sizeof text, "r+");
    close(closed);
    const struct {
        const char *what;
        struct mmap_file file;
        int err_of_read, err_of_write;
    } rows[] = {
        { "closed descriptor", { .fd = &closed }, MMAP_INVALID_ARG, MMAP_INVALID_ARG },
        { "no descriptor", { .fd = &negative }, MMAP_INVALID_ARG, MMAP_INVALID_ARG },
        { "stream without one", { .stream = memory }, MMAP_INVALID_ARG, MMAP_INVALID_ARG },
        { "empty path", { .path = "" }, MMAP_INVALID_ARG, MMAP_INVALID_ARG },
        { "HANDLE", { .handle = text }, MMAP_UNSUPPORTED, MMAP_UNSUPPORTED },
        { "folder", { .path = support_folder() }, MMAP_UNSUPPORTED, MMAP_UNSUPPORTED },
        { "FIFO", { .path = support_path("fifo") }, MMAP_UNSUPPORTED, MMAP_UNSUPPORTED },
        { "device", { .path = "/dev/zero" }, MMAP_UNSUPPORTED, MMAP_UNSUPPORTED },
        { "open device", { .fd = &device }, MMAP_UNSUPPORTED, MMAP_UNSUPPORTED },
        { "socket", { .fd = ends }, MMAP_UNSUPPORTED, MMAP_UNSUPPORTED },
        { "end of a pipe", { .fd = pipes }, MMAP_UNSUPPORTED, MMAP_ACCESS_DENIED },
        { "long path", { .path = long_name }, MMAP_NAME_TOO_LONG, MMAP_NAME_TOO_LONG },
        { "no folder", { .path = support_path("no/file") }, MMAP_NOT_FOUND, MMAP_NOT_FOUND },
        { "file as folder", { .path = support_path("file/x") }, MMAP_NOT_FOUND, MMAP_NOT_FOUND },
        { "dangling link", { .path = support_path("dangling") }, MMAP_NOT_FOUND, MMAP_EXISTS },
        { "loop of links",
          { .path = support_path("loop") },
          MMAP_ACCESS_DENIED,
          MMAP_ACCESS_DENIED },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mmap_args args = { .file = rows[i].file, .size = 1 };

        assert_fails(&args, rows[i].err_of_read, rows[i].what);
        args.access = MMAP_WRITE;
        assert_fails(&args, rows[i].err_of_write, rows[i].what);
    }
    fclose(memory);
}

/* ---- access ---------------------------------------------------------------------------------- */

static const char *write_first_byte(void *context)
{
    *(volatile char *)context = 1;
    return NULL;
}

Test(mmap_map, does_not_let_a_read_only_map_be_written, .timeout = 10)
{
    const char *path = support_path("file");
    char expected[20];
    struct mmap map = { 0 };
    support_write_file(path, 10);
    snprintf(expected, sizeof expected, "signal %d", SIGSEGV);
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .path = path } }), 0);

    const char *result = support_child(write_first_byte, map.addr);

    cr_assert_str_eq(result, expected);
    mmap_free(&map);
}

Test(mmap_map, writes_to_the_file_with_write_access_and_not_with_copy, .timeout = 10)
{
    const char *path = support_path("file");
    struct mmap reader = { 0 }, writer = { 0 }, copier = { 0 };
    support_write_file(path, 10);
    mmap_map(&reader, &(struct mmap_args){ .file = { .path = path } });
    mmap_map(&writer, &(struct mmap_args){ .file = { .path = path }, .access = MMAP_WRITE });
    mmap_map(&copier, &(struct mmap_args){ .file = { .path = path }, .access = MMAP_COPY });
    const volatile unsigned char *bytes = reader.addr;

    ((volatile unsigned char *)copier.addr)[3] = 0xcc;
    cr_assert_eq(bytes[3], support_byte(3), "a copy went to the file");
    ((volatile unsigned char *)writer.addr)[4] = 0xdd;
    cr_assert_eq(bytes[4], 0xdd, "a write did not go to the file");

    cr_assert_eq(((unsigned char *)copier.addr)[3], 0xcc);
    mmap_free(&reader);
    mmap_free(&writer);
    mmap_free(&copier);
}

Test(mmap_map, copies_from_a_file_that_is_open_for_reading_only, .timeout = 10)
{
    const char *path = support_path("file");
    struct mmap map = { 0 };
    support_write_file(path, 10);
    int fd = open(path, O_RDONLY);

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .fd = &fd }, .access = MMAP_COPY }),
                 0);

    memset(map.addr, 7, 10);
    mmap_free(&map);
    close(fd);
}

/* A function that returns at once, in this processor's code. */
static const unsigned char code[] = {
#if defined(__x86_64__) || defined(__i386__)
    0xc3
#elif defined(__aarch64__)
    0xc0, 0x03, 0x5f, 0xd6
#elif defined(__arm__)
    0x1e, 0xff, 0x2f, 0xe1
#elif defined(__riscv)
    0x67, 0x80, 0x00, 0x00
#elif defined(__s390x__)
    0x07, 0xfe
#else
    0
#define CODE_IS_MISSING
#endif
};

static const char *call(void *memory)
{
    void (*function)(void);

    memcpy(&function, &memory, sizeof function);
    function();
    return NULL;
}

/* S28: with MMAP_EXEC the memory runs, and without it does not. */
Test(mmap_map, executes_memory_with_exec_access_only, .timeout = 20)
{
#if defined(CODE_IS_MISSING)
    cr_skip_test("has no machine code for this processor");
#endif
    static const unsigned modes[] = { MMAP_READ, MMAP_WRITE, MMAP_COPY };
    const char *path = support_path("code");
    FILE *stream = fopen(path, "w");
    fwrite(code, 1, sizeof code, stream);
    fclose(stream);

    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        struct mmap file = { 0 }, memory = { 0 }, data = { 0 };

        cr_assert_eq(mmap_map(&file, &(struct mmap_args){ .file = { .path = path },
                                                          .access = modes[i] | MMAP_EXEC }),
                     0);
        cr_assert_eq(
            mmap_map(&data, &(struct mmap_args){ .file = { .path = path }, .access = modes[i] }),
            0);
        cr_assert_eq(mmap_map(&memory, &(struct mmap_args){ .access = modes[i] | MMAP_EXEC,
                                                            .size = sizeof code }),
                     0);
        if (modes[i] != MMAP_READ) {
            memcpy(memory.addr, code, sizeof code);
            __builtin___clear_cache(memory.addr, (char *)memory.addr + sizeof code);
            ASSERT_CHILD(support_child(call, memory.addr));
        }
        ASSERT_CHILD(support_child(call, file.addr));
        cr_assert_neq(support_child(call, data.addr), NULL, "mode %u runs data", modes[i]);
        mmap_free(&file);
        mmap_free(&memory);
        mmap_free(&data);
    }
}

Test(mmap_map, is_denied_what_a_descriptor_was_not_opened_for, .timeout = 10)
{
    const char *path = support_path("file");
    support_write_file(path, 10);
    int reader = open(path, O_RDONLY), writer = open(path, O_WRONLY), pointer = open(path, O_PATH);
    uint64_t size = 0;

    assert_fails(&(struct mmap_args){ .file = { .fd = &reader }, .access = MMAP_WRITE },
                 MMAP_ACCESS_DENIED, "write with a read-only descriptor");
    assert_fails(&(struct mmap_args){ .file = { .fd = &writer } }, MMAP_ACCESS_DENIED,
                 "read with a write-only descriptor");
    assert_fails(&(struct mmap_args){ .file = { .fd = &reader }, .access = MMAP_WRITE, .size = 20 },
                 MMAP_ACCESS_DENIED, "extend with a read-only descriptor");
    assert_fails(&(struct mmap_args){ .file = { .fd = &writer }, .access = MMAP_WRITE, .size = 20 },
                 MMAP_ACCESS_DENIED, "extend with a write-only descriptor");
    assert_fails(&(struct mmap_args){ .file = { .fd = &pointer } }, MMAP_ACCESS_DENIED,
                 "a descriptor that only points to the file");
    cr_assert_eq(mmap_filesize(&(struct mmap_file){ .fd = &pointer }, &size), 0);
    cr_assert_eq(size, 10, "it tells the size all the same");
    cr_assert_eq(mmap_set_filesize(&(struct mmap_file){ .fd = &writer }, 20), 0);
    close(reader);
    close(writer);
    close(pointer);
}

static const char *map_as_nobody(void *path)
{
    struct mmap map = { 0 };

    if (geteuid() == 0)
        EXPECT(support_become_nobody());
    EXPECT(mmap_map(&map, &(struct mmap_args){ .file = { .path = path } }) == MMAP_ACCESS_DENIED);
    EXPECT(mmap_map(&map, &(struct mmap_args){ .file = { .path = path },
                                               .access = MMAP_WRITE,
                                               .size = 1 }) == MMAP_ACCESS_DENIED);
    uint64_t size = 0;
    EXPECT(mmap_filesize(&(struct mmap_file){ .path = path }, &size) == 0 && size == 10);
    EXPECT(mmap_set_filesize(&(struct mmap_file){ .path = path }, 0) == MMAP_ACCESS_DENIED);
    return NULL;
}

Test(mmap_map, is_denied_a_file_that_the_user_may_not_read, .timeout = 10)
{
    char *path = (char *)support_path("file");
    support_write_file(path, 10);
    chmod(path, 0);
    chmod(support_folder(), 0711);

    ASSERT_CHILD(support_child(map_as_nobody, path));
}

/* ---- arguments ------------------------------------------------------------------------------- */

Test(mmap_map, refuses_arguments_that_make_no_sense, .timeout = 10)
{
    uint64_t page = mmap_pagesize();
    const char *path = support_path("file");
    support_write_file(path, 3 * page);
    const struct {
        const char *what;
        struct mmap_args args;
    } rows[] = {
        { "write and copy", { .size = 1, .access = MMAP_WRITE | MMAP_COPY } },
        { "unknown access", { .size = 1, .access = 8 } },
        { "unknown flag", { .size = 1, .flags = 1 << 10 } },
        { "two kinds of huge", { .size = 1, .flags = MMAP_HUGE_PREFER | MMAP_HUGE_REQUIRE } },
        { "exclusive and existing",
          { .file = { .path = path },
            .size = 1,
            .access = MMAP_WRITE,
            .flags = MMAP_EXCLUSIVE | MMAP_EXISTING } },
        { "exclusive reading", { .file = { .path = path }, .size = 1, .flags = MMAP_EXCLUSIVE } },
        { "exclusive without a size",
          { .file = { .path = path }, .access = MMAP_WRITE, .flags = MMAP_EXCLUSIVE } },
        { "mode", { .file = { .path = path }, .size = 1, .mode = 01000 } },
        { "no size", { .size = 0 } },
        { "no size, but an offset", { .offset = page } },
        { "offset 1", { .file = { .path = path }, .offset = 1 } },
        { "offset page - 1", { .file = { .path = path }, .offset = page - 1 } },
        { "offset page + 512", { .file = { .path = path }, .offset = page + 512 } },
        { "addr 1", { .size = 1, .addr = (void *)1 } },
        { "addr page + 1", { .size = 1, .addr = (void *)(uintptr_t)((1 << 30) + 1) } },
        { "size 2^63", { .size = (uint64_t)1 << 63 } },
        { "size 2^64 - 1", { .size = UINT64_MAX } },
        { "sum 2^63",
          { .file = { .path = path }, .offset = ((uint64_t)1 << 63) - page, .size = page } },
        { "offset 2^63", { .file = { .path = path }, .offset = (uint64_t)1 << 63, .size = 1 } },
        { "offset 2^63, no size", { .file = { .path = path }, .offset = (uint64_t)1 << 63 } },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_fails(&rows[i].args, MMAP_INVALID_ARG, rows[i].what);
}

/* ---- size and offset ------------------------------------------------------------------------- */

Test(mmap_map, keeps_the_exact_size, .timeout = 10)
{
    uint64_t page = mmap_pagesize();
    const char *path = support_path("file");
    const struct {
        uint64_t offset, size, expected;
    } rows[] = {
        { 0, 0, 2 * page + 100 },
        { page, 0, page + 100 },
        { 2 * page, 0, 100 },
        { 0, 1, 1 },
        { 0, page - 1, page - 1 },
        { 0, page + 1, page + 1 },
        { page, page + 100, page + 100 },
    };
    support_write_file(path, 2 * page + 100);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mmap map = { 0 };

        cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .path = path },
                                                         .offset = rows[i].offset,
                                                         .size = rows[i].size }),
                     0, "row %zu", i);
        cr_assert_eq(map.size, rows[i].expected, "row %zu", i);
        cr_assert(support_has_bytes(map.addr, rows[i].offset, map.size), "row %zu", i);
        mmap_free(&map);
    }
}

/* S10, S12, S17: too short is too short, and no descriptor stays behind. */
Test(mmap_map, fails_with_file_too_short_when_it_may_not_extend, .timeout = 10)
{
    uint64_t page = mmap_pagesize();
    const char *path = support_path("file"), *empty = support_path("empty");
    support_write_file(path, page + 100);
    support_write_file(empty, 0);
    const struct {
        const char *what;
        struct mmap_args args;
    } rows[] = {
        { "empty", { .file = { .path = empty } } },
        { "empty to write", { .file = { .path = empty }, .access = MMAP_WRITE } },
        { "empty to copy", { .file = { .path = empty }, .access = MMAP_COPY } },
        { "empty of a size", { .file = { .path = empty }, .size = 1 } },
        { "a byte more", { .file = { .path = path }, .size = page + 101 } },
        { "a byte more to copy",
          { .file = { .path = path }, .size = page + 101, .access = MMAP_COPY } },
        { "a byte more at an offset", { .file = { .path = path }, .offset = page, .size = 101 } },
        { "offset past the end", { .file = { .path = path }, .offset = 2 * page } },
        { "offset past the end to write",
          { .file = { .path = path }, .offset = 4 * page, .access = MMAP_WRITE } },
        { "size past the end", { .file = { .path = path }, .offset = 2 * page, .size = 1 } },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_fails(&rows[i].args, MMAP_FILE_TOO_SHORT, rows[i].what);
}

/* S25: the bytes added have blocks. */
Test(mmap_map, extends_a_short_file_with_write_access, .timeout = 10)
{
    uint64_t page = mmap_pagesize();
    const char *path = support_path("file");
    struct stat status;
    struct mmap map = { 0 };
    support_write_file(path, 100);

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .path = path },
                                                     .access = MMAP_WRITE,
                                                     .offset = page,
                                                     .size = 30 * page + 7 }),
                 0);

    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq((uint64_t)status.st_size, 31 * page + 7);
    cr_assert_geq((uint64_t)status.st_blocks * 512, 31 * page + 7);
    cr_assert(support_is_zero(map.addr, map.size));
    cr_assert_not(map.created);
    mmap_free(&map);
}

Test(mmap_map, does_not_shorten_a_longer_file, .timeout = 10)
{
    const char *path = support_path("file");
    struct mmap map = { 0 };
    support_write_file(path, 1000);

    cr_assert_eq(
        mmap_map(&map,
                 &(struct mmap_args){ .file = { .path = path }, .access = MMAP_WRITE, .size = 10 }),
        0);

    cr_assert_eq(support_file_size(path), 1000);
    mmap_free(&map);
}

/* S23: offsets of 2 GiB, 4 GiB and more. */
Test(mmap_map, maps_offsets_over_4_gib, .timeout = 10)
{
    const char *path = support_path("sparse");
    if (!support_has_far_offsets())
        cr_skip_test("offsets of mappings are cut to 32 bits here");
    static const uint64_t offsets[] = { (uint64_t)2 << 30, (uint64_t)3 << 30, (uint64_t)4 << 30,
                                        (uint64_t)5 << 30 };
    support_write_file(path, 0);
    cr_assert_eq(truncate(path, ((off_t)5 << 30) + 100), 0);
    int fd = open(path, O_RDWR);

    for (size_t i = 0; i < COUNT_OF(offsets); i++) {
        struct mmap map = { 0 };
        char byte = 0;

        cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .fd = &fd },
                                                         .access = MMAP_WRITE,
                                                         .offset = offsets[i],
                                                         .size = 100 }),
                     0, "offset %llx", (unsigned long long)offsets[i]);
        ((char *)map.addr)[99] = (char)(i + 1);
        cr_assert_eq(pread(fd, &byte, 1, (off_t)offsets[i] + 99), 1);
        cr_assert_eq(byte, (char)(i + 1), "offset %llx", (unsigned long long)offsets[i]);
        mmap_free(&map);
    }
    cr_assert_eq(support_file_size(path), ((uint64_t)5 << 30) + 100);
    close(fd);
}

Test(mmap_map, maps_more_than_4_gib_of_a_sparse_file, .timeout = 10)
{
#if SIZE_MAX <= UINT32_MAX
    cr_skip_test("needs more addresses than 32 bits give");
#endif
    const char *path = support_path("sparse");
    uint64_t size = ((uint64_t)5 << 30) + 1;
    struct mmap map = { 0 };
    support_write_file(path, 1);
    cr_assert_eq(truncate(path, (off_t)size), 0);

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .path = path } }), 0);

    cr_assert_eq(map.size, size);
    cr_assert_eq(((unsigned char *)map.addr)[0], support_byte(0));
    cr_assert_eq(((unsigned char *)map.addr)[size - 1], 0);
    mmap_free(&map);
}

/* What cannot be counted must not be cut: that would be another part of the file. */
Test(mmap_map, fails_with_out_of_mem_where_an_offset_has_more_bits_than_the_system, .timeout = 10)
{
    uint64_t offset = (uint64_t)1 << 45;
    const char *tagname = support_tagname("far");
    struct mmap map = { 0 };
    int fd = open(support_shm_path(tagname), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_eq(ftruncate(fd, (off_t)offset + 1), 0);
    cr_assert_eq(pwrite(fd, "x", 1, (off_t)offset), 1);

    int err = mmap_map(&map, &(struct mmap_args){ .file = { .fd = &fd }, .offset = offset });

    if (sizeof(size_t) < sizeof(uint64_t)) {
        cr_assert_eq(err, MMAP_OUT_OF_MEM);
        cr_assert_null(map.addr);
    } else {
        cr_assert_eq(err, 0);
        cr_assert_eq(*(char *)map.addr, 'x');
        mmap_free(&map);
    }
    close(fd);
}

/* ---- creating -------------------------------------------------------------------------------- */

Test(mmap_map, creates_a_missing_file_with_write_access_only, .timeout = 10)
{
    const char *path = support_path("new");
    struct mmap map = { 0 };

    assert_fails(&(struct mmap_args){ .file = { .path = path }, .size = 10 }, MMAP_NOT_FOUND,
                 "read");
    assert_fails(&(struct mmap_args){ .file = { .path = path }, .size = 10, .access = MMAP_COPY },
                 MMAP_NOT_FOUND, "copy");
    cr_assert_eq(
        mmap_map(&map,
                 &(struct mmap_args){ .file = { .path = path }, .access = MMAP_WRITE, .size = 10 }),
        0);

    cr_assert(map.created);
    cr_assert_eq(support_file_size(path), 10);
    mmap_free(&map);
}

/* S31: a file that this call created does not survive its failure. */
Test(mmap_map, does_not_create_a_file_without_a_size, .timeout = 10)
{
    struct mmap map = untouched();
    support_remember();

    int err = mmap_map(
        &map, &(struct mmap_args){ .file = { .path = support_path("new") }, .access = MMAP_WRITE });

    cr_assert_eq(err, MMAP_FILE_TOO_SHORT, "%s", mmap_errname(err));
    cr_assert(is_untouched(&map));
    ASSERT_NOTHING_LEFT();
}

Test(mmap_map, fails_with_not_found_when_there_is_no_folder, .timeout = 10)
{
    const char *path = support_path("missing/file");

    assert_fails(&(struct mmap_args){ .file = { .path = path }, .access = MMAP_WRITE, .size = 10 },
                 MMAP_NOT_FOUND, "with a size");
    assert_fails(&(struct mmap_args){ .file = { .path = path }, .access = MMAP_WRITE },
                 MMAP_NOT_FOUND, "without");
    cr_assert_eq(chdir(support_folder()), 0);
    assert_fails(&(struct mmap_args){ .file = { .path = "new" }, .access = MMAP_WRITE },
                 MMAP_FILE_TOO_SHORT, "the current folder");

    char longest[PATH_MAX];
    memset(longest, '/', sizeof longest - 1);
    memcpy(longest, path, strlen(path));
    longest[sizeof longest - 1] = '\0';
    assert_fails(&(struct mmap_args){ .file = { .path = longest }, .access = MMAP_WRITE },
                 MMAP_NOT_FOUND, "as long as a path can be");
}

/* The holder of a lease is told by a signal that somebody waits for it. */
static const char *map_leased_file(void *path)
{
    struct mmap map = { 0 };
    int status = 0, signal = 0, fd = open(path, O_RDWR | O_CLOEXEC);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGIO);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
        return SUPPORT_SKIP "no leases here";

    pid_t waiter = fork();
    if (waiter == 0)
        _exit(mmap_map(&map, &(struct mmap_args){ .file = { .path = path } }) == 0 ? 0 : 1);
    sigwait(&signals, &signal);
    usleep(50000);
    EXPECT(waitpid(waiter, &status, WNOHANG) == 0);
    EXPECT(fcntl(fd, F_SETLEASE, F_UNLCK) == 0);
    EXPECT(waitpid(waiter, &status, 0) == waiter && status == 0);
    return NULL;
}

/* Two processes extend one file at once, and both touch all that they were given. */
static const char *extend_at_once(void *path)
{
    for (unsigned round = 0; round < 300; round++) {
        int status = 0;
        unlink(path);

        pid_t other = fork();
        struct mmap map = { 0 };
        uint64_t size = (other == 0 ? 16 : 1) * mmap_pagesize();
        int err = mmap_map(
            &map,
            &(struct mmap_args){ .file = { .path = path }, .access = MMAP_WRITE, .size = size });
        if (err == 0)
            memset(map.addr, 1, size);
        if (other == 0)
            _exit(err);
        EXPECT(waitpid(other, &status, 0) == other && status == 0);
        EXPECT(err == 0 && support_file_size(path) == 16 * mmap_pagesize());
        mmap_free(&map);
    }
    return NULL;
}

Test(mmap_map, never_cuts_what_another_process_has_added, .timeout = 20)
{
    ASSERT_CHILD(support_child(extend_at_once, (char *)support_path("file")));
}

/* Opening a FIFO for reading lets its writer go on, whose bytes would be lost. */
Test(mmap_map, does_not_touch_what_it_refuses, .timeout = 20)
{
    const char *fifo = support_path("fifo");
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    pid_t writer = fork();
    if (writer == 0)
        _exit(open(fifo, O_WRONLY) >= 0 ? 0 : 1);
    usleep(50000);

    assert_fails(&(struct mmap_args){ .file = { .path = fifo } }, MMAP_UNSUPPORTED, "a FIFO");
    usleep(50000);

    cr_assert_eq(waitpid(writer, NULL, WNOHANG), 0, "the writer went on");
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
}

Test(mmap_map, waits_for_the_end_of_a_lease, .timeout = 20)
{
    char *path = (char *)support_path("file");
    support_write_file(path, 10);

    ASSERT_CHILD(support_child(map_leased_file, path));
}

Test(mmap_map, obeys_exclusive_and_existing, .timeout = 10)
{
    const char *path = support_path("file");
    struct mmap map = { 0 };
    struct mmap_args args = { .file = { .path = path }, .access = MMAP_WRITE, .size = 10 };

    args.flags = MMAP_EXISTING;
    assert_fails(&args, MMAP_NOT_FOUND, "existing, missing");
    args.flags = MMAP_EXCLUSIVE;
    cr_assert_eq(mmap_map(&map, &args), 0);
    cr_assert(map.created);
    mmap_free(&map);
    assert_fails(&args, MMAP_EXISTS, "exclusive, there");
    args.flags = MMAP_EXISTING;
    cr_assert_eq(mmap_map(&map, &args), 0);
    cr_assert_not(map.created);
    mmap_free(&map);

    int fd = open(path, O_RDWR);
    assert_fails(
        &(struct mmap_args){
            .file = { .fd = &fd }, .access = MMAP_WRITE, .size = 10, .flags = MMAP_EXCLUSIVE },
        MMAP_EXISTS, "exclusive descriptor");
    close(fd);
    assert_fails(
        &(struct mmap_args){
            .file = { .fd = &fd }, .access = MMAP_WRITE, .size = 10, .flags = MMAP_EXCLUSIVE },
        MMAP_INVALID_ARG, "closed descriptor");
}

Test(mmap_map, creates_with_the_mode_asked_for, .timeout = 10)
{
    const char *plain = support_path("plain"), *narrow = support_path("narrow");
    struct mmap map = { 0 };
    umask(027);

    cr_assert_eq(
        mmap_map(&map,
                 &(struct mmap_args){ .file = { .path = plain }, .access = MMAP_WRITE, .size = 1 }),
        0);
    mmap_free(&map);
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .path = narrow },
                                                     .access = MMAP_WRITE,
                                                     .size = 1,
                                                     .mode = 0600 }),
                 0);
    mmap_free(&map);

    cr_assert_eq(support_file_mode(plain), 0640);
    cr_assert_eq(support_file_mode(narrow), 0600);
}

/* What init() of the next tests was called with. */
struct filling {
    const char *path;
    unsigned calls;
    int result;
};

static int fill(struct mmap *map, void *context)
{
    struct filling *filling = context;

    filling->calls++;
    cr_assert_eq(map->size, 10);
    cr_assert(map->created);
    cr_assert(filling->path == NULL || support_exists(filling->path));
    memset(map->addr, 0x77, 10);
    return filling->result;
}

Test(mmap_map, lets_init_fill_a_file_that_it_creates, .timeout = 10)
{
    const char *path = support_path("file");
    struct filling filling = { .path = path };
    struct mmap_args args = { .file = { .path = path },
                              .access = MMAP_WRITE,
                              .size = 10,
                              .init = fill,
                              .context = &filling };
    struct mmap map = { 0 };

    cr_assert_eq(mmap_map(&map, &args), 0);
    cr_assert_eq(filling.calls, 1);
    cr_assert_eq(((unsigned char *)map.addr)[9], 0x77);
    ((unsigned char *)map.addr)[9] = 0x11;
    mmap_free(&map);
    cr_assert_eq(mmap_map(&map, &args), 0);

    cr_assert_eq(filling.calls, 1, "called for a file that was there");
    cr_assert_eq(((unsigned char *)map.addr)[9], 0x11);
    mmap_free(&map);
}

Test(mmap_map, fails_with_the_code_of_init_and_removes_the_file, .timeout = 10)
{
    static const int codes[] = { 12345, MMAP_DISK_FULL, -100 };
    const char *path = support_path("file");

    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        struct filling filling = { .path = path, .result = codes[i] };

        assert_fails(&(struct mmap_args){ .file = { .path = path },
                                          .access = MMAP_WRITE,
                                          .size = 10,
                                          .init = fill,
                                          .context = &filling },
                     codes[i], "init fails");
        cr_assert_eq(filling.calls, 1);
    }
}

Test(mmap_map, lets_init_fill_anonymous_memory_and_fail, .timeout = 10)
{
    struct filling filling = { .path = NULL };
    struct mmap_args args = { .access = MMAP_WRITE, .size = 10, .init = fill, .context = &filling };
    struct mmap map = { 0 };

    cr_assert_eq(mmap_map(&map, &args), 0);
    cr_assert_eq(filling.calls, 1);
    cr_assert_eq(((unsigned char *)map.addr)[9], 0x77);
    mmap_free(&map);
    filling.result = 4711;

    assert_fails(&args, 4711, "init fails");
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* S25, S31: no SIGBUS later, and nothing left now. */
static const char *map_on_a_full_disk(void *context)
{
    const char *old_path = support_path("old");
    struct mmap map = { 0 };
    struct mmap_args args = { .file = { .path = support_path("new") },
                              .access = MMAP_WRITE,
                              .size = 2 << 20 };

    (void)context;
    support_write_file(old_path, 1000);
    support_remember();
    EXPECT(mmap_map(&map, &args) == MMAP_DISK_FULL);
    EXPECT(support_difference() == NULL);
    args.file.path = old_path;
    EXPECT(mmap_map(&map, &args) == MMAP_DISK_FULL);
    EXPECT(support_difference() == NULL);
    args.size = 512 << 10;
    EXPECT(mmap_map(&map, &args) == 0);
    memset(map.addr, 1, map.size);
    return NULL;
}

Test(mmap_map, fails_with_disk_full_and_changes_nothing, .timeout = 20)
{
    ASSERT_CHILD(support_child_in_small_tmpfs(support_folder(), map_on_a_full_disk, NULL));
}

static const char *map_over_the_file_size_limit(void *context)
{
    const char *old_path = support_path("old");
    struct mmap map = { 0 };
    struct mmap_args args = { .file = { .path = support_path("new") },
                              .access = MMAP_WRITE,
                              .size = 20001 };

    (void)context;
    support_write_file(old_path, 1000);
    support_remember();
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 20000, 20000 });
    EXPECT(mmap_map(&map, &args) == MMAP_FILE_TOO_BIG);
    EXPECT(support_difference() == NULL);
    args.file.path = old_path;
    EXPECT(mmap_map(&map, &args) == MMAP_FILE_TOO_BIG);
    EXPECT(support_difference() == NULL);
    args.size = 20000;
    EXPECT(mmap_map(&map, &args) == 0);
    return NULL;
}

Test(mmap_map, fails_with_file_too_big_instead_of_a_signal, .timeout = 20)
{
    ASSERT_CHILD(support_child(map_over_the_file_size_limit, NULL));
}

/* The first free descriptor is the limit. */
static const char *map_without_descriptors(void *path)
{
    int next = dup(0);
    struct mmap map = { 0 };
    rlim_t limit = (rlim_t)next;

    EXPECT(next >= 0);
    close(next);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ limit, limit });
    EXPECT(mmap_map(&map, &(struct mmap_args){ .file = { .path = path } }) == MMAP_FD_LIMIT);
    EXPECT(mmap_map(&map, &(struct mmap_args){ .file = { .tagname = "mring-no-descriptor" },
                                               .access = MMAP_WRITE,
                                               .size = 1 }) == MMAP_FD_LIMIT);
    EXPECT(mmap_map(&map, &(struct mmap_args){ .size = 1 }) == 0);
    EXPECT(mmap_free(&map) == 0);
    return NULL;
}

/* S16 */
Test(mmap_map, fails_with_fd_limit_without_descriptors, .timeout = 20)
{
    char *path = (char *)support_path("file");
    support_write_file(path, 10);

    ASSERT_CHILD(support_child(map_without_descriptors, path));
}

/* Every second page differs in its access, so that no two of them become one mapping. */
static const char *fill_up_mappings(void *path)
{
    uint64_t page = mmap_pagesize(), unit = mmap_mirror_granularity(0);
    unsigned char *range =
        mmap(NULL, 200000 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct mmap map = { 0 };
    struct mmap before = { 0 };
    size_t i = 1;

    EXPECT(range != MAP_FAILED);
    EXPECT(mmap_map(&before, &(struct mmap_args){ .size = page }) == 0);
    while (i < 200000 && mprotect(range + i * page, page, PROT_READ) == 0)
        i += 2;
    if (i >= 200000)
        return SUPPORT_SKIP "vm.max_map_count is too large to fill";
    size_t last = i - 2;
    while (mmap(NULL, page, i++ % 2 ? PROT_READ : PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED)
        continue;
    EXPECT(mmap_map(&map, &(struct mmap_args){ .file = { .path = path } }) == MMAP_MAP_LIMIT);
    EXPECT(mmap_map(&map, &(struct mmap_args){ .size = 1, .access = MMAP_WRITE }) ==
           MMAP_MAP_LIMIT);
    EXPECT(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = unit }) == MMAP_MAP_LIMIT);
    EXPECT(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = unit, .times = 50 }) ==
           MMAP_MAP_LIMIT);

    /* The closer to the limit, the later the step that fails. */
    for (unsigned freed = 0; freed < 12; freed++) {
        EXPECT(mprotect(range + (last - 2 * freed) * page, page, PROT_NONE) == 0);
        for (unsigned times = 1; times < 6; times++) {
            struct mmap_mirror_args args = { .size = unit, .times = times };
            int err = mmap_mirror(&map, &args);
            EXPECT(err == 0 || err == MMAP_MAP_LIMIT);
            EXPECT(err != 0 || mmap_free(&map) == 0);
        }
    }
    return NULL;
}

Test(mmap_map, fails_with_map_limit_when_the_process_has_no_mappings_left, .timeout = 30)
{
    char *path = (char *)support_path("file");
    support_write_file(path, 10);

    ASSERT_CHILD(support_child(fill_up_mappings, path));
}

static const char *map_without_address_space(void *path)
{
    struct mmap map = { 0 };

    if (!support_limit_addresses())
        return SUPPORT_SKIP "addresses are not limited here";
    EXPECT(mmap_map(&map, &(struct mmap_args){ .size = 1 << 20 }) == MMAP_OUT_OF_MEM);
    EXPECT(mmap_map(&map, &(struct mmap_args){ .file = { .path = path } }) == MMAP_OUT_OF_MEM);
    return NULL;
}

Test(mmap_map, fails_with_out_of_mem_without_address_space, .timeout = 10)
{
#if defined(__SANITIZE_THREAD__)
    cr_skip_test("ThreadSanitizer does not survive a lack of address space");
#endif
    char *path = (char *)support_path("file");
    support_write_file(path, 10);
    assert_fails(&(struct mmap_args){ .size = (uint64_t)1 << 62 }, MMAP_OUT_OF_MEM, "2^62");
    assert_fails(&(struct mmap_args){ .size = INT64_MAX }, MMAP_OUT_OF_MEM, "2^63 - 1");
    assert_fails(&(struct mmap_args){ .size = (uint64_t)1 << 62, .access = MMAP_WRITE },
                 MMAP_OUT_OF_MEM, "2^62 to write");
    assert_fails(&(struct mmap_args){ .size = 1 << 20, .addr = (void *)(-(uintptr_t)1 << 20) },
                 MMAP_OUT_OF_MEM, "address too large");

    ASSERT_CHILD(support_child(map_without_address_space, path));
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* A range of `pages` pages that was free a moment ago. */
static unsigned char *free_range(uint64_t pages)
{
    uint64_t size = pages * mmap_pagesize();
    void *range = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(range, MAP_FAILED);
    munmap(range, size);
    return range;
}

Test(mmap_map, maps_at_the_address_asked_for, .timeout = 10)
{
    uint64_t page = mmap_pagesize();
    const char *path = support_path("file");
    struct mmap map = { 0 };
    unsigned char *at = free_range(4);
    support_write_file(path, 3 * page);

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .path = path }, .addr = at }), 0);
    cr_assert_eq(map.addr, at);
    cr_assert(support_has_bytes(at, 0, 3 * page));
    mmap_free(&map);

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .size = 10, .addr = at }), 0);
    cr_assert_eq(map.addr, at);
    mmap_free(&map);
}

/* S18: whatever is there stays there. */
Test(mmap_map, never_replaces_what_is_at_the_address, .timeout = 10)
{
    uint64_t page = mmap_pagesize();
    const char *path = support_path("file");
    struct mmap there = { 0 };
    support_write_file(path, 3 * page);
    cr_assert_eq(mmap_map(&there, &(struct mmap_args){ .size = page, .access = MMAP_COPY }), 0);
    unsigned char *bytes = there.addr;
    memset(bytes, 42, page);

    assert_fails(&(struct mmap_args){ .size = page, .addr = bytes }, MMAP_OUT_OF_MEM, "same");
    assert_fails(&(struct mmap_args){ .file = { .path = path }, .addr = bytes }, MMAP_OUT_OF_MEM,
                 "file");
    assert_fails(&(struct mmap_args){ .size = 3 * page, .addr = bytes - page }, MMAP_OUT_OF_MEM,
                 "overlap from below");

    for (uint64_t i = 0; i < page; i++)
        cr_assert_eq(bytes[i], 42);
    mmap_free(&there);
}
