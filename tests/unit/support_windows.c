/* SPDX-License-Identifier: MIT */
#include "support_system.h"

#include "support.h"

#include <fcntl.h> /* the tests' own: windows_lacks() */
#include <stdlib.h>
#include <windows.h>

/* ---- files ----------------------------------------------------------------------------------- */

const char *support_root(void)
{
    const char *root = getenv("TEMP");

    return root != NULL ? root : ".";
}

const char *support_names_folder(void)
{
    return "names are no files";
}

const char *support_shm_path(const char *tagname)
{
    (void)tagname;
    windows_lacks("/dev/shm");
}

static const wchar_t *wide(const char *text)
{
    static wchar_t buffer[600];

    if (MultiByteToWideChar(CP_UTF8, 0, text, -1, buffer, 600) == 0)
        support_die(text);
    return buffer;
}

/* What is visible of it is a word that is 0 until the name leads somewhere. */
bool support_name_exists(const char *tagname)
{
    char name[300];

    snprintf(name, sizeof name, "Local\\mring-name.%s", tagname);
    HANDLE section = OpenFileMappingW(FILE_MAP_READ, FALSE, wide(name));
    const uint64_t *word = section != NULL ? MapViewOfFile(section, FILE_MAP_READ, 0, 0, 8) : NULL;
    bool exists = word != NULL && *word != 0;

    if (word != NULL)
        UnmapViewOfFile(word);
    if (section != NULL)
        CloseHandle(section);
    return exists;
}

FILE *support_open(const char *path, const char *mode)
{
    wchar_t wide_mode[4] = { (wchar_t)mode[0], (wchar_t)mode[1] };

    return _wfopen(wide(path), wide_mode);
}

bool support_stat(const char *path, uint64_t *size)
{
    WIN32_FILE_ATTRIBUTE_DATA data;

    if (!GetFileAttributesExW(wide(path), GetFileExInfoStandard, &data))
        return false;
    *size = (uint64_t)data.nFileSizeHigh << 32 | data.nFileSizeLow;
    return true;
}

/* A test may leave a file open, or mapped: then it stays, and its folder, too. */
void support_remove(const char *path)
{
    SetFileAttributesW(wide(path), FILE_ATTRIBUTE_NORMAL);
    if (!DeleteFileW(wide(path)))
        RemoveDirectoryW(wide(path));
}

unsigned support_file_mode(const char *path)
{
    (void)path;
    windows_lacks("the mode of a file");
}

/* By the order of the file system; no more than the tests make. */
void support_for_each_entry(const char *path, const char *prefix,
                            void (*visit)(const char *path, void *context), void *context)
{
    char text[600], name[300];
    WIN32_FIND_DATAW entry;

    snprintf(text, sizeof text, "%s/%s*", path, prefix);
    HANDLE search = FindFirstFileW(wide(text), &entry);
    if (search == INVALID_HANDLE_VALUE)
        return;
    do {
        WideCharToMultiByte(CP_UTF8, 0, entry.cFileName, -1, name, sizeof name, NULL, NULL);
        snprintf(text, sizeof text, "%s/%s", path, name);
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            visit(text, context);
    } while (FindNextFileW(search, &entry));
    FindClose(search);
}

uint64_t support_file_blocks(const char *path)
{
    DWORD high = 0;
    DWORD low = GetCompressedFileSizeA(path, &high);

    return low == INVALID_FILE_SIZE && GetLastError() != NO_ERROR ? UINT64_MAX
                                                                  : (uint64_t)high << 32 | low;
}

/* ---- the system ------------------------------------------------------------------------------ */

const bool support_is_windows = true;

void support_needs_posix(const char *what)
{
    windows_lacks(what);
}

/* Without the end of its line. */
const char *support_message(int code)
{
    static char text[300];

    FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, (DWORD)code, 0,
                   text, sizeof text, NULL);
    text[strcspn(text, "\r\n")] = '\0';
    return text;
}

/* ---- resources of the process ---------------------------------------------------------------- */

/* Handles: descriptors have one each. */
size_t support_fd_count(void)
{
    DWORD count = 0;

    if (!GetProcessHandleCount(GetCurrentProcess(), &count))
        support_die("GetProcessHandleCount");
    return count;
}

/* Nothing tells. But what was about to sleep does so by then. */
bool support_is_asleep(uint32_t tid)
{
    (void)tid;
    Sleep(20);
    return true;
}

uint64_t support_status(const char *field)
{
    windows_lacks(field);
}

bool support_has_vm_flag(const void *addr, const char *flag)
{
    (void)addr;
    windows_lacks(flag);
}

bool support_has_advice(void)
{
    windows_lacks("madvise()");
}

bool support_has_alias(void)
{
    windows_lacks("mremap()");
}

bool support_has_far_offsets(void)
{
    return true;
}

bool support_has_whole_pages(void)
{
    return true;
}

bool support_limit_addresses(void)
{
    windows_lacks("setrlimit()");
}

/*
 * Whole reservations, whatever is done in them, without their access, which changes by itself in
 * heaps and stacks.
 */
void support_list_maps(char *list, size_t size)
{
    MEMORY_BASIC_INFORMATION region;
    uintptr_t joined_start = 0, joined_end = 0;
    size_t length = 0;

    list[0] = '\0';
    for (uintptr_t at = 0; VirtualQuery((void *)at, &region, sizeof region) != 0;
         at = (uintptr_t)region.BaseAddress + region.RegionSize) {
        if (region.State == MEM_FREE || region.Type == MEM_IMAGE)
            continue;
        if ((uintptr_t)region.AllocationBase == joined_start) {
            joined_end = (uintptr_t)region.BaseAddress + region.RegionSize;
            continue;
        }
        length +=
            (size_t)snprintf(list + length, size - length, "%llx-%llx\n",
                             (unsigned long long)joined_start, (unsigned long long)joined_end);
        joined_start = (uintptr_t)region.AllocationBase;
        joined_end = (uintptr_t)region.BaseAddress + region.RegionSize;
        if (length >= size)
            abort();
    }
    snprintf(list + length, size - length, "%llx-%llx\n", (unsigned long long)joined_start,
             (unsigned long long)joined_end);
}

/* ---- children -------------------------------------------------------------------------------- */

const char *support_child(support_body *body, void *context)
{
    (void)body;
    (void)context;
    windows_lacks("fork()");
}

const char *support_child_in_small_tmpfs(const char *mount_point, support_body *body, void *context)
{
    (void)mount_point;
    (void)body;
    (void)context;
    windows_lacks("tmpfs");
}

bool support_become_nobody(void)
{
    windows_lacks("setuid()");
}
