/* SPDX-License-Identifier: MIT */
/*
 * The calls of mmap_windows.c fail one after the other, there are placeholders such as
 * inject_windows.c makes, and other threads are as fast as they could be.
 */
#define _WIN32_WINNT 0x0601

#include "inject_windows.h"
#include "windows_state.h"

#include <criterion/criterion.h>
#include <mring/mmap.h>

TestSuite(windows_inject, .timeout = 60);

#define COUNT_OF(rows) (sizeof(rows) / sizeof(rows)[0])

/* No named error, and nothing that a system returns for anything else here. */
#define CODE ((DWORD)4242)

static struct windows_state before;
static char folder[MAX_PATH], path[2 * MAX_PATH], new_path[2 * MAX_PATH], tagname[100];

static void expect_nothing_left(const char *what, unsigned k)
{
    const char *difference = state_difference(&before);

    cr_expect_null(difference, "%s, %u: left behind: %s", what, k, difference);
}

static void make_world(void)
{
    char root[MAX_PATH];

    GetTempPathA(MAX_PATH - 80, root);
    snprintf(folder, sizeof folder, "%smring-inject-%lu-%lu", root, GetCurrentProcessId(),
             GetTickCount());
    snprintf(path, sizeof path, "%s\\file", folder);
    snprintf(new_path, sizeof new_path, "%s\\new", folder);
    snprintf(tagname, sizeof tagname, "inject-%lu", GetCurrentProcessId());
    cr_assert(CreateDirectoryA(folder, NULL));
    FILE *stream = fopen(path, "wb");
    for (int i = 0; i < 1 << 20; i++)
        putc(i >> 8, stream);
    fclose(stream);
}

static void remove_world(void)
{
    DeleteFileA(path);
    DeleteFileA(new_path);
    RemoveDirectoryA(folder);
}

static bool is_there(const char *name)
{
    return GetFileAttributesA(name) != INVALID_FILE_ATTRIBUTES;
}

static uint64_t size_of(const char *name)
{
    uint64_t size = UINT64_MAX;

    mmap_filesize(&(struct mmap_file){ .path = name }, &size);
    return size;
}

/* Each of the copies shows the same memory, and nothing else does. */
static void expect_mirror(const struct mmap *map, unsigned times)
{
    for (unsigned copy = 0; copy < times; copy++) {
        volatile unsigned char *bytes = (unsigned char *)map->addr + copy * map->size;

        bytes[0] = (unsigned char)(copy + 1);
        bytes[map->size - 1] = (unsigned char)(copy + 101);
        for (unsigned other = 0; other < times; other++) {
            volatile unsigned char *same = (unsigned char *)map->addr + other * map->size;

            cr_expect_eq(same[0], copy + 1, "copies %u and %u", copy, other);
            cr_expect_eq(same[map->size - 1], copy + 101, "copies %u and %u", copy, other);
        }
    }
}

/* ---- each call fails once -------------------------------------------------------------------- */

static int map_anonymous(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .size = 100, .access = MMAP_WRITE });
}

static int mirror_anonymous(struct mmap *map)
{
    return mmap_mirror(
        map, &(struct mmap_mirror_args){ .size = mmap_mirror_granularity(0), .times = 3 });
}

static int prefer_huge(struct mmap *map)
{
    return mmap_mirror(
        map, &(struct mmap_mirror_args){ .size = (uint64_t)2 << 20, .flags = MMAP_HUGE_PREFER });
}

static int map_file(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .file = { .path = path } });
}

static int map_at_address(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .file = { .path = path },
                                              .size = 100,
                                              .access = MMAP_COPY,
                                              .addr = (void *)(uintptr_t)0x18000000 });
}

static int create_file(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .file = { .path = new_path },
                                              .access = MMAP_WRITE,
                                              .size = 1000,
                                              .flags = MMAP_LOCK | MMAP_PREFAULT });
}

static int extend_file(struct mmap *map)
{
    struct mmap_file file = { .path = path };

    return mmap_mirror(map, &(struct mmap_mirror_args){ .file = file,
                                                        .size = 2 * mmap_mirror_granularity(0),
                                                        .offset = 4 * mmap_mirror_granularity(0),
                                                        .lead_size = mmap_mirror_granularity(0) });
}

static int map_stream(struct mmap *map)
{
    FILE *stream = fopen(path, "r+b");

    fputs("hello", stream);
    int err =
        mmap_map(map, &(struct mmap_args){ .file = { .stream = stream }, .access = MMAP_WRITE });
    inject_stop();
    fclose(stream);
    return err;
}

static int create_name(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){
                             .file = { .tagname = tagname }, .access = MMAP_WRITE, .size = 1000 });
}

static int mirror_name(struct mmap *map)
{
    return mmap_mirror(map, &(struct mmap_mirror_args){ .file = { .tagname = tagname },
                                                        .flags = MMAP_EXCLUSIVE,
                                                        .size = mmap_mirror_granularity(0) });
}

static struct mmap held;

static int attach(struct mmap *map)
{
    return mmap_map(map, &(struct mmap_args){ .file = { .tagname = tagname } });
}

static int set_size(struct mmap *map)
{
    (void)map;
    return mmap_set_filesize(&(struct mmap_file){ .path = path }, 1 << 20);
}

static int create_by_size(struct mmap *map)
{
    (void)map;
    int err = mmap_set_filesize(&(struct mmap_file){ .path = new_path }, 10);
    if (err == 0)
        DeleteFileA(new_path);
    return err;
}

