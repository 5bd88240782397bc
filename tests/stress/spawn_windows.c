/* SPDX-License-Identifier: MIT */
#include "spawn.h"

#include <stdio.h>
#include <windows.h>

/* The path that Windows knows, since argument 0 may be anything. */
intptr_t spawn(const char *program, const char *first, const char *second)
{
    char path[MAX_PATH], command[MAX_PATH + 400];
    STARTUPINFOA startup = { .cb = sizeof startup };
    PROCESS_INFORMATION process;

    (void)program;
    if (GetModuleFileNameA(NULL, path, sizeof path) == 0)
        return -1;
    snprintf(command, sizeof command, "\"%s\" %s %s", path, first, second);
    if (!CreateProcessA(path, command, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &process))
        return -1;
    CloseHandle(process.hThread);
    return (intptr_t)process.hProcess;
}

int spawn_succeeds(intptr_t process)
{
    DWORD code = 1;

    WaitForSingleObject((HANDLE)process, INFINITE);
    GetExitCodeProcess((HANDLE)process, &code);
    CloseHandle((HANDLE)process);
    return code == 0;
}
