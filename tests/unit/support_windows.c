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

/* By the order of the file system; no more than the tests make. */
void support_for_each_entry(const char *path, const char *prefix,
                            void (*visit)(const char *path, void *context), void *context)
{
    char text[600];
    WIN32_FIND_DATAA entry;

    snprintf(text, sizeof text, "%s/%s*", path, prefix);
    HANDLE search = FindFirstFileA(text, &entry);
    if (search == INVALID_HANDLE_VALUE)
        return;
    do {
        snprintf(text, sizeof text, "%s/%s", path, entry.cFileName);
        if (strcmp(entry.cFileName, ".") != 0 && strcmp(entry.cFileName, "..") != 0)
            visit(text, context);
    } while (FindNextFileA(search, &entry));
    FindClose(search);
}

uint64_t support_file_blocks(const char *path)
{
    DWORD high = 0;
    DWORD low = GetCompressedFileSizeA(path, &high);

    return low == INVALID_FILE_SIZE && GetLastError() != NO_ERROR ? UINT64_MAX
                                                                  : (uint64_t)high << 32 | low;
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

uint64_t support_status(const char *field)
{
    windows_lacks(field);
}

bool support_has_vm_flag(const void *addr, const char *flag)
{
    (void)addr;
    windows_lacks(flag);
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