static const struct scenario {
    const char *name;
    int (*run)(struct mmap *map);
    bool attaches;
} scenarios[] = {
    { "map_anonymous", map_anonymous, false },
    { "mirror_anonymous", mirror_anonymous, false },
    { "prefer_huge", prefer_huge, false },
    { "map_file", map_file, false },
    { "map_at_address", map_at_address, false },
    { "create_file", create_file, false },
    { "extend_file", extend_file, false },
    { "map_stream", map_stream, false },
    { "create_name", create_name, false },
    { "mirror_name", mirror_name, false },
    { "attach", attach, true },
    { "set_size", set_size, false },
    { "create_by_size", create_by_size, false },
};

/* What these say is not the system's code, or they are done without, or tried again. */
static bool may_end_otherwise(const struct scenario *scenario, const char *hit, int err)
{
    static const struct {
        const char *function;
        int err;
        int (*run)(struct mmap *map); /* NULL: whatever it is called for */
    } rows[] = {
        { "SystemFunction036", ERROR_GEN_FAILURE, NULL },
        { "GetProcAddress", 0, NULL },
        { "GetModuleHandleW", 0, NULL },
        { "GetLargePageMinimum", 0, prefer_huge },
        { "CreateFileMappingW", 0, prefer_huge },
        { "MapViewOfFileEx", 0, prefer_huge },
        { "MapViewOfFile3", 0, prefer_huge },
        { "split", 0, prefer_huge },
        { "CreateFileMappingW", 0, create_name }, /* it does without the right to execute */
        { "CreateFileMappingW", 0, mirror_name },
        { "VirtualAlloc", 0, mirror_anonymous }, /* the range is lost */
        { "VirtualAlloc", 0, prefer_huge },
        { "VirtualAlloc", 0, map_at_address },
        { "VirtualAlloc", 0, extend_file },
        { "VirtualAlloc", 0, mirror_name },
        { "VirtualAlloc", MMAP_OUT_OF_MEM, map_at_address }, /* the address is in use */
        { "VirtualAlloc2", MMAP_OUT_OF_MEM, map_at_address },
        { "MapViewOfFile3", 0, map_at_address }, /* there is another way to say the size */
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strcmp(rows[i].function, hit) == 0 && rows[i].err == err &&
            (rows[i].run == NULL || rows[i].run == scenario->run))
            return true;
    }
    return false;
}

/* The k-th call fails; false: there were less. */
static bool fail_one(const struct scenario *scenario, unsigned k)
{
    struct mmap map = { 0 };

    state_remember(&before);
    inject_nth(NULL, k, CODE);
    int err = scenario->run(&map);
    const char *hit = inject_stop();

    if (hit == NULL) {
        cr_expect_eq(err, 0, "%s: %s", scenario->name, mmap_errname(err));
        cr_expect_eq(mmap_free(&map), 0);
        return false;
    }
    cr_expect(err == (int)CODE || may_end_otherwise(scenario, hit, err), "%s, %u: %s says %d",
              scenario->name, k, hit, err);
    if (err != 0)
        cr_expect_null(map.addr, "%s, %u", scenario->name, k);
    if (scenario->run == prefer_huge && err == 0)
        expect_mirror(&map, 2);
    cr_expect_eq(mmap_free(&map), 0);
    expect_nothing_left(scenario->name, k);
    cr_expect_eq(size_of(path), (uint64_t)1 << 20, "%s, %u", scenario->name, k);
    DeleteFileA(new_path);
    return true;
}

static void fail_all(void)
{
    for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
        struct mmap warm = { 0 };
        unsigned k = 1;

        if (scenarios[i].attaches)
            cr_assert_eq(create_name(&held), 0);
        cr_assert_eq(scenarios[i].run(&warm), 0, "%s", scenarios[i].name);
        cr_assert_eq(mmap_free(&warm), 0);
        DeleteFileA(new_path);
        while (k < 200 && fail_one(&scenarios[i], k))
            k++;
        cr_expect_geq(k, 2, "%s: nothing has failed", scenarios[i].name);
        cr_expect_lt(k, 200, "%s", scenarios[i].name);
        DeleteFileA(new_path);
        mmap_free(&held);
    }
}

Test(windows_inject, a_call_that_fails_leaves_nothing_behind, .init = make_world,
     .fini = remove_world)
{
    fail_all();
}

Test(windows_inject, nor_does_it_among_placeholders, .init = make_world, .fini = remove_world)
{
    inject_placeholders(false);
    fail_all();
    cr_expect_eq(inject_placeholder_count(), 0);
}

/* Only if the file could be created: a file that was made is removed. */
Test(windows_inject, a_file_that_a_failed_call_made_is_removed, .init = make_world,
     .fini = remove_world)
{
    struct mmap map = { 0 };

    for (unsigned k = 1; k < 3; k++) {
        inject_nth("CreateFileMappingW", k, CODE);
        int err = create_file(&map);
        inject_stop();
        cr_expect_eq(err, CODE, "%u", k);
        cr_expect_not(is_there(new_path), "%u", k);
    }
}

/* ---- codes ----------------------------------------------------------------------------------- */

