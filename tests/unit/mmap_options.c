/* SPDX-License-Identifier: MIT */
/* The options of mmap_map() and mmap_mirror(): enum mmap_flags. */
#define _GNU_SOURCE

#include "support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <mring/mmap.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(mmap_options, .init = support_begin, .fini = support_end, .timeout = 10);

#define MIB        ((uint64_t)1 << 20)
#define HUGE_BYTES (2 * MIB)

static long minor_faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* The minor faults of one access to every page of a range. */
static long faults_of_touching(void *addr, uint64_t size, bool write)
{
    volatile unsigned char *bytes = addr;
    long before = minor_faults();

    for (uint64_t i = 0; i < size; i += mmap_pagesize()) {
        if (write)
            bytes[i] = 1;
        else
            (void)bytes[i];
    }
    return minor_faults() - before;
}

/* ---- prefault -------------------------------------------------------------------------------- */

Test(mmap_options, prefault_takes_all_pages_now, .timeout = 10)
{
    if (!support_has_advice())
        cr_skip_test("madvise() does nothing here");
    if (SUPPORT_SANITIZED)
        cr_skip_test("its page faults cannot be told from those of the sanitizer");
    const char *path = support_path("file");
    const uint64_t size = 4 * MIB;
    const struct mmap_args rows[] = {
        { .size = size, .access = MMAP_WRITE },
        { .size = size, .access = MMAP_COPY },
        { .size = size },
        { .size = size, .access = MMAP_WRITE, .file = { .path = path } },
        { .size = size, .file = { .path = path } },
        { .size = size, .access = MMAP_COPY, .file = { .path = path } },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mmap_args args = rows[i];
        struct mmap map = { 0 };

        args.flags = MMAP_PREFAULT;
        cr_assert_eq(mmap_map(&map, &args), 0, "row %zu", i);
        long faults = faults_of_touching(map.addr, size, args.access != MMAP_READ);
        cr_assert_lt(faults, 8, "row %zu: %ld faults", i, faults);
        mmap_free(&map);
    }
}

/* The check above is worth something only if there are faults without the option. */
Test(mmap_options, without_prefault_pages_are_taken_when_touched, .timeout = 10)
{
    struct mmap map = { 0 };
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .size = 4 * MIB, .access = MMAP_WRITE }), 0);

    cr_assert_geq(faults_of_touching(map.addr, map.size, true),
                  (long)(map.size / mmap_pagesize() / 10));

    mmap_free(&map);
}

Test(mmap_options, prefault_takes_the_pages_of_every_copy_of_a_mirror, .timeout = 10)
{
    if (!support_has_advice())
        cr_skip_test("madvise() does nothing here");
    if (SUPPORT_SANITIZED)
        cr_skip_test("its page faults cannot be told from those of the sanitizer");
    const char *path = support_path("file"), *tagname = support_tagname("tag");
    const struct mmap_file rows[] = { { 0 }, { .path = path }, { .tagname = tagname } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mmap map = { 0 };

        cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .file = rows[i],
                                                                   .size = MIB,
                                                                   .times = 3,
                                                                   .flags = MMAP_PREFAULT }),
                     0, "row %zu", i);
        long faults = faults_of_touching(map.addr, 3 * MIB, true);
        cr_assert_lt(faults, 8, "row %zu: %ld faults", i, faults);
        mmap_free(&map);
    }
}

/* The blocks of a sparse file are not reserved; to take its pages needs them. */
static const char *prefault_sparse(void *context)
{
    const char *path = support_path("sparse");
    struct mmap map = { 0 };

    (void)context;
    support_write_file(path, 0);
    EXPECT(truncate(path, 2 << 20) == 0);
    EXPECT(mmap_map(&map, &(struct mmap_args){ .file = { .path = path },
                                               .access = MMAP_WRITE,
                                               .flags = MMAP_PREFAULT }) == MMAP_DISK_FULL);
    EXPECT(support_file_size(path) == 2 << 20);
    return NULL;
}

Test(mmap_options, prefault_fails_with_disk_full_where_a_touch_would_be_a_signal, .timeout = 20)
{
    if (!support_has_advice())
        cr_skip_test("madvise() does nothing here");
    ASSERT_CHILD(support_child_in_small_tmpfs(support_folder(), prefault_sparse, NULL));
}

/* ---- lock ------------------------------------------------------------------------------------ */

