/* SPDX-License-Identifier: MIT */
/*
 * What the mapping layer does on Windows alone: handles as files, names that end with their last
 * mapping, names of files in UTF-8, and the system's own codes.
 */
#define _WIN32_WINNT 0x0601

#include "windows_security.h"
#include "windows_state.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <io.h>
#include <mring/mmap.h>
#include <sys/stat.h>
#include <wchar.h>

#define UNIT ((uint64_t)1 << 16)
#define GIB  ((uint64_t)1 << 30)

static wchar_t folder[MAX_PATH];
static struct windows_state before;

static void make_folder(void)
{
    wchar_t root[MAX_PATH];

    cr_assert_neq(GetTempPathW(MAX_PATH - 80, root), 0);
    _snwprintf(folder, MAX_PATH, L"%lsmring-test-%lu-%lu", root, GetCurrentProcessId(),
               GetTickCount());
    cr_assert(CreateDirectoryW(folder, NULL));
}

static void remove_folder(void)
{
    wchar_t pattern[2 * MAX_PATH], path[2 * MAX_PATH];
    WIN32_FIND_DATAW found;

    _snwprintf(pattern, 2 * MAX_PATH, L"%ls\\*", folder);
    HANDLE search = FindFirstFileW(pattern, &found);
    do {
        _snwprintf(path, 2 * MAX_PATH, L"%ls\\%ls", folder, found.cFileName);
        DeleteFileW(path);
    } while (FindNextFileW(search, &found));
    FindClose(search);
    RemoveDirectoryW(folder);
}

TestSuite(windows, .init = make_folder, .fini = remove_folder, .timeout = 20);

/* A path in the temporary folder, in UTF-8 and as the system has it. */
static const char *path_of(const wchar_t *name)
{
    static char paths[8][MAX_PATH * 4];
    static unsigned count;
    wchar_t wide[2 * MAX_PATH];
    char *path = paths[count++ % 8];

    _snwprintf(wide, 2 * MAX_PATH, L"%ls\\%ls", folder, name);
    cr_assert_neq(WideCharToMultiByte(CP_UTF8, 0, wide, -1, path, MAX_PATH * 4, NULL, NULL), 0);
    return path;
}

static bool exists(const wchar_t *name)
{
    wchar_t wide[2 * MAX_PATH];

    _snwprintf(wide, 2 * MAX_PATH, L"%ls\\%ls", folder, name);
    return GetFileAttributesW(wide) != INVALID_FILE_ATTRIBUTES;
}

static HANDLE open_handle(const wchar_t *name, DWORD access, DWORD share)
{
    wchar_t wide[2 * MAX_PATH];

    _snwprintf(wide, 2 * MAX_PATH, L"%ls\\%ls", folder, name);
    return CreateFileW(wide, access, share, NULL, OPEN_ALWAYS, 0, NULL);
}

static void write_file(const wchar_t *name, DWORD size)
{
    HANDLE file = open_handle(name, GENERIC_WRITE, 0);
    DWORD written;

    cr_assert_neq(file, INVALID_HANDLE_VALUE);
    for (DWORD i = 0; i < size; i++)
        cr_assert(WriteFile(file, &"0123456789"[i % 10], 1, &written, NULL));
    CloseHandle(file);
}

#define SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

/* A tagname that no other process uses. */
static const char *tag_of(const char *name)
{
    static char tags[8][300];
    static unsigned count;
    char *tag = tags[count++ % 8];

    snprintf(tag, 300, "test-%lu-%s", GetCurrentProcessId(), name);
    return tag;
}

static void expect_nothing_left(const char *where)
{
    const char *difference = state_difference(&before);

    cr_expect_null(difference, "%s left behind: %s", where, difference);
}

/* ---- units ----------------------------------------------------------------------------------- */

Test(windows, the_page_is_what_views_begin_at_multiples_of)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);

    cr_assert_eq(mmap_pagesize(), info.dwAllocationGranularity);
    cr_assert_eq(mmap_pagesize() % mmap_mirror_granularity(0), 0);
    cr_assert_geq(mmap_mirror_granularity(0), info.dwPageSize);
}

Test(windows, an_address_between_two_units_is_not_valid)
{
    struct mmap map = { 0 };

    for (uintptr_t i = 1; i < 16; i += 3)
        cr_expect_eq(mmap_mirror(&map,
                                 &(struct mmap_mirror_args){
                                     .size = UNIT, .addr = (void *)(0x180000000000 + i * 4096) }),
                     MMAP_INVALID_ARG);
}

/* ---- handles --------------------------------------------------------------------------------- */

