/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "spawn.h"

#include <spawn.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/wait.h>

extern char **environ;

intptr_t spawn(const char *program, const char *first, const char *second)
{
    char *arguments[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)first,
                          (char *)(uintptr_t)second, NULL };
    pid_t process;

    return posix_spawn(&process, program, NULL, NULL, arguments, environ) == 0 ? process : -1;
}

int spawn_succeeds(intptr_t process)
{
    int status;

    return waitpid((pid_t)process, &status, 0) == (pid_t)process && status == 0;
}
