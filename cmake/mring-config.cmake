# The library needs libc and the operating system only: there is nothing else to find.
include("${CMAKE_CURRENT_LIST_DIR}/mring-targets.cmake")