Test(windows, maps_an_open_handle_and_leaves_it_open)
{
    struct mmap map = { 0 };
    write_file(L"file", 100);
    HANDLE file = open_handle(L"file", GENERIC_READ | GENERIC_WRITE, SHARE_ALL);
    LARGE_INTEGER pos = { .QuadPart = 7 };
    SetFilePointerEx(file, pos, NULL, FILE_BEGIN);

    cr_assert_eq(
        mmap_map(&map, &(struct mmap_args){ .file = { .handle = file }, .access = MMAP_WRITE }), 0);

    cr_assert_eq(map.size, 100);
    cr_assert_eq(memcmp(map.addr, "01234567890", 11), 0);
    cr_assert(SetFilePointerEx(file, (LARGE_INTEGER){ .QuadPart = 0 }, &pos, FILE_CURRENT));
    cr_assert_eq(pos.QuadPart, 7, "the position has moved");
    CloseHandle(file);
    *(char *)map.addr = 'x';
    cr_assert_eq(mmap_flush(&map, NULL, 0, false), 0, "it needs the handle that was closed");
    cr_assert_eq(mmap_flush(&map, NULL, 0, true), 0);
    cr_assert_eq(mmap_free(&map), 0);
}

Test(windows, a_handle_extends_its_file)
{
    struct mmap map = { 0 };
    uint64_t size = 0;
    HANDLE file = open_handle(L"file", GENERIC_READ | GENERIC_WRITE, SHARE_ALL);
    struct mmap_file source = { .handle = file };

    int err = mmap_map(
        &map,
        &(struct mmap_args){ .file = source, .access = MMAP_WRITE, .size = 70001, .offset = UNIT });
    cr_assert_eq(err, 0);
    cr_assert_eq(mmap_filesize(&source, &size), 0);
    cr_assert_eq(size, UNIT + 70001);
    cr_assert_eq(mmap_free(&map), 0);
    cr_assert_eq(mmap_set_filesize(&source, 10), 0);
    cr_assert_eq(mmap_filesize(&source, &size), 0);
    cr_assert_eq(size, 10);
    CloseHandle(file);
}

Test(windows, a_handle_has_to_be_open_and_for_this_access)
{
    write_file(L"file", 100);
    HANDLE closed = open_handle(L"file", GENERIC_READ, SHARE_ALL);
    CloseHandle(closed);
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL), pipe_ends[2];
    cr_assert(CreatePipe(&pipe_ends[0], &pipe_ends[1], NULL, 0));
    HANDLE open_folder = CreateFileW(folder, GENERIC_READ, SHARE_ALL, NULL, OPEN_EXISTING,
                                     FILE_FLAG_BACKUP_SEMANTICS, NULL);
    cr_assert_neq(open_folder, INVALID_HANDLE_VALUE);
    const struct {
        HANDLE handle;
        unsigned access;
        int err;
    } rows[] = {
        { INVALID_HANDLE_VALUE, MMAP_READ, MMAP_INVALID_ARG },
        { closed, MMAP_READ, MMAP_INVALID_ARG },
        { pipe_ends[0], MMAP_READ, MMAP_UNSUPPORTED },
        { open_folder, MMAP_READ, MMAP_UNSUPPORTED },
        { open_handle(L"file", GENERIC_READ, SHARE_ALL), MMAP_WRITE, MMAP_ACCESS_DENIED },
        { open_handle(L"file", GENERIC_READ, SHARE_ALL), MMAP_EXEC, MMAP_ACCESS_DENIED },
        { open_handle(L"file", GENERIC_WRITE, SHARE_ALL), MMAP_READ, MMAP_ACCESS_DENIED },
        { open_handle(L"file", GENERIC_WRITE, SHARE_ALL), MMAP_WRITE, MMAP_ACCESS_DENIED },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mmap map = { 0 };
        state_remember(&before);

        int err = mmap_map(&map, &(struct mmap_args){ .file = { .handle = rows[i].handle },
                                                      .access = rows[i].access,
                                                      .size = 50 });
        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, mmap_errname(err));
        expect_nothing_left("a wrong handle");
    }
    struct mmap map = { 0 };
    int err = mmap_map(&map, &(struct mmap_args){ .file = { .handle = event }, .size = 1 });
    cr_expect(err == MMAP_INVALID_ARG || err == MMAP_UNSUPPORTED, "%s", mmap_errname(err));
}

Test(windows, what_stays_open_is_not_inherited)
{
    struct mmap file = { 0 }, name = { 0 }, borrowed = { 0 };
    SECURITY_ATTRIBUTES inherited = { sizeof inherited, NULL, TRUE };
    DWORD flags;
    HANDLE handle = CreateFileA(path_of(L"borrowed"), GENERIC_READ | GENERIC_WRITE, SHARE_ALL,
                                &inherited, CREATE_NEW, 0, NULL);
    cr_assert_neq(handle, INVALID_HANDLE_VALUE);

    cr_assert_eq(mmap_map(&file, &(struct mmap_args){ .file = { .path = path_of(L"file") },
                                                      .access = MMAP_WRITE,
                                                      .size = 1 }),
                 0);
    cr_assert_eq(mmap_map(&name, &(struct mmap_args){ .file = { .tagname = tag_of("name") },
                                                      .access = MMAP_WRITE,
                                                      .size = 1 }),
                 0);
    cr_assert_eq(mmap_map(&borrowed, &(struct mmap_args){ .file = { .handle = handle },
                                                          .access = MMAP_WRITE,
                                                          .size = 1 }),
                 0);

    cr_assert(GetHandleInformation(file.kept[0], &flags) && !(flags & HANDLE_FLAG_INHERIT));
    cr_assert(GetHandleInformation(name.kept[0], &flags) && !(flags & HANDLE_FLAG_INHERIT));
    cr_assert(GetHandleInformation(name.kept[1], &flags) && !(flags & HANDLE_FLAG_INHERIT));
    cr_assert(GetHandleInformation(borrowed.kept[0], &flags) && !(flags & HANDLE_FLAG_INHERIT));
    mmap_free(&file);
    mmap_free(&name);
    mmap_free(&borrowed);
    CloseHandle(handle);
}

