/* SPDX-License-Identifier: MIT */
#include_next <unistd.h>

#include "posix.h"
