/* SPDX-License-Identifier: MIT */
/*
 * The requests of the Redis protocol (RESP): an array of bulk strings,
 *
 *      *2 CR LF  $3 CR LF GET CR LF  $5 CR LF mykey CR LF
 *
 * parsed in place: what comes out points into what was received. For that the bytes of a command
 * have to be contiguous. Inline commands, which people type by hand, are malformed here.
 *
 *      struct resp_command command;
 *      size_t done = 0;
 *      while (resp_parse(&command, bytes + done, size - done) == RESP_COMPLETE) {
 *          serve(command.argc, command.argv, command.arglen);
 *          done += command.size;
 *      }
 *
 * It keeps no state: a command that was not complete is parsed again from its first byte when there
 * is more of it.
 */
#ifndef BENCH_RESP_H
#define BENCH_RESP_H

#include <stddef.h>

#define RESP_ARGUMENTS_MAX 64
#define RESP_BULK_MAX      ((size_t)1 << 20) /* bytes of one argument */

enum resp_status {
    RESP_COMPLETE,
    RESP_MORE,     /* what is there may be the beginning of a command */
    RESP_MALFORMED /* it is not, or not of one within the bounds above */
};

/* The pointers live as long as the bytes that were parsed. An argument may have any bytes in it. */
struct resp_command {
    size_t size; /* of the whole command, to the last LF */
    size_t argc; /* 1 .. RESP_ARGUMENTS_MAX */
    const char *argv[RESP_ARGUMENTS_MAX];
    size_t arglen[RESP_ARGUMENTS_MAX];
};

/*
 * Parse the command that begins at `bytes`. Nothing behind its end is looked at, nor behind `size`.
 *
 *   command   complete only with RESP_COMPLETE; otherwise what is in it means nothing
 */
enum resp_status resp_parse(struct resp_command *command, const void *bytes, size_t size);

#endif
