/* SPDX-License-Identifier: MIT */
/* This program once more, in a process of its own, on every system. One spawn_*.c is compiled. */
#ifndef MRING_TESTS_SPAWN_H
#define MRING_TESTS_SPAWN_H

#include <stdint.h>

/* Start `program`, main()'s argument 0 or what starts that, with two arguments. -1: it failed. */
intptr_t spawn(const char *program, const char *first, const char *second);

/* Wait for its end; whether that was with 0. */
int spawn_succeeds(intptr_t process);

#endif
