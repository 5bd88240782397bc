/* SPDX-License-Identifier: MIT */
#include "handle_windows.h"

#include <io.h>
#include <stdlib.h>

/* ---- descriptors of the C runtime ------------------------------------------------------------ */

#if defined(_UCRT) || defined(_MSC_VER)
#ifdef __MINGW32__ /* whose older headers do not declare it */
_CRTIMP _invalid_parameter_handler __cdecl _set_thread_local_invalid_parameter_handler(
    _invalid_parameter_handler handler);
#endif

static void report_only(const wchar_t *expression, const wchar_t *function, const wchar_t *file,
                        unsigned line, uintptr_t reserved)
{
    (void)expression;
    (void)function;
    (void)file;
    (void)line;
    (void)reserved;
}

mring_crt_handler mring_begin_crt_call(void)
{
    return _set_thread_local_invalid_parameter_handler(report_only);
}

void mring_end_crt_call(mring_crt_handler previous)
{
    _set_thread_local_invalid_parameter_handler(previous);
}
#else
/* The older runtime returns an error. */
mring_crt_handler mring_begin_crt_call(void)
{
    return NULL;
}

void mring_end_crt_call(mring_crt_handler previous)
{
    (void)previous;
}
#endif

HANDLE mring_handle_of_descriptor(int fd)
{
    mring_crt_handler previous = mring_begin_crt_call();
    intptr_t handle = _get_osfhandle(fd);

    mring_end_crt_call(previous);
    return handle == -2 ? INVALID_HANDLE_VALUE : (HANDLE)handle; /* -2: a stream without a file */
}

int mring_descriptor_of_stream(FILE *stream)
{
    mring_crt_handler previous = mring_begin_crt_call();
    int fd = _fileno(stream);

    mring_end_crt_call(previous);
    return fd < 0 ? -1 : fd;
}

/* ---- handles --------------------------------------------------------------------------------- */

/* ntdll.dll: what may be done with a handle. The last of its numbers are not documented. */
struct handle_info {
    ULONG attributes;
    ACCESS_MASK access;
    ULONG others[12];
};

typedef LONG(NTAPI *query_call)(HANDLE handle, int kind, void *info, ULONG size, ULONG *needed);

ACCESS_MASK mring_granted_access(HANDLE handle)
{
    struct handle_info info;
    HMODULE library = GetModuleHandleW(L"ntdll.dll");

    if (library == NULL)
        return ~(ACCESS_MASK)0;
    query_call query = (query_call)(void (*)(void))GetProcAddress(library, "NtQueryObject");
    if (query == NULL || query(handle, 0, &info, sizeof info, NULL) < 0)
        return ~(ACCESS_MASK)0;
    return info.access;
}
