/* SPDX-License-Identifier: MIT */
#define INJECT_WINDOWS_ITSELF
#include "inject_windows_calls.h"

#include "inject_windows.h"

#include <stdlib.h>
#include <string.h>

#define REPLACE_PLACEHOLDER  0x00004000u
#define RESERVE_PLACEHOLDER  0x00040000u
#define PRESERVE_PLACEHOLDER 0x00000002u

/* ---- the plan -------------------------------------------------------------------------------- */

static struct {
    bool armed;
    const char *function;
    unsigned passing; /* calls that go through, and then calls that fail */
    unsigned failing;
    unsigned count;
    DWORD code;
    const char *hit;
    void (*meanwhile)(void *at);
} plan;

void inject_row(const char *function, unsigned k, unsigned count, DWORD code)
{
    plan.armed = true;
    plan.function = function;
    plan.passing = k - 1;
    plan.failing = count;
    plan.count = 0;
    plan.code = code;
    plan.hit = NULL;
}

void inject_nth(const char *function, unsigned k, DWORD code)
{
    inject_row(function, k, 1, code);
}

void inject_meanwhile(void (*meanwhile)(void *at))
{
    plan.meanwhile = meanwhile;
}

const char *inject_stop(void)
{
    plan.armed = false;
    plan.meanwhile = NULL;
    return plan.hit;
}

unsigned inject_count(void)
{
    return plan.count;
}

/* The code that this call fails with, or 0. */
static DWORD next_code(const char *function, void *at)
{
    if (!plan.armed || (plan.function != NULL && strcmp(plan.function, function) != 0))
        return 0;
    plan.count++;
    if (plan.passing > 0) {
        plan.passing--;
        return 0;
    }
    if (plan.failing == 0)
        return 0;
    plan.failing--;
    plan.hit = function;
    if (plan.meanwhile != NULL)
        plan.meanwhile(at);
    return plan.code;
}

static bool fails_at(const char *function, void *at)
{
    DWORD code = next_code(function, at);

    SetLastError(code);
    return code != 0;
}

static bool fails(const char *function)
{
    return fails_at(function, NULL);
}

/* What only gives back fails when it is named, and has no other way out. */
static bool giving_back_fails(const char *function, void *at)
{
    return plan.function != NULL && fails_at(function, at);
}

/* A success leaves behind whatever it likes. */
static bool noisy(bool success)
{
    if (success)
        SetLastError(ERROR_ARENA_TRASHED);
    return success;
}

/* ---- placeholders ---------------------------------------------------------------------------- */

static struct {
    bool enabled, refuse_pages, old_functions;
    size_t count;
    struct {
        unsigned char *base;
        size_t size;
    } ranges[64];
    size_t step_count;
    struct inject_step steps[256];
} fake;

void inject_placeholders(bool refuse_pages)
{
    fake.enabled = true;
    fake.refuse_pages = refuse_pages;
}

void inject_old_functions(void)
{
    fake.old_functions = true;
}

size_t inject_steps(const struct inject_step **steps)
{
    *steps = fake.steps;
    return fake.step_count;
}

void inject_forget_steps(void)
{
    fake.step_count = 0;
}

size_t inject_placeholder_count(void)
{
    return fake.count;
}

static void note(int kind, void *at, size_t size, uint64_t offset, ULONG type, ULONG protection)
{
    if (fake.step_count == sizeof fake.steps / sizeof *fake.steps)
        abort();
    struct inject_step *step = &fake.steps[fake.step_count++];
    step->kind = kind;
    step->at = at;
    step->size = size;
    step->offset = offset;
    step->type = type;
    step->protection = protection;
}

/* A placeholder by its first byte, or -1. */
static int find(const void *base)
{
    for (size_t i = 0; i < fake.count; i++) {
        if (fake.ranges[i].base == base)
            return (int)i;
    }
    return -1;
}

static void add(void *base, size_t size)
{
    if (fake.count == sizeof fake.ranges / sizeof *fake.ranges)
        abort();
    fake.ranges[fake.count].base = base;
    fake.ranges[fake.count++].size = size;
}

static void forget(int index)
{
    fake.ranges[index] = fake.ranges[--fake.count];
}

static void *refuse(DWORD code)
{
    SetLastError(code);
    return NULL;
}

