/* SPDX-License-Identifier: MIT */
/*
 * Every system call of every kind of call fails once: the first, the second, and so on until the
 * whole call went through without a failure. After each, nothing may be different from before.
 */
#define _GNU_SOURCE

#include "inject.h"
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <mring/mmap.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

TestSuite(injected, .init = support_begin, .fini = support_end, .timeout = 60);

#define COUNT_OF(rows) (sizeof(rows) / sizeof(rows)[0])
#define HUGE_BYTES     ((uint64_t)2 << 20)

/* Files and names that the scenarios use. `old` ones are there, `new` ones are not. */
static struct {
    char old_path[300], new_path[300], old_tag[100], new_tag[100];
    int fd;
    FILE *stream;
    uint64_t page;
    void *addr;
} world;

/* Runs after the .init of the suite. */
static void build_world(void)
{
    struct mmap map = { 0 };

    strcpy(world.old_path, support_path("old"));
    strcpy(world.new_path, support_path("new"));
    strcpy(world.old_tag, support_tagname("old"));
    strcpy(world.new_tag, support_tagname("new"));
    world.page = mmap_mirror_granularity(0);
    support_write_file(world.old_path, 4 * world.page);
    world.fd = open(world.old_path, O_RDWR | O_CLOEXEC);
    world.stream = fopen(world.old_path, "r+");
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .tagname = world.old_tag },
                                                     .access = MMAP_WRITE,
                                                     .size = 4 * world.page }),
                 0);
    cr_assert_eq(mmap_free(&map), 0);

    /* Far from where the C library and the sanitizers map, since it has to stay free. */
    uintptr_t far = sizeof far > 4 ? (uintptr_t)UINT64_C(0x180000000000) : 0x60000000;
    world.addr = mmap((void *)far, 16 * world.page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(world.addr, 16 * world.page);
}

/* Take back what a successful scenario did. */
static void restore_world(struct mmap *map)
{
    cr_assert_eq(mmap_free(map), 0);
    cr_assert_eq(mmap_unlink(world.new_tag), 0);
    unlink(world.new_path);
    cr_assert_eq(truncate(world.old_path, (off_t)(4 * world.page)), 0);
}

/* ---- scenarios ------------------------------------------------------------------------------- */

static int succeed(struct mmap *map, void *context)
{
    (void)map;
    (void)context;
    return 0;
}

static int map_anonymous(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .size = 3 * world.page, .access = MMAP_WRITE });
}

static int map_anonymous_options(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .size = 3 * world.page,
                                              .access = MMAP_COPY,
                                              .flags = MMAP_PREFAULT | MMAP_LOCK | MMAP_NODUMP |
                                                       MMAP_DONTFORK });
}

static int map_huge_preferred(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .size = HUGE_BYTES,
                                              .access = MMAP_WRITE,
                                              .flags = MMAP_HUGE_PREFER | MMAP_PREFAULT });
}

static int map_at_address(struct mmap *map)
{
    return mmap_map(map,
                    &(struct mmap_args){ .file = { .path = world.old_path }, .addr = world.addr });
}

static int map_old_file(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .file = { .path = world.old_path } });
}

static int map_new_file(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .file = { .path = world.new_path },
                                              .access = MMAP_WRITE,
                                              .flags = MMAP_PREFAULT | MMAP_LOCK,
                                              .size = 5 * world.page,
                                              .init = succeed });
}

static int map_new_file_exclusively(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .file = { .path = world.new_path },
                                              .access = MMAP_WRITE,
                                              .flags = MMAP_EXCLUSIVE,
                                              .size = 5 * world.page });
}

static int extend_file(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .file = { .path = world.old_path },
                                              .access = MMAP_WRITE,
                                              .flags = MMAP_DONTFORK,
                                              .size = 9 * world.page });
}

static int map_descriptor(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .file = { .fd = &world.fd },
                                              .access = MMAP_WRITE,
                                              .size = 9 * world.page });
}

/* A byte in the stream's buffer, the one that the file has there. */
static void fill_buffer(void)
{
    rewind(world.stream);
    fputc(support_byte(0), world.stream);
}

static int map_stream(struct mmap *map)
{
    fill_buffer();
    return mmap_map(map,
                    &(struct mmap_args){ .file = { .stream = world.stream }, .access = MMAP_COPY });
}

static int create_name(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .file = { .tagname = world.new_tag },
                                              .access = MMAP_WRITE,
                                              .flags = MMAP_PREFAULT,
                                              .size = 5 * world.page,
                                              .init = succeed });
}

static int attach_name(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .file = { .tagname = world.old_tag },
                                              .access = MMAP_WRITE,
                                              .size = world.page });
}

static int mirror_anonymous(struct mmap *map)
{
    return mmap_mirror(
        map, &(struct mmap_mirror_args){ .size = world.page, .times = 3, .lead_size = world.page });
}

