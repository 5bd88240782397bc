/* SPDX-License-Identifier: MIT */
/* As assert.h. */
#pragma once
typedef struct _iobuf FILE;