/* At a multiple of the unit, which takes looking for one. */
static void *reserve_placeholder(void *base, SIZE_T size)
{
    if (base == NULL) {
        void *start = VirtualAlloc(NULL, size + INJECT_UNIT, MEM_RESERVE, PAGE_NOACCESS);
        if (start == NULL)
            return NULL;
        base = (void *)(((uintptr_t)start + INJECT_UNIT - 1) & ~(uintptr_t)(INJECT_UNIT - 1));
        VirtualFree(start, 0, MEM_RELEASE);
    }
    if ((uintptr_t)base % INJECT_UNIT != 0 || size % INJECT_PAGE != 0)
        return refuse(ERROR_INVALID_PARAMETER);
    void *start = VirtualAlloc(base, size, MEM_RESERVE, PAGE_NOACCESS);
    if (start != NULL)
        add(start, size);
    return start;
}

/* Make room for what replaces exactly one placeholder. */
static bool take_placeholder(void *base, SIZE_T size)
{
    int index = find(base);

    if (index < 0 || fake.ranges[index].size != size) {
        SetLastError(ERROR_INVALID_ADDRESS);
        return false;
    }
    forget(index);
    return VirtualFree(base, 0, MEM_RELEASE);
}

static void *WINAPI fake_VirtualAlloc2(HANDLE process, void *base, SIZE_T size, ULONG type,
                                       ULONG protection, void *parameters, ULONG count)
{
    if (fake.old_functions || process != GetCurrentProcess() || parameters != NULL || count != 0)
        return refuse(ERROR_INVALID_PARAMETER);
    if (fails_at("VirtualAlloc2", base))
        return NULL;
    if (type == (MEM_RESERVE | RESERVE_PLACEHOLDER) && protection == PAGE_NOACCESS) {
        void *start = reserve_placeholder(base, size);
        note(STEP_RESERVE, start, size, 0, type, protection);
        return start;
    }
    if (type != (MEM_RESERVE | MEM_COMMIT | REPLACE_PLACEHOLDER) || !take_placeholder(base, size))
        return refuse(ERROR_INVALID_PARAMETER);
    note(STEP_COMMIT, base, size, 0, type, protection);
    return VirtualAlloc(base, size, MEM_RESERVE | MEM_COMMIT, protection);
}

static DWORD view_access(ULONG protection)
{
    switch (protection) {
    case PAGE_READONLY:
        return FILE_MAP_READ;
    case PAGE_READWRITE:
        return FILE_MAP_READ | FILE_MAP_WRITE;
    case PAGE_WRITECOPY:
        return FILE_MAP_COPY;
    case PAGE_EXECUTE_READ:
        return FILE_MAP_READ | FILE_MAP_EXECUTE;
    case PAGE_EXECUTE_READWRITE:
        return FILE_MAP_READ | FILE_MAP_WRITE | FILE_MAP_EXECUTE;
    case PAGE_EXECUTE_WRITECOPY:
        return FILE_MAP_COPY | FILE_MAP_EXECUTE;
    default:
        abort();
    }
}

/* A size of 0 is that of the placeholder, as the tests have it. */
static void *WINAPI fake_MapViewOfFile3(HANDLE section, HANDLE process, void *base, ULONG64 offset,
                                        SIZE_T size, ULONG type, ULONG protection, void *parameters,
                                        ULONG count)
{
    if (process != GetCurrentProcess() || parameters != NULL || count != 0 ||
        !(type & REPLACE_PLACEHOLDER))
        return refuse(ERROR_INVALID_PARAMETER);
    if (fails_at("MapViewOfFile3", base))
        return NULL;
    if ((uintptr_t)base % INJECT_PAGE != 0 || offset % INJECT_PAGE != 0)
        return refuse(ERROR_MAPPED_ALIGNMENT);
    if (fake.refuse_pages && ((uintptr_t)base % INJECT_UNIT != 0 || offset % INJECT_UNIT != 0))
        return refuse(ERROR_MAPPED_ALIGNMENT);
    int index = find(base);
    if (index < 0)
        return refuse(ERROR_INVALID_ADDRESS);
    SIZE_T whole = (size + INJECT_PAGE - 1) & ~(SIZE_T)(INJECT_PAGE - 1);
    if (!take_placeholder(base, size == 0 ? fake.ranges[index].size : whole))
        return NULL;
    note(STEP_MAP, base, size, offset, type, protection);
    return MapViewOfFileEx(section, view_access(protection), (DWORD)(offset >> 32), (DWORD)offset,
                           size, base);
}

static bool split(unsigned char *base, SIZE_T size)
{
    int index = find(base);

    if (index < 0 || fake.ranges[index].size <= size || size % INJECT_PAGE != 0) {
        SetLastError(ERROR_INVALID_ADDRESS);
        return false;
    }
    SIZE_T rest = fake.ranges[index].size - size;
    VirtualFree(base, 0, MEM_RELEASE);
    forget(index);
    add(base, size);
    add(base + size, rest);
    note(STEP_SPLIT, base, size, 0, 0, 0);
    return VirtualAlloc(base, size, MEM_RESERVE, PAGE_NOACCESS) != NULL &&
           VirtualAlloc(base + size, rest, MEM_RESERVE, PAGE_NOACCESS) != NULL;
}