static int mirror_with_options(struct mmap *map)
{
    return mmap_mirror(map, &(struct mmap_mirror_args){ .size = world.page,
                                                        .times = 3,
                                                        .flags = MMAP_PREFAULT | MMAP_LOCK |
                                                                 MMAP_NODUMP | MMAP_DONTFORK });
}

static int mirror_huge_preferred(struct mmap *map)
{
    return mmap_mirror(map, &(struct mmap_mirror_args){
                                .size = HUGE_BYTES, .flags = MMAP_HUGE_PREFER | MMAP_PREFAULT });
}

static int mirror_new_file(struct mmap *map)
{
    return mmap_mirror(map, &(struct mmap_mirror_args){ .file = { .path = world.new_path },
                                                        .flags = MMAP_HUGE_PREFER,
                                                        .size = world.page,
                                                        .offset = world.page,
                                                        .lead_size = world.page });
}

static int mirror_extends_file(struct mmap *map)
{
    return mmap_mirror(map, &(struct mmap_mirror_args){ .file = { .path = world.old_path },
                                                        .addr = world.addr,
                                                        .size = 6 * world.page });
}

static int mirror_new_name(struct mmap *map)
{
    return mmap_mirror(map, &(struct mmap_mirror_args){ .file = { .tagname = world.new_tag },
                                                        .size = world.page,
                                                        .flags = MMAP_NODUMP,
                                                        .init = succeed });
}

static int mirror_old_name(struct mmap *map)
{
    return mmap_mirror(map, &(struct mmap_mirror_args){ .file = { .tagname = world.old_tag },
                                                        .size = world.page,
                                                        .times = 5 });
}

static int get_filesize(struct mmap *map)
{
    uint64_t size = 77;
    int err = mmap_filesize(&(struct mmap_file){ .path = world.old_path }, &size);

    (void)map;
    cr_assert_eq(size, err == 0 ? 4 * world.page : 77, "out parameter");
    return err;
}

static int get_stream_size(struct mmap *map)
{
    uint64_t size = 77;
    fill_buffer();
    int err = mmap_filesize(&(struct mmap_file){ .stream = world.stream }, &size);

    (void)map;
    cr_assert_eq(size, err == 0 ? 4 * world.page : 77, "out parameter");
    return err;
}

static int set_new_filesize(struct mmap *map)
{
    (void)map;
    return mmap_set_filesize(&(struct mmap_file){ .path = world.new_path }, 12345);
}

static int set_larger_filesize(struct mmap *map)
{
    (void)map;
    return mmap_set_filesize(&(struct mmap_file){ .fd = &world.fd }, 10 * world.page);
}

static int set_smaller_filesize(struct mmap *map)
{
    (void)map;
    return mmap_set_filesize(&(struct mmap_file){ .path = world.old_path }, 10);
}

static int unlink_missing_name(struct mmap *map)
{
    (void)map;
    return mmap_unlink(world.new_tag);
}

/* Whether the call may succeed although this failed: because it tried again, because it took
 * another way, or because it does not depend on it. */