/* S4 needs such a map too: see mmap_flush.c. */
Test(mmap_options, lock_keeps_the_pages_and_counts_one_copy, .timeout = 10)
{
    if (SUPPORT_SANITIZED)
        cr_skip_test("the sanitizer makes nothing of mlock()");
    uint64_t before = support_status("VmLck:");
    struct mmap plain = { 0 }, mirror = { 0 };

    cr_assert_eq(mmap_map(&plain, &(struct mmap_args){ .size = MIB, .flags = MMAP_LOCK }), 0);
    cr_assert_eq(support_status("VmLck:") - before, 1024);
    cr_assert_eq(
        mmap_mirror(&mirror,
                    &(struct mmap_mirror_args){ .size = MIB, .times = 4, .flags = MMAP_LOCK }),
        0);
    cr_assert_eq(support_status("VmLck:") - before, 2048);
    mmap_free(&plain);
    mmap_free(&mirror);

    cr_assert_eq(support_status("VmLck:"), before);
}

Test(mmap_options, lock_includes_the_lead_of_a_mirror, .timeout = 10)
{
    if (SUPPORT_SANITIZED)
        cr_skip_test("the sanitizer makes nothing of mlock()");
    uint64_t before = support_status("VmLck:");
    struct mmap map = { 0 };

    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = MIB,
                                                               .lead_size = 64 << 10,
                                                               .flags = MMAP_LOCK }),
                 0);

    cr_assert_eq(support_status("VmLck:") - before, 1024 + 64);
    mmap_free(&map);
}

static const char *lock_too_much(void *limit)
{
    struct rlimit memlock = { *(rlim_t *)limit, *(rlim_t *)limit };
    struct mmap map = { 0 };

    setrlimit(RLIMIT_MEMLOCK, &memlock);
    if (geteuid() == 0)
        EXPECT(support_become_nobody());
    support_remember();
    EXPECT(mmap_map(&map, &(struct mmap_args){ .size = MIB, .flags = MMAP_LOCK }) ==
           MMAP_OUT_OF_MEM);
    EXPECT(support_difference() == NULL);
    EXPECT(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = MIB, .flags = MMAP_LOCK }) ==
           MMAP_OUT_OF_MEM);
    EXPECT(support_difference() == NULL);
    return NULL;
}

Test(mmap_options, lock_fails_with_out_of_mem_over_the_limit, .timeout = 10)
{
    if (SUPPORT_SANITIZED)
        cr_skip_test("the sanitizer makes nothing of mlock()");
    rlim_t none = 0, little = 64 << 10;
    chmod(support_folder(), 0755);

    ASSERT_CHILD(support_child(lock_too_much, &little));
    ASSERT_CHILD(support_child(lock_too_much, &none));
}

/* ---- fork and dump --------------------------------------------------------------------------- */

static const char *read_first_byte(void *addr)
{
    (void)*(volatile unsigned char *)addr;
    return NULL;
}

Test(mmap_options, dontfork_keeps_the_mapping_from_a_child, .timeout = 20)
{
    uint64_t page = mmap_pagesize();
    struct mmap map = { 0 }, mirror = { 0 }, shared = { 0 };
    char expected[20];
    if (!support_has_advice())
        cr_skip_test("madvise() does nothing here");
    snprintf(expected, sizeof expected, "signal %d", SIGSEGV);
    mmap_map(&shared, &(struct mmap_args){ .size = page });
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .size = page, .flags = MMAP_DONTFORK }), 0);
    cr_assert_eq(mmap_mirror(&mirror, &(struct mmap_mirror_args){ .size = page,
                                                                  .lead_size = page,
                                                                  .flags = MMAP_DONTFORK }),
                 0);
    unsigned char *bytes = mirror.addr;

    ASSERT_CHILD(support_child(read_first_byte, shared.addr));
    cr_assert_str_eq(support_child(read_first_byte, map.addr), expected);
    cr_assert_str_eq(support_child(read_first_byte, bytes - page), expected, "lead");
    cr_assert_str_eq(support_child(read_first_byte, bytes), expected, "first copy");
    cr_assert_str_eq(support_child(read_first_byte, bytes + page), expected, "second copy");

    mmap_free(&map);
    mmap_free(&mirror);
    mmap_free(&shared);
}

Test(mmap_options, nodump_leaves_the_first_copy_in_a_dump, .timeout = 10)
{
    uint64_t page = mmap_pagesize();
    struct mmap map = { 0 }, plain = { 0 };
    if (!support_has_advice())
        cr_skip_test("madvise() does nothing here");
    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = page,
                                                               .lead_size = page,
                                                               .times = 3,
                                                               .flags = MMAP_NODUMP }),
                 0);
    cr_assert_eq(mmap_mirror(&plain, &(struct mmap_mirror_args){ .size = page }), 0);
    unsigned char *bytes = map.addr;

    cr_assert_not(support_has_vm_flag(bytes - page, " dd"));
    cr_assert_not(support_has_vm_flag(bytes, " dd"));
    cr_assert(support_has_vm_flag(bytes + page, " dd"));
    cr_assert(support_has_vm_flag(bytes + 2 * page, " dd"));
    cr_assert_not(support_has_vm_flag((unsigned char *)plain.addr + page, " dd"));

    mmap_free(&map);
    mmap_free(&plain);
}

