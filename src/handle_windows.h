/* SPDX-License-Identifier: MIT */
/* What Windows and its C runtime know of descriptors and handles that others have opened. */
#ifndef MRING_HANDLE_WINDOWS_H
#define MRING_HANDLE_WINDOWS_H

#include <stdint.h>
#include <stdio.h>
#include <windows.h>

/*
 * What is no descriptor ends the process in the newer C runtime, if nobody says that it shall be an
 * error: before a call that gets one say so, and after it take that back. For this thread.
 */
typedef void (*mring_crt_handler)(const wchar_t *expression, const wchar_t *function,
                                  const wchar_t *file, unsigned line, uintptr_t reserved);
mring_crt_handler mring_begin_crt_call(void);
void mring_end_crt_call(mring_crt_handler previous);

/* INVALID_HANDLE_VALUE: it is none. */
HANDLE mring_handle_of_descriptor(int fd);

/* The descriptor of a stream, or -1. */
int mring_descriptor_of_stream(FILE *stream);

/* What a handle may be used for. All, where the system does not tell: a later call finds out. */
ACCESS_MASK mring_granted_access(HANDLE handle);

#endif