/* ---- files ----------------------------------------------------------------------------------- */

Test(windows, names_of_files_are_utf8)
{
    static const wchar_t *names[] = { L"\u00e9t\u00e9", L"\u30d5\u30a1\u30a4\u30eb",
                                      L"\xd83d\xdc0d with spaces" };

    for (size_t i = 0; i < 3; i++) {
        struct mmap map = { 0 };
        int err = mmap_map(&map, &(struct mmap_args){ .file = { .path = path_of(names[i]) },
                                                      .access = MMAP_WRITE,
                                                      .size = 1 });
        cr_assert_eq(err, 0, "row %zu: %s", i, mmap_errname(err));
        cr_assert(exists(names[i]), "row %zu", i);
        mmap_free(&map);
    }
}

Test(windows, a_name_that_is_not_utf8_is_not_valid)
{
    struct mmap map = { 0 };
    uint64_t size;

    for (size_t i = 0; i < 3; i++) {
        const char *name = ((const char *[]){ "a\xff", "\xc3", "\xed\xa0\x80" })[i];

        cr_expect_eq(mmap_map(&map, &(struct mmap_args){ .file = { .path = name },
                                                         .access = MMAP_WRITE,
                                                         .size = 1 }),
                     MMAP_INVALID_ARG, "row %zu", i);
        cr_expect_eq(mmap_filesize(&(struct mmap_file){ .path = name }, &size), MMAP_INVALID_ARG);
        cr_expect_eq(mmap_map(&map, &(struct mmap_args){ .file = { .tagname = name },
                                                         .access = MMAP_WRITE,
                                                         .size = 1 }),
                     MMAP_INVALID_ARG, "row %zu", i);
    }
}

Test(windows, a_path_over_all_limits_is_too_long)
{
    static char path[40000];
    uint64_t size;

    for (size_t length = 4096; length < sizeof path; length *= 3) {
        memset(path, 'a', length);
        for (size_t i = 100; i < length; i += 100)
            path[i] = '/';
        path[length] = '\0';
        cr_expect_eq(mmap_filesize(&(struct mmap_file){ .path = path }, &size), MMAP_NAME_TOO_LONG,
                     "%zu", length);
        cr_expect_eq(mmap_set_filesize(&(struct mmap_file){ .path = path }, 1), MMAP_NAME_TOO_LONG,
                     "%zu", length);
    }
}

/* A part of more than 255 characters is no name anywhere; the prefix is about all of a path. */
Test(windows, a_path_with_a_part_that_is_too_long_is_too_long)
{
    static const struct {
        const wchar_t *prefix;
        size_t parts, length;
        int err;
    } rows[] = {
        { L"", 1, 256, MMAP_NAME_TOO_LONG },        { L"", 2, 256, MMAP_NAME_TOO_LONG },
        { L"\\\\?\\", 1, 256, MMAP_NAME_TOO_LONG }, { L"", 4, 100, MMAP_NAME_TOO_LONG },
        { L"\\\\?\\", 4, 100, MMAP_NOT_FOUND },     { L"", 2, 10, MMAP_NOT_FOUND },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wchar_t wide[2000];
        char path[6000];
        uint64_t size;
        size_t length = (size_t)_snwprintf(wide, 2000, L"%ls%ls", rows[i].prefix, folder);
        for (size_t part = 0; part < rows[i].parts; part++) {
            wide[length++] = L'\\';
            for (size_t j = 0; j < rows[i].length; j++)
                wide[length++] = L'a';
        }
        wide[length] = L'\0';
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, path, sizeof path, NULL, NULL);

        int err = mmap_filesize(&(struct mmap_file){ .path = path }, &size);
        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, mmap_errname(err));
        err = mmap_set_filesize(&(struct mmap_file){ .path = path }, 1);
        cr_expect_eq(err, rows[i].err, "row %zu, to create: %s", i, mmap_errname(err));
    }
}

