/* SPDX-License-Identifier: MIT */
/*
 * What mmap_os.h comes to on POSIX systems: mmap_posix.c implements what all of them do alike, and
 * calls, for the rest, one file of the system and one of names.
 *
 *      system      mmap_linux.c    mmap_darwin.c    mmap_portable.c (the BSDs)
 *      names       mmap_linux.c    mmap_shm.c       mmap_shm.c
 *
 * Results are those of mmap_os.h: 0, a named error, or the system's own code.
 */
#ifndef MRING_MMAP_POSIX_H
#define MRING_MMAP_POSIX_H

#include "mmap_os.h"

#include <sys/stat.h>
#include <sys/types.h>

/* ---- mmap_posix.c ---------------------------------------------------------------------------- */

/* What a code of errno is called. */
int mmap_posix_error_of(int code);

/* open(), repeated if a signal interrupts it. */
int mmap_posix_open(const char *path, int flags, mode_t mode);

/*
 * Open what was a plain file a moment ago. In case it is not any more: do not wait for the other
 * end of a FIFO, take no terminal. A lease on a plain file ends, so that is waited for.
 */
int mmap_posix_open_path(const char *path, unsigned access, int extra_flags, mode_t mode);

/* Take over a descriptor. */
void mmap_posix_own(struct os_object *object, int fd);

/* mmap_os_close(), mmap_os_size() and mmap_os_resize() of what is a file. */
void mmap_posix_close(struct os_object *object);
int mmap_posix_size(const struct os_object *object, uint64_t *size);
int mmap_posix_resize(const struct os_object *object, uint64_t old_size, uint64_t new_size);

/* ftruncate(), repeated if a signal interrupts it. */
int mmap_posix_truncate(int fd, uint64_t size);

/*
 * After growing a file has failed: give back the blocks that were reserved, and what was added; but
 * not what somebody else has added meanwhile.
 */
void mmap_posix_cut_back(int fd, uint64_t old_size, uint64_t new_size);

/* Beyond this limit on the size of files, a kernel does not return an error, it kills. */
bool mmap_posix_over_limit(uint64_t size);

/* The argument of mmap() for an access. */
int mmap_posix_protection(unsigned access);

/* mmap() with the flags that mmap_os_map() means, and more: NULL and errno. */
void *mmap_posix_map(void *at, const struct os_object *object, uint64_t offset, uint64_t length,
                     unsigned access, int more_flags);

/* What a code of errno from a call on memory is called, if nothing else is known. */
int mmap_posix_map_error(int code);

/* Reading each page fills the page tables, which is most of the work of a prefault. */
void mmap_posix_touch(const volatile unsigned char *bytes, size_t length);

/* The same, and where the access allows it, by writing what is there: so pages are taken, too. */
void mmap_posix_take(void *bytes, size_t length, unsigned access);

/* ---- the system ------------------------------------------------------------------------------ */

/* What a code of errno from a call on memory is called. */
int mmap_system_map_error(int code);

/* The flag that opens a file for its size alone, though it may not be read; 0: there is none. */
int mmap_system_size_only_flag(void);

/* Whether what is waiting in a stream's buffer is output. */
bool mmap_system_has_output(FILE *stream);

/* Whether a plain file has pages that mmap.c knows how to map. */
bool mmap_system_is_mappable(int fd);

/* Returns a descriptor, or -1 and errno; unsupported: EINVAL or ENOSYS. */
int mmap_system_create_anonymous(unsigned flags);

/* mmap_os_resize() to a larger size. */
int mmap_system_grow(const struct os_object *object, uint64_t old_size, uint64_t new_size);

/* mmap_os_reserve() at an address. */
int mmap_system_reserve_at(void **base, void *addr, size_t length);

/* mmap_os_advise(), but for OS_LOCK. */
int mmap_system_advise(void *addr, size_t length, enum os_advice advice, unsigned access);

/* ---- names ----------------------------------------------------------------------------------- */

/*
 * mmap_os_open() and mmap_os_create() of a name. The other calls of mmap_os.h that names need
 * something else for are there as they are: publish, close, size, resize, unlink.
 */
int mmap_names_open(struct os_object *object, const char *tagname, unsigned access, unsigned flags,
                    unsigned mode);
int mmap_names_create(struct os_object *object, unsigned mode);

/* Draw a random key, of an object that nobody looks for by its name. Only in mmap_shm.c. */
bool mmap_names_draw_key(char key[OS_NAME_KEY_SIZE]);

#endif
