# One step of what a stranger does; see CMakeLists.txt for the variables. Every folder that a step
# writes is emptied first, so that nothing of an earlier run can make it pass.

cmake_minimum_required(VERSION 3.23)

set(prefix ${WORK}/prefix)
string(REGEX MATCH "^([0-9]+)\\.([0-9]+)" ignored ${VERSION})
set(major ${CMAKE_MATCH_1})
set(minor ${CMAKE_MATCH_2})
set(flags "-Wall -Wextra -Wpedantic -Werror")
set(library_flags "${flags} -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef")
if(KIND STREQUAL "shared")
    set(shared ON)
else()
    set(shared OFF)
endif()

# The stranger's environment: nobody's flags but his own, and no other mring.
foreach(variable CFLAGS CXXFLAGS CPPFLAGS LDFLAGS CMAKE_PREFIX_PATH LIBRARY_PATH CPATH
        PKG_CONFIG_PATH MAKEFLAGS MFLAGS MAKELEVEL)
    unset(ENV{${variable}})
endforeach()

function(run)
    execute_process(COMMAND ${ARGV} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(capture variable)
    execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    set(${variable} "${output}" PARENT_SCOPE)
endfunction()

# Configure and build a project in a new folder.
function(build source folder)
    file(REMOVE_RECURSE ${folder})
    run(${CMAKE_COMMAND} -S ${source} -B ${folder} -G ${GENERATOR}
        -D CMAKE_C_COMPILER=${CC} -D CMAKE_CXX_COMPILER=${CXX} -D CMAKE_BUILD_TYPE=Release ${ARGN})
    run(${CMAKE_COMMAND} --build ${folder})
endfunction()

# What is installed is exactly what is meant to be: a file too many is as wrong as one too few.
function(check_installed_files)
    set(expected include/mring.h)
    file(GLOB headers RELATIVE ${SOURCE} ${SOURCE}/include/mring/*.h)
    list(APPEND expected ${headers})
    foreach(file mring-config.cmake mring-config-version.cmake mring-targets.cmake
            mring-targets-release.cmake)
        list(APPEND expected lib/cmake/mring/${file})
    endforeach()
    list(APPEND expected lib/pkgconfig/mring.pc)
    if(shared)
        list(APPEND expected lib/libmring.so lib/libmring.so.${major}.${minor}
             lib/libmring.so.${VERSION})
    else()
        list(APPEND expected lib/libmring.a)
    endif()
    file(GLOB_RECURSE installed RELATIVE ${prefix} ${prefix}/*)
    list(SORT expected)
    list(SORT installed)
    if(NOT installed STREQUAL expected)
        message(FATAL_ERROR "installed: ${installed}\nexpected:  ${expected}")
    endif()
endfunction()

if(STEP STREQUAL "install")
    file(REMOVE_RECURSE ${prefix})
    build(${SOURCE} ${WORK}/library -D BUILD_SHARED_LIBS=${shared}
          -D MRING_BUILD_TESTS=OFF -D MRING_BUILD_BENCH=OFF -D MRING_BUILD_EXAMPLES=OFF
          -D CMAKE_INSTALL_LIBDIR=lib "-DCMAKE_C_FLAGS=${library_flags}")
    # A prefix that was not configured, and then a move: the package files must not remember either.
    run(${CMAKE_COMMAND} --install ${WORK}/library --prefix ${prefix}.new)
    file(RENAME ${prefix}.new ${prefix})
    check_installed_files()

elseif(STEP STREQUAL "find_package")
    set(folder ${WORK}/find_package)
    build(${STRANGER} ${folder} -D CMAKE_PREFIX_PATH=${prefix} -D WANTED=${major}.${minor}
          "-DCMAKE_C_FLAGS=${flags}" "-DCMAKE_CXX_FLAGS=${flags}")
    run(${folder}/consumer_c)
    run(${folder}/consumer_cc)

    # A stranger who needs another version, newer or older, is told so.
    math(EXPR next_minor "${minor} + 1")
    set(unwanted ${major}.${next_minor} ${VERSION}.1)
    if(minor GREATER 0)
        math(EXPR previous_minor "${minor} - 1")
        list(APPEND unwanted ${major}.${previous_minor})
    endif()
    foreach(wanted IN LISTS unwanted)
        file(REMOVE_RECURSE ${folder}_${wanted})
        execute_process(COMMAND ${CMAKE_COMMAND} -S ${STRANGER} -B ${folder}_${wanted}
                                -G ${GENERATOR} -D CMAKE_PREFIX_PATH=${prefix}
                                -D CMAKE_C_COMPILER=${CC} -D CMAKE_CXX_COMPILER=${CXX}
                                -D WANTED=${wanted}
                        RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE error)
        if(result EQUAL 0 OR NOT error MATCHES "version \"${wanted}\"")
            message(FATAL_ERROR "version ${wanted} was asked for; the answer: ${result} ${error}")
        endif()
    endforeach()

elseif(STEP STREQUAL "pkg_config")
    set(folder ${WORK}/pkg_config)
    file(REMOVE_RECURSE ${folder})
    file(MAKE_DIRECTORY ${folder})
    set(ENV{PKG_CONFIG_PATH} ${prefix}/lib/pkgconfig)
    set(ENV{LD_LIBRARY_PATH} ${prefix}/lib)
    capture(version ${PKG_CONFIG} --modversion mring)
    if(NOT version STREQUAL VERSION)
        message(FATAL_ERROR "mring.pc is of version ${version}, the library of ${VERSION}")
    endif()
    if(shared)
        set(static_option)
    else()
        set(static_option " --static")
    endif()
    run(${MAKE} -C ${folder} -f ${STRANGER}/Makefile SOURCE=${STRANGER} CC=${CC} CXX=${CXX}
        "PKG_CONFIG=${PKG_CONFIG}${static_option}")
    run(${folder}/consumer_c)
    run(${folder}/consumer_cc)

elseif(STEP STREQUAL "add_subdirectory")
    set(folder ${WORK}/add_subdirectory)
    build(${STRANGER} ${folder} -D MRING_SOURCE=${SOURCE} -D BUILD_SHARED_LIBS=${shared}
          "-DCMAKE_C_FLAGS=${flags}" "-DCMAKE_CXX_FLAGS=${flags}")
    run(${folder}/consumer_c)
    run(${folder}/consumer_cc)
    # A part of another project installs nothing and adds no tests, options or targets of chores.
    capture(tests ${CMAKE_CTEST_COMMAND} --test-dir ${folder} -N)
    if(NOT tests MATCHES "Total Tests: 2")
        message(FATAL_ERROR "mring brought tests into another project: ${tests}")
    endif()
    run(${CMAKE_COMMAND} --install ${folder} --prefix ${folder}/prefix)
    file(GLOB_RECURSE installed ${folder}/prefix/*)
    if(installed)
        message(FATAL_ERROR "mring was installed with another project: ${installed}")
    endif()

elseif(STEP STREQUAL "symbols")
    # The calls of the headers, inline ones too, have symbols, and a program sees nothing else.
    file(GLOB headers ${prefix}/include/mring.h ${prefix}/include/mring/*.h)
    set(declared)
    foreach(header IN LISTS headers)
        file(READ ${header} text)
        string(REGEX REPLACE "/\\*([^*]|\\*+[^*/])*\\*+/" "" text "${text}")
        string(REGEX MATCHALL "\n(MRING_API|MRING_INLINE)[^\n(]*[ *](mring|mmap)_[a-z0-9_]+\\("
               calls "${text}")
        foreach(call IN LISTS calls)
            string(REGEX MATCH "([a-z0-9_]+)\\($" call "${call}")
            list(APPEND declared ${CMAKE_MATCH_1})
        endforeach()
    endforeach()
    if(shared)
        capture(table ${NM} -D --defined-only ${prefix}/lib/libmring.so)
    else()
        capture(table ${NM} -g --defined-only ${prefix}/lib/libmring.a)
    endif()
    string(REGEX MATCHALL " [A-Z] [A-Za-z0-9_]+" symbols "${table}")
    list(TRANSFORM symbols REPLACE "^ [A-Z] " "")
    list(LENGTH declared count)
    if(count EQUAL 0)
        message(FATAL_ERROR "no call was found in the headers")
    endif()
    list(REMOVE_DUPLICATES declared)
    list(SORT declared)
    list(SORT symbols)
    if(NOT shared)
        # Between its own files an archive has more: the calls of the system's half.
        list(FILTER symbols EXCLUDE REGEX "^(mmap_(os|posix|system|names)|mring_(ring|waiter|io))_")
    endif()
    if(NOT symbols STREQUAL declared)
        message(FATAL_ERROR "declared: ${declared}\ndefined:  ${symbols}")
    endif()

else()
    message(FATAL_ERROR "unknown step: ${STEP}")
endif()