static bool may_succeed(const char *function, int error, bool huge)
{
    static const struct {
        const char *function;
        int error; /* 0: any */
    } rows[] = {
        { "close", 0 },
        { "getrlimit", 0 },
        { "fstatfs", 0 },
        { "fstatvfs", 0 },
        { "open", EINTR },
        { "ftruncate", EINTR },
        { "open", EAGAIN }, /* a lease ends */
        { "fallocate", EINTR },
        { "fallocate", EINVAL },
        { "fallocate", EOPNOTSUPP },
        { "posix_fallocate", EINTR },
        { "posix_fallocate", EINVAL },
        { "posix_fallocate", EOPNOTSUPP },
        { "posix_fallocate", ENODEV },
        { "madvise", EINTR },
        { "madvise", EAGAIN },
        { "madvise", EINVAL },
        { "mremap of 0", 0 },
        { "memfd_create", EINVAL },
        { "unlink", ENOENT },
        { "open", ENOENT },   /* a name that vanished is created anew */
        { "open", EEXIST },   /* a file that appeared is opened */
        { "linkat", EEXIST }, /* the same for a name */
        { "mremap", EOPNOTSUPP },
        { "mmap", EOPNOTSUPP }, /* unsupported anonymous memory is made of a file in memory */
    };

    static const char *const with_huge_pages[] = {
        "madvise", "memfd_create", "fallocate", "posix_fallocate", "ftruncate", "mmap",
        "open",    "read",         "fstat"
    };

    for (size_t i = 0; huge && i < COUNT_OF(with_huge_pages); i++) {
        if (strcmp(function, with_huge_pages[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strcmp(rows[i].function, function) == 0 &&
            (rows[i].error == 0 || rows[i].error == error))
            return true;
    }
    return false;
}

static const struct scenario {
    const char *name;
    int (*run)(struct mmap *map);
    bool huge;
    unsigned least_calls; /* that can fail */
} scenarios[] = {
    { "map_anonymous", map_anonymous, false, 1 },
    { "map_anonymous_options", map_anonymous_options, false, 4 },
    { "map_huge_preferred", map_huge_preferred, true, 3 },
    { "map_at_address", map_at_address, false, 4 },
    { "map_old_file", map_old_file, false, 4 },
    { "map_new_file", map_new_file, false, 7 },
    { "map_new_file_exclusively", map_new_file_exclusively, false, 5 },
    { "extend_file", extend_file, false, 7 },
    { "map_descriptor", map_descriptor, false, 5 },
    { "map_stream", map_stream, false, 5 },
    { "create_name", create_name, false, 9 },
    { "attach_name", attach_name, false, 4 },
    { "mirror_anonymous", mirror_anonymous, false, 4 },
    { "mirror_with_options", mirror_with_options, false, 8 },
    { "mirror_huge_preferred", mirror_huge_preferred, true, 4 },
    { "mirror_new_file", mirror_new_file, true, 6 },
    { "mirror_extends_file", mirror_extends_file, false, 8 },
    { "mirror_new_name", mirror_new_name, false, 8 },
    { "mirror_old_name", mirror_old_name, false, 8 },
    { "get_filesize", get_filesize, false, 4 },
    { "get_stream_size", get_stream_size, false, 4 },
    { "set_new_filesize", set_new_filesize, false, 6 },
    { "set_larger_filesize", set_larger_filesize, false, 4 },
    { "set_smaller_filesize", set_smaller_filesize, false, 5 },
    { "unlink_missing_name", unlink_missing_name, false, 1 },
};

/* ---- the loop -------------------------------------------------------------------------------- */

/*
 * Where mremap() makes no aliases, that looks like a want of mappings, and calls read files of the
 * system to find out. When these fail it does no harm.
 */
static bool looks_at_limit(const struct scenario *scenario)
{
    return (scenario->run == mirror_anonymous || scenario->run == mirror_with_options) &&
           !support_has_alias();
}

/* Run one scenario with the k-th call failing. False when there is no k-th call. */
static bool fail_kth(const struct scenario *scenario, unsigned k, int error)
{
    struct mmap map = { 0 }, before;
    memset(&map, 0x5a, sizeof map);
    memcpy(&before, &map, sizeof map);
    support_remember();

    inject_nth(NULL, k, error);
    int err = scenario->run(&map);
    const char *hit = inject_stop();

    bool written = memcmp(&map, &before, sizeof map) != 0;
    cr_assert_not(inject_saw_inheritable(), "%s: a descriptor without close-on-exec",
                  scenario->name);
    cr_assert_not(inject_saw_foreign(), "%s, call %u (%s), error %d: a range that is not held",
                  scenario->name, k, hit, error);
    if (err != 0) {
        cr_assert_neq(hit, NULL, "%s fails by itself: %s (%d)", scenario->name, mmap_errname(err),
                      err);
        cr_assert_not(written, "%s, call %u (%s), error %d: out parameter written", scenario->name,
                      k, hit, error);
    } else {
        cr_assert(hit == NULL ||
                      may_succeed(hit, error, scenario->huge || looks_at_limit(scenario)),
                  "%s, call %u (%s), error %d: succeeded", scenario->name, k, hit, error);
        restore_world(written ? &map : &(struct mmap){ 0 });
    }
    ASSERT_NOTHING_LEFT(" (%s, call %u (%s), error %d: %s)", scenario->name, k,
                        hit == NULL ? "none" : hit, error, mmap_errname(err));
    return hit != NULL;
}

static void fail_every_call(int error)
{
    for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
        unsigned k = 1;

        while (fail_kth(&scenarios[i], k, error)) {
            k++;
            cr_assert_lt(k, 200, "%s never ends", scenarios[i].name);
        }
        cr_assert_gt(k, scenarios[i].least_calls, "%s: %u calls", scenarios[i].name, k - 1);
    }
}

/* S10, S27, S31: descriptors, mappings, names and files are as before after any failure. */
#define EVERY_CALL(name, error)                                                                    \
    Test(injected, every_call_fails_with_##name, .timeout = 60, .init = build_world)               \
    {                                                                                              \
        fail_every_call(error);                                                                    \
    }

EVERY_CALL(enomem, ENOMEM)
EVERY_CALL(eio, EIO)
EVERY_CALL(eintr_once, EINTR)
EVERY_CALL(einval, EINVAL)
EVERY_CALL(eacces, EACCES)
EVERY_CALL(enospc, ENOSPC)
EVERY_CALL(emfile, EMFILE)
EVERY_CALL(eopnotsupp, EOPNOTSUPP)
EVERY_CALL(eagain, EAGAIN)

/* ---- the other way round: what always fails -------------------------------------------------- */

/* With one call failing always, any other one fails once. */
static void fail_every_call_beside(const char *function, int error)
{
    for (size_t s = 0; s < COUNT_OF(scenarios); s++) {
        for (unsigned k = 1;; k++) {
            inject_always(function, error);
            if (!fail_kth(&scenarios[s], k, EIO))
                break;
        }
    }
}

/* Without mremap() and without posix_fallocate() there is still a way, and it fails as cleanly. */
Test(injected, fallbacks_fail_as_cleanly_as_the_first_choice, .timeout = 60, .init = build_world)
{
    fail_every_call_beside("mremap of 0", EINVAL);
    fail_every_call_beside("fallocate", EOPNOTSUPP);
    fail_every_call_beside("fallocate", EINVAL);
    fail_every_call_beside("fallocate", ENODEV);
    fail_every_call_beside("fallocate", ENOSYS);
}

Test(injected, without_memory_files_calls_fail_as_cleanly, .timeout = 60, .init = build_world)
{
#if defined(__SANITIZE_THREAD__)
    cr_skip_test("under ThreadSanitizer anonymous mirrors are made of a file in memory");
#endif
    if (!support_has_alias())
        cr_skip_test("mremap() makes no aliases here: mirrors are made of a file in memory");
    fail_every_call_beside("memfd_create", ENOSYS);
    fail_every_call_beside("memfd_create", EINVAL);
}

Test(injected, a_mirror_without_mremap_is_made_of_a_memory_file, .timeout = 10, .init = build_world)
{
    struct mmap map = { 0 };
    support_remember();

    inject_always("mremap of 0", EINVAL);
    int err = mirror_anonymous(&map);
    inject_stop();

    cr_assert_eq(err, 0);
    volatile unsigned char *bytes = map.addr;
    bytes[5] = 9;
    cr_assert_eq(bytes[2 * world.page + 5], 9);
    bytes[-1] = 1;
    cr_assert_eq(bytes[world.page - 1], 0, "the lead is apart");
    mmap_free(&map);
    ASSERT_NOTHING_LEFT();
}

/* A sandbox may refuse it. */
Test(injected, what_needs_mremap_is_unsupported_without_it, .timeout = 10, .init = build_world)
{
    static const int errors[] = { ENOSYS, EPERM };
    int (*const calls[])(struct mmap *) = { map_at_address,  mirror_anonymous, mirror_with_options,
                                            mirror_new_file, mirror_new_name,  mirror_old_name };

    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        for (size_t c = 0; c < COUNT_OF(calls); c++) {
            struct mmap map = { 0 };
            support_remember();

            inject_always("mremap", errors[i]);
            inject_always("mremap of 0", errors[i]);
            int err = calls[c](&map);
            inject_stop();

            cr_assert_eq(err, MMAP_UNSUPPORTED, "call %zu: %s", c, mmap_errname(err));
            ASSERT_NOTHING_LEFT(" (call %zu)", c);
        }
    }
}

Test(injected, a_mirror_without_any_way_is_unsupported_or_out_of_memory, .timeout = 10,
     .init = build_world)
{
    static const struct {
        int error, err;
    } rows[] = { { ENOSYS, MMAP_UNSUPPORTED },
                 { EINVAL, MMAP_UNSUPPORTED },
                 { EMFILE, MMAP_FD_LIMIT } };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mmap map = { 0 };
        support_remember();

        inject_always("mremap of 0", EINVAL);
        inject_nth("memfd_create", 1, rows[i].error);
        if (rows[i].error == EINVAL) {
            /* Both attempts, with and without the newer flag. */
            inject_always("memfd_create", EINVAL);
            inject_nth("mremap of 0", 1, EINVAL);
        }
        int err = mirror_anonymous(&map);
        inject_stop();

        cr_assert_eq(err, rows[i].err, "row %zu: %s", i, mmap_errname(err));
        ASSERT_NOTHING_LEFT(" (row %zu)", i);
    }
}