Test(windows, devices_folders_and_locked_files_have_names_of_errors)
{
    HANDLE locked = open_handle(L"locked", GENERIC_READ, 0);
    char folder_path[MAX_PATH * 3];
    WideCharToMultiByte(CP_UTF8, 0, folder, -1, folder_path, sizeof folder_path, NULL, NULL);
    const struct {
        const char *path;
        int err;
    } rows[] = {
        { "NUL", MMAP_UNSUPPORTED },
        { folder_path, MMAP_UNSUPPORTED },
        { path_of(L"locked"), MMAP_ACCESS_DENIED },
        { path_of(L"no\\such\\folder"), MMAP_NOT_FOUND },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mmap map = { 0 };
        state_remember(&before);

        int err =
            mmap_map(&map, &(struct mmap_args){
                               .file = { .path = rows[i].path }, .access = MMAP_WRITE, .size = 1 });
        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, mmap_errname(err));
        expect_nothing_left(rows[i].path);
    }
    CloseHandle(locked);
}

Test(windows, a_file_that_would_be_empty_is_told_from_a_missing_folder)
{
    struct mmap map = { 0 };
    char slashes[MAX_PATH * 3];
    snprintf(slashes, sizeof slashes, "%s", path_of(L"new"));
    char verbatim[MAX_PATH * 3], missing[MAX_PATH * 3];
    snprintf(verbatim, sizeof verbatim, "\\\\?\\%s", path_of(L"new"));
    snprintf(missing, sizeof missing, "\\\\?\\%s", path_of(L"no\\new"));
    for (char *pos = slashes; *pos != '\0'; pos++)
        *pos = *pos == '\\' ? '/' : *pos;
    const struct {
        const char *path;
        int err;
    } rows[] = {
        { path_of(L"new"), MMAP_FILE_TOO_SHORT },
        { slashes, MMAP_FILE_TOO_SHORT },
        { "mring-no-such-file", MMAP_FILE_TOO_SHORT },
        { "C:mring-none", MMAP_FILE_TOO_SHORT },
        { path_of(L"no\\new"), MMAP_NOT_FOUND },
        { verbatim, MMAP_FILE_TOO_SHORT },
        { missing, MMAP_NOT_FOUND },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int err = mmap_map(
            &map, &(struct mmap_args){ .file = { .path = rows[i].path }, .access = MMAP_WRITE });
        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, mmap_errname(err));
    }
}

static int refuse(struct mmap *map, void *context)
{
    (void)map;
    (void)context;
    return 4711;
}

Test(windows, a_file_that_a_failed_call_made_is_removed)
{
    struct mmap map = { 0 };

    int err = mmap_map(&map, &(struct mmap_args){ .file = { .path = path_of(L"new") },
                                                  .access = MMAP_WRITE,
                                                  .size = 1,
                                                  .init = refuse });
    cr_assert_eq(err, 4711);
    cr_assert_not(exists(L"new"));
}

Test(windows, a_file_is_not_shortened_while_it_is_mapped)
{
    struct mmap map = { 0 };
    uint64_t size = 0;
    struct mmap_file file = { .path = path_of(L"file") };
    cr_assert_eq(
        mmap_map(&map, &(struct mmap_args){ .file = file, .access = MMAP_WRITE, .size = 3 * UNIT }),
        0);

    cr_assert_eq(mmap_set_filesize(&file, UNIT), ERROR_USER_MAPPED_FILE);
    cr_assert_eq(mmap_filesize(&file, &size), 0);
    cr_assert_eq(size, 3 * UNIT);
    cr_assert_eq(mmap_free(&map), 0);
    cr_assert_eq(mmap_set_filesize(&file, UNIT), 0);
}

Test(windows, a_descriptor_has_to_be_open)
{
    write_file(L"file", 10);
    struct mmap map = { 0 };
    int fd = _open(path_of(L"file"), _O_RDWR | _O_BINARY);
    cr_assert_geq(fd, 0);

    int err = mmap_map(&map, &(struct mmap_args){ .file = { .fd = &fd }, .access = MMAP_WRITE });
    cr_assert_eq(err, 0);
    _close(fd);
    cr_assert_eq(mmap_flush(&map, NULL, 0, false), 0);
    mmap_free(&map);
    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .fd = &fd } }), MMAP_INVALID_ARG);
}

Test(windows, what_a_stream_has_read_ahead_is_not_lost)
{
    write_file(L"file", 20);
    struct mmap map = { 0 };
    FILE *stream = fopen(path_of(L"file"), "r+b");
    cr_assert_eq(fgetc(stream), '0');
    cr_assert_eq(fgetc(stream), '1');

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .stream = stream } }), 0);

    cr_assert_eq(fgetc(stream), '2');
    mmap_free(&map);
    fclose(stream);
}

Test(windows, what_a_stream_has_yet_to_write_is_mapped)
{
    struct mmap map = { 0 };
    FILE *stream = fopen(path_of(L"file"), "w+b");
    cr_assert_geq(fputs("written", stream), 0);

    cr_assert_eq(mmap_map(&map, &(struct mmap_args){ .file = { .stream = stream } }), 0);

    cr_assert_eq(map.size, 7);
    cr_assert_eq(memcmp(map.addr, "written", 7), 0);
    mmap_free(&map);
    fclose(stream);
}