/* ---- huge pages ------------------------------------------------------------------------------ */

#define HUGE_COUNT_FILE "/proc/sys/vm/nr_hugepages"

static long huge_pages(void)
{
    long count = -1;
    FILE *stream = fopen(HUGE_COUNT_FILE, "r");

    if (stream != NULL) {
        if (fscanf(stream, "%ld", &count) != 1)
            count = -1;
        fclose(stream);
    }
    return count;
}

/*
 * Keep other tests away from the number of huge pages, which is the system's, until this one ends.
 * False when there is no such number.
 */
static bool lock_huge_pages(void)
{
    int fd = open(HUGE_COUNT_FILE, O_RDONLY | O_CLOEXEC);

    return fd >= 0 && flock(fd, LOCK_EX) == 0;
}

/* False when this process may not, or the system has not got that many. */
static bool set_huge_pages(long count)
{
    FILE *stream = fopen(HUGE_COUNT_FILE, "w");

    if (stream == NULL)
        return false;
    fprintf(stream, "%ld", count);
    return fclose(stream) == 0 && huge_pages() >= count;
}

Test(mmap_options, huge_prefer_works_with_and_without_huge_pages, .timeout = 10)
{
    support_needs_posix("transparent huge pages");
    const uint64_t sizes[] = { HUGE_BYTES, 2 * HUGE_BYTES, HUGE_BYTES + mmap_mirror_granularity(0),
                               mmap_mirror_granularity(0) };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct mmap map = { 0 }, mirror = { 0 };
        support_remember();

        cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .size = sizes[i],
                                                         .access = MMAP_WRITE,
                                                         .flags = MMAP_HUGE_PREFER }),
                     0, "size %llu", (unsigned long long)sizes[i]);
        cr_assert_eq(mmap_mirror(&mirror,
                                 &(struct mmap_mirror_args){
                                     .size = sizes[i], .flags = MMAP_HUGE_PREFER | MMAP_PREFAULT }),
                     0, "size %llu", (unsigned long long)sizes[i]);
        cr_assert_eq((uintptr_t)map.addr % HUGE_BYTES, 0, "size %llu",
                     (unsigned long long)sizes[i]);
        cr_assert_eq(map.size, sizes[i]);
        cr_assert(map.huge || !support_has_advice() ||
                      !support_exists("/sys/kernel/mm/transparent_hugepage") ||
                      support_has_vm_flag(map.addr, "hg"),
                  "they were not asked for");
        volatile unsigned char *bytes = mirror.addr;
        bytes[sizes[i] - 1] = 5;
        cr_assert_eq(bytes[2 * sizes[i] - 1], 5, "size %llu", (unsigned long long)sizes[i]);
        ((unsigned char *)map.addr)[sizes[i] - 1] = 1;
        mmap_free(&map);
        mmap_free(&mirror);
        ASSERT_NOTHING_LEFT();
    }
}

Test(mmap_options, huge_pages_need_an_address_of_theirs, .timeout = 10)
{
    struct mmap map = { 0 };
    unsigned char *addr = (unsigned char *)(uintptr_t)0x180000000000u;

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .size = HUGE_BYTES,
                                                     .addr = addr + mmap_pagesize(),
                                                     .flags = MMAP_HUGE_REQUIRE }),
                 MMAP_INVALID_ARG);
    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = HUGE_BYTES,
                                                               .addr = addr + mmap_pagesize(),
                                                               .flags = MMAP_HUGE_REQUIRE }),
                 MMAP_INVALID_ARG);
}

/* Their pages have a size that mmap_free() would have to know. */
Test(mmap_options, files_of_huge_pages_are_unsupported, .timeout = 10)
{
    struct mmap map = { 0 };
    int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
    if (fd < 0)
        cr_skip_test("no huge pages here");
    cr_assert_eq(ftruncate(fd, HUGE_BYTES), 0);
    uint64_t size;

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .fd = &fd } }), MMAP_UNSUPPORTED);
    cr_assert_eq(mmap_filesize(&(struct mmap_file){ .fd = &fd }, &size), 0);
    cr_assert_eq(size, HUGE_BYTES);
    close(fd);
}

Test(mmap_options, huge_prefer_works_on_files, .timeout = 10)
{
    struct mmap map = { 0 };

    cr_assert_eq(
        mmap_mirror(&map, &(struct mmap_mirror_args){ .file = { .path = support_path("file") },
                                                      .size = HUGE_BYTES,
                                                      .flags = MMAP_HUGE_PREFER }),
        0);

    cr_assert_eq((uintptr_t)map.addr % HUGE_BYTES, 0);
    mmap_free(&map);
}