void WINAPI inject_GetSystemInfo(SYSTEM_INFO *info)
{
    GetSystemInfo(info);
    if (fake.enabled) {
        info->dwPageSize = (DWORD)INJECT_PAGE;
        info->dwAllocationGranularity = (DWORD)INJECT_UNIT;
    }
}

/* ---- calls about memory ---------------------------------------------------------------------- */

FARPROC WINAPI inject_GetProcAddress(HMODULE library, LPCSTR name)
{
    bool is_alloc = strcmp(name, "VirtualAlloc2") == 0;

    if (fails("GetProcAddress"))
        return NULL;
    if (!is_alloc && strcmp(name, "MapViewOfFile3") != 0)
        return GetProcAddress(library, name);
    if (!fake.enabled && !fake.old_functions)
        return NULL;
    return is_alloc ? (FARPROC)(void (*)(void))fake_VirtualAlloc2
                    : (FARPROC)(void (*)(void))fake_MapViewOfFile3;
}

/* A placeholder can't be used as if it were a reservation. */
void *WINAPI inject_VirtualAlloc(void *at, SIZE_T size, DWORD type, DWORD protection)
{
    if (fails_at("VirtualAlloc", at))
        return NULL;
    if (find(at) >= 0)
        return refuse(ERROR_INVALID_ADDRESS);
    void *start = VirtualAlloc(at, size, type, protection);
    noisy(start != NULL);
    return start;
}

BOOL WINAPI inject_VirtualFree(void *at, SIZE_T size, DWORD type)
{
    bool splits = type == (MEM_RELEASE | PRESERVE_PLACEHOLDER);

    if (splits ? fails_at("split", at) : giving_back_fails("VirtualFree", at))
        return FALSE;
    if (splits)
        return noisy(split(at, size));
    if (find(at) >= 0) {
        note(STEP_FREE, at, fake.ranges[find(at)].size, 0, type, 0);
        forget(find(at));
    }
    return noisy(VirtualFree(at, size, type));
}

/* Never said to fail in the documentation of what it is asked for here, but it is checked. */
SIZE_T WINAPI inject_VirtualQuery(const void *at, MEMORY_BASIC_INFORMATION *info, SIZE_T size)
{
    if (plan.function != NULL && fails("VirtualQuery"))
        return 0;
    return VirtualQuery(at, info, size);
}

BOOL WINAPI inject_UnmapViewOfFile(const void *addr)
{
    if (giving_back_fails("UnmapViewOfFile", (void *)(uintptr_t)addr))
        return FALSE;
    return noisy(UnmapViewOfFile(addr));
}

BOOL WINAPI inject_CloseHandle(HANDLE handle)
{
    return noisy(CloseHandle(handle));
}

/* The addresses of a view may be another thread's by now. */
void *WINAPI inject_MapViewOfFileEx(HANDLE section, DWORD access, DWORD high, DWORD low,
                                    SIZE_T size, void *at)
{
    if (fails_at("MapViewOfFileEx", at))
        return NULL;
    void *start = MapViewOfFileEx(section, access, high, low, size, at);
    noisy(start != NULL);
    return start;
}

/* ---- other calls ----------------------------------------------------------------------------- */