/* ---- access and sizes ------------------------------------------------------------------------ */

#if defined(__x86_64__) || defined(__i386__)
static const unsigned char code_of_42[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
#elif defined(__aarch64__)
static const unsigned char code_of_42[] = { 0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6 };
#endif

static int call(void *code)
{
    int (*function)(void);

    FlushInstructionCache(GetCurrentProcess(), code, sizeof code_of_42);
    memcpy(&function, &code, sizeof function);
    return function();
}

Test(windows, what_is_mapped_to_be_executed_is)
{
    struct mmap_file files[] = { { 0 },
                                 { .path = path_of(L"code") },
                                 { .tagname = tag_of("code") } };

    for (size_t i = 0; i < 3; i++) {
        struct mmap map = { 0 }, again = { 0 };
        int err = mmap_map(
            &map,
            &(struct mmap_args){ .file = files[i], .size = 100, .access = MMAP_WRITE | MMAP_EXEC });
        cr_assert_eq(err, 0, "row %zu: %s", i, mmap_errname(err));
        memcpy(map.addr, code_of_42, sizeof code_of_42);
        cr_expect_eq(call(map.addr), 42, "row %zu", i);
        for (unsigned access = 0; i > 0 && access <= MMAP_COPY; access += MMAP_COPY) {
            err = mmap_map(&again,
                           &(struct mmap_args){ .file = files[i], .access = access | MMAP_EXEC });
            cr_assert_eq(err, 0, "row %zu: %s", i, mmap_errname(err));
            cr_expect_eq(call(again.addr), 42, "row %zu", i);
            mmap_free(&again);
        }
        mmap_free(&map);
    }
}

/* The creator need not have asked for it. */
Test(windows, a_name_can_be_executed_by_who_attaches)
{
    struct mmap map = { 0 }, again = { 0 };
    struct mmap_file file = { .tagname = tag_of("code") };
    cr_assert_eq(
        mmap_map(&map, &(struct mmap_args){ .file = file, .size = 100, .access = MMAP_WRITE }), 0);
    memcpy(map.addr, code_of_42, sizeof code_of_42);

    int err = mmap_map(&again, &(struct mmap_args){ .file = file, .access = MMAP_EXEC });

    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    cr_assert_eq(call(again.addr), 42);
    mmap_free(&map);
    mmap_free(&again);
}

Test(windows, what_is_copied_on_write_stays_in_its_mapping)
{
    write_file(L"file", 100);
    struct mmap_file files[] = { { .path = path_of(L"file") }, { .tagname = tag_of("name") } };

    for (size_t i = 0; i < 2; i++) {
        struct mmap map = { 0 }, copy = { 0 };
        cr_assert_eq(
            mmap_map(&map,
                     &(struct mmap_args){ .file = files[i], .size = 100, .access = MMAP_WRITE }),
            0);
        int err = mmap_map(
            &copy,
            &(struct mmap_args){ .file = files[i], .access = MMAP_COPY, .flags = MMAP_PREFAULT });
        cr_assert_eq(err, 0, "row %zu: %s", i, mmap_errname(err));
        ((volatile char *)map.addr)[10] = 'm';
        cr_expect_neq(((volatile char *)copy.addr)[10], 'm', "prefaulting has not copied");
        ((volatile char *)copy.addr)[9] = 'c';
        cr_expect_neq(((volatile char *)map.addr)[9], 'c', "row %zu", i);
        cr_expect_eq(mmap_flush(&copy, NULL, 0, false), 0);
        mmap_free(&map);
        mmap_free(&copy);
    }
}

Test(windows, the_last_page_may_be_prefaulted_and_locked)
{
    struct mmap map = { 0 };
    write_file(L"file", 100);

    for (unsigned access = 0; access <= MMAP_COPY; access++) {
        int err = mmap_map(&map, &(struct mmap_args){ .file = { .path = path_of(L"file") },
                                                      .access = access,
                                                      .flags = MMAP_PREFAULT | MMAP_LOCK |
                                                               MMAP_DONTFORK | MMAP_NODUMP });
        cr_expect_eq(err, 0, "access %u: %s", access, mmap_errname(err));
        cr_expect_eq(mmap_free(&map), 0);
    }
}

Test(windows, sizes_and_offsets_have_64_bits)
{
    struct mmap map = { 0 }, name = { 0 }, again = { 0 };
    uint64_t size = 0;
    HANDLE handle = open_handle(L"file", GENERIC_READ | GENERIC_WRITE, SHARE_ALL);
    DWORD count;
    DeviceIoControl(handle, FSCTL_SET_SPARSE, NULL, 0, NULL, 0, &count, NULL);
    struct mmap_file file = { .handle = handle };
    struct mmap_args args = {
        .file = file, .access = MMAP_WRITE, .size = 70000, .offset = 5 * GIB
    };

    int err = mmap_map(&map, &args);
    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    cr_assert_eq(mmap_filesize(&file, &size), 0);
    cr_assert_eq(size, 5 * GIB + 70000);
    ((char *)map.addr)[69999] = 'x';
    mmap_free(&map);
    char byte = 0;
    SetFilePointerEx(handle, (LARGE_INTEGER){ .QuadPart = 5 * (LONGLONG)GIB + 69999 }, NULL,
                     FILE_BEGIN);
    cr_assert(ReadFile(handle, &byte, 1, &count, NULL));
    cr_assert_eq(byte, 'x');
    args.offset += UNIT;
    args.size = 0;
    cr_assert_eq(mmap_map(&map, &args), 0);
    cr_assert_eq(map.size, 70000 - UNIT);
    cr_assert_eq(((char *)map.addr)[69999 - UNIT], 'x');
    mmap_free(&map);
    CloseHandle(handle);

    struct mmap_args large = { .file = { .tagname = tag_of("large") },
                               .access = MMAP_WRITE,
                               .size = 4 * GIB + 12345 };
    err = mmap_map(&name, &large);
    if (sizeof(size_t) == 4 || err == MMAP_OUT_OF_MEM)
        cr_skip_test("this machine has not the memory for a name of 4 GiB");
    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    ((char *)name.addr)[large.size - 1] = 'x';
    large.size = 0;
    cr_assert_eq(mmap_map(&again, &large), 0);
    cr_assert_eq(again.size, 4 * GIB + 12345);
    cr_assert_eq(((char *)again.addr)[again.size - 1], 'x');
    mmap_free(&name);
    mmap_free(&again);
}

/* ---- names ----------------------------------------------------------------------------------- */

static int map_name(struct mmap *map, const char *tagname, uint64_t size)
{
    return mmap_map(map, &(struct mmap_args){ .file = { .tagname = tagname },
                                              .access = size == 0 ? MMAP_READ : MMAP_WRITE,
                                              .size = size });
}

Test(windows, a_name_ends_with_its_last_mapping)
{
    struct mmap first = { 0 }, second = { 0 }, third = { 0 };
    const char *tagname = tag_of("name");
    cr_assert_eq(map_name(&first, tagname, 100), 0);
    *(char *)first.addr = 'x';
    state_remember(&before);
    cr_assert_eq(map_name(&second, tagname, 0), 0);

    cr_assert_eq(mmap_free(&first), 0);
    cr_assert_eq(map_name(&third, tagname, 0), 0, "one is left");
    cr_assert_eq(*(char *)third.addr, 'x');
    cr_assert_eq(mmap_free(&second), 0);
    cr_assert_eq(mmap_free(&third), 0);

    cr_assert_eq(map_name(&third, tagname, 0), MMAP_NOT_FOUND, "none is left");
    cr_assert_eq(map_name(&third, tagname, 50), 0);
    cr_assert(third.created);
    cr_assert_eq(third.size, 50);
    cr_assert_eq(*(char *)third.addr, 0, "it is another one");
    mmap_free(&third);
}

Test(windows, mappings_of_a_name_leave_nothing_behind)
{
    struct mmap map = { 0 }, again = { 0 };
    const char *tagname = tag_of("name");
    cr_assert_eq(map_name(&map, tagname, 100), 0);
    mmap_free(&map);
    state_remember(&before);

    for (int i = 0; i < 20; i++) {
        cr_assert_eq(map_name(&map, tagname, 1 + 1000 * (uint64_t)i), 0);
        cr_assert_eq(map_name(&again, tagname, 0), 0);
        cr_assert_eq(map_name(&again, tagname, 1 << 20), MMAP_FILE_TOO_SHORT);
        mmap_free(&map);
        mmap_free(&again);
    }
    expect_nothing_left("a name");
}

Test(windows, unlink_does_nothing_and_succeeds)
{
    struct mmap map = { 0 }, again = { 0 };
    const char *tagname = tag_of("name");
    cr_assert_eq(map_name(&map, tagname, 100), 0);

    cr_assert_eq(mmap_unlink(tagname), 0);
    cr_assert_eq(map_name(&again, tagname, 0), 0);
    cr_assert_eq(mmap_unlink(tag_of("no such name")), 0);
    cr_assert_eq(mmap_unlink("a:b"), MMAP_INVALID_ARG);
    mmap_free(&map);
    mmap_free(&again);
}

Test(windows, a_name_tells_its_exact_size)
{
    static const uint64_t sizes[] = { 1, 4095, 4096, 4097, 65536, 65537, 1000001 };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct mmap map = { 0 }, again = { 0 };
        uint64_t size = 0;
        const char *tagname = tag_of("name");

        cr_assert_eq(map_name(&map, tagname, sizes[i]), 0);
        cr_assert_eq(map_name(&again, tagname, 0), 0);
        cr_expect_eq(again.size, sizes[i]);
        cr_expect_eq(mmap_filesize(&(struct mmap_file){ .tagname = tagname }, &size), 0);
        cr_expect_eq(size, sizes[i]);
        cr_expect_eq(map_name(&again, tagname, sizes[i] + 1), MMAP_FILE_TOO_SHORT);
        mmap_free(&map);
        mmap_free(&again);
    }
}