Test(windows_inject, codes_have_their_names, .init = make_world, .fini = remove_world)
{
    static const struct {
        const char *function;
        DWORD code;
        int (*run)(struct mmap *map);
        int err;
    } rows[] = {
        { "CreateFileW", ERROR_PATH_NOT_FOUND, map_file, MMAP_NOT_FOUND },
        { "CreateFileW", ERROR_TOO_MANY_OPEN_FILES, map_file, MMAP_FD_LIMIT },
        { "CreateFileW", ERROR_SHARING_VIOLATION, map_file, MMAP_ACCESS_DENIED },
        { "CreateFileW", ERROR_FILENAME_EXCED_RANGE, map_file, MMAP_NAME_TOO_LONG },
        { "CreateFileW", ERROR_INSUFFICIENT_BUFFER, map_file, ERROR_INSUFFICIENT_BUFFER },
        { "MultiByteToWideChar", ERROR_INSUFFICIENT_BUFFER, map_file, MMAP_NAME_TOO_LONG },
        { "MultiByteToWideChar", ERROR_INSUFFICIENT_BUFFER, create_name, MMAP_NAME_TOO_LONG },
        { "CreateFileW", ERROR_GEN_FAILURE, map_file, ERROR_GEN_FAILURE },
        { "CreateFileW", 0x20000001, map_file, 0x20000001 },
        { "CreateFileW", 0x80070001, map_file, ERROR_GEN_FAILURE },
        { "CreateFileMappingW", ERROR_DISK_FULL, create_file, MMAP_DISK_FULL },
        { "CreateFileMappingW", ERROR_HANDLE_DISK_FULL, extend_file, MMAP_DISK_FULL },
        { "CreateFileMappingW", ERROR_FILE_TOO_LARGE, create_file, MMAP_FILE_TOO_BIG },
        { "CreateFileMappingW", ERROR_FILE_INVALID, map_file, MMAP_FILE_TOO_SHORT },
        { "CreateFileMappingW", ERROR_COMMITMENT_LIMIT, mirror_anonymous, MMAP_OUT_OF_MEM },
        { "MapViewOfFileEx", ERROR_NOT_ENOUGH_MEMORY, map_file, MMAP_OUT_OF_MEM },
        { "VirtualAlloc", ERROR_NOT_ENOUGH_MEMORY, map_anonymous, MMAP_OUT_OF_MEM },
        { "VirtualAlloc", ERROR_COMMITMENT_LIMIT, mirror_anonymous, MMAP_OUT_OF_MEM },
        { "VirtualAlloc", ERROR_INVALID_PARAMETER, map_anonymous, MMAP_OUT_OF_MEM },
        { "VirtualAlloc", ERROR_INVALID_PARAMETER, mirror_anonymous, MMAP_OUT_OF_MEM },
        { "CreateFileMappingW", ERROR_INVALID_PARAMETER, mirror_anonymous, MMAP_OUT_OF_MEM },
        { "SetFileInformationByHandle", ERROR_INVALID_PARAMETER, create_by_size,
          MMAP_FILE_TOO_BIG },
        { "VirtualLock", ERROR_WORKING_SET_QUOTA, create_file, MMAP_OUT_OF_MEM },
        { "SetFileInformationByHandle", ERROR_DISK_FULL, create_by_size, MMAP_DISK_FULL },
        { "OpenFileMappingW", ERROR_ACCESS_DENIED, attach, MMAP_ACCESS_DENIED },
        { "OpenFileMappingW", ERROR_INVALID_HANDLE, attach, MMAP_ACCESS_DENIED },
        { "CreateFileMappingW", ERROR_INVALID_HANDLE, create_name, MMAP_ACCESS_DENIED },
        { "fflush", ERROR_DISK_FULL, map_stream, MMAP_DISK_FULL },
        { "fflush", ERROR_CRC, map_stream, ERROR_CRC },
        { "fflush", ERROR_WRITE_FAULT, map_stream, ERROR_WRITE_FAULT },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mmap map = { 0 };

        inject_nth(rows[i].function, 1, rows[i].code);
        int err = rows[i].run(&map);
        const char *hit = inject_stop();

        cr_expect(hit != NULL || rows[i].run == map_stream, "row %zu", i);
        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, mmap_errname(err));
    }
}

Test(windows_inject, huge_pages_without_the_privilege_are_no_memory)
{
    struct mmap map = { 0 };
    struct mmap_args args = { .size = (uint64_t)2 << 20, .access = MMAP_WRITE };

    args.flags = MMAP_HUGE_REQUIRE;
    inject_nth("CreateFileMappingW", 1, ERROR_PRIVILEGE_NOT_HELD);
    int required = mmap_map(&map, &args);
    args.flags = MMAP_HUGE_PREFER;
    inject_nth("CreateFileMappingW", 1, ERROR_PRIVILEGE_NOT_HELD);
    int preferred = mmap_map(&map, &args);
    inject_stop();

    cr_assert_eq(required, MMAP_OUT_OF_MEM);
    cr_assert_eq(preferred, 0);
    cr_assert_not(map.huge);
    ((char *)map.addr)[args.size - 1] = 1;
    mmap_free(&map);
    args.flags = MMAP_HUGE_REQUIRE;
    inject_nth("GetLargePageMinimum", 1, CODE);
    cr_assert_eq(mmap_map(&map, &args), MMAP_UNSUPPORTED);
    inject_stop();
}

Test(windows_inject, each_code_has_a_message_even_without_the_systems)
{
    char text[100];

    inject_nth("FormatMessageW", 1, CODE);
    mmap_errmsg(5, text, sizeof text);
    inject_stop();
    cr_assert_str_eq(text, "Windows error 5");
}

/* ---- flushing, freeing ----------------------------------------------------------------------- */