/* Declared elsewhere: what fails, and else the call itself. */
#define CALL(result, name, failure, parameters, arguments)                                         \
    result WINAPI inject_##name parameters                                                         \
    {                                                                                              \
        return fails(#name) ? failure : name arguments;                                            \
    }

CALL(BOOL, AddAccessAllowedAce, FALSE, (PACL acl, DWORD revision, DWORD mask, PSID sid),
     (acl, revision, mask, sid))
CALL(HANDLE, CreateFileMappingW, NULL,
     (HANDLE file, SECURITY_ATTRIBUTES *attributes, DWORD protection, DWORD high, DWORD low,
      LPCWSTR name),
     (file, attributes, protection, high, low, name))
CALL(HANDLE, CreateFileW, INVALID_HANDLE_VALUE,
     (LPCWSTR path, DWORD access, DWORD share, SECURITY_ATTRIBUTES *attributes, DWORD disposition,
      DWORD flags, HANDLE model),
     (path, access, share, attributes, disposition, flags, model))
CALL(BOOL, DuplicateHandle, FALSE,
     (HANDLE from, HANDLE handle, HANDLE to, HANDLE *result, DWORD access, BOOL inherit,
      DWORD options),
     (from, handle, to, result, access, inherit, options))
CALL(BOOL, FlushFileBuffers, FALSE, (HANDLE file), (file))
CALL(BOOL, FlushViewOfFile, FALSE, (const void *addr, SIZE_T length), (addr, length))
CALL(DWORD, FormatMessageW, 0,
     (DWORD flags, const void *source, DWORD code, DWORD language, LPWSTR text, DWORD size,
      va_list *arguments),
     (flags, source, code, language, text, size, arguments))
CALL(DWORD, GetFileAttributesW, INVALID_FILE_ATTRIBUTES, (LPCWSTR path), (path))
CALL(BOOL, GetFileInformationByHandleEx, FALSE,
     (HANDLE file, FILE_INFO_BY_HANDLE_CLASS kind, void *info, DWORD size),
     (file, kind, info, size))
CALL(DWORD, GetFileType, FILE_TYPE_UNKNOWN, (HANDLE file), (file))
CALL(BOOL, GetKernelObjectSecurity, FALSE,
     (HANDLE handle, SECURITY_INFORMATION kind, PSECURITY_DESCRIPTOR descriptor, DWORD size,
      DWORD *needed),
     (handle, kind, descriptor, size, needed))
CALL(SIZE_T, GetLargePageMinimum, 0, (void), ())
CALL(HMODULE, GetModuleHandleW, NULL, (LPCWSTR name), (name))
CALL(BOOL, GetSecurityDescriptorOwner, FALSE,
     (PSECURITY_DESCRIPTOR descriptor, PSID *owner, BOOL *is_default),
     (descriptor, owner, is_default))
CALL(BOOL, GetTokenInformation, FALSE,
     (HANDLE token, TOKEN_INFORMATION_CLASS kind, void *info, DWORD size, DWORD *needed),
     (token, kind, info, size, needed))
CALL(BOOL, InitializeAcl, FALSE, (PACL acl, DWORD size, DWORD revision), (acl, size, revision))
CALL(BOOL, InitializeSecurityDescriptor, FALSE, (PSECURITY_DESCRIPTOR descriptor, DWORD revision),
     (descriptor, revision))
CALL(void *, MapViewOfFile, NULL,
     (HANDLE section, DWORD access, DWORD high, DWORD low, SIZE_T size),
     (section, access, high, low, size))
CALL(int, MultiByteToWideChar, 0,
     (UINT page, DWORD flags, LPCCH text, int length, LPWSTR wide, int size),
     (page, flags, text, length, wide, size))
CALL(HANDLE, OpenFileMappingW, NULL, (DWORD access, BOOL inherit, LPCWSTR name),
     (access, inherit, name))
CALL(BOOL, OpenProcessToken, FALSE, (HANDLE process, DWORD access, HANDLE *token),
     (process, access, token))
CALL(BOOL, OpenThreadToken, FALSE, (HANDLE thread, DWORD access, BOOL as_self, HANDLE *token),
     (thread, access, as_self, token))
CALL(HANDLE, ReOpenFile, INVALID_HANDLE_VALUE,
     (HANDLE file, DWORD access, DWORD share, DWORD flags), (file, access, share, flags))
CALL(BOOL, SetFileInformationByHandle, FALSE,
     (HANDLE file, FILE_INFO_BY_HANDLE_CLASS kind, void *info, DWORD size),
     (file, kind, info, size))
CALL(BOOL, SetSecurityDescriptorControl, FALSE,
     (PSECURITY_DESCRIPTOR descriptor, SECURITY_DESCRIPTOR_CONTROL mask,
      SECURITY_DESCRIPTOR_CONTROL bits),
     (descriptor, mask, bits))
CALL(BOOL, SetSecurityDescriptorDacl, FALSE,
     (PSECURITY_DESCRIPTOR descriptor, BOOL present, PACL acl, BOOL is_default),
     (descriptor, present, acl, is_default))
CALL(BOOL, SetSecurityDescriptorOwner, FALSE,
     (PSECURITY_DESCRIPTOR descriptor, PSID owner, BOOL is_default),
     (descriptor, owner, is_default))
CALL(BOOL, VirtualLock, FALSE, (void *at, SIZE_T size), (at, size))

BOOLEAN NTAPI SystemFunction036(void *buffer, ULONG size);
CALL(BOOLEAN, SystemFunction036, FALSE, (void *buffer, ULONG size), (buffer, size))

int inject_fflush(FILE *stream)
{
    if (!fails("fflush"))
        return fflush(stream);
    /* This one is the C library's own failure: the system has not said a thing. */
    _doserrno = GetLastError() == ERROR_WRITE_FAULT ? 0 : GetLastError();
    return EOF;
}
