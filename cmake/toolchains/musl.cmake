# musl instead of glibc, by Debian's musl-tools. The kernel's headers are those of the machine, after
# musl's own.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${CMAKE_HOST_SYSTEM_PROCESSOR})
set(CMAKE_C_COMPILER musl-gcc)
add_compile_options(
    "SHELL:-idirafter /usr/include"
    "SHELL:-idirafter /usr/include/${CMAKE_HOST_SYSTEM_PROCESSOR}-linux-gnu")