/* The memory behind an anonymous object is memory to its user, and not a disk. */
Test(injected, a_memory_file_that_does_not_fit_is_out_of_memory, .timeout = 10, .init = build_world)
{
    struct mmap map = { 0 };
    support_remember();

    inject_always("mremap of 0", EINVAL);
    inject_nth("fallocate", 1, ENOSPC);
    int err = mirror_anonymous(&map);
    inject_stop();

    cr_assert_eq(err, MMAP_OUT_OF_MEM, "%s", mmap_errname(err));
    ASSERT_NOTHING_LEFT();
}

/* S16, S27: which code becomes which name. */
Test(injected, codes_of_the_system_become_named_errors, .timeout = 10, .init = build_world)
{
    static const struct {
        const char *function;
        int error, err;
    } rows[] = {
        { "open", ENOENT, MMAP_NOT_FOUND },
        { "open", ENOTDIR, MMAP_NOT_FOUND },
        { "open", EACCES, MMAP_ACCESS_DENIED },
        { "open", EPERM, MMAP_ACCESS_DENIED },
        { "open", EROFS, MMAP_ACCESS_DENIED },
        { "open", ELOOP, MMAP_ACCESS_DENIED },
        { "open", EMFILE, MMAP_FD_LIMIT },
        { "open", ENFILE, MMAP_FD_LIMIT },
        { "open", ENAMETOOLONG, MMAP_NAME_TOO_LONG },
        { "open", ENXIO, MMAP_UNSUPPORTED },
        { "open", EISDIR, MMAP_UNSUPPORTED },
        { "open", EIO, EIO },
        { "fstat", EIO, EIO },
        { "mmap", ENOMEM, MMAP_OUT_OF_MEM },
        { "mmap", EAGAIN, MMAP_OUT_OF_MEM },
        { "mmap", ENODEV, MMAP_UNSUPPORTED },
        { "mmap", EACCES, MMAP_ACCESS_DENIED },
        { "mmap", EPERM, MMAP_ACCESS_DENIED },
        { "mmap", ENFILE, MMAP_FD_LIMIT },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mmap map = { 0 };

        inject_nth(rows[i].function, 1, rows[i].error);
        int err = map_old_file(&map);
        inject_stop();

        cr_assert_eq(err, rows[i].err, "row %zu: %s (%d)", i, mmap_errname(err), err);
    }
}