Test(windows, the_longest_tagname_and_unicode_lead_somewhere)
{
    char longest[MMAP_TAGNAME_MAX + 1];
    memset(longest, 'n', MMAP_TAGNAME_MAX);
    longest[MMAP_TAGNAME_MAX] = '\0';
    const char *names[] = { longest, tag_of("\xe3\x83\x95\xc3\xa9") };

    for (size_t i = 0; i < 2; i++) {
        struct mmap map = { 0 }, again = { 0 };
        cr_expect_eq(map_name(&map, names[i], 10), 0, "row %zu", i);
        cr_expect_eq(map_name(&again, names[i], 0), 0, "row %zu", i);
        mmap_free(&map);
        mmap_free(&again);
    }
}

Test(windows, upper_and_lower_case_are_different_names)
{
    struct mmap map = { 0 }, other = { 0 };
    cr_assert_eq(map_name(&map, tag_of("name"), 10), 0);

    cr_assert_eq(map_name(&other, tag_of("NAME"), 0), MMAP_NOT_FOUND);
    mmap_free(&map);
}

static struct mmap winner;

/* The directory of a name, as the library makes it. */
static HANDLE open_directory(const char *tagname)
{
    char name[300];

    snprintf(name, sizeof name, "Local\\mring-name.%s", tagname);
    return OpenFileMappingA(FILE_MAP_READ | FILE_MAP_WRITE, FALSE, name);
}

