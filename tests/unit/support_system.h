/* SPDX-License-Identifier: MIT */
/* What support.c needs of a system. One support_*.c is compiled, which has the rest of support.h. */
#ifndef MRING_TESTS_SUPPORT_SYSTEM_H
#define MRING_TESTS_SUPPORT_SYSTEM_H

#include <stddef.h>

_Noreturn void support_die(const char *what);

/* Where temporary folders are made. */
const char *support_root(void);

/* Call `visit` with the path of every entry of a folder whose name starts with `prefix`. */
void support_for_each_entry(const char *path, const char *prefix,
                            void (*visit)(const char *path, void *context), void *context);

/* The mappings of this process, one line each: addresses, access, file. */
void support_list_maps(char *list, size_t size);

#endif
