/* SPDX-License-Identifier: MIT */
/* Sizes of files and names: the last section of mmap.h. */
#define _GNU_SOURCE

#include "support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <mring/mmap.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(mmap_filesize, .init = support_begin, .fini = support_end, .timeout = 10);
TestSuite(mmap_set_filesize, .init = support_begin, .fini = support_end, .timeout = 10);

#define UNTOUCHED 0x5555

/* ---- mmap_filesize --------------------------------------------------------------------------- */

Test(mmap_filesize, reports_the_exact_size_of_every_kind_of_source, .timeout = 10)
{
    const char *path = support_path("file");
    const char *tagname = support_tagname("tag");
    uint64_t size[4] = { 0 };
    struct mmap map = { 0 };
    support_write_file(path, 5001);
    int fd = open(path, O_RDONLY);
    FILE *stream = fopen(path, "r");
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .tagname = tagname },
                                                     .access = MMAP_WRITE,
                                                     .size = 777 }),
                 0);

    cr_assert_eq(mmap_filesize(&(struct mmap_file){ .path = path }, &size[0]), 0);
    cr_assert_eq(mmap_filesize(&(struct mmap_file){ .fd = &fd }, &size[1]), 0);
    cr_assert_eq(mmap_filesize(&(struct mmap_file){ .stream = stream }, &size[2]), 0);
    cr_assert_eq(mmap_filesize(&(struct mmap_file){ .tagname = tagname }, &size[3]), 0);

    cr_assert_eq(size[0], 5001);
    cr_assert_eq(size[1], 5001);
    cr_assert_eq(size[2], 5001);
    cr_assert_eq(size[3], 777);
    mmap_free(&map);
    fclose(stream);
    close(fd);
}

Test(mmap_filesize, counts_what_a_stream_still_has_in_its_buffer, .timeout = 10)
{
    uint64_t size = 0;
    FILE *stream = fopen(support_path("file"), "w");
    fputs("seven..", stream);

    cr_assert_eq(mmap_filesize(&(struct mmap_file){ .stream = stream }, &size), 0);

    cr_assert_eq(size, 7);
    fclose(stream);
}

/* S24: the position is shared with other users of the descriptor, so it must not move even for a
 * moment. */
Test(mmap_filesize, does_not_move_the_position, .timeout = 10)
{
    const char *path = support_path("file");
    uint64_t size = 0;
    support_write_file(path, 1000);
    int fd = open(path, O_RDWR);
    lseek(fd, 123, SEEK_SET);

    cr_assert_eq(mmap_filesize(&(struct mmap_file){ .fd = &fd }, &size), 0);
    cr_assert_eq(lseek(fd, 0, SEEK_CUR), 123);
    cr_assert_eq(mmap_set_filesize(&(struct mmap_file){ .fd = &fd }, 100), 0);

    cr_assert_eq(lseek(fd, 0, SEEK_CUR), 123);
    close(fd);
}

Test(mmap_filesize, reports_sizes_over_4_gib, .timeout = 10)
{
    const char *path = support_path("sparse");
    uint64_t expected = ((uint64_t)5 << 30) + 3;
    uint64_t size = 0;
    support_write_file(path, 0);
    cr_assert_eq(truncate(path, (off_t)expected), 0);

    cr_assert_eq(mmap_filesize(&(struct mmap_file){ .path = path }, &size), 0);

    cr_assert_eq(size, expected);
}

Test(mmap_filesize, reports_zero_for_an_empty_file, .timeout = 10)
{
    const char *path = support_path("empty");
    uint64_t size = UNTOUCHED;
    support_write_file(path, 0);

    cr_assert_eq(mmap_filesize(&(struct mmap_file){ .path = path }, &size), 0);

    cr_assert_eq(size, 0);
}