Test(mmap_options, huge_require_is_for_anonymous_memory, .timeout = 10)
{
    const char *path = support_path("file");
    struct mmap map = { 0 };
    support_write_file(path, 10);

    cr_assert_eq(
        mmap_map(&map, &(struct mmap_args){ .file = { .path = path }, .flags = MMAP_HUGE_REQUIRE }),
        MMAP_UNSUPPORTED);
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .tagname = support_tagname("tag") },
                                                     .access = MMAP_WRITE,
                                                     .size = HUGE_BYTES,
                                                     .flags = MMAP_HUGE_REQUIRE }),
                 MMAP_UNSUPPORTED);
}

Test(mmap_options, huge_require_needs_multiples_of_the_huge_page_in_a_mirror, .timeout = 10)
{
    struct mmap map = { 0 };
    struct mmap_mirror_args args = { .size = MIB, .flags = MMAP_HUGE_REQUIRE };

    cr_assert_eq(mmap_mirror(&map, &args), MMAP_INVALID_ARG);
    args.size = HUGE_BYTES;
    args.lead_size = 4096;
    cr_assert_eq(mmap_mirror(&map, &args), MMAP_INVALID_ARG);
}

Test(mmap_options, huge_require_fails_with_out_of_mem_without_huge_pages, .timeout = 10)
{
    struct mmap map = { 0 };
    if (lock_huge_pages() && huge_pages() > 0)
        cr_skip_test("the system has huge pages");
    support_remember();

    int err = mmap_map(&map, &(struct mmap_args){ .size = HUGE_BYTES, .flags = MMAP_HUGE_REQUIRE });
    int mirror_err = mmap_mirror(
        &map, &(struct mmap_mirror_args){ .size = HUGE_BYTES, .flags = MMAP_HUGE_REQUIRE });

    cr_assert_eq(err, MMAP_OUT_OF_MEM, "%s", mmap_errname(err));
    cr_assert_eq(mirror_err, MMAP_OUT_OF_MEM, "%s", mmap_errname(mirror_err));
    ASSERT_NOTHING_LEFT();
}

/* An emulated process may have its addresses anywhere in those that the kernel sees. */
static bool has_addresses_for_huge_pages(void)
{
    unsigned char *range =
        mmap(NULL, 2 * HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *addr = range + (HUGE_BYTES - (uintptr_t)range % HUGE_BYTES) % HUGE_BYTES;
    void *found = mmap(addr, HUGE_BYTES, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB, -1, 0);
    bool has = found != MAP_FAILED;

    munmap(range, 2 * HUGE_BYTES);
    return has;
}

static const char *use_huge_pages(void *context)
{
    struct mmap map = { 0 }, mirror = { 0 };

    (void)context;
    if (!has_addresses_for_huge_pages())
        return SUPPORT_SKIP "a multiple of 2 MiB is none for the kernel here";
    EXPECT(mmap_map(&map, &(struct mmap_args){ .size = 100,
                                               .access = MMAP_WRITE,
                                               .flags = MMAP_HUGE_REQUIRE }) == 0);
    EXPECT(map.huge);
    EXPECT(map.size == 100);
    EXPECT(support_has_vm_flag(map.addr, " ht"));
    EXPECT(mmap_mirror(&mirror, &(struct mmap_mirror_args){ .size = HUGE_BYTES,
                                                            .times = 3,
                                                            .lead_size = HUGE_BYTES,
                                                            .flags = MMAP_HUGE_REQUIRE }) == 0);
    EXPECT(mirror.huge);
    volatile unsigned char *bytes = mirror.addr;
    bytes[1] = 7;
    EXPECT(bytes[HUGE_BYTES + 1] == 7 && bytes[2 * HUGE_BYTES + 1] == 7);
    EXPECT(mmap_free(&map) == 0);
    EXPECT(mmap_free(&mirror) == 0);
    EXPECT(mmap_mirror(&mirror, &(struct mmap_mirror_args){ .size = HUGE_BYTES,
                                                            .flags = MMAP_HUGE_PREFER }) == 0);
    EXPECT(mirror.huge);
    EXPECT(mmap_free(&mirror) == 0);
    return NULL;
}

Test(mmap_options, huge_require_gives_huge_pages_when_there_are_some, .timeout = 20)
{
    bool locked = lock_huge_pages();
    long before = huge_pages();

    /* More than this test takes, since others may prefer huge pages at the same time. */
    if (!locked || before < 0 || !set_huge_pages(before + 16)) {
        if (before >= 0)
            set_huge_pages(before);
        cr_skip_test("huge pages cannot be had: " HUGE_COUNT_FILE " cannot be raised");
    }
    const char *failure = support_child(use_huge_pages, NULL);
    set_huge_pages(before);

    ASSERT_CHILD(failure);
}
