/* SPDX-License-Identifier: MIT */
/* A test's process is this program once more, with an argument of its own that names the test. */
#include "process.h"

#include <fcntl.h>
#include <io.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#define IN_ITS_OWN_PROCESS "--in-its-own-process"

/* What abort() leaves as an exit code, and raise(). */
#define ABORTED 3

static void die(const char *what)
{
    fprintf(stderr, "%s: error %lu\n", what, GetLastError());
    exit(2);
}

/* ---- in the process of a test ---------------------------------------------------------------- */

/* The exception is the exit code. Otherwise a debugger would be looked for, or a window opened. */
static LONG WINAPI end_by_exception(EXCEPTION_POINTERS *exception)
{
    fflush(stdout);
    TerminateProcess(GetCurrentProcess(), exception->ExceptionRecord->ExceptionCode);
    return EXCEPTION_EXECUTE_HANDLER;
}

void process_begin(char **arguments, process_body *body)
{
    _setmode(_fileno(stdout), _O_BINARY); /* lines end as everywhere */
    if (arguments[1] == NULL || strcmp(arguments[1], IN_ITS_OWN_PROCESS) != 0)
        return;
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
    SetUnhandledExceptionFilter(end_by_exception);
    exit(arguments[2] != NULL ? body(arguments[2]) : 2);
}

void process_quit(int code)
{
    _exit(code);
}

/* ---- in the process of main() ---------------------------------------------------------------- */

/* What is in it dies with it: when it is ended, and when this process is. */
static HANDLE new_job(void)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = { 0 };
    HANDLE job = CreateJobObjectW(NULL, NULL);

    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    if (job == NULL ||
        !SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits))
        die("CreateJobObject");
    return job;
}

/* In the job before it runs, so that nothing it starts is outside. */
static HANDLE start(const char *name, HANDLE job)
{
    char program[MAX_PATH], command[MAX_PATH + 500];
    STARTUPINFOA startup = { .cb = sizeof startup };
    PROCESS_INFORMATION process;

    if (GetModuleFileNameA(NULL, program, sizeof program) == 0)
        die("GetModuleFileName");
    snprintf(command, sizeof command, "\"%s\" " IN_ITS_OWN_PROCESS " %s", program, name);
    if (!CreateProcessA(program, command, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, NULL, &startup,
                        &process))
        die("CreateProcess");
    if (!AssignProcessToJobObject(job, process.hProcess))
        die("AssignProcessToJobObject");
    ResumeThread(process.hThread);
    CloseHandle(process.hThread);
    return process.hProcess;
}

/* Signals by the numbers that they have elsewhere; there are none here. */
static struct process_end end_of(DWORD code)
{
    switch (code) {
    case (DWORD)EXCEPTION_ACCESS_VIOLATION:
        return (struct process_end){ PROCESS_SIGNALLED, 11 };
    case (DWORD)EXCEPTION_IN_PAGE_ERROR:
        return (struct process_end){ PROCESS_SIGNALLED, 7 };
    case ABORTED:
        return (struct process_end){ PROCESS_SIGNALLED, 6 };
    default:
        return (struct process_end){ PROCESS_EXITED, (int)code };
    }
}

struct process_end process_run(process_body *body, const char *name, double seconds)
{
    DWORD limit_ms = seconds > 0 ? (DWORD)(seconds * 1000) : INFINITE;
    DWORD code = 0;

    (void)body; /* process_begin() has it */
    fflush(NULL);
    HANDLE job = new_job();
    HANDLE process = start(name, job);
    bool timed_out = WaitForSingleObject(process, limit_ms) == WAIT_TIMEOUT;
    if (!timed_out && !GetExitCodeProcess(process, &code))
        die("GetExitCodeProcess");
    TerminateJobObject(job, 1);
    WaitForSingleObject(process, INFINITE);
    CloseHandle(process);
    CloseHandle(job);
    return timed_out ? (struct process_end){ PROCESS_TIMED_OUT, 0 } : end_of(code);
}
