/* SPDX-License-Identifier: MIT */
/* As much of it as mring's headers need; see ../headers_compile_in_msvc_mode.sh. */
#pragma once
#define assert(condition) ((void)(condition))
