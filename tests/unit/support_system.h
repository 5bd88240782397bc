/* SPDX-License-Identifier: MIT */
/* What support.c needs of a system. One support_*.c is compiled; it has the rest of support.h. */
#ifndef MRING_TESTS_SUPPORT_SYSTEM_H
#define MRING_TESTS_SUPPORT_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

_Noreturn void support_die(const char *what);

/* Tests build a few paths at a time; a ring of 32 buffers of 512 bytes spares them the
   bookkeeping. */
char *support_next_text(void);

/* Where temporary folders are made; where names are files, if they are. */
const char *support_root(void);
const char *support_names_folder(void);

FILE *support_open(const char *path, const char *mode);
bool support_stat(const char *path, uint64_t *size);

/* A file, or an empty folder. What somebody has open may have to stay. */
void support_remove(const char *path);

/* Call `visit` with the path of every entry of a folder whose name starts with `prefix`. */
void support_for_each_entry(const char *path, const char *prefix,
                            void (*visit)(const char *path, void *context), void *context);

/* The mappings of this process, one line each: addresses, access, file. */
void support_list_maps(char *list, size_t size);

#endif