Test(mmap_filesize, names_the_error_and_leaves_the_size_untouched, .timeout = 10)
{
    char long_name[300];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    mkfifo(support_path("pipe"), 0600);
    int closed = dup(0);
    int ends[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    close(closed);
    support_write_file(support_path("file"), 1);
    const struct {
        struct mmap_file file;
        int err;
    } rows[] = {
        { { 0 }, MMAP_INVALID_ARG },
        { { .path = support_path("file"), .fd = &ends[0] }, MMAP_INVALID_ARG },
        { { .path = "" }, MMAP_INVALID_ARG },
        { { .fd = &closed }, MMAP_INVALID_ARG },
        { { .tagname = "" }, MMAP_INVALID_ARG },
        { { .path = support_path("missing") }, MMAP_NOT_FOUND },
        { { .tagname = support_tagname("missing") }, MMAP_NOT_FOUND },
        { { .path = support_folder() }, MMAP_UNSUPPORTED },
        { { .path = support_path("pipe") }, MMAP_UNSUPPORTED },
        { { .path = "/dev/null" }, MMAP_UNSUPPORTED },
        { { .fd = &ends[0] }, MMAP_UNSUPPORTED },
        { { .handle = &closed }, MMAP_UNSUPPORTED },
        { { .path = long_name }, MMAP_NAME_TOO_LONG },
        { { .tagname = long_name }, MMAP_NAME_TOO_LONG },
    };
    support_remember();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t size = UNTOUCHED;
        int err = mmap_filesize(&rows[i].file, &size);

        cr_assert_eq(err, rows[i].err, "row %zu: %s", i, mmap_errname(err));
        cr_assert_eq(size, UNTOUCHED, "row %zu", i);
        ASSERT_NOTHING_LEFT(" (row %zu)", i);
    }
    close(ends[0]);
    close(ends[1]);
}

/* ---- mmap_set_filesize ----------------------------------------------------------------------- */

Test(mmap_set_filesize, creates_a_missing_file, .timeout = 10)
{
    const char *path = support_path("new");
    struct stat status;

    cr_assert_eq(mmap_set_filesize(&(struct mmap_file){ .path = path }, 12345), 0);

    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_size, 12345);
    cr_assert_eq(status.st_mode & 0111, 0, "a data file is not executable");
}

Test(mmap_set_filesize, creates_an_empty_file_when_asked_for_zero_bytes, .timeout = 10)
{
    const char *path = support_path("new");

    cr_assert_eq(mmap_set_filesize(&(struct mmap_file){ .path = path }, 0), 0);

    cr_assert_eq(support_file_size(path), 0);
}

/* S25: what is added has blocks, so that a full disk is an error of the call. */
Test(mmap_set_filesize, adds_zeros_whose_blocks_are_reserved, .timeout = 10)
{
    const char *path = support_path("file");
    struct stat status;
    unsigned char bytes[1000];
    support_write_file(path, 500);

    cr_assert_eq(mmap_set_filesize(&(struct mmap_file){ .path = path }, 1 << 20), 0);

    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_size, 1 << 20);
    cr_assert_geq((uint64_t)status.st_blocks * 512, (uint64_t)1 << 20);
    int fd = open(path, O_RDONLY);
    cr_assert_eq(read(fd, bytes, sizeof bytes), sizeof bytes);
    close(fd);
    cr_assert(support_has_bytes(bytes, 0, 500));
    cr_assert(support_is_zero(bytes + 500, 500));
}

Test(mmap_set_filesize, shortens_a_file_and_keeps_what_remains, .timeout = 10)
{
    const char *path = support_path("file");
    unsigned char bytes[1000];
    support_write_file(path, 900);
    int fd = open(path, O_RDWR);

    cr_assert_eq(mmap_set_filesize(&(struct mmap_file){ .fd = &fd }, 300), 0);

    cr_assert_eq(pread(fd, bytes, sizeof bytes, 0), 300);
    cr_assert(support_has_bytes(bytes, 0, 300));
    close(fd);
}