Test(injected, growing_names_what_the_file_system_says, .timeout = 10, .init = build_world)
{
    static const struct {
        int error, err;
    } rows[] = { { ENOSPC, MMAP_DISK_FULL },
                 { EDQUOT, MMAP_DISK_FULL },
                 { EFBIG, MMAP_FILE_TOO_BIG },
                 { EIO, EIO } };
    int (*const calls[])(
        struct mmap *) = { map_new_file,     extend_file,         create_name,
                           set_new_filesize, set_larger_filesize, mirror_new_file };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t c = 0; c < COUNT_OF(calls); c++) {
            struct mmap map = { 0 };
            support_remember();

            inject_nth("fallocate", 1, rows[i].error);
            int err = calls[c](&map);
            const char *hit = inject_stop();

            cr_assert_neq(hit, NULL, "blocks are not reserved");
            cr_assert_eq(err, rows[i].err, "row %zu, call %zu: %s", i, c, mmap_errname(err));
            ASSERT_NOTHING_LEFT(" (row %zu, call %zu)", i, c);
        }
    }
}

/* A file system that cannot reserve behind the end of a file, in front of it, or at all. */
Test(injected, growing_takes_what_the_file_system_can_do, .timeout = 10, .init = build_world)
{
    static const struct {
        const char *nth;
        int error, err;
    } rows[] = {
        { NULL, 0, 0 },
        { "posix_fallocate", ENOSPC, MMAP_DISK_FULL },
        { "posix_fallocate", EINTR, 0 },
        { "posix_fallocate", EINVAL, 0 },
        { "posix_fallocate", ENODEV, 0 },
        { "posix_fallocate", EBADF, 0 },
        { "fstatvfs", EIO, 0 },
        { "posix_fallocate", ESPIPE, 0 },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mmap map = { 0 };
        support_remember();

        inject_always("fallocate", EOPNOTSUPP);
        if (rows[i].nth != NULL)
            inject_nth(rows[i].nth, 1, rows[i].error);
        int err = extend_file(&map);
        inject_stop();

        cr_assert_eq(err, rows[i].err, "row %zu: %s", i, mmap_errname(err));
        if (err == 0) {
            cr_assert_eq(support_file_size(world.old_path), 9 * world.page, "row %zu", i);
            restore_world(&map);
        }
        ASSERT_NOTHING_LEFT(" (row %zu)", i);
    }
}

/* Where reserving means writing, a disk is not filled to find that it is too small. */
Test(injected, growing_by_writing_asks_before_the_disk_is_full, .timeout = 10, .init = build_world)
{
    support_remember();

    inject_always("fallocate", EOPNOTSUPP);
    int err = mmap_set_filesize(&(struct mmap_file){ .path = world.old_path }, (uint64_t)1 << 48);
    inject_stop();

    cr_assert_eq(err, MMAP_DISK_FULL, "%s", mmap_errname(err));
    ASSERT_NOTHING_LEFT();
}

Test(injected, growing_without_reserving_fails_as_cleanly, .timeout = 10, .init = build_world)
{
    static const struct {
        int error, err;
    } rows[] = { { EFBIG, MMAP_FILE_TOO_BIG }, { EPERM, MMAP_ACCESS_DENIED }, { EINTR, 0 } };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mmap map = { 0 };
        support_remember();

        inject_always("fallocate", EOPNOTSUPP);
        inject_always("posix_fallocate", EOPNOTSUPP);
        inject_nth("ftruncate", 1, rows[i].error);
        int err = extend_file(&map);
        inject_stop();

        cr_assert_eq(err, rows[i].err, "row %zu: %s", i, mmap_errname(err));
        if (err == 0)
            restore_world(&map);
        ASSERT_NOTHING_LEFT(" (row %zu)", i);
    }
}