Test(windows_inject, flushing_writes_the_view_and_waits_for_the_disk, .init = make_world,
     .fini = remove_world)
{
    struct mmap map = { 0 };
    cr_assert_eq(extend_file(&map), 0);

    inject_nth("FlushViewOfFile", 1000, CODE);
    cr_expect_eq(mmap_flush(&map, NULL, 0, true), 0);
    cr_expect_eq(inject_count(), 1, "lead and first copy are one view");
    inject_nth("FlushViewOfFile", 1000, CODE);
    cr_expect_eq(mmap_flush(&map, (char *)map.addr + 10, 0, true), 0);
    cr_expect_eq(inject_count(), 2, "a view for each copy");
    inject_nth("FlushFileBuffers", 1000, CODE);
    cr_expect_eq(mmap_flush(&map, NULL, 0, true), 0);
    cr_expect_eq(inject_count(), 0, "nobody waits");
    cr_expect_eq(mmap_flush(&map, NULL, 0, false), 0);
    cr_expect_eq(inject_count(), 1);
    inject_nth("FlushFileBuffers", 1, ERROR_IO_DEVICE);
    cr_expect_eq(mmap_flush(&map, NULL, 0, false), ERROR_IO_DEVICE);
    inject_nth("FlushViewOfFile", 1, ERROR_IO_DEVICE);
    cr_expect_eq(mmap_flush(&map, NULL, 0, true), ERROR_IO_DEVICE);
    inject_stop();
    mmap_free(&map);
}

/* The system may be writing the same pages. */
Test(windows_inject, flushing_is_tried_again_while_the_system_writes, .init = make_world,
     .fini = remove_world)
{
    struct mmap map = { 0 };
    cr_assert_eq(extend_file(&map), 0);

    inject_row("FlushViewOfFile", 1, 5, ERROR_LOCK_VIOLATION);
    cr_expect_eq(mmap_flush(&map, NULL, 0, true), 0);
    cr_expect_eq(inject_count(), 6);
    inject_row("FlushViewOfFile", 1, 100000, ERROR_LOCK_VIOLATION);
    cr_expect_eq(mmap_flush(&map, NULL, 0, true), MMAP_ACCESS_DENIED);
    inject_stop();
    mmap_free(&map);
}

/* The mapping has a handle of its own. */
Test(windows_inject, flushing_does_not_need_what_the_caller_has_closed, .init = make_world,
     .fini = remove_world)
{
    struct mmap map = { 0 };
    cr_assert_eq(map_stream(&map), 0);

    inject_nth("FlushFileBuffers", 1000, CODE);
    int err = mmap_flush(&map, NULL, 0, false);
    unsigned count = inject_count();
    inject_stop();

    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    cr_assert_eq(count, 1);
    mmap_free(&map);
}

Test(windows_inject, free_leaves_the_map_as_it_was_when_it_fails, .init = make_world,
     .fini = remove_world)
{
    struct mmap map = { 0 };
    cr_assert_eq(create_name(&map), 0);
    struct mmap then = map;

    inject_nth("UnmapViewOfFile", 1, CODE);
    int err = mmap_free(&map);
    inject_stop();

    cr_assert_eq(err, CODE);
    cr_assert_eq(memcmp(&map, &then, sizeof map), 0);
    *(volatile char *)map.addr = 1;
    cr_assert_eq(mmap_free(&map), 0);
    cr_assert_eq(attach(&map), MMAP_NOT_FOUND, "the handles are closed");
}

/* ---- what other threads do ------------------------------------------------------------------- */

static void *taken;

