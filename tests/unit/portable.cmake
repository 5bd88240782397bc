# With MRING_PORTABLE, what a unit test expects of Linux alone is left out, and here is why:
#
#   eventfd    descriptors for poll loops are kqueues, and there are none: unit.wait_naps
#   barriers   there are none: rings use fences
#   naps       the system wakes nobody, so nobody is counted; all that are announced wake, so a test
#              can't have just one do so
#   folder     a name is not a file of /dev/shm: unit.mmap_shm
#   limits     no limit on mappings is known, anonymous mirrors are objects, which have a size limit
#   pages      there are no huge pages, and a prefault touches what it can't populate
#   O_PATH     is Linux' own

set(mring_mmap_map_limits "mmap_map/fails_with_map_limit_when_*")
set(mring_mmap_map_O_PATH "mmap_map/is_denied_what_a_descriptor_was_not_opened_for")
set(mring_mmap_options_pages "mmap_options/*huge*|mmap_options/prefault_*")
set(mring_mmap_mirror_limits "mmap_mirror/of_anonymous_memory_does_not_know_the_file_size_limit")
set(mring_mmap_unlink_folder "mmap_unlink/is_denied_*")
set(mring_mmap_names_folder
    "mmap_map/creates_names_for_the_owner_*|mmap_map/creates_names_when_the_first_*"
    "mmap_map/fails_with_exists_when_an_exclusive_*|mmap_map/has_no_names_without_dev_shm"
    "mmap_map/is_denied_*|mmap_map/never_changes_the_size_of_a_name_by_attaching"
    "mmap_map/refuses_a_socket_*|mmap_map/takes_spaces_and_utf8_in_tagnames")
set(mring_wait_eventfd
    "mring_event_wake/signals_a_descriptor_*|mring_os_clear/*|mring_os_signal/*")
set(mring_wait_barriers "mring_os_join_barriers/*")
set(mring_wait_naps "mring_os_wake/*")
set(mring_spsc_named_folder
    "mring_spsc_open/is_for_the_owner_*|mring_spsc_open/refuses_an_object_*"
    "mring_spsc_open/takes_a_ring_of_anybody_*")
set(mring_spsc_wait_barriers "mring_os_barrier/*")
set(mring_spsc_tune_eventfd
    "mring_spsc_flush/wakes_whoever_*|mring_spsc_stats/count_wakes_*"
    "mring_spsc_tune/has_the_consumer_*|mring_spsc_tune/publishes_what_was_held_back_when_*")
set(mring_spsc_poll_eventfd
    "mring_spsc_arm/*|mring_spsc_io_uring/*|mring_spsc_poll/*|mring_spsc_publishing/*"
    "mring_spsc_set_eventfd/[!r]*")
set(mring_mpmc_named_folder "mring_mpmc_open/refuses_an_object_*")
set(mring_mpmc_named_eventfd
    "mring_mpmc_processes/leave_the_arming_*|mring_mpmc_processes/tell_who_polls_*")
set(mring_mpmc_hostile_eventfd
    "mring_mpmc_claim/ends_before_*|mring_mpmc_is_closed/is_not_the_end_*"
    "mring_mpmc_pop/answers_corrupt_to_a_record_that_*")
set(mring_mpmc_hostile_folder "mring_mpmc_open/answers_corrupt_to_positions_between_*")
set(mring_mpmc_wait_eventfd
    "mring_mpmc_arm/*|mring_mpmc_set_eventfd/*|mring_mpmc_close/is_told_to_who_polls_*"
    "mring_mpmc_pass_on/signals_*|mring_mpmc_tune/has_what_a_single_consumer_holds_back_*")
set(mring_mpmc_wait_naps
    "mring_event_wake/acknowledges_*_were_woken_*|mring_mpmc_abort/wakes_no_more_*"
    "mring_mpmc_pass_on/wakes_one|mring_mpmc_pass_on/goes_on_*|mring_os_wake/*"
    "mring_mpmc_wait/goes_on_when_it_is_woken_*|mring_mpmc_wait/of_several_consumers_ends_*")

# mring_left_out(NAME OPTIONS): append the option of Criterion that leaves them out of a test, and say
# so with each reason.
function(mring_left_out name options)
    set(all "")
    foreach(reason IN ITEMS eventfd barriers naps folder limits pages O_PATH)
        if(DEFINED mring_${name}_${reason})
            list(APPEND all ${mring_${name}_${reason}})
            string(REPLACE "|" " " patterns "${mring_${name}_${reason}}")
            string(REPLACE ";" " " patterns "${patterns}")
            message(STATUS "Left out: of unit.${name} (${reason}) ${patterns}")
        endif()
    endforeach()
    string(REPLACE ";" "|" all "${all}")
    if(all)
        set(${options} ${${options}} "--filter=!(${all})" PARENT_SCOPE)
    endif()
endfunction()