/* Whoever maps the file while it grows never sees bytes that may be taken back for want of room. */
Test(injected, a_file_is_not_longer_before_its_blocks_are_there, .timeout = 10, .init = build_world)
{
    struct mmap map = { 0 };

    inject_nth("posix_fallocate", 1, EIO);
    int err = extend_file(&map);
    cr_assert_neq(inject_stop(), NULL);

    cr_assert_eq(err, EIO);
    cr_assert_eq(inject_size_at_failure(), 4 * world.page);
    cr_assert_eq(support_file_size(world.old_path), 4 * world.page);
    cr_assert_leq(support_file_blocks(world.old_path), 4 * world.page, "blocks stay reserved");
}

/* What another process adds to the file while this one fails to grow it is not cut off. */
static void append_a_page(void)
{
    support_write_file(world.old_path, 5 * world.page);
}

/* A signal cuts the second reservation into steps, of which a late one fails. */
Test(injected, a_growth_that_fails_half_way_is_taken_back, .timeout = 10, .init = build_world)
{
    uint64_t size = (uint64_t)8 << 20;
    support_remember();

    inject_pattern("posix_fallocate", (int[]){ EINTR, 0, ENOSPC }, 3);
    int err = mmap_set_filesize(&(struct mmap_file){ .path = world.old_path }, size);
    inject_stop();

    cr_assert_eq(err, MMAP_DISK_FULL, "%s", mmap_errname(err));
    cr_assert_eq(inject_size_at_failure(), 4 * world.page + (size - 4 * world.page) / 2);
    ASSERT_NOTHING_LEFT();
}

static void append_much(void)
{
    support_write_file(world.old_path, 20 * world.page);
}

Test(injected, what_others_add_while_growing_fails_is_left_alone, .timeout = 10,
     .init = build_world)
{
    struct mmap map = { 0 };

    inject_meanwhile(append_a_page);
    inject_nth("fallocate", 1, ENOSPC);
    int err = extend_file(&map);
    inject_stop();

    cr_assert_eq(err, MMAP_DISK_FULL);
    cr_assert_eq(support_file_size(world.old_path), 5 * world.page);
}

Test(injected, what_others_add_after_growing_is_left_alone, .timeout = 10, .init = build_world)
{
    struct mmap map = { 0 };

    inject_meanwhile(append_much);
    inject_nth("mmap", 1, ENOMEM);
    int err = extend_file(&map);
    inject_stop();

    cr_assert_eq(err, MMAP_OUT_OF_MEM);
    cr_assert_eq(support_file_size(world.old_path), 20 * world.page);
}

/* Where there are fewer addresses than bytes in a file. */
Test(injected, what_has_no_addresses_lets_no_file_grow, .timeout = 10, .init = build_world)
{
#if SIZE_MAX > UINT32_MAX
    cr_skip_test("no size has too many bits for addresses");
#endif
    const struct mmap_file files[] = { { .path = world.old_path }, { .path = world.new_path } };
    const uint64_t size = UINT64_C(1) << 31;

    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct mmap map = { 0 };
        support_remember();
        inject_always("fallocate", EIO);

        cr_expect_eq(mmap_map(&map, &(struct mmap_args){ .file = files[i],
                                                         .access = MMAP_WRITE,
                                                         .size = UINT64_C(5) << 30 }),
                     MMAP_OUT_OF_MEM, "row %zu", i);
        cr_expect_eq(
            mmap_mirror(&map, &(struct mmap_mirror_args){ .file = files[i], .size = size }),
            MMAP_OUT_OF_MEM, "row %zu", i);
        inject_stop();
        ASSERT_NOTHING_LEFT("row %zu", i);
    }
}

/* Kernels before 5.14 can't be told to take the pages. */
Test(injected, prefaulting_touches_the_pages_where_it_has_to, .timeout = 10, .init = build_world)
{
    enum { PAGES = 8 };
    struct mmap map = { 0 };
    unsigned char resident[PAGES] = { 0 };

    if (!support_has_whole_pages())
        cr_skip_test("the pages are larger here than the kernel's");
    inject_nth("madvise", 1, EINVAL);
    int err = mmap_map(&map, &(struct mmap_args){ .access = MMAP_WRITE,
                                                  .size = PAGES * mmap_pagesize(),
                                                  .flags = MMAP_PREFAULT });
    cr_assert_neq(inject_stop(), NULL);

    cr_assert_eq(err, 0);
    cr_assert_eq(mincore(map.addr, map.size, resident), 0);
    for (size_t i = 0; i < PAGES; i++)
        cr_assert(resident[i] & 1, "page %zu", i);
    mmap_free(&map);
}