/* A mapping of another thread, exactly there. */
static void take_it(void *at)
{
    taken = VirtualAlloc(at, 1 << 16, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    cr_assert_eq(taken, at);
    memset(taken, 42, 1 << 16);
}

Test(windows_inject, a_range_that_is_lost_is_looked_for_again, .init = make_world,
     .fini = remove_world)
{
    static const struct {
        const char *function;
        unsigned k;
    } rows[] = { { "MapViewOfFileEx", 1 },
                 { "MapViewOfFileEx", 2 },
                 { "MapViewOfFileEx", 3 },
                 { "VirtualAlloc", 2 },
                 { "VirtualAlloc", 3 } };

    mmap_mirror_granularity(0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mmap map = { 0 };
        state_remember(&before);

        inject_nth(rows[i].function, rows[i].k, 0);
        inject_meanwhile(take_it);
        int err = mirror_anonymous(&map);
        const char *hit = inject_stop();

        cr_assert_not_null(hit, "row %zu", i);
        cr_assert_eq(err, 0, "row %zu: %s", i, mmap_errname(err));
        expect_mirror(&map, 3);
        cr_expect_eq(*(volatile unsigned char *)taken, 42, "row %zu", i);
        cr_expect_eq(mmap_free(&map), 0);
        cr_expect_eq(*(volatile unsigned char *)taken, 42, "row %zu", i);
        VirtualFree(taken, 0, MEM_RELEASE);
        expect_nothing_left("a lost range", (unsigned)i);
    }
}

Test(windows_inject, a_range_that_is_always_lost_is_no_memory, .init = make_world,
     .fini = remove_world)
{
    struct mmap map = { 0 };
    mmap_mirror_granularity(0);
    state_remember(&before);

    inject_row("MapViewOfFileEx", 2, 1000, ERROR_INVALID_ADDRESS);
    int err = mirror_anonymous(&map);
    unsigned count = inject_count();
    inject_stop();

    cr_assert_eq(err, MMAP_OUT_OF_MEM);
    cr_assert_eq(count, 1 + 1 + 99, "the first piece once, then each attempt");
    expect_nothing_left("a range that is always lost", 0);
}

/* Errors that do not go away by trying again are not tried again. */
Test(windows_inject, another_failure_is_final, .init = make_world, .fini = remove_world)
{
    struct mmap map = { 0 };
    mmap_mirror_granularity(0);
    state_remember(&before);

    inject_row("MapViewOfFileEx", 2, 1000, ERROR_NOT_ENOUGH_MEMORY);
    int err = mirror_anonymous(&map);
    unsigned count = inject_count();
    inject_stop();

    cr_assert_eq(err, MMAP_OUT_OF_MEM);
    cr_assert_eq(count, 2);
    expect_nothing_left("another failure", 0);
}

/* The range was given up for the view that failed, and is another thread's by now. */
Test(windows_inject, a_failure_does_not_release_what_others_have_taken, .init = make_world,
     .fini = remove_world)
{
    mmap_mirror_granularity(0);
    for (unsigned k = 1; k <= 3; k++) {
        struct mmap map = { 0 };
        state_remember(&before);

        inject_nth("MapViewOfFileEx", k, ERROR_NOT_ENOUGH_MEMORY);
        inject_meanwhile(take_it);
        int err = mirror_anonymous(&map);
        inject_stop();

        cr_assert_eq(err, 0, "%u: %s", k, mmap_errname(err));
        expect_mirror(&map, 3);
        cr_expect_eq(*(volatile unsigned char *)taken, 42, "%u", k);
        mmap_free(&map);
        VirtualFree(taken, 0, MEM_RELEASE);
        expect_nothing_left("a failure", k);
    }
}

/* An address that the caller has chosen is not another one. */
Test(windows_inject, a_lost_address_is_in_use, .init = make_world, .fini = remove_world)
{
    struct mmap map = { 0 };
    mmap_mirror_granularity(0);

    inject_nth("MapViewOfFileEx", 1, 0);
    inject_meanwhile(take_it);
    int err = map_at_address(&map);
    inject_stop();

    cr_assert_eq(err, MMAP_OUT_OF_MEM);
    cr_assert_eq(*(volatile unsigned char *)taken, 42);
    VirtualFree(taken, 0, MEM_RELEASE);
    cr_assert_eq(map_at_address(&map), 0);
    cr_assert_eq(map.addr, (void *)(uintptr_t)0x18000000);
    mmap_free(&map);
}

/* What somebody else does. */
static uint64_t their_size;

static void set_their_size(void *at)
{
    (void)at;
    inject_stop();
    cr_assert_eq(mmap_set_filesize(&(struct mmap_file){ .path = path }, their_size), 0);
}

/*
 * The size is asked for when the file is opened, when the size of the map is settled, and for each
 * piece. A map that claimed more than is there would release what is behind it.
 */
Test(windows_inject, a_file_shortened_meanwhile_is_too_short, .init = make_world,
     .fini = remove_world)
{
    static const struct {
        int (*run)(struct mmap *map);
        uint64_t size;
        int err;
    } rows[] = {
        { map_file, ((uint64_t)1 << 20) - (1 << 16), MMAP_FILE_TOO_SHORT },
        { map_file, ((uint64_t)1 << 20) - (1 << 16) + 1, 0 },
        { map_file, 1, MMAP_FILE_TOO_SHORT },
        { map_file, 0, MMAP_FILE_TOO_SHORT },
        { extend_file, (uint64_t)5 << 16, MMAP_FILE_TOO_SHORT },
    };

    mmap_mirror_granularity(0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mmap map = { 0 };
        cr_assert_eq(mmap_set_filesize(&(struct mmap_file){ .path = path }, 1 << 20), 0);
        state_remember(&before);
        their_size = rows[i].size;

        inject_nth("GetFileInformationByHandleEx", 3, 0);
        inject_meanwhile(set_their_size);
        int err = rows[i].run(&map);
        inject_stop();

        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, mmap_errname(err));
        cr_expect_eq(size_of(path), rows[i].size, "row %zu: its size is not ours", i);
        cr_expect_eq(mmap_free(&map), 0);
        expect_nothing_left("a file shortened meanwhile", (unsigned)i);
    }
}

/* What fails has grown the file all the same, or somebody else has, to another size. */
Test(windows_inject, a_file_that_could_not_grow_has_its_size_again, .init = make_world,
     .fini = remove_world)
{
    static const uint64_t sizes[] = { (uint64_t)40 << 16, (uint64_t)41 << 16 };

    mmap_mirror_granularity(0);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct mmap map = { 0 };
        struct mmap_args args = { .file = { .path = path }, .access = MMAP_WRITE };
        cr_assert_eq(mmap_set_filesize(&args.file, 1 << 20), 0);
        args.size = sizes[0];
        their_size = sizes[i];

        inject_nth("CreateFileMappingW", 1, ERROR_NOT_ENOUGH_MEMORY);
        inject_meanwhile(set_their_size);
        int err = mmap_map(&map, &args);
        inject_stop();

        cr_expect_eq(err, MMAP_OUT_OF_MEM, "row %zu: %s", i, mmap_errname(err));
        cr_expect_eq(size_of(path), i == 0 ? (uint64_t)1 << 20 : sizes[i], "row %zu", i);
    }
}

static struct mmap other;

static void publish_another(void *at)
{
    (void)at;
    inject_stop();
    cr_assert_eq(create_name(&other), 0);
    cr_assert(other.created);
}

static void end_it(void *at)
{
    (void)at;
    inject_stop();
    mmap_free(&other);
}

/* A directory is left, which leads to an object that is gone. */
static HANDLE leave_directory(void)
{
    struct mmap map = { 0 };
    char name[200];

    snprintf(name, sizeof name, "Local\\mring-name.%s", tagname);
    cr_assert_eq(create_name(&map), 0);
    HANDLE directory = OpenFileMappingA(FILE_MAP_READ | FILE_MAP_WRITE, FALSE, name);
    cr_assert_neq(directory, NULL);
    mmap_free(&map);
    return directory;
}

