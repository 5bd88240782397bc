# macOS on Apple silicon.
set(MRING_ZIG_PROCESSOR aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/zig-macos.cmake)