Test(windows, a_directory_that_leads_nowhere_is_none)
{
    struct mmap map = { 0 }, again = { 0 };
    const char *tagname = tag_of("name");
    cr_assert_eq(map_name(&map, tagname, 10), 0);
    HANDLE directory = open_directory(tagname);
    cr_assert_neq(directory, NULL);
    mmap_free(&map);
    state_remember(&before);

    cr_expect_eq(map_name(&again, tagname, 0), MMAP_NOT_FOUND);
    cr_expect_eq(mmap_filesize(&(struct mmap_file){ .tagname = tagname }, &(uint64_t){ 0 }),
                 MMAP_NOT_FOUND);
    expect_nothing_left("a directory that leads nowhere");
    cr_assert_eq(map_name(&map, tagname, 20), 0);
    cr_assert(map.created);
    cr_assert_eq(map_name(&again, tagname, 0), 0);
    cr_assert_eq(again.size, 20);
    mmap_free(&map);
    mmap_free(&again);
    CloseHandle(directory);
}

Test(windows, an_empty_directory_is_none)
{
    struct mmap map = { 0 };
    const char *tagname = tag_of("name");
    cr_assert_eq(map_name(&map, tagname, 10), 0);
    HANDLE directory = open_directory(tagname);
    uint64_t *word = MapViewOfFile(directory, FILE_MAP_WRITE, 0, 0, sizeof *word);
    cr_assert_neq(word, NULL);
    *word = 0;

    int err = map_name(&winner, tagname, 0);
    cr_assert_eq(err, MMAP_NOT_FOUND, "%s", mmap_errname(err));
    cr_assert_eq(map_name(&winner, tagname, 10), 0);
    cr_assert(winner.created);
    cr_assert_neq(*word, 0);
    mmap_free(&map);
    mmap_free(&winner);
}

Test(windows, a_name_that_belongs_to_something_else_is_denied)
{
    char name[300];
    struct mmap map = { 0 };
    const char *tagname = tag_of("event");
    snprintf(name, sizeof name, "Local\\mring-name.%s", tagname);
    HANDLE event = CreateEventA(NULL, FALSE, FALSE, name);
    cr_assert_neq(event, NULL);
    state_remember(&before);

    cr_expect_eq(map_name(&map, tagname, 0), MMAP_ACCESS_DENIED);
    cr_expect_eq(map_name(&map, tagname, 10), MMAP_ACCESS_DENIED);
    expect_nothing_left("a squatted name");
    CloseHandle(event);
}

static void expect_users_alone(const char *name)
{
    HANDLE section = OpenFileMappingA(READ_CONTROL, FALSE, name);

    cr_assert_neq(section, NULL, "%s", name);
    cr_expect(is_of_user_alone(section), "%s", name);
    CloseHandle(section);
}

Test(windows, both_objects_of_a_name_are_of_their_user_alone)
{
    struct mmap map = { 0 };
    const char *tagname = tag_of("own");
    char name[300];
    cr_assert_eq(map_name(&map, tagname, 10), 0);

    snprintf(name, sizeof name, "Local\\mring-name.%s", tagname);
    expect_users_alone(name);
    HANDLE directory = OpenFileMappingA(FILE_MAP_READ, FALSE, name);
    cr_assert_neq(directory, NULL);
    const ULONG64 *id = MapViewOfFile(directory, FILE_MAP_READ, 0, 0, sizeof *id);
    cr_assert_not_null(id);
    snprintf(name, sizeof name, "Local\\mring-object.%016llx", *id);
    UnmapViewOfFile(id);
    CloseHandle(directory);
    expect_users_alone(name);
    mmap_free(&map);
}