/*
 * Both have seen that the word leads nowhere, and the other one is faster. The calls of
 * OpenFileMappingW are: directory, object, and before publishing the object once more.
 */
Test(windows_inject, a_word_that_has_changed_is_looked_at_again, .init = make_world,
     .fini = remove_world)
{
    struct mmap map = { 0 };
    HANDLE directory = leave_directory();

    inject_nth("OpenFileMappingW", 3, 0);
    inject_meanwhile(publish_another);
    int err = create_name(&map);
    inject_stop();

    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    cr_assert_not(map.created);
    *(char *)other.addr = 'o';
    cr_assert_eq(*(volatile char *)map.addr, 'o');
    mmap_free(&map);
    mmap_free(&other);
    CloseHandle(directory);
}

/* Between reading the word and opening the object its last mapping goes. */
Test(windows_inject, an_object_that_ends_before_it_is_opened_is_not_found, .init = make_world,
     .fini = remove_world)
{
    struct mmap map = { 0 };
    cr_assert_eq(create_name(&other), 0);

    inject_nth("OpenFileMappingW", 2, 0);
    inject_meanwhile(end_it);
    int err = attach(&map);
    inject_stop();
    cr_assert_eq(err, MMAP_NOT_FOUND, "%s", mmap_errname(err));

    cr_assert_eq(create_name(&other), 0);
    inject_nth("OpenFileMappingW", 2, 0);
    inject_meanwhile(end_it);
    err = create_name(&map);
    inject_stop();
    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    cr_assert(map.created);
    mmap_free(&map);
}

/* ---- placeholders ---------------------------------------------------------------------------- */

Test(windows_inject, without_the_functions_there_are_none)
{
    struct mmap map = { 0 };

    cr_assert_eq(mmap_mirror_granularity(0), mmap_pagesize());
    cr_assert_eq(mirror_anonymous(&map), 0);
    expect_mirror(&map, 3);
    mmap_free(&map);
}

Test(windows_inject, functions_that_know_no_placeholders_are_not_used)
{
    struct mmap map = { 0 };
    const struct inject_step *steps;

    inject_old_functions();
    cr_assert_eq(mmap_mirror_granularity(0), mmap_pagesize());
    cr_assert_eq(mirror_anonymous(&map), 0);
    expect_mirror(&map, 3);
    mmap_free(&map);
    cr_assert_eq(inject_steps(&steps), 0);
}

Test(windows_inject, placeholders_make_mirrors_of_pages)
{
    struct mmap map = { 0 };

    inject_placeholders(false);
    cr_assert_eq(mmap_pagesize(), INJECT_UNIT);
    cr_assert_eq(mmap_mirror_granularity(0), INJECT_PAGE);
    cr_assert_eq(inject_placeholder_count(), 0);
    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = INJECT_PAGE }), 0);
    expect_mirror(&map, 2);
    mmap_free(&map);
}

Test(windows_inject, or_of_units_where_pages_are_refused)
{
    struct mmap map = { 0 };

    inject_placeholders(true);
    cr_assert_eq(mmap_mirror_granularity(0), INJECT_UNIT);
    cr_assert_eq(inject_placeholder_count(), 0);
    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = INJECT_PAGE }),
                 MMAP_INVALID_ARG);
    cr_assert_eq(mmap_mirror(&map, &(struct mmap_mirror_args){ .size = INJECT_UNIT }), 0);
    expect_mirror(&map, 2);
    mmap_free(&map);
}

/* Mirrors are made of pages, but they begin where reservations do. */
Test(windows_inject, an_address_between_two_units_is_not_valid)
{
    struct mmap map = { 0 };
    struct mmap_mirror_args args = { .size = INJECT_PAGE };
    inject_placeholders(false);

    args.addr = (void *)(uintptr_t)(0x18000000 + INJECT_PAGE);
    cr_assert_eq(mmap_mirror(&map, &args), MMAP_INVALID_ARG);
    args.addr = (void *)(uintptr_t)0x18000000;
    cr_assert_eq(mmap_mirror(&map, &args), 0);
    cr_assert_eq(map.addr, args.addr);
    expect_mirror(&map, 2);
    mmap_free(&map);
}

/* That there was no memory to find out is no answer that lasts. */
Test(windows_inject, a_shortage_is_not_remembered, .init = make_world, .fini = remove_world)
{
    struct mmap map = { 0 };
    static const struct {
        const char *function;
        unsigned k;
    } rows[] = {
        { "VirtualAlloc2", 1 },
        { "VirtualAlloc2", 2 },
        { "CreateFileMappingW", 1 },
        { "MapViewOfFile3", 1 },
    };
    inject_placeholders(false);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        inject_nth(rows[i].function, rows[i].k, ERROR_NOT_ENOUGH_MEMORY);
        cr_expect_eq(mmap_mirror_granularity(0), INJECT_UNIT, "row %zu", i);
        cr_expect_not_null(inject_stop(), "row %zu", i);
        cr_expect_eq(inject_placeholder_count(), 0, "row %zu", i);
    }
    inject_row("VirtualAlloc2", 1, 100, ERROR_NOT_ENOUGH_MEMORY);
    cr_expect_eq(map_at_address(&map), MMAP_OUT_OF_MEM);
    inject_stop();
    cr_expect_eq(mmap_mirror_granularity(0), INJECT_PAGE);
}

