/* SPDX-License-Identifier: MIT */
#include "resp.h"

#include <stdbool.h>

/* What is still to be parsed. */
struct cursor {
    const char *at;
    const char *end;
};

static enum resp_status take_line_end(struct cursor *cursor)
{
    if (cursor->at == cursor->end)
        return RESP_MORE;
    if (cursor->at[0] != '\r')
        return RESP_MALFORMED;
    if (cursor->end - cursor->at < 2)
        return RESP_MORE;
    if (cursor->at[1] != '\n')
        return RESP_MALFORMED;
    cursor->at += 2;
    return RESP_COMPLETE;
}

static bool is_digit(char character)
{
    return character >= '0' && character <= '9';
}

/* The mark, a number of at most `max` without needless zeros, and the end of the line. */
static enum resp_status take_number(struct cursor *cursor, char mark, size_t max, size_t *number)
{
    size_t value = 0;

    if (cursor->at == cursor->end)
        return RESP_MORE;
    if (*cursor->at++ != mark)
        return RESP_MALFORMED;

    const char *first = cursor->at;
    for (; cursor->at < cursor->end && is_digit(*cursor->at); cursor->at++) {
        if (cursor->at > first && value == 0)
            return RESP_MALFORMED;
        value = value * 10 + (size_t)(*cursor->at - '0');
        if (value > max)
            return RESP_MALFORMED;
    }
    if (cursor->at == first && cursor->at < cursor->end)
        return RESP_MALFORMED;
    *number = value;
    return take_line_end(cursor);
}

static enum resp_status take_bulk(struct cursor *cursor, const char **bytes, size_t *size)
{
    enum resp_status status = take_number(cursor, '$', RESP_BULK_MAX, size);

    if (status != RESP_COMPLETE)
        return status;
    if ((size_t)(cursor->end - cursor->at) < *size)
        return RESP_MORE;
    *bytes = cursor->at;
    cursor->at += *size;
    return take_line_end(cursor);
}

enum resp_status resp_parse(struct resp_command *command, const void *bytes, size_t size)
{
    struct cursor cursor = { bytes, (const char *)bytes + size };
    size_t argc;

    enum resp_status status = take_number(&cursor, '*', RESP_ARGUMENTS_MAX, &argc);
    if (status != RESP_COMPLETE)
        return status;
    if (argc == 0)
        return RESP_MALFORMED;
    for (size_t i = 0; i < argc; i++) {
        status = take_bulk(&cursor, &command->argv[i], &command->arglen[i]);
        if (status != RESP_COMPLETE)
            return status;
    }
    command->argc = argc;
    command->size = (size_t)(cursor.at - (const char *)bytes);
    return RESP_COMPLETE;
}
