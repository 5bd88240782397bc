# Targets for those who work on mring: format, coverage.

find_program(MRING_CLANG_FORMAT clang-format)
mark_as_advanced(MRING_CLANG_FORMAT)
if(MRING_CLANG_FORMAT)
    set(format_command sh ${PROJECT_SOURCE_DIR}/cmake/format.sh ${MRING_CLANG_FORMAT})
    add_custom_target(format COMMAND ${format_command} apply
                      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
    if(MRING_BUILD_TESTS AND NOT CMAKE_CROSSCOMPILING)
        add_test(NAME format_check COMMAND ${format_command} check
                 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
        set_tests_properties(format_check PROPERTIES LABELS "unit;house" TIMEOUT 120)
    endif()
elseif(MRING_BUILD_TESTS)
    message(STATUS "Left out: format_check (there is no clang-format)")
endif()

# The programs and libraries of a folder and of those below it.
function(mring_targets_below folder result)
    get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
    list(FILTER targets EXCLUDE REGEX "^(format|plots|run-)")
    get_property(subdirectories DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
    foreach(subdirectory IN LISTS subdirectories)
        mring_targets_below(${subdirectory} below)
        list(APPEND targets ${below})
    endforeach()
    set(${result} ${targets} PARENT_SCOPE)
endfunction()

if(MRING_COVERAGE)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
        message(FATAL_ERROR "MRING_COVERAGE needs gcc or clang")
    endif()
    find_program(MRING_GCOVR gcovr REQUIRED)
    mark_as_advanced(MRING_GCOVR)
    add_custom_target(coverage
        COMMAND find . -name "*.gcda" -delete
        COMMAND ${CMAKE_CTEST_COMMAND} --output-on-failure -j 2 -LE "install|house"
        COMMAND sh ${PROJECT_SOURCE_DIR}/cmake/coverage.sh ${MRING_GCOVR} ${PROJECT_SOURCE_DIR}
                ${PROJECT_BINARY_DIR}
        WORKING_DIRECTORY ${PROJECT_BINARY_DIR} USES_TERMINAL VERBATIM)
    mring_targets_below(${PROJECT_SOURCE_DIR} tested)
    list(REMOVE_ITEM tested coverage)
    add_dependencies(coverage ${tested})
endif()