/* When it is found out, too, a call may fail. */
Test(windows_inject, a_probe_that_fails_leaves_the_unit)
{
    inject_placeholders(false);
    inject_nth("MapViewOfFile3", 1, CODE);
    uint64_t granularity = mmap_mirror_granularity(0);
    inject_stop();

    cr_assert_eq(granularity, INJECT_UNIT);
    cr_assert_eq(inject_placeholder_count(), 0);
}

#define REPLACE 0x00004000u

/* The whole is reserved, then each piece is split off and replaced; the last needs no split. */
Test(windows_inject, each_piece_replaces_a_placeholder_of_its_size, .init = make_world,
     .fini = remove_world)
{
    const size_t page = INJECT_PAGE;
    const struct inject_step *steps;
    struct mmap map = { 0 };
    inject_placeholders(false);
    mmap_mirror_granularity(0);
    state_remember(&before);
    inject_forget_steps();

    int err = mmap_mirror(&map, &(struct mmap_mirror_args){ .file = { .path = path },
                                                            .size = 2 * page,
                                                            .times = 3,
                                                            .offset = 3 * page,
                                                            .lead_size = page });

    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    expect_mirror(&map, 3);
    unsigned char *base = (unsigned char *)map.addr - page;
    const struct inject_step expected[] = {
        { STEP_RESERVE, base, 7 * page, 0, MEM_RESERVE | 0x00040000, PAGE_NOACCESS },
        { STEP_SPLIT, base, 3 * page, 0, 0, 0 },
        { STEP_MAP, base, 3 * page, 2 * page, REPLACE, PAGE_READWRITE },
        { STEP_SPLIT, base + 3 * page, 2 * page, 0, 0, 0 },
        { STEP_MAP, base + 3 * page, 2 * page, 3 * page, REPLACE, PAGE_READWRITE },
        { STEP_MAP, base + 5 * page, 2 * page, 3 * page, REPLACE, PAGE_READWRITE },
    };
    cr_assert_eq(inject_steps(&steps), COUNT_OF(expected));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        cr_expect_eq(steps[i].kind, expected[i].kind, "step %zu", i);
        cr_expect_eq(steps[i].at, expected[i].at, "step %zu", i);
        cr_expect_eq(steps[i].size, expected[i].size, "step %zu", i);
        cr_expect_eq(steps[i].offset, expected[i].offset, "step %zu", i);
        cr_expect_eq(steps[i].type, expected[i].type, "step %zu", i);
        cr_expect_eq(steps[i].protection, expected[i].protection, "step %zu", i);
    }
    cr_assert_eq(inject_placeholder_count(), 0);
    cr_assert_eq(mmap_flush(&map, NULL, 0, false), 0);
    cr_assert_eq(mmap_free(&map), 0);
    expect_nothing_left("a mirror", 0);
}

Test(windows_inject, access_is_the_protection_of_the_view, .init = make_world, .fini = remove_world)
{
    static const struct {
        unsigned access;
        ULONG protection;
    } rows[] = {
        { MMAP_READ, PAGE_READONLY },
        { MMAP_WRITE, PAGE_READWRITE },
        { MMAP_COPY, PAGE_WRITECOPY },
        { MMAP_EXEC, PAGE_EXECUTE_READ },
        { MMAP_WRITE | MMAP_EXEC, PAGE_EXECUTE_READWRITE },
        { MMAP_COPY | MMAP_EXEC, PAGE_EXECUTE_WRITECOPY },
    };
    void *addr = (void *)(uintptr_t)0x18000000;
    inject_placeholders(false);
    mmap_mirror_granularity(0);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct inject_step *steps;
        struct mmap map = { 0 };
        inject_forget_steps();

        int err = mmap_map(&map, &(struct mmap_args){ .file = { .path = path },
                                                      .addr = addr,
                                                      .access = rows[i].access,
                                                      .size = INJECT_UNIT });
        cr_assert_eq(err, 0, "row %zu: %s", i, mmap_errname(err));
        cr_assert_eq(map.addr, addr);
        cr_assert_eq(inject_steps(&steps), 2);
        cr_expect_eq(steps[1].kind, STEP_MAP);
        cr_expect_eq(steps[1].protection, rows[i].protection, "row %zu", i);
        mmap_free(&map);
    }
}

/* Behind the last page of an object there is a placeholder left, until all is released. */
Test(windows_inject, the_end_of_an_object_is_split_off, .init = make_world, .fini = remove_world)
{
    const struct inject_step *steps;
    struct mmap map = { 0 };
    cr_assert_eq(mmap_set_filesize(&(struct mmap_file){ .path = path }, INJECT_PAGE + 100), 0);
    inject_placeholders(false);
    mmap_mirror_granularity(0);
    state_remember(&before);
    inject_forget_steps();

    int err = map_at_address(&map);
    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    err = mmap_free(&map);
    cr_assert_eq(err, 0);
    inject_forget_steps();
    err = mmap_map(&map, &(struct mmap_args){ .file = { .path = path },
                                              .addr = (void *)(uintptr_t)0x18000000 });
    cr_assert_eq(err, 0, "%s", mmap_errname(err));

    cr_assert_eq(map.size, INJECT_PAGE + 100);
    cr_assert_eq(((unsigned char *)map.addr)[INJECT_PAGE + 99], INJECT_PAGE >> 8 & 255);
    cr_assert_eq(inject_steps(&steps), 3);
    cr_assert_eq(steps[1].kind, STEP_SPLIT);
    cr_assert_eq(steps[1].size, 2 * INJECT_PAGE);
    cr_assert_eq(steps[2].kind, STEP_MAP);
    cr_assert_eq(steps[2].size, 0, "the system finds the size of what is no whole page");
    cr_assert_eq(inject_placeholder_count(), 1);
    cr_assert_eq(mmap_free(&map), 0);
    cr_assert_eq(inject_placeholder_count(), 0);
    expect_nothing_left("the end of an object", 0);
}