/* What somebody else might have put there for us to find. */
static HANDLE make_foreign_directory(const char *tagname)
{
    unsigned char everyone[SECURITY_MAX_SID_SIZE];
    DWORD size = sizeof everyone;
    SECURITY_DESCRIPTOR descriptor;
    SECURITY_ATTRIBUTES attributes = { sizeof attributes, &descriptor, FALSE };
    char name[300];

    if (!CreateWellKnownSid(WinWorldSid, NULL, everyone, &size) ||
        !InitializeSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION) ||
        !SetSecurityDescriptorOwner(&descriptor, everyone, FALSE) ||
        !SetSecurityDescriptorDacl(&descriptor, TRUE, NULL, FALSE))
        return NULL;
    snprintf(name, sizeof name, "Local\\mring-name.%s", tagname);
    return CreateFileMappingA(INVALID_HANDLE_VALUE, &attributes, PAGE_READWRITE, 0, 4096, name);
}

Test(windows, a_name_of_another_owner_is_denied)
{
    struct mmap map = { 0 };
    const char *tagname = tag_of("foreign");
    HANDLE directory = make_foreign_directory(tagname);
    if (directory == NULL)
        cr_skip_test("this user may not make an object of another owner");
    state_remember(&before);

    cr_expect_eq(map_name(&map, tagname, 0), MMAP_ACCESS_DENIED);
    cr_expect_eq(map_name(&map, tagname, 10), MMAP_ACCESS_DENIED);
    expect_nothing_left("a foreign name");
    int err = mmap_map(&map, &(struct mmap_args){ .file = { .tagname = tagname },
                                                  .access = MMAP_WRITE,
                                                  .size = 10,
                                                  .flags = MMAP_ANY_OWNER });
    cr_expect_eq(err, 0, "%s", mmap_errname(err));
    mmap_free(&map);
    CloseHandle(directory);
}

/* Somebody else publishes while this one fills. */
static int lose_the_race(struct mmap *map, void *context)
{
    *(char *)map->addr = 'l';
    if (winner.addr == NULL)
        cr_assert_eq(map_name(&winner, context, 30), 0);
    return 0;
}

Test(windows, who_comes_second_attaches_to_the_first)
{
    struct mmap map = { 0 };
    const char *tagname = tag_of("name");

    int err = mmap_map(&map, &(struct mmap_args){ .file = { .tagname = tagname },
                                                  .access = MMAP_WRITE,
                                                  .size = 20,
                                                  .init = lose_the_race,
                                                  .context = (void *)(uintptr_t)tagname });
    cr_assert_eq(err, 0);
    cr_assert_not(map.created);
    cr_assert_eq(*(char *)map.addr, 0);
    *(char *)winner.addr = 'w';
    cr_assert_eq(*(volatile char *)map.addr, 'w');
    mmap_free(&map);

    err = mmap_map(&map, &(struct mmap_args){ .file = { .tagname = tagname },
                                              .access = MMAP_WRITE,
                                              .size = 20,
                                              .flags = MMAP_EXCLUSIVE });
    cr_assert_eq(err, MMAP_EXISTS);
    mmap_free(&winner);
    err = mmap_map(&map, &(struct mmap_args){ .file = { .tagname = tagname },
                                              .access = MMAP_WRITE,
                                              .size = 20,
                                              .flags = MMAP_EXCLUSIVE });
    cr_assert_eq(err, 0, "%s", mmap_errname(err));
    mmap_free(&map);
}

/* Not before it is filled. */
static int look_for_it(struct mmap *map, void *context)
{
    struct mmap other = { 0 };

    (void)map;
    return map_name(&other, context, 0) == MMAP_NOT_FOUND ? 0 : 4711;
}

Test(windows, a_name_is_seen_when_it_is_complete)
{
    struct mmap map = { 0 };
    const char *tagname = tag_of("name");

    int err = mmap_map(&map, &(struct mmap_args){ .file = { .tagname = tagname },
                                                  .access = MMAP_WRITE,
                                                  .size = 20,
                                                  .init = look_for_it,
                                                  .context = (void *)(uintptr_t)tagname });
    cr_assert_eq(err, 0);
    mmap_free(&map);
}

/* ---- messages -------------------------------------------------------------------------------- */

Test(windows, each_code_has_a_message_of_one_line)
{
    char text[200], small[8];

    for (int code = 1; code < 20000; code += code < 2000 ? 1 : 997) {
        cr_expect_eq(mmap_errmsg(code, text, sizeof text), text);
        cr_expect_neq(text[0], '\0', "code %d", code);
        cr_expect_null(strpbrk(text, "\r\n"), "code %d: %s", code, text);
        cr_expect_neq(text[strlen(text) - 1], ' ', "code %d: %s", code, text);
    }
    cr_expect_lt(strlen(mmap_errmsg(ERROR_USER_MAPPED_FILE, small, sizeof small)), sizeof small);
}