/* Locked memory and prefaulting have codes of their own. */
Test(injected, options_name_their_failures, .timeout = 10, .init = build_world)
{
    static const struct {
        unsigned flags;
        const char *function;
        int error, err;
    } rows[] = {
        { MMAP_LOCK, "mlock", ENOMEM, MMAP_OUT_OF_MEM },
        { MMAP_LOCK, "mlock", EPERM, MMAP_OUT_OF_MEM },
        { MMAP_LOCK, "mlock", EAGAIN, MMAP_OUT_OF_MEM },
        { MMAP_LOCK, "mlock", EIO, EIO },
        { MMAP_PREFAULT, "madvise", EFAULT, MMAP_DISK_FULL },
        { MMAP_PREFAULT, "madvise", ENOMEM, MMAP_OUT_OF_MEM },
        { MMAP_PREFAULT, "madvise", EINVAL, 0 },
        { MMAP_PREFAULT, "madvise", EINTR, 0 },
        { MMAP_PREFAULT, "madvise", EAGAIN, 0 },
        { MMAP_DONTFORK, "madvise", ENOMEM, MMAP_OUT_OF_MEM },
        { MMAP_NODUMP, "madvise", ENOMEM, MMAP_OUT_OF_MEM },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mmap map = { 0 };

        inject_nth(rows[i].function, 1, rows[i].error);
        int err = mmap_mirror(
            &map, &(struct mmap_mirror_args){ .size = 4 * world.page, .flags = rows[i].flags });
        const char *hit = inject_stop();

        cr_assert_neq(hit, NULL, "row %zu", i);
        cr_assert_eq(err, rows[i].err, "row %zu: %s", i, mmap_errname(err));
        mmap_free(&map);
    }
}

/* The two calls that count mappings may fail too; then the cause stays the general one. */
Test(injected, out_of_memory_is_reported_even_when_the_mappings_cannot_be_counted, .timeout = 10,
     .init = build_world)
{
    for (unsigned k = 1; k <= 6; k++) {
        struct mmap map = { 0 };
        support_remember();

        inject_always("mmap", ENOMEM);
        inject_nth(k % 2 ? "open" : "read", (k + 1) / 2, EIO);
        int err = map_anonymous(&map);
        inject_stop();

        cr_assert_eq(err, MMAP_OUT_OF_MEM, "%u: %s", k, mmap_errname(err));
        ASSERT_NOTHING_LEFT();
    }
}

/* ---- release --------------------------------------------------------------------------------- */

/* S31: a failure of the system is reported, and the map stays as it was, to be freed again. */
Test(injected, free_leaves_the_map_as_it_was_when_it_fails, .timeout = 10, .init = build_world)
{
    struct mmap map = { 0 };
    cr_assert_eq(mirror_anonymous(&map), 0);
    struct mmap before = map;

    inject_nth("munmap", 1, ENOMEM);
    int err = mmap_free(&map);
    inject_stop();

    cr_assert_eq(err, MMAP_OUT_OF_MEM);
    cr_assert_eq(map.addr, before.addr);
    cr_assert_eq(map.size, before.size);
    cr_assert_eq(map.length, before.length);
    *(volatile unsigned char *)map.addr = 1;
    cr_assert_eq(mmap_free(&map), 0);
}

/* S31 */
Test(injected, unlink_reports_the_systems_code, .timeout = 10, .init = build_world)
{
    static const struct {
        int error, err;
    } rows[] = {
        { EACCES, MMAP_ACCESS_DENIED }, { EPERM, MMAP_ACCESS_DENIED }, { EIO, EIO }, { ENOENT, 0 }
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        inject_nth("unlink", 1, rows[i].error);
        int err = mmap_unlink(world.old_tag);
        inject_stop();

        cr_assert_eq(err, rows[i].err, "row %zu", i);
        cr_assert(support_name_exists(world.old_tag));
    }
}

/* The file that a failed call created is removed only if the path still leads to it. */
static int replace_file(struct mmap *map, void *context)
{
    (void)map;
    (void)context;
    cr_assert_eq(unlink(world.new_path), 0);
    support_write_file(world.new_path, 3);
    return 4711;
}

Test(injected, a_file_that_took_the_place_of_ours_is_not_removed, .timeout = 10,
     .init = build_world)
{
    struct mmap map = { 0 };

    int err = mmap_map(&map, &(struct mmap_args){ .file = { .path = world.new_path },
                                                  .access = MMAP_WRITE,
                                                  .size = 100,
                                                  .init = replace_file });

    cr_assert_eq(err, 4711);
    cr_assert_eq(support_file_size(world.new_path), 3);
}

/* ---- other kernels --------------------------------------------------------------------------- */