/* How to ask for less than whole pages is not documented. */
Test(windows_inject, the_end_of_an_object_is_asked_for_in_another_way, .init = make_world,
     .fini = remove_world)
{
    const struct inject_step *steps;
    struct mmap map = { 0 };
    cr_assert_eq(mmap_set_filesize(&(struct mmap_file){ .path = path }, INJECT_PAGE + 100), 0);
    inject_placeholders(false);
    mmap_mirror_granularity(0);
    inject_forget_steps();

    inject_nth("MapViewOfFile3", 1, ERROR_INVALID_PARAMETER);
    int err = mmap_map(&map, &(struct mmap_args){ .file = { .path = path },
                                                  .addr = (void *)(uintptr_t)0x18000000 });
    inject_stop();

    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    size_t count = inject_steps(&steps);
    cr_assert_eq(steps[count - 1].kind, STEP_MAP);
    cr_assert_eq(steps[count - 1].size, INJECT_PAGE + 100);
    inject_row("MapViewOfFile3", 1, 100, ERROR_IO_DEVICE);
    cr_assert_eq(mmap_free(&map), 0);
    err = mmap_map(&map, &(struct mmap_args){ .file = { .path = path },
                                              .addr = (void *)(uintptr_t)0x18000000 });
    cr_assert_eq(err, ERROR_IO_DEVICE);
    cr_assert_eq(inject_count(), 3);
    inject_stop();
    cr_assert_eq(inject_placeholder_count(), 0);
}

Test(windows_inject, memory_without_an_object_replaces_a_placeholder, .init = make_world,
     .fini = remove_world)
{
    const struct inject_step *steps;
    struct mmap map = { 0 };
    inject_placeholders(false);
    mmap_mirror_granularity(0);
    state_remember(&before);
    inject_forget_steps();

    int err = mmap_map(&map, &(struct mmap_args){ .addr = (void *)(uintptr_t)0x18000000,
                                                  .access = MMAP_WRITE,
                                                  .size = 100 });

    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    cr_assert_eq(inject_steps(&steps), 2);
    cr_assert_eq(steps[1].kind, STEP_COMMIT);
    cr_assert_eq(steps[1].size, INJECT_UNIT);
    cr_assert_eq(steps[1].protection, PAGE_READWRITE);
    *(volatile char *)map.addr = 1;
    cr_assert_eq(mmap_free(&map), 0);
    expect_nothing_left("memory", 0);
}

/* Half of a mirror of huge pages was there; it has to go before other pages come. */
Test(windows_inject, what_has_failed_with_huge_pages_goes_on_without, .init = make_world,
     .fini = remove_world)
{
    struct mmap map = { 0 };
    inject_placeholders(false);
    mmap_mirror_granularity(0);
    state_remember(&before);

    inject_nth("MapViewOfFile3", 2, CODE);
    int err = prefer_huge(&map);
    cr_assert_str_eq(inject_stop(), "MapViewOfFile3");

    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    cr_assert_not(map.huge);
    expect_mirror(&map, 2);
    cr_assert_eq(mmap_free(&map), 0);
    expect_nothing_left("huge pages", 0);
    cr_assert_eq(inject_placeholder_count(), 0);
}

/* Nothing was mapped, so the range does not have to be given up. */
Test(windows_inject, without_huge_pages_the_range_is_kept, .init = make_world, .fini = remove_world)
{
    const struct inject_step *steps;
    struct mmap map = { 0 };
    unsigned reserved = 0, freed = 0;
    inject_placeholders(false);
    mmap_mirror_granularity(0);
    inject_forget_steps();

    inject_nth("CreateFileMappingW", 1, ERROR_PRIVILEGE_NOT_HELD);
    int err = prefer_huge(&map);
    cr_assert_not_null(inject_stop());

    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    for (size_t i = 0, count = inject_steps(&steps); i < count; i++) {
        reserved += steps[i].kind == STEP_RESERVE;
        freed += steps[i].kind == STEP_FREE;
    }
    cr_expect_eq(reserved, 2, "one to find an address, and one there");
    cr_expect_eq(freed, 1);
    cr_assert_eq(mmap_free(&map), 0);
}

/* What cannot be released is still there, and goes on. */
static void fail_to_unmap(void *at)
{
    (void)at;
    inject_meanwhile(NULL);
    inject_nth("UnmapViewOfFile", 1, ERROR_IO_DEVICE);
}

Test(windows_inject, a_range_that_cannot_be_cleared_is_not_forgotten, .init = make_world,
     .fini = remove_world)
{
    struct mmap map = { 0 };
    inject_placeholders(false);
    mmap_mirror_granularity(0);
    state_remember(&before);

    inject_nth("MapViewOfFile3", 2, CODE);
    inject_meanwhile(fail_to_unmap);
    int err = prefer_huge(&map);
    const char *hit = inject_stop();

    cr_assert_str_eq(hit, "UnmapViewOfFile");
    cr_assert_eq(err, ERROR_IO_DEVICE, "%s", mmap_errname(err));
    expect_nothing_left("a range that was not cleared", 0);
    cr_assert_eq(inject_placeholder_count(), 0);
}