Test(mmap_set_filesize, writes_a_streams_buffer_first, .timeout = 10)
{
    const char *path = support_path("file");
    FILE *stream = fopen(path, "w");
    fputs("0123456789", stream);

    cr_assert_eq(mmap_set_filesize(&(struct mmap_file){ .stream = stream }, 4), 0);
    fclose(stream);

    cr_assert_eq(support_file_size(path), 4, "the buffer came after the size was set");
}

Test(mmap_set_filesize, names_the_error_and_leaves_nothing, .timeout = 10)
{
    mkfifo(support_path("pipe"), 0600);
    support_write_file(support_path("file"), 1);
    int closed = dup(0);
    int reader = open(support_path("file"), O_RDONLY);
    close(closed);
    char long_name[300];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const struct {
        struct mmap_file file;
        uint64_t size;
        int err;
    } rows[] = {
        { { 0 }, 1, MMAP_INVALID_ARG },
        { { .path = support_path("file"), .fd = &reader }, 1, MMAP_INVALID_ARG },
        { { .path = "" }, 1, MMAP_INVALID_ARG },
        { { .path = support_path("new") }, (uint64_t)INT64_MAX + 1, MMAP_INVALID_ARG },
        { { .path = support_path("new") }, INT64_MAX, MMAP_FILE_TOO_BIG },
        { { .path = support_path("file") }, INT64_MAX, MMAP_FILE_TOO_BIG },
        { { .fd = &closed }, 1, MMAP_INVALID_ARG },
        { { .fd = &reader }, 2, MMAP_ACCESS_DENIED },
        { { .tagname = support_tagname("tag") }, 1, MMAP_UNSUPPORTED },
        { { .path = support_folder() }, 1, MMAP_UNSUPPORTED },
        { { .path = support_path("pipe") }, 1, MMAP_UNSUPPORTED },
        { { .path = "/dev/null" }, 1, MMAP_UNSUPPORTED },
        { { .path = support_path("no/folder") }, 1, MMAP_NOT_FOUND },
        { { .path = long_name }, 1, MMAP_NAME_TOO_LONG },
    };
    support_remember();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int err = mmap_set_filesize(&rows[i].file, rows[i].size);

        cr_assert_eq(err, rows[i].err, "row %zu: %s (%d)", i, mmap_errname(err), err);
        ASSERT_NOTHING_LEFT(" (row %zu)", i);
    }
    close(reader);
}

/* S25, S31: on a full disk an old file keeps its size, and a new one is removed again. */
static const char *fill_the_disk(void *context)
{
    const char *old_path = support_path("old");

    (void)context;
    support_write_file(old_path, 1000);
    support_remember();
    EXPECT(mmap_set_filesize(&(struct mmap_file){ .path = old_path }, 2 << 20) == MMAP_DISK_FULL);
    EXPECT(support_difference() == NULL);
    EXPECT(mmap_set_filesize(&(struct mmap_file){ .path = support_path("new") }, 2 << 20) ==
           MMAP_DISK_FULL);
    EXPECT(support_difference() == NULL);
    return NULL;
}

Test(mmap_set_filesize, fails_with_disk_full_and_keeps_the_old_size, .timeout = 20)
{
    ASSERT_CHILD(support_child_in_small_tmpfs(support_folder(), fill_the_disk, NULL));
}

static const char *exceed_the_file_size_limit(void *context)
{
    struct mmap_file file = { .path = support_path("new") };

    (void)context;
    support_remember();
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 10000, 10000 });
    EXPECT(mmap_set_filesize(&file, 10001) == MMAP_FILE_TOO_BIG);
    EXPECT(support_difference() == NULL);
    EXPECT(mmap_set_filesize(&file, 10000) == 0);
    return NULL;
}

Test(mmap_set_filesize, fails_with_file_too_big_instead_of_a_signal, .timeout = 20)
{
    ASSERT_CHILD(support_child(exceed_the_file_size_limit, NULL));
}