/* S18: kernels before 4.17 take MAP_FIXED_NOREPLACE for a hint and map somewhere else. */
Test(injected, an_old_kernel_does_not_get_the_address_wrong, .timeout = 10, .init = build_world)
{
    struct mmap there = { 0 }, map = { 0 };
    unsigned char *addr = (unsigned char *)world.addr + 8 * world.page;
    cr_assert_eq(
        mmap_map(&there,
                 &(struct mmap_args){ .size = world.page, .access = MMAP_WRITE, .addr = addr }),
        0);
    memset(there.addr, 42, there.size);
    support_remember();

    inject_old_kernel(true);
    int err = mmap_map(&map, &(struct mmap_args){ .size = world.page, .addr = there.addr });
    int mirror_err =
        mmap_mirror(&map, &(struct mmap_mirror_args){ .size = world.page, .addr = there.addr });
    int free_err = map_at_address(&map);
    inject_old_kernel(false);

    cr_assert_eq(err, MMAP_OUT_OF_MEM);
    cr_assert_eq(mirror_err, MMAP_OUT_OF_MEM);
    cr_assert_eq(free_err, 0);
    cr_assert_eq(map.addr, world.addr);
    mmap_free(&map);
    ASSERT_NOTHING_LEFT();
    cr_assert_eq(((unsigned char *)there.addr)[7], 42);
    mmap_free(&there);
}

/* The kernel does, whatever their number is. Some emulators write down each page of them. */
static bool takes_addresses_at_once(void)
{
    size_t size = (size_t)1 << (sizeof size == 8 ? 36 : 30);
    clock_t start = clock();
    void *range = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (range != MAP_FAILED)
        munmap(range, size);
    return clock() - start < CLOCKS_PER_SEC / 100;
}

/*
 * S19: a fixed mapping of more memory than there is fails after the kernel has unmapped the range,
 * which would then be released although it may be another thread's.
 */
Test(injected, more_memory_than_there_is_leaves_no_hole_to_others, .timeout = 10,
     .init = build_world)
{
    static const uint64_t sizes[] = { (uint64_t)1 << 41, (uint64_t)1 << 44, (uint64_t)1 << 45 };
    if (!takes_addresses_at_once())
        cr_skip_test("here it takes the longer to take addresses, the more they are");

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct mmap map = { 0 };
        support_remember();

        inject_nth("never", 1, 0);
        int err = mmap_mirror(&map, &(struct mmap_mirror_args){ .size = sizes[i] });
        inject_stop();

        /* A machine may have as much, or promise it. */
        if (err == 0)
            cr_assert_eq(mmap_free(&map), 0);
        cr_assert(err == 0 || err == MMAP_OUT_OF_MEM, "row %zu: %s", i, mmap_errname(err));
        cr_assert_not(inject_saw_foreign(), "row %zu", i);
        ASSERT_NOTHING_LEFT(" (row %zu)", i);
    }
}

/* S29: where caches cannot hold every alias, mirrors come in larger units and lie on their borders.
 */
Test(injected, mirrors_obey_the_distance_of_aliases, .timeout = 10, .init = build_world)
{
#if !defined(__GLIBC__)
    cr_skip_test("this C library takes the distance of aliases for a constant");
#endif
    long page = sysconf(_SC_PAGESIZE);
    inject_shmlba(16);
    if (sysconf(_SC_PAGESIZE) != page)
        cr_skip_test("pages seem to grow with the distance of aliases in a static program");
    uint64_t unit = mmap_mirror_granularity(0);
    struct mmap map = { 0 };

    cr_assert_geq(unit, 16 * mmap_pagesize());
    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = unit / 2 }),
                 MMAP_INVALID_ARG);
    for (int i = 0; i < 40; i++) {
        /* A page in between shifts where the kernel puts the next mapping. */
        struct mmap shift = { 0 };
        support_remember();
        cr_assert_eq(map_anonymous(&shift), 0);

        cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = unit, .times = 3 }), 0);
        cr_assert_eq((uintptr_t)map.addr % unit, 0);
        ((volatile unsigned char *)map.addr)[2 * unit] = 3;
        cr_assert_eq(((volatile unsigned char *)map.addr)[0], 3);
        mmap_free(&map);
        mmap_free(&shift);
        ASSERT_NOTHING_LEFT();
    }
    inject_shmlba(0);
}

/* A rain of signals: fallocate() starts anew after each, so smaller steps have to be tried.
 */
Test(injected, reserving_blocks_survives_a_rain_of_signals, .timeout = 10, .init = build_world)
{
    for (unsigned count = 1; count <= 8; count++) {
        struct mmap_file file = { .path = world.new_path };

        inject_row("fallocate", 1, count, EINTR);
        int err = mmap_set_filesize(&file, (uint64_t)8 << 20);
        inject_stop();

        cr_assert_eq(err, 0);
        cr_assert_eq(support_file_size(world.new_path), (uint64_t)8 << 20);
        unlink(world.new_path);
    }
}
